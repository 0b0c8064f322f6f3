/* disk: what the parts of the real disk share: the files, and how a submitted write travels.
 *
 * files.c does what is synchronous (open, read, write, sync, directories); disk.c submits writes, by io_uring or by
 * pwrite now and one fdatasync a file at the next poll. */
#ifndef KH_HOST_DISK_H
#define KH_HOST_DISK_H
#include "base/effects.h"
#ifdef KH_HAVE_URING
#include <liburing.h>
#endif

#define KH_DISK_IN_FLIGHT_MAX 64

struct kh_file {
    int fd, past; /* past: the same file with O_DIRECT, of one opened with KH_OPEN_STREAM; -1: none */
    bool durable; /* opened with KH_OPEN_DURABLE */
    bool dsync;   /* the descriptor is O_DSYNC: a finished write is durable */
    uint32_t in_flight;
};

typedef struct kh_disk_slot {
    kh_file *file; /* NULL: free */
    const uint8_t *p;
    uint64_t offset;
    size_t n;
    uint64_t tag;
    kh_err err; /* plain: how the pwrite ended */
} kh_disk_slot;

typedef struct kh_host_disk {
    bool plain; /* no io_uring: forced, or refused by the kernel */
    bool ready; /* the ring is there, or known not to be */
    uint32_t in_flight;
    kh_disk_slot slots[KH_DISK_IN_FLIGHT_MAX];
#ifdef KH_HAVE_URING
    struct io_uring ring;
#endif
} kh_host_disk;

kh_err kh_host_err_of_errno(int error);
/* kh_host_pwrite_all writes all of it; n > 0. */
KH_MUST kh_err kh_host_pwrite_all(int fd, uint64_t offset, const void *p, size_t n);
/* kh_host_disk_prepare makes the ring, or finds that there is none. */
void kh_host_disk_prepare(kh_host_disk *disk);
/* kh_host_files_fill fills in the synchronous calls. */
void kh_host_files_fill(kh_disk *ret);
#endif
