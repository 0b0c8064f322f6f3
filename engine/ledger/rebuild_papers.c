/* rebuild_papers: documents with their balances and link groups, aliases, references, contracts and messages that wait, from
 * their leaves. Which lines are open and what a paper names are listed in its leaf too, but made from the leaves of financings
 * and of references: a list that says otherwise gives another digest. */
#include "ledger/rebuild.h"

static kh_key key_in_order(kh_rebuild *r)
{
    kh_key key = kh_rebuild_key(r);
    if (!kh_rebuild_sound(r)) return key;
    if (key.b[0] == KH_KIND_ANY || key.b[0] >= KH_KIND_CNT) kh_rebuild_refuse(r, "a key of no kind");
    if (memcmp(key.b, r->last.b, sizeof key.b) <= 0) kh_rebuild_refuse(r, "a leaf is not behind the one before it");
    r->last = key;
    return key;
}

static uint32_t new_record(kh_rebuild *r)
{
    uint32_t record = kh_rebuild_sound(r) ? kh_index_alloc(r->l->index, kh_max64(r->l->head->height, 1)) : KH_RECORD_NONE;
    if (record == KH_RECORD_NONE) kh_rebuild_full(r);
    return record;
}

/* ---- balances ---- */

static void read_shares(kh_rebuild *r, const kh_record *rec, uint64_t flags)
{
    kh_ledger *l = r->l;
    uint64_t banks = kh_rebuild_up_to(r, KH_DOC_BANKS_MAX), before = 0, taken = 0;
    if ((flags == 0 && banks == 0) || !kh_rebuild_rows(r, KH_R_SHARE, banks)) {
        if (kh_rebuild_sound(r) && rec->quad.taken != 0) kh_rebuild_refuse(r, "a balance is taken by nobody");
        return;
    }
    kh_active *a = &l->active[kh_balance_active(l, (uint32_t)(rec - l->record))];
    a->flags = (uint8_t)flags;
    a->bank_cnt = (uint8_t)banks;
    for (uint64_t i = 0; i < banks && kh_rebuild_sound(r); i++) {
        kh_share s = {.bank = (uint32_t)kh_rebuild_up_to(r, UINT32_MAX)};
        s.held = kh_rebuild_number(r);
        s.used = kh_rebuild_number(r);
        s.consumed = kh_rebuild_number(r);
        bool adds = kh_add64(taken, s.held, &taken) && kh_add64(taken, s.used, &taken) && kh_add64(taken, s.consumed, &taken);
        if (!adds || s.bank <= before || (s.held | s.used | s.consumed) == 0)
            kh_rebuild_refuse(r, "a balance's banks are not in order, or have no part");
        before = s.bank;
        a->held += s.held;
        a->used += s.used;
        a->consumed += s.consumed;
        if (banks == 1) {
            a->bank = s.bank;
        } else {
            uint32_t row = kh_rows_take(l, KH_R_SHARE);
            s.next = a->shares;
            l->share[row] = s;
            a->shares = row;
        }
    }
    if (taken != rec->quad.taken) kh_rebuild_refuse(r, "taken is not what a balance's banks have");
}

/* A group is made where the last of its members is read: then all are there. */
static void read_group(kh_rebuild *r, uint32_t record)
{
    kh_ledger *l = r->l;
    uint32_t members[KH_GROUP_MAX], n = (uint32_t)kh_rebuild_up_to(r, KH_GROUP_MAX);
    bool all = true, own = n == 0;
    for (uint32_t i = 0; i < n && kh_rebuild_sound(r); i++) {
        kh_key key = kh_rebuild_key(r);
        members[i] = kh_rebuild_balance(l, &key, kh_rebuild_up_to(r, UINT16_MAX));
        own |= members[i] == record;
        all &= members[i] != KH_RECORD_NONE;
    }
    if (!own) kh_rebuild_refuse(r, "a balance is not in its own link group");
    if (n == 0 || !all || !kh_rebuild_rows(r, KH_R_GROUP, 1) || !kh_rebuild_rows(r, KH_R_ACTIVE, n)) return;
    uint32_t group = kh_rows_take(l, KH_R_GROUP);
    l->head->groups++;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t active = kh_balance_active(l, members[i]);
        if (l->active[active].group != 0) kh_rebuild_refuse(r, "a balance stands in two link groups");
        l->active[active].group = group;
        l->group[group].members[l->group[group].cnt++] = active;
    }
}

static void read_balance(kh_rebuild *r, kh_record *rec)
{
    uint64_t quad = kh_rebuild_up_to(r, UINT32_MAX), name = kh_rebuild_number(r);
    rec->quad = (kh_quad){.version = (uint16_t)(quad >> 16), .status = (uint8_t)(quad >> 8), .flags = (uint8_t)quad};
    rec->currency = (kh_currency)(name >> 48);
    rec->date = (kh_date)(name >> 32);
    rec->owner_check = (uint32_t)name;
    if (rec->quad.status >= KH_STATUS_CNT || (rec->quad.flags & KH_REC_ALIAS) != 0)
        kh_rebuild_refuse(r, "a balance of no status");
    rec->base = kh_rebuild_number(r);
    rec->cap = kh_rebuild_number(r);
    rec->quad.taken = kh_rebuild_number(r);
    read_shares(r, rec, kh_rebuild_up_to(r, UINT8_MAX));
    uint64_t lines = kh_rebuild_up_to(r, KH_DOC_LINES_MAX);
    kh_rebuild_skip(r, lines * 24);
    if (kh_rebuild_sound(r)) r->l->head->check += kh_record_check(r->l, rec);
}

/* ---- documents ---- */

static void read_extra(kh_rebuild *r, uint32_t cold)
{
    if (!kh_rebuild_more(r) || !kh_rebuild_rows(r, KH_R_EXTRA, 1)) return;
    kh_extra *x = &r->l->extra[kh_records_extra(r->l, cold)];
    x->issue_time = kh_rebuild_number(r);
    x->status_time = kh_rebuild_number(r);
    x->contract = kh_rebuild_number(r);
    uint64_t version = kh_rebuild_number(r), superseded = kh_rebuild_number(r);
    x->doc_version = (uint32_t)(version >> 32);
    x->had_statuses = (uint16_t)(version >> 16);
    x->flags = (uint16_t)version;
    if (superseded >> 8 > KH_SUPERSEDED_MAX || (superseded & 255) >= KH_SUPERSEDED_MAX)
        kh_rebuild_refuse(r, "a number is above its bound");
    x->superseded_cnt = (uint8_t)(superseded >> 8);
    x->superseded_at = (uint8_t)superseded;
    for (uint32_t i = 0; i < KH_SUPERSEDED_MAX; i++) x->superseded[i] = kh_rebuild_number(r);
    if ((r->size - r->at) % 24 != 0) kh_rebuild_refuse(r, "a leaf goes on behind its end");
    kh_rebuild_skip(r, r->size - r->at); /* what it names */
}

static bool twice(const kh_ledger *l, uint32_t first, const kh_record *last)
{
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next)
        if (kh_rec(l, at) != last && kh_rec(l, at)->currency == last->currency) return true;
    return false;
}

void kh_rebuild_paper(kh_rebuild *r)
{
    kh_ledger *l = r->l;
    const kh_key key = key_in_order(r);
    uint32_t cold = kh_rebuild_rows(r, KH_R_COLD, KH_DOC_BALANCES_MAX) ? kh_rows_take(l, KH_R_COLD) : 0, before = KH_RECORD_NONE;
    uint32_t first = KH_RECORD_NONE;
    kh_cold c = {.number = kh_rebuild_intern(r, KH_NUMBER_MAX)};
    c.issuer = kh_rebuild_intern(r, KH_ISSUER_MAX);
    c.owner = kh_rebuild_intern(r, KH_ISSUER_MAX);
    c.version = (uint32_t)kh_rebuild_up_to(r, UINT32_MAX);
    c.last = kh_rebuild_number(r);
    uint64_t balances = kh_rebuild_up_to(r, KH_DOC_BALANCES_MAX);
    if (c.version == 0 || balances == 0) kh_rebuild_refuse(r, "a document without a version or a balance");
    if (kh_rebuild_sound(r)) l->cold[cold] = c;
    for (uint64_t i = 0; i < balances && kh_rebuild_rows(r, KH_R_ACTIVE, 1); i++) {
        uint32_t record = new_record(r);
        if (record == KH_RECORD_NONE) return;
        kh_record *rec = kh_rec(l, record);
        rec->key = key;
        rec->next = KH_RECORD_NONE;
        rec->cold = i == 0 ? cold : kh_rows_take(l, KH_R_COLD);
        if (i == 0) first = record;
        else l->cold[rec->cold].owner = cold;
        read_balance(r, rec);
        if (i != 0) kh_rec(l, before)->next = record;
        else if (kh_rebuild_sound(r) && kh_index_put(l->index, record) != KH_OK) kh_rebuild_full(r);
        if (kh_rebuild_sound(r) && twice(l, first, rec)) kh_rebuild_refuse(r, "a document has two balances of one currency");
        before = record;
        l->head->balances++;
        read_group(r, record);
    }
    read_extra(r, cold);
    l->head->documents++;
}

void kh_rebuild_alias(kh_rebuild *r)
{
    kh_ledger *l = r->l;
    const kh_key key = key_in_order(r), meant = kh_rebuild_key(r);
    kh_cold c = {.number = kh_rebuild_intern(r, KH_NUMBER_MAX)};
    c.issuer = kh_rebuild_intern(r, KH_ISSUER_MAX);
    uint32_t record = kh_rebuild_rows(r, KH_R_COLD, 1) ? new_record(r) : KH_RECORD_NONE;
    if (record == KH_RECORD_NONE) return;
    uint32_t cold = kh_rows_take(l, KH_R_COLD);
    l->cold[cold] = c;
    kh_identity_write_alias(l, record, &key, &meant, cold);
    if (kh_index_put(l->index, record) != KH_OK) kh_rebuild_full(r);
    l->head->check += kh_record_check(l, kh_rec(l, record));
    l->head->aliases++;
}

/* ---- what documents name ---- */

void kh_rebuild_ref(kh_rebuild *r)
{
    kh_ledger *l = r->l;
    kh_ref ref = {.target = kh_rebuild_key(r)};
    ref.from = kh_rebuild_key(r);
    ref.red = kh_rebuild_number(r);
    uint64_t rest = kh_rebuild_up_to(r, UINT64_C(0xffffffffffff));
    if ((rest & UINT64_C(0xffff0000)) != 0) kh_rebuild_refuse(r, "a number is above its bound");
    ref.red_currency = (uint16_t)(rest >> 32);
    ref.role = (uint8_t)(rest >> 8);
    ref.kind = (uint8_t)rest;
    if (!kh_rebuild_rows(r, KH_R_REF, 1)) return;
    uint32_t record = kh_index_find(l->index, &ref.from), extra = 0;
    if (record != KH_RECORD_NONE && (kh_rec(l, record)->quad.flags & KH_REC_ALIAS) == 0)
        extra = l->cold[kh_rec(l, record)->cold].extra;
    if (extra == 0) {
        kh_rebuild_refuse(r, "a reference of a document that names none");
        return;
    }
    uint32_t row = kh_rows_take(l, KH_R_REF);
    ref.next = l->extra[extra].refs;
    l->ref[row] = ref;
    l->extra[extra].refs = row;
    kh_table_add(l, &kh_refs_table, &l->head->refs, kh_key_hash(l, &ref.target), row);
}

void kh_rebuild_deal(kh_rebuild *r)
{
    const kh_key from = kh_rebuild_key(r);
    uint64_t digest = kh_rebuild_number(r);
    uint32_t owner = kh_rebuild_intern(r, KH_ISSUER_MAX);
    if (digest == 0 || owner == 0) kh_rebuild_refuse(r, "a contract without a number or an owner");
    if (kh_rebuild_rows(r, KH_R_CONTRACT, 1)) kh_contracts_add(r->l, digest, &from, owner);
}

void kh_rebuild_waits(kh_rebuild *r)
{
    kh_ledger *l = r->l;
    kh_key key = {{0}};
    uint64_t stamp = kh_rebuild_up_to(r, l->head->wait_stamp), source = kh_rebuild_number(r);
    bool for_notice = (uint32_t)source != 0;
    kh_rebuild_order(r, stamp, 0);
    if ((uint32_t)source > 1) kh_rebuild_refuse(r, "a number is above its bound");
    source >>= 32;
    if (source != 0 && kh_parties_find(l, (uint32_t)source) == 0) kh_rebuild_refuse(r, "a message of nobody waits");
    if (for_notice) key = kh_rebuild_key(r);
    size_t size = kh_rebuild_up_to(r, sizeof l->message), n = 0;
    kh_rebuild_take(r, l->message, size);
    if (!kh_rebuild_sound(r)) return;
    if (kh_op_decode(l->message, size, &l->message_scratch, &l->message_op, &n) != KH_OK || n != size ||
        l->message_op.type != KH_OP_DOCUMENT) {
        kh_rebuild_refuse(r, "a message that waits is none");
        return;
    }
    uint32_t record = for_notice ? kh_index_find(l->index, &key) : 0;
    if (record == KH_RECORD_NONE || (for_notice && (kh_rec(l, record)->quad.flags & KH_REC_ALIAS) != 0))
        kh_rebuild_refuse(r, "a message waits for a notice of a document that is not there");
    else if (!kh_waiting_put(l, &l->message_op.document, (kh_frame){l->message, size}, stamp, (uint32_t)source,
                             for_notice ? &key : NULL))
        kh_rebuild_full(r);
}
