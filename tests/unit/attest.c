/* Unit tests of attest: payloads there and back, two makers alike, packages read and every byte of them damaged, paths, golden
 * bytes. */
#include "attest/attest.h"
#include "crypto/digest.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTIES = 3 };
static const uint32_t parties[PARTIES] = {11, 12, 40};
static uint8_t chain[32], secret[32];
static kh_output output; /* large */

static void prepare(void)
{
    for (uint8_t i = 0; i < 32; i++) {
        chain[i] = i;
        secret[i] = (uint8_t)(200 - i);
    }
}

static kh_output *receipt_of(uint32_t party, uint32_t i, uint32_t lines)
{
    kh_output *o = &output;
    memset(o, 0, sizeof *o);
    o->kind = KH_OUTPUT_RECEIPT;
    memset(o->batch, (int)(0x40 + i), 32);
    memset(o->op_digest, (int)(0x80 + i), 32);
    o->op_index = i;
    o->receipt = (kh_receipt){.type = KH_OP_APPLY,
                              .state = 2,
                              .event = 1,
                              .party = party,
                              .sequence = 7 + i,
                              .version = 1,
                              .financing = 1000 + i,
                              .amount = 12345,
                              .currency = 156,
                              .enterprise = 77,
                              .line_cnt = lines};
    strcpy(o->product, "export-invoice");
    o->paper_cnt = lines;
    for (uint32_t n = 0; n < lines; n++) {
        o->lines[n] = (kh_receipt_line){.currency = 156, .code = 0, .amount = 100 + n, .allocated = 50};
        memset(o->lines[n].key.b, (int)(n + 1), 16);
        o->papers[n].kind = 1;
        o->papers[n].number_n = 4;
        memcpy(o->papers[n].number, "X123", 4);
        o->papers[n].issuer_n = n == 0 ? 0 : 2;
        memcpy(o->papers[n].issuer, "CN", 2);
    }
    return o;
}

static kh_output *notice_of(uint32_t party, bool key)
{
    kh_output *o = &output;
    memset(o, 0, sizeof *o);
    o->kind = KH_OUTPUT_NOTICE;
    o->notice = (kh_notice){.type = KH_NOTICE_OVER_LIMIT, .party = party, .financing = 1000, .has_financing = 1, .has_key = key};
    if (key) {
        memset(o->notice.key.b, 9, 16);
        o->paper_cnt = 1;
        o->papers[0].number_n = 3;
        memcpy(o->papers[0].number, "ABC", 3);
    }
    return o;
}

typedef struct made {
    uint8_t root[32];
    uint8_t *packages[PARTIES];
    size_t sizes[PARTIES];
    uint64_t counts[PARTIES];
    uint8_t heads[PARTIES][32];
} made;

/* make executes one height: outputs as given, in a fixed mixture. */
static void make(kh_maker *m, uint64_t height, const made *before, uint32_t outputs, made *ret)
{
    static const made zero;
    if (before == NULL) before = &zero;
    kh_maker_begin(m, chain, secret, height, parties, before->counts, (const uint8_t(*)[32])before->heads, PARTIES);
    for (uint32_t i = 0; i < outputs; i++) {
        cr_assert_eq(kh_maker_add(m, parties[0], i % 3 == 2 ? notice_of(11, i % 2 == 0) : receipt_of(11, i, i % 4)), KH_OK);
        if (i % 5 == 0) cr_assert_eq(kh_maker_add(m, parties[2], receipt_of(40, i, 1)), KH_OK);
        cr_assert_eq(kh_maker_add(m, 13, notice_of(13, false)), KH_OK); /* no member */
    }
    cr_assert_eq(kh_maker_end(m, ret->root), KH_OK);
    for (uint32_t i = 0; i < PARTIES; i++) {
        kh_maker_head(m, i, &ret->counts[i], ret->heads[i]);
        cr_assert_eq(kh_maker_package(m, i, &ret->packages[i], &ret->sizes[i]), KH_OK);
    }
}

static void let_go(made *x)
{
    for (uint32_t i = 0; i < PARTIES; i++) free(x->packages[i]);
}

static kh_maker *maker(void)
{
    kh_maker *m = NULL;
    cr_assert_eq(kh_maker_new(&m), KH_OK);
    return m;
}

Test(attest, payloads_there_and_back)
{
    static uint8_t a[KH_PAYLOAD_MAX_SZ], b[KH_PAYLOAD_MAX_SZ];
    static kh_output back;
    for (uint32_t i = 0; i < 10; i++) {
        kh_output *o = i < 6 || i > 7 ? receipt_of(11, i, i % 4 == 1 ? KH_LINES_MAX : i) : notice_of(11, i == 7);
        if (i == 4) {
            o->receipt.type = KH_OP_EVENT;
            o->paper_cnt = 0;
        }
        if (i > 7) {
            o->kind = KH_OUTPUT_OPENING;
            o->hold_ns = 0x0102030405060708;
            o->since = 99;
        }
        if (i == 5 || i == 9) { /* as long as a payload gets */
            memset(o->product, 'p', KH_PRODUCT_MAX);
            for (uint32_t n = 0; n < KH_LINES_MAX; n++) {
                o->papers[n].number_n = KH_NUMBER_MAX;
                o->papers[n].issuer_n = KH_ISSUER_MAX;
            }
        }
        size_t n = kh_payload_encode(o, a), m;
        cr_assert(n <= KH_PAYLOAD_MAX_SZ);
        cr_assert_eq(kh_payload_decode(a, n, &back), KH_OK, "%u", i);
        cr_assert_eq(m = kh_payload_encode(&back, b), n);
        cr_assert_eq(memcmp(a, b, n), 0);
        cr_assert_eq(back.paper_cnt, o->paper_cnt);
        if (i > 7) cr_assert(back.hold_ns == o->hold_ns && back.since == 99);
        if (o->kind != KH_OUTPUT_NOTICE) {
            cr_assert_eq(back.receipt.financing, o->receipt.financing);
            cr_assert_eq(back.receipt.line_cnt, o->receipt.line_cnt);
            if (i != 4) cr_assert_str_eq(back.product, o->product);
        }
        for (size_t cut = 0; cut < n; cut += i == 5 || i == 9 ? 997 : 1) cr_assert_neq(kh_payload_decode(a, cut, &back), KH_OK);
        a[n] = 0;
        if (n < KH_PAYLOAD_MAX_SZ) cr_assert_neq(kh_payload_decode(a, n + 1, &back), KH_OK);
    }
}

/* Whatever decodes has one form: no byte of a payload can be changed and give the same bytes again. */
Test(attest, payloads_are_canonical)
{
    static uint8_t a[KH_PAYLOAD_MAX_SZ], b[KH_PAYLOAD_MAX_SZ];
    static kh_output back;
    for (uint32_t i = 0; i < 3; i++) {
        size_t n = kh_payload_encode(i == 0 ? receipt_of(11, 1, 3) : notice_of(11, i == 1), a);
        for (size_t at = 0; at < n; at++)
            for (uint32_t bit = 0; bit < 8; bit++) {
                a[at] ^= (uint8_t)(1u << bit);
                if (kh_payload_decode(a, n, &back) == KH_OK) {
                    cr_assert_eq(kh_payload_encode(&back, b), n, "byte %zu", at);
                    cr_assert_eq(memcmp(a, b, n), 0, "byte %zu", at);
                }
                a[at] ^= (uint8_t)(1u << bit);
            }
    }
}

Test(attest, two_makers_alike)
{
    prepare();
    kh_maker *m = maker(), *n = maker();
    made a, b, c;
    make(m, 5, NULL, 23, &a);
    make(n, 9, NULL, 4, &b); /* what a maker did before leaves nothing */
    let_go(&b);
    make(n, 5, NULL, 23, &b);
    cr_assert_eq(memcmp(a.root, b.root, 32), 0);
    for (uint32_t i = 0; i < PARTIES; i++) {
        cr_assert_eq(a.sizes[i], b.sizes[i]);
        cr_assert_eq(memcmp(a.packages[i], b.packages[i], a.sizes[i]), 0);
    }
    make(n, 6, NULL, 23, &c); /* another height, another root: salts differ */
    cr_assert_neq(memcmp(a.root, c.root, 32), 0);
    let_go(&a), let_go(&b), let_go(&c);
    kh_maker_free(m), kh_maker_free(n);
}

Test(attest, packages_read)
{
    prepare();
    kh_maker *m = maker();
    made before = {0}, now;
    for (uint64_t height = 3; height < 12; height++) {
        make(m, height, &before, height == 5 ? 0 : (uint32_t)height * 2, &now);
        for (uint32_t i = 0; i < PARTIES; i++) {
            kh_package p;
            cr_assert_eq(kh_package_read(now.packages[i], now.sizes[i], chain, &p), KH_OK);
            cr_assert_eq(p.height, height);
            cr_assert_eq(p.party, parties[i]);
            cr_assert_eq(p.count_before, before.counts[i]);
            cr_assert_eq(memcmp(p.head_before, before.heads[i], 32), 0);
            cr_assert_eq(p.count, now.counts[i]);
            cr_assert_eq(memcmp(p.head, now.heads[i], 32), 0);
            cr_assert_eq(p.count, p.count_before + p.item_cnt);
            cr_assert_eq(memcmp(p.root, now.root, 32), 0, "height %d party %u", (int)height, i);
            cr_assert_eq(p.top_cnt, 4);
            if (i == 1) cr_assert_eq(p.item_cnt, 0); /* the hidden head is there all the same */
            for (uint32_t k = 0; k < p.item_cnt; k++) {
                cr_assert_eq(kh_payload_decode(p.items[k].payload, p.items[k].payload_sz, &output), KH_OK);
                cr_assert_eq(output.kind, p.items[k].kind);
            }
            kh_package_free(&p);
        }
        let_go(&before);
        before = now;
    }
    let_go(&before);
    kh_maker_free(m);
}

/* The tree, by another hand: leaves from the package's fields, levels halved. */
static void fold_levels(uint8_t (*leaves)[32], uint32_t n, uint8_t ret[32])
{
    for (; n > 1; n /= 2)
        for (uint32_t i = 0; i < n / 2; i++) kh_merkle_node(leaves[2 * i], leaves[2 * i + 1], leaves[i]);
    memcpy(ret, leaves[0], 32);
}

Test(attest, counts_are_padded_and_leaves_bound)
{
    prepare();
    cr_assert_eq(kh_attest_padded(0), 1);
    cr_assert_eq(kh_attest_padded(1), 2);
    cr_assert_eq(kh_attest_padded(3), 4);
    cr_assert_eq(kh_attest_padded(4), 8);
    kh_maker *m = maker();
    made x;
    make(m, 5, NULL, 5, &x);
    kh_package p;
    cr_assert_eq(kh_package_read(x.packages[0], x.sizes[0], chain, &p), KH_OK);
    uint8_t leaves[8][32], seed[32], salt[KH_SALT_SZ], data[KH_LEAF_RECEIPT_SZ], digest[32], root[32];
    kh_attest_salt_seed(secret, 5, 11, seed);
    kh_leaf_head(p.head_salt, 11, p.count, p.head, data);
    kh_merkle_leaf(data, KH_LEAF_HEAD_SZ, leaves[0]);
    for (uint32_t i = 0; i < 5; i++) {
        const kh_package_item *item = &p.items[i];
        kh_attest_salt(seed, i + 1, salt);
        cr_assert_eq(memcmp(salt, item->salt, KH_SALT_SZ), 0);
        kh_sha256(item->payload, item->payload_sz, digest);
        if (item->kind == KH_OUTPUT_RECEIPT) {
            memcpy(output.batch, item->batch, 32);
            memcpy(output.op_digest, item->op_digest, 32);
            output.op_index = item->op_index;
            kh_leaf_receipt(salt, chain, 5, &output, digest, data);
            kh_merkle_leaf(data, KH_LEAF_RECEIPT_SZ, leaves[i + 1]);
        } else {
            kh_leaf_notice(salt, chain, 5, digest, data);
            kh_merkle_leaf(data, KH_LEAF_NOTICE_SZ, leaves[i + 1]);
        }
    }
    for (uint32_t i = 6; i < 8; i++) {
        kh_attest_salt(seed, i, salt);
        kh_leaf_fill(salt, data);
        kh_merkle_leaf(data, KH_LEAF_FILL_SZ, leaves[i]);
    }
    /* Each item's path leads from its leaf to the subtree. */
    for (uint32_t i = 0; i < 5; i++) {
        uint8_t path[KH_MERKLE_PATH_MAX][32];
        uint32_t path_n = 0;
        cr_assert_eq(kh_package_path(x.packages[0], x.sizes[0], chain, i, path, &path_n), KH_OK);
        cr_assert_eq(path_n, 3);
        cr_assert(kh_merkle_fold(leaves[p.items[i].leaf], p.items[i].leaf, 8, (const uint8_t(*)[32])path, path_n, root));
        cr_assert_eq(memcmp(root, p.subtree, 32), 0);
    }
    uint8_t path[KH_MERKLE_PATH_MAX][32];
    uint32_t path_n = 0;
    cr_assert_eq(kh_package_path(x.packages[0], x.sizes[0], chain, 5, path, &path_n), KH_E_ARG);
    fold_levels(leaves, 8, root);
    cr_assert_eq(memcmp(root, p.subtree, 32), 0);
    kh_package_free(&p);
    let_go(&x);
    kh_maker_free(m);
}

/* Every bit of a package: refused, or another root, or said of another height (whose attested root is another). */
Test(attest, every_byte_matters)
{
    prepare();
    kh_maker *m = maker();
    made before, x;
    make(m, 4, NULL, 7, &before);
    make(m, 5, &before, 6, &x);
    for (uint32_t party = 0; party < PARTIES; party++)
        for (size_t at = 0; at < x.sizes[party]; at++)
            for (uint32_t bit = 0; bit < 8; bit++) {
                kh_package p;
                x.packages[party][at] ^= (uint8_t)(1u << bit);
                if (kh_package_read(x.packages[party], x.sizes[party], chain, &p) == KH_OK) {
                    bool same_chain =
                        p.count_before == before.counts[party] && memcmp(p.head_before, before.heads[party], 32) == 0;
                    cr_assert(memcmp(p.root, x.root, 32) != 0 || p.height != 5 || !same_chain, "party %u byte %zu bit %u", party,
                              at, bit);
                    if (p.item_cnt > 0) cr_assert(memcmp(p.root, x.root, 32) != 0, "party %u byte %zu bit %u", party, at, bit);
                    kh_package_free(&p);
                }
                x.packages[party][at] ^= (uint8_t)(1u << bit);
            }
    for (size_t cut = 0; cut < x.sizes[0]; cut++) {
        kh_package p;
        cr_assert_neq(kh_package_read(x.packages[0], cut, chain, &p), KH_OK);
    }
    uint8_t *longer = calloc(1, x.sizes[0] + 1);
    kh_package p;
    memcpy(longer, x.packages[0], x.sizes[0]);
    cr_assert_neq(kh_package_read(longer, x.sizes[0] + 1, chain, &p), KH_OK);
    for (uint32_t cnt = 0; cnt < 9; cnt++) { /* another number of leaves above leads nowhere */
        kh_store32(longer + 92, cnt);
        cr_assert(cnt == 4 || kh_package_read(longer, x.sizes[0], chain, &p) != KH_OK);
    }
    free(longer);
    let_go(&before), let_go(&x);
    kh_maker_free(m);
}

/* An output left out, doubled or moved shows: in the chain's head, and so in the root. */
Test(attest, gaps_show)
{
    prepare();
    kh_maker *m = maker();
    made x;
    uint8_t root[32];
    uint64_t counts[PARTIES] = {0};
    uint8_t heads[PARTIES][32] = {{0}};
    make(m, 5, NULL, 4, &x);
    for (uint32_t left_out = 0; left_out < 4; left_out++) {
        kh_maker_begin(m, chain, secret, 5, parties, counts, (const uint8_t(*)[32])heads, PARTIES);
        for (uint32_t i = 0; i < 4; i++) {
            if (i != left_out)
                cr_assert_eq(kh_maker_add(m, 11, i % 3 == 2 ? notice_of(11, i % 2 == 0) : receipt_of(11, i, i % 4)), KH_OK);
            if (i == 0) cr_assert_eq(kh_maker_add(m, 40, receipt_of(40, i, 1)), KH_OK);
        }
        cr_assert_eq(kh_maker_end(m, root), KH_OK);
        cr_assert_neq(memcmp(root, x.root, 32), 0);
        uint64_t count;
        uint8_t head[32];
        kh_maker_head(m, 0, &count, head);
        cr_assert_eq(count, 3);
        cr_assert_neq(memcmp(head, x.heads[0], 32), 0);
    }
    let_go(&x);
    kh_maker_free(m);
}

Test(attest, digests_posted_differ)
{
    prepare();
    uint8_t a[32], b[32], c[32], d[32], group[32] = {1};
    kh_attest_secret(group, a);
    group[0] = 2;
    kh_attest_secret(group, b);
    cr_assert_neq(memcmp(a, b, 32), 0);
    kh_attest_posted(secret, 5, chain, NULL, a);
    kh_attest_posted(secret, 6, chain, NULL, b);
    kh_attest_posted(a, 5, chain, NULL, c);
    kh_attest_posted(secret, 5, chain, chain, d);
    cr_assert(memcmp(a, b, 32) != 0 && memcmp(a, c, 32) != 0 && memcmp(a, d, 32) != 0);
    kh_attest_salt_seed(secret, 5, 11, a);
    kh_attest_salt_seed(secret, 5, 12, b);
    kh_attest_salt_seed(secret, 6, 11, c);
    cr_assert(memcmp(a, b, 32) != 0 && memcmp(a, c, 32) != 0);
}

Test(attest, without_banks)
{
    prepare();
    kh_maker *m = maker();
    uint8_t root[32], empty[32];
    kh_maker_begin(m, chain, secret, 5, NULL, NULL, NULL, 0);
    cr_assert_eq(kh_maker_add(m, 11, receipt_of(11, 0, 1)), KH_OK);
    cr_assert_eq(kh_maker_end(m, root), KH_OK);
    kh_sha256("", 0, empty);
    cr_assert_eq(memcmp(root, empty, 32), 0);
    kh_maker_free(m);
}

static void golden(const char *name, const uint8_t *p, size_t n)
{
    char path[512];
    const char *top = getenv("KH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/attest/%s.hex", top != NULL ? top : ".", name);
    char *hex = malloc(2 * n + 1), *kept = calloc(1, 2 * n + 1);
    kh_hex(p, n, hex);
    if (getenv("KH_GOLDEN_PRINT") != NULL) fprintf(stderr, "GOLDEN %s %s\n", name, hex);
    FILE *f = fopen(path, "r");
    cr_assert(f != NULL, "%s", path);
    cr_assert_eq(fread(kept, 1, 2 * n, f), 2 * n);
    fclose(f);
    cr_assert_str_eq(hex, kept, "%s", name);
    free(hex), free(kept);
}

Test(attest, golden_package)
{
    prepare();
    kh_maker *m = maker();
    made x;
    make(m, 5, NULL, 6, &x);
    golden("package", x.packages[0], x.sizes[0]);
    golden("root", x.root, 32);
    let_go(&x);
    kh_maker_free(m);
}

/* What a view begins with is of height 0 and nothing else is: it is never taken for what hubs attested, nor the other way round.
 */
Test(attest, openings_are_of_height_0)
{
    static const uint8_t tag[32] = {1}, secret[32] = {2}, heads[1][32];
    static const uint64_t counts[1];
    static const uint32_t parties[1] = {11};
    kh_maker *m = maker();
    for (uint32_t i = 0; i < 6; i++) {
        uint8_t root[32], *p;
        size_t n;
        kh_package package;
        bool opens = i % 3 == 0, begins = i < 3;
        kh_output *o = i % 3 == 2 ? notice_of(11, false) : receipt_of(11, 1, 2);
        if (opens) o->kind = KH_OUTPUT_OPENING;
        kh_maker_begin(m, tag, secret, begins ? 0 : 5, parties, counts, heads, 1);
        cr_assert_eq(kh_maker_add(m, 11, o), KH_OK);
        cr_assert_eq(kh_maker_end(m, root), KH_OK);
        cr_assert_eq(kh_maker_package(m, 0, &p, &n), KH_OK);
        kh_err err = kh_package_read(p, n, tag, &package);
        cr_assert_eq(err, opens == begins ? KH_OK : KH_E_FORMAT, "%u", i);
        if (err == KH_OK) {
            cr_assert_eq(memcmp(package.root, root, 32), 0);
            kh_package_free(&package);
        }
        free(p);
    }
    kh_maker_free(m);
}
