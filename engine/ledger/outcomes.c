/* outcomes: receipts and notices on their way out, each with the chains that it joins: its party's, its document's, its
 * financing's. */
#include "ledger/machine.h"

#define INDEX_BITS 24

void kh_place_count(kh_ledger *l, uint32_t outcome_index)
{
    l->outcome_index = outcome_index;
    l->here = l->head->height << INDEX_BITS | kh_min64(outcome_index, (UINT64_C(1) << INDEX_BITS) - 1);
}

kh_place kh_place_unpack(kh_packed place)
{
    return (kh_place){place >> INDEX_BITS, (uint32_t)(place & ((UINT64_C(1) << INDEX_BITS) - 1)), 0};
}

static inline kh_touch *join(kh_ledger *l, uint8_t what, kh_packed *last)
{
    kh_packed here = l->here;
    if (*last == here || l->touch_cnt == KH_TOUCH_MAX) return NULL;
    kh_touch *t = &l->touches[l->touch_cnt++];
    t->what = what;
    t->prev = kh_place_unpack(*last);
    *last = here;
    return t;
}

void kh_touch_party(kh_ledger *l, uint32_t party)
{
    uint32_t row = party == l->speaker_id ? l->speaker : party == 0 ? 0 : kh_parties_find(l, party);
    if (party != 0 && row == 0) return;
    kh_touch *t = join(l, 2, row == 0 ? &l->head->operator_last : &l->party[row].last);
    if (t == NULL) return;
    memset(t->key.b, 0, sizeof t->key.b);
    kh_store32(t->key.b, party);
}

void kh_touch_document(kh_ledger *l, uint32_t record)
{
    kh_touch *t = join(l, 1, &l->cold[kh_records_cold(l, record)].last);
    if (t != NULL) t->key = kh_rec(l, record)->key;
}

void kh_touch_fin(kh_ledger *l, uint32_t fin)
{
    kh_fin *f = &l->fin[fin];
    kh_touch *t = join(l, 3, &f->last);
    if (t == NULL) return;
    memset(t->key.b, 0, sizeof t->key.b);
    kh_store32(t->key.b, f->bank);
    kh_store64(t->key.b + 8, f->id);
}

static void emit(kh_ledger *l, kh_outcome *outcome)
{
    outcome->index = l->outcome_index;
    outcome->op_index = l->op_index;
    outcome->touches = l->touches;
    outcome->touch_cnt = l->touch_cnt;
    l->sink->emit(l->sink->self, outcome);
    l->touch_cnt = 0;
    kh_place_count(l, l->outcome_index + 1);
}

void kh_emit_receipt(kh_ledger *l, const kh_receipt *receipt)
{
    size_t n = kh_receipt_encode(receipt, l->receipt_bytes);
    kh_outcome outcome = {.bytes = l->receipt_bytes, .bytes_sz = (uint32_t)n, .receipt = receipt};
    emit(l, &outcome);
}

void kh_emit_notice(kh_ledger *l, const kh_notice *notice)
{
    uint8_t bytes[KH_NOTICE_SZ];
    size_t n = kh_notice_encode(notice, bytes);
    kh_outcome outcome = {.is_notice = 1, .bytes = bytes, .bytes_sz = (uint32_t)n, .notice = notice};
    emit(l, &outcome);
}
