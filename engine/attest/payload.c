/* payload: the bytes of one output that a party's chain covers; one canonical form. */
#include "attest/attest.h"

/* {kind 1, 0 3, papers 4}, receipt or notice, for APPLY {product length 1, product}, for OPENING {hold 8, since 8}, a paper each
   {kind 1, number length 1, issuer length 1, 0, number, issuer}. */
enum { HEAD_SZ = 8, STANDS_SZ = 16, PAPER_SZ = 4 };
_Static_assert(HEAD_SZ + 1 + KH_PRODUCT_MAX + STANDS_SZ <= 80 && KH_RECEIPT_MAX_SZ >= KH_NOTICE_SZ, "a payload fits its bound");
_Static_assert(KH_NUMBER_MAX + KH_ISSUER_MAX + PAPER_SZ <= KH_PAYLOAD_PAPER_SZ, "a paper fits its share of the bound");

size_t kh_payload_encode(const kh_output *output, uint8_t buf[KH_PAYLOAD_MAX_SZ])
{
    KH_ASSERT(output->paper_cnt <= KH_LINES_MAX);
    kh_store32(buf, output->kind);
    kh_store32(buf + 4, output->paper_cnt);
    uint8_t *at = buf + HEAD_SZ;
    if (output->kind != KH_OUTPUT_NOTICE) {
        kh_receipt receipt = output->receipt;
        receipt.lines = output->lines;
        at += kh_receipt_encode(&receipt, at);
        if (receipt.type == KH_OP_APPLY) {
            size_t n = strnlen(output->product, KH_PRODUCT_MAX);
            *at++ = (uint8_t)n;
            memcpy(at, output->product, n);
            at += n;
        }
        if (output->kind == KH_OUTPUT_OPENING) {
            kh_store64(at, output->hold_ns);
            kh_store64(at + 8, output->since);
            at += STANDS_SZ;
        }
    } else at += kh_notice_encode(&output->notice, at);
    for (uint32_t i = 0; i < output->paper_cnt; i++) {
        const kh_paper_text *paper = &output->papers[i];
        KH_ASSERT(paper->number_n <= KH_NUMBER_MAX && paper->issuer_n <= KH_ISSUER_MAX);
        at[0] = paper->kind;
        at[1] = paper->number_n;
        at[2] = paper->issuer_n;
        at[3] = 0;
        memcpy(at + PAPER_SZ, paper->number, paper->number_n);
        memcpy(at + PAPER_SZ + paper->number_n, paper->issuer, paper->issuer_n);
        at += PAPER_SZ + paper->number_n + paper->issuer_n;
    }
    return (size_t)(at - buf);
}

static kh_err decode_receipt(const uint8_t **at, const uint8_t *end, kh_output *ret)
{
    size_t used = 0;
    kh_err err = kh_receipt_decode(*at, (size_t)(end - *at), ret->lines, &ret->receipt, &used);
    if (err != KH_OK) return err;
    *at += used;
    ret->product[0] = '\0';
    bool apply = ret->receipt.type == KH_OP_APPLY;
    if (ret->paper_cnt > (apply ? ret->receipt.line_cnt : 0)) return KH_E_FORMAT;
    if (!apply) return KH_OK;
    size_t left = (size_t)(end - *at);
    if (left < 1 || **at > KH_PRODUCT_MAX || left - 1 < **at || memchr(*at + 1, 0, **at) != NULL) return KH_E_FORMAT;
    memcpy(ret->product, *at + 1, **at);
    ret->product[**at] = '\0';
    *at += 1 + **at;
    return KH_OK;
}

/* A financing as it stands: a receipt that an application might have got, and what no receipt says. */
static kh_err decode_opening(const uint8_t **at, const uint8_t *end, kh_output *ret)
{
    kh_err err = decode_receipt(at, end, ret);
    const kh_receipt *r = &ret->receipt;
    if (err != KH_OK) return err;
    if (r->type != KH_OP_APPLY || r->code != KH_C_OK || r->ref_height != 0 || end - *at < STANDS_SZ) return KH_E_FORMAT;
    ret->hold_ns = kh_load64(*at);
    ret->since = kh_load64(*at + 8);
    *at += STANDS_SZ;
    return KH_OK;
}

static kh_err decode_notice(const uint8_t **at, const uint8_t *end, kh_output *ret)
{
    size_t used = 0;
    kh_err err = kh_notice_decode(*at, (size_t)(end - *at), &ret->notice, &used);
    if (err != KH_OK) return err;
    *at += used;
    return ret->paper_cnt <= ret->notice.has_key ? KH_OK : KH_E_FORMAT;
}

static bool decode_paper(const uint8_t **at, const uint8_t *end, kh_paper_text *ret)
{
    const uint8_t *p = *at;
    if (end - p < PAPER_SZ || p[1] > KH_NUMBER_MAX || p[2] > KH_ISSUER_MAX || p[3] != 0 || end - p - PAPER_SZ < p[1] + p[2])
        return false;
    ret->kind = p[0];
    ret->number_n = p[1];
    ret->issuer_n = p[2];
    ret->reserved = 0;
    memcpy(ret->number, p + PAPER_SZ, p[1]);
    memcpy(ret->issuer, p + PAPER_SZ + p[1], p[2]);
    *at = p + PAPER_SZ + p[1] + p[2];
    return true;
}

kh_err kh_payload_decode(const uint8_t *p, size_t n, kh_output *ret)
{
    if (n < HEAD_SZ) return KH_E_FORMAT;
    uint32_t kind = kh_load32(p);
    ret->paper_cnt = kh_load32(p + 4);
    if (kind < KH_OUTPUT_RECEIPT || kind > KH_OUTPUT_OPENING || ret->paper_cnt > KH_LINES_MAX) return KH_E_FORMAT;
    ret->kind = (kh_output_kind)kind;
    const uint8_t *at = p + HEAD_SZ, *end = p + n;
    kh_err err = kind == KH_OUTPUT_RECEIPT   ? decode_receipt(&at, end, ret)
                 : kind == KH_OUTPUT_OPENING ? decode_opening(&at, end, ret)
                                             : decode_notice(&at, end, ret);
    for (uint32_t i = 0; err == KH_OK && i < ret->paper_cnt; i++)
        if (!decode_paper(&at, end, &ret->papers[i])) err = KH_E_FORMAT;
    return err == KH_OK && at != end ? KH_E_FORMAT : err;
}
