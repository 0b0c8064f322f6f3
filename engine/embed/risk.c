/* risk: contributing to the risk list, and asking it. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

static kh_result subject_of(kh_engine *e, const char *text, char ret_text[KH_RISK_SUBJECT_MAX + 1], kh_key *ret)
{
    uint32_t n = 0;
    if (text == NULL || kh_risk_canonical(kh_text_of(text), ret_text, &n) != KH_C_OK)
        return kh_embed_fail(
            e, KH_MISUSE, "\"%s\" is no subject (名单主体): a USCC, a foreign id or an account, letters and digits, at most %d",
            text != NULL ? text : "", KH_RISK_SUBJECT_MAX);
    *ret = kh_risk_subject((kh_text){ret_text, n});
    return KH_DONE;
}

static kh_result category_of(kh_engine *e, const char *word, uint8_t *ret)
{
    kh_risk risk;
    if (!kh_risk_of_word(kh_text_of(word), &risk))
        return kh_embed_fail(e, KH_MISUSE, "\"%s\" is no category (类别): fraud high_risk_account forged_document default other",
                             word != NULL ? word : "");
    *ret = (uint8_t)risk;
    return KH_DONE;
}

static void row_account(kh_row_builder *b, const kh_principal *who, const kh_receipt *r)
{
    if (who->role != KH_ROLE_BANK) return;
    kh_row_number(b, "contributed", r->version);
    kh_row_number(b, "asked", r->amount);
    kh_row_number(b, "allowed", r->moved);
}

/* change submits an addition or removal and gives its answer. */
static kh_result change(kh_engine *e, const kh_principal *who, const kh_op *op, const char *subject, const char *category,
                        const kh_result_sink *sink)
{
    kh_batch batch = {0};
    kh_answer *a;
    kh_row_builder b;
    kh_result result = kh_embed_one(e, &batch, op, &a);
    if (result != KH_DONE) return result;
    kh_code code = a->receipt.code;
    kh_row_begin(&b);
    kh_row_text(&b, "subject", subject);
    kh_row_text(&b, "category", category);
    kh_row_code(&b, code);
    row_account(&b, who, &a->receipt);
    kh_row_number(&b, "height", a->height);
    kh_row_give(&b, "risk", sink);
    kh_batch_release(&batch);
    return code == KH_C_OK ? KH_DONE : kh_embed_fail(e, KH_DONE_NOT_OK, "%s (%s)", kh_code_name(code), kh_code_term_zh(code));
}

kh_result kh_risk_add(kh_engine *engine, const char *as, const char *subject, const char *category, const kh_result_sink *sink)
{
    kh_principal who;
    char text[KH_RISK_SUBJECT_MAX + 1];
    kh_op op = {.type = KH_OP_RISK_ADD};
    kh_result result = subject_of(engine, subject, text, &op.risk_add.subject);
    if (result == KH_DONE) result = category_of(engine, category, &op.risk_add.category);
    if (result == KH_DONE) result = kh_embed_enter(engine, KH_WRITING, as, KH_DO_RISK, sink, &who);
    if (result != KH_DONE) return result;
    op.party = who.party;
    return change(engine, &who, &op, text, kh_risk_word((kh_risk)op.risk_add.category), sink);
}

kh_result kh_risk_remove(kh_engine *engine, const char *as, const char *subject, const char *category, const char *of,
                         const kh_result_sink *sink)
{
    kh_principal who;
    kh_party_view contributor = {0};
    char text[KH_RISK_SUBJECT_MAX + 1];
    kh_op op = {.type = KH_OP_RISK_REMOVE};
    kh_result result = subject_of(engine, subject, text, &op.risk_remove.subject);
    if (result == KH_DONE) result = category_of(engine, category, &op.risk_remove.category);
    if (result == KH_DONE) result = kh_embed_enter(engine, KH_WRITING, as, KH_DO_RISK, sink, &who);
    if (result != KH_DONE) return result;
    if (of != NULL) {
        const kh_ledger *l = kh_store_read_begin(engine->store);
        bool found = kh_embed_party(engine, l, &who, of, &contributor);
        kh_store_read_end(engine->store);
        bool own = (kh_access_rights(&who, KH_DO_RISK) & KH_OWN_ONLY) != 0;
        if (own && contributor.id != who.party) return kh_embed_refuse(engine, KH_C_NOT_AUTHORISED, sink);
        if (!found) return kh_embed_fail(engine, KH_MISUSE, "there is no party \"%s\"", of);
    }
    op.party = who.party;
    op.risk_remove.contributor = contributor.id;
    return change(engine, &who, &op, text, kh_risk_word((kh_risk)op.risk_remove.category), sink);
}

static void give_subject(const char *subject, uint64_t categories, const kh_result_sink *sink)
{
    kh_row_builder b;
    char words[120] = "";
    for (uint32_t i = 1; i < KH_RISK_CNT; i++) {
        if ((categories >> i & 1) == 0) continue;
        if (words[0] != '\0') strcat(words, " ");
        strcat(words, kh_risk_word((kh_risk)i));
    }
    kh_row_begin(&b);
    kh_row_text(&b, "subject", subject);
    kh_row_bool(&b, "listed", categories != 0);
    kh_row_words(&b, "categories", words);
    kh_row_give(&b, "risk", sink);
}

/* ask_all submits the question; texts are the subjects as they were understood. */
static kh_result ask_all(kh_engine *e, const kh_op *op, char (*texts)[KH_RISK_SUBJECT_MAX + 1], const kh_result_sink *sink)
{
    kh_batch batch = {0};
    kh_answer *a;
    kh_result result = kh_embed_one(e, &batch, op, &a);
    if (result != KH_DONE) return result;
    const kh_receipt *r = &a->receipt;
    if (r->code == KH_C_OK) {
        for (uint32_t i = 0; i < r->line_cnt && i < op->risk_ask.subject_cnt; i++)
            give_subject(texts[i], r->lines[i].amount, sink);
    } else {
        kh_row_builder b;
        kh_row_begin(&b);
        kh_row_code(&b, r->code);
        kh_row_number(&b, "contributed", r->version);
        kh_row_number(&b, "asked", r->amount);
        kh_row_number(&b, "allowed", r->moved);
        kh_row_give(&b, "refused", sink);
        result = kh_embed_fail(
            e, KH_DONE_NOT_OK, "%s (%s): %llu subjects asked about of %llu allowed; who contributes may ask more",
            kh_code_name(r->code), kh_code_term_zh(r->code), (unsigned long long)r->amount, (unsigned long long)r->moved);
    }
    kh_batch_release(&batch);
    return result;
}

kh_result kh_risk_ask(kh_engine *engine, const char *as, const char *const *subjects, uint32_t n, const kh_result_sink *sink)
{
    kh_principal who;
    if (n == 0 || n > KH_SUBJECTS_MAX)
        return kh_embed_fail(engine, KH_MISUSE, "a question names 1 to %d subjects", KH_SUBJECTS_MAX);
    uint8_t *keys = malloc((size_t)n * 16);
    char(*texts)[KH_RISK_SUBJECT_MAX + 1] = malloc((size_t)n * sizeof *texts);
    kh_result result = keys != NULL && texts != NULL ? KH_DONE : kh_embed_environment(engine, KH_E_NOMEM, "ask");
    for (uint32_t i = 0; i < n && result == KH_DONE; i++) {
        kh_key key;
        result = subject_of(engine, subjects[i], texts[i], &key);
        if (result == KH_DONE) memcpy(keys + 16 * (size_t)i, key.b, 16);
    }
    if (result == KH_DONE) result = kh_embed_enter(engine, KH_WRITING, as, KH_ASK_RISK, sink, &who);
    if (result == KH_DONE) {
        kh_op op = {.type = KH_OP_RISK_ASK, .party = who.party, .risk_ask = {n, keys}};
        result = ask_all(engine, &op, texts, sink);
    }
    free(texts);
    free(keys);
    return result;
}

enum { PIECE = 4096 }; /* parties passed before the applier is let in */

static void give_account(uint32_t bank, const kh_risk_view *account, const kh_result_sink *sink)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "bank", bank);
    kh_row_number(&b, "contributed", account->contributed);
    kh_row_number(&b, "asked", account->asked);
    kh_row_number(&b, "allowed", account->allowed);
    kh_row_give(&b, "risk_account", sink);
}

kh_result kh_risk_account(kh_engine *engine, const char *as, kh_page *page, const kh_result_sink *sink)
{
    kh_principal who;
    kh_party_view party;
    uint64_t after[KH_PAGE_NUMBERS], given = 0;
    kh_result result = kh_page_begin(engine, page, 1, after);
    if (result == KH_DONE) result = kh_embed_enter(engine, KH_READING, as, KH_ASK_RISK, sink, &who);
    if (result != KH_DONE) return result;
    if (kh_viewed(engine)) return kh_embed_refuse(engine, KH_C_NOT_CHECKED, sink);
    bool own = (kh_access_rights(&who, KH_ASK_RISK) & KH_OWN_ONLY) != 0;
    uint64_t cursor = kh_max64(own ? who.party : 0, after[0]);
    for (bool more = true; more;) {
        kh_risk_view account;
        bool found = false;
        const kh_ledger *l = kh_store_read_begin(engine->store);
        for (uint32_t i = 0; more && !found && i < PIECE; i++) {
            more = kh_ledger_party_next(l, &cursor, &party) && (!own || party.id == who.party);
            found = more && kh_ledger_risk_account(l, party.id, &account);
        }
        kh_store_read_end(engine->store);
        if (!found) continue;
        if (kh_page_full(page, given)) {
            kh_page_more(page, 1, after);
            break;
        }
        give_account(party.id, &account, sink);
        given++;
        after[0] = cursor;
    }
    return KH_DONE;
}
