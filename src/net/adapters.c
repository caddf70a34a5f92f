#include "net/adapters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PI 3.14159265358979323846

bf_image_adapter bf_image_adapter_defaults(void)
{
    return (bf_image_adapter){.time = true, .positions = true, .position_size = 32, .bands = 64};
}

static int time_features(const bf_image_adapter *a)
{
    if (!a->time) return 0;
    return a->time_resolution > 0 ? 1 + 2 * a->bands : 1;
}

static int position_features(const bf_image_adapter *a)
{
    return a->learned_positions ? a->position_size : 4 * a->bands + 2;
}

int bf_image_adapter_features(const bf_image_adapter *a)
{
    return a->channels + time_features(a) + (a->positions ? position_features(a) : 0);
}

/* Number i of n from `first` to `last` with the roundings of torch.linspace on a CPU: counted from the nearer end;
 * where 16 at a time fit, from the first of each 8. Angles reach 50: an ulp more or less shows. */
static float spaced(int i, int n, float first, float last)
{
    if (n < 2) return first;
    const float step = (last - first) / (float)(n - 1);
    const int lane = i < n - n % 16 ? i % 8 : 0, start = i - lane;
    const float base = start < n / 2 ? fmaf(step, (float)start, first) : fmaf(-step, (float)(n - 1 - start), last);

    return fmaf((float)lane, step, base);
}

void bf_image_positions(float *out, int height, int width, int bands)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const float at[2] = {spaced(y, height, -1.0f, 1.0f), spaced(x, width, -1.0f, 1.0f)};
            const int side[2] = {height, width};
            for (int axis = 0; axis < 2; axis++)
                for (int b = 0; b < bands; b++) {
                    const float cycles = at[axis] * spaced(b, bands, 1.0f, (float)side[axis] / 2.0f);
                    const float angle = (float)PI * cycles;
                    out[axis * bands + b] = (float)sin((double)angle);
                    out[(2 + axis) * bands + b] = (float)cos((double)angle);
                }
            out[4 * bands] = at[0];
            out[4 * bands + 1] = at[1];
            out += 4 * bands + 2;
        }
}

void bf_text_positions(float *out, int length, int dim)
{
    for (int pos = 0; pos < length; pos++)
        for (int j = 0; j < dim; j++) {
            const float exponent = (float)j / (float)dim, scale = (float)pow(1000.0, (double)exponent);
            const float angle = (float)pos / scale;
            out[pos * dim + j] = (float)(j % 2 == 0 ? sin((double)angle) : cos((double)angle));
        }
}

/* ---- image ------------------------------------------------------------------------------------------------------- */

/* Registers the positions, trained or fixed, and returns them. */
static bf_tid image_positions(bf_graph *g, const bf_image_adapter *a, const char *prefix)
{
    char name[BF_NET_NAME];
    const uint64_t points = (uint64_t)a->height * (uint64_t)a->width, size = (uint64_t)position_features(a);
    bf_tid t;

    snprintf(name, sizeof name, "%spos_feats", prefix);
    if (a->learned_positions) {
        const bf_param_spec s = {.name = name,
                                 .ndim = 3,
                                 .dims = {1, points, size},
                                 .decay = true,
                                 .init = BF_INIT_NORMAL,
                                 .init_scale = 0.02f};
        return bf_graph_param(g, &s);
    }
    float *data = malloc((size_t)(points * size) * sizeof *data);
    if (!data) return bf_graph_fail(g, BF_RUNTIME, "out of memory for '%s'", name);
    bf_image_positions(data, a->height, a->width, a->bands);
    const bf_param_spec s = {.name = name, .ndim = 2, .dims = {points, size}, .buffer = true, .data = data};
    t = bf_graph_param(g, &s);
    free(data);
    return t;
}

/* [B,n] -> [B,P,n] */
static bf_tid spread(bf_graph *g, bf_tid v, uint64_t points)
{
    const uint64_t dims[3] = {bf_graph_dim(g, v, 0), points, bf_graph_dim(g, v, 1)};

    return bf_graph_add_mid(g, bf_graph_full(g, 3, dims, 0.0f), v);
}

/* The time of every point as 2t - 1 and codes of `time_resolution` t: columns sin, cos, sin, ... of falling frequency.
 */
static bf_tid with_time_codes(bf_graph *g, const bf_image_adapter *a, bf_tid x, bf_tid t, uint64_t points)
{
    bf_tid scaled = bf_graph_affine(g, t, (float)a->time_resolution, 0.0f);
    bf_tid code = bf_graph_time_code(g, scaled, BF_CODE_POSITION, 2 * a->bands);

    return bf_graph_concat(g, bf_graph_features(g, x, t, BF_NONE), spread(g, code, points));
}

/* [P,n] behind every sample of [B,P,m] */
static bf_tid with_positions(bf_graph *g, bf_tid x, bf_tid pos, uint64_t points)
{
    const uint64_t batch = bf_graph_dim(g, x, 0), n = bf_graph_dim(g, pos, -1);
    const uint64_t flat[2] = {batch, points * n}, row[2] = {1, points * n}, full[3] = {batch, points, n};
    bf_tid all = bf_graph_add_mid(g, bf_graph_full(g, 2, flat, 0.0f), bf_graph_reshape(g, pos, 2, row));

    return bf_graph_concat(g, x, bf_graph_reshape(g, all, 3, full));
}

bf_tid bf_image_adapter_build(bf_graph *g, const bf_image_adapter *a, const char *prefix, bf_tid x, bf_tid t)
{
    const uint64_t points = (uint64_t)a->height * (uint64_t)a->width, channels = (uint64_t)a->channels;
    const int features = bf_image_adapter_features(a);
    const bf_tid pos = image_positions(g, a, prefix);
    const bf_layer_params p = a->output == features
                                  ? (bf_layer_params){BF_NONE, BF_NONE}
                                  : bf_linear_params(g, prefix, "output_projection", features, a->output);
    bf_tid y;

    if (bf_graph_numel(g, x) % (points * channels) != 0)
        return bf_graph_fail(g, BF_USAGE, "the input of the network does not have %d x %d points of %d numbers",
                             a->height, a->width, a->channels);
    y = bf_graph_reshape(g, x, 3, (uint64_t[]){bf_graph_numel(g, x) / (points * channels), points, channels});
    if (a->time && a->time_resolution > 0) {
        y = with_time_codes(g, a, y, t, points);
        if (a->positions) y = with_positions(g, y, pos, points);
    } else if (a->time || a->positions) {
        y = bf_graph_features(g, y, a->time ? t : BF_NONE, a->positions ? pos : BF_NONE);
    }
    return p.weight < 0 ? y : bf_graph_linear(g, y, p.weight, p.bias, BF_ACT_NONE, BF_NONE);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static bf_tid text_positions(bf_graph *g, const bf_text_adapter *a, const char *prefix)
{
    char name[BF_NET_NAME];
    const uint64_t length = (uint64_t)a->length, size = (uint64_t)a->output;
    bf_tid t;

    snprintf(name, sizeof name, "%spos_embedding%s", prefix, a->learned_positions ? ".weight" : "");
    if (a->learned_positions) {
        const bf_param_spec s = {
            .name = name, .ndim = 2, .dims = {length, size}, .init = BF_INIT_NORMAL, .init_scale = BF_TEXT_SD};
        return bf_graph_param(g, &s);
    }
    float *data = malloc((size_t)(length * size) * sizeof *data);
    if (!data) return bf_graph_fail(g, BF_RUNTIME, "out of memory for '%s'", name);
    bf_text_positions(data, a->length, a->output);
    const bf_param_spec s = {.name = name, .ndim = 2, .dims = {length, size}, .buffer = true, .data = data};
    t = bf_graph_param(g, &s);
    free(data);
    return t;
}

bf_tid bf_text_adapter_build(bf_graph *g, const bf_text_adapter *a, const char *prefix, bf_tid theta, bf_tid t)
{
    const uint64_t batch = bf_graph_dim(g, theta, 0), length = bf_graph_dim(g, theta, 1);
    const uint64_t flat = length * (uint64_t)a->output;
    const bf_tid pos = text_positions(g, a, prefix);
    const bf_layer_params in =
        bf_text_linear_params(g, prefix, "inp_embedding", a->classes, a->output, BF_TEXT_SD, true);
    const bf_layer_params time = bf_text_linear_params(g, prefix, "t_embedding", 1, a->output, BF_TEXT_SD, true);
    bf_tid y, code;

    if (length > (uint64_t)a->length)
        return bf_graph_fail(g, BF_USAGE, "a sequence of %llu positions, the network has %d",
                             (unsigned long long)length, a->length);
    y = bf_graph_linear(g, bf_graph_affine(g, theta, 2.0f, -1.0f), in.weight, in.bias, BF_ACT_NONE, BF_NONE);
    code = bf_graph_reshape(g, bf_graph_affine(g, t, 2.0f, -1.0f), 2, (uint64_t[]){batch, 1});
    y = bf_graph_add_mid(g, y, bf_graph_linear(g, code, time.weight, time.bias, BF_ACT_NONE, BF_NONE));
    y = bf_graph_add_mid(g, bf_graph_reshape(g, y, 2, (uint64_t[]){batch, flat}),
                         bf_graph_head(g, pos, 2, (uint64_t[]){1, flat}));
    return bf_graph_reshape(g, y, 3, (uint64_t[]){batch, length, (uint64_t)a->output});
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

bf_layer_params bf_output_adapter_params(bf_graph *g, const bf_output_adapter *a, const char *prefix)
{
    return bf_linear_params(g, prefix, "output_projection", a->input, a->channels * a->outputs);
}

bf_tid bf_output_adapter_build(bf_graph *g, const bf_output_adapter *a, bf_layer_params p, bf_tid x)
{
    const uint64_t batch = bf_graph_dim(g, x, 0), channels = (uint64_t)a->channels, outputs = (uint64_t)a->outputs;
    bf_tid y = bf_graph_linear(g, x, p.weight, p.bias, BF_ACT_NONE, BF_NONE);
    const uint64_t n = bf_graph_numel(g, y);

    if (y < 0) return BF_NONE;
    return bf_graph_reshape(g, y, 4, (uint64_t[]){batch, n / (batch * channels * outputs), channels, outputs});
}
