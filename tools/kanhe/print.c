/* print: the sink, whole lines to stdout, JSON, progress. */
#include "print.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SZ (256u << 10)
#define FLUSH_AFTER_S 0.05

static struct {
    char *text; /* [0, whole) are whole lines */
    size_t n, whole, cap;
    double begun, written;
    bool json, failed, progress_shown;
} out;

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void write_whole_lines(void)
{
    size_t done = 0;
    while (done < out.whole && !out.failed) {
        ssize_t n = write(STDOUT_FILENO, out.text + done, out.whole - done);
        if (n > 0) done += (size_t)n;
        else if (n == 0 || errno != EINTR) out.failed = true;
    }
    memmove(out.text, out.text + out.whole, out.n - out.whole);
    out.n -= out.whole;
    out.whole = 0;
    out.written = now_s();
}

static bool make_room(size_t n)
{
    if (out.n + n <= out.cap) return true;
    size_t cap = (out.n + n) * 2 + BUFFER_SZ;
    char *more = realloc(out.text, cap);
    if (more == NULL) {
        out.failed = true;
        return false;
    }
    out.text = more;
    out.cap = cap;
    return true;
}

void print_text(const char *text, size_t n)
{
    if (!make_room(n)) return;
    memcpy(out.text + out.n, text, n);
    out.n += n;
}

void print_line_end(void)
{
    print_text("\n", 1);
    out.whole = out.n;
    if (out.n >= BUFFER_SZ || now_s() - out.written > FLUSH_AFTER_S) write_whole_lines();
}

/* json_object puts a row straight into the output, which grows until it fits. */
static void json_object(const kh_result_row *row)
{
    size_t need = kh_row_json(row, false, out.text + out.n, out.cap - out.n);
    if (out.n + need > out.cap) {
        if (!make_room(need)) return;
        (void)kh_row_json(row, false, out.text + out.n, out.cap - out.n);
    }
    out.n += need;
}

static void clear_progress(void)
{
    if (out.progress_shown) (void)fputs("\r\033[K", stderr);
    out.progress_shown = false;
}

static void on_row(void *ctx, const kh_result_row *row)
{
    (void)ctx;
    clear_progress();
    if (!out.json) {
        table_row(row);
        return;
    }
    json_object(row);
    print_line_end();
}

static void on_progress(void *ctx, const char *what, uint64_t done, uint64_t of)
{
    static double shown;
    double now = now_s();
    (void)ctx;
    if (out.whole > 0 && now - out.written > FLUSH_AFTER_S) write_whole_lines();
    if (now - out.begun < 1.0 || now - shown < 0.2 || !isatty(STDERR_FILENO)) return;
    shown = now;
    out.progress_shown = true;
    if (of > 0)
        (void)fprintf(stderr, "\r\033[K%s: %llu of %llu (%u %%)", what, (unsigned long long)done, (unsigned long long)of,
                      (unsigned)((double)done * 100.0 / (double)of));
    else (void)fprintf(stderr, "\r\033[K%s: %llu", what, (unsigned long long)done);
}

kh_result_sink print_begin(bool json)
{
    out.json = json;
    out.begun = out.written = now_s();
    return (kh_result_sink){.row = on_row, .progress = on_progress};
}

bool print_end(void)
{
    clear_progress();
    if (!out.json) table_end();
    if (out.whole > 0) write_whole_lines();
    free(out.text);
    out.text = NULL;
    return !out.failed;
}
