#include "upsample.h"

#include <string.h>

static int at(int b, int r, int q, int c, int h, int w, int ch)
{
    return ((b * h + r) * w + q) * ch + c;
}

void ref_upsample(double *y, const double *x, int batch, int h, int w, int ch)
{
    for (int b = 0; b < batch; b++)
        for (int r = 0; r < 2 * h; r++)
            for (int q = 0; q < 2 * w; q++)
                for (int c = 0; c < ch; c++) y[at(b, r, q, c, 2 * h, 2 * w, ch)] = x[at(b, r / 2, q / 2, c, h, w, ch)];
}

void ref_upsample_gradient(double *dx, const double *dy, int batch, int h, int w, int ch)
{
    memset(dx, 0, (size_t)batch * (size_t)h * (size_t)w * (size_t)ch * sizeof *dx);
    for (int b = 0; b < batch; b++)
        for (int r = 0; r < 2 * h; r++)
            for (int q = 0; q < 2 * w; q++)
                for (int c = 0; c < ch; c++)
                    dx[at(b, r / 2, q / 2, c, h, w, ch)] += dy[at(b, r, q, c, 2 * h, 2 * w, ch)];
}
