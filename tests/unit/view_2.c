/* view, hubs that lie and packages out of order: what is not taken and whom that names, what is waited for. */
#include "view_fixture.h"

Test(view, an_altered_package_is_not_taken)
{
    begin();
    fake.hub_cnt = 2;
    fake.hubs[1] = HUB2;
    given g;
    uint8_t digest[32];
    (void)submit(1, &g);
    order(5, digest, true);
    height_begin(5);
    kh_output *o = applied(digest, 0, 100);
    o->receipt.amount = 9999; /* what the lying hub says */
    o->lines[0].amount = 9999;
    put(o);
    made lie = height_end(5, false);
    height_begin(5);
    put(applied(digest, 0, 100));
    made truth = height_end(5, true);
    attest(&truth);
    kh_view_tick(v); /* the first tells all hubs where this view stands */
    sent_cnt = 0;
    deliver(&lie, HUB);
    expect_alert("DIFFERING_OUTPUTS", HUB, 5);
    cr_assert_eq(kh_view_height(v), 0);
    cr_assert(!find(100));
    cr_assert_eq(g.done, 0);
    kh_view_tick(v);
    cr_assert_eq(sent_cnt, 1);
    cr_assert_eq(sent_to[0], HUB2); /* another is asked */
    deliver(&truth, HUB2);
    cr_assert_eq(g.done, 1);
    cr_assert(find(100));
    cr_assert_eq(seen.amount, 5000);
    /* bytes changed on the way: not even a package */
    made next = one(6, 101, &g);
    next.parcel[next.parcel_n / 2] ^= 1;
    deliver(&next, HUB);
    cr_assert_eq(alert_cnt, 1);
    cr_assert_str_eq(alerts[0].word, "BAD_PACKAGE");
    forget(&lie), forget(&truth), forget(&next);
    end();
}

/* Its key was changed: what hubs have sealed to the one before is opened by that one, and no other is. */
Test(view, what_is_sealed_to_the_key_before_is_taken)
{
    static int nobodys;
    given g;
    begin();
    fake.sealed_to = (kh_box *)&nobodys;
    made first = one(5, 100, &g);
    expect_alert("BAD_PACKAGE", HUB, 0);
    cr_assert(!find(100));
    fake.sealed_to = (kh_box *)&box_old;
    deliver(&first, HUB);
    cr_assert(alert_cnt == 0 && kh_view_height(v) == 5 && find(100));
    fake.sealed_to = (kh_box *)&box;
    made next = one(6, 101, &g);
    cr_assert(alert_cnt == 0 && kh_view_height(v) == 6 && find(101));
    forget(&first), forget(&next);
    end();
}

static made said_of_5(const uint8_t digest[32], uint64_t financing, bool keep)
{
    height_begin(5);
    put(applied(digest, 0, financing));
    return height_end(5, keep);
}

/* It comes before its statement: held, and judged when that comes. */
Test(view, an_early_lie_is_found_out)
{
    given g;
    uint8_t digest[32];
    begin_ordered(&g, digest);
    made lie = said_of_5(digest, 999, false), truth = said_of_5(digest, 100, true);
    deliver(&lie, HUB);
    deliver(&truth, HUB2);
    cr_assert_eq(alert_cnt, 0);
    attest(&truth);
    expect_alert("DIFFERING_OUTPUTS", HUB, 5);
    cr_assert_eq(g.financings[0], 100);
    cr_assert(!find(999));
    forget(&lie), forget(&truth);
    end();
}

/* What a hub gave before officers ordered a body lost, which it had executed, is not taken, and is no lie. */
Test(view, what_was_given_before_a_loss_names_nobody)
{
    given g;
    uint8_t digest[32];
    begin_ordered(&g, digest);
    made before = said_of_5(digest, 999, false), after = said_of_5(digest, 100, true);
    attest(&before);
    kh_attestation a = attestation(&after);
    a.flags = kh_attest_flags(1, 0);
    kh_view_attested(v, &a);
    attest(&before);
    deliver(&before, HUB);
    cr_assert_eq(alert_cnt, 0);
    cr_assert_eq(kh_view_height(v), 0);
    deliver(&after, HUB);
    cr_assert_eq(alert_cnt, 0);
    cr_assert_eq(g.financings[0], 100);
    cr_assert(!find(999));
    forget(&before), forget(&after);
    end();
}

Test(view, a_missing_receipt_names_the_hub)
{
    begin();
    given g;
    uint8_t digest[32];
    (void)submit(3, &g);
    order(5, digest, true);
    for (uint32_t left_out = 0; left_out < 5; left_out++) { /* any of the three; all; one in the place of another */
        height_begin(5);
        for (uint32_t i = 0; i < 3; i++)
            if (left_out != 3 && i != left_out) put(applied(digest, left_out == 4 && i == 2 ? 1 : i, 100 + i));
        made lie = height_end(5, false);
        kh_attestation a = attestation(&lie); /* the only hub: its lie is what was attested */
        kh_view_close(v);
        memset(&g, 0, sizeof g);
        open_view();
        ordered_upto = fake.submitted_cnt;
        (void)submit(3, &g);
        fake_block(5)->item_cnt = 0;
        order(5, digest, true);
        kh_view_attested(v, &a);
        deliver(&lie, HUB);
        expect_alert("MISSING_RECEIPT", HUB, 5);
        cr_assert_eq(kh_view_height(v), 0);
        cr_assert(!find(100) && !find(101) && !find(102));
        cr_assert_eq(g.cnt, 0);
        forget(&lie);
    }
    /* a batch of which nothing is said: also where the submissions are not known any more */
    kh_view_close(v);
    open_view();
    height_begin(5);
    made lie = height_end(5, false);
    attest(&lie);
    deliver(&lie, HUB);
    expect_alert("MISSING_RECEIPT", HUB, 5);
    forget(&lie);
    /* and a height that was ordered in between and passed over */
    height_begin(7);
    fake_block(7);
    lie = height_end(7, false);
    attest(&lie);
    deliver(&lie, HUB);
    expect_alert("MISSING_RECEIPT", HUB, 7);
    forget(&lie);
    height_begin(7); /* nor told of another height than it was ordered at */
    for (uint32_t i = 0; i < 3; i++) put(applied(digest, i, 100 + i));
    lie = height_end(7, false);
    kh_view_close(v);
    open_view();
    attest(&lie);
    deliver(&lie, HUB);
    expect_alert("MISSING_RECEIPT", HUB, 7);
    forget(&lie);
    end();
}

Test(view, another_app_hash_is_not_taken)
{
    given g;
    uint8_t digest[32];
    begin_ordered(&g, digest);
    put(applied(digest, 0, 100));
    made m = height_end(5, true);
    kh_attestation a = attestation(&m);
    a.app_hash[0] ^= 1;
    kh_view_attested(v, &a);
    deliver(&m, HUB);
    expect_alert("DIFFERING_APP_HASH", HUB, 5);
    cr_assert_eq(kh_view_height(v), 0);
    forget(&m);
    end();
}

/* The hubs are ahead of this node: it waits for its own block. */
Test(view, waits_for_its_own_block)
{
    begin();
    fake_block(3);
    height_begin(5);
    made m = height_end(5, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert_eq(kh_view_height(v), 0);
    cr_assert_eq(alert_cnt, 0);
    fake_block(5);
    kh_view_decided(v); /* nothing else has to come */
    cr_assert_eq(kh_view_height(v), 5);
    forget(&m);
    end();
}

Test(view, a_gap_is_waited_for_then_named)
{
    given g;
    uint8_t digest[32];
    begin_ordered(&g, digest);
    put(applied(digest, 0, 100));
    made first = height_end(5, true);
    fake_block(6);
    height_begin(6);
    put(notice(KH_NOTICE_LAPSED, 100, KH_FIN_LAPSED, 2));
    made second = height_end(6, true);
    attest(&first);
    attest(&second);
    deliver(&second, HUB);
    cr_assert_eq(kh_view_height(v), 0);
    for (uint32_t i = 0; i < 10; i++) kh_view_tick(v);
    cr_assert_eq(alert_cnt, 0);
    cr_assert(sent_cnt > 1);
    for (uint32_t i = 0; i < 20; i++) kh_view_tick(v);
    expect_alert("WITHHELD_OUTPUTS", HUB, 6);
    deliver(&second, HUB);
    deliver(&first, HUB); /* what lacked: both are taken, in order */
    cr_assert_eq(kh_view_height(v), 6);
    cr_assert(find(100));
    cr_assert_eq(seen.state, KH_FIN_LAPSED);
    forget(&first), forget(&second);
    end();
}

/* Two attested stories that do not go together. */
Test(view, a_broken_chain_is_not_taken)
{
    begin();
    given g;
    made m = one(5, 100, &g);
    heads[0][3] ^= 1;
    fake_block(6);
    height_begin(6);
    put(notice(KH_NOTICE_LAPSED, 100, KH_FIN_LAPSED, 2));
    made n = height_end(6, false);
    attest(&n);
    deliver(&n, HUB);
    expect_alert("BROKEN_CHAIN", HUB, 6);
    heads[0][3] ^= 1;
    counts[0] = 0;
    height_begin(6);
    made o = height_end(6, false);
    kh_attestation a = attestation(&o);
    fake.held[fake.held_cnt++] = a;
    cr_assert_eq(kh_view_height(v), 5);
    forget(&m), forget(&n), forget(&o);
    end();
}

Test(view, out_of_order_and_again)
{
    begin();
    given g[8];
    uint8_t digest[32];
    made m[8];
    for (uint32_t i = 0; i < 8; i++) {
        (void)submit(1, &g[i]);
        order(10 + i, digest, true);
        height_begin(10 + i);
        put(applied(digest, 0, 100 + i));
        m[i] = height_end(10 + i, true);
        attest(&m[i]);
    }
    static const uint32_t way[] = {3, 3, 1, 7, 0, 5, 0, 2, 6, 4, 1};
    for (uint32_t i = 0; i < sizeof way / sizeof way[0]; i++) deliver(&m[way[i]], i % 2 == 0 ? HUB : HUB2);
    cr_assert_eq(kh_view_height(v), 17);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(g[i].done, 1);
        cr_assert_eq(g[i].height, 10 + i);
        cr_assert(find(100 + i));
        forget(&m[i]);
    }
    cr_assert_eq(alert_cnt, 0);
    end();
}

/* What is attested but did not reach this view in time: the node has it. */
Test(view, statements_come_from_the_node)
{
    begin();
    fake_block(5);
    height_begin(5);
    made m = height_end(5, true);
    fake.held[fake.held_cnt++] = attestation(&m);
    deliver(&m, HUB);
    cr_assert_eq(kh_view_height(v), 0);
    kh_view_tick(v);
    cr_assert_eq(kh_view_height(v), 5);
    forget(&m);
    end();
}
