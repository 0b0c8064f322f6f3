/* view, behind a directory that moved up: what it begins with is proven by the genesis, or is not taken. */
#include "view_fixture.h"

enum { H = 40 }; /* of the directory's last entry */

static uint64_t none_cnt[2];
static uint8_t none_head[2][32];

static kh_output *stands(uint32_t bank, uint64_t id, kh_fin_state state, uint64_t repaid)
{
    static const uint8_t digest[32];
    (void)applied(digest, 0, id);
    memset(out.batch, 0, 32);
    out.kind = KH_OUTPUT_OPENING;
    out.receipt.party = bank;
    out.receipt.state = (uint8_t)state;
    out.receipt.version = 5;
    out.receipt.moved = repaid;
    out.hold_ns = state == KH_FIN_ACCEPTED ? 777 : 0;
    out.since = 30 + id % 10;
    memcpy(out.papers[0].number, bank == BANK ? "N01" : "N77", 3);
    return &out;
}

/* What the two banks had; `without`: but for that one. */
static void opening_begin(uint64_t without)
{
    if (maker == NULL) cr_assert_eq(kh_maker_new(&maker), KH_OK);
    kh_maker_begin(maker, genesis.checkpoint, secret, 0, parties, none_cnt, (const uint8_t(*)[32])none_head, 2);
    static const uint64_t ids[] = {100, 101, 103};
    static const kh_fin_state states[] = {KH_FIN_PART_REPAID, KH_FIN_ACCEPTED, KH_FIN_SETTLED};
    for (uint32_t i = 0; i < 3; i++)
        if (ids[i] != without) cr_assert_eq(kh_maker_add(maker, BANK, stands(BANK, ids[i], states[i], i == 0 ? 2000 : 0)), KH_OK);
    cr_assert_eq(kh_maker_add(maker, OTHER, stands(OTHER, 0x4f4f4f4f4f4f4f4f, KH_FIN_DISBURSED, 0)), KH_OK);
}

static void write_opening(const uint8_t *p, size_t n)
{
    FILE *f = fopen(opening, "w");
    cr_assert(f != NULL && (n == 0 || fwrite(p, 1, n, f) == n) && fclose(f) == 0);
}

/* In a parcel of the bank's own, as all that opens. */
static void write_package(const uint8_t *p, size_t n)
{
    uint8_t *parcel;
    size_t parcel_n;
    cr_assert_eq(kh_parcel_make(suite, NULL, NULL, genesis.checkpoint, BANK, 0, p, n, &parcel, &parcel_n), KH_OK);
    write_opening(parcel, parcel_n);
    free(parcel);
}

typedef struct bytes {
    uint8_t *p;
    size_t n;
} bytes;

/* A world without a view, whose genesis says what its banks begin with; the bank's package. */
static bytes begin_moved(void)
{
    bytes ret;
    begin();
    kh_view_close(v);
    v = NULL;
    memset(genesis.checkpoint, 0x55, 32);
    genesis.initial_height = H + 1;
    opening_begin(UINT64_MAX);
    cr_assert_eq(kh_maker_end(maker, genesis.opening), KH_OK);
    cr_assert_eq(kh_maker_package(maker, 0, &ret.p, &ret.n), KH_OK);
    return ret;
}

static void end_moved(bytes *package)
{
    free(package->p);
    genesis = (kh_genesis){0};
    end();
}

static void expect_begun(void)
{
    cr_assert(find(100));
    cr_assert(seen.whole && seen.state == KH_FIN_PART_REPAID && seen.version == 5 && seen.amount == 5000 && seen.repaid == 2000);
    cr_assert(seen.height == 30 && seen.hold_ns == 0 && seen.enterprise == 77 && seen.line_cnt == 2);
    cr_assert_str_eq(seen.product, "invoice");
    cr_assert(seen_lines[0].line.amount == 5000 && memcmp(seen_lines[0].paper.number, "N01", 3) == 0);
    cr_assert(find(101) && seen.hold_ns == 777 && seen.height == 31);
    cr_assert(find(103) && !find(0x4f4f4f4f4f4f4f4f));
    each_cnt = 0;
    kh_view_each(v, true, 0, on_each, NULL);
    cr_assert(each_cnt == 3 && each_ids[0] == 100 && each_ids[2] == 103);
}

Test(view, begins_with_what_the_genesis_proves)
{
    bytes package = begin_moved();
    kh_view_gap gap;
    uint64_t at;
    uint32_t item;
    uint8_t *p, digest[32];
    size_t n;
    given g;
    write_package(package.p, package.n);
    open_view();
    expect_begun();
    cr_assert(kh_view_height(v) == H && kh_view_whole(v, &gap) && !kh_view_opening_lacks(v));
    cr_assert_eq(kh_view_proof(v, 100, &at, &item, &p, &n), KH_E_NOT_FOUND); /* no receipt of it proves anything */
    /* it needs the file no more */
    uint64_t sum = state_sum();
    kh_view_close(v);
    cr_assert_eq(remove(opening), 0);
    open_view();
    cr_assert_eq(state_sum(), sum);
    expect_begun();
    /* events go on from there */
    (void)submit(1, &g);
    order(H + 1, digest, true);
    height_begin(H + 1);
    kh_output *o = event(digest, 0, 100, KH_EV_REPAY, KH_FIN_SETTLED, 6, 5000, 3000);
    o->receipt.line_cnt = 2;
    put(o);
    put(notice(KH_NOTICE_LAPSED, 101, KH_FIN_LAPSED, 6));
    made m = height_end(H + 1, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert(find(100) && seen.repaid == 5000 && seen.state == KH_FIN_SETTLED && seen.version == 6 && seen.height == H + 1);
    cr_assert(seen.whole && seen_lines[0].line.amount == 2000);
    check_proof(100, H + 1);
    cr_assert(find(101) && seen.state == KH_FIN_LAPSED && seen.hold_ns == 0);
    cr_assert_eq(kh_view_proof(v, 101, &at, &item, &p, &n), KH_E_NOT_FOUND);
    sum = state_sum();
    kh_view_close(v);
    open_view();
    cr_assert_eq(state_sum(), sum);
    forget(&m);
    end_moved(&package);
}

static void expect_refused(const char *word)
{
    char why[300] = "";
    kh_view *none = NULL;
    const kh_view_options o = view_options();
    cr_assert_eq(kh_view_open(&o, why, sizeof why, &none), KH_E_FORMAT, "%s", word);
    cr_assert(strstr(why, word) != NULL && strstr(why, opening) != NULL, "%s", why);
}

static const char other_word[] = "is not what the genesis says", sealed_word[] = "is not sealed to this bank, or not whole";

Test(view, an_opening_that_is_not_the_genesis_is_refused)
{
    bytes package = begin_moved(), other;
    uint8_t root[32], *parcel;
    size_t n;
    for (size_t i = 0; i < package.n; i++) { /* any byte: each is under the root, or the form says it */
        package.p[i] ^= (uint8_t)(1u << i % 8);
        write_package(package.p, package.n);
        expect_refused("");
        package.p[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t cut = 0; cut < package.n; cut += 7) {
        write_package(package.p, cut);
        expect_refused(other_word);
    }
    /* one left out, with all else made as it should be */
    opening_begin(101);
    cr_assert_eq(kh_maker_end(maker, root), KH_OK);
    cr_assert_eq(kh_maker_package(maker, 0, &other.p, &other.n), KH_OK);
    write_package(other.p, other.n);
    expect_refused(other_word);
    free(other.p);
    /* another bank's: under the same root, but not to this one */
    opening_begin(UINT64_MAX);
    cr_assert_eq(kh_maker_end(maker, root), KH_OK);
    cr_assert_eq(memcmp(root, genesis.opening, 32), 0);
    cr_assert_eq(kh_maker_package(maker, 1, &other.p, &other.n), KH_OK);
    write_package(other.p, other.n);
    expect_refused("is another bank's");
    cr_assert_eq(kh_parcel_make(suite, NULL, NULL, genesis.checkpoint, OTHER, 0, other.p, other.n, &parcel, &n), KH_OK);
    write_opening(parcel, n);
    expect_refused(sealed_word);
    free(parcel);
    free(other.p);
    write_opening(NULL, 0);
    expect_refused(sealed_word);
    write_package(package.p, package.n);
    open_view();
    expect_begun();
    end_moved(&package);
}

/* Whoever makes a genesis can be wrong: what is under its root is looked at all the same. */
Test(view, an_opening_that_makes_no_sense_is_refused)
{
    bytes package = begin_moved();
    for (uint32_t i = 0; i < 2; i++) { /* another bank's financing among this one's; one that is there twice */
        uint8_t *p;
        size_t n;
        kh_maker_begin(maker, genesis.checkpoint, secret, 0, parties, none_cnt, (const uint8_t(*)[32])none_head, 2);
        cr_assert_eq(kh_maker_add(maker, BANK, stands(BANK, 100, KH_FIN_DISBURSED, 0)), KH_OK);
        cr_assert_eq(kh_maker_add(maker, BANK, stands(i == 0 ? OTHER : BANK, 100 + (i == 0), KH_FIN_DISBURSED, 0)), KH_OK);
        cr_assert_eq(kh_maker_end(maker, genesis.opening), KH_OK);
        cr_assert_eq(kh_maker_package(maker, 0, &p, &n), KH_OK);
        write_package(p, n);
        expect_refused("holds what no financing is");
        free(p);
    }
    remove(opening);
    open_view();
    end_moved(&package);
}

/* A path's neighbours are roots over salted leaves: nothing of another bank is in it, nor anything to try guesses on. */
Test(view, an_opening_tells_nothing_of_others)
{
    bytes package = begin_moved();
    uint8_t payload[KH_PAYLOAD_MAX_SZ], digest[32], leaf[32];
    size_t n = kh_payload_encode(stands(OTHER, 0x4f4f4f4f4f4f4f4f, KH_FIN_DISBURSED, 0), payload);
    cr_assert(memmem(package.p, package.n, "N01", 3) != NULL);
    cr_assert(memmem(package.p, package.n, "N77", 3) == NULL && memmem(package.p, package.n, "OOOOOOOO", 8) == NULL);
    kh_sha256(payload, n, digest);
    kh_merkle_leaf(payload, n, leaf);
    cr_assert(memmem(package.p, package.n, digest, 32) == NULL && memmem(package.p, package.n, leaf, 32) == NULL);
    /* who knows all of it but the salt cannot tell whether it is so */
    kh_package read;
    cr_assert_eq(kh_package_read(package.p, package.n, genesis.checkpoint, &read), KH_OK);
    cr_assert_eq(read.top_path_n, 1);
    uint8_t root[32], neighbour[32], wrong_secret[32] = {0};
    memcpy(neighbour, read.top_path[0], 32);
    kh_package_free(&read);
    kh_maker_begin(maker, genesis.checkpoint, wrong_secret, 0, parties + 1, none_cnt, (const uint8_t(*)[32])none_head, 1);
    cr_assert_eq(kh_maker_add(maker, OTHER, stands(OTHER, 0x4f4f4f4f4f4f4f4f, KH_FIN_DISBURSED, 0)), KH_OK);
    cr_assert_eq(kh_maker_end(maker, root), KH_OK);
    cr_assert_neq(memcmp(root, neighbour, 32), 0);
    kh_maker_begin(maker, genesis.checkpoint, secret, 0, parties + 1, none_cnt, (const uint8_t(*)[32])none_head, 1);
    cr_assert_eq(kh_maker_add(maker, OTHER, stands(OTHER, 0x4f4f4f4f4f4f4f4f, KH_FIN_DISBURSED, 0)), KH_OK);
    cr_assert_eq(kh_maker_end(maker, root), KH_OK);
    cr_assert_eq(memcmp(root, neighbour, 32), 0);
    open_view();
    end_moved(&package);
}

Test(view, an_opening_that_comes_later)
{
    bytes package = begin_moved();
    given g;
    uint8_t digest[32];
    snapshot_sz = 1; /* one is there, without it */
    open_view();
    cr_assert(kh_view_opening_lacks(v) && !find(100));
    (void)submit(1, &g);
    order(H + 1, digest, true);
    height_begin(H + 1);
    put(event(digest, 0, 100, KH_EV_REPAY, KH_FIN_SETTLED, 6, 5000, 3000));
    made m = height_end(H + 1, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert(find(100) && seen.repaid == 3000);
    for (uint32_t i = 0; i < 20; i++) kh_view_tick(v);
    kh_view_close(v);
    open_view();
    cr_assert(find(100) && !seen.whole && !find(101));
    kh_view_close(v);
    write_package(package.p, package.n);
    open_view();
    cr_assert(find(100) && seen.whole && seen.repaid == 5000 && seen.height == H + 1 && find(101) && !kh_view_opening_lacks(v));
    check_proof(100, H + 1);
    kh_view_close(v);
    remove(opening);
    open_view();
    cr_assert(find(100) && seen.repaid == 5000 && find(101));
    snapshot_sz = 0;
    forget(&m);
    end_moved(&package);
}

/* A view that begins behind outputs which are gone: how things stood at the genesis is not how they stand. */
Test(view, an_opening_is_not_shown_behind_what_lacks)
{
    bytes package = begin_moved();
    kh_view_gap gap;
    fake.given[fake.given_cnt++] = (kh_kept_hash){.height = H + 20};
    fake.attested = H + 20;
    write_package(package.p, package.n);
    open_view();
    cr_assert(!kh_view_whole(v, &gap) && gap.coming);
    counts[0] = 7;
    height_begin(H + 10);
    put(notice(KH_NOTICE_SIMILAR, 5, 0, 1));
    made m = height_end(H + 10, true);
    memset(fake.given[0].app_hash, H + 20, 32);
    attest(&m);
    deliver(&m, HUB);
    for (uint32_t i = 0; i < 200 && find(100); i++) kh_view_tick(v);
    cr_assert(!find(100) && !find(103) && !kh_view_whole(v, &gap) && gap.lacking == 7);
    for (uint32_t i = 0; i < 20; i++) kh_view_tick(v);
    kh_view_close(v);
    open_view();
    cr_assert(!find(100) && !find(103) && !kh_view_whole(v, &gap) && gap.lacking == 7);
    counts[0] = 0;
    memset(heads, 0, sizeof heads);
    forget(&m);
    end_moved(&package);
}

Test(view, a_genesis_that_says_nothing)
{
    bytes package = begin_moved();
    memset(genesis.opening, 0, 32);
    write_package(package.p, package.n);
    open_view();
    cr_assert(!find(100) && kh_view_height(v) == 0 && !kh_view_opening_lacks(v));
    end_moved(&package);
}
