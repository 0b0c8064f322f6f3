/* protobuf: see protobuf.h. */
#include "abci/protobuf.h"

#define FIELD_NUMBER_MAX ((1u << 29) - 1)

kh_err kh_proto_varint_read(const uint8_t *p, size_t n, uint64_t *ret, size_t *ret_used)
{
    uint64_t value = 0;
    for (size_t i = 0; i < KH_PROTO_VARINT_SZ; i++) {
        if (i == n) return KH_E_AGAIN;
        if (i == KH_PROTO_VARINT_SZ - 1 && p[i] > 1) return KH_E_FORMAT;
        value |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (p[i] < 0x80) {
            *ret = value;
            *ret_used = i + 1;
            return KH_OK;
        }
    }
    return KH_E_FORMAT;
}

static bool varint(kh_span m, size_t *at, uint64_t *ret)
{
    size_t used;
    if (kh_proto_varint_read(m.p + *at, m.n - *at, ret, &used) != KH_OK) return false;
    *at += used;
    return true;
}

kh_err kh_proto_next(kh_span message, size_t *at, kh_proto_field *ret)
{
    kh_proto_field field = {0};
    size_t here = *at, sz = 0;
    uint64_t tag;
    if (here == message.n) return KH_E_NOT_FOUND;
    if (!varint(message, &here, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX) return KH_E_FORMAT;
    field.number = (uint32_t)(tag >> 3);
    field.type = (kh_proto_type)(tag & 7);
    switch (field.type) {
    case KH_PROTO_VARINT:
    case KH_PROTO_BYTES:
        if (!varint(message, &here, &field.value)) return KH_E_FORMAT;
        break;
    case KH_PROTO_64: sz = 8; break;
    case KH_PROTO_32: sz = 4; break;
    default: return KH_E_FORMAT;
    }
    if (field.type == KH_PROTO_BYTES) {
        if (field.value > message.n - here) return KH_E_FORMAT;
        sz = (size_t)field.value;
        field.bytes = (kh_span){message.p + here, sz};
    }
    if (sz > message.n - here) return KH_E_FORMAT;
    *at = here + sz;
    *ret = field;
    return KH_OK;
}

static void put(kh_proto_out *out, const void *p, size_t n)
{
    if (out->p != NULL && n != 0) memcpy(out->p + out->n, p, n);
    out->n += n;
}

void kh_proto_varint(kh_proto_out *out, uint64_t value)
{
    uint8_t bytes[KH_PROTO_VARINT_SZ];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) bytes[n++] = (uint8_t)(value | 0x80);
    bytes[n++] = (uint8_t)value;
    put(out, bytes, n);
}

static void out_tag(kh_proto_out *out, uint32_t field, kh_proto_type type)
{
    kh_proto_varint(out, (uint64_t)field << 3 | (uint64_t)type);
}

void kh_proto_number(kh_proto_out *out, uint32_t field, uint64_t value)
{
    if (value == 0) return;
    out_tag(out, field, KH_PROTO_VARINT);
    kh_proto_varint(out, value);
}

void kh_proto_head(kh_proto_out *out, uint32_t field, size_t n)
{
    out_tag(out, field, KH_PROTO_BYTES);
    kh_proto_varint(out, n);
}

void kh_proto_element(kh_proto_out *out, uint32_t field, kh_span bytes)
{
    kh_proto_head(out, field, bytes.n);
    put(out, bytes.p, bytes.n);
}

void kh_proto_bytes(kh_proto_out *out, uint32_t field, kh_span bytes)
{
    if (bytes.n != 0) kh_proto_element(out, field, bytes);
}
