/* tx: the transactions of a block: bytes and back (docs/CLUSTER.md, byte by byte). Little-endian, canonical, pure.
 *
 * Every one: type 1, version 1 = 1, 0 0, chain 32, then its own. Signatures are over a tag ("kanhe/ack" and so on, with its NUL)
 * and the statement. */
#ifndef KH_ORDER_TX_H
#define KH_ORDER_TX_H
#include "crypto/suite.h"

#define KH_TX_MAX_SZ (128u << 10)
typedef struct kh_tx_span {
    const uint8_t *p;
    size_t n;
} kh_tx_span;
typedef enum kh_tx_type {
    KH_TX_CERTIFICATE = 1,
    KH_TX_ATTESTATION = 2,
    KH_TX_CHANGE = 3,
    KH_TX_INCARNATION = 4,
    KH_TX_HOLDS = 5
} kh_tx_type;
typedef enum kh_order_code { /* a transaction's result: in consensus, never renumbered */
                             KH_R_OK = 0,
                             KH_R_MALFORMED = 1,
                             KH_R_NOT_AUTHORISED = 2,
                             KH_R_BAD_SEQUENCE = 3,
                             KH_R_EXPIRED = 4,
                             KH_R_REPEATED = 5,
                             KH_R_REFUSED = 6, /* a change that the rules forbid; an attestation that is a lie (it is recorded) */
                             KH_R_BUSY = 7 /* the same again later: too many batches are ordered above the attested height, or the
                                             validators changed too short ago */
} kh_order_code;
const char *kh_order_code_word(kh_order_code code);

/* What a validator says when it has stored a body: KH_ACK_STATEMENT_SZ bytes: chain 32, set 4, sender 4, incarnation 4, length 4,
   sequence 8, expires 8, digest 32. */
#define KH_ACK_STATEMENT_SZ 96u
typedef struct kh_ack {
    uint8_t chain[32], digest[32];
    uint32_t set, sender, incarnation, length;
    uint64_t sequence, expires_ns;
} kh_ack;
void kh_ack_encode(const kh_ack *ack, uint8_t ret[KH_ACK_STATEMENT_SZ]);
void kh_ack_decode(const uint8_t p[KH_ACK_STATEMENT_SZ], kh_ack *ret);
KH_MUST kh_err kh_ack_sign(const kh_signer *signer, const kh_ack *ack, uint8_t ret[KH_SIGNATURE_SZ]);
KH_MUST bool kh_ack_signed_by(kh_suite suite, const kh_ack *ack, const uint8_t public_key[KH_PUBLIC_SZ],
                              const uint8_t signature[KH_SIGNATURE_SZ]);
/* CERTIFICATE: 4 head, statement, cnt 2, 0 2, cnt times {index 2 (place in the validator set), 0 2, signature 64}, ascending,
   exactly a quorum: no more, no fewer. */
typedef struct kh_tx_signature {
    uint16_t index;
    uint8_t signature[KH_SIGNATURE_SZ];
} kh_tx_signature;
size_t kh_certificate_encode(const kh_ack *ack, const kh_tx_signature *signatures, uint32_t cnt, uint8_t *buf,
                             size_t cap); /* 0: no room */

/* ATTESTATION: 4 head, statement {chain 32, height 8, epoch 4, flags 4, app_hash 32, posted 32, outputs_root 32}, hub 4, 0 4,
   signature 64 over "kanhe/attest\0", statement, hub. flags: the lowest byte 1 for a checkpoint, else 0; the three above it: how
   many losses that touch the height (kh_order_losses) its execution counted. */
#define KH_ATTEST_STATEMENT_SZ 144u
enum { KH_ATTEST_CHECKPOINT = 1 }; /* the posted digest covers the state as of that height, too */
static inline uint32_t kh_attest_flags(uint32_t losses, uint32_t checkpoint) { return losses << 8 | checkpoint; }
static inline uint32_t kh_attest_losses(uint32_t flags) { return flags >> 8; }
#define KH_ATTESTATION_SZ (4u + KH_ATTEST_STATEMENT_SZ + 8u + KH_SIGNATURE_SZ)
typedef struct kh_attestation {
    uint8_t chain[32], app_hash[32], posted[32], outputs_root[32];
    uint64_t height;
    uint32_t epoch, flags, hub;
    uint8_t signature[KH_SIGNATURE_SZ];
} kh_attestation;
KH_MUST kh_err kh_attestation_make(const kh_signer *signer, kh_attestation *a, uint8_t ret[KH_ATTESTATION_SZ]); /* signs *a */
KH_MUST kh_err kh_attestation_read(const uint8_t *p, size_t n, kh_attestation *ret);
KH_MUST bool kh_attestation_signed_by(kh_suite suite, const kh_attestation *a, const uint8_t public_key[KH_PUBLIC_SZ]);
bool kh_attestation_agree(const kh_attestation *a, const kh_attestation *b); /* the same statement */
void kh_attestation_digest(const kh_attestation *a, uint8_t ret[32]);        /* SHA-256 of the statement */

/* CHANGE: 4 head, chain 32, number 8, kind 4, body_sz 4, body, cnt 2, 0 2, cnt times {officer 2, 0 2, signature 64}, ascending,
   exactly k; over "kanhe/change\0", chain, number, kind, body_sz, body. */
typedef enum kh_change_kind {
    KH_CHANGE_OPS = 1,       /* body: frames of PARTY_ADD and PARTY_STATUS of members, RULE_SET, RATE_SET, party 0 */
    KH_CHANGE_MEMBER = 2,    /* body: a member's record: new, or in the place of the one with its id; EXPELLED: its entries end */
    KH_CHANGE_VALIDATOR = 3, /* body: member 4, power 4 (0 or 1): one at a time */
    KH_CHANGE_EPOCH = 4,     /* body: group key 64: the next epoch; the hub set is the hubs that are not expelled */
    KH_CHANGE_LOST = 5,      /* body: digest 32 of an ordered body that nobody has */
    KH_CHANGE_OFFICERS = 6,  /* body: k 4, cnt 4, keys */
    KH_CHANGE_VERSION = 7 /* body: app version 4, 0 4, height 8 of the first block that has it; the one in force, 0: as it is */
} kh_change_kind;
typedef struct kh_change {
    uint8_t chain[32];
    uint64_t number;
    uint32_t kind, body_sz;
    const uint8_t *body;
    uint32_t signature_cnt;
    kh_tx_signature signatures[16];
} kh_change;
size_t kh_change_statement(const kh_change *change, uint8_t *buf, size_t cap); /* what officers sign, tag and all; 0: no room */
size_t kh_change_encode(const kh_change *change, uint8_t *buf, size_t cap);
KH_MUST kh_err kh_change_read(const uint8_t *p, size_t n, kh_change *ret);

/* INCARNATION: 4 head, chain 32, sender 4, incarnation 4 (the new one), signature 64 over "kanhe/incarnation\0", chain, sender,
   incarnation. */
#define KH_INCARNATION_SZ (4u + 32u + 8u + KH_SIGNATURE_SZ)
KH_MUST kh_err kh_incarnation_make(const kh_signer *signer, const uint8_t chain[32], uint32_t sender, uint32_t incarnation,
                                   uint8_t ret[KH_INCARNATION_SZ]);

/* HOLDS: 4 head, chain 32, height 8, member 4, 0 4, signature 64 over "kanhe/holds\0", chain, height, member, by the validator's
   acknowledgement key: it has the state of the checkpoint at that height, whole and durable. */
#define KH_HOLDS_SZ (4u + 32u + 16u + KH_SIGNATURE_SZ)
KH_MUST kh_err kh_holds_make(const kh_signer *signer, const uint8_t chain[32], uint64_t height, uint32_t member,
                             uint8_t ret[KH_HOLDS_SZ]);
#endif
