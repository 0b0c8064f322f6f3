/* gen: made-up lines into a file: the header, then line after line, in big writes. */
#include "embed/embed.h"
#include "formats/generate.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GEN_BUFFER_SZ (1u << 20)

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static bool write_lines(int fd, kh_generate what, uint64_t count, uint64_t seed, char *buf)
{
    const char *header = kh_generate_header(what);
    size_t n = strlen(header);
    memcpy(buf, header, n);
    for (uint64_t i = 0; i < count; i++) {
        if (n + KH_GENERATE_LINE_MAX > GEN_BUFFER_SZ) {
            if (!write_all(fd, buf, n)) return false;
            n = 0;
        }
        n += kh_generate_line(what, count, seed, i, buf + n);
    }
    return write_all(fd, buf, n);
}

kh_result kh_gen(const char *what, uint64_t count, uint64_t seed, const char *path, char *ret_message, size_t cap)
{
    kh_generate kind;
    if (!kh_generate_of_word(kh_text_of(what), &kind)) {
        (void)snprintf(ret_message, cap, "\"%s\": declarations, invoices or requests can be made", what);
        return KH_MISUSE;
    }
    if (count > KH_GENERATE_MAX) {
        (void)snprintf(ret_message, cap, "at most %llu lines can be made", (unsigned long long)KH_GENERATE_MAX);
        return KH_MISUSE;
    }
    char *buf = malloc(GEN_BUFFER_SZ);
    int fd = path == NULL ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool done = buf != NULL && fd >= 0 && write_lines(fd, kind, count, seed, buf);
    if (path != NULL && fd >= 0 && close(fd) != 0) done = false;
    free(buf);
    if (!done) (void)snprintf(ret_message, cap, "%s could not be written", path == NULL ? "standard output" : path);
    return done ? KH_DONE : KH_FAILED;
}
