/* doc: scopes of consent, categories of risk, and what a subject is known by. */
#include <criterion/criterion.h>
#include "doc/consent.h"
#include "doc/risk.h"

Test(doc_consent, scopes)
{
    uint8_t scope = 77;
    char words[KH_SCOPE_WORDS_MAX];
    cr_assert(kh_scope_of_words(kh_text_of("documents"), &scope) && scope == KH_SCOPE_DOCUMENTS);
    cr_assert(kh_scope_of_words(kh_text_of("credit,documents"), &scope) && scope == KH_SCOPE_ALL);
    cr_assert(kh_scope_of_words(kh_text_of("信用 单证"), &scope) && scope == KH_SCOPE_ALL);
    cr_assert(kh_scope_of_words(kh_text_of("credit credit"), &scope) && scope == KH_SCOPE_CREDIT);
    scope = 77;
    cr_assert(!kh_scope_of_words(kh_text_of("credit,gold"), &scope) && scope == 77);
    cr_assert(!kh_scope_of_words(kh_text_of(" ,"), &scope) && !kh_scope_of_words((kh_text){NULL, 0}, &scope) && scope == 77);
    kh_scope_words(KH_SCOPE_ALL, words);
    cr_assert_str_eq(words, "documents credit");
    kh_scope_words(KH_SCOPE_CREDIT, words);
    cr_assert_str_eq(words, "credit");
}

Test(doc_consent, categories)
{
    kh_risk risk;
    for (uint32_t i = 1; i < KH_RISK_CNT; i++)
        cr_assert(kh_risk_of_word(kh_text_of(kh_risk_word((kh_risk)i)), &risk) && (uint32_t)risk == i);
    cr_assert(kh_risk_of_word(kh_text_of("高风险账户"), &risk) && risk == KH_RISK_HIGH_RISK_ACCOUNT);
    cr_assert(!kh_risk_of_word(kh_text_of("gossip"), &risk) && !kh_risk_of_word((kh_text){NULL, 0}, &risk));
    cr_assert(kh_risk_word(KH_RISK_NONE) == NULL && kh_risk_word(KH_RISK_CNT) == NULL);
}

static kh_code canonical(const char *text, char ret[KH_RISK_SUBJECT_MAX + 1])
{
    uint32_t n;
    return kh_risk_canonical(kh_text_of(text), ret, &n);
}

Test(doc_consent, subjects)
{
    char text[KH_RISK_SUBJECT_MAX + 1], other[KH_RISK_SUBJECT_MAX + 1];
    cr_assert(canonical("6222 0212-3456 7890", text) == KH_C_OK);
    cr_assert_str_eq(text, "6222021234567890");
    cr_assert(canonical("６２２２０２１２３４５６７８９０", other) == KH_C_OK);
    cr_assert_str_eq(text, other);
    cr_assert(canonical("gb29 nwbk 6016 1331 9268 19", text) == KH_C_OK);
    cr_assert_str_eq(text, "GB29NWBK60161331926819");
    cr_assert(canonical("91350100M0001TGQXM", text) == KH_C_OK); /* an odd check digit is no matter here */
    cr_assert(canonical("", text) == KH_C_FORMAT && canonical(" - ", text) == KH_C_FORMAT);
    cr_assert(canonical("某公司", text) == KH_C_FORMAT);
    char longest[KH_RISK_SUBJECT_MAX + 2];
    memset(longest, 'A', sizeof longest);
    longest[KH_RISK_SUBJECT_MAX + 1] = '\0';
    cr_assert(canonical(longest, text) == KH_C_FORMAT);
    longest[KH_RISK_SUBJECT_MAX] = '\0';
    cr_assert(canonical(longest, text) == KH_C_OK);
    /* SHA-256 over "kanhe risk 1", four zeros, the text */
    static const uint8_t wanted[16] = {0x8d, 0x20, 0x2f, 0xf3, 0xb0, 0xcb, 0x28, 0xf7,
                                       0x71, 0xfc, 0x32, 0x25, 0xcf, 0xa1, 0xfb, 0x30};
    kh_key subject = kh_risk_subject(kh_text_of("6222021234567890"));
    cr_assert(memcmp(subject.b, wanted, 16) == 0);
}
