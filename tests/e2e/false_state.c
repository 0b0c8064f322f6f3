/* false_state: what a lying hub makes of a state of a checkpoint that its node holds: another, signed and sealed as it should be.
 *
 *   false_state DATA KEYS MEMBER HEIGHT epoch|count   DATA/states/HEIGHT.state becomes the false one
 *
 * epoch: sealed to the group's key of an epoch that there never was. count: the newest outputs of one bank begin and end at
 * another number; all that a digest covers stays as it is. While no kanhed runs on DATA; of suite intl. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "member/keys.h"
#include "states/state_form.h"
#include "states/states.h"
#include "host/host.h"

enum { CHAIN_AT = 32, HEAD_SZ = 160, COUNT_AT = 40, NEVER = 7 };

static kh_cluster_keys keys;
static uint8_t *stream;
static size_t stream_n;

static void fail(const char *what)
{
    (void)fprintf(stderr, "false_state: %s\n", what);
    exit(1);
}

static const kh_box *box_of(void *ctx, uint32_t epoch) { return (void)ctx, epoch == 1 ? keys.groups[0] : NULL; }

static void read_all(kh_states *s, uint64_t height)
{
    size_t got = 1;
    kh_state_of of;
    kh_state_reader *r = NULL;
    if (kh_states_read(s, height, box_of, NULL, &of, &r) != KH_OK) fail("the state cannot be read");
    stream = malloc(of.size + 1);
    while (stream != NULL && got != 0 && stream_n <= of.size) {
        if (kh_state_reader_read(r, stream + stream_n, of.size + 1 - stream_n, &got) != KH_OK) fail("a piece of it");
        stream_n += got;
    }
    kh_state_reader_close(r);
}

static void lie_of_count(void)
{
    uint8_t *newest = NULL;
    for (size_t at = KH_STATE_HEAD_SZ; at + KH_STATE_ITEM_SZ < stream_n;
         at += KH_STATE_ITEM_SZ + kh_load32(stream + at + KH_STATE_ITEM_AT_SIZE)) {
        if (kh_load32(stream + at) == KH_STATE_PACKAGE) newest = stream + at + KH_STATE_ITEM_SZ; /* of the last bank */
        if (kh_load32(stream + at) == KH_STATE_ITEMS_END) break;
    }
    if (newest == NULL) fail("no outputs in it");
    kh_store64(newest + COUNT_AT, kh_load64(newest + COUNT_AT) + 1);
}

static void make(kh_states *s, uint64_t height, uint32_t epoch)
{
    uint32_t maker = 0;
    uint8_t group[KH_PUBLIC_SZ];
    kh_state_maker *m = NULL;
    kh_box_public(keys.groups[0], group);
    if (kh_states_refuse(s, height, &maker) != KH_OK || kh_states_make(s, height, epoch, group, &m) != KH_OK) fail("no place");
    if (kh_state_maker_write(m, stream, stream_n) != KH_OK || kh_state_maker_end(m) != KH_OK) fail("it cannot be written");
}

static void chain_of(const char *data, const char *height, uint8_t ret[32])
{
    char path[1024];
    uint8_t head[HEAD_SZ];
    (void)snprintf(path, sizeof path, "%s/states/%s.state", data, height);
    FILE *f = fopen(path, "rb");
    if (f == NULL || fread(head, 1, sizeof head, f) != sizeof head) fail(path);
    fclose(f);
    memcpy(ret, head + CHAIN_AT, 32);
}

int main(int argc, char **argv)
{
    char why[300] = "";
    kh_disk disk;
    kh_states *s = NULL;
    const kh_entropy entropy = kh_host_entropy();
    const kh_clock clock = kh_host_clock();
    if (argc != 6) fail("DATA KEYS MEMBER HEIGHT epoch|count");
    if (!kh_cluster_keys_read(KH_SUITE_INTL, argv[2], (uint32_t)geteuid(), &keys, why, sizeof why)) fail(why);
    if (kh_host_disk_open(true, &disk) != KH_OK) fail("the disk");
    kh_states_options o = {.self = (uint32_t)strtoul(argv[3], NULL, 10),
                           .suite = KH_SUITE_INTL,
                           .sign = keys.attest,
                           .disk = &disk,
                           .dir = argv[1],
                           .entropy = &entropy,
                           .clock = &clock};
    chain_of(argv[1], argv[4], o.chain);
    if (kh_states_open(&o, why, sizeof why, &s) != KH_OK) fail(why);
    uint64_t height = strtoull(argv[4], NULL, 10);
    read_all(s, height);
    bool epoch = strcmp(argv[5], "epoch") == 0;
    if (!epoch) lie_of_count();
    make(s, height, epoch ? NEVER : 1);
    kh_states_close(s);
    kh_host_disk_close(&disk);
    kh_cluster_keys_drop(&keys);
    free(stream);
    return 0;
}
