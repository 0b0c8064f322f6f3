/* head: DIR/head, the word that tells other processes how far the log is durable. It outlives its process but not the machine:
 * beside it stands the boot id of the machine's run in which it is true. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "store/parts.h"

static const char magic[8] = {'K', 'H', 'H', 'E', 'A', 'D', '0', '1'};
static const char boot_path[] = "/proc/sys/kernel/random/boot_id";

bool kh_boot_id(uint8_t ret[16])
{
    char text[64];
    int fd = open(boot_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text);
    (void)close(fd);
    uint32_t digits = 0;
    uint8_t id[16] = {0};
    for (ssize_t i = 0; i < n && digits < 32; i++) {
        const char *hex = "0123456789abcdef", *at = memchr(hex, text[i], 16);
        if (at == NULL) continue;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | (at - hex));
        digits++;
    }
    if (digits != 32) return false;
    memcpy(ret, id, 16);
    return true;
}

kh_err kh_head_open(const kh_home *home, bool read_only, kh_head *ret)
{
    char path[KH_PATH_MAX];
    memset(ret, 0, sizeof *ret);
    ret->writable = !read_only;
    ret->file = &ret->own;
    if (home->private_disk) return read_only ? KH_E_NOT_FOUND : KH_OK;
    int fd = open(kh_home_path(home, "head", path), (read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0644);
    if (fd < 0) return errno == ENOENT ? KH_E_NOT_FOUND : KH_E_IO;
    off_t size = lseek(fd, 0, SEEK_END);
    kh_err err = KH_OK;
    if (size < (off_t)sizeof(kh_head_file)) {
        if (read_only) err = KH_E_NOT_FOUND;
        else if (ftruncate(fd, sizeof(kh_head_file)) != 0) err = errno == ENOSPC ? KH_E_NOSPACE : KH_E_IO;
    }
    if (err == KH_OK) {
        void *p = mmap(NULL, sizeof(kh_head_file), read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) err = KH_E_IO;
        else {
            ret->file = p;
            ret->mapped = true;
        }
    }
    (void)close(fd);
    return err;
}

void kh_head_close(kh_head *head)
{
    if (head->mapped) (void)munmap(head->file, sizeof(kh_head_file));
    head->mapped = false;
    head->file = &head->own;
}

bool kh_head_known(const kh_head *head, uint64_t *ret_upto)
{
    uint8_t running[16];
    if (!head->mapped || memcmp(head->file->magic, magic, sizeof magic) != 0) return false;
    if (!kh_boot_id(running) || memcmp(running, head->file->boot_id, sizeof running) != 0) return false;
    *ret_upto = atomic_load_explicit(&head->file->durable_upto, memory_order_acquire); /* pairs with kh_head_publish */
    return true;
}

void kh_head_forget(kh_head *head) { memset(head->file->magic, 0, sizeof head->file->magic); }

void kh_head_start(kh_head *head, uint64_t upto)
{
    uint8_t running[16] = {0};
    uint64_t known;
    if (kh_head_known(head, &known)) { /* readers may be looking: the word only moves on */
        kh_head_publish(head, upto);
        return;
    }
    memset(head->file->boot_id, 0, sizeof head->file->boot_id);
    kh_head_publish(head, upto);
    memcpy(head->file->magic, magic, sizeof magic);
    atomic_thread_fence(memory_order_release);
    if (kh_boot_id(running)) memcpy(head->file->boot_id, running, sizeof running);
}

void kh_head_publish(kh_head *head, uint64_t durable_upto)
{
    atomic_store_explicit(&head->file->durable_upto, durable_upto, memory_order_release);
}
