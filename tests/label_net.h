/* For suites about networks that are told labels: one of each kind. */
#ifndef BF_TESTS_LABEL_NET_H
#define BF_TESTS_LABEL_NET_H

#include <stdlib.h>

#include "net/net.h"
#include "support.h"

enum { B = 5, CLASSES = 3 };
static const uint32_t labels[B] = {2, 0, CLASSES, 2, 2}; /* one is "none", class 1 does not occur */

/* A small network of each kind; mlp and U-Nets see 4 x 4 x 1 numbers, the transformer 4 positions of 5 classes. */
static inline bf_net_config network(bf_net_kind kind)
{
    bf_net_config c = bf_net_defaults(kind);
    c.input.height = kind == BF_NET_TRANSFORMER ? 1 : 4;
    c.input.width = 4;
    c.input.channels = kind == BF_NET_TRANSFORMER ? 5 : 1;
    c.outputs = kind == BF_NET_TRANSFORMER ? 5 : 2;
    c.channels = 1;
    c.width = 8;
    c.levels = 1;
    c.blocks = 1;
    c.heads = 2;
    c.groups = kind == BF_NET_UNET || kind == BF_NET_VDM_UNET ? 2 : 0;
    c.dropout = 0.0f;
    c.attentions = 0;
    c.classes = CLASSES;
    OK(bf_net_resolve(&c, err));
    return c;
}

/* So that no layer starts as zeros. */
static inline void fill_weights(bf_params *p)
{
    for (int k = 0; k < bf_params_count(p); k++) {
        const bf_param_spec *s = bf_params_spec(p, k);
        const size_t n = bf_param_numel(s);
        if (s->buffer) continue;
        float *x = malloc(n * sizeof *x);
        ck_assert_ptr_nonnull(x);
        test_fill(x, n, (uint32_t)k);
        for (size_t j = 0; j < n; j++) x[j] *= 0.5f;
        OK(bf_params_set(p, BF_SET_VALUE, k, x, err));
        free(x);
    }
}

#endif
