/*
 * What `bfncl tune` found out about one device: for each class of matrix products the provider and its sizes, and
 * parameters of CLBlast. A file of JSON:
 *
 *   format "bfncl tune", version 1
 *   platform, device, driver, class ("cpu", "wide")   what it was measured on
 *   kernels     CRC-32C of cl/gemm.cl and what it includes, as 8 hexadecimal digits
 *   time        when, UTC
 *   rows        [{"class", "provider", "tile": [m, n, k, group], "gflops", "default_gflops"}]
 *   clblast     {kernel: {parameter: number}}; empty: its own parameters
 *   crc         CRC-32C of all the other members in compact form, keys sorted
 *
 * The choice depends on the file alone, so results stay reproducible as long as it stays. A file that is damaged, was
 * made for another device, driver or version of the kernels, or holds sizes this device cannot have is left out with a
 * warning; the defaults are used then.
 */
#ifndef BF_DEVICE_TUNE_H
#define BF_DEVICE_TUNE_H

#include "device/gemm.h"

/* ---- classes ----------------------------------------------------------------------------------------------------- */

/* Transposition (nn, nt, tn; tt counts as tn) x kind of C (batched; narrow: at most 96 columns; flat: at most 96 rows;
 * small: fewer than 2^18 elements; large) x sum (short: below 1024; long). */
#define BF_TUNE_CLASSES 30

int bf_tune_class(const bf_gemm *g); /* of a complete product */
void bf_tune_class_name(int class, char name[24]);
/* A product of the class that is worth measuring. */
bf_gemm bf_tune_class_product(int class);

/* ---- parameters of CLBlast (clblast_params.c) -------------------------------------------------------------------- */

typedef enum bf_clblast_kernel { BF_CLBLAST_XGEMM, BF_CLBLAST_DIRECT, BF_CLBLAST_KERNELS } bf_clblast_kernel;
#define BF_CLBLAST_PARAMS 16 /* at most, of one kernel */

typedef struct bf_clblast_tune {
    bool set;                                            /* of any kernel */
    bool has[BF_CLBLAST_KERNELS];                        /* of this one */
    size_t value[BF_CLBLAST_KERNELS][BF_CLBLAST_PARAMS]; /* in the order of bf_clblast_param_name */
} bf_clblast_tune;

const char *bf_clblast_kernel_name(bf_clblast_kernel kernel);
/* NULL past the last. */
const char *bf_clblast_param_name(bf_clblast_kernel kernel, int i);
/* Do the values fit each other and the device? */
bool bf_clblast_legal(const bf_ctx *ctx, bf_clblast_kernel kernel, const size_t *value);
/* Legal values: anywhere in the space, or with `near` like those but for one parameter. False when none was found. */
bool bf_clblast_draw(const bf_ctx *ctx, bf_clblast_kernel kernel, const size_t *near, uint64_t *random, size_t *value);
/* From here on CLBlast uses the values on this device, in every context of the process and until it ends. */
bf_status bf_clblast_override(bf_ctx *ctx, bf_clblast_kernel kernel, const size_t *value, bf_err *err);

/* ---- the table --------------------------------------------------------------------------------------------------- */

typedef struct bf_tune_row {
    bf_gemm_how how;
    double gflops; /* 0: not measured, the default applies */
    double default_gflops;
} bf_tune_row;

typedef struct bf_tune {
    bf_tune_row rows[BF_TUNE_CLASSES];
    bf_clblast_tune clblast;
    char time[24];
    uint32_t id; /* `crc` of the file */
} bf_tune;

/* The table of the context's device: $BFNCL_TUNE, else a file below $XDG_CONFIG_HOME/bfncl or ~/.config/bfncl whose
 * name is made of the device's. "" when there is no place, or the variable is set to nothing. */
void bf_tune_path(const bf_ctx *ctx, char path[1024]);
/* BF_FILE when the file is no valid table for the context. */
bf_status bf_tune_load(const bf_ctx *ctx, const char *path, bf_tune *out, bf_err *err);
/* Writes atomically, makes the folder; t->id receives the crc. */
bf_status bf_tune_save(const bf_ctx *ctx, const char *path, bf_tune *t, bf_err *err);

/* Loads and applies the table of an automatic context; a file that cannot be used is said in the log. */
void bf_ctx_load_tune(bf_ctx *ctx);
void bf_ctx_drop_tune(bf_ctx *ctx);

#endif
