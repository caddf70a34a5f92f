/*
 * A residual network over vectors: the inputs side by side (and sines and cosines of the time), one linear layer to
 * `width` numbers, `blocks` times x += fc2(dropout(SiLU(fc1(LN(x)) + time(e)))), where e is SiLU of a two-layer network
 * of the time code and fc1 doubles the width and fc2 starts as zeros; then LN, with `skip` the result of the first
 * layer behind it, and one linear layer per output. With classes the vector of the label is added to the first layer's
 * result.
 *
 * Parameters: input, time.0, time.2, blocks.I.{norm, fc1, time, fc2}, norm, and the outputs under the names given, each
 * .weight and .bias.
 */
#ifndef BF_NET_MLP_H
#define BF_NET_MLP_H

#include "net/net.h"

/* in[inputs] have B rows of any shape each, t is [B]; out[i] becomes [B, sizes[i]] from the layer names[i]. Of `c` only
 * width, blocks, dropout, skip and classes are read. */
void bf_mlp_build(bf_graph *g, const bf_net_config *c, int inputs, const bf_tid *in, bf_tid t, int outputs,
                  const char *const *names, const uint64_t *sizes, bf_tid *out);

#endif
