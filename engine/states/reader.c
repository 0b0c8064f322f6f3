/* reader: the stream of a state that is held, opened piece by piece. */
#include <stdlib.h>
#include "states/parts.h"

struct kh_state_reader {
    kh_states *s;
    kh_state_head head;
    kh_file *file;
    const kh_box *box;
    uint8_t *piece, (*digests)[32];
    const uint8_t *text; /* what is left of the piece that is open */
    size_t text_n;
    uint32_t next; /* piece */
};

static kh_err find(kh_states *s, uint64_t height, kh_state_head *ret)
{
    (void)pthread_mutex_lock(&s->lock);
    const kh_state_head *held = kh_states_held_of(s, height);
    if (held != NULL) *ret = *held;
    (void)pthread_mutex_unlock(&s->lock);
    return held != NULL ? KH_OK : KH_E_NOT_FOUND;
}

/* The file is opened while no name changes, and its list is that of the head that was found. */
static kh_err open_it(kh_state_reader *r)
{
    kh_state_head h;
    (void)pthread_mutex_lock(&r->s->files);
    kh_err err = kh_state_open_file(r->s, r->head.height, ".state", &h, &r->file, &r->digests);
    (void)pthread_mutex_unlock(&r->s->files);
    if (err == KH_OK && memcmp(h.id, r->head.id, 32) != 0) err = KH_E_NOT_FOUND;
    if (err == KH_E_DAMAGED) kh_states_lost(r->s, &r->head);
    return err;
}

kh_err kh_states_read(kh_states *s, uint64_t height, const kh_box *(*box_of)(void *ctx, uint32_t epoch), void *ctx,
                      kh_state_of *ret_of, kh_state_reader **ret)
{
    kh_state_head h;
    kh_err err = find(s, height, &h);
    if (err != KH_OK) return err;
    if (ret_of != NULL)
        *ret_of = (kh_state_of){.height = height,
                                .size = (uint64_t)(h.pieces - 1) * s->piece_sz + h.last_sz - s->over_sz,
                                .epoch = h.epoch,
                                .maker = h.maker,
                                .pieces = h.pieces};
    const kh_box *box = box_of(ctx, h.epoch);
    if (box == NULL) return KH_E_CLOSED;
    kh_state_reader *r = calloc(1, sizeof *r);
    if (r == NULL) return KH_E_NOMEM;
    r->s = s;
    r->head = h;
    r->box = box;
    r->piece = malloc(s->piece_sz + s->over_sz);
    err = r->piece != NULL ? open_it(r) : KH_E_NOMEM;
    if (err == KH_OK) *ret = r;
    else kh_state_reader_close(r);
    return err;
}

static kh_err next_piece(kh_state_reader *r)
{
    uint32_t piece = r->next;
    size_t n = kh_state_piece_sz(r->s, &r->head, piece);
    kh_err err = kh_state_read_piece(r->s, r->file, &r->head, r->digests[piece], piece, r->piece);
    if (err == KH_E_DAMAGED) kh_states_lost(r->s, &r->head);
    if (err != KH_OK) return err;
    if (!kh_state_unseal(r->s, &r->head, r->box, piece, r->piece, n, &r->text, &r->text_n)) {
        r->text_n = 0;
        return KH_E_FORMAT;
    }
    r->next++;
    return KH_OK;
}

kh_err kh_state_reader_read(kh_state_reader *r, void *p, size_t n, size_t *ret_n)
{
    size_t done = 0;
    while (done < n) {
        if (r->text_n == 0) {
            if (r->next == r->head.pieces) break;
            kh_err err = next_piece(r);
            if (err != KH_OK && done == 0) return err;
            if (err != KH_OK) break; /* the next call says it again */
            continue;                /* an empty stream is one empty piece */
        }
        size_t part = r->text_n < n - done ? r->text_n : n - done;
        memcpy((uint8_t *)p + done, r->text, part);
        r->text += part;
        r->text_n -= part;
        done += part;
    }
    *ret_n = done;
    return KH_OK;
}

uint32_t kh_state_reader_piece(const kh_state_reader *r) { return r->text_n != 0 && r->next != 0 ? r->next - 1 : r->next; }

void kh_state_reader_close(kh_state_reader *r)
{
    if (r == NULL) return;
    if (r->file != NULL) r->s->options.disk->close(r->s->options.disk->self, r->file);
    if (r->piece != NULL) explicit_bzero(r->piece, r->s->piece_sz + r->s->over_sz);
    free(r->piece);
    free(r->digests);
    free(r);
}
