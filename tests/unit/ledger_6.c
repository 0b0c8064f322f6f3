/* ledger, made from leaves: another ledger, with a secret of its own, made from the leaves of a state that has some of
 * everything, goes on as the first one does; leaves that are not as they were are refused, or give another state. */
#include "leaf_copy.h"
#include "ledger_fixture.h"

TestSuite(ledger_rebuild, .init = fixture_start, .fini = fixture_stop);

static kh_code send(kh_op op) { return world_one(w, &op)->code; }

static kh_op grant_op(uint64_t id, uint32_t bank)
{
    kh_op op = {.type = KH_OP_GRANT};
    op.grant = (kh_op_grant){id, w->now, w->now + 30 * DAY, 100, bank, 1};
    return op;
}

static kh_op risk_op(uint32_t bank, uint8_t subject, uint8_t category)
{
    kh_op op = {.type = KH_OP_RISK_ADD, .party = bank, .risk_add = {{{subject}}, category}};
    return op;
}

static kh_op key_op(uint32_t enterprise, uint8_t byte)
{
    kh_op op = {.type = KH_OP_PARTY_KEY, .party_key = {.id = enterprise}};
    memset(op.party_key.key, byte, KH_PARTY_KEY_SZ);
    return op;
}

static kh_op lrn_op(const char *lrn, const char *issuer, uint64_t base)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, lrn, "OWNER1", USD, base);
    op.document.issuer = kh_text_of(issuer);
    op.document.flags = KH_DOCF_LRN_KEY;
    return op;
}

static kh_op contract_op(uint32_t n, uint64_t contract, uint64_t base)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(n), "OWNER1", USD, base);
    op.document.contract = contract;
    op.document.issue_time = 1790000000 + n;
    return op;
}

static kh_op waiting_op(kh_doc_action action, kh_kind kind, const char *number, uint8_t flags, kh_status status, uint64_t base)
{
    kh_op op = doc_op(action, kind, number, NULL, base != 0 ? USD : 0, base);
    op.document.flags = flags;
    op.document.status = (uint8_t)status;
    op.document.source = 50;
    return op;
}

static void people(void)
{
    cr_assert(party(w, 60, KH_ROLE_REGULATOR, "Regulator", NULL) == KH_C_OK);
    for (uint8_t i = 1; i < 4; i++) cr_assert(send(key_op(100, i)) == KH_C_OK);
    kh_op bundle = {.type = KH_OP_BUNDLE, .party = 50, .bundle = {7, 1}};
    cr_assert(send(bundle) == KH_C_OK);
    bundle.party = 100;
    cr_assert(send(bundle) == KH_C_OK);
    cr_assert(send(grant_op(9, 1)) == KH_C_OK && send(grant_op(3, 2)) == KH_C_OK);
    kh_op revoke = {.type = KH_OP_GRANT_REVOKE, .party = 100, .grant_revoke = {9, 100}};
    cr_assert(send(revoke) == KH_C_OK);
    cr_assert(send(risk_op(2, 5, 2)) == KH_C_OK && send(risk_op(1, 5, 2)) == KH_C_OK && send(risk_op(1, 3, 1)) == KH_C_OK);
}

static void papers(void)
{
    for (uint32_t n = 1; n < 8; n++) declare(w, n, USD, 1000 * n);
    cr_assert(send(contract_op(10, 77, 500)) == KH_C_OK && send(contract_op(11, 77, 600)) == KH_C_OK);
    kh_op two = doc_op(KH_DOC_PUT, EXPORT, decl(12), "OWNER1", USD, 5000);
    two.document.balances[two.document.balance_cnt++] = (kh_op_balance){EUR, 700};
    cr_assert(send(two) == KH_C_OK);
    kh_op blue = doc_op(KH_DOC_PUT, KH_KIND_INVOICE, "INV1", "OWNER1", USD, 900);
    doc_ref(&blue, KH_REF_LINK, EXPORT, decl(3));
    cr_assert(send(blue) == KH_C_OK);
    kh_op late = doc_op(KH_DOC_PUT, EXPORT, decl(13), "OWNER1", USD, 900);
    doc_ref(&late, KH_REF_LINK, KH_KIND_INVOICE, "INV1");
    cr_assert(send(late) == KH_C_OK);
    late.document.refs[0].key = key_of(KH_KIND_INVOICE, "INV9");
    cr_assert(send(late) == KH_C_OK);
    kh_op red = doc_op(KH_DOC_PUT, KH_KIND_CREDIT_NOTE, "RED1", "OWNER1", USD, 100);
    doc_ref(&red, KH_REF_CORRECTS, KH_KIND_INVOICE, "INV1");
    cr_assert(send(red) == KH_C_OK);
    kh_op corrected = doc_op(KH_DOC_PUT, KH_KIND_INVOICE, "INV1B", "OWNER1", USD, 950);
    doc_ref(&corrected, KH_REF_CORRECTS, KH_KIND_INVOICE, "INV1");
    cr_assert(send(corrected) == KH_C_OK);
    cr_assert(send(lrn_op("LRN1", "AGENT", 100)) == KH_C_OK && send(lrn_op("LRN2", "AGENT", 100)) == KH_C_OK);
    cr_assert(send(lrn_op("LRN2", "OTHER", 50)) == KH_C_OK); /* LRN2 alone means none now */
}

/* Messages: for a paper that is not there; for a notice, of a paper that then gets another key. And one that waits for its notice
   under a paper that its number no longer means. */
static void messages(void)
{
    cr_assert(send(waiting_op(KH_DOC_STATUS, KH_KIND_ANY, decl(90), 0, KH_STATUS_EXITED, 0)) == KH_C_NOT_FOUND);
    cr_assert(send(waiting_op(KH_DOC_AMEND, KH_KIND_ANY, decl(1), KH_DOCF_AWAITS_NOTICE, 0, 1100)) == KH_C_OK);
    kh_op amend = waiting_op(KH_DOC_AMEND, EXPORT, "LRN1", KH_DOCF_AWAITS_NOTICE, 0, 70);
    amend.document.issuer = kh_text_of("AGENT");
    cr_assert(send(amend) == KH_C_OK);
    kh_op named = doc_op(KH_DOC_STATUS, KH_KIND_ANY, "26NO0000000000001", NULL, 0, 0);
    named.document.lrn = kh_text_of("LRN1");
    cr_assert(send(named) == KH_C_OK);
    cr_assert(send(doc_op(KH_DOC_PUT, KH_KIND_IMPORT_DECLARATION, "26NO0000000000055", "OWNER1", USD, 30)) == KH_C_OK);
    cr_assert(send(waiting_op(KH_DOC_AMEND, KH_KIND_ANY, "26NO0000000000055", KH_DOCF_AWAITS_NOTICE, 0, 20)) == KH_C_OK);
    cr_assert(send(doc_op(KH_DOC_PUT, EXPORT, "26NO0000000000055", "OWNER1", USD, 40)) == KH_C_OK);
}

static void financings(void)
{
    kh_op_line lines[3];
    cr_assert(rate(w, USD, EUR, "0.9", 9690) == KH_C_OK && rate(w, USD, EUR, "0.91", 9690) == KH_C_OK);
    cr_assert(rate(w, USD, EUR, "0.8", 9600) == KH_C_OK && rate(w, USD, JPY, "150", 9650) == KH_C_OK);
    cr_assert(rule(w, "hold_ttl_applied", "9d") == KH_C_OK);
    cr_assert(hold(w, 2, 40, 1, 100) == KH_C_OK && hold(w, 1, 30, 1, 100) == KH_C_OK && hold(w, 1, 5, 1, 50) == KH_C_OK);
    cr_assert(rule(w, "hold_ttl_applied", "2d") == KH_C_OK);
    cr_assert(rule(w, "ratio_bp.product.p", "5000") == KH_C_OK && rule(w, "ratio_bp.product.q", "none") == KH_C_OK);
    part p[3] = {{EXPORT, decl(12), 100, EUR, 0}, {EXPORT, decl(2), 200, 0, 0}, {KH_KIND_INVOICE, "INV1", 50, 0, 0}};
    cr_assert(send(apply_op(2, 7, USD, 350, p, 3, lines)) == KH_C_OK);
    cr_assert(rate(w, USD, EUR, "0.92", 9690) == KH_C_OK);
    cr_assert(hold(w, 1, 6, 10, 100) == KH_C_OK); /* 10 and 11 name one contract */
    disbursed(w, 1, 4, 4, 1000);
    cr_assert(repay(w, 1, 4, 300, KH_SRC_COLLECTION) == KH_C_OK);
    disbursed(w, 2, 8, 5, 400);
    cr_assert(repay(w, 2, 8, 400, KH_SRC_OWN_FUNDS) == KH_C_OK);
    cr_assert(hold(w, 2, 9, 12, 10) == KH_C_OK && event(w, 2, 9, KH_EV_WITHDRAW, ALL) == KH_C_OK);
    cr_assert(rule(w, "refusal_limit", "20/1") == KH_C_OK && hold(w, 1, 99, 80, 100) == KH_C_NOT_FOUND);
}

static void some_of_everything(void)
{
    people();
    papers();
    messages();
    financings();
    world_sound(w);
}

/* What decides by something that a leaf must carry. Codes are not looked at: both ledgers are asked the same. */
static void goes_on(void)
{
    kh_op_line lines[3];
    for (uint32_t n = 1; n < 14; n++) {
        kh_op amend = doc_op(KH_DOC_AMEND, EXPORT, decl(n), NULL, n % 3 == 0 ? EUR : USD, 90 * n);
        (void)send(amend); /* cancels lines, drops currencies that nobody ever held */
    }
    for (int i = 0; i < 3; i++) {
        kh_op notice = doc_op(KH_DOC_STATUS, i == 1 ? KH_KIND_IMPORT_DECLARATION : KH_KIND_ANY, NULL, NULL, 0, 0);
        notice.document.number = kh_text_of(i == 0 ? decl(1) : i == 1 ? "26NO0000000000055" : "26NO0000000000001");
        notice.document.flags = KH_DOCF_NOTICE;
        (void)send(notice);
        if (i == 1) notice.document.kind = EXPORT;
        (void)send(notice);
    }
    (void)send(doc_op(KH_DOC_PUT, EXPORT, decl(90), "OWNER1", USD, 10));
    (void)send(doc_op(KH_DOC_PUT, KH_KIND_INVOICE, "INV9", "OWNER1", USD, 600));
    (void)send(contract_op(14, 77, 500));
    kh_op bundle = {.type = KH_OP_BUNDLE, .party = 100, .bundle = {7, 1}};
    (void)send(bundle);
    (void)send(key_op(100, 9));
    part p[2] = {{EXPORT, decl(12), 30, EUR, 0}, {EXPORT, decl(7), 20, 0, 0}};
    (void)send(apply_op(1, 50, USD, 50, p, 2, lines));
    (void)send(apply_op(1, 30, USD, 50, p, 2, lines));
    for (uint64_t id = 4; id < 9; id++) (void)event(w, 1 + id % 2, id, KH_EV_ACCEPT, ALL);
    (void)send(risk_op(2, 3, 1));
    (void)send(grant_op(3, 2));
    for (int i = 0; i < 12; i++) {
        w->now += DAY;
        (void)hold(w, 1, 60 + (uint64_t)i, 7, 10);
    }
    kh_op expelled = {.type = KH_OP_EXPELLED, .expelled = {2}};
    (void)send(expelled);
    world_sound(w);
}

/* A world whose ledger is made from leaves. */
static world *from_leaves(const leaf_copy *leaves, const uint8_t *secret)
{
    world *of = w, *made;
    kh_leaf_fault fault;
    const uint8_t *before = fixture_secret;
    fixture_secret = secret;
    made = world_new();
    fixture_secret = before;
    kh_err err = leaf_copy_rebuild(leaves, made->l, &fault);
    cr_assert(err == KH_OK, "leaf %llu, byte %llu: %s", (unsigned long long)fault.leaf, (unsigned long long)fault.at, fault.why);
    cr_assert(fault.why == NULL && leaf_ledger_equal(of->l, made->l), "made from leaves, it has others");
    made->now = of->now;
    made->sequence = of->sequence;
    made->all_outcomes = of->all_outcomes;
    return made;
}

/* The world as it stands, made again under another secret. */
static world *twin(void)
{
    leaf_copy leaves = {.n = 0};
    leaf_copy_take(&leaves, w->l);
    world *made = from_leaves(&leaves, (const uint8_t *)"another secret..");
    leaf_copy_free(&leaves);
    return made;
}

static void same_life(world *a, world *b)
{
    world *all[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        w = all[i];
        goes_on();
    }
    w = a;
    cr_assert(a->all_outcomes == b->all_outcomes, "the same operations have other outcomes");
    cr_assert(leaf_ledger_equal(a->l, b->l), "the same operations lead to other states");
}

Test(ledger_rebuild, a_ledger_made_from_leaves_goes_on_as_the_other)
{
    some_of_everything();
    leaf_copy leaves = {.n = 0};
    leaf_copy_take(&leaves, w->l);
    world *other = from_leaves(&leaves, (const uint8_t *)"another secret.."), *same = from_leaves(&leaves, fixture_secret);
    cr_assert(kh_ledger_check(same->l) == kh_ledger_check(w->l), "the running check is not the one of the same secret");
    cr_assert(kh_ledger_check(other->l) != kh_ledger_check(w->l));
    same_life(w, other);
    world_free(other);
    world_free(same);
    leaf_copy_free(&leaves);
}

Test(ledger_rebuild, an_empty_ledger_has_leaves_too)
{
    leaf_copy leaves = {.n = 0};
    world *none = world_new(), *was = w;
    leaf_copy_take(&leaves, none->l);
    w = none;
    world *made = from_leaves(&leaves, (const uint8_t *)"another secret..");
    w = was;
    kh_leaf_fault fault;
    cr_assert(leaf_copy_rebuild(&leaves, w->l, &fault) == KH_E_ARG, "only an empty ledger is made from leaves");
    world_free(none);
    world_free(made);
    leaf_copy_free(&leaves);
}

/* 64 papers are linked; the 65th is not, and must not keep what only a linked one has: a currency that an amendment takes out
   goes from both ledgers, or stays in both. */
Test(ledger_rebuild, who_finds_a_link_group_full_is_left_as_it_was)
{
    for (uint32_t n = 1; n <= 65; n++) {
        kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(n), "OWNER1", USD, 100);
        doc_ref(&op, KH_REF_LINK, KH_KIND_INVOICE, "OLD");
        cr_assert(send(op) == KH_C_OK);
    }
    kh_op corrected = doc_op(KH_DOC_PUT, KH_KIND_INVOICE, "NEW", "OWNER1", USD, 90);
    doc_ref(&corrected, KH_REF_CORRECTS, KH_KIND_INVOICE, "OLD");
    cr_assert(send(corrected) == KH_C_OK);
    cr_assert(send(doc_op(KH_DOC_PUT, KH_KIND_INVOICE, "OLD", "OWNER1", USD, 100)) == KH_C_OK);
    cr_assert(doc_view(w, EXPORT, decl(63), 0).link_group != 0 && doc_view(w, EXPORT, decl(65), 0).link_group == 0);
    world *other = twin();
    world *both[2] = {w, other};
    for (int i = 0; i < 2; i++) {
        w = both[i];
        cr_assert(send(doc_op(KH_DOC_AMEND, EXPORT, decl(65), NULL, EUR, 80)) == KH_C_OK);
        cr_assert(doc_view(w, EXPORT, decl(65), 0).balance_cnt == 1);
    }
    w = both[0];
    cr_assert(w->all_outcomes == other->all_outcomes && leaf_ledger_equal(w->l, other->l));
    world_free(other);
}

/* Readers beside the applier ask whether any bank is frozen before they look whether theirs is. */
Test(ledger_rebuild, a_frozen_bank_is_answered_as_one)
{
    declare(w, 1, USD, 100);
    cr_assert(freeze(w, 2, true) == KH_C_OK);
    world *other = twin();
    kh_question q = {.key = key_of(EXPORT, decl(1)), .amount = 100, .currency = USD, .want = ALL, .bank = 2, .kind = EXPORT};
    q.owner_check = kh_owner_check(kh_text_of("OWNER1"));
    kh_verdict verdict[2];
    cr_assert(kh_ledger_verify_fast(w->l, &q, 1, &verdict[0]) == 0, "a frozen bank is nothing for readers");
    cr_assert(kh_ledger_verify_fast(other->l, &q, 1, &verdict[1]) == 0, "a frozen bank is nothing for readers");
    kh_ledger_verify(w->l, &q, 1, &verdict[0]);
    kh_ledger_verify(other->l, &q, 1, &verdict[1]);
    cr_assert(verdict[0].code == KH_C_FROZEN && verdict[1].code == KH_C_FROZEN);
    world_free(other);
}

/* More than an entry lets go: what is left of it goes on in the next, at the same financing. */
Test(ledger_rebuild, holds_of_who_was_expelled_go_on_lapsing_where_they_stood)
{
    kh_op_line lines[1];
    declare(w, 1, USD, 1000000);
    declare(w, 2, USD, 1000000);
    for (uint32_t i = 0; i < 4200; i++) {
        part p = {EXPORT, decl(1 + i % 2), 10, 0, 0};
        kh_op op = apply_op(i % 50 != 0 ? 2 : 1, 9000 - i, USD, 10, &p, 1, lines);
        world_add(w, &op);
    }
    world_run(w);
    kh_op expelled = {.type = KH_OP_EXPELLED, .expelled = {2}};
    cr_assert(send(expelled) == KH_C_OK);
    cr_assert(kh_ledger_next_due(w->l) == kh_ledger_time(w->l), "nothing is left to lapse");
    world *other = twin();
    world *both[2] = {w, other};
    for (int i = 0; i < 2; i++) {
        w = both[i];
        world_run(w);
        cr_assert(w->out_cnt > 10 && kh_ledger_next_due(w->l) != kh_ledger_time(w->l));
    }
    w = both[0];
    cr_assert(w->all_outcomes == other->all_outcomes && leaf_ledger_equal(w->l, other->l));
    world_free(other);
}

/* ---- leaves that are not as they were ---- */

static struct {
    uint64_t refused, other, twice;
} met;

/* Refused with its place, or made into a state that has other leaves; or only what is said twice was otherwise, such as which
   lines of a balance are open: then the state is the sound one (that the leaves are not, their own digest shows). */
static void must_not_pass(const leaf_copy *damaged, const leaf_copy *leaves)
{
    leaf_ledger m;
    leaf_copy made = {.n = 0};
    kh_leaf_fault fault;
    leaf_ledger_open(&m, fixture_secret);
    kh_err err = leaf_copy_rebuild(damaged, m.l, &fault);
    cr_assert(err == KH_OK || err == KH_E_DAMAGED);
    cr_assert((err == KH_OK) == (fault.why == NULL) && fault.leaf <= damaged->cnt);
    if (err == KH_OK) leaf_copy_take(&made, m.l);
    if (err != KH_OK) {
        met.refused++;
    } else if (!leaf_copy_same(&made, leaves)) {
        met.other++;
    } else {
        met.twice++;
        const char *broken = kh_ledger_verify_invariants(m.l);
        cr_assert(broken == NULL && kh_ledger_check(m.l) == kh_ledger_check(w->l), "the same leaves of another state");
    }
    leaf_copy_free(&made);
    leaf_ledger_close(&m);
}

static leaf_copy copy_of(const leaf_copy *leaves)
{
    leaf_copy c = {.n = 0};
    leaf_copy_bytes(&c, leaves->bytes, leaves->n);
    for (size_t i = 0; i < leaves->cnt; i++) {
        c.n = leaves->ends[i];
        leaf_copy_end(&c);
    }
    return c;
}

/* Leaf i comes `times` times; `cut` bytes are lost at its end, `more` zeros come behind it. */
static void rearranged(const leaf_copy *leaves, size_t i, int times, size_t cut, size_t more)
{
    static const uint8_t zeros[8];
    leaf_copy c = {.n = 0};
    for (size_t at = 0; at < leaves->cnt; at++) {
        size_t from = at == 0 ? 0 : leaves->ends[at - 1];
        for (int k = 0; k < (at == i ? times : 1); k++) {
            leaf_copy_bytes(&c, leaves->bytes + from, leaves->ends[at] - from - (at == i ? cut : 0));
            leaf_copy_bytes(&c, zeros, at == i ? more : 0);
            leaf_copy_end(&c);
        }
    }
    must_not_pass(&c, leaves);
    leaf_copy_free(&c);
}

static void swapped(const leaf_copy *leaves, size_t i)
{
    size_t from = i == 0 ? 0 : leaves->ends[i - 1], middle = leaves->ends[i], end = leaves->ends[i + 1];
    leaf_copy c = copy_of(leaves);
    if (middle - from == end - middle && memcmp(c.bytes + from, c.bytes + middle, end - middle) == 0) return;
    memcpy(c.bytes + from, leaves->bytes + middle, end - middle);
    memcpy(c.bytes + from + (end - middle), leaves->bytes + from, middle - from);
    c.ends[i] = from + (end - middle);
    must_not_pass(&c, leaves);
    leaf_copy_free(&c);
}

Test(ledger_rebuild, leaves_that_lack_come_twice_or_in_another_order_do_not_pass)
{
    some_of_everything();
    leaf_copy leaves = {.n = 0};
    leaf_copy_take(&leaves, w->l);
    for (size_t i = 0; i < leaves.cnt; i++) {
        rearranged(&leaves, i, 0, 0, 0);
        rearranged(&leaves, i, 2, 0, 0);
        rearranged(&leaves, i, 1, 1, 0);
        rearranged(&leaves, i, 1, 8, 0);
        uint64_t refused = met.refused;
        rearranged(&leaves, i, 1, 0, 1);
        rearranged(&leaves, i, 1, 0, 8);
        cr_assert(met.refused == refused + 2, "leaf %zu may be longer than it is", i);
        if (i + 1 < leaves.cnt) swapped(&leaves, i);
    }
    cr_assert(met.refused > met.other && met.twice == 0);
    leaf_copy_free(&leaves);
}

Test(ledger_rebuild, no_byte_of_a_leaf_can_be_another)
{
    some_of_everything();
    leaf_copy leaves = {.n = 0};
    leaf_copy_take(&leaves, w->l);
    leaf_copy c = copy_of(&leaves);
    for (size_t at = 0; at < leaves.n; at += 5) {
        c.bytes[at] ^= (uint8_t)(1u << at % 8);
        must_not_pass(&c, &leaves);
        c.bytes[at] = leaves.bytes[at];
    }
    cr_assert(met.refused > 100 && met.other > 100 && met.twice < met.other / 4);
    leaf_copy_free(&c);
    leaf_copy_free(&leaves);
}
