#include "group_norm.h"

#include <math.h>
#include <stddef.h>

#include "act.h"

void ref_group_norm_forward(const ref_group_norm *s, double *y, double *mean, double *rstd)
{
    const int size = s->ch / s->groups;
    for (int b = 0; b < s->batch; b++)
        for (int g = 0; g < s->groups; g++) {
            const size_t first = (size_t)b * (size_t)s->points * (size_t)s->ch + (size_t)(g * size);
            const double n = (double)s->points * size;
            double m = 0, v = 0;
            for (int p = 0; p < s->points; p++)
                for (int c = 0; c < size; c++) m += s->x[first + (size_t)(p * s->ch + c)] / n;
            for (int p = 0; p < s->points; p++)
                for (int c = 0; c < size; c++) v += pow(s->x[first + (size_t)(p * s->ch + c)] - m, 2) / n;
            const double r = 1 / sqrt(v + s->eps);
            for (int p = 0; p < s->points; p++)
                for (int c = 0; c < size; c++) {
                    const size_t at = first + (size_t)(p * s->ch + c);
                    const int channel = g * size + c;
                    double t = (s->x[at] - m) * r * s->gamma[channel] + s->beta[channel];
                    if (s->scale) t = t * (1 + s->scale[b * s->pitch + channel]) + s->shift[b * s->pitch + channel];
                    y[at] = ref_act(s->act, t);
                }
            if (mean) mean[b * s->groups + g] = m;
            if (rstd) rstd[b * s->groups + g] = r;
        }
}
