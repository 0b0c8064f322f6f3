/* back: DIR/back, the order to take the newest entries away: images first, then the log's end, at the next opening for writing;
 * what is derived from the log follows. The file goes last, so that a crash on the way is an opening that begins again. */
#include "store/parts.h"

enum { BACK_SZ = 32, CHECK_AT = 16 };
static const char magic[8] = {'K', 'H', 'B', 'A', 'C', 'K', '0', '1'};

uint64_t kh_store_begins(const kh_store *s) { return s->home.start.number; }

kh_err kh_store_go_back(kh_store *s, uint64_t number)
{
    const kh_disk *d = s->home.disk;
    char from[KH_PATH_MAX], to[KH_PATH_MAX];
    uint8_t bytes[BACK_SZ] = {0};
    kh_file *f;
    if (number < s->home.start.number) return KH_E_ARG;
    memcpy(bytes, magic, sizeof magic);
    kh_store64(bytes + 8, number);
    kh_store64(bytes + CHECK_AT, kh_xxh3(bytes, CHECK_AT));
    kh_err err = d->open(d->self, kh_home_path(&s->home, "back.new", from), KH_OPEN_WRITE | KH_OPEN_CREATE, &f);
    if (err != KH_OK) return err;
    err = d->write(d->self, f, 0, bytes, sizeof bytes);
    if (err == KH_OK) err = d->sync(d->self, f);
    d->close(d->self, f);
    if (err == KH_OK) err = d->rename(d->self, from, kh_home_path(&s->home, "back", to));
    return err == KH_OK ? d->sync_dir(d->self, s->home.dir) : err;
}

static kh_err drop_images(const kh_home *home, uint64_t number)
{
    char path[KH_PATH_MAX];
    uint64_t heights[16];
    uint32_t n = 0;
    kh_err err = kh_image_heights(home, heights, 16, &n);
    for (uint32_t i = 0; i < n && err == KH_OK; i++)
        if (heights[i] > number) err = home->disk->remove(home->disk->self, kh_image_path(home, heights[i], path));
    return err == KH_OK ? home->disk->sync_dir(home->disk->self, kh_home_path(home, "image", path)) : err;
}

kh_err kh_back_begin(const kh_home *home, bool *ret, uint64_t *ret_number)
{
    const kh_disk *d = home->disk;
    char path[KH_PATH_MAX];
    uint8_t bytes[BACK_SZ];
    size_t got = 0;
    kh_file *f;
    *ret = false;
    kh_err err = d->open(d->self, kh_home_path(home, "back", path), KH_OPEN_READ, &f);
    if (err == KH_E_NOT_FOUND) return KH_OK;
    if (err != KH_OK) return err;
    err = d->read(d->self, f, 0, bytes, sizeof bytes, &got);
    d->close(d->self, f);
    if (err != KH_OK) return err;
    if (got != sizeof bytes || memcmp(bytes, magic, sizeof magic) != 0 || kh_load64(bytes + CHECK_AT) != kh_xxh3(bytes, CHECK_AT))
        return KH_E_DAMAGED;
    *ret = true;
    *ret_number = kh_load64(bytes + 8);
    return drop_images(home, *ret_number);
}

kh_err kh_back_end(const kh_home *home)
{
    char path[KH_PATH_MAX];
    kh_err err = home->disk->remove(home->disk->self, kh_home_path(home, "back", path));
    return err == KH_OK ? home->disk->sync_dir(home->disk->self, home->dir) : err;
}
