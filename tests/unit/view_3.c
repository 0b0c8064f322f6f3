/* view, on disk: what a restart finds, wherever the writing broke off; that nothing can be read there. */
#include "view_fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void change_byte(const char *path, off_t at, uint8_t bits)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= bits;
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void restart_with(kh_suite of)
{
    suite = of;
    begin();
    given g;
    made m;
    for (uint64_t i = 0; i < 20; i++) {
        m = one(10 + i, 1000 - i * 7, &g);
        cr_assert_eq(g.done, 1);
        forget(&m);
        if (i == 7) { /* all of it on disk */
            uint64_t sum = state_sum();
            for (uint32_t k = 0; k < 10; k++) kh_view_tick(v);
            kh_view_counts c;
            kh_view_count(v, &c);
            cr_assert_eq(c.durable_height, 17);
            kh_view_close(v);
            open_view();
            cr_assert_eq(state_sum(), sum);
            check_proof(1000, 10);
            check_proof(1000 - 49, 17);
        }
    }
    fake_block(40);
    height_begin(40);
    put(notice(KH_NOTICE_LAPSED, 1000, KH_FIN_LAPSED, 2));
    m = height_end(40, true);
    attest(&m);
    deliver(&m, HUB);
    forget(&m);
    uint64_t sum = state_sum();
    check_proof(1000, 10); /* its newest receipt, not the notice */
    check_proof(1000 - 19 * 7, 29);
    kh_view_close(v);
    open_view();
    cr_assert_eq(state_sum(), sum);
    check_proof(1000 - 19 * 7, 29);
    uint64_t at;
    uint32_t item;
    uint8_t *bytes;
    size_t n;
    cr_assert_eq(kh_view_proof(v, 5, &at, &item, &bytes, &n), KH_E_NOT_FOUND);
    /* ids ascending, from anywhere */
    uint32_t most = 3;
    each_cnt = 0;
    kh_view_each(v, false, 1000 - 5 * 7, on_each, &most);
    cr_assert_eq(each_cnt, 3);
    cr_assert_eq(each_ids[0], 1000 - 4 * 7);
    cr_assert_eq(each_ids[2], 1000 - 2 * 7);
    end();
}
Test(view, a_restart_finds_it_again) { restart_with(KH_SUITE_INTL); }
Test(view, a_restart_finds_it_again_gm) { restart_with(KH_SUITE_GM); }

static uint32_t files(char names[16][64])
{
    char path[128];
    snprintf(path, sizeof path, "%s/view", dir);
    DIR *d = opendir(path);
    uint32_t n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strstr(e->d_name, ".view") != NULL) snprintf(names[n++], 64, "%.60s", e->d_name);
    closedir(d);
    return n;
}

static void file_path(const char *name, char ret[256]) { snprintf(ret, 256, "%s/view/%s", dir, name); }

/* Nothing of it can be read on disk. */
/* Names are bounded, and with them what a start remembers of them. */
Test(view, segments_have_a_highest_name)
{
    char names[16][64], path[256], said[200] = "";
    given g;
    begin();
    kh_view_close(v);
    file_path("00100000.view", path);
    fclose(fopen(path, "w"));
    open_view();
    made m = one(5, 7, &g);
    forget(&m);
    kh_view_counts counts;
    for (int i = 0; i < 30; i++) kh_view_tick(v);
    kh_view_count(v, &counts);
    cr_assert(counts.height == 5 && counts.durable_height == 0 && files(names) == 1); /* nothing is written above it */
    kh_view_close(v);
    file_path("00100001.view", path);
    fclose(fopen(path, "w"));
    const kh_view_options o = view_options();
    cr_assert(kh_view_open(&o, said, sizeof said, &v) == KH_E_FULL && strstr(said, "00100000") != NULL, "%s", said);
    remove(path);
    open_view();
    end();
}

Test(view, sealed_on_disk)
{
    begin();
    given g;
    made m = one(5, 0x4142434445464748, &g);
    forget(&m);
    m = one(6, 7, &g);
    forget(&m);
    kh_view_close(v);
    char names[16][64], path[256];
    cr_assert_eq(files(names), 1);
    file_path(names[0], path);
    FILE *f = fopen(path, "r");
    static char bytes[1 << 16];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    cr_assert(n > 200);
    cr_assert(memmem(bytes, n, "N01", 3) == NULL);
    cr_assert(memmem(bytes, n, "HGFEDCBA", 8) == NULL);
    cr_assert(memmem(bytes, n, "invoice", 7) == NULL);
    /* each record has a key of its own: equal bytes at equal places are sealed differently */
    size_t first = 64 + 24 + 16, second = first + kh_load32(bytes + 64 + 4) + 24 + 16;
    cr_assert(second + 64 < n);
    cr_assert_neq(memcmp(bytes + first + 16, bytes + second + 16, 4), 0);
    cr_assert_eq(truncate(path, (off_t)(second - 40)), 0);
    disk_secret[0] ^= 1; /* another secret opens nothing */
    open_view();
    cr_assert(!find(0x4142434445464748));
    kh_view_close(v);
    disk_secret[0] ^= 1;
    open_view();
    cr_assert(find(0x4142434445464748));
    end();
}

/* The disk breaks off anywhere: what is whole is there, the rest comes again, and all is as it was. */
Test(view, a_torn_end_comes_again)
{
    begin();
    given g;
    made m[6];
    for (uint32_t i = 0; i < 6; i++) m[i] = one(10 + i, 100 + i, &g);
    uint64_t sum = state_sum();
    kh_view_close(v);
    char names[16][64], path[256], copy[256];
    cr_assert_eq(files(names), 1);
    file_path(names[0], path);
    snprintf(copy, sizeof copy, "%s/copy", dir);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    char line[1200];
    snprintf(line, sizeof line, "cp %s %s", path, copy);
    cr_assert_eq(system(line), 0);
    uint32_t seen_heights = 0;
    for (off_t cut = 0; cut <= st.st_size; cut += cut < 70 ? 7 : 97) {
        snprintf(line, sizeof line, "rm -f %s/view/*; cp %s %s; truncate -s %ld %s", dir, copy, path, (long)cut, path);
        cr_assert_eq(system(line), 0);
        open_view();
        uint64_t height = kh_view_height(v);
        seen_heights |= 1u << (height % 32);
        for (uint32_t i = 0; i < 6; i++) {
            attest(&m[i]);
            deliver(&m[i], HUB);
        }
        cr_assert_eq(state_sum(), sum, "cut at %ld", (long)cut);
        kh_view_close(v);
        open_view();
        cr_assert_eq(state_sum(), sum, "cut at %ld, again", (long)cut);
        kh_view_close(v);
    }
    cr_assert(__builtin_popcount(seen_heights) >= 6); /* each of the heights was where it broke off */
    /* a changed byte in the middle is told */
    snprintf(line, sizeof line, "rm -f %s/view/*; cp %s %s", dir, copy, path);
    cr_assert_eq(system(line), 0);
    change_byte(path, 300, 1);
    char why[200] = "";
    kh_view *none = NULL;
    const kh_view_options o = view_options();
    cr_assert_eq(kh_view_open(&o, why, sizeof why, &none), KH_E_DAMAGED);
    cr_assert(strstr(why, "00000001") != NULL, "%s", why);
    snprintf(line, sizeof line, "rm -f %s/view/*", dir);
    cr_assert_eq(system(line), 0);
    open_view();
    for (uint32_t i = 0; i < 6; i++) forget(&m[i]);
    end();
}

/* A restart between being ordered and being answered: the submission is gone, its financing comes. */
Test(view, a_restart_in_the_middle)
{
    begin();
    given g;
    uint8_t digest[32];
    made a = one(5, 100, &g);
    (void)submit(2, &g);
    order(6, digest, true);
    kh_view_close(v);
    cr_assert_eq(g.lost, 1);
    open_view();
    height_begin(6);
    put(applied(digest, 0, 101));
    put(applied(digest, 1, 102));
    made b = height_end(6, true);
    deliver(&a, HUB); /* resent: it is on disk */
    attest(&b);
    deliver(&b, HUB);
    cr_assert_eq(kh_view_height(v), 6);
    cr_assert(find(100) && find(101) && find(102));
    cr_assert_eq(alert_cnt, 0);
    forget(&a), forget(&b);
    end();
}

/* Many financings and a snapshot: found again, also where the snapshot is damaged. */
Test(view, snapshots)
{
    begin();
    given g;
    for (uint64_t h = 10; h < 14; h++) {
        uint8_t digest[32];
        (void)submit(1, &g);
        fake.submitted[fake.submitted_cnt - 1].op_cnt = 1;
        order(h, digest, false);
        height_begin(h);
        for (uint32_t i = 0; i < 1000; i++) put(applied(digest, i, (h * 1000 + i) * 2654435761u % 1000003));
        put(notice(KH_NOTICE_OVER_LIMIT, 7, 0, 0));
        made m = height_end(h, true);
        attest(&m);
        deliver(&m, HUB);
        forget(&m);
    }
    cr_assert_eq(kh_view_height(v), 13);
    uint64_t sum = state_sum();
    cr_assert_eq(each_cnt, 4000);
    for (uint32_t i = 1; i < each_cnt; i++) cr_assert(each_ids[i - 1] < each_ids[i]);
    kh_view_close(v);
    char path[256];
    file_path("snapshot", path);
    cr_assert_eq(access(path, R_OK), 0);
    open_view();
    cr_assert_eq(state_sum(), sum);
    check_proof(11000ull * 2654435761u % 1000003, 11);
    snapshot_sz = 500; /* two packages make one, a third none */
    kh_view_close(v);
    open_view();
    made m = one(20, 42, &g);
    forget(&m);
    m = one(21, 43, &g);
    forget(&m);
    for (uint32_t i = 0; i < 10; i++) kh_view_tick(v);
    m = one(22, 44, &g); /* goes on in a segment of its own */
    snapshot_sz = 0;
    cr_assert_eq(g.done, 1);
    forget(&m);
    sum = state_sum();
    kh_view_close(v);
    open_view();
    cr_assert_eq(state_sum(), sum);
    kh_view_close(v);
    change_byte(path, 5000, 4);
    open_view();
    cr_assert_eq(state_sum(), sum);
    end();
}

/* ---- behind an order that was given ---- */

/* It remembers blocks 4 and 8, and is of block 10; the view has nothing yet. */
static void begin_given(void)
{
    begin();
    static const uint64_t heights[] = {4, 8, 10};
    for (uint32_t i = 0; i < 3; i++) {
        kh_kept_hash *h = &fake.given[fake.given_cnt++];
        *h = (kh_kept_hash){.height = heights[i]};
        memset(h->app_hash, (int)heights[i], 32);
    }
    fake.attested = 10;
}

static made one_output(uint64_t height, uint64_t id)
{
    height_begin(height);
    put(notice(KH_NOTICE_LAPSED, id, KH_FIN_LAPSED, 1));
    return height_end(height, true);
}

Test(view, what_was_before_a_given_order_is_taken_from_hubs)
{
    kh_view_gap gap;
    begin_given();
    cr_assert(!kh_view_whole(v, &gap) && gap.base == 10 && gap.coming);
    static const uint64_t heights[] = {2, 4, 8, 10}; /* 2: older than what is remembered: the hubs' word */
    for (uint32_t i = 0; i < 4; i++) {
        made m = one_output(heights[i], i);
        cr_assert(!kh_view_whole(v, &gap));
        attest(&m);
        deliver(&m, HUB);
        kh_view_tick(v);
        cr_assert(kh_view_height(v) == heights[i], "%llu", (unsigned long long)heights[i]);
        forget(&m);
    }
    cr_assert(kh_view_whole(v, &gap) && alert_cnt == 0);
    end();
}

/* The given order's own block may hold nothing that hubs execute, as one that brings their attestations, and nobody asks for
 * anything behind it: what there is of before is all that is waited for. */
Test(view, a_given_order_whose_block_nobody_executes)
{
    kh_view_gap gap;
    begin_given();
    fake.attested = 4;
    fake.pending = 8;
    cr_assert(!kh_view_whole(v, &gap) && gap.coming); /* nobody has looked yet */
    static const uint64_t heights[] = {2, 4, 8};
    for (uint32_t i = 0; i < 3; i++) {
        made m = one_output(heights[i], i);
        kh_view_tick(v);
        cr_assert(!kh_view_whole(v, &gap) && gap.coming, "%llu", (unsigned long long)heights[i]);
        attest(&m);
        deliver(&m, HUB);
        kh_view_tick(v);
        forget(&m);
    }
    cr_assert(kh_view_height(v) == 8 && kh_view_whole(v, &gap));
    fake.attested = 12; /* and more comes */
    kh_view_tick(v);
    cr_assert(!kh_view_whole(v, &gap) && gap.coming);
    made m = one_output(12, 5);
    fake_block(12);
    attest(&m);
    deliver(&m, HUB);
    kh_view_tick(v);
    cr_assert(kh_view_height(v) == 12 && kh_view_whole(v, &gap) && alert_cnt == 0);
    forget(&m);
    end();
}

Test(view, a_given_order_that_remembers_another_hash_is_believed_before_hubs)
{
    begin_given();
    made m = one_output(8, 1);
    kh_attestation a = attestation(&m);
    a.app_hash[0] ^= 1;
    kh_view_attested(v, &a);
    deliver(&m, HUB);
    kh_view_tick(v);
    expect_alert("DIFFERING_APP_HASH", HUB, 8);
    forget(&m);
    end();
}

/* What hubs have given up stays away: asked for long enough, an empty view begins behind it, and goes on saying so. */
Test(view, what_no_hub_has_any_more_lacks_for_good)
{
    kh_view_gap gap;
    given g;
    snapshot_sz = 1;
    begin_given();
    made gone = one_output(2, 1), first = one_output(8, 2), second = one_output(12, 3);
    fake_block(12);
    attest(&second), deliver(&second, HUB);
    attest(&first), deliver(&first, HUB);
    for (int i = 0; i < 100; i++) kh_view_tick(v);
    cr_assert(kh_view_height(v) == 0 && !kh_view_whole(v, &gap) && gap.coming && gap.lacking == 0);
    for (int i = 0; i < 5; i++) kh_view_tick(v);
    for (int round = 0; round < 3; round++) { /* in memory, then from what is on disk */
        cr_assert(kh_view_height(v) == 12 && !kh_view_whole(v, &gap) && !gap.coming && gap.lacking == 1, "%d: %llu %llu %d",
                  round, (unsigned long long)kh_view_height(v), (unsigned long long)gap.lacking, gap.coming);
        kh_view_close(v);
        snapshot_sz = round == 0 ? UINT64_MAX : 1;
        open_view();
    }
    made third = one(13, 4, &g);
    kh_view_tick(v);
    cr_assert(kh_view_height(v) == 13 && alert_cnt == 0 && g.done == 1 && g.lost == 0);
    forget(&gone), forget(&first), forget(&second), forget(&third);
    snapshot_sz = 0;
    end();
}

/* One that has something waits for what is between. */
Test(view, what_is_there_is_gone_on_from)
{
    kh_view_gap gap;
    begin_given();
    made first = one_output(2, 1), between = one_output(4, 2), last = one_output(8, 3);
    attest(&first), deliver(&first, HUB);
    attest(&last), deliver(&last, HUB);
    for (int i = 0; i < 120; i++) kh_view_tick(v);
    cr_assert(kh_view_height(v) == 2 && !kh_view_whole(v, &gap) && gap.coming && gap.lacking == 0);
    expect_alert("WITHHELD_OUTPUTS", HUB, 8);
    forget(&first), forget(&between), forget(&last);
    end();
}
