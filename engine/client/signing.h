/* signing: what a party changes, signed by itself: operations as frames in signed bundles (log/envelope.h), which a cluster's hub
 * passes on whole and cannot alter.
 *
 * Numbers  of bundles rise: the wall clock's, and never below the last. KEYFILE.number keeps the chain that the key signed for
 * and the last number, written before a bundle goes out; it is locked while a client uses the key. A hub that names another chain
 * is not signed for. Order    one bundle at a time. A bundle that had no answer is sent again under a new number: the operations
 * that are signed so are harmless when they come twice. */
#ifndef KH_CLIENT_SIGNING_H
#define KH_CLIENT_SIGNING_H
#include "client/connection.h"
#include "wire/wire.h"

#define KH_SIGNED_OPS_MAX 4096u
#define KH_SIGNED_SZ (512u << 10) /* of frames in a bundle */

struct kh_signing {
    struct kh_signer *signer;
    uint8_t chain[32];
    uint32_t party;
    kh_role role;
    char name[KH_NAME_MAX + 1];
    int fd; /* KEYFILE.number */
    uint64_t number;
};
/* kh_signing_begin asks the hub who we are and for which chain, and takes the key up; once a client. c->signing stays NULL where
   the key was only found and nothing is signed there. */
kh_result kh_signing_begin(kh_client *c);
void kh_signing_end(struct kh_signing *s); /* NULL: nothing */
/* kh_signing_send sends op_cnt frames and gives their receipts, in order. */
typedef void kh_signed_receipt(void *ctx, uint32_t op_index, uint64_t height, const kh_receipt *receipt);
kh_result kh_signing_send(kh_client *c, const uint8_t *frames, size_t n, uint32_t op_cnt, kh_signed_receipt *give, void *ctx);

/* ---- signed.c: calls of the API that are done so ---- */
bool kh_signed_takes(const kh_client_request *request);
kh_result kh_signed_call(kh_client *c, const kh_client_request *request, const kh_result_sink *sink);
/* kh_signed_party: the id of a party by its id, name or USCC. */
kh_result kh_signed_party(kh_client *c, const char *text, uint32_t *ret);
/* ---- signed_import.c ---- */
kh_result kh_signed_import(kh_client *c, const kh_client_request *request, const kh_result_sink *sink);
#endif
