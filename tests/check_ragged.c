/* Nodes of ragged batches in a graph: gradients, what is left out where nobody reads it, refusals. */
#include <string.h>

#include "graph_test.h"

enum { ITEMS = 70, SEGMENTS = 4, K = 5 };

static const uint32_t offsets[SEGMENTS + 1] = {0, 37, 37, 40, ITEMS};

/* Words as a constant of the graph. */
static bf_tid const_words(const fixture *f, const char *name, uint64_t n, const uint32_t *words)
{
    float *x = malloc(n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    memcpy(x, words, n * sizeof *x);
    const bf_tid t = bf_graph_const(f->g, name, 1, &n, x);
    free(x);
    return t;
}

static bf_ragged ragged(const fixture *f)
{
    uint32_t segment[ITEMS];
    for (uint32_t s = 0; s < SEGMENTS; s++)
        for (uint32_t i = offsets[s]; i < offsets[s + 1]; i++) segment[i] = s;
    return (bf_ragged){const_words(f, "offset", SEGMENTS + 1, offsets), const_words(f, "segment", ITEMS, segment)};
}

/* Items are weighed by a softmax, centred, take numbers of their segment and are summed up. */
START_TEST(gradients_of_segments)
{
    TEST_BOTH(ctx)
    {
        fixture f = fixture_new(ctx, true);
        const bf_ragged batch = ragged(&f);
        float weight[ITEMS];
        for (int i = 0; i < ITEMS; i++) weight[i] = i % 3 != 0;
        bf_tid w = bf_graph_const(f.g, "mass", 1, (uint64_t[]){ITEMS}, weight);
        bf_tid x = input(&f, "x", ITEMS, 19, 0, 0), t = input(&f, "t", SEGMENTS, 19, 0, 0);
        bf_graph_want_grad(f.g, x);
        bf_graph_want_grad(f.g, t);
        bf_tid own = bf_graph_gather(f.g, t, batch.segment, batch.offset, BF_NONE);
        bf_tid soft = bf_graph_segment_softmax(f.g, x, &batch);
        bf_tid centred = bf_graph_segment_centre(f.g, bf_graph_add(f.g, x, soft), w, &batch);
        bf_tid sum = bf_graph_segment_sum(f.g, centred, &batch);
        bf_tid mean =
            bf_graph_segment_mean(f.g, bf_graph_act(f.g, bf_graph_add(f.g, centred, own), BF_ACT_SILU), &batch);
        check_gradients(&f, dot_with_random(&f, bf_graph_concat(f.g, sum, mean)));
        fixture_free(&f);
    }
}
END_TEST

/* A linear layer over the edges, from the code of their lengths and rows of the items they come from. The points are
 * far from changing their neighbours. */
START_TEST(gradients_of_edges)
{
    TEST_BOTH(ctx)
    {
        const float centres[7] = {0, 0.2f, 0.4f, 0.6f, 0.8f, 1, 1.5f};
        fixture f = fixture_new(ctx, true);
        const bf_ragged batch = ragged(&f);
        bf_tid x = input(&f, "x", ITEMS, 3, 0, 0), h = input(&f, "h", ITEMS, 16, 0, 0);
        bf_graph_want_grad(f.g, x);
        bf_graph_want_grad(f.g, h);
        float *at = random_floats((size_t)3 * ITEMS, 3);
        const bf_edges e =
            bf_graph_neighbours(f.g, bf_graph_const(f.g, "at", 2, (uint64_t[]){ITEMS, 3}, at), &batch, K);
        free(at);
        bf_tid offset = bf_graph_const(f.g, "centres", 1, (uint64_t[]){7}, centres);
        bf_tid code = bf_graph_radial(f.g, bf_graph_edge_length(f.g, x, &e), offset, 2.5f, false);
        bf_tid flat = bf_graph_softmax(f.g, bf_graph_radial(f.g, bf_graph_edge_length(f.g, x, &e), offset, 1.5f, true));
        bf_tid source = bf_graph_gather(f.g, h, e.src, e.rev_offset, e.rev_edge);
        bf_tid c = bf_graph_concat(f.g, source, bf_graph_concat(f.g, code, flat));
        bf_tid y = bf_graph_linear(f.g, c, param(&f, "w", BF_LAYOUT_PLAIN, 5, 30, 0, 0), BF_NONE, BF_ACT_SILU, BF_NONE);
        check_gradients(&f, dot_with_random(&f, y));
        fixture_free(&f);
    }
}
END_TEST

/* The reverse lists serve gradients: a graph without any does not make them. */
START_TEST(reverse_lists_only_for_gradients)
{
    fixture f = fixture_new(test_ctx(BF_CLASS_CPU), false);
    const bf_ragged batch = ragged(&f);
    bf_plan plan;
    bf_tid x = input(&f, "x", ITEMS, 3, 0, 0);
    const bf_edges e = bf_graph_neighbours(f.g, x, &batch, K);
    bf_graph_keep(f.g, bf_graph_edge_length(f.g, x, &e));
    bf_graph_keep(f.g, bf_graph_gather(f.g, x, e.src, e.rev_offset, e.rev_edge));
    OK(bf_graph_plan(f.g, true, &plan, err));
    ck_assert_uint_eq(plan.nodes, 3);
    ck_assert_uint_eq(plan.dead, 1);
    fixture_free(&f);
}
END_TEST

typedef bf_tid (*wrong)(const fixture *f, const bf_ragged *batch);

static bf_tid wrong_neighbours(const fixture *f, const bf_ragged *batch)
{
    return bf_graph_neighbours(f->g, input(f, "x", ITEMS, 2, 0, 0), batch, K).src;
}

static bf_tid wrong_sum(const fixture *f, const bf_ragged *batch)
{
    return bf_graph_segment_sum(f->g, input(f, "x", ITEMS - 1, 2, 0, 0), batch);
}

static bf_tid wrong_gather(const fixture *f, const bf_ragged *batch)
{
    return bf_graph_gather(f->g, input(f, "x", ITEMS, 2, 0, 0), batch->segment, batch->offset, BF_NONE);
}

static bf_tid wrong_weights(const fixture *f, const bf_ragged *batch)
{
    return bf_graph_segment_centre(f->g, input(f, "x", ITEMS, 2, 0, 0), input(f, "w", ITEMS + 1, 0, 0, 0), batch);
}

static bf_tid wrong_lengths(const fixture *f, const bf_ragged *batch)
{
    const bf_edges e = bf_graph_neighbours(f->g, input(f, "x", ITEMS, 3, 0, 0), batch, K);
    return bf_graph_edge_length(f->g, input(f, "other", ITEMS, 4, 0, 0), &e);
}

START_TEST(shapes_that_do_not_fit_are_refused)
{
    static const wrong cases[] = {wrong_neighbours, wrong_sum, wrong_gather, wrong_weights, wrong_lengths};
    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        fixture f = fixture_new(test_ctx(BF_CLASS_CPU), false);
        const bf_ragged batch = ragged(&f);
        bf_err e = {0};
        ck_assert_int_eq(cases[i](&f, &batch), BF_NONE);
        ck_assert_int_eq(bf_graph_status(f.g, &e), BF_USAGE);
        fixture_free(&f);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ragged");
    TCase *tc = tcase_create("ragged");

    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, gradients_of_segments);
    tcase_add_test(tc, gradients_of_edges);
    tcase_add_test(tc, reverse_lists_only_for_gradients);
    tcase_add_test(tc, shapes_that_do_not_fit_are_refused);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}
