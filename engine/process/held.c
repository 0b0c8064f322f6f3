/* held: see held.h. */
#include "process/held.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool copy(int from, int to, size_t *ret_n)
{
    char part[4096];
    ssize_t n;
    *ret_n = 0;
    while ((n = read(from, part, sizeof part)) > 0) {
        if (write(to, part, (size_t)n) != n) break;
        *ret_n += (size_t)n;
        if (*ret_n > KH_HELD_MAX_SZ) break;
    }
    explicit_bzero(part, sizeof part);
    return n == 0;
}

bool kh_held_take(const char *path, const kh_who *who, kh_held *ret, char *why, size_t cap)
{
    kh_held held = {.fd = -1};
    struct stat st;
    size_t size = 0;
    if (!kh_privilege_secret(path, who->uid, why, cap)) return false;
    (void)snprintf(held.name, sizeof held.name, "%s", path);
    if (who->changes && stat(path, &st) == 0 && st.st_uid != who->uid) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        held.fd = memfd_create("kanhed-key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        bool good = file >= 0 && held.fd >= 0 && copy(file, held.fd, &size) &&
                    fcntl(held.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0;
        if (!good)
            (void)snprintf(why, cap, "the key file %s cannot be read, or is larger than 64 KiB: %s", path, strerror(errno));
        if (file >= 0) (void)close(file);
        if (!good) {
            kh_held_drop(&held);
            return false;
        }
        (void)snprintf(held.name, sizeof held.name, "/proc/self/fd/%d", held.fd);
    }
    *ret = held;
    return true;
}

void kh_held_drop(kh_held *held)
{
    if (held->fd >= 0) (void)close(held->fd);
    held->fd = -1;
}
