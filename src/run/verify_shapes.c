/* Parameter lists of full-size networks against what our networks register. */
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "graph/graph.h"
#include "net/net.h"
#include "run/molcraft.h"
#include "run/official.h"
#include "run/verify.h"

#define NAME_SIZE 512
#define MOLECULE_PREFIX "dynamics."

static bool same_shape(const json_t *shape, const bf_param_spec *s)
{
    bool same = json_array_size(shape) == (size_t)s->ndim;

    for (int i = 0; same && i < s->ndim; i++)
        same = json_integer_value(json_array_get(shape, (size_t)i)) == (json_int_t)s->dims[i];
    return same;
}

/* What is wrong with a parameter, NULL for nothing. Names in the file begin with `prefix`; `decay`: weight decay is a
 * property of parameters there. */
static const char *difference(const json_t *entry, const char *prefix, bool decay, const bf_param_spec *s)
{
    const size_t skip = strlen(prefix);
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *kind = json_string_value(json_object_get(entry, "kind"));
    const bool decays = json_number_value(json_object_get(entry, "weight_decay")) != 0.0;

    if (!name || strncmp(name, prefix, skip) != 0 || strcmp(name + skip, s->name) != 0)
        return "the network has another name";
    if (!same_shape(json_object_get(entry, "shape"), s)) return "the network has another shape";
    if (!kind || (strcmp(kind, "buffer") == 0) != s->buffer) return "parameter or buffer: the network differs";
    if (decay && !s->buffer && decays != s->decay) return "weight decay: the network differs";
    return NULL;
}

static void compare_lists(bf_verify *v, const json_t *root, const char *prefix, bool decay, const bf_params *p)
{
    const json_t *list = json_object_get(root, "tensors");
    const size_t count = (size_t)bf_params_count(p);
    const json_int_t numbers = json_integer_value(json_object_get(root, "n_parameters"));
    char note[NAME_SIZE];

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        const bf_param_spec *s = i < count ? bf_params_spec(p, (int)i) : NULL;
        const char *wrong = s ? difference(entry, prefix, decay, s) : "the network has no more parameters";
        snprintf(note, sizeof note, "%s (%s%s)", wrong ? wrong : "", prefix, s ? s->name : "");
        bf_verify_fact(v, name ? name : "tensors", wrong == NULL, note);
    }
    snprintf(note, sizeof note, "%zu stored, %zu in the network", json_array_size(list), count);
    bf_verify_fact(v, "tensors", json_array_size(list) == count, note);
    snprintf(note, sizeof note, "%lld stored, %llu in the network", (long long)numbers,
             (unsigned long long)bf_params_numel(p));
    bf_verify_fact(v, "n_parameters", numbers == (json_int_t)bf_params_numel(p), note);
}

/* Does a forward pass read what it is said to read? A parameter that nothing reads has no gradient. */
static void compare_use(bf_verify *v, const json_t *root, const bf_graph *g)
{
    const json_t *list = json_object_get(root, "tensors");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i), *used = json_object_get(entry, "used");
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (!name || !used || strncmp(name, MOLECULE_PREFIX, strlen(MOLECULE_PREFIX)) != 0) continue;
        const bf_tid t = bf_graph_find(g, name + strlen(MOLECULE_PREFIX));
        bf_verify_fact(v, name, t >= 0 && (bf_graph_grad_of(g, t) >= 0) == json_is_true(used),
                       "whether the network reads it differs");
    }
}

/* The network of a molecule model, on one atom of a pocket and one of a ligand. */
static bf_status molecule_shapes(bf_verify *v, const json_t *root, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_graph_options options = {.training = true, .weights = BF_SET_VALUE};
    bf_params *params = NULL;
    bf_graph *g = NULL;
    bf_molcraft settings;
    bf_tid x, logits;

    BF_TRY(bf_molcraft_read(json_object_get(root, "dynamics"), &settings, err));
    const bf_unio2 net = bf_molcraft_net(&settings);
    BF_TRY(bf_params_new(bf_verify_ctx(v), &params, err));
    BF_TRY(bf_graph_new(bf_verify_ctx(v), params, &options, &g, err));
    const uint64_t one = 1, two = 2, place[2] = {1, 3};
    const bf_unio2_batch batch = {
        .pocket_x = bf_graph_input(g, "pocket_x", 2, place),
        .pocket_v = bf_graph_input(g, "pocket_v", 2, (uint64_t[]){1, (uint64_t)net.pocket_features}),
        .x = bf_graph_input(g, "x", 2, place),
        .types = bf_graph_input(g, "types", 2, (uint64_t[]){1, (uint64_t)net.types}),
        .t = net.time_dim > 0 ? bf_graph_input(g, "t", 1, &one) : BF_NONE,
        .nodes = {bf_graph_input(g, "offset", 1, &two), bf_graph_input(g, "segment", 1, &two)},
        .row = bf_graph_input(g, "row", 1, &two),
        .node = bf_graph_input(g, "node", 1, &two)};
    bf_unio2_build(g, &net, &batch, &x, &logits);
    const bf_tid loss = bf_graph_add(g, bf_graph_dot(g, x, x), bf_graph_dot(g, logits, logits));
    BF_TRY(bf_graph_backward(g, loss, BF_NONE, err));
    compare_lists(v, root, MOLECULE_PREFIX, false, params);
    compare_use(v, root, g);
out:
    bf_graph_free(g);
    bf_params_free(params);
    return st;
}

bf_status bf_verify_shapes(bf_verify *v, const json_t *root, bf_err *err)
{
    bf_status st = BF_OK;
    const json_t *model = json_object_get(root, "model");
    const bf_graph_options options = {.weights = BF_SET_VALUE};
    bf_params *params = NULL;
    bf_graph *g = NULL;
    bf_net_config c;

    if (json_is_object(json_object_get(root, "dynamics"))) return molecule_shapes(v, root, err);
    if (!bf_official_net_known(bf_official_class(json_object_get(model, "net")))) {
        bf_verify_skip(v, "tensors", "this network is not implemented yet");
        return BF_OK;
    }
    BF_TRY(bf_official_net(model, &c, err));
    BF_TRY(bf_params_new(bf_verify_ctx(v), &params, err));
    BF_TRY(bf_graph_new(bf_verify_ctx(v), params, &options, &g, err));
    const uint64_t dims[4] = {1, (uint64_t)c.input.height, (uint64_t)c.input.width, (uint64_t)c.input.channels};
    (void)bf_net_build(g, &c, bf_graph_input(g, "x", 4, dims), bf_graph_input(g, "t", 1, dims));
    BF_TRY(bf_graph_status(g, err));
    compare_lists(v, root, "net.", true, params);
out:
    bf_graph_free(g);
    bf_params_free(params);
    return st;
}
