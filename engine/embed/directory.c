/* directory: stats, audit, snapshot. */
#include "embed/embed.h"

kh_result kh_stats(kh_engine *engine, const kh_result_sink *sink)
{
    kh_principal who;
    kh_result result = kh_embed_enter(engine, KH_READING, NULL, KH_ASK_DIRECTORY, sink, &who);
    if (result != KH_DONE) return result;
    kh_ledger_stats s;
    kh_store_stats t;
    const kh_ledger *l = kh_store_read_begin(engine->store);
    kh_ledger_get_stats(l, &s);
    kh_store_read_end(engine->store);
    kh_store_get_stats(engine->store, &t);
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "height", kh_store_block_of(engine->store, t.height));
    kh_row_time(&b, "time", t.time_ns);
    kh_row_number(&b, "documents", s.documents);
    kh_row_number(&b, "balances", s.balances);
    kh_row_number(&b, "financings", s.financings);
    kh_row_number(&b, "open_financings", s.open_financings);
    kh_row_number(&b, "open_lines", s.open_lines);
    kh_row_number(&b, "parties", s.parties);
    kh_row_number(&b, "link_groups", s.link_groups);
    kh_row_number(&b, "waiting_messages", s.waiting_messages);
    kh_row_number(&b, "grants", s.grants);
    kh_row_number(&b, "risk_entries", s.risk_entries);
    kh_row_number(&b, "state_bytes", s.state_bytes);
    kh_row_number(&b, "log_bytes", t.log_bytes);
    kh_row_number(&b, "journal_bytes", t.journal_bytes);
    kh_row_number(&b, "image_height", kh_store_block_of(engine->store, t.image_height));
    kh_row_number(&b, "image_bytes", t.image_bytes);
    kh_row_text(&b, "disk", kh_host_disk_method(&engine->disk));
    kh_row_give(&b, "stats", sink);
    return KH_DONE;
}

static void progress(void *ctx, uint64_t done, uint64_t of)
{
    const kh_result_sink *sink = ctx;
    if (sink->progress != NULL) sink->progress(sink->ctx, "audit", done, of);
}

/* In a cluster anybody of it may ask for heights and digests, which say nothing of what they cover; a hub's log is replayed for
   the operator and the regulator alone, of the present. */
static kh_result audit_cluster(kh_engine *engine, uint64_t height, const kh_result_sink *sink, bool *ret_replay)
{
    kh_principal who;
    kh_code code;
    const kh_ledger *l = kh_store_read_begin(engine->store);
    kh_result result = kh_embed_principal(engine, l, NULL, KH_ASK_DIRECTORY, &who, &code);
    kh_store_read_end(engine->store);
    if (result != KH_DONE) return result;
    *ret_replay = code == KH_C_OK && height == 0 && !kh_viewed(engine);
    return *ret_replay ? KH_DONE : kh_embed_audit_cluster(engine, height, NULL, sink);
}

kh_result kh_audit(kh_engine *engine, const kh_result_sink *sink) { return kh_audit_at(engine, 0, sink); }

kh_result kh_audit_at(kh_engine *engine, uint64_t height, const kh_result_sink *sink)
{
    kh_principal who;
    kh_engine *whole = engine->shared != NULL ? engine->shared : engine;
    kh_store_options options;
    /* the command audits what it cannot open */
    kh_result result = KH_DONE;
    bool replay = true;
    if (engine->cluster != NULL) result = audit_cluster(engine, height, sink, &replay);
    else if (height != 0) result = kh_embed_fail(engine, KH_MISUSE, "an earlier height is asked of a cluster's node");
    else if (engine->party != 0) result = kh_embed_enter(engine, KH_READING, NULL, KH_ASK_DIRECTORY, sink, &who);
    if (result != KH_DONE || !replay) return result;
    kh_embed_options(engine, &options);
    options.read_only = true;
    kh_audit_result audit = {0};
    (void)pthread_mutex_lock(&whole->audit_lock);
    kh_err err = kh_store_audit(&options, engine->dir, progress, (void *)(uintptr_t)sink, &audit);
    (void)pthread_mutex_unlock(&whole->audit_lock);
    if (err == KH_E_NOT_FOUND && audit.why[0] == '\0') return kh_embed_no_directory(engine);
    if (err != KH_OK && audit.why[0] == '\0') return kh_embed_environment(engine, err, "audit");
    kh_row_builder b;
    if (engine->cluster != NULL) {
        result = kh_embed_audit_cluster(engine, 0, &audit, sink);
        if (result != KH_DONE || audit.ok) return result;
        return kh_embed_fail(engine, KH_FAILED, "%s is damaged at %s: %s", engine->dir, audit.at, audit.why);
    }
    kh_row_begin(&b);
    kh_row_bool(&b, "ok", audit.ok);
    kh_row_number(&b, "entries", audit.entries);
    kh_row_number(&b, "height", audit.height);
    if (audit.begins != 0) kh_row_number(&b, "begins", audit.begins);
    kh_row_hex(&b, "log_digest", audit.log_digest, 32);
    kh_row_hex(&b, "digest", audit.digest, 32);
    kh_row_hex(&b, "content_digest", audit.content_digest, 32);
    kh_row_hex(&b, "checkpoint_digest", audit.checkpoint_digest, 32);
    if (!audit.ok) {
        kh_row_text(&b, "at", audit.at);
        kh_row_text(&b, "why", audit.why);
    }
    kh_row_give(&b, "audit", sink);
    return audit.ok ? KH_DONE
                    : kh_embed_fail(engine, KH_FAILED, "%s is damaged at %s: %s; restore it from a copy, and keep this one",
                                    engine->dir, audit.at, audit.why);
}

kh_result kh_snapshot(kh_engine *engine, const kh_result_sink *sink)
{
    kh_principal who;
    kh_result result = kh_embed_enter(engine, KH_WRITING, NULL, KH_ASK_DIRECTORY, sink, &who);
    if (result != KH_DONE) return result;
    uint64_t height;
    kh_err err = kh_store_snapshot(engine->store, &height);
    if (err != KH_OK) return kh_embed_environment(engine, err, "make an image");
    kh_store_stats stats;
    kh_store_get_stats(engine->store, &stats);
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "height", kh_store_block_of(engine->store, height));
    kh_row_number(&b, "bytes", stats.image_bytes);
    kh_row_give(&b, "snapshot", sink);
    return KH_DONE;
}
