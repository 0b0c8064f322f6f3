/* link_town: nodes that are all linked to each other, and a stranger that speaks TLS and may be anybody. */
#ifndef KH_TESTS_LINK_TOWN_H
#define KH_TESTS_LINK_TOWN_H
#include "link_fixture.h"

static authority ca; /* of all nodes of a test */

static void setup(void)
{
    fixture_begin();
    make_authority("ca", &ca);
}

static void teardown(void)
{
    free_authority(&ca);
    fixture_end();
}

static void node_received(void *ctx, uint32_t from, uint8_t type, const uint8_t *p, size_t n)
{
    node *me = ctx;
    long slow = atomic_load(&me->slow_ms);
    if (slow != 0) sleep_ms(slow);
    uint64_t number = n >= 8 ? kh_load64(p) : 0;
    if (n >= 8 && number <= atomic_load(&me->last[from % 64]) && number != 0) atomic_fetch_add(&me->disordered, 1);
    for (size_t i = 8; i < n; i += n < 4096 ? 1 : 509)
        if (p[i] != (uint8_t)(number + i)) atomic_fetch_add(&me->damaged, 1);
    if (n > 8 && p[n - 1] != (uint8_t)(number + n - 1)) atomic_fetch_add(&me->damaged, 1);
    atomic_store(&me->last[from % 64], number);
    atomic_store(&me->last_type, type);
    atomic_fetch_add(&me->bytes, n);
    atomic_fetch_add(&me->received[from % 64], 1);
}

static void node_connected(void *ctx, uint32_t to, bool up)
{
    node *me = ctx;
    if (!up && atomic_load(&me->forgets) == to) KH_ASSERT(kh_link_peer(me->link, to, NULL) == KH_OK);
    atomic_fetch_add(up ? &me->ups : &me->downs, 1);
}

static kh_err node_try(node *me, const authority *ca, size_t queue_sz, char *why, size_t cap)
{
    kh_link_options o = {.listen = me->address,
                         .ca = ca->pem,
                         .certificate = me->credentials.certificate,
                         .key = me->credentials.key,
                         .crl = me->crl[0] != '\0' ? me->crl : NULL,
                         .self = me->id,
                         .queue_sz = queue_sz,
                         .received = node_received,
                         .connected = node_connected,
                         .ctx = me};
    return kh_link_start(&o, why, cap, &me->link);
}

static void node_start(node *me, const authority *ca, size_t queue_sz)
{
    char why[300] = "";
    kh_err err = node_try(me, ca, queue_sz, why, sizeof why);
    if (err != KH_OK) (void)fprintf(stderr, "%s\n", why);
    KH_ASSERT(err == KH_OK);
}

/* n nodes, ids from 11, each with a link to each other; up when it returns. */
static void town_start(node nodes[], uint32_t n, const authority *ca, size_t queue_sz)
{
    for (uint32_t i = 0; i < n; i++) {
        node_make(&nodes[i], 11 + i, ca);
        node_start(&nodes[i], ca, queue_sz);
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++)
            if (i != j) KH_ASSERT(kh_link_peer(nodes[i].link, nodes[j].id, nodes[j].address) == KH_OK);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) WAIT_FOR(i == j || kh_link_is_up(nodes[i].link, nodes[j].id), 20000);
}

static void town_stop(node nodes[], uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) kh_link_stop(nodes[i].link);
}

static kh_err node_send(node *me, uint32_t to, uint64_t number, size_t n)
{
    uint8_t *p = malloc(n), type = (uint8_t)(1 + number % 255);
    KH_ASSERT(p != NULL && n >= 8);
    kh_store64(p, number);
    for (size_t i = 8; i < n; i++) p[i] = (uint8_t)(number + i);
    kh_err err = kh_link_send(me->link, to, type, p, n);
    free(p);
    return err;
}

/* ---- a stranger: a plain TLS client, blocking ---- */
typedef struct stranger {
    int fd;
    SSL_CTX *tls;
    SSL *ssl;
} stranger;

static int dial_plain(const char *address)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {20, 0};
    a.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    KH_ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    return fd;
}

/* credentials NULL: none shown. version: TLS1_2_VERSION, ... */
static bool stranger_dial(stranger *s, const char *address, const credentials *c, int version)
{
    s->fd = dial_plain(address);
    s->tls = SSL_CTX_new(TLS_client_method());
    (void)SSL_CTX_set_max_proto_version(s->tls, version);
    if (c != NULL)
        KH_ASSERT(SSL_CTX_use_certificate_file(s->tls, c->certificate, SSL_FILETYPE_PEM) == 1 &&
                  SSL_CTX_use_PrivateKey_file(s->tls, c->key, SSL_FILETYPE_PEM) == 1);
    s->ssl = SSL_new(s->tls);
    (void)SSL_set_fd(s->ssl, s->fd);
    return SSL_connect(s->ssl) == 1;
}

/* Did the other side take us in? It says so by eight zero bytes. */
static bool stranger_is_welcome(stranger *s)
{
    uint8_t head[8], zero[8] = {0};
    return SSL_read(s->ssl, head, sizeof head) == (int)sizeof head && memcmp(head, zero, sizeof head) == 0;
}

/* Is the connection ended by the other side, within the socket's patience? What comes before is passed over. */
static bool stranger_is_closed(stranger *s)
{
    uint8_t bytes[256];
    uint64_t end = now_ms() + 19000;
    while (SSL_read(s->ssl, bytes, sizeof bytes) > 0) {}
    return now_ms() < end;
}

static void stranger_end(stranger *s)
{
    SSL_free(s->ssl);
    SSL_CTX_free(s->tls);
    (void)close(s->fd);
}
#endif
