/* call: one question and its rows: pages that follow each other, or a file in pieces with several under way. */
#include "client/answer.h"
#include "client/pieces.h"
#include "client/signing.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES_UNDER_WAY = 4, IMPORT_COUNTS = 12 };

typedef struct sums { /* the rows "import" of a file's pieces */
    kh_result_field fields[IMPORT_COUNTS];
    uint32_t n, pieces;
    char texts[2][300], names[IMPORT_COUNTS][24];
    char note[600];
} sums;

typedef struct relay { /* one request's rows on their way to the sink */
    kh_client *c;
    const kh_result_sink *sink;
    uint64_t line_offset;
    int64_t byte_offset;
    sums *sums; /* NULL: rows "import" pass */
    kh_transfer transfer;
    kh_answer_reader answer;
    kh_piece piece;
    char *target;         /* malloc */
    double since_s;       /* when it was sent first */
    bool sent, no_header; /* no_header: a line of the file's header is refused, and so is each piece that begins with it */
} relay;

static bool put_text(char **at, char *end, const char *text, size_t n)
{
    if ((size_t)(end - *at) <= n) return false;
    memcpy(*at, text, n);
    *at += n;
    **at = '\0';
    return true;
}

static bool escape(char **at, char *end, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char ch = (unsigned char)*text;
        char coded[4];
        bool plain =
            (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || strchr("-._~", ch) != NULL;
        (void)snprintf(coded, sizeof coded, "%%%02X", ch);
        if (!put_text(at, end, plain ? text : coded, plain ? 1 : 3)) return false;
    }
    return true;
}

bool kh_client_escape(const char *text, char *ret, size_t cap)
{
    char *at = ret;
    if (cap > 0) *ret = '\0';
    return cap > 0 && escape(&at, ret + cap, text);
}

static bool add_param(char **at, char *end, bool *first, const char *name, const char *value)
{
    if (value == NULL) return true;
    bool well =
        put_text(at, end, *first ? "?" : "&", 1) && escape(at, end, name) && put_text(at, end, "=", 1) && escape(at, end, value);
    *first = false;
    return well;
}

/* target_of makes path?query; more: two further parameters. */
static kh_result target_of(kh_client *c, const kh_client_request *q, const kh_client_param more[2], char **ret)
{
    enum { TARGET_MAX = 8200 };
    char *target = malloc(TARGET_MAX), *at = target, *end = target + TARGET_MAX;
    if (target == NULL) return kh_client_say(c, KH_FAILED, "out of memory");
    bool first = true, well = put_text(&at, end, q->path, strlen(q->path));
    for (uint32_t i = 0; i < q->query_cnt && well; i++) well = add_param(&at, end, &first, q->query[i].name, q->query[i].value);
    for (uint32_t i = 0; i < 2 && well; i++)
        well = more[i].name == NULL || add_param(&at, end, &first, more[i].name, more[i].value);
    if (well) *ret = target;
    else free(target);
    return well ? KH_DONE : kh_client_say(c, KH_MISUSE, "what is asked is longer than a hub takes (8,000 characters)");
}

/* ---- rows of an import's pieces become one ---- */

static void sum_import(sums *s, const kh_result_row *row)
{
    if (s->pieces++ == 0) {
        uint32_t texts = 0;
        for (uint32_t i = 0; i < row->field_cnt && s->n < IMPORT_COUNTS; i++) {
            const kh_result_field *f = &row->fields[i];
            bool is_text = f->type == KH_FIELD_TEXT && texts < 2 && strcmp(f->name, "note") != 0;
            if (f->type != KH_FIELD_NUMBER && !is_text) continue;
            kh_result_field *mine = &s->fields[s->n];
            *mine = *f;
            (void)snprintf(s->names[s->n], sizeof s->names[0], "%s", f->name);
            mine->name = s->names[s->n++];
            if (!is_text) continue;
            (void)snprintf(s->texts[texts], sizeof s->texts[0], "%s", f->text);
            mine->text = s->texts[texts++];
        }
    } else {
        for (uint32_t i = 0; i < row->field_cnt; i++) {
            const kh_result_field *f = &row->fields[i];
            uint32_t k = 0;
            while (k < s->n && strcmp(s->fields[k].name, f->name) != 0) k++;
            if (f->type != KH_FIELD_NUMBER || k == IMPORT_COUNTS) continue;
            if (k < s->n) s->fields[k].number += f->number;
            else {
                (void)snprintf(s->names[k], sizeof s->names[0], "%s", f->name);
                s->fields[s->n++] = (kh_result_field){.name = s->names[k], .type = KH_FIELD_NUMBER, .number = f->number};
            }
        }
    }
    const kh_result_field *note = kh_row_field(row, "note");
    if (note != NULL && note->type == KH_FIELD_TEXT && s->note[0] == '\0')
        (void)snprintf(s->note, sizeof s->note, "%s", note->text);
}

static void give_sums(sums *s, const kh_result_sink *sink)
{
    if (s->pieces == 0) return;
    kh_result_field all[IMPORT_COUNTS + 1];
    memcpy(all, s->fields, sizeof s->fields);
    uint32_t n = s->n;
    if (s->note[0] != '\0') all[n++] = (kh_result_field){.name = "note", .type = KH_FIELD_TEXT, .text = s->note};
    sink->row(sink->ctx, &(kh_result_row){"import", all, n});
}

static uint64_t summed(const sums *s, const char *name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (strcmp(s->fields[i].name, name) == 0) return s->fields[i].number;
    return 0;
}

static bool is_of_header(const relay *r, const kh_result_row *row)
{
    const kh_result_field *line = kh_row_field(row, "line"), *code = kh_row_field(row, "code");
    return line != NULL && line->type == KH_FIELD_NUMBER && line->number >= 1 && line->number <= r->piece.header_lines &&
           code != NULL && code->type == KH_FIELD_NUMBER && code->number == KH_C_FORMAT;
}

static void on_row(void *ctx, kh_result_row *row)
{
    relay *r = ctx;
    r->no_header = r->no_header || is_of_header(r, row);
    if (r->sums != NULL && strcmp(row->what, "import") == 0) {
        sum_import(r->sums, row);
        return;
    }
    if (r->byte_offset != 0 && strcmp(row->what, "refused") == 0) { /* places in bytes are the piece's */
        kh_result_field *byte = (kh_result_field *)kh_row_field(row, "byte");
        if (byte != NULL && byte->type == KH_FIELD_NUMBER) byte->number += (uint64_t)r->byte_offset;
    }
    r->sink->row(r->sink->ctx, row);
}

/* finish says how a request ended that is over. */
static kh_result finish(relay *r)
{
    kh_client *c = r->c;
    kh_result result = kh_transfer_say(c, &r->transfer);
    if (result != KH_DONE) return result;
    if (!kh_answer_finish(&r->answer))
        return kh_client_say(c, KH_FAILED, "%s does not answer as a hub does (HTTP status %ld): see the address", c->url,
                             r->transfer.http_status);
    return kh_client_say(c, r->answer.status, "%s", r->answer.message);
}

/* begin sends what stands in the relay: its target, and its piece or the request's JSON. */
static kh_result begin(relay *r, const kh_client_request *q)
{
    bool piece = r->piece.content_type != NULL;
    r->transfer.give = kh_answer_feed;
    r->transfer.ctx = &r->answer;
    r->answer.transfer = &r->transfer;
    r->answer.row = on_row;
    r->answer.ctx = r;
    if (r->since_s == 0) r->since_s = kh_client_now_s();
    return kh_transfer_begin(r->c, &r->transfer, q->method, r->target, "application/x-ndjson",
                             piece ? r->piece.content_type : "application/json", piece ? r->piece.p : q->json,
                             piece             ? r->piece.n
                             : q->json != NULL ? strlen(q->json)
                                               : 0);
}

/* send_again: a hub that was too busy is asked again when it said, for as long as one without life is waited for. The requests
   after it go on meanwhile. */
static bool send_again(relay *r, const kh_client_request *q)
{
    double wait_s = kh_transfer_busy_s(&r->transfer), left_s = r->since_s + r->c->timeout_s - kh_client_now_s();
    if (wait_s <= 0 || left_s <= 0 || r->answer.row_cnt > 0) return false;
    kh_transfers_wait(r->c, wait_s < left_s ? wait_s : left_s);
    kh_transfer_end(r->c, &r->transfer);
    kh_answer_free(&r->answer);
    r->transfer = (kh_transfer){0};
    r->answer = (kh_answer_reader){0};
    return begin(r, q) == KH_DONE;
}

static void release(relay *r)
{
    kh_transfer_end(r->c, &r->transfer);
    kh_answer_free(&r->answer);
    free(r->piece.p);
    free(r->target);
    r->piece.p = r->target = NULL;
}

static kh_result worse(kh_result a, kh_result b) { return a > b ? a : b; }

static kh_result call_pages(kh_client *c, const kh_client_request *q, const kh_result_sink *sink)
{
    char after[256] = "";
    kh_result worst = KH_DONE;
    bool own_pages = false;
    for (uint32_t i = 0; i < q->query_cnt; i++)
        if (strcmp(q->query[i].name, "limit") == 0 && q->query[i].value != NULL) own_pages = true;
    for (;;) {
        relay r = {.c = c, .sink = sink};
        const kh_client_param more[2] = {{after[0] != '\0' ? "after" : NULL, after}};
        kh_result result = target_of(c, q, more, &r.target);
        if (result == KH_DONE) result = begin(&r, q);
        if (result == KH_DONE) {
            do
                while (!r.transfer.ended) kh_transfers_step(c, 1.0);
            while (send_again(&r, q));
            result = finish(&r);
        }
        (void)snprintf(after, sizeof after, "%s", result <= KH_DONE_NOT_OK && !own_pages ? r.answer.next : "");
        release(&r);
        worst = worse(worst, result);
        if (after[0] == '\0') return worst;
    }
}

static kh_result file_failed(kh_client *c, const char *file, kh_err err)
{
    if (err == KH_E_NOT_FOUND) return kh_client_say(c, KH_MISUSE, "%s cannot be read: %s", file, strerror(errno));
    return kh_client_say(c, KH_FAILED, err == KH_E_NOMEM ? "%s: out of memory" : "%s cannot be read to its end", file);
}

/* send_piece begins the request of the next piece; *ret_more: there was one. */
static kh_result send_piece(relay *r, const kh_client_request *q, kh_pieces *pieces, bool first, bool *ret_more)
{
    char offset[24];
    kh_err err = KH_OK;
    *ret_more = kh_pieces_next(pieces, &r->piece, &err);
    if (!*ret_more) return err == KH_OK ? KH_DONE : file_failed(r->c, q->file, err);
    (void)snprintf(offset, sizeof offset, "%llu", (unsigned long long)r->piece.line_offset);
    const kh_client_param more[2] = {{"name", q->file}, {r->piece.line_offset > 0 ? "line_offset" : NULL, offset}};
    kh_result result = target_of(r->c, q, more, &r->target);
    r->byte_offset = r->piece.byte_offset;
    r->transfer.held = !first; /* rows come in the order of the file */
    if (result == KH_DONE) result = begin(r, q);
    r->sent = result == KH_DONE;
    return result;
}

static kh_result call_file(kh_client *c, const kh_client_request *q, const kh_result_sink *sink)
{
    kh_pieces *pieces = NULL;
    kh_err err = kh_pieces_open(q->file, q->together, &pieces);
    if (err != KH_OK) return file_failed(c, q->file, err);
    relay relays[PIECES_UNDER_WAY] = {0};
    sums total = {0};
    uint32_t first = 0, n = 0, sent = 0, most = q->changes ? 1 : PIECES_UNDER_WAY;
    bool more = true, no_header = false;
    kh_result worst = KH_DONE;
    char message[sizeof c->message] = "";
    while (worst <= KH_DONE_NOT_OK && (more || n > 0) && !no_header) {
        kh_result result = KH_DONE;
        while (more && n < most && result == KH_DONE) {
            relay *r = &relays[(first + n) % PIECES_UNDER_WAY];
            *r = (relay){.c = c, .sink = sink};
            result = send_piece(r, q, pieces, n == 0, &more);
            if (!r->sent) {
                release(r);
                break;
            }
            if (sent++ > 0 || !r->piece.last) r->sums = &total;
            more = more && !r->piece.last;
            n++;
        }
        relay *front = &relays[first];
        if (result == KH_DONE && n > 0) {
            kh_transfer_release(&front->transfer);
            kh_transfers_step(c, 0.25);
            if (sink->progress != NULL) sink->progress(sink->ctx, q->file, front->piece.done, front->piece.size);
            if (!front->transfer.ended || send_again(front, q)) continue;
            result = finish(front);
            no_header = front->no_header;
            release(front);
            first = (first + 1) % PIECES_UNDER_WAY;
            n--;
        }
        if (result >= worst && result != KH_DONE) (void)snprintf(message, sizeof message, "%s", c->message);
        worst = worse(worst, result);
    }
    for (; n > 0; n--, first = (first + 1) % PIECES_UNDER_WAY) release(&relays[first]);
    kh_pieces_close(pieces);
    give_sums(&total, sink);
    if (total.pieces > 0 && worst == KH_DONE_NOT_OK)
        return kh_client_say(c, worst, "%s: %llu of %llu refused", q->file, (unsigned long long)summed(&total, "refused"),
                             (unsigned long long)summed(&total, "read"));
    return kh_client_say(c, worst, "%s", message);
}

kh_result kh_client_call(kh_client *client, const kh_client_request *request, const kh_result_sink *sink)
{
    client->message[0] = '\0';
    client->http_status = 0;
    if (client->sign != NULL && kh_signed_takes(request)) {
        kh_result result = kh_signing_begin(client);
        if (result != KH_DONE) return result;
        if (client->signing != NULL) return kh_signed_call(client, request, sink);
    }
    return request->file != NULL ? call_file(client, request, sink) : call_pages(client, request, sink);
}
