/* kept: DIR/order/blocks grows at its end; DIR/order/state is replaced whole, after the blocks that it goes with are durable.
 * Where an order was given, DIR/order/given says from where on blocks are there, and what is known of those before. */
#include "kept/kept.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "kept/heights.h"
#include "kept/kept_block.h"

#define PATH_MAX_SZ 1024u
#define STATE_HEAD_SZ 40u /* magic, 0 4, three numbers 8 each, check 8: docs/CLUSTER.md */
#define STATE_MAX_SZ (1u << 30)
#define GIVEN_SZ 40u /* height 8, app hash 32 */
static const char state_magic[4] = {'K', 'H', 'O', 'S'}, given_magic[4] = {'K', 'H', 'O', 'G'};

struct kh_kept {
    const kh_disk *disk;
    char dir[PATH_MAX_SZ - 64];
    kh_heights *blocks, *members;
    pthread_mutex_t lock; /* over what follows */
    uint8_t *saved;
    size_t saved_n;
    uint64_t saved_height, blocks_end, members_end; /* bytes that the saved order goes with */
    uint64_t base, base_time_ns, base_changes;      /* of the order that was given; 0: none was */
    uint8_t *given;                                 /* what it remembers: app hashes */
    size_t given_n;
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

static uint64_t file_check(const uint8_t head[STATE_HEAD_SZ], const uint8_t *p, size_t n)
{
    uint64_t parts[2] = {kh_xxh3(head, 32), kh_xxh3(p, n)};
    return kh_xxh3(parts, sizeof parts);
}

/* A file that is replaced whole: a head with three numbers, and bytes. KH_E_NOT_FOUND. */
static kh_err load_file(kh_kept *k, const char *name, const char magic[4], uint64_t ret_numbers[3], uint8_t **ret, size_t *ret_n,
                        char *why, size_t cap)
{
    char path[PATH_MAX_SZ];
    uint8_t head[STATE_HEAD_SZ];
    uint64_t size = 0;
    kh_file *f = NULL;
    kh_err err = k->disk->open(k->disk->self, path_of(k, name, path), KH_OPEN_READ, &f);
    if (err == KH_E_NOT_FOUND) return err;
    if (err == KH_OK) err = k->disk->size(k->disk->self, f, &size);
    if (err == KH_OK && (size < sizeof head || size > STATE_MAX_SZ)) err = KH_E_DAMAGED;
    if (err == KH_OK) err = read_exact(k, f, 0, head, sizeof head);
    if (err == KH_OK && (memcmp(head, magic, 4) != 0 || kh_load32(head + 4) != 0)) err = KH_E_DAMAGED;
    uint8_t *p = err == KH_OK ? malloc(size) : NULL;
    if (err == KH_OK && p == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) err = read_exact(k, f, sizeof head, p, size - sizeof head);
    if (err == KH_OK && kh_load64(head + 32) != file_check(head, p, size - sizeof head)) err = KH_E_DAMAGED;
    if (f != NULL) k->disk->close(k->disk->self, f);
    if (err != KH_OK) {
        free(p);
        return say(why, cap, err, "%s: not as it was written", path);
    }
    for (int i = 0; i < 3; i++) ret_numbers[i] = kh_load64(head + 8 + 8 * i);
    *ret = p;
    *ret_n = size - sizeof head;
    return KH_OK;
}

static kh_err load_state(kh_kept *k, char *why, size_t cap)
{
    uint64_t numbers[3];
    kh_err err = load_file(k, "state", state_magic, numbers, &k->saved, &k->saved_n, why, cap);
    if (err != KH_OK) return err == KH_E_NOT_FOUND ? KH_OK : err;
    k->saved_height = numbers[0];
    k->blocks_end = numbers[1];
    k->members_end = numbers[2];
    return KH_OK;
}

/* One that is ahead of the saved order was written before a crash: it was to follow another beginning, at the saved height, or
   nothing. What it remembers below holds either way. */
static kh_err load_given(kh_kept *k, char *why, size_t cap)
{
    char path[PATH_MAX_SZ];
    uint64_t numbers[3];
    kh_err err = load_file(k, "given", given_magic, numbers, &k->given, &k->given_n, why, cap);
    if (err != KH_OK) return err == KH_E_NOT_FOUND ? KH_OK : err;
    bool ahead = numbers[0] > k->saved_height;
    while (ahead && k->given_n >= GIVEN_SZ && kh_load64(k->given + k->given_n - GIVEN_SZ) > k->saved_height)
        k->given_n -= GIVEN_SZ;
    if (k->saved_height != 0 && k->given_n % GIVEN_SZ == 0) {
        k->base = ahead ? k->saved_height : numbers[0];
        k->base_time_ns = ahead ? 0 : numbers[1];
        k->base_changes = numbers[2]; /* not below what it was */
        return KH_OK;
    }
    free(k->given);
    k->given = NULL;
    k->given_n = 0;
    return k->disk->remove(k->disk->self, path_of(k, "given", path));
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
    if (err == KH_OK) err = load_given(k, why, cap);
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
    free(k->given);
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

static kh_err write_file(kh_kept *k, const char *name, const char magic[4], const uint64_t numbers[3], const uint8_t *p, size_t n)
{
    char path[PATH_MAX_SZ], new_path[PATH_MAX_SZ], new_name[32];
    uint8_t head[STATE_HEAD_SZ] = {0};
    const kh_disk *d = k->disk;
    kh_file *f = NULL;
    memcpy(head, magic, 4);
    for (int i = 0; i < 3; i++) kh_store64(head + 8 + 8 * i, numbers[i]);
    kh_store64(head + 32, file_check(head, p, n));
    (void)snprintf(new_name, sizeof new_name, "%s.new", name);
    kh_err err = d->open(d->self, path_of(k, new_name, new_path), KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE, &f);
    if (err == KH_OK) err = d->truncate(d->self, f, 0);
    if (err == KH_OK) err = d->write(d->self, f, 0, head, sizeof head);
    if (err == KH_OK && n != 0) err = d->write(d->self, f, sizeof head, p, n);
    if (err == KH_OK) err = d->sync(d->self, f);
    if (f != NULL) d->close(d->self, f);
    if (err == KH_OK) err = d->rename(d->self, new_path, path_of(k, name, path));
    return err == KH_OK ? d->sync_dir(d->self, path_of(k, "", path)) : err;
}

static kh_err write_state(kh_kept *k, const uint8_t *saved, size_t n, uint64_t height)
{
    uint64_t numbers[3] = {height};
    kh_err err = kh_heights_bytes_upto(k->blocks, height, &numbers[1]);
    if (err == KH_OK) err = kh_heights_bytes_upto(k->members, height, &numbers[2]);
    return err == KH_OK ? write_file(k, "state", state_magic, numbers, saved, n) : err;
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

/* ---- an order that was given ---- */

/* What it remembers of the blocks before: {height 8, app hash 32} each. */
static uint8_t *hashes_of(const kh_order *order, size_t *ret_n)
{
    uint64_t height;
    uint8_t hash[32];
    uint32_t cnt = 0;
    while (kh_order_app_at(order, cnt, &height, hash)) cnt++;
    uint8_t *p = malloc((size_t)cnt * GIVEN_SZ + 1);
    for (uint32_t i = 0; p != NULL && i < cnt && kh_order_app_at(order, i, &height, hash); i++) {
        kh_store64(p + (size_t)i * GIVEN_SZ, height);
        memcpy(p + (size_t)i * GIVEN_SZ + 8, hash, 32);
    }
    *ret_n = (size_t)cnt * GIVEN_SZ;
    return p;
}

kh_err kh_kept_begin(kh_kept *k, const kh_order *order, const uint8_t *saved, size_t n)
{
    uint64_t height = kh_order_height(order);
    size_t hashes_n = 0, members_n = 0;
    uint8_t *hashes = hashes_of(order, &hashes_n), *members = NULL;
    bool other = kh_heights_newest(k->blocks) != 0 || k->saved_height > height || k->saved_height != k->base;
    kh_err err = hashes == NULL ? KH_E_NOMEM : other ? KH_E_EXISTS : KH_OK;
    if (err == KH_OK) err = kh_kept_members_encode(order, &members, &members_n);
    if (err == KH_OK && kh_heights_newest(k->members) < height)
        err = kh_heights_add(k->members, height, members, members_n, NULL, 0);
    const uint64_t numbers[3] = {height, kh_order_time(order), kh_order_change_number(order)};
    if (err == KH_OK) err = write_file(k, "given", given_magic, numbers, hashes, hashes_n);
    if (err == KH_OK) err = kh_kept_save(k, saved, n, height);
    free(members);
    (void)pthread_mutex_lock(&k->lock);
    if (err == KH_OK) {
        uint8_t *old = k->given;
        k->given = hashes;
        hashes = old;
        k->given_n = hashes_n;
        k->base = height;
        k->base_time_ns = numbers[1];
        k->base_changes = numbers[2];
    }
    (void)pthread_mutex_unlock(&k->lock);
    free(hashes);
    return err;
}

uint64_t kh_kept_base(kh_kept *k)
{
    (void)pthread_mutex_lock(&k->lock);
    uint64_t base = k->base;
    (void)pthread_mutex_unlock(&k->lock);
    return base;
}

uint64_t kh_kept_base_changes(kh_kept *k)
{
    (void)pthread_mutex_lock(&k->lock);
    uint64_t changes = k->base_changes;
    (void)pthread_mutex_unlock(&k->lock);
    return changes;
}

/* given_at: the newest that is remembered at or below a height. */
static kh_err given_at(kh_kept *k, uint64_t height, kh_kept_hash *ret)
{
    (void)pthread_mutex_lock(&k->lock);
    size_t low = 0, high = k->given_n / GIVEN_SZ;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (kh_load64(k->given + middle * GIVEN_SZ) <= height) low = middle + 1;
        else high = middle;
    }
    kh_err err = k->base == 0 ? KH_E_AGAIN : low == 0 ? KH_E_NOT_FOUND : KH_OK;
    if (err == KH_OK) {
        const uint8_t *at = k->given + (low - 1) * GIVEN_SZ;
        *ret = (kh_kept_hash){.height = kh_load64(at), .base = height < k->base};
        memcpy(ret->app_hash, at + 8, 32);
        if (ret->height == k->base) ret->time_ns = k->base_time_ns;
    }
    (void)pthread_mutex_unlock(&k->lock);
    return err;
}

kh_err kh_kept_hash_at(kh_kept *k, uint64_t height, kh_kept_hash *ret)
{
    kh_kept_block *b = NULL;
    kh_err err = kh_kept_at(k, height, &b);
    if (err == KH_E_NOT_FOUND) return given_at(k, height, ret);
    if (err != KH_OK) return err;
    *ret = (kh_kept_hash){.height = b->height, .time_ns = b->time_ns};
    memcpy(ret->app_hash, b->app_hash, 32);
    kh_kept_block_free(b);
    return KH_OK;
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
