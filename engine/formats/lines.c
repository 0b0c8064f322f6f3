/* lines: see lines.h. */
#include "formats/lines.h"
#include "formats/columns.h"
#include "formats/item.h"
#include "formats/rows_open.h"

#include <stdio.h>
#include <stdlib.h>

#define NEEDED ((UINT64_C(1) << (KH_COL_DATE + 1)) - 1)
_Static_assert(KH_COL_KIND == 0 && KH_COL_DATE == 5, "the six stand first");

typedef struct slot {
    kh_item item;
    char texts[KH_COLUMNS_TEXT_SZ];
    char raw[256]; /* what a document's first line was, cut; a refused line is lent by the rows whole */
} slot;

struct kh_lines {
    kh_rows *rows;
    const kh_feed *feed;
    kh_kind kind;
    bool pending, stopped;
    uint32_t current; /* the slot of the pending document */
    uint64_t given;   /* items */
    slot slots[2];
};

kh_err kh_lines_open(kh_input *input, kh_format format, kh_kind kind, const kh_feed *feed, kh_lines **ret)
{
    kh_lines *l = calloc(1, sizeof *l);
    kh_err err = l == NULL ? KH_E_NOMEM : kh_rows_open_input(input, format, kh_import_columns, KH_COL_IMPORT_CNT, &l->rows);
    if (err != KH_OK) {
        kh_input_close(input);
        free(l);
        return err;
    }
    /* the six columns that every document needs; its kind may come from elsewhere */
    kh_rows_need(l->rows, kind != KH_KIND_ANY ? NEEDED & ~(UINT64_C(1) << KH_COL_KIND) : NEEDED);
    l->kind = kind;
    l->feed = feed;
    *ret = l;
    return KH_OK;
}

void kh_lines_close(kh_lines *l)
{
    if (l == NULL) return;
    kh_rows_close(l->rows);
    free(l);
}

const char *const *kh_lines_warnings(const kh_lines *l) { return kh_rows_warnings(l->rows); }

/* Copies an item without the room that it does not use. */
static bool give(kh_lines *l, kh_item *ret, const kh_item *item)
{
    const kh_op_document *d = &item->document;
    memcpy(ret, item, offsetof(kh_item, document.balances) + d->balance_cnt * sizeof d->balances[0]);
    if (d->ref_cnt != 0) {
        memcpy(ret->document.refs, d->refs, d->ref_cnt * sizeof d->refs[0]);
        memcpy(ret->ref_texts, item->ref_texts, d->ref_cnt * sizeof item->ref_texts[0]);
    }
    ret->raw = item->raw;
    ret->raw_n = item->raw_n;
    ret->contract_text = item->contract_text;
    l->given++;
    return true;
}

static bool refuse(kh_lines *l, kh_item *ret, uint64_t line, const char *why)
{
    kh_item_begin(ret, line, 0, l->feed);
    ret->code = KH_C_FORMAT;
    ret->why = why;
    l->given++;
    return true;
}

static bool same_key(const kh_op_document *a, const kh_op_document *b)
{
    return kh_text_equal(a->number, b->number) && a->kind == b->kind && kh_text_equal(a->issuer, b->issuer);
}

/* Whether b, of a's key, is one more currency of the same statement. */
static bool joins(const kh_op_document *a, const kh_op_document *b)
{
    if (a->balance_cnt == 0 || b->balance_cnt != 1 || a->doc_version != b->doc_version || a->issue_time != b->issue_time)
        return false;
    for (uint32_t i = 0; i < a->balance_cnt; i++)
        if (a->balances[i].currency == b->balances[0].currency) return false;
    return true;
}

static bool agrees(const kh_op_document *a, const kh_op_document *b)
{
    if (a->status != b->status || a->date != b->date || a->contract != b->contract || a->flags != b->flags ||
        a->ref_cnt != b->ref_cnt)
        return false;
    for (uint32_t i = 0; i < a->ref_cnt; i++)
        if (a->refs[i].role != b->refs[i].role || !kh_key_equal(&a->refs[i].key, &b->refs[i].key)) return false;
    return kh_text_equal(a->owner, b->owner);
}

/* Adds a line's balance to the pending document; false: the line is refused, in its own item. */
static bool join(slot *to, slot *from)
{
    kh_item_texts *texts = (kh_item_texts *)(void *)from->texts;
    const kh_op_balance *b = &from->item.document.balances[0];
    if (!agrees(&to->item.document, &from->item.document))
        return kh_item_refuse(
            &from->item, texts, KH_C_CONFLICT,
            "The line before has the same document in another currency, with another owner, date, status or reference.");
    if (to->item.document.balance_cnt == KH_DOC_BALANCES_MAX)
        return kh_item_refuse(&from->item, texts, KH_C_CAPACITY, "The document has amounts in more than %d currencies.",
                              KH_DOC_BALANCES_MAX);
    return kh_item_add_amount(&to->item, (kh_item_texts *)(void *)to->texts, b->currency, b->base);
}

static bool is_good(const kh_item *item) { return item->code == KH_C_OK || item->code == KH_C_CHECK_DIGIT; }

static bool at_end(kh_lines *l, kh_item *ret, kh_err err, kh_err *ret_err)
{
    if (err != KH_OK) {
        *ret_err = err;
        return false;
    }
    if (l->pending) {
        l->pending = false;
        return give(l, ret, &l->slots[l->current].item);
    }
    if (l->stopped || l->given != 0) return false;
    l->stopped = true;
    return refuse(l, ret, 1, "The file holds no line.");
}

bool kh_lines_next(kh_lines *l, kh_item *ret, kh_err *ret_err)
{
    while (!l->stopped) {
        kh_row_view row;
        kh_err err = KH_OK;
        uint64_t byte = kh_rows_offset(l->rows);
        if (!kh_rows_next(l->rows, &row, &err)) return at_end(l, ret, err, ret_err);
        slot *s = &l->slots[1 - l->current], *pending = &l->slots[l->current];
        kh_document_of_columns(&row, l->kind, l->feed, s->texts, sizeof s->texts, &s->item);
        s->item.byte = byte;
        if (!is_good(&s->item)) return give(l, ret, &s->item);
        const kh_op_document *d = &s->item.document;
        if (l->pending && same_key(&pending->item.document, d) && joins(&pending->item.document, d)) {
            if (!join(pending, s)) return give(l, ret, &s->item);
            continue;
        }
        s->item.raw_n = s->item.raw_n < sizeof s->raw ? s->item.raw_n : (uint32_t)sizeof s->raw;
        memcpy(s->raw, s->item.raw, s->item.raw_n);
        s->item.raw = s->raw;
        l->current = 1 - l->current;
        bool ready = l->pending;
        l->pending = true;
        if (ready) return give(l, ret, &pending->item);
    }
    return false;
}
