/* routes_consent: grants (授权查证), what they open, and the risk list (风险名单). */
#include "http/inside.h"
#include <stdio.h>
#include <stdlib.h>

#define SUBJECTS_MAX 256u
#define CREDIT_PAGE 1000u

void kh_route_grant_add(kh_request *r)
{
    kh_grant_request request = {.enterprise = kh_field(r, "enterprise"),
                                .bank = kh_field(r, "bank"),
                                .scope = kh_field(r, "scope"),
                                .from = kh_field(r, "from"),
                                .until = kh_field(r, "until")};
    if (!kh_field_number(r, "id", &request.id)) return;
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_grant_add(r->engine, &request, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_grant_revoke(kh_request *r)
{
    const char *text = kh_request_path(r, "id");
    uint64_t id;
    if (!kh_number_parse(text, strlen(text), &id)) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "id", "id must be the enterprise's number of a grant");
        return;
    }
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_grant_revoke(r->engine, NULL, kh_field(r, "enterprise"), id, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

static void list(kh_request *r, kh_result (*ask)(kh_engine *engine, const char *as, kh_page *page, const kh_result_sink *sink))
{
    kh_page page = kh_request_page(r);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = ask(r->engine, NULL, &page, &sink);
    kh_answer_end(r, result, kh_message(r->engine), page.next);
}

void kh_route_grant_list(kh_request *r) { list(r, kh_grant_list); }
void kh_route_grant_lookups(kh_request *r) { list(r, kh_grant_lookups); }
void kh_route_risk_account(kh_request *r) { list(r, kh_risk_account); }

/* What a page of documents ended with, to go on behind it. */
typedef struct documents {
    kh_result_sink to;
    uint32_t count;
    char last[512];
} documents;

static const char *text_of(const kh_result_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (row->fields[i].type == KH_FIELD_TEXT && strcmp(row->fields[i].name, name) == 0) return row->fields[i].text;
    return NULL;
}

static void add_escaped(char *to, size_t cap, const char *text)
{
    size_t n = strlen(to);
    for (; *text != '\0' && n + 4 < cap; text++)
        n += (size_t)snprintf(to + n, cap - n, strchr("%@/=", *text) != NULL ? "%%%02X" : "%c", (unsigned)(unsigned char)*text);
}

static void on_document(void *ctx, const kh_result_row *row)
{
    documents *d = ctx;
    const char *kind = text_of(row, "kind"), *number = text_of(row, "number"), *issuer = text_of(row, "issuer");
    char name[sizeof d->last];
    d->to.row(d->to.ctx, row);
    if (kind == NULL || number == NULL) return;
    (void)snprintf(name, sizeof name, "%s:", kind);
    add_escaped(name, sizeof name, number);
    if (issuer != NULL) {
        size_t n = strlen(name);
        (void)snprintf(name + n, sizeof name - n, "@");
        add_escaped(name, sizeof name, issuer);
    }
    if (strcmp(name, d->last) == 0) return; /* one document, another currency */
    memcpy(d->last, name, sizeof name);
    d->count++;
}

void kh_route_credit(kh_request *r)
{
    documents d = {.to = kh_answer_sink(r)};
    kh_result_sink sink = {.row = on_document, .ctx = &d};
    kh_credit_request request = {.enterprise = kh_query_text(r, "enterprise"),
                                 .scope = kh_query_text(r, "scope"),
                                 .grant = kh_query_number(r, "grant", 0),
                                 .after = kh_query_text(r, "after"),
                                 .limit = (uint32_t)kh_query_number(r, "limit", CREDIT_PAGE)};
    kh_result result = kh_credit(r->engine, &request, &sink);
    kh_answer_end(r, result, kh_message(r->engine), d.count == request.limit ? d.last : NULL);
}

void kh_route_risk_add(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_risk_add(r->engine, NULL, kh_field(r, "subject"), kh_field(r, "category"), &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_risk_remove(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_risk_remove(r->engine, NULL, kh_field(r, "subject"), kh_field(r, "category"), kh_field(r, "of"), &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_risk_ask(kh_request *r)
{
    const char *subjects[SUBJECTS_MAX];
    uint32_t n = kh_field_texts(r, "subjects", subjects, SUBJECTS_MAX);
    if (n == 0 || n > SUBJECTS_MAX) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "subjects", "subjects names 1 to %u", SUBJECTS_MAX);
        return;
    }
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_risk_ask(r->engine, NULL, subjects, n, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}
