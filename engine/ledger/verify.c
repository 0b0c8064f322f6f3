/* verify: the answer to one question about a document: format, existence, owner, direction, fields, state, amended since,
 * balance; the first that applies. Warnings (check digit, red letters, similar) only where it would else be OK. */
#include "index/quad.h"
#include "ledger/machine.h"

static int direction_of(kh_kind kind)
{
    return kind == KH_KIND_EXPORT_DECLARATION ? 1 : kind == KH_KIND_IMPORT_DECLARATION ? -1 : 0;
}

/* What the record says of existence, owner, direction and fields; the record of the balance that is meant in *ret. Shared by both
 * paths. */
static kh_code match(const kh_question *q, const kh_record *first, const kh_record *balance, bool contract_differs,
                     uint16_t *ret_mismatch)
{
    uint16_t bits = 0;
    if (q->owner_check != 0 && q->owner_check != first->owner_check) return KH_C_OWNER_MISMATCH;
    int direction = direction_of(kh_doc_key_kind(&first->key));
    if (direction != 0 &&
        ((q->direction != 0 && q->direction != direction) || kh_doc_key_kind(&q->key) != kh_doc_key_kind(&first->key)))
        return KH_C_DIRECTION;
    if (balance == NULL || (q->currency != 0 && q->currency != balance->currency)) bits |= KH_FIELD_CURRENCY;
    else if (q->amount != KH_AMOUNT_NONE && (q->amount != balance->base || balance->currency == 0)) bits |= KH_FIELD_AMOUNT;
    if (q->date != 0 && q->date != first->date) bits |= KH_FIELD_DATE;
    if (contract_differs) bits |= KH_FIELD_CONTRACT_NO;
    *ret_mismatch = bits;
    return bits == 0 ? KH_C_OK : KH_C_FIELD_MISMATCH;
}

static bool is_bar(kh_code code) { return code != KH_C_OK && !kh_code_is_warning(code); }

static kh_code rules_code(const kh_ledger *l, const kh_record *rec, kh_date today)
{
    if (kh_rules_too_old(l, kh_doc_key_kind(&rec->key), rec->date, today)) return KH_C_TOO_OLD;
    return rec->currency != 0 && !kh_rules_currency_allowed(l, rec->currency) ? KH_C_CURRENCY : KH_C_OK;
}

static kh_code warning_of(const kh_question *q, kh_quad quad)
{
    if (q->number_code == KH_C_CHECK_DIGIT) return KH_C_CHECK_DIGIT;
    if (quad.status == KH_STATUS_RED_PART) return KH_C_RED_PART;
    return quad.flags & KH_REC_SIMILAR ? KH_C_SIMILAR : KH_C_OK;
}

/* A declaration of the other direction under the same number: it exists, and the direction is wrong. */
static uint32_t find(const kh_ledger *l, const kh_question *q)
{
    kh_key meant, other = q->key;
    uint32_t first = kh_identity_follow(l, &q->key, &meant);
    kh_kind kind = kh_doc_key_kind(&q->key);
    if (first != KH_RECORD_NONE || !kh_kind_is_declaration(kind)) return first;
    other.b[0] = kind == KH_KIND_EXPORT_DECLARATION ? KH_KIND_IMPORT_DECLARATION : KH_KIND_EXPORT_DECLARATION;
    return kh_identity_follow(l, &other, &meant);
}

static const kh_record *balance_meant(const kh_ledger *l, const kh_question *q, uint32_t first)
{
    const kh_record *rec = kh_rec(l, first);
    if (rec->next == KH_RECORD_NONE) return rec;
    for (uint32_t at = first; q->currency != 0 && at != KH_RECORD_NONE; at = kh_rec(l, at)->next)
        if (kh_rec(l, at)->currency == q->currency) return kh_rec(l, at);
    return NULL;
}

static void answer(const kh_ledger *l, const kh_question *q, kh_verdict *ret)
{
    *ret = (kh_verdict){.free = KH_AMOUNT_NONE, .as_of = l->head->height};
    uint32_t bank = q->bank == 0 || l->head->frozen_banks == 0 ? 0 : kh_parties_find(l, q->bank);
    if (bank != 0 && l->party[bank].frozen) {
        ret->code = KH_C_FROZEN;
        return;
    }
    if (q->number_code == KH_C_FORMAT) {
        ret->code = KH_C_FORMAT;
        return;
    }
    uint32_t first = find(l, q);
    if (first == KH_RECORD_NONE) {
        ret->code = KH_C_NOT_FOUND;
        ret->watermark = kh_ledger_watermark(l, q->kind);
        return;
    }
    const kh_record *rec = kh_rec(l, first), *balance = balance_meant(l, q, first);
    const kh_cold *cold = &l->cold[rec->cold];
    uint64_t contract = cold->extra == 0 ? 0 : l->extra[cold->extra].contract;
    ret->code = match(q, rec, balance, q->contract != 0 && q->contract != contract, &ret->mismatch);
    if (ret->code != KH_C_OK) return;
    kh_room room;
    kh_balance_room(l, balance, 0, &room);
    ret->status = (kh_status)rec->quad.status;
    ret->version = cold->version;
    ret->currency = balance->currency;
    ret->free = room.free;
    ret->code = kh_status_code(ret->status);
    if (is_bar(ret->code)) return;
    ret->code = q->version != 0 && q->version != cold->version ? KH_C_AMENDED_SINCE
                                                               : rules_code(l, balance, kh_date_of_time(l->head->time_ns));
    if (ret->code != KH_C_OK) return;
    bool wants = q->want != KH_AMOUNT_NONE && q->want != 0;
    if (room.free == 0) ret->code = kh_balance_shortage(l, balance, room.group_limits, q->bank, false);
    else if (wants && room.free < q->want) ret->code = KH_C_INSUFFICIENT;
    else ret->code = warning_of(q, rec->quad);
}

void kh_ledger_verify(const kh_ledger *l, const kh_question questions[], uint32_t n, kh_verdict ret[])
{
    for (uint32_t done = 0; done < n;) {
        kh_key keys[KH_BULK_MAX];
        uint32_t records[KH_BULK_MAX], cnt = n - done < KH_BULK_MAX ? n - done : KH_BULK_MAX;
        for (uint32_t i = 0; i < cnt; i++) keys[i] = questions[done + i].key;
        kh_index_find_bulk(l->index, keys, cnt, records);
        for (uint32_t i = 0; i < cnt; i++)
            if (records[i] != KH_RECORD_NONE) kh_fetch_near(&l->cold[kh_rec(l, records[i])->cold]);
        for (uint32_t i = 0; i < cnt; i++) answer(l, &questions[done + i], &ret[done + i]);
        done += cnt;
    }
}

/* One question from its record alone; false where more must be looked at. */
static bool answer_fast(const kh_ledger *l, const kh_question *q, const kh_record *rec, kh_date today, kh_verdict *ret)
{
    kh_quad quad = kh_quad_load(rec);
    if (quad.flags & (KH_REC_ALIAS | KH_REC_MORE | KH_REC_GROUP) || q->contract != 0 || q->version > UINT16_MAX / 2) return false;
    ret->code = match(q, rec, rec, false, &ret->mismatch);
    if (ret->code != KH_C_OK) return true;
    uint64_t cap = rec->cap, free = cap > quad.taken ? cap - quad.taken : 0;
    ret->status = (kh_status)quad.status;
    ret->version = quad.version;
    ret->currency = rec->currency;
    ret->free = free;
    ret->code = kh_status_code(ret->status);
    if (is_bar(ret->code)) return true;
    if (quad.version == 0 || quad.version > UINT16_MAX / 2) return false; /* only the cold row has all of it */
    ret->code = q->version != 0 && q->version != quad.version ? KH_C_AMENDED_SINCE : rules_code(l, rec, today);
    if (ret->code != KH_C_OK) return true;
    if (free == 0) return false;
    if (q->want != KH_AMOUNT_NONE && q->want != 0 && free < q->want) ret->code = KH_C_INSUFFICIENT;
    else ret->code = warning_of(q, quad);
    return true;
}

uint64_t kh_ledger_verify_fast(const kh_ledger *l, const kh_question questions[], uint32_t n, kh_verdict ret[])
{
    const kh_record *records[KH_BULK_MAX];
    kh_key keys[KH_BULK_MAX];
    uint64_t done = 0, height = __atomic_load_n(&l->head->height, __ATOMIC_RELAXED);
    kh_date today = kh_date_of_time(__atomic_load_n(&l->head->time_ns, __ATOMIC_RELAXED));
    if (n == 0 || n > KH_BULK_MAX || __atomic_load_n(&l->head->frozen_banks, __ATOMIC_ACQUIRE) != 0)
        return 0; /* partner: kh_parties_status */
    for (uint32_t i = 0; i < n; i++) keys[i] = questions[i].key;
    uint64_t hits = kh_index_get_bulk(l->index, keys, n, records);
    for (uint32_t i = 0; i < n; i++) {
        kh_verdict verdict = {.free = KH_AMOUNT_NONE, .as_of = height};
        if (questions[i].number_code == KH_C_FORMAT) verdict.code = KH_C_FORMAT;
        else if ((hits >> i & 1) == 0 || !answer_fast(l, &questions[i], records[i], today, &verdict)) continue;
        ret[i] = verdict;
        done |= UINT64_C(1) << i;
    }
    return done;
}

kh_moment kh_ledger_moment(const kh_ledger *l)
{
    return (kh_moment){__atomic_load_n(&l->head->height, __ATOMIC_ACQUIRE),
                       kh_date_of_time(__atomic_load_n(&l->head->time_ns, __ATOMIC_RELAXED)),
                       kh_rules_none_of_age_or_currency(l)};
}

#define STATED_SZ (sizeof(uint32_t) + sizeof(kh_date) + sizeof(kh_currency))
_Static_assert(STATED_SZ == sizeof(uint64_t) && offsetof(kh_question, date) - offsetof(kh_question, owner_check) == 4 &&
                   offsetof(kh_question, currency) - offsetof(kh_question, owner_check) == 6 &&
                   offsetof(kh_record, date) - offsetof(kh_record, owner_check) == 4 &&
                   offsetof(kh_record, currency) - offsetof(kh_record, owner_check) == 6,
               "owner, date and currency are compared as one word");

/* Owner, date and currency, each where it is stated, are the record's. Who states all three needs one comparison. */
static inline bool matches(const kh_question *q, const kh_record *rec)
{
    uint64_t stated, has;
    memcpy(&stated, (const uint8_t *)q + offsetof(kh_question, owner_check), sizeof stated);
    memcpy(&has, (const uint8_t *)rec + offsetof(kh_record, owner_check), sizeof has);
    if (KH_LIKELY(stated == has)) return true;
    return ((q->owner_check == 0) | (q->owner_check == rec->owner_check)) & ((q->date == 0) | (q->date == rec->date)) &
           ((q->currency == 0) | (q->currency == rec->currency));
}

/* The usual answer, without a branch a condition: one balance, everything matches, usable, something free, no rule and no warning
   applies: OK. False says nothing: the other paths look closer. */
static inline bool answer_usual(const kh_question *q, const kh_record *rec, uint64_t height, kh_verdict *ret)
{
    kh_quad quad = kh_quad_peek(rec);
    uint64_t free = rec->cap > quad.taken ? rec->cap - quad.taken : 0, want = q->want == KH_AMOUNT_NONE ? 0 : q->want;
    bool usable = kh_status_usable((kh_status)quad.status);
    bool no = ((quad.flags & (KH_REC_ALIAS | KH_REC_MORE | KH_REC_GROUP | KH_REC_SIMILAR)) | q->contract | q->number_code |
               (uint64_t)(q->direction != 0)) != 0;
    no |= (!matches(q, rec)) | ((q->amount != KH_AMOUNT_NONE) & ((q->amount != rec->base) | (rec->currency == 0))) | (!usable) |
          ((uint16_t)(quad.version - 1) >= UINT16_MAX / 2) | ((q->version != 0) & (q->version != quad.version)) | (free == 0) |
          (free < want);
    *ret = (kh_verdict){.code = KH_C_OK,
                        .status = (kh_status)quad.status,
                        .version = quad.version,
                        .currency = rec->currency,
                        .free = free,
                        .as_of = height};
    return !no;
}

const kh_index *kh_ledger_index(const kh_ledger *l) { return l->index; }

/* A key that is not there: true where that is all: no declaration of the other direction has the number. */
static __attribute__((noinline)) bool answer_missing(const kh_ledger *l, const kh_question *q, kh_verdict *ret)
{
    kh_key other = q->key;
    kh_kind kind = kh_doc_key_kind(&q->key);
    other.b[0] = kind == KH_KIND_EXPORT_DECLARATION ? KH_KIND_IMPORT_DECLARATION : KH_KIND_EXPORT_DECLARATION;
    if (kh_kind_is_declaration(kind) && kh_index_find(l->index, &other) != KH_RECORD_NONE) return false;
    ret->code = KH_C_NOT_FOUND;
    ret->watermark = kh_ledger_watermark(l, q->kind);
    return true;
}

uint64_t kh_ledger_verify_found(const kh_ledger *l, kh_moment moment, const kh_question questions[],
                                const kh_record *const records[], uint32_t n, kh_verdict ret[])
{
    const kh_record *null = kh_index_null(l->index);
    uint64_t done = 0;
    for (uint32_t i = 0; i < n; i++) {
        const kh_question *q = &questions[i];
        if (KH_LIKELY(moment.plain && records[i] != null && answer_usual(q, records[i], moment.height, &ret[i]))) {
            done |= UINT64_C(1) << i;
            continue;
        }
        bool known;
        ret[i] = (kh_verdict){.free = KH_AMOUNT_NONE, .as_of = moment.height};
        if (q->number_code == KH_C_FORMAT) ret[i].code = KH_C_FORMAT, known = true;
        else if (KH_LIKELY(records[i] != null)) known = answer_fast(l, q, records[i], moment.today, &ret[i]);
        else known = answer_missing(l, q, &ret[i]);
        done |= (uint64_t)known << i;
    }
    return done;
}
