/* forward: at a bank's node: its bank's questions that only a hub can answer, over HTTPS with the bank's own certificate
 * (libcurl).
 *
 * Hubs are tried in the order of their last success; one that cannot be reached, is too slow or too busy is passed over: after
 * connect_ms where its machine acknowledges nothing (on a kept connection, twice that). Attested questions go to hubs until a
 * quorum of them gave equal answers (but for `as_of`, which may be a block apart), some rounds if need be; the answer then says
 * "attested": true.
 * Threads  any. Each question has a connection of its own, kept for the next. Bounds   answers of 64 MiB; connect_ms and
 * timeout_ms a hub. Files are read by kh_forward_new: before the process gives up its rights. */
#ifndef KH_MEMBER_FORWARD_H
#define KH_MEMBER_FORWARD_H
#include "http/http.h"

#define KH_FORWARD_HUBS_MAX 64u
typedef struct kh_forward kh_forward;
typedef struct kh_forward_options {
    uint32_t party;                     /* the bank */
    const char *ca, *certificate, *key; /* PEM files: who signs the hubs' certificates; the bank's own */
    uint32_t connect_ms, timeout_ms;    /* 0: 2,000; 30,000 */
} kh_forward_options;
KH_MUST kh_err kh_forward_new(const kh_forward_options *options, char *why, size_t cap, kh_forward **ret);
void kh_forward_free(kh_forward *f);
/* kh_forward_hubs says which hubs there are ("https://ADDRESS:PORT", copied); at any time. A quorum: more than half of them. */
KH_MUST kh_err kh_forward_hubs(kh_forward *f, const char *const *urls, uint32_t n);
/* kh_forward_ask is kh_http_options.forward; ctx: the kh_forward. */
KH_MUST kh_err kh_forward_ask(void *ctx, const kh_http_question *question, kh_http_answer *ret);
/* kh_forward_enterprise asks for the id of a USCC (kh_cluster_info.enterprise): KH_E_NOT_FOUND; KH_E_CLOSED: no hub answers. */
KH_MUST kh_err kh_forward_enterprise(void *ctx, const char *uscc, uint32_t *ret);
#endif
