/* routes_hub: the hub itself: is it there, who am I to it, its figures, its description. */
#include "http/inside.h"
#include <stdio.h>

static void one_word(kh_request *r, const char *name, const char *word)
{
    kh_result_field fields[] = {{.name = name, .type = KH_FIELD_TEXT, .text = word}};
    kh_result_sink sink = kh_answer_sink(r);
    sink.row(sink.ctx, &(kh_result_row){"hub", fields, 1});
    kh_answer_end(r, KH_DONE, "", NULL);
}

void kh_route_health(kh_request *r) { one_word(r, "health", "up"); }

void kh_route_ready(kh_request *r)
{
    const kh_http_options *o = &r->http->o;
    bool stopping = atomic_load_explicit(&r->http->stopping, memory_order_relaxed);
    if (!stopping && (o->ready == NULL || o->ready(o->ready_ctx))) {
        one_word(r, "ready", "yes");
        return;
    }
    char why[400] = "";
    if (o->cluster != NULL && o->cluster->follows != NULL) o->cluster->follows(o->cluster->self, why, sizeof why);
    r->retry_after_s = 1;
    kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "%s",
                     stopping ? "the hub is stopping"
                     : why[0] != '\0'
                         ? "this node follows: it is no member of its cluster yet, or not with its keys, or has no state yet"
                         : "the hub is not ready");
}

void kh_route_metrics(kh_request *r)
{
    kh_metrics_text(r->http, &r->out);
    r->status = MHD_HTTP_OK;
    r->content_type = "text/plain; version=0.0.4; charset=utf-8";
}

void kh_route_openapi(kh_request *r)
{
    if (r->http->openapi == NULL) {
        kh_answer_refuse(r, MHD_HTTP_NOT_FOUND, NULL, "this hub keeps no description of its API");
        return;
    }
    kh_answer_put(&r->out, r->http->openapi, r->http->openapi_n);
    r->status = MHD_HTTP_OK;
    r->content_type = "application/yaml";
}

/* In a cluster the row of who asks says too what its signatures are for. */
typedef struct told {
    const kh_http_cluster *cluster;
    const kh_result_sink *sink;
} told;

static void with_cluster(void *ctx, const kh_result_row *row)
{
    enum { MOST = 16 };
    const told *t = ctx;
    kh_result_field fields[MOST + 3];
    char chain[65];
    uint32_t n = row->field_cnt < MOST ? row->field_cnt : MOST;
    memcpy(fields, row->fields, n * sizeof *fields);
    for (uint32_t i = 0; i < 32; i++) (void)snprintf(chain + 2 * (size_t)i, 3, "%02x", t->cluster->chain[i]);
    fields[n++] = (kh_result_field){.name = "chain", .type = KH_FIELD_TEXT, .text = chain};
    fields[n++] = (kh_result_field){.name = "suite", .type = KH_FIELD_TEXT, .text = t->cluster->suite};
    fields[n++] = (kh_result_field){.name = "hubs_speak", .type = KH_FIELD_BOOL, .number = t->cluster->hubs_speak};
    t->sink->row(t->sink->ctx, &(kh_result_row){row->what, fields, n});
}

void kh_route_me(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    told t = {r->http->o.cluster, &sink};
    const kh_result_sink more = {.row = with_cluster, .ctx = &t};
    kh_result result = kh_party_self(r->engine, t.cluster != NULL ? &more : &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

static const kh_http_cluster *cluster_of(kh_request *r)
{
    if (r->http->o.cluster == NULL) kh_answer_refuse(r, MHD_HTTP_NOT_FOUND, NULL, "this hub is of no cluster");
    return r->http->o.cluster;
}

void kh_route_cluster(kh_request *r)
{
    const kh_http_cluster *c = r->http->o.cluster;
    if (c == NULL) { /* a question that may always be asked */
        kh_answer_end(r, KH_DONE, "this hub is of no cluster", NULL);
        return;
    }
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = c->show(c->self, &sink);
    kh_answer_end(r, result, result == KH_DONE ? "" : "the order cannot be looked at", NULL);
}

/* Whose certificate brings a change does not matter: the officers' signatures count. */
void kh_route_changes(kh_request *r)
{
    const kh_http_cluster *c = cluster_of(r);
    const char *word = NULL;
    uint64_t height = 0;
    if (c == NULL) return;
    kh_err err = c->change(c->self, r->body, r->body_n, &word, &height);
    if (err != KH_OK) {
        r->retry_after_s = 1;
        kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "%s",
                         err == KH_E_AGAIN ? "the change is offered and not ordered yet: the same again is harmless"
                                           : "this node takes no changes now");
        return;
    }
    kh_result_field fields[] = {{.name = "result", .type = KH_FIELD_TEXT, .text = word},
                                {.name = "height", .type = height != 0 ? KH_FIELD_NUMBER : KH_FIELD_NULL, .number = height}};
    kh_result_sink sink = kh_answer_sink(r);
    sink.row(sink.ctx, &(kh_result_row){"change", fields, 2});
    bool done = strcmp(word, "OK") == 0;
    kh_answer_end(r, done ? KH_DONE : KH_DONE_NOT_OK, done ? "" : word, NULL);
}
