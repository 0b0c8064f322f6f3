/* start: DIR/start, the entry that a directory begins behind: what its checkpoint said of it. DIR/format holds its digest. */
#include "store/parts.h"

enum { AT_NUMBER = 8, AT_TIME = 16, AT_LOG = 24, AT_CHAIN = 56, AT_CHECKPOINT = 88, AT_ZERO = 120, AT_CHECK = KH_START_SZ - 8 };
static const char magic[8] = {'K', 'H', 'S', 'T', 'A', 'R', 'T', '1'};

void kh_start_encode(const kh_start *start, uint8_t ret[KH_START_SZ])
{
    memset(ret, 0, KH_START_SZ);
    memcpy(ret, magic, sizeof magic);
    kh_store64(ret + AT_NUMBER, start->number);
    kh_store64(ret + AT_TIME, start->time_ns);
    memcpy(ret + AT_LOG, start->log_digest, 32);
    memcpy(ret + AT_CHAIN, start->chain, 32);
    memcpy(ret + AT_CHECKPOINT, start->checkpoint, 32);
    kh_store64(ret + AT_CHECK, kh_xxh3(ret, AT_CHECK));
}

kh_err kh_start_decode(const uint8_t p[KH_START_SZ], kh_start *ret)
{
    uint8_t again[KH_START_SZ];
    kh_start s = {.number = kh_load64(p + AT_NUMBER), .time_ns = kh_load64(p + AT_TIME)};
    memcpy(s.log_digest, p + AT_LOG, 32);
    memcpy(s.chain, p + AT_CHAIN, 32);
    memcpy(s.checkpoint, p + AT_CHECKPOINT, 32);
    kh_start_encode(&s, again); /* one way to write it: zeros and checksum are compared with all else */
    if (s.number == 0 || memcmp(again, p, KH_START_SZ) != 0) return KH_E_DAMAGED;
    *ret = s;
    return KH_OK;
}
