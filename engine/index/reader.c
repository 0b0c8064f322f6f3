/* reader: registration and quiescent states. TSan cannot see liburcu's inline assembly: the edge from a reader's quiescent state
 * to the end of a grace period is told to it through one address. */
#include "index/reader.h"
#include "index/layout.h"
#include <urcu-qsbr.h>

#if defined(KH_TSAN)
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
static char edge;
#define RELEASE_EDGE() __tsan_release(&edge)
#define ACQUIRE_EDGE() __tsan_acquire(&edge)
#else
#define RELEASE_EDGE() ((void)0)
#define ACQUIRE_EDGE() ((void)0)
#endif

void kh_reader_register(void) { rcu_register_thread(); }

void kh_reader_unregister(void)
{
    RELEASE_EDGE();
    rcu_unregister_thread();
}

void kh_reader_online(void) { rcu_thread_online(); }

void kh_reader_offline(void)
{
    RELEASE_EDGE();
    rcu_thread_offline();
}

void kh_reader_quiesce(void)
{
    RELEASE_EDGE();
    rcu_quiescent_state();
}

void kh_reader_wait_grace(void)
{
    RELEASE_EDGE();
    synchronize_rcu();
    ACQUIRE_EDGE();
}

void kh_reader_tsan_after_grace(void) { ACQUIRE_EDGE(); }
