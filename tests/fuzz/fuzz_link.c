/* fuzz_link: any bytes as what a peer sends, in any pieces: the frames are those that one look at all the bytes finds, whole and
 * in order, up to the first head that is none; memory grows with what has come, not with what a head says.
 *
 * Input: steps {op 1}: below 192 so many bytes of the input; else (op - 191) KiB of filling, so that small inputs reach frames
 * with memory of their own. */
#include "link/inside.h"
#include <stdlib.h>

enum { ALL_MAX = 4 << 20, FILL = 0x5a };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t all[ALL_MAX];
static size_t all_n, at; /* at: where the next frame has to begin */
static uint8_t refused_type;

static bool take(void *ctx, uint8_t type, const uint8_t *p, size_t n)
{
    (void)ctx;
    KH_ASSERT(at + KH_LINK_HEAD_SZ + n <= all_n && kh_load32(all + at) == n && all[at + 4] == type);
    KH_ASSERT(memcmp(all + at + KH_LINK_HEAD_SZ, p, n) == 0);
    at += KH_LINK_HEAD_SZ + n;
    return type != refused_type;
}

/* feed gives one piece; it may take several turns, as bytes from a socket do. */
static bool feed(kh_frames *f, size_t n)
{
    size_t from = all_n - n;
    while (n > 0) {
        uint8_t *p;
        size_t room;
        if (!kh_link_frames_place(f, &p, &room)) abort();
        KH_ASSERT(room > 0);
        size_t part = n < room ? n : room;
        memcpy(p, all + from, part);
        from += part;
        n -= part;
        size_t was = all_n;
        all_n = from; /* nothing may be taken that has not come */
        bool good = kh_link_frames_placed(f, part);
        all_n = was;
        if (!good) return false;
        KH_ASSERT(f->large_cap <= 2 * from + (256u << 10) + KH_LINK_HEAD_SZ);
    }
    return true;
}

/* Has a frame been refused by whoever takes it, or is what stands behind those taken no head? */
static bool is_bad(void)
{
    if (at > 0) {
        size_t last = 0, next = 0;
        for (; next < at; next += KH_LINK_HEAD_SZ + kh_load32(all + next)) last = next;
        if (all[last + 4] == refused_type) return true;
    }
    return all_n - at >= KH_LINK_HEAD_SZ &&
           (kh_load32(all + at) > KH_LINK_MESSAGE_MAX || all[at + 5] != 0 || all[at + 6] != 0 || all[at + 7] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t in[KH_LINK_IN_SZ];
    kh_frames f = {.in = in, .take = take};
    bool good = true;
    if (size == 0) return 0;
    all_n = at = 0;
    refused_type = data[0];
    for (size_t i = 1; i < size && good;) {
        size_t op = data[i++], n = op < 192 ? kh_min64(op, size - i) : (op - 191) << 10;
        if (n > sizeof all - all_n) break;
        if (op < 192) memcpy(all + all_n, data + i, n);
        else memset(all + all_n, FILL, n);
        i += op < 192 ? n : 0;
        all_n += n;
        good = feed(&f, n);
    }
    KH_ASSERT(good == !is_bad());
    if (good) KH_ASSERT(all_n - at < KH_LINK_HEAD_SZ || all_n - at < KH_LINK_HEAD_SZ + (size_t)kh_load32(all + at));
    kh_link_frames_free(&f);
    return 0;
}
