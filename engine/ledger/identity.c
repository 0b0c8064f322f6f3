/* identity: which document a key, a number or an LRN means. An alias is a record of its own that names another key: an LRN its
 * MRN, a corrected invoice its predecessor. An alias to nothing (an LRN that several declarants use, named without one) finds
 * nothing. */
#include "ledger/machine.h"

#define HOPS_MAX 8

static kh_key alias_target(const kh_record *rec)
{
    kh_key key;
    kh_store64(key.b, rec->cap);
    kh_store64(key.b + 8, rec->base);
    return key;
}

uint32_t kh_identity_follow(const kh_ledger *l, const kh_key *key, kh_key *ret_key)
{
    *ret_key = *key;
    for (uint32_t hop = 0; hop < HOPS_MAX; hop++) {
        uint32_t record = kh_index_find(l->index, ret_key);
        if (record == KH_RECORD_NONE) return KH_RECORD_NONE;
        const kh_record *rec = kh_rec(l, record);
        if ((rec->quad.flags & KH_REC_ALIAS) == 0) return record;
        *ret_key = alias_target(rec);
    }
    return KH_RECORD_NONE;
}

bool kh_identity_same_text(const kh_ledger *l, uint32_t cold, kh_text number, kh_text issuer)
{
    const kh_cold *c = &l->cold[cold];
    return c->number == 0 ||
           (kh_text_equal(kh_texts_get(l, c->number), number) && kh_text_equal(kh_texts_get(l, c->issuer), issuer));
}

void kh_identity_texts(kh_ledger *l, uint32_t cold, const kh_key *key, kh_text number, kh_text issuer)
{
    l->cold[cold].number = kh_doc_key_packs(key) ? 0 : kh_texts_intern(l, number);
    l->cold[cold].issuer = kh_texts_intern(l, issuer);
}

void kh_identity_write_alias(kh_ledger *l, uint32_t record, const kh_key *from, const kh_key *to, uint32_t cold)
{
    kh_record *rec = kh_rec(l, record);
    rec->key = *from;
    rec->cap = kh_load64(to->b);
    rec->base = kh_load64(to->b + 8);
    rec->next = KH_RECORD_NONE;
    rec->cold = cold;
    rec->quad = (kh_quad){.flags = KH_REC_ALIAS};
}

void kh_identity_alias(kh_ledger *l, const kh_key *from, const kh_key *to, kh_text number, kh_text issuer)
{
    if (kh_key_equal(from, to) || kh_index_find(l->index, from) != KH_RECORD_NONE) return;
    if (!kh_rows_left(l, KH_R_COLD, 1) || !kh_texts_room(l, number.n + issuer.n)) return;
    uint32_t record = kh_index_alloc(l->index, l->head->height);
    if (record == KH_RECORD_NONE) return;
    uint32_t cold = kh_rows_take_reused(l, KH_R_COLD, &l->head->free_colds);
    kh_identity_texts(l, cold, from, number, issuer);
    kh_identity_write_alias(l, record, from, to, cold);
    if (kh_index_put(l->index, record) != KH_OK) {
        kh_rows_give(l, KH_R_COLD, &l->head->free_colds, cold);
        kh_index_retire(l->index, record, l->head->height);
        return;
    }
    l->head->check += kh_record_check(l, kh_rec(l, record));
    l->head->aliases++;
    kh_refs_move(l, from, to);
}

void kh_identity_clear(kh_ledger *l, const kh_key *key)
{
    uint32_t record = kh_index_find(l->index, key);
    if (record == KH_RECORD_NONE) return;
    KH_ASSERT(kh_rec(l, record)->quad.flags & KH_REC_ALIAS);
    l->head->check -= kh_record_check(l, kh_rec(l, record));
    l->head->aliases--;
    kh_rows_give(l, KH_R_COLD, &l->head->free_colds, kh_rec(l, record)->cold);
    l->records_moved++;
    kh_index_remove(l->index, record);
    kh_index_retire(l->index, record, l->head->height);
}

/* An LRN without its issuer means the only declaration that has it: a second one makes it mean none. */
static void tie_bare(kh_ledger *l, const kh_key *bare, const kh_key *to, kh_text lrn)
{
    static const kh_key nothing;
    kh_key meant;
    uint32_t old = kh_index_find(l->index, bare);
    if (old == KH_RECORD_NONE) {
        kh_identity_alias(l, bare, to, lrn, (kh_text){NULL, 0});
        return;
    }
    if ((kh_rec(l, old)->quad.flags & KH_REC_ALIAS) == 0) return;
    (void)kh_identity_follow(l, bare, &meant);
    if (kh_key_equal(&meant, to)) return;
    uint32_t record = kh_index_alloc(l->index, l->head->height);
    if (record == KH_RECORD_NONE) return;
    kh_identity_write_alias(l, record, bare, &nothing, kh_rec(l, old)->cold);
    l->head->check += kh_record_check(l, kh_rec(l, record)) - kh_record_check(l, kh_rec(l, old));
    kh_records_swap(l, old, record);
    kh_index_retire(l->index, old, l->head->height);
}

void kh_identity_tie(kh_ledger *l, const kh_op_document *d, uint32_t first)
{
    const kh_key to = kh_rec(l, first)->key;
    const kh_kind kind = kh_doc_key_kind(&to);
    const kh_text none = {NULL, 0};
    bool own = (d->flags & KH_DOCF_LRN_KEY) != 0;
    kh_text lrn = own ? d->number : d->lrn, issuer = own ? d->issuer : d->lrn_issuer;
    if (!kh_kind_is_declaration(kind) || lrn.n == 0) return;
    kh_key full = kh_doc_key(kind, lrn, issuer), bare = kh_doc_key(kind, lrn, none);
    if (issuer.n != 0) kh_identity_alias(l, &full, &to, lrn, issuer);
    if (!kh_key_equal(&bare, &to)) tie_bare(l, &bare, &to, lrn);
}

static uint32_t resolve_number(const kh_ledger *l, kh_kind kind, kh_text number, kh_text issuer)
{
    kh_key key, meant;
    for (uint32_t k = KH_KIND_EXPORT_DECLARATION; k <= KH_KIND_IMPORT_DECLARATION; k++) {
        key = kh_doc_key(kind == KH_KIND_ANY ? (kh_kind)k : kind, number, issuer);
        uint32_t first = kh_identity_follow(l, &key, &meant);
        if (first != KH_RECORD_NONE || kind != KH_KIND_ANY) return first;
    }
    return KH_RECORD_NONE;
}

uint32_t kh_identity_resolve(const kh_ledger *l, const kh_op_document *d, bool *ret_by_lrn)
{
    kh_kind kind = (kh_kind)d->kind;
    uint32_t first = d->number.n == 0 ? KH_RECORD_NONE : resolve_number(l, kind, d->number, d->issuer);
    *ret_by_lrn = false;
    if (first != KH_RECORD_NONE || d->lrn.n == 0) return first;
    *ret_by_lrn = true;
    return resolve_number(l, kind, d->lrn, d->lrn_issuer);
}

bool kh_identity_move(kh_ledger *l, uint32_t first, const kh_key *key, kh_text number, kh_text issuer, uint32_t *ret_first)
{
    const kh_record *rec = kh_rec(l, first);
    const kh_key old_key = rec->key;
    uint32_t cold = rec->cold;
    kh_content content;
    if (!kh_rows_left(l, KH_R_COLD, 1) || !kh_texts_room(l, number.n + issuer.n)) return false;
    uint32_t alias = kh_index_alloc(l->index, l->head->height);
    if (alias == KH_RECORD_NONE) return false;
    kh_records_content(l, first, &content);
    uint32_t alias_cold = kh_rows_take_reused(l, KH_R_COLD, &l->head->free_colds);
    l->cold[alias_cold].number = l->cold[cold].number;
    l->cold[alias_cold].issuer = l->cold[cold].issuer;
    kh_identity_write_alias(l, alias, &old_key, key, alias_cold);
    kh_records_swap(l, first, alias);
    kh_refs_move(l, &old_key, key);
    if (!kh_records_store(l, first, key, &content, (kh_status)rec->quad.status, cold, ret_first)) {
        kh_refs_move(l, key, &old_key);
        kh_records_swap(l, alias, first);
        kh_index_retire(l->index, alias, l->head->height);
        kh_rows_give(l, KH_R_COLD, &l->head->free_colds, alias_cold);
        return false;
    }
    kh_identity_texts(l, cold, key, number, issuer);
    kh_waiting_move(l, &old_key, key);
    uint32_t extra = l->cold[cold].extra; /* what it names is named by its new key now */
    for (uint32_t row = extra == 0 ? 0 : l->extra[extra].refs; row != 0; row = l->ref[row].next) l->ref[row].from = *key;
    l->head->check += kh_record_check(l, kh_rec(l, alias));
    l->head->aliases++;
    return true;
}
