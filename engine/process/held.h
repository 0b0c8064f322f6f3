/* held: a private file that only root may read, taken into memory before root's rights are dropped, and handed on by a name.
 *
 * The name is /proc/self/fd/N of a sealed memory file that no other process can open: our memory is closed to others. A file that
 * kanhed's own user can read is not held: its own name is handed on, so that it can be read again when it was renewed. */
#ifndef KH_PROCESS_HELD_H
#define KH_PROCESS_HELD_H
#include "process/privilege.h"

#define KH_HELD_MAX_SZ (64u << 10)

typedef struct kh_held {
    int fd; /* -1: not held */
    char name[512];
} kh_held;
/* kh_held_take checks the file as kh_privilege_secret does, for the user that we are going to be. */
KH_MUST bool kh_held_take(const char *path, const kh_who *who, kh_held *ret, char *why, size_t cap);
void kh_held_drop(kh_held *held);
#endif
