/* window: how many batches of one sender are under way. Who would send more than `most` sleeps until an eighth of them is
 * answered: a sender that looks again and again takes from the engine, on few processors, what it measures. One thread enters and
 * drains, one other leaves; most is at least 2. */
#ifndef KH_BENCH_WINDOW_H
#define KH_BENCH_WINDOW_H
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

typedef struct window {
    _Atomic uint32_t under_way;
    uint32_t most;
    sem_t some_left;
} window;

static inline void window_open(window *w, uint32_t most)
{
    atomic_store(&w->under_way, 0);
    w->most = most;
    (void)sem_init(&w->some_left, 0, 0);
}

static inline void window_enter(window *w)
{
    while (atomic_load_explicit(&w->under_way, memory_order_acquire) >= w->most) (void)sem_wait(&w->some_left);
    atomic_fetch_add_explicit(&w->under_way, 1, memory_order_relaxed);
}

static inline void window_leave(window *w)
{
    uint32_t left = atomic_fetch_sub_explicit(&w->under_way, 1, memory_order_acq_rel) - 1;
    if (left == w->most - (w->most + 7) / 8) (void)sem_post(&w->some_left);
}

static inline void window_drain(window *w)
{
    while (atomic_load_explicit(&w->under_way, memory_order_acquire) != 0) usleep(100);
}
#endif
