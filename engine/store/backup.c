/* backup: a copy of a directory that may be written meanwhile.
 *
 * The newest image first, then the log from its newest segment back, so that whatever a file that was copied says was durable
 * before is copied too. What grows is copied from its end to its beginning, and each piece is read until two readings are alike:
 * then a block that was copied has all that was written before it, as after a power cut at some moment of the copying. DIR/format
 * comes last: without it the copy is no data directory. */
#include <stdio.h>
#include <stdlib.h>
#include "store/parts.h"

#define PIECE_SZ (1u << 20)
#define READINGS_MAX 1000u /* of one piece; a writer passes through it in milliseconds */
#define IMAGE_TRIES 16u    /* a newer one takes its place while it is copied */
#define SEGMENTS_MAX (1u << 20)

typedef struct copying {
    const kh_disk *d;
    kh_home from, to;
    uint8_t *piece, *again;
    void (*progress)(void *ctx, uint64_t done, uint64_t of);
    void *ctx;
    kh_store_report *report;
    kh_backup *ret;
} copying;

static kh_err fail(copying *c, const kh_home *home, const char *name, kh_err err)
{
    char path[KH_PATH_MAX];
    if (err != KH_OK) kh_say(c->report, kh_home_path(home, name, path), "%s", kh_err_text(err));
    return err;
}

/* At most n bytes: the file may have become shorter only where it is not whole. */
static kh_err read_settled(copying *c, kh_file *f, uint64_t at, size_t n, bool grows)
{
    size_t got, same;
    kh_err err = c->d->read(c->d->self, f, at, c->piece, n, &got);
    if (err == KH_OK && got != n) err = KH_E_DAMAGED;
    for (uint32_t k = 0; err == KH_OK && grows; k++) {
        err = c->d->read(c->d->self, f, at, c->again, n, &same);
        if (err == KH_OK && same != n) err = KH_E_DAMAGED;
        if (err != KH_OK || memcmp(c->piece, c->again, n) == 0) break;
        if (k == READINGS_MAX) return KH_E_BUSY;
        uint8_t *swap = c->piece;
        c->piece = c->again;
        c->again = swap;
    }
    return err;
}

static kh_err copy_bytes(copying *c, kh_file *from, kh_file *to, uint64_t size, bool grows)
{
    kh_err err = KH_OK;
    for (uint64_t done = 0, cnt = (size + PIECE_SZ - 1) / PIECE_SZ; err == KH_OK && done < cnt; done++) {
        uint64_t at = (grows ? cnt - 1 - done : done) * PIECE_SZ;
        size_t n = (size_t)kh_min64(PIECE_SZ, size - at);
        err = read_settled(c, from, at, n, grows);
        if (err == KH_OK) err = c->d->write(c->d->self, to, at, c->piece, n);
        c->ret->bytes += err == KH_OK ? n : 0;
        if (c->progress != NULL) c->progress(c->ctx, c->ret->bytes, 0);
    }
    return err;
}

/* KH_E_NOT_FOUND: it is not there, or no more. */
static kh_err copy(copying *c, const char *name, bool grows)
{
    char path[KH_PATH_MAX];
    kh_file *from, *to;
    uint64_t size = 0;
    kh_err err = c->d->open(c->d->self, kh_home_path(&c->from, name, path), KH_OPEN_READ, &from);
    if (err == KH_E_NOT_FOUND) return err;
    if (err == KH_OK) {
        err = c->d->size(c->d->self, from, &size);
        if (err != KH_OK) c->d->close(c->d->self, from);
    }
    if (err != KH_OK) return fail(c, &c->from, name, err);
    err = c->d->open(c->d->self, kh_home_path(&c->to, name, path), KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_EXCLUSIVE, &to);
    if (err == KH_OK) {
        err = copy_bytes(c, from, to, size, grows);
        if (err == KH_OK) err = c->d->sync(c->d->self, to);
        c->d->close(c->d->self, to);
    }
    c->d->close(c->d->self, from);
    c->ret->files += err == KH_OK;
    return fail(c, &c->to, name, err);
}

static kh_err copy_image(copying *c, uint64_t height)
{
    char path[KH_PATH_MAX];
    const char *name = kh_image_path(&c->from, height, path) + strlen(c->from.dir) + 1;
    return copy(c, name, false);
}

/* The newest; and the one that the directory begins with. A directory may have none. */
static kh_err copy_images(copying *c)
{
    uint64_t heights[1];
    uint32_t cnt = 0;
    kh_err err = KH_E_NOT_FOUND;
    for (uint32_t k = 0; k < IMAGE_TRIES && err == KH_E_NOT_FOUND; k++) {
        err = kh_image_heights(&c->from, heights, 1, &cnt);
        if (err == KH_OK && cnt != 0) err = copy_image(c, heights[0]);
    }
    if (err == KH_E_NOT_FOUND) err = fail(c, &c->from, "image", KH_E_BUSY);
    if (err == KH_OK && c->from.start.number != 0 && heights[0] != c->from.start.number)
        err = copy_image(c, c->from.start.number);
    return err;
}

static void note_segment(void *ctx, const char *name)
{
    char *end;
    uint64_t *highest = ctx;
    if (strlen(name) != 20 || strcmp(name + 16, ".wal") != 0) return;
    uint64_t number = strtoull(name, &end, 16);
    if (end == name + 16 && number < SEGMENTS_MAX) *highest = kh_max64(*highest, number + 1);
}

static kh_err copy_log(copying *c)
{
    char path[KH_PATH_MAX], name[32];
    uint64_t cnt = 0;
    kh_err err = c->d->list(c->d->self, kh_home_path(&c->from, "log", path), note_segment, &cnt);
    if (err != KH_OK) return fail(c, &c->from, "log", err);
    for (uint64_t left = cnt; err == KH_OK && left > 0; left--) {
        (void)snprintf(name, sizeof name, "log/%016llx.wal", (unsigned long long)(left - 1));
        err = copy(c, name, left + 1 >= cnt); /* the one before the newest may still have a write under way */
        if (err == KH_E_NOT_FOUND) err = fail(c, &c->from, name, KH_E_DAMAGED);
    }
    return err;
}

/* What a directory without its past has nowhere else. The table names what the blocks have: it is copied before them. */
static kh_err copy_start(copying *c)
{
    if (c->from.start.number == 0) return KH_OK;
    kh_err err = copy(c, "journal/table", true);
    if (err == KH_OK) err = copy(c, "journal/blocks", true);
    return err == KH_E_NOT_FOUND ? fail(c, &c->from, "journal", KH_E_DAMAGED) : err;
}

static kh_err copy_all(copying *c)
{
    kh_err err = copy_images(c);
    if (err == KH_OK) err = copy_start(c);
    if (err == KH_OK) err = copy_log(c);
    if (err != KH_OK) return err;
    /* nobody may have looked anything up, and no source need be described */
    static const char *const others[] = {"lookups/log", "sources.conf"};
    for (size_t i = 0; err == KH_OK && i < sizeof others / sizeof others[0]; i++) {
        err = copy(c, others[i], true);
        if (err == KH_E_NOT_FOUND) err = KH_OK;
    }
    if (err == KH_OK) err = kh_home_sync(&c->to);
    return err == KH_OK ? kh_home_seal(&c->to, c->report) : err;
}

kh_err kh_store_backup(const kh_store_options *options, const char *dir, const char *to,
                       void (*progress)(void *ctx, uint64_t done, uint64_t of), void *ctx, kh_store_report *report,
                       kh_backup *ret)
{
    copying c = {.d = options->disk, .progress = progress, .ctx = ctx, .report = report, .ret = ret};
    *ret = (kh_backup){0};
    kh_err err = kh_home_load(options, dir, report, &c.from);
    if (err == KH_OK) err = kh_home_make(options, to, c.from.secret, report, &c.to);
    if (err != KH_OK) return err;
    memcpy(c.to.id, c.from.id, sizeof c.to.id); /* the same directory, so the same `format` and `start` */
    c.to.start = c.from.start;
    c.piece = malloc(PIECE_SZ);
    c.again = malloc(PIECE_SZ);
    err = c.piece != NULL && c.again != NULL ? copy_all(&c) : KH_E_NOMEM;
    free(c.again);
    free(c.piece);
    if (err == KH_OK) ret->files += 2 + (c.from.start.number != 0); /* secret, format, start */
    return err;
}
