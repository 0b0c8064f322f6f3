/* records: a document's records, one a balance, chained; only the first stands in the index. What readers can reach is never
 * changed in place but for the quad: an amendment writes new records and swaps the first. */
#include "ledger/machine.h"

void kh_records_chain(const kh_ledger *l, uint32_t first, kh_doc_chain *ret)
{
    ret->n = 0;
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) ret->records[ret->n++] = at;
}

uint32_t kh_records_extra(kh_ledger *l, uint32_t cold)
{
    if (l->cold[cold].extra == 0) l->cold[cold].extra = kh_rows_take(l, KH_R_EXTRA);
    KH_ASSERT(l->cold[cold].extra != 0);
    return l->cold[cold].extra;
}

/* The document's content: balances by rising currency; one that was taken out by an amendment while it was in use is none. */
void kh_records_content(const kh_ledger *l, uint32_t first, kh_content *ret)
{
    const kh_record *rec = kh_rec(l, first);
    uint32_t extra = l->cold[rec->cold].extra;
    *ret = (kh_content){.date = rec->date, .contract = extra == 0 ? 0 : l->extra[extra].contract};
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        rec = kh_rec(l, at);
        if (rec->currency == 0 || l->active[l->cold[rec->cold].active].flags & KH_ACTIVE_GONE) continue;
        uint32_t i = ret->n++;
        for (; i > 0 && ret->balances[i - 1].currency > rec->currency; i--) ret->balances[i] = ret->balances[i - 1];
        ret->balances[i] = (kh_op_balance){rec->currency, rec->base};
    }
}

uint64_t kh_content_digest(const kh_content *c)
{
    uint8_t bytes[16 + KH_DOC_BALANCES_MAX * 16] = {0};
    kh_store16(bytes, c->date);
    kh_store64(bytes + 8, c->contract);
    for (uint32_t i = 0; i < c->n; i++) {
        kh_store64(bytes + 16 + i * 16, c->balances[i].currency);
        kh_store64(bytes + 24 + i * 16, c->balances[i].base);
    }
    return kh_xxh3(bytes, 16 + (size_t)c->n * 16);
}

typedef struct slot {
    kh_currency currency;
    bool gone;
    uint32_t active;
    uint64_t base;
} slot;

/* The balances of the new version: those that stay keep their order (a used one that is gone stays with base 0), new ones follow.
 */
static uint32_t arrange(const kh_ledger *l, uint32_t old_first, const kh_content *c, slot ret[2 * KH_DOC_BALANCES_MAX])
{
    uint32_t n = 0;
    bool taken[KH_DOC_BALANCES_MAX] = {false};
    for (uint32_t at = old_first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        const kh_record *rec = kh_rec(l, at);
        slot s = {rec->currency, true, l->cold[rec->cold].active, 0};
        for (uint32_t i = 0; i < c->n; i++) {
            if (c->balances[i].currency != rec->currency) continue;
            s.base = c->balances[i].base;
            s.gone = false;
            taken[i] = true;
        }
        if (!s.gone || s.active != 0) ret[n++] = s;
    }
    for (uint32_t i = 0; i < c->n; i++)
        if (!taken[i]) ret[n++] = (slot){c->balances[i].currency, false, 0, c->balances[i].base};
    if (n == 0) ret[n++] = (slot){0, false, 0, 0};
    return n;
}

static void retire_chain(kh_ledger *l, const kh_doc_chain *old, uint32_t keep_cold)
{
    for (uint32_t i = 0; i < old->n; i++) {
        const kh_record *rec = kh_rec(l, old->records[i]);
        l->head->check -= kh_record_check(l, rec);
        if (rec->cold != keep_cold) kh_rows_give(l, KH_R_COLD, &l->head->free_colds, rec->cold);
        kh_index_retire(l->index, old->records[i], l->head->height);
    }
}

static void fill(kh_ledger *l, kh_record *rec, const slot *s, const kh_key *key, const kh_content *c, kh_status status,
                 uint32_t cold, uint8_t flags)
{
    rec->key = *key;
    rec->base = s->base;
    rec->currency = s->currency;
    rec->date = c->date;
    rec->owner_check = kh_texts_owner_check(l, l->cold[cold].owner);
    rec->cap = kh_balance_cap(l, kh_doc_key_kind(key), status, s->base, kh_red_of(l, key, cold, s->currency));
    rec->quad = (kh_quad){.version = (uint16_t)l->cold[cold].version, .status = (uint8_t)status, .flags = flags};
    if (s->active == 0) return;
    const kh_quad was = kh_rec(l, l->active[s->active].record)->quad;
    rec->quad.taken = was.taken;
    rec->quad.updates = was.updates + 1;
    rec->quad.flags |= was.flags & (KH_REC_OVER_LIMIT | KH_REC_GROUP | KH_REC_ACTIVE);
}

static void give_back(kh_ledger *l, const uint32_t records[], uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) kh_index_retire(l->index, records[i], l->head->height);
}

bool kh_records_store(kh_ledger *l, uint32_t old_first, const kh_key *key, const kh_content *c, kh_status status, uint32_t cold,
                      uint32_t *ret_first)
{
    slot slots[2 * KH_DOC_BALANCES_MAX];
    uint32_t records[KH_DOC_BALANCES_MAX], n = arrange(l, old_first, c, slots);
    kh_doc_chain old = {.n = 0};
    bool same_key = false;
    uint8_t flags = n > 1 ? KH_REC_MORE : 0;
    if (n > KH_DOC_BALANCES_MAX || !kh_rows_left(l, KH_R_COLD, n)) return false;
    for (uint32_t i = 0; i < n; i++) {
        records[i] = kh_index_alloc(l->index, l->head->height);
        if (records[i] != KH_RECORD_NONE) continue;
        give_back(l, records, i);
        return false;
    }
    if (old_first != KH_RECORD_NONE) {
        kh_records_chain(l, old_first, &old);
        same_key = kh_key_equal(&kh_rec(l, old_first)->key, key);
        flags |= kh_rec(l, old_first)->quad.flags & (KH_REC_SIMILAR | KH_REC_FROZEN);
    }
    for (uint32_t i = 0; i < n; i++) {
        kh_record *rec = kh_rec(l, records[i]);
        fill(l, rec, &slots[i], key, c, status, cold, flags);
        rec->next = i + 1 < n ? records[i + 1] : KH_RECORD_NONE;
        rec->cold = i == 0 ? cold : kh_rows_take_reused(l, KH_R_COLD, &l->head->free_colds);
        if (i > 0) l->cold[rec->cold].owner = cold;
    }
    if (same_key) {
        kh_records_swap(l, old_first, records[0]);
    } else if (kh_index_put(l->index, records[0]) != KH_OK) {
        for (uint32_t i = 1; i < n; i++) kh_rows_give(l, KH_R_COLD, &l->head->free_colds, kh_rec(l, records[i])->cold);
        give_back(l, records, n);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        kh_record *rec = kh_rec(l, records[i]);
        l->head->check += kh_record_check(l, rec);
        l->cold[rec->cold].active = slots[i].active;
        if (slots[i].active == 0) continue;
        kh_active *a = &l->active[slots[i].active];
        a->record = records[i];
        a->flags = (uint8_t)(slots[i].gone ? a->flags | KH_ACTIVE_GONE : a->flags & ~KH_ACTIVE_GONE);
    }
    l->head->balances += n;
    l->head->balances -= old.n;
    retire_chain(l, &old, cold);
    *ret_first = records[0];
    return true;
}

void kh_records_flags(kh_ledger *l, uint32_t first, uint8_t set, uint8_t clear)
{
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        kh_record *rec = kh_rec(l, at);
        kh_record_set(l, rec, rec->quad.taken, (kh_record_word(rec) | kh_word_of_flags(set)) & ~kh_word_of_flags(clear));
    }
}

void kh_records_status(kh_ledger *l, uint32_t first, kh_status status)
{
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        kh_record *rec = kh_rec(l, at);
        kh_record_set(l, rec, rec->quad.taken, (kh_record_word(rec) & ~kh_word_of_status(0xff)) | kh_word_of_status(status));
    }
}
