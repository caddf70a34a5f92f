/* Parameter lists of full-size networks against what our networks register. */
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "graph/graph.h"
#include "net/net.h"
#include "run/official.h"
#include "run/verify.h"

#define NAME_SIZE 512

static bool same_shape(const json_t *shape, const bf_param_spec *s)
{
    bool same = json_array_size(shape) == (size_t)s->ndim;

    for (int i = 0; same && i < s->ndim; i++)
        same = json_integer_value(json_array_get(shape, (size_t)i)) == (json_int_t)s->dims[i];
    return same;
}

/* What is wrong with a parameter, NULL for nothing. */
static const char *difference(const json_t *entry, const bf_param_spec *s)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *kind = json_string_value(json_object_get(entry, "kind"));
    const bool decays = json_number_value(json_object_get(entry, "weight_decay")) != 0.0;

    if (!name || strncmp(name, "net.", 4) != 0 || strcmp(name + 4, s->name) != 0) return "the network has another name";
    if (!same_shape(json_object_get(entry, "shape"), s)) return "the network has another shape";
    if (!kind || (strcmp(kind, "buffer") == 0) != s->buffer) return "parameter or buffer: the network differs";
    if (!s->buffer && decays != s->decay) return "weight decay: the network differs";
    return NULL;
}

static void compare_lists(bf_verify *v, const json_t *root, const bf_params *p)
{
    const json_t *list = json_object_get(root, "tensors");
    const size_t count = (size_t)bf_params_count(p);
    const json_int_t numbers = json_integer_value(json_object_get(root, "n_parameters"));
    char note[NAME_SIZE];

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        const bf_param_spec *s = i < count ? bf_params_spec(p, (int)i) : NULL;
        const char *wrong = s ? difference(entry, s) : "the network has no more parameters";
        snprintf(note, sizeof note, "%s (net.%s)", wrong ? wrong : "", s ? s->name : "");
        bf_verify_fact(v, name ? name : "tensors", wrong == NULL, note);
    }
    snprintf(note, sizeof note, "%zu stored, %zu in the network", json_array_size(list), count);
    bf_verify_fact(v, "tensors", json_array_size(list) == count, note);
    snprintf(note, sizeof note, "%lld stored, %llu in the network", (long long)numbers,
             (unsigned long long)bf_params_numel(p));
    bf_verify_fact(v, "n_parameters", numbers == (json_int_t)bf_params_numel(p), note);
}

bf_status bf_verify_shapes(bf_verify *v, const json_t *root, bf_err *err)
{
    bf_status st = BF_OK;
    const json_t *model = json_object_get(root, "model");
    const bf_graph_options options = {.weights = BF_SET_VALUE};
    bf_params *params = NULL;
    bf_graph *g = NULL;
    bf_net_config c;

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
    compare_lists(v, root, params);
out:
    bf_graph_free(g);
    bf_params_free(params);
    return st;
}
