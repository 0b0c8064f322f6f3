/* typed: the questions of a bank's program, each one call of the API. */
#include "client/connection.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof(a)[0]))

static kh_result get(kh_client *c, const char *path, const kh_client_param *query, uint32_t n, const kh_result_sink *sink)
{
    return kh_client_call(c, &(kh_client_request){.method = "GET", .path = path, .query = query, .query_cnt = n}, sink);
}

/* post takes the body over. */
static kh_result post(kh_client *c, const char *path, json_t *body, const kh_result_sink *sink)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (text == NULL) return kh_client_say(c, KH_MISUSE, "a text is not UTF-8, or memory ran out");
    kh_result result = kh_client_call(c, &(kh_client_request){.method = "POST", .path = path, .json = text}, sink);
    free(text);
    return result;
}

static kh_result as_me(kh_client *c, const char *as) { return as == NULL ? KH_DONE : kh_client_is_me(c, as); }

static kh_result not_me(kh_client *c, kh_result result, const char *as)
{
    return result == KH_FAILED
               ? result
               : kh_client_say(c, KH_DONE_NOT_OK, "NOT_AUTHORISED: the certificate is not that of %s (无权操作)", as);
}

kh_result kh_client_me(kh_client *c, const kh_result_sink *sink) { return get(c, "/v1/me", NULL, 0, sink); }

typedef struct named { /* what /v1/me says, against a name */
    const char *party;
    bool same;
} named;

static void compare(void *ctx, const kh_result_row *row)
{
    named *n = ctx;
    for (uint32_t i = 0; i < row->field_cnt; i++) {
        const kh_result_field *f = &row->fields[i];
        char id[24];
        (void)snprintf(id, sizeof id, "%llu", (unsigned long long)f->number);
        if (f->type == KH_FIELD_NUMBER && strcmp(f->name, "id") == 0 && strcmp(id, n->party) == 0) n->same = true;
        if (f->type == KH_FIELD_TEXT && (strcmp(f->name, "name") == 0 || strcmp(f->name, "uscc") == 0) &&
            strcmp(f->text, n->party) == 0)
            n->same = true;
    }
}

kh_result kh_client_is_me(kh_client *c, const char *party)
{
    char id[16];
    (void)snprintf(id, sizeof id, "%u", c->party);
    if (c->party != 0 && strspn(party, "0123456789") == strlen(party)) return strcmp(id, party) == 0 ? KH_DONE : KH_DONE_NOT_OK;
    named n = {.party = party};
    kh_result result = kh_client_me(c, &(kh_result_sink){.row = compare, .ctx = &n});
    return result != KH_DONE ? result : n.same ? KH_DONE : KH_DONE_NOT_OK;
}

kh_result kh_client_import_file(kh_client *c, const char *file, const kh_import_options *o, const kh_result_sink *sink)
{
    const kh_client_param query[] = {
        {"format", o->format}, {"kind", o->kind}, {"source", o->source}, {"force", o->force ? "true" : NULL}};
    return kh_client_call(c,
                          &(kh_client_request){.method = "POST",
                                               .path = "/v1/documents",
                                               .query = query,
                                               .query_cnt = COUNT(query),
                                               .file = file,
                                               .together = "kind number issuer_id invoice_code",
                                               .changes = true},
                          sink);
}

kh_result kh_client_verify_file(kh_client *c, const char *file, const kh_result_sink *sink)
{
    const kh_client_param query[] = {{"attested", c->attested ? "true" : NULL}};
    return kh_client_call(
        c, &(kh_client_request){.method = "POST", .path = "/v1/verify", .query = query, .query_cnt = COUNT(query), .file = file},
        sink);
}

static kh_result about_paper(kh_client *c, const char *path, const kh_paper *p, const kh_result_sink *sink)
{
    kh_result result = as_me(c, p->as);
    if (result != KH_DONE) return not_me(c, result, p->as);
    const kh_client_param query[] = {{"document", p->document},
                                     {"issuer", p->issuer},
                                     {"owner", p->owner},
                                     {"amount", p->amount},
                                     {"attested", c->attested ? "true" : NULL}};
    return get(c, path, query, COUNT(query), sink);
}

kh_result kh_client_balance(kh_client *c, const kh_paper *paper, const kh_result_sink *sink)
{
    return about_paper(c, "/v1/balance", paper, sink);
}
kh_result kh_client_history(kh_client *c, const kh_paper *paper, const kh_result_sink *sink)
{
    return about_paper(c, "/v1/history", paper, sink);
}
kh_result kh_client_alerts(kh_client *c, const kh_result_sink *sink) { return get(c, "/v1/alerts", NULL, 0, sink); }

static json_t *texts(const char *const *list, uint32_t n)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < n; i++) (void)json_array_append_new(all, json_string(list[i]));
    return all;
}

static void put_text(json_t *body, const char *name, const char *text)
{
    if (text != NULL) (void)json_object_set_new(body, name, json_string(text));
}

kh_result kh_client_apply(kh_client *c, const kh_apply_request *q, const kh_result_sink *sink)
{
    kh_result result = as_me(c, q->as);
    if (result != KH_DONE) return not_me(c, result, q->as);
    json_t *body = json_object();
    char id[24];
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)q->id);
    put_text(body, "id", id); /* a number of JSON ends at 2^63 - 1 there */
    put_text(body, "enterprise", q->enterprise);
    put_text(body, "product", q->product);
    put_text(body, "amount", q->amount);
    put_text(body, "currency", q->currency);
    if (q->allow_partial) (void)json_object_set_new(body, "allow_partial", json_true());
    (void)json_object_set_new(body, "documents", texts(q->documents, q->document_cnt));
    return post(c, "/v1/financings", body, sink);
}

kh_result kh_client_apply_file(kh_client *c, const char *file, bool allow_partial, const kh_result_sink *sink)
{
    const kh_client_param query[] = {{"allow_partial", allow_partial ? "true" : NULL}};
    return kh_client_call(c,
                          &(kh_client_request){.method = "POST",
                                               .path = "/v1/financings/file",
                                               .query = query,
                                               .query_cnt = COUNT(query),
                                               .file = file,
                                               .together = "id",
                                               .changes = true},
                          sink);
}

kh_result kh_client_event(kh_client *c, const kh_event_request *q, const kh_result_sink *sink)
{
    kh_result result = as_me(c, q->as);
    char path[160], word[100];
    if (result != KH_DONE) return not_me(c, result, q->as);
    if (!kh_client_escape(q->event, word, sizeof word)) return kh_client_say(c, KH_MISUSE, "there is no such event");
    (void)snprintf(path, sizeof path, "/v1/financings/%llu/%s", (unsigned long long)q->id, word);
    json_t *body = json_object();
    put_text(body, "amount", q->amount);
    put_text(body, "source", q->source);
    put_text(body, "reason", q->reason);
    put_text(body, "expect", q->expect);
    if (q->allot_cnt > 0) (void)json_object_set_new(body, "allot", texts(q->allot, q->allot_cnt));
    return post(c, path, body, sink);
}

kh_result kh_client_events_file(kh_client *c, const char *file, const kh_result_sink *sink)
{
    return kh_client_call(
        c, &(kh_client_request){.method = "POST", .path = "/v1/financings/events", .file = file, .changes = true}, sink);
}

kh_result kh_client_financing(kh_client *c, const char *id, const kh_result_sink *sink)
{
    char path[400] = "/v1/financings/";
    size_t n = strlen(path);
    if (!kh_client_escape(id, path + n, sizeof path - n))
        return kh_client_say(c, KH_MISUSE, "which financing? give the bank's number");
    return get(c, path, NULL, 0, sink);
}

kh_result kh_client_financings(kh_client *c, const char *state, const kh_result_sink *sink)
{
    const kh_client_param query[] = {{"state", state}};
    return get(c, "/v1/financings", query, COUNT(query), sink);
}
