/* privilege: what kanhed gives up before it listens to anybody.
 *
 *   1. kh_privilege_who       the user of the configuration, looked up
 *   2. kh_privilege_harden    no core dumps, not dumpable (nobody may ptrace or read our memory), no new privileges, enough files
 *   3. kh_privilege_become    groups, gid, uid for good; every capability but those asked for
 *   4. kh_privilege_confine   Landlock: files are written only below the folders named; nothing is executed; no TCP connection
 * goes out but to the ports named, no signal leaves; before any other thread exists, and every thread made later has it too
 *   5. kh_privilege_filter    seccomp for all threads at once: system calls that kanhed has no use for answer EPERM, those that
 *                             only an intruder makes (execve, ptrace, mount, …) kill the process. After the log's io_uring is
 *                             made: io_uring does its calls past seccomp, and no other ring can be made afterwards.
 *
 * Order    as numbered. Each may be left out; none can be taken back.
 * Errors   false with a sentence in why. A kernel without Landlock or seccomp is no error: *ret says what there is. */
#ifndef KH_PROCESS_PRIVILEGE_H
#define KH_PROCESS_PRIVILEGE_H
#include "base/base.h"

typedef struct kh_who {
    uint32_t uid, gid;
    bool changes; /* to somebody else than we are */
    char name[64];
} kh_who;
/* kh_privilege_who: name "" is who we are. Naming another user needs root. */
KH_MUST bool kh_privilege_who(const char *name, kh_who *ret, char *why, size_t cap);
/* kh_privilege_harden: files: how many descriptors are wanted; *ret_files: how many there may be. */
KH_MUST bool kh_privilege_harden(uint64_t files, uint64_t *ret_files, char *why, size_t cap);

enum { KH_KEEP_BIND = 1, KH_KEEP_NET_RAW = 2, KH_KEEP_NET_ADMIN = 4, KH_KEEP_IPC_LOCK = 8 };
/* kh_privilege_become: keep: the capabilities that stay, where we have them: ports below 1024, DPDK's af_packet. */
KH_MUST bool kh_privilege_become(const kh_who *who, uint32_t keep, char *why, size_t cap);
/* kh_privilege_drop: the same for capabilities alone, in every thread that there is: those of DPDK and of the engine are older.
 */
KH_MUST bool kh_privilege_drop(uint32_t keep, char *why, size_t cap);

typedef struct kh_confine {
    const char *const *folders; /* NULL-terminated: may be written below */
    bool connects;              /* a token that is reached over the network */
    const char *sockets;        /* a folder in which a unix socket is made and removed; NULL: none */
    const uint16_t *ports;      /* of the TCP connections that may go out, port_cnt of them (connects: all) */
    uint32_t port_cnt;
    bool devices; /* DPDK: device files take commands, sockets may be made in the folders */
} kh_confine;
/* kh_privilege_confine: *ret_abi: Landlock's version, 0 where the kernel has none. */
KH_MUST bool kh_privilege_confine(const kh_confine *confine, int *ret_abi, char *why, size_t cap);

/* kh_privilege_filter: loads_code: a token's module may still load libraries (else no memory becomes executable any more). */
KH_MUST bool kh_privilege_filter(bool loads_code, bool *ret_on, char *why, size_t cap);

/* kh_privilege_secret checks a private file: a plain file of root or of this user that nobody else can read. */
KH_MUST bool kh_privilege_secret(const char *path, uint32_t uid, char *why, size_t cap);
#endif
