/* queue: this node's operations until they are sealed: submissions, in order, and how many make a batch. */
#include <stdlib.h>
#include "cluster/parts.h"

#define GATHER_NS (5 * KH_MS)        /* by the square of how many are under way: certificates cost more than operations do */
#define SUBMISSION_MAX_SZ (7u << 20) /* it must get below an envelope's 8 MiB, packed or not */

static size_t text_sz(const kh_queued *q) { return q->n == 0 ? 0 : q->n + (q->signed_section ? 0 : KH_SECTION_HEAD_SZ); }

static bool may_send(kh_node *n)
{
    const kh_member *m = kh_order_member(n->order, n->options.self);
    return n->options.sender != NULL && n->options.box != NULL && m != NULL && (m->flags & KH_MEMBER_EXPELLED) == 0;
}

static kh_err submit(kh_node *n, const uint8_t *frames, size_t sz, uint32_t op_cnt, bool signed_section, uint64_t tag)
{
    if (sz > SUBMISSION_MAX_SZ) return KH_E_ARG;
    if (!may_send(n)) return KH_E_CLOSED;
    if (n->own.waiting_sz + sizeof(kh_queued) + sz > KH_NODE_QUEUE_SZ) return KH_E_AGAIN;
    kh_queued *q = malloc(sizeof *q + sz);
    if (q == NULL) return KH_E_NOMEM;
    *q = (kh_queued){
        .tag = tag, .at_ns = kh_node_monotonic(n), .n = (uint32_t)sz, .op_cnt = op_cnt, .signed_section = signed_section};
    if (sz != 0) memcpy(q->bytes, frames, sz);
    if (n->own.last != NULL) n->own.last->next = q;
    else n->own.first = q;
    n->own.last = q;
    n->own.waiting_sz += sizeof *q + sz;
    kh_own_seal_waiting(n);
    return KH_OK;
}

kh_err kh_node_submit(kh_node *n, const uint8_t *frames, size_t sz, uint32_t op_cnt, bool signed_section, uint64_t tag)
{
    kh_node_enter(n);
    kh_err err = submit(n, frames, sz, op_cnt, signed_section, tag);
    kh_node_leave(n);
    return err;
}

kh_err kh_node_submit_tx(kh_node *n, const uint8_t *tx, size_t sz)
{
    kh_node_enter(n);
    kh_order_code code = sz <= KH_TX_MAX_SZ ? kh_order_offerable(n->order, tx, sz, kh_order_time(n->order)) : KH_R_MALFORMED;
    bool good = kh_pending_may_come(code);
    if (good) kh_node_offer(n, tx, sz);
    kh_node_leave(n);
    return good ? KH_OK : code == KH_R_MALFORMED ? KH_E_FORMAT : KH_E_ARG;
}

static bool worth_a_batch(kh_node *n)
{
    const kh_sender *s = &n->own;
    if (s->first == NULL) return false;
    if (s->window_cnt == 0 || s->waiting_sz >= KH_NODE_GATHER_SZ) return true;
    return kh_node_monotonic(n) - s->first->at_ns >= GATHER_NS * s->window_cnt * s->window_cnt;
}

void kh_own_seal_waiting(kh_node *n)
{
    kh_sender *s = &n->own;
    while (!s->lost && s->stored_at == s->stored_cnt && s->window_cnt < KH_NODE_WINDOW && may_send(n) && worth_a_batch(n)) {
        uint32_t incarnation = 0;
        uint64_t sequence = 0;
        if (!kh_order_next(n->order, n->options.self, &incarnation, &sequence)) return;
        if (s->window_cnt != 0) sequence = s->window[s->window_cnt - 1].sequence + 1;
        kh_own *own = &s->window[s->window_cnt];
        memset(own, 0, sizeof *own);
        const kh_queued *end = NULL;
        if (kh_own_gather(n, own, &end, incarnation, sequence) != KH_OK) {
            kh_own_drop(own);
            return; /* the beat tries again; what waits still waits */
        }
        s->incarnation = incarnation;
        s->window_cnt++;
        own->since_ns = s->first->at_ns;
        kh_own_stage(n, own, KH_STAGE_WAITED);
        kh_own_waiting_drop(s, end);
        kh_own_put(n, own);
    }
}

void kh_own_waiting_drop(kh_sender *s, const kh_queued *end)
{
    while (s->first != end) {
        kh_queued *q = s->first;
        s->first = q->next;
        s->waiting_sz -= sizeof *q + q->n;
        free(q);
    }
    if (s->first == NULL) s->last = NULL;
}

/* Submissions of own frames that follow each other share a section. */
static size_t lay_text(const kh_queued *first, const kh_queued *end, uint8_t *text)
{
    size_t at = 0, head = 0;
    bool open = false;
    for (const kh_queued *q = first; q != end; q = q->next) {
        if (q->n == 0) continue;
        if (!q->signed_section && !open) {
            head = at;
            at += KH_SECTION_HEAD_SZ;
        }
        open = !q->signed_section;
        memcpy(text + at, q->bytes, q->n);
        at += q->n;
        if (open) kh_section_own((uint32_t)(at - head - KH_SECTION_HEAD_SZ), text + head);
    }
    return at;
}

kh_err kh_own_gather(kh_node *n, kh_own *own, const kh_queued **ret_end, uint32_t incarnation, uint64_t sequence)
{
    size_t sz = 0;
    uint32_t cnt = 0;
    const kh_queued *end = n->own.first;
    for (; end != NULL && (cnt == 0 || sz + text_sz(end) <= KH_NODE_BATCH_SZ); end = end->next) {
        sz += text_sz(end);
        cnt++;
    }
    uint8_t *text = malloc(sz + 1);
    own->tags = malloc(cnt * sizeof *own->tags);
    own->op_cnts = malloc(cnt * sizeof *own->op_cnts);
    kh_err err = text != NULL && own->tags != NULL && own->op_cnts != NULL ? KH_OK : KH_E_NOMEM;
    if (err == KH_OK) {
        for (const kh_queued *q = n->own.first; q != end; q = q->next) {
            own->tags[own->tag_cnt] = q->tag;
            own->op_cnts[own->tag_cnt++] = q->op_cnt;
        }
        err = kh_own_make(n, own, incarnation, sequence, text, lay_text(n->own.first, end, text));
    }
    free(text);
    *ret_end = end;
    return err;
}
