/*
 * The ops: pure pairs of forward and backward, each appending prepared commands to a list. Every buffer is an argument;
 * statistics that backward needs are named outputs of forward. All tensors float32, dense, channels-last.
 *
 *   acc   backward: true = add to the gradient that is there, false = overwrite it
 *   none  an optional mem that is absent is BF_MEM_NONE
 *   ws    workspace of at least bf_*_workspace() bytes, contents undefined before and after; none when that is 0
 *
 * Weights that stay the same over many runs are brought into the form that a forward kernel wants only once: where
 * bf_*_prepares is true, bf_*_prepare writes that form to ws, and the forward call takes w = none as long as ws keeps
 * its contents.
 *
 * Each op lives in src/op/NAME.c and cl/NAME.cl, its plain C reference in tests/ref/NAME.c, its test in
 * tests/check_NAME.c.
 */
#ifndef BF_OP_OP_H
#define BF_OP_OP_H

#include "base/size.h"
#include "device/device.h"
#include "device/gemm.h"

#define BF_FLAT_BLOCK 4096 /* BLOCK in cl/common.h */

/* A launch with one group per row (cl/common.h: the group's row is get_group_id(0)). */
static inline void bf_call_rows(bf_call *call, const bf_ctx *ctx, size_t rows)
{
    call->local[0] = bf_ctx_group(ctx);
    call->items[0] = rows * call->local[0];
}

/* A launch over n elements of a flat array, BLOCK per group. */
static inline void bf_call_flat(bf_call *call, const bf_ctx *ctx, uint64_t n)
{
    bf_call_rows(call, ctx, (size_t)bf_ceil_div(n, BF_FLAT_BLOCK));
}

/* The step record: 16 words of device memory that hold everything that changes from step to step, written by the host
 * before a step, read by kernels (STEP_* in cl/common.h). */
enum bf_step_word {
    BF_STEP_SEED_LO,
    BF_STEP_SEED_HI,
    BF_STEP_STEP,    /* uint: training or sampler step */
    BF_STEP_SAMPLE0, /* uint: index of the first sample of this batch (Philox counter word 1 of row 0) */
    BF_STEP_LR,      /* float: learning rate */
    BF_STEP_BIAS1,   /* float: 1 - beta1^step */
    BF_STEP_BIAS2,   /* float: 1 - beta2^step */
    BF_STEP_EMA,     /* float: 1 - decay of the averaged weights */
    BF_STEP_FLOW,    /* 8 floats for the flow's own use while sampling */
    BF_STEP_WORDS = 16
};

/* ---- act: y = act(x), n elements ------------------------------------------------------------------------------- */
bf_status bf_act_forward(bf_cmds *c, bf_act act, bf_mem y, bf_mem x, uint64_t n, bf_err *err);
bf_status bf_act_backward(bf_cmds *c, bf_act act, bf_mem dx, bool acc, bf_mem dy, bf_mem x, uint64_t n, bf_err *err);

/* ---- add: y = alpha a + beta b; b may be none (then beta is ignored). y may be a or b. --------------------------- */
bf_status bf_axpby(bf_cmds *c, bf_mem y, float alpha, bf_mem a, float beta, bf_mem b, uint64_t n, bf_err *err);

/* y[o,m,i] = x[o,m,i] + t[o,i]: broadcast add of a vector per sample (time term; outer = 1: a bias, a position code
 * with mid = B). dx is dy; dt by bf_sum_mid. */
bf_status bf_add_mid_forward(bf_cmds *c, bf_mem y, bf_mem x, bf_mem t, uint64_t outer, uint64_t mid, uint64_t inner,
                             bf_err *err);

/* ---- half: storage in 16 bits. h has n halves, two in the place of a float: (n + 1) / 2 floats ------------------- */
/* pack: to the nearest half, ties to even; what is beyond +-65504 becomes that. unpack: exactly. */
bf_status bf_half_pack(bf_cmds *c, bf_mem h, bf_mem x, uint64_t n, bf_err *err);
bf_status bf_half_unpack(bf_cmds *c, bf_mem x, bf_mem h, uint64_t n, bf_err *err);

/* ---- reduce: out[o,i] (+)= scale * sum_m x[o,m,i]. Deterministic, two stages. ------------------------------------ */
uint64_t bf_sum_mid_workspace(bf_ctx *ctx, uint64_t outer, uint64_t mid, uint64_t inner);
bf_status bf_sum_mid(bf_cmds *c, bf_mem out, bool acc, float scale, bf_mem x, uint64_t outer, uint64_t mid,
                     uint64_t inner, bf_mem ws, bf_err *err);

/* The first of two stages of a sum with outer = 1 whose result is wanted later: part[p,i] for p < bf_sum_mid_parts()
 * (1: there is one stage only), to be added up by bf_fold. */
uint64_t bf_sum_mid_parts(bf_ctx *ctx, uint64_t mid, uint64_t inner);
bf_status bf_sum_mid_partial(bf_cmds *c, bf_mem part, bf_mem x, uint64_t mid, uint64_t inner, bf_err *err);
/* Several small sums in one launch: out[i] (+)= sum_m x[m,i]; n <= BF_FOLDS. */
#define BF_FOLDS 8
typedef struct bf_fold_sum {
    bf_mem out, x;
    bool acc;
    int mid, cols;
} bf_fold_sum;
bf_status bf_fold(bf_cmds *c, const bf_fold_sum *sums, int n, bf_err *err);

/* ---- linear: y[r,o] = act(sum_i x[r,i] w[o,i] + b[o]) + residual[r,o]; w [out,in] as in the files ---------------- */
/* pre: with an activation in training, x w' + b is kept there [rows,out] for the backward pass; else none. */
uint64_t bf_linear_workspace(bf_ctx *ctx, uint64_t rows, int in, int out); /* of any call below */
uint64_t bf_linear_forward_workspace(bf_ctx *ctx, uint64_t rows, int in, int out);
bf_status bf_linear_forward(bf_cmds *c, bf_mem y, bf_mem pre, bf_mem x, bf_mem w, bf_mem b, bf_mem residual, bf_act act,
                            uint64_t rows, int in, int out, bf_mem ws, bf_err *err);
bool bf_linear_prepares(bf_ctx *ctx, uint64_t rows, int in, int out);
bf_status bf_linear_prepare(bf_cmds *c, bf_mem w, uint64_t rows, int in, int out, bf_mem ws, bf_err *err);
/* dy: gradient before the activation (the caller applied bf_act_backward). Any of dx, dw, db may be none. */
bf_status bf_linear_backward(bf_cmds *c, bf_mem dx, bool acc_x, bf_mem dw, bool acc_w, bf_mem db, bool acc_b, bf_mem dy,
                             bf_mem x, bf_mem w, uint64_t rows, int in, int out, bf_mem ws, bf_err *err);

/* Layers of one shape that read the same input, as one product: layer l has its weights at w + l w_stride and its bias
 * at b + l b_stride (floats); y, dy [layers,rows,out], dw and db lie like w and b. */
typedef struct bf_linears {
    uint64_t rows;
    int in, out, layers;
    uint64_t w_stride, b_stride;
} bf_linears;
uint64_t bf_linears_workspace(bf_ctx *ctx, const bf_linears *s); /* of either call */
bf_status bf_linears_forward(bf_cmds *c, const bf_linears *s, bf_mem y, bf_mem x, bf_mem w, bf_mem b, bf_mem ws,
                             bf_err *err);
/* dx is the sum over the layers. Any of dx, dw, db may be none. */
bf_status bf_linears_backward(bf_cmds *c, const bf_linears *s, bf_mem dx, bool acc_x, bf_mem dw, bool acc_w, bf_mem db,
                              bool acc_b, bf_mem dy, bf_mem x, bf_mem w, bf_mem ws, bf_err *err);

/* ---- conv: 3x3 pad 1 or 1x1, stride 1 or 2 ----------------------------------------------------------------------- */
/* x [B,H,W,Ci], w on the device [k,k,Ci,Co] (files: [Co,Ci,k,k]), y [B,Ho,Wo,Co], Ho = (H + 2 pad - k) / stride + 1.
 * forward: y = conv(x, w) + bias[Co] + per_sample[B,Co] + residual[B,Ho,Wo,Co]; the last three optional. */
typedef struct bf_conv {
    int batch, h, w, ci, co, k, stride;
} bf_conv;
static inline int bf_conv_out(int size, int k, int stride)
{
    return (size + 2 * (k / 2) - k) / stride + 1;
}
uint64_t bf_conv_forward_workspace(bf_ctx *ctx, const bf_conv *s);
bf_status bf_conv_forward(bf_cmds *c, const bf_conv *s, bf_mem y, bf_mem x, bf_mem w, bf_mem bias, bf_mem per_sample,
                          bf_mem residual, bf_mem ws, bf_err *err);
bool bf_conv_prepares(bf_ctx *ctx, const bf_conv *s);
bf_status bf_conv_prepare(bf_cmds *c, const bf_conv *s, bf_mem w, bf_mem ws, bf_err *err);
uint64_t bf_conv_backward_input_workspace(bf_ctx *ctx, const bf_conv *s);
bf_status bf_conv_backward_input(bf_cmds *c, const bf_conv *s, bf_mem dx, bool acc, bf_mem dy, bf_mem w, bf_mem ws,
                                 bf_err *err);
/* dw[k,k,Ci,Co] (+)=; the bias and per-sample gradients are sums over dy: bf_sum_mid. */
uint64_t bf_conv_backward_weight_workspace(bf_ctx *ctx, const bf_conv *s);
bf_status bf_conv_backward_weight(bf_cmds *c, const bf_conv *s, bf_mem dw, bool acc, bf_mem dy, bf_mem x, bf_mem ws,
                                  bf_err *err);

/* ---- upsample: nearest x2, [B,H,W,C] -> [B,2H,2W,C] -------------------------------------------------------------- */
bf_status bf_upsample_forward(bf_cmds *c, bf_mem y, bf_mem x, int batch, int h, int w, int ch, bf_err *err);
bf_status bf_upsample_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, int batch, int h, int w, int ch,
                               bf_err *err);

/* ---- concat: y[r, 0..ca) = a, y[r, ca..ca+cb) = b. Backward: either gradient may be none. ------------------------ */
bf_status bf_concat_forward(bf_cmds *c, bf_mem y, bf_mem a, bf_mem b, uint64_t rows, int ca, int cb, bf_err *err);
bf_status bf_concat_backward(bf_cmds *c, bf_mem da, bool acc_a, bf_mem db, bool acc_b, bf_mem dy, uint64_t rows, int ca,
                             int cb, bf_err *err);
/* d[r,:] (+)= scale * y[r, first..first+cols) of rows of `pitch` elements */
bf_status bf_take_columns(bf_cmds *c, bf_mem d, bool acc, float scale, bf_mem y, uint64_t rows, int cols, int first,
                          int pitch, bf_err *err);

/* ---- dropout: y = keep ? x / (1 - p) : 0 ------------------------------------------------------------------------- */
/* keep = uniform(seed, element, sample, step, stream) >= p from the step record, with element counted inside a sample
 * of `per_sample` elements; or, when `mask` is given, keep = mask[i] != 0. Backward is the same call on dy. */
bf_status bf_dropout(bf_cmds *c, bf_mem y, bool acc, bf_mem x, bf_mem mask, float p, uint32_t stream, bf_mem step,
                     uint64_t samples, uint64_t per_sample, bf_err *err);

/* ---- code: time codes and input features ------------------------------------------------------------------------- */
typedef enum bf_time_code {
    BF_CODE_UNET,    /* [cos | sin](4000 t exp(-ln(10000) k / half)), k = 0..half-1; an odd width ends in a 0 */
    BF_CODE_VDM,     /* [sin | cos](1000 (t + 0.001) 10^(-4 k / (half - 1))) */
    BF_CODE_POSITION /* column j: sin (even j) or cos (odd j) of t 10000^(-j / dim) */
} bf_time_code;
/* Angular speed of each of the `dim` columns: what y's formula multiplies the (scaled) time with. Made on the host with
 * the roundings of the official code, because the angles reach 4000: one ulp of a speed, which is what the exp() of two
 * devices may differ by, moves a sine by 2e-4. */
bf_status bf_time_code_speeds(bf_time_code kind, float *speed, int dim, bf_err *err);
/* y [B,dim] from t [B] and speed [dim] */
bf_status bf_time_code_forward(bf_cmds *c, bf_time_code kind, bf_mem y, bf_mem t, bf_mem speed, int batch, int dim,
                               bf_err *err);
bf_status bf_time_code_backward(bf_cmds *c, bf_time_code kind, bf_mem dt, bool acc, bf_mem dy, bf_mem t, bf_mem speed,
                                int batch, int dim, bf_err *err);
/* y [batch,dim] = 2 e_k / sum of e - 1 with e_k = exp(-((t - k / (dim - 1)) dim)^2 / 2): soft bins of the time (dim 1:
 * the one centre is 0) */
bf_status bf_time_bins_forward(bf_cmds *c, bf_mem y, bf_mem t, uint64_t batch, int dim, bf_err *err);
bf_status bf_time_bins_backward(bf_cmds *c, bf_mem dt, bool acc, bf_mem dy, bf_mem t, uint64_t batch, int dim,
                                bf_err *err);
/* y [rows, 4 cx] from x [rows, cx]: y[r, k cx + c] = sin(2 pi 2^(5 + k) x[r,c]) for k = 0, 1, then the cosines in the
 * same order (the VDM U-Net's fine detail); cx up to 4096 */
bf_status bf_fourier_forward(bf_cmds *c, bf_mem y, bf_mem x, uint64_t rows, int cx, bf_err *err);
bf_status bf_fourier_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, bf_mem x, uint64_t rows, int cx, bf_err *err);
/* y[b,p,:] = [x[b,p,0..cx), 2 t[b] - 1 (if t), pos[p,0..cp) (if pos)] */
bf_status bf_features_forward(bf_cmds *c, bf_mem y, bf_mem x, bf_mem t, bf_mem pos, int batch, int points, int cx,
                              int cp, bf_err *err);
/* dx[b,p,:] and dtp[b,p] (gradient by the t of that point, to be summed over p) and dpos[p,:] (sum over b); each may be
 * none */
bf_status bf_features_backward(bf_cmds *c, bf_mem dx, bool acc_x, bf_mem dtp, bool acc_t, bf_mem dpos, bool acc_p,
                               bf_mem dy, bool has_t, int batch, int points, int cx, int cp, bf_err *err);

/* ---- softmax: rows of `cols` ------------------------------------------------------------------------------------- */
bf_status bf_softmax_forward(bf_cmds *c, bf_mem y, bf_mem x, uint64_t rows, int cols, bf_err *err);
bf_status bf_softmax_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, bf_mem y, uint64_t rows, int cols,
                              bf_err *err);

/* ---- layer_norm: y = (x - mean) rstd gamma + beta, per row; biased variance; gamma, beta may be none ------------- */
bf_status bf_layer_norm_forward(bf_cmds *c, bf_mem y, bf_mem mean, bf_mem rstd, bf_mem x, bf_mem gamma, bf_mem beta,
                                uint64_t rows, int cols, float eps, bf_err *err);
uint64_t bf_layer_norm_backward_workspace(bf_ctx *ctx, uint64_t rows, int cols);
bf_status bf_layer_norm_backward(bf_cmds *c, bf_mem dx, bool acc_x, bf_mem dgamma, bool acc_g, bf_mem dbeta, bool acc_b,
                                 bf_mem dy, bf_mem x, bf_mem mean, bf_mem rstd, bf_mem gamma, uint64_t rows, int cols,
                                 bf_mem ws, bf_err *err);

/* ---- group_norm: [B,P,C] in G groups of neighbouring channels ---------------------------------------------------- */
/* n = (x - mean) rstd gamma[c] + beta[c]; with scale and shift [B,C]: n = n (1 + scale) + shift; y = act(n).
 * mean, rstd [B,G]. gamma and beta are required; scale and shift come together or not at all. */
typedef struct bf_group_norm {
    int batch, points, ch, groups;
    float eps;
    bf_act act;
    bool scale_shift;
    int scale_pitch; /* floats from one sample's scale (and shift) row to the next; 0 = ch */
} bf_group_norm;
uint64_t bf_group_norm_forward_workspace(bf_ctx *ctx, const bf_group_norm *s);
bf_status bf_group_norm_forward(bf_cmds *c, const bf_group_norm *s, bf_mem y, bf_mem mean, bf_mem rstd, bf_mem x,
                                bf_mem gamma, bf_mem beta, bf_mem scale, bf_mem shift, bf_mem ws, bf_err *err);
uint64_t bf_group_norm_backward_workspace(bf_ctx *ctx, const bf_group_norm *s);
typedef struct bf_group_norm_grads {
    bf_mem dx, dgamma, dbeta, dscale, dshift; /* each may be none; dscale, dshift use scale_pitch too */
    bf_mem by_gamma, by_beta; /* [B,C], both or none: dgamma and dbeta are their sums over the batch; overwritten */
    bool acc_x, acc_gamma, acc_beta, acc_scale;
} bf_group_norm_grads;
bf_status bf_group_norm_backward(bf_cmds *c, const bf_group_norm *s, const bf_group_norm_grads *d, bf_mem dy, bf_mem x,
                                 bf_mem mean, bf_mem rstd, bf_mem gamma, bf_mem beta, bf_mem scale, bf_mem shift,
                                 bf_mem ws, bf_err *err);

/* ---- attention: softmax(q k' / sqrt(d)) v over T, per sample and head -------------------------------------------- */
typedef enum bf_qkv_layout {
    BF_QKV_PER_HEAD, /* channels of head h: [q d | k d | v d] (MNIST U-Net) */
    BF_QKV_THIRDS    /* [q heads*d | k heads*d | v heads*d] (VDM U-Net, transformer) */
} bf_qkv_layout;
typedef struct bf_attention {
    int batch, len, heads, head_dim;
    bf_qkv_layout layout;
    bool causal;
} bf_attention;
/* qkv [B,T,3*heads*d] -> y [B,T,heads*d]; lse [B,heads,T] = log-sum-exp of the scaled scores, kept for backward */
uint64_t bf_attention_forward_workspace(bf_ctx *ctx, const bf_attention *s);
bf_status bf_attention_forward(bf_cmds *c, const bf_attention *s, bf_mem y, bf_mem lse, bf_mem qkv, bf_mem ws,
                               bf_err *err);
uint64_t bf_attention_backward_workspace(bf_ctx *ctx, const bf_attention *s);
bf_status bf_attention_backward(bf_cmds *c, const bf_attention *s, bf_mem dqkv, bool acc, bf_mem dy, bf_mem y,
                                bf_mem lse, bf_mem qkv, bf_mem ws, bf_err *err);

/* ---- neighbours: ragged batches of points ------------------------------------------------------------------------ */
/* A ragged batch: N items in S segments (molecules, complexes), one behind the other. Counts and indices are words
 * (uint32) in the place of floats:
 *   offset [S+1]  the items of segment s are offset[s] .. offset[s+1] - 1, perhaps none; offset[0] = 0, offset[S] = N
 *   segment [N]   the segment of an item */
#define BF_NO_ITEM UINT32_MAX
#define BF_NEIGHBOURS_MOST 127
typedef struct bf_neighbours {
    uint64_t items, segments;
    int k; /* up to BF_NEIGHBOURS_MOST */
    bf_mem offset, segment;
} bf_neighbours;
uint64_t bf_neighbours_workspace(const bf_neighbours *s); /* of either call */
/* x [N,3] -> src [N,k+1], count [N] (words): the k + 1 nearest items of i in its segment without i itself, nearest
 * first. i is one of the candidates and the lower index wins at equal distance, so there are k of them, k + 1 where
 * more than k others coincide with i, fewer in small segments; BF_NO_ITEM behind them. Distances are compared as
 * (dx^2 + dy^2) + dz^2 in float32; what is not finite is furthest. */
bf_status bf_neighbours_find(bf_cmds *c, const bf_neighbours *s, bf_mem src, bf_mem count, bf_mem x, bf_mem ws,
                             bf_err *err);
/* Edge e = i (k + 1) + slot comes from src[e] and goes to i. rev_edge[rev_offset[j] .. rev_offset[j+1] - 1] = the edges
 * that come from j, ascending; rev_offset [N+1], rev_edge [N (k+1)], undefined behind the last edge. */
bf_status bf_neighbours_reverse(bf_cmds *c, const bf_neighbours *s, bf_mem rev_offset, bf_mem rev_edge, bf_mem src,
                                bf_mem count, bf_mem ws, bf_err *err);
/* ---- edge attention: message passing over the nearest neighbours of every node ----------------------------------- */
/* An edge MLP is Linear(in, width), layer norm, ReLU, Linear(width, out). Its parameters, or their gradients (then any
 * may be none): */
typedef struct bf_edge_params {
    bf_mem w, bias, gamma, beta, w2, bias2;
} bf_edge_params;
/* The radial code of a distance d: exp(-(d - o)^2 / 2) for these offsets o. */
#define BF_RADIAL 20
#define BF_RADIAL_OFFSETS                                                                                              \
    {                                                                                                                  \
        0, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9, 10                              \
    }
#define BF_EDGE_KINDS 4   /* source to target: ligand to ligand, ligand to pocket, pocket to ligand, pocket to pocket */
#define BF_EDGE_WIDTH 256 /* at most */
/* What reads the edges of a node: the gate of every edge (in = radial code, out = 1), the feature step or the position
 * step (in = kind one-hot, kind x radial code, features of the target, of the source; keys: out = width, values: out =
 * width or heads). */
typedef enum bf_edge_step { BF_EDGE_GATE, BF_EDGE_FEATURES, BF_EDGE_POSITIONS } bf_edge_step;

/* The weights as the kernels want them (cl/edge_pack.cl), for both MLPs of a step or the one of the gate, in floats:
 * own_w [2 pad,width] and own_b [2 pad], a linear layer of the targets' features, source_w [2 pad,width], one of the
 * sources', and packed, everything else; pad = width rounded up to 16. No own_w, own_b, source_w for the gate. */
uint64_t bf_edge_packed_size(bf_edge_step step, int width, int heads);
typedef struct bf_edge_pack {
    bf_mem own_w, source_w, own_b, packed;
} bf_edge_pack;
/* p: the keys' parameters and the values', or the gate's. */
bf_status bf_edge_pack_weights(bf_cmds *c, bf_edge_step step, int width, int heads, const bf_edge_pack *to,
                               const bf_edge_params *p, bf_err *err);
/* The gradients of one MLP (which = 0 keys or gate, 1 values) from those of the packed form; bit b of `acc`: add to the
 * b-th of d. All of d are needed. */
bf_status bf_edge_unpack_gradients(bf_cmds *c, bf_edge_step step, int width, int heads, int which,
                                   const bf_edge_params *d, int acc, const bf_edge_pack *from, bf_err *err);

/* N nodes with positions x [N,3] and up to `slots` edges each, from bf_neighbours_find and _reverse (words): src
 * [N,slots], count [N], rev_offset [N+1], rev_edge. Nodes are the atoms of a pocket and a ligand: row [N] (words) is
 * the number of a node among (pocket atoms, ligand atoms), the first `pocket` of which are the pocket's, node [N] the
 * way back. row and node none: all are the ligand's, in the order of the nodes. */
typedef struct bf_edge_list {
    uint64_t nodes, pocket;
    int slots, width, heads;
    bf_mem x, src, count, rev_offset, rev_edge, row, node;
} bf_edge_list;

/* gate [N,slots] = sigmoid(MLP(radial code of the distance)), 0 behind the edges of a node */
uint64_t bf_edge_gate_forward_workspace(bf_ctx *ctx, const bf_edge_list *e);
bf_status bf_edge_gate_forward(bf_cmds *c, const bf_edge_list *e, bf_mem gate, bf_mem packed, bf_mem ws, bf_err *err);
/* dpacked is overwritten; dx (by the positions, 0 at distance 0) may be none. */
uint64_t bf_edge_gate_backward_workspace(bf_ctx *ctx, const bf_edge_list *e);
bf_status bf_edge_gate_backward(bf_cmds *c, const bf_edge_list *e, bf_mem dpacked, bf_mem dx, bool acc_x, bf_mem dgate,
                                bf_mem gate, bf_mem packed, bf_mem ws, bf_err *err);

/* Targets T: all nodes (features) or those of the ligand in the order of their rows (positions). With a = softmax over
 * the edges that enter a target, per head, of query key / sqrt(width / heads): features:  out [T,width] = residual +
 * sum over edges a gate value positions: out [T,3] = mean over heads of the sum over edges a gate value (x - x of the
 * source) query [T,width]; own [T,2 pad] = features of the targets times own_w plus own_b, source [N,2 pad] those of
 * all nodes times source_w. weight [T,slots,heads rounded up to 16] = a, kept for backward (may be none). */
typedef struct bf_edge_attention_mem {
    bf_mem query, own, source, packed, gate;
} bf_edge_attention_mem;
uint64_t bf_edge_targets(const bf_edge_list *e, bf_edge_step step);
uint64_t bf_edge_attention_forward_workspace(bf_ctx *ctx, const bf_edge_list *e, bf_edge_step step);
bf_status bf_edge_attention_forward(bf_cmds *c, const bf_edge_list *e, bf_edge_step step, bf_mem out, bf_mem weight,
                                    bf_mem residual, const bf_edge_attention_mem *in, bf_mem ws, bf_err *err);
/* All of d are needed but x; d->packed is overwritten. The gradient by the residual is dout. pocket_x false: the
 * gradient by the distance of two atoms of the pocket is left out of d->x, which then holds for the ligand only. */
typedef struct bf_edge_attention_grads {
    bf_mem query, own, source, packed, gate, x;
    bool acc_query, acc_own, acc_source, acc_gate, acc_x;
    bool pocket_x;
} bf_edge_attention_grads;
uint64_t bf_edge_attention_backward_workspace(bf_ctx *ctx, const bf_edge_list *e, bf_edge_step step);
bf_status bf_edge_attention_backward(bf_cmds *c, const bf_edge_list *e, bf_edge_step step,
                                     const bf_edge_attention_grads *d, bf_mem dout, bf_mem weight,
                                     const bf_edge_attention_mem *in, bf_mem ws, bf_err *err);

/* ---- rows: y[r,:] (+)= x[index[r] - first,:] where that is a row of x, else 0; index (words) none: r itself ------ */
bf_status bf_take_rows(bf_cmds *c, bf_mem y, bool acc, uint64_t rows, bf_mem x, uint64_t x_rows, bf_mem index,
                       uint64_t first, int cols, bf_err *err);

/* ---- segment: rows of a ragged batch ----------------------------------------------------------------------------- */
/* The rows of list s are those numbered offset[s] .. offset[s+1] - 1, perhaps none (a segment), or those whose numbers
 * stand there in `entry` (such as rev_edge above). Sums are in a fixed order. */
/* y[e,:] (+)= x[index[e],:], 0 where index[e] is BF_NO_ITEM; with mean_of (an offset table) divided by the length of
 * list index[e]. The gradients of sum and mean over segments: index = segment. */
bf_status bf_gather(bf_cmds *c, bf_mem y, bool acc, bf_mem x, bf_mem index, bf_mem mean_of, uint64_t rows, int cols,
                    bf_err *err);
/* y[s,:] (+)= sum, or mean (0 of an empty list), over the rows x[m,:] of list s. The gradient of gather: list s = the
 * rows e with index[e] = s. entry: none where the lists are segments. */
bf_status bf_segment_sum(bf_cmds *c, bf_mem y, bool acc, bool mean, bf_mem x, bf_mem offset, bf_mem entry,
                         uint64_t segments, int cols, bf_err *err);
/* y[m,c] = exp(x[m,c]) / sum over the rows of its segment */
bf_status bf_segment_softmax_forward(bf_cmds *c, bf_mem y, bf_mem x, bf_mem offset, uint64_t segments, int cols,
                                     bf_err *err);
bf_status bf_segment_softmax_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, bf_mem y, bf_mem offset,
                                      uint64_t segments, int cols, bf_err *err);
/* y[m,:] = x[m,:] - sum w x / sum w over the rows of its segment: centre of mass, or mean of the rows with w = 1.
 * weight [N]: 0 or more; none: all 1. A segment without weight stays as it is. */
bf_status bf_segment_centre_forward(bf_cmds *c, bf_mem y, bf_mem x, bf_mem weight, bf_mem offset, uint64_t segments,
                                    int cols, bf_err *err);
bf_status bf_segment_centre_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, bf_mem weight, bf_mem offset,
                                     uint64_t segments, int cols, bf_err *err);

/* ---- radial: lengths of edges and their code --------------------------------------------------------------------- */
/* d[i,s] = |x[i] - x[src[i,s]]| from x [N,3], src [N,slots]; 0 where src is BF_NO_ITEM */
bf_status bf_edge_length_forward(bf_cmds *c, bf_mem d, bf_mem x, bf_mem src, uint64_t items, int slots, bf_err *err);
/* by both ends of every edge; 0 where d is 0 */
bf_status bf_edge_length_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dd, bf_mem d, bf_mem x, bf_mem src,
                                  bf_mem rev_offset, bf_mem rev_edge, uint64_t items, int slots, bf_err *err);
/* y[e,j] = exp(-((d[e] - offset[j]) scale)^2 / 2), j < cols; `exponent`: without the exp, so that a softmax over j
 * gives functions that sum to 1 */
#define BF_RADIAL_MOST 256
bf_status bf_radial_forward(bf_cmds *c, bf_mem y, bf_mem d, bf_mem offset, float scale, bool exponent, uint64_t n,
                            int cols, bf_err *err);
bf_status bf_radial_backward(bf_cmds *c, bf_mem dd, bool acc, bf_mem dy, bf_mem y, bf_mem d, bf_mem offset, float scale,
                             bool exponent, uint64_t n, int cols, bf_err *err);

/* ---- random: fills from Philox, element e of sample s at out[s * per_sample + e]; keyed by the step record ------- */
typedef enum bf_random_kind { BF_RANDOM_U32, BF_RANDOM_UNIFORM, BF_RANDOM_NORMAL } bf_random_kind;
bf_status bf_random(bf_cmds *c, bf_random_kind kind, bf_mem out, uint32_t stream, bf_mem step, uint64_t samples,
                    uint64_t per_sample, bf_err *err);
/* out[i] = uniform < p[i] ? 1 : 0; and class draws k[row] (int32) from rows of probabilities */
bf_status bf_random_bernoulli(bf_cmds *c, bf_mem out, bf_mem p, uint32_t stream, bf_mem step, uint64_t samples,
                              uint64_t per_sample, bf_err *err);
bf_status bf_random_categorical(bf_cmds *c, bf_mem k, bf_mem p, int classes, uint32_t stream, bf_mem step,
                                uint64_t samples, uint64_t per_sample, bf_err *err);

/* ---- optim ------------------------------------------------------------------------------------------------------- */
/* stats: 8 floats: [0] sum of squares so far, [1] gradient norm, [2] clip factor, [3] 1 if everything was finite,
 * [4] the limit that the clip factor comes from */
enum { BF_STAT_SUMSQ, BF_STAT_NORM, BF_STAT_CLIP, BF_STAT_FINITE, BF_STAT_LIMIT, BF_STATS = 8 };
uint64_t bf_grad_norm_workspace(bf_ctx *ctx, uint64_t n);
/* stats[SUMSQ] (+)= sum g^2 over one arena; then bf_clip_factor or bf_clip_by_queue once: norm = sqrt(sumsq),
 * clip = min(1, limit / (norm + 1e-6)), 1 when limit <= 0; not finite -> FINITE = 0 and clip = 0. */
bf_status bf_grad_sumsq(bf_cmds *c, bf_mem stats, bool acc, bf_mem grad, uint64_t n, bf_mem ws, bf_err *err);
bf_status bf_clip_factor(bf_cmds *c, bf_mem stats, float max_norm, bf_err *err);
/*
 * limit = 1.5 mean + 2 standard deviations of the past norms; then min(norm, limit) joins them, unless it is not
 * finite. `queue` has BF_QUEUE_HEAD + length floats: the number of norms that ever joined, as the bits of a uint32_t,
 * which is at least 1, then a ring: norm number i, counted from 0, is entry i % length. A queue starts as the one
 * norm 1.
 */
enum { BF_QUEUE_HEAD = 1 };
bf_status bf_clip_by_queue(bf_cmds *c, bf_mem stats, bf_mem queue, uint32_t length, bf_err *err);
/* One range of one arena, PyTorch's order of operations; g is multiplied by stats[CLIP] first; with ema: e -= (1 -
 * decay)(e - p) after the update. Learning rate, bias corrections and 1 - decay come from the step record. When
 * stats[FINITE] is 0 nothing is touched. */
typedef struct bf_adamw {
    double beta1, beta2, eps, weight_decay; /* double: 1 - beta is formed before rounding to float */
} bf_adamw;
bf_status bf_adamw_step(bf_cmds *c, const bf_adamw *s, bf_mem p, bf_mem g, bf_mem m, bf_mem v, bf_mem ema, bf_mem stats,
                        bf_mem step, uint64_t n, bf_err *err);

#endif
