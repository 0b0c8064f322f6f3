/* fuzz_wire: any bytes as operations, a receipt and a notice. What decodes must encode to the same bytes (encoding is canonical),
 * and what was looked at must lie within the bytes. */
#include "wire/wire.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void operations(const uint8_t *p, size_t n)
{
    static kh_op_scratch scratch;
    static uint8_t again[KH_OP_MAX_SZ];
    kh_key keys[64];
    while (n > 0) {
        kh_op op;
        size_t used = 0, encoded = 0;
        KH_ASSERT(kh_op_peek_keys(p, n, keys, 64) <= 64);
        kh_err err = kh_op_decode(p, n, &scratch, &op, &used);
        KH_ASSERT(used <= n);
        if (err == KH_OK) {
            KH_ASSERT(used > 0 && kh_op_encode(&op, again, sizeof again, &encoded) == KH_OK);
            KH_ASSERT(encoded == used && memcmp(again, p, used) == 0);
            /* A space one byte too small is said, never overrun. */
            KH_ASSERT(kh_op_encode(&op, again, used - 1, &encoded) == KH_E_FULL);
        }
        if (used == 0) return; /* the rest cannot be told apart */
        p += used;
        n -= used;
    }
}

static void outcomes(const uint8_t *p, size_t n)
{
    static kh_receipt_line lines[KH_LINES_MAX];
    static uint8_t again[KH_RECEIPT_MAX_SZ];
    uint8_t notice_again[KH_NOTICE_SZ];
    kh_receipt receipt;
    kh_notice notice;
    size_t used = 0;
    if (kh_receipt_decode(p, n, lines, &receipt, &used) == KH_OK) {
        KH_ASSERT(used <= n && kh_receipt_encode(&receipt, again) == used && memcmp(again, p, used) == 0);
    }
    if (kh_notice_decode(p, n, &notice, &used) == KH_OK) {
        KH_ASSERT(used <= n && kh_notice_encode(&notice, notice_again) == used && memcmp(notice_again, p, used) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    operations(data, size);
    outcomes(data, size);
    return 0;
}
