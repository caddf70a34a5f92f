#include "run/molcraft.h"

#include <string.h>

#include "base/size.h"
#include "io/json.h"
#include "io/pt_contents.h"
#include "run/official_read.h"

static const char *const time_modes[] = {"simple", "rbf", "rbfnn"};
static const char *const sampling_modes[] = {"vanilla", "end_back", "end_back_pmf", "end_back_mode"};
static const char *const starts[] = {"zero", "randn"};

/* What every released configuration says. */
static const char fixed_dynamics[] = "{\"node_indicator\": true, \"center_pos_mode\": \"protein\"}";
static const char fixed_net[] =
    "{\"name\": \"unio2net\", \"num_blocks\": 1, \"edge_feat_dim\": 4, \"num_r_gaussian\": 20, \"act_fn\": \"relu\", "
    "\"norm\": true, \"cutoff_mode\": \"knn\", \"ew_net_type\": \"global\", \"num_x2h\": 1, \"num_h2x\": 1, "
    "\"x2h_out_fc\": false, \"sync_twoup\": false}";

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Entries that are there have the one value that is supported. */
static bf_status check_fixed(const json_t *part, const char *what, const char *values, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *wanted = NULL, *value;
    const char *key;
    BF_TRY(bf_json_parse(what, values, strlen(values), 64, &wanted, err));
    json_object_foreach(wanted, key, value)
    {
        const json_t *stored = json_object_get(part, key);
        BF_CHECK(!stored || json_equal(stored, value), BF_FILE, "configuration: this %s.%s is not supported", what,
                 key);
    }
out:
    json_decref(wanted);
    return st;
}

static bf_status read_net(const json_t *part, bf_molcraft *m, bf_err *err)
{
    bf_status st = BF_OK;
    bf_reader r = bf_reader_of(part);
    BF_TRY(check_fixed(part, "net_config", fixed_net, err));
    bf_reader_int(&r, "hidden_dim", &m->width);
    bf_reader_int(&r, "n_heads", &m->heads);
    bf_reader_int(&r, "num_layers", &m->layers);
    bf_reader_int(&r, "knn", &m->neighbours);
    BF_TRY(bf_reader_end(&r, "net_config", err));
    BF_CHECK(m->heads >= 1 && m->heads <= 256 && m->width >= 4 && m->width <= 4096 && m->width % m->heads == 0, BF_FILE,
             "configuration: net_config.hidden_dim %d with n_heads %d is no width of a network", m->width, m->heads);
    BF_CHECK(m->layers >= 1 && m->layers <= 64, BF_FILE, "configuration: net_config.num_layers %d is out of range",
             m->layers);
    BF_CHECK(m->neighbours >= 1 && m->neighbours <= 1024, BF_FILE, "configuration: net_config.knn %d is out of range",
             m->neighbours);
out:
    return st;
}

static bf_status check_ranges(const bf_molcraft *m, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(m->sigma1 > 0.0 && m->sigma1 < 1.0, BF_FILE, "configuration: dynamics.sigma1_coord is missing or %g",
             m->sigma1);
    BF_CHECK(m->beta1 > 0.0 && m->beta1 <= 1e4, BF_FILE, "configuration: dynamics.beta1 is missing or %g", m->beta1);
    BF_CHECK(m->t_min >= 0.0 && m->t_min < 1.0, BF_FILE, "configuration: dynamics.t_min is %g", m->t_min);
    BF_CHECK(m->steps >= 1, BF_FILE, "configuration: dynamics.discrete_steps is %d", m->steps);
    BF_CHECK(m->types >= 3 && m->types <= 256 && m->features >= 1 && m->features <= 1024, BF_FILE,
             "configuration: %d atom types with %d features of pocket atoms are not supported", m->types, m->features);
    BF_CHECK(m->time_dim >= 0 && m->time_dim <= 1024, BF_FILE, "configuration: dynamics.time_emb_dim is %d",
             m->time_dim);
out:
    return st;
}

bf_status bf_molcraft_read(const json_t *dynamics, bf_molcraft *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_reader r = bf_reader_of(dynamics);
    bf_molcraft m = {.features = 27,
                     .types = 13,
                     .t_min = 1e-4,
                     .destination = true,
                     .discrete = true,
                     .steps = 1000,
                     .mode = BF_MOLCRAFT_END_BACK_PMF};
    int start = 0;
    BF_TRY(bf_reader_end(&r, "dynamics", err));
    BF_TRY(check_fixed(dynamics, "dynamics", fixed_dynamics, err));
    bf_reader_int(&r, "protein_atom_feature_dim", &m.features);
    bf_reader_int(&r, "ligand_atom_feature_dim", &m.types);
    bf_reader_float(&r, "sigma1_coord", &m.sigma1);
    bf_reader_float(&r, "beta1", &m.beta1);
    bf_reader_float(&r, "t_min", &m.t_min);
    bf_reader_bool(&r, "use_discrete_t", &m.discrete);
    bf_reader_int(&r, "discrete_steps", &m.steps);
    bf_reader_bool(&r, "destination_prediction", &m.destination);
    bf_reader_word(&r, "sampling_strategy", sampling_modes, BF_COUNT(sampling_modes), &m.mode);
    bf_reader_word(&r, "pos_init_mode", starts, BF_COUNT(starts), &start);
    bf_reader_int(&r, "time_emb_dim", &m.time_dim);
    if (m.time_dim > 0) bf_reader_word(&r, "time_emb_mode", time_modes, BF_COUNT(time_modes), &m.time_mode);
    BF_TRY(bf_reader_end(&r, "dynamics", err));
    m.random_start = start == 1;
    if (m.time_dim > 0 && m.time_mode == BF_MOLCRAFT_SIMPLE) m.time_dim = 1; /* t itself */
    BF_TRY(read_net(json_object_get(dynamics, "net_config"), &m, err));
    BF_TRY(check_ranges(&m, err));
    *out = m;
out:
    return st;
}

bf_unio2 bf_molcraft_net(const bf_molcraft *m)
{
    return (bf_unio2){.width = m->width,
                      .heads = m->heads,
                      .layers = m->layers,
                      .neighbours = m->neighbours,
                      .pocket_features = m->features,
                      .types = m->types,
                      .time_dim = m->time_dim,
                      .time_mode = (bf_unio2_time)m->time_mode,
                      .indicator = true};
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

/* Takes off what io/pt_contents.h puts around an object, wherever it acts as a dictionary: the classes that settings
 * are kept in do. `j` is consumed. */
static json_t *plain(json_t *j)
{
    const char *key;
    json_t *inner, *copy;
    while (json_is_string(json_object_get(j, "class"))) {
        inner = json_object_get(j, "items");
        if (!json_is_object(inner)) inner = json_object_get(j, "state");
        if (!json_is_object(inner)) break;
        json_incref(inner);
        json_decref(j);
        j = inner;
    }
    if (!json_is_object(j)) return j;
    copy = json_object();
    json_object_foreach(j, key, inner) json_object_set_new(copy, key, plain(json_incref(inner)));
    json_decref(j);
    return copy;
}

/* The dictionary under `key`, or under `key` of one of the dictionaries in `from`: a configuration may have been stored
 * as one argument of several. */
static const json_t *find_part(json_t *from, const char *key)
{
    const json_t *part = json_object_get(from, key);
    const char *name;
    json_t *inner;
    if (json_is_object(part)) return part;
    json_object_foreach(from, name, inner)
    {
        part = json_object_get(inner, key);
        if (json_is_object(part)) return part;
    }
    return NULL;
}

bf_status bf_molcraft_hyper(const bf_pt *f, json_t **hyper, const json_t **dynamics, bf_err *err)
{
    bf_status st = BF_OK;
    *dynamics = NULL;
    BF_TRY(bf_pt_contents_of(f, "hyper_parameters", hyper, err));
    *hyper = plain(*hyper);
    *dynamics = find_part(*hyper, "dynamics");
    if (*dynamics == NULL || !json_object_get(*dynamics, "net_config")) {
        json_decref(*hyper);
        *hyper = NULL;
        *dynamics = NULL;
    }
out:
    return st;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

bf_status bf_molcraft_time_input(bf_molcraft *m, const bf_tensors *f, bf_err *err)
{
    bf_status st = BF_OK;
    char shape[BF_SHAPE_TEXT];
    bool found = false, trained = false;
    for (size_t i = 0; i < bf_tensors_count(f); i++) {
        const bf_tensor t = bf_tensors_at(f, i);
        trained = trained || strstr(t.name, "dynamics.time_emb") != NULL;
        if (found || !ends_with(t.name, "ligand_atom_emb.weight")) continue;
        bf_shape_text(t.ndim, t.dims, shape);
        BF_CHECK(t.ndim == 2 && t.dims[1] >= (uint64_t)m->types && t.dims[1] - (uint64_t)m->types <= 1024, BF_FILE,
                 "%s: tensor \"%s\" has shape %s: no input of %d atom types and a time", bf_tensors_name(f), t.name,
                 shape, m->types);
        m->time_dim = (int)(t.dims[1] - (uint64_t)m->types);
        found = true;
    }
    BF_CHECK(found, BF_FILE, "%s: none of its tensors is \"ligand_atom_emb.weight\"", bf_tensors_name(f));
    m->time_mode = m->time_dim <= 1 ? BF_MOLCRAFT_SIMPLE : trained ? BF_MOLCRAFT_RBFNN : BF_MOLCRAFT_RBF;
out:
    return st;
}

json_t *bf_molcraft_json(const bf_molcraft *m)
{
    return json_pack("{s:f,s:f,s:i,s:i,s:i,s:i,s:i,s:i,s:s,s:i,s:s,s:b,s:s}", "sigma1", m->sigma1, "beta1", m->beta1,
                     "hidden", m->width, "heads", m->heads, "layers", m->layers, "neighbours", m->neighbours,
                     "atom_types", m->types, "pocket_features", m->features, "time",
                     m->time_dim == 0 ? "none" : time_modes[m->time_mode], "loss_steps", m->discrete ? m->steps : 0,
                     "predicts", m->destination ? "positions" : "noise", "random_start", m->random_start, "sampling",
                     sampling_modes[m->mode]);
}
