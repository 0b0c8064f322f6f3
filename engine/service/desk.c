/* desk: the service's own threads: one asks the settled state and writes the regulator's look-ups down, one submits operations
 * and may be held up by back-pressure, which questions then do not feel. */
#include "crypto/digest.h"
#include "service/limits.h"
#include "service/parts.h"
#include <errno.h>
#include <stdio.h>

enum { GATE_DATAGRAMS = 16 }; /* answered while the gate is held once */

void kh_tray_push(kh_tray *tray, kh_late *late)
{
    kh_late *top = atomic_load_explicit(&tray->top, memory_order_relaxed);
    do late->next = top;
    while (!atomic_compare_exchange_weak_explicit(&tray->top, &top, late, memory_order_seq_cst, memory_order_relaxed));
}

kh_late *kh_tray_take(kh_tray *tray)
{
    if (atomic_load_explicit(&tray->top, memory_order_relaxed) == NULL) return NULL;
    kh_late *late = atomic_exchange_explicit(&tray->top, NULL, memory_order_acquire), *list = NULL; /* partner: push */
    for (kh_late *next; late != NULL; late = next) {
        next = late->next;
        late->next = list;
        list = late;
    }
    return list;
}

static void *run(void *ctx)
{
    kh_desk *desk = ctx;
    for (;;) {
        while (sem_wait(&desk->waiting) != 0 && errno == EINTR) {}
        for (kh_late *list; (list = kh_tray_take(&desk->tray)) != NULL;) desk->work(desk->service, list);
        if (atomic_load_explicit(&desk->stop, memory_order_acquire)) return NULL;
    }
}

kh_err kh_desk_start(kh_desk *desk, kh_service *service, void (*work)(kh_service *service, kh_late *list))
{
    desk->service = service;
    desk->work = work;
    if (sem_init(&desk->waiting, 0, 0) != 0) return KH_E_NOMEM;
    desk->runs = pthread_create(&desk->thread, NULL, run, desk) == 0;
    if (!desk->runs) (void)sem_destroy(&desk->waiting);
    return desk->runs ? KH_OK : KH_E_NOMEM;
}

void kh_desk_stop(kh_desk *desk)
{
    if (!desk->runs) return;
    atomic_store_explicit(&desk->stop, true, memory_order_release);
    kh_desk_ring(desk);
    (void)pthread_join(desk->thread, NULL);
    (void)sem_destroy(&desk->waiting);
    desk->runs = false;
}

void kh_desk_ring(kh_desk *desk) { (void)sem_post(&desk->waiting); }

/* ---- questions ---- */

static void write_down(kh_service *service, const kh_late *late)
{
    char line[64 + KH_QUERIES_MAX * 33];
    if (service->options.no_lookups) return;
    int n = snprintf(line, sizeof line, "%u datagram", late->who.party);
    for (uint32_t i = 0; i < late->cnt; i++) {
        line[n++] = ' ';
        kh_hex(late->bytes + 16 * (size_t)i, 16, line + n);
        n += 32;
    }
    kh_err err = kh_store_lookup_log(service->options.store, line);
    (void)err; /* the disk refuses: what stops the writer says so */
}

static void decide(const kh_ledger *l, kh_late *late)
{
    uint32_t rights = kh_access_rights(&late->who, KH_ASK_VERIFY);
    for (uint32_t i = 0; i < late->undecided_cnt; i++) {
        const kh_undecided *u = &late->undecided[i];
        kh_verdict verdict;
        kh_query_answer answer;
        bool probe;
        kh_ledger_verify(l, &u->question, 1, &verdict);
        kh_answer_of(rights, &u->question, &verdict, &answer, &probe);
        late->probes += probe;
        kh_query_answer_encode(&answer, late->bytes + u->at * KH_ANSWER_SZ);
    }
}

void kh_desk_questions(kh_service *service, kh_late *list)
{
    while (list != NULL) {
        kh_late *answered = NULL, **end = &answered;
        const kh_ledger *l = NULL;
        for (uint32_t n = 0; list != NULL && n < GATE_DATAGRAMS; n++) {
            kh_late *late = list;
            list = late->next;
            late->next = NULL;
            *end = late;
            end = &late->next;
            if (late->kind != KH_LATE_QUESTIONS) continue;
            if (l == NULL) l = kh_store_read_begin(service->options.store);
            decide(l, late);
        }
        if (l != NULL) kh_store_read_end(service->options.store);
        for (kh_late *next; answered != NULL; answered = next) {
            next = answered->next;
            if (answered->kind == KH_LATE_LOOKUP) write_down(service, answered);
            answered->next = NULL;
            kh_late_done(answered);
        }
    }
}

/* ---- operations: the datagrams that came together are one batch: one way to the store, and one way back ---- */

/* Outcomes come in order: leads_to is the datagram that the next one is of, or one before it. */
static void on_reply(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    kh_late *leader = ctx, *late = leader->leads_to;
    kh_op_answer answer;
    (void)time_ns;
    if (receipt == NULL) {
        for (late = leader; late != NULL; late = late->next) {
            late->lost = height == 0;
            late->as_of = height;
        }
        kh_late_done(leader);
        return;
    }
    while (op_index - late->first_op >= late->cnt) late = late->next;
    leader->leads_to = late;
    late->probes += kh_limit_probes(receipt);
    kh_op_answer_of_receipt(receipt, height, &answer);
    kh_op_answer_encode(&answer, late->bytes + (op_index - late->first_op) * KH_OP_ANSWER_SZ);
}

static void refuse(kh_late *late, kh_code code)
{
    kh_op_answer_encode(&(kh_op_answer){.code = code, .refused = 1}, late->bytes);
    late->cnt = 1;
    kh_late_done(late);
}

/* What the store has no time for goes back into the tray, for the desk. */
static void put_back(kh_service *service, kh_late *list)
{
    for (kh_late *next; list != NULL; list = next) {
        next = list->next;
        kh_tray_push(&service->operations.tray, list);
    }
}

/* Once submitted the group is no longer ours. False: it was put back, which at_once may lead to. */
static bool submit_group(kh_service *service, kh_late *leader, size_t n, uint32_t op_cnt, bool at_once)
{
    const kh_store_batch batch = {.ops = service->together, .ops_sz = n, .op_cnt = op_cnt, .reply = on_reply, .ctx = leader};
    kh_store *store = service->options.store;
    uint64_t ticket;
    if (leader == NULL) return true;
    leader->leads_to = leader;
    kh_err err = at_once ? kh_store_offer(store, &batch) : kh_store_submit(store, &batch, &ticket);
    if (err == KH_OK) return true;
    if (at_once && err == KH_E_AGAIN) {
        put_back(service, leader);
        return false;
    }
    for (kh_late *late = leader; late != NULL; late = late->next) late->lost = true;
    kh_late_done(leader);
    return true;
}

/* Is it admitted? Else it is answered. */
static bool admit(kh_service *service, kh_late *late)
{
    kh_code code;
    kh_err err =
        kh_submit_admit(service, &late->who, late->bytes, late->n, 1, KH_DATAGRAM_OPS_MAX, &late->cnt, &late->granted, &code);
    if (err == KH_OK && code == KH_C_OK) return true;
    refuse(late, code);
    return false;
}

/* Returns whether all of it went. What was put back once is admitted already. */
static bool submit_all(kh_service *service, kh_late *list, bool at_once)
{
    kh_late *leader = NULL, **end = &leader;
    uint32_t op_cnt = 0;
    size_t n = 0;
    bool all = true;
    for (kh_late *next; list != NULL; list = next) {
        next = list->next;
        list->next = NULL;
        if (list->cnt == 0 && !admit(service, list)) continue;
        if (leader != NULL && (leader->who.party != list->who.party || n + list->n > sizeof service->together)) {
            all &= submit_group(service, leader, n, op_cnt, at_once);
            end = &leader;
            op_cnt = 0;
            n = 0;
        }
        memcpy(service->together + n, list->bytes, list->n);
        list->first_op = op_cnt;
        n += list->n;
        op_cnt += list->cnt;
        *end = list;
        end = &list->next;
    }
    return submit_group(service, leader, n, op_cnt, at_once) && all;
}

void kh_desk_operations(kh_service *service, kh_late *list)
{
    (void)pthread_mutex_lock(&service->together_lock);
    (void)submit_all(service, list, false); /* waits until all of it went */
    (void)pthread_mutex_unlock(&service->together_lock);
}

bool kh_desk_operations_now(kh_service *service)
{
    if (pthread_mutex_trylock(&service->together_lock) != 0) return false;
    bool all = submit_all(service, kh_tray_take(&service->operations.tray), true);
    (void)pthread_mutex_unlock(&service->together_lock);
    return all;
}
