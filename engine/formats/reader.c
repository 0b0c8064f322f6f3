/* reader: the driver: which format a file is in, and one item after another out of it; see formats.h. */
#include "formats/formats.h"
#include "formats/columns.h"
#include "formats/edifact.h"
#include "formats/input.h"
#include "formats/item.h"
#include "formats/lines.h"
#include "formats/rows_open.h"
#include "formats/xml.h"

#include <stdlib.h>

struct kh_reader {
    kh_format format;
    kh_feed feed;
    kh_lines *lines;
    kh_xml *xml;
    kh_edifact *edifact;
    uint8_t *whole;      /* XML and EDIFACT: the file */
    const char *refusal; /* the file as a whole is refused */
    kh_item_texts texts;
    const char *no_warnings[1];
};

static const char *const format_words[KH_FORMAT_CNT] = {"unknown", "csv", "jsonl", "ubl", "cii", "edifact", "wco", "decmessage"};

const char *kh_format_word(kh_format format) { return format_words[(unsigned)format < KH_FORMAT_CNT ? format : KH_FORMAT_AUTO]; }

bool kh_format_of_word(kh_text word, kh_format *ret)
{
    for (int i = KH_FORMAT_CSV; i < KH_FORMAT_CNT; i++) {
        if (!kh_text_equal(word, kh_text_of(format_words[i]))) continue;
        *ret = (kh_format)i;
        return true;
    }
    return false;
}

/* Reads the whole file, which must not be longer than KH_MESSAGE_MAX_SZ; longer: *ret is NULL. */
static kh_err read_whole(kh_input *input, uint8_t **ret, size_t *ret_n)
{
    size_t cap = KH_INPUT_HEAD_SZ, n = 0;
    uint8_t *p = malloc(cap);
    if (p == NULL) return KH_E_NOMEM;
    kh_input_begin_bytes(input);
    for (;;) {
        size_t have;
        const char *from = kh_input_at(input, &have);
        if (have == 0 && !kh_input_more(input)) break;
        from = kh_input_at(input, &have);
        if (n + have > KH_MESSAGE_MAX_SZ) {
            free(p);
            *ret = NULL;
            *ret_n = 0;
            return KH_OK;
        }
        if (n + have > cap) {
            while (n + have > cap) cap *= 2;
            uint8_t *larger = realloc(p, cap);
            if (larger == NULL) {
                free(p);
                return KH_E_NOMEM;
            }
            p = larger;
        }
        memcpy(p + n, from, have);
        n += have;
        kh_input_take(input, have);
    }
    if (kh_input_err(input) != KH_OK) {
        free(p);
        return kh_input_err(input);
    }
    *ret = p;
    *ret_n = n;
    return KH_OK;
}

static kh_err open_whole(kh_reader *r, kh_input *input, bool edifact)
{
    size_t n = 0;
    kh_err err = read_whole(input, &r->whole, &n);
    kh_input_close(input);
    if (err != KH_OK) return err;
    if (r->whole == NULL) {
        r->refusal = "The file is longer than 32 MiB, which is what an XML file or an EDIFACT interchange may have; split it.";
        return KH_OK;
    }
    return edifact ? kh_edifact_open(r->whole, n, &r->feed, &r->edifact) : kh_xml_open(r->whole, n, r->format, &r->feed, &r->xml);
}

static kh_err open_lines(kh_reader *r, kh_input *input, kh_kind kind)
{
    kh_err err = kh_input_begin_text(input);
    if (err == KH_OK && r->format == KH_FORMAT_AUTO) {
        r->format = kh_rows_detect(input, kh_import_columns, KH_COL_IMPORT_CNT);
        err = kh_input_err(input);
        if (err == KH_OK && r->format == KH_FORMAT_AUTO) {
            r->refusal = "The file is in none of the formats that are read: CSV with a header, JSON Lines (an object a line, no "
                         "array), UBL, "
                         "CII, EDIFACT INVOIC, WCO declarations and notifications, DecMessage.";
            kh_input_close(input);
            return KH_OK;
        }
    }
    if (err == KH_OK) return kh_lines_open(input, r->format, kind, &r->feed, &r->lines);
    kh_input_close(input);
    return err;
}

kh_err kh_reader_open(const kh_bytes_source *source, kh_format format, kh_kind kind, const kh_feed *feed, kh_reader **ret)
{
    kh_input *input;
    size_t n;
    if ((unsigned)format >= KH_FORMAT_CNT || (unsigned)kind >= KH_KIND_CNT) return KH_E_ARG;
    kh_err err = kh_input_open(source, &input);
    if (err != KH_OK) return err;
    kh_reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        kh_input_close(input);
        return KH_E_NOMEM;
    }
    r->format = format;
    if (feed != NULL) r->feed = *feed;
    else kh_feed_default(&r->feed);
    const uint8_t *head = kh_input_head(input, &n);
    kh_format found = KH_FORMAT_AUTO;
    bool is_xml = format == KH_FORMAT_UBL || format == KH_FORMAT_CII || format == KH_FORMAT_WCO ||
                  format == KH_FORMAT_DECMESSAGE || (format == KH_FORMAT_AUTO && kh_xml_detect(head, n, &found));
    if (n == 0) {
        r->refusal = "The file is empty.";
        kh_input_close(input);
    } else if (is_xml) err = open_whole(r, input, false);
    else if (format == KH_FORMAT_EDIFACT || (format == KH_FORMAT_AUTO && kh_edifact_detect(head, n))) {
        r->format = KH_FORMAT_EDIFACT;
        err = open_whole(r, input, true);
    } else err = open_lines(r, input, kind);
    if (err != KH_OK) {
        kh_reader_close(r);
        return err;
    }
    if (is_xml && format == KH_FORMAT_AUTO) r->format = found;
    *ret = r;
    return KH_OK;
}

void kh_reader_close(kh_reader *r)
{
    if (r == NULL) return;
    kh_lines_close(r->lines);
    kh_xml_close(r->xml);
    kh_edifact_close(r->edifact);
    free(r->whole);
    free(r);
}

kh_format kh_reader_format(const kh_reader *r)
{
    kh_format seen = r->xml != NULL ? kh_xml_format(r->xml) : KH_FORMAT_AUTO;
    return seen != KH_FORMAT_AUTO ? seen : r->format;
}

const char *const *kh_reader_warnings(const kh_reader *r)
{
    if (r->lines != NULL) return kh_lines_warnings(r->lines);
    return r->edifact != NULL ? kh_edifact_warnings(r->edifact) : r->no_warnings;
}

bool kh_reader_next(kh_reader *r, kh_item *ret, kh_err *ret_err)
{
    if (r->refusal != NULL) {
        kh_item_begin(ret, 1, 0, &r->feed);
        kh_item_refuse(ret, &r->texts, KH_C_FORMAT, "%s", r->refusal);
        r->refusal = NULL;
        return true;
    }
    if (r->lines != NULL) return kh_lines_next(r->lines, ret, ret_err);
    if (r->xml != NULL) return kh_xml_next(r->xml, ret, ret_err);
    return r->edifact != NULL && kh_edifact_next(r->edifact, ret);
}
