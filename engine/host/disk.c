/* disk: submitted writes of the real disk, by io_uring; where the kernel has none or refuses it, by pwrite at once and
 * one fdatasync a file at the next poll, which makes a group of them durable together. */
#include "host/disk.h"
#include "host/host.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef KH_HAVE_URING

/* A ring does its calls past every filter of system calls: this one writes to files that are open, and does nothing else. */
static bool ring_restrict(struct io_uring *ring)
{
    static const uint8_t calls[] = {IORING_OP_WRITE, IORING_OP_NOP, IORING_OP_TIMEOUT};
    struct io_uring_restriction allowed[sizeof calls] = {{0}};
    for (size_t i = 0; i < sizeof calls; i++) {
        allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
        allowed[i].sqe_op = calls[i];
    }
    /* liburing 2.3 has functions for these two and does not export them. */
    return syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, allowed, sizeof calls) == 0 &&
           syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) == 0;
}

static bool ring_make(kh_host_disk *disk)
{
    if (io_uring_queue_init(KH_DISK_IN_FLIGHT_MAX, &disk->ring, IORING_SETUP_R_DISABLED) == 0) {
        if (ring_restrict(&disk->ring)) return true;
        io_uring_queue_exit(&disk->ring);
    }
    return io_uring_queue_init(KH_DISK_IN_FLIGHT_MAX, &disk->ring, 0) == 0; /* kernels before 5.10 know no restrictions */
}

static void ring_free(kh_host_disk *disk) { io_uring_queue_exit(&disk->ring); }

static kh_err ring_submit(kh_host_disk *disk, kh_disk_slot *slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&disk->ring);
    KH_ASSERT(sqe != NULL); /* there are as many entries as slots */
    io_uring_prep_write(sqe, slot->file->fd, slot->p, (unsigned)slot->n, slot->offset);
    io_uring_sqe_set_data(sqe, slot);
    int n = io_uring_submit(&disk->ring);
    /* What was not taken stays in the queue and goes with the next call; poll submits again. */
    if (n >= 0 || n == -EAGAIN || n == -EBUSY || n == -EINTR) return KH_OK;
    io_uring_prep_nop(sqe); /* refused for good: what stays in the queue must do nothing */
    io_uring_sqe_set_data(sqe, NULL);
    return kh_host_err_of_errno(-n);
}

/* A completion with less than all bytes is finished here; one that the kernel could not start is done again. */
static kh_err end_of(const kh_disk_slot *slot, int res)
{
    if (res == -EAGAIN || res == -EINTR) res = 0;
    if (res < 0) return kh_host_err_of_errno(-res);
    if ((size_t)res == slot->n) return KH_OK;
    return kh_host_pwrite_all(slot->file->fd, slot->offset + (unsigned)res, slot->p + res, slot->n - (unsigned)res);
}

static uint32_t ring_poll(kh_host_disk *disk, kh_disk_done *ret, uint32_t max, uint64_t wait_ns)
{
    uint32_t n = 0;
    struct io_uring_cqe *cqe;
    if (io_uring_sq_ready(&disk->ring) > 0) (void)io_uring_submit(&disk->ring);
    if (wait_ns > 0 && io_uring_peek_cqe(&disk->ring, &cqe) != 0) {
        struct __kernel_timespec ts = {.tv_sec = (long long)kh_min64(wait_ns / KH_NS_PER_S, UINT32_MAX),
                                       .tv_nsec = (long long)(wait_ns % KH_NS_PER_S)};
        (void)io_uring_wait_cqe_timeout(&disk->ring, &cqe, &ts);
    }
    while (n < max && io_uring_peek_cqe(&disk->ring, &cqe) == 0) {
        kh_disk_slot *slot = io_uring_cqe_get_data(cqe);
        int res = cqe->res;
        io_uring_cqe_seen(&disk->ring, cqe);
        if (slot == NULL) continue; /* a refused one, or the end of a wait where that is a request of its own */
        ret[n++] = (kh_disk_done){.tag = slot->tag, .err = end_of(slot, res)};
        slot->file->in_flight--;
        slot->file = NULL;
        disk->in_flight--;
    }
    return n;
}

#else

static bool ring_make(kh_host_disk *disk)
{
    (void)disk;
    return false;
}
static void ring_free(kh_host_disk *disk) { (void)disk; }
static kh_err ring_submit(kh_host_disk *disk, kh_disk_slot *slot)
{
    (void)disk, (void)slot;
    return KH_E_IO;
}
static uint32_t ring_poll(kh_host_disk *disk, kh_disk_done *ret, uint32_t max, uint64_t wait_ns)
{
    (void)disk, (void)ret, (void)max, (void)wait_ns;
    return 0;
}

#endif

static uint32_t plain_poll(kh_host_disk *disk, kh_disk_done *ret, uint32_t max)
{
    uint32_t n = 0;
    kh_file *synced = NULL; /* the file whose sync was the last, and how it ended */
    kh_err sync_err = KH_OK;
    for (uint32_t i = 0; i < KH_DISK_IN_FLIGHT_MAX && n < max; i++) {
        kh_disk_slot *slot = &disk->slots[i];
        if (slot->file == NULL) continue;
        kh_err err = slot->err;
        if (err == KH_OK && slot->file->durable && !slot->file->dsync) {
            if (slot->file != synced) {
                synced = slot->file;
                sync_err = fdatasync(synced->fd) == 0 ? KH_OK : kh_host_err_of_errno(errno);
            }
            err = sync_err;
        }
        ret[n++] = (kh_disk_done){.tag = slot->tag, .err = err};
        slot->file->in_flight--;
        slot->file = NULL;
        disk->in_flight--;
    }
    return n;
}

static kh_err disk_submit_write(void *self, kh_file *f, uint64_t offset, const void *p, size_t n, uint64_t tag)
{
    kh_host_disk *disk = self;
    kh_disk_slot *slot = NULL;
    if (n == 0 || n > (1u << 30)) return KH_E_ARG;
    kh_host_disk_prepare(disk);
    for (uint32_t i = 0; i < KH_DISK_IN_FLIGHT_MAX && slot == NULL; i++)
        if (disk->slots[i].file == NULL) slot = &disk->slots[i];
    if (slot == NULL) return KH_E_AGAIN;
    *slot = (kh_disk_slot){.file = f, .p = p, .offset = offset, .n = n, .tag = tag};
    kh_err err = KH_OK;
    if (disk->plain) slot->err = kh_host_pwrite_all(f->fd, offset, p, n);
    else err = ring_submit(disk, slot);
    if (err != KH_OK) {
        slot->file = NULL;
        return err;
    }
    f->in_flight++;
    disk->in_flight++;
    return KH_OK;
}

static uint32_t disk_poll(void *self, kh_disk_done *ret, uint32_t max, uint64_t wait_ns)
{
    kh_host_disk *disk = self;
    if (disk->in_flight == 0 || max == 0) return 0;
    return disk->plain ? plain_poll(disk, ret, max) : ring_poll(disk, ret, max, wait_ns);
}

void kh_host_disk_prepare(kh_host_disk *disk)
{
    if (disk->ready) return;
    if (!disk->plain && !ring_make(disk)) disk->plain = true;
    disk->ready = true;
}

kh_err kh_host_disk_open(bool force_plain, kh_disk *ret)
{
    kh_host_disk *disk = calloc(1, sizeof *disk);
    if (disk == NULL) return KH_E_NOMEM;
    disk->plain = force_plain;
    kh_disk made = {.submit_write = disk_submit_write, .poll = disk_poll, .self = disk};
    kh_host_files_fill(&made);
    *ret = made;
    return KH_OK;
}

void kh_host_disk_close(kh_disk *disk)
{
    kh_host_disk *d = disk->self;
    if (d == NULL) return;
    KH_ASSERT(d->in_flight == 0);
    if (d->ready && !d->plain) ring_free(d);
    free(d);
    disk->self = NULL;
}

const char *kh_host_disk_method(const kh_disk *disk)
{
    kh_host_disk_prepare(disk->self);
    return ((const kh_host_disk *)disk->self)->plain ? "pwrite+fdatasync" : "io_uring";
}
