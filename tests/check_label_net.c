/* Networks that are told a class label: the gradients of their table. */
#include "graph_test.h"
#include "io/packed.h"
#include "label_net.h"

static bf_tid net_input(const fixture *f, const bf_net_config *c)
{
    return input(f, "x", B, (uint64_t)c->input.height, (uint64_t)c->input.width, (uint64_t)c->input.channels);
}

static void put_words(const fixture *f, const char *name, const uint32_t *word, uint64_t n)
{
    const bf_tid t = bf_graph_find(f->g, name);
    ck_assert_int_ge(t, 0);
    ck_assert_uint_eq(bf_graph_numel(f->g, t), n);
    OK(bf_write(f->ctx, bf_graph_mem(f->g, t), word, (size_t)n * sizeof *word, err));
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static void check_table(bf_ctx *ctx, bf_net_kind kind)
{
    const bf_net_config c = network(kind);
    const bf_label_block b = bf_label_block_of(0, B, CLASSES);
    float block[2 * B + CLASSES + 2];
    fixture f = fixture_new(ctx, true);
    const bf_tid x = net_input(&f, &c), t = input(&f, "t", B, 0, 0, 0);
    const bf_tid loss = dot_with_random(&f, bf_net_build(f.g, &c, x, t));
    bf_graph_keep(f.g, loss);
    OK(bf_graph_backward(f.g, loss, BF_NONE, err));
    ready(&f);
    fill_weights(f.params);
    put_random(&f, x, 3);
    put_random(&f, t, 4);
    bf_label_block_put(&b, labels, B, block);
    put_words(&f, "label", labels, B);
    put_words(&f, "label_offset", (const uint32_t *)(const void *)(block + b.offset), CLASSES + 2);
    put_words(&f, "label_entry", (const uint32_t *)(const void *)(block + b.entry), B);
    run(&f);
    const int k = bf_params_find(f.params, "label_emb.weight");
    ck_assert_int_ge(k, 0);
    const bf_param_spec *s = bf_params_spec(f.params, k);
    ck_assert(s->ndim == 2 && s->dims[0] == CLASSES + 1);
    const size_t width = (size_t)s->dims[1];
    check_direction(&f, bf_net_kind_name(kind), bf_params_mem(f.params, BF_SET_VALUE, k),
                    bf_params_mem(f.params, BF_SET_GRAD, k), (CLASSES + 1) * width, loss, 4e-3);
    float *all = malloc((CLASSES + 1) * width * sizeof *all);
    ck_assert_ptr_nonnull(all);
    OK(bf_read(ctx, all, bf_params_mem(f.params, BF_SET_GRAD, k), (CLASSES + 1) * width * sizeof *all, err));
    for (size_t i = 0; i < width; i++) ck_assert(all[width + i] == 0.0f); /* of class 1 */
    free(all);
    fixture_free(&f);
}

START_TEST(gradients)
{
    TEST_BOTH(ctx)
    {
        for (int kind = BF_NET_UNET; kind <= BF_NET_MLP; kind++) check_table(ctx, (bf_net_kind)kind);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("label_net");
    TCase *t = tcase_create("label_net");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, gradients);
    suite_add_tcase(s, t);
    return test_main(s);
}
