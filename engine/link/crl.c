/* crl: which links' certificates their authority has taken back. A list counts where the cluster's authority signed it; one that
 * is out of date counts too: what was taken back stays so. Read by any thread, used by the loop's alone, which takes over what
 * was read last. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include "link/inside.h"

enum { LISTS_MAX = 64 };
struct kh_link_crl {
    uint32_t cnt;
    X509_CRL *lists[LISTS_MAX];
};

void kh_link_crl_free(kh_link_crl *c)
{
    for (uint32_t i = 0; c != NULL && i < c->cnt; i++) X509_CRL_free(c->lists[i]);
    free(c);
}

bool kh_link_crl_has(const kh_link_crl *c, X509 *certificate)
{
    X509_REVOKED *entry;
    for (uint32_t i = 0; c != NULL && certificate != NULL && i < c->cnt; i++)
        if (X509_NAME_cmp(X509_CRL_get_issuer(c->lists[i]), X509_get_issuer_name(certificate)) == 0 &&
            X509_CRL_get0_by_cert(c->lists[i], &entry, certificate) == 1)
            return true;
    return false;
}

static bool signed_by_ours(X509_STORE *authorities, X509_CRL *list)
{
    bool good = false;
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(authorities);
    for (int i = 0; i < sk_X509_OBJECT_num(all) && !good; i++) {
        X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        EVP_PKEY *key = authority != NULL ? X509_get0_pubkey(authority) : NULL;
        good = key != NULL && X509_NAME_cmp(X509_get_subject_name(authority), X509_CRL_get_issuer(list)) == 0 &&
               X509_CRL_verify(list, key) == 1;
    }
    return good;
}

static const char *read_lists(FILE *f, X509_STORE *authorities, kh_link_crl *c)
{
    for (X509_CRL *list; (list = PEM_read_X509_CRL(f, NULL, NULL, NULL)) != NULL;) {
        if (c->cnt == LISTS_MAX || !signed_by_ours(authorities, list)) {
            X509_CRL_free(list);
            return c->cnt == LISTS_MAX ? "holds more than 64 lists" : "is not signed by the links' authority";
        }
        c->lists[c->cnt++] = list;
    }
    unsigned long last = ERR_peek_last_error();
    bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    return c->cnt != 0 && at_end ? NULL : "holds no list of revoked certificates (PEM), or a damaged one";
}

kh_err kh_link_crl_load(const kh_link *link, const char *path, char *why, size_t cap, kh_link_crl **ret)
{
    FILE *f = fopen(path, "re");
    kh_link_crl *c = f != NULL ? calloc(1, sizeof *c) : NULL;
    const char *wrong = f == NULL ? strerror(errno) : c == NULL ? kh_err_text(KH_E_NOMEM) : NULL;
    ERR_clear_error();
    if (wrong == NULL) wrong = read_lists(f, SSL_CTX_get_cert_store(link->tls), c);
    ERR_clear_error();
    if (f != NULL) (void)fclose(f);
    if (wrong == NULL) {
        *ret = c;
        return KH_OK;
    }
    kh_link_crl_free(c);
    (void)snprintf(why, cap, "the list of revoked certificates %s: %s", path, wrong);
    return KH_E_ARG;
}
