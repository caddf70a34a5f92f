/* Between bench_ops.c and bench_flow.c. */
#ifndef BF_RUN_BENCH_OPS_H
#define BF_RUN_BENCH_OPS_H

#include "base/philox.h"
#include "flow/ops.h"
#include "run/bench.h"

enum { BF_POOL_TENSORS = 5, BF_POOL_POSITIVE = 3, BF_POOL_SMALL = 65536 };

/* Tensors that the rows take turns with: numbers in [-1, 1), those of BF_POOL_POSITIVE in [0, 1). */
typedef struct bf_bench_pool {
    bf_ctx *ctx;
    uint64_t n; /* numbers in each tensor */
    bf_mem mem[BF_POOL_TENSORS];
    bf_mem small, result; /* [BF_POOL_SMALL] numbers in [0, 1) to read, and as many to write */
    bf_mem step, stats;   /* records of a step */
    uint64_t rows, count; /* of the row that is measured: units, numbers in all */
    bf_flow flow;         /* of the row that is measured */
    bf_flow_shape shape;
    bf_buf *buf[BF_POOL_TENSORS], *small_buf, *result_buf, *record_buf;
    bf_buf *ws; /* of the row that is measured */
} bf_bench_pool;

/* bf_bench_row, after which the workspace is given back. */
bf_status bf_bench_pool_row(bf_bench_table *t, bf_bench_pool *p, const bf_bench_work *w, bf_bench_append append,
                            bf_err *err);

/* Draws, messages and updates of sampling; draws from the flow and losses of training; how many rows both are. */
bf_status bf_bench_sampler_rows(bf_bench_table *t, bf_bench_pool *p, bf_err *err);
bf_status bf_bench_flow_rows(bf_bench_table *t, bf_err *err);
size_t bf_bench_flow_count(void);

#endif
