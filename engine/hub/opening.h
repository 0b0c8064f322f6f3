/* opening: what the banks' views begin with where a directory of one machine moved up: each bank's financings as they stood, a
 * package a bank (attest.h; of height 0, with the checkpoint digest where the chain stands: the chain covers the root). The root
 * over all of them stands in the genesis: a bank's package shows that it is that state's, whole, and tells nothing of others;
 * hubs, who have the state and the group's key, make the same and compare. */
#ifndef KH_HUB_OPENING_H
#define KH_HUB_OPENING_H
#include "cluster/node.h"
#include "store/store.h"

/* kh_opening_make gathers what the store holds, as read, and ends the maker: packages are had of it (kh_maker_package, by place
   in banks). banks: ascending. group_secret: of epoch 1. KH_E_NOT_FOUND: a financing of a bank that is not among them. Memory:
   some 400 bytes a financing. */
KH_MUST kh_err kh_opening_make(kh_store *store, const uint8_t group_secret[KH_SECRET_SZ], const uint8_t checkpoint[32],
                               const uint32_t *banks, uint32_t n, kh_maker *maker, uint8_t ret_root[32]);
/* kh_opening_check: is the genesis' opening that of this store? One that says none fits. KH_E_FORMAT: it is not; what
   kh_opening_make says. */
KH_MUST kh_err kh_opening_check(kh_store *store, const kh_genesis *genesis, const uint8_t group_secret[KH_SECRET_SZ]);
#endif
