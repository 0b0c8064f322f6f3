/* Unit tests of order: bytes, certificates, incarnations, what may be voted for. */
#include "order_fixture.h"
#include <criterion/criterion.h>
#include "log/envelope.h"
#include "order/inside.h"

_Static_assert(KH_BODY_MAX_SZ == KH_ENVELOPE_MAX_SZ, "what may be certified is what an envelope may be");

static chain c;

static uint64_t next_of(uint32_t sender)
{
    uint32_t incarnation;
    uint64_t sequence;
    cr_assert(kh_order_next(c.order, sender, &incarnation, &sequence));
    return sequence;
}

/* What offering says of the one transaction that is gathered, what voting says, and its result; the first and the last agree
   (but where a lie is news), and nothing is changed before. */
static kh_order_code offered;
static bool voted;
static uint16_t judged(uint64_t ms)
{
    uint8_t *before, *after;
    size_t before_n, after_n;
    cr_assert(kh_order_save(c.order, &before, &before_n) == KH_OK);
    offered = kh_order_offerable(c.order, c.spans[0].p, c.spans[0].n, c.time + ms * 1000000);
    voted = kh_order_process(c.order, kh_order_height(c.order) + 1, c.time + ms * 1000000, c.spans, 1);
    cr_assert(kh_order_save(c.order, &after, &after_n) == KH_OK);
    cr_assert(before_n == after_n && memcmp(before, after, after_n) == 0);
    free(before);
    free(after);
    fx_next(&c, ms);
    cr_assert(offered == c.block.codes[0]);
    return c.block.codes[0];
}

static void hex_is(const uint8_t digest[32], const char *hex)
{
    char text[65];
    kh_hex(digest, 32, text);
    cr_assert_str_eq(text, hex);
}

/* The bytes of docs/CLUSTER.md: genesis, certificate, attestation, change, incarnation, holds, a small chain. */
Test(order, golden)
{
    uint8_t digest[32], hash[32];
    fx_begin(&c);
    kh_sha256(c.genesis, c.genesis_n, digest);
    hex_is(digest, "3ece87c158eefd6a079fffd60c395a3e09a95ff1030c8e4953ae5bc4cba92e43");
    kh_order_chain(c.order, digest);
    hex_is(digest, "e8969358d10023aae34e1e1053304bed43bb2206c283450dd579fc2b585f7fae");
    kh_order_app_hash(c.order, hash);
    hex_is(hash, "9b9a84c1600f7dbbe7b3d98906898b6966dc451c7b034b0fd8fb265abcf94dfd");
    fx_batch(&c, 11, 1);
    fx_batch(&c, 51, 1);
    fx_batch(&c, 11, 7);
    fx_next(&c, 50);
    cr_assert(c.block.codes[0] == KH_R_OK && c.block.codes[1] == KH_R_OK && c.block.codes[2] == KH_R_BAD_SEQUENCE);
    hex_is(c.block.entries_root, "1d49f3fcc310f1d87e10ee5d909599c8c595196591c499233346325bc9bbdd7d");
    hex_is(c.block.public_root, "e1677c4eb2462a7863ba28e97641aef08aa3ea480afd80e32c0a1169c5f03bb2");
    hex_is(c.block.app_hash, "bb1514ebf9ea56d319ef9ad183f776f649733aee5a63e47c103b65ef2666bc7d");
    fx_next(&c, 50);
    fx_attest(&c, 51, 5);
    fx_attest(&c, 53, 5);
    kh_op op = {.type = KH_OP_RATE_SET,
                .rate_set = {.from = 840, .to = 392, .date = 9800, .rate = {15512, 2}, .source = kh_text_of("ECB")}};
    fx_change_op(&c, &op);
    fx_incarnate(&c, 12, 2, 0);
    fx_add(&c, (const uint8_t *)"garbage", 7);
    fx_next(&c, 50);
    cr_assert(c.block.codes[0] == KH_R_OK && c.block.codes[1] == KH_R_OK && c.block.codes[2] == KH_R_OK);
    cr_assert(c.block.codes[3] == KH_R_OK && c.block.codes[4] == KH_R_MALFORMED);
    hex_is(c.block.app_hash, "9337836441a94ba5770a974433ac68a61addb129082aa33d738c47bfd96c151b");
    fx_change_validator(&c, 15, 1);
    fx_next(&c, 50);
    cr_assert(c.block.codes[0] == KH_R_OK);
    hex_is(c.block.app_hash, "475a874e7ad453b783cb25e79fada48fde9c4b7a873eeec3f79595af62ef93b0");
    uint8_t *saved;
    size_t n;
    cr_assert(kh_order_save(c.order, &saved, &n) == KH_OK);
    kh_sha256(saved, n, digest);
    hex_is(digest, "74ed0798a2adfd74065bc390a1d54b61de4f176f886ab11514ec23d68b606cb0");
    free(saved);
    fx_checkpoint(&c);
    fx_next(&c, 50);
    fx_holds(&c, 12, 8, 0);
    fx_next(&c, 50);
    cr_assert(c.block.codes[0] == KH_R_OK);
    hex_is(c.block.app_hash, "10eab073ef9ebc26c832146a4612bc2c4633485d99ed229ecfb5482e3eeb9e05");
    fx_end(&c);
}

/* The hash again, put together here from the leaves that can be looked up. */
Test(order, the_app_hash_covers_what_it_says)
{
    static const char *const keys[] = {"a", "b", "c", "h", "o", "v"};
    uint8_t leaves[64][32], root[32], hash[32], data[32 + 8 + 96 + 10];
    uint32_t cnt = 0, index, path_n, all;
    uint8_t path[KH_MERKLE_PATH_MAX][32];
    fx_begin(&c);
    fx_batch(&c, 13, 1);
    fx_next(&c, 20);
    kh_public_leaf leaf;
    for (uint32_t id = 0, k = 0; k < 6 || id < 512;) {
        uint8_t key[80];
        uint8_t key_n = 1;
        if (k < 6) key[0] = (uint8_t)keys[k++][0];
        else key[0] = id < 256 ? 'm' : 's', key[1] = key[2] = key[3] = 0, key[4] = (uint8_t)id++, key_n = 5;
        if (!kh_order_public(c.order, key, key_n, &leaf, &index, &all, path, &path_n)) continue;
        uint8_t bytes[2 + 80 + 4096];
        kh_store16(bytes, leaf.key_n);
        memcpy(bytes + 2, leaf.key, leaf.key_n);
        memcpy(bytes + 2 + leaf.key_n, leaf.value, leaf.value_n);
        kh_merkle_leaf(bytes, 2u + leaf.key_n + leaf.value_n, leaves[index]);
        cr_assert(kh_merkle_fold(leaves[index], index, all, (const uint8_t(*)[32])path, path_n, root));
        cr_assert(memcmp(root, c.block.public_root, 32) == 0);
        cnt++;
    }
    cr_assert(kh_order_public(c.order, "rhold_ttl_applied", 17, &leaf, &index, &all, path, &path_n));
    cr_assert(leaf.value_n == 3 && memcmp(leaf.value, "30d", 3) == 0);
    uint8_t rule[] = "\x11\0rhold_ttl_applied30d";
    kh_merkle_leaf(rule, sizeof rule - 1, leaves[index]);
    cr_assert(cnt + 1 == all);
    kh_merkle_root(leaves, all, root);
    cr_assert(memcmp(root, c.block.public_root, 32) == 0);
    memcpy(data, "kanhe/app", 10);
    memcpy(data + 10, c.block.previous, 32);
    kh_store64(data + 42, 5);
    memcpy(data + 50, c.block.entries_root, 32);
    memcpy(data + 82, root, 32);
    kh_sha256(data, 114, hash);
    cr_assert(memcmp(hash, c.block.app_hash, 32) == 0);
    uint8_t entry[36] = {KH_TX_CERTIFICATE};
    memcpy(entry + 4, c.block.digests[0], 32);
    kh_merkle_leaf(entry, sizeof entry, hash);
    cr_assert(memcmp(hash, c.block.entries_root, 32) == 0);
    cr_assert(!kh_order_public(c.order, "w", 1, &leaf, &index, &all, path, &path_n));
    fx_end(&c);
}

Test(order, a_block_without_transactions_changes_no_hash)
{
    uint8_t before[32], after[32];
    fx_begin(&c);
    fx_batch(&c, 11, 1);
    fx_next(&c, 10);
    kh_order_app_hash(c.order, before);
    for (int i = 0; i < 3; i++) fx_next(&c, 10);
    kh_order_app_hash(c.order, after);
    cr_assert(memcmp(before, after, 32) == 0 && memcmp(c.block.app_hash, after, 32) == 0);
    cr_assert(kh_order_height(c.order) == 8 && kh_order_time(c.order) == c.time);
    fx_add(&c, (const uint8_t *)"", 0);
    fx_next(&c, 10);
    kh_order_app_hash(c.order, after);
    cr_assert(c.block.codes[0] == KH_R_MALFORMED && memcmp(before, after, 32) != 0);
    fx_end(&c);
}

Test(order, one_sequence_a_sender)
{
    fx_begin(&c);
    fx_batch(&c, 11, 2); /* not yet */
    cr_assert(judged(10) == KH_R_BAD_SEQUENCE && voted);
    cr_assert(c.block.item_cnt == 0 && next_of(11) == 1);
    fx_batch(&c, 11, 1);
    fx_batch(&c, 11, 2);
    fx_batch(&c, 12, 1);
    fx_batch(&c, 11, 4);
    fx_batch(&c, 11, 3);
    cr_assert(fx_process(&c));
    fx_next(&c, 10);
    static const uint16_t codes[] = {KH_R_OK, KH_R_OK, KH_R_OK, KH_R_BAD_SEQUENCE, KH_R_OK};
    cr_assert(memcmp(c.block.codes, codes, sizeof codes) == 0);
    cr_assert(c.block.item_cnt == 4 && c.block.items[3].sequence == 3 && c.block.items[2].sender == 12);
    cr_assert(c.block.items[0].kind == KH_ITEM_BATCH && c.block.items[0].size == 4096 && c.block.items[0].incarnation == 1);
    uint8_t digest[32];
    fx_digest(11, 1, 3, digest);
    cr_assert(memcmp(c.block.items[3].digest, digest, 32) == 0);
    cr_assert(next_of(11) == 4 && next_of(12) == 2);
    fx_batch(&c, 11, 3); /* again */
    cr_assert(judged(10) == KH_R_BAD_SEQUENCE && voted && c.block.item_cnt == 0 && next_of(11) == 4);
    fx_end(&c);
}

Test(order, expiry_is_by_block_time)
{
    fx_begin(&c);
    kh_ack ack = fx_ack(&c, 11, 1);
    ack.expires_ns = c.time + 1000 * 1000000;
    fx_add_ack(&c, &ack);
    cr_assert(judged(1001) == KH_R_EXPIRED && voted && next_of(11) == 1 && c.block.item_cnt == 0);
    ack.expires_ns = c.time + 1000 * 1000000;
    fx_add_ack(&c, &ack);
    cr_assert(judged(1000) == KH_R_OK && next_of(11) == 2); /* at its very end it is good */
    ack = fx_ack(&c, 11, 2);
    ack.expires_ns = c.time + 10 * 1000000 + KH_EXPIRES_MAX_NS + 1;
    fx_add_ack(&c, &ack);
    cr_assert(judged(10) == KH_R_MALFORMED && !voted && next_of(11) == 2);
    ack.expires_ns = c.time + 10 * 1000000 + KH_EXPIRES_MAX_NS;
    fx_add_ack(&c, &ack);
    cr_assert(judged(10) == KH_R_OK);
    fx_end(&c);
}

Test(order, a_certificate_is_exactly_a_quorum)
{
    static const uint16_t two[] = {0, 1}, four[] = {0, 1, 2, 3}, other[] = {1, 2, 3}, out[] = {1, 2, 4};
    static const struct {
        const uint16_t *places;
        uint32_t cnt;
        kh_order_code code;
    } cases[] = {
        {two, 2, KH_R_NOT_AUTHORISED}, {four, 4, KH_R_NOT_AUTHORISED}, {out, 3, KH_R_NOT_AUTHORISED}, {other, 3, KH_R_OK}};
    uint8_t buf[1024];
    fx_begin(&c);
    for (size_t i = 0; i < 4; i++) {
        kh_ack ack = fx_ack(&c, 11, 1);
        fx_add(&c, buf, fx_certify(&c, &ack, cases[i].places, cases[i].cnt, buf, sizeof buf));
        cr_assert(judged(10) == cases[i].code && voted == (cases[i].code == KH_R_OK));
    }
    /* Not ascending, twice the same, padding, a byte more, a byte less. */
    static const uint16_t falling[] = {1, 0, 3}, twice[] = {1, 1, 3};
    kh_ack ack = fx_ack(&c, 11, 2);
    fx_add(&c, buf, fx_certify(&c, &ack, falling, 3, buf, sizeof buf));
    cr_assert(judged(10) == KH_R_MALFORMED && !voted);
    fx_add(&c, buf, fx_certify(&c, &ack, twice, 3, buf, sizeof buf));
    cr_assert(judged(10) == KH_R_MALFORMED && !voted);
    size_t n = fx_certify(&c, &ack, three, 3, buf, sizeof buf - 1);
    buf[n] = 0;
    fx_add(&c, buf, n + 1);
    cr_assert(judged(10) == KH_R_MALFORMED && !voted);
    fx_add(&c, buf, n - 1);
    cr_assert(judged(10) == KH_R_MALFORMED && !voted);
    for (size_t at = 1; at < n; at++) { /* any byte altered: never good */
        uint8_t altered[1024];
        memcpy(altered, buf, n);
        altered[at] ^= 1;
        fx_add(&c, altered, n);
        cr_assert(judged(1) != KH_R_OK && c.block.item_cnt == 0);
    }
    fx_add(&c, buf, n);
    cr_assert(judged(10) == KH_R_OK && voted);
    fx_end(&c);
}

Test(order, acknowledgements_are_by_acknowledgement_keys)
{
    uint8_t buf[1024];
    fx_begin(&c);
    kh_ack ack = fx_ack(&c, 11, 1);
    kh_tx_signature signatures[3];
    for (uint16_t i = 0; i < 3; i++) {
        kh_signer *signer = fx_signer(c.suite, 11u + i, i == 2 ? USE_SENDER : USE_ACK, 0);
        signatures[i].index = i;
        cr_assert(kh_ack_sign(signer, &ack, signatures[i].signature) == KH_OK);
        kh_signer_free(signer);
    }
    fx_add(&c, buf, kh_certificate_encode(&ack, signatures, 3, buf, sizeof buf));
    cr_assert(judged(10) == KH_R_NOT_AUTHORISED && !voted);
    fx_end(&c);
}

Test(order, who_may_send)
{
    static const struct {
        uint32_t sender;
        kh_order_code code;
    } cases[] = {{11, KH_R_OK},
                 {15, KH_R_OK},
                 {51, KH_R_OK},
                 {1, KH_R_NOT_AUTHORISED},
                 {31, KH_R_NOT_AUTHORISED},
                 {99, KH_R_NOT_AUTHORISED}};
    fx_begin(&c);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fx_batch(&c, cases[i].sender, 1);
        cr_assert(judged(10) == cases[i].code && voted); /* a matter of state: void, but no reason to stop a block */
    }
    kh_ack ack = fx_ack(&c, 11, 2);
    ack.set = 2;
    fx_add_ack(&c, &ack);
    cr_assert(judged(10) == KH_R_NOT_AUTHORISED && voted);
    ack = fx_ack(&c, 11, 2);
    ack.chain[5] ^= 1;
    fx_add_ack(&c, &ack);
    cr_assert(judged(10) == KH_R_MALFORMED && !voted);
    ack = fx_ack(&c, 11, 2);
    ack.length = 0;
    fx_add_ack(&c, &ack);
    cr_assert(judged(10) == KH_R_MALFORMED && !voted);
    ack.length = KH_ENVELOPE_MAX_SZ + 1;
    fx_add_ack(&c, &ack);
    cr_assert(judged(10) == KH_R_MALFORMED && !voted);
    ack.length = KH_ENVELOPE_MAX_SZ;
    fx_add_ack(&c, &ack);
    cr_assert(judged(10) == KH_R_OK && voted);
    fx_end(&c);
}

Test(order, a_new_incarnation_voids_the_old)
{
    uint32_t incarnation;
    uint64_t sequence;
    fx_begin(&c);
    fx_batch(&c, 11, 1);
    fx_next(&c, 10);
    fx_incarnate(&c, 11, 3, 0);
    cr_assert(judged(10) == KH_R_BAD_SEQUENCE && voted);
    fx_incarnate(&c, 11, 1, 0);
    cr_assert(judged(10) == KH_R_BAD_SEQUENCE && voted);
    fx_incarnate(&c, 11, 2, 1); /* another's key */
    cr_assert(judged(10) == KH_R_NOT_AUTHORISED && !voted);
    fx_incarnate(&c, 1, 2, 0);
    cr_assert(judged(10) == KH_R_NOT_AUTHORISED && voted);
    fx_batch(&c, 11, 2);
    fx_incarnate(&c, 11, 2, 0);
    fx_batch(&c, 11, 3);
    kh_ack ack = fx_ack(&c, 11, 1);
    ack.incarnation = 2;
    fx_add_ack(&c, &ack);
    cr_assert(fx_process(&c));
    fx_next(&c, 10);
    static const uint16_t codes[] = {KH_R_OK, KH_R_OK, KH_R_BAD_SEQUENCE, KH_R_OK};
    cr_assert(memcmp(c.block.codes, codes, sizeof codes) == 0);
    cr_assert(kh_order_next(c.order, 11, &incarnation, &sequence) && incarnation == 2 && sequence == 2);
    fx_incarnate(&c, 11, 2, 0);
    cr_assert(judged(10) == KH_R_BAD_SEQUENCE);
    ack = fx_ack(&c, 11, 2); /* the right sequence of the old incarnation */
    fx_add_ack(&c, &ack);
    cr_assert(judged(10) == KH_R_BAD_SEQUENCE && voted && c.block.item_cnt == 0);
    cr_assert(!kh_order_next(c.order, 1, &incarnation, &sequence) && !kh_order_next(c.order, 77, &incarnation, &sequence));
    fx_end(&c);
}

Test(order, what_may_not_be_voted_for)
{
    fx_begin(&c);
    cr_assert(fx_process(&c)); /* nothing: yes */
    fx_batch(&c, 11, 1);
    cr_assert(fx_process(&c));
    cr_assert(!kh_order_process(c.order, 6, c.time, c.spans, 1) && !kh_order_process(c.order, 4, c.time, c.spans, 1));
    cr_assert(!kh_order_process(c.order, 5, c.time - 1, c.spans, 1));
    fx_batch(&c, 11, 1); /* doubled */
    cr_assert(!fx_process(&c));
    fx_clear(&c);
    fx_batch(&c, 11, 1);
    fx_add(&c, (const uint8_t *)"\5", 1);
    cr_assert(!fx_process(&c));
    fx_clear(&c);
    kh_tx_span *many = calloc(KH_ORDER_TXS_MAX + 1, sizeof *many);
    cr_assert(!kh_order_process(c.order, 5, c.time, many, KH_ORDER_TXS_MAX + 1));
    kh_order_block block;
    cr_assert(kh_order_finalize(c.order, 6, c.time, many, 0, &block) == KH_E_ARG);
    cr_assert(kh_order_finalize(c.order, 5, c.time - 1, many, 0, &block) == KH_E_ARG);
    cr_assert(kh_order_finalize(c.order, 5, c.time, many, KH_ORDER_TXS_MAX + 1, &block) == KH_OK);
    cr_assert(block.tx_cnt == KH_ORDER_TXS_MAX + 1 && block.codes[KH_ORDER_TXS_MAX] == KH_R_MALFORMED);
    free(many);
    fx_end(&c);
}

/* Voting verifies, execution remembers: with the keys gone in between it would fail. Other keys are another question. */
Test(order, a_signature_is_verified_once)
{
    fx_begin(&c);
    for (int remembered = 1; remembered >= 0; remembered--) {
        fx_batch(&c, 12, remembered == 1 ? 1 : 2);
        cr_assert(fx_process(&c));
        if (remembered == 0) memset(c.order->seen, 0, KH_SIGNATURES_SEEN * sizeof *c.order->seen);
        memset(c.order->now.ack, 0, sizeof c.order->now.ack);
        fx_next(&c, 10);
        cr_assert(c.block.codes[0] == (remembered == 1 ? KH_R_OK : KH_R_NOT_AUTHORISED));
        kh_voters_make(c.order);
    }
    for (int same = 1; same >= 0; same--) {
        fx_attest(&c, same == 1 ? 51 : 52, 5);
        cr_assert(fx_process(&c));
        if (same == 0) fx_public(c.suite, 52, USE_ATTEST, 1, c.order->hubs.attest[1]);
        uint8_t digest[32], keys[32];
        kh_sha256(c.spans[0].p, c.spans[0].n, digest);
        kh_sha256(c.order->hubs.attest[same == 1 ? 0 : 1], KH_PUBLIC_SZ, keys);
        cr_assert(kh_seen_before(c.order, digest, keys) == (same == 1));
        fx_next(&c, 10);
        cr_assert((c.block.codes[0] == KH_R_NOT_AUTHORISED) == (same == 0));
    }
    uint8_t digest[32], keys[32];
    fx_attest(&c, 53, 5);
    c.txs[0][KH_ATTESTATION_SZ - 1] ^= 1; /* as if it had been found good */
    kh_sha256(c.spans[0].p, c.spans[0].n, digest);
    kh_sha256(c.order->hubs.attest[2], KH_PUBLIC_SZ, keys);
    cr_assert(!fx_process(&c));
    kh_seen_now(c.order, digest, keys);
    cr_assert(fx_process(&c));
    fx_end(&c);
}

Test(order, an_acknowledgement_that_was_looked_at_is_not_looked_at_again)
{
    kh_certificate cert;
    fx_begin(&c);
    for (int all = 0; all <= 1; all++) {
        fx_batch(&c, 12, (uint64_t)all + 1);
        cr_assert(kh_certificate_read(c.spans[0].p, c.spans[0].n, &cert) == KH_OK && cert.cnt >= 2);
        uint8_t changed[KH_SIGNATURE_SZ];
        memcpy(changed, cert.signatures[0].signature, sizeof changed);
        changed[40] ^= 1;
        cr_assert(!kh_order_acknowledged(c.order, &cert.ack, cert.signatures[0].index, changed));
        cr_assert(!kh_order_acknowledged(c.order, &cert.ack, c.order->now.cnt, cert.signatures[0].signature));
        for (uint32_t i = all == 1 ? 0 : 1; i < cert.cnt; i++)
            cr_assert(kh_order_acknowledged(c.order, &cert.ack, cert.signatures[i].index, cert.signatures[i].signature));
        memset(c.order->now.ack, 0, sizeof c.order->now.ack); /* whoever is looked at from here on is nobody */
        cr_assert(!kh_order_acknowledged(c.order, &cert.ack, cert.signatures[0].index, changed));
        fx_next(&c, 10);
        cr_assert(c.block.codes[0] == (all == 1 ? KH_R_BAD_SEQUENCE : KH_R_NOT_AUTHORISED));
        kh_voters_make(c.order);
    }
    fx_end(&c);
}

Test(order, no_hub_attests_for_long)
{
    kh_ack ack;
    fx_begin(&c);
    uint8_t digest[32] = {0};
    for (uint32_t i = 0; i < KH_UNATTESTED_MAX; i++) cr_assert(kh_unattested_add(c.order, 4, digest) == KH_OK);
    fx_batch(&c, 11, 1);
    cr_assert(judged(10) == KH_R_BUSY && voted && next_of(11) == 1);
    c.order->unattested_cnt--;
    ack = fx_ack(&c, 11, 1);
    fx_add_ack(&c, &ack);
    cr_assert(judged(10) == KH_R_OK);
    fx_attest(&c, 51, 6);
    fx_attest(&c, 52, 6);
    fx_next(&c, 10);
    cr_assert(c.order->unattested_cnt == 0);
    fx_end(&c);
}

Test(order, gm)
{
    fx_begin_with(&c, KH_SUITE_GM, 1);
    fx_batch(&c, 11, 1);
    cr_assert(judged(10) == KH_R_OK && voted);
    fx_attest(&c, 51, 5);
    cr_assert(judged(10) == KH_R_OK && voted && c.block.attested_moved);
    fx_change_validator(&c, 15, 1);
    cr_assert(judged(10) == KH_R_OK && voted);
    fx_incarnate(&c, 12, 2, 0);
    cr_assert(judged(10) == KH_R_OK && voted);
    fx_end(&c);
}
