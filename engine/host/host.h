/* host: the real effects of this machine: clock, disk (io_uring, or pwrite + fdatasync where there is none), entropy. */
#ifndef KH_HOST_HOST_H
#define KH_HOST_HOST_H
#include "base/effects.h"

kh_clock kh_host_clock(void);
kh_entropy kh_host_entropy(void);
/* kh_host_disk_open makes a disk; each belongs to one thread. force_plain: never io_uring. The ring is made when the first file
   is opened with KH_OPEN_DURABLE, so that one who only reads pays nothing; where the kernel refuses one, writes go by pwrite, and
   the next poll makes them durable by one fdatasync a file. Where a file system has no O_DIRECT, files are opened without it. */
KH_MUST kh_err kh_host_disk_open(bool force_plain, kh_disk *ret);
/* kh_host_disk_close: nothing may be in flight. Files that are still open stay so. */
void kh_host_disk_close(kh_disk *disk);
const char *kh_host_disk_method(const kh_disk *disk); /* "io_uring" or "pwrite+fdatasync", for stats */
#endif
