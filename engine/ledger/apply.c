/* apply: an application for holds: each line is examined in the order of the request, parts are planned, then all of it is
 * granted, or what passes (allow_partial), or nothing. A line without an amount wishes what is still missing and takes up to what
 * is free. */
#include "ledger/machine.h"

typedef struct plan {
    uint32_t record; /* NONE: not found */
    uint32_t rate;
    uint32_t group;
    kh_code code; /* why it got less than it wished */
    uint16_t mismatch;
    bool unusable; /* not only short */
    uint64_t allocated, amount;
} plan;

typedef struct request {
    const kh_op_apply *op;
    uint32_t bank;
    uint32_t owner; /* text of the enterprise's id; 0: there is no such enterprise, which then owns no paper */
    bool frozen;    /* the enterprise */
    uint64_t product_bp;
    plan plans[KH_LINES_MAX];
} request;

/* Which balance is meant: the one in the financing's currency, else the document's only one, else the line must say. */
static uint32_t choose_balance(const kh_ledger *l, uint32_t first, kh_currency said, kh_currency financing)
{
    kh_currency wanted = said != 0 ? said : financing;
    const kh_record *rec = kh_rec(l, first);
    if (rec->next == KH_RECORD_NONE) return said == 0 || rec->currency == said ? first : KH_RECORD_NONE;
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next)
        if (kh_rec(l, at)->currency == wanted) return at;
    return KH_RECORD_NONE;
}

static kh_code examine(const kh_ledger *l, const request *r, uint32_t i, plan *p)
{
    const kh_op_line *line = &r->op->lines[i];
    kh_key key;
    uint32_t first = kh_ahead_record(l, i);
    if (first == KH_RECORD_NONE || kh_rec(l, first)->quad.flags & KH_REC_ALIAS) first = kh_identity_follow(l, &line->key, &key);
    if (first == KH_RECORD_NONE) return KH_C_NOT_FOUND;
    p->record = first;
    const kh_record *rec = kh_rec(l, first);
    if (r->owner == 0 || l->cold[rec->cold].owner != r->owner) return KH_C_OWNER_MISMATCH;
    if (r->frozen) return KH_C_FROZEN; /* told to who holds a paper of it */
    uint32_t record = choose_balance(l, first, line->currency, r->op->currency);
    if (record == KH_RECORD_NONE) {
        p->mismatch = KH_FIELD_CURRENCY;
        return KH_C_FIELD_MISMATCH;
    }
    p->record = record;
    rec = kh_rec(l, record);
    bool needs_total = l->head->rules[KH_RULE_NEEDS_TOTAL].value != 0;
    if (line->total != KH_AMOUNT_NONE ? line->total != rec->base || rec->currency == 0 : needs_total) {
        p->mismatch = KH_FIELD_TOTAL;
        return KH_C_FIELD_MISMATCH;
    }
    kh_code state = kh_status_code((kh_status)rec->quad.status);
    if (state != KH_C_OK && !kh_code_is_warning(state)) return state;
    if (kh_rules_too_old(l, kh_doc_key_kind(&rec->key), rec->date, l->today)) return KH_C_TOO_OLD;
    if (rec->currency != 0 && !kh_rules_currency_allowed(l, rec->currency)) return KH_C_CURRENCY;
    for (uint32_t k = 0; k < i; k++)
        if (r->plans[k].record == record) return KH_C_FORMAT;
    if (rec->currency != 0 && rec->currency != r->op->currency) {
        p->rate = kh_rates_find(l, r->op->currency, rec->currency, l->today);
        if (p->rate == 0) return KH_C_NOT_CHECKED;
    }
    const kh_active *a = &l->active[l->cold[rec->cold].active];
    if (l->cold[rec->cold].active != 0) {
        if (a->line_cnt >= KH_DOC_LINES_MAX || !kh_balance_bank_fits(l, a, r->bank)) return KH_C_CAPACITY;
        p->group = a->group;
    }
    return KH_C_OK;
}

/* The most of `wish` whose conversion fits into `available`. */
static uint64_t most_that_fits(const kh_ledger *l, uint32_t rate, uint64_t wish, uint64_t available)
{
    uint64_t low = 0, high = wish, amount;
    if (rate == 0) return kh_min64(wish, available);
    while (low < high) {
        uint64_t middle = high - (high - low) / 2;
        if (kh_rates_convert(l, rate, middle, &amount) && amount <= available) low = middle;
        else high = middle - 1;
    }
    return low;
}

static kh_code fill(const kh_ledger *l, const request *r, uint32_t i, plan *p, uint64_t wish, bool flexible)
{
    const kh_record *rec = kh_rec(l, p->record);
    uint64_t pending = 0, amount;
    for (uint32_t k = 0; p->group != 0 && k < i; k++)
        if (r->plans[k].group == p->group) pending += r->plans[k].amount;
    kh_room room;
    kh_balance_room(l, rec, pending, &room);
    uint64_t available = room.free;
    if (r->product_bp != UINT64_MAX) {
        uint64_t red = kh_red_of(l, &rec->key, kh_records_cold(l, p->record), rec->currency);
        uint64_t most = kh_balance_ratio(rec->base, red, r->product_bp);
        available = kh_min64(available, most > rec->quad.taken ? most - rec->quad.taken : 0);
    }
    if (kh_rates_convert(l, p->rate, wish, &amount) && amount <= available && rec->currency != 0) {
        p->allocated = wish;
        p->amount = amount;
        return KH_C_OK;
    }
    if (flexible && rec->currency != 0) {
        p->allocated = most_that_fits(l, p->rate, wish, available);
        bool ok = kh_rates_convert(l, p->rate, p->allocated, &p->amount);
        KH_ASSERT(ok);
    }
    if (room.free > 0) return KH_C_INSUFFICIENT;
    return kh_balance_shortage(l, rec, room.group_limits, r->bank, room.group_limits && pending > 0);
}

/* Plans all lines. Returns what is granted in all; *ret_missing what was asked and not found. */
static uint64_t plan_lines(const kh_ledger *l, request *r, uint64_t *ret_missing, bool *ret_refused)
{
    uint64_t later_fixed = 0, granted = 0;
    for (uint32_t i = 0; i < r->op->line_cnt; i++)
        if (r->op->lines[i].allocated != KH_AMOUNT_NONE) later_fixed += r->op->lines[i].allocated;
    for (uint32_t i = 0; i < r->op->line_cnt; i++) {
        const kh_op_line *line = &r->op->lines[i];
        plan *p = &r->plans[i];
        bool flexible = line->allocated == KH_AMOUNT_NONE;
        *p = (plan){.record = KH_RECORD_NONE};
        uint64_t wish = flexible ? r->op->amount - granted - later_fixed : line->allocated;
        if (!flexible) later_fixed -= line->allocated;
        if (flexible && wish == 0) continue; /* not needed: left out */
        p->code = examine(l, r, i, p);
        p->unusable = p->code != KH_C_OK;
        if (p->code == KH_C_OK) p->code = fill(l, r, i, p, wish, flexible);
        granted += p->allocated;
        *ret_refused |= p->code != KH_C_OK && (p->unusable || !flexible);
    }
    *ret_missing = r->op->amount - granted;
    return granted;
}

static bool amounts_add_up(const kh_op_apply *op, kh_code *ret)
{
    uint64_t sum = 0;
    bool open = false;
    for (uint32_t i = 0; i < op->line_cnt; i++) {
        uint64_t part = op->lines[i].allocated;
        if (part == KH_AMOUNT_NONE) {
            open = true;
            continue;
        }
        if (part == 0 || part > op->amount) {
            *ret = part == 0 ? KH_C_BAD_STATE : KH_C_FORMAT;
            return false;
        }
        sum += part; /* 256 times at most 10^18, each checked: */
        if (sum > op->amount) {
            *ret = KH_C_FORMAT;
            return false;
        }
    }
    *ret = KH_C_FORMAT;
    return open || sum == op->amount;
}

/* Applications mostly name the currency of the one before. */
static bool currency_known(kh_ledger *l, kh_currency currency)
{
    if ((currency == 0 || currency != l->currency_known) && !kh_currency_known(currency)) return false;
    l->currency_known = currency;
    return true;
}

static kh_code admit(kh_ledger *l, const kh_op *op, request *r)
{
    const kh_op_apply *a = &op->apply;
    kh_code code;
    if (l->party[l->speaker].frozen) return KH_C_FROZEN;
    if (kh_parties_limited(l, l->speaker)) return KH_C_RATE_LIMITED;
    if (a->amount == 0) return KH_C_BAD_STATE;
    if (a->amount > KH_AMOUNT_MAX || a->line_cnt == 0 || a->line_cnt > KH_LINES_MAX || a->product.n > KH_PRODUCT_MAX ||
        !currency_known(l, a->currency))
        return KH_C_FORMAT;
    if (!amounts_add_up(a, &code)) return code;
    if (!kh_rules_currency_allowed(l, a->currency)) return KH_C_CURRENCY;
    /* whether an enterprise is registered is nobody's to learn: one that is not is answered as one that does not own the papers
     */
    uint32_t enterprise = kh_ahead_party(l, a->enterprise);
    bool known = enterprise != 0 && l->party[enterprise].role == KH_ROLE_ENTERPRISE;
    r->owner = known ? l->party[enterprise].uscc : 0;
    r->frozen = known && l->party[enterprise].frozen;
    if (l->head->financings >= l->head->rules[KH_RULE_FINANCINGS].value || !kh_rows_left(l, KH_R_FIN, 1) ||
        !kh_rows_left(l, KH_R_LINE, a->line_cnt) || !kh_rows_left(l, KH_R_ACTIVE, a->line_cnt) ||
        !kh_rows_left(l, KH_R_SHARE, 2 * a->line_cnt) || !kh_texts_room(l, a->product.n))
        return KH_C_CAPACITY;
    return KH_C_OK;
}

static uint32_t grant(kh_ledger *l, const kh_op *op, const request *r, uint64_t amount, uint64_t digest)
{
    const kh_op_apply *a = &op->apply;
    uint32_t fin = kh_rows_take(l, KH_R_FIN), lines = 0;
    kh_fin *f = &l->fin[fin];
    *f = (kh_fin){.id = a->id,
                  .bank = op->party,
                  .enterprise = a->enterprise,
                  .product = kh_product_text(l, a->product),
                  .currency = a->currency,
                  .apply_digest = digest,
                  .apply_place = l->here};
    for (uint32_t i = 0; i < a->line_cnt; i++) {
        const plan *p = &r->plans[i];
        if (p->allocated == 0) continue;
        uint32_t line = kh_rows_take(l, KH_R_LINE);
        if (lines++ == 0) f->first_line = line;
        l->line[line] =
            (kh_line){.fin = fin, .active = kh_balance_active(l, p->record), .allocated = p->allocated, .rate = p->rate};
        kh_line_open(l, line);
        kh_balance_move(l, l->line[line].active, op->party, (int64_t)p->amount, 0, 0);
    }
    f->last_line = (uint8_t)(lines - 1);
    kh_fins_add(l, l->now->fin_hash, fin);
    l->head->financings++;
    kh_fin_set(l, fin, kh_move_to(KH_FIN_NONE, KH_EV_APPLY), amount, true);
    kh_expiry_put(l, fin, l->head->queue_applied, l->head->rules[KH_RULE_TTL_APPLIED].value);
    return fin;
}

static void answer_lines(kh_ledger *l, const request *r, bool granted, kh_receipt *receipt)
{
    for (uint32_t i = 0; i < r->op->line_cnt; i++) {
        const plan *p = &r->plans[i];
        kh_receipt_line *out = &l->receipt_lines[i];
        *out = (kh_receipt_line){.key = r->op->lines[i].key, .currency = r->op->lines[i].currency};
        out->code = granted && p->allocated != 0 ? KH_C_OK : p->code;
        if (p->record == KH_RECORD_NONE) continue;
        out->key = kh_rec(l, p->record)->key;
        if (p->mismatch != KH_FIELD_CURRENCY && p->code != KH_C_OWNER_MISMATCH) out->currency = kh_rec(l, p->record)->currency;
        if (!granted) continue;
        out->amount = p->amount;
        out->allocated = p->allocated;
    }
    receipt->line_cnt = r->op->line_cnt;
    receipt->lines = l->receipt_lines;
}

static kh_code warning_of(const kh_ledger *l, const request *r)
{
    kh_code warning = KH_C_OK;
    for (uint32_t i = 0; i < r->op->line_cnt; i++) {
        if (r->plans[i].allocated == 0) continue;
        const kh_record *rec = kh_rec(l, r->plans[i].record);
        if (rec->quad.status == KH_STATUS_RED_PART) return KH_C_RED_PART;
        if (rec->quad.flags & KH_REC_SIMILAR ||
            (kh_contracts_may_name(l, r->plans[i].record) && kh_contracts_similar(l, r->plans[i].record)))
            warning = KH_C_SIMILAR;
    }
    return warning;
}

static void touch_lines(kh_ledger *l, const request *r)
{
    for (uint32_t i = 0; i < r->op->line_cnt; i++)
        if (r->plans[i].record != KH_RECORD_NONE) kh_touch_document(l, r->plans[i].record);
}

static __attribute__((noinline)) void apply_planned(kh_ledger *l, const kh_op *op, uint64_t digest, uint32_t known)
{
    const kh_op_apply *a = &op->apply;
    uint64_t granted = 0, missing = 0;
    kh_receipt receipt = {.type = KH_OP_APPLY, .party = op->party, .sequence = op->sequence};
    kh_outcome_begin(l);
    kh_touch_party(l, op->party);
    if (known != 0 && l->fin[known].apply_digest == digest) {
        kh_place first = kh_place_unpack(l->fin[known].apply_place);
        receipt.ref_height = first.height;
        receipt.ref_index = first.index;
        kh_emit_receipt(l, &receipt);
        return;
    }
    request r;
    r.op = a;
    r.bank = op->party;
    receipt.event = KH_EV_APPLY;
    receipt.financing = a->id;
    receipt.enterprise = a->enterprise;
    receipt.currency = a->currency;
    receipt.moved = a->amount;
    receipt.code = known != 0 ? KH_C_BAD_STATE : admit(l, op, &r);
    if (receipt.code != KH_C_OK) {
        if (known == 0 && receipt.code != KH_C_RATE_LIMITED && receipt.code != KH_C_FROZEN) kh_parties_refused(l, l->speaker);
        if (known != 0) kh_touch_fin(l, known);
        kh_emit_receipt(l, &receipt);
        return;
    }
    r.product_bp = kh_rules_product_ratio(l, a->product);
    bool refused = false;
    granted = plan_lines(l, &r, &missing, &refused);
    refused = a->allow_partial ? granted == 0 : refused || missing != 0;
    if (refused) {
        for (uint32_t i = 0; i < a->line_cnt && receipt.code == KH_C_OK; i++) {
            if (missing == 0 && !r.plans[i].unusable) continue; /* it took less than it wished, and others made it up */
            receipt.code = r.plans[i].code;
            receipt.mismatch = r.plans[i].mismatch;
        }
        kh_parties_refused(l, l->speaker);
        answer_lines(l, &r, false, &receipt);
        touch_lines(l, &r);
        kh_emit_receipt(l, &receipt);
        return;
    }
    receipt.warning = warning_of(l, &r);
    uint32_t fin = grant(l, op, &r, granted, digest);
    receipt.state = l->fin[fin].state;
    receipt.version = l->fin[fin].version;
    receipt.amount = receipt.moved = granted;
    answer_lines(l, &r, true, &receipt);
    kh_touch_fin(l, fin);
    touch_lines(l, &r);
    kh_emit_receipt(l, &receipt);
    for (uint32_t i = 0; i < a->line_cnt; i++)
        if (r.plans[i].allocated != 0 && kh_contracts_may_name(l, r.plans[i].record))
            kh_contracts_flag(l, r.plans[i].record, true);
}

void kh_fin_apply(kh_ledger *l, const kh_op *op, kh_frame frame)
{
    uint64_t digest = kh_frame_digest(frame);
    uint32_t known = kh_fins_find_hashed(l, l->now->fin_hash, op->party, op->apply.id);
    if (known == 0 && kh_plain_apply(l, op, digest)) return;
    apply_planned(l, op, digest, known);
}
