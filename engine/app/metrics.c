/* metrics: the figures of the data directory, the datagrams and kanhed itself. docs/OPERATIONS.md explains each. */
#include "app/parts.h"
#include "service/session.h"

static void cluster_metrics(kh_cluster *cluster, kh_http_metric_each each, void *ctx)
{
    kh_cluster_counts n;
    kh_cluster_count(cluster, &n);
    each(ctx, "kanhe_cluster_height", "height of the newest block of the cluster's order", "", n.node.height);
    each(ctx, "kanhe_cluster_kept_height", "height up to which the order is durable here", "", n.kept_height);
    each(ctx, "kanhe_cluster_attested_height", "highest height that a quorum of hubs attested alike", "", n.attested_height);
    each(ctx, "kanhe_cluster_checkpoint_height", "newest checkpoint that a quorum of hubs attested alike", "",
         n.checkpoint_height);
    each(ctx, "kanhe_cluster_state_wanted_height", "checkpoint whose state validators are to hold next, 0: none", "",
         n.wanted_height);
    each(ctx, "kanhe_cluster_state_held_height", "newest checkpoint whose state a quorum of validators holds", "", n.held_height);
    each(ctx, "kanhe_cluster_bodies_given_up_height", "height up to which the order has given up bodies", "", n.bodies_gone);
    each(ctx, "kanhe_cluster_states", "sealed states of checkpoints held here", "", n.states.held);
    each(ctx, "kanhe_cluster_state_newest_height", "the newest of them", "", n.states.newest);
    each(ctx, "kanhe_cluster_state_bytes", "bytes of their files", "", n.states.bytes);
    each(ctx, "kanhe_cluster_state_pieces", "pieces of the state that is being fetched", "", n.states.pieces);
    each(ctx, "kanhe_cluster_state_pieces_there", "of those, here by now", "", n.states.pieces_there);
    each(ctx, "kanhe_cluster_state_pieces_taken_total", "pieces of states taken from others", "", n.states.pieces_taken);
    each(ctx, "kanhe_cluster_state_pieces_given_total", "pieces of states given to others", "", n.states.pieces_given);
    if (n.is_hub) each(ctx, "kanhe_cluster_executed_height", "height up to which this hub has executed", "", n.executed_height);
    if (n.is_bank) {
        each(ctx, "kanhe_cluster_view_height", "attested height that this bank's own view stands for", "", n.view.height);
        each(ctx, "kanhe_cluster_view_financings", "financings in this bank's own view", "", n.view.financings);
        each(ctx, "kanhe_cluster_batches_answered_total", "own batches answered", "", n.view.answered);
        each(ctx, "kanhe_cluster_batch_answer_microseconds_total", "time from their block until then", "",
             n.view.answer_ns / 1000);
        each(ctx, "kanhe_cluster_submissions_answered_total", "submissions answered", "", n.view.replied);
        each(ctx, "kanhe_cluster_submission_microseconds_total", "time from their coming until then", "", n.view.reply_ns / 1000);
        each(ctx, "kanhe_cluster_view_waiting", "packages that wait to be taken into the view", "", n.view.waiting);
    }
    each(ctx, "kanhe_cluster_alerts_total", "alerts about members that lie or break rules", "", n.alerts);
    each(ctx, "kanhe_cluster_bad_signatures_total", "signatures of members that did not verify", "", n.node.bad_signatures);
    each(ctx, "kanhe_cluster_batches_total", "own batches sent", "", n.node.sent_batches);
    each(ctx, "kanhe_cluster_batches_resent_total", "own batches sent again", "", n.node.resent);
    each(ctx, "kanhe_cluster_certificates_total", "own batches that enough validators hold", "", n.node.certificates);
    each(ctx, "kanhe_cluster_batches_ordered_total", "own batches that came into a block", "", n.node.ordered);
    for (int i = 0; i < KH_STAGES; i++) {
        static const char *const labels[KH_STAGES] = {"stage=\"waited\"", "stage=\"stored\"", "stage=\"certified\"",
                                                      "stage=\"ordered\""};
        each(ctx, "kanhe_cluster_batch_stage_microseconds_total",
             "time that own batches took to be sealed, stored, certified, ordered", labels[i], n.node.stage_ns[i] / 1000);
    }
    each(ctx, "kanhe_cluster_acknowledgements_total", "bodies of others acknowledged", "", n.node.acks);
    each(ctx, "kanhe_cluster_bodies_wanted_total", "ordered bodies that lacked and were asked for", "", n.node.wanted);
    each(ctx, "kanhe_cluster_bodies_given_total", "bodies given to others who lacked them", "", n.node.given);
    each(ctx, "kanhe_cluster_body_bytes", "bytes of the bodies' files", "", n.body_bytes);
    each(ctx, "kanhe_cluster_pending", "transactions that wait to be proposed", "", n.node.pending);
    each(ctx, "kanhe_cluster_queue_bytes", "bytes of operations that wait for a batch", "", n.node.queue_bytes);
    each(ctx, "kanhe_cluster_follows", "1 while this node is no member yet, or not with its keys, or a hub without a state", "",
         n.follows);
    each(ctx, "kanhe_cluster_peers", "other nodes that the configuration names", "", n.peers);
    each(ctx, "kanhe_cluster_peers_up", "of those, reached now", "", n.peers_up);
    each(ctx, "kanhe_cluster_link_sent_bytes_total", "bytes sent to peers", "", n.link.bytes_out);
    each(ctx, "kanhe_cluster_link_received_bytes_total", "bytes received from peers", "", n.link.bytes_in);
    each(ctx, "kanhe_cluster_link_dropped_total", "messages to peers that were dropped", "",
         n.link.dropped_full + n.link.dropped_down);
}

void kh_daemon_metrics(void *ctx, kh_http_metric_each each, void *each_ctx)
{
    kh_daemon *d = ctx;
    kh_store_stats s;
    kh_store_get_stats(d->store, &s);
    each(each_ctx, "kanhe_ready", "1 while operations are taken", "", kh_daemon_ready(d));
    each(each_ctx, "kanhe_log_failed", "1 after the log failed: restart kanhed", "", kh_store_condition(d->store) != KH_OK);
    each(each_ctx, "kanhe_height", "entries of the log that are applied", "", s.height);
    each(each_ctx, "kanhe_durable_height", "entries of the log that are durable", "", kh_store_durable_upto(d->store));
    each(each_ctx, "kanhe_block_time_seconds", "time of the newest entry", "", s.time_ns / KH_NS_PER_S);
    each(each_ctx, "kanhe_log_bytes", "bytes of the log", "", s.log_bytes);
    each(each_ctx, "kanhe_journal_bytes", "bytes of the journals", "", s.journal_bytes);
    each(each_ctx, "kanhe_image_height", "entries that the newest image stands for", "", s.image_height);
    each(each_ctx, "kanhe_image_bytes", "bytes of the newest image", "", s.image_bytes);
    each(each_ctx, "kanhe_queue_bytes", "bytes of operations that wait for the log", "", s.queue_bytes);
    each(each_ctx, "kanhe_memory_unprepared_bytes",
         "bytes of memory of prepare_documents and prepare_financings that are not ready", "", s.unprepared_bytes);
    each(each_ctx, "kanhe_disk_free_bytes", "free bytes on the disk of the data directory", "", kh_watch_free_bytes(d->watch));
    each(each_ctx, "kanhe_log_lines_left_out_total", "lines of kanhed's own log that were left out", "",
         kh_logging_left_out(d->logging));
    kh_service_metrics(d->service, each, each_ctx);
    if (d->ingest != NULL) kh_ingest_metrics(d->ingest, each, each_ctx);
    if (d->cluster != NULL) cluster_metrics(d->cluster, each, each_ctx);
}
