/* outcomes: receipts and notices on their way out, each with the chains that it joins: its party's, its document's, its
 * financing's. */
#include "ledger/machine.h"

void kh_place_count(kh_ledger *l, uint32_t outcome_index)
{
    l->outcome_index = outcome_index;
    l->here = l->head->height << KH_PLACE_INDEX_BITS | kh_min64(outcome_index, KH_PLACE_INDEX_MAX);
}

kh_place kh_place_unpack(kh_packed place)
{
    return (kh_place){place >> KH_PLACE_INDEX_BITS, (uint32_t)place & KH_PLACE_INDEX_MAX, 0};
}

void kh_touch_party(kh_ledger *l, uint32_t party)
{
    uint32_t row = party == l->speaker_id ? l->speaker : party == 0 ? 0 : kh_parties_find(l, party);
    if (party != 0 && row == 0) return;
    kh_touch *t = kh_touch_join(l, 2, row == 0 ? &l->head->operator_last : &l->party[row].last);
    if (t != NULL) kh_touch_name(t, party, 0);
}

static inline void emit(kh_ledger *l, const uint8_t *bytes, size_t n, const kh_receipt *receipt, const kh_notice *notice)
{
    const kh_outcome outcome = {.is_notice = notice != NULL,
                                .index = l->outcome_index,
                                .op_index = l->op_index,
                                .bytes = bytes,
                                .bytes_sz = (uint32_t)n,
                                .receipt = receipt,
                                .notice = notice,
                                .touches = l->touches,
                                .touch_cnt = l->touch_cnt};
    l->sink->emit(l->sink->self, &outcome);
    l->touch_cnt = 0;
    kh_place_count(l, l->outcome_index + 1);
}

void kh_emit_receipt(kh_ledger *l, const kh_receipt *receipt)
{
    size_t n = kh_receipt_encode(receipt, l->receipt_bytes);
    emit(l, l->receipt_bytes, n, receipt, NULL);
}

void kh_emit_notice(kh_ledger *l, const kh_notice *notice)
{
    uint8_t bytes[KH_NOTICE_SZ];
    size_t n = kh_notice_encode(notice, bytes);
    emit(l, bytes, n, NULL, notice);
}
