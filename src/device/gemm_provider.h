/* The two providers behind gemm.h. A bf_gemm here is complete: no zero pitch, batch >= 1, m, n, k >= 1. */
#ifndef BF_DEVICE_GEMM_PROVIDER_H
#define BF_DEVICE_GEMM_PROVIDER_H

#include "device/gemm.h"

/* How the context does a product. */
bf_gemm_how bf_gemm_how_of(const bf_ctx *ctx, const bf_gemm *g);

/* Ours: cl/gemm.cl, any device. Also takes k = 0. */
uint64_t bf_packed_workspace(bf_ctx *ctx, const bf_gemm *g);
bf_status bf_packed_gemm(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err);
bool bf_packed_prepares(bf_ctx *ctx, const bf_gemm *g);
bf_status bf_packed_prepare(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err);

/* Epilogue as a pass of its own, over sums that lie in `parts` partial products [batch][parts][m][n] at mem->workspace
 * plus `off` bytes (C = alpha sum + beta C first), or, with parts = 0, over C as it is. */
bf_status bf_packed_epilogue(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, uint64_t off, int parts,
                             bf_err *err);

/* CLBlast. */
uint64_t bf_clblast_workspace(bf_ctx *ctx, const bf_gemm *g);
bf_status bf_clblast_gemm(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err);

/* CLBlast keeps programs by the address of a context: to be called before a context that used it is released. */
void bf_clblast_forget(void);

#endif
