/* machine: one state with the index and the ledger that work on it. The live store has one; a checkpoint and an audit make their
 * own. */
#include <stdio.h>
#include <stdlib.h>
#include "store/parts.h"

#define AHEAD_MAX_SZ (UINT64_C(1) << 20)
#define SLACK_MIN_SZ (UINT64_C(16) << 10)
#define SLACK_MAX_SZ (UINT64_C(4) << 20)
#define PREPARE_STEP_SZ (UINT64_C(16) << 20)
#define PREPARE_LEAVE 32u                 /* steps' memory that are left to others */
#define READY_MAX_SZ (UINT64_C(16) << 20) /* of a region, by kh_machine_ahead: and 2 MiB or a sixteenth of what is in use */

static void drop(void *self, const kh_outcome *outcome)
{
    (void)self;
    (void)outcome;
}
const kh_sink kh_sink_none = {drop, NULL};

static void *lend(size_t n) { return aligned_alloc(KH_CACHE_LINE, (n + KH_CACHE_LINE - 1) & ~(size_t)(KH_CACHE_LINE - 1)); }

kh_err kh_machine_reserve(kh_machine *m)
{
    kh_region_spec specs[KH_REGION_MAX];
    memset(m, 0, sizeof *m);
    kh_err err = kh_state_init(&m->state, specs, kh_ledger_regions(specs));
    m->reserved = err == KH_OK;
    return err;
}

kh_err kh_machine_start(kh_machine *m, const uint8_t secret[16])
{
    m->index_mem = lend(kh_index_footprint());
    m->ledger_mem = lend(kh_ledger_footprint());
    if (m->index_mem == NULL || m->ledger_mem == NULL) return KH_E_NOMEM;
    kh_err err = kh_index_open(&m->state, secret, m->index_mem, &m->index);
    if (err == KH_OK) err = kh_ledger_open(&m->state, m->index, secret, m->ledger_mem, &m->ledger);
    return err;
}

/* The kernel's own estimate of what can be had; all ones where it does not say. */
static uint64_t available_sz(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    if (f == NULL) return UINT64_MAX;
    bool said = false;
    while (!said && fgets(line, sizeof line, f) != NULL) said = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
    (void)fclose(f);
    return said ? (uint64_t)kib << 10 : UINT64_MAX;
}

kh_err kh_machine_fits(uint64_t bytes) { return bytes <= available_sz() ? KH_OK : KH_E_NOMEM; }

static void raise_to(_Atomic uint64_t *at, uint64_t value)
{
    uint64_t seen = atomic_load_explicit(at, memory_order_relaxed);
    while (seen < value && !atomic_compare_exchange_weak_explicit(at, &seen, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

void kh_machine_ahead(kh_machine *m)
{
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        const kh_region *r = &m->state.regions[i];
        if (r->row_sz == 0) continue;
        /* A region without rows may stay so: a page of each would be 2 MiB for nothing. */
        uint64_t used = __atomic_load_n(&r->row_cnt, __ATOMIC_RELAXED) * r->row_sz, max = r->row_max * r->row_sz;
        uint64_t ahead = kh_min64(kh_max64(used / 16, 2 * AHEAD_MAX_SZ), READY_MAX_SZ);
        uint64_t end = kh_min64(used + ahead, max);
        if (used == 0) continue;
        if (atomic_load_explicit(&m->backed[i], memory_order_relaxed) >= kh_min64(used + ahead / 4 * 3, max)) continue;
        /* Refused: the applier will ask for what it needs itself, and say so. */
        if (kh_state_populate(&m->state, i, end - used) == KH_OK) raise_to(&m->backed[i], end);
    }
}

kh_err kh_machine_prepare(kh_machine *m, uint64_t documents, uint64_t financings)
{
    uint64_t room[KH_REGION_MAX], sum = PREPARE_LEAVE * PREPARE_STEP_SZ;
    kh_ledger_room(documents, financings, room);
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) sum += room[i];
    kh_err err = kh_machine_fits(sum);
    for (uint32_t i = 0; i < KH_REGION_MAX && err == KH_OK; i++) {
        const kh_region *r = &m->state.regions[i];
        if (r->row_sz == 0 || room[i] == 0) continue;
        uint64_t used = __atomic_load_n(&r->row_cnt, __ATOMIC_RELAXED) * r->row_sz;
        atomic_store_explicit(&m->ready[i], used + kh_min64(room[i], r->row_max * r->row_sz - used), memory_order_relaxed);
    }
    return err;
}

/* What a region has ready: its rows in use, and what was backed ahead of them. */
static uint64_t has(const kh_machine *m, uint32_t i)
{
    const kh_region *r = &m->state.regions[i];
    return kh_max64(__atomic_load_n(&r->row_cnt, __ATOMIC_RELAXED) * r->row_sz,
                    atomic_load_explicit(&m->backed[i], memory_order_relaxed));
}

uint64_t kh_machine_prepare_left(const kh_machine *m)
{
    uint64_t left = 0;
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        uint64_t ready = atomic_load_explicit(&m->ready[i], memory_order_relaxed), now = has(m, i);
        left += ready > now ? ready - now : 0;
    }
    return left;
}

bool kh_machine_prepare_step(kh_machine *m)
{
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        const kh_region *r = &m->state.regions[i];
        uint64_t ready = atomic_load_explicit(&m->ready[i], memory_order_relaxed), now = has(m, i);
        if (ready <= now) continue;
        uint64_t end = kh_min64(ready, now + PREPARE_STEP_SZ), used = __atomic_load_n(&r->row_cnt, __ATOMIC_RELAXED) * r->row_sz;
        if (used >= end) return true; /* it has grown meanwhile */
        kh_err err = kh_machine_fits(PREPARE_LEAVE * PREPARE_STEP_SZ);
        if (err == KH_OK) err = kh_state_populate(&m->state, i, end - used);
        if (err == KH_OK) {
            raise_to(&m->backed[i], end);
            return true;
        }
        for (uint32_t j = 0; j < KH_REGION_MAX; j++) atomic_store_explicit(&m->ready[j], 0, memory_order_relaxed);
        return false;
    }
    return false;
}

kh_err kh_machine_back(kh_machine *m, uint32_t op_cnt, size_t ops_sz)
{
    uint64_t need[KH_REGION_MAX] = {0}, rest = 0;
    bool grew = false;
    kh_ledger_headroom(m->ledger, op_cnt, ops_sz, need);
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        const kh_region *r = &m->state.regions[i];
        if (r->row_sz == 0 || need[i] == 0) continue;
        /* The headroom is the worst case of every region at once. So much of it is touched now, where there are rows already; of
         * the rest it is asked whether it is there. */
        uint64_t used = r->row_cnt * r->row_sz, ahead = used != 0 ? kh_min64(need[i], AHEAD_MAX_SZ) : 0;
        uint64_t end = kh_min64(used + ahead, r->row_max * r->row_sz);
        rest += need[i] - ahead;
        if (used == 0) continue;
        if (end <= atomic_load_explicit(&m->backed[i], memory_order_relaxed)) continue;
        grew = true;
        /* Somewhat more than is needed, so that this is rare; where the machine cannot, exactly what is needed. */
        uint64_t slack = kh_min64(kh_max64(end / 8, SLACK_MIN_SZ), SLACK_MAX_SZ);
        uint64_t more = kh_min64(end + slack, r->row_max * r->row_sz);
        kh_err err = kh_state_populate(&m->state, i, more - used);
        if (err == KH_E_NOMEM) err = kh_state_populate(&m->state, i, (more = end) - used);
        if (err != KH_OK) return err;
        raise_to(&m->backed[i], more);
    }
    return grew && rest != 0 ? kh_machine_fits(rest) : KH_OK;
}

kh_err kh_machine_apply(kh_machine *m, const kh_entry *entry, const kh_sink *sink)
{
    kh_err err = kh_machine_back(m, entry->op_cnt, entry->body_sz);
    if (err == KH_OK) kh_ledger_apply(m->ledger, entry->height, entry->time_ns, entry->body, entry->body_sz, entry->op_cnt, sink);
    return err;
}

void kh_machine_release(kh_machine *m)
{
    if (m->reserved) kh_state_release(&m->state);
    free(m->index_mem);
    free(m->ledger_mem);
    memset(m, 0, sizeof *m);
}
