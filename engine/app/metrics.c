/* metrics: the figures of the data directory, the datagrams and kanhed itself. docs/OPERATIONS.md explains each. */
#include "app/parts.h"
#include "service/session.h"

void kh_daemon_metrics(void *ctx, kh_http_metric_each each, void *each_ctx)
{
    kh_daemon *d = ctx;
    kh_store_stats s;
    kh_store_get_stats(d->store, &s);
    each(each_ctx, "kanhe_ready", "1 while operations are taken", "", kh_watch_ready(d->watch));
    each(each_ctx, "kanhe_log_failed", "1 after the log failed: restart kanhed", "", kh_store_condition(d->store) != KH_OK);
    each(each_ctx, "kanhe_height", "entries of the log that are applied", "", s.height);
    each(each_ctx, "kanhe_durable_height", "entries of the log that are durable", "", kh_store_durable_upto(d->store));
    each(each_ctx, "kanhe_block_time_seconds", "time of the newest entry", "", s.time_ns / KH_NS_PER_S);
    each(each_ctx, "kanhe_log_bytes", "bytes of the log", "", s.log_bytes);
    each(each_ctx, "kanhe_journal_bytes", "bytes of the journals", "", s.journal_bytes);
    each(each_ctx, "kanhe_image_height", "entries that the newest image stands for", "", s.image_height);
    each(each_ctx, "kanhe_image_bytes", "bytes of the newest image", "", s.image_bytes);
    each(each_ctx, "kanhe_queue_bytes", "bytes of operations that wait for the log", "", s.queue_bytes);
    each(each_ctx, "kanhe_disk_free_bytes", "free bytes on the disk of the data directory", "", kh_watch_free_bytes(d->watch));
    each(each_ctx, "kanhe_log_lines_left_out_total", "lines of kanhed's own log that were left out", "",
         kh_logging_left_out(d->logging));
    kh_service_metrics(d->service, each, each_ctx);
    if (d->ingest != NULL) kh_ingest_metrics(d->ingest, each, each_ctx);
}
