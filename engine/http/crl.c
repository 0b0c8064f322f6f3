/* crl: which certificates their authority has taken back. A certificate is known by 32 bytes: SHA-256 of its issuer's name as it
 * stands there (DER) and of its serial; of a list these are kept, sorted. A list counts where an authority of ours signed it; one
 * that is out of date counts too: what was taken back stays so. */
#include "http/inside.h"
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>

#define SERIAL_MAX 128u

struct kh_crl {
    size_t cnt, cap;
    uint8_t (*names)[KH_CERTIFICATE_SZ];
};

static bool name_of(const gnutls_datum_t *issuer, const uint8_t *serial, size_t n, uint8_t ret[KH_CERTIFICATE_SZ])
{
    gnutls_hash_hd_t hash;
    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0) return false;
    bool good = gnutls_hash(hash, issuer->data, issuer->size) >= 0 && gnutls_hash(hash, serial, n) >= 0;
    gnutls_hash_deinit(hash, ret);
    return good;
}

bool kh_crl_name(const gnutls_datum_t *der, uint8_t ret[KH_CERTIFICATE_SZ])
{
    gnutls_x509_crt_t certificate;
    gnutls_datum_t issuer = {0};
    uint8_t serial[SERIAL_MAX];
    size_t n = sizeof serial;
    if (gnutls_x509_crt_init(&certificate) < 0) return false;
    bool good = gnutls_x509_crt_import(certificate, der, GNUTLS_X509_FMT_DER) >= 0 &&
                gnutls_x509_crt_get_raw_issuer_dn(certificate, &issuer) >= 0 &&
                gnutls_x509_crt_get_serial(certificate, serial, &n) >= 0 && name_of(&issuer, serial, n, ret);
    gnutls_free(issuer.data);
    gnutls_x509_crt_deinit(certificate);
    return good;
}

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, KH_CERTIFICATE_SZ); }

bool kh_crl_has(const kh_crl *c, const uint8_t name[KH_CERTIFICATE_SZ])
{
    return c != NULL && c->cnt != 0 && bsearch(name, c->names, c->cnt, sizeof *c->names, by_bytes) != NULL;
}

size_t kh_crl_count(const kh_crl *c) { return c != NULL ? c->cnt : 0; }

/* ---- reading ---- */

static bool add_entries(kh_crl *c, gnutls_x509_crl_t list)
{
    gnutls_datum_t issuer;
    int cnt = gnutls_x509_crl_get_crt_count(list);
    if (cnt < 0 || gnutls_x509_crl_get_raw_issuer_dn(list, &issuer) < 0) return false;
    void *grown = realloc(c->names, (c->cnt + (size_t)cnt + 1) * sizeof *c->names);
    bool good = grown != NULL;
    if (good) c->names = grown;
    gnutls_x509_crl_iter_t at = NULL;
    for (int i = 0; i < cnt && good; i++) {
        uint8_t serial[SERIAL_MAX];
        size_t n = sizeof serial;
        good = gnutls_x509_crl_iter_crt_serial(list, &at, serial, &n, NULL) >= 0 && name_of(&issuer, serial, n, c->names[c->cnt]);
        c->cnt += good;
    }
    gnutls_x509_crl_iter_deinit(at);
    gnutls_free(issuer.data);
    return good;
}

static bool signed_by_ours(gnutls_x509_crl_t list, gnutls_x509_crt_t *authorities, unsigned cnt)
{
    const unsigned of_time = GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED | GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE;
    unsigned status = 0;
    if (gnutls_x509_crl_verify(list, authorities, cnt, 0, &status) < 0) return false;
    return (status & ~(of_time | (unsigned)GNUTLS_CERT_INVALID)) == 0 && ((status & of_time) != 0 || status == 0);
}

static const char *add_lists(kh_crl *c, const gnutls_datum_t *pem, gnutls_x509_crt_t *authorities, unsigned authority_cnt)
{
    gnutls_x509_crl_t *lists = NULL;
    unsigned cnt = 0;
    const char *wrong = NULL;
    if (gnutls_x509_crl_list_import2(&lists, &cnt, pem, GNUTLS_X509_FMT_PEM, 0) < 0 || cnt == 0)
        return "holds no list of revoked certificates (PEM)";
    for (unsigned i = 0; i < cnt; i++) {
        if (wrong == NULL && !signed_by_ours(lists[i], authorities, authority_cnt))
            wrong = "is not signed by an authority in `ca`";
        if (wrong == NULL && !add_entries(c, lists[i])) wrong = "cannot be read";
        gnutls_x509_crl_deinit(lists[i]);
    }
    gnutls_free(lists);
    return wrong;
}

kh_err kh_crl_load(const gnutls_datum_t *pem, const gnutls_datum_t *ca, const char **ret_wrong, kh_crl **ret)
{
    gnutls_x509_crt_t *authorities = NULL;
    unsigned cnt = 0;
    kh_crl *c = calloc(1, sizeof *c);
    if (c == NULL) return KH_E_NOMEM;
    *ret_wrong = "cannot be checked";
    if (gnutls_x509_crt_list_import2(&authorities, &cnt, ca, GNUTLS_X509_FMT_PEM, 0) >= 0)
        *ret_wrong = add_lists(c, pem, authorities, cnt);
    for (unsigned i = 0; i < cnt; i++) gnutls_x509_crt_deinit(authorities[i]);
    gnutls_free(authorities);
    if (*ret_wrong != NULL) {
        kh_crl_free(c);
        return KH_E_ARG;
    }
    if (c->cnt != 0) qsort(c->names, c->cnt, sizeof *c->names, by_bytes);
    *ret = c;
    return KH_OK;
}

void kh_crl_free(kh_crl *c)
{
    if (c == NULL) return;
    free(c->names);
    free(c);
}
