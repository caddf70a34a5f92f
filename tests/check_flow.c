/* Flows: distributions, losses and gradients against plain references in doubles and finite differences; draws; numbers
 * of the paper's reference; the nodes on a graph. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "flow/ops.h"
#include "ref/flow.h"
#include "support.h"

#define MAX_WIDTH 512

/* ---- a batch of variables with everything a loss needs ----------------------------------------------------------- */

typedef struct batch {
    bf_flow f;
    bf_flow_loss_spec spec;
    int batch, dims, draws;
    float *x, *mu, *t, *net, *noise;
    int width, noises; /* numbers per variable: network, noise of one draw */
} batch;

static float *floats(size_t n)
{
    float *p = calloc(n ? n : 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* Times: the prior, below the limit of the reference, ordinary ones, nearly 1. */
static batch batch_new(const bf_flow *f, bf_loss_kind kind, int dims)
{
    static const float times[] = {0.3f, 0.0f, 0.62f, 5e-7f, 0.9f};
    batch b = {.f = *f, .spec = {.kind = kind, .steps = 10}, .batch = 5, .dims = dims};
    const size_t n = (size_t)b.batch * (size_t)dims;
    b.draws = bf_flow_loss_draws(f, &b.spec);
    b.width = bf_flow_outputs(f);
    b.noises = bf_flow_noise_width(f);
    b.x = floats(n);
    b.mu = floats(n);
    b.t = floats((size_t)b.batch);
    b.net = floats(n * (size_t)b.width);
    b.noise = floats(n * (size_t)(b.noises * (b.draws ? b.draws : 1)));
    test_fill(b.x, n, 1);
    test_fill(b.mu, n, 2);
    test_fill(b.net, n * (size_t)b.width, 3);
    for (size_t i = 0; i < n * (size_t)b.width; i++) b.net[i] *= 2.5f;
    for (size_t i = 0; i < n * (size_t)(b.noises * b.draws); i++)
        b.noise[i] = bf_philox_normal(7, (uint32_t)i, 0, 0, 9);
    for (int i = 0; i < b.batch; i++) b.t[i] = kind == BF_LOSS_RECON ? 1.0f : times[i];
    if (kind == BF_LOSS_N_STEP) {
        for (int i = 0; i < b.batch; i++) b.t[i] = (float)(2 * i) / 10.0f;
    }
    for (size_t i = 0; i < n; i++) {
        if (f->kind == BF_FLOW_CATEGORICAL) b.x[i] = floorf((b.x[i] + 1.0f) * 0.49999f * (float)f->classes);
        if (f->kind == BF_FLOW_DISCRETISED) {
            const float nb = (float)f->bins;
            b.x[i] = 2.0f * (floorf((b.x[i] + 1.0f) * 0.49999f * nb) + 0.5f) / nb - 1.0f;
        }
    }
    return b;
}

static void batch_free(batch *b)
{
    free(b->x);
    free(b->mu);
    free(b->t);
    free(b->net);
    free(b->noise);
}

static double reference(const batch *b, size_t variable, const double *net)
{
    double noise[10 * 300];
    const size_t row = variable / (size_t)b->dims, d = variable % (size_t)b->dims;
    for (int s = 0; s < b->draws; s++) {
        for (int k = 0; k < b->noises; k++) {
            const size_t at = (((size_t)s * (size_t)b->batch + row) * (size_t)b->dims + d) * (size_t)b->noises;
            noise[s * b->noises + k] = b->noise[at + (size_t)k];
        }
    }
    if (b->f.kind == BF_FLOW_CATEGORICAL) {
        return ref_class_loss(&b->f, &b->spec, (int)b->x[variable], b->t[row], net, noise, b->draws);
    }
    return ref_real_loss(&b->f, &b->spec, b->x[variable], b->mu[variable], b->t[row], net, noise, b->draws);
}

/* NaN in `want`: not known. Largest number of a row, for tolerances: rows differ by their time, by orders of magnitude.
 */
static double row_max(const double *x, size_t row, size_t n)
{
    double top = 0.0;
    for (size_t i = row * n; i < (row + 1) * n; i++) top = fmax(top, fabs(x[i])); /* passes over NaN */
    return top;
}

static void compare_rows(const char *what, const float *mine, const double *want, size_t rows, size_t n, double rel)
{
    for (size_t r = 0; r < rows; r++) {
        const double room = rel * row_max(want, r, n) + 1e-9;
        for (size_t i = r * n; i < (r + 1) * n; i++) {
            ck_assert_msg(isnan(want[i]) || fabs(mine[i] - want[i]) <= room,
                          "%s, sample %zu, element %zu: %.9g, expected %.9g +- %.2g", what, r, i - r * n,
                          (double)mine[i], want[i], room);
        }
    }
}

/* Loss per variable and gradient of the mean, on the device; `grad` NULL: without. */
static void run_loss(bf_ctx *ctx, const batch *b, float *loss, float *grad)
{
    const bf_flow_shape shape = {(uint64_t)b->batch, (uint64_t)b->dims};
    const size_t n = (size_t)b->batch * (size_t)b->dims, noises = n * (size_t)b->noises;
    const size_t space = bf_flow_loss_workspace(&b->f, &b->spec, shape, grad != NULL) / sizeof(float);
    test_tensor x = test_new(ctx, n, b->x), mu = test_new(ctx, n, b->mu), t = test_new(ctx, shape.batch, b->t);
    test_tensor net = test_new(ctx, n * (size_t)b->width, b->net), out = test_new(ctx, n, NULL);
    test_tensor noise = test_new(ctx, noises * (size_t)(b->draws ? b->draws : 1), b->noise);
    test_tensor by = test_new(ctx, n * (size_t)b->width, NULL), ws = test_new(ctx, space + 1, NULL);
    bf_cmds *c;
    const bf_flow_loss_args args = {.loss = out.mem,
                                    .grad = grad ? by.mem : BF_MEM_NONE,
                                    .x = x.mem,
                                    .mu = mu.mem,
                                    .net = net.mem,
                                    .t = t.mem,
                                    .noise = noise.mem,
                                    .draw_pitch = noises,
                                    .sample_pitch = noises / shape.batch,
                                    .ws = ws.mem};
    OK(bf_cmds_new(ctx, &c, err));
    OK(bf_flow_op_loss(c, &b->f, &b->spec, shape, &args, err));
    test_run(c);
    test_get(ctx, &out, loss);
    if (grad) test_get(ctx, &by, grad);
    test_tensor *all[] = {&x, &mu, &t, &net, &out, &noise, &by, &ws};
    for (size_t i = 0; i < BF_COUNT(all); i++) test_free(all[i]);
}

/* Device loss against the reference, device gradient against central differences of the reference. */
static void check_loss(bf_ctx *ctx, const char *what, const bf_flow *f, bf_loss_kind kind, bf_receiver receiver,
                       int dims)
{
    batch b = batch_new(f, kind, test_quick() && dims > 35 ? 35 : dims);
    const size_t n = (size_t)b.batch * (size_t)b.dims, all = n * (size_t)b.width;
    float *loss = floats(n), *alone = floats(n), *grad = floats(all);
    double *want = calloc(n, sizeof *want), *by = calloc(all, sizeof *by), net[MAX_WIDTH];
    b.spec.receiver = receiver;
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < b.width; k++) net[k] = b.net[i * (size_t)b.width + (size_t)k];
        want[i] = reference(&b, i, net);
        for (int k = 0; k < b.width; k++) {
            const double at = net[k], h = 1e-5;
            by[i * (size_t)b.width + (size_t)k] = NAN;
            if (b.width > 8 && k % (b.width / 4 + 1) != 0 && k != (int)b.x[i]) continue; /* a few of many classes */
            net[k] = at + h;
            const double up = reference(&b, i, net);
            net[k] = at - h;
            by[i * (size_t)b.width + (size_t)k] = (up - reference(&b, i, net)) / (2.0 * h) / (double)n;
            net[k] = at;
        }
    }
    run_loss(ctx, &b, loss, grad);
    compare_rows(what, loss, want, (size_t)b.batch, (size_t)b.dims, 3e-5);
    /* shares of components far from the data are exponentials of differences of large numbers */
    compare_rows(what, grad, by, (size_t)b.batch, (size_t)(b.dims * b.width),
                 f->output == BF_OUT_MIXTURE ? 2e-3 : 2e-4);
    run_loss(ctx, &b, alone, NULL);
    ck_assert_msg(memcmp(loss, alone, n * sizeof *loss) == 0, "%s: the loss depends on whether a gradient is asked for",
                  what);
    batch_free(&b);
    free(loss);
    free(alone);
    free(grad);
    free(want);
    free(by);
}

static const bf_loss_kind kinds[] = {BF_LOSS_CTS, BF_LOSS_N_STEP, BF_LOSS_RECON};

START_TEST(continuous_losses)
{
    bf_flow f = bf_flow_defaults(BF_FLOW_CONTINUOUS);
    TEST_BOTH(ctx)
    {
        for (size_t k = 0; k < BF_COUNT(kinds); k++) {
            f.output = BF_OUT_DELTA;
            f.min_variance = 1e-3;
            check_loss(ctx, "delta", &f, kinds[k], BF_RECEIVER_JOINT, 37);
            f.output = BF_OUT_NORMAL;
            f.min_variance = 2e-3;
            check_loss(ctx, "normal", &f, kinds[k], BF_RECEIVER_JOINT, 1);
            f.output = BF_OUT_MIXTURE;
            f.mixture = 3;
            check_loss(ctx, "mixture", &f, kinds[k], BF_RECEIVER_JOINT, 31);
        }
        f.output = BF_OUT_DELTA;
        f.predict = BF_PREDICT_DATA;
        f.min_loss_variance = 0.05;
        check_loss(ctx, "prediction of the data, floor of the variance", &f, BF_LOSS_CTS, BF_RECEIVER_JOINT, 300);
        f.predict = BF_PREDICT_NOISE;
        f.min_loss_variance = 0.0;
    }
}
END_TEST

START_TEST(discretised_losses)
{
    bf_flow f = bf_flow_defaults(BF_FLOW_DISCRETISED);
    static const int bins[] = {2, 16, 256};
    TEST_BOTH(ctx)
    {
        for (size_t k = 0; k < BF_COUNT(kinds); k++) {
            for (size_t i = 0; i < BF_COUNT(bins); i++) {
                if (test_quick() && bins[i] > 16) continue;
                f = bf_flow_defaults(BF_FLOW_DISCRETISED);
                f.bins = bins[i];
                check_loss(ctx, "clipped normal", &f, kinds[k], BF_RECEIVER_JOINT, bins[i] == 16 ? 261 : 13);
            }
            f.bins = 16;
            f.truncated = true;
            f.predict = BF_PREDICT_DATA;
            check_loss(ctx, "truncated normal", &f, kinds[k], BF_RECEIVER_JOINT, 33);
            f.output = BF_OUT_MIXTURE;
            f.mixture = 2;
            check_loss(ctx, "truncated mixture", &f, kinds[k], BF_RECEIVER_JOINT, 17);
            f.truncated = false;
            f.predict = BF_PREDICT_NOISE;
            check_loss(ctx, "clipped mixture", &f, kinds[k], BF_RECEIVER_JOINT, 32);
        }
    }
}
END_TEST

START_TEST(categorical_losses)
{
    bf_flow f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    static const int classes[] = {2, 3, 15, 16, 27, 80, 257};
    TEST_BOTH(ctx)
    {
        for (size_t i = 0; i < BF_COUNT(classes); i++) {
            f.classes = classes[i];
            f.max_sqrt_beta = classes[i] == 2 ? 3.0 : 0.75;
            const int dims = classes[i] == 2 ? 263 : classes[i] == 257 ? 1 : 17;
            for (size_t k = 0; k < BF_COUNT(kinds); k++) {
                check_loss(ctx, "joint", &f, kinds[k], BF_RECEIVER_JOINT, dims);
            }
            check_loss(ctx, "official", &f, BF_LOSS_N_STEP, BF_RECEIVER_OFFICIAL, dims);
            if (classes[i] == 2 || classes[i] == 27) {
                bf_flow linear = f;
                linear.schedule = BF_SCHEDULE_ENTROPY;
                linear.max_sqrt_beta = sqrt(20.4054 / classes[i]);
                check_loss(ctx, "entropy schedule", &linear, BF_LOSS_CTS, BF_RECEIVER_JOINT, dims);
                check_loss(ctx, "entropy schedule", &linear, BF_LOSS_N_STEP, BF_RECEIVER_JOINT, dims);
            }
            if (classes[i] == 2 || classes[i] == 27) /* the joint form otherwise */
                check_loss(ctx, "clamped", &f, BF_LOSS_N_STEP, BF_RECEIVER_CLAMPED, dims);
        }
    }
}
END_TEST

/* ---- distributions and values ------------------------------------------------------------------------------------ */

typedef struct device_batch {
    test_tensor x, mu, t, net, noise, y;
    bf_flow_shape shape;
} device_batch;

static device_batch upload(bf_ctx *ctx, const batch *b, size_t noises, size_t results)
{
    const size_t n = (size_t)b->batch * (size_t)b->dims;
    device_batch d = {.shape = {(uint64_t)b->batch, (uint64_t)b->dims}};
    d.x = test_new(ctx, n, b->x);
    d.mu = test_new(ctx, n, b->mu);
    d.t = test_new(ctx, (size_t)b->batch, b->t);
    d.net = test_new(ctx, n * (size_t)b->width, b->net);
    d.noise = test_new(ctx, noises, b->noise);
    d.y = test_new(ctx, results, NULL);
    return d;
}

static void device_free(device_batch *d)
{
    test_tensor *all[] = {&d->x, &d->mu, &d->t, &d->net, &d->noise, &d->y};
    for (size_t i = 0; i < BF_COUNT(all); i++) test_free(all[i]);
}

START_TEST(bin_probabilities)
{
    bf_flow f = bf_flow_defaults(BF_FLOW_DISCRETISED);
    TEST_BOTH(ctx)
    {
        for (int variant = 0; variant < 4; variant++) {
            f.bins = variant == 1 ? 256 : 16;
            f.truncated = variant == 2;
            f.output = variant == 3 ? BF_OUT_MIXTURE : BF_OUT_NORMAL;
            f.mixture = 3;
            batch b = batch_new(&f, BF_LOSS_CTS, 21);
            const size_t n = (size_t)b.batch * 21, nb = (size_t)f.bins;
            device_batch d = upload(ctx, &b, n, n * nb);
            float *p = floats(n * nb), *mean = floats(n), *mode = floats(n);
            double want[256], net[16];
            bf_cmds *c;
            OK(bf_cmds_new(ctx, &c, err));
            OK(bf_flow_op_bins(c, &f, d.shape, d.y.mem, d.mu.mem, d.net.mem, d.t.mem, err));
            test_run(c);
            test_get(ctx, &d.y, p);
            OK(bf_cmds_new(ctx, &c, err));
            OK(bf_flow_op_value(c, &f, d.shape, BF_VALUE_MEAN, d.x.mem, d.mu.mem, d.net.mem, d.t.mem, BF_MEM_NONE,
                                err));
            OK(bf_flow_op_value(c, &f, d.shape, BF_VALUE_MODE, d.noise.mem, d.mu.mem, d.net.mem, d.t.mem, BF_MEM_NONE,
                                err));
            test_run(c);
            test_get(ctx, &d.x, mean);
            test_get(ctx, &d.noise, mode);
            for (size_t i = 0; i < n; i++) {
                size_t best = 0;
                for (int k = 0; k < b.width; k++) net[k] = b.net[i * (size_t)b.width + (size_t)k];
                ref_bins(&f, b.mu[i], b.t[i / 21], net, want);
                for (size_t k = 0; k < nb; k++) {
                    ck_assert_double_eq_tol(p[i * nb + k], want[k], 2e-7 + 2e-5 * want[k]);
                    if (want[k] > want[best] * (1.0 + 1e-4)) best = k;
                }
                ck_assert_double_eq_tol(mean[i], ref_mean(&f, b.mu[i], b.t[i / 21], net), 2e-6);
                const size_t chosen = (size_t)lround((mode[i] + 1.0) * f.bins / 2.0 - 0.5);
                ck_assert_double_ge(want[chosen], want[best] * (1.0 - 1e-4));
            }
            device_free(&d);
            batch_free(&b);
            free(p);
            free(mean);
            free(mode);
        }
    }
}
END_TEST

/* K on both sides of whatever a kernel holds at a time; variables: a whole vector of them and some. */
START_TEST(class_probabilities)
{
    enum { DIMS = 19, N = 5 * DIMS, MOST = 257 };
    static const int classes[] = {2, 3, 15, 16, 17, 27, 64, 79, 80, 81, 145, MOST};
    bf_flow f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    TEST_BOTH(ctx)
    {
        for (size_t which = 0; which < BF_COUNT(classes); which++) {
            f.classes = classes[which];
            batch b = batch_new(&f, BF_LOSS_RECON, DIMS);
            const size_t nk = (size_t)f.classes;
            device_batch d = upload(ctx, &b, N * nk, N * nk);
            float *p = floats(N * nk), *input = floats(N * nk), mean[N], mode[N];
            double want[MOST], net[MOST];
            bf_cmds *c;
            OK(bf_cmds_new(ctx, &c, err));
            OK(bf_flow_op_params(c, &f, d.shape, d.y.mem, d.mu.mem, d.net.mem, d.t.mem, true, err));
            if (nk > 2) OK(bf_flow_op_input(c, &f, d.shape, d.noise.mem, d.net.mem, err));
            OK(bf_flow_op_value(c, &f, d.shape, BF_VALUE_MEAN, d.x.mem, d.mu.mem, d.net.mem, d.t.mem, BF_MEM_NONE,
                                err));
            OK(bf_flow_op_value(c, &f, d.shape, BF_VALUE_MODE, d.mu.mem, d.mu.mem, d.net.mem, d.t.mem, BF_MEM_NONE,
                                err));
            test_run(c);
            test_get(ctx, &d.y, p);
            test_get(ctx, &d.noise, input);
            test_get(ctx, &d.x, mean);
            test_get(ctx, &d.mu, mode);
            for (size_t i = 0; i < N; i++) {
                double expected = 0;
                size_t best = 0;
                for (int k = 0; k < b.width; k++) net[k] = b.net[i * (size_t)b.width + (size_t)k];
                ref_probs(f.classes, net, want);
                for (size_t k = 0; k < nk; k++) {
                    ck_assert_double_eq_tol(p[i * nk + k], want[k], 1e-7 + 1e-6 * want[k]);
                    if (nk > 2) ck_assert_double_eq_tol(input[i * nk + k], want[k], 1e-7 + 1e-6 * want[k]);
                    if (want[k] > want[best]) best = k;
                    expected += (double)k * want[k];
                }
                ck_assert_double_eq_tol(mean[i], expected, 2e-6 * (1.0 + expected));
                ck_assert_float_eq(mode[i], (float)best);
            }
            device_free(&d);
            batch_free(&b);
            free(p);
            free(input);
        }
    }
}
END_TEST

START_TEST(densities)
{
    enum { DIMS = 21, N = 5 * DIMS };
    bf_flow f = bf_flow_defaults(BF_FLOW_CONTINUOUS);
    TEST_BOTH(ctx)
    {
        for (int mixture = 0; mixture < 2; mixture++) {
            f.output = mixture ? BF_OUT_MIXTURE : BF_OUT_NORMAL;
            f.mixture = 3;
            batch b = batch_new(&f, BF_LOSS_CTS, DIMS);
            device_batch d = upload(ctx, &b, 1, N);
            float y[N];
            double want[N], net[16];
            bf_cmds *c;
            OK(bf_cmds_new(ctx, &c, err));
            OK(bf_flow_op_log_density(c, &f, d.shape, d.y.mem, d.x.mem, d.mu.mem, d.net.mem, d.t.mem, err));
            test_run(c);
            test_get(ctx, &d.y, y);
            for (size_t i = 0; i < N; i++) {
                for (int k = 0; k < b.width; k++) net[k] = b.net[i * (size_t)b.width + (size_t)k];
                want[i] = ref_log_density(&f, b.mu[i], b.t[i / DIMS], net, b.x[i]);
            }
            compare_rows("ln density", y, want, 5, DIMS, 3e-5);
            device_free(&d);
            batch_free(&b);
        }
    }
}
END_TEST

/* Edges belong to the bin on their right, 1 and what lies outside to the bin at the end. */
START_TEST(bins_of_values)
{
    static const float edge[] = {-1.0f, -0.875f, -0.876f, 0.0f, -1e-3f, 0.875f, 0.874f, 1.0f, -3.0f, 3.0f};
    static const int want[] = {0, 1, 0, 8, 7, 15, 14, 15, 0, 15};
    enum { EDGES = BF_COUNT(edge), BINS = 16 };
    const bf_flow_shape shape = {3, EDGES};
    TEST_BOTH(ctx)
    {
        float x[3 * EDGES], index[3 * EDGES], centre[3 * EDGES];
        for (int i = 0; i < 3 * EDGES; i++) x[i] = edge[i % EDGES];
        test_tensor dx = test_new(ctx, BF_COUNT(x), x), di = test_new(ctx, BF_COUNT(x), NULL);
        test_tensor dc = test_new(ctx, BF_COUNT(x), NULL);
        bf_cmds *c;
        OK(bf_cmds_new(ctx, &c, err));
        OK(bf_flow_op_quantise(c, BINS, shape, di.mem, dc.mem, dx.mem, err));
        test_run(c);
        test_get(ctx, &di, index);
        test_get(ctx, &dc, centre);
        for (int i = 0; i < 3 * EDGES; i++) {
            ck_assert_float_eq(index[i], (float)want[i % EDGES]);
            ck_assert_float_eq(centre[i], (float)(2 * want[i % EDGES] + 1) / BINS - 1.0f);
        }
        test_tensor *all[] = {&dx, &di, &dc};
        for (size_t i = 0; i < BF_COUNT(all); i++) test_free(all[i]);
    }
}
END_TEST

/* Frequencies of drawn values: every variable has the same distribution; within 5 standard deviations of the count. */
static void check_frequencies(bf_ctx *ctx, const bf_flow *f, const float *net, const double *p, int count)
{
    const int dims = test_quick() ? 101 : 4001;
    batch b = batch_new(f, BF_LOSS_RECON, dims);
    const size_t n = (size_t)b.batch * (size_t)dims;
    float *drawn = floats(n);
    size_t seen[300] = {0};
    bf_cmds *c;
    const bool normal = f->kind == BF_FLOW_DISCRETISED && f->output == BF_OUT_NORMAL && !f->truncated;
    for (size_t i = 0; i < n * (size_t)b.width; i++) b.net[i] = net[i % (size_t)b.width];
    for (size_t i = 0; i < n; i++) {
        b.noise[i] = normal ? bf_philox_normal(3, (uint32_t)i, 0, 0, 1) : bf_philox_uniform(3, (uint32_t)i, 0, 0, 1);
    }
    device_batch d = upload(ctx, &b, n, n);
    OK(bf_cmds_new(ctx, &c, err));
    OK(bf_flow_op_value(c, f, d.shape, BF_VALUE_DRAW, d.y.mem, d.mu.mem, d.net.mem, d.t.mem, d.noise.mem, err));
    test_run(c);
    test_get(ctx, &d.y, drawn);
    for (size_t i = 0; i < n; i++) {
        const bool classes = f->kind == BF_FLOW_CATEGORICAL && !f->discretize;
        const long k = lround(classes ? drawn[i] : (drawn[i] + 1.0) * count / 2.0 - 0.5);
        ck_assert(k >= 0 && k < count);
        seen[k]++;
    }
    for (int k = 0; k < count; k++) {
        const double mean = p[k] * (double)n, room = 5.0 * sqrt(mean * (1.0 - p[k])) + 1.0;
        ck_assert_msg(fabs((double)seen[k] - mean) <= room, "value %d drawn %zu times, expected %.1f +- %.1f", k,
                      seen[k], mean, room);
    }
    device_free(&d);
    batch_free(&b);
    free(drawn);
}

START_TEST(draws_have_the_right_frequencies)
{
    double p[256], wide[3];
    TEST_BOTH(ctx)
    {
        bf_flow f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
        ref_probs(2, (double[]){0.4}, p);
        check_frequencies(ctx, &f, (float[]){0.4f}, p, 2);
        f.classes = 3;
        ref_probs(3, (double[]){-1.0, 0.5, 2.0}, wide);
        check_frequencies(ctx, &f, (float[]){-1.0f, 0.5f, 2.0f}, wide, 3);
        f.discretize = true;
        check_frequencies(ctx, &f, (float[]){-1.0f, 0.5f, 2.0f}, wide, 3);
        f = bf_flow_defaults(BF_FLOW_DISCRETISED);
        f.predict = BF_PREDICT_DATA;
        for (int truncated = 0; truncated < 2; truncated++) {
            f.truncated = truncated;
            ref_bins(&f, 0.0, 1.0, (double[]){0.7, -0.75}, p);
            check_frequencies(ctx, &f, (float[]){0.7f, -0.75f}, p, 16);
        }
        f.truncated = false;
        f.output = BF_OUT_MIXTURE;
        f.mixture = 2;
        ref_bins(&f, 0.0, 1.0, (double[]){0.5, -0.5, -0.6, 0.4, -2.0, -1.0}, p);
        check_frequencies(ctx, &f, (float[]){0.5f, -0.5f, -0.6f, 0.4f, -2.0f, -1.0f}, p, 16);
    }
}
END_TEST

/* Draw of a continuous mixture: mean and variance of 20005 draws (505 of the quick ones). */
START_TEST(draws_of_a_continuous_mixture)
{
    const int dims = test_quick() ? 101 : 4001;
    bf_flow f = bf_flow_defaults(BF_FLOW_CONTINUOUS);
    f.output = BF_OUT_MIXTURE;
    f.mixture = 2;
    f.predict = BF_PREDICT_DATA;
    const double w = 1.0 / (1.0 + exp(-1.0)), mean = w * -0.6 + (1.0 - w) * 0.4;
    const double second = w * (0.36 + exp(-4.0)) + (1.0 - w) * (0.16 + exp(-2.0));
    static const float net[] = {0.5f, -0.5f, -0.6f, 0.4f, -2.0f, -1.0f};
    TEST_BOTH(ctx)
    {
        batch b = batch_new(&f, BF_LOSS_RECON, dims);
        const size_t n = (size_t)b.batch * (size_t)dims;
        double sum = 0.0, square = 0.0;
        float *drawn = floats(n);
        bf_cmds *c;
        for (size_t i = 0; i < n * 6; i++) b.net[i] = net[i % 6];
        free(b.noise);
        b.noise = floats(2 * n);
        for (size_t i = 0; i < n; i++) b.noise[i] = bf_philox_uniform(3, (uint32_t)i, 0, 0, 1);
        for (size_t i = 0; i < n; i++) b.noise[n + i] = bf_philox_normal(3, (uint32_t)i, 0, 0, 2);
        device_batch d = upload(ctx, &b, 2 * n, n);
        OK(bf_cmds_new(ctx, &c, err));
        OK(bf_flow_op_value(c, &f, d.shape, BF_VALUE_DRAW, d.y.mem, d.mu.mem, d.net.mem, d.t.mem, d.noise.mem, err));
        test_run(c);
        test_get(ctx, &d.y, drawn);
        for (size_t i = 0; i < n; i++) sum += drawn[i];
        for (size_t i = 0; i < n; i++) square += (double)drawn[i] * drawn[i];
        ck_assert_double_eq_tol(sum / (double)n, mean, 5.0 * sqrt(second / (double)n));
        ck_assert_double_eq_tol(square / (double)n, second, 10.0 * second / sqrt((double)n));
        device_free(&d);
        batch_free(&b);
        free(drawn);
    }
}
END_TEST

/* ---- flow samples ------------------------------------------------------------------------------------------------ */

START_TEST(flow_samples)
{
    TEST_BOTH(ctx)
    {
        for (int variant = 0; variant < 4; variant++) {
            bf_flow f = bf_flow_defaults(variant == 0 ? BF_FLOW_DISCRETISED : BF_FLOW_CATEGORICAL);
            if (variant == 2) f.classes = 27;
            if (variant == 2) f.discretize = true;
            if (variant == 3) f.classes = 27;
            if (variant == 3) f.max_sqrt_beta = sqrt(20.4054 / 27);
            if (variant == 3) f.schedule = BF_SCHEDULE_ENTROPY;
            batch b = batch_new(&f, BF_LOSS_CTS, 67);
            const int width = b.noises;
            const size_t n = (size_t)b.batch * 67, wide = n * (size_t)width;
            for (size_t i = 0; variant == 2 && i < n; i++) b.x[i] = (b.x[i] + 0.5f) / 13.5f - 1.0f;
            for (size_t i = 0; i < wide; i++) b.noise[i] = bf_philox_normal(5, (uint32_t)i, 0, 0, 1);
            device_batch d = upload(ctx, &b, wide, wide);
            float *state = floats(wide);
            bf_cmds *c;
            OK(bf_cmds_new(ctx, &c, err));
            OK(bf_flow_op_sample(c, &f, d.shape, d.y.mem, d.x.mem, d.noise.mem, d.t.mem, err));
            test_run(c);
            test_get(ctx, &d.y, state);
            for (size_t i = 0; i < wide; i++) {
                const double t = b.t[i / (wide / 5)], x = b.x[i / (size_t)width], eps = b.noise[i];
                double want;
                if (variant == 0) {
                    const double post = pow((double)(float)1e-3, t), gamma = (double)(1.0f - (float)post);
                    want = gamma * x + sqrt(gamma * post) * eps;
                } else {
                    const double whole = f.classes * f.max_sqrt_beta * f.max_sqrt_beta;
                    const double beta = variant == 3 ? -4.0 / f.classes * log(1.0 - t + t * exp(-whole / 4.0))
                                                     : pow(f.max_sqrt_beta * t, 2.0);
                    const double k = variant == 2 ? floor((x + 1.0) * 13.5) : x;
                    want = beta * (f.classes * ((double)(i % (size_t)width) == k) - 1.0) + sqrt(f.classes * beta) * eps;
                }
                ck_assert_double_eq_tol(state[i], want, 3e-6 * (1.0 + fabs(want)));
            }
            device_free(&d);
            batch_free(&b);
            free(state);
        }
    }
}
END_TEST

/* ---- numbers from the reference: spec, appendix A --------------------------------------------------------------- */

/* mu moves towards y by alpha / (rho + alpha), z by y. */
START_TEST(bayesian_updates)
{
    enum { BATCH = 3 };
    TEST_BOTH(ctx)
    for (int variant = 0; variant < 2; variant++)
        for (int dims = 31; dims <= 33; dims++) {
            const bf_flow f = bf_flow_defaults(variant == 0 ? BF_FLOW_CONTINUOUS : BF_FLOW_CATEGORICAL);
            const size_t n = (size_t)(BATCH * dims * bf_flow_noise_width(&f));
            float *state = floats(n), *y = floats(n), *got = floats(n), record[BF_STEP_WORDS] = {0};
            record[BF_FLOW_KEEP] = 0.25f;
            record[BF_FLOW_GAIN] = 0.75f;
            test_fill(state, n, 1);
            test_fill(y, n, 2);
            test_tensor d_state = test_new(ctx, n, state), d_y = test_new(ctx, n, y);
            test_tensor d_record = test_new(ctx, BF_STEP_WORDS, record);
            bf_cmds *c;
            OK(bf_cmds_new(ctx, &c, err));
            OK(bf_flow_op_update(c, &f, (bf_flow_shape){BATCH, (uint64_t)dims}, d_state.mem, d_y.mem, d_record.mem,
                                 err));
            test_run(c);
            test_get(ctx, &d_state, got);
            for (size_t i = 0; i < n; i++)
                ck_assert_double_eq_tol(got[i], variant == 0 ? 0.25 * state[i] + 0.75 * y[i] : (double)state[i] + y[i],
                                        1e-6);
            test_free(&d_state);
            test_free(&d_y);
            test_free(&d_record);
            free(state);
            free(y);
            free(got);
        }
}
END_TEST

START_TEST(accuracies)
{
    bf_flow f = bf_flow_defaults(BF_FLOW_CONTINUOUS);
    ck_assert_double_eq_tol(bf_flow_alpha(&f, 1, 10), 2.981072, 1e-6);
    ck_assert_double_eq_tol(bf_flow_alpha(&f, 10, 10), 748811.4, 0.1);
    double sum = 1.0;
    for (int i = 1; i <= 7; i++) sum += bf_flow_alpha(&f, i, 7);
    ck_assert_double_eq_tol(sum, 1e6, 1e-3);
    f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    f.schedule = BF_SCHEDULE_ENTROPY;
    f.classes = 6;
    f.max_sqrt_beta = sqrt(20.4054 / 6);
    ck_assert_double_eq_tol(bf_flow_beta(&f, 0.25), 0.1904364, 1e-7);
    ck_assert_double_eq_tol(bf_flow_beta(&f, 1.0), 3.4009, 1e-6);
    ck_assert_double_eq_tol(0.5 * bf_flow_beta_rate(&f, 0.5), 0.6585978, 1e-7);
    ck_assert_double_eq_tol(bf_flow_alpha(&f, 2, 2), 3.4009 - 0.4580514, 1e-6);
    f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    f.max_sqrt_beta = 0.75;
    ck_assert_double_eq_tol(bf_flow_alpha(&f, 1, 10), 0.005625, 1e-12);
    ck_assert_double_eq_tol(bf_flow_alpha(&f, 10, 10), 0.106875, 1e-12);
}
END_TEST

static void expect_losses(bf_ctx *ctx, const bf_flow *f, const bf_flow_loss_spec *spec, int n, const float *x,
                          const float *mu, const float *t, const float *net, const double *want)
{
    float loss[8];
    batch b = {.f = *f, .spec = *spec, .batch = n, .dims = 1, .width = bf_flow_outputs(f), .noises = 1};
    b.x = (float *)(uintptr_t)x;
    b.mu = (float *)(uintptr_t)mu;
    b.t = (float *)(uintptr_t)t;
    b.net = (float *)(uintptr_t)net;
    b.noise = loss; /* not read */
    run_loss(ctx, &b, loss, NULL);
    for (int i = 0; i < n; i++) ck_assert_double_eq_tol(loss[i], want[i], 2e-5 * (1e-3 + fabs(want[i])));
}

START_TEST(appendix_losses)
{
    static const float x[] = {0.5f, -0.25f, 0.1f}, mu[] = {0.2f, -0.4f, 0.9f}, t[] = {0.5f, 0.1f, 0.0f};
    static const float ones[] = {1.0f, 1.0f, 1.0f}, noise[] = {0.3f, 0.2f, 1.0f};
    static const float both[] = {0.3f, -1.0f, 0.2f, 0.5f, 1.0f, 0.7f};
    const bf_flow_loss_spec cts = {.kind = BF_LOSS_CTS}, steps = {.kind = BF_LOSS_N_STEP, .steps = 10};
    const bf_flow_loss_spec recon = {.kind = BF_LOSS_RECON};
    float logits[81];
    for (int j = 0; j < 81; j++) logits[j] = (float)sin(0.5 * j);
    TEST_BOTH(ctx)
    {
        bf_flow f = bf_flow_defaults(BF_FLOW_CONTINUOUS);
        expect_losses(ctx, &f, &cts, 3, x, mu, t, noise, (double[]){660.80377, 4.4003959, 0.069077559});
        expect_losses(ctx, &f, &steps, 3, x, mu, t, noise, (double[]){1425.8641, 9.4950495, 0.1490536});
        f = bf_flow_defaults(BF_FLOW_DISCRETISED);
        expect_losses(ctx, &f, &cts, 3, x, mu, t, both, (double[]){13.1917677, 0.1720616, 0.0345388});
        f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
        expect_losses(ctx, &f, &cts, 2, (float[]){1.0f, 0.0f}, mu, (float[]){0.5f, 0.5f}, (float[]){0.4f, -1.2f},
                      (double[]){2.8989289, 0.9644541});
        expect_losses(ctx, &f, &recon, 2, (float[]){1.0f, 0.0f}, mu, ones, (float[]){0.4f, -1.2f},
                      (double[]){0.5130153, 0.2632824});
        f.classes = 27;
        f.max_sqrt_beta = 0.75;
        expect_losses(ctx, &f, &cts, 3, (float[]){3.0f, 0.0f, 26.0f}, mu, (float[]){0.5f, 0.1f, 1.0f}, logits,
                      (double[]){6.7815957, 1.4108795, 14.2049198});
        expect_losses(ctx, &f, &recon, 3, (float[]){3.0f, 0.0f, 26.0f}, mu, ones, logits,
                      (double[]){2.5341051, 2.7903204, 2.8442044});
    }
}
END_TEST

/* Whole n-step losses at constant p (spec 2.5): K = 2, beta(1) = 9, p_x = 0.6; the official form with n = 50 is the
 * joint one with n = 100. */
START_TEST(receivers_of_the_n_step_loss)
{
    static const struct {
        int n;
        bf_receiver receiver;
        double want;
    } cases[] = {{10, BF_RECEIVER_OFFICIAL, 2.4125},
                 {10, BF_RECEIVER_JOINT, 2.0354},
                 {50, BF_RECEIVER_OFFICIAL, 2.7881},
                 {100, BF_RECEIVER_JOINT, 2.7881}};
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    const bf_flow f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    if (test_quick()) return; /* a mean over many draws; the kernel is that of categorical_losses */
    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        batch b = batch_new(&f, BF_LOSS_N_STEP, 3000);
        const size_t one = 3000;
        double sum = 0.0;
        float *loss = floats((size_t)cases[i].n * one);
        b.spec = (bf_flow_loss_spec){.kind = BF_LOSS_N_STEP, .steps = cases[i].n, .receiver = cases[i].receiver};
        batch big = b;
        big.batch = cases[i].n;
        const size_t n = (size_t)big.batch * one;
        big.x = floats(n);
        big.mu = floats(n);
        big.t = floats((size_t)big.batch);
        big.net = floats(n);
        big.noise = floats(n * 20);
        for (size_t k = 0; k < n; k++) big.x[k] = 1.0f;
        for (size_t k = 0; k < n; k++) big.net[k] = (float)log(0.6 / 0.4);
        for (int k = 0; k < big.batch; k++) big.t[k] = (float)k / (float)cases[i].n;
        for (size_t k = 0; k < n * 20; k++) big.noise[k] = bf_philox_normal(11, (uint32_t)k, (uint32_t)i, 0, 1);
        run_loss(ctx, &big, loss, NULL);
        for (size_t k = 0; k < n; k++) sum += loss[k];
        ck_assert_double_eq_tol(sum / (double)n, cases[i].want, 0.03);
        batch_free(&big);
        batch_free(&b);
        free(loss);
    }
}
END_TEST

/* ---- times ------------------------------------------------------------------------------------------------------- */

START_TEST(times)
{
    enum { N = 1000 };
    float t[N], part[N];
    const bf_flow_loss_spec cts = {.kind = BF_LOSS_CTS}, steps = {.kind = BF_LOSS_N_STEP, .steps = 7};
    const bf_flow_loss_spec recon = {.kind = BF_LOSS_RECON};
    double sum = 0.0;
    bf_flow_times(t, N, &cts,
                  &(bf_flow_time_key){.seed = 5, .step = 3, .first = 0, .total = N, .low_discrepancy = false});
    for (int i = 0; i < N; i++) ck_assert(t[i] >= 0.0f && t[i] < 1.0f);
    for (int i = 0; i < N; i++) sum += t[i];
    ck_assert_double_eq_tol(sum / N, 0.5, 0.05);
    bf_flow_times(part, 10, &cts,
                  &(bf_flow_time_key){.seed = 5, .step = 3, .first = 90, .total = N, .low_discrepancy = false});
    ck_assert_mem_eq(part, t + 90, 10 * sizeof *t);
    bf_flow_times(t, N, &cts,
                  &(bf_flow_time_key){.seed = 5, .step = 3, .first = 0, .total = N, .low_discrepancy = true});
    int seen[N] = {0};
    for (int i = 0; i < N; i++) seen[(int)(t[i] * N)]++;
    for (int i = 1; i < N; i++) ck_assert_msg(seen[i] <= 2, "low discrepancy: %d times in one of %d cells", seen[i], N);
    bf_flow_times(t, N, &steps,
                  &(bf_flow_time_key){.seed = 5, .step = 3, .first = 0, .total = N, .low_discrepancy = true});
    int cell[7] = {0};
    for (int i = 0; i < N; i++) {
        const int k = (int)lround(t[i] * 7.0);
        ck_assert(k >= 0 && k < 7 && fabs(t[i] - k / 7.0) < 1e-6);
        cell[k]++;
    }
    for (int k = 0; k < 7; k++) ck_assert_int_le(abs(cell[k] - N / 7), 2);
    /* the repeats of one sample are as even as the samples of one repeat */
    for (uint32_t r = 0; r < 10; r++) {
        const bf_flow_time_key key = {5, r, 17, N, true, r, 10};
        bf_flow_times(&part[r], 1, &cts, &key);
        ck_assert_double_eq_tol(part[r] - part[0] + (part[r] < part[0] ? 1 : 0), r / 10.0, 1e-6);
    }
    bf_flow_times(t, 3, &recon,
                  &(bf_flow_time_key){.seed = 5, .step = 3, .first = 0, .total = 3, .low_discrepancy = false});
    ck_assert(t[0] == 1.0f && t[2] == 1.0f);
}
END_TEST

/* ---- settings ---------------------------------------------------------------------------------------------------- */

START_TEST(settings_are_checked)
{
    bf_err err;
    bf_flow f = bf_flow_defaults(BF_FLOW_DISCRETISED);
    ck_assert_int_eq(bf_flow_check(&f, &err), BF_OK);
    f.output = BF_OUT_DELTA;
    ck_assert_int_eq(bf_flow_check(&f, &err), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "delta"));
    f.output = BF_OUT_NORMAL;
    f.bins = 1;
    ck_assert_int_eq(bf_flow_check(&f, &err), BF_USAGE);
    f = bf_flow_defaults(BF_FLOW_CONTINUOUS);
    f.min_variance = 1.0;
    ck_assert_int_eq(bf_flow_check(&f, &err), BF_USAGE);
    f.min_variance = NAN;
    ck_assert_int_eq(bf_flow_check(&f, &err), BF_USAGE);
    f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    f.classes = 1;
    ck_assert_int_eq(bf_flow_check(&f, &err), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "classes"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flow");
    const TTest *const tests[] = {continuous_losses,
                                  discretised_losses,
                                  categorical_losses,
                                  bin_probabilities,
                                  class_probabilities,
                                  densities,
                                  bins_of_values,
                                  draws_have_the_right_frequencies,
                                  draws_of_a_continuous_mixture,
                                  flow_samples,
                                  bayesian_updates,
                                  accuracies,
                                  appendix_losses,
                                  receivers_of_the_n_step_loss,
                                  times,
                                  settings_are_checked};
    for (size_t i = 0; i < BF_COUNT(tests); i++) {
        TCase *tc = tcase_create(tests[i]->name);
        tcase_set_timeout(tc, 120);
        tcase_add_test(tc, tests[i]);
        suite_add_tcase(s, tc);
    }
    return test_main(s);
}
