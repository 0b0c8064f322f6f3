/* take: packages from when they come until they are taken or dropped; what was attested of them. */
#include <stdlib.h>
#include "view/parts.h"

#define GAP_TICKS 20u    /* that a gap may stay open before who sent what is behind it is named */
#define BEGIN_TICKS 100u /* that hubs are asked for what is before an empty view's first package, each many times */

void kh_view_warn(kh_view *v, const char *word, uint32_t member, uint64_t height)
{
    if (v->warning_cnt < KH_VIEW_WARNINGS) v->warnings[v->warning_cnt++] = (kh_view_warning){word, member, height};
}

/* ---- statements ---- */

static uint32_t place_of(const kh_view *v, uint64_t height)
{
    uint32_t low = 0, high = v->statement_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (v->statements[middle].height < height) low = middle + 1;
        else high = middle;
    }
    return low;
}

const kh_attestation *kh_view_statement(const kh_view *v, uint64_t height)
{
    uint32_t at = place_of(v, height);
    return at < v->statement_cnt && v->statements[at].height == height ? &v->statements[at] : NULL;
}

static void statements_forget(kh_view *v)
{
    uint32_t gone = place_of(v, v->height + 1);
    memmove(v->statements, v->statements + gone, (v->statement_cnt - gone) * sizeof *v->statements);
    v->statement_cnt -= gone;
}

/* The first counts, but for one of more losses: it is of what the height is now. */
void kh_view_statement_add(kh_view *v, const kh_attestation *a)
{
    uint32_t at = place_of(v, a->height);
    v->highest = kh_max64(v->highest, a->height);
    if (a->height <= v->height) return;
    if (kh_view_statement(v, a->height) != NULL) {
        if (kh_attest_losses(a->flags) > kh_attest_losses(v->statements[at].flags)) v->statements[at] = *a;
        return;
    }
    if (v->statement_cnt == KH_VIEW_STATEMENTS) {
        if (a->height > v->statements[v->statement_cnt - 1].height) return; /* the node has it when its package comes */
        v->statement_cnt--;
    }
    memmove(v->statements + at + 1, v->statements + at, (v->statement_cnt - at) * sizeof *v->statements);
    v->statements[at] = *a;
    v->statement_cnt++;
}

/* ---- packages ---- */

void kh_view_held_drop(kh_view *v, uint32_t i)
{
    v->waiting_sz -= v->held[i].n;
    free(v->held[i].bytes);
    kh_package_free(&v->held[i].package);
    v->held[i] = v->held[--v->held_cnt];
}

static bool known(const kh_view *v, const kh_package *package)
{
    for (uint32_t i = 0; i < v->held_cnt; i++)
        if (v->held[i].package.height == package->height && memcmp(v->held[i].package.root, package->root, 32) == 0) return true;
    return package->height <= v->height;
}

/* The one of the greatest height makes room: it can be asked for again. */
static uint32_t farthest(const kh_view *v)
{
    uint32_t at = 0;
    for (uint32_t i = 1; i < v->held_cnt; i++)
        if (v->held[i].package.height > v->held[at].package.height) at = i;
    return at;
}

static void hold(kh_view *v, kh_view_held *held)
{
    if (!known(v, &held->package)) {
        v->held[v->held_cnt++] = *held;
        v->waiting_sz += held->n;
        if (v->held_cnt == KH_VIEW_WAITING || v->waiting_sz > KH_VIEW_WAITING_SZ) {
            kh_view_held_drop(v, farthest(v));
            v->counts.dropped++;
        }
        return;
    }
    free(held->bytes);
    kh_package_free(&held->package);
}

/* Hubs keep parcels as they were sealed: those of before the bank's key was changed are to the old one. */
static bool opens_with(const kh_view *v, const kh_box *box, const kh_view_parcel *parcel, uint64_t *ret_height, kh_view_held *ret)
{
    const kh_view_options *o = &v->options;
    return box != NULL &&
           kh_parcel_open(o->suite, box, v->chain, o->party, parcel->bytes, parcel->n, ret_height, &ret->bytes, &ret->n);
}

static void open_parcel(kh_view *v, const kh_view_parcel *parcel)
{
    const kh_view_options *o = &v->options;
    kh_view_held held = {.hub = parcel->hub};
    uint64_t height = 0;
    bool opens = opens_with(v, o->box, parcel, &height, &held) || opens_with(v, o->box_old, parcel, &height, &held);
    kh_err err = opens ? kh_package_read(held.bytes, held.n, v->chain, &held.package) : KH_E_FORMAT;
    bool good = err == KH_OK && held.package.party == o->party && held.package.height == height;
    (void)pthread_mutex_lock(&v->lock);
    if (good) hold(v, &held);
    else {
        if (err == KH_OK) kh_package_free(&held.package);
        free(held.bytes);
        v->counts.dropped++;
        v->ask_now = true;
        v->bad_hub = parcel->hub;
        if (err != KH_E_NOMEM) kh_view_warn(v, "BAD_PACKAGE", parcel->hub, height);
    }
    (void)pthread_mutex_unlock(&v->lock);
}

static void take(kh_view *v, uint32_t i, uint64_t time_ns)
{
    kh_view_held *held = &v->held[i];
    kh_err err = kh_view_apply(v, &held->package, time_ns);
    if (err == KH_E_FORMAT) {
        kh_view_warn(v, "BAD_PACKAGE", held->hub, held->package.height);
        v->bad_hub = held->hub;
        v->ask_now = true;
        v->counts.dropped++;
        kh_view_held_drop(v, i);
        return;
    }
    bool kept = held->package.item_cnt > 0;
    if (err == KH_OK && kept)
        err = kh_view_place_add(
            v, &(kh_view_place){
                   .height = held->package.height, .time_ns = time_ns, .size = (uint32_t)held->n, .bytes = held->bytes});
    if (err != KH_OK) {
        v->failed = err;
        return;
    }
    kh_view_answer(v, &held->package, time_ns);
    v->counts.taken++;
    v->ticks_still = 0;
    if (kept) {
        v->waiting_sz -= held->n; /* its bytes are the place's now */
        v->unsaved_sz += held->n;
        held->n = 0;
        held->bytes = NULL;
    }
    kh_view_held_drop(v, i);
}

/* ---- an empty view behind an order that was given ---- */

bool kh_view_may_begin(const kh_view *v)
{
    return v->count == 0 && v->place_cnt == 0 && v->height < kh_kept_base(v->options.kept);
}

void kh_view_begin(kh_view *v, const kh_package *package)
{
    v->begins = v->count = package->count_before;
    memcpy(v->head, package->head_before, sizeof v->head);
    kh_view_table_free(&v->fins); /* what it began with at the genesis is not how it stands behind what lacks */
    v->height = kh_max64(v->height, package->height - 1); /* receipts of before are with what lacks */
    for (uint32_t i = 0; i < v->held_cnt; i++) v->held[i].gap_ticks = 0;
}

static bool is_lowest(const kh_view *v, uint32_t nth)
{
    for (uint32_t i = 0; i < v->held_cnt; i++)
        if (v->held[i].package.height < v->held[nth].package.height) return false;
    return true;
}

/* step takes or drops one package; false: there is nothing to do. */
static bool step(kh_view *v)
{
    for (uint32_t i = 0; i < v->held_cnt; i++) {
        const char *word = NULL;
        uint64_t time_ns = 0;
        if (v->held[i].package.height <= v->height) {
            kh_view_held_drop(v, i);
            return true;
        }
        kh_view_verdict verdict = kh_view_judge(v, &v->held[i], &word, &time_ns);
        if (verdict == KH_VIEW_TAKE) {
            take(v, i, time_ns);
            return v->failed == KH_OK;
        }
        v->held[i].gap = verdict == KH_VIEW_GAP;
        if (verdict == KH_VIEW_GAP && kh_view_may_begin(v)) {
            if (v->held[i].gap_ticks <= BEGIN_TICKS || !is_lowest(v, i)) continue;
            kh_view_begin(v, &v->held[i].package);
            return true;
        }
        if (verdict == KH_VIEW_GAP && v->held[i].gap_ticks > GAP_TICKS) {
            verdict = KH_VIEW_DROP;
            word = "WITHHELD_OUTPUTS";
        }
        if (verdict != KH_VIEW_DROP) continue;
        if (word != NULL) kh_view_warn(v, word, v->held[i].hub, v->held[i].package.height);
        v->bad_hub = v->held[i].hub;
        v->ask_now = true;
        v->counts.dropped++;
        kh_view_held_drop(v, i);
        return true;
    }
    return false;
}

static void tell_warnings(kh_view *v)
{
    kh_view_warning warnings[KH_VIEW_WARNINGS];
    (void)pthread_mutex_lock(&v->lock);
    uint32_t cnt = v->warning_cnt;
    memcpy(warnings, v->warnings, cnt * sizeof *warnings);
    v->warning_cnt = 0;
    (void)pthread_mutex_unlock(&v->lock);
    for (uint32_t i = 0; i < cnt; i++)
        if (v->options.alert != NULL) v->options.alert(v->options.ctx, warnings[i].word, warnings[i].member, warnings[i].height);
}

void kh_view_work(kh_view *v)
{
    for (bool more = true; more;) {
        kh_view_parcel *parcel = kh_view_parcel_next(v);
        if (parcel != NULL) open_parcel(v, parcel);
        free(parcel);
        for (more = true; more;) { /* others may look between two */
            (void)pthread_mutex_lock(&v->lock);
            kh_view_fetch(v);
            more = v->failed == KH_OK && v->unsaved_sz < KH_VIEW_UNSAVED_SZ && step(v);
            (void)pthread_mutex_unlock(&v->lock);
        }
        (void)pthread_mutex_lock(&v->lock);
        statements_forget(v);
        kh_view_answer_late(v);
        if (v->failed != KH_OK) kh_view_answer_none(v);
        more = parcel != NULL && !v->closing;
        (void)pthread_mutex_unlock(&v->lock);
        tell_warnings(v);
    }
}
