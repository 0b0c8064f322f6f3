/* address: "ADDRESS:PORT" texts, numeric only: "127.0.0.1:8444", "[::1]:8444"; a list has commas and one port. Pure. */
#ifndef KH_INGEST_ADDRESS_H
#define KH_INGEST_ADDRESS_H
#include "ingest/frame.h"

/* kh_address_parse_list: false where a text is no such list, has more than KH_FRAME_ADDRESSES_MAX, or ports that differ. */
KH_MUST bool kh_address_parse_list(const char *text, kh_frame_address ret[KH_FRAME_ADDRESSES_MAX], uint32_t *ret_cnt,
                                   uint16_t *ret_port);
bool kh_address_is_wildcard(const kh_frame_address *address);
#endif
