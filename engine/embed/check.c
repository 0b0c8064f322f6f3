/* check: a receipt and a genesis.json from files, given to the checker of receipts. */
#include "doc/code.h"
#include "embed/embed.h"
#include "proof/proof.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* read_whole: the file's bytes, malloc'ed; more than the checker takes is read one byte over, for it to refuse. NULL: cannot, and
 * errno says why. */
static char *read_whole(const char *path, size_t most, size_t *ret_n)
{
    const size_t cap = most + 1;
    kh_file_input f;
    if (kh_file_input_open(&f, path) != KH_OK) return NULL;
    char *text = malloc(cap);
    size_t n = 0;
    int64_t got = text != NULL ? 1 : -1;
    while (got > 0 && n < cap) {
        got = f.input.read(f.input.ctx, text + n, cap - n);
        if (got > 0) n += (size_t)got;
    }
    int why = errno;
    kh_file_input_close(&f);
    if (got < 0) {
        free(text);
        errno = why;
        return NULL;
    }
    *ret_n = n;
    return text;
}

static kh_result give(const kh_proof_result *r, const kh_result_sink *sink)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_bool(&b, "proven", r->step == KH_PROOF_PROVEN);
    if (r->step == KH_PROOF_PROVEN) {
        kh_row_number(&b, "bank", r->bank);
        kh_row_number(&b, "financing", r->financing);
        kh_row_text(&b, "operation", r->operation);
        kh_row_code(&b, r->code);
        kh_row_number(&b, "height", r->height);
        kh_row_hex(&b, "chain", r->chain, sizeof r->chain);
    } else {
        kh_row_text(&b, "step", kh_proof_step_word(r->step));
        kh_row_text(&b, "why", r->why);
    }
    kh_row_give(&b, "proof", sink);
    return r->step == KH_PROOF_PROVEN ? KH_DONE : KH_DONE_NOT_OK;
}

kh_result kh_check_receipt(const char *receipt, const char *genesis, const kh_result_sink *sink, char *ret_message, size_t cap)
{
    size_t receipt_n = 0, genesis_n = 0;
    char *receipt_text = read_whole(receipt, KH_PROOF_MAX_SZ, &receipt_n);
    char *genesis_text = receipt_text != NULL ? read_whole(genesis, KH_PROOF_GENESIS_MAX_SZ, &genesis_n) : NULL;
    kh_result result = KH_MISUSE;
    kh_proof_result r;
    if (genesis_text == NULL) {
        (void)snprintf(ret_message, cap, "%s cannot be read: %s", receipt_text == NULL ? receipt : genesis, strerror(errno));
    } else if (kh_proof_check(receipt_text, receipt_n, genesis_text, genesis_n, &r) != KH_OK) {
        (void)snprintf(ret_message, cap, "out of memory");
        result = KH_FAILED;
    } else {
        result = give(&r, sink);
        if (result != KH_DONE) (void)snprintf(ret_message, cap, "not proven: %s: %s", kh_proof_step_word(r.step), r.why);
    }
    free(receipt_text);
    free(genesis_text);
    return result;
}
