/*
 * The graph: a static list of nodes for one fixed batch shape. Networks and flows append nodes; bf_graph_backward
 * derives the gradient nodes; bf_graph_plan drops dead nodes and places every tensor in a few arenas by liveness;
 * bf_graph_emit turns the list into prepared commands. Nothing is allocated or planned inside a step.
 *
 * Building functions return a tensor id. The first failure sticks in the graph: later calls do nothing and return
 * BF_NONE, and bf_graph_plan (or bf_graph_status) reports it. So network code needs no checks between calls.
 */
#ifndef BF_GRAPH_GRAPH_H
#define BF_GRAPH_GRAPH_H

#include "graph/params.h"
#include "op/op.h"

typedef int32_t bf_tid;
#define BF_NONE ((bf_tid)-1)
#define BF_MAX_DIMS 6

typedef struct bf_graph bf_graph;

typedef struct bf_graph_options {
    bool training;        /* keep what backward needs, dropout on */
    bf_param_set weights; /* BF_SET_VALUE or BF_SET_EMA */
    bool add_gradients;   /* a run adds the gradients of parameters to what BF_SET_GRAD holds; else it replaces them */
    bool fixed_weights;   /* parameters change only before the commands of bf_graph_emit_prepare */
    bool recompute;       /* compute the insides of blocks a second time for backward instead of keeping them */
    bool half_storage;    /* what backward reads of the forward pass waits for it as halves (half.c) */
    /* A planned graph that never runs at the same time and lives at least as long, or NULL: the memory of its
     * activations serves this graph too where it is large enough. */
    const bf_graph *beside;
} bf_graph_options;

bf_status bf_graph_new(bf_ctx *ctx, bf_params *params, const bf_graph_options *options, bf_graph **out, bf_err *err);
void bf_graph_free(bf_graph *g);
bf_status bf_graph_status(const bf_graph *g, bf_err *err);
/* Sets the sticky error (only the first one is kept) and returns BF_NONE. */
bf_tid bf_graph_fail(bf_graph *g, bf_status status, const char *fmt, ...) BF_PRINTF(3, 4);
bool bf_graph_training(const bf_graph *g);
bf_ctx *bf_graph_ctx(const bf_graph *g);
bf_mem bf_graph_step(const bf_graph *g); /* the step record (after plan); bf_graph_set_step writes it */

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

/* Filled by the host before a run (or read after it); has a place of its own. */
bf_tid bf_graph_input(bf_graph *g, const char *name, int ndim, const uint64_t *dims);
/* Parameter or buffer of the store, registered on first use. */
bf_tid bf_graph_param(bf_graph *g, const bf_param_spec *spec);
/* Constant: the data is copied, uploaded once. */
bf_tid bf_graph_const(bf_graph *g, const char *name, int ndim, const uint64_t *dims, const float *data);
bf_tid bf_graph_find(const bf_graph *g, const char *name); /* inputs, params, labelled tensors; BF_NONE if absent */
void bf_graph_label(bf_graph *g, bf_tid t, const char *name);
/* The tensor survives the run and may be read by the host. */
void bf_graph_keep(bf_graph *g, bf_tid t);
/* Ask for the gradient of an input (parameters have one by default when training). */
void bf_graph_want_grad(bf_graph *g, bf_tid t);

int bf_graph_ndim(const bf_graph *g, bf_tid t);
uint64_t bf_graph_dim(const bf_graph *g, bf_tid t, int axis); /* axis < 0 counts from the end */
uint64_t bf_graph_numel(const bf_graph *g, bf_tid t);
bf_mem bf_graph_mem(const bf_graph *g, bf_tid t);     /* after plan (with allocation) */
bf_tid bf_graph_grad_of(const bf_graph *g, bf_tid t); /* after backward; BF_NONE when there is none */

/* ---- nodes (src/graph/nodes_*.c); shapes as in op/op.h ----------------------------------------------------------- */

bf_tid bf_graph_linear(bf_graph *g, bf_tid x, bf_tid w, bf_tid b, bf_act act,
                       bf_tid residual); /* over the last axis; b, residual may be BF_NONE */
/* One of several such layers, of one width, without activation, that read the same x, such as the projections of the
 * time code in every block: they run as one product, in front of the block that has the first of them. w, b are
 * parameters. */
bf_tid bf_graph_linear_shared(bf_graph *g, bf_tid x, bf_tid w, bf_tid b);
bf_tid bf_graph_conv(bf_graph *g, bf_tid x, bf_tid w, bf_tid bias, int stride, bf_tid per_sample, bf_tid residual);
bf_tid bf_graph_group_norm(bf_graph *g, bf_tid x, bf_tid gamma, bf_tid beta, int groups, float eps, bf_act act,
                           bf_tid scale_shift);
bf_tid bf_graph_layer_norm(bf_graph *g, bf_tid x, bf_tid gamma, bf_tid beta, float eps);
bf_tid bf_graph_act(bf_graph *g, bf_tid x, bf_act act);
bf_tid bf_graph_softmax(bf_graph *g, bf_tid x);
bf_tid bf_graph_full(bf_graph *g, int ndim, const uint64_t *dims, float value); /* one value everywhere */
bf_tid bf_graph_add(bf_graph *g, bf_tid a, bf_tid b);                           /* same shape */
bf_tid bf_graph_add_mid(bf_graph *g, bf_tid x, bf_tid t);                       /* x [B,...,C] + t [B,C] */
bf_tid bf_graph_affine(bf_graph *g, bf_tid x, float a, float b);                /* a x + b */
bf_tid bf_graph_concat(bf_graph *g, bf_tid a, bf_tid b);                        /* last axis */
/* Only where nothing trains: x [B,...] -> [2B,...], x twice; x [2B,...] -> [B,...], a times its first half plus b times
 * its second */
bf_tid bf_graph_twice(bf_graph *g, bf_tid x);
bf_tid bf_graph_mix_halves(bf_graph *g, bf_tid x, float a, float b);
bf_tid bf_graph_upsample(bf_graph *g, bf_tid x);
bf_tid bf_graph_dropout(bf_graph *g, bf_tid x, float p,
                        bf_tid mask); /* identity when not training or p = 0; mask BF_NONE = random */
bf_tid bf_graph_attention(bf_graph *g, bf_tid qkv, int heads, bf_qkv_layout layout, bool causal);
bf_tid bf_graph_time_code(bf_graph *g, bf_tid t, bf_time_code kind, int dim);
bf_tid bf_graph_time_bins(bf_graph *g, bf_tid t, int dim); /* t [B] -> [B,dim], op/op.h */
bf_tid bf_graph_fourier(bf_graph *g, bf_tid x);            /* [...,C] -> [...,4C]: sines and cosines, op/op.h */
bf_tid bf_graph_features(bf_graph *g, bf_tid x, bf_tid t, bf_tid pos);
bf_tid bf_graph_reshape(bf_graph *g, bf_tid x, int ndim, const uint64_t *dims); /* a view */
/* The first elements of x, a view; where there are more of them, no gradient flows through: BF_USAGE when training. */
bf_tid bf_graph_head(bf_graph *g, bf_tid x, int ndim, const uint64_t *dims);
/* Sum over everything of x * weight -> [1]; the loss of the network goldens and a test tool. */
bf_tid bf_graph_dot(bf_graph *g, bf_tid x, bf_tid weight);

/* A ragged batch of N items in S segments, one behind the other: words (uint32 in the place of floats) that the host
 * writes, see bf_neighbours in op/op.h. A batch with fewer items than N puts the rest into a last segment of no weight.
 */
typedef struct bf_ragged {
    bf_tid offset;  /* [S+1] */
    bf_tid segment; /* [N] */
} bf_ragged;
/* Edge i slots + s goes to item i and comes from src[i slots + s], s < count[i]; all are words. No gradient flows
 * through. The reverse lists cost nothing where nobody reads them. */
typedef struct bf_edges {
    bf_tid src, count;           /* [N slots], [N] */
    bf_tid rev_offset, rev_edge; /* [N+1], [N slots]: the edges that come from an item, op/op.h */
    int slots;                   /* k + 1 */
} bf_edges;
bf_edges bf_graph_neighbours(bf_graph *g, bf_tid x, const bf_ragged *batch, int k); /* x [N,3] */
/* x [R,...], index [E] words -> [E,...]: row index[e] of x, zeros for BF_NO_ITEM. For backward the lists of the e that
 * take from each row: offset [R+1], entry [E] words (of edges' src: rev_offset, rev_edge); of an ascending index, such
 * as the segment of an item, entry is BF_NONE. A graph that does not train does without: both BF_NONE. */
bf_tid bf_graph_gather(bf_graph *g, bf_tid x, bf_tid index, bf_tid offset, bf_tid entry);
/* x [N,...] -> [S,...]; the mean of an empty segment is 0 */
bf_tid bf_graph_segment_sum(bf_graph *g, bf_tid x, const bf_ragged *batch);
bf_tid bf_graph_segment_mean(bf_graph *g, bf_tid x, const bf_ragged *batch);
bf_tid bf_graph_segment_softmax(bf_graph *g, bf_tid x, const bf_ragged *batch); /* over the rows of a segment */
/* x minus its mean over the segment, rows weighted by weight [N] (constant; 0 or more; BF_NONE: all 1), op/op.h */
bf_tid bf_graph_segment_centre(bf_graph *g, bf_tid x, bf_tid weight, const bf_ragged *batch);
bf_tid bf_graph_edge_length(bf_graph *g, bf_tid x, const bf_edges *edges); /* [N slots]; 0 in slots without an edge */
/* d [n] and constant offsets [R] -> [n,R]: exp(-((d - o) scale)^2 / 2), or the exponent, op/op.h */
bf_tid bf_graph_radial(bf_graph *g, bf_tid d, bf_tid offsets, float scale, bool exponent);

/* The nodes of a ragged batch as the atoms of a pocket and of a ligand. Rows are those of two arrays, the pocket's
 * first; row [N]: the row of a node, node [N]: the node of a row (words). Both BF_NONE where there is no pocket: row r
 * is node r. */
typedef struct bf_placing {
    bf_tid row, node;
    uint64_t pocket; /* rows of the pocket */
} bf_placing;
/* The rows of a (pocket; may be BF_NONE) and b (ligand) in the order of the nodes, [N,C]. */
bf_tid bf_graph_merge_rows(bf_graph *g, const bf_placing *p, bf_tid a, bf_tid b);
/* The ligand's rows of x [N,C], in their order. */
bf_tid bf_graph_ligand_rows(bf_graph *g, const bf_placing *p, bf_tid x);
/* x [N,C], d added to the ligand's rows. */
bf_tid bf_graph_add_ligand_rows(bf_graph *g, const bf_placing *p, bf_tid x, bf_tid d);

/* Edge attention, op/op.h. */
typedef struct bf_edge_graph {
    bf_edges edges;
    bf_placing placing;
    int width, heads;
    bool pocket_gradient; /* gradients by the positions of the pocket's atoms are wanted */
} bf_edge_graph;
/* Parameters of an edge MLP: weight and bias of the first layer, of the norm, of the second layer. */
typedef struct bf_edge_mlp {
    bf_tid p[6];
} bf_edge_mlp;
bf_tid bf_graph_edge_gate(bf_graph *g, const bf_edge_graph *e, bf_tid x, const bf_edge_mlp *mlp); /* [N,slots] */
/* h [N,width] after a feature step, query [N,width]. mlp: keys and values. */
bf_tid bf_graph_edge_features(bf_graph *g, const bf_edge_graph *e, bf_tid x, bf_tid gate, bf_tid h, bf_tid query,
                              const bf_edge_mlp mlp[2]);
/* What a position step adds to the ligand's positions, [rows of the ligand,3], in the order of rows; query and own (the
 * ligand's rows of h) as well. */
bf_tid bf_graph_edge_positions(bf_graph *g, const bf_edge_graph *e, bf_tid x, bf_tid gate, bf_tid h, bf_tid own,
                               bf_tid query, const bf_edge_mlp mlp[2]);

/* The nodes from here on, up to the next call or the end, form a block: with the option recompute only what later nodes
 * read of its tensors is kept for backward. Good blocks end in few and small tensors: residual blocks, layers. */
void bf_graph_block(bf_graph *g);
void bf_graph_block_end(bf_graph *g);

/* ---- making node kinds (used by the functions above and by src/flow) --------------------------------------------- */

#define BF_NODE_IN 16
#define BF_NODE_OUT 8

typedef struct bf_node bf_node;
typedef struct bf_node_def {
    const char *name;
    size_t attr_size;
    /* Appends the nodes that compute the gradients of the inputs; NULL: no gradient flows through. `n` is a copy. */
    bf_status (*grad)(bf_graph *g, const bf_node *n, bf_err *err);
    uint64_t (*workspace)(const bf_graph *g, const bf_node *n); /* bytes; NULL: none */
    bf_status (*emit)(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err);
    /* Work that depends on the node's parameters alone: is there any, and the commands. They leave their result in the
     * workspace; emit() of a node with `prepared` set relies on it. NULL: none. */
    bool (*prepares)(const bf_graph *g, const bf_node *n);
    bf_status (*prepare)(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err);
    double (*flops)(const bf_graph *g, const bf_node *n); /* NULL: not worth counting */
    /* 1 + index of an input that out[0] may overwrite (elementwise kernels where each item reads before it writes);
     * 0: none. The planner does so when that input dies here. */
    int inplace;
    bool has_effect; /* never dropped as dead */
} bf_node_def;

struct bf_node {
    const bf_node_def *def;
    bf_tid in[BF_NODE_IN]; /* BF_NONE where absent */
    bf_tid out[BF_NODE_OUT];
    bool acc[BF_NODE_OUT]; /* out[i] is added to, not overwritten */
    bf_tid workspace;
    bool prepared; /* by the plan: the workspace keeps what prepare() left there */
    int block;     /* number of the block it belongs to, 0: none */
    void *attr;    /* def->attr_size bytes, owned by the graph */
};

/* A new tensor that lives only inside a run. */
bf_tid bf_graph_temp(bf_graph *g, int ndim, const uint64_t *dims);
/* Appends a node; in/out have n_in/n_out entries; acc may be NULL. `attr` is copied. */
void bf_graph_node(bf_graph *g, const bf_node_def *def, const void *attr, int n_in, const bf_tid *in, int n_out,
                   const bf_tid *out, const bool *acc);
bf_mem bf_graph_in(const bf_graph *g, const bf_node *n, int i); /* none where absent */
bf_mem bf_graph_out(const bf_graph *g, const bf_node *n, int i);
bf_mem bf_graph_ws(const bf_graph *g, const bf_node *n);
/* Inside grad(): the gradient of an output (BF_NONE if nobody needed it) ... */
bf_tid bf_graph_dout(const bf_graph *g, const bf_node *n, int i);
/* ... and where to put the gradient of an input: BF_NONE if nobody wants it, else a tensor and whether to add. */
bf_tid bf_graph_din(bf_graph *g, const bf_node *n, int i, bool *acc);
/* Hands a finished gradient over without copying (residual adds, views): the gradient of input i IS `grad`. */
void bf_graph_pass_grad(bf_graph *g, const bf_node *n, int i, bf_tid grad);

/* ---- backward, plan, run ----------------------------------------------------------------------------------------- */

/* Derives gradients of `loss` ([1], seeded with 1; or any tensor whose gradient tensor `seed` of the same shape is
 * given). */
bf_status bf_graph_backward(bf_graph *g, bf_tid loss, bf_tid seed, bf_err *err);
/* The same from n > 0 tensors at once, each with the gradient to start from; those that nothing in front of wants a
 * gradient for are passed over. */
bf_status bf_graph_backward_from(bf_graph *g, size_t n, const bf_tid *roots, const bf_tid *seeds, bf_err *err);

typedef struct bf_plan {
    size_t nodes, dead, tensors, arenas;
    uint64_t params_bytes;     /* weights, gradients, optimiser state, averages: what the store holds or will hold */
    uint64_t io_bytes;         /* inputs, constants, kept tensors */
    uint64_t activation_bytes; /* arenas, after sharing, without those of the graph beside */
    uint64_t unshared_bytes;   /* the same without sharing */
    uint64_t peak_bytes;       /* params + io + activations */
    uint64_t budget_bytes;
    double flops; /* of one run */
} bf_plan;

/* Drops dead nodes and places tensors. `allocate` false: only the numbers (--dry-run). Fails with a sentence when the
 * plan does not fit the device, saying by how much and what to lower. */
bf_status bf_graph_plan(bf_graph *g, bool allocate, bf_plan *plan, bf_err *err);
/* The plan as text, one call per line: totals, arenas, largest tensors, where the peak is. After bf_graph_plan. */
void bf_graph_report(const bf_graph *g, void (*line)(void *user, const char *text), void *user);
bf_status bf_graph_emit(bf_graph *g, bf_cmds *c, bf_err *err);
/* Appends what a graph with fixed_weights has to run once before its first run, and again after parameters changed. */
bf_status bf_graph_emit_prepare(bf_graph *g, bf_cmds *c, bf_err *err);
bf_status bf_graph_set_step(bf_graph *g, const uint32_t words[BF_STEP_WORDS], bf_err *err); /* enqueued; copied first */

#endif
