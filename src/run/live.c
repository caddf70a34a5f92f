/* run/live.h */
#include "run/live.h"

#include <stdlib.h>

#include "base/size.h"

#define TEXTS 8

bf_status bf_live_open(bf_live *l, const bf_model *m, uint32_t batch, uint64_t n, int evaluations,
                       const bfncl_sample_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    *l = (bf_live){.fn = o->live, .user = o->live_user};
    l->state.evaluations = (uint64_t)evaluations;
    l->state.texts = BF_MIN(BF_MIN((uint64_t)batch, n), (uint64_t)TEXTS);
    l->state.length = m->dims;
    BF_NEW(l->character, l->state.texts * m->dims);
    BF_NEW(l->probability, l->state.texts * m->dims);
    l->state.character = (const char(*)[5])l->character;
    l->state.probability = l->probability;
    BF_TRY(bf_text_reader_open(&l->reader, m, batch, err));
out:
    return st;
}

void bf_live_free(bf_live *l)
{
    bf_text_reader_free(&l->reader);
    free(l->character);
    free(l->probability);
}

bf_status bf_live_step(bf_live *l, bf_sampler *s, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    l->state.evaluation = (uint64_t)i;
    l->state.t = t;
    BF_TRY(bf_text_reader_read(&l->reader, s, (uint32_t)l->state.texts, l->character, l->probability, err));
    l->fn(l->user, &l->state);
out:
    return st;
}
