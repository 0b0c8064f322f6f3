/* seccomp: the system calls that kanhed still may make. A table to read: what is not in it answers EPERM. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include "process/privilege.h"

#define CALL(name) SCMP_SYS(name)

static const int allowed[] = {
    /* memory (mmap and mprotect: below) */
    CALL(munmap), CALL(mremap), CALL(madvise), CALL(brk), CALL(mlock), CALL(mlock2), CALL(munlock), CALL(msync), CALL(mincore),
    CALL(membarrier), CALL(get_mempolicy),
    /* files */
    CALL(openat), CALL(open), CALL(close), CALL(close_range), CALL(read), CALL(write), CALL(pread64), CALL(pwrite64), CALL(readv),
    CALL(writev), CALL(preadv), CALL(pwritev), CALL(preadv2), CALL(pwritev2), CALL(lseek), CALL(fstat), CALL(newfstatat),
    CALL(stat), CALL(lstat), CALL(statx), CALL(fstatfs), CALL(statfs), CALL(ftruncate), CALL(truncate), CALL(fallocate),
    CALL(fadvise64), CALL(fsync), CALL(fdatasync), CALL(sync_file_range), CALL(rename), CALL(renameat), CALL(renameat2),
    CALL(unlink), CALL(unlinkat), CALL(mkdir), CALL(mkdirat), CALL(rmdir), CALL(getdents64), CALL(access), CALL(faccessat),
    CALL(faccessat2), CALL(flock), CALL(fcntl), CALL(dup), CALL(dup2), CALL(dup3), CALL(readlink), CALL(readlinkat), CALL(getcwd),
    CALL(umask), CALL(sendfile), CALL(io_uring_enter),
    /* the network (socket: below) */
    CALL(bind), CALL(listen), CALL(accept), CALL(accept4), CALL(connect), CALL(getsockname), CALL(getpeername), CALL(setsockopt),
    CALL(getsockopt), CALL(sendto), CALL(recvfrom), CALL(sendmsg), CALL(recvmsg), CALL(sendmmsg), CALL(recvmmsg), CALL(shutdown),
    /* waiting */
    CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_pwait2), CALL(eventfd2), CALL(poll),
    CALL(ppoll), CALL(select), CALL(pselect6), CALL(pipe2), CALL(timerfd_create), CALL(timerfd_settime), CALL(timerfd_gettime),
    CALL(nanosleep), CALL(clock_nanosleep), CALL(clock_gettime), CALL(clock_getres), CALL(gettimeofday), CALL(time),
    /* threads (clone, prctl: below) */
    CALL(exit), CALL(exit_group), CALL(futex), CALL(set_robust_list), CALL(get_robust_list), CALL(rseq), CALL(set_tid_address),
    CALL(sched_yield), CALL(sched_setaffinity), CALL(sched_getaffinity), CALL(sched_setscheduler), CALL(sched_getscheduler),
    CALL(sched_getparam), CALL(sched_setparam), CALL(sched_get_priority_max), CALL(sched_get_priority_min), CALL(setpriority),
    CALL(getpriority), CALL(ioprio_set), CALL(getcpu), CALL(gettid), CALL(getpid), CALL(getppid), CALL(tgkill),
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigtimedwait), CALL(rt_sigpending), CALL(sigaltstack),
    CALL(restart_syscall),
    /* about ourselves */
    CALL(getrandom), CALL(uname), CALL(sysinfo), CALL(getrusage), CALL(getrlimit), CALL(getuid), CALL(geteuid), CALL(getgid),
    CALL(getegid), CALL(getresuid), CALL(getresgid), CALL(getgroups), CALL(times)};

/* is: the call's n-th argument equals `value`. */
static struct scmp_arg_cmp is(unsigned n, scmp_datum_t value)
{
    return (struct scmp_arg_cmp){.arg = n, .op = SCMP_CMP_EQ, .datum_a = value};
}

/* What only an intruder would try. */
static const int fatal[] = {CALL(execve),
                            CALL(execveat),
                            CALL(ptrace),
                            CALL(process_vm_readv),
                            CALL(process_vm_writev),
                            CALL(mount),
                            CALL(umount2),
                            CALL(move_mount),
                            CALL(open_tree),
                            CALL(fsopen),
                            CALL(pivot_root),
                            CALL(chroot),
                            CALL(init_module),
                            CALL(finit_module),
                            CALL(delete_module),
                            CALL(kexec_load),
                            CALL(kexec_file_load),
                            CALL(bpf),
                            CALL(perf_event_open),
                            CALL(keyctl),
                            CALL(add_key),
                            CALL(request_key),
                            CALL(unshare),
                            CALL(setns),
                            CALL(userfaultfd),
                            CALL(open_by_handle_at),
                            CALL(reboot),
                            CALL(swapon),
                            CALL(swapoff),
                            CALL(settimeofday),
                            CALL(clock_settime),
                            CALL(clock_adjtime),
                            CALL(adjtimex),
                            CALL(iopl),
                            CALL(ioperm),
                            CALL(pidfd_getfd)};

static int with_conditions(scmp_filter_ctx f, bool loads_code)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    static const int options[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_VMA, PR_SET_THP_DISABLE};
    const uint64_t exec = loads_code ? 0 : PROT_EXEC;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof families / sizeof families[0]; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(socket), 1, is(0, (scmp_datum_t)families[i]));
    for (size_t i = 0; rc == 0 && i < sizeof options / sizeof options[0]; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(prctl), 1, is(0, (scmp_datum_t)options[i]));
    /* Nothing becomes executable; where exec is 0 the condition always holds. */
    if (rc == 0) rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, exec, 0));
    if (rc == 0) rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, exec, 0));
    /* Threads, no processes. clone3 hides its flags: the C library then falls back to clone. */
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (rc == 0) rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
    /* A socket of our own gets its mode before anybody can connect. */
    if (rc == 0) rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(fchmod), 1, is(1, 0600));
    /* Limits are read, not set; a log that is looked at is asked whether it is a terminal. */
    if (rc == 0) rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(prlimit64), 1, is(2, 0));
    if (rc == 0) rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 1, is(1, 0x5401 /* TCGETS */));
    if (rc == 0) rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 1, is(1, 0x5421 /* FIONBIO */));
    if (rc == 0) rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 1, is(1, 0x541b /* FIONREAD */));
    return rc;
}

bool kh_privilege_filter(bool loads_code, bool *ret_on, char *why, size_t cap)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = f == NULL ? -ENOMEM : 0;
    *ret_on = false;
    if (rc == 0) rc = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc == 0) rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; rc == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; rc == 0 && i < sizeof fatal / sizeof fatal[0]; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, fatal[i], 0);
    if (rc == 0) rc = with_conditions(f, loads_code);
    bool built = rc == 0;
    if (rc == 0) rc = seccomp_load(f);
    if (f != NULL) seccomp_release(f);
    *ret_on = rc == 0;
    /* libseccomp says so where the kernel has no filters. */
    if (built && (rc == -EINVAL || rc == -ENOSYS || rc == -EOPNOTSUPP)) return true;
    if (rc != 0) (void)snprintf(why, cap, "the system call filter cannot be put in force: %s", strerror(-rc));
    return rc == 0;
}
