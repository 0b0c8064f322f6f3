/* requests: what is asked of an engine, in a process (kanhe.h) or over the network (client.h): texts as people write them, and
 * plain structs for programs that ask in bulk.
 *
 * Memory   what a struct points to is the caller's. */
#ifndef KANHE_REQUESTS_H
#define KANHE_REQUESTS_H
#include "rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- documents (单证) ---- */
typedef struct kh_import_options {
    const char *format, *kind, *source;
    bool force;
} kh_import_options;
/* document: KIND:NUMBER[@ISSUER]. as: a party, NULL the operator. owner and amount: the proof that a bank holds the paper. */
typedef struct kh_paper {
    const char *document, *issuer, *as, *owner, *amount;
} kh_paper;

/* ---- financings (融资) ---- */
typedef struct kh_apply_request {
    const char *as, *enterprise, *product, *amount, *currency;
    uint64_t id;
    bool allow_partial;
    const char *const *documents; /* KIND:NUMBER[@ISSUER][/CUR][=ALLOCATED] */
    uint32_t document_cnt;
} kh_apply_request;
typedef struct kh_event_request {
    const char *as, *event, *amount, *source, *reason, *expect; /* NULL where not said */
    uint64_t id;
    const char *const *allot; /* KIND:NUMBER[@ISSUER][/CUR]=A */
    uint32_t allot_cnt;
} kh_event_request;

/* ---- programs: plain structs in bulk ---- */
typedef struct kh_id {
    _Alignas(16) uint8_t bytes[16];
} kh_id;
#define KH_NO_AMOUNT UINT64_MAX
/* One question about a paper; amounts in minor units, currency ISO 4217 numeric (0 = not stated). */
typedef struct kh_lookup_question {
    kh_id id;
    uint64_t amount, want;
    const char *owner;
    uint16_t currency;
} kh_lookup_question;
typedef struct kh_lookup_answer {
    uint16_t code, currency;
    uint32_t version;
    uint64_t free, as_of;
} kh_lookup_answer;
typedef struct kh_reserve {
    uint64_t id, amount;
    kh_id document;
    uint32_t bank, enterprise;
    uint16_t currency;
    const char *product;
} kh_reserve;
typedef struct kh_reserved {
    uint16_t code;
    uint64_t amount, height;
} kh_reserved;

#ifdef __cplusplus
}
#endif
#endif
