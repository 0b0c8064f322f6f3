/* banks: DIR/outputs/ID.packages: what each bank is given, by height, until it has acknowledged it: {count before, head
 * before, count, head} in the clear, which a restart goes on from, and the sealed parcel. Not synced with each block: what is
 * missing is made again from the store's journal. */
#include "hub/parts.h"
#include <stdio.h>
#include <stdlib.h>

enum { RECORD_HEAD_SZ = KH_PACKAGE_HEAD_SZ, SENT_AT_ONCE = 64 };
#define SENT_AT_ONCE_SZ (8u << 20)
#define AGAIN_BURST_SZ (INT64_C(64) << 20)      /* what a bank may ask for again at once, */
#define AGAIN_A_SECOND_SZ (INT64_C(16) << 20)   /* and then a second */
#define AGAIN_LEAST_SZ (INT64_C(64) << 10)      /* of one answer */
#define PACKAGE_MAX_SZ (63u << 20)              /* its parcel is one message of a link */
#define DROP_FROM_SZ (32u << 20)                /* of a bank's file, before what was acknowledged is taken away, */
#define DROP_EVERY_NS (20 * KH_NS_PER_S / 1000) /* a piece of some MiB */
#define POSTS_SZ (64u << 20)                    /* of what was attested, before that which no bank lacks is taken away */
#define SYNC_EVERY 256u

static kh_err open_file(kh_hub *h, const char *name, const char magic[4], kh_heights **ret)
{
    char path[1024];
    uint64_t at;
    int n = snprintf(path, sizeof path, "%s/outputs/%s", h->options.dir, name);
    if (n < 0 || (size_t)n >= sizeof path) return KH_E_ARG;
    return kh_heights_open(h->options.disk, path, magic, KH_HEIGHTS_SOUND, &at, ret);
}

static kh_err open_bank(kh_hub *h, uint32_t id, kh_heights **ret)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%u.packages", id);
    return open_file(h, name, KH_PACKAGES_MAGIC, ret);
}

/* The place of id, or where it belongs. */
static uint32_t place_of(const kh_banks *b, uint32_t id)
{
    uint32_t at = 0;
    while (at < b->cnt && b->all[at].id < id) at++;
    return at;
}

kh_err kh_bank_of(kh_hub *h, uint32_t id, kh_bank **ret)
{
    kh_banks *b = &h->banks;
    uint32_t at = place_of(b, id);
    if (at < b->cnt && b->all[at].id == id) {
        *ret = &b->all[at];
        return KH_OK;
    }
    kh_heights *file = NULL;
    kh_err err = b->cnt < KH_MEMBERS_MAX ? open_bank(h, id, &file) : KH_E_FULL;
    if (err != KH_OK) return err;
    (void)pthread_mutex_lock(&h->lock); /* kh_hub_outputs_wanted looks, too */
    memmove(b->all + at + 1, b->all + at, (b->cnt - at) * sizeof *b->all);
    b->all[at] = (kh_bank){.id = id, .wanted = UINT64_MAX, .file = file};
    b->cnt++;
    (void)pthread_mutex_unlock(&h->lock);
    *ret = &b->all[at];
    return KH_OK;
}

kh_err kh_bank_keep(kh_hub *h, kh_bank *bank, uint64_t height, const uint8_t box[KH_PUBLIC_SZ], uint64_t count,
                    const uint8_t head[32], const uint8_t *package, size_t n, uint8_t **ret_parcel, size_t *ret_n)
{
    uint8_t record[RECORD_HEAD_SZ];
    static const uint8_t none[KH_PUBLIC_SZ];
    kh_err err = KH_OK;
    *ret_parcel = NULL;
    *ret_n = 0;
    /* Who has no key to seal to is given nothing; nor is one whose outputs of one block no message holds. */
    if (memcmp(box, none, KH_PUBLIC_SZ) != 0 && n <= PACKAGE_MAX_SZ)
        err = kh_parcel_make(h->suite, box, h->options.entropy, h->chain, bank->id, height, package, n, ret_parcel, ret_n);
    if (n > PACKAGE_MAX_SZ) h->options.alert(h->options.ctx, "OUTPUTS_TOO_LARGE", bank->id, height);
    if (err != KH_OK) return err;
    kh_store64(record, bank->count);
    memcpy(record + 8, bank->head, 32);
    kh_store64(record + 40, count);
    memcpy(record + 48, head, 32);
    err = kh_heights_add(bank->file, height, record, sizeof record, *ret_parcel, *ret_n);
    bank->count = count;
    memcpy(bank->head, head, 32);
    return err;
}

/* ---- at the start ---- */

static bool whole_at(kh_hub *h, uint64_t height, kh_err *err)
{
    kh_kept_member *members = NULL;
    uint32_t cnt = 0;
    *err = kh_kept_members(h->options.kept, height, &members, &cnt);
    bool whole = *err == KH_OK;
    for (uint32_t i = 0; i < cnt && whole && *err == KH_OK; i++) {
        kh_bank *bank;
        uint8_t *p = NULL;
        size_t n = 0;
        uint64_t found = 0;
        if (members[i].role != KH_MEMBER_BANK || (members[i].flags & KH_MEMBER_EXPELLED) != 0) continue;
        *err = kh_bank_of(h, members[i].id, &bank);
        if (*err == KH_OK) whole = kh_heights_at(bank->file, height, &found, &p, &n) == KH_OK && found == height;
        free(p);
    }
    free(members);
    return whole && *err == KH_OK;
}

/* Banks that were members once have a file, too: their heads must not be taken for new ones, should they come again. */
static void note_name(void *ctx, const char *name)
{
    kh_hub *h = ctx;
    unsigned id;
    char end;
    kh_bank *bank;
    if (sscanf(name, "%u.package%c", &id, &end) != 2 || end != 's' || strstr(name, ".new") != NULL) return;
    kh_err err = kh_bank_of(h, id, &bank);
    (void)err; /* found missing later, where it counts */
}

static kh_err cut(kh_hub *h, uint64_t height)
{
    kh_err err = kh_heights_cut(h->banks.posts, height);
    for (uint32_t i = 0; i < h->banks.cnt && err == KH_OK; i++) {
        kh_bank *bank = &h->banks.all[i];
        uint8_t *p = NULL;
        size_t n = 0;
        uint64_t found;
        err = kh_heights_cut(bank->file, height);
        bank->count = 0;
        memset(bank->head, 0, 32);
        if (err == KH_OK && kh_heights_at(bank->file, height, &found, &p, &n) == KH_OK && n >= RECORD_HEAD_SZ) {
            bank->count = kh_load64(p + 40);
            memcpy(bank->head, p + 48, 32);
        }
        free(p);
    }
    return err;
}

kh_err kh_banks_sync(kh_hub *h)
{
    kh_err err = kh_heights_sync(h->banks.posts);
    for (uint32_t i = 0; i < h->banks.cnt && err == KH_OK; i++) err = kh_heights_sync(h->banks.all[i].file);
    return err;
}

kh_err kh_banks_cut(kh_hub *h, uint64_t height)
{
    kh_err err = cut(h, height);
    return err == KH_OK ? kh_banks_sync(h) : err;
}

kh_err kh_banks_open(kh_hub *h, uint64_t *ret_height)
{
    char path[1024];
    const kh_disk *d = h->options.disk;
    int n = snprintf(path, sizeof path, "%s/outputs", h->options.dir);
    kh_err err = n > 0 && (size_t)n < sizeof path ? d->make_dir(d->self, path) : KH_E_ARG;
    if (err == KH_E_EXISTS) err = KH_OK;
    h->banks.all = calloc(KH_MEMBERS_MAX + 1, sizeof *h->banks.all);
    if (err == KH_OK && h->banks.all == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) err = open_file(h, "posts", KH_POSTS_MAGIC, &h->banks.posts);
    if (err == KH_OK) err = d->list(d->self, path, note_name, h);
    uint64_t height = err == KH_OK ? kh_heights_newest(h->banks.posts) : 0;
    while (err == KH_OK && height != 0 && !whole_at(h, height, &err)) {
        uint8_t *p = NULL;
        size_t size;
        if (err == KH_E_NOT_FOUND) err = KH_OK; /* the order was cut below this height: it comes again */
        uint64_t below = height - 1;
        height = 0;
        if (err == KH_OK && kh_heights_at(h->banks.posts, below, &height, &p, &size) == KH_OK) free(p);
    }
    if (err == KH_OK) err = cut(h, height);
    if (err == KH_OK) *ret_height = height;
    return err;
}

void kh_banks_close(kh_hub *h)
{
    for (uint32_t i = 0; i < h->banks.cnt; i++) kh_heights_close(h->banks.all[i].file);
    free(h->banks.all);
    kh_heights_close(h->banks.posts);
}

/* ---- DIR/outputs/differs: this hub's state is not the other hubs' ---- */

static kh_err open_differs(kh_hub *h, int flags, kh_file **ret)
{
    char path[1024];
    int n = snprintf(path, sizeof path, "%s/outputs/differs", h->options.dir);
    return n > 0 && (size_t)n < sizeof path ? h->options.disk->open(h->options.disk->self, path, flags, ret) : KH_E_ARG;
}

kh_err kh_differs_note(kh_hub *h, uint64_t height)
{
    char path[1024];
    uint8_t bytes[8];
    kh_file *f = NULL;
    const kh_disk *d = h->options.disk;
    kh_err err = open_differs(h, KH_OPEN_WRITE | KH_OPEN_CREATE, &f);
    kh_store64(bytes, height);
    if (err != KH_OK) return err;
    err = d->write(d->self, f, 0, bytes, sizeof bytes);
    if (err == KH_OK) err = d->sync(d->self, f);
    d->close(d->self, f);
    (void)snprintf(path, sizeof path, "%s/outputs", h->options.dir);
    return err == KH_OK ? d->sync_dir(d->self, path) : err;
}

kh_err kh_differs(kh_hub *h)
{
    kh_file *f = NULL;
    kh_err err = open_differs(h, KH_OPEN_READ, &f);
    if (err == KH_OK) h->options.disk->close(h->options.disk->self, f);
    return err == KH_E_NOT_FOUND ? KH_OK : err == KH_OK ? KH_E_CLOSED : err;
}

/* ---- what they ask for ---- */

void kh_hub_outputs_wanted(kh_hub *h, uint32_t id, uint64_t above)
{
    kh_banks *b = &h->banks;
    (void)pthread_mutex_lock(&h->lock);
    uint32_t at = place_of(b, id);
    if (at < b->cnt && b->all[at].id == id) b->all[at].wanted = above;
    h->nudged = true;
    (void)pthread_cond_broadcast(&h->work);
    (void)pthread_mutex_unlock(&h->lock);
}

/* A bank whose node began anew has forgotten what was attested: a package without it is of no use. */
static void attest_again(kh_hub *h, const kh_bank *bank, uint64_t height)
{
    uint8_t *p = NULL;
    size_t n = 0;
    uint64_t found = 0;
    if (kh_heights_at(h->banks.posts, height, &found, &p, &n) == KH_OK && found == height && n == KH_POST_SZ) {
        uint32_t losses = kh_load32(p + 96);
        kh_err err = losses == KH_LOSSES_UNSAID || !kh_given_may_say(h, height, p, 0)
                         ? KH_OK
                         : kh_node_attest_again(h->options.node, bank->id, height, p, p + 32, p + 64, kh_attest_flags(losses, 0));
        (void)err; /* the bank asks again */
    }
    free(p);
}

static size_t send_above(kh_hub *h, const kh_bank *bank, uint64_t above)
{
    size_t sent = 0;
    for (uint32_t i = 0; i < SENT_AT_ONCE && sent < SENT_AT_ONCE_SZ; i++) {
        uint8_t *p = NULL;
        size_t n = 0;
        if (kh_heights_after(bank->file, above, &above, &p, &n) != KH_OK) break;
        if (above > h->given.height && !kh_given_sure(h)) {
            free(p);
            break;
        }
        if (n > RECORD_HEAD_SZ) h->options.send(h->options.ctx, bank->id, KH_MSG_OUTPUTS, p + RECORD_HEAD_SZ, n - RECORD_HEAD_SZ);
        sent += n;
        free(p);
        attest_again(h, bank, above);
    }
    return sent;
}

/* What stood in the file as of the lowest checkpoint whose state is to be made yet stays: the state goes on from it. */
static kh_err below_states(kh_hub *h, kh_heights *file, uint64_t *upto)
{
    uint8_t *p = NULL;
    size_t n;
    uint64_t least = kh_checkpoints_least(h), stays = 0;
    kh_err err = kh_heights_at(file, least, &stays, &p, &n);
    free(p);
    if (err != KH_OK && err != KH_E_NOT_FOUND) return err;
    *upto = kh_min64(*upto, err == KH_OK ? stays - 1 : least);
    return KH_OK;
}

/* What a bank has acknowledged goes from its file once that is half of it: as much is written anew as goes. The newest record
 * stays: a restart goes on from it. */
static void drop_acked(kh_hub *h, kh_bank *bank)
{
    uint64_t from = h->options.packages_sz != 0 ? h->options.packages_sz : DROP_FROM_SZ, newest = kh_heights_newest(bank->file);
    uint64_t bytes = kh_heights_bytes(bank->file), upto = kh_min64(bank->acked, newest - SYNC_EVERY), going = 0;
    if (bytes < from || newest <= SYNC_EVERY || bank->acked == 0 || kh_heights_drops(bank->file)) return;
    kh_err err = below_states(h, bank->file, &upto);
    if (err == KH_OK) err = kh_heights_bytes_upto(bank->file, upto, &going);
    if (err == KH_OK && going >= bytes / 2) err = kh_heights_drop_begin(bank->file, upto);
    bank->drops_upto = upto;
    bank->acked = 0;
    (void)err; /* it stays longer */
}

/* What stays is there after a power cut, too, before the rest goes: posts are synced, and the new file. */
static kh_err drop_end(kh_hub *h, const kh_bank *bank)
{
    uint64_t upto = bank->drops_upto;
    if (pthread_mutex_trylock(&h->dropping) != 0) return KH_OK; /* it is being written into a state: later */
    kh_err err = below_states(h, bank->file, &upto);
    if (err == KH_OK && upto < bank->drops_upto) kh_heights_drop_stop(bank->file);
    if (err == KH_OK) err = kh_heights_sync(h->banks.posts);
    if (err == KH_OK) err = kh_heights_drop_end(bank->file);
    (void)pthread_mutex_unlock(&h->dropping);
    return err;
}

/* A piece of one bank's now and then: banks' receipts wait for this thread. */
static void drop_step(kh_hub *h)
{
    uint64_t now = kh_hub_clock_ns(CLOCK_MONOTONIC), left = 0;
    if (now - h->banks.dropped_at_ns < DROP_EVERY_NS) return;
    for (uint32_t i = 0; i < h->banks.cnt; i++) {
        kh_bank *bank = &h->banks.all[i];
        if (!kh_heights_drops(bank->file)) continue;
        kh_err err = kh_heights_drop_step(bank->file, &left);
        if (err == KH_OK && left == 0) err = drop_end(h, bank);
        (void)err; /* it stays longer */
        h->banks.dropped_at_ns = now;
        return;
    }
}

/* Who asks for more than its share waits, with the newest of its questions. */
static bool may_ask(kh_bank *bank)
{
    uint64_t now = kh_hub_clock_ns(CLOCK_MONOTONIC), passed_ms = (now - bank->left_at_ns) / 1000000;
    if (passed_ms > 1000 * (uint64_t)(AGAIN_BURST_SZ / AGAIN_A_SECOND_SZ)) { /* all of it is there again */
        bank->left = AGAIN_BURST_SZ;
        bank->left_at_ns = now;
    } else {
        bank->left += (int64_t)passed_ms * (AGAIN_A_SECOND_SZ / 1000);
        if (bank->left > AGAIN_BURST_SZ) bank->left = AGAIN_BURST_SZ;
        bank->left_at_ns += passed_ms * 1000000;
    }
    return bank->left > 0;
}

/* What no member lacks goes, but for the newest half: a package without what was attested of it is of no use to its bank. Until
   each has told what it has, all stays. */
static void drop_posts(kh_hub *h)
{
    kh_banks *b = &h->banks;
    uint64_t bound = h->options.posts_sz != 0 ? h->options.posts_sz : POSTS_SZ, newest = kh_heights_newest(b->posts);
    uint64_t keep = bound / 2 / (KH_POST_SZ + KH_HEIGHTS_HEAD_SZ), upto = newest > keep ? newest - keep : 0, going = 0;
    if (kh_heights_bytes(b->posts) <= bound) return;
    for (uint32_t i = 0; i < b->cnt; i++) /* who is no member any more holds nothing up */
        if (kh_heights_newest(b->all[i].file) == newest) upto = kh_min64(upto, b->all[i].told);
    if (pthread_mutex_trylock(&h->dropping) != 0) return;
    kh_err err = below_states(h, b->posts, &upto);
    if (err == KH_OK) err = kh_heights_bytes_upto(b->posts, upto, &going);
    if (err == KH_OK && going >= bound / 4) err = kh_heights_drop(b->posts, upto);
    (void)pthread_mutex_unlock(&h->dropping);
    (void)err; /* they stay longer */
}

void kh_banks_answer(kh_hub *h)
{
    for (uint32_t i = 0; i < h->banks.cnt; i++) {
        kh_bank *bank = &h->banks.all[i];
        (void)pthread_mutex_lock(&h->lock);
        uint64_t above = bank->wanted;
        bool answers = above != UINT64_MAX && may_ask(bank);
        if (answers) {
            bank->wanted = UINT64_MAX;
            bank->acked = bank->told = above;
        }
        (void)pthread_mutex_unlock(&h->lock);
        if (!answers) continue;
        int64_t sent = (int64_t)send_above(h, bank, above);
        bank->left -= sent > AGAIN_LEAST_SZ ? sent : AGAIN_LEAST_SZ;
        drop_acked(h, bank);
    }
    drop_step(h);
    drop_posts(h);
}
