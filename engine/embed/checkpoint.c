/* checkpoint: a directory's checkpoint into a file, and a directory from such a file. */
#include "crypto/digest.h"
#include "embed/embed.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PATH_SZ 4096u

static kh_err write_file(void *ctx, const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n > 0) {
        ssize_t done = write(*(const int *)ctx, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return errno == ENOSPC ? KH_E_NOSPACE : KH_E_IO;
        at += done;
        n -= (size_t)done;
    }
    return KH_OK;
}

static kh_err read_file(void *ctx, void *p, size_t n, size_t *ret_n)
{
    const kh_input *input = ctx;
    int64_t got = input->read(input->ctx, p, n);
    if (got < 0 || (uint64_t)got > n) return KH_E_IO;
    *ret_n = (size_t)got;
    return KH_OK;
}

static void give_row(const kh_checkpoint *c, const kh_result_sink *sink)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "height", c->number);
    kh_row_time(&b, "time", c->time_ns);
    kh_row_hex(&b, "log_digest", c->log_digest, 32);
    kh_row_hex(&b, "digest", c->chain, 32);
    kh_row_hex(&b, "checkpoint_digest", c->digest, 32);
    kh_row_number(&b, "state_bytes", c->leaves_sz);
    kh_row_number(&b, "journal_bytes", c->blocks_sz);
    kh_row_give(&b, "checkpoint", sink);
}

/* Under another name until all of it is on the disk: a file of this name is a whole checkpoint. */
static kh_err into_file(kh_engine *engine, const char *path, kh_checkpoint *ret)
{
    char part[PATH_SZ];
    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part) return KH_E_ARG;
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return KH_E_IO;
    const kh_checkpoint_sink to = {write_file, &fd};
    kh_err err = kh_store_export(engine->store, 0, &to, ret);
    if (err == KH_OK && fsync(fd) != 0) err = KH_E_IO;
    if (close(fd) != 0 && err == KH_OK) err = KH_E_IO;
    if (err == KH_OK && rename(part, path) != 0) err = KH_E_IO;
    if (err != KH_OK) (void)unlink(part);
    return err;
}

kh_result kh_checkpoint_to(kh_engine *engine, const char *path, const kh_result_sink *sink)
{
    kh_principal who;
    kh_checkpoint c;
    kh_result result = kh_embed_enter(engine, KH_READING, NULL, KH_ASK_DIRECTORY, sink, &who);
    if (result != KH_DONE) return result;
    if (engine->party != 0)
        return kh_embed_fail(engine, KH_MISUSE, "a checkpoint holds every party's business: it is the operator's");
    kh_err err = into_file(engine, path, &c);
    if (err == KH_E_NOT_FOUND)
        return kh_embed_fail(engine, KH_FAILED, "%s has no entry yet: there is nothing to carry", engine->dir);
    if (err == KH_E_DAMAGED)
        return kh_embed_fail(engine, KH_FAILED, "the journals of %s are not whole: `audit` says where", engine->dir);
    if (err == KH_E_IO) return kh_embed_fail(engine, KH_FAILED, "%s cannot be written: %s", path, strerror(errno));
    if (err != KH_OK) return kh_embed_environment(engine, err, "write the checkpoint");
    give_row(&c, sink);
    return KH_DONE;
}

static bool digest_of(const char *text, uint8_t ret[32]) { return text == NULL || kh_hex_read(text, strlen(text), ret, 32); }

static kh_result begin(kh_engine *e, const kh_origin *origin, const uint8_t *secret, const kh_result_sink *sink)
{
    uint8_t chain[32], digest[32];
    kh_file_input file;
    kh_checkpoint c;
    kh_store_options options;
    kh_store_report report = {0};
    if (!digest_of(origin->digest, chain) || !digest_of(origin->checkpoint_digest, digest))
        return kh_embed_fail(e, KH_MISUSE, "a digest is 64 hexadecimal digits, as `audit` prints them");
    if (kh_file_input_open(&file, origin->path) != KH_OK)
        return kh_embed_fail(e, KH_MISUSE, "%s cannot be read: %s", origin->path, strerror(errno));
    kh_embed_options(e, &options);
    const kh_checkpoint_source from = {read_file, &file.input};
    kh_err err = kh_store_begin(&options, e->dir, secret, &from, origin->digest != NULL ? chain : NULL,
                                origin->checkpoint_digest != NULL ? digest : NULL, &c, &report);
    kh_file_input_close(&file);
    if (err == KH_OK) give_row(&c, sink);
    if (err == KH_OK) return KH_DONE;
    if (err == KH_E_DAMAGED || err == KH_E_VERSION)
        return kh_embed_fail(e, KH_FAILED, "%s does not hold at %s: %s; nothing was made of it", origin->path, report.where,
                             report.why);
    return kh_embed_creation_failed(e, err, &report);
}

kh_result kh_create_from(const kh_options *options, const kh_origin *origin, const uint8_t *secret, const kh_result_sink *sink,
                         char *ret_message, size_t cap)
{
    kh_engine *e;
    kh_result result = kh_engine_new(options, &e);
    if (result != KH_DONE) {
        (void)snprintf(ret_message, cap, "out of memory, or the kernel gives no files");
        return KH_FAILED;
    }
    result = begin(e, origin, secret, sink);
    (void)snprintf(ret_message, cap, "%s", kh_message(e));
    kh_engine_close(e);
    return result;
}
