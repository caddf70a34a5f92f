/* Device memory of a replay: everything in one list, freed at once. */
#ifndef BF_RUN_POOL_H
#define BF_RUN_POOL_H

#include "run/verify.h"

#define BF_POOL_SIZE 64

typedef struct bf_pool {
    bf_verify *v;
    bf_cmds *cmds; /* commands of the current computation */
    bf_buf *buf[BF_POOL_SIZE];
    float *host[BF_POOL_SIZE];
    int bufs, hosts;
} bf_pool;

bf_status bf_pool_open(bf_verify *v, bf_pool *p, bf_err *err);
void bf_pool_close(bf_pool *p);
/* Frees what was taken since `bufs` and `hosts` had the values in `mark`, a copy of the pool made then. */
void bf_pool_reset(bf_pool *p, const bf_pool *mark);

/* n floats on the device: undefined, or `data`. */
bf_status bf_pool_new(bf_pool *p, uint64_t n, bf_mem *out, bf_err *err);
bf_status bf_pool_put(bf_pool *p, const float *data, uint64_t n, bf_mem *out, bf_err *err);
/* n floats on the host, zero. */
bf_status bf_pool_host(bf_pool *p, uint64_t n, float **out, bf_err *err);
/* A stored tensor on the host and, unless `mem` is NULL, on the device. *n may be NULL. */
bf_status bf_pool_load(bf_pool *p, const char *name, float **host, bf_mem *mem, uint64_t *n, bf_err *err);
/* Runs the commands added since the last call and reads `n` floats of `mem` into memory of the pool. */
bf_status bf_pool_run(bf_pool *p, bf_mem mem, uint64_t n, float **out, bf_err *err);
/* The same, then compares with tensor `name`; *out may be NULL. */
bf_status bf_pool_check(bf_pool *p, const char *name, bf_mem mem, uint64_t n, bf_verify_rule rule, float **out,
                        bf_err *err);

#endif
