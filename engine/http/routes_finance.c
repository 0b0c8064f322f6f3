/* routes_finance: financings: application, events, what there is. */
#include "http/inside.h"
#include <stdio.h>
#include <stdlib.h>

/* texts of a list field; false after refusing. */
static bool texts_of(kh_request *r, const char *name, const char ***ret, uint32_t *ret_n)
{
    uint32_t n = kh_field_texts(r, name, NULL, 0);
    if (n > KH_LINES_MAX) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, name, "%s holds more than %u", name, (unsigned)KH_LINES_MAX);
        return false;
    }
    const char **texts = calloc(n + 1, sizeof *texts);
    if (texts == NULL) {
        kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "no memory; try again");
        return false;
    }
    *ret_n = kh_field_texts(r, name, texts, n);
    *ret = texts;
    return true;
}

void kh_route_finance_apply(kh_request *r)
{
    kh_apply_request request = {.enterprise = kh_field(r, "enterprise"),
                                .product = kh_field(r, "product"),
                                .amount = kh_field(r, "amount"),
                                .currency = kh_field(r, "currency"),
                                .allow_partial = kh_field_bool(r, "allow_partial")};
    const char **documents;
    if (!kh_field_number(r, "id", &request.id) || !texts_of(r, "documents", &documents, &request.document_cnt)) return;
    if (request.document_cnt == 0) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "documents", "documents names none: KIND:NUMBER[@ISSUER][/CUR][=ALLOCATED]");
    } else {
        kh_result_sink sink = kh_answer_sink(r);
        request.documents = documents;
        kh_result result = kh_finance_apply(r->engine, &request, &sink);
        kh_answer_end(r, result, kh_message(r->engine), NULL);
    }
    free(documents);
}

/* A frozen party's may be: repay, reject, withdraw, reverse. The others the ledger would refuse too; so is its answer the same.
 */
static bool frozen_may(const char *event)
{
    static const char *const goes_on[] = {"repay", "reject", "withdraw", "reverse"};
    for (size_t i = 0; i < sizeof goes_on / sizeof goes_on[0]; i++)
        if (strcmp(event, goes_on[i]) == 0) return true;
    return false;
}

static bool is_event(const char *event)
{
    static const char *const rest[] = {"accept", "approve", "disburse"};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        if (strcmp(event, rest[i]) == 0) return true;
    return frozen_may(event);
}

void kh_route_finance_event(kh_request *r)
{
    const char *id = kh_request_path(r, "id"), *event = kh_request_path(r, "event");
    char expect[24];
    uint64_t number;
    kh_event_request request = {
        .event = event, .amount = kh_field(r, "amount"), .source = kh_field(r, "source"), .reason = kh_field(r, "reason")};
    if (!is_event(event)) {
        kh_answer_refuse(r, MHD_HTTP_NOT_FOUND, NULL,
                         "there is no such path: events are accept, approve, reject, withdraw, disburse, repay, reverse");
        return;
    }
    if (!kh_number_parse(id, strlen(id), &request.id)) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "id", "id must be the bank's number of a financing");
        return;
    }
    if (r->who.frozen && !frozen_may(event)) {
        kh_answer_refuse_code(r, MHD_HTTP_FORBIDDEN, KH_C_FROZEN, "this party is frozen");
        return;
    }
    if (kh_field_number(r, "expect", &number)) {
        (void)snprintf(expect, sizeof expect, "%llu", (unsigned long long)number);
        request.expect = expect;
    }
    const char **allot;
    if (!texts_of(r, "allot", &allot, &request.allot_cnt)) return;
    request.allot = allot;
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_finance_event(r->engine, &request, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
    free(allot);
}

void kh_route_finance_show(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_finance_show(r->engine, kh_request_path(r, "id"), NULL, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_finance_list(kh_request *r)
{
    kh_page page = kh_request_page(r);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_finance_list(r->engine, NULL, kh_query_text(r, "state"), &page, &sink);
    kh_answer_end(r, result, kh_message(r->engine), page.next);
}

static void give_receipt(void *ctx, const char *text, size_t n)
{
    kh_request *r = ctx;
    kh_answer_put(&r->out, text, n);
}

/* own_financing: the number of a bank's own financing, with the bank's id before it or not. */
static bool own_financing(const kh_request *r, const char *id, uint64_t *ret)
{
    uint64_t bank;
    size_t n = strcspn(id, ":");
    if (id[n] != ':') return kh_number_parse(id, n, ret);
    return kh_number_parse(id, n, &bank) && bank == r->who.party && kh_number_parse(id + n + 1, strlen(id + n + 1), ret);
}

/* The receipt's own bytes: it has one form, and what is not in it is not proven. */
void kh_route_finance_receipt(kh_request *r)
{
    const char *id = kh_request_path(r, "id");
    uint64_t financing;
    if (!own_financing(r, id, &financing)) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "id",
                         "id must be the number that the bank gave its own financing: 1, or 11:1 where 11 is the bank that asks");
        return;
    }
    kh_result result = kh_finance_prove(r->engine, financing, give_receipt, r);
    if (result != KH_DONE) {
        r->out.n = 0;
        kh_answer_end(r, result, kh_message(r->engine), NULL);
        if (result == KH_DONE_NOT_OK) r->status = MHD_HTTP_NOT_FOUND;
        return;
    }
    r->status = MHD_HTTP_OK;
    r->content_type = "application/json";
}
