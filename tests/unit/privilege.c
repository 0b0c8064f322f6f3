/* privilege: tries to break out of what kanhed locks itself into. Each attempt is a child process that has dropped its rights
 * just as the daemon does; it must see the call refused, or be killed for it. Prints TAP. Run as root it changes its user, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "process/privilege.h"

static char folder[] = "/tmp/kanhe-privilege-XXXXXX", inside[64], outside[] = "/tmp/kanhe-privilege-outside-XXXXXX";
static int landlock_abi, count, wrong, other_end, peer_end;
static bool filter_on;

enum { REFUSED = 10, ALLOWED = 11, SETUP_FAILED = 12, KILLED = 13 };

static int refused_if(bool condition) { return condition ? REFUSED : ALLOWED; }

/* ---- what an intruder would try ---- */
static int try_execve(void)
{
    char *const args[] = {"true", NULL};
    (void)execve("/bin/true", args, NULL);
    return refused_if(errno == EPERM || errno == EACCES);
}
static int try_fork(void)
{
    pid_t child = fork();
    if (child == 0) _exit(0);
    return refused_if(child < 0 && errno == EPERM);
}
static int try_ptrace(void) { return refused_if(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) != 0 && errno == EPERM); }
static int try_mount(void) { return refused_if(mount("none", inside, "tmpfs", 0, NULL) != 0 && errno == EPERM); }
static int try_unshare(void) { return refused_if(unshare(CLONE_NEWUSER) != 0 && errno == EPERM); }
static int try_bpf(void) { return refused_if(syscall(SYS_bpf, 0, NULL, 0) != 0 && errno == EPERM); }
static int try_uring(void)
{
    struct io_uring_params params = {0};
    return refused_if(syscall(SYS_io_uring_setup, 4, &params) < 0 && errno == EPERM);
}
static int try_write_outside(void)
{
    return refused_if(open(outside, O_WRONLY | O_CLOEXEC) < 0 && (errno == EACCES || errno == EPERM));
}
static int try_make_outside(void)
{
    return refused_if(open("/tmp/kanhe-privilege-new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EACCES);
}
static int try_passwd(void) { return refused_if(open("/etc/passwd", O_WRONLY | O_CLOEXEC) < 0); }
static int try_link_inside(void)
{
    char link_path[96];
    (void)snprintf(link_path, sizeof link_path, "%s/link", inside);
    return refused_if(symlink("/etc/passwd", link_path) != 0 && (errno == EACCES || errno == EPERM));
}
static int try_executable_memory(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return refused_if(p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) != 0 && errno == EPERM &&
                      mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
}
static int try_raw_socket(void) { return refused_if(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM); }
static int try_raw_ip(void) { return refused_if(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM); }
static int try_connect(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)other_end), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    return refused_if(s >= 0 && connect(s, (const struct sockaddr *)&to, sizeof to) != 0 && errno == EACCES);
}
static int try_socket_file(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s/sub.sock", folder); /* beside the folder that sockets may be made in */
    return refused_if(s >= 0 && bind(s, (const struct sockaddr *)&at, sizeof at) != 0 && (errno == EACCES || errno == EPERM));
}
static int try_signal(void) { return refused_if(kill(getppid(), 0) != 0 && errno == EPERM); }
static int try_root_again(void) { return refused_if(setuid(0) != 0 && setresgid(0, 0, 0) != 0); }
static int try_core_dumps(void)
{
    const struct rlimit core = {1 << 20, 1 << 20};
    return refused_if(setrlimit(RLIMIT_CORE, &core) != 0);
}
static int try_dumpable(void)
{
    return refused_if(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
}
static int try_clock(void)
{
    const struct timespec ts = {0};
    return refused_if(clock_settime(CLOCK_REALTIME, &ts) != 0 && errno == EPERM);
}
static int try_capability(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct set[2] = {{0}, {0}};
    if (syscall(SYS_capget, &header, set) != 0) return ALLOWED;
    for (int half = 0; half < 2; half++) { /* what is permitted can be taken up again */
        if (set[half].permitted != 0) return ALLOWED;
        set[half].permitted = set[half].effective = 1u << (CAP_NET_RAW % 32);
    }
    return refused_if(syscall(SYS_capset, &header, set) != 0 && prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0);
}

/* ---- what kanhed needs, which must go on working ---- */
static void *in_thread(void *arg)
{
    (void)arg;
    char *p = malloc(64u << 20), byte;
    if (p == NULL || getrandom(&byte, 1, 0) != 1) return NULL;
    memset(p, 1, 64u << 20);
    free(p);
    return &in_thread;
}
static int use_threads(void)
{
    pthread_t thread;
    void *ret = NULL;
    if (pthread_create(&thread, NULL, in_thread, NULL) != 0 || pthread_join(thread, &ret) != 0 || ret == NULL) return REFUSED;
    return ALLOWED;
}
static int use_folder(void)
{
    char path[96], to[96];
    (void)snprintf(path, sizeof path, "%s/sub", inside);
    if (mkdir(path, 0700) != 0) return REFUSED;
    (void)snprintf(path, sizeof path, "%s/sub/a", inside);
    (void)snprintf(to, sizeof to, "%s/b", inside);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, "x", 1, 0) != 1 || ftruncate(fd, 4096) != 0 || fdatasync(fd) != 0 || close(fd) != 0) return REFUSED;
    return rename(path, to) == 0 && unlink(to) == 0 && open("/etc/hostname", O_RDONLY | O_CLOEXEC) >= 0 ? ALLOWED : REFUSED;
}
static int use_network(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), u = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return s >= 0 && u >= 0 && bind(s, (const struct sockaddr *)&at, sizeof at) == 0 && listen(s, 5) == 0 ? ALLOWED : REFUSED;
}

static int use_socket_file(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s/a.sock", inside);
    bool good = s >= 0 && fchmod(s, 0600) == 0 && bind(s, (const struct sockaddr *)&at, sizeof at) == 0 && listen(s, 5) == 0;
    return good && stat(at.sun_path, &st) == 0 && (st.st_mode & 0777) == 0600 && unlink(at.sun_path) == 0 ? ALLOWED : REFUSED;
}
static int use_named_port(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer_end), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return s >= 0 && connect(s, (const struct sockaddr *)&to, sizeof to) == 0 ? ALLOWED : REFUSED;
}

/* ---- the children ---- */
enum { BECOME = 1, CONFINE = 2, FILTER = 4 };

static bool drop(const kh_who *who, int layers)
{
    const char *const folders[] = {inside, NULL};
    const uint16_t ports[] = {(uint16_t)peer_end};
    const kh_confine confine = {.folders = folders, .sockets = inside, .ports = ports, .port_cnt = 1};
    char why[300] = "";
    uint64_t files;
    bool good = kh_privilege_harden(64, &files, why, sizeof why);
    if (good && (layers & BECOME) != 0) good = kh_privilege_become(who, 0, why, sizeof why);
    if (good && (layers & CONFINE) != 0) good = kh_privilege_confine(&confine, &landlock_abi, why, sizeof why);
    if (good && (layers & FILTER) != 0) good = kh_privilege_filter(false, &filter_on, why, sizeof why);
    if (!good) fprintf(stderr, "# %s\n", why);
    return good;
}

static int child_of(const kh_who *who, int layers, int (*attempt)(void))
{
    pid_t child = fork();
    int status;
    if (child == 0) _exit(drop(who, layers) ? attempt() : SETUP_FAILED);
    if (waitpid(child, &status, 0) != child) return SETUP_FAILED;
    if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSYS ? KILLED : SETUP_FAILED;
    return WEXITSTATUS(status);
}

static void say(bool good, const char *name, const char *what, int got)
{
    printf("%s %d - %s %s\n", good ? "ok" : "not ok", ++count, name, what);
    if (!good) printf("# got %d\n", got), wrong++;
    (void)fflush(stdout);
}

static void secrets(void)
{
    static const struct {
        unsigned mode;
        bool good;
    } modes[] = {{0600, true}, {0400, true}, {0640, false}, {0604, false}, {0666, false}};
    char why[300], path[96];
    (void)snprintf(path, sizeof path, "%s/key", inside);
    (void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        (void)chmod(path, modes[i].mode);
        struct stat st;
        (void)stat(path, &st);
        int got = kh_privilege_secret(path, st.st_uid, why, sizeof why);
        say(got == modes[i].good, "a key file's mode", modes[i].good ? "is taken" : "is refused", got);
    }
    (void)chmod(path, 0600);
    if (getuid() == 0) {
        (void)chown(path, 12345, 0);
        say(!kh_privilege_secret(path, 1, why, sizeof why) && strstr(why, "somebody else") != NULL, "somebody else's key",
            "is refused", 0);
    }
    say(!kh_privilege_secret(inside, getuid(), why, sizeof why), "a folder as a key", "is refused", 0);
    (void)unlink(path);
}

/* Its port; 0: none. */
static int listener(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    bool good = s >= 0 && bind(s, (struct sockaddr *)&at, size) == 0 && listen(s, 5) == 0 &&
                getsockname(s, (struct sockaddr *)&at, &size) == 0;
    return good ? ntohs(at.sin_port) : 0;
}

int main(void)
{
    static const struct {
        const char *name;
        int (*attempt)(void);
        int layers; /* each of which stops it, alone */
    } attempts[] = {{"execve", try_execve, CONFINE | FILTER},
                    {"fork", try_fork, FILTER},
                    {"ptrace", try_ptrace, BECOME | FILTER},
                    {"mount", try_mount, BECOME | CONFINE | FILTER},
                    {"unshare", try_unshare, FILTER},
                    {"bpf", try_bpf, FILTER},
                    {"a new io_uring", try_uring, FILTER},
                    {"writing a file that anybody may write", try_write_outside, CONFINE},
                    {"making a file in /tmp", try_make_outside, CONFINE},
                    {"writing /etc/passwd", try_passwd, BECOME | CONFINE},
                    {"a symbolic link inside", try_link_inside, CONFINE},
                    {"executable memory", try_executable_memory, FILTER},
                    {"a packet socket", try_raw_socket, BECOME | FILTER},
                    {"a raw IP socket", try_raw_ip, BECOME},
                    {"a TCP connection out", try_connect, CONFINE},
                    {"a socket in another folder", try_socket_file, CONFINE},
                    {"a signal to another process", try_signal, BECOME | CONFINE | FILTER},
                    {"root again", try_root_again, BECOME | FILTER},
                    {"core dumps again", try_core_dumps, BECOME | FILTER},
                    {"dumpable again", try_dumpable, FILTER},
                    {"setting the clock", try_clock, BECOME | FILTER},
                    {"a capability again", try_capability, BECOME}};
    static const struct {
        const char *name;
        int (*attempt)(void);
    } uses[] = {{"threads, memory, entropy", use_threads},
                {"files in the folder", use_folder},
                {"sockets that listen", use_network},
                {"a socket in its folder", use_socket_file},
                {"a TCP connection to a named port", use_named_port}};
    kh_who who;
    char why[300];
    bool root = getuid() == 0;
    if (!kh_privilege_who(root ? "nobody" : "", &who, why, sizeof why) || mkdtemp(folder) == NULL) return 1;
    (void)snprintf(inside, sizeof inside, "%s/in", folder);
    int open_to_all = mkstemp(outside);
    if (mkdir(inside, 0700) != 0 || open_to_all < 0 || fchmod(open_to_all, 0666) != 0 || chmod(folder, 0755) != 0) return 1;
    secrets();
    if (root && chown(inside, who.uid, who.gid) != 0) return 1;
    other_end = listener();
    peer_end = listener();
    if (other_end == 0 || peer_end == 0) return 1;

    /* What this kernel has, found out in a child: nothing of it can be taken back. */
    int found[2], has[2] = {0, 0};
    if (pipe(found) != 0) return 1;
    pid_t child = fork();
    if (child == 0) {
        bool good = drop(&who, BECOME | CONFINE | FILTER);
        const int told[2] = {landlock_abi, filter_on};
        _exit(good && write(found[1], told, sizeof told) == sizeof told ? 0 : 1);
    }
    int status = 1;
    bool dropped = waitpid(child, &status, 0) == child && status == 0 && read(found[0], has, sizeof has) == sizeof has;
    say(dropped, "rights", "are dropped", status);
    printf("# Landlock %d, seccomp %d\n", has[0], has[1]);
    static const char *const layer_names[] = {"without rights", "behind Landlock", "behind seccomp"};
    for (size_t i = 0; dropped && i < sizeof attempts / sizeof attempts[0]; i++)
        for (int layer = 0; layer < 3; layer++) {
            bool there = layer == 0 ? root : has[layer - 1] != 0;
            if ((attempts[i].layers >> layer & 1) == 0 || !there) continue;
            int got = child_of(&who, 1 << layer, attempts[i].attempt);
            char what[64];
            (void)snprintf(what, sizeof what, "%s, %s", got == KILLED ? "kills" : "is refused", layer_names[layer]);
            say(got == REFUSED || got == KILLED, attempts[i].name, what, got);
        }
    for (size_t i = 0; dropped && i < sizeof uses / sizeof uses[0]; i++) {
        int got = child_of(&who, BECOME | CONFINE | FILTER, uses[i].attempt);
        say(got == ALLOWED, uses[i].name, "still work", got);
    }
    char path[96];
    (void)snprintf(path, sizeof path, "%s/sub", inside);
    (void)rmdir(path);
    (void)rmdir(inside);
    (void)rmdir(folder);
    (void)unlink(outside);
    printf("1..%d\n", count);
    return wrong != 0;
}
