/* fuzz_poller: open and decode, by a poller with a session. The first byte says how the rest comes: as raw datagrams, or sealed
 * soundly under the session's keys, so that what lies behind the seal is any bytes too. Nothing unsound is answered; a reply to
 * questions is never longer than its request. */
#include "client/datagram.h"
#include "host/host.h"
#include "service/poller.h"
#include "service/session.h"
#include "store/parts.h"

#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kh_store store;
static kh_service *service;
static kh_poller *poller;
static kh_lane lane;
static kh_aead_key *up;

static kh_err export_key(void *ctx, const char *label, const uint8_t *context, size_t context_n, uint8_t *ret, size_t n)
{
    (void)ctx, (void)label, (void)context_n;
    memset(ret, context[9] + 1, n);
    return KH_OK;
}

/* Sessions lie in mapped memory, where a leak checker does not look for what holds their keys. */
static void teardown(void)
{
    kh_poller_end(poller);
    kh_poller_free(poller);
    kh_service_free(service);
    kh_lane_close(&lane);
    kh_aead_key_free(up);
    kh_machine_release(&store.machine);
}

static void setup(void)
{
    static kh_clock clock_;
    static kh_entropy entropy;
    uint8_t frame[512], keys[2][KH_AEAD_KEY_SZ];
    size_t n;
    kh_session_grant grant;
    const kh_principal bank = {11, KH_ROLE_BANK, false};
    clock_ = kh_host_clock();
    entropy = kh_host_entropy();
    KH_ASSERT(kh_machine_reserve(&store.machine) == KH_OK &&
              kh_machine_start(&store.machine, (const uint8_t *)"fuzz the poller!") == KH_OK);
    (void)pthread_rwlock_init(&store.gate, NULL);
    (void)pthread_mutex_init(&store.queue_lock, NULL);
    store.stop_err = KH_E_CLOSED; /* takes no operations */
    kh_op op = {.type = KH_OP_PARTY_ADD, .party_add = {11, KH_ROLE_BANK, kh_text_of("Bank"), {0}}};
    KH_ASSERT(kh_op_encode(&op, frame, sizeof frame, &n) == KH_OK);
    const kh_entry entry = {.height = 1, .time_ns = 1790000000 * KH_NS_PER_S, .body = frame, .body_sz = (uint32_t)n, .op_cnt = 1};
    KH_ASSERT(kh_machine_apply(&store.machine, &entry, &kh_sink_none) == KH_OK);
    const kh_service_options o = {
        .store = &store, .clock = &clock_, .entropy = &entropy, .poller_cnt = 1, .aead = KH_AEAD_OPENSSL};
    KH_ASSERT(kh_service_new(&o, &service) == KH_OK && kh_poller_new(service, 0, &poller) == KH_OK);
    KH_ASSERT(kh_session_open(service, &bank, export_key, NULL, 0, &grant) == KH_OK);
    for (uint8_t d = 0; d < 2; d++) memset(keys[d], d + 1, sizeof keys[d]);
    KH_ASSERT(kh_lane_open(grant.id, 0, keys[0], keys[1], &lane) == KH_OK &&
              kh_aead_key_new(KH_AEAD_OPENSSL, keys[0], 1, &up) == KH_OK);
    kh_poller_begin(poller);
    KH_ASSERT(atexit(teardown) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[KH_DATAGRAM_MAX_SZ + 64];
    if (service == NULL) setup();
    if (size < 2 || size - 2 > sizeof bytes) return 0;
    bool sealed = data[0] % 2 == 1;
    kh_packet packet = {.p = bytes, .cap = sizeof bytes}, *one = &packet;
    if (sealed) {
        uint32_t body = (uint32_t)(size - 2);
        uint8_t nonce[12];
        if (body > KH_FRAMES_MAX_SZ) return 0;
        const kh_request_head head = {.counter = lane.counter++, .form = data[1]};
        kh_request_head_encode(&head, bytes);
        memcpy(bytes, lane.session, 8);
        memcpy(bytes + KH_REQUEST_HEAD_SZ, data + 2, body);
        kh_request_nonce(head.counter, 0, nonce);
        kh_aead_seal(up, 0, nonce, bytes, KH_REQUEST_HEAD_SZ, bytes + 16, body, bytes + 16 + body);
        packet.n = 16 + body + 16;
    } else {
        packet.n = (uint32_t)(size - 2);
        memcpy(bytes, data + 2, size - 2);
        if (data[1] % 2 == 1 && packet.n >= 8) memcpy(bytes, lane.session, 8);
    }
    uint32_t was = packet.n;
    kh_poller_burst(poller, &one, 1, 1);
    KH_ASSERT(packet.n <= was && (sealed || packet.n == 0));
    if (packet.n != 0) {
        kh_reply_head head;
        uint64_t as_of;
        const uint8_t *body;
        uint32_t cnt;
        KH_ASSERT(kh_lane_open_reply(&lane, bytes, packet.n, &head, &as_of, &body, &cnt) && as_of == 1);
    }
    packet = (kh_packet){.p = bytes, .cap = sizeof bytes};
    while (kh_poller_late(poller, &packet)) KH_ASSERT(packet.n <= KH_DATAGRAM_MAX_SZ);
    return 0;
}
