/* risks: the list of whom to beware: each row one bank's contribution of one subject under one category. A question is answered
 * with the categories alone; it is metered, and who contributes may ask more. */
#include "ledger/machine.h"

static uint32_t *next_of(const kh_ledger *l, uint32_t row) { return &l->risk[row].hash_next; }
static uint64_t hash_of(const kh_ledger *l, uint32_t row) { return kh_key_hash(l, &l->risk[row].subject); }

const kh_table kh_risks_table = {KH_R_RISK_TABLE, next_of, hash_of};

static uint32_t first_of(const kh_ledger *l, const kh_key *subject)
{
    return kh_table_first(l, &kh_risks_table, &l->consent->risks, kh_key_hash(l, subject));
}

/* The row of a bank's contribution, or 0; *ret_others: contributions of anybody to this subject that were passed. */
static uint32_t find(const kh_ledger *l, const kh_key *subject, uint8_t category, uint32_t bank, uint32_t *ret_others)
{
    uint32_t row = first_of(l, subject);
    *ret_others = 0;
    for (; row != 0; row = l->risk[row].hash_next) {
        const kh_risk_row *r = &l->risk[row];
        if (!kh_key_equal(&r->subject, subject)) continue;
        if (r->category == category && r->bank == bank) break;
        ++*ret_others;
    }
    return row;
}

static uint64_t row_check(const kh_ledger *l, const kh_risk_row *r)
{
    uint64_t subject = kh_mix(kh_load64(r->subject.b) ^ l->secret[0], kh_load64(r->subject.b + 8) ^ l->secret[1]);
    return kh_mix(subject, (uint64_t)r->category << 32 | r->bank);
}

static uint64_t allowed(const kh_ledger *l, const kh_party_row *p)
{
    return kh_rules_get(l, KH_RULE_RISK_FREE)->value + kh_rules_get(l, KH_RULE_RISK_PER_ENTRY)->value * p->given;
}

static void drop(kh_ledger *l, uint32_t row)
{
    const kh_risk_row *r = &l->risk[row];
    l->head->check -= row_check(l, r);
    l->party[kh_parties_find(l, r->bank)].given--;
    kh_table_drop(l, &kh_risks_table, &l->consent->risks, kh_key_hash(l, &r->subject), row);
    kh_rows_give(l, KH_R_RISK, &l->consent->free_risks, row);
}

void kh_risks_put(kh_ledger *l, const kh_risk_row *r)
{
    uint32_t row = kh_rows_take_reused(l, KH_R_RISK, &l->consent->free_risks);
    l->risk[row] = *r;
    kh_table_add(l, &kh_risks_table, &l->consent->risks, kh_key_hash(l, &r->subject), row);
    l->party[kh_parties_find(l, r->bank)].given++;
    l->head->check += row_check(l, r);
}

static kh_code add(kh_ledger *l, const kh_op *op, const kh_party_row *p, kh_receipt *r)
{
    const kh_op_risk_add *b = &op->risk_add;
    uint32_t others, row = find(l, &b->subject, b->category, op->party, &others);
    r->key = b->subject;
    r->effect = row != 0 ? KH_EFFECT_UNCHANGED : KH_EFFECT_STORED;
    if (row != 0) return KH_C_OK;
    bool room = l->consent->free_risks != 0 || kh_rows_left(l, KH_R_RISK, 1);
    if (!room || p->given >= KH_RISKS_OF_BANK_MAX || others >= KH_RISKS_OF_SUBJECT_MAX) return KH_C_CAPACITY;
    const kh_risk_row new = {.subject = b->subject, .bank = op->party, .category = b->category};
    kh_risks_put(l, &new);
    return KH_C_OK;
}

/* A bank removes what is its own; the regulator what a bank, or everybody, contributed. */
static kh_code remove_entry(kh_ledger *l, const kh_op *op, bool bank, kh_receipt *r)
{
    const kh_op_risk_remove *b = &op->risk_remove;
    uint32_t others, row, contributor = b->contributor == 0 && bank ? op->party : b->contributor, next;
    r->key = b->subject;
    r->effect = KH_EFFECT_UNCHANGED;
    if (bank && contributor != op->party) return KH_C_NOT_AUTHORISED;
    if (contributor != 0) {
        row = find(l, &b->subject, b->category, contributor, &others);
        if (row == 0) return KH_C_OK;
        drop(l, row);
        r->effect = KH_EFFECT_REVOKED;
        return KH_C_OK;
    }
    for (row = first_of(l, &b->subject); row != 0; row = next) {
        const kh_risk_row *each = &l->risk[row];
        next = each->hash_next;
        if (each->category != b->category || !kh_key_equal(&each->subject, &b->subject)) continue;
        drop(l, row);
        r->effect = KH_EFFECT_REVOKED;
        next = first_of(l, &b->subject); /* the chain was made anew */
    }
    return KH_C_OK;
}

static kh_key subject_of(const kh_op_risk_ask *b, uint32_t i)
{
    kh_key subject;
    memcpy(subject.b, b->subjects + 16 * (size_t)i, sizeof subject.b);
    return subject;
}

static void answer(kh_ledger *l, const kh_op_risk_ask *b, kh_receipt *r)
{
    for (uint32_t i = 0; i < b->subject_cnt; i++) {
        kh_key subject = subject_of(b, i);
        kh_table_prefetch(l, &kh_risks_table, &l->consent->risks, kh_key_hash(l, &subject));
    }
    for (uint32_t i = 0; i < b->subject_cnt; i++) {
        kh_receipt_line *line = &l->receipt_lines[i];
        *line = (kh_receipt_line){.key = subject_of(b, i)};
        for (uint32_t row = first_of(l, &line->key); row != 0; row = l->risk[row].hash_next)
            if (kh_key_equal(&l->risk[row].subject, &line->key)) line->amount |= UINT64_C(1) << l->risk[row].category;
    }
    r->line_cnt = b->subject_cnt;
    r->lines = l->receipt_lines;
}

static kh_code ask(kh_ledger *l, const kh_op *op, kh_party_row *bank, kh_receipt *r)
{
    const kh_op_risk_ask *b = &op->risk_ask;
    if (bank != NULL) {
        uint64_t limit = allowed(l, bank);
        if (bank->asked >= limit || limit - bank->asked < b->subject_cnt) return KH_C_RATE_LIMITED;
        bank->asked += b->subject_cnt;
    }
    answer(l, b, r);
    return KH_C_OK;
}

_Static_assert(KH_SUBJECTS_MAX <= KH_LINES_MAX, "an answer fits a receipt");

void kh_risks_apply(kh_ledger *l, const kh_op *op)
{
    kh_receipt r = {.type = op->type, .party = op->party, .sequence = op->sequence};
    uint32_t row = op->party == 0 ? 0 : kh_parties_find(l, op->party);
    kh_party_row *bank = row != 0 && l->party[row].role == KH_ROLE_BANK ? &l->party[row] : NULL; /* NULL: the regulator */
    if (bank != NULL && bank->frozen) r.code = KH_C_FROZEN;
    else if (op->type == KH_OP_RISK_ADD) r.code = add(l, op, bank, &r);
    else if (op->type == KH_OP_RISK_REMOVE) r.code = remove_entry(l, op, bank != NULL, &r);
    else r.code = ask(l, op, bank, &r);
    if (r.code != KH_C_OK) r.effect = KH_EFFECT_NONE;
    if (bank != NULL) {
        r.version = bank->given;
        r.amount = bank->asked;
        r.moved = allowed(l, bank);
    }
    kh_outcome_begin(l);
    kh_touch_party(l, op->party);
    kh_emit_receipt(l, &r);
}

/* ---- reading ---- */

bool kh_ledger_risk_account(const kh_ledger *l, uint32_t bank, kh_risk_view *ret)
{
    uint32_t row = kh_parties_find(l, bank);
    if (row == 0 || l->party[row].role != KH_ROLE_BANK) return false;
    *ret = (kh_risk_view){l->party[row].given, l->party[row].asked, allowed(l, &l->party[row])};
    return true;
}

const char *kh_risks_invariants(const kh_ledger *l, uint64_t *check)
{
    uint64_t live = 0, given = 0;
    for (uint64_t row = 1; row < l->state->regions[KH_R_RISK].row_cnt; row++) {
        const kh_risk_row *r = &l->risk[row];
        uint32_t others;
        if (r->bank == 0) continue;
        if (find(l, &r->subject, r->category, r->bank, &others) != row) return "a contribution is not found under its subject";
        live++;
        *check += row_check(l, r);
    }
    for (uint64_t at = 1; at < l->state->regions[KH_R_PARTY].row_cnt; at++)
        if (l->party[at].role == KH_ROLE_BANK) given += l->party[at].given;
    return live == given && live == l->consent->risks.rows ? NULL : "banks count other contributions than there are";
}
