/* tls: the hub's own certificate and key, and who the certificate of the other side says it is.
 *
 * libmicrohttpd asks for a client's certificate and goes on without looking at it; kh_tls_identify looks: signed by our
 * authority, inside its dates, meant for clients, and naming a party. */
#include "http/inside.h"
#include "service/session.h"
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs11.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHAIN_MAX 8
#define PEM_MAX (8u << 20) /* a list of some hundred thousand revoked certificates */

struct kh_tls {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_n;
    gnutls_privkey_t key;
    char *ca;
    kh_crl *crl;     /* NULL: no list */
    uint64_t number; /* from 1 */
    kh_tls *older;   /* what connections from before a renewal still use */
};

const char *kh_tls_priorities(void)
{
    return "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:"
           "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%NO_TICKETS";
}

const char *kh_tls_ca(const kh_tls *t) { return t->ca; }

static kh_err say(char *why, size_t cap, const char *path, const char *what)
{
    (void)snprintf(why, cap, "%s: %s", path, what);
    return KH_E_ARG;
}

static char *read_pem(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    char *text = f != NULL ? malloc(PEM_MAX + 1) : NULL;
    *ret_n = text != NULL ? fread(text, 1, PEM_MAX, f) : 0;
    if (f != NULL) (void)fclose(f);
    if (*ret_n == 0) {
        free(text);
        return NULL;
    }
    text[*ret_n] = '\0';
    return text;
}

static kh_err load_ca(kh_tls *t, const char *path, char *why, size_t cap)
{
    size_t n;
    gnutls_x509_trust_list_t list;
    if ((t->ca = read_pem(path, &n)) == NULL) return say(why, cap, path, "cannot be read");
    if (gnutls_x509_trust_list_init(&list, 0) < 0) return KH_E_NOMEM;
    gnutls_datum_t pem = {(unsigned char *)t->ca, (unsigned)n};
    int found = gnutls_x509_trust_list_add_trust_mem(list, &pem, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
    gnutls_x509_trust_list_deinit(list, 1);
    return found > 0 ? KH_OK : say(why, cap, path, "holds no certificate of an authority (PEM)");
}

static kh_err load_crl(kh_tls *t, const char *path, char *why, size_t cap)
{
    size_t n;
    const char *wrong = NULL;
    char *text = read_pem(path, &n);
    if (text == NULL) return say(why, cap, path, "cannot be read");
    const gnutls_datum_t pem = {(unsigned char *)text, (unsigned)n}, ca = {(unsigned char *)t->ca, (unsigned)strlen(t->ca)};
    kh_err err = kh_crl_load(&pem, &ca, &wrong, &t->crl);
    free(text);
    return err == KH_E_ARG ? say(why, cap, path, wrong) : err;
}

bool kh_tls_revoked(const kh_tls *t, const uint8_t certificate[KH_CERTIFICATE_SZ]) { return kh_crl_has(t->crl, certificate); }

static kh_err load_chain(kh_tls *t, const char *path, char *why, size_t cap)
{
    size_t n;
    char *text = read_pem(path, &n);
    if (text == NULL) return say(why, cap, path, "cannot be read");
    gnutls_datum_t pem = {(unsigned char *)text, (unsigned)n};
    t->chain_n = CHAIN_MAX;
    int got = gnutls_pcert_list_import_x509_raw(t->chain, &t->chain_n, &pem, GNUTLS_X509_FMT_PEM, 0);
    free(text);
    if (got >= 0 && t->chain_n > 0) return KH_OK;
    t->chain_n = 0;
    return say(why, cap, path, "holds no certificate (PEM)");
}

static kh_err load_key(kh_tls *t, const char *path, char *why, size_t cap)
{
    if (gnutls_privkey_init(&t->key) < 0) return KH_E_NOMEM;
    int got;
    if (gnutls_url_is_supported(path) != 0) {
        got = gnutls_privkey_import_url(t->key, path, 0);
    } else {
        size_t n;
        char *text = read_pem(path, &n);
        if (text == NULL) return say(why, cap, path, "cannot be read");
        gnutls_datum_t pem = {(unsigned char *)text, (unsigned)n};
        got = gnutls_privkey_import_x509_raw(t->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
        gnutls_memset(text, 0, n);
        free(text);
    }
    if (got < 0) return say(why, cap, path, gnutls_strerror(got));
    gnutls_pubkey_t of_key, of_chain = t->chain[0].pubkey;
    uint8_t a[64], b[64];
    size_t a_n = sizeof a, b_n = sizeof b;
    if (gnutls_pubkey_init(&of_key) < 0) return KH_E_NOMEM;
    bool same =
        gnutls_pubkey_import_privkey(of_key, t->key, 0, 0) < 0 || /* a token may keep it back: then the handshake tells */
        (gnutls_pubkey_get_key_id(of_key, GNUTLS_KEYID_USE_SHA256, a, &a_n) >= 0 &&
         gnutls_pubkey_get_key_id(of_chain, GNUTLS_KEYID_USE_SHA256, b, &b_n) >= 0 && a_n == b_n && memcmp(a, b, a_n) == 0);
    gnutls_pubkey_deinit(of_key);
    return same ? KH_OK : say(why, cap, path, "is not the key of the certificate");
}

kh_err kh_tls_new(const char *ca, const char *crl, const char *certificate, const char *key, char *why, size_t cap, kh_tls **ret)
{
    kh_tls *t = calloc(1, sizeof *t);
    if (t == NULL) return KH_E_NOMEM;
    t->number = 1;
    kh_err err = load_ca(t, ca, why, cap);
    if (err == KH_OK && crl != NULL) err = load_crl(t, crl, why, cap);
    if (err == KH_OK) err = load_chain(t, certificate, why, cap);
    if (err == KH_OK) err = load_key(t, key, why, cap);
    if (err != KH_OK) {
        kh_tls_free(t);
        return err;
    }
    *ret = t;
    return KH_OK;
}

void kh_tls_free(kh_tls *t)
{
    while (t != NULL) {
        kh_tls *older = t->older;
        for (unsigned i = 0; i < t->chain_n; i++) gnutls_pcert_deinit(&t->chain[i]);
        if (t->key != NULL) gnutls_privkey_deinit(t->key);
        free(t->ca);
        kh_crl_free(t->crl);
        free(t);
        t = older;
    }
}

static bool is_revoked(void *ctx, const kh_connection *conn) { return kh_tls_revoked(ctx, conn->certificate); }
static bool session_is_revoked(void *ctx, const uint8_t certificate[KH_CERTIFICATE_SZ])
{
    return kh_tls_revoked(ctx, certificate);
}

kh_err kh_http_renew(kh_http *h, const char *ca, const char *crl, const char *certificate, const char *key, char *why, size_t cap)
{
    kh_tls *t;
    kh_err err = kh_tls_new(ca, crl, certificate, key, why, cap, &t);
    if (err != KH_OK) return err;
    t->older = atomic_load_explicit(&h->tls, memory_order_relaxed); /* this thread alone writes it */
    if (t->older != NULL) t->number = t->older->number + 1;
    atomic_store_explicit(&h->tls, t, memory_order_release); /* pairs with the load of a new connection, or of a request */
    if (t->older == NULL || t->crl == NULL) return KH_OK;
    kh_connections_end_those(h->connections, is_revoked, t);
    kh_session_end_certificates(h->o.service, session_is_revoked, t);
    return KH_OK;
}

static bool same_party(void *ctx, const kh_connection *conn) { return conn->party == *(const uint32_t *)ctx; }

void kh_http_end_party(kh_http *h, uint32_t party)
{
    kh_connections_end_those(h->connections, same_party, &party);
    kh_session_end_party(h->o.service, party);
}

/* The session's pointer is free for us: libmicrohttpd uses it for pre-shared keys alone. */
int kh_tls_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **ret, unsigned *ret_n,
                    gnutls_ocsp_data_st **ret_ocsp, unsigned *ret_ocsp_n, gnutls_privkey_t *ret_key, unsigned *ret_flags)
{
    kh_tls *t = gnutls_session_get_ptr(session);
    (void)info;
    *ret = t->chain;
    *ret_n = t->chain_n;
    *ret_ocsp = NULL;
    *ret_ocsp_n = 0;
    *ret_key = t->key;
    *ret_flags = 0;
    return 0;
}

void kh_tls_begin(kh_tls *t, gnutls_session_t session)
{
    static const unsigned char http[] = "http/1.1";
    gnutls_datum_t protocol = {(unsigned char *)http, sizeof http - 1};
    gnutls_session_set_ptr(session, t);
    (void)gnutls_alpn_set_protocols(session, &protocol, 1, GNUTLS_ALPN_MANDATORY);
}

static kh_trust bad(kh_connection *conn, const char *why)
{
    conn->why = why;
    return KH_TRUST_BAD;
}

static const char *why_of(unsigned status)
{
    if (status & GNUTLS_CERT_EXPIRED) return "the certificate has expired";
    if (status & GNUTLS_CERT_NOT_ACTIVATED) return "the certificate is not valid yet";
    if (status & GNUTLS_CERT_PURPOSE_MISMATCH) return "the certificate is not meant for clients";
    if (status & GNUTLS_CERT_SIGNER_NOT_FOUND) return "the certificate is not signed by the hub's authority";
    return "the certificate is not trusted";
}

/* named reads the only attribute of that kind in the subject. */
static bool named(gnutls_x509_crt_t certificate, const char *oid, char *ret, size_t cap)
{
    char second[2];
    size_t n = cap, second_n = sizeof second;
    if (gnutls_x509_crt_get_dn_by_oid(certificate, oid, 0, 0, ret, &n) < 0 || strlen(ret) != n) return false;
    return gnutls_x509_crt_get_dn_by_oid(certificate, oid, 1, 0, second, &second_n) == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
}

static kh_trust name_party(kh_connection *conn, gnutls_x509_crt_t certificate)
{
    static const char *const roles[] = {[KH_ROLE_REGULATOR] = "regulator",
                                        [KH_ROLE_BANK] = "bank",
                                        [KH_ROLE_ENTERPRISE] = "enterprise",
                                        [KH_ROLE_SOURCE] = "source"};
    char id[16], role[32], house[16];
    uint64_t party;
    if (!named(certificate, GNUTLS_OID_X520_COMMON_NAME, id, sizeof id) ||
        !named(certificate, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, role, sizeof role) ||
        !named(certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, house, sizeof house) || strcmp(house, "Kanhe") != 0 ||
        id[0] == '0' || !kh_number_parse(id, strlen(id), &party) || party == 0 || party > UINT32_MAX)
        return KH_TRUST_NAMELESS;
    for (uint32_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (roles[i] == NULL || strcmp(roles[i], role) != 0) continue;
        conn->party = (uint32_t)party;
        conn->role = (kh_role)i;
        return KH_TRUST_PARTY;
    }
    return KH_TRUST_NAMELESS;
}

/* Any certificate of the chain, the party's own first. */
static bool revoked(kh_connection *conn, const kh_tls *t, gnutls_session_t session)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    bool found = false;
    conn->looked = t->number;
    for (unsigned i = 0; i < n && !found; i++) {
        uint8_t name[KH_CERTIFICATE_SZ];
        found = !kh_crl_name(&chain[i], name) || kh_crl_has(t->crl, name);
        if (i == 0) memcpy(conn->certificate, name, sizeof name);
    }
    return found;
}

static kh_trust look(kh_connection *conn, gnutls_session_t session)
{
    unsigned n = 0, status = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    if (chain == NULL || n == 0) return KH_TRUST_NONE;
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
    if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) < 0) return bad(conn, "the certificate cannot be checked");
    if (status != 0) return bad(conn, why_of(status));
    gnutls_x509_crt_t certificate;
    if (gnutls_x509_crt_init(&certificate) < 0) return bad(conn, "the certificate cannot be checked");
    kh_trust trust = bad(conn, "the certificate cannot be read");
    if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) >= 0) {
        conn->expires_s = gnutls_x509_crt_get_expiration_time(certificate);
        trust = name_party(conn, certificate);
    }
    gnutls_x509_crt_deinit(certificate);
    return trust;
}

void kh_tls_identify(kh_connection *conn, const kh_tls *t, gnutls_session_t session)
{
    if (conn->trust == KH_TRUST_UNKNOWN) conn->trust = look(conn, session);
    if (conn->trust >= KH_TRUST_NAMELESS && conn->looked != t->number && revoked(conn, t, session))
        conn->trust = bad(conn, "the certificate was revoked");
    else if (conn->trust >= KH_TRUST_NAMELESS && conn->expires_s < (int64_t)time(NULL))
        conn->trust = bad(conn, "the certificate has expired");
}

kh_err kh_tls_exporter(void *ctx, const char *label, const uint8_t *context, size_t context_n, uint8_t *ret, size_t n)
{
    int got = gnutls_prf_rfc5705(ctx, strlen(label), label, context_n, (const char *)context, n, (char *)ret);
    return got < 0 ? KH_E_IO : KH_OK;
}
