/* lookup: the read path, compiled once for each kind of processor (KH_LOOKUP names the variant; see meson.build).
 *
 * Keys pass in groups of 16 through three stages without data-dependent branches: (1) hash, read the directory, prefetch the
 * bucket; (2) match the tags, prefetch the record; (3) compare the key. Stage 1 runs six to eight groups ahead of stage 2,
 * and that six ahead of stage 3. What needs a second look (a displaced entry, two equal tags) goes to a list and is looked up the
 * plain way afterwards, its lines fetched by then. */
#include "index/flow.h"
#include "index/layout.h"
/* TSan does not see what vectors load: its builds take the narrow form, whose loads are atomic. */
#if defined(__VAES__) && defined(__AVX512BW__) && !defined(KH_TSAN)
#include "index/lookup_wide.h"
#elif defined(__VAES__) && defined(__AVX2__) && !defined(KH_TSAN)
#include "index/lookup_vaes.h"
#else
#include "index/lookup_narrow.h"
#endif

enum { RING = 16, RETRY = 64, FLOW_RING = 8 };

static uint32_t in_bucket(const kh_index *ix, const kh_bucket *b, uint16_t tag, const kh_key *key)
{
    for (uint32_t m = match_tags(b, tag); m != 0; m &= m - 1) {
        uint32_t rec = kh_slot_get(b, (uint32_t)__builtin_ctz(m));
        if (rec != 0 && key_is(&ix->records[rec], key)) return rec;
    }
    return 0;
}

/* find_plain looks one key up with branches: the home bucket, then, if the filter says so, its neighbours. */
static __attribute__((noinline)) uint32_t find_plain(const kh_index *ix, const kh_key *key)
{
    uint64_t hash = hash_of(&ix->key, key), mask;
    uint32_t found;
    do {
        mask = __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE);
        uint32_t entry = kh_directory_get(ix, hash, mask), segment = entry & KH_SEGMENT_MASK;
        uint16_t tag = kh_hash_tag(hash, entry >> KH_WINDOW_SHIFT);
        const kh_bucket *home = kh_bucket_at(ix, segment, kh_hash_bucket(hash));
        found = in_bucket(ix, home, tag, key);
        if (found == 0 && (__atomic_load_n(&home->overflow, __ATOMIC_ACQUIRE) & kh_hash_filter(hash)) != 0)
            for (uint32_t i = 1; i <= KH_NEIGHBOURS && found == 0; i++)
                found = in_bucket(ix, kh_bucket_at(ix, segment, kh_hash_bucket(hash) + i), tag, key);
    } while (found == 0 && mask != __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE));
    return found;
}

/* fetch_displaced: the record of a key that lies beside its home bucket. */
static __attribute__((noinline)) void fetch_displaced(const kh_index *ix, const kh_key *key)
{
    uint64_t hash = hash_of(&ix->key, key);
    uint32_t entry = kh_directory_get(ix, hash, __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE));
    uint16_t tag = kh_hash_tag(hash, entry >> KH_WINDOW_SHIFT);
    for (uint32_t i = 1; i <= KH_NEIGHBOURS; i++) {
        const kh_bucket *b = kh_bucket_at(ix, entry & KH_SEGMENT_MASK, kh_hash_bucket(hash) + i);
        uint32_t m = match_tags(b, tag);
        if (m == 0) continue;
        fetch(&ix->records[kh_slot_get(b, (uint32_t)__builtin_ctz(m))], true);
        return;
    }
}

/* Where results go: pointers, or numbers. Hits are a bit mask up to KH_BULK_MAX keys, else a count. */
typedef struct output {
    const kh_record **recs; /* or NULL: */
    uint32_t *records;
    uint64_t hits;
    bool counting;
} output;

static inline __attribute__((always_inline)) void give_late(const kh_index *ix, output *out, const kh_key *key, uint32_t i)
{
    uint32_t rec = find_plain(ix, key);
    if (rec == 0) return;
    if (out->recs != NULL) out->recs[i] = &ix->records[rec];
    else out->records[i] = rec;
    out->hits += out->counting ? 1 : UINT64_C(1) << (i % 64);
}

static inline __attribute__((always_inline)) uint64_t look_up(const kh_index *ix, const kh_key keys[], uint32_t n, output out)
{
    group ring[RING];
    kh_key last[GROUP]; /* the last group, filled up */
    uint32_t retry[RETRY + GROUP], retry_cnt = 0, fetched = 0, groups = (n + GROUP - 1) / GROUP, rest = n % GROUP;
    uint64_t mask = __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE);
    if (rest != 0) {
        for (uint32_t i = 0; i < GROUP; i++) last[i] = keys[n - 1];
        memcpy(last, keys + n - rest, rest * sizeof *keys);
    }
    for (uint32_t step = 0; step < groups + AHEAD_COMPARE; step++) {
        uint32_t to_fetch = step - 1, to_match = step - AHEAD_MATCH, to_compare = step - AHEAD_COMPARE; /* not yet begun: huge */
        uint32_t first = to_compare * GROUP, cnt = n - first < GROUP ? n - first : GROUP, valid = (UINT32_C(1) << cnt) - 1;
        group *g = &ring[to_compare % RING];
        turn t = {.hash = step < groups ? &ring[step % RING] : NULL,
                  .fetch = to_fetch < groups ? &ring[to_fetch % RING] : NULL,
                  .match = to_match < groups ? &ring[to_match % RING] : NULL,
                  .compare = to_compare < groups ? g : NULL};
        if (t.hash != NULL) t.keys = rest != 0 && step == groups - 1 ? last : keys + step * GROUP;
        if (t.compare != NULL) t.sought = cnt < GROUP ? last : keys + first;
        uint32_t hits = stages(ix, mask, &t) & valid;
        for (; fetched < retry_cnt; fetched++) fetch_displaced(ix, &keys[retry[fetched]]);
        if (to_compare >= groups) continue;
        if (out.recs != NULL) give_pointers(ix, g, cnt, out.recs + first);
        else give_numbers(g, cnt, out.records + first);
        out.hits += out.counting ? (uint64_t)__builtin_popcount(hits) : (uint64_t)hits << (first % 64);
        for (uint32_t m = g->again & ~hits & valid; m != 0; m &= m - 1) {
            uint32_t i = first + (uint32_t)__builtin_ctz(m);
            fetch(ix->segments[0].bucket + g->offset[i % GROUP] / 64 + 1, false);
            retry[retry_cnt++] = i;
        }
        if (retry_cnt < RETRY) continue;
        for (uint32_t k = 0; k < retry_cnt; k++) give_late(ix, &out, &keys[retry[k]], retry[k]);
        retry_cnt = fetched = 0;
    }
    for (; fetched < retry_cnt; fetched++) fetch_displaced(ix, &keys[retry[fetched]]);
    for (uint32_t k = 0; k < retry_cnt; k++) give_late(ix, &out, &keys[retry[k]], retry[k]);
    if (KH_LIKELY(mask == __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE))) return out.hits;
    for (uint32_t i = 0; i < n; i++)
        if (out.recs != NULL ? out.recs[i] == ix->records : out.records[i] == 0) give_late(ix, &out, &keys[i], i);
    return out.hits;
}

static uint64_t hash_one(const kh_hash_key *k, const kh_key *key) { return hash_of(k, key); }

static uint64_t bulk(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_record *ret_recs[])
{
    return look_up(ix, keys, n, (output){.recs = ret_recs, .counting = n > KH_BULK_MAX});
}

static uint64_t find(const kh_index *ix, const kh_key keys[], uint32_t n, uint32_t ret_records[])
{
    if (n > 1) return look_up(ix, keys, n, (output){.records = ret_records, .counting = n > KH_BULK_MAX});
    ret_records[0] = find_plain(ix, &keys[0]);
    return ret_records[0] != 0;
}

/* A flow: the same stages, of one group each a step; what needs a second look is looked up at once, its neighbours fetched by
 * then. A group is matched at the end of the step after its own, and compared two steps later. */
typedef struct stream {
    group ring[FLOW_RING];
    _Alignas(64) kh_key keys[FLOW_RING][GROUP];
    uint64_t mask;
    uint32_t step, end; /* steps done; groups taken */
} stream;
_Static_assert(sizeof(stream) <= sizeof(((kh_flow *)0)->inside) && GROUP == KH_FLOW_GROUP && KH_FLOW_DEPTH < FLOW_RING, "flow.h");

static void flow_begin(const kh_index *ix, kh_flow *flow)
{
    stream *s = (stream *)(void *)flow->inside;
    flow->ix = ix;
    flow->near = false;
    s->mask = __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE);
    s->step = s->end = 0;
}

static bool flow_step(kh_flow *flow, const kh_key keys[GROUP], const kh_record *ret_recs[])
{
    stream *s = (stream *)(void *)flow->inside;
    const kh_index *ix = flow->ix;
    uint32_t step = s->step++, to_compare = step - KH_FLOW_DEPTH; /* not yet begun: huge */
    if (keys != NULL) {
        memcpy(s->keys[step % FLOW_RING], keys, sizeof s->keys[0]);
        if (flow->near) stage_hash(ix, s->keys[step % FLOW_RING], s->mask, &s->ring[step % FLOW_RING], true);
        else stage_hash(ix, s->keys[step % FLOW_RING], s->mask, &s->ring[step % FLOW_RING], false);
        s->end = step + 1;
    }
    if (to_compare >= s->end) return false;
    group *g = &s->ring[to_compare % FLOW_RING];
    const kh_key *sought = s->keys[to_compare % FLOW_RING];
    uint32_t hits = stage_compare(ix, sought, g), missing = ~hits & ((UINT32_C(1) << GROUP) - 1);
    give_pointers(ix, g, GROUP, ret_recs);
    if (KH_LIKELY(s->mask == __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE))) missing &= g->again;
    for (uint32_t m = missing; m != 0; m &= m - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(m);
        ret_recs[i] = &ix->records[find_plain(ix, &sought[i])];
    }
    return true;
}

static void flow_fetch(kh_flow *flow)
{
    stream *s = (stream *)(void *)flow->inside;
    uint32_t to_match = s->step - 2;
    if (to_match >= s->end) return;
    group *g = &s->ring[to_match % FLOW_RING];
    if (flow->near) stage_match(flow->ix, g, true), fetch_neighbours(flow->ix, g, true);
    else stage_match(flow->ix, g, false), fetch_neighbours(flow->ix, g, false);
}

/* A search: the same stages, each over as many keys as there are: few, so key by key. */
static void search_begin(const kh_index *ix, const kh_key keys[], uint32_t n, kh_search searches[])
{
    uint64_t mask = __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash = hash_of(&ix->key, &keys[i]);
        uint32_t entry = kh_directory_get(ix, hash, mask);
        const kh_bucket *b = kh_bucket_at(ix, entry & KH_SEGMENT_MASK, kh_hash_bucket(hash));
        fetch(b, false);
        searches[i].bucket = b;
        searches[i].filter = kh_hash_filter(hash);
        searches[i].tag = kh_hash_tag(hash, entry >> KH_WINDOW_SHIFT);
    }
}

static void search_match(const kh_index *ix, uint32_t n, kh_search searches[])
{
    for (uint32_t i = 0; i < n; i++) {
        kh_search *s = &searches[i];
        const kh_bucket *b = s->bucket;
        /* No match reads slot 0 and drops it: no branches. */
        uint32_t m = match_tags(b, s->tag), slot = (uint32_t)__builtin_ctz(m | 0x400), kept = (uint32_t) - (int32_t)(m != 0);
        s->record = kh_slot_get(b, slot & kept) & kept;
        fetch(&ix->records[s->record], false);
        s->again = ((m & (m - 1)) | (__atomic_load_n(&b->overflow, __ATOMIC_ACQUIRE) & s->filter)) != 0;
    }
}

static void search_end(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_search searches[], uint32_t ret_records[])
{
    for (uint32_t i = 0; i < n; i++) {
        const kh_search *s = &searches[i];
        uint32_t hit = (uint32_t)(key_is(&ix->records[s->record], &keys[i]) & (s->record != 0)), rec = s->record;
        if (KH_UNLIKELY(s->again & !hit)) {
            rec = find_plain(ix, &keys[i]);
            hit = rec != 0;
        }
        ret_records[i] = rec | (hit - 1); /* all ones: KH_RECORD_NONE */
    }
}

const kh_lookup KH_LOOKUP = {.hash = hash_one,
                             .bulk = bulk,
                             .find = find,
                             .flow_begin = flow_begin,
                             .flow_step = flow_step,
                             .flow_fetch = flow_fetch,
                             .search_begin = search_begin,
                             .search_match = search_match,
                             .search_end = search_end};
