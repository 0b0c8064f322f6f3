/* start: ingest on the service's own pollers. */
#include <stdio.h>
#include "ingest/front.h"

static const kh_front_work service_work = {
    .begin = kh_poller_begin,
    .end = kh_poller_end,
    .burst = kh_poller_burst,
    .late_cnt = kh_poller_late_cnt,
    .late = kh_poller_late,
    .sleep = kh_poller_sleep,
    .wake = kh_poller_wake,
    .event_fd = kh_poller_event_fd,
};

kh_err kh_ingest_start(const kh_ingest_options *options, char *why, size_t cap, kh_ingest **ret)
{
    kh_poller *pollers[KH_INGEST_POLLERS_MAX] = {NULL};
    kh_err err = KH_OK;
    uint32_t cnt = 0;
    for (; err == KH_OK && cnt < options->poller_cnt && cnt < KH_INGEST_POLLERS_MAX; cnt++)
        err = kh_poller_new(options->service, cnt, &pollers[cnt]);
    if (err != KH_OK) (void)snprintf(why, cap, "poller %u: %s", cnt - 1, kh_err_text(err));
    else err = kh_ingest_start_with(options, &service_work, pollers, why, cap, ret);
    if (err == KH_OK) kh_ingest_own(*ret, kh_poller_free);
    for (uint32_t i = 0; err != KH_OK && i < cnt; i++) kh_poller_free(pollers[i]);
    return err;
}
