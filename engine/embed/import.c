/* import: files of documents into the log: read, submit in batches with several in flight, account for every line. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

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
    const kh_input *input;
    uint32_t party; /* who sends the operations; 0: each document's source */
    const kh_result_sink *sink;
    uint64_t read, stored, unchanged, amended, revoked, refused, waiting, warnings;
    slot slots[IN_FLIGHT];
    uint32_t first, in_flight;
} import;

static void refuse(import *im, uint64_t line, uint64_t byte, kh_code code, const char *why, const char *raw, uint32_t raw_n)
{
    im->refused++;
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_text(&b, "file", im->input->name);
    kh_row_number(&b, "line", line + im->input->line_offset);
    kh_row_code(&b, code);
    kh_row_text(&b, "why", why);
    kh_row_number(&b, "byte", byte);
    kh_row_text_n(&b, "text", raw_n > 0 ? raw : "", raw_n);
    kh_row_give(&b, "refused", im->sink);
}

/* why_conflict: a credit note that is not stored was refused for its invoice's sake. */
static const char *why_conflict(kh_engine *e, const place *at, const kh_receipt *r)
{
    kh_doc_view doc;
    const kh_ledger *l = kh_store_read_begin(e->store);
    bool stored = kh_ledger_document(l, &r->key, 0, &doc);
    kh_store_read_end(e->store);
    if (at->kind == KH_KIND_CREDIT_NOTE && !stored && r->mismatch == KH_FIELD_AMOUNT)
        return "more would be taken off its invoice than the invoice states: the credit notes of an invoice are together at most "
               "its amount (红字合计不得超过蓝字)";
    if (at->kind == KH_KIND_CREDIT_NOTE && !stored && r->mismatch == KH_FIELD_CURRENCY)
        return "the invoice that it lowers has no amount in this currency";
    if (at->kind == KH_KIND_CREDIT_NOTE && !stored && r->mismatch == KH_FIELD_OWNER)
        return "the invoice that it lowers is another owner's";
    return "this key is stored with other content (or the owner would change): an amendment of a declaration keeps its owner, "
           "other papers keep theirs";
}

static const char *why_refused(kh_engine *e, const kh_receipt *r, char *buf, size_t cap, const place *at)
{
    const char *why;
    switch (r->effect == KH_EFFECT_WAITING ? KH_C_NOT_FOUND : (kh_code)r->code) {
    case KH_C_CONFLICT: why = why_conflict(e, at, r); break;
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
            refuse(im, s->places[i].line, s->places[i].byte, r->code, why_refused(im->e, r, why, sizeof why, &s->places[i]),
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
                   why_refused(im->e, r, why, sizeof why, &s->places[i]), s->places[i].number,
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
    kh_op op = {.type = KH_OP_DOCUMENT,
                .party = im->party != 0 ? im->party : item->document.source,
                .sequence = item->line,
                .document = item->document};
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

/* own_feed: a source imports as itself: by its own section of sources.conf, if there is one. */
static kh_result own_feed(kh_engine *e, const kh_principal *who, const char *source, kh_feed *feed, kh_code *ret_code)
{
    char path[600], id[16];
    kh_party_view named, self;
    kh_feed_default(feed);
    const kh_ledger *l = kh_store_read_begin(e->store);
    bool other = source != NULL && (!kh_embed_party(e, l, who, source, &named) || named.id != who->party);
    bool known = kh_ledger_party(l, who->party, &self);
    kh_store_read_end(e->store);
    if (other || !known) {
        *ret_code = KH_C_NOT_AUTHORISED;
        return KH_DONE;
    }
    (void)snprintf(path, sizeof path, "%s/sources.conf", e->dir);
    (void)snprintf(id, sizeof id, "%u", who->party);
    kh_err err = kh_feed_load(path, self.name, feed);
    if (err == KH_E_NOT_FOUND) err = kh_feed_load(path, id, feed);
    feed->source = who->party;
    return err == KH_E_FORMAT ? kh_embed_fail(e, KH_FAILED, "%s is no description of sources", path) : KH_DONE;
}

/* feed_of finds the source's settings and party. */
static kh_result feed_of(kh_engine *e, const kh_principal *who, const char *source, kh_feed *feed)
{
    kh_feed_default(feed);
    if (source == NULL) return KH_DONE;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/sources.conf", e->dir);
    kh_party_view party;
    const kh_ledger *l = kh_store_read_begin(e->store);
    bool known = kh_embed_party(e, l, who, source, &party) && (party.role == KH_ROLE_SOURCE || party.role == KH_ROLE_REGULATOR);
    kh_store_read_end(e->store);
    kh_err err = kh_feed_load(path, source, feed);
    if (err == KH_E_NOT_FOUND && known) err = kh_feed_load(path, party.name, feed); /* the party was named by its id */
    if (err == KH_E_FORMAT)
        return kh_embed_fail(e, KH_FAILED, "%s is no description of sources; conf/sources.conf of the product shows one", path);
    bool configured = err == KH_OK;
    if (known) feed->source = party.id;
    if (known || configured) return KH_DONE;
    return kh_embed_fail(
        e, KH_MISUSE,
        "there is no source \"%s\": register it (`kanhe party add --role source`) or describe it in DIR/sources.conf", source);
}

static kh_err init(import *im)
{
    kh_err err = KH_OK;
    for (uint32_t i = 0; i < IN_FLIGHT && err == KH_OK; i++) {
        err = kh_batch_init(&im->slots[i].batch);
        im->slots[i].places = calloc(KH_BATCH_OPS, sizeof *im->slots[i].places);
        if (im->slots[i].places == NULL) err = KH_E_NOMEM;
    }
    return err;
}

/* let_go: buffers stay lent until the engine has let go of them. *err: the one to tell. */
static void let_go(import *im, kh_err *err)
{
    while (im->in_flight > 0) {
        kh_err waited = kh_store_wait(im->e->store, im->slots[im->first].batch.ticket);
        if (*err == KH_E_CLOSED && waited == KH_E_NOMEM) *err = waited;
        im->first = (im->first + 1) % IN_FLIGHT;
        im->in_flight--;
    }
}

static void release(import *im)
{
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        kh_batch_release(&im->slots[i].batch);
        free(im->slots[i].places);
    }
}

static kh_err read_all(import *im, kh_reader *reader, const kh_input_source *source, bool force)
{
    kh_err err = KH_OK;
    kh_item *item = malloc(sizeof *item);
    if (item == NULL) return KH_E_NOMEM;
    while (err == KH_OK && kh_reader_next(reader, item, &err)) {
        im->read++;
        if (force) item->document.flags |= KH_DOCF_FORCE;
        if (item->code == KH_C_OK || item->code == KH_C_CHECK_DIGIT) err = add(im, item);
        else refuse(im, item->line, item->byte, item->code, item->why, item->raw, item->raw_n);
        if (im->read % 65536 == 0 && im->sink->progress != NULL)
            im->sink->progress(im->sink->ctx, im->input->name, source->done, im->input->size);
    }
    free(item);
    if (err == KH_OK) err = submit(im);
    while (err == KH_OK && im->in_flight > 0) err = settle(im);
    return err;
}

static kh_result give_summary(const import *im, const kh_reader *reader)
{
    kh_row_builder b;
    const char *name = im->input->name;
    kh_row_begin(&b);
    kh_row_text(&b, "file", name);
    kh_row_text(&b, "format", kh_format_word(kh_reader_format(reader)));
    kh_row_number(&b, "read", im->read);
    kh_row_number(&b, "stored", im->stored);
    kh_row_number(&b, "unchanged", im->unchanged);
    kh_row_number(&b, "amended", im->amended);
    kh_row_number(&b, "revoked", im->revoked);
    kh_row_number(&b, "refused", im->refused);
    if (im->waiting > 0) kh_row_number(&b, "waiting", im->waiting);
    if (im->warnings > 0) kh_row_number(&b, "warnings", im->warnings);
    const char *const *warning = kh_reader_warnings(reader);
    if (warning != NULL && *warning != NULL) kh_row_text(&b, "note", *warning);
    kh_row_give(&b, "import", im->sink);
    if (im->refused > 0)
        return kh_embed_fail(im->e, KH_DONE_NOT_OK, "%s: %llu of %llu refused", name, (unsigned long long)im->refused,
                             (unsigned long long)im->read);
    return im->read == 0 ? kh_embed_fail(im->e, KH_DONE_NOT_OK, "%s: nothing in it", name) : KH_DONE;
}

/* enter: may this handle import, and as whose feed? */
static kh_result enter(kh_engine *e, int mode, const char *source, const kh_result_sink *sink, kh_feed *feed, uint32_t *ret_party)
{
    kh_principal who;
    kh_code code = KH_C_OK;
    kh_result result = kh_embed_enter(e, mode, NULL, KH_DO_IMPORT, sink, &who);
    if (result != KH_DONE) return result;
    *ret_party = who.party;
    if (who.role != KH_ROLE_SOURCE) return feed_of(e, &who, source, feed);
    result = own_feed(e, &who, source, feed, &code);
    return result != KH_DONE || code == KH_C_OK ? result : kh_embed_refuse(e, code, sink);
}

kh_result kh_import_input(kh_engine *engine, const kh_input *input, const kh_import_options *options, const kh_result_sink *sink)
{
    kh_format format = KH_FORMAT_AUTO;
    kh_kind kind = KH_KIND_ANY;
    kh_feed feed;
    kh_reader *reader = NULL;
    kh_input_source source;
    kh_result result = kh_embed_format(engine, options->format, options->kind, &format, &kind);
    if (result != KH_DONE) return result;
    kh_input_source_begin(&source, input);
import im = {.e = engine, .input = input, .sink = sink };
    result = enter(engine, input->size > (256u << 10) ? KH_STREAMING : KH_WRITING, options->source, sink, &feed, &im.party);
    if (result != KH_DONE) return result;
    kh_err err = init(&im);
    if (err == KH_OK) err = kh_reader_open(&source.source, format, kind, &feed, &reader);
    if (err == KH_OK) err = read_all(&im, reader, &source, options->force);
    if (err != KH_OK) {
        let_go(&im, &err);
        result = kh_embed_environment(engine, err, "import");
    } else result = give_summary(&im, reader);
    if (reader != NULL) kh_reader_close(reader);
    release(&im);
    return result;
}

kh_result kh_import(kh_engine *engine, const char *file, const kh_import_options *options, const kh_result_sink *sink)
{
    kh_format format;
    kh_kind kind;
    kh_file_input f;
    kh_result result = kh_embed_format(engine, options->format, options->kind, &format, &kind);
    if (result != KH_DONE) return result;
    if (kh_file_input_open(&f, file) != KH_OK) return kh_embed_fail(engine, KH_MISUSE, "%s cannot be read", file);
    result = kh_import_input(engine, &f.input, options, sink);
    kh_file_input_close(&f);
    return result;
}
