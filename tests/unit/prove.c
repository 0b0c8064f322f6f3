/* prove: a receipt made of what the order, the hubs' maker of outputs and a CometBFT (its answers made up, its keys real) give;
 * and what does not make one. */
#include "../proofs/world.h"
#include "member/genesis_json.h"
#include "member/prove.h"
#include "attest/attest.h"
#include "order_fixture.h"
#include "proof/genesis.h"
#include "proof/proof.h"
#include "proof/rpc.h"
#include <criterion/criterion.h>
#include <time.h>

/* ---- genesis.json of a genesis ---- */
static void key_or_none(pw_buffer *b, const char *name, const uint8_t *key, size_t n)
{
    static const uint8_t none[64];
    if (memcmp(key, none, n) == 0) pw_text(b, ",\"%s\":\"\"", name);
    else {
        pw_text(b, ",\"%s\":", name);
        pw_hex_field(b, "", key, n);
    }
}
static pw_buffer genesis_json(const uint8_t *bytes, size_t n)
{
    kh_genesis g;
    pw_buffer b = {0};
    KH_ASSERT(kh_genesis_decode(bytes, n, &g) == KH_OK);
    pw_text(&b, "{\"chain_id\":\"%s\",\"app_state\":{\"kanhe\":{\"suite\":\"%s\",\"hubs_speak\":%s,\"chain_id\":\"%s\",",
            g.chain_id, kh_suite_word(g.suite), g.hubs_speak ? "true" : "false", g.chain_id);
    pw_text(&b, "\"initial_height\":\"%llu\",\"time_ns\":\"%llu\"", (unsigned long long)g.initial_height,
            (unsigned long long)g.time_ns);
    pw_hex_field(&b, ",\"group\":", g.group, 64);
    pw_hex_field(&b, ",\"checkpoint\":", g.checkpoint, 32);
    pw_text(&b, ",\"officers\":{\"k\":%u,\"keys\":[", g.officer_k);
    for (uint32_t i = 0; i < g.officer_cnt; i++) pw_hex_field(&b, i > 0 ? "," : "", g.officers[i], 64);
    pw_text(&b, "]},\"members\":[");
    for (uint32_t i = 0; i < g.member_cnt; i++) {
        const kh_member *m = &g.members[i];
        pw_text(&b, "%s{\"id\":%u,\"role\":\"%s\",\"flags\":%u,\"name\":\"%.*s\",\"uscc\":\"%.*s\"", i > 0 ? "," : "", m->id,
                m->role == KH_MEMBER_REGULATOR ? "regulator"
                : m->role == KH_MEMBER_BANK    ? "bank"
                : m->role == KH_MEMBER_SOURCE  ? "source"
                                               : "hub",
                m->flags, m->name_n, m->name, m->uscc_n, m->uscc);
        key_or_none(&b, "sender", m->sender, 64);
        key_or_none(&b, "ack", m->ack, 64);
        key_or_none(&b, "attest", m->attest, 64);
        key_or_none(&b, "box", m->box, 64);
        key_or_none(&b, "consensus", m->consensus, 32);
        pw_text(&b, "}");
    }
    pw_text(&b, "],\"public\":[");
    for (uint32_t i = 0; i < g.public_cnt; i++) {
        pw_hex_field(&b, i > 0 ? ",{\"key\":" : "{\"key\":", g.publics[i].key, g.publics[i].key_n);
        pw_hex_field(&b, ",\"value\":", g.publics[i].value, g.publics[i].value_n);
        pw_text(&b, "}");
    }
    pw_text(&b, "]}}}");
    kh_genesis_free(&g);
    return b;
}

/* ---- CometBFT's answers ---- */
static void base64(pw_buffer *b, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=',
                        i + 2 < n ? digits[v & 63] : '='};
        pw_add(b, four, 4);
    }
}
static void upper(pw_buffer *b, const char *name, const uint8_t *p, size_t n)
{
    pw_text(b, "\"%s\":\"", name);
    for (size_t i = 0; i < n; i++) pw_text(b, "%02X", p[i]);
    pw_text(b, "\"");
}
static void when(pw_buffer *b, const char *name, uint64_t s, uint32_t ns)
{
    time_t at = (time_t)s;
    struct tm tm;
    char text[32], fraction[16];
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&at, &tm));
    int n = snprintf(fraction, sizeof fraction, ".%09u", ns); /* as Go writes it: no zeros at the end */
    while (n > 0 && (fraction[n - 1] == '0' || fraction[n - 1] == '.')) fraction[--n] = '\0';
    pw_text(b, "\"%s\":\"%s%sZ\"", name, text, fraction);
}
static void block_id(pw_buffer *b, const char *name, const pw_block_id *id)
{
    pw_text(b, "\"%s\":{", name);
    upper(b, "hash", id->hash, 32);
    pw_text(b, ",\"parts\":{\"total\":%u,", id->total);
    upper(b, "hash", id->part_hash, 32);
    pw_text(b, "}}");
}
/* signing: bits of who does; the others are absent or voted for nothing. */
static pw_buffer commit_json(pw_set *set, pw_set *next, uint64_t height, const uint8_t app_hash[32], uint32_t signing)
{
    uint64_t seed = height;
    pw_header h;
    pw_block_id id;
    pw_buffer b = {0};
    pw_header_random(&seed, height, &h);
    pw_set_hash(set, h.hashes[2]);
    pw_set_hash(next, h.hashes[3]);
    memcpy(h.hashes[5], app_hash, 32);
    pw_random(&seed, &id, sizeof id);
    pw_header_hash(&h, "test-chain", id.hash);
    pw_text(&b, "{\"jsonrpc\":\"2.0\",\"id\":-1,\"result\":{\"signed_header\":{\"header\":{\"version\":{\"block\":\"11\"");
    if (h.app != 0) pw_text(&b, ",\"app\":\"%llu\"", (unsigned long long)h.app);
    pw_text(&b, "},\"chain_id\":\"test-chain\",\"height\":\"%llu\",", (unsigned long long)height);
    when(&b, "time", h.s, h.ns);
    pw_text(&b, ",");
    block_id(&b, "last_block_id", &h.last);
    for (int i = 0; i < 8; i++) {
        pw_text(&b, ",");
        upper(&b, pw_hash_names[i], h.hashes[i], 32);
    }
    pw_text(&b, ",");
    upper(&b, "proposer_address", h.proposer, 20);
    pw_text(&b, "},\"commit\":{\"height\":\"%llu\",\"round\":1,", (unsigned long long)height);
    block_id(&b, "block_id", &id);
    pw_text(&b, ",\"signatures\":[");
    for (uint32_t i = 0; i < set->n; i++) {
        uint8_t signature[64], digest[32];
        pw_buffer vote = {0};
        uint32_t ns = i * 250000000;
        kh_sha256(set->keys[i].public, 32, digest);
        pw_text(&b, "%s{\"block_id_flag\":%d,", i > 0 ? "," : "", (signing >> i & 1) != 0 ? 2 : i % 2 == 0 ? 1 : 3);
        upper(&b, "validator_address", digest, 20);
        pw_text(&b, ",");
        when(&b, "timestamp", h.s + 1, ns);
        pw_vote_bytes(&vote, 2, "test-chain", height, 1, &id, h.s + 1, ns);
        pw_sign(&set->keys[i], vote.p, vote.n, signature);
        free(vote.p);
        pw_text(&b, ",\"signature\":\"");
        base64(&b, signature, 64);
        pw_text(&b, "\"}");
    }
    pw_text(&b, "]}},\"canonical\":true}}");
    return b;
}
static void set_add(pw_set *set, uint32_t id)
{
    pw_key *key = &set->keys[set->n++];
    key->signer = fx_signer(KH_SUITE_INTL, id, USE_CONSENSUS, 0);
    kh_signer_public(key->signer, key->public);
    qsort(set->keys, set->n, sizeof *key, pw_by_address);
}
/* The set as /validators tells it, read back. */
static kh_comet_set set_read(const pw_set *set)
{
    kh_comet_set read = {.cnt = 0};
    pw_buffer b = {0};
    pw_text(&b, "{\"result\":{\"block_height\":\"9\",\"validators\":[");
    for (uint32_t i = set->n; i > 0; i--) {
        pw_text(&b, "%s{\"address\":\"\",\"pub_key\":{\"type\":\"tendermint/PubKeyEd25519\",\"value\":\"", i < set->n ? "," : "");
        base64(&b, set->keys[i - 1].public, 32);
        pw_text(&b, "\"},\"voting_power\":\"3\",\"proposer_priority\":\"-3\"}");
    }
    pw_text(&b, "],\"count\":\"%u\",\"total\":\"%u\"}}", set->n, set->n);
    KH_ASSERT(kh_proof_rpc_validators(b.p, b.n, &read) == KH_OK && kh_comet_set_sort(&read));
    free(b.p);
    return read;
}

/* ---- one height with batches, outputs and attestations ---- */
typedef struct town {
    chain c;
    kh_kept_block kept;
    uint8_t chain[32], root[32];
    uint8_t *package;
    size_t package_n;
    kh_attestation words[3];
    pw_set four, five;
    pw_buffer genesis, block, commit;
    kh_prove_options o;
    char why[200];
} town;

enum { BANK = 12, OUTPUTS = 5 };

static void make_block(town *t)
{
    chain *c = &t->c;
    for (uint32_t sender = 11; sender <= 14; sender++) fx_batch(c, sender, 1);
    fx_add(c, (const uint8_t *)"junk", 4);
    fx_batch(c, BANK, 9); /* not its next: no effect */
    pw_text(&t->block, "{\"result\":{\"block_id\":{},\"block\":{\"header\":{},\"data\":{\"txs\":[");
    for (uint32_t i = 0; i < c->n; i++) {
        pw_text(&t->block, i > 0 ? ",\"" : "\"");
        base64(&t->block, c->spans[i].p, c->spans[i].n);
        pw_text(&t->block, "\"");
    }
    pw_text(&t->block, "]},\"evidence\":{}}}}");
    fx_next(c, 1000);
    const kh_order_block *b = &c->block;
    kh_kept_block *k = &t->kept;
    k->height = b->height;
    memcpy(k->previous, b->previous, 32);
    memcpy(k->app_hash, b->app_hash, 32);
    memcpy(k->entries_root, b->entries_root, 32);
    memcpy(k->public_root, b->public_root, 32);
    k->tx_cnt = b->tx_cnt;
    k->codes = malloc(b->tx_cnt * sizeof *k->codes);
    k->types = malloc(b->tx_cnt);
    k->digests = malloc((size_t)b->tx_cnt * 32);
    memcpy(k->codes, b->codes, b->tx_cnt * sizeof *k->codes);
    memcpy(k->types, b->types, b->tx_cnt);
    memcpy(k->digests, b->digests, (size_t)b->tx_cnt * 32);
    kh_public_leaf leaf;
    KH_ASSERT(kh_order_public(c->order, "h", 1, &leaf, &k->hubs_index, &k->hubs_cnt, k->hubs_path, &k->hubs_path_n));
    memcpy(k->hubs_value, leaf.value, leaf.value_n);
    k->hubs_n = leaf.value_n;
}

static void make_outputs(town *t)
{
    static const uint32_t parties[] = {11, 12, 13, 14, 15};
    static const uint8_t heads[5][32] = {{1}, {2}, {3}, {4}, {5}};
    const uint64_t counts[] = {1, 2, 3, 4, 5};
    const uint8_t secret[32] = {9};
    kh_maker *maker;
    static kh_output output;
    KH_ASSERT(kh_maker_new(&maker) == KH_OK);
    kh_maker_begin(maker, t->chain, secret, t->kept.height, parties, counts, heads, 5);
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        memset(&output, 0, sizeof output);
        output.kind = i == 3 ? KH_OUTPUT_NOTICE : KH_OUTPUT_RECEIPT;
        if (output.kind == KH_OUTPUT_RECEIPT) {
            fx_digest(BANK, 1, 1, output.batch);
            output.op_index = i;
            output.receipt = (kh_receipt){.type = KH_OP_APPLY,
                                          .code = i == 2 ? 41 : 0,
                                          .event = 9,
                                          .party = BANK,
                                          .sequence = i,
                                          .financing = 700 + i,
                                          .line_cnt = 1,
                                          .lines = output.lines};
            if (i == 4) output.receipt.type = KH_OP_EVENT, output.receipt.event = 5;
            else (void)snprintf(output.product, sizeof output.product, "factoring");
        } else output.notice = (kh_notice){.type = KH_NOTICE_LAPSED, .party = BANK, .financing = 700, .has_financing = 1};
        KH_ASSERT(kh_maker_add(maker, BANK, &output) == KH_OK);
    }
    KH_ASSERT(kh_maker_end(maker, t->root) == KH_OK);
    KH_ASSERT(kh_maker_package(maker, 1, &t->package, &t->package_n) == KH_OK);
    kh_maker_free(maker);
}

static town *town_new(kh_suite suite)
{
    town *t = calloc(1, sizeof *t);
    KH_ASSERT(t != NULL);
    fx_begin_with(&t->c, suite, 3);
    kh_order_chain(t->c.order, t->chain);
    t->genesis = genesis_json(t->c.genesis, t->c.genesis_n);
    make_block(t);
    make_outputs(t);
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t raw[KH_ATTESTATION_SZ];
        kh_signer *signer = fx_signer(suite, 51 + i, USE_ATTEST, 0);
        t->words[i] = fx_word(&t->c, 51 + i, t->kept.height);
        memcpy(t->words[i].outputs_root, t->root, 32);
        KH_ASSERT(kh_attestation_make(signer, &t->words[i], raw) == KH_OK);
        kh_signer_free(signer);
    }
    for (uint32_t id = 11; id <= 14; id++) {
        set_add(&t->four, id);
        set_add(&t->five, id);
    }
    set_add(&t->five, 15);
    t->commit = commit_json(&t->four, &t->four, t->kept.height + 1, t->kept.app_hash, 13);
    t->o = (kh_prove_options){.genesis = t->genesis.p,
                              .genesis_n = t->genesis.n,
                              .package = t->package,
                              .package_n = t->package_n,
                              .block = &t->kept,
                              .attestations = t->words,
                              .attestation_cnt = 3,
                              .block_json = t->block.p,
                              .block_n = t->block.n,
                              .commit = t->commit.p,
                              .commit_n = t->commit.n};
    return t;
}
static void town_free(town *t)
{
    for (uint32_t i = 0; i < t->four.n; i++) kh_signer_free(t->four.keys[i].signer);
    for (uint32_t i = 0; i < t->five.n; i++) kh_signer_free(t->five.keys[i].signer);
    free(t->kept.codes);
    free(t->kept.types);
    free(t->kept.digests);
    free(t->package);
    free(t->genesis.p);
    free(t->block.p);
    free(t->commit.p);
    fx_end(&t->c);
    free(t);
}
static kh_err prove(town *t, kh_proof_result *ret)
{
    char *text = NULL;
    size_t n = 0;
    kh_err err = kh_prove_make(&t->o, t->why, sizeof t->why, &text, &n);
    if (err == KH_OK) KH_ASSERT(kh_proof_check(text, n, t->genesis.p, t->genesis.n, ret) == KH_OK);
    free(text);
    return err;
}

Test(prove, genesis_json_gives_the_chain_of_the_order)
{
    for (kh_suite suite = KH_SUITE_INTL; suite <= KH_SUITE_GM; suite++) {
        town *t = town_new(suite);
        static kh_proof_genesis g;
        cr_assert(kh_proof_genesis_read(t->genesis.p, t->genesis.n, t->why, sizeof t->why, &g) == KH_OK, "%s", t->why);
        cr_assert(memcmp(g.chain, t->chain, 32) == 0);
        cr_assert(g.suite == suite && g.initial_height == 5 && g.validators.cnt == 4);
        kh_genesis decoded; /* and as the node itself writes it */
        cr_assert(kh_genesis_decode(t->c.genesis, t->c.genesis_n, &decoded) == KH_OK);
        char *state = kh_genesis_state_write(&decoded);
        pw_buffer whole = {0};
        pw_text(&whole, "{\"app_state\":");
        pw_add(&whole, state, strlen(state));
        pw_text(&whole, "}");
        cr_assert(kh_proof_genesis_read(whole.p, whole.n, t->why, sizeof t->why, &g) == KH_OK, "%s", t->why);
        cr_assert(memcmp(g.chain, t->chain, 32) == 0);
        free(state);
        free(whole.p);
        kh_genesis_free(&decoded);
        town_free(t);
    }
}

Test(prove, every_receipt_of_a_package)
{
    for (kh_suite suite = KH_SUITE_INTL; suite <= KH_SUITE_GM; suite++) {
        town *t = town_new(suite);
        for (t->o.item = 0; t->o.item < OUTPUTS; t->o.item++) {
            kh_proof_result r;
            kh_err err = prove(t, &r);
            if (t->o.item == 3) {
                cr_assert(err == KH_E_FORMAT);
                continue;
            }
            cr_assert(err == KH_OK, "item %u: %s", t->o.item, t->why);
            cr_assert(r.step == KH_PROOF_PROVEN && r.bank == BANK && r.financing == 700 + t->o.item &&
                      r.height == t->kept.height);
            cr_assert(r.code == (t->o.item == 2 ? 41 : 0));
            cr_assert_str_eq(r.operation, t->o.item == 4 ? "disburse" : "apply");
        }
        cr_assert(prove(t, &(kh_proof_result){0}) == KH_E_FORMAT); /* behind the last */
        town_free(t);
    }
}

Test(prove, what_does_not_make_a_receipt)
{
    kh_proof_result r;
    town *t = town_new(KH_SUITE_INTL);
    const kh_prove_options good = t->o;
    t->o.attestation_cnt = 1;
    cr_assert(prove(t, &r) == KH_E_NOT_FOUND);
    t->o = good;
    t->words[0].posted[0] ^= 1; /* one that differs from the others is passed over where it is not the first */
    cr_assert(prove(t, &r) == KH_E_NOT_FOUND);
    t->words[0].posted[0] ^= 1;
    t->words[1].outputs_root[0] ^= 1;
    cr_assert(prove(t, &r) == KH_OK);
    t->words[1].outputs_root[0] ^= 1;
    t->kept.height++;
    cr_assert(prove(t, &r) == KH_E_FORMAT);
    t->kept.height--;
    t->kept.codes[1] = KH_R_EXPIRED; /* the batch's entry had no effect */
    cr_assert(prove(t, &r) == KH_E_NOT_FOUND);
    t->kept.codes[1] = KH_R_OK;
    t->kept.public_root[5] ^= 1;
    cr_assert(prove(t, &r) == KH_E_FORMAT);
    t->kept.public_root[5] ^= 1;
    t->o.block_n--;
    cr_assert(prove(t, &r) == KH_E_FORMAT);
    t->o = good;
    t->o.block_json = "{\"block\":{\"data\":{\"txs\":null}}}";
    t->o.block_n = strlen(t->o.block_json);
    cr_assert(prove(t, &r) == KH_E_NOT_FOUND);
    t->o = good;
    t->package[t->package_n - 1] ^= 1;
    cr_assert(prove(t, &r) != KH_OK);
    t->package[t->package_n - 1] ^= 1;
    pw_buffer commits[] = {commit_json(&t->four, &t->four, t->kept.height + 1, t->kept.app_hash, 3), /* two of four */
                           commit_json(&t->four, &t->four, t->kept.height + 2, t->kept.app_hash, 15),
                           commit_json(&t->five, &t->five, t->kept.height + 1, t->kept.app_hash, 31), /* nothing announced it */
                           commit_json(&t->four, &t->four, t->kept.height + 1, t->kept.previous, 15)};
    for (size_t i = 0; i < sizeof commits / sizeof commits[0]; i++) {
        t->o.commit = commits[i].p;
        t->o.commit_n = commits[i].n;
        cr_assert(prove(t, &r) != KH_OK, "commit %zu", i);
        free(commits[i].p);
    }
    t->o = good;
    cr_assert(prove(t, &r) == KH_OK && r.step == KH_PROOF_PROVEN);
    town_free(t);
}

Test(prove, validators_that_changed)
{
    kh_proof_result r;
    town *t = town_new(KH_SUITE_INTL);
    uint64_t h = t->kept.height + 1;
    pw_buffer to_five = commit_json(&t->four, &t->five, h - 1, t->kept.previous, 15);
    pw_buffer by_five = commit_json(&t->five, &t->five, h, t->kept.app_hash, 31);
    const kh_comet_set five = set_read(&t->five), four = set_read(&t->four);
    const kh_prove_change there[] = {{to_five.p, to_five.n, &five}};
    t->o.changes = there;
    t->o.change_cnt = 1;
    cr_assert(prove(t, &r) != KH_OK); /* the four sign no more */
    t->o.commit = by_five.p;
    t->o.commit_n = by_five.n;
    cr_assert(prove(t, &r) == KH_OK && r.step == KH_PROOF_PROVEN, "%s", t->why);
    /* there and back: nothing of it is needed, or told */
    const kh_prove_change back[] = {{to_five.p, to_five.n, &five}, {"", 0, &four}};
    t->o.changes = back;
    t->o.change_cnt = 2;
    t->o.commit = t->commit.p;
    t->o.commit_n = t->commit.n;
    cr_assert(prove(t, &r) == KH_OK && r.step == KH_PROOF_PROVEN, "%s", t->why);
    free(to_five.p);
    free(by_five.p);
    town_free(t);
}

Test(prove, answers_that_are_none)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"result\":1}",
        "{\"result\":{\"signed_header\":{\"header\":{},\"commit\":{}}}}",
        "{\"result\":{\"block\":{\"data\":{\"txs\":[1]}}}}",
        "{\"result\":{\"block\":{\"data\":{\"txs\":[\"a\"]}}}}",
        "{\"validators\":[{}]}",
        "{\"validators\":[{\"pub_key\":{\"type\":\"tendermint/PubKeyEd25519\",\"value\":\"AAAA\"},\"voting_power\":\"3\"}]}"};
    town *t = town_new(KH_SUITE_INTL);
    const kh_prove_options good = t->o;
    kh_proof_result r;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kh_comet_set set = {.cnt = 0};
        cr_assert(kh_proof_rpc_validators(bad[i], strlen(bad[i]), &set) == KH_E_FORMAT, "%s", bad[i]);
        t->o.commit = bad[i];
        t->o.commit_n = strlen(bad[i]);
        cr_assert(prove(t, &r) == KH_E_FORMAT, "%s", bad[i]);
        t->o = good;
        t->o.block_json = bad[i];
        t->o.block_n = strlen(bad[i]);
        cr_assert(prove(t, &r) == KH_E_FORMAT, "%s", bad[i]);
        t->o = good;
    }
    town_free(t);
}

/* What CometBFT v0.40.0 nodes (one validator, an application of ours) answered for height 3; *_3.json one of power 3. */
static char *golden(const char *name, size_t *ret_n)
{
    char path[600];
    const char *root = getenv("KH_SOURCE_ROOT");
    (void)snprintf(path, sizeof path, "%s/tests/golden/comet/%s", root != NULL ? root : ".", name);
    FILE *f = fopen(path, "rb");
    char *text = malloc(65536);
    KH_ASSERT(f != NULL && text != NULL);
    *ret_n = fread(text, 1, 65536, f);
    (void)fclose(f);
    return text;
}
static bool count_tx(void *ctx, uint32_t index, const uint8_t *tx, size_t n)
{
    uint32_t *seen = ctx;
    static const char *const txs[] = {"tx-3", "second"};
    cr_assert(index == *seen && index < 2 && n == strlen(txs[index]) && memcmp(tx, txs[index], n) == 0);
    (*seen)++;
    return true;
}
Test(prove, answers_of_a_real_node)
{
    size_t commit_n, block_n, validators_n;
    char *commit = golden("commit_3.json", &commit_n), *block = golden("block.json", &block_n),
         *validators = golden("validators.json", &validators_n);
    kh_comet_set set = {.cnt = 0};
    kh_comet_header h;
    kh_comet_commit c;
    uint8_t hash[32];
    uint32_t seen = 0;
    cr_assert(kh_proof_rpc_validators(validators, validators_n, &set) == KH_E_FORMAT); /* the power 1 */
    free(validators);
    validators = golden("validators_3.json", &validators_n);
    set.cnt = 0;
    cr_assert(kh_proof_rpc_validators(validators, validators_n, &set) == KH_OK && set.cnt == 1);
    cr_assert(kh_proof_rpc_commit(commit, commit_n, "kanhe-real", &set, &h, &c) == KH_OK);
    cr_assert(h.height == 3 && h.version_block == 11 && h.version_app == 0 && h.time_ns == 567778748 && c.signature_cnt == 1);
    kh_comet_set_hash(&set, hash);
    cr_assert(memcmp(hash, h.validators_hash, 32) == 0);
    cr_assert(h.app_hash[0] == 0x2f && h.app_hash[31] == 0xf1);
    cr_assert(kh_proof_rpc_block(block, block_n, count_tx, &seen) == KH_OK && seen == 2);
    cr_assert(kh_proof_rpc_commit(commit, commit_n, "kanhe-other", &set, &h, &c) == KH_E_FORMAT);
    char *at = strstr(commit, "\"time\":\"2026") + strlen("\"time\":\"2026-11-26T07:08:0");
    *at ^= 1; /* another second: the commit is not for that */
    cr_assert(kh_proof_rpc_commit(commit, commit_n, "kanhe-real", &set, &h, &c) == KH_E_FORMAT);
    *at ^= 1;
    set.keys[0][0] ^= 1; /* not who signed */
    cr_assert(kh_proof_rpc_commit(commit, commit_n, "kanhe-real", &set, &h, &c) == KH_E_NOT_FOUND);
    free(commit);
    free(block);
    free(validators);
}
