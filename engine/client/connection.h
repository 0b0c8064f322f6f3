/* connection: inside libkanhe-client: the handle, and requests under way over TLS.
 *
 * A transfer is one request and its answer. Several may be under way; kh_transfers_step moves all of them on.
 * Threads  one a client.
 * Memory   a request's body is lent until its transfer has ended; answers are handed on as they come.
 * Errors   a transfer ends with KH_DONE when a whole HTTP answer came, whatever its status; else KH_FAILED with a sentence. */
#ifndef KH_CLIENT_CONNECTION_H
#define KH_CLIENT_CONNECTION_H
#include "base/base.h"
#include <curl/curl.h>
#include <kanhe/client.h>

#define KH_CLIENT_TRANSFERS 64u /* under way at once, at most */

typedef struct kh_transfer {
    CURL *easy; /* NULL: not under way */
    struct curl_slist *headers;
    /* give: bytes of the answer's body; false: they are no answer of a hub, stop. */
    bool (*give)(void *ctx, const char *p, size_t n);
    void *ctx;
    char content_type[80]; /* of the answer, once its header has come */
    char why[CURL_ERROR_SIZE];
    double last_s; /* when something last moved */
    curl_off_t moved;
    bool held; /* the answer waits for its turn: no time-out */
    bool ended;
    CURLcode code;
    long http_status;
    kh_result result; /* when it has ended */
} kh_transfer;

struct kh_session_kept;
struct kh_signing;
struct kh_client {
    char *url, *ca, *cert, *key; /* url without a slash at its end */
    char *sign, *sources;        /* NULL: none */
    bool sign_found;
    double timeout_s;
    uint32_t party; /* that the certificate names; 0: it names none, or is not a file */
    CURLM *multi;
    kh_transfer *under_way[KH_CLIENT_TRANSFERS];
    uint32_t under_way_cnt;
    uint32_t http_status;
    bool attested;                   /* questions about documents: of a quorum */
    struct kh_session_kept *session; /* session.c's; NULL: none yet */
    bool no_datagrams;               /* nobody wants them for operations, or they do not get through */
    struct kh_signing *signing;      /* signing.c's; NULL: not begun */
    char message[700];
};

double kh_client_now_s(void);
/* kh_client_say sets the message and gives back `result`. */
kh_result kh_client_say(kh_client *c, kh_result result, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* kh_transfer_begin sends method path?query with a body (NULL: none) of a content type. t: zeroed but for give and ctx. */
kh_result kh_transfer_begin(kh_client *c, kh_transfer *t, const char *method, const char *path_and_query, const char *accept,
                            const char *content_type, const void *body, size_t n);
/* kh_transfer_again, where t has ended: the same request with another body; as begin, without making it anew. */
kh_result kh_transfer_again(kh_client *c, kh_transfer *t, const void *body, size_t n);
/* kh_transfers_step moves on what is under way; waits, at most wait_s, when nothing can. Ends those without life. */
void kh_transfers_step(kh_client *c, double wait_s);
/* kh_transfer_busy: the hub was too busy to do anything (503): how long it asks to wait; 0: it was not. */
double kh_transfer_busy_s(const kh_transfer *t);
/* kh_transfers_wait lets time pass; what is under way goes on. */
void kh_transfers_wait(kh_client *c, double seconds);
/* kh_transfer_release: the answer has its turn, after `held`. */
void kh_transfer_release(kh_transfer *t);
/* kh_transfer_end frees what begin took, whether it has ended or not. Its connection stays where its answer was whole. */
void kh_transfer_end(kh_client *c, kh_transfer *t);
/* kh_transfer_say puts into the message why a transfer failed; gives its result. */
kh_result kh_transfer_say(kh_client *c, const kh_transfer *t);

/* identity.c: the party that a certificate's CN names; 0: none, or it cannot be read. */
uint32_t kh_client_party_of(const char *certificate);
#endif
