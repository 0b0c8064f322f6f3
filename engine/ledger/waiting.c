/* waiting: messages kept for another try: those whose declaration is not known yet (found by the number or the LRN that they
 * name), and requests of a source whose requests need a notice (found by their document). At most KH_WAITING_MAX a source. */
#include "ledger/machine.h"

static uint32_t *next_of(const kh_ledger *l, uint32_t row) { return &l->wait_key[row].hash_next; }
static uint64_t hash_of(const kh_ledger *l, uint32_t row) { return l->wait_key[row].hash; }

const kh_table kh_waits_table = {KH_R_WAIT_TABLE, next_of, hash_of};

static uint64_t text_hash(const kh_ledger *l, kh_text text) { return kh_keyed_hash(l, text.p, text.n); }
static uint64_t notice_hash(const kh_ledger *l, const kh_key *key) { return kh_key_hash(l, key) + 1; }

static uint32_t *counter(kh_ledger *l, uint32_t source)
{
    uint32_t row = source == 0 ? 0 : kh_parties_find(l, source);
    return row == 0 ? &l->head->operator_waiting : &l->party[row].waiting;
}

static void add_key(kh_ledger *l, uint32_t wait, uint64_t hash)
{
    uint32_t row = kh_rows_take_reused(l, KH_R_WAIT_KEY, &l->head->free_wait_keys);
    l->wait_key[row] = (kh_wait_key){.wait = wait, .same = l->wait[wait].keys, .hash = hash};
    l->wait[wait].keys = row;
    kh_table_add(l, &kh_waits_table, &l->head->waits, hash, row);
}

/* for_notice: the document whose notice it waits for; NULL: it waits for its document, by the number and LRN that it names. */
bool kh_waiting_put(kh_ledger *l, const kh_op_document *d, kh_frame frame, uint64_t stamp, uint32_t source,
                    const kh_key *for_notice)
{
    uint32_t *waiting = counter(l, source);
    size_t cells = frame.n / (KH_MESSAGE_CELL - 4) + 1;
    if (*waiting >= KH_WAITING_MAX || !kh_rows_left(l, KH_R_WAIT, 1) || !kh_rows_left(l, KH_R_WAIT_KEY, 2) ||
        !kh_rows_left(l, KH_R_MESSAGE, cells))
        return false;
    uint32_t wait = kh_rows_take_reused(l, KH_R_WAIT, &l->head->free_waits), *link = &l->wait[wait].message;
    l->wait[wait] = (kh_wait){.size = (uint32_t)frame.n, .source = source, .stamp = stamp, .for_notice = for_notice != NULL};
    for (size_t at = 0; at < frame.n; at += KH_MESSAGE_CELL - 4) {
        uint32_t cell = kh_rows_take_reused(l, KH_R_MESSAGE, &l->head->free_cells);
        l->cell[cell].next = 0;
        memcpy(l->cell[cell].bytes, frame.p + at, kh_min64(frame.n - at, KH_MESSAGE_CELL - 4));
        *link = cell;
        link = &l->cell[cell].next;
    }
    if (for_notice != NULL) {
        add_key(l, wait, notice_hash(l, for_notice));
    } else {
        if (d->number.n != 0) add_key(l, wait, text_hash(l, d->number));
        if (d->lrn.n != 0) add_key(l, wait, text_hash(l, d->lrn));
    }
    ++*waiting;
    l->head->waiting++;
    return true;
}

bool kh_waiting_keep(kh_ledger *l, const kh_op *op, kh_frame frame, const kh_key *for_notice)
{
    const kh_op_document *d = &op->document;
    uint32_t source = d->source != 0 ? d->source : op->party;
    if (!kh_waiting_put(l, d, frame, l->head->wait_stamp + 1, source, for_notice)) return false;
    l->head->wait_stamp++;
    return true;
}

uint32_t kh_waiting_for_notice(const kh_ledger *l, const kh_key *key, uint32_t *cursor)
{
    uint64_t hash = notice_hash(l, key);
    uint32_t row = *cursor == 0 ? kh_table_first(l, &kh_waits_table, &l->head->waits, hash) : l->wait_key[*cursor].hash_next;
    while (row != 0 && (l->wait_key[row].hash != hash || !l->wait[l->wait_key[row].wait].for_notice))
        row = l->wait_key[row].hash_next;
    *cursor = row;
    return row == 0 ? 0 : l->wait_key[row].wait;
}

void kh_waiting_move(kh_ledger *l, const kh_key *from, const kh_key *to)
{
    uint64_t old_hash = notice_hash(l, from), new_hash = notice_hash(l, to);
    uint32_t row = l->head->waiting == 0 ? 0 : kh_table_first(l, &kh_waits_table, &l->head->waits, old_hash);
    while (row != 0) {
        if (l->wait_key[row].hash != old_hash) {
            row = l->wait_key[row].hash_next;
            continue;
        }
        kh_table_drop(l, &kh_waits_table, &l->head->waits, old_hash, row);
        l->wait_key[row].hash = new_hash;
        kh_table_add(l, &kh_waits_table, &l->head->waits, new_hash, row);
        row = kh_table_first(l, &kh_waits_table, &l->head->waits, old_hash); /* from the start: the chain is another one now */
    }
}

/* Decodes a kept message into l->message_op. */
static bool load(kh_ledger *l, uint32_t wait)
{
    uint32_t at = 0, cell = l->wait[wait].message, size = l->wait[wait].size;
    size_t n;
    for (; cell != 0 && at < size; cell = l->cell[cell].next) {
        uint32_t part = (uint32_t)kh_min64(size - at, KH_MESSAGE_CELL - 4);
        memcpy(l->message + at, l->cell[cell].bytes, part);
        at += part;
    }
    return kh_op_decode(l->message, size, &l->message_scratch, &l->message_op, &n) == KH_OK &&
           l->message_op.type == KH_OP_DOCUMENT;
}

static void drop(kh_ledger *l, uint32_t wait)
{
    for (uint32_t key = l->wait[wait].keys, next; key != 0; key = next) {
        next = l->wait_key[key].same;
        kh_table_drop(l, &kh_waits_table, &l->head->waits, l->wait_key[key].hash, key);
        kh_rows_give(l, KH_R_WAIT_KEY, &l->head->free_wait_keys, key);
    }
    for (uint32_t cell = l->wait[wait].message, next; cell != 0; cell = next) {
        next = l->cell[cell].next;
        kh_rows_give(l, KH_R_MESSAGE, &l->head->free_cells, cell);
    }
    --*counter(l, l->wait[wait].source);
    l->head->waiting--;
    kh_rows_give(l, KH_R_WAIT, &l->head->free_waits, wait);
}

/* The oldest message under a hash that came after a stamp. */
static uint32_t oldest(const kh_ledger *l, uint64_t hash, uint64_t after, uint32_t best)
{
    for (uint32_t row = kh_table_first(l, &kh_waits_table, &l->head->waits, hash); row != 0; row = l->wait_key[row].hash_next) {
        const kh_wait *w = &l->wait[l->wait_key[row].wait];
        if (l->wait_key[row].hash == hash && w->stamp > after && (best == 0 || w->stamp < l->wait[best].stamp))
            best = l->wait_key[row].wait;
    }
    return best;
}

static void applied(kh_ledger *l, kh_doc_result *r)
{
    kh_notice n = {.type = KH_NOTICE_MESSAGE_APPLIED,
                   .party = 0,
                   .has_key = 1,
                   .key = r->key,
                   .currency = kh_rec(l, r->first)->currency,
                   .state = kh_rec(l, r->first)->quad.status,
                   .version = l->cold[kh_rec(l, r->first)->cold].version,
                   .moved = kh_rec(l, r->first)->base};
    kh_outcome_begin(l);
    kh_touch_document(l, r->first);
    kh_emit_notice(l, &n);
}

void kh_waiting_arrived(kh_ledger *l, const kh_op_document *d, uint32_t first)
{
    uint64_t number = text_hash(l, d->number), lrn = d->lrn.n == 0 ? number : text_hash(l, d->lrn), last = l->head->wait_stamp,
             after = 0;
    kh_key key = kh_rec(l, first)->key, meant;
    if (l->head->waiting == 0) return;
    for (;;) {
        uint32_t wait = oldest(l, number, after, 0);
        if (lrn != number) wait = oldest(l, lrn, after, wait);
        if (wait == 0 || l->wait[wait].stamp > last) return;
        after = l->wait[wait].stamp;
        if (l->wait[wait].for_notice || !load(l, wait)) continue;
        bool by_lrn;
        uint32_t found = kh_identity_resolve(l, &l->message_op.document, &by_lrn);
        if (found == KH_RECORD_NONE || found != kh_identity_follow(l, &key, &meant)) continue;
        uint32_t size = l->wait[wait].size;
        drop(l, wait);
        kh_doc_result r = {.first = KH_RECORD_NONE};
        kh_documents_do(l, &l->message_op, (kh_frame){l->message, size}, true, &r);
        if (r.code != KH_C_OK || r.first == KH_RECORD_NONE || r.effect == KH_EFFECT_WAITING || r.effect == KH_EFFECT_UNCHANGED)
            continue;
        applied(l, &r);
        kh_documents_settle(l, NULL, &r);
        key = r.key;
    }
}

bool kh_waiting_take(kh_ledger *l, const kh_key *key, uint8_t action)
{
    uint64_t hash = notice_hash(l, key), after = 0;
    for (uint32_t wait; (wait = oldest(l, hash, after, 0)) != 0;) {
        after = l->wait[wait].stamp;
        kh_key meant;
        if (!l->wait[wait].for_notice || !load(l, wait) || l->message_op.document.action != action) continue;
        bool by_lrn;
        (void)kh_identity_follow(l, key, &meant);
        uint32_t found = kh_identity_resolve(l, &l->message_op.document, &by_lrn);
        if (found == KH_RECORD_NONE || !kh_key_equal(&kh_rec(l, found)->key, &meant)) continue;
        drop(l, wait);
        return true;
    }
    return false;
}
