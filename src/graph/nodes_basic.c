/* Node kinds over the elementwise, reducing and copying ops. */
#include "base/philox.h"
#include "graph/graph.h"
#include "graph/internal.h"

/* ---- fill, copy, sum over the middle axis (used by gradient rules) ----------------------------------------------- */

typedef struct fill_attr {
    float value;
} fill_attr;

static bf_status fill_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    union {
        float f;
        uint32_t u;
    } bits = {.f = ((const fill_attr *)n->attr)->value};

    return bf_cmds_fill(c, bf_graph_out(g, n, 0), bits.u, bf_graph_numel(g, n->out[0]) * sizeof(float), err);
}

static const bf_node_def fill_def = {.name = "fill", .attr_size = sizeof(fill_attr), .emit = fill_emit};

void bf_graph_fill_node(bf_graph *g, bf_tid y, float value)
{
    bf_graph_node(g, &fill_def, &(fill_attr){value}, 0, NULL, 1, &y, NULL);
}

bf_tid bf_graph_full(bf_graph *g, int ndim, const uint64_t *dims, float value)
{
    bf_tid y = bf_graph_temp(g, ndim, dims);

    bf_graph_fill_node(g, y, value);
    return y;
}

static bf_status copy_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    bf_mem y = bf_graph_out(g, n, 0), a = bf_graph_in(g, n, 0);
    uint64_t count = bf_graph_numel(g, n->out[0]);

    if (n->acc[0]) return bf_axpby(c, y, 1.0f, y, 1.0f, a, count, err);
    return bf_cmds_copy(c, y, a, count * sizeof(float), err);
}

static const bf_node_def copy_def = {.name = "copy", .emit = copy_emit};

void bf_graph_copy_node(bf_graph *g, bf_tid y, bool acc, bf_tid a)
{
    bf_graph_node(g, &copy_def, NULL, 1, &a, 1, &y, &acc);
}

typedef struct mid_attr {
    uint64_t outer, mid, inner;
} mid_attr;

static uint64_t sum_mid_workspace(const bf_graph *g, const bf_node *n)
{
    const mid_attr *a = n->attr;

    return bf_sum_mid_workspace(g->ctx, a->outer, a->mid, a->inner);
}

static bf_status sum_mid_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const mid_attr *a = n->attr;

    return bf_sum_mid(c, bf_graph_out(g, n, 0), n->acc[0], 1.0f, bf_graph_in(g, n, 0), a->outer, a->mid, a->inner,
                      bf_graph_ws(g, n), err);
}

static const bf_node_def sum_mid_def = {
    .name = "sum_mid", .attr_size = sizeof(mid_attr), .workspace = sum_mid_workspace, .emit = sum_mid_emit};

/* ---- sums that share a launch ------------------------------------------------------------------------------------ */

#define SMALL_SUM 16384 /* elements: not worth a first stage of its own, and little memory to keep until the end */

typedef struct fold_attr {
    int n;
    uint64_t mid[BF_FOLDS], cols[BF_FOLDS];
} fold_attr;

static bf_status fold_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const fold_attr *a = n->attr;
    bf_fold_sum sums[BF_FOLDS];

    for (int i = 0; i < a->n; i++)
        sums[i] = (bf_fold_sum){.out = bf_graph_out(g, n, i),
                                .x = bf_graph_in(g, n, i),
                                .acc = n->acc[i],
                                .mid = (int)a->mid[i],
                                .cols = (int)a->cols[i]};
    return bf_fold(c, sums, a->n, err);
}

static const bf_node_def fold_def = {.name = "fold", .attr_size = sizeof(fold_attr), .emit = fold_emit};

void bf_graph_finish_sums(bf_graph *g)
{
    fold_attr attr = {.n = g->n_waiting};
    bf_tid in[BF_FOLDS], out[BF_FOLDS];
    bool acc[BF_FOLDS];

    if (attr.n == 0) return;
    for (int i = 0; i < attr.n; i++) {
        const bf_waiting_sum *s = &g->waiting[i];
        in[i] = s->x;
        out[i] = s->out;
        acc[i] = s->acc;
        attr.mid[i] = s->mid;
        attr.cols[i] = s->cols;
    }
    g->n_waiting = 0;
    bf_graph_node(g, &fold_def, &attr, attr.n, in, attr.n, out, acc);
}

bool bf_graph_is_waiting(const bf_graph *g, bf_tid t)
{
    for (int i = 0; i < g->n_waiting; i++)
        if (g->waiting[i].out == t || bf_graph_root(g, g->waiting[i].x) == bf_graph_root(g, t)) return true;
    return false;
}

/* in: x; out: parts */
static bf_status partial_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const mid_attr *a = n->attr;

    return bf_sum_mid_partial(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), a->mid, a->inner, err);
}

static const bf_node_def partial_def = {.name = "sum_parts", .attr_size = sizeof(mid_attr), .emit = partial_emit};

/* True when the sum was taken over: it waits, itself or its parts. */
static bool take_over(bf_graph *g, bf_tid out, bool acc, bf_tid x, uint64_t mid, uint64_t inner)
{
    const uint64_t parts = bf_sum_mid_parts(g->ctx, mid, inner);

    if (bf_graph_root(g, out)->kind != BF_T_PARAM_GRAD || (parts == 1 && mid * inner > SMALL_SUM)) return false;
    if (parts > 1) {
        const bf_tid part = bf_graph_temp(g, 2, (uint64_t[]){parts, inner});
        bf_graph_node(g, &partial_def, &(mid_attr){1, mid, inner}, 1, &x, 1, &part, NULL);
        x = part;
        mid = parts;
    }
    g->waiting[g->n_waiting++] = (bf_waiting_sum){out, x, acc, mid, inner};
    if (g->n_waiting == BF_FOLDS) bf_graph_finish_sums(g);
    return true;
}

void bf_graph_sum_mid(bf_graph *g, bf_tid out, bool acc, bf_tid x, uint64_t outer, uint64_t mid, uint64_t inner)
{
    if (g->status != BF_OK) return;
    if (outer == 1 && take_over(g, out, acc, x, mid, inner)) return;
    bf_graph_node(g, &sum_mid_def, &(mid_attr){outer, mid, inner}, 1, &x, 1, &out, &acc);
}

/* ---- act --------------------------------------------------------------------------------------------------------- */

typedef struct act_attr {
    bf_act act;
} act_attr;

static bf_status act_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_act_backward(c, ((const act_attr *)n->attr)->act, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0),
                           bf_graph_in(g, n, 1), bf_graph_numel(g, n->out[0]), err);
}

static const bf_node_def act_bwd_def = {
    .name = "act_backward", .attr_size = sizeof(act_attr), .emit = act_bwd_emit, .inplace = 1};

void bf_graph_act_backward(bf_graph *g, bf_act act, bf_tid dx, bool acc, bf_tid dy, bf_tid x)
{
    bf_graph_node(g, &act_bwd_def, &(act_attr){act}, 2, (bf_tid[]){dy, x}, 1, &dx, &acc);
}

static bf_status act_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);

    (void)err;
    if (dx >= 0) bf_graph_act_backward(g, ((const act_attr *)n->attr)->act, dx, acc, bf_graph_dout(g, n, 0), n->in[0]);
    return BF_OK;
}

static bf_status act_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_act_forward(c, ((const act_attr *)n->attr)->act, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0),
                          bf_graph_numel(g, n->out[0]), err);
}

static const bf_node_def act_def = {
    .name = "act", .attr_size = sizeof(act_attr), .grad = act_grad, .emit = act_emit, .inplace = 1};

/* A temp of the shape of x. */
static bf_tid temp_like(bf_graph *g, bf_tid x)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    const bf_tensor t = *bf_graph_at(g, x); /* by value: making a tensor moves the table */
    return bf_graph_temp(g, t.ndim, t.dims);
}

bf_tid bf_graph_act(bf_graph *g, bf_tid x, bf_act act)
{
    bf_tid y = temp_like(g, x);

    bf_graph_node(g, &act_def, &(act_attr){act}, 1, &x, 1, &y, NULL);
    return y;
}

/* ---- add, add_mid ------------------------------------------------------------------------------------------------ */

static bf_status add_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    (void)err;
    bf_graph_pass_grad(g, n, 0, bf_graph_dout(g, n, 0));
    bf_graph_pass_grad(g, n, 1, bf_graph_dout(g, n, 0));
    return BF_OK;
}

static bf_status add_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_axpby(c, bf_graph_out(g, n, 0), 1.0f, bf_graph_in(g, n, 0), 1.0f, bf_graph_in(g, n, 1),
                    bf_graph_numel(g, n->out[0]), err);
}

static const bf_node_def add_def = {.name = "add", .grad = add_grad, .emit = add_emit, .inplace = 1};

bf_tid bf_graph_add(bf_graph *g, bf_tid a, bf_tid b)
{
    bf_tid y;

    if (g->status != BF_OK) return BF_NONE;
    if (bf_graph_numel(g, a) != bf_graph_numel(g, b))
        return bf_graph_fail(g, BF_USAGE, "add: %llu and %llu elements", (unsigned long long)bf_graph_numel(g, a),
                             (unsigned long long)bf_graph_numel(g, b));
    y = temp_like(g, a);
    bf_graph_node(g, &add_def, NULL, 2, (bf_tid[]){a, b}, 1, &y, NULL);
    return y;
}

static bf_status add_mid_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    const mid_attr *a = n->attr;
    bf_tid dy = bf_graph_dout(g, n, 0);
    bool acc;
    bf_tid dt = bf_graph_din(g, n, 1, &acc);

    (void)err;
    if (dt >= 0) bf_graph_sum_mid(g, dt, acc, dy, a->outer, a->mid, a->inner);
    bf_graph_pass_grad(g, n, 0, dy);
    return BF_OK;
}

static bf_status add_mid_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const mid_attr *a = n->attr;

    return bf_add_mid_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), a->outer, a->mid,
                              a->inner, err);
}

static const bf_node_def add_mid_def = {
    .name = "add_mid", .attr_size = sizeof(mid_attr), .grad = add_mid_grad, .emit = add_mid_emit};

bf_tid bf_graph_add_mid(bf_graph *g, bf_tid x, bf_tid t)
{
    const uint64_t n = bf_graph_numel(g, x), m = bf_graph_numel(g, t), inner = bf_graph_dim(g, x, -1);
    bf_tid y;

    if (g->status != BF_OK) return BF_NONE;
    if (inner == 0 || m % inner != 0 || n % m != 0)
        return bf_graph_fail(g, BF_USAGE, "add_mid: %llu elements do not fit rows of %llu", (unsigned long long)m,
                             (unsigned long long)inner);
    y = temp_like(g, x);
    mid_attr attr = {.outer = m / inner, .mid = n / m, .inner = inner};
    bf_graph_node(g, &add_mid_def, &attr, 2, (bf_tid[]){x, t}, 1, &y, NULL);
    return y;
}

/* ---- affine ------------------------------------------------------------------------------------------------------ */

typedef struct affine_attr {
    float a, b;
} affine_attr;

/* in: dy; out: dx. An accumulating output is its own second operand. */
static bf_status affine_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const affine_attr *a = n->attr;
    const bf_mem dx = bf_graph_out(g, n, 0);

    return bf_axpby(c, dx, a->a, bf_graph_in(g, n, 0), 1.0f, n->acc[0] ? dx : BF_MEM_NONE, bf_graph_numel(g, n->out[0]),
                    err);
}

static const bf_node_def affine_bwd_def = {
    .name = "affine_backward", .attr_size = sizeof(affine_attr), .emit = affine_bwd_emit, .inplace = 1};

static bf_status affine_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bf_tid dy = bf_graph_dout(g, n, 0);
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);

    (void)err;
    if (dx >= 0) bf_graph_node(g, &affine_bwd_def, n->attr, 1, &dy, 1, &dx, &acc);
    return BF_OK;
}

/* in: x, ones */
static bf_status affine_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const affine_attr *a = n->attr;

    return bf_axpby(c, bf_graph_out(g, n, 0), a->a, bf_graph_in(g, n, 0), a->b, bf_graph_in(g, n, 1),
                    bf_graph_numel(g, n->out[0]), err);
}

static const bf_node_def affine_def = {
    .name = "affine", .attr_size = sizeof(affine_attr), .grad = affine_grad, .emit = affine_emit, .inplace = 1};

bf_tid bf_graph_affine(bf_graph *g, bf_tid x, float a, float b)
{
    const affine_attr attr = {a, b};
    bf_tid y = temp_like(g, x), ones = BF_NONE;

    if (b != 0.0f && y >= 0) {
        ones = temp_like(g, x);
        bf_graph_fill_node(g, ones, 1.0f);
    }
    bf_graph_node(g, &affine_def, &attr, 2, (bf_tid[]){x, ones}, 1, &y, NULL);
    return y;
}

/* ---- a batch twice over: in: x; out: y --------------------------------------------------------------------------- */

/* The shape of x with `dim` samples. */
static bf_tid with_batch(bf_graph *g, bf_tid x, uint64_t dim)
{
    bf_tensor shape = *bf_graph_at(g, x);

    shape.dims[0] = dim;
    return bf_graph_temp(g, shape.ndim, shape.dims);
}

static bf_status twice_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mem x = bf_graph_in(g, n, 0), y = bf_graph_out(g, n, 0);
    const uint64_t bytes = bf_graph_numel(g, n->in[0]) * sizeof(float);

    BF_TRY(bf_cmds_copy(c, y, x, bytes, err));
    BF_TRY(bf_cmds_copy(c, bf_mem_at(y, bytes), x, bytes, err));
out:
    return st;
}

static const bf_node_def twice_def = {.name = "twice", .emit = twice_emit};

bf_tid bf_graph_twice(bf_graph *g, bf_tid x)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    if (bf_graph_training(g)) return bf_graph_fail(g, BF_USAGE, "a batch twice over cannot be trained");
    const bf_tid y = with_batch(g, x, 2 * bf_graph_dim(g, x, 0));
    bf_graph_node(g, &twice_def, NULL, 1, &x, 1, &y, NULL);
    return y;
}

static bf_status mix_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const affine_attr *a = n->attr;
    const bf_mem x = bf_graph_in(g, n, 0);
    const uint64_t count = bf_graph_numel(g, n->out[0]);

    return bf_axpby(c, bf_graph_out(g, n, 0), a->a, x, a->b, bf_mem_at(x, count * sizeof(float)), count, err);
}

static const bf_node_def mix_def = {.name = "mix_halves", .attr_size = sizeof(affine_attr), .emit = mix_emit};

bf_tid bf_graph_mix_halves(bf_graph *g, bf_tid x, float a, float b)
{
    const affine_attr attr = {a, b};

    if (g->status != BF_OK || x < 0) return BF_NONE;
    const uint64_t batch = bf_graph_dim(g, x, 0);
    if (bf_graph_training(g) || batch % 2 != 0)
        return bf_graph_fail(g, BF_USAGE, "the halves of a batch of %llu, %s", (unsigned long long)batch,
                             bf_graph_training(g) ? "which trains" : "which is odd");
    const bf_tid y = with_batch(g, x, batch / 2);
    bf_graph_node(g, &mix_def, &attr, 1, &x, 1, &y, NULL);
    return y;
}

/* ---- concat, reshape --------------------------------------------------------------------------------------------- */

typedef struct concat_attr {
    uint64_t rows;
    int ca, cb;
} concat_attr;

static bf_status concat_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const concat_attr *a = n->attr;

    return bf_concat_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_out(g, n, 1), n->acc[1],
                              bf_graph_in(g, n, 0), a->rows, a->ca, a->cb, err);
}

static const bf_node_def concat_bwd_def = {
    .name = "concat_backward", .attr_size = sizeof(concat_attr), .emit = concat_bwd_emit};

static bf_status concat_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bf_tid dy = bf_graph_dout(g, n, 0), d[2];
    bool acc[2];

    (void)err;
    for (int i = 0; i < 2; i++) d[i] = bf_graph_din(g, n, i, &acc[i]);
    bf_graph_node(g, &concat_bwd_def, n->attr, 1, &dy, 2, d, acc);
    return BF_OK;
}

static bf_status concat_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const concat_attr *a = n->attr;

    return bf_concat_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), a->rows, a->ca,
                             a->cb, err);
}

static const bf_node_def concat_def = {
    .name = "concat", .attr_size = sizeof(concat_attr), .grad = concat_grad, .emit = concat_emit};

bf_tid bf_graph_concat(bf_graph *g, bf_tid a, bf_tid b)
{
    bf_tid y;

    if (g->status != BF_OK) return BF_NONE;
    const bf_tensor ta = *bf_graph_at(g, a), tb = *bf_graph_at(g, b);
    const uint64_t ca = ta.dims[ta.ndim - 1], cb = tb.dims[tb.ndim - 1];
    uint64_t dims[BF_MAX_DIMS];
    concat_attr attr = {ta.numel / ca, bf_graph_int(g, ca, "concat"), bf_graph_int(g, cb, "concat")};

    if (a == b) return bf_graph_fail(g, BF_USAGE, "concat: the two parts must be different tensors");
    if (attr.rows != tb.numel / cb)
        return bf_graph_fail(g, BF_USAGE, "concat: %llu and %llu rows", (unsigned long long)attr.rows,
                             (unsigned long long)(tb.numel / cb));
    for (int i = 0; i < ta.ndim; i++) dims[i] = ta.dims[i];
    dims[ta.ndim - 1] = ca + cb;
    y = bf_graph_temp(g, ta.ndim, dims);
    bf_graph_node(g, &concat_def, &attr, 2, (bf_tid[]){a, b}, 1, &y, NULL);
    return y;
}

static bf_status view_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    (void)err;
    bf_graph_pass_grad(g, n, 0, bf_graph_dout(g, n, 0));
    return BF_OK;
}

/* Nothing to run: the output is the input's memory. The node is there for its gradient. */
static bf_status view_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    (void)g, (void)n, (void)c, (void)err;
    return BF_OK;
}

static const bf_node_def view_def = {.name = "view", .grad = view_grad, .emit = view_emit};

bf_tid bf_graph_reshape(bf_graph *g, bf_tid x, int ndim, const uint64_t *dims)
{
    bf_tid y = bf_graph_view(g, x, ndim, dims);

    if (bf_graph_numel(g, y) != bf_graph_numel(g, x))
        return bf_graph_fail(g, BF_USAGE, "a tensor of %llu elements cannot be reshaped to %llu",
                             (unsigned long long)bf_graph_numel(g, x), (unsigned long long)bf_graph_numel(g, y));
    bf_graph_node(g, &view_def, NULL, 1, &x, 1, &y, NULL);
    return y;
}

static const bf_node_def head_def = {.name = "head", .emit = view_emit};

bf_tid bf_graph_head(bf_graph *g, bf_tid x, int ndim, const uint64_t *dims)
{
    bf_tid y = bf_graph_view(g, x, ndim, dims);

    if (bf_graph_numel(g, y) == bf_graph_numel(g, x)) return bf_graph_reshape(g, x, ndim, dims);
    if (bf_graph_training(g))
        return bf_graph_fail(g, BF_USAGE, "a part of a tensor has no gradient: train with the full length");
    bf_graph_node(g, &head_def, NULL, 1, &x, 1, &y, NULL);
    return y;
}

/* ---- dropout ----------------------------------------------------------------------------------------------------- */

typedef struct dropout_attr {
    float p;
    uint32_t stream;
} dropout_attr;

static bf_status dropout_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const dropout_attr *a = n->attr;
    const uint64_t samples = bf_graph_dim(g, n->in[0], 0);

    return bf_dropout(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), a->p, a->stream,
                      bf_graph_step(g), samples, bf_graph_numel(g, n->in[0]) / samples, err);
}

static const bf_node_def dropout_bwd_def = {
    .name = "dropout_backward", .attr_size = sizeof(dropout_attr), .emit = dropout_emit, .inplace = 1};

static bf_status dropout_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bf_tid dy = bf_graph_dout(g, n, 0);
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);

    (void)err;
    if (dx >= 0) bf_graph_node(g, &dropout_bwd_def, n->attr, 3, (bf_tid[]){dy, n->in[1], g->step}, 1, &dx, &acc);
    return BF_OK;
}

static const bf_node_def dropout_def = {
    .name = "dropout", .attr_size = sizeof(dropout_attr), .grad = dropout_grad, .emit = dropout_emit, .inplace = 1};

bf_tid bf_graph_dropout(bf_graph *g, bf_tid x, float p, bf_tid mask)
{
    bf_tid y;

    if (g->status != BF_OK || !g->options.training || p <= 0.0f) return x;
    if (p >= 1.0f) return bf_graph_fail(g, BF_USAGE, "dropout: a probability of %g drops everything", (double)p);
    y = temp_like(g, x);
    dropout_attr attr = {p, BF_STREAM_DROPOUT + (uint32_t)g->dropouts++};
    bf_graph_node(g, &dropout_def, &attr, 3, (bf_tid[]){x, mask, g->step}, 1, &y, NULL);
    return y;
}
