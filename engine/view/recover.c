/* recover: a view from what is on its disk: the newest snapshot, then the segments behind it. */
#include <stdio.h>
#include <stdlib.h>
#include "view/parts.h"

typedef struct names {
    uint32_t *of, cnt, cap;
    kh_err err;
} names;

static void take_name(void *ctx, const char *name)
{
    names *all = ctx;
    char *end, again[32];
    unsigned long n = strtoul(name, &end, 16);
    if (n == 0 || n > UINT32_MAX || strcmp(end, ".view") != 0) return;
    kh_view_segment_name((uint32_t)n, again);
    if (strcmp(again, name) != 0) return;
    if (n > KH_VIEW_SEGMENTS_MAX) { /* no two have one name: so the list is bounded, too */
        all->err = KH_E_FULL;
        return;
    }
    if (all->cnt == all->cap) {
        uint32_t cap = all->cap == 0 ? 64 : all->cap * 2;
        uint32_t *more = realloc(all->of, cap * sizeof *more);
        if (more == NULL) {
            all->err = KH_E_NOMEM;
            return;
        }
        all->of = more;
        all->cap = cap;
    }
    all->of[all->cnt++] = (uint32_t)n;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* replay_one takes a record over: its package goes on where the view stands. */
static kh_err replay_one(kh_view *v, kh_view_place place, const uint8_t *text, size_t n)
{
    kh_package package;
    if (n < KH_VIEW_TEXT_HEAD_SZ) return KH_E_DAMAGED;
    place.height = kh_load64(text);
    place.time_ns = kh_load64(text + 8);
    place.size = (uint32_t)(n - KH_VIEW_TEXT_HEAD_SZ);
    if (place.height <= v->height) return KH_OK; /* written twice, a write having failed */
    kh_err err = kh_package_read(text + KH_VIEW_TEXT_HEAD_SZ, place.size, v->chain, &package);
    if (err != KH_OK) return err == KH_E_NOMEM ? err : KH_E_DAMAGED;
    if (package.count_before > v->count && kh_view_may_begin(v)) kh_view_begin(v, &package);
    bool goes_on = package.party == v->options.party && package.height == place.height && package.count_before == v->count &&
                   memcmp(package.head_before, v->head, 32) == 0;
    err = goes_on ? kh_view_apply(v, &package, place.time_ns) : KH_E_DAMAGED;
    if (err == KH_OK) err = kh_view_place_add(v, &place);
    if (err == KH_OK) v->saved_cnt = v->place_cnt;
    kh_package_free(&package);
    return err;
}

static kh_err replay(kh_view *v, uint32_t segment, uint64_t *ret_at)
{
    char name[32];
    kh_view_segment file;
    kh_view_segment_name(segment, name);
    kh_err err = kh_view_file_open(v, name, &file);
    if (err != KH_OK) return err == KH_E_AGAIN ? KH_OK : err; /* made, and nothing written */
    uint64_t at = KH_VIEW_HEAD_SZ, number = 0;
    for (uint64_t next; err == KH_OK; at = next, number++) {
        uint8_t *text = NULL;
        size_t n = 0;
        err = kh_view_record_read(v, &file, at, number, &text, &n, &next);
        if (err == KH_OK) err = replay_one(v, (kh_view_place){.offset = at, .number = number, .segment = segment}, text, n);
        free(text);
        if (err == KH_OK) v->since_snapshot += n;
    }
    *ret_at = at;
    kh_view_file_close(v, &file);
    /* What breaks off was never told to be on disk; whether it lacks shows where the next segment goes on. */
    return err == KH_E_NOT_FOUND || err == KH_E_AGAIN ? KH_OK : err;
}

/* Where a snapshot's view begins its first package says. */
static kh_err find_beginning(kh_view *v)
{
    kh_package package;
    uint8_t *p = NULL;
    size_t n = 0;
    uint64_t time_ns;
    if (kh_kept_base(v->options.kept) == 0) return KH_OK;
    v->begins = v->count;
    if (v->place_cnt == 0) return KH_OK;
    kh_err err = kh_view_package_at(v, v->places[0].height, &p, &n, &time_ns);
    if (err == KH_OK && kh_package_read(p, n, v->chain, &package) != KH_OK) err = KH_E_DAMAGED;
    else if (err == KH_OK) {
        v->begins = package.count_before;
        kh_package_free(&package);
    }
    free(p);
    return err == KH_E_NOT_FOUND ? KH_E_DAMAGED : err;
}

/* open_with: nothing that was taken is here, or it is read from the first segment on. */
static kh_err open_with(kh_view *v, char *why, size_t cap)
{
    if (!kh_view_opening_said(v)) return KH_OK;
    kh_err err = kh_view_opening_take(v, why, cap);
    return err == KH_E_NOT_FOUND ? KH_OK : err;
}

kh_err kh_view_recover(kh_view *v, char *why, size_t cap)
{
    const kh_disk *d = v->options.disk;
    names all = {0};
    uint32_t covered = 0;
    uint64_t at = 0;
    bool fresh = false;
    char path[512];
    kh_err err = d->make_dir(d->self, v->dir);
    if (err == KH_E_EXISTS) err = KH_OK;
    if (err == KH_OK) err = d->list(d->self, kh_view_path(v, "", path), take_name, &all);
    if (err == KH_OK) err = all.err;
    if (err == KH_E_FULL) {
        (void)snprintf(why, cap, "%s: a segment above %08x, the highest that there may be", v->dir, KH_VIEW_SEGMENTS_MAX);
        free(all.of);
        return err;
    }
    if (err == KH_OK) {
        err = kh_view_snapshot_load(v, &covered);
        if (err == KH_OK) err = find_beginning(v);
        else if (err == KH_E_NOT_FOUND) {
            err = open_with(v, why, cap);
            fresh = v->opened;
        }
    }
    if (err == KH_E_FORMAT) {
        free(all.of);
        return err;
    }
    if (all.cnt > 0) qsort(all.of, all.cnt, sizeof *all.of, by_number);
    uint32_t segment = 0;
    for (uint32_t i = 0; i < all.cnt && err == KH_OK; i++) {
        segment = v->last_segment = all.of[i];
        if (segment > covered) err = replay(v, segment, &at);
    }
    v->counts.durable_height = v->height;
    free(all.of);
    /* Where it cannot be written now, the opening is read again at the next start. */
    if (err == KH_OK && fresh && kh_view_snapshot_make(v) == KH_OK) v->since_snapshot = 0;
    if (err != KH_OK)
        (void)snprintf(why, cap, "%s: segment %08x at byte %llu: %s", v->dir, segment, (unsigned long long)at, kh_err_text(err));
    return err;
}
