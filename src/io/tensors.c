#include "io/tensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/kind.h"

/* One of the two. */
struct bf_tensors {
    bf_st *st;
    bf_pt *pt;
};

bf_status bf_tensors_open(const char *path, bf_tensors **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_kind kind;
    bf_tensors *f = NULL;
    BF_NEW(f, 1);
    BF_TRY(bf_file_kind(path, &kind, err));
    if (kind == BF_KIND_TORCH)
        BF_TRY(bf_pt_open(path, &f->pt, err));
    else
        BF_TRY(bf_st_open(path, &f->st, err));
    *out = f;
    f = NULL;
out:
    bf_tensors_close(f);
    return st;
}

void bf_tensors_close(bf_tensors *f)
{
    if (f == NULL) return;
    bf_st_close(f->st);
    bf_pt_close(f->pt);
    free(f);
}

const char *bf_tensors_name(const bf_tensors *f)
{
    return f->pt != NULL ? bf_pt_name(f->pt) : bf_st_name(f->st);
}

size_t bf_tensors_count(const bf_tensors *f)
{
    return f->pt != NULL ? bf_pt_count(f->pt) : bf_st_count(f->st);
}

bf_tensor bf_tensors_at(const bf_tensors *f, size_t i)
{
    bf_tensor t = {.readable = true};
    if (f->pt != NULL) {
        const bf_pt_tensor *p = bf_pt_at(f->pt, i);
        t = (bf_tensor){p->name, p->folder, p->type, p->readable, p->dtype, p->ndim, {0}, p->count};
        memcpy(t.dims, p->dims, sizeof t.dims);
    } else {
        const bf_st_tensor *s = bf_st_at(f->st, i);
        t = (bf_tensor){s->name, 0, bf_dtype_name(s->dtype), true, s->dtype, s->ndim, {0}, s->count};
        memcpy(t.dims, s->dims, sizeof t.dims);
    }
    return t;
}

ptrdiff_t bf_tensors_find(const bf_tensors *f, const char *name)
{
    if (f->pt != NULL) {
        const bf_pt_tensor *p = bf_pt_find(f->pt, name);
        return p != NULL ? p - bf_pt_at(f->pt, 0) : -1;
    }
    const bf_st_tensor *s = bf_st_find(f->st, name);
    return s != NULL ? s - bf_st_at(f->st, 0) : -1;
}

bf_status bf_tensors_read_f32(bf_tensors *f, size_t i, float *out, bf_err *err)
{
    if (f->pt != NULL) return bf_pt_read_f32(f->pt, bf_pt_at(f->pt, i), out, err);
    return bf_st_read_f32(f->st, bf_st_at(f->st, i), out, err);
}

bf_status bf_tensors_read_raw(bf_tensors *f, size_t i, void *out, bf_err *err)
{
    if (f->pt != NULL) {
        const bf_pt_tensor *t = bf_pt_at(f->pt, i);
        return bf_pt_read(f->pt, t, 0, (size_t)t->count, out, err);
    }
    return bf_st_read_raw(f->st, bf_st_at(f->st, i), out, err);
}

bf_status bf_tensors_verify(bf_tensors *f, bf_err *err)
{
    return f->pt != NULL ? bf_pt_verify(f->pt, err) : bf_st_verify(f->st, err);
}

const bf_st *bf_tensors_st(const bf_tensors *f)
{
    return f->st;
}

const bf_pt *bf_tensors_pt(const bf_tensors *f)
{
    return f->pt;
}

void bf_shape_text(int ndim, const uint64_t *dims, char out[BF_SHAPE_TEXT])
{
    size_t at = 0;
    out[at++] = '[';
    for (int i = 0; i < ndim; i++)
        at += (size_t)snprintf(out + at, BF_SHAPE_TEXT - at, "%s%" PRIu64, i > 0 ? "," : "", dims[i]);
    strcpy(out + at, "]");
}
