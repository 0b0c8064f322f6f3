/* plain: the commonest application: one line, on a document with one balance from which nothing else hangs, granted whole. What
 * apply.c does for any application is done here without plans, in one pass; it is the same to the byte. Everything that is not
 * plain, refusals too, is left to apply.c. */
#include "ledger/machine.h"

/* No rule that needs a closer look is on, and the parties are as they should be. */
static bool admitted(const kh_ledger *l, const kh_op_apply *a, const kh_party_row *enterprise)
{
    const kh_rule *rules = l->head->rules;
    if (a->line_cnt != 1 || a->amount - 1 >= KH_AMOUNT_MAX || a->currency != l->currency_known || a->currency == 0) return false;
    if ((rules[KH_RULE_REFUSALS].value | rules[KH_RULE_CURRENCIES].value) != 0 || l->state->regions[KH_R_PRODUCT].row_cnt > 1)
        return false;
    return l->party[l->speaker].frozen == 0 && enterprise->role == KH_ROLE_ENTERPRISE && enterprise->frozen == 0 &&
           enterprise->uscc != 0;
}

static bool has_room(const kh_ledger *l, const kh_op_apply *a)
{
    return l->roomy && l->head->financings < l->head->rules[KH_RULE_FINANCINGS].value && a->product.n <= KH_PRODUCT_MAX &&
           ((uint32_t)l->here & KH_PLACE_INDEX_MAX) != KH_PLACE_INDEX_MAX; /* outcomes beyond share one place: see join */
}

/* The document is the enterprise's, usable without a warning, and has what is asked for. */
static bool grantable(const kh_ledger *l, const kh_op_apply *a, uint32_t owner, const kh_record *rec)
{
    const kh_op_line *line = &a->lines[0];
    const kh_cold *cold = &l->cold[rec->cold];
    if (rec->quad.flags & (KH_REC_ALIAS | KH_REC_SIMILAR | KH_REC_GROUP) || rec->next != KH_RECORD_NONE) return false;
    if (cold->owner != owner || cold->extra != 0 || cold->version == 0) return false;
    if (rec->currency != a->currency || (line->currency != 0 && line->currency != rec->currency)) return false;
    if (line->allocated != a->amount && line->allocated != KH_AMOUNT_NONE) return false;
    if (line->total != KH_AMOUNT_NONE ? line->total != rec->base : l->head->rules[KH_RULE_NEEDS_TOTAL].value != 0) return false;
    if (!kh_status_usable((kh_status)rec->quad.status)) return false;
    if (kh_rules_too_old(l, kh_doc_key_kind(&rec->key), rec->date, l->today)) return false;
    return rec->cap > rec->quad.taken && rec->cap - rec->quad.taken >= a->amount;
}

/* Nobody else has a part of it: what is held is all the bank's. */
static bool sole(const kh_active *a, uint32_t bank)
{
    return a->shares == 0 && a->group == 0 && a->line_cnt < KH_DOC_LINES_MAX && (a->bank_cnt == 0 || a->bank == bank);
}

static void hold(kh_ledger *l, uint32_t active, uint32_t bank, uint32_t fin, uint64_t amount)
{
    kh_active *a = &l->active[active];
    kh_record *rec = kh_rec(l, a->record);
    uint32_t line = kh_rows_take(l, KH_R_LINE), next = a->lines;
    kh_line *row = &l->line[line]; /* a new row is zero */
    row->fin = fin;
    row->active = active;
    row->next = next;
    row->allocated = amount;
    row->open = 1;
    if (next != 0) l->line[next].prev = line;
    l->head->open_lines++;
    l->fin[fin].first_line = line;
    a->lines = line;
    a->line_cnt++;
    a->bank = bank;
    a->bank_cnt = 1;
    a->held += amount;
    kh_record_take(l, rec, rec->quad.taken + amount, kh_record_word(rec) | kh_word_of_flags(KH_REC_ACTIVE));
}

/* A new outcome has joined no chain yet, and these are three. */
static void join(kh_ledger *l, uint32_t record, kh_fin *f)
{
    kh_touch *t = l->touches;
    kh_touch_fill(l, t, 2, &l->party[l->speaker].last);
    kh_touch_name(t, l->speaker_id, 0);
    kh_touch_fill(l, ++t, 3, &f->last);
    kh_touch_name(t, f->bank, f->id);
    kh_touch_fill(l, ++t, 1, &l->cold[kh_rec(l, record)->cold].last);
    t->key = kh_rec(l, record)->key;
    l->touch_cnt = 3;
}

static void answer(kh_ledger *l, const kh_op *op, const kh_fin *f, const kh_record *rec)
{
    kh_receipt_line *line = &l->receipt_lines[0];
    line->key = rec->key;
    line->currency = rec->currency;
    line->code = KH_C_OK;
    line->flags = 0;
    line->amount = line->allocated = f->amount;
    kh_receipt *receipt = &l->plain_receipt; /* what is not set here is the same in all of them */
    receipt->type = KH_OP_APPLY;
    receipt->event = KH_EV_APPLY;
    receipt->state = f->state;
    receipt->party = op->party;
    receipt->sequence = op->sequence;
    receipt->version = f->version;
    receipt->financing = f->id;
    receipt->amount = receipt->moved = f->amount;
    receipt->currency = f->currency;
    receipt->enterprise = f->enterprise;
    receipt->line_cnt = 1;
    receipt->lines = line;
    kh_emit_receipt(l, receipt);
}

bool kh_plain_apply(kh_ledger *l, const kh_op *op, uint64_t digest)
{
    const kh_op_apply *a = &op->apply;
    uint32_t record = kh_ahead_record(l, 0);
    const kh_party_row *enterprise = &l->party[kh_ahead_party(l, a->enterprise)]; /* row 0 has no role */
    if (record == KH_RECORD_NONE || !admitted(l, a, enterprise) || !has_room(l, a)) return false;
    const kh_record *rec = kh_rec(l, record);
    uint32_t active = l->cold[rec->cold].active;
    if (!grantable(l, a, enterprise->uscc, rec) || (active != 0 && !sole(&l->active[active], op->party))) return false;
    uint32_t fin = kh_rows_take(l, KH_R_FIN);
    kh_fin *f = &l->fin[fin];
    f->id = a->id; /* a new row is zero */
    f->amount = a->amount;
    f->bank = op->party;
    f->version = 1;
    f->enterprise = a->enterprise;
    f->product = kh_product_text(l, a->product);
    f->currency = a->currency;
    f->state = KH_FIN_APPLIED;
    f->apply_digest = digest;
    f->apply_place = l->here;
    hold(l, active != 0 ? active : kh_balance_active(l, record), op->party, fin, a->amount);
    kh_fins_add(l, l->now->fin_hash, fin);
    l->head->financings++;
    l->head->open_financings++;
    l->head->check += kh_fin_check(l, f);
    kh_expiry_put(l, fin, l->head->queue_applied, l->head->rules[KH_RULE_TTL_APPLIED].value);
    join(l, record, f);
    answer(l, op, f, rec);
    return true;
}
