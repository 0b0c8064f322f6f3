/* config_inside: what the files of config share with each other, and nobody else includes: the table's rows, and what reads a
 * value. */
#ifndef KH_PROCESS_CONFIG_INSIDE_H
#define KH_PROCESS_CONFIG_INSIDE_H
#include <libconfig.h>
#include "process/config.h"

typedef enum kh_value_kind {
    V_TEXT,
    V_PATH,
    V_KEY,
    V_ADDRESS,
    V_ADDRESSES,
    V_RATE,
    V_COUNT,
    V_BOOL,
    V_CPUS,
    V_URL,
    V_RPC,
    V_PEERS,
    V_HUBS
} kh_value_kind;
typedef struct kh_config_key {
    const char *name;
    kh_value_kind kind;
    size_t offset, size;
    uint64_t least, most; /* of a count */
    bool needed;
} kh_config_key;

typedef struct kh_reading {
    const char *folder, *name;
    kh_config *config;
    char *why;
    size_t cap;
} kh_reading;
/* kh_config_wrong says what is wrong, with file and line (0: none) in front; false. */
bool kh_config_wrong(const kh_reading *r, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* kh_config_value reads one key's value into the configuration; named: the key's full name. [config_value.c] */
KH_MUST bool kh_config_value(const kh_reading *r, const kh_config_key *k, const config_setting_t *s, const char *named);
bool kh_config_wildcard(const char *host);
/* kh_config_first_address copies the address at *at and moves on behind the comma; false where there is none or it is too long.
 */
bool kh_config_first_address(const char **at, char ret[KH_CONFIG_ADDRESS_MAX]);
#endif
