/* expelled: whose holds lapse because officers expelled it: APPLIED, ACCEPTED and APPROVED financings, in the order in which they
 * were granted, loans not. There is no list of a bank's financings, so all rows are looked at, a bounded number an entry; the
 * entries behind go on. A financing's row is its number in the log, so that the place is the same everywhere. */
#include "ledger/machine.h"

#define LOOKS_MAX (256u << 10) /* financings looked at in an entry */
#define LINES_MAX 4096u        /* lines let go in an entry, after the one that brings it there */

static bool is_due(const kh_ledger *l, uint32_t fin, uint32_t *known, bool *expelled)
{
    const kh_fin *f = &l->fin[fin];
    if (!kh_fin_holds((kh_fin_state)f->state)) return false;
    if (f->bank != *known) {
        *known = f->bank;
        *expelled = l->party[kh_parties_find(l, f->bank)].frozen == KH_PARTY_EXPELLED;
    }
    return *expelled;
}

void kh_expelled_lapse(kh_ledger *l)
{
    uint32_t at = l->head->expelled_at, cnt = (uint32_t)l->state->regions[KH_R_FIN].row_cnt, known = 0;
    bool expelled = false;
    if (at == 0) return;
    for (; at < cnt && l->expelled_looks != 0 && l->expelled_lines != 0; at++, l->expelled_looks--) {
        if (!is_due(l, at, &known, &expelled)) continue;
        uint32_t lines = (uint32_t)l->fin[at].last_line + 1;
        l->expelled_lines -= lines < l->expelled_lines ? lines : l->expelled_lines;
        kh_expiry_lapse(l, at);
    }
    l->head->expelled_at = at < cnt ? at : 0;
}

void kh_expelled_begin(kh_ledger *l)
{
    l->expelled_looks = LOOKS_MAX;
    l->expelled_lines = LINES_MAX;
    kh_expelled_lapse(l);
}
