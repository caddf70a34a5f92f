#include "io/sizes.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/json.h"

bf_status bf_sizes_of(const bf_dataset *ds, bf_sizes *out, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_molecules *m = bf_dataset_molecules(ds);
    const uint64_t n = bf_dataset_get_info(ds).train;
    uint64_t *count = NULL;
    uint32_t *index = NULL;
    bf_sizes s = {0};
    BF_CHECK(m != NULL, BF_USAGE, "only molecules have sizes");
    BF_NEW(count, BF_SIZES_MAX + 1);
    BF_NEW(index, n + 1);
    BF_TRY(bf_dataset_eval_rows(ds, BF_SPLIT_TRAIN, 0, (uint32_t)n, 0, &(bf_rows){.index = index}, err));
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t atoms = m->first[index[i] + 1] - m->first[index[i]];
        if (atoms <= BF_SIZES_MAX) count[atoms]++;
    }
    for (uint32_t atoms = 0; atoms <= BF_SIZES_MAX; atoms++) s.n += count[atoms] > 0;
    BF_NEW(s.size, s.n + 1);
    s.n = 0;
    for (uint32_t atoms = 0; atoms <= BF_SIZES_MAX; atoms++) {
        if (count[atoms] == 0) continue;
        s.size[s.n++] = (bf_size){atoms, count[atoms]};
        s.total += count[atoms];
    }
    bf_sizes_free(out);
    *out = s;
    s = (bf_sizes){0};
out:
    bf_sizes_free(&s);
    free(count);
    free(index);
    return st;
}

void bf_sizes_free(bf_sizes *s)
{
    free(s->size);
    *s = (bf_sizes){0};
}

bf_status bf_sizes_text(const bf_sizes *s, char **text, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(list, json_pack("[I,I]", (json_int_t)s->size[i].atoms, (json_int_t)s->size[i].count));
    *text = json_array_size(list) == s->n ? json_dumps(list, JSON_COMPACT) : NULL;
    BF_CHECK(*text, BF_RUNTIME, "out of memory for the sizes of molecules");
out:
    json_decref(list);
    return st;
}

bf_status bf_sizes_parse(const char *text, const char *name, bf_sizes *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_sizes s = {0};
    json_t *list = NULL;
    BF_TRY(bf_json_parse(name, text, strlen(text), 4 * (size_t)BF_SIZES_MAX, &list, err));
    const size_t n = json_array_size(list);
    BF_CHECK(n > 0, BF_FILE, "%s: the sizes of its molecules are damaged", name);
    BF_NEW(s.size, n);
    for (; s.n < n; s.n++) {
        const json_t *pair = json_array_get(list, s.n), *a = json_array_get(pair, 0), *c = json_array_get(pair, 1);
        const json_int_t atoms = json_integer_value(a), count = json_integer_value(c);
        const json_int_t last = s.n > 0 ? (json_int_t)s.size[s.n - 1].atoms : 0;
        BF_CHECK(json_is_integer(a) && json_is_integer(c) && json_array_size(pair) == 2 && atoms > last &&
                     atoms <= BF_SIZES_MAX && count > 0 && count <= UINT32_MAX,
                 BF_FILE, "%s: the sizes of its molecules are damaged (entry %zu)", name, s.n + 1);
        s.size[s.n] = (bf_size){(uint32_t)atoms, (uint64_t)count};
        s.total += (uint64_t)count;
    }
    *out = s;
    s = (bf_sizes){0};
out:
    bf_sizes_free(&s);
    json_decref(list);
    return st;
}

uint32_t bf_sizes_draw(const bf_sizes *s, double u)
{
    const double at = u * (double)s->total;
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        sum += s->size[i].count;
        if (at < (double)sum) return s->size[i].atoms;
    }
    return bf_sizes_largest(s);
}

uint32_t bf_sizes_largest(const bf_sizes *s)
{
    return s->n > 0 ? s->size[s->n - 1].atoms : 0;
}
