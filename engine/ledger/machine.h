/* machine: the inside of the ledger that its files share: the bound state, the entry being applied, and who offers what.
 *
 * Every operation is all or nothing: a handler checks first, then changes, then emits its receipt, then settles what follows
 * for others (each of which is a notice). Nothing here is visible outside engine/ledger. */
#ifndef KH_LEDGER_MACHINE_H
#define KH_LEDGER_MACHINE_H
#include "index/quad.h"
#include "ledger/ledger.h"
#include "ledger/state_layout.h"

#define KH_AHEAD 16       /* operations decoded and fetched together, */
#define KH_AHEAD_LINES 64 /* fewer where they have more lines than this in all */
#define KH_AHEAD_KEYS 128 /* their documents that are looked up ahead */
#define KH_AHEAD_GROUPS 7 /* under way: one in each stage of look-ahead, and the one being applied */
#define KH_TOUCH_MAX (KH_LINES_MAX + 4)

/* What look-ahead learned of an operation. Rows of parties and financings stay what they are; a record stays its key's as long as
 * no key has lost its record (records_moved). 0 and NONE say nothing: it may have come since. */
typedef struct kh_found {
    uint64_t fin_hash;
    uint64_t enterprise_hash;
    uint64_t owner_hash;         /* of a document */
    uint32_t fin, enterprise;    /* rows */
    uint32_t first_key, key_cnt; /* in kh_ahead */
    uint32_t enterprise_id;
    uint8_t type; /* the operation's; it is out of the first cache by the later stages, which need no more of it */
} kh_found;
/* One operation with the bytes that it came in. */
typedef struct kh_frame {
    const uint8_t *p;
    size_t n;
} kh_frame;
typedef struct kh_ahead {
    uint64_t records_moved; /* when the records were looked up */
    uint32_t op_cnt, key_cnt;
    uint32_t application_cnt, event_cnt;
    uint32_t line_cnt;   /* of applications */
    bool good[KH_AHEAD]; /* decoded */
    kh_frame frames[KH_AHEAD];
    kh_found found[KH_AHEAD];
    kh_key keys[KH_AHEAD_KEYS];
    kh_search searches[KH_AHEAD_KEYS];
    uint32_t records[KH_AHEAD_KEYS];
    uint32_t colds[KH_AHEAD_KEYS]; /* their rows when they were fetched */
    kh_op ops[KH_AHEAD];
    kh_op_line lines[KH_AHEAD_LINES + KH_LINES_MAX];
} kh_ahead;

struct kh_ledger {
    kh_state *state;
    kh_index *index;
    uint64_t secret[2];
    kh_head *head;
    kh_record *record;
    kh_cold *cold;
    kh_extra *extra;
    kh_active *active;
    kh_share *share;
    kh_line *line;
    kh_fin *fin;
    uint8_t *text;
    kh_party_row *party;
    kh_queue *queue;
    kh_group *group;
    kh_ref *ref;
    kh_contract *contract;
    kh_product *product;
    kh_rate_row *rate;
    kh_wait *wait;
    kh_wait_key *wait_key;
    kh_message_cell *cell;
    kh_consent_head *consent;
    kh_grant *grant;
    kh_risk_row *risk;
    kh_party_key *party_key;
    /* the entry being applied */
    const kh_sink *sink;
    uint32_t outcome_index, op_index;
    uint64_t records_moved; /* how often a key has lost its record, or was given another */
    kh_packed here;         /* the place of the outcome to come */
    kh_date today;
    const kh_ahead *turn;                    /* the operations being applied, */
    const kh_found *now;                     /* and which of them */
    uint32_t expelled_looks, expelled_lines; /* what the entry may still do for who was expelled */
    uint32_t bundle_left;                    /* operations of a signed bundle still to come ... */
    kh_code bundle_code;                     /* ... and what each is answered with; OK: it is applied */
    uint32_t speaker_id, speaker;            /* the party that spoke last, and its row */
    uint32_t product_named;                  /* the text of the last application's product */
    kh_currency currency_known;              /* the last application's */
    bool roomy;                              /* kh_rows_ample, at the last look */
    uint32_t touch_cnt;
    kh_touch touches[KH_TOUCH_MAX];
    kh_receipt_line receipt_lines[KH_LINES_MAX];
    kh_receipt plain_receipt; /* plain.c */
    uint8_t receipt_bytes[KH_RECEIPT_MAX_SZ];
    kh_ahead ahead[KH_AHEAD_GROUPS];
    uint8_t message[KH_OP_MAX_SZ];
    kh_op message_op;
    kh_op_scratch message_scratch;
};

static inline kh_record *kh_rec(const kh_ledger *l, uint32_t record) { return &l->record[record]; }
/* kh_records_cold: the document's cold row, from any of its records. */
static inline uint32_t kh_records_cold(const kh_ledger *l, uint32_t record)
{
    uint32_t cold = kh_rec(l, record)->cold;
    return l->cold[cold].version != 0 ? cold : l->cold[cold].owner;
}

/* kh_fetch puts a row on its way into the second cache: what the groups under way touch is more than the first holds, and a
   processor has twice as many misses of the second under way. */
static inline void kh_fetch(const void *p) { kh_fetch_far(p); }

/* ---- table.c ---- */
typedef struct kh_table {
    uint32_t region;
    uint32_t *(*next)(const kh_ledger *l, uint32_t row);
    uint64_t (*hash)(const kh_ledger *l, uint32_t row);
} kh_table;
static inline uint64_t kh_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xd1b54a32d192ed03));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
static inline uint64_t kh_table_bucket(const kh_table_head *h, uint64_t hash)
{
    uint64_t bucket = hash & ((UINT64_C(1) << h->level) - 1);
    return bucket < h->split ? hash & ((UINT64_C(2) << h->level) - 1) : bucket;
}
uint64_t kh_keyed_hash(const kh_ledger *l, const void *p, uint32_t n);
void kh_table_init(kh_ledger *l, const kh_table *t, kh_table_head *h);
bool kh_table_has_room(const kh_ledger *l, const kh_table *t);
void kh_table_add(kh_ledger *l, const kh_table *t, kh_table_head *h, uint64_t hash, uint32_t row);
void kh_table_drop(kh_ledger *l, const kh_table *t, kh_table_head *h, uint64_t hash, uint32_t row);
uint32_t kh_rows_take_reused(kh_ledger *l, uint32_t region, uint32_t *free_list);
void kh_rows_give(kh_ledger *l, uint32_t region, uint32_t *free_list, uint32_t row);
static inline bool kh_rows_left(const kh_ledger *l, uint32_t region, uint64_t cnt)
{
    const kh_region *r = &l->state->regions[region];
    return r->row_max - r->row_cnt >= cnt;
}
/* kh_rows_ample: more rows are left of all that applications take than a group of operations can use up: looked at once a group.
 */
#define KH_AMPLE_ROWS 65536u
static inline bool kh_rows_ample(const kh_ledger *l)
{
    return kh_rows_left(l, KH_R_FIN, KH_AMPLE_ROWS) && kh_rows_left(l, KH_R_LINE, KH_AMPLE_ROWS) &&
           kh_rows_left(l, KH_R_ACTIVE, KH_AMPLE_ROWS) && kh_rows_left(l, KH_R_SHARE, KH_AMPLE_ROWS) &&
           kh_rows_left(l, KH_R_TEXT, KH_AMPLE_ROWS);
}
static inline uint32_t kh_rows_take(kh_ledger *l, uint32_t region) /* 0: none is left */
{
    kh_region *r = &l->state->regions[region];
    return r->row_cnt < r->row_max ? (uint32_t)kh_region_grow(r, 1) : 0;
}

/* ---- ahead.c ---- */
#define KH_AHEAD_STAGES 6u
/* kh_ahead_fetch does one stage of look-ahead, 0 <= stage < KH_AHEAD_STAGES, for a group of decoded operations: what the one
   before fetched is there when a group's turn has come again. */
void kh_ahead_fetch(kh_ledger *l, kh_ahead *a, uint32_t stage);
/* kh_ahead_record: the record under the i-th key of the operation being applied, where that is known; else NONE. */
static inline uint32_t kh_ahead_record(const kh_ledger *l, uint32_t i)
{
    bool known = i < l->now->key_cnt && l->turn->records_moved == l->records_moved;
    return known ? l->turn->records[l->now->first_key + i] : KH_RECORD_NONE;
}

/* ---- texts.c ---- */
extern const kh_table kh_texts_table;
static inline kh_text kh_texts_get(const kh_ledger *l, uint32_t ref)
{
    const kh_text_row *row = (const kh_text_row *)(const void *)(l->text + (size_t)ref * KH_TEXT_UNIT);
    return ref == 0 ? (kh_text){NULL, 0} : (kh_text){(const char *)row->bytes, row->n};
}
uint32_t kh_texts_find(const kh_ledger *l, kh_text text);
const void *kh_texts_candidate(const kh_ledger *l, uint64_t hash); /* the row that is looked at first, to be fetched */
uint32_t kh_texts_intern(kh_ledger *l, kh_text text);              /* room was checked */
uint32_t kh_texts_owner_check(kh_ledger *l, uint32_t ref);
static inline bool kh_texts_room(const kh_ledger *l, uint64_t bytes)
{
    return kh_rows_left(l, KH_R_TEXT, bytes / KH_TEXT_UNIT + 64);
}

/* ---- outcomes.c ---- */
#define KH_PLACE_INDEX_BITS 24
#define KH_PLACE_INDEX_MAX ((UINT32_C(1) << KH_PLACE_INDEX_BITS) - 1)
static inline void kh_outcome_begin(kh_ledger *l) { l->touch_cnt = 0; }
/* kh_touch_fill makes *t the joining of a chain, whose newest place is *last, by the outcome to come. */
static inline void kh_touch_fill(const kh_ledger *l, kh_touch *t, uint8_t what, kh_packed *last)
{
    kh_packed prev = *last;
    t->what = what;
    t->prev.height = prev >> KH_PLACE_INDEX_BITS;
    t->prev.index = (uint32_t)prev & KH_PLACE_INDEX_MAX;
    t->prev.reserved = 0;
    *last = l->here;
}
/* kh_touch_join: the outcome to come joins a chain, whose newest place is *last; NULL: it has joined already. */
static inline kh_touch *kh_touch_join(kh_ledger *l, uint8_t what, kh_packed *last)
{
    if (*last == l->here || l->touch_cnt == KH_TOUCH_MAX) return NULL;
    kh_touch *t = &l->touches[l->touch_cnt++];
    kh_touch_fill(l, t, what, last);
    return t;
}
static inline void kh_touch_name(kh_touch *t, uint64_t low, uint64_t high)
{
    kh_store64(t->key.b, low);
    kh_store64(t->key.b + 8, high);
}
static inline void kh_touch_document(kh_ledger *l, uint32_t record)
{
    kh_touch *t = kh_touch_join(l, 1, &l->cold[kh_records_cold(l, record)].last);
    if (t != NULL) t->key = kh_rec(l, record)->key;
}
static inline void kh_touch_fin(kh_ledger *l, uint32_t fin)
{
    kh_fin *f = &l->fin[fin];
    kh_touch *t = kh_touch_join(l, 3, &f->last);
    if (t != NULL) kh_touch_name(t, f->bank, f->id);
}
void kh_touch_party(kh_ledger *l, uint32_t party);
void kh_emit_receipt(kh_ledger *l, const kh_receipt *receipt);
void kh_emit_notice(kh_ledger *l, const kh_notice *notice);
void kh_place_count(kh_ledger *l, uint32_t outcome_index); /* the outcome to come is the entry's outcome_index-th */
kh_place kh_place_unpack(kh_packed place);

/* ---- parties.c, rules.c, rates.c, access.c ---- */
extern const kh_table kh_parties_table, kh_usccs_table;
uint32_t kh_parties_find(const kh_ledger *l, uint32_t id); /* row or 0 */
static inline uint64_t kh_parties_hash(const kh_ledger *l, uint32_t id) { return kh_mix(l->secret[0] ^ id, l->secret[1]); }
static inline uint32_t kh_ahead_party(const kh_ledger *l, uint32_t id) /* kh_parties_find for the operation's enterprise */
{
    uint32_t row = l->now->enterprise;
    return row != 0 && l->party[row].id == id ? row : kh_parties_find(l, id);
}
kh_code kh_parties_add(kh_ledger *l, const kh_op_party_add *op);
kh_code kh_parties_status(kh_ledger *l, const kh_op_party_status *op);
kh_code kh_parties_expel(kh_ledger *l, const kh_op_expelled *op); /* its holds are left to kh_expelled_lapse */
kh_code kh_parties_key(kh_ledger *l, const kh_op_party_key *op);
/* kh_parties_bundle takes note of a signed bundle: BAD_SEQUENCE where its number is not above all before. */
kh_code kh_parties_bundle(kh_ledger *l, uint32_t party, uint64_t number, uint64_t *ret_highest);
bool kh_parties_exhausted(kh_ledger *l, uint32_t party);
static inline bool kh_parties_limited(kh_ledger *l, uint32_t party) /* refusal_limit */
{
    return l->head->rules[KH_RULE_REFUSALS].value != 0 && kh_parties_exhausted(l, party);
}
void kh_parties_refused(kh_ledger *l, uint32_t party);
void kh_rules_init(kh_ledger *l, uint32_t first, uint32_t end); /* the usual values */
const kh_rule *kh_rules_get(const kh_ledger *l, uint32_t rule);
void kh_rules_restore(kh_ledger *l, uint32_t rule, const kh_rule *to);
kh_code kh_rules_set(kh_ledger *l, const kh_op_rule_set *op);
uint64_t kh_rules_product_ratio(const kh_ledger *l, kh_text product); /* UINT64_MAX: none */
bool kh_rules_none_of_age_or_currency(const kh_ledger *l);
static inline bool kh_rules_currency_allowed(const kh_ledger *l, kh_currency currency)
{
    if (l->head->rules[KH_RULE_CURRENCIES].value == 0) return true;
    return currency < 1024 && (l->head->currencies[currency / 64] >> (currency % 64) & 1) != 0;
}
/* A document without a date cannot be said to be too old. */
static inline bool kh_rules_too_old(const kh_ledger *l, kh_kind kind, kh_date date, kh_date today)
{
    uint64_t max_s = l->head->rules[KH_RULE_MAX_AGE + (uint32_t)kind].value;
    return max_s != 0 && date != 0 && today > date && (uint64_t)(today - date) * 86400 > max_s;
}
kh_code kh_rates_set(kh_ledger *l, const kh_op_rate_set *op);
uint32_t kh_rates_find(const kh_ledger *l, kh_currency from, kh_currency to, kh_date today);
KH_MUST bool kh_rates_convert_by(const kh_ledger *l, uint32_t rate, uint64_t amount, uint64_t *ret);
KH_MUST static inline bool kh_rates_convert(const kh_ledger *l, uint32_t rate, uint64_t amount, uint64_t *ret)
{
    if (KH_UNLIKELY(rate != 0)) return kh_rates_convert_by(l, rate, amount, ret);
    *ret = amount;
    return true;
}
kh_code kh_access_check(kh_ledger *l, const kh_op *op); /* and sets l->speaker */

/* ---- balances.c ---- */
typedef struct kh_room {
    uint64_t own_free, group_free, free;
    bool group_limits;
} kh_room;
uint64_t kh_balance_ratio(uint64_t base, uint64_t red, uint64_t ratio_bp);
uint64_t kh_balance_cap(const kh_ledger *l, kh_kind kind, kh_status status, uint64_t base, uint64_t red);
/* The running check of a record is a mix of what stays, its identity, and of what changes with the quad. */
uint64_t kh_record_check(const kh_ledger *l, const kh_record *rec);
static inline uint64_t kh_check_identity(const kh_ledger *l, const kh_record *rec)
{
    return kh_mix(kh_load64(rec->key.b) ^ l->secret[0], kh_load64(rec->key.b + 8) ^ rec->currency);
}
static inline uint64_t kh_check_with(const kh_ledger *l, const kh_record *rec, uint64_t identity, uint64_t taken, uint64_t state)
{
    return kh_mix(identity, kh_mix(taken ^ l->secret[1], rec->cap ^ state) ^ rec->base);
}
/* A quad's second word, in which flags and status are set by shifts: a byte that is written to memory and read back as part of a
   word would wait for all stores before it, and those are to rows that were never touched. */
static inline uint64_t kh_record_word(const kh_record *rec)
{
    return kh_load64((const uint8_t *)&rec->quad + offsetof(kh_quad, updates));
}
static inline uint64_t kh_word_of_flags(uint64_t flags) { return flags << 56; }
static inline uint64_t kh_word_of_status(uint64_t status) { return status << 48; }
/* A word's version and status, as the running check has them. */
static inline uint64_t kh_check_state(uint64_t word) { return (word >> 32 << 48) ^ (word >> 48 & 0xff) << 40; }
static inline void kh_record_poke(kh_record *rec, uint64_t taken, uint64_t word, uint64_t was)
{
    kh_quad_poke_words(rec, taken, (word >> 32 << 32) | (uint32_t)(was + 1));
}
/* kh_record_set keeps the running check and counts the update. */
static inline void kh_record_set(kh_ledger *l, kh_record *rec, uint64_t taken, uint64_t word)
{
    uint64_t identity = kh_check_identity(l, rec), was = kh_record_word(rec);
    l->head->check += kh_check_with(l, rec, identity, taken, kh_check_state(word)) -
                      kh_check_with(l, rec, identity, rec->quad.taken, kh_check_state(was));
    kh_record_poke(rec, taken, word, was);
}
/* kh_record_take does the same where version and status stay. */
static inline void kh_record_take(kh_ledger *l, kh_record *rec, uint64_t taken, uint64_t word)
{
    uint64_t identity = kh_check_identity(l, rec), was = kh_record_word(rec), state = kh_check_state(was);
    l->head->check += kh_check_with(l, rec, identity, taken, state) - kh_check_with(l, rec, identity, rec->quad.taken, state);
    kh_record_poke(rec, taken, word, was);
}
static inline uint32_t kh_balance_active(kh_ledger *l, uint32_t record) /* its active row, made if needed; room was checked */
{
    kh_cold *cold = &l->cold[kh_rec(l, record)->cold];
    if (cold->active != 0) return cold->active;
    uint32_t active = kh_rows_take(l, KH_R_ACTIVE);
    KH_ASSERT(active != 0);
    l->active[active].record = record;
    return cold->active = active;
}
void kh_balance_room(const kh_ledger *l, const kh_record *rec, uint64_t group_pending, kh_room *ret);
kh_code kh_balance_shortage(const kh_ledger *l, const kh_record *rec, bool group_limits, uint32_t bank, bool pending_own);
typedef struct kh_parts {
    uint64_t held, used, consumed;
} kh_parts;
kh_parts kh_balance_share(const kh_ledger *l, const kh_active *a, uint32_t bank);
uint32_t kh_balance_banks(const kh_ledger *l, const kh_active *a, uint32_t ret_banks[KH_DOC_BANKS_MAX + 1]); /* ascending */
bool kh_balance_bank_fits(const kh_ledger *l, const kh_active *a, uint32_t bank);
void kh_balance_move(kh_ledger *l, uint32_t active, uint32_t bank, int64_t held, int64_t used, int64_t consumed);

/* ---- limits.c ---- */
void kh_limit_refresh(kh_ledger *l, uint32_t active, bool alert_again);
void kh_limit_alert(kh_ledger *l, uint32_t record, kh_notice_type type);
void kh_limit_lowered(kh_ledger *l, uint32_t active);       /* cancels APPLIED lines, newest first, then refreshes */
void kh_limit_cancel_unpaid(kh_ledger *l, uint32_t active); /* revoked: lines of APPLIED, ACCEPTED, APPROVED */

/* ---- fins.c ---- */
void kh_fins_init(kh_ledger *l);
static inline uint64_t kh_fins_hash(const kh_ledger *l, uint32_t bank, uint64_t id)
{
    return kh_mix(kh_mix(id ^ l->secret[0], bank), l->secret[1]);
}
uint32_t kh_fins_find(const kh_ledger *l, uint32_t bank, uint64_t id);
uint32_t kh_fins_find_hashed(const kh_ledger *l, uint64_t hash, uint32_t bank, uint64_t id);
uint32_t kh_fins_candidate(const kh_ledger *l, uint64_t hash); /* the row that a search would look at first, 0: none */
void kh_fins_add(kh_ledger *l, uint64_t hash, uint32_t row);
static inline kh_fin_bucket *kh_fins_bucket(const kh_ledger *l, uint64_t hash)
{
    return (kh_fin_bucket *)(void *)l->state->regions[KH_R_FIN_TABLE].base + kh_table_bucket(&l->head->fins, hash);
}

/* ---- financing.c ---- */
static inline uint64_t kh_fin_check(const kh_ledger *l, const kh_fin *f)
{
    return kh_mix(kh_mix(f->id ^ l->secret[1], (uint64_t)f->bank << 32 | f->version), f->amount ^ (uint64_t)f->state << 56);
}
void kh_fin_set(kh_ledger *l, uint32_t fin, kh_fin_state state, uint64_t amount, bool raise); /* keeps the check and the counts */
uint64_t kh_line_amount(const kh_ledger *l, const kh_line *line); /* what it holds or uses, in the document's currency */
void kh_line_open(kh_ledger *l, uint32_t line);
void kh_line_close(kh_ledger *l, uint32_t line);
bool kh_fin_is_open(kh_fin_state state);
bool kh_fin_holds(kh_fin_state state); /* APPLIED, ACCEPTED, APPROVED */
uint32_t kh_fin_receipt_lines(kh_ledger *l, const kh_fin *f);
uint64_t kh_frame_digest(kh_frame frame);
void kh_fin_apply(kh_ledger *l, const kh_op *op, kh_frame frame); /* apply.c */
/* kh_plain_apply: plain.c: false: the application is not a plain one, and nothing was changed. */
KH_MUST bool kh_plain_apply(kh_ledger *l, const kh_op *op, uint64_t digest);
static inline uint32_t kh_product_text(kh_ledger *l, kh_text product) /* room was checked; mostly the product of the one before */
{
    if (!kh_text_equal(product, kh_texts_get(l, l->product_named))) l->product_named = kh_texts_intern(l, product);
    return l->product_named;
}
void kh_fin_event(kh_ledger *l, const kh_op *op, kh_frame frame); /* events.c */
void kh_fin_release(kh_ledger *l, uint32_t fin);                  /* held -= all, on all its documents; flags are not looked at */
void kh_fin_refresh_limits(kh_ledger *l, uint32_t fin);

/* ---- moves.c ---- */
kh_fin_state kh_move_to(uint8_t from, kh_event event); /* NONE: not allowed */

/* ---- expiry.c ---- */
void kh_expiry_put(kh_ledger *l, uint32_t fin, uint32_t queue, uint64_t ttl_s);
void kh_expiry_append(kh_ledger *l, uint32_t fin, uint32_t queue); /* behind what stands there */
void kh_expiry_take(kh_ledger *l, uint32_t fin);
uint64_t kh_expiry_next(const kh_ledger *l, uint32_t *ret_fin);
void kh_expiry_run(kh_ledger *l);
void kh_expiry_lapse(kh_ledger *l, uint32_t fin);

/* ---- expelled.c ---- */
void kh_expelled_begin(kh_ledger *l); /* an entry: what others left */
void kh_expelled_lapse(kh_ledger *l); /* goes on, as far as the entry may */

/* ---- records.c ---- */
typedef struct kh_content {
    uint32_t n;
    kh_date date;
    uint64_t contract;
    kh_op_balance balances[KH_DOC_BALANCES_MAX];
} kh_content;
typedef struct kh_doc_chain {
    uint32_t n;
    uint32_t records[KH_DOC_BALANCES_MAX];
} kh_doc_chain;
void kh_records_chain(const kh_ledger *l, uint32_t first, kh_doc_chain *ret);
void kh_records_content(const kh_ledger *l, uint32_t first, kh_content *ret);
uint64_t kh_content_digest(const kh_content *c);
/* kh_records_store makes a new document (old 0xffffffff) or replaces its records, under key; false: no room, nothing changed.
   Old records are retired, their key's slot is left to the caller when the key changes. */
KH_MUST bool kh_records_store(kh_ledger *l, uint32_t old_first, const kh_key *key, const kh_content *c, kh_status status,
                              uint32_t cold, uint32_t *ret_first);
static inline void kh_records_swap(kh_ledger *l, uint32_t old_record, uint32_t new_record)
{
    l->records_moved++;
    kh_index_swap(l->index, old_record, new_record);
}
void kh_records_flags(kh_ledger *l, uint32_t first, uint8_t set, uint8_t clear);
void kh_records_status(kh_ledger *l, uint32_t first, kh_status status); /* where no cap changes */
uint32_t kh_records_extra(kh_ledger *l, uint32_t cold);                 /* its extra row, made if needed; room was checked */

/* ---- identity.c ---- */
uint32_t kh_identity_follow(const kh_ledger *l, const kh_key *key, kh_key *ret_key); /* record of the document meant, or NONE */
bool kh_identity_same_text(const kh_ledger *l, uint32_t cold, kh_text number, kh_text issuer);
void kh_identity_texts(kh_ledger *l, uint32_t cold, const kh_key *key, kh_text number, kh_text issuer); /* room was checked */
void kh_identity_alias(kh_ledger *l, const kh_key *from, const kh_key *to, kh_text number,
                       kh_text issuer); /* the first tie stays */
void kh_identity_write_alias(kh_ledger *l, uint32_t record, const kh_key *from, const kh_key *to,
                             uint32_t cold);             /* into a record that nobody can reach yet */
void kh_identity_clear(kh_ledger *l, const kh_key *key); /* takes an alias to nothing away, so that a document can have the key */
void kh_identity_tie(kh_ledger *l, const kh_op_document *d,
                     uint32_t first); /* the LRN beside an MRN, and the LRN without its issuer */
uint32_t kh_identity_resolve(const kh_ledger *l, const kh_op_document *d, bool *ret_by_lrn);
/* kh_identity_move puts a document under another key; the old one becomes an alias. */
KH_MUST bool kh_identity_move(kh_ledger *l, uint32_t first, const kh_key *key, kh_text number, kh_text issuer,
                              uint32_t *ret_first);

/* ---- documents.c (receipts and what follows), revise.c (changes of one document), waiting.c ---- */
typedef struct kh_doc_result { /* what an operation did to a document */
    kh_code code, warning;
    uint8_t effect;
    uint16_t mismatch;
    uint32_t first; /* record after; NONE when there is none */
    kh_key key;
    uint32_t line_cnt; /* in l->receipt_lines */
    uint32_t lowered_cnt;
    kh_currency lowered[KH_DOC_BALANCES_MAX]; /* balances whose cap fell */
    bool changed, revoked, frozen, new_document, links;
} kh_doc_result;
void kh_documents_apply(kh_ledger *l, const kh_op *op, kh_frame frame);
void kh_documents_do(kh_ledger *l, const kh_op *op, kh_frame frame, bool again, kh_doc_result *r);
void kh_documents_settle(kh_ledger *l, const kh_op_document *d, kh_doc_result *r); /* after the receipt */
KH_MUST bool kh_revise_room(const kh_ledger *l, const kh_op_document *d);
/* kh_revise_create: alias: the key is one to nothing, which the document takes over. */
void kh_revise_create(kh_ledger *l, const kh_op_document *d, const kh_key *key, bool alias, kh_doc_result *r);
void kh_revise(kh_ledger *l, const kh_op_document *d, uint32_t first, bool corrects, kh_doc_result *r);
/* kh_revise_red makes caps and status anew after red letters changed; one that is fully red stays so unless `lifts`. */
void kh_revise_red(kh_ledger *l, uint32_t first, bool lifts, kh_doc_result *r);
void kh_revise_supersede(kh_ledger *l, uint32_t cold, uint64_t digest);
bool kh_status_of_kind(kh_kind kind, kh_status status);
extern const kh_table kh_waits_table;
KH_MUST bool kh_waiting_keep(kh_ledger *l, const kh_op *op, kh_frame frame,
                             const kh_key *for_notice); /* NULL: until its document comes */
void kh_waiting_arrived(kh_ledger *l, const kh_op_document *d, uint32_t first);
KH_MUST bool kh_waiting_put(kh_ledger *l, const kh_op_document *d, kh_frame frame, uint64_t stamp, uint32_t source,
                            const kh_key *for_notice); /* the same, with a stamp of its own */
/* kh_waiting_for_notice: the messages that wait for a notice of this document, in no order: *cursor starts at 0; 0: no more. */
uint32_t kh_waiting_for_notice(const kh_ledger *l, const kh_key *key, uint32_t *cursor);
/* kh_waiting_move: requests that wait for their notice follow their document to its new key. */
void kh_waiting_move(kh_ledger *l, const kh_key *from, const kh_key *to);
/* kh_waiting_take: the oldest request of the document that waits for its notice, in l->message_op; false: none. */
KH_MUST bool kh_waiting_take(kh_ledger *l, const kh_key *key, uint8_t action);

/* ---- grants.c, risks.c ---- */
extern const kh_table kh_grants_table, kh_risks_table;
void kh_consent_start(kh_ledger *l);                 /* of an empty state, or of one that is older than grants */
void kh_grants_apply(kh_ledger *l, const kh_op *op); /* GRANT, GRANT_REVOKE, CREDIT_LOOKUP */
uint64_t kh_grant_check(const kh_ledger *l, const kh_grant *g);
uint32_t kh_grants_put(kh_ledger *l, const kh_grant *g); /* a new row, counted with its enterprise; room was checked */
void kh_risks_put(kh_ledger *l, const kh_risk_row *r);   /* a new row, counted with its bank; room was checked */
const char *kh_grants_invariants(const kh_ledger *l, uint64_t *check); /* adds their part of the running check */
void kh_risks_apply(kh_ledger *l, const kh_op *op);                    /* RISK_ADD, RISK_REMOVE, RISK_ASK */
const char *kh_risks_invariants(const kh_ledger *l, uint64_t *check);

/* ---- links.c, red.c, contracts.c ---- */
extern const kh_table kh_refs_table, kh_contracts_table;
uint64_t kh_key_hash(const kh_ledger *l, const kh_key *key);
uint32_t kh_refs_first(const kh_ledger *l,
                       const kh_key *target); /* rows that name a target; chain by hash_next, targets to be compared */
bool kh_refs_room(const kh_ledger *l, uint32_t n);
uint32_t kh_refs_add(kh_ledger *l, const kh_op_document *d, uint32_t first); /* how many were new */
void kh_refs_move(kh_ledger *l, const kh_key *from, const kh_key *to);       /* what named `from` means `to` */
uint32_t kh_refs_corrector(const kh_ledger *l, const kh_key *target);        /* an invoice that corrects this one, or NONE */
KH_MUST bool kh_links_fit(const kh_ledger *l, const kh_op_document *d, const kh_key *key, uint32_t first, uint32_t owner,
                          const kh_content *c);
void kh_links_close(kh_ledger *l, uint32_t first, bool late);
unsigned __int128 kh_group_cap(const kh_ledger *l, const kh_group *g);
unsigned __int128 kh_group_exposure(const kh_ledger *l, const kh_group *g, bool without_held);
uint64_t kh_red_of(const kh_ledger *l, const kh_key *key, uint32_t cold, kh_currency currency);
kh_code kh_red_fits(const kh_ledger *l, const kh_op_document *d, const kh_key *key, uint32_t owner, const kh_content *c,
                    uint16_t *ret_mismatch);
/* kh_red_keeps: whether the content that an invoice would get still has the currency of every red letter that counts. */
bool kh_red_keeps(const kh_ledger *l, const kh_key *key, const kh_content *want);
void kh_red_refresh(kh_ledger *l, uint32_t blue_first);                   /* red letters that name it */
void kh_red_send(kh_ledger *l, uint32_t red_first);                       /* the invoices that a credit note names */
bool kh_contracts_similar(const kh_ledger *l, uint32_t record);           /* another one of its contract is held or financed */
void kh_contracts_flag(kh_ledger *l, uint32_t record, bool financed_now); /* sets flags, tells the regulator */
static inline bool kh_contracts_may_name(const kh_ledger *l, uint32_t record) /* else neither has anything to do */
{
    return l->cold[kh_records_cold(l, record)].extra != 0;
}
void kh_contracts_add(kh_ledger *l, uint64_t digest, const kh_key *from, uint32_t owner);

/* A head of a table: row 32 | hash bits 31 | more 1. The hash is used from its low end for buckets; what a head keeps is bits 0
 * to 30. */
#define KH_TABLE_MORE (UINT64_C(1) << 63)
#define KH_TABLE_KNOWN_BITS 30u
static inline uint64_t kh_table_known(uint64_t head) { return head >> 32 & UINT64_C(0x7fffffff); }
static inline uint64_t *kh_table_heads(const kh_ledger *l, const kh_table *t)
{
    return (uint64_t *)(void *)l->state->regions[t->region].base;
}
/* kh_table_first: the first row that may have this hash; 0: none has. */
static inline uint32_t kh_table_first(const kh_ledger *l, const kh_table *t, const kh_table_head *h, uint64_t hash)
{
    uint64_t head = kh_table_heads(l, t)[kh_table_bucket(h, hash)];
    return head & KH_TABLE_MORE || kh_table_known(head) == (hash & UINT64_C(0x7fffffff)) ? (uint32_t)head : 0;
}
static inline void kh_table_prefetch(const kh_ledger *l, const kh_table *t, const kh_table_head *h, uint64_t hash)
{
    kh_fetch(&kh_table_heads(l, t)[kh_table_bucket(h, hash)]);
}
#endif
