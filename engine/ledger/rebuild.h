/* rebuild: what the files that make a state from leaves share: a leaf's bytes one after another, and the first thing that was
 * found wrong. Nothing here is visible outside engine/ledger.
 *
 * Once something is wrong every number reads as 0, so that a reader need not look after each of them; a loop whose end comes from
 * the leaf looks. */
#ifndef KH_LEDGER_REBUILD_H
#define KH_LEDGER_REBUILD_H
#include "ledger/machine.h"
#include "ledger/sorted.h"

#define KH_REBUILD_BUFFER_SZ 4096u

typedef struct kh_rebuild {
    kh_ledger *l;
    const kh_leaf_source *from;
    const char *why; /* NULL: nothing is wrong */
    kh_err err;
    uint64_t leaf, size, at;      /* which leaf, its bytes, those that were taken */
    uint32_t got, used;           /* of buf */
    uint32_t rule_cnt;            /* so many were read */
    kh_key last;                  /* of the papers and aliases, then of the risk list's subjects */
    uint64_t last_high, last_low; /* what the last leaf of this word was sorted by */
    uint64_t expelled_looks;
    uint8_t buf[KH_REBUILD_BUFFER_SZ];
} kh_rebuild;

static inline bool kh_rebuild_sound(const kh_rebuild *r) { return r->why == NULL; }
static inline bool kh_rebuild_more(const kh_rebuild *r) { return r->why == NULL && r->at < r->size; }
/* kh_rebuild_refuse: the leaf cannot be one of a state; the first sentence stays. */
void kh_rebuild_refuse(kh_rebuild *r, const char *why);
void kh_rebuild_full(kh_rebuild *r); /* a bound of this build was reached */
/* kh_rebuild_rows: whether so many rows are left; else it is full. */
bool kh_rebuild_rows(kh_rebuild *r, uint32_t region, uint64_t cnt);

void kh_rebuild_take(kh_rebuild *r, void *p, size_t n); /* zeros where the leaf has no more */
void kh_rebuild_skip(kh_rebuild *r, uint64_t n);
uint64_t kh_rebuild_number(kh_rebuild *r);
uint64_t kh_rebuild_up_to(kh_rebuild *r, uint64_t most);
kh_key kh_rebuild_key(kh_rebuild *r);
/* kh_rebuild_text reads a text of at most max bytes, max <= KH_REBUILD_TEXT_MAX, into buf, which it stays in. */
#define KH_REBUILD_TEXT_MAX 255u
kh_text kh_rebuild_text(kh_rebuild *r, uint32_t max, char buf[KH_REBUILD_TEXT_MAX]);
uint32_t kh_rebuild_intern(kh_rebuild *r, uint32_t max); /* the same, stored; 0: an empty one */
/* kh_rebuild_order refuses a leaf whose place is not behind that of the one before it. */
void kh_rebuild_order(kh_rebuild *r, uint64_t high, uint64_t low);
/* kh_rebuild_rate reads a rate's four words and text; a keyed hash of it stands for it until it is found (rebuild_loans.c). */
void kh_rebuild_rate(kh_rebuild *r, kh_op_rate_set *ret, bool *ret_replaced, char buf[KH_REBUILD_TEXT_MAX]);
/* kh_rebuild_balance: the record that a paper's key and a currency name; NONE: there is none. */
uint32_t kh_rebuild_balance(const kh_ledger *l, const kh_key *key, uint64_t currency);

/* One function a word; each reads all behind it. */
void kh_rebuild_party(kh_rebuild *r);  /* rebuild_parties.c */
void kh_rebuild_grant(kh_rebuild *r);  /* rebuild_parties.c */
void kh_rebuild_risk(kh_rebuild *r);   /* rebuild_parties.c */
void kh_rebuild_paper(kh_rebuild *r);  /* rebuild_papers.c */
void kh_rebuild_alias(kh_rebuild *r);  /* rebuild_papers.c */
void kh_rebuild_ref(kh_rebuild *r);    /* rebuild_papers.c */
void kh_rebuild_deal(kh_rebuild *r);   /* rebuild_papers.c */
void kh_rebuild_waits(kh_rebuild *r);  /* rebuild_papers.c */
void kh_rebuild_loan(kh_rebuild *r);   /* rebuild_loans.c */
void kh_rebuild_settle(kh_rebuild *r); /* rebuild_loans.c: after the last leaf: financings in log order, and what hangs on them */
#endif
