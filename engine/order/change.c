/* change: what officers order: members, validators, the key epoch, officers, lost bodies, the app version, and the register's,
 * rules' and rates' operations. All of a change takes effect, or nothing. */
#include "order/inside.h"
#include "wire/wire.h"

/* ---- validators ---- */

static bool too_soon(const kh_order *o, const kh_at *at)
{
    return o->validators_changed != 0 && at->height < o->validators_changed + KH_VALIDATOR_PAUSE;
}

static void tell(kh_order *o, const uint8_t consensus[32], bool votes)
{
    struct kh_built *b = &o->built;
    KH_ASSERT(b->validator_cnt < sizeof b->validators / sizeof b->validators[0]);
    memcpy(b->validators[b->validator_cnt].consensus, consensus, 32);
    b->validators[b->validator_cnt++].votes = votes;
}

/* A new set of the members that carry the flag; the one until now stays good as long as what it signed may be. */
static kh_err next_set(kh_order *o, const kh_at *at)
{
    o->before = o->now;
    o->before.until_ns = at->time_ns + KH_EXPIRES_MAX_NS;
    o->now.set_id++;
    kh_voters_make(o);
    o->validators_changed = at->height;
    return kh_public_voters(o);
}

static kh_order_code validator(kh_order *o, kh_at *at, const kh_change *c)
{
    if (c->body_sz != 8 || kh_load32(c->body + 4) > 1) return KH_R_MALFORMED;
    kh_seat *seat = kh_seat_find(o, kh_load32(c->body));
    bool in = kh_load32(c->body + 4) == 1;
    if (seat == NULL) return KH_R_REFUSED;
    kh_member *m = &seat->member;
    if (((m->flags & KH_MEMBER_VALIDATOR) != 0) == in) return KH_R_REFUSED;
    if (in && (!kh_seat_sends(seat) || (m->flags & KH_MEMBER_EXPELLED) != 0 || kh_all_zero(m->ack, KH_PUBLIC_SZ) ||
               kh_all_zero(m->consensus, 32)))
        return KH_R_REFUSED;
    if (!in && o->now.cnt == 1) return KH_R_REFUSED;
    if (too_soon(o, at)) return KH_R_BUSY;
    if (!at->apply) return KH_R_OK;
    m->flags ^= KH_MEMBER_VALIDATOR;
    tell(o, m->consensus, in);
    at->err = kh_public_seat(o, seat);
    if (at->err == KH_OK && !in) at->err = kh_states_leaves(o, m->id);
    if (at->err == KH_OK) at->err = next_set(o, at);
    return KH_R_OK;
}

/* ---- members ---- */

static kh_err say_member(kh_order *o, const kh_member *m, bool add, bool status)
{
    uint8_t frames[KH_PARTY_FRAMES_SZ];
    uint32_t cnt;
    if (m->role == KH_MEMBER_HUB || (!add && !status)) return KH_OK; /* hubs are no parties */
    size_t n = kh_member_frames(m, add, status, frames, &cnt);
    return kh_built_ops(o, frames, n, cnt);
}

static bool clashes(const kh_order *o, const kh_member *m)
{
    for (uint32_t i = 0; i < o->seat_cnt; i++) {
        const kh_member *other = &o->seats[i].member;
        if (other->id == m->id) continue;
        if (kh_members_clash(m, other)) return true;
        if (m->uscc_n > 0 && m->role == other->role && m->uscc_n == other->uscc_n && memcmp(m->uscc, other->uscc, m->uscc_n) == 0)
            return true;
    }
    return false;
}

static kh_order_code add_member(kh_order *o, kh_at *at, const kh_member *m)
{
    if (o->seat_cnt == KH_MEMBERS_MAX || (m->flags & KH_MEMBER_EXPELLED) != 0) return KH_R_REFUSED;
    if (!at->apply) return KH_R_OK;
    kh_seat *seat = kh_seat_add(o, m);
    at->err = kh_public_seat(o, seat);
    if (at->err == KH_OK) at->err = kh_public_sender(o, seat);
    if (at->err == KH_OK) at->err = say_member(o, m, true, m->flags != 0);
    return KH_R_OK;
}

static bool same_party(const kh_member *a, const kh_member *b)
{
    return a->role == b->role && a->name_n == b->name_n && a->uscc_n == b->uscc_n && memcmp(a->name, b->name, a->name_n) == 0 &&
           memcmp(a->uscc, b->uscc, a->uscc_n) == 0;
}

/* As execution knows it: who is expelled is no longer frozen or not. */
static uint8_t status_of(const kh_member *m)
{
    return m->flags & KH_MEMBER_EXPELLED ? KH_MEMBER_EXPELLED : m->flags & KH_MEMBER_FROZEN;
}

/* Keys and flags. A validator's keys are its set's: other ones make another set, as if a validator changed. */
static kh_order_code replace_member(kh_order *o, kh_at *at, kh_seat *seat, const kh_member *m)
{
    kh_member old = seat->member;
    bool voted = memcmp(old.consensus, m->consensus, 32) != 0;
    bool reset = (m->flags & KH_MEMBER_VALIDATOR) != 0 && (voted || memcmp(old.ack, m->ack, KH_PUBLIC_SZ) != 0);
    if (!same_party(&old, m) || ((old.flags & ~m->flags) & KH_MEMBER_EXPELLED) != 0) return KH_R_REFUSED;
    if (kh_hub_place(o, m->id) >= 0 && o->hubs.cnt == 1 && !kh_member_attests(m)) return KH_R_REFUSED;
    if (reset && too_soon(o, at)) return KH_R_BUSY;
    if (!at->apply) return KH_R_OK;
    bool leaves = (m->flags & KH_MEMBER_EXPELLED) != 0 || memcmp(old.ack, m->ack, KH_PUBLIC_SZ) != 0;
    seat->member = *m;
    at->err = kh_public_seat(o, seat);
    if (leaves && at->err == KH_OK) at->err = kh_states_leaves(o, m->id);
    if (reset && voted) tell(o, old.consensus, false), tell(o, m->consensus, true);
    if (reset && at->err == KH_OK) at->err = next_set(o, at);
    if (kh_hub_place(o, m->id) >= 0 && at->err == KH_OK) {
        kh_hubs_make(o, false);
        at->err = kh_public_hubs(o);
    }
    if (at->err == KH_OK) at->err = say_member(o, m, false, status_of(&old) != status_of(m));
    return KH_R_OK;
}

static kh_order_code member(kh_order *o, kh_at *at, const kh_change *c)
{
    kh_reader r = {c->body, c->body_sz, false};
    kh_member m;
    if (!kh_member_read(&r, &m) || r.left != 0) return KH_R_MALFORMED;
    kh_seat *seat = kh_seat_find(o, m.id);
    m.flags &= (uint8_t)~KH_MEMBER_VALIDATOR; /* the set's alone */
    if (seat != NULL) m.flags |= seat->member.flags & KH_MEMBER_VALIDATOR;
    if (!kh_member_sound(o->suite, &m) || clashes(o, &m)) return KH_R_REFUSED;
    return seat != NULL ? replace_member(o, at, seat, &m) : add_member(o, at, &m);
}

/* ---- key epoch, officers, lost bodies ---- */

static kh_order_code epoch(kh_order *o, kh_at *at, const kh_change *c)
{
    bool any = false;
    if (c->body_sz != KH_PUBLIC_SZ || !kh_public_sound(o->suite, true, c->body)) return KH_R_MALFORMED;
    for (uint32_t i = 0; i < o->seat_cnt; i++) any |= kh_member_attests(&o->seats[i].member);
    if (!any || memcmp(c->body, o->hubs.group, KH_PUBLIC_SZ) == 0 || o->hubs.epoch == UINT32_MAX) return KH_R_REFUSED;
    if (!at->apply) return KH_R_OK;
    o->hubs.before = o->hubs.epoch++;
    o->hubs.before_until = at->height + KH_SEALED_AFTER_EPOCH;
    memcpy(o->hubs.group, c->body, KH_PUBLIC_SZ);
    kh_hubs_make(o, true);
    at->err = kh_public_hubs(o);
    return KH_R_OK;
}

static kh_order_code officers(kh_order *o, kh_at *at, const kh_change *c)
{
    if (c->body_sz < 8) return KH_R_MALFORMED;
    uint32_t k = kh_load32(c->body), cnt = kh_load32(c->body + 4);
    if (cnt > KH_OFFICERS_MAX || k == 0 || k > cnt || c->body_sz != 8 + cnt * KH_PUBLIC_SZ) return KH_R_MALFORMED;
    for (uint32_t i = 0; i < cnt; i++) {
        const uint8_t *key = c->body + 8 + (size_t)i * KH_PUBLIC_SZ;
        if (!kh_public_sound(o->suite, false, key)) return KH_R_MALFORMED;
        for (uint32_t j = 0; j < i; j++)
            if (memcmp(key, c->body + 8 + (size_t)j * KH_PUBLIC_SZ, KH_PUBLIC_SZ) == 0) return KH_R_MALFORMED;
    }
    if (!at->apply) return KH_R_OK;
    o->officer_k = k;
    o->officer_cnt = cnt;
    memset(o->officers, 0, sizeof o->officers);
    memcpy(o->officers, c->body + 8, (size_t)cnt * KH_PUBLIC_SZ);
    at->err = kh_public_officers(o);
    return KH_R_OK;
}

/* Ordered, above what a quorum attested (the checkpoint, too), and not called lost before: else there is nothing to be lost. */
static kh_order_code lost(kh_order *o, kh_at *at, const kh_change *c)
{
    bool any = false;
    uint64_t height = 0;
    if (c->body_sz != 32) return KH_R_MALFORMED;
    for (uint32_t i = 0; i < o->unattested_cnt; i++) { /* heights ascend */
        kh_unattested *u = &o->unattested[i];
        if (u->lost || u->height <= o->checkpoint || memcmp(u->digest, c->body, 32) != 0) continue;
        if (!any) height = u->height;
        any = true;
        if (at->apply) u->lost = true, o->unattested_known = false;
    }
    if (!any) return KH_R_REFUSED;
    if (!at->apply) return KH_R_OK;
    kh_words_forget(o, height); /* a hub that executed it will say something else */
    kh_order_item item = {.kind = KH_ITEM_LOST, .sequence = height};
    memcpy(item.digest, c->body, 32);
    at->err = kh_losses_add(o, height, at->height);
    if (at->err == KH_OK) at->err = kh_built_item(o, &item);
    return KH_R_OK;
}

/* ---- the signatures, and which kind it is ---- */

static bool ordered_by_officers(kh_order *o, const kh_change *c, const uint8_t digest[32])
{
    uint8_t keys[32], statement[KH_CHANGE_BODY_MAX + 128];
    kh_sha256_state sha;
    if (c->signature_cnt != o->officer_k) return false;
    for (uint32_t i = 0; i < c->signature_cnt; i++)
        if (c->signatures[i].index >= o->officer_cnt) return false;
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, &o->officer_k, sizeof o->officer_k);
    kh_sha256_update(&sha, o->officers, sizeof o->officers);
    kh_sha256_final(&sha, keys);
    if (kh_seen_before(o, digest, keys)) return true;
    size_t n = kh_change_statement(c, statement, sizeof statement);
    KH_ASSERT(n > 0);
    for (uint32_t i = 0; i < c->signature_cnt; i++)
        if (!kh_verify_signature(o->suite, o->officers[c->signatures[i].index], statement, n, c->signatures[i].signature))
            return false;
    kh_seen_now(o, digest, keys);
    return true;
}

static kh_order_code execute(kh_order *o, kh_at *at, const kh_change *c)
{
    switch ((kh_change_kind)c->kind) {
    case KH_CHANGE_OPS: return kh_change_ops(o, at, c);
    case KH_CHANGE_MEMBER: return member(o, at, c);
    case KH_CHANGE_VALIDATOR: return validator(o, at, c);
    case KH_CHANGE_EPOCH: return epoch(o, at, c);
    case KH_CHANGE_LOST: return lost(o, at, c);
    case KH_CHANGE_OFFICERS: return officers(o, at, c);
    case KH_CHANGE_VERSION: return kh_change_version(o, at, c);
    }
    return KH_R_MALFORMED;
}

kh_order_code kh_judge_change(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32])
{
    kh_change c;
    if (kh_change_read(tx->p, tx->n, &c) != KH_OK || memcmp(c.chain, o->chain, 32) != 0) return KH_R_MALFORMED;
    if (c.number != o->change_number) return KH_R_BAD_SEQUENCE; /* the officers may be others when it is its turn */
    if (!ordered_by_officers(o, &c, digest)) {
        at->forged = true;
        return KH_R_NOT_AUTHORISED;
    }
    kh_order_code code = execute(o, at, &c);
    if (code != KH_R_OK || !at->apply || at->err != KH_OK) return code;
    o->change_number++;
    at->err = kh_public_change(o);
    return KH_R_OK;
}
