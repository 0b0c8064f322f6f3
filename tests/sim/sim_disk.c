/* sim_disk: see the header. Names are flat strings; a directory is a name whose node says so. */
#include "sim_disk.h"
#include <stdio.h>
#include <stdlib.h>

#define SECTOR_SZ 512u
#define NAME_MAX_SZ 256
#define IN_FLIGHT_MAX 64u

typedef struct change { /* a write that is not durable yet; data NULL: a truncation to offset */
    uint64_t offset;
    size_t n;
    uint8_t *data;
} change;

typedef struct node {
    bool is_dir;
    uint32_t refs; /* names and open files, in either world */
    uint8_t *live, *kept;
    uint64_t live_sz, kept_sz;
    change *changes;
    uint32_t change_cnt, change_cap;
} node;

typedef struct name {
    char path[NAME_MAX_SZ];
    node *node;
} name;

typedef struct names {
    name *items;
    uint32_t cnt, cap;
} names;

/* A change of names: from "" is a creation, to "" a removal. */
typedef struct move {
    char from[NAME_MAX_SZ], to[NAME_MAX_SZ];
    node *node;
} move;

typedef struct flight {
    kh_file *file;
    change write;
    uint64_t tag;
    kh_err err;
} flight;

struct kh_file {
    node *node;
    int flags;
    uint32_t in_flight;
};

struct sim_disk {
    uint64_t random;
    names live, kept;
    move *moves;
    uint32_t move_cnt, move_cap;
    flight flights[IN_FLIGHT_MAX];
    uint32_t flight_cnt, open_cnt;
    uint64_t calls, cut_at, fail_at, reads, fail_read_at; /* call numbers; 0: never */
    kh_err fail_err, fail_read_err;
    bool fail_partly, cut, lie;
};

static void *must(void *p)
{
    if (p == NULL) abort();
    return p;
}

uint64_t sim_disk_random(sim_disk *sd)
{
    uint64_t z = sd->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* --- nodes --- */

static node *node_new(bool is_dir)
{
    node *n = must(calloc(1, sizeof *n));
    n->is_dir = is_dir;
    return n;
}

static void changes_clear(node *n)
{
    for (uint32_t i = 0; i < n->change_cnt; i++) free(n->changes[i].data);
    n->change_cnt = 0;
}

static void node_drop(node *n)
{
    if (--n->refs > 0) return;
    changes_clear(n);
    free(n->changes);
    free(n->live);
    free(n->kept);
    free(n);
}

static void resize(uint8_t **p, uint64_t *sz, uint64_t want)
{
    if (want > *sz) {
        *p = must(realloc(*p, want));
        memset(*p + *sz, 0, want - *sz);
    }
    *sz = want;
}

static void put(uint8_t **p, uint64_t *sz, uint64_t offset, const uint8_t *data, size_t n)
{
    if (n == 0) return;
    if (offset + n > *sz) resize(p, sz, offset + n);
    memcpy(*p + offset, data, n);
}

static void remember(node *n, change c)
{
    if (n->change_cnt == n->change_cap) {
        n->change_cap = n->change_cap == 0 ? 8 : 2 * n->change_cap;
        n->changes = must(realloc(n->changes, n->change_cap * sizeof *n->changes));
    }
    n->changes[n->change_cnt++] = c;
}

static change copied(uint64_t offset, const void *p, size_t n)
{
    change c = {.offset = offset, .n = n, .data = must(malloc(n + 1))};
    memcpy(c.data, p, n);
    return c;
}

static void make_durable(node *n)
{
    for (uint32_t i = 0; i < n->change_cnt; i++) {
        const change *c = &n->changes[i];
        if (c->data != NULL) put(&n->kept, &n->kept_sz, c->offset, c->data, c->n);
        else resize(&n->kept, &n->kept_sz, c->offset);
    }
    changes_clear(n);
}

/* Any of the write's sectors, by a pattern that favours all, none, a beginning and an end. */
static void put_some(sim_disk *sd, uint8_t **p, uint64_t *sz, const change *c)
{
    uint64_t sectors = (c->n + SECTOR_SZ - 1) / SECTOR_SZ, how = sim_disk_random(sd) % 6;
    uint64_t turn = sectors > 0 ? sim_disk_random(sd) % (sectors + 1) : 0;
    for (uint64_t i = 0; i < sectors; i++) {
        bool survives = how == 0 || (how == 1 && i < turn) || (how == 2 && i >= turn) ||
                        (how == 3 && sim_disk_random(sd) % 2 == 0) || (how == 4 && i != turn);
        size_t at = i * SECTOR_SZ, n = c->n - at < SECTOR_SZ ? c->n - at : SECTOR_SZ;
        if (survives) put(p, sz, c->offset + at, c->data + at, n);
    }
}

/* --- names --- */

static name *name_find(names *ns, const char *path)
{
    for (uint32_t i = 0; i < ns->cnt; i++)
        if (strcmp(ns->items[i].path, path) == 0) return &ns->items[i];
    return NULL;
}

static void name_put(names *ns, const char *path, node *n)
{
    name *old = name_find(ns, path);
    n->refs++;
    if (old != NULL) {
        node_drop(old->node);
        old->node = n;
        return;
    }
    if (ns->cnt == ns->cap) {
        ns->cap = ns->cap == 0 ? 16 : 2 * ns->cap;
        ns->items = must(realloc(ns->items, ns->cap * sizeof *ns->items));
    }
    memset(&ns->items[ns->cnt], 0, sizeof *ns->items);
    strcpy(ns->items[ns->cnt].path, path);
    ns->items[ns->cnt++].node = n;
}

static void name_remove(names *ns, const char *path)
{
    name *old = name_find(ns, path);
    if (old == NULL) return;
    node_drop(old->node);
    *old = ns->items[--ns->cnt];
}

static void names_clear(names *ns)
{
    for (uint32_t i = 0; i < ns->cnt; i++) node_drop(ns->items[i].node);
    ns->cnt = 0;
}

/* The length of the directory part of a path: of "a/b" 1, of "b" 0. */
static size_t parent_sz(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path);
}

static bool is_in(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return parent_sz(path) == n && strncmp(path, dir, n) == 0;
}

static const char *place_of(const move *m) { return m->to[0] != '\0' ? m->to : m->from; }

static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* A folder takes what is in it along. */
static void move_inside(names *ns, const move *m)
{
    for (uint32_t i = 0; i < ns->cnt; i++) {
        char moved[2 * NAME_MAX_SZ], *path = ns->items[i].path;
        if (!is_below(path, m->from)) continue;
        int n = snprintf(moved, sizeof moved, "%s%s", m->to, path + strlen(m->from));
        if (n < 0 || n >= NAME_MAX_SZ) abort();
        strcpy(path, moved);
    }
}

static void move_do(names *ns, const move *m)
{
    if (m->to[0] != '\0') name_put(ns, m->to, m->node);
    if (m->to[0] != '\0' && m->from[0] != '\0' && m->node->is_dir) move_inside(ns, m);
    if (m->from[0] != '\0') name_remove(ns, m->from);
    for (uint32_t i = ns->cnt; i-- > 0 && m->to[0] == '\0' && m->node->is_dir;)
        if (is_below(ns->items[i].path, m->from)) name_remove(ns, ns->items[i].path); /* removals in it that were not durable */
}

static void move_remember(sim_disk *sd, const char *from, const char *to, node *n)
{
    if (sd->move_cnt == sd->move_cap) {
        sd->move_cap = sd->move_cap == 0 ? 16 : 2 * sd->move_cap;
        sd->moves = must(realloc(sd->moves, sd->move_cap * sizeof *sd->moves));
    }
    move *m = &sd->moves[sd->move_cnt++];
    memset(m, 0, sizeof *m);
    strcpy(m->from, from);
    strcpy(m->to, to);
    m->node = n;
    n->refs++;
    move_do(&sd->live, m);
}

/* Of a folder that goes nothing more becomes durable; where it does not go after all, it is as it was. */
static void moves_drop(sim_disk *sd, const char *dir)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < sd->move_cnt; i++) {
        const move m = sd->moves[i];
        if (is_below(place_of(&m), dir)) node_drop(m.node);
        else sd->moves[left++] = m;
    }
    sd->move_cnt = left;
}

/* --- calls --- */

typedef enum verdict { GO, FAIL, FAIL_PARTLY, CUT_HERE, DEAD } verdict;

static verdict begin(sim_disk *sd)
{
    if (sd->cut) return DEAD;
    sd->calls++;
    if (sd->cut_at != 0 && sd->calls >= sd->cut_at) {
        sd->cut = true;
        return CUT_HERE;
    }
    if (sd->fail_at != 0 && sd->calls >= sd->fail_at) {
        sd->fail_at = 0;
        return sd->fail_partly ? FAIL_PARTLY : FAIL;
    }
    return GO;
}

static kh_err end(const sim_disk *sd, verdict v) { return v == GO ? KH_OK : v == CUT_HERE || v == DEAD ? KH_E_IO : sd->fail_err; }

static kh_err sim_open(void *self, const char *path, int flags, kh_file **ret)
{
    sim_disk *sd = self;
    if (sd->cut) return KH_E_IO;
    if (strlen(path) >= NAME_MAX_SZ) return KH_E_ARG;
    name *found = name_find(&sd->live, path);
    if (found != NULL && (flags & KH_OPEN_EXCLUSIVE) != 0) return KH_E_EXISTS;
    if (found != NULL && found->node->is_dir) return KH_E_IO;
    if (found == NULL && (flags & KH_OPEN_CREATE) == 0) return KH_E_NOT_FOUND;
    node *n = found != NULL ? found->node : NULL;
    if (n == NULL) {
        verdict v = begin(sd);
        if (v == GO || v == CUT_HERE) move_remember(sd, "", path, n = node_new(false));
        if (v != GO) return end(sd, v);
    }
    kh_file *f = must(calloc(1, sizeof *f));
    f->node = n;
    f->flags = flags;
    n->refs++;
    sd->open_cnt++;
    *ret = f;
    return KH_OK;
}

static void sim_close(void *self, kh_file *f)
{
    if (f == NULL) return;
    if (f->in_flight > 0) abort();
    ((sim_disk *)self)->open_cnt--;
    node_drop(f->node);
    free(f);
}

static kh_err sim_size(void *self, kh_file *f, uint64_t *ret)
{
    if (((sim_disk *)self)->cut) return KH_E_IO;
    *ret = f->node->live_sz;
    return KH_OK;
}

static kh_err sim_truncate(void *self, kh_file *f, uint64_t size)
{
    verdict v = begin(self);
    if (v == GO || v == CUT_HERE) {
        resize(&f->node->live, &f->node->live_sz, size);
        remember(f->node, (change){.offset = size});
    }
    return end(self, v);
}

static kh_err sim_read(void *self, kh_file *f, uint64_t offset, void *p, size_t n, size_t *ret_n)
{
    sim_disk *sd = self;
    if (sd->cut) return KH_E_IO;
    if (sd->fail_read_at != 0 && ++sd->reads >= sd->fail_read_at) {
        sd->fail_read_at = 0;
        return sd->fail_read_err;
    }
    uint64_t there = offset < f->node->live_sz ? f->node->live_sz - offset : 0;
    size_t got = there < n ? (size_t)there : n;
    if (got > 0) memcpy(p, f->node->live + offset, got);
    *ret_n = got;
    return KH_OK;
}

static bool is_durable(const sim_disk *sd, const kh_file *f) { return (f->flags & KH_OPEN_DURABLE) != 0 && !sd->lie; }

static bool is_aligned(const kh_file *f, uint64_t offset, const void *p, size_t n)
{
    return (f->flags & KH_OPEN_DURABLE) == 0 || (offset % 4096 == 0 && (uintptr_t)p % 4096 == 0 && n % 4096 == 0);
}

static void write_some(sim_disk *sd, node *n, const change *c)
{
    uint64_t random = sd->random;
    put_some(sd, &n->live, &n->live_sz, c);
    sd->random = random; /* the same sectors in both worlds */
    put_some(sd, &n->kept, &n->kept_sz, c);
}

static kh_err sim_write(void *self, kh_file *f, uint64_t offset, const void *p, size_t n)
{
    sim_disk *sd = self;
    if ((f->flags & KH_OPEN_WRITE) == 0) return KH_E_IO;
    if (!is_aligned(f, offset, p, n)) return KH_E_ARG;
    verdict v = begin(sd);
    if (v == GO || v == CUT_HERE) {
        put(&f->node->live, &f->node->live_sz, offset, p, n);
        remember(f->node, copied(offset, p, n));
        if (v == GO && is_durable(sd, f)) make_durable(f->node);
    } else if (v == FAIL_PARTLY) {
        change c = copied(offset, p, n);
        write_some(sd, f->node, &c);
        free(c.data);
    }
    return end(sd, v);
}

static kh_err sim_sync(void *self, kh_file *f)
{
    sim_disk *sd = self;
    verdict v = begin(sd);
    if (v == GO && !sd->lie) make_durable(f->node);
    return end(sd, v);
}

static kh_err sim_submit(void *self, kh_file *f, uint64_t offset, const void *p, size_t n, uint64_t tag)
{
    sim_disk *sd = self;
    if (n == 0 || !is_aligned(f, offset, p, n)) return KH_E_ARG;
    if (sd->flight_cnt == IN_FLIGHT_MAX) return KH_E_AGAIN;
    verdict v = begin(sd);
    if (v == DEAD) return KH_E_IO;
    kh_err err = (f->flags & KH_OPEN_WRITE) == 0 ? KH_E_IO : end(sd, v == CUT_HERE ? GO : v);
    sd->flights[sd->flight_cnt++] = (flight){.file = f, .write = copied(offset, p, n), .tag = tag, .err = err};
    f->in_flight++;
    return KH_OK;
}

/* Once power is gone all ends at once, in failure; what was under way may have reached the disk in part. */
static uint32_t sim_poll(void *self, kh_disk_done *ret, uint32_t max, uint64_t wait_ns)
{
    sim_disk *sd = self;
    uint32_t done = 0;
    if (sd->flight_cnt == 0 || max == 0) return 0;
    uint32_t some = (uint32_t)(sim_disk_random(sd) % (sd->flight_cnt + 1));
    if (some == 0 && wait_ns > 0) some = 1;
    if (some > 0) (void)(begin(sd) == FAIL); /* faults of writes are planned at their submission */
    if (sd->cut) some = sd->flight_cnt;
    while (done < max && done < some) {
        uint32_t i = (uint32_t)(sim_disk_random(sd) % sd->flight_cnt);
        flight w = sd->flights[i];
        sd->flights[i] = sd->flights[--sd->flight_cnt];
        node *n = w.file->node;
        w.file->in_flight--;
        if (sd->cut) {
            if (w.err == KH_OK) remember(n, w.write);
            else free(w.write.data);
            w.err = KH_E_IO;
        } else if (w.err == KH_OK) {
            put(&n->live, &n->live_sz, w.write.offset, w.write.data, w.write.n);
            if (is_durable(sd, w.file)) {
                put(&n->kept, &n->kept_sz, w.write.offset, w.write.data, w.write.n);
                free(w.write.data);
            } else {
                remember(n, w.write);
            }
        } else {
            if (sd->fail_partly) write_some(sd, n, &w.write);
            free(w.write.data);
        }
        ret[done++] = (kh_disk_done){.tag = w.tag, .err = w.err};
    }
    return done;
}

static kh_err sim_rename(void *self, const char *from, const char *to)
{
    sim_disk *sd = self;
    if (sd->cut) return KH_E_IO;
    if (strlen(to) >= NAME_MAX_SZ) return KH_E_ARG;
    const name *found = name_find(&sd->live, from);
    if (found == NULL) return KH_E_NOT_FOUND;
    for (uint32_t i = 0; i < sd->move_cnt && found->node->is_dir; i++)
        if (is_below(place_of(&sd->moves[i]), from)) abort(); /* see the header */
    for (uint32_t i = 0; i < sd->live.cnt && found->node->is_dir; i++)
        if (is_below(sd->live.items[i].path, to)) return KH_E_EXISTS;
    verdict v = begin(sd);
    if (v == GO || v == CUT_HERE) move_remember(sd, from, to, found->node);
    return end(sd, v);
}

static kh_err sim_remove(void *self, const char *path)
{
    sim_disk *sd = self;
    if (sd->cut) return KH_E_IO;
    const name *found = name_find(&sd->live, path);
    if (found == NULL) return KH_E_NOT_FOUND;
    for (uint32_t i = 0; i < sd->live.cnt; i++)
        if (is_in(sd->live.items[i].path, path)) return KH_E_EXISTS;
    verdict v = begin(sd);
    if (found->node->is_dir) moves_drop(sd, path);
    if (v == GO || v == CUT_HERE) move_remember(sd, path, "", found->node);
    return end(sd, v);
}

static kh_err sim_make_dir(void *self, const char *path)
{
    sim_disk *sd = self;
    if (sd->cut) return KH_E_IO;
    if (strlen(path) >= NAME_MAX_SZ) return KH_E_ARG;
    if (name_find(&sd->live, path) != NULL) return KH_E_EXISTS;
    verdict v = begin(sd);
    if (v == GO || v == CUT_HERE) move_remember(sd, "", path, node_new(true));
    return end(sd, v);
}

static kh_err sim_sync_dir(void *self, const char *path)
{
    sim_disk *sd = self;
    verdict v = begin(sd);
    uint32_t left = 0;
    if (v != GO) return end(sd, v);
    for (uint32_t i = 0; i < sd->move_cnt; i++) {
        const move m = sd->moves[i];
        if (sd->lie || !is_in(place_of(&m), path)) {
            sd->moves[left++] = m;
            continue;
        }
        move_do(&sd->kept, &m);
        node_drop(m.node);
    }
    sd->move_cnt = left;
    return KH_OK;
}

static kh_err sim_list(void *self, const char *path, void (*each)(void *ctx, const char *name), void *ctx)
{
    sim_disk *sd = self;
    if (sd->cut) return KH_E_IO;
    const name *dir = name_find(&sd->live, path);
    if (dir != NULL && !dir->node->is_dir) return KH_E_IO;
    for (uint32_t i = 0; i < sd->live.cnt; i++)
        if (is_in(sd->live.items[i].path, path)) each(ctx, sd->live.items[i].path + strlen(path) + (path[0] != '\0'));
    return KH_OK;
}

/* --- from outside --- */

sim_disk *sim_disk_new(uint64_t seed)
{
    sim_disk *sd = must(calloc(1, sizeof *sd));
    sd->random = seed;
    return sd;
}

static void moves_clear(sim_disk *sd)
{
    for (uint32_t i = 0; i < sd->move_cnt; i++) node_drop(sd->moves[i].node);
    sd->move_cnt = 0;
}

void sim_disk_free(sim_disk *sd)
{
    if (sd->open_cnt > 0 || sd->flight_cnt > 0) abort();
    moves_clear(sd);
    names_clear(&sd->live);
    names_clear(&sd->kept);
    free(sd->live.items);
    free(sd->kept.items);
    free(sd->moves);
    free(sd);
}

kh_disk sim_disk_table(sim_disk *sd)
{
    return (kh_disk){.open = sim_open,
                     .close = sim_close,
                     .size = sim_size,
                     .truncate = sim_truncate,
                     .read = sim_read,
                     .write = sim_write,
                     .sync = sim_sync,
                     .submit_write = sim_submit,
                     .poll = sim_poll,
                     .rename = sim_rename,
                     .remove = sim_remove,
                     .make_dir = sim_make_dir,
                     .sync_dir = sim_sync_dir,
                     .list = sim_list,
                     .self = sd};
}

uint64_t sim_disk_calls(const sim_disk *sd) { return sd->calls; }
void sim_disk_cut_after(sim_disk *sd, uint64_t n) { sd->cut_at = sd->calls + n + 1; }
bool sim_disk_is_cut(const sim_disk *sd) { return sd->cut; }
void sim_disk_lie(sim_disk *sd, bool lie) { sd->lie = lie; }

void sim_disk_fail_after(sim_disk *sd, uint64_t n, kh_err err, bool partly)
{
    sd->fail_at = sd->calls + n + 1;
    sd->fail_err = err;
    sd->fail_partly = partly;
}

void sim_disk_fail_read_after(sim_disk *sd, uint64_t n, kh_err err)
{
    sd->fail_read_at = sd->reads + n + 1;
    sd->fail_read_err = err;
}

/* Of each directory a prefix of its changes survives; one that did not survive takes all of its later ones with it. */
static void moves_survive(sim_disk *sd)
{
    char stopped[64][NAME_MAX_SZ];
    uint32_t stopped_cnt = 0;
    for (uint32_t i = 0; i < sd->move_cnt; i++) {
        const move *m = &sd->moves[i];
        bool survives = true;
        for (uint32_t j = 0; j < stopped_cnt && survives; j++) survives = !is_in(place_of(m), stopped[j]);
        if (!survives) continue;
        if (stopped_cnt == 64) break;
        if (sim_disk_random(sd) % 3 != 0) {
            move_do(&sd->kept, m);
            continue;
        }
        memset(stopped[stopped_cnt], 0, NAME_MAX_SZ);
        memcpy(stopped[stopped_cnt++], place_of(m), parent_sz(place_of(m)));
    }
    moves_clear(sd);
}

static void node_survives(sim_disk *sd, node *n)
{
    for (uint32_t i = 0; i < n->change_cnt; i++) {
        const change *c = &n->changes[i];
        if (c->data != NULL) put_some(sd, &n->kept, &n->kept_sz, c);
        else if (sim_disk_random(sd) % 2 == 0) resize(&n->kept, &n->kept_sz, c->offset);
    }
    changes_clear(n);
    n->live_sz = 0;
    put(&n->live, &n->live_sz, 0, n->kept, n->kept_sz);
}

void sim_disk_restart(sim_disk *sd)
{
    if (sd->open_cnt > 0 || sd->flight_cnt > 0) abort();
    moves_survive(sd);
    names_clear(&sd->live);
    for (uint32_t i = 0; i < sd->kept.cnt; i++) {
        node_survives(sd, sd->kept.items[i].node);
        name_put(&sd->live, sd->kept.items[i].path, sd->kept.items[i].node);
    }
    sd->cut = false;
    sd->cut_at = sd->fail_at = sd->fail_read_at = 0;
}

bool sim_disk_rot(sim_disk *sd, const char *path, uint64_t offset, uint8_t mask)
{
    const name *found = name_find(&sd->live, path);
    if (found == NULL || offset >= found->node->live_sz) return false;
    found->node->live[offset] ^= mask;
    if (offset < found->node->kept_sz) found->node->kept[offset] ^= mask;
    return true;
}
