/* train.jsonl and loss.svg. run/trainlog.h */
#include "run/trainlog.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/stats.h"
#include "io/chart.h"

#define LINE_BYTES 4096

struct bf_trainlog {
    FILE *f;
    char *path;
    bool complained;
};

bf_status bf_trainlog_open(const char *path, bf_trainlog **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_trainlog *log = NULL;
    BF_NEW(log, 1);
    BF_NEW(log->path, strlen(path) + 1);
    memcpy(log->path, path, strlen(path) + 1);
    log->f = fopen(path, "a+b");
    BF_CHECK(log->f, BF_RUNTIME, "cannot write %s: %s", path, strerror(errno));
    /* a run that was killed may have left half a line */
    if (fseek(log->f, -1, SEEK_END) == 0 && fgetc(log->f) != '\n') {
        fseek(log->f, 0, SEEK_END);
        fputc('\n', log->f);
    }
    *out = log;
    log = NULL;
out:
    bf_trainlog_close(log);
    return st;
}

void bf_trainlog_close(bf_trainlog *log)
{
    if (!log) return;
    if (log->f) fclose(log->f);
    free(log->path);
    free(log);
}

json_t *bf_trainlog_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

void bf_trainlog_add(bf_trainlog *log, const char *event, uint64_t step, json_t *extra)
{
    json_t *line = json_pack("{s:s,s:I}", "event", event, "step", (json_int_t)step);
    char *text = NULL;
    if (line && extra) json_object_update(line, extra);
    if (line) text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    bool ok = text && fprintf(log->f, "%s\n", text) > 0;
    ok = fflush(log->f) == 0 && ok;
    if (!ok && !log->complained) {
        bf_log(BFNCL_LOG_WARN, "cannot write to %s: %s; the run goes on without it", log->path, strerror(errno));
        log->complained = true;
    }
    if (!ok) clearerr(log->f);
    free(text);
    json_decref(line);
    json_decref(extra);
}

/* ---- chart ------------------------------------------------------------------------------------------------------- */

typedef struct curve {
    double *x, *y;
    size_t n, room;
} curve;

static bf_status append(curve *c, double x, double y, bf_err *err)
{
    bf_status st = BF_OK;
    if (c->n == c->room) {
        const size_t room = 2 * c->room + 256;
        double *xs = realloc(c->x, room * sizeof *xs);
        if (xs) c->x = xs;
        double *ys = realloc(c->y, room * sizeof *ys);
        if (ys) c->y = ys;
        BF_CHECK(xs && ys, BF_RUNTIME, "out of memory while drawing the loss");
        c->room = room;
    }
    c->x[c->n] = x;
    c->y[c->n++] = y;
out:
    return st;
}

/* A resumed or rolled-back run takes up at an earlier step: what came after it no longer counts. */
static void cut(curve *c, double step)
{
    while (c->n && c->x[c->n - 1] > step) c->n--;
}

static bf_status read_line(const char *line, curve *train, curve *eval, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *j = json_loads(line, 0, NULL); /* half a line of a killed run is no JSON and left out */
    const char *event = json_string_value(json_object_get(j, "event"));
    const double step = json_number_value(json_object_get(j, "step"));
    const json_t *loss = json_object_get(j, "loss");
    if (event && (strcmp(event, "resume") == 0 || strcmp(event, "rollback") == 0)) {
        cut(train, step);
        cut(eval, step);
    }
    if (event && json_is_number(loss)) {
        const double bits = json_number_value(loss) / BF_LN2;
        if (strcmp(event, "step") == 0) BF_TRY(append(train, step, bits, err));
        if (strcmp(event, "eval") == 0) BF_TRY(append(eval, step, bits, err));
    }
out:
    json_decref(j);
    return st;
}

/* Running mean over about 1/50 of the curve: single steps are noise. */
static void smooth(curve *c)
{
    const double k = 1.0 / (1.0 + (double)c->n / 50.0);
    for (size_t i = 1; i < c->n; i++) c->y[i] = c->y[i - 1] + (c->y[i] - c->y[i - 1]) * k;
}

bf_status bf_trainlog_chart(const char *jsonl, const char *svg, bf_err *err)
{
    bf_status st = BF_OK;
    curve train = {0}, eval = {0};
    char line[LINE_BYTES];
    FILE *f = fopen(jsonl, "rb");
    BF_CHECK(f, BF_FILE, "cannot read %s: %s", jsonl, strerror(errno));
    while (fgets(line, sizeof line, f)) BF_TRY(read_line(line, &train, &eval, err));
    smooth(&train);
    const bf_series series[] = {{"training (running mean)", train.x, train.y, train.n},
                                {"validation, averaged weights", eval.x, eval.y, eval.n}};
    const bf_chart chart = {.title = "Loss",
                            .x_label = "step",
                            .y_label = "bits per dimension",
                            .log_y = true,
                            .series = series,
                            .n_series = BF_COUNT(series)};
    BF_TRY(bf_chart_write(svg, &chart, err));
out:
    if (f) fclose(f);
    free(train.x);
    free(train.y);
    free(eval.x);
    free(eval.y);
    return st;
}
