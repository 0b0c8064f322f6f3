/* Unit tests of the state's regions. */
#include "mem/state.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const kh_region_spec specs[] = {
    {.region = KH_REGION_HEAD, .row_sz = 4096, .row_max = 1},
    {.region = KH_REGION_INDEX_RECORDS, .row_sz = 64, .row_max = 1ull << 32},
    {.region = KH_REGION_INDEX_SEGMENTS, .row_sz = 65536, .row_max = 1ull << 16},
    {.region = KH_REGION_LEDGER_FIRST + 1, .row_sz = 24, .row_max = 1000},
};

static uint64_t resident_pages(void)
{
    unsigned long long all = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    cr_assert(f != NULL);
    cr_assert(fscanf(f, "%llu %llu", &all, &resident) == 2);
    fclose(f);
    return resident;
}

Test(mem, regions_are_zero_aligned_and_apart)
{
    kh_state state;
    cr_assert(kh_state_init(&state, specs, 4) == KH_OK);
    cr_assert(kh_state_bytes(&state) == 0);
    for (int i = 0; i < 4; i++) {
        kh_region *r = &state.regions[specs[i].region];
        cr_assert((uintptr_t)r->base % 65536 == 0);
        cr_assert(r->row_cnt == 0 && r->row_max == specs[i].row_max && r->row_sz == specs[i].row_sz);
        uint8_t *first = kh_row(&state, specs[i].region, 0), *last = kh_row(&state, specs[i].region, r->row_max - 1);
        cr_assert(first[0] == 0 && last[r->row_sz - 1] == 0);
        memset(first, 0x10 + i, r->row_sz);
        memset(last, 0x20 + i, r->row_sz);
    }
    for (int i = 0; i < 4; i++) {
        uint8_t *last = kh_row(&state, specs[i].region, specs[i].row_max - 1);
        cr_assert(last[0] == 0x20 + i && last[specs[i].row_sz - 1] == 0x20 + i);
    }
    cr_assert((uintptr_t)state.regions[KH_REGION_INDEX_RECORDS].base % (2u << 20) == 0);
    cr_assert(state.regions[KH_REGION_LEDGER_FIRST].row_sz == 0);
    state.regions[KH_REGION_LEDGER_FIRST + 1].row_cnt = 10;
    state.regions[KH_REGION_INDEX_RECORDS].row_cnt = 2;
    cr_assert(kh_state_bytes(&state) == 240 + 128);
    kh_state_release(&state);
    cr_assert(state.regions[KH_REGION_HEAD].base == NULL);
}

Test(mem, reserving_takes_no_memory)
{
    kh_state state;
    uint64_t before = resident_pages();
    cr_assert(kh_state_init(&state, specs, 4) == KH_OK);
    for (int i = 0; i < 4; i++) *(uint8_t *)kh_row(&state, specs[i].region, 0) = 1;
    cr_assert(resident_pages() < before + 400, "a look into each region must not cost huge pages");
    kh_state_release(&state);
}

Test(mem, refuses_what_it_cannot_do)
{
    kh_state state;
    memset(&state, 7, sizeof state);
    kh_region_spec bad = {.region = KH_REGION_MAX, .row_sz = 1, .row_max = 1};
    cr_assert(kh_state_init(&state, &bad, 1) == KH_E_ARG);
    bad = (kh_region_spec){.region = 1, .row_sz = 0, .row_max = 1};
    cr_assert(kh_state_init(&state, &bad, 1) == KH_E_ARG);
    bad = (kh_region_spec){.region = 1, .row_sz = 4, .row_max = UINT64_MAX};
    cr_assert(kh_state_init(&state, &bad, 1) == KH_E_ARG);
    bad = (kh_region_spec){.region = 1, .row_sz = 4096, .row_max = 1ull << 40};
    cr_assert(kh_state_init(&state, &bad, 1) == KH_E_NOMEM);
    kh_region_spec twice[2] = {specs[0], specs[0]};
    cr_assert(kh_state_init(&state, twice, 2) == KH_E_ARG);
    cr_assert(((uint8_t *)&state)[0] == 7, "untouched on failure");
}

Test(mem, populate_backs_memory_now)
{
    kh_state state;
    cr_assert(kh_state_init(&state, specs, 4) == KH_OK);
    kh_state_use_huge_pages(&state);
    uint64_t before = resident_pages();
    cr_assert(kh_state_populate(&state, KH_REGION_INDEX_SEGMENTS, 8u << 20) == KH_OK);
    cr_assert(resident_pages() >= before + 2048);
    cr_assert(kh_state_populate(&state, KH_REGION_HEAD, 1u << 30) == KH_OK, "stops at the capacity");
    cr_assert(kh_state_populate(&state, KH_REGION_LEDGER_FIRST, 4096) == KH_E_ARG);
    cr_assert(kh_state_populate(&state, KH_REGION_INDEX_RECORDS, 1ull << 38) == KH_E_NOMEM, "256 GiB are not there");
    kh_state_release(&state);
}

Test(mem, maps_a_file_privately)
{
    char path[] = "/tmp/kh_mem_XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    unlink(path);
    static uint8_t chunk[65536];
    memset(chunk, 0xab, sizeof chunk); /* also behind the last row: must not be seen */
    cr_assert(pwrite(fd, chunk, sizeof chunk, 65536) == sizeof chunk);
    kh_state state;
    cr_assert(kh_state_init(&state, specs, 4) == KH_OK);
    uint32_t region = KH_REGION_LEDGER_FIRST + 1;
    cr_assert(kh_state_map_file(&state, region, fd, 65536, 1001) == KH_E_ARG);
    cr_assert(kh_state_map_file(&state, region, fd, 4096, 10) == KH_E_ARG);
    cr_assert(kh_state_map_file(&state, region, fd, 131072, 1) == KH_E_DAMAGED, "behind the end of the file");
    cr_assert(kh_state_map_file(&state, region, fd, 65536, 200) == KH_OK);
    uint8_t *row = kh_row(&state, region, 199);
    cr_assert(row[23] == 0xab && row[24] == 0, "rows not in use are zero");
    row[0] = 1;
    uint8_t byte = 0;
    cr_assert(pread(fd, &byte, 1, 65536 + 199 * 24) == 1 && byte == 0xab, "the file keeps its bytes");
    row = kh_row(&state, region, 999);
    cr_assert(row[0] == 0);
    cr_assert(state.regions[region].row_cnt == 200);
    kh_state_release(&state);
    close(fd);
}
