/* snapshot: DIR/view/snapshot: all that a view knows at one height, so that opening need not read every package again. */
#include <stdlib.h>
#include "view/parts.h"

enum { HEAD = 1, FINANCINGS = 2, ALERTS = 3, PLACES = 4, END = 5 }; /* a record's first 4 bytes; then entries back to back */
enum {
    CHUNK_SZ = 1 << 20,
    ENTRY_MAX_SZ = 256 << 10,
    HEAD_SZ = 4 + 4 + 8 + 8 + 32 + 12,
    OPENED_SZ = 4, /* behind it, where the opening is in it */
    ALERT_SZ = 24 + KH_NOTICE_SZ + 4,
    PLACE_SZ = 40
};
_Static_assert(sizeof(kh_view_fin) == 72, "a financing has no padding: it stands in snapshots as in memory");
_Static_assert(sizeof(kh_view_fin) + KH_PRODUCT_MAX + KH_LINES_MAX * (KH_VIEW_LINE_SZ + KH_NUMBER_MAX + KH_ISSUER_MAX) <=
                   ENTRY_MAX_SZ,
               "an entry fits");

typedef struct writer {
    kh_view *v;
    kh_view_segment file;
    uint8_t *chunk; /* the next record's text */
    size_t n;
    uint32_t kind;
    kh_err err;
} writer;

static void chunk_begin(writer *w)
{
    uint8_t *chunk = kh_view_record_room(w->v, &w->file, CHUNK_SZ + ENTRY_MAX_SZ);
    if (chunk != NULL) w->chunk = chunk;
    else w->err = KH_E_NOMEM;
}

static void flush(writer *w)
{
    if (w->err == KH_OK && w->n > 0) {
        kh_store32(w->chunk, w->kind);
        w->err = kh_view_record_write(w->v, &w->file, w->chunk, w->n);
        if (w->err == KH_OK) chunk_begin(w);
    }
    w->n = 0;
}

/* room: where n bytes of an entry of this kind go. */
static uint8_t *room(writer *w, uint32_t kind, size_t n)
{
    if (w->n > 0 && (w->kind != kind || w->n + n > CHUNK_SZ)) flush(w);
    if (w->n == 0) {
        w->kind = kind;
        w->n = 4;
    }
    uint8_t *at = w->chunk + w->n;
    w->n += n;
    return at;
}

static void write_all(writer *w)
{
    const kh_view *v = w->v;
    uint8_t *at = room(w, HEAD, HEAD_SZ - 4 + (v->opened ? OPENED_SZ : 0));
    kh_store32(at, v->last_segment);
    kh_store64(at + 4, v->height);
    kh_store64(at + 12, v->count);
    memcpy(at + 20, v->head, 32);
    kh_store32(at + 52, v->fins.cnt);
    kh_store32(at + 56, v->alert_cnt);
    kh_store32(at + 60, v->place_cnt);
    if (v->opened) kh_store32(at + 64, 1);
    for (uint32_t i = 0; i < v->fins.cnt && w->err == KH_OK; i++) {
        const kh_view_fin *f = v->fins.rows[i];
        memcpy(room(w, FINANCINGS, sizeof *f + f->rest_sz), f, sizeof *f + f->rest_sz);
    }
    for (uint32_t i = 0; i < v->alert_cnt && w->err == KH_OK; i++) {
        const kh_view_told *t = v->alerts[i];
        size_t texts = (size_t)t->number_n + t->issuer_n;
        at = room(w, ALERTS, ALERT_SZ + texts);
        kh_store64(at, t->height);
        kh_store64(at + 8, t->number);
        kh_store64(at + 16, t->time_ns);
        (void)kh_notice_encode(&t->notice, at + 24);
        at += 24 + KH_NOTICE_SZ;
        at[0] = t->kind;
        at[1] = t->number_n;
        at[2] = t->issuer_n;
        at[3] = t->has_paper;
        memcpy(at + 4, t->texts, texts);
    }
    for (uint32_t i = 0; i < v->place_cnt && w->err == KH_OK; i++) {
        const kh_view_place *p = &v->places[i];
        at = room(w, PLACES, PLACE_SZ);
        kh_store64(at, p->height);
        kh_store64(at + 8, p->time_ns);
        kh_store64(at + 16, p->offset);
        kh_store64(at + 24, p->number);
        kh_store32(at + 32, p->segment);
        kh_store32(at + 36, p->size);
    }
    (void)room(w, END, 4);
    memset(w->chunk + w->n - 4, 0, 4);
    flush(w);
}

kh_err kh_view_snapshot_make(kh_view *v)
{
    const kh_disk *d = v->options.disk;
    char from[512], to[512], dir[512];
    writer w = {.v = v};
    w.err = kh_view_file_new(v, "snapshot.new", &w.file);
    if (w.err != KH_OK) return w.err;
    chunk_begin(&w);
    if (w.err == KH_OK) write_all(&w);
    if (w.err == KH_OK) w.err = d->sync(d->self, w.file.file);
    kh_view_file_close(v, &w.file);
    if (w.err == KH_OK) w.err = d->rename(d->self, kh_view_path(v, "snapshot.new", from), kh_view_path(v, "snapshot", to));
    if (w.err == KH_OK) w.err = d->sync_dir(d->self, kh_view_path(v, "", dir));
    /* The snapshot covers this segment as far as it goes: what follows begins another. */
    if (w.err == KH_OK) kh_view_file_close(v, &v->segment);
    return w.err;
}

/* ---- loading ---- */

typedef struct counts {
    uint32_t fins, alerts, places;
} counts;

static bool load_fins(kh_view *v, const uint8_t *p, size_t n)
{
    while (n > 0) {
        kh_view_fin fixed;
        if (n < sizeof fixed) return false;
        memcpy(&fixed, p, sizeof fixed);
        if (fixed.rest_sz > n - sizeof fixed) return false;
        size_t size = sizeof fixed + fixed.rest_sz;
        kh_view_fin *f = malloc(size);
        if (f == NULL) return false;
        memcpy(f, p, size);
        if (!kh_view_fin_sound(f) || kh_view_table_find(&v->fins, f->id) != NULL || kh_view_table_add(&v->fins, f) != KH_OK) {
            free(f);
            return false;
        }
        p += size;
        n -= size;
    }
    return true;
}

static bool load_alerts(kh_view *v, const uint8_t *p, size_t n)
{
    while (n > 0) {
        const uint8_t *about = p + 24 + KH_NOTICE_SZ;
        size_t used;
        if (n < ALERT_SZ) return false;
        size_t texts = (size_t)about[1] + about[2];
        if (n - ALERT_SZ < texts || about[1] > KH_NUMBER_MAX || about[2] > KH_ISSUER_MAX) return false;
        kh_view_told *t = calloc(1, sizeof *t + texts);
        if (t == NULL) return false;
        t->height = kh_load64(p);
        t->number = kh_load64(p + 8);
        t->time_ns = kh_load64(p + 16);
        t->kind = about[0];
        t->number_n = about[1];
        t->issuer_n = about[2];
        t->has_paper = about[3];
        memcpy(t->texts, about + 4, texts);
        if (kh_notice_decode(p + 24, KH_NOTICE_SZ, &t->notice, &used) != KH_OK || kh_view_told_add(v, t) != KH_OK) {
            free(t);
            return false;
        }
        p += ALERT_SZ + texts;
        n -= ALERT_SZ + texts;
    }
    return true;
}

static bool load_places(kh_view *v, const uint8_t *p, size_t n)
{
    for (; n >= PLACE_SZ; p += PLACE_SZ, n -= PLACE_SZ) {
        kh_view_place place = {.height = kh_load64(p),
                               .time_ns = kh_load64(p + 8),
                               .offset = kh_load64(p + 16),
                               .number = kh_load64(p + 24),
                               .segment = kh_load32(p + 32),
                               .size = kh_load32(p + 36)};
        if (kh_view_place_add(v, &place) != KH_OK) return false;
    }
    v->saved_cnt = v->place_cnt;
    return n == 0;
}

static bool load_head(kh_view *v, const uint8_t *p, size_t n, uint32_t *ret_covered, counts *ret)
{
    v->opened = n == HEAD_SZ - 4 + OPENED_SZ && kh_load32(p + 64) == 1;
    if (n != HEAD_SZ - 4 && !v->opened) return false;
    if (!v->opened && kh_view_opening_there(v)) return false; /* it came later: all is taken again, behind it */
    *ret_covered = kh_load32(p);
    v->height = kh_load64(p + 4);
    v->count = kh_load64(p + 12);
    memcpy(v->head, p + 20, 32);
    *ret = (counts){kh_load32(p + 52), kh_load32(p + 56), kh_load32(p + 60)};
    return true;
}

/* load_all: true: whole. */
static bool load_all(kh_view *v, const kh_view_segment *file, uint32_t *ret_covered)
{
    uint64_t at = KH_VIEW_HEAD_SZ;
    counts said = {0};
    bool good = true, ended = false;
    for (uint64_t number = 0; good && !ended; number++) {
        uint8_t *text = NULL;
        size_t n = 0;
        good = kh_view_record_read(v, file, at, number, &text, &n, &at) == KH_OK && n >= 4;
        uint32_t kind = good ? kh_load32(text) : 0;
        if (good && (number == 0) != (kind == HEAD)) good = false;
        else if (kind == HEAD) good = load_head(v, text + 4, n - 4, ret_covered, &said);
        else if (kind == FINANCINGS) good = load_fins(v, text + 4, n - 4);
        else if (kind == ALERTS) good = load_alerts(v, text + 4, n - 4);
        else if (kind == PLACES) good = load_places(v, text + 4, n - 4);
        else ended = kind == END;
        good = good && (ended || (kind >= HEAD && kind < END));
        free(text);
    }
    return good && said.fins == v->fins.cnt && said.alerts == v->alert_cnt && said.places == v->place_cnt;
}

kh_err kh_view_snapshot_load(kh_view *v, uint32_t *ret_covered)
{
    kh_view_segment file;
    kh_err err = kh_view_file_open(v, "snapshot", &file);
    if (err != KH_OK) return KH_E_NOT_FOUND;
    bool whole = load_all(v, &file, ret_covered);
    kh_view_file_close(v, &file);
    if (whole) return KH_OK;
    kh_view_forget(v);
    *ret_covered = 0;
    return KH_E_NOT_FOUND;
}
