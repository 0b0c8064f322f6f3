/* signed_import: a file of documents read here, as `import` on a machine of its own reads it, and sent in bundles that the
 * source, or the regulator, signs. */
#include "client/signing.h"
#include "formats/intake.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct import {
    kh_client *c;
    const char *file;
    const kh_result_sink *sink;
    int fd;
    uint64_t done, size;
    kh_intake_counts n;
    uint8_t *frames;
    size_t frames_n;
    uint32_t op_cnt;
    kh_result failed; /* of what could not be sent; the sentence is the client's */
    kh_intake_receipt *give;
    void *give_ctx;
} import;

static kh_err read_file(void *self, void *p, size_t cap, size_t *ret_n)
{
    import *im = self;
    ssize_t n = read(im->fd, p, cap);
    if (n < 0) return KH_E_IO;
    im->done += (uint64_t)n;
    *ret_n = (size_t)n;
    return KH_OK;
}

static kh_err add(void *self, uint32_t batch, const kh_op *op)
{
    import *im = self;
    size_t n = 0;
    (void)batch;
    kh_err err = kh_op_encode(op, im->frames + im->frames_n, KH_SIGNED_SZ - im->frames_n, &n);
    if (err != KH_OK) return err;
    im->frames_n += n;
    im->op_cnt++;
    return KH_OK;
}

static kh_err submit(void *self, uint32_t batch)
{
    (void)self, (void)batch; /* one at a time: it goes when it is settled */
    return KH_OK;
}

static void on_receipt(void *ctx, uint32_t i, uint64_t height, const kh_receipt *receipt)
{
    const import *im = ctx;
    (void)height;
    im->give(im->give_ctx, i, receipt);
}

static kh_err settle(void *self, uint32_t batch, kh_intake_receipt *give, void *ctx)
{
    import *im = self;
    (void)batch;
    im->give = give;
    im->give_ctx = ctx;
    im->failed = kh_signing_send(im->c, im->frames, im->frames_n, im->op_cnt, on_receipt, im);
    im->frames_n = im->op_cnt = 0;
    return im->failed == KH_DONE ? KH_OK : KH_E_CLOSED;
}

static kh_result_field number(const char *name, uint64_t value)
{
    return (kh_result_field){.name = name, .type = KH_FIELD_NUMBER, .number = value};
}
static kh_result_field text(const char *name, const char *value)
{
    return (kh_result_field){.name = name, .type = KH_FIELD_TEXT, .text = value};
}

static void on_refused(void *self, const kh_intake_refusal *r)
{
    const import *im = self;
    char raw[4097];
    (void)snprintf(raw, sizeof raw, "%.*s", r->raw_n < sizeof raw ? (int)r->raw_n : (int)sizeof raw - 1,
                   r->raw_n > 0 ? r->raw : "");
    const kh_result_field fields[] = {
        text("file", im->file), number("line", r->line), number("code", r->code), text("name", kh_code_name(r->code)),
        text("why", r->why),    number("byte", r->byte), text("text", raw)};
    im->sink->row(im->sink->ctx, &(kh_result_row){"refused", fields, sizeof fields / sizeof fields[0]});
}

static void on_progress(void *self)
{
    const import *im = self;
    if (im->sink->progress != NULL) im->sink->progress(im->sink->ctx, im->file, im->done, im->size);
}

static kh_result give_summary(const import *im, const kh_reader *reader)
{
    kh_result_field fields[12] = {text("file", im->file),
                                  text("format", kh_format_word(kh_reader_format(reader))),
                                  number("read", im->n.read),
                                  number("stored", im->n.stored),
                                  number("unchanged", im->n.unchanged),
                                  number("amended", im->n.amended),
                                  number("revoked", im->n.revoked),
                                  number("refused", im->n.refused)};
    uint32_t n = 8;
    const char *const *warning = kh_reader_warnings(reader);
    if (im->n.waiting > 0) fields[n++] = number("waiting", im->n.waiting);
    if (im->n.warnings > 0) fields[n++] = number("warnings", im->n.warnings);
    if (warning != NULL && *warning != NULL) fields[n++] = text("note", *warning);
    im->sink->row(im->sink->ctx, &(kh_result_row){"import", fields, n});
    if (im->n.refused > 0)
        return kh_client_say(im->c, KH_DONE_NOT_OK, "%s: %llu of %llu refused", im->file, (unsigned long long)im->n.refused,
                             (unsigned long long)im->n.read);
    return im->n.read == 0 ? kh_client_say(im->c, KH_DONE_NOT_OK, "%s: nothing in it", im->file) : KH_DONE;
}

/* ---- how it is asked ---- */

static const char *said(const kh_client_request *q, const char *name)
{
    for (uint32_t i = 0; i < q->query_cnt; i++)
        if (strcmp(q->query[i].name, name) == 0) return q->query[i].value;
    return NULL;
}

/* A source sends its own feed; the regulator anybody's. */
static kh_result feed_of(kh_client *c, const kh_client_request *q, kh_feed *feed)
{
    const struct kh_signing *s = c->signing;
    const char *source = said(q, "source"), *name = source;
    char id[16];
    kh_feed_default(feed);
    if (source != NULL) {
        kh_result result = kh_signed_party(c, source, &feed->source);
        if (result != KH_DONE) return result;
    }
    if (s->role == KH_ROLE_SOURCE) {
        if (source != NULL && feed->source != s->party)
            return kh_client_say(c, KH_DONE_NOT_OK, "NOT_AUTHORISED: a source imports its own feed: leave --source out");
        feed->source = s->party;
        name = s->name;
    }
    if (c->sources == NULL || name == NULL) return KH_DONE;
    (void)snprintf(id, sizeof id, "%u", feed->source);
    uint32_t party = feed->source;
    kh_err err = kh_feed_load(c->sources, name, feed);
    if (err == KH_E_NOT_FOUND) err = kh_feed_load(c->sources, id, feed);
    feed->source = party;
    return err == KH_OK || err == KH_E_NOT_FOUND ? KH_DONE
                                                 : kh_client_say(c, KH_MISUSE, "%s is no description of sources", c->sources);
}

static kh_result open_file(import *im)
{
    im->fd = strcmp(im->file, "-") == 0 ? STDIN_FILENO : open(im->file, O_RDONLY | O_CLOEXEC);
    struct stat about;
    int why = im->fd < 0 || fstat(im->fd, &about) != 0 ? errno : S_ISDIR(about.st_mode) ? EISDIR : 0;
    if (why != 0) {
        if (im->fd > STDIN_FILENO) (void)close(im->fd);
        return kh_client_say(im->c, KH_MISUSE, "%s cannot be read: %s", im->file, strerror(why));
    }
    off_t size = im->fd == STDIN_FILENO ? 0 : lseek(im->fd, 0, SEEK_END);
    im->size = size > 0 ? (uint64_t)size : 0;
    if (im->fd != STDIN_FILENO) (void)lseek(im->fd, 0, SEEK_SET);
    return KH_DONE;
}

static kh_result take_in(import *im, const kh_client_request *q, kh_format format, kh_kind kind, const kh_feed *feed)
{
    const kh_intake_out out = {im, 1, KH_SIGNED_OPS_MAX, add, submit, settle, on_refused, on_progress};
    const kh_bytes_source source = {.read = read_file, .self = im};
    const char *force = said(q, "force");
    uint32_t first, under_way;
    kh_reader *reader = NULL;
    kh_err err = kh_reader_open(&source, format, kind, feed, &reader);
    if (err == KH_OK)
        err = kh_intake_run(reader, im->c->signing->party, force != NULL && strcmp(force, "true") == 0, &out, &im->n, &first,
                            &under_way);
    kh_result result =
        err == KH_OK ? give_summary(im, reader)
        : im->failed != KH_DONE
            ? im->failed
            : kh_client_say(im->c, KH_FAILED, err == KH_E_NOMEM ? "%s: out of memory" : "%s cannot be read to its end", im->file);
    if (reader != NULL) kh_reader_close(reader);
    return result;
}

kh_result kh_signed_import(kh_client *c, const kh_client_request *q, const kh_result_sink *sink)
{
    kh_format format = KH_FORMAT_AUTO;
    kh_kind kind = KH_KIND_ANY;
    kh_feed feed;
    const char *format_word = said(q, "format"), *kind_word = said(q, "kind");
    if (format_word != NULL && !kh_format_of_word(kh_text_of(format_word), &format))
        return kh_client_say(c, KH_MISUSE, "\"%.40s\" is no format: csv jsonl ubl cii edifact wco decmessage", format_word);
    if (kind_word != NULL && !kh_kind_of_word(kh_text_of(kind_word), &kind))
        return kh_client_say(c, KH_MISUSE, "\"%.40s\" is no kind of document", kind_word);
import im = {.c = c, .file = q->file, .sink = sink, .fd = - 1 };
    kh_result result = feed_of(c, q, &feed);
    if (result == KH_DONE) result = open_file(&im);
    if (result != KH_DONE) return result;
    im.frames = malloc(KH_SIGNED_SZ);
    result = im.frames != NULL ? take_in(&im, q, format, kind, &feed) : kh_client_say(c, KH_FAILED, "out of memory");
    free(im.frames);
    if (im.fd != STDIN_FILENO) (void)close(im.fd);
    return result;
}
