/* files: the synchronous calls of the real disk. Files are made 0600 and directories 0700: trade data is nobody else's. */
#include "host/disk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

kh_err kh_host_err_of_errno(int error)
{
    switch (error) {
    case 0: return KH_OK;
    case ENOENT: return KH_E_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY: return KH_E_EXISTS;
    case ENOSPC:
    case EDQUOT: return KH_E_NOSPACE;
    case ENOMEM: return KH_E_NOMEM;
    default: return KH_E_IO;
    }
}

static kh_err last_err(void) { return kh_host_err_of_errno(errno); }

static kh_err file_open(void *self, const char *path, int flags, kh_file **ret)
{
    kh_host_disk *disk = self;
    bool durable = (flags & KH_OPEN_DURABLE) != 0;
    int how = O_CLOEXEC | ((flags & KH_OPEN_WRITE) == 0 ? O_RDONLY : (flags & KH_OPEN_READ) != 0 ? O_RDWR : O_WRONLY);
    if (flags & KH_OPEN_CREATE) how |= O_CREAT;
    if (flags & KH_OPEN_EXCLUSIVE) how |= O_EXCL;
    if (durable) kh_host_disk_prepare(disk);
    kh_file *f = calloc(1, sizeof *f);
    if (f == NULL) return KH_E_NOMEM;
    f->durable = durable;
    f->dsync = durable && !disk->plain;
    if (f->dsync) how |= O_DSYNC;
    f->fd = open(path, durable ? how | O_DIRECT : how, 0600);
    if (f->fd < 0 && durable && errno == EINVAL)
        f->fd = open(path, how & ~O_EXCL, 0600); /* no O_DIRECT here; it may be made already */
    if (f->fd < 0) {
        kh_err err = last_err();
        free(f);
        return err;
    }
    bool stream = (flags & KH_OPEN_STREAM) != 0 && (flags & KH_OPEN_WRITE) != 0 && !durable;
    f->past = stream ? open(path, O_CLOEXEC | O_WRONLY | O_DIRECT) : -1; /* where there is none: by the cache */
    *ret = f;
    return KH_OK;
}

static void file_close(void *self, kh_file *f)
{
    (void)self;
    if (f == NULL) return;
    KH_ASSERT(f->in_flight == 0); /* the writes' buffers and slots still belong to it */
    (void)close(f->fd);
    if (f->past >= 0) (void)close(f->past);
    free(f);
}

static kh_err file_size(void *self, kh_file *f, uint64_t *ret)
{
    (void)self;
    struct stat st;
    if (fstat(f->fd, &st) != 0) return last_err();
    *ret = (uint64_t)st.st_size;
    return KH_OK;
}

static kh_err file_truncate(void *self, kh_file *f, uint64_t size)
{
    (void)self;
    return ftruncate(f->fd, (off_t)size) == 0 ? KH_OK : last_err();
}

static kh_err file_read(void *self, kh_file *f, uint64_t offset, void *p, size_t n, size_t *ret_n)
{
    (void)self;
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(f->fd, (uint8_t *)p + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return last_err();
        if (got == 0) break;
        done += (size_t)got;
    }
    *ret_n = done;
    return KH_OK;
}

kh_err kh_host_pwrite_all(int fd, uint64_t offset, const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n > 0) {
        ssize_t put = pwrite(fd, at, n, (off_t)offset);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return last_err();
        if (put == 0) return KH_E_IO;
        at += put;
        offset += (uint64_t)put;
        n -= (size_t)put;
    }
    return KH_OK;
}

static kh_err file_sync(void *self, kh_file *f)
{
    (void)self;
    return fdatasync(f->fd) == 0 ? KH_OK : last_err();
}

/* The whole pages past the cache, what is before and behind them by it: no page goes both ways. */
static kh_err write_past(kh_file *f, uint64_t offset, const uint8_t *p, size_t n)
{
    size_t before = -offset % KH_STREAM_PAGE_SZ, whole = (n - before) / KH_STREAM_PAGE_SZ * KH_STREAM_PAGE_SZ;
    size_t behind = n - before - whole;
    kh_err err = before > 0 ? kh_host_pwrite_all(f->fd, offset, p, before) : KH_OK;
    if (err == KH_OK && kh_host_pwrite_all(f->past, offset + before, p + before, whole) != KH_OK)
        err = kh_host_pwrite_all(f->fd, offset + before, p + before, whole); /* not this disk, or not so much at once */
    if (err == KH_OK && behind > 0) err = kh_host_pwrite_all(f->fd, offset + before + whole, p + before + whole, behind);
    return err;
}

static kh_err file_write(void *self, kh_file *f, uint64_t offset, const void *p, size_t n)
{
    if (f->past >= 0 && n >= KH_STREAM_LEAST_SZ && ((uintptr_t)p - offset) % KH_STREAM_PAGE_SZ == 0)
        return write_past(f, offset, p, n);
    kh_err err = kh_host_pwrite_all(f->fd, offset, p, n);
    return err == KH_OK && f->durable && !f->dsync ? file_sync(self, f) : err;
}

static void file_pass(void *self, kh_file *f, uint64_t offset, uint64_t n, bool drop)
{
    (void)self;
    (void)sync_file_range(f->fd, (off_t)offset, (off_t)n, drop ? SYNC_FILE_RANGE_WAIT_BEFORE : SYNC_FILE_RANGE_WRITE);
    if (drop) (void)posix_fadvise(f->fd, (off_t)offset, (off_t)n, POSIX_FADV_DONTNEED);
}

static kh_err dir_rename(void *self, const char *from, const char *to)
{
    (void)self;
    return rename(from, to) == 0 ? KH_OK : last_err();
}

static kh_err dir_remove(void *self, const char *path)
{
    (void)self;
    return remove(path) == 0 ? KH_OK : last_err();
}

static kh_err dir_make(void *self, const char *path)
{
    (void)self;
    return mkdir(path, 0700) == 0 ? KH_OK : last_err();
}

static kh_err dir_sync(void *self, const char *path)
{
    (void)self;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return last_err();
    kh_err err = fsync(fd) == 0 ? KH_OK : last_err();
    (void)close(fd);
    return err;
}

static kh_err dir_list(void *self, const char *path, void (*each)(void *ctx, const char *name), void *ctx)
{
    (void)self;
    DIR *dir = opendir(path);
    if (dir == NULL) return last_err();
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) each(ctx, entry->d_name);
    }
    kh_err err = last_err();
    (void)closedir(dir);
    return err;
}

void kh_host_files_fill(kh_disk *ret)
{
    ret->open = file_open;
    ret->close = file_close;
    ret->size = file_size;
    ret->truncate = file_truncate;
    ret->read = file_read;
    ret->write = file_write;
    ret->sync = file_sync;
    ret->pass = file_pass;
    ret->rename = dir_rename;
    ret->remove = dir_remove;
    ret->make_dir = dir_make;
    ret->sync_dir = dir_sync;
    ret->list = dir_list;
}
