/* MolCRAFT's settings as a configuration of ours. run/molcraft.h */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "net/net.h"
#include "run/molcraft.h"
#include "run/official_read.h"

static void set_network(const bf_molcraft *m, bf_config *c)
{
    static const int times[] = {[BF_MOLCRAFT_SIMPLE] = BF_CONFIG_TIME_RAW,
                                [BF_MOLCRAFT_RBF] = BF_CONFIG_TIME_RBF,
                                [BF_MOLCRAFT_RBFNN] = BF_CONFIG_TIME_RBFNN};
    c->net.kind = BF_NET_UNIO2;
    c->net.width = m->width;
    c->net.heads = m->heads;
    c->net.blocks = m->layers;
    c->net.neighbours = m->neighbours;
    c->net.time = m->time_dim == 0 ? BF_CONFIG_TIME_NONE : times[m->time_mode];
    if (m->time_dim > 1) c->net.time_features = m->time_dim;
}

static void set_flow(const bf_molcraft *m, bf_config *c)
{
    c->data.transform = BF_TRANSFORM_MOLECULES;
    snprintf(c->mol.elements, sizeof c->mol.elements, "molcraft");
    c->mol.pocket = true;
    c->flow.kind = BF_CONFIG_CONTINUOUS;
    c->flow.min_variance = m->sigma1 * m->sigma1;
    c->flow.max_sqrt_beta = sqrt(m->beta1);
    c->flow.min_t = m->t_min;
    c->flow.predict_data = m->destination;
    c->train.loss = m->discrete ? BF_CONFIG_LOSS_NSTEP : BF_CONFIG_LOSS_CONTINUOUS;
    c->train.loss_steps = m->steps;
    c->sample.mode = m->mode; /* the same order */
    c->sample.start = m->random_start ? BF_CONFIG_START_RANDOM : BF_CONFIG_START_ZERO;
}

/* Clipping and learning rate of "train". */
static void set_schedule(const json_t *train, bf_config *c, bf_reader *rate, bf_reader *schedule)
{
    const char *kind = json_string_value(json_object_get(schedule->from, "type"));
    const json_t *clip = json_object_get(train, "max_grad_norm");
    int patience = (int)c->train.plateau_patience;
    bf_reader_float(rate, "lr", &c->train.lr);
    bf_reader_float(rate, "beta1", &c->train.beta1);
    bf_reader_float(rate, "beta2", &c->train.beta2);
    c->train.weight_decay = 0.0;
    bf_reader_float(rate, "weight_decay", &c->train.weight_decay);
    c->train.warmup = 0;
    c->train.schedule = BF_SCHEDULE_CONSTANT;
    if (json_is_number(clip)) c->train.clip = json_number_value(clip);
    if (json_is_string(clip) && strcmp(json_string_value(clip), "Q") == 0) c->train.clip_rule = BF_CLIP_QUEUE;
    if (kind == NULL || strcmp(kind, "plateau") != 0) return;
    c->train.schedule = BF_SCHEDULE_PLATEAU;
    bf_reader_float(schedule, "factor", &c->train.plateau_factor);
    bf_reader_int(schedule, "patience", &patience);
    bf_reader_float(schedule, "min_lr", &c->train.lr_final);
    c->train.plateau_patience = patience;
}

static bf_status set_training(const json_t *hyper, bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    const json_t *train = json_object_get(hyper, "train");
    bf_reader r = bf_reader_of(train), rate = bf_reader_of(json_object_get(train, "optimizer")),
              schedule = bf_reader_of(json_object_get(train, "scheduler"));
    if (!json_is_object(train)) return BF_OK;
    bf_reader_float(&r, "v_loss_weight", &c->mol.type_weight);
    bf_reader_float(&r, "pos_noise_std", &c->mol.noise);
    bf_reader_bool(&r, "random_rot", &c->mol.rotate);
    bf_reader_float(&r, "ema_decay", &c->train.ema);
    set_schedule(train, c, &rate, &schedule);
    BF_TRY(bf_reader_end(&r, "train", err));
    if (rate.bad) BF_TRY(bf_reader_end(&rate, "train.optimizer", err));
    if (schedule.bad) BF_TRY(bf_reader_end(&schedule, "train.scheduler", err));
out:
    return st;
}

/* The unit of length, and steps of a sample. */
static bf_status set_rest(const json_t *hyper, bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_reader scale = bf_reader_of(json_object_get(json_object_get(hyper, "data"), "normalizer_dict"));
    bf_reader sampling = bf_reader_of(json_object_get(hyper, "evaluation"));
    int steps = (int)c->sample.steps;
    bf_reader_float(&scale, "pos", &c->mol.scale);
    bf_reader_int(&sampling, "sample_steps", &steps);
    c->sample.steps = steps;
    if (scale.bad) BF_TRY(bf_reader_end(&scale, "data.normalizer_dict", err));
    if (sampling.bad) BF_TRY(bf_reader_end(&sampling, "evaluation", err));
out:
    return st;
}

bf_status bf_molcraft_config(const bf_molcraft *m, const json_t *hyper, bf_config *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_config c;
    char *text = NULL;
    bf_config_defaults(&c);
    BF_CHECK(m->types == 13 && m->features == 27, BF_FILE,
             "configuration: %d types of atoms and %d features of a pocket's atom, a model has 13 and 27", m->types,
             m->features);
    set_network(m, &c);
    set_flow(m, &c);
    BF_TRY(set_training(hyper, &c, err));
    BF_TRY(set_rest(hyper, &c, err));
    /* a value out of the range of its key is found by reading it */
    BF_TRY(bf_config_text(&c, false, &text, err));
    st = bf_config_parse(text, strlen(text), "configuration", out, err);
    if (st == BF_OK) st = bf_config_check(out, err);
    if (st == BF_USAGE) st = err->status = BF_FILE; /* the file is at fault */
out:
    free(text);
    return st;
}
