/* rules: the named settings of the business, all of them in the log: their defaults, how a value is read, and what is in force.
 */
#include "ledger/machine.h"

typedef enum form { RATIO, DURATION, CURRENCIES, SWITCH, LIMIT, DOCUMENTS, FINANCINGS, COUNT } form;
typedef struct rule_name {
    const char *name;
    const char *usual;
    form form;
} rule_name;

static const rule_name fixed[KH_RULE_CNT] = {
    [KH_RULE_CURRENCIES] = {"currencies", "all", CURRENCIES},
    [KH_RULE_TTL_APPLIED] = {"hold_ttl_applied", "3d", DURATION},
    [KH_RULE_TTL_ACCEPTED] = {"hold_ttl_accepted", "10d", DURATION},
    [KH_RULE_RESTORE] = {"restore_on_own_funds", "on", SWITCH},
    [KH_RULE_NEEDS_TOTAL] = {"apply_needs_total", "off", SWITCH},
    [KH_RULE_REFUSALS] = {"refusal_limit", "off", LIMIT},
    [KH_RULE_CLOCK_STEP] = {"clock_step", "30d", DURATION},
    [KH_RULE_BODY_RETENTION] = {"body_retention", "30d", DURATION},
    [KH_RULE_DOCUMENTS] = {"capacity_documents", "67108864", DOCUMENTS},
    [KH_RULE_FINANCINGS] = {"capacity_financings", "16777216", FINANCINGS},
    [KH_RULE_RISK_FREE] = {"risk_free_queries", "100", COUNT},
    [KH_RULE_RISK_PER_ENTRY] = {"risk_queries_per_entry", "50", COUNT},
};
static const char ratio_kind[] = "ratio_bp.kind.", ratio_product[] = "ratio_bp.product.", max_age[] = "max_age.";

/* Bounded, and not the library's: the ledger calls nothing but its own lower floors. */
static kh_text text_of(const char *word)
{
    uint32_t n = 0;
    while (n < KH_RULE_TEXT_MAX && word[n] != 0) n++;
    return (kh_text){word, n};
}

static bool is_ratio_kind(uint32_t i) { return i > KH_RULE_RATIO_KIND && i < KH_RULE_RATIO_KIND + KH_KIND_CNT; }
static bool is_max_age(uint32_t i) { return i > KH_RULE_MAX_AGE && i < KH_RULE_MAX_AGE + KH_KIND_CNT; }

/* The i-th rule's name, form and usual value; false for the two gaps where a kind would be 0. */
static bool describe(uint32_t i, char ret_name[KH_RULE_TEXT_MAX + 1], const char **ret_usual, form *ret_form)
{
    const char *prefix = "", *word = fixed[i].name;
    *ret_usual = fixed[i].usual;
    *ret_form = fixed[i].form;
    if (is_ratio_kind(i)) {
        prefix = ratio_kind;
        word = kh_kind_word((kh_kind)(i - KH_RULE_RATIO_KIND));
        *ret_usual = "10000";
        *ret_form = RATIO;
    } else if (is_max_age(i)) {
        prefix = max_age;
        word = kh_kind_word((kh_kind)(i - KH_RULE_MAX_AGE));
        *ret_usual = "off";
        *ret_form = DURATION;
    }
    if (word == NULL) return false;
    kh_text a = text_of(prefix), b = text_of(word);
    memcpy(ret_name, a.p, a.n);
    memcpy(ret_name + a.n, b.p, b.n);
    ret_name[a.n + b.n] = 0;
    return true;
}

static bool number(kh_text text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    if (text.n == 0 || text.n > 18) return false;
    for (uint32_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        value = value * 10 + (uint64_t)(text.p[i] - '0');
    }
    if (value > max) return false;
    *ret = value;
    return true;
}

static bool is_word(kh_text text, const char *word) { return kh_text_equal(text, text_of(word)); }

/* A list of currency codes with commas or blanks between. */
static bool currency_list(kh_text text, uint64_t ret[16])
{
    uint64_t bits[16] = {0};
    bool any = false;
    for (uint32_t at = 0; at < text.n;) {
        uint32_t end = at;
        while (end < text.n && text.p[end] != ',' && text.p[end] != ' ') end++;
        kh_currency currency;
        if (end > at) {
            if (!kh_currency_of_text((kh_text){text.p + at, end - at}, &currency) || currency >= 1024) return false;
            bits[currency / 64] |= UINT64_C(1) << (currency % 64);
            any = true;
        }
        at = end + 1;
    }
    if (any) memcpy(ret, bits, sizeof bits);
    return any;
}

static bool limit(kh_text text, uint64_t *ret_burst, uint64_t *ret_per_second)
{
    uint32_t slash = 0;
    while (slash < text.n && text.p[slash] != '/') slash++;
    if (slash == text.n) return false;
    uint64_t burst;
    if (!number((kh_text){text.p, slash}, 1000000000, &burst) || burst == 0) return false;
    if (!number((kh_text){text.p + slash + 1, text.n - slash - 1}, 1000000000, ret_per_second)) return false;
    *ret_burst = burst;
    return true;
}

static bool parse(form f, kh_text text, uint64_t *ret_value, uint64_t *ret_value_2, uint64_t ret_currencies[16])
{
    switch (f) {
    case RATIO: return number(text, 10000, ret_value);
    case DURATION:
        if (is_word(text, "off")) {
            *ret_value = 0;
            return true;
        }
        return kh_duration_parse(text, ret_value);
    case SWITCH: *ret_value = is_word(text, "on"); return is_word(text, "on") || is_word(text, "off");
    case CURRENCIES: *ret_value = !is_word(text, "all"); return *ret_value == 0 || currency_list(text, ret_currencies);
    case LIMIT: *ret_value = 0; return is_word(text, "off") || limit(text, ret_value, ret_value_2);
    case DOCUMENTS: return number(text, KH_CAPACITY_DOCUMENTS_MAX, ret_value);
    case FINANCINGS: return number(text, KH_CAPACITY_FINANCINGS_MAX, ret_value);
    case COUNT: return number(text, 1000000000, ret_value);
    }
    return false;
}

static kh_rule *rule_at(const kh_ledger *l, uint32_t i)
{
    return i < KH_RULE_HEAD_CNT ? &l->head->rules[i] : &l->consent->rules[i - KH_RULE_HEAD_CNT];
}

const kh_rule *kh_rules_get(const kh_ledger *l, uint32_t rule) { return rule_at(l, rule); }
void kh_rules_restore(kh_ledger *l, uint32_t rule, const kh_rule *to) { *rule_at(l, rule) = *to; }

void kh_rules_init(kh_ledger *l, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        char name[KH_RULE_TEXT_MAX + 1];
        const char *usual;
        form f;
        if (!describe(i, name, &usual, &f)) continue;
        bool ok = parse(f, text_of(usual), &rule_at(l, i)->value, &rule_at(l, i)->value_2, l->head->currencies);
        KH_ASSERT(ok);
    }
}

typedef struct named_rule { /* what a name and a value come to */
    uint32_t rule;          /* KH_RULE_CNT: a product's ratio */
    form form;
    kh_rule parsed;
    kh_text product;
    uint64_t ratio, currencies[16];
} named_rule;

static kh_code name_rule(kh_text name, kh_text value, named_rule *ret)
{
    kh_text product = text_of(ratio_product);
    *ret = (named_rule){.rule = KH_RULE_CNT, .ratio = UINT64_MAX};
    if (name.n > KH_RULE_TEXT_MAX || value.n > KH_RULE_TEXT_MAX || value.n == 0) return KH_C_FORMAT;
    if (name.n > product.n && memcmp(name.p, product.p, product.n) == 0) {
        ret->product = (kh_text){name.p + product.n, name.n - product.n};
        bool fits = ret->product.n <= KH_PRODUCT_MAX && (is_word(value, "none") || number(value, 10000, &ret->ratio));
        return fits ? KH_C_OK : KH_C_FORMAT;
    }
    for (uint32_t i = 0; i < KH_RULE_CNT; i++) {
        char word[KH_RULE_TEXT_MAX + 1];
        const char *usual;
        if (!describe(i, word, &usual, &ret->form) || !is_word(name, word)) continue;
        ret->rule = i;
        return parse(ret->form, value, &ret->parsed.value, &ret->parsed.value_2, ret->currencies) ? KH_C_OK : KH_C_FORMAT;
    }
    return KH_C_NOT_FOUND;
}

kh_code kh_ledger_rule_fits(kh_text name, kh_text value)
{
    named_rule named;
    return name_rule(name, value, &named);
}

static kh_code set_product(kh_ledger *l, const named_rule *named, kh_text value)
{
    if (!kh_texts_room(l, named->product.n + value.n)) return KH_C_CAPACITY;
    uint32_t name = kh_texts_find(l, named->product), row = 1, cnt = (uint32_t)l->state->regions[KH_R_PRODUCT].row_cnt;
    while (row < cnt && (name == 0 || l->product[row].name != name)) row++;
    if (row == cnt && kh_rows_take(l, KH_R_PRODUCT) == 0) return KH_C_CAPACITY;
    l->product[row] = (kh_product){kh_texts_intern(l, named->product), kh_texts_intern(l, value), named->ratio, l->head->height};
    return KH_C_OK;
}

/* A new time to live is a new queue: within one, deadlines never fall. */
static bool new_queue(kh_ledger *l, uint32_t *current)
{
    uint32_t row = kh_rows_take_reused(l, KH_R_QUEUE, &l->head->free_queues);
    if (row == 0) return false;
    kh_queue *old = &l->queue[*current];
    if (*current != 0 && old->head == 0) kh_rows_give(l, KH_R_QUEUE, &l->head->free_queues, *current);
    l->queue[row].used = 1;
    *current = row;
    return true;
}

kh_code kh_rules_set(kh_ledger *l, const kh_op_rule_set *op)
{
    named_rule named;
    kh_code code = name_rule(op->name, op->value, &named);
    if (code != KH_C_OK) return code;
    if (named.rule == KH_RULE_CNT) return set_product(l, &named, op->value);
    if (!kh_texts_room(l, op->value.n)) return KH_C_CAPACITY;
    if (named.rule == KH_RULE_TTL_APPLIED && !new_queue(l, &l->head->queue_applied)) return KH_C_CAPACITY;
    if (named.rule == KH_RULE_TTL_ACCEPTED && !new_queue(l, &l->head->queue_accepted)) return KH_C_CAPACITY;
    named.parsed.since = l->head->height;
    named.parsed.text = kh_texts_intern(l, op->value);
    if (named.form == CURRENCIES) memcpy(l->head->currencies, named.currencies, sizeof named.currencies);
    *rule_at(l, named.rule) = named.parsed;
    return KH_C_OK;
}

uint64_t kh_rules_product_ratio(const kh_ledger *l, kh_text product)
{
    uint64_t cnt = l->state->regions[KH_R_PRODUCT].row_cnt;
    if (cnt <= 1) return UINT64_MAX;
    uint32_t name = kh_texts_find(l, product);
    for (uint64_t row = 1; name != 0 && row < cnt; row++)
        if (l->product[row].name == name) return l->product[row].ratio_bp;
    return UINT64_MAX;
}

bool kh_rules_none_of_age_or_currency(const kh_ledger *l)
{
    bool none = l->head->rules[KH_RULE_CURRENCIES].value == 0;
    for (uint32_t kind = 0; kind < KH_KIND_CNT; kind++) none &= l->head->rules[KH_RULE_MAX_AGE + kind].value == 0;
    return none;
}

uint64_t kh_ledger_clock_step_ns(const kh_ledger *l) { return l->head->rules[KH_RULE_CLOCK_STEP].value * KH_NS_PER_S; }

/* ---- listing, by name ---- */

typedef struct listed {
    char name[KH_RULE_TEXT_MAX + KH_PRODUCT_MAX + 1];
    kh_text value;
    bool is_default;
    uint64_t since;
} listed;

static bool list_one(const kh_ledger *l, uint64_t n, listed *ret)
{
    const char *usual;
    form f;
    if (n < KH_RULE_CNT) {
        const kh_rule *rule = rule_at(l, (uint32_t)n);
        if (!describe((uint32_t)n, ret->name, &usual, &f)) return false;
        ret->is_default = rule->text == 0;
        ret->value = rule->text == 0 ? text_of(usual) : kh_texts_get(l, rule->text);
        ret->since = rule->since;
        return true;
    }
    const kh_product *p = &l->product[n - KH_RULE_CNT + 1];
    kh_text prefix = text_of(ratio_product), name = kh_texts_get(l, p->name);
    memcpy(ret->name, prefix.p, prefix.n);
    memcpy(ret->name + prefix.n, name.p, name.n);
    ret->name[prefix.n + name.n] = 0;
    ret->value = kh_texts_get(l, p->value);
    ret->is_default = false;
    ret->since = p->since;
    return true;
}

static int compare(const char *a, const char *b)
{
    for (; *a != 0 && *a == *b; a++) b++;
    return (int)(uint8_t)*a - (int)(uint8_t)*b;
}

bool kh_ledger_rule_next(const kh_ledger *l, uint64_t *cursor, char ret_name[KH_RULE_TEXT_MAX + 1],
                         char ret_value[KH_RULE_TEXT_MAX + 1], bool *ret_is_default, uint64_t *ret_since_height)
{
    uint64_t cnt = KH_RULE_CNT + l->state->regions[KH_R_PRODUCT].row_cnt - 1;
    for (uint64_t i = 0; i < cnt; i++) {
        listed one, other;
        uint64_t rank = 0;
        if (!list_one(l, i, &one)) continue;
        for (uint64_t k = 0; k < cnt && rank <= *cursor; k++)
            if (k != i && list_one(l, k, &other)) rank += compare(other.name, one.name) < 0;
        if (rank != *cursor) continue;
        memcpy(ret_name, one.name, KH_RULE_TEXT_MAX + 1);
        ret_name[KH_RULE_TEXT_MAX] = 0;
        memset(ret_value, 0, KH_RULE_TEXT_MAX + 1);
        memcpy(ret_value, one.value.p, one.value.n);
        *ret_is_default = one.is_default;
        *ret_since_height = one.since;
        ++*cursor;
        return true;
    }
    return false;
}
