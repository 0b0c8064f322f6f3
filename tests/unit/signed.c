/* signed: an officers' change as a text against the order itself, bodies of each kind, and keys on disk. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "client/change.h"
#include "client/secret.h"
#include "client/signing.h"
#include "crypto/digest.h"
#include "order/order.h"

static char dir[] = "/tmp/kh-signed-XXXXXX";

static kh_signer *signer_of(uint8_t seed)
{
    uint8_t secret[KH_SECRET_SZ];
    kh_signer *s = NULL;
    memset(secret, seed, sizeof secret);
    cr_assert(kh_signer_new(KH_SUITE_INTL, secret, &s) == KH_OK);
    return s;
}

static void public_of(uint8_t seed, uint8_t ret[KH_PUBLIC_SZ])
{
    kh_signer *s = signer_of(seed);
    kh_signer_public(s, ret);
    kh_signer_free(s);
}

static const char *key_file(uint8_t seed, unsigned mode)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%u.key", dir, seed);
    FILE *f = fopen(path, "w");
    cr_assert(f != NULL);
    for (int i = 0; i < 32; i++) fprintf(f, "%02x", seed);
    fputc('\n', f);
    fclose(f);
    cr_assert(chmod(path, mode) == 0);
    return path;
}

static void start(void) { cr_assert(mkdtemp(dir) != NULL); }
static void stop(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert(system(command) == 0);
}
TestSuite(signed_by, .init = start, .fini = stop);

/* Three officers, two of whom sign; a bank that votes, and a hub. */
static kh_order *an_order(void)
{
    kh_member members[2] = {{.id = 10, .role = KH_MEMBER_BANK, .flags = KH_MEMBER_VALIDATOR, .name_n = 4, .name = "Bank"},
                            {.id = 90, .role = KH_MEMBER_HUB, .name_n = 3, .name = "Hub"}};
    kh_genesis g = {.chain_id = "kanhe-test",
                    .suite = KH_SUITE_INTL,
                    .initial_height = 1,
                    .time_ns = KH_NS_PER_S,
                    .officer_k = 2,
                    .officer_cnt = 3,
                    .member_cnt = 2,
                    .members = members};
    uint8_t key[KH_PUBLIC_SZ], secret[KH_SECRET_SZ], *bytes = NULL;
    size_t n = 0;
    kh_order *order = NULL;
    for (uint8_t i = 0; i < 3; i++) public_of((uint8_t)(1 + i), g.officers[i]);
    for (uint8_t i = 0; i < 2; i++) {
        kh_box *box = NULL;
        public_of((uint8_t)(10 + i), members[i].sender);
        public_of((uint8_t)(20 + i), members[i].ack);
        memset(secret, 30 + i, sizeof secret);
        cr_assert(kh_box_new(KH_SUITE_INTL, secret, &box) == KH_OK);
        kh_box_public(box, members[i].box);
        if (i == 1) kh_box_public(box, g.group);
        kh_box_free(box);
    }
    public_of(40, key);
    memcpy(members[0].consensus, key, 32);
    memset(members[1].ack, 0, KH_PUBLIC_SZ);
    public_of(41, members[1].attest);
    memset(secret, 50, sizeof secret);
    cr_assert(kh_genesis_encode(&g, &bytes, &n) == KH_OK);
    cr_assert(kh_order_new(bytes, n, &order) == KH_OK);
    free(bytes);
    return order;
}

static char *text_of(const kh_order *order, const char *kind, const kh_client_param *fields, uint32_t n)
{
    uint8_t body[KH_CHANGE_BODY_SZ], chain[32];
    char hex[2 * KH_CHANGE_BODY_SZ + 1], chain_hex[65], *text = malloc(3 * KH_CHANGE_BODY_SZ);
    uint32_t number = 0, body_n = 0;
    const char *wrong = kh_change_body(kind, fields, n, &number, body, &body_n);
    cr_assert(wrong == NULL, "%s", wrong);
    kh_order_chain(order, chain);
    kh_hex(chain, 32, chain_hex);
    kh_hex(body, body_n, hex);
    sprintf(text, "{\"chain\":\"%s\",\"suite\":\"intl\",\"number\":%lu,\"kind\":%u,\"body\":\"%s\",\"signatures\":[]}", chain_hex,
            (unsigned long)kh_order_change_number(order), number, hex);
    return text;
}

static char *sign(char *text, uint32_t officer, uint8_t seed)
{
    char why[600], *more = NULL;
    kh_result result = kh_client_change_sign(text, officer, key_file(seed, 0600), why, sizeof why, &more);
    cr_assert(result == KH_DONE, "%s", why);
    free(text);
    return more;
}

static kh_order_code judged(kh_order *order, const char *text)
{
    uint8_t tx[16384];
    size_t n = kh_change_text_encode(text, tx, sizeof tx);
    return n != 0 ? kh_order_offerable(order, tx, n, kh_order_time(order)) : KH_R_MALFORMED;
}

Test(signed_by, a_change_is_good_when_enough_officers_have_signed)
{
    kh_order *order = an_order();
    const kh_client_param rule[] = {{"name", "hold_ttl_applied"}, {"value", "36h"}};
    char *text = text_of(order, "rule", rule, 2);
    cr_assert(judged(order, text) == KH_R_MALFORMED); /* nobody has */
    text = sign(text, 3, 3);
    cr_assert(judged(order, text) == KH_R_NOT_AUTHORISED);
    text = sign(text, 1, 1); /* in any order */
    cr_assert(judged(order, text) == KH_R_OK);
    text = sign(text, 1, 2); /* not that officer's key */
    cr_assert(judged(order, text) == KH_R_NOT_AUTHORISED);
    text = sign(text, 1, 1); /* puts it right */
    cr_assert(judged(order, text) == KH_R_OK);
    char *value = strstr(text, "333668"); /* "36h" in the body, after it was signed */
    cr_assert(value != NULL);
    value[1] = '4';
    cr_assert(judged(order, text) == KH_R_NOT_AUTHORISED);
    value[1] = '3';
    text = sign(text, 2, 2);
    cr_assert(judged(order, text) == KH_R_NOT_AUTHORISED); /* one too many */
    free(text);
    kh_order_free(order);
}

Test(signed_by, a_change_is_of_its_chain_and_number)
{
    kh_order *order = an_order();
    const kh_client_param party[] = {{"id", "10"}, {"status", "frozen"}};
    char *text = sign(sign(text_of(order, "party", party, 2), 1, 1), 2, 2);
    cr_assert(judged(order, text) == KH_R_OK);
    free(text);
    text = text_of(order, "party", party, 2);
    char *digit = strstr(text, "\"chain\"") + 10;
    *digit = *digit == '0' ? '1' : '0';
    text = sign(sign(text, 1, 1), 2, 2);
    cr_assert(judged(order, text) != KH_R_OK); /* signed for another chain */
    free(text);
    kh_order_free(order);
}

Test(signed_by, each_kind_has_its_body)
{
    static char key[129], group[129];
    uint8_t bytes[KH_PUBLIC_SZ];
    kh_order *order = an_order();
    public_of(60, bytes);
    kh_hex(bytes, sizeof bytes, key);
    kh_box *box = NULL;
    uint8_t secret[KH_SECRET_SZ];
    memset(secret, 61, sizeof secret);
    cr_assert(kh_box_new(KH_SUITE_INTL, secret, &box) == KH_OK);
    kh_box_public(box, bytes);
    kh_box_free(box);
    kh_hex(bytes, sizeof bytes, group);
    const kh_client_param member[] = {{"id", "50"}, {"role", "source"}, {"name", "Customs"}, {"sender", key}};
    const kh_client_param epoch[] = {{"group", group}};
    const kh_client_param officers[] = {{"k", "1"}, {"key", key}};
    const kh_client_param rate[] = {
        {"from", "EUR"}, {"to", "USD"}, {"value", "1.0834"}, {"date", "2026-11-24"}, {"source", "ECB"}};
    const struct {
        const char *kind;
        const kh_client_param *fields;
        uint32_t n;
    } all[] = {{"member", member, 4}, {"epoch", epoch, 1}, {"officers", officers, 2}, {"rate", rate, 5}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char *text = sign(sign(text_of(order, all[i].kind, all[i].fields, all[i].n), 1, 1), 2, 2);
        kh_order_code code = judged(order, text);
        cr_assert(code == KH_R_OK, "%s: %s", all[i].kind, kh_order_code_word(code));
        free(text);
    }
    const kh_client_param nobody[] = {{"k", "2"}, {"key", key}}, no_role[] = {{"id", "50"}, {"role", "king"}, {"name", "x"}},
                          power[] = {{"member", "10"}, {"power", "2"}}, digest[] = {{"digest", "00"}};
    uint8_t body[KH_CHANGE_BODY_SZ];
    uint32_t kind, n;
    cr_assert(kh_change_body("officers", nobody, 2, &kind, body, &n) != NULL);
    cr_assert(kh_change_body("member", no_role, 3, &kind, body, &n) != NULL);
    cr_assert(kh_change_body("validator", power, 2, &kind, body, &n) != NULL);
    cr_assert(kh_change_body("lost", digest, 1, &kind, body, &n) != NULL);
    cr_assert(kh_change_body("king", digest, 1, &kind, body, &n) != NULL);
    kh_order_free(order);
}

Test(signed_by, a_key_is_its_owners_alone)
{
    char why[600];
    kh_signer *s = NULL;
    cr_assert(kh_secret_read(key_file(7, 0644), KH_SUITE_INTL, &s, why, sizeof why) == KH_MISUSE && s == NULL);
    cr_assert(kh_secret_read("/nowhere/at.all", KH_SUITE_INTL, &s, why, sizeof why) == KH_MISUSE && s == NULL);
    cr_assert(kh_secret_read(key_file(0, 0600), KH_SUITE_GM, &s, why, sizeof why) == KH_MISUSE &&
              s == NULL); /* 0 is none of SM2 */
    cr_assert(kh_secret_read(key_file(7, 0600), KH_SUITE_INTL, &s, why, sizeof why) == KH_DONE);
    kh_signer_free(s);
}

/* ---- calls that are signed ---- */

/* What is said of a request whose USCC is none either: the id comes first. */
static bool id_is_taken(const char *id)
{
    kh_client c = {0};
    char json[200];
    snprintf(json, sizeof json, "{\"id\":%s,\"role\":\"bank\",\"name\":\"B\",\"uscc\":\"!\"}", id);
    const kh_client_request q = {.method = "POST", .path = "/v1/parties", .json = json};
    cr_assert(kh_signed_takes(&q) && kh_signed_call(&c, &q, NULL) == KH_MISUSE);
    bool taken = strstr(c.message, "USCC") != NULL;
    cr_assert(taken || strstr(c.message, "an id from 1 on") != NULL, "%s", c.message);
    return taken;
}

Test(signed_call, a_number_as_a_text_is_digits_alone)
{
    static const char *const good[] = {"12", "\"12\"", "\"0012\"", "4294967295", "\"4294967295\""};
    static const char *const bad[] = {"0",
                                      "\"0\"",
                                      "-12",
                                      "12.0",
                                      "true",
                                      "null",
                                      "\"\"",
                                      "\"12x\"",
                                      "\" 12\"",
                                      "\"12 \"",
                                      "\"+12\"",
                                      "\"-12\"",
                                      "\"1e3\"",
                                      "\"0x1\"",
                                      "4294967296",
                                      "\"4294967296\"",
                                      "\"18446744073709551617\""};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) cr_assert(id_is_taken(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) cr_assert(!id_is_taken(bad[i]), "%s", bad[i]);
}
