/* opening: the walk over a store's financings, each as one output of its bank. */
#include "hub/opening.h"
#include "hub/parts.h"
#include <stdlib.h>

typedef struct holds { /* how long they last, by the rules in force */
    uint64_t applied_ns, accepted_ns;
} holds;

static holds holds_of(const kh_ledger *l)
{
    holds ret = {0};
    char name[KH_RULE_TEXT_MAX + 1], value[KH_RULE_TEXT_MAX + 1];
    bool is_default;
    uint64_t cursor = 0, since, seconds;
    while (kh_ledger_rule_next(l, &cursor, name, value, &is_default, &since)) {
        uint64_t *ns = strcmp(name, "hold_ttl_applied") == 0    ? &ret.applied_ns
                       : strcmp(name, "hold_ttl_accepted") == 0 ? &ret.accepted_ns
                                                                : NULL;
        if (ns != NULL && kh_duration_parse(kh_text_of(value), &seconds)) *ns = seconds * KH_NS_PER_S;
    }
    return ret;
}

/* A view adds the rules' time to when a hold began: what gives the deadline that stands. */
static uint64_t hold_began(const holds *lasting, const kh_fin_view *f)
{
    uint64_t ns = f->state == KH_FIN_APPLIED ? lasting->applied_ns : lasting->accepted_ns;
    return f->deadline_ns > ns ? f->deadline_ns - ns : 0;
}

static void output_of(kh_store *store, const kh_ledger *l, const holds *lasting, const kh_fin_view *f, kh_output *ret)
{
    ret->kind = KH_OUTPUT_OPENING;
    ret->receipt = (kh_receipt){.type = KH_OP_APPLY,
                                .event = KH_EV_APPLY,
                                .state = (uint8_t)f->state,
                                .party = f->bank,
                                .version = f->version,
                                .financing = f->id,
                                .amount = f->amount,
                                .moved = f->repaid,
                                .currency = f->currency,
                                .enterprise = f->enterprise,
                                .line_cnt = f->line_cnt};
    for (uint32_t i = 0; i < f->line_cnt; i++) {
        const kh_fin_line_view *line = &f->lines[i];
        ret->lines[i] =
            (kh_receipt_line){.key = line->key, .currency = line->currency, .amount = line->amount, .allocated = line->allocated};
        kh_outputs_paper(l, &line->key, &ret->papers[i]);
    }
    ret->paper_cnt = f->line_cnt;
    memcpy(ret->product, f->product, sizeof ret->product);
    ret->hold_ns = hold_began(lasting, f);
    ret->since = kh_store_block_of(store, f->last.height);
}

/* ---- by number: the ledger's own order is that of the log, which a directory made from a checkpoint does not know ---- */

typedef struct named {
    uint64_t id;
    uint32_t bank;
} named;

static int by_name(const void *a, const void *b)
{
    const named *x = a, *y = b;
    if (x->bank != y->bank) return x->bank < y->bank ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static kh_err list(const kh_ledger *l, const kh_maker *maker, kh_fin_view *f, named **ret, size_t *ret_cnt)
{
    size_t cnt = 0, cap = 0;
    named *all = NULL;
    kh_err err = KH_OK;
    for (uint64_t cursor = 0; err == KH_OK && kh_ledger_financing_next(l, &cursor, f); cnt++) {
        if (cnt == cap) {
            cap = cap == 0 ? 1024 : 2 * cap;
            named *more = realloc(all, cap * sizeof *more);
            if (more == NULL) err = KH_E_NOMEM;
            else all = more;
        }
        if (err == KH_OK && !kh_maker_has(maker, f->bank)) err = KH_E_NOT_FOUND;
        if (err == KH_OK) all[cnt] = (named){f->id, f->bank};
    }
    if (err != KH_OK) {
        free(all);
        return err;
    }
    if (cnt > 0) qsort(all, cnt, sizeof *all, by_name);
    *ret = all;
    *ret_cnt = cnt;
    return KH_OK;
}

static kh_err gather(kh_store *store, kh_maker *maker)
{
    kh_output *output = calloc(1, sizeof *output);
    kh_fin_view *f = malloc(sizeof *f);
    named *all = NULL;
    size_t cnt = 0;
    kh_err err = output == NULL || f == NULL ? KH_E_NOMEM : KH_OK;
    const kh_ledger *l = kh_store_read_begin(store);
    const holds lasting = holds_of(l);
    if (err == KH_OK) err = list(l, maker, f, &all, &cnt);
    for (size_t i = 0; err == KH_OK && i < cnt; i++) {
        if (!kh_ledger_financing(l, all[i].bank, all[i].id, f)) err = KH_E_DAMAGED;
        else {
            output_of(store, l, &lasting, f, output);
            err = kh_maker_add(maker, f->bank, output);
        }
    }
    kh_store_read_end(store);
    free(all);
    free(output);
    free(f);
    return err;
}

kh_err kh_opening_make(kh_store *store, const uint8_t group_secret[KH_SECRET_SZ], const uint8_t checkpoint[32],
                       const uint32_t *banks, uint32_t n, kh_maker *maker, uint8_t ret_root[32])
{
    uint8_t secret[32];
    uint64_t *counts = calloc(n + (size_t)1, sizeof *counts);
    uint8_t(*heads)[32] = calloc(n + (size_t)1, sizeof *heads);
    kh_err err = counts == NULL || heads == NULL ? KH_E_NOMEM : KH_OK;
    if (err == KH_OK) {
        kh_attest_secret(group_secret, secret);
        kh_maker_begin(maker, checkpoint, secret, 0, banks, counts, (const uint8_t(*)[32])heads, n);
        explicit_bzero(secret, sizeof secret);
        err = gather(store, maker);
    }
    free(counts);
    free(heads);
    return err == KH_OK ? kh_maker_end(maker, ret_root) : err;
}

kh_err kh_opening_check(kh_store *store, const kh_genesis *genesis, const uint8_t group_secret[KH_SECRET_SZ])
{
    uint8_t root[32];
    uint32_t cnt = 0, *banks;
    kh_maker *maker = NULL;
    if (!kh_genesis_opens(genesis)) return KH_OK;
    banks = calloc(genesis->member_cnt + (size_t)1, sizeof *banks);
    kh_err err = banks != NULL ? kh_maker_new(&maker) : KH_E_NOMEM;
    for (uint32_t i = 0; err == KH_OK && i < genesis->member_cnt; i++)
        if (genesis->members[i].role == KH_MEMBER_BANK) banks[cnt++] = genesis->members[i].id;
    if (err == KH_OK) err = kh_opening_make(store, group_secret, genesis->checkpoint, banks, cnt, maker, root);
    if (err == KH_E_NOT_FOUND || (err == KH_OK && memcmp(root, genesis->opening, sizeof root) != 0)) err = KH_E_FORMAT;
    kh_maker_free(maker);
    free(banks);
    return err;
}
