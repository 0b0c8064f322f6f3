/* receipt: the receipt that proves a financing: its bytes as the node made them, since it has one form. */
#include "client/answer.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RECEIPT_MAX = 16 << 20 };
static const char begins[] = "{\"kanhe_receipt\":";

typedef struct bytes {
    char *p;
    size_t n;
} bytes;

static bool on_bytes(void *ctx, const char *p, size_t n)
{
    bytes *b = ctx;
    char *more = b->n + n <= RECEIPT_MAX ? realloc(b->p, b->n + n) : NULL;
    if (more == NULL) return false;
    memcpy(more + b->n, p, n);
    b->p = more;
    b->n += n;
    return true;
}

/* refused: anything else is an answer as others are, with its message. */
static kh_result refused(kh_client *c, const kh_transfer *t, const bytes *b)
{
    kh_answer_reader answer = {.transfer = t};
    bool well = b->n > 0 && kh_answer_feed(&answer, b->p, b->n) && kh_answer_finish(&answer);
    kh_result result = well && answer.status != KH_DONE
                           ? kh_client_say(c, answer.status, "%s", answer.message)
                           : kh_client_say(c, KH_FAILED, "%s gives no receipt (HTTP status %ld)", c->url, t->http_status);
    kh_answer_free(&answer);
    return result;
}

static kh_result ask(kh_client *c, const char *path, void (*give)(void *ctx, const char *text, size_t n), void *ctx)
{
    bytes b = {0};
    kh_transfer t = {.give = on_bytes, .ctx = &b};
    c->message[0] = '\0';
    kh_result result = kh_transfer_begin(c, &t, "GET", path, "application/json", NULL, NULL, 0);
    if (result == KH_DONE) {
        while (!t.ended) kh_transfers_step(c, 1.0);
        result = kh_transfer_say(c, &t);
        c->http_status = (uint32_t)t.http_status;
    }
    if (result == KH_DONE) {
        bool is_receipt = t.http_status == 200 && b.n >= sizeof begins - 1 && memcmp(b.p, begins, sizeof begins - 1) == 0;
        if (is_receipt) give(ctx, b.p, b.n);
        else result = refused(c, &t, &b);
    }
    kh_transfer_end(c, &t);
    free(b.p);
    return result;
}

/* The block above an operation's proves it, and comes a moment later: it is waited for, as long as for any answer. */
kh_result kh_client_receipt(kh_client *c, const char *financing, void (*give)(void *ctx, const char *text, size_t n), void *ctx)
{
    static const char not_ready[] = "NOT_READY:";
    char path[300] = "/v1/financings/";
    size_t at = strlen(path);
    if (!kh_client_escape(financing, path + at, sizeof path - at - sizeof "/receipt"))
        return kh_client_say(c, KH_MISUSE, "which financing? give the bank's number");
    strcat(path, "/receipt");
    double until_s = kh_client_now_s() + c->timeout_s;
    for (;;) {
        kh_result result = ask(c, path, give, ctx);
        bool early = result == KH_DONE_NOT_OK && strncmp(c->message, not_ready, sizeof not_ready - 1) == 0;
        if (!early || kh_client_now_s() >= until_s) return result;
        (void)nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
    }
}
