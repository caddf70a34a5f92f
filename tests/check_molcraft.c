/* Settings of the molecule network in checkpoints: what is read, what is refused. */
#include <bfncl.h>

#include "base/size.h"
#include "files.h"
#include "io/json.h"
#include "net/net.h"
#include "pt_files.h"
#include "run/molcraft.h"
#include "support.h"

#define CHECKPOINT "tests/golden/molcraft/checkpoint.pt"

static const char complete[] =
    "{'t_min': 0.0001, 'sigma1_coord': 0.05, 'beta1': 2, 'ligand_atom_feature_dim': 13, 'use_discrete_t': false,"
    " 'discrete_steps': 500, 'destination_prediction': false, 'sampling_strategy': 'vanilla', 'node_indicator': true,"
    " 'time_emb_dim': 6, 'time_emb_mode': 'rbf', 'center_pos_mode': 'protein', 'pos_init_mode': 'randn',"
    " 'net_config': {'name': 'unio2net', 'num_layers': 3, 'hidden_dim': 32, 'n_heads': 8, 'knn': 7, 'norm': true}}";

/* JSON with ' for ". */
static json_t *json(const char *text)
{
    char copy[2000];
    json_t *j = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *p = copy; *p; p++)
        if (*p == '\'') *p = '"';
    OK(bf_json_parse("text", copy, strlen(copy), 1000, &j, err));
    return j;
}

/* The complete settings with one entry changed: of net_config where the key begins with '*'. value NULL: taken out. */
static json_t *changed(const char *key, const char *value)
{
    json_t *all = json(complete), *of = key[0] == '*' ? json_object_get(all, "net_config") : all;
    key += key[0] == '*';
    if (value == NULL)
        ck_assert_int_eq(json_object_del(of, key), 0);
    else
        json_object_set_new(of, key, json_loads(value, JSON_DECODE_ANY, NULL));
    return all;
}

START_TEST(settings_are_read)
{
    bf_molcraft m;
    json_t *j = json(complete);
    OK(bf_molcraft_read(j, &m, err));
    json_decref(j);
    ck_assert(m.sigma1 == 0.05 && m.beta1 == 2 && m.t_min == 0.0001 && !m.discrete && m.steps == 500);
    ck_assert(m.width == 32 && m.heads == 8 && m.layers == 3 && m.neighbours == 7 && m.types == 13);
    ck_assert(m.features == 27 && m.time_dim == 6 && m.time_mode == BF_MOLCRAFT_RBF && !m.destination);
    ck_assert(m.random_start && m.mode == BF_MOLCRAFT_VANILLA);
    j = changed("time_emb_mode", "\"simple\""); /* t itself, whatever its dimension */
    OK(bf_molcraft_read(j, &m, err));
    ck_assert(m.time_dim == 1 && m.time_mode == BF_MOLCRAFT_SIMPLE);
    json_decref(j);
}
END_TEST

START_TEST(settings_are_refused)
{
    static const struct {
        const char *key, *value, *says;
    } bad[] = {{"sigma1_coord", NULL, "sigma1_coord is missing"},
               {"sigma1_coord", "-0.1", "sigma1_coord is missing or -0.1"},
               {"sigma1_coord", "\"nan\"", "sigma1_coord has an impossible value"},
               {"beta1", "1e300", "beta1 is missing or 1e+300"},
               {"beta1", "[1]", "beta1 has an impossible value"},
               {"t_min", "1", "t_min is 1"},
               {"discrete_steps", "0", "discrete_steps is 0"},
               {"discrete_steps", "4000000000", "discrete_steps has an impossible value"},
               {"time_emb_mode", "\"sin\"", "time_emb_mode has an impossible value"},
               {"time_emb_dim", "2000", "time_emb_dim is 2000"},
               {"ligand_atom_feature_dim", "2", "2 atom types"},
               {"sampling_strategy", "\"other\"", "sampling_strategy has an impossible value"},
               {"node_indicator", "false", "this dynamics.node_indicator is not supported"},
               {"center_pos_mode", "\"none\"", "this dynamics.center_pos_mode is not supported"},
               {"net_config", NULL, "net_config is missing"},
               {"net_config", "[]", "net_config is missing"},
               {"*name", "\"egnn\"", "this net_config.name is not supported"},
               {"*num_x2h", "2", "this net_config.num_x2h is not supported"},
               {"*knn", "0", "knn 0"},
               {"*num_layers", NULL, "num_layers 0"},
               {"*hidden_dim", "30", "hidden_dim 30 with n_heads 8"},
               {"*n_heads", "-1", "n_heads -1"},
               {"*n_heads", "0", "n_heads 0"}};
    bf_molcraft m;
    for (size_t i = 0; i < BF_COUNT(bad); i++) {
        json_t *j = changed(bad[i].key, bad[i].value);
        FAILS(BF_FILE, bad[i].says, bf_molcraft_read(j, &m, err));
        json_decref(j);
    }
    FAILS(BF_FILE, "dynamics is missing", bf_molcraft_read(NULL, &m, err));
}
END_TEST

/* The keys of ours: network and flow from "dynamics", the rest from the other sections. */
START_TEST(settings_as_a_configuration)
{
    static const char rest[] = "{'data': {'normalizer_dict': {'pos': 3.0}}, 'evaluation': {'sample_steps': 40},"
                               " 'train': {'max_grad_norm': 'Q', 'v_loss_weight': 2, 'pos_noise_std': 0.1, "
                               "'random_rot': true, 'ema_decay': 0.9,"
                               "  'optimizer': {'type': 'adam', 'lr': 0.005, 'beta1': 0.95, 'weight_decay': 0},"
                               "  'scheduler': {'type': 'plateau', 'factor': 0.6, 'patience': 4, 'min_lr': 1e-6}}}";
    bf_config c;
    bf_molcraft m;
    json_t *j = json(complete), *hyper = json(rest);
    OK(bf_molcraft_read(j, &m, err));
    OK(bf_molcraft_config(&m, hyper, &c, err));
    ck_assert(c.net.kind == BF_NET_UNIO2 && c.net.width == 32 && c.net.heads == 8 && c.net.blocks == 3);
    ck_assert(c.net.neighbours == 7 && c.net.time == BF_CONFIG_TIME_RBF && c.net.time_features == 6);
    ck_assert(c.data.transform == BF_TRANSFORM_MOLECULES && c.mol.pocket && strcmp(c.mol.elements, "molcraft") == 0);
    ck_assert_double_eq_tol(c.flow.min_variance, 0.0025, 1e-15);
    ck_assert_double_eq_tol(c.flow.max_sqrt_beta * c.flow.max_sqrt_beta, 2, 1e-12);
    ck_assert(!c.flow.predict_data && c.flow.min_t == 0.0001 && c.train.loss == BF_CONFIG_LOSS_CONTINUOUS);
    ck_assert(c.sample.mode == 0 && c.sample.start == BF_CONFIG_START_RANDOM && c.sample.steps == 40);
    ck_assert(c.mol.scale == 3 && c.mol.type_weight == 2 && c.mol.noise == 0.1 && c.mol.rotate);
    ck_assert(c.train.lr == 0.005 && c.train.beta1 == 0.95 && c.train.weight_decay == 0 && c.train.ema == 0.9);
    ck_assert(c.train.clip_rule == BF_CLIP_QUEUE && c.train.schedule == BF_SCHEDULE_PLATEAU && c.train.warmup == 0);
    ck_assert(c.train.plateau_patience == 4 && c.train.lr_final == 1e-6);
    json_object_set_new(json_object_get(hyper, "train"), "max_grad_norm", json_real(8.0));
    OK(bf_molcraft_config(&m, hyper, &c, err));
    ck_assert(c.train.clip_rule == BF_CLIP_FIXED && c.train.clip == 8);
    json_object_set_new(json_object_get(hyper, "evaluation"), "sample_steps", json_integer(0));
    FAILS(BF_FILE, "sample.steps = 0 is out of range", bf_molcraft_config(&m, hyper, &c, err));
    json_object_set_new(json_object_get(hyper, "train"), "ema_decay", json_string("high"));
    FAILS(BF_FILE, "train.ema_decay has an impossible value", bf_molcraft_config(&m, hyper, &c, err));
    m.types = 8;
    FAILS(BF_FILE, "8 types of atoms", bf_molcraft_config(&m, NULL, &c, err));
    json_decref(j);
    json_decref(hyper);
}
END_TEST

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

START_TEST(a_release_checkpoint)
{
    bf_tensors *f = NULL;
    json_t *hyper = NULL;
    const json_t *dynamics = NULL;
    bf_molcraft m;
    OK(bf_tensors_open(CHECKPOINT, &f, err));
    OK(bf_molcraft_hyper(bf_tensors_pt(f), &hyper, &dynamics, err));
    ck_assert_ptr_nonnull(dynamics);
    OK(bf_molcraft_read(dynamics, &m, err));
    ck_assert(m.sigma1 == 0.03 && m.beta1 == 1.5 && m.width == 16 && m.heads == 4 && m.layers == 2);
    m.time_dim = 0; /* the weights know better */
    OK(bf_molcraft_time_input(&m, f, err));
    ck_assert(m.time_dim == 1 && m.time_mode == BF_MOLCRAFT_SIMPLE);
    json_decref(hyper);
    bf_tensors_close(f);
}
END_TEST

/* A value of JSON as pickle operations. */
static void pickle_json(draft *d, json_t *j)
{
    const char *key, *text = json_string_value(j);
    json_t *value;
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        draft_put(d, "}(", 2);
        json_object_foreach(j, key, value)
        {
            draft_put(d, "X", 1);
            draft_number(d, strlen(key), 4);
            draft_put(d, key, strlen(key));
            pickle_json(d, value);
        }
        draft_put(d, "u", 1);
        break;
    case JSON_STRING:
        draft_put(d, "X", 1);
        draft_number(d, strlen(text), 4);
        draft_put(d, text, strlen(text));
        break;
    case JSON_REAL: {
        const double real = json_real_value(j);
        uint64_t bits;
        memcpy(&bits, &real, sizeof bits);
        draft_put(d, "G", 1);
        for (int i = 56; i >= 0; i -= 8) draft_number(d, bits >> i & 255, 1);
        break;
    }
    case JSON_INTEGER:
        draft_put(d, "J", 1);
        draft_number(d, (uint64_t)json_integer_value(j), 4);
        break;
    default: draft_put(d, json_is_true(j) ? "\x88" : json_is_false(j) ? "\x89" : "N", 1);
    }
}

static void put(draft *d, bytes b)
{
    draft_put(d, b.p, b.n);
}

/* A checkpoint with these settings and one tensor. `wrap`: the settings are an object of a class that is a dictionary.
 */
static void write_checkpoint(const char *path, json_t *settings, bool wrap, bytes tensor)
{
    draft d = {0};
    size_t size;
    put(&d, BYTES("\x80\2}(" TEXT("\20", "hyper_parameters")));
    if (wrap) {
        put(&d, BYTES("csettings\nConfig\n)\x81(" TEXT("\10", "dynamics")));
        pickle_json(&d, settings);
        draft_put(&d, "u", 1);
    } else {
        pickle_json(&d, settings);
    }
    put(&d, tensor);
    draft_put(&d, "u.", 2);
    part parts[] = {{.name = "m/data.pkl", .content = {(const char *)d.p, d.n}},
                    {.name = "m/data/0", .content = BYTES("abcdefghijklmnopqrstuvwx")}};
    unsigned char *all = zip_compose(parts, BF_COUNT(parts), false, "", &size);
    FILE *f = fopen(path, "wb");
    ck_assert(f != NULL && fwrite(all, 1, size, f) == size && fclose(f) == 0);
    free(all);
    free(d.p);
}

/* "state_dict" with an input layer of `columns` columns, all of them the same number. */
#define INPUT_LAYER(columns)                                                                                           \
    BYTES(TEXT("\12", "state_dict") "}" TEXT("\37", "dynamics.ligand_atom_emb.weight")                                 \
              TENSOR_OF(STORAGE, "K\0", "K\1K" columns "\x86", "K\0K\0\x86") "s")

START_TEST(settings_in_a_class)
{
    const char *path = test_path("wrapped.ckpt");
    bf_tensors *f = NULL;
    json_t *settings = json(complete), *hyper = NULL;
    const json_t *dynamics = NULL;
    bf_molcraft m;
    write_checkpoint(path, settings, true, INPUT_LAYER("\21"));
    OK(bf_tensors_open(path, &f, err));
    OK(bf_molcraft_hyper(bf_tensors_pt(f), &hyper, &dynamics, err));
    ck_assert_ptr_nonnull(dynamics);
    OK(bf_molcraft_read(dynamics, &m, err));
    ck_assert(m.layers == 3 && m.time_dim == 6);
    OK(bf_molcraft_time_input(&m, f, err));
    ck_assert(m.time_dim == 4 && m.time_mode == BF_MOLCRAFT_RBF);
    m.types = 17;
    OK(bf_molcraft_time_input(&m, f, err));
    ck_assert_int_eq(m.time_dim, 0);
    m.types = 18;
    FAILS(BF_FILE, "has shape [1,17]: no input of 18 atom types", bf_molcraft_time_input(&m, f, err));
    json_decref(hyper);
    bf_tensors_close(f);
    /* settings of something else */
    write_checkpoint(path, settings, false, INPUT_LAYER("\21"));
    OK(bf_tensors_open(path, &f, err));
    OK(bf_molcraft_hyper(bf_tensors_pt(f), &hyper, &dynamics, err));
    ck_assert(hyper == NULL && dynamics == NULL);
    bf_tensors_close(f);
    json_decref(settings);
}
END_TEST

START_TEST(described)
{
    const char *path = test_path("described.ckpt");
    char *text = NULL;
    json_t *settings = json("{'cfg': {'dynamics': {'net_config': {'name': 'other'}}}}");
    OK(bfncl_info(CHECKPOINT, &text, err));
    json_t *j = json_loads(text, 0, NULL), *m = json_object_get(j, "molcraft");
    ck_assert_str_eq(json_string_value(json_object_get(m, "time")), "simple");
    ck_assert(json_real_value(json_object_get(m, "sigma1")) == 0.03);
    json_decref(j);
    bfncl_free(text);
    write_checkpoint(path, settings, false, INPUT_LAYER("\21"));
    OK(bfncl_info(path, &text, err));
    ck_assert_ptr_nonnull(strstr(text, "this net_config.name is not supported"));
    bfncl_free(text);
    json_decref(settings);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("molcraft");
    TCase *t = tcase_create("molcraft");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, settings_are_read);
    tcase_add_test(t, settings_are_refused);
    tcase_add_test(t, settings_as_a_configuration);
    tcase_add_test(t, a_release_checkpoint);
    tcase_add_test(t, settings_in_a_class);
    tcase_add_test(t, described);
    suite_add_tcase(s, t);
    return test_main(s);
}
