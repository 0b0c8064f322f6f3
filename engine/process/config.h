/* config: kanhed's configuration: one libconfig file, every key of it checked. conf/hub.conf explains each, conf/node.conf and
 * conf/cluster-hub.conf those of a cluster.
 *
 * A key that is not known, of another type or out of its range is an error that names the key and its line: nothing is ignored.
 * Relative paths are relative to the file's folder. Pure but for kh_config_load's reading. */
#ifndef KH_PROCESS_CONFIG_H
#define KH_PROCESS_CONFIG_H
#include "base/base.h"

#define KH_CONFIG_PATH_MAX 480u
#define KH_CONFIG_ADDRESS_MAX 120u
#define KH_CONFIG_CPUS_MAX 64u
#define KH_CONFIG_FILE_MAX_SZ (1u << 20)
#define KH_CONFIG_PEERS_MAX 64u
#define KH_CONFIG_HUBS_MAX 16u

typedef struct kh_config_member { /* another member of the cluster, and where it is */
    uint32_t member;
    char at[KH_CONFIG_ADDRESS_MAX];
} kh_config_member;

typedef struct kh_config {
    char file[KH_CONFIG_PATH_MAX]; /* that was read; "": none */
    char data[KH_CONFIG_PATH_MAX];
    char listen[KH_CONFIG_ADDRESS_MAX], url[KH_CONFIG_PATH_MAX];
    char ca[KH_CONFIG_PATH_MAX], certificate[KH_CONFIG_PATH_MAX], key[KH_CONFIG_PATH_MAX]; /* key: a path, or a pkcs11: URI */
    char crl[KH_CONFIG_PATH_MAX];                                                          /* "": none */
    struct {
        char listen[4 * KH_CONFIG_ADDRESS_MAX]; /* up to 4 addresses with commas between, of one port; "": no datagrams */
        char address[KH_CONFIG_ADDRESS_MAX];    /* what clients are told; "": the first of listen, with the port that it got */
        char dpdk[1024];                        /* EAL arguments; "": kernel sockets */
        uint32_t pollers, spin_us, max_sessions, session_s;
        bool trust_peers;
        uint32_t cpu_cnt;
        int cpus[KH_CONFIG_CPUS_MAX];
    } datagrams;
    struct {
        char probe[32], query[32], operation[32], address[32]; /* "BURST/PER_SECOND" or "off" */
    } limits;
    uint32_t max_connections, max_connections_per_address, idle_s, max_body, queue;
    uint32_t prepare_documents, prepare_financings; /* for which memory is made ready at the start */
    uint32_t workers;                               /* 0: http's own choice */
    char metrics_listen[KH_CONFIG_ADDRESS_MAX];     /* "": none */
    char openapi[KH_CONFIG_PATH_MAX];               /* "": none */
    char user[64];                                  /* "": stay who we are */
    char log[KH_CONFIG_PATH_MAX];                   /* "": stderr */
    bool log_requests, sandbox;
    struct {
        bool on;                                                    /* the group stands in the file */
        uint32_t member;                                            /* who this node is */
        char genesis[KH_CONFIG_PATH_MAX], abci[KH_CONFIG_PATH_MAX]; /* a file, a socket */
        char keys[KH_CONFIG_PATH_MAX];                              /* a folder (app/cluster_keys.h) */
        char cometbft_rpc[KH_CONFIG_ADDRESS_MAX];                   /* http://ADDRESS:PORT; "": none */
        uint32_t snapshot_blocks;   /* between two snapshots of the order; 0: KH_SNAPSHOT_BLOCKS */
        uint32_t checkpoint_blocks; /* between two checkpoints, at all hubs the same; 0: KH_CHECKPOINT_BLOCKS */
        struct {
            char listen[KH_CONFIG_ADDRESS_MAX];
            char ca[KH_CONFIG_PATH_MAX], certificate[KH_CONFIG_PATH_MAX], key[KH_CONFIG_PATH_MAX];
            char crl[KH_CONFIG_PATH_MAX]; /* "": none */
            uint32_t peer_cnt;
            kh_config_member peers[KH_CONFIG_PEERS_MAX]; /* ADDRESS:PORT */
        } links;
        uint32_t hub_cnt;
        kh_config_member hubs[KH_CONFIG_HUBS_MAX]; /* https://ADDRESS:PORT; whom a bank's node asks, with its own certificate */
    } cluster;
} kh_config;

/* kh_config_parse reads text; folder is what relative paths are relative to, name what errors call the file. False with a
   sentence in why (name and line in front), and *ret undefined. */
KH_MUST bool kh_config_parse(const char *text, const char *folder, const char *name, kh_config *ret, char *why, size_t cap);
/* kh_config_load reads a file; ret->file is its path, to read it again. */
KH_MUST bool kh_config_load(const char *path, kh_config *ret, char *why, size_t cap);
/* kh_config_split takes "ADDRESS:PORT" or "[ADDRESS]:PORT" apart; false where it is neither or the port is above 65535. */
KH_MUST bool kh_config_split(const char *address, char ret_host[KH_CONFIG_ADDRESS_MAX], uint16_t *ret_port);
/* kh_config_told writes the address that clients of datagrams are told: the key `address`, or the first of `listen`. */
void kh_config_told(const kh_config *config, char ret[KH_CONFIG_ADDRESS_MAX]);
/* kh_config_is_token: the key is in a PKCS#11 token. */
bool kh_config_is_token(const kh_config *config);
/* kh_config_url writes what clients connect to: the key `url`, else https:// and `listen` with this port, a wildcard address
   as localhost. */
void kh_config_url(const kh_config *config, uint16_t port, char *ret, size_t cap);
#endif
