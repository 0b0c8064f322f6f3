/* table: a view's financings, each in one piece of memory, found by number through open addressing, listed through an array
 * of numbers that is put in order when somebody lists. */
#include <stdlib.h>
#include "view/parts.h"

#define SLOTS_MIN 1024u

void kh_view_table_free(kh_view_table *t)
{
    for (uint32_t i = 0; i < t->cnt; i++) free(t->rows[i]);
    free(t->rows);
    free(t->slots);
    free(t->sorted);
    *t = (kh_view_table){0};
}

static uint32_t hash_of(uint64_t id)
{
    uint64_t hash = kh_xxh3(&id, sizeof id);
    return (uint32_t)(hash >> 32) ^ (uint32_t)hash;
}

/* The number's slot, or the empty one where it belongs. */
static kh_view_slot *slot_of(const kh_view_table *t, uint64_t id, uint32_t hash)
{
    uint32_t at = hash & (t->slot_cnt - 1);
    while (t->slots[at].row != 0 && (t->slots[at].hash != hash || t->rows[t->slots[at].row - 1]->id != id))
        at = (at + 1) & (t->slot_cnt - 1);
    return &t->slots[at];
}

void kh_view_table_prefetch(const kh_view_table *t, uint64_t id)
{
    if (t->slot_cnt != 0) __builtin_prefetch(&t->slots[hash_of(id) & (t->slot_cnt - 1)], 1);
}

kh_view_fin **kh_view_table_find(kh_view_table *t, uint64_t id)
{
    if (t->cnt == 0) return NULL;
    uint32_t row = slot_of(t, id, hash_of(id))->row;
    return row != 0 ? &t->rows[row - 1] : NULL;
}

/* Slots hold all that places them: no row is looked at. */
static kh_err grow_slots(kh_view_table *t)
{
    uint32_t slot_cnt = t->slot_cnt == 0 ? SLOTS_MIN : t->slot_cnt * 2;
    kh_view_slot *slots = slot_cnt != 0 ? calloc(slot_cnt, sizeof *slots) : NULL;
    if (slots == NULL) return KH_E_NOMEM;
    for (uint32_t i = 0; i < t->slot_cnt; i++) {
        uint32_t at = t->slots[i].hash & (slot_cnt - 1);
        if (t->slots[i].row == 0) continue;
        while (slots[at].row != 0) at = (at + 1) & (slot_cnt - 1);
        slots[at] = t->slots[i];
    }
    free(t->slots);
    t->slots = slots;
    t->slot_cnt = slot_cnt;
    return KH_OK;
}

static kh_err grow(kh_view_table *t)
{
    if (t->cnt == t->cap) {
        uint32_t cap = t->cap == 0 ? SLOTS_MIN / 2 : t->cap * 2;
        kh_view_fin **rows = cap > t->cap ? realloc(t->rows, cap * sizeof(kh_view_fin *)) : NULL;
        if (rows == NULL) return KH_E_NOMEM;
        t->rows = rows;
        t->cap = cap;
    }
    return t->cnt + 1 <= t->slot_cnt / 3 * 2 ? KH_OK : grow_slots(t);
}

kh_err kh_view_table_add(kh_view_table *t, kh_view_fin *fin)
{
    kh_err err = grow(t);
    if (err != KH_OK) return err;
    uint32_t hash = hash_of(fin->id);
    kh_view_slot *slot = slot_of(t, fin->id, hash);
    KH_ASSERT(slot->row == 0);
    t->rows[t->cnt] = fin;
    *slot = (kh_view_slot){++t->cnt, hash};
    return KH_OK;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

kh_err kh_view_table_order(kh_view_table *t)
{
    uint32_t old = t->sorted_cnt, more = t->cnt - old;
    if (more == 0) return KH_OK;
    if (t->cnt > t->sorted_cap) {
        uint64_t *sorted = realloc(t->sorted, (size_t)t->cap * sizeof *sorted);
        if (sorted == NULL) return KH_E_NOMEM;
        t->sorted = sorted;
        t->sorted_cap = t->cap;
    }
    uint64_t *fresh = malloc((size_t)more * sizeof *fresh);
    if (fresh == NULL) return KH_E_NOMEM;
    for (uint32_t i = 0; i < more; i++) fresh[i] = t->rows[old + i]->id;
    qsort(fresh, more, sizeof *fresh, ascending);
    for (uint32_t at = t->cnt; more > 0;) /* from behind, so that nothing is written over before it was read */
        t->sorted[--at] = old > 0 && t->sorted[old - 1] > fresh[more - 1] ? t->sorted[--old] : fresh[--more];
    free(fresh);
    t->sorted_cnt = t->cnt;
    return KH_OK;
}

bool kh_view_fin_line(kh_view_fin *fin, uint8_t **at)
{
    if (*at == NULL) *at = fin->rest + fin->product_n;
    else *at += KH_VIEW_LINE_SZ + (*at)[37] + (*at)[38];
    return *at < fin->rest + fin->rest_sz;
}

bool kh_view_fin_sound(const kh_view_fin *fin)
{
    if (fin->product_n > KH_PRODUCT_MAX || fin->product_n > fin->rest_sz || fin->line_cnt > KH_LINES_MAX) return false;
    size_t at = fin->product_n;
    for (uint32_t i = 0; i < fin->line_cnt; i++) {
        if (fin->rest_sz - at < KH_VIEW_LINE_SZ) return false;
        const uint8_t *line = fin->rest + at;
        if (line[37] > KH_NUMBER_MAX || line[38] > KH_ISSUER_MAX) return false;
        at += KH_VIEW_LINE_SZ + line[37] + line[38];
        if (at > fin->rest_sz) return false;
    }
    return at == fin->rest_sz;
}
