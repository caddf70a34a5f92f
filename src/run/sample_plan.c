#include "run/sample_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/size.h"

#define ETA_REAL 0.01 /* first times of the releases (spec 2.12) */
#define ETA_CLASSES 0.001

enum { GRID_AUTO, GRID_UNIFORM, GRID_SHIFTED, GRID_EARLY };

/* The numbers of a list such as "0.01, 0.2, 1" into p->times. */
static bf_status parse_times(const char *text, bf_sample_plan *p, bf_err *err)
{
    bf_status st = BF_OK;
    char word[40];
    int n = 0, room = 1;
    for (const char *c = text; *c; c++) room += *c == ',';
    BF_NEW(p->times, room);
    for (const char *c = text; n < room; n++) {
        c += strspn(c, " ");
        const size_t length = strcspn(c, ", ");
        BF_CHECK(length > 0 && length < sizeof word, BF_USAGE,
                 "sample.times: '%s' is no list of times such as \"0, 0.25, 0.5, 1\"", text);
        memcpy(word, c, length);
        word[length] = '\0';
        BF_TRY(bf_parse_double("sample.times", word, 0.0, 1.0, &p->times[n], err));
        c += length + strspn(c + length, " ");
        BF_CHECK(*c == (n + 1 < room ? ',' : '\0'), BF_USAGE,
                 "sample.times: '%s' is no list of times such as \"0, 0.25, 0.5, 1\"", text);
        c++;
    }
    BF_CHECK(n >= 2, BF_USAGE, "sample.times: give two times or more, of which the last is 1");
    p->steps = n - 1;
out:
    return st;
}

static bool all_classes(const bf_hybrid *h)
{
    for (int g = 0; g < h->groups; g++)
        if (h->group[g].flow.kind != BF_FLOW_CATEGORICAL) return false;
    return true;
}

/* Solvers begin after 0, and real values gain from short steps there (README, "Samplers"). */
static int grid_of(const bf_config *c, const bf_hybrid *h, bf_sampler_mode mode)
{
    if (c->sample.grid != GRID_AUTO) return c->sample.grid;
    if (!bf_sampler_solves(mode)) return GRID_UNIFORM;
    return all_classes(h) ? GRID_SHIFTED : GRID_EARLY;
}

static bf_status lay_times(const bf_config *c, const bf_hybrid *h, bf_sample_plan *p, bf_err *err)
{
    bf_status st = BF_OK;
    const int grid = grid_of(c, h, p->mode);
    const double eta = c->sample.eta > 0.0 ? c->sample.eta : all_classes(h) ? ETA_CLASSES : ETA_REAL;
    if (!p->times) {
        BF_NEW(p->times, p->steps + 1);
        if (grid == GRID_EARLY)
            bf_sampler_grid_early(eta, p->steps, p->times);
        else
            bf_sampler_grid(grid == GRID_SHIFTED ? eta : 0.0, p->steps, p->times);
    }
    BF_TRY(bf_sampler_check_times(p->mode, p->times, p->steps, err));
    BF_CHECK(c->sample.start == 0 || p->times[0] <= 0.0, BF_USAGE,
             "sample.start random is the state at t = 0, and %s begins at t = %g: choose sample.start zero, or a mode "
             "and a grid that begin at 0 (ancestral, end_back, sde1 or sde2; uniform)",
             bf_sampler_mode_name(p->mode), p->times[0]);
out:
    return st;
}

bf_status bf_sample_plan_new(const bf_config *c, const bf_hybrid *h, int64_t steps, bf_sample_plan *out, bf_err *err)
{
    bf_status st = BF_OK;
    *out = (bf_sample_plan){.steps = (int)(steps > 0 ? steps : c->sample.steps),
                            .automatic = c->sample.mode == BF_SAMPLER_MODES,
                            .choose = (bf_sampler_choose)c->sample.choose};
    BF_CHECK(steps >= 0, BF_USAGE, "the sampler takes 1 step or more");
    if (c->sample.times[0]) {
        BF_CHECK(c->sample.grid == GRID_AUTO, BF_USAGE, "give the times of the steps or a grid, not both");
        BF_TRY(parse_times(c->sample.times, out, err));
        BF_CHECK(steps <= 0 || steps == out->steps, BF_USAGE, "%d times make %d steps, and %lld are asked for",
                 out->steps + 1, out->steps, (long long)steps);
    }
    out->mode = out->automatic ? bf_sampler_auto(out->steps) : (bf_sampler_mode)c->sample.mode;
    if (out->automatic && out->times && out->times[0] <= 0.0) out->mode = BF_SAMPLER_SDE2; /* ode2 begins later */
    if (c->sample.last > 0)
        out->last = (bf_sampler_last)(c->sample.last - 1);
    else
        out->last = bf_sampler_solves(out->mode) ? BF_LAST_PREDICTION : BF_LAST_CALL;
    out->evaluations = bf_sampler_evaluations(out->mode, out->last, out->steps);
    BF_TRY(lay_times(c, h, out, err));
out:
    return st;
}

void bf_sample_plan_free(bf_sample_plan *p)
{
    free(p->times);
    p->times = NULL;
}
