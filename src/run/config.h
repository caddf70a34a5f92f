/*
 * The configuration of an experiment: one table of keys (config_keys.c) from which the reader's checks and messages,
 * the defaults, --set, --print-config, the resolved file and the documentation are all derived.
 *
 * File format: YAML, two levels ("section:" then "key: value"; lists in either YAML form), closed by the YAML end
 * mark, a last line "...". Without that line a file that was cut off could not be told from a short one.
 * libyaml (the parser below libcyaml) is used directly because libcyaml reports neither the line of a value out of
 * range nor the nearest valid key.
 */
#ifndef BF_RUN_CONFIG_H
#define BF_RUN_CONFIG_H

#include <jansson.h>

#include "base/err.h"
#include "io/dataset.h"
#include "io/text.h"

#define BF_CONFIG_TEXT 1024
#define BF_CONFIG_LIST 8
#define BF_CONFIG_KEYS_MAX 128

typedef struct bf_int_list {
    int n;
    int v[BF_CONFIG_LIST];
} bf_int_list;

enum bf_config_flow { BF_CONFIG_CONTINUOUS, BF_CONFIG_DISCRETISED, BF_CONFIG_CATEGORICAL };
enum bf_config_output { BF_CONFIG_OUT_AUTO, BF_CONFIG_OUT_DELTA, BF_CONFIG_OUT_NORMAL, BF_CONFIG_OUT_MIXTURE };
enum bf_config_numbers { BF_NUMBERS_CONTINUOUS, BF_NUMBERS_BINS };
enum bf_config_normalise { BF_NORMALISE_QUANTILES, BF_NORMALISE_RANGE };
enum bf_config_time { BF_CONFIG_TIME_NONE, BF_CONFIG_TIME_RAW, BF_CONFIG_TIME_RBF, BF_CONFIG_TIME_RBFNN };
enum bf_config_start { BF_CONFIG_START_ZERO, BF_CONFIG_START_RANDOM };
enum bf_config_schedule { BF_SCHEDULE_CONSTANT, BF_SCHEDULE_COSINE, BF_SCHEDULE_WAVES, BF_SCHEDULE_PLATEAU };
enum bf_config_clip { BF_CLIP_FIXED, BF_CLIP_QUEUE };
enum bf_config_storage { BF_STORAGE_FLOAT, BF_STORAGE_HALF };
enum bf_config_loss { BF_CONFIG_LOSS_CONTINUOUS, BF_CONFIG_LOSS_NSTEP };

/* Integers are int64_t, numbers double, choices int (position in the list of choices), switches bool. */
typedef struct bf_config {
    struct {
        char train[BF_CONFIG_TEXT], test[BF_CONFIG_TEXT], vocabulary[BF_CONFIG_TEXT];
        char columns[BF_CONFIG_TEXT], missing[BF_CONFIG_TEXT];
        char labels[BF_CONFIG_TEXT], test_labels[BF_CONFIG_TEXT], label_names[BF_CONFIG_TEXT];
        int transform; /* bf_transform */
        bf_int_list size;
        int64_t bins, length, limit;
        double validation, given;
        int numbers;   /* enum bf_config_numbers */
        int normalise; /* enum bf_config_normalise */
        bool flip;
    } data;
    struct {
        char elements[BF_CONFIG_TEXT];
        double scale, type_weight, noise;
        int64_t room;
        bool pocket, rotate;
    } mol;
    struct {
        int kind, output;
        double min_variance, max_sqrt_beta, min_t;
        int schedule; /* bf_flow_schedule */
        int64_t mixture;
        bool truncate, predict_data;
    } flow;
    struct {
        int kind; /* bf_net_kind */
        int64_t width, blocks, groups, heads, neighbours, time_features;
        int time; /* enum bf_config_time */
        bf_int_list mult, attention;
        double dropout;
        bool scale_shift, project_input, skip, positions, learned_positions;
        bool fourier, attention_everywhere, bias, causal;
    } net;
    struct {
        int64_t steps, schedule_steps, batch, accumulate, seed, warmup, loss_steps;
        int64_t eval_every, save_every, log_every, bad_steps, clip_queue, plateau_patience;
        double lr, lr_final, plateau_factor, beta1, beta2, eps, weight_decay, clip, ema, label_dropout;
        int schedule, clip_rule, loss, receiver, times, storage;
        bool recompute;
    } train;
    struct {
        bf_int_list loss_steps;
        int64_t batch, repeats, examples, seed;
        int receiver, times;
    } eval;
    struct {
        int64_t n, steps, batch, seed;
        int mode;   /* bf_sampler_mode; BF_SAMPLER_MODES: auto */
        int grid;   /* auto, uniform, shifted, early */
        int last;   /* auto, then bf_sampler_last */
        int choose; /* bf_sampler_choose */
        double eta, guidance;
        char times[BF_CONFIG_TEXT];
        int start;
        double temperature;
    } sample;
    struct {
        char select[BF_CONFIG_TEXT];
        int gemm;
        int64_t memory_mib;
    } device;
    unsigned char origin[BF_CONFIG_KEYS_MAX]; /* enum bf_origin, by position in the table */
} bf_config;

typedef enum bf_key_type { BF_KEY_BOOL, BF_KEY_INT, BF_KEY_FLOAT, BF_KEY_TEXT, BF_KEY_CHOICE, BF_KEY_INTS } bf_key_type;
enum bf_origin { BF_ORIGIN_DEFAULT, BF_ORIGIN_FILE, BF_ORIGIN_OPTION };

typedef struct bf_key {
    const char *name; /* "section.key" */
    bf_key_type type;
    size_t offset;       /* of the value in bf_config */
    double min, max;     /* INT, FLOAT, elements of INTS */
    const char *choices; /* CHOICE: words separated by '|' in the order of the enum */
    const char *def;     /* default, in the notation of the file */
    const char *help;
} bf_key;

extern const bf_key bf_config_keys[];
extern const size_t bf_config_key_count;

/* All defaults, origin DEFAULT. */
void bf_config_defaults(bf_config *c);

/* Defaults overridden by a file. Messages name the file, the line and the nearest key; BF_USAGE for whatever is wrong
 * with the contents (and for a file that cannot be read). */
bf_status bf_config_load(const char *path, bf_config *c, bf_err *err);

/* The same from memory; `name` stands for the file in messages. */
bf_status bf_config_parse(const char *text, size_t bytes, const char *name, bf_config *c, bf_err *err);

/* One override "section.key=value"; origin OPTION. */
bf_status bf_config_set(bf_config *c, const char *assignment, bf_err *err);

/* Where the value of a key comes from; DEFAULT for an unknown name. */
enum bf_origin bf_config_origin(const bf_config *c, const char *name);

/* What concerns more than one key (bins of a categorical flow, width and groups, ...). */
bf_status bf_config_check(const bf_config *c, bf_err *err);

/* The whole config as a file that reads back to the same values; `origins` adds "# default|file|option" comments.
 * *text is freed by the caller. */
bf_status bf_config_text(const bf_config *c, bool origins, char **text, bf_err *err);

/* {"section":{"key":value}}; owned by the caller. */
bf_status bf_config_json(const bf_config *c, json_t **out, bf_err *err);

/* Fingerprint of what decides the weights after a given step: everything but device, scoring, sampling, and how long
 * and how often is saved and logged. */
uint64_t bf_config_hash(const bf_config *c);

/* The word of a CHOICE key for its present value; "" for other types. Buffer of at least 32 bytes. */
void bf_config_choice(const bf_key *key, const bf_config *c, char word[32]);

/* Edit distance (insert, delete, replace, swap of neighbours), case ignored; words over 63 characters are cut. */
int bf_edit_distance(const char *a, const char *b);

#endif
