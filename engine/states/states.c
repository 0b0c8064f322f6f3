/* states: see states.h. Life cycle, tick. */
#include <stdio.h>
#include <stdlib.h>
#include "states/parts.h"

#define LOOK_NS KH_NS_PER_S /* between two looks at who there is */

uint64_t kh_states_now(const kh_states *s) { return s->options.clock->monotonic(s->options.clock->self); }

void kh_states_alert(kh_states *s, const char *word, uint32_t member, uint64_t height)
{
    s->options.alert(s->options.ctx, word, member, height);
}

uint64_t kh_states_room(const kh_states *s)
{
    if (s->options.room == NULL) return UINT64_MAX;
    uint64_t room = s->options.room(s->options.ctx);
    return room > KH_STATES_ROOM ? room - KH_STATES_ROOM : 0;
}

/* ---- opening ---- */

/* A directory of ours has a few files and what a crash left; where somebody put more, those beyond are left for another opening.
 */
enum { NAMES_MAX = 64 };
static const char *const endings[] = {".state", ".part", ".making"};
enum { STATE, PART, MAKING, ENDINGS };
typedef struct names {
    struct {
        uint64_t height;
        int ending;
    } of[NAMES_MAX];
    uint32_t cnt;
} names;

static void take_name(void *ctx, const char *name)
{
    names *all = ctx;
    char *end, again[64];
    uint64_t height = strtoull(name, &end, 10);
    for (int i = 0; i < ENDINGS && height != 0; i++) {
        (void)snprintf(again, sizeof again, "%llu%s", (unsigned long long)height, endings[i]);
        if (strcmp(name, again) != 0 || all->cnt == NAMES_MAX) continue;
        all->of[all->cnt].height = height;
        all->of[all->cnt++].ending = i;
    }
}

static kh_err look_at(kh_states *s, uint64_t height, int ending)
{
    kh_state_head h;
    kh_file *f = NULL;
    if (ending == MAKING) return kh_states_remove(s, height, ".making");
    kh_err err = kh_state_open_file(s, height, endings[ending], &h, &f, NULL);
    if (f != NULL) s->options.disk->close(s->options.disk->self, f);
    if (err == KH_E_DAMAGED || (err == KH_OK && kh_states_is_refused(s, h.id)))
        return kh_states_remove(s, height, endings[ending]);
    if (err == KH_OK && ending == PART) kh_states_part(s, height);
    if (err == KH_OK && ending == STATE && s->held_cnt < KH_STATES_FILES) s->held[s->held_cnt++] = h;
    return err;
}

static kh_err open_dir(kh_states *s)
{
    names all = {.cnt = 0};
    const kh_disk *d = s->options.disk;
    int len = snprintf(s->dir, sizeof s->dir, "%s/states", s->options.dir);
    kh_err err = len > 0 && (size_t)len < sizeof s->dir ? d->make_dir(d->self, s->dir) : KH_E_ARG;
    if (err == KH_OK) err = d->sync_dir(d->self, s->options.dir);
    if (err == KH_E_EXISTS) err = KH_OK;
    if (err == KH_OK) err = d->list(d->self, s->dir, take_name, &all);
    if (err == KH_OK) err = kh_states_read_refused(s);
    for (uint32_t i = 0; i < all.cnt && err == KH_OK; i++) err = look_at(s, all.of[i].height, all.of[i].ending);
    return err;
}

kh_err kh_states_open(const kh_states_options *options, char *why, size_t cap, kh_states **ret)
{
    kh_states *s = calloc(1, sizeof *s);
    if (s == NULL) return KH_E_NOMEM;
    s->options = *options;
    s->piece_sz = options->piece_sz != 0 ? options->piece_sz : KH_STATE_PIECE_SZ;
    s->over_sz = (uint32_t)(kh_wrap_sz(options->suite) + kh_seal_tag_sz(options->suite));
    (void)pthread_mutex_init(&s->turn, NULL);
    (void)pthread_mutex_init(&s->files, NULL);
    (void)pthread_mutex_init(&s->lock, NULL);
    kh_err err = open_dir(s);
    if (err == KH_OK) *ret = s;
    else {
        (void)snprintf(why, cap, "%s/states: %s", options->dir, kh_err_text(err));
        kh_states_close(s);
    }
    return err;
}

void kh_states_close(kh_states *s)
{
    if (s == NULL) return;
    kh_fetch_close(s);
    (void)pthread_mutex_destroy(&s->turn);
    (void)pthread_mutex_destroy(&s->files);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- the tick ---- */

void kh_states_tick(kh_states *s)
{
    uint64_t now = kh_states_now(s);
    (void)pthread_mutex_lock(&s->turn);
    if (s->looked_ns == 0 || now - s->looked_ns >= LOOK_NS) {
        s->looked_ns = now;
        kh_states_look(s);
    }
    kh_states_judge(s);
    kh_states_give(s, now);
    kh_fetch_step(s, now);
    kh_states_clean(s);
    (void)pthread_mutex_unlock(&s->turn);
}

/* ---- looking ---- */

void kh_states_count(kh_states *s, kh_states_counts *ret)
{
    (void)pthread_mutex_lock(&s->lock);
    kh_states_counts n = s->counts;
    n.held = s->held_cnt;
    n.wanted = s->wanted;
    n.newest = n.bytes = 0;
    for (uint32_t i = 0; i < s->held_cnt; i++) {
        n.newest = kh_max64(n.newest, s->held[i].height);
        n.bytes += kh_state_file_sz(s, &s->held[i]);
    }
    (void)pthread_mutex_unlock(&s->lock);
    *ret = n;
}
