#include "run/pool.h"

#include <stdlib.h>

#include "base/size.h"

bf_status bf_pool_open(bf_verify *v, bf_pool *p, bf_err *err)
{
    *p = (bf_pool){.v = v};
    return bf_cmds_new(bf_verify_ctx(v), &p->cmds, err);
}

void bf_pool_reset(bf_pool *p, const bf_pool *mark)
{
    while (p->bufs > mark->bufs) bf_buf_free(p->buf[--p->bufs]);
    while (p->hosts > mark->hosts) free(p->host[--p->hosts]);
}

void bf_pool_close(bf_pool *p)
{
    const bf_pool empty = {0};
    bf_cmds_free(p->cmds);
    p->cmds = NULL;
    bf_pool_reset(p, &empty);
}

bf_status bf_pool_new(bf_pool *p, uint64_t n, bf_mem *out, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(p->bufs < BF_POOL_SIZE, BF_RUNTIME, "replay: more than %d buffers", BF_POOL_SIZE);
    BF_TRY(bf_buf_new(bf_verify_ctx(p->v), BF_MAX(n, 1) * sizeof(float), "replay", &p->buf[p->bufs], err));
    *out = (bf_mem){p->buf[p->bufs++], 0};
out:
    return st;
}

bf_status bf_pool_put(bf_pool *p, const float *data, uint64_t n, bf_mem *out, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_pool_new(p, n, out, err));
    if (n > 0) BF_TRY(bf_write(bf_verify_ctx(p->v), *out, data, (size_t)n * sizeof *data, err));
out:
    return st;
}

bf_status bf_pool_host(bf_pool *p, uint64_t n, float **out, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(p->hosts < BF_POOL_SIZE, BF_RUNTIME, "replay: more than %d tensors", BF_POOL_SIZE);
    BF_NEW(p->host[p->hosts], BF_MAX(n, 1));
    *out = p->host[p->hosts++];
out:
    return st;
}

bf_status bf_pool_load(bf_pool *p, const char *name, float **host, bf_mem *mem, uint64_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t count = 0;
    BF_CHECK(p->hosts < BF_POOL_SIZE, BF_RUNTIME, "replay: more than %d tensors", BF_POOL_SIZE);
    BF_TRY(bf_verify_read(p->v, name, &p->host[p->hosts], &count, err));
    if (host) *host = p->host[p->hosts];
    if (n) *n = count;
    p->hosts++;
    if (mem) BF_TRY(bf_pool_put(p, p->host[p->hosts - 1], count, mem, err));
out:
    return st;
}

bf_status bf_pool_run(bf_pool *p, bf_mem mem, uint64_t n, float **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_verify_ctx(p->v);
    BF_TRY(bf_cmds_run(p->cmds, err));
    BF_TRY(bf_pool_host(p, n, out, err));
    BF_TRY(bf_read(ctx, *out, mem, (size_t)n * sizeof **out, err));
    bf_cmds_free(p->cmds);
    p->cmds = NULL;
    BF_TRY(bf_cmds_new(ctx, &p->cmds, err));
out:
    return st;
}

bf_status bf_pool_check(bf_pool *p, const char *name, bf_mem mem, uint64_t n, bf_verify_rule rule, float **out,
                        bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL;
    BF_TRY(bf_pool_run(p, mem, n, &mine, err));
    bf_verify_tensor(p->v, name, mine, n, rule);
    if (out) *out = mine;
out:
    return st;
}
