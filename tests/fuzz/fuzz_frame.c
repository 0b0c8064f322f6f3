/* fuzz_frame: any bytes as a frame. What is answered or handed on lies within the frame, a reply's headers are consistent, and a
 * reply sent to ourselves with the two sides changed would be read again. The first byte says how much room there is behind the
 * frame. */
#include "ingest/frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static kh_frame_host host = {.mac = {2, 0, 0, 0, 0, 1},
                             .port = 8444,
                             .address_cnt = 2,
                             .addresses = {{.family = 4, .b = {10, 77, 0, 1}}, {.family = 6, .b = {0xfd, 0x77, [15] = 1}}}};

static void reply(const uint8_t *peer, uint32_t n)
{
    uint8_t *out = malloc(KH_FRAME_HEAD6_SZ + n), again_peer[KH_FRAME_PEER_SZ];
    KH_ASSERT(out != NULL);
    memset(out + KH_FRAME_HEAD6_SZ, 0xa5, n);
    uint32_t head = kh_frame_head(peer, out + KH_FRAME_HEAD6_SZ, n);
    uint8_t *frame = out + KH_FRAME_HEAD6_SZ - head;
    bool six = head == KH_FRAME_HEAD6_SZ;
    KH_ASSERT(six || head == KH_FRAME_HEAD4_SZ);
    kh_frame_host other = {.address_cnt = 1, .addresses = {{.family = six ? 6 : 4}}};
    kh_frame_found found;
    memcpy(other.mac, frame, 6);
    memcpy(other.addresses[0].b, frame + (six ? 38 : 30), six ? 16 : 4);
    other.port = (uint16_t)(frame[head - 6] << 8 | frame[head - 5]);
    KH_ASSERT(kh_frame_read(&other, frame, head + n, head + n, again_peer, &found) == KH_FRAME_DATAGRAM);
    KH_ASSERT(found.offset == head && found.n == n);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1600) return 0;
    uint32_t n = (uint32_t)size - 1, cap = n + data[0] % 128;
    uint8_t *frame = malloc(cap > 0 ? cap : 1), peer[KH_FRAME_PEER_SZ];
    kh_frame_found found;
    KH_ASSERT(frame != NULL);
    memcpy(frame, data + 1, n);
    switch (kh_frame_read(&host, frame, n, cap, peer, &found)) {
    case KH_FRAME_DROP: KH_ASSERT(found.reason < KH_FRAME_REASON_CNT && memcmp(frame, data + 1, n) == 0); break;
    case KH_FRAME_ANSWER:
        KH_ASSERT(found.n <= cap && found.n >= 42 && found.offset == 0 && memcmp(frame + 6, host.mac, 6) == 0);
        break;
    case KH_FRAME_DATAGRAM:
        KH_ASSERT(found.offset + found.n <= n && memcmp(frame, data + 1, n) == 0);
        reply(peer, found.n);
        break;
    }
    free(frame);
    return 0;
}
