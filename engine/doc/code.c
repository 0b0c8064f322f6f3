/* code: the words of the domain's answers, English and Chinese, one row a code. */
#include "doc/code.h"

typedef struct code_row {
    kh_code code;
    const char *name, *zh;
} code_row;

static const code_row rows[] = {
    {KH_C_OK, "OK", "通过"},
    {KH_C_FORMAT, "FORMAT", "格式错误"},
    {KH_C_CHECK_DIGIT, "CHECK_DIGIT", "校验位不符"},
    {KH_C_NOT_FOUND, "NOT_FOUND", "查无此单"},
    {KH_C_OWNER_MISMATCH, "OWNER_MISMATCH", "企业不符"},
    {KH_C_DIRECTION, "DIRECTION", "进出口方向不符"},
    {KH_C_FIELD_MISMATCH, "FIELD_MISMATCH", "要素不符"},
    {KH_C_CONFLICT, "CONFLICT", "登记内容冲突"},
    {KH_C_NOT_READY, "NOT_READY", "尚未结关"},
    {KH_C_REVOKED, "REVOKED", "已删单"},
    {KH_C_AMENDED_SINCE, "AMENDED_SINCE", "已改单"},
    {KH_C_VOID, "VOID", "已作废"},
    {KH_C_RED_FULL, "RED_FULL", "全额红冲"},
    {KH_C_RED_PART, "RED_PART", "部分红冲"},
    {KH_C_ABNORMAL, "ABNORMAL", "异常凭证"},
    {KH_C_LOST_CONTROL, "LOST_CONTROL", "失控"},
    {KH_C_INSUFFICIENT, "INSUFFICIENT", "余额不足"},
    {KH_C_EXHAUSTED, "EXHAUSTED", "余额为零"},
    {KH_C_TOO_OLD, "TOO_OLD", "单据过期"},
    {KH_C_CURRENCY, "CURRENCY", "币种不允许"},
    {KH_C_DUP_OWN, "DUP_OWN", "本行已融资"},
    {KH_C_DUP_HELD_OTHER, "DUP_HELD_OTHER", "他行已占用"},
    {KH_C_DUP_FINANCED_OTHER, "DUP_FINANCED_OTHER", "他行已融资"},
    {KH_C_SIMILAR, "SIMILAR", "疑似重复"},
    {KH_C_NO_CONSENT, "NO_CONSENT", "未获授权书"},
    {KH_C_CONSENT_EXPIRED, "CONSENT_EXPIRED", "授权书已到期"},
    {KH_C_NOT_AUTHORISED, "NOT_AUTHORISED", "无权限"},
    {KH_C_FROZEN, "FROZEN", "主体已冻结"},
    {KH_C_RATE_LIMITED, "RATE_LIMITED", "请求过频"},
    {KH_C_BAD_STATE, "BAD_STATE", "状态不允许"},
    {KH_C_BAD_SEQUENCE, "BAD_SEQUENCE", "序号错误"},
    {KH_C_EXPIRED, "EXPIRED", "已过期"},
    {KH_C_CAPACITY, "CAPACITY", "容量已满"},
    {KH_C_UNOPENABLE, "UNOPENABLE", "无法解封"},
    {KH_C_BODY_LOST, "BODY_LOST", "正文缺失"},
    {KH_C_NOT_CHECKED, "NOT_CHECKED", "未能核验"},
};

static const code_row *find(kh_code code)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code) return &rows[i];
    return NULL;
}

const char *kh_code_name(kh_code code)
{
    const code_row *row = find(code);
    return row != NULL ? row->name : "UNKNOWN";
}

const char *kh_code_term_zh(kh_code code)
{
    const code_row *row = find(code);
    return row != NULL ? row->zh : "未知";
}

bool kh_code_is_warning(kh_code code) { return code == KH_C_CHECK_DIGIT || code == KH_C_SIMILAR || code == KH_C_RED_PART; }
