/* Unit tests of order: fixed bytes, certificates, incarnations, attestations. */
#include "order_fixture.h"
#include <criterion/criterion.h>
#include "log/envelope.h"
#include "order/inside.h"

_Static_assert(KH_BODY_MAX_SZ == KH_ENVELOPE_MAX_SZ, "what may be certified is what an envelope may be");

static chain c;

Test(order, a_batch_in_a_block)
{
    fx_begin(&c);
    uint8_t before[32], after[32];
    kh_order_app_hash(c.order, before);
    fx_next(&c, 0);
    kh_order_app_hash(c.order, after);
    cr_assert(memcmp(before, after, 32) == 0);
    fx_batch(&c, 11, 1);
    cr_assert(fx_process(&c));
    fx_next(&c, 100);
    kh_order_app_hash(c.order, after);
    cr_assert(memcmp(before, after, 32) != 0);
    cr_assert(c.block.codes[0] == KH_R_OK);
    cr_assert(c.block.item_cnt == 1 && c.block.items[0].kind == KH_ITEM_BATCH && c.block.items[0].sequence == 1);
    uint32_t incarnation;
    uint64_t sequence;
    cr_assert(kh_order_next(c.order, 11, &incarnation, &sequence) && incarnation == 1 && sequence == 2);
    fx_end(&c);
}
