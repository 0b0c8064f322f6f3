/* join: a hub that begins with its peers' state of a checkpoint (states/join.h). It began with a snapshot of the order,
 * or is about to; until the state is here it keeps the order, executes and answers nothing, as one does that is no member yet. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>
#include "member/parts.h"
#include "states/join.h"
#include "host/host.h"

#define LOOK_MS 1000u
#define AGAIN_LOOKS 10u                /* after one that failed by this machine's fault, */
#define ANSWER_NS KH_NS_PER_S          /* how long who is slower than the first peers is waited for, */
#define ALONE_NS (5 * KH_NS_PER_S)     /* for another than the one who has answered, and */
#define PATIENCE_NS (30 * KH_NS_PER_S) /* how long the first one */
#define STUCK_NS (300 * KH_NS_PER_S)   /* a state of which nothing comes so long is passed over, */
#define PASSED_NS (1800 * KH_NS_PER_S) /* so long, where the order names another */

/* ---- which snapshot ---- */

uint64_t kh_cluster_join_upto(kh_cluster *c)
{
    const kh_clock *clock = c->options.clock;
    uint64_t begun = clock->monotonic(clock->self), since = 0, newest = 0;
    uint32_t answers = 0;
    for (;;) {
        uint64_t now = clock->monotonic(clock->self), found = kh_states_of_peers(c->states, &answers);
        if (found != newest || (answers != 0 && since == 0)) since = now;
        newest = found; /* less where one was alone with what it said */
        if (newest != 0 && now - since >= (answers > 1 ? ANSWER_NS : ALONE_NS)) return newest;
        if (now - begun >= PATIENCE_NS || !kh_cluster_pauses(c, 100)) return newest;
    }
}

/* ---- which state ---- */

typedef struct choosing {
    kh_order_state of[KH_STATES], chosen;
    uint64_t base, had;
    uint64_t pieces, moved_ns;        /* of the chosen one: as many were there, since then */
    uint64_t passed, passed_until_ns; /* 0: none */
} choosing;

static void choose(void *ctx, kh_order *order)
{
    choosing *w = ctx;
    static const int turns[] = {KH_STATE_HELD, KH_STATE_WANTED, KH_STATE_HELD_BEFORE}; /* what many hold before what few do */
    kh_order_states(order, w->of);
    w->chosen = (kh_order_state){0};
    for (int i = 0; i < KH_STATES; i++) /* what is being fetched stays it */
        if (w->had != 0 && w->of[i].height == w->had) w->chosen = w->of[i];
    for (size_t i = 0; i < sizeof turns / sizeof turns[0] && w->chosen.height == 0; i++)
        if (w->of[turns[i]].height >= w->base && w->of[turns[i]].height != w->passed) w->chosen = w->of[turns[i]];
    for (size_t i = 0; i < sizeof turns / sizeof turns[0] && w->chosen.height == 0; i++) /* or there is no other */
        if (w->of[turns[i]].height >= w->base) w->chosen = w->of[turns[i]];
}

/* Nobody has it, or only such as was refused: another height's may be had. */
static void pass_over(kh_cluster *c, choosing *w)
{
    kh_states_counts counts;
    uint64_t now = c->options.clock->monotonic(c->options.clock->self);
    kh_states_count(c->states, &counts);
    uint64_t there = counts.wanted == w->chosen.height ? counts.pieces_there : 0;
    if (now >= w->passed_until_ns) w->passed = 0;
    if (w->chosen.height == 0 || w->chosen.height != w->had || there != w->pieces || kh_states_holds(c->states, w->chosen.height))
        w->moved_ns = now;
    w->pieces = there;
    if (now - w->moved_ns < STUCK_NS) return;
    KH_LOG(c->options.logging, KH_LEVEL_WARNING, "state_passed_over", {"height", NULL, w->chosen.height},
           {"do", "nothing where peers have another; else look at the links: a state is given by those who hold it", 0});
    w->passed = w->chosen.height;
    w->passed_until_ns = now + PASSED_NS;
    w->moved_ns = now;
    w->chosen = (kh_order_state){0};
}

/* ---- opening it ---- */

typedef struct opening {
    kh_cluster *cluster;
    kh_state_reader *reader;
} opening;

static const kh_box *box_of(void *ctx, uint32_t epoch)
{
    kh_cluster *c = ctx;
    const kh_cluster_keys *k = c->options.keys;
    if (epoch == 0 || epoch > KH_CLUSTER_EPOCHS_MAX) return NULL;
    if (k->groups[epoch - 1] == NULL && !kh_cluster_group_wanted(c, epoch)) return NULL;
    return k->groups[epoch - 1];
}

static bool secret_of(void *ctx, uint32_t epoch, uint8_t ret[KH_SECRET_SZ])
{
    kh_cluster *c = ctx;
    if (box_of(c, epoch) == NULL) return false;
    memcpy(ret, c->options.keys->group_secrets[epoch - 1], KH_SECRET_SZ);
    return true;
}

static kh_err read_on(void *ctx, void *p, size_t n, size_t *ret_n)
{
    const opening *o = ctx;
    return kh_cluster_pauses(o->cluster, 0) ? kh_state_reader_read(o->reader, p, n, ret_n) : KH_E_AGAIN;
}

static void chain_of(void *ctx, kh_order *order) { kh_order_chain(order, ctx); }

/* The order must not be cut below it by a crash: what is joined stands behind it. */
static bool order_is_durable(kh_cluster *c, uint64_t height)
{
    kh_cluster_save(c, c->options.clock->monotonic(c->options.clock->self));
    (void)pthread_mutex_lock(&c->saving);
    bool durable = c->saved_height >= height;
    (void)pthread_mutex_unlock(&c->saving);
    return durable;
}

/* What this node saw of it above the snapshot that it began with, or the order remembers. */
static bool differs(void *ctx, uint64_t height, const uint8_t *post, bool checkpoint)
{
    const kh_cluster *c = ctx;
    kh_node_said said;
    uint32_t flags = kh_attest_flags(kh_load32(post + 96), checkpoint ? KH_ATTEST_CHECKPOINT : 0);
    kh_node_words(c->node, height, post, post + 32, post + 64, flags, &said);
    return said.differ >= said.quorum;
}

static kh_err make(kh_cluster *c, const kh_order_state *of, uint32_t epoch, bool own, const kh_checkpoint_source *from, char *why,
                   size_t cap)
{
    uint8_t chain[32];
    kh_kept_hash hash;
    kh_kept_member *members = NULL;
    kh_disk disk;
    const kh_store_options store = {.clock = c->options.clock, .disk = &disk, .entropy = c->options.entropy};
    kh_join join = {.store = &store,
                    .dir = c->options.config->data,
                    .suite = c->options.genesis->suite,
                    .chain = chain,
                    .height = of->height,
                    .epoch = epoch,
                    .posted = of->posted,
                    .app_hash = hash.app_hash,
                    .own = own,
                    .differs = differs,
                    .secret_of = secret_of,
                    .ctx = c};
    kh_node_read(c->node, chain_of, chain);
    kh_err err = kh_kept_hash_at(c->kept, of->height, &hash);
    if (err == KH_OK) err = kh_kept_members(c->kept, of->height, &members, &join.member_cnt);
    join.members = members;
    if (err != KH_OK) (void)kh_cluster_say(why, cap, "the order at that height: %s", kh_err_text(err));
    if (err == KH_OK) err = kh_host_disk_open(false, &disk);
    if (err == KH_OK) {
        err = kh_join_make(&join, from, why, cap);
        kh_host_disk_close(&disk);
    }
    free(members);
    return err;
}

static void epoch_now(void *ctx, kh_order *order)
{
    kh_order_hubs hubs;
    kh_order_hub_set(order, &hubs);
    *(uint32_t *)ctx = hubs.epoch;
}

/* Whoever seals to another epoch than the hubs' of the height lies: a key that nobody has is not waited for. */
static kh_err epoch_is(kh_cluster *c, const kh_order_state *of, uint32_t epoch, char *why, size_t cap)
{
    uint8_t named[KH_PUBLIC_SZ];
    uint32_t newest = 0;
    kh_node_read(c->node, epoch_now, &newest);
    uint32_t of_height = newest;
    kh_err err = kh_cluster_group_at(c, of->height, &of_height, named);
    if (err != KH_OK && err != KH_E_NOT_FOUND) return err; /* NOT_FOUND: it is of the snapshot itself, whose block is not here */
    if (err == KH_OK ? epoch == of_height : epoch <= newest) return KH_OK;
    (void)kh_cluster_say(why, cap, "it is sealed to the group's key of epoch %u, and the hubs' epoch was %u", epoch, of_height);
    return KH_E_FORMAT;
}

/* Where the group's key here is not the one that the order names, nothing that it does not open is anybody's lie. */
static kh_err key_is(kh_cluster *c, const kh_order_state *of, uint32_t epoch, char *why, size_t cap)
{
    uint8_t named[KH_PUBLIC_SZ], have[KH_PUBLIC_SZ];
    uint32_t named_epoch = 0;
    kh_err err = kh_cluster_group_at(c, of->height, &named_epoch, named);
    if (err == KH_E_NOT_FOUND) return KH_OK; /* it is that of the snapshot, whose blocks are not here */
    if (err != KH_OK) return err;
    kh_box_public(box_of(c, epoch), have);
    if (memcmp(have, named, sizeof have) == 0) return KH_OK;
    (void)kh_cluster_say(why, cap, "group.%u.key is not the key that the officers named", epoch);
    return KH_E_CLOSED;
}

/* What is made of it stands beside it until the restart. */
static kh_err has_room(kh_cluster *c, const kh_state_of *is, char *why, size_t cap)
{
    uint64_t room = kh_cluster_room(c);
    if (room >= is->size + KH_STATES_ROOM) return KH_OK;
    (void)kh_cluster_say(why, cap, "%llu MiB of the disk are free, and it takes %llu", (unsigned long long)room >> 20,
                         (unsigned long long)(is->size + KH_STATES_ROOM) >> 20);
    return KH_E_NOSPACE;
}

static kh_err open_state(kh_cluster *c, const kh_order_state *of, char *why, size_t cap)
{
    opening o = {.cluster = c};
    kh_state_of is = {0};
    const kh_checkpoint_source from = {read_on, &o};
    if (!order_is_durable(c, of->height)) return KH_E_AGAIN;
    kh_err err = kh_states_read(c->states, of->height, box_of, c, &is, &o.reader);
    kh_err fits = err == KH_OK || err == KH_E_CLOSED ? epoch_is(c, of, is.epoch, why, cap) : KH_OK;
    if (fits != KH_OK) err = fits;
    if (err == KH_OK) err = key_is(c, of, is.epoch, why, cap);
    if (err == KH_OK) err = has_room(c, &is, why, cap);
    if (err == KH_OK) err = make(c, of, is.epoch, is.maker == c->options.config->cluster.member, &from, why, cap);
    kh_state_reader_close(o.reader);
    return err;
}

/* What cannot be taken, though nobody can say that it is false, may be larger than its maker's checkpoint is: another hub's is
 * asked for, where there is one. */
static void try_another(kh_cluster *c, uint64_t height)
{
    uint32_t maker = 0;
    if (kh_states_leave(c->states, height, &maker) == KH_OK)
        KH_LOG(c->options.logging, KH_LEVEL_WARNING, "state_left", {"height", NULL, height}, {"maker", NULL, maker},
               {"do", "nothing here: another hub's is asked for", 0});
}

/* Whoever made it lies; another hub's is asked for. */
static void refuse(kh_cluster *c, uint64_t height, const char *why)
{
    uint32_t maker = 0;
    kh_err err = kh_states_refuse(c->states, height, &maker);
    KH_LOG(c->options.logging, KH_LEVEL_ERROR, "state_false", {"height", NULL, height}, {"maker", NULL, maker}, {"why", why, 0},
           {"do", "nothing here: another hub's is asked for; ask that hub's operator", 0});
    if (err == KH_OK) kh_cluster_alert(c, "STATE_FALSE", maker, height);
}

/* False: not now, and not soon. */
static bool join(kh_cluster *c, const kh_order_state *of)
{
    char why[400] = "";
    kh_err err = open_state(c, of, why, sizeof why);
    if (err == KH_OK) {
        KH_LOG(c->options.logging, KH_LEVEL_INFO, "state_taken", {"height", NULL, of->height},
               {"do", "nothing: started again this hub goes on behind it", 0});
        atomic_store(&c->joined, true);
    } else if (err == KH_E_FORMAT) refuse(c, of->height, why);
    else if (err != KH_E_AGAIN && err != KH_E_NOT_FOUND) {
        KH_LOG(c->options.logging, KH_LEVEL_WARNING, "state_not_taken", {"height", NULL, of->height},
               {"why", why[0] != '\0' ? why : kh_err_text(err), 0},
               {"do", "look at the keys of the group, memory and the disk; it is tried again", 0});
        try_another(c, of->height);
        return false;
    }
    return true;
}

/* ---- the thread ---- */

static void *run(void *arg)
{
    kh_cluster *c = arg;
    choosing w = {0};
    uint32_t rests = 0;
    while (kh_cluster_pauses(c, LOOK_MS) && !atomic_load(&c->joined)) {
        w.base = kh_kept_base(c->kept);
        if (w.base == 0 || (rests > 0 && --rests > 0)) continue;
        w.had = w.chosen.height;
        kh_node_read(c->node, choose, &w);
        atomic_store_explicit(&c->state_asked, w.chosen.height, memory_order_relaxed);
        if (w.chosen.height != w.had)
            KH_LOG(c->options.logging, KH_LEVEL_INFO, "state_wanted", {"height", NULL, w.chosen.height}, {"base", NULL, w.base});
        pass_over(c, &w);
        if (w.chosen.height != 0 && kh_states_holds(c->states, w.chosen.height) && !join(c, &w.chosen)) rests = AGAIN_LOOKS;
    }
    return NULL;
}

bool kh_cluster_join_run(kh_cluster *c, char *why, size_t cap)
{
    if (!c->waits) {
        kh_states_forgive(c->states);
        return true;
    }
    c->joins = pthread_create(&c->joiner, NULL, run, c) == 0;
    return c->joins || kh_cluster_say(why, cap, "no thread could be made");
}

void kh_cluster_join_end(kh_cluster *c)
{
    if (c->joins) (void)pthread_join(c->joiner, NULL);
    c->joins = false;
}

/* ---- at the start ---- */

/* Not under the feet of one that still runs: the store's own lock is taken when it is opened, which is after this. */
static bool is_free(const char *dir, int *ret_fd)
{
    char path[KH_CONFIG_PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    *ret_fd = open(path, O_RDWR | O_CLOEXEC);
    return *ret_fd < 0 || flock(*ret_fd, LOCK_EX | LOCK_NB) == 0;
}

bool kh_cluster_take_joined(const char *dir, kh_logging *logging, char *why, size_t cap)
{
    kh_disk disk;
    bool taken = false;
    int fd = -1;
    kh_err err = kh_host_disk_open(false, &disk);
    if (err != KH_OK) return kh_cluster_say(why, cap, "%s", kh_err_text(err));
    if (is_free(dir, &fd)) err = kh_join_take(&disk, dir, &taken); /* else the store says whose it is */
    if (fd >= 0) (void)close(fd);
    kh_host_disk_close(&disk);
    if (err != KH_OK)
        return kh_cluster_say(why, cap, "the state that was taken of peers cannot be put in its place in %s: %s", dir,
                              kh_err_text(err));
    if (taken) KH_LOG(logging, KH_LEVEL_INFO, "state_in_place", {"dir", dir, 0});
    return true;
}

void kh_cluster_wait(kh_cluster *c, const char *why)
{
    c->waits = c->follows = true;
    kh_cluster_note_why(c, why);
    KH_LOG(c->options.logging, KH_LEVEL_WARNING, "waits", {"member", NULL, c->options.config->cluster.member}, {"why", why, 0},
           {"do", "nothing where this hub begins with its peers' state (docs/OPERATIONS.md): it goes on by itself", 0});
}
