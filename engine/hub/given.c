/* given: what this hub was given with the state of a checkpoint, and has not executed. DIR/outputs/given has that height.
 *
 * No digest covers what a maker writes there of banks: counts, heads, outcomes of heights before. So of heights up to the state's
 * this hub says only what a quorum says, or it said itself, or what is of its own making (a state that it made before it lost
 * all); and of those above, and of what it gives, nothing until one of them is what other hubs say. What a quorum says otherwise
 * ends it for good, whenever that is known: before it is written, or with the quorum. Where nobody says anything it cannot wait
 * for ever: with two hubs no height is attested without its word. The other hub's is enough then, and where there is none, or of
 * three and more one alone speaks, some minutes in which nobody contradicts. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "hub/parts.h"

#define LOOK_NS (KH_NS_PER_S / 10)
#define LOOK_BACK 32u /* heights that are looked at again: words of the newest come while it executes the next */
#define PATIENCE_NS (300 * KH_NS_PER_S)

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

kh_err kh_given_open(kh_hub *h)
{
    char path[1024];
    uint8_t p[KH_GIVEN_SZ];
    uint64_t size = 0;
    size_t got = 0;
    kh_file *f = NULL;
    const kh_disk *d = h->options.disk;
    atomic_store_explicit(&h->given.sure, true, memory_order_relaxed);
    int n = snprintf(path, sizeof path, "%s/outputs/given", h->options.dir);
    if (n < 0 || (size_t)n >= sizeof path) return KH_E_ARG;
    kh_err err = d->open(d->self, path, KH_OPEN_READ, &f);
    if (err != KH_OK) return err == KH_E_NOT_FOUND ? KH_OK : err; /* all that is here it executed */
    err = d->size(d->self, f, &size);
    if (err == KH_OK && size != sizeof p) err = KH_E_DAMAGED;
    if (err == KH_OK) err = d->read(d->self, f, 0, p, sizeof p, &got);
    d->close(d->self, f);
    if (err == KH_OK && (got != sizeof p || memcmp(p, KH_GIVEN_MAGIC, 4) != 0)) err = KH_E_DAMAGED;
    if (err != KH_OK) return err;
    h->given.own = kh_load32(p + KH_GIVEN_AT_OWN) != 0;
    h->given.height = kh_load64(p + KH_GIVEN_AT_HEIGHT);
    atomic_store_explicit(&h->given.sure, false, memory_order_relaxed);
    return KH_OK;
}

bool kh_given_sure(const kh_hub *h) { return atomic_load_explicit(&h->given.sure, memory_order_acquire); }

static bool words_of(kh_hub *h, uint64_t height, const uint8_t post[KH_POST_SZ], uint32_t checkpoint, kh_node_said *ret)
{
    uint32_t losses = kh_load32(post + 96);
    if (losses == KH_LOSSES_UNSAID) return false;
    kh_node_words(h->options.node, height, post, post + 32, post + 64, kh_attest_flags(losses, checkpoint), ret);
    return true;
}

bool kh_given_may_say(kh_hub *h, uint64_t height, const uint8_t post[KH_POST_SZ], uint32_t checkpoint)
{
    kh_node_said said;
    if (height > h->given.height) return kh_given_sure(h);
    return h->given.own || (words_of(h, height, post, checkpoint, &said) && (said.own || said.same >= said.quorum));
}

/* ---- beside what others say ---- */

static bool agreed(const kh_given *g, uint64_t height, const kh_node_said *said)
{
    if (said->others == 0 || said->own || said->same >= said->quorum) return true;
    if (said->others < said->quorum && said->same == said->others) return true;
    return g->waited && height > g->attested && said->differ == 0;
}

kh_err kh_given_compare(kh_hub *h, uint64_t height, const uint8_t post[KH_POST_SZ])
{
    kh_node_said said;
    kh_given *g = &h->given;
    if (!words_of(h, height, post, 0, &said)) return KH_OK;
    if (said.differ >= said.quorum) {
        kh_err err = kh_differs_note(h, height);
        h->options.alert(h->options.ctx, "EXECUTION_DIFFERS", 0, height);
        return err != KH_OK ? err : KH_E_DAMAGED;
    }
    if (kh_given_sure(h) || height <= g->height) return KH_OK;
    if (agreed(g, height, &said)) {
        atomic_store_explicit(&g->sure, true, memory_order_release);
        g->late = true;
    } else if (said.differ != 0 && !g->doubted) {
        g->doubted = true;
        h->options.alert(h->options.ctx, "EXECUTION_DOUBTED", 0, height);
    }
    return KH_OK;
}

static kh_err compare_at(kh_hub *h, uint64_t height)
{
    uint8_t *post = NULL;
    size_t n = 0;
    uint64_t found = 0;
    kh_err err = kh_heights_at(h->banks.posts, height, &found, &post, &n);
    bool there = err == KH_OK && found == height && n == KH_POST_SZ && height > h->given.height;
    err = there ? kh_given_compare(h, height, post) : KH_OK; /* what cannot be read shows where it is needed */
    free(post);
    return err;
}

static void attested_so_far(void *ctx, kh_order *order)
{
    uint8_t posted[32];
    *(uint64_t *)ctx = kh_order_attested(order, posted);
}

kh_err kh_given_look(kh_hub *h)
{
    kh_given *g = &h->given;
    uint64_t now = monotonic_ns(), attested = 0, newest = kh_heights_newest(h->banks.posts);
    kh_err err = KH_OK;
    if (now - g->looked_ns < LOOK_NS) return KH_OK;
    g->looked_ns = now;
    kh_node_read(h->options.node, attested_so_far, &attested);
    if (attested != g->attested && attested <= newest) err = compare_at(h, attested);
    /* Only where no quorum goes on without this hub: a height below may be one that nobody remembers words of. */
    if (attested != g->attested || newest <= attested || newest <= g->height || g->since_ns == 0) g->since_ns = now;
    if (attested <= newest) g->attested = attested;
    g->waited = now - g->since_ns >= (h->options.patience_ns != 0 ? h->options.patience_ns : PATIENCE_NS);
    uint64_t at = kh_max64(g->height, newest > LOOK_BACK ? newest - LOOK_BACK : 0);
    for (; err == KH_OK && at < newest && !kh_given_sure(h); at++) err = compare_at(h, at + 1);
    return err;
}

void kh_given_say_late(kh_hub *h)
{
    if (!h->given.late) return;
    h->given.late = false;
    kh_outputs_again(h);
    kh_checkpoints_again(h);
}
