/* home: a data directory's identity: DIR/format and DIR/secret, made by init, checked at every opening. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/parts.h"

#define FORMAT_SZ 128u
#define FORMAT_VERSION 1u
#define FORMAT_VERSION_START 2u /* of a directory that begins behind an entry */
enum { AT_VERSION = 8, AT_ID = 16, AT_SECRET = 32, AT_START = 64 };
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

/* By its descriptor: a daemon that has locked itself in may set this mode, of what it has open. */
static kh_err make_private(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return KH_E_IO;
    kh_err err = fchmod(fd, S_IRUSR | S_IWUSR) == 0 ? KH_OK : KH_E_IO;
    (void)close(fd);
    return err;
}

static kh_err write_new(const kh_home *home, const char *name, const void *p, size_t n, bool secret)
{
    char path[KH_PATH_MAX];
    kh_file *f;
    kh_err err = home->disk->open(home->disk->self, kh_home_path(home, name, path),
                                  KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_EXCLUSIVE, &f);
    if (err != KH_OK) return err;
    if (secret && !home->private_disk) err = make_private(path);
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

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(uint32_t *)ctx;
}

static const char *const folders[] = {"log", "journal", "image", "lookups"};

kh_err kh_home_make(const kh_store_options *options, const char *dir, const uint8_t *secret, kh_store_report *report,
                    kh_home *ret)
{
    char path[KH_PATH_MAX];
    uint32_t names = 0;
    const kh_entropy *entropy = options->entropy;
    kh_home *home = ret;
    *home = (kh_home){.disk = options->disk, .clock = options->clock, .private_disk = options->private_disk};
    if (strlen(dir) == 0 || strlen(dir) >= KH_DIR_MAX) return KH_E_ARG;
    memcpy(home->dir, dir, strlen(dir) + 1);
    kh_err err = home->disk->make_dir(home->disk->self, dir);
    if (err == KH_E_EXISTS) {
        err = home->disk->list(home->disk->self, dir, count_name, &names);
        if (err == KH_OK && names != 0) err = KH_E_EXISTS;
        if (err == KH_E_EXISTS) kh_say(report, dir, "the directory is not empty");
    }
    if (err != KH_OK) {
        kh_say(report, dir, "%s", kh_err_text(err));
        return err;
    }
    err = entropy->fill(entropy->self, home->id, sizeof home->id);
    if (err == KH_OK && secret != NULL) memcpy(home->secret, secret, sizeof home->secret);
    if (err == KH_OK && secret == NULL) err = entropy->fill(entropy->self, home->secret, sizeof home->secret);
    for (size_t i = 0; err == KH_OK && i < sizeof folders / sizeof folders[0]; i++)
        err = home->disk->make_dir(home->disk->self, kh_home_path(home, folders[i], path));
    if (err == KH_OK) err = write_new(home, "secret", home->secret, sizeof home->secret, true);
    if (err != KH_OK) {
        kh_say(report, home->dir, "cannot be made a data directory: %s", kh_err_text(err));
        kh_home_clear(home);
    }
    return err;
}

kh_err kh_home_sync(const kh_home *home)
{
    char path[KH_PATH_MAX];
    kh_err err = KH_OK;
    for (size_t i = 0; err == KH_OK && i < sizeof folders / sizeof folders[0]; i++)
        err = home->disk->sync_dir(home->disk->self, kh_home_path(home, folders[i], path));
    return err;
}

/* The directory's own name lasts too. */
static kh_err sync_parent(const kh_home *home)
{
    char parent[KH_DIR_MAX];
    size_t n = strlen(home->dir);
    while (n > 1 && home->dir[n - 1] == '/') n--;
    while (n > 0 && home->dir[n - 1] != '/') n--;
    if (n == 0) return home->disk->sync_dir(home->disk->self, home->private_disk ? "" : ".");
    memcpy(parent, home->dir, n);
    parent[n] = '\0';
    return home->disk->sync_dir(home->disk->self, parent);
}

kh_err kh_home_seal(const kh_home *home, kh_store_report *report)
{
    uint8_t format[FORMAT_SZ] = {0}, start[KH_START_SZ];
    char path[KH_PATH_MAX], from[KH_PATH_MAX];
    bool starts = home->start.number != 0;
    kh_err err = KH_OK;
    memcpy(format, magic, sizeof magic);
    kh_store32(format + AT_VERSION, starts ? FORMAT_VERSION_START : FORMAT_VERSION);
    memcpy(format + AT_ID, home->id, sizeof home->id);
    kh_sha256(home->secret, sizeof home->secret, format + AT_SECRET);
    if (starts) {
        kh_start_encode(&home->start, start);
        kh_sha256(start, sizeof start, format + AT_START);
        err = write_new(home, "start", start, sizeof start, false);
    }
    kh_store64(format + FORMAT_SZ - 8, kh_xxh3(format, FORMAT_SZ - 8));
    if (err == KH_OK) err = write_new(home, "format.new", format, sizeof format, false);
    /* A directory is one from the moment that it has a format. */
    if (err == KH_OK)
        err = home->disk->rename(home->disk->self, kh_home_path(home, "format.new", from), kh_home_path(home, "format", path));
    if (err == KH_OK) err = home->disk->sync_dir(home->disk->self, home->dir);
    if (err == KH_OK) err = sync_parent(home);
    if (err != KH_OK) kh_say(report, home->dir, "cannot be made a data directory: %s", kh_err_text(err));
    return err;
}

void kh_home_clear(const kh_home *home)
{
    static const char *const files[] = {"journal/blocks",           "journal/table", "image/new.tmp", "log/0000000000000000.wal",
                                        "log/0000000000000000.new", "secret",        "start",         "format.new"};
    char path[KH_PATH_MAX];
    const kh_disk *d = home->disk;
    kh_err err = KH_OK; /* what cannot be taken away is left to whoever looks at the directory */
    if (home->start.number != 0) err = d->remove(d->self, kh_image_path(home, home->start.number, path));
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) err = d->remove(d->self, kh_home_path(home, files[i], path));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        err = d->remove(d->self, kh_home_path(home, folders[i], path));
    (void)err;
}

static kh_err load_start(kh_home *home, const uint8_t digest[32], kh_store_report *report)
{
    char path[KH_PATH_MAX];
    uint8_t bytes[KH_START_SZ], own[32];
    kh_err err = read_whole(home, "start", bytes, sizeof bytes);
    if (err == KH_OK) kh_sha256(bytes, sizeof bytes, own);
    if (err == KH_OK && memcmp(own, digest, 32) != 0) err = KH_E_DAMAGED;
    if (err == KH_OK) err = kh_start_decode(bytes, &home->start);
    if (err == KH_E_DAMAGED) kh_say(report, kh_home_path(home, "start", path), "byte 0: the file is not as it was written");
    else if (err != KH_OK) kh_say(report, kh_home_path(home, "start", path), "%s", kh_err_text(err));
    return err;
}

kh_err kh_home_log(const kh_home *home, bool read_only, kh_log_open_report *opening, kh_store_report *report, kh_log **ret)
{
    char path[KH_PATH_MAX];
    kh_log *log = NULL;
    opening->begins = home->start.number;
    kh_err err = kh_log_open(home->disk, kh_home_path(home, "log", path), read_only, opening, &log);
    if (err == KH_OK && home->start.number != 0 && memcmp(kh_log_begin_digest(log), home->start.log_digest, 32) != 0) {
        kh_say(report, path, "the log begins behind another entry %llu than this directory",
               (unsigned long long)home->start.number);
        kh_log_close(log);
        return KH_E_DAMAGED;
    }
    if (err == KH_OK) *ret = log;
    else
        kh_say(report, opening->where[0] != '\0' ? opening->where : path, "%s",
               opening->why[0] != '\0' ? opening->why : kh_err_text(err));
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
    uint32_t version = err == KH_OK ? kh_load32(format + AT_VERSION) : 0;
    if (err == KH_OK && version != FORMAT_VERSION && version != FORMAT_VERSION_START) {
        kh_say(report, where, "byte 8: layout version %u; this program knows versions up to %u", version, FORMAT_VERSION_START);
        err = KH_E_VERSION;
    }
    if (err != KH_OK) {
        kh_say(report, where, "%s", kh_err_text(err));
        return err;
    }
    memcpy(ret->id, format + AT_ID, sizeof ret->id);
    err = read_whole(ret, "secret", ret->secret, sizeof ret->secret);
    where = kh_home_path(ret, "secret", path);
    kh_sha256(ret->secret, sizeof ret->secret, digest);
    if (err == KH_OK && memcmp(digest, format + AT_SECRET, sizeof digest) != 0) err = KH_E_DAMAGED;
    if (err == KH_E_DAMAGED) kh_say(report, where, "byte 0: not the secret that this directory was made with");
    if (err != KH_OK) {
        kh_say(report, where, "%s", kh_err_text(err));
        return err;
    }
    return version == FORMAT_VERSION_START ? load_start(ret, format + AT_START, report) : KH_OK;
}
