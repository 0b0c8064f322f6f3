/* judge: who speaks for whom: which batches open, which bundles are a party's own, which operations a sender may order. A
 * function of the order's state at the block alone, so that all hubs say the same. */
#include "hub/parts.h"
#include <stdlib.h>

enum { FRAME_MIN_SZ = 24 };

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0) return false;
    return true;
}

const kh_kept_member *kh_work_member(const kh_work *w, uint32_t id)
{
    uint32_t low = 0, high = w->member_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (w->members[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return low < w->member_cnt && w->members[low].id == id ? &w->members[low] : NULL;
}

/* Members, rules and rates change by what officers sign, and nothing else. */
static bool officers_own(const kh_work *w, const kh_op *op)
{
    switch (op->type) {
    case KH_OP_RULE_SET:
    case KH_OP_RATE_SET: return true;
    case KH_OP_PARTY_ADD: return op->party_add.role != KH_ROLE_ENTERPRISE || kh_work_member(w, op->party_add.id) != NULL;
    case KH_OP_PARTY_STATUS: return kh_work_member(w, op->party_status.id) != NULL;
    default: return false;
    }
}

/* A source's documents are of its own feed. */
static bool of_its_feed(const kh_kept_member *party, const kh_op *op)
{
    return op->type != KH_OP_DOCUMENT || party == NULL || party->role != KH_MEMBER_SOURCE || op->document.source == party->id;
}

static bool is_party(const kh_kept_member *m) { return m->role != KH_MEMBER_HUB && (m->flags & KH_MEMBER_EXPELLED) == 0; }

kh_code kh_judge_own(const kh_hub *h, const kh_work *w, const kh_kept_member *sender, const kh_op *op)
{
    const kh_kept_member *party = kh_work_member(w, op->party);
    bool speaks = sender->role != KH_MEMBER_HUB && sender->id == op->party;
    if (sender->role == KH_MEMBER_HUB && h->options.genesis->hubs_speak && op->party != 0)
        speaks = party == NULL || (is_party(party) && party->role != KH_MEMBER_BANK);
    return speaks && !officers_own(w, op) && of_its_feed(party, op) ? KH_C_OK : KH_C_NOT_AUTHORISED;
}

kh_code kh_judge_bundled(const kh_work *w, uint32_t party, const kh_op *op)
{
    bool good = op->party == party && !officers_own(w, op) && of_its_feed(kh_work_member(w, party), op);
    return good ? KH_C_OK : KH_C_NOT_AUTHORISED;
}

/* An enterprise's key is what the ledger had of it before this block: a block's own registrations count from the next one on, so
 * that all hubs say the same however far they are, and say it again after a restart. */
static kh_err enterprise_key(kh_hub *h, const kh_work *w, uint32_t party, uint8_t ret[KH_PUBLIC_SZ])
{
    uint64_t cursor = 0, since = 0;
    bool found;
    kh_err err = h->key_block != 0 ? kh_hub_settle(h, 0) : KH_OK; /* what is under way may hold one */
    if (err != KH_OK) return err;
    if (h->key_block < w->height) h->key_block = 0;
    do {
        const kh_ledger *l = kh_store_read_begin(h->options.store);
        found = kh_ledger_party_key(l, party, &cursor, &since, ret);
        kh_store_read_end(h->options.store);
    } while (found && kh_store_block_of(h->options.store, since) >= w->height);
    if (!found) memset(ret, 0, KH_PUBLIC_SZ);
    return KH_OK;
}

kh_err kh_judge_bundle(kh_hub *h, const kh_work *w, const kh_section *section, bool *ret_good)
{
    uint8_t key[KH_PUBLIC_SZ] = {0};
    const kh_kept_member *m = kh_work_member(w, section->party);
    kh_err err = KH_OK;
    *ret_good = false;
    if (section->number == 0 || section->party == 0 || memcmp(section->chain, h->chain, 32) != 0) return KH_OK;
    if (m == NULL) err = enterprise_key(h, w, section->party, key);
    else if ((m->role == KH_MEMBER_REGULATOR || m->role == KH_MEMBER_SOURCE) && is_party(m)) memcpy(key, m->sender, sizeof key);
    *ret_good = err == KH_OK && !is_zero(key, sizeof key) && kh_bundle_signed_by(h->suite, section, key);
    return err;
}

static bool frames_whole(const uint8_t *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        if (n - at < FRAME_MIN_SZ) return false;
        uint32_t size = kh_load32(p + at);
        if (size < FRAME_MIN_SZ || size % 8 != 0 || size > KH_OP_MAX_SZ || size > n - at) return false;
        at += size;
    }
    return true;
}

static bool text_whole(const uint8_t *text, size_t n)
{
    size_t at = 0;
    kh_section section;
    kh_err err;
    while ((err = kh_section_next(text, n, &at, &section)) == KH_OK)
        if (!frames_whole(section.frames, section.frames_sz)) return false;
    return err == KH_E_NOT_FOUND;
}

static bool epoch_good(const kh_work *w, uint32_t epoch)
{
    return epoch != 0 && (epoch == w->epoch || (epoch == w->epoch_before && w->height <= w->before_until));
}

kh_err kh_judge_open(const kh_hub *h, const kh_work *w, const kh_kept_item *item, const uint8_t *body, size_t n, bool *ret_good,
                     uint8_t **ret_text, size_t *ret_n)
{
    kh_envelope_head head;
    const kh_kept_member *sender = kh_work_member(w, item->sender);
    *ret_good = false;
    if (sender == NULL || n != item->size || kh_envelope_read(body, n, &head) != KH_OK || head.suite != h->suite ||
        memcmp(head.chain, h->chain, 32) != 0 || head.sender != item->sender || head.incarnation != item->incarnation ||
        head.sequence != item->sequence || !epoch_good(w, head.epoch) || !kh_envelope_signed_by(body, n, sender->sender))
        return KH_OK;
    if (head.epoch > h->options.epoch_cnt || h->options.groups[head.epoch - 1] == NULL) return KH_E_NOT_FOUND;
    if (!kh_envelope_open(body, n, h->options.groups[head.epoch - 1], false, ret_text, ret_n)) return KH_OK;
    *ret_good = text_whole(*ret_text, *ret_n);
    if (!*ret_good) free(*ret_text);
    return KH_OK;
}
