/* late: answers that come after their burst: lent slots, out to the desk, back, sealed, sent. */
#include "index/reader.h"
#include "service/parts.h"
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

kh_err kh_lates_init(kh_poller *p)
{
    p->ready_end = &p->ready;
    p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->event_fd < 0) return KH_E_IO;
    p->lates = calloc(KH_LATE_MAX, sizeof *p->lates);
    if (p->lates == NULL) return KH_E_NOMEM;
    return KH_OK;
}

void kh_lates_release(kh_poller *p)
{
    for (kh_late_collect(p); p->out_cnt > 0; kh_late_collect(p)) { /* the desk and the store answer everything */
        struct timespec nap = {0, 1000000};
        (void)nanosleep(&nap, NULL);
    }
    while (atomic_load_explicit(&p->handing, memory_order_acquire) != 0) (void)sched_yield();
    if (p->event_fd >= 0) (void)close(p->event_fd);
    free(p->lates);
}

bool kh_late_room(const kh_poller *p, const kh_principal *who, kh_late_kind kind)
{
    if ((p->free_lates == NULL && p->late_cnt == KH_LATE_MAX) || p->lent[who->party % KH_LATE_PARTIES] >= KH_LATE_PARTY_MAX)
        return false;
    return kind != KH_LATE_OPERATIONS || p->operations_cnt < KH_LATE_OPERATIONS_MAX;
}

kh_late *kh_late_take(kh_poller *p, const kh_principal *who, kh_late_kind kind)
{
    if (!kh_late_room(p, who, kind)) return NULL;
    kh_late *late = p->free_lates;
    if (late != NULL) p->free_lates = late->next;
    else late = &p->lates[p->late_cnt++]; /* its pages come when they are needed first */
    late->poller = p;
    p->lent[who->party % KH_LATE_PARTIES]++;
    p->operations_cnt += kind == KH_LATE_OPERATIONS;
    late->who = *who;
    late->kind = kind;
    late->lost = false;
    late->undecided_cnt = late->probes = late->granted = late->cnt = late->n = 0;
    return late;
}

static void give_back(kh_poller *p, kh_late *late)
{
    p->lent[late->who.party % KH_LATE_PARTIES]--;
    p->operations_cnt -= late->kind == KH_LATE_OPERATIONS;
    late->next = p->free_lates;
    p->free_lates = late;
}

void kh_late_send(kh_poller *p, kh_late *late)
{
    bool operations = late->kind == KH_LATE_OPERATIONS;
    p->out_cnt++;
    kh_tray_push(operations ? &p->service->operations.tray : &p->service->questions.tray, late);
    if (operations) p->rang_operations = true;
    else p->rang_questions = true;
}

void kh_late_ring(kh_poller *p)
{
    if (p->rang_questions) kh_desk_ring(&p->service->questions);
    if (p->rang_operations && !kh_desk_operations_now(p->service)) kh_desk_ring(&p->service->operations);
    p->rang_questions = p->rang_operations = false;
}

static void wake(const kh_poller *p)
{
    uint64_t one = 1;
    ssize_t n = write(p->event_fd, &one, sizeof one);
    (void)n; /* full: it is readable already */
}

/* `handing` keeps the poller until the last look at it: it may be freed as soon as nothing is out. */
static kh_late *done_for(kh_poller *p, kh_late *list)
{
    (void)atomic_fetch_add_explicit(&p->handing, 1, memory_order_relaxed);
    for (kh_late *next; list != NULL && list->poller == p; list = next) {
        next = list->next;
        kh_tray_push(&p->done, list);
    }
    /* seq_cst, as the push: either this sees `sleeping`, or kh_poller_sleep sees what was pushed; who takes it away wakes */
    if (atomic_load_explicit(&p->sleeping, memory_order_seq_cst) &&
        atomic_exchange_explicit(&p->sleeping, false, memory_order_seq_cst))
        wake(p);
    (void)atomic_fetch_sub_explicit(&p->handing, 1, memory_order_release); /* partner: kh_lates_release */
    return list;
}

void kh_late_done(kh_late *list)
{
    while (list != NULL) list = done_for(list->poller, list);
}

void kh_late_collect(kh_poller *p)
{
    for (kh_late *late = kh_tray_take(&p->done), *next; late != NULL; late = next) {
        next = late->next;
        p->out_cnt--;
        if (late->kind == KH_LATE_LOOKUP) {
            give_back(p, late);
            continue;
        }
        late->next = NULL;
        *p->ready_end = late;
        p->ready_end = &late->next;
        p->ready_cnt++;
    }
}

uint32_t kh_poller_late_cnt(const kh_poller *poller)
{
    kh_poller *p = (kh_poller *)(uintptr_t)poller; /* the polling thread's own; what came is taken in */
    kh_late_collect(p);
    return p->ready_cnt;
}

/* seal makes the reply in ret->p: false: there is nobody to send it to any more. */
static bool seal(kh_poller *p, const kh_late *late, kh_packet *ret)
{
    const kh_session *s = kh_session_find(&p->service->sessions, late->session);
    if (late->lost) return kh_drop(p, ret, KH_N_DROPPED_STOPPED);
    if (s == NULL || s->who.party != late->who.party || kh_ledger_party_frozen(p->service->ledger, s->party_row))
        return kh_drop(p, ret, KH_N_DROPPED_ENDED);
    uint32_t sz = late->cnt * (late->form == KH_FORM_OPERATIONS ? KH_OP_ANSWER_SZ : KH_ANSWER_SZ);
    memcpy(ret->p + KH_REPLY_HEAD_SZ + 8, late->bytes, sz);
    ret->n = kh_reply_seal(p, s, late->counter, late->lane, late->form, late->as_of, ret->p, sz);
    kh_count_add(p, KH_N_LATE, 1);
    return true;
}

bool kh_poller_late(kh_poller *p, kh_packet *ret)
{
    kh_late_collect(p);
    kh_late *late = p->ready;
    if (late == NULL || ret->cap < KH_DATAGRAM_MAX_SZ) return false;
    p->ready = late->next;
    if (p->ready == NULL) p->ready_end = &p->ready;
    p->ready_cnt--;
    memcpy(ret->peer, late->peer, sizeof ret->peer);
    (void)seal(p, late, ret);
    kh_submit_answered(p->service, &late->who, late->granted, late->probes);
    give_back(p, late);
    return true;
}

void kh_poller_sleep(kh_poller *p)
{
    atomic_store_explicit(&p->sleeping, true, memory_order_seq_cst);
    if (atomic_load_explicit(&p->done.top, memory_order_seq_cst) != NULL || p->ready_cnt > 0) wake(p);
    kh_reader_offline();
}

void kh_poller_wake(kh_poller *p)
{
    uint64_t n;
    kh_reader_online();
    atomic_store_explicit(&p->sleeping, false, memory_order_relaxed);
    ssize_t got = read(p->event_fd, &n, sizeof n);
    (void)got;
}

int kh_poller_event_fd(const kh_poller *p) { return p->event_fd; }
