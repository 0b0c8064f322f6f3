/* generate_consent: grants, look-ups under them and the risk list; few numbers, few subjects, so that they meet. */
#include "generate.h"
#include <stdio.h>

#define WORLD_START_S UINT64_C(1796000000)

static bool chance(generator *g, uint32_t percent) { return generator_random(g, 100) < percent; }
static uint32_t some_enterprise(generator *g) { return 21 + (uint32_t)generator_random(g, chance(g, 3) ? 5 : 3); }
static uint32_t some_bank(generator *g) { return chance(g, 3) ? 31 : generator_banks[generator_random(g, 3)]; }
static uint8_t some_scope(generator *g) { return (uint8_t)(1 + generator_random(g, 3)); }

/* Most often the one concerned, now and then the operator, the regulator or somebody else. */
static uint32_t some_speaker(generator *g, uint32_t own)
{
    uint64_t dice = generator_random(g, 20);
    return dice < 15 ? own : dice < 17 ? 0 : dice < 18 ? 1 : dice < 19 ? some_bank(g) : some_enterprise(g);
}

static void some_grant(generator *g, kh_op *op)
{
    kh_op_grant *b = &op->grant;
    op->type = KH_OP_GRANT;
    /* of a number most things follow, so that the same grant comes again */
    b->enterprise = some_enterprise(g);
    b->id = generator_random(g, WORLD_GRANTS);
    b->bank = chance(g, 4) ? some_bank(g) : generator_banks[b->id % 3];
    b->scope = chance(g, 4) ? some_scope(g) : (uint8_t)(1 + (b->id + b->enterprise) % 3);
    b->from_ns = b->id < 3 ? 0 : (WORLD_START_S + b->id * 86400) * KH_NS_PER_S;
    b->until_ns = b->id == 0 ? UINT64_MAX : b->from_ns + (b->id < 3 ? WORLD_START_S + 15 * 86400 : 12 * 86400) * KH_NS_PER_S;
    op->party = some_speaker(g, b->enterprise);
}

static kh_key some_subject(generator *g)
{
    char text[16];
    return kh_risk_subject(
        (kh_text){text, (uint32_t)snprintf(text, sizeof text, "S%u", (unsigned)generator_random(g, WORLD_SUBJECTS))});
}

static void some_question(generator *g, kh_op *op)
{
    op->type = KH_OP_RISK_ASK;
    op->party = some_speaker(g, some_bank(g));
    op->risk_ask = (kh_op_risk_ask){1 + (uint32_t)generator_random(g, 8), g->subjects};
    for (uint32_t i = 0; i < op->risk_ask.subject_cnt; i++) {
        kh_key subject = some_subject(g);
        memcpy(g->subjects + 16 * (size_t)i, subject.b, 16);
    }
}

void generator_consent(generator *g, kh_op *op)
{
    uint64_t dice = generator_random(g, 100);
    if (dice < 25) some_grant(g, op);
    else if (dice < 30) {
        op->type = KH_OP_GRANT_REVOKE;
        op->grant_revoke = (kh_op_grant_revoke){generator_random(g, WORLD_GRANTS), some_enterprise(g)};
        op->party = some_speaker(g, op->grant_revoke.enterprise);
    } else if (dice < 60) {
        uint64_t id = generator_random(g, WORLD_GRANTS);
        op->type = KH_OP_CREDIT_LOOKUP;
        op->credit_lookup = (kh_op_credit_lookup){id, some_enterprise(g), some_scope(g)};
        op->party = chance(g, 80) ? generator_banks[id % 3] : some_speaker(g, some_bank(g));
    } else if (dice < 75) {
        op->type = KH_OP_RISK_ADD;
        op->risk_add = (kh_op_risk_add){some_subject(g), (uint8_t)(1 + generator_random(g, KH_RISK_CNT - 1))};
        op->party = some_speaker(g, some_bank(g));
    } else if (dice < 85) {
        op->type = KH_OP_RISK_REMOVE;
        op->risk_remove = (kh_op_risk_remove){some_subject(g), chance(g, 60) ? 0 : some_bank(g),
                                              (uint8_t)(1 + generator_random(g, KH_RISK_CNT - 1))};
        op->party = some_speaker(g, some_bank(g));
    } else some_question(g, op);
}
