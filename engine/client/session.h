/* session: what a channel of sealed datagrams needs, out of POST /v1/sessions: the keys are exported from the TLS connection that
 * asked, while the answer is being read. */
#ifndef KH_CLIENT_SESSION_H
#define KH_CLIENT_SESSION_H
#include "client/connection.h"
#include "client/datagram.h"

typedef struct kh_session_opened {
    kh_channel_options channel; /* its address points into `address`; wipe the keys after use */
    char address[80];
    uint64_t expires_s; /* from now */
} kh_session_opened;

/* kh_client_session asks for a session. The struct must not move. */
kh_result kh_client_session(kh_client *client, kh_session_opened *ret);
void kh_session_opened_wipe(kh_session_opened *opened);

/* kh_client_channel gives the client's channel, of one session after another: opened by the first call, renewed before it
   expires, and where anew says that it is silent. The client's until it is closed. */
kh_result kh_client_channel(kh_client *client, bool anew, kh_channel **ret);
typedef struct kh_session_kept kh_session_kept;
void kh_session_kept_close(kh_session_kept *session); /* NULL: nothing */
#endif
