/* ledger: the deterministic state machine: documents, balances, financings, parties, rules, rates.
 *
 * kh_ledger_apply is total: any decided bytes get one receipt per operation; reaching a bound is a receipt too. Same entries,
 * same receipts, notices and content digest, everywhere. No clock, I/O, randomness, allocation, floating point or threads: time
 * and bytes come in, outcomes go out through the sink. All state lies in regions of kh_state (an image is those regions).
 *
 * Threads  [W] the applier. Reads marked [S] see settled state: from the applier's thread, or with the applier kept out by the
 * caller (store holds its gate); [R] = index readers, see index.h. Money    integers in minor units; held + used + consumed <=
 * cap or the record is flagged OVER_LIMIT, after every operation. */
#ifndef KH_LEDGER_LEDGER_H
#define KH_LEDGER_LEDGER_H
#include "index/index.h"
#include "wire/wire.h"

typedef struct kh_ledger kh_ledger;

/* The sink receives outcomes in order: receipt of operation 0, its notices, receipt of operation 1, ... Notices of expiries come
   before the first receipt, with op_index 0. The encoded bytes (wire.h) are lent for the call. `prev` are the chain links for the
   journals: the place of the previous outcome that touched the same document / party (docs and parties each, see store). */
typedef struct kh_place {
    uint64_t height;
    uint32_t index; /* n-th outcome of that entry, from 0 */
    uint32_t reserved;
} kh_place;
typedef struct kh_touch { /* one chain that this outcome joins */
    uint8_t what;         /* 1 document (key), 2 party (id in the first 4 bytes), 3 financing (bank 4, 0 4, id 8) */
    kh_key key;
    kh_place prev; /* height 0 = none */
} kh_touch;
typedef struct kh_outcome {
    uint8_t is_notice;
    uint32_t index; /* n-th outcome of this entry */
    uint32_t op_index;
    const uint8_t *bytes; /* kh_receipt_encode / kh_notice_encode */
    uint32_t bytes_sz;
    const kh_receipt *receipt; /* or NULL */
    const kh_notice *notice;   /* or NULL */
    const kh_touch *touches;
    uint32_t touch_cnt;
} kh_outcome;
typedef struct kh_sink {
    void (*emit)(void *self, const kh_outcome *outcome);
    void *self;
} kh_sink;

/* kh_ledger_regions writes the specs of all regions (the index's included, bounds fixed at build time); returns their number. */
uint32_t kh_ledger_regions(kh_region_spec ret_specs[KH_REGION_MAX]);
size_t kh_ledger_footprint(void);
/* kh_ledger_open binds to a state, empty (rules at their defaults) or loaded. mem: footprint bytes, 64-byte aligned. */
KH_MUST kh_err kh_ledger_open(kh_state *state, kh_index *index, const uint8_t secret[16], void *mem, kh_ledger **ret);

/* kh_ledger_apply applies one decided entry: first all that is due (deadline <= time_ns, by deadline, then log order), then
   op_cnt operations. height must be kh_ledger_height() + 1. Bytes that do not decode get receipts of code FORMAT: always op_cnt
   receipts. [W] */
void kh_ledger_apply(kh_ledger *l, uint64_t height, uint64_t time_ns, const uint8_t *ops, size_t ops_sz, uint32_t op_cnt,
                     const kh_sink *sink);
uint64_t kh_ledger_height(const kh_ledger *l);
uint64_t kh_ledger_time(const kh_ledger *l);
/* kh_ledger_next_due: the earliest deadline, UINT64_MAX if nothing stands in a queue. [S] */
uint64_t kh_ledger_next_due(const kh_ledger *l);
/* kh_ledger_headroom: bytes by region that must be backed before an entry of op_cnt operations of ops_sz bytes is applied. */
void kh_ledger_headroom(const kh_ledger *l, uint32_t op_cnt, size_t ops_sz, uint64_t ret_bytes[KH_REGION_MAX]);
/* kh_ledger_room: bytes by region that so many more documents (six columns, one balance, ten of an owner) and open financings (of
   one line each, on documents that had none) take, about: for memory that is made ready beforehand. */
void kh_ledger_room(uint64_t documents, uint64_t financings, uint64_t ret_bytes[KH_REGION_MAX]);

/* ---- reading [S] ---- */
typedef struct kh_balance_view {
    kh_currency currency;
    uint64_t base, red, cap, held, used, consumed, free;
    bool over_limit;
    uint64_t own_held, own_used, own_consumed; /* of the bank asked about */
} kh_balance_view;
typedef struct kh_doc_view {
    kh_key key;
    kh_kind kind;
    kh_status status;
    kh_date date;
    uint32_t version; /* the ledger's: 1 when stored, + 1 each amendment */
    uint64_t contract;
    char number[KH_NUMBER_MAX + 1], issuer[KH_ISSUER_MAX + 1], owner[KH_ISSUER_MAX + 1];
    uint32_t number_n, issuer_n, owner_n;
    bool similar, frozen;
    uint32_t balance_cnt;
    kh_balance_view balances[KH_DOC_BALANCES_MAX];
    uint32_t link_group; /* 0 none */
    kh_place last;       /* head of its chain in the journals */
} kh_doc_view;
/* kh_ledger_document: follows aliases (LRN). bank 0: nobody's own. Returns false when not present. */
bool kh_ledger_document(const kh_ledger *l, const kh_key *key, uint32_t bank, kh_doc_view *ret);

/* kh_ledger_paper: the texts that a key is made of, which never change: aliases are not followed. False where nothing has the
   key. */
typedef struct kh_paper_view {
    kh_kind kind;
    char number[KH_NUMBER_MAX + 1], issuer[KH_ISSUER_MAX + 1];
    uint32_t number_n, issuer_n;
} kh_paper_view;
bool kh_ledger_paper(const kh_ledger *l, const kh_key *key, kh_paper_view *ret);
/* kh_ledger_papers_ahead fetches into the cache what kh_ledger_paper will touch of these keys: some 16 are best. */
void kh_ledger_papers_ahead(const kh_ledger *l, const kh_key *keys, uint32_t n);

typedef struct kh_fin_line_view {
    kh_key key;
    kh_currency currency;
    kh_code code;
    uint64_t amount, allocated;
} kh_fin_line_view;
typedef struct kh_fin_view {
    uint32_t bank, enterprise;
    uint64_t id;
    kh_fin_state state;
    uint32_t version;
    kh_currency currency;
    uint64_t amount, repaid;
    uint64_t deadline_ns; /* 0 none */
    char product[KH_PRODUCT_MAX + 1];
    uint32_t line_cnt;
    kh_fin_line_view lines[KH_LINES_MAX];
    kh_place last;
} kh_fin_view;
bool kh_ledger_financing(const kh_ledger *l, uint32_t bank, uint64_t id, kh_fin_view *ret);
/* kh_ledger_financing_next walks financings in log order: *cursor starts at 0; false at the end. */
bool kh_ledger_financing_next(const kh_ledger *l, uint64_t *cursor, kh_fin_view *ret);
bool kh_ledger_document_next(const kh_ledger *l, uint64_t *cursor, kh_doc_view *ret);

typedef struct kh_party_view {
    uint32_t id;
    kh_role role;
    bool frozen;
    char name[KH_NAME_MAX + 1];
    char uscc[KH_ISSUER_MAX + 1];
    kh_place last;
} kh_party_view;
bool kh_ledger_party(const kh_ledger *l, uint32_t id, kh_party_view *ret);
bool kh_ledger_party_by_uscc(const kh_ledger *l, kh_text uscc, kh_party_view *ret);
bool kh_ledger_party_by_name(const kh_ledger *l, kh_text name, kh_party_view *ret);  /* names none where several bear it */
bool kh_ledger_party_next(const kh_ledger *l, uint64_t *cursor, kh_party_view *ret); /* by id, ascending: *cursor starts at 0 */
/* kh_ledger_party_key: an enterprise's own key, the newest first: *cursor starts at 0, *ret_since is the height of the entry that
   registered it; all zeros: from there on it had none. False: there was none before. */
bool kh_ledger_party_key(const kh_ledger *l, uint32_t id, uint64_t *cursor, uint64_t *ret_since, uint8_t ret[KH_PARTY_KEY_SZ]);
/* kh_ledger_rule_fits: what RULE_SET would come to, but for room: OK, FORMAT, or NOT_FOUND: no rule has this name. Pure. */
kh_code kh_ledger_rule_fits(kh_text name, kh_text value);
/* kh_ledger_rule_next: rules in name order with their value as text and whether it is the default. */
bool kh_ledger_rule_next(const kh_ledger *l, uint64_t *cursor, char ret_name[KH_RULE_TEXT_MAX + 1],
                         char ret_value[KH_RULE_TEXT_MAX + 1], bool *ret_is_default, uint64_t *ret_since_height);
bool kh_ledger_rate_next(const kh_ledger *l, uint64_t *cursor, kh_op_rate_set *ret); /* source text lent by the state */
uint64_t kh_ledger_clock_step_ns(const kh_ledger *l);                                /* rule clock_step; 0 off */
/* kh_ledger_watermark: block time of the newest import of a kind, 0 none. */
uint64_t kh_ledger_watermark(const kh_ledger *l, kh_kind kind);

/* ---- grants (授权书) and what is read under them [S] ---- */
typedef struct kh_grant_view {
    uint32_t enterprise, bank;
    uint64_t id, from_ns, until_ns;
    uint8_t scope;
    kh_grant_state state;
} kh_grant_view;
bool kh_ledger_grant(const kh_ledger *l, uint32_t enterprise, uint64_t id, kh_grant_view *ret);
/* kh_ledger_grant_next: an enterprise's grants, the newest first; with enterprise 0 everybody's, in log order. *cursor starts at
   0. One row a call; grants are never taken away, so the applier may run between two calls. */
bool kh_ledger_grant_next(const kh_ledger *l, uint64_t *cursor, uint32_t enterprise, kh_grant_view *ret);
/* kh_ledger_cursor_seal: a cursor of financings or grants counts everybody's: what a party gets to see of it is mixed, one to
   one, under the state's secret and its id; kh_ledger_cursor_open undoes that. */
uint64_t kh_ledger_cursor_seal(const kh_ledger *l, uint32_t party, uint64_t cursor);
uint64_t kh_ledger_cursor_open(const kh_ledger *l, uint32_t party, uint64_t sealed);

/* There is no list of an enterprise's financings or documents: these walk all rows, in pieces, so that the caller lets the
   applier in between two (store's gate). *cursor starts at 0 and is KH_WALK_END after the last piece. A few nanoseconds a row. */
#define KH_WALK_END UINT64_MAX
typedef struct kh_credit_item {
    kh_currency currency;
    kh_fin_state state;
    uint64_t amount, repaid;
} kh_credit_item;
/* kh_ledger_credit_walk passes at most `rows` financings and gives those of the enterprise, whatever the bank; returns their
   number, <= max, and stops where max is reached. Financings keep their rows: each is met once. */
uint32_t kh_ledger_credit_walk(const kh_ledger *l, uint64_t *cursor, uint32_t rows, uint32_t enterprise, kh_credit_item ret[],
                               uint32_t max);
/* kh_ledger_owner_walk: the same over documents: the keys of those that belong to the canonical owner. A document that is amended
   between two pieces may move behind the walk and be passed over: it is met by the next walk. */
uint32_t kh_ledger_owner_walk(const kh_ledger *l, uint64_t *cursor, uint32_t rows, kh_text owner, kh_key ret_keys[],
                              uint32_t max);

/* ---- the risk list (风险名单) [S] ---- */
typedef struct kh_risk_view {
    uint64_t contributed, asked, allowed;
} kh_risk_view;
/* kh_ledger_risk_account: what a bank has in the list, has asked, and may ask in all; false where the party is no bank. */
bool kh_ledger_risk_account(const kh_ledger *l, uint32_t bank, kh_risk_view *ret);

/* One verification question, DOMAIN §7. */
typedef struct kh_question {
    kh_key key;
    uint64_t amount;      /* of `currency`; KH_AMOUNT_NONE = states none */
    uint32_t owner_check; /* 0 = not stated (DOMAIN requires it of banks; access checks that) */
    kh_date date;         /* 0 = states none; these three lie as in a record */
    kh_currency currency; /* 0 = states none */
    uint64_t contract;    /* 0 not stated */
    uint64_t want;        /* KH_AMOUNT_NONE: any free above 0 */
    uint32_t version;     /* 0 not stated */
    uint32_t bank;        /* who asks, for DUP_OWN; 0 the regulator */
    kh_kind kind;
    kh_code number_code; /* what kh_number_canonical said of the number */
    int8_t direction;    /* 0 not stated, +1 export, -1 import */
} kh_question;
typedef struct kh_verdict {
    kh_code code;
    uint16_t mismatch; /* KH_FIELD_* */
    kh_status status;  /* NONE when it may not be told (mismatch, not found) */
    kh_currency currency;
    uint64_t free; /* KH_AMOUNT_NONE when it may not be told */
    uint32_t version;
    uint64_t as_of;     /* height */
    uint64_t watermark; /* ns, where NOT_FOUND */
} kh_verdict;
/* kh_ledger_verify answers n questions in groups, with prefetch; the order of codes is DOMAIN §7's. [S] */
void kh_ledger_verify(const kh_ledger *l, const kh_question questions[], uint32_t n, kh_verdict ret[]);
/* kh_ledger_verify_fast answers from the records alone, as an [R] reader beside the applier; bit i of the result is set where
   that was enough. The others (shortages, link groups, frozen parties, several currencies) need kh_ledger_verify. n <=
   KH_BULK_MAX. [R] */
uint64_t kh_ledger_verify_fast(const kh_ledger *l, const kh_question questions[], uint32_t n, kh_verdict ret[]);

/* ---- for a reader that looks the records up itself (index/flow.h) [R] ---- */
typedef struct kh_moment { /* as of when its answers are at least */
    uint64_t height;
    kh_date today;
    bool plain; /* no rule limits the age of any kind, or the currencies */
} kh_moment;
/* kh_ledger_moment: taken before the records are looked up. */
kh_moment kh_ledger_moment(const kh_ledger *l);
const kh_index *kh_ledger_index(const kh_ledger *l);
/* kh_ledger_verify_found is verify_fast of questions whose records the caller found (kh_index_null: none). It also decides
   NOT_FOUND, and does not ask whether the bank is frozen: the caller does, by kh_ledger_party_frozen. n <= KH_BULK_MAX. [R] */
uint64_t kh_ledger_verify_found(const kh_ledger *l, kh_moment moment, const kh_question questions[],
                                const kh_record *const records[], uint32_t n, kh_verdict ret[]);
/* kh_ledger_party_row: a number that stays this party's for as long as the directory lives; 0: no such party. [S] */
uint32_t kh_ledger_party_row(const kh_ledger *l, uint32_t id);
/* kh_ledger_party_frozen: as the newest applied entry left it. Any thread. */
bool kh_ledger_party_frozen(const kh_ledger *l, uint32_t row);

/* ---- digests ---- */
/* kh_ledger_content_begin/.. : canonical bytes of documents and financings, in key order, are given to `bytes` piece by piece;
   free of versions, heights, times, placement and record numbers. `order` is scratch for kh_ledger_content_scratch() bytes. [S]
 */
size_t kh_ledger_content_scratch(const kh_ledger *l);
void kh_ledger_content(const kh_ledger *l, void *scratch, void (*bytes)(void *ctx, const void *p, size_t n), void *ctx);
/* kh_ledger_checkpoint: everything that decides later outcomes, deadlines and versions included, as leaves of canonical bytes:
   pieces of a leaf, then its end. Free of record numbers, of placement and of the state's secret. The store makes the tree. [S]
 */
typedef struct kh_leaves {
    void (*bytes)(void *ctx, const void *p, size_t n);
    void (*end)(void *ctx);
    void *ctx;
} kh_leaves;
size_t kh_ledger_checkpoint_scratch(const kh_ledger *l);
void kh_ledger_checkpoint(const kh_ledger *l, void *scratch, const kh_leaves *to);
/* kh_ledger_rebuild makes, in an empty ledger, the state whose leaves come from a source (another's kh_ledger_checkpoint), placed
   by its own secret: it goes on as the other does, outcome by outcome. Nothing in the leaves is believed: what breaks the bounds
   or the order of docs/FORMAT.md is refused, and where all were taken the caller makes the digest from what was built, and holds
   it against one that it trusts. KH_E_DAMAGED: no leaves of a state; KH_E_FULL: beyond a bound of this build; KH_E_ARG: the
   ledger is not empty; what the source returned. After an error the ledger's state is to be thrown away. Memory: the state's, and
   what the source lends. [W], without readers. */
typedef struct kh_leaf_source {
    /* next: begins the next leaf, of *ret_sz bytes, whatever was read of the last one; KH_E_NOT_FOUND: there are no more. */
    kh_err (*next)(void *ctx, uint64_t *ret_sz);
    kh_err (*read)(void *ctx, void *p, size_t n); /* the leaf's next n bytes, which it has */
    void *(*lend)(void *ctx, size_t n);           /* called at most once, at the end: until rebuild returns; NULL: no memory */
    void *ctx;
} kh_leaf_source;
typedef struct kh_leaf_fault {
    uint64_t leaf, at; /* which, from 0, and how far into it; behind the last: what only all of them show */
    const char *why;   /* NULL: nothing was wrong */
} kh_leaf_fault;
KH_MUST kh_err kh_ledger_rebuild(kh_ledger *l, const kh_leaf_source *from, kh_leaf_fault *ret_fault);
/* kh_ledger_newest gives the newest outcome of each chain that outcomes join (kh_touch's what and key), in no order. [S] */
void kh_ledger_newest(const kh_ledger *l, void (*each)(void *ctx, uint8_t what, const kh_key *key, kh_place place), void *ctx);
/* kh_ledger_check: the running check (keyed, cheap): equal states reached by equal logs have equal checks. */
uint64_t kh_ledger_check(const kh_ledger *l);
/* kh_ledger_verify_invariants walks everything (tests, audit): NULL, or a sentence that names what is broken. [S] */
const char *kh_ledger_verify_invariants(const kh_ledger *l);

typedef struct kh_ledger_stats {
    uint64_t documents, balances, financings, open_financings, open_lines, parties, link_groups, waiting_messages, state_bytes;
    uint64_t grants, risk_entries;
} kh_ledger_stats;
void kh_ledger_get_stats(const kh_ledger *l, kh_ledger_stats *ret);
#endif
