/* fuzz_join: what a hub that lies may make of the state that another hub begins with: any head, record, posts, packages and
 * checkpoint, their digests made right wherever a liar can make them so; given as it is, or sealed in pieces of which some are
 * not what they should be. Nothing may crash; of what is refused nothing stays, and it is said why; what is taken is whole, has
 * the order that hubs go on from, and takes the old directory's place wherever the power is cut.
 *
 * Input: flags 1, a choice 1, how many bytes of steps 2, the steps (see `step`), how many bytes of the checkpoint's body are
 * leaves 4, the body. */
#include <stdio.h>
#include "../sim/sim_disk.h"
#include "../unit/checkpoint_forge.h"
#include "attest/attest.h"
#include "kept/heights.h"
#include "states/join.h"
#include "states/state_form.h"
#include "states/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEALED = 1, DIFFERS = 2, NO_KEY = 4, FAILS = 8, CUTS = 16 }; /* flags */
enum { HUB = 21, BANK_A = 10, BANK_B = 11, GONE = 12, SOURCE = 30, STEPS_MAX = 64, PIECE = 2048, OVER = 96 };
#define HEIGHT UINT64_C(104)

static const uint8_t chain[32] = {0x11}, app_hash[32] = {0x22}, secret[KH_SECRET_SZ] = {0, 9};
static sim_disk *sim;
static kh_disk disk;
static kh_box *box;
static kh_signer *sign;
static uint8_t flags, choice;

static uint64_t now(void *self) { return (void)self, UINT64_MAX / 2; }
static kh_err fill(void *self, void *p, size_t n)
{
    static uint8_t turn;
    (void)self;
    memset(p, ++turn, n);
    return KH_OK;
}
static const kh_clock clock_of = {.now = now, .monotonic = now};
static const kh_entropy entropy = {.fill = fill};

static kh_store_options store_options(void)
{
    return (kh_store_options){
        .clock = &clock_of, .disk = &disk, .entropy = &entropy, .inline_engine = true, .private_disk = true, .accept_time = true};
}

/* ---- the stream ---- */

typedef struct input {
    const uint8_t *p;
    size_t n;
} input;

static uint32_t number(input *in, size_t n)
{
    uint32_t value = 0;
    for (size_t i = 0; i < n && in->n > 0; i++, in->n--) value |= (uint32_t)*in->p++ << 8 * i;
    return value;
}

static void put(forge_bytes *b, const void *p, size_t n)
{
    if (n != 0) KH_ASSERT(forge_write(b, p, n) == KH_OK);
}

static void put_item(forge_bytes *b, kh_state_item kind, uint64_t height, uint32_t bank, const uint8_t *p, size_t n)
{
    uint8_t head[KH_STATE_ITEM_SZ] = {0};
    kh_store32(head + KH_STATE_ITEM_AT_KIND, kind);
    kh_store32(head + KH_STATE_ITEM_AT_SIZE, (uint32_t)n);
    kh_store64(head + KH_STATE_ITEM_AT_HEIGHT, height);
    kh_store32(head + KH_STATE_ITEM_AT_BANK, bank);
    put(b, head, sizeof head);
    put(b, p, n);
}

typedef struct making {
    forge_bytes stream;
    kh_checkpoint head;             /* of the store's */
    uint8_t shared[32], posted[32]; /* posted: of the checkpoint, as hubs attested it */
    uint64_t count;                 /* of the last package */
    uint32_t bank;
} making;

static void post(const making *m, bool checkpoint, uint8_t ret[KH_POST_SZ])
{
    memset(ret, 0, KH_POST_SZ);
    memcpy(ret, app_hash, 32);
    kh_attest_posted(m->shared, HEIGHT, m->head.chain, checkpoint ? m->head.digest : NULL, ret + 32);
}

static void put_package(making *m, uint32_t bank, uint64_t height, uint8_t more)
{
    uint8_t p[KH_PACKAGE_HEAD_SZ + 8] = {0};
    if (bank != m->bank) m->count = more;
    m->bank = bank;
    kh_store64(p, m->count);
    m->count += more % 8;
    kh_store64(p + 40, m->count);
    put_item(&m->stream, KH_STATE_PACKAGE, height, bank, p, KH_PACKAGE_HEAD_SZ + more % 8u);
}

/* One step of two bytes and what they take. What an honest hub writes is one step; the rest lies. */
static void step(making *m, input *in)
{
    static const uint32_t banks[] = {BANK_A, BANK_B, GONE, SOURCE, 0, 99};
    uint8_t op = (uint8_t)number(in, 1), arg = (uint8_t)number(in, 1), p[KH_CHECKPOINT_SZ];
    size_t n;
    switch (op % 8) {
    case 0:
        post(m, true, p);
        memcpy(p + KH_POST_SZ, m->head.digest, 32);
        kh_store64(p + KH_POST_SZ + 32, m->head.number);
        put_item(&m->stream, KH_STATE_CHECKPOINT, HEIGHT, 0, p, KH_CHECKPOINT_SZ);
        break;
    case 1:
        post(m, false, p);
        p[0] ^= arg; /* of another height: of no use, but its form is right */
        put_item(&m->stream, KH_STATE_POST, HEIGHT - arg % 110u, 0, p, KH_POST_SZ);
        break;
    case 2: put_package(m, banks[arg % 6], HEIGHT - number(in, 1) % 110u, arg / 8); break;
    case 3: put_item(&m->stream, KH_STATE_ITEMS_END, HEIGHT, 0, NULL, 0); break;
    case 4: /* an item of any head */
        n = kh_min64(arg, in->n);
        put_item(&m->stream, (kh_state_item)(op / 8), HEIGHT - number(in, 1), banks[number(in, 1) % 6], in->p,
                 kh_min64(n, in->n));
        break;
    case 5: /* any bytes */
        n = kh_min64(arg, in->n);
        put(&m->stream, in->p, n);
        in->p += n;
        in->n -= n;
        break;
    case 6: /* something in what stands there already */
        if (m->stream.n != 0) m->stream.p[m->stream.n - 1 - (arg | (size_t)op / 8 << 8) % m->stream.n] ^= (uint8_t)number(in, 1);
        break;
    default: /* an honest hub's, whole */
        post(m, true, p);
        memcpy(p + KH_POST_SZ, m->head.digest, 32);
        kh_store64(p + KH_POST_SZ + 32, m->head.number);
        put_item(&m->stream, KH_STATE_CHECKPOINT, HEIGHT, 0, p, KH_CHECKPOINT_SZ);
        post(m, false, p);
        put_item(&m->stream, KH_STATE_POST, HEIGHT, 0, p, KH_POST_SZ);
        put_package(m, BANK_A, HEIGHT, arg);
        put_package(m, BANK_B, HEIGHT, arg);
        put_item(&m->stream, KH_STATE_ITEMS_END, HEIGHT, 0, NULL, 0);
        break;
    }
}

static void put_head(making *m)
{
    uint8_t p[KH_STATE_HEAD_SZ] = KH_STATE_MAGIC;
    kh_store32(p + KH_STATE_AT_EPOCH, 1);
    memcpy(p + KH_STATE_AT_CHAIN, chain, 32);
    kh_store64(p + KH_STATE_AT_HEIGHT, HEIGHT);
    kh_store64(p + KH_STATE_AT_NUMBER, m->head.number);
    memcpy(p + KH_STATE_AT_OUTCOMES, m->head.chain, 32);
    memcpy(p + KH_STATE_AT_DIGEST, m->head.digest, 32);
    put(&m->stream, p, sizeof p);
}

static void make(making *m, input *in)
{
    input steps = {in->p, kh_min64(number(in, 2), in->n)};
    forge_bytes body = {0}, checkpoint = {0};
    steps.p = in->p;
    steps.n = kh_min64(steps.n, in->n);
    in->p += steps.n;
    in->n -= steps.n;
    m->head.leaves_sz = number(in, 4);
    put(&body, in->p, in->n);
    m->head.leaves_sz = kh_min64(m->head.leaves_sz, body.n);
    m->head.blocks_sz = body.n - m->head.leaves_sz;
    if (m->head.leaves_sz >= 32) { /* number and time are those of the head's leaf, the first */
        m->head.number = kh_load64(body.p + 16);
        m->head.time_ns = kh_load64(body.p + 24);
    }
    forge_state(&m->head, &body);
    forge_journals(&m->head, &body);
    forge_close(&m->head, &body, &checkpoint);
    kh_attest_secret(secret, m->shared);
    kh_attest_posted(m->shared, HEIGHT, m->head.chain, m->head.digest, m->posted);
    put_head(m);
    for (uint32_t i = 0; i < STEPS_MAX && steps.n > 0; i++) step(m, &steps);
    put(&m->stream, checkpoint.p, checkpoint.n);
    free(body.p);
    free(checkpoint.p);
}

/* ---- sealed: a file as a node holds it that fetched it, whose maker signed whatever there is ---- */

static void look(void *ctx, kh_states_people *ret) { (void)ctx, memset(ret, 0, sizeof *ret); }
static void on_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    (void)ctx, (void)to, (void)type, (void)p, (void)n;
}
static void on_held(void *ctx, uint64_t height) { (void)ctx, (void)height; }
static void on_alert(void *ctx, const char *word, uint32_t member, uint64_t height)
{
    (void)ctx, (void)word, (void)member, (void)height;
}

static kh_states *open_states(void)
{
    char why[200];
    kh_states *s = NULL;
    kh_states_options o = {.self = HUB,
                           .suite = KH_SUITE_INTL,
                           .sign = sign,
                           .disk = &disk,
                           .dir = "s",
                           .entropy = &entropy,
                           .clock = &clock_of,
                           .look = look,
                           .send = on_send,
                           .held = on_held,
                           .alert = on_alert,
                           .piece_sz = PIECE};
    memcpy(o.chain, chain, sizeof chain);
    KH_ASSERT(kh_states_open(&o, why, sizeof why, &s) == KH_OK);
    return s;
}

typedef enum lie { NO_LIE, LAST, PLACE, EPOCH, EMPTY_END, FEWER, FLIPPED, LIES } lie; /* FLIPPED: no maker's, a rotten disk's */

static bool breaks(lie how) { return how != NO_LIE && how != EMPTY_END; }

static void seal(const kh_states *s, const forge_bytes *stream, lie how)
{
    char path[KH_STATES_PATH_SZ];
    uint8_t group[KH_PUBLIC_SZ], piece[PIECE + OVER];
    kh_file *f = NULL;
    uint32_t cnt = (uint32_t)((stream->n + PIECE - 1) / PIECE), bad = choice / LIES % cnt, made = cnt;
    if (how == EMPTY_END && stream->n % PIECE == 0) made = cnt + 1;
    if (how == FEWER && cnt > 1) made = cnt - 1;
    kh_state_head head = {.height = HEIGHT, .maker = HUB, .epoch = 1, .pieces = made};
    uint8_t(*list)[32] = malloc(made * sizeof *list);
    kh_box_public(box, group);
    KH_ASSERT(list != NULL &&
              disk.open(sim, kh_state_path(s, HEIGHT, ".state", path), KH_OPEN_WRITE | KH_OPEN_CREATE, &f) == KH_OK);
    for (uint32_t i = 0; i < made; i++) {
        size_t at = (size_t)i * PIECE, n = at < stream->n ? kh_min64(PIECE, stream->n - at) : 0;
        bool lies = i == bad, last = i + 1 == made;
        KH_ASSERT(kh_state_seal(s, HEIGHT, lies && how == EPOCH ? 2 : 1, group, lies && how == PLACE ? i + 1 : i,
                                last != (lies && how == LAST), stream->p + (n != 0 ? at : 0), n, piece) == KH_OK);
        kh_sha256(piece, n + OVER, list[i]);
        if (lies && how == FLIPPED) piece[choice % (n + OVER)] ^= 1;
        KH_ASSERT(kh_state_write(s, f, kh_state_piece_at(s, i), piece, n + OVER) == KH_OK);
        if (last) head.last_sz = (uint32_t)(n + OVER);
    }
    kh_sha256(list, made * sizeof *list, head.list);
    KH_ASSERT(kh_state_head_make(s, &head) == KH_OK && kh_state_write(s, f, 0, head.bytes, KH_STATE_SIGNED_SZ) == KH_OK &&
              kh_state_write(s, f, kh_state_list_at(s, &head), list, made * sizeof *list) == KH_OK);
    disk.close(sim, f);
    free(list);
}

static const kh_box *box_of(void *ctx, uint32_t epoch) { return (void)ctx, epoch == 1 ? box : NULL; }

/* ---- joining ---- */

static bool secret_of(void *ctx, uint32_t epoch, uint8_t ret[KH_SECRET_SZ])
{
    (void)ctx;
    memcpy(ret, secret, sizeof secret);
    return epoch == 1 && (flags & NO_KEY) == 0;
}

static bool differs(void *ctx, uint64_t height, const uint8_t *of, bool checkpoint)
{
    (void)ctx;
    return height == HEIGHT - choice % 8u && !checkpoint && of[0] != app_hash[0];
}

static uint64_t reads;
static kh_err read_plain(void *ctx, void *p, size_t n, size_t *ret_n)
{
    if ((flags & FAILS) != 0 && reads++ >= choice) return KH_E_AGAIN;
    return forge_read(ctx, p, n, ret_n);
}
static kh_err read_sealed(void *ctx, void *p, size_t n, size_t *ret_n) { return kh_state_reader_read(ctx, p, n, ret_n); }

static kh_err join(const making *m, const kh_checkpoint_source *from, char *why, size_t cap)
{
    static const kh_kept_member members[] = {{.id = BANK_A, .role = KH_MEMBER_BANK},
                                             {.id = BANK_B, .role = KH_MEMBER_BANK},
                                             {.id = GONE, .role = KH_MEMBER_BANK, .flags = KH_MEMBER_EXPELLED},
                                             {.id = HUB, .role = KH_MEMBER_HUB},
                                             {.id = SOURCE, .role = KH_MEMBER_SOURCE}};
    const kh_store_options store = store_options();
    const kh_join j = {.store = &store,
                       .dir = "d",
                       .suite = KH_SUITE_INTL,
                       .chain = chain,
                       .height = HEIGHT,
                       .epoch = 1,
                       .posted = m->posted,
                       .app_hash = app_hash,
                       .members = members,
                       .member_cnt = 5,
                       .differs = (flags & DIFFERS) != 0 ? differs : NULL,
                       .secret_of = secret_of};
    return kh_join_make(&j, from, why, cap);
}

static kh_err join_sealed(making *m, char *why, size_t cap)
{
    kh_state_of of;
    kh_state_reader *reader = NULL;
    lie how = (lie)(choice % LIES);
    kh_states *s = open_states();
    seal(s, &m->stream, how);
    kh_states_close(s);
    s = open_states();
    KH_ASSERT(kh_states_read(s, HEIGHT, box_of, NULL, &of, &reader) == KH_OK && of.maker == HUB);
    const kh_checkpoint_source from = {read_sealed, reader};
    kh_err err = join(m, &from, why, cap);
    KH_ASSERT(err != KH_OK || !breaks(how) || (how == FEWER && m->stream.n <= PIECE));
    KH_ASSERT(kh_states_holds(s, HEIGHT) == (err != KH_E_DAMAGED));
    kh_state_reader_close(reader);
    kh_states_close(s);
    return err;
}

/* ---- what came of it ---- */

static void count(void *ctx, const char *name) { *(uint32_t *)ctx += strncmp(name, "joined", 6) == 0; }

static uint32_t joined(void)
{
    uint32_t names = 0;
    KH_ASSERT(disk.list(sim, "d", count, &names) == KH_OK);
    return names;
}

static void newest_is(const char *name, const char magic[4])
{
    char path[64];
    uint64_t at;
    kh_heights *h = NULL;
    (void)snprintf(path, sizeof path, "d/outputs/%s", name);
    KH_ASSERT(kh_heights_open(&disk, path, magic, KH_HEIGHTS_SOUND, &at, &h) == KH_OK && kh_heights_newest(h) == HEIGHT);
    kh_heights_close(h);
}

static void taken(void)
{
    bool now_taken = false;
    kh_store *s = NULL;
    kh_store_report report;
    kh_audit_result audit;
    const kh_store_options options = store_options();
    if ((flags & CUTS) != 0) sim_disk_cut_after(sim, choice);
    kh_err err = kh_join_take(&disk, "d", &now_taken);
    if (err != KH_OK) {
        KH_ASSERT(sim_disk_is_cut(sim));
        sim_disk_restart(sim);
        KH_ASSERT(kh_join_take(&disk, "d", &now_taken) == KH_OK);
    }
    KH_ASSERT(joined() == 0);
    newest_is("posts", KH_POSTS_MAGIC);
    newest_is("checkpoints", KH_CHECKPOINTS_MAGIC);
    newest_is("10.packages", KH_PACKAGES_MAGIC);
    newest_is("11.packages", KH_PACKAGES_MAGIC);
    KH_ASSERT(kh_store_audit(&options, "d", NULL, NULL, &audit) == KH_OK && audit.ok);
    KH_ASSERT(kh_store_open(&options, "d", &report, &s) == KH_OK);
    kh_store_close(s);
}

static void prepare(void)
{
    if (box != NULL) return;
    if (kh_box_new(KH_SUITE_INTL, secret, &box) != KH_OK || kh_signer_new(KH_SUITE_INTL, secret, &sign) != KH_OK) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    char why[300] = "";
    making m = {.count = 0};
    prepare();
    flags = (uint8_t)number(&in, 1);
    choice = (uint8_t)number(&in, 1);
    reads = 0;
    make(&m, &in);
    sim = sim_disk_new(1);
    disk = sim_disk_table(sim);
    KH_ASSERT(disk.make_dir(sim, "d") == KH_OK && disk.make_dir(sim, "s") == KH_OK && disk.sync_dir(sim, "") == KH_OK);
    const kh_checkpoint_source from = {read_plain, &m.stream};
    kh_err err = (flags & SEALED) != 0 ? join_sealed(&m, why, sizeof why) : join(&m, &from, why, sizeof why);
    if (err == KH_OK) taken();
    else KH_ASSERT(why[0] != '\0' && joined() == 0);
    KH_ASSERT(err == KH_OK || err == KH_E_FORMAT || (err == KH_E_CLOSED && (flags & NO_KEY) != 0) || err == KH_E_AGAIN ||
              err == KH_E_DAMAGED || err == KH_E_FULL);
    free(m.stream.p);
    sim_disk_free(sim);
    return 0;
}
