/* sorted: see sorted.h. */
#include "ledger/sorted.h"

static uint64_t item_byte(const kh_sorted *it, uint32_t at)
{
    return (at < 8 ? it->high >> (56 - 8 * at) : it->low >> (120 - 8 * at)) & 255;
}
static void insertion(kh_sorted *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        kh_sorted one = items[i];
        size_t at = i;
        for (; at > 0 && kh_sorted_less(&one, &items[at - 1]); at--) items[at] = items[at - 1];
        items[at] = one;
    }
}

/* Radix sort in place, from the first byte on; at most 16 levels deep. */
static void sort(kh_sorted *items, size_t n, uint32_t at)
{
    size_t begin[257], end[256];
    if (n <= 48 || at == 16) {
        insertion(items, n);
        return;
    }
    memset(begin, 0, sizeof begin);
    for (size_t i = 0; i < n; i++) begin[item_byte(&items[i], at) + 1]++;
    for (uint32_t b = 0; b < 256; b++) begin[b + 1] += begin[b];
    for (uint32_t b = 0; b < 256; b++) end[b] = begin[b];
    for (uint32_t b = 0; b < 256; b++) {
        while (end[b] < begin[b + 1]) {
            kh_sorted one = items[end[b]];
            uint64_t home = item_byte(&one, at);
            while (home != b) {
                kh_sorted other = items[end[home]];
                items[end[home]++] = one;
                one = other;
                home = item_byte(&one, at);
            }
            items[end[b]++] = one;
        }
    }
    for (uint32_t b = 0; b < 256; b++)
        if (begin[b + 1] - begin[b] > 1) sort(items + begin[b], begin[b + 1] - begin[b], at + 1);
}

void kh_sorted_sort(kh_sorted *items, size_t n) { sort(items, n, 0); }
