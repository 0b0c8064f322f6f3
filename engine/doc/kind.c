/* kind: words of kinds, statuses, roles and life cycles, and the table of which status may follow which. */
#include "doc/kind.h"

typedef struct term {
    const char *word, *zh;
} term;

static bool is(kh_text text, const char *word)
{
    uint32_t i = 0;
    for (; i < text.n; i++)
        if (word[i] == '\0' || text.p[i] != word[i]) return false;
    return word[i] == '\0';
}

static bool find(const term *terms, uint32_t n, kh_text word, uint32_t *ret)
{
    for (uint32_t i = 0; i < n; i++) {
        if (terms[i].word == NULL || (!is(word, terms[i].word) && (terms[i].zh == NULL || !is(word, terms[i].zh)))) continue;
        *ret = i;
        return true;
    }
    return false;
}

static const term kinds[KH_KIND_CNT] = {
    [KH_KIND_ANY] = {"any", NULL},
    [KH_KIND_EXPORT_DECLARATION] = {"export_declaration", "出口报关单"},
    [KH_KIND_IMPORT_DECLARATION] = {"import_declaration", "进口报关单"},
    [KH_KIND_INVOICE] = {"invoice", "发票"},
    [KH_KIND_CREDIT_NOTE] = {"credit_note", "红字发票"},
    [KH_KIND_ORDER] = {"order", "订单"},
    [KH_KIND_RECEIVABLE] = {"receivable", "应收账款"},
    [KH_KIND_BILL_OF_LADING] = {"bill_of_lading", "提单"},
    [KH_KIND_WAREHOUSE_RECEIPT] = {"warehouse_receipt", "仓单"},
    [KH_KIND_TAX_FILING] = {"tax_filing", "税务备案表"},
    [KH_KIND_CAPITAL_VOUCHER] = {"capital_voucher", "资本项目凭证"},
};

const char *kh_kind_word(kh_kind kind) { return (uint32_t)kind < KH_KIND_CNT ? kinds[kind].word : "unknown"; }

bool kh_kind_of_word(kh_text word, kh_kind *ret)
{
    uint32_t at;
    if (!find(kinds, KH_KIND_CNT, word, &at) || at == KH_KIND_ANY) return false;
    *ret = (kh_kind)at;
    return true;
}

static const term statuses[KH_STATUS_CNT] = {
    [KH_STATUS_NONE] = {"none", NULL},
    [KH_STATUS_LODGED] = {"lodged", "申报"},
    [KH_STATUS_ACCEPTED] = {"accepted", "接受申报"},
    [KH_STATUS_RELEASED] = {"released", "放行"},
    [KH_STATUS_CLEARED] = {"cleared", "结关"},
    [KH_STATUS_EXITED] = {"exited", "离境"},
    [KH_STATUS_REVOKED] = {"revoked", "删单"},
    [KH_STATUS_REJECTED] = {"rejected", "退单"},
    [KH_STATUS_NORMAL] = {"normal", "正常"},
    [KH_STATUS_VOID] = {"void", "作废"},
    [KH_STATUS_RED_PENDING] = {"red_pending", "红冲待确认"},
    [KH_STATUS_RED_PART] = {"red_part", "部分红冲"},
    [KH_STATUS_RED_FULL] = {"red_full", "全额红冲"},
    [KH_STATUS_ABNORMAL] = {"abnormal", "异常"},
    [KH_STATUS_LOST_CONTROL] = {"lost_control", "失控"},
};

const char *kh_status_word(kh_status status) { return (uint32_t)status < KH_STATUS_CNT ? statuses[status].word : "unknown"; }

/* Which statuses a kind may have: bits. */
#define BIT(s) (1u << KH_STATUS_##s)
enum {
    DECLARATION_STATUSES =
        BIT(LODGED) | BIT(ACCEPTED) | BIT(RELEASED) | BIT(CLEARED) | BIT(EXITED) | BIT(REVOKED) | BIT(REJECTED),
    INVOICE_STATUSES =
        BIT(NORMAL) | BIT(VOID) | BIT(RED_PENDING) | BIT(RED_PART) | BIT(RED_FULL) | BIT(ABNORMAL) | BIT(LOST_CONTROL),
    OTHER_STATUSES = BIT(NORMAL) | BIT(VOID)
};

static uint32_t statuses_of(kh_kind kind)
{
    if (kh_kind_is_declaration(kind) || kind == KH_KIND_ANY) return DECLARATION_STATUSES;
    if (kind == KH_KIND_INVOICE || kind == KH_KIND_CREDIT_NOTE) return INVOICE_STATUSES;
    return OTHER_STATUSES;
}

bool kh_status_of_word(kh_kind kind, kh_text word, kh_status *ret)
{
    uint32_t at;
    if (!find(statuses, KH_STATUS_CNT, word, &at) || (statuses_of(kind) >> at & 1) == 0) return false;
    *ret = (kh_status)at;
    return true;
}

kh_status kh_status_initial(kh_kind kind) { return kh_kind_is_declaration(kind) ? KH_STATUS_LODGED : KH_STATUS_NORMAL; }

/* The moves. A declaration goes forward (customs may skip steps), ends revoked or rejected, and a rejected one may be lodged
   again; an amendment after clearance may take it back to accepted or released (重审). An invoice's red states only deepen;
   abnormal and lost control may be lifted; void, full red and revoked are ends. */
static const uint32_t followers[KH_STATUS_CNT] = {
    [KH_STATUS_LODGED] = BIT(ACCEPTED) | BIT(RELEASED) | BIT(CLEARED) | BIT(EXITED) | BIT(REVOKED) | BIT(REJECTED),
    [KH_STATUS_ACCEPTED] = BIT(RELEASED) | BIT(CLEARED) | BIT(EXITED) | BIT(REVOKED) | BIT(REJECTED),
    [KH_STATUS_RELEASED] = BIT(ACCEPTED) | BIT(CLEARED) | BIT(EXITED) | BIT(REVOKED),
    [KH_STATUS_CLEARED] = BIT(ACCEPTED) | BIT(RELEASED) | BIT(EXITED) | BIT(REVOKED),
    [KH_STATUS_EXITED] = BIT(CLEARED) | BIT(REVOKED),
    [KH_STATUS_REJECTED] = BIT(LODGED) | BIT(ACCEPTED) | BIT(RELEASED) | BIT(CLEARED) | BIT(REVOKED),
    [KH_STATUS_NORMAL] = BIT(VOID) | BIT(RED_PENDING) | BIT(RED_PART) | BIT(RED_FULL) | BIT(ABNORMAL) | BIT(LOST_CONTROL),
    [KH_STATUS_RED_PENDING] = BIT(NORMAL) | BIT(VOID) | BIT(RED_PART) | BIT(RED_FULL) | BIT(ABNORMAL) | BIT(LOST_CONTROL),
    [KH_STATUS_RED_PART] = BIT(RED_PENDING) | BIT(RED_FULL) | BIT(ABNORMAL) | BIT(LOST_CONTROL),
    [KH_STATUS_ABNORMAL] = BIT(NORMAL) | BIT(VOID) | BIT(RED_PENDING) | BIT(RED_PART) | BIT(RED_FULL) | BIT(LOST_CONTROL),
    [KH_STATUS_LOST_CONTROL] = BIT(NORMAL) | BIT(VOID) | BIT(RED_PENDING) | BIT(RED_PART) | BIT(RED_FULL) | BIT(ABNORMAL),
};

bool kh_status_may_follow(kh_kind kind, kh_status from, kh_status to)
{
    if ((uint32_t)from >= KH_STATUS_CNT || (uint32_t)to >= KH_STATUS_CNT) return false;
    uint32_t own = statuses_of(kind);
    if ((own >> to & 1) == 0 || (own >> from & 1) == 0) return false;
    return from == to || (followers[from] >> to & 1) != 0;
}

kh_code kh_status_code(kh_status status)
{
    switch (status) {
    case KH_STATUS_RELEASED:
    case KH_STATUS_CLEARED:
    case KH_STATUS_EXITED:
    case KH_STATUS_NORMAL: return KH_C_OK;
    case KH_STATUS_REVOKED: return KH_C_REVOKED;
    case KH_STATUS_VOID: return KH_C_VOID;
    case KH_STATUS_RED_PART: return KH_C_RED_PART;
    case KH_STATUS_RED_FULL: return KH_C_RED_FULL;
    case KH_STATUS_ABNORMAL: return KH_C_ABNORMAL;
    case KH_STATUS_LOST_CONTROL: return KH_C_LOST_CONTROL;
    default: return KH_C_NOT_READY;
    }
}

static const term roles[5] = {
    {NULL, NULL}, {"regulator", "监管机构"}, {"bank", "银行"}, {"enterprise", "企业"}, {"source", "数据源"}};

const char *kh_role_word(kh_role role) { return role >= 1 && role <= 4 ? roles[role].word : "unknown"; }

bool kh_role_of_word(kh_text word, kh_role *ret)
{
    uint32_t at;
    if (!find(roles, 5, word, &at)) return false;
    *ret = (kh_role)at;
    return true;
}

static const term fin_states[KH_FIN_STATE_CNT] = {
    {"NONE", "无"},          {"APPLIED", "申请"},       {"ACCEPTED", "受理"},
    {"APPROVED", "审核"},    {"DISBURSED", "放款登记"}, {"PART_REPAID", "部分还款"},
    {"SETTLED", "结清"},     {"REJECTED", "拒绝"},      {"WITHDRAWN", "撤回"},
    {"LAPSED", "失效"},      {"REVERSED", "放款冲正"},  {"OVERDUE", "逾期"},
    {"WRITTEN_OFF", "核销"},
};

const char *kh_fin_state_word(kh_fin_state state)
{
    return (uint32_t)state < KH_FIN_STATE_CNT ? fin_states[state].word : "UNKNOWN";
}
const char *kh_fin_state_zh(kh_fin_state state) { return (uint32_t)state < KH_FIN_STATE_CNT ? fin_states[state].zh : "未知"; }

bool kh_fin_state_of_word(kh_text word, kh_fin_state *ret)
{
    uint32_t at;
    if (!find(fin_states, KH_FIN_STATE_CNT, word, &at) || at == 0) return false;
    *ret = (kh_fin_state)at;
    return true;
}

static const term events[KH_EV_CNT] = {
    {"none", NULL},       {"accept", "受理"},       {"approve", "审核"},         {"reject", "拒绝"},
    {"withdraw", "撤回"}, {"disburse", "放款登记"}, {"repay", "还款登记"},       {"reverse", "放款冲正"},
    {"lapse", "失效"},    {"apply", "申请"},        {"cancel_line", "撤销单证"},
};

const char *kh_event_word(kh_event event) { return (uint32_t)event < KH_EV_CNT ? events[event].word : "unknown"; }

bool kh_event_of_word(kh_text word, kh_event *ret)
{
    uint32_t at;
    if (!find(events, KH_EV_CNT, word, &at) || at < KH_EV_ACCEPT || at > KH_EV_REVERSE) return false;
    *ret = (kh_event)at;
    return true;
}

static const term repay_sources[5] = {
    {"unknown", NULL}, {"collection", "收汇"}, {"own-funds", "自有资金"}, {"own_funds", NULL}, {"refinancing", "借新还旧"}};

const char *kh_repay_source_word(kh_repay_source source)
{
    return (uint32_t)source <= KH_SRC_OWN_FUNDS ? repay_sources[source].word : "unknown";
}

bool kh_repay_source_of_word(kh_text word, kh_repay_source *ret)
{
    uint32_t at;
    if (!find(repay_sources, 5, word, &at)) return false;
    *ret = at > KH_SRC_OWN_FUNDS ? KH_SRC_OWN_FUNDS : (kh_repay_source)at;
    return true;
}

static const term reasons[KH_REASON_CNT] = {
    {"", NULL},
    {"customer_request", "客户要求"},
    {"documents_incomplete", "资料不全"},
    {"credit_declined", "授信未通过"},
    {"duplicate", "重复"},
    {"fraud_suspected", "涉嫌欺诈"},
    {"lapsed", "失效"},
    {"other", "其他"},
};

const char *kh_reason_word(kh_reason reason) { return (uint32_t)reason < KH_REASON_CNT ? reasons[reason].word : "unknown"; }

bool kh_reason_of_word(kh_text word, kh_reason *ret)
{
    uint32_t at;
    if (!find(reasons, KH_REASON_CNT, word, &at) || at == 0) return false;
    *ret = (kh_reason)at;
    return true;
}

const char *kh_field_word(uint32_t bit)
{
    switch (bit) {
    case KH_FIELD_CURRENCY: return "currency";
    case KH_FIELD_AMOUNT: return "amount";
    case KH_FIELD_DATE: return "date";
    case KH_FIELD_CONTRACT_NO: return "contract_no";
    case KH_FIELD_TOTAL: return "total";
    case KH_FIELD_OWNER: return "owner";
    case KH_FIELD_DIRECTION: return "direction";
    case KH_FIELD_TYPE: return "type";
    default: return "unknown";
    }
}
