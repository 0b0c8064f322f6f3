/* fuzz_view: what hubs may say to a bank's own view, a quorum of liars included: packages of any outputs, in any order, attested
 * or not, with own batches ordered in between, ticks and restarts. Nothing may crash, heights only rise, what was taken stays,
 * and a restart finds all as it was.
 *
 * Input: steps of one byte each and what they take: see `step`. The node, the kept order and parcels are view_fake.c's. */
#include "../sim/sim_disk.h"
#include "../unit/view_fake.h"
#include "attest/attest.h"
#include "view/view.h"
#include "crypto/digest.h"
#include <stdlib.h>

enum { BANK = 11, HUB = 21, ITEMS_MAX = 40, STEPS_MAX = 200, PACKAGE_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sim_disk *sim;
static kh_disk disk;
static kh_view *view;
static uint64_t height, count; /* of blocks; of outputs that the view has taken */
static uint8_t head[32], digest[32];
static const uint8_t chain[32] = {[0 ... 31] = 0x11}, disk_secret[32] = {0x33};

static kh_err same_bytes(void *self, void *p, size_t n)
{
    static uint8_t turn;
    (void)self;
    memset(p, ++turn, n);
    return KH_OK;
}
static const kh_entropy entropy = {.fill = same_bytes};

static void on_reply(void *ctx, uint64_t at, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    (void)ctx, (void)at, (void)time_ns, (void)receipt, (void)op_index;
}
static void on_alert(void *ctx, const char *word, uint32_t member, uint64_t at)
{
    (void)ctx, (void)at;
    KH_ASSERT(word != NULL && member != 0);
}
static void on_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    (void)ctx, (void)to, (void)p;
    KH_ASSERT(type == KH_MSG_OUTPUTS_FROM && n == 8);
}

static void open_view(void)
{
    char why[200];
    static int box, node, kept;
    const kh_view_options o = {.node = (kh_node *)&node,
                               .kept = (kh_kept *)&kept,
                               .disk = &disk,
                               .entropy = &entropy,
                               .dir = "v",
                               .party = BANK,
                               .suite = KH_SUITE_INTL,
                               .box = (kh_box *)&box,
                               .disk_secret = disk_secret,
                               .inline_work = true,
                               .snapshot_sz = 2000,
                               .alert = on_alert,
                               .send = on_send};
    if (kh_view_open(&o, why, sizeof why, &view) != KH_OK) abort();
}

/* ---- all that can be asked ---- */
static uint64_t sum;
static void mix(const void *p, size_t n) { sum = sum * 31 + kh_xxh3(p, n); }
static void on_lines(void *ctx, const kh_view_financing *f)
{
    (void)ctx;
    mix(f->product, strlen(f->product));
    KH_ASSERT(f->line_cnt <= KH_LINES_MAX);
    for (uint32_t i = 0; i < f->line_cnt; i++) {
        KH_ASSERT(f->lines[i].paper.number_n <= KH_NUMBER_MAX && f->lines[i].paper.issuer_n <= KH_ISSUER_MAX);
        mix(f->lines[i].paper.number, f->lines[i].paper.number_n);
        mix(&f->lines[i].line.amount, sizeof f->lines[i].line.amount);
    }
}
static uint64_t last_id;
static uint32_t ids;
static bool on_each(void *ctx, const kh_view_financing *f)
{
    (void)ctx;
    KH_ASSERT(ids == 0 || f->id > last_id);
    last_id = f->id;
    ids++;
    const uint64_t parts[] = {f->id,         f->amount,  f->repaid,   f->height, f->hold_ns,
                              f->enterprise, f->version, f->currency, f->state};
    mix(parts, sizeof parts);
    return true;
}
static bool on_told(void *ctx, const kh_view_alert *a)
{
    (void)ctx;
    mix(&a->number, sizeof a->number);
    mix(&a->height, sizeof a->height);
    return true;
}
static uint64_t all_of_it(void)
{
    sum = 0;
    ids = 0;
    kh_view_each(view, true, 0, on_each, NULL);
    if (ids > 0) {
        KH_ASSERT(kh_view_find(view, last_id, on_lines, NULL));
        uint64_t at;
        uint32_t item;
        uint8_t *bytes;
        size_t n;
        if (kh_view_proof(view, last_id, &at, &item, &bytes, &n) == KH_OK) {
            kh_package p;
            KH_ASSERT(kh_package_read(bytes, n, chain, &p) == KH_OK && p.height == at && item < p.item_cnt);
            kh_package_free(&p);
            free(bytes);
        }
    }
    kh_view_alerts(view, 0, on_told, NULL);
    return sum;
}

/* ---- steps ---- */
typedef struct input {
    const uint8_t *p;
    size_t n;
} input;
static uint8_t byte(input *in)
{
    if (in->n == 0) return 0;
    in->n--;
    return *in->p++;
}

static void deliver(uint32_t hub, const uint8_t *package, size_t n, uint64_t at)
{
    uint8_t *parcel;
    size_t parcel_n;
    if (kh_parcel_make(KH_SUITE_INTL, NULL, NULL, chain, BANK, at, package, n, &parcel, &parcel_n) != KH_OK) abort();
    kh_view_outputs(view, hub, parcel, parcel_n);
    free(parcel);
}

static void submit(void)
{
    static uint8_t frame[512];
    size_t n = 0;
    uint64_t ticket;
    const kh_store_driver *d = kh_view_driver(view);
    kh_op_line line = {.key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of("220120260123456789"), (kh_text){NULL, 0}),
                       .allocated = KH_AMOUNT_NONE,
                       .total = KH_AMOUNT_NONE};
    kh_op op = {.type = KH_OP_APPLY, .party = BANK};
    op.apply = (kh_op_apply){.id = 1, .enterprise = 77, .currency = 156, .amount = 5000, .line_cnt = 1, .lines = &line};
    if (kh_op_encode(&op, frame, sizeof frame, &n) != KH_OK) abort();
    const kh_store_batch batch = {.ops = frame, .ops_sz = n, .op_cnt = 1, .reply = on_reply};
    if (d->submit(d->self, &batch, false, &ticket) != KH_OK) abort();
}

/* The next block, with an own batch of what was submitted last where there is one. */
static void block(bool with_batch)
{
    kh_kept_block *b = fake_block(++height);
    if (!with_batch) return;
    submit();
    memset(digest, (int)(0x70 + height), 32);
    b->items[b->item_cnt++] = (kh_kept_item){.kind = KH_ITEM_BATCH, .sender = BANK};
    memcpy(b->items[0].digest, digest, 32);
    const fake_submitted *s = &fake.submitted[fake.submitted_cnt - 1];
    kh_view_ordered(view, digest, height, &s->tag, &s->op_cnt, 1);
}

/* A package for the newest block: {how many 1, each: flags 1 (1 a notice, 2 of the own batch), size 2, payload}. */
static size_t make(input *in, uint8_t *p)
{
    size_t at = 100;
    uint32_t cnt = byte(in) % ITEMS_MAX, index = 0;
    memset(p, 0, at);
    memcpy(p, "KHP1", 4);
    kh_store32(p + 4, BANK);
    kh_store64(p + 8, height);
    kh_store64(p + 48, count);
    memcpy(p + 56, head, 32);
    kh_store32(p + 92, 1);
    kh_store32(p + at, cnt);
    at += 4;
    for (uint32_t i = 0; i < cnt; i++) {
        uint8_t flags = byte(in);
        size_t n = byte(in);
        n = kh_min64(n | (size_t)byte(in) << 8, in->n);
        if (at + 76 + n > PACKAGE_MAX) n = 0;
        if (at + 76 + n > PACKAGE_MAX) break;
        memset(p + at, 0, 76);
        kh_store32(p + at, (flags & 1) != 0 ? KH_OUTPUT_NOTICE : KH_OUTPUT_RECEIPT);
        if ((flags & 3) == 2) {
            memcpy(p + at + 8, digest, 32);
            kh_store32(p + at + 4, index++);
        }
        kh_store32(p + at + 72, (uint32_t)n);
        memcpy(p + at + 76, in->p, n);
        in->p += n;
        in->n -= n;
        at += 76 + n;
    }
    return at;
}

static void attest(const kh_package *p, bool hash)
{
    kh_attestation a = {.height = p->height, .hub = HUB};
    memset(a.app_hash, hash ? (int)p->height : (int)~p->height, 32);
    memcpy(a.outputs_root, p->root, 32);
    kh_view_attested(view, &a);
}

static void package(input *in, uint8_t how)
{
    static uint8_t bytes[PACKAGE_MAX];
    size_t n = make(in, bytes);
    kh_package p;
    if (kh_package_read(bytes, n, chain, &p) != KH_OK) { /* nobody could attest it */
        deliver(HUB, bytes, n, height);
        return;
    }
    if (how == 1) deliver(HUB + 1, bytes, n, height); /* before its statement */
    if (how != 2) attest(&p, how != 3);
    deliver(HUB, bytes, n, height);
    if (how != 2) deliver(HUB, bytes, n, height);
    if (kh_view_height(view) == height && how <= 1) {
        count = p.count;
        memcpy(head, p.head, 32);
    }
    KH_ASSERT(how != 3 || kh_view_height(view) < height); /* another app hash than this node's */
    kh_package_free(&p);
}

static void restart(void) /* packages without outputs are not kept, so its height may be lower until they come again */
{
    uint64_t before = all_of_it(), at = kh_view_height(view);
    kh_view_close(view);
    open_view();
    KH_ASSERT(all_of_it() == before && kh_view_height(view) <= at);
}

static void step(input *in)
{
    static uint8_t any[4096];
    uint8_t op = byte(in);
    uint64_t before = kh_view_height(view);
    switch (op % 8) {
    case 0:
    case 1:
        block(op & 8);
        package(in, op % 8);
        break;
    case 2:
        block(op & 8);
        package(in, op & 16 ? 2 : 3);
        break;
    case 3: kh_view_tick(view); break;
    case 4: { /* any bytes, as a package and as a parcel */
        size_t n = kh_min64(byte(in) * (size_t)16, in->n);
        memcpy(any, in->p, n);
        in->p += n;
        in->n -= n;
        if (op & 8) deliver(HUB, any, n, height);
        else kh_view_outputs(view, HUB, any, n);
        break;
    }
    case 5: restart(); break;
    case 6: block(op & 8); break;
    default:
        fake.attested = byte(in);
        kh_view_tick(view);
        break;
    }
    KH_ASSERT(kh_view_height(view) >= before || op % 8 == 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    fake_reset();
    sim = sim_disk_new(1);
    disk = sim_disk_table(sim);
    height = count = 0;
    memset(head, 0, 32);
    memset(digest, 0, 32);
    open_view();
    for (uint32_t i = 0; i < STEPS_MAX && in.n > 0; i++) step(&in);
    restart();
    kh_view_close(view);
    sim_disk_free(sim);
    return 0;
}
