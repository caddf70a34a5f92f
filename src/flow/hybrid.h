/*
 * Hybrid flows: groups of variables of different kinds, each with a flow of its own, under one network (spec 2.7). A
 * single flow is one group of weight 1: the same nodes, random numbers and bits as those of flow/flow.h alone.
 *
 * An item is what has a time of its own: a row of a table, a picture, an atom of a molecule (which has its molecule's
 * time). Over N items the data of group g are [N, dims] (or [N, ...] with dims numbers per item), as flow/flow.h wants
 * them. A row holds the groups' columns side by side, D = sum of their dims numbers.
 *
 * Losses are sums over groups, reported apart. In nats per variable of all groups, as for a single flow,
 *   total[i] = 1/D sum_g weight_g w_g[i] dims_g sample_g[i]
 * is minimised in the mean over items; sample_g[i] is the mean over the group's variables, and w_g[i] is 1 unless
 * given. What the mask leaves out counts with loss 0, so D times a mean over variables is always the sum of what was
 * observed.
 */
#ifndef BF_FLOW_HYBRID_H
#define BF_FLOW_HYBRID_H

#include "flow/flow.h"

#define BF_MAX_GROUPS 256

typedef struct bf_group {
    char name[48]; /* for reports: "position", "type", a column */
    bf_flow flow;
    uint64_t dims; /* variables per item */
    double weight; /* of its loss in what is minimised, >= 0 */
} bf_group;

typedef struct bf_hybrid {
    int groups; /* 1..BF_MAX_GROUPS */
    bf_group *group;
} bf_hybrid;

/* A flow alone: a group called "data" of weight 1. */
bf_group bf_group_alone(const bf_flow *f, uint64_t dims);

/* `groups` empty groups. Free in every case. */
bf_status bf_hybrid_new(int groups, bf_hybrid *out, bf_err *err);
void bf_hybrid_free(bf_hybrid *h);

/* BF_USAGE, naming the group, when a setting is out of range or two groups have one name. */
bf_status bf_hybrid_check(const bf_hybrid *h, bf_err *err);

uint64_t bf_hybrid_dims(const bf_hybrid *h); /* D */
/* A group that has classes; NULL: none. */
const bf_group *bf_hybrid_categorical(const bf_hybrid *h);

/* The network of a hybrid model: input[g] is what group g's flow feeds (bf_flow_inputs numbers per variable), t [N];
 * out[g] has bf_flow_outputs numbers per variable. Failures stick in the graph. */
typedef void (*bf_net_fn)(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out);

/* ---- graph ------------------------------------------------------------------------------------------------------ */

/* One group on a graph. Absent: BF_NONE. */
typedef struct bf_group_nodes {
    bf_tid data;
    bf_tid mask;            /* [N, dims]: 0 where nothing was observed, see bf_flow_part */
    bf_tid weight;          /* [N]: w_g */
    bf_tid noise, mc_noise; /* of bf_flow_input and bf_flow_loss; absent: Philox */
    bf_flow_state state;
    bf_tid net_out;
    bf_flow_losses losses; /* of `weight` 0: no gradient */
} bf_group_nodes;

/* Data, and with `missing` masks, from rows [N, D]; there NaN stands for what was not observed. All else is absent. The
 * rows may be longer, for bf_hybrid_rest. */
void bf_hybrid_rows(bf_graph *g, const bf_hybrid *h, bf_tid rows, bool missing, bf_group_nodes *n);
/* What stands in the rows behind the groups' variables: [N, the rest], for networks that are told more. No gradient
 * flows to it. */
bf_tid bf_hybrid_rest(bf_graph *g, const bf_hybrid *h, bf_tid rows);
/* State of every group at times t [N], and what the network receives. */
void bf_hybrid_input(bf_graph *g, const bf_hybrid *h, bf_tid t, bf_group_nodes *n);
/* The network on these states. */
void bf_hybrid_net(bf_graph *g, const bf_hybrid *h, bf_net_fn net, void *user, bf_tid t, bf_group_nodes *n);
/* Losses of every group; returns total [N]. With want_grad every group's losses.grad is the gradient of the mean of
 * `total` by its net_out. */
bf_tid bf_hybrid_loss(bf_graph *g, const bf_hybrid *h, const bf_flow_loss_spec *spec, bf_tid t, bf_group_nodes *n,
                      bool want_grad);
/* bf_graph_backward from all groups, gradients multiplied by `scale`. */
bf_status bf_hybrid_backward(bf_graph *g, const bf_hybrid *h, const bf_group_nodes *n, float scale, bf_err *err);

#endif
