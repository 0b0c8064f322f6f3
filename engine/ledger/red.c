/* red: red letters (credit notes) that lower the invoices that they name. What each took stands with its reference; what a
 * balance lost is their sum, never more than its base. One whose invoice is unknown waits; of several that came first, those that
 * fit count. One that counts goes on counting whatever becomes of the invoice's amount (a corrected invoice, 384): it takes its
 * own amount, or what is left of a base that fell below it. An invoice that is fully red stays so, a higher amount revives
 * nothing, until a letter that made it so is taken back. */
#include "ledger/machine.h"

static bool is_red(const kh_ref *ref)
{
    return ref->role == KH_REF_CORRECTS && ref->from.b[0] == KH_KIND_CREDIT_NOTE && ref->kind == KH_KIND_INVOICE;
}

uint64_t kh_red_of(const kh_ledger *l, const kh_key *key, uint32_t cold, kh_currency currency)
{
    uint64_t sum = 0;
    if (l->cold[cold].extra == 0 || (l->extra[l->cold[cold].extra].flags & KH_EXTRA_RED) == 0 || currency == 0) return 0;
    for (uint32_t row = kh_refs_first(l, key); row != 0; row = l->ref[row].hash_next)
        if (l->ref[row].red_currency == currency && kh_key_equal(&l->ref[row].target, key)) sum += l->ref[row].red;
    return sum;
}

static uint32_t balance_of(const kh_ledger *l, uint32_t first, kh_currency currency)
{
    while (first != KH_RECORD_NONE && kh_rec(l, first)->currency != currency) first = kh_rec(l, first)->next;
    return first;
}

kh_code kh_red_fits(const kh_ledger *l, const kh_op_document *d, const kh_key *key, uint32_t owner, const kh_content *c,
                    uint16_t *ret_mismatch)
{
    if (d->kind != KH_KIND_CREDIT_NOTE || c->n == 0 || d->status == KH_STATUS_VOID) return KH_C_OK;
    for (uint32_t i = 0; i < d->ref_cnt; i++) {
        kh_key meant;
        uint32_t blue = d->refs[i].role == KH_REF_CORRECTS ? kh_identity_follow(l, &d->refs[i].key, &meant) : KH_RECORD_NONE;
        if (blue == KH_RECORD_NONE || kh_rec(l, blue)->currency == 0) continue;
        uint32_t record = balance_of(l, blue, c->balances[0].currency);
        if (l->cold[kh_rec(l, blue)->cold].owner != owner || record == KH_RECORD_NONE) {
            *ret_mismatch = record == KH_RECORD_NONE ? KH_FIELD_CURRENCY : KH_FIELD_OWNER;
            return KH_C_CONFLICT;
        }
        uint64_t sum = c->balances[0].base;
        for (uint32_t row = kh_refs_first(l, &meant); row != 0; row = l->ref[row].hash_next) {
            const kh_ref *ref = &l->ref[row];
            if (ref->red_currency == c->balances[0].currency && kh_key_equal(&ref->target, &meant) &&
                !kh_key_equal(&ref->from, key))
                sum += ref->red;
        }
        if (sum > kh_rec(l, record)->base) {
            *ret_mismatch = KH_FIELD_AMOUNT;
            return KH_C_CONFLICT;
        }
    }
    return KH_C_OK;
}

/* Every balance of the invoice is red to its last cent. */
static bool is_covered(const kh_ledger *l, uint32_t blue_first)
{
    const kh_record *rec = kh_rec(l, blue_first);
    for (uint32_t at = blue_first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next)
        if (kh_red_of(l, &rec->key, rec->cold, kh_rec(l, at)->currency) < kh_rec(l, at)->base) return false;
    return true;
}

bool kh_red_keeps(const kh_ledger *l, const kh_key *key, const kh_content *want)
{
    for (uint32_t row = kh_refs_first(l, key); row != 0; row = l->ref[row].hash_next) {
        uint32_t i = 0;
        if (l->ref[row].red_currency == 0 || !kh_key_equal(&l->ref[row].target, key)) continue;
        while (i < want->n && want->balances[i].currency != l->ref[row].red_currency) i++;
        if (i == want->n) return false;
    }
    return true;
}

static uint32_t next_red(const kh_ledger *l, const kh_key *key, uint32_t after)
{
    uint32_t best = 0;
    for (uint32_t row = kh_refs_first(l, key); row != 0; row = l->ref[row].hash_next)
        if (row > after && (best == 0 || row < best) && is_red(&l->ref[row]) && kh_key_equal(&l->ref[row].target, key))
            best = row;
    return best;
}

void kh_red_refresh(kh_ledger *l, uint32_t blue_first)
{
    const kh_key key = kh_rec(l, blue_first)->key;
    uint32_t cold = kh_rec(l, blue_first)->cold;
    bool changed = false, taken_back = false;
    if (kh_doc_key_kind(&key) != KH_KIND_INVOICE || !kh_rows_left(l, KH_R_EXTRA, 1)) return;
    bool was_covered = is_covered(l, blue_first);
    for (uint32_t row = next_red(l, &key, 0); row != 0; row = next_red(l, &key, row)) {
        kh_ref *ref = &l->ref[row];
        kh_key meant;
        uint64_t red = 0, before = ref->red;
        uint16_t currency = 0, before_currency = ref->red_currency;
        uint32_t letter = kh_identity_follow(l, &ref->from, &meant);
        if (letter == KH_RECORD_NONE || l->cold[kh_rec(l, letter)->cold].owner != l->cold[cold].owner) continue;
        const kh_record *rec = kh_rec(l, letter);
        uint32_t record = rec->currency == 0 ? KH_RECORD_NONE : balance_of(l, blue_first, rec->currency);
        l->extra[kh_records_extra(l, cold)].flags |= KH_EXTRA_RED;
        ref->red = 0;
        ref->red_currency = 0;
        if (rec->quad.status != KH_STATUS_VOID && record != KH_RECORD_NONE) {
            uint64_t base = kh_rec(l, record)->base, others = kh_red_of(l, &key, cold, rec->currency);
            uint64_t left = base > others ? base - others : 0;
            if (before_currency == rec->currency || rec->base <= left) {
                red = rec->base < left ? rec->base : left;
                currency = rec->currency;
            }
        }
        ref->red = red;
        ref->red_currency = currency;
        changed |= red != before || currency != before_currency;
        taken_back |= currency == 0 && before_currency != 0;
    }
    if (!changed) return;
    kh_doc_result r = {.first = blue_first, .key = key};
    kh_revise_red(l, blue_first, was_covered && taken_back, &r);
    const kh_record *rec = kh_rec(l, r.first);
    kh_notice n = {.type = KH_NOTICE_LINKED,
                   .has_key = 1,
                   .key = key,
                   .currency = rec->currency,
                   .moved = kh_red_of(l, &key, cold, rec->currency)};
    kh_outcome_begin(l);
    kh_touch_document(l, r.first);
    kh_emit_notice(l, &n);
    for (uint32_t at = r.first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        uint32_t active = l->cold[kh_rec(l, at)->cold].active;
        bool lowered = false;
        for (uint32_t i = 0; i < r.lowered_cnt; i++) lowered |= r.lowered[i] == kh_rec(l, at)->currency;
        if (active != 0 && lowered) kh_limit_lowered(l, active);
        else if (active != 0) kh_limit_refresh(l, active, false);
    }
}

void kh_red_send(kh_ledger *l, uint32_t red_first)
{
    uint32_t extra = l->cold[kh_rec(l, red_first)->cold].extra;
    kh_key meant;
    for (uint32_t row = extra == 0 ? 0 : l->extra[extra].refs; row != 0; row = l->ref[row].next) {
        if (!is_red(&l->ref[row])) continue;
        uint32_t blue = kh_identity_follow(l, &l->ref[row].target, &meant);
        if (blue != KH_RECORD_NONE) kh_red_refresh(l, blue);
    }
}
