/* frames: frames out of bytes that come in pieces; nothing is believed of a frame's size beyond what has come of it. */
#include "link/inside.h"
#include <stdlib.h>

enum {
    LARGE_FIRST_SZ = 256 << 10,
    LARGE_KEPT_SZ = 16 << 20 /* what came once and was larger is given back */
};

void kh_link_frames_free(kh_frames *f) { free(f->large); }

static bool head_is_good(const uint8_t head[KH_LINK_HEAD_SZ])
{
    return kh_load32(head) <= KH_LINK_MESSAGE_MAX && head[5] == 0 && head[6] == 0 && head[7] == 0;
}

/* Takes the whole frames out of `in`; the rest moves to its front, or into `large` where it can never be whole here. */
static bool take_small(kh_frames *f)
{
    while (f->in_n - f->in_at >= KH_LINK_HEAD_SZ) {
        const uint8_t *head = f->in + f->in_at;
        if (!head_is_good(head)) return false;
        size_t n = kh_load32(head), have = f->in_n - f->in_at;
        if (KH_LINK_HEAD_SZ + n > KH_LINK_IN_SZ) {
            if (f->large_cap == 0 && (f->large = malloc(LARGE_FIRST_SZ)) == NULL) return false;
            if (f->large_cap == 0) f->large_cap = LARGE_FIRST_SZ;
            memcpy(f->large, head, have);
            f->large_n = have;
            f->in_at = f->in_n = 0;
            return true;
        }
        if (KH_LINK_HEAD_SZ + n > have) break;
        if (!f->take(f->ctx, head[4], head + KH_LINK_HEAD_SZ, n)) return false;
        f->in_at += KH_LINK_HEAD_SZ + n;
    }
    if (f->in_at != 0) memmove(f->in, f->in + f->in_at, f->in_n - f->in_at);
    f->in_n -= f->in_at;
    f->in_at = 0;
    return true;
}

bool kh_link_frames_place(kh_frames *f, uint8_t **ret, size_t *ret_n)
{
    if (f->large_n == 0) {
        *ret = f->in + f->in_n;
        *ret_n = KH_LINK_IN_SZ - f->in_n;
        return true;
    }
    size_t whole = KH_LINK_HEAD_SZ + kh_load32(f->large);
    if (f->large_n == f->large_cap) {
        size_t cap = kh_min64(2 * f->large_cap, KH_LINK_HEAD_SZ + KH_LINK_MESSAGE_MAX);
        uint8_t *more = realloc(f->large, cap);
        if (more == NULL) return false;
        f->large = more;
        f->large_cap = cap;
    }
    *ret = f->large + f->large_n;
    *ret_n = kh_min64(whole, f->large_cap) - f->large_n;
    return true;
}

bool kh_link_frames_placed(kh_frames *f, size_t n)
{
    if (f->large_n == 0) {
        f->in_n += n;
        return take_small(f);
    }
    f->large_n += n;
    size_t body = kh_load32(f->large);
    if (f->large_n < KH_LINK_HEAD_SZ + body) return true;
    f->large_n = 0;
    bool good = f->take(f->ctx, f->large[4], f->large + KH_LINK_HEAD_SZ, body);
    if (f->large_cap > LARGE_KEPT_SZ) {
        free(f->large);
        f->large = NULL;
        f->large_cap = 0;
    }
    return good;
}
