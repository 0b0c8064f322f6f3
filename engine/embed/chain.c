/* chain: places in the journals, gathered from the newest on and told from the oldest; a party's items in pages. */
#include "embed/embed.h"
#include <stdlib.h>

kh_err kh_places_begin(kh_places *all, const kh_page *page)
{
    *all = (kh_places){.most = page != NULL && page->limit != 0 ? (uint64_t)page->limit + 1 : 0};
    all->cap = all->most != 0 ? all->most : 256;
    all->p = malloc(all->cap * sizeof *all->p);
    return all->p != NULL ? KH_OK : KH_E_NOMEM;
}

kh_err kh_places_add(kh_places *all, kh_place place)
{
    if (all->most == 0 && all->added == all->cap) {
        kh_place *p = realloc(all->p, all->cap * 2 * sizeof *p);
        if (p == NULL) return KH_E_NOMEM;
        all->p = p;
        all->cap *= 2;
    }
    all->p[all->added++ % all->cap] = place;
    return KH_OK;
}

bool kh_places_next(kh_places *all, kh_place *ret)
{
    if (all->added == 0) return false;
    *ret = all->p[--all->added % all->cap];
    return true;
}

bool kh_place_behind(kh_place place, const uint64_t after[KH_PAGE_NUMBERS])
{
    return place.height > after[0] || (place.height == after[0] && place.index > after[1]);
}

void kh_page_ends(kh_page *page, kh_place last)
{
    const uint64_t numbers[KH_PAGE_NUMBERS] = {last.height, last.index};
    kh_page_more(page, 2, numbers);
}

/* each_item gives what is wanted; KH_E_FULL ends the walk at the page's end. */
static kh_err each_item(void *ctx, const kh_journal_item *item)
{
    kh_walk *w = ctx;
    if (!w->wanted(0, item) || !kh_place_behind(item->place, w->after)) return KH_OK;
    if (kh_page_full(w->page, w->given)) {
        kh_page_ends(w->page, w->last);
        return KH_E_FULL;
    }
    w->give(w, item);
    w->given++;
    w->last = item->place;
    return KH_OK;
}

/* own_items follows the party's chain, down to the page's begin, and gives what is found. */
static kh_err own_items(kh_walk *w, uint32_t party)
{
    kh_party_view self = {0};
    kh_key key = {{0}};
    kh_places all = {0};
    kh_journal_item *item = malloc(sizeof *item);
    kh_err err = item != NULL ? kh_places_begin(&all, w->page) : KH_E_NOMEM;
    kh_store32(key.b, party);
    const kh_ledger *l = kh_store_read_begin(w->e->store);
    (void)kh_ledger_party(l, party, &self);
    kh_store_read_end(w->e->store);
    for (kh_place at = self.last; err == KH_OK && at.height != 0 && kh_place_behind(at, w->after);) {
        err = kh_store_journal_read(w->e->store, at, item);
        if (err == KH_OK && w->wanted(party, item)) err = kh_places_add(&all, at);
        if (err == KH_OK) at = kh_store_journal_prev(item, 2, &key);
    }
    for (kh_place at; err == KH_OK && kh_places_next(&all, &at);) {
        err = kh_store_journal_read(w->e->store, at, item);
        if (err == KH_OK) err = each_item(w, item);
    }
    free(all.p);
    free(item);
    return err;
}

kh_result kh_embed_walk(kh_walk *w, uint32_t party)
{
    kh_err err = party != 0 ? own_items(w, party) : kh_store_journal_scan(w->e->store, w->after[0], each_item, w);
    return err == KH_OK || err == KH_E_FULL ? KH_DONE : kh_embed_environment(w->e, err, "read the journal");
}
