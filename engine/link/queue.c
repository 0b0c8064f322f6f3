/* queue: frames that wait for a peer, as one stream of bytes in chunks of four TLS records, so that records are full whatever the
 * messages' sizes. */
#include "link/inside.h"
#include <stdlib.h>

static kh_chunk *another(kh_queue *q)
{
    kh_chunk *c = q->spare;
    if (c != NULL) q->spare = NULL;
    else if ((c = malloc(sizeof *c)) == NULL) return NULL;
    c->next = NULL;
    c->n = c->ends = 0;
    if (q->last != NULL) q->last->next = c;
    else q->first = c;
    q->last = c;
    return c;
}

/* Room first, bytes afterwards: a frame is in the queue whole or not at all. */
static bool make_room(kh_queue *q, size_t n, kh_chunk **ret_from)
{
    kh_chunk *last = q->last;
    size_t room = last != NULL ? KH_LINK_CHUNK_SZ - last->n : 0;
    *ret_from = room > 0 ? last : NULL;
    while (room < n) {
        kh_chunk *c = another(q);
        if (c == NULL) {
            for (kh_chunk *next = last != NULL ? last->next : q->first; next != NULL;) {
                kh_chunk *after = next->next;
                free(next);
                next = after;
            }
            q->last = last;
            if (last != NULL) last->next = NULL;
            else q->first = NULL;
            return false;
        }
        if (*ret_from == NULL) *ret_from = c;
        room += KH_LINK_CHUNK_SZ;
    }
    return true;
}

static kh_chunk *fill(kh_chunk *c, const uint8_t *p, size_t n)
{
    for (;;) {
        size_t part = kh_min64(n, KH_LINK_CHUNK_SZ - c->n);
        if (part != 0) memcpy(c->b + c->n, p, part);
        c->n += (uint32_t)part;
        p += part;
        n -= part;
        if (n == 0) return c;
        c = c->next;
    }
}

kh_err kh_link_queue_put(kh_queue *q, uint8_t type, const uint8_t *p, size_t n)
{
    uint8_t head[KH_LINK_HEAD_SZ] = {0};
    kh_chunk *c;
    if (!make_room(q, n + sizeof head, &c)) return KH_E_NOMEM;
    kh_store32(head, (uint32_t)n);
    head[4] = type;
    c = fill(c, head, sizeof head);
    if (n != 0) c = fill(c, p, n);
    c->ends += type != KH_LINK_TYPE_ALIVE;
    q->messages += type != KH_LINK_TYPE_ALIVE;
    q->bytes += n + sizeof head;
    return KH_OK;
}

kh_err kh_link_queue_build(kh_queue *ret, uint8_t type, const uint8_t *p, size_t n)
{
    *ret = (kh_queue){0};
    return kh_link_queue_put(ret, type, p, n);
}

void kh_link_queue_append(kh_queue *q, kh_queue *built)
{
    if (q->last != NULL) q->last->next = built->first;
    else q->first = built->first;
    q->last = built->last;
    q->bytes += built->bytes;
    q->messages += built->messages;
    *built = (kh_queue){0};
}

static void drop_first(kh_queue *q)
{
    kh_chunk *c = q->first;
    q->first = c->next;
    q->at = 0;
    if (q->first == NULL) q->last = NULL;
    if (q->spare == NULL) q->spare = c;
    else free(c);
}

size_t kh_link_queue_peek(const kh_queue *q, const uint8_t **ret)
{
    if (q->first == NULL) return 0;
    *ret = q->first->b + q->at;
    return q->first->n - q->at;
}

uint32_t kh_link_queue_take(kh_queue *q, size_t n)
{
    uint32_t ends = 0;
    KH_ASSERT(q->first != NULL && n <= q->first->n - q->at);
    q->at += n;
    q->bytes -= n;
    /* an empty last chunk may be followed by one that was built beside, so it is not kept for the next frame */
    if (q->at == q->first->n) {
        ends = q->first->ends;
        drop_first(q);
    }
    q->messages -= ends;
    return ends;
}

uint32_t kh_link_queue_clear(kh_queue *q)
{
    uint32_t lost = q->messages;
    while (q->first != NULL) drop_first(q);
    free(q->spare);
    size_t promised = q->promised;
    *q = (kh_queue){.promised = promised};
    return lost;
}
