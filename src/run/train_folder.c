/* The run folder: checkpoints that survive crashes. run/train.h */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "run/folder.h"
#include "run/train.h"

bf_status bf_run_folder_init(bf_run_folder *f, const char *root, bf_err *err)
{
    bf_status st = BF_OK;
    size_t n = strlen(root);
    while (n > 1 && root[n - 1] == '/') n--;
    BF_CHECK(n > 0 && n < 900, BF_USAGE, "\"%.80s\" is no usable run folder", root);
    snprintf(f->root, sizeof f->root, "%.*s", (int)n, root);
    BF_TRY(bf_folder_path(f->root, "config.yaml", f->config, err));
    BF_TRY(bf_folder_path(f->root, "train.jsonl", f->log, err));
    BF_TRY(bf_folder_path(f->root, "last.safetensors", f->last, err));
    BF_TRY(bf_folder_path(f->root, "previous.safetensors", f->previous, err));
    BF_TRY(bf_folder_path(f->root, "best.safetensors", f->best, err));
    BF_TRY(bf_folder_path(f->root, "loss.svg", f->chart, err));
out:
    return st;
}

bf_status bf_run_folder_start(const bf_run_folder *f, bf_err *err)
{
    bf_status st = BF_OK;
    char old[1100];
    const bool used = bf_file_exists(f->last) || bf_file_exists(f->best) || bf_file_exists(f->log);
    for (int i = 1; used && i < 100000; i++) {
        snprintf(old, sizeof old, "%s.%d", f->root, i);
        if (bf_file_exists(old)) continue;
        if (rename(f->root, old) != 0) {
            st = bf_fail(err, BF_USAGE, "%s holds a run already and cannot be renamed: %s", f->root, strerror(errno));
            bf_hint(err, "use --resume to go on with it, or another folder with --out");
            goto out;
        }
        bf_log(BFNCL_LOG_WARN, "%s held a run already; it is now %s (--resume would have continued it)", f->root, old);
        break;
    }
    BF_TRY(bf_folder_make(f->root, err));
out:
    return st;
}

bf_status bf_run_folder_save(const bf_run_folder *f, const bf_model *m, bf_err *err)
{
    /* A second name for the checkpoint that is about to be replaced. If that fails there is only one: no reason to
     * stop.
     */
    if (bf_file_exists(f->last)) {
        (void)unlink(f->previous);
        (void)!link(f->last, f->previous);
    }
    return bf_model_save(m, f->last, true, err);
}

/* Types, words, ranges and maps of all columns are the same. */
static bf_status same_columns(const bf_schema *a, const bf_schema *b, bool *same, bf_err *err)
{
    bf_status st = BF_OK;
    char *now = NULL, *then = NULL;
    BF_TRY(bf_schema_text(a, &now, err));
    BF_TRY(bf_schema_text(b, &then, err));
    *same = strcmp(now, then) == 0;
out:
    free(now);
    free(then);
    return st;
}

/* What makes a checkpoint unusable for this run although nothing is damaged. */
static bf_status same_experiment(const bf_model *m, const bf_model_file *f, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *a = &m->config, *b = &f->config;
    const bf_flow now = bf_setup_flow(a), then = bf_setup_flow(b);
    bool same = memcmp(m->shape, f->shape, sizeof m->shape) == 0 && now.kind == then.kind &&
                now.output == then.output && now.predict == then.predict && now.bins == then.bins &&
                now.classes == then.classes && now.min_variance == then.min_variance &&
                now.max_sqrt_beta == then.max_sqrt_beta && now.schedule == then.schedule &&
                memcmp(&a->net, &b->net, sizeof a->net) == 0 && strcmp(a->data.vocabulary, b->data.vocabulary) == 0 &&
                a->data.transform == b->data.transform;
    if (same && m->schema) BF_TRY(same_columns(m->schema, f->schema, &same, err));
    if (!same) {
        st =
            bf_fail(err, BF_FILE, "%s was made with another data shape, flow or network than this configuration", path);
        bf_hint(err, "resume with the configuration of the run (leave it out: config.yaml of the folder is used)");
        goto out;
    }
    if (bf_config_hash(a) != bf_config_hash(b))
        bf_log(BFNCL_LOG_WARN, "the configuration differs from the one %s was trained with so far", path);
out:
    return st;
}

static bf_status load_one(const char *path, bf_model *m, bool *mismatch, bf_err *err)
{
    static const bf_model_part parts[] = {
        {"net.", BF_SET_VALUE}, {"ema.", BF_SET_EMA}, {"adam_m.", BF_SET_M}, {"adam_v.", BF_SET_V}};
    bf_status st = BF_OK;
    bf_model_file f = {0};
    bf_norms norms = {.n = 0};
    *mismatch = false;
    BF_TRY(bf_model_file_open(path, &f, err));
    BF_CHECK(f.checkpoint, BF_FILE, "%s: a model without optimiser state, not a checkpoint", path);
    st = same_experiment(m, &f, path, err);
    *mismatch = st != BF_OK;
    BF_TRY(st);
    BF_TRY(bf_norms_read(f.st, &norms, err));
    BF_TRY(bf_model_load(m, &f, parts, BF_COUNT(parts), err));
    BF_TRY(bf_clip_queue_put(m, &norms, err));
    m->state = f.state;
    if (m->config.train.lr != f.config.train.lr) m->state.plateau.rate = m->config.train.lr; /* given anew */
out:
    bf_norms_free(&norms);
    bf_model_file_close(&f);
    return st;
}

bf_status bf_run_folder_load(const bf_run_folder *f, bf_model *m, bool *found, bf_err *err)
{
    const char *const paths[] = {f->last, f->previous};
    char bad[1100];
    bool mismatch;
    *found = false;
    for (size_t i = 0; i < BF_COUNT(paths); i++) {
        if (!bf_file_exists(paths[i])) continue;
        bf_status st = load_one(paths[i], m, &mismatch, err);
        *found = st == BF_OK;
        if (st != BF_FILE || mismatch) return st;
        snprintf(bad, sizeof bad, "%s.bad", paths[i]);
        if (rename(paths[i], bad) != 0)
            return bf_fail(err, BF_RUNTIME, "%s is damaged and cannot be renamed: %s", paths[i], strerror(errno));
        bf_log(BFNCL_LOG_WARN, "%s; renamed to %s", err->message, bad);
    }
    return BF_OK;
}
