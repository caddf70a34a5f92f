/* Descriptions of networks: defaults, checks, text. */
#include "net/net.h"

#include <stdarg.h>
#include <stdio.h>

#include "net/mlp.h"
#include "net/transformer.h"
#include "net/unet.h"
#include "net/vdm_unet.h"

/* ---- defaults ---------------------------------------------------------------------------------------------------- */

static bf_net_config unet_defaults(void)
{
    bf_net_config c = {.kind = BF_NET_UNET,
                       .input = bf_image_adapter_defaults(),
                       .channels = 1,
                       .outputs = 1,
                       .width = 128,
                       .levels = 3,
                       .mult = {1, 2, 2},
                       .blocks = 2,
                       .heads = 4,
                       .groups = 32,
                       .dropout = 0.5f,
                       .project_input = true,
                       .skip = true};

    c.input.height = c.input.width = 28;
    c.input.channels = 1;
    c.input.positions = false;
    return c;
}

static bf_net_config vdm_unet_defaults(void)
{
    bf_net_config c = {.kind = BF_NET_VDM_UNET,
                       .input = bf_image_adapter_defaults(),
                       .channels = 3,
                       .outputs = 1,
                       .width = 128,
                       .blocks = 32,
                       .heads = 1,
                       .groups = 32,
                       .dropout = 0.1f,
                       .skip = true,
                       .fourier = true};

    c.input.height = c.input.width = 32;
    c.input.channels = 3;
    c.input.time = c.input.positions = false;
    return c;
}

static bf_net_config transformer_defaults(void)
{
    bf_net_config c = {.kind = BF_NET_TRANSFORMER,
                       .input = bf_image_adapter_defaults(),
                       .channels = 1,
                       .outputs = 27,
                       .width = 768,
                       .blocks = 24,
                       .heads = 12,
                       .skip = true,
                       .bias = true};

    c.input.height = 1;
    c.input.width = 256;
    c.input.channels = 27;
    return c;
}

static bf_net_config mlp_defaults(void)
{
    bf_net_config c = {.kind = BF_NET_MLP,
                       .input = bf_image_adapter_defaults(),
                       .channels = 1,
                       .outputs = 1,
                       .width = 256,
                       .blocks = 4,
                       .heads = 1,
                       .skip = true};

    c.input.height = c.input.width = c.input.channels = 1;
    return c;
}

static bf_net_config unio2_defaults(void)
{
    bf_net_config c = {.kind = BF_NET_UNIO2,
                       .input = bf_image_adapter_defaults(),
                       .channels = 1,
                       .outputs = 1,
                       .width = 128,
                       .blocks = 9,
                       .heads = 16};

    c.input.height = c.input.width = c.input.channels = 1;
    return c;
}

bf_net_config bf_net_defaults(bf_net_kind kind)
{
    switch (kind) {
    case BF_NET_VDM_UNET: return vdm_unet_defaults();
    case BF_NET_TRANSFORMER: return transformer_defaults();
    case BF_NET_MLP: return mlp_defaults();
    case BF_NET_UNIO2: return unio2_defaults();
    case BF_NET_UNET: break;
    }
    return unet_defaults();
}

const char *bf_net_kind_name(bf_net_kind kind)
{
    switch (kind) {
    case BF_NET_UNET: return "unet";
    case BF_NET_VDM_UNET: return "vdm-unet";
    case BF_NET_TRANSFORMER: return "transformer";
    case BF_NET_MLP: return "mlp";
    case BF_NET_UNIO2: return "unio2";
    }
    return "?";
}

/* As many groups as leave four channels to each, at most the official 32. */
static int automatic_groups(int width)
{
    int groups = 32;

    while (groups > 1 && (width % groups != 0 || width / groups < 4)) groups /= 2;
    return groups;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static bf_status check_input(const bf_net_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_image_adapter *a = &c->input;

    BF_CHECK(a->height >= 1 && a->width >= 1 && a->channels >= 1 && c->channels >= 1 && c->outputs >= 1, BF_USAGE,
             "net: %d x %d points, %d numbers in, %d x %d numbers out: all must be positive", a->height, a->width,
             a->channels, c->channels, c->outputs);
    BF_CHECK(a->height <= 4096 && a->width <= 65536 && a->channels <= 65536, BF_USAGE,
             "net: an input of %d x %d x %d is too large", a->height, a->width, a->channels);
    BF_CHECK(a->bands >= 1 && a->bands <= 4096 && a->position_size >= 1 && a->position_size <= 65536, BF_USAGE,
             "net: %d position bands, learned positions of %d numbers: out of range", a->bands, a->position_size);
out:
    return st;
}

static bf_status check_levels(const bf_net_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_image_adapter *a = &c->input;

    BF_CHECK(c->levels >= 1 && c->levels <= BF_NET_LEVELS, BF_USAGE, "net.mult: %d levels, 1 to %d are possible",
             c->levels, BF_NET_LEVELS);
    const int shrink = 1 << (c->levels - 1);
    BF_CHECK(a->height % shrink == 0 && a->width % shrink == 0, BF_USAGE,
             "net: %d x %d points cannot be halved %d times, as %d levels do", a->height, a->width, c->levels - 1,
             c->levels);
    BF_CHECK(c->mult[0] == 1, BF_USAGE, "net.mult: the first level has the width of the network: 1, not %d",
             c->mult[0]);
    for (int i = 0; i < c->levels; i++) {
        BF_CHECK(c->mult[i] >= 1 && c->mult[i] <= 64, BF_USAGE, "net.mult: %d is not in 1..64", c->mult[i]);
        BF_CHECK(c->width * c->mult[i] % c->groups == 0, BF_USAGE,
                 "net.groups: %d groups do not divide the %d channels of level %d", c->groups, c->width * c->mult[i],
                 i);
        BF_CHECK(c->width * c->mult[i] % c->heads == 0, BF_USAGE,
                 "net.heads: %d heads do not divide the %d channels of level %d", c->heads, c->width * c->mult[i], i);
    }
out:
    return st;
}

static bf_status check_unet(const bf_net_config *c, bf_err *err)
{
    bf_status st = BF_OK;

    BF_CHECK(c->attentions >= 0 && c->attentions <= BF_NET_LEVELS, BF_USAGE, "net.attention: %d entries, at most %d",
             c->attentions, BF_NET_LEVELS);
    BF_CHECK(c->out_features >= 1, BF_USAGE, "net: the width of the last layer is missing");
    BF_TRY(check_levels(c, err));
out:
    return st;
}

static bf_status check_vdm_unet(const bf_net_config *c, bf_err *err)
{
    bf_status st = BF_OK;

    BF_CHECK(c->width % c->groups == 0, BF_USAGE, "net.groups: %d groups do not divide the %d channels", c->groups,
             c->width);
    BF_CHECK(!c->fourier || c->input.output <= 1024, BF_USAGE, "net.fourier: of %d numbers per point, at most 1024",
             c->input.output);
out:
    return st;
}

static bool has_group_norms(const bf_net_config *c)
{
    return c->kind == BF_NET_UNET || c->kind == BF_NET_VDM_UNET;
}

bf_status bf_net_check(const bf_net_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bool norms = has_group_norms(c);

    BF_CHECK((unsigned)c->kind <= BF_NET_UNIO2, BF_USAGE, "net.kind: unknown network %d", (int)c->kind);
    BF_CHECK(c->width >= 2 && c->width <= 4096 && c->width % 2 == 0, BF_USAGE,
             "net.width: %d is not an even number in 2..4096", c->width);
    BF_CHECK(c->blocks >= 1 && c->blocks <= BF_NET_BLOCKS, BF_USAGE, "net.blocks: %d is not in 1..%d", c->blocks,
             BF_NET_BLOCKS);
    BF_CHECK(c->kind == BF_NET_MLP || (c->heads >= 1 && c->width % c->heads == 0), BF_USAGE,
             "net.heads: %d heads do not divide the %d channels", c->heads, c->width);
    BF_CHECK(!norms || c->groups >= 1, BF_USAGE, "net.groups must be positive");
    BF_CHECK(c->dropout >= 0.0f && c->dropout < 1.0f, BF_USAGE, "net.dropout: %g is not in [0, 1)", (double)c->dropout);
    BF_CHECK(c->classes >= 0 && c->classes <= BF_NET_CLASSES, BF_USAGE, "net: %d classes, 0 to %d are possible",
             c->classes, BF_NET_CLASSES);
    BF_CHECK(c->input.output >= 1, BF_USAGE, "net: the width of the first layer is missing");
    BF_TRY(check_input(c, err));
    if (c->kind == BF_NET_UNET) BF_TRY(check_unet(c, err));
    if (c->kind == BF_NET_VDM_UNET) BF_TRY(check_vdm_unet(c, err));
out:
    return st;
}

/* With one channel to a group, the second norm of a block subtracts whatever was added per channel: the time signal.
 * (Scale and shift come behind the norm and are safe.) */
static void warn_time_lost(const bf_net_config *c)
{
    const int levels = c->kind == BF_NET_UNET ? c->levels : 1;

    if (!has_group_norms(c) || c->scale_shift) return;
    for (int i = 0; i < levels; i++)
        if (c->width * (i > 0 ? c->mult[i] : 1) == c->groups) {
            bf_log(BFNCL_LOG_WARN,
                   "net.groups: %d groups of one channel at level %d cancel the time signal there; use %d groups",
                   c->groups, i, automatic_groups(c->width));
            return;
        }
}

bf_status bf_net_resolve(bf_net_config *c, bf_err *err)
{
    bf_status st = BF_OK;

    if (c->groups == 0) c->groups = automatic_groups(c->width);
    if (c->out_features == 0) c->out_features = c->width;
    if (!has_group_norms(c))
        c->input.output = c->width;
    else if (c->input.output == 0)
        c->input.output = bf_image_adapter_features(&c->input);
    BF_TRY(bf_net_check(c, err));
    warn_time_lost(c);
out:
    return st;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

/* A single group of data. */
static bf_tid build_mlp(bf_graph *g, const bf_net_config *c, bf_tid net_in, bf_tid t)
{
    const uint64_t points = (uint64_t)c->input.height * (uint64_t)c->input.width;
    const uint64_t size = points * (uint64_t)c->channels * (uint64_t)c->outputs;
    const char *name = "output";
    bf_tid out = BF_NONE;

    bf_mlp_build(g, c, 1, &net_in, t, 1, &name, &size, &out);
    return bf_graph_reshape(g, out, 4,
                            (uint64_t[]){bf_graph_dim(g, out, 0), points, (uint64_t)c->channels, (uint64_t)c->outputs});
}

bf_tid bf_net_build(bf_graph *g, const bf_net_config *c, bf_tid net_in, bf_tid t)
{
    bf_err err = {0};

    if (bf_graph_status(g, &err) != BF_OK) return BF_NONE;
    if (bf_net_check(c, &err) != BF_OK) return bf_graph_fail(g, err.status, "%s", err.message);
    switch (c->kind) {
    case BF_NET_UNET: return bf_unet_build(g, c, net_in, t);
    case BF_NET_VDM_UNET: return bf_vdm_unet_build(g, c, net_in, t);
    case BF_NET_MLP: return build_mlp(g, c, net_in, t);
    case BF_NET_UNIO2: return bf_graph_fail(g, BF_USAGE, "net.kind unio2 is for molecules");
    case BF_NET_TRANSFORMER: break;
    }
    return bf_transformer_build(g, c, net_in, t);
}

/* Appends to a text of `size` bytes; *at stops at the end when it does not fit. */
static void append(char *text, size_t size, size_t *at, const char *fmt, ...) BF_PRINTF(4, 5);
static void append(char *text, size_t size, size_t *at, const char *fmt, ...)
{
    va_list ap;

    if (*at >= size) return;
    va_start(ap, fmt);
    const int n = vsnprintf(text + *at, size - *at, fmt, ap);
    va_end(ap);
    *at += n > 0 ? (size_t)n : 0;
}

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

static void describe_unet(const bf_net_config *c, char *text, size_t size, size_t *at)
{
    append(text, size, at, " x (");
    for (int i = 0; i < c->levels; i++) append(text, size, at, "%s%d", i ? "," : "", c->mult[i]);
    append(text, size, at, "), %d block%s, %d groups, attention ", c->blocks, plural(c->blocks), c->groups);
    for (int i = 0; i < c->attentions; i++) append(text, size, at, "%s%d", i ? "," : "at rates ", c->attention[i]);
    append(text, size, at, "%s", c->attentions ? " and in the middle" : "in the middle");
}

/* Everything but the labels. */
static void describe(const bf_net_config *c, char *text, size_t size, size_t *at)
{
    append(text, size, at, "%s %dx%d, width %d", bf_net_kind_name(c->kind), c->input.height, c->input.width, c->width);
    if (c->kind == BF_NET_UNET) {
        describe_unet(c, text, size, at);
        return;
    }
    append(text, size, at, ", %d block%s", c->blocks, plural(c->blocks));
    if (c->kind == BF_NET_MLP) return;
    append(text, size, at, ", %d head%s", c->heads, plural(c->heads));
    if (c->kind == BF_NET_VDM_UNET)
        append(text, size, at, ", %d groups, attention %s", c->groups,
               c->attention_everywhere ? "everywhere" : "in the middle");
    else if (c->causal)
        append(text, size, at, ", causal");
}

void bf_net_describe(const bf_net_config *c, char *text, size_t size)
{
    size_t at = 0;

    describe(c, text, size, &at);
    if (c->classes > 0) append(text, size, &at, ", labels of %d classes", c->classes);
}
