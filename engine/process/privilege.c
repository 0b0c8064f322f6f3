/* privilege: user, capabilities, limits, and the modes of secret files. */
#include "process/privilege.h"
#include "process/drop.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool failed(char *why, size_t cap, const char *what)
{
    (void)snprintf(why, cap, "%s: %s", what, strerror(errno));
    return false;
}

bool kh_privilege_who(const char *name, kh_who *ret, char *why, size_t cap)
{
    kh_who who = {.uid = geteuid(), .gid = getegid()};
    if (name[0] != '\0') {
        const struct passwd *p = getpwnam(name);
        if (p == NULL) {
            (void)snprintf(why, cap, "there is no user \"%s\" on this machine: `useradd --system %s` makes one", name, name);
            return false;
        }
        who.changes = p->pw_uid != who.uid;
        if (who.changes && who.uid != 0) {
            (void)snprintf(why, cap, "only root can become the user \"%s\": start kanhed as root or as that user", name);
            return false;
        }
        who.uid = p->pw_uid;
        who.gid = p->pw_gid;
        (void)snprintf(who.name, sizeof who.name, "%s", name);
    }
    *ret = who;
    return true;
}

bool kh_privilege_harden(uint64_t files, uint64_t *ret_files, char *why, size_t cap)
{
    const struct rlimit none = {0, 0};
    struct rlimit open_files;
    if (setrlimit(RLIMIT_CORE, &none) != 0) return failed(why, cap, "core dumps cannot be forbidden");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed(why, cap, "the memory cannot be closed to others");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed(why, cap, "no_new_privs cannot be set");
    if (getrlimit(RLIMIT_NOFILE, &open_files) != 0) return failed(why, cap, "the limit of open files cannot be read");
    struct rlimit wanted = {.rlim_cur = files, .rlim_max = kh_max64(files, open_files.rlim_max)};
    if (open_files.rlim_cur < files && setrlimit(RLIMIT_NOFILE, &wanted) != 0) {
        /* Only root raises the hard limit: as many as there are, and the caller says what that means. */
        wanted = (struct rlimit){.rlim_cur = kh_min64(files, open_files.rlim_max), .rlim_max = open_files.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &wanted) != 0) return failed(why, cap, "the limit of open files cannot be raised");
    }
    *ret_files = kh_max64(open_files.rlim_cur, wanted.rlim_cur);
    return true;
}

uint64_t kh_privilege_capabilities(uint32_t keep)
{
    return ((keep & KH_KEEP_BIND) != 0 ? UINT64_C(1) << CAP_NET_BIND_SERVICE : 0) |
           ((keep & KH_KEEP_NET_RAW) != 0 ? UINT64_C(1) << CAP_NET_RAW : 0) |
           ((keep & KH_KEEP_NET_ADMIN) != 0 ? UINT64_C(1) << CAP_NET_ADMIN : 0) |
           ((keep & KH_KEEP_IPC_LOCK) != 0 ? UINT64_C(1) << CAP_IPC_LOCK : 0);
}

bool kh_privilege_become(const kh_who *who, uint32_t keep, char *why, size_t cap)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct have[2], want[2] = {{0}, {0}};
    uint64_t kept = kh_privilege_capabilities(keep);
    if (syscall(SYS_capget, &header, have) != 0) return failed(why, cap, "the capabilities cannot be read");
    /* The bounding set first, while we may: what is not in it never comes back. */
    for (unsigned c = 0; c <= CAP_LAST_CAP; c++)
        if ((kept >> c & 1) == 0) (void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (who->changes) {
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return failed(why, cap, "capabilities cannot be kept");
        if (initgroups(who->name, who->gid) != 0) return failed(why, cap, "the groups cannot be set");
        if (setresgid(who->gid, who->gid, who->gid) != 0) return failed(why, cap, "the group cannot be changed");
        if (setresuid(who->uid, who->uid, who->uid) != 0) return failed(why, cap, "the user cannot be changed");
        if (who->uid != 0 && setresuid(0, 0, 0) == 0) {
            (void)snprintf(why, cap, "root's rights could be taken back after they were dropped");
            return false;
        }
    }
    for (unsigned half = 0; half < 2; half++)
        want[half].permitted = want[half].effective = have[half].permitted & (uint32_t)(kept >> (32 * half));
    if (syscall(SYS_capset, &header, want) != 0) return failed(why, cap, "the capabilities cannot be dropped");
    /* A change of user has made us dumpable again. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed(why, cap, "the memory cannot be closed to others");
    return true;
}

bool kh_privilege_secret(const char *path, uint32_t uid, char *why, size_t cap)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        (void)snprintf(why, cap, "%s: %s", path, strerror(errno));
        return false;
    }
    const char *wrong = NULL;
    if (!S_ISREG(st.st_mode)) wrong = "is no plain file";
    else if (st.st_uid != 0 && st.st_uid != uid) wrong = "belongs to somebody else than root or kanhed's user: `chown` it";
    else if ((st.st_mode & 077) != 0) wrong = "can be read or written by others: `chmod 600` it";
    if (wrong != NULL) (void)snprintf(why, cap, "the key file %s %s", path, wrong);
    return wrong == NULL;
}
