/* own: what became of this node's batches: those that were ordered, those of an incarnation that ended, those that a restart
 * finds in the store; and a store that is not what was ordered.
 *
 * The store is lost where the order's next sequence is above the first of the incarnation and the store holds no own body of that
 * incarnation at or above the one before it (looked at once, at the start); where a sequence of this node is taken by a body that
 * the store does not hold (with each block, so that a node which begins anew finds it while it catches up); and where stored
 * batches have a gap, or are signed by a key that is no more this member's: nobody acknowledges them. Then nothing is sent until
 * an INCARNATION is ordered; what is still held is sealed anew behind it. Where the ordered bodies themselves were given up long
 * ago, the rule costs an incarnation and nothing else. */
#include <stdlib.h>
#include "cluster/parts.h"

#define INCARNATION_AGAIN_NS (1000 * KH_MS)

void kh_own_free(kh_node *n)
{
    kh_own_waiting_drop(&n->own, NULL);
    for (uint32_t i = 0; i < n->own.window_cnt; i++) kh_own_drop(&n->own.window[i]);
    free(n->own.stored);
}

/* ---- what the store holds at the start ---- */
typedef struct look {
    kh_node *n;
    uint32_t incarnation;
    uint64_t next;
    bool last_seen, no_memory;
} look;

static void note(void *ctx, const kh_body_name *name)
{
    look *l = ctx;
    kh_sender *s = &l->n->own;
    if (name->sender != l->n->options.self || name->incarnation != l->incarnation) return;
    if (name->sequence + 1 >= l->next) l->last_seen = true;
    if (name->sequence < l->next) return;
    if (s->stored_cnt == s->stored_cap) {
        uint32_t cap = s->stored_cap != 0 ? 2 * s->stored_cap : 64;
        kh_own_name *more = realloc(s->stored, cap * sizeof *more);
        if (more == NULL) {
            l->no_memory = true;
            return;
        }
        s->stored = more;
        s->stored_cap = cap;
    }
    s->stored[s->stored_cnt].sequence = name->sequence;
    memcpy(s->stored[s->stored_cnt++].digest, name->digest, 32);
}

static int by_sequence(const void *a, const void *b)
{
    const kh_own_name *x = a, *y = b;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static kh_err look_at_store(kh_node *n)
{
    kh_sender *s = &n->own;
    look l = {.n = n};
    if (n->options.sender == NULL || !kh_order_next(n->order, n->options.self, &l.incarnation, &l.next)) return KH_OK;
    s->incarnation = s->stored_incarnation = l.incarnation;
    n->fx->body_each(n->fx->self, n->options.self, note, &l);
    if (l.no_memory) return KH_E_NOMEM;
    if (s->stored_cnt != 0) qsort(s->stored, s->stored_cnt, sizeof *s->stored, by_sequence);
    s->lost = l.next > KH_FIRST_SEQUENCE && !l.last_seen;
    return KH_OK;
}

kh_err kh_own_load(kh_node *n)
{
    kh_err err = look_at_store(n);
    if (err == KH_OK && n->options.sender != NULL) kh_own_refill(n);
    return err;
}

/* What was submitted since the start is not in the order that was given: unless it goes on there by chance, it takes new
 * sequences behind an INCARNATION. What the store brought before that order is looked at anew; behind the former, at the next
 * start. */
void kh_own_adopted(kh_node *n)
{
    kh_sender *s = &n->own;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->window_cnt; i++) {
        if (s->window[i].tag_cnt != 0) s->window[kept++] = s->window[i];
        else kh_own_drop(&s->window[i]);
    }
    s->window_cnt = kept;
    s->stored_cnt = s->stored_at = 0;
    s->incarnation_at_ns = 0;
    uint32_t incarnation = 0;
    uint64_t next = 0;
    if (look_at_store(n) != KH_OK) s->lost = true;
    if (kept == 0 || !kh_order_next(n->order, n->options.self, &incarnation, &next)) return;
    s->stored_cnt = 0;
    s->lost = s->lost || s->window[0].incarnation != incarnation || s->window[0].sequence != next;
}

static kh_err read_stored(kh_node *n, const uint8_t digest[32], kh_own *own, uint32_t *ret_epoch)
{
    uint8_t *p = NULL;
    size_t sz = 0;
    kh_envelope_head head;
    kh_err err = n->fx->body_get(n->fx->self, digest, &p, &sz);
    if (err == KH_OK) err = kh_envelope_read(p, sz, &head);
    if (err == KH_OK && (own->message = malloc(8 + sz)) == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) {
        memset(own->message, 0, 8);
        memcpy(own->message + 8, p, sz);
        own->message_n = 8 + sz;
        own->incarnation = head.incarnation;
        own->sequence = head.sequence;
        memcpy(own->digest, digest, 32);
        own->state = KH_OWN_STORED;
        /* What was asked for before is not known; no expiry was further away than this. */
        own->other_after_ns = kh_order_time(n->order) + KH_EXPIRES_MAX_NS;
        *ret_epoch = head.epoch;
    }
    free(p);
    return err;
}

/* One sequence may be stored twice, sealed anew in a later epoch: the newest counts. */
static kh_err read_newest(kh_node *n, kh_own *own)
{
    kh_sender *s = &n->own;
    uint64_t sequence = s->stored[s->stored_at].sequence;
    uint32_t newest = 0;
    kh_err err = KH_E_NOT_FOUND;
    for (; s->stored_at < s->stored_cnt && s->stored[s->stored_at].sequence == sequence; s->stored_at++) {
        kh_own other = {0};
        uint32_t epoch = 0;
        kh_err e = read_stored(n, s->stored[s->stored_at].digest, &other, &epoch);
        if (e == KH_OK && epoch >= newest) {
            kh_own_drop(own);
            *own = other;
            newest = epoch;
            err = KH_OK;
        } else kh_own_drop(&other);
    }
    return err;
}

void kh_own_refill(kh_node *n)
{
    kh_sender *s = &n->own;
    uint32_t incarnation = 0;
    uint64_t next = 0;
    if (!kh_order_next(n->order, n->options.self, &incarnation, &next)) return;
    while (s->stored_at < s->stored_cnt && s->window_cnt < KH_NODE_WINDOW && !s->lost) {
        uint64_t here = s->stored[s->stored_at].sequence;
        if (s->window_cnt != 0) next = s->window[s->window_cnt - 1].sequence + 1;
        bool before = s->stored_incarnation != incarnation;
        if (!before && here < next) {
            s->stored_at++;
            continue;
        }
        kh_own *own = &s->window[s->window_cnt];
        memset(own, 0, sizeof *own);
        if (!before && here > next) s->lost = true;
        else if (read_newest(n, own) != KH_OK) s->lost = !before;
        else if (before && kh_own_make_again(n, own, incarnation, next) != KH_OK) kh_own_drop(own);
        else {
            s->window_cnt++;
            if (before) kh_own_put(n, own);
            else if (!kh_own_is_signed(n, own)) s->lost = true;
        }
    }
    kh_own_ask_stored(n);
}

/* ---- ordered ---- */
static void first_ordered(kh_node *n, const uint8_t digest[32], uint64_t height)
{
    kh_sender *s = &n->own;
    kh_own *own = &s->window[0];
    n->fx->ordered(n->fx->self, digest, height, own->tags, own->op_cnts, own->tag_cnt);
    n->counts.ordered++;
    kh_own_stage(n, own, KH_STAGE_ORDERED);
    kh_own_drop(own);
    memmove(s->window, s->window + 1, --s->window_cnt * sizeof *s->window);
}

static void item_ordered(kh_node *n, const kh_order_item *item, uint64_t height)
{
    kh_sender *s = &n->own;
    const kh_own *own = &s->window[0];
    bool ours = s->window_cnt != 0 && own->incarnation == item->incarnation && own->sequence == item->sequence;
    bool known = ours && memcmp(own->digest, item->digest, 32) == 0;
    /* Another digest that is stored here is the same text, sealed before or after. */
    if (!known && !n->fx->body_has(n->fx->self, item->digest)) s->lost = true;
    else if (ours) first_ordered(n, item->digest, height);
    else n->fx->ordered(n->fx->self, item->digest, height, NULL, NULL, 0);
}

/* An incarnation began: what is under way belongs to the one that ended, and takes new sequences. */
static void begin_incarnation(kh_node *n, uint32_t incarnation, uint64_t next)
{
    kh_sender *s = &n->own;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->window_cnt; i++) {
        kh_own own = s->window[i];
        if (kh_own_make_again(n, &own, incarnation, next) == KH_OK) {
            s->window[kept++] = own;
            next++;
        } else {
            n->fx->ordered(n->fx->self, own.digest, 0, own.tags, own.op_cnts, own.tag_cnt);
            kh_own_drop(&own);
        }
    }
    s->window_cnt = kept;
    s->incarnation = incarnation;
    s->lost = false;
    for (uint32_t i = 0; i < kept; i++) kh_own_put(n, &s->window[i]);
}

void kh_own_committed(kh_node *n, const kh_order_block *block)
{
    uint32_t incarnation = 0;
    uint64_t next = 0;
    if (n->options.sender == NULL) return;
    for (uint32_t i = 0; i < block->item_cnt; i++)
        if (block->items[i].kind == KH_ITEM_BATCH && block->items[i].sender == n->options.self)
            item_ordered(n, &block->items[i], block->height);
    if (!kh_order_next(n->order, n->options.self, &incarnation, &next)) return;
    if (incarnation != n->own.incarnation) begin_incarnation(n, incarnation, next);
    kh_own_refill(n);
    kh_own_send_tick(n);
}

/* ---- the beat ---- */
static void ask_incarnation(kh_node *n)
{
    uint32_t incarnation = 0;
    uint64_t next = 0, now = kh_node_monotonic(n);
    uint8_t tx[KH_INCARNATION_SZ];
    kh_sender *s = &n->own;
    if (s->incarnation_at_ns != 0 && now - s->incarnation_at_ns < INCARNATION_AGAIN_NS) return;
    if (!kh_order_next(n->order, n->options.self, &incarnation, &next)) return;
    if (kh_incarnation_make(n->options.sender, n->chain_id, n->options.self, incarnation + 1, tx) != KH_OK) return;
    s->incarnation_at_ns = now;
    kh_node_offer(n, tx, sizeof tx);
}

void kh_own_tick(kh_node *n)
{
    if (n->options.sender == NULL) return;
    if (n->own.lost) {
        ask_incarnation(n);
        return;
    }
    kh_own_refill(n);
    kh_own_send_tick(n);
    kh_own_seal_waiting(n);
}
