/* names: parties and papers as users write them. */
#include "doc/fold.h"
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

static bool id_of(const char *text, uint32_t *ret)
{
    char *end;
    unsigned long long id = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (id == 0 || *end != '\0' || id > UINT32_MAX) return false;
    *ret = (uint32_t)id;
    return true;
}

bool kh_embed_party(const kh_engine *e, const kh_ledger *l, const kh_principal *who, const char *text, kh_party_view *ret)
{
    uint32_t id, n;
    char uscc[KH_ISSUER_MAX + 1];
    if (id_of(text, &id) && kh_ledger_party(l, id, ret)) return true;
    kh_code code =
        kh_owner_canonical(kh_text_of(text), uscc, &n); /* before names: those are searched one by one, and anybody's */
    if ((code == KH_C_OK || code == KH_C_CHECK_DIGIT) && kh_ledger_party_by_uscc(l, (kh_text){uscc, n}, ret)) return true;
    return kh_ledger_party_by_name(l, kh_text_of(text), ret) &&
           (e->party == 0 || kh_access_may_see_party(who, ret->id, ret->role));
}

uint32_t kh_embed_party_id(const kh_engine *e, const kh_ledger *l, const kh_principal *who, const char *text)
{
    kh_party_view party;
    uint32_t id;
    if (kh_embed_party(e, l, who, text, &party)) return party.id;
    return id_of(text, &id) ? id : KH_NOBODY;
}

kh_result kh_embed_principal(kh_engine *e, const kh_ledger *l, const char *as, kh_ask ask, kh_principal *ret, kh_code *ret_code)
{
    kh_principal who = {.party = 0, .role = KH_ROLE_REGULATOR};
    kh_party_view party;
    if (e->party != 0) { /* a party that is not registered has no role, and may nothing */
        bool known = kh_ledger_party(l, e->party, &party);
        *ret = known ? (kh_principal){party.id, party.role, party.frozen} : (kh_principal){.party = e->party};
        bool another = as != NULL && (!kh_embed_party(e, l, ret, as, &party) || party.id != e->party);
        *ret_code = another ? KH_C_NOT_AUTHORISED : kh_access_ask(ret, ask);
        return KH_DONE;
    }
    if (as != NULL) {
        if (!kh_embed_party(e, l, &who, as, &party))
            return kh_embed_fail(e, KH_MISUSE,
                                 "there is no party \"%s\", or several are called so; `kanhe party list` shows their ids", as);
        who = (kh_principal){party.id, party.role, party.frozen};
    }
    *ret = who;
    *ret_code = kh_access_ask(&who, ask);
    return KH_DONE;
}

kh_result kh_embed_refuse(kh_engine *e, kh_code code, const kh_result_sink *sink)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_code(&b, code);
    kh_row_give(&b, "refused", sink);
    return kh_embed_fail(e, KH_DONE_NOT_OK, "%s: %s", kh_code_name(code),
                         code == KH_C_FROZEN        ? "this party is frozen (已冻结)"
                         : code == KH_C_NOT_CHECKED ? "no hub can be asked now (暂不可查)"
                                                    : "a party of this role may not ask or do this (无权操作)");
}

bool kh_embed_is_elsewhere(const kh_engine *e, const kh_principal *who)
{
    return kh_viewed(e) && who->role == KH_ROLE_BANK && who->party != kh_viewed_party(e);
}

kh_result kh_embed_enter(kh_engine *e, int mode, const char *as, kh_ask ask, const kh_result_sink *sink, kh_principal *ret)
{
    kh_code code;
    kh_result result = kh_embed_open(e, mode);
    if (result != KH_DONE) return result;
    const kh_ledger *l = kh_store_read_begin(e->store);
    result = kh_embed_principal(e, l, as, ask, ret, &code);
    kh_store_read_end(e->store);
    bool of_hubs = ask == KH_ASK_GRANT || ask == KH_ASK_CREDIT || ask == KH_DO_GRANT || ask == KH_DO_IMPORT;
    if (kh_viewed(e) && code == KH_C_OK && of_hubs) code = KH_C_NOT_CHECKED;
    if (result == KH_DONE && (ask == KH_DO_FINANCE || ask == KH_DO_RISK) && kh_embed_is_elsewhere(e, ret))
        code = KH_C_NOT_AUTHORISED;
    if (result != KH_DONE || code == KH_C_OK) return result;
    return kh_embed_refuse(e, code, sink);
}

void kh_embed_owner(const kh_engine *e, const kh_ledger *l, const kh_principal *who, const char *text,
                    char ret[KH_ISSUER_MAX + 1])
{
    kh_party_view party;
    uint32_t n, id;
    if (kh_viewed(e) && id_of(text, &id)) ret[0] = '\0'; /* a bank's node does not know whose id it is */
    else if (kh_embed_party(e, l, who, text, &party)) (void)snprintf(ret, KH_ISSUER_MAX + 1, "%s", party.uscc);
    else if (kh_owner_canonical(kh_text_of(text), ret, &n) == KH_C_FORMAT) ret[0] = '\0';
}

void kh_embed_log_lookup(kh_engine *e, const kh_principal *who, const char *question, const char *subject)
{
    char line[900];
    if (kh_viewed(e)) return; /* nothing is told here, and a bank's node has nothing of its bank in the clear on disk */
    if (who->party == 0 || who->role != KH_ROLE_REGULATOR) return;
    (void)snprintf(line, sizeof line, "party %u %s %s", who->party, question, subject);
    kh_err err = kh_store_lookup_log(e->store, line);
    if (err != KH_OK) (void)kh_embed_environment(e, err, "write down the regulator's look-up");
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* unescape turns %XX into its byte. */
static bool unescape(const char *p, size_t n, char *ret, size_t cap, uint32_t *ret_n)
{
    uint32_t out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == '%') {
            int high = i + 2 < n ? hex_of(p[i + 1]) : -1, low = i + 2 < n ? hex_of(p[i + 2]) : -1;
            if (high < 0 || low < 0 || high * 16 + low == 0) return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (out + 1 >= cap) return false;
        ret[out++] = c;
    }
    ret[out] = '\0';
    *ret_n = out;
    return true;
}

bool kh_embed_paper_of(kh_kind kind, kh_text number, kh_text issuer, kh_text owner, kh_paper_name *ret)
{
    kh_paper_name p = {.kind = kind};
    uint32_t n, issuer_n = 0;
    p.code = kh_number_canonical(kind, number, (kh_text){0}, p.number, &n);
    if (p.code != KH_C_OK && p.code != KH_C_CHECK_DIGIT) {
        n = number.n < KH_NUMBER_MAX ? number.n : KH_NUMBER_MAX;
        if (n > 0) memcpy(p.number, number.p, n);
        p.number[n] = '\0';
        kh_utf8_whole(p.number);
        n = (uint32_t)strlen(p.number);
        p.code = KH_C_FORMAT;
        p.key = kh_doc_key(kind, (kh_text){p.number, n}, issuer.n <= KH_ISSUER_MAX ? issuer : (kh_text){0});
        *ret = p;
        return false;
    }
    kh_code code = kh_issuer_of_columns(kind, (kh_text){p.number, n}, issuer, owner, p.issuer, &issuer_n);
    if (code != KH_C_OK && code != KH_C_CHECK_DIGIT) {
        p.code = KH_C_FORMAT;
        p.key = kh_doc_key(kind, (kh_text){p.number, n}, (kh_text){0});
        *ret = p;
        return false;
    }
    p.issuer_by_owner = issuer.n == 0 && issuer_n != 0;
    p.key = kh_doc_key(kind, (kh_text){p.number, n}, (kh_text){p.issuer, issuer_n});
    *ret = p;
    return true;
}

bool kh_embed_paper(const char *text, const char *issuer, const char *owner, kh_paper_name *ret, char *why, size_t cap)
{
    const char *colon = strchr(text, ':');
    kh_kind kind;
    if (colon == NULL || !kh_kind_of_word((kh_text){text, (uint32_t)(colon - text)}, &kind)) {
        (void)snprintf(why, cap, "\"%.100s\": a paper is named KIND:NUMBER[@ISSUER], e.g. export_declaration:310120260123456789",
                       text);
        return false;
    }
    const char *p = colon + 1, *equals = strchr(p, '='), *end = equals != NULL ? equals : p + strlen(p);
    const char *at = memchr(p, '@', (size_t)(end - p)), *slash = NULL;
    /* the currency stands behind the last slash, if it is one; a slash inside the number is written %2F */
    for (const char *s = end; s > p; s--)
        if (s[-1] == '/') {
            slash = s - 1;
            break;
        }
    const char *issuer_end = slash != NULL ? slash : end, *number_end = at != NULL ? at : issuer_end;
    char number[3 * KH_NUMBER_MAX], who[3 * KH_ISSUER_MAX];
    uint32_t number_n = 0, who_n = 0;
    kh_currency currency = 0;
    bool sound = unescape(p, (size_t)(number_end - p), number, sizeof number, &number_n);
    if (sound && at != NULL) sound = at < issuer_end && unescape(at + 1, (size_t)(issuer_end - at - 1), who, sizeof who, &who_n);
    if (sound && slash != NULL) sound = kh_currency_of_text((kh_text){slash + 1, (uint32_t)(end - slash - 1)}, &currency);
    if (sound && equals != NULL) sound = strlen(equals + 1) <= KH_AMOUNT_TEXT_MAX;
    if (!sound) {
        (void)snprintf(
            why, cap,
            "\"%.100s\": a paper is named KIND:NUMBER[@ISSUER][/CUR][=AMOUNT]; the characters %% @ / = inside are written %%XX",
            text);
        return false;
    }
    kh_text issuer_text = who_n > 0 ? (kh_text){who, who_n} : kh_text_of(issuer);
    (void)kh_embed_paper_of(kind, (kh_text){number, number_n}, issuer_text, kh_text_of(owner), ret);
    ret->currency = currency;
    if (equals != NULL) strcpy(ret->amount, equals + 1);
    return true;
}
