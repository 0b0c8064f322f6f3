/* dpdk_args: the configured text as arguments of DPDK's EAL, and what it leaves out. Pure; no DPDK. */
#ifndef KH_INGEST_DPDK_ARGS_H
#define KH_INGEST_DPDK_ARGS_H
#include "base/base.h"

#define KH_DPDK_ARGS_MAX 64u

typedef struct kh_dpdk_facts {
    bool huge_pages; /* some are free */
    int cpu;         /* one that this process may run on */
    int pid;
} kh_dpdk_facts;
typedef struct kh_dpdk_args {
    int argc;
    char *argv[KH_DPDK_ARGS_MAX + 1];
    char text[2048];
} kh_dpdk_args;

/* kh_dpdk_args_make splits at blanks, and adds
 *   --no-pci                       without -a/--allow or its like: else EAL takes every card that it knows, this machine's uplink
 * too -l CPU                         without -l, -c, --lcores: pollers are ingest's threads, EAL needs one of its own
 *   --in-memory, or                where neither is said, nor --huge-dir: by whether huge pages are free
 *     --no-huge -m 128 --no-shconf
 *   --file-prefix=kanhePID, --no-telemetry, --log-level=warning
 * false: too many or too long. */
KH_MUST bool kh_dpdk_args_make(const char *text, const kh_dpdk_facts *facts, kh_dpdk_args *ret);
#endif
