/* drop: what privilege.c and drop.c share. */
#ifndef KH_PROCESS_DROP_H
#define KH_PROCESS_DROP_H
#include "base/base.h"

/* kh_privilege_capabilities: the kernel's bits of KH_KEEP_…. */
uint64_t kh_privilege_capabilities(uint32_t keep);
#endif
