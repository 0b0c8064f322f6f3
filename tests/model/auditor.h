/* auditor: a second ledger, slow and obvious, written from the rules of the business alone.
 *
 * It shares no code with engine/ledger or engine/index: plain arrays, linear search, and no stored sums: what a balance holds,
 * has used and has consumed is added up from the lines of all financings each time somebody asks. It uses the wire's structs, and
 * doc's status tables, status codes and exact conversion, which have tests of their own.
 * One auditor is one world: auditor_new, then auditor_begin_entry and auditor_operation for each entry, then auditor_free. */
#ifndef KH_TESTS_MODEL_AUDITOR_H
#define KH_TESTS_MODEL_AUDITOR_H
#include "ledger/ledger.h"

enum {
    DOCS_MAX = 256,
    FINS_MAX = 4096,
    PARTIES_MAX = 64,
    RATES_MAX = 256,
    NOTICES_MAX = 4096,
    SUPERSEDED_MAX = 8,
    NAMED_MAX = 4,
    WAITING_MAX = 1024,
    GRANTS_MAX = 256,
    RISKS_MAX = 256
};

typedef struct content { /* what an amendment replaces */
    kh_date date;
    uint64_t contract;
    uint32_t balance_cnt;
    kh_op_balance balances[KH_DOC_BALANCES_MAX];
} content;

typedef struct exposure {
    uint64_t held, used, consumed;
} exposure;

typedef struct balance {
    kh_currency currency;
    uint64_t base, red, cap;
    bool gone;    /* no longer declared; kept for what hangs on it */
    bool over;    /* OVER_LIMIT stands */
    int group;    /* -1 none */
    exposure sum; /* as auditor_add_up found it last */
} balance;

typedef struct document {
    kh_key key;
    kh_kind kind;
    uint32_t owner_check;
    char owner[32];
    kh_status status;
    uint32_t had; /* statuses that it left and could have come back to, as bits */
    kh_date date;
    uint64_t contract;
    uint32_t version;
    uint32_t paper_version; /* what the papers said of their own order, the newest */
    uint64_t paper_time, status_time;
    uint32_t balance_cnt;
    balance balances[KH_DOC_BALANCES_MAX];
    content now, superseded[SUPERSEDED_MAX]; /* newest last */
    uint32_t superseded_cnt;
    kh_key named[NAMED_MAX]; /* LINK references */
    uint32_t named_cnt;
    kh_key corrects;              /* of a credit note */
    bool has_corrects, red_taken; /* red_taken: it counts, though little or nothing was left for it */
    uint64_t red;                 /* what it took from its invoice */
} document;

typedef struct fin_line {
    int doc, bal; /* bal < 0: a line that was not granted */
    kh_key key;
    kh_currency currency;
    kh_code code;
    uint64_t allocated; /* granted, then disbursed */
    uint64_t remaining; /* of allocated: not yet repaid */
    uint64_t amount;    /* remaining in the document's currency, rounded up */
    uint64_t consumed;  /* in the document's currency */
    bool short_only;    /* sound, but with too little free */
    bool converted;
    kh_rate rate;
} fin_line;

typedef struct financing {
    uint32_t bank, enterprise;
    uint64_t id;
    kh_fin_state state;
    uint32_t version;
    kh_currency currency;
    uint64_t amount, repaid;
    uint64_t deadline, queued; /* queued: when it entered the queue, for the order of expiry */
    char product[KH_PRODUCT_MAX + 1];
    uint32_t line_cnt;
    fin_line lines[8];
    /* for what is sent again */
    uint8_t application[4096];
    size_t application_n;
    kh_place application_at;
    kh_op_event last_event;
    kh_op_line last_event_lines[8];
    bool has_last_event;
    kh_place last_event_at;
} financing;

typedef struct party {
    uint32_t id;
    kh_role role;
    bool frozen, expelled;
    char name[32], uscc[32];
    uint64_t asked; /* subjects of its questions to the risk list */
} party;

typedef struct consent {
    kh_op_grant grant;
    bool revoked;
} consent;

typedef struct contribution {
    kh_key subject;
    uint32_t bank;
    uint8_t category;
} contribution;

typedef struct outcome { /* what the auditor says of one operation */
    kh_code code;
    uint8_t effect, state;
    uint32_t version;
    uint64_t amount, moved;
    kh_currency currency;
    bool again; /* answered before, at `first` */
    kh_place first;
    uint32_t line_cnt;
    fin_line lines[8];
    int fin; /* the financing that the place of this receipt is to be kept with, -1 none */
    bool is_application;
} outcome;

typedef struct waiting_message { /* its document was not known when it came */
    kh_key key;
    kh_op op;
    char owner[32];
} waiting_message;

typedef struct other_name { /* the number of a corrected invoice (384) means the one that it corrects */
    kh_key name, meant;
} other_name;

typedef struct auditor {
    uint64_t time;
    uint64_t queue_clock;
    uint32_t doc_cnt, fin_cnt, party_cnt, rate_cnt, notice_cnt, group_cnt, waiting_cnt, consent_cnt, risk_cnt, other_name_cnt;
    consent consents[GRANTS_MAX]; /* in the order in which they came */
    contribution risks[RISKS_MAX];
    document docs[DOCS_MAX];
    other_name other_names[DOCS_MAX];
    financing *fins;
    party parties[PARTIES_MAX];
    waiting_message waiting[WAITING_MAX]; /* in the order in which they came */
    kh_op_rate_set rates[RATES_MAX];
    kh_notice notices[NOTICES_MAX]; /* since the last auditor_take_notices */
    /* rules */
    uint32_t ratio_kind[KH_KIND_CNT];
    uint64_t max_age_s[KH_KIND_CNT]; /* 0 off */
    uint32_t ratio_product;          /* of product "export_order"; 0 none */
    uint64_t ttl_applied_s, ttl_accepted_s;
    bool restore_on_own_funds, apply_needs_total;
    bool currencies_all;
    kh_currency currencies[8];
    uint32_t currency_cnt;
    uint64_t risk_free, risk_per_entry;
} auditor;

auditor *auditor_new(void);
void auditor_free(auditor *a);
/* auditor_begin_entry moves time and lets lapse what is due; its notices are in a->notices. */
void auditor_begin_entry(auditor *a, uint64_t time_ns);
void auditor_operation(auditor *a, const kh_op *op, outcome *ret);
/* auditor_placed tells where the receipt of the last operation stands, for references from later ones. */
void auditor_placed(auditor *a, const outcome *o, kh_place place);
void auditor_question(const auditor *a, const kh_question *q, kh_verdict *ret);

/* ---- limits (auditor_limits.c) ---- */
/* auditor_balance_meant: which balance a currency means; 0: the document's only one. -1 none. */
int auditor_balance_meant(const document *d, kh_currency currency);
int auditor_find_doc(const auditor *a, const kh_key *key);
const party *auditor_find_party(const auditor *a, uint32_t id);
int auditor_find_fin(const auditor *a, uint32_t bank, uint64_t id);
bool auditor_is_held(kh_fin_state state);
bool auditor_is_used(kh_fin_state state);
/* auditor_add_up makes every balance's sum anew from the lines of all financings; called after whatever moved one. */
void auditor_add_up(auditor *a);
/* auditor_exposure adds up the lines on a balance: of all banks (bank 0), of one, or of all others (others = true). */
exposure auditor_exposure(const auditor *a, int doc, int bal, uint32_t bank, bool others);
void auditor_recap(auditor *a, int doc); /* caps anew from base, red, status and the rules in force */
__int128 auditor_left_of_group(const auditor *a, int doc, int bal);
uint64_t auditor_free_of(const auditor *a, int doc, int bal);
bool auditor_over(const auditor *a, int doc, int bal);
kh_code auditor_shortage(const auditor *a, int doc, int bal, uint32_t bank);
/* auditor_flags sets or lifts OVER_LIMIT everywhere and notes the alerts. */
void auditor_flags(auditor *a);
void auditor_link(auditor *a, int doc);
kh_notice *auditor_notice(auditor *a, kh_notice_type type, uint32_t bank);
/* auditor_alert tells the regulator and each bank with something on the document (bal < 0) or the balance. */
void auditor_alert(auditor *a, int doc, int bal, kh_notice_type type);
/* auditor_cancel_line: the system takes a line out of its financing. */
void auditor_cancel_line(auditor *a, financing *f, fin_line *line);
void auditor_amended(auditor *a, int doc, int bal); /* cancels APPLIED lines while over, newest first */
void auditor_revoked(auditor *a, int doc);

/* The rules `currencies` and `max_age`. */
bool auditor_currency_allowed(const auditor *a, kh_currency currency);
bool auditor_too_old(const auditor *a, const document *d);

void auditor_document(auditor *a, const kh_op *op, outcome *ret);
void auditor_apply(auditor *a, const kh_op *op, outcome *ret);
void auditor_expelled(auditor *a, uint32_t bank); /* its holds lapse */
void auditor_event(auditor *a, const kh_op *op, outcome *ret);
void auditor_consent(auditor *a, const kh_op *op, outcome *ret); /* grants, look-ups, the risk list */
uint64_t auditor_contributed(const auditor *a, uint32_t bank);
uint64_t auditor_may_ask(const auditor *a, uint32_t bank);
#endif
