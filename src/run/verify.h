/*
 * Replaying golden files on a device. The driver (verify.c) opens a file, looks its `kind` up and calls the replay of
 * that kind, which computes tensors on the device and hands each to one of the comparison functions below. These keep
 * the counts and the worst tensor; a replay returns an error only when it could not run (device, damaged file).
 *
 * To add a kind: write `bf_status bf_verify_KIND(bf_verify *v, bf_err *err)`, declare it here, add a row to the table
 * in verify.c.
 */
#ifndef BF_RUN_VERIFY_H
#define BF_RUN_VERIFY_H

#include <jansson.h>

#include "device/device.h"
#include "io/safetensors.h"

/* One file being replayed. */
typedef struct bf_verify bf_verify;

/* bfncl_verify on a context that is there already (device options are not looked at). */
bf_status bf_verify_run(bf_ctx *ctx, const bfncl_verify_options *o, bfncl_verify_result *result, bf_err *err);

bf_ctx *bf_verify_ctx(const bf_verify *v);
const bf_st *bf_verify_file(const bf_verify *v);
const char *bf_verify_kind(const bf_verify *v);

/* Tolerance of the golden README, section 3: |mine - stored| <= F floor + R max|stored|, with the noise floor of the
 * tensor from the metadata (per sample where `noise_floor_rows` has it). */
typedef enum bf_verify_rule {
    BF_VERIFY_FORWARD, /* F = 10, R = 2e-6 */
    BF_VERIFY_GRADIENT /* F = 30, R = 1e-5 */
} bf_verify_rule;

/* Compares the stored tensor `name` (any type) with `mine`, n elements. A stored or computed value that is not finite,
 * a missing tensor or another element count is a failure of that tensor. */
void bf_verify_tensor(bf_verify *v, const char *name, const float *mine, uint64_t n, bf_verify_rule rule);
/* The same with a tolerance of the caller's: absolute, for every element; `mask` (U8 tensor, NULL = all) selects. */
void bf_verify_within(bf_verify *v, const char *name, const float *mine, uint64_t n, double tolerance,
                      const uint8_t *mask);
/* The same with one tolerance per element and expected values that need not be a stored tensor. */
void bf_verify_array(bf_verify *v, const char *name, const float *mine, const float *expected, const double *tolerance,
                     uint64_t n);
/* Something other than numbers: `note` says what is wrong where it does not hold. */
void bf_verify_fact(bf_verify *v, const char *name, bool holds, const char *note);
/* The tolerances of a rule for the values of tensor `name`, one per element. */
void bf_verify_tolerances(const bf_verify *v, const char *name, const float *expected, uint64_t n, bf_verify_rule rule,
                          double *out);
/* Something in the file that is not replayed, and why; shown by name and counted. */
void bf_verify_skip(bf_verify *v, const char *what, const char *why);

/* Floor of a tensor ("noise_floor"), 0 when absent. */
double bf_verify_floor(const bf_verify *v, const char *name);

/* Reads a stored tensor into fresh memory (free it); *n may be NULL. BF_FILE when absent. */
bf_status bf_verify_read(const bf_verify *v, const char *name, float **out, uint64_t *n, bf_err *err);
/* First element of a stored tensor as a double. */
bf_status bf_verify_scalar(const bf_verify *v, const char *name, double *out, bf_err *err);

/* A file that belongs to NAME_expected.safetensors: NAME with another end. BF_FILE when the file is called otherwise.
 */
#define BF_VERIFY_PATH 4096
bf_status bf_verify_beside(const bf_verify *v, const char *end, char out[BF_VERIFY_PATH], bf_err *err);

/* ---- replays ----------------------------------------------------------------------------------------------------- */

bf_status bf_verify_real(bf_verify *v, bf_err *err);     /* continuous, discretised */
bf_status bf_verify_discrete(bf_verify *v, bf_err *err); /* discrete */
bf_status bf_verify_tables(bf_verify *v, bf_err *err);   /* tables */
bf_status bf_verify_network(bf_verify *v, bf_err *err);  /* network */
bf_status bf_verify_adapters(bf_verify *v, bf_err *err);
bf_status bf_verify_embeddings(bf_verify *v, bf_err *err);
bf_status bf_verify_molecule_network(bf_verify *v, bf_err *err); /* molcraft network */
bf_status bf_verify_training(bf_verify *v, bf_err *err);
/* checkpoint expectation: NAME_expected.safetensors; weights in NAME_raw.pt and NAME_ema.pt (or both in NAME.pt),
 * configuration in the metadata or NAME_config.json. BF_FILE when one of them is missing or does not fit. */
bf_status bf_verify_checkpoint(bf_verify *v, bf_err *err);
/* molcraft sampling; the last two with net_class molcraft */
bf_status bf_verify_mol_sampling(bf_verify *v, bf_err *err);
bf_status bf_verify_mol_training(bf_verify *v, bf_err *err);
bf_status bf_verify_mol_checkpoint(bf_verify *v, bf_err *err);
bf_status bf_verify_loader(bf_verify *v, bf_err *err); /* loader expectation: NAME_expected.safetensors of NAME.pt */

bf_status bf_verify_hybrid(bf_verify *v, bf_err *err);       /* molcraft flow, updates and losses */
bf_status bf_verify_clipping(bf_verify *v, bf_err *err);     /* molcraft clipping and learning rate */
bf_status bf_verify_pocket(bf_verify *v, bf_err *err);       /* molcraft pocket: NAME.pdb and NAME.sdf */
bf_status bf_verify_ligand_types(bf_verify *v, bf_err *err); /* molcraft ligand types: NAME.sdf */

bf_status bf_verify_solver(bf_verify *v, bf_err *err);  /* solver continuous, solver categorical */
bf_status bf_verify_chembfn(bf_verify *v, bf_err *err); /* chembfn schedule and loss */

/* The list of parameters of a full-size network, a JSON file ("model" and "tensors"): names, shapes, order, kind and
 * weight decay against the network's own list. No weights are allocated. */
bf_status bf_verify_shapes(bf_verify *v, const json_t *root, bf_err *err);

#endif
