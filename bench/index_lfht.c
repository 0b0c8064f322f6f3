/* index_lfht: liburcu's lock-free table, pre-sized, nodes side by side in 2 MiB pages. */
#include "index_peer.h"
#include <sys/mman.h>
#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>

typedef struct node {
    struct cds_lfht_node link;
    kh_key key;
    void *value;
} node;

static struct cds_lfht *table;
static node *nodes;
static uint64_t node_cnt;

static unsigned long hash_of(const kh_key *key) { return (unsigned long)kh_xxh3(key->b, sizeof key->b); }

static int same(struct cds_lfht_node *link, const void *key)
{
    return kh_key_equal(&caa_container_of(link, node, link)->key, key);
}

static bool open_table(uint64_t entries)
{
    unsigned long size = 1;
    while (size < entries) size <<= 1;
    size_t nodes_sz = (entries * sizeof(node) + (2 << 20)) & ~(size_t)((2 << 20) - 1);
    nodes = mmap(NULL, nodes_sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (nodes == MAP_FAILED) return false;
    (void)madvise(nodes, nodes_sz, MADV_HUGEPAGE);
    table = cds_lfht_new(size, size, size, 0, NULL);
    return table != NULL;
}

static bool add(const kh_key *key, void *value)
{
    node *n = &nodes[node_cnt++];
    n->key = *key;
    n->value = value;
    cds_lfht_node_init(&n->link);
    return cds_lfht_add_unique(table, hash_of(key), same, key, &n->link) == &n->link;
}

static uint32_t bulk(const kh_key keys[], uint32_t n, void *ret_values[])
{
    uint32_t hits = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct cds_lfht_iter at;
        cds_lfht_lookup(table, hash_of(&keys[i]), same, &keys[i], &at);
        struct cds_lfht_node *found = cds_lfht_iter_get_node(&at);
        ret_values[i] = found == NULL ? NULL : caa_container_of(found, node, link)->value;
        hits += found != NULL;
    }
    return hits;
}

static void close_table(void) {} /* the process ends */

const index_peer index_peer_cds_lfht = {"cds_lfht", open_table, add, bulk, close_table};
