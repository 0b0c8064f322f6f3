/* join_take: DIR/joined takes the place of what was there (join.h says in which steps). Each step leaves what it has done to be
 * seen by the next start, and nothing that is new goes away with what is old. */
#include <stdio.h>
#include <stdlib.h>
#include "states/join.h"

#define DEPTH 6u /* of folders; a data directory has three */

/* ---- folders ---- */

typedef struct names {
    char (*all)[256];
    uint32_t cnt, cap;
    bool failed;
} names;

static void note(void *ctx, const char *name)
{
    names *n = ctx;
    if (n->cnt == n->cap) {
        uint32_t cap = n->cap != 0 ? 2 * n->cap : 16;
        char(*more)[256] = realloc(n->all, cap * sizeof *more);
        if (more == NULL) {
            n->failed = true;
            return;
        }
        n->all = more;
        n->cap = cap;
    }
    n->failed |= strlen(name) >= sizeof n->all[0];
    if (!n->failed) (void)snprintf(n->all[n->cnt++], sizeof n->all[0], "%s", name);
}

static kh_err list(const kh_disk *d, const char *path, names *ret)
{
    kh_err err = d->list(d->self, path, note, ret);
    return err == KH_OK && ret->failed ? KH_E_NOMEM : err;
}

static bool has(const names *n, const char *name)
{
    for (uint32_t i = 0; i < n->cnt; i++)
        if (strcmp(n->all[i], name) == 0) return true;
    return false;
}

static kh_err clear(const kh_disk *d, const char *path, uint32_t depth)
{
    names inside = {0};
    kh_err err = d->remove(d->self, path);
    if (err == KH_OK || err == KH_E_NOT_FOUND) return KH_OK;
    kh_err listed = depth < DEPTH ? list(d, path, &inside) : err;
    for (uint32_t i = 0; i < inside.cnt && listed == KH_OK; i++) {
        char below[1024];
        int n = snprintf(below, sizeof below, "%s/%s", path, inside.all[i]);
        listed = n > 0 && (size_t)n < sizeof below ? clear(d, below, depth + 1) : KH_E_ARG;
    }
    free(inside.all);
    return listed == KH_OK ? d->remove(d->self, path) : listed;
}

kh_err kh_join_clear(const kh_disk *disk, const char *path) { return clear(disk, path, 0); }

/* ---- the place of the old ---- */

/* What a store and a hub have in DIR, but for who holds it and the regulator's look-ups, which stay. `format` first: without it
 * DIR is no data directory. */
static const char *const old[] = {"format", "start", "secret", "head", "back", "log", "journal", "image", "outputs"};

static kh_err clear_old(const kh_disk *d, const char *dir)
{
    char path[1024];
    kh_err err = KH_OK;
    for (size_t i = 0; i < sizeof old / sizeof old[0] && err == KH_OK; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, old[i]);
        err = kh_join_clear(d, path);
        if (err == KH_OK && i == 0) err = d->sync_dir(d->self, dir);
    }
    return err == KH_OK ? d->sync_dir(d->self, dir) : err;
}

static kh_err move(const kh_disk *d, const char *dir, const char *below, const char *name)
{
    char from[1024], to[1024];
    (void)snprintf(from, sizeof from, "%s/joined.moves/%s%s", dir, below, name);
    (void)snprintf(to, sizeof to, "%s/%s", dir, name);
    kh_err err = d->rename(d->self, from, to);
    return err == KH_E_NOT_FOUND ? KH_OK : err; /* it was moved before */
}

static kh_err move_all(const kh_disk *d, const char *dir)
{
    char path[1024];
    names store = {0}, there = {0};
    (void)snprintf(path, sizeof path, "%s/joined.moves/store", dir);
    kh_err err = list(d, path, &store);
    if (err == KH_E_NOT_FOUND) err = KH_OK;
    if (err == KH_OK) err = list(d, dir, &there);
    for (uint32_t i = 0; i < store.cnt && err == KH_OK; i++) /* what is there stays: it was moved before, or is not cleared */
        if (strcmp(store.all[i], "format") != 0 && !has(&there, store.all[i])) err = move(d, dir, "store/", store.all[i]);
    free(store.all);
    free(there.all);
    if (err == KH_OK) err = move(d, dir, "", "outputs");
    if (err == KH_OK) err = d->sync_dir(d->self, dir);
    if (err == KH_OK) err = move(d, dir, "store/", "format");
    return err == KH_OK ? d->sync_dir(d->self, dir) : err;
}

static kh_err take(const kh_disk *d, const char *dir, bool is_whole)
{
    char from[1024], to[1024];
    (void)snprintf(from, sizeof from, "%s/joined", dir);
    (void)snprintf(to, sizeof to, "%s/joined.moves", dir);
    kh_err err = is_whole ? clear_old(d, dir) : KH_OK;
    if (err == KH_OK && is_whole) err = d->rename(d->self, from, to);
    if (err == KH_OK && is_whole) err = d->sync_dir(d->self, dir);
    if (err == KH_OK) err = move_all(d, dir);
    if (err == KH_OK) err = kh_join_clear(d, to);
    return err == KH_OK ? d->sync_dir(d->self, dir) : err;
}

kh_err kh_join_take(const kh_disk *disk, const char *dir, bool *ret_taken)
{
    char path[1024];
    names there = {0};
    if (strlen(dir) + 64 > sizeof path) return KH_E_ARG;
    kh_err err = list(disk, dir, &there);
    bool whole = has(&there, "joined"), moves = has(&there, "joined.moves"), made = has(&there, "joined.new");
    free(there.all);
    if (err == KH_E_NOT_FOUND) err = KH_OK; /* no directory, nothing to take */
    (void)snprintf(path, sizeof path, "%s/joined.new", dir);
    if (err == KH_OK && made) err = kh_join_clear(disk, path);
    if (err == KH_OK && (whole || moves)) err = take(disk, dir, whole);
    if (err == KH_OK) *ret_taken = whole || moves;
    return err;
}
