/* operation: the frame of an operation and the bodies that are not documents. */
#include "wire/fields.h"

/* ---- bodies out ---- */

static void out_party_add(kh_fields_out *out, const kh_op_party_add *b)
{
    uint8_t *p = kh_out_zeroed(out, 16);
    if (p == NULL) return;
    kh_store32(p, b->id);
    p[4] = b->role;
    kh_store16(p + 6, (uint16_t)b->name.n);
    kh_store16(p + 8, (uint16_t)b->uscc.n);
    if (b->id == 0 || b->role < KH_ROLE_REGULATOR || b->role > KH_ROLE_SOURCE || b->name.n == 0) out->bad = true;
    kh_out_text(out, b->name, KH_NAME_MAX);
    kh_out_text(out, b->uscc, KH_ISSUER_MAX);
}

static void out_party_key(kh_fields_out *out, const kh_op_party_key *b)
{
    uint8_t *p = kh_out_zeroed(out, 8 + KH_PARTY_KEY_SZ);
    if (p == NULL) return;
    kh_store32(p, b->id);
    memcpy(p + 8, b->key, KH_PARTY_KEY_SZ);
    if (b->id == 0) out->bad = true;
}

static void out_rule_set(kh_fields_out *out, const kh_op_rule_set *b)
{
    uint8_t *p = kh_out_zeroed(out, 8);
    if (p == NULL) return;
    kh_store16(p, (uint16_t)b->name.n);
    kh_store16(p + 2, (uint16_t)b->value.n);
    if (b->name.n == 0 || b->value.n == 0) out->bad = true;
    kh_out_text(out, b->name, KH_RULE_TEXT_MAX);
    kh_out_text(out, b->value, KH_RULE_TEXT_MAX);
}

static bool rate_sound(const kh_op_rate_set *b)
{
    return b->from != 0 && b->to != 0 && b->from != b->to && kh_wire_currency(b->from) && kh_wire_currency(b->to) &&
           b->date != 0 && b->rate.mantissa != 0 && b->rate.mantissa <= KH_AMOUNT_MAX && b->rate.scale <= 12;
}

static void out_rate_set(kh_fields_out *out, const kh_op_rate_set *b)
{
    uint8_t *p = kh_out_zeroed(out, 24);
    if (p == NULL) return;
    kh_store16(p, b->from);
    kh_store16(p + 2, b->to);
    kh_store16(p + 4, b->date);
    p[6] = b->rate.scale;
    kh_store64(p + 8, b->rate.mantissa);
    kh_store16(p + 16, (uint16_t)b->source.n);
    if (!rate_sound(b)) out->bad = true;
    kh_out_text(out, b->source, KH_NAME_MAX);
}

static void out_apply(kh_fields_out *out, const kh_op_apply *b)
{
    uint8_t *p = kh_out_zeroed(out, 32);
    if (p == NULL) return;
    kh_store64(p, b->id);
    kh_store64(p + 8, b->amount);
    kh_store32(p + 16, b->enterprise);
    kh_store16(p + 20, b->currency);
    p[22] = b->allow_partial;
    p[23] = (uint8_t)b->product.n;
    kh_store32(p + 24, b->line_cnt);
    if (!kh_wire_amount(b->amount, false) || !kh_wire_currency(b->currency) || b->allow_partial > 1 || b->line_cnt == 0)
        out->bad = true;
    kh_out_lines(out, b->line_cnt, true, b->lines);
    kh_out_text(out, b->product, KH_PRODUCT_MAX);
}

static bool event_sound(const kh_op_event *b)
{
    return b->event >= KH_EV_ACCEPT && b->event <= KH_EV_REVERSE && b->source <= KH_SRC_OWN_FUNDS && b->reason < KH_REASON_CNT &&
           b->has_expect <= 1 && (b->has_expect == 1 || b->expect == 0) && kh_wire_amount(b->amount, true);
}

static void out_event(kh_fields_out *out, const kh_op_event *b)
{
    uint8_t *p = kh_out_zeroed(out, 32);
    if (p == NULL) return;
    kh_store64(p, b->id);
    kh_store64(p + 8, b->amount);
    p[16] = b->event;
    p[17] = b->source;
    p[18] = b->reason;
    p[19] = b->has_expect;
    kh_store32(p + 20, b->expect);
    kh_store32(p + 24, b->line_cnt);
    if (!event_sound(b)) out->bad = true;
    kh_out_lines(out, b->line_cnt, false, b->lines);
}

kh_err kh_op_encode(const kh_op *op, uint8_t *buf, size_t cap, size_t *ret_n)
{
    kh_fields_out out = {.base = buf, .cap = cap};
    uint8_t *p = kh_out_zeroed(&out, KH_FRAME_HEADER_SZ);
    if (p == NULL) return KH_E_FULL;
    p[4] = op->type;
    kh_store32(p + 8, op->party);
    kh_store64(p + 16, op->sequence);
    switch (op->type) {
    case KH_OP_PARTY_ADD: out_party_add(&out, &op->party_add); break;
    case KH_OP_PARTY_STATUS:
        p = kh_out_zeroed(&out, 8);
        if (p == NULL) return KH_E_FULL;
        kh_store32(p, op->party_status.id);
        p[4] = op->party_status.frozen;
        if (op->party_status.id == 0 || op->party_status.frozen > 1) return KH_E_ARG;
        break;
    case KH_OP_PARTY_KEY: out_party_key(&out, &op->party_key); break;
    case KH_OP_RULE_SET: out_rule_set(&out, &op->rule_set); break;
    case KH_OP_RATE_SET: out_rate_set(&out, &op->rate_set); break;
    case KH_OP_DOCUMENT: kh_out_document(&out, &op->document); break;
    case KH_OP_APPLY: out_apply(&out, &op->apply); break;
    case KH_OP_EVENT: out_event(&out, &op->event); break;
    default:
        if (!kh_out_consent(&out, op) && !kh_out_execution(&out, op)) return KH_E_ARG;
    }
    return kh_out_frame_end(&out, ret_n);
}

/* ---- bodies in ---- */

static void in_party_add(kh_fields_in *in, kh_op_party_add *b)
{
    const uint8_t *p = kh_in_take(in, 16);
    if (p == NULL) return;
    b->id = kh_load32(p);
    b->role = p[4];
    b->name = kh_in_text(in, kh_load16(p + 6), KH_NAME_MAX);
    b->uscc = kh_in_text(in, kh_load16(p + 8), KH_ISSUER_MAX);
    if (p[5] != 0 || kh_load16(p + 10) != 0 || kh_load32(p + 12) != 0 || b->id == 0 || b->role < KH_ROLE_REGULATOR ||
        b->role > KH_ROLE_SOURCE || b->name.n == 0)
        in->bad = true;
}

static void in_party_status(kh_fields_in *in, kh_op_party_status *b)
{
    const uint8_t *p = kh_in_take(in, 8);
    if (p == NULL) return;
    b->id = kh_load32(p);
    b->frozen = p[4];
    if (b->id == 0 || b->frozen > 1 || p[5] != 0 || kh_load16(p + 6) != 0) in->bad = true;
}

static void in_party_key(kh_fields_in *in, kh_op_party_key *b)
{
    const uint8_t *p = kh_in_take(in, 8 + KH_PARTY_KEY_SZ);
    if (p == NULL) return;
    b->id = kh_load32(p);
    memcpy(b->key, p + 8, KH_PARTY_KEY_SZ);
    if (b->id == 0 || kh_load32(p + 4) != 0) in->bad = true;
}

static void in_rule_set(kh_fields_in *in, kh_op_rule_set *b)
{
    const uint8_t *p = kh_in_take(in, 8);
    if (p == NULL) return;
    b->name = kh_in_text(in, kh_load16(p), KH_RULE_TEXT_MAX);
    b->value = kh_in_text(in, kh_load16(p + 2), KH_RULE_TEXT_MAX);
    if (b->name.n == 0 || b->value.n == 0 || kh_load32(p + 4) != 0) in->bad = true;
}

static void in_rate_set(kh_fields_in *in, kh_op_rate_set *b)
{
    const uint8_t *p = kh_in_take(in, 24);
    if (p == NULL) return;
    b->from = kh_load16(p);
    b->to = kh_load16(p + 2);
    b->date = kh_load16(p + 4);
    b->rate.scale = p[6];
    b->rate.mantissa = kh_load64(p + 8);
    b->source = kh_in_text(in, kh_load16(p + 16), KH_NAME_MAX);
    if (p[7] != 0 || kh_load16(p + 18) != 0 || kh_load32(p + 20) != 0 || !rate_sound(b)) in->bad = true;
}

static void in_apply(kh_fields_in *in, kh_op_scratch *scratch, kh_op_apply *b)
{
    const uint8_t *p = kh_in_take(in, 32);
    if (p == NULL) return;
    b->id = kh_load64(p);
    b->amount = kh_load64(p + 8);
    b->enterprise = kh_load32(p + 16);
    b->currency = kh_load16(p + 20);
    b->allow_partial = p[22];
    b->line_cnt = kh_load32(p + 24);
    b->lines = scratch->lines;
    kh_in_lines(in, b->line_cnt, true, b->lines);
    b->product = kh_in_text(in, p[23], KH_PRODUCT_MAX);
    if (kh_load32(p + 28) != 0 || !kh_wire_amount(b->amount, false) || !kh_wire_currency(b->currency) || b->allow_partial > 1 ||
        b->line_cnt == 0)
        in->bad = true;
}

static void in_event(kh_fields_in *in, kh_op_scratch *scratch, kh_op_event *b)
{
    const uint8_t *p = kh_in_take(in, 32);
    if (p == NULL) return;
    b->id = kh_load64(p);
    b->amount = kh_load64(p + 8);
    b->event = p[16];
    b->source = p[17];
    b->reason = p[18];
    b->has_expect = p[19];
    b->expect = kh_load32(p + 20);
    b->line_cnt = kh_load32(p + 24);
    b->lines = scratch->lines;
    kh_in_lines(in, b->line_cnt, false, b->lines);
    if (kh_load32(p + 28) != 0 || !event_sound(b)) in->bad = true;
}

kh_err kh_op_decode(const uint8_t *p, size_t n, kh_op_scratch *scratch, kh_op *ret, size_t *ret_n)
{
    *ret_n = 0;
    if (n < KH_FRAME_HEADER_SZ) return KH_E_FORMAT;
    uint32_t size = kh_load32(p);
    if (size < KH_FRAME_HEADER_SZ || size > KH_OP_MAX_SZ || size % 8 != 0 || size > n) return KH_E_FORMAT;
    *ret_n = size;
    ret->type = p[4];
    ret->party = kh_load32(p + 8);
    ret->sequence = kh_load64(p + 16);
    if (p[5] != 0 || kh_load16(p + 6) != 0 || kh_load32(p + 12) != 0) return KH_E_FORMAT;
    kh_fields_in in = {p + KH_FRAME_HEADER_SZ, p + size, false};
    switch (ret->type) {
    case KH_OP_PARTY_ADD: in_party_add(&in, &ret->party_add); break;
    case KH_OP_PARTY_STATUS: in_party_status(&in, &ret->party_status); break;
    case KH_OP_PARTY_KEY: in_party_key(&in, &ret->party_key); break;
    case KH_OP_RULE_SET: in_rule_set(&in, &ret->rule_set); break;
    case KH_OP_RATE_SET: in_rate_set(&in, &ret->rate_set); break;
    case KH_OP_DOCUMENT: kh_in_document(&in, &ret->document); break;
    case KH_OP_APPLY: in_apply(&in, scratch, &ret->apply); break;
    case KH_OP_EVENT: in_event(&in, scratch, &ret->event); break;
    default:
        if (!kh_in_consent(&in, ret) && !kh_in_execution(&in, ret)) return KH_E_FORMAT;
    }
    return kh_in_end(&in) ? KH_OK : KH_E_FORMAT;
}

uint32_t kh_op_peek_keys(const uint8_t *p, size_t n, kh_key *ret_keys, uint32_t max)
{
    if (n < KH_FRAME_HEADER_SZ + 48) return 0;
    uint8_t type = p[4];
    const uint8_t *body = p + KH_FRAME_HEADER_SZ;
    size_t left = n - KH_FRAME_HEADER_SZ;
    if (type == KH_OP_DOCUMENT) {
        size_t at = 48 + (size_t)KH_BALANCE_SZ * body[4] + (size_t)KH_REF_SZ * body[5], number_n = kh_load16(body + 32),
               issuer_n = kh_load16(body + 34);
        if (max == 0 || at + number_n + issuer_n > left || number_n > KH_NUMBER_MAX || issuer_n > KH_ISSUER_MAX) return 0;
        kh_text number = {(const char *)body + at, (uint32_t)number_n},
                issuer = {(const char *)body + at + number_n, (uint32_t)issuer_n};
        ret_keys[0] = kh_doc_key((kh_kind)body[1], number, issuer);
        return 1;
    }
    if (type != KH_OP_APPLY && type != KH_OP_EVENT) return 0;
    uint32_t cnt = kh_load32(body + 24), i = 0;
    for (; i < cnt && i < max && 32 + (size_t)(i + 1) * KH_LINE_SZ <= left; i++)
        memcpy(ret_keys[i].b, body + 32 + (size_t)i * KH_LINE_SZ, 16);
    return i;
}

uint32_t kh_op_peek_asked(const uint8_t *p, size_t n)
{
    if (n < KH_FRAME_HEADER_SZ + 32 || p[4] != KH_OP_APPLY) return 0;
    size_t stated = kh_load32(p + KH_FRAME_HEADER_SZ + 24), room = (n - KH_FRAME_HEADER_SZ - 32) / KH_LINE_SZ;
    return (uint32_t)(stated < room ? stated : room);
}
