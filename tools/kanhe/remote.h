/* remote: a command done by a hub: its words and options become one call of the HTTPS API, and the rows that come back are
 * printed as the embedded engine's are.
 *
 * libkanhe-client is loaded when it is needed: with libcurl and what that needs it takes longer to load than a whole embedded
 * `balance`. */
#ifndef KANHE_REMOTE_H
#define KANHE_REMOTE_H
#include "commands.h"
#include <kanhe/client.h>

/* remote_asked: is a hub to be asked? By --connect, or by $KANHE_CONNECT where there is no --data. *ret: url, files and time-out.
   false with a usage message (ret_wrong, cap bytes, else "") where they are not sound. */
bool remote_asked(const args *given, kh_client_options *ret, char *ret_wrong, size_t cap);
/* remote_run does the command; c->message says what there is to say. */
kh_result remote_run(command_context *c, const char *name, const kh_client_options *options);
#endif
