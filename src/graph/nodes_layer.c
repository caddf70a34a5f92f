/* Node kinds with parameters: linear, convolution, norms; up-sampling. */
#include "graph/graph.h"
#include "graph/internal.h"

/* ---- linear ------------------------------------------------------------------------------------------------------ */

typedef struct linear_attr {
    bf_act act;
    uint64_t rows;
    int in, out;
} linear_attr;

static uint64_t linear_workspace(const bf_graph *g, const bf_node *n)
{
    const linear_attr *a = n->attr;

    return bf_linear_workspace(g->ctx, a->rows, a->in, a->out);
}

static uint64_t linear_forward_workspace(const bf_graph *g, const bf_node *n)
{
    const linear_attr *a = n->attr;

    return bf_linear_forward_workspace(g->ctx, a->rows, a->in, a->out);
}

static double linear_flops(const bf_graph *g, const bf_node *n)
{
    const linear_attr *a = n->attr;

    (void)g;
    return 2.0 * (double)a->rows * a->in * a->out;
}

static double linear_bwd_flops(const bf_graph *g, const bf_node *n)
{
    return linear_flops(g, n) * ((n->out[0] >= 0) + (n->out[1] >= 0));
}

/* in: dz, x, w; out: dx, dw */
static bf_status linear_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const linear_attr *a = n->attr;

    return bf_linear_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_out(g, n, 1), n->acc[1], BF_MEM_NONE, false,
                              bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), bf_graph_in(g, n, 2), a->rows, a->in, a->out,
                              bf_graph_ws(g, n), err);
}

static const bf_node_def linear_bwd_def = {.name = "linear_backward",
                                           .attr_size = sizeof(linear_attr),
                                           .workspace = linear_workspace,
                                           .emit = linear_bwd_emit,
                                           .flops = linear_bwd_flops};

static bf_status linear_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    const linear_attr *a = n->attr;
    const bf_tid dy = bf_graph_dout(g, n, 0);
    bf_tid dz = dy, d[3];
    bool acc[3], any = false;

    for (int i = 0; i < 3; i++) {
        d[i] = bf_graph_din(g, n, i, &acc[i]);
        any |= d[i] >= 0;
    }
    if (any && a->act != BF_ACT_NONE) {
        if (n->out[1] < 0) return bf_fail(err, BF_USAGE, "linear: gradients need a graph made for training");
        dz = bf_graph_temp(g, 2, (uint64_t[]){a->rows, (uint64_t)a->out});
        bf_graph_act_backward(g, a->act, dz, false, dy, n->out[1]);
    }
    if (d[2] >= 0) bf_graph_sum_mid(g, d[2], acc[2], dz, 1, a->rows, (uint64_t)a->out);
    if (d[0] >= 0 || d[1] >= 0) bf_graph_node(g, &linear_bwd_def, a, 3, (bf_tid[]){dz, n->in[0], n->in[1]}, 2, d, acc);
    bf_graph_pass_grad(g, n, 3, dy);
    return BF_OK;
}

/* Is input 1 of a node a parameter? */
static bool has_param(const bf_graph *g, const bf_node *n)
{
    return bf_graph_root(g, n->in[1])->kind == BF_T_PARAM;
}

/* None when the workspace holds the weights already. */
static bf_mem weights_of(const bf_graph *g, const bf_node *n)
{
    return n->prepared ? BF_MEM_NONE : bf_graph_in(g, n, 1);
}

static bool linear_prepares(const bf_graph *g, const bf_node *n)
{
    const linear_attr *a = n->attr;

    return has_param(g, n) && bf_linear_prepares(g->ctx, a->rows, a->in, a->out);
}

static bf_status linear_prepare(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const linear_attr *a = n->attr;

    return bf_linear_prepare(c, bf_graph_in(g, n, 1), a->rows, a->in, a->out, bf_graph_ws(g, n), err);
}

/* in: x, w, b, residual; out: y, pre */
static bf_status linear_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const linear_attr *a = n->attr;

    return bf_linear_forward(c, bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), bf_graph_in(g, n, 0), weights_of(g, n),
                             bf_graph_in(g, n, 2), bf_graph_in(g, n, 3), a->act, a->rows, a->in, a->out,
                             bf_graph_ws(g, n), err);
}

static const bf_node_def linear_def = {.name = "linear",
                                       .attr_size = sizeof(linear_attr),
                                       .grad = linear_grad,
                                       .workspace = linear_forward_workspace,
                                       .emit = linear_emit,
                                       .prepares = linear_prepares,
                                       .prepare = linear_prepare,
                                       .flops = linear_flops};

bf_tid bf_graph_linear(bf_graph *g, bf_tid x, bf_tid w, bf_tid b, bf_act act, bf_tid residual)
{
    uint64_t dims[BF_MAX_DIMS];
    bf_tid out[2] = {BF_NONE, BF_NONE};

    if (g->status != BF_OK || x < 0 || w < 0) return BF_NONE;
    const bf_tensor tx = *bf_graph_at(g, x), tw = *bf_graph_at(g, w);
    const uint64_t in = tx.dims[tx.ndim - 1], width = tw.dims[0], rows = tx.numel / in;
    linear_attr attr = {act, rows, bf_graph_int(g, in, "linear"), bf_graph_int(g, width, "linear")};

    if (tw.numel != in * width || (b >= 0 && bf_graph_numel(g, b) != width) ||
        (residual >= 0 && bf_graph_numel(g, residual) != rows * width))
        return bf_graph_fail(g, BF_USAGE, "linear '%s': rows of %llu features do not fit its shape",
                             tw.name ? tw.name : "", (unsigned long long)in);
    for (int i = 0; i < tx.ndim; i++) dims[i] = tx.dims[i];
    dims[tx.ndim - 1] = width;
    out[0] = bf_graph_temp(g, tx.ndim, dims);
    if (g->options.training && act != BF_ACT_NONE) out[1] = bf_graph_temp(g, tx.ndim, dims);
    bf_graph_node(g, &linear_def, &attr, 4, (bf_tid[]){x, w, b, residual}, 2, out, NULL);
    return out[0];
}

/* ---- conv -------------------------------------------------------------------------------------------------------- */

static double conv_flops(const bf_graph *g, const bf_node *n)
{
    const bf_conv *s = n->attr;
    const double ho = bf_conv_out(s->h, s->k, s->stride), wo = bf_conv_out(s->w, s->k, s->stride);

    (void)g;
    return 2.0 * s->batch * ho * wo * s->co * s->ci * s->k * s->k;
}

static uint64_t conv_dx_workspace(const bf_graph *g, const bf_node *n)
{
    return bf_conv_backward_input_workspace(g->ctx, n->attr);
}

/* in: dy, w; out: dx */
static bf_status conv_dx_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_conv_backward_input(c, n->attr, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0),
                                  bf_graph_in(g, n, 1), bf_graph_ws(g, n), err);
}

static const bf_node_def conv_dx_def = {.name = "conv_backward_input",
                                        .attr_size = sizeof(bf_conv),
                                        .workspace = conv_dx_workspace,
                                        .emit = conv_dx_emit,
                                        .flops = conv_flops};

static uint64_t conv_dw_workspace(const bf_graph *g, const bf_node *n)
{
    return bf_conv_backward_weight_workspace(g->ctx, n->attr);
}

/* in: dy, x; out: dw */
static bf_status conv_dw_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_conv_backward_weight(c, n->attr, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0),
                                   bf_graph_in(g, n, 1), bf_graph_ws(g, n), err);
}

static const bf_node_def conv_dw_def = {.name = "conv_backward_weight",
                                        .attr_size = sizeof(bf_conv),
                                        .workspace = conv_dw_workspace,
                                        .emit = conv_dw_emit,
                                        .flops = conv_flops};

/* Bias and per-sample gradients are sums of dy over all points and over the points of a sample: where the second is
 * there, the first is a small sum over it instead of another pass over dy. */
static void conv_sums(bf_graph *g, const bf_node *n, bf_tid dy)
{
    const bf_conv *s = n->attr;
    const uint64_t batch = (uint64_t)s->batch, co = (uint64_t)s->co;
    const uint64_t points = bf_graph_numel(g, dy) / (batch * co);
    bool acc_sample, acc_bias;
    const bf_tid sample = bf_graph_din(g, n, 3, &acc_sample);
    const bf_tid bias = bf_graph_din(g, n, 2, &acc_bias);

    if (sample >= 0) bf_graph_sum_mid(g, sample, acc_sample, dy, batch, points, co);
    if (bias < 0) return;
    if (sample >= 0 && !acc_sample)
        bf_graph_sum_mid(g, bias, acc_bias, sample, 1, batch, co);
    else
        bf_graph_sum_mid(g, bias, acc_bias, dy, 1, batch * points, co);
}

static bf_status conv_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    const bf_tid dy = bf_graph_dout(g, n, 0);
    bool acc;
    bf_tid d;

    (void)err;
    conv_sums(g, n, dy);
    d = bf_graph_din(g, n, 1, &acc);
    if (d >= 0) bf_graph_node(g, &conv_dw_def, n->attr, 2, (bf_tid[]){dy, n->in[0]}, 1, &d, &acc);
    d = bf_graph_din(g, n, 0, &acc);
    if (d >= 0) bf_graph_node(g, &conv_dx_def, n->attr, 2, (bf_tid[]){dy, n->in[1]}, 1, &d, &acc);
    bf_graph_pass_grad(g, n, 4, dy);
    return BF_OK;
}

static uint64_t conv_workspace(const bf_graph *g, const bf_node *n)
{
    return bf_conv_forward_workspace(g->ctx, n->attr);
}

static bool conv_prepares(const bf_graph *g, const bf_node *n)
{
    return has_param(g, n) && bf_conv_prepares(g->ctx, n->attr);
}

static bf_status conv_prepare(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_conv_prepare(c, n->attr, bf_graph_in(g, n, 1), bf_graph_ws(g, n), err);
}

/* in: x, w, bias, per_sample, residual; out: y */
static bf_status conv_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_conv_forward(c, n->attr, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), weights_of(g, n),
                           bf_graph_in(g, n, 2), bf_graph_in(g, n, 3), bf_graph_in(g, n, 4), bf_graph_ws(g, n), err);
}

static const bf_node_def conv_def = {.name = "conv",
                                     .attr_size = sizeof(bf_conv),
                                     .grad = conv_grad,
                                     .workspace = conv_workspace,
                                     .emit = conv_emit,
                                     .prepares = conv_prepares,
                                     .prepare = conv_prepare,
                                     .flops = conv_flops};

static bool conv_fits(const bf_graph *g, const bf_tensor *x, const bf_tensor *w, int stride, bf_tid bias, bf_tid sample,
                      bf_tid residual, uint64_t out_numel)
{
    const uint64_t co = w->dims[0];

    return x->dims[3] == w->dims[1] && w->dims[2] == w->dims[3] && (w->dims[2] == 1 || w->dims[2] == 3) &&
           (stride == 1 || stride == 2) && (bias < 0 || bf_graph_numel(g, bias) == co) &&
           (sample < 0 || bf_graph_numel(g, sample) == x->dims[0] * co) &&
           (residual < 0 || bf_graph_numel(g, residual) == out_numel);
}

bf_tid bf_graph_conv(bf_graph *g, bf_tid x, bf_tid w, bf_tid bias, int stride, bf_tid per_sample, bf_tid residual)
{
    if (g->status != BF_OK || x < 0 || w < 0) return BF_NONE;
    const bf_tensor tx = *bf_graph_at(g, x), tw = *bf_graph_at(g, w);
    if (tx.ndim != 4 || tw.ndim != 4)
        return bf_graph_fail(g, BF_USAGE, "conv '%s': image and weight need four dimensions", tw.name ? tw.name : "");
    bf_conv s = {.batch = bf_graph_int(g, tx.dims[0], "conv"),
                 .h = bf_graph_int(g, tx.dims[1], "conv"),
                 .w = bf_graph_int(g, tx.dims[2], "conv"),
                 .ci = bf_graph_int(g, tx.dims[3], "conv"),
                 .co = bf_graph_int(g, tw.dims[0], "conv"),
                 .k = bf_graph_int(g, tw.dims[2], "conv"),
                 .stride = stride};
    const uint64_t ho = (uint64_t)bf_conv_out(s.h, s.k, stride < 1 ? 1 : stride);
    const uint64_t wo = (uint64_t)bf_conv_out(s.w, s.k, stride < 1 ? 1 : stride);
    const uint64_t dims[4] = {tx.dims[0], ho, wo, tw.dims[0]};

    if (!conv_fits(g, &tx, &tw, stride, bias, per_sample, residual, dims[0] * ho * wo * dims[3]))
        return bf_graph_fail(g, BF_USAGE, "conv '%s': its shape does not fit an input with %llu channels",
                             tw.name ? tw.name : "", (unsigned long long)tx.dims[3]);
    bf_tid y = bf_graph_temp(g, 4, dims);
    bf_graph_node(g, &conv_def, &s, 5, (bf_tid[]){x, w, bias, per_sample, residual}, 1, &y, NULL);
    return y;
}

/* ---- group_norm -------------------------------------------------------------------------------------------------- */

/* The second half of a [B,2C] scale-and-shift row. */
static bf_mem shift_of(const bf_group_norm *s, bf_mem m)
{
    return bf_mem_is_none(m) ? m : bf_mem_at(m, (uint64_t)s->ch * sizeof(float));
}

static uint64_t group_norm_bwd_workspace(const bf_graph *g, const bf_node *n)
{
    return bf_group_norm_backward_workspace(g->ctx, n->attr);
}

/* in: dy, x, mean, rstd, gamma, beta, scale_shift; out: dx, by_gamma, by_beta, dscale_shift */
static bf_status group_norm_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_group_norm *s = n->attr;
    const bf_mem ss = bf_graph_in(g, n, 6), dss = bf_graph_out(g, n, 3);
    const bf_group_norm_grads d = {.dx = bf_graph_out(g, n, 0),
                                   .by_gamma = bf_graph_out(g, n, 1),
                                   .by_beta = bf_graph_out(g, n, 2),
                                   .dscale = dss,
                                   .dshift = shift_of(s, dss),
                                   .acc_x = n->acc[0],
                                   .acc_scale = n->acc[3]};

    return bf_group_norm_backward(c, s, &d, bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), bf_graph_in(g, n, 2),
                                  bf_graph_in(g, n, 3), bf_graph_in(g, n, 4), bf_graph_in(g, n, 5), ss, shift_of(s, ss),
                                  bf_graph_ws(g, n), err);
}

static const bf_node_def group_norm_bwd_def = {.name = "group_norm_backward",
                                               .attr_size = sizeof(bf_group_norm),
                                               .workspace = group_norm_bwd_workspace,
                                               .emit = group_norm_bwd_emit};

static bf_status group_norm_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    const bf_group_norm *s = n->attr;
    const uint64_t batch = (uint64_t)s->batch, ch = (uint64_t)s->ch;
    const bf_tid in[7] = {bf_graph_dout(g, n, 0), n->in[0], n->out[1], n->out[2], n->in[1], n->in[2], n->in[3]};
    bf_tid d[4], out[4];
    bool acc[4];

    (void)err;
    for (int i = 0; i < 4; i++) out[i] = d[i] = bf_graph_din(g, n, i, &acc[i]);
    const bool params = d[1] >= 0 || d[2] >= 0;
    for (int i = 1; i < 3; i++) out[i] = params ? bf_graph_temp(g, 2, (uint64_t[]){batch, ch}) : BF_NONE;
    bf_graph_node(g, &group_norm_bwd_def, s, 7, in, 4, out, (bool[]){acc[0], false, false, acc[3]});
    for (int i = 1; i < 3; i++)
        if (d[i] >= 0) bf_graph_sum_mid(g, d[i], acc[i], out[i], 1, batch, ch);
    return BF_OK;
}

static uint64_t group_norm_workspace(const bf_graph *g, const bf_node *n)
{
    return bf_group_norm_forward_workspace(g->ctx, n->attr);
}

/* in: x, gamma, beta, scale_shift; out: y, mean, rstd */
static bf_status group_norm_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_group_norm *s = n->attr;
    const bf_mem ss = bf_graph_in(g, n, 3);

    return bf_group_norm_forward(c, s, bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), bf_graph_out(g, n, 2),
                                 bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), bf_graph_in(g, n, 2), ss, shift_of(s, ss),
                                 bf_graph_ws(g, n), err);
}

static const bf_node_def group_norm_def = {.name = "group_norm",
                                           .attr_size = sizeof(bf_group_norm),
                                           .grad = group_norm_grad,
                                           .workspace = group_norm_workspace,
                                           .emit = group_norm_emit};

bf_tid bf_graph_group_norm(bf_graph *g, bf_tid x, bf_tid gamma, bf_tid beta, int groups, float eps, bf_act act,
                           bf_tid scale_shift)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    const bf_tensor t = *bf_graph_at(g, x);
    const uint64_t batch = t.dims[0], ch = t.dims[t.ndim - 1];
    if (groups < 1 || ch % (uint64_t)groups != 0 || bf_graph_numel(g, gamma) != ch || bf_graph_numel(g, beta) != ch)
        return bf_graph_fail(g, BF_USAGE, "group norm '%s': %llu channels in %d groups do not fit",
                             gamma >= 0 && g->tensor[gamma].name ? g->tensor[gamma].name : "", (unsigned long long)ch,
                             groups);
    if (scale_shift >= 0 && bf_graph_numel(g, scale_shift) != 2 * batch * ch)
        return bf_graph_fail(g, BF_USAGE, "group norm: scale and shift must be [batch, 2 x channels]");
    const bf_group_norm s = {.batch = bf_graph_int(g, batch, "group norm"),
                             .points = bf_graph_int(g, t.numel / (batch * ch), "group norm"),
                             .ch = bf_graph_int(g, ch, "group norm"),
                             .groups = groups,
                             .eps = eps,
                             .act = act,
                             .scale_shift = scale_shift >= 0,
                             .scale_pitch = scale_shift >= 0 ? 2 * (int)ch : 0};
    const uint64_t stat[2] = {batch, (uint64_t)groups};
    bf_tid out[3] = {bf_graph_temp(g, t.ndim, t.dims), bf_graph_temp(g, 2, stat), bf_graph_temp(g, 2, stat)};
    bf_graph_exact(g, out[1]);
    bf_graph_exact(g, out[2]);
    bf_graph_node(g, &group_norm_def, &s, 4, (bf_tid[]){x, gamma, beta, scale_shift}, 3, out, NULL);
    return out[0];
}

/* ---- layer_norm -------------------------------------------------------------------------------------------------- */

typedef struct layer_norm_attr {
    uint64_t rows;
    int cols;
    float eps;
} layer_norm_attr;

static uint64_t layer_norm_bwd_workspace(const bf_graph *g, const bf_node *n)
{
    const layer_norm_attr *a = n->attr;

    return bf_layer_norm_backward_workspace(g->ctx, a->rows, a->cols);
}

/* in: dy, x, mean, rstd, gamma; out: dx, dgamma, dbeta */
static bf_status layer_norm_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const layer_norm_attr *a = n->attr;

    return bf_layer_norm_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_out(g, n, 1), n->acc[1],
                                  bf_graph_out(g, n, 2), n->acc[2], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                                  bf_graph_in(g, n, 2), bf_graph_in(g, n, 3), bf_graph_in(g, n, 4), a->rows, a->cols,
                                  bf_graph_ws(g, n), err);
}

static const bf_node_def layer_norm_bwd_def = {.name = "layer_norm_backward",
                                               .attr_size = sizeof(layer_norm_attr),
                                               .workspace = layer_norm_bwd_workspace,
                                               .emit = layer_norm_bwd_emit};

static bf_status layer_norm_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bf_tid d[3];
    bool acc[3];
    const bf_tid in[5] = {bf_graph_dout(g, n, 0), n->in[0], n->out[1], n->out[2], n->in[1]};

    (void)err;
    for (int i = 0; i < 3; i++) d[i] = bf_graph_din(g, n, i, &acc[i]);
    bf_graph_node(g, &layer_norm_bwd_def, n->attr, 5, in, 3, d, acc);
    return BF_OK;
}

/* in: x, gamma, beta; out: y, mean, rstd */
static bf_status layer_norm_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const layer_norm_attr *a = n->attr;

    return bf_layer_norm_forward(c, bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), bf_graph_out(g, n, 2),
                                 bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), bf_graph_in(g, n, 2), a->rows, a->cols,
                                 a->eps, err);
}

static const bf_node_def layer_norm_def = {
    .name = "layer_norm", .attr_size = sizeof(layer_norm_attr), .grad = layer_norm_grad, .emit = layer_norm_emit};

bf_tid bf_graph_layer_norm(bf_graph *g, bf_tid x, bf_tid gamma, bf_tid beta, float eps)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    const bf_tensor t = *bf_graph_at(g, x);
    const uint64_t cols = t.dims[t.ndim - 1];
    const layer_norm_attr a = {t.numel / cols, bf_graph_int(g, cols, "layer norm"), eps};

    if ((gamma >= 0 && bf_graph_numel(g, gamma) != cols) || (beta >= 0 && bf_graph_numel(g, beta) != cols))
        return bf_graph_fail(g, BF_USAGE, "layer norm: gamma and beta do not fit rows of %llu",
                             (unsigned long long)cols);
    bf_tid out[3] = {bf_graph_temp(g, t.ndim, t.dims), bf_graph_temp(g, 1, &a.rows), bf_graph_temp(g, 1, &a.rows)};
    bf_graph_exact(g, out[1]);
    bf_graph_exact(g, out[2]);
    bf_graph_node(g, &layer_norm_def, &a, 3, (bf_tid[]){x, gamma, beta}, 3, out, NULL);
    return out[0];
}

/* ---- upsample ---------------------------------------------------------------------------------------------------- */

typedef struct upsample_attr {
    int batch, h, w, ch;
} upsample_attr;

static bf_status upsample_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const upsample_attr *a = n->attr;

    return bf_upsample_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), a->batch, a->h, a->w, a->ch,
                                err);
}

static const bf_node_def upsample_bwd_def = {
    .name = "upsample_backward", .attr_size = sizeof(upsample_attr), .emit = upsample_bwd_emit};

static bf_status upsample_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    const bf_tid dy = bf_graph_dout(g, n, 0);
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);

    (void)err;
    if (dx >= 0) bf_graph_node(g, &upsample_bwd_def, n->attr, 1, &dy, 1, &dx, &acc);
    return BF_OK;
}

static bf_status upsample_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const upsample_attr *a = n->attr;

    return bf_upsample_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), a->batch, a->h, a->w, a->ch, err);
}

static const bf_node_def upsample_def = {
    .name = "upsample", .attr_size = sizeof(upsample_attr), .grad = upsample_grad, .emit = upsample_emit};

bf_tid bf_graph_upsample(bf_graph *g, bf_tid x)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    const bf_tensor t = *bf_graph_at(g, x);
    if (t.ndim != 4) return bf_graph_fail(g, BF_USAGE, "upsample: the image needs four dimensions");
    const upsample_attr a = {bf_graph_int(g, t.dims[0], "upsample"), bf_graph_int(g, t.dims[1], "upsample"),
                             bf_graph_int(g, t.dims[2], "upsample"), bf_graph_int(g, t.dims[3], "upsample")};
    bf_tid y = bf_graph_temp(g, 4, (uint64_t[]){t.dims[0], 2 * t.dims[1], 2 * t.dims[2], t.dims[3]});
    bf_graph_node(g, &upsample_def, &a, 1, &x, 1, &y, NULL);
    return y;
}
