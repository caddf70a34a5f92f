/* Drawing samples, and bfncl_sample. run/sample.h */
#include "run/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "run/film.h"
#include "run/film_mol.h"
#include "run/folder.h"
#include "run/given.h"
#include "run/label.h"
#include "run/live.h"
#include "run/sample_file.h"
#include "run/sample_mol.h"
#include "run/table.h"

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

bf_status bf_sampling_new(bf_model *m, const bf_sample_plan *how, uint32_t batch, bool dry_run, bf_sampler **out,
                          uint32_t *batch_used, bf_plan *plan, bf_err *err)
{
    bf_status st;
    bf_sampler_options o = {.ctx = m->ctx,
                            .params = m->params,
                            .weights = BF_SET_VALUE,
                            .hybrid = &m->hybrid,
                            .ndim = m->hybrid.groups == 1 ? 4 : 1,
                            .dims = {0, m->shape[0], m->shape[1], m->shape[2]},
                            .net = bf_model_net,
                            .user = m,
                            .mode = how->mode,
                            .choose = how->choose,
                            .particles = how->particles,
                            .guided = how->guide.fn != NULL,
                            .temperature = m->config.sample.temperature,
                            .given = m->schema != NULL || m->given,
                            .dry_run = dry_run};
    *batch_used = batch;
    do {
        o.dims[0] = *batch_used * (m->packed ? m->room.ligand : (uint64_t)BF_MAX(how->particles, 1));
        st = bf_sampler_new(&o, out, plan, err);
    } while (bf_model_halve_batch(st, batch_used, err));
    return st;
}

typedef struct batch_state {
    const bf_sampling *s;
    bool first;
    uint64_t done, total; /* network evaluations */
} batch_state;

static bf_status on_step(void *user, bf_sampler *sampler, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    batch_state *b = user;
    if (b->first && b->s->on_step) BF_TRY(b->s->on_step(b->s->user, sampler, i, t, err));
    BF_TRY(bf_profiler_unit(b->s->m->profiler, err));
    b->done++;
    BF_CHECK(!b->s->report || bf_report_done(b->s->report, b->done, b->total), BF_STOPPED, "sampling was stopped");
out:
    return st;
}

/* The row that sample first + i fills. */
static uint64_t row_of(const bf_sampling *s, uint64_t i)
{
    return s->given ? BF_MIN(i, s->n - 1) / s->repeat % s->rows : 0;
}

/* What is given of samples first .. first + batch - 1: hold [batch, D] for the sampler. */
static void hold_rows(const bf_sampling *s, uint64_t first, float *hold)
{
    const uint64_t dims = s->m->dims;
    for (uint64_t i = 0; i < s->batch; i++)
        memcpy(hold + i * dims, s->given + row_of(s, first + i) * dims, (size_t)dims * sizeof *hold);
}

/* The same of a table, whose network is told too. */
static bf_status tell(const bf_sampling *s, uint64_t first, float *hold, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_model *m = s->m;
    const uint64_t width = m->row - m->dims;
    const bf_graph *g = bf_sampler_graph(s->sampler);
    float *fed = NULL, *condition = NULL;
    BF_NEW(fed, m->row);
    BF_NEW(condition, s->batch * width);
    for (uint64_t i = 0; i < s->batch; i++) {
        const float *cells = s->given ? s->given + row_of(s, first + i) * m->dims : NULL;
        bf_table_hold(m, cells, fed, hold + i * m->dims, condition + i * width);
    }
    BF_TRY(bf_write(m->ctx, bf_graph_mem(g, bf_graph_find(g, "given")), condition,
                    (size_t)(s->batch * width) * sizeof *condition, err));
out:
    free(fed);
    free(condition);
    return st;
}

bf_status bf_sampling_run(const bf_sampling *s, float *out, bf_err *err)
{
    bf_status st = BF_OK;
    float *x = NULL, *hold = NULL;
    const uint64_t dims = s->m->dims;
    batch_state b = {.s = s, .total = bf_ceil_div(s->n, s->batch) * (uint64_t)s->how->evaluations};
    BF_CHECK(s->first + s->n <= UINT32_MAX, BF_USAGE, "sample numbers end at 2^32 - 1");
    BF_NEW(x, s->batch * dims);
    if (s->m->schema || s->given) BF_NEW(hold, s->batch * dims);
    for (uint64_t at = 0; at < s->n; at += s->batch) {
        const uint64_t rows = BF_MIN((uint64_t)s->batch, s->n - at);
        b.first = at == 0;
        if (s->m->schema)
            BF_TRY(tell(s, at, hold, err));
        else if (hold)
            hold_rows(s, at, hold);
        BF_TRY(bf_label_tell(s->m, bf_sampler_graph(s->sampler), s->label ? s->label + at : NULL, rows,
                             (uint64_t)BF_MAX(s->how->particles, 1), err));
        const bf_sampler_run_options o = {.steps = s->how->steps,
                                          .times = s->how->times,
                                          .last = s->how->last,
                                          .seed = s->seed,
                                          .first = (uint32_t)(s->first + at),
                                          .given = s->given ? hold : NULL,
                                          .guide = s->how->guide.fn ? &s->how->guide : NULL,
                                          .on_step = on_step,
                                          .ahead = !b.first || s->on_step == NULL,
                                          .user = &b};
        BF_TRY(bf_sampler_run(s->sampler, &o, x, err));
        memcpy(out + at * dims, x, (size_t)(rows * dims) * sizeof *x);
    }
out:
    free(x);
    free(hold);
    return st;
}

/* ---- bfncl_sample ------------------------------------------------------------------------------------------------ */

enum { MAX_PARTICLES = 1000000 };

void bfncl_sample_defaults(bfncl_sample_options *o)
{
    *o = (bfncl_sample_options){.seed = -1, .guidance = -1};
}

typedef struct sampling {
    const bfncl_sample_options *o;
    bf_model *m;
    char model[1024];
    uint64_t n, seed;
    bf_sample_plan how;
    uint32_t batch;
    bf_sampler *sampler;
    uint32_t *classes, *label; /* of a model with labels: those that are asked for, and of every sample */
    uint64_t n_classes;
    float *x;
    bf_csv *partial;             /* the table whose missing cells are drawn; NULL: none */
    bf_given given;              /* its cells, or whatever else is given */
    bf_mol scaffold, *molecules; /* of a model of molecules: [n] */
    bf_docking docking;          /* of one with pockets */
    bf_film *film;
    bf_live live; /* fn NULL: nobody looks */
    bf_report report;
} sampling;

/* A model with pockets needs one, and no other takes one. */
static bf_status resolve_pocket(sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bfncl_sample_options *o = s->o;
    const bool wanted = s->m->packed && s->m->unio2.pocket_features > 0;
    BF_CHECK(o->pocket || !(o->ligand || o->center || o->radius > 0 || o->atoms), BF_USAGE,
             "a ligand, a centre, a radius and a number of atoms belong to a pocket, and none is given");
    BF_CHECK(!wanted || o->pocket, BF_USAGE, "%s: this model makes ligands for a pocket: which one?", o->model);
    BF_CHECK(wanted || !o->pocket, BF_USAGE, "%s: the model was not made for pockets", o->model);
    if (!wanted) goto out;
    BF_TRY(bf_docking_new(o, s->m, s->n, s->seed, s->scaffold.atoms, &s->docking, err));
    s->batch = s->docking.batch;
out:
    return st;
}

/* Samples, of molecules atoms, to compute at once. */
static uint64_t batch_of(const sampling *s)
{
    const bf_config *c = &s->m->config;
    const uint64_t rows = c->sample.batch ? (uint64_t)c->sample.batch : bf_setup_batch(c);
    return BF_MAX(rows / (uint64_t)BF_MAX(s->how.particles, 1), 1);
}

/* An option that stands for a key of the section; NULL: it was not given. */
static bf_status take_word(bf_config *c, const char *key, const char *word, bf_err *err)
{
    bf_status st = BF_OK;
    char text[BF_CONFIG_TEXT + 32];
    if (!word) return BF_OK;
    BF_CHECK(strlen(word) < BF_CONFIG_TEXT, BF_USAGE, "sample.%s: longer than %d bytes", key, BF_CONFIG_TEXT - 1);
    snprintf(text, sizeof text, "sample.%s=%s", key, word);
    BF_TRY(bf_config_set(c, text, err));
out:
    return st;
}

/* Which classes, and how strongly. From here on s->n are the samples of all classes together. */
static bf_status resolve_labels(sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    bf_model *m = s->m;
    char list[400];
    const double guidance = s->o->guidance >= 0 ? s->o->guidance : m->config.sample.guidance;
    BF_CHECK(m->classes.n > 0 || s->o->guidance <= 0, BF_USAGE,
             "guidance is towards a class, and this model was trained without labels (data.labels)");
    BF_TRY(bf_label_choose(m, s->o->label, &s->classes, &s->n_classes, err));
    const bool some = s->classes[0] < m->classes.n;
    bf_classes_list(&m->classes, list, sizeof list);
    BF_CHECK(some || s->o->guidance <= 0, BF_USAGE, "guidance is towards a class: which one? %s, or all", list);
    BF_CHECK(guidance <= 0 || m->config.train.label_dropout > 0, BF_USAGE,
             "guidance needs a network that can do without labels, this one was trained without train.label_dropout");
    BF_CHECK(s->n * s->n_classes <= UINT32_MAX, BF_USAGE, "more than 2^32 - 1 samples");
    if (some) m->guidance = guidance; /* before the graph is built */
    if (m->classes.n == 0) goto out;
    BF_NEW(s->label, s->n * s->n_classes);
    for (uint64_t i = 0; i < s->n * s->n_classes; i++) s->label[i] = s->classes[i / s->n];
    s->n *= s->n_classes;
    s->batch = (uint32_t)BF_MIN(batch_of(s), s->n);
    BF_CHECK((uint64_t)BF_MAX(s->how.particles, 1) * s->n <= UINT32_MAX, BF_USAGE, "more than 2^32 - 1 particles");
out:
    return st;
}

/* Temperature needs classes or a deviation. */
static bf_status check_temperature(const bf_model *m, bf_err *err)
{
    if (m->config.sample.temperature == 1.0) return BF_OK;
    for (int g = 0; g < m->hybrid.groups; g++)
        if (bf_flow_outputs(&m->hybrid.group[g].flow) > 1 || m->hybrid.group[g].flow.kind == BF_FLOW_CATEGORICAL)
            return BF_OK;
    return bf_fail(err, BF_USAGE,
                   "sample.temperature: this model says one value and no deviation (flow.output delta): it can only be "
                   "1; normal and mixture outputs and classes have one");
}

static bf_status resolve(sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    bf_config *c = &s->m->config;
    BF_TRY(take_word(c, "mode", s->o->sampler, err));
    BF_TRY(take_word(c, "grid", s->o->grid, err));
    BF_TRY(take_word(c, "times", s->o->times, err));
    BF_TRY(bf_sample_plan_new(c, &s->m->hybrid, s->o->steps, &s->how, err));
    BF_CHECK(s->o->particles >= 0 && s->o->particles <= MAX_PARTICLES, BF_USAGE, "%lld particles, expected 1 to %d",
             (long long)s->o->particles, MAX_PARTICLES);
    s->how.particles = (int)s->o->particles;
    s->how.guide = (bf_guide){s->o->guide, s->o->guide_user, s->o->guide_strength};
    BF_TRY(check_temperature(s->m, err));
    s->n = (uint64_t)(s->o->n > 0 ? s->o->n : c->sample.n);
    s->seed = (uint64_t)(s->o->seed >= 0 ? s->o->seed : c->sample.seed);
    s->batch = (uint32_t)(s->m->packed ? batch_of(s) : BF_MIN(batch_of(s), s->n));
    BF_CHECK(s->m->packed || !s->o->scaffold, BF_USAGE, "%s: a scaffold is for models of molecules", s->o->scaffold);
    if (s->o->scaffold) BF_TRY(bf_mol_read(s->o->scaffold, &s->scaffold, err));
    s->m->given = s->m->frame = s->o->scaffold != NULL; /* before the graph is built */
    BF_TRY(resolve_pocket(s, err));
out:
    return st;
}

/* OUT, or samples/samples.png or .sdf beside the model; its folder is made. */
static bf_status output_path(const sampling *s, char out[1024], bf_err *err)
{
    bf_status st = BF_OK;
    char folder[1024];
    if (s->o->out) {
        BF_CHECK(strlen(s->o->out) < 1024, BF_USAGE, "the path %.80s... is too long", s->o->out);
        snprintf(out, 1024, "%s", s->o->out);
        return BF_OK;
    }
    out[0] = '\0';
    if (bf_samples_are_text(s->m)) return BF_OK;
    const char *slash = strrchr(s->model, '/');
    snprintf(folder, sizeof folder, "%.*ssamples", slash ? (int)(slash + 1 - s->model) : 0, s->model);
    BF_CHECK(strlen(folder) < 1000, BF_USAGE, "the path %.80s... is too long", folder);
    BF_TRY(bf_folder_make(folder, err));
    snprintf(out, 1024, "%.1000s/samples.%s", folder, s->m->packed ? "sdf" : s->m->schema ? "csv" : "png");
out:
    return st;
}

/* Rows of a table: new ones, or those of the file with gaps, filled. */
static bf_status write_csv(const sampling *s, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_model *m = s->m;
    const uint64_t rows = s->n / s->given.repeat;
    char *text = NULL;
    size_t size;
    double *value = NULL;
    BF_NEW(value, rows * m->dims);
    bf_table_values(m, s->x, rows, (uint32_t)s->given.repeat, s->seed, value);
    BF_TRY(s->partial ? bf_table_fill(m->schema, s->partial, value, rows, &text, &size, err)
                      : bf_table_write(m->schema, value, rows, &text, &size, err));
    BF_TRY(bf_file_write(path, text, size, err));
out:
    free(text);
    free(value);
    return st;
}

static bf_status write_samples(const sampling *s, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_format kind;
    const uint32_t row = s->n_classes > 1 ? (uint32_t)(s->n / s->n_classes) : 0; /* of one class */
    BF_TRY(bf_samples_format(path, &kind, err));
    switch (kind) {
    case BF_FORMAT_PNG: BF_TRY(bf_samples_png(s->m, path, s->x, s->n, row, err)); break;
    case BF_FORMAT_TXT: BF_TRY(bf_samples_txt(s->m, path, s->x, s->given.length, s->n, err)); break;
    case BF_FORMAT_CSV: BF_TRY(write_csv(s, path, err)); break;
    case BF_FORMAT_NPY: BF_TRY(bf_samples_npy(s->m, path, s->x, s->n, err)); break;
    default: BF_TRY(bf_samples_safetensors(s->m, path, s->x, s->n, s->seed, s->how.steps, err));
    }
out:
    return st;
}

/* The table with gaps. */
static bf_status open_partial(sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    bf_table t = {0};
    s->given = (bf_given){.repeat = 1};
    BF_CHECK(!s->o->mask && !s->o->hole && !s->o->lengths, BF_USAGE,
             "masks, holes and lengths are for pictures and texts, this model makes tables");
    if (!s->o->given || s->o->dry_run) goto out;
    BF_TRY(bf_table_read(s->o->given, s->m->schema, 0, &t, err));
    BF_TRY(bf_csv_open(s->o->given, &s->partial, err));
    s->given.cells = t.x;
    s->given.rows = t.rows;
    s->given.repeat = (uint64_t)(s->o->n > 0 ? s->o->n : 1);
    t.x = NULL;
out:
    bf_table_free(&t);
    return st;
}

/* Particles follow what is given to pictures and texts. */
static bf_status check_particles(const sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    if (s->how.particles <= 1) return BF_OK;
    BF_CHECK(!s->m->packed && !s->m->schema, BF_USAGE, "particles are for pictures and texts, this model makes %s",
             s->m->packed ? "molecules" : "tables, and its network is told what is given");
    BF_CHECK(s->given.cells, BF_USAGE, "particles follow what is given, and nothing is");
    BF_CHECK(s->how.mode == BF_SAMPLER_ANCESTRAL, BF_USAGE,
             "particles weigh messages about what is given, which the sampler ancestral has, and not %s",
             bf_sampler_mode_name(s->how.mode));
    BF_CHECK(!s->o->animation, BF_USAGE, "%s: an animation shows samples, not their particles", s->o->animation);

out:
    return st;
}

/* What is given, each row of it drawn `repeat` times, makes the samples. */
static bf_status read_given(sampling *s, bf_err *err)
{
    bf_status st = BF_OK;
    bf_given *g = &s->given;
    BF_TRY(s->m->schema ? open_partial(s, err) : bf_given_read(s->m, s->o, s->n, g, err));
    BF_TRY(check_particles(s, err));
    BF_CHECK(!g->length || s->m->classes.n == 0, BF_USAGE, "lengths of samples go with no labels");
    if (!g->cells) goto out;
    s->m->given = true;
    BF_CHECK(bf_mul_u64(g->rows, g->repeat, &s->n) && s->n <= UINT32_MAX, BF_USAGE,
             "%llu draws of %llu examples are more than 2^32 - 1", (unsigned long long)g->repeat,
             (unsigned long long)g->rows);
    s->batch = (uint32_t)BF_MIN(batch_of(s), s->n);
    BF_CHECK((uint64_t)BF_MAX(s->how.particles, 1) * s->n <= UINT32_MAX, BF_USAGE, "more than 2^32 - 1 particles");
out:
    return st;
}

static bf_status check_table_paths(const sampling *s, const char *out, bf_format kind, bf_err *err)
{
    bf_status st = BF_OK;
    const bool table = s->m->schema != NULL;
    BF_CHECK(table || kind != BF_FORMAT_CSV, BF_USAGE, "%s: this model makes no tables", out);
    BF_CHECK(!table || kind == BF_FORMAT_CSV || (kind == BF_FORMAT_NPY && !s->given.cells), BF_USAGE,
             "%s: this model makes tables, which go to .csv", out);
out:
    return st;
}

static bf_status check_paths(const sampling *s, const char *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_format kind;
    BF_CHECK(!s->o->live || bf_samples_are_text(s->m), BF_USAGE,
             "only texts can be watched live; of pictures, molecules and vectors --trajectory makes a film");
    if (s->o->animation && !s->m->packed) BF_TRY(bf_film_check(s->m, s->o->animation, err));
    if (!out[0]) goto out;
    if (s->m->packed) {
        if (s->o->animation) BF_TRY(bf_mol_forming_check(s->o->animation, err));
        return bf_mol_samples_format(out, err);
    }
    BF_TRY(bf_samples_format(out, &kind, err));
    BF_TRY(check_table_paths(s, out, kind, err));
    BF_CHECK(!bf_samples_are_text(s->m) || kind != BF_FORMAT_PNG, BF_USAGE,
             "%s: this model makes text, which goes to .txt, .npy or .safetensors", out);
    BF_CHECK(bf_samples_are_text(s->m) || kind != BF_FORMAT_TXT, BF_USAGE, "%s: this model does not make text", out);
    BF_CHECK(kind != BF_FORMAT_GIF, BF_USAGE,
             "%s: samples go to .png, .npy or .safetensors; the animation to --trajectory", out);
out:
    return st;
}

/* Molecules, and their file. */
static bf_status sample_molecules(sampling *s, bfncl_sample_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mol_sampling run = {.m = s->m,
                                 .sampler = s->sampler,
                                 .batch = s->batch,
                                 .n = s->n,
                                 .seed = s->seed,
                                 .how = &s->how,
                                 .scaffold = s->o->scaffold ? &s->scaffold : NULL,
                                 .docking = s->o->pocket ? &s->docking : NULL,
                                 .report = &s->report,
                                 .film = s->o->animation};
    const double start = bf_seconds();
    BF_TRY(bf_mol_sampling_run(&run, &s->molecules, err));
    r->seconds = bf_seconds() - start;
    bf_profiler_span(s->m->profiler, "sample", start, start + r->seconds);
    if (s->o->pocket) BF_TRY(bf_docking_judge(&s->docking, s->molecules, s->n, r, err));
    BF_TRY(bf_mol_samples_write(r->out, s->molecules, s->n, err));
out:
    return st;
}

/* Whoever watches. */
static bf_status on_call(void *user, bf_sampler *sampler, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    sampling *s = user;
    if (s->film) BF_TRY(bf_film_step(s->film, sampler, i, t, err));
    if (s->live.fn) BF_TRY(bf_live_step(&s->live, sampler, i, t, err));
out:
    return st;
}

/* Pictures, texts and other rows, and their files. */
static bf_status sample_rows(sampling *s, bfncl_sample_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(s->x, s->n * s->m->dims);
    bf_sampling run = {.m = s->m,
                       .sampler = s->sampler,
                       .batch = s->batch,
                       .n = s->n,
                       .seed = s->seed,
                       .how = &s->how,
                       .given = s->given.cells,
                       .rows = s->given.rows,
                       .repeat = s->given.repeat,
                       .label = s->label,
                       .report = &s->report};
    const int calls = s->how.evaluations;
    if (s->o->animation) {
        BF_TRY(bf_film_open(s->m, s->o->animation, s->batch, s->n, calls, &s->film, err));
    }
    if (s->o->live) BF_TRY(bf_live_open(&s->live, s->m, s->batch, s->n, calls, s->o, err));
    if (s->film || s->o->live) {
        run.on_step = on_call;
        run.user = s;
    }
    const double start = bf_seconds();
    BF_TRY(bf_sampling_run(&run, s->x, err));
    r->seconds = bf_seconds() - start;
    bf_profiler_span(s->m->profiler, "sample", start, start + r->seconds);
    if (s->film) {
        bf_film *film = s->film;
        s->film = NULL;
        BF_TRY(bf_film_close(film, err));
    }
    if (r->out[0])
        BF_TRY(write_samples(s, r->out, err));
    else
        BF_TRY(bf_samples_texts(s->m, s->x, s->given.length, s->n, &r->texts, err));
out:
    return st;
}

static bf_status sample(sampling *s, bfncl_sample_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_open_options open = {.path = s->o->model,
                                  .set = s->o->set,
                                  .n_set = s->o->n_set,
                                  .weights = s->o->weights,
                                  .device = &s->o->device,
                                  .config = s->o->config,
                                  .size = s->o->size,
                                  .dry_run = s->o->dry_run};
    bf_plan plan;
    bf_report_phase(&s->report, "compiling kernels", 0);
    BF_TRY(bf_model_open(&open, s->model, &s->m, err));
    if (s->o->length) BF_TRY(bf_model_shorten(s->m, (uint64_t)s->o->length, err));
    BF_TRY(resolve(s, err));
    BF_TRY(read_given(s, err));
    BF_TRY(resolve_labels(s, err));
    snprintf(r->device, sizeof r->device, "%s", bf_ctx_name(s->m->ctx));
    if (!s->o->dry_run) {
        BF_TRY(output_path(s, r->out, err));
        BF_TRY(check_paths(s, r->out, err));
        (void)bf_report_done(&s->report, 0, 0);
    }
    const double building = bf_seconds();
    BF_TRY(bf_sampling_new(s->m, &s->how, s->batch, s->o->dry_run, &s->sampler, &s->batch, &plan, err));
    bf_profiler_span(s->m->profiler, "plan, build kernels", building, bf_seconds());
    r->plan = bf_model_plan(s->m, &plan, s->batch);
    r->steps = (uint64_t)s->how.steps;
    r->evaluations = (uint64_t)s->how.evaluations;
    r->automatic = s->how.automatic;
    snprintf(r->weights, sizeof r->weights, "%s", s->o->weights ? s->o->weights : "ema");
    snprintf(r->sampler, sizeof r->sampler, "%s", bf_sampler_mode_name(s->how.mode));
    r->classes = s->classes[0] < s->m->classes.n ? s->n_classes : 0;
    r->guidance = s->m->guidance;
    if (s->o->dry_run) goto out;
    bf_report_phase(&s->report, "sampling", 0);
    BF_TRY(bf_profiler_resume(s->m->profiler, err));
    BF_TRY(s->m->packed ? sample_molecules(s, r, err) : sample_rows(s, r, err));
    BF_TRY(bf_profiler_end(s->m->profiler, "step", err));
    r->samples = s->partial ? s->given.rows : s->n;
out:
    return st;
}

bfncl_status bfncl_sample(const bfncl_sample_options *o, bfncl_sample_result *result, bfncl_error *caller_err)
{
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    bfncl_sample_result unused = {0}, *r = result ? result : &unused;
    sampling s = {.o = o, .report = {.fn = o->progress, .user = o->user}};
    memset(r, 0, sizeof *r);
    memset(err, 0, sizeof *err);
    bf_status st = sample(&s, r, err);
    bf_film_discard(s.film);
    bf_live_free(&s.live);
    free(s.classes);
    free(s.label);
    free(s.x);
    bf_given_free(&s.given);
    bf_csv_close(s.partial);
    if (s.molecules) bf_mol_free_all(s.molecules, s.n);
    bf_mol_free(&s.scaffold);
    bf_docking_free(&s.docking);
    bf_sampler_free(s.sampler);
    bf_sample_plan_free(&s.how);
    bf_model_free(s.m);
    bfncl_sample_result_free(&unused);
    return st;
}

void bfncl_sample_result_free(bfncl_sample_result *r)
{
    if (!r) return;
    for (char **text = r->texts; text && *text; text++) free(*text);
    free(r->texts);
    for (uint64_t k = 0; k < r->n_ligands; k++) free(r->ligands[k].smiles);
    free(r->ligands);
    r->texts = NULL;
    r->ligands = NULL;
    r->n_ligands = 0;
}
