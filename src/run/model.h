/*
 * A model in memory and its file.
 *
 * A model file is one safetensors file (io/safetensors.h: CRC of every tensor and of the header) with
 *   net.NAME              weights and buffers under their official names and shapes
 *   ema.NAME              averaged weights (no buffers)
 *   adam_m.NAME, adam_v.NAME   checkpoints only: moments of AdamW
 *   clip.norms, clip.joined    checkpoints with train.clip_rule queue only: past norms, the newest first, and how many
 *                              there ever were (U32)
 * and in __metadata__
 *   bfncl.format          "model" or "checkpoint"
 *   bfncl.format_version  "1"; another number is refused
 *   bfncl.version         of the library that wrote it
 *   bfncl.config          the whole resolved configuration, as in RUN/config.yaml
 *   bfncl.shape           "height width channels" of one example
 *   bfncl.table           of a table only, JSON: its columns (io/schema.h)
 *   bfncl.state           JSON: step, position (of the data stream), best, best_step, data_crc,
 *                         gemm, validated, plateau {rate, best, bad} (may be absent)
 *   bfncl.sizes           of molecules: JSON, [atoms, how many molecules of the training data had as many] ...
 * A learned vocabulary of a text is part of the configuration (data.vocabulary holds its characters), and so are the
 * elements of molecules (mol.elements).
 * All random numbers are functions of (seed, stream, step, element), so seed and step are the whole random state.
 */
#ifndef BF_RUN_MODEL_H
#define BF_RUN_MODEL_H

#include "flow/sampler.h"
#include "io/packed.h"
#include "io/safetensors.h"
#include "io/sizes.h"
#include "net/net.h"
#include "net/unio2.h"
#include "run/config.h"
#include "run/profile.h"

/* The schedule "plateau" (run/train.h). */
typedef struct bf_plateau {
    double rate, best; /* best: NaN: no loss yet */
    int64_t bad;       /* losses since the best one, or since the rate was lowered */
} bf_plateau;

typedef struct bf_run_state {
    uint64_t step;     /* optimiser steps done */
    uint64_t position; /* examples of the training stream used */
    double best;       /* validation loss of the best averaged weights, nats per dimension; NaN: none yet */
    uint64_t best_step;
    uint32_t data_crc;  /* of the training data (bf_dataset_info) */
    uint64_t validated; /* the step of the last validation; UINT64_MAX: none yet */
    bf_plateau plateau;
    char gemm[32]; /* how matrix products were done (bf_ctx_gemm_text); "": unknown */
} bf_run_state;
/* That of a run that has not begun. */
bf_run_state bf_run_state_new(const bf_config *c);

typedef struct bf_model {
    bf_config config;
    uint32_t shape[3]; /* height, width, channels of one example */
    uint64_t dims;     /* their product */
    bf_hybrid hybrid;  /* the groups of its variables; `dims` of them in all */
    bf_schema *schema; /* of a table, owned; else NULL */
    uint64_t row;      /* numbers that describe an example: `dims`, of a table more (io/table.h) */
    bool missing;      /* NaN in a row stands for a variable that was not observed */
    bool packed;       /* an example is several items, blocks are packed (io/packed.h); `shape` is that of an item */
    bf_net_config net;
    bf_classes classes; /* of the labels that the network is told; n = 0: none */
    double guidance;    /* for graphs that are built from here on, which then do not train: see bf_model_net */
    bf_unio2 unio2;     /* of molecules */
    bf_sizes sizes;     /* of molecules: how large those of the training data were */
    bool given;         /* runs of its samplers may give values (flow/sampler.h) */
    bool frame; /* packed: graphs get an input "frame" [items]; the origin is the mean of the atoms where it is 1 */
    struct {
        uint64_t ligand, pocket;
    } room; /* with pockets: for so many atoms of ligands, batches have room for so many of pockets */
    bf_ctx *ctx;
    bf_profiler *profiler; /* NULL unless asked for */
    bf_params *params;     /* registered by the first graph that is built */
    bf_buf *clip_queue;    /* past gradient norms (op/op.h); NULL unless training with train.clip_rule queue */
    bf_run_state state;
} bf_model;

/* ---- from the configuration (setup.c) ---------------------------------------------------------------------------- */

bf_flow bf_setup_flow(const bf_config *c);
/* The groups of a model, of a table `s` or (NULL) of one kind; free in every case. */
bf_status bf_setup_hybrid(const bf_config *c, const bf_schema *s, const uint32_t shape[3], bf_hybrid *out, bf_err *err);
/* The classes of its labels; n = 0: the network is told none. */
bf_status bf_setup_classes(const bf_config *c, bf_classes *out, bf_err *err);
bf_status bf_setup_net(const bf_config *c, const bf_flow *f, const uint32_t shape[3], bf_net_config *net, bf_err *err);
/* The network of molecules with these groups. */
bf_unio2 bf_setup_unio2(const bf_config *c, const bf_hybrid *h);
/* Data set options of a training or test set. */
bf_dataset_options bf_setup_data(const bf_config *c);
/* The test data are the end of the training text. */
bool bf_setup_tests_training_text(const bf_config *c);
/* Height, width, channels of an example: from `size` ("28x28x1") when that is not NULL, else of a text data.length,
 * else data.size when it has all three numbers, else from the data, which are opened. BF_USAGE when none of them says.
 */
bf_status bf_setup_shape(const bf_config *c, const char *size, uint32_t shape[3], bf_err *err);
/* Examples in memory at once while training: a batch, or the part of it that train.accumulate makes. Scoring and
 * sampling take as many where nothing else is said. */
uint64_t bf_setup_batch(const bf_config *c);
/* Opens the device that option, environment or configuration choose. */
bf_status bf_setup_ctx(const bf_config *c, const bfncl_device_options *d, bf_ctx **out, bf_err *err);
/* Overrides in order, then the checks across keys. */
bf_status bf_setup_overrides(bf_config *c, const char *const *set, size_t n_set, bf_err *err);
/* BF_FILE unless the examples of a data set have the model's shape. */
bf_status bf_setup_same_shape(const bf_model *m, const char *path, const bf_dataset *ds, bf_err *err);
/* True when the flow wants class numbers rather than values. */
bool bf_setup_wants_classes(const bf_config *c);

/* ---- the model --------------------------------------------------------------------------------------------------- */

/* Opens the device and derives flow and network; no parameters yet. `s`: of a table, copied; else NULL. */
bf_status bf_model_new(const bf_config *c, const uint32_t shape[3], const bf_schema *s, const bfncl_device_options *d,
                       bf_model **out, bf_err *err);
void bf_model_free(bf_model *m);

/* From here on examples are texts of `length` characters, at most those that the model was trained with: for sampling,
 * before its graphs are built. BF_USAGE where that cannot be. */
bf_status bf_model_shorten(bf_model *m, uint64_t length, bf_err *err);

/*
 * bf_net_fn: the network of `model` (bf_model *). Of a packed model it has inputs of its own: bf_model_inputs. With
 * labels there is the input "label" [B] (bf_label_rows in net/layers.h). With guidance W > 0 that has [2B]: the network
 * runs on the batch twice over, and what comes out is (1 + W) times what it says with the first B labels minus W times
 * what it says with the others, which are "none" for classifier-free guidance.
 */
void bf_model_net(void *model, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out);

/*
 * What `batch` items are to a graph: a block of floats (io/dataset.h). An item is what has a time of its own in the
 * flow: a row, or of molecules an atom. Examples are rows; or molecules, whose items have one time, and as many as fit.
 */
typedef struct bf_block_part {
    bf_tid t;
    uint64_t first, count; /* floats of the block */
} bf_block_part;

/* Appends one network evaluation and its losses to a graph, with the inputs that a block fills and t [B]. */
typedef struct bf_loss_nodes {
    bf_block_part part[8]; /* the inputs, in the order of the block */
    int parts;
    bf_tid t, total; /* total [B]: what is minimised in the mean */
    bf_group_nodes group[BF_MAX_GROUPS];
} bf_loss_nodes;
void bf_model_loss(bf_model *m, bf_graph *g, const bf_flow_loss_spec *spec, uint64_t batch, bool want_grad,
                   bf_loss_nodes *out);

/* Which item belongs to which example, and what is given around it: inputs of a graph of a packed model that `count`
 * floats of its block from `first` on are for. Returns how many there are. */
typedef struct bf_packed_input {
    const char *name;
    uint64_t first, count;
} bf_packed_input;
enum { BF_PACKED_INPUTS = 6 };
int bf_model_inputs(const bf_model *m, uint64_t items, bf_packed_input out[BF_PACKED_INPUTS]);
/* The layout of such a block. */
bf_packed bf_model_packed(const bf_model *m, uint64_t items);
/* The segments of a packed block of `items` as inputs "segment" and "offset" of a graph: made, or those that are there.
 */
bf_ragged bf_model_ragged(bf_graph *g, uint64_t items);
/* Floats of a block of `batch` items: of rows m->row each. */
uint64_t bf_model_block(const bf_model *m, uint64_t batch);
/* Puts labels [n] into a block of `batch` rows, the last one for the rest; NULL: "none" for all. Without labels
 * nothing. */
void bf_model_label(const bf_model *m, const uint32_t *label, uint64_t n, uint64_t batch, float *block);
/* Fills a block of rows up from number n on, for a graph that does not train: with the last one. */
void bf_model_pad(const bf_model *m, uint64_t n, uint64_t batch, float *block);
/* Copies the block at `offset` bytes of an upload to the inputs of a graph. */
bf_status bf_model_take(const bf_loss_nodes *n, const bf_graph *g, bf_upload *upload, size_t offset, bf_err *err);
/* Examples in a filled block of `batch` items, and the item where example i begins (that of their number: where the
 * last one ends). */
uint64_t bf_model_examples(const bf_model *m, const float *block, uint64_t batch);
uint64_t bf_model_first(const bf_model *m, const float *block, uint64_t batch, uint64_t i);
/* Times t [batch] of the items from those of the examples: [bf_model_examples]; 0 behind the last one. */
void bf_model_times(const bf_model *m, const float *block, uint64_t batch, const float *examples, float *t);

/* After `status` of something that was prepared for *batch examples: true when it did not fit into memory and half of
 * them may, which is then *batch and said in the log. */
bool bf_model_halve_batch(bf_status status, uint32_t *batch, const bf_err *err);

/* A graph's plan as callers see it, with `batch` examples in memory. The parameters must be registered. */
bfncl_plan bf_model_plan(const bf_model *m, const bf_plan *p, uint64_t batch);

/* Makes sure that the parameters are registered (not allocated). */
bf_status bf_model_register(bf_model *m, bf_err *err);

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* A run folder stands for its best.safetensors, else its last.safetensors; anything else for itself. */
bf_status bf_model_path(const char *path, char out[1024], bf_err *err);

/* Everything but the tensors, fully checked; BF_FILE for a file that is not of this format. */
typedef struct bf_model_file {
    bf_st *st;
    bool checkpoint;
    bf_config config;
    uint32_t shape[3];
    bf_schema *schema; /* NULL: no table */
    bf_run_state state;
    bf_sizes sizes;
} bf_model_file;
bf_status bf_model_file_open(const char *path, bf_model_file *out, bf_err *err);
void bf_model_file_close(bf_model_file *f);

/* What to read from a file into which set: {"ema.", BF_SET_VALUE}. */
typedef struct bf_model_part {
    const char *prefix;
    bf_param_set set;
} bf_model_part;

/* The table of the file against the model's parameters, without reading a tensor. */
bf_status bf_model_file_check(const bf_model *m, const bf_model_file *f, const bf_model_part *parts, size_t n,
                              bf_err *err);

/* Checks every tensor of the parts against the model's parameters, reads and checks all of them, and only then copies
 * them to the device: after a failure the model is as before. Buffers come from "net.". */
bf_status bf_model_load(bf_model *m, const bf_model_file *f, const bf_model_part *parts, size_t n, bf_err *err);

/* Past gradient norms on the host. */
typedef struct bf_norms {
    float *newest; /* [n], the newest first; owned unless it was given */
    uint32_t n, joined;
} bf_norms;
extern const bf_norms bf_norms_new; /* what a queue starts with: one norm, 1 */
/* Between the host's form and that of bf_clip_by_queue; of norms that do not fit the oldest are left out. */
size_t bf_ring_floats(uint32_t length);
void bf_norms_to_ring(const bf_norms *norms, uint32_t length, float *ring);
bf_status bf_norms_from_ring(bf_norms *out, uint32_t length, const float *ring, bf_err *err);
/* Makes m->clip_queue where the configuration wants it, with bf_norms_new. */
bf_status bf_clip_queue_new(bf_model *m, bf_err *err);
/* Its contents; n = 0 without a queue. Free the result. */
bf_status bf_clip_queue_get(const bf_model *m, bf_norms *out, bf_err *err);
/* The newest ones that fit become its contents; n = 0 and a model without a queue change nothing. */
bf_status bf_clip_queue_put(bf_model *m, const bf_norms *norms, bf_err *err);
/* As tensors of a file, which keep pointing at the norms. */
enum { BF_NORMS_ITEMS = 2 };
void bf_norms_items(const bf_norms *norms, bf_st_item items[BF_NORMS_ITEMS]);
/* n = 0 where the file has none; BF_FILE when they are damaged. */
bf_status bf_norms_read(const bf_st *f, bf_norms *out, bf_err *err);
void bf_norms_free(bf_norms *n);

/* A model for scoring and sampling: the weights are in BF_SET_VALUE, nothing else is in memory. */
typedef struct bf_open_options {
    const char *path; /* file or run folder */
    const char *const *set;
    size_t n_set;
    const char *weights; /* "ema", "raw"; NULL: ema */
    const bfncl_device_options *device;
    const char *config; /* of the weights in `path`; NULL: that is a model of ours, or a file with its own settings */
    const char *size;   /* of an example, as in bfncl_convert_options; NULL: as the configuration or its data say */
    bool dry_run;       /* the weights are found and their shapes compared, but they are not read */
} bf_open_options;
/* `path` receives the file that was taken. */
bf_status bf_model_open(const bf_open_options *o, char path[1024], bf_model **out, bf_err *err);

/* Writes atomically; `checkpoint` adds the moments. */
bf_status bf_model_save(const bf_model *m, const char *path, bool checkpoint, bf_err *err);

/* The same with numbers from elsewhere: `fetch` delivers parameter `index` of a set (VALUE, EMA) in its official shape.
 */
typedef bf_status (*bf_model_fetch)(void *user, bf_param_set set, int index, float *out, bf_err *err);
bf_status bf_model_write(const bf_model *m, const char *path, bool checkpoint, bf_model_fetch fetch, void *user,
                         bf_err *err);

/* ---- weights of other programs (foreign.c) ----------------------------------------------------------------------- */

/* Does this file hold the settings of its network, so that no configuration is needed? False for whatever is no PyTorch
 * file; errors are those of reading one. */
bf_status bf_foreign_settles(const char *path, bool *settled, bf_err *err);
/* The model that o->config and o->size describe, parameters registered but not allocated. A configuration is one of
 * ours (YAML) or the JSON of the official releases; NULL: the settings in o->path. */
bf_status bf_foreign_new(const bf_open_options *o, bf_model **out, bf_err *err);
/* Finds the weights of `m` in o->path, and only then allocates and fills BF_SET_VALUE. */
bf_status bf_foreign_load(bf_model *m, const bf_open_options *o, bf_err *err);

#endif
