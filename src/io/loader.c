#include "io/loader.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct slot {
    bf_rows rows;
    uint64_t position;
    bool full;
} slot;

/* Two slots used in turn: the caller holds one while the thread fills the other. */
struct bf_loader {
    const bf_dataset *ds;
    uint32_t rows;
    slot slots[2];
    pthread_t thread;
    pthread_mutex_t lock; /* guards `full`, `stop`, `status`, `err` */
    pthread_cond_t changed;
    unsigned started; /* 1 lock, 2 condition, 4 thread: what has to be undone */
    bool stop;
    bf_status status; /* of the thread; not BF_OK: it has ended */
    bf_err err;
    int held; /* slot that the caller has, -1 none yet */
    int next; /* slot that the caller gets next */
};

static void *run(void *arg)
{
    bf_loader *l = arg;
    uint64_t position = l->slots[0].position;
    for (int i = 0;; i = !i, position += l->rows) {
        slot *s = &l->slots[i];
        bf_err err;
        pthread_mutex_lock(&l->lock);
        while (s->full && !l->stop) pthread_cond_wait(&l->changed, &l->lock);
        bool stop = l->stop;
        pthread_mutex_unlock(&l->lock);
        if (stop) return NULL;
        bf_status st = bf_dataset_train_rows(l->ds, position, l->rows, &s->rows, &err);
        pthread_mutex_lock(&l->lock);
        s->position = position;
        s->full = st == BF_OK;
        l->status = st;
        if (st != BF_OK) l->err = err;
        pthread_cond_signal(&l->changed);
        pthread_mutex_unlock(&l->lock);
        if (st != BF_OK) return NULL;
    }
}

bf_status bf_loader_start(const bf_dataset *ds, uint64_t first, uint32_t rows, bf_loader **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_dataset_info info = bf_dataset_get_info(ds);
    bf_loader *l = NULL;
    BF_CHECK(rows > 0, BF_USAGE, "data loader: a batch needs at least one row");
    BF_NEW(l, 1);
    l->ds = ds;
    l->rows = rows;
    l->held = -1;
    l->slots[0].position = first;
    for (int i = 0; i < 2; i++) {
        bf_rows *r = &l->slots[i].rows;
        BF_NEW(r->index, rows);
        if (info.values) BF_NEW(r->values, rows * info.dims);
        if (info.classes > 0) BF_NEW(r->classes, rows * info.dims);
    }
    BF_CHECK(pthread_mutex_init(&l->lock, NULL) == 0, BF_RUNTIME, "data loader: cannot make a lock");
    l->started |= 1;
    BF_CHECK(pthread_cond_init(&l->changed, NULL) == 0, BF_RUNTIME, "data loader: cannot make a condition");
    l->started |= 2;
    BF_CHECK(pthread_create(&l->thread, NULL, run, l) == 0, BF_RUNTIME, "data loader: cannot start a thread");
    l->started |= 4;
    *out = l;
    l = NULL;
out:
    bf_loader_stop(l);
    return st;
}

bf_status bf_loader_next(bf_loader *l, bf_rows *batch, uint64_t *position, bf_err *err)
{
    bf_status st = BF_OK;
    slot *s = &l->slots[l->next];
    pthread_mutex_lock(&l->lock);
    if (l->held >= 0) {
        l->slots[l->held].full = false;
        l->held = -1;
        pthread_cond_signal(&l->changed);
    }
    while (!s->full && l->status == BF_OK) pthread_cond_wait(&l->changed, &l->lock);
    if (s->full) {
        *batch = s->rows;
        if (position != NULL) *position = s->position;
        l->held = l->next;
        l->next = !l->next;
    } else {
        *err = l->err;
        st = l->status;
    }
    pthread_mutex_unlock(&l->lock);
    return st;
}

void bf_loader_stop(bf_loader *l)
{
    if (l == NULL) return;
    if (l->started & 4) {
        pthread_mutex_lock(&l->lock);
        l->stop = true;
        pthread_cond_signal(&l->changed);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    if (l->started & 2) pthread_cond_destroy(&l->changed);
    if (l->started & 1) pthread_mutex_destroy(&l->lock);
    for (int i = 0; i < 2; i++) {
        free(l->slots[i].rows.index);
        free(l->slots[i].rows.values);
        free(l->slots[i].rows.classes);
    }
    free(l);
}
