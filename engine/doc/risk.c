/* risk: words of categories, and what a subject is known by. */
#include "doc/risk.h"
#include "crypto/digest.h"
#include "doc/number.h"

typedef struct risk_row {
    const char *word;
    kh_text text, zh;
} risk_row;

#define ROW(en, chinese)                                                                                                         \
    {                                                                                                                            \
        en, {en, sizeof en - 1}, { chinese, sizeof chinese - 1 }                                                                 \
    }
static const risk_row rows[KH_RISK_CNT] = {
    [KH_RISK_FRAUD] = ROW("fraud", "欺诈"),
    [KH_RISK_HIGH_RISK_ACCOUNT] = ROW("high_risk_account", "高风险账户"),
    [KH_RISK_FORGED_DOCUMENT] = ROW("forged_document", "伪造单证"),
    [KH_RISK_DEFAULT] = ROW("default", "违约"),
    [KH_RISK_OTHER] = ROW("other", "其他"),
};

const char *kh_risk_word(kh_risk risk) { return (uint32_t)risk < KH_RISK_CNT ? rows[risk].word : NULL; }

bool kh_risk_of_word(kh_text word, kh_risk *ret)
{
    for (uint32_t i = 1; i < KH_RISK_CNT; i++) {
        if (!kh_text_equal(word, rows[i].text) && !kh_text_equal(word, rows[i].zh)) continue;
        *ret = (kh_risk)i;
        return true;
    }
    return false;
}

kh_code kh_risk_canonical(kh_text subject, char *buf, uint32_t *ret_n)
{
    char text[KH_ISSUER_MAX + 1];
    uint32_t n = 0;
    if (kh_owner_canonical(subject, text, &n) == KH_C_FORMAT || n > KH_RISK_SUBJECT_MAX) return KH_C_FORMAT;
    for (uint32_t i = 0; i < n; i++)
        if ((uint8_t)text[i] >= 0x80) return KH_C_FORMAT;
    memcpy(buf, text, n);
    buf[n] = '\0';
    *ret_n = n;
    return KH_C_OK;
}

kh_key kh_risk_subject(kh_text canonical)
{
    static const char tag[16] = "kanhe risk 1";
    uint8_t digest[32];
    kh_sha256_state sha;
    kh_key subject;
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, tag, sizeof tag);
    kh_sha256_update(&sha, canonical.p, canonical.n);
    kh_sha256_final(&sha, digest);
    memcpy(subject.b, digest, sizeof subject.b);
    return subject;
}
