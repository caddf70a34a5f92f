/* Node kinds of network heads and ends: softmax, attention, time codes, input features, dot product. */
#include <stdlib.h>

#include "graph/graph.h"
#include "graph/internal.h"

/* ---- softmax ----------------------------------------------------------------------------------------------------- */

typedef struct rows_attr {
    uint64_t rows;
    int cols;
} rows_attr;

/* in: dy, y; out: dx */
static bf_status softmax_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const rows_attr *a = n->attr;

    return bf_softmax_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), a->rows,
                               a->cols, err);
}

static const bf_node_def softmax_bwd_def = {
    .name = "softmax_backward", .attr_size = sizeof(rows_attr), .emit = softmax_bwd_emit};

static bf_status softmax_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);
    const bf_tid in[2] = {bf_graph_dout(g, n, 0), n->out[0]};

    (void)err;
    if (dx >= 0) bf_graph_node(g, &softmax_bwd_def, n->attr, 2, in, 1, &dx, &acc);
    return BF_OK;
}

static bf_status softmax_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const rows_attr *a = n->attr;

    return bf_softmax_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), a->rows, a->cols, err);
}

static const bf_node_def softmax_def = {
    .name = "softmax", .attr_size = sizeof(rows_attr), .grad = softmax_grad, .emit = softmax_emit};

bf_tid bf_graph_softmax(bf_graph *g, bf_tid x)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    const bf_tensor t = *bf_graph_at(g, x);
    const uint64_t cols = t.dims[t.ndim - 1];
    const rows_attr a = {t.numel / cols, bf_graph_int(g, cols, "softmax")};
    bf_tid y = bf_graph_temp(g, t.ndim, t.dims);
    bf_graph_node(g, &softmax_def, &a, 1, &x, 1, &y, NULL);
    return y;
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* Two products of T x T x d per head. */
static double attention_flops(const bf_graph *g, const bf_node *n)
{
    const bf_attention *s = n->attr;

    (void)g;
    return 4.0 * s->batch * s->heads * (double)s->len * s->len * s->head_dim;
}

static double attention_bwd_flops(const bf_graph *g, const bf_node *n)
{
    return 2.5 * attention_flops(g, n);
}

static uint64_t attention_bwd_workspace(const bf_graph *g, const bf_node *n)
{
    return bf_attention_backward_workspace(g->ctx, n->attr);
}

/* in: dy, y, lse, qkv; out: dqkv */
static bf_status attention_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_attention_backward(c, n->attr, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0),
                                 bf_graph_in(g, n, 1), bf_graph_in(g, n, 2), bf_graph_in(g, n, 3), bf_graph_ws(g, n),
                                 err);
}

static const bf_node_def attention_bwd_def = {.name = "attention_backward",
                                              .attr_size = sizeof(bf_attention),
                                              .workspace = attention_bwd_workspace,
                                              .emit = attention_bwd_emit,
                                              .flops = attention_bwd_flops};

static bf_status attention_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);
    const bf_tid in[4] = {bf_graph_dout(g, n, 0), n->out[0], n->out[1], n->in[0]};

    (void)err;
    if (dx >= 0) bf_graph_node(g, &attention_bwd_def, n->attr, 4, in, 1, &dx, &acc);
    return BF_OK;
}

static uint64_t attention_workspace(const bf_graph *g, const bf_node *n)
{
    return bf_attention_forward_workspace(g->ctx, n->attr);
}

/* in: qkv; out: y, lse */
static bf_status attention_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_attention_forward(c, n->attr, bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), bf_graph_in(g, n, 0),
                                bf_graph_ws(g, n), err);
}

static const bf_node_def attention_def = {.name = "attention",
                                          .attr_size = sizeof(bf_attention),
                                          .grad = attention_grad,
                                          .workspace = attention_workspace,
                                          .emit = attention_emit,
                                          .flops = attention_flops};

bf_tid bf_graph_attention(bf_graph *g, bf_tid qkv, int heads, bf_qkv_layout layout, bool causal)
{
    if (g->status != BF_OK || qkv < 0) return BF_NONE;
    const bf_tensor t = *bf_graph_at(g, qkv);
    const uint64_t batch = t.dims[0], wide = t.dims[t.ndim - 1], len = t.numel / (batch * wide);
    if (heads < 1 || wide % (3 * (uint64_t)heads) != 0)
        return bf_graph_fail(g, BF_USAGE, "attention: %llu channels do not split into q, k, v of %d heads",
                             (unsigned long long)wide, heads);
    const bf_attention s = {.batch = bf_graph_int(g, batch, "attention"),
                            .len = bf_graph_int(g, len, "attention"),
                            .heads = heads,
                            .head_dim = bf_graph_int(g, wide / (3 * (uint64_t)heads), "attention"),
                            .layout = layout,
                            .causal = causal};
    bf_tid out[2] = {bf_graph_temp(g, 3, (uint64_t[]){batch, len, wide / 3}),
                     bf_graph_temp(g, 3, (uint64_t[]){batch, (uint64_t)heads, len})};
    bf_graph_exact(g, out[1]);
    bf_graph_node(g, &attention_def, &s, 1, &qkv, 2, out, NULL);
    return out[0];
}

/* ---- time_code: in: t, speeds; out: the code --------------------------------------------------------------------- */

typedef struct code_attr {
    bf_time_code kind;
    int batch, dim;
} code_attr;

/* in: dy, t, speeds; out: dt */
static bf_status code_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const code_attr *a = n->attr;

    return bf_time_code_backward(c, a->kind, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0),
                                 bf_graph_in(g, n, 1), bf_graph_in(g, n, 2), a->batch, a->dim, err);
}

static const bf_node_def code_bwd_def = {
    .name = "time_code_backward", .attr_size = sizeof(code_attr), .emit = code_bwd_emit};

static bf_status code_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dt = bf_graph_din(g, n, 0, &acc);
    const bf_tid in[3] = {bf_graph_dout(g, n, 0), n->in[0], n->in[1]};

    (void)err;
    if (dt >= 0) bf_graph_node(g, &code_bwd_def, n->attr, 3, in, 1, &dt, &acc);
    return BF_OK;
}

static bf_status code_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const code_attr *a = n->attr;

    return bf_time_code_forward(c, a->kind, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), a->batch,
                                a->dim, err);
}

static const bf_node_def code_def = {
    .name = "time_code", .attr_size = sizeof(code_attr), .grad = code_grad, .emit = code_emit};

/* The angular speeds of the columns, [dim], as a constant. */
static bf_tid code_speeds(bf_graph *g, bf_time_code kind, int dim)
{
    bf_err err = {0};
    bf_tid speeds;

    if (dim < 1) return bf_graph_fail(g, BF_USAGE, "time code: bad width %d", dim);
    float *speed = malloc((size_t)dim * sizeof *speed);
    if (!speed) return bf_graph_fail(g, BF_RUNTIME, "out of memory for the speeds of a time code of width %d", dim);
    if (bf_time_code_speeds(kind, speed, dim, &err) == BF_OK)
        speeds = bf_graph_const(g, "time_code.speeds", 1, (uint64_t[]){(uint64_t)dim}, speed);
    else
        speeds = bf_graph_fail(g, err.status, "%s", err.message);
    free(speed);
    return speeds;
}

bf_tid bf_graph_time_code(bf_graph *g, bf_tid t, bf_time_code kind, int dim)
{
    if (g->status != BF_OK || t < 0) return BF_NONE;
    const bf_tid in[2] = {t, code_speeds(g, kind, dim)};
    if (in[1] < 0) return BF_NONE;
    const uint64_t batch = bf_graph_numel(g, t);
    const code_attr a = {kind, bf_graph_int(g, batch, "time code"), dim};
    bf_tid y = bf_graph_temp(g, 2, (uint64_t[]){batch, (uint64_t)dim});
    bf_graph_node(g, &code_def, &a, 2, in, 1, &y, NULL);
    return y;
}

/* ---- time_bins --------------------------------------------------------------------------------------------------- */

/* in: dy, t; out: dt; attr: dim */
static bf_status bins_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_time_bins_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                                 bf_graph_numel(g, n->in[1]), *(const int *)n->attr, err);
}

static const bf_node_def bins_bwd_def = {.name = "time_bins_backward", .attr_size = sizeof(int), .emit = bins_bwd_emit};

static bf_status bins_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dt = bf_graph_din(g, n, 0, &acc);
    const bf_tid in[2] = {bf_graph_dout(g, n, 0), n->in[0]};

    (void)err;
    if (dt >= 0) bf_graph_node(g, &bins_bwd_def, n->attr, 2, in, 1, &dt, &acc);
    return BF_OK;
}

static bf_status bins_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_time_bins_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_numel(g, n->in[0]),
                                *(const int *)n->attr, err);
}

static const bf_node_def bins_def = {
    .name = "time_bins", .attr_size = sizeof(int), .grad = bins_grad, .emit = bins_emit};

bf_tid bf_graph_time_bins(bf_graph *g, bf_tid t, int dim)
{
    if (g->status != BF_OK || t < 0) return BF_NONE;
    if (dim < 1) return bf_graph_fail(g, BF_USAGE, "time bins: bad width %d", dim);
    bf_tid y = bf_graph_temp(g, 2, (uint64_t[]){bf_graph_numel(g, t), (uint64_t)dim});
    bf_graph_node(g, &bins_def, &dim, 1, &t, 1, &y, NULL);
    return y;
}

/* ---- fourier ----------------------------------------------------------------------------------------------------- */

/* in: dy, x; out: dx */
static bf_status fourier_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const rows_attr *a = n->attr;

    return bf_fourier_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), a->rows,
                               a->cols, err);
}

static const bf_node_def fourier_bwd_def = {
    .name = "fourier_backward", .attr_size = sizeof(rows_attr), .emit = fourier_bwd_emit};

static bf_status fourier_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);
    const bf_tid in[2] = {bf_graph_dout(g, n, 0), n->in[0]};

    (void)err;
    if (dx >= 0) bf_graph_node(g, &fourier_bwd_def, n->attr, 2, in, 1, &dx, &acc);
    return BF_OK;
}

static bf_status fourier_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const rows_attr *a = n->attr;

    return bf_fourier_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), a->rows, a->cols, err);
}

static const bf_node_def fourier_def = {
    .name = "fourier", .attr_size = sizeof(rows_attr), .grad = fourier_grad, .emit = fourier_emit};

bf_tid bf_graph_fourier(bf_graph *g, bf_tid x)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    bf_tensor t = *bf_graph_at(g, x);
    const uint64_t cols = t.dims[t.ndim - 1];
    const rows_attr a = {t.numel / cols, bf_graph_int(g, cols, "Fourier features")};
    t.dims[t.ndim - 1] = 4 * cols;
    bf_tid y = bf_graph_temp(g, t.ndim, t.dims);
    bf_graph_node(g, &fourier_def, &a, 1, &x, 1, &y, NULL);
    return y;
}

/* ---- features ---------------------------------------------------------------------------------------------------- */

typedef struct features_attr {
    int batch, points, cx, cp;
    bool has_t;
} features_attr;

/* in: dy; out: dx, dt of every point, dpos */
static bf_status features_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const features_attr *a = n->attr;

    return bf_features_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_out(g, n, 1), n->acc[1],
                                bf_graph_out(g, n, 2), n->acc[2], bf_graph_in(g, n, 0), a->has_t, a->batch, a->points,
                                a->cx, a->cp, err);
}

static const bf_node_def features_bwd_def = {
    .name = "features_backward", .attr_size = sizeof(features_attr), .emit = features_bwd_emit};

/* The gradient by the time of each point is labelled "grad.features.t": golden files store it point by point. */
static bf_status features_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    const features_attr *a = n->attr;
    const bf_tid dy = bf_graph_dout(g, n, 0);
    const uint64_t batch = (uint64_t)a->batch, points = (uint64_t)a->points;
    bool acc[3] = {false}, acc_t;
    const bf_tid dt = bf_graph_din(g, n, 1, &acc_t);
    bf_tid d[3] = {bf_graph_din(g, n, 0, &acc[0]), BF_NONE, bf_graph_din(g, n, 2, &acc[2])};

    (void)err;
    if (dt >= 0) {
        d[1] = bf_graph_temp(g, 2, (uint64_t[]){batch, points});
        bf_graph_label(g, d[1], "grad.features.t");
    }
    if (d[0] >= 0 || d[1] >= 0 || d[2] >= 0) bf_graph_node(g, &features_bwd_def, a, 1, &dy, 3, d, acc);
    if (dt >= 0) bf_graph_sum_mid(g, dt, acc_t, d[1], batch, points, 1);
    return BF_OK;
}

/* in: x, t, pos; out: y */
static bf_status features_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const features_attr *a = n->attr;

    return bf_features_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                               bf_graph_in(g, n, 2), a->batch, a->points, a->cx, a->cp, err);
}

static const bf_node_def features_def = {
    .name = "features", .attr_size = sizeof(features_attr), .grad = features_grad, .emit = features_emit};

bf_tid bf_graph_features(bf_graph *g, bf_tid x, bf_tid t, bf_tid pos)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    const bf_tensor tx = *bf_graph_at(g, x);
    const uint64_t batch = tx.dims[0], cx = tx.dims[tx.ndim - 1], points = tx.numel / (batch * cx);
    const uint64_t cp = pos >= 0 ? bf_graph_dim(g, pos, -1) : 0;

    if ((t >= 0 && bf_graph_numel(g, t) != batch) || (pos >= 0 && bf_graph_numel(g, pos) != points * cp))
        return bf_graph_fail(g, BF_USAGE, "features: times or positions do not fit %llu samples of %llu points",
                             (unsigned long long)batch, (unsigned long long)points);
    const features_attr a = {bf_graph_int(g, batch, "features"), bf_graph_int(g, points, "features"),
                             bf_graph_int(g, cx, "features"), bf_graph_int(g, cp, "features"), t >= 0};
    bf_tid y = bf_graph_temp(g, 3, (uint64_t[]){batch, points, cx + (t >= 0) + cp});
    bf_graph_node(g, &features_def, &a, 3, (bf_tid[]){x, t, pos}, 1, &y, NULL);
    return y;
}

/* ---- dot: products of vectors as matrix products ----------------------------------------------------------------- */

typedef struct dot_attr {
    int n;
} dot_attr;

static bf_gemm dot_shape(const dot_attr *a, bool backward, bool acc)
{
    const bf_gemm inner = {.m = 1, .n = 1, .k = a->n, .alpha = 1.0f};
    const bf_gemm outer = {.m = a->n, .n = 1, .k = 1, .alpha = 1.0f, .beta = acc ? 1.0f : 0.0f};

    return backward ? outer : inner;
}

static uint64_t dot_bwd_workspace(const bf_graph *g, const bf_node *n)
{
    const bf_gemm s = dot_shape(n->attr, true, n->acc[0]);

    return bf_gemm_workspace(g->ctx, &s);
}

/* in: weight [n], dloss [1]; out: dx [n] */
static bf_status dot_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_gemm s = dot_shape(n->attr, true, n->acc[0]);
    const bf_gemm_mem mem = {.c = bf_graph_out(g, n, 0),
                             .a = bf_graph_in(g, n, 0),
                             .b = bf_graph_in(g, n, 1),
                             .workspace = bf_graph_ws(g, n)};

    return bf_cmds_gemm(c, &s, &mem, err);
}

static const bf_node_def dot_bwd_def = {
    .name = "dot_backward", .attr_size = sizeof(dot_attr), .workspace = dot_bwd_workspace, .emit = dot_bwd_emit};

static bf_status dot_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    (void)err;
    for (int i = 0; i < 2; i++) {
        bool acc;
        bf_tid d = bf_graph_din(g, n, i, &acc);
        if (d >= 0)
            bf_graph_node(g, &dot_bwd_def, n->attr, 2, (bf_tid[]){n->in[1 - i], bf_graph_dout(g, n, 0)}, 1, &d, &acc);
    }
    return BF_OK;
}

static uint64_t dot_workspace(const bf_graph *g, const bf_node *n)
{
    const bf_gemm s = dot_shape(n->attr, false, false);

    return bf_gemm_workspace(g->ctx, &s);
}

static bf_status dot_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_gemm s = dot_shape(n->attr, false, false);
    const bf_gemm_mem mem = {.c = bf_graph_out(g, n, 0),
                             .a = bf_graph_in(g, n, 0),
                             .b = bf_graph_in(g, n, 1),
                             .workspace = bf_graph_ws(g, n)};

    return bf_cmds_gemm(c, &s, &mem, err);
}

static const bf_node_def dot_def = {
    .name = "dot", .attr_size = sizeof(dot_attr), .grad = dot_grad, .workspace = dot_workspace, .emit = dot_emit};

bf_tid bf_graph_dot(bf_graph *g, bf_tid x, bf_tid weight)
{
    const uint64_t n = bf_graph_numel(g, x), one = 1;
    bf_tid y;

    if (g->status != BF_OK) return BF_NONE;
    if (n != bf_graph_numel(g, weight)) return bf_graph_fail(g, BF_USAGE, "dot: the two tensors differ in size");
    const dot_attr a = {bf_graph_int(g, n, "dot")};
    y = bf_graph_temp(g, 1, &one);
    bf_graph_node(g, &dot_def, &a, 2, (bf_tid[]){x, weight}, 1, &y, NULL);
    return y;
}
