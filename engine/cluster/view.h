/* view: what a bank node knows for itself: its own financings and alerts, made of its attested outputs and nothing else; and the
 * answers to its own submissions.
 *
 * A package that a hub sent is taken when q hubs attested its root for that height, its app hash is this node's own, the chain
 * goes on without a gap, and each own operation that was ordered at that height has its receipt: else an alert names the hub and
 * nothing is taken. In memory in the clear; on disk sealed with a key of its own (DIR/view/, append only, a snapshot now and
 * then). Threads  any; a lock inside. Answers are given from the thread that brings the last piece. */
#ifndef KH_CLUSTER_VIEW_H
#define KH_CLUSTER_VIEW_H
#include "cluster/node.h"
#include "store/store.h"

typedef struct kh_view kh_view;
typedef struct kh_view_options {
    kh_node *node;
    const kh_disk *disk;
    const kh_entropy *entropy;
    const char *dir;
    uint32_t party; /* the bank */
    kh_suite suite;
    const kh_box *box;
    const uint8_t *disk_secret; /* 32 bytes: seals what is on disk */
    void (*alert)(void *ctx, const char *word, uint32_t member, uint64_t height);
    void (*send)(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n); /* OUTPUTS_FROM */
    void *ctx;
} kh_view_options;
KH_MUST kh_err kh_view_open(const kh_view_options *options, char *why, size_t cap, kh_view **ret);
void kh_view_close(kh_view *v);
/* ---- what comes ---- */
void kh_view_outputs(kh_view *v, uint32_t hub, const uint8_t *p, size_t n);
void kh_view_attested(kh_view *v, const kh_attestation *attestation);
void kh_view_ordered(kh_view *v, const uint8_t digest[32], uint64_t height, const uint64_t *tags, const uint32_t *op_cnts,
                     uint32_t n);
void kh_view_tick(kh_view *v);                     /* asks hubs for packages that lack; every 100 ms */
const kh_store_driver *kh_view_driver(kh_view *v); /* submissions of the bank: kh_store_drive */
/* ---- what is asked ---- */
uint64_t kh_view_height(kh_view *v); /* the attested height that it stands for */
typedef struct kh_view_line {
    kh_paper_text paper;
    kh_receipt_line line;
} kh_view_line;
typedef struct kh_view_financing {
    uint64_t id, amount, height; /* height: final since */
    uint32_t enterprise, version, line_cnt;
    kh_currency currency;
    uint8_t state;
    char product[KH_PRODUCT_MAX + 1];
    const kh_view_line *lines;
} kh_view_financing;
/* kh_view_find calls f with the lock held; false: there is none. */
bool kh_view_find(kh_view *v, uint64_t id, void (*f)(void *ctx, const kh_view_financing *financing), void *ctx);
/* kh_view_each: financings with an id above `after`, ascending, while f returns true. */
void kh_view_each(kh_view *v, uint64_t after, bool (*f)(void *ctx, const kh_view_financing *financing), void *ctx);
typedef struct kh_view_alert {
    uint64_t height, number; /* number: of the output */
    kh_notice notice;
    kh_paper_text paper;
} kh_view_alert;
void kh_view_alerts(kh_view *v, uint64_t after_number, bool (*f)(void *ctx, const kh_view_alert *alert), void *ctx);
/* kh_view_proof: where the newest receipt of a financing stands, with the package (malloc'ed) that shows it. */
KH_MUST kh_err kh_view_proof(kh_view *v, uint64_t financing, uint64_t *ret_height, uint32_t *ret_item, uint8_t **ret_package,
                             size_t *ret_n);
#endif
