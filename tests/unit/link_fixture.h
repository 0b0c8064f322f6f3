/* link_fixture: an authority, certificates, free ports, and links that note what comes, for tests of links. */
#ifndef KH_TESTS_LINK_FIXTURE_H
#define KH_TESTS_LINK_FIXTURE_H
#include "link/link.h"
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

typedef struct authority {
    EVP_PKEY *key;
    X509 *certificate;
    char pem[256];
} authority;

static char fixture_dir[128];

static void fixture_begin(void)
{
    (void)snprintf(fixture_dir, sizeof fixture_dir, "/tmp/kh_link_XXXXXX");
    KH_ASSERT(mkdtemp(fixture_dir) != NULL);
}

static void fixture_end(void)
{
    char command[200];
    (void)snprintf(command, sizeof command, "rm -rf %s", fixture_dir);
    KH_ASSERT(system(command) == 0);
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    KH_ASSERT(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

/* issuer NULL: signed by itself. days < 0: expired. */
static X509 *make_certificate(const char *cn, EVP_PKEY *key, const authority *issuer, int days)
{
    static _Atomic long serial = 1;
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    KH_ASSERT(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0) == 1);
    (void)X509_set_version(x, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x), atomic_fetch_add(&serial, 1));
    (void)X509_gmtime_adj(X509_getm_notBefore(x), -7200);
    (void)X509_gmtime_adj(X509_getm_notAfter(x), days < 0 ? -3600 : days * 86400L);
    (void)X509_set_subject_name(x, name);
    (void)X509_set_issuer_name(x, issuer != NULL ? X509_get_subject_name(issuer->certificate) : name);
    (void)X509_set_pubkey(x, key);
    if (issuer == NULL) add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    else add_extension(x, NID_ext_key_usage, "serverAuth,clientAuth");
    KH_ASSERT(X509_sign(x, issuer != NULL ? issuer->key : key, EVP_sha256()) > 0);
    X509_NAME_free(name);
    return x;
}

static void make_authority(const char *name, authority *ret)
{
    (void)snprintf(ret->pem, sizeof ret->pem, "%s/%s.pem", fixture_dir, name);
    ret->key = EVP_EC_gen("P-256");
    ret->certificate = make_certificate(name, ret->key, NULL, 10);
    FILE *f = fopen(ret->pem, "w");
    KH_ASSERT(f != NULL && PEM_write_X509(f, ret->certificate) == 1);
    KH_ASSERT(fclose(f) == 0);
}

static void free_authority(authority *a)
{
    EVP_PKEY_free(a->key);
    X509_free(a->certificate);
}

typedef struct credentials {
    char certificate[256], key[256];
} credentials;

static credentials make_credentials(const char *file, const char *cn, const authority *issuer, int days)
{
    credentials c;
    (void)snprintf(c.certificate, sizeof c.certificate, "%s/%s.crt", fixture_dir, file);
    (void)snprintf(c.key, sizeof c.key, "%s/%s.key", fixture_dir, file);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = make_certificate(cn, key, issuer, days);
    FILE *f = fopen(c.certificate, "w"), *g = fopen(c.key, "w");
    KH_ASSERT(f != NULL && g != NULL && PEM_write_X509(f, x) == 1 &&
              PEM_write_PrivateKey(g, key, NULL, NULL, 0, NULL, NULL) == 1);
    KH_ASSERT(fclose(f) == 0 && fclose(g) == 0);
    EVP_PKEY_free(key);
    X509_free(x);
    return c;
}

/* The ports of tests: below those that the kernel gives to outgoing connections (32768 and on, unless it is told otherwise), and
 * beside those of the programs' own tests. */
enum { FIRST_PORT = 20000, LAST_PORT = 29999 };

/* claim_port: the port is this process's until it ends: other processes that ask so are refused, whether or not something listens
 * there yet. */
static bool claim_port(uint16_t port)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "kanhe-test-port-%u",
                     port); /* an abstract address: the kernel forgets it */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    KH_ASSERT(fd >= 0 && n > 0);
    if (bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0) return true;
    (void)close(fd);
    return false;
}

/* free_port returns a port of loopback that nobody listens at, never the same twice, to no two processes: what is free now would
 * else be somebody's outgoing connection, or another test's listener, by the time that the caller listens. */
static uint16_t free_port(void)
{
    static uint32_t tried;
    for (uint32_t begin = (uint32_t)getpid() * 37; tried <= LAST_PORT - FIRST_PORT; tried++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        uint16_t port = (uint16_t)(FIRST_PORT + (begin + tried) % (LAST_PORT - FIRST_PORT + 1));
        a.sin_port = htons(port);
        if (!claim_port(port)) continue;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        KH_ASSERT(fd >= 0);
        bool good = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
        (void)close(fd);
        if (good) return port;
    }
    KH_ASSERT(!"a port that is free");
}

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

#define WAIT_FOR(condition, ms)                                                                                                  \
    for (uint64_t wait_end_ = now_ms() + (ms); !(condition) && now_ms() < wait_end_;) sleep_ms(1)

/* A node of a test: each message is {number 8, filling}: the numbers of one sender must ascend; the filling must be what the
 * number says. */
typedef struct node {
    kh_link *link;
    uint32_t id;
    char address[32];
    credentials credentials;
    char crl[256]; /* "": none */
    _Atomic uint64_t received[64], bytes, disordered, damaged, ups, downs;
    _Atomic uint64_t last[64];
    _Atomic uint8_t last_type;
    _Atomic long slow_ms;
    _Atomic uint32_t forgets; /* a peer that is removed as soon as it is down; 0: none */
} node;

static void node_make(node *me, uint32_t id, const authority *ca)
{
    char name[16];
    memset(me, 0, sizeof *me);
    me->id = id;
    (void)snprintf(name, sizeof name, "%u", id);
    (void)snprintf(me->address, sizeof me->address, "127.0.0.1:%u", free_port());
    me->credentials = make_credentials(name, name, ca, 10);
}
#endif
