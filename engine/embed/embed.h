/* embed: inside libkanhe: the engine's handle, opening the store as a question needs, rows, and texts that name things. */
#ifndef KH_EMBED_EMBED_H
#define KH_EMBED_EMBED_H
#include "view/view.h"
#include "formats/formats.h"
#include "host/host.h"
#include "service/limits.h"
#include "store/store.h"
#include <kanhe/kanhe.h>
#include <pthread.h>

/* What a cluster's node tells the engine; filled in by who wires it up. Any thread. */
typedef struct kh_cluster_state {
    uint64_t height, attested_height; /* of the block; the highest with q equal attestations, 0: none yet */
    uint8_t app_hash[32], state_digest[32];
} kh_cluster_state;
typedef struct kh_cluster_info {
    void *self;
    /* state: now (height 0), or the app hash as of an earlier height: KH_E_NOT_FOUND: before genesis, or not yet. */
    KH_MUST kh_err (*state)(void *self, uint64_t height, kh_cluster_state *ret);
    /* prove gives the receipt of a bank's financing: KH_E_NOT_FOUND: there is none; KH_E_AGAIN: the headers that it needs are not
       there yet; KH_E_ARG: they are of before the snapshot that this node began with; KH_E_CLOSED: whoever has them cannot be
       reached. */
    KH_MUST kh_err (*prove)(void *self, uint32_t bank, uint64_t financing, void (*give)(void *ctx, const char *text, size_t n),
                            void *ctx);
    /* enterprise asks a hub for the id of a USCC: KH_E_NOT_FOUND; KH_E_CLOSED: no hub answers. NULL at a hub. */
    KH_MUST kh_err (*enterprise)(void *self, const char *uscc, uint32_t *ret);
} kh_cluster_info;

struct kh_engine {
    kh_options options;
    char dir[512];
    kh_disk disk;
    kh_clock clock;
    kh_entropy entropy;
    bool disk_open, driven;
    kh_store *store;
    enum { KH_CLOSED_MODE, KH_READING, KH_WRITING, KH_STREAMING } mode;
    kh_limits *limits;              /* NULL: none are set */
    kh_view *view;                  /* of a bank's node; else NULL */
    const kh_cluster_info *cluster; /* NULL: of no cluster */
    kh_engine *shared;              /* of a handle by kh_engine_as: the engine; else NULL */
    uint32_t party;                 /* whose handle it is; 0: the operator's */
    pthread_mutex_t lock;           /* of an engine: opening, while several threads may ask for it */
    pthread_mutex_t audit_lock;     /* of an engine: one audit at a time, it needs a second state's memory */
    pthread_mutex_t message_lock;
    char message[600];
};

/* ---- for the daemon ---- */
/* kh_embed_store: the engine's store, opened for streaming; NULL: kh_message says why. */
kh_store *kh_embed_store(kh_engine *e);
/* kh_embed_set_driven: before kh_embed_store: entries come of a cluster's order alone (kh_store_options.driven). */
void kh_embed_set_driven(kh_engine *e);
/* kh_embed_set_limits: before the first kh_engine_as; the limits outlive the engine. */
void kh_embed_set_limits(kh_engine *e, kh_limits *limits);
/* kh_embed_set_view makes this a bank node's engine: its bank's financings and alerts come from the view, its operations go
   through the driven store. kh_embed_set_cluster: this engine is of a cluster, hub or bank node: rows say what is attested. Both
   before the first kh_engine_as, and after kh_store_drive; what is given outlives the engine. */
void kh_embed_set_view(kh_engine *e, kh_view *view);
void kh_embed_set_cluster(kh_engine *e, const kh_cluster_info *info);

/* kh_embed_fail sets the message and gives back `result`. */
kh_result kh_embed_fail(kh_engine *e, kh_result result, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* kh_embed_environment says what a kh_err means to the user and gives KH_FAILED. */
kh_result kh_embed_environment(kh_engine *e, kh_err err, const char *doing);
/* kh_embed_no_directory: there is none in e->dir; says what makes one, or that there is no place for it. KH_FAILED. */
kh_result kh_embed_no_directory(kh_engine *e);
/* kh_embed_write_failed: the same for a submit or wait that failed, the clock's jump told in full. */
kh_result kh_embed_write_failed(kh_engine *e, kh_err err);
/* kh_embed_open opens the store for reading (no lock), writing (short, inline) or streaming (threads). A store that is open for
 * more serves for less; an embedded engine's is opened once, for streaming, by any thread. */
kh_result kh_embed_open(kh_engine *e, int mode);
void kh_embed_options(kh_engine *e, kh_store_options *ret);

/* ---- who asks, and what ---- */
/* kh_embed_principal resolves PARTY (id, name or USCC; NULL: whose handle it is); KH_MISUSE when there is none. *ret_code is
 * access's answer for `ask`; NOT_AUTHORISED where a party's handle asks as another, be there one or not. [S] */
kh_result kh_embed_principal(kh_engine *e, const kh_ledger *l, const char *as, kh_ask ask, kh_principal *ret, kh_code *ret_code);
/* kh_embed_is_elsewhere: a bank at another bank's node, which does nothing for it. */
bool kh_embed_is_elsewhere(const kh_engine *e, const kh_principal *who);
/* kh_embed_creation_failed says why a directory could not be made. */
kh_result kh_embed_creation_failed(kh_engine *e, kh_err err, const kh_store_report *report);
/* kh_embed_enter opens for reading or writing, resolves and refuses: on a refusal the row {code name} was given. */
kh_result kh_embed_enter(kh_engine *e, int mode, const char *as, kh_ask ask, const kh_result_sink *sink, kh_principal *ret);
/* kh_embed_refuse gives the row {code name} and KH_DONE_NOT_OK, with a sentence in the message. A bank's node answers NOT_CHECKED
   what only a hub's ledger knows, where no hub could be asked (http.h: forward). */
kh_result kh_embed_refuse(kh_engine *e, kh_code code, const kh_result_sink *sink);
/* kh_embed_party finds the party of an id, a USCC, or a name: any, to the operator; through a party's handle those that `who` may
   see (kh_access_may_see_party). A name that it may not see finds nothing, as one that there is not. [S] */
bool kh_embed_party(const kh_engine *e, const kh_ledger *l, const kh_principal *who, const char *text, kh_party_view *ret);
/* kh_embed_party_id is the id that is meant, be there such a party or not, for the ledger to judge; KH_NOBODY: the text is no id
   and finds nothing. [S] */
#define KH_NOBODY UINT32_MAX
uint32_t kh_embed_party_id(const kh_engine *e, const kh_ledger *l, const kh_principal *who, const char *text);
/* kh_embed_log_lookup files a regulator's look-up; not at a bank's node, which answers it nothing. */
void kh_embed_log_lookup(kh_engine *e, const kh_principal *who, const char *question, const char *subject);

typedef struct kh_paper_name { /* KIND:NUMBER[@ISSUER][/CUR][=AMOUNT], taken apart and canonical */
    kh_kind kind;
    kh_code code; /* of the number */
    kh_key key;
    char number[KH_NUMBER_MAX + 1], issuer[KH_ISSUER_MAX + 1];
    kh_currency currency;
    char amount[KH_AMOUNT_TEXT_MAX + 1]; /* "" none */
    bool issuer_by_owner;                /* the issuer was not said: it is the owner */
} kh_paper_name;
/* kh_embed_paper parses; false with a sentence in `why` (cap bytes) where the text is none. A number that is malformed for its
   kind is true with code FORMAT and a key that nothing has. */
bool kh_embed_paper(const char *text, const char *issuer, const char *owner, kh_paper_name *ret, char *why, size_t cap);
/* kh_embed_paper_of builds the same from columns. */
bool kh_embed_paper_of(kh_kind kind, kh_text number, kh_text issuer, kh_text owner, kh_paper_name *ret);

/* ---- rows ---- */
#define KH_ROW_FIELDS 40
typedef struct kh_row_builder {
    kh_result_field fields[KH_ROW_FIELDS];
    uint32_t n;
    char text[8192];
    uint32_t used;
} kh_row_builder;
void kh_row_begin(kh_row_builder *b);
void kh_row_text(kh_row_builder *b, const char *name, const char *text);
void kh_row_text_n(kh_row_builder *b, const char *name, const char *text, uint32_t n);
void kh_row_words(kh_row_builder *b, const char *name, const char *words);
void kh_row_number(kh_row_builder *b, const char *name, uint64_t number);
void kh_row_bool(kh_row_builder *b, const char *name, bool value);
void kh_row_null(kh_row_builder *b, const char *name);
void kh_row_amount(kh_row_builder *b, const char *name, uint64_t amount, kh_currency currency); /* NONE: null */
void kh_row_time(kh_row_builder *b, const char *name, uint64_t time_ns); /* 2026-11-24T08:00:00.123456789Z */
void kh_row_date(kh_row_builder *b, const char *name, kh_date date);
void kh_row_hex(kh_row_builder *b, const char *name, const uint8_t *p, uint32_t n);
void kh_row_code(kh_row_builder *b, kh_code code); /* code and name */
void kh_row_mismatch(kh_row_builder *b, uint32_t fields);
void kh_row_rows(kh_row_builder *b, const char *name, const kh_result_row *rows, uint32_t n);
void kh_row_give(kh_row_builder *b, const char *what, const kh_result_sink *sink);
/* kh_row_issuer: the issuer or null. */
void kh_row_issuer(kh_row_builder *b, const char *issuer);
/* kh_row_not_found gives {kind number code name}. */
void kh_row_not_found(const kh_result_sink *sink, const kh_paper_name *paper, kh_code code);

/* kh_embed_give_document gives a row a currency of a document, as `balance` does. */
void kh_embed_give_document(const kh_engine *e, const kh_doc_view *doc, const kh_result_sink *sink);

/* ---- operations ---- */
typedef struct kh_answer { /* what came back for one operation */
    uint64_t height;
    kh_receipt receipt;
    kh_receipt_line *lines; /* malloc, or NULL */
    bool done;
} kh_answer;
typedef struct kh_batch { /* operations gathered, submitted and answered together */
    uint8_t *bytes;
    size_t n, cap;
    uint32_t op_cnt, op_cap;
    kh_answer *answers;
    uint32_t *at;       /* by operation: where it begins in bytes */
    uint32_t *enrolled; /* by operation: the party that it enrols, 0 none */
    uint32_t enrolled_cnt;
    uint64_t ticket;
    bool submitted;
    bool lost; /* the store stopped: nothing is known of it */
} kh_batch;
#define KH_BATCH_BYTES (1u << 20)
#define KH_BATCH_OPS 8192u
kh_err kh_batch_init(kh_batch *b);
void kh_batch_reset(kh_batch *b);
void kh_batch_release(kh_batch *b);
/* kh_batch_add encodes; KH_E_FULL: submit first. */
kh_err kh_batch_add(kh_batch *b, const kh_op *op);
kh_err kh_batch_submit(kh_engine *e, kh_batch *b);
/* kh_batch_wait: every answer is durable when it returns KH_OK. */
kh_err kh_batch_wait(kh_engine *e, kh_batch *b);
/* kh_embed_one submits one operation and waits; the answer's lines stay in *b until reset. */
kh_result kh_embed_one(kh_engine *e, kh_batch *b, const kh_op *op, kh_answer **ret);

/* ---- one paper ---- */
/* kh_embed_find opens for reading and looks a paper up for its asker: *ret_code is OK with *ret_doc, or what to answer instead,
 * the same whether there is none or the asker has not proven that it holds it. */
kh_result kh_embed_find(kh_engine *e, const kh_paper *paper, kh_ask ask, kh_paper_name *ret_name, kh_principal *ret_who,
                        kh_doc_view *ret_doc, kh_code *ret_code);
/* kh_embed_not_found gives that answer. */
kh_result kh_embed_not_found(kh_engine *e, const kh_paper_name *name, kh_code code, const kh_result_sink *sink);

/* ---- financings as rows ---- */
typedef struct kh_fin_asked { /* what a request said, for the lines and fields that the ledger does not give back */
    uint64_t line;            /* of the file; 0 none */
    uint64_t id;
    kh_currency currency;
    uint64_t amount;
    kh_code code; /* not OK: refused before the ledger */
    char why[256];
    const kh_paper_name *papers;
    uint32_t paper_cnt;
    const kh_paper_name *known; /* what the lines are called where the request does not say it */
    uint32_t known_cnt;
} kh_fin_asked;
#define KH_EMBED_NO_HUB "no hub can be asked now whose this USCC is: give the enterprise's id, or ask again"
/* kh_embed_give_receipt gives the row of an answer to an application or event; a is NULL where the request was refused before the
   ledger. Returns the code. */
kh_code kh_embed_give_receipt(kh_engine *e, uint32_t bank, const kh_answer *a, const kh_fin_asked *asked,
                              const kh_result_sink *sink);
/* A financing's row is built with the gate held and given without. */
typedef struct kh_fin_row kh_fin_row;
typedef struct kh_final { /* of a cluster: what a row stands for */
    bool told, attested;
    uint64_t as_of;
} kh_final;
/* names: what the lines are called, NULL: as the ledger has it; l may be NULL then. height: what is told. NULL: out of memory.
   [S] */
kh_fin_row *kh_embed_financing_row(const kh_ledger *l, const kh_fin_view *f, const kh_fin_asked *names, uint64_t height,
                                   const kh_final *final);
void kh_embed_give_financing(kh_fin_row *row, const kh_result_sink *sink); /* frees it */
void kh_embed_financing_free(kh_fin_row *row);
uint64_t kh_embed_financing_id(const kh_fin_row *row);
bool kh_embed_code_ok(kh_code code); /* OK or a warning */

/* kh_embed_owner: the owner's id that an enterprise stands for: its USCC where it is a party, else the text itself; "" for none.
 * [S] */
void kh_embed_owner(const kh_engine *e, const kh_ledger *l, const kh_principal *who, const char *text,
                    char ret[KH_ISSUER_MAX + 1]);
/* kh_embed_enterprise resolves the enterprise of an application. An owner that is no party yet is enrolled by an operation put
   into *b before the application, but only where the stored document of that name is its own; 0: there is none (the ledger
   answers that as an enterprise that does not own the papers). */
uint32_t kh_embed_enterprise(kh_engine *e, kh_batch *b, const kh_principal *who, const char *text, const kh_key *document,
                             kh_err *ret_err);

/* kh_embed_enrolments puts right what another handle's or the operator's registration, coming between, made of a batch's
   enrolments: applications of an enterprise that could not be enrolled under the id that was chosen are sent again with the right
   one, and their answers replaced. Called by kh_batch_wait. */
KH_MUST kh_err kh_embed_enrolments(kh_engine *e, kh_batch *b);

/* ---- in a cluster [cluster.c, viewed.c] ---- */
/* kh_embed_final: what a hub says of what it knows: one hub's word, never attested. *ret->told false where this is no cluster. */
void kh_embed_final(kh_engine *e, kh_final *ret);
void kh_row_final(kh_row_builder *b, const kh_final *final); /* attested, as_of; nothing where not told */
bool kh_viewed(const kh_engine *e);                          /* is this a bank's node? */
/* kh_viewed_party: the bank's id. kh_viewed_papers: what a financing's lines are called; *ret malloc'ed, NULL: nothing is known.
 */
uint32_t kh_viewed_party(const kh_engine *e);
void kh_viewed_papers(kh_engine *e, uint64_t id, kh_paper_name **ret, uint32_t *ret_cnt);
/* kh_embed_currency_of: of a bank's financing; 0: there is none. ret_owner: its enterprise's USCC, "" unknown; ret_amount: as
   granted, then disbursed; either may be NULL. */
kh_currency kh_embed_currency_of(kh_engine *e, uint32_t bank, uint64_t id, char *ret_owner, uint64_t *ret_amount);
/* kh_viewed_enterprise: the id that an enterprise's id or USCC stands for; 0: none. KH_E_CLOSED: no hub could be asked. */
KH_MUST kh_err kh_viewed_enterprise(kh_engine *e, const char *text, uint32_t *ret);
kh_result kh_viewed_show(kh_engine *e, const kh_principal *who, uint64_t id, const kh_result_sink *sink);
kh_result kh_viewed_list(kh_engine *e, const kh_principal *who, kh_fin_state state, uint64_t after, kh_page *page,
                         const kh_result_sink *sink);
kh_result kh_viewed_alerts(kh_engine *e, const kh_principal *who, uint64_t after, kh_page *page, const kh_result_sink *sink);
/* kh_embed_give_alert: the row of an alert; kind, number and issuer are NULL where the paper is not known. */
typedef struct kh_alert_row {
    uint64_t height, time_ns;
    const kh_notice *notice;
    const char *kind, *number, *issuer;
} kh_alert_row;
void kh_embed_give_alert(const kh_alert_row *alert, const kh_final *final, const kh_result_sink *sink);
/* kh_embed_audit_cluster gives the row of `audit`: of the order now, or as of a height; replayed: at a hub, by its log; or NULL.
 */
kh_result kh_embed_audit_cluster(kh_engine *e, uint64_t height, const kh_audit_result *replayed, const kh_result_sink *sink);
kh_result kh_embed_financing_not_found(kh_engine *e, const char *number, uint64_t id, kh_code code, const kh_result_sink *sink);

/* ---- the probe rule (limits.h), for one group ---- */
typedef struct kh_probe {
    kh_limits *limits; /* NULL: this asker is not limited */
    uint32_t party, taken;
} kh_probe;
/* kh_probe_take: how many of n may be evaluated. */
uint32_t kh_probe_take(kh_engine *e, const kh_principal *who, uint32_t n, kh_probe *ret);
/* kh_probe_end gives back the tokens of all but probe_cnt. */
void kh_probe_end(kh_probe *probe, uint32_t probe_cnt);

/* ---- files ---- */
typedef struct kh_input_source { /* a kh_input as formats reads it */
    kh_bytes_source source;
    const kh_input *input;
    uint64_t done;
} kh_input_source;
void kh_input_source_begin(kh_input_source *s, const kh_input *input);
typedef struct kh_file_input { /* a file as a kh_input */
    kh_input input;
    int fd;
} kh_file_input;
KH_MUST kh_err kh_file_input_open(kh_file_input *f, const char *path); /* "-" is stdin; errno says why not */
void kh_file_input_close(kh_file_input *f);

/* kh_embed_format turns the words of a format and a kind (NULL: not said) into what they name; KH_MISUSE. */
kh_result kh_embed_format(kh_engine *e, const char *format, const char *kind, kh_format *ret_format, kh_kind *ret_kind);

/* ---- pages ---- */
#define KH_PAGE_NUMBERS 2
/* kh_page_begin reads `after`: numbers parted by dots, all 0 for none. KH_MISUSE where it is no such place. page may be NULL. */
kh_result kh_page_begin(kh_engine *e, kh_page *page, uint32_t number_cnt, uint64_t ret_after[KH_PAGE_NUMBERS]);
/* kh_page_cursor is the ledger's cursor of what a page's `after` said, kh_page_more_rows the reverse: a party that `ask` shows
   its own alone gets the cursor sealed, since it counts the rows of all. */
uint64_t kh_page_cursor(kh_engine *e, const kh_page *page, const kh_principal *who, kh_ask ask, uint64_t after);
void kh_page_more_rows(kh_engine *e, kh_page *page, const kh_principal *who, kh_ask ask, uint64_t cursor);
bool kh_page_full(const kh_page *page, uint64_t given);
/* kh_page_more: there are rows behind the one of these numbers, the last that was given. */
void kh_page_more(kh_page *page, uint32_t number_cnt, const uint64_t numbers[KH_PAGE_NUMBERS]);

/* ---- pages of the journals ---- */
typedef struct kh_places {     /* of a chain, what a page shows: the oldest `most` of those that were added, newest first */
    kh_place *p;               /* malloc */
    uint64_t added, cap, most; /* most 0: all */
} kh_places;
KH_MUST kh_err kh_places_begin(kh_places *all, const kh_page *page);
KH_MUST kh_err kh_places_add(kh_places *all, kh_place place);
bool kh_places_next(kh_places *all, kh_place *ret); /* takes the oldest one off */
bool kh_place_behind(kh_place place, const uint64_t after[KH_PAGE_NUMBERS]);
void kh_page_ends(kh_page *page, kh_place last);

typedef struct kh_walk kh_walk;
struct kh_walk { /* a page of items that are of one sort */
    kh_engine *e;
    const kh_result_sink *sink;
    kh_page *page;
    bool (*wanted)(uint32_t party, const kh_journal_item *item); /* of this party, 0: of any */
    void (*give)(kh_walk *walk, const kh_journal_item *item);
    uint64_t after[KH_PAGE_NUMBERS], given;
    kh_place last;
};
/* kh_embed_walk gives the items of a party's chain, or (0) of all journals, the oldest first. */
kh_result kh_embed_walk(kh_walk *walk, uint32_t party);
#endif
