/* import: files of documents into the log: read, submit in batches with several in flight, account for every line. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { IN_FLIGHT = 6 };

typedef struct place {
    uint64_t line, byte;
    kh_kind kind;
    bool message;
    char number[32];
} place; /* what a refusal needs to name its line */

typedef struct slot {
    kh_batch batch;
    place *places;
} slot;

typedef struct import {
    kh_engine *e;
    const char *file;
    const kh_result_sink *sink;
    FILE *refusals;
    char refusals_path[1024];
    uint64_t read, stored, unchanged, amended, revoked, refused, waiting, warnings;
    slot slots[IN_FLIGHT];
    uint32_t first, in_flight;
} import;

static void csv_text(FILE *f, const char *text, size_t n)
{
    (void)fputc('"', f);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"') (void)fputc('"', f);
        (void)fputc(text[i], f);
    }
    (void)fputc('"', f);
}

static void refuse(import *im, uint64_t line, uint64_t byte, kh_code code, const char *why, const char *raw, uint32_t raw_n)
{
    im->refused++;
    if (im->refusals == NULL && im->refusals_path[0] != '\0') {
        im->refusals = fopen(im->refusals_path, "w");
        if (im->refusals != NULL) (void)fputs("line,byte,code,name,why,text\n", im->refusals);
        else im->refusals_path[0] = '\0';
    }
    if (im->refusals != NULL) {
        (void)fprintf(im->refusals, "%llu,%llu,%u,%s,", (unsigned long long)line, (unsigned long long)byte, code,
                      kh_code_name(code));
        csv_text(im->refusals, why, strlen(why));
        (void)fputc(',', im->refusals);
        csv_text(im->refusals, raw, raw_n);
        (void)fputc('\n', im->refusals);
    }
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_text(&b, "file", im->file);
    kh_row_number(&b, "line", line);
    kh_row_code(&b, code);
    kh_row_text(&b, "why", why);
    kh_row_give(&b, "refused", im->sink);
}

static const char *why_refused(kh_code code, char *buf, size_t cap, const place *at)
{
    const char *why;
    switch (code) {
    case KH_C_CONFLICT:
        why = "this key is stored with other content (or the owner would change): an amendment of a declaration keeps its owner, "
              "other papers keep theirs";
        break;
    case KH_C_NOT_FOUND:
        why = "the document that this message names is not stored; the message is kept and takes effect when it arrives";
        break;
    case KH_C_BAD_STATE: why = "this status may not follow the stored one"; break;
    case KH_C_CAPACITY:
        why = "a stated bound is reached (see `kanhe rule list`: capacity_documents; or a link group of 64)";
        break;
    case KH_C_NOT_AUTHORISED: why = "this source may not register documents"; break;
    case KH_C_FROZEN: why = "this source is frozen"; break;
    default: why = "the ledger refused it"; break;
    }
    (void)snprintf(buf, cap, "%s %s: %s", kh_kind_word(at->kind), at->number, why);
    return buf;
}

/* settle waits for the oldest batch and accounts for its operations. */
static kh_err settle(import *im)
{
    slot *s = &im->slots[im->first];
    kh_err err = kh_batch_wait(im->e, &s->batch);
    for (uint32_t i = 0; i < s->batch.op_cnt && err == KH_OK; i++) {
        const kh_receipt *r = &s->batch.answers[i].receipt;
        char why[400];
        if (r->code != KH_C_OK && !kh_code_is_warning(r->code) && r->effect != KH_EFFECT_WAITING) {
            refuse(im, s->places[i].line, s->places[i].byte, r->code, why_refused(r->code, why, sizeof why, &s->places[i]),
                   s->places[i].number, (uint32_t)strlen(s->places[i].number));
            continue;
        }
        switch (r->effect) {
        case KH_EFFECT_STORED: im->stored++; break;
        case KH_EFFECT_AMENDED:
        case KH_EFFECT_STATUS: im->amended++; break;
        case KH_EFFECT_REVOKED: im->revoked++; break;
        case KH_EFFECT_WAITING:
            im->waiting++;
            refuse(im, s->places[i].line, s->places[i].byte, KH_C_NOT_FOUND,
                   why_refused(KH_C_NOT_FOUND, why, sizeof why, &s->places[i]), s->places[i].number,
                   (uint32_t)strlen(s->places[i].number));
            break;
        default: im->unchanged++; break;
        }
        if (r->warning != 0) im->warnings++;
    }
    kh_batch_reset(&s->batch);
    im->first = (im->first + 1) % IN_FLIGHT;
    im->in_flight--;
    return err;
}

/* submit sends the batch being filled; the next one is free when it returns. */
static kh_err submit(import *im)
{
    slot *s = &im->slots[(im->first + im->in_flight) % IN_FLIGHT];
    if (s->batch.op_cnt == 0) return KH_OK;
    kh_err err = kh_batch_submit(im->e, &s->batch);
    if (err != KH_OK) return err;
    im->in_flight++;
    return im->in_flight == IN_FLIGHT ? settle(im) : KH_OK;
}

static kh_err add(import *im, const kh_item *item)
{
    kh_op op = {.type = KH_OP_DOCUMENT, .party = item->document.source, .sequence = item->line, .document = item->document};
    if (item->code == KH_C_CHECK_DIGIT) op.document.flags |= KH_DOCF_CHECK_DIGIT;
    for (;;) {
        slot *s = &im->slots[(im->first + im->in_flight) % IN_FLIGHT];
        kh_err err = kh_batch_add(&s->batch, &op);
        if (err == KH_E_FULL) {
            err = submit(im);
            if (err != KH_OK) return err;
            continue;
        }
        if (err != KH_OK) {
            refuse(im, item->line, item->byte, KH_C_FORMAT, "a text is too long or holds a control character", item->raw,
                   item->raw_n);
            return KH_OK;
        }
        place *at = &s->places[s->batch.op_cnt - 1];
        *at = (place){.line = item->line,
                      .byte = item->byte,
                      .kind = (kh_kind)item->document.kind,
                      .message = item->document.action != KH_DOC_PUT};
        uint32_t n = item->document.number.n < sizeof at->number - 1 ? item->document.number.n : (uint32_t)sizeof at->number - 1;
        memcpy(at->number, item->document.number.p, n);
        at->number[n] = '\0';
        return KH_OK;
    }
}

/* feed_of finds the source's settings and party. */
static kh_result feed_of(kh_engine *e, const char *source, kh_feed *feed)
{
    kh_feed_default(feed);
    if (source == NULL) return KH_DONE;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/sources.conf", e->dir);
    kh_party_view party;
    const kh_ledger *l = kh_store_read_begin(e->store);
    bool known = kh_embed_party(l, source, &party) && (party.role == KH_ROLE_SOURCE || party.role == KH_ROLE_REGULATOR);
    kh_store_read_end(e->store);
    kh_err err = kh_feed_load(path, source, feed);
    if (err == KH_E_NOT_FOUND && known) err = kh_feed_load(path, party.name, feed); /* the party was named by its id */
    if (err == KH_E_FORMAT)
        return kh_embed_fail(e, KH_FAILED, "%s is no description of sources; conf/sources.conf of the product shows one", path);
    bool configured = err == KH_OK;
    if (known) feed->source = party.id;
    if (known || configured) return KH_DONE;
    return kh_embed_fail(e, KH_MISUSE,
                         "there is no source \"%s\": register it (`kanhe party add --role source`) or describe it in %s", source,
                         path);
}

kh_result kh_import(kh_engine *engine, const char *file, const kh_import_options *options, const kh_result_sink *sink)
{
    kh_format format = KH_FORMAT_AUTO;
    kh_kind kind = KH_KIND_ANY;
    if (options->format != NULL && !kh_format_of_word(kh_text_of(options->format), &format))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no format: csv jsonl ubl cii edifact wco decmessage", options->format);
    if (options->kind != NULL && !kh_kind_of_word(kh_text_of(options->kind), &kind))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no kind of document", options->kind);
    kh_file_source source;
    if (kh_file_source_open(&source, file) != KH_OK) return kh_embed_fail(engine, KH_MISUSE, "%s cannot be read", file);
import im = {.e = engine, .file = file, .sink = sink };
    kh_feed feed;
    kh_reader *reader = NULL;
    kh_result result = kh_embed_open(engine, source.size > (256u << 10) ? KH_STREAMING : KH_WRITING);
    if (result == KH_DONE) result = feed_of(engine, options->source, &feed);
    kh_err err = KH_OK;
    for (uint32_t i = 0; i < IN_FLIGHT && result == KH_DONE && err == KH_OK; i++) {
        err = kh_batch_init(&im.slots[i].batch);
        im.slots[i].places = calloc(KH_BATCH_OPS, sizeof *im.slots[i].places);
        if (im.slots[i].places == NULL) err = KH_E_NOMEM;
    }
    if (result == KH_DONE && err == KH_OK) err = kh_reader_open(&source.source, format, kind, &feed, &reader);
    struct stat about;
    if (strcmp(file, "-") != 0 && stat(file, &about) == 0 &&
        S_ISREG(about.st_mode)) { /* beside a pipe or device there is no place */
        (void)snprintf(im.refusals_path, sizeof im.refusals_path, "%s.refused.csv", file);
        if (reader != NULL) (void)remove(im.refusals_path);
    }
    kh_item *item = malloc(sizeof *item);
    if (item == NULL) err = KH_E_NOMEM;
    while (reader != NULL && err == KH_OK && kh_reader_next(reader, item, &err)) {
        im.read++;
        if (options->force) item->document.flags |= KH_DOCF_FORCE;
        if (item->code == KH_C_OK || item->code == KH_C_CHECK_DIGIT) err = add(&im, item);
        else refuse(&im, item->line, item->byte, item->code, item->why, item->raw, item->raw_n);
        if (im.read % 65536 == 0 && sink->progress != NULL) sink->progress(sink->ctx, file, source.done, source.size);
    }
    if (err == KH_OK && reader != NULL) err = submit(&im);
    while (err == KH_OK && im.in_flight > 0) err = settle(&im);
    if (result == KH_DONE && err != KH_OK) {
        while (im.in_flight > 0 && engine->store != NULL) { /* buffers stay lent until the engine has let go of them */
            kh_err waited = kh_store_wait(engine->store, im.slots[im.first].batch.ticket);
            if (err == KH_E_CLOSED && waited == KH_E_NOMEM) err = waited;
            im.first = (im.first + 1) % IN_FLIGHT;
            im.in_flight--;
        }
        result = kh_embed_environment(engine, err, "import");
    }
    if (result == KH_DONE) {
        kh_row_builder b;
        kh_row_begin(&b);
        kh_row_text(&b, "file", file);
        kh_row_text(&b, "format", kh_format_word(kh_reader_format(reader)));
        kh_row_number(&b, "read", im.read);
        kh_row_number(&b, "stored", im.stored);
        kh_row_number(&b, "unchanged", im.unchanged);
        kh_row_number(&b, "amended", im.amended);
        kh_row_number(&b, "revoked", im.revoked);
        kh_row_number(&b, "refused", im.refused);
        if (im.waiting > 0) kh_row_number(&b, "waiting", im.waiting);
        if (im.warnings > 0) kh_row_number(&b, "warnings", im.warnings);
        const char *const *warning = kh_reader_warnings(reader);
        if (warning != NULL && *warning != NULL) kh_row_text(&b, "note", *warning);
        kh_row_give(&b, "import", sink);
        if (im.refused > 0)
            result = kh_embed_fail(engine, KH_DONE_NOT_OK, "%s: %llu of %llu refused%s%s", file, (unsigned long long)im.refused,
                                   (unsigned long long)im.read, im.refusals_path[0] != '\0' ? "; see " : "", im.refusals_path);
        else if (im.read == 0) result = kh_embed_fail(engine, KH_DONE_NOT_OK, "%s: nothing in it", file);
    }
    if (im.refusals != NULL) (void)fclose(im.refusals);
    if (reader != NULL) kh_reader_close(reader);
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        kh_batch_release(&im.slots[i].batch);
        free(im.slots[i].places);
    }
    free(item);
    kh_file_source_close(&source);
    return result;
}

/* ---- show: read without storing ---- */

static void show_item(const kh_item *item, const char *file, const kh_result_sink *sink)
{
    const kh_op_document *d = &item->document;
    kh_row_builder b;
    if (item->code != KH_C_OK && item->code != KH_C_CHECK_DIGIT) {
        kh_row_begin(&b);
        kh_row_text(&b, "file", file);
        kh_row_number(&b, "line", item->line);
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
        if (item->code == KH_C_CHECK_DIGIT) kh_row_text(&b, "warning", "CHECK_DIGIT");
        kh_row_give(&b, "document", sink);
    }
}

kh_result kh_show(kh_engine *engine, const char *file, const char *format_word, const char *kind_word, const kh_result_sink *sink)
{
    kh_format format = KH_FORMAT_AUTO;
    kh_kind kind = KH_KIND_ANY;
    if (format_word != NULL && !kh_format_of_word(kh_text_of(format_word), &format))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no format: csv jsonl ubl cii edifact wco decmessage", format_word);
    if (kind_word != NULL && !kh_kind_of_word(kh_text_of(kind_word), &kind))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no kind of document", kind_word);
    kh_file_source source;
    if (kh_file_source_open(&source, file) != KH_OK) return kh_embed_fail(engine, KH_MISUSE, "%s cannot be read", file);
    kh_feed feed;
    kh_feed_default(&feed);
    kh_reader *reader = NULL;
    kh_item *item = malloc(sizeof *item);
    kh_err err = item != NULL ? kh_reader_open(&source.source, format, kind, &feed, &reader) : KH_E_NOMEM;
    bool refused = false;
    while (err == KH_OK && kh_reader_next(reader, item, &err)) {
        refused = refused || (item->code != KH_C_OK && item->code != KH_C_CHECK_DIGIT);
        show_item(item, file, sink);
    }
    if (reader != NULL) kh_reader_close(reader);
    free(item);
    kh_file_source_close(&source);
    if (err != KH_OK) return kh_embed_environment(engine, err, "read the file");
    return refused ? kh_embed_fail(engine, KH_DONE_NOT_OK, "%s: something in it was refused", file) : KH_DONE;
}
