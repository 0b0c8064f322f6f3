/* poller_plain: laboratory mode: bursts of single, unsealed queries, without sessions, replay windows or limits. It shows what
 * the path costs without cryptography; only programs in bench/ and tests call it, and nothing that a configuration says leads
 * here.
 *
 * A request is a header and one query, without a tag; its reply header, as_of and one answer. */
#ifndef KH_SERVICE_POLLER_PLAIN_H
#define KH_SERVICE_POLLER_PLAIN_H
#include "service/poller.h"

/* n <= KH_BURST_MAX; who: whose rights every query has. packets[i]->cap >= 48. */
void kh_poller_burst_plain(kh_poller *poller, const kh_principal *who, kh_packet *const packets[], uint32_t n, uint64_t now_ns);
#endif
