/* parts: the inside of the service, for its own files and their tests.
 *
 *   service.c   the handle, principals, metrics          session.c  the table of sessions
 *   poller.c    a burst from end to end                  admit.c    one datagram, until it is a question or dropped
 *   late.c      what is answered later, on the poller    desk.c     ... and on the desk's threads
 *   submit.c    operations into the store                limits     limits.h */
#ifndef KH_SERVICE_PARTS_H
#define KH_SERVICE_PARTS_H
#include "index/flow.h"
#include "service/poller.h"
#include "service/session.h"
#include "service/submit.h"
#include "service/window.h"
#include <pthread.h>
#include <semaphore.h>

#define KH_POLLERS_MAX 64u
#define KH_SESSION_DATAGRAMS_MAX (UINT64_C(1) << 32)
#define KH_SEEN_PARTIES 4096u
#define KH_UNDECIDED_MAX (KH_BURST_MAX * KH_QUERIES_MAX)

/* ---- sessions ---- */
typedef struct kh_session {
    uint64_t id; /* its 8 bytes, as loaded */
    kh_aead_key *up, *down;
    uint64_t opened_ns, expires_ns;
    kh_principal who;
    uint32_t party_row, rights; /* KH_ASK_VERIFY's */
    uint32_t bank;              /* who asks, for DUP_OWN */
    kh_code door;               /* what access says to every question */
    bool limited;
    struct kh_session *next; /* while it is being ended */
    uint8_t certificate[32]; /* that it came by; under the lock */
    _Atomic bool frozen;     /* its party was seen frozen: over for good */
    _Alignas(64) _Atomic uint64_t datagrams;
    _Alignas(64) kh_window windows[KH_LANES_MAX]; /* pages come as lanes are used */
} kh_session;

typedef struct kh_sessions {
    pthread_mutex_t lock; /* open, close, end_party */
    uint32_t max, party_max, cnt;
    uint64_t place_mask;
    _Atomic(kh_session *) *places; /* by the id's low bits; a session stands in its own place or nowhere */
} kh_sessions;
KH_MUST kh_err kh_sessions_init(kh_sessions *sessions, uint32_t max, uint32_t party_max);
void kh_sessions_release(kh_sessions *sessions);

/* kh_session_find: NULL: unknown. Valid until the caller's next quiescent state. [R] */
static inline kh_session *kh_session_find(const kh_sessions *sessions, uint64_t id)
{
    kh_session *s =
        atomic_load_explicit(&sessions->places[id & sessions->place_mask], memory_order_acquire); /* partner: publish */
    return s != NULL && s->id == id ? s : NULL;
}

/* ---- counters: each poller's own, read by anyone ---- */
typedef enum kh_count {
    KH_N_DATAGRAMS,
    KH_N_QUERIES,
    KH_N_OPERATIONS,
    KH_N_REPLIES,
    KH_N_LATE, /* of the replies */
    KH_N_LIMITED,
    KH_N_DROPPED_SHORT,
    KH_N_DROPPED_LONG,
    KH_N_DROPPED_SHAPE,
    KH_N_DROPPED_UNKNOWN,
    KH_N_DROPPED_EXPIRED,
    KH_N_DROPPED_FROZEN,
    KH_N_DROPPED_SEAL,
    KH_N_DROPPED_REPLAYED,
    KH_N_DROPPED_TOO_OLD,
    KH_N_DROPPED_BUSY,
    KH_N_DROPPED_UNLOGGED,
    KH_N_DROPPED_ENDED,
    KH_N_DROPPED_STOPPED,
    KH_N_CNT
} kh_count;

/* ---- late answers ---- */
#define KH_LATE_PARTIES 256u
#define KH_LATE_PARTY_MAX (KH_LATE_MAX * 3 / 8)
#define KH_LATE_OPERATIONS_MAX (KH_LATE_MAX * 3 / 4) /* the rest is for questions and the regulator's look-ups */
#define KH_TOGETHER_SZ (32u << 10)                   /* bytes of operations that are one batch of the store */
typedef enum kh_late_kind { KH_LATE_QUESTIONS, KH_LATE_OPERATIONS, KH_LATE_LOOKUP } kh_late_kind;
typedef struct kh_undecided {
    uint32_t at; /* which query of its datagram */
    kh_question question;
} kh_undecided;
/* A datagram that is answered later: lent by its poller, passed to the desk, and back. */
typedef struct kh_late {
    struct kh_late *next;
    kh_poller *poller;
    kh_late_kind kind;
    kh_principal who;
    uint64_t session, counter, as_of;
    uint8_t lane, form;
    bool lost;    /* nothing is to be sent */
    uint32_t cnt; /* answers */
    uint32_t undecided_cnt, granted, probes;
    uint32_t n;
    /* operations that are at the store: datagrams of one party in a list, submitted as one batch; the first one leads */
    uint32_t first_op;                 /* its first operation in the batch */
    struct kh_late *leads_to;          /* of the leader: whose outcomes come now */
    uint8_t bytes[KH_DATAGRAM_MAX_SZ]; /* OPERATIONS: frames, then answers; QUESTIONS: answers; LOOKUP: keys */
    uint8_t peer[KH_PACKET_PEER_SZ];
    kh_undecided undecided[KH_QUERIES_MAX];
} kh_late;

/* A list that many push to and one takes whole: last in, first out. */
typedef struct kh_tray {
    _Atomic(kh_late *) top;
} kh_tray;
void kh_tray_push(kh_tray *tray, kh_late *late);
kh_late *kh_tray_take(kh_tray *tray); /* in the order in which they were pushed */

/* A thread of the service that does what a poller must not wait for. */
typedef struct kh_desk {
    kh_service *service;
    void (*work)(kh_service *service, kh_late *list);
    kh_tray tray;
    sem_t waiting;
    _Atomic bool stop;
    pthread_t thread;
    bool runs;
} kh_desk;
KH_MUST kh_err kh_desk_start(kh_desk *desk, kh_service *service, void (*work)(kh_service *service, kh_late *list));
void kh_desk_stop(kh_desk *desk);
void kh_desk_ring(kh_desk *desk);                           /* there is something in the tray */
void kh_desk_questions(kh_service *service, kh_late *list); /* the settled state, and the regulator's look-ups */
void kh_desk_operations(kh_service *service, kh_late *list);
/* kh_desk_operations_now does the work of the operations' desk on the caller's thread, as far as nobody is waited for; false:
   some is left in the tray, and the desk must be rung. */
KH_MUST bool kh_desk_operations_now(kh_service *service);

struct kh_service {
    kh_service_options options;
    const kh_ledger *ledger;
    kh_sessions sessions;
    _Atomic uint64_t seen[KH_SEEN_PARTIES]; /* by id: role, row, id; 0 none */
    kh_desk questions, operations;
    pthread_mutex_t together_lock;    /* the operations' desk's, or of a poller that finds it free: who submits */
    uint8_t together[KH_TOGETHER_SZ]; /* under it: frames on their way to the store */
    pthread_mutex_t pollers_lock;
    kh_poller *pollers[KH_POLLERS_MAX];
    uint64_t gone[KH_N_CNT]; /* counts of pollers that were freed, and how far their replies' counters had come */
    uint64_t reply_counters[KH_POLLERS_MAX];
};

/* ---- pollers ---- */
typedef struct kh_pending { /* a datagram of the burst whose answers are being made */
    kh_session *session;    /* NULL: plain */
    kh_packet *packet;
    uint64_t counter;
    uint8_t lane, form;
    uint16_t cnt, answered, undecided;
    uint16_t allowed; /* the first so many queries are asked, the others answered RATE_LIMITED */
    uint16_t probes;  /* of them those that keep their token of the probe limit */
    bool limited;
    kh_code door;
    uint32_t rights, bank; /* the session's, or the plain burst's */
} kh_pending;

#define KH_RING_GROUPS 8u
#define KH_RING_ITEMS (KH_RING_GROUPS * KH_FLOW_GROUP)
struct kh_poller {
    kh_service *service;
    uint32_t number;
    uint64_t counter; /* of replies */
    uint64_t now_ns;
    kh_moment moment;
    uint64_t as_of; /* the height that users are told for it */
    /* questions on their way through the flow: groups in a ring */
    kh_flow flow;
    bool sparse;           /* the last burst had few questions a datagram */
    uint32_t taken, given; /* items */
    struct {
        uint8_t pending, query;
    } items[KH_RING_ITEMS];
    kh_question questions[KH_RING_ITEMS];
    _Alignas(64) kh_key keys[KH_FLOW_GROUP];
    kh_pending pending[KH_BURST_MAX];
    uint32_t pending_cnt;
    uint32_t undecided_cnt;
    kh_undecided undecided[KH_UNDECIDED_MAX];
    uint8_t undecided_pending[KH_UNDECIDED_MAX];
    kh_session *run; /* the session of the latest datagrams, and how many are not yet counted in it */
    uint32_t run_cnt;
    /* late answers */
    kh_late *lates, *free_lates, *ready, **ready_end;
    uint32_t late_cnt;              /* of lates, those that were ever lent */
    uint32_t ready_cnt, out_cnt;    /* out: with the desk or the store */
    uint32_t operations_cnt;        /* lent for operations */
    uint16_t lent[KH_LATE_PARTIES]; /* to a party; two that fall together share */
    bool rang_questions, rang_operations;
    int event_fd;
    _Alignas(64) _Atomic uint64_t counts[KH_N_CNT]; /* written by the polling thread alone */
    _Alignas(64) kh_tray done;                      /* from the desk and the store */
    _Atomic bool sleeping;
    _Atomic uint32_t handing; /* late answers being pushed just now */
};
static inline void kh_count_add(kh_poller *p, kh_count which, uint64_t n)
{
    atomic_store_explicit(&p->counts[which], atomic_load_explicit(&p->counts[which], memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* kh_admit takes a datagram in: false: dropped, counted, packet->n is 0. Else its queries lie open behind the header and ret is
   filled in; for operations the datagram has gone to the desk and ret->cnt is 0. */
KH_MUST bool kh_admit(kh_poller *p, kh_packet *packet, kh_pending *ret);
void kh_admit_flush(kh_poller *p); /* counts of the current run of datagrams go to their session */
bool kh_drop(kh_poller *p, kh_packet *packet, kh_count why);
/* kh_reply seals a reply whose answers lie at p + KH_REPLY_HEAD_SZ + 8; returns its length. */
uint32_t kh_reply_seal(kh_poller *p, const kh_session *session, uint64_t counter, uint8_t lane, uint8_t form, uint64_t as_of,
                       uint8_t *bytes, uint32_t answers_sz);
/* kh_answer_of: a verdict as this principal may see it. *ret_probe: whether it counts against the probe limit. */
void kh_answer_of(uint32_t rights, const kh_question *question, const kh_verdict *verdict, kh_query_answer *ret, bool *ret_probe);

KH_MUST kh_err kh_lates_init(kh_poller *p);
void kh_lates_release(kh_poller *p); /* waits for those that are out */
/* kh_late_room: false: all are out, or this party has its share, or operations theirs. kh_late_take: NULL then. */
bool kh_late_room(const kh_poller *p, const kh_principal *who, kh_late_kind kind);
kh_late *kh_late_take(kh_poller *p, const kh_principal *who, kh_late_kind kind);
void kh_late_send(kh_poller *p, kh_late *late); /* to the desk of its kind */
void kh_late_ring(kh_poller *p);                /* what was sent goes on: at once where it can, else its desk is woken */
/* kh_late_done: a list goes back, each to its poller, which is woken once for those that stand together; any thread. */
void kh_late_done(kh_late *list);
void kh_late_collect(kh_poller *p);
#endif
