/* views: documents as readers want them, the walk over all of them, and over those of one owner. */
#include "ledger/machine.h"

static void copy_text(kh_text text, char *ret, uint32_t *ret_n)
{
    if (text.n != 0) memcpy(ret, text.p, text.n);
    ret[text.n] = 0;
    *ret_n = text.n;
}

static void view_balance(const kh_ledger *l, const kh_record *rec, uint32_t doc_cold, uint32_t bank, kh_balance_view *ret)
{
    const kh_active *a = &l->active[l->cold[rec->cold].active];
    kh_room room;
    kh_balance_room(l, rec, 0, &room);
    kh_parts own = kh_balance_share(l, a, bank);
    *ret = (kh_balance_view){.currency = rec->currency,
                             .base = rec->base,
                             .red = kh_red_of(l, &rec->key, doc_cold, rec->currency),
                             .cap = rec->cap,
                             .held = a->held,
                             .used = a->used,
                             .consumed = a->consumed,
                             .free = room.free,
                             .over_limit = (rec->quad.flags & KH_REC_OVER_LIMIT) != 0,
                             .own_held = own.held,
                             .own_used = own.used,
                             .own_consumed = own.consumed};
}

static void view(const kh_ledger *l, uint32_t first, uint32_t bank, kh_doc_view *ret)
{
    const kh_record *rec = kh_rec(l, first);
    const kh_cold *cold = &l->cold[rec->cold];
    memset(ret, 0, sizeof *ret);
    ret->key = rec->key;
    ret->kind = kh_doc_key_kind(&rec->key);
    ret->status = (kh_status)rec->quad.status;
    ret->date = rec->date;
    ret->version = cold->version;
    ret->contract = cold->extra == 0 ? 0 : l->extra[cold->extra].contract;
    if (cold->number != 0) copy_text(kh_texts_get(l, cold->number), ret->number, &ret->number_n);
    else ret->number_n = kh_doc_key_number(&rec->key, ret->number);
    ret->number[ret->number_n] = 0;
    copy_text(kh_texts_get(l, cold->issuer), ret->issuer, &ret->issuer_n);
    copy_text(kh_texts_get(l, cold->owner), ret->owner, &ret->owner_n);
    ret->similar = (rec->quad.flags & KH_REC_SIMILAR) != 0;
    ret->frozen = (rec->quad.flags & KH_REC_FROZEN) != 0;
    ret->last = kh_place_unpack(cold->last);
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        const kh_record *one = kh_rec(l, at);
        const kh_active *a = &l->active[l->cold[one->cold].active];
        if (ret->link_group == 0) ret->link_group = a->group;
        if (one->currency == 0 || (a->flags & KH_ACTIVE_GONE && one->quad.taken == 0)) continue;
        uint32_t i = ret->balance_cnt++;
        for (; i > 0 && ret->balances[i - 1].currency > one->currency; i--) ret->balances[i] = ret->balances[i - 1];
        view_balance(l, one, rec->cold, bank, &ret->balances[i]);
    }
}

bool kh_ledger_paper(const kh_ledger *l, const kh_key *key, kh_paper_view *ret)
{
    uint32_t record = kh_index_find(l->index, key);
    if (record == KH_RECORD_NONE) return false;
    const kh_cold *cold = &l->cold[kh_rec(l, record)->cold];
    *ret = (kh_paper_view){.kind = kh_doc_key_kind(key)};
    if (cold->number != 0) copy_text(kh_texts_get(l, cold->number), ret->number, &ret->number_n);
    else ret->number_n = kh_doc_key_number(key, ret->number);
    ret->number[ret->number_n] = 0;
    copy_text(kh_texts_get(l, cold->issuer), ret->issuer, &ret->issuer_n);
    return true;
}

void kh_ledger_papers_ahead(const kh_ledger *l, const kh_key *keys, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) kh_index_prefetch_bucket(l->index, &keys[i]);
    for (uint32_t i = 0; i < n; i++) kh_index_prefetch_record(l->index, &keys[i]);
}

bool kh_ledger_document(const kh_ledger *l, const kh_key *key, uint32_t bank, kh_doc_view *ret)
{
    kh_key meant;
    uint32_t first = kh_identity_follow(l, key, &meant);
    if (first != KH_RECORD_NONE) view(l, first, bank, ret);
    return first != KH_RECORD_NONE;
}

bool kh_ledger_document_next(const kh_ledger *l, uint64_t *cursor, kh_doc_view *ret)
{
    uint64_t cnt = l->state->regions[KH_REGION_INDEX_RECORDS].row_cnt;
    for (uint64_t at = *cursor; at < cnt; at++) {
        const kh_record *rec = kh_rec(l, (uint32_t)at);
        if (rec->quad.flags & KH_REC_ALIAS || rec->cold == 0 || kh_index_find(l->index, &rec->key) != at) continue;
        *cursor = at + 1;
        view(l, (uint32_t)at, 0, ret);
        return true;
    }
    *cursor = cnt;
    return false;
}

uint32_t kh_ledger_owner_walk(const kh_ledger *l, uint64_t *cursor, uint32_t rows, kh_text owner, kh_key ret_keys[], uint32_t max)
{
    uint64_t cnt = l->state->regions[KH_REGION_INDEX_RECORDS].row_cnt, at = *cursor, end = kh_min64(cnt, at + rows);
    uint32_t text = kh_texts_find(l, owner), check = kh_owner_check(owner), n = 0;
    if (text == 0) end = at = cnt; /* nobody has such an owner */
    for (; at < end && n < max; at++) {
        const kh_record *rec = kh_rec(l, (uint32_t)at);
        if (rec->owner_check != check || rec->quad.flags & KH_REC_ALIAS || rec->cold == 0) continue;
        if (l->cold[rec->cold].owner != text || kh_index_find(l->index, &rec->key) != at) continue;
        ret_keys[n++] = rec->key;
    }
    *cursor = at >= cnt ? KH_WALK_END : at;
    return n;
}

/* ---- cursors: a Feistel network of four rounds over the two halves ---- */

static uint32_t round_of(const kh_ledger *l, uint32_t party, uint32_t n, uint32_t half)
{
    return (uint32_t)(kh_mix(kh_mix(l->secret[0] ^ half, (uint64_t)party << 8 | n), l->secret[1]) >> 32);
}

uint64_t kh_ledger_cursor_seal(const kh_ledger *l, uint32_t party, uint64_t cursor)
{
    uint32_t left = (uint32_t)(cursor >> 32), right = (uint32_t)cursor;
    for (uint32_t n = 0; n < 4; n++) {
        uint32_t next = left ^ round_of(l, party, n, right);
        left = right;
        right = next;
    }
    return (uint64_t)left << 32 | right;
}

uint64_t kh_ledger_cursor_open(const kh_ledger *l, uint32_t party, uint64_t sealed)
{
    uint32_t left = (uint32_t)(sealed >> 32), right = (uint32_t)sealed;
    for (uint32_t n = 4; n-- > 0;) {
        uint32_t before = right ^ round_of(l, party, n, left);
        right = left;
        left = before;
    }
    return (uint64_t)left << 32 | right;
}
