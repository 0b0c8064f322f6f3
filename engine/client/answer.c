/* answer: see answer.h. */
#include "client/answer.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void copy_text(const kh_result_row *row, const char *name, char *ret, size_t cap)
{
    const kh_result_field *f = kh_row_field(row, name);
    (void)snprintf(ret, cap, "%s", f != NULL && f->type == KH_FIELD_TEXT ? f->text : "");
}

static bool end_of(kh_answer_reader *r, const kh_result_row *row)
{
    const kh_result_field *status = kh_row_field(row, "status");
    if (status == NULL || status->type != KH_FIELD_NUMBER || status->number > KH_FAILED) return false;
    r->status = (kh_result)status->number;
    copy_text(row, "message", r->message, sizeof r->message);
    copy_text(row, "next", r->next, sizeof r->next);
    return r->ended = true;
}

/* line takes one line; p[n] is writable. */
static bool line(kh_answer_reader *r, char *p, size_t n)
{
    kh_result_row row;
    while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == ' ')) n--;
    if (n == 0) return true; /* a hub may send blank lines while it works */
    if (r->ended || !kh_row_decode(&r->decoder, p, n, &row)) return false;
    if (row.field_cnt > 0 && strcmp(row.fields[0].name, "end") == 0) return end_of(r, &row);
    r->row_cnt++;
    if (r->row != NULL) r->row(r->ctx, &row);
    return true;
}

static bool hold(kh_answer_reader *r, const char *p, size_t n)
{
    if (r->held_n + n > KH_ANSWER_LINE_MAX) return false;
    if (r->held_n + n + 1 > r->held_cap) {
        size_t cap = (r->held_n + n + 1) * 2;
        char *more = realloc(r->held, cap);
        if (more == NULL) return false;
        r->held = more;
        r->held_cap = cap;
    }
    memcpy(r->held + r->held_n, p, n);
    r->held_n += n;
    return true;
}

static bool is_lines(const kh_answer_reader *r) { return strncmp(r->transfer->content_type, "application/x-ndjson", 20) == 0; }
static bool is_document(const kh_answer_reader *r) { return strncmp(r->transfer->content_type, "application/json", 16) == 0; }

bool kh_answer_feed(void *reader, const char *p, size_t n)
{
    kh_answer_reader *r = reader;
    if (is_document(r)) return hold(r, p, n);
    if (!is_lines(r) || !hold(r, p, n)) return false;
    size_t at = 0;
    for (char *newline; (newline = memchr(r->held + at, '\n', r->held_n - at)) != NULL;) {
        size_t line_n = (size_t)(newline - r->held) - at;
        if (!line(r, r->held + at, line_n)) return false;
        at += line_n + 1;
    }
    memmove(r->held, r->held + at, r->held_n - at);
    r->held_n -= at;
    return true;
}

/* document turns {"results":[...],"status":...} into the lines that it could have been. */
static bool document(kh_answer_reader *r)
{
    json_t *all = json_loadb(r->held, r->held_n, JSON_REJECT_DUPLICATES, NULL), *result;
    size_t i;
    bool well = json_is_object(all);
    json_array_foreach(json_object_get(all, "results"), i, result)
    {
        char *text = json_dumps(result, JSON_COMPACT);
        well = well && text != NULL && line(r, text, strlen(text));
        free(text);
    }
    json_t *end = well ? json_object() : NULL;
    if (end != NULL) {
        (void)json_object_set_new(end, "end", json_true());
        (void)json_object_del(all, "results");
        (void)json_object_update(end, all);
        char *text = json_dumps(end, JSON_COMPACT);
        well = text != NULL && line(r, text, strlen(text));
        free(text);
    }
    json_decref(end);
    json_decref(all);
    return well && r->ended;
}

bool kh_answer_finish(kh_answer_reader *r)
{
    if (r->ended) return true;
    if (is_document(r)) return document(r);
    return is_lines(r) && r->held_n > 0 && hold(r, "", 0) && line(r, r->held, r->held_n) && r->ended;
}

void kh_answer_free(kh_answer_reader *r)
{
    kh_row_decoder_free(&r->decoder);
    free(r->held);
    r->held = NULL;
}
