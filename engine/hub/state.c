/* state: the state of a checkpoint, written for others: what this hub keeps beside its store, then the store's own
 * checkpoint.
 *
 * It runs beside the hub's thread, which goes on: files of heights take one writer and any readers, the store exports beside
 * itself. What banks acknowledge meanwhile goes when they are written, and what the hub takes back ends the writing. */
#include "hub/parts.h"
#include "states/state_form.h"
#include <stdlib.h>

enum { AT_DIGEST = KH_POST_SZ, AT_NUMBER = KH_POST_SZ + 32 };

typedef struct bank_file { /* as of when the writing began */
    uint32_t id;
    kh_heights *file;
    uint64_t told, newest, first; /* newest: at or below the height; first: of what is written */
} bank_file;

typedef struct writing {
    kh_hub *h;
    const kh_checkpoint_sink *to;
    uint64_t height;
    bank_file *banks;
    uint32_t bank_cnt;
} writing;

/* What this hub said of its checkpoint; KH_E_NOT_FOUND: not that, or not yet. */
static kh_err record_of(kh_hub *h, uint64_t height, const uint8_t posted[32], uint8_t ret[KH_CHECKPOINT_SZ])
{
    uint8_t *p = NULL;
    size_t n = 0;
    uint64_t found = 0;
    kh_err err = kh_heights_at(h->checkpoints.file, height, &found, &p, &n);
    if (err == KH_OK && (found != height || n != KH_CHECKPOINT_SZ || memcmp(p + 32, posted, 32) != 0)) err = KH_E_NOT_FOUND;
    if (err == KH_OK) memcpy(ret, p, KH_CHECKPOINT_SZ);
    free(p);
    return err;
}

kh_err kh_hub_state_is(kh_hub *h, uint64_t height, const uint8_t posted[32], uint32_t *ret_epoch)
{
    uint8_t record[KH_CHECKPOINT_SZ];
    if (height <= h->given.height || !kh_given_sure(h)) return KH_E_NOT_FOUND; /* it would answer for what it was given */
    kh_err err = record_of(h, height, posted, record);
    return err == KH_OK ? kh_hub_epoch_of(h, height, ret_epoch) : err;
}

static kh_err item(const writing *w, kh_state_item kind, uint64_t height, uint32_t bank, const void *p, size_t n)
{
    uint8_t head[KH_STATE_ITEM_SZ] = {0};
    kh_store32(head + KH_STATE_ITEM_AT_KIND, kind);
    kh_store32(head + KH_STATE_ITEM_AT_SIZE, (uint32_t)n);
    kh_store64(head + KH_STATE_ITEM_AT_HEIGHT, height);
    kh_store32(head + KH_STATE_ITEM_AT_BANK, bank);
    kh_err err = w->to->write(w->to->ctx, head, sizeof head);
    return err == KH_OK && n != 0 ? w->to->write(w->to->ctx, p, n) : err;
}

/* ---- what banks are given ---- */

/* Those that ever were given anything by the height: who has left and comes again goes on behind its count. */
static kh_err find_banks(writing *w)
{
    kh_hub *h = w->h;
    (void)pthread_mutex_lock(&h->lock);
    w->banks = calloc(h->banks.cnt + (size_t)1, sizeof *w->banks);
    w->bank_cnt = w->banks != NULL ? h->banks.cnt : 0;
    for (uint32_t i = 0; i < w->bank_cnt; i++) {
        const kh_bank *b = &h->banks.all[i];
        w->banks[i] = (bank_file){.id = b->id, .file = b->file, .told = b->told};
    }
    (void)pthread_mutex_unlock(&h->lock);
    return w->banks != NULL ? KH_OK : KH_E_NOMEM;
}

/* Is there nothing of a bank at or below the height because it had none by then? Else its count and head are lost, and nobody
   could go on from this state. */
static kh_err has_none_yet(const writing *w, const bank_file *b)
{
    static const uint8_t none[40];
    kh_kept_member *members = NULL;
    uint32_t cnt = 0;
    uint64_t first = 0;
    uint8_t *p = NULL;
    size_t n = 0;
    kh_err err = kh_kept_members(w->h->options.kept, w->height, &members, &cnt);
    for (uint32_t i = 0; i < cnt && err == KH_OK; i++) {
        bool given = members[i].role == KH_MEMBER_BANK && (members[i].flags & KH_MEMBER_EXPELLED) == 0;
        if (members[i].id == b->id && given) err = KH_E_DAMAGED;
    }
    free(members);
    if (err != KH_OK) return err;
    err = kh_heights_after(b->file, w->height, &first, &p, &n);
    if (err == KH_OK && (n < sizeof none || memcmp(p, none, sizeof none) != 0)) err = KH_E_DAMAGED; /* {count, head} before */
    free(p);
    return err == KH_E_NOT_FOUND ? KH_OK : err;
}

/* What it has not acknowledged, and always its newest: the count and head that are gone on from. */
static kh_err measure_bank(const writing *w, bank_file *b)
{
    uint8_t *p = NULL;
    size_t n;
    kh_err err = kh_heights_at(b->file, w->height, &b->newest, &p, &n);
    free(p);
    if (err != KH_OK) return err;
    err = kh_heights_after(b->file, kh_min64(b->told, b->newest - 1), &b->first, &p, &n);
    if (err == KH_OK) free(p);
    return err;
}

static kh_err write_bank(const writing *w, const bank_file *b)
{
    kh_err err = KH_OK;
    for (uint64_t at = b->first - 1; err == KH_OK && at < b->newest;) {
        uint8_t *p = NULL;
        size_t n = 0;
        err = kh_heights_after(b->file, at, &at, &p, &n);
        if (err != KH_OK) break;
        if (at > b->newest || n > KH_STATE_ITEM_MAX_SZ) err = KH_E_DAMAGED;
        if (err == KH_OK) err = item(w, KH_STATE_PACKAGE, at, b->id, p, n);
        free(p);
    }
    return err;
}

/* Without what was attested of it a package is of no use to its bank. What this hub was given and would not say, it does not hand
   on in its own name. */
static kh_err write_posts(const writing *w, uint64_t first)
{
    kh_err err = KH_OK;
    for (uint64_t at = first - 1; err == KH_OK && at < w->height;) {
        uint8_t *p = NULL;
        size_t n = 0;
        err = kh_heights_after(w->h->banks.posts, at, &at, &p, &n);
        if (err != KH_OK) break;
        if (at > w->height || n != KH_POST_SZ) err = KH_E_NOT_FOUND; /* it was taken back */
        if (err == KH_OK && kh_given_may_say(w->h, at, p, 0)) err = item(w, KH_STATE_POST, at, 0, p, n);
        free(p);
    }
    return err;
}

static kh_err write_outputs(writing *w)
{
    uint64_t first = w->height;
    uint32_t cnt = 0;
    kh_err err = find_banks(w);
    for (uint32_t i = 0; i < w->bank_cnt && err == KH_OK; i++) {
        bank_file b = w->banks[i];
        err = measure_bank(w, &b);
        if (err == KH_E_NOT_FOUND) {
            err = has_none_yet(w, &b);
            continue;
        }
        first = kh_min64(first, b.first);
        w->banks[cnt++] = b;
    }
    w->bank_cnt = cnt;
    if (err == KH_OK) err = write_posts(w, first);
    for (uint32_t i = 0; i < cnt && err == KH_OK; i++) err = write_bank(w, &w->banks[i]);
    return err == KH_OK ? item(w, KH_STATE_ITEMS_END, w->height, 0, NULL, 0) : err;
}

/* ---- all of it ---- */

kh_err kh_hub_state_write(kh_hub *h, uint64_t height, const uint8_t posted[32], const kh_checkpoint_sink *to)
{
    uint8_t record[KH_CHECKPOINT_SZ], head[KH_STATE_HEAD_SZ] = KH_STATE_MAGIC;
    writing w = {.h = h, .to = to, .height = height};
    uint32_t epoch = 0;
    kh_checkpoint made;
    kh_err err = record_of(h, height, posted, record);
    if (err == KH_OK) err = kh_hub_epoch_of(h, height, &epoch);
    if (err != KH_OK) return err;
    uint64_t number = kh_load64(record + AT_NUMBER);
    kh_store32(head + KH_STATE_AT_EPOCH, epoch);
    memcpy(head + KH_STATE_AT_CHAIN, h->chain, 32);
    kh_store64(head + KH_STATE_AT_HEIGHT, height);
    kh_store64(head + KH_STATE_AT_NUMBER, number);
    memcpy(head + KH_STATE_AT_DIGEST, record + AT_DIGEST, 32);
    err = kh_store_chain_at(h->options.store, number, head + KH_STATE_AT_OUTCOMES);
    if (err == KH_OK) err = to->write(to->ctx, head, sizeof head);
    if (err == KH_OK) err = item(&w, KH_STATE_CHECKPOINT, height, 0, record, sizeof record);
    (void)pthread_mutex_lock(&h->dropping);
    if (err == KH_OK) err = write_outputs(&w);
    (void)pthread_mutex_unlock(&h->dropping);
    free(w.banks);
    if (err == KH_OK) err = kh_store_export(h->options.store, number, to, &made);
    bool same = err != KH_OK ||
                (memcmp(made.digest, record + AT_DIGEST, 32) == 0 && memcmp(made.chain, head + KH_STATE_AT_OUTCOMES, 32) == 0);
    if (err == KH_OK && same) atomic_store_explicit(&h->state_written, height, memory_order_relaxed); /* its image may go */
    return same ? err : KH_E_DAMAGED;
}
