/* opening: the bank's financings as they stood when a directory moved up: its package of height 0 in a parcel
 * (docs/CLUSTER.md). All of its subtree is in it, under the root that the genesis says: nothing is changed, added or left out. */
#include <stdio.h>
#include <stdlib.h>
#include "view/parts.h"

bool kh_view_opening_said(const kh_view *v)
{
    return v->options.genesis != NULL && v->options.opening != NULL && kh_genesis_opens(v->options.genesis);
}

bool kh_view_opening_there(const kh_view *v)
{
    const kh_disk *d = v->options.disk;
    kh_file *file = NULL;
    if (!kh_view_opening_said(v) || d->open(d->self, v->options.opening, KH_OPEN_READ, &file) != KH_OK) return false;
    d->close(d->self, file);
    return true;
}

static kh_err read_all(const kh_view *v, uint8_t **ret, size_t *ret_n)
{
    const kh_disk *d = v->options.disk;
    kh_file *file = NULL;
    uint64_t size = 0;
    size_t n = 0;
    uint8_t *p = NULL;
    kh_err err = d->open(d->self, v->options.opening, KH_OPEN_READ, &file);
    if (err != KH_OK) return err;
    err = d->size(d->self, file, &size);
    if (err == KH_OK && (p = malloc(size + 1)) == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) err = d->read(d->self, file, 0, p, size, &n);
    if (err == KH_OK && n != size) err = KH_E_IO;
    d->close(d->self, file);
    if (err != KH_OK) free(p);
    else {
        *ret = p;
        *ret_n = n;
    }
    return err;
}

static bool open_parcel(const kh_view *v, const uint8_t *p, size_t n, uint8_t **ret, size_t *ret_n)
{
    const kh_view_options *o = &v->options;
    const kh_box *const boxes[] = {o->box, o->box_old};
    uint64_t height;
    for (uint32_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++)
        if (boxes[i] != NULL && kh_parcel_open(o->suite, boxes[i], o->genesis->checkpoint, o->party, p, n, &height, ret, ret_n)) {
            if (height == 0) return true;
            free(*ret);
        }
    return false;
}

static kh_err take(kh_view *v, const kh_package *package)
{
    kh_err err = KH_OK;
    for (uint32_t i = 0; err == KH_OK && i < package->item_cnt; i++) {
        const kh_package_item *item = &package->items[i];
        err = kh_payload_decode(item->payload, item->payload_sz, &v->output);
        if (err == KH_OK) err = v->output.receipt.party == v->options.party ? kh_view_opens(v, &v->output) : KH_E_FORMAT;
    }
    return err;
}

kh_err kh_view_opening_take(kh_view *v, char *why, size_t cap)
{
    const kh_genesis *g = v->options.genesis;
    uint8_t *parcel = NULL, *bytes = NULL;
    size_t n = 0, sz = 0;
    kh_package package = {.party = 0};
    kh_err err = read_all(v, &parcel, &n);
    if (err != KH_OK) return err;
    const char *word = NULL;
    if (!open_parcel(v, parcel, n, &bytes, &sz)) word = "is not sealed to this bank, or not whole";
    free(parcel);
    if (word == NULL) {
        err = kh_package_read(bytes, sz, g->checkpoint, &package);
        if (err == KH_E_FORMAT || (err == KH_OK && memcmp(package.root, g->opening, 32) != 0))
            word = "is not what the genesis says that this bank begins with";
        else if (err == KH_OK && (package.party != v->options.party || package.count_before != 0 || package.height != 0))
            word = "is another bank's";
    }
    if (word == NULL && err == KH_OK) {
        err = take(v, &package);
        if (err == KH_E_FORMAT) word = "holds what no financing is";
    }
    kh_package_free(&package);
    free(bytes);
    if (word != NULL) {
        (void)snprintf(why, cap, "%s %s: put the right one there, or take it away: hubs are asked for what was before then",
                       v->options.opening, word);
        return KH_E_FORMAT;
    }
    if (err != KH_OK) return err;
    v->opened = true;
    v->height = kh_max64(v->height, g->initial_height - 1);
    return KH_OK;
}
