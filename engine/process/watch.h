/* watch: a thread that looks once a second whether the engine still can write, and what room is left on its disk.
 *
 * Once the log has failed nothing more is written until kanhed is started anew: /ready says no, operations are refused, questions
 * go on being answered; the operator is told once what happened and what to do. A disk that fills up is told before. What expires
 * needs no help: an idle engine writes its own ticks, a busy one expires with every entry. */
#ifndef KH_PROCESS_WATCH_H
#define KH_PROCESS_WATCH_H
#include "process/logging.h"
#include "process/notify.h"
#include "service/session.h"

#define KH_WATCH_STALLED_S 30u              /* operations wait and nothing becomes durable */
#define KH_WATCH_LOW_SZ (UINT64_C(1) << 30) /* free bytes on the disk */

typedef struct kh_watch kh_watch;
/* It also ends the datagram sessions of parties that were frozen, where an entry has come since the last look. */
KH_MUST kh_err kh_watch_start(kh_store *store, kh_service *service, const char *dir, kh_logging *logging, const kh_notify *notify,
                              kh_watch **ret);
void kh_watch_stop(kh_watch *w);
/* Any thread: */
bool kh_watch_ready(const kh_watch *w); /* neither failed nor stalled */
uint64_t kh_watch_free_bytes(const kh_watch *w);
/* kh_watch_advice: a sentence on what to do. */
const char *kh_watch_advice(kh_err err);
#endif
