/* kanhe.h: the engine in a process: one data directory (数据目录), opened, asked and changed by function calls.
 *
 * Results come as rows of named fields, one row a result, in the order of the question: what the `kanhe` command prints as tables
 * or as JSON, and what a remote client can fill just as well. docs/CLI.md lists the fields of each. Programs that want speed use
 * kh_submit and kh_lookup, which take and give plain structs in bulk.
 *
 * Order    a row about a change is given only when that change is durable on disk.
 * Threads  kh_lookup, kh_submit and kh_engine_as may be called on one engine from several threads at once; everything else by one
 * thread at a time per handle; handles of kh_engine_as are handles of their own, any number at once. Memory   rows, fields and
 * texts are lent for the call of the sink, which may ask another handle, but not wait for another row. What a struct points to is
 * the caller's. Errors   every function returns a kh_result; kh_message says in a sentence what happened and what to do. */
#ifndef KANHE_KANHE_H
#define KANHE_KANHE_H
#include "requests.h"
#include "rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- life ---- */
typedef struct kh_engine kh_engine;
typedef struct kh_options {
    const char *dir;
    double wait_s;    /* for another writer's lock; 10 when 0 is not meant: see kh_options_default */
    bool accept_time; /* after a clock that jumped */
    bool embedded;    /* a program that stays: threads for the log, digests and images; else a short command */
} kh_options;
KH_API kh_options kh_options_default(const char *dir);
/* kh_create makes a data directory. rules: lines "NAME VALUE", or NULL; secret: 16 bytes or NULL (random). */
KH_API kh_result kh_create(const kh_options *options, const char *rules, const uint8_t *secret, char *ret_message, size_t cap);
/* kh_create_from makes one from a checkpoint (kh_checkpoint_to): it answers as the one that was taken of does, and its log begins
   behind that. What does not hold is refused with its place, and nothing is left. A row "checkpoint", as there. */
typedef struct kh_origin {
    const char *path;              /* the checkpoint's file; "-": stdin */
    const char *digest;            /* what the outcome chain must be, in hexadecimal, as kh_audit gave it there; NULL: not said */
    const char *checkpoint_digest; /* likewise of the state */
} kh_origin;
KH_API kh_result kh_create_from(const kh_options *options, const kh_origin *origin, const uint8_t *secret,
                                const kh_result_sink *sink, char *ret_message, size_t cap);
/* kh_engine_new binds to a directory without touching it: each function opens it as it needs (reading, or writing under the
 * lock). */
KH_API kh_result kh_engine_new(const kh_options *options, kh_engine **ret);
KH_API void kh_engine_close(kh_engine *engine);
KH_API const char *kh_message(const kh_engine *engine);
/* kh_engine_as makes a handle on the same open engine (options.embedded) for one party's session: every question and operation
   through it is that party's own and passes the access table as such. `as` may then only be NULL or that party: another, known or
   not, is refused (a row {code NOT_AUTHORISED name}, KH_DONE_NOT_OK). party 0: the operator, who may ask as anybody. Cheap: made
   for one request. Its message is its own. Close it before the engine. */
KH_API kh_result kh_engine_as(kh_engine *engine, uint32_t party, kh_engine **ret);

/* ---- files and pages ---- */
/* A file's bytes from anywhere: the functions that end in _input take one where those that take a file's name open it ("-" is
 * stdin). */
typedef struct kh_input {
    const char *name;                                /* as results name it */
    int64_t (*read)(void *ctx, void *p, size_t cap); /* bytes, 1 to cap; 0 at the end; -1 failed */
    void *ctx;
    uint64_t size;        /* 0: not known; for progress */
    uint64_t line_offset; /* added to the numbers of lines in results */
} kh_input;
/* One page of a list: at most `limit` rows (0: no limit) behind the place that `after` names (NULL or "": from the start). `next`
   becomes what to give as `after` for the rows that follow, "" when there are none. A page pointer of NULL: all rows. */
typedef struct kh_page {
    const char *after;
    uint32_t limit;
    char next[64];
} kh_page;

/* ---- parties (主体), rules (规则), rates (汇率) ---- */
KH_API kh_result kh_party_add(kh_engine *engine, uint32_t id, const char *role, const char *name, const char *uscc,
                              const kh_result_sink *sink);
KH_API kh_result kh_party_freeze(kh_engine *engine, const char *party, bool frozen, const kh_result_sink *sink);
/* kh_party_key registers an enterprise's public key, 128 hexadecimal digits, by which a cluster knows what it signed; "none"
   takes it away. Of the regulator; members' keys are their officers' to change. */
KH_API kh_result kh_party_key(kh_engine *engine, const char *party, const char *key, const kh_result_sink *sink);
/* kh_party_list: all parties; a handle that is not the regulator's sees itself, the regulators and the sources, and looks for
   them among all. Other banks and enterprises it names by id or USCC: their names mean nothing to it. */
KH_API kh_result kh_party_list(kh_engine *engine, kh_page *page, const kh_result_sink *sink);
/* kh_party_find: the row {id role} of a party by its id or USCC; a guess that finds nothing counts as a probe (rule `probe_limit`
   of the hub). Outside a cluster a party finds those that its list shows. */
KH_API kh_result kh_party_find(kh_engine *engine, const char *party, const kh_result_sink *sink);
/* kh_party_self: the row of the party whose handle it is. */
KH_API kh_result kh_party_self(kh_engine *engine, const kh_result_sink *sink);
KH_API kh_result kh_rule_set(kh_engine *engine, const char *name, const char *value, const kh_result_sink *sink);
KH_API kh_result kh_rule_list(kh_engine *engine, const kh_result_sink *sink);
KH_API kh_result kh_rate_set(kh_engine *engine, const char *from, const char *to, const char *value, const char *date,
                             const char *source, const kh_result_sink *sink);
KH_API kh_result kh_rate_list(kh_engine *engine, const kh_result_sink *sink);

/* ---- documents (单证) ---- */
/* kh_import: a row "refused" {file line code name why byte text} for what was refused, byte and text saying where and what, and
   at the end a row "import". A source's own handle imports as its own feed; source may then only be itself. */
KH_API kh_result kh_import(kh_engine *engine, const char *file, const kh_import_options *options, const kh_result_sink *sink);
KH_API kh_result kh_import_input(kh_engine *engine, const kh_input *input, const kh_import_options *options,
                                 const kh_result_sink *sink);
KH_API kh_result kh_show(kh_engine *engine, const char *file, const char *format, const char *kind, const kh_result_sink *sink);
KH_API kh_result kh_show_input(kh_engine *engine, const kh_input *input, const char *format, const char *kind,
                               const kh_result_sink *sink);
KH_API kh_result kh_verify(kh_engine *engine, const char *file, const char *as, const kh_result_sink *sink);
KH_API kh_result kh_verify_input(kh_engine *engine, const kh_input *input, const char *as, const kh_result_sink *sink);
KH_API kh_result kh_balance(kh_engine *engine, const kh_paper *paper, const kh_result_sink *sink);
KH_API kh_result kh_history(kh_engine *engine, const kh_paper *paper, kh_page *page, const kh_result_sink *sink);
KH_API kh_result kh_alerts(kh_engine *engine, const char *as, kh_page *page, const kh_result_sink *sink);

/* ---- financings (融资) ---- */
KH_API kh_result kh_finance_apply(kh_engine *engine, const kh_apply_request *request, const kh_result_sink *sink);
KH_API kh_result kh_finance_apply_file(kh_engine *engine, const char *as, const char *file, bool allow_partial,
                                       const kh_result_sink *sink);
KH_API kh_result kh_finance_apply_input(kh_engine *engine, const char *as, const kh_input *input, bool allow_partial,
                                        const kh_result_sink *sink);
KH_API kh_result kh_finance_event(kh_engine *engine, const kh_event_request *request, const kh_result_sink *sink);
KH_API kh_result kh_finance_events_file(kh_engine *engine, const char *as, const char *file, const kh_result_sink *sink);
KH_API kh_result kh_finance_events_input(kh_engine *engine, const char *as, const kh_input *input, const kh_result_sink *sink);
/* id: the bank's number, or BANK:ID for the operator. */
KH_API kh_result kh_finance_show(kh_engine *engine, const char *id, const char *as, const kh_result_sink *sink);
KH_API kh_result kh_finance_list(kh_engine *engine, const char *as, const char *state, kh_page *page, const kh_result_sink *sink);

/* kh_finance_prove gives the text of the receipt that proves a bank's financing (docs/PROOFS.md): of its newest operation that
   changed it. In a cluster, through the bank's own handle. KH_DONE_NOT_OK: there is none, or not yet. */
KH_API kh_result kh_finance_prove(kh_engine *engine, uint64_t financing, void (*give)(void *ctx, const char *text, size_t n),
                                  void *ctx);

/* ---- grants (授权查证): an enterprise's consent that a bank looks at it ---- */
/* A grant is named by its enterprise and a number that the enterprise chooses. The same again is harmless, other content under
   the number is BAD_STATE; a number stays taken after the grant was revoked. At most 1,024 not revoked ones an enterprise, and
   65,536 numbers in all: CAPACITY beyond. */
typedef struct kh_grant_request {
    const char *as;         /* the enterprise itself; NULL: the operator, for it */
    const char *enterprise; /* NULL: `as` */
    const char *bank;
    const char *scope; /* words of "documents", "credit", with commas between */
    const char *from;  /* a date, from its beginning (UTC); NULL: at once */
    const char *until; /* a date, to its end */
    uint64_t id;
} kh_grant_request;
KH_API kh_result kh_grant_add(kh_engine *engine, const kh_grant_request *request, const kh_result_sink *sink);
KH_API kh_result kh_grant_revoke(kh_engine *engine, const char *as, const char *enterprise, uint64_t id,
                                 const kh_result_sink *sink);
/* kh_grant_list: an enterprise's own grants, those that a bank was given, or all. A bank's and the operator's list walks all
   grants, some nanoseconds each. */
KH_API kh_result kh_grant_list(kh_engine *engine, const char *as, kh_page *page, const kh_result_sink *sink);
/* kh_grant_lookups: what banks looked up under the grants of an enterprise, the oldest first; the operator sees all enterprises',
   which reads the whole journal. */
KH_API kh_result kh_grant_lookups(kh_engine *engine, const char *as, kh_page *page, const kh_result_sink *sink);
/* kh_credit looks at an enterprise. A bank needs a grant: its look-up is an operation in the log, durable and filed with the
   enterprise before anything is read; without one NO_CONSENT, outside its time CONSENT_EXPIRED. The regulator and the enterprise
   itself need none. Scope "credit": one row a currency and state, over all banks, none of them named. Scope "documents": rows as
   of kh_balance, by kind and number, at most `limit` documents, those after `after`; fewer than `limit` documents: these were the
   last. Cost: there is no list of an enterprise's documents or financings: each call walks all rows that there are, a few
   nanoseconds each, in pieces of 16,384 between which operations go on. A document that is amended during the walk may be left
   out of the page. */
typedef struct kh_credit_request {
    const char *as, *enterprise, *scope; /* scope NULL: credit */
    uint64_t grant;                      /* of a bank */
    const char *after;                   /* KIND:NUMBER[@ISSUER], the last document of the page before; NULL: from the first */
    uint32_t limit;                      /* documents; 0: 1,000; at most 65,536 */
} kh_credit_request;
KH_API kh_result kh_credit(kh_engine *engine, const kh_credit_request *request, const kh_result_sink *sink);

/* ---- the risk list (风险名单) ---- */
/* A subject is a USCC, a foreign id or an account number, in any spelling: letters and digits, at most 64. The list holds its
   digest alone. Category: fraud, high_risk_account, forged_document, default, other. A subject stands under a category while any
   bank contributes it; who does is told to nobody. */
KH_API kh_result kh_risk_add(kh_engine *engine, const char *as, const char *subject, const char *category,
                             const kh_result_sink *sink);
/* of: whose contribution the operator removes, NULL: everybody's; a bank removes its own. */
KH_API kh_result kh_risk_remove(kh_engine *engine, const char *as, const char *subject, const char *category, const char *of,
                                const kh_result_sink *sink);
/* kh_risk_ask asks about 1 to 256 subjects at once: a row each. A bank's questions are counted by subject, a question sent again
   too: beyond `risk_free_queries` + `risk_queries_per_entry` for each of its contributions that stands RATE_LIMITED, and nothing
   is answered. */
KH_API kh_result kh_risk_ask(kh_engine *engine, const char *as, const char *const *subjects, uint32_t n,
                             const kh_result_sink *sink);
/* kh_risk_account: what a bank contributed, asked and may ask in all; the operator sees every bank's. */
KH_API kh_result kh_risk_account(kh_engine *engine, const char *as, kh_page *page, const kh_result_sink *sink);

/* ---- the directory ---- */
KH_API kh_result kh_stats(kh_engine *engine, const kh_result_sink *sink);
KH_API kh_result kh_audit(kh_engine *engine, const kh_result_sink *sink);
/* kh_audit_at: in a cluster the order's digest (app hash) as of an earlier height; 0: now, as kh_audit. */
KH_API kh_result kh_audit_at(kh_engine *engine, uint64_t height, const kh_result_sink *sink);
KH_API kh_result kh_snapshot(kh_engine *engine, const kh_result_sink *sink);
/* kh_checkpoint_to writes all that the directory holds, without its log, into a file: for kh_create_from. A row "checkpoint":
   {height time log_digest digest checkpoint_digest state_bytes journal_bytes}. The operator's alone. */
KH_API kh_result kh_checkpoint_to(kh_engine *engine, const char *path, const kh_result_sink *sink);
/* kh_backup_to copies the directory, which may be served meanwhile, into `to`, which is not there or is empty. audited: the copy
   is read back, every outcome made anew, which takes a second state's memory. Rows: "backup": {directory files bytes}, then the
   copy's "audit". KH_FAILED: there is no backup. The operator's alone. */
KH_API kh_result kh_backup_to(kh_engine *engine, const char *to, bool audited, const kh_result_sink *sink);
/* kh_gen writes `count` sound lines of "declarations", "invoices" or "requests" to path (NULL: stdout); same seed, same lines. */
KH_API kh_result kh_gen(const char *what, uint64_t count, uint64_t seed, const char *path, char *ret_message, size_t cap);

/* ---- receipts that prove ---- */
/* kh_check_receipt: is a cluster's receipt proven, by its genesis.json alone (docs/PROOFS.md)? No directory, no network; both are
   files' names. A row "proof": {proven bank financing operation code name height chain}, or, with KH_DONE_NOT_OK, {proven step
   why}. */
KH_API kh_result kh_check_receipt(const char *receipt, const char *genesis, const kh_result_sink *sink, char *ret_message,
                                  size_t cap);

/* ---- programs: plain structs in bulk ---- */
/* kh_document_id computes the 16-byte id of KIND:NUMBER[@ISSUER]; false if that is malformed. Pure. */
KH_API bool kh_document_id(const char *document, kh_id *ret);
/* kh_lookup answers n questions asked by party `as` (0: the operator, or whose handle it is: then nobody else's). Embedded
   engines only. */
KH_API kh_result kh_lookup(kh_engine *engine, uint32_t as, const kh_lookup_question questions[], uint32_t n,
                           kh_lookup_answer ret[]);
/* kh_submit applies n one-document applications as one batch and returns when all are durable. n <= 8192. Embedded engines only.
   Through a bank's handle every application is that bank's. */
KH_API kh_result kh_submit(kh_engine *engine, const kh_reserve requests[], uint32_t n, kh_reserved ret[]);
KH_API const char *kh_code_word(uint16_t code);

#ifdef __cplusplus
}
#endif
#endif
