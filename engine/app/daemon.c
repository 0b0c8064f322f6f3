/* daemon: see daemon.h. */
#include "app/daemon.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "member/genesis_json.h"
#include "app/parts.h"

#define CLUSTER_PATIENCE_S 10

/* ---- what the parts call back ---- */

static void on_http_event(void *ctx, const char *event, const char *detail)
{
    kh_daemon *d = ctx;
    bool request = strcmp(event, "request") == 0;
    if (request && !d->config->log_requests) return;
    KH_LOG(d->logging, KH_LEVEL_INFO, event, {"detail", detail, 0});
}

bool kh_daemon_ready(const kh_daemon *d)
{
    return kh_watch_ready(d->watch) && (d->cluster == NULL || !kh_cluster_follows(d->cluster));
}
static bool on_ready(void *ctx) { return kh_daemon_ready(ctx); }

/* ---- starting ---- */

static bool say(kh_daemon *d, const char *doing, const char *why)
{
    char copy[sizeof d->why - 40];
    (void)snprintf(copy, sizeof copy, "%s", why);
    (void)snprintf(d->why, sizeof d->why, "%s: %s", doing, copy);
    return false;
}

/* It serves all the same where the machine has not so much. */
static void prepare_memory(kh_daemon *d)
{
    const kh_config *c = d->config;
    if (c->prepare_documents == 0 && c->prepare_financings == 0) return;
    kh_err err = kh_store_prepare(d->store, c->prepare_documents, c->prepare_financings);
    if (err != KH_OK)
        KH_LOG(d->logging, KH_LEVEL_WARNING, "memory_not_prepared", {"why", kh_err_text(err), 0},
               {"do", "lower prepare_documents and prepare_financings, or give the machine more memory", 0});
}

static bool start_engine(kh_daemon *d, bool accept_time)
{
    if (d->config->cluster.on && !kh_cluster_take_joined(d->config->data, d->logging, d->why, sizeof d->why)) return false;
    kh_options options = kh_options_default(d->config->data);
    options.embedded = true;
    options.accept_time = accept_time;
    if (d->fresh && kh_create(&options, NULL, NULL, d->why, sizeof d->why) != KH_DONE) return false;
    if (d->fresh) KH_LOG(d->logging, KH_LEVEL_INFO, "directory_made", {"dir", d->config->data, 0});
    if (kh_engine_new(&options, &d->engine) != KH_DONE) return say(d, "the engine", "out of memory");
    if (d->config->cluster.on) kh_embed_set_driven(d->engine);
    d->store = kh_embed_store(d->engine);
    if (d->store == NULL) return say(d, "the data directory", kh_message(d->engine));
    prepare_memory(d);
    d->clock = kh_host_clock();
    d->entropy = kh_host_entropy();
    return true;
}

static bool start_cluster(kh_daemon *d)
{
    char why[500] = "";
    const kh_cluster_options options = {.config = d->config,
                                        .genesis = &d->genesis,
                                        .keys = &d->cluster_keys,
                                        .link_key = d->link_key.name,
                                        .store = d->store,
                                        .clock = &d->clock,
                                        .entropy = &d->entropy,
                                        .logging = d->logging};
    if (!d->config->cluster.on) return true;
    bool good = kh_cluster_start(&options, why, sizeof why, &d->cluster);
    kh_held_drop(&d->link_key);
    if (!good) return say(d, "cluster", why);
    d->cluster_info = kh_daemon_cluster_info(d);
    kh_cluster_http_fill(&d->cluster_http, d->cluster, d->genesis.hubs_speak);
    kh_embed_set_cluster(d->engine, &d->cluster_info);
    if (kh_cluster_view(d->cluster) != NULL) kh_embed_set_view(d->engine, kh_cluster_view(d->cluster));
    return true;
}

static bool start_service(kh_daemon *d)
{
    const kh_config *c = d->config;
    const char *const texts[KH_LIMIT_CNT] = {
        [KH_LIMIT_PROBE] = c->limits.probe, [KH_LIMIT_QUERY] = c->limits.query, [KH_LIMIT_OPERATION] = c->limits.operation};
    kh_limit_rate rates[KH_LIMIT_CNT], address;
    bool good = kh_limit_rate_parse(c->limits.address, &address);
    for (int i = 0; i < (int)KH_LIMIT_CNT; i++) good = good && kh_limit_rate_parse(texts[i], &rates[i]);
    if (!good) return say(d, "limits", "one of them is \"BURST/PER_SECOND\" or \"off\" with numbers that are too large");
    kh_err err = kh_limits_new(rates, address, &d->limits);
    if (err != KH_OK) return say(d, "limits", kh_err_text(err));
    kh_embed_set_limits(d->engine, d->limits);
    const kh_service_options options = {.store = d->store,
                                        .limits = d->limits,
                                        .clock = &d->clock,
                                        .entropy = &d->entropy,
                                        .poller_cnt = c->datagrams.pollers,
                                        .max_sessions = c->datagrams.max_sessions,
                                        .session_ns = c->datagrams.session_s * KH_NS_PER_S,
                                        .no_lookups = d->cluster != NULL && kh_cluster_view(d->cluster) != NULL,
                                        .no_parties = d->cluster != NULL && kh_cluster_waits(d->cluster)};
    err = kh_service_new(&options, &d->service);
    if (err == KH_OK) err = kh_watch_start(d->store, d->service, c->data, d->logging, &d->notify, &d->watch);
    return err == KH_OK || say(d, "the service", kh_err_text(err));
}

/* DPDK's devices are set up, and nothing has been received yet. */
static bool on_devices(void *ctx, char *why, size_t cap)
{
    kh_daemon *d = ctx;
    bool good = kh_daemon_filter(d);
    if (!good) (void)snprintf(why, cap, "%s", d->why);
    return good;
}

static bool start_ingest(kh_daemon *d)
{
    const kh_config *c = d->config;
    char why[400] = "", host[KH_CONFIG_ADDRESS_MAX] = "", told[KH_CONFIG_ADDRESS_MAX];
    uint16_t asked;
    if (c->datagrams.listen[0] == '\0') return true;
    const kh_ingest_options options = {.service = d->service,
                                       .listen = c->datagrams.listen,
                                       .poller_cnt = c->datagrams.pollers,
                                       .cpus = c->datagrams.cpu_cnt != 0 ? c->datagrams.cpus : NULL,
                                       .dpdk = d->dpdk ? c->datagrams.dpdk : NULL,
                                       .trust_peers = c->datagrams.trust_peers,
                                       .spin_us = c->datagrams.spin_us,
                                       .opened = d->dpdk ? on_devices : NULL,
                                       .opened_ctx = d};
    kh_err err = kh_ingest_start(&options, why, sizeof why, &d->ingest);
    if (err != KH_OK) return say(d, "datagrams", why[0] != '\0' ? why : kh_err_text(err));
    uint16_t port = kh_ingest_port(d->ingest);
    kh_config_told(c, told);
    bool good = kh_config_split(told, host, &asked);
    KH_ASSERT(good);
    if (c->datagrams.address[0] != '\0' && asked != 0) port = asked;
    bool six = strchr(host, ':') != NULL;
    (void)snprintf(d->datagrams, sizeof d->datagrams, "%s%s%s:%u", six ? "[" : "", host, six ? "]" : "", port);
    return true;
}

/* Is it a bank's node? A hub answers itself, whomever its configuration names. */
static bool is_banks(const kh_daemon *d) { return d->cluster != NULL && kh_cluster_view(d->cluster) != NULL; }

static const char *crl_of(const kh_config *c) { return c->crl[0] != '\0' ? c->crl : NULL; }

static bool start_http(kh_daemon *d)
{
    const kh_config *c = d->config;
    char why[400] = "";
    const kh_http_options options = {.engine = d->engine,
                                     .service = d->service,
                                     .limits = d->limits,
                                     .listen = c->listen,
                                     .ca = c->ca,
                                     .crl = crl_of(c),
                                     .certificate = c->certificate,
                                     .key = d->key.name,
                                     .datagram_address = d->datagrams[0] != '\0' ? d->datagrams : NULL,
                                     .openapi_path = c->openapi[0] != '\0' ? c->openapi : NULL,
                                     .max_connections = c->max_connections,
                                     .max_connections_per_address = c->max_connections_per_address,
                                     .idle_s = c->idle_s,
                                     .workers = c->workers,
                                     .max_body = c->max_body,
                                     .queue = c->queue,
                                     .log = on_http_event,
                                     .log_ctx = d,
                                     .metrics_listen = c->metrics_listen[0] != '\0' ? c->metrics_listen : NULL,
                                     .metrics = kh_daemon_metrics,
                                     .metrics_ctx = d,
                                     .ready = on_ready,
                                     .ready_ctx = d,
                                     .forward = is_banks(d) && d->forward != NULL ? kh_forward_ask : NULL,
                                     .forward_ctx = d->forward,
                                     .cluster = d->cluster != NULL ? &d->cluster_http.api : NULL};
    kh_err err = kh_http_start(&options, why, sizeof why, &d->http);
    kh_held_drop(&d->key);
    if (err != KH_OK) return say(d, "HTTPS", why[0] != '\0' ? why : kh_err_text(err));
    kh_config_url(c, kh_http_port(d->http), d->url, sizeof d->url);
    err = kh_store_announce(d->store, d->url);
    return err == KH_OK || say(d, "DIR/lock", kh_err_text(err));
}

static bool start(kh_daemon *d, bool accept_time)
{
    if (!kh_daemon_drop(d) || !start_engine(d, accept_time)) return false;
    if (!d->dpdk && !kh_daemon_filter(d)) return false;
    return start_cluster(d) && start_service(d) && start_ingest(d) && start_http(d);
}

/* ---- ready, stopping ---- */

static void tell_ready(kh_daemon *d)
{
    char host[KH_CONFIG_ADDRESS_MAX] = "";
    uint16_t asked, port = kh_http_port(d->http);
    bool good = kh_config_split(d->config->listen, host, &asked);
    KH_ASSERT(good);
    bool six = strchr(host, ':') != NULL;
    printf("kanhed: ready https://%s%s%s:%u datagrams %s data %s\n", six ? "[" : "", host, six ? "]" : "", port,
           d->datagrams[0] != '\0' ? d->datagrams : "none", d->config->data);
    (void)fflush(stdout);
    KH_LOG(d->logging, KH_LEVEL_INFO, "ready", {"url", d->url, 0},
           {"datagrams", d->datagrams[0] != '\0' ? d->datagrams : "none", 0}, {"data", d->config->data, 0},
           {"pid", NULL, (uint64_t)getpid()}, {"height", NULL, kh_store_durable_upto(d->store)});
    kh_notify_say(&d->notify, "READY=1\nSTATUS=Serving.");
}

/* New connections get the files that are there now. Root's own key was read before its rights were dropped, and is not read
 * again. */
static void renew(kh_daemon *d)
{
    const kh_config *c = d->config;
    char why[400] = "";
    bool good =
        kh_config_is_token(c) || (strcmp(d->key.name, c->key) == 0 && kh_privilege_secret(c->key, d->who.uid, why, sizeof why));
    if (!good && why[0] == '\0') (void)snprintf(why, sizeof why, "the key is root's alone: restart kanhed to read it");
    good = good && kh_http_renew(d->http, c->ca, crl_of(c), c->certificate, c->key, why, sizeof why) == KH_OK;
    if (good) KH_LOG(d->logging, KH_LEVEL_INFO, "certificate_renewed", {"certificate", c->certificate, 0});
    else KH_LOG(d->logging, KH_LEVEL_ERROR, "certificate_not_renewed", {"why", why, 0}, {"do", "the old one is still used", 0});
}

/* The peers and hubs that the configuration names now, and who was revoked; the rest of it is of the start. */
static void renew_cluster(kh_daemon *d)
{
    static kh_config now;
    const char *urls[KH_CONFIG_HUBS_MAX];
    char why[600];
    bool good = kh_config_load(d->config->file, &now, why, sizeof why);
    if (good && !now.cluster.on) good = kh_cluster_say(why, sizeof why, "the group \"cluster\" is missing");
    good = good && kh_cluster_renew(d->cluster, &now, why, sizeof why);
    for (uint32_t i = 0; good && i < now.cluster.hub_cnt; i++) urls[i] = now.cluster.hubs[i].at;
    if (good && d->forward != NULL && kh_forward_hubs(d->forward, urls, now.cluster.hub_cnt) != KH_OK)
        good = kh_cluster_say(why, sizeof why, "hubs: out of memory");
    if (good)
        KH_LOG(d->logging, KH_LEVEL_INFO, "peers_read", {"peers", NULL, now.cluster.links.peer_cnt},
               {"hubs", NULL, now.cluster.hub_cnt});
    else
        KH_LOG(d->logging, KH_LEVEL_ERROR, "peers_not_read", {"why", why, 0},
               {"do", "mend it and reload once more; until then what was known is used", 0});
}

/* Who has other keys signs in again. */
static void end_sessions(kh_daemon *d)
{
    for (uint32_t member; d->cluster != NULL && (member = kh_cluster_rekeyed(d->cluster)) != 0;) {
        kh_http_end_party(d->http, member);
        KH_LOG(d->logging, KH_LEVEL_INFO, "sessions_ended", {"party", NULL, member}, {"why", "its keys were changed", 0});
    }
}

/* 0: none came within the pause. */
static int next_signal(const sigset_t *signals, bool soon)
{
    const struct timespec pause = {.tv_sec = soon ? 0 : 1, .tv_nsec = soon ? 100000000 : 0};
    int sig = sigtimedwait(signals, NULL, &pause);
    return sig < 0 ? 0 : sig;
}

static void wait_for_end(kh_daemon *d, const sigset_t *signals)
{
    for (;;) {
        bool follows = d->cluster != NULL && kh_cluster_follows(d->cluster);
        int sig = next_signal(signals, follows);
        end_sessions(d);
        if (follows && kh_cluster_joined(d->cluster)) {
            KH_LOG(d->logging, KH_LEVEL_INFO, "joined", {"do", "nothing: started again it goes on as a member", 0});
            return;
        }
        if (sig == SIGTERM || sig == SIGINT) {
            KH_LOG(d->logging, KH_LEVEL_INFO, "stopping", {"signal", NULL, (uint64_t)sig});
            return;
        }
        if (sig == SIGHUP) renew(d);
        if (sig == SIGHUP && d->cluster != NULL) renew_cluster(d);
        if (sig != SIGUSR1) continue;
        kh_logging_reopen(d->logging);
        KH_LOG(d->logging, KH_LEVEL_INFO, "log_reopened", {"pid", NULL, (uint64_t)getpid()});
    }
}

/* What was accepted is answered when it is final; a cluster that has no quorum makes no blocks, and is not waited for longer. */
static void *end_cluster(void *arg)
{
    kh_daemon *d = arg;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CLUSTER_PATIENCE_S;
    if (sem_clockwait(&d->answered, CLOCK_MONOTONIC, &until) == 0) return NULL;
    KH_LOG(d->logging, KH_LEVEL_WARNING, "not_waited_for", {"why", "the cluster did not answer what it was given", 0});
    kh_cluster_end(d->cluster);
    return NULL;
}

static void stop_service(kh_daemon *d)
{
    pthread_t patience;
    bool waits = d->cluster != NULL && sem_init(&d->answered, 0, 0) == 0 && pthread_create(&patience, NULL, end_cluster, d) == 0;
    if (d->http != NULL) kh_http_stop(d->http);
    if (d->ingest != NULL) kh_ingest_stop(d->ingest);
    kh_watch_stop(d->watch);
    if (d->service != NULL) kh_service_free(d->service);
    if (!waits) return;
    (void)sem_post(&d->answered);
    (void)pthread_join(patience, NULL);
    (void)sem_destroy(&d->answered);
}

/* In reverse: nothing is taken any more, what was taken is answered, then the store closes. */
static void stop(kh_daemon *d)
{
    kh_notify_say(&d->notify, "STOPPING=1\nSTATUS=Finishing what was accepted.");
    stop_service(d);
    if (d->store != NULL) d->log_failed = kh_store_condition(d->store) != KH_OK;
    if (d->cluster != NULL && !kh_cluster_sound(d->cluster)) d->log_failed = true;
    kh_cluster_stop(d->cluster);
    kh_engine_close(d->engine);
    if (d->limits != NULL) kh_limits_free(d->limits);
    kh_forward_free(d->forward);
    kh_cluster_keys_drop(&d->cluster_keys);
    kh_genesis_free(&d->genesis);
    kh_held_drop(&d->link_key);
    kh_held_drop(&d->key);
}

/* Where the log is a file, or somebody sits before a terminal, the sentence is said plainly too. */
static int fail(kh_daemon *d, int status)
{
    if (d->logging != NULL) KH_LOG(d->logging, KH_LEVEL_ERROR, "not_started", {"why", d->why, 0});
    if (d->logging == NULL || d->config->log[0] != '\0' || isatty(STDERR_FILENO)) fprintf(stderr, "kanhed: %s\n", d->why);
    return status;
}

static int64_t id_or_none(bool known, uint32_t id) { return known ? (int64_t)id : -1; }

static bool prepare_forward(kh_daemon *d)
{
    const kh_config *c = d->config;
    const char *urls[KH_CONFIG_HUBS_MAX];
    const kh_forward_options options = {
        .party = c->cluster.member, .ca = c->ca, .certificate = c->certificate, .key = d->key.name};
    if (c->cluster.hub_cnt == 0) return true;
    for (uint32_t i = 0; i < c->cluster.hub_cnt; i++) urls[i] = c->cluster.hubs[i].at;
    if (kh_config_is_token(c)) return say(d, "cluster.hubs", "hubs are asked with a key that is a file, not a token's");
    return kh_forward_new(&options, d->why, sizeof d->why, &d->forward) == KH_OK &&
           (kh_forward_hubs(d->forward, urls, c->cluster.hub_cnt) == KH_OK || say(d, "hubs", "out of memory"));
}

/* What a node of a cluster reads while it may: the genesis, its keys. */
static bool prepare_cluster(kh_daemon *d)
{
    const kh_config *c = d->config;
    return !c->cluster.on ||
           (kh_genesis_json_load(c->cluster.genesis, &d->genesis, d->why, sizeof d->why) &&
            kh_cluster_keys_read(d->genesis.suite, c->cluster.keys, d->who.uid, &d->cluster_keys, d->why, sizeof d->why) &&
            kh_held_take(c->cluster.links.key, &d->who, &d->link_key, d->why, sizeof d->why));
}

/* prepare does what may need root: the user, the log's file, the keys. */
static bool prepare(kh_daemon *d)
{
    const kh_config *c = d->config;
    if (!kh_privilege_who(c->user, &d->who, d->why, sizeof d->why)) return false;
    if (!kh_logging_open(c->log, id_or_none(d->who.changes, d->who.uid), id_or_none(d->who.changes, d->who.gid), &d->logging,
                         d->why, sizeof d->why))
        return false;
    if (!prepare_cluster(d)) return false;
    if (kh_config_is_token(c)) (void)snprintf(d->key.name, sizeof d->key.name, "%s", c->key);
    else if (!kh_held_take(c->key, &d->who, &d->key, d->why, sizeof d->why)) return false;
    return prepare_forward(d);
}

int kh_daemon_run(const kh_config *config, bool accept_time)
{
    kh_daemon d = {.config = config,
                   .key = {.fd = -1},
                   .link_key = {.fd = -1},
                   .notify = {.fd = -1},
                   .dpdk = config->datagrams.dpdk[0] != '\0'};
    sigset_t signals;
    (void)sigemptyset(&signals);
    static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) (void)sigaddset(&signals, taken[i]);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* every thread inherits it */
    (void)signal(SIGPIPE, SIG_IGN);
    d.notify = kh_notify_open();
    int status = 0;
    if (!prepare(&d)) status = fail(&d, 2);
    else if (!start(&d, accept_time)) status = fail(&d, 3);
    else {
        tell_ready(&d);
        wait_for_end(&d, &signals);
    }
    stop(&d);
    if (status == 0 && d.log_failed) status = 3;
    if (d.logging != NULL) KH_LOG(d.logging, KH_LEVEL_INFO, "stopped", {"status", NULL, (uint64_t)status});
    kh_notify_close(&d.notify);
    kh_logging_close(d.logging);
    return status;
}
