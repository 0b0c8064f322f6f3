/* dpdk_args: builds EAL's arguments. */
#include "ingest/dpdk_args.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct builder {
    kh_dpdk_args *to;
    size_t used;
    bool good;
} builder;

__attribute__((format(printf, 2, 3))) static void add(builder *b, const char *format, ...)
{
    va_list list;
    size_t left = sizeof b->to->text - b->used;
    if (!b->good) return;
    va_start(list, format);
    int n = vsnprintf(b->to->text + b->used, left, format, list);
    va_end(list);
    b->good = n >= 0 && (size_t)n < left && b->to->argc < (int)KH_DPDK_ARGS_MAX;
    if (!b->good) return;
    b->to->argv[b->to->argc++] = b->to->text + b->used;
    b->to->argv[b->to->argc] = NULL;
    b->used += (size_t)n + 1;
}

/* Is one of these options given? `words`: each between blanks; a long one also with =VALUE, a short one also with its value
 * joined. */
static bool given(const kh_dpdk_args *args, const char *words)
{
    for (int i = 1; i < args->argc; i++) {
        const char *a = args->argv[i];
        size_t n = a[0] != '-' ? 0 : a[1] == '-' ? strcspn(a, "=") : 2;
        for (const char *at = words; n >= 2 && (at = strchr(at, ' ')) != NULL; at++)
            if (strncmp(at + 1, a, n) == 0 && (at[1 + n] == ' ' || at[1 + n] == '\0')) return true;
    }
    return false;
}

bool kh_dpdk_args_make(const char *text, const kh_dpdk_facts *facts, kh_dpdk_args *ret)
{
    static const char blanks[] = " \t\r\n";
    builder b = {.to = ret, .good = true};
    ret->argc = 0;
    add(&b, "kanhed");
    for (const char *p = text + strspn(text, blanks); *p != '\0'; p += strspn(p, blanks)) {
        size_t n = strcspn(p, blanks);
        if (n > 1000) return false;
        add(&b, "%.*s", (int)n, p);
        p += n;
    }
    if (!b.good) return false;
    if (!given(ret, " -a --allow --no-pci -b --block")) add(&b, "--no-pci");
    if (!given(ret, " -l -c --lcores")) {
        add(&b, "-l");
        add(&b, "%d", facts->cpu);
    }
    if (!given(ret, " --in-memory --no-huge --huge-dir --single-file-segments")) {
        add(&b, facts->huge_pages ? "--in-memory" : "--no-huge");
        if (!facts->huge_pages && !given(ret, " -m")) {
            add(&b, "-m");
            add(&b, "128");
        }
    }
    if (given(ret, " --no-huge") && !given(ret, " --no-shconf")) add(&b, "--no-shconf");
    if (!given(ret, " --file-prefix")) add(&b, "--file-prefix=kanhe%d", facts->pid);
    if (!given(ret, " --no-telemetry --telemetry")) add(&b, "--no-telemetry");
    if (!given(ret, " --log-level")) add(&b, "--log-level=warning");
    return b.good;
}
