/* join_read: the head and the items of a state, each held against what is known, and written where a hub keeps them. */
#include <stdio.h>
#include <stdlib.h>
#include "attest/attest.h"
#include "kept/heights.h"
#include "states/join.h"
#include "states/state_form.h"

enum {
    AT_DIGEST = KH_POST_SZ,
    AT_NUMBER = KH_POST_SZ + 32,
    COUNT_BEFORE_AT = 0,
    HEAD_BEFORE_AT = 8,
    COUNT_AT = 40,
    HEAD_AT = 48
};
#define STEP_SZ (UINT64_C(1) << 20) /* an item's memory grows as its bytes come: its size is only a claim */

typedef struct reading {
    const kh_join *join;
    const kh_checkpoint_source *from;
    const char *outputs;
    kh_join_head head;
    uint8_t *p; /* of the item that was read last */
    size_t cap;
    uint32_t kind, n, bank;
    uint64_t height;
    kh_heights *posts, *packages;
    uint64_t last_post, last_package; /* of packages: of this bank */
    uint32_t last_bank, bank_cnt;
    uint8_t said[KH_CHECKPOINT_SZ], chained[40]; /* chained: {count, head} after the bank's last package */
    char *why;
    size_t why_cap;
} reading;

static kh_err wrong(reading *r, const char *what)
{
    kh_join_say(r->why, r->why_cap, "%s (item %u of bank %u at height %llu)", what, r->kind, r->bank,
                (unsigned long long)r->height);
    return KH_E_FORMAT;
}

static kh_err take(reading *r, void *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t got = 0;
        kh_err err = r->from->read(r->from->ctx, (uint8_t *)p + at, n - at, &got);
        if (err != KH_OK) return err;
        if (got == 0) return wrong(r, "it ends too early");
        at += got;
    }
    return KH_OK;
}

/* ---- the head ---- */

static kh_err read_head(reading *r)
{
    uint8_t head[KH_STATE_HEAD_SZ], secret[KH_SECRET_SZ], shared[32], posted[32];
    const kh_join *j = r->join;
    kh_err err = take(r, head, sizeof head);
    if (err != KH_OK) return err;
    if (memcmp(head, KH_STATE_MAGIC, 8) != 0 || kh_load32(head + KH_STATE_AT_EPOCH + 4) != 0)
        return wrong(r, "it is no state, or of another version");
    if (memcmp(head + KH_STATE_AT_CHAIN, j->chain, 32) != 0 || kh_load64(head + KH_STATE_AT_HEIGHT) != j->height)
        return wrong(r, "it is of another chain or height");
    r->head.epoch = kh_load32(head + KH_STATE_AT_EPOCH);
    if (r->head.epoch != j->epoch) return wrong(r, "it is of another epoch than it is sealed to");
    r->head.number = kh_load64(head + KH_STATE_AT_NUMBER);
    memcpy(r->head.outcomes, head + KH_STATE_AT_OUTCOMES, 32);
    memcpy(r->head.digest, head + KH_STATE_AT_DIGEST, 32);
    if (!j->secret_of(j->ctx, r->head.epoch, secret)) {
        kh_join_say(r->why, r->why_cap, "the group's key of epoch %u is not here", r->head.epoch);
        return KH_E_CLOSED;
    }
    kh_attest_secret(secret, shared);
    kh_attest_posted(shared, j->height, r->head.outcomes, r->head.digest, posted);
    bool good = memcmp(posted, j->posted, 32) == 0;
    kh_attest_posted(shared, j->height, r->head.outcomes, NULL, posted); /* of the height's own post, below */
    memcpy(r->said + 32, posted, 32);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(shared, sizeof shared);
    return good ? KH_OK : wrong(r, "its outcomes and digest are not what the hubs posted");
}

/* ---- items ---- */

static kh_err next(reading *r)
{
    uint8_t head[KH_STATE_ITEM_SZ];
    kh_err err = take(r, head, sizeof head);
    if (err != KH_OK) return err;
    r->kind = kh_load32(head + KH_STATE_ITEM_AT_KIND);
    r->n = kh_load32(head + KH_STATE_ITEM_AT_SIZE);
    r->height = kh_load64(head + KH_STATE_ITEM_AT_HEIGHT);
    r->bank = kh_load32(head + KH_STATE_ITEM_AT_BANK);
    if (r->n > KH_STATE_ITEM_MAX_SZ || kh_load32(head + KH_STATE_ITEM_AT_BANK + 4) != 0) return wrong(r, "an item has no form");
    for (uint64_t at = 0; at < r->n && err == KH_OK;) {
        size_t step = (size_t)kh_min64(STEP_SZ, r->n - at);
        if (r->cap < at + step) {
            uint8_t *more = realloc(r->p, at + step);
            if (more == NULL) return KH_E_NOMEM;
            r->p = more;
            r->cap = at + step;
        }
        err = take(r, r->p + at, step);
        at += step;
    }
    return err;
}

static kh_err open_file(const reading *r, const char *name, const char magic[4], kh_heights **ret)
{
    char path[1024];
    uint64_t at;
    int n = snprintf(path, sizeof path, "%s/%s", r->outputs, name);
    if (n < 0 || (size_t)n >= sizeof path) return KH_E_ARG;
    return kh_heights_open(r->join->store->disk, path, magic, KH_HEIGHTS_SOUND, &at, ret);
}

static kh_err close_file(kh_heights **file)
{
    kh_err err = *file != NULL ? kh_heights_sync(*file) : KH_OK;
    kh_heights_close(*file);
    *file = NULL;
    return err;
}

static kh_err read_checkpoint(reading *r)
{
    kh_heights *file = NULL;
    const kh_join *j = r->join;
    if (r->kind != KH_STATE_CHECKPOINT || r->n != KH_CHECKPOINT_SZ || r->height != j->height || r->bank != 0)
        return wrong(r, "it does not begin with the checkpoint's record");
    if (memcmp(r->p, j->app_hash, 32) != 0 || memcmp(r->p + 32, j->posted, 32) != 0 ||
        memcmp(r->p + AT_DIGEST, r->head.digest, 32) != 0 || kh_load64(r->p + AT_NUMBER) != r->head.number)
        return wrong(r, "the checkpoint's record is not that of the height");
    if (j->differs != NULL && j->differs(j->ctx, j->height, r->p, true)) return wrong(r, "hubs attested another checkpoint");
    kh_err err = open_file(r, "checkpoints", KH_CHECKPOINTS_MAGIC, &file);
    if (err == KH_OK) err = kh_heights_add(file, r->height, r->p, r->n, NULL, 0);
    if (err == KH_OK) { /* the height's own post differs from it by what is posted alone */
        memcpy(r->said, r->p, 32);
        memcpy(r->said + 64, r->p + 64, KH_POST_SZ - 64);
    }
    kh_err end = close_file(&file);
    return err == KH_OK ? end : err;
}

static kh_err read_post(reading *r)
{
    if (r->n != KH_POST_SZ || r->bank != 0 || r->height <= r->last_post || r->height > r->join->height)
        return wrong(r, "a post is none of its place");
    if (r->height == r->join->height && memcmp(r->p, r->said, KH_POST_SZ) != 0) return wrong(r, "the height's post is another");
    const kh_join *j = r->join;
    if (j->differs != NULL && j->differs(j->ctx, r->height, r->p, false)) return wrong(r, "hubs attested another outcome");
    kh_err err = r->posts == NULL ? open_file(r, "posts", KH_POSTS_MAGIC, &r->posts) : KH_OK;
    if (err == KH_OK) err = kh_heights_add(r->posts, r->height, r->p, r->n, NULL, 0);
    r->last_post = r->height;
    return err;
}

/* Is, or was, this a bank? Who is expelled stays a member. */
static bool is_bank(const kh_join *j, uint32_t bank)
{
    for (uint32_t i = 0; i < j->member_cnt; i++)
        if (j->members[i].id == bank) return j->members[i].role == KH_MEMBER_BANK;
    return false;
}

/* Is this bank one that has outputs of every height, as of the last one? */
static bool given_each(const kh_join *j, uint32_t bank)
{
    for (uint32_t i = 0; i < j->member_cnt; i++)
        if (j->members[i].id == bank)
            return j->members[i].role == KH_MEMBER_BANK && (j->members[i].flags & KH_MEMBER_EXPELLED) == 0;
    return false;
}

static kh_err end_bank(reading *r)
{
    if (r->packages == NULL) return KH_OK;
    bool given = given_each(r->join, r->last_bank);
    r->bank_cnt += given;
    if (given && r->last_package != r->join->height) return wrong(r, "a bank's outputs end too early");
    return close_file(&r->packages);
}

static kh_err read_package(reading *r)
{
    char name[32];
    bool first = r->bank != r->last_bank;
    kh_err err = KH_OK;
    if (r->last_post != r->join->height) return wrong(r, "the height's own post is missing");
    if (r->bank < r->last_bank || r->bank == 0 || r->n < KH_PACKAGE_HEAD_SZ || r->height > r->join->height || r->height == 0)
        return wrong(r, "a package is none of its place");
    if (first && !is_bank(r->join, r->bank)) return wrong(r, "a package is of no bank");
    if (first) {
        err = end_bank(r);
        if (err != KH_OK) return err;
        (void)snprintf(name, sizeof name, "%u.packages", r->bank);
        err = open_file(r, name, KH_PACKAGES_MAGIC, &r->packages);
    } else if (r->height <= r->last_package || memcmp(r->p + COUNT_BEFORE_AT, r->chained, 40) != 0)
        return wrong(r, "a bank's packages do not follow one another");
    if (kh_load64(r->p + COUNT_AT) < kh_load64(r->p + COUNT_BEFORE_AT)) return wrong(r, "a bank's count goes back");
    if (err == KH_OK) err = kh_heights_add(r->packages, r->height, r->p, r->n, NULL, 0);
    memcpy(r->chained, r->p + COUNT_AT, 40);
    r->last_bank = r->bank;
    r->last_package = r->height;
    return err;
}

static kh_err read_items_end(reading *r)
{
    uint32_t banks = 0;
    for (uint32_t i = 0; i < r->join->member_cnt; i++) banks += given_each(r->join, r->join->members[i].id);
    if (r->kind != KH_STATE_ITEMS_END || r->n != 0) return wrong(r, "an item of a kind that is not known");
    if (r->last_post != r->join->height) return wrong(r, "the height's own post is missing");
    kh_err err = end_bank(r);
    if (err == KH_OK && r->bank_cnt != banks) err = wrong(r, "a bank's outputs are missing");
    return err;
}

static kh_err read_items(reading *r)
{
    kh_err err = next(r);
    if (err == KH_OK) err = read_checkpoint(r);
    if (err == KH_OK) err = next(r);
    for (; err == KH_OK && r->kind == KH_STATE_POST; err = err == KH_OK ? next(r) : err) err = read_post(r);
    for (; err == KH_OK && r->kind == KH_STATE_PACKAGE; err = err == KH_OK ? next(r) : err) err = read_package(r);
    return err == KH_OK ? read_items_end(r) : err;
}

static kh_err write_given(const kh_join *j, const char *outputs)
{
    char path[1024];
    uint8_t p[KH_GIVEN_SZ] = KH_GIVEN_MAGIC;
    kh_file *f = NULL;
    const kh_disk *d = j->store->disk;
    int n = snprintf(path, sizeof path, "%s/given", outputs);
    if (n < 0 || (size_t)n >= sizeof path) return KH_E_ARG;
    kh_store32(p + KH_GIVEN_AT_OWN, j->own);
    kh_store64(p + KH_GIVEN_AT_HEIGHT, j->height);
    kh_err err = d->open(d->self, path, KH_OPEN_WRITE | KH_OPEN_CREATE, &f);
    if (err != KH_OK) return err;
    err = d->write(d->self, f, 0, p, sizeof p);
    if (err == KH_OK) err = d->sync(d->self, f);
    d->close(d->self, f);
    return err;
}

kh_err kh_join_read(const kh_join *join, const kh_checkpoint_source *from, const char *outputs, kh_join_head *ret, char *why,
                    size_t cap)
{
    reading r = {.join = join, .from = from, .outputs = outputs, .why = why, .why_cap = cap};
    const kh_disk *d = join->store->disk;
    kh_err err = read_head(&r);
    if (err == KH_OK) err = read_items(&r);
    kh_err end = close_file(&r.posts);
    if (err == KH_OK) err = end;
    end = close_file(&r.packages);
    if (err == KH_OK) err = end;
    free(r.p);
    if (err == KH_OK) err = write_given(join, outputs);
    if (err == KH_OK) err = d->sync_dir(d->self, outputs);
    if (err == KH_OK) *ret = r.head;
    return err;
}
