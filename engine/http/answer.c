/* answer: rows and refusals as JSON text, written as they come; and how they go out. */
#include "doc/fold.h"
#include "http/inside.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_ROOM 4096u

bool kh_answer_room(kh_answer_text *a, size_t n)
{
    if (a->too_long || a->no_memory) return false;
    if (a->n + n <= a->cap) return true;
    if (a->n + n > KH_HTTP_ANSWER_MAX) {
        a->too_long = true;
        return false;
    }
    size_t cap = (a->n + n) * 2 + FIRST_ROOM;
    char *p = realloc(a->p, cap);
    if (p == NULL) {
        a->no_memory = true;
        return false;
    }
    a->p = p;
    a->cap = cap;
    return true;
}

void kh_answer_put(kh_answer_text *a, const char *text, size_t n)
{
    if (!kh_answer_room(a, n)) return;
    memcpy(a->p + a->n, text, n);
    a->n += n;
}

void kh_answer_printf(kh_answer_text *a, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (n > 0) kh_answer_put(a, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

static void put_text(kh_answer_text *a, const char *text)
{
    size_t need = kh_text_json(text, NULL, 0);
    if (kh_answer_room(a, need)) a->n += kh_text_json(text, a->p + a->n, need);
}

static void begin_row(kh_request *r)
{
    if (r->lines) return;
    if (r->row_cnt == 0) kh_answer_put(&r->out, "{\"results\":[\n", 13);
    else kh_answer_put(&r->out, ",\n", 2);
}

static bool is_code(const kh_result_row *row, uint32_t at)
{
    return at < row->field_cnt && row->fields[at].type == KH_FIELD_NUMBER && strcmp(row->fields[at].name, "code") == 0;
}

static bool is_unattested(const kh_result_row *row)
{
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (row->fields[i].type == KH_FIELD_BOOL && strcmp(row->fields[i].name, "attested") == 0)
            return row->fields[i].number == 0;
    return false;
}

static void on_row(void *ctx, const kh_result_row *row)
{
    kh_request *r = ctx;
    kh_answer_text *a = &r->out;
    begin_row(r);
    if (!is_code(row, r->code_at))
        for (r->code_at = 0; r->code_at < row->field_cnt && !is_code(row, r->code_at); r->code_at++) {}
    uint32_t code = r->code_at < row->field_cnt ? (uint32_t)row->fields[r->code_at].number : 0;
    r->limited |= code == KH_C_RATE_LIMITED;
    if (r->row_cnt++ == 0) {
        r->first_code = code;
        r->first_is_unattested = r->route != NULL && (r->route->flags & KH_R_OLDER) != 0 && is_unattested(row);
        r->first_is_code_alone = row->field_cnt == 2 && strcmp(row->fields[0].name, "code") == 0;
    }
    if (!kh_answer_room(a, 256)) return;
    size_t need = kh_row_json(row, true, a->p + a->n, a->cap - a->n);
    if (need > a->cap - a->n) {
        if (!kh_answer_room(a, need)) return;
        (void)kh_row_json(row, true, a->p + a->n, a->cap - a->n);
    }
    a->n += need;
    if (r->lines) kh_answer_put(a, "\n", 1);
}

kh_result_sink kh_answer_sink(kh_request *r) { return (kh_result_sink){.row = on_row, .ctx = r}; }

static void close_text(kh_request *r, int status, const char *message, const char *field, const char *next)
{
    kh_answer_text *a = &r->out;
    if (r->lines) kh_answer_put(a, "{\"end\":true", 11);
    else if (r->row_cnt == 0) kh_answer_put(a, "{\"results\":[]", 13);
    else kh_answer_put(a, "\n]", 2);
    kh_answer_printf(a, ",\"status\":%d,\"message\":", status);
    put_text(a, message);
    if (field != NULL) {
        kh_answer_put(a, ",\"field\":", 9);
        put_text(a, field);
    }
    if (next != NULL && next[0] != '\0') {
        kh_answer_put(a, ",\"next\":", 8);
        put_text(a, next);
    }
    kh_answer_put(a, "}\n", 2);
    r->content_type = r->lines ? "application/x-ndjson" : "application/json";
}

static void start_over(kh_request *r, unsigned http_status)
{
    r->out.n = 0;
    r->out.too_long = r->out.no_memory = false;
    r->row_cnt = 0;
    r->refused = true;
    r->status = http_status;
}

void kh_answer_refuse(kh_request *r, unsigned http_status, const char *field, const char *format, ...)
{
    char message[600], short_field[101];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(message, sizeof message, format, list);
    va_end(list);
    /* a cut in the middle of a character would make the answer no UTF-8 */
    for (size_t n = strlen(message); n > 0 && !kh_utf8_valid((kh_text){message, (uint32_t)n});) message[--n] = '\0';
    if (field != NULL) {
        (void)snprintf(short_field, sizeof short_field, "%s", field);
        for (size_t n = strlen(short_field); n > 0 && !kh_utf8_valid((kh_text){short_field, (uint32_t)n});)
            short_field[--n] = '\0';
    }
    start_over(r, http_status);
    close_text(r, http_status >= 500 ? KH_FAILED : KH_MISUSE, message, field != NULL ? short_field : NULL, NULL);
}

void kh_answer_refuse_code(kh_request *r, unsigned http_status, kh_code code, const char *message)
{
    kh_result_field fields[] = {{.name = "code", .type = KH_FIELD_NUMBER, .number = code},
                                {.name = "name", .type = KH_FIELD_TEXT, .text = kh_code_word(code)}};
    start_over(r, http_status);
    on_row(r, &(kh_result_row){"refused", fields, 2});
    close_text(r, KH_DONE_NOT_OK, message, NULL, NULL);
}

/* Once the log has failed what fails is refused, not broken: nothing is written until the hub is started again. */
static bool is_ready(const kh_request *r) { return r->http->o.ready == NULL || r->http->o.ready(r->http->o.ready_ctx); }

static bool is_stopping(const kh_request *r) { return atomic_load_explicit(&r->http->stopping, memory_order_relaxed); }

/* http_status_of: what the engine's answer is as a status of HTTP. */
static unsigned http_status_of(const kh_request *r, kh_result result)
{
    if (result == KH_MISUSE) return MHD_HTTP_BAD_REQUEST;
    if (result == KH_FAILED)
        return is_ready(r) && !is_stopping(r) ? MHD_HTTP_INTERNAL_SERVER_ERROR : MHD_HTTP_SERVICE_UNAVAILABLE;
    if (result == KH_DONE_NOT_OK && r->row_cnt == 1) {
        bool one = (r->route->flags & KH_R_ONE) != 0,
             whole = one || r->first_is_code_alone; /* the code is of the whole request */
        if (whole && (r->first_code == KH_C_NOT_AUTHORISED || r->first_code == KH_C_FROZEN)) return MHD_HTTP_FORBIDDEN;
        if (whole && r->first_code == KH_C_RATE_LIMITED) return MHD_HTTP_TOO_MANY_REQUESTS;
        if (r->first_is_code_alone && r->first_code == KH_C_NOT_READY) return MHD_HTTP_SERVICE_UNAVAILABLE;
        if (one && r->first_code == KH_C_NOT_FOUND) return MHD_HTTP_NOT_FOUND;
    }
    return MHD_HTTP_OK;
}

void kh_answer_end(kh_request *r, kh_result result, const char *message, const char *next)
{
    if (result == KH_FAILED && !is_ready(r)) {
        message = "the hub takes no operations now, questions alone: its operator knows";
        r->retry_after_s = 60;
    } else if (result == KH_FAILED && is_stopping(r)) {
        message = "the hub is stopping; what was asked to be done may be done or not: ask again";
        r->retry_after_s = 1;
    } else if (result == KH_FAILED) {
        /* the engine's words may tell of its machine: they are for the operator */
        if (r->http->o.log != NULL) r->http->o.log(r->http->o.log_ctx, "request_failed", message);
        message = "the hub could not do this; its operator's log says why";
    }
    r->status = http_status_of(r, result);
    if (r->status == MHD_HTTP_TOO_MANY_REQUESTS || (r->status == MHD_HTTP_SERVICE_UNAVAILABLE && result == KH_DONE_NOT_OK))
        r->retry_after_s = 1;
    close_text(r, result, result == KH_DONE ? "" : message, NULL, next);
    if (r->out.too_long)
        kh_answer_refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, NULL,
                         "the answer passes %u bytes: ask in smaller parts (what was asked to be done is done)",
                         KH_HTTP_ANSWER_MAX);
    else if (r->out.no_memory) kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "no memory for the answer; try again");
}

/* One media range of an Accept header against what the route can say. */
static bool range_is(const char *range, size_t n, const char *type)
{
    const char *slash = strchr(type, '/');
    size_t main_n = (size_t)(slash - type) + 1;
    if (n == 3 && memcmp(range, "*/*", 3) == 0) return true;
    if (n == main_n + 1 && strncasecmp(range, type, main_n) == 0 && range[n - 1] == '*') return true;
    return n == strlen(type) && strncasecmp(range, type, n) == 0;
}

bool kh_answer_accept(kh_request *r, const char *accept)
{
    bool text = (r->route->flags & KH_R_TEXT) != 0, frames = r->route->body == KH_BODY_FRAMES;
    if (accept == NULL || accept[0] == '\0') return true;
    for (const char *at = accept; *at != '\0';) {
        at += strspn(at, ", \t");
        size_t all = strcspn(at, ","), n = strcspn(at, ",; \t");
        bool never = false;
        for (size_t i = n; i + 3 <= all; i++)
            if (strncasecmp(at + i, "q=0", 3) == 0 && strspn(at + i + 3, ".0") == strcspn(at + i + 3, ", ;\t")) never = true;
        if (!never && n > 0) {
            if (text || frames) {
                if (range_is(at, n, frames ? "application/octet-stream" : "text/plain") || range_is(at, n, "application/yaml") ||
                    range_is(at, n, "application/openmetrics-text") || range_is(at, n, "application/json"))
                    return true;
            } else if (range_is(at, n, "application/json")) {
                return true;
            } else if (range_is(at, n, "application/x-ndjson")) {
                r->lines = true;
                return true;
            }
        }
        at += all;
    }
    return false;
}

enum MHD_Result kh_answer_queue(kh_request *r)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(r->out.n, r->out.p, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) return MHD_NO;
    r->out.p = NULL;
    r->queued = true;
    char seconds[16];
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->content_type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (r->closes) (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (r->allow[0] != '\0') (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->allow);
    if (r->retry_after_s > 0) {
        (void)snprintf(seconds, sizeof seconds, "%u", r->retry_after_s);
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    enum MHD_Result queued = kh_library_queue(r->mhd, r->status, response);
    MHD_destroy_response(response);
    return queued;
}
