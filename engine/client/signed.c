/* signed: calls of the API done by a signed operation: the request as any other, its operation encoded and signed here, and the
 * row that the hub would give. */
#include "client/signing.h"
#include "client/row.h"
#include "client/secret.h"
#include "crypto/digest.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FRAME_MAX = 2048, FIELDS_MAX = 12, GRANT_NAME_FIELDS = 2 };

typedef struct ask { /* one operation, and its row */
    kh_client *c;
    const json_t *body;
    const char *word; /* of the path, undone; "" none */
    kh_op op;
    kh_result_field fields[FIELDS_MAX];
    uint32_t field_cnt;
    const char *what; /* of the row */
    char scope[KH_SCOPE_WORDS_MAX];
    uint64_t height;
    kh_code code;
} ask;

static void number(ask *a, const char *name, uint64_t value)
{
    a->fields[a->field_cnt++] = (kh_result_field){.name = name, .type = KH_FIELD_NUMBER, .number = value};
}
static void text(ask *a, const char *name, const char *value)
{
    a->fields[a->field_cnt++] =
        (kh_result_field){.name = name, .type = value != NULL ? KH_FIELD_TEXT : KH_FIELD_NULL, .text = value};
}

static const char *said(const ask *a, const char *name) { return json_string_value(json_object_get(a->body, name)); }
static uint64_t number_said(const ask *a, const char *name)
{
    const json_t *of = json_object_get(a->body, name); /* a number, or a text of digits; anything else is 0 */
    const char *digits = json_string_value(of);
    if (digits == NULL) return json_integer_value(of) > 0 ? (uint64_t)json_integer_value(of) : 0;
    errno = 0;
    uint64_t value = strtoull(digits, NULL, 10);
    return digits[strspn(digits, "0123456789")] == '\0' && errno == 0 ? value : 0;
}

/* ---- who is named ---- */

typedef struct looked {
    const char *text;
    char uscc[KH_ISSUER_MAX + 1]; /* text as a USCC or foreign id; "": it is none */
    uint64_t id;
} looked;

static void look(void *ctx, const kh_result_row *row)
{
    looked *l = ctx;
    const kh_result_field *id = kh_row_field(row, "id"), *name = kh_row_field(row, "name"), *uscc = kh_row_field(row, "uscc");
    bool same = (name != NULL && name->type == KH_FIELD_TEXT && strcmp(name->text, l->text) == 0) ||
                (uscc != NULL && uscc->type == KH_FIELD_TEXT && l->uscc[0] != '\0' && strcmp(uscc->text, l->uscc) == 0);
    if (same && id != NULL && l->id == 0) l->id = id->number;
}

kh_result kh_signed_party(kh_client *c, const char *party, uint32_t *ret)
{
    looked l = {.text = party};
    const kh_result_sink sink = {.row = look, .ctx = &l};
    uint32_t n;
    if (kh_owner_canonical(kh_text_of(party), l.uscc, &n) == KH_C_FORMAT) l.uscc[0] = '\0';
    if (*party != '\0' && strspn(party, "0123456789") == strlen(party)) l.id = strtoull(party, NULL, 10);
    if (l.id == 0 || l.id > UINT32_MAX) { /* a USCC may be all digits */
        l.id = 0;
        kh_result result = kh_client_call(c, &(kh_client_request){.method = "GET", .path = "/v1/parties"}, &sink);
        if (result != KH_DONE) return result;
    }
    if (l.id == 0 || l.id > UINT32_MAX)
        return kh_client_say(c, KH_MISUSE, "there is no party \"%.100s\" that we may see: give its id", party);
    *ret = (uint32_t)l.id;
    return KH_DONE;
}

/* ---- operations ---- */

static kh_result party_add(ask *a)
{
    static _Thread_local char uscc[KH_ISSUER_MAX + 1];
    kh_role role;
    uint32_t n = 0;
    uint64_t id = number_said(a, "id");
    const char *name = said(a, "name"), *code = said(a, "uscc"), *word = said(a, "role");
    if (word == NULL || !kh_role_of_word(kh_text_of(word), &role))
        return kh_client_say(a->c, KH_MISUSE, "\"%.40s\" is no role: regulator, bank, enterprise or source",
                             word != NULL ? word : "");
    if (id == 0 || id > UINT32_MAX || name == NULL || *name == '\0')
        return kh_client_say(a->c, KH_MISUSE, "a party has an id from 1 on and a name");
    kh_code fits = code != NULL && *code != '\0' ? kh_owner_canonical(kh_text_of(code), uscc, &n) : KH_C_OK;
    if (fits == KH_C_FORMAT)
        return kh_client_say(a->c, KH_MISUSE, "\"%.60s\" is neither a USCC nor a foreign id of letters and digits", code);
    a->op.type = KH_OP_PARTY_ADD;
    a->op.party_add = (kh_op_party_add){.id = (uint32_t)id, .role = (uint8_t)role, .name = kh_text_of(name), .uscc = {uscc, n}};
    a->what = "party";
    number(a, "id", id);
    text(a, "role", word);
    text(a, "party", name);
    if (fits == KH_C_CHECK_DIGIT) text(a, "warning", "CHECK_DIGIT");
    return KH_DONE;
}

static kh_result freeze(ask *a, bool frozen)
{
    a->op.type = KH_OP_PARTY_STATUS;
    a->op.party_status.frozen = frozen;
    a->what = "party";
    kh_result result = kh_signed_party(a->c, a->word, &a->op.party_status.id);
    if (result == KH_DONE && frozen && a->op.party_status.id == a->c->signing->party)
        return kh_client_say(a->c, KH_MISUSE, "a party does not freeze itself: it could not lift that again");
    number(a, "id", a->op.party_status.id);
    a->fields[a->field_cnt++] = (kh_result_field){.name = "frozen", .type = KH_FIELD_BOOL, .number = frozen};
    return result;
}
static kh_result party_freeze(ask *a) { return freeze(a, true); }
static kh_result party_unfreeze(ask *a) { return freeze(a, false); }

static kh_result party_key(ask *a)
{
    const char *key = said(a, "key");
    a->op.type = KH_OP_PARTY_KEY;
    a->what = "party";
    if (key == NULL || (strcmp(key, "none") != 0 && !kh_hex_read(key, strlen(key), a->op.party_key.key, KH_PARTY_KEY_SZ)))
        return kh_client_say(a->c, KH_MISUSE,
                             "a public key is 128 hexadecimal digits, or none: `kanhe-key SUITE sign FILE` prints it");
    kh_result result = kh_signed_party(a->c, a->word, &a->op.party_key.id);
    number(a, "id", a->op.party_key.id);
    text(a, "key", key);
    return result;
}

/* Whose grant it is: as said, else the enterprise that signs. */
static kh_result enterprise_of(ask *a, uint32_t *ret)
{
    const char *enterprise = said(a, "enterprise");
    *ret = a->c->signing->party;
    if (enterprise != NULL) return kh_signed_party(a->c, enterprise, ret);
    return a->c->signing->role == KH_ROLE_ENTERPRISE ? KH_DONE : kh_client_say(a->c, KH_MISUSE, "say whose grant: --enterprise");
}

static const char *moment(const char *date) { return date != NULL && *date != '\0' ? date : NULL; }

static kh_result grant_add(ask *a)
{
    kh_op_grant *g = &a->op.grant;
    const char *scope = said(a, "scope"), *bank = said(a, "bank"), *from = moment(said(a, "from")),
               *until = moment(said(a, "until"));
    a->op.type = KH_OP_GRANT;
    a->what = "grant";
    g->id = number_said(a, "id");
    if (scope == NULL || !kh_scope_of_words(kh_text_of(scope), &g->scope))
        return kh_client_say(a->c, KH_MISUSE, "\"%.40s\" is no scope (授权范围): documents, credit, or both with a comma between",
                             scope != NULL ? scope : "");
    const char *wrong = kh_grant_period(kh_text_of(from), kh_text_of(until), &g->from_ns, &g->until_ns);
    if (wrong != NULL) return kh_client_say(a->c, KH_MISUSE, "%s", wrong);
    if (bank == NULL) return kh_client_say(a->c, KH_MISUSE, "which bank may look?");
    kh_result result = enterprise_of(a, &g->enterprise);
    if (result == KH_DONE) result = kh_signed_party(a->c, bank, &g->bank);
    if (result != KH_DONE) return result;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * KH_NS_PER_S;
    kh_scope_words(g->scope, a->scope);
    number(a, "enterprise", g->enterprise);
    number(a, "id", g->id);
    number(a, "bank", g->bank);
    a->fields[a->field_cnt++] = (kh_result_field){.name = "scope", .type = KH_FIELD_WORDS, .text = a->scope};
    text(a, "from", from);
    text(a, "until", until);
    text(a, "state", now_ns < g->from_ns ? "not_begun" : now_ns > g->until_ns ? "expired" : "open");
    return KH_DONE;
}

static kh_result grant_revoke(ask *a)
{
    kh_op_grant_revoke *g = &a->op.grant_revoke;
    char *end = NULL;
    a->op.type = KH_OP_GRANT_REVOKE;
    a->what = "grant";
    g->id = strtoull(a->word, &end, 10);
    if (*a->word < '0' || *a->word > '9' || *end != '\0')
        return kh_client_say(a->c, KH_MISUSE, "which grant? give the enterprise's number of it");
    kh_result result = enterprise_of(a, &g->enterprise);
    number(a, "enterprise", g->enterprise);
    number(a, "id", g->id);
    text(a, "state", "revoked");
    return result;
}

static kh_result risk_remove(ask *a)
{
    static _Thread_local char subject[KH_RISK_SUBJECT_MAX + 1];
    const char *who = said(a, "subject"), *category = said(a, "category"), *of = said(a, "of");
    uint32_t n = 0;
    kh_risk risk;
    a->op.type = KH_OP_RISK_REMOVE;
    a->what = "risk";
    if (who == NULL || kh_risk_canonical(kh_text_of(who), subject, &n) != KH_C_OK)
        return kh_client_say(a->c, KH_MISUSE, "\"%.80s\" is no subject (名单主体): a USCC, a foreign id or an account",
                             who != NULL ? who : "");
    if (!kh_risk_of_word(kh_text_of(category), &risk))
        return kh_client_say(a->c, KH_MISUSE,
                             "\"%.40s\" is no category (类别): fraud high_risk_account forged_document default other",
                             category != NULL ? category : "");
    a->op.risk_remove.subject = kh_risk_subject((kh_text){subject, n});
    a->op.risk_remove.category = (uint8_t)risk;
    text(a, "subject", subject);
    text(a, "category", kh_risk_word(risk));
    return of != NULL ? kh_signed_party(a->c, of, &a->op.risk_remove.contributor) : KH_DONE;
}

/* {} stands for one word of the path. */
static const struct {
    const char *before, *behind;
    kh_result (*encode)(ask *a);
} calls[] = {
    {"/v1/parties", NULL, party_add},
    {"/v1/parties/", "/freeze", party_freeze},
    {"/v1/parties/", "/unfreeze", party_unfreeze},
    {"/v1/parties/", "/key", party_key},
    {"/v1/grants", NULL, grant_add},
    {"/v1/grants/", "/revoke", grant_revoke},
    {"/v1/risk/remove", NULL, risk_remove},
};
#define CALL_CNT (sizeof calls / sizeof calls[0])

static bool fits(const char *path, size_t i, size_t *ret_word_n)
{
    size_t n = strlen(calls[i].before), all = strlen(path);
    *ret_word_n = 0;
    if (calls[i].behind == NULL) return strcmp(path, calls[i].before) == 0;
    size_t m = strlen(calls[i].behind);
    if (all <= n + m || strncmp(path, calls[i].before, n) != 0 || strcmp(path + all - m, calls[i].behind) != 0) return false;
    *ret_word_n = all - n - m;
    return memchr(path + n, '/', *ret_word_n) == NULL;
}

static bool is_import(const kh_client_request *q) { return strcmp(q->path, "/v1/documents") == 0 && q->file != NULL; }

bool kh_signed_takes(const kh_client_request *q)
{
    size_t word_n;
    if (strcmp(q->method, "POST") != 0) return false;
    for (size_t i = 0; i < CALL_CNT; i++)
        if (q->file == NULL && fits(q->path, i, &word_n)) return true;
    return is_import(q);
}

/* A word of a path as kh_client_escape wrote it. */
static bool unescape(const char *p, size_t n, char *ret, size_t cap)
{
    for (size_t i = 0; i < n; cap--) {
        uint8_t byte = (uint8_t)p[i];
        if (cap < 2) return false;
        if (p[i] == '%') {
            unsigned value;
            if (n - i < 3 || sscanf(p + i + 1, "%2x", &value) != 1) return false;
            byte = (uint8_t)value;
        }
        i += p[i] == '%' ? 3 : 1;
        *ret++ = (char)byte;
    }
    *ret = '\0';
    return true;
}

static void on_receipt(void *ctx, uint32_t i, uint64_t height, const kh_receipt *receipt)
{
    ask *a = ctx;
    (void)i;
    a->height = height;
    a->code = receipt->code;
}

static kh_result sign_and_send(ask *a, const kh_result_sink *sink)
{
    uint8_t frame[FRAME_MAX];
    size_t n = 0;
    a->op.party = a->c->signing->party;
    if (kh_op_encode(&a->op, frame, sizeof frame, &n) != KH_OK)
        return kh_client_say(a->c, KH_MISUSE, "a value is out of its range (a text too long, or a number too large)");
    kh_result result = kh_signing_send(a->c, frame, n, 1, on_receipt, a);
    if (result != KH_DONE) return result;
    if (a->code != KH_C_OK && strcmp(a->what, "grant") == 0) a->field_cnt = GRANT_NAME_FIELDS; /* what it would be it is not */
    number(a, "code", a->code);
    text(a, "name", kh_code_name(a->code));
    number(a, "height", a->height);
    sink->row(sink->ctx, &(kh_result_row){a->what, a->fields, a->field_cnt});
    return a->code == KH_C_OK ? KH_DONE
                              : kh_client_say(a->c, KH_DONE_NOT_OK, "%s (%s)", kh_code_name(a->code), kh_code_term_zh(a->code));
}

kh_result kh_signed_call(kh_client *c, const kh_client_request *q, const kh_result_sink *sink)
{
    char word[1024] = "";
    size_t word_n = 0, i = 0;
    ask a = {.c = c, .word = word};
    kh_result result;
    if (is_import(q)) return kh_signed_import(c, q, sink);
    while (i + 1 < CALL_CNT && !fits(q->path, i, &word_n)) i++;
    if (!fits(q->path, i, &word_n) || !unescape(q->path + strlen(calls[i].before), word_n, word, sizeof word))
        return kh_client_say(c, KH_MISUSE, "what is asked is longer than a hub takes");
    json_t *body = json_loads(q->json != NULL ? q->json : "{}", JSON_REJECT_DUPLICATES, NULL);
    a.body = body;
    result = json_is_object(body) ? calls[i].encode(&a) : kh_client_say(c, KH_MISUSE, "the request is no JSON object");
    if (result == KH_DONE) result = sign_and_send(&a, sink);
    json_decref(body);
    return result;
}
