/* Replays of kind "molcraft sampling", and the sampling run of a checkpoint's expectation: golden README, section 12.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/molecules.h"
#include "run/official.h"
#include "run/verify_mol.h"

#define NAME_SIZE 160
#define MAX_STEPS 100000

/* Elements that have a number of their own, in the order of the release. */
static const uint8_t element_order[] = {1, 6, 7, 8, 9, 15, 16, 17};

enum { POSITION, TYPE, GROUPS };

/* One run. All rows of a step follow those of the step before. */
typedef struct sampling {
    const bf_mol_case *c;
    const char *prefix;
    bf_sampler_mode mode;
    int steps;
    const float *pocket_x;
    bf_sampler *sampler;
    float *draws[GROUPS][2];                                                   /* of the data, of the message */
    float *start;                                                              /* [ligand,3] or NULL */
    float *state[GROUPS], *said[GROUPS], *drawn[GROUPS], *message[GROUPS], *t; /* of every step */
} sampling;

static uint64_t width(const sampling *s, int group)
{
    return group == POSITION ? 3 : (uint64_t)s->c->net.types;
}

static const char *name_of(const sampling *s, const char *what, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s%s", s->prefix, what);
    return out;
}

static bool stored(const sampling *s, const char *what)
{
    char name[NAME_SIZE];
    return bf_st_find(bf_verify_file(s->c->v), name_of(s, what, name)) != NULL;
}

/* ---- draws ------------------------------------------------------------------------------------------------------- */

static bf_status read_draws(const sampling *s, const char *what, uint64_t per_atom, float **out, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    uint64_t n;
    BF_TRY(bf_verify_read(s->c->v, name_of(s, what, name), out, &n, err));
    BF_CHECK(n == (uint64_t)s->steps * s->c->batch->ligand * per_atom, BF_FILE, "%s: wrong number of draws", name);
out:
    return st;
}

/* One point for all atoms of a complex. */
static bf_status read_start(sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mol_batch *b = s->c->batch;
    char name[NAME_SIZE];
    float *points = NULL;
    uint64_t n;
    if (!s->c->settings.random_start) return BF_OK;
    BF_TRY(bf_verify_read(s->c->v, name_of(s, "init_noise", name), &points, &n, err));
    BF_CHECK(n == (uint64_t)b->complexes * 3, BF_FILE, "%s: wrong number of draws", name);
    BF_NEW(s->start, (size_t)b->ligand * 3);
    for (size_t i = 0; i < b->ligand; i++)
        memcpy(s->start + 3 * i, points + 3 * (size_t)b->ligand_of[i], 3 * sizeof *points);
out:
    free(points);
    return st;
}

/* Every mode draws everything; which draws matter differs. */
static bf_status read_all_draws(sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bool ancestral = s->mode == BF_SAMPLER_ANCESTRAL;
    BF_TRY(read_draws(s, ancestral ? "noise_y_coord" : "noise_mu", 3, &s->draws[POSITION][1], err));
    BF_TRY(read_draws(s, ancestral ? "u" : "u_record", 1, &s->draws[TYPE][0], err));
    BF_TRY(read_draws(s, ancestral ? "noise_y_type" : "noise_theta", width(s, TYPE), &s->draws[TYPE][1], err));
    BF_TRY(read_start(s, err));
out:
    return st;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static bf_status get(bf_sampler *sampler, int group, bf_sampler_item item, float *all, int i, bf_err *err)
{
    if (all == NULL) return BF_OK;
    return bf_sampler_get(sampler, group, item, all + (uint64_t)(i - 1) * bf_sampler_size(sampler, group, item), err);
}

/* bf_sampler_step_fn */
static bf_status on_step(void *user, bf_sampler *sampler, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    sampling *s = user;
    s->t[i - 1] = (float)t;
    for (int g = 0; g < GROUPS; g++) {
        BF_TRY(get(sampler, g, BF_SAMPLER_INPUT, s->state[g], i, err));
        BF_TRY(get(sampler, g, BF_SAMPLER_PARAMS, s->said[g], i, err));
        if (i > s->steps) continue;
        BF_TRY(get(sampler, g, BF_SAMPLER_DRAWN, s->drawn[g], i, err));
        BF_TRY(get(sampler, g, BF_SAMPLER_Y, s->message[g], i, err));
    }
out:
    return st;
}

static bf_status make_room(sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t calls = (uint64_t)s->steps + 1, atoms = s->c->batch->ligand;
    for (int g = 0; g < GROUPS; g++) {
        BF_NEW(s->state[g], calls * atoms * width(s, g));
        BF_NEW(s->said[g], calls * atoms * width(s, g));
        BF_NEW(s->drawn[g], calls * atoms * width(s, g));
        if (s->mode == BF_SAMPLER_ANCESTRAL) BF_NEW(s->message[g], calls * atoms * width(s, g));
    }
    BF_NEW(s->t, calls);
out:
    return st;
}

static bf_status run(sampling *s, bf_params *params, const float *pocket_v, float *final, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mol_case *c = s->c;
    const bf_sampler_options o = {.ctx = bf_verify_ctx(c->v),
                                  .params = params,
                                  .weights = BF_SET_VALUE,
                                  .hybrid = &c->hybrid,
                                  .ndim = 1,
                                  .dims = {c->batch->ligand},
                                  .net = bf_mol_net,
                                  .user = (void *)(uintptr_t)c,
                                  .mode = s->mode};
    const bf_sampler_draws draws[GROUPS] = {{.noise_y = s->draws[POSITION][1], .start = s->start},
                                            {.noise_data = s->draws[TYPE][0], .noise_y = s->draws[TYPE][1]}};
    const bf_sampler_run_options r = {.steps = s->steps, .draws = draws, .on_step = on_step, .user = s};
    BF_TRY(bf_sampler_new(&o, &s->sampler, NULL, err));
    BF_TRY(bf_mol_fill(c, bf_sampler_graph(s->sampler), s->pocket_x, pocket_v, err));
    BF_TRY(bf_sampler_run(s->sampler, &r, final, err));
out:
    return st;
}

/* ---- comparison -------------------------------------------------------------------------------------------------- */

static void check(const sampling *s, const char *what, const float *mine, uint64_t n, bf_verify_rule rule)
{
    char name[NAME_SIZE];
    bf_verify_tensor(s->c->v, name_of(s, what, name), mine, n, rule);
}

static bf_status check_steps(const sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t atoms = s->c->batch->ligand, calls = (uint64_t)s->steps + 1, steps = calls - 1;
    char what[32], name[NAME_SIZE];
    check(s, "t", s->t, calls, BF_VERIFY_FORWARD);
    check(s, "mu", s->state[POSITION], calls * atoms * 3, BF_VERIFY_FORWARD);
    check(s, "theta", s->state[TYPE], calls * atoms * width(s, TYPE), BF_VERIFY_FORWARD);
    check(s, "x_hat", s->said[POSITION], calls * atoms * 3, BF_VERIFY_FORWARD);
    check(s, "p", s->said[TYPE], calls * atoms * width(s, TYPE), BF_VERIFY_FORWARD);
    if (s->mode == BF_SAMPLER_ANCESTRAL) {
        check(s, "k", s->drawn[TYPE], steps * atoms, BF_VERIFY_FORWARD);
        check(s, "y_coord", s->message[POSITION], steps * atoms * 3, BF_VERIFY_FORWARD);
        check(s, "y_type", s->message[TYPE], steps * atoms * width(s, TYPE), BF_VERIFY_FORWARD);
    } else if (s->mode != BF_SAMPLER_END_BACK_MODE) {
        check(s, "k_record", s->drawn[TYPE], steps * atoms, BF_VERIFY_FORWARD);
    }
    for (uint64_t i = 0; i < calls; i++) {
        snprintf(what, sizeof what, "edges.%llu", (unsigned long long)i);
        if (!stored(s, what)) continue;
        BF_TRY(bf_mol_check_edges(s->c, name_of(s, what, name), s->pocket_x, s->state[POSITION] + i * atoms * 3, err));
    }
out:
    return st;
}

/* Rows [ligand,4] as atoms in Angstrom, at their old place. */
static bf_status check_final(const sampling *s, const float *final, const double *centre, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mol_batch *b = s->c->batch;
    static const char *const names[] = {"final_type", "final_element", "final_aromatic", "final_element_index"};
    float *x = NULL, *what[BF_COUNT(names)] = {NULL};
    BF_NEW(x, (size_t)b->ligand * 3);
    for (size_t k = 0; k < BF_COUNT(names); k++) BF_NEW(what[k], b->ligand);
    for (size_t i = 0; i < b->ligand; i++) {
        const int type = (int) final[4 * i + 3];
        int order = 0;
        for (size_t k = 0; k < 3; k++)
            x[3 * i + k] = (float)(((double) final[4 * i + k] + centre[3 * (size_t)b->ligand_of[i] + k]) * s->c->scale);
        while (element_order[order] != bf_kinds_molcraft.element[type]) order++;
        what[0][i] = (float)type;
        what[1][i] = (float)bf_kinds_molcraft.element[type];
        what[2][i] = bf_kinds_molcraft.aromatic[type];
        what[3][i] = (float)order;
    }
    check(s, "final_pos", x, (uint64_t)b->ligand * 3, BF_VERIFY_FORWARD);
    for (size_t k = 0; k < BF_COUNT(names); k++) check(s, names[k], what[k], b->ligand, BF_VERIFY_FORWARD);
out:
    free(x);
    for (size_t k = 0; k < BF_COUNT(names); k++) free(what[k]);
    return st;
}

static void close_run(sampling *s)
{
    bf_sampler_free(s->sampler);
    for (int g = 0; g < GROUPS; g++) {
        free(s->draws[g][0]);
        free(s->draws[g][1]);
        free(s->state[g]);
        free(s->said[g]);
        free(s->drawn[g]);
        free(s->message[g]);
    }
    free(s->start);
    free(s->t);
}

bf_status bf_mol_check_sampling(const bf_mol_case *c, bf_params *params, const char *prefix, bf_sampler_mode mode,
                                const float *pocket_x, const float *pocket_v, const double *centre, bf_err *err)
{
    bf_status st = BF_OK;
    sampling s = {.c = c, .prefix = prefix, .mode = mode, .pocket_x = pocket_x};
    const bf_st_tensor *t;
    char name[NAME_SIZE];
    float *final = NULL;
    BF_TRY(bf_st_need(bf_verify_file(c->v), name_of(&s, "t", name), &t, err));
    BF_CHECK(t->count >= 2 && t->count <= MAX_STEPS, BF_FILE, "%s: unexpected shape", name);
    s.steps = (int)t->count - 1;
    BF_TRY(make_room(&s, err));
    BF_TRY(read_all_draws(&s, err));
    BF_NEW(final, (size_t)c->batch->ligand * 4);
    BF_TRY(run(&s, params, pocket_v, final, err));
    BF_TRY(check_steps(&s, err));
    BF_TRY(check_final(&s, final, centre, err));
out:
    free(final);
    close_run(&s);
    return st;
}

/* ---- the kind "molcraft sampling" -------------------------------------------------------------------------------- */

bf_status bf_mol_mode(const char *name, bf_sampler_mode *out, bf_err *err)
{
    for (int m = 0; m < BF_SAMPLER_MODES; m++) {
        const char *own = m == BF_SAMPLER_ANCESTRAL ? "vanilla" : bf_sampler_mode_name((bf_sampler_mode)m);
        if (name == NULL || strcmp(name, own) != 0) continue;
        *out = (bf_sampler_mode)m;
        return BF_OK;
    }
    return bf_fail(err, BF_FILE, "the sampling mode \"%.40s\" is not known", name ? name : "");
}

static bf_status replay_mode(bf_mol_case *c, bf_params *params, const char *mode, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_batch batch = {0};
    char prefix[48], own[64];
    float *pocket_x = NULL, *pocket_v = NULL;
    double *centre = NULL;
    uint64_t n, features;
    bf_sampler_mode kind;
    BF_TRY(bf_mol_mode(mode, &kind, err));
    snprintf(prefix, sizeof prefix, "%s.", mode);
    snprintf(own, sizeof own, "%sbatch_ligand", prefix); /* numbers of atoms that were drawn */
    const bool drawn = bf_st_find(bf_verify_file(c->v), own) != NULL;
    BF_TRY(bf_mol_batch_read(c->v, "batch_protein", drawn ? own : "batch_ligand", &batch, err));
    c->batch = &batch;
    BF_TRY(bf_verify_read(c->v, "protein_pos", &pocket_x, &n, err));
    BF_TRY(bf_verify_read(c->v, "protein_v", &pocket_v, &features, err));
    BF_CHECK(n == (uint64_t)batch.pocket * 3 && features == (uint64_t)batch.pocket * (uint64_t)c->net.pocket_features,
             BF_FILE, "the pocket's atoms have the wrong number");
    BF_NEW(centre, (size_t)batch.complexes * 3);
    bf_mol_frame(c, pocket_x, NULL, NULL, NULL, centre);
    BF_TRY(bf_mol_check_sampling(c, params, prefix, kind, pocket_x, pocket_v, centre, err));
out:
    free(pocket_x);
    free(pocket_v);
    free(centre);
    bf_mol_batch_free(&batch);
    return st;
}

/* Registers and loads the file's weights: "w.dynamics." + name. */
static bf_status load_weights(bf_mol_case *c, bf_replay *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_batch batch = {0};
    bf_tid out[GROUPS], input[GROUPS];
    BF_TRY(bf_mol_batch_read(c->v, "batch_protein", "batch_ligand", &batch, err));
    c->batch = &batch;
    BF_TRY(bf_replay_graph(r, false, err));
    const uint64_t atoms = batch.ligand;
    input[POSITION] = bf_graph_input(r->graph, "mu", 2, (uint64_t[]){atoms, 3});
    input[TYPE] = bf_graph_input(r->graph, "theta", 2, (uint64_t[]){atoms, (uint64_t)c->net.types});
    bf_mol_net(c, r->graph, input, bf_graph_input(r->graph, "t", 1, &atoms), out);
    BF_TRY(bf_replay_prepare(r, 1u << BF_SET_VALUE, "w.dynamics.", "b.dynamics.", err));
out:
    bf_mol_batch_free(&batch);
    return st;
}

bf_status bf_verify_mol_sampling(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);
    bf_mol_case c = {.v = v};
    bf_replay r = {.v = v};
    json_t *modes = NULL;
    BF_TRY(bf_mol_case_open(v, 1.0, &c, err));
    BF_TRY(bf_replay_new(&r, v, err));
    r.unread = BF_MOL_UNREAD;
    BF_TRY(load_weights(&c, &r, err));
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "modes"), &modes, err));
    BF_CHECK(json_array_size(modes) > 0, BF_FILE, "%s: no sampling modes", bf_st_name(f));
    for (size_t i = 0; i < json_array_size(modes); i++)
        BF_TRY(replay_mode(&c, r.params, json_string_value(json_array_get(modes, i)), err));
out:
    json_decref(modes);
    bf_replay_free(&r);
    bf_mol_case_close(&c);
    return st;
}
