/* forward: at a bank's node: what a hub alone knows is asked of one, and its answer goes out as it came. */
#include "http/inside.h"
#include <stdlib.h>

void kh_forward_uri(const char *uri, char *ret)
{
    static const char name[] = "attested=";
    const char *query = strchr(uri, '?');
    size_t n = query != NULL ? (size_t)(query - uri) : strlen(uri);
    memcpy(ret, uri, n);
    char parted = '?';
    for (const char *at = query; at != NULL; at = strchr(at, '&')) {
        at++;
        size_t pair = strcspn(at, "&");
        if (pair == 0 || strncmp(at, name, sizeof name - 1) == 0) continue;
        ret[n++] = parted;
        memcpy(ret + n, at, pair);
        n += pair;
        parted = '&';
    }
    ret[n] = '\0';
}

static void take(kh_request *r, kh_http_answer *a)
{
    static const char *const types[] = {"application/json", "application/x-ndjson"};
    free(r->out.p);
    r->out = (kh_answer_text){.p = (char *)a->body, .n = a->body_n, .cap = a->body_n};
    r->status = a->status;
    r->retry_after_s = a->retry_after_s;
    r->content_type = "application/octet-stream";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t n = strlen(types[i]);
        if (strncmp(a->content_type, types[i], n) == 0 && (a->content_type[n] == '\0' || a->content_type[n] == ';'))
            r->content_type = types[i];
    }
}

static bool is_attested(const kh_request *r)
{
    const char *text = kh_query_text(r, "attested");
    return text != NULL && text[0] == 't';
}

bool kh_forwarded(kh_request *r)
{
    const kh_http_options *o = &r->http->o;
    kh_http_answer answer = {0};
    if ((r->route->flags & (KH_R_HUB | KH_R_OLDER)) == 0) return false;
    bool attested = is_attested(r);
    if (o->forward == NULL) {
        if (!attested) return false;
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "attested", "one hub cannot speak for a quorum: ask a bank's node");
        return true;
    }
    char *uri = malloc(strlen(r->asked) + 1);
    kh_err err = uri != NULL ? KH_OK : KH_E_NOMEM;
    if (err == KH_OK) {
        kh_forward_uri(r->asked, uri);
        kh_http_question question = {
            .party = r->who.party,
            .method = r->route->method,
            .uri = uri,
            .accept = r->lines ? "application/x-ndjson" : "application/json",
            .content_type =
                r->body_n > 0 ? MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE) : NULL,
            .body = r->body,
            .body_n = r->body_n,
            .attested = attested};
        err = o->forward(o->forward_ctx, &question, &answer);
    }
    free(uri);
    switch (err) {
    case KH_OK: take(r, &answer); return true;
    case KH_E_CLOSED: return false; /* the engine says NOT_CHECKED */
    case KH_E_ARG:
        kh_answer_refuse_code(r, MHD_HTTP_FORBIDDEN, KH_C_NOT_AUTHORISED, "this is another bank's node: ask a hub, or your own");
        return true;
    case KH_E_AGAIN:
        kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "attested",
                         "fewer hubs answer than a quorum: no answer is attested now");
        r->retry_after_s = 1;
        return true;
    case KH_E_DAMAGED:
        kh_answer_refuse(r, MHD_HTTP_BAD_GATEWAY, "attested", "hubs answer differently: none of their answers is taken");
        return true;
    default:
        kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "no memory for the answer; try again");
        r->retry_after_s = 1;
        return true;
    }
}
