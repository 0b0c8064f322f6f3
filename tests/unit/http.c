/* http: the table of routes, what requests say, answers as text, and the bounds: connections, quota, workers. */
#include "http/inside.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- routes ---- */

typedef struct asked {
    char path[256], allow[64];
    const char *why;
    kh_request r;
} asked;

static const kh_route *find(asked *a, const char *method, const char *path)
{
    memset(a, 0, sizeof *a);
    (void)strcpy(a->path, path);
    a->r.route = kh_route_find(&a->r, method, a->path, a->allow, &a->why);
    return a->r.route;
}

Test(route, every_route_is_found_by_its_own_path)
{
    for (uint32_t i = 0; i < kh_route_cnt; i++) {
        char path[256];
        size_t n = 0;
        asked a;
        for (const char *at = kh_routes[i].path; *at != '\0'; at++) {
            if (*at != '{') {
                path[n++] = *at;
                continue;
            }
            at = strchr(at, '}');
            path[n++] = '7';
        }
        path[n] = '\0';
        cr_assert(find(&a, kh_routes[i].method, path) == &kh_routes[i], "%s %s", kh_routes[i].method, path);
    }
}

Test(route, names_and_methods)
{
    asked a;
    cr_assert(find(&a, "POST", "/v1/financings/17/repay") != NULL);
    cr_assert_str_eq(kh_request_path(&a.r, "id"), "17");
    cr_assert_str_eq(kh_request_path(&a.r, "event"), "repay");
    cr_assert(kh_request_path(&a.r, "party") == NULL);
    cr_assert(find(&a, "POST", "/v1/parties/Bank%20A%2Fx/freeze") != NULL);
    cr_assert_str_eq(kh_request_path(&a.r, "party"), "Bank A/x");
    cr_assert_str_eq(find(&a, "POST", "/v1/financings/file")->path, "/v1/financings/file", "a word goes before a name");
    cr_assert(find(&a, "PUT", "/v1/rates") == NULL);
    cr_assert_str_eq(a.allow, "GET, POST");
    cr_assert(find(&a, "GET", "/v1/elsewhere") == NULL && a.allow[0] == '\0');
    cr_assert(find(&a, "GET", "/v1/financings/") == NULL, "an empty name is none");
    cr_assert(find(&a, "GET", "/v1/a/b/c/d/e/f") == NULL);
    cr_assert(find(&a, "GET", "v1/me") == NULL && find(&a, "GET", "") == NULL && find(&a, "OPTIONS", "*") == NULL);
    cr_assert(find(&a, "GET", "/v1/financings/%00") == NULL && a.why != NULL);
    cr_assert(find(&a, "GET", "/v1/financings/%f") == NULL && a.why != NULL);
    cr_assert(find(&a, "GET", "/v1/financings/%ff") == NULL && a.why != NULL);
}

static bool query(asked *a, const char *path, const char *text)
{
    static char copy[512];
    (void)find(a, "GET", path);
    (void)strcpy(copy, text);
    return kh_route_query(&a->r, copy);
}

Test(route, queries)
{
    asked a;
    cr_assert(query(&a, "/v1/balance", "document=invoice%3AA+1&owner=x"));
    cr_assert_str_eq(kh_query_text(&a.r, "document"), "invoice:A 1");
    cr_assert(kh_query_text(&a.r, "amount") == NULL && kh_query_number(&a.r, "limit", 9) == 9);
    static const char *const wrong[] = {"",           "owner=x",      "document=a&document=b", "document=a&colour=b",
                                        "document=%", "document=%00", "document=a&%zz=b",      "=a"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert(!query(&a, "/v1/balance", wrong[i]), "%s", wrong[i]);
        cr_assert(a.r.refused && a.r.status == 400);
        free(a.r.out.p);
    }
    static const char *const limits[] = {"limit=0",   "limit=10001", "limit=-1",
                                         "limit=1e3", "limit=",      "limit=99999999999999999999999"};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        cr_assert(!query(&a, "/v1/alerts", limits[i]), "%s", limits[i]);
        free(a.r.out.p);
    }
    cr_assert(query(&a, "/v1/alerts", "limit=10000&after=7"));
    cr_assert(kh_request_page(&a.r).limit == 10000);
}

/* ---- bodies ---- */

static bool body(asked *a, const char *text)
{
    (void)find(a, "POST", "/v1/financings");
    a->r.body = (uint8_t *)(uintptr_t)text;
    a->r.body_n = strlen(text);
    return kh_body_fields(&a->r);
}

static void drop(asked *a)
{
    if (a->r.json != NULL) json_decref(a->r.json);
    free(a->r.out.p);
}

#define APPLY(id, amount)                                                                                                        \
    "{\"id\":" id ",\"enterprise\":\"e\",\"product\":\"p\",\"amount\":" amount                                                   \
    ",\"currency\":\"USD\",\"documents\":[\"a\",\"b\"]}"

Test(body, fields_strictly)
{
    asked a;
    uint64_t id;
    const char *texts[2];
    cr_assert(body(&a, APPLY("\"18446744073709551615\"", "\"1.00\"")));
    cr_assert(kh_field_number(&a.r, "id", &id) && id == UINT64_MAX);
    cr_assert(kh_field_texts(&a.r, "documents", texts, 2) == 2 && strcmp(texts[1], "b") == 0);
    cr_assert(!kh_field_bool(&a.r, "allow_partial") && kh_field(&a.r, "uscc") == NULL);
    drop(&a);
    static const char *const wrong[] = {"",
                                        "{}",
                                        "[]",
                                        "null",
                                        "{",
                                        APPLY("-1", "\"1\""),
                                        APPLY("1.5", "\"1\""),
                                        APPLY("\"x\"", "\"1\""),
                                        APPLY("1", "1"),
                                        APPLY("1", "null"),
                                        APPLY("1", "\"1\",\"colour\":1"),
                                        APPLY("1", "\"1\",\"amount\":\"2\""),
                                        APPLY("1", "\"\\u0000\""),
                                        APPLY("1", "\"\xff\""),
                                        APPLY("1", "\"1\"") "x",
                                        APPLY("1", "\"1\",\"documents\":[1]")};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert(!body(&a, wrong[i]), "%s", wrong[i]);
        cr_assert(a.r.status == 400);
        drop(&a);
    }
}

/* ---- answers ---- */

Test(answer, rows_then_an_end_as_one_object_or_line_by_line)
{
    kh_result_field fields[] = {{.name = "code", .type = KH_FIELD_NUMBER, .number = 20},
                                {.name = "name", .type = KH_FIELD_TEXT, .text = "a\"\\\n\x7f b"},
                                {.name = "words", .type = KH_FIELD_WORDS, .text = "x y"},
                                {.name = "no", .type = KH_FIELD_NULL},
                                {.name = "yes", .type = KH_FIELD_BOOL, .number = 1}};
    kh_result_row row = {"thing", fields, 5};
    asked a;
    for (int lines = 0; lines < 2; lines++) {
        (void)find(&a, "GET", "/v1/balance");
        a.r.lines = lines == 1;
        kh_result_sink sink = kh_answer_sink(&a.r);
        sink.row(sink.ctx, &row);
        sink.row(sink.ctx, &row);
        kh_answer_end(&a.r, KH_DONE_NOT_OK, "m", "9");
        kh_answer_put(&a.r.out, "", 1);
#define ROW                                                                                                                      \
    "{\"row\":\"thing\",\"code\":20,\"name\":\"a\\\"\\\\\\u000a\\u007f b\",\"words\":[\"x\",\"y\"],\"no\":null,\"yes\":true}"
        cr_assert_str_eq(a.r.out.p, lines ? ROW "\n" ROW "\n{\"end\":true,\"status\":1,\"message\":\"m\",\"next\":\"9\"}\n"
                                          : "{\"results\":[\n" ROW ",\n" ROW
                                            "\n],\"status\":1,\"message\":\"m\",\"next\":\"9\"}\n");
        cr_assert(a.r.status == 200);
        drop(&a);
    }
}

Test(answer, what_the_engine_says_becomes_a_status)
{
    static const struct {
        const char *path;
        uint32_t code, fields;
        kh_result result;
        unsigned status;
    } cases[] = {{"/v1/balance", 20, 4, KH_DONE_NOT_OK, 404}, {"/v1/alerts", 20, 4, KH_DONE_NOT_OK, 200},
                 {"/v1/balance", 70, 2, KH_DONE_NOT_OK, 403}, {"/v1/balance", 71, 2, KH_DONE_NOT_OK, 403},
                 {"/v1/balance", 72, 2, KH_DONE_NOT_OK, 429}, {"/v1/alerts", 72, 3, KH_DONE_NOT_OK, 200},
                 {"/v1/alerts", 0, 2, KH_MISUSE, 400},        {"/v1/alerts", 0, 2, KH_FAILED, 500},
                 {"/v1/alerts", 0, 2, KH_DONE, 200}};
    static kh_http http;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kh_result_field fields[] = {{.name = "code", .type = KH_FIELD_NUMBER, .number = cases[i].code},
                                    {.name = "name", .type = KH_FIELD_NULL},
                                    {.name = "a", .type = KH_FIELD_NULL},
                                    {.name = "b", .type = KH_FIELD_NULL}};
        asked a;
        (void)find(&a, "GET", cases[i].path);
        a.r.http = &http;
        kh_result_sink sink = kh_answer_sink(&a.r);
        sink.row(sink.ctx, &(kh_result_row){"x", fields, cases[i].fields});
        kh_answer_end(&a.r, cases[i].result, "a secret of the machine", NULL);
        cr_assert(a.r.status == cases[i].status, "%zu: %u", i, a.r.status);
        kh_answer_put(&a.r.out, "", 1);
        if (cases[i].result == KH_FAILED)
            cr_assert(strstr(a.r.out.p, "secret") == NULL, "the engine's words about its machine stay here");
        drop(&a);
    }
}

Test(answer, accept)
{
    asked a;
    (void)find(&a, "GET", "/v1/alerts");
    cr_assert(kh_answer_accept(&a.r, NULL) && kh_answer_accept(&a.r, "*/*") &&
              kh_answer_accept(&a.r, "text/html, application/*;q=0.5"));
    cr_assert(!a.r.lines && kh_answer_accept(&a.r, "application/x-ndjson") && a.r.lines);
    cr_assert(!kh_answer_accept(&a.r, "text/html") && !kh_answer_accept(&a.r, "application/json;q=0") &&
              !kh_answer_accept(&a.r, "application/jsonp"));
}

/* ---- connections ---- */

static struct sockaddr_in from(uint32_t address)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
}

typedef struct line {
    kh_connection *conn;
    int other;
} line;

static line come(kh_connections *c, uint32_t address)
{
    struct sockaddr_in in = from(address);
    line l = {.other = -1};
    int pair[2];
    if (!kh_connections_accept(c, (struct sockaddr *)&in)) return l;
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    l.other = pair[1];
    l.conn = kh_connections_begin(c, pair[0]);
    return l;
}

static bool is_open(line l)
{
    char byte;
    return recv(l.other, &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 0;
}

Test(connections, an_address_that_has_proven_nothing_has_few_and_the_idle_longest_goes)
{
    kh_connections *c;
    line lines[10];
    cr_assert(kh_connections_new(100, 4, 60, &c) == KH_OK);
    for (int i = 0; i < 10; i++) lines[i] = come(c, 1);
    for (int i = 0; i < 10; i++) cr_assert(is_open(lines[i]) == (i >= 6), "%d", i);
    line other = come(c, 2);
    cr_assert(is_open(other) && is_open(lines[6]), "another address has its own");
    kh_connections_phase(c, lines[9].conn, KH_PH_WORK, 0);
    kh_connections_proven(c, lines[9].conn);
    for (int i = 0; i < 6; i++) lines[i] = come(c, 1);
    for (int i = 0; i < 10; i++) cr_assert(is_open(lines[i]), "a proven one lifts the address's bound");
    kh_connection_counts counts;
    kh_connections_count(c, &counts);
    cr_assert(counts.proven == 1 && counts.unproven == 10 && counts.dropped[KH_DROP_EVICTED] == 6 && counts.accepted == 17);
    kh_connections_free(c);
}

Test(connections, when_full_the_unproven_go_first_and_those_at_work_never)
{
    kh_connections *c;
    line proven[3], crowd[40];
    cr_assert(kh_connections_new(5, 100, 60, &c) == KH_OK);
    for (int i = 0; i < 3; i++) {
        proven[i] = come(c, 1);
        kh_connections_phase(c, proven[i].conn, KH_PH_WORK, 0);
        kh_connections_proven(c, proven[i].conn);
        if (i > 0) kh_connections_phase(c, proven[i].conn, KH_PH_IDLE, 0);
    }
    for (int i = 0; i < 40; i++) crowd[i] = come(c, (uint32_t)(100 + i));
    for (int i = 0; i < 40; i++) cr_assert(is_open(crowd[i]) == (i >= 38));
    for (int i = 0; i < 3; i++) cr_assert(is_open(proven[i]));
    for (int i = 38; i < 40; i++) {
        kh_connections_phase(c, crowd[i].conn, KH_PH_WORK, 0);
        kh_connections_proven(c, crowd[i].conn);
    }
    line more = come(c, 7);
    cr_assert(more.conn != NULL && !is_open(proven[1]) && is_open(proven[2]) && is_open(proven[0]),
              "then the proven one idle longest");
    kh_connections_phase(c, more.conn, KH_PH_WORK, 0);
    kh_connections_phase(c, proven[2].conn, KH_PH_WORK, 0);
    cr_assert(come(c, 8).conn == NULL, "all at work: nobody comes in");
    kh_connections_end(c, more.conn);
    cr_assert(come(c, 8).conn != NULL);
    kh_connections_free(c);
}

Test(connections, a_party_has_a_quarter_and_its_idle_longest_goes)
{
    kh_connections *c;
    line lines[40], other;
    kh_connection_counts counts;
    cr_assert(kh_connections_new(100, 100, 60, &c) == KH_OK);
    other = come(c, 7);
    other.conn->party = 12;
    kh_connections_proven(c, other.conn); /* idle longest of all, and another's */
    for (uint32_t i = 0; i < 30; i++) {
        lines[i] = come(c, 100 + i);
        lines[i].conn->party = 11;
        if (i != 0) kh_connections_proven(c, lines[i].conn);
        else {
            kh_connections_phase(c, lines[i].conn, KH_PH_WORK, 0);
            kh_connections_proven(c, lines[i].conn);
        }
    }
    kh_connections_count(c, &counts);
    cr_assert(counts.proven == 26 && counts.dropped[KH_DROP_PARTY] == 5, "%lu %lu", counts.proven, counts.dropped[KH_DROP_PARTY]);
    cr_assert(!other.conn->closing && !lines[0].conn->closing && lines[1].conn->closing && lines[5].conn->closing &&
              !lines[6].conn->closing);
    for (uint32_t i = 6; i < 30; i++) kh_connections_phase(c, lines[i].conn, KH_PH_WORK, 0);
    lines[30] = come(c, 200); /* all are at work: it is this one that goes */
    lines[30].conn->party = 11;
    kh_connections_proven(c, lines[30].conn);
    cr_assert(lines[30].conn->closing && !lines[30].conn->proven);
    for (uint32_t i = 1; i <= 30; i++) kh_connections_end(c, lines[i].conn);
    for (uint32_t i = 31; i < 40; i++) { /* there is room again */
        lines[i] = come(c, 300 + i);
        lines[i].conn->party = 11;
        kh_connections_proven(c, lines[i].conn);
        cr_assert(lines[i].conn->proven);
    }
    kh_connections_free(c);
}

Test(connections, what_was_let_in_but_never_made_gives_its_place_back)
{
    kh_connections *c;
    struct sockaddr_in in = from(1);
    cr_assert(kh_connections_new(2, 2, 60, &c) == KH_OK);
    for (int i = 0; i < 5000; i++) cr_assert(kh_connections_accept(c, (struct sockaddr *)&in));
    kh_connection_counts counts;
    kh_connections_count(c, &counts);
    cr_assert(counts.unproven == 1);
    kh_connections_free(c);
}

/* ---- quota and workers ---- */

Test(quota, one_party_takes_a_quarter)
{
    kh_quota *q;
    cr_assert(kh_quota_new(1000, 100, &q) == KH_OK);
    cr_assert(kh_quota_take(q, 11, 250) && !kh_quota_take(q, 11, 1) && kh_quota_take(q, 12, 250));
    kh_quota_grow(q, 12, 400);
    cr_assert(!kh_quota_take(q, 13, 200), "answers count too");
    kh_quota_give_back(q, 12, 650);
    cr_assert(kh_quota_take(q, 13, 200) && kh_quota_take(q, 12, 0));
    kh_quota_give_back(q, 11, 250);
    for (int i = 0; i < 26; i++) cr_assert(kh_quota_take(q, 11, 0));
    cr_assert(!kh_quota_take(q, 11, 0), "requests have a share too");
    kh_quota_free(q);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t running[3], most_running, done;

static void run(kh_request *r)
{
    uint32_t n = atomic_fetch_add(&running[r->who.party], 1) + 1;
    if (r->who.party == 1 && n > atomic_load(&most_running)) atomic_store(&most_running, n);
    if (r->who.party == 1) {
        (void)pthread_mutex_lock(&gate);
        (void)pthread_mutex_unlock(&gate);
    }
    (void)atomic_fetch_sub(&running[r->who.party], 1);
    (void)atomic_fetch_add(&done, 1);
}

Test(workers, one_party_has_half_of_them_and_of_the_queue)
{
    static kh_request requests[200];
    kh_workers *w;
    uint32_t first = 0, second = 0;
    (void)pthread_mutex_lock(&gate);
    cr_assert(kh_workers_new(4, 64, run, &w) == KH_OK);
    for (uint32_t i = 0; i < 100; i++) {
        requests[i].who.party = 1;
        first += kh_workers_add(w, &requests[i]);
    }
    cr_assert(first >= 32 && first <= 34, "%u of a party that holds its workers", first);
    while (atomic_load(&most_running) < 2) (void)usleep(1000);
    for (uint32_t i = 100; i < 110; i++) {
        requests[i].who.party = 2;
        second += kh_workers_add(w, &requests[i]);
    }
    cr_assert(second == 10);
    while (atomic_load(&done) < 10) (void)usleep(1000);
    cr_assert(atomic_load(&most_running) == 2, "another party's are done meanwhile");
    (void)pthread_mutex_unlock(&gate);
    kh_workers_free(w);
    cr_assert(atomic_load(&done) == first + second, "what was taken is finished");
}
