/* view: life cycle, the thread, what a view is asked, and what it asks the hubs for. */
#include <stdio.h>
#include <stdlib.h>
#include "view/parts.h"

#define STILL_TICKS 3u /* that more may be attested than was taken before a hub is asked */
#define SAVE_TICKS 10u /* between two writes to the disk */
#define TELL_TICKS 50u /* between two words to the hubs of what is on disk here */
#define SAVE_SZ (8u << 20)
#define SNAPSHOT_SZ (256u << 20)

/* ---- life ---- */

static void *run(void *ctx)
{
    kh_view *v = ctx;
    for (bool open = true; open;) {
        kh_view_rest(v);
        (void)pthread_mutex_lock(&v->lock);
        open = !v->closing;
        bool save = v->save_due;
        v->save_due = false;
        (void)pthread_mutex_unlock(&v->lock);
        kh_view_work(v);
        if (save) kh_view_save(v);
    }
    return NULL;
}

static void read_chain(void *ctx, kh_order *order) { kh_order_chain(order, ((kh_view *)ctx)->chain); }

void kh_view_forget(kh_view *v)
{
    kh_view_table_free(&v->fins);
    for (uint32_t i = 0; i < v->alert_cnt; i++) free(v->alerts[i]);
    free(v->alerts);
    for (uint32_t i = 0; i < v->place_cnt; i++) free(v->places[i].bytes);
    free(v->places);
    kh_spool_free(&v->out);
    v->alerts = NULL;
    v->places = NULL;
    v->alert_cnt = v->alert_cap = v->place_cnt = v->place_cap = v->saved_cnt = 0;
    v->height = v->count = v->begins = 0;
    v->opened = false;
    memset(v->head, 0, sizeof v->head);
}

static void release(kh_view *v)
{
    while (v->held_cnt > 0) kh_view_held_drop(v, 0);
    kh_view_inbox_close(&v->inbox);
    kh_view_forget(v);
    kh_view_file_close(v, &v->segment);
    free(v->statements);
    (void)pthread_mutex_destroy(&v->lock);
    (void)pthread_cond_destroy(&v->done);
    explicit_bzero(v->disk_secret, sizeof v->disk_secret);
    free(v);
}

kh_err kh_view_open(const kh_view_options *options, char *why, size_t cap, kh_view **ret)
{
    if (options->kept == NULL || options->disk_secret == NULL || options->box == NULL) {
        (void)snprintf(why, cap, "a view needs the kept order, a box and a secret for its disk");
        return KH_E_ARG;
    }
    kh_view *v = calloc(1, sizeof *v);
    if (v != NULL) v->statements = calloc(KH_VIEW_STATEMENTS, sizeof *v->statements);
    if (v == NULL || v->statements == NULL) {
        free(v);
        (void)snprintf(why, cap, "%s", kh_err_text(KH_E_NOMEM));
        return KH_E_NOMEM;
    }
    v->options = *options;
    if (v->options.snapshot_sz == 0) v->options.snapshot_sz = SNAPSHOT_SZ;
    memcpy(v->disk_secret, options->disk_secret, sizeof v->disk_secret);
    (void)snprintf(v->dir, sizeof v->dir, "%s/view", options->dir);
    (void)pthread_mutex_init(&v->lock, NULL);
    kh_view_inbox_open(&v->inbox);
    (void)pthread_cond_init(&v->done, NULL);
    kh_view_answer_start(v);
    kh_node_read(options->node, read_chain, v);
    kh_err err = kh_view_recover(v, why, cap);
    if (err == KH_OK && !options->inline_work && pthread_create(&v->thread, NULL, run, v) != 0) {
        (void)snprintf(why, cap, "no thread could be made");
        err = KH_E_NOMEM;
    }
    if (err != KH_OK) {
        release(v);
        return err;
    }
    v->has_thread = !options->inline_work;
    *ret = v;
    return KH_OK;
}

void kh_view_end(kh_view *v)
{
    (void)pthread_mutex_lock(&v->lock);
    bool ended = v->closing;
    v->closing = true;
    kh_view_stir(v);
    (void)pthread_mutex_unlock(&v->lock);
    if (ended) return;
    if (v->has_thread) (void)pthread_join(v->thread, NULL);
    kh_view_save(v);
    (void)pthread_mutex_lock(&v->lock);
    kh_view_fetch(v);
    kh_view_answer_none(v);
    (void)pthread_mutex_unlock(&v->lock);
}

void kh_view_close(kh_view *v)
{
    if (v == NULL) return;
    kh_view_end(v);
    release(v);
}

/* ---- asking hubs ---- */

typedef struct asked { /* of the node, its lock and not the view's held */
    kh_order_hubs hubs;
    uint64_t base, attested, pending; /* pending: the highest batch at or below base that is not attested yet; 0: none */
} asked;

static void read_hubs(void *ctx, kh_order *order)
{
    asked *a = ctx;
    uint8_t posted[32];
    kh_order_hub_set(order, &a->hubs);
    a->attested = kh_order_attested(order, posted);
    a->pending = kh_order_unattested_upto(order, a->base);
}

/* Up to where outputs come of what was ordered at or below a given order's height: that height itself may be of a block that hubs
   do not execute, and nothing be executed behind it for as long as nobody asks for anything. */
static uint64_t owed_upto(const kh_view *v, const asked *a)
{
    return kh_min64(a->base, kh_max64(kh_max64(a->attested, v->highest), a->pending));
}

/* statements_wanted looks for what the node holds of the packages that wait. */
static void statements_wanted(kh_view *v)
{
    uint64_t heights[KH_VIEW_WAITING];
    uint32_t n = 0;
    (void)pthread_mutex_lock(&v->lock);
    for (uint32_t i = 0; i < v->held_cnt; i++)
        if (kh_view_statement(v, v->held[i].package.height) == NULL) heights[n++] = v->held[i].package.height;
    (void)pthread_mutex_unlock(&v->lock);
    for (uint32_t i = 0; i < n; i++) {
        kh_attestation a;
        if (!kh_node_attested_root(v->options.node, heights[i], &a)) continue;
        (void)pthread_mutex_lock(&v->lock);
        kh_view_statement_add(v, &a);
        (void)pthread_mutex_unlock(&v->lock);
    }
}

/* next_hub goes round, past the one that was just found out where there is another. */
static uint32_t next_hub(kh_view *v, const kh_order_hubs *hubs)
{
    for (uint32_t i = 0; i < hubs->cnt; i++) {
        uint32_t hub = hubs->ids[v->asked_nth++ % hubs->cnt];
        if (hub != v->bad_hub || hubs->cnt == 1) return hub;
    }
    return hubs->ids[0];
}

void kh_view_tick(kh_view *v)
{
    asked a = {.base = kh_kept_base(v->options.kept)};
    uint32_t to[KH_MEMBERS_MAX], to_cnt = 0;
    kh_node_read(v->options.node, read_hubs, &a);
    statements_wanted(v);
    (void)pthread_mutex_lock(&v->lock);
    v->ticks++;
    v->owed_base = a.base;
    v->owed = owed_upto(v, &a);
    for (uint32_t i = 0; i < v->held_cnt; i++) v->held[i].gap_ticks += v->held[i].gap;
    bool behind = kh_max64(a.attested, v->highest) > v->height;
    v->ticks_still = behind ? v->ticks_still + 1 : 0;
    bool tell = v->ticks == 1 || (v->ticks % TELL_TICKS == 0 && v->counts.durable_height > v->told_durable);
    if (tell) {
        for (; to_cnt < a.hubs.cnt; to_cnt++) to[to_cnt] = a.hubs.ids[to_cnt];
    } else if (a.hubs.cnt > 0 && (v->ask_now || (behind && v->ticks_still >= STILL_TICKS))) {
        to[to_cnt++] = next_hub(v, &a.hubs);
        v->ticks_still = 0;
        v->counts.asked++;
    }
    v->ask_now = false;
    uint8_t from[8];
    kh_store64(from, v->counts.durable_height);
    if (tell) v->told_durable = v->counts.durable_height;
    bool save = v->ticks % SAVE_TICKS == 0 || v->unsaved_sz >= SAVE_SZ;
    v->save_due = v->save_due || save;
    kh_view_stir(v);
    (void)pthread_mutex_unlock(&v->lock);
    for (uint32_t i = 0; i < to_cnt; i++) v->options.send(v->options.ctx, to[i], KH_MSG_OUTPUTS_FROM, from, sizeof from);
    if (!v->options.inline_work) return;
    kh_view_work(v);
    if (save) kh_view_save(v);
}

/* ---- what is asked ---- */

const kh_store_driver *kh_view_driver(kh_view *v) { return &v->driver; }

uint32_t kh_view_party(const kh_view *v) { return v->options.party; }

uint64_t kh_view_height(kh_view *v)
{
    (void)pthread_mutex_lock(&v->lock);
    uint64_t height = v->height;
    (void)pthread_mutex_unlock(&v->lock);
    return height;
}

bool kh_view_whole(kh_view *v, kh_view_gap *ret)
{
    ret->base = kh_kept_base(v->options.kept);
    (void)pthread_mutex_lock(&v->lock);
    ret->coming = v->height < (v->owed_base == ret->base ? v->owed : ret->base);
    ret->lacking = v->begins;
    (void)pthread_mutex_unlock(&v->lock);
    return !ret->coming && ret->lacking == 0;
}

bool kh_view_opening_lacks(kh_view *v) { return kh_view_opening_said(v) && !v->opened; }

static void show(kh_view *v, kh_view_fin *f, kh_view_financing *ret)
{
    *ret = (kh_view_financing){.id = f->id,
                               .amount = f->amount,
                               .repaid = f->repaid,
                               .height = f->height,
                               .hold_ns = f->hold_ns,
                               .enterprise = f->enterprise,
                               .version = f->version,
                               .currency = f->currency,
                               .state = f->state,
                               .whole = f->product_n > 0 || (v->opened && v->begins == 0),
                               .lines = v->lines};
    memcpy(ret->product, f->rest, f->product_n);
    for (uint8_t *at = NULL; kh_view_fin_line(f, &at) && ret->line_cnt < KH_LINES_MAX;) {
        kh_view_line *line = &v->lines[ret->line_cnt++];
        line->line = (kh_receipt_line){.amount = kh_load64(at + 16),
                                       .allocated = kh_load64(at + 24),
                                       .currency = kh_load16(at + 32),
                                       .code = kh_load16(at + 34)};
        memcpy(line->line.key.b, at, 16);
        line->paper = (kh_paper_text){.kind = at[36], .number_n = at[37], .issuer_n = at[38]};
        memcpy(line->paper.number, at + KH_VIEW_LINE_SZ, at[37]);
        memcpy(line->paper.issuer, at + KH_VIEW_LINE_SZ + at[37], at[38]);
    }
}

bool kh_view_find(kh_view *v, uint64_t id, void (*f)(void *ctx, const kh_view_financing *financing), void *ctx)
{
    kh_view_financing shown;
    (void)pthread_mutex_lock(&v->lock);
    kh_view_fin **fin = kh_view_table_find(&v->fins, id);
    if (fin != NULL) {
        show(v, *fin, &shown);
        f(ctx, &shown);
    }
    (void)pthread_mutex_unlock(&v->lock);
    return fin != NULL;
}

void kh_view_each(kh_view *v, bool from_first, uint64_t after, bool (*f)(void *ctx, const kh_view_financing *financing),
                  void *ctx)
{
    kh_view_financing shown;
    (void)pthread_mutex_lock(&v->lock);
    kh_view_table *t = &v->fins;
    if (kh_view_table_order(t) == KH_OK) {
        uint32_t low = 0, high = t->sorted_cnt;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (t->sorted[middle] < after || (t->sorted[middle] == after && !from_first)) low = middle + 1;
            else high = middle;
        }
        for (bool more = true; more && low < t->sorted_cnt; low++) {
            show(v, *kh_view_table_find(t, t->sorted[low]), &shown);
            more = f(ctx, &shown);
        }
    }
    (void)pthread_mutex_unlock(&v->lock);
}

void kh_view_alerts(kh_view *v, uint64_t after_number, bool (*f)(void *ctx, const kh_view_alert *alert), void *ctx)
{
    (void)pthread_mutex_lock(&v->lock);
    uint32_t low = 0, high = v->alert_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (v->alerts[middle]->number <= after_number) low = middle + 1;
        else high = middle;
    }
    for (bool more = true; more && low < v->alert_cnt; low++) {
        const kh_view_told *t = v->alerts[low];
        kh_view_alert alert = {.height = t->height, .number = t->number, .time_ns = t->time_ns, .notice = t->notice};
        alert.paper = (kh_paper_text){.kind = t->kind, .number_n = t->number_n, .issuer_n = t->issuer_n};
        memcpy(alert.paper.number, t->texts, t->number_n);
        memcpy(alert.paper.issuer, t->texts + t->number_n, t->issuer_n);
        more = f(ctx, &alert);
    }
    (void)pthread_mutex_unlock(&v->lock);
}

kh_err kh_view_proof(kh_view *v, uint64_t financing, uint64_t *ret_height, uint32_t *ret_item, uint8_t **ret_package,
                     size_t *ret_n)
{
    uint64_t time_ns;
    (void)pthread_mutex_lock(&v->lock);
    kh_view_fin **fin = kh_view_table_find(&v->fins, financing);
    kh_err err = fin != NULL ? kh_view_package_at(v, (*fin)->receipt_height, ret_package, ret_n, &time_ns) : KH_E_NOT_FOUND;
    if (err == KH_OK) {
        *ret_height = (*fin)->receipt_height;
        *ret_item = (*fin)->item;
    }
    (void)pthread_mutex_unlock(&v->lock);
    return err;
}

void kh_view_count(kh_view *v, kh_view_counts *ret)
{
    (void)pthread_mutex_lock(&v->lock);
    *ret = v->counts;
    ret->height = v->height;
    ret->outputs = v->count;
    ret->financings = v->fins.cnt;
    ret->alerts = v->alert_cnt;
    (void)pthread_mutex_lock(&v->inbox.lock);
    ret->waiting = v->held_cnt + v->inbox.parcel_cnt;
    ret->dropped += v->inbox.dropped;
    (void)pthread_mutex_unlock(&v->inbox.lock);
    (void)pthread_mutex_unlock(&v->lock);
}
