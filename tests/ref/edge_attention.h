/* Edge attention in double precision, in the order of the definition: every edge's MLPs on concatenated inputs. */
#ifndef BF_TESTS_REF_EDGE_ATTENTION_H
#define BF_TESTS_REF_EDGE_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

/* Linear(in, width), layer norm, ReLU, Linear(width, out) */
typedef struct ref_edge_mlp {
    const double *w, *bias, *gamma, *beta, *w2, *bias2;
} ref_edge_mlp;

typedef struct ref_edges {
    size_t nodes, slots, width, heads;
    const double *x;             /* [nodes,3] */
    const uint32_t *src, *count; /* [nodes,slots], [nodes] */
    const unsigned char *ligand; /* [nodes] */
} ref_edges;

/* gate [nodes,slots], 0 behind the edges of a node */
void ref_edge_gate(const ref_edges *e, const ref_edge_mlp *mlp, double *gate);

/* out [nodes,width], what the feature step adds to features; h [nodes,width], query [nodes,width] */
void ref_edge_features(const ref_edges *e, const ref_edge_mlp *key, const ref_edge_mlp *value, const double *query,
                       const double *h, const double *gate, double *out);

/* out [nodes,3], what the position step adds to the positions of the ligand (0 for others) */
void ref_edge_positions(const ref_edges *e, const ref_edge_mlp *key, const ref_edge_mlp *value, const double *query,
                        const double *h, const double *gate, double *out);

#endif
