/* Operations that wait for their turn: nobody is left behind who was to be woken by another's answer. The service is the test's.
 */
#include "http/inside.h"
#include "service/submit.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static kh_http hub;
static uint32_t resumed;
static kh_err frames_say, bundle_says;
static void (*while_bundled)(void);
static kh_store_reply at_store_reply;
static kh_request *at_store;

/* ---- what a test plays ---- */

void MHD_resume_connection(struct MHD_Connection *connection)
{
    (void)connection;
    resumed++;
}

static kh_code one_operation(uint32_t *ret_op_cnt)
{
    *ret_op_cnt = 1;
    return KH_C_OK;
}
kh_code kh_submit_check(const kh_principal *who, const uint8_t *frames, size_t n, uint32_t *ret_op_cnt)
{
    (void)who, (void)frames, (void)n;
    return one_operation(ret_op_cnt);
}
kh_code kh_submit_check_bundle(const kh_principal *who, const uint8_t *section, size_t n, uint32_t *ret_op_cnt)
{
    (void)who, (void)section, (void)n;
    return one_operation(ret_op_cnt);
}
kh_err kh_submit_admit(kh_service *service, const kh_principal *who, const uint8_t *frames, size_t n, uint32_t op_least,
                       uint32_t op_most, uint32_t *ret_op_cnt, uint32_t *ret_tokens, kh_code *ret_code)
{
    (void)service, (void)who, (void)frames, (void)n, (void)op_least, (void)op_most, (void)ret_tokens, (void)ret_code;
    *ret_op_cnt = 0;
    return KH_E_CLOSED;
}
kh_err kh_submit_frames(kh_service *service, const kh_principal *who, const uint8_t *frames, size_t n, uint32_t op_cnt,
                        kh_store_reply reply, void *ctx, uint32_t *ret_tokens, kh_code *ret_code)
{
    (void)service, (void)who, (void)frames, (void)n, (void)op_cnt;
    *ret_tokens = 0;
    *ret_code = frames_say == KH_E_BUSY ? KH_C_RATE_LIMITED : KH_C_OK;
    if (frames_say != KH_OK) return frames_say;
    at_store_reply = reply;
    at_store = ctx;
    return KH_OK;
}
kh_err kh_submit_bundle(kh_service *service, const kh_principal *who, const uint8_t *section, size_t n, uint32_t op_cnt,
                        kh_store_reply reply, void *ctx, kh_code *ret_code)
{
    (void)service, (void)who, (void)section, (void)n, (void)op_cnt, (void)reply, (void)ctx;
    *ret_code = KH_C_OK;
    if (while_bundled != NULL) while_bundled();
    return bundle_says;
}
void kh_submit_answered(kh_service *service, const kh_principal *who, uint32_t tokens, uint32_t probes)
{
    (void)service, (void)who, (void)tokens, (void)probes;
}

/* ---- a hub without connections ---- */

static void begin(void)
{
    cr_assert(kh_quota_new(1u << 20, 64, &hub.frames) == KH_OK && kh_turns_new(&hub.turns) == KH_OK);
    cr_assert(kh_metrics_new(&hub.metrics) == KH_OK);
    cr_assert(kh_workers_new(1, 0, kh_request_run, &hub.workers) == KH_OK); /* no room: it takes nothing */
    atomic_store(&hub.suspended, 16);
}

static void end(void)
{
    kh_workers_free(hub.workers);
    kh_metrics_free(hub.metrics);
    kh_turns_free(hub.turns);
    kh_quota_free(hub.frames);
}

static void ask(kh_request *r, char *path)
{
    char allow[64];
    const char *why;
    *r = (kh_request){.http = &hub, .who = {.party = 11, .role = KH_ROLE_BANK}};
    r->route = kh_route_find(r, "POST", path, allow, &why);
    cr_assert(r->route != NULL);
    r->route->run(r);
}

static void ask_operations(kh_request *r)
{
    char path[] = "/v1/operations";
    ask(r, path);
}

TestSuite(turns, .init = begin, .fini = end);

/* The one whose turn comes finds no worker, and nobody else is under way whose answer would wake the one behind it. */
Test(turns, where_no_worker_is_free_all_are_refused)
{
    static kh_request r[4];
    ask_operations(&r[0]);
    frames_say = KH_E_BUSY;
    for (uint32_t i = 1; i < 4; i++) ask_operations(&r[i]);
    cr_assert(at_store == &r[0] && resumed == 0);
    at_store_reply(&r[0], 5, 0, NULL, UINT32_MAX);
    for (uint32_t i = 0; i < 4; i++) cr_assert(r[i].done && r[i].status == (i == 0 ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE));
    cr_assert(resumed == 4 && atomic_load(&hub.suspended) == 12);
    for (uint32_t i = 0; i < 4; i++) free(r[i].out.p);
}

/* Who is waited for by nobody else is not refused with the first: the answers under way wake them. */
Test(turns, while_others_are_under_way_one_is_refused)
{
    static kh_request r[4];
    ask_operations(&r[0]);
    ask_operations(&r[1]);
    frames_say = KH_E_BUSY;
    ask_operations(&r[2]);
    ask_operations(&r[3]);
    at_store_reply(&r[0], 5, 0, NULL, UINT32_MAX);
    cr_assert(r[2].done && !r[3].done);
    at_store_reply(&r[1], 5, 0, NULL, UINT32_MAX);
    cr_assert(r[3].done && resumed == 4);
    for (uint32_t i = 0; i < 4; i++) free(r[i].out.p);
}

static kh_request behind;
static void ask_behind(void)
{
    frames_say = KH_E_BUSY;
    ask_operations(&behind);
    frames_say = KH_OK; /* what it waited for came meanwhile */
}

/* A bundle that is refused leaves nobody waiting for its answer. */
Test(turns, who_waits_for_a_bundle_that_is_refused)
{
    static kh_request r;
    char path[] = "/v1/bundles";
    bundle_says = KH_E_AGAIN;
    while_bundled = ask_behind;
    ask(&r, path);
    cr_assert(r.done && r.status == MHD_HTTP_SERVICE_UNAVAILABLE);
    cr_assert(at_store == &behind, "it tried again: nothing else of its party is under way");
    at_store_reply(&behind, 5, 0, NULL, UINT32_MAX);
    cr_assert(behind.done && resumed == 2);
    free(r.out.p);
    free(behind.out.p);
}
