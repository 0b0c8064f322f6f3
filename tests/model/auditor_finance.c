/* auditor_finance: applications and events, by DOMAIN's life cycle and balance rules. */
#include "auditor.h"

static void refuse(outcome *ret, kh_code code) { ret->code = code; }

/* Which of a document's balances is meant: the stated one, else the financing's currency, else the only one. */
static int choose_balance(const document *d, kh_currency stated, kh_currency of_financing)
{
    int bal = auditor_balance_meant(d, stated != 0 ? stated : of_financing);
    return bal >= 0 || stated != 0 ? bal : auditor_balance_meant(d, 0);
}

static kh_code find_rate(const auditor *a, kh_currency from, kh_currency to, fin_line *line)
{
    int best = -1;
    kh_date today = kh_date_of_time(a->time);
    line->converted = from != to;
    if (from == to) return KH_C_OK;
    for (uint32_t i = 0; i < a->rate_cnt; i++) {
        if (a->rates[i].from != from || a->rates[i].to != to || a->rates[i].date > today) continue;
        if (best < 0 || a->rates[i].date >= a->rates[best].date) best = (int)i;
    }
    if (best < 0) return KH_C_NOT_CHECKED;
    line->rate = a->rates[best].rate;
    return KH_C_OK;
}

static bool convert(const fin_line *line, kh_currency from, kh_currency to, uint64_t amount, uint64_t *ret)
{
    *ret = amount;
    return !line->converted || kh_convert_up(amount, from, to, line->rate, ret);
}

/* What a line may take of its balance, in the document's currency, the product's ratio included. */
static uint64_t grantable(const auditor *a, const char *product, int doc, int bal)
{
    const balance *b = &a->docs[doc].balances[bal];
    uint64_t free = auditor_free_of(a, doc, bal), taken = b->sum.held + b->sum.used + b->sum.consumed;
    if (a->ratio_product == 0 || strcmp(product, "export_order") != 0) return free;
    uint64_t left = b->base > b->red ? b->base - b->red : 0;
    uint64_t cap = (uint64_t)((unsigned __int128)left * a->ratio_product / 10000);
    return kh_min64(free, cap > taken ? cap - taken : 0);
}

bool auditor_currency_allowed(const auditor *a, kh_currency currency)
{
    for (uint32_t i = 0; i < a->currency_cnt; i++)
        if (a->currencies[i] == currency) return true;
    return a->currencies_all;
}

bool auditor_too_old(const auditor *a, const document *d)
{
    kh_date today = kh_date_of_time(a->time);
    return a->max_age_s[d->kind] != 0 && d->date != 0 && today > d->date &&
           (uint64_t)(today - d->date) * 86400 > a->max_age_s[d->kind];
}

/* Everything of a line but the balance: existence, owner, fields, state, currency, age, rate. */
static kh_code check_line(const auditor *a, const kh_op_apply *apply, const party *enterprise, const kh_op_line *want,
                          fin_line *line)
{
    line->doc = auditor_find_doc(a, &want->key);
    if (line->doc < 0) return KH_C_NOT_FOUND;
    const document *d = &a->docs[line->doc];
    if (enterprise == NULL || strcmp(d->owner, enterprise->uscc) != 0) return KH_C_OWNER_MISMATCH;
    if (enterprise->frozen) return KH_C_FROZEN;
    int bal = choose_balance(d, want->currency, apply->currency);
    if (bal < 0) return KH_C_FIELD_MISMATCH;
    line->currency = d->balances[bal].currency;
    if (a->apply_needs_total && want->total == KH_AMOUNT_NONE) return KH_C_FIELD_MISMATCH;
    if (want->total != KH_AMOUNT_NONE && (line->currency == 0 || d->balances[bal].base != want->total))
        return KH_C_FIELD_MISMATCH;
    kh_code state = kh_status_code(d->status);
    if (state != KH_C_OK && !kh_code_is_warning(state)) return state;
    if (auditor_too_old(a, d)) return KH_C_TOO_OLD;
    if (line->currency == 0) return KH_C_EXHAUSTED;
    if (!auditor_currency_allowed(a, line->currency)) return KH_C_CURRENCY;
    kh_code rate = find_rate(a, apply->currency, line->currency, line);
    if (rate == KH_C_OK) line->bal = bal;
    return rate;
}

/* The largest part that converts to at most `room`. */
static uint64_t largest_part(const fin_line *line, kh_currency from, uint64_t missing, uint64_t room)
{
    uint64_t low = 0, high = missing, amount;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        if (convert(line, from, line->currency, middle, &amount) && amount <= room) low = middle;
        else high = middle - 1;
    }
    return low;
}

/* try_line fills one line; f is already the last financing of the auditor, so that later lines see it. */
static kh_code try_line(auditor *a, financing *f, const kh_op_apply *apply, const party *enterprise, const kh_op_line *want,
                        uint64_t missing, fin_line *line)
{
    *line = (fin_line){.doc = -1, .bal = -1, .key = want->key, .currency = want->currency};
    kh_code code = check_line(a, apply, enterprise, want, line);
    if (code != KH_C_OK) {
        line->short_only = code == KH_C_EXHAUSTED; /* base 0: nothing free */
        line->bal = -1;
        return line->code = code;
    }
    uint64_t part = want->allocated, room = grantable(a, f->product, line->doc, line->bal), amount = 0;
    if (part == KH_AMOUNT_NONE) part = largest_part(line, apply->currency, missing, room);
    bool fits = convert(line, apply->currency, line->currency, part, &amount) && amount <= room;
    kh_code shortage = auditor_shortage(a, line->doc, line->bal, apply->enterprise == 0 ? 0 : f->bank);
    if (want->allocated == KH_AMOUNT_NONE ? part < missing : !fits) line->code = shortage;
    line->short_only = true;
    if ((want->allocated != KH_AMOUNT_NONE && !fits) || part == 0) {
        line->bal = -1;
        return line->code;
    }
    line->allocated = line->remaining = part;
    line->amount = amount;
    return line->code;
}

static void answer(const financing *f, outcome *ret)
{
    ret->state = (uint8_t)f->state;
    ret->version = f->version;
    ret->amount = f->amount;
    ret->currency = f->currency;
    ret->line_cnt = f->line_cnt;
    memcpy(ret->lines, f->lines, sizeof f->lines);
}

static size_t application_bytes(const kh_op *op, uint8_t *buf, size_t cap)
{
    kh_op plain = *op;
    size_t n = 0;
    plain.sequence = 0;
    KH_ASSERT(kh_op_encode(&plain, buf, cap, &n) == KH_OK);
    return n;
}

void auditor_apply(auditor *a, const kh_op *op, outcome *ret)
{
    const kh_op_apply *apply = &op->apply;
    uint8_t bytes[4096];
    size_t bytes_n = application_bytes(op, bytes, sizeof bytes);
    int known = auditor_find_fin(a, op->party, apply->id);
    const party *bank = auditor_find_party(a, op->party), *enterprise = auditor_find_party(a, apply->enterprise);
    if (bank == NULL || bank->role != KH_ROLE_BANK) return refuse(ret, KH_C_NOT_AUTHORISED);
    if (known >= 0) {
        financing *f = &a->fins[known];
        if (f->application_n != bytes_n || memcmp(f->application, bytes, bytes_n) != 0) return refuse(ret, KH_C_BAD_STATE);
        ret->again = true;
        ret->first = f->application_at;
        return;
    }
    if (bank->frozen) return refuse(ret, KH_C_FROZEN);
    uint32_t said = 0;
    uint64_t total = 0;
    for (uint32_t i = 0; i < apply->line_cnt; i++) {
        if (apply->lines[i].allocated == KH_AMOUNT_NONE) continue;
        said++;
        total += apply->lines[i].allocated;
    }
    if (said != 0 && (said != apply->line_cnt || total != apply->amount)) return refuse(ret, KH_C_FORMAT);
    if (enterprise != NULL && enterprise->role != KH_ROLE_ENTERPRISE) enterprise = NULL; /* owns no paper */
    if (!auditor_currency_allowed(a, apply->currency)) return refuse(ret, KH_C_CURRENCY);
    KH_ASSERT(a->fin_cnt < FINS_MAX);
    financing *f = &a->fins[a->fin_cnt++];
    memset(f, 0, sizeof *f);
    f->bank = op->party;
    f->enterprise = apply->enterprise;
    f->id = apply->id;
    f->state = KH_FIN_APPLIED;
    f->currency = apply->currency;
    memcpy(f->product, apply->product.p, apply->product.n);
    kh_code first_failed = KH_C_OK, first_unusable = KH_C_OK;
    uint64_t missing = apply->amount;
    for (uint32_t i = 0; i < apply->line_cnt; i++) {
        fin_line *line = &f->lines[f->line_cnt];
        if (said == 0 && missing == 0) { /* not needed: left out */
            *line = (fin_line){.doc = -1, .bal = -1, .key = apply->lines[i].key};
            f->line_cnt++;
            continue;
        }
        kh_code code = try_line(a, f, apply, enterprise, &apply->lines[i], missing, line);
        f->line_cnt++;
        if (line->bal < 0 && !line->short_only && first_unusable == KH_C_OK) first_unusable = code;
        missing -= line->allocated;
        if (code != KH_C_OK && first_failed == KH_C_OK) first_failed = code;
        auditor_add_up(a);
    }
    f->amount = apply->amount - missing;
    bool refused = apply->allow_partial ? f->amount == 0 : missing > 0 || first_unusable != KH_C_OK;
    if (refused) {
        ret->code =
            missing > 0 ? first_failed : first_unusable; /* a line that took less than it wished has failed where it is missed */
        answer(f, ret);
        ret->state = KH_FIN_NONE;
        memset(f, 0, sizeof *f);
        a->fin_cnt--;
        auditor_add_up(a);
        return;
    }
    for (uint32_t i = 0; i < f->line_cnt; i++)
        if (f->lines[i].allocated > 0) f->lines[i].code = KH_C_OK;
    f->version = 1;
    f->deadline = a->time + a->ttl_applied_s * KH_NS_PER_S;
    f->queued = a->queue_clock++;
    memcpy(f->application, bytes, bytes_n);
    f->application_n = bytes_n;
    ret->fin = (int)a->fin_cnt - 1;
    ret->is_application = true;
    answer(f, ret); /* with every line that was asked for; kept are those granted */
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->line_cnt; i++)
        if (f->lines[i].allocated > 0) f->lines[kept++] = f->lines[i];
    f->line_cnt = kept;
    auditor_flags(a);
}

/* ---- events ---- */

static bool same_event(const financing *f, const kh_op_event *e)
{
    const kh_op_event *l = &f->last_event;
    if (!f->has_last_event || l->event != e->event || l->source != e->source || l->reason != e->reason ||
        l->has_expect != e->has_expect || l->expect != e->expect || l->amount != e->amount || l->line_cnt != e->line_cnt)
        return false;
    for (uint32_t i = 0; i < e->line_cnt; i++)
        if (!kh_key_equal(&e->lines[i].key, &f->last_event_lines[i].key) ||
            e->lines[i].currency != f->last_event_lines[i].currency || e->lines[i].allocated != f->last_event_lines[i].allocated)
            return false;
    return true;
}

static bool may(kh_event event, kh_fin_state state)
{
    switch (event) {
    case KH_EV_ACCEPT: return state == KH_FIN_APPLIED;
    case KH_EV_APPROVE: return state == KH_FIN_ACCEPTED;
    case KH_EV_REJECT: return state == KH_FIN_APPLIED || state == KH_FIN_ACCEPTED;
    case KH_EV_WITHDRAW: return auditor_is_held(state);
    case KH_EV_DISBURSE: return state == KH_FIN_APPROVED;
    case KH_EV_REPAY: return auditor_is_used(state);
    case KH_EV_REVERSE: return state == KH_FIN_DISBURSED;
    default: return false;
    }
}

/* Parts of the event's amount over the lines: as allotted, else in their order, each as far as it goes. */
static kh_code share_out(const financing *f, const kh_op_event *e, uint64_t all, uint64_t *ret_amount, uint64_t parts[8])
{
    uint64_t sum = 0, amount = e->amount != KH_AMOUNT_NONE ? e->amount : all;
    memset(parts, 0, 8 * sizeof *parts);
    for (uint32_t i = 0; i < e->line_cnt; i++) {
        const kh_op_line *said = &e->lines[i];
        uint32_t at = 0, found = 0;
        for (uint32_t j = 0; j < f->line_cnt; j++) {
            if (!kh_key_equal(&f->lines[j].key, &said->key)) continue;
            if (said->currency != 0 && f->lines[j].currency != said->currency) continue;
            at = j;
            found++;
        }
        if (found == 0) return KH_C_NOT_FOUND;
        if (found > 1 || parts[at] != 0 || said->allocated == KH_AMOUNT_NONE) return KH_C_FORMAT;
        if (said->allocated == 0 || said->allocated > f->lines[at].remaining) return KH_C_BAD_STATE;
        parts[at] = said->allocated;
        sum += said->allocated;
    }
    if (e->line_cnt != 0) {
        if (e->amount != KH_AMOUNT_NONE && sum != e->amount) return KH_C_FORMAT;
        *ret_amount = sum;
        return KH_C_OK;
    }
    if (amount == 0 || amount > all) return KH_C_BAD_STATE;
    *ret_amount = amount;
    for (uint32_t i = 0; i < f->line_cnt; i++) {
        parts[i] = kh_min64(amount, f->lines[i].remaining);
        amount -= parts[i];
    }
    return KH_C_OK;
}

/* DOMAIN: a disbursement that brings used + consumed above the cap, or the group's above the group cap, is refused. */
static bool disburse_breaks(const auditor *a, const fin_line *line)
{
    if (line->doc < 0 || line->bal < 0) return false;
    const balance *b = &a->docs[line->doc].balances[line->bal];
    if (b->sum.used + b->sum.consumed > b->cap) return true;
    if (b->group < 0) return false;
    uint64_t by_kind[KH_KIND_CNT] = {0}, settled = 0, cap = 0;
    for (uint32_t i = 0; i < a->doc_cnt; i++)
        for (uint32_t j = 0; j < a->docs[i].balance_cnt; j++) {
            if (a->docs[i].balances[j].group != b->group) continue;
            by_kind[a->docs[i].kind] += a->docs[i].balances[j].cap;
            settled += a->docs[i].balances[j].sum.used + a->docs[i].balances[j].sum.consumed;
        }
    for (int k = 0; k < KH_KIND_CNT; k++) cap = kh_max64(cap, by_kind[k]);
    return settled > cap;
}

static void set_remaining(const financing *f, fin_line *line, uint64_t remaining)
{
    uint64_t amount = 0;
    line->remaining = remaining;
    if (line->bal >= 0) KH_ASSERT(convert(line, f->currency, line->currency, remaining, &amount));
    line->amount = amount;
}

static kh_code disburse(auditor *a, financing *f, const kh_op_event *e, uint64_t *ret_moved)
{
    uint64_t x = 0, parts[8];
    kh_code code = share_out(f, e, f->amount, &x, parts);
    if (code != KH_C_OK) return code;
    financing before = *f;
    for (uint32_t i = 0; i < f->line_cnt; i++) {
        f->lines[i].allocated = parts[i];
        set_remaining(f, &f->lines[i], parts[i]);
    }
    f->state = KH_FIN_DISBURSED;
    auditor_add_up(a);
    for (uint32_t i = 0; i < f->line_cnt; i++) {
        kh_status status = a->docs[f->lines[i].doc].status;
        bool frozen = status == KH_STATUS_ABNORMAL || status == KH_STATUS_LOST_CONTROL;
        if (parts[i] == 0 || (!frozen && !disburse_breaks(a, &f->lines[i]))) continue;
        *f = before;
        auditor_add_up(a);
        return frozen ? kh_status_code(status) : KH_C_INSUFFICIENT;
    }
    f->amount = x;
    f->deadline = 0;
    *ret_moved = x;
    return KH_C_OK;
}

static kh_code repay(const auditor *a, financing *f, const kh_op_event *e, uint64_t *ret_moved)
{
    uint64_t r = 0, parts[8];
    kh_code code = share_out(f, e, f->amount - f->repaid, &r, parts);
    if (code != KH_C_OK) return code;
    bool back = e->source == KH_SRC_OWN_FUNDS && a->restore_on_own_funds;
    for (uint32_t i = 0; i < f->line_cnt; i++) {
        uint64_t before = f->lines[i].amount;
        set_remaining(f, &f->lines[i], f->lines[i].remaining - parts[i]);
        if (!back) f->lines[i].consumed += before - f->lines[i].amount;
    }
    f->repaid += r;
    f->state = f->repaid == f->amount ? KH_FIN_SETTLED : KH_FIN_PART_REPAID;
    *ret_moved = r;
    return KH_C_OK;
}

static void release(financing *f, kh_fin_state state)
{
    for (uint32_t i = 0; i < f->line_cnt; i++) f->lines[i].amount = f->lines[i].remaining = 0;
    f->state = state;
    f->deadline = 0;
}

void auditor_event(auditor *a, const kh_op *op, outcome *ret)
{
    const kh_op_event *e = &op->event;
    const party *bank = auditor_find_party(a, op->party);
    if (bank == NULL || bank->role != KH_ROLE_BANK) return refuse(ret, KH_C_NOT_AUTHORISED);
    int at = auditor_find_fin(a, op->party, e->id);
    if (at < 0) return refuse(ret, KH_C_NOT_FOUND);
    financing *f = &a->fins[at];
    if (e->has_expect && same_event(f, e)) {
        ret->again = true;
        ret->first = f->last_event_at;
        return;
    }
    bool needs_reason = e->event == KH_EV_REJECT || e->event == KH_EV_WITHDRAW;
    if (needs_reason && (e->reason == KH_REASON_NONE || e->reason == KH_REASON_LAPSED)) return refuse(ret, KH_C_FORMAT);
    if (e->line_cnt != 0 && e->event != KH_EV_DISBURSE && e->event != KH_EV_REPAY) return refuse(ret, KH_C_FORMAT);
    const party *enterprise = auditor_find_party(a, f->enterprise);
    bool stops = e->event == KH_EV_ACCEPT || e->event == KH_EV_APPROVE || e->event == KH_EV_DISBURSE;
    if (stops && (bank->frozen || enterprise->frozen)) return refuse(ret, KH_C_FROZEN);
    if (e->has_expect && e->expect != f->version) return refuse(ret, KH_C_BAD_STATE);
    if (!may((kh_event)e->event, f->state)) return refuse(ret, KH_C_BAD_STATE);
    kh_code code = KH_C_OK;
    switch (e->event) {
    case KH_EV_ACCEPT:
        f->state = KH_FIN_ACCEPTED;
        f->deadline = a->time + a->ttl_accepted_s * KH_NS_PER_S;
        f->queued = a->queue_clock++;
        break;
    case KH_EV_APPROVE: f->state = KH_FIN_APPROVED; break;
    case KH_EV_REJECT: release(f, KH_FIN_REJECTED); break;
    case KH_EV_WITHDRAW: release(f, KH_FIN_WITHDRAWN); break;
    case KH_EV_DISBURSE: code = disburse(a, f, e, &ret->moved); break;
    case KH_EV_REPAY: code = repay(a, f, e, &ret->moved); break;
    default: release(f, KH_FIN_REVERSED); break;
    }
    if (code != KH_C_OK) return refuse(ret, code);
    f->version++;
    f->last_event = *e;
    memcpy(f->last_event_lines, e->lines, e->line_cnt * sizeof *e->lines);
    f->has_last_event = true;
    ret->fin = at;
    answer(f, ret);
    auditor_add_up(a);
    auditor_flags(a);
}

/* ---- time ---- */

static void lapse(auditor *a, financing *f)
{
    release(f, KH_FIN_LAPSED);
    f->version++;
    kh_notice *n = auditor_notice(a, KH_NOTICE_LAPSED, f->bank);
    n->financing = f->id;
    n->has_financing = 1;
    n->state = KH_FIN_LAPSED;
    n->version = f->version;
    n->amount = f->amount;
    auditor_add_up(a);
}

void auditor_expelled(auditor *a, uint32_t bank)
{
    for (uint32_t i = 0; i < a->fin_cnt; i++)
        if (a->fins[i].bank == bank && auditor_is_held(a->fins[i].state)) lapse(a, &a->fins[i]);
    auditor_flags(a);
}

void auditor_begin_entry(auditor *a, uint64_t time_ns)
{
    a->time = time_ns;
    for (;;) {
        int next = -1;
        for (uint32_t i = 0; i < a->fin_cnt; i++) {
            const financing *f = &a->fins[i];
            if (!auditor_is_held(f->state) || f->deadline > time_ns) continue;
            if (next < 0 || f->deadline < a->fins[next].deadline ||
                (f->deadline == a->fins[next].deadline && f->queued < a->fins[next].queued))
                next = (int)i;
        }
        if (next < 0) break;
        lapse(a, &a->fins[next]);
    }
    auditor_flags(a);
}

void auditor_placed(auditor *a, const outcome *o, kh_place place)
{
    if (o->fin < 0) return;
    if (o->is_application) a->fins[o->fin].application_at = place;
    else a->fins[o->fin].last_event_at = place;
}
