/* inside: what the files of link share: a peer's queue, a connection, the loop.
 *
 * queue.c       bytes that wait for a peer, in chunks
 * tls.c         the context, certificates, and the BIO between OpenSSL and a socket
 * crl.c         certificates that were taken back
 * frames.c      frames out of bytes that come in pieces
 * connection.c  one connection: its handshake, frames in, bytes out
 * loop.c        the thread: epoll, dialling, accepting, what time brings
 * link.c        what link.h offers
 *
 * Threads  a peer's upper part and its queue are under its lock, `id` is read without; everything else is the loop's own. */
#ifndef KH_LINK_INSIDE_H
#define KH_LINK_INSIDE_H
#include "link/link.h"
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum {
    KH_LINK_HEAD_SZ = 8,
    KH_LINK_RECORD_SZ = 16384, /* the most that one TLS record carries */
    KH_LINK_CHUNK_SZ = 4 * KH_LINK_RECORD_SZ,
    KH_LINK_STAGE_SZ = 8 * KH_LINK_RECORD_SZ, /* sealed bytes given to the kernel at once */
    KH_LINK_IN_SZ = 2 * KH_LINK_RECORD_SZ,
    KH_LINK_UNPROVEN_MAX = 256,
    KH_LINK_UNPROVEN_ADDRESS_MAX = 4,
    KH_LINK_TYPE_ALIVE = 0 /* the link's own frame, empty: a dialler asks, the other side answers (first unasked: welcome) */
};
#define KH_LINK_MS UINT64_C(1000000)
#define KH_LINK_HANDSHAKE_NS (5000 * KH_LINK_MS)
#define KH_LINK_ALIVE_NS (1000 * KH_LINK_MS)     /* asked so often */
#define KH_LINK_PATIENCE_NS (10000 * KH_LINK_MS) /* without an answer, or a byte taken by the kernel */
#define KH_LINK_REDIAL_MIN_NS (100 * KH_LINK_MS)
#define KH_LINK_REDIAL_MAX_NS (2000 * KH_LINK_MS)

uint64_t kh_link_now(void); /* ns, monotonic */

/* ---- queue: a stream of frames ---- */
typedef struct kh_chunk {
    struct kh_chunk *next;
    uint32_t n, ends; /* bytes; frames that end here */
    uint8_t b[KH_LINK_CHUNK_SZ];
} kh_chunk;
typedef struct kh_queue {
    kh_chunk *first, *last, *spare;
    size_t at;              /* of first, taken */
    size_t bytes, promised; /* waiting; of frames being copied outside the lock */
    uint32_t messages;
} kh_queue;
/* kh_link_queue_put appends one frame. */
KH_MUST kh_err kh_link_queue_put(kh_queue *q, uint8_t type, const uint8_t *p, size_t n);
/* kh_link_queue_build makes a frame's chunks beside a queue, kh_link_queue_append takes them over. */
KH_MUST kh_err kh_link_queue_build(kh_queue *ret, uint8_t type, const uint8_t *p, size_t n);
void kh_link_queue_append(kh_queue *q, kh_queue *built);
/* kh_link_queue_peek: the bytes at the front; they stay while only the caller takes. */
size_t kh_link_queue_peek(const kh_queue *q, const uint8_t **ret);
uint32_t kh_link_queue_take(kh_queue *q, size_t n); /* returns how many frames went with it */
uint32_t kh_link_queue_clear(kh_queue *q);          /* returns how many frames were lost */

/* ---- frames: out of bytes that come in pieces ---- */
typedef struct kh_frames { /* zeroed but for the first three */
    uint8_t *in;           /* KH_LINK_IN_SZ bytes, lent */
    /* take is given each frame, whole; false: this peer does not keep to the protocol. */
    bool (*take)(void *ctx, uint8_t type, const uint8_t *p, size_t n);
    void *ctx;
    size_t in_at, in_n, large_n, large_cap;
    uint8_t *large; /* a frame that is larger than `in` */
} kh_frames;
/* kh_link_frames_place: where the next bytes go, at most *ret_n: into a large frame's own memory, which grows only with what has
   come, or into `in`. false: no memory. */
KH_MUST bool kh_link_frames_place(kh_frames *f, uint8_t **ret, size_t *ret_n);
/* kh_link_frames_placed: n bytes stand there. false: they are no frames, or are not taken. */
KH_MUST bool kh_link_frames_placed(kh_frames *f, size_t n);
void kh_link_frames_free(kh_frames *f);

/* ---- peers ---- */
typedef struct kh_connection kh_connection;
typedef struct kh_peer {
    _Atomic uint32_t id; /* 0: free; set and cleared under the link's lock */
    pthread_mutex_t lock;
    struct sockaddr_storage address;
    socklen_t address_n;
    bool changed, gone, up;
    kh_queue queue;
    /* the loop's */
    kh_connection *out, *in;
    uint64_t redial_at, backoff_ns;
} kh_peer;

/* ---- connections ---- */
typedef enum kh_connection_state { KH_CONNECTING, KH_SHAKING, KH_PROVEN, KH_UP } kh_connection_state;
struct kh_connection {
    kh_link *link;
    kh_peer *peer; /* NULL: not known yet */
    int fd;
    SSL *ssl;
    bool dialled, readable, writable, runnable, asked_sent; /* asked_sent: the question is with the kernel, whole */
    kh_connection_state state;                              /* PROVEN: dialled, and not yet welcome */
    struct sockaddr_storage from;
    uint64_t deadline;     /* of the state; UP and taken in: silence */
    uint64_t alive_at;     /* dialled: when to ask next; UINT64_MAX: asked */
    size_t asked_left;     /* bytes of the queue up to the question's end */
    uint64_t last_written; /* when the kernel last took bytes; not after asked_sent */
    size_t stage_at, stage_n;
    kh_frames frames;
    TAILQ_ENTRY(kh_connection) all, run;
    uint8_t stage[KH_LINK_STAGE_SZ], in[KH_LINK_IN_SZ];
};
/* kh_connection_new takes fd over. NULL: no memory. */
kh_connection *kh_connection_new(kh_link *link, int fd, bool dialled);
/* kh_connection_run does what can be done now, at most about a MiB each way. false: it is over, close it. */
bool kh_connection_run(kh_connection *c);
void kh_connection_free(kh_connection *c);

/* ---- TLS ---- */
KH_MUST kh_err kh_link_tls_open(kh_link *link, const kh_link_options *options, char *why, size_t cap);
void kh_link_tls_close(kh_link *link);
KH_MUST bool kh_link_tls_start(kh_connection *c);
uint32_t kh_link_tls_member(const SSL *ssl); /* whom the peer's certificate names; 0: nobody */

/* ---- certificates that were taken back ---- */
typedef struct kh_link_crl kh_link_crl;
/* kh_link_crl_load: PEM, one list or several, each signed by one of `ca`. KH_E_ARG with a sentence in why. */
KH_MUST kh_err kh_link_crl_load(const kh_link *link, const char *path, char *why, size_t cap, kh_link_crl **ret);
bool kh_link_crl_has(const kh_link_crl *c, X509 *certificate); /* NULL: none is revoked */
void kh_link_crl_free(kh_link_crl *c);

/* ---- the loop ---- */
TAILQ_HEAD(kh_connections, kh_connection);
struct kh_link {
    kh_link_options options;
    kh_peer peers[KH_LINK_PEERS_MAX];
    pthread_mutex_t lock; /* adding and removing peers */
    pthread_t thread;
    _Atomic bool stop;
    _Atomic uint64_t dirty; /* peers with something new; whoever makes it non-zero wakes the loop */
    int epoll, wake, listener;
    struct sockaddr_storage listen;
    socklen_t listen_n;
    SSL_CTX *tls;
    BIO_METHOD *bio;
    kh_link_crl *crl;                /* the loop's; NULL: no list */
    _Atomic(kh_link_crl *) crl_next; /* read since, for the loop to take over */
    struct kh_connections all, run;
    bool accepting;
    uint32_t unproven;
    uint64_t now, next_due, accept_at;
    struct {
        _Atomic uint64_t sent, received, bytes_out, bytes_in, dropped_full, dropped_down, refused, handshakes_failed;
    } counts;
};
void *kh_link_loop(void *link);
void kh_link_wake(kh_link *link, uint32_t slot);
/* kh_link_due: the loop looks at what time brings at `at`, or earlier. */
void kh_link_due(kh_link *link, uint64_t at);
void kh_link_runnable(kh_connection *c);
void kh_link_close(kh_connection *c);
/* kh_link_admit: a handshake is over: whose connection is this? false: nobody's whom we know. */
bool kh_link_admit(kh_connection *c);
void kh_link_welcome(kh_connection *c); /* the peer has taken our connection in */
KH_MUST bool kh_link_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_n);

static inline void kh_link_add(_Atomic uint64_t *counter, uint64_t n)
{
    (void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed); /* a count, nothing hangs on it */
}
#endif
