/* commands_consent: grants, look-ups under them, and the risk list. */
#include "commands.h"

/* number_of reads an option that is a whole number. */
static bool number_of(command_context *c, const char *name, uint64_t *ret)
{
    const char *text = command_need(c, name);
    if (text == NULL) return false;
    if (args_number(text, ret)) return true;
    (void)command_usage(c, "%s %s: a grant is numbered by its enterprise with a whole number", name, text);
    return false;
}

kh_result command_grant_add(command_context *c)
{
    kh_grant_request request = {
        .as = args_get(c->given, "--as"), .enterprise = args_get(c->given, "--enterprise"), .from = args_get(c->given, "--from")};
    if (!number_of(c, "--id", &request.id)) return KH_MISUSE;
    if ((request.bank = command_need(c, "--bank")) == NULL || (request.scope = command_need(c, "--scope")) == NULL ||
        (request.until = command_need(c, "--until")) == NULL)
        return KH_MISUSE;
    return kh_grant_add(c->engine, &request, c->sink);
}

kh_result command_grant_revoke(command_context *c)
{
    uint64_t id;
    if (c->word_cnt != 1 || !args_number(c->words[0], &id))
        return command_usage(c, "which grant? give the enterprise's number of it");
    return kh_grant_revoke(c->engine, args_get(c->given, "--as"), args_get(c->given, "--enterprise"), id, c->sink);
}

kh_result command_grant_list(command_context *c) { return kh_grant_list(c->engine, args_get(c->given, "--as"), NULL, c->sink); }
kh_result command_grant_lookups(command_context *c)
{
    return kh_grant_lookups(c->engine, args_get(c->given, "--as"), NULL, c->sink);
}

kh_result command_credit(command_context *c)
{
    kh_credit_request request = {
        .as = args_get(c->given, "--as"), .scope = args_get(c->given, "--scope"), .after = args_get(c->given, "--after")};
    const char *limit_text = args_get(c->given, "--limit");
    uint64_t limit = 0;
    if (c->word_cnt != 1) return command_usage(c, "which enterprise? give its id or USCC");
    request.enterprise = c->words[0];
    if (args_has(c->given, "--grant") && !number_of(c, "--grant", &request.grant)) return KH_MISUSE;
    if (limit_text != NULL && (!args_number(limit_text, &limit) || limit == 0 || limit > UINT32_MAX))
        return command_usage(c, "--limit %s: how many documents?", limit_text);
    request.limit = (uint32_t)limit;
    return kh_credit(c->engine, &request, c->sink);
}

static const char *subject(command_context *c)
{
    if (c->word_cnt == 1) return c->words[0];
    (void)command_usage(c, "which subject? a USCC, a foreign id or an account number");
    return NULL;
}

kh_result command_risk_add(command_context *c)
{
    const char *who = subject(c), *as = who != NULL ? command_need(c, "--as") : NULL,
               *category = as != NULL ? command_need(c, "--category") : NULL;
    return category != NULL ? kh_risk_add(c->engine, as, who, category, c->sink) : KH_MISUSE;
}

kh_result command_risk_remove(command_context *c)
{
    const char *who = subject(c), *category = who != NULL ? command_need(c, "--category") : NULL;
    if (category == NULL) return KH_MISUSE;
    return kh_risk_remove(c->engine, args_get(c->given, "--as"), who, category, args_get(c->given, "--of"), c->sink);
}

kh_result command_risk_ask(command_context *c)
{
    if (c->word_cnt == 0 || c->word_cnt > 256) return command_usage(c, "ask about which subjects? 1 to 256 of them");
    return kh_risk_ask(c->engine, args_get(c->given, "--as"), c->words, (uint32_t)c->word_cnt, c->sink);
}

kh_result command_risk_account(command_context *c)
{
    return kh_risk_account(c->engine, args_get(c->given, "--as"), NULL, c->sink);
}
