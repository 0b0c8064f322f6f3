/* store, an opening with a long tail: the pages of the image in the file cache are given up, for the tail's rows need memory. */
#include "store/parts.h"
#include "store_fixture.h"
#include "wall_clock.h"
#include <errno.h>

enum { PIECE_CNT = 30, PIECE_SZ = PIECE_CNT * KH_OP_MAX_SZ, LONG_SZ = 64 << 20 };

/* The disk of this machine, which notes what is given up of the image. */
static fixture f;
static kh_disk below;
static kh_file *image;
static uint64_t image_sz;
static uint32_t whole, others;

static kh_err noting_open(void *self, const char *path, int flags, kh_file **ret)
{
    kh_err err = below.open(self, path, flags, ret);
    if (err == KH_OK && strstr(path, "/image/") != NULL) {
        image = *ret;
        image_sz = (uint64_t)fixture_size(path);
    }
    return err;
}

static void noting_close(void *self, kh_file *file)
{
    if (file == image) image = NULL;
    below.close(self, file);
}

static void noting_pass(void *self, kh_file *file, uint64_t offset, uint64_t n, bool drop)
{
    if (file == image && drop && offset == 0 && n == image_sz) whole++;
    else if (file == image) others++;
    below.pass(self, file, offset, n, drop);
}

static void setup(void)
{
    fixture_setup(&f);
    below = f.disk;
    f.disk.open = noting_open;
    f.disk.close = noting_close;
    f.disk.pass = noting_pass;
}
static void teardown(void) { fixture_teardown(&f); }
TestSuite(store_8, .init = setup, .fini = teardown);

/* A log of n bytes or little more: operations that the ledger calls junk, as long as they may be. */
static void lengthen(kh_store *s, uint64_t n)
{
    ops_buf b = {.p = calloc(1, PIECE_SZ), .n = PIECE_SZ, .cnt = PIECE_CNT};
    for (uint32_t i = 0; i < PIECE_CNT; i++) kh_store32(b.p + i * (size_t)KH_OP_MAX_SZ, KH_OP_MAX_SZ);
    for (uint64_t done = 0; done < n; done += PIECE_SZ) cr_assert(fixture_send(s, &b, NULL) == KH_OK);
    free(b.p);
}

static uint32_t given_up(bool long_running)
{
    whole = others = 0;
    f.options.long_running = long_running;
    kh_store *s = fixture_open(&f);
    uint32_t at_opening = whole, others_then = others;
    f.options.long_running = false;
    s->options.long_running = false; /* closing makes no image */
    kh_store_close(s);
    cr_assert(others_then == 0);
    return at_opening;
}

Test(store_8, a_long_tail_takes_the_images_cached_pages)
{
    uint64_t height;
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 32);
    lengthen(s, LONG_SZ);
    kh_store_close(s);
    cr_assert(given_up(true) == 0); /* a long log, but no image */
    s = fixture_open(&f);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    lengthen(s, LONG_SZ / 2);
    kh_store_close(s);
    cr_assert(given_up(true) == 0); /* a tail that is not worth it, behind a long log */
    s = fixture_open(&f);
    lengthen(s, LONG_SZ / 2);
    kh_store_close(s);
    cr_assert(given_up(false) == 0); /* a command asks and goes: others will map these pages */
    cr_assert(given_up(true) == 1 && f.report.image_height == height && f.report.tail_ops > LONG_SZ / KH_OP_MAX_SZ);
    f.disk.pass = NULL; /* a disk that takes no advice */
    cr_assert(given_up(true) == 0 && f.report.image_height == height);
}

/* ---- an idle store looks up again and again, and the wall clock has no say in when ---- */

static _Atomic uint32_t looks;

static uint64_t counting(void *self)
{
    (void)self;
    looks++;
    return START_NS;
}

static bool ends(pthread_cond_t *cond, pthread_mutex_t *lock)
{
    int rc = 0;
    (void)pthread_mutex_lock(lock);
    const struct timespec until = kh_store_until(KH_NS_PER_S / 50);
    while (rc == 0) rc = pthread_cond_timedwait(cond, lock, &until);
    (void)pthread_mutex_unlock(lock);
    return rc == ETIMEDOUT;
}

Test(store_8, waits_are_not_the_wall_clocks, .timeout = 20)
{
    fixture_create(&f);
    f.clock = (kh_clock){counting, counting, NULL};
    f.options.inline_engine = false;
    kh_store *s = fixture_open(&f);
    wall_ahead_s = 3600; /* then it is set back by an hour */
    for (uint32_t from = looks; looks < from + 6;) (void)usleep(1000);
    cr_assert(ends(&s->work, &s->queue_lock) && ends(&s->side_work, &s->side_lock));
    kh_store_close(s);
}
