/* fuzz_xml: any bytes through detection and the XML readers; every item is looked at whole, and what is good must keep the
 * rules that operations have: a number, an owner for originals, balances and references in order. */
#include "formats/xml.h"

#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t sum_of(kh_text text)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < text.n; i++) sum += (uint8_t)text.p[i];
    return sum;
}

static void look_at(const kh_item *item)
{
    const kh_op_document *d = &item->document;
    volatile uint32_t seen = sum_of((kh_text){item->raw, item->raw_n});
    if (item->code != KH_C_OK && item->code != KH_C_CHECK_DIGIT) {
        KH_ASSERT(item->why != NULL && item->why[0] != 0);
        return;
    }
    seen += sum_of(d->number) + sum_of(d->issuer) + sum_of(d->owner) + sum_of(d->lrn) + sum_of(d->lrn_issuer) +
            sum_of(item->contract_text);
    (void)seen;
    KH_ASSERT(d->number.n > 0 && d->number.n <= KH_NUMBER_MAX && d->issuer.n <= KH_ISSUER_MAX && d->owner.n <= KH_ISSUER_MAX);
    KH_ASSERT(d->action >= KH_DOC_PUT && d->action < KH_DOC_ACTION_CNT && d->kind < KH_KIND_CNT);
    KH_ASSERT(d->action != KH_DOC_PUT || (d->owner.n > 0 && d->kind != KH_KIND_ANY));
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        KH_ASSERT(kh_currency_known(d->balances[i].currency) && d->balances[i].base <= KH_AMOUNT_MAX);
        KH_ASSERT(i == 0 || d->balances[i - 1].currency < d->balances[i].currency);
    }
    for (uint32_t i = 1; i < d->ref_cnt; i++) {
        int order = (int)d->refs[i].role - (int)d->refs[i - 1].role;
        KH_ASSERT(order > 0 || (order == 0 && memcmp(d->refs[i - 1].key.b, d->refs[i].key.b, 16) < 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kh_item item;
    kh_feed feed = {.source = 9, .channel_cnt = 1, .channels = {{"R", KH_STATUS_CLEARED}}};
    kh_format format;
    kh_xml *x;
    kh_err err = KH_OK;
    if (!kh_xml_detect(data, size, &format)) format = KH_FORMAT_AUTO;
    if (kh_xml_open(data, size, KH_FORMAT_AUTO, &feed, &x) != KH_OK) return 0;
    while (kh_xml_next(x, &item, &err)) look_at(&item);
    kh_xml_close(x);
    return 0;
}
