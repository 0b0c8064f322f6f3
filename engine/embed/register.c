/* register: parties, rules and rates. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

enum { PIECE = 1024 }; /* parties passed before the applier is let in */

/* write_one submits one operation, of whose handle it is; a code that is no warning fails with `why`. */
static kh_result write_one(kh_engine *e, kh_op *op, const char *why, kh_row_builder *b, const char *what,
                           const kh_result_sink *sink)
{
    kh_batch batch = {0};
    kh_answer *a;
    kh_principal who;
    kh_result result = kh_embed_enter(e, KH_WRITING, NULL, KH_DO_REGISTER, sink, &who);
    op->party = e->party;
    if (result == KH_DONE) result = kh_embed_one(e, &batch, op, &a);
    if (result == KH_DONE) {
        kh_code code = a->receipt.code;
        kh_row_code(b, code);
        kh_row_number(b, "height", a->height);
        if (code == KH_C_NOT_AUTHORISED)
            why = "in a cluster officers order rules, rates and members (kanhe change), and parties sign what is theirs";
        if (code != KH_C_OK) result = kh_embed_fail(e, KH_DONE_NOT_OK, "%s: %s", kh_code_name(code), why);
        if (sink->row != NULL) kh_row_give(b, what, sink);
    }
    kh_batch_release(&batch);
    return result;
}

kh_result kh_party_add(kh_engine *engine, uint32_t id, const char *role, const char *name, const char *uscc,
                       const kh_result_sink *sink)
{
    kh_role r;
    char canonical[KH_ISSUER_MAX + 1] = "";
    uint32_t n = 0;
    if (!kh_role_of_word(kh_text_of(role), &r))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no role: regulator, bank, enterprise or source", role);
    if (id == 0 || name == NULL || name[0] == '\0')
        return kh_embed_fail(engine, KH_MISUSE, "a party has an id from 1 on and a name");
    kh_code said = uscc != NULL && uscc[0] != '\0' ? kh_owner_canonical(kh_text_of(uscc), canonical, &n) : KH_C_OK;
    if (said == KH_C_FORMAT)
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is neither a USCC nor a foreign id of letters and digits", uscc);
    kh_op op = {.type = KH_OP_PARTY_ADD,
                .party_add = {.id = id, .role = (uint8_t)r, .name = kh_text_of(name), .uscc = {canonical, n}}};
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "id", id);
    kh_row_text(&b, "role", role);
    kh_row_text(&b, "party", name);
    if (said == KH_C_CHECK_DIGIT) kh_row_text(&b, "warning", "CHECK_DIGIT");
    return write_one(engine, &op, "another party has this id, name or USCC", &b, "party", sink);
}

kh_result kh_party_freeze(kh_engine *engine, const char *party, bool frozen, const kh_result_sink *sink)
{
    kh_party_view view;
    kh_principal who;
    kh_result result = kh_embed_enter(engine, KH_WRITING, NULL, KH_DO_REGISTER, sink, &who);
    if (result != KH_DONE) return result;
    const kh_ledger *l = kh_store_read_begin(engine->store);
    bool found = kh_embed_party(engine, l, &who, party, &view);
    kh_store_read_end(engine->store);
    if (!found)
        return kh_embed_fail(engine, KH_MISUSE,
                             "there is no party \"%s\", or several are called so; `kanhe party list` shows their ids", party);
    if (frozen && view.id == who.party)
        return kh_embed_fail(engine, KH_MISUSE, "a party does not freeze itself: it could not lift that again");
    kh_op op = {.type = KH_OP_PARTY_STATUS, .party_status = {.id = view.id, .frozen = frozen}};
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "id", view.id);
    kh_row_bool(&b, "frozen", frozen);
    return write_one(engine, &op, "this party cannot be frozen", &b, "party", sink);
}

static bool key_of(const char *text, uint8_t ret[KH_PARTY_KEY_SZ])
{
    memset(ret, 0, KH_PARTY_KEY_SZ);
    if (strcmp(text, "none") == 0) return true;
    if (strlen(text) != 2 * KH_PARTY_KEY_SZ || strspn(text, "0123456789abcdefABCDEF") != 2 * KH_PARTY_KEY_SZ) return false;
    for (uint32_t i = 0; i < KH_PARTY_KEY_SZ; i++) {
        const char byte[3] = {text[2 * i], text[2 * i + 1], '\0'};
        ret[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return true;
}

kh_result kh_party_key(kh_engine *engine, const char *party, const char *key, const kh_result_sink *sink)
{
    kh_party_view view;
    kh_principal who;
    kh_op op = {.type = KH_OP_PARTY_KEY};
    if (key == NULL || !key_of(key, op.party_key.key))
        return kh_embed_fail(engine, KH_MISUSE,
                             "a public key is 128 hexadecimal digits, or none: `kanhe-key SUITE sign FILE` prints it");
    kh_result result = kh_embed_enter(engine, KH_WRITING, NULL, KH_DO_REGISTER, sink, &who);
    if (result != KH_DONE) return result;
    const kh_ledger *l = kh_store_read_begin(engine->store);
    bool found = kh_embed_party(engine, l, &who, party, &view);
    kh_store_read_end(engine->store);
    if (!found)
        return kh_embed_fail(engine, KH_MISUSE,
                             "there is no party \"%s\", or several are called so; `kanhe party list` shows their ids", party);
    op.party_key.id = view.id;
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "id", view.id);
    kh_row_text(&b, "key", key);
    return write_one(engine, &op, "only an enterprise has a key registered so", &b, "party", sink);
}

/* Lists are read row by row: the gate is free while a row is given. */

static void give_party(const kh_party_view *p, const kh_result_sink *sink)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "id", p->id);
    kh_row_text(&b, "role", kh_role_word(p->role));
    kh_row_text(&b, "name", p->name);
    kh_row_text(&b, "uscc", p->uscc[0] != '\0' ? p->uscc : NULL);
    kh_row_text(&b, "status", p->frozen ? "frozen" : "active");
    kh_row_give(&b, "party", sink);
}

/* next_seen walks on to the next party that the asker may see. */
static bool next_seen(kh_engine *e, const kh_principal *who, uint64_t *cursor, kh_party_view *ret)
{
    for (;;) {
        const kh_ledger *l = kh_store_read_begin(e->store);
        bool more = true, seen = false;
        for (uint32_t i = 0; i < PIECE && !seen && (more = kh_ledger_party_next(l, cursor, ret)); i++)
            seen = kh_access_may_see_party(who, ret->id, ret->role);
        kh_store_read_end(e->store);
        if (seen || !more) return seen;
    }
}

kh_result kh_party_list(kh_engine *engine, kh_page *page, const kh_result_sink *sink)
{
    kh_party_view p;
    kh_principal who;
    uint64_t after[KH_PAGE_NUMBERS], given = 0;
    kh_result result = kh_page_begin(engine, page, 1, after);
    if (result == KH_DONE) result = kh_embed_enter(engine, KH_READING, NULL, KH_ASK_REGISTER, sink, &who);
    if (result != KH_DONE) return result;
    for (uint64_t cursor = after[0]; next_seen(engine, &who, &cursor, &p); given++, after[0] = cursor) {
        if (kh_page_full(page, given)) {
            kh_page_more(page, 1, after);
            break;
        }
        give_party(&p, sink);
    }
    return KH_DONE;
}

kh_result kh_party_self(kh_engine *engine, const kh_result_sink *sink)
{
    kh_party_view p;
    if (engine->party == 0) return kh_embed_fail(engine, KH_MISUSE, "this is no party's handle");
    const kh_ledger *l = kh_store_read_begin(engine->store);
    bool known = kh_ledger_party(l, engine->party, &p);
    kh_store_read_end(engine->store);
    if (!known) return kh_embed_refuse(engine, KH_C_NOT_AUTHORISED, sink);
    give_party(&p, sink);
    return KH_DONE;
}

kh_result kh_rule_set(kh_engine *engine, const char *name, const char *value, const kh_result_sink *sink)
{
    kh_op op = {.type = KH_OP_RULE_SET, .rule_set = {.name = kh_text_of(name), .value = kh_text_of(value)}};
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_text(&b, "rule", name);
    kh_row_text(&b, "value", value);
    return write_one(engine, &op,
                     "there is no such rule, or it does not take this value; `kanhe rule list` shows names and values", &b,
                     "rule", sink);
}

kh_result kh_rule_list(kh_engine *engine, const kh_result_sink *sink)
{
    kh_principal who;
    kh_result result = kh_embed_enter(engine, KH_READING, NULL, KH_ASK_REGISTER, sink, &who);
    if (result != KH_DONE) return result;
    char name[KH_RULE_TEXT_MAX + 1], value[KH_RULE_TEXT_MAX + 1];
    bool is_default;
    uint64_t since;
    for (uint64_t cursor = 0;;) {
        const kh_ledger *l = kh_store_read_begin(engine->store);
        bool more = kh_ledger_rule_next(l, &cursor, name, value, &is_default, &since);
        kh_store_read_end(engine->store);
        if (!more) return KH_DONE;
        kh_row_builder b;
        kh_row_begin(&b);
        kh_row_text(&b, "rule", name);
        kh_row_text(&b, "value", value);
        kh_row_bool(&b, "default", is_default);
        kh_row_number(&b, "since", since);
        kh_row_give(&b, "rule", sink);
    }
}

kh_result kh_rate_set(kh_engine *engine, const char *from, const char *to, const char *value, const char *date,
                      const char *source, const kh_result_sink *sink)
{
    kh_op op = {.type = KH_OP_RATE_SET};
    kh_op_rate_set *r = &op.rate_set;
    if (!kh_currency_of_text(kh_text_of(from), &r->from))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no ISO 4217 currency", from);
    if (!kh_currency_of_text(kh_text_of(to), &r->to) || r->to == r->from)
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no other ISO 4217 currency", to);
    if (!kh_rate_parse(kh_text_of(value), &r->rate))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no rate: an exact decimal above 0, at most 18 digits", value);
    if (!kh_date_parse(kh_text_of(date), &r->date) || r->date == 0)
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no date (2026-11-24)", date);
    r->source = kh_text_of(source);
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_text(&b, "from", kh_currency_alpha(r->from));
    kh_row_text(&b, "to", kh_currency_alpha(r->to));
    kh_row_text(&b, "rate", value);
    kh_row_date(&b, "date", r->date);
    return write_one(engine, &op, "the rate was not taken", &b, "rate", sink);
}

kh_result kh_rate_list(kh_engine *engine, const kh_result_sink *sink)
{
    kh_principal who;
    kh_result result = kh_embed_enter(engine, KH_READING, NULL, KH_ASK_REGISTER, sink, &who);
    if (result != KH_DONE) return result;
    kh_op_rate_set r;
    for (uint64_t cursor = 0;;) {
        char value[40];
        kh_row_builder b;
        const kh_ledger *l = kh_store_read_begin(engine->store);
        bool more = kh_ledger_rate_next(l, &cursor, &r);
        if (more) { /* the source's text is lent by the state */
            kh_row_begin(&b);
            kh_row_text(&b, "from", kh_currency_alpha(r.from));
            kh_row_text(&b, "to", kh_currency_alpha(r.to));
            kh_row_text_n(&b, "rate", value, kh_rate_format(r.rate, value));
            kh_row_date(&b, "date", r.date);
            kh_row_text_n(&b, "source", r.source.p, r.source.n);
        }
        kh_store_read_end(engine->store);
        if (!more) return KH_DONE;
        kh_row_give(&b, "rate", sink);
    }
}
