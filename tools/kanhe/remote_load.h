/* remote_load: the functions of libkanhe-client that the command uses. */
#ifndef KANHE_REMOTE_LOAD_H
#define KANHE_REMOTE_LOAD_H
#include <kanhe/client.h>

typedef struct remote_library {
    __typeof__(kh_client_open) *open;
    __typeof__(kh_client_close) *close;
    __typeof__(kh_client_message) *message;
    __typeof__(kh_client_http_status) *http_status;
    __typeof__(kh_client_call) *call;
    __typeof__(kh_client_escape) *escape;
    __typeof__(kh_client_is_me) *is_me;
    __typeof__(kh_client_receipt) *receipt;
    __typeof__(kh_client_change_make) *change_make;
    __typeof__(kh_client_change_sign) *change_sign;
    __typeof__(kh_client_change_submit) *change_submit;
} remote_library;

/* remote_load: NULL, or why the library cannot be had; lent. */
const char *remote_load(remote_library *ret);
#endif
