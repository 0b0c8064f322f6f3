/* generate: random operations of one small world, from a seed. Few documents, few parties, so that everything meets. */
#ifndef KH_TESTS_MODEL_GENERATE_H
#define KH_TESTS_MODEL_GENERATE_H
#include "wire/wire.h"

enum { WORLD_DOCS = 24, WORLD_FINS = 160, REMEMBERED = 32, TARGETS = 64, WORLD_GRANTS = 8, WORLD_SUBJECTS = 6 };

typedef struct target {
    uint32_t bank, version;
    uint64_t id;
    uint8_t state;
    uint32_t line_cnt;
    kh_op_line lines[8]; /* what each could still give */
} target;

typedef struct generator {
    uint64_t random;
    uint32_t made;        /* operations so far */
    uint32_t next_fin[4]; /* per bank: ids begun */
    uint64_t sequence;
    struct {
        uint8_t bytes[4096];
        size_t n;
    } sent[REMEMBERED];
    uint32_t sent_cnt;
    bool declared[WORLD_DOCS]; /* has been sent with an amount */
    bool stored[WORLD_DOCS];   /* kept by the caller: those that the ledger has */
    uint32_t target_cnt;
    target targets[TARGETS];   /* kept by the caller: open financings */
    uint64_t base[WORLD_DOCS]; /* what was declared last, to aim near the limit */
    kh_op_balance balances[WORLD_DOCS][2];
    uint8_t balance_cnt[WORLD_DOCS];
    kh_op_scratch scratch;
    kh_op_line lines[8];
    char texts[8][64];
    uint8_t subjects[12 * 16];
} generator;

void generator_init(generator *g, uint64_t seed);
uint64_t generator_random(generator *g, uint64_t below); /* 0 .. below - 1 */
/* generator_next writes one operation's frame (now and then bytes that are none); returns its size. */
size_t generator_next(generator *g, uint8_t buf[4096]);
/* generator_setup_cnt operations open a world: parties and rates. */
uint32_t generator_setup_cnt(void);
/* generator_step_ns: how far time goes on before the next entry. */
uint64_t generator_step_ns(generator *g);
kh_key generator_doc_key(uint32_t doc);
/* generator_corrected_key: of the k-th invoice (384) that corrects an invoice. */
kh_key generator_corrected_key(uint32_t doc, uint32_t k);
kh_text generator_doc_owner(uint32_t doc);
kh_kind generator_doc_kind(uint32_t doc);
/* generator_consent makes a grant, a look-up, or something about the risk list (generate_consent.c). */
void generator_consent(generator *g, kh_op *op);
extern const uint32_t generator_banks[3];
extern const kh_currency generator_currencies[4];
#endif
