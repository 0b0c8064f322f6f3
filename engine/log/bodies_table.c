/* bodies_table: entries in buckets by their digest's first bytes, which are as good as random; the list of those that were not
 * ordered; what each sender has used. */
#include "log/bodies_inside.h"
#include <stdlib.h>

enum { BUCKETS_FIRST = 1024 };

bool kh_bodies_table_init(kh_bodies *b)
{
    b->bucket_cnt = BUCKETS_FIRST;
    b->buckets = calloc(b->bucket_cnt, sizeof(kh_body *));
    b->earliest_ns = UINT64_MAX;
    return b->buckets != NULL;
}

void kh_bodies_table_free(kh_bodies *b)
{
    for (uint64_t i = 0; b->buckets != NULL && i < b->bucket_cnt; i++) {
        for (kh_body *at = b->buckets[i], *next; at != NULL; at = next) {
            next = at->next;
            free(at);
        }
    }
    free(b->buckets);
    free(b->senders);
}

static kh_body **bucket_of(kh_bodies *b, const uint8_t digest[32])
{
    return &b->buckets[kh_load64(digest) & (b->bucket_cnt - 1)];
}

kh_body *kh_bodies_find(kh_bodies *b, const uint8_t digest[32])
{
    kh_body *at = *bucket_of(b, digest);
    while (at != NULL && memcmp(at->name.digest, digest, 32) != 0) at = at->next;
    return at;
}

static void grow(kh_bodies *b)
{
    uint64_t before = b->bucket_cnt;
    kh_body **more = calloc(2 * before, sizeof *more), **old = b->buckets;
    if (more == NULL) return; /* longer buckets are slower, not wrong */
    b->buckets = more;
    b->bucket_cnt = 2 * before;
    for (uint64_t i = 0; i < before; i++) {
        for (kh_body *at = old[i], *next; at != NULL; at = next) {
            next = at->next;
            kh_body **bucket = bucket_of(b, at->name.digest);
            at->next = *bucket;
            *bucket = at;
        }
    }
    free(old);
}

static void list_add(kh_bodies *b, kh_body *body)
{
    body->before = NULL;
    body->behind = b->unordered;
    if (b->unordered != NULL) b->unordered->before = body;
    b->unordered = body;
}

static void list_remove(kh_bodies *b, kh_body *body)
{
    if (body->before != NULL) body->before->behind = body->behind;
    else b->unordered = body->behind;
    if (body->behind != NULL) body->behind->before = body->before;
    body->before = body->behind = NULL;
}

kh_body *kh_bodies_add(kh_bodies *b, const kh_body_name *name)
{
    kh_body *body = calloc(1, sizeof *body);
    if (body == NULL) return NULL;
    if (b->body_cnt >= b->bucket_cnt) grow(b);
    body->name = *name;
    body->name.expires_ns = 0;
    kh_body **bucket = bucket_of(b, name->digest);
    body->next = *bucket;
    *bucket = body;
    b->body_cnt++;
    if (!name->ordered) list_add(b, body);
    return body;
}

static kh_body_sender *sender_of(kh_bodies *b, uint32_t id)
{
    for (uint32_t i = 0; i < b->sender_cnt; i++)
        if (b->senders[i].id == id) return &b->senders[i];
    return NULL;
}

void kh_bodies_refund(kh_bodies *b, kh_body *body, uint64_t n)
{
    if (n == 0) return;
    kh_body_sender *s = sender_of(b, body->name.sender);
    KH_ASSERT(s != NULL && s->used >= n && body->charged >= n);
    s->used -= n;
    body->charged -= n;
    if (s->used == 0) *s = b->senders[--b->sender_cnt];
}

kh_err kh_bodies_charge(kh_bodies *b, kh_body *body, uint64_t n, bool bounded)
{
    kh_body_sender *s = sender_of(b, body->name.sender);
    if (bounded && (s != NULL ? s->used : 0) + n > b->quota) return KH_E_FULL;
    if (s == NULL) {
        if (b->sender_cnt == b->sender_cap) {
            uint32_t cap = b->sender_cap == 0 ? 16 : 2 * b->sender_cap;
            kh_body_sender *more = realloc(b->senders, cap * sizeof *more);
            if (more == NULL) return KH_E_NOMEM;
            b->senders = more;
            b->sender_cap = cap;
        }
        s = &b->senders[b->sender_cnt++];
        *s = (kh_body_sender){.id = body->name.sender};
    }
    s->used += n;
    body->charged += n;
    return KH_OK;
}

void kh_bodies_remove(kh_bodies *b, kh_body *body)
{
    kh_body **at = bucket_of(b, body->name.digest);
    KH_ASSERT(body->queued == 0);
    while (*at != body) at = &(*at)->next;
    *at = body->next;
    b->body_cnt--;
    kh_bodies_refund(b, body, body->charged);
    if (!body->name.ordered) list_remove(b, body);
    kh_bodies_unplace(body);
    free(body);
}

void kh_bodies_mark_ordered(kh_bodies *b, kh_body *body)
{
    if (body->name.ordered) return;
    kh_bodies_refund(b, body, body->charged);
    list_remove(b, body);
    body->name.ordered = true;
}

void kh_bodies_place(kh_body *body, kh_body_file *file, uint64_t offset, uint64_t expires_ns)
{
    kh_bodies_unplace(body);
    body->file = file;
    body->offset = offset;
    body->name.expires_ns = expires_ns;
    file->body_cnt++;
}

void kh_bodies_unplace(kh_body *body)
{
    if (body->file == NULL) return;
    body->file->body_cnt--;
    body->file = NULL;
}
