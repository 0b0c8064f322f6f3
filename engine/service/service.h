/* service: what the network floors share: the store, the limits, the datagram sessions and the counters.
 *
 *   principal  who a certificate's party is, as the ledger knows it now     service.h
 *   session    keys and replay windows of a party's datagrams               session.h
 *   poller     datagrams in, datagrams out, in place                        poller.h
 *   submit     operations of one party into the store                       submit.h
 *   access     who may ask what, and is shown what                          access.h
 *
 * Threads  one desk thread of the service's own does what a poller must not wait for (desk.h). Everything here may be called from
 * any thread, except where poller.h says. Memory: all of it is taken by kh_service_new and kh_session_open.
 * Order    free: after every poller is freed and nothing submitted is unanswered; before the store is closed. */
#ifndef KH_SERVICE_SERVICE_H
#define KH_SERVICE_SERVICE_H
#include "base/effects.h"
#include "crypto/aead.h"
#include "service/access.h"
#include "store/store.h"

typedef struct kh_service kh_service;
typedef struct kh_limits kh_limits; /* limits.h */

typedef struct kh_service_options {
    kh_store *store;
    kh_limits *limits; /* NULL: none */
    const kh_clock *clock;
    const kh_entropy *entropy;
    uint32_t poller_cnt;         /* 1 .. 64 */
    uint32_t max_sessions;       /* 0: 4,096; at most 65,536 */
    uint32_t max_party_sessions; /* 0: 16; beyond it the party's oldest session goes */
    uint64_t session_ns;         /* 0: an hour, which is also the most */
    kh_aead_method aead;         /* 0: the faster one */
    bool no_lookups;             /* a bank's node: what a regulator asks is not written down, it is not told either */
    bool no_parties;             /* a hub without a state yet: nobody is known, whatever the store holds */
} kh_service_options;
KH_MUST kh_err kh_service_new(const kh_service_options *options, kh_service **ret);
void kh_service_free(kh_service *service);

/* kh_service_principal: the certificate's party as the ledger knows it now: false where it does not exist or has another role;
   ret->frozen tells whether it is frozen. For who was seen before it waits for nothing: on polling threads. */
KH_MUST bool kh_service_principal(kh_service *service, uint32_t party, kh_role role, kh_principal *ret);

/* kh_service_metrics gives every counter, Prometheus names; what was dropped has `dropped` in its name. labels: "" or without the
   braces: poller="0". */
void kh_service_metrics(kh_service *service,
                        void (*each)(void *ctx, const char *name, const char *help, const char *labels, uint64_t value),
                        void *ctx);
#endif
