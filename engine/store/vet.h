/* vet: journals that somebody else wrote, block by block: held against the outcome chain, and their links against one another and
 * against the state behind them. What is taken is, byte for byte, what this program would have written of these outcomes.
 *
 * Of each chain of outcomes (a party's, a document's, a financing's) every member must be what the next one links to, and the
 * last what the state has as the newest: two sums, of hashes keyed by who vets, must be equal. A document's key is not in the
 * hash, since it may have been moved under another. Which outcome joins which chain is in no digest: left to who gave the
 * journals, as are the times of all blocks but the last, which must not fall.
 *
 * Memory   one block and one outcome. */
#ifndef KH_STORE_VET_H
#define KH_STORE_VET_H
#include "store/parts.h"

typedef struct kh_vet {
    uint8_t secret[16];
    uint64_t height, time_ns; /* of the last block that was taken */
    uint8_t log_digest[32], chain[32];
    uint64_t joined[2], linked[2]; /* the sums: of the members, and of what is linked to or newest */
    kh_block block;
    kh_journal_item *item;
    const char *why; /* of KH_E_DAMAGED */
} kh_vet;
KH_MUST kh_err kh_vet_begin(kh_vet *v, const uint8_t secret[16]); /* whatever it returns, kh_vet_free gives the memory back */
/* kh_vet_block takes the next height's block. */
KH_MUST kh_err kh_vet_block(kh_vet *v, const uint8_t *p, size_t n);
/* kh_vet_end: after the last: it must be the start's, and the links those of the state as of it. */
KH_MUST kh_err kh_vet_end(kh_vet *v, const kh_start *start, const kh_ledger *ledger);
void kh_vet_free(kh_vet *v);
#endif
