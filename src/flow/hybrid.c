/* Groups of flows and their nodes. flow/hybrid.h */
#include "flow/hybrid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/ops.h"

bf_group bf_group_alone(const bf_flow *f, uint64_t dims)
{
    return (bf_group){.name = "data", .flow = *f, .dims = dims, .weight = 1.0};
}

bf_status bf_hybrid_new(int groups, bf_hybrid *out, bf_err *err)
{
    bf_status st = BF_OK;
    *out = (bf_hybrid){0};
    BF_CHECK(groups >= 1 && groups <= BF_MAX_GROUPS, BF_USAGE, "flow: %d groups, possible are 1 to %d", groups,
             BF_MAX_GROUPS);
    BF_NEW(out->group, groups);
    out->groups = groups;
out:
    return st;
}

void bf_hybrid_free(bf_hybrid *h)
{
    free(h->group);
    *h = (bf_hybrid){0};
}

bf_status bf_hybrid_check(const bf_hybrid *h, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(h->groups >= 1 && h->groups <= BF_MAX_GROUPS, BF_USAGE, "flow: %d groups, possible are 1 to %d", h->groups,
             BF_MAX_GROUPS);
    for (int i = 0; i < h->groups; i++) {
        const bf_group *one = &h->group[i];
        BF_CHECK(one->dims >= 1 && one->dims <= INT32_MAX, BF_USAGE, "group %s: %llu variables", one->name,
                 (unsigned long long)one->dims);
        BF_CHECK(one->weight >= 0.0 && isfinite(one->weight), BF_USAGE, "group %s: a weight of %g", one->name,
                 one->weight);
        for (int k = 0; k < i; k++)
            BF_CHECK(strcmp(one->name, h->group[k].name) != 0, BF_USAGE, "two groups are called %s", one->name);
        st = bf_flow_check(&one->flow, err);
        if (st != BF_OK && h->groups > 1) bf_err_context(err, "group %s", one->name);
        if (st != BF_OK) goto out;
    }
out:
    return st;
}

uint64_t bf_hybrid_dims(const bf_hybrid *h)
{
    uint64_t dims = 0;
    for (int i = 0; i < h->groups; i++) dims += h->group[i].dims;
    return dims;
}

const bf_group *bf_hybrid_categorical(const bf_hybrid *h)
{
    for (int i = 0; i < h->groups; i++)
        if (h->group[i].flow.kind == BF_FLOW_CATEGORICAL) return &h->group[i];
    return NULL;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

typedef struct take_attr {
    bf_flow_shape shape;
    uint64_t first, pitch;
} take_attr;

static bf_status take_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const take_attr *a = n->attr;
    return bf_group_op_take(c, a->shape, bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), bf_graph_in(g, n, 0), a->first,
                            a->pitch, err);
}

static const bf_node_def take_def = {.name = "group_take", .attr_size = sizeof(take_attr), .emit = take_emit};

void bf_hybrid_rows(bf_graph *g, const bf_hybrid *h, bf_tid rows, bool missing, bf_group_nodes *n)
{
    bf_err ignored;
    uint64_t first = 0;
    for (int i = 0; i < h->groups; i++)
        n[i] = (bf_group_nodes){BF_NONE, BF_NONE, BF_NONE, BF_NONE, BF_NONE, .net_out = BF_NONE};
    if (bf_graph_status(g, &ignored) != BF_OK || rows < 0) return;
    const uint64_t items = bf_graph_dim(g, rows, 0), pitch = bf_graph_numel(g, rows) / items;
    if (pitch < bf_hybrid_dims(h)) {
        bf_graph_fail(g, BF_USAGE, "flow: rows of %llu numbers, the groups have %llu variables",
                      (unsigned long long)pitch, (unsigned long long)bf_hybrid_dims(h));
        return;
    }
    if (h->groups == 1 && !missing && pitch == h->group[0].dims) {
        n[0].data = rows;
        return;
    }
    for (int i = 0; i < h->groups; i++) {
        const uint64_t dims[] = {items, h->group[i].dims};
        const take_attr a = {.shape = {items, dims[1]}, .first = first, .pitch = pitch};
        n[i].data = bf_graph_temp(g, 2, dims);
        if (missing) n[i].mask = bf_graph_temp(g, 2, dims);
        bf_graph_node(g, &take_def, &a, 1, &rows, 2, (bf_tid[]){n[i].data, n[i].mask}, NULL);
        first += dims[1];
    }
}

bf_tid bf_hybrid_rest(bf_graph *g, const bf_hybrid *h, bf_tid rows)
{
    bf_err ignored;
    const uint64_t first = bf_hybrid_dims(h);
    if (bf_graph_status(g, &ignored) != BF_OK) return BF_NONE;
    const uint64_t items = bf_graph_dim(g, rows, 0), pitch = bf_graph_numel(g, rows) / items;
    if (pitch <= first) return bf_graph_fail(g, BF_USAGE, "flow: nothing stands behind the variables of a row");
    const uint64_t dims[] = {items, pitch - first};
    const take_attr a = {.shape = {items, dims[1]}, .first = first, .pitch = pitch};
    const bf_tid rest = bf_graph_temp(g, 2, dims);
    bf_graph_node(g, &take_def, &a, 1, &rows, 2, (bf_tid[]){rest, BF_NONE}, NULL);
    return rest;
}

/* ---- flow, network, losses --------------------------------------------------------------------------------------- */

static bf_flow_part part_of(const bf_group_nodes *n, int i)
{
    return (bf_flow_part){.group = (uint32_t)i, .mask = n->mask, .weight = n->weight};
}

void bf_hybrid_input(bf_graph *g, const bf_hybrid *h, bf_tid t, bf_group_nodes *n)
{
    for (int i = 0; i < h->groups; i++) {
        const bf_flow_part part = part_of(&n[i], i);
        n[i].state = bf_flow_part_input(g, &h->group[i].flow, &part, n[i].data, t, n[i].noise);
    }
}

void bf_hybrid_net(bf_graph *g, const bf_hybrid *h, bf_net_fn net, void *user, bf_tid t, bf_group_nodes *n)
{
    bf_err ignored;
    bf_tid input[BF_MAX_GROUPS], out[BF_MAX_GROUPS];
    for (int i = 0; i < h->groups; i++) {
        input[i] = n[i].state.input;
        out[i] = BF_NONE;
    }
    if (bf_graph_status(g, &ignored) == BF_OK) net(user, g, input, t, out);
    for (int i = 0; i < h->groups; i++) n[i].net_out = out[i];
}

typedef struct total_attr {
    double factor;
    uint64_t items;
} total_attr;

static bf_status total_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const total_attr *a = n->attr;
    return bf_group_op_total(c, bf_graph_out(g, n, 0), n->acc[0], a->factor, bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                             a->items, err);
}

static const bf_node_def total_def = {.name = "group_total", .attr_size = sizeof(total_attr), .emit = total_emit};

/* total [N] (+)= weight_g w_g dims_g / D sample_g */
static bf_tid add_up(bf_graph *g, const bf_hybrid *h, const bf_group_nodes *n, uint64_t items)
{
    const double all = (double)bf_hybrid_dims(h);
    /* a flow alone: its losses are the total */
    if (h->groups == 1 && h->group[0].weight == 1.0 && n[0].weight < 0) return n[0].losses.sample;
    const bf_tid total = bf_graph_temp(g, 1, &items);
    for (int i = 0; i < h->groups; i++) {
        const total_attr a = {.factor = h->group[i].weight * (double)h->group[i].dims / all, .items = items};
        bf_graph_node(g, &total_def, &a, 2, (bf_tid[]){n[i].losses.sample, n[i].weight}, 1, &total, (bool[]){i > 0});
    }
    return total;
}

bf_tid bf_hybrid_loss(bf_graph *g, const bf_hybrid *h, const bf_flow_loss_spec *spec, bf_tid t, bf_group_nodes *n,
                      bool want_grad)
{
    bf_err ignored;
    if (bf_graph_status(g, &ignored) != BF_OK) return BF_NONE;
    const uint64_t items = bf_graph_numel(g, t);
    const double variables = (double)items * (double)bf_hybrid_dims(h);
    for (int i = 0; i < h->groups; i++) {
        const bf_group *one = &h->group[i];
        bf_flow_part part = part_of(&n[i], i);
        part.scale = one->weight / variables;
        if (n[i].data >= 0 && bf_graph_numel(g, n[i].data) != items * one->dims)
            return bf_graph_fail(g, BF_USAGE, "group %s: data of %llu numbers, %llu items of %llu variables", one->name,
                                 (unsigned long long)bf_graph_numel(g, n[i].data), (unsigned long long)items,
                                 (unsigned long long)one->dims);
        if (n[i].net_out < 0) return bf_graph_fail(g, BF_USAGE, "group %s: the network has no output", one->name);
        n[i].losses = bf_flow_part_loss(g, &one->flow, &part, spec, n[i].state, n[i].data, t, n[i].net_out,
                                        n[i].mc_noise, want_grad && part.scale > 0.0);
        if (bf_graph_status(g, &ignored) != BF_OK) return BF_NONE;
    }
    return add_up(g, h, n, items);
}

bf_status bf_hybrid_backward(bf_graph *g, const bf_hybrid *h, const bf_group_nodes *n, float scale, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tid roots[BF_MAX_GROUPS], seeds[BF_MAX_GROUPS];
    size_t count = 0;
    BF_TRY(bf_graph_status(g, err));
    for (int i = 0; i < h->groups; i++) {
        if (n[i].losses.grad < 0) continue;
        roots[count] = n[i].net_out;
        seeds[count++] = scale == 1.0f ? n[i].losses.grad : bf_graph_affine(g, n[i].losses.grad, scale, 0.0f);
    }
    BF_CHECK(count > 0, BF_USAGE, "flow: no group has a gradient to start from");
    BF_TRY(bf_graph_backward_from(g, count, roots, seeds, err));
out:
    return st;
}
