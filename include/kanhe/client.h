/* client.h: the engine over the network: a hub's HTTPS API, and its sealed datagrams for questions in bulk.
 *
 * The same questions as kanhe.h, and the same rows in the same order; who asks is the party that the certificate names.
 *
 * Order    a row about a change is given only when that change is durable at the hub. Rows come as they arrive: what was given
 *          stands, whatever happens afterwards. Files are sent in pieces of whole lines: verify has up to four under way and
 * gives their rows in the order of the file; what changes something sends one after another, since their order is their meaning.
 * Threads  a client is used by one thread at a time; any number of clients at once.
 * Memory   bounded, whatever the file or the answer: rows, fields and texts are lent for the call of the sink. What a struct
 * points to is the caller's. Errors   every function returns a kh_result; kh_client_message says in a sentence what happened and
 * what to do. KH_FAILED: the hub could not be reached, is not trusted, or gave no sign of life for timeout_s. What had no answer
 * may or may not have been done: ask again, the same question again is harmless (finance events: with `expect`). Cost     one TLS
 * handshake a client, made by its first call; kh_client_submit has several connections. */
#ifndef KANHE_CLIENT_H
#define KANHE_CLIENT_H
#include "requests.h"
#include "rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- life ---- */
typedef struct kh_client kh_client;
typedef struct kh_client_options {
    const char *url;        /* https://ADDRESS[:PORT] */
    const char *ca;         /* PEM file of the authority that signed the hub's certificate; NULL: the system's */
    const char *cert, *key; /* PEM files, or pkcs11: URIs; NULL: nobody (only the hub's health may be asked) */
    double timeout_s;       /* without any progress; > 0 */
    /* sign: a file with the party's own key (64 hexadecimal digits, mode 0600), of a cluster: what the regulator, a source or an
       enterprise changes is signed here, and a hub passes it on whole: import, party add, freeze, unfreeze and key, grant add and
       revoke, risk remove. Files are read here. FILE.number keeps the numbers of what was signed. NULL: nothing is signed.
       sources: of a source that signs, its settings, as conf/sources.conf; NULL: the defaults.
       sign_found: nobody asked for sign, it was there: at a hub of no cluster, and for a bank, nothing is signed. Else that is
       KH_MISUSE. */
    const char *sign, *sources;
    bool sign_found;
    bool no_datagrams; /* kh_client_submit: over HTTPS alone */
} kh_client_options;
KH_API kh_client_options kh_client_options_default(const char *url);
/* kh_client_open makes a client without touching the network. KH_MISUSE with the sentence in ret_message (cap bytes, may be NULL)
   where a file cannot be read or the url is none. */
KH_API kh_result kh_client_open(const kh_client_options *options, char *ret_message, size_t cap, kh_client **ret);
KH_API void kh_client_close(kh_client *client); /* NULL: nothing */
KH_API const char *kh_client_message(const kh_client *client);
/* kh_client_http_status: of the last answer; 0 where there was none. */
KH_API uint32_t kh_client_http_status(const kh_client *client);
/* kh_client_attested: from now on questions about documents (verify, balance, history) are answered only where a quorum of hubs
   say the same; asked of a bank's node in a cluster. */
KH_API void kh_client_attested(kh_client *client, bool attested);
/* kh_client_is_me: is `party` (id, name or USCC) the one that the certificate names? Ids are compared without a word to the hub.
   KH_DONE, KH_DONE_NOT_OK: it is another, KH_FAILED. */
KH_API kh_result kh_client_is_me(kh_client *client, const char *party);

/* ---- any call (docs/API.md lists them) ---- */
typedef struct kh_client_param {
    const char *name, *value; /* value NULL: left out */
} kh_client_param;
typedef struct kh_client_request {
    const char *method, *path;    /* "GET", "/v1/balance"; what stands in the path is percent-encoded: kh_client_escape */
    const kh_client_param *query; /* query_cnt of them */
    uint32_t query_cnt;
    const char *json;     /* the body, or NULL */
    const char *file;     /* the body: a file's path, "-" standard input, or NULL. Results name it so */
    const char *together; /* names of columns, between blanks: consecutive lines that agree in them are sent in one piece; NULL:
                             any line stands alone */
    bool changes;         /* pieces are sent one after another */
} kh_client_request;
/* kh_client_call asks, follows `next` pages (unless the query says `limit`), and gives the rows. The rows "import" of a file's
 * pieces become one. */
KH_API kh_result kh_client_call(kh_client *client, const kh_client_request *request, const kh_result_sink *sink);
/* kh_client_escape percent-encodes text for a path into ret (cap bytes); false where it does not fit. */
KH_API bool kh_client_escape(const char *text, char *ret, size_t cap);

/* ---- parties (主体), documents (单证) ---- */
KH_API kh_result kh_client_me(kh_client *client, const kh_result_sink *sink);
KH_API kh_result kh_client_import_file(kh_client *client, const char *file, const kh_import_options *options,
                                       const kh_result_sink *sink);
KH_API kh_result kh_client_verify_file(kh_client *client, const char *file, const kh_result_sink *sink);
/* `as` of a paper, application or event is NULL or the certificate's party. */
KH_API kh_result kh_client_balance(kh_client *client, const kh_paper *paper, const kh_result_sink *sink);
KH_API kh_result kh_client_history(kh_client *client, const kh_paper *paper, const kh_result_sink *sink);
KH_API kh_result kh_client_alerts(kh_client *client, const kh_result_sink *sink);

/* ---- officers' changes of a cluster (docs/CLI.md, change) ----
   A change is a text (JSON) that is made by one, signed by k officers one after the other, and submitted by whoever has a
   member's certificate. *ret_json: malloc'ed. kind and fields: member {id role name uscc sender ack attest box consensus status},
   validator {member power}, epoch {group}, rule {name value}, rate {from to value date source}, party {id status}, lost {digest},
   officers {k, key: as often as there are}; status: active, frozen, expelled. */
KH_API kh_result kh_client_change_make(kh_client *client, const char *kind, const kh_client_param fields[], uint32_t field_cnt,
                                       char **ret_json);
/* kh_client_change_sign adds officer's signature, counted from 1; key_file as of `sign` above. No hub is asked. */
KH_API kh_result kh_client_change_sign(const char *json, uint32_t officer, const char *key_file, char *ret_message, size_t cap,
                                       char **ret_json);
/* kh_client_change_submit gives the row {result height} when it is ordered. */
KH_API kh_result kh_client_change_submit(kh_client *client, const char *json, const kh_result_sink *sink);

/* ---- financings (融资) ---- */
KH_API kh_result kh_client_apply(kh_client *client, const kh_apply_request *request, const kh_result_sink *sink);
KH_API kh_result kh_client_apply_file(kh_client *client, const char *file, bool allow_partial, const kh_result_sink *sink);
KH_API kh_result kh_client_event(kh_client *client, const kh_event_request *request, const kh_result_sink *sink);
KH_API kh_result kh_client_events_file(kh_client *client, const char *file, const kh_result_sink *sink);
KH_API kh_result kh_client_financing(kh_client *client, const char *id, const kh_result_sink *sink);
KH_API kh_result kh_client_financings(kh_client *client, const char *state, const kh_result_sink *sink); /* state NULL: all */

/* kh_client_receipt gives the text of the receipt that proves a financing (docs/PROOFS.md), in one piece; financing: the bank's
   number. KH_DONE_NOT_OK: there is none, or not yet. */
KH_API kh_result kh_client_receipt(kh_client *client, const char *financing, void (*give)(void *ctx, const char *text, size_t n),
                                   void *ctx);

/* ---- programs: plain structs in bulk ---- */
/* kh_client_document_id computes the 16-byte id of KIND:NUMBER[@ISSUER]; false if that is malformed. Pure. */
KH_API bool kh_client_document_id(const char *document, kh_id *ret);
KH_API const char *kh_client_code_word(uint16_t code);
/* kh_client_lookup answers n questions over sealed datagrams; datagrams that get lost are sent again. The session is opened by
   the first call and renewed as needed. KH_FAILED where no datagrams get through: kh_client_verify_file asks the same over HTTPS.
 */
KH_API kh_result kh_client_lookup(kh_client *client, const kh_lookup_question questions[], uint32_t n, kh_lookup_answer ret[]);
/* kh_client_submit sends n one-document applications, 1 <= n, as batches of `batch` (1 to 8192; 0: 256), `in_flight` (1 to 64; 0:
   4) of them under way at once, and returns when all are durable. From 1,024 applications on they go in sealed datagrams where
   the hub takes them and they get through, else over HTTPS, each batch on a connection of its own; so they are decided in any
   order. On KH_FAILED ret[].height is 0 for those without an answer: send them again. `bank` of each is the certificate's party.
 */
KH_API kh_result kh_client_submit(kh_client *client, const kh_reserve requests[], uint32_t n, uint32_t batch, uint32_t in_flight,
                                  kh_reserved ret[]);

#ifdef __cplusplus
}
#endif
#endif
