/* ledger, execution: what a cluster's execution writes beside the parties' operations: blocks, refusals, signed bundles. */
#include "ledger_fixture.h"

TestSuite(ledger_execution, .init = fixture_start, .fini = fixture_stop);

static const kh_receipt *nth(uint32_t n)
{
    for (uint32_t i = 0; i < w->out_cnt; i++)
        if (!w->out[i].is_notice && n-- == 0) return &w->out[i].receipt;
    cr_assert(false, "too few receipts");
    return NULL;
}

static void add_block(uint64_t height, uint32_t flags, uint32_t part)
{
    kh_op op = {.type = KH_OP_BLOCK, .block = {height, flags, part}};
    world_add(w, &op);
}

static void add_refused(uint32_t party_id, kh_code code)
{
    kh_op op = {.type = KH_OP_REFUSED, .party = party_id, .refused = {code}};
    world_add(w, &op);
}

static void add_bundle(uint32_t party_id, uint64_t number, uint32_t cnt)
{
    kh_op op = {.type = KH_OP_BUNDLE, .party = party_id, .bundle = {number, cnt}};
    world_add(w, &op);
}

static void add_paper(uint32_t source, uint32_t n, uint64_t base)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(n), "OWNER1", USD, base);
    op.party = op.document.source = source;
    world_add(w, &op);
}

static void content(void *ctx, const void *p, size_t n) { *(uint64_t *)ctx = *(uint64_t *)ctx * 31 + kh_xxh3(p, n); }
static uint64_t content_of(void)
{
    uint64_t all = 0;
    void *scratch = malloc(kh_ledger_content_scratch(w->l) + 1);
    kh_ledger_content(w->l, scratch, content, &all);
    free(scratch);
    return all;
}

Test(ledger_execution, a_block_and_refusals_change_nothing)
{
    declare(w, 1, USD, 1000);
    uint64_t before = content_of();
    add_block(77, KH_BLOCK_MORE, 2);
    add_refused(1, KH_C_NOT_AUTHORISED);
    add_refused(1, KH_C_UNOPENABLE);
    add_refused(999, KH_C_BODY_LOST); /* nobody here */
    world_run(w);
    cr_assert(w->out_cnt == 4);
    const kh_receipt *r = nth(0);
    cr_assert(r->type == KH_OP_BLOCK && r->code == KH_C_OK && r->amount == 77 && r->version == 2 && r->state == KH_BLOCK_MORE &&
              r->party == 0);
    cr_assert(w->out[0].touch_cnt == 0);
    r = nth(1);
    cr_assert(r->type == KH_OP_REFUSED && r->code == KH_C_NOT_AUTHORISED && r->party == 1 && r->sequence == w->sequence - 2);
    cr_assert(w->out[1].touch_cnt == 1);
    cr_assert(nth(2)->code == KH_C_UNOPENABLE && nth(3)->code == KH_C_BODY_LOST);
    cr_assert(w->out[3].touch_cnt == 0);
    cr_assert(content_of() == before);
}

Test(ledger_execution, a_bundle_has_its_effect_once)
{
    add_bundle(50, 5, 2);
    add_paper(50, 1, 1000);
    add_paper(50, 2, 1000);
    world_run(w);
    cr_assert(nth(0)->type == KH_OP_BUNDLE && nth(0)->code == KH_C_OK && nth(0)->amount == 5);
    cr_assert(nth(1)->code == KH_C_OK && nth(2)->code == KH_C_OK);
    uint64_t before = content_of();
    for (uint64_t number = 4; number <= 5; number++) { /* the same again, or an older one: with other papers or the same */
        add_bundle(50, number, 2);
        add_paper(50, 1, 4000);
        add_paper(50, 3, 1000);
        add_paper(50, 4, 1000 * number); /* no more of the bundle */
        world_run(w);
        cr_assert(nth(0)->code == KH_C_BAD_SEQUENCE && nth(0)->amount == 5);
        cr_assert(nth(1)->code == KH_C_BAD_SEQUENCE && nth(2)->code == KH_C_BAD_SEQUENCE && nth(3)->code == KH_C_OK);
    }
    kh_key key = key_of(EXPORT, decl(3));
    kh_doc_view v;
    cr_assert(!kh_ledger_document(w->l, &key, 0, &v));
    cr_assert(balance(w, 1, 0).base == 1000 && content_of() != before);
    add_bundle(50, 6, 1);
    add_paper(50, 3, 1000);
    world_run(w);
    cr_assert(nth(0)->code == KH_C_OK && nth(1)->code == KH_C_OK && nth(0)->amount == 6);
}

Test(ledger_execution, numbers_are_each_partys_own_and_end_with_the_entry)
{
    cr_assert(party(w, 60, KH_ROLE_REGULATOR, "Regulator", NULL) == KH_C_OK);
    add_bundle(50, 9, 9); /* says more than come */
    add_paper(50, 1, 1000);
    world_run(w);
    cr_assert(nth(1)->code == KH_C_OK);
    add_bundle(50, 9, 5);
    add_paper(50, 2, 1000);
    world_run(w);
    cr_assert(nth(1)->code == KH_C_BAD_SEQUENCE);
    add_paper(50, 2, 1000); /* the next entry: not of the bundle any more */
    world_run(w);
    cr_assert(nth(0)->code == KH_C_OK);
    add_bundle(60, 1, 1);
    kh_op op = {.type = KH_OP_PARTY_STATUS, .party = 60, .party_status = {1, 1}};
    world_add(w, &op);
    world_run(w);
    cr_assert(nth(0)->code == KH_C_OK && nth(1)->code == KH_C_OK);
    add_bundle(50, 8, 1); /* the regulator's number is not the source's */
    add_paper(50, 3, 1000);
    world_run(w);
    cr_assert(nth(1)->code == KH_C_BAD_SEQUENCE);
}

static kh_code expel(uint32_t id)
{
    kh_op op = {.type = KH_OP_EXPELLED, .expelled = {id}};
    return world_one(w, &op)->code;
}

Test(ledger_execution, who_is_expelled_holds_nothing)
{
    declare(w, 1, USD, 1000);
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_OK && hold(w, 1, 2, 1, 100) == KH_C_OK && hold(w, 1, 3, 1, 100) == KH_C_OK);
    cr_assert(event(w, 1, 2, KH_EV_ACCEPT, ALL) == KH_C_OK && event(w, 1, 3, KH_EV_ACCEPT, ALL) == KH_C_OK);
    cr_assert(event(w, 1, 3, KH_EV_APPROVE, ALL) == KH_C_OK);
    disbursed(w, 1, 4, 1, 50);
    cr_assert(hold(w, 2, 1, 1, 600) == KH_C_OK && freeze(w, 1, true) == KH_C_OK);
    cr_assert(balance(w, 1, 1).own_held == 300); /* frozen, it holds what it held */
    cr_assert(expel(1) == KH_C_OK && !w->out[0].is_notice && world_notices(w, KH_NOTICE_LAPSED) == 3);
    for (uint64_t id = 1; id <= 3; id++) {
        const kh_notice *n = &w->out[id].notice;
        cr_assert(n->party == 1 && n->financing == id && n->state == KH_FIN_LAPSED && n->moved == 100);
        cr_assert(fin_view(w, 1, id).state == KH_FIN_LAPSED && fin_view(w, 1, id).deadline_ns == 0);
    }
    cr_assert(fin_view(w, 1, 4).state == KH_FIN_DISBURSED); /* a loan is a loan */
    cr_assert(balance(w, 1, 2).held == 600 && balance(w, 1, 2).used == 50 && balance(w, 1, 2).free == 350);
    cr_assert(hold(w, 2, 2, 1, 350) == KH_C_OK && hold(w, 1, 5, 1, 1) == KH_C_FROZEN);
    cr_assert(kh_ledger_next_due(w->l) > w->now);
    cr_assert(freeze(w, 1, true) == KH_C_OK && freeze(w, 1, false) == KH_C_BAD_STATE); /* for good */
    cr_assert(expel(1) == KH_C_OK && w->out_cnt == 1 && kh_ledger_next_due(w->l) > w->now);
    cr_assert(expel(999) == KH_C_NOT_FOUND && expel(100) == KH_C_NOT_AUTHORISED);
    cr_assert(expel(50) == KH_C_OK && freeze(w, 50, false) == KH_C_BAD_STATE && kh_ledger_next_due(w->l) > w->now);
    kh_verdict v;
    kh_question q = {.key = key_of(EXPORT, decl(1)), .kind = EXPORT, .bank = 2, .amount = KH_AMOUNT_NONE, .want = KH_AMOUNT_NONE};
    kh_ledger_verify(w->l, &q, 1, &v);
    cr_assert(v.code != KH_C_FROZEN); /* frozen and then expelled, it is one frozen bank */
}

/* Applications of one line by the thousand, 4,000 a paper; the bank's next financing in *id. */
static void holds(uint32_t bank, uint64_t *id, uint32_t cnt, uint32_t first_paper)
{
    for (uint32_t i = 0; i < cnt; i++) {
        kh_op_line lines[1];
        part p = {EXPORT, decl(first_paper + i / 4000), 1, 0, 0};
        kh_op op = apply_op(bank, ++*id, USD, 1, &p, 1, lines);
        world_add(w, &op);
    }
    world_run(w);
}

/* What the checkpoint's leaf says of how far it is; 0: there is none. */
typedef struct seen {
    uint8_t bytes[16];
    uint32_t n;
    uint64_t looked;
} seen;
static void leaf_bytes(void *ctx, const void *p, size_t n)
{
    seen *s = ctx;
    for (size_t i = 0; i < n && s->n < sizeof s->bytes; i++) s->bytes[s->n++] = ((const uint8_t *)p)[i];
}
static void leaf_end(void *ctx)
{
    seen *s = ctx;
    if (s->n == 16 && memcmp(s->bytes, "expel\0\0", 8) == 0) s->looked = kh_load64(s->bytes + 8);
    s->n = 0;
}
static uint64_t looked_at(void)
{
    seen s = {.n = 0};
    const kh_leaves to = {leaf_bytes, leaf_end, &s};
    void *scratch = malloc(kh_ledger_checkpoint_scratch(w->l) + 1);
    kh_ledger_checkpoint(w->l, scratch, &to);
    free(scratch);
    return s.looked;
}

Test(ledger_execution, many_holds_lapse_in_several_entries)
{
    uint64_t id = 0, other = 0;
    for (uint32_t i = 1; i <= 4; i++) declare(w, i, USD, 100000);
    holds(1, &id, 9000, 1);
    holds(2, &other, 10, 4);
    cr_assert(expel(1) == KH_C_OK && world_notices(w, KH_NOTICE_LAPSED) == 4096);
    cr_assert(kh_ledger_next_due(w->l) <= w->now && balance(w, 1, 1).held == 0 && balance(w, 2, 1).held == 3904);
    world_sound(w);
    cr_assert(looked_at() == 4096);
    holds(2, &other, 1, 4); /* work goes on between */
    cr_assert(world_notices(w, KH_NOTICE_LAPSED) == 4096 && w->out[0].is_notice && looked_at() == 8192);
    cr_assert(expel(2) == KH_C_OK); /* from the beginning, within what the entry may do: 808 lapsed before */
    cr_assert(world_notices(w, KH_NOTICE_LAPSED) == 808 + 11 && kh_ledger_next_due(w->l) > w->now);
    for (uint32_t i = 1; i <= 4; i++) cr_assert(balance(w, i, 1).held == 0);
}

Test(ledger_execution, many_financings_are_looked_at_in_several_entries)
{
    uint64_t id = 0, other = 0;
    declare(w, 1, USD, 100000);
    declare(w, 2, USD, 100000);
    while (other < 263000) { /* of another bank, and over */
        uint64_t first = other + 1;
        holds(2, &other, 2000, 1);
        for (uint64_t i = first; i <= other; i++) {
            kh_op op = event_op(2, i, KH_EV_WITHDRAW, ALL);
            world_add(w, &op);
        }
        world_run(w);
    }
    holds(1, &id, 3, 2);
    cr_assert(expel(1) == KH_C_OK && world_notices(w, KH_NOTICE_LAPSED) == 0 && kh_ledger_next_due(w->l) <= w->now);
    cr_assert(looked_at() == 262144);
    w->now += 1;
    world_run(w); /* a tick: nothing but its time */
    cr_assert(world_notices(w, KH_NOTICE_LAPSED) == 3 && kh_ledger_next_due(w->l) > w->now && looked_at() == 0);
    cr_assert(balance(w, 2, 1).held == 0);
}

Test(ledger_execution, who_has_no_bundles)
{
    const uint32_t who[] = {0, 1, 100, 999};
    for (uint32_t i = 0; i < 4; i++) {
        add_bundle(who[i], 1, 1);
        add_paper(50, 10 + i, 1000);
        world_run(w);
        cr_assert(nth(0)->code == KH_C_NOT_AUTHORISED && nth(1)->code == KH_C_NOT_AUTHORISED, "%u", who[i]);
    }
    kh_risk_view account;
    cr_assert(kh_ledger_risk_account(w->l, 1, &account) && account.asked == 0);
}

Test(ledger_execution, bytes_that_do_not_decode_are_counted_too)
{
    add_bundle(50, 1, 1);
    world_run(w);
    add_bundle(50, 1, 2);
    add_paper(50, 1, 1000);
    w->ops[w->ops_sz - 1] ^= 0x80; /* an owner that is no text */
    add_paper(50, 2, 1000);
    add_paper(50, 3, 1000);
    world_run(w);
    cr_assert(nth(2)->code == KH_C_BAD_SEQUENCE && nth(3)->code == KH_C_OK);
}

/* ---- enterprises' own keys ---- */

static kh_code set_key(uint32_t speaker, uint32_t id, uint8_t byte)
{
    kh_op op = {.type = KH_OP_PARTY_KEY, .party = speaker, .party_key = {.id = id}};
    memset(op.party_key.key, byte, KH_PARTY_KEY_SZ);
    world_add(w, &op);
    world_run(w);
    return nth(0)->code;
}

static bool key_at(uint32_t id, uint32_t nth_newest, uint64_t *ret_since, uint8_t *ret_byte)
{
    uint64_t cursor = 0;
    uint8_t key[KH_PARTY_KEY_SZ];
    bool found = false;
    for (uint32_t i = 0; i <= nth_newest; i++) {
        found = kh_ledger_party_key(w->l, id, &cursor, ret_since, key);
        if (!found) return false;
    }
    *ret_byte = key[KH_PARTY_KEY_SZ - 1];
    return found;
}

Test(ledger_execution, an_enterprise_has_the_key_that_the_regulator_registered)
{
    uint64_t since = 0, first;
    uint8_t byte = 0;
    cr_assert(party(w, 60, KH_ROLE_REGULATOR, "Regulator", NULL) == KH_C_OK);
    cr_assert(party(w, 70, KH_ROLE_ENTERPRISE, "Exporter", "91350100M000100Y43") == KH_C_OK);
    uint64_t before = content_of();
    cr_assert(!key_at(70, 0, &since, &byte));
    cr_assert(set_key(70, 70, 5) == KH_C_NOT_AUTHORISED && set_key(50, 70, 5) == KH_C_NOT_AUTHORISED);
    cr_assert(set_key(60, 99, 5) == KH_C_NOT_FOUND);
    cr_assert(set_key(60, 50, 5) == KH_C_NOT_AUTHORISED &&
              set_key(60, 1, 5) == KH_C_NOT_AUTHORISED); /* members' are the officers' */
    cr_assert(!key_at(70, 0, &since, &byte) && content_of() == before);
    cr_assert(set_key(60, 70, 5) == KH_C_OK);
    cr_assert(key_at(70, 0, &first, &byte) && byte == 5 && first == kh_ledger_height(w->l) && content_of() != before);
    cr_assert(set_key(60, 70, 5) == KH_C_OK && !key_at(70, 1, &since, &byte)); /* the same again is nothing new */
    cr_assert(set_key(0, 70, 6) == KH_C_OK);
    cr_assert(key_at(70, 0, &since, &byte) && byte == 6 && since > first);
    cr_assert(key_at(70, 1, &since, &byte) && byte == 5 && since == first); /* the one before is still known */
    cr_assert(!key_at(70, 2, &since, &byte));
    cr_assert(set_key(60, 70, 0) == KH_C_OK && key_at(70, 0, &since, &byte) && byte == 0 && content_of() == before);
}

static kh_code grant_in_bundle(uint64_t number, uint64_t id)
{
    kh_op op = {.type = KH_OP_GRANT, .party = 70};
    op.grant = (kh_op_grant){.id = id, .until_ns = UINT64_MAX, .enterprise = 70, .bank = 1, .scope = KH_SCOPE_CREDIT};
    add_bundle(70, number, 1);
    world_add(w, &op);
    world_run(w);
    return nth(1)->code;
}

Test(ledger_execution, an_enterprises_bundles_count_on_under_its_next_key)
{
    cr_assert(party(w, 70, KH_ROLE_ENTERPRISE, "Exporter", "91350100M000100Y43") == KH_C_OK);
    cr_assert(grant_in_bundle(7, 1) == KH_C_NOT_AUTHORISED); /* it has no key: nothing of it is its own */
    cr_assert(set_key(0, 70, 5) == KH_C_OK);
    cr_assert(grant_in_bundle(7, 1) == KH_C_OK && grant_in_bundle(7, 2) == KH_C_BAD_SEQUENCE);
    cr_assert(set_key(0, 70, 6) == KH_C_OK);
    cr_assert(grant_in_bundle(7, 2) == KH_C_BAD_SEQUENCE && grant_in_bundle(8, 2) == KH_C_OK);
    kh_grant_view g;
    uint64_t cursor = 0;
    cr_assert(kh_ledger_grant_next(w->l, &cursor, 70, &g) && g.id == 2); /* the newest grant stands beside the key */
}
