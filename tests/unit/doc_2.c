/* Unit tests of doc: amounts, rates, dates, durations, currencies, kinds, statuses, codes, folding. */
#include "doc/fold.h"
#include "doc/money.h"
#include "doc/number.h"
#include <criterion/criterion.h>
#include <stdio.h>

static kh_currency currency(const char *text)
{
    kh_currency c = 0;
    cr_assert(kh_currency_of_text(kh_text_of(text), &c), "%s", text);
    return c;
}

Test(doc_money, currencies)
{
    cr_assert(currency("USD") == 840 && currency(" cny ") == 156 && currency("人民币") == 156 && currency("美元") == 840);
    cr_assert(kh_currency_exponent(currency("JPY")) == 0 && kh_currency_exponent(currency("KRW")) == 0);
    cr_assert(kh_currency_exponent(currency("KWD")) == 3 && kh_currency_exponent(currency("BHD")) == 3 &&
              kh_currency_exponent(currency("OMR")) == 3 && kh_currency_exponent(currency("CLF")) == 4);
    kh_currency c = 7;
    cr_assert(!kh_currency_of_text(kh_text_of("QQQ"), &c) && c == 7);
    cr_assert(!kh_currency_of_text(kh_text_of("840"), &c), "numerics are inside only");
    cr_assert_str_eq(kh_currency_alpha(978), "EUR");
    cr_assert_str_eq(kh_currency_alpha(0), "");
    cr_assert_str_eq(kh_currency_alpha(1), "???");
    uint32_t known = 0;
    for (kh_currency i = 1; i < 1000; i++) {
        if (!kh_currency_known(i)) continue;
        known++;
        cr_assert(currency(kh_currency_alpha(i)) == i);
    }
    cr_assert(known > 165);
    cr_assert(kh_currency_known(191) && kh_currency_known(192), "neighbours that once stood in the wrong order");
    cr_assert(currency("ANG") == 532 && currency("XCG") == 532 && currency("HRK") == 191 && currency("ZWG") == 924);
    cr_assert(!kh_currency_known(960) && !kh_currency_known(999), "units without a minor unit");
}

Test(doc_money, customs_numerics_are_a_set_of_their_own)
{
    static const struct {
        const char *code;
        kh_currency iso;
    } cases[] = {{"110", 344}, {"116", 392}, {"142", 156}, {"300", 978}, {"303", 826}, {"502", 840}, {"USD", 840}};
    kh_currency c = 7;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert(kh_currency_of_customs(kh_text_of(cases[i].code), &c) && c == cases[i].iso, "%s", cases[i].code);
    c = 7;
    cr_assert(!kh_currency_of_customs(kh_text_of("840"), &c) && !kh_currency_of_customs(kh_text_of("156"), &c) && c == 7,
              "ISO numerics are none of them");
}

Test(doc_money, amounts_are_exact)
{
    static const struct {
        const char *text;
        kh_currency currency;
        kh_code code;
        uint64_t amount;
    } cases[] = {{"1234.50", 840, KH_C_OK, 123450},
                 {"1234.5", 840, KH_C_OK, 123450},
                 {"1234", 840, KH_C_OK, 123400},
                 {"1.000", 840, KH_C_FORMAT, 0},
                 {"1.0", 392, KH_C_FORMAT, 0},
                 {"100", 392, KH_C_OK, 100},
                 {"1.234", 414, KH_C_OK, 1234},
                 {"", 840, KH_C_OK, KH_AMOUNT_NONE},
                 {"-1", 840, KH_C_FORMAT, 0},
                 {"+1", 840, KH_C_FORMAT, 0},
                 {"1,000", 840, KH_C_FORMAT, 0},
                 {"1e3", 840, KH_C_FORMAT, 0},
                 {"1.2.3", 840, KH_C_FORMAT, 0},
                 {".", 840, KH_C_FORMAT, 0},
                 {"0", 840, KH_C_OK, 0},
                 {"9999999999999999.99", 840, KH_C_OK, KH_AMOUNT_MAX},
                 {"10000000000000000.00", 840, KH_C_FORMAT, 0},
                 {"0000000000000000000000000000000000000000000000000000000000001.00", 840, KH_C_OK, 100},
                 {"00000000000000000000000000000000000000000000000000000000000001.00", 840, KH_C_FORMAT, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t v = 77;
        cr_assert(kh_amount_parse(kh_text_of(cases[i].text), cases[i].currency, &v) == cases[i].code, "%s", cases[i].text);
        cr_assert(v == (cases[i].code == KH_C_OK ? cases[i].amount : 77), "%s", cases[i].text);
    }
    bool negative = false;
    uint64_t v = 0;
    cr_assert(kh_amount_parse_signed(kh_text_of("-12.30"), 840, &negative, &v) == KH_C_OK && negative && v == 1230);
    cr_assert(kh_amount_parse_signed(kh_text_of("--1"), 840, &negative, &v) == KH_C_FORMAT);
    for (uint64_t a = 1; a < KH_AMOUNT_MAX / 7; a = a * 7 + 3) { /* what is printed is read back */
        static const kh_currency all[] = {392, 840, 414, 990};
        for (int i = 0; i < 4; i++) {
            char buf[32];
            uint32_t n = kh_amount_format(a, all[i], buf);
            cr_assert(kh_amount_parse((kh_text){buf, n}, all[i], &v) == KH_C_OK && v == a, "%s", buf);
        }
    }
    char buf[32];
    kh_amount_format(5, 840, buf);
    cr_assert_str_eq(buf, "0.05");
}

Test(doc_money, conversion_rounds_up)
{
    kh_rate rate;
    uint64_t v = 0;
    cr_assert(kh_rate_parse(kh_text_of("7.1"), &rate) && rate.mantissa == 71 && rate.scale == 1);
    cr_assert(kh_convert_up(101, 840, 156, rate, &v) && v == 718, "7.171 -> 7.18");
    cr_assert(kh_rate_parse(kh_text_of("149.75"), &rate));
    cr_assert(kh_convert_up(100, 840, 392, rate, &v) && v == 150);
    cr_assert(kh_rate_parse(kh_text_of("0.006678"), &rate));
    cr_assert(kh_convert_up(1000, 392, 840, rate, &v) && v == 668);
    cr_assert(kh_convert_up(0, 392, 840, rate, &v) && v == 0);
    cr_assert(kh_rate_parse(kh_text_of("2"), &rate));
    v = 9;
    cr_assert(!kh_convert_up(KH_AMOUNT_MAX, 840, 840, rate, &v) && v == 9, "beyond the bound");
    cr_assert(!kh_rate_parse(kh_text_of("0"), &rate) && !kh_rate_parse(kh_text_of("-1"), &rate) &&
              !kh_rate_parse(kh_text_of(""), &rate));
    cr_assert(!kh_rate_parse(kh_text_of("1.0000000000001"), &rate) && !kh_rate_parse(kh_text_of("1234567890123456789"), &rate));
}

Test(doc_money, durations_and_dates)
{
    uint64_t s = 0;
    cr_assert(kh_duration_parse(kh_text_of("90s"), &s) && s == 90);
    cr_assert(kh_duration_parse(kh_text_of("15m"), &s) && s == 900);
    cr_assert(kh_duration_parse(kh_text_of("36h"), &s) && s == 129600);
    cr_assert(kh_duration_parse(kh_text_of("10000d"), &s) && s == UINT64_C(864000000));
    cr_assert(kh_duration_parse(kh_text_of("off"), &s) && s == 0);
    static const char *const bad[] = {"10001d", "1", "d", "0s", "-1d", "1w", "1.5h", "99999999999d", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) cr_assert(!kh_duration_parse(kh_text_of(bad[i]), &s), "%s", bad[i]);
    static const char *const same[] = {"2026-11-24", "20261124", "2026/11/24", "2026年11月24日", " 2026-11-24 "};
    kh_date first = 0, d = 0;
    for (int i = 0; i < 5; i++) {
        char buf[16];
        cr_assert(kh_date_parse(kh_text_of(same[i]), &d), "%s", same[i]);
        if (i == 0) first = d;
        cr_assert(d == first);
        kh_date_format(d, buf);
        cr_assert_str_eq(buf, "2026-11-24");
    }
    cr_assert(kh_date_parse(kh_text_of(""), &d) && d == 0);
    static const char *const no_dates[] = {"2026-02-30", "2026-13-01", "2026-11-24x", "26-11-24", "2026-11/24", "20261"};
    for (size_t i = 0; i < sizeof no_dates / sizeof *no_dates; i++)
        cr_assert(!kh_date_parse(kh_text_of(no_dates[i]), &d), "%s", no_dates[i]);
}

Test(doc_words, every_word_comes_back)
{
    for (int i = 1; i < KH_KIND_CNT; i++) {
        kh_kind k = KH_KIND_ANY;
        cr_assert(kh_kind_of_word(kh_text_of(kh_kind_word((kh_kind)i)), &k) && (int)k == i);
    }
    for (int i = 1; i < KH_FIN_STATE_CNT; i++) {
        kh_fin_state s = KH_FIN_NONE;
        cr_assert(kh_fin_state_of_word(kh_text_of(kh_fin_state_word((kh_fin_state)i)), &s) && (int)s == i);
    }
    for (int i = KH_EV_ACCEPT; i <= KH_EV_REVERSE; i++) {
        kh_event e = KH_EV_NONE;
        cr_assert(kh_event_of_word(kh_text_of(kh_event_word((kh_event)i)), &e) && (int)e == i);
    }
    kh_event e;
    cr_assert(!kh_event_of_word(kh_text_of("lapse"), &e), "the system's own");
    for (int i = 1; i < KH_REASON_CNT; i++) {
        kh_reason r = KH_REASON_NONE;
        cr_assert(kh_reason_of_word(kh_text_of(kh_reason_word((kh_reason)i)), &r) && (int)r == i);
    }
    kh_kind k;
    kh_repay_source s;
    cr_assert(kh_kind_of_word(kh_text_of("提单"), &k) && k == KH_KIND_BILL_OF_LADING);
    cr_assert(!kh_kind_of_word(kh_text_of("Invoice"), &k) && !kh_kind_of_word((kh_text){NULL, 0}, &k));
    cr_assert(kh_repay_source_of_word(kh_text_of("refinancing"), &s) && s == KH_SRC_OWN_FUNDS);
    cr_assert(kh_repay_source_of_word(kh_text_of("OWN_FUNDS"), &s) && s == KH_SRC_OWN_FUNDS);
    cr_assert(kh_repay_source_of_word(kh_text_of("COLLECTION"), &s) && s == KH_SRC_COLLECTION);
    cr_assert_str_eq(kh_code_name(KH_C_DUP_HELD_OTHER), "DUP_HELD_OTHER");
    cr_assert_str_eq(kh_code_name(999), "UNKNOWN");
    cr_assert(kh_code_is_warning(KH_C_RED_PART) && !kh_code_is_warning(KH_C_OK));
}

Test(doc_words, statuses_belong_to_kinds_and_move_by_the_table)
{
    kh_status s = KH_STATUS_NONE;
    cr_assert(kh_status_of_word(KH_KIND_EXPORT_DECLARATION, kh_text_of("结关"), &s) && s == KH_STATUS_CLEARED);
    cr_assert(!kh_status_of_word(KH_KIND_EXPORT_DECLARATION, kh_text_of("void"), &s));
    cr_assert(!kh_status_of_word(KH_KIND_ORDER, kh_text_of("lost_control"), &s));
    cr_assert(kh_status_of_word(KH_KIND_ORDER, kh_text_of("void"), &s) && s == KH_STATUS_VOID);
    for (int k = 1; k < KH_KIND_CNT; k++)
        for (int from = 1; from < KH_STATUS_CNT; from++)
            for (int to = 1; to < KH_STATUS_CNT; to++) {
                kh_kind kind = (kh_kind)k;
                bool may = kh_status_may_follow(kind, (kh_status)from, (kh_status)to);
                bool has_from = kh_status_of_word(kind, kh_text_of(kh_status_word((kh_status)from)), &s);
                bool has_to = kh_status_of_word(kind, kh_text_of(kh_status_word((kh_status)to)), &s);
                cr_assert(!may || (has_from && has_to), "%s: %d to %d", kh_kind_word(kind), from, to);
                if (from == to && has_from) cr_assert(may, "equal is allowed");
                if (may && from != to)
                    cr_assert(from != KH_STATUS_REVOKED && from != KH_STATUS_VOID && from != KH_STATUS_RED_FULL);
            }
    static const struct {
        kh_status status;
        kh_code code;
    } codes[] = {{KH_STATUS_LODGED, KH_C_NOT_READY},
                 {KH_STATUS_ACCEPTED, KH_C_NOT_READY},
                 {KH_STATUS_RELEASED, KH_C_OK},
                 {KH_STATUS_CLEARED, KH_C_OK},
                 {KH_STATUS_EXITED, KH_C_OK},
                 {KH_STATUS_REVOKED, KH_C_REVOKED},
                 {KH_STATUS_RED_PENDING, KH_C_NOT_READY},
                 {KH_STATUS_RED_PART, KH_C_RED_PART},
                 {KH_STATUS_RED_FULL, KH_C_RED_FULL},
                 {KH_STATUS_VOID, KH_C_VOID},
                 {KH_STATUS_ABNORMAL, KH_C_ABNORMAL},
                 {KH_STATUS_LOST_CONTROL, KH_C_LOST_CONTROL},
                 {KH_STATUS_NORMAL, KH_C_OK},
                 {KH_STATUS_REJECTED, KH_C_NOT_READY}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        cr_assert(kh_status_code(codes[i].status) == codes[i].code);
        cr_assert(kh_status_usable(codes[i].status) == (codes[i].code == KH_C_OK));
    }
}

Test(doc_fold, utf8_is_checked)
{
    static const char *const bad[] = {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xe4\xb8", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) cr_assert(!kh_utf8_valid(kh_text_of(bad[i])), "%zu", i);
    cr_assert(kh_utf8_valid(kh_text_of("出口 Ａ é \xf0\x9f\x98\x80")));
}

Test(doc_fold, names_are_folded)
{
    char out[KH_ISSUER_MAX + 1];
    uint32_t n = 0;
    static const char *const pairs[][2] = {{"ＡＣＭＥ　Ltd", "acme ltd"},
                                           {"ÄÖÜ Straße", "äöü strasse"},
                                           {"ΑΒΓ", "αβγ"},
                                           {"ООО РОМАШКА", "ооо ромашка"},
                                           {"ﬁrma", "firma"},
                                           {"北京 公司", "北京 公司"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        cr_assert(kh_issuer_canonical(kh_text_of(pairs[i][0]), out, &n) == KH_C_OK);
        cr_assert_str_eq(out, pairs[i][1], "%s became %s", pairs[i][0], out);
    }
}
