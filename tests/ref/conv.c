#include "ref/conv.h"

#include <stdlib.h>

/* Calls *body for every (output pixel, tap inside the image): element indices of x (channel 0), w and y (channel 0). */
typedef void (*visit)(void *data, const bf_conv *s, size_t x, size_t w, size_t y);

static void each_tap(const bf_conv *s, visit body, void *data)
{
    const int ho = bf_conv_out(s->h, s->k, s->stride), wo = bf_conv_out(s->w, s->k, s->stride), pad = s->k / 2;
    for (int b = 0; b < s->batch; b++)
        for (int oy = 0; oy < ho; oy++)
            for (int ox = 0; ox < wo; ox++)
                for (int ky = 0; ky < s->k; ky++)
                    for (int kx = 0; kx < s->k; kx++) {
                        const int iy = oy * s->stride + ky - pad, ix = ox * s->stride + kx - pad;
                        if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w) continue;
                        body(data, s, (size_t)(((b * s->h + iy) * s->w + ix) * s->ci),
                             (size_t)((ky * s->k + kx) * s->ci * s->co), (size_t)(((b * ho + oy) * wo + ox) * s->co));
                    }
}

typedef struct sums {
    double *a, *b;
    const float *x, *w, *dy;
} sums;

static void forward(void *data, const bf_conv *s, size_t x, size_t w, size_t y)
{
    const sums *t = data;
    for (int i = 0; i < s->ci; i++)
        for (int j = 0; j < s->co; j++)
            t->a[y + (size_t)j] += (double)t->x[x + (size_t)i] * (double)t->w[w + (size_t)(i * s->co + j)];
}

static void backward(void *data, const bf_conv *s, size_t x, size_t w, size_t y)
{
    const sums *t = data;
    for (int i = 0; i < s->ci; i++)
        for (int j = 0; j < s->co; j++) {
            const size_t at = w + (size_t)(i * s->co + j);
            const double d = (double)t->dy[y + (size_t)j];
            t->a[x + (size_t)i] += d * (double)t->w[at];
            t->b[at] += d * (double)t->x[x + (size_t)i];
        }
}

void ref_conv_forward(const bf_conv *s, float *y, const float *x, const float *w, const float *bias,
                      const float *per_sample, const float *residual)
{
    const size_t points = (size_t)(bf_conv_out(s->h, s->k, s->stride) * bf_conv_out(s->w, s->k, s->stride));
    const size_t co = (size_t)s->co, n = (size_t)s->batch * points * co;
    sums t = {.a = calloc(n, sizeof(double)), .x = x, .w = w};
    each_tap(s, forward, &t);
    for (size_t i = 0; i < n; i++) {
        if (bias != NULL) t.a[i] += bias[i % co];
        if (per_sample != NULL) t.a[i] += per_sample[i / (points * co) * co + i % co];
        if (residual != NULL) t.a[i] += residual[i];
        y[i] = (float)t.a[i];
    }
    free(t.a);
}

void ref_conv_backward(const bf_conv *s, float *dx, float *dw, bool acc, const float *dy, const float *x,
                       const float *w)
{
    const size_t nx = (size_t)(s->batch * s->h * s->w * s->ci), nw = (size_t)(s->k * s->k * s->ci * s->co);
    sums t = {.a = calloc(nx, sizeof(double)), .b = calloc(nw, sizeof(double)), .x = x, .w = w, .dy = dy};
    each_tap(s, backward, &t);
    for (size_t i = 0; i < nx; i++) dx[i] = (float)(t.a[i] + (acc ? dx[i] : 0.0f));
    for (size_t i = 0; i < nw; i++) dw[i] = (float)(t.b[i] + (acc ? dw[i] : 0.0f));
    free(t.a);
    free(t.b);
}
