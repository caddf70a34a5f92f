/* Blocks of a model: rows, or packed examples. run/model.h */
#include <string.h>

#include "base/size.h"
#include "io/packed.h"
#include "run/model.h"

bf_packed bf_model_packed(const bf_model *m, uint64_t items)
{
    const uint32_t dims = (uint32_t)m->dims, features = (uint32_t)m->unio2.pocket_features;
    if (features == 0) return bf_packed_of(items, dims);
    return bf_packed_around(items, dims, bf_ceil_div(items, m->room.ligand) * m->room.pocket, features);
}

int bf_model_inputs(const bf_model *m, uint64_t items, bf_packed_input out[BF_PACKED_INPUTS])
{
    const bf_packed p = bf_model_packed(m, items);
    const uint64_t nodes = p.given + p.items, offsets = p.segments + 1;
    const bf_packed_input alone[] = {{"segment", p.segment, items}, {"offset", p.offset, offsets}};
    const bf_packed_input around[] = {{"pocket_x", p.given_x, p.given * 3},
                                      {"pocket_v", p.given_v, p.given * p.features},
                                      {"node_offset", p.node_offset, offsets},
                                      {"node_segment", p.node_segment, nodes},
                                      {"row", p.row, nodes},
                                      {"node", p.node, nodes}};
    const size_t n = p.features > 0 ? BF_COUNT(around) : BF_COUNT(alone);
    memcpy(out, p.features > 0 ? around : alone, n * sizeof *out);
    return (int)n;
}

uint64_t bf_model_block(const bf_model *m, uint64_t batch)
{
    if (m->packed) return bf_model_packed(m, batch).size;
    return m->classes.n > 0 ? bf_label_block_of(batch * m->row, batch, m->classes.n).size : batch * m->row;
}

void bf_model_label(const bf_model *m, const uint32_t *label, uint64_t n, uint64_t batch, float *block)
{
    const bf_label_block b = bf_label_block_of(batch * m->row, batch, m->classes.n);
    const uint32_t none = m->classes.n;
    if (none > 0) bf_label_block_put(&b, label ? label : &none, label ? n : 1, block);
}

void bf_model_pad(const bf_model *m, uint64_t n, uint64_t batch, float *block)
{
    const bf_label_block b = bf_label_block_of(batch * m->row, batch, m->classes.n);
    if (m->packed) return;
    for (uint64_t i = n; i < batch; i++) {
        memcpy(block + i * m->row, block + (n - 1) * m->row, (size_t)m->row * sizeof *block);
        if (m->classes.n > 0) memcpy(block + b.label + i, block + b.label + n - 1, sizeof *block);
    }
}

bf_ragged bf_model_ragged(bf_graph *g, uint64_t items)
{
    const uint64_t offsets = bf_packed_of(items, 1).segments + 1;
    bf_ragged r = {.offset = bf_graph_find(g, "offset"), .segment = bf_graph_find(g, "segment")};
    if (r.offset < 0) r.offset = bf_graph_input(g, "offset", 1, &offsets);
    if (r.segment < 0) r.segment = bf_graph_input(g, "segment", 1, &items);
    return r;
}

bf_status bf_model_take(const bf_loss_nodes *n, const bf_graph *g, bf_upload *upload, size_t offset, bf_err *err)
{
    bf_status st = BF_OK;
    for (int i = 0; i < n->parts; i++) {
        const bf_block_part *p = &n->part[i];
        BF_TRY(bf_upload_take(upload, bf_graph_mem(g, p->t), offset + p->first * sizeof(float),
                              (size_t)p->count * sizeof(float), err));
    }
out:
    return st;
}

uint64_t bf_model_examples(const bf_model *m, const float *block, uint64_t batch)
{
    if (!m->packed) return batch;
    const bf_packed p = bf_model_packed(m, batch);
    return bf_packed_examples(&p, block);
}

uint64_t bf_model_first(const bf_model *m, const float *block, uint64_t batch, uint64_t i)
{
    if (!m->packed) return i;
    const bf_packed p = bf_model_packed(m, batch);
    return bf_packed_first(&p, block, i);
}

void bf_model_times(const bf_model *m, const float *block, uint64_t batch, const float *examples, float *t)
{
    const uint64_t n = bf_model_examples(m, block, batch);
    uint64_t item = 0;
    for (uint64_t e = 0; e < n; e++)
        for (const uint64_t end = bf_model_first(m, block, batch, e + 1); item < end; item++) t[item] = examples[e];
    for (; item < batch; item++) t[item] = 0.0f;
}
