/* inside: what the files of order share: the replicated state, the cached tree over its public leaves, and one block's judging.
 */
#ifndef KH_ORDER_INSIDE_H
#define KH_ORDER_INSIDE_H
#include "crypto/digest.h"
#include "order/bytes.h"
#include "order/order.h"

#define KH_PUBLIC_MAX (1u << 17) /* public leaves */
#define KH_PUBLIC_KEY_MAX 80u
#define KH_PUBLIC_SPARE 1024u /* of them that rules and rates leave to the rest */
#define KH_CHANGE_BODY_MAX (64u << 10)
#define KH_BODY_MAX_SZ (9u << 20) /* a certified envelope's length, as KH_ENVELOPE_MAX_SZ */
#define KH_APP_HASHES 4096u       /* of the last blocks with transactions */
#define KH_WORDS_MAX 16384u       /* attestations that are remembered, lowest heights forgotten first */
#define KH_UNATTESTED_MAX 65536u  /* batches ordered above the attested height: then KH_R_BUSY */
#define KH_LOSSES_MAX 65536u      /* losses that are remembered, the oldest forgotten first */
#define KH_VALIDATOR_PAUSE 2u     /* blocks from one change of the validators to the next */
#define KH_SIGNATURES_SEEN 32768u /* transactions and acknowledgements whose signatures are remembered as good */

/* ---- members, genesis ---- */
#define KH_MEMBER_MAX_SZ (8u + 128u + 36u + 4u * KH_PUBLIC_SZ + 32u)
void kh_member_write(kh_writer *w, const kh_member *member);
bool kh_member_read(kh_reader *r, kh_member *ret); /* form alone */
/* kh_member_sound: ranges, the name's bytes, keys that may be keys. */
bool kh_member_sound(kh_suite suite, const kh_member *member);
/* kh_members_clash: two members that hold a key which must be one member's alone (acknowledging, attesting, voting). */
bool kh_members_clash(const kh_member *a, const kh_member *b);
int kh_keys_compare(const uint8_t *a, uint8_t a_n, const uint8_t *b, uint8_t b_n);
bool kh_public_key_sound(const uint8_t *key, uint8_t key_n, const uint8_t *value, size_t value_n); /* a rule's or a rate's leaf */
/* A member's PARTY_ADD and PARTY_STATUS as execution gets them; 0: it cannot be said. */
#define KH_PARTY_FRAMES_SZ 512u
size_t kh_member_frames(const kh_member *member, bool add, bool status, uint8_t buf[KH_PARTY_FRAMES_SZ], uint32_t *ret_cnt);

/* ---- transactions ---- */
typedef struct kh_certificate {
    kh_ack ack;
    uint32_t cnt;
    kh_tx_signature signatures[KH_MEMBERS_MAX];
} kh_certificate;
KH_MUST kh_err kh_certificate_read(const uint8_t *p, size_t n, kh_certificate *ret);
typedef struct kh_incarnation {
    uint8_t chain[32];
    uint32_t sender, incarnation;
    uint8_t signature[KH_SIGNATURE_SZ];
} kh_incarnation;
KH_MUST kh_err kh_incarnation_read(const uint8_t *p, size_t n, kh_incarnation *ret);
KH_MUST bool kh_incarnation_signed_by(kh_suite suite, const kh_incarnation *i, const uint8_t public_key[KH_PUBLIC_SZ]);

typedef struct kh_holds {
    uint8_t chain[32];
    uint64_t height;
    uint32_t member;
    uint8_t signature[KH_SIGNATURE_SZ];
} kh_holds;
KH_MUST kh_err kh_holds_read(const uint8_t *p, size_t n, kh_holds *ret);
KH_MUST bool kh_holds_signed_by(kh_suite suite, const kh_holds *h, const uint8_t public_key[KH_PUBLIC_SZ]);

/* ---- state ---- */
typedef struct kh_seat { /* a member, and what comes next from it */
    kh_member member;
    uint32_t incarnation; /* of banks and hubs */
    uint64_t next;
} kh_seat;
typedef struct kh_voters {
    uint32_t set_id, cnt;
    uint32_t ids[KH_MEMBERS_MAX];
    uint8_t ack[KH_MEMBERS_MAX][KH_PUBLIC_SZ], consensus[KH_MEMBERS_MAX][32];
    uint64_t until_ns; /* of the set before */
} kh_voters;
typedef struct kh_hub_set {
    uint32_t epoch, before, cnt;
    uint64_t before_until; /* height */
    uint8_t group[KH_PUBLIC_SZ];
    uint32_t ids[KH_MEMBERS_MAX];
    uint8_t attest[KH_MEMBERS_MAX][KH_PUBLIC_SZ];
} kh_hub_set;
#define KH_STATES_PAST 32u
typedef struct kh_states { /* checkpoints' states that validators hold */
    uint64_t gone;         /* bodies up to this height are given up */
    kh_order_state of[KH_STATES];
    uint32_t holders[KH_MEMBERS_MAX]; /* of the one that is wanted, ascending */
    uint32_t past_cnt;
    struct kh_state_past { /* those above `gone` that were held before the newest one, up to HELD_BEFORE, ascending */
        uint64_t height, time_ns;
    } past[KH_STATES_PAST];
} kh_states;
typedef struct kh_state_past kh_state_past;
typedef struct kh_past { /* a list that decides later results, as the public root has it */
    uint32_t cnt;
    uint8_t base[32], head[32]; /* the digest over what was forgotten at its front; over that and the cnt that stand */
} kh_past;
typedef struct kh_app_at {
    uint64_t height;
    uint8_t app_hash[32];
} kh_app_at;
enum { KH_WORD_SAID = 1, KH_WORD_LIED = 2, KH_WORD_CHECKPOINT = 4 };
typedef struct kh_word { /* what a hub said of a height, or of the checkpoint there */
    uint64_t height;
    uint32_t hub, flags;
    uint8_t statement[32]; /* its digest; zeros where it lied from the first */
    uint8_t head[32];      /* the list's digest up to it, where that is known */
} kh_word;
/* What a word is about: a height, and behind it the checkpoint there. */
static inline uint64_t kh_word_about(const kh_word *w) { return w->height << 1 | ((w->flags & KH_WORD_CHECKPOINT) != 0); }
static inline int kh_word_compare(const kh_word *a, const kh_word *b) /* words stand in this order */
{
    uint64_t x = kh_word_about(a), y = kh_word_about(b);
    return x != y ? (x > y) - (x < y) : (a->hub > b->hub) - (a->hub < b->hub);
}
typedef struct kh_unattested { /* an ordered batch above the attested height */
    uint64_t height;
    uint8_t digest[32];
    bool lost;
} kh_unattested;
typedef struct kh_loss {    /* a body ordered lost: it touches the heights from the body's to the one before `until` */
    uint64_t height, until; /* until: of the block that says so */
} kh_loss;
typedef struct kh_tree { /* public leaves, ascending, and the tree over them */
    struct kh_tree_leaf {
        uint8_t key_n, key[KH_PUBLIC_KEY_MAX];
        uint16_t value_n;
        uint8_t *value;
    } * leaves;
    uint32_t cnt, cap;
    uint8_t (*levels[KH_MERKLE_PATH_MAX])[32];
    uint32_t level_cap[KH_MERKLE_PATH_MAX];
    uint32_t shifted;                  /* leaves from here on moved since the last root; cnt: none */
    uint32_t changed[64], changed_cnt; /* places whose value changed */
} kh_tree;
typedef struct kh_seen {
    uint8_t tx[32], keys[32];
} kh_seen;

struct kh_order {
    uint8_t chain[32];
    kh_suite suite;
    uint64_t initial_height, height, time_ns;
    uint8_t app_hash[32], previous[32], entries_root[32]; /* of the last block with transactions; zeros before the first */
    uint64_t entries_height, entries_time_ns;             /* its height, 0: none yet; its time, or the genesis' */
    uint32_t seat_cnt;
    kh_seat *seats; /* room for KH_MEMBERS_MAX */
    kh_voters now, before;
    uint64_t validators_changed; /* height of the last change, 0: none yet */
    kh_hub_set hubs;
    struct kh_version {               /* `before` below height `from`, `then` from there on; from 0: none was ever ordered */
        uint32_t before, then, known; /* known: the newest that this software executes */
        uint64_t from;
    } version;
    uint32_t officer_k, officer_cnt;
    uint8_t officers[KH_OFFICERS_MAX][KH_PUBLIC_SZ];
    uint64_t change_number, attested,
        checkpoint; /* heights: the highest with a quorum, of words of the height and of checkpoints */
    uint8_t posted[32], checkpoint_posted[32];
    kh_states states;
    kh_tree tree;
    uint32_t app_cnt, word_cnt, unattested_cnt, loss_cnt; /* all four ascending, losses by `until` */
    kh_app_at *apps;
    kh_word *words;
    kh_unattested *unattested;
    kh_loss *losses;
    uint32_t unattested_cap, loss_cap;
    kh_past apps_past, words_past, unattested_past, losses_past; /* apps_past: of all but the newest */
    uint32_t words_known;                                        /* so many words know the digest up to them */
    bool unattested_known;
    kh_seen *seen;    /* KH_SIGNATURES_SEEN */
    bool broken;      /* memory ran out inside a block: nothing more is said */
    struct kh_built { /* the block's result: arrays that grow */
        uint16_t *codes;
        uint8_t (*digests)[32], *types;
        uint8_t (*leaves)[32];
        uint32_t tx_cap, item_cnt, item_cap, liar_cnt, liar_cap, validator_cnt;
        kh_order_item *items;
        struct kh_order_liar *liars;
        struct kh_order_validator validators[4];
        kh_writer ops;
        bool attested_moved;
    } built;
};

/* kh_grow: an array with room for one more behind its cnt; NULL: no memory, the array stays. */
static inline void *kh_grow(void *p, uint32_t cnt, uint32_t *cap, size_t size)
{
    if (cnt < *cap) return p;
    uint32_t wanted = *cap == 0 ? 64 : *cap * 2;
    void *grown = realloc(p, wanted * size);
    if (grown != NULL) *cap = wanted;
    return grown;
}

/* ---- public leaves ---- */
/* kh_tree_set puts a leaf, new or in the place of the one with its key. KH_E_FULL, KH_E_NOMEM. */
KH_MUST kh_err kh_tree_set(kh_tree *t, const void *key, uint8_t key_n, const void *value, size_t value_n);
const struct kh_tree_leaf *kh_tree_find(const kh_tree *t, const void *key, uint8_t key_n, uint32_t *ret_index);
void kh_tree_root(kh_tree *t, uint8_t ret[32]);
uint32_t kh_tree_path(const kh_tree *t, uint32_t index, uint8_t ret[KH_MERKLE_PATH_MAX][32]); /* as of the last root */
void kh_tree_free(kh_tree *t);
/* kh_public_…: the leaf of a part of the state, written anew. */
KH_MUST kh_err kh_public_attested(kh_order *o);
KH_MUST kh_err kh_public_checkpoint(kh_order *o); /* nothing before the first */
KH_MUST kh_err kh_public_change(kh_order *o);
KH_MUST kh_err kh_public_hubs(kh_order *o);
KH_MUST kh_err kh_public_seat(kh_order *o, const kh_seat *seat);   /* the member */
KH_MUST kh_err kh_public_sender(kh_order *o, const kh_seat *seat); /* what comes next from it */
KH_MUST kh_err kh_public_officers(kh_order *o);
KH_MUST kh_err kh_public_voters(kh_order *o);  /* both sets */
KH_MUST kh_err kh_public_past(kh_order *o);    /* what is remembered of the past */
KH_MUST kh_err kh_public_version(kh_order *o); /* nothing before the first change */
KH_MUST kh_err kh_public_all(kh_order *o);
KH_MUST kh_err kh_public_states(kh_order *o); /* nothing before the first is wanted */
bool kh_version_is_leaf(const uint8_t *key, uint8_t key_n);
bool kh_version_take(kh_order *o, const uint8_t *value, size_t value_n); /* of a saved order: what the leaf says */
bool kh_states_is_leaf(const uint8_t *key, uint8_t key_n);
bool kh_states_take(kh_order *o, const uint8_t *value, size_t value_n); /* the same; members and sets are there */

/* ---- state ---- */
kh_seat *kh_seat_find(const kh_order *o, uint32_t id);
kh_seat *kh_seat_add(kh_order *o, const kh_member *member); /* room must be there */
static inline bool kh_seat_sends(const kh_seat *seat) { return (seat->member.role & (KH_MEMBER_BANK | KH_MEMBER_HUB)) != 0; }
static inline bool kh_member_attests(const kh_member *m)
{
    return m->role == KH_MEMBER_HUB && (m->flags & KH_MEMBER_EXPELLED) == 0 && !kh_all_zero(m->attest, KH_PUBLIC_SZ);
}
uint32_t kh_quorum_of(uint32_t validators);       /* 2f + 1 */
void kh_voters_make(kh_order *o);                 /* the set of the members that carry the flag, under the number that it has */
void kh_hubs_make(kh_order *o, bool joining);     /* joining: all hubs; else those of the set that are still members */
int kh_hub_place(const kh_order *o, uint32_t id); /* -1: not in the set */

/* ---- judging ---- */
typedef struct kh_at {
    uint64_t height, time_ns;
    bool apply;  /* else nothing is changed */
    kh_err err;  /* of applying: no memory */
    bool forged; /* signatures that the keys of this state contradict */
    bool effect; /* refused, and yet something is to be recorded */
} kh_at;
kh_order_code kh_judge(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32]);
kh_order_code kh_judge_attestation(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32]);
kh_order_code kh_judge_holds(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32]);
/* kh_states_leaves: this member is no validator any more, or has another key: what it said does not count. kh_states_turn: a
   block with transactions ends. */
KH_MUST kh_err kh_states_leaves(kh_order *o, uint32_t member);
KH_MUST kh_err kh_states_turn(kh_order *o, uint64_t time_ns, bool checkpoint_rose);
kh_order_code kh_judge_change(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32]);
kh_order_code kh_change_version(kh_order *o, kh_at *at, const kh_change *change);
bool kh_order_version_known(const kh_order *o, uint64_t height);
kh_order_code kh_change_ops(kh_order *o, kh_at *at, const kh_change *change);
bool kh_seen_before(const kh_order *o, const uint8_t tx[32], const uint8_t keys[32]);
void kh_seen_now(kh_order *o, const uint8_t tx[32], const uint8_t keys[32]);
KH_MUST kh_err kh_built_item(kh_order *o, const kh_order_item *item);
KH_MUST kh_err kh_built_ops(kh_order *o, const uint8_t *frames, size_t n, uint32_t cnt);
KH_MUST kh_err kh_built_liar(kh_order *o, uint32_t hub, uint64_t height, bool proven);

/* ---- what is remembered ---- */
#define KH_APP_SZ 40u /* an element's bytes, saved and under the digest */
#define KH_WORD_SZ 48u
#define KH_UNATTESTED_SZ 44u
#define KH_LOSS_SZ 16u
void kh_app_bytes(const kh_app_at *app, uint8_t ret[KH_APP_SZ]);
void kh_word_bytes(const kh_word *word, uint8_t ret[KH_WORD_SZ]);
void kh_unattested_bytes(const kh_unattested *unattested, uint8_t ret[KH_UNATTESTED_SZ]);
void kh_loss_bytes(const kh_loss *loss, uint8_t ret[KH_LOSS_SZ]);
/* kh_apps_find: this chain's app hash as of a height; NULL: older than what is remembered. */
const uint8_t *kh_apps_find(const kh_order *o, uint64_t height);
void kh_apps_turn(kh_order *o); /* before an app hash is made: those until now go under it */
void kh_apps_add(kh_order *o, uint64_t height, const uint8_t app_hash[32]); /* room must be there */
KH_MUST kh_err kh_unattested_add(kh_order *o, uint64_t height, const uint8_t digest[32]);
void kh_unattested_prune(kh_order *o);
KH_MUST kh_err kh_losses_add(kh_order *o, uint64_t height, uint64_t until);
void kh_words_remember(kh_order *o, const kh_word *word);
void kh_words_lied(kh_order *o, kh_word *word);
void kh_words_forget(kh_order *o, uint64_t height); /* all that was said of it and of those above it */
uint32_t kh_words_place(const kh_order *o, const kh_word *like);
/* kh_past_all brings the digests up to the lists. kh_past_loaded: after they were read, heads being their bases or what
   kh_…_add made of these. */
void kh_past_all(kh_order *o);
void kh_past_loaded(kh_order *o);

/* ---- making ---- */
KH_MUST kh_err kh_order_blank(const uint8_t *genesis_bytes, size_t n, kh_genesis *ret_genesis, kh_order **ret);
void kh_app_genesis(const kh_order *o, const uint8_t public_root[32], uint8_t ret[32]);
void kh_app_next(const uint8_t previous[32], uint64_t height, const uint8_t entries_root[32], const uint8_t public_root[32],
                 uint8_t ret[32]);
#endif
