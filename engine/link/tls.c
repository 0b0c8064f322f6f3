/* tls: TLS 1.3 by OpenSSL: both sides show a certificate of the cluster's authority; no resumption, so that each connection is
 * proven by itself.
 *
 * Between OpenSSL and the socket stands a BIO of ours: what is written is staged, so that many records go to the kernel in one
 * call; what is read comes straight from the socket, several records a call (read-ahead). */
#include "link/inside.h"
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>

static int stage(BIO *bio, const char *p, size_t n, size_t *ret_n)
{
    kh_connection *c = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n > sizeof c->stage - c->stage_n) {
        BIO_set_retry_write(bio);
        return 0;
    }
    memcpy(c->stage + c->stage_n, p, n);
    c->stage_n += n;
    *ret_n = n;
    return 1;
}

static int receive(BIO *bio, char *p, size_t n, size_t *ret_n)
{
    kh_connection *c = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t got;
    do got = recv(c->fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        c->readable = false;
        BIO_set_retry_read(bio);
    }
    if (got <= 0) return 0;
    *ret_n = (size_t)got;
    return 1;
}

static long control(BIO *bio, int command, long number, void *p)
{
    (void)bio, (void)number, (void)p;
    return command == BIO_CTRL_FLUSH; /* the connection flushes, after each turn */
}

static int no_password(char *buf, int n, int writing, void *ctx)
{
    (void)buf, (void)n, (void)writing, (void)ctx;
    return -1;
}

static uint32_t member_of(const X509 *certificate)
{
    const X509_NAME *name = certificate != NULL ? X509_get_subject_name(certificate) : NULL;
    int at = name != NULL ? X509_NAME_get_index_by_NID((X509_NAME *)name, NID_commonName, -1) : -1;
    if (at < 0 || X509_NAME_get_index_by_NID((X509_NAME *)name, NID_commonName, at) >= 0) return 0;
    const ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    const uint8_t *p = ASN1_STRING_get0_data(text);
    int n = ASN1_STRING_length(text);
    uint64_t number = 0;
    if (n < 1 || n > 10 || p[0] == '0') return 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return 0;
        number = number * 10 + (uint64_t)(p[i] - '0');
    }
    return number <= UINT32_MAX ? (uint32_t)number : 0;
}

uint32_t kh_link_tls_member(const SSL *ssl) { return member_of(SSL_get0_peer_certificate(ssl)); }

static kh_err refuse(const char *what, const char *file, char *why, size_t cap)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    (void)snprintf(why, cap, "%s %s: %s", what, file, reason != NULL ? reason : "not usable");
    ERR_clear_error();
    return KH_E_ARG;
}

static kh_err read_files(SSL_CTX *tls, const kh_link_options *o, char *why, size_t cap)
{
    if (SSL_CTX_load_verify_locations(tls, o->ca, NULL) != 1) return refuse("the cluster's authority", o->ca, why, cap);
    if (SSL_CTX_use_certificate_chain_file(tls, o->certificate) != 1)
        return refuse("the link's certificate", o->certificate, why, cap);
    if (SSL_CTX_use_PrivateKey_file(tls, o->key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(tls) != 1)
        return refuse("the link's key", o->key, why, cap);
    if (member_of(SSL_CTX_get0_certificate(tls)) == o->self) return KH_OK;
    (void)snprintf(why, cap, "the link's certificate %s is not of member %u (its subject wants CN=%u)", o->certificate, o->self,
                   o->self);
    return KH_E_ARG;
}

kh_err kh_link_tls_open(kh_link *link, const kh_link_options *options, char *why, size_t cap)
{
    link->tls = SSL_CTX_new(TLS_method());
    link->bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kanhe link");
    if (link->tls == NULL || link->bio == NULL || SSL_CTX_set_min_proto_version(link->tls, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(link->tls, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        SSL_CTX_set_num_tickets(link->tls, 0) != 1 || BIO_meth_set_write_ex(link->bio, stage) != 1 ||
        BIO_meth_set_read_ex(link->bio, receive) != 1 || BIO_meth_set_ctrl(link->bio, control) != 1) {
        (void)snprintf(why, cap, "TLS 1.3 cannot be set up");
        ERR_clear_error();
        return KH_E_NOMEM;
    }
    (void)SSL_CTX_set_session_cache_mode(link->tls, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(link->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(link->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_default_passwd_cb(link->tls, no_password);
    SSL_CTX_set_read_ahead(link->tls, 1);
    SSL_CTX_set_default_read_buffer_len(link->tls, KH_LINK_CHUNK_SZ);
    return read_files(link->tls, options, why, cap);
}

void kh_link_tls_close(kh_link *link)
{
    SSL_CTX_free(link->tls);
    BIO_meth_free(link->bio);
}

bool kh_link_tls_start(kh_connection *c)
{
    BIO *bio = BIO_new(c->link->bio);
    c->ssl = SSL_new(c->link->tls);
    if (bio == NULL || c->ssl == NULL) {
        BIO_free(bio);
        ERR_clear_error();
        return false;
    }
    BIO_set_data(bio, c);
    BIO_set_init(bio, 1);
    SSL_set_bio(c->ssl, bio, bio);
    if (c->dialled) SSL_set_connect_state(c->ssl);
    else SSL_set_accept_state(c->ssl);
    return true;
}
