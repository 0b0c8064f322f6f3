/* edifact: see edifact.h. Splits the interchange into messages and their segments; edifact_invoice.c says what they mean. */
#include "formats/edifact_inside.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static bool begins(const char *p, size_t n, const char *tag) { return n >= 3 && memcmp(p, tag, 3) == 0; }

static size_t lead(const char *p, size_t n)
{
    size_t at = n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (at < n && is_blank(p[at])) at++;
    return at;
}

bool kh_edifact_detect(const uint8_t *p, size_t n)
{
    if (n == 0) return false;
    size_t at = lead((const char *)p, n);
    const char *s = (const char *)p + at;
    n -= at;
    if (begins(s, n, "UNA")) return n > 9 && (is_blank(s[9]) || s[9] == 'U');
    return n > 4 && (begins(s, n, "UNB") || begins(s, n, "UNH")) && (s[3] == '+' || s[3] == 0x1D);
}

/* The marks where no UNA names them: the usual ones, or those of character set UNOB. */
static kh_edifact_marks usual_marks(const char *s, size_t n)
{
    if (n > 4 && s[3] == 0x1D) return (kh_edifact_marks){0x1F, 0x1D, '\0', 0x1C};
    return (kh_edifact_marks){':', '+', '?', '\''};
}

kh_err kh_edifact_open(const uint8_t *p, size_t n, const kh_feed *feed, kh_edifact **ret)
{
    kh_edifact *e = calloc(1, sizeof *e);
    if (e == NULL) return KH_E_NOMEM;
    e->p = n != 0 ? (const char *)p : "";
    e->n = n;
    e->line = 1;
    if (feed != NULL) e->feed = *feed;
    e->at = lead(e->p, n);
    for (size_t i = 0; i < e->at; i++) e->line += e->p[i] == '\n';
    e->marks = usual_marks(e->p + e->at, n - e->at);
    *ret = e;
    return KH_OK;
}

void kh_edifact_close(kh_edifact *e) { free(e); }

const char *const *kh_edifact_warnings(const kh_edifact *e) { return e->warnings; }

static void warn(kh_edifact *e, enum kh_edifact_warning which, uint64_t said, uint64_t found)
{
    char *text = e->warning_texts[e->warning_cnt];
    unsigned long long s = said, f = found, line = e->line;
    if (e->warned[which]) return;
    e->warned[which] = true;
    if (which == KH_EDIFACT_UNT)
        snprintf(text, sizeof e->warning_texts[0],
                 "The message that ends in line %llu says that it has %llu segments (UNT); it has %llu.", line, s, f);
    else if (which == KH_EDIFACT_UNZ)
        snprintf(text, sizeof e->warning_texts[0], "The interchange says that it has %llu %s (UNZ); it has %llu.", s,
                 e->group_cnt != 0 ? "groups" : "messages", f);
    else snprintf(text, sizeof e->warning_texts[0], "The interchange has no UNZ; it may be cut off after %llu messages.", f);
    e->warnings[e->warning_cnt++] = text;
}

static bool is_line_end(char c) { return c == '\r' || c == '\n'; }

/* Passes over blanks and what fills up the last record of a file (NUL, or the end mark of old systems). */
static void skip_filling(kh_edifact *e)
{
    for (; e->at < e->n; e->at++) {
        char c = e->p[e->at];
        if (!is_blank(c) && c != '\0' && c != 0x1A) return;
        e->line += c == '\n';
    }
}

/* Between interchanges: a UNA names the marks of the next one, without it they are the usual ones again. */
static void read_marks(kh_edifact *e)
{
    const char *s = e->p + e->at;
    size_t n = e->n - e->at;
    if (begins(s, n, "UNB")) e->marks = usual_marks(s, n);
    if (!begins(s, n, "UNA") || n < 9) return;
    e->marks = (kh_edifact_marks){s[3], s[4], s[6] == ' ' ? '\0' : s[6], s[8]};
    e->at += 9;
    skip_filling(e);
}

/* Where the character is that a release character at i releases: behind the line ends that wrap the text there. */
static size_t released(const kh_edifact *e, const char *p, size_t n, size_t i)
{
    for (i++; i < n && is_line_end(p[i]) && !is_line_end(e->marks.terminator);) i++;
    return i;
}

/* The tag of a segment, which a line end may part. */
static void set_tag(const kh_edifact *e, kh_edifact_segment *s)
{
    char tag[4] = "";
    uint32_t n = 0;
    for (size_t i = 0; i < s->n && s->p[i] != e->marks.element && s->p[i] != e->marks.component; i++) {
        if (is_line_end(s->p[i])) continue;
        if (n == 3) return;
        tag[n++] = s->p[i];
    }
    if (n == 3) memcpy(s->tag, tag, sizeof tag);
}

/* The next segment up to its terminator, a released one being none. False at the end; e->cut where that comes within one. */
static bool next_segment(kh_edifact *e, kh_edifact_segment *ret)
{
    skip_filling(e);
    if (!e->open) read_marks(e);
    if (e->at == e->n) return false;
    *ret = (kh_edifact_segment){.p = e->p + e->at, .line = e->line, .byte = e->at};
    for (size_t i = e->at; i < e->n; i++) {
        char c = e->p[i];
        e->line += c == '\n';
        if (c == e->marks.release && c != '\0') {
            size_t to = released(e, e->p, e->n, i);
            while (i < to) e->line += ++i < e->n && e->p[i] == '\n';
        } else if (c == e->marks.terminator) {
            ret->n = i - e->at;
            e->at = i + 1;
            set_tag(e, ret);
            return true;
        }
    }
    e->cut = true;
    e->cut_in = *ret;
    e->cut_in.n = e->n - e->at;
    e->at = e->n;
    return false;
}

uint32_t kh_edifact_value(const kh_edifact *e, const kh_edifact_segment *s, uint32_t element, uint32_t component, char *buf,
                          uint32_t cap)
{
    uint32_t at_element = 0, at_component = 0, n = 0, from = 0;
    for (size_t i = 0; i < s->n; i++) {
        char c = s->p[i];
        if (c == e->marks.release && c != '\0' && released(e, s->p, s->n, i) < s->n) c = s->p[i = released(e, s->p, s->n, i)];
        else if (c == e->marks.element) {
            if (++at_element > element) break;
            at_component = 0;
            continue;
        } else if (c == e->marks.component) {
            at_component++;
            continue;
        }
        bool here = at_element == element && at_component == component;
        if (here && n < cap && !is_line_end(c)) buf[n++] = c; /* some wrap their lines within a segment */
    }
    while (n > 0 && is_blank(buf[n - 1])) n--;
    while (from < n && is_blank(buf[from])) from++;
    memmove(buf, buf + from, n - from);
    return n - from;
}

bool kh_edifact_is(const kh_edifact_segment *s, const char *tag) { return memcmp(s->tag, tag, sizeof s->tag) == 0; }

static uint64_t count_of(const kh_edifact *e, const kh_edifact_segment *s)
{
    char digits[20];
    uint32_t n = kh_edifact_value(e, s, 1, 0, digits, sizeof digits - 1);
    digits[n] = '\0';
    return strtoull(digits, NULL, 10);
}

/* A refused item keeps nothing of what was read but the message's own bytes. */
static bool give_refused(kh_edifact *e, kh_item *item, uint64_t from)
{
    memset(&item->document, 0, sizeof item->document);
    item->document.source = e->feed.source;
    item->contract_text = (kh_text){NULL, 0};
    item->raw = e->p + from;
    item->raw_n = (uint32_t)kh_min64(e->at - from, 4096);
    return true;
}

/* Reads one message, from its UNH on. A UNH or UNZ before its UNT is not its own. */
static bool read_message(kh_edifact *e, const kh_edifact_segment *unh, kh_item *item)
{
    kh_edifact_segment s;
    uint64_t cnt = 1;
    char type[16];
    uint32_t type_n = kh_edifact_value(e, unh, 2, 0, type, sizeof type);
    kh_item_begin(item, unh->line, unh->byte, &e->feed);
    kh_edifact_invoice_begin(&e->invoice);
    e->message_cnt++;
    for (;;) {
        size_t before = e->at;
        uint64_t before_line = e->line;
        bool some = next_segment(e, &s);
        if (!some || kh_edifact_is(&s, "UNZ") || kh_edifact_is(&s, "UNH")) {
            e->cut_said = e->cut;
            if (some) {
                e->at = before;
                e->line = before_line;
            }
            kh_item_refuse(item, &e->texts, KH_C_FORMAT, "The message has no end (UNT): it is cut off; send it again whole.");
            return give_refused(e, item, unh->byte);
        }
        cnt++;
        if (kh_edifact_is(&s, "UNT")) break;
        kh_edifact_invoice_segment(e, &s);
    }
    if (type_n != 6 || memcmp(type, "INVOIC", 6) != 0) {
        kh_item_refuse(item, &e->texts, KH_C_FORMAT, "A message of type %.*s is no invoice (INVOIC).", (int)type_n, type);
        return give_refused(e, item, unh->byte);
    }
    if (count_of(e, &s) != cnt) warn(e, KH_EDIFACT_UNT, count_of(e, &s), cnt);
    return kh_edifact_invoice_item(e, item) || give_refused(e, item, unh->byte);
}

/* A package (UNO to UNP, ISO 9735-8) holds a file of any bytes, no message. UNO says how long it is; some count otherwise, so
   where no UNP stands behind that, the next one ends it. Without any UNP the bytes are read on, and refused. */
static void skip_package(kh_edifact *e, const kh_edifact_segment *uno)
{
    char digits[20];
    const char *from = e->p + e->at, unp[] = {'U', 'N', 'P', e->marks.element};
    uint32_t digit_n = kh_edifact_value(e, uno, 4, 0, digits, sizeof digits - 1);
    size_t left = e->n - e->at;
    digits[digit_n] = '\0';
    size_t length = (size_t)kh_min64(strtoull(digits, NULL, 10), left);
    const char *end = from + length;
    bool *none = &e->no_unp[(uint8_t)e->marks.element];
    if (left - length < sizeof unp || memcmp(end, unp, sizeof unp) != 0) end = *none ? NULL : memmem(from, left, unp, sizeof unp);
    *none = end == NULL;
    if (*none) return;
    for (; from < end; from++) e->line += *from == '\n';
    e->at = (size_t)(end - e->p);
    e->message_cnt++; /* UNZ counts packages too */
}

/* Segments of a message where none began, up to its UNT: what its damaged UNH began is refused as one. */
static bool refuse_headless(kh_edifact *e, const kh_edifact_segment *first, kh_item *item)
{
    kh_edifact_segment s = *first;
    kh_item_begin(item, first->line, first->byte, &e->feed);
    e->message_cnt++;
    while (!kh_edifact_is(&s, "UNT")) {
        size_t before = e->at;
        uint64_t before_line = e->line;
        if (!next_segment(e, &s)) break;
        if (kh_edifact_is(&s, "UNH") || kh_edifact_is(&s, "UNZ") || kh_edifact_is(&s, "UNB")) {
            e->at = before;
            e->line = before_line;
            break;
        }
    }
    kh_item_refuse(item, &e->texts, KH_C_FORMAT,
                   "Segments stand where no message has begun (UNH): send the message again whole.");
    return give_refused(e, item, first->byte);
}

bool kh_edifact_next(kh_edifact *e, kh_item *ret)
{
    kh_edifact_segment s;
    while (!e->ended && next_segment(e, &s)) {
        if (kh_edifact_is(&s, "UNB")) {
            e->charset_n = kh_edifact_value(e, &s, 1, 0, e->charset, sizeof e->charset);
            e->message_cnt = e->group_cnt = 0;
            e->open = true;
        } else if (kh_edifact_is(&s, "UNG")) {
            e->group_cnt++;
        } else if (kh_edifact_is(&s, "UNZ")) {
            uint64_t cnt = e->group_cnt != 0 ? e->group_cnt : e->message_cnt; /* UNZ counts groups where there are some */
            if (count_of(e, &s) != cnt) warn(e, KH_EDIFACT_UNZ, count_of(e, &s), cnt);
            e->open = false;
        } else if (kh_edifact_is(&s, "UNO")) {
            skip_package(e, &s);
        } else if (kh_edifact_is(&s, "UNH")) {
            e->given++;
            return read_message(e, &s, ret);
        } else if (s.tag[0] != 'U') { /* no service segment */
            e->given++;
            return refuse_headless(e, &s, ret);
        }
    }
    if (e->ended) return false;
    e->ended = true;
    if (e->open) warn(e, KH_EDIFACT_NO_UNZ, 0, e->message_cnt);
    if (e->cut && !e->cut_said && !begins(e->cut_in.p, e->cut_in.n, "UNZ")) {
        kh_item_begin(ret, e->cut_in.line, e->cut_in.byte, &e->feed);
        kh_item_refuse(ret, &e->texts, KH_C_FORMAT, "The interchange is cut off within a segment; send it again whole.");
        return give_refused(e, ret, e->cut_in.byte);
    }
    if (e->given > 0) return false;
    kh_item_begin(ret, 1, 0, &e->feed);
    kh_item_refuse(ret, &e->texts, KH_C_FORMAT, "The interchange holds no message.");
    return give_refused(e, ret, 0);
}
