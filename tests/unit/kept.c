/* kept: blocks and members of the order on disk: found again, cut above what was saved, and never quietly short of it. */
#include <fcntl.h>
#include "kept/heights.h"
#include "hub_fixture.h"

static char why[256];
static void setup(void)
{
    world_begin(false);
    world_close();
}
TestSuite(kept, .init = setup, .fini = world_end);

static kh_err reopen(void)
{
    if (w.kept != NULL) kh_kept_close(w.kept);
    w.kept = NULL;
    return kh_kept_open(&w.disk, w.root, why, sizeof why, &w.kept);
}

static void add_one(uint64_t height, uint32_t items, bool change)
{
    uint16_t codes[2] = {KH_R_OK, KH_R_EXPIRED};
    uint8_t types[2] = {change ? KH_TX_CHANGE : KH_TX_CERTIFICATE, KH_TX_CERTIFICATE}, digests[2][32] = {{1}, {2}}, ops[64];
    kh_order_item all[4] = {0};
    memset(ops, (int)height, sizeof ops);
    for (uint32_t i = 0; i < items; i++) {
        all[i] = (kh_order_item){.kind = KH_ITEM_BATCH, .sender = BANK_A, .incarnation = 3, .size = 77, .sequence = height + i};
        memset(all[i].digest, (int)(height + i), 32);
    }
    if (items > 0) all[0].kind = KH_ITEM_OPS, all[0].ops = ops, all[0].ops_sz = sizeof ops, all[0].op_cnt = 2;
    kh_order_block b = {
        .height = height, .time_ns = height * 1000, .tx_cnt = 2, .codes = codes, .types = types, .item_cnt = items, .items = all};
    b.digests = (const uint8_t(*)[32])digests;
    kh_store64(b.app_hash, height);
    kh_store64(b.previous, height - 1);
    cr_assert(kh_kept_add(w.kept, &b, node.order) == KH_OK);
}

static void save(uint64_t height)
{
    uint8_t saved[100];
    memset(saved, (int)height, sizeof saved);
    cr_assert(kh_kept_save(w.kept, saved, sizeof saved, height) == KH_OK);
}

static void check(uint64_t height)
{
    kh_kept_block *b = NULL;
    cr_assert(kh_kept_at(w.kept, height, &b) == KH_OK && b->height == height && b->time_ns == height * 1000 &&
              kh_load64(b->app_hash) == height);
    uint32_t items = (uint32_t)(height % 5);
    cr_assert(b->tx_cnt == 2 && b->codes[1] == KH_R_EXPIRED && b->digests[1][0] == 2 && b->item_cnt == items);
    if (items > 0)
        cr_assert(b->items[0].kind == KH_ITEM_OPS && b->items[0].ops_sz == 64 && b->items[0].ops[63] == (uint8_t)height);
    if (items > 1) cr_assert(b->items[1].sequence == height + 1 && b->items[1].digest[31] == (uint8_t)(height + 1));
    uint8_t leaf[32], root[32], data[2 + 1 + sizeof b->hubs_value];
    cr_assert(kh_load32(b->hubs_value) == 1 && b->hubs_path_n > 0);
    kh_store16(data, 1);
    data[2] = 'h';
    memcpy(data + 3, b->hubs_value, b->hubs_n);
    kh_merkle_leaf(data, 3 + b->hubs_n, leaf);
    cr_assert(kh_merkle_fold(leaf, b->hubs_index, b->hubs_cnt, (const uint8_t(*)[32])b->hubs_path, b->hubs_path_n, root));
    kh_kept_block_free(b);
}

Test(kept, found_by_height)
{
    kh_kept_block *b = NULL;
    uint8_t *p = NULL;
    size_t n = 1;
    cr_assert(reopen() == KH_OK && kh_kept_saved(w.kept, &p, &n) == KH_OK && p == NULL && n == 0);
    cr_assert(kh_kept_at(w.kept, 1000, &b) == KH_E_NOT_FOUND && kh_kept_after(w.kept, 0, &b) == KH_E_NOT_FOUND);
    for (uint64_t h = 10; h < 1000; h += 3) add_one(h, (uint32_t)(h % 5), false);
    save(1000);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint64_t h = 10; h < 1000; h += 3) check(h);
        cr_assert(kh_kept_at(w.kept, 9, &b) == KH_E_NOT_FOUND && kh_kept_after(w.kept, 997, &b) == KH_E_NOT_FOUND);
        for (uint64_t h = 0; h < 997; h++) {
            cr_assert(kh_kept_after(w.kept, h, &b) == KH_OK);
            cr_assert(b->height == (h < 10 ? 10 : h + 3 - (h - 10) % 3));
            kh_kept_block_free(b);
        }
        cr_assert(kh_kept_at(w.kept, 12, &b) == KH_OK && b->height == 10);
        kh_kept_block_free(b);
        cr_assert(reopen() == KH_OK && kh_kept_saved(w.kept, &p, &n) == KH_OK && n == 100 && p[99] == (uint8_t)1000);
        free(p);
    }
}

Test(kept, what_was_not_saved_comes_again)
{
    kh_kept_block *b = NULL;
    cr_assert(reopen() == KH_OK);
    for (uint64_t h = 1; h <= 20; h++) add_one(h, (uint32_t)(h % 5), false);
    cr_assert(reopen() == KH_OK && kh_kept_at(w.kept, 20, &b) == KH_E_NOT_FOUND); /* nothing was saved */
    for (uint64_t h = 1; h <= 20; h++) {
        add_one(h, (uint32_t)(h % 5), false);
        if (h == 10) save(h);
    }
    cr_assert(reopen() == KH_OK && kh_kept_after(w.kept, 10, &b) == KH_E_NOT_FOUND);
    for (uint64_t h = 11; h <= 20; h++) add_one(h, (uint32_t)(h % 5), false);
    save(20);
    cr_assert(reopen() == KH_OK);
    for (uint64_t h = 1; h <= 20; h++) check(h);
}

Test(kept, saved_while_more_comes)
{
    kh_kept_block *b = NULL;
    cr_assert(reopen() == KH_OK);
    for (uint64_t h = 1; h <= 20; h++) add_one(h, (uint32_t)(h % 5), h == 3 || h == 17);
    save(15); /* as of after block 15: what is above comes again */
    cr_assert(reopen() == KH_OK && kh_kept_after(w.kept, 15, &b) == KH_E_NOT_FOUND);
    for (uint64_t h = 1; h <= 15; h++) check(h);
    for (uint64_t h = 16; h <= 20; h++) add_one(h, (uint32_t)(h % 5), h == 17);
    save(20);
    cr_assert(reopen() == KH_OK);
    for (uint64_t h = 1; h <= 20; h++) check(h);
}

static int open_of(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/order/%s", w.root, name);
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0);
    return fd;
}

Test(kept, damage_is_told)
{
    cr_assert(reopen() == KH_OK);
    for (uint64_t h = 1; h <= 20; h++) add_one(h, (uint32_t)(h % 5), false);
    save(20);
    const char *const names[] = {"blocks", "members", "state"};
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t byte;
        kh_kept_close(w.kept);
        w.kept = NULL;
        int fd = open_of(names[i]);
        off_t size = lseek(fd, 0, SEEK_END);
        cr_assert(ftruncate(fd, size - 1) == 0);
        cr_assert(reopen() == KH_E_DAMAGED && strstr(why, names[i]) != NULL, "%s: %s", names[i], why);
        cr_assert(ftruncate(fd, size) == 0 && pread(fd, &byte, 1, size - 2) == 1);
        close(fd);
        char cmd[512];
        snprintf(cmd, sizeof cmd, "rm -rf %s/order", w.root);
        cr_assert(system(cmd) == 0 && reopen() == KH_OK);
        for (uint64_t h = 1; h <= 20; h++) add_one(h, (uint32_t)(h % 5), false);
        save(20);
    }
    kh_kept_block *b = NULL;
    uint8_t byte = 0;
    int fd = open_of("blocks");
    off_t size = lseek(fd, 0, SEEK_END);
    cr_assert(pread(fd, &byte, 1, size - 5) == 1);
    byte ^= 1;
    cr_assert(pwrite(fd, &byte, 1, size - 5) == 1);
    close(fd);
    cr_assert(reopen() == KH_OK && kh_kept_at(w.kept, 20, &b) == KH_E_DAMAGED);
    check(19);
}

Test(kept, members_as_of_a_height)
{
    kh_kept_member *m = NULL;
    uint32_t cnt = 0;
    cr_assert(reopen() == KH_OK && kh_kept_members(w.kept, 5, &m, &cnt) == KH_E_NOT_FOUND);
    add_one(5, 0, false);
    add_one(6, 0, true);
    add_one(7, 0, false);
    save(7);
    cr_assert(reopen() == KH_OK);
    for (uint64_t h = 5; h < 9; h++) {
        cr_assert(kh_kept_members(w.kept, h, &m, &cnt) == KH_OK && cnt == 5);
        cr_assert(m[1].id == BANK_A && m[1].role == KH_MEMBER_BANK &&
                  memcmp(m[1].sender, w.members[1].sender, KH_PUBLIC_SZ) == 0 &&
                  memcmp(m[4].box, w.members[4].box, KH_PUBLIC_SZ) == 0);
        free(m);
    }
}

Test(kept, records_are_dropped_from_the_front_and_cut_from_the_back)
{
    char path[256];
    uint64_t at, found;
    uint8_t *p = NULL;
    size_t n;
    kh_heights *h = NULL;
    snprintf(path, sizeof path, "%s/records", w.root);
    cr_assert(kh_heights_open(&w.disk, path, "TEST", KH_HEIGHTS_SOUND, &at, &h) == KH_OK);
    for (uint64_t i = 1; i <= 500; i++) cr_assert(kh_heights_add(h, 2 * i, &i, 8, "tail", 4) == KH_OK);
    cr_assert(kh_heights_add(h, 1000, "", 0, "", 0) == KH_E_ARG);
    cr_assert(kh_heights_drop(h, 401) == KH_OK && kh_heights_cut(h, 801) == KH_OK);
    cr_assert(kh_heights_newest(h) == 800 && kh_heights_bytes(h) == 200 * 44);
    cr_assert(kh_heights_add(h, 803, "x", 1, NULL, 0) == KH_OK);
    for (uint32_t round = 0; round < 2; round++) {
        cr_assert(kh_heights_at(h, 401, &found, &p, &n) == KH_E_NOT_FOUND);
        for (uint64_t i = 402; i <= 800; i++) {
            cr_assert(kh_heights_at(h, i, &found, &p, &n) == KH_OK && found == i - i % 2 && n == 12 && kh_load64(p) == i / 2);
            free(p);
        }
        cr_assert(kh_heights_after(h, 0, &found, &p, &n) == KH_OK && found == 402);
        free(p);
        cr_assert(kh_heights_after(h, 800, &found, &p, &n) == KH_OK && found == 803 && n == 1 && p[0] == 'x');
        free(p);
        kh_heights_close(h);
        cr_assert(kh_heights_open(&w.disk, path, "TEST", KH_HEIGHTS_SOUND, &at, &h) == KH_OK);
    }
    kh_heights_close(h);
    cr_assert(truncate(path, 200 * 44 + 32) == 0); /* a torn end is cut; the same where it must be whole is damage */
    cr_assert(kh_heights_open(&w.disk, path, "TEST", 200 * 44 + 32, &at, &h) == KH_E_DAMAGED && at == 200 * 44);
    cr_assert(kh_heights_open(&w.disk, path, "TEST", KH_HEIGHTS_SOUND, &at, &h) == KH_OK && kh_heights_newest(h) == 800);
    kh_heights_close(h);
}

static void has_from(kh_heights *h, uint64_t first, uint64_t last)
{
    uint64_t found;
    uint8_t *p = NULL;
    size_t n;
    cr_assert(kh_heights_at(h, first - 1, &found, &p, &n) == KH_E_NOT_FOUND && kh_heights_newest(h) == last);
    for (uint64_t i = first; i <= last; i++) {
        cr_assert(kh_heights_at(h, i, &found, &p, &n) == KH_OK && found == i && n == 50000 && p[0] == (uint8_t)i);
        free(p);
    }
}

/* What comes meanwhile is there afterwards; until the end, and where it ends before, all is as it was. */
Test(kept, records_are_dropped_piece_by_piece)
{
    char path[256], beside[264];
    static uint8_t bytes[50000];
    uint64_t at, left = 0, last = 0;
    uint32_t steps = 0;
    kh_heights *h = NULL;
    snprintf(path, sizeof path, "%s/pieces", w.root);
    snprintf(beside, sizeof beside, "%s.new", path);
    cr_assert(kh_heights_open(&w.disk, path, "TEST", KH_HEIGHTS_SOUND, &at, &h) == KH_OK);
    while (last < 500) {
        bytes[0] = (uint8_t)++last;
        cr_assert(kh_heights_add(h, last, bytes, sizeof bytes, NULL, 0) == KH_OK);
    }
    cr_assert(kh_heights_drop_begin(h, 0) == KH_OK && !kh_heights_drops(h) && kh_heights_drop_end(h) == KH_OK);
    cr_assert(kh_heights_drop_begin(h, 100) == KH_OK && kh_heights_drops(h));
    do {
        cr_assert(kh_heights_drop_step(h, &left) == KH_OK && ++steps < 500);
        has_from(h, 1, last);
        bytes[0] = (uint8_t)++last;
        cr_assert(kh_heights_add(h, last, bytes, sizeof bytes, NULL, 0) == KH_OK);
    } while (left != 0);
    cr_assert(steps > 5 && access(beside, F_OK) == 0);
    cr_assert(kh_heights_drop_end(h) == KH_OK && !kh_heights_drops(h) && access(beside, F_OK) != 0);
    for (uint32_t round = 0; round < 2; round++) {
        has_from(h, 101, last);
        for (uint32_t i = 0; i < 70; i++) { /* marks go on from those that stayed */
            bytes[0] = (uint8_t)++last;
            cr_assert(kh_heights_add(h, last, bytes, sizeof bytes, NULL, 0) == KH_OK);
        }
        has_from(h, 101, last);
        cr_assert(kh_heights_drop_begin(h, 200) == KH_OK && kh_heights_drop_step(h, &left) == KH_OK);
        if (round == 0) cr_assert(kh_heights_cut(h, last - 1) == KH_OK && !kh_heights_drops(h) && access(beside, F_OK) != 0);
        last -= round == 0;
        kh_heights_close(h);
        cr_assert(access(beside, F_OK) != 0);
        cr_assert(kh_heights_open(&w.disk, path, "TEST", KH_HEIGHTS_SOUND, &at, &h) == KH_OK);
    }
    has_from(h, 101, last);
    cr_assert(kh_heights_drop(h, last) == KH_OK && kh_heights_newest(h) == 0 && kh_heights_bytes(h) == 0);
    cr_assert(kh_heights_add(h, last, bytes, sizeof bytes, NULL, 0) == KH_OK);
    kh_heights_close(h);
}

/* ---- an order that was given ---- */

static uint8_t given_bytes[64];
static void begin_with_given(void) /* as of the world's order: FIRST_HEIGHT - 1, with one app hash */
{
    memset(given_bytes, 7, sizeof given_bytes);
    cr_assert(kh_kept_begin(w.kept, node.order, given_bytes, sizeof given_bytes) == KH_OK);
}

static void begins_there(uint64_t base)
{
    kh_kept_hash hash;
    kh_kept_block *b = NULL;
    kh_kept_member *m = NULL;
    uint32_t cnt = 0;
    uint8_t own[32];
    kh_order_app_hash(node.order, own);
    cr_assert(kh_kept_base(w.kept) == base && kh_kept_at(w.kept, base, &b) == KH_E_NOT_FOUND);
    cr_assert(kh_kept_hash_at(w.kept, base, &hash) == KH_OK && memcmp(hash.app_hash, own, 32) == 0 && hash.height == base);
    cr_assert(!hash.base && hash.time_ns == kh_order_time(node.order));
    cr_assert(kh_kept_hash_at(w.kept, base - 1, &hash) == KH_E_NOT_FOUND); /* older than all that it remembers */
    cr_assert(kh_kept_members(w.kept, base, &m, &cnt) == KH_OK && cnt == 5);
    free(m);
}

Test(kept, begins_with_an_order_that_was_given)
{
    kh_kept_hash hash;
    kh_kept_block *b = NULL;
    uint8_t *p = NULL;
    size_t n = 0;
    const uint64_t base = kh_order_height(node.order);
    cr_assert(reopen() == KH_OK && kh_kept_base(w.kept) == 0 && kh_kept_hash_at(w.kept, 5, &hash) == KH_E_AGAIN);
    begin_with_given();
    begins_there(base);
    cr_assert(kh_kept_hash_at(w.kept, base + 5, &hash) == KH_OK && hash.height == base && !hash.base);
    cr_assert(reopen() == KH_OK && kh_kept_saved(w.kept, &p, &n) == KH_OK && n == sizeof given_bytes);
    free(p);
    begins_there(base);
    begin_with_given(); /* again: CometBFT had not come through */
    for (uint64_t h = base + 1; h <= base + 20; h++) add_one(h, (uint32_t)(h % 5), h == base + 3);
    cr_assert(kh_kept_begin(w.kept, node.order, given_bytes, sizeof given_bytes) == KH_E_EXISTS);
    save(base + 20);
    cr_assert(reopen() == KH_OK);
    begins_there(base);
    for (uint64_t h = base + 1; h <= base + 20; h++) check(h);
    cr_assert(kh_kept_after(w.kept, 0, &b) == KH_OK && b->height == base + 1);
    kh_kept_block_free(b);
    cr_assert(kh_kept_hash_at(w.kept, base + 7, &hash) == KH_OK && hash.height == base + 7 &&
              kh_load64(hash.app_hash) == base + 7);
    cr_assert(kh_kept_begin(w.kept, node.order, given_bytes, sizeof given_bytes) == KH_E_EXISTS);
}

Test(kept, who_began_at_the_first_block_does_not_begin_anew)
{
    cr_assert(reopen() == KH_OK);
    add_one(5, 0, false);
    cr_assert(kh_kept_begin(w.kept, node.order, given_bytes, sizeof given_bytes) == KH_E_EXISTS);
    save(5);
    cr_assert(reopen() == KH_OK && kh_kept_base(w.kept) == 0);
    cr_assert(kh_kept_begin(w.kept, node.order, given_bytes, sizeof given_bytes) == KH_E_EXISTS);
}

/* A crash between its two files leaves what was before. */
Test(kept, a_beginning_that_was_cut_off)
{
    char command[600];
    uint8_t *p = NULL;
    size_t n = 0;
    cr_assert(reopen() == KH_OK);
    begin_with_given();
    snprintf(command, sizeof command, "rm %s/order/state", w.root);
    cr_assert(system(command) == 0 && reopen() == KH_OK && kh_kept_base(w.kept) == 0);
    cr_assert(kh_kept_saved(w.kept, &p, &n) == KH_OK && n == 0);
    add_one(5, 0, false);
    save(1000); /* it began at the first block after all: the file is gone */
    cr_assert(reopen() == KH_OK && kh_kept_base(w.kept) == 0);
    check(5);
    snprintf(command, sizeof command, "rm -r %s/order", w.root);
    cr_assert(system(command) == 0 && reopen() == KH_OK);
    begin_with_given();
    int fd = open_of("given");
    cr_assert(ftruncate(fd, lseek(fd, 0, SEEK_END) - 1) == 0);
    close(fd);
    cr_assert(reopen() == KH_E_DAMAGED && strstr(why, "given") != NULL);
}
