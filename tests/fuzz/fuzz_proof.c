/* fuzz_proof: any bytes as a receipt, or as the genesis, of a made-up cluster: there is always a verdict; nothing but the one
 * good receipt is proven, and what has the form is written again as it stood.
 *
 * Input: {which 1: 0 receipt, 1 genesis, 2 and 3: a change of the good one of them: where 4, cut 4} and the bytes. */
#include "../proofs/world_make.h"
#include "proof/form.h"
#include "proof/proof.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pw_world world;
static uint8_t chain[32];

static void prepare(void)
{
    const pw_shape shape = {KH_SUITE_INTL, 4, 3, 2, 3, 4, 8, 7, PW_TRUTH};
    kh_proof_result r;
    if (world.receipt.n != 0) return;
    world = pw_make(&shape);
    if (kh_proof_check(world.receipt.p, world.receipt.n, world.genesis.p, world.genesis.n, &r) != KH_OK) abort();
    KH_ASSERT(r.step == KH_PROOF_PROVEN); /* else nothing is tested */
    memcpy(chain, r.chain, 32);
}

static bool same(const char *p, size_t n, const pw_buffer *b) { return n == b->n && memcmp(p, b->p, n) == 0; }

static void form(const char *text, size_t n)
{
    kh_proof_parts *parts = calloc(1, sizeof *parts);
    size_t at = 0, wrote_n = 0;
    char *wrote = NULL;
    if (parts == NULL) abort();
    kh_err err = kh_proof_read(text, n, parts, &at);
    KH_ASSERT(err == KH_OK || (err == KH_E_FORMAT && at <= n));
    if (err == KH_OK) {
        KH_ASSERT(kh_proof_write(parts, &wrote, &wrote_n) == KH_OK);
        KH_ASSERT(wrote_n == n && memcmp(wrote, text, n) == 0);
        free(wrote);
    }
    free(parts->changes);
    free(parts);
}

static void check(bool is_genesis, const char *p, size_t n)
{
    kh_proof_result r;
    char *exact = malloc(n + (n == 0)); /* so that one byte too far is seen */
    if (exact == NULL) abort();
    if (n != 0) memcpy(exact, p, n);
    if (is_genesis) KH_ASSERT(kh_proof_check(world.receipt.p, world.receipt.n, exact, n, &r) == KH_OK);
    else KH_ASSERT(kh_proof_check(exact, n, world.genesis.p, world.genesis.n, &r) == KH_OK);
    KH_ASSERT(r.step < KH_PROOF_STEP_CNT && memchr(r.why, '\0', sizeof r.why) != NULL);
    if (r.step != KH_PROOF_PROVEN) KH_ASSERT(r.why[0] != '\0');
    else if (is_genesis) KH_ASSERT(memcmp(r.chain, chain, 32) == 0); /* it may be written in several ways */
    else KH_ASSERT(same(exact, n, &world.receipt));
    if (!is_genesis) form(exact, n);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    if (size < 1) return 0;
    bool is_genesis = (data[0] & 1) != 0;
    if ((data[0] & 2) == 0) {
        check(is_genesis, (const char *)data + 1, size - 1);
        return 0;
    }
    if (size < 9) return 0;
    const pw_buffer *good = is_genesis ? &world.genesis : &world.receipt;
    size_t at = kh_load32(data + 1) % (good->n + 1), cut = kh_min64(kh_load32(data + 5), good->n - at), put = size - 9;
    char *changed = malloc(good->n - cut + put + 1);
    if (changed == NULL) abort();
    memcpy(changed, good->p, at);
    memcpy(changed + at, data + 9, put);
    memcpy(changed + at + put, good->p + at + cut, good->n - at - cut);
    check(is_genesis, changed, good->n - cut + put);
    free(changed);
    return 0;
}
