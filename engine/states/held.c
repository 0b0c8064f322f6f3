/* held: which states are held, which are wanted, and whose files go. */
#include "states/parts.h"

/* ---- the table ---- */

const kh_state_head *kh_states_held_of(const kh_states *s, uint64_t height)
{
    for (uint32_t i = 0; i < s->held_cnt; i++)
        if (s->held[i].height == height) return &s->held[i];
    return NULL;
}

const kh_state_head *kh_states_held_id(const kh_states *s, const uint8_t id[32])
{
    for (uint32_t i = 0; i < s->held_cnt; i++)
        if (memcmp(s->held[i].id, id, 32) == 0) return &s->held[i];
    return NULL;
}

kh_err kh_states_remove(kh_states *s, uint64_t height, const char *more)
{
    char path[KH_STATES_PATH_SZ];
    const kh_disk *d = s->options.disk;
    kh_err err = d->remove(d->self, kh_state_path(s, height, more, path));
    if (err == KH_E_NOT_FOUND) return KH_OK;
    return err == KH_OK ? d->sync_dir(d->self, s->dir) : err;
}

static void forget(kh_states *s, const kh_state_head *held) { s->held[held - s->held] = s->held[--s->held_cnt]; }

static bool is_kept(const kh_states *s, uint64_t height)
{
    uint64_t newest = 0;
    if (height == s->wanted) return true;
    for (uint32_t i = 0; i < s->keep_cnt; i++) {
        if (s->keep[i] == height) return true;
        newest = kh_max64(newest, s->keep[i]);
    }
    return s->keep_cnt != 0 && height > newest; /* of an order that was cut back */
}

/* take_in: lock held. *ret_gone: a height whose file has to go for it; 0: none. */
static void take_in(kh_states *s, const kh_state_head *h, uint64_t *ret_gone)
{
    uint32_t oldest = s->held_cnt != 0 && s->held[0].height == s->wanted ? 1 : 0;
    *ret_gone = 0;
    if (s->held_cnt == KH_STATES_FILES) {
        for (uint32_t i = 0; i < s->held_cnt; i++)
            if (s->held[i].height < s->held[oldest].height && s->held[i].height != s->wanted) oldest = i;
        *ret_gone = s->held[oldest].height;
        forget(s, &s->held[oldest]);
    }
    s->held[s->held_cnt++] = *h;
}

kh_err kh_states_publish(kh_states *s, const kh_state_head *h, const char *more)
{
    char from[KH_STATES_PATH_SZ], to[KH_STATES_PATH_SZ];
    const kh_disk *d = s->options.disk;
    uint64_t gone = 0;
    (void)pthread_mutex_lock(&s->files);
    (void)pthread_mutex_lock(&s->lock);
    kh_err err = kh_states_held_of(s, h->height) != NULL ? KH_E_EXISTS : KH_OK;
    (void)pthread_mutex_unlock(&s->lock);
    if (err == KH_OK)
        err = d->rename(d->self, kh_state_path(s, h->height, more, from), kh_state_path(s, h->height, ".state", to));
    if (err == KH_OK) err = d->sync_dir(d->self, s->dir);
    if (err == KH_OK) {
        (void)pthread_mutex_lock(&s->lock);
        take_in(s, h, &gone);
        (void)pthread_mutex_unlock(&s->lock);
    }
    if (gone != 0) err = kh_states_remove(s, gone, ".state");
    (void)pthread_mutex_unlock(&s->files);
    return err;
}

bool kh_states_forget(kh_states *s, const kh_state_head *h)
{
    const kh_state_head *held = kh_states_held_id(s, h->id);
    if (held != NULL) forget(s, held);
    if (h->height == s->wanted) s->told = false;
    return held != NULL;
}

void kh_states_lost(kh_states *s, const kh_state_head *h)
{
    (void)pthread_mutex_lock(&s->files);
    (void)pthread_mutex_lock(&s->lock);
    bool was = kh_states_forget(s, h);
    (void)pthread_mutex_unlock(&s->lock);
    kh_err err = was ? kh_states_remove(s, h->height, ".state") : KH_OK;
    (void)pthread_mutex_unlock(&s->files);
    if (was) kh_states_alert(s, err == KH_OK ? "STATE_DAMAGED" : "STATE_FAILED", 0, h->height);
}

bool kh_states_holds(kh_states *s, uint64_t height)
{
    (void)pthread_mutex_lock(&s->lock);
    bool holds = kh_states_held_of(s, height) != NULL;
    (void)pthread_mutex_unlock(&s->lock);
    return holds;
}

void kh_states_want(kh_states *s, uint64_t height)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->wanted != height) s->told = false;
    s->wanted = height;
    s->cleans = true;
    (void)pthread_mutex_unlock(&s->lock);
}

void kh_states_keep(kh_states *s, const uint64_t *heights, uint32_t cnt)
{
    (void)pthread_mutex_lock(&s->lock);
    s->keep_cnt = cnt < KH_STATES_KEPT ? cnt : KH_STATES_KEPT;
    if (cnt != 0) memcpy(s->keep, heights, s->keep_cnt * sizeof *heights);
    s->keeps = s->cleans = true;
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- what goes ---- */

/* next_to_go: a file of a height that nobody keeps; it is held no more. */
static bool next_to_go(kh_states *s, uint64_t *ret, const char **ret_more)
{
    bool found = false;
    (void)pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->held_cnt && !found; i++) {
        if (is_kept(s, s->held[i].height)) continue;
        *ret = s->held[i].height;
        *ret_more = ".state";
        forget(s, &s->held[i]);
        found = true;
    }
    for (uint32_t i = 0; i < s->part_cnt && !found; i++) {
        if (is_kept(s, s->parts[i]) && kh_states_held_of(s, s->parts[i]) == NULL) continue;
        *ret = s->parts[i];
        *ret_more = ".part";
        s->parts[i] = s->parts[--s->part_cnt];
        found = true;
    }
    if (!found) s->cleans = false;
    (void)pthread_mutex_unlock(&s->lock);
    return found;
}

void kh_states_clean(kh_states *s)
{
    uint64_t height;
    const char *more;
    (void)pthread_mutex_lock(&s->lock);
    bool cleans = s->cleans && s->keeps;
    (void)pthread_mutex_unlock(&s->lock);
    if (!cleans) return;
    (void)pthread_mutex_lock(&s->files);
    while (next_to_go(s, &height, &more)) {
        kh_err err = kh_states_remove(s, height, more);
        if (err != KH_OK) kh_states_alert(s, "STATE_FAILED", 0, height); /* a start finds it again */
    }
    (void)pthread_mutex_unlock(&s->files);
}

void kh_states_part(kh_states *s, uint64_t height)
{
    uint32_t i = 0;
    (void)pthread_mutex_lock(&s->lock);
    while (i < s->part_cnt && s->parts[i] != height) i++;
    if (i == s->part_cnt && s->part_cnt < KH_STATES_FILES) s->parts[s->part_cnt++] = height;
    (void)pthread_mutex_unlock(&s->lock);
}
