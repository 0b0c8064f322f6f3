/* Questions that a bank's node forwards: what a hub is asked, and what becomes of its answer or its silence. */
#include "http/inside.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static kh_http hub;
static kh_request request;
static char path[256], query[256], asked_uri[256];
static kh_err gives;
static kh_http_question asked;

static kh_err on_forward(void *ctx, const kh_http_question *question, kh_http_answer *ret)
{
    cr_assert_eq(ctx, &hub);
    asked = *question;
    (void)strcpy(asked_uri, question->uri);
    if (gives != KH_OK) return gives;
    *ret = (kh_http_answer){.status = 404, .retry_after_s = 3, .body = (uint8_t *)strdup("{\"x\":1}"), .body_n = 7};
    (void)strcpy(ret->content_type, "application/x-ndjson; charset=utf-8");
    return KH_OK;
}

/* ask: was it answered? */
static bool ask(const char *method, const char *uri, bool at_bank)
{
    char allow[64];
    const char *why;
    free(request.out.p);
    free(request.asked);
    memset(&request, 0, sizeof request);
    hub.o.forward = at_bank ? on_forward : NULL;
    hub.o.forward_ctx = &hub;
    request.http = &hub;
    request.who = (kh_principal){.party = 11, .role = KH_ROLE_BANK};
    request.asked = strdup(uri);
    const char *mark = strchr(uri, '?');
    snprintf(path, sizeof path, "%.*s", (int)(mark != NULL ? (size_t)(mark - uri) : strlen(uri)), uri);
    snprintf(query, sizeof query, "%s", mark != NULL ? mark + 1 : "");
    request.route = kh_route_find(&request, method, path, allow, &why);
    cr_assert(request.route != NULL, "%s", uri);
    cr_assert(kh_route_query(&request, query), "%s", uri);
    return kh_forwarded(&request);
}

static bool says(const char *text)
{
    kh_answer_put(&request.out, "", 1);
    return strstr(request.out.p, text) != NULL;
}

Test(forward, a_uri_without_attested)
{
    static const char *const pairs[][2] = {{"/v1/balance?document=a%26b&attested=true", "/v1/balance?document=a%26b"},
                                           {"/v1/balance?attested=true&document=x&owner=y", "/v1/balance?document=x&owner=y"},
                                           {"/v1/balance?attested=false", "/v1/balance"},
                                           {"/v1/verify", "/v1/verify"},
                                           {"/v1/verify?name=attested%3D1", "/v1/verify?name=attested%3D1"},
                                           {"/v1/history?document=x&&after=1.2", "/v1/history?document=x&after=1.2"}};
    char uri[200];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        kh_forward_uri(pairs[i][0], uri);
        cr_assert_str_eq(uri, pairs[i][1]);
    }
}

Test(forward, a_hubs_answer_goes_out_as_it_came)
{
    cr_assert(ask("GET", "/v1/balance?document=invoice:1&attested=true", true));
    cr_assert_str_eq(asked_uri, "/v1/balance?document=invoice:1");
    cr_assert_str_eq(asked.method, "GET");
    cr_assert_str_eq(asked.accept, "application/json");
    cr_assert(asked.attested && asked.party == 11);
    cr_assert_eq(request.status, 404);
    cr_assert_eq(request.retry_after_s, 3);
    cr_assert_str_eq(request.content_type, "application/x-ndjson");
    cr_assert_eq(request.out.n, 7);
    cr_assert_eq(memcmp(request.out.p, "{\"x\":1}", 7), 0);
}

Test(forward, what_this_node_knows_is_not_forwarded)
{
    static const char *const own[][2] = {{"GET", "/v1/financings"},  {"GET", "/v1/financings/1/receipt"},
                                         {"GET", "/v1/alerts"},      {"GET", "/v1/audit?height=7"},
                                         {"POST", "/v1/financings"}, {"GET", "/v1/rules"},
                                         {"POST", "/v1/risk/ask"},   {"GET", "/v1/parties"}};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        asked.method = NULL;
        cr_assert(!ask(own[i][0], own[i][1], true), "%s", own[i][1]);
        cr_assert(asked.method == NULL, "%s", own[i][1]);
    }
    cr_assert(ask("GET", "/v1/financings/1", true));         /* where its own view knows none: what was before genesis */
    cr_assert(!ask("GET", "/v1/balance?document=x", false)); /* at a hub nothing is */
}

Test(forward, silence_and_lies)
{
    gives = KH_E_CLOSED;
    cr_assert(!ask("GET", "/v1/balance?document=x", true)); /* the engine says NOT_CHECKED */
    cr_assert(!ask("GET", "/v1/balance?document=x&attested=true", true));
    gives = KH_E_AGAIN;
    cr_assert(ask("GET", "/v1/balance?document=x&attested=true", true));
    cr_assert_eq(request.status, 503);
    cr_assert(says("quorum"));
    gives = KH_E_DAMAGED;
    cr_assert(ask("GET", "/v1/balance?document=x&attested=true", true));
    cr_assert_eq(request.status, 502);
    cr_assert(says("hubs answer differently"));
    gives = KH_E_ARG;
    cr_assert(ask("GET", "/v1/balance?document=x", true));
    cr_assert_eq(request.status, 403);
    cr_assert(says("NOT_AUTHORISED"));
    gives = KH_E_NOMEM;
    cr_assert(ask("GET", "/v1/balance?document=x", true));
    cr_assert_eq(request.status, 503);
    cr_assert(ask("GET", "/v1/balance?document=x&attested=true", false)); /* a hub alone is no quorum */
    cr_assert_eq(request.status, 400);
    cr_assert(says("\"field\":\"attested\""));
}
