/* import: files of documents into the log, in batches with several in flight (formats/intake.h). */
#include "embed/embed.h"
#include "formats/intake.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { IN_FLIGHT = 6 };

typedef struct import {
    kh_engine *e;
    const kh_input *input;
    uint32_t party; /* who sends the operations; 0: each document's source */
    const kh_result_sink *sink;
    kh_input_source source;
    kh_intake_counts n;
    kh_batch batches[IN_FLIGHT];
} import;

static void on_refused(void *self, const kh_intake_refusal *r)
{
    const import *im = self;
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_text(&b, "file", im->input->name);
    kh_row_number(&b, "line", r->line + im->input->line_offset);
    kh_row_code(&b, r->code);
    kh_row_text(&b, "why", r->why);
    kh_row_number(&b, "byte", r->byte);
    kh_row_text_n(&b, "text", r->raw_n > 0 ? r->raw : "", r->raw_n);
    kh_row_give(&b, "refused", im->sink);
}

static void on_progress(void *self)
{
    const import *im = self;
    if (im->sink->progress != NULL) im->sink->progress(im->sink->ctx, im->input->name, im->source.done, im->input->size);
}

static kh_err add(void *self, uint32_t batch, const kh_op *op) { return kh_batch_add(&((import *)self)->batches[batch], op); }

static kh_err submit(void *self, uint32_t batch)
{
    import *im = self;
    return kh_batch_submit(im->e, &im->batches[batch]);
}

static kh_err settle(void *self, uint32_t batch, kh_intake_receipt *give, void *ctx)
{
    import *im = self;
    kh_batch *b = &im->batches[batch];
    kh_err err = kh_batch_wait(im->e, b);
    for (uint32_t i = 0; i < b->op_cnt && err == KH_OK; i++) give(ctx, i, &b->answers[i].receipt);
    if (err == KH_OK) kh_batch_reset(b);
    return err;
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
        return kh_embed_fail(e, KH_FAILED,
                             "%s is no description of sources; the sources.conf that comes with the product shows one", path);
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
    for (uint32_t i = 0; i < IN_FLIGHT && err == KH_OK; i++) err = kh_batch_init(&im->batches[i]);
    return err;
}

/* let_go: buffers stay lent until the engine has let go of them. *err: the one to tell. */
static void let_go(import *im, uint32_t first, uint32_t under_way, kh_err *err)
{
    for (; under_way > 0; under_way--, first = (first + 1) % IN_FLIGHT) {
        kh_err waited = kh_store_wait(im->e->store, im->batches[first].ticket);
        if (*err == KH_E_CLOSED && waited == KH_E_NOMEM) *err = waited;
    }
}

static kh_err take_in(import *im, kh_reader *reader, bool force)
{
    const kh_intake_out out = {im, IN_FLIGHT, KH_BATCH_OPS, add, submit, settle, on_refused, on_progress};
    uint32_t first, under_way;
    kh_err err = kh_intake_run(reader, im->party, force, &out, &im->n, &first, &under_way);
    if (err != KH_OK) let_go(im, first, under_way, &err);
    return err;
}

static kh_result give_summary(const import *im, const kh_reader *reader)
{
    kh_row_builder b;
    const char *name = im->input->name;
    kh_row_begin(&b);
    kh_row_text(&b, "file", name);
    kh_row_text(&b, "format", kh_format_word(kh_reader_format(reader)));
    kh_row_number(&b, "read", im->n.read);
    kh_row_number(&b, "stored", im->n.stored);
    kh_row_number(&b, "unchanged", im->n.unchanged);
    kh_row_number(&b, "amended", im->n.amended);
    kh_row_number(&b, "revoked", im->n.revoked);
    kh_row_number(&b, "refused", im->n.refused);
    if (im->n.waiting > 0) kh_row_number(&b, "waiting", im->n.waiting);
    if (im->n.warnings > 0) kh_row_number(&b, "warnings", im->n.warnings);
    const char *const *warning = kh_reader_warnings(reader);
    if (warning != NULL && *warning != NULL) kh_row_text(&b, "note", *warning);
    kh_row_give(&b, "import", im->sink);
    if (im->n.refused > 0)
        return kh_embed_fail(im->e, KH_DONE_NOT_OK, "%s: %llu of %llu refused", name, (unsigned long long)im->n.refused,
                             (unsigned long long)im->n.read);
    return im->n.read == 0 ? kh_embed_fail(im->e, KH_DONE_NOT_OK, "%s: nothing in it", name) : KH_DONE;
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
    kh_result result = kh_embed_format(engine, options->format, options->kind, &format, &kind);
    if (result != KH_DONE) return result;
import im = {.e = engine, .input = input, .sink = sink };
    kh_input_source_begin(&im.source, input);
    result = enter(engine, input->size > (256u << 10) ? KH_STREAMING : KH_WRITING, options->source, sink, &feed, &im.party);
    if (result != KH_DONE) return result;
    kh_err err = init(&im);
    if (err == KH_OK) err = kh_reader_open(&im.source.source, format, kind, &feed, &reader);
    if (err == KH_OK) err = take_in(&im, reader, options->force);
    result = err == KH_OK ? give_summary(&im, reader) : kh_embed_environment(engine, err, "import");
    if (reader != NULL) kh_reader_close(reader);
    for (uint32_t i = 0; i < IN_FLIGHT; i++) kh_batch_release(&im.batches[i]);
    return result;
}

kh_result kh_import(kh_engine *engine, const char *file, const kh_import_options *options, const kh_result_sink *sink)
{
    kh_format format;
    kh_kind kind;
    kh_file_input f;
    kh_result result = kh_embed_format(engine, options->format, options->kind, &format, &kind);
    if (result != KH_DONE) return result;
    if (kh_file_input_open(&f, file) != KH_OK)
        return kh_embed_fail(engine, KH_MISUSE, "%s cannot be read: %s", file, strerror(errno));
    result = kh_import_input(engine, &f.input, options, sink);
    kh_file_input_close(&f);
    return result;
}
