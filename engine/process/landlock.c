/* landlock: the file system as kanhed may still change it. Plain system calls: the C library has no names for them yet. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "process/privilege.h"

/* From the kernel's userspace-api/landlock.rst; the build machine's <linux/landlock.h> may be older than the running kernel. */
#define SYS_LANDLOCK_CREATE_RULESET 444
#define SYS_LANDLOCK_ADD_RULE 445
#define SYS_LANDLOCK_RESTRICT_SELF 446
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2

#define FS_EXECUTE UINT64_C(0x1)
#define FS_WRITE_FILE UINT64_C(0x2)
#define FS_REMOVE_DIR UINT64_C(0x10)
#define FS_REMOVE_FILE UINT64_C(0x20)
#define FS_MAKE_CHAR UINT64_C(0x40)
#define FS_MAKE_DIR UINT64_C(0x80)
#define FS_MAKE_REG UINT64_C(0x100)
#define FS_MAKE_SOCK UINT64_C(0x200)
#define FS_MAKE_FIFO UINT64_C(0x400)
#define FS_MAKE_BLOCK UINT64_C(0x800)
#define FS_MAKE_SYM UINT64_C(0x1000)
#define FS_REFER UINT64_C(0x2000)         /* version 2 */
#define FS_TRUNCATE UINT64_C(0x4000)      /* version 3 */
#define NET_CONNECT_TCP UINT64_C(0x2)     /* version 4 */
#define FS_IOCTL_DEV UINT64_C(0x8000)     /* version 5 */
#define SCOPE_ABSTRACT_UNIX UINT64_C(0x1) /* version 6 */
#define SCOPE_SIGNAL UINT64_C(0x2)

/* Inside the folders: plain files and folders, made, written, renamed and removed. */
#define INSIDE (FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE)

typedef struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
} ruleset_attr;
typedef struct __attribute__((packed)) path_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} path_beneath;
typedef struct net_port {
    uint64_t allowed_access, port;
} net_port;

static ruleset_attr handled(int abi, const kh_confine *c)
{
    ruleset_attr a = {.handled_access_fs = FS_EXECUTE | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_CHAR |
                                           FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SOCK | FS_MAKE_FIFO | FS_MAKE_BLOCK | FS_MAKE_SYM};
    if (abi >= 2) a.handled_access_fs |= FS_REFER;
    if (abi >= 3) a.handled_access_fs |= FS_TRUNCATE;
    if (abi >= 4 && !c->connects) a.handled_access_net = NET_CONNECT_TCP;
    if (abi >= 5 && !c->devices) a.handled_access_fs |= FS_IOCTL_DEV;
    if (abi >= 6) a.scoped = SCOPE_SIGNAL | (c->connects ? 0 : SCOPE_ABSTRACT_UNIX);
    return a;
}

static size_t attr_size(int abi) { return abi >= 6 ? 24 : abi >= 4 ? 16 : 8; }

static bool allow(int ruleset, const char *path, uint64_t access, char *why, size_t cap)
{
    path_beneath rule = {.allowed_access = access, .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    bool good = rule.parent_fd >= 0 && syscall(SYS_LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0u) == 0;
    if (!good) (void)snprintf(why, cap, "%s cannot be kept writable: %s", path, strerror(errno));
    if (rule.parent_fd >= 0) (void)close(rule.parent_fd);
    return good;
}

static bool allow_ports(int ruleset, const kh_confine *c, char *why, size_t cap)
{
    for (uint32_t i = 0; i < c->port_cnt; i++) {
        const net_port rule = {NET_CONNECT_TCP, c->ports[i]};
        if (syscall(SYS_LANDLOCK_ADD_RULE, ruleset, RULE_NET_PORT, &rule, 0u) == 0) continue;
        (void)snprintf(why, cap, "connections to port %u cannot be kept allowed: %s", c->ports[i], strerror(errno));
        return false;
    }
    return true;
}

bool kh_privilege_confine(const kh_confine *confine, int *ret_abi, char *why, size_t cap)
{
    long version = syscall(SYS_LANDLOCK_CREATE_RULESET, NULL, (size_t)0, CREATE_RULESET_VERSION);
    *ret_abi = 0;
    if (version <= 0) return true;
    int abi = (int)version;
    ruleset_attr attr = handled(abi, confine);
    int ruleset = (int)syscall(SYS_LANDLOCK_CREATE_RULESET, &attr, attr_size(abi), 0u);
    bool good = ruleset >= 0;
    if (!good) (void)snprintf(why, cap, "Landlock takes no rules: %s", strerror(errno));
    for (const char *const *folder = confine->folders; good && *folder != NULL; folder++)
        good = allow(ruleset, *folder, (INSIDE | (confine->devices ? FS_MAKE_SOCK : 0)) & attr.handled_access_fs, why, cap);
    if (good && confine->sockets != NULL)
        good = allow(ruleset, confine->sockets, (FS_MAKE_SOCK | FS_REMOVE_FILE) & attr.handled_access_fs, why, cap);
    if (good && attr.handled_access_net != 0) good = allow_ports(ruleset, confine, why, cap);
    good = good && allow(ruleset, "/dev/null", FS_WRITE_FILE, why, cap);
    if (good && syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0u) != 0) {
        (void)snprintf(why, cap, "Landlock cannot be put in force: %s", strerror(errno));
        good = false;
    }
    if (ruleset >= 0) (void)close(ruleset);
    if (good) *ret_abi = abi;
    return good;
}
