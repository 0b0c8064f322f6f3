/* submit: whose frames they are and what the role may do, before the store has them. */
#include "service/submit.h"
#include "log/envelope.h"
#include "service/limits.h"
#include "service/parts.h"

enum { FRAME_MIN_SZ = 24, TYPE_AT = 4, PARTY_AT = 8 };

static kh_ask ask_of(uint8_t type, bool signed_by_party)
{
    switch (type) {
    case KH_OP_PARTY_ADD:
    case KH_OP_PARTY_STATUS:
    case KH_OP_PARTY_KEY:
    case KH_OP_RULE_SET:
    case KH_OP_RATE_SET: return KH_DO_REGISTER;
    case KH_OP_DOCUMENT: return KH_DO_IMPORT;
    case KH_OP_APPLY:
    case KH_OP_EVENT: return KH_DO_FINANCE;
    case KH_OP_GRANT:
    case KH_OP_GRANT_REVOKE: return signed_by_party ? KH_DO_GRANT : KH_ASK_CNT;
    case KH_OP_RISK_REMOVE: return signed_by_party ? KH_DO_RISK : KH_ASK_CNT;
    default: return KH_ASK_CNT;
    }
}

/* A source speaks for itself: its documents are of its own feed. One that does not decode is the ledger's to refuse. */
static bool own_feed(const kh_principal *who, const kh_op *op)
{
    return who->role != KH_ROLE_SOURCE || op->document.source == who->party;
}

/* What a role may in general and this party here may not. */
static bool may_this(const kh_principal *who, const uint8_t *p, size_t n)
{
    kh_op_scratch scratch;
    kh_op op;
    size_t used;
    if ((p[TYPE_AT] != KH_OP_DOCUMENT && p[TYPE_AT] != KH_OP_PARTY_STATUS) || kh_op_decode(p, n, &scratch, &op, &used) != KH_OK)
        return true;
    if (op.type == KH_OP_DOCUMENT) return own_feed(who, &op);
    return op.party_status.id != who->party || op.party_status.frozen == 0;
}

static kh_code check(const kh_principal *who, const uint8_t *frames, size_t n, bool signed_by_party, uint32_t *ret_op_cnt)
{
    uint32_t cnt = 0;
    if (n == 0) return KH_C_FORMAT;
    for (size_t at = 0; at < n; cnt++) {
        const uint8_t *p = frames + at;
        if (n - at < FRAME_MIN_SZ) return KH_C_FORMAT;
        uint32_t size = kh_load32(p);
        if (size < FRAME_MIN_SZ || size % 8 != 0 || size > KH_OP_MAX_SZ || size > n - at) return KH_C_FORMAT;
        kh_ask ask = ask_of(p[TYPE_AT], signed_by_party);
        if (ask == KH_ASK_CNT) return KH_C_FORMAT;
        kh_code code = kh_access_ask(who, ask);
        if (code != KH_C_OK) return code;
        if (kh_load32(p + PARTY_AT) != who->party || !may_this(who, p, size)) return KH_C_NOT_AUTHORISED;
        at += size;
    }
    *ret_op_cnt = cnt;
    return KH_C_OK;
}

kh_code kh_submit_check(const kh_principal *who, const uint8_t *frames, size_t n, uint32_t *ret_op_cnt)
{
    return check(who, frames, n, false, ret_op_cnt);
}

kh_code kh_submit_check_bundle(const kh_principal *who, const uint8_t *section, size_t n, uint32_t *ret_op_cnt)
{
    kh_section s;
    size_t at = 0;
    if (kh_section_next(section, n, &at, &s) != KH_OK || at != n || s.kind != KH_SECTION_SIGNED || s.number == 0)
        return KH_C_FORMAT;
    if (who->role == KH_ROLE_BANK || s.party != who->party) return KH_C_NOT_AUTHORISED;
    return check(who, s.frames, s.frames_sz, true, ret_op_cnt);
}

static uint32_t asked_about(const uint8_t *frames, size_t n)
{
    uint32_t cnt = 0;
    for (size_t at = 0; at < n; at += kh_load32(frames + at)) cnt += kh_op_peek_asked(frames + at, kh_load32(frames + at));
    return cnt;
}

static uint64_t now_ns(const kh_service *service)
{
    const kh_clock *clock = service->options.clock;
    return clock->monotonic(clock->self);
}

/* take_all: all or none. */
static bool take_all(kh_service *service, kh_limit what, uint32_t party, uint32_t n, uint64_t now)
{
    kh_limits *limits = service->options.limits;
    uint32_t granted = kh_limits_take(limits, what, party, n, now);
    if (granted < n) kh_limits_give_back(limits, what, party, granted);
    return granted == n;
}

kh_err kh_submit_admit(kh_service *service, const kh_principal *who, const uint8_t *frames, size_t n, uint32_t op_least,
                       uint32_t op_most, uint32_t *ret_op_cnt, uint32_t *ret_tokens, kh_code *ret_code)
{
    uint32_t cnt = 0, asked = 0, only = kh_store_party(service->options.store);
    kh_code code = kh_submit_check(who, frames, n, &cnt);
    if (code == KH_C_OK && only != 0 && who->party != only) code = KH_C_NOT_AUTHORISED; /* a bank's node is that bank's */
    if (code == KH_C_OK && (cnt < op_least || cnt > op_most)) code = KH_C_FORMAT;
    if (code == KH_C_OK && kh_limit_applies(service->options.limits, who)) {
        uint64_t now = now_ns(service);
        asked = asked_about(frames, n);
        if (!take_all(service, KH_LIMIT_PROBE, who->party, asked, now)) {
            *ret_code = KH_C_RATE_LIMITED;
            return KH_E_BUSY;
        }
        if (!take_all(service, KH_LIMIT_OPERATION, who->party, cnt, now)) {
            code = KH_C_RATE_LIMITED;
            kh_submit_answered(service, who, asked, 0);
        }
    }
    *ret_code = code;
    if (code != KH_C_OK) return KH_OK;
    *ret_op_cnt = cnt;
    *ret_tokens = asked;
    return KH_OK;
}

kh_err kh_submit_frames(kh_service *service, const kh_principal *who, const uint8_t *frames, size_t n, uint32_t op_cnt,
                        kh_store_reply reply, void *ctx, uint32_t *ret_tokens, kh_code *ret_code)
{
    uint32_t cnt;
    uint64_t ticket;
    kh_err err = kh_submit_admit(service, who, frames, n, op_cnt, op_cnt, &cnt, ret_tokens, ret_code);
    if (err != KH_OK || *ret_code != KH_C_OK) return err;
    const kh_store_batch batch = {.ops = frames, .ops_sz = n, .op_cnt = cnt, .reply = reply, .ctx = ctx};
    const uint32_t tokens = *ret_tokens; /* once submitted, whoever answers may be done with it */
    err = kh_store_try_submit(service->options.store, &batch, &ticket);
    if (err == KH_OK) return KH_OK;
    *ret_tokens = 0; /* nobody will answer */
    kh_submit_answered(service, who, tokens, 0);
    return err;
}

kh_err kh_submit_bundle(kh_service *service, const kh_principal *who, const uint8_t *section, size_t n, uint32_t op_cnt,
                        kh_store_reply reply, void *ctx, kh_code *ret_code)
{
    uint64_t ticket;
    const kh_store_batch batch = {
        .ops = section, .ops_sz = n, .op_cnt = op_cnt, .reply = reply, .ctx = ctx, .signed_section = true};
    bool limited = kh_limit_applies(service->options.limits, who);
    *ret_code =
        limited && !take_all(service, KH_LIMIT_OPERATION, who->party, op_cnt, now_ns(service)) ? KH_C_RATE_LIMITED : KH_C_OK;
    return *ret_code == KH_C_OK ? kh_store_try_submit(service->options.store, &batch, &ticket) : KH_OK;
}

void kh_submit_answered(kh_service *service, const kh_principal *who, uint32_t tokens, uint32_t probes)
{
    if (tokens > probes) kh_limits_give_back(service->options.limits, KH_LIMIT_PROBE, who->party, tokens - probes);
}
