/* envelope: a sealed batch of one sender: what bank nodes order and cannot read.
 *
 *   head (signed, and the AAD; docs/CLUSTER.md, byte by byte): magic "KHE1", suite, size class, chain 32, epoch, sender,
 *   incarnation, sequence, commitment 32 to the content key, wraps of it to the group key and to the sender
 *   body  sealed under the content key: {text_sz 4, packed_sz 4, 0 8}, zstd-packed text, zeros up to the size class; tag
 *   signature of the sender over "kanhe/envelope\0" and SHA-256 of head, body and tag
 *
 * The text is operation frames back to back (wire.h) in sections: {size 4 of the whole section, kind 4, ...}: kind 1 OWN: frames
 * of the sender's own party; kind 2 SIGNED: a party's signed bundle (kh_bundle), passed on whole.
 * Whatever does not unwrap, match its commitment, open, or unpack within KH_ENVELOPE_TEXT_MAX is one answer: false (UNOPENABLE).
 * An envelope's digest is SHA-256 over all of its bytes. Size classes: powers of two from 1 KiB to 8 MiB, and halves between.
 * Both wraps are bound to the head, and the body to both: taken into another head, they do not open.
 * Pure but for the entropy given (gm: the library's own); allocates its results. */
#ifndef KH_LOG_ENVELOPE_H
#define KH_LOG_ENVELOPE_H
#include "crypto/suite.h"

#define KH_ENVELOPE_MAX_SZ (9u << 20)
#define KH_ENVELOPE_TEXT_MAX (8u << 20)

typedef struct kh_envelope_head { /* what is readable by all */
    kh_suite suite;
    uint8_t chain[32];
    uint32_t epoch, sender, incarnation;
    uint64_t sequence;
} kh_envelope_head;

/* kh_envelope_make: *ret is malloc'ed, *ret_n bytes; digest: its name. KH_E_FULL: the text is longer than KH_ENVELOPE_TEXT_MAX,
   or does not get below 8 MiB. KH_E_ARG: a key that is none. */
KH_MUST kh_err kh_envelope_make(const kh_envelope_head *head, const kh_signer *signer, const uint8_t group_public[KH_PUBLIC_SZ],
                                const uint8_t own_public[KH_PUBLIC_SZ], const kh_entropy *entropy, const uint8_t *text, size_t n,
                                uint8_t **ret, size_t *ret_n, uint8_t ret_digest[32]);
/* kh_envelope_read: is it an envelope in canonical form, and whose? Looks at no signature. KH_E_FORMAT. */
KH_MUST kh_err kh_envelope_read(const uint8_t *p, size_t n, kh_envelope_head *ret);
KH_MUST bool kh_envelope_signed_by(const uint8_t *p, size_t n, const uint8_t sender_public[KH_PUBLIC_SZ]);
/* kh_envelope_verify: signed_by, and its digest, in one pass over the bytes. */
KH_MUST bool kh_envelope_verify(const uint8_t *p, size_t n, const uint8_t sender_public[KH_PUBLIC_SZ], uint8_t ret_digest[32]);
/* kh_envelope_open: own: by the sender's box, else by the group's. *ret is malloc'ed; it may be 0 bytes long. Looks at no
   signature. Never false for want of memory: the process ends then, for hubs must not differ in what they call unopenable. */
KH_MUST bool kh_envelope_open(const uint8_t *p, size_t n, const kh_box *box, bool own, uint8_t **ret, size_t *ret_n);

/* ---- sections of the text; the frames in them are not looked into ---- */
enum { KH_SECTION_OWN = 1, KH_SECTION_SIGNED = 2 };
typedef struct kh_section {
    uint32_t kind;
    const uint8_t *frames; /* wire frames back to back */
    uint32_t frames_sz;
    /* SIGNED: */
    uint32_t party;
    uint64_t number;                      /* rises with each bundle of a party: an older one has no effect */
    const uint8_t *chain;                 /* 32 bytes: which chain it was signed for: the caller compares */
    const uint8_t *signature, *statement; /* statement: what is signed: "kanhe/bundle\0", chain, party, number, frames */
    uint32_t statement_sz;
} kh_section;
/* kh_section_next walks: KH_E_NOT_FOUND at the end, KH_E_FORMAT. *at begins at 0. */
KH_MUST kh_err kh_section_next(const uint8_t *text, size_t n, size_t *at, kh_section *ret);
/* kh_section_own writes the head of an OWN section of frames_sz bytes (16 bytes), which the frames follow. */
#define KH_SECTION_HEAD_SZ 16u
void kh_section_own(uint32_t frames_sz, uint8_t ret[KH_SECTION_HEAD_SZ]);
/* kh_bundle_make makes a SIGNED section; *ret malloc'ed. */
KH_MUST kh_err kh_bundle_make(const kh_signer *signer, const uint8_t chain[32], uint32_t party, uint64_t number,
                              const uint8_t *frames, uint32_t frames_sz, uint8_t **ret, size_t *ret_n);
KH_MUST bool kh_bundle_signed_by(kh_suite suite, const kh_section *section, const uint8_t public_key[KH_PUBLIC_SZ]);
#endif
