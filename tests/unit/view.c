/* view: what banks are answered and find, out of what hubs say and a quorum attested. */
#include "view_fixture.h"

Test(view, answers_when_final)
{
    begin();
    given a, b, c;
    uint8_t digest[32];
    uint64_t last = 0;
    (void)submit(2, &a);
    (void)submit(1, &b);
    order(5, digest, true);
    last = submit(1, &c);
    height_begin(5);
    for (uint32_t i = 0; i < 3; i++) put(applied(digest, i, 100 + i));
    made m = height_end(5, true);
    deliver(&m, HUB);
    cr_assert_eq(a.cnt + b.cnt, 0); /* not attested: not final */
    cr_assert_eq(kh_view_height(v), 0);
    attest(&m);
    cr_assert_eq(a.cnt, 2);
    cr_assert_eq(a.done, 1);
    cr_assert_eq(a.height, 5);
    cr_assert_eq(a.time_ns, 5000);
    cr_assert_eq(a.financings[1], 101);
    cr_assert_eq(b.cnt, 1);
    cr_assert_eq(b.financings[0], 102);
    cr_assert_eq(c.cnt, 0);
    cr_assert_eq(kh_view_height(v), 5);
    forget(&m);
    order(6, digest, true);
    height_begin(6);
    put(applied(digest, 0, 103));
    m = height_end(6, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert_eq(c.done, 1);
    const kh_store_driver *d = kh_view_driver(v);
    cr_assert_eq(d->wait(d->self, last), KH_OK);
    cr_assert_eq(alert_cnt, 0);
    forget(&m);
    end();
}

Test(view, financings_follow_their_receipts)
{
    begin();
    given g;
    made m = one(5, 100, &g);
    cr_assert(find(100));
    cr_assert_eq(seen.state, KH_FIN_APPLIED);
    cr_assert_eq(seen.hold_ns, 5000);
    cr_assert_eq(seen.height, 5);
    cr_assert_eq(seen.line_cnt, 1); /* the line that got nothing is none of it */
    cr_assert_eq(seen_lines[0].paper.kind, 3);
    cr_assert_eq(memcmp(seen_lines[0].paper.number, "N01", 3), 0);
    cr_assert_eq(seen_lines[0].line.amount, 5000);
    cr_assert_str_eq(seen.product, "invoice");
    forget(&m);
    static const struct {
        kh_event e;
        kh_fin_state state;
        uint64_t amount, moved;
    } steps[] = {{KH_EV_ACCEPT, KH_FIN_ACCEPTED, 5000, 0},
                 {KH_EV_APPROVE, KH_FIN_APPROVED, 5000, 0},
                 {KH_EV_DISBURSE, KH_FIN_DISBURSED, 5000, 5000},
                 {KH_EV_REPAY, KH_FIN_PART_REPAID, 5000, 2000},
                 {KH_EV_REPAY, KH_FIN_SETTLED, 5000, 3000}};
    for (uint32_t i = 0; i < 5; i++) {
        uint8_t digest[32];
        (void)submit(1, &g);
        order(6 + i, digest, true);
        height_begin(6 + i);
        put(event(digest, 0, 100, steps[i].e, steps[i].state, 2 + i, steps[i].amount, steps[i].moved));
        m = height_end(6 + i, true);
        deliver(&m, HUB);
        attest(&m);
        forget(&m);
        cr_assert(find(100));
        cr_assert_eq(seen.state, steps[i].state);
        cr_assert_eq(seen.version, 2 + i);
        cr_assert_eq(seen.height, 6 + i);
        cr_assert_eq(seen.hold_ns, i <= 1 ? 6000 : 0); /* an approved one lapses with its acceptance */
        cr_assert_eq(seen.line_cnt, 1);
        cr_assert_eq(memcmp(seen_lines[0].paper.number, "N01", 3), 0); /* an event's receipt does not say it: kept */
    }
    cr_assert_eq(seen.repaid, 5000);
    /* a refused event, and an answer given before, change nothing */
    uint8_t digest[32];
    (void)submit(2, &g);
    order(20, digest, true);
    height_begin(20);
    kh_output *o = event(digest, 0, 100, KH_EV_REVERSE, KH_FIN_REVERSED, 9, 1, 0);
    o->receipt.code = KH_C_BAD_STATE;
    put(o);
    o = event(digest, 1, 100, KH_EV_ACCEPT, KH_FIN_ACCEPTED, 2, 5000, 0);
    o->receipt.ref_height = 6;
    put(o);
    m = height_end(20, true);
    deliver(&m, HUB);
    attest(&m);
    cr_assert_eq(g.done, 1);
    cr_assert_eq(g.codes[0], KH_C_BAD_STATE);
    cr_assert(find(100));
    cr_assert_eq(seen.state, KH_FIN_SETTLED);
    cr_assert(!find(101));
    forget(&m);
    end();
}

Test(view, notices_change_and_alert)
{
    begin();
    given g;
    made m = one(5, 100, &g), n = one(6, 101, &g);
    fake_block(7);
    height_begin(7);
    put(notice(KH_NOTICE_LAPSED, 100, KH_FIN_LAPSED, 2));
    put(notice(KH_NOTICE_LINE_CANCELLED, 101, KH_FIN_LAPSED, 2));
    put(notice(KH_NOTICE_LINKED, 101, 0, 0)); /* history: no alert */
    made l = height_end(7, true);
    deliver(&l, HUB);
    attest(&l);
    cr_assert(find(100));
    cr_assert_eq(seen.state, KH_FIN_LAPSED);
    cr_assert_eq(seen.hold_ns, 0);
    cr_assert_eq(seen_lines[0].line.amount, 0);
    cr_assert_eq(seen_lines[0].line.allocated, 5000);
    cr_assert(find(101));
    cr_assert_eq(seen_lines[0].line.allocated, 0);
    kh_view_alerts(v, 0, on_told, NULL);
    cr_assert_eq(told_cnt, 2);
    cr_assert_eq(told[0].number, 3);
    cr_assert_eq(told[0].height, 7);
    cr_assert_eq(told[0].time_ns, 7000);
    cr_assert_eq(told[1].notice.type, KH_NOTICE_LINE_CANCELLED);
    cr_assert_eq(memcmp(told[1].paper.number, "N01", 3), 0);
    told_cnt = 0;
    kh_view_alerts(v, 3, on_told, NULL);
    cr_assert_eq(told_cnt, 1);
    forget(&m), forget(&n), forget(&l);
    end();
}

Test(view, told_late_that_it_was_ordered)
{
    begin();
    given g;
    uint8_t digest[32];
    (void)submit(2, &g);
    order(5, digest, false);
    height_begin(5);
    put(applied(digest, 0, 100));
    put(applied(digest, 1, 101));
    made m = height_end(5, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert_eq(kh_view_height(v), 5);
    cr_assert_eq(g.done, 0);
    kh_view_ordered(v, digest, 5, &fake.submitted[0].tag, &fake.submitted[0].op_cnt, 1);
    cr_assert_eq(g.done, 1);
    cr_assert_eq(g.cnt, 2);
    forget(&m);
    end();
}

Test(view, an_unopenable_batch_answers_all)
{
    begin();
    given a, b;
    uint8_t digest[32];
    (void)submit(3, &a);
    (void)submit(1, &b);
    order(5, digest, true);
    height_begin(5);
    memset(&out, 0, sizeof out);
    out.kind = KH_OUTPUT_RECEIPT;
    memcpy(out.batch, digest, 32);
    out.receipt = (kh_receipt){.type = KH_OP_REFUSED, .code = KH_C_UNOPENABLE, .party = BANK};
    put(&out);
    made m = height_end(5, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert_eq(a.cnt, 3);
    cr_assert_eq(a.codes[2], KH_C_UNOPENABLE);
    cr_assert_eq(a.done, 1);
    cr_assert_eq(b.done, 1);
    cr_assert_eq(alert_cnt, 0);
    forget(&m);
    end();
}

Test(view, a_full_node_and_others_operations)
{
    begin();
    given g;
    uint8_t bytes[256];
    size_t n;
    kh_op_line line = {.key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of("220120260123456789"), (kh_text){NULL, 0}),
                       .allocated = KH_AMOUNT_NONE,
                       .total = KH_AMOUNT_NONE};
    kh_op op = {.type = KH_OP_APPLY, .party = OTHER};
    op.apply = (kh_op_apply){.currency = 156, .amount = 1, .line_cnt = 1, .lines = &line};
    cr_assert_eq(kh_op_encode(&op, bytes, sizeof bytes, &n), KH_OK);
    const kh_store_driver *d = kh_view_driver(v);
    kh_store_batch batch = {.ops = bytes, .ops_sz = n, .op_cnt = 1, .reply = on_reply, .ctx = &g};
    uint64_t ticket;
    cr_assert_eq(d->submit(d->self, &batch, false, &ticket), KH_E_ARG); /* another's */
    kh_store32(bytes + 8, BANK);
    batch.op_cnt = 2;
    cr_assert_eq(d->submit(d->self, &batch, false, &ticket), KH_E_ARG); /* not so many */
    batch.op_cnt = 1;
    fake.node_full = true;
    cr_assert_eq(d->submit(d->self, &batch, false, &ticket), KH_E_AGAIN);
    fake.node_full = false;
    memset(&g, 0, sizeof g);
    cr_assert_eq(d->submit(d->self, &batch, false, &ticket), KH_OK);
    kh_view_close(v); /* nothing is known of it */
    cr_assert_eq(g.lost, 1);
    open_view();
    end();
}

/* Whoever was told that nothing is known is not told too that it was not taken: it would answer twice. */
static void end_view(void) { kh_view_end(v); }
Test(view, one_that_ends_while_the_node_is_full)
{
    begin();
    given g = {0};
    fake.node_full = true;
    fake.while_submitted = end_view;
    uint64_t ticket = submit(1, &g); /* KH_OK: it was answered */
    cr_assert(g.done == 1 && g.lost == 1);
    const kh_store_driver *d = kh_view_driver(v);
    cr_assert_eq(d->wait(d->self, ticket), KH_E_CLOSED);
    end();
    cr_assert_eq(g.done, 1);
}

/* What hubs are told is on disk here is. */
Test(view, hubs_are_told_what_is_on_disk)
{
    begin();
    given g;
    kh_view_tick(v);
    cr_assert_eq(sent_cnt, 1);
    cr_assert_eq(sent_above[0], 0);
    made m = one(5, 100, &g);
    for (uint32_t i = 0; i < 60; i++) kh_view_tick(v);
    cr_assert_eq(sent_cnt, 2);
    cr_assert_eq(sent_above[1], 5);
    fake.attested = 9; /* more is attested than came: asked for */
    for (uint32_t i = 0; i < 3; i++) kh_view_tick(v);
    cr_assert_eq(sent_cnt, 3);
    forget(&m);
    end();
}

/* With its thread. */
Test(view, by_a_thread)
{
    begin();
    kh_view_close(v);
    char why[200];
    kh_view_options o = view_options();
    o.inline_work = false;
    cr_assert_eq(kh_view_open(&o, why, sizeof why, &v), KH_OK, "%s", why);
    static given g[100];
    const kh_store_driver *d = kh_view_driver(v);
    for (uint32_t i = 0; i < 100; i++) {
        uint8_t digest[32];
        uint64_t ticket = submit(1, &g[i]);
        order(10 + i, digest, true);
        height_begin(10 + i);
        put(applied(digest, 0, 100 + i));
        made m = height_end(10 + i, true);
        deliver(&m, HUB);
        attest(&m);
        cr_assert_eq(d->wait(d->self, ticket), KH_OK);
        cr_assert_eq(g[i].done, 1);
        kh_view_tick(v);
        forget(&m);
    }
    uint64_t sum = state_sum();
    kh_view_close(v);
    open_view();
    cr_assert_eq(state_sum(), sum);
    cr_assert_eq(alert_cnt, 0);
    end();
}
