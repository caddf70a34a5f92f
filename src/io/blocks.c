/* Examples as blocks of floats. io/dataset.h */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/dataset.h"
#include "io/packed.h"

#define UNDISTURBED UINT64_MAX

/* The layout of packed blocks. */
static bf_packed layout(const bf_dataset *ds, uint64_t items)
{
    const bf_dataset_info info = bf_dataset_get_info(ds);
    const bf_molecules *m = bf_dataset_molecules(ds);
    if (info.room_around == 0) return bf_packed_of(items, (uint32_t)info.dims);
    return bf_packed_around(items, (uint32_t)info.dims, items * info.room_around, m->features);
}

uint64_t bf_dataset_block(const bf_dataset *ds, uint64_t items)
{
    const bf_dataset_info info = bf_dataset_get_info(ds);
    if (info.packed) return layout(ds, items).size;
    return info.labels > 0 ? bf_label_block_of(items * info.row, items, info.labels).size : items * info.row;
}

bf_status bf_dataset_fits(const bf_dataset *ds, const char *path, uint64_t items, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_molecules *m = bf_dataset_molecules(ds);
    if (m == NULL) return BF_OK;
    const uint64_t around = bf_dataset_get_info(ds).room_around * items;
    BF_CHECK(m->most_around <= around, BF_USAGE,
             "%s: the pocket of molecule %" PRIu64 " has %" PRIu64 " atoms, a batch of this model holds %" PRIu64, path,
             m->most_around_record, m->most_around, around);
    if (m->largest <= items) return BF_OK;
    st = bf_fail(err, BF_USAGE, "%s: molecule %" PRIu64 " has %" PRIu64 " atoms, a batch of this model holds %" PRIu64,
                 path, m->largest_record, m->largest, items);
    bf_hint(err, "raise the batch, which counts atoms, or take the large molecules out of the file");
out:
    return st;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* Rows on their way into a block: values straight, class numbers and labels by way of arrays. */
typedef struct transit {
    bf_dataset_info info;
    int32_t *classes;
    uint32_t *labels;
} transit;

/* Room for `items` rows. Free in every case. */
static bf_status transit_new(const bf_dataset *ds, uint64_t items, transit *t, bf_err *err)
{
    bf_status st = BF_OK;
    *t = (transit){.info = bf_dataset_get_info(ds)};
    if (t->info.class_blocks) BF_NEW(t->classes, items * t->info.dims);
    if (t->info.labels > 0) BF_NEW(t->labels, items);
out:
    return st;
}

static void transit_free(transit *t)
{
    free(t->classes);
    free(t->labels);
}

static bf_rows transit_rows(const transit *t, float *block)
{
    return (bf_rows){.values = t->classes ? NULL : block, .classes = t->classes, .labels = t->labels};
}

/* `rows` of the rows of a block for `items` have arrived. */
static void transit_end(const transit *t, uint64_t rows, uint64_t items, float *block)
{
    const bf_label_block labels = bf_label_block_of(items * t->info.row, items, t->info.labels);
    for (uint64_t i = 0; t->classes != NULL && i < rows * t->info.dims; i++) block[i] = (float)t->classes[i];
    if (t->labels != NULL) bf_label_block_put(&labels, t->labels, rows, block);
}

/* ---- packed ------------------------------------------------------------------------------------------------------ */

/* Molecule i as the next example of the block, as it is at a position of the training stream (or undisturbed). */
static void add(const bf_dataset *ds, uint32_t i, uint64_t position, const bf_packed *p, bf_packing *at, float *block)
{
    const bf_molecules *m = bf_dataset_molecules(ds);
    const uint64_t atoms = m->first[i + 1] - m->first[i];
    float *x, *v;
    if (m->around == NULL) {
        bf_molecules_rows(m, i, bf_packed_add(p, at, block, atoms));
        return;
    }
    const uint64_t around = m->around[i + 1] - m->around[i];
    float *rows = bf_packed_add_around(p, at, block, atoms, around, &x, &v);
    bf_molecules_rows(m, i, rows);
    bf_molecules_around(m, i, x, v);
    if (position != UNDISTURBED) bf_dataset_disturb(ds, i, position, rows, atoms, x, around);
}

/* Molecules index[0..n-1] as long as they fit into the block, which stays open. */
static uint64_t pack(const bf_dataset *ds, const uint32_t *index, uint64_t n, uint64_t position, const bf_packed *p,
                     bf_packing *at, float *block)
{
    const bf_molecules *m = bf_dataset_molecules(ds);
    uint64_t taken = 0;
    for (; taken < n; taken++) {
        const uint32_t i = index[taken];
        const uint64_t atoms = m->first[i + 1] - m->first[i], around = m->around ? m->around[i + 1] - m->around[i] : 0;
        if (!bf_packed_fits(p, at, atoms, around)) break;
        add(ds, i, position == UNDISTURBED ? position : position + taken, p, at, block);
    }
    bf_packed_close(p, at, block);
    return taken;
}

static bf_status check_taken(uint64_t taken, uint64_t items, bf_err *err)
{
    if (taken > 0) return BF_OK;
    return bf_fail(err, BF_USAGE, "data set: a molecule has more atoms than the %" PRIu64 " of a batch", items);
}

static bf_status train_packed(const bf_dataset *ds, uint64_t first, uint64_t parts, uint64_t items, float *blocks,
                              uint64_t *next, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_packed p = layout(ds, items);
    const uint64_t most = p.segments - 1; /* molecules of a block */
    uint32_t *index = NULL;
    uint64_t done = 0;
    BF_NEW(index, most);
    for (uint64_t i = 0; i < parts; i++) {
        bf_packing at = {0};
        BF_TRY(bf_dataset_train_rows(ds, first + done, (uint32_t)most, &(bf_rows){.index = index}, err));
        const uint64_t taken = pack(ds, index, most, first + done, &p, &at, blocks + i * p.size);
        BF_TRY(check_taken(taken, items, err));
        done += taken;
    }
    for (uint64_t i = 0; i < parts; i++) bf_packed_weigh(&p, blocks + i * p.size, parts, done);
    *next = first + done;
out:
    free(index);
    return st;
}

static bf_status eval_packed(const bf_dataset *ds, bf_split split, uint64_t first, uint64_t end, uint64_t items,
                             float *block, uint32_t *count, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_packed p = layout(ds, items);
    const uint64_t n = BF_MIN(end - first, p.segments - 1);
    bf_packing at = {0};
    uint32_t *index = NULL;
    BF_NEW(index, n);
    BF_TRY(bf_dataset_eval_rows(ds, split, first, (uint32_t)n, 0, &(bf_rows){.index = index}, err));
    *count = (uint32_t)pack(ds, index, n, UNDISTURBED, &p, &at, block);
    BF_TRY(check_taken(*count, items, err));
out:
    free(index);
    return st;
}

/* ---- either ------------------------------------------------------------------------------------------------------ */

bf_status bf_dataset_train_block(const bf_dataset *ds, uint64_t first, uint64_t parts, uint64_t items, float *blocks,
                                 uint64_t *next, bf_err *err)
{
    bf_status st = BF_OK;
    transit t = {0};
    if (bf_dataset_get_info(ds).packed) return train_packed(ds, first, parts, items, blocks, next, err);
    BF_TRY(transit_new(ds, items, &t, err));
    *next = first;
    for (uint64_t i = 0; i < parts; i++, *next += items) {
        float *block = blocks + i * bf_dataset_block(ds, items);
        const bf_rows out = transit_rows(&t, block);
        BF_TRY(bf_dataset_train_rows(ds, *next, (uint32_t)items, &out, err));
        transit_end(&t, items, items, block);
    }
out:
    transit_free(&t);
    return st;
}

bf_status bf_dataset_eval_block(const bf_dataset *ds, bf_split split, uint64_t first, uint64_t end, uint64_t items,
                                uint32_t draw, float *block, uint32_t *count, bf_err *err)
{
    bf_status st = BF_OK;
    transit t = {0};
    if (bf_dataset_get_info(ds).packed) return eval_packed(ds, split, first, end, items, block, count, err);
    const uint64_t rows = BF_MIN(items, end - first);
    BF_TRY(transit_new(ds, items, &t, err));
    const bf_rows out = transit_rows(&t, block);
    BF_TRY(bf_dataset_eval_rows(ds, split, first, (uint32_t)rows, draw, &out, err));
    transit_end(&t, rows, items, block);
    *count = (uint32_t)rows;
out:
    transit_free(&t);
    return st;
}
