/* fuzz_checkpoint: any bytes as a checkpoint that a directory is made from, on the simulated disk: 4 bytes, how many of the body
 * are leaves, then the body; all digests and checksums that a giver can make are made right. Nothing may crash; of what is
 * refused nothing is left, and what is taken can be opened, passes the audit, and has that very checkpoint. */
#include "../unit/checkpoint_forge.h"
#include "sim_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t now(void *self)
{
    (void)self;
    return UINT64_MAX / 2;
}

static kh_err fill(void *self, void *p, size_t n)
{
    (void)self;
    memset(p, 7, n);
    return KH_OK;
}

static void count(void *ctx, const char *name)
{
    (void)name;
    ++*(uint32_t *)ctx;
}

/* Number and time are those of the head's leaf, the first. */
static void head_of(kh_checkpoint *head, const forge_bytes *body)
{
    if (head->leaves_sz < 32) return;
    head->number = kh_load64(body->p + 16);
    head->time_ns = kh_load64(body->p + 24);
}

static void taken(const kh_store_options *options, const forge_bytes *stream)
{
    kh_store *s;
    kh_store_report report;
    kh_audit_result audit;
    kh_checkpoint c;
    forge_bytes again = {0};
    const kh_checkpoint_sink to = {forge_write, &again};
    KH_ASSERT(kh_store_audit(options, "d", NULL, NULL, &audit) == KH_OK && audit.ok);
    KH_ASSERT(kh_store_open(options, "d", &report, &s) == KH_OK);
    KH_ASSERT(kh_store_export(s, 0, &to, &c) == KH_OK);
    KH_ASSERT(again.n == stream->n && memcmp(again.p, stream->p, again.n) == 0);
    kh_store_close(s);
    free(again.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) return 0;
    sim_disk *sd = sim_disk_new(1);
    kh_disk disk = sim_disk_table(sd);
    kh_clock clock = {now, now, NULL};
    kh_entropy entropy = {fill, NULL};
    const kh_store_options options = {
        .clock = &clock, .disk = &disk, .entropy = &entropy, .inline_engine = true, .private_disk = true, .accept_time = true};
    kh_store_report report;
    kh_checkpoint head = {0}, c;
    forge_bytes body = {0}, stream = {0};
    if (forge_write(&body, data + 4, size - 4) != KH_OK) return 0;
    head.leaves_sz = kh_min64(kh_load32(data), body.n);
    head.blocks_sz = body.n - head.leaves_sz;
    head_of(&head, &body);
    forge_state(&head, &body);
    forge_journals(&head, &body);
    forge_close(&head, &body, &stream);
    const kh_checkpoint_source from = {forge_read, &stream};
    kh_err err = kh_store_begin(&options, "d", NULL, &from, NULL, NULL, &c, &report);
    if (err == KH_OK) taken(&options, &stream);
    else {
        uint32_t names = 0;
        KH_ASSERT(report.why[0] != '\0');
        kh_err listed = disk.list(disk.self, "d", count, &names);
        KH_ASSERT(listed != KH_OK || names == 0);
    }
    free(body.p);
    free(stream.p);
    sim_disk_free(sd);
    return 0;
}
