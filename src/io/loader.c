#include "io/loader.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct slot {
    float *blocks;
    uint64_t position, next;
    bool full;
} slot;

/* Two slots used in turn: the caller holds one while the thread fills the other. */
struct bf_loader {
    const bf_dataset *ds;
    uint64_t parts, items;
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
    for (int i = 0;; i = !i) {
        slot *s = &l->slots[i];
        bf_err err;
        pthread_mutex_lock(&l->lock);
        while (s->full && !l->stop) pthread_cond_wait(&l->changed, &l->lock);
        bool stop = l->stop;
        pthread_mutex_unlock(&l->lock);
        if (stop) return NULL;
        uint64_t next = position;
        bf_status st = bf_dataset_train_block(l->ds, position, l->parts, l->items, s->blocks, &next, &err);
        pthread_mutex_lock(&l->lock);
        s->position = position;
        s->next = position = next;
        s->full = st == BF_OK;
        l->status = st;
        if (st != BF_OK) l->err = err;
        pthread_cond_signal(&l->changed);
        pthread_mutex_unlock(&l->lock);
        if (st != BF_OK) return NULL;
    }
}

bf_status bf_loader_start(const bf_dataset *ds, uint64_t first, uint64_t parts, uint64_t items, bf_loader **out,
                          bf_err *err)
{
    bf_status st = BF_OK;
    bf_loader *l = NULL;
    BF_CHECK(parts > 0 && items > 0, BF_USAGE, "data loader: a batch needs at least one row");
    BF_NEW(l, 1);
    l->ds = ds;
    l->parts = parts;
    l->items = items;
    l->held = -1;
    l->slots[0].position = first;
    for (int i = 0; i < 2; i++) BF_NEW(l->slots[i].blocks, parts * bf_dataset_block(ds, items));
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

bf_status bf_loader_next(bf_loader *l, const float **blocks, uint64_t *position, uint64_t *next, bf_err *err)
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
        *blocks = s->blocks;
        *next = s->next;
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
    for (int i = 0; i < 2; i++) free(l->slots[i].blocks);
    free(l);
}
