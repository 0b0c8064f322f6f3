/* kanhe-opening: what the banks' views begin with where a directory of one machine moves up (docs/CLUSTER.md, "Opening").
 *
 * kanhe-opening SUITE DATA GROUP_KEY OUT ID=BOX...   DATA: the directory that hubs begin with, which nobody writes; GROUP_KEY:
 * the hubs' group.1.key; ID=BOX: each bank of the genesis with its public box key in hex, in any order. Writes OUT/ID, which that
 * bank alone can open, and prints the genesis' `opening`.
 * Exit status: 0; 2 usage; 3 what cannot be read or written, or a bank of the directory that is not among them; 4 a bank has more
 * than one file takes (2 GiB: some seven million financings): then the genesis says no opening. */
#include "cluster/node.h"
#include "crypto/digest.h"
#include "host/host.h"
#include "hub/opening.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct bank {
    uint32_t id;
    uint8_t box[KH_PUBLIC_SZ];
} bank;

static int complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "kanhe-opening: %s: %s\n", what, why);
    return 3;
}

static bool read_secret(const char *path, uint8_t ret[KH_SECRET_SZ])
{
    char text[2 * KH_SECRET_SZ];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good =
        fd >= 0 && read(fd, text, sizeof text) == (ssize_t)sizeof text && kh_hex_read(text, sizeof text, ret, KH_SECRET_SZ);
    if (fd >= 0) (void)close(fd);
    explicit_bzero(text, sizeof text);
    return good;
}

static bool read_bank(const char *word, bank *ret)
{
    char *end;
    unsigned long long id = strtoull(word, &end, 10);
    ret->id = (uint32_t)id;
    return *word >= '1' && *word <= '9' && id <= UINT32_MAX && *end == '=' &&
           kh_hex_read(end + 1, strlen(end + 1), ret->box, KH_PUBLIC_SZ);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const bank *)a)->id, y = ((const bank *)b)->id;
    return x < y ? -1 : x > y;
}

static bool write_file(const char *folder, uint32_t id, const uint8_t *p, size_t n)
{
    char path[1024];
    int len = snprintf(path, sizeof path, "%s/%u", folder, id), fd = -1;
    if (len > 0 && (size_t)len < sizeof path) fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0;
    for (size_t at = 0; good && at < n;) {
        ssize_t done = write(fd, p + at, n - at);
        if (done > 0) at += (size_t)done;
        else good = done < 0 && errno == EINTR;
    }
    good = good && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0) good = false;
    return good;
}

static kh_err write_all(kh_suite suite, const char *folder, const kh_maker *maker, const uint8_t checkpoint[32],
                        const bank *banks, uint32_t n)
{
    kh_entropy entropy = kh_host_entropy();
    kh_err err = KH_OK;
    for (uint32_t i = 0; i < n && err == KH_OK; i++) {
        uint8_t *package = NULL, *parcel = NULL;
        size_t package_n = 0, parcel_n = 0;
        err = kh_maker_package(maker, i, &package, &package_n);
        if (err == KH_OK && package_n > INT_MAX) err = KH_E_FULL; /* kh_seal's bound */
        if (err == KH_OK)
            err =
                kh_parcel_make(suite, banks[i].box, &entropy, checkpoint, banks[i].id, 0, package, package_n, &parcel, &parcel_n);
        if (err == KH_OK && !write_file(folder, banks[i].id, parcel, parcel_n)) err = KH_E_IO;
        free(package);
        free(parcel);
    }
    return err;
}

static int make(kh_suite suite, char **words, const bank *banks, uint32_t n)
{
    kh_clock clock = kh_host_clock();
    kh_entropy entropy = kh_host_entropy();
    kh_disk disk;
    kh_store *store = NULL;
    kh_store_report report = {.why = ""};
    kh_maker *maker = NULL;
    uint8_t secret[KH_SECRET_SZ], checkpoint[32], root[32];
    char hex[65];
    if (!read_secret(words[1], secret)) return complain(words[1], "no key can be read there");
    if (kh_host_disk_open(true, &disk) != KH_OK) return complain(words[0], kh_err_text(KH_E_NOMEM));
    const kh_store_options options = {
        .clock = &clock, .disk = &disk, .entropy = &entropy, .read_only = true, .inline_engine = true};
    uint32_t *ids = calloc(n + (size_t)1, sizeof *ids);
    for (uint32_t i = 0; ids != NULL && i < n; i++) ids[i] = banks[i].id;
    kh_err err = ids != NULL ? kh_maker_new(&maker) : KH_E_NOMEM;
    if (err == KH_OK) err = kh_store_open(&options, words[0], &report, &store);
    const char *what = words[0], *why = report.why[0] != '\0' ? report.why : NULL;
    if (err == KH_OK) err = kh_store_checkpoint_digest(store, checkpoint);
    if (err == KH_OK) err = kh_opening_make(store, secret, checkpoint, ids, n, maker, root);
    if (err == KH_E_NOT_FOUND && store != NULL) why = "it has financings of a bank that is not among those named";
    if (err == KH_OK) {
        what = words[2];
        err = write_all(suite, what, maker, checkpoint, banks, n);
    }
    if (store != NULL) kh_store_close(store);
    explicit_bzero(secret, sizeof secret);
    kh_maker_free(maker);
    kh_host_disk_close(&disk);
    free(ids);
    if (err == KH_E_FULL) {
        (void)complain(words[0], "a bank has more than one file takes: leave the opening out of the genesis");
        return 4;
    }
    if (err != KH_OK) return complain(what, why != NULL ? why : kh_err_text(err));
    kh_hex(root, sizeof root, hex);
    (void)puts(hex);
    return 0;
}

int main(int argc, char **argv)
{
    kh_suite suite;
    uint32_t n = argc > 5 ? (uint32_t)argc - 5 : 0;
    bank *banks = calloc(n + (size_t)1, sizeof *banks);
    bool good = banks != NULL && n > 0 && kh_suite_of(argv[1], &suite);
    for (uint32_t i = 0; good && i < n; i++) good = read_bank(argv[5 + i], &banks[i]);
    if (good) qsort(banks, n, sizeof *banks, by_id);
    for (uint32_t i = 1; good && i < n; i++) good = banks[i - 1].id != banks[i].id;
    int result = 2;
    if (good) result = make(suite, argv + 2, banks, n);
    else
        (void)fputs(
            "usage: kanhe-opening intl|gm DATA GROUP_KEY OUT ID=BOX...\n"
            "Writes OUT/ID, what each bank's view begins with, sealed to its box key, and prints the genesis' `opening`.\n",
            stderr);
    free(banks);
    return result;
}
