/* connection: requests under way, by libcurl's multi interface. */
#include "client/connection.h"
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

double kh_client_now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    kh_transfer *t = ctx;
    if (t->held) return CURL_WRITEFUNC_PAUSE;
    if (t->http_status == 0) {
        const char *type = NULL;
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->http_status);
        if (curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type != NULL)
            (void)snprintf(t->content_type, sizeof t->content_type, "%s", type);
    }
    bool well = t->give(t->ctx, p, size * n);
    t->last_s = kh_client_now_s();
    return well ? size * n : 0;
}

static int on_progress(void *ctx, curl_off_t down_of, curl_off_t down, curl_off_t up_of, curl_off_t up)
{
    kh_transfer *t = ctx;
    (void)down_of;
    (void)up_of;
    if (down + up != t->moved) {
        t->moved = down + up;
        t->last_s = kh_client_now_s();
    }
    return 0;
}

static void set_identity(const kh_client *c, CURL *easy)
{
    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    if (c->ca != NULL) { /* that authority, and no other of this machine */
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca);
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (c->cert != NULL) (void)curl_easy_setopt(easy, CURLOPT_SSLCERT, c->cert);
    if (c->key != NULL) (void)curl_easy_setopt(easy, CURLOPT_SSLKEY, c->key);
}

static bool header(kh_transfer *t, const char *name, const char *value)
{
    char line[160];
    (void)snprintf(line, sizeof line, "%s:%s%s", name, value[0] != '\0' ? " " : "", value);
    struct curl_slist *more = curl_slist_append(t->headers, line);
    if (more == NULL) return false;
    t->headers = more;
    return true;
}

static kh_result start(kh_client *c, kh_transfer *t)
{
    t->last_s = kh_client_now_s();
    if (curl_multi_add_handle(c->multi, t->easy) != CURLM_OK) {
        kh_transfer_end(c, t);
        return kh_client_say(c, KH_FAILED, "out of memory");
    }
    c->under_way[c->under_way_cnt++] = t;
    return KH_DONE;
}

kh_result kh_transfer_begin(kh_client *c, kh_transfer *t, const char *method, const char *path_and_query, const char *accept,
                            const char *content_type, const void *body, size_t n)
{
    char *url = NULL;
    if (c->under_way_cnt == KH_CLIENT_TRANSFERS) return kh_client_say(c, KH_MISUSE, "too many requests at once");
    if (c->multi == NULL) c->multi = curl_multi_init();
    t->easy = c->multi != NULL ? curl_easy_init() : NULL;
    if (t->easy == NULL || asprintf(&url, "%s%s", c->url, path_and_query) < 0 || !header(t, "Accept", accept) ||
        !header(t, "Expect", "") || (body != NULL && !header(t, "Content-Type", content_type))) {
        free(url);
        kh_transfer_end(c, t);
        return kh_client_say(c, KH_FAILED, "out of memory");
    }
    (void)curl_easy_setopt(t->easy, CURLOPT_URL, url);
    free(url);
    (void)curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "https");
    (void)curl_easy_setopt(t->easy, CURLOPT_PROXY, ""); /* a hub is spoken to directly, whatever the environment says */
    (void)curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(c->timeout_s * 1000));
    (void)curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    (void)curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->why);
    (void)curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(t->easy, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(t->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(t->easy, CURLOPT_XFERINFODATA, t);
    (void)curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, 32L << 10); /* a TLS record is 16 KiB */
    (void)curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, n < 64u << 10 ? 64L << 10 : 256L << 10);
    (void)curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    if (body != NULL || strcmp(method, "GET") != 0) {
        (void)curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
        (void)curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, body != NULL ? body : "");
    }
    set_identity(c, t->easy);
    return start(c, t);
}

static void ended(kh_transfer *t, CURLcode code)
{
    t->ended = true;
    t->code = code;
    t->result = code == CURLE_OK ? KH_DONE : KH_FAILED;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->http_status);
}

void kh_transfers_step(kh_client *c, double wait_s)
{
    int running = 0, left = 0;
    if (curl_multi_perform(c->multi, &running) != CURLM_OK) running = 0;
    bool moved = false;
    for (const CURLMsg *m; (m = curl_multi_info_read(c->multi, &left)) != NULL;) {
        kh_transfer *t = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        ended(t, m->data.result);
        moved = true;
    }
    double now = kh_client_now_s(), next = wait_s;
    for (uint32_t i = 0; i < c->under_way_cnt; i++) {
        kh_transfer *t = c->under_way[i];
        if (t->ended || t->held) continue;
        double left_s = t->last_s + c->timeout_s - now;
        if (left_s <= 0) {
            ended(t, CURLE_OPERATION_TIMEDOUT);
            moved = true;
        } else if (left_s < next) next = left_s;
    }
    if (!moved && running > 0) (void)curl_multi_poll(c->multi, NULL, 0, (int)(next * 1000) + 1, NULL);
}

double kh_transfer_busy_s(const kh_transfer *t)
{
    curl_off_t seconds = 0;
    if (!t->ended || t->code != CURLE_OK || t->http_status != 503) return 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
    return seconds > 0 ? (double)seconds : 1.0;
}

void kh_transfers_wait(kh_client *c, double seconds)
{
    double until = kh_client_now_s() + seconds;
    for (double left_s = seconds; left_s > 0; left_s = until - kh_client_now_s()) {
        (void)curl_multi_poll(c->multi, NULL, 0, (int)(left_s * 1000) + 1, NULL);
        kh_transfers_step(c, 0);
    }
}

void kh_transfer_release(kh_transfer *t)
{
    if (!t->held) return;
    t->held = false;
    t->last_s = kh_client_now_s();
    if (t->easy != NULL && !t->ended) (void)curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

static void leave(kh_client *c, const kh_transfer *t)
{
    for (uint32_t i = 0; i < c->under_way_cnt; i++)
        if (c->under_way[i] == t) {
            c->under_way[i] = c->under_way[--c->under_way_cnt];
            (void)curl_multi_remove_handle(c->multi, t->easy);
            break;
        }
}

kh_result kh_transfer_again(kh_client *c, kh_transfer *t, const void *body, size_t n)
{
    leave(c, t);
    t->ended = false;
    t->code = CURLE_OK;
    t->http_status = 0;
    t->moved = 0;
    t->content_type[0] = t->why[0] = '\0';
    (void)curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
    (void)curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, body);
    return start(c, t);
}

void kh_transfer_end(kh_client *c, kh_transfer *t)
{
    leave(c, t);
    if (t->easy != NULL) curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    t->easy = NULL;
    t->headers = NULL;
}

/* The certificate that the hub showed was not believed: why, and what to do. */
static kh_result untrusted(kh_client *c, const kh_transfer *t)
{
    long verdict = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return kh_client_say(
            c, KH_FAILED,
            "the certificate of %s is out of its time (%s): its operator must renew it; see also that this machine's "
            "clock is right",
            c->url, X509_verify_cert_error_string(verdict));
    case X509_V_OK:
    case X509_V_ERR_UNSPECIFIED: /* the certificate itself is sound: libcurl compares the name afterwards */
        return kh_client_say(
            c, KH_FAILED, "the certificate of %s is not for that name or address (%s): connect by the name that it was made for",
            c->url, t->why);
    default:
        return kh_client_say(
            c, KH_FAILED,
            "the certificate of %s was not signed by the authority in %s (%s): give the hub's own with --ca or $KANHE_CA", c->url,
            c->ca != NULL ? c->ca : "this system's list", X509_verify_cert_error_string(verdict));
    }
}

kh_result kh_transfer_say(kh_client *c, const kh_transfer *t)
{
    c->http_status = (uint32_t)t->http_status;
    switch (t->code) {
    case CURLE_OK: return KH_DONE;
    case CURLE_PEER_FAILED_VERIFICATION: return untrusted(c, t);
    case CURLE_OPERATION_TIMEDOUT:
        return kh_client_say(
            c, KH_FAILED,
            "%s gave no sign of life for %g s: ask again, what was already done is not done twice; or wait longer with "
            "--timeout",
            c->url, c->timeout_s);
    case CURLE_COULDNT_RESOLVE_HOST: return kh_client_say(c, KH_FAILED, "%s: there is no such host; see the address", c->url);
    case CURLE_COULDNT_CONNECT:
        return kh_client_say(c, KH_FAILED, "%s cannot be reached (%s): is the hub running, and its address right?", c->url,
                             t->why);
    case CURLE_SSL_CERTPROBLEM:
        return kh_client_say(c, KH_FAILED, "certificate %s or key %s cannot be used (%s): both must be PEM files, of one pair",
                             c->cert, c->key, t->why);
    case CURLE_SSL_CACERT_BADFILE:
        return kh_client_say(c, KH_FAILED, "%s holds no certificate of an authority (%s): give the hub's with --ca", c->ca,
                             t->why);
    case CURLE_SSL_CONNECT_ERROR:
        return kh_client_say(c, KH_FAILED, "%s does not speak TLS 1.3 as a hub does (%s): see the address and port", c->url,
                             t->why);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return kh_client_say(c, KH_MISUSE, "%s is no address of a hub: https://ADDRESS:PORT", c->url);
    case CURLE_WRITE_ERROR: /* the answer's reader refused it */
        return kh_client_say(c, KH_FAILED, "%s does not answer as a hub does (HTTP status %ld): see the address", c->url,
                             t->http_status);
    default:
        return kh_client_say(
            c, KH_FAILED,
            "the connection to %s broke before its answer was whole (%s): ask again, what was already done is not done "
            "twice",
            c->url, t->why[0] != '\0' ? t->why : curl_easy_strerror(t->code));
    }
}
