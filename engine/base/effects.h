/* effects: everything by which the engine touches the world, behind small tables, so that tests can put another world there.
 *
 * The disk is asynchronous: submit a write, poll its end. Real effects: engine/host. Simulated, with faults: tests/sim. */
#ifndef KH_BASE_EFFECTS_H
#define KH_BASE_EFFECTS_H
#include "base/base.h"

typedef struct kh_clock {
    uint64_t (*now)(void *self);       /* wall clock, ns since 1970 */
    uint64_t (*monotonic)(void *self); /* ns, never back */
    void *self;
} kh_clock;

typedef struct kh_entropy {
    KH_MUST kh_err (*fill)(void *self, void *p, size_t n);
    void *self;
} kh_entropy;

typedef struct kh_file kh_file; /* opaque to users of the table */

enum {
    KH_OPEN_READ = 1,
    KH_OPEN_WRITE = 2,
    KH_OPEN_CREATE = 4,
    KH_OPEN_EXCLUSIVE = 8,
    KH_OPEN_DURABLE = 16, /* writes are durable when
their completion is reported (O_DIRECT | O_DSYNC); buffer, offset and length are multiples of 4096 */
    KH_OPEN_STREAM = 32 /* advice: large pieces, one behind the other, hardly read soon. Those of KH_STREAM_LEAST_SZ or more whose
buffer lies at the offset modulo KH_STREAM_PAGE_SZ may go past the file cache; what is read is the same in any case */
};
#define KH_STREAM_PAGE_SZ 4096u
#define KH_STREAM_LEAST_SZ (64u << 10)

typedef struct kh_disk_done {
    uint64_t tag;
    kh_err err;
} kh_disk_done;

typedef struct kh_disk {
    KH_MUST kh_err (*open)(void *self, const char *path, int flags, kh_file **ret);
    void (*close)(void *self, kh_file *f);
    KH_MUST kh_err (*size)(void *self, kh_file *f, uint64_t *ret);
    KH_MUST kh_err (*truncate)(void *self, kh_file *f, uint64_t size);
    /* read: *ret_n < n only at the end of the file */
    KH_MUST kh_err (*read)(void *self, kh_file *f, uint64_t offset, void *p, size_t n, size_t *ret_n);
    /* write: synchronous, whole; durable only after sync (or at once with KH_OPEN_DURABLE) */
    KH_MUST kh_err (*write)(void *self, kh_file *f, uint64_t offset, const void *p, size_t n);
    KH_MUST kh_err (*sync)(void *self, kh_file *f);
    /* submit: p stays the disk's until the tag is polled. KH_E_AGAIN when too many are in flight. */
    KH_MUST kh_err (*submit_write)(void *self, kh_file *f, uint64_t offset, const void *p, size_t n, uint64_t tag);
    /* poll: completions in any order; wait_ns 0 = do not wait; returns their number */
    uint32_t (*poll)(void *self, kh_disk_done *ret, uint32_t max, uint64_t wait_ns);
    /* pass: advice, and NULL where nobody takes it: these bytes will hardly be read soon. drop false: they may go to the disk by
     * now; true: then the file cache need not keep them. Promises nothing. */
    void (*pass)(void *self, kh_file *f, uint64_t offset, uint64_t n, bool drop);
    KH_MUST kh_err (*rename)(void *self, const char *from, const char *to);
    KH_MUST kh_err (*remove)(void *self, const char *path);
    KH_MUST kh_err (*make_dir)(void *self, const char *path);
    KH_MUST kh_err (*sync_dir)(void *self, const char *path);
    /* list: calls each name in the directory, without . and .. */
    KH_MUST kh_err (*list)(void *self, const char *path, void (*each)(void *ctx, const char *name), void *ctx);
    void *self;
} kh_disk;
#endif
