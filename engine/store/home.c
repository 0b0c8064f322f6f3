/* home: a data directory's identity: DIR/format and DIR/secret, made by init, checked at every opening. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include "store/parts.h"

#define FORMAT_SZ 128u
#define FORMAT_VERSION 1u
static const char magic[8] = {'K', 'A', 'N', 'H', 'E', 'D', 'I', 'R'};

void kh_say(kh_store_report *report, const char *where, const char *why, ...)
{
    if (report == NULL || report->why[0] != '\0') return;
    va_list args;
    va_start(args, why);
    (void)vsnprintf(report->why, sizeof report->why, why, args);
    va_end(args);
    if (where != NULL) (void)snprintf(report->where, sizeof report->where, "%s", where);
}

const char *kh_home_path(const kh_home *home, const char *name, char ret[KH_PATH_MAX])
{
    int n = snprintf(ret, KH_PATH_MAX, "%s/%s", home->dir, name);
    KH_ASSERT(n > 0 && n < (int)KH_PATH_MAX);
    return ret;
}

static kh_err write_new(const kh_home *home, const char *name, const void *p, size_t n, bool secret)
{
    char path[KH_PATH_MAX];
    kh_file *f;
    kh_err err = home->disk->open(home->disk->self, kh_home_path(home, name, path),
                                  KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_EXCLUSIVE, &f);
    if (err != KH_OK) return err;
    if (secret && !home->private_disk && chmod(path, S_IRUSR | S_IWUSR) != 0) err = KH_E_IO;
    if (err == KH_OK) err = home->disk->write(home->disk->self, f, 0, p, n);
    if (err == KH_OK) err = home->disk->sync(home->disk->self, f);
    home->disk->close(home->disk->self, f);
    return err;
}

/* Reads a file that must be exactly n bytes. */
static kh_err read_whole(const kh_home *home, const char *name, void *p, size_t n)
{
    char path[KH_PATH_MAX];
    kh_file *f;
    uint64_t size = 0;
    size_t got = 0;
    kh_err err = home->disk->open(home->disk->self, kh_home_path(home, name, path), KH_OPEN_READ, &f);
    if (err != KH_OK) return err;
    err = home->disk->size(home->disk->self, f, &size);
    if (err == KH_OK && size != n) err = KH_E_DAMAGED;
    if (err == KH_OK) err = home->disk->read(home->disk->self, f, 0, p, n, &got);
    if (err == KH_OK && got != n) err = KH_E_DAMAGED;
    home->disk->close(home->disk->self, f);
    return err;
}

kh_err kh_home_make(kh_home *home, const kh_entropy *entropy, const uint8_t *secret, kh_store_report *report)
{
    uint8_t format[FORMAT_SZ] = {0};
    char path[KH_PATH_MAX], from[KH_PATH_MAX];
    static const char *const dirs[] = {"log", "journal", "image", "lookups"};
    kh_err err = entropy->fill(entropy->self, home->id, sizeof home->id);
    if (err == KH_OK && secret != NULL) memcpy(home->secret, secret, sizeof home->secret);
    if (err == KH_OK && secret == NULL) err = entropy->fill(entropy->self, home->secret, sizeof home->secret);
    for (size_t i = 0; err == KH_OK && i < sizeof dirs / sizeof dirs[0]; i++)
        err = home->disk->make_dir(home->disk->self, kh_home_path(home, dirs[i], path));
    if (err == KH_OK) err = kh_log_create(home->disk, kh_home_path(home, "log", path));
    if (err == KH_OK) err = write_new(home, "secret", home->secret, sizeof home->secret, true);
    memcpy(format, magic, sizeof magic);
    kh_store32(format + 8, FORMAT_VERSION);
    memcpy(format + 16, home->id, sizeof home->id);
    kh_sha256(home->secret, sizeof home->secret, format + 32);
    kh_store64(format + FORMAT_SZ - 8, kh_xxh3(format, FORMAT_SZ - 8));
    if (err == KH_OK) err = write_new(home, "format.new", format, sizeof format, false);
    /* A directory is one from the moment that it has a format. */
    if (err == KH_OK)
        err = home->disk->rename(home->disk->self, kh_home_path(home, "format.new", from), kh_home_path(home, "format", path));
    if (err == KH_OK) err = home->disk->sync_dir(home->disk->self, home->dir);
    if (err != KH_OK) kh_say(report, home->dir, "cannot be made a data directory: %s", kh_err_text(err));
    return err;
}

kh_err kh_home_load(const kh_store_options *options, const char *dir, kh_store_report *report, kh_home *ret)
{
    uint8_t format[FORMAT_SZ], digest[32];
    char path[KH_PATH_MAX];
    if (strlen(dir) >= KH_DIR_MAX) return KH_E_ARG;
    *ret = (kh_home){.disk = options->disk, .clock = options->clock, .private_disk = options->private_disk};
    memcpy(ret->dir, dir, strlen(dir) + 1);
    kh_err err = read_whole(ret, "format", format, sizeof format);
    const char *where = kh_home_path(ret, "format", path);
    if (err == KH_E_NOT_FOUND) kh_say(report, dir, "not a data directory (make one with init)");
    if (err == KH_OK && kh_load64(format + FORMAT_SZ - 8) != kh_xxh3(format, FORMAT_SZ - 8)) err = KH_E_DAMAGED;
    if (err == KH_OK && memcmp(format, magic, sizeof magic) != 0) err = KH_E_DAMAGED;
    if (err == KH_E_DAMAGED) kh_say(report, where, "byte 0: the file is not as it was written");
    if (err == KH_OK && kh_load32(format + 8) != FORMAT_VERSION) {
        kh_say(report, where, "byte 8: layout version %u; this program knows version %u", kh_load32(format + 8), FORMAT_VERSION);
        err = KH_E_VERSION;
    }
    if (err != KH_OK) {
        kh_say(report, where, "%s", kh_err_text(err));
        return err;
    }
    memcpy(ret->id, format + 16, sizeof ret->id);
    err = read_whole(ret, "secret", ret->secret, sizeof ret->secret);
    where = kh_home_path(ret, "secret", path);
    kh_sha256(ret->secret, sizeof ret->secret, digest);
    if (err == KH_OK && memcmp(digest, format + 32, sizeof digest) != 0) err = KH_E_DAMAGED;
    if (err == KH_E_DAMAGED) kh_say(report, where, "byte 0: not the secret that this directory was made with");
    if (err != KH_OK) kh_say(report, where, "%s", kh_err_text(err));
    return err;
}
