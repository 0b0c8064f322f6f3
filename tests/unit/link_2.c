/* Links and strangers: everybody who must not come in, and bytes that are no frames. */
#include "link_town.h"
#include <criterion/criterion.h>
#include <poll.h>
#include <sys/wait.h>

TestSuite(link_strangers, .init = setup, .fini = teardown);

static node nodes[3];

/* Whoever is not a peer of the cluster's authority is not taken in, and harms nobody. */
Test(link_strangers, strangers_are_refused)
{
    authority other;
    stranger s;
    make_authority("other", &other);
    town_start(nodes, 2, &ca, 0);
    credentials good = make_credentials("good", "12", &ca, 10), forged = make_credentials("forged", "12", &other, 10),
                old = make_credentials("old", "12", &ca, -1), unknown = make_credentials("unknown", "99", &ca, 10),
                self = make_credentials("self", "11", &ca, 10), no_number = make_credentials("no_number", "12 ", &ca, 10),
                zeros = make_credentials("zeros", "012", &ca, 10), huge = make_credentials("huge", "4294967308", &ca, 10);
    const credentials *bad[] = {NULL, &forged, &old, &unknown, &self, &no_number, &zeros, &huge};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bool shaken = stranger_dial(&s, nodes[0].address, bad[i], TLS1_3_VERSION); /* a TLS 1.3 client may learn it later */
        cr_assert(!shaken || !stranger_is_welcome(&s), "%zu", i);
        stranger_end(&s);
    }
    cr_assert(!stranger_dial(&s, nodes[0].address, &good, TLS1_2_VERSION));
    stranger_end(&s);
    kh_link_counts counts;
    WAIT_FOR((kh_link_count(nodes[0].link, &counts), counts.handshakes_failed >= 9), 20000);
    kh_link_count(nodes[0].link, &counts);
    cr_assert(counts.handshakes_failed >= 9);
    cr_assert(stranger_dial(&s, nodes[0].address, &good, TLS1_3_VERSION) && stranger_is_welcome(&s)); /* the test can tell */
    stranger_end(&s);
    WAIT_FOR(kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[1].link, 11), 20000);
    cr_assert(node_send(&nodes[0], 12, 1, 100) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[1].received[11]) == 1, 20000);
    cr_assert(atomic_load(&nodes[1].received[11]) == 1 && atomic_load(&nodes[0].received[12]) == 0);
    town_stop(nodes, 2);
    free_authority(&other);
}

/* A list of what its authority took back, out of date where days < 0. NULL: an empty one. */
static void write_crl(const char *path, const authority *issuer, const char *revoked, int days)
{
    X509_CRL *list = X509_CRL_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, -86400L * 30), *until = X509_gmtime_adj(NULL, days * 86400L);
    FILE *f = revoked != NULL ? fopen(revoked, "r") : NULL;
    X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    KH_ASSERT(X509_CRL_set_version(list, 1) == 1 &&
              X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer->certificate)) == 1 &&
              X509_CRL_set1_lastUpdate(list, from) == 1 && X509_CRL_set1_nextUpdate(list, until) == 1);
    if (x != NULL) {
        X509_REVOKED *entry = X509_REVOKED_new();
        KH_ASSERT(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(x)) == 1 &&
                  X509_REVOKED_set_revocationDate(entry, from) == 1 && X509_CRL_add0_revoked(list, entry) == 1);
    }
    KH_ASSERT((revoked == NULL) == (x == NULL) && X509_CRL_sort(list) == 1 && X509_CRL_sign(list, issuer->key, EVP_sha256()) > 0);
    if (f != NULL) (void)fclose(f);
    KH_ASSERT((f = fopen(path, "w")) != NULL && PEM_write_X509_CRL(f, list) == 1 && fclose(f) == 0);
    X509_free(x);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    X509_CRL_free(list);
}

/* Three nodes; the first reads a list of what was taken back. */
static void town_with_crl(const char *file)
{
    for (uint32_t i = 0; i < 3; i++) node_make(&nodes[i], 11 + i, &ca);
    (void)snprintf(nodes[0].crl, sizeof nodes[0].crl, "%s/%s", fixture_dir, file);
    write_crl(nodes[0].crl, &ca, NULL, 10);
    for (uint32_t i = 0; i < 3; i++) node_start(&nodes[i], &ca, 0);
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t j = 0; j < 3; j++)
            if (i != j) cr_assert(kh_link_peer(nodes[i].link, nodes[j].id, nodes[j].address) == KH_OK);
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t j = 0; j < 3; j++) WAIT_FOR(i == j || kh_link_is_up(nodes[i].link, nodes[j].id), 20000);
}

/* Links of a certificate that was taken back end, both ways, and it does not come again; another one of the same member does. */
Test(link_strangers, who_was_revoked_is_out)
{
    stranger s;
    char why[300] = "";
    town_with_crl("crl.pem");
    cr_assert(kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[1].link, 11) && kh_link_is_up(nodes[0].link, 13));
    credentials thief = nodes[1].credentials;
    write_crl(nodes[0].crl, &ca, thief.certificate, -1); /* out of date: what was taken back stays so */
    cr_assert(kh_link_renew(nodes[0].link, why, sizeof why) == KH_OK, "%s", why);
    WAIT_FOR(!kh_link_is_up(nodes[0].link, 12) && !kh_link_is_up(nodes[1].link, 11), 20000);
    sleep_ms(1000);
    cr_assert(!kh_link_is_up(nodes[0].link, 12) && !kh_link_is_up(nodes[1].link, 11)); /* it stays out */
    cr_assert(atomic_load(&nodes[0].downs) == 1 && kh_link_is_up(nodes[0].link, 13) && kh_link_is_up(nodes[1].link, 13));
    bool shaken = stranger_dial(&s, nodes[0].address, &thief, TLS1_3_VERSION);
    cr_assert(!shaken || !stranger_is_welcome(&s));
    stranger_end(&s);
    kh_link_stop(nodes[1].link);
    nodes[1].credentials = make_credentials("other", "12", &ca, 10);
    node_start(&nodes[1], &ca, 0);
    cr_assert(kh_link_peer(nodes[1].link, 11, nodes[0].address) == KH_OK);
    WAIT_FOR(kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[1].link, 11), 20000);
    cr_assert(kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[1].link, 11));
    town_stop(nodes, 3);
}

/* A list that is not our authority's, or is none, is not taken: the one before is still used; without a good one nothing starts.
 */
Test(link_strangers, a_list_that_is_not_ours_is_not_taken)
{
    authority other;
    char why[300] = "", taken[300];
    make_authority("ca", &other); /* its name, not its key */
    (void)snprintf(ca.pem, sizeof ca.pem, "%s/real.pem", fixture_dir);
    FILE *f = fopen(ca.pem, "w");
    cr_assert(f != NULL && PEM_write_X509(f, ca.certificate) == 1 && fclose(f) == 0);
    town_with_crl("crl.pem");
    write_crl(nodes[0].crl, &ca, nodes[1].credentials.certificate, 10);
    cr_assert(kh_link_renew(nodes[0].link, why, sizeof why) == KH_OK, "%s", why);
    WAIT_FOR(!kh_link_is_up(nodes[0].link, 12), 20000);
    write_crl(nodes[0].crl, &other, NULL, 10);
    cr_assert(kh_link_renew(nodes[0].link, why, sizeof why) == KH_E_ARG && strstr(why, "authority") != NULL, "%s", why);
    f = fopen(nodes[0].crl, "w");
    cr_assert(f != NULL && fputs("no list\n", f) >= 0 && fclose(f) == 0);
    cr_assert(kh_link_renew(nodes[0].link, why, sizeof why) == KH_E_ARG);
    cr_assert(unlink(nodes[0].crl) == 0);
    cr_assert(kh_link_renew(nodes[0].link, taken, sizeof taken) == KH_E_ARG && strstr(taken, nodes[0].crl) != NULL, "%s", taken);
    sleep_ms(500);
    cr_assert(!kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[0].link, 13));
    node me = nodes[0];
    (void)snprintf(me.address, sizeof me.address, "127.0.0.1:%u", free_port());
    cr_assert(node_try(&me, &ca, 0, why, sizeof why) == KH_E_ARG && strstr(why, "revoked") != NULL, "%s", why);
    town_stop(nodes, 3);
    free_authority(&other);
}

/* We do not talk to somebody who answers at a peer's address and is not that peer. */
Test(link_strangers, an_impostor_is_not_sent_anything)
{
    authority other;
    make_authority("other", &other);
    node_make(&nodes[0], 11, &ca);
    node_start(&nodes[0], &ca, 0);
    node_make(&nodes[1], 12, &other); /* another cluster's 12 */
    node_start(&nodes[1], &other, 0);
    node_make(&nodes[2], 13, &ca); /* ours, but not 12 */
    node_start(&nodes[2], &ca, 0);
    cr_assert(kh_link_peer(nodes[1].link, 11, nodes[0].address) == KH_OK);
    cr_assert(kh_link_peer(nodes[2].link, 11, nodes[0].address) == KH_OK);
    cr_assert(kh_link_peer(nodes[0].link, 12, nodes[1].address) == KH_OK);
    sleep_ms(1000);
    cr_assert(!kh_link_is_up(nodes[0].link, 12));
    cr_assert(kh_link_peer(nodes[0].link, 12, nodes[2].address) == KH_OK);
    sleep_ms(1000);
    cr_assert(!kh_link_is_up(nodes[0].link, 12) && atomic_load(&nodes[0].ups) == 0);
    cr_assert(atomic_load(&nodes[1].ups) == 0 && atomic_load(&nodes[2].ups) == 0); /* 13 is not a peer of 11 */
    town_stop(nodes, 3);
    free_authority(&other);
}

/* ---- frames that are none: nodes[0] is whole, node 12 is ours to write ---- */

static void write_as_12(const uint8_t *p, size_t n, bool *ret_closed)
{
    stranger s;
    static credentials c;
    if (c.key[0] == '\0') c = make_credentials("liar", "12", &ca, 10);
    cr_assert(stranger_dial(&s, nodes[0].address, &c, TLS1_3_VERSION) && stranger_is_welcome(&s));
    cr_assert(SSL_write(s.ssl, p, (int)n) == (int)n);
    *ret_closed = stranger_is_closed(&s);
    stranger_end(&s);
}

Test(link_strangers, frames_that_are_none_end_the_connection)
{
    uint8_t oversized[8] = {0, 0, 0, 0, 1};
    static const uint8_t enormous[8] = {255, 255, 255, 255, 1}, alive_with_body[9] = {1};
    uint8_t garbage[4096];
    bool closed;
    town_start(nodes, 2, &ca, 0);
    kh_link_stop(nodes[1].link);
    WAIT_FOR(!kh_link_is_up(nodes[0].link, 12), 20000);
    for (size_t i = 0; i < sizeof garbage; i++) garbage[i] = (uint8_t)(i * 131 + 7);
    kh_store32(oversized, KH_LINK_MESSAGE_MAX + 1);
    write_as_12(oversized, sizeof oversized, &closed);
    cr_assert(closed);
    write_as_12(enormous, sizeof enormous, &closed);
    cr_assert(closed);
    for (size_t i = 5; i < 8; i++) {
        uint8_t padded[9] = {1, 0, 0, 0, 1};
        padded[i] = 1;
        write_as_12(padded, sizeof padded, &closed);
        cr_assert(closed, "%zu", i);
    }
    write_as_12(alive_with_body, sizeof alive_with_body, &closed);
    cr_assert(closed);
    write_as_12(garbage, sizeof garbage, &closed);
    cr_assert(closed);
    cr_assert(atomic_load(&nodes[0].received[12]) == 0);
    kh_link_counts counts;
    kh_link_count(nodes[0].link, &counts);
    cr_assert(counts.refused == 7);
    /* a frame cut into single bytes is one; the last good one before garbage is told */
    uint8_t frame[24] = {16, 0, 0, 0, 5};
    kh_store64(frame + 8, 1);
    for (size_t i = 8; i < 16; i++) frame[8 + i] = (uint8_t)(1 + i);
    stranger s;
    credentials c = make_credentials("slow", "12", &ca, 10);
    cr_assert(stranger_dial(&s, nodes[0].address, &c, TLS1_3_VERSION) && stranger_is_welcome(&s));
    for (size_t i = 0; i < sizeof frame; i++) cr_assert(SSL_write(s.ssl, frame + i, 1) == 1);
    cr_assert(SSL_write(s.ssl, garbage, sizeof garbage) > 0);
    cr_assert(stranger_is_closed(&s));
    stranger_end(&s);
    cr_assert(atomic_load(&nodes[0].received[12]) == 1 && atomic_load(&nodes[0].damaged) == 0);
    /* bytes that are not TLS at all */
    int fd = dial_plain(nodes[0].address);
    cr_assert(write(fd, garbage, sizeof garbage) == sizeof garbage);
    while (read(fd, garbage, sizeof garbage) > 0) {}
    (void)close(fd);
    node_start(&nodes[1], &ca, 0);
    cr_assert(kh_link_peer(nodes[1].link, 11, nodes[0].address) == KH_OK);
    WAIT_FOR(kh_link_is_up(nodes[0].link, 12), 20000);
    cr_assert(kh_link_is_up(nodes[0].link, 12));
    town_stop(nodes, 2);
}

Test(link_strangers, somebody_who_says_nothing_is_shown_out)
{
    int fds[5];
    town_start(nodes, 2, &ca, 0);
    for (int i = 0; i < 5; i++) fds[i] = dial_plain(nodes[0].address);
    uint64_t begin = now_ms();
    struct pollfd fifth = {.fd = fds[4], .events = POLLIN};
    cr_assert(poll(&fifth, 1, 60000) == 1); /* one too many of this address: at once, before the others */
    for (int i = 0; i < 4; i++) cr_assert(poll(&(struct pollfd){.fd = fds[i], .events = POLLIN}, 1, 0) == 0, "%d", i);
    for (int i = 0; i < 4; i++) {
        struct pollfd p = {.fd = fds[i], .events = POLLIN};
        cr_assert(poll(&p, 1, 60000) == 1);
    }
    uint64_t took = now_ms() - begin;
    cr_assert(took > 4000, "%u ms", (unsigned)took);
    for (int i = 0; i < 5; i++) (void)close(fds[i]);
    cr_assert(node_send(&nodes[0], 12, 1, 100) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[1].received[11]) == 1, 20000);
    cr_assert(atomic_load(&nodes[1].received[11]) == 1);
    town_stop(nodes, 2);
}

/* What a test is given to listen at stays free until it does: the kernel gives it to no connection, and no other test is given
 * it. */
Test(link_ports, are_given_once)
{
    enum { PORTS = 50 };
    uint16_t mine[PORTS], theirs[PORTS];
    int pipes[2], status;
    cr_assert(pipe(pipes) == 0);
    for (uint32_t i = 0; i < PORTS; i++) mine[i] = free_port();
    pid_t child = fork();
    if (child == 0) {
        for (uint32_t i = 0; i < PORTS; i++) theirs[i] = free_port();
        _exit(write(pipes[1], theirs, sizeof theirs) == (ssize_t)sizeof theirs ? 0 : 1);
    }
    cr_assert(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    cr_assert(read(pipes[0], theirs, sizeof theirs) == (ssize_t)sizeof theirs);
    for (uint32_t i = 0; i < PORTS; i++) {
        cr_assert(mine[i] >= FIRST_PORT && mine[i] <= LAST_PORT);
        for (uint32_t k = 0; k < PORTS; k++) cr_assert(mine[i] != theirs[k] && (i == k || mine[i] != mine[k]));
    }
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}
