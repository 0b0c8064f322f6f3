/* commands_work: documents and financings. */
#include "commands.h"
#include "print_csv.h"
#include <stdlib.h>
#include <string.h>

kh_result command_import(command_context *c)
{
    kh_import_options options = {.format = args_get(c->given, "--format"),
                                 .kind = args_get(c->given, "--kind"),
                                 .source = args_get(c->given, "--source"),
                                 .force = args_has(c->given, "--force")};
    kh_result worst = KH_DONE;
    if (c->word_cnt == 0) return command_usage(c, "import which files?");
    for (size_t i = 0; i < c->word_cnt; i++) {
        csv_out refused;
        csv_refused_begin(&refused, c->words[i], c->sink);
        kh_result result = kh_import(c->engine, c->words[i], &options, &refused.sink);
        csv_refused_end(&refused, result, kh_message(c->engine), c->message, sizeof c->message);
        if (result > worst) worst = result;
        if (result == KH_FAILED) break;
    }
    return worst;
}

kh_result command_show(command_context *c)
{
    if (c->word_cnt != 1) return command_usage(c, "show which file?");
    return kh_show(c->engine, c->words[0], args_get(c->given, "--format"), args_get(c->given, "--kind"), c->sink);
}

kh_result command_verify(command_context *c)
{
    if (c->word_cnt != 1) return command_usage(c, "verify which file?");
    const char *as = args_get(c->given, "--as"), *out = args_get(c->given, "-o");
    csv_out verdicts;
    if (out == NULL) return kh_verify(c->engine, c->words[0], as, c->sink);
    if (!csv_verdicts_begin(&verdicts, c->words[0], out, c->sink)) return command_usage(c, "%s", verdicts.why);
    kh_result result = kh_verify(c->engine, c->words[0], as, &verdicts.sink);
    if (csv_verdicts_end(&verdicts, result)) return result;
    (void)snprintf(c->message, sizeof c->message, "%s", verdicts.why);
    return KH_FAILED;
}

static bool paper_of(command_context *c, kh_paper *ret)
{
    if (c->word_cnt != 1) {
        (void)command_usage(c, "which document? KIND:NUMBER, e.g. export_declaration:310120260123456789");
        return false;
    }
    *ret = (kh_paper){.document = c->words[0],
                      .issuer = args_get(c->given, "--issuer"),
                      .as = args_get(c->given, "--as"),
                      .owner = args_get(c->given, "--owner"),
                      .amount = args_get(c->given, "--amount")};
    return true;
}

kh_result command_balance(command_context *c)
{
    kh_paper paper;
    return paper_of(c, &paper) ? kh_balance(c->engine, &paper, c->sink) : KH_MISUSE;
}

kh_result command_history(command_context *c)
{
    kh_paper paper;
    return paper_of(c, &paper) ? kh_history(c->engine, &paper, NULL, c->sink) : KH_MISUSE;
}

kh_result command_alerts(command_context *c) { return kh_alerts(c->engine, args_get(c->given, "--as"), NULL, c->sink); }

kh_result command_finance_apply(command_context *c)
{
    const char *as = command_need(c, "--as"), *file = args_get(c->given, "--file"), *id_text;
    bool allow_partial = args_has(c->given, "--allow-partial");
    kh_apply_request request = {.as = as, .allow_partial = allow_partial};
    if (as == NULL) return KH_MISUSE;
    if (file != NULL) return kh_finance_apply_file(c->engine, as, file, allow_partial, c->sink);
    if ((id_text = command_need(c, "--id")) == NULL || (request.enterprise = command_need(c, "--enterprise")) == NULL ||
        (request.product = command_need(c, "--product")) == NULL || (request.amount = command_need(c, "--amount")) == NULL ||
        (request.currency = command_need(c, "--currency")) == NULL || command_need(c, "--doc") == NULL)
        return KH_MISUSE;
    if (!args_number(id_text, &request.id))
        return command_usage(c, "--id %s: the bank's number of a financing is a whole number", id_text);
    const char **documents = args_all(c->given, "--doc", &request.document_cnt);
    request.documents = documents;
    kh_result result = documents != NULL ? kh_finance_apply(c->engine, &request, c->sink) : command_usage(c, "out of memory");
    free(documents);
    return result;
}

static kh_result event(command_context *c, const char *word)
{
    kh_event_request request = {.as = command_need(c, "--as"),
                                .event = word,
                                .amount = args_get(c->given, "--amount"),
                                .source = args_get(c->given, "--source"),
                                .reason = args_get(c->given, "--reason"),
                                .expect = args_get(c->given, "--expect")};
    if (request.as == NULL) return KH_MISUSE;
    if (c->word_cnt != 1 || !args_number(c->words[0], &request.id))
        return command_usage(c, "which financing? give the bank's number");
    const char **allot = args_all(c->given, "--allot", &request.allot_cnt);
    request.allot = allot;
    kh_result result = allot != NULL ? kh_finance_event(c->engine, &request, c->sink) : command_usage(c, "out of memory");
    free(allot);
    return result;
}

/* The command's own last word is the event: main puts it before the others. */
kh_result command_finance_event(command_context *c)
{
    const char *word = c->words[0];
    c->words++;
    c->word_cnt--;
    return event(c, word);
}

kh_result command_finance_events(command_context *c)
{
    const char *as = command_need(c, "--as"), *file = as != NULL ? command_need(c, "--file") : NULL;
    if (file == NULL) return KH_MISUSE;
    return kh_finance_events_file(c->engine, as, file, c->sink);
}

kh_result command_finance_show(command_context *c)
{
    if (c->word_cnt != 1) return command_usage(c, "which financing? give the bank's number, or BANK:NUMBER");
    return kh_finance_show(c->engine, c->words[0], args_get(c->given, "--as"), c->sink);
}

kh_result command_finance_list(command_context *c)
{
    return kh_finance_list(c->engine, args_get(c->given, "--as"), args_get(c->given, "--state"), NULL, c->sink);
}
