/* quad: the hot 16 bytes of a record, read and written by one access each. Intel SDM vol. 3A 8.1.1 and AMD APM vol. 2 7.3.2: an
 * aligned 16-byte vector access is atomic on every processor with AVX. */
#include "index/quad.h"
#include "index/layout.h"

#if defined(KH_TSAN)

/* A vector access is several to TSan; its own 16-byte atomics take their place. */
unsigned __int128 __tsan_atomic128_load(const volatile void *at, int order);
void __tsan_atomic128_store(volatile void *at, unsigned __int128 value, int order);

kh_quad kh_quad_load(const kh_record *rec)
{
    unsigned __int128 v = __tsan_atomic128_load(&rec->quad, __ATOMIC_ACQUIRE);
    kh_quad quad;
    memcpy(&quad, &v, sizeof quad);
    return quad;
}

void kh_quad_store_words(kh_record *rec, uint64_t low, uint64_t high)
{
    unsigned __int128 v = (unsigned __int128)high << 64 | low;
    __tsan_atomic128_store(&rec->quad, v, __ATOMIC_RELEASE);
}

#elif defined(__AVX__)

kh_quad kh_quad_load(const kh_record *rec) { return kh_quad_peek(rec); }

void kh_quad_store_words(kh_record *rec, uint64_t low, uint64_t high) { kh_quad_poke_words(rec, low, high); }

#else
#error "the quad needs one 16-byte access: build with -march=x86-64-v3 or later"
#endif
