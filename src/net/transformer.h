/* The official text transformer ("GPT"): see bf_net_build, which checks the description first. */
#ifndef BF_NET_TRANSFORMER_H
#define BF_NET_TRANSFORMER_H

#include "net/net.h"

bf_tid bf_transformer_build(bf_graph *g, const bf_net_config *c, bf_tid net_in, bf_tid t);

#endif
