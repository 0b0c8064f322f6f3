/* kanhe-key: makes the secret keys of a cluster's members and officers, and prints the public ones.
 *
 * kanhe-key SUITE sign|box|disk FILE...   FILE: 32 bytes as 64 hex digits, mode 0600, made where it is not there. Prints one line
 * a file: the public key in hex (64 bytes; 32 and zeros of Ed25519 and X25519); for `disk` "-": it has none.
 * Exit status: 0; 2 usage; 3 a file that cannot be read, written or is no key. */
#include "crypto/digest.h"
#include "crypto/suite.h"
#include "host/host.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

typedef enum key_kind { SIGN, BOX, DISK } key_kind;

static int complain(const char *file, const char *what)
{
    (void)fprintf(stderr, "kanhe-key: %s: %s\n", file, what);
    return 3;
}

static bool public_of(kh_suite suite, key_kind kind, const uint8_t secret[KH_SECRET_SZ], uint8_t ret[KH_PUBLIC_SZ])
{
    kh_signer *signer = NULL;
    kh_box *box = NULL;
    if (kind == SIGN && kh_signer_new(suite, secret, &signer) == KH_OK) kh_signer_public(signer, ret);
    if (kind == BOX && kh_box_new(suite, secret, &box) == KH_OK) kh_box_public(box, ret);
    bool made = kind == DISK || signer != NULL || box != NULL;
    kh_signer_free(signer);
    kh_box_free(box);
    return made;
}

/* Durable before its public key is told to anybody. */
static bool write_new(const char *file, const uint8_t secret[KH_SECRET_SZ])
{
    char text[2 * KH_SECRET_SZ + 2];
    kh_hex(secret, KH_SECRET_SZ, text);
    text[2 * KH_SECRET_SZ] = '\n';
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, text, 2 * KH_SECRET_SZ + 1) == 2 * KH_SECRET_SZ + 1 && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0) good = false;
    if (fd >= 0 && !good) (void)unlink(file);
    explicit_bzero(text, sizeof text);
    return good;
}

static bool make(kh_suite suite, key_kind kind, uint8_t ret[KH_SECRET_SZ])
{
    kh_entropy entropy = kh_host_entropy();
    uint8_t public_key[KH_PUBLIC_SZ];
    for (int i = 0; i < 100; i++) /* a number out of the suite's range is rarer than a broken machine */
        if (entropy.fill(entropy.self, ret, KH_SECRET_SZ) == KH_OK && public_of(suite, kind, ret, public_key)) return true;
    return false;
}

static int key(kh_suite suite, key_kind kind, const char *file)
{
    char text[2 * KH_SECRET_SZ + 1] = "";
    uint8_t secret[KH_SECRET_SZ] = {0}, public_key[KH_PUBLIC_SZ] = {0};
    int fd = open(file, O_RDONLY | O_CLOEXEC), result = 0;
    bool is_new = fd < 0 && errno == ENOENT;
    if (is_new) {
        if (!make(suite, kind, secret) || !write_new(file, secret)) result = complain(file, strerror(errno));
    } else if (fd < 0 || read(fd, text, sizeof text - 1) != sizeof text - 1 ||
               !kh_hex_read(text, sizeof text - 1, secret, sizeof secret)) {
        result = complain(file, fd < 0 ? strerror(errno) : "is not 64 hex digits");
    }
    if (fd >= 0) (void)close(fd);
    if (result == 0 && !public_of(suite, kind, secret, public_key)) result = complain(file, "is no key of this suite");
    if (result == 0) {
        char hex[2 * KH_PUBLIC_SZ + 1];
        kh_hex(public_key, sizeof public_key, hex);
        (void)puts(kind == DISK ? "-" : hex);
    }
    explicit_bzero(text, sizeof text);
    explicit_bzero(secret, sizeof secret);
    return result;
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"sign", "box", "disk"};
    kh_suite suite;
    int kind = 0;
    while (argc > 3 && kind < 3 && strcmp(argv[2], kinds[kind]) != 0) kind++;
    if (argc < 4 || kind == 3 || !kh_suite_of(argv[1], &suite)) {
        (void)fputs(
            "usage: kanhe-key intl|gm sign|box|disk FILE...\n"
            "Makes secret keys where FILE is not there (64 hex digits, mode 0600) and prints the public ones, a line each.\n",
            stderr);
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        int result = key(suite, (key_kind)kind, argv[i]);
        if (result != 0) return result;
    }
    return 0;
}
