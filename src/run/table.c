#include "run/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/philox.h"
#include "base/size.h"

#define CATEGORIES_BETA 20.0 /* K beta(1) */

/* ---- flows ------------------------------------------------------------------------------------------------------- */

static bool as_classes(const bf_config *c)
{
    return c->flow.kind == BF_CONFIG_CATEGORICAL;
}

/* Settings that are the same for all columns come from the configuration. */
static bf_group group_of(const bf_config *c, const bf_column_group *columns)
{
    static const char *const names[] = {
        [BF_COLUMN_CONTINUOUS] = "continuous", [BF_COLUMN_BINS] = "levels", [BF_COLUMN_CATEGORICAL] = "categories"};
    bf_group one = {.dims = columns->count, .weight = 1.0};
    const bool classes = columns->type == BF_COLUMN_CATEGORICAL || (columns->type == BF_COLUMN_BINS && as_classes(c));
    bf_config own = *c;
    own.flow.kind = classes                                 ? BF_CONFIG_CATEGORICAL
                    : columns->type == BF_COLUMN_CONTINUOUS ? BF_CONFIG_CONTINUOUS
                                                            : BF_CONFIG_DISCRETISED;
    if (classes || (own.flow.kind == BF_CONFIG_DISCRETISED && own.flow.output == BF_CONFIG_OUT_DELTA))
        own.flow.output = BF_CONFIG_OUT_AUTO;
    one.flow = bf_setup_flow(&own);
    if (classes) {
        one.flow.classes = (int)columns->levels;
        one.flow.max_sqrt_beta = sqrt(CATEGORIES_BETA / columns->levels);
    } else if (columns->type == BF_COLUMN_BINS) {
        one.flow.bins = (int)columns->levels;
        one.flow.min_variance = 0.25 / ((double)columns->levels * columns->levels);
        one.flow.min_sd = -1; /* 1 / (5 bins) */
    }
    if (columns->levels)
        snprintf(one.name, sizeof one.name, "%s.%u", names[columns->type], columns->levels);
    else
        snprintf(one.name, sizeof one.name, "%s", names[columns->type]);
    return one;
}

bf_status bf_table_hybrid(const bf_config *c, const bf_schema *s, bf_hybrid *out, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_hybrid_new((int)s->groups, out, err));
    for (uint32_t i = 0; i < s->groups; i++) out->group[i] = group_of(c, &s->group[i]);
out:
    return st;
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

void bf_table_hold(const bf_model *m, const float *cells, float *fed, float *hold, float *condition)
{
    const uint32_t dims = m->schema->dims;
    uint8_t given[BF_CSV_COLUMNS] = {0};
    float open[BF_CSV_COLUMNS] = {0};
    for (uint32_t p = 0; p < dims; p++) {
        given[p] = cells && !isnan(cells[p]);
        open[p] = given[p] ? cells[p] : 0; /* any value: what is drawn is known, but not given */
    }
    bf_table_feed(m->schema, open, given, as_classes(&m->config), fed);
    for (uint32_t p = 0; p < dims; p++) hold[p] = given[p] ? fed[p] : NAN;
    memcpy(condition, fed + dims, (size_t)(m->row - dims) * sizeof *condition);
}

/* A level or category as the sampler has it, as its number: centre of a bin, or class. */
static float level_of(const bf_model *m, const bf_column *c, float v)
{
    if (c->type == BF_COLUMN_CONTINUOUS || c->type == BF_COLUMN_CATEGORICAL || as_classes(&m->config)) return v;
    return (float)floor(((double)v + 1) / 2 * c->levels);
}

/* Column at place p of one row: its draws at x, `pitch` apart. */
static double reduce(const bf_model *m, uint32_t p, const float *x, uint32_t draws, uint64_t seed, uint64_t first)
{
    const bf_column *c = &m->schema->column[m->schema->by_place[p]];
    uint32_t count[BF_COLUMN_WORDS] = {0}, most = 0;
    double sum = 0;
    for (uint32_t d = 0; d < draws; d++) {
        const double u = (double)bf_philox_uniform(seed, p, (uint32_t)(first + d), 0, BF_STREAM_CELL);
        const double v = bf_column_value(c, level_of(m, c, x[(uint64_t)d * m->dims + p]), u);
        sum += v;
        if (c->type == BF_COLUMN_CATEGORICAL && ++count[(uint32_t)v] > count[most]) most = (uint32_t)v;
    }
    if (c->type == BF_COLUMN_CATEGORICAL) return most;
    return c->type == BF_COLUMN_INTEGER ? floor(sum / draws + 0.5) : sum / draws;
}

void bf_table_values(const bf_model *m, const float *sampled, uint64_t rows, uint32_t draws, uint64_t seed,
                     double *value)
{
    for (uint64_t r = 0; r < rows; r++)
        for (uint32_t p = 0; p < m->schema->dims; p++)
            value[r * m->dims + p] = reduce(m, p, sampled + r * draws * m->dims, draws, seed, r * draws);
}
