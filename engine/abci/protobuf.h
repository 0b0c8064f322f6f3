/* protobuf: the little of proto3's wire format that ABCI needs: fields one after the other, and back. Inside abci alone.
 *
 * Source: protobuf.dev/programming-guides/encoding. Groups (wire types 3 and 4) are KH_E_FORMAT, so nothing recurses. */
#ifndef KH_ABCI_PROTOBUF_H
#define KH_ABCI_PROTOBUF_H
#include "abci/abci.h"

#define KH_PROTO_VARINT_SZ 10u

typedef enum kh_proto_type { KH_PROTO_VARINT = 0, KH_PROTO_64 = 1, KH_PROTO_BYTES = 2, KH_PROTO_32 = 5 } kh_proto_type;
typedef struct kh_proto_field {
    uint32_t number;
    kh_proto_type type;
    uint64_t value; /* of a varint; the fixed ones are passed over */
    kh_span bytes;
} kh_proto_field;

/* kh_proto_varint_read: KH_E_AGAIN: it goes on behind n; KH_E_FORMAT: it has more than 64 bits. Longer forms than needed are
 * taken. */
KH_MUST kh_err kh_proto_varint_read(const uint8_t *p, size_t n, uint64_t *ret, size_t *ret_used);
/* kh_proto_next reads the field at *at and moves behind it. KH_E_NOT_FOUND: the end; KH_E_FORMAT. */
KH_MUST kh_err kh_proto_next(kh_span message, size_t *at, kh_proto_field *ret);

/* Out: with p NULL only the size is counted. The caller has counted before it writes: there is always room. */
typedef struct kh_proto_out {
    uint8_t *p;
    size_t n;
} kh_proto_out;
void kh_proto_varint(kh_proto_out *out, uint64_t value);
void kh_proto_number(kh_proto_out *out, uint32_t field, uint64_t value); /* left out where it is 0 */
void kh_proto_bytes(kh_proto_out *out, uint32_t field, kh_span bytes);   /* left out where they are empty */
void kh_proto_element(kh_proto_out *out, uint32_t field, kh_span bytes); /* of a repeated field: an empty one stands too */
/* kh_proto_head begins a message of n bytes: its tag and length. */
void kh_proto_head(kh_proto_out *out, uint32_t field, size_t n);
#endif
