/* words: what hubs attest: which heights a quorum agrees on, and who contradicts whom.
 *
 * Of each height and hub one statement counts, the first. Who contradicts this chain's own app hash, itself, or a quorum, lies
 * and is named as proven; where two differ and there is no quorum yet, both are named as not proven, and the quorum, when it
 * comes, proves the others. */
#include "order/inside.h"

static uint32_t place_of(const kh_order *o, uint64_t height, uint32_t hub)
{
    uint32_t low = 0, high = o->word_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const kh_word *w = &o->words[middle];
        if (w->height < height || (w->height == height && w->hub < hub)) low = middle + 1;
        else high = middle;
    }
    return low;
}

static kh_word *word_of(const kh_order *o, uint64_t height, uint32_t hub)
{
    uint32_t i = place_of(o, height, hub);
    return i < o->word_cnt && o->words[i].height == height && o->words[i].hub == hub ? &o->words[i] : NULL;
}

/* Remembers a word; where there is no room the lowest height goes, or this one where it is the lowest. */
static void remember(kh_order *o, const kh_word *word)
{
    uint32_t i = place_of(o, word->height, word->hub);
    if (o->word_cnt == KH_WORDS_MAX) {
        if (i == 0) return;
        memmove(o->words, o->words + 1, (size_t)--o->word_cnt * sizeof *o->words);
        i--;
    }
    memmove(&o->words[i + 1], &o->words[i], (size_t)(o->word_cnt - i) * sizeof *o->words);
    o->words[i] = *word;
    o->word_cnt++;
}

void kh_words_forget(kh_order *o, uint64_t height) { o->word_cnt = place_of(o, height, 0); }

/* Hubs of the set that said this of a height and were not found to lie. */
static uint32_t agreeing(const kh_order *o, uint64_t height, const uint8_t statement[32])
{
    uint32_t cnt = 0;
    for (uint32_t i = place_of(o, height, 0); i < o->word_cnt && o->words[i].height == height; i++)
        cnt += o->words[i].flags == KH_WORD_SAID && memcmp(o->words[i].statement, statement, 32) == 0 &&
               kh_hub_place(o, o->words[i].hub) >= 0;
    return cnt;
}

static uint32_t quorum_of(const kh_order *o) { return o->hubs.cnt / 2 + 1; }

static bool against_quorum(const kh_order *o, uint64_t height, const uint8_t statement[32])
{
    for (uint32_t i = place_of(o, height, 0); i < o->word_cnt && o->words[i].height == height; i++)
        if (memcmp(o->words[i].statement, statement, 32) != 0 && agreeing(o, height, o->words[i].statement) >= quorum_of(o))
            return true;
    return false;
}

static kh_err move_up(kh_order *o, const kh_attestation *a)
{
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
    for (uint32_t i = place_of(o, a->height, 0); i < o->word_cnt && o->words[i].height == a->height && err == KH_OK; i++) {
        kh_word *w = &o->words[i];
        if (w->flags != KH_WORD_SAID || memcmp(w->statement, statement, 32) == 0) continue;
        differs = true;
        if (agreed) w->flags |= KH_WORD_LIED;
        err = kh_built_liar(o, w->hub, a->height, agreed);
    }
    return err == KH_OK && differs && !agreed ? kh_built_liar(o, a->hub, a->height, false) : err;
}

static kh_order_code lie(kh_order *o, kh_at *at, const kh_attestation *a, kh_word *word)
{
    at->effect = true;
    if (at->apply) {
        if (word != NULL) word->flags |= KH_WORD_LIED;
        else remember(o, &(kh_word){.height = a->height, .hub = a->hub, .flags = KH_WORD_LIED});
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
    kh_sha256(tx->p + 4, KH_ATTEST_STATEMENT_SZ, statement);
    kh_word *word = word_of(o, a.height, a.hub);
    if (word != NULL && ((word->flags & KH_WORD_LIED) != 0 || memcmp(word->statement, statement, 32) == 0)) return KH_R_REPEATED;
    const uint8_t *own = kh_apps_find(o, a.height);
    if (own == NULL && a.height <= o->attested) return KH_R_REPEATED;
    if (word != NULL || (own != NULL && memcmp(own, a.app_hash, 32) != 0) || against_quorum(o, a.height, statement))
        return lie(o, at, &a, word);
    at->effect = true;
    if (!at->apply) return KH_R_OK;
    uint32_t others = agreeing(o, a.height, statement);
    kh_word said = {.height = a.height, .hub = a.hub, .flags = KH_WORD_SAID};
    memcpy(said.statement, statement, 32);
    remember(o, &said);
    at->err = count(o, &a, statement, others);
    return KH_R_OK;
}
