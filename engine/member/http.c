/* http: the order as one row, copied under the node's lock and given without. */
#include "member/http.h"
#include "crypto/digest.h"
#include "ledger/ledger.h"
#include <stdio.h>
#include <stdlib.h>

#define CHANGE_WAIT_NS (8 * KH_NS_PER_S) /* below what a client waits without a sign of life */
enum { MEMBER_FIELDS = 6, KEY_HEX_SZ = 2 * KH_PUBLIC_SZ + 1 };

typedef struct shown_member {
    kh_result_field fields[MEMBER_FIELDS];
    char name[129], sender[KEY_HEX_SZ];
} shown_member;

typedef struct shown {
    const kh_cluster_http *of;
    uint64_t height, attested, checkpoint, next_change, version_from;
    uint32_t version, version_ahead;
    char chain[65], app_hash[65];
    uint32_t officer_k, officer_cnt, member_cnt;
    kh_order_hubs hubs;
    kh_order_validators validators;
    char officers[KH_OFFICERS_MAX][KEY_HEX_SZ];
    kh_result_field officer_fields[KH_OFFICERS_MAX];
    kh_result_row officer_rows[KH_OFFICERS_MAX], member_rows[KH_MEMBERS_MAX];
    shown_member members[KH_MEMBERS_MAX];
} shown;

static kh_result_field text(const char *name, const char *value)
{
    return (kh_result_field){.name = name, .type = KH_FIELD_TEXT, .text = value};
}
static kh_result_field number(const char *name, uint64_t value)
{
    return (kh_result_field){.name = name, .type = KH_FIELD_NUMBER, .number = value};
}
static kh_result_field boolean(const char *name, bool value)
{
    return (kh_result_field){.name = name, .type = KH_FIELD_BOOL, .number = value};
}
static kh_result_field rows(const char *name, const kh_result_row *value, uint32_t n)
{
    return (kh_result_field){.name = name, .type = KH_FIELD_ROWS, .rows = value, .row_cnt = n};
}

static const char *role_word(uint8_t role)
{
    switch (role) {
    case KH_MEMBER_REGULATOR: return "regulator";
    case KH_MEMBER_BANK: return "bank";
    case KH_MEMBER_SOURCE: return "source";
    default: return "hub";
    }
}

static const char *status_word(uint8_t flags)
{
    if ((flags & KH_MEMBER_EXPELLED) != 0) return "expelled";
    return (flags & KH_MEMBER_FROZEN) != 0 ? "frozen" : "active";
}

static void show_member(shown_member *s, const kh_member *m)
{
    memcpy(s->name, m->name, m->name_n);
    s->name[m->name_n] = '\0';
    kh_hex(m->sender, KH_PUBLIC_SZ, s->sender);
    s->fields[0] = number("id", m->id);
    s->fields[1] = text("role", role_word(m->role));
    s->fields[2] = text("name", s->name);
    s->fields[3] = text("status", status_word(m->flags));
    s->fields[4] = boolean("validator", (m->flags & KH_MEMBER_VALIDATOR) != 0);
    s->fields[5] = text("sender", s->sender);
}

/* The leaf: k 2, how many 2, keys (docs/CLUSTER.md). */
static void copy_officers(shown *s, kh_order *order)
{
    kh_public_leaf leaf;
    uint32_t index, cnt, path_n;
    uint8_t path[KH_MERKLE_PATH_MAX][32];
    if (!kh_order_public(order, "o", 1, &leaf, &index, &cnt, path, &path_n) || leaf.value_n < 4) return;
    s->officer_k = kh_load16(leaf.value);
    for (uint32_t i = 0; i < kh_load16(leaf.value + 2) && i < KH_OFFICERS_MAX; i++, s->officer_cnt++) {
        kh_hex(leaf.value + 4 + (size_t)i * KH_PUBLIC_SZ, KH_PUBLIC_SZ, s->officers[i]);
        s->officer_fields[i] = text("key", s->officers[i]);
        s->officer_rows[i] = (kh_result_row){"officer", &s->officer_fields[i], 1};
    }
}

static void copy(void *ctx, kh_order *order)
{
    shown *s = ctx;
    uint8_t digest[32], posted[32];
    const kh_member *m;
    s->height = kh_order_height(order);
    s->attested = kh_order_attested(order, posted);
    s->checkpoint = kh_order_checkpoint(order, posted);
    s->next_change = kh_order_change_number(order);
    s->version = kh_order_version(order, s->height + 1);
    s->version_ahead = kh_order_version_ahead(order, &s->version_from);
    kh_order_chain(order, digest);
    kh_hex(digest, 32, s->chain);
    kh_order_app_hash(order, digest);
    kh_hex(digest, 32, s->app_hash);
    kh_order_hub_set(order, &s->hubs);
    kh_order_validator_set(order, &s->validators);
    copy_officers(s, order);
    while (s->member_cnt < KH_MEMBERS_MAX && (m = kh_order_member_at(order, s->member_cnt)) != NULL) {
        shown_member *to = &s->members[s->member_cnt];
        show_member(to, m);
        s->member_rows[s->member_cnt++] = (kh_result_row){"member", to->fields, MEMBER_FIELDS};
    }
}

static kh_result show(void *self, const kh_result_sink *sink)
{
    const kh_cluster_http *h = self;
    shown *s = calloc(1, sizeof *s);
    if (s == NULL) return KH_FAILED;
    kh_node_read(h->node, copy, s);
    const kh_result_field fields[] = {
        text("chain", s->chain),
        text("suite", h->api.suite),
        boolean("hubs_speak", h->api.hubs_speak),
        number("height", s->height),
        text("digest", s->app_hash),
        number("attested_height", s->attested),
        number("checkpoint_height", s->checkpoint),
        number("next_change", s->next_change),
        number("epoch", s->hubs.epoch),
        number("hubs", s->hubs.cnt),
        number("hub_quorum", s->hubs.quorum),
        number("validator_set", s->validators.set_id),
        number("validators", s->validators.cnt),
        number("validator_quorum", s->validators.quorum),
        number("app_version", s->version),
        number("app_version_ahead", s->version_ahead), /* 0: none */
        number("app_version_from", s->version_from),
        number("officers_needed", s->officer_k),
        rows("officers", s->officer_rows, s->officer_cnt),
        rows("members", s->member_rows, s->member_cnt),
    };
    sink->row(sink->ctx, &(kh_result_row){"cluster", fields, sizeof fields / sizeof fields[0]});
    free(s);
    return KH_DONE;
}

/* Of what no hub's ledger takes: the order knows no rules by name, and would hold it as in force. NULL: nothing is. */
static const char *unfit_rule(const uint8_t *tx, size_t n)
{
    kh_change c;
    kh_op op;
    kh_op_scratch scratch;
    if (kh_change_read(tx, n, &c) != KH_OK || c.kind != KH_CHANGE_OPS) return NULL;
    for (size_t at = 0, frame_n = 0; at < c.body_sz; at += frame_n) {
        if (kh_op_decode(c.body + at, c.body_sz - at, &scratch, &op, &frame_n) != KH_OK) return NULL;
        kh_code code = op.type == KH_OP_RULE_SET ? kh_ledger_rule_fits(op.rule_set.name, op.rule_set.value) : KH_C_OK;
        if (code != KH_C_OK) return kh_code_name(code);
    }
    return NULL;
}

static kh_err change(void *self, const uint8_t *tx, size_t n, const char **ret_word, uint64_t *ret_height)
{
    const kh_cluster_http *h = self;
    kh_order_code code = KH_R_OK;
    *ret_height = 0;
    if ((*ret_word = unfit_rule(tx, n)) != NULL) return KH_OK;
    kh_err err = kh_changes_put(h->changes, tx, n, CHANGE_WAIT_NS, &code, ret_height);
    if (err == KH_E_ARG) {
        code = KH_R_MALFORMED;
        *ret_height = 0;
        err = KH_OK;
    }
    if (err == KH_OK) *ret_word = kh_order_code_word(code);
    return err;
}

static void follows(void *self, char *ret, size_t cap)
{
    kh_cluster_follows_why(((const kh_cluster_http *)self)->cluster, ret, cap);
}

static void read_basics(void *ctx, kh_order *order)
{
    kh_http_cluster *api = ctx;
    kh_order_chain(order, api->chain);
    api->suite = kh_suite_word(kh_order_suite(order));
}

void kh_cluster_http_fill(kh_cluster_http *ret, kh_cluster *cluster, bool hubs_speak)
{
    *ret = (kh_cluster_http){.api = {.self = ret, .hubs_speak = hubs_speak, .show = show, .change = change, .follows = follows},
                             .cluster = cluster,
                             .node = kh_cluster_node(cluster),
                             .changes = kh_cluster_officers(cluster)};
    kh_node_read(ret->node, read_basics, &ret->api);
}
