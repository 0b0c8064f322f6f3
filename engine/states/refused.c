/* refused: states that are not taken again, and their makers. A false one is known after a restart, too: DIR/states/refused. */
#include <stdio.h>
#include "states/parts.h"

enum { HEAD_SZ = 16, ENTRY_SZ = 48, AT_MAKER = 32, AT_TIME = 40 };
static const char magic[4] = {'K', 'H', 'Z', 'R'};

/* ---- the table ---- */

static uint64_t now_is(const kh_states *s) { return s->options.clock->now(s->options.clock->self); }

/* No longer than that: a mishap here may look like a lie. A clock that was set back does not end it at once. */
static bool lapsed(const kh_state_refused *r, uint64_t now)
{
    return (now > r->at_ns ? now - r->at_ns : r->at_ns - now) >= KH_STATES_REFUSED_NS;
}

bool kh_states_is_refused(const kh_states *s, const uint8_t id[32])
{
    for (uint32_t i = 0; i < s->refused_cnt; i++)
        if (memcmp(s->refused[i].id, id, 32) == 0) return !lapsed(&s->refused[i], now_is(s));
    return false;
}

bool kh_states_lied(const kh_states *s, uint32_t maker)
{
    for (uint32_t i = 0; i < s->refused_cnt; i++)
        if (s->refused[i].maker == maker && !lapsed(&s->refused[i], now_is(s))) return true;
    return false;
}

static void take_off(kh_states *s, uint32_t i)
{
    memmove(&s->refused[i], &s->refused[i + 1], (--s->refused_cnt - i) * sizeof s->refused[0]);
}

static uint32_t refused_of(const kh_states *s, uint32_t maker)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->refused_cnt; i++) n += s->refused[i].maker == maker;
    return n;
}

/* One that makes many does not push another's out: where there is no place, the oldest of whom most were refused goes. */
static void add(kh_states *s, const kh_state_head *h, bool is_false)
{
    uint64_t now = now_is(s);
    for (uint32_t i = s->refused_cnt; i-- > 0;)
        if (lapsed(&s->refused[i], now) || memcmp(s->refused[i].id, h->id, 32) == 0) take_off(s, i);
    if (s->refused_cnt == KH_STATES_REFUSED) {
        uint32_t most = 0;
        for (uint32_t i = 1; i < s->refused_cnt; i++)
            if (refused_of(s, s->refused[i].maker) > refused_of(s, s->refused[most].maker)) most = i;
        take_off(s, most);
    }
    kh_state_refused *r = &s->refused[s->refused_cnt++];
    *r = (kh_state_refused){.maker = h->maker, .is_false = is_false, .at_ns = now};
    memcpy(r->id, h->id, 32);
}

/* ---- on disk ---- */

static const char *path_of(const kh_states *s, const char *more, char ret[KH_STATES_PATH_SZ])
{
    (void)snprintf(ret, KH_STATES_PATH_SZ, "%s/refused%s", s->dir, more);
    return ret;
}

/* What was left by a mishap is not written: a restart may have ended that. */
static size_t encode(kh_states *s, uint8_t p[HEAD_SZ + KH_STATES_REFUSED * ENTRY_SZ])
{
    uint32_t cnt = 0;
    memset(p, 0, HEAD_SZ + KH_STATES_REFUSED * ENTRY_SZ);
    (void)pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->refused_cnt; i++) {
        const kh_state_refused *r = &s->refused[i];
        if (!r->is_false) continue;
        uint8_t *entry = p + HEAD_SZ + (size_t)cnt++ * ENTRY_SZ;
        memcpy(entry, r->id, 32);
        kh_store32(entry + AT_MAKER, r->maker);
        kh_store64(entry + AT_TIME, r->at_ns);
    }
    (void)pthread_mutex_unlock(&s->lock);
    memcpy(p, magic, sizeof magic);
    kh_store32(p + 4, cnt);
    kh_store64(p + 8, kh_xxh3(p + HEAD_SZ, (size_t)cnt * ENTRY_SZ));
    return HEAD_SZ + (size_t)cnt * ENTRY_SZ;
}

static kh_err save(kh_states *s)
{
    char path[KH_STATES_PATH_SZ], new_path[KH_STATES_PATH_SZ];
    uint8_t p[HEAD_SZ + KH_STATES_REFUSED * ENTRY_SZ];
    size_t n = encode(s, p);
    kh_file *f = NULL;
    const kh_disk *d = s->options.disk;
    kh_err err = d->open(d->self, path_of(s, ".new", new_path), KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE, &f);
    if (err == KH_OK) err = d->truncate(d->self, f, 0);
    if (err == KH_OK) err = d->write(d->self, f, 0, p, n);
    if (err == KH_OK) err = d->sync(d->self, f);
    if (f != NULL) d->close(d->self, f);
    if (err == KH_OK) err = d->rename(d->self, new_path, path_of(s, "", path));
    return err == KH_OK ? d->sync_dir(d->self, s->dir) : err;
}

static kh_err drop_file(const kh_states *s)
{
    char path[KH_STATES_PATH_SZ];
    const kh_disk *d = s->options.disk;
    kh_err err = d->remove(d->self, path_of(s, "", path));
    if (err == KH_E_NOT_FOUND) return KH_OK;
    return err == KH_OK ? d->sync_dir(d->self, s->dir) : err;
}

kh_err kh_states_read_refused(kh_states *s)
{
    char path[KH_STATES_PATH_SZ];
    uint8_t p[HEAD_SZ + KH_STATES_REFUSED * ENTRY_SZ + 1];
    size_t n = 0;
    kh_file *f = NULL;
    const kh_disk *d = s->options.disk;
    kh_err err = d->open(d->self, path_of(s, "", path), KH_OPEN_READ, &f);
    if (err == KH_E_NOT_FOUND) return KH_OK;
    if (err == KH_OK) err = d->read(d->self, f, 0, p, sizeof p, &n);
    if (f != NULL) d->close(d->self, f);
    if (err != KH_OK) return err;
    uint32_t cnt = n >= HEAD_SZ ? kh_load32(p + 4) : UINT32_MAX;
    if (cnt > KH_STATES_REFUSED || n != HEAD_SZ + (size_t)cnt * ENTRY_SZ || memcmp(p, magic, sizeof magic) != 0 ||
        kh_load64(p + 8) != kh_xxh3(p + HEAD_SZ, n - HEAD_SZ))
        return drop_file(s); /* it saves a fetch, and is not waited for */
    for (; s->refused_cnt < cnt; s->refused_cnt++) {
        const uint8_t *entry = p + HEAD_SZ + (size_t)s->refused_cnt * ENTRY_SZ;
        kh_state_refused *r = &s->refused[s->refused_cnt];
        *r = (kh_state_refused){.maker = kh_load32(entry + AT_MAKER), .is_false = true, .at_ns = kh_load64(entry + AT_TIME)};
        memcpy(r->id, entry, 32);
    }
    return KH_OK;
}

/* ---- refusing ---- */

/* Known on disk before its file goes: a crash between leaves what the next start takes away. Where the disk refuses that, it is
   known in memory alone. */
static kh_err refuse(kh_states *s, const kh_state_head *h, bool is_false)
{
    (void)pthread_mutex_lock(&s->lock);
    add(s, h, is_false);
    kh_states_forget(s, h);
    (void)pthread_mutex_unlock(&s->lock);
    kh_err saved = is_false ? save(s) : KH_OK;
    (void)saved;
    return kh_states_remove(s, h->height, ".state");
}

static bool held_of(kh_states *s, uint64_t height, kh_state_head *ret)
{
    (void)pthread_mutex_lock(&s->lock);
    const kh_state_head *held = kh_states_held_of(s, height);
    if (held != NULL) *ret = *held;
    (void)pthread_mutex_unlock(&s->lock);
    return held != NULL;
}

kh_err kh_states_refuse(kh_states *s, uint64_t height, uint32_t *ret_maker)
{
    kh_state_head h;
    kh_err err = KH_E_NOT_FOUND;
    (void)pthread_mutex_lock(&s->files);
    if (held_of(s, height, &h)) {
        *ret_maker = h.maker;
        err = refuse(s, &h, true);
    }
    (void)pthread_mutex_unlock(&s->files);
    return err;
}

/* Has a peer said to have another maker's, not refused? Lock held. */
static bool has_other(const kh_states *s, const kh_state_head *held)
{
    for (uint32_t i = 0; i < s->peer_cnt; i++)
        for (uint32_t k = 0; k < s->peers[i].head_cnt; k++) {
            const kh_state_head *h = &s->peers[i].heads[k];
            if (s->peers[i].up && s->peers[i].signed_well[k] && h->height == held->height && h->maker != held->maker &&
                !kh_states_is_refused(s, h->id))
                return true;
        }
    return false;
}

/* Counted of one state after the other: another's begins anew. */
static bool is_enough(kh_states *s, const kh_state_head *h)
{
    (void)pthread_mutex_lock(&s->lock);
    s->asks = true;
    if (memcmp(s->failed, h->id, 32) != 0) s->failed_cnt = 0;
    memcpy(s->failed, h->id, 32);
    bool enough = ++s->failed_cnt >= KH_STATES_TRIES && has_other(s, h);
    (void)pthread_mutex_unlock(&s->lock);
    return enough;
}

kh_err kh_states_leave(kh_states *s, uint64_t height, uint32_t *ret_maker)
{
    kh_state_head h;
    kh_err err = KH_E_NOT_FOUND;
    (void)pthread_mutex_lock(&s->files);
    if (held_of(s, height, &h)) err = is_enough(s, &h) ? refuse(s, &h, false) : KH_E_AGAIN;
    if (err != KH_E_NOT_FOUND && err != KH_E_AGAIN) *ret_maker = h.maker;
    (void)pthread_mutex_unlock(&s->files);
    return err;
}

void kh_states_forgive(kh_states *s)
{
    (void)pthread_mutex_lock(&s->files);
    (void)pthread_mutex_lock(&s->lock);
    s->refused_cnt = 0;
    (void)pthread_mutex_unlock(&s->lock);
    kh_err err = drop_file(s);
    (void)pthread_mutex_unlock(&s->files);
    (void)err; /* it lapses */
}
