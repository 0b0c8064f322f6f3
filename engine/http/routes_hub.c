/* routes_hub: the hub itself: is it there, who am I to it, its figures, its description. */
#include "http/inside.h"

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
    r->retry_after_s = 1;
    kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, stopping ? "the hub is stopping" : "the hub is not ready");
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

void kh_route_me(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_party_self(r->engine, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}
