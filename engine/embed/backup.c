/* backup: a copy of the data directory, read back. */
#include "embed/embed.h"
#include <stdio.h>
#include <sys/stat.h>

#define ORDER_PATH_SZ 1024u

static void progress(void *ctx, uint64_t done, uint64_t of)
{
    const kh_result_sink *sink = ctx;
    if (sink->progress != NULL) sink->progress(sink->ctx, "backup", done, of);
}

static kh_result failed(kh_engine *e, const char *to, kh_err err, const kh_store_report *report)
{
    struct stat there;
    if (err == KH_E_EXISTS) return kh_embed_fail(e, KH_FAILED, "%s is not empty: a backup is a new directory", to);
    if (err == KH_E_NOT_FOUND && report->why[0] == '\0') return kh_embed_no_directory(e);
    if (err == KH_E_BUSY)
        return kh_embed_fail(e, KH_FAILED, "%s changes faster than it can be copied: take %s away and try again", report->where,
                             to);
    const char *why = report->why[0] != '\0' ? report->why : kh_err_text(err),
               *where = report->where[0] != '\0' ? report->where : to;
    if (stat(to, &there) != 0) return kh_embed_fail(e, KH_FAILED, "no backup was made: %s: %s", where, why);
    return kh_embed_fail(e, KH_FAILED, "no backup was made: %s: %s; %stake away what %s has now, and try again", where, why,
                         err == KH_E_NOSPACE ? "free space on that disk, " : "", to);
}

static void nothing(void *ctx, const kh_result_row *row)
{
    (void)ctx;
    (void)row;
}

/* What was not read back is no backup: its journals are made, an image, and every outcome anew. */
static kh_result read_back(kh_engine *e, const char *to, const kh_result_sink *sink)
{
    kh_engine *copy;
    kh_options options = e->options;
    options.dir = to;
    options.embedded = false;
    if (kh_engine_new(&options, &copy) != KH_DONE) return kh_embed_environment(e, KH_E_NOMEM, "read the backup back");
    const kh_result_sink quiet = {.row = nothing, .progress = sink->progress, .ctx = sink->ctx};
    kh_result result = kh_snapshot(copy, &quiet);
    if (result == KH_DONE) result = kh_audit(copy, sink);
    if (result != KH_DONE)
        result = kh_embed_fail(e, KH_FAILED, "the backup does not hold, take %s away and try again: %s", to, kh_message(copy));
    kh_engine_close(copy);
    return result;
}

kh_result kh_backup_to(kh_engine *engine, const char *to, bool audited, const kh_result_sink *sink)
{
    char order[ORDER_PATH_SZ];
    struct stat there;
    kh_store_options options;
    kh_store_report report = {0};
    kh_backup made;
    if (engine->party != 0)
        return kh_embed_fail(engine, KH_MISUSE, "a backup holds every party's business: it is the operator's");
    (void)snprintf(order, sizeof order, "%s/order", engine->dir);
    if (stat(order, &there) == 0)
        return kh_embed_fail(
            engine, KH_MISUSE,
            "%s is a cluster's node: its keys are what to back up, the rest comes from the others (docs/OPERATIONS.md)",
            engine->dir);
    kh_embed_options(engine, &options);
    kh_err err = kh_store_backup(&options, engine->dir, to, progress, (void *)(uintptr_t)sink, &report, &made);
    if (err != KH_OK) return failed(engine, to, err, &report);
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_text(&b, "directory", to);
    kh_row_number(&b, "files", made.files);
    kh_row_number(&b, "bytes", made.bytes);
    kh_row_give(&b, "backup", sink);
    return audited ? read_back(engine, to, sink) : KH_DONE;
}
