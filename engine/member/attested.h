/* attested: a quorum's attestations of a height, out of the chain. Threads  any. */
#ifndef KH_MEMBER_ATTESTED_H
#define KH_MEMBER_ATTESTED_H
#include "kept/kept.h"

/* kh_cluster_attestations finds equal attestations of the block `of` by a quorum of the hubs that stood under it, ascending by
   hub; signatures are not looked at: consensus did. rpc: CometBFT's. KH_E_NOT_FOUND: no quorum in the next 4,096 blocks that have
   any attestation, or CometBFT has those blocks no more; what kh_comet_get says otherwise. */
KH_MUST kh_err kh_cluster_attestations(kh_kept *kept, const char *rpc, const kh_kept_block *of, kh_attestation *ret, uint32_t max,
                                       uint32_t *ret_cnt);
#endif
