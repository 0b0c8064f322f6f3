/* tx: the transactions to bytes and back, and what is signed in each. */
#include "order/inside.h"

enum { HEAD_SZ = 4, SIGNED_SZ = 4 + KH_SIGNATURE_SZ };
static const char ack_tag[] = "kanhe/ack", attest_tag[] = "kanhe/attest", change_tag[] = "kanhe/change",
                  incarnation_tag[] = "kanhe/incarnation", holds_tag[] = "kanhe/holds";

const char *kh_order_code_word(kh_order_code code)
{
    switch (code) {
    case KH_R_OK: return "OK";
    case KH_R_MALFORMED: return "MALFORMED";
    case KH_R_NOT_AUTHORISED: return "NOT_AUTHORISED";
    case KH_R_BAD_SEQUENCE: return "BAD_SEQUENCE";
    case KH_R_EXPIRED: return "EXPIRED";
    case KH_R_REPEATED: return "REPEATED";
    case KH_R_REFUSED: return "REFUSED";
    case KH_R_BUSY: return "BUSY";
    }
    return "UNKNOWN";
}

static void put_head(kh_writer *w, kh_tx_type type)
{
    const uint8_t head[HEAD_SZ] = {(uint8_t)type, 1, 0, 0};
    kh_put(w, head, sizeof head);
}

static bool take_head(kh_reader *r, kh_tx_type type)
{
    const uint8_t *p = kh_take(r, HEAD_SZ);
    return p != NULL && p[0] == type && p[1] == 1 && p[2] == 0 && p[3] == 0;
}

static void put_signatures(kh_writer *w, const kh_tx_signature *signatures, uint32_t cnt)
{
    kh_put16(w, (uint16_t)cnt);
    kh_put16(w, 0);
    for (uint32_t i = 0; i < cnt; i++) {
        kh_put16(w, signatures[i].index);
        kh_put16(w, 0);
        kh_put(w, signatures[i].signature, KH_SIGNATURE_SZ);
    }
}

/* 1..max of them by rising index, and nothing behind. */
static bool take_signatures(kh_reader *r, uint32_t max, kh_tx_signature *ret, uint32_t *ret_cnt)
{
    uint32_t cnt = kh_take16(r), zero = kh_take16(r);
    if (r->bad || zero != 0 || cnt == 0 || cnt > max || r->left != (size_t)cnt * SIGNED_SZ) return false;
    for (uint32_t i = 0; i < cnt; i++) {
        ret[i].index = kh_take16(r);
        if (kh_take16(r) != 0 || (i > 0 && ret[i].index <= ret[i - 1].index)) return false;
        kh_take_copy(r, ret[i].signature, KH_SIGNATURE_SZ);
    }
    *ret_cnt = cnt;
    return true;
}

static size_t written(const kh_writer *w) { return w->failed ? 0 : w->n; }

/* ---- acknowledgements and certificates ---- */

void kh_ack_encode(const kh_ack *ack, uint8_t ret[KH_ACK_STATEMENT_SZ])
{
    memcpy(ret, ack->chain, 32);
    kh_store32(ret + 32, ack->set);
    kh_store32(ret + 36, ack->sender);
    kh_store32(ret + 40, ack->incarnation);
    kh_store32(ret + 44, ack->length);
    kh_store64(ret + 48, ack->sequence);
    kh_store64(ret + 56, ack->expires_ns);
    memcpy(ret + 64, ack->digest, 32);
}

void kh_ack_decode(const uint8_t p[KH_ACK_STATEMENT_SZ], kh_ack *ret)
{
    memcpy(ret->chain, p, 32);
    ret->set = kh_load32(p + 32);
    ret->sender = kh_load32(p + 36);
    ret->incarnation = kh_load32(p + 40);
    ret->length = kh_load32(p + 44);
    ret->sequence = kh_load64(p + 48);
    ret->expires_ns = kh_load64(p + 56);
    memcpy(ret->digest, p + 64, 32);
}

static void ack_message(const kh_ack *ack, uint8_t ret[sizeof ack_tag + KH_ACK_STATEMENT_SZ])
{
    memcpy(ret, ack_tag, sizeof ack_tag);
    kh_ack_encode(ack, ret + sizeof ack_tag);
}

kh_err kh_ack_sign(const kh_signer *signer, const kh_ack *ack, uint8_t ret[KH_SIGNATURE_SZ])
{
    uint8_t message[sizeof ack_tag + KH_ACK_STATEMENT_SZ];
    ack_message(ack, message);
    return kh_sign(signer, message, sizeof message, ret);
}

bool kh_ack_signed_by(kh_suite suite, const kh_ack *ack, const uint8_t public_key[KH_PUBLIC_SZ],
                      const uint8_t signature[KH_SIGNATURE_SZ])
{
    uint8_t message[sizeof ack_tag + KH_ACK_STATEMENT_SZ];
    ack_message(ack, message);
    return kh_verify_signature(suite, public_key, message, sizeof message, signature);
}

size_t kh_certificate_encode(const kh_ack *ack, const kh_tx_signature *signatures, uint32_t cnt, uint8_t *buf, size_t cap)
{
    kh_writer w = {.p = buf, .cap = cap, .fixed = true};
    uint8_t statement[KH_ACK_STATEMENT_SZ];
    if (cnt == 0 || cnt > KH_MEMBERS_MAX) return 0;
    kh_ack_encode(ack, statement);
    put_head(&w, KH_TX_CERTIFICATE);
    kh_put(&w, statement, sizeof statement);
    put_signatures(&w, signatures, cnt);
    return written(&w);
}

kh_err kh_certificate_read(const uint8_t *p, size_t n, kh_certificate *ret)
{
    kh_reader r = {p, n, false};
    const uint8_t *statement = take_head(&r, KH_TX_CERTIFICATE) ? kh_take(&r, KH_ACK_STATEMENT_SZ) : NULL;
    if (statement == NULL) return KH_E_FORMAT;
    kh_ack_decode(statement, &ret->ack);
    return take_signatures(&r, KH_MEMBERS_MAX, ret->signatures, &ret->cnt) ? KH_OK : KH_E_FORMAT;
}

/* ---- attestations ---- */

enum { ATTEST_SIGNED_SZ = sizeof attest_tag + KH_ATTEST_STATEMENT_SZ + 4 };

static void attest_statement(const kh_attestation *a, uint8_t ret[KH_ATTEST_STATEMENT_SZ])
{
    memcpy(ret, a->chain, 32);
    kh_store64(ret + 32, a->height);
    kh_store32(ret + 40, a->epoch);
    kh_store32(ret + 44, a->flags);
    memcpy(ret + 48, a->app_hash, 32);
    memcpy(ret + 80, a->posted, 32);
    memcpy(ret + 112, a->outputs_root, 32);
}

static void attest_message(const kh_attestation *a, uint8_t ret[ATTEST_SIGNED_SZ])
{
    memcpy(ret, attest_tag, sizeof attest_tag);
    attest_statement(a, ret + sizeof attest_tag);
    kh_store32(ret + sizeof attest_tag + KH_ATTEST_STATEMENT_SZ, a->hub);
}

kh_err kh_attestation_make(const kh_signer *signer, kh_attestation *a, uint8_t ret[KH_ATTESTATION_SZ])
{
    uint8_t message[ATTEST_SIGNED_SZ];
    attest_message(a, message);
    kh_err err = kh_sign(signer, message, sizeof message, a->signature);
    if (err != KH_OK) return err;
    kh_writer w = {.p = ret, .cap = KH_ATTESTATION_SZ, .fixed = true};
    put_head(&w, KH_TX_ATTESTATION);
    kh_put(&w, message + sizeof attest_tag, KH_ATTEST_STATEMENT_SZ);
    kh_put32(&w, a->hub);
    kh_put32(&w, 0);
    kh_put(&w, a->signature, KH_SIGNATURE_SZ);
    return KH_OK;
}

kh_err kh_attestation_read(const uint8_t *p, size_t n, kh_attestation *ret)
{
    kh_reader r = {p, n, false};
    if (n != KH_ATTESTATION_SZ || !take_head(&r, KH_TX_ATTESTATION)) return KH_E_FORMAT;
    kh_attestation a;
    kh_take_copy(&r, a.chain, 32);
    a.height = kh_take64(&r);
    a.epoch = kh_take32(&r);
    a.flags = kh_take32(&r);
    kh_take_copy(&r, a.app_hash, 32);
    kh_take_copy(&r, a.posted, 32);
    kh_take_copy(&r, a.outputs_root, 32);
    a.hub = kh_take32(&r);
    uint32_t zero = kh_take32(&r);
    kh_take_copy(&r, a.signature, KH_SIGNATURE_SZ);
    if (zero != 0 || (a.flags & 0xff) > KH_ATTEST_CHECKPOINT) return KH_E_FORMAT;
    *ret = a;
    return KH_OK;
}

bool kh_attestation_signed_by(kh_suite suite, const kh_attestation *a, const uint8_t public_key[KH_PUBLIC_SZ])
{
    uint8_t message[ATTEST_SIGNED_SZ];
    attest_message(a, message);
    return kh_verify_signature(suite, public_key, message, sizeof message, a->signature);
}

bool kh_attestation_agree(const kh_attestation *a, const kh_attestation *b)
{
    uint8_t x[KH_ATTEST_STATEMENT_SZ], y[KH_ATTEST_STATEMENT_SZ];
    attest_statement(a, x);
    attest_statement(b, y);
    return memcmp(x, y, sizeof x) == 0;
}

void kh_attestation_digest(const kh_attestation *a, uint8_t ret[32])
{
    uint8_t statement[KH_ATTEST_STATEMENT_SZ];
    attest_statement(a, statement);
    kh_sha256(statement, sizeof statement, ret);
}

/* ---- changes ---- */

static void put_change(kh_writer *w, const kh_change *change)
{
    kh_put(w, change->chain, 32);
    kh_put64(w, change->number);
    kh_put32(w, change->kind);
    kh_put32(w, change->body_sz);
    kh_put(w, change->body, change->body_sz);
}

size_t kh_change_statement(const kh_change *change, uint8_t *buf, size_t cap)
{
    kh_writer w = {.p = buf, .cap = cap, .fixed = true};
    kh_put(&w, change_tag, sizeof change_tag);
    put_change(&w, change);
    return written(&w);
}

size_t kh_change_encode(const kh_change *change, uint8_t *buf, size_t cap)
{
    kh_writer w = {.p = buf, .cap = cap, .fixed = true};
    if (change->signature_cnt == 0 || change->signature_cnt > KH_OFFICERS_MAX || change->body_sz > KH_CHANGE_BODY_MAX) return 0;
    put_head(&w, KH_TX_CHANGE);
    put_change(&w, change);
    put_signatures(&w, change->signatures, change->signature_cnt);
    return written(&w);
}

kh_err kh_change_read(const uint8_t *p, size_t n, kh_change *ret)
{
    kh_reader r = {p, n, false};
    if (!take_head(&r, KH_TX_CHANGE)) return KH_E_FORMAT;
    kh_take_copy(&r, ret->chain, 32);
    ret->number = kh_take64(&r);
    ret->kind = kh_take32(&r);
    ret->body_sz = kh_take32(&r);
    if (r.bad || ret->kind < KH_CHANGE_OPS || ret->kind > KH_CHANGE_VERSION || ret->body_sz > KH_CHANGE_BODY_MAX)
        return KH_E_FORMAT;
    ret->body = kh_take(&r, ret->body_sz);
    if (ret->body == NULL) return KH_E_FORMAT;
    return take_signatures(&r, KH_OFFICERS_MAX, ret->signatures, &ret->signature_cnt) ? KH_OK : KH_E_FORMAT;
}

/* ---- incarnations ---- */

enum { INCARNATION_SIGNED_SZ = sizeof incarnation_tag + 40 };

static void incarnation_message(const uint8_t chain[32], uint32_t sender, uint32_t incarnation,
                                uint8_t ret[INCARNATION_SIGNED_SZ])
{
    memcpy(ret, incarnation_tag, sizeof incarnation_tag);
    memcpy(ret + sizeof incarnation_tag, chain, 32);
    kh_store32(ret + sizeof incarnation_tag + 32, sender);
    kh_store32(ret + sizeof incarnation_tag + 36, incarnation);
}

kh_err kh_incarnation_make(const kh_signer *signer, const uint8_t chain[32], uint32_t sender, uint32_t incarnation,
                           uint8_t ret[KH_INCARNATION_SZ])
{
    uint8_t message[INCARNATION_SIGNED_SZ], signature[KH_SIGNATURE_SZ];
    incarnation_message(chain, sender, incarnation, message);
    kh_err err = kh_sign(signer, message, sizeof message, signature);
    if (err != KH_OK) return err;
    kh_writer w = {.p = ret, .cap = KH_INCARNATION_SZ, .fixed = true};
    put_head(&w, KH_TX_INCARNATION);
    kh_put(&w, message + sizeof incarnation_tag, 40);
    kh_put(&w, signature, sizeof signature);
    return KH_OK;
}

kh_err kh_incarnation_read(const uint8_t *p, size_t n, kh_incarnation *ret)
{
    kh_reader r = {p, n, false};
    if (n != KH_INCARNATION_SZ || !take_head(&r, KH_TX_INCARNATION)) return KH_E_FORMAT;
    kh_take_copy(&r, ret->chain, 32);
    ret->sender = kh_take32(&r);
    ret->incarnation = kh_take32(&r);
    kh_take_copy(&r, ret->signature, KH_SIGNATURE_SZ);
    return KH_OK;
}

bool kh_incarnation_signed_by(kh_suite suite, const kh_incarnation *i, const uint8_t public_key[KH_PUBLIC_SZ])
{
    uint8_t message[INCARNATION_SIGNED_SZ];
    incarnation_message(i->chain, i->sender, i->incarnation, message);
    return kh_verify_signature(suite, public_key, message, sizeof message, i->signature);
}

/* ---- who holds a checkpoint's state ---- */

enum { HOLDS_SIGNED_SZ = sizeof holds_tag + 44 };

static void holds_message(const uint8_t chain[32], uint64_t height, uint32_t member, uint8_t ret[HOLDS_SIGNED_SZ])
{
    memcpy(ret, holds_tag, sizeof holds_tag);
    memcpy(ret + sizeof holds_tag, chain, 32);
    kh_store64(ret + sizeof holds_tag + 32, height);
    kh_store32(ret + sizeof holds_tag + 40, member);
}

kh_err kh_holds_make(const kh_signer *signer, const uint8_t chain[32], uint64_t height, uint32_t member, uint8_t ret[KH_HOLDS_SZ])
{
    uint8_t message[HOLDS_SIGNED_SZ], signature[KH_SIGNATURE_SZ];
    holds_message(chain, height, member, message);
    kh_err err = kh_sign(signer, message, sizeof message, signature);
    if (err != KH_OK) return err;
    kh_writer w = {.p = ret, .cap = KH_HOLDS_SZ, .fixed = true};
    put_head(&w, KH_TX_HOLDS);
    kh_put(&w, message + sizeof holds_tag, 44);
    kh_put32(&w, 0);
    kh_put(&w, signature, sizeof signature);
    return KH_OK;
}

kh_err kh_holds_read(const uint8_t *p, size_t n, kh_holds *ret)
{
    kh_reader r = {p, n, false};
    if (n != KH_HOLDS_SZ || !take_head(&r, KH_TX_HOLDS)) return KH_E_FORMAT;
    kh_holds h;
    kh_take_copy(&r, h.chain, 32);
    h.height = kh_take64(&r);
    h.member = kh_take32(&r);
    uint32_t zero = kh_take32(&r);
    kh_take_copy(&r, h.signature, KH_SIGNATURE_SZ);
    if (zero != 0) return KH_E_FORMAT;
    *ret = h;
    return KH_OK;
}

bool kh_holds_signed_by(kh_suite suite, const kh_holds *h, const uint8_t public_key[KH_PUBLIC_SZ])
{
    uint8_t message[HOLDS_SIGNED_SZ];
    holds_message(h->chain, h->height, h->member, message);
    return kh_verify_signature(suite, public_key, message, sizeof message, h->signature);
}
