/* kind: the words of kinds, statuses, roles, life-cycle states and events; the tables of which status may follow which. */
#include "doc/kind.h"

#define CNT(a) (sizeof(a) / sizeof *(a))

typedef struct word_row {
    const char *word;
    uint8_t value;
} word_row;

/* A row's text is compared with its length by hand: no libc string functions in the pure part. */
static bool is_word(kh_text text, const char *word)
{
    uint32_t i = 0;
    while (i < text.n && word[i] != '\0' && text.p[i] == word[i]) i++;
    return i == text.n && word[i] == '\0';
}

static bool find_word(const word_row *rows, size_t n, kh_text text, uint8_t *ret)
{
    if (text.n == 0) return false;
    for (size_t i = 0; i < n; i++) {
        if (is_word(text, rows[i].word)) {
            *ret = rows[i].value;
            return true;
        }
    }
    return false;
}

static const char *word_of(const word_row *rows, size_t n, unsigned value)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].value == value) return rows[i].word;
    return "unknown";
}

/* In each table the first row of a value is the word that is printed. */
static const word_row kinds[] = {
    {"any", KH_KIND_ANY},
    {"export_declaration", KH_KIND_EXPORT_DECLARATION},
    {"出口报关单", KH_KIND_EXPORT_DECLARATION},
    {"出口货物报关单", KH_KIND_EXPORT_DECLARATION},
    {"import_declaration", KH_KIND_IMPORT_DECLARATION},
    {"进口报关单", KH_KIND_IMPORT_DECLARATION},
    {"进口货物报关单", KH_KIND_IMPORT_DECLARATION},
    {"invoice", KH_KIND_INVOICE},
    {"发票", KH_KIND_INVOICE},
    {"credit_note", KH_KIND_CREDIT_NOTE},
    {"红字发票", KH_KIND_CREDIT_NOTE},
    {"贷项通知单", KH_KIND_CREDIT_NOTE},
    {"order", KH_KIND_ORDER},
    {"订单", KH_KIND_ORDER},
    {"receivable", KH_KIND_RECEIVABLE},
    {"应收账款", KH_KIND_RECEIVABLE},
    {"bill_of_lading", KH_KIND_BILL_OF_LADING},
    {"提单", KH_KIND_BILL_OF_LADING},
    {"warehouse_receipt", KH_KIND_WAREHOUSE_RECEIPT},
    {"仓单", KH_KIND_WAREHOUSE_RECEIPT},
    {"tax_filing", KH_KIND_TAX_FILING},
    {"税务备案表", KH_KIND_TAX_FILING},
    {"capital_voucher", KH_KIND_CAPITAL_VOUCHER},
    {"资本项目凭证", KH_KIND_CAPITAL_VOUCHER},
};

const char *kh_kind_word(kh_kind kind) { return word_of(kinds, CNT(kinds), kind); }

bool kh_kind_of_word(kh_text word, kh_kind *ret)
{
    uint8_t value;
    if (!find_word(kinds, CNT(kinds), word, &value) || value == KH_KIND_ANY) return false;
    *ret = (kh_kind)value;
    return true;
}

static const word_row statuses[] = {
    {"none", KH_STATUS_NONE},
    {"lodged", KH_STATUS_LODGED},
    {"已申报", KH_STATUS_LODGED},
    {"申报", KH_STATUS_LODGED},
    {"accepted", KH_STATUS_ACCEPTED},
    {"已接单", KH_STATUS_ACCEPTED},
    {"released", KH_STATUS_RELEASED},
    {"放行", KH_STATUS_RELEASED},
    {"已放行", KH_STATUS_RELEASED},
    {"cleared", KH_STATUS_CLEARED},
    {"结关", KH_STATUS_CLEARED},
    {"已结关", KH_STATUS_CLEARED},
    {"exited", KH_STATUS_EXITED},
    {"已离境", KH_STATUS_EXITED},
    {"revoked", KH_STATUS_REVOKED},
    {"删单", KH_STATUS_REVOKED},
    {"已删单", KH_STATUS_REVOKED},
    {"已撤销", KH_STATUS_REVOKED},
    {"rejected", KH_STATUS_REJECTED},
    {"退单", KH_STATUS_REJECTED},
    {"退回", KH_STATUS_REJECTED},
    {"normal", KH_STATUS_NORMAL},
    {"正常", KH_STATUS_NORMAL},
    {"void", KH_STATUS_VOID},
    {"作废", KH_STATUS_VOID},
    {"已作废", KH_STATUS_VOID},
    {"red_pending", KH_STATUS_RED_PENDING},
    {"红冲待确认", KH_STATUS_RED_PENDING},
    {"red_part", KH_STATUS_RED_PART},
    {"部分红冲", KH_STATUS_RED_PART},
    {"已红冲_部分", KH_STATUS_RED_PART},
    {"已部分红冲", KH_STATUS_RED_PART},
    {"red_full", KH_STATUS_RED_FULL},
    {"全额红冲", KH_STATUS_RED_FULL},
    {"已红冲_全额", KH_STATUS_RED_FULL},
    {"红冲", KH_STATUS_RED_FULL},
    {"已红冲", KH_STATUS_RED_FULL},
    {"已全额红冲", KH_STATUS_RED_FULL},
    {"abnormal", KH_STATUS_ABNORMAL},
    {"异常", KH_STATUS_ABNORMAL},
    {"lost_control", KH_STATUS_LOST_CONTROL},
    {"失控", KH_STATUS_LOST_CONTROL},
};

#define BIT(status) (1u << KH_STATUS_##status)
#define DECLARATION_ALL (BIT(LODGED) | BIT(ACCEPTED) | BIT(RELEASED) | BIT(CLEARED) | BIT(EXITED) | BIT(REVOKED) | BIT(REJECTED))
#define INVOICE_ALL                                                                                                              \
    (BIT(NORMAL) | BIT(VOID) | BIT(RED_PENDING) | BIT(RED_PART) | BIT(RED_FULL) | BIT(ABNORMAL) | BIT(LOST_CONTROL))

/* Row: from; bits: to. A declaration goes forward, any step may be skipped; 重审 takes a released one back to accepted; customs
   can delete it at any time; a revoked one stays so; a rejected one may be lodged again. */
static const uint16_t declaration_moves[KH_STATUS_CNT] = {
    [KH_STATUS_NONE] = DECLARATION_ALL,
    [KH_STATUS_LODGED] = DECLARATION_ALL,
    [KH_STATUS_ACCEPTED] = BIT(ACCEPTED) | BIT(RELEASED) | BIT(CLEARED) | BIT(EXITED) | BIT(REVOKED) | BIT(REJECTED),
    [KH_STATUS_RELEASED] = BIT(ACCEPTED) | BIT(RELEASED) | BIT(CLEARED) | BIT(EXITED) | BIT(REVOKED),
    [KH_STATUS_CLEARED] = BIT(ACCEPTED) | BIT(CLEARED) | BIT(EXITED) | BIT(REVOKED),
    [KH_STATUS_EXITED] = BIT(CLEARED) | BIT(EXITED) | BIT(REVOKED),
    [KH_STATUS_REVOKED] = BIT(REVOKED),
    [KH_STATUS_REJECTED] = BIT(LODGED) | BIT(ACCEPTED) | BIT(REJECTED) | BIT(REVOKED),
};

/* An invoice: void and fully red are final; abnormal and lost control are marks that the tax office can lift. */
static const uint16_t invoice_moves[KH_STATUS_CNT] = {
    [KH_STATUS_NONE] = INVOICE_ALL,
    [KH_STATUS_NORMAL] = INVOICE_ALL,
    [KH_STATUS_VOID] = BIT(VOID),
    [KH_STATUS_RED_PENDING] = INVOICE_ALL & ~BIT(VOID),
    [KH_STATUS_RED_PART] = BIT(RED_PENDING) | BIT(RED_PART) | BIT(RED_FULL) | BIT(ABNORMAL) | BIT(LOST_CONTROL),
    [KH_STATUS_RED_FULL] = BIT(RED_FULL),
    [KH_STATUS_ABNORMAL] = INVOICE_ALL,
    [KH_STATUS_LOST_CONTROL] = INVOICE_ALL,
};

static const uint16_t plain_moves[KH_STATUS_CNT] = {
    [KH_STATUS_NONE] = BIT(NORMAL) | BIT(VOID),
    [KH_STATUS_NORMAL] = BIT(NORMAL) | BIT(VOID),
    [KH_STATUS_VOID] = BIT(VOID),
};

static const uint16_t *moves_of(kh_kind kind)
{
    switch (kind) {
    case KH_KIND_ANY:
    case KH_KIND_EXPORT_DECLARATION:
    case KH_KIND_IMPORT_DECLARATION: return declaration_moves;
    case KH_KIND_INVOICE:
    case KH_KIND_CREDIT_NOTE: return invoice_moves;
    default: return plain_moves;
    }
}

const char *kh_status_word(kh_status status) { return word_of(statuses, CNT(statuses), status); }

bool kh_status_of_word(kh_kind kind, kh_text word, kh_status *ret)
{
    uint8_t value;
    if (!find_word(statuses, CNT(statuses), word, &value)) return false;
    if (value == KH_STATUS_NONE || ((moves_of(kind)[KH_STATUS_NONE] >> value) & 1) == 0) return false;
    *ret = (kh_status)value;
    return true;
}

kh_status kh_status_initial(kh_kind kind) { return moves_of(kind) == declaration_moves ? KH_STATUS_LODGED : KH_STATUS_NORMAL; }

bool kh_status_may_follow(kh_kind kind, kh_status from, kh_status to)
{
    if (from >= KH_STATUS_CNT || to >= KH_STATUS_CNT) return false;
    if (to == KH_STATUS_NONE) return true; /* missing: changes none */
    return ((moves_of(kind)[from] >> to) & 1) != 0;
}

kh_code kh_status_code(kh_status status)
{
    if (kh_status_usable(status)) return KH_C_OK;
    switch (status) {
    case KH_STATUS_REVOKED: return KH_C_REVOKED;
    case KH_STATUS_VOID: return KH_C_VOID;
    case KH_STATUS_RED_PART: return KH_C_RED_PART;
    case KH_STATUS_RED_FULL: return KH_C_RED_FULL;
    case KH_STATUS_ABNORMAL: return KH_C_ABNORMAL;
    case KH_STATUS_LOST_CONTROL: return KH_C_LOST_CONTROL;
    default: return KH_C_NOT_READY; /* lodged, accepted, rejected, red_pending, none */
    }
}

static const word_row roles[] = {
    {"regulator", KH_ROLE_REGULATOR}, {"bank", KH_ROLE_BANK}, {"enterprise", KH_ROLE_ENTERPRISE}, {"source", KH_ROLE_SOURCE}};

const char *kh_role_word(kh_role role) { return word_of(roles, CNT(roles), role); }

bool kh_role_of_word(kh_text word, kh_role *ret)
{
    uint8_t value;
    if (!find_word(roles, CNT(roles), word, &value)) return false;
    *ret = (kh_role)value;
    return true;
}

static const word_row fin_states[] = {
    {"NONE", KH_FIN_NONE},
    {"APPLIED", KH_FIN_APPLIED},
    {"ACCEPTED", KH_FIN_ACCEPTED},
    {"APPROVED", KH_FIN_APPROVED},
    {"DISBURSED", KH_FIN_DISBURSED},
    {"PART_REPAID", KH_FIN_PART_REPAID},
    {"SETTLED", KH_FIN_SETTLED},
    {"REJECTED", KH_FIN_REJECTED},
    {"WITHDRAWN", KH_FIN_WITHDRAWN},
    {"LAPSED", KH_FIN_LAPSED},
    {"REVERSED", KH_FIN_REVERSED},
    {"OVERDUE", KH_FIN_OVERDUE},
    {"WRITTEN_OFF", KH_FIN_WRITTEN_OFF},
};

static const char *const fin_states_zh[KH_FIN_STATE_CNT] = {"无",   "申请", "受理", "审核",     "放款登记", "部分还款", "结清",
                                                            "拒绝", "撤回", "失效", "放款冲正", "逾期",     "核销"};

const char *kh_fin_state_word(kh_fin_state state) { return word_of(fin_states, CNT(fin_states), state); }
const char *kh_fin_state_zh(kh_fin_state state) { return state < KH_FIN_STATE_CNT ? fin_states_zh[state] : "未知"; }

bool kh_fin_state_of_word(kh_text word, kh_fin_state *ret)
{
    uint8_t value;
    if (!find_word(fin_states, CNT(fin_states), word, &value) || value == KH_FIN_NONE) return false;
    *ret = (kh_fin_state)value;
    return true;
}

static const word_row events[] = {{"none", KH_EV_NONE},     {"accept", KH_EV_ACCEPT},          {"approve", KH_EV_APPROVE},
                                  {"reject", KH_EV_REJECT}, {"withdraw", KH_EV_WITHDRAW},      {"disburse", KH_EV_DISBURSE},
                                  {"repay", KH_EV_REPAY},   {"reverse", KH_EV_REVERSE},        {"lapse", KH_EV_LAPSE},
                                  {"apply", KH_EV_APPLY},   {"cancel_line", KH_EV_CANCEL_LINE}};

const char *kh_event_word(kh_event event) { return word_of(events, CNT(events), event); }

bool kh_event_of_word(kh_text word, kh_event *ret)
{
    uint8_t value;
    if (!find_word(events, CNT(events), word, &value) || value < KH_EV_ACCEPT || value > KH_EV_REVERSE) return false;
    *ret = (kh_event)value;
    return true;
}

static const word_row sources[] = {
    {"unknown", KH_SRC_UNKNOWN},     {"collection", KH_SRC_COLLECTION}, {"收汇", KH_SRC_COLLECTION},
    {"own-funds", KH_SRC_OWN_FUNDS}, {"own_funds", KH_SRC_OWN_FUNDS},   {"refinancing", KH_SRC_OWN_FUNDS},
    {"自有资金", KH_SRC_OWN_FUNDS},  {"COLLECTION", KH_SRC_COLLECTION}, {"OWN_FUNDS", KH_SRC_OWN_FUNDS}};

const char *kh_repay_source_word(kh_repay_source source) { return word_of(sources, CNT(sources), source); }

bool kh_repay_source_of_word(kh_text word, kh_repay_source *ret)
{
    uint8_t value;
    if (!find_word(sources, CNT(sources), word, &value)) return false;
    *ret = (kh_repay_source)value;
    return true;
}

static const word_row reasons[] = {
    {"none", KH_REASON_NONE},
    {"customer_request", KH_REASON_CUSTOMER_REQUEST},
    {"documents_incomplete", KH_REASON_DOCUMENTS_INCOMPLETE},
    {"credit_declined", KH_REASON_CREDIT_DECLINED},
    {"duplicate", KH_REASON_DUPLICATE},
    {"fraud_suspected", KH_REASON_FRAUD_SUSPECTED},
    {"lapsed", KH_REASON_LAPSED},
    {"other", KH_REASON_OTHER},
};

const char *kh_reason_word(kh_reason reason) { return word_of(reasons, CNT(reasons), reason); }

bool kh_reason_of_word(kh_text word, kh_reason *ret)
{
    uint8_t value;
    if (!find_word(reasons, CNT(reasons), word, &value) || value == KH_REASON_NONE) return false;
    *ret = (kh_reason)value;
    return true;
}

static const char *const fields[] = {"currency", "amount", "date", "contract_no", "total", "owner", "direction", "type"};

const char *kh_field_word(uint32_t bit)
{
    for (size_t i = 0; i < CNT(fields); i++)
        if (bit == 1u << i) return fields[i];
    return "unknown";
}
