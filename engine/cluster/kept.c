/* kept: DIR/order/blocks grows at its end; DIR/order/state is replaced whole, after the blocks that it goes with are durable. */
#include "cluster/kept.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "cluster/heights.h"
#include "cluster/kept_block.h"

#define PATH_MAX_SZ 1024u
#define STATE_HEAD_SZ 40u /* magic, 0 4, height 8, bytes of blocks and of members that go with it 8 8, check 8 */
#define STATE_MAX_SZ (1u << 30)
static const char state_magic[4] = {'K', 'H', 'O', 'S'};

struct kh_kept {
    const kh_disk *disk;
    char dir[PATH_MAX_SZ - 32];
    kh_heights *blocks, *members;
    pthread_mutex_t lock; /* over what follows */
    uint8_t *saved;
    size_t saved_n;
    uint64_t saved_height, blocks_end, members_end; /* bytes that the saved order goes with */
};

static const char *path_of(const kh_kept *k, const char *name, char ret[PATH_MAX_SZ])
{
    (void)snprintf(ret, PATH_MAX_SZ, "%s/order%s%s", k->dir, name[0] != '\0' ? "/" : "", name);
    return ret;
}

__attribute__((format(printf, 4, 5))) static kh_err say(char *why, size_t cap, kh_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (cap != 0 && why[0] == '\0') (void)vsnprintf(why, cap, format, args);
    va_end(args);
    return err;
}

static kh_err read_exact(const kh_kept *k, kh_file *f, uint64_t at, void *p, size_t n)
{
    size_t got = 0;
    kh_err err = k->disk->read(k->disk->self, f, at, p, n, &got);
    return err == KH_OK && got != n ? KH_E_DAMAGED : err;
}

static uint64_t state_check(const uint8_t head[STATE_HEAD_SZ], const uint8_t *p, size_t n)
{
    uint64_t parts[2] = {kh_xxh3(head, 32), kh_xxh3(p, n)};
    return kh_xxh3(parts, sizeof parts);
}

static kh_err load_state(kh_kept *k, char *why, size_t cap)
{
    char path[PATH_MAX_SZ];
    uint8_t head[STATE_HEAD_SZ];
    uint64_t size = 0;
    kh_file *f = NULL;
    kh_err err = k->disk->open(k->disk->self, path_of(k, "state", path), KH_OPEN_READ, &f);
    if (err == KH_E_NOT_FOUND) return KH_OK;
    if (err == KH_OK) err = k->disk->size(k->disk->self, f, &size);
    if (err == KH_OK && (size < sizeof head || size > STATE_MAX_SZ)) err = KH_E_DAMAGED;
    if (err == KH_OK) err = read_exact(k, f, 0, head, sizeof head);
    if (err == KH_OK && (memcmp(head, state_magic, 4) != 0 || kh_load32(head + 4) != 0)) err = KH_E_DAMAGED;
    uint8_t *p = err == KH_OK ? malloc(size) : NULL;
    if (err == KH_OK && p == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) err = read_exact(k, f, sizeof head, p, size - sizeof head);
    if (err == KH_OK && kh_load64(head + 32) != state_check(head, p, size - sizeof head)) err = KH_E_DAMAGED;
    if (f != NULL) k->disk->close(k->disk->self, f);
    if (err != KH_OK) {
        free(p);
        return say(why, cap, err, "%s: not as it was written", path);
    }
    k->saved = p;
    k->saved_n = size - sizeof head;
    k->saved_height = kh_load64(head + 8);
    k->blocks_end = kh_load64(head + 16);
    k->members_end = kh_load64(head + 24);
    return KH_OK;
}

/* What the saved order goes with must be there whole; what is behind it CometBFT gives again: it is cut. */
static kh_err open_file(kh_kept *k, const char *name, const char magic[4], uint64_t whole, char *why, size_t cap,
                        kh_heights **ret)
{
    char path[PATH_MAX_SZ];
    uint64_t at = 0;
    kh_err err = kh_heights_open(k->disk, path_of(k, name, path), magic, whole, &at, ret);
    if (err == KH_OK && kh_heights_newest(*ret) > k->saved_height) err = KH_E_DAMAGED;
    return err == KH_OK ? KH_OK : say(why, cap, err, "%s: byte %llu: %s", path, (unsigned long long)at, kh_err_text(err));
}

kh_err kh_kept_open(const kh_disk *disk, const char *dir, char *why, size_t cap, kh_kept **ret)
{
    char path[PATH_MAX_SZ];
    if (cap != 0) why[0] = '\0';
    kh_kept *k = calloc(1, sizeof *k);
    if (k == NULL) return KH_E_NOMEM;
    k->disk = disk;
    (void)pthread_mutex_init(&k->lock, NULL);
    kh_err err = strlen(dir) < sizeof k->dir ? KH_OK : KH_E_ARG;
    if (err == KH_OK) {
        memcpy(k->dir, dir, strlen(dir) + 1);
        err = disk->make_dir(disk->self, path_of(k, "", path));
        if (err == KH_E_EXISTS) err = KH_OK;
    }
    if (err == KH_OK) err = load_state(k, why, cap);
    if (err == KH_OK) err = open_file(k, "blocks", "KHK1", k->blocks_end, why, cap, &k->blocks);
    if (err == KH_OK) err = open_file(k, "members", "KHM1", k->members_end, why, cap, &k->members);
    if (err == KH_OK) err = disk->sync_dir(disk->self, path_of(k, "", path));
    if (err != KH_OK) {
        (void)say(why, cap, err, "%s/order: %s", dir, kh_err_text(err));
        kh_kept_close(k);
        return err;
    }
    *ret = k;
    return KH_OK;
}

void kh_kept_close(kh_kept *k)
{
    if (k == NULL) return;
    kh_heights_close(k->blocks);
    kh_heights_close(k->members);
    (void)pthread_mutex_destroy(&k->lock);
    free(k->saved);
    free(k);
}

kh_err kh_kept_saved(kh_kept *k, uint8_t **ret, size_t *ret_n)
{
    kh_err err = KH_OK;
    (void)pthread_mutex_lock(&k->lock);
    uint8_t *p = k->saved_n != 0 ? malloc(k->saved_n) : NULL;
    if (k->saved_n != 0 && p == NULL) err = KH_E_NOMEM;
    if (p != NULL) memcpy(p, k->saved, k->saved_n);
    if (err == KH_OK) {
        *ret = p;
        *ret_n = k->saved_n;
    }
    (void)pthread_mutex_unlock(&k->lock);
    return err;
}

static bool members_changed(const kh_kept *k, const kh_order_block *block)
{
    if (kh_heights_newest(k->blocks) == 0) return true;
    for (uint32_t i = 0; i < block->tx_cnt; i++)
        if (block->types[i] == KH_TX_CHANGE && block->codes[i] == KH_R_OK) return true;
    return false;
}

kh_err kh_kept_add(kh_kept *k, const kh_order_block *block, kh_order *order)
{
    uint8_t *p = NULL;
    size_t n = 0;
    kh_err err = KH_OK;
    if (block->tx_cnt == 0) return KH_OK;
    if (members_changed(k, block) && kh_heights_newest(k->members) < block->height) {
        err = kh_kept_members_encode(order, &p, &n);
        if (err == KH_OK) err = kh_heights_add(k->members, block->height, p, n, NULL, 0);
        free(p);
        p = NULL;
    }
    if (err == KH_OK) err = kh_kept_encode(block, order, &p, &n);
    if (err == KH_OK) err = kh_heights_add(k->blocks, block->height, p, n, NULL, 0);
    free(p);
    return err;
}

static kh_err write_state(kh_kept *k, const uint8_t *saved, size_t n, uint64_t height)
{
    char path[PATH_MAX_SZ], new_path[PATH_MAX_SZ];
    uint8_t head[STATE_HEAD_SZ] = {0};
    const kh_disk *d = k->disk;
    kh_file *f = NULL;
    uint64_t blocks = 0, members = 0;
    kh_err err = kh_heights_bytes_upto(k->blocks, height, &blocks);
    if (err == KH_OK) err = kh_heights_bytes_upto(k->members, height, &members);
    if (err != KH_OK) return err;
    memcpy(head, state_magic, 4);
    kh_store64(head + 8, height);
    kh_store64(head + 16, blocks);
    kh_store64(head + 24, members);
    kh_store64(head + 32, state_check(head, saved, n));
    err = d->open(d->self, path_of(k, "state.new", new_path), KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE, &f);
    if (err == KH_OK) err = d->truncate(d->self, f, 0);
    if (err == KH_OK) err = d->write(d->self, f, 0, head, sizeof head);
    if (err == KH_OK) err = d->write(d->self, f, sizeof head, saved, n);
    if (err == KH_OK) err = d->sync(d->self, f);
    if (f != NULL) d->close(d->self, f);
    if (err == KH_OK) err = d->rename(d->self, new_path, path_of(k, "state", path));
    return err == KH_OK ? d->sync_dir(d->self, path_of(k, "", path)) : err;
}

kh_err kh_kept_save(kh_kept *k, const uint8_t *saved, size_t n, uint64_t height)
{
    if (n == 0) return KH_E_ARG;
    uint8_t *copy = malloc(n);
    if (copy == NULL) return KH_E_NOMEM;
    memcpy(copy, saved, n);
    kh_err err = kh_heights_sync(k->blocks);
    if (err == KH_OK) err = kh_heights_sync(k->members);
    if (err == KH_OK) err = write_state(k, saved, n, height);
    (void)pthread_mutex_lock(&k->lock);
    if (err == KH_OK) {
        uint8_t *old = k->saved;
        k->saved = copy;
        copy = old;
        k->saved_n = n;
        k->saved_height = height;
    }
    (void)pthread_mutex_unlock(&k->lock);
    free(copy);
    return err;
}

/* ---- finding ---- */

static kh_err decoded(kh_err err, uint64_t height, uint8_t *p, size_t n, kh_kept_block **ret)
{
    if (err != KH_OK) return err;
    err = kh_kept_decode(height, p, n, ret);
    free(p);
    return err;
}

kh_err kh_kept_at(kh_kept *k, uint64_t height, kh_kept_block **ret)
{
    uint8_t *p = NULL;
    size_t n = 0;
    uint64_t found = 0;
    kh_err err = kh_heights_at(k->blocks, height, &found, &p, &n);
    return decoded(err, found, p, n, ret);
}

kh_err kh_kept_after(kh_kept *k, uint64_t height, kh_kept_block **ret)
{
    uint8_t *p = NULL;
    size_t n = 0;
    uint64_t found = 0;
    kh_err err = kh_heights_after(k->blocks, height, &found, &p, &n);
    return decoded(err, found, p, n, ret);
}

kh_err kh_kept_members(kh_kept *k, uint64_t height, kh_kept_member **ret, uint32_t *ret_cnt)
{
    uint8_t *p = NULL;
    size_t n = 0;
    uint64_t found;
    kh_err err = kh_heights_at(k->members, height, &found, &p, &n);
    if (err != KH_OK) return err;
    err = kh_kept_members_decode(p, n, ret, ret_cnt);
    free(p);
    return err;
}
