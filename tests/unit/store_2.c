/* store, images and damage: image + tail is a full replay; the two ways of making an image give the same bytes; a flipped byte in
 * any kind of file is found; what is derived is made anew. */
#include "store_fixture.h"

static fixture f;
static void setup(void) { fixture_setup(&f); }
static void teardown(void) { fixture_teardown(&f); }
TestSuite(store_images, .init = setup, .fini = teardown);

static void image_path(char ret[160], uint64_t height)
{
    snprintf(ret, 160, "%s/image/%016llx.img", f.dir, (unsigned long long)height);
}

static uint8_t *slurp(const char *path, size_t *ret_n)
{
    off_t n = fixture_size(path);
    uint8_t *p = malloc((size_t)n + 1);
    int fd = open(path, O_RDONLY);
    cr_assert(n > 0 && p != NULL && fd >= 0 && read(fd, p, (size_t)n) == n);
    close(fd);
    *ret_n = (size_t)n;
    return p;
}

Test(store_images, image_and_tail_equal_a_full_replay)
{
    uint64_t height;
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 32);
    fixture_reserves(s, 1, 64, 32);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK && height == 5);
    fixture_reserves(s, 1000, 64, 32);
    uint64_t check = kh_ledger_check(kh_store_ledger(s));
    kh_store_close(s);
    for (int way = 0; way < 3; way++) { /* mapped, loaded, by a reader */
        f.options.long_running = way == 1;
        f.options.read_only = way == 2;
        s = fixture_open(&f);
        cr_assert(f.report.image_height == 5 && f.report.tail_ops == 64);
        cr_assert(kh_ledger_check(kh_store_ledger(s)) == check);
        uint8_t content[32];
        cr_assert(kh_store_content_digest(s, content) == KH_OK);
        kh_audit_result r = fixture_audit(&f);
        cr_assert(r.ok, "%s %s", r.at, r.why);
        cr_assert(memcmp(content, r.content_digest, 32) == 0);
        kh_store_close(s);
    }
}

static void assert_same_bytes(const char *path, const char *kept)
{
    size_t n, m;
    uint8_t *a = slurp(path, &n), *b = slurp(kept, &m);
    cr_assert(n == m && memcmp(a, b, n) == 0);
    free(a);
    free(b);
}

Test(store_images, replayed_and_own_images_are_the_same_bytes)
{
    uint64_t height;
    char path[160], kept[160];
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 32);
    fixture_reserves(s, 1, 256, 32);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    kh_store_close(s);
    image_path(path, height);
    snprintf(kept, sizeof kept, "%s/kept", f.root);
    cr_assert(rename(path, kept) == 0);
    f.options.inline_engine = false; /* with threads the image is made by replay, here from nothing */
    s = fixture_open(&f);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    kh_store_close(s);
    assert_same_bytes(path, kept);
}

/* The state that images are made of goes on from one to the next. */
Test(store_images, the_third_image_is_the_same_bytes_too)
{
    uint64_t height;
    char path[160], kept[160];
    fixture_create(&f);
    f.options.inline_engine = false;
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 32);
    for (uint64_t i = 0; i < 3; i++) {
        fixture_reserves(s, 1 + 1000 * i, 256, 32);
        cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    }
    kh_store_close(s);
    image_path(path, height);
    snprintf(kept, sizeof kept, "%s/kept", f.root);
    cr_assert(rename(path, kept) == 0);
    f.options.inline_engine = true; /* now from the settled state itself */
    s = fixture_open(&f);
    cr_assert(f.report.image_height < height && kh_store_snapshot(s, &height) == KH_OK);
    kh_store_close(s);
    assert_same_bytes(path, kept);
}

Test(store_images, a_flipped_byte_is_found_in_each_kind_of_file)
{
    static const char *const names[] = {"journal/blocks", "journal/table", "secret", "format", "log/0000000000000000.wal"};
    uint64_t height;
    char path[160];
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 8);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    fixture_reserves(s, 1, 32, 8);
    kh_store_close(s);
    cr_assert(fixture_audit(&f).ok);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", f.dir, names[i]);
        off_t size = fixture_size(path);
        if (size <= 0) continue; /* the log names its own segments */
        if (size > 65536) size = 8192;
        for (off_t at = 0; at < size; at += size / 23 + 1) {
            fixture_flip(path, at);
            kh_audit_result r = fixture_audit(&f);
            cr_assert(!r.ok && r.why[0] != '\0', "%s at %ld", names[i], (long)at);
            fixture_flip(path, at);
        }
    }
    image_path(path, height);
    off_t size = fixture_size(path);
    for (off_t at = 0; at < size; at += size / 41 + 1) {
        fixture_flip(path, at);
        kh_audit_result r = fixture_audit(&f);
        cr_assert(!r.ok && strstr(r.at, ".img") != NULL, "at %ld", (long)at);
        fixture_flip(path, at);
    }
    kh_audit_result r = fixture_audit(&f);
    cr_assert(r.ok, "%s %s", r.at, r.why);
}

Test(store_images, what_is_derived_is_made_anew)
{
    uint64_t height;
    char path[160];
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 8);
    fixture_reserves(s, 1, 32, 8);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    uint64_t check = kh_ledger_check(kh_store_ledger(s));
    kh_store_close(s);
    image_path(path, height);
    fixture_flip(path, 70000);
    s = fixture_open(&f); /* passed over, and said */
    cr_assert(f.report.image_height == 0 && f.report.why[0] != '\0' && kh_ledger_check(kh_store_ledger(s)) == check);
    kh_store_close(s);
    fixture_flip(path, 70000);
    snprintf(path, sizeof path, "%s/journal/blocks", f.dir);
    cr_assert(truncate(path, fixture_size(path) / 2) == 0);
    s = fixture_open(&f);
    cr_assert(kh_ledger_check(kh_store_ledger(s)) == check);
    kh_store_close(s);
    snprintf(path, sizeof path, "%s/journal/table", f.dir);
    cr_assert(unlink(path) == 0);
    s = fixture_open(&f);
    kh_journal_item *item = malloc(sizeof *item);
    cr_assert(kh_store_journal_read(s, (kh_place){3, 15, 0}, item) == KH_OK && item->receipt.financing == 32);
    free(item);
    kh_store_close(s);
    kh_audit_result r = fixture_audit(&f);
    cr_assert(r.ok, "%s %s", r.at, r.why);
}

Test(store_images, only_the_newest_two_stay)
{
    uint64_t height = 0;
    char path[160];
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 4);
    uint64_t heights[4];
    for (int i = 0; i < 4; i++) {
        fixture_reserves(s, 100 * (uint64_t)i + 1, 1, 4);
        cr_assert(kh_store_snapshot(s, &height) == KH_OK);
        heights[i] = height;
    }
    kh_store_close(s);
    for (int i = 0; i < 4; i++) {
        image_path(path, heights[i]);
        cr_assert((fixture_size(path) > 0) == (i >= 2));
    }
}

static kh_audit_result sound(void)
{
    kh_audit_result r = fixture_audit(&f);
    cr_assert(r.ok, "%s %s", r.at, r.why);
    return r;
}

static uint64_t image_made(kh_store *s)
{
    static uint64_t id = 500;
    uint64_t height = 0;
    fixture_reserves(s, id++, 1, 4);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    return height;
}

static bool has_image(uint64_t height)
{
    char path[160];
    image_path(path, height);
    return access(path, F_OK) == 0;
}

/* What a state may have to be made of stays: the newest at or before each number. */
Test(store_images, those_before_what_is_asked_for_later_stay)
{
    uint64_t at[9];
    f.options.inline_engine = false;
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 4);
    at[0] = image_made(s);
    fixture_reserves(s, 100, 1, 4);
    at[1] = image_made(s);
    cr_assert(at[1] > at[0] + 1);
    kh_store_keep(s, (uint64_t[]){at[1] - 1, at[1], 0}, 3); /* of the first, and of the second; before 0 there is none */
    for (int i = 2; i < 5; i++) at[i] = image_made(s);
    for (int i = 0; i < 5; i++) cr_assert(has_image(at[i]) == (i != 2), "%d", i);
    kh_store_keep(s, (uint64_t[]){at[4]}, 1);
    for (int i = 5; i < 7; i++) at[i] = image_made(s);
    for (int i = 0; i < 7; i++) cr_assert(has_image(at[i]) == (i >= 4), "%d", i);
    kh_store_keep(s, NULL, 0);
    at[7] = image_made(s);
    for (int i = 0; i < 8; i++) cr_assert(has_image(at[i]) == (i >= 6), "%d", i);
    kh_store_close(s);
}

static kh_disk below;
static kh_store *_Atomic told;
static uint64_t asked_for;

static kh_err telling_open(void *self, const char *path, int flags, kh_file **ret)
{
    if (told != NULL && strstr(path, "/image/new.tmp") != NULL) kh_store_keep(told, &asked_for, 1);
    return below.open(self, path, flags, ret);
}

/* An image takes its time: what is told meanwhile counts when it takes the place of others. */
Test(store_images, one_asked_for_while_an_image_is_made_stays)
{
    uint64_t at[4];
    f.options.inline_engine = false;
    below = f.disk;
    f.disk.open = telling_open;
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 4);
    for (int i = 0; i < 3; i++) {
        at[i] = image_made(s);
        if (i == 1) asked_for = at[0], told = s;
    }
    told = NULL;
    cr_assert(has_image(at[0]) && has_image(at[1]) && has_image(at[2]));
    kh_store_keep(s, NULL, 0);
    at[3] = image_made(s);
    for (int i = 0; i < 4; i++) cr_assert(has_image(at[i]) == (i >= 2), "%d", i);
    kh_store_close(s);
}

/* Behind an image, within one, at the beginning of all: what is above goes, images too, and the log goes on from there. */
Test(store_images, the_newest_entries_are_taken_back)
{
    char path[160], cmd[400];
    uint64_t height;
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 32);
    fixture_reserves(s, 1, 64, 32);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK && height == 5);
    fixture_reserves(s, 1000, 64, 32);
    kh_store_close(s);
    snprintf(cmd, sizeof cmd, "rm -rf %s/at9 && cp -a %s %s/at9", f.root, f.dir, f.root);
    cr_assert(system(cmd) == 0);
    kh_audit_result at9 = sound();
    s = fixture_open(&f);
    fixture_reserves(s, 2000, 640, 32);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK && height == 49);
    fixture_reserves(s, 3000, 64, 32);
    cr_assert(kh_store_go_back(s, 9) == KH_OK && kh_store_durable_upto(s) == 53); /* with the next opening */
    kh_store_close(s);
    snprintf(path, sizeof path, "%s/back", f.dir);
    snprintf(cmd, sizeof cmd, "cp %s %s/again", path, f.root);
    cr_assert(system(cmd) == 0);
    for (uint32_t round = 0; round < 3; round++) { /* a crash before the file went: the same again */
        s = fixture_open(&f);
        cr_assert(kh_store_durable_upto(s) == 9 && f.report.image_height == 5 && access(path, F_OK) != 0);
        kh_store_close(s);
        kh_audit_result r = sound();
        cr_assert(r.height == 9 && memcmp(r.digest, at9.digest, 32) == 0 && memcmp(r.log_digest, at9.log_digest, 32) == 0);
        cr_assert(memcmp(r.checkpoint_digest, at9.checkpoint_digest, 32) == 0);
        snprintf(cmd, sizeof cmd, "cp %s/again %s", f.root, path);
        if (round < 2) cr_assert(system(cmd) == 0);
    }
    s = fixture_open(&f);
    fixture_reserves(s, 2000, 128, 32);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK && height == 17);
    kh_store_close(s);
    cr_assert(sound().height == 17);
    s = fixture_open(&f);
    cr_assert(kh_store_go_back(s, 0) == KH_OK);
    kh_store_close(s);
    s = fixture_open(&f);
    cr_assert(kh_store_durable_upto(s) == 0 && f.report.image_height == 0);
    fixture_documents(s, 32);
    kh_store_close(s);
    cr_assert(sound().height == 1);
    int fd = open(path, O_WRONLY | O_CREAT, 0644); /* one that nobody wrote so */
    cr_assert(fd >= 0 && write(fd, "KHBACK01", 8) == 8);
    close(fd);
    cr_assert(kh_store_open(&f.options, f.dir, &f.report, &s) == KH_E_DAMAGED);
}
