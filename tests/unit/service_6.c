/* service: the plain form, of laboratories: one query, unsealed; what has another form is dropped and counted. */
#include "service/poller_plain.h"
#include "service_fixture.h"

static service_fixture x;
static void setup(void) { fx_setup(&x); }
static void teardown(void) { fx_teardown(&x); }
TestSuite(plain, .init = setup, .fini = teardown);

enum { PLAIN_SZ = KH_REQUEST_HEAD_SZ + KH_QUERY_SZ };

static void fill(fx_packet *p, uint32_t doc, kh_request_head head)
{
    const kh_query q = fx_query(doc);
    memset(p, 0, sizeof *p);
    p->packet = (kh_packet){.p = p->bytes, .n = PLAIN_SZ, .cap = KH_DATAGRAM_MAX_SZ};
    kh_request_head_encode(&head, p->bytes);
    kh_query_encode(&q, false, p->bytes + KH_REQUEST_HEAD_SZ);
}

static void burst(fx_packet packets[], uint32_t n)
{
    const kh_principal bank = fx_who(FX_BANK);
    kh_packet *pointers[KH_BURST_MAX];
    for (uint32_t i = 0; i < n; i++) pointers[i] = &packets[i].packet;
    kh_poller_burst_plain(x.poller, &bank, pointers, n, x.now);
}

static bool answered(const fx_packet *p, const kh_request_head *request)
{
    kh_query_answer a;
    if (p->packet.n == 0) return false;
    cr_assert(p->packet.n == KH_REPLY_HEAD_SZ + 8 + KH_ANSWER_SZ);
    uint64_t all = kh_load64(p->bytes + 16);
    cr_assert(p->bytes[15] == (KH_FORM_QUERY | KH_FORM_REPLY));
    cr_assert((all & ((UINT64_C(1) << 48) - 1)) == request->counter && (uint8_t)(all >> 48) == request->lane);
    cr_assert(kh_query_answer_decode(p->bytes + KH_REPLY_HEAD_SZ + 8, &a) == KH_OK && a.code == KH_C_OK);
    return true;
}

/* Bursts of every length: fetching ahead looks at no packet that there is not (a sanitizer says so). */
Test(plain, one_query_one_answer)
{
    static fx_packet packets[KH_BURST_MAX];
    for (uint32_t n = 0; n <= KH_BURST_MAX; n++) {
        for (uint32_t i = 0; i < n; i++)
            fill(&packets[i], i,
                 (kh_request_head){.counter = 1000 * n + i, .lane = (uint8_t)(i % KH_LANES_MAX), .form = KH_FORM_QUERY});
        burst(packets, n);
        for (uint32_t i = 0; i < n; i++)
            cr_assert(answered(&packets[i], &(kh_request_head){.counter = 1000 * n + i, .lane = (uint8_t)(i % KH_LANES_MAX)}));
    }
    cr_assert(fx_count(&x, KH_N_DROPPED_SHAPE) == 0);
}

Test(plain, another_form_is_dropped)
{
    const kh_request_head good = {.counter = KH_COUNTER_MAX, .lane = KH_LANES_MAX - 1, .form = KH_FORM_QUERY};
    const uint8_t forms[] = {0, KH_FORM_QUERY_LONG, KH_FORM_OPERATIONS, 4, KH_FORM_QUERY | KH_FORM_REPLY, 0xff};
    const uint32_t sizes[] = {0, 1, KH_REQUEST_HEAD_SZ, PLAIN_SZ - 1, PLAIN_SZ + 1, PLAIN_SZ + KH_QUERY_SZ};
    static fx_packet packets[3];
    uint64_t dropped = 0;
    for (uint32_t k = 0; k < sizeof forms + sizeof sizes / sizeof sizes[0] + 2; k++) {
        kh_request_head head = good;
        uint32_t size = PLAIN_SZ;
        if (k < sizeof forms) head.form = forms[k];
        else if (k < sizeof forms + sizeof sizes / sizeof sizes[0]) size = sizes[k - sizeof forms];
        else if (k % 2 == 0) head.counter = KH_COUNTER_MAX + 1;
        else head.lane = KH_LANES_MAX;
        for (uint32_t i = 0; i < 3; i++) fill(&packets[i], i, i == 1 ? head : good);
        packets[1].packet.n = size;
        burst(packets, 3);
        cr_assert(packets[1].packet.n == 0 && fx_count(&x, KH_N_DROPPED_SHAPE) == ++dropped, "%u", k);
        cr_assert(answered(&packets[0], &good) && answered(&packets[2], &good), "%u", k); /* beside it all goes on */
    }
}
