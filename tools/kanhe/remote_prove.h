/* remote_prove: `kanhe prove`: a receipt from a node into -o FILE, or to standard output. */
#ifndef KANHE_REMOTE_PROVE_H
#define KANHE_REMOTE_PROVE_H
#include "commands.h"
#include "remote_load.h"

kh_result remote_prove(command_context *c, const remote_library *l, kh_client *client);
#endif
