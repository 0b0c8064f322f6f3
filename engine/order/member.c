/* member: a member's record to bytes and back, what makes it sound, and what execution is told of it. */
#include "order/inside.h"
#include "wire/wire.h"

void kh_member_write(kh_writer *w, const kh_member *m)
{
    kh_put32(w, m->id);
    kh_put8(w, m->role);
    kh_put8(w, m->flags);
    kh_put8(w, m->name_n);
    kh_put8(w, m->uscc_n);
    kh_put(w, m->name, m->name_n);
    kh_put(w, m->uscc, m->uscc_n);
    kh_put(w, m->sender, KH_PUBLIC_SZ);
    kh_put(w, m->ack, KH_PUBLIC_SZ);
    kh_put(w, m->attest, KH_PUBLIC_SZ);
    kh_put(w, m->box, KH_PUBLIC_SZ);
    kh_put(w, m->consensus, 32);
}

size_t kh_member_encode(const kh_member *m, uint8_t *buf, size_t cap)
{
    kh_writer w = {.p = buf, .cap = cap, .fixed = true};
    kh_member_write(&w, m);
    return w.failed ? 0 : w.n;
}

bool kh_member_read(kh_reader *r, kh_member *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->id = kh_take32(r);
    ret->role = kh_take8(r);
    ret->flags = kh_take8(r);
    ret->name_n = kh_take8(r);
    ret->uscc_n = kh_take8(r);
    if (r->bad || ret->name_n > sizeof ret->name || ret->uscc_n > sizeof ret->uscc) return false;
    kh_take_copy(r, ret->name, ret->name_n);
    kh_take_copy(r, ret->uscc, ret->uscc_n);
    kh_take_copy(r, ret->sender, KH_PUBLIC_SZ);
    kh_take_copy(r, ret->ack, KH_PUBLIC_SZ);
    kh_take_copy(r, ret->attest, KH_PUBLIC_SZ);
    kh_take_copy(r, ret->box, KH_PUBLIC_SZ);
    kh_take_copy(r, ret->consensus, 32);
    return !r->bad;
}

static bool frame(const kh_op *op, kh_writer *w)
{
    size_t n;
    if (kh_op_encode(op, w->p + w->n, w->cap - w->n, &n) != KH_OK) return false;
    w->n += n;
    return true;
}

size_t kh_member_frames(const kh_member *m, bool add, bool status, uint8_t buf[KH_PARTY_FRAMES_SZ], uint32_t *ret_cnt)
{
    kh_writer w = {.p = buf, .cap = KH_PARTY_FRAMES_SZ, .fixed = true};
    kh_op op = {.type = KH_OP_PARTY_ADD,
                .party_add = {m->id, m->role, {m->name, m->name_n}, {m->uscc_n > 0 ? m->uscc : NULL, m->uscc_n}}};
    if (add && !frame(&op, &w)) return 0;
    op = (kh_op){.type = KH_OP_PARTY_STATUS, .party_status = {m->id, (m->flags & KH_MEMBER_FROZEN) != 0}};
    if ((m->flags & KH_MEMBER_EXPELLED) != 0) op = (kh_op){.type = KH_OP_EXPELLED, .expelled = {m->id}};
    if (status && !frame(&op, &w)) return 0;
    *ret_cnt = (uint32_t)add + (uint32_t)status;
    return w.n;
}

static bool key_or_none(kh_suite suite, bool box, const uint8_t key[KH_PUBLIC_SZ])
{
    return kh_all_zero(key, KH_PUBLIC_SZ) || kh_public_sound(suite, box, key);
}

bool kh_member_sound(kh_suite suite, const kh_member *m)
{
    uint8_t frames[KH_PARTY_FRAMES_SZ], consensus[KH_PUBLIC_SZ] = {0};
    uint32_t cnt;
    kh_member named = *m;
    if (m->id == 0 || m->flags > (KH_MEMBER_EXPELLED | KH_MEMBER_FROZEN | KH_MEMBER_VALIDATOR)) return false;
    if (m->name_n > sizeof m->name || m->uscc_n > sizeof m->uscc) return false;
    if (m->role == KH_MEMBER_HUB) named.role = KH_MEMBER_BANK; /* the same bounds for its name */
    else if (m->role != KH_MEMBER_REGULATOR && m->role != KH_MEMBER_BANK && m->role != KH_MEMBER_SOURCE) return false;
    if (kh_member_frames(&named, true, false, frames, &cnt) == 0) return false;
    memcpy(consensus, m->consensus, 32);
    if (!key_or_none(suite, false, m->sender) || !key_or_none(suite, false, m->ack) || !key_or_none(suite, false, m->attest) ||
        !key_or_none(suite, true, m->box) || !key_or_none(KH_SUITE_INTL, false, consensus))
        return false;
    if ((m->flags & KH_MEMBER_VALIDATOR) == 0) return true;
    return (m->role & (KH_MEMBER_BANK | KH_MEMBER_HUB)) != 0 && !kh_all_zero(m->ack, KH_PUBLIC_SZ) &&
           !kh_all_zero(m->consensus, 32);
}

static bool same_key(const uint8_t *a, const uint8_t *b, size_t n) { return !kh_all_zero(a, n) && memcmp(a, b, n) == 0; }

bool kh_members_clash(const kh_member *a, const kh_member *b)
{
    return same_key(a->ack, b->ack, KH_PUBLIC_SZ) || same_key(a->attest, b->attest, KH_PUBLIC_SZ) ||
           same_key(a->consensus, b->consensus, 32);
}

int kh_keys_compare(const uint8_t *a, uint8_t a_n, const uint8_t *b, uint8_t b_n)
{
    int sign = memcmp(a, b, a_n < b_n ? a_n : b_n);
    return sign != 0 ? sign : (int)a_n - (int)b_n;
}

bool kh_public_key_sound(const uint8_t *key, uint8_t key_n, const uint8_t *value, size_t value_n)
{
    uint8_t buf[KH_PARTY_FRAMES_SZ];
    size_t n;
    kh_op op = {.type = KH_OP_RULE_SET};
    if (key_n < 2 || (key[0] == 'x' && (key_n != 7 || value_n < 9)) || value_n > UINT16_MAX) return false;
    if (key[0] == 'r') {
        op.rule_set.name = (kh_text){(const char *)key + 1, key_n - 1u};
        op.rule_set.value = (kh_text){(const char *)value, (uint32_t)value_n};
    } else if (key[0] == 'x') {
        op.type = KH_OP_RATE_SET;
        op.rate_set = (kh_op_rate_set){.from = (kh_currency)(key[1] << 8 | key[2]),
                                       .to = (kh_currency)(key[3] << 8 | key[4]),
                                       .date = (kh_date)(key[5] << 8 | key[6]),
                                       .rate = {.mantissa = kh_load64(value), .scale = value[8]},
                                       .source = {(const char *)value + 9, (uint32_t)value_n - 9}};
    } else {
        return false;
    }
    return kh_op_encode(&op, buf, sizeof buf, &n) == KH_OK;
}
