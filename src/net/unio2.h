/* The equivariant network of MolCRAFT ("unio2net"): atoms of a pocket and a ligand, or of a molecule alone, exchange
 * messages with their nearest neighbours; the ligand's atoms move. */
#ifndef BF_NET_UNIO2_H
#define BF_NET_UNIO2_H

#include "graph/graph.h"

#define BF_UNIO2_LAYERS 32

typedef enum bf_unio2_time {
    BF_UNIO2_SIMPLE, /* t itself, time_dim 1 */
    BF_UNIO2_RBF,    /* soft bins of t (bf_time_bins_forward) */
    BF_UNIO2_RBFNN   /* the same, then Linear(dim, 4 dim), GELU, Linear(4 dim, dim) */
} bf_unio2_time;

typedef struct bf_unio2 {
    int width, heads, layers;
    int neighbours;      /* k */
    int pocket_features; /* numbers per atom of the pocket */
    int types;           /* kinds of atoms of the ligand */
    int time_dim;        /* numbers that the ligand's atoms get about the time; 0: none */
    bf_unio2_time time_mode;
    bool indicator; /* the last feature says whether an atom is the ligand's */
} bf_unio2;

/* The released settings: width 128, 16 heads, 9 layers, 32 neighbours, 27 features of a pocket's atom, 13 types, time
 * as one number. */
bf_unio2 bf_unio2_defaults(void);

/* BF_USAGE with one sentence when an option is out of range or two contradict each other. */
bf_status bf_unio2_check(const bf_unio2 *c, bf_err *err);

/* What the network reads: P rows of pockets, L rows of ligands, N = P + L nodes. Nodes are complex after complex,
 * pocket before ligand; positions are centred and in the units of the model. Rows that a batch has not are nodes of the
 * last segment. */
typedef struct bf_unio2_batch {
    bf_tid pocket_x, pocket_v; /* [P,3], [P,pocket_features]; BF_NONE both: no pocket */
    bf_tid x, types, t;        /* [L,3], [L,types] probabilities, [L] time of every atom (BF_NONE with time_dim 0) */
    bf_ragged nodes;
    bf_tid row, node; /* bf_placing; BF_NONE both without a pocket */
    bool pocket_gradient;
} bf_unio2_batch;

/* Registers the parameters under their official names (without "dynamics.") and appends the network: x_out [L,3],
 * positions after the last layer (what they mean, the data or its noise, is the flow's affair), and logits [L,types].
 * Labels act.h0, act.x0, act.edge_gate [N,slots], act.layer<l>.h and .x, in the order of the nodes. A layer is a block
 * for recomputation. */
void bf_unio2_build(bf_graph *g, const bf_unio2 *c, const bf_unio2_batch *b, bf_tid *x_out, bf_tid *logits);

#endif
