/* hub, the state of a checkpoint: what it is made from stays while it may be asked for, and where that is gone none is made. */
#include <sys/stat.h>
#include "kept/heights.h"
#include "hub_state.h"

TestSuite(hub_made, .init = state_begin, .fini = state_end);

static uint64_t oldest_of(uint32_t bank)
{
    char path[128];
    uint8_t head[KH_HEIGHTS_HEAD_SZ] = {0};
    (void)snprintf(path, sizeof path, "%s/outputs/%u.packages", w.root, bank);
    FILE *f = fopen(path, "r");
    cr_assert(f != NULL && fread(head, 1, sizeof head, f) == sizeof head && fclose(f) == 0);
    return kh_load64(head + 16);
}

enum { MORE = 600 }; /* so that more goes than stays */

/* Banks have acknowledged all that they were given long after the checkpoint, and so much was dropped. */
static void all_acknowledged(uint64_t least)
{
    uint64_t height = 0;
    world_close();
    w.packages_sz = w.posts_sz = 1;
    world_open();
    for (uint32_t i = 0; i < MORE; i++) {
        block more = {0};
        block_applies(&more, BANK_A, 10000 + i, 1);
        height = decide(&more);
    }
    wait_executed(height);
    for (uint32_t bank = BANK_A; bank <= BANK_B; bank++) {
        kh_hub_outputs_wanted(w.hub, bank, height);
        for (uint32_t i = 0; i < 120000 && oldest_of(bank) < least; i++) usleep(500);
        usleep(200000);
        cr_assert_eq(oldest_of(bank), least, "%lu", (unsigned long)oldest_of(bank));
    }
}

Test(hub_made, what_it_goes_on_from_is_not_dropped)
{
    char other[96], why[300];
    uint32_t epoch = 0;
    state s = {0};
    const kh_checkpoint_sink to = {state_write, &s};
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy};
    all_acknowledged(FIRST_HEIGHT); /* no checkpoint is attested yet: the first may be wanted */
    cr_assert(kh_hub_state_is(w.hub, POINT, made.posted, &epoch) == KH_OK);
    cr_assert(kh_hub_state_write(w.hub, POINT, made.posted, &to) == KH_OK);
    memcpy(s.posted, made.posted, 32);
    memcpy(s.app_hash, made.app_hash, 32);
    (void)snprintf(other, sizeof other, "%s/other", w.root);
    cr_assert(mkdir(other, 0700) == 0 && join_in(&options, other, &s, true, why, sizeof why) == KH_OK, "%s", why);
    free(s.p);
}

static bool has_image(uint64_t number)
{
    char path[192];
    (void)snprintf(path, sizeof path, "%s/image/%016llx.img", w.store_dir, (unsigned long long)number);
    return access(path, F_OK) == 0;
}

static uint64_t newer_images(uint32_t cnt)
{
    static uint32_t more;
    uint64_t last = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        block b = {0};
        block_applies(&b, BANK_A, 20000 + more++, 1);
        wait_executed(decide(&b));
        cr_assert(kh_store_snapshot(w.store, &last) == KH_OK);
    }
    return last;
}

/* Else it would be made by a replay of the whole log. Behind a restart the hub says so again, and the others go. */
Test(hub_made, the_image_that_it_is_made_of_stays)
{
    uint64_t number = kh_load64(made.p + KH_STATE_AT_NUMBER);
    for (uint32_t i = 0; i < 3; i++) {
        (void)newer_images(1); /* of a checkpoint, too */
        world_close();
        world_open();
        uint64_t first = newer_images(1);
        (void)newer_images(2);
        uint64_t at = number; /* or of the checkpoint before, which no quorum has attested either */
        while (at != 0 && !has_image(at)) at--;
        cr_assert(at != 0, "%u", i);
        cr_assert(!has_image(first), "%u", i);
    }
}

Test(hub_made, where_no_state_is_to_be_made_all_goes)
{
    char cmd[128];
    world_close();
    (void)snprintf(cmd, sizeof cmd, "rm %s/outputs/checkpoints", w.root);
    cr_assert(system(cmd) == 0);
    w.checkpoint_blocks = 1u << 20;
    world_open();
    all_acknowledged(FIRST_HEIGHT + BLOCKS + MORE - 256);
}

static kh_heights *packages_of(uint32_t bank)
{
    char path[128];
    uint64_t at;
    kh_heights *f = NULL;
    (void)snprintf(path, sizeof path, "%s/outputs/%u.packages", w.root, bank);
    cr_assert(kh_heights_open(&w.disk, path, KH_PACKAGES_MAGIC, KH_HEIGHTS_SOUND, &at, &f) == KH_OK);
    return f;
}

static kh_err written(void)
{
    state s = {0};
    const kh_checkpoint_sink to = {state_write, &s};
    world_open();
    kh_err err = kh_hub_state_write(w.hub, POINT, made.posted, &to);
    free(s.p);
    world_close();
    return err;
}

/* A bank that had nothing by then is not in it; one of whom that is gone lets no state be made. */
Test(hub_made, a_bank_whose_count_is_lost)
{
    uint8_t record[KH_PACKAGE_HEAD_SZ] = {0};
    world_close();
    kh_heights *f = packages_of(77);
    cr_assert(kh_heights_add(f, POINT + 1, record, sizeof record, NULL, 0) == KH_OK);
    kh_heights_close(f);
    cr_assert(written() == KH_OK);
    f = packages_of(78);
    record[0] = 1;
    cr_assert(kh_heights_add(f, POINT + 1, record, sizeof record, NULL, 0) == KH_OK);
    kh_heights_close(f);
    cr_assert(written() == KH_E_DAMAGED);
    f = packages_of(78);
    cr_assert(kh_heights_cut(f, 0) == KH_OK);
    kh_heights_close(f);
    cr_assert(written() == KH_OK);
    f = packages_of(BANK_B);
    cr_assert(kh_heights_drop(f, POINT) == KH_OK);
    kh_heights_close(f);
    cr_assert(written() == KH_E_DAMAGED);
    world_open();
}
