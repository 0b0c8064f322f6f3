/* session: the keys under which one party's datagrams are sealed, and the windows that let each pass once.
 *
 * A session comes out of an authenticated HTTPS call. Its id is drawn from entropy; its two keys, one a direction, are the TLS
 * exporter's (RFC 8446, 7.5) with label KH_SESSION_LABEL and the context id 8, suite 1, direction 1 (docs/PROTOCOL.md). It ends
 * an hour after it was opened, before 2^32 datagrams, when it is closed, when its party is frozen (from the entry on that says
 * so), when kh_session_end_party is called (a key was changed), and with the daemon. To renew, open another: both live side by
 * side.
 *
 * Bounds   max_sessions in all: KH_E_FULL when none of them has expired; max_party_sessions a party: its oldest goes.
 * Threads  open, close, end_party: any thread, one at a time inside; they may wait for a grace period. Pollers find sessions
 * without locks, under RCU. A caller that is a registered, online index reader goes offline meanwhile. */
#ifndef KH_SERVICE_SESSION_H
#define KH_SERVICE_SESSION_H
#include "service/service.h"

#define KH_SESSION_LABEL "EXPORTER-kanhe-datagram"
#define KH_SESSION_ID_SZ 8u
#define KH_SESSION_CONTEXT_SZ 10u /* id 8, suite 1, direction 1 */
enum { KH_SUITE_AES_256_GCM = 1 };
enum { KH_TO_SERVER = 0, KH_TO_CLIENT = 1 }; /* direction */

/* kh_exporter gives n bytes of keying material of the caller's TLS session. */
typedef kh_err (*kh_exporter)(void *ctx, const char *label, const uint8_t *context, size_t context_n, uint8_t *ret, size_t n);

typedef struct kh_session_grant {
    uint8_t id[KH_SESSION_ID_SZ];
    uint32_t lanes, max_queries;
    uint64_t expires_ns; /* on the clock of now_ns */
    char suite[16];
} kh_session_grant;
/* kh_session_context writes what the exporter takes as context; the client makes the same bytes. */
void kh_session_context(const uint8_t id[KH_SESSION_ID_SZ], uint8_t suite, uint8_t direction, uint8_t ret[KH_SESSION_CONTEXT_SZ]);
/* kh_session_open: now_ns is the clock's monotonic time, as in kh_poller_burst. KH_E_ARG for party 0 and for a party that is
   frozen or not in the ledger; KH_E_FULL; KH_E_NOMEM; what entropy or the exporter said. */
KH_MUST kh_err kh_session_open(kh_service *service, const kh_principal *who, kh_exporter exporter, void *ctx, uint64_t now_ns,
                               kh_session_grant *ret);
/* kh_session_close: nothing where the session is not this party's. */
void kh_session_close(kh_service *service, const uint8_t id[KH_SESSION_ID_SZ], uint32_t party);
void kh_session_end_party(kh_service *service, uint32_t party);
/* kh_session_certificate notes by which certificate a session was opened; kh_session_end_certificates ends those of which `ends`
   says that theirs counts no more. */
void kh_session_certificate(kh_service *service, const uint8_t id[KH_SESSION_ID_SZ], const uint8_t certificate[32]);
void kh_session_end_certificates(kh_service *service, bool (*ends)(void *ctx, const uint8_t certificate[32]), void *ctx);
/* kh_session_end_frozen frees the sessions of parties that are frozen now. Their datagrams are dropped in any case. */
void kh_session_end_frozen(kh_service *service);
uint32_t kh_session_count(kh_service *service);
#endif
