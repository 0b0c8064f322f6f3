/* twin: a second ledger, made from the leaves of the first with a secret of its own, which is given the same entries from then
 * on: it must answer each with the same bytes. */
#ifndef KH_TESTS_MODEL_TWIN_H
#define KH_TESTS_MODEL_TWIN_H
#include "../unit/leaf_copy.h"

typedef struct twin {
    leaf_ledger m;
    bool up;
    uint64_t of_first, of_twin; /* digests of what each emitted in this entry */
} twin;

/* twin_note is told each outcome of the first. */
void twin_note(twin *t, const kh_outcome *o);
/* twin_apply applies the entry that the first has applied; NULL, or what was otherwise. */
const char *twin_apply(twin *t, uint64_t height, uint64_t time_ns, const uint8_t *ops, size_t ops_sz, uint32_t op_cnt);
/* twin_make makes the twin anew, from the first as it is; NULL, or what was otherwise. */
const char *twin_make(twin *t, const kh_ledger *first, const uint8_t secret[16]);
const char *twin_compare(const twin *t, const kh_ledger *first);
void twin_drop(twin *t);
#endif
