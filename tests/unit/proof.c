/* proof: receipts of made-up clusters: the good ones are proven, all others fail at the step that is broken. */
#include "../proofs/world_make.h"
#include "proof/form.h"
#include "proof/genesis.h"
#include "proof/proof.h"
#include <criterion/criterion.h>

static kh_proof_result check(const pw_world *w, const pw_buffer *receipt)
{
    kh_proof_result r;
    cr_assert(kh_proof_check(receipt->p, receipt->n, w->genesis.p, w->genesis.n, &r) == KH_OK);
    return r;
}

static const pw_shape shapes[] = {
    {KH_SUITE_INTL, 4, 1, 0, 1, 1, 2, 1, 0}, {KH_SUITE_INTL, 4, 3, 2, 3, 4, 2, 2, 0},
    {KH_SUITE_INTL, 1, 2, 1, 2, 3, 4, 3, 0}, {KH_SUITE_INTL, 7, 5, 5, 100, 200, 256, 4, 0},
    {KH_SUITE_GM, 4, 3, 0, 3, 5, 8, 5, 0},   {KH_SUITE_GM, 10, 4, 1, 9, 11, 64, 6, 0},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

Test(proof, good_receipts_are_proven)
{
    for (size_t i = 0; i < SHAPES; i++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            pw_shape shape = shapes[i];
            shape.seed = 1000 * seed + i;
            pw_world w = pw_make(&shape);
            kh_proof_result r = check(&w, &w.receipt);
            cr_assert(r.step == KH_PROOF_PROVEN, "%s: %s", kh_proof_step_word(r.step), r.why);
            cr_assert(r.bank == w.bank && r.code == w.code && r.financing == w.financing && r.height == w.height);
            cr_assert_str_eq(r.operation, w.operation);
            cr_assert_str_eq(r.why, "");
            pw_free(&w);
        }
}

/* Every byte of a receipt, as another digit, another byte, left out, and with itself and with a zero in front. */
static void every_byte(const pw_shape *shape)
{
    pw_world w = pw_make(shape);
    pw_buffer damaged = {0};
    for (size_t at = 0; at < w.receipt.n; at++) {
        char c = w.receipt.p[at], digit = c >= 'a' && c < 'f'   ? c + 1
                                          : c >= '1' && c < '9' ? c + 1
                                          : c == '0'            ? '1'
                                          : c == 'l'            ? 'r'
                                                                : 'a';
        const pw_damage all[] = {{at, 1, {&digit, 1, 1}},
                                 {at, 1, {&(char){(char)(c ^ 32)}, 1, 1}},
                                 {at, 1, {0}},
                                 {at, 0, {&c, 1, 1}},
                                 {at, 0, {&(char){'0'}, 1, 1}}};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            if (!pw_damaged(&w.receipt, &all[i], &damaged)) continue;
            kh_proof_result r = check(&w, &damaged);
            cr_assert(r.step != KH_PROOF_PROVEN, "byte %zu, damage %zu", at, i);
            cr_assert(r.operation == NULL && r.financing == 0 && r.bank == 0 && r.height == 0);
        }
    }
    free(damaged.p);
    pw_free(&w);
}
Test(proof, every_changed_byte_shows_intl) { every_byte(&(pw_shape){KH_SUITE_INTL, 2, 1, 1, 2, 2, 2, 21, 0}); }
Test(proof, every_changed_byte_shows_gm) { every_byte(&(pw_shape){KH_SUITE_GM, 1, 2, 0, 3, 1, 4, 22, 0}); }

Test(proof, damage_of_any_kind_shows)
{
    uint64_t seed = 20261125;
    pw_buffer damaged = {0};
    for (size_t i = 0; i < SHAPES; i++) {
        pw_world w = pw_make(&shapes[i]);
        for (int k = 0; k < 1000; k++) {
            uint64_t before = seed;
            pw_damage d = pw_damage_draw(&seed, &w.receipt);
            if (pw_damaged(&w.receipt, &d, &damaged)) {
                kh_proof_result r = check(&w, &damaged);
                cr_assert(r.step != KH_PROOF_PROVEN, "shape %zu, seed %llu", i, (unsigned long long)before);
            }
            free(d.put.p);
        }
        pw_free(&w);
    }
    free(damaged.p);
}

/* Each lie, with everything around it hashed and signed, fails at its own step. */
static const kh_proof_step lie_steps[PW_LIE_CNT] = {
    [PW_TRUTH] = KH_PROOF_PROVEN,
    [PW_RESULT_CODE] = KH_PROOF_APP_HASH,
    [PW_ENTRY_TYPE] = KH_PROOF_ENTRY,
    [PW_ENTRY_CHAIN] = KH_PROOF_ENTRY,
    [PW_ENTRY_LONG] = KH_PROOF_ENTRY,
    [PW_ENTRY_PADDING] = KH_PROOF_ENTRY,
    [PW_HEADER_HEIGHT] = KH_PROOF_CHAIN,
    [PW_EARLY] = KH_PROOF_CHAIN,
    [PW_CHAIN_ID] = KH_PROOF_CHAIN,
    [PW_HUBS_QUORUM] = KH_PROOF_HUBS,
    [PW_HUBS_ORDER] = KH_PROOF_HUBS,
    [PW_HUBS_LONG] = KH_PROOF_HUBS,
    [PW_HUBS_KEY] = KH_PROOF_HUBS,
    [PW_ATTEST_FEWER] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_MORE] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_TWICE] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_STRANGER] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_FORGED] = KH_PROOF_HUB_SIGNATURES,
    [PW_ATTEST_HEIGHT] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_EPOCH] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_FLAGS] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_HASH] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_CHAIN] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_DIFFER] = KH_PROOF_ATTESTATIONS,
    [PW_ATTEST_PADDING] = KH_PROOF_ATTESTATIONS,
    [PW_OUTPUT_HEIGHT] = KH_PROOF_OUTPUT,
    [PW_OUTPUT_BATCH] = KH_PROOF_OUTPUT,
    [PW_OUTPUT_CHAIN] = KH_PROOF_OUTPUT,
    [PW_OUTPUT_KIND] = KH_PROOF_OUTPUT,
    [PW_BANK] = KH_PROOF_OUTPUT,
    [PW_PAYLOAD_PARTY] = KH_PROOF_PAYLOAD,
    [PW_PAYLOAD_TYPE] = KH_PROOF_PAYLOAD,
    [PW_PAYLOAD_EVENT] = KH_PROOF_PAYLOAD,
    [PW_PAYLOAD_KIND] = KH_PROOF_PAYLOAD,
    [PW_PAYLOAD_SHORT] = KH_PROOF_PAYLOAD,
    [PW_PAYLOAD_LINES] = KH_PROOF_PAYLOAD,
    [PW_VALIDATORS_OTHER] = KH_PROOF_VALIDATORS,
    [PW_COMMIT_OTHER] = KH_PROOF_VALIDATORS,
    [PW_COMMIT_FEWER] = KH_PROOF_COMMIT,
    [PW_COMMIT_MORE] = KH_PROOF_COMMIT,
    [PW_COMMIT_TWICE] = KH_PROOF_COMMIT,
    [PW_COMMIT_ORDER] = KH_PROOF_COMMIT,
    [PW_COMMIT_STRANGER] = KH_PROOF_COMMIT,
    [PW_COMMIT_INDEX] = KH_PROOF_COMMIT,
    [PW_COMMIT_PREVOTE] = KH_PROOF_COMMIT,
    [PW_COMMIT_CHAIN] = KH_PROOF_COMMIT,
    [PW_CHANGE_HEIGHT] = KH_PROOF_VALIDATORS,
    [PW_CHANGE_LATE] = KH_PROOF_VALIDATORS,
    [PW_CHANGE_UNANNOUNCED] = KH_PROOF_VALIDATORS,
    [PW_CHANGE_ORDER] = KH_PROOF_VALIDATORS,
    [PW_CHANGE_NOTHING] = KH_PROOF_VALIDATORS,
    [PW_CHANGE_BACK] = KH_PROOF_VALIDATORS,
    [PW_CHANGE_FORGED] = KH_PROOF_COMMIT,
    [PW_CHANGE_MISSING] = KH_PROOF_VALIDATORS,
};
Test(proof, each_lie_fails_at_its_step)
{
    for (int lie = 0; lie < PW_LIE_CNT; lie++)
        for (uint64_t seed = 1; seed <= 8; seed++) {
            pw_shape shape = {
                seed % 2 == 0 ? KH_SUITE_GM : KH_SUITE_INTL, 4 + seed % 4, 3, 1 + seed % 3, 1 + seed, 3, 8, seed, lie};
            pw_world w = pw_make(&shape);
            kh_proof_result r = check(&w, &w.receipt);
            bool apply = lie == PW_PAYLOAD_EVENT && strcmp(w.operation, "apply") == 0; /* there is no event to lie about */
            kh_proof_step step = apply ? KH_PROOF_PROVEN : lie_steps[lie];
            cr_assert(r.step == step, "lie %d, seed %llu: %s: %s", lie, (unsigned long long)seed, kh_proof_step_word(r.step),
                      r.why);
            cr_assert((r.why[0] == '\0') == (step == KH_PROOF_PROVEN));
            pw_free(&w);
        }
}

Test(proof, another_genesis_does_not_prove_it)
{
    pw_world a = pw_make(&shapes[0]), b = pw_make(&shapes[1]);
    cr_assert(check(&b, &a.receipt).step == KH_PROOF_CHAIN);
    /* the same chain id, another member's name */
    char *name = strstr(a.genesis.p, "Member");
    name[0] = 'N';
    cr_assert(check(&a, &a.receipt).step == KH_PROOF_ENTRY);
    name[0] = 'M';
    cr_assert(check(&a, &a.receipt).step == KH_PROOF_PROVEN);
    pw_free(&a);
    pw_free(&b);
}

Test(proof, what_is_read_is_what_would_be_written)
{
    for (size_t i = 0; i < SHAPES; i++) {
        pw_world w = pw_make(&shapes[i]);
        kh_proof_parts *parts = malloc(sizeof *parts);
        size_t at, n;
        char *text;
        cr_assert(kh_proof_read(w.receipt.p, w.receipt.n, parts, &at) == KH_OK);
        cr_assert(at == w.receipt.n);
        cr_assert(parts->height == w.height && parts->bank == w.bank && parts->change_cnt == shapes[i].changes);
        cr_assert(kh_proof_write(parts, &text, &n) == KH_OK);
        cr_assert(n == w.receipt.n && memcmp(text, w.receipt.p, n) == 0);
        free(text);
        parts->commit.signature_cnt = 0;
        cr_assert(kh_proof_write(parts, &text, &n) == KH_E_ARG);
        free(parts->changes);
        free(parts);
        pw_free(&w);
    }
}

/* CometBFT v0.40.0, types/block_test.go, TestHeaderHash. */
Test(proof, header_hash_of_upstream)
{
    kh_comet_header h = {.version_block = 1, .version_app = 2, .height = 3, .time_s = 1570983284, .last_block_id.total = 6};
    const struct {
        const char *text;
        uint8_t *at;
    } sums[] = {{"last_commit_hash", h.last_commit_hash},   {"data_hash", h.data_hash},
                {"validators_hash", h.validators_hash},     {"next_validators_hash", h.next_validators_hash},
                {"consensus_hash", h.consensus_hash},       {"app_hash", h.app_hash},
                {"last_results_hash", h.last_results_hash}, {"evidence_hash", h.evidence_hash}};
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) kh_sha256(sums[i].text, strlen(sums[i].text), sums[i].at);
    uint8_t digest[32];
    kh_sha256("proposer_address", 16, digest);
    memcpy(h.proposer, digest, 20);
    char hex[65];
    kh_comet_header_hash(&h, "chainId", digest);
    kh_hex(digest, 32, hex);
    cr_assert_str_eq(hex, "f740121f553b5418c3efbd343c2dbfe9e007bb67b0d020a0741374bab65242a4");
}

Test(proof, more_than_two_thirds)
{
    for (uint32_t n = 1; n <= 256; n++) {
        uint32_t q = kh_comet_quorum(n);
        cr_assert(3 * q > 2 * n && 3 * (q - 1) <= 2 * n && q <= n);
    }
}

/* genesis.json: what it must say, taken away or spoilt one after the other. */
Test(proof, genesis_that_is_none)
{
    static const char *const spoils[][2] = {
        {"\"suite\"", "\"suits\""},
        {"\"intl\"", "\"int1\""},
        {"\"hubs_speak\": true", "\"hubs_speak\": 1   "},
        {"\"officers\"", "\"officer_\""},
        {"\"k\":2", "\"k\":-2"},
        {"\"role\":\"bank\"", "\"role\":\"bunk\""},
        {"\"id\":12", "\"id\":11"},
        {"\"id\":11", "\"id\":\"11\""},
        {"\"key\":\"7261616", "\"key\":\"726G616"},
        {"\"key\":\"7261616", "\"key\":\"7161616"},
        {"\"value\":\"38", "\"value\":\"3"},
        {"\"name\"", "\"nam_\""},
        {"\"initial_height\": \"", "\"initial_height\": \"0"},
        {"\"flags\":4", "\"flags\":256"},
        {"\"flags\":4", "\"flags\":0"},
        {"\"sender\":\"", "\"sender\":\"00"},
        {"\"kanhe\"", "\"kanh_\""},
        {"\"time_ns\"", "\"suite\""},
        {"\"checkpoint\":\"", "\"checkpoint\":\"\",\"x\":\""},
    };
    pw_shape shape = {KH_SUITE_INTL, 2, 1, 0, 1, 1, 2, 9, 0};
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        pw_world w = pw_make(&shape);
        pw_add(&w.genesis, "", 1);
        pw_buffer json = {0};
        const char *at = w.genesis.p, *found;
        bool any = false;
        while ((found = strstr(at, spoils[i][0])) != NULL) {
            pw_add(&json, at, (size_t)(found - at));
            pw_text(&json, "%s", spoils[i][1]);
            at = found + strlen(spoils[i][0]);
            any = true;
        }
        pw_text(&json, "%s", "");
        pw_add(&json, at, strlen(at));
        cr_assert(any, "%s", spoils[i][0]);
        free(w.genesis.p);
        w.genesis = json;
        kh_proof_result r = check(&w, &w.receipt);
        cr_assert(r.step == KH_PROOF_GENESIS && r.why[0] != '\0', "%s -> %s: %s", spoils[i][0], spoils[i][1],
                  kh_proof_step_word(r.step));
        pw_free(&w);
    }
    pw_world w = pw_make(&shape);
    w.genesis.n /= 2;
    cr_assert(check(&w, &w.receipt).step == KH_PROOF_GENESIS);
    w.genesis.n = 0;
    cr_assert(check(&w, &w.receipt).step == KH_PROOF_GENESIS);
    pw_free(&w);
}
