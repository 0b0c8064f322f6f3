/* probe: the probe rule around one group of questions. */
#include "embed/embed.h"

uint32_t kh_probe_take(kh_engine *e, const kh_principal *who, uint32_t n, kh_probe *ret)
{
    *ret = (kh_probe){.party = who->party};
    if (!kh_limit_applies(e->limits, who)) return n;
    ret->limits = e->limits;
    ret->taken = kh_limits_take(e->limits, KH_LIMIT_PROBE, who->party, n, e->clock.monotonic(e->clock.self));
    return ret->taken;
}

void kh_probe_end(kh_probe *probe, uint32_t probe_cnt)
{
    if (probe->limits == NULL || probe_cnt >= probe->taken) return;
    kh_limits_give_back(probe->limits, KH_LIMIT_PROBE, probe->party, probe->taken - probe_cnt);
}
