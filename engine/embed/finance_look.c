/* finance_look: financings as they stand: one, or a list. The ledger is walked in short pieces. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

#define STEP 256u /* financings looked at while the gate is held */

typedef struct walk { /* over the financings that the asker may see */
    kh_engine *e;
    const kh_principal *who;
    kh_fin_state state; /* NONE: any */
    bool by_id;
    uint64_t id;
    kh_fin_view *view;
    uint64_t cursor;
    kh_err err; /* a row could not be built */
} walk;

static kh_fin_row *row_of(walk *w, const kh_ledger *l)
{
    uint64_t height = kh_store_block_of(w->e->store, w->view->last.height);
    kh_final final;
    kh_embed_final(w->e, &final);
    kh_fin_row *row = kh_embed_financing_row(l, w->view, NULL, height, &final);
    if (row == NULL) w->err = KH_E_NOMEM;
    return row;
}

/* next_seen walks on to the next one: its row; NULL at the end, or with w->err. */
static kh_fin_row *next_seen(walk *w)
{
    for (;;) {
        const kh_ledger *l = kh_store_read_begin(w->e->store);
        bool more = true, found = false;
        for (uint32_t i = 0; i < STEP && !found && (more = kh_ledger_financing_next(l, &w->cursor, w->view)); i++)
            found = (w->state == KH_FIN_NONE || w->view->state == w->state) && (!w->by_id || w->view->id == w->id) &&
                    kh_access_may_see_financing(w->who, w->view->bank, w->view->enterprise);
        kh_fin_row *row = found ? row_of(w, l) : NULL;
        kh_store_read_end(w->e->store);
        if (found || !more) return row;
    }
}

kh_result kh_embed_financing_not_found(kh_engine *e, const char *number, uint64_t id, kh_code code, const kh_result_sink *sink)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_text(&b, "kind", "financing");
    kh_row_text(&b, "number", number);
    kh_row_number(&b, "id", id);
    kh_row_code(&b, code);
    kh_row_give(&b, "not_found", sink);
    return code == KH_C_NOT_FOUND ? kh_embed_fail(e, KH_DONE_NOT_OK, "NOT_FOUND: there is no such financing")
                                  : kh_embed_fail(e, KH_DONE_NOT_OK, "%s", kh_code_name(code));
}

/* of_bank looks at the one of this bank, if the asker may see it. */
static kh_fin_row *of_bank(walk *w, uint32_t bank)
{
    kh_fin_row *row = NULL;
    const kh_ledger *l = kh_store_read_begin(w->e->store);
    if (kh_ledger_financing(l, bank, w->id, w->view) && kh_access_may_see_financing(w->who, w->view->bank, w->view->enterprise))
        row = row_of(w, l);
    kh_store_read_end(w->e->store);
    return row;
}

/* only_one is the only financing of this number that the asker may see, whatever the bank; *ret_several: there are more. */
static kh_fin_row *only_one(walk *w, bool *ret_several)
{
    kh_fin_row *row = next_seen(w), *other = row != NULL ? next_seen(w) : NULL;
    *ret_several = other != NULL;
    kh_embed_financing_free(other);
    return row;
}

/* bank_named: BANK of BANK:NUMBER; KH_NOBODY, which has no financing, where there is none of that name, and for a bank that names
 * another; 0: not said. */
static uint32_t bank_named(kh_engine *e, const kh_principal *who, const char *id, const char *colon)
{
    char text[300];
    if (colon == NULL) return who->role == KH_ROLE_BANK ? who->party : 0;
    (void)snprintf(text, sizeof text, "%.*s", (int)(colon - id), id);
    const kh_ledger *l = kh_store_read_begin(e->store);
    uint32_t bank = kh_embed_party_id(e, l, who, text);
    kh_store_read_end(e->store);
    return who->role == KH_ROLE_BANK && bank != who->party ? KH_NOBODY : bank;
}

kh_result kh_finance_show(kh_engine *engine, const char *id, const char *as, const kh_result_sink *sink)
{
    kh_principal who;
    kh_result result = kh_embed_enter(engine, KH_READING, as, KH_ASK_FINANCING, sink, &who);
    if (result != KH_DONE) return result;
    kh_embed_log_lookup(engine, &who, "financing", id);
    const char *colon = strrchr(id, ':'), *number = colon != NULL ? colon + 1 : id;
    char *end;
    unsigned long long n = strtoull(number, &end, 10);
    if (*number == '\0' || *end != '\0')
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\": a financing is named by the bank's number, or BANK:NUMBER", id);
    if (kh_viewed(engine)) return kh_viewed_show(engine, &who, n, sink);
    kh_probe probe;
    if (kh_probe_take(engine, &who, 1, &probe) == 0)
        return kh_embed_financing_not_found(engine, number, n, KH_C_RATE_LIMITED, sink);
    walk w = {.e = engine, .who = &who, .by_id = true, .id = n, .view = malloc(sizeof *w.view)};
    if (w.view == NULL) return kh_embed_environment(engine, KH_E_NOMEM, "look");
    uint32_t bank = bank_named(engine, &who, id, colon);
    bool several = false;
    kh_fin_row *row = bank != 0 ? of_bank(&w, bank) : only_one(&w, &several);
    free(w.view);
    kh_probe_end(&probe, row == NULL);
    if (w.err != KH_OK) {
        kh_embed_financing_free(row);
        return kh_embed_environment(engine, w.err, "look");
    }
    if (several) {
        kh_embed_financing_free(row);
        return kh_embed_fail(engine, KH_MISUSE, "several banks have a financing %llu: name it BANK:%llu", n, n);
    }
    if (row == NULL) return kh_embed_financing_not_found(engine, number, n, KH_C_NOT_FOUND, sink);
    kh_embed_give_financing(row, sink);
    return KH_DONE;
}

kh_result kh_finance_list(kh_engine *engine, const char *as, const char *state, kh_page *page, const kh_result_sink *sink)
{
    kh_fin_state wanted = KH_FIN_NONE;
    if (state != NULL && !kh_fin_state_of_word(kh_text_of(state), &wanted))
        return kh_embed_fail(
            engine, KH_MISUSE,
            "\"%s\" is no state: APPLIED ACCEPTED APPROVED DISBURSED PART_REPAID SETTLED REJECTED WITHDRAWN LAPSED REVERSED",
            state);
    kh_principal who;
    uint64_t after[KH_PAGE_NUMBERS], given = 0;
    kh_result result = kh_page_begin(engine, page, 1, after);
    if (result == KH_DONE) result = kh_embed_enter(engine, KH_READING, as, KH_ASK_FINANCING, sink, &who);
    if (result != KH_DONE) return result;
    kh_embed_log_lookup(engine, &who, "financings", state != NULL ? state : "all");
    if (kh_viewed(engine)) return kh_viewed_list(engine, &who, wanted, after[0], page, sink);
    walk w = {.e = engine, .who = &who, .state = wanted, .view = malloc(sizeof *w.view)};
    if (w.view == NULL) return kh_embed_environment(engine, KH_E_NOMEM, "look");
    uint64_t last = w.cursor = kh_page_cursor(engine, page, &who, KH_ASK_FINANCING, after[0]);
    for (kh_fin_row *row; (row = next_seen(&w)) != NULL; given++, last = w.cursor) {
        if (kh_page_full(page, given)) {
            kh_page_more_rows(engine, page, &who, KH_ASK_FINANCING, last);
            kh_embed_financing_free(row);
            break;
        }
        kh_embed_give_financing(row, sink);
    }
    free(w.view);
    return w.err == KH_OK ? KH_DONE : kh_embed_environment(engine, w.err, "list");
}
