/* change_body: what officers may order, from named fields to bytes (docs/CLUSTER.md, order/tx.h). */
#include "client/change.h"
#include "client/secret.h"
#include "crypto/digest.h"
#include "order/order.h"
#include "wire/wire.h"
#include <stdlib.h>
#include <string.h>

typedef struct fields {
    const kh_client_param *p;
    uint32_t cnt;
} fields;

static const char *said(const fields *f, const char *name)
{
    for (uint32_t i = 0; i < f->cnt; i++)
        if (strcmp(f->p[i].name, name) == 0) return f->p[i].value;
    return NULL;
}

static bool number(const fields *f, const char *name, uint32_t *ret)
{
    const char *text = said(f, name);
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text) || strlen(text) > 10) return false;
    unsigned long long value = strtoull(text, NULL, 10);
    *ret = (uint32_t)value;
    return value <= UINT32_MAX;
}

/* A key may be left out: zeros. */
static bool key(const fields *f, const char *name, uint8_t *ret, size_t n)
{
    const char *text = said(f, name);
    return text == NULL || kh_hex_read(text, strlen(text), ret, n);
}

static bool role_of(const char *word, uint8_t *ret)
{
    static const struct {
        const char *word;
        uint8_t role;
    } roles[] = {
        {"regulator", KH_MEMBER_REGULATOR}, {"bank", KH_MEMBER_BANK}, {"source", KH_MEMBER_SOURCE}, {"hub", KH_MEMBER_HUB}};
    for (size_t i = 0; word != NULL && i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(roles[i].word, word) == 0) {
            *ret = roles[i].role;
            return true;
        }
    return false;
}

static const char *member(const fields *f, uint8_t *ret, uint32_t *ret_n)
{
    kh_member m = {0};
    const char *name = said(f, "name"), *uscc = said(f, "uscc"), *status = said(f, "status");
    if (!number(f, "id", &m.id) || m.id == 0) return "id: a member's number, from 1 on";
    if (!role_of(said(f, "role"), &m.role)) return "role: regulator, bank, source or hub";
    if (name == NULL || *name == '\0' || strlen(name) > sizeof m.name) return "name: 1 to 128 bytes";
    if (uscc != NULL && strlen(uscc) > sizeof m.uscc) return "uscc: at most 36 bytes";
    m.name_n = (uint8_t)strlen(name);
    memcpy(m.name, name, m.name_n);
    m.uscc_n = uscc != NULL ? (uint8_t)strlen(uscc) : 0;
    if (m.uscc_n != 0) memcpy(m.uscc, uscc, m.uscc_n);
    if (!key(f, "sender", m.sender, KH_PUBLIC_SZ) || !key(f, "ack", m.ack, KH_PUBLIC_SZ) ||
        !key(f, "attest", m.attest, KH_PUBLIC_SZ) || !key(f, "box", m.box, KH_PUBLIC_SZ) ||
        !key(f, "consensus", m.consensus, sizeof m.consensus))
        return "sender, ack, attest, box: 128 lower-case hexadecimal digits each; consensus: 64";
    if (status == NULL || strcmp(status, "active") == 0) m.flags = 0;
    else if (strcmp(status, "frozen") == 0) m.flags = KH_MEMBER_FROZEN;
    else if (strcmp(status, "expelled") == 0) m.flags = KH_MEMBER_EXPELLED;
    else return "status: active, frozen or expelled";
    *ret_n = (uint32_t)kh_member_encode(&m, ret, KH_CHANGE_BODY_SZ);
    return NULL;
}

static const char *validator(const fields *f, uint8_t *ret, uint32_t *ret_n)
{
    uint32_t id, power;
    if (!number(f, "member", &id) || id == 0) return "member: a member's number";
    if (!number(f, "power", &power) || power > 1) return "power: 1, or 0 for none any more";
    kh_store32(ret, id);
    kh_store32(ret + 4, power);
    *ret_n = 8;
    return NULL;
}

static const char *epoch(const fields *f, uint8_t *ret, uint32_t *ret_n)
{
    if (said(f, "group") == NULL || !key(f, "group", ret, KH_PUBLIC_SZ))
        return "group: the hubs' new key, 128 lower-case hexadecimal digits";
    *ret_n = KH_PUBLIC_SZ;
    return NULL;
}

static const char *lost(const fields *f, uint8_t *ret, uint32_t *ret_n)
{
    if (said(f, "digest") == NULL || !key(f, "digest", ret, 32)) return "digest: of the body, 64 lower-case hexadecimal digits";
    *ret_n = 32;
    return NULL;
}

static const char *version(const fields *f, uint8_t *ret, uint32_t *ret_n)
{
    const char *from = said(f, "from");
    uint32_t value;
    if (!number(f, "value", &value) || value == 0) return "value: the app version, from 1 on";
    if (from != NULL && (strspn(from, "0123456789") != strlen(from) || *from == '\0' || strlen(from) > 18))
        return "from: the height of the first block that has it; left out, with the version in force: what was ordered is "
               "withdrawn";
    kh_store32(ret, value);
    kh_store64(ret + 8, from != NULL ? strtoull(from, NULL, 10) : 0);
    *ret_n = 16;
    return NULL;
}

static const char *officers(const fields *f, uint8_t *ret, uint32_t *ret_n)
{
    uint32_t k, cnt = 0;
    if (!number(f, "k", &k)) return "k: how many officers sign a change";
    for (uint32_t i = 0; i < f->cnt; i++) {
        if (strcmp(f->p[i].name, "key") != 0) continue;
        if (cnt == KH_OFFICERS_MAX) return "at most 16 officers";
        if (!kh_hex_read(f->p[i].value, strlen(f->p[i].value), ret + 8 + (size_t)cnt++ * KH_PUBLIC_SZ, KH_PUBLIC_SZ))
            return "key: 128 lower-case hexadecimal digits";
    }
    if (k == 0 || k > cnt) return "k: from 1 to as many as there are keys";
    kh_store32(ret, k);
    kh_store32(ret + 4, cnt);
    *ret_n = 8 + cnt * KH_PUBLIC_SZ;
    return NULL;
}

/* ---- operations of the officers ---- */

static const char *frame(const kh_op *op, uint8_t *ret, uint32_t *ret_n)
{
    size_t n = 0;
    if (kh_op_encode(op, ret, KH_CHANGE_BODY_SZ, &n) != KH_OK) return "a text is too long, or holds a control character";
    *ret_n = (uint32_t)n;
    return NULL;
}

static const char *rule(const fields *f, uint8_t *ret, uint32_t *ret_n)
{
    const char *name = said(f, "name"), *value = said(f, "value");
    if (name == NULL || value == NULL) return "a rule is set by name and value";
    return frame(&(kh_op){.type = KH_OP_RULE_SET, .rule_set = {kh_text_of(name), kh_text_of(value)}}, ret, ret_n);
}

static const char *rate(const fields *f, uint8_t *ret, uint32_t *ret_n)
{
    kh_op op = {.type = KH_OP_RATE_SET};
    const char *from = said(f, "from"), *to = said(f, "to"), *value = said(f, "value"), *date = said(f, "date"),
               *source = said(f, "source");
    if (from == NULL || to == NULL || value == NULL || date == NULL || source == NULL)
        return "a rate is set by from, to, value, date and source";
    if (!kh_currency_of_text(kh_text_of(from), &op.rate_set.from) || !kh_currency_of_text(kh_text_of(to), &op.rate_set.to))
        return "from, to: ISO 4217 currencies";
    if (op.rate_set.from == op.rate_set.to) return "from, to: two currencies";
    if (!kh_rate_parse(kh_text_of(value), &op.rate_set.rate)) return "value: an exact decimal above 0, at most 18 digits";
    if (!kh_date_parse(kh_text_of(date), &op.rate_set.date) || op.rate_set.date == 0) return "date: 2026-11-24";
    op.rate_set.source = kh_text_of(source);
    return frame(&op, ret, ret_n);
}

static const char *party(const fields *f, uint8_t *ret, uint32_t *ret_n)
{
    kh_op op = {.type = KH_OP_PARTY_STATUS};
    const char *status = said(f, "status");
    if (!number(f, "id", &op.party_status.id) || op.party_status.id == 0) return "id: a member's number";
    if (status == NULL || (strcmp(status, "frozen") != 0 && strcmp(status, "active") != 0)) return "status: frozen or active";
    op.party_status.frozen = strcmp(status, "frozen") == 0;
    return frame(&op, ret, ret_n);
}

static const struct {
    const char *word;
    kh_change_kind kind;
    const char *(*encode)(const fields *f, uint8_t *ret, uint32_t *ret_n);
} kinds[] = {{"member", KH_CHANGE_MEMBER, member},
             {"validator", KH_CHANGE_VALIDATOR, validator},
             {"epoch", KH_CHANGE_EPOCH, epoch},
             {"lost", KH_CHANGE_LOST, lost},
             {"officers", KH_CHANGE_OFFICERS, officers},
             {"version", KH_CHANGE_VERSION, version},
             {"rule", KH_CHANGE_OPS, rule},
             {"rate", KH_CHANGE_OPS, rate},
             {"party", KH_CHANGE_OPS, party}};

const char *kh_change_body(const char *kind, const kh_client_param params[], uint32_t field_cnt, uint32_t *ret_kind,
                           uint8_t ret[KH_CHANGE_BODY_SZ], uint32_t *ret_n)
{
    const fields f = {params, field_cnt};
    memset(ret, 0, KH_CHANGE_BODY_SZ);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].word, kind) != 0) continue;
        *ret_kind = kinds[i].kind;
        return kinds[i].encode(&f, ret, ret_n);
    }
    return "there is no such change: member, validator, epoch, rule, rate, party, lost, officers or version";
}
