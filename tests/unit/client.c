/* The client's side of datagrams: golden bytes and the worked example of docs/PROTOCOL.md; what a reply must be to be taken; and
 * a lane over sockets to a poller that loses, doubles and delays datagrams. */
#include "service_fixture.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

static uint8_t keys[2][32];
static const uint8_t session[8] = {0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8};

static kh_lane example_lane(void)
{
    kh_lane lane;
    for (uint32_t i = 0; i < 32; i++) keys[KH_TO_SERVER][i] = (uint8_t)i, keys[KH_TO_CLIENT][i] = (uint8_t)(32 + i);
    cr_assert(kh_lane_open(session, 2, keys[KH_TO_SERVER], keys[KH_TO_CLIENT], &lane) == KH_OK);
    lane.counter = 5;
    return lane;
}

static kh_query example_query(void)
{
    return (kh_query){.key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of("531620260123456789"), (kh_text){0}),
                      .amount = 1234500,
                      .owner_check = kh_owner_check(kh_text_of("91350100M0001TGQXM")),
                      .currency = 840,
                      .date = 9000,
                      .contract = kh_contract_digest(kh_text_of("XM-2026-17")),
                      .want = 500000,
                      .version = 1,
                      .direction = 1};
}

static uint32_t example_reply(uint8_t form, const uint8_t *answers, uint32_t n, uint8_t *p)
{
    uint8_t nonce[12];
    kh_aead_key *down;
    kh_reply_head head = {.counter = 9, .poller = 1, .form = form | KH_FORM_REPLY, .request_counter = 5, .request_lane = 2};
    memcpy(head.session, session, 8);
    kh_reply_head_encode(&head, p);
    kh_store64(p + 24, 1000);
    memcpy(p + 32, answers, n);
    kh_reply_nonce(9, 1, nonce);
    cr_assert(kh_aead_key_new(KH_AEAD_BEST, keys[KH_TO_CLIENT], 1, &down) == KH_OK);
    kh_aead_seal(down, 0, nonce, p, 24, p + 24, 8 + n, p + 32 + n);
    kh_aead_key_free(down);
    return KH_REPLY_FIXED_SZ + n;
}

static char *file_of(const char *name)
{
    char path[512];
    const char *root = getenv("KH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/%s", root != NULL ? root : ".", name);
    FILE *f = fopen(path, "r");
    cr_assert(f != NULL, "%s", path);
    char *text = calloc(1, 1 << 18);
    cr_assert(fread(text, 1, (1 << 18) - 1, f) > 0);
    fclose(f);
    return text;
}

static void golden(const char *name, const uint8_t *p, uint32_t n)
{
    char hex[2 * KH_DATAGRAM_MAX_SZ + 1], path[100];
    kh_hex(p, n, hex);
    if (getenv("KH_GOLDEN_PRINT") != NULL) {
        fprintf(stderr, "GOLDEN %s %s\n", name, hex);
        return;
    }
    snprintf(path, sizeof path, "tests/golden/datagram/%s.hex", name);
    char *text = file_of(path);
    text[strcspn(text, "\n")] = '\0';
    cr_assert(strcmp(text, hex) == 0, "%s:\n%s\n%s", name, text, hex);
    free(text);
}

Test(datagram, golden_bytes)
{
    kh_lane lane = example_lane();
    kh_query q = example_query();
    uint8_t p[KH_DATAGRAM_MAX_SZ], answer[KH_OP_ANSWER_SZ];
    uint64_t counter;
    golden("request", p, kh_lane_seal(&lane, &q, 1, false, p, &counter));
    cr_assert(counter == 5);
    golden("request_long", p, kh_lane_seal(&lane, &q, 1, true, p, &counter));
    kh_op op = {
        .type = KH_OP_EVENT, .party = 11, .sequence = 3, .event = {.id = 77, .event = KH_EV_ACCEPT, .amount = KH_AMOUNT_NONE}};
    uint8_t frames[512];
    size_t n;
    cr_assert(kh_op_encode(&op, frames, sizeof frames, &n) == KH_OK);
    golden("operations", p, kh_lane_seal_frames(&lane, frames, (uint32_t)n, p, &counter));
    kh_query_answer_encode(
        &(kh_query_answer){.code = KH_C_OK, .status = KH_STATUS_CLEARED, .currency = 840, .version = 1, .free = 1000000}, answer);
    golden("reply", p, example_reply(KH_FORM_QUERY, answer, KH_ANSWER_SZ, p));
    kh_op_answer_encode(&(kh_op_answer){.height = 999,
                                        .sequence = 3,
                                        .financing = 77,
                                        .amount = 500000,
                                        .version = 2,
                                        .currency = 840,
                                        .type = KH_OP_EVENT,
                                        .state = KH_FIN_ACCEPTED},
                        answer);
    golden("reply_operations", p, example_reply(KH_FORM_OPERATIONS, answer, KH_OP_ANSWER_SZ, p));
    kh_lane_close(&lane);
}

/* The example in the document has the golden bytes, blanks and line ends aside. */
Test(datagram, the_example_of_the_document)
{
    char *page = file_of("docs/PROTOCOL.md"), *squeezed = calloc(1, 1 << 18);
    size_t n = 0;
    for (const char *at = page; *at != '\0'; at++)
        if (!isspace((unsigned char)*at)) squeezed[n++] = *at;
    static const char *const names[] = {"request", "reply"};
    for (size_t i = 0; i < 2; i++) {
        char path[100];
        snprintf(path, sizeof path, "tests/golden/datagram/%s.hex", names[i]);
        char *hex = file_of(path);
        hex[strcspn(hex, "\n")] = '\0';
        cr_assert(strstr(squeezed, hex) != NULL, "the %s", names[i]);
        free(hex);
    }
    free(page);
    free(squeezed);
}

Test(datagram, round_trips)
{
    uint64_t seed = 5;
    for (uint32_t i = 0; i < 20000; i++) {
        uint8_t bytes[64], again[64];
        for (uint32_t k = 0; k < 64; k++) bytes[k] = (uint8_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 40);
        kh_query q;
        cr_assert(kh_query_decode(bytes, false, &q) == KH_OK);
        kh_query_encode(&q, false, again);
        cr_assert(memcmp(bytes, again, 32) == 0);
        memset(bytes + 53, 0, 11);
        bytes[52] = i % 3 == 2 ? 255 : (uint8_t)(i % 3);
        cr_assert(kh_query_decode(bytes, true, &q) == KH_OK);
        kh_query_encode(&q, true, again);
        cr_assert(memcmp(bytes, again, 64) == 0);
        kh_query_answer a;
        kh_op_answer o;
        if (kh_query_answer_decode(bytes, &a) == KH_OK) {
            kh_query_answer_encode(&a, again);
            cr_assert(memcmp(bytes, again, 16) == 0);
        }
        bytes[47] &= 1;
        cr_assert(kh_op_answer_decode(bytes, &o) == KH_OK);
        kh_op_answer_encode(&o, again);
        cr_assert(memcmp(bytes, again, 48) == 0);
    }
}

/* ---- over sockets ---- */

typedef struct server {
    service_fixture x;
    int fd;
    char address[32];
    uint32_t lose;             /* of 100 requests */
    bool twice, silent, uncut; /* uncut: runs come as one message, which is nobody's datagram; uncut_cnt: how many */
    uint32_t uncut_cnt;
    _Atomic bool stop;
    pthread_t thread;
} server;
static server s;

#define ONE_MAX ((ssize_t)KH_DATAGRAM_MAX_SZ)

static void *serve(void *ctx)
{
    (void)ctx;
    uint64_t seed = 9;
    fx_packet p;
    kh_poller_begin(s.x.poller);
    while (!atomic_load(&s.stop)) {
        struct sockaddr_in from;
        struct pollfd fds[2] = {{.fd = s.fd, .events = POLLIN}, {.fd = kh_poller_event_fd(s.x.poller), .events = POLLIN}};
        kh_poller_sleep(s.x.poller);
        (void)poll(fds, 2, 20);
        kh_poller_wake(s.x.poller);
        for (;;) {
            socklen_t sz = sizeof from;
            ssize_t n = recvfrom(s.fd, p.bytes, sizeof p.bytes, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &sz);
            if (n <= 0) break;
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            s.uncut_cnt += s.uncut && n > ONE_MAX;
            if (s.silent || (s.uncut && n > ONE_MAX) || (seed >> 33) % 100 < s.lose) continue;
            p.packet = (kh_packet){.p = p.bytes, .n = (uint32_t)n, .cap = KH_DATAGRAM_MAX_SZ};
            memcpy(p.packet.peer, &from, sizeof from);
            fx_burst(&s.x, &p.packet);
            for (uint32_t i = 0; p.packet.n > 0 && i < (s.twice ? 2u : 1u); i++)
                (void)sendto(s.fd, p.bytes, p.packet.n, 0, (struct sockaddr *)&from, sizeof from);
        }
        p.packet = (kh_packet){.p = p.bytes, .cap = KH_DATAGRAM_MAX_SZ};
        while (kh_poller_late(s.x.poller, &p.packet)) {
            memcpy(&from, p.packet.peer, sizeof from);
            if (p.packet.n > 0) (void)sendto(s.fd, p.bytes, p.packet.n, 0, (struct sockaddr *)&from, sizeof from);
        }
    }
    kh_poller_end(s.x.poller);
    return NULL;
}

static kh_channel *start(uint32_t timeout_ms)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t sz = sizeof at;
    kh_session_grant grant;
    kh_channel *c;
    fx_setup(&s.x);
    kh_poller_end(s.x.poller); /* the serving thread polls */
    s.fd = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert(s.fd >= 0 && bind(s.fd, (struct sockaddr *)&at, sizeof at) == 0 &&
              getsockname(s.fd, (struct sockaddr *)&at, &sz) == 0);
    int on = 1;
    cr_assert(!s.uncut || setsockopt(s.fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0);
    snprintf(s.address, sizeof s.address, "127.0.0.1:%u", ntohs(at.sin_port));
    cr_assert(fx_session(&s.x, FX_BANK, &grant) == KH_OK);
    kh_channel_options o = {.address = s.address, .lane = 3, .timeout_ms = timeout_ms, .op_timeout_ms = timeout_ms * 4};
    uint8_t context[KH_SESSION_CONTEXT_SZ];
    uint32_t secret = FX_BANK;
    memcpy(o.session, grant.id, 8);
    kh_session_context(grant.id, KH_SUITE_AES_256_GCM, KH_TO_SERVER, context);
    cr_assert(fx_export(&secret, KH_SESSION_LABEL, context, sizeof context, o.up, 32) == KH_OK);
    kh_session_context(grant.id, KH_SUITE_AES_256_GCM, KH_TO_CLIENT, context);
    cr_assert(fx_export(&secret, KH_SESSION_LABEL, context, sizeof context, o.down, 32) == KH_OK);
    cr_assert(kh_channel_open(&o, &c) == KH_OK);
    cr_assert(pthread_create(&s.thread, NULL, serve, NULL) == 0);
    return c;
}

static void finish(kh_channel *c)
{
    kh_channel_close(c);
    atomic_store(&s.stop, true);
    cr_assert(pthread_join(s.thread, NULL) == 0);
    close(s.fd);
    kh_poller_begin(s.x.poller);
    fx_teardown(&s.x);
}

static uint32_t last_progress;
static void progress(void *ctx, uint32_t answered, uint32_t of)
{
    (void)ctx;
    cr_assert(answered <= of && answered > last_progress);
    last_progress = answered;
}

Test(channel, verifies_and_operates)
{
    enum { N = 5000 };
    static kh_query q[N];
    static kh_query_answer a[N];
    static uint64_t as_of[N];
    s.twice = true;
    kh_channel *c = start(2000);
    for (uint32_t i = 0; i < N; i++) {
        q[i] = fx_query(i % FX_DOCS);
        if (i % 7 == 0) q[i].amount++;
    }
    for (int is_long = 0; is_long < 2; is_long++) {
        last_progress = 0;
        cr_assert(kh_channel_verify(c, q, N, is_long, a, as_of, progress, NULL) == KH_OK && last_progress == N);
        for (uint32_t i = 0; i < N; i++) {
            cr_assert(a[i].code == (i % 7 == 0 ? KH_C_FIELD_MISMATCH : KH_C_OK), "%u: %u", i, a[i].code);
            cr_assert(as_of[i] > 0);
        }
    }
    ops_buf b = {0};
    static kh_op_answer o[151];
    for (uint32_t i = 0; i < 150; i++) ops_reserve(&b, 100 + i, i % FX_DOCS, 10);
    cr_assert(kh_channel_operate(c, b.p, b.n, b.cnt, o) == KH_OK);
    for (uint32_t i = 0; i < 150; i++) cr_assert(o[i].code == KH_C_OK && o[i].financing == 100 + i, "%u: %u", i, o[i].code);
    cr_assert(kh_channel_operate(c, b.p, b.n, b.cnt + 1, o) == KH_E_ARG &&
              kh_channel_operate(c, b.p, b.n - 8, b.cnt, o) == KH_E_ARG);
    kh_channel_stats st;
    kh_channel_get_stats(c, &st);
    cr_assert(st.stray > 0); /* each reply came twice */
    free(b.p);
    finish(c);
}

Test(channel, through_losses)
{
    enum { N = 2000 };
    static kh_query q[N];
    static kh_query_answer a[N];
    s.lose = 5;
    kh_channel *c = start(100);
    for (uint32_t i = 0; i < N; i++) q[i] = fx_query(i % FX_DOCS);
    uint32_t tries = 0;
    while (kh_channel_verify(c, q, N, false, a, NULL, NULL, NULL) != KH_OK) cr_assert(++tries < 20);
    for (uint32_t i = 0; i < N; i++) cr_assert(a[i].code == KH_C_OK);
    kh_channel_stats st;
    kh_channel_get_stats(c, &st);
    cr_assert(st.again > 0);
    finish(c);
}

/* As over a veth pair to a packet socket: a run is never answered, so the same is sent apart, and all that follows. */
Test(channel, a_run_that_is_never_answered_is_sent_apart)
{
    enum { N = 3000 };
    static kh_query q[N];
    static kh_query_answer a[N];
    kh_channel_stats first, then;
    s.uncut = true;
    kh_channel *c = start(300);
    for (uint32_t i = 0; i < N; i++) q[i] = fx_query(i % FX_DOCS);
    uint32_t tries = 0;
    while (kh_channel_verify(c, q, N, false, a, NULL, NULL, NULL) != KH_OK) cr_assert(++tries < 20);
    for (uint32_t i = 0; i < N; i++) cr_assert(a[i].code == KH_C_OK);
    kh_channel_get_stats(c, &first);
    uint32_t uncut = s.uncut_cnt;
    cr_assert(uncut > 0 && first.again > 0);
    while (kh_channel_verify(c, q, N, false, a, NULL, NULL, NULL) != KH_OK) cr_assert(++tries < 20);
    kh_channel_get_stats(c, &then);
    cr_assert(s.uncut_cnt == uncut && then.answered > first.answered);
    finish(c);
}

enum { STREAM_N = 3000, STREAM_BATCH = 64, STREAM_BATCHES = 2 };
typedef struct streamed {
    uint32_t bad; /* this one is of another party */
    uint32_t made, answered, most;
    uint8_t seen[STREAM_N];
} streamed;

static kh_err stream_frame(void *ctx, uint32_t i, uint8_t *p, size_t cap, size_t *ret_n)
{
    streamed *t = ctx;
    ops_buf b = {0};
    ops_reserve(&b, 5000 + i, i % FX_DOCS, 10);
    bool fits = b.n <= cap;
    if (i == t->bad) kh_store32(b.p + 8, FX_OTHER);
    if (fits) memcpy(p, b.p, *ret_n = b.n);
    free(b.p);
    if (fits && i >= t->made) t->made = i + 1;
    if (t->made - t->answered > t->most) t->most = t->made - t->answered;
    return fits ? KH_OK : KH_E_FULL;
}

static void stream_answer(void *ctx, uint32_t i, const kh_op_answer *a)
{
    streamed *t = ctx;
    cr_assert(a->code == KH_C_OK && a->financing == 5000 + i && a->height > 0 && ++t->seen[i] == 1);
    t->answered++;
}

static kh_err stream(kh_channel *c, streamed *t)
{
    return kh_channel_stream(c, &(kh_stream){STREAM_N, STREAM_BATCH, STREAM_BATCHES, stream_frame, stream_answer, t});
}

Test(channel, streams_in_batches)
{
    static streamed t = {.bad = UINT32_MAX};
    kh_channel *c = start(500);
    cr_assert(stream(c, &t) == KH_OK && t.answered == STREAM_N);
    cr_assert(t.most == STREAM_BATCH * STREAM_BATCHES, "%u under way", t.most);
    t.answered = t.made = 0;
    memset(t.seen, 0, sizeof t.seen);
    s.lose = 2; /* a few that get lost are sent again */
    cr_assert(stream(c, &t) == KH_OK);
    kh_channel_stats st;
    kh_channel_get_stats(c, &st);
    cr_assert(st.again > 0 && t.answered <= STREAM_N);
    cr_assert(kh_channel_stream(c, &(kh_stream){1, 0, 1, stream_frame, stream_answer, &t}) == KH_E_ARG);
    finish(c);
}

Test(channel, a_stream_ends_where_one_is_refused)
{
    static streamed t = {.bad = 70};
    kh_channel *c = start(2000);
    cr_assert(stream(c, &t) == KH_OK);
    cr_assert(t.seen[64] == 0 && t.seen[70] == 0 && t.seen[0] == 1, "its datagram is refused whole, and no other");
    cr_assert(t.answered > 0 && t.made < STREAM_N);
    finish(c);
}

Test(channel, a_stream_ends_where_many_get_lost)
{
    static streamed t = {.bad = UINT32_MAX};
    s.lose = 7;
    kh_channel *c = start(150);
    kh_err err = stream(c, &t);
    cr_assert(err == KH_E_AGAIN && t.answered > 0 && t.made < STREAM_N);
    finish(c);
}

Test(channel, gives_up_after_three_silent_tries)
{
    s.silent = true;
    kh_channel *c = start(30);
    kh_query q = fx_query(1);
    kh_query_answer a;
    cr_assert(kh_channel_verify(c, &q, 1, false, &a, NULL, NULL, NULL) == KH_E_CLOSED && a.code == KH_C_NOT_CHECKED);
    kh_channel_stats st;
    kh_channel_get_stats(c, &st);
    cr_assert(st.sent == KH_TRIES && st.again == KH_TRIES - 1 && st.answered == 0);
    finish(c);
    kh_channel_options o = {.address = "127.0.0.1"};
    cr_assert(kh_channel_open(&o, &c) == KH_E_ARG);
}
