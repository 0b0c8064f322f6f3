/* state: what outputs change in a view: receipts of applications and events, notices of lapsed and cancelled holds; what is
 * told of documents becomes an alert. */
#include <stdlib.h>
#include "view/parts.h"
#include "crypto/digest.h"

static void put_line(uint8_t *at, const kh_receipt_line *line, const kh_paper_text *paper)
{
    memcpy(at, line->key.b, 16);
    kh_store64(at + 16, line->amount);
    kh_store64(at + 24, line->allocated);
    kh_store16(at + 32, line->currency);
    kh_store16(at + 34, line->code);
    at[36] = paper != NULL ? paper->kind : 0;
    at[37] = paper != NULL ? paper->number_n : 0;
    at[38] = paper != NULL ? paper->issuer_n : 0;
    at[39] = 0;
    if (paper == NULL) return;
    memcpy(at + KH_VIEW_LINE_SZ, paper->number, paper->number_n);
    memcpy(at + KH_VIEW_LINE_SZ + paper->number_n, paper->issuer, paper->issuer_n);
}

/* Lines of an application that got nothing are not part of the financing. */
static bool is_part(const kh_output *o, uint32_t i)
{
    return o->kind == KH_OUTPUT_OPENING || o->receipt.type == KH_OP_EVENT || o->lines[i].allocated != 0;
}

static kh_view_fin *fin_of(const kh_output *o)
{
    size_t product_n = strlen(o->product), rest = product_n;
    for (uint32_t i = 0; i < o->receipt.line_cnt; i++) {
        if (!is_part(o, i)) continue;
        rest += KH_VIEW_LINE_SZ;
        if (i < o->paper_cnt) rest += (size_t)o->papers[i].number_n + o->papers[i].issuer_n;
    }
    kh_view_fin *f = calloc(1, sizeof *f + rest);
    if (f == NULL) return NULL;
    f->id = o->receipt.financing;
    f->enterprise = o->receipt.enterprise;
    f->currency = o->receipt.currency;
    f->product_n = (uint8_t)product_n;
    f->rest_sz = (uint32_t)rest;
    memcpy(f->rest, o->product, product_n);
    uint8_t *at = f->rest + product_n;
    for (uint32_t i = 0; i < o->receipt.line_cnt; i++) {
        if (!is_part(o, i)) continue;
        put_line(at, &o->lines[i], i < o->paper_cnt ? &o->papers[i] : NULL);
        at += KH_VIEW_LINE_SZ + at[37] + at[38];
        f->line_cnt++;
    }
    return f;
}

static void hold(kh_view_fin *f, uint8_t event, uint64_t time_ns)
{
    if (event == KH_EV_APPLY || event == KH_EV_ACCEPT) f->hold_ns = time_ns;
    /* an approval leaves the acceptance's as it is */
    if (f->state != KH_FIN_APPLIED && f->state != KH_FIN_ACCEPTED && f->state != KH_FIN_APPROVED) f->hold_ns = 0;
}

static kh_err receipt(kh_view *v, const kh_output *o, uint64_t height, uint32_t item, uint64_t time_ns)
{
    const kh_receipt *r = &o->receipt;
    /* refused, or answered before: nothing was changed */
    if ((r->type != KH_OP_APPLY && r->type != KH_OP_EVENT) || r->code != KH_C_OK || r->ref_height != 0) return KH_OK;
    kh_view_fin **found = kh_view_table_find(&v->fins, r->financing), *f = found != NULL ? *found : NULL;
    if (f == NULL) {
        f = fin_of(o);
        kh_err err = f != NULL ? kh_view_table_add(&v->fins, f) : KH_E_NOMEM;
        if (err != KH_OK) {
            free(f);
            return err;
        }
    } else if (f->line_cnt == r->line_cnt) {
        uint32_t i = 0;
        for (uint8_t *at = NULL; kh_view_fin_line(f, &at); i++) {
            kh_store64(at + 16, o->lines[i].amount);
            kh_store64(at + 24, o->lines[i].allocated);
        }
    }
    f->state = r->state;
    f->version = r->version;
    f->amount = r->amount;
    if (r->event == KH_EV_REPAY) f->repaid += r->moved;
    f->height = f->receipt_height = height;
    f->item = item;
    hold(f, r->event, time_ns);
    return KH_OK;
}

static void change_by_notice(kh_view *v, const kh_notice *n, uint64_t height)
{
    kh_view_fin **found = n->has_financing ? kh_view_table_find(&v->fins, n->financing) : NULL;
    if (found == NULL || (n->type != KH_NOTICE_LAPSED && n->type != KH_NOTICE_LINE_CANCELLED)) return;
    kh_view_fin *f = *found;
    f->state = n->state;
    f->version = n->version;
    f->amount = n->amount;
    f->height = height;
    hold(f, KH_EV_NONE, 0);
    for (uint8_t *at = NULL; kh_view_fin_line(f, &at);) {
        if (n->type == KH_NOTICE_LINE_CANCELLED && (memcmp(at, n->key.b, 16) != 0 || kh_load16(at + 32) != n->currency)) continue;
        kh_store64(at + 16, 0);
        if (n->type == KH_NOTICE_LINE_CANCELLED) kh_store64(at + 24, 0);
    }
}

kh_err kh_view_opens(kh_view *v, const kh_output *o)
{
    const kh_receipt *r = &o->receipt;
    if (kh_view_table_find(&v->fins, r->financing) != NULL) return KH_E_FORMAT;
    kh_view_fin *f = fin_of(o);
    if (f == NULL) return KH_E_NOMEM;
    f->state = r->state;
    f->version = r->version;
    f->amount = r->amount;
    f->repaid = r->moved;
    f->height = o->since;
    f->hold_ns = o->hold_ns;
    kh_err err = kh_view_table_add(&v->fins, f);
    if (err != KH_OK) free(f);
    return err;
}

kh_err kh_view_told_add(kh_view *v, kh_view_told *told)
{
    if (v->alert_cnt == v->alert_cap) {
        uint32_t cap = v->alert_cap == 0 ? 64 : v->alert_cap * 2;
        kh_view_told **more = realloc(v->alerts, cap * sizeof(kh_view_told *));
        if (more == NULL) return KH_E_NOMEM;
        v->alerts = more;
        v->alert_cap = cap;
    }
    v->alerts[v->alert_cnt++] = told;
    return KH_OK;
}

static kh_err tell(kh_view *v, const kh_output *o, uint64_t height, uint64_t number, uint64_t time_ns)
{
    const kh_notice *n = &o->notice;
    if (n->type < KH_NOTICE_LAPSED || n->type > KH_NOTICE_SIMILAR) return KH_OK; /* history only */
    const kh_paper_text *paper = o->paper_cnt > 0 ? &o->papers[0] : NULL;
    size_t texts = paper != NULL ? (size_t)paper->number_n + paper->issuer_n : 0;
    kh_view_told *told = calloc(1, sizeof *told + texts);
    if (told == NULL) return KH_E_NOMEM;
    told->height = height;
    told->number = number;
    told->time_ns = time_ns;
    told->notice = *n;
    if (paper != NULL) {
        told->has_paper = 1;
        told->kind = paper->kind;
        told->number_n = paper->number_n;
        told->issuer_n = paper->issuer_n;
        memcpy(told->texts, paper->number, paper->number_n);
        memcpy(told->texts + paper->number_n, paper->issuer, paper->issuer_n);
    }
    kh_err err = kh_view_told_add(v, told);
    if (err != KH_OK) free(told);
    return err;
}

kh_err kh_view_apply(kh_view *v, const kh_package *package, uint64_t time_ns)
{
    kh_output *o = &v->output;
    for (uint32_t i = 0; i < package->item_cnt; i++) {
        if (kh_payload_decode(package->items[i].payload, package->items[i].payload_sz, o) != KH_OK) return KH_E_FORMAT;
        if (o->kind == KH_OUTPUT_RECEIPT) kh_view_table_prefetch(&v->fins, o->receipt.financing);
    }
    for (uint32_t i = 0; i < package->item_cnt; i++) {
        const kh_package_item *item = &package->items[i];
        kh_err err = kh_payload_decode(item->payload, item->payload_sz, o);
        if (err == KH_OK && o->kind == KH_OUTPUT_RECEIPT) err = receipt(v, o, package->height, i, time_ns);
        else if (err == KH_OK) {
            change_by_notice(v, &o->notice, package->height);
            err = tell(v, o, package->height, package->count_before + i + 1, time_ns);
        }
        if (err != KH_OK) return err;
    }
    v->height = package->height;
    v->count = package->count;
    memcpy(v->head, package->head, 32);
    return KH_OK;
}
