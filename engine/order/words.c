/* words: what hubs attest: which heights and checkpoints a quorum agrees on, and who contradicts whom.
 *
 * Of each height and hub one statement counts, the first, and of each checkpoint and hub another: it comes later, since its
 * digest takes long to make, and nobody waits for it. A loss that touches a height makes void what was said of it: from there on
 * only statements that count it are looked at, and what was said without it accuses nobody. Who contradicts this chain's own app
 * hash, itself, or a quorum, lies and is named as proven; where two differ and there is no quorum yet, both are named as not
 * proven, and the quorum, when it comes, proves the others. */
#include "order/inside.h"

static kh_word blank(const kh_attestation *a, uint32_t hub, uint32_t flags)
{
    return (kh_word){
        .height = a->height, .hub = hub, .flags = flags | ((a->flags & KH_ATTEST_CHECKPOINT) != 0 ? KH_WORD_CHECKPOINT : 0)};
}

/* The first word about what this attestation is about; NULL: none. after: the next one. */
static kh_word *first_about(const kh_order *o, const kh_attestation *a)
{
    const kh_word least = blank(a, 0, 0);
    uint32_t i = kh_words_place(o, &least);
    return i < o->word_cnt && kh_word_about(&o->words[i]) == kh_word_about(&least) ? &o->words[i] : NULL;
}

static kh_word *after(const kh_order *o, kh_word *w)
{
    bool more = w + 1 < o->words + o->word_cnt && kh_word_about(w + 1) == kh_word_about(w);
    return more ? w + 1 : NULL;
}

static kh_word *word_of(const kh_order *o, const kh_attestation *a)
{
    const kh_word like = blank(a, a->hub, 0);
    uint32_t i = kh_words_place(o, &like);
    return i < o->word_cnt && kh_word_compare(&o->words[i], &like) == 0 ? &o->words[i] : NULL;
}

/* Hubs of the set that said this of it and were not found to lie. */
static uint32_t agreeing(const kh_order *o, const kh_attestation *a, const uint8_t statement[32])
{
    uint32_t cnt = 0;
    for (kh_word *w = first_about(o, a); w != NULL; w = after(o, w))
        cnt += (w->flags & KH_WORD_LIED) == 0 && memcmp(w->statement, statement, 32) == 0 && kh_hub_place(o, w->hub) >= 0;
    return cnt;
}

static uint32_t quorum_of(const kh_order *o) { return o->hubs.cnt / 2 + 1; }

static bool against_quorum(const kh_order *o, const kh_attestation *a, const uint8_t statement[32])
{
    for (kh_word *w = first_about(o, a); w != NULL; w = after(o, w))
        if (memcmp(w->statement, statement, 32) != 0 && agreeing(o, a, w->statement) >= quorum_of(o)) return true;
    return false;
}

static kh_err move_up(kh_order *o, const kh_attestation *a)
{
    if ((a->flags & KH_ATTEST_CHECKPOINT) != 0) {
        if (a->height <= o->checkpoint) return KH_OK;
        o->checkpoint = a->height;
        memcpy(o->checkpoint_posted, a->posted, 32);
        return kh_public_checkpoint(o);
    }
    if (a->height <= o->attested) return KH_OK;
    o->attested = a->height;
    memcpy(o->posted, a->posted, 32);
    o->built.attested_moved = true;
    kh_unattested_prune(o);
    return kh_public_attested(o);
}

/* A word that counts: others that differ are named, and with a quorum proven to lie. */
static kh_err count(kh_order *o, const kh_attestation *a, const uint8_t statement[32], uint32_t others)
{
    bool agreed = others + 1 >= quorum_of(o), differs = false;
    kh_err err = agreed ? move_up(o, a) : KH_OK;
    for (kh_word *w = first_about(o, a); w != NULL && err == KH_OK; w = after(o, w)) {
        if ((w->flags & KH_WORD_LIED) != 0 || memcmp(w->statement, statement, 32) == 0) continue;
        differs = true;
        if (agreed) kh_words_lied(o, w);
        err = kh_built_liar(o, w->hub, a->height, agreed);
    }
    return err == KH_OK && differs && !agreed ? kh_built_liar(o, a->hub, a->height, false) : err;
}

static kh_order_code lie(kh_order *o, kh_at *at, const kh_attestation *a, kh_word *word)
{
    at->effect = true;
    if (at->apply) {
        const kh_word lied = blank(a, a->hub, KH_WORD_LIED);
        if (word != NULL) kh_words_lied(o, word);
        else kh_words_remember(o, &lied);
        at->err = kh_built_liar(o, a->hub, a->height, true);
    }
    return KH_R_REFUSED;
}

static bool signed_by_hub(kh_order *o, const kh_attestation *a, uint32_t place, const uint8_t digest[32])
{
    uint8_t keys[32];
    kh_sha256(o->hubs.attest[place], KH_PUBLIC_SZ, keys);
    if (kh_seen_before(o, digest, keys)) return true;
    if (!kh_attestation_signed_by(o->suite, a, o->hubs.attest[place])) return false;
    kh_seen_now(o, digest, keys);
    return true;
}

kh_order_code kh_judge_attestation(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32])
{
    kh_attestation a;
    uint8_t statement[32];
    if (kh_attestation_read(tx->p, tx->n, &a) != KH_OK || memcmp(a.chain, o->chain, 32) != 0) return KH_R_MALFORMED;
    int place = kh_hub_place(o, a.hub);
    if (place < 0) return KH_R_NOT_AUTHORISED;
    if (!signed_by_hub(o, &a, (uint32_t)place, digest)) {
        at->forged = true;
        return KH_R_NOT_AUTHORISED;
    }
    if (a.epoch == 0 || a.epoch > o->hubs.epoch || a.height < o->initial_height || a.height >= at->height)
        return KH_R_NOT_AUTHORISED;
    uint32_t losses = kh_order_losses(o, a.height);
    if (kh_attest_losses(a.flags) != losses) return kh_attest_losses(a.flags) < losses ? KH_R_REPEATED : KH_R_NOT_AUTHORISED;
    kh_sha256(tx->p + 4, KH_ATTEST_STATEMENT_SZ, statement);
    kh_word *word = word_of(o, &a);
    if (word != NULL && ((word->flags & KH_WORD_LIED) != 0 || memcmp(word->statement, statement, 32) == 0)) return KH_R_REPEATED;
    const uint8_t *own = kh_apps_find(o, a.height);
    if (own == NULL && a.height <= ((a.flags & KH_ATTEST_CHECKPOINT) != 0 ? o->checkpoint : o->attested)) return KH_R_REPEATED;
    if (word != NULL || (own != NULL && memcmp(own, a.app_hash, 32) != 0) || against_quorum(o, &a, statement))
        return lie(o, at, &a, word);
    at->effect = true;
    if (!at->apply) return KH_R_OK;
    uint32_t others = agreeing(o, &a, statement);
    kh_word said = blank(&a, a.hub, KH_WORD_SAID);
    memcpy(said.statement, statement, 32);
    kh_words_remember(o, &said);
    at->err = count(o, &a, statement, others);
    return KH_R_OK;
}

bool kh_order_said(const kh_order *o, uint64_t height, bool checkpoint, uint32_t hub, uint8_t ret[32])
{
    const kh_attestation about = {.height = height, .flags = checkpoint ? KH_ATTEST_CHECKPOINT : 0, .hub = hub};
    const kh_word *w = word_of(o, &about);
    if (w == NULL) return false;
    if ((w->flags & KH_WORD_LIED) != 0) memset(ret, 0, 32);
    else memcpy(ret, w->statement, 32);
    return true;
}
