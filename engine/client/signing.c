/* signing: see signing.h. */
#include "client/signing.h"
#include "client/secret.h"
#include "crypto/digest.h"
#include "log/envelope.h"
#include <jansson.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_SZ = 12, RECORD_SZ = 64 + 1 + 20 + 1, ANSWER_MAX_SZ = 64 << 20 };

/* ---- who we are, and for which chain ---- */

typedef struct me {
    struct kh_signing *s;
    kh_suite suite;
    bool has_chain, has_suite, has_role;
} me;

static void on_me(void *ctx, const kh_result_row *row)
{
    me *m = ctx;
    for (uint32_t i = 0; i < row->field_cnt; i++) {
        const kh_result_field *f = &row->fields[i];
        if (f->type == KH_FIELD_NUMBER && strcmp(f->name, "id") == 0) m->s->party = (uint32_t)f->number;
        if (f->type != KH_FIELD_TEXT) continue;
        if (strcmp(f->name, "chain") == 0) m->has_chain = kh_hex_read(f->text, strlen(f->text), m->s->chain, 32);
        if (strcmp(f->name, "suite") == 0) m->has_suite = kh_suite_of(f->text, &m->suite);
        if (strcmp(f->name, "role") == 0) m->has_role = kh_role_of_word(kh_text_of(f->text), &m->s->role);
        if (strcmp(f->name, "name") == 0) (void)snprintf(m->s->name, sizeof m->s->name, "%s", f->text);
    }
}

static kh_result ask_who(kh_client *c, struct kh_signing *s, kh_suite *ret_suite)
{
    me m = {.s = s};
    const kh_result_sink sink = {.row = on_me, .ctx = &m};
    kh_result result = kh_client_call(c, &(kh_client_request){.method = "GET", .path = "/v1/me"}, &sink);
    if (result != KH_DONE) return result;
    bool of_cluster = m.has_chain && m.has_suite && m.has_role;
    if (c->sign_found && (!of_cluster || s->role == KH_ROLE_BANK)) {
        free(c->sign);
        c->sign = NULL;
        return KH_DONE;
    }
    if (!of_cluster)
        return kh_client_say(c, KH_MISUSE, "%s is of no cluster: operations are not signed there: leave --sign out", c->url);
    if (s->role == KH_ROLE_BANK) return kh_client_say(c, KH_MISUSE, "a bank signs by its own node: leave --sign out");
    if (c->party != 0 && c->party != s->party)
        return kh_client_say(c, KH_FAILED, "%s takes us for party %u; the certificate says %u", c->url, s->party, c->party);
    *ret_suite = m.suite;
    return KH_DONE;
}

/* ---- KEYFILE.number ---- */

static kh_result take_numbers(kh_client *c, struct kh_signing *s)
{
    char path[1024], text[RECORD_SZ + 1] = "", chain[65];
    if (snprintf(path, sizeof path, "%s.number", c->sign) >= (int)sizeof path)
        return kh_client_say(c, KH_MISUSE, "the key's path is too long");
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->fd < 0) return kh_client_say(c, KH_FAILED, "%s cannot be written: it keeps the numbers of what was signed", path);
    double until_s = kh_client_now_s() + c->timeout_s;
    bool locked;
    while (!(locked = flock(s->fd, LOCK_EX | LOCK_NB) == 0) && errno == EWOULDBLOCK && kh_client_now_s() < until_s)
        (void)nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);
    if (!locked) return kh_client_say(c, KH_FAILED, "%s is in use: another command signs with this key", path);
    ssize_t n = pread(s->fd, text, RECORD_SZ, 0);
    if (n == 0) return KH_DONE;
    kh_hex(s->chain, 32, chain);
    char *end = NULL;
    if (n == RECORD_SZ && text[64] == ' ') s->number = strtoull(text + 65, &end, 10);
    if (end != text + RECORD_SZ - 1)
        return kh_client_say(c, KH_FAILED, "%s is damaged; without it the clock gives the numbers", path);
    if (memcmp(text, chain, 64) == 0) return KH_DONE;
    return kh_client_say(c, KH_MISUSE,
                         "%s says that it is of chain %.16s..., and this key has signed for %.16s...: a key is of one chain (%s)",
                         c->url, chain, text, path);
}

/* next_number is durable when it returns: no number is ever used twice. */
static kh_result next_number(kh_client *c, struct kh_signing *s, uint64_t *ret)
{
    struct timespec t;
    char text[RECORD_SZ + 1], chain[65];
    (void)clock_gettime(CLOCK_REALTIME, &t);
    uint64_t now = (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
    if (s->number == UINT64_MAX) return kh_client_say(c, KH_FAILED, "this key has no numbers left");
    s->number = now > s->number ? now : s->number + 1;
    kh_hex(s->chain, 32, chain);
    (void)snprintf(text, sizeof text, "%s %020llu\n", chain, (unsigned long long)s->number);
    if (pwrite(s->fd, text, RECORD_SZ, 0) != RECORD_SZ || fdatasync(s->fd) != 0)
        return kh_client_say(c, KH_FAILED, "%s.number cannot be written", c->sign);
    *ret = s->number;
    return KH_DONE;
}

kh_result kh_signing_begin(kh_client *c)
{
    kh_suite suite = KH_SUITE_INTL;
    char why[600];
    if (c->signing != NULL) return KH_DONE;
    struct kh_signing *s = calloc(1, sizeof *s);
    if (s == NULL) return kh_client_say(c, KH_FAILED, "out of memory");
    s->fd = -1;
    kh_result result = ask_who(c, s, &suite);
    if (result == KH_DONE && c->sign == NULL) {
        kh_signing_end(s);
        return KH_DONE;
    }
    if (result == KH_DONE && (result = kh_secret_read(c->sign, suite, &s->signer, why, sizeof why)) != KH_DONE)
        (void)kh_client_say(c, result, "%s", why);
    if (result == KH_DONE) result = take_numbers(c, s);
    if (result == KH_DONE) c->signing = s;
    else kh_signing_end(s);
    return result;
}

void kh_signing_end(struct kh_signing *s)
{
    if (s == NULL) return;
    if (s->fd >= 0) (void)close(s->fd);
    kh_signer_free(s->signer);
    free(s);
}

/* ---- sending ---- */

typedef struct answer {
    uint8_t *p;
    size_t n, cap;
} answer;

static bool take_answer(void *ctx, const char *p, size_t n)
{
    answer *a = ctx;
    if (n > ANSWER_MAX_SZ - a->n) return false;
    if (n > a->cap - a->n) {
        size_t cap = (a->n + n) * 2;
        uint8_t *more = realloc(a->p, cap);
        if (more == NULL) return false;
        a->p = more;
        a->cap = cap;
    }
    memcpy(a->p + a->n, p, n);
    a->n += n;
    return true;
}

static kh_result no_hub(kh_client *c)
{
    return kh_client_say(c, KH_FAILED, "%s does not answer as a hub does: see the address", c->url);
}

static kh_result give_receipts(kh_client *c, const answer *a, uint32_t op_cnt, kh_signed_receipt *give, void *ctx)
{
    static _Thread_local kh_receipt_line lines[KH_LINES_MAX];
    size_t at = 0, used;
    for (uint32_t i = 0; i < op_cnt; i++) {
        kh_receipt receipt;
        if (a->n - at < HEAD_SZ) return no_hub(c);
        uint64_t height = kh_load64(a->p + at);
        uint32_t size = kh_load32(a->p + at + 8);
        at += HEAD_SZ;
        if (size > a->n - at || kh_receipt_decode(a->p + at, size, lines, &receipt, &used) != KH_OK || used != size)
            return no_hub(c);
        at += size;
        if (receipt.code == KH_C_BAD_SEQUENCE)
            return kh_client_say(c, KH_FAILED,
                                 "BAD_SEQUENCE: a bundle of this party with a higher number was executed before: is its key used "
                                 "on another machine, whose clock is ahead?");
        give(ctx, i, height, &receipt);
    }
    return at == a->n ? KH_DONE : no_hub(c);
}

/* once sends one bundle under a new number; *ret_wait_s: how long to wait before the next try, 0: it is decided. */
static kh_result once(kh_client *c, const uint8_t *frames, size_t n, answer *a, long *ret_status, double *ret_wait_s)
{
    struct kh_signing *s = c->signing;
    uint8_t *bundle = NULL;
    size_t bundle_n = 0;
    uint64_t number = 0;
    kh_transfer t = {.give = take_answer, .ctx = a};
    kh_result result = next_number(c, s, &number);
    if (result != KH_DONE) return result;
    kh_err err = kh_bundle_make(s->signer, s->chain, s->party, number, frames, (uint32_t)n, &bundle, &bundle_n);
    if (err != KH_OK) return kh_client_say(c, KH_FAILED, "the bundle could not be signed");
    a->n = 0;
    result =
        kh_transfer_begin(c, &t, "POST", "/v1/bundles", "application/octet-stream", "application/octet-stream", bundle, bundle_n);
    while (result == KH_DONE && !t.ended) kh_transfers_step(c, 1.0);
    if (result == KH_DONE) result = kh_transfer_say(c, &t);
    *ret_status = t.http_status;
    *ret_wait_s = result != KH_DONE ? 0 : t.http_status == 429 ? 0.25 : kh_transfer_busy_s(&t);
    kh_transfer_end(c, &t);
    free(bundle);
    return result;
}

/* What the node said of it: the sentence of its answer, if there is one. */
static kh_result refused(kh_client *c, const answer *a, long status)
{
    json_t *said = a->n > 0 ? json_loadb((const char *)a->p, a->n, 0, NULL) : NULL;
    const char *why = json_string_value(json_object_get(said, "message"));
    kh_result result = kh_client_say(c, status == 400 || status == 404 ? KH_MISUSE : KH_FAILED,
                                     status == 404 ? "%s takes no signed operations (%s): ask a hub of the cluster"
                                                   : "%s refused the signed operations: %s",
                                     c->url, why != NULL ? why : "it does not say why");
    json_decref(said);
    return result;
}

kh_result kh_signing_send(kh_client *c, const uint8_t *frames, size_t n, uint32_t op_cnt, kh_signed_receipt *give, void *ctx)
{
    answer a = {0};
    long status = 0;
    double wait_s = 0, until_s = kh_client_now_s() + c->timeout_s;
    kh_result result;
    while ((result = once(c, frames, n, &a, &status, &wait_s)) == KH_DONE && wait_s > 0 && kh_client_now_s() < until_s)
        kh_transfers_wait(c, wait_s);
    if (result == KH_DONE && status != 200) result = refused(c, &a, status);
    if (result == KH_DONE) result = give_receipts(c, &a, op_cnt, give, ctx);
    free(a.p);
    return result;
}
