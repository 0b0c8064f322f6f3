/* ABCI: wire vectors of CometBFT v0.40 (protoc over its own protos), frames that are cut, too large or odd, and the server's loop
 * over a real socket. */
#include "abci/abci.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static size_t hex(const char *s, uint8_t *ret)
{
    size_t n = 0;
    for (; s[0] != '\0'; s += 2) {
        unsigned byte;
        cr_assert(sscanf(s, "%2x", &byte) == 1);
        ret[n++] = (uint8_t)byte;
    }
    return n;
}

static kh_err read_hex(const char *s, kh_abci_request *ret)
{
    static uint8_t bytes[4096];
    return kh_abci_read(bytes, hex(s, bytes), ret);
}

static bool same(kh_span a, const char *s) { return a.n == strlen(s) && memcmp(a.p, s, a.n) == 0; }

/* ---- reading ---- */

Test(abci, requests_of_the_vectors)
{
    kh_abci_request r;
    cr_assert(read_hex("0a070a0568656c6c6f", &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_ECHO && same(r.data, "hello"));
    cr_assert(read_hex("1200", &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_FLUSH);
    cr_assert(read_hex("1a130a06302e33392e30100b18082205322e302e30", &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_INFO);
}

/* PREPARE {max_tx_bytes 1000, txs aabb, "", cc, height 7, time 5 s 9 ns, next validators (skipped), proposer}. */
static const char a_prepare[] = "820138" /* 16: 56 bytes */
                                "08e807"
                                "1202aabb"
                                "1200"
                                "1201cc"
                                "2807"
                                "320408051009"
                                "3a0c000000000000000000000000"
                                "42140102030405060708090a0b0c0d0e0f1011121314";

Test(abci, prepare)
{
    kh_abci_request r;
    kh_span tx;
    size_t at = 0;
    cr_assert(read_hex(a_prepare, &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_PREPARE && r.max_tx_bytes == 1000 && r.height == 7 && r.time_ns == 5 * KH_NS_PER_S + 9);
    cr_assert(r.tx_cnt == 3 && r.proposer.n == 20 && r.proposer.p[19] == 0x14);
    cr_assert(kh_abci_tx_next(&r, &at, &tx) && tx.n == 2 && tx.p[0] == 0xaa && tx.p[1] == 0xbb);
    cr_assert(kh_abci_tx_next(&r, &at, &tx) && tx.n == 0);
    cr_assert(kh_abci_tx_next(&r, &at, &tx) && tx.n == 1 && tx.p[0] == 0xcc);
    cr_assert(!kh_abci_tx_next(&r, &at, &tx));
}

Test(abci, init_chain_and_its_validators)
{
    char message[512];
    kh_abci_request r;
    kh_abci_validator v;
    size_t at = 0;
    /* {chain_id "k", validators {ed25519 07…, power 1}, {ed25519 08…, power -1}, app_state "{}", initial_height 5} */
    static const char key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddee";
    (void)snprintf(message, sizeof message,
                   "2a6212016b2226"
                   "0a220a2007%s1001"
                   "222f"
                   "0a220a2008%s10ffffffffffffffffff01"
                   "2a027b7d3005",
                   key, key);
    cr_assert(read_hex(message, &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_INIT_CHAIN && same(r.chain_id, "k") && same(r.app_state, "{}") && r.initial_height == 5);
    cr_assert(kh_abci_validator_next(&r, &at, &v) && v.public_key[0] == 7 && v.public_key[31] == 0xee && v.power == 1);
    cr_assert(kh_abci_validator_next(&r, &at, &v) && v.public_key[0] == 8 && v.power == -1);
    cr_assert(!kh_abci_validator_next(&r, &at, &v));
    /* Another kind of key, or none: no validator of ours. */
    cr_assert(read_hex("2a2722250a23122100112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00", &r) == KH_E_FORMAT);
    cr_assert(read_hex("2a0422021001", &r) == KH_E_FORMAT);
}

Test(abci, snapshots)
{
    kh_abci_request r;
    cr_assert(read_hex("6a2f0a0d0807100118022202aabb2a01cc121e", &r) == KH_E_FORMAT); /* cut */
    cr_assert(read_hex("6a0f0a0d0807100118022202aabb2a01cc", &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_OFFER_SNAPSHOT && r.snapshot.height == 7 && r.snapshot.format == 1 && r.snapshot.chunks == 2);
    cr_assert(r.snapshot.hash.n == 2 && r.snapshot.hash.p[1] == 0xbb && r.snapshot.metadata.n == 1 && r.hash.n == 0);
    cr_assert(read_hex("720608071001180a", &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_LOAD_CHUNK && r.height == 7 && r.snapshot.format == 1 && r.chunk == 10);
    cr_assert(read_hex("7a0908031202aabb1a0170", &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_APPLY_CHUNK && r.chunk == 3 && r.data.n == 2 && same(r.sender, "p"));
    /* An app hash of another size; numbers of more than 32 bits; a snapshot's height that is bytes. */
    cr_assert(read_hex("6a041202aabb", &r) == KH_E_FORMAT);
    cr_assert(read_hex("720610ffffffff1f", &r) == KH_E_FORMAT);
    cr_assert(read_hex("7a0608ffffffff1f", &r) == KH_E_FORMAT);
    cr_assert(read_hex("6a080a0618ffffffff1f", &r) == KH_E_FORMAT);
    cr_assert(read_hex("6a040a020a00", &r) == KH_E_FORMAT);
}

Test(abci, numbers_below_zero)
{
    kh_abci_request r;
    cr_assert(read_hex("320b18feffffffffffffffff01", &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_QUERY && r.height == -2);
    /* Go's zero time is year 1; nanoseconds beyond a second, or below 0, are none; the year 2600 is not had. */
    cr_assert(read_hex("a2010d320b088092b8c398feffffff01", &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_FINALIZE && r.time_ns == 0);
    cr_assert(read_hex("a20108320610"
                       "8094ebdc03",
                       &r) == KH_E_FORMAT);
    cr_assert(read_hex("a2010d320b10ffffffffffffffffff01", &r) == KH_E_FORMAT);
    cr_assert(read_hex("a20108320608808fd7a14a", &r) == KH_E_FORMAT);
    /* As a number without a sign it would be beyond every bound. */
    cr_assert(read_hex("a2010b28ffffffffffffffffff01", &r) == KH_OK);
    cr_assert(r.height == -1);
}

Test(abci, unknown_fields_are_skipped)
{
    kh_abci_request r;
    /* Of every wire type, in front of a known one and within it. */
    cr_assert(read_hex("e80701"
                       "e1070102030405060708"
                       "e5070102030405"
                       "0000",
                       &r) == KH_E_FORMAT); /* field number 0 */
    cr_assert(read_hex("e80701"
                       "e1070102030405060708"
                       "ed0701020304"
                       "ea0703aabbcc"
                       "5a00",
                       &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_COMMIT);
    cr_assert(read_hex("3210"
                       "e1070102030405060708"
                       "1809"
                       "ea0701aa",
                       &r) == KH_OK);
    cr_assert(r.call == KH_ABCI_QUERY && r.height == 9);
    cr_assert(read_hex("ea0703aabbcc", &r) == KH_E_FORMAT); /* and nothing that is known */
    cr_assert(read_hex("", &r) == KH_E_FORMAT);
}

Test(abci, what_is_malformed)
{
    static const char *const bad[] = {
        "0b",   /* a group begins */
        "0c",   /* and ends */
        "0e00", /* no wire type */
        "0f00",
        "1200"
        "1a00", /* two calls */
        "1001", /* a flush that is a number */
        "0a05"
        "0a0568", /* an echo that ends before its text */
        "0a07"
        "0a0568656c6c", /* a call beyond the frame */
        "3202"
        "0801", /* QUERY: data that is a number */
        "3203"
        "1a0105", /* a height that is bytes */
        "320c"
        "18ffffffffffffffffff02", /* a varint of more than 64 bits */
        "320c"
        "18ffffffffffffffffffff",
        "3202"
        "18ff", /* one that goes on behind the end */
        "8a0105"
        "2203010203", /* PROCESS: a hash of 3 bytes */
        "8a0105"
        "4203010203", /* a proposer of 3 */
        "8a0104"
        "32020900", /* a time whose seconds are a fixed number */
        "8a0103"
        "0a05aa",                 /* a transaction that is cut */
        "8080808080808080808001", /* a tag beyond 2^29 */
        "80808080800100",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kh_abci_request r = {.height = 77};
        cr_assert(read_hex(bad[i], &r) == KH_E_FORMAT, "%s", bad[i]);
        cr_assert(r.height == 77); /* untouched */
    }
}

Test(abci, every_cut_is_refused)
{
    uint8_t bytes[128];
    size_t n = hex(a_prepare, bytes);
    kh_abci_request read;
    cr_assert(kh_abci_read(bytes, n, &read) == KH_OK);
    for (size_t cut = 0; cut < n; cut++) {
        kh_abci_request r;
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, bytes, cut);
        cr_assert(kh_abci_read(exact, cut, &r) == KH_E_FORMAT);
        free(exact);
    }
}

Test(abci, frames)
{
    size_t head = 0, n = 0;
    static const uint8_t small[] = {0x02, 0x12, 0x00}, max[] = {0x80, 0x80, 0x80, 0x08}, beyond[] = {0x81, 0x80, 0x80, 0x08};
    static const uint8_t longer[] = {0x82, 0x80, 0x00}, huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    static const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    cr_assert(kh_abci_frame(small, 3, &head, &n) == KH_OK && head == 1 && n == 2);
    cr_assert(kh_abci_frame(small, 1, &head, &n) == KH_OK && head == 1 && n == 2); /* its rest is still to come */
    cr_assert(kh_abci_frame(small, 0, &head, &n) == KH_E_AGAIN);
    for (size_t i = 0; i < 4; i++) cr_assert(kh_abci_frame(max, i, &head, &n) == KH_E_AGAIN);
    cr_assert(kh_abci_frame(max, 4, &head, &n) == KH_OK && head == 4 && n == KH_ABCI_FRAME_MAX);
    cr_assert(kh_abci_frame(beyond, 4, &head, &n) == KH_E_FORMAT);
    cr_assert(kh_abci_frame(longer, 3, &head, &n) == KH_OK && head == 3 && n == 2);
    cr_assert(kh_abci_frame(huge, 10, &head, &n) == KH_E_FORMAT);
    cr_assert(kh_abci_frame(endless, 11, &head, &n) == KH_E_FORMAT);
}

/* ---- writing ---- */

static void writes(kh_abci_call call, const kh_abci_answer *a, const char *want)
{
    uint8_t bytes[4096];
    kh_abci_buffer b = {0};
    size_t n = hex(want, bytes), head = 0, sz = 0;
    cr_assert(kh_abci_write(call, a, &b) == KH_OK);
    cr_assert(kh_abci_frame(b.p, b.n, &head, &sz) == KH_OK);
    cr_assert(head + sz == b.n && sz == n && memcmp(b.p + head, bytes, n) == 0, "%s", want);
    free(b.p);
}

#define HASH_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
static const uint8_t *hash32(void)
{
    static uint8_t h[32];
    for (uint32_t i = 0; i < 32; i++) h[i] = (uint8_t)i;
    return h;
}

Test(abci, responses_of_the_vectors)
{
    static const kh_span txs[] = {{(const uint8_t *)"\xaa\xbb", 2}, {(const uint8_t *)"\xcc", 1}}, empty = {NULL, 0};
    static const uint16_t codes[] = {0, 1};
    writes(KH_ABCI_ECHO, &(kh_abci_answer){.value = {(const uint8_t *)"hello", 5}}, "12070a0568656c6c6f");
    writes(KH_ABCI_FLUSH, &(kh_abci_answer){0}, "1a00");
    writes(KH_ABCI_INFO, &(kh_abci_answer){0}, "2200");
    writes(KH_ABCI_INFO, &(kh_abci_answer){.data = "kanhe", .version = "1", .app_version = 1, .height = 5, .app_hash = hash32()},
           "22300a056b616e6865120131180120052a20" HASH_HEX);
    writes(KH_ABCI_INIT_CHAIN, &(kh_abci_answer){0}, "3200");
    writes(KH_ABCI_CHECK_TX, &(kh_abci_answer){0}, "4a00");
    writes(KH_ABCI_INSERT_TX, &(kh_abci_answer){0}, "b20100");
    writes(KH_ABCI_REAP_TXS, &(kh_abci_answer){.txs = txs, .tx_cnt = 1}, "ba01040a02aabb");
    writes(KH_ABCI_COMMIT, &(kh_abci_answer){0}, "6200");
    writes(KH_ABCI_COMMIT, &(kh_abci_answer){.height = 7}, "62021807");
    writes(KH_ABCI_LIST_SNAPSHOTS, &(kh_abci_answer){0}, "6a00");
    writes(KH_ABCI_QUERY, &(kh_abci_answer){.exception = "bad"}, "0a050a03626164");
    writes(KH_ABCI_PREPARE, &(kh_abci_answer){.txs = txs, .tx_cnt = 2}, "8a01070a02aabb0a01cc");
    writes(KH_ABCI_PREPARE, &(kh_abci_answer){.txs = &empty, .tx_cnt = 1}, "8a01020a00");
    writes(KH_ABCI_PROCESS, &(kh_abci_answer){.accept = true}, "9201020801");
    writes(KH_ABCI_PROCESS, &(kh_abci_answer){0}, "9201020802"); /* 0 would be UNKNOWN: consensus would stop */
    writes(KH_ABCI_EXTEND_VOTE, &(kh_abci_answer){0}, "9a0100");
    writes(KH_ABCI_VERIFY_VOTE, &(kh_abci_answer){.accept = true}, "a201020801");
    writes(KH_ABCI_OFFER_SNAPSHOT, &(kh_abci_answer){0}, "72020802"); /* nothing said: abort */
    writes(KH_ABCI_OFFER_SNAPSHOT, &(kh_abci_answer){.verdict = KH_ABCI_OFFER_REJECT}, "72020803");
    writes(KH_ABCI_APPLY_CHUNK, &(kh_abci_answer){0}, "8201020802");
    static const uint32_t refetch[] = {3, 300};
    const kh_span sender = {(const uint8_t *)"p", 1};
    writes(KH_ABCI_APPLY_CHUNK,
           &(kh_abci_answer){
               .verdict = KH_ABCI_CHUNK_RETRY, .refetch = refetch, .refetch_cnt = 2, .reject_senders = &sender, .reject_cnt = 1},
           "82010a0803120303ac021a0170");
    writes(KH_ABCI_LOAD_CHUNK, &(kh_abci_answer){0}, "7a00"); /* there is none */
    const kh_abci_snapshot snapshot = {.height = 7, .format = 1, .chunks = 2, .hash = txs[0], .metadata = txs[1]};
    writes(KH_ABCI_LIST_SNAPSHOTS, &(kh_abci_answer){.snapshots = &snapshot, .snapshot_cnt = 1},
           "6a0f0a0d0807100118022202aabb2a01cc");
    writes(KH_ABCI_FINALIZE, &(kh_abci_answer){.codes = codes, .code_cnt = 2, .app_hash = hash32()},
           "aa0128120012020801"
           "2a20" HASH_HEX);
    const kh_abci_validator out = {.power = 0};
    kh_abci_validator in = {.power = -1};
    memcpy(in.public_key, hash32(), 32);
    writes(KH_ABCI_FINALIZE, &(kh_abci_answer){.validators = &out, .validator_cnt = 1},
           "aa01261a240a220a20"
           "0000000000000000000000000000000000000000000000000000000000000000");
    writes(KH_ABCI_FINALIZE, &(kh_abci_answer){.validators = &in, .validator_cnt = 1},
           "aa01311a2f0a220a20" HASH_HEX "10ffffffffffffffffff01");
    writes(KH_ABCI_FINALIZE, &(kh_abci_answer){.app_version = 300}, "aa01072205220308ac02");
}

Test(abci, answers_are_bounded_and_appended)
{
    kh_abci_buffer b = {0};
    uint8_t *large = calloc(1, KH_ABCI_FRAME_MAX);
    kh_span tx = {large, KH_ABCI_FRAME_MAX};
    cr_assert(kh_abci_write(KH_ABCI_PREPARE, &(kh_abci_answer){.txs = &tx, .tx_cnt = 1}, &b) == KH_E_FULL && b.n == 0);
    tx.n = KH_ABCI_FRAME_MAX - 64;
    for (int i = 0; i < 2; i++)
        cr_assert(kh_abci_write(KH_ABCI_PREPARE, &(kh_abci_answer){.txs = &tx, .tx_cnt = 1}, &b) == KH_OK);
    size_t head = 0, n = 0, first;
    cr_assert(kh_abci_frame(b.p, b.n, &head, &n) == KH_OK);
    first = head + n;
    cr_assert(first * 2 == b.n && memcmp(b.p, b.p + first, first) == 0);
    free(b.p);
    free(large);
}

/* ---- the server ---- */

static char socket_path[64];
static atomic_uint lost_cnt, inside, most_inside;

static bool on_call(void *self, const kh_abci_request *request, kh_abci_answer *ret)
{
    (void)self;
    if (request->call == KH_ABCI_INFO) *ret = (kh_abci_answer){.data = "kanhe", .height = 5};
    if (request->call == KH_ABCI_QUERY) *ret = (kh_abci_answer){.value = request->data, .height = request->height};
    if (request->call == KH_ABCI_COMMIT) return false;
    if (request->call != KH_ABCI_PREPARE) return true;
    unsigned now = atomic_fetch_add(&inside, 1) + 1;
    for (unsigned most = atomic_load(&most_inside); now > most && !atomic_compare_exchange_weak(&most_inside, &most, now);) {}
    for (int i = 0; i < 1000 && atomic_load(&most_inside) < 2; i++) usleep(10000); /* for another one */
    atomic_fetch_sub(&inside, 1);
    return true;
}
static void on_lost(void *self)
{
    (void)self;
    atomic_fetch_add(&lost_cnt, 1);
}

static kh_abci_server *start(void)
{
    static const kh_abci_handler handler = {.call = on_call, .lost = on_lost};
    char why[200] = "";
    kh_abci_server *s = NULL;
    (void)snprintf(socket_path, sizeof socket_path, "/tmp/kh_abci_%d.sock", (int)getpid());
    cr_assert(kh_abci_listen(socket_path, &handler, why, sizeof why, &s) == KH_OK, "%s", why);
    return s;
}

static int dial(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const struct timeval wait = {.tv_sec = 60}; /* an answer that does not come is a failure, no hang */
    cr_assert(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0);
    memcpy(to.sun_path, socket_path, strlen(socket_path));
    cr_assert(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static void say(int fd, const char *s)
{
    uint8_t bytes[512];
    size_t n = hex(s, bytes);
    cr_assert(send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void hear(int fd, const char *s)
{
    uint8_t want[512], got[512];
    size_t n = hex(s, want);
    cr_assert(recv(fd, got, n, MSG_WAITALL) == (ssize_t)n, "%s", s);
    cr_assert(memcmp(got, want, n) == 0, "%s", s);
}

static bool closed(int fd)
{
    uint8_t byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

Test(abci, server_answers_in_order)
{
    kh_abci_server *s = start();
    struct stat st;
    cr_assert(stat(socket_path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600);
    int a = dial(), b = dial();
    /* Two frames at once; a frame in pieces; another connection between. */
    say(a, "021a00"
           "021200");
    hear(a, "0b22090a056b616e68652005"
            "021a00");
    say(a, "0632040a02aa");
    say(b, "090a070a0568656c6c6f"
           "021200");
    hear(b, "0912070a0568656c6c6f"
            "021a00");
    say(a, "bb");
    hear(a, "063a043a02aabb");
    (void)close(a);
    (void)close(b);
    for (int i = 0; i < 30000 && atomic_load(&lost_cnt) < 2; i++) usleep(1000);
    cr_assert(atomic_load(&lost_cnt) == 2);
    kh_abci_stop(s);
    cr_assert(access(socket_path, F_OK) != 0);
}

Test(abci, server_closes_on_what_it_cannot_read)
{
    kh_abci_server *s = start();
    /* Beyond the bound; no call; a call and then the end of the application. */
    int a = dial();
    say(a, "81808008");
    cr_assert(closed(a));
    int b = dial();
    say(b, "021200"
           "021300"
           "021200");
    hear(b, "021a00"
            "320a300a2e");
    int c = dial();
    say(c, "025a00"
           "021200");
    hear(c, "200a1e0a1c");
    char text[29] = "";
    cr_assert(recv(c, text, 28, MSG_WAITALL) == 28 && strcmp(text, "the application cannot go on") == 0);
    cr_assert(closed(c));
    (void)close(a);
    (void)close(b);
    (void)close(c);
    kh_abci_stop(s);
}

Test(abci, server_takes_sixteen_and_gives_places_back)
{
    kh_abci_server *s = start();
    int fds[17];
    for (int i = 0; i < 16; i++) {
        fds[i] = dial();
        say(fds[i], "021200");
        hear(fds[i], "021a00");
    }
    fds[16] = dial();
    cr_assert(closed(fds[16]));
    (void)close(fds[16]);
    (void)close(fds[3]);
    for (int i = 0; i < 30000 && atomic_load(&lost_cnt) < 1; i++) usleep(1000);
    char first = 0;
    for (int i = 0; i < 3000 && first == 0; i++) { /* the place is free a moment after that was told */
        fds[3] = dial();
        (void)send(fds[3], "\x02\x12", 3, MSG_NOSIGNAL);
        if (recv(fds[3], &first, 1, 0) == 1) break;
        (void)close(fds[3]);
        usleep(10000);
    }
    cr_assert(first == 2);
    hear(fds[3], "1a00");
    /* Calls of several connections run at once. */
    for (int i = 0; i < 4; i++) say(fds[i], "03820100");
    for (int i = 0; i < 4; i++) hear(fds[i], "038a0100");
    cr_assert(atomic_load(&most_inside) > 1);
    for (int i = 0; i < 16; i++) (void)close(fds[i]);
    kh_abci_stop(s);
}

Test(abci, server_stops_with_connections_open)
{
    kh_abci_server *s = start();
    int a = dial();
    say(a, "021200");
    hear(a, "021a00");
    kh_abci_stop(s);
    cr_assert(closed(a));
    cr_assert(atomic_load(&lost_cnt) == 0); /* we went, not CometBFT */
    (void)close(a);
    /* A socket that was left behind is removed; any other file is not. */
    kh_abci_server *again = start();
    kh_abci_stop(again);
    FILE *f = fopen(socket_path, "w");
    cr_assert(f != NULL);
    (void)fclose(f);
    static const kh_abci_handler handler = {.call = on_call};
    char why[200] = "";
    cr_assert(kh_abci_listen(socket_path, &handler, why, sizeof why, &again) == KH_E_IO);
    cr_assert(strstr(why, socket_path) != NULL);
    (void)remove(socket_path);
    char far[200];
    memset(far, 'a', sizeof far - 1);
    far[0] = '/', far[sizeof far - 1] = '\0';
    cr_assert(kh_abci_listen(far, &handler, why, sizeof why, &again) == KH_E_IO);
}

Test(abci, server_takes_a_large_frame)
{
    kh_abci_server *s = start();
    const size_t n = 8u << 20;
    uint8_t *frame = calloc(1, n + 32);
    int fd = dial();
    /* QUERY {data: n zeros}, n = 2^23: length 2^23 + 10, message 2^23 + 5. */
    size_t at = hex("8a808004"
                    "3285808004"
                    "0a80808004",
                    frame);
    for (size_t done = 0; done < at + n;) {
        ssize_t sent = send(fd, frame + done, at + n - done, MSG_NOSIGNAL);
        cr_assert(sent > 0);
        done += (size_t)sent;
    }
    uint8_t *got = malloc(at + n);
    cr_assert(recv(fd, got, at + n, MSG_WAITALL) == (ssize_t)(at + n));
    cr_assert(got[4] == 0x3a && got[9] == 0x3a && memcmp(got + at, frame + at, n) == 0);
    free(frame);
    free(got);
    (void)close(fd);
    kh_abci_stop(s);
}
