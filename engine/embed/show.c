/* show: a file read as import would, and nothing stored. */
#include "embed/embed.h"
#include <errno.h>
#include <stdlib.h>

kh_result kh_embed_format(kh_engine *e, const char *format, const char *kind, kh_format *ret_format, kh_kind *ret_kind)
{
    *ret_format = KH_FORMAT_AUTO;
    *ret_kind = KH_KIND_ANY;
    if (format != NULL && !kh_format_of_word(kh_text_of(format), ret_format))
        return kh_embed_fail(e, KH_MISUSE, "\"%s\" is no format: csv jsonl ubl cii edifact wco decmessage", format);
    if (kind != NULL && !kh_kind_of_word(kh_text_of(kind), ret_kind))
        return kh_embed_fail(e, KH_MISUSE, "\"%s\" is no kind of document", kind);
    return KH_DONE;
}

static void show_item(const kh_item *item, const kh_input *input, const kh_result_sink *sink)
{
    const kh_op_document *d = &item->document;
    kh_row_builder b;
    if (item->code != KH_C_OK && item->code != KH_C_CHECK_DIGIT) {
        kh_row_begin(&b);
        kh_row_text(&b, "file", input->name);
        kh_row_number(&b, "line", item->line + input->line_offset);
        kh_row_code(&b, item->code);
        kh_row_text(&b, "why", item->why);
        kh_row_give(&b, "refused", sink);
        return;
    }
    static const char *const actions[] = {"", "original", "amendment", "cancellation", "status"};
    for (uint32_t i = 0; i < (d->balance_cnt > 0 ? d->balance_cnt : 1u); i++) {
        char links[2048] = "";
        for (uint32_t j = 0; j < d->ref_cnt; j++) {
            size_t n = strlen(links), m = strlen(item->ref_texts[j]);
            if (n + m + 2 >= sizeof links) break;
            if (n > 0) links[n++] = ' ';
            memcpy(links + n, item->ref_texts[j], m + 1);
        }
        kh_status status =
            d->status != KH_STATUS_NONE || d->action != KH_DOC_PUT ? (kh_status)d->status : kh_status_initial((kh_kind)d->kind);
        kh_row_begin(&b);
        kh_row_text(&b, "kind", kh_kind_word((kh_kind)d->kind));
        kh_row_text_n(&b, "number", d->number.p, d->number.n);
        if (d->issuer.n > 0) kh_row_text_n(&b, "issuer", d->issuer.p, d->issuer.n);
        else kh_row_null(&b, "issuer");
        if (d->owner.n > 0) kh_row_text_n(&b, "owner", d->owner.p, d->owner.n);
        else kh_row_null(&b, "owner");
        kh_row_text(&b, "status", status != KH_STATUS_NONE ? kh_status_word(status) : NULL);
        kh_row_date(&b, "date", d->date);
        kh_row_text(&b, "currency", d->balance_cnt > 0 ? kh_currency_alpha(d->balances[i].currency) : NULL);
        kh_row_amount(&b, "base",
                      d->balance_cnt > 0        ? d->balances[i].base
                      : d->action == KH_DOC_PUT ? 0
                                                : KH_AMOUNT_NONE,
                      d->balance_cnt > 0 ? d->balances[i].currency : 0);
        kh_row_words(&b, "links", links);
        kh_row_text(&b, "action", actions[d->action]);
        if (d->lrn.n > 0) kh_row_text_n(&b, "lrn", d->lrn.p, d->lrn.n);
        if (item->code == KH_C_CHECK_DIGIT || item->odd_owner) kh_row_text(&b, "warning", "CHECK_DIGIT");
        kh_row_give(&b, "document", sink);
    }
}

kh_result kh_show_input(kh_engine *engine, const kh_input *input, const char *format_word, const char *kind_word,
                        const kh_result_sink *sink)
{
    kh_format format;
    kh_kind kind;
    kh_result result = kh_embed_format(engine, format_word, kind_word, &format, &kind);
    if (result != KH_DONE) return result;
    kh_input_source source;
    kh_input_source_begin(&source, input);
    kh_feed feed;
    kh_feed_default(&feed);
    kh_reader *reader = NULL;
    kh_item *item = malloc(sizeof *item);
    kh_err err = item != NULL ? kh_reader_open(&source.source, format, kind, &feed, &reader) : KH_E_NOMEM;
    bool refused = false;
    while (err == KH_OK && kh_reader_next(reader, item, &err)) {
        refused = refused || (item->code != KH_C_OK && item->code != KH_C_CHECK_DIGIT);
        show_item(item, input, sink);
    }
    if (reader != NULL) kh_reader_close(reader);
    free(item);
    if (err != KH_OK) return kh_embed_environment(engine, err, "read the file");
    return refused ? kh_embed_fail(engine, KH_DONE_NOT_OK, "%s: something in it was refused", input->name) : KH_DONE;
}

kh_result kh_show(kh_engine *engine, const char *file, const char *format_word, const char *kind_word, const kh_result_sink *sink)
{
    kh_format format;
    kh_kind kind;
    kh_file_input f;
    kh_result result = kh_embed_format(engine, format_word, kind_word, &format, &kind);
    if (result != KH_DONE) return result;
    if (kh_file_input_open(&f, file) != KH_OK)
        return kh_embed_fail(engine, KH_MISUSE, "%s cannot be read: %s", file, strerror(errno));
    result = kh_show_input(engine, &f.input, format_word, kind_word, sink);
    kh_file_input_close(&f);
    return result;
}
