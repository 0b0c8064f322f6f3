/* fetch: what is wanted, from peers: its list, then its pieces, several under way; what was there at the last end of this
 * program is looked for first. All of the thread that ticks. */
#include <stdlib.h>
#include "states/parts.h"

#define ASK_NS (2 * KH_NS_PER_S)        /* between two questions which states there are, while none is being fetched; */
#define ASK_SLOW_NS (10 * KH_NS_PER_S)  /* while one is */
#define ANSWER_NS (20 * KH_NS_PER_S)    /* how long a peer is waited for; a line may be slow */
#define REST_NS (30 * KH_NS_PER_S)      /* how long one that did not answer, or has it no more, is not asked */
#define LIE_NS (600 * KH_NS_PER_S)      /* or that gave what is false */
#define STALL_NS (60 * KH_NS_PER_S)     /* without a piece, before another's state is begun instead */
#define SLOW_NS (600 * KH_NS_PER_S)     /* in which SLOW_PIECES come at least, where another's could be begun */
#define DISK_REST_NS (60 * KH_NS_PER_S) /* after the disk refused */
#define SAID_NS (600 * KH_NS_PER_S)     /* between two alerts that it did */
enum { SYNC_EVERY = 64, SLOW_PIECES = 64 };

/* ---- slots ---- */

static void slot_free(kh_states *s, kh_states_slot *slot)
{
    (void)pthread_mutex_lock(&s->lock);
    uint8_t *bytes = slot->bytes;
    *slot = (kh_states_slot){.stage = KH_SLOT_FREE};
    (void)pthread_mutex_unlock(&s->lock);
    free(bytes);
}

static void slot_ask(kh_states *s, kh_states_slot *slot, uint8_t type, uint32_t peer, uint32_t piece, uint64_t now)
{
    uint8_t message[36];
    const uint8_t *id = s->fetch.head.id;
    (void)pthread_mutex_lock(&s->lock);
    *slot = (kh_states_slot){.stage = KH_SLOT_ASKED, .peer = peer, .piece = piece, .at_ns = now};
    memcpy(slot->id, id, 32);
    (void)pthread_mutex_unlock(&s->lock);
    memcpy(message, id, 32);
    kh_store32(message + 32, piece);
    s->options.send(s->options.ctx, peer, type, message, type == KH_MSG_LIST_WANT ? 32 : 36);
}

/* What stands in it: a peer that is away does not answer any more. */
static kh_states_slot slot_look(kh_states *s, const kh_states_slot *slot, uint64_t now, bool *ret_late)
{
    (void)pthread_mutex_lock(&s->lock);
    const kh_states_slot now_is = *slot;
    const kh_states_peer *p = kh_states_peer_of(s, now_is.peer);
    *ret_late = now_is.stage == KH_SLOT_ASKED && (now - now_is.at_ns >= ANSWER_NS || p == NULL || !p->up);
    (void)pthread_mutex_unlock(&s->lock);
    return now_is;
}

/* ---- beginning and ending ---- */

void kh_fetch_close(kh_states *s)
{
    kh_states_fetch *f = &s->fetch;
    for (uint32_t i = 0; i < KH_STATES_AHEAD; i++) slot_free(s, &s->slots[i]);
    slot_free(s, &s->list);
    if (f->file != NULL) s->options.disk->close(s->options.disk->self, f->file);
    free(f->digests);
    free(f->pieces);
    const kh_states_fetch was = *f;
    *f = (kh_states_fetch){.height = was.height, .said_ns = was.said_ns, .passed_cnt = was.passed_cnt};
    memcpy(f->passed, was.passed, sizeof f->passed);
}

/* fail: what is there stays, and is gone on with after a rest. */
static void fail(kh_states *s, kh_err err, uint64_t now)
{
    kh_states_fetch *f = &s->fetch;
    kh_fetch_close(s);
    f->rests_until_ns = now + DISK_REST_NS;
    if (f->said_ns != 0 && now - f->said_ns < SAID_NS) return;
    f->said_ns = now;
    kh_states_alert(s, err == KH_E_NOSPACE ? "STATE_NO_ROOM" : "STATE_FAILED", 0, f->height);
}

static void drop_part(kh_states *s, uint64_t height)
{
    (void)pthread_mutex_lock(&s->files);
    kh_err err = kh_states_remove(s, height, ".part");
    (void)pthread_mutex_unlock(&s->files);
    (void)err; /* it is written over, or found by a start */
}

static kh_err make_pieces(kh_states_fetch *f, kh_piece_stage all)
{
    f->pieces = malloc(f->head.pieces);
    if (f->pieces == NULL) return KH_E_NOMEM;
    memset(f->pieces, (int)all, f->head.pieces);
    f->there_cnt = f->next = f->unsynced = 0;
    return KH_OK;
}

/* A file that a program before this one began. */
static kh_err resume(kh_states *s, uint64_t now)
{
    kh_states_fetch *f = &s->fetch;
    f->looked = true;
    kh_err err = kh_state_open_file(s, f->height, ".part", &f->head, &f->file, &f->digests);
    if (err == KH_E_DAMAGED) drop_part(s, f->height);
    if (err == KH_E_DAMAGED || err == KH_E_NOT_FOUND) return KH_OK;
    if (err != KH_OK) return err;
    f->chosen = true;
    f->moved_ns = f->window_ns = now;
    f->window_cnt = 0;
    return make_pieces(f, KH_PIECE_UNSEEN);
}

/* Its list stands behind the pieces that are to come. */
static kh_err begin(kh_states *s, uint8_t *list)
{
    char path[KH_STATES_PATH_SZ];
    kh_states_fetch *f = &s->fetch;
    const kh_disk *d = s->options.disk;
    f->digests = (uint8_t(*)[32])list;
    kh_err err = make_pieces(f, KH_PIECE_LACKS);
    if (err == KH_OK)
        err =
            d->open(d->self, kh_state_path(s, f->height, ".part", path), KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE, &f->file);
    if (err != KH_OK) return err;
    kh_states_part(s, f->height);
    err = d->truncate(d->self, f->file, 0);
    if (err == KH_OK) err = kh_state_write(s, f->file, kh_state_list_at(s, &f->head), list, (size_t)f->head.pieces * 32);
    if (err == KH_OK) err = kh_state_write(s, f->file, 0, f->head.bytes, KH_STATE_SIGNED_SZ);
    if (err == KH_OK) err = d->sync(d->self, f->file);
    return err == KH_OK ? d->sync_dir(d->self, s->dir) : err;
}

static kh_err end(kh_states *s)
{
    kh_states_fetch *f = &s->fetch;
    const kh_state_head head = f->head;
    kh_err err = s->options.disk->sync(s->options.disk->self, f->file);
    if (err == KH_OK) err = kh_states_publish(s, &head, ".part");
    if (err == KH_E_EXISTS) drop_part(s, head.height);
    if (err != KH_OK && err != KH_E_EXISTS) return err;
    kh_fetch_close(s);
    f->height = 0;
    return KH_OK;
}

/* ---- the list ---- */

static kh_err list_step(kh_states *s, uint64_t now)
{
    bool late = false;
    uint8_t digest[32];
    kh_states_fetch *f = &s->fetch;
    kh_states_slot slot = slot_look(s, &s->list, now, &late);
    if (slot.stage == KH_SLOT_FREE) {
        uint32_t peer = kh_source_peer(s, now, f->head.id);
        if (peer != 0) slot_ask(s, &s->list, KH_MSG_LIST_WANT, peer, f->head.pieces, now);
        else f->chosen = false;
        return KH_OK;
    }
    if (slot.stage == KH_SLOT_ASKED && !late) return KH_OK;
    if (slot.n == (size_t)f->head.pieces * 32) {
        kh_sha256(slot.bytes, slot.n, digest);
        if (memcmp(digest, f->head.list, 32) == 0) {
            (void)pthread_mutex_lock(&s->lock);
            s->list = (kh_states_slot){.stage = KH_SLOT_FREE};
            (void)pthread_mutex_unlock(&s->lock);
            f->moved_ns = now;
            return begin(s, slot.bytes);
        }
    }
    slot_free(s, &s->list);
    kh_source_rests(s, slot.peer, now + (slot.n != 0 ? LIE_NS : REST_NS));
    if (slot.n != 0) {
        (void)pthread_mutex_lock(&s->lock);
        s->counts.false_given++;
        (void)pthread_mutex_unlock(&s->lock);
        kh_states_alert(s, "STATE_FALSE_LIST", slot.peer, f->height);
    }
    return KH_OK;
}

/* ---- the pieces ---- */

static void lacks(kh_states_fetch *f, uint32_t piece)
{
    f->pieces[piece] = KH_PIECE_LACKS;
    if (piece < f->next) f->next = piece;
}

static void is_there(kh_states_fetch *f, uint32_t piece)
{
    f->pieces[piece] = KH_PIECE_THERE;
    f->there_cnt++;
}

static kh_err keep_piece(kh_states *s, const kh_states_slot *slot)
{
    kh_states_fetch *f = &s->fetch;
    if (kh_states_room(s) < slot->n) return KH_E_NOSPACE; /* somebody else filled it since, or before the restart */
    kh_err err = kh_state_write(s, f->file, kh_state_piece_at(s, slot->piece), slot->bytes, slot->n);
    if (err == KH_OK && ++f->unsynced >= SYNC_EVERY) {
        err = s->options.disk->sync(s->options.disk->self, f->file);
        f->unsynced = 0;
    }
    return err;
}

/* One question and its answer. */
static kh_err settle(kh_states *s, kh_states_slot *of, uint64_t now)
{
    bool late = false;
    uint8_t digest[32] = {0};
    kh_states_fetch *f = &s->fetch;
    kh_err err = KH_OK;
    kh_states_slot slot = slot_look(s, of, now, &late);
    if (slot.stage == KH_SLOT_FREE || (slot.stage == KH_SLOT_ASKED && !late)) return KH_OK;
    bool good = slot.bytes != NULL && slot.n == kh_state_piece_sz(s, &f->head, slot.piece);
    if (good) kh_sha256(slot.bytes, slot.n, digest);
    good = good && memcmp(digest, f->digests[slot.piece], 32) == 0;
    if (good) {
        err = keep_piece(s, &slot);
        if (err == KH_OK) is_there(f, slot.piece);
        f->moved_ns = now;
    } else {
        lacks(f, slot.piece);
        kh_source_rests(s, slot.peer, now + (slot.n != 0 ? LIE_NS : REST_NS));
        if (slot.n != 0) kh_states_alert(s, "STATE_FALSE_PIECE", slot.peer, f->height);
    }
    (void)pthread_mutex_lock(&s->lock);
    s->counts.pieces_taken += good;
    s->counts.false_given += !good && slot.n != 0;
    (void)pthread_mutex_unlock(&s->lock);
    slot_free(s, of);
    return err;
}

/* next_lacking: *ret_found false: none lacks, or looking on disk goes on in the next tick. */
static kh_err next_lacking(kh_states *s, uint32_t *looks, uint8_t *buf, bool *ret_found)
{
    kh_states_fetch *f = &s->fetch;
    *ret_found = false;
    for (; f->next < f->head.pieces; f->next++) {
        uint32_t piece = f->next;
        if (f->pieces[piece] == KH_PIECE_UNSEEN) {
            if (*looks == 0) return KH_OK;
            --*looks;
            kh_err err = kh_state_read_piece(s, f->file, &f->head, f->digests[piece], piece, buf);
            if (err != KH_OK && err != KH_E_DAMAGED) return err;
            if (err == KH_OK) is_there(f, piece);
            else f->pieces[piece] = KH_PIECE_LACKS;
        }
        if (f->pieces[piece] != KH_PIECE_LACKS) continue;
        *ret_found = true;
        return KH_OK;
    }
    return KH_OK;
}

static kh_err ask_more(kh_states *s, uint64_t now)
{
    bool late;
    kh_states_fetch *f = &s->fetch;
    uint32_t looks = KH_STATES_SOUGHT;
    kh_err err = KH_OK;
    uint8_t *buf = malloc(s->piece_sz + s->over_sz);
    bool found = true;
    if (buf == NULL) return KH_E_NOMEM;
    for (uint32_t i = 0; i < KH_STATES_AHEAD && found && err == KH_OK; i++) {
        if (slot_look(s, &s->slots[i], now, &late).stage != KH_SLOT_FREE) continue;
        err = next_lacking(s, &looks, buf, &found);
        uint32_t peer = err == KH_OK && found ? kh_source_peer(s, now, f->head.id) : 0;
        if (peer == 0) break;
        f->pieces[f->next] = KH_PIECE_ASKED;
        slot_ask(s, &s->slots[i], KH_MSG_PIECE_WANT, peer, f->next, now);
    }
    free(buf);
    return err;
}

static kh_err pieces_step(kh_states *s, uint64_t now)
{
    kh_err err = KH_OK;
    for (uint32_t i = 0; i < KH_STATES_AHEAD && err == KH_OK; i++) err = settle(s, &s->slots[i], now);
    if (err == KH_OK) err = ask_more(s, now);
    return err == KH_OK && s->fetch.there_cnt == s->fetch.head.pieces ? end(s) : err;
}

/* ---- what is fetched ---- */

/* Its pieces come as if somebody meant it to take for ever. */
static bool is_slow(kh_states_fetch *f, uint64_t now)
{
    if (f->file == NULL || now - f->window_ns < SLOW_NS) return false;
    uint32_t came = f->there_cnt - f->window_cnt;
    f->window_ns = now;
    f->window_cnt = f->there_cnt;
    return came < SLOW_PIECES;
}

/* Nobody gives it any more, or hardly, and there is another's. Each is left for being slow once, so that a line that is slow
   itself ends with one. */
static void look_elsewhere(kh_states *s, uint64_t now)
{
    kh_states_fetch *f = &s->fetch;
    kh_state_head other;
    if (!f->chosen) return;
    bool slow = is_slow(f, now), stands = now - f->moved_ns >= STALL_NS && kh_source_peer(s, now, f->head.id) == 0;
    if (slow && f->passed_cnt < KH_STATES_PASSED && !kh_source_passed(s, f->head.id))
        memcpy(f->passed[f->passed_cnt++], f->head.id, 32);
    if (!slow && !stands) return;
    if (!kh_source_choose(s, now, &other) || memcmp(other.id, f->head.id, 32) == 0) return;
    if (!stands && kh_source_passed(s, other.id)) return;
    kh_fetch_close(s);
    drop_part(s, f->height);
    f->looked = true;
}

static kh_err choose(kh_states *s, uint64_t now)
{
    kh_states_fetch *f = &s->fetch;
    f->chosen = kh_source_choose(s, now, &f->head);
    f->moved_ns = f->window_ns = now;
    f->window_cnt = 0;
    return !f->chosen || kh_states_room(s) >= kh_state_file_sz(s, &f->head) ? KH_OK : KH_E_NOSPACE;
}

static void fetch(kh_states *s, uint64_t now)
{
    kh_states_fetch *f = &s->fetch;
    kh_err err = KH_OK;
    if (now < f->rests_until_ns) return;
    look_elsewhere(s, now);
    if (!f->looked) err = resume(s, now);
    if (err == KH_OK && !f->chosen) err = choose(s, now);
    if (err == KH_OK && f->chosen) err = f->file != NULL ? pieces_step(s, now) : list_step(s, now);
    if (err != KH_OK) fail(s, err, now);
}

void kh_fetch_step(kh_states *s, uint64_t now)
{
    kh_states_fetch *f = &s->fetch;
    (void)pthread_mutex_lock(&s->lock);
    uint64_t wanted = s->wanted;
    bool holds = wanted != 0 && kh_states_held_of(s, wanted) != NULL, tells = holds && !s->told;
    bool idle = wanted == 0 || holds || s->making == wanted;
    if (tells) s->told = true;
    bool asks = (s->asks || !idle) && (s->asked_ns == 0 || now - s->asked_ns >= (f->file != NULL ? ASK_SLOW_NS : ASK_NS));
    if (asks) s->asks = false;
    (void)pthread_mutex_unlock(&s->lock);
    if (tells) s->options.held(s->options.ctx, wanted);
    if (asks) kh_states_ask(s, now);
    if (f->height != (idle ? 0 : wanted)) {
        kh_fetch_close(s);
        f->height = idle ? 0 : wanted;
        f->passed_cnt = 0;
    }
    if (!idle) fetch(s, now);
    (void)pthread_mutex_lock(&s->lock);
    s->counts.pieces = f->chosen ? f->head.pieces : 0;
    s->counts.pieces_there = f->there_cnt;
    (void)pthread_mutex_unlock(&s->lock);
}
