/* links: the links to other nodes: whom the configuration names, and whom its authority took back; both are read again
 * while the node runs. */
#include <stdio.h>
#include "member/parts.h"

#define LINK_QUEUE_SZ (2u * KH_LINK_MESSAGE_MAX)

static void on_received(void *ctx, uint32_t from, uint8_t type, const uint8_t *p, size_t n)
{
    kh_cluster *c = ctx;
    if (type >= KH_STATES_MESSAGE_FIRST && type <= KH_STATES_MESSAGE_LAST) kh_states_received(c->states, from, type, p, n);
    else kh_node_received(c->node, from, type, p, n);
}

static void on_connected(void *ctx, uint32_t to, bool up)
{
    kh_cluster *c = ctx;
    KH_LOG(c->options.logging, KH_LEVEL_INFO, up ? "peer_up" : "peer_away", {"member", NULL, to});
    kh_node_connected(c->node, to, up);
}

static const kh_config_member *find(const kh_config_member *in, uint32_t n, uint32_t member)
{
    for (uint32_t i = 0; i < n; i++)
        if (in[i].member == member) return &in[i];
    return NULL;
}

/* Who is not named any more goes first, so that there is room. */
static bool set_peers(kh_cluster *c, kh_link *link, const kh_config_member *peers, uint32_t n, char *why, size_t cap)
{
    kh_err err = KH_OK;
    bool good = true;
    (void)pthread_mutex_lock(&c->peers_lock);
    for (uint32_t i = c->peer_cnt; i-- > 0;) {
        uint32_t member = c->peers[i].member;
        if (find(peers, n, member) != NULL) continue;
        if (kh_link_peer(link, member, NULL) == KH_OK)
            KH_LOG(c->options.logging, KH_LEVEL_INFO, "peer_gone", {"member", NULL, member});
        c->peers[i] = c->peers[--c->peer_cnt];
    }
    for (uint32_t i = 0; i < n && good; i++) {
        kh_config_member *known = (kh_config_member *)find(c->peers, c->peer_cnt, peers[i].member);
        if (known != NULL && strcmp(known->at, peers[i].at) == 0) continue;
        err = known != NULL || c->peer_cnt < KH_CONFIG_PEERS_MAX ? kh_link_peer(link, peers[i].member, peers[i].at) : KH_E_FULL;
        good = err == KH_OK;
        if (!good) (void)kh_cluster_say(why, cap, "the peer %u at %s: %s", peers[i].member, peers[i].at, kh_err_text(err));
        else if (known != NULL) *known = peers[i];
        else c->peers[c->peer_cnt++] = peers[i];
    }
    (void)pthread_mutex_unlock(&c->peers_lock);
    return good;
}

bool kh_cluster_links(kh_cluster *c, char *why, size_t cap)
{
    const kh_config *config = c->options.config;
    const kh_link_options options = {.listen = config->cluster.links.listen,
                                     .ca = config->cluster.links.ca,
                                     .crl = config->cluster.links.crl[0] != '\0' ? config->cluster.links.crl : NULL,
                                     .certificate = config->cluster.links.certificate,
                                     .key = c->options.link_key,
                                     .self = config->cluster.member,
                                     .queue_sz = LINK_QUEUE_SZ,
                                     .received = on_received,
                                     .connected = on_connected,
                                     .ctx = c};
    kh_link *link = NULL;
    why[0] = '\0';
    kh_err err = kh_link_start(&options, why, cap, &link);
    if (err != KH_OK) return why[0] != '\0' ? false : kh_cluster_say(why, cap, "links: %s", kh_err_text(err));
    atomic_store_explicit(&c->link, link, memory_order_release); /* for kh_cluster_send */
    return set_peers(c, link, config->cluster.links.peers, config->cluster.links.peer_cnt, why, cap);
}

bool kh_cluster_renew(kh_cluster *c, const kh_config *now, char *why, size_t cap)
{
    kh_link *link = atomic_load_explicit(&c->link, memory_order_acquire); /* of kh_cluster_links */
    why[0] = '\0';
    kh_err err = kh_link_renew(link, why, cap);
    if (err != KH_OK && why[0] == '\0') (void)kh_cluster_say(why, cap, "links: %s", kh_err_text(err));
    return err == KH_OK && set_peers(c, link, now->cluster.links.peers, now->cluster.links.peer_cnt, why, cap);
}

void kh_cluster_count_peers(kh_cluster *c, kh_cluster_counts *ret)
{
    kh_link *link = atomic_load_explicit(&c->link, memory_order_acquire); /* of kh_cluster_links */
    (void)pthread_mutex_lock(&c->peers_lock);
    ret->peers = c->peer_cnt;
    for (uint32_t i = 0; i < c->peer_cnt; i++) ret->peers_up += kh_link_is_up(link, c->peers[i].member);
    (void)pthread_mutex_unlock(&c->peers_lock);
}

/* Called with the node's lock held: whoever sends with it, as bodies do whose writing ends late, has no link from now on. */
static void unlink_peers(void *ctx, kh_order *order)
{
    (void)order;
    atomic_store_explicit(&((kh_cluster *)ctx)->link, NULL, memory_order_release); /* for kh_cluster_send */
}

void kh_cluster_unlink(kh_cluster *c)
{
    kh_link *link = atomic_load_explicit(&c->link, memory_order_relaxed); /* this thread's own, of kh_cluster_links */
    if (link == NULL) return;
    kh_node_read(c->node, unlink_peers, c);
    kh_link_stop(link);
}
