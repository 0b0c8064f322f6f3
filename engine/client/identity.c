/* identity: who we are, by our own certificate: its subject says CN=<party id>. */
#include "client/connection.h"
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

uint32_t kh_client_party_of(const char *certificate)
{
    FILE *f = certificate != NULL ? fopen(certificate, "r") : NULL;
    X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    char name[32];
    uint64_t party = 0;
    if (f != NULL) (void)fclose(f);
    if (x == NULL) return 0;
    int n = X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof name);
    for (int i = 0; i < n; i++) {
        if (name[i] < '0' || name[i] > '9' || n > 10) party = UINT64_MAX >> 8;
        else party = party * 10 + (uint64_t)(name[i] - '0');
    }
    X509_free(x);
    return party <= UINT32_MAX ? (uint32_t)party : 0;
}
