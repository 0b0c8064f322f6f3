/* chain: the items of a party's chain in the journals. */
#include "embed/embed.h"
#include <stdlib.h>

/* places: gathered from the newest on, so that they are told from the oldest. */
typedef struct places {
    kh_place *p;
    size_t n, cap;
} places;

static bool add(places *all, kh_place place)
{
    if (all->n == all->cap) {
        size_t cap = all->cap == 0 ? 256 : all->cap * 2;
        kh_place *p = realloc(all->p, cap * sizeof *p);
        if (p == NULL) return false;
        all->p = p;
        all->cap = cap;
    }
    all->p[all->n++] = place;
    return true;
}

kh_err kh_embed_party_chain(kh_engine *e, uint32_t party, bool (*wanted)(uint32_t party, const kh_journal_item *item),
                            kh_err (*each)(void *ctx, const kh_journal_item *item), void *ctx)
{
    kh_journal_item *item = malloc(sizeof *item);
    kh_party_view view = {0};
    kh_key key = {{0}};
    places all = {0};
    kh_store32(key.b, party);
    const kh_ledger *l = kh_store_read_begin(e->store);
    (void)kh_ledger_party(l, party, &view);
    kh_store_read_end(e->store);
    kh_err err = item == NULL ? KH_E_NOMEM : KH_OK;
    for (kh_place at = view.last; err == KH_OK && at.height != 0;) {
        err = kh_store_journal_read(e->store, at, item);
        if (err == KH_OK && wanted(party, item) && !add(&all, at)) err = KH_E_NOMEM;
        if (err == KH_OK) at = kh_store_journal_prev(item, 2, &key);
    }
    for (size_t i = all.n; err == KH_OK && i > 0; i--) {
        err = kh_store_journal_read(e->store, all.p[i - 1], item);
        if (err == KH_OK) err = each(ctx, item);
    }
    free(all.p);
    free(item);
    return err;
}
