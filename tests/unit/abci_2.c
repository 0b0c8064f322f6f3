/* ABCI against protoc: many generated messages each way, in one run of protoc for each (tests/unit/abci.proto). */
#include "abci/abci.h"
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MESSAGES 600u

static uint64_t seed = 20261125;
static uint64_t rnd(uint64_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 24) % below;
}
static int64_t any_number(void)
{
    uint64_t bits = rnd(65), v = (rnd(UINT64_C(1) << 32) << 32 | rnd(UINT64_C(1) << 32)) >> (bits < 64 ? 63 - bits % 64 : 0);
    return rnd(8) == 0 ? 0 : rnd(4) == 0 ? -(int64_t)(v >> 1) : (int64_t)(v >> 1);
}

/* A text that grows. */
typedef struct text {
    char *p;
    size_t n, cap;
} text;
static void add(text *t, const char *format, ...)
{
    va_list args;
    if (t->cap - t->n < 4096) t->p = realloc(t->p, t->cap = 2 * t->cap + 8192);
    va_start(args, format);
    t->n += (size_t)vsnprintf(t->p + t->n, 4096, format, args);
    va_end(args);
}
/* As protoc writes bytes. */
static void add_bytes(text *t, const char *name, const uint8_t *p, size_t n)
{
    add(t, "%s: \"", name);
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n') add(t, "\\n");
        else if (p[i] == '\r') add(t, "\\r");
        else if (p[i] == '\t') add(t, "\\t");
        else if (p[i] == '"' || p[i] == '\'' || p[i] == '\\') add(t, "\\%c", p[i]);
        else if (p[i] < 0x20 || p[i] >= 0x7f) add(t, "\\%03o", p[i]);
        else add(t, "%c", p[i]);
    }
    add(t, "\"\n");
}

/* Runs protoc over the bytes; what it says is malloc'ed, with a NUL behind it. */
static uint8_t *protoc(const char *what, const char *type, const void *p, size_t n, size_t *ret_n)
{
    char in[64], out[64], command[600];
    const char *root = getenv("KH_SOURCE_ROOT");
    (void)snprintf(in, sizeof in, "/tmp/kh_abci_in_%d", (int)getpid());
    (void)snprintf(out, sizeof out, "/tmp/kh_abci_out_%d", (int)getpid());
    FILE *f = fopen(in, "wb");
    cr_assert(f != NULL && fwrite(p, 1, n, f) == n && fclose(f) == 0);
    (void)snprintf(command, sizeof command, "protoc --proto_path='%s/tests/unit' --%s=abci.%s abci.proto <%s >%s",
                   root != NULL ? root : ".", what, type, in, out);
    cr_assert(system(command) == 0, "protoc (Debian: protobuf-compiler) is needed: %s", command);
    f = fopen(out, "rb");
    cr_assert(f != NULL && fseek(f, 0, SEEK_END) == 0);
    *ret_n = (size_t)ftell(f);
    rewind(f);
    uint8_t *ret = calloc(1, *ret_n + 1);
    cr_assert(fread(ret, 1, *ret_n, f) == *ret_n);
    (void)fclose(f);
    (void)remove(in);
    (void)remove(out);
    return ret;
}

/* ---- requests: protoc writes, the codec reads ---- */

typedef struct expected {
    kh_abci_call call;
    int64_t height, max_tx_bytes, initial_height;
    uint64_t time_ns;
    uint8_t data[64], path[64], proposer[20], hash[32], txs[8][64];
    size_t data_n, path_n, proposer_n, hash_n, tx_n[8];
    uint32_t tx_cnt, validator_cnt;
    kh_abci_validator validators[4];
    uint64_t snapshot_height;
    uint32_t format, chunks, chunk;
    uint8_t snapshot_hash[64], metadata[64];
    size_t snapshot_hash_n, metadata_n;
} expected;

static size_t random_bytes(uint8_t *p, size_t max)
{
    size_t n = rnd(max + 1);
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)rnd(256);
    return n;
}

static void add_time(text *t, const char *name, uint64_t *ret)
{
    uint64_t s = rnd(UINT64_C(10000000000)), ns = rnd(KH_NS_PER_S);
    if (rnd(5) == 0) return;
    if (rnd(6) == 0) s = 0;
    if (rnd(6) == 0) ns = 0;
    *ret = s * KH_NS_PER_S + ns;
    add(t, "%s { seconds: %llu nanos: %llu }\n", name, (unsigned long long)s, (unsigned long long)ns);
}

static void add_height(text *t, const char *name, int64_t *ret)
{
    *ret = any_number();
    add(t, "%s: %lld\n", name, (long long)*ret);
}

static void add_txs(text *t, expected *e)
{
    for (e->tx_cnt = 0; e->tx_cnt < 8 && rnd(4) != 0; e->tx_cnt++) {
        e->tx_n[e->tx_cnt] = random_bytes(e->txs[e->tx_cnt], 64);
        add_bytes(t, "txs", e->txs[e->tx_cnt], e->tx_n[e->tx_cnt]);
    }
}

static void add_text(text *t, const char *name, uint8_t *p, size_t *ret_n)
{
    *ret_n = rnd(32);
    for (size_t i = 0; i < *ret_n; i++) p[i] = (uint8_t)(32 + rnd(95));
    add_bytes(t, name, p, *ret_n);
}

static void add_hash(text *t, const char *name, uint8_t *p, size_t n, size_t *ret_n)
{
    *ret_n = rnd(4) != 0 ? n : 0;
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)rnd(256);
    add_bytes(t, name, p, *ret_n);
}

static void add_beside(text *t) /* what the codec passes over */
{
    if (rnd(2) == 0) add(t, "misbehavior { type: 1 validator { address: \"ab\" power: 3 } height: -4 }\n");
    if (rnd(2) == 0) add(t, "next_validators_hash: \"0123\"\n");
}

static void add_block(text *t, expected *e)
{
    add_txs(t, e);
    if (rnd(2) == 0) add(t, "commit { round: 1 votes { validator { address: \"x\" power: 1 } block_id_flag: 2 } votes { } }\n");
    add_hash(t, "hash", e->hash, 32, &e->hash_n);
    add_height(t, "height", &e->height);
    add_time(t, "time", &e->time_ns);
    add_hash(t, "proposer_address", e->proposer, 20, &e->proposer_n);
    add_beside(t);
}

static void add_init_chain(text *t, expected *e)
{
    add_time(t, "time", &e->time_ns);
    add_text(t, "chain_id", e->path, &e->path_n);
    add(t, "consensus_params { block { max_bytes: 1048576 max_gas: -1 } }\n");
    for (e->validator_cnt = 0; e->validator_cnt < 4 && rnd(4) != 0; e->validator_cnt++) {
        kh_abci_validator *v = &e->validators[e->validator_cnt];
        for (int i = 0; i < 32; i++) v->public_key[i] = (uint8_t)rnd(256);
        v->power = any_number();
        add(t, "validators { pub_key {");
        add_bytes(t, "ed25519", v->public_key, 32);
        add(t, "} power: %lld }\n", (long long)v->power);
    }
    e->data_n = random_bytes(e->data, 64);
    add_bytes(t, "app_state_bytes", e->data, e->data_n);
    add_height(t, "initial_height", &e->initial_height);
}

static void add_offer(text *t, expected *e)
{
    e->snapshot_height = (uint64_t)any_number();
    e->format = (uint32_t)any_number(), e->chunks = (uint32_t)any_number();
    e->snapshot_hash_n = random_bytes(e->snapshot_hash, 64);
    e->metadata_n = random_bytes(e->metadata, 64);
    add(t, "snapshot { height: %llu format: %u chunks: %u\n", (unsigned long long)e->snapshot_height, e->format, e->chunks);
    add_bytes(t, "hash", e->snapshot_hash, e->snapshot_hash_n);
    add_bytes(t, "metadata", e->metadata, e->metadata_n);
    add(t, "}\n");
    add_hash(t, "app_hash", e->hash, 32, &e->hash_n);
}

static void add_chunk(text *t, expected *e)
{
    e->chunk = (uint32_t)any_number();
    if (e->call == KH_ABCI_LOAD_CHUNK) {
        e->format = (uint32_t)any_number();
        e->height = any_number() & INT64_MAX;
        add(t, "height: %lld format: %u chunk: %u\n", (long long)e->height, e->format, e->chunk);
        return;
    }
    e->data_n = random_bytes(e->data, 64);
    add(t, "index: %u\n", e->chunk);
    add_bytes(t, "chunk", e->data, e->data_n);
    add_text(t, "sender", e->path, &e->path_n);
}

static const struct {
    kh_abci_call call;
    const char *name;
} calls[] = {{KH_ABCI_ECHO, "echo"},
             {KH_ABCI_FLUSH, "flush"},
             {KH_ABCI_INFO, "info"},
             {KH_ABCI_INIT_CHAIN, "init_chain"},
             {KH_ABCI_QUERY, "query"},
             {KH_ABCI_CHECK_TX, "check_tx"},
             {KH_ABCI_COMMIT, "commit"},
             {KH_ABCI_LIST_SNAPSHOTS, "list_snapshots"},
             {KH_ABCI_OFFER_SNAPSHOT, "offer_snapshot"},
             {KH_ABCI_LOAD_CHUNK, "load_chunk"},
             {KH_ABCI_APPLY_CHUNK, "apply_chunk"},
             {KH_ABCI_PREPARE, "prepare"},
             {KH_ABCI_PROCESS, "process"},
             {KH_ABCI_EXTEND_VOTE, "extend_vote"},
             {KH_ABCI_VERIFY_VOTE, "verify_vote"},
             {KH_ABCI_FINALIZE, "finalize"},
             {KH_ABCI_INSERT_TX, "insert_tx"},
             {KH_ABCI_REAP_TXS, "reap_txs"}};
#define CALLS (sizeof calls / sizeof calls[0])

static void add_request(text *t, expected *e, size_t which)
{
    *e = (expected){.call = calls[which].call};
    add(t, "all { %s {\n", calls[which].name);
    switch (e->call) {
    case KH_ABCI_ECHO: add_text(t, "message", e->data, &e->data_n); break;
    case KH_ABCI_INFO: add(t, "version: \"0.39.0\" block_version: 11 p2p_version: 8 abci_version: \"2.0.0\"\n"); break;
    case KH_ABCI_INIT_CHAIN: add_init_chain(t, e); break;
    case KH_ABCI_QUERY:
        e->data_n = random_bytes(e->data, 64);
        add_bytes(t, "data", e->data, e->data_n);
        add_text(t, "path", e->path, &e->path_n);
        add_height(t, "height", &e->height);
        add(t, "prove: true\n");
        break;
    case KH_ABCI_CHECK_TX:
    case KH_ABCI_INSERT_TX:
        e->data_n = random_bytes(e->data, 64);
        add_bytes(t, "tx", e->data, e->data_n);
        add(t, "type: 1\n");
        break;
    case KH_ABCI_OFFER_SNAPSHOT: add_offer(t, e); break;
    case KH_ABCI_LOAD_CHUNK:
    case KH_ABCI_APPLY_CHUNK: add_chunk(t, e); break;
    case KH_ABCI_PREPARE:
        add_height(t, "max_tx_bytes", &e->max_tx_bytes);
        add_txs(t, e);
        add(t, "local_last_commit { round: 1 votes { vote_extension: \"e\" } }\n");
        add_height(t, "height", &e->height);
        add_time(t, "time", &e->time_ns);
        add_hash(t, "proposer_address", e->proposer, 20, &e->proposer_n);
        add_beside(t);
        break;
    case KH_ABCI_PROCESS:
    case KH_ABCI_FINALIZE: add_block(t, e); break;
    case KH_ABCI_EXTEND_VOTE:
        add_hash(t, "hash", e->hash, 32, &e->hash_n);
        add_height(t, "height", &e->height);
        add_time(t, "time", &e->time_ns);
        add_txs(t, e);
        add_hash(t, "proposer_address", e->proposer, 20, &e->proposer_n);
        add_beside(t);
        break;
    case KH_ABCI_VERIFY_VOTE:
        add_hash(t, "hash", e->hash, 32, &e->hash_n);
        add(t, "validator_address: \"v\" vote_extension: \"e\"\n");
        add_height(t, "height", &e->height);
        break;
    case KH_ABCI_REAP_TXS: add(t, "max_bytes: 7 max_gas: 8\n"); break;
    default: break;
    }
    add(t, "} }\n");
}

static bool equal(kh_span got, const uint8_t *p, size_t n) { return got.n == n && (n == 0 || memcmp(got.p, p, n) == 0); }

static void compare(const kh_abci_request *r, const expected *e)
{
    size_t at = 0;
    kh_span tx;
    kh_abci_validator v;
    bool init = e->call == KH_ABCI_INIT_CHAIN, applies = e->call == KH_ABCI_APPLY_CHUNK;
    cr_assert(r->call == e->call && r->height == e->height && r->max_tx_bytes == e->max_tx_bytes, "%d", (int)e->call);
    cr_assert(r->initial_height == e->initial_height && r->time_ns == e->time_ns, "%d", (int)e->call);
    cr_assert(equal(init ? r->app_state : r->data, e->data, e->data_n));
    cr_assert(equal(init ? r->chain_id : applies ? r->sender : r->path, e->path, e->path_n));
    cr_assert(equal(r->proposer, e->proposer, e->proposer_n) && equal(r->hash, e->hash, e->hash_n));
    cr_assert(r->snapshot.height == e->snapshot_height && r->snapshot.format == e->format && r->snapshot.chunks == e->chunks);
    cr_assert(equal(r->snapshot.hash, e->snapshot_hash, e->snapshot_hash_n));
    cr_assert(equal(r->snapshot.metadata, e->metadata, e->metadata_n) && r->chunk == e->chunk);
    cr_assert(r->tx_cnt == e->tx_cnt);
    for (uint32_t i = 0; i < e->tx_cnt; i++) cr_assert(kh_abci_tx_next(r, &at, &tx) && equal(tx, e->txs[i], e->tx_n[i]));
    cr_assert(!kh_abci_tx_next(r, &at, &tx));
    at = 0;
    for (uint32_t i = 0; i < e->validator_cnt; i++) {
        cr_assert(kh_abci_validator_next(r, &at, &v));
        cr_assert(memcmp(v.public_key, e->validators[i].public_key, 32) == 0 && v.power == e->validators[i].power);
    }
    cr_assert(!kh_abci_validator_next(r, &at, &v));
}

Test(abci_oracle, reads_what_protoc_writes)
{
    static expected expect[MESSAGES];
    text t = {0};
    size_t n = 0, at = 0;
    for (uint32_t i = 0; i < MESSAGES; i++) add_request(&t, &expect[i], rnd(3) == 0 ? rnd(CALLS) : CALLS - 1 - rnd(7));
    uint8_t *bytes = protoc("encode", "Requests", t.p, t.n, &n);
    for (uint32_t i = 0; i < MESSAGES; i++) { /* field 1 of Requests, then a length and a frame: as on the socket */
        size_t head = 0, sz = 0;
        kh_abci_request r;
        cr_assert(bytes[at++] == 0x0a);
        cr_assert(kh_abci_frame(bytes + at, n - at, &head, &sz) == KH_OK && head + sz <= n - at);
        cr_assert(kh_abci_read(bytes + at + head, sz, &r) == KH_OK, "message %u, call %d", i, (int)expect[i].call);
        compare(&r, &expect[i]);
        at += head + sz;
    }
    cr_assert(at == n);
    free(bytes);
    free(t.p);
}

/* ---- answers: the codec writes, protoc reads ---- */

typedef struct made {
    uint8_t txs[4][40], value[64], hash[32];
    uint16_t codes[6];
    kh_span spans[4];
    kh_abci_validator validators[3];
    kh_abci_snapshot snapshots[3];
    uint32_t refetch[4];
} made;

/* As protoc --decode prints: two blanks a level, what is zero left out. */
static void say_number(text *t, const char *name, int64_t v)
{
    if (v != 0) add(t, "    %s: %lld\n", name, (long long)v);
}
static void say_bytes(text *t, const char *name, const uint8_t *p, size_t n)
{
    if (n == 0) return;
    add(t, "    ");
    add_bytes(t, name, p, n);
}

static void make_txs(text *t, made *m, kh_abci_answer *a)
{
    a->txs = m->spans;
    for (a->tx_cnt = 0; a->tx_cnt < 4 && rnd(4) != 0; a->tx_cnt++) {
        m->spans[a->tx_cnt] = (kh_span){m->txs[a->tx_cnt], random_bytes(m->txs[a->tx_cnt], 40)};
        add(t, "    ");
        add_bytes(t, "txs", m->txs[a->tx_cnt], m->spans[a->tx_cnt].n);
    }
}

static void make_hash(text *t, const char *name, made *m, kh_abci_answer *a)
{
    for (int i = 0; i < 32; i++) m->hash[i] = (uint8_t)rnd(256);
    if (rnd(3) == 0) return;
    a->app_hash = m->hash;
    say_bytes(t, name, m->hash, 32);
}

static void make_finalize(text *t, made *m, kh_abci_answer *a)
{
    a->codes = m->codes;
    for (a->code_cnt = 0; a->code_cnt < 6 && rnd(5) != 0; a->code_cnt++) {
        m->codes[a->code_cnt] = rnd(2) == 0 ? 0 : (uint16_t)rnd(65536);
        add(t, "    tx_results {\n");
        if (m->codes[a->code_cnt] != 0) add(t, "      code: %u\n", m->codes[a->code_cnt]);
        add(t, "    }\n");
    }
    a->validators = m->validators;
    for (a->validator_cnt = 0; a->validator_cnt < 3 && rnd(3) != 0; a->validator_cnt++) {
        kh_abci_validator *v = &m->validators[a->validator_cnt];
        for (int i = 0; i < 32; i++) v->public_key[i] = (uint8_t)rnd(256);
        v->power = any_number();
        add(t, "    validator_updates {\n      pub_key {\n        ");
        add_bytes(t, "ed25519", v->public_key, 32);
        add(t, "      }\n");
        if (v->power != 0) add(t, "      power: %lld\n", (long long)v->power);
        add(t, "    }\n");
    }
    a->app_version = rnd(2) == 0 ? 0 : any_number() & INT64_MAX;
    if (a->app_version != 0)
        add(t, "    consensus_param_updates {\n      version {\n        app: %llu\n      }\n    }\n",
            (unsigned long long)a->app_version);
    make_hash(t, "app_hash", m, a);
}

static void make_value(text *t, const char *name, made *m, kh_abci_answer *a)
{
    a->value = (kh_span){m->value, random_bytes(m->value, 64)};
    say_bytes(t, name, m->value, a->value.n);
}

static void make_snapshots(text *t, made *m, kh_abci_answer *a)
{
    a->snapshots = m->snapshots;
    for (a->snapshot_cnt = 0; a->snapshot_cnt < 3 && rnd(4) != 0; a->snapshot_cnt++) {
        kh_abci_snapshot *s = &m->snapshots[a->snapshot_cnt];
        *s = (kh_abci_snapshot){.height = (uint64_t)any_number(), .format = (uint32_t)rnd(3), .chunks = (uint32_t)any_number()};
        s->hash = (kh_span){m->hash, rnd(33)};
        s->metadata = (kh_span){m->value, rnd(65)};
    }
    (void)random_bytes(m->hash, 32), (void)random_bytes(m->value, 64);
    for (uint32_t i = 0; i < a->snapshot_cnt; i++) {
        const kh_abci_snapshot *s = &m->snapshots[i];
        add(t, "    snapshots {\n");
        if (s->height != 0) add(t, "      height: %llu\n", (unsigned long long)s->height);
        if (s->format != 0) add(t, "      format: %u\n", s->format);
        if (s->chunks != 0) add(t, "      chunks: %u\n", s->chunks);
        if (s->hash.n != 0) add(t, "      "), add_bytes(t, "hash", s->hash.p, s->hash.n);
        if (s->metadata.n != 0) add(t, "      "), add_bytes(t, "metadata", s->metadata.p, s->metadata.n);
        add(t, "    }\n");
    }
}

static void make_applied(text *t, made *m, kh_abci_answer *a)
{
    a->verdict = (kh_abci_verdict)rnd(6);
    say_number(t, "result", a->verdict != 0 ? (int64_t)a->verdict : 2);
    a->refetch = m->refetch;
    for (a->refetch_cnt = 0; a->refetch_cnt < 4 && rnd(3) != 0; a->refetch_cnt++) {
        m->refetch[a->refetch_cnt] = (uint32_t)any_number();
        add(t, "    refetch_chunks: %u\n", m->refetch[a->refetch_cnt]);
    }
    a->reject_senders = m->spans;
    for (a->reject_cnt = 0; a->reject_cnt < 4 && rnd(3) != 0; a->reject_cnt++) {
        m->spans[a->reject_cnt] = (kh_span){(const uint8_t *)"a peer's id", rnd(11)};
        add(t, "    ");
        add_bytes(t, "reject_senders", m->spans[a->reject_cnt].p, m->spans[a->reject_cnt].n);
    }
}

static void make_answer(text *t, made *m, kh_abci_answer *a, size_t which)
{
    kh_abci_call call = calls[which].call;
    *a = (kh_abci_answer){.accept = rnd(2) == 0};
    if (rnd(20) == 0) {
        a->exception = "it \"is\" over";
        add(t, "all {\n  exception {\n    message: \"it \\\"is\\\" over\"\n  }\n}\n");
        return;
    }
    add(t, "all {\n  %s {\n", calls[which].name);
    switch (call) {
    case KH_ABCI_ECHO:
        a->value = (kh_span){(const uint8_t *)"hello", rnd(6)};
        say_bytes(t, "message", a->value.p, a->value.n);
        break;
    case KH_ABCI_INFO:
        a->data = "kanhe", a->version = rnd(2) == 0 ? "0.1" : NULL, a->app_version = rnd(3), a->height = any_number();
        add(t, "    data: \"kanhe\"\n");
        if (a->version != NULL) add(t, "    version: \"0.1\"\n");
        say_number(t, "app_version", (int64_t)a->app_version);
        say_number(t, "last_block_height", a->height);
        make_hash(t, "last_block_app_hash", m, a);
        break;
    case KH_ABCI_INIT_CHAIN: make_hash(t, "app_hash", m, a); break;
    case KH_ABCI_QUERY:
        a->code = (uint32_t)rnd(3), a->height = any_number();
        say_number(t, "code", a->code);
        make_value(t, "value", m, a);
        say_number(t, "height", a->height);
        break;
    case KH_ABCI_CHECK_TX:
    case KH_ABCI_INSERT_TX: a->code = (uint32_t)rnd(40000), say_number(t, "code", a->code); break;
    case KH_ABCI_COMMIT: a->height = any_number(), say_number(t, "retain_height", a->height); break;
    case KH_ABCI_LIST_SNAPSHOTS: make_snapshots(t, m, a); break;
    case KH_ABCI_OFFER_SNAPSHOT:
        a->verdict = (kh_abci_verdict)rnd(6);
        say_number(t, "result", a->verdict != 0 ? (int64_t)a->verdict : 2);
        break;
    case KH_ABCI_LOAD_CHUNK: make_value(t, "chunk", m, a); break;
    case KH_ABCI_APPLY_CHUNK: make_applied(t, m, a); break;
    case KH_ABCI_PROCESS:
    case KH_ABCI_VERIFY_VOTE: say_number(t, "result", a->accept ? 1 : 2); break;
    case KH_ABCI_PREPARE:
    case KH_ABCI_REAP_TXS: make_txs(t, m, a); break;
    case KH_ABCI_FINALIZE: make_finalize(t, m, a); break;
    default: break;
    }
    add(t, "  }\n}\n");
}

Test(abci_oracle, protoc_reads_what_is_written)
{
    text want = {0};
    kh_abci_buffer all = {0}, one = {0};
    for (uint32_t i = 0; i < MESSAGES; i++) {
        static made m;
        kh_abci_answer a;
        size_t which = rnd(CALLS);
        make_answer(&want, &m, &a, which);
        one.n = 0;
        cr_assert(kh_abci_write(calls[which].call, &a, &one) == KH_OK);
        all.p = realloc(all.p, all.n + one.n + 1); /* field 1 of Responses, then as on the socket */
        all.p[all.n] = 0x0a;
        memcpy(all.p + all.n + 1, one.p, one.n);
        all.n += one.n + 1;
    }
    size_t n = 0;
    uint8_t *got = protoc("decode", "Responses", all.p, all.n, &n);
    const char *a = (const char *)got, *b = want.p;
    for (uint32_t line = 1; *a != '\0' || *b != '\0'; line++) {
        size_t an = strcspn(a, "\n"), bn = strcspn(b, "\n");
        cr_assert(an == bn && memcmp(a, b, an) == 0, "line %u: protoc \"%.*s\", wanted \"%.*s\"", line, (int)an, a, (int)bn, b);
        a += an + (a[an] != '\0'), b += bn + (b[bn] != '\0');
    }
    free(got);
    free(all.p);
    free(one.p);
    free(want.p);
}
