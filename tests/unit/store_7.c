/* store_7: a copy of a directory that is written while it is copied. The disk that the copy is made with lets the writer go on at
 * the worst moments. */
#include "store_fixture.h"

enum { DOCUMENTS = 20, BLOCK = 4096, MEDDLE_MAX = 5 };

typedef struct meddler {
    kh_disk real;
    bool full;
    kh_store *store;
    kh_file *log;           /* the open log segment that is copied */
    uint64_t next;          /* number of the next application */
    uint32_t images, holes; /* how often it still comes between */
} meddler;

static void go_on(meddler *m, uint32_t entries)
{
    for (uint32_t i = 0; i < entries; i++, m->next += 16) fixture_reserves(m->store, m->next, 16, DOCUMENTS);
}

/* An image that was listed goes before it is opened. */
static kh_err meddle_open(void *self, const char *path, int flags, kh_file **ret)
{
    meddler *m = self;
    uint64_t height;
    if (strstr(path, "data/image/") != NULL && m->images > 0) {
        m->images--;
        for (int i = 0; i < 3; i++) {
            go_on(m, 1);
            cr_assert(kh_store_snapshot(m->store, &height) == KH_OK);
        }
        cr_assert(access(path, F_OK) != 0, "the image has gone");
    }
    kh_err err = m->real.open(m->real.self, path, flags, ret);
    if (err == KH_OK && strstr(path, "data/log/") != NULL) m->log = *ret;
    return err;
}

/* The block behind the log's end is read before entries are written there, the blocks behind it afterwards. */
static kh_err meddle_read(void *self, kh_file *f, uint64_t offset, void *p, size_t n, size_t *ret_n)
{
    static const uint8_t zeros[BLOCK];
    meddler *m = self;
    uint8_t *bytes = p;
    kh_err err = m->real.read(m->real.self, f, offset, p, n, ret_n);
    if (err != KH_OK || f != m->log || m->holes == 0 || *ret_n != n) return err;
    size_t end = n / BLOCK;
    while (end > 0 && memcmp(bytes + (end - 1) * BLOCK, zeros, BLOCK) == 0) end--;
    if (end == 0 || (end + 8) * BLOCK > n) return err;
    m->holes--;
    go_on(m, 3);
    size_t from = (end + 1) * BLOCK, got;
    return m->real.read(m->real.self, f, offset + from, bytes + from, n - from, &got);
}

static void meddle_close(void *self, kh_file *f) { ((meddler *)self)->real.close(((meddler *)self)->real.self, f); }
static kh_err meddle_size(void *self, kh_file *f, uint64_t *ret)
{
    return ((meddler *)self)->real.size(((meddler *)self)->real.self, f, ret);
}
static kh_err meddle_write(void *self, kh_file *f, uint64_t offset, const void *p, size_t n)
{
    if (((meddler *)self)->full) return KH_E_NOSPACE;
    return ((meddler *)self)->real.write(((meddler *)self)->real.self, f, offset, p, n);
}
static kh_err meddle_sync(void *self, kh_file *f) { return ((meddler *)self)->real.sync(((meddler *)self)->real.self, f); }
static kh_err meddle_rename(void *self, const char *from, const char *to)
{
    return ((meddler *)self)->real.rename(((meddler *)self)->real.self, from, to);
}
static kh_err meddle_remove(void *self, const char *path)
{
    return ((meddler *)self)->real.remove(((meddler *)self)->real.self, path);
}
static kh_err meddle_make_dir(void *self, const char *path)
{
    return ((meddler *)self)->real.make_dir(((meddler *)self)->real.self, path);
}
static kh_err meddle_sync_dir(void *self, const char *path)
{
    return ((meddler *)self)->real.sync_dir(((meddler *)self)->real.self, path);
}
static kh_err meddle_list(void *self, const char *path, void (*each)(void *ctx, const char *name), void *ctx)
{
    return ((meddler *)self)->real.list(((meddler *)self)->real.self, path, each, ctx);
}

/* A directory with an image, a writer that has it open, and a disk that meddles. */
static void setup(fixture *f, meddler *m, kh_disk *disk)
{
    uint64_t height;
    fixture_setup(f);
    fixture_create(f);
    *m = (meddler){.real = f->disk, .store = fixture_open(f), .next = 1};
    fixture_documents(m->store, DOCUMENTS);
    go_on(m, 4);
    cr_assert(kh_store_snapshot(m->store, &height) == KH_OK);
    go_on(m, 2);
    *disk = (kh_disk){.open = meddle_open,
                      .close = meddle_close,
                      .size = meddle_size,
                      .read = meddle_read,
                      .write = meddle_write,
                      .sync = meddle_sync,
                      .rename = meddle_rename,
                      .remove = meddle_remove,
                      .make_dir = meddle_make_dir,
                      .sync_dir = meddle_sync_dir,
                      .list = meddle_list,
                      .self = m};
}

static kh_err backup(fixture *f, kh_disk *disk, const char *to, kh_backup *ret)
{
    kh_store_options options = f->options;
    options.disk = disk;
    f->report = (kh_store_report){0};
    return kh_store_backup(&options, f->dir, to, NULL, NULL, &f->report, ret);
}

/* It opens, and has `least` entries or more; the rest are the writer's. */
static void good(fixture *f, const char *to, uint64_t least)
{
    fixture g = *f;
    snprintf(g.dir, sizeof g.dir, "%s", to);
    kh_store_close(fixture_open(&g));
    kh_audit_result a = fixture_audit(&g), b = fixture_audit(f);
    cr_assert(a.ok, "%s: %s", a.at, a.why);
    cr_assert(a.entries >= least && a.entries <= b.entries, "%llu of %llu entries", (unsigned long long)a.entries,
              (unsigned long long)least);
}

static fixture f;
static meddler m;
static kh_disk disk;
static kh_backup made;
static char to[80];

static void begin(void) { setup(&f, &m, &disk); }
static void end(void)
{
    kh_store_close(m.store);
    fixture_teardown(&f);
}
TestSuite(store_7, .init = begin, .fini = end);

static void backup_well(void)
{
    snprintf(to, sizeof to, "%s/copy", f.root);
    kh_err err = backup(&f, &disk, to, &made);
    cr_assert(err == KH_OK, "%s: %s", f.report.where, f.report.why);
}

Test(store_7, images_go_while_they_are_copied)
{
    m.images = MEDDLE_MAX;
    uint64_t entries = fixture_audit(&f).entries;
    backup_well();
    cr_assert(m.images == 0 && made.files >= 4 && made.bytes > 0);
    good(&f, to, entries + 3 * MEDDLE_MAX);
}

Test(store_7, the_log_grows_while_it_is_copied)
{
    m.holes = MEDDLE_MAX;
    uint64_t entries = fixture_audit(&f).entries;
    backup_well();
    good(&f, to, entries);
    cr_assert(m.holes == 0);
}

Test(store_7, no_backup_says_why)
{
    cr_assert(backup(&f, &disk, f.dir, &made) == KH_E_EXISTS, "not onto itself");
    snprintf(to, sizeof to, "%s/none", f.root);
    fixture g = f;
    snprintf(g.dir, sizeof g.dir, "%s", to);
    cr_assert(backup(&g, &disk, to, &made) == KH_E_NOT_FOUND && access(to, F_OK) != 0, "of nothing");
    m.full = true;
    cr_assert(backup(&f, &disk, to, &made) == KH_E_NOSPACE && rmdir(to) == 0, "a full disk: what was made is taken away");
    m.full = false;
    m.images = 1000;
    cr_assert(backup(&f, &disk, to, &made) == KH_E_BUSY && f.report.where[0] != '\0', "images come for ever");
    snprintf(f.report.where, sizeof f.report.where, "%s/format", to);
    cr_assert(access(f.report.where, F_OK) != 0, "and what was copied is no data directory");
}
