/* world_make: the made-up cluster's one receipt, and what is to be found in it. */
#ifndef KH_TESTS_PROOFS_WORLD_MAKE_H
#define KH_TESTS_PROOFS_WORLD_MAKE_H
#include "world.h"

typedef struct pw_change {
    pw_header header;
    pw_set next;
} pw_change;
typedef struct pw_making {
    const pw_shape *shape;
    pw_lie lie;
    uint64_t seed, initial, height;
    char chain_id[51]; /* as the headers have it */
    pw_genesis genesis;
    pw_set first;
    pw_change changes[16];
    pw_key stranger, hubs[16];
    uint32_t hub_quorum, hub_epoch;
    pw_buffer tx, hubs_value, payload;
    uint8_t batch[32], op_digest[32], salt[16], previous[32], public_root[32], app_hash[32], outputs_root[32];
    uint32_t op_index;
    pw_path entry_path, hubs_path, bank_path, output_path;
} pw_making;

static inline void pw_make_keys(pw_making *m)
{
    const pw_shape *shape = m->shape;
    m->stranger = pw_key_new(KH_SUITE_INTL, &m->seed);
    m->first.n = shape->validators;
    for (uint32_t i = 0; i < shape->validators; i++) m->first.keys[i] = pw_key_new(KH_SUITE_INTL, &m->seed);
    qsort(m->first.keys, m->first.n, sizeof(pw_key), pw_by_address);
    for (uint32_t i = 0; i < shape->hubs; i++) m->hubs[i] = pw_key_new(shape->suite, &m->seed);
}

static inline void pw_make_entry(pw_making *m, uint8_t entries_root[32])
{
    uint8_t leaf[36] = {m->lie == PW_ENTRY_TYPE ? 3 : 1, 0, m->lie == PW_RESULT_CODE ? 3 : 0, 0}, other[32];
    uint32_t signatures = 3;
    pw_buffer *tx = &m->tx;
    pw_le(tx, leaf[0] | 1 << 8, 4);
    pw_random(&m->seed, m->batch, 32);
    pw_random(&m->seed, other, 32);
    pw_add(tx, m->lie == PW_ENTRY_CHAIN ? other : m->genesis.chain, 32);
    for (int i = 0; i < 4; i++) pw_le(tx, 1 + pw_below(&m->seed, 1000), 4);
    pw_le(tx, pw_next(&m->seed), 8);
    pw_le(tx, pw_next(&m->seed), 8);
    pw_add(tx, m->batch, 32);
    pw_le(tx, signatures, 2);
    pw_le(tx, 0, 2);
    for (uint32_t i = 0; i < signatures; i++) {
        uint8_t signature[64];
        pw_random(&m->seed, signature, 64);
        pw_le(tx, i, 2);
        pw_le(tx, m->lie == PW_ENTRY_PADDING && i == 2, 2);
        pw_add(tx, signature, 64);
    }
    if (m->lie == PW_ENTRY_LONG) pw_le(tx, 0, 1);
    kh_sha256(tx->p, tx->n, leaf + 4);
    pw_tree(&m->seed, leaf, sizeof leaf, m->shape->entries, 0, &m->entry_path, entries_root);
}

static inline void pw_make_public(pw_making *m)
{
    uint8_t group[64];
    uint32_t n = m->shape->hubs;
    pw_buffer leaf = {0}, *v = &m->hubs_value;
    m->hub_quorum = n / 2 + 1 - (m->lie == PW_HUBS_QUORUM);
    m->hub_epoch = 1 + pw_below(&m->seed, 5);
    pw_random(&m->seed, group, 64);
    pw_le(v, m->hub_epoch, 4);
    pw_le(v, n, 2);
    pw_le(v, m->hub_quorum, 2);
    pw_add(v, group, 64);
    pw_le(v, m->hub_epoch - 1, 4);
    pw_le(v, m->height + 5, 8);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t nth = m->lie == PW_HUBS_ORDER ? n - 1 - i : i;
        pw_le(v, 201 + nth, 4);
        pw_add(v, m->hubs[nth].public, 64);
    }
    if (m->lie == PW_HUBS_LONG) pw_le(v, 0, 1);
    pw_add(&leaf, m->lie == PW_HUBS_KEY ? "\1\0v" : "\1\0h", 3);
    pw_add(&leaf, v->p, v->n);
    pw_tree(&m->seed, leaf.p, leaf.n, 7, 0, &m->hubs_path, m->public_root);
    free(leaf.p);
}

static inline void pw_make_app_hash(pw_making *m, const uint8_t entries_root[32])
{
    pw_buffer b = {0};
    pw_random(&m->seed, m->previous, 32);
    pw_add(&b, "kanhe/app", 10);
    pw_add(&b, m->previous, 32);
    pw_le(&b, m->height, 8);
    pw_add(&b, entries_root, 32);
    pw_add(&b, m->public_root, 32);
    kh_sha256(b.p, b.n, m->app_hash);
    free(b.p);
}

static inline void pw_make_payload(pw_making *m, pw_world *ret)
{
    static const char *const words[] = {"accept", "approve", "reject", "withdraw", "disburse", "repay", "reverse"};
    uint32_t lines = pw_below(&m->seed, 4), event = pw_below(&m->seed, 8), rest = pw_below(&m->seed, 60);
    uint8_t more[400];
    pw_buffer *p = &m->payload;
    ret->bank = 11;
    ret->code = pw_below(&m->seed, 2) == 0 ? 0 : (uint16_t)pw_below(&m->seed, 91);
    ret->financing = pw_next(&m->seed);
    ret->height = m->height;
    ret->operation = event == 7 ? "apply" : words[event];
    pw_le(p, 1 + (m->lie == PW_PAYLOAD_KIND), 4);
    pw_le(p, lines, 4);
    pw_le(p, 96 + 40 * (lines + (m->lie == PW_PAYLOAD_LINES ? 4 : 0)), 4);
    pw_le(p, m->lie == PW_PAYLOAD_TYPE ? 5 : event == 7 ? 6 : 7, 1);
    pw_le(p, 0, 1);
    pw_le(p, ret->code, 2);
    pw_le(p, 0, 3);
    pw_le(p, event == 7 ? 9 : m->lie == PW_PAYLOAD_EVENT ? 8 : event + 1, 1);
    pw_le(p, 0, 2);
    pw_le(p, 840, 2);
    pw_le(p, ret->bank + (m->lie == PW_PAYLOAD_PARTY), 4);
    pw_le(p, 0, 4);
    pw_le(p, 77, 8);
    pw_le(p, 0, 8);
    pw_le(p, 3, 4);
    pw_le(p, lines + (m->lie == PW_PAYLOAD_LINES ? 4 : 0), 4);
    pw_le(p, ret->financing, 8);
    pw_random(&m->seed, more, sizeof more);
    more[22] = more[23] = 0;
    pw_add(p, more, 40 + 40 * lines + rest); /* what is behind the financing's number, lines, product and papers */
    if (m->lie == PW_PAYLOAD_SHORT) p->n = 103;
}

static inline void pw_make_output(pw_making *m, const pw_world *w)
{
    uint8_t leaf[160] = {m->lie == PW_OUTPUT_KIND ? 2 : 1}, bank[36];
    uint64_t height = m->height + (m->lie == PW_OUTPUT_HEIGHT);
    pw_random(&m->seed, m->salt, 16);
    pw_random(&m->seed, m->op_digest, 32);
    m->op_index = pw_below(&m->seed, 5000);
    memcpy(leaf + 4, m->salt, 16);
    memcpy(leaf + 20, m->genesis.chain, 32);
    memcpy(leaf + 52, &height, 8);
    memcpy(leaf + 60, m->batch, 32);
    memcpy(leaf + 92, &m->op_index, 4);
    memcpy(leaf + 96, m->op_digest, 32);
    kh_sha256(m->payload.p, m->payload.n, leaf + 128);
    leaf[60] ^= m->lie == PW_OUTPUT_BATCH;
    leaf[20] ^= m->lie == PW_OUTPUT_CHAIN;
    memcpy(bank, &w->bank, 4);
    pw_tree(&m->seed, leaf, sizeof leaf, m->shape->outputs, 1, &m->output_path, bank + 4);
    pw_tree(&m->seed, bank, sizeof bank, m->shape->banks, 0, &m->bank_path, m->outputs_root);
}

static inline void pw_attestations_text(pw_making *m, pw_buffer *b)
{
    pw_buffer s = {0};
    uint8_t other[32], posted[32];
    uint32_t n = m->shape->hubs, want = m->hub_quorum - (m->lie == PW_ATTEST_FEWER) + (m->lie == PW_ATTEST_MORE), cnt = 0;
    pw_random(&m->seed, other, 32);
    pw_random(&m->seed, posted, 32);
    pw_add(&s, m->lie == PW_ATTEST_CHAIN ? other : m->genesis.chain, 32);
    pw_le(&s, m->height + (m->lie == PW_ATTEST_HEIGHT), 8);
    pw_le(&s, m->hub_epoch - (m->lie == PW_ATTEST_EPOCH), 4);
    pw_le(&s, m->lie == PW_ATTEST_FLAGS ? 1 + pw_below(&m->seed, 2) : 0, 1);
    pw_le(&s, pw_below(&m->seed, 2) * pw_below(&m->seed, 1u << 24), 3); /* losses that were counted */
    pw_add(&s, m->lie == PW_ATTEST_HASH ? other : m->app_hash, 32);
    pw_add(&s, posted, 32);
    pw_add(&s, m->outputs_root, 32);
    pw_text(b, ",\"attestations\":[");
    for (uint32_t i = 0; i < n && cnt < want; i++) {
        if (pw_below(&m->seed, n - i) >= want - cnt) continue;
        bool last = cnt + 1 == want;
        uint32_t hub = 201 + i + (m->lie == PW_ATTEST_STRANGER && last ? 700 : 0);
        uint8_t signature[64];
        pw_buffer message = {0}, a = {0};
        if (m->lie == PW_ATTEST_DIFFER && last) s.p[80] ^= 1;
        pw_add(&message, "kanhe/attest", 13);
        pw_add(&message, s.p, s.n);
        pw_le(&message, hub, 4);
        pw_sign(m->lie == PW_ATTEST_FORGED && last ? &m->hubs[(i + 1) % n] : &m->hubs[i], message.p, message.n, signature);
        pw_add(&a, "\2\1\0\0", 4);
        pw_add(&a, s.p, s.n);
        pw_le(&a, hub, 4);
        pw_le(&a, m->lie == PW_ATTEST_PADDING && last, 4);
        pw_add(&a, signature, 64);
        pw_hex_field(b, cnt > 0 ? "," : "", a.p, a.n);
        if (m->lie == PW_ATTEST_TWICE && cnt == 0) {
            pw_hex_field(b, ",", a.p, a.n);
            cnt++;
        }
        free(message.p);
        free(a.p);
        cnt++;
    }
    pw_text(b, "]");
    free(s.p);
}

/* pw_make_changes draws the sets and the headers that announce them; returns the set that the receipt's header stands for. */
static inline pw_set *pw_make_changes(pw_making *m)
{
    pw_set *current = &m->first;
    for (uint32_t i = 0; i < m->shape->changes; i++) {
        pw_change *c = &m->changes[i];
        bool last = i + 1 == m->shape->changes;
        uint64_t height = m->initial + 10 * i;
        c->next = *current;
        if (i % 2 == 1) c->next.keys[0] = c->next.keys[--c->next.n];
        c->next.keys[c->next.n++] = pw_key_new(KH_SUITE_INTL, &m->seed);
        qsort(c->next.keys, c->next.n, sizeof(pw_key), pw_by_address);
        if (last && m->lie == PW_CHANGE_ORDER) {
            pw_key first = c->next.keys[0];
            c->next.keys[0] = c->next.keys[1];
            c->next.keys[1] = first;
        }
        if (last && m->lie == PW_CHANGE_NOTHING) c->next = *current;
        if (last && m->lie == PW_CHANGE_BACK) c->next = m->first;
        if (last && m->lie == PW_CHANGE_HEIGHT) height = i > 0 ? m->changes[i - 1].header.height : m->initial - 1;
        if (last && m->lie == PW_CHANGE_LATE) height = m->height + 1;
        pw_header_random(&m->seed, height, &c->header);
        pw_set_hash(current, c->header.hashes[2]);
        pw_set_hash(&c->next, c->header.hashes[3]);
        if (last && m->lie == PW_CHANGE_UNANNOUNCED) c->header.hashes[3][31] ^= 1;
        current = &c->next;
    }
    return current;
}

static inline void pw_changes_text(pw_making *m, pw_buffer *b)
{
    pw_set *current = &m->first;
    uint32_t n = m->shape->changes - (m->lie == PW_CHANGE_MISSING);
    pw_text(b, ",\"validator_changes\":[");
    for (uint32_t i = 0; i < n; i++) {
        pw_change *c = &m->changes[i];
        pw_text(b, i > 0 ? ",{" : "{");
        pw_header_text(b, &c->header);
        pw_commit_text(b, &m->seed, current, &c->header, m->chain_id, m->lie == PW_CHANGE_FORGED ? PW_COMMIT_STRANGER : PW_TRUTH,
                       &m->stranger);
        pw_text(b, ",\"next\":[");
        for (uint32_t k = 0; k < c->next.n; k++) pw_hex_field(b, k > 0 ? "," : "", c->next.keys[k].public, 32);
        pw_text(b, "]}");
        current = &c->next;
    }
    pw_text(b, "]");
}

static inline void pw_make_text(pw_making *m, const pw_world *w, pw_buffer *b)
{
    pw_header header;
    pw_set *set = pw_make_changes(m), other = {.n = 4};
    if (m->lie == PW_VALIDATORS_OTHER) {
        for (uint32_t i = 0; i < other.n; i++) other.keys[i] = pw_key_new(KH_SUITE_INTL, &m->seed);
        qsort(other.keys, other.n, sizeof(pw_key), pw_by_address);
        set = &other;
    }
    pw_header_random(&m->seed, m->height + 1 + (m->lie == PW_HEADER_HEIGHT), &header);
    pw_set_hash(set, header.hashes[2]);
    memcpy(header.hashes[5], m->app_hash, 32);
    pw_text(b, "{\"kanhe_receipt\":\"1\",\"chain_id\":\"%s\",\"height\":\"%llu\",", m->chain_id, (unsigned long long)m->height);
    pw_header_text(b, &header);
    pw_commit_text(b, &m->seed, set, &header, m->chain_id, m->lie, &m->stranger);
    pw_hex_field(b, ",\"app\":{\"previous\":", m->previous, 32);
    pw_hex_field(b, ",\"public_root\":", m->public_root, 32);
    pw_path_text(b, "},\"entry\":{\"path\":", &m->entry_path);
    pw_hex_field(b, ",\"transaction\":", m->tx.p, m->tx.n);
    pw_path_text(b, "},\"hubs\":{\"path\":", &m->hubs_path);
    pw_hex_field(b, ",\"value\":", m->hubs_value.p, m->hubs_value.n);
    pw_text(b, "}");
    pw_attestations_text(m, b);
    pw_text(b, ",\"bank\":{\"party\":\"%u\"", w->bank + (m->lie == PW_BANK));
    pw_path_text(b, ",\"path\":", &m->bank_path);
    pw_path_text(b, "},\"output\":{\"path\":", &m->output_path);
    pw_hex_field(b, ",\"salt\":", m->salt, 16);
    pw_text(b, ",\"op_index\":\"%u\"", m->op_index);
    pw_hex_field(b, ",\"op_digest\":", m->op_digest, 32);
    pw_hex_field(b, ",\"payload\":", m->payload.p, m->payload.n);
    pw_text(b, "}");
    pw_changes_text(m, b);
    pw_text(b, "}");
}

static inline pw_world pw_make(const pw_shape *shape)
{
    pw_world w = {0};
    pw_making *m = calloc(1, sizeof *m);
    uint8_t entries_root[32];
    char genesis_id[20];
    if (m == NULL) abort();
    m->shape = shape;
    m->lie = shape->lie;
    m->seed = shape->seed;
    m->initial = 2 + pw_below(&m->seed, 1000);
    m->height = shape->lie == PW_EARLY ? m->initial - 1 : m->initial + 200 + pw_below(&m->seed, 1000000);
    (void)snprintf(genesis_id, sizeof genesis_id, "kanhe-%u", pw_below(&m->seed, 100000));
    (void)snprintf(m->chain_id, sizeof m->chain_id, "%s%s", genesis_id, shape->lie == PW_CHAIN_ID ? "x" : "");
    pw_make_keys(m);
    pw_genesis_make(&m->genesis, &m->seed, shape, genesis_id, m->initial, &m->first);
    pw_make_entry(m, entries_root);
    pw_make_public(m);
    pw_make_app_hash(m, entries_root);
    pw_make_payload(m, &w);
    pw_make_output(m, &w);
    pw_make_text(m, &w, &w.receipt);
    w.genesis = m->genesis.json;
    pw_keys_drop();
    free(m->genesis.g.p);
    free(m->tx.p);
    free(m->hubs_value.p);
    free(m->payload.p);
    free(m);
    return w;
}
static inline void pw_free(pw_world *w)
{
    free(w->genesis.p);
    free(w->receipt.p);
}

/* ---- damage ---- */
typedef struct pw_damage { /* cut `cut` bytes at `at`, put others there */
    size_t at, cut;
    pw_buffer put;
} pw_damage;
static inline size_t pw_find(uint64_t *seed, const pw_buffer *text, const char *any)
{
    size_t begin = pw_below(seed, (uint32_t)text->n);
    for (size_t i = 0; i < text->n; i++) {
        size_t at = (begin + i) % text->n;
        if (strchr(any, text->p[at]) != NULL) return at;
    }
    return 0;
}
/* pw_swap: two values of one length in each other's place, where that can be found from here. */
static inline bool pw_swap(uint64_t *seed, const pw_buffer *text, pw_damage *d)
{
    size_t a = pw_find(seed, text, "\"") + 1, n = 0;
    while (a + n < text->n && text->p[a + n] != '"') n++;
    for (size_t b = a + n + 1; b + n + 1 < text->n && n > 0; b++) {
        if (text->p[b - 1] != '"' || text->p[b + n] != '"' || memchr(text->p + b, '"', n) != NULL ||
            memcmp(text->p + a, text->p + b, n) == 0)
            continue;
        *d = (pw_damage){.at = a, .cut = b + n - a};
        pw_add(&d->put, text->p + b, n);
        pw_add(&d->put, text->p + a + n, b - a - n);
        pw_add(&d->put, text->p + a, n);
        return true;
    }
    return false;
}
static inline pw_damage pw_damage_draw(uint64_t *seed, const pw_buffer *text)
{
    static const char *const inserts[] = {" ", "\n", "\t", "0", "00", "-", "+",       ",",    "\"",
                                          "{", "}",  "[",  "]", "a",  "F", "\\u0030", "null", "1.0"};
    static const char digits[] = "0123456789abcdef";
    pw_damage d = {.at = pw_below(seed, (uint32_t)text->n), .cut = 1};
    size_t comma = pw_find(seed, text, ","), end = comma + 1;
    while (end < text->n && text->p[end] != ',') end++;
    size_t behind = end + 1;
    while (behind < text->n && text->p[behind] != ',') behind++;
    pw_damage swap;
    if (pw_below(seed, 4) == 0 && pw_swap(seed, text, &swap)) return swap;
    switch (pw_below(seed, 20)) {
    default: /* another digit */
        d.at = pw_find(seed, text, digits);
        pw_add(&d.put, &digits[pw_below(seed, 16)], 1);
        break;
    case 1: pw_add(&d.put, &(char){(char)pw_below(seed, 256)}, 1); break;
    case 2: d.cut = 1 + pw_below(seed, 4); break;
    case 3: {
        const char *insert = inserts[pw_below(seed, sizeof inserts / sizeof inserts[0])];
        d.cut = 0;
        pw_add(&d.put, insert, strlen(insert));
        break;
    }
    case 4: /* a leading zero, an empty text */
        d.at = pw_find(seed, text, "\"") + 1;
        d.cut = 0;
        pw_add(&d.put, pw_below(seed, 2) == 0 ? "0" : "\"", 1);
        break;
    case 5: /* what stands between two commas twice */
        d.at = end;
        d.cut = 0;
        pw_add(&d.put, text->p + comma, end - comma);
        break;
    case 6: /* … not at all */
        d.at = comma;
        d.cut = end - comma;
        break;
    case 7: /* … swapped with what follows */
        d.at = comma;
        d.cut = behind - comma;
        pw_add(&d.put, text->p + end, behind - end);
        pw_add(&d.put, text->p + comma, end - comma);
        break;
    case 8: /* cut off */ d.cut = text->n - d.at; break;
    case 9: /* a field that nobody knows */
        d.at = pw_find(seed, text, "{}");
        d.cut = 0;
        if (text->p[d.at] == '{') {
            d.at++;
            pw_add(&d.put, "\"note\":\"1\",", 11);
        } else {
            pw_add(&d.put, ",\"note\":\"1\"", 11);
        }
        break;
    case 10: { /* a piece of it somewhere else */
        size_t from = pw_below(seed, (uint32_t)text->n), n = 1 + pw_below(seed, 200);
        if (n > text->n - from) n = text->n - from;
        d.cut = n;
        pw_add(&d.put, text->p + from, n);
    }
    }
    if (d.cut > text->n - d.at) d.cut = text->n - d.at;
    return d;
}
/* pw_damaged applies it; false: nothing changed. */
static inline bool pw_damaged(const pw_buffer *text, const pw_damage *d, pw_buffer *ret)
{
    ret->n = 0;
    pw_add(ret, text->p, d->at);
    pw_add(ret, d->put.p, d->put.n);
    pw_add(ret, text->p + d->at + d->cut, text->n - d->at - d->cut);
    return ret->n != text->n || memcmp(ret->p, text->p, text->n) != 0;
}
#endif
