/* secret: see secret.h. */
#include "client/secret.h"
#include "crypto/digest.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

kh_result kh_secret_read(const char *path, kh_suite suite, kh_signer **ret, char *why, size_t cap)
{
    char text[2 * KH_SECRET_SZ + 2] = "";
    uint8_t secret[KH_SECRET_SZ];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 && fstat(fd, &st) == 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0) (void)close(fd);
    if (n == (ssize_t)(2 * KH_SECRET_SZ + 1) && text[n - 1] == '\n') n--;
    kh_result result = KH_MISUSE;
    if (n < 0) (void)snprintf(why, cap, "%s cannot be read", path);
    else if ((st.st_mode & 077) != 0) (void)snprintf(why, cap, "%s is open to others: chmod 600 it", path);
    else if (!kh_hex_read(text, (size_t)n, secret, sizeof secret))
        (void)snprintf(why, cap, "%s is no key: 64 hexadecimal digits", path);
    else if (kh_signer_new(suite, secret, ret) != KH_OK)
        (void)snprintf(why, cap, "%s is no key of suite %s", path, kh_suite_word(suite));
    else result = KH_DONE;
    explicit_bzero(text, sizeof text);
    explicit_bzero(secret, sizeof secret);
    return result;
}
