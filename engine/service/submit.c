/* submit: whose frames they are and what the role may do, before the store has them. */
#include "service/submit.h"
#include "service/limits.h"
#include "service/parts.h"

enum { FRAME_MIN_SZ = 24, TYPE_AT = 4, PARTY_AT = 8 };

static kh_ask ask_of(uint8_t type)
{
    switch (type) {
    case KH_OP_PARTY_ADD:
    case KH_OP_PARTY_STATUS:
    case KH_OP_RULE_SET:
    case KH_OP_RATE_SET: return KH_DO_REGISTER;
    case KH_OP_DOCUMENT: return KH_DO_IMPORT;
    case KH_OP_APPLY:
    case KH_OP_EVENT: return KH_DO_FINANCE;
    default: return KH_ASK_CNT;
    }
}

/* A source speaks for itself: its documents are of its own feed. One that does not decode is the ledger's to refuse. */
static bool own_feed(const kh_principal *who, const uint8_t *p, size_t n)
{
    kh_op_scratch scratch;
    kh_op op;
    size_t used;
    if (who->role != KH_ROLE_SOURCE || kh_op_decode(p, n, &scratch, &op, &used) != KH_OK) return true;
    return op.document.source == who->party;
}

kh_code kh_submit_check(const kh_principal *who, const uint8_t *frames, size_t n, uint32_t *ret_op_cnt)
{
    uint32_t cnt = 0;
    if (n == 0) return KH_C_FORMAT;
    for (size_t at = 0; at < n; cnt++) {
        const uint8_t *p = frames + at;
        if (n - at < FRAME_MIN_SZ) return KH_C_FORMAT;
        uint32_t size = kh_load32(p);
        if (size < FRAME_MIN_SZ || size % 8 != 0 || size > KH_OP_MAX_SZ || size > n - at) return KH_C_FORMAT;
        kh_ask ask = ask_of(p[TYPE_AT]);
        if (ask == KH_ASK_CNT) return KH_C_FORMAT;
        kh_code code = kh_access_ask(who, ask);
        if (code != KH_C_OK) return code;
        if (kh_load32(p + PARTY_AT) != who->party || (ask == KH_DO_IMPORT && !own_feed(who, p, size))) return KH_C_NOT_AUTHORISED;
        at += size;
    }
    *ret_op_cnt = cnt;
    return KH_C_OK;
}

kh_err kh_submit_frames(kh_service *service, const kh_principal *who, const uint8_t *frames, size_t n, uint32_t op_cnt,
                        kh_store_reply reply, void *ctx, kh_code *ret_code)
{
    kh_limits *limits = service->options.limits;
    uint32_t cnt = 0;
    uint64_t ticket;
    kh_code code = kh_submit_check(who, frames, n, &cnt);
    if (code == KH_C_OK && cnt != op_cnt) code = KH_C_FORMAT;
    if (code == KH_C_OK && kh_service_limits(limits, who)) {
        uint64_t now = service->options.clock->monotonic(service->options.clock->self);
        uint32_t granted = kh_limits_take(limits, KH_LIMIT_OPERATION, who->party, cnt, now);
        if (granted < cnt) {
            kh_limits_give_back(limits, KH_LIMIT_OPERATION, who->party, granted);
            code = KH_C_RATE_LIMITED;
        }
    }
    *ret_code = code;
    if (code != KH_C_OK) return KH_OK;
    return kh_store_submit(service->options.store, &(kh_store_batch){frames, n, cnt, reply, ctx}, &ticket);
}
