/* The queue of past gradient norms between device and files. run/model.h */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "op/op.h"
#include "run/model.h"

const bf_norms bf_norms_new = {.newest = (float[]){1.0f}, .n = 1, .joined = 1};

size_t bf_ring_floats(uint32_t length)
{
    return BF_QUEUE_HEAD + (size_t)length;
}

void bf_norms_to_ring(const bf_norms *norms, uint32_t length, float *ring)
{
    const uint32_t n = BF_MIN(norms->n, length);
    /* a ring that is longer than it was is not full yet */
    const uint32_t joined = n == BF_MIN(norms->joined, length) ? norms->joined : n;
    memset(ring, 0, bf_ring_floats(length) * sizeof *ring);
    memcpy(ring, &joined, sizeof joined);
    for (uint32_t i = 0; i < n; i++) ring[BF_QUEUE_HEAD + (joined - 1 - i) % length] = norms->newest[i];
}

bf_status bf_norms_from_ring(bf_norms *out, uint32_t length, const float *ring, bf_err *err)
{
    bf_status st = BF_OK;
    *out = (bf_norms){.n = 0};
    memcpy(&out->joined, ring, sizeof out->joined);
    out->n = BF_MIN(out->joined, length);
    BF_NEW(out->newest, out->n);
    for (uint32_t i = 0; i < out->n; i++) out->newest[i] = ring[BF_QUEUE_HEAD + (out->joined - 1 - i) % length];
out:
    return st;
}

/* ---- the queue of a model ---------------------------------------------------------------------------------------- */

static uint32_t length_of(const bf_model *m)
{
    return (uint32_t)m->config.train.clip_queue;
}

bf_status bf_clip_queue_new(bf_model *m, bf_err *err)
{
    bf_status st = BF_OK;
    if (m->config.train.clip_rule != BF_CLIP_QUEUE || m->clip_queue != NULL) return BF_OK;
    BF_TRY(bf_buf_new(m->ctx, bf_ring_floats(length_of(m)) * sizeof(float), "past norms", &m->clip_queue, err));
    BF_TRY(bf_clip_queue_put(m, &bf_norms_new, err));
out:
    return st;
}

bf_status bf_clip_queue_put(bf_model *m, const bf_norms *norms, bf_err *err)
{
    bf_status st = BF_OK;
    float *ring = NULL;
    const size_t floats = bf_ring_floats(length_of(m));
    if (m->clip_queue == NULL || norms->n == 0) return BF_OK;
    BF_NEW(ring, floats);
    bf_norms_to_ring(norms, length_of(m), ring);
    BF_TRY(bf_write(m->ctx, (bf_mem){m->clip_queue, 0}, ring, floats * sizeof *ring, err));
out:
    free(ring);
    return st;
}

bf_status bf_clip_queue_get(const bf_model *m, bf_norms *out, bf_err *err)
{
    bf_status st = BF_OK;
    float *ring = NULL;
    const size_t floats = bf_ring_floats(length_of(m));
    *out = (bf_norms){.n = 0};
    if (m->clip_queue == NULL) return BF_OK;
    BF_NEW(ring, floats);
    BF_TRY(bf_read(m->ctx, ring, (bf_mem){m->clip_queue, 0}, floats * sizeof *ring, err));
    BF_TRY(bf_norms_from_ring(out, length_of(m), ring, err));
out:
    free(ring);
    return st;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

void bf_norms_items(const bf_norms *norms, bf_st_item items[BF_NORMS_ITEMS])
{
    items[0] =
        (bf_st_item){.name = "clip.norms", .dtype = BF_F32, .ndim = 1, .dims = {norms->n}, .data = norms->newest};
    items[1] = (bf_st_item){.name = "clip.joined", .dtype = BF_U32, .ndim = 1, .dims = {1}, .data = &norms->joined};
}

bf_status bf_norms_read(const bf_st *f, bf_norms *out, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *norms = bf_st_find(f, "clip.norms"), *joined;
    bf_norms n = {.n = 0};
    if (norms == NULL) goto out;
    BF_TRY(bf_st_need(f, "clip.joined", &joined, err));
    BF_CHECK(norms->ndim == 1 && norms->dtype == BF_F32 && norms->count >= 1 && norms->count <= INT32_MAX &&
                 joined->count == 1 && joined->dtype == BF_U32,
             BF_FILE, "%s: tensors clip.norms and clip.joined are no queue of norms", bf_st_name(f));
    n.n = (uint32_t)norms->count;
    BF_NEW(n.newest, n.n);
    BF_TRY(bf_st_read_f32(f, norms, n.newest, err));
    BF_TRY(bf_st_read_raw(f, joined, &n.joined, err));
    BF_CHECK(n.joined >= n.n, BF_FILE, "%s: clip.joined is less than the number of norms", bf_st_name(f));
    for (uint32_t i = 0; i < n.n; i++)
        BF_CHECK(isfinite(n.newest[i]) && n.newest[i] >= 0.0f, BF_FILE, "%s: clip.norms[%lu] is not a norm",
                 bf_st_name(f), (unsigned long)i);
out:
    if (st != BF_OK) bf_norms_free(&n);
    *out = n;
    return st;
}

void bf_norms_free(bf_norms *n)
{
    free(n->newest);
    *n = (bf_norms){.n = 0};
}
