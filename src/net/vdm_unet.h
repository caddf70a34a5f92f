/* The official CIFAR-10 U-Net ("UNetVDM"): see bf_net_build, which checks the description first. */
#ifndef BF_NET_VDM_UNET_H
#define BF_NET_VDM_UNET_H

#include "net/net.h"

bf_tid bf_vdm_unet_build(bf_graph *g, const bf_net_config *c, bf_tid net_in, bf_tid t);

#endif
