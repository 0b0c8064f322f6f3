/* remote: see remote.h. The table says which call a command is; a new command is one line of it. */
#include "remote.h"
#include "print_csv.h"
#include "remote_json.h"
#include "remote_load.h"
#include "remote_prove.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELDS_MAX 16

/* A call. {N} in the path is the command's N-th word. fields: NAME=FROM between blanks, FROM an option or the number of a word;
 * they are the query's parameters for GET and where a file is sent, else fields of the JSON body; @ is all the words, a list.
 * Behind NAME: # a number, ? a flag, * a list of texts. Behind FROM: ! it must be given, :X is meant where it is not. file: where
 * the file's path comes from: an option, "1", or "*": every word is a file. */
typedef struct call {
    const char *command, *method, *path, *fields, *file;
    const char *together; /* of a file: the columns that hold lines together; "": any line stands alone, and nothing changes */
    const char *words;    /* what to say where words are missing or too many */
} call;

#define PAPER "document=1 issuer=--issuer owner=--owner amount=--amount attested?=--attested"
#define WHICH_PAPER "which document? KIND:NUMBER, e.g. export_declaration:310120260123456789"
#define WHICH_FINANCING "which financing? give the bank's number"
#define EVENT(word)                                                                                                              \
    {                                                                                                                            \
        "finance " word, "POST", "/v1/financings/{1}/" word,                                                                     \
            "amount=--amount source=--source reason=--reason expect=--expect allot*=--allot", NULL, NULL, WHICH_FINANCING        \
    }

static const call calls[] = {
    {"party add", "POST", "/v1/parties", "id#=--id! role=--role! name=--name! uscc=--uscc", NULL, NULL, NULL},
    {"party list", "GET", "/v1/parties", "", NULL, NULL, NULL},
    {"party freeze", "POST", "/v1/parties/{1}/freeze", "", NULL, NULL, "which party? give its id or name"},
    {"party unfreeze", "POST", "/v1/parties/{1}/unfreeze", "", NULL, NULL, "which party? give its id or name"},
    {"party key", "POST", "/v1/parties/{1}/key", "key=--public!", NULL, NULL, "which party? give its id or name"},
    {"rule set", "PUT", "/v1/rules/{1}", "value=2", NULL, NULL, "a rule is set by NAME VALUE"},
    {"rule list", "GET", "/v1/rules", "", NULL, NULL, NULL},
    {"rate set", "POST", "/v1/rates", "from=1 to=2 value=3 date=--date! source=--source!", NULL, NULL,
     "a rate is set by FROM TO VALUE: 1 FROM = VALUE TO"},
    {"rate list", "GET", "/v1/rates", "", NULL, NULL, NULL},
    {"import", "POST", "/v1/documents", "format=--format kind=--kind source=--source force?=--force", "*",
     "kind number issuer_id invoice_code", "import which files?"},
    {"show", "POST", "/v1/show", "format=--format kind=--kind", "1", "kind number issuer_id invoice_code", "show which file?"},
    {"verify", "POST", "/v1/verify", "attested?=--attested", "1", "", "verify which file?"},
    {"balance", "GET", "/v1/balance", PAPER, NULL, NULL, WHICH_PAPER},
    {"history", "GET", "/v1/history", PAPER, NULL, NULL, WHICH_PAPER},
    {"alerts", "GET", "/v1/alerts", "", NULL, NULL, NULL},
    {"finance apply", "POST", "/v1/financings/file", "allow_partial?=--allow-partial", "--file", "id", NULL},
    {"finance apply", "POST", "/v1/financings",
     "id#=--id! enterprise=--enterprise! product=--product! amount=--amount! currency=--currency! allow_partial?=--allow-partial "
     "documents*=--doc!",
     NULL, NULL, NULL},
    EVENT("accept"),
    EVENT("approve"),
    EVENT("reject"),
    EVENT("withdraw"),
    EVENT("disburse"),
    EVENT("repay"),
    EVENT("reverse"),
    {"finance events", "POST", "/v1/financings/events", "", "--file", "id", NULL},
    {"finance show", "GET", "/v1/financings/{1}", "", NULL, NULL, WHICH_FINANCING},
    {"finance list", "GET", "/v1/financings", "state=--state", NULL, NULL, NULL},
    {"grant add", "POST", "/v1/grants",
     "id#=--id! bank=--bank! scope=--scope! from=--from until=--until! enterprise=--enterprise", NULL, NULL, NULL},
    {"grant revoke", "POST", "/v1/grants/{1}/revoke", "enterprise=--enterprise", NULL, NULL,
     "which grant? give the enterprise's number of it"},
    {"grant list", "GET", "/v1/grants", "attested?=--attested", NULL, NULL, NULL},
    {"grant lookups", "GET", "/v1/grants/lookups", "attested?=--attested", NULL, NULL, NULL},
    {"credit", "GET", "/v1/credit",
     "enterprise=1 grant#=--grant scope=--scope after=--after limit#=--limit:1000 attested?=--attested", NULL, NULL,
     "which enterprise? give its id or USCC"},
    {"risk add", "POST", "/v1/risk", "subject=1 category=--category!", NULL, NULL,
     "which subject? a USCC, a foreign id or an account number"},
    {"risk remove", "POST", "/v1/risk/remove", "subject=1 category=--category! of=--of", NULL, NULL,
     "which subject? a USCC, a foreign id or an account number"},
    {"risk ask", "POST", "/v1/risk/ask", "subjects*=@", NULL, NULL, "which subjects?"},
    {"risk account", "GET", "/v1/risk/account", "attested?=--attested", NULL, NULL, NULL},
    {"stats", "GET", "/v1/stats", "", NULL, NULL, NULL},
    {"audit", "GET", "/v1/audit", "height#=--height", NULL, NULL, NULL},
    {"prove", "GET", "/v1/financings/{1}/receipt", "", NULL, NULL, WHICH_FINANCING},
    {"snapshot", "POST", "/v1/snapshot", "", NULL, NULL, NULL},
};

/* ---- what stands on the command line, as the call's parts ---- */

typedef struct field {
    char name[40], from[40], otherwise[16];
    char type; /* 0 # ? * */
    bool needed;
} field;

static uint32_t fields_of(const char *text, field ret[FIELDS_MAX])
{
    uint32_t n = 0;
    while (*text != '\0' && n < FIELDS_MAX) {
        field *f = &ret[n++];
        size_t equals = strcspn(text, "="), end = strcspn(text, " ");
        char last = text[equals - 1];
        f->type = strchr("#?*", last) != NULL ? last : '\0';
        (void)snprintf(f->name, sizeof f->name, "%.*s", (int)(equals - (f->type != '\0')), text);
        f->needed = text[end - 1] == '!';
        (void)snprintf(f->from, sizeof f->from, "%.*s", (int)(end - equals - 1 - f->needed), text + equals + 1);
        char *colon = strchr(f->from, ':');
        if (colon != NULL) {
            (void)snprintf(f->otherwise, sizeof f->otherwise, "%.15s", colon + 1);
            *colon = '\0';
        }
        text += end + strspn(text + end, " ");
    }
    return n;
}

static const char *value_of(const command_context *c, const char *from)
{
    if (from[0] == '-') return args_get(c->given, from);
    if (from[0] == '@') return NULL;
    size_t number = (size_t)(from[0] - '0');
    return number <= c->word_cnt ? c->words[number - 1] : NULL;
}

static const char *said(const command_context *c, const field *f)
{
    const char *value = value_of(c, f->from);
    return value == NULL && f->otherwise[0] != '\0' ? f->otherwise : value;
}

static const call *call_of(const command_context *c, const char *name)
{
    const call *found = NULL;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0] && found == NULL; i++) {
        bool by_file = calls[i].file != NULL && calls[i].file[0] == '-';
        bool other = i + 1 < sizeof calls / sizeof calls[0] && strcmp(calls[i + 1].command, name) == 0;
        if (strcmp(calls[i].command, name) == 0 && !(by_file && other && !args_has(c->given, calls[i].file))) found = &calls[i];
    }
    return found;
}

/* words_of: how many words a call takes; many: SIZE_MAX. */
static size_t words_of(const call *k, const field fields[], uint32_t n)
{
    size_t most = 0;
    if ((k->file != NULL && k->file[0] == '*') || (n > 0 && fields[0].from[0] == '@')) return SIZE_MAX;
    if (k->file != NULL && k->file[0] == '1') most = 1;
    for (const char *p = k->path; (p = strchr(p, '{')) != NULL; p++)
        if ((size_t)(p[1] - '0') > most) most = (size_t)(p[1] - '0');
    for (uint32_t i = 0; i < n; i++)
        if (fields[i].from[0] != '-' && (size_t)(fields[i].from[0] - '0') > most) most = (size_t)(fields[i].from[0] - '0');
    return most;
}

static kh_result check(command_context *c, const call *k, const field fields[], uint32_t n)
{
    size_t words = words_of(k, fields, n);
    uint64_t number;
    if (words == SIZE_MAX ? c->word_cnt == 0 : c->word_cnt < words || (words > 0 && c->word_cnt > words))
        return command_usage(c, "%s", k->words);
    for (uint32_t i = 0; i < n; i++) {
        const char *value = value_of(c, fields[i].from);
        if (fields[i].needed && !args_has(c->given, fields[i].from)) return command_usage(c, "%s is missing", fields[i].from);
        if (fields[i].type == '#' && value != NULL && !args_number(value, &number))
            return command_usage(c, "%s %s: a whole number is meant", fields[i].from, value);
    }
    if (k->file != NULL && k->file[0] == '-' && args_get(c->given, k->file) == NULL)
        return command_usage(c, "%s is missing", k->file);
    return KH_DONE;
}

static bool path_of(const command_context *c, const remote_library *l, const char *path, char *ret, size_t cap)
{
    size_t at = 0;
    for (; *path != '\0'; path++) {
        if (at + 1 >= cap) return false;
        if (*path != '{') {
            ret[at++] = *path;
            ret[at] = '\0';
            continue;
        }
        if (!l->escape(c->words[path[1] - '1'], ret + at, cap - at)) return false;
        at += strlen(ret + at);
        path += 2;
    }
    return true;
}

static char *body_of(const command_context *c, const field fields[], uint32_t n)
{
    remote_json *json = remote_json_begin();
    for (uint32_t i = 0; i < n; i++) {
        const char *value = value_of(c, fields[i].from);
        if (fields[i].type == '*') {
            uint32_t cnt = (uint32_t)c->word_cnt;
            const char **all = fields[i].from[0] == '@' ? NULL : args_all(c->given, fields[i].from, &cnt);
            if (cnt > 0) remote_json_list(json, fields[i].name, all != NULL ? all : (const char **)c->words, cnt);
            free(all);
        } else if (fields[i].type == '?') {
            if (args_has(c->given, fields[i].from)) remote_json_raw(json, fields[i].name, "true");
        } else if (value != NULL) {
            /* a number of JSON ends at 2^63 - 1 here: a longer one is a text of digits */
            const char *digits = value + strspn(value, "0") - (value[strspn(value, "0")] == '\0');
            if (fields[i].type == '#' && strlen(digits) < 19) remote_json_raw(json, fields[i].name, digits);
            else if (fields[i].type == '#') remote_json_text(json, fields[i].name, digits);
            else remote_json_text(json, fields[i].name, value);
        }
    }
    return remote_json_end(json);
}

static uint32_t query_of(const command_context *c, const field fields[], uint32_t n, kh_client_param ret[FIELDS_MAX])
{
    for (uint32_t i = 0; i < n; i++) {
        bool flag = fields[i].type == '?';
        ret[i] = (kh_client_param){fields[i].name, !flag                                ? said(c, &fields[i])
                                                   : args_has(c->given, fields[i].from) ? "true"
                                                                                        : NULL};
    }
    return n;
}

/* ---- asking ---- */

/* with_refusals imports a file; what was refused is written beside it. */
static kh_result with_refusals(command_context *c, const remote_library *l, kh_client *client, const kh_client_request *request)
{
    csv_out refused;
    csv_refused_begin(&refused, request->file, c->sink);
    kh_result result = l->call(client, request, &refused.sink);
    csv_refused_end(&refused, result, l->message(client), c->message, sizeof c->message);
    return result;
}

/* with_verdicts asks for a file's verdicts and writes them to `out` too. */
static kh_result with_verdicts(command_context *c, const remote_library *l, kh_client *client, const kh_client_request *request,
                               const char *out)
{
    csv_out verdicts;
    if (!csv_verdicts_begin(&verdicts, request->file, out, c->sink)) return command_usage(c, "%s", verdicts.why);
    kh_result result = l->call(client, request, &verdicts.sink);
    if (csv_verdicts_end(&verdicts, result)) return result;
    (void)snprintf(c->message, sizeof c->message, "%s", verdicts.why);
    return KH_FAILED;
}

static kh_result ask_files(command_context *c, const remote_library *l, kh_client *client, const call *k,
                           kh_client_request *request)
{
    bool many = k->file[0] == '*';
    const char *out = args_get(c->given, "-o");
    kh_result worst = KH_DONE;
    request->changes = k->together[0] != '\0' && strcmp(k->command, "show") != 0;
    request->together = k->together[0] != '\0' ? k->together : NULL;
    for (size_t i = 0; i < (many ? c->word_cnt : 1) && worst != KH_FAILED; i++) {
        request->file = many ? c->words[i] : value_of(c, k->file);
        kh_result result = many          ? with_refusals(c, l, client, request)
                           : out != NULL ? with_verdicts(c, l, client, request, out)
                                         : l->call(client, request, c->sink);
        if (result > worst) worst = result;
    }
    return worst;
}

static kh_result ask(command_context *c, const remote_library *l, kh_client *client, const call *k, const field fields[],
                     uint32_t n)
{
    char path[1200];
    kh_client_param query[FIELDS_MAX];
    kh_client_request request = {.method = k->method, .path = path};
    bool in_query = k->file != NULL || strcmp(k->method, "GET") == 0;
    if (!path_of(c, l, k->path, path, sizeof path)) return command_usage(c, "a word is too long");
    if (in_query) {
        request.query = query;
        request.query_cnt = query_of(c, fields, n, query);
    }
    if (k->file != NULL) return ask_files(c, l, client, k, &request);
    char *body = in_query || fields_of(k->fields, (field[FIELDS_MAX]){0}) == 0 ? NULL : body_of(c, fields, n);
    request.json = body != NULL ? body : in_query ? NULL : "{}";
    kh_result result = l->call(client, &request, c->sink);
    free(body);
    return result;
}

/* not_mine refuses what is asked in another party's name, as the embedded engine does for a party's handle. */
static kh_result not_mine(command_context *c, const char *as)
{
    const kh_result_field fields[] = {{.name = "code", .type = KH_FIELD_NUMBER, .number = 70},
                                      {.name = "name", .type = KH_FIELD_TEXT, .text = "NOT_AUTHORISED"}};
    c->sink->row(c->sink->ctx, &(kh_result_row){"refused", fields, 2});
    (void)snprintf(c->message, sizeof c->message, "NOT_AUTHORISED: the certificate is not that of %s: leave --as out (无权操作)",
                   as);
    return KH_DONE_NOT_OK;
}

kh_result remote_run(command_context *c, const char *name, const kh_client_options *options)
{
    field fields[FIELDS_MAX] = {0};
    const call *k = call_of(c, name);
    if (k == NULL) return command_usage(c, "%s is not done by a hub: leave --connect out", name);
    uint32_t n = fields_of(k->fields, fields);
    kh_result result = check(c, k, fields, n);
    if (result != KH_DONE) return result;
    remote_library l;
    kh_client *client = NULL;
    const char *missing = remote_load(&l), *as = args_get(c->given, "--as");
    if (missing != NULL) {
        (void)snprintf(c->message, sizeof c->message,
                       "the client library is not where the command was installed (%s): install both", missing);
        return KH_FAILED;
    }
    result = l.open(options, c->message, sizeof c->message, &client);
    if (result != KH_DONE) return result;
    if (as != NULL && (result = l.is_me(client, as)) == KH_DONE_NOT_OK) result = not_mine(c, as);
    else if (result == KH_DONE && strcmp(name, "prove") == 0) result = remote_prove(c, &l, client);
    else if (result == KH_DONE) result = ask(c, &l, client, k, fields, n);
    if (c->message[0] == '\0') (void)snprintf(c->message, sizeof c->message, "%s", l.message(client));
    c->refused = result == KH_MISUSE && (l.http_status(client) == 401 || l.http_status(client) == 403);
    l.close(client);
    return result;
}

/* ---- options ---- */

static const char *option(const args *given, const char *name, const char *variable)
{
    const char *value = args_get(given, name), *environment = getenv(variable);
    if (value != NULL) return value;
    return environment != NULL && environment[0] != '\0' ? environment : NULL;
}

/* The key that stands beside a certificate's: ID.sign beside ID.key; NULL: there is none. */
static const char *sign_beside(const char *key)
{
    static char path[4096];
    size_t n = key != NULL ? strlen(key) : 0;
    if (n < 4 || n + 2 > sizeof path || strcmp(key + n - 4, ".key") != 0) return NULL;
    (void)snprintf(path, sizeof path, "%.*s.sign", (int)(n - 4), key);
    return access(path, R_OK) == 0 ? path : NULL;
}

bool remote_asked(const args *given, kh_client_options *ret, char *ret_wrong, size_t cap)
{
    static const char *const others[] = {"--ca", "--cert", "--key", "--timeout", "--sign", "--sources"};
    *ret_wrong = '\0';
    *ret = (kh_client_options){.timeout_s = 10};
    ret->url = args_has(given, "--data") ? args_get(given, "--connect") : option(given, "--connect", "KANHE_CONNECT");
    if (ret->url == NULL) {
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
            if (args_has(given, others[i])) (void)snprintf(ret_wrong, cap, "%s goes with --connect", others[i]);
        return false;
    }
    if (args_has(given, "--data")) (void)snprintf(ret_wrong, cap, "--data and --connect exclude each other");
    ret->ca = option(given, "--ca", "KANHE_CA");
    ret->cert = option(given, "--cert", "KANHE_CERT");
    ret->key = option(given, "--key", "KANHE_KEY");
    ret->sign = option(given, "--sign", "KANHE_SIGN");
    if (ret->sign == NULL && (ret->sign = sign_beside(ret->key)) != NULL) ret->sign_found = true;
    ret->sources = args_get(given, "--sources");
    const char *timeout = args_get(given, "--timeout");
    if (timeout != NULL) {
        char *end;
        ret->timeout_s = strtod(timeout, &end);
        if (*timeout == '\0' || *end != '\0' || !isfinite(ret->timeout_s) || ret->timeout_s <= 0 || ret->timeout_s > 86400)
            (void)snprintf(ret_wrong, cap, "--timeout takes seconds, above 0");
    }
    if (ret->cert == NULL && *ret_wrong == '\0')
        (void)snprintf(ret_wrong, cap,
                       "--connect needs --cert and --key: a hub must know who asks ($KANHE_CERT and $KANHE_KEY serve too)");
    return true;
}
