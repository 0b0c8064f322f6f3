/* audit: the whole log from nothing into a fresh state, beside whoever writes. What it makes on the way must be what lies on the
 * disk: every journal block byte by byte, every image's digests; and every file's own checksums must hold. Of a directory that
 * begins behind an entry: from that entry's image, whose state must have the checkpoint digest, and the journals through it are
 * vetted. */
#include <stdio.h>
#include <stdlib.h>
#include "store/parts.h"
#include "store/vet.h"

#define IMAGES_MAX 16u

typedef struct audit {
    kh_home home;
    kh_machine m;
    kh_block block;
    kh_sink sink;
    uint8_t chain[32];
    kh_file *blocks, *table;
    uint64_t listed, block_at; /* rows in the table; where the next block must begin */
    kh_manifest *images;
    uint32_t image_cnt;
    uint64_t upto, newest_image;
    void (*progress)(void *ctx, uint64_t done, uint64_t of);
    void *progress_ctx;
    kh_store_report *report;
} audit;

static void collect(void *self, const kh_outcome *outcome) { kh_block_append(self, outcome); }

static const kh_sink *before(void *ctx, const kh_entry *entry)
{
    audit *a = ctx;
    kh_block_begin(&a->block, entry);
    a->sink = (kh_sink){collect, &a->block};
    return &a->sink;
}

static kh_err compare_block(audit *a, uint64_t height)
{
    uint8_t *p = NULL, row[KH_TABLE_ROW_SZ];
    size_t n = a->block.size, got = 0;
    char path[KH_PATH_MAX];
    const kh_disk *d = a->home.disk;
    kh_err err = d->read(d->self, a->table, (height - 1) * KH_TABLE_ROW_SZ, row, sizeof row, &got);
    if (err != KH_OK) return err;
    if (got != sizeof row || kh_load64(row) != a->block_at || kh_load64(row + 8) != n) {
        kh_say(a->report, kh_home_path(&a->home, "journal/table", path),
               "byte %llu: the place of height %llu is not what the log gives",
               (unsigned long long)((height - 1) * KH_TABLE_ROW_SZ), (unsigned long long)height);
        return KH_E_DAMAGED;
    }
    if ((p = malloc(n)) == NULL) return KH_E_NOMEM;
    err = d->read(d->self, a->blocks, a->block_at, p, n, &got);
    size_t at = 0;
    while (err == KH_OK && at < got && p[at] == a->block.bytes[at]) at++;
    free(p);
    if (err == KH_OK && at != n) {
        kh_say(a->report, kh_home_path(&a->home, "journal/blocks", path),
               "byte %llu: the outcomes of height %llu are not what the log gives", (unsigned long long)(a->block_at + at),
               (unsigned long long)height);
        err = KH_E_DAMAGED;
    }
    a->block_at += n;
    return err;
}

static kh_err compare_image(audit *a, const kh_manifest *image, const kh_entry *entry)
{
    char path[KH_PATH_MAX];
    const char *what = NULL;
    if (memcmp(image->log_digest, entry->digest, 32) != 0) what = "byte 32: the log's digest at this height is another";
    else if (memcmp(image->chain, a->chain, 32) != 0) what = "byte 64: the outcome chain at this height is another";
    else if (image->ledger_check != kh_ledger_check(a->m.ledger)) what = "byte 96: the state at this height is another";
    else if (image->time_ns != entry->time_ns) what = "byte 24: the time of this height is another";
    if (what == NULL) return KH_OK;
    kh_say(a->report, kh_image_path(&a->home, image->height, path), "%s", what);
    return KH_E_DAMAGED;
}

static kh_err after(void *ctx, const kh_entry *entry)
{
    audit *a = ctx;
    kh_err err = kh_block_end(&a->block);
    if (err != KH_OK) return err;
    kh_block_seal(&a->block, a->chain);
    if (entry->height <= a->listed) err = compare_block(a, entry->height);
    for (uint32_t i = 0; i < a->image_cnt && err == KH_OK; i++)
        if (a->images[i].height == entry->height) err = compare_image(a, &a->images[i], entry);
    if (err == KH_OK && a->progress != NULL && entry->height % 64 == 0) a->progress(a->progress_ctx, entry->height, a->upto);
    return err;
}

/* The journals as they are now; those of a live writer go on growing, so what lies above `upto` is not looked at. */
static kh_err open_journal(audit *a)
{
    char path[KH_PATH_MAX];
    const kh_disk *d = a->home.disk;
    uint64_t size = 0;
    kh_err err = d->open(d->self, kh_home_path(&a->home, "journal/blocks", path), KH_OPEN_READ, &a->blocks);
    if (err == KH_OK) err = d->open(d->self, kh_home_path(&a->home, "journal/table", path), KH_OPEN_READ, &a->table);
    if (err == KH_OK) err = d->size(d->self, a->table, &size);
    a->listed = kh_min64(size / KH_TABLE_ROW_SZ, a->upto);
    if (err == KH_E_NOT_FOUND) { /* never written, or gone: only an image says that they must be there */
        a->listed = 0;
        err = KH_OK;
    }
    if (err == KH_OK && a->listed < a->newest_image) {
        kh_say(a->report, path, "byte %llu: the journals end at height %llu, before the newest image", (unsigned long long)size,
               (unsigned long long)a->listed);
        err = KH_E_DAMAGED;
    }
    return err;
}

static kh_err check_images(audit *a)
{
    uint64_t heights[IMAGES_MAX];
    uint32_t n = 0;
    kh_err err = kh_image_heights(&a->home, heights, IMAGES_MAX, &n);
    if (err == KH_OK && n != 0 && (a->images = calloc(n, sizeof *a->images)) == NULL) err = KH_E_NOMEM;
    for (uint32_t i = 0; i < n && err == KH_OK; i++) {
        err = kh_image_check(&a->home, heights[i], &a->images[a->image_cnt], NULL);
        if (err == KH_E_NOT_FOUND) { /* replaced by a newer one meanwhile */
            err = KH_OK;
            continue;
        }
        if (err != KH_OK) err = kh_image_check(&a->home, heights[i], &a->images[a->image_cnt], a->report);
        if (err == KH_OK) a->newest_image = kh_max64(a->newest_image, a->images[a->image_cnt++].height);
    }
    return err;
}

static uint64_t word_of_head(const kh_home *home)
{
    kh_head head;
    uint64_t upto = 0;
    if (kh_head_open(home, true, &head) != KH_OK) return 0;
    if (!kh_head_known(&head, &upto)) upto = 0;
    kh_head_close(&head);
    return upto;
}

/* Where a directory begins: the state of the first image, and the journals through it. */
static kh_err vet_start(audit *a)
{
    char path[KH_PATH_MAX];
    uint8_t digest[32];
    const kh_start *start = &a->home.start;
    kh_vet v;
    kh_err err = kh_machine_checkpoint_digest(a->m.ledger, digest);
    if (err != KH_OK) return err;
    if (memcmp(digest, start->checkpoint, 32) != 0) {
        kh_say(a->report, kh_image_path(&a->home, start->number, path),
               "the state has not the checkpoint digest that the directory begins with");
        return KH_E_DAMAGED;
    }
    err = a->blocks != NULL && a->table != NULL ? kh_vet_begin(&v, a->home.secret) : KH_E_NOT_FOUND;
    if (err != KH_OK) return err;
    uint64_t at = 0;
    while (err == KH_OK && v.height < start->number) {
        uint8_t *p;
        size_t n;
        err = kh_journal_block_load(a->home.disk, a->blocks, a->table, v.height + 1, &p, &n, &at);
        if (err == KH_OK) {
            if (at == a->block_at) err = kh_vet_block(&v, p, n);
            else err = KH_E_DAMAGED;
            free(p);
        }
        if (err == KH_OK) a->block_at += n;
        if (err == KH_OK && a->progress != NULL && v.height % 64 == 0) a->progress(a->progress_ctx, v.height, a->upto);
    }
    if (err == KH_OK) err = kh_vet_end(&v, start, a->m.ledger);
    if (err == KH_E_DAMAGED)
        kh_say(a->report, kh_home_path(&a->home, "journal/blocks", path), "byte %llu: %s", (unsigned long long)a->block_at,
               v.why != NULL ? v.why : "no block where the table has one");
    memcpy(a->chain, v.chain, 32);
    kh_vet_free(&v);
    return err;
}

static kh_err replay(audit *a, kh_audit_result *ret)
{
    char path[KH_PATH_MAX];
    kh_log *log = NULL;
    uint64_t ops = 0, bytes;
    const kh_start *start = &a->home.start;
    kh_image_stand stand = {0};
    const kh_replay_each each = {before, after, a};
    kh_err err = check_images(a);
    kh_log_open_report r = {.durable_floor = word_of_head(&a->home)};
    if (err == KH_OK) err = kh_home_log(&a->home, true, &r, a->report, &log);
    if (err != KH_OK) return err;
    a->upto = r.durable_floor != 0 ? kh_min64(r.durable_floor, r.height) : r.height;
    if (a->newest_image > a->upto) {
        kh_say(a->report, kh_home_path(&a->home, "log", path), "the log ends at height %llu; an image stands for height %llu",
               (unsigned long long)a->upto, (unsigned long long)a->newest_image);
        err = KH_E_DAMAGED;
    }
    if (err == KH_OK) err = open_journal(a);
    if (err == KH_OK && start->number != 0)
        err = kh_replay_base(&a->home, start->number, false, &a->m, &stand, &bytes, a->report);
    else if (err == KH_OK) {
        err = kh_machine_reserve(&a->m);
        if (err == KH_OK) err = kh_machine_start(&a->m, a->home.secret);
    }
    if (err == KH_OK) kh_index_reclaim_none(a->m.index); /* nobody else reads this state */
    if (err == KH_OK && start->number != 0) err = vet_start(a);
    if (err == KH_OK) err = kh_replay_tail(log, &a->m, &stand, a->upto, &each, &ops, a->report);
    kh_log_close(log);
    if (err != KH_OK) return err;
    const char *broken = kh_ledger_verify_invariants(a->m.ledger);
    if (broken != NULL) {
        kh_say(a->report, a->home.dir, "the state breaks its own rules: %s", broken);
        return KH_E_DAMAGED;
    }
    ret->entries = ret->height = a->upto;
    ret->begins = start->number;
    memcpy(ret->log_digest, stand.log_digest, 32);
    memcpy(ret->digest, a->chain, 32);
    err = kh_machine_content_digest(a->m.ledger, ret->content_digest);
    return err == KH_OK ? kh_machine_checkpoint_digest(a->m.ledger, ret->checkpoint_digest) : err;
}

kh_err kh_store_audit(const kh_store_options *options, const char *dir, void (*progress)(void *ctx, uint64_t done, uint64_t of),
                      void *ctx, kh_audit_result *ret)
{
    kh_store_report report = {0};
    kh_audit_result result = {0};
    audit *a = calloc(1, sizeof *a);
    if (a == NULL) return KH_E_NOMEM;
    a->report = &report;
    a->progress = progress;
    a->progress_ctx = ctx;
    kh_err err = kh_home_load(options, dir, &report, &a->home);
    if (err == KH_OK) err = replay(a, &result);
    kh_machine_release(&a->m);
    free(a->block.bytes);
    free(a->block.offsets);
    free(a->images);
    if (a->blocks != NULL) options->disk->close(options->disk->self, a->blocks);
    if (a->table != NULL) options->disk->close(options->disk->self, a->table);
    free(a);
    /* Damage is what an audit is for: its answer, not its failure. */
    result.ok = err == KH_OK;
    (void)snprintf(result.at, sizeof result.at, "%s", report.where);
    (void)snprintf(result.why, sizeof result.why, "%s", report.why);
    if (err != KH_OK && err != KH_E_DAMAGED && err != KH_E_VERSION) return err;
    *ret = result;
    return KH_OK;
}
