/* wal_format: the bytes of the write-ahead log (docs/FORMAT.md, "Write-ahead log"): headers to bytes and back.
 *
 * A segment is a file: one head block, then records back to back, then zeros. A record is a header, a body and zeros up to
 * a multiple of 4096. An entry carries operations; a mark carries none and says that all up to its height is durable. */
#ifndef KH_LOG_WAL_FORMAT_H
#define KH_LOG_WAL_FORMAT_H
#include "log/log.h"

#define KH_WAL_BLOCK_SZ 4096u
#define KH_WAL_HEADER_SZ 144u
#define KH_WAL_VERSION 1u
#define KH_WAL_SEGMENT_FIRST_SZ (UINT64_C(1) << 20)
#define KH_WAL_SEGMENT_MAX_SZ (UINT64_C(64) << 20)

typedef enum kh_wal_kind { KH_WAL_ENTRY = 1, KH_WAL_MARK = 2 } kh_wal_kind;

typedef struct kh_wal_header {
    uint32_t kind;
    uint32_t body_sz; /* 0 .. KH_ENTRY_MAX_SZ; marks: 0 */
    uint64_t height;  /* marks: of the last entry */
    uint64_t time_ns;
    uint64_t sequence;     /* counts records from 1, marks too */
    uint64_t durable_upto; /* the highest height known to be durable when this was written */
    uint64_t position;     /* segment number << 32 | offset: where this record belongs */
    uint32_t op_cnt;
    uint32_t epoch; /* from 1; raised whenever a tail is cut */
    uint64_t body_check;
    uint8_t previous[32];
    uint8_t digest[32]; /* marks: the same as previous */
} kh_wal_header;

/* kh_wal_record_sz is the bytes a record takes on disk. */
static inline uint64_t kh_wal_record_sz(uint32_t body_sz)
{
    return ((uint64_t)KH_WAL_HEADER_SZ + body_sz + KH_WAL_BLOCK_SZ - 1) & ~(uint64_t)(KH_WAL_BLOCK_SZ - 1);
}

/* kh_wal_digest is the hash chain's next head: SHA-256 over previous, height, time, operation count, body length, body. */
void kh_wal_digest(const kh_wal_header *header, const uint8_t *body, uint8_t ret[32]);

void kh_wal_header_encode(const kh_wal_header *header, uint8_t ret[KH_WAL_HEADER_SZ]);
/* kh_wal_header_decode: KH_E_FORMAT when the bytes are no header, or not as written. */
KH_MUST kh_err kh_wal_header_decode(const uint8_t bytes[KH_WAL_HEADER_SZ], kh_wal_header *ret);

void kh_wal_segment_encode(uint64_t number, uint64_t size, uint8_t ret[KH_WAL_BLOCK_SZ]);
/* kh_wal_segment_decode: KH_E_FORMAT, or KH_E_VERSION for a later version of this format. */
KH_MUST kh_err kh_wal_segment_decode(const uint8_t bytes[KH_WAL_BLOCK_SZ], uint64_t *ret_number, uint64_t *ret_size);

bool kh_wal_is_zero(const uint8_t *p, size_t n);
#endif
