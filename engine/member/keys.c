/* keys: see keys.h. */
#include "member/keys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "process/privilege.h"

#define PATH_MAX_SZ 600u

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static bool decode(const char *text, size_t n, uint8_t ret[KH_SECRET_SZ])
{
    if (n == 2 * KH_SECRET_SZ + 1 && text[n - 1] == '\n') n--;
    if (n != 2 * KH_SECRET_SZ) return false;
    for (size_t i = 0; i < KH_SECRET_SZ; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* *ret_there false: there is no such file, which may be. */
static bool read_secret(const char *path, uint32_t uid, bool *ret_there, uint8_t ret[KH_SECRET_SZ], char *why, size_t cap)
{
    char text[2 * KH_SECRET_SZ + 8];
    *ret_there = access(path, F_OK) == 0 || errno != ENOENT;
    if (!*ret_there) return true;
    if (!kh_privilege_secret(path, uid, why, cap)) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    bool good = n > 0 && decode(text, (size_t)n, ret);
    if (fd >= 0) (void)close(fd);
    explicit_bzero(text, sizeof text);
    if (!good) (void)snprintf(why, cap, "%s: not 32 bytes in lower-case hex", path);
    return good;
}

typedef struct reading {
    kh_suite suite;
    const char *folder;
    uint32_t uid;
    char *why;
    size_t cap;
} reading;

static bool secret(const reading *r, const char *name, bool *ret_there, uint8_t ret[KH_SECRET_SZ], char path[PATH_MAX_SZ])
{
    (void)snprintf(path, PATH_MAX_SZ, "%s/%s", r->folder, name);
    return read_secret(path, r->uid, ret_there, ret, r->why, r->cap);
}

static bool unfit(const reading *r, const char *path)
{
    (void)snprintf(r->why, r->cap, "%s: no key of suite %s", path, kh_suite_word(r->suite));
    return false;
}

static bool signer(const reading *r, const char *name, kh_signer **ret)
{
    uint8_t bytes[KH_SECRET_SZ];
    char path[PATH_MAX_SZ];
    bool there = false;
    bool good = secret(r, name, &there, bytes, path);
    if (good && there) good = kh_signer_new(r->suite, bytes, ret) == KH_OK || unfit(r, path);
    explicit_bzero(bytes, sizeof bytes);
    return good;
}

/* ret_bytes may be NULL. */
static bool box(const reading *r, const char *name, kh_box **ret, uint8_t *ret_bytes)
{
    uint8_t bytes[KH_SECRET_SZ];
    char path[PATH_MAX_SZ];
    bool there = false;
    bool good = secret(r, name, &there, bytes, path);
    if (good && there) good = kh_box_new(r->suite, bytes, ret) == KH_OK || unfit(r, path);
    if (good && there && ret_bytes != NULL) memcpy(ret_bytes, bytes, sizeof bytes);
    explicit_bzero(bytes, sizeof bytes);
    return good;
}

static bool groups(const reading *r, kh_cluster_keys *k)
{
    for (uint32_t i = 0; i < KH_CLUSTER_EPOCHS_MAX; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "group.%u.key", i + 1);
        if (!box(r, name, &k->groups[i], k->group_secrets[i])) return false;
        if (k->groups[i] != NULL) k->epoch_cnt = i + 1;
    }
    return true;
}

bool kh_cluster_keys_group(kh_suite suite, const char *folder, uint32_t uid, uint32_t epoch, kh_cluster_keys *k, char *why,
                           size_t cap)
{
    const reading r = {suite, folder, uid, why, cap};
    why[0] = '\0';
    if (epoch == 0 || epoch > KH_CLUSTER_EPOCHS_MAX) return false;
    char name[32];
    (void)snprintf(name, sizeof name, "group.%u.key", epoch);
    if (!box(&r, name, &k->groups[epoch - 1], k->group_secrets[epoch - 1]) || k->groups[epoch - 1] == NULL) return false;
    k->epoch_cnt = epoch > k->epoch_cnt ? epoch : k->epoch_cnt;
    return true;
}

bool kh_cluster_keys_read(kh_suite suite, const char *folder, uint32_t uid, kh_cluster_keys *ret, char *why, size_t cap)
{
    const reading r = {suite, folder, uid, why, cap};
    char path[PATH_MAX_SZ];
    *ret = (kh_cluster_keys){0};
    bool good = signer(&r, "sender.key", &ret->sender) && signer(&r, "ack.key", &ret->ack) &&
                signer(&r, "attest.key", &ret->attest) && box(&r, "box.key", &ret->box, NULL) &&
                box(&r, "box.old.key", &ret->box_old, NULL) && groups(&r, ret) &&
                secret(&r, "disk.key", &ret->has_disk, ret->disk, path);
    if (!good) kh_cluster_keys_drop(ret);
    return good;
}

void kh_cluster_keys_group_drop(kh_cluster_keys *k, uint32_t epoch)
{
    kh_box_free(k->groups[epoch - 1]);
    k->groups[epoch - 1] = NULL;
    explicit_bzero(k->group_secrets[epoch - 1], KH_SECRET_SZ);
}

void kh_cluster_keys_drop(kh_cluster_keys *k)
{
    kh_signer_free(k->sender);
    kh_signer_free(k->ack);
    kh_signer_free(k->attest);
    kh_box_free(k->box);
    kh_box_free(k->box_old);
    for (uint32_t i = 0; i < KH_CLUSTER_EPOCHS_MAX; i++) kh_box_free(k->groups[i]);
    explicit_bzero(k, sizeof *k);
}
