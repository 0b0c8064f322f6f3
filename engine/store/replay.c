/* replay: newest sound image + log = the state. The one restart path: opening, checkpoints and audits all come through here. */
#include <time.h>
#include "store/parts.h"

#define GROW_NAP_NS 200000L

static bool stands_for(const kh_manifest *image, const kh_start *start)
{
    return image->time_ns == start->time_ns && memcmp(image->log_digest, start->log_digest, 32) == 0 &&
           memcmp(image->chain, start->chain, 32) == 0;
}

kh_err kh_replay_base(const kh_home *home, uint64_t max_height, bool map, kh_machine *m, kh_image_stand *ret,
                      uint64_t *ret_image_bytes, kh_store_report *report)
{
    uint64_t heights[16];
    uint32_t n = 0;
    kh_manifest manifest;
    kh_err err = kh_image_heights(home, heights, 16, &n);
    if (err != KH_OK) return err;
    for (uint32_t i = 0; i < n; i++) {
        if (heights[i] > max_height) continue;
        err = kh_machine_reserve(m);
        if (err == KH_OK) err = kh_image_load(home, heights[i], map, m, &manifest, report);
        if (err == KH_OK) err = kh_machine_start(m, home->secret);
        if (err == KH_OK && (kh_ledger_height(m->ledger) != heights[i] || kh_ledger_check(m->ledger) != manifest.ledger_check)) {
            char path[KH_PATH_MAX];
            kh_say(report, kh_image_path(home, heights[i], path), "byte 96: the running check is not the state's");
            err = KH_E_DAMAGED;
        }
        if (err == KH_OK && home->start.number == heights[i] && !stands_for(&manifest, &home->start)) {
            char path[KH_PATH_MAX];
            kh_say(report, kh_image_path(home, heights[i], path),
                   "byte 24: not the image of the entry that the directory begins behind");
            err = KH_E_DAMAGED;
        }
        if (err == KH_OK) {
            *ret = (kh_image_stand){.height = manifest.height, .time_ns = manifest.time_ns};
            memcpy(ret->log_digest, manifest.log_digest, 32);
            memcpy(ret->chain, manifest.chain, 32);
            *ret_image_bytes = manifest.file_sz;
            return KH_OK;
        }
        kh_machine_release(m);
        /* An image is derived from the log: one that is gone, rotten or of another version is passed over, and the report says
         * so. */
        if (err != KH_E_DAMAGED && err != KH_E_NOT_FOUND && err != KH_E_VERSION) return err;
    }
    memset(ret, 0, sizeof *ret);
    *ret_image_bytes = 0;
    if (home->start.number != 0) {
        kh_say(report, home->dir,
               "no sound image is left; the directory begins behind height %llu, and nothing before it can be replayed",
               (unsigned long long)home->start.number);
        return KH_E_DAMAGED;
    }
    err = kh_machine_reserve(m);
    if (err == KH_OK) err = kh_machine_start(m, home->secret);
    return err;
}

typedef struct tail {
    kh_machine *m;
    kh_image_stand *stand;
    const kh_replay_each *each;
    uint64_t ops;
    bool parted;
} tail;

static kh_err step(void *ctx, const kh_entry *entry)
{
    tail *t = ctx;
    if (entry->height <= t->stand->height) { /* the entry that the image stands for: it must be this log's */
        t->parted = memcmp(entry->digest, t->stand->log_digest, 32) != 0;
        return t->parted ? KH_E_DAMAGED : KH_OK;
    }
    const kh_sink *sink = t->each != NULL && t->each->before != NULL ? t->each->before(t->each->ctx, entry) : &kh_sink_none;
    kh_err err = sink != NULL ? kh_machine_apply(t->m, entry, sink) : KH_E_NOMEM;
    if (err != KH_OK) return err;
    t->ops += entry->op_cnt;
    t->stand->height = entry->height;
    t->stand->time_ns = entry->time_ns;
    memcpy(t->stand->log_digest, entry->digest, 32);
    return t->each != NULL && t->each->after != NULL ? t->each->after(t->each->ctx, entry) : KH_OK;
}

kh_err kh_replay_tail(kh_log *log, kh_machine *m, kh_image_stand *stand, uint64_t upto, const kh_replay_each *each,
                      uint64_t *ret_ops, kh_store_report *report)
{
    kh_log_open_report log_report = {0};
    tail t = {m, stand, each, 0, false};
    if (upto == 0) {
        *ret_ops = 0;
        return KH_OK;
    }
    uint64_t from = stand->height != 0 ? stand->height : 1;
    kh_err err = kh_log_replay(log, from, upto, step, &t, &log_report);
    if (err == KH_E_DAMAGED) kh_say(report, log_report.where, "%s", t.parted ? "the image is not of this log" : log_report.why);
    if (err == KH_E_NOMEM) kh_say(report, NULL, "this machine has not enough memory for the state");
    if (err == KH_OK && stand->height < upto) {
        kh_say(report, NULL, "the log ends at height %llu, before %llu", (unsigned long long)stand->height,
               (unsigned long long)upto);
        err = KH_E_DAMAGED;
    }
    if (err == KH_OK) *ret_ops = t.ops;
    return err;
}

static void *grow(void *arg)
{
    kh_replay_growth *g = arg;
    const struct timespec nap = {0, GROW_NAP_NS};
    while (!atomic_load_explicit(&g->stop, memory_order_relaxed)) {
        kh_machine_ahead(g->machine);
        (void)nanosleep(&nap, NULL);
    }
    return NULL;
}

void kh_replay_grow(kh_replay_growth *g, kh_machine *m)
{
    g->machine = m;
    atomic_store(&g->stop, false);
    g->runs = pthread_create(&g->thread, NULL, grow, g) == 0;
}

void kh_replay_grown(kh_replay_growth *g)
{
    atomic_store(&g->stop, true);
    if (g->runs) (void)pthread_join(g->thread, NULL);
    g->runs = false;
}
