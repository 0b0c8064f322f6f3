/* route: the table of what may be asked, and finding a path in it. Unknown and missing parameters, 405, and the check against
   docs/openapi.yaml follow from this table alone. */
#include "http/inside.h"
#include <stdio.h>
#include <strings.h>

#define T KH_P_TEXT, false
#define T_NEEDED KH_P_TEXT, true
#define N KH_P_NUMBER, false
#define N_NEEDED KH_P_NUMBER, true
#define B KH_P_BOOL, false
#define LIST KH_P_TEXTS, false
#define LIST_NEEDED KH_P_TEXTS, true
#define PAGE                                                                                                                     \
    {"after", T}, { "limit", N }
#define PAPER                                                                                                                    \
    {"document", T_NEEDED}, {"issuer", T}, {"owner", T}, { "amount", T }
#define ATTESTED                                                                                                                 \
    {                                                                                                                            \
        "attested", B                                                                                                            \
    }
#define LINES                                                                                                                    \
    {"name", T}, { "line_offset", N }

const kh_route kh_routes[] = {
    {"GET", "/health", kh_route_health, KH_R_OPEN | KH_R_INLINE, KH_BODY_NONE, {{0}}, {{0}}},
    {"GET", "/ready", kh_route_ready, KH_R_OPEN | KH_R_INLINE, KH_BODY_NONE, {{0}}, {{0}}},
    {"GET", "/metrics", kh_route_metrics, KH_R_REGULATOR | KH_R_TEXT, KH_BODY_NONE, {{0}}, {{0}}},
    {"GET", "/v1/openapi.yaml", kh_route_openapi, KH_R_TEXT, KH_BODY_NONE, {{0}}, {{0}}},
    {"GET", "/v1/me", kh_route_me, 0, KH_BODY_NONE, {{0}}, {{0}}},

    {"GET", "/v1/parties", kh_route_party_list, KH_R_PAGED, KH_BODY_NONE, {PAGE}, {{0}}},
    {"POST",
     "/v1/parties",
     kh_route_party_add,
     KH_R_CHANGES,
     KH_BODY_FIELDS,
     {{0}},
     {{"id", N_NEEDED}, {"role", T_NEEDED}, {"name", T_NEEDED}, {"uscc", T}}},
    {"GET", "/v1/parties/{party}", kh_route_party_find, KH_R_ONE | KH_R_HUB, KH_BODY_NONE, {ATTESTED}, {{0}}},
    {"POST", "/v1/parties/{party}/freeze", kh_route_party_freeze, KH_R_CHANGES, KH_BODY_FIELDS, {{0}}, {{0}}},
    {"POST", "/v1/parties/{party}/unfreeze", kh_route_party_unfreeze, KH_R_CHANGES, KH_BODY_FIELDS, {{0}}, {{0}}},
    {"POST", "/v1/parties/{party}/key", kh_route_party_key, KH_R_CHANGES, KH_BODY_FIELDS, {{0}}, {{"key", T_NEEDED}}},
    {"GET", "/v1/rules", kh_route_rule_list, 0, KH_BODY_NONE, {{0}}, {{0}}},
    {"PUT", "/v1/rules/{name}", kh_route_rule_set, KH_R_CHANGES, KH_BODY_FIELDS, {{0}}, {{"value", T_NEEDED}}},
    {"GET", "/v1/rates", kh_route_rate_list, 0, KH_BODY_NONE, {{0}}, {{0}}},
    {"POST",
     "/v1/rates",
     kh_route_rate_set,
     KH_R_CHANGES,
     KH_BODY_FIELDS,
     {{0}},
     {{"from", T_NEEDED}, {"to", T_NEEDED}, {"value", T_NEEDED}, {"date", T_NEEDED}, {"source", T_NEEDED}}},

    {"POST",
     "/v1/documents",
     kh_route_import,
     KH_R_CHANGES | KH_R_HUB,
     KH_BODY_FILE,
     {LINES, {"format", T}, {"kind", T}, {"source", T}, {"force", B}},
     {{0}}},
    {"POST", "/v1/show", kh_route_show, 0, KH_BODY_FILE, {LINES, {"format", T}, {"kind", T}}, {{0}}},
    {"POST", "/v1/verify", kh_route_verify, KH_R_HUB, KH_BODY_FILE, {LINES, ATTESTED}, {{0}}},
    {"GET", "/v1/balance", kh_route_balance, KH_R_ONE | KH_R_HUB, KH_BODY_NONE, {PAPER, ATTESTED}, {{0}}},
    {"GET", "/v1/history", kh_route_history, KH_R_ONE | KH_R_PAGED | KH_R_HUB, KH_BODY_NONE, {PAPER, PAGE, ATTESTED}, {{0}}},
    {"GET", "/v1/alerts", kh_route_alerts, KH_R_PAGED, KH_BODY_NONE, {PAGE}, {{0}}},

    {"GET", "/v1/financings", kh_route_finance_list, KH_R_PAGED, KH_BODY_NONE, {{"state", T}, PAGE}, {{0}}},
    {"POST",
     "/v1/financings",
     kh_route_finance_apply,
     KH_R_CHANGES,
     KH_BODY_FIELDS,
     {{0}},
     {{"id", N_NEEDED},
      {"enterprise", T_NEEDED},
      {"product", T_NEEDED},
      {"amount", T_NEEDED},
      {"currency", T_NEEDED},
      {"allow_partial", B},
      {"documents", LIST_NEEDED}}},
    {"POST",
     "/v1/financings/file",
     kh_route_finance_apply_file,
     KH_R_CHANGES,
     KH_BODY_FILE,
     {LINES, {"allow_partial", B}},
     {{0}}},
    {"POST", "/v1/financings/events", kh_route_finance_events_file, KH_R_CHANGES | KH_R_FROZEN, KH_BODY_FILE, {LINES}, {{0}}},
    {"GET", "/v1/financings/{id}", kh_route_finance_show, KH_R_ONE | KH_R_OLDER, KH_BODY_NONE, {{0}}, {{0}}},
    {"GET", "/v1/financings/{id}/receipt", kh_route_finance_receipt, KH_R_TEXT, KH_BODY_NONE, {{0}}, {{0}}},
    {"POST",
     "/v1/financings/{id}/{event}",
     kh_route_finance_event,
     KH_R_CHANGES | KH_R_FROZEN,
     KH_BODY_FIELDS,
     {{0}},
     {{"amount", T}, {"source", T}, {"reason", T}, {"expect", N}, {"allot", LIST}}},

    {"GET", "/v1/stats", kh_route_stats, 0, KH_BODY_NONE, {{0}}, {{0}}},
    {"GET", "/v1/audit", kh_route_audit, 0, KH_BODY_NONE, {{"height", N}}, {{0}}},
    {"POST", "/v1/snapshot", kh_route_snapshot, 0, KH_BODY_FIELDS, {{0}}, {{0}}},

    {"GET", "/v1/grants", kh_route_grant_list, KH_R_PAGED | KH_R_HUB, KH_BODY_NONE, {PAGE, ATTESTED}, {{0}}},
    {"POST",
     "/v1/grants",
     kh_route_grant_add,
     KH_R_CHANGES,
     KH_BODY_FIELDS,
     {{0}},
     {{"id", N_NEEDED}, {"bank", T_NEEDED}, {"scope", T_NEEDED}, {"from", T}, {"until", T_NEEDED}, {"enterprise", T}}},
    {"POST", "/v1/grants/{id}/revoke", kh_route_grant_revoke, KH_R_CHANGES, KH_BODY_FIELDS, {{0}}, {{"enterprise", T}}},
    {"GET", "/v1/grants/lookups", kh_route_grant_lookups, KH_R_PAGED | KH_R_HUB, KH_BODY_NONE, {PAGE, ATTESTED}, {{0}}},
    {"GET",
     "/v1/credit",
     kh_route_credit,
     KH_R_PAGED | KH_R_HUB | KH_R_FILED,
     KH_BODY_NONE,
     {{"enterprise", T_NEEDED}, {"grant", N}, {"scope", T}, PAGE, ATTESTED},
     {{0}}},
    {"POST", "/v1/risk", kh_route_risk_add, KH_R_CHANGES, KH_BODY_FIELDS, {{0}}, {{"subject", T_NEEDED}, {"category", T_NEEDED}}},
    {"POST",
     "/v1/risk/remove",
     kh_route_risk_remove,
     KH_R_CHANGES,
     KH_BODY_FIELDS,
     {{0}},
     {{"subject", T_NEEDED}, {"category", T_NEEDED}, {"of", T}}},
    {"POST", "/v1/risk/ask", kh_route_risk_ask, 0, KH_BODY_FIELDS, {{0}}, {{"subjects", LIST_NEEDED}}},
    {"GET", "/v1/risk/account", kh_route_risk_account, KH_R_PAGED | KH_R_HUB, KH_BODY_NONE, {PAGE, ATTESTED}, {{0}}},

    {"POST", "/v1/sessions", kh_route_session_open, 0, KH_BODY_FIELDS, {{0}}, {{0}}},
    {"DELETE", "/v1/sessions/{session}", kh_route_session_close, 0, KH_BODY_NONE, {{0}}, {{0}}},
    {"POST",
     "/v1/operations",
     kh_route_operations,
     KH_R_CHANGES | KH_R_FROZEN | KH_R_ASYNC,
     KH_BODY_FRAMES,
     {{"short", B}},
     {{0}}},
    {"POST", "/v1/bundles", kh_route_bundles, KH_R_CHANGES | KH_R_ASYNC, KH_BODY_FRAMES, {{0}}, {{0}}},

    {"GET", "/v1/cluster", kh_route_cluster, 0, KH_BODY_NONE, {{0}}, {{0}}},
    {"POST", "/v1/changes", kh_route_changes, KH_R_CHANGES | KH_R_FROZEN, KH_BODY_FILE, {{0}}, {{0}}},
};
const uint32_t kh_route_cnt = sizeof kh_routes / sizeof kh_routes[0];
_Static_assert(sizeof kh_routes / sizeof kh_routes[0] <= KH_HTTP_ROUTES_MAX, "the metrics hold a line for each");

#define SEGMENTS_MAX 5

/* split cuts a path at its slashes; 0 where it has too many or does not begin with one. */
static uint32_t split(char *path, char *ret[SEGMENTS_MAX])
{
    uint32_t n = 0;
    if (*path != '/') return 0;
    for (char *at = path; at != NULL;) {
        *at++ = '\0';
        if (n == SEGMENTS_MAX) return 0;
        ret[n++] = at;
        at = strchr(at, '/');
    }
    return n;
}

/* matches holds a template against the segments; a parameter takes any but an empty one. */
static bool matches(const char *template, char *const segments[], uint32_t n, uint32_t *ret_literal)
{
    uint32_t i = 0, literal = 0;
    for (const char *at = template; *at == '/'; i++) {
        size_t size = strcspn(at + 1, "/");
        if (i == n) return false;
        if (at[1] == '{') {
            if (segments[i][0] == '\0') return false;
        } else {
            if (strlen(segments[i]) != size || memcmp(segments[i], at + 1, size) != 0) return false;
            literal++;
        }
        at += size + 1;
    }
    *ret_literal = literal;
    return i == n;
}

static const char *take_parameters(kh_request *r, const char *template, char *const segments[])
{
    uint32_t i = 0, n = 0;
    for (const char *at = template; *at == '/'; at += strcspn(at + 1, "/") + 1, i++) {
        if (at[1] != '{') continue;
        if (!kh_percent_decode(segments[i], false)) return "the path holds a broken percent-encoding, a NUL or no UTF-8";
        if (strlen(segments[i]) > KH_HTTP_PATH_MAX) return "a part of the path is too long";
        r->path[n++] = segments[i];
    }
    return NULL;
}

const kh_route *kh_route_find(kh_request *r, const char *method, char *path, char ret_allow[64], const char **ret_why)
{
    char *segments[SEGMENTS_MAX];
    uint32_t n = split(path, segments), best = 0, literal;
    const kh_route *found = NULL;
    ret_allow[0] = '\0';
    *ret_why = NULL;
    for (uint32_t i = 0; i < kh_route_cnt; i++) {
        const kh_route *route = &kh_routes[i];
        if (!matches(route->path, segments, n, &literal)) continue;
        if (strstr(ret_allow, route->method) == NULL) {
            if (ret_allow[0] != '\0') strcat(ret_allow, ", ");
            strcat(ret_allow, route->method);
        }
        if (strcmp(route->method, method) == 0 && (found == NULL || literal > best)) {
            found = route;
            best = literal;
        }
    }
    if (found != NULL) *ret_why = take_parameters(r, found->path, segments);
    return *ret_why == NULL ? found : NULL;
}

const char *kh_request_path(const kh_request *r, const char *name)
{
    uint32_t n = 0;
    for (const char *at = r->route->path; *at == '/'; at += strcspn(at + 1, "/") + 1) {
        if (at[1] != '{') continue;
        if (strncmp(at + 2, name, strlen(name)) == 0 && at[2 + strlen(name)] == '}') return r->path[n];
        n++;
    }
    return NULL;
}

static bool sound_value(kh_request *r, const kh_param *param, const char *value)
{
    uint64_t number;
    switch (param->type) {
    case KH_P_NUMBER:
        if (kh_number_parse(value, strlen(value), &number)) return true;
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, param->name, "%s must be a whole number", param->name);
        return false;
    case KH_P_BOOL:
        if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0) return true;
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, param->name, "%s must be true or false", param->name);
        return false;
    case KH_P_TEXT:
    case KH_P_TEXTS: break;
    }
    return true;
}

static bool take_one(kh_request *r, char *pair)
{
    char *value = strchr(pair, '=');
    static char empty[1];
    if (value != NULL) *value++ = '\0';
    else value = empty;
    if (!kh_percent_decode(pair, true) || !kh_percent_decode(value, true)) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, NULL, "the query holds a broken percent-encoding, a NUL or no UTF-8");
        return false;
    }
    for (uint32_t i = 0; i < KH_HTTP_PARAMS && r->route->params[i].name != NULL; i++) {
        const kh_param *param = &r->route->params[i];
        if (strcmp(param->name, pair) != 0) continue;
        if (r->query[i] != NULL) {
            kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, param->name, "%s is given twice", param->name);
            return false;
        }
        r->query[i] = value;
        return sound_value(r, param, value);
    }
    kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, pair, "there is no parameter %.100s here", pair);
    return false;
}

bool kh_route_query(kh_request *r, char *query)
{
    for (char *at = query, *next; at != NULL && *at != '\0'; at = next) {
        next = strchr(at, '&');
        if (next != NULL) *next++ = '\0';
        if (*at != '\0' && !take_one(r, at)) return false;
    }
    for (uint32_t i = 0; i < KH_HTTP_PARAMS && r->route->params[i].name != NULL; i++) {
        const kh_param *param = &r->route->params[i];
        if (!param->required || r->query[i] != NULL) continue;
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, param->name, "%s is missing", param->name);
        return false;
    }
    const char *limit = (r->route->flags & KH_R_PAGED) != 0 ? kh_query_text(r, "limit") : NULL;
    if (limit != NULL && (kh_query_number(r, "limit", 0) == 0 || kh_query_number(r, "limit", 0) > KH_HTTP_PAGE_MAX)) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "limit", "limit must be from 1 to %u", KH_HTTP_PAGE_MAX);
        return false;
    }
    return true;
}

kh_page kh_request_page(const kh_request *r)
{
    return (kh_page){.after = kh_query_text(r, "after"), .limit = (uint32_t)kh_query_number(r, "limit", KH_HTTP_PAGE_MAX)};
}
