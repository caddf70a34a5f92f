/* Base layer: numbers from text, CRC-32C, atomic files, errors, permutations. */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/parse.h"
#include "base/philox.h"
#include "base/size.h"
#include "base/stats.h"
#include "files.h"

START_TEST(crc_known_answers)
{
    unsigned char bytes[32];
    ck_assert_uint_eq(bf_crc32c(0, "123456789", 9), 0xE3069283u);
    ck_assert_uint_eq(bf_crc32c(0, NULL, 0), 0);
    /* RFC 3720 B.4 */
    memset(bytes, 0, sizeof bytes);
    ck_assert_uint_eq(bf_crc32c(0, bytes, 32), 0x8A9136AAu);
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(bf_crc32c(0, bytes, 32), 0x62A8AB43u);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    ck_assert_uint_eq(bf_crc32c(0, bytes, 32), 0x46DD794Eu);
    /* Pieces give the same as the whole, wherever it is cut. */
    for (size_t cut = 0; cut <= 32; cut++) {
        ck_assert_uint_eq(bf_crc32c(bf_crc32c(0, bytes, cut), bytes + cut, 32 - cut), 0x46DD794Eu);
    }
}
END_TEST

START_TEST(means_and_errors)
{
    static const double x[] = {1, 2, 6}, alike[] = {5, 5, 5}, w[] = {1, 1, 2};
    double mean, se;
    bf_mean_stderr(x, NULL, 3, &mean, &se);
    ck_assert(mean == 3 && fabs(se - sqrt(7.0 / 3)) < 1e-12); /* variance (4 + 1 + 9) / 2 */
    bf_mean_stderr(x, alike, 3, &mean, &se);
    ck_assert(fabs(mean - 3) < 1e-12 && fabs(se - sqrt(7.0 / 3)) < 1e-12);
    bf_mean_stderr(x, w, 3, &mean, &se); /* w (x - m): -2.75, -1.75, 4.5 */
    ck_assert(mean == 3.75 && fabs(se - sqrt(1.5 * (7.5625 + 3.0625 + 20.25)) / 4) < 1e-12);
    bf_mean_stderr(x + 2, w, 1, &mean, &se);
    ck_assert(mean == 6 && se == 0);
    bf_mean_stderr(x, NULL, 0, &mean, NULL);
    ck_assert(isnan(mean));
}
END_TEST

START_TEST(whole_numbers)
{
    uint64_t u;
    int64_t i;
    OK(bf_parse_u64("n", "18446744073709551615", 0, UINT64_MAX, &u, err));
    ck_assert_uint_eq(u, UINT64_MAX);
    OK(bf_parse_u64("n", "007", 0, 10, &u, err));
    ck_assert_uint_eq(u, 7);
    OK(bf_parse_i64("n", "-9223372036854775808", INT64_MIN, 0, &i, err));
    ck_assert_int_eq(i, INT64_MIN);
    static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "1x", "0x10", "1.0", "--1", "-", "1\n"};
    for (size_t k = 0; k < BF_COUNT(bad); k++) {
        FAILS(BF_USAGE, "steps", bf_parse_u64("steps", bad[k], 0, 100, &u, err));
        if (strcmp(bad[k], "-1") != 0) FAILS(BF_USAGE, "steps", bf_parse_i64("steps", bad[k], -100, 100, &i, err));
    }
    FAILS(BF_USAGE, "outside 2..5", bf_parse_u64("n", "6", 2, 5, &u, err));
    FAILS(BF_USAGE, "outside", bf_parse_u64("n", "18446744073709551616", 0, UINT64_MAX, &u, err));
    FAILS(BF_USAGE, "outside", bf_parse_i64("n", "9223372036854775808", INT64_MIN, INT64_MAX, &i, err));
    ck_assert_uint_eq(u, 7); /* untouched by failures */
}
END_TEST

START_TEST(real_numbers)
{
    double v = 0;
    OK(bf_parse_double("lr", "1e-3", 0, 1, &v, err));
    ck_assert(v == 1e-3);
    OK(bf_parse_double("lr", "-.5", -1, 1, &v, err));
    ck_assert(v == -0.5);
    static const char *const bad[] = {"", ".", " 1", "1 ", "1,5", "nan", "inf", "-inf", "0x1p3", "1e", "1e5e5", "1d3"};
    for (size_t k = 0; k < BF_COUNT(bad); k++) FAILS(BF_USAGE, "lr", bf_parse_double("lr", bad[k], -1e9, 1e9, &v, err));
    FAILS(BF_USAGE, "outside", bf_parse_double("lr", "1e999", 0, 1e300, &v, err));
    FAILS(BF_USAGE, "outside", bf_parse_double("lr", "2", 0, 1, &v, err));
    /* A program with a decimal comma must not change what a file means. Skipped where the locale is not installed. */
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL) {
        OK(bf_parse_double("lr", "0.25", 0, 1, &v, err));
        ck_assert(v == 0.25);
        setlocale(LC_NUMERIC, "C");
    }
}
END_TEST

START_TEST(checked_sizes)
{
    uint64_t v = 1;
    ck_assert(bf_mul_u64(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &v));
    ck_assert(!bf_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
    ck_assert(bf_add_u64(UINT64_MAX, 0, &v));
    ck_assert(!bf_add_u64(UINT64_MAX, 1, &v));
    ck_assert_uint_eq(bf_ceil_div(UINT64_MAX, 2), UINT64_C(1) << 63);
    ck_assert_uint_eq(bf_round_up(65, 64), 128);
}
END_TEST

START_TEST(clock_runs)
{
    double a = bf_seconds(), b = bf_seconds();
    ck_assert(b >= a && a > 0);
}
END_TEST

START_TEST(errors_keep_their_parts)
{
    bf_err e = {0};
    ck_assert_int_eq(bf_fail(&e, BF_FILE, "tensor %s", "a"), BF_FILE);
    bf_hint(&e, "try %d", 5);
    bf_err_context(&e, "model.safetensors");
    ck_assert_str_eq(e.message, "model.safetensors: tensor a");
    ck_assert_str_eq(e.hint, "try 5");
    bf_fail(&e, BF_RUNTIME, "%2000d", 1); /* cut, not overrun */
    ck_assert_uint_eq(strlen(e.message), sizeof e.message - 1);
    ck_assert_str_eq(e.hint, "");
}
END_TEST

/* Many numbers at once are those that are made one by one, to the bit. */
START_TEST(numbers_at_once)
{
    static const uint64_t sizes[] = {0, 1, 2, 3, 4, 5, 63, 64, 65, 997};
    float u[1000], z[1000];
    for (size_t k = 0; k < BF_COUNT(sizes); k++) {
        const uint64_t n = sizes[k];
        u[n] = z[n] = -7.0f;
        bf_philox_uniforms(UINT64_C(5) << 33, 2, 9, 3, u, n);
        bf_philox_normals(UINT64_C(5) << 33, 2, 9, 3, z, n);
        for (uint64_t i = 0; i < n; i++) {
            ck_assert_float_eq(u[i], bf_philox_uniform(UINT64_C(5) << 33, (uint32_t)i, 2, 9, 3));
            ck_assert_float_eq(z[i], bf_philox_normal(UINT64_C(5) << 33, (uint32_t)i, 2, 9, 3));
        }
        ck_assert(u[n] == -7.0f && z[n] == -7.0f);
    }
}
END_TEST

START_TEST(permutations)
{
    enum { N = 1000 };
    static uint32_t p[N], q[N], first[6];
    bool seen[N] = {false};
    size_t same = 0;
    bf_philox_permutation(7, 3, BF_STREAM_SHUFFLE, N, p);
    bf_philox_permutation(7, 4, BF_STREAM_SHUFFLE, N, q);
    for (int i = 0; i < N; i++) {
        ck_assert(p[i] < N && !seen[p[i]]);
        seen[p[i]] = true;
        same += p[i] == q[i];
    }
    ck_assert_uint_lt(same, 20); /* about 1 expected */
    bf_philox_permutation(7, 3, BF_STREAM_SHUFFLE, N, q);
    ck_assert_mem_eq(p, q, sizeof p);
    /* All 6 orders of 3 equally often: 6000 draws, 1000 each, deviation 29. */
    for (uint32_t step = 0; step < 6000; step++) {
        bf_philox_permutation(1, step, BF_STREAM_SHUFFLE, 3, p);
        first[p[0] * 2 + (p[1] > p[2])]++;
    }
    for (int i = 0; i < 6; i++) ck_assert_msg(first[i] > 870 && first[i] < 1130, "order %d: %u times", i, first[i]);
    bf_philox_permutation(1, 0, BF_STREAM_SHUFFLE, 0, NULL);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------------------------- */

static void expect_content(const char *path, const char *text)
{
    size_t size;
    unsigned char *data = test_slurp(path, &size);
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_mem_eq(data, text, size);
    ck_assert_int_eq(data[size], 0);
    free(data);
}

/* How many entries of the scratch folder contain `part`. */
static int count_names(const char *part)
{
    char command[256];
    int n = -1;
    snprintf(command, sizeof command, "ls '%s' | grep -c -F '%s'", test_folder_, part);
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

START_TEST(read_errors)
{
    void *data;
    size_t size;
    bf_source *s;
    FAILS(BF_FILE, "/nowhere/x", bf_file_read("/nowhere/x", 100, &data, &size, err));
    FAILS(BF_FILE, "folder", bf_file_read("/tmp", 100, &data, &size, err));
    FAILS(BF_FILE, "regular", bf_file_read("/dev/zero", 100, &data, &size, err));
    test_spill(test_path("five"), "12345", 5);
    FAILS(BF_FILE, "at most 4", bf_file_read(test_path("five"), 4, &data, &size, err));
    OK(bf_source_open(test_path("five"), &s, err));
    char two[2];
    OK(bf_source_read(s, 3, two, 2, err));
    ck_assert_mem_eq(two, "45", 2);
    OK(bf_source_read(s, 5, two, 0, err));
    FAILS(BF_FILE, "ends at byte 5", bf_source_read(s, 4, two, 2, err));
    FAILS(BF_FILE, "ends at byte 5", bf_source_read(s, UINT64_MAX, two, 2, err));
    test_spill(test_path("five"), "1", 1); /* cut behind the reader's back */
    FAILS(BF_FILE, "while it was read", bf_source_read(s, 3, two, 2, err));
    bf_source_close(s);
}
END_TEST

START_TEST(write_replaces)
{
    OK(bf_file_write(test_path("a"), "old", 3, err));
    bf_writer *w;
    OK(bf_writer_open(test_path("a"), &w, err));
    OK(bf_writer_put(w, "xew", 3, err));
    OK(bf_writer_patch(w, 0, "n", 1, err));
    OK(bf_writer_put(w, "er", 2, err));
    expect_content(test_path("a"), "old"); /* until the commit */
    ck_assert_int_eq(count_names(".tmp."), 1);
    OK(bf_writer_commit(w, err));
    expect_content(test_path("a"), "newer");
    OK(bf_writer_open(test_path("a"), &w, err));
    OK(bf_writer_put(w, "zzz", 3, err));
    bf_writer_discard(w);
    expect_content(test_path("a"), "newer");
    ck_assert_int_eq(count_names(".tmp."), 0);
    OK(bf_file_write(test_path("empty"), NULL, 0, err));
    expect_content(test_path("empty"), "");
}
END_TEST

START_TEST(write_through_links)
{
    OK(bf_file_write(test_path("target"), "old", 3, err));
    ck_assert_int_eq(symlink("target", test_path("link")), 0);
    OK(bf_file_write(test_path("link"), "new", 3, err));
    expect_content(test_path("target"), "new");
    struct stat info;
    ck_assert(lstat(test_path("link"), &info) == 0 && S_ISLNK(info.st_mode));
    /* A device is written, never replaced. */
    OK(bf_file_write("/dev/null", "x", 1, err));
    ck_assert(stat("/dev/null", &info) == 0 && S_ISCHR(info.st_mode));
    FAILS(BF_RUNTIME, "/dev/full", bf_file_write("/dev/full", "x", 1, err));
}
END_TEST

START_TEST(write_errors)
{
    FAILS(BF_RUNTIME, "/nowhere/x", bf_file_write("/nowhere/x", "x", 1, err));
    FAILS(BF_RUNTIME, "folder", bf_file_write("/tmp", "x", 1, err));
    FAILS(BF_RUNTIME, "not a file name", bf_file_write("/tmp/", "x", 1, err));
    FAILS(BF_RUNTIME, "not a file name", bf_file_write("", "x", 1, err));
}
END_TEST

START_TEST(full_disk)
{
    static char big[1 << 16];
    struct rlimit old, small = {.rlim_cur = 40000};
    OK(bf_file_write(test_path("keep"), "precious", 8, err));
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    FAILS(BF_RUNTIME, "keep", bf_file_write(test_path("keep"), big, sizeof big, err));
    /* The same when the data only fail to leave the buffer at the end. */
    FAILS(BF_RUNTIME, "keep", bf_file_write(test_path("keep"), big, 40001, err));
    OK(bf_file_write(test_path("other"), big, 40000, err));
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    expect_content(test_path("keep"), "precious");
    ck_assert_int_eq(count_names(".tmp."), 0);
}
END_TEST

START_TEST(leftovers)
{
    char name[64];
    pid_t child = fork();
    if (child == 0) _exit(0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child); /* now a process that certainly does not run */
    snprintf(name, sizeof name, "left.tmp.%ld", (long)child);
    test_spill(test_path(name), "x", 1);
    snprintf(name, sizeof name, "left.tmp.%ld", (long)getppid());
    test_spill(test_path(name), "x", 1); /* of a process that runs */
    test_spill(test_path("left.tmp.12x"), "x", 1);
    test_spill(test_path("leftover.tmp.1"), "x", 1);
    OK(bf_file_write(test_path("left"), "y", 1, err));
    ck_assert_int_eq(count_names("left.tmp."), 2);
    ck_assert_int_eq(count_names("leftover.tmp."), 1);
    ck_assert_int_eq(unlink(test_path(name)), 0);
}
END_TEST

/* kill -9 while a file is written again and again: it is always one of the complete versions. */
START_TEST(killed_while_writing)
{
    enum { SIZE = 100000 };
    static char block[SIZE];
    char path[128];
    strcpy(path, test_path("killed"));
    memset(block, 'a', SIZE);
    OK(bf_file_write(path, block, SIZE, err));
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) {
            bf_err err;
            for (int v = 0;; v++) {
                memset(block, 'a' + v % 26, SIZE);
                if (bf_file_write(path, block, SIZE, &err) != BF_OK) _exit(1);
            }
        }
        nanosleep(&(struct timespec){0, 200000 + i * 331000 % 5000000}, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        size_t size;
        unsigned char *data = test_slurp(path, &size);
        ck_assert_uint_eq(size, SIZE);
        for (size_t k = 1; k < size; k++) ck_assert_int_eq(data[k], data[0]);
        free(data);
    }
    OK(bf_file_write(path, block, SIZE, err)); /* removes what the killed ones left */
    ck_assert_int_eq(count_names("killed.tmp."), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *numbers = tcase_create("numbers"), *files = tcase_create("files");
    tcase_add_test(numbers, crc_known_answers);
    tcase_add_test(numbers, means_and_errors);
    tcase_add_test(numbers, whole_numbers);
    tcase_add_test(numbers, real_numbers);
    tcase_add_test(numbers, checked_sizes);
    tcase_add_test(numbers, clock_runs);
    tcase_add_test(numbers, errors_keep_their_parts);
    tcase_add_test(numbers, numbers_at_once);
    tcase_add_test(numbers, permutations);
    tcase_add_test(files, read_errors);
    tcase_add_test(files, write_replaces);
    tcase_add_test(files, write_through_links);
    tcase_add_test(files, write_errors);
    tcase_add_test(files, full_disk);
    tcase_add_test(files, leftovers);
    tcase_add_test(files, killed_while_writing);
    tcase_set_timeout(files, 30);
    suite_add_tcase(s, numbers);
    suite_add_tcase(s, files);
    return test_main(s);
}
