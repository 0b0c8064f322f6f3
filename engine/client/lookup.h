/* lookup: a session of sealed datagrams, and the channel over it. */
#ifndef KH_CLIENT_LOOKUP_H
#define KH_CLIENT_LOOKUP_H
typedef struct kh_lookup_session kh_lookup_session;
void kh_lookup_session_close(kh_lookup_session *session); /* NULL: nothing */
#endif
