/* What is answered: the access rules, the settled state, late answers, limits, operations in datagrams; and that nothing of
 * another bank shows. */
#include "service_fixture.h"
#include "log/envelope.h"
#include "store/parts.h"

static service_fixture x;

static void send_ops(ops_buf *b)
{
    answers a = {0};
    cr_assert(fixture_send(x.store, b, &a) == KH_OK);
    for (uint32_t i = 0; i < a.n; i++) cr_assert(a.codes[i] == KH_C_OK, "operation %u: %u", i, a.codes[i]);
    free(b->p);
}

/* A bank's application for one document; event: what happens to it after, KH_EV_NONE nothing. */
static void apply_op(ops_buf *b, uint32_t bank, uint64_t id, uint32_t doc, uint64_t amount)
{
    ops_apply(b, bank, FX_ENTERPRISE, id, doc, amount);
}

static kh_query_answer one(kh_lane *lane, kh_query q, bool is_long)
{
    kh_query_answer a;
    cr_assert(fx_ask(&x, lane, &q, 1, is_long, &a));
    return a;
}

static void nothing_told(kh_query_answer a, kh_code code)
{
    cr_assert(a.code == code, "%u, not %u", a.code, code);
    cr_assert(a.free == KH_AMOUNT_NONE && a.status == KH_STATUS_NONE && a.version == 0 && a.currency == 0);
}

Test(access, a_bank_proves)
{
    fx_setup(&x);
    kh_lane lane = fx_lane(&x, FX_BANK);
    kh_query q = fx_query(1);
    kh_query_answer a = one(&lane, q, false);
    cr_assert(a.code == KH_C_OK && a.free == FX_BASE && a.currency == OPS_USD && a.version == 1 && a.status == KH_STATUS_CLEARED);
    q.owner_check = 0;
    nothing_told(one(&lane, q, false), KH_C_FORMAT);
    q = fx_query(1);
    q.owner_check ^= 1;
    nothing_told(one(&lane, q, false), KH_C_OWNER_MISMATCH);
    q = fx_query(1);
    q.amount = KH_AMOUNT_NONE;
    a = one(&lane, q, false);
    nothing_told(a, KH_C_FIELD_MISMATCH);
    cr_assert(a.mismatch == KH_FIELD_AMOUNT);
    q.amount = FX_BASE + 1;
    q.date = 9001;
    q.currency = 978;
    a = one(&lane, q, false);
    nothing_told(a, KH_C_FIELD_MISMATCH);
    cr_assert(a.mismatch == (KH_FIELD_CURRENCY | KH_FIELD_DATE));
    q = fx_query(FX_DOCS + 5);
    a = one(&lane, q, false);
    nothing_told(a, KH_C_NOT_FOUND);
    cr_assert(a.watermark == START_NS);
    q = fx_query(1);
    q.key.b[0] = KH_KIND_IMPORT_DECLARATION; /* the number is an export's */
    nothing_told(one(&lane, q, false), KH_C_DIRECTION);
    for (uint32_t kind = 0; kind < 256; kind += kind == 0 ? KH_KIND_CNT : 1) {
        q.key.b[0] = (uint8_t)kind;
        nothing_told(one(&lane, q, false), KH_C_FORMAT);
    }
    kh_lane_close(&lane);
    fx_teardown(&x);
}

Test(access, the_other_roles)
{
    fx_setup(&x);
    kh_query q = fx_query(1), bare = {.key = ops_key(1), .amount = KH_AMOUNT_NONE, .want = KH_AMOUNT_NONE};
    kh_lane enterprise = fx_lane(&x, FX_ENTERPRISE), source = fx_lane(&x, FX_SOURCE), regulator = fx_lane(&x, FX_REGULATOR);
    cr_assert(one(&enterprise, q, false).code == KH_C_OK);
    nothing_told(one(&enterprise, bare, false), KH_C_FORMAT);
    nothing_told(one(&source, q, false), KH_C_NOT_AUTHORISED);
    kh_query_answer a = one(&regulator, bare, false); /* needs no proof, and is written down */
    cr_assert(a.code == KH_C_OK && a.free == FX_BASE);
    char path[160], line[256] = "", hex[33];
    snprintf(path, sizeof path, "%s/lookups/log", x.f.dir);
    for (uint32_t i = 0; i < 60000 && line[0] == '\0'; i++) {
        FILE *f = fopen(path, "r");
        if (f != NULL && fgets(line, sizeof line, f) == NULL) line[0] = '\0';
        if (f != NULL) fclose(f);
        usleep(1000);
    }
    kh_hex(bare.key.b, 16, hex);
    cr_assert(strstr(line, " 1 datagram ") != NULL && strstr(line, hex) != NULL, "%s", line);
    kh_lane_close(&enterprise);
    kh_lane_close(&source);
    kh_lane_close(&regulator);
    fx_teardown(&x);
}

Test(access, the_long_form)
{
    fx_setup(&x);
    kh_lane lane = fx_lane(&x, FX_BANK);
    kh_query q = fx_query(2);
    q.want = FX_BASE;
    q.direction = 1;
    q.version = 1;
    cr_assert(one(&lane, q, true).code == KH_C_OK);
    q.want = FX_BASE + 1;
    cr_assert(one(&lane, q, true).code == KH_C_INSUFFICIENT && one(&lane, q, true).free == FX_BASE);
    q = fx_query(2);
    q.direction = -1;
    nothing_told(one(&lane, q, true), KH_C_DIRECTION);
    q = fx_query(2);
    q.version = 2;
    cr_assert(one(&lane, q, true).code == KH_C_AMENDED_SINCE);
    q = fx_query(2);
    q.contract = 77; /* the settled state knows of contracts */
    kh_query_answer a = one(&lane, q, true);
    nothing_told(a, KH_C_FIELD_MISMATCH);
    cr_assert(a.mismatch == KH_FIELD_CONTRACT_NO);
    fx_packet p;
    uint64_t counter;
    uint8_t bytes[KH_QUERY_LONG_SZ];
    for (uint32_t at = 52; at < 64; at++) { /* bytes that must be zero, and a direction that is none */
        q = fx_query(2);
        kh_query_encode(&q, true, bytes);
        bytes[at] = 2;
        p.packet = (kh_packet){.p = p.bytes, .cap = KH_DATAGRAM_MAX_SZ};
        p.packet.n = kh_lane_seal_frames(&lane, bytes, sizeof bytes, p.bytes, &counter);
        p.bytes[15] = KH_FORM_QUERY_LONG; /* sealed as operations: sealed anew with the right form */
        uint8_t nonce[12];
        kh_query_encode(&q, true, p.bytes + 16);
        p.bytes[16 + at] = 2;
        kh_request_nonce(counter, lane.lane, nonce);
        kh_aead_seal(lane.up, 0, nonce, p.bytes, 16, p.bytes + 16, 64, p.bytes + 80);
        fx_burst(&x, &p.packet);
        cr_assert(fx_read(&lane, &p.packet, &a, 1));
        nothing_told(a, KH_C_FORMAT);
    }
    kh_lane_close(&lane);
    fx_teardown(&x);
}

/* Random questions of every shape, in whole bursts, against the settled answer. */
Test(access, bursts_answer_as_the_ledger_does)
{
    enum { PACKETS = 64, EACH = 40 };
    fx_setup(&x);
    ops_buf b = {0};
    for (uint32_t i = 0; i < FX_DOCS; i += 2)
        apply_op(&b, i % 4 == 0 ? FX_BANK : FX_OTHER, 1000 + i, i, i % 6 == 0 ? FX_BASE : 300);
    send_ops(&b);
    static fx_packet packets[PACKETS];
    static kh_query queries[PACKETS][EACH];
    kh_packet *pointers[PACKETS];
    uint32_t cnt[PACKETS], codes[100] = {0};
    uint64_t seed = 3;
    kh_lane lanes[2] = {fx_lane(&x, FX_BANK), fx_lane(&x, FX_OTHER)};
    for (uint32_t round = 0; round < 30; round++) {
        for (uint32_t i = 0; i < PACKETS; i++) {
            bool is_long = i % 3 == 0;
            cnt[i] = 1 + (uint32_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33) % (is_long ? 20 : 40);
            for (uint32_t k = 0; k < cnt[i]; k++) {
                uint32_t r = (uint32_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33);
                queries[i][k] = fx_query(r % (FX_DOCS + 10));
                kh_query *q = &queries[i][k];
                if (r >> 8 & 1 && r >> 9 & 1) q->amount++;
                if (is_long && r >> 10 & 1) q->want = 999800;
                if (is_long && (r >> 11) % 8 == 0) q->contract = 5;
                if ((r >> 14) % 16 == 0) q->owner_check++;
                if ((r >> 18) % 16 == 0) q->date++;
                if ((r >> 22) % 16 == 0) q->currency = 978;
                if (is_long && (r >> 26) % 8 == 0) q->version = r >> 29;
                if (is_long && (r >> 26) % 8 == 1) q->direction = (r >> 29) % 2 == 0 ? 1 : -1;
            }
            fx_seal(&lanes[i % 2], &packets[i], queries[i], cnt[i], is_long);
            pointers[i] = &packets[i].packet;
        }
        kh_poller_burst(x.poller, pointers, PACKETS, x.now);
        for (uint32_t i = 0; i < PACKETS; i++) {
            kh_query_answer got[EACH];
            cr_assert(packets[i].packet.n <= KH_REQUEST_HEAD_SZ + cnt[i] * (i % 3 == 0 ? 64u : 32u) + 16, "no amplification");
            cr_assert(fx_read(&lanes[i % 2], &packets[i].packet, got, cnt[i]), "packet %u", i);
            const kh_ledger *l = kh_store_read_begin(x.store);
            for (uint32_t k = 0; k < cnt[i]; k++) {
                const kh_query *q = &queries[i][k];
                kh_question question = {.key = q->key,
                                        .kind = KH_KIND_EXPORT_DECLARATION,
                                        .bank = i % 2 == 0 ? FX_BANK : FX_OTHER,
                                        .owner_check = q->owner_check,
                                        .amount = q->amount,
                                        .currency = q->currency,
                                        .date = q->date,
                                        .direction = i % 3 == 0 ? q->direction : 0,
                                        .version = i % 3 == 0 ? q->version : 0,
                                        .contract = q->contract,
                                        .want = i % 3 == 0 ? q->want : KH_AMOUNT_NONE};
                kh_verdict v;
                kh_ledger_verify(l, &question, 1, &v);
                codes[v.code]++;
                cr_assert(got[k].code == v.code && got[k].free == v.free && got[k].version == v.version &&
                              got[k].status == v.status && got[k].currency == v.currency && got[k].mismatch == v.mismatch &&
                              got[k].watermark == v.watermark,
                          "packet %u query %u: %u, not %u", i, k, got[k].code, v.code);
            }
            kh_store_read_end(x.store);
        }
    }
    cr_assert(codes[KH_C_OK] > 0 && codes[KH_C_DUP_OWN] > 0 && codes[KH_C_DUP_HELD_OTHER] > 0 && codes[KH_C_INSUFFICIENT] > 0 &&
              codes[KH_C_NOT_FOUND] > 0 && codes[KH_C_OWNER_MISMATCH] > 0 && codes[KH_C_FIELD_MISMATCH] > 0);
    kh_lane_close(&lanes[0]);
    kh_lane_close(&lanes[1]);
    fx_teardown(&x);
}

static bool holds(const uint8_t *p, size_t n, const void *what, size_t what_n) { return memmem(p, n, what, what_n) != NULL; }

/* One bank finances with ids and amounts that are easy to find; no byte of them is in what the other is answered. */
Test(access, nothing_of_another_bank)
{
    fx_setup(&x);
    const uint64_t id = UINT64_C(0x5a5b5c5d5e5f6061), amount = 876543;
    const uint32_t party = FX_OTHER;
    ops_buf b = {0};
    apply_op(&b, FX_OTHER, id, 1, amount);
    apply_op(&b, FX_OTHER, id + 1, 2, FX_BASE);
    send_ops(&b);
    kh_lane lane = fx_lane(&x, FX_BANK);
    for (uint32_t doc = 0; doc < 6; doc++)
        for (uint32_t shape = 0; shape < 64; shape++) {
            kh_query q = fx_query(doc);
            if (shape & 1) q.amount = amount;
            if (shape & 2) q.amount = KH_AMOUNT_NONE;
            if (shape & 4) q.owner_check++;
            if (shape & 8) q.want = FX_BASE;
            if (shape & 16) q.contract = 1;
            if (shape & 32) q.version = 9;
            fx_packet p;
            fx_seal(&lane, &p, &q, 1, true);
            fx_burst(&x, &p.packet);
            kh_reply_head head;
            uint64_t as_of;
            const uint8_t *body;
            uint32_t cnt;
            cr_assert(kh_lane_open_reply(&lane, p.bytes, p.packet.n, &head, &as_of, &body, &cnt) && cnt == 1);
            cr_assert(!holds(p.bytes, p.packet.n, &id, 7) && !holds(body, KH_ANSWER_SZ, &amount, 4) &&
                      !holds(body, KH_ANSWER_SZ, &party, 4));
        }
    cr_assert(one(&lane, fx_query(2), false).code == KH_C_DUP_HELD_OTHER &&
              one(&lane, fx_query(1), false).free == FX_BASE - amount);
    kh_lane_close(&lane);
    fx_teardown(&x);
}

/* ---- late ---- */

Test(late, while_the_applier_is_at_work)
{
    fx_setup(&x);
    ops_buf b = {0};
    apply_op(&b, FX_OTHER, 5, 7, FX_BASE);
    send_ops(&b);
    kh_lane lane = fx_lane(&x, FX_BANK), regulator = fx_lane(&x, FX_REGULATOR);
    kh_query q[3] = {fx_query(6), fx_query(7), fx_query(8)};
    kh_query_answer a[3];
    fx_packet p;
    (void)pthread_rwlock_wrlock(&x.store->gate);                          /* as the applier has it */
    cr_assert(fx_ask(&x, &lane, q, 1, false, a) && a[0].code == KH_C_OK); /* what the records decide does not wait */
    fx_seal(&lane, &p, q, 3, false);
    memset(p.packet.peer, 0x77, sizeof p.packet.peer);
    fx_burst(&x, &p.packet);
    cr_assert(p.packet.n == 0 && fx_count(&x, KH_N_DROPPED_BUSY) == 0 && kh_poller_late_cnt(x.poller) == 0);
    for (uint32_t i = 1; i < KH_LATE_PARTY_MAX; i++) { /* the desk waits too, and has a bound */
        fx_packet more;
        fx_seal(&lane, &more, &q[1], 1, false);
        fx_burst(&x, &more.packet);
        cr_assert(more.packet.n == 0);
    }
    cr_assert(fx_count(&x, KH_N_DROPPED_BUSY) == 0);
    fx_packet more;
    fx_seal(&lane, &more, &q[1], 1, false);
    fx_burst(&x, &more.packet);
    cr_assert(more.packet.n == 0 && fx_count(&x, KH_N_DROPPED_BUSY) == 1);
    uint32_t answered = 0; /* others have room; a look-up that cannot be written down is not answered */
    for (uint32_t i = 0; i <= KH_LATE_PARTY_MAX; i++) answered += fx_ask(&x, &regulator, q, 1, false, a);
    cr_assert(answered == KH_LATE_PARTY_MAX && fx_count(&x, KH_N_DROPPED_UNLOGGED) == 1);
    kh_poller_sleep(x.poller);
    uint64_t n;
    cr_assert(read(kh_poller_event_fd(x.poller), &n, 8) < 0); /* nothing waits */
    (void)pthread_rwlock_unlock(&x.store->gate);
    for (uint32_t i = 0; i < 60000 && read(kh_poller_event_fd(x.poller), &n, 8) < 0; i++) usleep(1000);
    kh_poller_wake(x.poller);
    cr_assert(fx_late(&x, &p) && p.packet.peer[63] == 0x77 && fx_read(&lane, &p.packet, a, 3));
    cr_assert(a[0].code == KH_C_OK && a[1].code == KH_C_DUP_HELD_OTHER && a[2].code == KH_C_OK && a[2].free == FX_BASE);
    for (uint32_t i = 1; i < KH_LATE_PARTY_MAX; i++)
        cr_assert(fx_late(&x, &p) && fx_read(&lane, &p.packet, a, 1) && a[0].code == KH_C_DUP_HELD_OTHER);
    cr_assert(kh_poller_late_cnt(x.poller) == 0 && fx_count(&x, KH_N_LATE) == KH_LATE_PARTY_MAX);
    /* a session that ends meanwhile */
    (void)pthread_rwlock_wrlock(&x.store->gate);
    fx_seal(&lane, &p, &q[1], 1, false);
    fx_burst(&x, &p.packet);
    kh_session *s = kh_session_find(&x.service->sessions, kh_load64(lane.session));
    s->who.party = FX_OTHER; /* what its place would say if another had taken it */
    (void)pthread_rwlock_unlock(&x.store->gate);
    cr_assert(fx_late(&x, &p) && p.packet.n == 0 && fx_count(&x, KH_N_DROPPED_ENDED) == 1);
    kh_lane_close(&lane);
    kh_lane_close(&regulator);
    fx_teardown(&x);
}

/* ---- limits ---- */

Test(limit, probes_and_questions)
{
    const kh_limit_rate rates[KH_LIMIT_CNT] = {
        [KH_LIMIT_PROBE] = {10, 1}, [KH_LIMIT_QUERY] = {100, 1}, [KH_LIMIT_OPERATION] = {1, 1}};
    fx_setup_with(&x, rates, (kh_service_options){0});
    kh_lane lane = fx_lane(&x, FX_BANK), other = fx_lane(&x, FX_OTHER), regulator = fx_lane(&x, FX_REGULATOR);
    kh_query q[8], missing[8];
    kh_query_answer a[8];
    for (uint32_t i = 0; i < 8; i++) q[i] = fx_query(i), missing[i] = fx_query(FX_DOCS + i);
    for (uint32_t i = 0; i < 5; i++) { /* who holds the papers is not limited by guesses */
        cr_assert(fx_ask(&x, &lane, q, 8, false, a));
        for (uint32_t k = 0; k < 8; k++) cr_assert(a[k].code == KH_C_OK);
    }
    uint32_t found = 0, limited = 0;
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(fx_ask(&x, &lane, missing, 8, false, a));
        for (uint32_t k = 0; k < 8; k++) found += a[k].code == KH_C_NOT_FOUND, limited += a[k].code == KH_C_RATE_LIMITED;
    }
    cr_assert(found == 10 && limited == 14, "%u %u", found, limited);
    cr_assert(fx_count(&x, KH_N_LIMITED) == 14);
    cr_assert(fx_ask(&x, &other, missing, 8, false, a) && a[7].code == KH_C_NOT_FOUND); /* another bank does not notice */
    for (uint32_t i = 0; i < 40; i++) {
        cr_assert(fx_ask(&x, &regulator, missing, 8, false, a) && a[7].code == KH_C_NOT_FOUND);
        cr_assert(fx_ask(&x, &other, q, 2, false, a));
    }
    cr_assert(fx_ask(&x, &other, q, 8, false, a)); /* 8 + 80 of 100 asked; the limit on questions */
    cr_assert(fx_ask(&x, &other, q, 8, false, a) && a[0].code == KH_C_OK && a[7].code == KH_C_RATE_LIMITED);
    kh_lane_close(&lane);
    kh_lane_close(&other);
    kh_lane_close(&regulator);
    fx_teardown(&x);
}

/* ---- operations ---- */

static uint32_t operate(kh_lane *lane, const ops_buf *b, kh_op_answer *ret)
{
    fx_packet p;
    uint64_t counter, as_of;
    kh_reply_head head;
    const uint8_t *body;
    uint32_t cnt;
    p.packet = (kh_packet){.p = p.bytes, .cap = KH_DATAGRAM_MAX_SZ};
    p.packet.n = kh_lane_seal_frames(lane, b->p, (uint32_t)b->n, p.bytes, &counter);
    fx_burst(&x, &p.packet);
    cr_assert(p.packet.n == 0);
    cr_assert(fx_late(&x, &p));
    if (p.packet.n == 0) return 0;
    cr_assert(kh_lane_open_reply(lane, p.bytes, p.packet.n, &head, &as_of, &body, &cnt) && head.request_counter == counter);
    for (uint32_t i = 0; i < cnt; i++) cr_assert(kh_op_answer_decode(body + i * KH_OP_ANSWER_SZ, &ret[i]) == KH_OK);
    return cnt;
}

Test(operations, in_datagrams)
{
    fx_setup(&x);
    kh_lane lane = fx_lane(&x, FX_BANK), source = fx_lane(&x, FX_SOURCE);
    kh_op_answer a[KH_DATAGRAM_OPS_MAX], again[KH_DATAGRAM_OPS_MAX];
    ops_buf b = {0};
    for (uint32_t i = 0; i < 5; i++) apply_op(&b, FX_BANK, 50 + i, i, 1000 + i);
    cr_assert(operate(&lane, &b, a) == 5);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert(a[i].code == KH_C_OK && a[i].financing == 50 + i && a[i].amount == 1000 + i && a[i].state == KH_FIN_APPLIED &&
                  a[i].height > 0 && a[i].sequence == 50 + i && a[i].refused == 0);
    cr_assert(operate(&lane, &b, again) == 5); /* sent again: the first outcome */
    cr_assert(memcmp(a, again, 5 * sizeof *a) == 0);
    b.n = b.cnt = 0;
    apply_op(&b, FX_BANK, 90, 1, 100);
    apply_op(&b, FX_OTHER, 91, 1, 100); /* in another's name: none of it */
    cr_assert(operate(&lane, &b, a) == 1 && a[0].refused && a[0].code == KH_C_NOT_AUTHORISED);
    b.n = b.cnt = 0;
    ops_declaration(&b, 9999, 100); /* a bank registers no documents */
    kh_store32(b.p + 8, FX_BANK);
    cr_assert(operate(&lane, &b, a) == 1 && a[0].refused && a[0].code == KH_C_NOT_AUTHORISED);
    kh_store32(b.p + 8, FX_SOURCE); /* a source does, but in its own name */
    cr_assert(operate(&source, &b, a) == 1 && a[0].refused && a[0].code == KH_C_NOT_AUTHORISED);
    memset(b.p, 0xff, b.n);
    cr_assert(operate(&lane, &b, a) == 1 && a[0].refused && a[0].code == KH_C_FORMAT);
    b.n = b.cnt = 0;
    kh_op op = {.type = KH_OP_DOCUMENT, .party = FX_SOURCE};
    char number[32];
    op.document = (kh_op_document){.action = KH_DOC_PUT,
                                   .kind = KH_KIND_EXPORT_DECLARATION,
                                   .status = KH_STATUS_CLEARED,
                                   .date = 9000,
                                   .source = FX_SOURCE,
                                   .balance_cnt = 1,
                                   .number = ops_number(number, 9999),
                                   .owner = kh_text_of(ops_owner)};
    op.document.balances[0] = (kh_op_balance){OPS_USD, FX_BASE};
    ops_add(&b, &op);
    cr_assert(operate(&source, &b, a) == 1 && a[0].code == KH_C_OK && !a[0].refused && a[0].effect == KH_EFFECT_STORED);
    cr_assert(one(&lane, fx_query(9999), false).code == KH_C_OK);
    kh_engine_stop_with(x.store, KH_E_IO); /* as when the disk failed: not answered, counted */
    b.n = b.cnt = 0;
    apply_op(&b, FX_BANK, 95, 1, 100);
    cr_assert(operate(&lane, &b, a) == 0 && fx_count(&x, KH_N_DROPPED_STOPPED) == 1);
    free(b.p);
    kh_lane_close(&lane);
    kh_lane_close(&source);
    fx_teardown(&x);
}

Test(operations, limited)
{
    const kh_limit_rate rates[KH_LIMIT_CNT] = {[KH_LIMIT_OPERATION] = {3, 1}};
    fx_setup_with(&x, rates, (kh_service_options){0});
    kh_lane lane = fx_lane(&x, FX_BANK);
    kh_op_answer a[KH_DATAGRAM_OPS_MAX];
    ops_buf b = {0};
    for (uint32_t i = 0; i < 4; i++) apply_op(&b, FX_BANK, 50 + i, i, 1000);
    cr_assert(operate(&lane, &b, a) == 1 && a[0].refused && a[0].code == KH_C_RATE_LIMITED);
    b.n = b.cnt = 0;
    for (uint32_t i = 0; i < 3; i++) apply_op(&b, FX_BANK, 50 + i, i, 1000);
    cr_assert(operate(&lane, &b, a) == 3 && a[2].code == KH_C_OK);
    free(b.p);
    kh_lane_close(&lane);
    fx_teardown(&x);
}

/* Applications are questions too: who guesses papers by them uses up the same tokens as who asks. */
Test(operations, that_guess_are_probes)
{
    const kh_limit_rate rates[KH_LIMIT_CNT] = {[KH_LIMIT_PROBE] = {10, 1}};
    fx_setup_with(&x, rates, (kh_service_options){0});
    x.now = x.f.now; /* one clock */
    kh_lane lane = fx_lane(&x, FX_BANK);
    kh_op_answer a[KH_DATAGRAM_OPS_MAX];
    kh_query_answer q;
    ops_buf b = {0};
    for (uint32_t round = 0; round < 5; round++) { /* papers that it holds cost nothing */
        b.n = b.cnt = 0;
        for (uint32_t i = 0; i < 8; i++) apply_op(&b, FX_BANK, 100 + round * 8 + i, i, 10);
        cr_assert(operate(&lane, &b, a) == 8 && a[7].code == KH_C_OK);
    }
    b.n = b.cnt = 0;
    for (uint32_t i = 0; i < 8; i++) apply_op(&b, FX_BANK, 200 + i, FX_DOCS + i, 10);
    cr_assert(operate(&lane, &b, a) == 8 && a[7].code == KH_C_NOT_FOUND);
    cr_assert(operate(&lane, &b, a) == 1 && a[0].refused && a[0].code == KH_C_RATE_LIMITED);
    kh_query missing = fx_query(FX_DOCS);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(fx_ask(&x, &lane, &missing, 1, false, &q));
        cr_assert(q.code == (i < 2 ? KH_C_NOT_FOUND : KH_C_RATE_LIMITED), "%u: %u", i, q.code);
    }
    free(b.p);
    kh_lane_close(&lane);
    fx_teardown(&x);
}

Test(operations, nobody_freezes_itself)
{
    uint32_t cnt;
    const kh_principal who = fx_who(FX_REGULATOR);
    ops_buf b = {0};
    for (uint32_t i = 0; i < 3; i++) {
        b.n = b.cnt = 0;
        ops_add(&b, &(kh_op){.type = KH_OP_PARTY_STATUS,
                             .party = FX_REGULATOR,
                             .party_status = {i == 1 ? FX_BANK : FX_REGULATOR, i != 2}});
        cr_assert(kh_submit_check(&who, b.p, b.n, &cnt) == (i == 0 ? KH_C_NOT_AUTHORISED : KH_C_OK));
    }
    free(b.p);
}

/* One party has its share of the places of late answers, and operations theirs. */
Test(late, shares)
{
    fx_setup(&x);
    const kh_principal bank = fx_who(FX_BANK), other = fx_who(FX_OTHER), third = fx_who(FX_ENTERPRISE),
                       regulator = fx_who(FX_REGULATOR);
    uint32_t n = 0, of_other = 0, of_third = 0;
    while (kh_late_take(x.poller, &bank, KH_LATE_OPERATIONS) != NULL) n++;
    cr_assert(n == KH_LATE_PARTY_MAX);
    while (kh_late_take(x.poller, &other, KH_LATE_OPERATIONS) != NULL) of_other++;
    while (kh_late_take(x.poller, &third, KH_LATE_OPERATIONS) != NULL) of_third++;
    cr_assert(of_other == KH_LATE_PARTY_MAX && of_third == 0 && n + of_other == KH_LATE_OPERATIONS_MAX);
    cr_assert(kh_late_take(x.poller, &regulator, KH_LATE_LOOKUP) != NULL);
    cr_assert(kh_late_take(x.poller, &third, KH_LATE_QUESTIONS) != NULL);
    fx_teardown(&x);
}

static void count_dropped(void *ctx, const char *name, const char *help, const char *labels, uint64_t value)
{
    uint32_t *n = ctx;
    (void)value, (void)labels;
    cr_assert(strncmp(name, "kanhe_", 6) == 0 && help[0] != '\0');
    if (strstr(name, "dropped") != NULL) ++*n;
}

static void *ask_who(void *asked)
{
    kh_principal *who = asked;
    cr_assert(kh_service_principal(x.service, FX_BANK, KH_ROLE_BANK, who));
    return NULL;
}

/* A polling thread asks with every request: it must not wait for the applier. */
Test(service, who_was_seen_is_known_without_waiting)
{
    fx_setup(&x);
    kh_principal who = {0};
    pthread_t thread;
    struct timespec until;
    cr_assert(!kh_service_principal(x.service, FX_BANK, KH_ROLE_SOURCE, &who) && !kh_service_principal(x.service, 0, 0, &who));
    cr_assert(!kh_service_principal(x.service, 4711, KH_ROLE_BANK, &who) && who.party == 0);
    cr_assert(kh_service_principal(x.service, FX_BANK, KH_ROLE_BANK, &who) && who.party == FX_BANK && !who.frozen);
    cr_assert(!kh_service_principal(x.service, FX_BANK, KH_ROLE_SOURCE, &who));
    ops_buf b = {0};
    ops_add(&b, &(kh_op){.type = KH_OP_PARTY_STATUS, .party_status = {FX_BANK, 1}});
    send_ops(&b);
    (void)pthread_rwlock_wrlock(&x.store->gate);
    cr_assert(pthread_create(&thread, NULL, ask_who, &who) == 0);
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    cr_assert(pthread_timedjoin_np(thread, NULL, &until) == 0);
    (void)pthread_rwlock_unlock(&x.store->gate);
    cr_assert(who.party == FX_BANK && who.role == KH_ROLE_BANK && who.frozen);
    fx_teardown(&x);
}

Test(service, metrics)
{
    fx_setup(&x);
    uint32_t n = 0;
    kh_service_metrics(x.service, count_dropped, &n);
    cr_assert(n == KH_N_CNT - KH_N_DROPPED_SHORT);
    fx_teardown(&x);
}

/* ---- bundles that a party signed ---- */

static kh_code check_bundle(const kh_principal *who, uint32_t party, uint64_t number, const kh_op *op, size_t cut,
                            uint32_t *ret_cnt)
{
    static const uint8_t chain[32], secret[KH_SECRET_SZ] = {7};
    ops_buf b = {0};
    uint8_t *p = NULL;
    size_t n = 0;
    kh_signer *signer = NULL;
    ops_add(&b, op);
    cr_assert(kh_signer_new(KH_SUITE_INTL, secret, &signer) == KH_OK);
    cr_assert(kh_bundle_make(signer, chain, party, number, b.p, (uint32_t)b.n, &p, &n) == KH_OK);
    kh_code code = kh_submit_check_bundle(who, p, n - cut, ret_cnt);
    kh_signer_free(signer);
    free(p);
    free(b.p);
    return code;
}

Test(submit, a_bundle_is_of_the_party_that_brings_it)
{
    enum { ENTERPRISE = 71, BANK = 72, OTHER = 73 };
    const kh_principal enterprise = {.party = ENTERPRISE, .role = KH_ROLE_ENTERPRISE},
                       bank = {.party = BANK, .role = KH_ROLE_BANK}, regulator = {.party = OTHER, .role = KH_ROLE_REGULATOR};
    kh_op grant = {.type = KH_OP_GRANT, .party = ENTERPRISE};
    grant.grant = (kh_op_grant){.id = 1, .until_ns = 9, .enterprise = ENTERPRISE, .bank = BANK, .scope = KH_SCOPE_CREDIT};
    const kh_op rule = {.type = KH_OP_RULE_SET, .party = ENTERPRISE, .rule_set = {kh_text_of("a"), kh_text_of("b")}},
                block = {.type = KH_OP_BLOCK, .block = {1, 0, 0}},
                key = {.type = KH_OP_PARTY_KEY, .party = OTHER, .party_key = {.id = ENTERPRISE}};
    uint32_t cnt = 0;
    cr_assert(check_bundle(&enterprise, ENTERPRISE, 1, &grant, 0, &cnt) == KH_C_OK && cnt == 1);
    cr_assert(check_bundle(&regulator, OTHER, 1, &key, 0, &cnt) == KH_C_OK);
    cr_assert(check_bundle(&enterprise, ENTERPRISE, 0, &grant, 0, &cnt) == KH_C_FORMAT);        /* no number */
    cr_assert(check_bundle(&enterprise, ENTERPRISE, 1, &grant, 1, &cnt) == KH_C_FORMAT);        /* not whole */
    cr_assert(check_bundle(&enterprise, ENTERPRISE, 1, &block, 0, &cnt) == KH_C_FORMAT);        /* execution's own */
    cr_assert(check_bundle(&enterprise, ENTERPRISE, 1, &rule, 0, &cnt) == KH_C_NOT_AUTHORISED); /* not this role's */
    cr_assert(check_bundle(&enterprise, OTHER, 1, &grant, 0, &cnt) == KH_C_NOT_AUTHORISED);     /* another's bundle */
    cr_assert(check_bundle(&regulator, OTHER, 1, &grant, 0, &cnt) == KH_C_NOT_AUTHORISED);      /* another's frame in it */
    cr_assert(check_bundle(&bank, BANK, 1, &grant, 0, &cnt) == KH_C_NOT_AUTHORISED);            /* its node signs */
}
