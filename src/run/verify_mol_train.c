/* Replays of kind "training" with net_class "molcraft": golden README, section 12, "Training". Every step has another
 * number of atoms, and so a graph of its own on the same parameters. */
#include <stdio.h>
#include <string.h>

#include "run/verify_flow.h"
#include "run/verify_mol.h"
#include "run/verify_train.h"

/* What the steps share. */
typedef struct settings {
    double noise_std, type_weight;
    bool rotate;
} settings;

/* The first step loads the weights, the others go on with them. */
static bf_status plan(bf_train_replay *u, int number, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay *r = &u->r;
    if (number == 0) {
        BF_TRY(bf_replay_prepare(r, (1u << BF_SET_COUNT) - 1, "init.dynamics.", "b.dynamics.", err));
        BF_TRY(bf_train_replay_begin(u, err));
    } else {
        BF_TRY(bf_graph_plan(r->graph, true, NULL, err));
        BF_TRY(bf_graph_emit(r->graph, r->cmds, err));
    }
out:
    return st;
}

/* `everything`: not only the whole loss is compared. */
static bf_status one_step(bf_mol_case *c, bf_train_replay *u, const settings *o, int number, bool everything,
                          bf_err *err)
{
    bf_status st = BF_OK;
    char prefix[16];
    bf_mol_loss loss = {.c = c, .data = prefix, .draws = prefix, .noise_std = o->noise_std, .rotate = o->rotate};
    if (number > 0) loss.relative = 2e-5; /* the weights are not the same to the last digit any more */
    snprintf(prefix, sizeof prefix, "s%d.", number);
    BF_TRY(bf_mol_loss_read(&loss, err));
    BF_TRY(bf_mol_loss_build(&loss, &u->r, true, err));
    BF_TRY(plan(u, number, err));
    BF_TRY(bf_mol_loss_fill(&loss, err));
    BF_TRY(bf_replay_run(&u->r, err));
    BF_TRY(bf_mol_loss_value(&loss, &u->loss[number], err));
    if (everything) BF_TRY(bf_mol_loss_check(&loss, err));
    if (everything && number == 0) BF_TRY(bf_train_replay_first_gradient(u, err));
    BF_TRY(bf_train_replay_step(u, number, err));
out:
    bf_mol_loss_free(&loss);
    return st;
}

/* bf_train_replay_fn */
static bf_status replay(void *user, bf_verify *v, double decay, const char *prefix, bool first, bf_err *err)
{
    bf_status st = BF_OK;
    const settings *o = user;
    bf_mol_case c = {.v = v};
    bf_train_replay u;
    BF_TRY(bf_train_replay_new(v, "dynamics.", decay, &u, err));
    u.r.unread = BF_MOL_UNREAD;
    BF_TRY(bf_mol_case_open(v, o->type_weight, &c, err));
    for (int i = 0; i < u.recipe.steps; i++) BF_TRY(one_step(&c, &u, o, i, first, err));
    if (first) BF_TRY(bf_train_replay_compare(&u, err));
    BF_TRY(bf_train_replay_weights(&u, BF_SET_EMA, prefix, err));
out:
    bf_train_replay_free(&u);
    bf_mol_case_close(&c);
    return st;
}

bf_status bf_verify_mol_training(bf_verify *v, bf_err *err)
{
    const char *rotate = bf_st_meta_get(bf_verify_file(v), "random_rot");
    settings o = {.noise_std = bf_golden_meta(v, "pos_noise_std", 0.0),
                  .type_weight = bf_golden_meta(v, "v_loss_weight", 1.0),
                  .rotate = rotate && (strcmp(rotate, "True") == 0 || strcmp(rotate, "true") == 0)};
    return bf_train_replay_averages(v, replay, &o, err);
}
