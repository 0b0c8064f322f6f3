/* ledger: binding to a state, and the one loop that applies decided entries: what is due first, then operation by operation, with
 * what the next few groups of them will touch fetched into the cache ahead. */
#include "ledger/machine.h"

static const kh_region_spec regions[] = {
    {KH_REGION_HEAD, sizeof(kh_head), 1},
    {KH_R_COLD, sizeof(kh_cold), KH_RECORDS_MAX},
    {KH_R_EXTRA, sizeof(kh_extra), KH_CAPACITY_DOCUMENTS_MAX},
    {KH_R_ACTIVE, sizeof(kh_active), KH_RECORDS_MAX},
    {KH_R_SHARE, sizeof(kh_share), KH_RECORDS_MAX},
    {KH_R_LINE, sizeof(kh_line), 4u * KH_CAPACITY_FINANCINGS_MAX},
    {KH_R_FIN, sizeof(kh_fin), KH_CAPACITY_FINANCINGS_MAX + 1},
    {KH_R_FIN_TABLE, sizeof(kh_fin_bucket), KH_CAPACITY_FINANCINGS_MAX / 2},
    {KH_R_TEXT, KH_TEXT_UNIT, UINT64_C(2) << 30},
    {KH_R_TEXT_TABLE, 8, KH_RECORDS_MAX},
    {KH_R_PARTY, sizeof(kh_party_row), KH_PARTIES_MAX},
    {KH_R_PARTY_TABLE, 8, 2 * KH_PARTIES_MAX},
    {KH_R_PARTY_ORDER, 4, KH_PARTIES_MAX},
    {KH_R_USCC_TABLE, 8, 2 * KH_PARTIES_MAX},
    {KH_R_QUEUE, sizeof(kh_queue), KH_QUEUES_MAX},
    {KH_R_GROUP, sizeof(kh_group), 16u << 20},
    {KH_R_REF, sizeof(kh_ref), KH_CAPACITY_DOCUMENTS_MAX},
    {KH_R_REF_TABLE, 8, KH_CAPACITY_DOCUMENTS_MAX},
    {KH_R_CONTRACT, sizeof(kh_contract), KH_CAPACITY_DOCUMENTS_MAX},
    {KH_R_CONTRACT_TABLE, 8, KH_CAPACITY_DOCUMENTS_MAX},
    {KH_R_PRODUCT, sizeof(kh_product), KH_PRODUCTS_MAX + 1},
    {KH_R_RATE, sizeof(kh_rate_row), 16u << 20},
    {KH_R_WAIT, sizeof(kh_wait), 16u << 20},
    {KH_R_WAIT_KEY, sizeof(kh_wait_key), 32u << 20},
    {KH_R_WAIT_TABLE, 8, 16u << 20},
    {KH_R_MESSAGE, sizeof(kh_message_cell), 64u << 20},
    {KH_R_CONSENT, sizeof(kh_consent_head), 1},
    {KH_R_GRANT, sizeof(kh_grant), KH_GRANTS_CAPACITY + 1},
    {KH_R_GRANT_TABLE, 8, 2 * KH_GRANTS_CAPACITY},
    {KH_R_RISK, sizeof(kh_risk_row), KH_RISKS_CAPACITY + 1},
    {KH_R_RISK_TABLE, 8, 2 * KH_RISKS_CAPACITY},
    {KH_R_PARTY_KEY, sizeof(kh_party_key), KH_PARTY_KEYS_MAX + 1},
};
#define REGION_CNT (sizeof regions / sizeof regions[0])

uint32_t kh_ledger_regions(kh_region_spec ret_specs[KH_REGION_MAX])
{
    memcpy(ret_specs, regions, sizeof regions);
    return (uint32_t)REGION_CNT + kh_index_regions(KH_RECORDS_MAX, ret_specs + REGION_CNT);
}

size_t kh_ledger_footprint(void) { return sizeof(kh_ledger); }

static void start_empty(kh_ledger *l)
{
    for (size_t i = 0; i < REGION_CNT; i++) { /* row 0 of all but the tables is never used */
        if (regions[i].row_sz != 4 && regions[i].row_sz != 8) l->state->regions[regions[i].region].row_cnt = 1;
    }
    l->state->regions[KH_R_TEXT].row_cnt = 1;
    kh_fins_init(l);
    kh_table_init(l, &kh_texts_table, &l->head->texts);
    kh_table_init(l, &kh_parties_table, &l->head->parties);
    kh_table_init(l, &kh_usccs_table, &l->head->usccs);
    kh_table_init(l, &kh_refs_table, &l->head->refs);
    kh_table_init(l, &kh_contracts_table, &l->head->contracts);
    kh_table_init(l, &kh_waits_table, &l->head->waits);
    l->head->format = KH_STATE_FORMAT;
    l->head->queue_applied = kh_rows_take(l, KH_R_QUEUE);
    l->head->queue_accepted = kh_rows_take(l, KH_R_QUEUE);
    l->queue[l->head->queue_applied].used = 1;
    l->queue[l->head->queue_accepted].used = 1;
    kh_rules_init(l, 0, KH_RULE_HEAD_CNT);
}

kh_err kh_ledger_open(kh_state *state, kh_index *index, const uint8_t secret[16], void *mem, kh_ledger **ret)
{
    kh_ledger *l = mem;
    if (state == NULL || index == NULL || mem == NULL || ((uintptr_t)mem & 63) != 0) return KH_E_ARG;
    for (size_t i = 0; i < REGION_CNT; i++)
        if (state->regions[regions[i].region].row_sz != regions[i].row_sz) return KH_E_VERSION;
    memset(l, 0, sizeof *l);
    l->state = state;
    l->index = index;
    l->secret[0] = kh_load64(secret) ^ UINT64_C(0x6b616e6865000001);
    l->secret[1] = kh_load64(secret + 8) ^ UINT64_C(0x6c65646765720001);
#define BIND(field, region) l->field = (void *)state->regions[region].base
    BIND(head, KH_REGION_HEAD);
    BIND(record, KH_REGION_INDEX_RECORDS);
    BIND(cold, KH_R_COLD);
    BIND(extra, KH_R_EXTRA);
    BIND(active, KH_R_ACTIVE);
    BIND(share, KH_R_SHARE);
    BIND(line, KH_R_LINE);
    BIND(fin, KH_R_FIN);
    BIND(text, KH_R_TEXT);
    BIND(party, KH_R_PARTY);
    BIND(queue, KH_R_QUEUE);
    BIND(group, KH_R_GROUP);
    BIND(ref, KH_R_REF);
    BIND(contract, KH_R_CONTRACT);
    BIND(product, KH_R_PRODUCT);
    BIND(rate, KH_R_RATE);
    BIND(wait, KH_R_WAIT);
    BIND(wait_key, KH_R_WAIT_KEY);
    BIND(cell, KH_R_MESSAGE);
    BIND(consent, KH_R_CONSENT);
    BIND(grant, KH_R_GRANT);
    BIND(risk, KH_R_RISK);
    BIND(party_key, KH_R_PARTY_KEY);
#undef BIND
    if (state->regions[KH_REGION_HEAD].row_cnt == 0) start_empty(l);
    else if (l->head->format != KH_STATE_FORMAT) return KH_E_VERSION;
    if (l->consent->format == 0) kh_consent_start(l);
    else if (l->consent->format != KH_CONSENT_FORMAT) return KH_E_VERSION;
    if (state->regions[KH_R_PARTY_KEY].row_cnt == 0) state->regions[KH_R_PARTY_KEY].row_cnt = 1; /* an image before them */
    *ret = l;
    return KH_OK;
}

static void answer_code(kh_ledger *l, const kh_op *op, kh_code code)
{
    kh_receipt receipt = {.type = op->type, .party = op->party, .sequence = op->sequence, .code = code};
    if (op->type == KH_OP_DOCUMENT) receipt.event = op->document.action;
    if (op->type == KH_OP_EVENT) {
        receipt.event = op->event.event;
        receipt.financing = op->event.id;
    }
    if (op->type == KH_OP_APPLY) {
        receipt.event = KH_EV_APPLY;
        receipt.financing = op->apply.id;
    }
    kh_outcome_begin(l);
    kh_touch_party(l, op->party);
    kh_emit_receipt(l, &receipt);
}

/* What execution wrote itself: it has looked at who speaks. */
static void apply_execution(kh_ledger *l, const kh_op *op)
{
    kh_receipt receipt = {.type = op->type, .party = op->party, .sequence = op->sequence};
    switch (op->type) {
    case KH_OP_BLOCK:
        receipt.amount = op->block.height;
        receipt.version = op->block.part;
        receipt.state = (uint8_t)op->block.flags;
        break;
    case KH_OP_REFUSED: receipt.code = op->refused.code; break;
    case KH_OP_EXPELLED: receipt.code = kh_parties_expel(l, &op->expelled); break;
    default:
        receipt.code = kh_parties_bundle(l, op->party, op->bundle.number, &receipt.amount);
        l->bundle_left = op->bundle.op_cnt;
        l->bundle_code = receipt.code;
        break;
    }
    kh_outcome_begin(l);
    if (op->type != KH_OP_BLOCK) kh_touch_party(l, op->type == KH_OP_EXPELLED ? op->expelled.id : op->party);
    kh_emit_receipt(l, &receipt);
    if (op->type == KH_OP_EXPELLED) kh_expelled_lapse(l);
}

static void apply_one(kh_ledger *l, const kh_op *op, kh_frame frame)
{
    if (kh_op_of_execution(op->type)) {
        apply_execution(l, op);
        return;
    }
    kh_code code = KH_C_OK;
    if (l->bundle_left != 0) {
        l->bundle_left--;
        code = l->bundle_code;
    }
    if (code == KH_C_OK) code = kh_access_check(l, op);
    if (code == KH_C_OK) {
        switch (op->type) {
        case KH_OP_DOCUMENT:
            kh_documents_apply(l, op, frame);
            l->roomy = kh_rows_ample(l); /* what waited for it may have taken many */
            return;
        case KH_OP_APPLY: kh_fin_apply(l, op, frame); return;
        case KH_OP_EVENT: kh_fin_event(l, op, frame); return;
        case KH_OP_GRANT:
        case KH_OP_GRANT_REVOKE:
        case KH_OP_CREDIT_LOOKUP: kh_grants_apply(l, op); return;
        case KH_OP_RISK_ADD:
        case KH_OP_RISK_REMOVE:
        case KH_OP_RISK_ASK: kh_risks_apply(l, op); return;
        case KH_OP_PARTY_ADD: code = kh_parties_add(l, &op->party_add); break;
        case KH_OP_PARTY_STATUS: code = kh_parties_status(l, &op->party_status); break;
        case KH_OP_PARTY_KEY: code = kh_parties_key(l, &op->party_key); break;
        case KH_OP_RULE_SET: code = kh_rules_set(l, &op->rule_set); break;
        case KH_OP_RATE_SET: code = kh_rates_set(l, &op->rate_set); break;
        default: code = KH_C_FORMAT; break;
        }
    }
    answer_code(l, op, code);
}

static void answer_undecoded(kh_ledger *l, const kh_op *op)
{
    if (l->bundle_left != 0) l->bundle_left--;
    answer_code(l, op, KH_C_FORMAT);
}

typedef struct reading { /* what is left of an entry */
    const uint8_t *p;
    size_t n;
    uint32_t op_cnt;
} reading;

/* The bytes that are read a group of applications of one line later: what a processor fetches by itself ends with the page. */
static void fetch_bytes(const reading *in)
{
    enum { BYTES_AHEAD = 2048 };
    uintptr_t at = (uintptr_t)in->p + BYTES_AHEAD; /* there need not be so many: nothing is read */
    kh_fetch_near((const void *)at);
    kh_fetch_near((const void *)(at + KH_CACHE_LINE));
}

static void read_group(reading *in, kh_ahead *a)
{
    uint32_t n = 0, lines = 0;
    a->application_cnt = a->event_cnt = a->line_cnt = 0;
    for (; n < KH_AHEAD && n < in->op_cnt && lines <= KH_AHEAD_LINES; n++) {
        size_t size = 0;
        fetch_bytes(in);
        kh_op *op = &a->ops[n];
        a->good[n] = kh_op_decode(in->p, in->n, (kh_op_scratch *)(void *)&a->lines[lines], op, &size) == KH_OK;
        a->frames[n] = (kh_frame){in->p, size};
        if (!a->good[n]) {
            *op = (kh_op){.type = 0};
            if (size == 0) in->p += in->n, in->n = 0; /* the rest cannot be told apart */
        }
        if (op->type == KH_OP_APPLY) {
            lines += op->apply.line_cnt;
            a->line_cnt += op->apply.line_cnt;
            a->application_cnt++;
        } else if (op->type == KH_OP_EVENT) {
            lines += op->event.line_cnt;
            a->event_cnt++;
        }
        in->p += size;
        in->n -= size;
    }
    a->op_cnt = n;
    in->op_cnt -= n;
}

/* What the next application will look at first, from the second cache into the first while the one before it is applied. */
static void fetch_near(const kh_ledger *l, const kh_ahead *a, uint32_t i)
{
    if (i >= a->op_cnt || a->found[i].key_cnt == 0) return;
    const kh_found *f = &a->found[i];
    kh_fetch_near(kh_rec(l, a->records[f->first_key])); /* NONE: nothing is read */
    kh_fetch_near(&l->cold[a->colds[f->first_key]]);
    if (f->type == KH_OP_APPLY) kh_fetch_near(kh_fins_bucket(l, f->fin_hash));
}

static void apply_group(kh_ledger *l, const kh_ahead *a)
{
    l->turn = a;
    l->roomy = kh_rows_ample(l);
    for (uint32_t i = 0; i < a->op_cnt; i++, l->op_index++) {
        l->now = &a->found[i];
        fetch_near(l, a, i + 1);
        if (a->good[i]) apply_one(l, &a->ops[i], a->frames[i]);
        else answer_undecoded(l, &a->ops[i]);
    }
}

void kh_ledger_apply(kh_ledger *l, uint64_t height, uint64_t time_ns, const uint8_t *ops, size_t ops_sz, uint32_t op_cnt,
                     const kh_sink *sink)
{
    KH_ASSERT(height == l->head->height + 1);
    l->sink = sink;
    l->op_index = l->bundle_left = 0;
    /* partners: kh_ledger_verify_fast, kh_ledger_moment */
    __atomic_store_n(&l->head->height, height, __ATOMIC_RELEASE);
    __atomic_store_n(&l->head->time_ns, kh_max64(time_ns, l->head->time_ns), __ATOMIC_RELAXED);
    kh_place_count(l, 0);
    l->today = kh_date_of_time(l->head->time_ns);
    kh_expiry_run(l);
    kh_expelled_begin(l);
    reading in = {ops, ops_sz, op_cnt};
    /* In each turn a new group comes in, those before it are each a stage further, and the oldest is applied. */
    for (uint32_t turn = 0, groups = 0; turn < groups + KH_AHEAD_STAGES; turn++) {
        if (in.op_cnt != 0) {
            read_group(&in, &l->ahead[turn % KH_AHEAD_GROUPS]);
            groups = turn + 1;
        }
        for (uint32_t stage = 0; stage < KH_AHEAD_STAGES && stage <= turn; stage++)
            if (turn - stage < groups) kh_ahead_fetch(l, &l->ahead[(turn - stage) % KH_AHEAD_GROUPS], stage);
        if (turn >= KH_AHEAD_STAGES) apply_group(l, &l->ahead[(turn - KH_AHEAD_STAGES) % KH_AHEAD_GROUPS]);
    }
    kh_index_settle(l->index, height);
}

uint64_t kh_ledger_height(const kh_ledger *l) { return l->head->height; }
uint64_t kh_ledger_time(const kh_ledger *l) { return l->head->time_ns; }
uint64_t kh_ledger_check(const kh_ledger *l) { return l->head->check; }
uint64_t kh_ledger_watermark(const kh_ledger *l, kh_kind kind)
{
    return (uint32_t)kind < KH_KIND_CNT ? __atomic_load_n(&l->head->watermark[kind], __ATOMIC_RELAXED) : 0;
}

uint64_t kh_ledger_next_due(const kh_ledger *l)
{
    uint32_t fin;
    return l->head->expelled_at != 0 ? l->head->time_ns : kh_expiry_next(l, &fin);
}

void kh_ledger_headroom(const kh_ledger *l, uint32_t op_cnt, size_t ops_sz, uint64_t ret_bytes[KH_REGION_MAX])
{
    uint64_t rows = (uint64_t)op_cnt * 4 + ops_sz / 8 + 128;
    for (uint32_t r = 0; r < KH_REGION_MAX; r++) {
        const kh_region *region = &l->state->regions[r];
        ret_bytes[r] = kh_min64(rows, region->row_max - region->row_cnt) * region->row_sz;
    }
    ret_bytes[KH_R_EXTRA] = kh_min64((uint64_t)op_cnt * 2 + 128, l->state->regions[KH_R_EXTRA].row_max) * sizeof(kh_extra);
    /* An operation adds at most three keys (a document and two aliases), and each can at worst split one segment; no segment
       splits twice within an entry, since a split leaves both halves far below their threshold. */
    const kh_region *segments = &l->state->regions[KH_REGION_INDEX_SEGMENTS];
    uint64_t splits = kh_min64((uint64_t)op_cnt * 3, segments->row_cnt) + 1;
    ret_bytes[KH_REGION_INDEX_SEGMENTS] = kh_min64(splits, segments->row_max - segments->row_cnt) * segments->row_sz;
    ret_bytes[KH_REGION_HEAD] = 0;
}

void kh_ledger_room(uint64_t documents, uint64_t financings, uint64_t ret_bytes[KH_REGION_MAX])
{
    /* What bench_ledger's documents and financings take; the index's segments and the tables of hashes between two doublings. */
    enum { RECORD_SZ = 64, SEGMENT_SHARE_SZ = 18, TEXT_SHARE_SZ = 4, TABLE_SHARE_SZ = 5, QUEUE_SHARE_SZ = 22 };
    memset(ret_bytes, 0, KH_REGION_MAX * sizeof ret_bytes[0]);
    ret_bytes[KH_REGION_INDEX_RECORDS] = documents * RECORD_SZ;
    ret_bytes[KH_REGION_INDEX_SEGMENTS] = documents * SEGMENT_SHARE_SZ;
    ret_bytes[KH_R_COLD] = documents * sizeof(kh_cold);
    ret_bytes[KH_R_TEXT] = documents * TEXT_SHARE_SZ;
    ret_bytes[KH_R_ACTIVE] = financings * sizeof(kh_active);
    ret_bytes[KH_R_LINE] = financings * sizeof(kh_line);
    ret_bytes[KH_R_FIN] = financings * sizeof(kh_fin);
    ret_bytes[KH_R_FIN_TABLE] = financings * TABLE_SHARE_SZ;
    ret_bytes[KH_R_QUEUE] = financings * QUEUE_SHARE_SZ;
}

void kh_ledger_get_stats(const kh_ledger *l, kh_ledger_stats *ret)
{
    const kh_head *h = l->head;
    *ret = (kh_ledger_stats){h->documents,          h->balances, h->financings, h->open_financings,       h->open_lines,
                             h->parties.rows,       h->groups,   h->waiting,    kh_state_bytes(l->state), l->consent->grants.rows,
                             l->consent->risks.rows};
}
