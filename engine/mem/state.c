/* state: reserving, mapping and populating the regions. One reservation holds all of them, so init is a few system
 * calls and touches nothing; a region's place in it is aligned to 2 MiB where it is large, else to 64 KiB. */
#include "mem/state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_SZ UINT64_C(4096)
#define SMALL_ALIGN_SZ (UINT64_C(64) << 10)
#define LARGE_ALIGN_SZ (UINT64_C(2) << 20)
#define LARGE_SZ (UINT64_C(64) << 20)
#define ADDRESS_MAX_SZ (UINT64_C(1) << 46) /* half of what x86-64 gives a process with four page-table levels */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older C libraries do not name it */
#endif

static uint64_t round_up(uint64_t v, uint64_t align) { return (v + align - 1) & ~(align - 1); }

static uint64_t capacity_sz(const kh_region *r) { return r->row_max * r->row_sz; }

static uint64_t align_sz(uint64_t sz) { return sz >= LARGE_SZ ? LARGE_ALIGN_SZ : SMALL_ALIGN_SZ; }

kh_err kh_state_init(kh_state *state, const kh_region_spec specs[], uint32_t n)
{
    uint64_t places[KH_REGION_MAX], end = 0;
    kh_state made = {0};
    if (n > KH_REGION_MAX) return KH_E_ARG;
    for (uint32_t i = 0; i < n; i++) {
        const kh_region_spec *s = &specs[i];
        uint64_t sz;
        if (s->region >= KH_REGION_MAX || s->row_sz == 0 || s->row_max == 0) return KH_E_ARG;
        if (made.regions[s->region].row_sz != 0) return KH_E_ARG;
        if (__builtin_mul_overflow(s->row_max, (uint64_t)s->row_sz, &sz)) return KH_E_ARG;
        if (sz > ADDRESS_MAX_SZ || end > ADDRESS_MAX_SZ - sz) return KH_E_NOMEM;
        uint64_t align = align_sz(sz);
        end = round_up(end, align);
        places[i] = end;
        end = round_up(end + sz, align);
        made.regions[s->region] = (kh_region){.row_max = s->row_max, .row_sz = s->row_sz};
    }
    if (end == 0) {
        *state = made;
        return KH_OK;
    }
    uint64_t reserved_sz = end + LARGE_ALIGN_SZ;
    uint8_t *p = mmap(NULL, reserved_sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return KH_E_NOMEM;
    uint8_t *base = (uint8_t *)round_up((uint64_t)(uintptr_t)p, LARGE_ALIGN_SZ);
    if (base > p) (void)munmap(p, (size_t)(base - p));
    if (base + end < p + reserved_sz) (void)munmap(base + end, (size_t)(p + reserved_sz - (base + end)));
    /* A kernel that gives huge pages unasked would make a short command clear 2 MiB a region it looks into. Advice: may fail. */
    (void)madvise(base, end, MADV_NOHUGEPAGE);
    (void)madvise(base, end, MADV_DONTDUMP);
    for (uint32_t i = 0; i < n; i++) {
        kh_region *r = &made.regions[specs[i].region];
        uint64_t region_end = places[i] + round_up(capacity_sz(r), align_sz(capacity_sz(r))),
                 next = i + 1 < n ? places[i + 1] : end;
        if (next > region_end)
            (void)munmap(base + region_end, next - region_end); /* release would not find what alignment left between */
        r->base = base + places[i];
    }
    *state = made;
    return KH_OK;
}

void kh_state_release(kh_state *state)
{
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        kh_region *r = &state->regions[i];
        if (r->row_sz != 0) (void)munmap(r->base, round_up(capacity_sz(r), align_sz(capacity_sz(r))));
    }
    memset(state, 0, sizeof *state);
}

kh_err kh_state_map_file(kh_state *state, uint32_t region, int fd, uint64_t offset, uint64_t row_cnt)
{
    if (region >= KH_REGION_MAX || offset % SMALL_ALIGN_SZ != 0) return KH_E_ARG;
    kh_region *r = &state->regions[region];
    if (r->row_sz == 0 || row_cnt > r->row_max) return KH_E_ARG;
    uint64_t sz = row_cnt * r->row_sz, mapped_sz = round_up(sz, PAGE_SZ);
    struct stat st;
    if (fstat(fd, &st) != 0) return KH_E_IO;
    /* A map that reaches behind the end of its file would be a SIGBUS later. */
    if (offset > (uint64_t)st.st_size || sz > (uint64_t)st.st_size - offset) return KH_E_DAMAGED;
    if (sz > 0) {
        void *p = mmap(r->base, mapped_sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, (off_t)offset);
        if (p == MAP_FAILED) return errno == ENOMEM ? KH_E_NOMEM : KH_E_IO;
        /* Rows not in use are zero, whatever the file holds behind the last row. */
        for (uint64_t i = sz; i < mapped_sz; i++)
            if (r->base[i] != 0) r->base[i] = 0;
    }
    r->row_cnt = row_cnt;
    return KH_OK;
}

/* The kernel's own estimate of what can be had without swapping; all ones when it does not say. Asked first, because
   touching more than there is ends in the out-of-memory killer, not in an error. */
static uint64_t available_sz(void)
{
    char buf[512], *at;
    unsigned long long kib;
    int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return UINT64_MAX;
    ssize_t n = read(fd, buf, sizeof buf - 1);
    (void)close(fd);
    if (n <= 0) return UINT64_MAX;
    buf[n] = '\0';
    at = strstr(buf, "MemAvailable:");
    if (at == NULL || sscanf(at, "MemAvailable: %llu kB", &kib) != 1) return UINT64_MAX;
    return (uint64_t)kib << 10;
}

void kh_state_use_huge_pages(kh_state *state)
{
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        kh_region *r = &state->regions[i];
        if (r->row_sz != 0 && capacity_sz(r) >= LARGE_SZ)
            (void)madvise(r->base, round_up(capacity_sz(r), LARGE_ALIGN_SZ), MADV_HUGEPAGE);
    }
}

kh_err kh_state_populate(kh_state *state, uint32_t region, uint64_t ahead_sz)
{
    if (region >= KH_REGION_MAX || state->regions[region].row_sz == 0) return KH_E_ARG;
    const kh_region *r = &state->regions[region];
    uint64_t used_sz = __atomic_load_n(&r->row_cnt, __ATOMIC_RELAXED) * r->row_sz; /* the writer may grow it meanwhile */
    uint64_t begin = used_sz & ~(PAGE_SZ - 1);
    uint64_t end = round_up(used_sz + kh_min64(ahead_sz, capacity_sz(r) - used_sz), PAGE_SZ);
    if (begin == end) return KH_OK;
    if (end - begin >= LARGE_SZ && end - begin > available_sz()) return KH_E_NOMEM;
    if (madvise(r->base + begin, end - begin, MADV_POPULATE_WRITE) == 0) return KH_OK;
    if (errno != EINVAL) return KH_E_NOMEM;
    /* Before Linux 5.14: an atomic add of nothing makes each page ours without changing what others write to it. */
    for (uint64_t at = begin; at < end; at += PAGE_SZ) (void)__atomic_fetch_add(r->base + at, 0, __ATOMIC_RELAXED);
    return KH_OK;
}

uint64_t kh_state_bytes(const kh_state *state)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) sum += state->regions[i].row_cnt * state->regions[i].row_sz;
    return sum;
}
