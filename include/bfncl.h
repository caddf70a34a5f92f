/*
 * bfncl: train, score and sample Bayesian Flow Networks on any OpenCL device.
 *
 * The only public header. Conventions:
 *  - Every function that can fail returns a bfncl_status and, when `err` is not NULL, fills it with one
 *    sentence that says what failed, on what, and what to do. Nothing here prints, exits or aborts.
 *  - Handles are opaque; whoever receives one from a *_new / *_open function frees it with the matching
 *    *_free / *_close, which accept NULL.
 *  - Option structs start with a *_defaults function so that fields can be added later.
 */
#ifndef BFNCL_H
#define BFNCL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BFNCL_VERSION_MAJOR 0
#define BFNCL_VERSION_MINOR 1
#define BFNCL_VERSION_PATCH 0
#define BFNCL_VERSION "0.1.0"

#if defined(__GNUC__)
#define BFNCL_API __attribute__((visibility("default")))
#else
#define BFNCL_API
#endif

/* Status codes; the values are the exit codes of the program and never change. */
typedef enum bfncl_status {
    BFNCL_OK = 0,
    BFNCL_ERR_RUNTIME = 1, /* I/O, memory, OpenCL call */
    BFNCL_ERR_USAGE = 2,   /* bad argument or configuration */
    BFNCL_ERR_DEVICE = 3,  /* no such device, none usable, ambiguous selector */
    BFNCL_ERR_FILE = 4,    /* input file missing, damaged or of the wrong kind */
    BFNCL_ERR_NUMERIC = 5, /* loss not finite, or a verification failed */
    BFNCL_STOPPED = 6      /* the caller's progress callback asked to stop; everything was saved */
} bfncl_status;

#define BFNCL_MESSAGE_SIZE 1024

/* One failure: a code for programs, a sentence for people. */
typedef struct bfncl_error {
    bfncl_status status;
    int cl_code;                      /* OpenCL code, 0 when none */
    char message[BFNCL_MESSAGE_SIZE]; /* what failed, on which file, tensor, kernel or device */
    char hint[BFNCL_MESSAGE_SIZE];    /* what to do about it; may be empty */
} bfncl_error;

/* Fixed text for a status, e.g. "damaged or wrong input file". Never NULL. */
BFNCL_API const char *bfncl_status_text(bfncl_status status);

/* Version of the library that is running, "0.1.0". */
BFNCL_API const char *bfncl_version(void);

typedef enum bfncl_log_level { BFNCL_LOG_ERROR, BFNCL_LOG_WARN, BFNCL_LOG_INFO, BFNCL_LOG_DEBUG } bfncl_log_level;
typedef void (*bfncl_log_fn)(void *user, bfncl_log_level level, const char *line);

/* Where log lines go (process-wide; NULL = nowhere, the default). */
BFNCL_API void bfncl_set_log(bfncl_log_fn fn, void *user);

/* Frees memory that a function here says the caller owns. NULL is fine. */
BFNCL_API void bfncl_free(void *p);

/* ---- shared by everything that computes -------------------------------------------------------------------------- */

/* Time of all runs of one kernel (or copy, or fill). */
typedef struct bfncl_profile_row {
    const char *file, *kernel; /* file "": not one of ours */
    const char *variant;       /* the definitions it was built with */
    uint64_t runs;
    double seconds;
    double flop, bytes;   /* arithmetic and memory traffic of all runs, 0 when not counted */
    double least_seconds; /* for these at the device's measured limits (roofline); 0 or NaN when not known */
} bfncl_profile_row;

/* Where the time of a run went, over its units after the first. */
typedef struct bfncl_profile {
    bfncl_profile_row *rows; /* most time first */
    size_t n_rows;
    const char *unit; /* "step", "batch" */
    uint64_t units;
    bool warm;                     /* the first unit is left out; false when there was no other */
    double seconds;                /* of all units, by the clock */
    double device_seconds;         /* of the rows; what is missing is overhead, transfers and waiting for the host */
    uint64_t launches;             /* of the rows */
    double peak_gflops, copy_gbps; /* measured after the run as in bfncl_bench_peak; NaN when that failed */
} bfncl_profile;

BFNCL_API void bfncl_profile_free(bfncl_profile *p); /* what it holds; *p is the caller's */

/* Where to compute. Zero-filled = everything as the configuration says, else automatic. */
typedef struct bfncl_device_options {
    const char *selector;      /* as --device; NULL: $BFNCL_DEVICE, then device.select of the config, then auto */
    const char *selector_from; /* who chose it, for messages; NULL when selector is */
    const char *gemm;          /* "auto", "clblast", "packed"; NULL: device.gemm of the config */
    const char *kernel_dir;    /* read .cl files from here; NULL: the ones inside the library */
    uint64_t memory_limit;     /* bytes; 0: device.memory_mib of the config */
    bfncl_profile *profile;    /* training, scoring, sampling: receives what took how long; NULL: not measured. Commands
                                * are timed one by one, which makes a run slower */
    const char *trace;         /* the same: file for a trace in the JSON of chrome://tracing; NULL: none */
} bfncl_device_options;

/* State of a long operation. Numbers that do not apply are NaN. */
typedef struct bfncl_progress {
    const char *phase;    /* "compiling kernels", "training", "validating", "scoring", "sampling", "saving" */
    uint64_t done, total; /* steps, examples or samples; total 0 = unknown */
    double eta;           /* seconds until the phase ends */
    double loss;          /* training: nats per dimension of this step */
    double lr, grad_norm, step_ms;
} bfncl_progress;

/* What a run takes, known before anything is computed. `peak_bytes` is the sum of the three before it. */
typedef struct bfncl_plan {
    uint64_t params;           /* trained numbers of the network */
    uint64_t param_bytes;      /* they, and while training their gradients, moments and averages */
    uint64_t activation_bytes; /* results inside the network, after sharing */
    uint64_t io_bytes;         /* inputs, constants, what is read back */
    uint64_t peak_bytes;
    uint64_t budget_bytes; /* what the device or the caller allows */
    uint64_t host_bytes;   /* dry run: held besides by the program, its libraries and the driver; else 0 */
    uint64_t peak_keep_bytes,
        peak_recompute_bytes; /* dry run of training: the peak without and with train.recompute; 0 */
    uint64_t batch;           /* examples in memory at once */
    double gflop;             /* of a training step, a scored batch, or a sampler step of a batch */
} bfncl_plan;

/* Called often, from the calling thread. Returning false stops the operation: what is worth saving is saved and the
 * operation returns BFNCL_STOPPED. */
typedef bool (*bfncl_progress_fn)(void *user, const bfncl_progress *p);

/* ---- training ---------------------------------------------------------------------------------------------------- */

typedef struct bfncl_train_options {
    const char *config;     /* file; NULL only with resume: OUT/config.yaml */
    const char *const *set; /* overrides "section.key=value", in order */
    size_t n_set;
    const char *out; /* run folder, made if absent; NULL: "runs/NAME" after the config file */
    bool resume;     /* go on from the newest valid checkpoint of `out`; without one, start */
    bool dry_run;    /* plan only: nothing is computed or written */
    bfncl_device_options device;
    bfncl_progress_fn progress;
    void *user;
} bfncl_train_options;

typedef struct bfncl_train_result {
    uint64_t steps; /* done in all, earlier runs included */
    uint64_t first_step;
    double loss; /* last training loss, nats per dimension */
    double best; /* validation loss of best.safetensors, bits per dimension; NaN: none */
    uint64_t best_step;
    double seconds, ms_per_step; /* median over this run, first step excluded */
    uint64_t batch;              /* examples of a step */
    bfncl_plan plan;
    char device[256];
    char out[1024];
} bfncl_train_result;

BFNCL_API void bfncl_train_defaults(bfncl_train_options *o);
/* Trains and writes the run folder: config.yaml, train.jsonl, last.safetensors, best.safetensors, loss.svg. When the
 * disk is full the old checkpoint stays, a warning is logged and training goes on. *result may be NULL. */
BFNCL_API bfncl_status bfncl_train(const bfncl_train_options *o, bfncl_train_result *result, bfncl_error *err);

/* The resolved configuration as YAML, with `origins` a comment per value (default, file, option). The caller frees
 * *text with bfncl_free. `config` NULL: the defaults. */
BFNCL_API bfncl_status bfncl_config_text(const char *config, const char *const *set, size_t n_set, bool origins,
                                         char **text, bfncl_error *err);
/* Documentation of configuration key i: "section.key", type with range, default, help. False past the last. */
BFNCL_API bool bfncl_config_key(size_t i, const char **name, char type[192], const char **def, const char **help);

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

typedef struct bfncl_eval_options {
    const char *model;  /* model file or run folder (then best, else last), or weights for `config` */
    const char *config; /* NULL, or what the weights of another program are for; with `size` as for bfncl_convert */
    const char *size;
    const char *data; /* NULL: data.test of the config */
    const char *const *set;
    size_t n_set;
    const int64_t *loss_steps; /* 0 = continuous time; NULL: eval.loss_steps */
    size_t n_loss_steps;
    int64_t repeats;         /* passes with fresh times and noise; 0: eval.repeats */
    int64_t limit;           /* only the first examples; 0 = all */
    int64_t seed;            /* < 0: eval.seed */
    int64_t stride;          /* text: windows begin every so many characters, which count once, in the first window that
                                holds them; those before them in a window are context. 0: windows do not overlap */
    int64_t over_time;       /* also the losses in so many bins of time; 0: none */
    const char *receiver;    /* "joint", "official"; NULL: eval.receiver */
    const char *weights;     /* "ema", "raw"; NULL: ema */
    const char *per_example; /* CSV file of the scores of every example; NULL: none */
    const char *label;       /* model with labels: score as if every example were of this class, or "none". NULL: their
                                own labels (data.test_labels) */
    bool dry_run;            /* only the plan: weights are found in the file but not read, data are not opened */
    bool baselines;          /* also the untrained network and a marginal model, of a table also a Gaussian copula */
    double impute;           /* table: hide this part of the cells, fill them, compare with means; 0: not */
    int64_t impute_draws;    /* draws of each row for that; 0: 20 */
    bfncl_device_options device;
    bfncl_progress_fn progress;
    void *user;
} bfncl_eval_options;

/* Mean of the estimates whose time lies in [from, to); the mean of all bins estimates the loss. NaN: none, or for the
 * standard error fewer than two. */
typedef struct bfncl_eval_bin {
    double from, to;
    uint64_t count; /* estimates: one per example and repeat */
    double nats_per_dim, bits_per_dim, stderr_bits_per_dim;
} bfncl_eval_bin;

/* What one group of variables of a model (such as a column of a table) contributes, in bits per variable of its own;
 * times dims, and summed over the groups, it is the row's. */
typedef struct bfncl_eval_group {
    char name[48];
    uint64_t dims;
    double bits_per_dim, stderr_bits_per_dim;
    double recon_bits_per_dim; /* NaN, and 0 in the totals: places of atoms, which no bins bound, have none */
    double total_bits_per_dim, stderr_total_bits_per_dim;
} bfncl_eval_group;

/* Per dimension unless the name says otherwise; total = loss + reconstruction. Standard errors are over examples (their
 * mean over the repeats is one observation). */
typedef struct bfncl_eval_row {
    int64_t loss_steps;   /* 0 = continuous time */
    const char *receiver; /* "joint", "official"; "none" where there is no choice */
    double nats_per_dim, bits_per_dim, stderr_bits_per_dim;
    double recon_bits_per_dim, total_bits_per_dim;
    double stderr_recon_bits_per_dim, stderr_total_bits_per_dim;
    double nats_per_example, total_nats_per_example; /* of all `dims`: nats per image */
    double bits_per_char, total_bits_per_char;       /* NaN: no text */
    uint64_t dims, samples, repeats, draws; /* draws: Monte-Carlo draws of noise per example, time and repeat */
    bfncl_eval_bin *over_time;              /* [n_over_time], freed with the result; NULL: not asked for */
    size_t n_over_time;
    bfncl_eval_group *groups; /* [n_groups], freed with the result; NULL: the model has only one */
    size_t n_groups;
} bfncl_eval_row;

/* A column of a table: its part of total_bits_per_row of the last loss, missing cells counting 0; and how well its
 * hidden cells were filled: the root of the mean square error in standard deviations of the column, or of words the
 * part that is wrong; NaN: not asked for, or none was hidden. */
typedef struct bfncl_eval_column {
    char name[128], type[16]; /* type: "continuous", "bins", "integer", "categorical", "binary", "constant", "ignore" */
    double bits;              /* NaN: not modelled */
    double impute_error, impute_baseline; /* baseline: the mean, or most frequent word, of the training rows */
} bfncl_eval_column;

/* All hidden cells together. */
typedef struct bfncl_eval_impute {
    double part;             /* of the cells that was hidden; 0: not asked for */
    uint64_t draws;          /* of each row, whose mean or most frequent word was taken */
    uint64_t numbers, words; /* cells that were hidden */
    double rmse, baseline_rmse, accuracy, baseline_accuracy;
} bfncl_eval_impute;

typedef struct bfncl_eval_result {
    bfncl_eval_row *rows; /* freed by bfncl_eval_result_free */
    size_t n_rows;
    double untrained_bits_per_dim, untrained_stderr_bits; /* baselines; NaN: not asked for */
    double marginal_bits_per_dim, marginal_stderr_bits;   /* NaN: not asked for, or data without classes */
    const char *marginal; /* what that model is: "per-pixel", of a text "unigram": one table for all characters, of a
                             table "per-column" */
    double copula_bits_per_dim, copula_stderr_bits; /* NaN: not asked for, or no table */
    bfncl_eval_column *columns;                     /* [n_columns] of a table, in the order of its file; else NULL */
    size_t n_columns;
    bfncl_eval_impute impute;
    char model[1024], data[1024], weights[8], times[24], device[256];
    uint64_t step;   /* of training */
    bool text;       /* examples are windows, dimensions are characters */
    bool table;      /* examples are rows, dimensions are columns */
    uint64_t atoms;  /* examples are molecules with so many atoms in all, each of rows->dims numbers; else 0 */
    bfncl_plan plan; /* of the loss that takes most */
    uint64_t stride, variables; /* text: from one window to the next, else 0; dimensions scored, each counted once */
} bfncl_eval_result;

BFNCL_API void bfncl_eval_defaults(bfncl_eval_options *o);
BFNCL_API bfncl_status bfncl_eval(const bfncl_eval_options *o, bfncl_eval_result *result, bfncl_error *err);
BFNCL_API void bfncl_eval_result_free(bfncl_eval_result *result);

/* ---- generated molecules ----------------------------------------------------------------------------------------- */

typedef struct bfncl_molecules_options {
    const char *samples; /* SDF, PDB or XYZ file, plain or .gz */
    const char *data;    /* real molecules to compare with; NULL: data.train of `model` */
    const char *model;   /* model file or run folder; may be NULL with `data` */
    const char *chart;   /* .svg of the lengths of their bonds; NULL: none */
    const char *pocket;  /* a receptor (PDB) in whose frame the samples are: how they fit into its pocket; NULL: none */
    const char *ligand, *center; /* where the pocket is, and how far it reaches: as in bfncl_sample_options */
    double radius;
} bfncl_molecules_options;

/* Fractions of 1. All by the distances of atoms alone, which say which are bound and how often (EDM's table), and not
 * by the bonds in the file. Stable: an atom that has as many bonds as its element (hydrogens are atoms too); a molecule
 * all of whose atoms do. The rest by RDKit, NaN in a bfncl that was built without it. */
typedef struct bfncl_molecules_row {
    uint64_t molecules, atoms;
    double atom_stability, molecule_stability;
    double validity, connected; /* of all molecules: accepted; accepted and in one piece */
    double uniqueness, novelty; /* different ones among the valid; of these, those not in the data (NaN: of the data) */
} bfncl_molecules_row;

/* How molecules fit into a pocket. NaN where none was given. */
typedef struct bfncl_fit {
    double free;     /* fraction of molecules without a clash (see bfncl_ligand) */
    double clashes;  /* mean over molecules, as the next */
    double distance; /* from the pocket's centre to the molecule's, Angstrom */
} bfncl_fit;

/* Distances of distributions: the root of the Jensen-Shannon divergence in nats, 0 equal, 0.83 without overlap. */
typedef struct bfncl_molecules_result {
    bfncl_molecules_row samples, reference;
    bfncl_fit fit;                                  /* of the samples */
    double bond_length_distance, distance_distance; /* of the lengths of bonds in the file; of all pairs of atoms */
    char data[1024];
} bfncl_molecules_result;

/* Measures of generated molecules beside those of real ones. */
BFNCL_API bfncl_status bfncl_eval_molecules(const bfncl_molecules_options *o, bfncl_molecules_result *result,
                                            bfncl_error *err);

/* ---- generated samples of any kind ------------------------------------------------------------------------------- */

typedef struct bfncl_samples_options {
    const char *model;   /* model file or run folder: what its samples are, and where its data are */
    const char *samples; /* molecules as above; texts: .txt, one a line; pictures: .npy or .safetensors as bfncl_sample
                            writes them, or a data set (a folder of PNG files, IDX, ...) */
    const char *data;    /* to compare with; NULL: data.train of the model */
    const char *const *set;
    size_t n_set;
    int64_t limit;          /* only the first examples of the data (texts: not used); 0: all */
    const char *dictionary; /* texts: words, one a line, or a .dic of Hunspell, whose affixes are not applied; NULL: the
                               words of the data, without what was held out */
    const char *encoder;    /* pictures: .safetensors with the layers of the features; NULL: fixed random ones */
    const char *neighbours; /* pictures: .png with samples (first column) and the examples of the data that are nearest
                               to them; NULL: none */
    const char *chart;      /* molecules: this and what follows as above */
    const char *pocket, *ligand, *center;
    double radius;
    bfncl_device_options device;
    bfncl_progress_fn progress;
    void *user;
} bfncl_samples_options;

typedef enum bfncl_samples_kind {
    BFNCL_SAMPLES_MOLECULES,
    BFNCL_SAMPLES_TEXTS,
    BFNCL_SAMPLES_PICTURES
} bfncl_samples_kind;

/* Words are runs of letters, whatever their case; those that touch the beginning or end of a text, where they may have
 * been cut, do not count. */
typedef struct bfncl_words_result {
    uint64_t texts, words;      /* of the samples */
    uint64_t known;             /* of these words, those in the dictionary */
    double share, stderr_share; /* known / words; its standard error over texts. NaN: no words */
    double held_out;            /* share of texts that the model was not trained on; NaN: there are none */
    uint64_t dictionary_words;
    char dictionary[1024]; /* file */
    bool own;              /* the dictionary is the words of the data */
} bfncl_words_result;

/* Frechet distance of normal distributions with the mean and covariance of the features of the samples and of the data;
 * depends on the features and falls with the number of samples, so compare equal numbers only. */
typedef struct bfncl_pictures_result {
    uint64_t samples, examples; /* of the data */
    double distance;
    double stderr_distance; /* jackknife over ten parts of the samples; NaN: fewer than 20 */
    double held_out;        /* of held_out_examples of data.test, at most as many as samples; NaN: there are none */
    uint64_t held_out_examples;
    char features[1024]; /* "random", "values" (of vectors, as they are), or the encoder's file */
    uint32_t n_features;
    double nearest; /* mean distance of the samples in the picture of neighbours to their nearest one: root mean square
                       of the differences of pixels (-1 to 1), with an encoder of features; NaN: none was made */
} bfncl_pictures_result;

typedef struct bfncl_samples_result {
    bfncl_samples_kind kind; /* which of the next is filled */
    bfncl_molecules_result molecules;
    bfncl_words_result words;
    bfncl_pictures_result pictures;
    char model[1024], data[1024], device[256]; /* device "": none was needed */
} bfncl_samples_result;

BFNCL_API void bfncl_samples_defaults(bfncl_samples_options *o);
BFNCL_API bfncl_status bfncl_eval_samples(const bfncl_samples_options *o, bfncl_samples_result *result,
                                          bfncl_error *err);

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

/* What the network expects while texts are sampled: the most likely character at every place and its probability. */
typedef struct bfncl_live {
    uint64_t evaluation, evaluations; /* network calls so far, and in all */
    double t;
    uint64_t texts, length;
    const char (*character)[5]; /* [texts, length]: UTF-8, closed by NUL; what cannot stand in a line is a blank */
    const float *probability;   /* [texts, length] */
} bfncl_live;
typedef void (*bfncl_live_fn)(void *user, const bfncl_live *state);

/* What a guide is shown before a step of the sampler. Rows are samples (with particles: each; of molecules: atoms). */
typedef struct bfncl_guide_step {
    uint64_t first;        /* number of the first sample */
    uint64_t samples;      /* rows of a batch; those beyond the number asked for count for nothing */
    int group;             /* of variables; several where a model is of tables or molecules */
    uint64_t dims;         /* variables of a row */
    uint32_t classes;      /* 0: real values */
    int64_t call;          /* of the network, from 1 */
    double time, to;       /* of the state, and of the step's end */
    const float *state;    /* what is known of the data: means [samples, dims], or probabilities theta [samples, dims,
                              classes]. At time t a mean has heard messages of the precision 1 / sigma1^(2t) - 1 */
    const float *expected; /* what the network expects: [samples, dims], or probabilities [samples, dims, classes] */
    float *gradient;       /* as `state`, all 0: receives the gradient of ln h by it */
} bfncl_guide_step;

/* A function that pulls samples towards what it likes: towards p(x) h(x)^w for the density p of the model's samples.
 * It is called before every step, on the caller's thread, for every group of variables. Returning false ends the run
 * with BFNCL_STOPPED. For instance brighter pictures, by ln h = the sum over the pixels:
 *
 *     static bool brighter(void *user, const bfncl_guide_step *s)
 *     {
 *         for (uint64_t i = 0; i < s->samples * s->dims; i++) s->gradient[i] = 1;
 *         return true;
 *     }
 *     ...
 *     o.guide = brighter;
 *     o.guide_strength = 0.5;
 *
 * Real values: the network's expectation moves by w sigma1^(2 to) times the gradient. Classes: in the sampler ancestral
 * w times the gradient is added to the logits, in the end_back ones to the probabilities; others take no guide. */
typedef bool (*bfncl_guide_fn)(void *user, const bfncl_guide_step *step);

typedef struct bfncl_sample_options {
    const char *model; /* with `config` and `size` as for eval */
    const char *config, *size;
    const char *const *set;
    size_t n_set;
    int64_t n, steps; /* 0: sample.n, sample.steps */
    int64_t length;   /* characters of a text, at most those of the model's examples; 0: as many */
    int64_t seed;     /* < 0: sample.seed. Sample k is the same whatever n and the batch size are */
    /* What is given, and stays as it is; n: draws of it (0: 1). NULL: nothing.
     * table: a CSV file whose missing cells are filled with the mean or the most frequent word of the draws
     * picture: a PNG file or an NPY array of one or several; drawn is what is white in `mask`, without a mask the
     *     transparent pixels, and NaN in an array
     * text: a file or the text itself, with characters that stand for holes */
    const char *given;
    const char *mask;    /* PNG of the picture's height and width; NULL: none */
    const char *hole;    /* the character for holes; NULL: _ and ?, unless the model knows them as characters */
    const char *lengths; /* texts: "10,20,32" or "10-32": those of the samples, over and over; the rest of the longest
                            is held at spaces, and cut off in texts. NULL: all are alike */
    int64_t particles;   /* of every sample: what is given is followed exactly in the limit of many; 0, 1: roughly. Only
                            with the sampler ancestral */
    bfncl_guide_fn guide; /* NULL: none */
    void *guide_user;
    double guide_strength; /* w */
    const char *weights;   /* as for eval */
    const char *sampler; /* a word of sample.mode: "ancestral", "ode2", "auto", ...; NULL: that of the configuration */
    const char *grid;    /* "uniform", "shifted", "early"; NULL: sample.grid */
    const char *times;   /* of the steps, "0.01, 0.2, 0.6, 1"; NULL: sample.times */
    const char *label;   /* model with labels: classes by name, "all", or "none"; of several there are n samples each, a
                            row of the picture per class. NULL: none */
    double guidance;     /* strength W of classifier-free guidance, for samples of a class; < 0: sample.guidance */
    const char *scaffold; /* molecules: file of a part that every sample has, where it is; NULL: none */
    const char *pocket;   /* models of ligands in pockets: the receptor, a PDB file */
    const char *ligand;   /* its ligand in place, SDF, PDB or XYZ: where the pocket is. NULL: `center` says it */
    const char *center;   /* "x,y,z" in Angstrom */
    double radius;        /* Angstrom: residues whose centre is closer belong to the pocket; 0: 10, of `center` 14 */
    const char *atoms;    /* of a sample: "ref" as many heavy ones as `ligand`, "prior" as fits the pocket's size, or a
                             number. NULL: "ref" where there is a ligand */
    /* .png (a grid) or, of a text model, .txt, of a table .csv, of molecules .sdf, .xyz, .pdb; .npy, .safetensors (not
     * of molecules). NULL: texts are only returned, the others go to MODEL_FOLDER/samples/samples.png, .csv or .sdf */
    const char *out;
    bool dry_run;          /* only the plan: weights are found in the file but not read */
    const char *animation; /* .gif of how the first samples form, or .png: all of it in one picture; of vectors of one
                              or two numbers also .svg. NULL: none */
    bfncl_live_fn live;    /* of texts: called after every network call for the first of them; NULL: not */
    void *live_user;
    bfncl_device_options device;
    bfncl_progress_fn progress;
    void *user;
} bfncl_sample_options;

/* A ligand that was made for a pocket. Lengths in Angstrom; hydrogens do not count. */
typedef struct bfncl_ligand {
    uint32_t atoms, bonds;
    uint64_t clashes; /* pairs of an atom and one of the pocket closer than their van der Waals radii less 0.5 */
    double closest;   /* of these pairs */
    double distance;  /* from the pocket's centre to the ligand's */
    char *smiles;     /* NULL: no valid molecule, or nobody could judge */
} bfncl_ligand;

typedef struct bfncl_pocket {
    uint32_t atoms, residues; /* 0: the model has no pockets */
    uint32_t reference;       /* heavy atoms of the ligand that was there; 0: none was given */
    double center[3], size;   /* mean of its atoms; median of the ten largest distances between them */
    bool judged;              /* RDKit is there to say what is valid */
} bfncl_pocket;

typedef struct bfncl_sample_result {
    uint64_t samples, steps;
    uint64_t evaluations; /* calls of the network per sample */
    bool automatic;       /* the sampler was left to "auto" */
    double seconds;
    char out[1024], device[256];  /* out: "" when no file was written */
    char weights[8], sampler[16]; /* "ema"; "ancestral" */
    uint64_t classes;             /* samples / classes of each; 0: of none in particular */
    double guidance;              /* 0: none */
    bfncl_plan plan;
    char **texts; /* [samples] UTF-8, of a text model without `out`; else NULL */
    bfncl_pocket pocket;
    bfncl_ligand *ligands; /* [n_ligands], of a model with pockets; freed with the result */
    uint64_t n_ligands;
} bfncl_sample_result;

BFNCL_API void bfncl_sample_defaults(bfncl_sample_options *o);
/* A result must be given to bfncl_sample_result_free, also after a failure. */
BFNCL_API bfncl_status bfncl_sample(const bfncl_sample_options *o, bfncl_sample_result *result, bfncl_error *err);
BFNCL_API void bfncl_sample_result_free(bfncl_sample_result *result);

/* ---- looking at files -------------------------------------------------------------------------------------------- */

/* *json: {"kind","params","tensors":[{"name","shape","dtype"}],"config":{...},...} for a model, checkpoint, tensor
 * file, data set, picture, molecule file or configuration; the caller frees it with bfncl_free. Every CRC in the file
 * is checked. All four keys are always there: null, and no tensors, where they do not apply. "param_bytes" is what the
 * parameters take in memory, "memory_bytes" about what scoring or sampling one example takes in all, driver and
 * compiler included; bfncl_eval and bfncl_sample with dry_run have the plan itself. */
BFNCL_API bfncl_status bfncl_info(const char *path, char **json, bfncl_error *err);

/* ---- weights of other programs ----------------------------------------------------------------------------------- */

typedef struct bfncl_convert_options {
    const char *in;     /* PyTorch file (torch.save) or safetensors */
    const char *out;    /* .safetensors */
    const char *config; /* what the weights are for: a configuration (YAML), or the JSON of the official releases. Then
                           the result is a model, as it is with NULL and a checkpoint that holds the settings of a known
                           network (MolCRAFT). Else the tensors as they are, without "module." and "net." */
    const char *const *set; /* overrides of the configuration */
    size_t n_set;
    const char *size; /* "28x28x1": height, width, channels of an example; NULL: as the configuration's data say */
    bfncl_device_options device;
} bfncl_convert_options;

typedef struct bfncl_convert_result {
    uint64_t tensors, params;  /* written tensors; trained numbers of the network, 0 where there is no model */
    char raw[1032], ema[1032]; /* prefixes of the raw and of the averaged weights in the file, "net." */
} bfncl_convert_result;

BFNCL_API void bfncl_convert_defaults(bfncl_convert_options *o);
/* Every tensor is found and its shape compared before anything is written. Holds one tensor in memory at a time.
 * *result may be NULL. */
BFNCL_API bfncl_status bfncl_convert(const bfncl_convert_options *o, bfncl_convert_result *result, bfncl_error *err);

/* ---- verification ------------------------------------------------------------------------------------------------ */

typedef enum bfncl_verify_state { BFNCL_VERIFY_PASSED, BFNCL_VERIFY_FAILED, BFNCL_VERIFY_SKIPPED } bfncl_verify_state;

/* One comparison, or (tensor NULL) the result of a file. */
typedef struct bfncl_verify_line {
    const char *path;
    const char *kind;   /* "continuous", "network", ... */
    const char *tensor; /* NULL: the file as a whole */
    bfncl_verify_state state;
    double error, tolerance;  /* of the element that uses most of its tolerance; file: of the worst tensor */
    const char *worst;        /* file: that tensor; NULL when nothing was compared */
    unsigned compared, wrong; /* file: tensors */
    const char *note;         /* why it was skipped or could not be replayed; "" */
} bfncl_verify_line;

/* Called for every tensor, for everything skipped inside a file and, last, for the file. The strings live until it
 * returns. */
typedef void (*bfncl_verify_fn)(void *user, const bfncl_verify_line *line);

typedef struct bfncl_verify_options {
    const char *const *paths; /* files, or folders that are searched for files with a known `kind` */
    size_t n_paths;           /* 0: the vectors installed with the program */
    bfncl_device_options device;
    bfncl_verify_fn on_line; /* may be NULL */
    void *user;
} bfncl_verify_options;

typedef struct bfncl_verify_result {
    unsigned passed, failed; /* files */
    unsigned skipped;        /* files, and parts of files */
    unsigned tensors;        /* compared in all */
    char device[256];
} bfncl_verify_result;

BFNCL_API void bfncl_verify_defaults(bfncl_verify_options *o);
/* Replays golden vectors on a device. BFNCL_ERR_NUMERIC when a file failed; *result is filled then too. */
BFNCL_API bfncl_status bfncl_verify(const bfncl_verify_options *o, bfncl_verify_result *result, bfncl_error *err);

/* ---- a model inside another program ------------------------------------------------------------------------------ */

/*
 *     bfncl_model *m;
 *     bfncl_error e;
 *     if (bfncl_model_open("best.safetensors", NULL, &m, &e) != BFNCL_OK) ...
 *     float *x = malloc(16 * bfncl_model_dims(m) * sizeof *x);
 *     bfncl_model_sample(m, 0, 16, 100, 1, x, &e);         values in [-1, 1], or class numbers
 *     bfncl_model_close(m);
 */
typedef struct bfncl_model bfncl_model;

/* A model file or a run folder, but not of a table (BFNCL_ERR_USAGE); `device` may be NULL. Uses the averaged weights.
 * One thread at a time per model. */
BFNCL_API bfncl_status bfncl_model_open(const char *path, const bfncl_device_options *device, bfncl_model **out,
                                        bfncl_error *err);
BFNCL_API void bfncl_model_close(bfncl_model *m);
BFNCL_API void bfncl_model_shape(const bfncl_model *m, uint32_t shape[3]); /* height, width, channels */
BFNCL_API uint64_t bfncl_model_dims(const bfncl_model *m);
BFNCL_API uint32_t bfncl_model_classes(const bfncl_model *m); /* 0: values in [-1, 1], or several groups */
/* Samples drawn from here on are of this class of a model with labels; NULL or "none", as at first: of none. `guidance`
 * is the strength W >= 0 of classifier-free guidance towards it. */
BFNCL_API bfncl_status bfncl_model_label(bfncl_model *m, const char *label, double guidance, bfncl_error *err);
/* Samples first .. first + n - 1 of `seed` into out[n, dims]; class numbers as floats for a categorical model. */
BFNCL_API bfncl_status bfncl_model_sample(bfncl_model *m, uint64_t first, uint64_t n, uint64_t steps, uint64_t seed,
                                          float *out, bfncl_error *err);
/* Continuous-time loss plus reconstruction of data[n, dims] (as bfncl_model_sample delivers them, without labels), in
 * nats per dimension, one estimate per example into nats[n], averaged over `repeats` times. */
BFNCL_API bfncl_status bfncl_model_score(bfncl_model *m, const float *data, uint64_t n, uint64_t repeats, uint64_t seed,
                                         double *nats, bfncl_error *err);

/* ---- measuring --------------------------------------------------------------------------------------------------- */

/* `batch` independent products C[m,n] = op(A)[m,k] op(B)[k,n], dense; trans "nn", "nt" (B stored [n,k]), "tn", "tt". */
typedef struct bfncl_gemm_shape {
    int m, n, k, batch;
    char trans[3];
} bfncl_gemm_shape;

typedef struct bfncl_bench_gemm_options {
    const bfncl_gemm_shape *shapes; /* NULL: 12 shapes of transformers, convolutions and attention */
    size_t n_shapes;
    double seconds; /* per row, after warming up; 0: 0.3 */
    /* device.gemm: "packed" or "clblast" measures one provider, NULL or "auto" both */
    bfncl_device_options device;
    bfncl_progress_fn progress; /* a row is a step */
    void *user;
} bfncl_bench_gemm_options;

typedef struct bfncl_bench_gemm_row {
    bfncl_gemm_shape shape;
    char provider[8];                      /* "packed", "clblast" */
    double gflops, gflops_min, gflops_max; /* median, least and largest of the timed runs */
    double first_ms;                       /* first run, compilation included */
    double fraction_of_peak;               /* of the measured multiply-adds in registers (bfncl_peak) */
    unsigned runs;
} bfncl_bench_gemm_row;

BFNCL_API void bfncl_bench_gemm_defaults(bfncl_bench_gemm_options *o);
/* Each shape with each provider; *rows is freed by bfncl_free, `device` (may be NULL) receives the device's name. */
BFNCL_API bfncl_status bfncl_bench_gemm(const bfncl_bench_gemm_options *o, bfncl_bench_gemm_row **rows, size_t *n_rows,
                                        char device[256], bfncl_error *err);

/* What a device can do at best, measured: median, least and largest. */
typedef struct bfncl_peak {
    double gflops, gflops_min, gflops_max;          /* multiply-adds in registers, two operations each */
    double copy_gbps, copy_gbps_min, copy_gbps_max; /* a kernel that copies; 10^9 bytes read and written per second */
    double driver_copy_gbps;                        /* the same by the driver's own copy */
    uint64_t copy_bytes;                            /* of each of the two buffers */
} bfncl_peak;

typedef struct bfncl_bench_options {
    /* conv: "BxHxWxCIxCO", optionally ":k1" (kernel 1x1, else 3x3), ":s2" (stride 2); attention: "BxTxHEADSxSIZE",
     * optionally ":causal"; ops: not used. NULL: shapes of the official and of the bench configurations */
    const char *const *shapes;
    size_t n_shapes;
    const char *only; /* rows whose op has this in its name; NULL: all */
    double seconds;   /* per row, after warming up; 0: 0.3 */
    bfncl_device_options device;
    bfncl_progress_fn progress; /* a row is a step */
    void *user;
} bfncl_bench_options;

typedef struct bfncl_bench_row {
    char op[48], shape[48];
    double ms, ms_min, ms_max; /* median, least and largest of the timed runs */
    double first_ms;           /* first run, compilation included */
    double gflops, gbps;       /* at the median. gbps: every tensor that must be read or written counts once. NaN: the
                                  arithmetic is not counted */
    double fraction_of_peak, fraction_of_copy; /* of the measured peak; of the copying kernel */
    uint64_t commands;                         /* kernels, copies and fills */
    unsigned runs;
} bfncl_bench_row;

typedef struct bfncl_bench_result {
    bfncl_peak peak;
    bfncl_bench_row *rows;
    size_t n_rows;
    char device[256];
} bfncl_bench_result;

BFNCL_API void bfncl_bench_defaults(bfncl_bench_options *o);
/* The peak alone; convolutions (forward, gradients by input and weight); attention (forward, gradient); every op that
 * moves more than it computes, on tensors of up to 256 MiB. A result must be given to bfncl_bench_result_free, also
 * after a failure. */
BFNCL_API bfncl_status bfncl_bench_peak(const bfncl_bench_options *o, bfncl_bench_result *result, bfncl_error *err);
BFNCL_API bfncl_status bfncl_bench_conv(const bfncl_bench_options *o, bfncl_bench_result *result, bfncl_error *err);
BFNCL_API bfncl_status bfncl_bench_attention(const bfncl_bench_options *o, bfncl_bench_result *result,
                                             bfncl_error *err);
BFNCL_API bfncl_status bfncl_bench_ops(const bfncl_bench_options *o, bfncl_bench_result *result, bfncl_error *err);
BFNCL_API void bfncl_bench_result_free(bfncl_bench_result *result);

typedef struct bfncl_bench_model_options {
    const char *config;     /* file */
    const char *const *set; /* overrides "section.key=value", in order */
    size_t n_set;
    const char *size; /* "28x28x1": height, width, channels of an example; NULL: as the configuration or its data say */
    int64_t batch;    /* examples at a time; 0: train.batch; sampling: sample.batch, else train.batch */
    int64_t steps;    /* timed, after three others; 0: 10 */
    bfncl_device_options device;
    bfncl_progress_fn progress;
    void *user;
} bfncl_bench_model_options;

/* Times are in ms and by the clock on the wall, until the host has the results of the step. */
typedef struct bfncl_bench_model_result {
    uint64_t params, batch, steps, warmup_steps;
    uint32_t example[3];                /* height, width, channels */
    double ms_per_step, ms_min, ms_max; /* median, least and largest of the timed steps */
    double network_ms, sampler_ms; /* sampling: the network alone, and what the sampler adds to it: medians of as many
                                      runs of either, in turn, after the steps. Training: 0 */
    double first_step_ms;          /* drivers may make machine code there */
    double compile_ms;             /* building programs, before the first step */
    double startup_ms;             /* from the call to the end of the first step: these two and all else */
    uint64_t commands_per_step;    /* kernels, copies and fills that a step enqueues */
    double gflop, gflops;          /* arithmetic of the network in a step; that over the median */
    double fraction_of_peak;       /* of the measured multiply-adds in registers (bfncl_peak) */
    uint64_t peak_device_bytes;
    uint64_t host_idle_bytes; /* the most the process held when the device was open and nothing was built */
    uint64_t host_peak_bytes; /* the same at the end; memory of a device that is the processor is in it */
    char device[256];
} bfncl_bench_model_result;

BFNCL_API void bfncl_bench_model_defaults(bfncl_bench_model_options *o);
/* The training step of bfncl_train with examples made up (uniform values or classes): drawing from the flow, loss,
 * gradients, clipping, AdamW, averages. The weights are fresh ones. No data are read unless only they say how large an
 * example is. */
BFNCL_API bfncl_status bfncl_bench_train(const bfncl_bench_model_options *o, bfncl_bench_model_result *result,
                                         bfncl_error *err);
/* The sampler step of bfncl_sample with fresh weights: one evaluation of the network, draw, message and update. */
BFNCL_API bfncl_status bfncl_bench_sample(const bfncl_bench_model_options *o, bfncl_bench_model_result *result,
                                          bfncl_error *err);

/* ---- tuning ------------------------------------------------------------------------------------------------------ */

typedef struct bfncl_tune_options {
    double seconds;    /* to spend; 0: 300 */
    const char *table; /* file; NULL: $BFNCL_TUNE, else one per device in the user's configuration folder */
    /* device.gemm: "packed" or "clblast" tries this provider only, NULL or "auto" what the device gains from */
    bfncl_device_options device;
    bfncl_progress_fn progress; /* counts seconds */
    void *user;
} bfncl_tune_options;

/* One class of matrix products: what was measured, with the best way found and with the default. */
typedef struct bfncl_tune_row {
    char name[24]; /* "nt-large-short": transposition, shape of C, length of the sum */
    bfncl_gemm_shape shape;
    char provider[8]; /* "packed", "clblast" */
    int tile[4];      /* sizes of the packed provider; zeros: its defaults */
    double gflops, default_gflops;
} bfncl_tune_row;

#define BFNCL_TUNE_ROWS 32
typedef struct bfncl_tune_result {
    bfncl_tune_row rows[BFNCL_TUNE_ROWS];
    size_t n_rows;
    char table[1024], device[256], driver[128];
    char time[24], id[9];         /* of the table: when it was written (UTC), its number */
    char clblast[1024];           /* parameters of CLBlast, "" where its own are best */
    uint64_t tried, wrong, fails; /* ways that were tried; those with a wrong result; those the driver did not take */
} bfncl_tune_result;

BFNCL_API void bfncl_tune_defaults(bfncl_tune_options *o);
/* Tries providers, sizes and parameters of matrix products; none is timed before its result was checked. Writes the
 * table, which is then used by everything that opens the device with gemm "auto". When the caller stops it, what was
 * found so far is written and the status is BFNCL_STOPPED. *result may be NULL. Parameters of CLBlast that were tried
 * last stay in use until the process ends. */
BFNCL_API bfncl_status bfncl_tune(const bfncl_tune_options *o, bfncl_tune_result *result, bfncl_error *err);
/* What the table of the device says; BFNCL_ERR_FILE when there is none or it cannot be used. */
BFNCL_API bfncl_status bfncl_tune_read(const bfncl_tune_options *o, bfncl_tune_result *result, bfncl_error *err);
/* Removes the table of the device; result->table is its name, "" when there was none. */
BFNCL_API bfncl_status bfncl_tune_reset(const bfncl_tune_options *o, bfncl_tune_result *result, bfncl_error *err);

/* ---- small helpers for programs ---------------------------------------------------------------------------------- */

/* Number of edits between two words, case ignored: for "did you mean". */
BFNCL_API int bfncl_edit_distance(const char *a, const char *b);

/* ---- devices ----------------------------------------------------------------------------------------------------- */

/* One more thing that is known about a device, as text for people ("local memory": "1.0 MiB, global"). */
typedef struct bfncl_property {
    const char *name, *value;
} bfncl_property;

typedef struct bfncl_device_info {
    int index;            /* in the flat list over all platforms */
    const char *selector; /* "pocl:0": does not change when another driver is added */
    const char *name, *platform, *vendor;
    const char *type; /* "GPU", "ACC", "CPU" */
    bool usable;
    const char *reason; /* why it is not usable; "" when it is */
    bool selected;      /* what the selector given to bfncl_device_list_new means */
    bool last_choice;   /* correct but slow (simulator, software rasteriser): taken last among its type */
    uint64_t global_mem_bytes, max_alloc_bytes;
    unsigned compute_units;
    const char *opencl_c; /* version of the kernel language, "1.2" */
    const char *driver;
    const bfncl_property *properties; /* [n_properties] everything else the engine depends on */
    size_t n_properties;
} bfncl_device_info;

typedef struct bfncl_device_list bfncl_device_list;

/* All devices of all platforms; no kernel is built. selector: index, "platform:N", "gpu", "cpu", "acc", "auto", or part
 * of "platform device vendor" in any case; NULL: $BFNCL_DEVICE, else auto. A selector that names nothing is no error
 * here: no device is `selected` and bfncl_device_list_choice says why. The strings live as long as the list. Sets
 * POCL_CACHE_DIR in the environment of the process when it is not set. */
BFNCL_API bfncl_status bfncl_device_list_new(const char *selector, bfncl_device_list **list, bfncl_error *err);
BFNCL_API void bfncl_device_list_free(bfncl_device_list *list);
BFNCL_API size_t bfncl_device_list_count(const bfncl_device_list *list);
/* Device `index`, NULL past the end; the devices follow each other in one array. */
BFNCL_API const bfncl_device_info *bfncl_device_list_get(const bfncl_device_list *list, size_t index);

/* One line: which device is selected and why, or why none is. */
BFNCL_API const char *bfncl_device_list_choice(const bfncl_device_list *list);

/* Several lines for a machine without a usable device: what was searched, what each driver file gave, what to install.
 * "" when there is a usable device. */
BFNCL_API const char *bfncl_device_list_explain(const bfncl_device_list *list);

/* The selector that counts: `option` (command line), else $BFNCL_DEVICE, else `config`, else "auto"; NULL and "" are
 * absent. *from (may be NULL) receives who decided. */
BFNCL_API const char *bfncl_device_choice(const char *option, const char *config, const char **from);

#ifdef __cplusplus
}
#endif
#endif
