/*
 * Peer program: GFLOP/s of OpenBLAS for the shapes given as MxNxK[xBATCH]:TRANS arguments, one line each:
 *
 *     M N K BATCH TRANS MEDIAN MIN MAX
 *
 * Measured like `bfncl bench gemm`: the median of timed runs, short products repeated within a run. A batch is a loop
 * of products, shared out over two threads of one-threaded calls when that is faster (OPENBLAS_NUM_THREADS=1
 * BATCH_THREADS=2 is the caller's business: see gemm_ratio.sh). Never part of the product.
 */
#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_RUNS = 400, MIN_RUNS = 3, MAX_THREADS = 64 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct job {
    int m, n, k, batch, first, step;
    char trans[3];
    const float *a, *b;
    float *c;
} job;

static void *products(void *arg)
{
    const job *j = arg;
    const int ta = j->trans[0] == 't', tb = j->trans[1] == 't';
    for (int i = j->first; i < j->batch; i += j->step)
        cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, j->m, j->n, j->k,
                    1.0f, j->a + (size_t)i * (size_t)j->m * (size_t)j->k, ta ? j->m : j->k,
                    j->b + (size_t)i * (size_t)j->k * (size_t)j->n, tb ? j->k : j->n, 0.0f,
                    j->c + (size_t)i * (size_t)j->m * (size_t)j->n, j->n);
    return NULL;
}

/* One pass over the batch, by `threads` threads. */
static void pass(job j, int threads)
{
    pthread_t thread[MAX_THREADS];
    job part[MAX_THREADS];
    for (int i = 0; i < threads; i++) {
        part[i] = j;
        part[i].first = i;
        part[i].step = threads;
        if (i > 0 && pthread_create(&thread[i], NULL, products, &part[i]) != 0) abort();
    }
    products(&part[0]);
    for (int i = 1; i < threads; i++) pthread_join(thread[i], NULL);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static float *matrix(size_t n)
{
    float *x = malloc(n * sizeof *x);
    unsigned state = 1;
    if (x == NULL) abort();
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

static void measure(const char *text, int threads, double budget)
{
    job j = {.batch = 1, .trans = "nn"};
    double times[MAX_RUNS];
    int runs = 0, repeats = 1;
    const char *colon = strchr(text, ':');
    if (sscanf(text, "%dx%dx%dx%d", &j.m, &j.n, &j.k, &j.batch) < 3 || j.m < 1 || j.n < 1 || j.k < 1 || j.batch < 1) {
        fprintf(stderr, "not MxNxK[xBATCH]:TRANS: %s\n", text);
        exit(2);
    }
    if (colon != NULL && strlen(colon) == 3) memcpy(j.trans, colon + 1, 3);
    float *a = matrix((size_t)j.batch * (size_t)j.m * (size_t)j.k),
          *b = matrix((size_t)j.batch * (size_t)j.k * (size_t)j.n);
    j.a = a;
    j.b = b;
    j.c = matrix((size_t)j.batch * (size_t)j.m * (size_t)j.n);
    pass(j, threads);
    const double start = seconds();
    pass(j, threads);
    const double once = seconds() - start;
    if (once < 2e-3) repeats = 1 + (int)(2e-3 / (once > 1e-6 ? once : 1e-6));
    const double begin = seconds();
    while (runs < MIN_RUNS || (runs < MAX_RUNS && seconds() - begin < budget)) {
        const double t = seconds();
        for (int i = 0; i < repeats; i++) pass(j, threads);
        times[runs++] = (seconds() - t) / repeats;
    }
    qsort(times, (size_t)runs, sizeof *times, ascending);
    const double gflop = 2e-9 * j.m * j.n * (double)j.k * j.batch;
    const double median = 0.5 * (times[(runs - 1) / 2] + times[runs / 2]);
    printf("%d %d %d %d %s %.1f %.1f %.1f\n", j.m, j.n, j.k, j.batch, j.trans, gflop / median, gflop / times[runs - 1],
           gflop / times[0]);
    free(a);
    free(b);
    free(j.c);
}

int main(int argc, char **argv)
{
    const char *env = getenv("BATCH_THREADS"), *budget = getenv("BENCH_SECONDS");
    const int threads = env != NULL ? atoi(env) : 1;
    if (threads < 1 || threads > MAX_THREADS) return 2;
    if (threads > 1) openblas_set_num_threads(1);
    fprintf(stderr, "%s\n", openblas_get_config());
    for (int i = 1; i < argc; i++) measure(argv[i], threads, budget != NULL ? atof(budget) : 0.3);
    return 0;
}
