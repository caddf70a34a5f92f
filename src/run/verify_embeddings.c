/* Replays of kind embeddings: time codes, position codes, Fourier features. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"
#include "run/replay.h"

#define PI 3.14159265358979323846

/* Runs a code over all elements of `from` (mapped by a x + b on the host, as the official code does): [n,dim]. */
static bf_status run_code(bf_verify *v, const char *from, double a, double b, bf_time_code kind, int dim, float **out,
                          float **angles, uint64_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay r = {.v = v};
    float *x = NULL;

    BF_TRY(bf_replay_new(&r, v, err));
    BF_TRY(bf_verify_read(v, from, &x, n, err));
    for (uint64_t i = 0; i < *n; i++) x[i] = (float)a * (x[i] + (float)b);
    const bf_tid t = bf_graph_input(r.graph, "t", 1, n), y = bf_graph_time_code(r.graph, t, kind, dim);
    bf_graph_keep(r.graph, y);
    BF_TRY(bf_replay_prepare(&r, 0, "", "", err));
    BF_TRY(bf_write(bf_verify_ctx(v), bf_graph_mem(r.graph, t), x, (size_t)*n * sizeof *x, err));
    BF_TRY(bf_replay_run(&r, err));
    BF_TRY(bf_replay_read(&r, y, out, err));
    *angles = x;
    x = NULL;
out:
    free(x);
    bf_replay_free(&r);
    return st;
}

/* Angular speed of the fastest column: the argument of a sine is a float32 product and carries that rounding. */
static double top_speed(bf_time_code kind)
{
    switch (kind) {
    case BF_CODE_UNET: return 4000.0;
    case BF_CODE_VDM: return 1000.0;
    case BF_CODE_POSITION: break;
    }
    return 1.0;
}

/* Compares [n,dim] with the stored tensor. A few roundings of the largest angle of each element are allowed. */
static bf_status compare_code(bf_verify *v, const char *name, const float *mine, const float *x, uint64_t n, int dim,
                              double speed, bf_err *err)
{
    bf_status st = BF_OK;
    float *stored = NULL;
    double *tolerance = NULL;
    uint64_t count;

    BF_TRY(bf_verify_read(v, name, &stored, &count, err));
    BF_CHECK(count == n * (uint64_t)dim, BF_FILE, "%s: tensor '%s' has %llu elements, not %llu",
             bf_st_name(bf_verify_file(v)), name, (unsigned long long)count, (unsigned long long)(n * (uint64_t)dim));
    BF_NEW(tolerance, count);
    for (uint64_t i = 0; i < count; i++) tolerance[i] = 2e-6 + 3e-7 * speed * fabs((double)x[i / (uint64_t)dim]);
    bf_verify_array(v, name, mine, stored, tolerance, count);
out:
    free(stored);
    free(tolerance);
    return st;
}

static bf_status replay_code(bf_verify *v, const char *name, const char *from, double a, double b, bf_time_code kind,
                             int dim, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL, *x = NULL;
    uint64_t n;

    BF_TRY(run_code(v, from, a, b, kind, dim, &mine, &x, &n, err));
    BF_TRY(compare_code(v, name, mine, x, n, dim, top_speed(kind), err));
out:
    free(mine);
    free(x);
    return st;
}

/* Fourier features of an image, both stored channels first. */
static bf_status replay_fourier(bf_verify *v, const char *name, const char *from, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay r = {.v = v};
    float *mine = NULL;
    bf_tid x;
    uint64_t n;

    BF_TRY(bf_replay_new(&r, v, err));
    BF_TRY(bf_replay_input_image(&r, from, &x, err));
    const bf_tid y = bf_graph_fourier(r.graph, x);
    bf_graph_keep(r.graph, y);
    BF_TRY(bf_replay_prepare(&r, 0, "", "", err));
    BF_TRY(bf_replay_fill_image(&r, x, from, err));
    BF_TRY(bf_replay_run(&r, err));
    BF_TRY(bf_replay_read_image(&r, y, &mine, &n, err));
    bf_verify_within(v, name, mine, n, 2e-6 + 3e-7 * 128.0 * PI, NULL); /* roundings of angles of values up to 1 */
out:
    free(mine);
    bf_replay_free(&r);
    return st;
}

/* Position tables are made on the host: element count and content. */
static bf_status compare_positions(bf_verify *v, const char *name, int rows, int cols, int bands, bf_err *err)
{
    bf_status st = BF_OK;
    const int width = bands > 0 ? 4 * bands + 2 : cols;
    const size_t points = bands > 0 ? (size_t)rows * (size_t)cols : (size_t)rows, n = points * (size_t)width;
    float *mine = NULL;

    BF_NEW(mine, n);
    if (bands > 0)
        bf_image_positions(mine, rows, cols, bands);
    else
        bf_text_positions(mine, rows, cols);
    /* sin and cos of up to pi side / 2, or of the position itself */
    bf_verify_within(v, name, mine, n, 2e-6 + 1.2e-7 * (bands > 0 ? PI * BF_MAX(rows, cols) / 2 : rows), NULL);
out:
    free(mine);
    return st;
}

static bool small(int n)
{
    return n >= 1 && n <= 4096;
}

static bf_status replay_embedding(bf_verify *v, const char *name, bf_err *err)
{
    int a, b, c;

    if (sscanf(name, "unet_model.dim%d", &a) == 1 && small(a))
        return replay_code(v, name, "t", 1.0, 0.0, BF_CODE_UNET, a, err);
    if (sscanf(name, "unet_vdm.dim%d", &a) == 1 && small(a))
        return replay_code(v, name, "t", 1.0, 0.0, BF_CODE_VDM, a, err);
    if (sscanf(name, "float_pos.res%d_size%d", &a, &b) == 2 && small(a) && small(b))
        return replay_code(v, name, "float_pos.x", a / 2.0, 1.0, BF_CODE_POSITION, b, err);
    if (strcmp(name, "vdm_fourier.out") == 0) return replay_fourier(v, name, "vdm_fourier.x", err);
    if (sscanf(name, "text_pos.%dx%d", &a, &b) == 2 && small(a) && small(b))
        return compare_positions(v, name, a, b, 0, err);
    if (sscanf(name, "image_pos.%dx%d_bands%d", &a, &b, &c) == 3 && small(a) && small(b) && small(c))
        return compare_positions(v, name, a, b, c, err);
    if (strcmp(name, "t") != 0 && strcmp(name, "float_pos.x") != 0 && strcmp(name, "vdm_fourier.x") != 0)
        bf_verify_skip(v, name, "this code is not known");
    return BF_OK;
}

bf_status bf_verify_embeddings(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);

    for (size_t i = 0; i < bf_st_count(f); i++) BF_TRY(replay_embedding(v, bf_st_at(f, i)->name, err));
out:
    return st;
}
