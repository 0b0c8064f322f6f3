/* state_layout: the rows of the ledger's regions. Everything that must survive a restart is here; all of it is in the image.
 *
 * A reference is a row number of its region; row 0 of every region is never used, so 0 means none.
 * Docs: docs/FORMAT.md. Sizes are asserted: the image's version changes with any of them. */
#ifndef KH_LEDGER_STATE_LAYOUT_H
#define KH_LEDGER_STATE_LAYOUT_H
#include "index/index.h"
#include "wire/wire.h"

enum {
    KH_R_COLD = KH_REGION_LEDGER_FIRST, /* 8: one a balance; the first of a document is the document's */
    KH_R_EXTRA,                         /* what few documents have */
    KH_R_ACTIVE,                        /* balances that were ever held or linked */
    KH_R_SHARE,                         /* a bank's part of a balance, where there are several */
    KH_R_LINE,
    KH_R_FIN,
    KH_R_FIN_TABLE,
    KH_R_TEXT,
    KH_R_TEXT_TABLE,
    KH_R_PARTY,
    KH_R_PARTY_TABLE,
    KH_R_PARTY_ORDER,
    KH_R_USCC_TABLE,
    KH_R_QUEUE,
    KH_R_GROUP,
    KH_R_REF,
    KH_R_REF_TABLE,
    KH_R_CONTRACT,
    KH_R_CONTRACT_TABLE,
    KH_R_PRODUCT,
    KH_R_RATE,
    KH_R_WAIT,
    KH_R_WAIT_KEY,
    KH_R_WAIT_TABLE,
    KH_R_MESSAGE, /* 32 */
    KH_R_CONSENT, /* 33: one row; what came after kh_head was full, so that older images still open */
    KH_R_GRANT,
    KH_R_GRANT_TABLE,
    KH_R_RISK,
    KH_R_RISK_TABLE, /* 37 */
    KH_R_PARTY_KEY,  /* 38 */
    KH_R_END
};

/* Bounds. The rules capacity_documents and capacity_financings count stored documents and financings. */
#define KH_CAPACITY_DOCUMENTS_DEFAULT (64u << 20)
#define KH_CAPACITY_DOCUMENTS_MAX (128u << 20)
#define KH_CAPACITY_FINANCINGS_DEFAULT (16u << 20)
#define KH_CAPACITY_FINANCINGS_MAX (64u << 20)
#define KH_RECORDS_MAX (192u << 20) /* documents, aliases, further currencies, and what waits for its grace period */
#define KH_PARTIES_MAX (4u << 20)
#define KH_PARTY_KEYS_MAX (4u << 20) /* those ever registered */
#define KH_PRODUCTS_MAX 1024u
#define KH_QUEUES_MAX 1024u
#define KH_DOC_BANKS_MAX 64u
#define KH_DOC_LINES_MAX 4096u
#define KH_GROUP_MAX 64u
#define KH_SUPERSEDED_MAX 8u
#define KH_WAITING_MAX 65536u           /* messages kept for another try, a source */
#define KH_SIMILAR_LOOK 64u             /* documents of one contract that are compared */
#define KH_GRANTS_CAPACITY (16u << 20)  /* grants, the revoked ones included: their numbers stay taken */
#define KH_GRANTS_OPEN_MAX 1024u        /* not revoked, of one enterprise */
#define KH_GRANTS_EVER_MAX 65536u       /* of one enterprise */
#define KH_RISKS_CAPACITY (16u << 20)   /* contributions that stand */
#define KH_RISKS_OF_BANK_MAX (1u << 20) /* of one bank */
#define KH_RISKS_OF_SUBJECT_MAX 1024u   /* to one subject, whatever the category and the bank */

/* The place of an outcome in 8 bytes: height << 24 | index; 0 none. */
typedef uint64_t kh_packed;

/* kh_cold is the slow half of a document (version > 0), of its further currencies (only `active`, and `owner` is the
   document's cold row) and of an alias (only number and issuer). */
typedef struct kh_cold {
    uint32_t owner;  /* text */
    uint32_t number; /* text; 0: the key packs it */
    uint32_t issuer; /* text */
    uint32_t active;
    uint32_t extra;
    uint32_t version; /* 0: not a document's */
    kh_packed last;
} kh_cold;

enum { KH_EXTRA_RED = 1 /* red letters lower it */ };
typedef struct kh_extra {
    uint64_t issue_time;  /* the newest that content came with ... */
    uint64_t status_time; /* ... and a status */
    uint64_t contract;
    uint32_t doc_version;
    uint32_t refs;         /* what it names */
    uint16_t had_statuses; /* bit s: it had status s before and left it by a move that can be undone */
    uint16_t flags;
    uint8_t superseded_cnt;
    uint8_t superseded_at; /* the next to be written */
    uint16_t reserved;
    uint64_t superseded[KH_SUPERSEDED_MAX];
} kh_extra;

typedef struct kh_active {
    uint64_t held, used, consumed;
    uint32_t record;
    uint32_t lines; /* open lines, newest first */
    uint32_t bank;  /* whose all of it is, while shares is 0 */
    uint32_t shares;
    uint32_t group;
    uint16_t line_cnt;
    uint8_t bank_cnt;
    uint8_t flags; /* low half: the purpose, 0 financing */
} kh_active;
enum { KH_ACTIVE_GONE = 0x80 /* an amendment took this currency out while it was in use */ };

typedef struct kh_share {
    uint32_t next;
    uint32_t bank;
    uint64_t held, used, consumed;
} kh_share;

typedef struct kh_line {
    uint32_t fin;
    uint32_t active;
    uint32_t next, prev; /* among the balance's open lines */
    uint64_t allocated;  /* financing's currency */
    uint64_t repaid;
    uint32_t rate; /* row; 0: the document's currency is the financing's */
    uint8_t open;
    uint8_t reserved[3];
} kh_line;

#define KH_QUEUE_END 0x80000000u /* queue_next, queue_prev: the rest is the queue's row */
typedef struct kh_fin {          /* what a search reads and most events change first */
    uint64_t id;
    uint64_t amount;
    uint32_t bank, hash_next;
    uint32_t first_line, version;
    uint32_t enterprise;
    uint16_t currency;
    uint8_t state;
    uint8_t last_line; /* lines - 1 */
    uint64_t event_digest;
    kh_packed event_place, last;
    kh_packed apply_place;
    uint64_t apply_digest;
    uint64_t deadline_ns; /* 0: in no queue */
    uint32_t queue_next, queue_prev;
    uint32_t queue_stamp; /* order in which deadlines were set, modulo 2^32 */
    uint32_t product;     /* text */
} kh_fin;

#define KH_FIN_SLOTS 7u
typedef struct kh_fin_bucket {
    uint64_t slot[KH_FIN_SLOTS]; /* row 32 | the hash's low 32 bits above it; 0: this one and those behind it are empty */
    uint64_t more;               /* row of the first that did not fit */
} kh_fin_bucket;

#define KH_TEXT_UNIT 8u
typedef struct kh_text_row { /* followed by the rest of its bytes */
    uint32_t hash_next;
    uint32_t owner_check; /* 0: not computed yet */
    uint16_t n;
    uint8_t bytes[6];
} kh_text_row;

enum { KH_PARTY_EXPELLED = 2 };
typedef struct kh_party_row {
    uint32_t id, name, uscc;
    uint32_t hash_next, uscc_next;
    uint32_t waiting; /* messages kept for another try */
    kh_packed last;
    uint64_t refusals_ns; /* refused applications not yet worked off, times 10^9 */
    uint64_t refusals_at;
    uint8_t role, frozen; /* frozen: 1, KH_PARTY_EXPELLED */
    uint16_t open_grants; /* of an enterprise: not revoked */
    uint32_t given;       /* of an enterprise: grants, ever; of a bank: contributions to the risk list that stand */
    union {
        uint64_t asked; /* of a bank: subjects of its questions to the risk list */
        struct {
            uint32_t newest_grant, key; /* of an enterprise; key: the newest */
        };
        uint64_t bundle; /* of the regulator, a source: the highest number of a signed bundle */
    };
} kh_party_row; /* one cache line */

typedef struct kh_party_key { /* an enterprise's own, as it was from an entry on */
    uint64_t bundle;          /* the highest number of a signed bundle; of the newest row alone */
    uint64_t since;           /* the entry's height */
    uint8_t key[KH_PARTY_KEY_SZ];
    uint32_t before; /* the row of the one before it */
    uint32_t reserved;
} kh_party_key;

typedef struct kh_queue {
    uint32_t next_free;
    uint32_t head, tail;
    uint32_t used;
    uint64_t ttl_ns;
} kh_queue;

typedef struct kh_group {
    uint32_t next_free;
    uint32_t cnt;
    uint32_t members[KH_GROUP_MAX]; /* active rows */
} kh_group;

typedef struct kh_ref { /* one document names another */
    kh_key target;
    kh_key from;
    uint64_t red;  /* what a red letter took of the target's base */
    uint32_t next; /* of the same document */
    uint32_t hash_next;
    uint16_t red_currency; /* of the letter that counts, even where nothing was left for it; 0: it does not count */
    uint8_t role, kind;
    uint32_t reserved[3];
} kh_ref;

typedef struct kh_contract {
    kh_key from;
    uint64_t digest;
    uint32_t owner;
    uint32_t hash_next;
} kh_contract;

typedef struct kh_product {
    uint32_t name, value; /* texts */
    uint64_t ratio_bp;    /* UINT64_MAX none */
    uint64_t since;
} kh_product;

typedef struct kh_rate_row {
    uint64_t mantissa;
    uint32_t next; /* of the same pair, older */
    uint32_t pair_next;
    uint32_t source;
    uint16_t from, to;
    kh_date date;
    uint8_t scale;
    uint8_t replaced; /* another of the same date came later */
    uint8_t reserved[4];
} kh_rate_row;

typedef struct kh_wait {
    uint32_t next_free;
    uint32_t message; /* first cell */
    uint32_t size;
    uint32_t source;
    uint64_t stamp; /* log order */
    uint32_t keys;  /* its entries in the table */
    uint8_t for_notice, reserved[3];
} kh_wait;
typedef struct kh_wait_key {
    uint32_t hash_next;
    uint32_t wait;
    uint32_t same; /* the next entry of the same message */
    uint32_t reserved;
    uint64_t hash;
} kh_wait_key;
#define KH_MESSAGE_CELL 128u
typedef struct kh_message_cell {
    uint32_t next;
    uint8_t bytes[KH_MESSAGE_CELL - 4];
} kh_message_cell;

typedef struct kh_grant {
    uint64_t id, from_ns, until_ns;
    uint32_t enterprise, bank;
    uint32_t hash_next;
    uint32_t next; /* the enterprise's one before it */
    uint8_t scope, state;
    uint8_t reserved[6];
} kh_grant;

typedef struct kh_risk_row { /* one bank's contribution */
    kh_key subject;
    uint32_t bank; /* 0: waits for reuse */
    uint32_t hash_next;
    uint8_t category;
    uint8_t reserved[7];
} kh_risk_row;

/* A table that grows by one bucket at a time (linear hashing); its heads are the rows of one region. */
typedef struct kh_table_head {
    uint64_t rows;
    uint32_t level, split;
} kh_table_head;

enum {
    KH_RULE_RATIO_KIND = 0,               /* + kind */
    KH_RULE_MAX_AGE = KH_KIND_CNT,        /* + kind; seconds, 0 off */
    KH_RULE_CURRENCIES = 2 * KH_KIND_CNT, /* 0 all, else see head.currencies */
    KH_RULE_TTL_APPLIED,
    KH_RULE_TTL_ACCEPTED, /* seconds, 0 off */
    KH_RULE_RESTORE,
    KH_RULE_NEEDS_TOTAL, /* 0, 1 */
    KH_RULE_REFUSALS,    /* value BURST, value_2 PER_SECOND; 0 off */
    KH_RULE_CLOCK_STEP,
    KH_RULE_BODY_RETENTION, /* seconds */
    KH_RULE_DOCUMENTS,
    KH_RULE_FINANCINGS,
    KH_RULE_HEAD_CNT, /* those before stand in kh_head, the others in kh_consent_head */
    KH_RULE_RISK_FREE = KH_RULE_HEAD_CNT,
    KH_RULE_RISK_PER_ENTRY,
    KH_RULE_CNT
};
typedef struct kh_rule {
    uint64_t value, value_2, since;
    uint32_t text, reserved;
} kh_rule;

typedef struct kh_head {
    uint64_t format; /* KH_STATE_FORMAT once used */
    uint64_t height, time_ns;
    uint64_t check;
    uint64_t documents, balances, aliases, financings, open_financings, open_lines, groups, waiting;
    uint64_t wait_stamp;
    kh_packed operator_last;
    uint64_t watermark[KH_KIND_CNT];
    kh_table_head fins, texts, parties, usccs, refs, contracts, waits;
    uint32_t free_colds, free_shares, free_queues, free_groups, free_waits, free_wait_keys, free_cells;
    uint32_t queue_applied, queue_accepted; /* where new deadlines go */
    uint32_t queue_stamp, frozen_banks, operator_waiting;
    uint32_t rate_pairs;
    uint32_t expelled_at; /* the next financing to look at for holds of who was expelled; 0: none is left */
    kh_rule rules[KH_RULE_HEAD_CNT];
    uint64_t currencies[16]; /* bit per ISO numeric, where the rule is not `all` */
} kh_head;
#define KH_STATE_FORMAT UINT64_C(0x33304c4544474b48)

_Static_assert(sizeof(kh_cold) == 32 && sizeof(kh_extra) == 104 && sizeof(kh_active) == 48 && sizeof(kh_share) == 32,
               "docs/FORMAT.md");
_Static_assert(sizeof(kh_line) == 40 && sizeof(kh_fin) == 104 && sizeof(kh_fin_bucket) == 64 && sizeof(kh_text_row) == 16 &&
                   sizeof(kh_party_row) == 64 && sizeof(kh_party_key) == 88,
               "docs/FORMAT.md");
_Static_assert(sizeof(kh_queue) == 24 && sizeof(kh_group) == 264 && sizeof(kh_ref) == 64 && sizeof(kh_contract) == 32,
               "docs/FORMAT.md");
_Static_assert(sizeof(kh_product) == 24 && sizeof(kh_rate_row) == 32 && sizeof(kh_wait) == 32 && sizeof(kh_wait_key) == 24 &&
                   sizeof(kh_message_cell) == KH_MESSAGE_CELL,
               "docs/FORMAT.md");
typedef struct kh_consent_head {
    uint64_t format; /* KH_CONSENT_FORMAT once used */
    kh_table_head grants, risks;
    uint32_t free_risks, reserved;
    kh_rule rules[KH_RULE_CNT - KH_RULE_HEAD_CNT];
} kh_consent_head;
#define KH_CONSENT_FORMAT UINT64_C(0x3130534e4f434b48)

_Static_assert(sizeof(kh_grant) == 48 && sizeof(kh_risk_row) == 32 && sizeof(kh_consent_head) == 112, "docs/FORMAT.md");
_Static_assert((uint32_t)KH_R_END <= (uint32_t)KH_REGION_MAX, "more regions than an image has");
#endif
