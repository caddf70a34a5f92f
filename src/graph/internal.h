/* What the files of src/graph share: the tables behind a graph. Tests use it to look at the plan. */
#ifndef BF_GRAPH_INTERNAL_H
#define BF_GRAPH_INTERNAL_H

#include "graph/graph.h"

typedef enum bf_tensor_kind {
    BF_T_TEMP,  /* lives from its first writer to its last reader, unless kept */
    BF_T_INPUT, /* written by the host */
    BF_T_CONST,
    BF_T_PARAM,      /* in the store */
    BF_T_PARAM_GRAD, /* in the store, BF_SET_GRAD */
    BF_T_WORKSPACE
} bf_tensor_kind;

#define BF_NO_PLACE (-1)

typedef struct bf_tensor {
    char *name; /* owned, NULL when unnamed */
    bf_tensor_kind kind;
    int ndim;
    uint64_t dims[BF_MAX_DIMS];
    uint64_t numel;
    int param;      /* PARAM, PARAM_GRAD: index in the store */
    bf_tid root;    /* the tensor whose memory this is: itself, or what a view looks at */
    uint64_t shift; /* of a view: bytes behind the root's beginning */
    bf_tid whole;   /* the tensor that this view is a part of and that has the gradient; BF_NONE */
    bool keep, want_grad;
    bool exact;  /* never stored as halves: statistics that other numbers are compared with */
    float *data; /* CONST: owned */
    /* backward */
    bool needs_grad;
    bf_tid grad;
    bf_tid twin, origin; /* recompute.c: the repeated result, and of that the tensor it repeats; else BF_NONE */
    int holders;         /* of a root: how many tensors have their unfinished gradient here (backward.c) */
    /* plan, of a root: live nodes first..last (numbered without the dead) */
    bool needed;
    int first, last;
    int arena; /* index in bf_graph.arena, BF_NO_PLACE before the plan or without memory */
    uint64_t off, bytes;
} bf_tensor;

typedef struct bf_arena {
    uint64_t bytes;
    bool io;    /* inputs, constants, kept tensors; else shared by liveness */
    int lender; /* index of the arena of options.beside that serves as this one, BF_NO_PLACE: it has its own buffer */
    bf_buf *buf;
} bf_arena;

#define BF_STEP_RING 64 /* two halves: one is taken by the queue while the other is filled */

/* A sum over rows, of a parameter's gradient, that waits for others to share a launch (nodes_basic.c). */
typedef struct bf_waiting_sum {
    bf_tid out, x;
    bool acc;
    uint64_t mid, cols;
} bf_waiting_sum;

struct bf_graph {
    bf_ctx *ctx;
    bf_params *params;
    bf_graph_options options;
    bf_status status; /* first failure */
    bf_err err;
    bf_tensor *tensor;
    int tensors, tensor_capacity;
    bf_node *node;
    bool *live;
    int nodes, node_capacity;
    int forward_nodes; /* those in front of the derived ones; -1 before backward */
    int dropouts;
    bf_waiting_sum waiting[BF_FOLDS];
    int n_waiting;
    int block, blocks, repeated; /* recompute.c: open block (0: none), how many, the last one that was repeated */
    bf_arena *arena;
    int arenas;
    bool planned;
    bool writing; /* constants may still be on their way to the device */
    bf_plan plan;
    int peak_node;       /* where most bytes are alive */
    uint64_t live_bytes; /* alive there */
    bf_tid step;
    uint32_t step_words[BF_STEP_RING][BF_STEP_WORDS]; /* stay untouched until the queue has taken them */
    int step_slot;
    bf_mark *step_mark[2]; /* behind the last use of each half; NULL: free */
};

bf_tensor *bf_graph_at(const bf_graph *g, bf_tid t);
bf_tensor *bf_graph_root(const bf_graph *g, bf_tid t);
/* Another shape for the same memory, or for the beginning of it. */
bf_tid bf_graph_view(bf_graph *g, bf_tid of, int ndim, const uint64_t *dims);
/* Elements `first` .. of `whole`; its gradient is that part of the gradient of `whole`. */
bf_tid bf_graph_part(bf_graph *g, bf_tid whole, uint64_t first, int ndim, const uint64_t *dims);
/* bf_graph_din for any tensor. */
bf_tid bf_graph_grad_place(bf_graph *g, bf_tid t, bool *acc);
bf_tid bf_graph_param_grad(bf_graph *g, bf_tid param);

/* recompute.c: node k as its gradient rule shall see it, on repeated tensors where its block is recomputed (then the
 * block's nodes are appended first); and the tensor that has the gradient of t. */
bf_node bf_graph_again(bf_graph *g, int k);
bf_tid bf_graph_origin(const bf_graph *g, bf_tid t);

/* Appended by several gradient rules: y (+)= a; sum over the middle axis (see bf_sum_mid). */
void bf_graph_copy_node(bf_graph *g, bf_tid y, bool acc, bf_tid a);
/* Gradients of parameters (outer = 1) are finished later, several in one launch: at the end, or when
 * bf_graph_finish_sums says so. */
void bf_graph_sum_mid(bf_graph *g, bf_tid out, bool acc, bf_tid x, uint64_t outer, uint64_t mid, uint64_t inner);
void bf_graph_finish_sums(bf_graph *g);
bool bf_graph_is_waiting(const bf_graph *g, bf_tid t); /* a sum into t, or of it */
void bf_graph_fill_node(bf_graph *g, bf_tid y, float value);

/* dx (+)= dy act'(x) */
void bf_graph_act_backward(bf_graph *g, bf_act act, bf_tid dx, bool acc, bf_tid dy, bf_tid x);

/* half.c: rewrites the list, once the gradient nodes are there. */
void bf_graph_store_halves(bf_graph *g);
void bf_graph_exact(bf_graph *g, bf_tid t);

/* A dimension or product as the int that ops take; sticks an error when it does not fit. */
int bf_graph_int(bf_graph *g, uint64_t n, const char *what);

#endif
