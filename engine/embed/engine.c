/* engine: the handle: opening a directory as a question needs it, and saying what went wrong. */
#include "doc/fold.h"
#include "embed/embed.h"
#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

kh_options kh_options_default(const char *dir) { return (kh_options){.dir = dir, .wait_s = 10}; }

/* cut: text into `cap` bytes. Of a long one the middle goes: what it says of a user's word stands behind the word. */
static void cut(const char *text, char *ret, size_t cap)
{
    static const char gap[] = "…";
    size_t n = strlen(text), head = cap / 2, from;
    if (n < cap) {
        memcpy(ret, text, n + 1);
        return;
    }
    from = n - (cap - head - sizeof gap);
    while (head > 0 && ((unsigned char)text[head] & 0xC0) == 0x80) head--; /* no character is cut in two */
    while (((unsigned char)text[from] & 0xC0) == 0x80) from++;
    (void)snprintf(ret, cap, "%.*s%s%s", (int)head, text, gap, text + from);
}

kh_result kh_embed_fail(kh_engine *e, kh_result result, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) text = NULL;
    va_end(args);
    if (text != NULL) kh_utf8_whole(text);
    (void)pthread_mutex_lock(&e->message_lock);
    cut(text != NULL ? text : kh_err_text(KH_E_NOMEM), e->message, sizeof e->message);
    (void)pthread_mutex_unlock(&e->message_lock);
    free(text);
    return result;
}

kh_result kh_embed_environment(kh_engine *e, kh_err err, const char *doing)
{
    const char *hint = "";
    if (err == KH_E_NOSPACE) hint = "; free space on that disk and try again: what was acknowledged is safe";
    else if (err == KH_E_CLOSED)
        hint =
            "; a write to the disk failed: look at its free space and at the kernel's log, then run the command again: what was "
            "acknowledged is safe";
    else if (err == KH_E_IO) hint = "; see that this user may read and write it, and look at the kernel's log";
    else if (err == KH_E_NOMEM) hint = "; the machine has not enough memory for this directory";
    return kh_embed_fail(e, KH_FAILED, "could not %s in %s: %s%s", doing, e->dir, kh_err_text(err), hint);
}

static const char *time_text(uint64_t time_ns, char ret[32])
{
    time_t seconds = (time_t)(time_ns / KH_NS_PER_S);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return ret;
}

kh_result kh_embed_no_directory(kh_engine *e)
{
    char above[sizeof e->dir];
    struct stat about;
    (void)snprintf(above, sizeof above, "%s", e->dir);
    if (stat(dirname(above), &about) != 0)
        return kh_embed_fail(e, KH_FAILED, "%s cannot be: %s: %s; make that folder first", e->dir, above, strerror(errno));
    return kh_embed_fail(e, KH_FAILED, "%s is no data directory: `kanhe --data %s init` makes one", e->dir, e->dir);
}

/* unreadable names what of the directory this user may not read; "": nothing. */
static const char *unreadable(const kh_engine *e, char ret[sizeof e->dir + 16])
{
    static const char *const parts[] = {"", "/format", "/secret", "/head", "/log", "/journal", "/image"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(ret, sizeof e->dir + 16, "%s%s", e->dir, parts[i]);
        if (access(ret, R_OK) != 0 && errno == EACCES) return ret;
    }
    return "";
}

static kh_result opening_failed(kh_engine *e, kh_err err, const kh_store_report *report)
{
    char path[sizeof e->dir + 16];
    if (err == KH_E_NOT_FOUND) return kh_embed_no_directory(e);
    if (err == KH_E_IO && *unreadable(e, path) != '\0')
        return kh_embed_fail(e, KH_FAILED,
                             "%s may not be read by this user: who asks needs the right to read everything in %s, who changes "
                             "something is its owner",
                             path, e->dir);
    if (err == KH_E_BUSY && report->lock_url[0] != '\0')
        return kh_embed_fail(
            e, KH_FAILED, "%s is served by kanhed, process %u: ask it instead, with `kanhe --connect %s --ca F --cert F --key F`",
            e->dir, report->lock_pid, report->lock_url);
    if (err == KH_E_BUSY)
        return kh_embed_fail(e, KH_FAILED, "%s is being written by process %u: wait for it, or give --wait more seconds", e->dir,
                             report->lock_pid);
    if (err == KH_E_CLOCK) {
        char clock[32], last[32];
        return kh_embed_fail(
            e, KH_FAILED, "the clock (%s) is too far from the log's last entry (%s): set the clock right, or say --accept-time",
            time_text(report->clock_ns, clock), time_text(report->last_ns, last));
    }
    if (err == KH_E_DAMAGED)
        return kh_embed_fail(e, KH_FAILED, "%s is damaged at %s: %s; restore it from a copy, and keep this one for the auditors",
                             e->dir, report->where, report->why);
    if (err == KH_E_VERSION)
        return kh_embed_fail(e, KH_FAILED, "%s was written by another version of kanhe (%s): open it with that one", e->dir,
                             report->why);
    if (err == KH_E_IO && report->why[0] != '\0')
        return kh_embed_fail(e, KH_FAILED, "could not open %s: %s; see that this user may read and write it", e->dir,
                             report->why);
    if (report->why[0] != '\0')
        return kh_embed_fail(e, KH_FAILED, "could not open %s: %s (%s)", e->dir, report->why, kh_err_text(err));
    return kh_embed_environment(e, err, "open the data directory");
}

kh_result kh_embed_write_failed(kh_engine *e, kh_err err)
{
    kh_store_report report = {0};
    if (err != KH_E_CLOCK) return kh_embed_environment(e, err, "write the log");
    kh_store_clock_report(e->store, &report.clock_ns, &report.last_ns);
    return opening_failed(e, err, &report);
}

void kh_embed_options(kh_engine *e, kh_store_options *ret)
{
    *ret = (kh_store_options){.clock = &e->clock,
                              .disk = &e->disk,
                              .entropy = &e->entropy,
                              .accept_time = e->options.accept_time,
                              .driven = e->driven,
                              .wait_lock_ms = (uint32_t)(e->options.wait_s * 1000)};
}

static void locks_init(kh_engine *e)
{
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_mutex_init(&e->audit_lock, NULL);
    (void)pthread_mutex_init(&e->message_lock, NULL);
}

kh_result kh_engine_new(const kh_options *options, kh_engine **ret)
{
    kh_engine *e = calloc(1, sizeof *e);
    if (e == NULL) return KH_FAILED;
    e->options = *options;
    (void)snprintf(e->dir, sizeof e->dir, "%s", options->dir);
    e->options.dir = e->dir;
    e->clock = kh_host_clock();
    e->entropy = kh_host_entropy();
    e->disk_open = kh_host_disk_open(false, &e->disk) == KH_OK;
    if (!e->disk_open) {
        free(e);
        return KH_FAILED;
    }
    locks_init(e);
    *ret = e;
    return KH_DONE;
}

kh_result kh_engine_as(kh_engine *engine, uint32_t party, kh_engine **ret)
{
    if (engine->shared != NULL || !engine->options.embedded)
        return kh_embed_fail(engine, KH_MISUSE, "a party's handle is made on an engine that was opened with options.embedded");
    kh_result result = kh_embed_open(engine, KH_STREAMING);
    if (result != KH_DONE) return result;
    kh_engine *e = malloc(sizeof *e);
    if (e == NULL) return kh_embed_environment(engine, KH_E_NOMEM, "make a handle");
    *e = (kh_engine){.options = engine->options,
                     .disk = engine->disk,
                     .clock = engine->clock,
                     .entropy = engine->entropy,
                     .store = engine->store,
                     .mode = KH_STREAMING,
                     .limits = engine->limits,
                     .view = engine->view,
                     .cluster = engine->cluster,
                     .shared = engine,
                     .party = party};
    memcpy(e->dir, engine->dir, sizeof e->dir);
    e->options.dir = e->dir;
    locks_init(e);
    *ret = e;
    return KH_DONE;
}

kh_store *kh_embed_store(kh_engine *e) { return kh_embed_open(e, KH_STREAMING) == KH_DONE ? e->store : NULL; }
void kh_embed_set_limits(kh_engine *e, kh_limits *limits) { e->limits = limits; }

const char *kh_message(const kh_engine *engine) { return engine->message; }

void kh_engine_close(kh_engine *engine)
{
    if (engine == NULL) return;
    if (engine->store != NULL && engine->shared == NULL) kh_store_close(engine->store);
    if (engine->disk_open) kh_host_disk_close(&engine->disk);
    (void)pthread_mutex_destroy(&engine->message_lock);
    (void)pthread_mutex_destroy(&engine->audit_lock);
    (void)pthread_mutex_destroy(&engine->lock);
    free(engine);
}

/* open_as opens a directory that nobody else has open through this engine. */
static kh_result open_as(kh_engine *e, int mode)
{
    if (e->store != NULL && (int)e->mode >= mode) return KH_DONE;
    if (e->store != NULL) {
        kh_store_close(e->store);
        e->store = NULL;
        e->mode = KH_CLOSED_MODE;
    }
    kh_store_options options;
    kh_embed_options(e, &options);
    options.read_only = mode == KH_READING;
    options.long_running = mode == KH_STREAMING;
    options.inline_engine = mode != KH_STREAMING;
    kh_store_report report = {0};
    kh_err err = kh_store_open(&options, e->dir, &report, &e->store);
    if (err != KH_OK) return opening_failed(e, err, &report);
    e->mode = (unsigned)mode;
    if (mode == KH_READING) { /* what is due lapses now if nobody else is writing */
        const kh_ledger *l = kh_store_read_begin(e->store);
        bool due = kh_ledger_next_due(l) <= e->clock.now(e->clock.self);
        kh_store_read_end(e->store);
        if (!due) return KH_DONE;
        kh_store_close(e->store);
        e->store = NULL;
        options.read_only = false;
        options.wait_lock_ms = 0;
        err = kh_store_open(&options, e->dir, &report, &e->store);
        if (err == KH_OK)
            return kh_store_tick(e->store) == KH_OK ? KH_DONE : kh_embed_environment(e, KH_E_CLOSED, "write the tick");
        options.read_only = true;
        err = kh_store_open(&options, e->dir, &report, &e->store);
        if (err != KH_OK) return opening_failed(e, err, &report);
    }
    return KH_DONE;
}

void kh_embed_set_driven(kh_engine *e) { e->driven = true; }

kh_result kh_embed_open(kh_engine *e, int mode)
{
    if (e->shared != NULL) return KH_DONE;
    if (!e->options.embedded) return open_as(e, mode);
    (void)pthread_mutex_lock(&e->lock);
    kh_result result = open_as(e, KH_STREAMING);
    (void)pthread_mutex_unlock(&e->lock);
    return result;
}

/* rule_lines checks that each line of a rules file is a rule, NAME VALUE, or submits it. All are checked before anything is made,
 * so that a file with a mistake leaves no directory with some of its rules. */
static kh_result rule_lines(kh_engine *e, const char *rules, bool submit)
{
    kh_result_sink none = {0};
    int line = 0;
    for (const char *p = rules; *p != '\0';) {
        size_t n = strcspn(p, "\n");
        char name[KH_RULE_TEXT_MAX + 1], value[KH_RULE_TEXT_MAX + 1], text[200], extra;
        (void)snprintf(text, sizeof text, "%.*s", (int)(n < 199 ? n : 199), p);
        p += n + (p[n] == '\n' ? 1 : 0);
        line++;
        text[strcspn(text, "#\r")] = '\0';
        int got = sscanf(text, " %64s %64s %c", name, value, &extra);
        if (got <= 0) continue;
        if (got != 2) return kh_embed_fail(e, KH_MISUSE, "rules, line %d: a line is NAME VALUE", line);
        bool good = submit ? kh_rule_set(e, name, value, &none) == KH_DONE
                           : kh_ledger_rule_fits(kh_text_of(name), kh_text_of(value)) == KH_C_OK;
        if (!good) return kh_embed_fail(e, KH_MISUSE, "rules, line %d: \"%s %s\" is not a rule that there is", line, name, value);
    }
    return KH_DONE;
}

kh_result kh_embed_creation_failed(kh_engine *e, kh_err err, const kh_store_report *report)
{
    if (err != KH_E_EXISTS) return opening_failed(e, err, report);
    return kh_embed_fail(e, KH_FAILED, "%s is not empty: `init` makes a new directory or fills an empty one", e->dir);
}

kh_result kh_create(const kh_options *options, const char *rules, const uint8_t *secret, char *ret_message, size_t cap)
{
    kh_engine *e;
    kh_result result = kh_engine_new(options, &e);
    if (result != KH_DONE) {
        (void)snprintf(ret_message, cap, "out of memory, or the kernel gives no files");
        return KH_FAILED;
    }
    kh_store_options store_options;
    kh_embed_options(e, &store_options);
    kh_store_report report = {0};
    if (rules != NULL) result = rule_lines(e, rules, false);
    kh_err err = result == KH_DONE ? kh_store_create(&store_options, e->dir, secret, &report) : KH_OK;
    if (err != KH_OK) result = kh_embed_creation_failed(e, err, &report);
    else if (result == KH_DONE && rules != NULL) result = rule_lines(e, rules, true);
    (void)snprintf(ret_message, cap, "%s", e->message);
    kh_engine_close(e);
    return result;
}
