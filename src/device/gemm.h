/*
 * Matrix products, row-major: C[m,n] = alpha * op(A)[m,k] op(B)[k,n] + beta * C, then the epilogue. Two providers
 * behind one entry: "packed" (cl/gemm.cl, ours) and "clblast"; BF_GEMM_AUTO takes packed on a CPU device (of either
 * class), clblast elsewhere where the self-test passed. Batched: matrix i starts at mem + i * stride floats (stride 0
 * shares a matrix).
 */
#ifndef BF_DEVICE_GEMM_H
#define BF_DEVICE_GEMM_H

#include "device/device.h"

typedef enum bf_act {
    BF_ACT_NONE = 0,
    BF_ACT_SILU = 1,
    BF_ACT_GELU = 2, /* tanh form */
    BF_ACT_RELU = 3,
    /* not in an epilogue: */
    BF_ACT_GELU_ERF = 4, /* x times the normal distribution function */
    BF_ACT_SOFTPLUS = 5  /* ln(1 + exp(x)) - ln 2 */
} bf_act;

typedef struct bf_gemm {
    int m, n, k;
    bool trans_a, trans_b; /* A is stored [k,m]; B is stored [n,k] */
    int lda, ldb, ldc;     /* row pitch in floats of the stored matrix; 0 = dense */
    int batch;             /* 0 = 1 */
    uint64_t stride_a, stride_b, stride_c, stride_bias;
    float alpha, beta;
    bf_act act;          /* epilogue: C = act(C + bias[col]) + residual */
    bool bias, residual; /* residual has the shape, pitch and stride of C, is not C, and excludes beta != 0 */
    bool save_pre;       /* also store C + bias before act (same pitch as C) for the backward pass */
} bf_gemm;

typedef struct bf_gemm_mem {
    bf_mem c, a, b, bias, residual, pre, workspace;
} bf_gemm_mem;

/* How large pieces of C are in the packed provider; all 0: as it does without being told. WIDE: a group of `group`
 * items holds m x n elements and has k columns of A at a time in local memory. CPU: a work-item takes at most m strips
 * of 12 rows by n panels of 32 columns; k and group are 0. Says who computes an element, not the order of its sum. */
typedef struct bf_gemm_tile {
    int m, n, k, group;
} bf_gemm_tile;

/* Can this device have such pieces? */
bool bf_gemm_tile_ok(const bf_ctx *ctx, const bf_gemm_tile *tile);

/* How a product is done. */
typedef struct bf_gemm_how {
    bf_gemm_choice provider; /* never AUTO */
    bf_gemm_tile tile;       /* packed */
} bf_gemm_how;

/* From here on every product that is prepared on the context is done like this; NULL: as by itself. */
void bf_ctx_force_gemm(bf_ctx *ctx, const bf_gemm_how *how);

/* Bytes of workspace bf_cmds_gemm needs for this product on this context (packing, temporary buffer); may be 0. */
uint64_t bf_gemm_workspace(bf_ctx *ctx, const bf_gemm *g);
bf_status bf_cmds_gemm(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err);

/* For a B that stays the same over many products (weights while sampling): where bf_gemm_prepares is true,
 * bf_cmds_gemm_prepare does once what depends on B alone (of `mem`, b and workspace), and bf_cmds_gemm with b = none
 * then finds the result in the workspace, which must have kept its contents. */
bool bf_gemm_prepares(bf_ctx *ctx, const bf_gemm *g);
bf_status bf_cmds_gemm_prepare(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err);

/* ---- products with a known result (gemm_check.c) ----------------------------------------------------------------- */

/* Dense random operands of a product on the device, and what C t must be for a random vector t. */
typedef struct bf_product bf_product;
bf_status bf_product_new(bf_ctx *ctx, const bf_gemm *g, bf_product **out, bf_err *err);
void bf_product_free(bf_product *p);
/* Prepares the product the way the context does it now; to be called before the other two. */
bf_status bf_product_prepare(bf_product *p, bf_err *err);
/* Runs it and checks C t = op(A) (op(B) t); BF_DEVICE when C is wrong. */
bf_status bf_product_check(bf_product *p, bf_err *err);
/* Its commands, for timing. */
bf_cmds *bf_product_cmds(const bf_product *p);

/* Checks a few shapes with the context's provider, and each way in which its table (tune.h) does products. Called at
 * start-up. What was chosen automatically and fails is replaced, with a warning. */
bf_status bf_gemm_selftest(bf_ctx *ctx, bf_err *err);

#endif
