/* routes_papers: documents: files in, verdicts, balances, histories, alerts. */
#include "http/inside.h"

/* A body as the engine's input. */
typedef struct body_input {
    const uint8_t *p;
    size_t n;
} body_input;

static int64_t read_body(void *ctx, void *p, size_t cap)
{
    body_input *b = ctx;
    size_t n = b->n < cap ? b->n : cap;
    if (n == 0) return 0; /* without a body there is no p either */
    memcpy(p, b->p, n);
    b->p += n;
    b->n -= n;
    return (int64_t)n;
}

static kh_input input_of(kh_request *r, body_input *b)
{
    const char *name = kh_query_text(r, "name");
    *b = (body_input){r->body, r->body_n};
    return (kh_input){.name = name != NULL ? name : "body",
                      .read = read_body,
                      .ctx = b,
                      .size = r->body_n,
                      .line_offset = kh_query_number(r, "line_offset", 0)};
}

static bool is_true(const kh_request *r, const char *name)
{
    const char *text = kh_query_text(r, name);
    return text != NULL && text[0] == 't';
}

void kh_route_import(kh_request *r)
{
    body_input b;
    kh_input input = input_of(r, &b);
    kh_import_options options = {.format = kh_query_text(r, "format"),
                                 .kind = kh_query_text(r, "kind"),
                                 .source = kh_query_text(r, "source"),
                                 .force = is_true(r, "force")};
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_import_input(r->engine, &input, &options, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_show(kh_request *r)
{
    body_input b;
    kh_input input = input_of(r, &b);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_show_input(r->engine, &input, kh_query_text(r, "format"), kh_query_text(r, "kind"), &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_verify(kh_request *r)
{
    body_input b;
    kh_input input = input_of(r, &b);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_verify_input(r->engine, &input, NULL, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_finance_apply_file(kh_request *r)
{
    body_input b;
    kh_input input = input_of(r, &b);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_finance_apply_input(r->engine, NULL, &input, is_true(r, "allow_partial"), &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_finance_events_file(kh_request *r)
{
    body_input b;
    kh_input input = input_of(r, &b);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_finance_events_input(r->engine, NULL, &input, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

static kh_paper paper_of(const kh_request *r)
{
    return (kh_paper){.document = kh_query_text(r, "document"),
                      .issuer = kh_query_text(r, "issuer"),
                      .owner = kh_query_text(r, "owner"),
                      .amount = kh_query_text(r, "amount")};
}

void kh_route_balance(kh_request *r)
{
    kh_paper paper = paper_of(r);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_balance(r->engine, &paper, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_history(kh_request *r)
{
    kh_paper paper = paper_of(r);
    kh_page page = kh_request_page(r);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_history(r->engine, &paper, &page, &sink);
    kh_answer_end(r, result, kh_message(r->engine), page.next);
}

void kh_route_alerts(kh_request *r)
{
    kh_page page = kh_request_page(r);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_alerts(r->engine, NULL, &page, &sink);
    kh_answer_end(r, result, kh_message(r->engine), page.next);
}
