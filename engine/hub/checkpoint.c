/* checkpoint: the state as of a checkpoint, attested: the first height executed at or above each multiple of so many is one.
 *
 * Its digest is made beside execution, by the store's own replay, and the height's own attestation does not wait for it: that of
 * the checkpoint follows, as another statement of the same height. DIR/outputs/checkpoints has what was said: {app hash, posted,
 * outputs root, losses, digest, the store's entry}. Which height is one follows from the heights that were executed: every hub
 * finds the same, and so does one that starts anew. */
#include "hub/parts.h"
#include <stdio.h>
#include <stdlib.h>

enum { RECORD_SZ = KH_CHECKPOINT_SZ, ENTRY_AT = KH_POST_SZ + 32 };

static uint64_t every(const kh_hub *h)
{
    return h->options.checkpoint_blocks != 0 ? h->options.checkpoint_blocks : KH_CHECKPOINT_BLOCKS;
}

/* before: the height executed before this one. */
static bool is_one(const kh_hub *h, uint64_t before, uint64_t height)
{
    uint64_t first = h->options.genesis->initial_height;
    before = before != 0 ? before : first - 1;
    return before / every(h) < height / every(h);
}

static void attest(kh_hub *h, uint64_t height, const uint8_t post[KH_POST_SZ])
{
    uint32_t losses = kh_load32(post + 96);
    if (losses == KH_LOSSES_UNSAID || !kh_given_may_say(h, height, post, KH_ATTEST_CHECKPOINT)) return;
    /* Where the node cannot say it now, a restart says it again. */
    kh_err err =
        kh_node_attest(h->options.node, height, post, post + 32, post + 64, kh_attest_flags(losses, KH_ATTEST_CHECKPOINT));
    (void)err;
}

/* What was said of it before; false: nothing. */
static bool said(kh_hub *h, uint64_t height, uint8_t ret[RECORD_SZ])
{
    uint8_t *p = NULL;
    size_t n = 0;
    uint64_t found = 0;
    bool good = kh_heights_at(h->checkpoints.file, height, &found, &p, &n) == KH_OK && found == height && n == RECORD_SZ;
    if (good) memcpy(ret, p, RECORD_SZ);
    free(p);
    return good;
}

/* One is made at a time, and the newest waits; what is older than one that was said is passed over. */
static void want(kh_hub *h, uint64_t height, uint64_t number)
{
    kh_checkpoints *c = &h->checkpoints;
    uint8_t record[RECORD_SZ];
    if (c->wanted[0].height == height || c->wanted[1].height == height) return;
    if (said(h, height, record)) attest(h, height, record);
    else if (height > kh_heights_newest(c->file))
        c->wanted[c->wanted[0].height != 0] = (struct kh_checkpoint_wanted){height, number};
}

void kh_checkpoints_executed(kh_hub *h, uint64_t before, uint64_t height, uint64_t number)
{
    if (!is_one(h, before, height)) return;
    want(h, height, number);
    kh_checkpoints_keep(h);
}

/* ---- at the start ---- */

typedef kh_err look(kh_heights *h, uint64_t height, uint64_t *ret_height, uint8_t **ret, size_t *ret_n);

/* The executed height that kh_heights_at or kh_heights_after finds; 0: none. */
static uint64_t post_by(kh_hub *h, look *f, uint64_t height)
{
    uint8_t *p = NULL;
    size_t n;
    uint64_t found = 0;
    if (f(h->banks.posts, height, &found, &p, &n) != KH_OK) found = 0;
    free(p);
    return found;
}

static void checkpoint_so_far(void *ctx, kh_order *order)
{
    uint8_t posted[32];
    *(uint64_t *)ctx = kh_order_checkpoint(order, posted);
}

/* The newest that was executed, where no quorum has attested it; height 0: none. */
static struct kh_checkpoint_wanted newest_of(kh_hub *h)
{
    uint64_t newest = kh_heights_newest(h->banks.posts), attested = 0;
    uint64_t multiple = newest / every(h) * every(h);
    uint64_t height = multiple != 0 ? post_by(h, kh_heights_after, multiple - 1) : 0;
    kh_node_read(h->options.node, checkpoint_so_far, &attested);
    if (height == 0 || height <= attested || !is_one(h, post_by(h, kh_heights_at, multiple - 1), height))
        return (struct kh_checkpoint_wanted){0};
    return (struct kh_checkpoint_wanted){height, kh_hub_first_above(h, height, h->recorded) - 1};
}

void kh_checkpoints_again(kh_hub *h)
{
    const struct kh_checkpoint_wanted newest = newest_of(h);
    if (newest.height != 0) want(h, newest.height, newest.number);
}

kh_err kh_checkpoints_open(kh_hub *h)
{
    char path[1024];
    uint64_t at;
    int n = snprintf(path, sizeof path, "%s/outputs/checkpoints", h->options.dir);
    if (n < 0 || (size_t)n >= sizeof path) return KH_E_ARG;
    return kh_heights_open(h->options.disk, path, KH_CHECKPOINTS_MAGIC, KH_HEIGHTS_SOUND, &at, &h->checkpoints.file);
}

void kh_checkpoints_close(kh_hub *h) { kh_heights_close(h->checkpoints.file); }

kh_err kh_checkpoints_cut(kh_hub *h, uint64_t height)
{
    kh_checkpoints *c = &h->checkpoints;
    for (uint32_t i = 0; i < sizeof c->wanted / sizeof c->wanted[0]; i++)
        if (c->wanted[i].height > height) c->wanted[i] = (struct kh_checkpoint_wanted){0};
    if (c->wanted[0].height == 0) c->wanted[0] = c->wanted[1], c->wanted[1] = (struct kh_checkpoint_wanted){0};
    return kh_heights_cut(c->file, height);
}

/* ---- whose state is made yet ---- */

typedef struct asked {
    uint64_t attested;
    kh_order_state of[KH_STATES];
} asked;

static void asked_for(void *ctx, kh_order *order)
{
    asked *a = ctx;
    checkpoint_so_far(&a->attested, order);
    kh_order_states(order, a->of);
}

/* The order wants the state of a checkpoint at once when that is attested, or never. */
uint64_t kh_checkpoints_least(kh_hub *h)
{
    const kh_checkpoints *c = &h->checkpoints;
    asked a = {.attested = 0};
    uint64_t least = UINT64_MAX, found = 0;
    uint8_t *p = NULL;
    size_t n;
    kh_node_read(h->options.node, asked_for, &a);
    if (a.of[KH_STATE_WANTED].height != 0) least = a.of[KH_STATE_WANTED].height;
    for (uint32_t i = 0; i < sizeof c->wanted / sizeof c->wanted[0]; i++)
        if (c->wanted[i].height != 0) least = kh_min64(least, c->wanted[i].height);
    kh_err err = kh_heights_after(c->file, a.attested, &found, &p, &n);
    free(p);
    if (err == KH_OK) return kh_min64(least, found);
    return err == KH_E_NOT_FOUND ? least : 0; /* who cannot look takes nothing away */
}

/* The state is made long after the store went on, of an image before it: of what the order wants, of the lowest that it may want
   yet, and of those whose digest is being made. */
void kh_checkpoints_keep(kh_hub *h)
{
    const kh_checkpoints *c = &h->checkpoints;
    uint8_t record[RECORD_SZ], *p = NULL;
    uint64_t numbers[KH_STORE_KEEPS], found = 0, wanted;
    uint32_t cnt = 0;
    size_t n = 0;
    asked a = {.attested = 0};
    kh_node_read(h->options.node, asked_for, &a);
    wanted = a.of[KH_STATE_WANTED].height;
    if (wanted != 0 && wanted != atomic_load_explicit(&h->state_written, memory_order_relaxed) && said(h, wanted, record))
        numbers[cnt++] = kh_load64(record + ENTRY_AT);
    kh_err err = kh_heights_after(c->file, a.attested, &found, &p, &n);
    if (err == KH_OK && n == RECORD_SZ) numbers[cnt++] = kh_load64(p + ENTRY_AT);
    free(p);
    if (err != KH_OK && err != KH_E_NOT_FOUND) return; /* who cannot look takes nothing away */
    const struct kh_checkpoint_wanted first = c->wanted[0].height != 0 ? c->wanted[0] : newest_of(h);
    if (first.height != 0) numbers[cnt++] = first.number;
    if (c->wanted[1].height != 0) numbers[cnt++] = c->wanted[1].number;
    kh_store_keep(h->options.store, numbers, cnt);
}

/* ---- made ---- */

kh_err kh_hub_epoch_of(kh_hub *h, uint64_t height, uint32_t *ret)
{
    kh_kept_block *b = NULL;
    kh_err err = kh_kept_at(h->options.kept, height, &b);
    if (err == KH_OK) *ret = kh_load32(b->hubs_value);
    kh_kept_block_free(b);
    return err;
}

static kh_err say(kh_hub *h, const struct kh_checkpoint_wanted *w, const uint8_t digest[32])
{
    uint8_t record[RECORD_SZ], *post = NULL, chain[32], secret[32];
    uint64_t found = 0;
    size_t n = 0;
    uint32_t epoch = 0;
    kh_err err = kh_heights_at(h->banks.posts, w->height, &found, &post, &n);
    if (err == KH_OK && (found != w->height || n != KH_POST_SZ)) err = KH_E_NOT_FOUND;
    if (err == KH_OK) err = kh_store_chain_at(h->options.store, w->number, chain);
    if (err == KH_OK) err = kh_hub_epoch_of(h, w->height, &epoch);
    if (err == KH_OK && (epoch == 0 || epoch > h->options.epoch_cnt || h->options.groups[epoch - 1] == NULL))
        err = KH_E_NOT_FOUND;
    if (err == KH_OK) {
        memcpy(record, post, KH_POST_SZ);
        kh_attest_secret(h->options.group_secrets[epoch - 1], secret);
        kh_attest_posted(secret, w->height, chain, digest, record + 32);
        explicit_bzero(secret, sizeof secret);
        memcpy(record + KH_POST_SZ, digest, 32);
        kh_store64(record + ENTRY_AT, w->number);
        err = kh_heights_add(h->checkpoints.file, w->height, record, sizeof record, NULL, 0);
    }
    if (err == KH_OK) attest(h, w->height, record);
    free(post);
    return err;
}

void kh_checkpoints_step(kh_hub *h)
{
    kh_checkpoints *c = &h->checkpoints;
    uint8_t digest[32];
    if (c->wanted[0].height == 0) return;
    kh_err err = kh_store_checkpoint_at(h->options.store, c->wanted[0].number, digest);
    if (err == KH_E_AGAIN) return;
    if (err == KH_OK) err = say(h, &c->wanted[0], digest);
    if (err != KH_OK) h->options.alert(h->options.ctx, "CHECKPOINT_FAILED", 0, c->wanted[0].height);
    c->wanted[0] = c->wanted[1];
    c->wanted[1] = (struct kh_checkpoint_wanted){0};
}
