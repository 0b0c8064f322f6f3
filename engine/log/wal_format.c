/* wal_format: headers of records and segments to bytes and back. */
#include "log/wal_format.h"
#include "crypto/digest.h"

static const uint8_t record_magic[4] = {'K', 'H', 'R', '1'};
static const uint8_t segment_magic[8] = {'K', 'H', 'W', 'A', 'L', 'S', 'E', 'G'};

/* A record's header; its own checksum stands last and covers all before it. */
enum {
    KIND_AT = 4,
    HEIGHT_AT = 8,
    TIME_AT = 16,
    SEQUENCE_AT = 24,
    DURABLE_AT = 32,
    POSITION_AT = 40,
    BODY_SZ_AT = 48,
    OP_CNT_AT = 52,
    EPOCH_AT = 56,
    ZERO_AT = 60,
    BODY_CHECK_AT = 64,
    PREVIOUS_AT = 72,
    DIGEST_AT = 104,
    CHECK_AT = 136
};
_Static_assert(DIGEST_AT + 32 == CHECK_AT && CHECK_AT + 8 == KH_WAL_HEADER_SZ, "the header has no gaps");

/* A segment's head block: zeros behind the checksum. */
enum { SEG_VERSION_AT = 8, SEG_ZERO_AT = 12, SEG_NUMBER_AT = 16, SEG_SIZE_AT = 24, SEG_CHECK_AT = 32, SEG_HEADER_SZ = 40 };

void kh_wal_digest(const kh_wal_header *header, const uint8_t *body, uint8_t ret[32])
{
    uint8_t fixed[24];
    kh_sha256_state sha;
    kh_store64(fixed, header->height);
    kh_store64(fixed + 8, header->time_ns);
    kh_store32(fixed + 16, header->op_cnt);
    kh_store32(fixed + 20, header->body_sz);
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, header->previous, 32);
    kh_sha256_update(&sha, fixed, sizeof fixed);
    if (header->body_sz > 0) kh_sha256_update(&sha, body, header->body_sz);
    kh_sha256_final(&sha, ret);
}

void kh_wal_header_encode(const kh_wal_header *header, uint8_t ret[KH_WAL_HEADER_SZ])
{
    memcpy(ret, record_magic, 4);
    kh_store32(ret + KIND_AT, header->kind);
    kh_store64(ret + HEIGHT_AT, header->height);
    kh_store64(ret + TIME_AT, header->time_ns);
    kh_store64(ret + SEQUENCE_AT, header->sequence);
    kh_store64(ret + DURABLE_AT, header->durable_upto);
    kh_store64(ret + POSITION_AT, header->position);
    kh_store32(ret + BODY_SZ_AT, header->body_sz);
    kh_store32(ret + OP_CNT_AT, header->op_cnt);
    kh_store32(ret + EPOCH_AT, header->epoch);
    kh_store32(ret + ZERO_AT, 0);
    kh_store64(ret + BODY_CHECK_AT, header->body_check);
    memcpy(ret + PREVIOUS_AT, header->previous, 32);
    memcpy(ret + DIGEST_AT, header->digest, 32);
    kh_store64(ret + CHECK_AT, kh_xxh3(ret, CHECK_AT));
}

kh_err kh_wal_header_decode(const uint8_t bytes[KH_WAL_HEADER_SZ], kh_wal_header *ret)
{
    if (memcmp(bytes, record_magic, 4) != 0 || kh_load64(bytes + CHECK_AT) != kh_xxh3(bytes, CHECK_AT)) return KH_E_FORMAT;
    kh_wal_header h = {
        .kind = kh_load32(bytes + KIND_AT),
        .body_sz = kh_load32(bytes + BODY_SZ_AT),
        .height = kh_load64(bytes + HEIGHT_AT),
        .time_ns = kh_load64(bytes + TIME_AT),
        .sequence = kh_load64(bytes + SEQUENCE_AT),
        .durable_upto = kh_load64(bytes + DURABLE_AT),
        .position = kh_load64(bytes + POSITION_AT),
        .op_cnt = kh_load32(bytes + OP_CNT_AT),
        .epoch = kh_load32(bytes + EPOCH_AT),
        .body_check = kh_load64(bytes + BODY_CHECK_AT),
    };
    memcpy(h.previous, bytes + PREVIOUS_AT, 32);
    memcpy(h.digest, bytes + DIGEST_AT, 32);
    if (h.kind != KH_WAL_ENTRY && h.kind != KH_WAL_MARK) return KH_E_FORMAT;
    if (h.body_sz > KH_ENTRY_MAX_SZ || kh_load32(bytes + ZERO_AT) != 0) return KH_E_FORMAT;
    if (h.kind == KH_WAL_MARK && (h.body_sz != 0 || h.op_cnt != 0)) return KH_E_FORMAT;
    *ret = h;
    return KH_OK;
}

void kh_wal_segment_encode(uint64_t number, uint64_t size, uint8_t ret[KH_WAL_BLOCK_SZ])
{
    memset(ret, 0, KH_WAL_BLOCK_SZ);
    memcpy(ret, segment_magic, 8);
    kh_store32(ret + SEG_VERSION_AT, KH_WAL_VERSION);
    kh_store64(ret + SEG_NUMBER_AT, number);
    kh_store64(ret + SEG_SIZE_AT, size);
    kh_store64(ret + SEG_CHECK_AT, kh_xxh3(ret, SEG_CHECK_AT));
}

kh_err kh_wal_segment_decode(const uint8_t bytes[KH_WAL_BLOCK_SZ], uint64_t *ret_number, uint64_t *ret_size)
{
    if (memcmp(bytes, segment_magic, 8) != 0) return KH_E_FORMAT;
    if (kh_load64(bytes + SEG_CHECK_AT) != kh_xxh3(bytes, SEG_CHECK_AT)) return KH_E_FORMAT;
    if (kh_load32(bytes + SEG_VERSION_AT) != KH_WAL_VERSION) return KH_E_VERSION;
    if (kh_load32(bytes + SEG_ZERO_AT) != 0 || !kh_wal_is_zero(bytes + SEG_HEADER_SZ, KH_WAL_BLOCK_SZ - SEG_HEADER_SZ))
        return KH_E_FORMAT;
    uint64_t size = kh_load64(bytes + SEG_SIZE_AT);
    if (size < 2 * KH_WAL_BLOCK_SZ || size > KH_WAL_SEGMENT_MAX_SZ || size % KH_WAL_BLOCK_SZ != 0) return KH_E_FORMAT;
    *ret_number = kh_load64(bytes + SEG_NUMBER_AT);
    *ret_size = size;
    return KH_OK;
}

bool kh_wal_is_zero(const uint8_t *p, size_t n)
{
    uint64_t any = 0;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        for (size_t j = 0; j < 64; j += 8) any |= kh_load64(p + i + j);
        if (any != 0) return false;
    }
    for (; i < n; i++) any |= p[i];
    return any == 0;
}
