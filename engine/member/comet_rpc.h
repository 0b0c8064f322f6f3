/* comet_rpc: questions to this node's own CometBFT over plain HTTP: a connection a question, at most KH_COMET_PATIENCE_S. */
#ifndef KH_MEMBER_COMET_RPC_H
#define KH_MEMBER_COMET_RPC_H
#include "base/base.h"

#define KH_COMET_PATIENCE_S 5
#define KH_COMET_ANSWER_MAX_SZ (32u << 20)

/* kh_comet_get: rpc: http://ADDRESS:PORT (config.h). *ret: the answer's body, malloc'ed. KH_E_CLOSED: it cannot be reached;
   KH_E_NOT_FOUND: it answers with an error (a height that is not there yet, or not any more). */
KH_MUST kh_err kh_comet_get(const char *rpc, const char *path, char **ret, size_t *ret_n);
#endif
