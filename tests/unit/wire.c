/* Unit tests of wire: golden bytes, canonical round trips, what is refused, and random bytes. */
#include "wire/fields.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state = 20261124;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % n;
}

static kh_key key_of(kh_kind kind, const char *number) { return kh_doc_key(kind, kh_text_of(number), (kh_text){NULL, 0}); }

/* sample fills one operation of each type, and some more shapes; false beyond the last. */
static bool sample(uint32_t i, kh_op *op, kh_op_line lines[4])
{
    memset(op, 0, sizeof *op);
    op->party = 7;
    op->sequence = UINT64_C(0x0102030405060708);
    for (uint32_t j = 0; j < 4; j++)
        lines[j] =
            (kh_op_line){.key = key_of(KH_KIND_EXPORT_DECLARATION, j % 2 == 0 ? "220120260123456789" : "24GBXYZKLV01234560"),
                         .currency = j % 2 == 0 ? 0 : 840,
                         .allocated = j == 0 ? KH_AMOUNT_NONE : 1000 + j,
                         .total = KH_AMOUNT_NONE};
    switch (i) {
    case 0:
        op->type = KH_OP_PARTY_ADD;
        op->party_add = (kh_op_party_add){42, KH_ROLE_ENTERPRISE, kh_text_of("福建 Export"), kh_text_of("91350100M000100Y43")};
        return true;
    case 1:
        op->type = KH_OP_PARTY_STATUS;
        op->party_status = (kh_op_party_status){42, 1};
        return true;
    case 2:
        op->type = KH_OP_RULE_SET;
        op->rule_set = (kh_op_rule_set){kh_text_of("hold_ttl_applied"), kh_text_of("3d")};
        return true;
    case 3:
        op->type = KH_OP_RATE_SET;
        op->rate_set = (kh_op_rate_set){840, 156, {71, 1}, 9800, kh_text_of("boc")};
        return true;
    case 4: {
        kh_op_document *d = &op->document;
        op->type = KH_OP_DOCUMENT;
        *d = (kh_op_document){.action = KH_DOC_PUT,
                              .kind = KH_KIND_EXPORT_DECLARATION,
                              .status = KH_STATUS_CLEARED,
                              .flags = KH_DOCF_FORCE,
                              .balance_cnt = 2,
                              .ref_cnt = 1,
                              .date = 9800,
                              .doc_version = 3,
                              .source = 9,
                              .issue_time = 1796000000,
                              .contract = 0x1122334455667788,
                              .number = kh_text_of("24GBXYZKLV01234560"),
                              .owner = kh_text_of("GB123"),
                              .lrn = kh_text_of("LRN-1"),
                              .lrn_issuer = kh_text_of("GB999")};
        d->balances[0] = (kh_op_balance){156, 5};
        d->balances[1] = (kh_op_balance){840, KH_AMOUNT_MAX};
        d->refs[0] = (kh_op_ref){KH_REF_LINK, KH_KIND_INVOICE, kh_doc_key(KH_KIND_INVOICE, kh_text_of("1"), kh_text_of("GB123"))};
        return true;
    }
    case 5:
        op->type = KH_OP_APPLY;
        op->apply = (kh_op_apply){.id = 99,
                                  .enterprise = 42,
                                  .currency = 840,
                                  .allow_partial = 1,
                                  .amount = 123456,
                                  .product = kh_text_of("export_receivable"),
                                  .line_cnt = 4,
                                  .lines = lines};
        return true;
    case 6:
        op->type = KH_OP_EVENT;
        op->event = (kh_op_event){.id = 99,
                                  .event = KH_EV_REPAY,
                                  .source = KH_SRC_COLLECTION,
                                  .has_expect = 1,
                                  .expect = 4,
                                  .amount = 55,
                                  .line_cnt = 2,
                                  .lines = lines + 1};
        return true;
    case 7:
        op->type = KH_OP_EVENT;
        op->event =
            (kh_op_event){.id = 1, .event = KH_EV_REJECT, .reason = KH_REASON_OTHER, .amount = KH_AMOUNT_NONE, .lines = lines};
        return true;
    case 8: {
        kh_op_document *d = &op->document;
        op->type = KH_OP_DOCUMENT;
        *d = (kh_op_document){.action = KH_DOC_STATUS,
                              .kind = KH_KIND_ANY,
                              .status = KH_STATUS_REVOKED,
                              .flags = KH_DOCF_NOTICE,
                              .number = kh_text_of("24GBXYZKLV01234560")};
        return true;
    }
    case 9:
        op->type = KH_OP_GRANT;
        op->grant = (kh_op_grant){.id = 7,
                                  .from_ns = UINT64_C(1796000000000000000),
                                  .until_ns = UINT64_C(1803775999999999999),
                                  .enterprise = 42,
                                  .bank = 11,
                                  .scope = KH_SCOPE_ALL};
        return true;
    case 10:
        op->type = KH_OP_GRANT_REVOKE;
        op->grant_revoke = (kh_op_grant_revoke){7, 42};
        return true;
    case 11:
        op->type = KH_OP_CREDIT_LOOKUP;
        op->credit_lookup = (kh_op_credit_lookup){7, 42, KH_SCOPE_CREDIT};
        return true;
    case 12:
        op->type = KH_OP_RISK_ADD;
        op->risk_add = (kh_op_risk_add){kh_risk_subject(kh_text_of("91350100M000100Y43")), KH_RISK_FRAUD};
        return true;
    case 13:
        op->type = KH_OP_RISK_REMOVE;
        op->risk_remove = (kh_op_risk_remove){kh_risk_subject(kh_text_of("91350100M000100Y43")), 11, KH_RISK_FRAUD};
        return true;
    case 14: {
        static uint8_t subjects[48];
        for (int i = 0; i < 48; i++) subjects[i] = (uint8_t)(0xa0 + i);
        op->type = KH_OP_RISK_ASK;
        op->risk_ask = (kh_op_risk_ask){3, subjects};
        return true;
    }
    case 15:
        op->type = KH_OP_BLOCK;
        op->party = 0;
        op->block = (kh_op_block){UINT64_C(0x0102030405060708), KH_BLOCK_MORE, 3};
        return true;
    case 16:
        op->type = KH_OP_REFUSED;
        op->refused = (kh_op_refused){KH_C_UNOPENABLE};
        return true;
    case 17:
        op->type = KH_OP_BUNDLE;
        op->bundle = (kh_op_bundle){UINT64_C(0x1112131415161718), 5};
        return true;
    case 18:
        op->type = KH_OP_PARTY_KEY;
        op->party_key = (kh_op_party_key){.id = 42};
        for (int j = 0; j < 64; j++) op->party_key.key[j] = (uint8_t)(j + 1);
        return true;
    case 19:
        op->type = KH_OP_EXPELLED;
        op->party = 0;
        op->expelled = (kh_op_expelled){42};
        return true;
    default: return false;
    }
}

/* golden opens tests/golden/wire/NAME.hex; with KH_GOLDEN_MAKE set, and no such file, it is made. */
static void same_as_golden(const char *name, const uint8_t *bytes, size_t n)
{
    char path[512];
    const char *root = getenv("KH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/wire/%s.hex", root != NULL ? root : ".", name);
    FILE *f = fopen(path, "r");
    if (f == NULL && getenv("KH_GOLDEN_MAKE") != NULL) {
        FILE *made = fopen(path, "w");
        cr_assert(made != NULL, "%s", path);
        for (size_t i = 0; i < n; i++) fprintf(made, "%02x%s", bytes[i], i % 16 == 15 || i + 1 == n ? "\n" : " ");
        fclose(made);
        f = fopen(path, "r");
    }
    cr_assert(f != NULL, "%s is missing", path);
    size_t at = 0;
    unsigned byte;
    while (fscanf(f, "%2x", &byte) == 1) {
        cr_assert(at < n && bytes[at] == byte, "%s differs at byte %zu", name, at);
        at++;
    }
    fclose(f);
    cr_assert(at == n, "%s: %zu bytes, golden %zu", name, n, at);
}

static size_t encoded(const kh_op *op, uint8_t buf[4096])
{
    size_t n = 0;
    cr_assert(kh_op_encode(op, buf, 4096, &n) == KH_OK);
    return n;
}

Test(wire, operations_have_their_golden_bytes)
{
    kh_op op;
    kh_op_line lines[4];
    for (uint32_t i = 0; sample(i, &op, lines); i++) {
        uint8_t buf[4096];
        char name[32];
        size_t n = encoded(&op, buf);
        snprintf(name, sizeof name, "operation_%u", i);
        same_as_golden(name, buf, n);
    }
}

Test(wire, decode_gives_back_what_was_encoded)
{
    kh_op op, back;
    kh_op_line lines[4];
    static kh_op_scratch scratch;
    for (uint32_t i = 0; sample(i, &op, lines); i++) {
        uint8_t buf[4096], again[4096];
        size_t n = encoded(&op, buf), used = 0;
        cr_assert(kh_op_decode(buf, n, &scratch, &back, &used) == KH_OK && used == n, "%u", i);
        cr_assert(back.type == op.type && back.party == op.party && back.sequence == op.sequence);
        cr_assert(encoded(&back, again) == n && memcmp(buf, again, n) == 0);
        for (size_t cut = 0; cut < n; cut++)
            cr_assert(kh_op_decode(buf, cut, &scratch, &back, &used) == KH_E_FORMAT, "cut at %zu", cut);
        for (size_t cap = 0; cap < n; cap++) {
            size_t made = 77;
            cr_assert(kh_op_encode(&op, again, cap, &made) == KH_E_FULL && made == 77, "cap %zu", cap);
        }
    }
    cr_assert(sample(5, &op, lines));
    uint8_t buf[4096];
    size_t n = encoded(&op, buf), used;
    cr_assert(kh_op_decode(buf, n, &scratch, &back, &used) == KH_OK);
    cr_assert(back.apply.id == 99 && back.apply.enterprise == 42 && back.apply.currency == 840 && back.apply.allow_partial == 1 &&
              back.apply.amount == 123456 && kh_text_equal(back.apply.product, op.apply.product) && back.apply.line_cnt == 4);
    for (int j = 0; j < 4; j++)
        cr_assert(kh_key_equal(&back.apply.lines[j].key, &lines[j].key) && back.apply.lines[j].allocated == lines[j].allocated &&
                  back.apply.lines[j].currency == lines[j].currency && back.apply.lines[j].total == KH_AMOUNT_NONE);
    kh_key keys[8];
    cr_assert(kh_op_peek_keys(buf, n, keys, 8) == 4 && kh_key_equal(&keys[1], &lines[1].key));
    cr_assert(kh_op_peek_keys(buf, n, keys, 2) == 2);
    cr_assert(sample(4, &op, lines));
    n = encoded(&op, buf);
    kh_key meant = key_of(KH_KIND_EXPORT_DECLARATION, "24GBXYZKLV01234560");
    cr_assert(kh_op_peek_keys(buf, n, keys, 8) == 1 && kh_key_equal(&keys[0], &meant));
}

/* Each byte of each frame, changed: either refused, or another operation that encodes to exactly these bytes. */
Test(wire, every_changed_byte_is_refused_or_means_something)
{
    kh_op op, back;
    kh_op_line lines[4];
    static kh_op_scratch scratch;
    uint32_t refused = 0, read = 0;
    for (uint32_t i = 0; sample(i, &op, lines); i++) {
        uint8_t buf[4096], again[4096];
        size_t n = encoded(&op, buf), used;
        for (size_t at = 0; at < n; at++)
            for (int bit = 0; bit < 8; bit++) {
                buf[at] ^= (uint8_t)(1 << bit);
                if (kh_op_decode(buf, n, &scratch, &back, &used) == KH_OK) {
                    read++;
                    cr_assert(used <= n);
                    size_t m = encoded(&back, again);
                    cr_assert(m == used && memcmp(buf, again, m) == 0, "operation %u byte %zu bit %d", i, at, bit);
                } else {
                    refused++;
                }
                buf[at] ^= (uint8_t)(1 << bit);
            }
    }
    cr_assert(refused > 1000 && read > 1000);
}

Test(wire, a_text_has_no_control_character_anywhere)
{
    static const uint8_t bad[] = {0x00, 0x09, 0x1f, 0x7f, 0x80, 0xff};
    char text[72];
    memset(text, ' ', sizeof text);
    for (uint32_t n = 1; n <= sizeof text; n++) {
        cr_assert(kh_wire_clean((kh_text){text, n}));
        for (uint32_t at = 0; at < n; at++) {
            for (uint32_t i = 0; i < sizeof bad; i++) {
                text[at] = (char)bad[i];
                cr_assert(!kh_wire_clean((kh_text){text, n}), "%02x at %u of %u", bad[i], at, n);
            }
            text[at] = '~';
            cr_assert(kh_wire_clean((kh_text){text, n}));
            text[at] = ' ';
        }
        if (n > 1) memcpy(text, "\xc3\xa9", 2);
        cr_assert(kh_wire_clean((kh_text){text, n}));
        memset(text, ' ', 2);
    }
}

Test(wire, consent_and_risks_mean_what_was_encoded)
{
    kh_op op, back;
    kh_op_line lines[4];
    static kh_op_scratch scratch;
    uint8_t buf[4096];
    size_t used;
#define BACK(i) cr_assert(sample(i, &op, lines) && kh_op_decode(buf, encoded(&op, buf), &scratch, &back, &used) == KH_OK)
    BACK(9);
    cr_assert(back.grant.id == 7 && back.grant.enterprise == 42 && back.grant.bank == 11 && back.grant.scope == KH_SCOPE_ALL);
    cr_assert(back.grant.from_ns == op.grant.from_ns && back.grant.until_ns == op.grant.until_ns);
    BACK(10);
    cr_assert(back.grant_revoke.id == 7 && back.grant_revoke.enterprise == 42);
    BACK(11);
    cr_assert(back.credit_lookup.grant == 7 && back.credit_lookup.enterprise == 42 &&
              back.credit_lookup.scope == KH_SCOPE_CREDIT);
    BACK(12);
    cr_assert(kh_key_equal(&back.risk_add.subject, &op.risk_add.subject) && back.risk_add.category == KH_RISK_FRAUD);
    BACK(13);
    cr_assert(kh_key_equal(&back.risk_remove.subject, &op.risk_remove.subject) && back.risk_remove.contributor == 11);
    BACK(14);
    cr_assert(back.risk_ask.subject_cnt == 3 && memcmp(back.risk_ask.subjects, op.risk_ask.subjects, 48) == 0);
    static uint8_t full[KH_SUBJECTS_MAX * 16], frame[8192];
    op.risk_ask = (kh_op_risk_ask){KH_SUBJECTS_MAX, full};
    size_t n = 0;
    cr_assert(kh_op_encode(&op, frame, sizeof frame, &n) == KH_OK && n == 32 + sizeof full);
    cr_assert(kh_op_decode(frame, n, &scratch, &back, &used) == KH_OK && back.risk_ask.subject_cnt == KH_SUBJECTS_MAX);
    kh_store32(frame + 24, KH_SUBJECTS_MAX + 1);
    cr_assert(kh_op_decode(frame, n, &scratch, &back, &used) == KH_E_FORMAT);
}

Test(wire, random_bytes_never_harm)
{
    kh_op op, back;
    kh_op_line lines[4];
    static kh_op_scratch scratch;
    static uint8_t again[KH_OP_MAX_SZ];
    uint32_t good = 0;
    for (uint32_t round = 0; round < 300000; round++) {
        uint32_t n = 8 * (1 + random_below(40));
        uint8_t *buf = malloc(n); /* of its exact size, so that a sanitizer sees a step beyond */
        size_t used = 0;
        for (uint32_t i = 0; i < n; i++) buf[i] = (uint8_t)(random_below(3) == 0 ? random_below(256) : 0);
        if (round % 2 == 0 && sample(random_below(15), &op, lines)) {
            uint8_t frame[4096];
            size_t m = encoded(&op, frame);
            memcpy(buf, frame, m < n ? m : n);
            for (uint32_t j = 0; j < 3; j++) buf[random_below(n)] = (uint8_t)random_below(256);
            if (m < n && random_below(2) == 0) kh_store32(buf, (uint32_t)n);
        }
        kh_key keys[4];
        cr_assert(kh_op_peek_keys(buf, n, keys, 4) <= 4);
        if (kh_op_decode(buf, n, &scratch, &back, &used) == KH_OK) {
            size_t m = 0;
            cr_assert(kh_op_encode(&back, again, sizeof again, &m) == KH_OK && m == used && memcmp(again, buf, m) == 0);
            good++;
        }
        cr_assert(used <= n);
        free(buf);
    }
    cr_assert(good > 100);
}

static kh_err encode_error(const kh_op *op)
{
    uint8_t buf[4096];
    size_t n;
    return kh_op_encode(op, buf, sizeof buf, &n);
}

Test(wire, fields_out_of_range_are_not_encoded)
{
    kh_op op;
    kh_op_line lines[4];
#define BAD(i, change)                                                                                                           \
    do {                                                                                                                         \
        cr_assert(sample(i, &op, lines));                                                                                        \
        change;                                                                                                                  \
        cr_assert(encode_error(&op) == KH_E_ARG, #change);                                                                       \
    } while (0)
    BAD(0, op.type = 0);
    BAD(0, op.type = KH_OP_TYPE_CNT);
    BAD(0, op.party_add.id = 0);
    BAD(0, op.party_add.role = 5);
    BAD(0, op.party_add.name = kh_text_of("a\x01"));
    BAD(0, op.party_add.name = kh_text_of("\xc0\x80"));
    BAD(1, op.party_status.frozen = 2);
    BAD(2, op.rule_set.value.n = 0);
    BAD(19, op.expelled.id = 0);
    BAD(19, op.party = 1);
    BAD(3, op.rate_set.rate.scale = 13);
    BAD(3, op.rate_set.from = 1000);
    BAD(4, op.document.kind = KH_KIND_CNT);
    BAD(4, op.document.flags = 64);
    BAD(4, op.document.balances[1].currency = 156);
    BAD(4, op.document.balances[1].base = KH_AMOUNT_NONE);
    BAD(4, op.document.refs[0].role = 3);
    BAD(4, op.document.owner.n = 0);
    BAD(5, op.apply.line_cnt = 0);
    BAD(5, op.apply.line_cnt = KH_LINES_MAX + 1);
    BAD(5, op.apply.amount = KH_AMOUNT_NONE);
    BAD(5, lines[0].allocated = KH_AMOUNT_MAX + 1);
    BAD(6, op.event.event = KH_EV_LAPSE);
    BAD(6, op.event.has_expect = 0);
    BAD(6, lines[1].total = 5);
    BAD(6, op.event.reason = KH_REASON_CNT);
    BAD(9, op.grant.scope = 0);
    BAD(9, op.grant.scope = 4);
    BAD(9, op.grant.bank = 0);
    BAD(9, op.grant.enterprise = 0);
    BAD(9, op.grant.until_ns = op.grant.from_ns - 1);
    BAD(10, op.grant_revoke.enterprise = 0);
    BAD(11, op.credit_lookup.scope = 8);
    BAD(11, op.credit_lookup.enterprise = 0);
    BAD(12, op.risk_add.category = KH_RISK_NONE);
    BAD(12, op.risk_add.category = KH_RISK_CNT);
    BAD(13, op.risk_remove.category = KH_RISK_CNT);
    BAD(14, op.risk_ask.subject_cnt = 0);
    BAD(14, op.risk_ask.subject_cnt = KH_SUBJECTS_MAX + 1);
    BAD(15, op.block.height = 0);
    BAD(15, op.block.flags = 2);
    BAD(15, op.party = 1);
    BAD(16, op.refused.code = KH_C_OK);
    BAD(17, op.bundle.number = 0);
    BAD(17, op.bundle.op_cnt = 0);
}

/* ---- outcomes ---- */

static kh_receipt sample_receipt(kh_receipt_line lines[2])
{
    lines[0] = (kh_receipt_line){key_of(KH_KIND_ORDER, "1"), 840, KH_C_OK, 0, 10, 20};
    lines[1] = (kh_receipt_line){key_of(KH_KIND_ORDER, "2"), 392, KH_C_DUP_OWN, 0, KH_AMOUNT_MAX, KH_AMOUNT_NONE};
    return (kh_receipt){.type = KH_OP_APPLY,
                        .code = KH_C_OK,
                        .warning = KH_C_SIMILAR,
                        .state = KH_FIN_APPLIED,
                        .event = KH_EV_APPLY,
                        .party = 7,
                        .sequence = 8,
                        .version = 1,
                        .financing = 99,
                        .amount = 20,
                        .moved = 20,
                        .currency = 840,
                        .enterprise = 42,
                        .line_cnt = 2,
                        .lines = lines};
}

Test(wire, receipts_and_notices)
{
    static uint8_t buf[KH_RECEIPT_MAX_SZ], again[KH_RECEIPT_MAX_SZ];
    static kh_receipt_line back_lines[KH_LINES_MAX];
    kh_receipt_line lines[2];
    kh_receipt r = sample_receipt(lines), back;
    size_t n = kh_receipt_encode(&r, buf), used = 0;
    cr_assert(n % 8 == 0);
    same_as_golden("receipt", buf, n);
    cr_assert(kh_receipt_decode(buf, n, back_lines, &back, &used) == KH_OK && used == n);
    cr_assert(back.warning == KH_C_SIMILAR && back.financing == 99 && back.lines[1].code == KH_C_DUP_OWN &&
              back.lines[1].allocated == KH_AMOUNT_NONE);
    cr_assert(kh_receipt_encode(&back, again) == n && memcmp(buf, again, n) == 0);
    for (size_t cut = 0; cut < n; cut++) cr_assert(kh_receipt_decode(buf, cut, back_lines, &back, &used) == KH_E_FORMAT);
    for (size_t at = 0; at < n; at++) {
        buf[at] ^= 0x41;
        if (kh_receipt_decode(buf, n, back_lines, &back, &used) == KH_OK)
            cr_assert(kh_receipt_encode(&back, again) == used && memcmp(buf, again, used) == 0, "byte %zu", at);
        buf[at] ^= 0x41;
    }
    kh_notice notice = {.type = KH_NOTICE_LINE_CANCELLED,
                        .state = KH_FIN_LAPSED,
                        .currency = 840,
                        .party = 7,
                        .financing = 99,
                        .has_financing = 1,
                        .has_key = 1,
                        .version = 2,
                        .amount = 3,
                        .moved = 4,
                        .key = key_of(KH_KIND_ORDER, "1")},
              notice_back;
    uint8_t bytes[KH_NOTICE_SZ], bytes_again[KH_NOTICE_SZ];
    cr_assert(kh_notice_encode(&notice, bytes) == KH_NOTICE_SZ);
    same_as_golden("notice", bytes, KH_NOTICE_SZ);
    for (size_t cut = 0; cut < KH_NOTICE_SZ; cut++) cr_assert(kh_notice_decode(bytes, cut, &notice_back, &used) == KH_E_FORMAT);
    for (size_t at = 0; at < KH_NOTICE_SZ; at++) {
        bytes[at] ^= 0x41;
        if (kh_notice_decode(bytes, KH_NOTICE_SZ, &notice_back, &used) == KH_OK)
            cr_assert(kh_notice_encode(&notice_back, bytes_again) == used && memcmp(bytes, bytes_again, used) == 0, "byte %zu",
                      at);
        bytes[at] ^= 0x41;
    }
    cr_assert(kh_notice_decode(bytes, KH_NOTICE_SZ, &notice_back, &used) == KH_OK && notice_back.moved == 4 &&
              notice_back.version == 2);
    cr_assert_str_eq(kh_notice_word(KH_NOTICE_OVER_LIMIT), "OVER_LIMIT");
    notice = (kh_notice){.type = KH_NOTICE_LOOKUP, .state = KH_SCOPE_CREDIT, .party = 42, .financing = 7, .version = 11};
    cr_assert(kh_notice_encode(&notice, bytes) == KH_NOTICE_SZ);
    same_as_golden("notice_lookup", bytes, KH_NOTICE_SZ);
    cr_assert(kh_notice_decode(bytes, KH_NOTICE_SZ, &notice_back, &used) == KH_OK && notice_back.party == 42 &&
              notice_back.financing == 7 && notice_back.version == 11 && notice_back.state == KH_SCOPE_CREDIT);
    bytes[4] = KH_NOTICE_TYPE_CNT;
    cr_assert(kh_notice_decode(bytes, KH_NOTICE_SZ, &notice_back, &used) == KH_E_FORMAT);
    kh_receipt_line answers[1] = {{.key = kh_risk_subject(kh_text_of("A1")), .amount = 1 << KH_RISK_DEFAULT}};
    r = (kh_receipt){
        .type = KH_OP_RISK_ASK, .party = 11, .version = 2, .amount = 5, .moved = 200, .line_cnt = 1, .lines = answers};
    n = kh_receipt_encode(&r, buf);
    same_as_golden("receipt_risk_ask", buf, n);
    cr_assert(kh_receipt_decode(buf, n, back_lines, &back, &used) == KH_OK && used == n &&
              back.lines[0].amount == 1 << KH_RISK_DEFAULT);
}
