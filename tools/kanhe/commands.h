/* commands: what each command of kanhe does with its words and options, and what --help says of it. */
#ifndef KANHE_COMMANDS_H
#define KANHE_COMMANDS_H
#include "args.h"
#include <kanhe/kanhe.h>

typedef struct command_context {
    kh_engine *engine; /* NULL for commands that need none */
    const kh_options *options;
    const kh_result_sink *sink;
    const args *given;
    const char *const *words; /* behind the command's own */
    size_t word_cnt;
    char message[1800]; /* what a command without an engine has to say; usage errors */
    bool refused;       /* by a hub, for who asks: nothing is wrong with the words */
} command_context;

typedef struct command {
    const char *name;    /* "finance apply" */
    const char *options; /* for args_parse, beside the global ones */
    kh_result (*run)(command_context *c);
    bool no_engine;
    const char *usage; /* one line, behind "kanhe " */
    const char *about; /* one line */
    const char *help;  /* more lines: options, examples */
} command;
extern const command commands[];
extern const size_t command_cnt;

/* usage sets the message and gives KH_MISUSE. */
kh_result command_usage(command_context *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* need fetches an option that must be given; NULL after saying so. */
const char *command_need(command_context *c, const char *name);

/* commands_admin.c */
kh_result command_init(command_context *c);
kh_result command_party_add(command_context *c);
kh_result command_party_list(command_context *c);
kh_result command_party_freeze(command_context *c);
kh_result command_party_unfreeze(command_context *c);
kh_result command_party_key(command_context *c);
kh_result command_rule_set(command_context *c);
kh_result command_rule_list(command_context *c);
kh_result command_rate_set(command_context *c);
kh_result command_rate_list(command_context *c);
kh_result command_stats(command_context *c);
kh_result command_audit(command_context *c);
kh_result command_prove(command_context *c);
kh_result command_snapshot(command_context *c);
kh_result command_checkpoint(command_context *c);
kh_result command_backup(command_context *c);
kh_result command_gen(command_context *c);
kh_result command_check(command_context *c);
/* commands_work.c */
kh_result command_import(command_context *c);
kh_result command_show(command_context *c);
kh_result command_verify(command_context *c);
kh_result command_balance(command_context *c);
kh_result command_history(command_context *c);
kh_result command_alerts(command_context *c);
kh_result command_finance_apply(command_context *c);
kh_result command_finance_event(command_context *c);
kh_result command_finance_events(command_context *c);
kh_result command_finance_show(command_context *c);
kh_result command_finance_list(command_context *c);
/* commands_change.c */
kh_result command_change_make(command_context *c);
kh_result command_change_sign(command_context *c);
kh_result command_change_submit(command_context *c);
/* commands_consent.c */
kh_result command_grant_add(command_context *c);
kh_result command_grant_revoke(command_context *c);
kh_result command_grant_list(command_context *c);
kh_result command_grant_lookups(command_context *c);
kh_result command_credit(command_context *c);
kh_result command_risk_add(command_context *c);
kh_result command_risk_remove(command_context *c);
kh_result command_risk_ask(command_context *c);
kh_result command_risk_account(command_context *c);
#endif
