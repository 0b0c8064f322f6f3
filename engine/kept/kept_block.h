/* kept_block: what DIR/order/blocks and DIR/order/members hold of a height, as bytes and back (docs/CLUSTER.md); inside kept. */
#ifndef KH_KEPT_BLOCK_H
#define KH_KEPT_BLOCK_H
#include "kept/kept.h"

/* kh_kept_encode: with the hub set's public leaf and its path, as of after the block. *ret malloc'ed. */
KH_MUST kh_err kh_kept_encode(const kh_order_block *block, kh_order *order, uint8_t **ret, size_t *ret_n);
KH_MUST kh_err kh_kept_decode(uint64_t height, const uint8_t *p, size_t n, kh_kept_block **ret);
KH_MUST kh_err kh_kept_members_encode(const kh_order *order, uint8_t **ret, size_t *ret_n);
KH_MUST kh_err kh_kept_members_decode(const uint8_t *p, size_t n, kh_kept_member **ret, uint32_t *ret_cnt);
#endif
