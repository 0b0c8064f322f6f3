/* rebuild: a state made from the leaves of another one (checkpoint.c), in an empty ledger. Their giver is trusted in nothing:
 * each leaf is held against the bounds and the order that docs/FORMAT.md gives, and whatever follows from the leaves is made
 * anew, placed by this ledger's own secret. Whether it is the right state only its digest says: the caller makes it from what was
 * built. */
#include "ledger/rebuild.h"

/* ---- a leaf's bytes ---- */

void kh_rebuild_refuse(kh_rebuild *r, const char *why)
{
    if (r->why != NULL) return;
    r->why = why;
    r->err = KH_E_DAMAGED;
}

static void fail(kh_rebuild *r, kh_err err, const char *why)
{
    kh_rebuild_refuse(r, why);
    if (r->why == why) r->err = err;
}

void kh_rebuild_full(kh_rebuild *r) { fail(r, KH_E_FULL, "there is no room for it"); }

bool kh_rebuild_rows(kh_rebuild *r, uint32_t region, uint64_t cnt)
{
    if (!kh_rows_left(r->l, region, cnt)) kh_rebuild_full(r);
    return kh_rebuild_sound(r);
}

static bool fill(kh_rebuild *r)
{
    uint32_t n = (uint32_t)kh_min64(r->size - r->at, sizeof r->buf);
    kh_err err = r->from->read(r->from->ctx, r->buf, n);
    if (err != KH_OK) fail(r, err, "the leaves cannot be read");
    r->got = err == KH_OK ? n : 0;
    r->used = 0;
    return err == KH_OK;
}

/* p NULL: they are passed over. */
static void take(kh_rebuild *r, uint8_t *p, uint64_t n)
{
    if (kh_rebuild_sound(r) && r->size - r->at < n) kh_rebuild_refuse(r, "a leaf ends too soon");
    while (n != 0 && kh_rebuild_sound(r)) {
        if (r->used == r->got && !fill(r)) break;
        uint32_t part = (uint32_t)kh_min64(n, r->got - r->used);
        if (p != NULL) memcpy(p, r->buf + r->used, part);
        if (p != NULL) p += part;
        r->used += part;
        r->at += part;
        n -= part;
    }
    if (p != NULL && n != 0) memset(p, 0, n);
}

void kh_rebuild_take(kh_rebuild *r, void *p, size_t n) { take(r, p, n); }
void kh_rebuild_skip(kh_rebuild *r, uint64_t n) { take(r, NULL, n); }

uint64_t kh_rebuild_number(kh_rebuild *r)
{
    uint8_t bytes[8];
    take(r, bytes, sizeof bytes);
    return kh_rebuild_sound(r) ? kh_load64(bytes) : 0;
}

uint64_t kh_rebuild_up_to(kh_rebuild *r, uint64_t most)
{
    uint64_t value = kh_rebuild_number(r);
    if (value > most) kh_rebuild_refuse(r, "a number is above its bound");
    return kh_rebuild_sound(r) ? value : 0;
}

kh_key kh_rebuild_key(kh_rebuild *r)
{
    kh_key key;
    take(r, key.b, sizeof key.b);
    return key;
}

kh_text kh_rebuild_text(kh_rebuild *r, uint32_t max, char buf[KH_REBUILD_TEXT_MAX])
{
    uint32_t n = (uint32_t)kh_rebuild_up_to(r, max);
    take(r, (uint8_t *)buf, n);
    return (kh_text){buf, n};
}

uint32_t kh_rebuild_intern(kh_rebuild *r, uint32_t max)
{
    char buf[KH_REBUILD_TEXT_MAX];
    kh_text text = kh_rebuild_text(r, max, buf);
    if (kh_rebuild_sound(r) && !kh_texts_room(r->l, text.n)) kh_rebuild_full(r);
    return kh_rebuild_sound(r) ? kh_texts_intern(r->l, text) : 0;
}

void kh_rebuild_order(kh_rebuild *r, uint64_t high, uint64_t low)
{
    bool behind = high != r->last_high ? high > r->last_high : low > r->last_low;
    if (!behind) kh_rebuild_refuse(r, "a leaf is not behind the one before it");
    r->last_high = high;
    r->last_low = low;
}

uint32_t kh_rebuild_balance(const kh_ledger *l, const kh_key *key, uint64_t currency)
{
    uint32_t at = kh_index_find(l->index, key);
    if (at == KH_RECORD_NONE || kh_rec(l, at)->quad.flags & KH_REC_ALIAS) return KH_RECORD_NONE;
    while (at != KH_RECORD_NONE && kh_rec(l, at)->currency != currency) at = kh_rec(l, at)->next;
    return at;
}

/* ---- counters, rules, rates ---- */

static void read_head(kh_rebuild *r)
{
    kh_head *h = r->l->head;
    h->height = kh_rebuild_up_to(r, UINT64_MAX >> KH_PLACE_INDEX_BITS);
    h->time_ns = kh_rebuild_number(r);
    h->wait_stamp = kh_rebuild_number(r);
    h->queue_stamp = (uint32_t)kh_rebuild_up_to(r, UINT32_MAX);
    h->operator_last = kh_rebuild_number(r);
    for (uint32_t i = 0; i < KH_KIND_CNT; i++) h->watermark[i] = kh_rebuild_number(r);
    for (uint32_t i = 0; i < 16; i++) h->currencies[i] = kh_rebuild_number(r);
}

static void read_expelled(kh_rebuild *r) { r->expelled_looks = kh_rebuild_up_to(r, KH_CAPACITY_FINANCINGS_MAX) + 1; }

static void read_rule(kh_rebuild *r)
{
    if (kh_rebuild_up_to(r, KH_RULE_CNT - 1) != r->rule_cnt) kh_rebuild_refuse(r, "rules come by number, each once");
    kh_rule rule = {.value = kh_rebuild_number(r)};
    rule.value_2 = kh_rebuild_number(r);
    rule.since = kh_rebuild_number(r);
    rule.text = kh_rebuild_intern(r, KH_RULE_TEXT_MAX);
    if (kh_rebuild_sound(r)) kh_rules_restore(r->l, r->rule_cnt++, &rule);
}

static void read_product(kh_rebuild *r)
{
    kh_product product = {.name = kh_rebuild_intern(r, KH_PRODUCT_MAX)};
    product.value = kh_rebuild_intern(r, KH_RULE_TEXT_MAX);
    product.ratio_bp = kh_rebuild_number(r);
    product.since = kh_rebuild_number(r);
    uint64_t cnt = r->l->state->regions[KH_R_PRODUCT].row_cnt;
    if (product.name == 0) kh_rebuild_refuse(r, "a product has no name");
    for (uint64_t row = 1; row < cnt; row++)
        if (r->l->product[row].name == product.name) kh_rebuild_refuse(r, "a product is named twice");
    if (kh_rebuild_rows(r, KH_R_PRODUCT, 1)) r->l->product[kh_rows_take(r->l, KH_R_PRODUCT)] = product;
}

void kh_rebuild_rate(kh_rebuild *r, kh_op_rate_set *ret, bool *ret_replaced, char buf[KH_REBUILD_TEXT_MAX])
{
    uint64_t pair = kh_rebuild_number(r);
    if (pair >> 48 != 0) kh_rebuild_refuse(r, "a number is above its bound");
    *ret = (kh_op_rate_set){.from = (kh_currency)(pair >> 32), .to = (kh_currency)(pair >> 16), .date = (kh_date)pair};
    ret->rate.mantissa = kh_rebuild_number(r);
    uint64_t scale = kh_rebuild_up_to(r, UINT16_MAX);
    ret->rate.scale = (uint8_t)(scale >> 8);
    *ret_replaced = (scale & 255) != 0;
    if ((scale & 255) > 1) kh_rebuild_refuse(r, "a number is above its bound");
    ret->source = kh_rebuild_text(r, KH_RULE_TEXT_MAX, buf);
}

/* Set again in the order of the log, rates stand as they stood; which are replaced follows. */
static void read_rate(kh_rebuild *r)
{
    char buf[KH_REBUILD_TEXT_MAX];
    kh_op_rate_set op;
    bool replaced;
    kh_rebuild_rate(r, &op, &replaced, buf);
    if (!kh_rebuild_sound(r)) return;
    kh_code code = kh_rates_set(r->l, &op);
    if (code == KH_C_CAPACITY) kh_rebuild_full(r);
    else if (code != KH_C_OK) kh_rebuild_refuse(r, "a rate that could not be set");
}

/* ---- all of it ---- */

/* In the order of docs/FORMAT.md; aliases stand among the papers. */
static const struct word {
    char name[9];
    uint8_t rank, most; /* most: of this word, 0 any number */
    void (*read)(kh_rebuild *r);
} words[] = {
    {"head\0\0\0", 0, 1, read_head},        {"expel\0\0", 1, 1, read_expelled},    {"rule\0\0\0", 2, 0, read_rule},
    {"product", 3, 0, read_product},        {"rate\0\0\0", 4, 0, read_rate},       {"party\0\0", 5, 0, kh_rebuild_party},
    {"paper\0\0", 6, 0, kh_rebuild_paper},  {"alias\0\0", 6, 0, kh_rebuild_alias}, {"ref\0\0\0\0", 7, 0, kh_rebuild_ref},
    {"deal\0\0\0", 8, 0, kh_rebuild_deal},  {"waits\0\0", 9, 0, kh_rebuild_waits}, {"loan\0\0\0", 10, 0, kh_rebuild_loan},
    {"grant\0\0", 11, 0, kh_rebuild_grant}, {"risk\0\0\0", 12, 0, kh_rebuild_risk}};
enum { WORDS = sizeof words / sizeof words[0], RANK_RULES = 2 };

static void read_leaf(kh_rebuild *r, uint32_t *rank, uint32_t *cnt)
{
    char name[8];
    uint32_t i = 0;
    take(r, (uint8_t *)name, sizeof name);
    while (i < WORDS && memcmp(words[i].name, name, sizeof name) != 0) i++;
    if (i == WORDS) kh_rebuild_refuse(r, "a leaf of no known word");
    if (!kh_rebuild_sound(r)) return;
    if (r->leaf == 0 ? words[i].rank != 0 : words[i].rank < *rank)
        kh_rebuild_refuse(r, "a leaf whose word comes too early or too late");
    if (words[i].rank > RANK_RULES && r->rule_cnt != KH_RULE_CNT) kh_rebuild_refuse(r, "a rule is missing");
    if (words[i].rank != *rank) {
        *rank = words[i].rank;
        *cnt = 0;
        r->last_high = r->last_low = 0;
        memset(&r->last, 0, sizeof r->last);
    }
    if (words[i].most != 0 && *cnt == words[i].most) kh_rebuild_refuse(r, "a leaf that there is once comes again");
    ++*cnt;
    if (kh_rebuild_sound(r)) words[i].read(r);
    if (kh_rebuild_sound(r) && r->at != r->size) kh_rebuild_refuse(r, "a leaf goes on behind its end");
}

static bool is_empty(const kh_ledger *l)
{
    return l->head->height == 0 && l->head->parties.rows == 0 && l->head->texts.rows == 0 && l->head->financings == 0 &&
           kh_index_count(l->index) == 0;
}

kh_err kh_ledger_rebuild(kh_ledger *l, const kh_leaf_source *from, kh_leaf_fault *ret_fault)
{
    kh_rebuild r = {.l = l, .from = from};
    uint32_t rank = 0, cnt = 0;
    if (!is_empty(l)) return KH_E_ARG;
    for (;; r.leaf++) {
        r.size = r.at = 0;
        r.got = r.used = 0;
        kh_err err = from->next(from->ctx, &r.size);
        if (err == KH_E_NOT_FOUND) break;
        if (err != KH_OK) fail(&r, err, "the leaves cannot be read");
        else read_leaf(&r, &rank, &cnt);
        if (!kh_rebuild_sound(&r)) break;
    }
    if (r.rule_cnt != KH_RULE_CNT) kh_rebuild_refuse(&r, "leaves are missing");
    if (kh_rebuild_sound(&r)) kh_rebuild_settle(&r);
    if (ret_fault != NULL) *ret_fault = (kh_leaf_fault){r.leaf, r.at, r.why};
    return r.err;
}
