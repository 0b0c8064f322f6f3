/* fuzz_leaves: any bytes as leaves of a state: each a length of 4 bytes, then so many. Nothing that a hub hands over may break
 * who makes a ledger of it; and what is taken and has the very same leaves is a state that can be handed on. */
#include "../unit/leaf_copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void split(leaf_copy *c, const uint8_t *p, size_t n)
{
    while (n >= 4) {
        size_t part = kh_load32(p);
        p += 4;
        n -= 4;
        if (part > n) part = n;
        leaf_copy_bytes(c, p, part);
        leaf_copy_end(c);
        p += part;
        n -= part;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    leaf_copy given = {.n = 0}, made = {.n = 0};
    leaf_ledger m, other;
    kh_leaf_fault fault;
    split(&given, data, size);
    leaf_ledger_open(&m, (const uint8_t *)"0123456789abcde");
    kh_err err = leaf_copy_rebuild(&given, m.l, &fault);
    KH_ASSERT((err == KH_OK) == (fault.why == NULL) && fault.leaf <= given.cnt);
    if (err == KH_OK) leaf_copy_take(&made, m.l);
    if (err == KH_OK && leaf_copy_same(&made, &given)) {
        leaf_ledger_open(&other, (const uint8_t *)"another secret..");
        KH_ASSERT(leaf_copy_rebuild(&made, other.l, &fault) == KH_OK && leaf_ledger_equal(m.l, other.l));
        leaf_ledger_close(&other);
    }
    leaf_ledger_close(&m);
    leaf_copy_free(&given);
    leaf_copy_free(&made);
    return 0;
}
