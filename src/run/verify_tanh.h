/* The network that the golden files of sampling runs hold: out = W2 tanh(W1 s + b1 + v1 t) + b2 on the flattened state
 * s, of classes probabilities theta. */
#ifndef BF_RUN_VERIFY_TANH_H
#define BF_RUN_VERIFY_TANH_H

#include "flow/hybrid.h"
#include "run/verify.h"

typedef struct bf_tanh_net {
    uint64_t in, hidden, out; /* of the flow: for two classes one number per variable goes in, and one comes out */
    float *host[5];           /* w1, b1, v1, w2, b2 as the graph wants them */
} bf_tanh_net;

/* From net.W1, ...; s is scale theta + shift (or mu). Close in every case. */
bf_status bf_tanh_open(const bf_verify *v, const bf_flow *f, uint64_t dims, double scale, double shift,
                       bf_tanh_net *net, bf_err *err);
void bf_tanh_close(bf_tanh_net *net);
/* bf_net_fn: `net` is a bf_tanh_net. */
void bf_tanh_build(void *net, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out);
/* The values of its parameters. */
bf_status bf_tanh_fill(const bf_tanh_net *net, bf_params *params, bf_err *err);

#endif
