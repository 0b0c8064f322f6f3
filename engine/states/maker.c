/* maker: a hub's own state of a height: cut, sealed, written beside, and held once all of it is durable. */
#include <stdlib.h>
#include "states/parts.h"

enum { LOOKS_EVERY = 64 }; /* pieces, between two looks at the room on disk, and between two syncs */

struct kh_state_maker {
    kh_states *s;
    kh_state_head head;
    uint8_t group[KH_PUBLIC_SZ];
    kh_file *file;
    uint8_t *text, *sealed; /* text: of the piece that is not full yet, or not known to be no last one */
    size_t text_n;
    uint8_t (*digests)[32];
    uint32_t cap;
    kh_err err; /* the first */
};

/* One maker at a time: where there is another, it is of the same checkpoint, or its caller should have ended it. */
static kh_err reserve(kh_states *s, uint64_t height)
{
    (void)pthread_mutex_lock(&s->lock);
    kh_err err = s->making != 0 || kh_states_held_of(s, height) != NULL ? KH_E_EXISTS : KH_OK;
    if (err == KH_OK) s->making = height;
    (void)pthread_mutex_unlock(&s->lock);
    return err;
}

static void release(kh_states *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->making = 0;
    (void)pthread_mutex_unlock(&s->lock);
}

static void maker_free(kh_state_maker *m)
{
    if (m->file != NULL) m->s->options.disk->close(m->s->options.disk->self, m->file);
    if (m->text != NULL) explicit_bzero(m->text, m->s->piece_sz);
    free(m->text);
    free(m->sealed);
    free(m->digests);
    free(m);
}

static kh_err open_new(kh_state_maker *m)
{
    char path[KH_STATES_PATH_SZ];
    const kh_disk *d = m->s->options.disk;
    kh_err err = d->open(d->self, kh_state_path(m->s, m->head.height, ".making", path),
                         KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE, &m->file);
    return err == KH_OK ? d->truncate(d->self, m->file, 0) : err;
}

kh_err kh_states_make(kh_states *s, uint64_t height, uint32_t epoch, const uint8_t group_public[KH_PUBLIC_SZ],
                      kh_state_maker **ret)
{
    if (s->options.sign == NULL) return KH_E_CLOSED;
    if (height == 0 || epoch == 0) return KH_E_ARG;
    kh_err err = reserve(s, height);
    if (err != KH_OK) return err;
    kh_state_maker *m = calloc(1, sizeof *m);
    if (m == NULL) {
        release(s);
        return KH_E_NOMEM;
    }
    m->s = s;
    m->head = (kh_state_head){.height = height, .maker = s->options.self, .epoch = epoch};
    memcpy(m->group, group_public, sizeof m->group);
    m->text = malloc(s->piece_sz);
    m->sealed = malloc(s->piece_sz + s->over_sz);
    err = m->text != NULL && m->sealed != NULL ? open_new(m) : KH_E_NOMEM;
    if (err == KH_OK) *ret = m;
    else kh_state_maker_abort(m);
    return err;
}

static kh_err grow(kh_state_maker *m)
{
    if (m->head.pieces == KH_STATE_PIECES_MAX) return KH_E_FULL;
    if (m->head.pieces < m->cap) return KH_OK;
    uint32_t cap = m->cap != 0 ? 2 * m->cap : 64;
    uint8_t(*more)[32] = realloc(m->digests, (size_t)cap * 32);
    if (more == NULL) return KH_E_NOMEM;
    m->digests = more;
    m->cap = cap;
    return KH_OK;
}

static kh_err put_piece(kh_state_maker *m, bool last)
{
    kh_states *s = m->s;
    const kh_disk *d = s->options.disk;
    uint32_t piece = m->head.pieces;
    size_t n = m->text_n + s->over_sz;
    kh_err err = grow(m);
    if (err == KH_OK && piece % LOOKS_EVERY == 0 && kh_states_room(s) < (uint64_t)LOOKS_EVERY * (s->piece_sz + s->over_sz))
        err = KH_E_NOSPACE;
    if (err == KH_OK && piece % LOOKS_EVERY == 0) err = d->sync(d->self, m->file);
    if (err == KH_OK) err = kh_state_seal(s, m->head.height, m->head.epoch, m->group, piece, last, m->text, m->text_n, m->sealed);
    if (err == KH_OK) err = kh_state_write(s, m->file, kh_state_piece_at(s, piece), m->sealed, n);
    if (err != KH_OK) return err;
    kh_sha256(m->sealed, n, m->digests[piece]);
    m->head.pieces++;
    m->head.last_sz = (uint32_t)n;
    m->text_n = 0;
    return KH_OK;
}

kh_err kh_state_maker_write(kh_state_maker *m, const void *p, size_t n)
{
    const uint8_t *from = p;
    while (n != 0 && m->err == KH_OK) {
        if (m->text_n == m->s->piece_sz && (m->err = put_piece(m, false)) != KH_OK) break;
        size_t part = m->s->piece_sz - m->text_n < n ? m->s->piece_sz - m->text_n : n;
        memcpy(m->text + m->text_n, from, part);
        m->text_n += part;
        from += part;
        n -= part;
    }
    return m->err;
}

static kh_err finish(kh_state_maker *m)
{
    const kh_disk *d = m->s->options.disk;
    size_t n = (size_t)m->head.pieces * 32;
    kh_sha256(m->digests, n, m->head.list);
    kh_err err = kh_state_head_make(m->s, &m->head);
    if (err == KH_OK) err = kh_state_write(m->s, m->file, kh_state_list_at(m->s, &m->head), m->digests, n);
    if (err == KH_OK) err = kh_state_write(m->s, m->file, 0, m->head.bytes, KH_STATE_SIGNED_SZ);
    if (err == KH_OK) err = d->sync(d->self, m->file);
    d->close(d->self, m->file);
    m->file = NULL;
    return err == KH_OK ? kh_states_publish(m->s, &m->head, ".making") : err;
}

kh_err kh_state_maker_end(kh_state_maker *m)
{
    if (m->err == KH_OK) m->err = put_piece(m, true);
    if (m->err == KH_OK) m->err = finish(m);
    kh_err err = m->err;
    if (err != KH_OK) {
        kh_state_maker_abort(m);
        return err;
    }
    release(m->s);
    maker_free(m);
    return KH_OK;
}

void kh_state_maker_abort(kh_state_maker *m)
{
    if (m == NULL) return;
    kh_states *s = m->s;
    uint64_t height = m->head.height;
    maker_free(m);
    (void)pthread_mutex_lock(&s->files);
    kh_err err = kh_states_remove(s, height, ".making");
    (void)pthread_mutex_unlock(&s->files);
    (void)err; /* a start takes it away */
    release(s);
}
