/* words: one statement beside what hubs have said of its height. What was told is in memory, what was ordered in the order,
 * which a restart finds again: with both, who began with a state can tell whether it is the others' (hub/given.c). */
#include "cluster/parts.h"

/* Of so many epochs back a word of the same outcome is known for the same: each statement names one. */
#define EPOCHS_LOOKED 64u

static const uint8_t lie[32];

/* The word of a hub about it: the order's first, which others know. */
static bool word_of(kh_node *n, uint32_t hub, uint64_t height, uint32_t flags, uint8_t ret[32])
{
    if (kh_order_said(n->order, height, (flags & KH_ATTEST_CHECKPOINT) != 0, hub, ret)) return memcmp(ret, lie, 32) != 0;
    const kh_held *h = kh_attests_at(&n->attests, height, flags);
    for (uint32_t i = 0; h != NULL && i < h->cnt; i++)
        if (h->of[i].hub == hub) {
            kh_attestation_digest(&h->of[i], ret);
            return true;
        }
    return false;
}

static bool says(const kh_node *n, const kh_attestation *a, const uint8_t word[32])
{
    kh_attestation other = *a;
    uint8_t digest[32];
    for (uint32_t i = 0; i < EPOCHS_LOOKED && i < n->hubs.epoch; i++) {
        other.epoch = n->hubs.epoch - i;
        kh_attestation_digest(&other, digest);
        if (memcmp(digest, word, 32) == 0) return true;
    }
    return false;
}

void kh_node_words(kh_node *n, uint64_t height, const uint8_t app_hash[32], const uint8_t posted[32],
                   const uint8_t outputs_root[32], uint32_t flags, kh_node_said *ret)
{
    uint8_t words[KH_MEMBERS_MAX][32];
    uint32_t differing = 0;
    kh_attestation a = {.height = height, .flags = flags};
    memcpy(a.app_hash, app_hash, 32);
    memcpy(a.posted, posted, 32);
    memcpy(a.outputs_root, outputs_root, 32);
    kh_node_enter(n);
    memcpy(a.chain, n->chain_id, 32);
    *ret = (kh_node_said){.quorum = n->hubs.quorum};
    bool counts = kh_attest_losses(flags) == kh_order_losses(n->order, height);
    for (uint32_t i = 0; i < n->hubs.cnt; i++) {
        uint32_t hub = n->hubs.ids[i];
        ret->others += hub != n->options.self;
        if (!counts || !word_of(n, hub, height, flags, words[differing])) continue;
        if (!says(n, &a, words[differing])) differing++;
        else ret->same++, ret->own |= hub == n->options.self;
    }
    kh_node_leave(n);
    for (uint32_t i = 0; i < differing; i++) {
        uint32_t alike = 0;
        for (uint32_t j = 0; j < differing; j++) alike += memcmp(words[i], words[j], 32) == 0;
        ret->differ = alike > ret->differ ? alike : ret->differ;
    }
}

bool kh_words_contradict(kh_node *n, const kh_attestation *a)
{
    uint8_t said[32], digest[32];
    if (!kh_order_said(n->order, a->height, (a->flags & KH_ATTEST_CHECKPOINT) != 0, a->hub, said)) return false;
    kh_attestation_digest(a, digest);
    return memcmp(said, lie, 32) != 0 && memcmp(said, digest, 32) != 0 &&
           kh_attest_losses(a->flags) == kh_order_losses(n->order, a->height);
}
