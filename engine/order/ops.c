/* ops: operations that officers order in the open: parties that are members, rules, rates. Each must fit, else none counts. */
#include "order/inside.h"
#include "wire/wire.h"

static void key_of_rate(const kh_op_rate_set *r, uint8_t ret[7])
{
    ret[0] = 'x';
    ret[1] = (uint8_t)(r->from >> 8), ret[2] = (uint8_t)r->from;
    ret[3] = (uint8_t)(r->to >> 8), ret[4] = (uint8_t)r->to;
    ret[5] = (uint8_t)(r->date >> 8), ret[6] = (uint8_t)r->date;
}

/* The ledger keeps a party's role, name and USCC for ever: saying them again is all that PARTY_ADD may do to a member. */
static bool party_fits(const kh_order *o, const kh_op_party_add *p)
{
    const kh_member *m = kh_order_member(o, p->id);
    return m != NULL && m->role == p->role && kh_text_equal((kh_text){m->name, m->name_n}, p->name) &&
           kh_text_equal((kh_text){m->uscc, m->uscc_n}, p->uscc);
}

static bool status_fits(const kh_order *o, const kh_op_party_status *p)
{
    const kh_member *m = kh_order_member(o, p->id);
    return m != NULL && m->role != KH_MEMBER_HUB && (p->frozen == 1 || (m->flags & KH_MEMBER_EXPELLED) == 0);
}

static kh_order_code fits(const kh_order *o, const kh_op *op)
{
    if (op->party != 0) return KH_R_MALFORMED;
    switch (op->type) {
    case KH_OP_PARTY_ADD: return party_fits(o, &op->party_add) ? KH_R_OK : KH_R_REFUSED;
    case KH_OP_PARTY_STATUS: return status_fits(o, &op->party_status) ? KH_R_OK : KH_R_REFUSED;
    case KH_OP_RULE_SET:
    case KH_OP_RATE_SET: return KH_R_OK;
    default: return KH_R_MALFORMED;
    }
}

static kh_err set_rule(kh_order *o, const kh_op_rule_set *r)
{
    uint8_t key[1 + KH_RULE_TEXT_MAX] = {'r'};
    memcpy(key + 1, r->name.p, r->name.n);
    return kh_tree_set(&o->tree, key, (uint8_t)(1 + r->name.n), r->value.p, r->value.n);
}

static kh_err set_rate(kh_order *o, const kh_op_rate_set *r)
{
    uint8_t key[7], value[9 + KH_NAME_MAX];
    key_of_rate(r, key);
    kh_store64(value, r->rate.mantissa);
    value[8] = r->rate.scale;
    if (r->source.n > 0) memcpy(value + 9, r->source.p, r->source.n);
    return kh_tree_set(&o->tree, key, sizeof key, value, 9 + r->source.n);
}

static kh_err set_status(kh_order *o, const kh_op_party_status *p)
{
    kh_seat *seat = kh_seat_find(o, p->id);
    seat->member.flags &= (uint8_t)~KH_MEMBER_FROZEN;
    if (p->frozen == 1) seat->member.flags |= KH_MEMBER_FROZEN;
    return kh_public_seat(o, seat);
}

static kh_err execute(kh_order *o, const kh_op *op)
{
    switch (op->type) {
    case KH_OP_PARTY_STATUS: return set_status(o, &op->party_status);
    case KH_OP_RULE_SET: return set_rule(o, &op->rule_set);
    case KH_OP_RATE_SET: return set_rate(o, &op->rate_set);
    default: return KH_OK; /* PARTY_ADD says what the register says already */
    }
}

kh_order_code kh_change_ops(kh_order *o, kh_at *at, const kh_change *c)
{
    kh_op_scratch scratch;
    kh_op op;
    uint32_t cnt = 0;
    size_t n;
    for (size_t i = 0; i < c->body_sz; i += n, cnt++) {
        if (kh_op_decode(c->body + i, c->body_sz - i, &scratch, &op, &n) != KH_OK) return KH_R_MALFORMED;
        kh_order_code code = fits(o, &op);
        if (code != KH_R_OK) return code;
    }
    if (cnt == 0) return KH_R_MALFORMED;
    if (o->tree.cnt + cnt > KH_PUBLIC_MAX - KH_PUBLIC_SPARE) return KH_R_REFUSED;
    if (!at->apply) return KH_R_OK;
    for (size_t i = 0; i < c->body_sz && at->err == KH_OK; i += n) {
        kh_err err = kh_op_decode(c->body + i, c->body_sz - i, &scratch, &op, &n);
        KH_ASSERT(err == KH_OK);
        at->err = execute(o, &op);
    }
    if (at->err == KH_OK) at->err = kh_built_ops(o, c->body, c->body_sz, cnt);
    return KH_R_OK;
}
