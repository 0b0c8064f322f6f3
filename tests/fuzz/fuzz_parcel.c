/* fuzz_parcel: any bytes as a parcel, and any package in one that is sealed well. What nobody sealed to this bank does not open,
 * nor what was changed; a package that is read holds together: each item's path leads to its subtree's root, that one's to the
 * root over all banks, and a payload that decodes is written again as it stood.
 *
 * Input: {which 1: bit 0 the suite; then 0 a parcel, 1 a package, 2 a change in a sealed parcel: where 2, which bits 1} and
 * bytes. */
#include "attest/attest.h"
#include "cluster/node.h"
#include "crypto/digest.h"
#include <stdlib.h>

enum { PARTY = 11, OTHER = 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static kh_box *boxes[2];
static uint8_t publics[2][KH_PUBLIC_SZ];
static const uint8_t chain[32] = {0x11}, other_chain[32] = {0x12};

static kh_err same_bytes(void *self, void *p, size_t n)
{
    (void)self;
    memset(p, 0x55, n);
    return KH_OK;
}
static const kh_entropy entropy = {.fill = same_bytes};

static void prepare(void)
{
    static const uint8_t secret[KH_SECRET_SZ] = {0, 1};
    for (int i = 0; i < 2 && boxes[i] == NULL; i++) {
        if (kh_box_new(i == 0 ? KH_SUITE_INTL : KH_SUITE_GM, secret, &boxes[i]) != KH_OK) abort();
        kh_box_public(boxes[i], publics[i]);
    }
}

static void payload(const kh_package_item *item)
{
    static kh_output output;
    static uint8_t again[KH_PAYLOAD_MAX_SZ];
    if (kh_payload_decode(item->payload, item->payload_sz, &output) != KH_OK) return;
    KH_ASSERT(output.kind == item->kind);
    size_t n = kh_payload_encode(&output, again);
    KH_ASSERT(n == item->payload_sz && memcmp(again, item->payload, n) == 0);
}

static void leaf_of(const kh_package *p, const kh_package_item *item, uint8_t ret[32])
{
    uint8_t data[KH_LEAF_RECEIPT_SZ], digest[32];
    static kh_output output; /* what a leaf takes of it */
    kh_sha256(item->payload, item->payload_sz, digest);
    memcpy(output.batch, item->batch, 32);
    memcpy(output.op_digest, item->op_digest, 32);
    output.op_index = item->op_index;
    if (item->kind == KH_OUTPUT_RECEIPT) kh_leaf_receipt(item->salt, chain, p->height, &output, digest, data);
    else if (item->kind == KH_OUTPUT_OPENING) kh_leaf_opening(item->salt, chain, p->height, digest, data);
    else kh_leaf_notice(item->salt, chain, p->height, digest, data);
    kh_merkle_leaf(data, item->kind == KH_OUTPUT_RECEIPT ? KH_LEAF_RECEIPT_SZ : KH_LEAF_NOTICE_SZ, ret);
}

static void package(const uint8_t *bytes, size_t n)
{
    kh_package p;
    if (kh_package_read(bytes, n, chain, &p) != KH_OK) return;
    KH_ASSERT(p.count == p.count_before + p.item_cnt);
    for (uint32_t i = 0; i < p.item_cnt; i++) {
        uint8_t path[KH_MERKLE_PATH_MAX][32], leaf[32], root[32];
        uint32_t path_n = 0;
        const kh_package_item *item = &p.items[i];
        KH_ASSERT(item->payload >= bytes && item->payload + item->payload_sz <= bytes + n);
        payload(item);
        if (i % 7 != 0) continue;
        KH_ASSERT(kh_package_path(bytes, n, chain, i, path, &path_n) == KH_OK);
        leaf_of(&p, item, leaf);
        KH_ASSERT(kh_merkle_fold(leaf, item->leaf, kh_attest_padded(p.item_cnt), (const uint8_t(*)[32])path, path_n, root));
        KH_ASSERT(memcmp(root, p.subtree, 32) == 0);
    }
    kh_package_free(&p);
}

/* Does it open, for this bank and chain? It then opens for no other. */
static bool opens(int suite, const uint8_t *p, size_t n, uint64_t *ret_height, uint8_t **ret, size_t *ret_n)
{
    uint8_t *none;
    kh_suite s = suite == 0 ? KH_SUITE_INTL : KH_SUITE_GM;
    KH_ASSERT(!kh_parcel_open(s, boxes[suite], chain, OTHER, p, n, ret_height, &none, ret_n));
    KH_ASSERT(!kh_parcel_open(s, boxes[suite], other_chain, PARTY, p, n, ret_height, &none, ret_n));
    return kh_parcel_open(s, boxes[suite], chain, PARTY, p, n, ret_height, ret, ret_n);
}

static void sealed(int suite, const uint8_t *p, size_t n, size_t at, uint8_t bits)
{
    uint8_t *parcel, *text = NULL;
    size_t parcel_n, text_n = 0;
    uint64_t height = 0;
    if (kh_parcel_make(suite == 0 ? KH_SUITE_INTL : KH_SUITE_GM, publics[suite], &entropy, chain, PARTY, 7, p, n, &parcel,
                       &parcel_n) != KH_OK)
        abort();
    parcel[at % parcel_n] ^= bits;
    bool open = opens(suite, parcel, parcel_n, &height, &text, &text_n);
    KH_ASSERT(open == (bits == 0));
    if (open) {
        KH_ASSERT(height == 7 && text_n == n && memcmp(text, p, n) == 0);
        package(text, text_n);
        free(text);
    }
    free(parcel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t height;
    uint8_t *text;
    size_t n;
    prepare();
    if (size < 4) return 0;
    int suite = data[0] & 1;
    if (data[0] / 2 % 3 == 0) KH_ASSERT(!opens(suite, data + 1, size - 1, &height, &text, &n));
    else if (data[0] / 2 % 3 == 1) sealed(suite, data + 1, size - 1, 0, 0);
    else sealed(suite, data + 4, size - 4, (size_t)data[1] << 8 | data[2], data[3]);
    return 0;
}
