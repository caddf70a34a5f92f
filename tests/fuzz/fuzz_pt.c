/* Any bytes as a PyTorch file, archive or bare pickles: opened, every tensor read, everything else described. */
#include <string.h>

#include "fuzz.h"
#include "io/pt_contents.h"
#include "run/molcraft.h"

/* What is taken for the settings of a molecule network. */
static void try_settings(const bf_pt *f)
{
    bf_err err;
    json_t *hyper = NULL, *j = NULL;
    const json_t *dynamics;
    bf_molcraft m;
    FUZZ_CHECK(bf_molcraft_hyper(f, &hyper, &dynamics, &err) == BF_OK);
    if (dynamics && bf_molcraft_read(dynamics, &m, &err) == BF_OK) {
        j = bf_molcraft_json(&m);
        FUZZ_CHECK(j != NULL && m.width > 0 && m.width % m.heads == 0 && m.sigma1 > 0);
    }
    json_decref(j);
    json_decref(hyper);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bf_err err;
    bf_pt *f;
    json_t *contents = NULL;
    if (bf_pt_open_memory("input", data, size, &f, &err) != BF_OK) return 0;
    for (size_t i = 0; i < bf_pt_count(f); i++) {
        const bf_pt_tensor *t = bf_pt_at(f, i);
        FUZZ_CHECK(bf_pt_find(f, t->name) == t && t->folder <= strlen(t->name));
        /* what a tensor takes is bounded by the file, a compressed one by what it can inflate to */
        FUZZ_CHECK(t->count / 1033 <= size);
        float *values = malloc((size_t)t->count * sizeof *values + 1);
        FUZZ_CHECK(values != NULL);
        (void)bf_pt_read_f32(f, t, values, &err);
        free(values);
    }
    (void)bf_pt_verify(f, &err);
    FUZZ_CHECK(bf_pt_contents(f, &contents, &err) == BF_OK);
    json_decref(contents);
    try_settings(f);
    bf_pt_close(f);
    return 0;
}
