/* runs: see runs.h. */
#include "client/runs.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    RUN_MAX = 64,       /* datagrams in a message, by the kernel's own limit */
    RUN_MAX_SZ = 60000, /* bytes of a message, below what IP can carry */
    MESSAGES = 32,      /* received at once */
    MESSAGE_SZ = 64 << 10,
    ROOM_SZ = MESSAGE_SZ + 2112 /* from one to the next: of equal places in all, few fit a cache at once */
};

typedef union run_control {
    struct cmsghdr head;
    uint8_t room[CMSG_SPACE(sizeof(uint16_t))];
} run_control;

uint32_t kh_runs_length(const struct iovec parts[], uint32_t n)
{
    size_t sz = parts[0].iov_len;
    uint32_t cnt = 1;
    while (cnt < n && cnt < RUN_MAX && parts[cnt - 1].iov_len == parts[0].iov_len && parts[cnt].iov_len <= parts[0].iov_len &&
           sz + parts[cnt].iov_len <= RUN_MAX_SZ)
        sz += parts[cnt++].iov_len;
    return cnt;
}

static struct msghdr message_of(struct iovec parts[], uint32_t cnt, run_control *control)
{
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = cnt};
    uint16_t each = (uint16_t)parts[0].iov_len;
    if (cnt == 1) return m;
    *control = (run_control){.head = {.cmsg_len = CMSG_LEN(sizeof each), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT}};
    memcpy(CMSG_DATA(&control->head), &each, sizeof each);
    m.msg_control = control;
    m.msg_controllen = sizeof *control;
    return m;
}

static void send_apart(int fd, const struct msghdr *run)
{
    for (size_t i = 0; i < run->msg_iovlen; i++) {
        const struct msghdr one = {.msg_iov = &run->msg_iov[i], .msg_iovlen = 1};
        while (sendmsg(fd, &one, 0) < 0 && errno == EINTR) {}
    }
}

void kh_runs_send(int fd, struct iovec parts[], uint32_t n, bool *apart)
{
    struct mmsghdr messages[KH_RUNS_MAX];
    run_control controls[KH_RUNS_MAX];
    uint32_t cnt = 0;
    for (uint32_t i = 0, length; i < n; i += length, cnt++) {
        length = *apart ? 1 : kh_runs_length(parts + i, n - i);
        messages[cnt] = (struct mmsghdr){.msg_hdr = message_of(parts + i, length, &controls[cnt])};
    }
    for (uint32_t at = 0; at < cnt;) {
        int took = sendmmsg(fd, messages + at, cnt - at, 0);
        if (took > 0) at += (uint32_t)took;
        else if (errno != EINTR) {
            const struct msghdr *first = &messages[at++].msg_hdr;
            if (first->msg_iovlen == 1) continue; /* a refusal by the other side is told here: that datagram may be gone */
            *apart = errno != ECONNREFUSED && errno != ENOBUFS;
            send_apart(fd, first);
        }
    }
}

/* ---- receiving ---- */

typedef union cut_control {
    struct cmsghdr head;
    uint8_t room[CMSG_SPACE(sizeof(int))];
} cut_control;

struct kh_inbox {
    struct mmsghdr messages[MESSAGES];
    struct iovec parts[MESSAGES];
    cut_control controls[MESSAGES];
    uint8_t rooms[MESSAGES][ROOM_SZ];
};

kh_inbox *kh_inbox_new(int fd)
{
    int on = 1;
    kh_inbox *inbox = calloc(1, sizeof *inbox);
    if (inbox != NULL) (void)setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
    return inbox;
}

void kh_inbox_free(kh_inbox *inbox) { free(inbox); }

/* How long each datagram of a message is; 0: it is one. */
static uint32_t each_of(struct msghdr *m)
{
    int each = 0;
    const struct cmsghdr *c = CMSG_FIRSTHDR(m);
    if (c != NULL && c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) memcpy(&each, CMSG_DATA(c), sizeof each);
    return each > 0 ? (uint32_t)each : 0;
}

uint32_t kh_runs_receive(int fd, kh_inbox *inbox, void (*take)(void *ctx, uint8_t *p, uint32_t n), void *ctx)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        inbox->parts[i] = (struct iovec){inbox->rooms[i], MESSAGE_SZ};
        inbox->messages[i].msg_hdr = (struct msghdr){.msg_iov = &inbox->parts[i],
                                                     .msg_iovlen = 1,
                                                     .msg_control = &inbox->controls[i],
                                                     .msg_controllen = sizeof inbox->controls[i]};
    }
    int got = recvmmsg(fd, inbox->messages, MESSAGES, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        uint32_t size = inbox->messages[i].msg_len, each = each_of(&inbox->messages[i].msg_hdr), at = 0;
        do {
            uint32_t n = each > 0 && size - at > each ? each : size - at;
            take(ctx, inbox->rooms[i] + at, n);
            at += n;
            cnt++;
        } while (at < size);
    }
    return cnt;
}
