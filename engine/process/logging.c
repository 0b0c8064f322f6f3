/* logging: see logging.h. */
#include "process/logging.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct kh_logging {
    pthread_mutex_t lock;
    int fd;
    char path[512]; /* "": stderr */
    uint64_t tokens, filled_ns, left_out, left_out_in_all;
};

static const char *const level_words[] = {"info", "warning", "error"};

/* ---- a line ---- */

typedef struct line {
    char *p;
    size_t n, most;
} line;

static void put(line *l, const char *p, size_t n)
{
    if (n > l->most - l->n) n = l->most - l->n;
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

/* The length of the UTF-8 character at p, 0 where there is none. */
static size_t character(const uint8_t *p)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (n == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))) return 0;
    if (n == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))) return 0;
    return n;
}

/* put_text writes a JSON string that fits, quotes and all, cut between characters. */
static void put_text(line *l, const char *text)
{
    char escaped[8];
    put(l, "\"", 1);
    for (const uint8_t *p = (const uint8_t *)text; *p != 0;) {
        size_t n = character(p), shown = n;
        const char *show = (const char *)p;
        if (n == 0 || *p < 0x20 || *p == 0x7f) {
            shown = (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", n == 0 ? 0xfffdu : (unsigned)*p);
            show = escaped;
        } else if (*p == '"' || *p == '\\') {
            escaped[0] = '\\', escaped[1] = (char)*p;
            shown = 2, show = escaped;
        }
        if (l->n + shown + 1 > l->most) break;
        put(l, show, shown);
        p += n != 0 ? n : 1;
    }
    put(l, "\"", 1);
}

size_t kh_logging_line(uint64_t time_ns, kh_level level, const char *event, const kh_log_field fields[], char *ret)
{
    line l = {ret, 0, KH_LOGGING_LINE_MAX - 2};
    char text[64];
    time_t seconds = (time_t)(time_ns / KH_NS_PER_S);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    size_t n = strftime(text, sizeof text, "{\"time\":\"%Y-%m-%dT%H:%M:%S", &tm);
    put(&l, text, n);
    n = (size_t)snprintf(text, sizeof text, ".%03uZ\",\"level\":\"%s\",\"event\":", (unsigned)(time_ns % KH_NS_PER_S / 1000000),
                         level_words[level]);
    put(&l, text, n);
    put_text(&l, event);
    for (const kh_log_field *f = fields; f->name != NULL; f++) {
        /* A field is whole or not there; its text may be cut. */
        if (l.n + strlen(f->name) + 32 > l.most) break;
        put(&l, ",", 1);
        put_text(&l, f->name);
        put(&l, ":", 1);
        if (f->text != NULL) put_text(&l, f->text);
        else put(&l, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)f->number));
    }
    l.most = KH_LOGGING_LINE_MAX;
    put(&l, "}\n", 2);
    return l.n;
}

/* ---- the file ---- */

static int open_file(const char *path) { return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640); }

bool kh_logging_open(const char *path, int64_t uid, int64_t gid, kh_logging **ret, char *why, size_t cap)
{
    kh_logging *l = calloc(1, sizeof *l);
    if (l == NULL || strlen(path) >= sizeof l->path) {
        (void)snprintf(why, cap, "the log cannot be opened: out of memory, or its path is too long");
        free(l);
        return false;
    }
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)snprintf(l->path, sizeof l->path, "%s", path);
    l->fd = path[0] != '\0' ? open_file(path) : STDERR_FILENO;
    l->tokens = KH_LOGGING_BURST;
    if (l->fd < 0 || (path[0] != '\0' && uid >= 0 && fchown(l->fd, (uid_t)uid, (gid_t)gid) != 0)) {
        (void)snprintf(why, cap, "the log %s cannot be opened for writing: %s", path, strerror(errno));
        kh_logging_close(l);
        return false;
    }
    *ret = l;
    return true;
}

void kh_logging_close(kh_logging *l)
{
    if (l == NULL) return;
    if (l->path[0] != '\0' && l->fd >= 0) (void)close(l->fd);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

void kh_logging_reopen(kh_logging *l)
{
    if (l->path[0] == '\0') return;
    int fd = open_file(l->path);
    if (fd < 0) {
        KH_LOG(l, KH_LEVEL_ERROR, "log_not_reopened", {"why", strerror(errno), 0},
               {"do", "let the user of kanhed write to the log's folder; it goes on in the old file", 0});
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    (void)close(l->fd);
    l->fd = fd;
    (void)pthread_mutex_unlock(&l->lock);
}

static uint64_t now_ns(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * KH_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* take is true where the rate allows a line. [lock held] */
static bool take(kh_logging *l, kh_level level)
{
    uint64_t now = now_ns(CLOCK_MONOTONIC), each = KH_NS_PER_S / KH_LOGGING_PER_S;
    uint64_t more = (now - l->filled_ns) / each;
    l->tokens = kh_min64(l->tokens + more, KH_LOGGING_BURST);
    l->filled_ns += more * each;
    if (l->tokens <= (level == KH_LEVEL_ERROR ? 0 : KH_LOGGING_RESERVE)) return false;
    l->tokens--;
    return true;
}

/* A pipe that has room takes a line of less than PIPE_BUF whole and at once. [lock held] */
static bool write_line(const kh_logging *l, const char *p, size_t n)
{
    struct pollfd ready = {.fd = l->fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return false;
    return write(l->fd, p, n) == (ssize_t)n;
}

void kh_logging_put(kh_logging *l, kh_level level, const char *event, const kh_log_field fields[])
{
    char text[KH_LOGGING_LINE_MAX];
    uint64_t now = now_ns(CLOCK_REALTIME);
    size_t n = kh_logging_line(now, level, event, fields, text);
    (void)pthread_mutex_lock(&l->lock);
    bool may = take(l, level);
    if (may && l->left_out != 0) {
        char told[KH_LOGGING_LINE_MAX];
        const kh_log_field counted[] = {{"count", NULL, l->left_out}, {0}};
        size_t told_n = kh_logging_line(now, KH_LEVEL_WARNING, "lines_left_out", counted, told);
        if (write_line(l, told, told_n)) l->left_out = 0;
    }
    if (!may || !write_line(l, text, n)) l->left_out++, l->left_out_in_all++;
    (void)pthread_mutex_unlock(&l->lock);
}

uint64_t kh_logging_left_out(kh_logging *l)
{
    (void)pthread_mutex_lock(&l->lock);
    uint64_t n = l->left_out_in_all;
    (void)pthread_mutex_unlock(&l->lock);
    return n;
}
