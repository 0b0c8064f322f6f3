/* parts: what the files of kanhed's wiring share: everything that runs, in the order in which it was started. */
#ifndef KH_APP_PARTS_H
#define KH_APP_PARTS_H
#include "member/cluster.h"
#include "member/http.h"
#include "process/config.h"
#include "member/forward.h"
#include "process/held.h"
#include "process/logging.h"
#include "process/notify.h"
#include "process/watch.h"
#include "embed/embed.h"
#include "http/http.h"
#include "ingest/ingest.h"
#include "service/limits.h"
#include "service/service.h"
#include <semaphore.h>

typedef struct kh_daemon {
    const kh_config *config;
    kh_who who;
    kh_logging *logging;
    kh_notify notify;
    kh_held key, link_key;
    kh_genesis genesis; /* of a cluster */
    kh_cluster_keys cluster_keys;
    kh_cluster *cluster; /* NULL: a machine by itself */
    kh_cluster_info cluster_info;
    kh_cluster_http cluster_http;
    sem_t answered;      /* while stopping: what was accepted is answered */
    kh_forward *forward; /* of a bank's node that asks hubs */
    kh_engine *engine;
    kh_store *store; /* the engine's */
    kh_clock clock;
    kh_entropy entropy;
    kh_watch *watch;
    kh_limits *limits;
    kh_service *service;
    kh_ingest *ingest;
    kh_http *http;
    bool dpdk, fresh /* the data directory was empty */, log_failed;
    int landlock;
    bool seccomp;
    uint32_t character_sets; /* that files may come in */
    uint64_t files;
    char url[KH_CONFIG_PATH_MAX], datagrams[KH_CONFIG_ADDRESS_MAX + 8];
    char why[600];
} kh_daemon;

/* kh_daemon_drop: user, capabilities, Landlock. The data directory exists and is the user's afterwards. [lockdown.c] */
KH_MUST bool kh_daemon_drop(kh_daemon *d);
/* kh_daemon_filter: seccomp. */
KH_MUST bool kh_daemon_filter(kh_daemon *d);
/* kh_daemon_cluster_info: what the engine is told of the cluster; what it points to, the daemon has. [cluster_info.c] */
kh_cluster_info kh_daemon_cluster_info(kh_daemon *d);
/* kh_daemon_ready: operations are taken: the log is sound, and this node is a member where it is one of a cluster. Any thread. */
bool kh_daemon_ready(const kh_daemon *d);
/* kh_daemon_metrics gives the figures of all parts but http's own, for GET /metrics. [metrics.c] */
void kh_daemon_metrics(void *ctx, kh_http_metric_each each, void *each_ctx);
#endif
