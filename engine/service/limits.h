/* limits: token buckets, per party and per source address.
 *
 * A bucket holds `burst` tokens and gains `per_s` a second. Three kinds of buckets a party: what its questions cost that look
 * like guessing (PROBE), its questions, its operations. One kind an address: what comes in before anybody has proven who it is.
 *
 * Probe rule  Before a group of at most KH_LIMIT_GROUP questions is evaluated, a token for each is taken; questions that got none
 *             are answered RATE_LIMITED without being looked at; tokens of those that turned out to be no probe are given back.
 *             A probe is an answer that teaches something to who does not hold the paper: kh_limit_is_probe. The operator (party
 *             0) and the regulators are not limited: the operator here, the regulators by who asks (kh_limit_applies).
 * Threads  any; lock-free, each call a few compare-and-swaps on one bucket.
 * Memory   fixed: KH_LIMIT_PARTIES and KH_LIMIT_ADDRESSES buckets. A bucket that is full again is free for another; where all
 * that a party or address may use are busy, it shares one: it is limited sooner, never later. Time     now_ns is the monotonic
 * clock, the same one for all calls. */
#ifndef KH_SERVICE_LIMITS_H
#define KH_SERVICE_LIMITS_H
#include "service/access.h"

#define KH_LIMIT_GROUP 64u
#define KH_LIMIT_PARTIES 65536u
#define KH_LIMIT_ADDRESSES 65536u
#define KH_LIMIT_BURST_MAX 1000000000u
#define KH_LIMIT_PER_S_MAX 10000000u

typedef struct kh_limits kh_limits;
typedef enum kh_limit { KH_LIMIT_PROBE = 0, KH_LIMIT_QUERY = 1, KH_LIMIT_OPERATION = 2, KH_LIMIT_CNT = 3 } kh_limit;
typedef struct kh_limit_rate {
    uint32_t burst, per_s; /* burst 0: no limit; else both from 1 up to their maxima */
} kh_limit_rate;

/* kh_limits_new: KH_E_ARG where a rate is out of range, KH_E_NOMEM. */
KH_MUST kh_err kh_limits_new(const kh_limit_rate rates[KH_LIMIT_CNT], kh_limit_rate address, kh_limits **ret);
void kh_limits_free(kh_limits *limits);
/* kh_limits_take: how many of n are granted, at once and for good; a group that is answered in part takes what there is. */
KH_MUST uint32_t kh_limits_take(kh_limits *limits, kh_limit what, uint32_t party, uint32_t n, uint64_t now_ns);
/* kh_limits_give_back returns n of the tokens that were taken just before. */
void kh_limits_give_back(kh_limits *limits, kh_limit what, uint32_t party, uint32_t n);
/* kh_limits_address: may this address make one more connection or unproven request? IPv4 as ::ffff:a.b.c.d; of an IPv6 address
   the first 8 bytes count, which is what one subscriber has. */
KH_MUST bool kh_limits_address(kh_limits *limits, const uint8_t address[16], uint64_t now_ns);
/* kh_limit_rate_parse reads "BURST/PER_SECOND" or "off". */
KH_MUST bool kh_limit_rate_parse(const char *text, kh_limit_rate *ret);

/* kh_limit_applies: whether this asker is limited at all: limits may be NULL (none are set). */
bool kh_limit_applies(const kh_limits *limits, const kh_principal *who);
/* kh_limit_is_probe: NOT_FOUND, OWNER_MISMATCH, DIRECTION, FIELD_MISMATCH. */
static inline bool kh_limit_is_probe(kh_code code)
{
    return code == KH_C_NOT_FOUND || code == KH_C_OWNER_MISMATCH || code == KH_C_DIRECTION || code == KH_C_FIELD_MISMATCH;
}
/* kh_limit_probes: how many probes an operation's answer is: the lines of an application that are, or itself. */
uint32_t kh_limit_probes(const kh_receipt *receipt);
#endif
