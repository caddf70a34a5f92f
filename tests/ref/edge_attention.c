#include "ref/edge_attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RADIAL 20
#define KINDS 4
#define MOST_WIDTH 256
#define MOST_SLOTS 128

static const double offset[RADIAL] = {0,   1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3,
                                      3.5, 4, 4.5,  5,   5.5,  6, 7,    8,   9,    10};

static void run_mlp(const ref_edge_mlp *m, const double *in, size_t n_in, size_t width, size_t n_out, double *out)
{
    double hidden[MOST_WIDTH], mean = 0, var = 0;

    for (size_t o = 0; o < width; o++) {
        hidden[o] = m->bias[o];
        for (size_t i = 0; i < n_in; i++) hidden[o] += m->w[o * n_in + i] * in[i];
        mean += hidden[o] / (double)width;
    }
    for (size_t o = 0; o < width; o++) var += (hidden[o] - mean) * (hidden[o] - mean) / (double)width;
    for (size_t o = 0; o < width; o++) {
        const double y = (hidden[o] - mean) / sqrt(var + 1e-5) * m->gamma[o] + m->beta[o];
        hidden[o] = y > 0 ? y : 0;
    }
    for (size_t o = 0; o < n_out; o++) {
        out[o] = m->bias2[o];
        for (size_t i = 0; i < width; i++) out[o] += m->w2[o * width + i] * hidden[i];
    }
}

static double radial_code(const ref_edges *e, size_t i, size_t j, double *code)
{
    double sum = 0;

    for (size_t k = 0; k < 3; k++) sum += (e->x[3 * i + k] - e->x[3 * j + k]) * (e->x[3 * i + k] - e->x[3 * j + k]);
    for (size_t k = 0; k < RADIAL; k++) code[k] = exp(-0.5 * (sqrt(sum) - offset[k]) * (sqrt(sum) - offset[k]));
    return sqrt(sum);
}

void ref_edge_gate(const ref_edges *e, const ref_edge_mlp *mlp, double *gate)
{
    memset(gate, 0, e->nodes * e->slots * sizeof *gate);
    for (size_t i = 0; i < e->nodes; i++)
        for (size_t s = 0; s < e->count[i]; s++) {
            double code[RADIAL], v;
            radial_code(e, i, e->src[i * e->slots + s], code);
            run_mlp(mlp, code, RADIAL, e->width, 1, &v);
            gate[i * e->slots + s] = 1 / (1 + exp(-v));
        }
}

/* The weights of the edges of node i, [slots][heads], and their values, [slots][n_out]. */
static void attend(const ref_edges *e, const ref_edge_mlp *key, const ref_edge_mlp *value, const double *query,
                   const double *h, size_t i, size_t n_out, double *weight, double *values)
{
    const size_t width = e->width, depth = width / e->heads, n_in = KINDS + KINDS * RADIAL + 2 * width;
    double k[MOST_WIDTH], *in = calloc(n_in, sizeof *in);

    if (!in) abort();
    for (size_t s = 0; s < e->count[i]; s++) {
        const size_t j = e->src[i * e->slots + s], kind = (e->ligand[j] ? 0u : 2u) + (e->ligand[i] ? 0u : 1u);
        memset(in, 0, n_in * sizeof *in);
        in[kind] = 1;
        radial_code(e, i, j, in + KINDS + kind * RADIAL);
        memcpy(in + KINDS + KINDS * RADIAL, h + i * width, width * sizeof *h);
        memcpy(in + KINDS + KINDS * RADIAL + width, h + j * width, width * sizeof *h);
        run_mlp(key, in, n_in, width, width, k);
        run_mlp(value, in, n_in, width, n_out, values + s * n_out);
        for (size_t a = 0; a < e->heads; a++) {
            double sum = 0;
            for (size_t c = a * depth; c < (a + 1) * depth; c++) sum += query[i * width + c] * k[c];
            weight[s * e->heads + a] = sum / sqrt((double)depth);
        }
    }
    for (size_t a = 0; a < e->heads; a++) {
        double top = -INFINITY, sum = 0;
        for (size_t s = 0; s < e->count[i]; s++) top = fmax(top, weight[s * e->heads + a]);
        for (size_t s = 0; s < e->count[i]; s++) sum += exp(weight[s * e->heads + a] - top);
        for (size_t s = 0; s < e->count[i]; s++) weight[s * e->heads + a] = exp(weight[s * e->heads + a] - top) / sum;
    }
    free(in);
}

void ref_edge_features(const ref_edges *e, const ref_edge_mlp *key, const ref_edge_mlp *value, const double *query,
                       const double *h, const double *gate, double *out)
{
    static double weight[MOST_SLOTS * MOST_WIDTH], values[MOST_SLOTS * MOST_WIDTH];
    const size_t width = e->width, depth = width / e->heads;

    memset(out, 0, e->nodes * width * sizeof *out);
    for (size_t i = 0; i < e->nodes; i++) {
        attend(e, key, value, query, h, i, width, weight, values);
        for (size_t s = 0; s < e->count[i]; s++)
            for (size_t c = 0; c < width; c++)
                out[i * width + c] += weight[s * e->heads + c / depth] * gate[i * e->slots + s] * values[s * width + c];
    }
}

void ref_edge_positions(const ref_edges *e, const ref_edge_mlp *key, const ref_edge_mlp *value, const double *query,
                        const double *h, const double *gate, double *out)
{
    static double weight[MOST_SLOTS * MOST_WIDTH], values[MOST_SLOTS * MOST_WIDTH];

    memset(out, 0, e->nodes * 3 * sizeof *out);
    for (size_t i = 0; i < e->nodes; i++) {
        if (!e->ligand[i]) continue;
        attend(e, key, value, query, h, i, e->heads, weight, values);
        for (size_t s = 0; s < e->count[i]; s++)
            for (size_t a = 0; a < e->heads; a++)
                for (size_t k = 0; k < 3; k++)
                    out[3 * i + k] += weight[s * e->heads + a] * values[s * e->heads + a] * gate[i * e->slots + s] *
                                      (e->x[3 * i + k] - e->x[3 * (size_t)e->src[i * e->slots + s] + k]) /
                                      (double)e->heads;
    }
}
