/* genesis_json: what a cluster begins with, as it stands in genesis.json under app_state.kanhe (docs/CLUSTER.md), and back.
 *
 * A field that is not known, lacks, or is of another type is refused by its name; whether keys and members are sound the order
 * says (kh_genesis_encode). Numbers of 64 bits are decimal texts, bytes lower-case hex. Of the rest of the file one thing
 * is looked at: each of CometBFT's validators has the power KH_COMET_POWER. */
#ifndef KH_MEMBER_GENESIS_JSON_H
#define KH_MEMBER_GENESIS_JSON_H
#include "order/order.h"

#define KH_GENESIS_FILE_MAX_SZ (16u << 20)

/* kh_genesis_json_read takes the text of genesis.json; kh_genesis_state_read that of app_state alone, as InitChain brings it.
   False with a sentence in why; *ret is freed by kh_genesis_free. */
KH_MUST bool kh_genesis_json_read(const char *json, size_t n, kh_genesis *ret, char *why, size_t cap);
KH_MUST bool kh_genesis_state_read(const char *json, size_t n, kh_genesis *ret, char *why, size_t cap);
KH_MUST bool kh_genesis_json_load(const char *path, kh_genesis *ret, char *why, size_t cap);
/* kh_genesis_state_write gives app_state's text, malloc'ed; NULL: out of memory, or names that are not UTF-8. */
char *kh_genesis_state_write(const kh_genesis *genesis);
#endif
