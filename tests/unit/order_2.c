/* Unit tests of order: attestations, quorums, and who is named for a lie. */
#include "order_fixture.h"
#include <criterion/criterion.h>
#include "order/inside.h"

static chain c;

/* Blocks with one batch each, up to a height. */
static void blocks_to(uint64_t height)
{
    uint32_t incarnation;
    uint64_t sequence;
    while (kh_order_height(c.order) < height) {
        cr_assert(kh_order_next(c.order, 11, &incarnation, &sequence));
        fx_batch(&c, 11, sequence);
        fx_next(&c, 10);
        cr_assert(c.block.codes[0] == KH_R_OK);
    }
}

static uint64_t attested(uint8_t ret_posted[32]) { return kh_order_attested(c.order, ret_posted); }

static uint16_t said(kh_attestation *a)
{
    uint32_t n = fx_add_word(&c, a);
    cr_assert(fx_process(&c)); /* what a hub signed is always voted for */
    fx_next(&c, 10);
    return c.block.codes[n];
}

static bool named(uint32_t hub, uint64_t height, bool proven)
{
    for (uint32_t i = 0; i < c.block.liar_cnt; i++)
        if (c.block.liars[i].hub == hub && c.block.liars[i].height == height && c.block.liars[i].proven == proven) return true;
    return false;
}

Test(order_words, a_quorum_moves_the_attested_height)
{
    uint8_t posted[32], wanted[32];
    kh_public_leaf leaf;
    uint32_t index, cnt, path_n;
    uint8_t path[KH_MERKLE_PATH_MAX][32];
    fx_begin(&c);
    blocks_to(5);
    cr_assert(attested(posted) == 0);
    kh_attestation a = fx_word(&c, 51, 5);
    cr_assert(said(&a) == KH_R_OK && !c.block.attested_moved && attested(posted) == 0);
    cr_assert(said(&a) == KH_R_REPEATED && c.block.liar_cnt == 0);
    a.hub = 53;
    cr_assert(said(&a) == KH_R_OK && c.block.attested_moved && attested(posted) == 5);
    memcpy(wanted, a.posted, 32);
    cr_assert(memcmp(posted, wanted, 32) == 0 && c.block.liar_cnt == 0);
    cr_assert(kh_order_public(c.order, "a", 1, &leaf, &index, &cnt, path, &path_n) && leaf.value_n == 40);
    cr_assert(kh_load64(leaf.value) == 5 && memcmp(leaf.value + 8, wanted, 32) == 0);
    a.hub = 52; /* late, and alike */
    cr_assert(said(&a) == KH_R_OK && !c.block.attested_moved && c.block.liar_cnt == 0);
    /* A lower one that is agreed upon later moves nothing. */
    blocks_to(10);
    a = fx_word(&c, 51, 10);
    cr_assert(said(&a) == KH_R_OK);
    a.hub = 52;
    cr_assert(said(&a) == KH_R_OK && attested(posted) == 10);
    a = fx_word(&c, 51, 9);
    memcpy(a.app_hash, kh_apps_find(c.order, 9), 32);
    cr_assert(said(&a) == KH_R_OK);
    a.hub = 52;
    cr_assert(said(&a) == KH_R_OK && !c.block.attested_moved && attested(posted) == 10);
    fx_end(&c);
}

Test(order_words, who_may_attest_what)
{
    fx_begin(&c);
    blocks_to(6);
    kh_attestation a = fx_word(&c, 11, 6), good = fx_word(&c, 51, 6);
    cr_assert(said(&a) == KH_R_NOT_AUTHORISED); /* no hub */
    a = good;
    a.hub = 52;
    uint8_t bytes[KH_ATTESTATION_SZ];
    kh_signer *other = fx_signer(c.suite, 51, USE_ATTEST, 0), *sender = fx_signer(c.suite, 52, USE_SENDER, 0);
    cr_assert(kh_attestation_make(other, &a, bytes) == KH_OK); /* another hub's key */
    fx_add(&c, bytes, sizeof bytes);
    cr_assert(!fx_process(&c));
    fx_next(&c, 10);
    cr_assert(c.block.codes[0] == KH_R_NOT_AUTHORISED && c.block.liar_cnt == 0);
    cr_assert(kh_attestation_make(sender, &a, bytes) == KH_OK); /* its own, for something else */
    fx_add(&c, bytes, sizeof bytes);
    cr_assert(!fx_process(&c));
    fx_next(&c, 10);
    cr_assert(c.block.codes[0] == KH_R_NOT_AUTHORISED);
    kh_signer_free(other);
    kh_signer_free(sender);
    a = good;
    a.epoch = 2;
    cr_assert(said(&a) == KH_R_NOT_AUTHORISED);
    a.epoch = 0;
    cr_assert(said(&a) == KH_R_NOT_AUTHORISED);
    a = good;
    a.height = kh_order_height(c.order) + 1; /* the block that it stands in */
    cr_assert(said(&a) == KH_R_NOT_AUTHORISED);
    a.height = 4; /* before the first */
    cr_assert(said(&a) == KH_R_NOT_AUTHORISED);
    a = good;
    a.flags = 2;
    fx_add_word(&c, &a);
    cr_assert(!fx_process(&c));
    fx_next(&c, 10);
    cr_assert(c.block.codes[0] == KH_R_MALFORMED);
    cr_assert(said(&good) == KH_R_OK);
    fx_end(&c);
}

Test(order_words, this_chains_own_hash_shows_a_lie)
{
    fx_begin(&c);
    blocks_to(5);
    kh_attestation a = fx_word(&c, 51, 5);
    fx_next(&c, 10); /* empty: height 6 has the hash of 5 */
    a.height = 6;
    cr_assert(said(&a) == KH_R_OK);
    a.height = 5;
    a.app_hash[0] ^= 1;
    fx_add_word(&c, &a);
    cr_assert(kh_order_offerable(c.order, c.spans[0].p, c.spans[0].n, c.time) == KH_R_OK); /* news */
    fx_next(&c, 10);
    cr_assert(c.block.codes[0] == KH_R_REFUSED && c.block.liar_cnt == 1 && named(51, 5, true));
    fx_add_word(&c, &a);
    cr_assert(kh_order_offerable(c.order, c.spans[0].p, c.spans[0].n, c.time) == KH_R_REPEATED);
    fx_next(&c, 10);
    cr_assert(c.block.codes[0] == KH_R_REPEATED && c.block.liar_cnt == 0);
    a.app_hash[0] ^= 1; /* the truth comes too late */
    cr_assert(said(&a) == KH_R_REPEATED);
    a.hub = 52;
    cr_assert(said(&a) == KH_R_OK && !c.block.attested_moved);
    fx_end(&c);
}

Test(order_words, a_hub_that_contradicts_itself)
{
    fx_begin(&c);
    blocks_to(5);
    kh_attestation a = fx_word(&c, 51, 5), b = a;
    b.posted[3] ^= 4;
    cr_assert(said(&a) == KH_R_OK);
    cr_assert(said(&b) == KH_R_REFUSED && c.block.liar_cnt == 1 && named(51, 5, true));
    a.hub = 52; /* its first word counts no more */
    cr_assert(said(&a) == KH_R_OK && !c.block.attested_moved);
    a.hub = 53;
    cr_assert(said(&a) == KH_R_OK && c.block.attested_moved);
    fx_end(&c);
}

Test(order_words, two_differ_and_the_quorum_says_who_lies)
{
    uint8_t posted[32];
    fx_begin(&c);
    blocks_to(5);
    kh_attestation truth = fx_word(&c, 51, 5), lie = fx_word(&c, 52, 5);
    lie.outputs_root[7] ^= 1;
    cr_assert(said(&lie) == KH_R_OK && c.block.liar_cnt == 0);
    cr_assert(said(&truth) == KH_R_OK && c.block.liar_cnt == 2 && named(51, 5, false) && named(52, 5, false));
    truth.hub = 53;
    cr_assert(said(&truth) == KH_R_OK && c.block.liar_cnt == 1 && named(52, 5, true) && attested(posted) == 5);
    lie.posted[1] ^= 1; /* it is known for a liar there */
    cr_assert(said(&lie) == KH_R_REPEATED && c.block.liar_cnt == 0);
    /* The other way round: the quorum first. */
    blocks_to(kh_order_height(c.order) + 1);
    truth = fx_word(&c, 51, kh_order_height(c.order)), lie = truth;
    lie.hub = 53;
    lie.posted[0] ^= 1;
    cr_assert(said(&truth) == KH_R_OK);
    truth.hub = 52;
    cr_assert(said(&truth) == KH_R_OK && c.block.attested_moved);
    cr_assert(said(&lie) == KH_R_REFUSED && c.block.liar_cnt == 1 && named(53, lie.height, true));
    fx_end(&c);
}

/* Of a checkpoint a hub says another word than of its height, later, and the two count apart. */
Test(order_words, checkpoints)
{
    uint8_t posted[32], before[32], after[32];
    kh_public_leaf leaf;
    uint32_t index, cnt, path_n;
    uint8_t path[KH_MERKLE_PATH_MAX][32];
    fx_begin(&c);
    blocks_to(5);
    kh_attestation a = fx_word(&c, 51, 5), state = a;
    state.flags = KH_ATTEST_CHECKPOINT;
    memset(state.posted, 0x77, 32);
    cr_assert(said(&a) == KH_R_OK);
    cr_assert(said(&state) == KH_R_OK && c.block.liar_cnt == 0);
    cr_assert(said(&state) == KH_R_REPEATED);
    a.hub = state.hub = 52;
    cr_assert(kh_order_checkpoint(c.order, posted) == 0 && !kh_order_public(c.order, "k", 1, &leaf, &index, &cnt, path, &path_n));
    memcpy(before, c.block.public_root, 32);
    cr_assert(said(&state) == KH_R_OK && c.block.liar_cnt == 0 && !c.block.attested_moved && attested(posted) == 0);
    memcpy(after, c.block.public_root, 32);
    cr_assert(memcmp(before, after, 32) != 0);
    cr_assert(kh_order_checkpoint(c.order, posted) == 5 && posted[0] == 0x77 && posted[31] == 0x77);
    cr_assert(kh_order_public(c.order, "k", 1, &leaf, &index, &cnt, path, &path_n) && leaf.value_n == 40);
    cr_assert(kh_load64(leaf.value) == 5 && memcmp(leaf.value + 8, posted, 32) == 0);
    cr_assert(said(&a) == KH_R_OK && c.block.attested_moved && attested(posted) == 5 && posted[0] == a.posted[0]);
    /* Another state than the quorum's is a lie, though of the height itself the same is said; and it is saved apart. */
    a.hub = state.hub = 53;
    state.posted[9] ^= 1;
    cr_assert(said(&state) == KH_R_REFUSED && c.block.liar_cnt == 1 && named(53, 5, true));
    cr_assert(said(&a) == KH_R_OK && c.block.liar_cnt == 0);
    uint8_t *saved;
    size_t n;
    kh_order *loaded;
    cr_assert(kh_order_save(c.order, &saved, &n) == KH_OK);
    cr_assert(kh_order_load(c.genesis, c.genesis_n, saved, n, &loaded) == KH_OK);
    cr_assert(kh_order_checkpoint(loaded, posted) == 5 && posted[0] == 0x77);
    kh_order_free(loaded);
    free(saved);
    /* Two states and no quorum: both are named, and a lower one moves nothing. */
    blocks_to(kh_order_height(c.order) + 2);
    uint64_t top = kh_order_height(c.order);
    kh_attestation high = fx_word(&c, 51, top), other = high;
    high.flags = other.flags = KH_ATTEST_CHECKPOINT;
    other.hub = 52;
    other.posted[0] ^= 1;
    cr_assert(said(&high) == KH_R_OK && c.block.liar_cnt == 0);
    cr_assert(said(&other) == KH_R_OK && c.block.liar_cnt == 2 && named(51, top, false) && named(52, top, false));
    cr_assert(kh_order_checkpoint(c.order, posted) == 5);
    high.hub = 53;
    cr_assert(said(&high) == KH_R_OK && c.block.liar_cnt == 1 && named(52, top, true));
    cr_assert(kh_order_checkpoint(c.order, posted) == top && attested(posted) == 5);
    kh_attestation low = fx_word(&c, 51, top - 1);
    memcpy(low.app_hash, kh_apps_find(c.order, top - 1), 32);
    low.flags = KH_ATTEST_CHECKPOINT;
    cr_assert(said(&low) == KH_R_OK);
    low.hub = 53;
    cr_assert(said(&low) == KH_R_OK && kh_order_checkpoint(c.order, posted) == top);
    fx_end(&c);
}

Test(order_words, one_hub_alone)
{
    uint8_t posted[32];
    fx_begin_with(&c, KH_SUITE_INTL, 1);
    blocks_to(6);
    kh_attestation a = fx_word(&c, 51, 6);
    cr_assert(said(&a) == KH_R_OK && attested(posted) == 6);
    fx_end(&c);
}

Test(order_words, what_is_remembered_is_bounded)
{
    uint8_t posted[32], hash[32] = {7};
    fx_begin(&c);
    blocks_to(5);
    kh_attestation old = fx_word(&c, 51, 5);
    memset(old.app_hash, 9, 32); /* not the chain's hash: as long as it is remembered, a lie */
    for (uint32_t i = 0; i < KH_APP_HASHES; i++) kh_apps_turn(c.order), kh_apps_add(c.order, 6, hash);
    cr_assert(c.order->app_cnt == KH_APP_HASHES && kh_apps_find(c.order, 5) == NULL);
    fx_next(&c, 10);
    /* Older than the hashes that are remembered: hubs that come from far behind are heard, and nodes check what they keep. */
    cr_assert(said(&old) == KH_R_OK);
    old.hub = 52;
    cr_assert(said(&old) == KH_R_OK && attested(posted) == 5);
    old.hub = 53; /* attested and forgotten: nothing is left to say */
    cr_assert(said(&old) == KH_R_REPEATED);
    c.order->word_cnt = 0;
    for (uint32_t i = 0; i < KH_WORDS_MAX; i++)
        c.order->words[c.order->word_cnt++] = (kh_word){.height = 6, .hub = 100 + i, .flags = KH_WORD_SAID};
    kh_attestation a = fx_word(&c, 51, kh_order_height(c.order));
    cr_assert(said(&a) == KH_R_OK && c.order->word_cnt == KH_WORDS_MAX);
    cr_assert(c.order->words[KH_WORDS_MAX - 1].hub == 51 && c.order->words[0].hub == 101);
    cr_assert(said(&a) == KH_R_REPEATED);
    fx_end(&c);
}
