#include <stdlib.h>
#include <string.h>

#include "support.h"

START_TEST(fills_and_copies)
{
    TEST_BOTH(ctx)
    {
        float x[100], y[100];
        test_fill(x, 100, 3);
        test_tensor a = test_new(ctx, 100, x), b = test_new(ctx, 100, NULL);
        bf_cmds *c;
        OK(bf_cmds_new(ctx, &c, err));
        OK(bf_cmds_copy(c, b.mem, a.mem, 400, err));
        OK(bf_cmds_fill(c, bf_mem_at(b.mem, 40), 0x3f800000u, 80, err));
        OK(bf_cmds_copy(c, bf_mem_at(a.mem, 200), bf_mem_at(b.mem, 40), 4, err));
        ck_assert_uint_eq(bf_cmds_count(c), 3);
        test_run(c);
        test_get(ctx, &b, y);
        for (int i = 0; i < 100; i++) ck_assert_float_eq(y[i], i >= 10 && i < 30 ? 1.0f : x[i]);
        test_get(ctx, &a, y);
        ck_assert_float_eq(y[50], 1.0f);
        test_free(&a);
        test_free(&b);
    }
}
END_TEST

static Suite *device_suite(void)
{
    Suite *s = suite_create("device");
    TCase *t = tcase_create("commands");
    tcase_add_test(t, fills_and_copies);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return test_main(device_suite());
}
