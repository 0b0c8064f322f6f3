/* Unit tests of doc: numbers, check digits, keys, issuers. */
#include "doc/number.h"
#include <criterion/criterion.h>

static char out[KH_ISSUER_MAX + 1];
static uint32_t out_n;

static kh_code number(kh_kind kind, const char *text)
{
    return kh_number_canonical(kind, kh_text_of(text), (kh_text){NULL, 0}, out, &out_n);
}

Test(doc, chinese_declaration_numbers)
{
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, " 2201 2026 0123 456789 ") == KH_C_OK);
    cr_assert_str_eq(out, "220120260123456789");
    cr_assert(out_n == 18);
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, "２２０１２０２６０１２３４５６７８９") == KH_C_OK);
    cr_assert_str_eq(out, "220120260123456789", "full-width digits");
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, "220120260123456789012") == KH_C_OK);
    cr_assert_str_eq(out, "220120260123456789", "the tax-refund form: 18, a zero, two of the item");
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, "123456789") == KH_C_FORMAT, "9-digit legacy");
    cr_assert(number(KH_KIND_RECEIVABLE, "123456789") == KH_C_OK, "of a declaration only");
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, "") == KH_C_FORMAT);
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, " \xe3\x80\x80 ") == KH_C_FORMAT, "blanks are nothing");
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, "\u202a2201\u200f2026\u00ad0123\ufe0f456789\u202c") == KH_C_OK);
    cr_assert_str_eq(out, "220120260123456789", "what nobody sees makes no other number");
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, "\u200d\u2060") == KH_C_FORMAT);
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, "A\x01") == KH_C_FORMAT);
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, "A\xff") == KH_C_FORMAT);
    cr_assert(number(KH_KIND_EXPORT_DECLARATION, "i2018/ab-1.x") == KH_C_OK);
    cr_assert_str_eq(out, "I2018/AB-1.X", "another text is kept");
}

Test(doc, direction_is_the_ninth_character)
{
    static const struct {
        const char *text;
        int direction;
    } cases[] = {{"220120260123456789", 1}, {"220120261123456789", -1}, {"220120268123456789", 1},  {"220120269123456789", -1},
                 {"22012026A123456789", 1}, {"22012026B123456789", -1}, {"22012026D123456789", -1}, {"22012026F123456789", -1},
                 {"22012026C123456789", 0}, {"2201202601234567", 0},    {"24GB012345678901X2", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert(kh_number_direction(kh_text_of(cases[i].text)) == cases[i].direction, "%s", cases[i].text);
}

Test(doc, number_bounds)
{
    char text[KH_NUMBER_MAX + 2];
    memset(text, 'a', sizeof text);
    cr_assert(kh_number_canonical(KH_KIND_INVOICE, (kh_text){text, KH_NUMBER_MAX}, (kh_text){NULL, 0}, out, &out_n) == KH_C_OK);
    cr_assert(out_n == KH_NUMBER_MAX && out[0] == 'A');
    out_n = 7;
    cr_assert(kh_number_canonical(KH_KIND_INVOICE, (kh_text){text, KH_NUMBER_MAX + 1}, (kh_text){NULL, 0}, out, &out_n) ==
              KH_C_FORMAT);
    cr_assert(out_n == 7, "untouched on failure");
}

Test(doc, what_a_spreadsheet_spoilt_is_no_number)
{
    static const char *const spoilt[] = {"3.1012E+17", "3e+17", "3,1012E+17", "3.E+05", "'310120260123456789", "`1", "=1", "＇1"};
    static const char *const sound[] = {"3.1012E17", "E+17",    "3.1.2E+17", "A3.1E+17", "3.1E+7",
                                        "3.1E+170",  "3-1E+17", "O'Neil-1",  "1="};
    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++)
        for (int kind = KH_KIND_EXPORT_DECLARATION; kind < KH_KIND_CNT; kind++)
            cr_assert(number((kh_kind)kind, spoilt[i]) == KH_C_FORMAT, "%s", spoilt[i]);
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
        cr_assert(number(KH_KIND_INVOICE, sound[i]) == KH_C_OK, "%s", sound[i]);
}

Test(doc, invoice_code_stands_before_the_number)
{
    cr_assert(kh_number_canonical(KH_KIND_INVOICE, kh_text_of("01234567"), kh_text_of("044001900111"), out, &out_n) == KH_C_OK);
    cr_assert_str_eq(out, "04400190011101234567");
    cr_assert(kh_number_is_chinese_invoice((kh_text){out, out_n}));
    cr_assert(kh_number_is_chinese_invoice(kh_text_of("4400190011"
                                                      "01234567")));
    cr_assert(!kh_number_is_chinese_invoice(kh_text_of("1100512149")));
    cr_assert(kh_number_canonical(KH_KIND_INVOICE, kh_text_of(" "), kh_text_of("044001900111"), out, &out_n) == KH_C_FORMAT);
}

/* The sum by its definition, beside the one of the engine. */
static char mrn_digit(const char *mrn)
{
    static const int values[26] = {10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24,
                                   25, 26, 27, 28, 29, 30, 31, 32, 34, 35, 36, 37, 38};
    unsigned sum = 0;
    for (int i = 0; i < 17; i++) sum += (unsigned)(mrn[i] <= '9' ? mrn[i] - '0' : values[mrn[i] - 'A']) * (1u << i);
    return (char)('0' + sum % 11 % 10);
}

Test(doc, mrn_check_digit)
{
    char mrn[19] = "24GBXYZKLV01234560";
    for (int i = 0; i < 200; i++) {
        mrn[4 + i % 13] = (char)('A' + (i * 7) % 26);
        mrn[17] = mrn_digit(mrn);
        cr_assert(kh_mrn_check(kh_text_of(mrn)), "%s", mrn);
        cr_assert(number(KH_KIND_EXPORT_DECLARATION, mrn) == KH_C_OK);
        mrn[17] = (char)('0' + (mrn[17] - '0' + 1) % 10);
        cr_assert(!kh_mrn_check(kh_text_of(mrn)));
        cr_assert(number(KH_KIND_EXPORT_DECLARATION, mrn) == KH_C_CHECK_DIGIT, "a warning, not a refusal");
        cr_assert_str_eq(out, mrn);
    }
}

Test(doc, uscc_check_digits)
{
    cr_assert(kh_uscc_check(kh_text_of("91350100M000100Y43")), "the standard's own example");
    static const char *const odd[] = {"91350100M0001TGQXM", "91350211M0000XUF46", "91350203M0001FUE2P"};
    for (int i = 0; i < 3; i++) { /* legal, and they fail */
        cr_assert(kh_uscc_shape(kh_text_of(odd[i])) && !kh_uscc_check(kh_text_of(odd[i])));
        cr_assert(kh_owner_canonical(kh_text_of(odd[i]), out, &out_n) == KH_C_CHECK_DIGIT);
        cr_assert_str_eq(out, odd[i]);
    }
    cr_assert(!kh_uscc_shape(kh_text_of("91350100I000100Y43")), "no I, O, S, V, Z");
    cr_assert(!kh_uscc_check(kh_text_of("91350100M000100Y4")));
}

Test(doc, owners_are_letters_and_digits)
{
    cr_assert(kh_owner_canonical(kh_text_of(" no 123.456-789 mva"), out, &out_n) == KH_C_OK);
    cr_assert_str_eq(out, "NO123456789MVA");
    cr_assert(kh_owner_canonical(kh_text_of("- . /"), out, &out_n) == KH_C_FORMAT);
    cr_assert(kh_owner_check((kh_text){NULL, 0}) == 0);
    cr_assert(kh_owner_check(kh_text_of("NO123456789MVA")) != kh_owner_check(kh_text_of("NO123456789MVB")));
    cr_assert(kh_contract_digest(kh_text_of("ab-1/2")) == kh_contract_digest(kh_text_of("AB 12")));
    cr_assert(kh_contract_digest((kh_text){NULL, 0}) == 0);
}

static const char *seller(const char *vat, const char *registration, const char *identifier, const char *country,
                          const char *name)
{
    out[0] = '\0';
    (void)kh_issuer_of_seller(kh_text_of(vat), kh_text_of(registration), kh_text_of(identifier), kh_text_of(country),
                              kh_text_of(name), out, &out_n);
    return out;
}

Test(doc, issuer_of_a_seller)
{
    cr_assert_str_eq(seller("NO123456789MVA", "987", NULL, "NO", "Salescompany"), "NO123456789MVA");
    cr_assert_str_eq(seller("123456789 mva", NULL, NULL, "NO", NULL), "NO123456789MVA", "the EDIFACT twin");
    cr_assert_str_eq(seller(NULL, "16356706", NULL, "dk", NULL), "DK16356706");
    cr_assert_str_eq(seller(NULL, NULL, "91350100M000100Y43", "CN", NULL), "91350100M000100Y43", "a USCC takes no country");
    cr_assert_str_eq(seller(NULL, NULL, NULL, "DE", "  Ｍüller\t GmbH "), "müller gmbh", "the name, folded");
    cr_assert(kh_issuer_of_seller((kh_text){NULL, 0}, (kh_text){NULL, 0}, (kh_text){NULL, 0}, kh_text_of("DE"),
                                  (kh_text){NULL, 0}, out, &out_n) == KH_C_FORMAT);
    cr_assert(kh_issuer_canonical(kh_text_of("no 123456789 mva"), out, &out_n) == KH_C_OK);
    cr_assert_str_eq(out, "NO123456789MVA", "any spelling");
}

/* What an answer prints as an issuer can be asked for. */
Test(doc, a_canonical_issuer_stays_what_it_is)
{
    static const char *const issuers[] = {"DE1", "HRB99", "GBX12", "91350100M000100Y43", "acme 24 ltd", "b2b gmbh", "acme"};
    for (size_t i = 0; i < sizeof issuers / sizeof *issuers; i++) {
        cr_assert(kh_issuer_canonical(kh_text_of(issuers[i]), out, &out_n) == KH_C_OK);
        cr_assert_str_eq(out, issuers[i]);
    }
    cr_assert(kh_issuer_canonical(kh_text_of("DE-1"), out, &out_n) == KH_C_OK);
    cr_assert_str_eq(out, "DE1");
    cr_assert(kh_issuer_canonical(kh_text_of("ACME 24 LTD"), out, &out_n) == KH_C_OK);
    cr_assert_str_eq(out, "acme 24 ltd", "several words are a name");
}

/* ---- keys ---- */

static uint64_t random_state = 20261124;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % n;
}

Test(doc, packed_keys_give_the_number_back)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-";
    uint32_t packed = 0;
    for (int i = 0; i < 200000; i++) {
        char text[41], back[64];
        uint32_t n = 1 + random_below(40), from = i % 3 == 0 ? 10 : i % 3 == 1 ? 36 : 37;
        for (uint32_t j = 0; j < n; j++) text[j] = alphabet[random_below(i % 7 == 0 && j < 4 ? 1 : from)];
        kh_key key = kh_doc_key(KH_KIND_IMPORT_DECLARATION, (kh_text){text, n}, (kh_text){NULL, 0});
        cr_assert(kh_doc_key_kind(&key) == KH_KIND_IMPORT_DECLARATION);
        uint32_t back_n = kh_doc_key_number(&key, back);
        if (back_n == 0) {
            cr_assert(key.b[1] == 0);
            continue;
        }
        packed++;
        cr_assert(back_n == n && memcmp(back, text, n) == 0, "%.*s came back as %s", (int)n, text, back);
    }
    cr_assert(packed > 100000);
}

Test(doc, keys_tell_short_texts_apart)
{
    /* every text of up to three characters over a small alphabet, leading zeros and lengths included, has its own key */
    static const char alphabet[] = "01AZ-";
    static kh_key keys[200];
    uint32_t cnt = 0;
    for (uint32_t n = 1; n <= 3; n++) {
        uint32_t all = n == 1 ? 5 : n == 2 ? 25 : 125;
        for (uint32_t i = 0; i < all; i++) {
            char text[3];
            for (uint32_t j = 0, v = i; j < n; j++, v /= 5) text[j] = alphabet[v % 5];
            keys[cnt++] = kh_doc_key(KH_KIND_ORDER, (kh_text){text, n}, (kh_text){NULL, 0});
        }
    }
    for (uint32_t i = 0; i < cnt; i++)
        for (uint32_t j = 0; j < i; j++) cr_assert(!kh_key_equal(&keys[i], &keys[j]), "%u %u", i, j);
}

Test(doc, fixed_forms_are_packed_and_issuers_part_of_the_digest)
{
    char back[64];
    kh_key entry = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of("220120260123456789"), (kh_text){NULL, 0});
    cr_assert(kh_doc_key_number(&entry, back) == 18);
    kh_key mrn = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of("24GBXYZKLV01234560"), (kh_text){NULL, 0});
    cr_assert(kh_doc_key_number(&mrn, back) == 18);
    kh_key a = kh_doc_key(KH_KIND_INVOICE, kh_text_of("TOSL108"), kh_text_of("DK16356706"));
    kh_key b = kh_doc_key(KH_KIND_INVOICE, kh_text_of("TOSL108"), kh_text_of("DK16356707"));
    kh_key c = kh_doc_key(KH_KIND_CREDIT_NOTE, kh_text_of("TOSL108"), kh_text_of("DK16356706"));
    kh_key d = kh_doc_key(KH_KIND_INVOICE, kh_text_of("8TOSL10"), kh_text_of("DK1635670"));
    cr_assert(!kh_key_equal(&a, &b) && !kh_key_equal(&a, &c) && !kh_key_equal(&a, &d));
    cr_assert(kh_doc_key_number(&a, back) == 0);
    cr_assert(entry.b[0] == KH_KIND_EXPORT_DECLARATION && entry.b[1] == 1);
    unsigned __int128 v = 0;
    memcpy(&v, entry.b + 2, 14);
    cr_assert(v == (unsigned __int128)UINT64_C(1220120260123456789), "a leading 1, then the digits");
}
