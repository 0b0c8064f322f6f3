/* refs: which document names which, kept for ever, found from both ends. A reference whose target is unknown waits here until it
 * comes. */
#include "ledger/machine.h"

static uint32_t *next_of(const kh_ledger *l, uint32_t row) { return &l->ref[row].hash_next; }
static uint64_t hash_of(const kh_ledger *l, uint32_t row) { return kh_key_hash(l, &l->ref[row].target); }

const kh_table kh_refs_table = {KH_R_REF_TABLE, next_of, hash_of};

uint32_t kh_refs_first(const kh_ledger *l, const kh_key *target)
{
    if (l->head->refs.rows == 0) return 0;
    return kh_table_first(l, &kh_refs_table, &l->head->refs, kh_key_hash(l, target));
}

bool kh_refs_room(const kh_ledger *l, uint32_t n) { return kh_rows_left(l, KH_R_REF, n); }

uint32_t kh_refs_add(kh_ledger *l, const kh_op_document *d, uint32_t first)
{
    const kh_key from = kh_rec(l, first)->key;
    uint32_t added = 0;
    for (uint32_t i = 0; i < d->ref_cnt; i++) {
        kh_key target;
        if (kh_identity_follow(l, &d->refs[i].key, &target) == KH_RECORD_NONE) target = d->refs[i].key;
        if (kh_key_equal(&target, &from)) continue;
        kh_extra *x = &l->extra[kh_records_extra(l, kh_records_cold(l, first))];
        uint32_t row = x->refs;
        while (row != 0 && (l->ref[row].role != d->refs[i].role || !kh_key_equal(&l->ref[row].target, &target)))
            row = l->ref[row].next;
        if (row != 0) continue;
        row = kh_rows_take(l, KH_R_REF);
        KH_ASSERT(row != 0);
        l->ref[row] = (kh_ref){.target = target, .from = from, .next = x->refs, .role = d->refs[i].role, .kind = target.b[0]};
        x->refs = row;
        kh_table_add(l, &kh_refs_table, &l->head->refs, kh_key_hash(l, &target), row);
        added++;
    }
    return added;
}

void kh_refs_move(kh_ledger *l, const kh_key *from, const kh_key *to)
{
    uint64_t old_hash = kh_key_hash(l, from), new_hash = kh_key_hash(l, to);
    for (uint32_t row = kh_refs_first(l, from), next; row != 0; row = next) {
        next = l->ref[row].hash_next;
        if (!kh_key_equal(&l->ref[row].target, from)) continue;
        kh_table_drop(l, &kh_refs_table, &l->head->refs, old_hash, row);
        l->ref[row].target = *to;
        kh_table_add(l, &kh_refs_table, &l->head->refs, new_hash, row);
        next = kh_refs_first(l, from); /* the table may have grown under us */
    }
}

uint32_t kh_refs_corrector(const kh_ledger *l, const kh_key *target)
{
    uint32_t best = 0; /* the first that came, whatever the chain's order */
    for (uint32_t row = kh_refs_first(l, target); row != 0; row = l->ref[row].hash_next) {
        const kh_ref *ref = &l->ref[row];
        if (ref->role != KH_REF_CORRECTS || ref->from.b[0] != KH_KIND_INVOICE || !kh_key_equal(&ref->target, target)) continue;
        if (best == 0 || row < best) best = row;
    }
    kh_key meant;
    return best == 0 ? KH_RECORD_NONE : kh_identity_follow(l, &l->ref[best].from, &meant);
}
