/* leaves: see leaves.h. A leaf is gathered, then read; what is out of range was read in the wrong way. */
#include "leaves.h"
#include <stdlib.h>

typedef struct leaf_reader {
    const kh_ledger *l;
    uint8_t *bytes;
    size_t n, cap, at;
    bool bad; /* of this leaf */
    const char *why;
    uint32_t kind; /* of the leaf before */
    uint64_t papers, loans;
} leaf_reader;

/* ---- what leaves are made of ---- */

static const uint8_t *take(leaf_reader *r, size_t n)
{
    static const uint8_t nothing[64];
    if (r->bad || r->n - r->at < n) {
        r->bad = true;
        return nothing;
    }
    r->at += n;
    return r->bytes + r->at - n;
}

static uint64_t number(leaf_reader *r)
{
    const uint8_t *p = take(r, 8);
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

/* up_to: a number that cannot be above most. */
static uint64_t up_to(leaf_reader *r, uint64_t most)
{
    uint64_t v = number(r);
    if (v > most) r->bad = true;
    return r->bad ? 0 : v;
}

static void text(leaf_reader *r)
{
    uint64_t n = up_to(r, UINT16_MAX);
    if (r->n - r->at < n) r->bad = true;
    else r->at += n;
}

static void numbers(leaf_reader *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) (void)number(r);
}

static void key(leaf_reader *r, kh_key *ret)
{
    const uint8_t *p = take(r, 16);
    for (int i = 0; i < 16; i++) ret->b[i] = p[i];
}

static bool more(const leaf_reader *r) { return !r->bad && r->at < r->n; }

/* ---- one function a word ---- */

static void head(leaf_reader *r) { numbers(r, 5 + KH_KIND_CNT + 16); }

static void expel(leaf_reader *r) { numbers(r, 1); }

static void rule(leaf_reader *r)
{
    (void)up_to(r, 255);
    numbers(r, 3);
    text(r);
}

static void product(leaf_reader *r)
{
    text(r);
    text(r);
    numbers(r, 2);
}

static void rate(leaf_reader *r)
{
    uint64_t pair = number(r);
    if (pair >> 32 > 999 || (pair >> 16 & 0xffff) > 999) r->bad = true;
    (void)number(r);
    (void)up_to(r, UINT16_MAX);
    text(r);
}

static void party(leaf_reader *r)
{
    uint64_t role = number(r) >> 8 & 0xff;
    text(r);
    text(r);
    numbers(r, 4);
    if (role != KH_ROLE_ENTERPRISE) numbers(r, 1);
    else
        while (more(r)) {
            numbers(r, 2);
            (void)take(r, KH_PARTY_KEY_SZ);
        }
}

static void balance(leaf_reader *r, kh_balance_view *ret)
{
    kh_key other;
    if (number(r) >> 32 != 0) r->bad = true; /* version mod 65,536, status, flags */
    *ret = (kh_balance_view){.currency = (kh_currency)(number(r) >> 48)};
    ret->base = number(r);
    ret->cap = number(r);
    (void)number(r);
    (void)up_to(r, 255);
    for (uint64_t n = up_to(r, 65); n > 0 && !r->bad; n--) {
        (void)up_to(r, UINT32_MAX);
        ret->held += number(r);
        ret->used += number(r);
        ret->consumed += number(r);
    }
    for (uint64_t n = up_to(r, 4096); n > 0 && !r->bad; n--) {
        (void)up_to(r, UINT32_MAX);
        (void)number(r);
        (void)up_to(r, KH_LINES_MAX - 1);
    }
    for (uint64_t n = up_to(r, 64); n > 0 && !r->bad; n--) {
        key(r, &other);
        (void)up_to(r, 999);
    }
}

static void paper(leaf_reader *r)
{
    static kh_doc_view view;
    kh_balance_view b;
    kh_key its;
    key(r, &its);
    if (!r->bad && !kh_ledger_document(r->l, &its, 0, &view)) r->bad = true;
    text(r);
    text(r);
    text(r);
    if (up_to(r, UINT32_MAX) != view.version) r->bad = true;
    (void)number(r);
    uint32_t met = 0;
    for (uint64_t n = number(r); n > 0 && !r->bad; n--) {
        balance(r, &b);
        for (uint32_t i = 0; i < view.balance_cnt; i++) {
            const kh_balance_view *v = &view.balances[i];
            if (v->currency != b.currency) continue;
            met++;
            if (v->base != b.base || v->cap != b.cap || v->held != b.held || v->used != b.used || v->consumed != b.consumed)
                r->bad = true;
        }
    }
    if (met != view.balance_cnt) r->bad = true;
    if (more(r)) {
        numbers(r, 4);
        uint64_t superseded = number(r);
        if (superseded >> 8 > 8 || (superseded & 0xff) >= 8) r->bad = true;
        numbers(r, 8);
    }
    while (more(r)) {
        key(r, &its);
        (void)up_to(r, 255);
    }
    r->papers++;
}

static void alias(leaf_reader *r)
{
    (void)take(r, 32);
    text(r);
    text(r);
}

static void ref(leaf_reader *r)
{
    (void)take(r, 32);
    numbers(r, 2);
}

static void deal(leaf_reader *r)
{
    (void)take(r, 16);
    (void)number(r);
    text(r);
}

static void waits(leaf_reader *r)
{
    numbers(r, 1);
    if ((number(r) & 1) != 0) (void)take(r, 16); /* for a notice of this paper */
    uint64_t n = number(r);
    if (r->n - r->at < n) r->bad = true;
    else r->at += n;
}

static void loan(leaf_reader *r)
{
    static kh_fin_view view;
    kh_key of;
    uint32_t bank = (uint32_t)up_to(r, UINT32_MAX);
    uint64_t id = number(r);
    if (!r->bad && !kh_ledger_financing(r->l, bank, id, &view)) r->bad = true;
    if (up_to(r, UINT32_MAX) != view.enterprise || number(r) != view.amount) r->bad = true;
    uint64_t lines = (number(r) & 0xff) + 1;
    if (lines != view.line_cnt) r->bad = true;
    text(r);
    if (number(r) != view.deadline_ns) r->bad = true;
    numbers(r, 6);
    for (uint64_t i = 0; i < lines && !r->bad; i++) {
        key(r, &of);
        if (up_to(r, 999) != view.lines[i].currency || number(r) != view.lines[i].allocated) r->bad = true;
        (void)number(r);
        (void)up_to(r, 1);
        if (up_to(r, 1) != 0) rate(r);
    }
    r->loans++;
}

static void grant(leaf_reader *r) { numbers(r, 6); }

static void risk(leaf_reader *r)
{
    (void)take(r, 16);
    numbers(r, 1);
}

/* In the order of docs/FORMAT.md: a leaf's word is that of the one before, or one behind it. */
static const struct word {
    char name[9];
    void (*read)(leaf_reader *r);
} words[] = {{"head\0\0\0", head}, {"expel\0\0", expel}, {"rule\0\0\0", rule}, {"product", product}, {"rate\0\0\0", rate},
             {"party\0\0", party}, {"paper\0\0", paper}, {"alias\0\0", alias}, {"ref\0\0\0\0", ref}, {"deal\0\0\0", deal},
             {"waits\0\0", waits}, {"loan\0\0\0", loan}, {"grant\0\0", grant}, {"risk\0\0\0", risk}};
enum { WORDS = sizeof words / sizeof words[0], PAPER = 6, ALIAS = 7 };

static void leaf_bytes(void *ctx, const void *p, size_t n)
{
    leaf_reader *r = ctx;
    if (r->cap - r->n < n) {
        r->cap = (r->n + n) * 2;
        r->bytes = realloc(r->bytes, r->cap);
        KH_ASSERT(r->bytes != NULL);
    }
    for (size_t i = 0; i < n; i++) r->bytes[r->n + i] = ((const uint8_t *)p)[i];
    r->n += n;
}

static void leaf_end(void *ctx)
{
    leaf_reader *r = ctx;
    uint32_t kind = 0;
    r->at = 0;
    r->bad = false;
    const uint8_t *name = take(r, 8);
    while (kind < WORDS && memcmp(words[kind].name, name, 8) != 0) kind++;
    bool among_papers = kind == PAPER && r->kind == ALIAS;
    if (kind == WORDS || (kind < r->kind && !among_papers)) r->why = "leaf of another word";
    else {
        words[kind].read(r);
        if (r->why == NULL && (r->bad || r->at != r->n)) r->why = words[kind].name;
        r->kind = kind;
    }
    r->n = 0;
}

const char *leaves_read(const kh_ledger *l)
{
    leaf_reader r = {.l = l};
    const kh_leaves to = {leaf_bytes, leaf_end, &r};
    kh_ledger_stats stats;
    void *scratch = malloc(kh_ledger_checkpoint_scratch(l));
    KH_ASSERT(scratch != NULL);
    kh_ledger_checkpoint(l, scratch, &to);
    kh_ledger_get_stats(l, &stats);
    if (r.why == NULL && (r.papers != stats.documents || r.loans != stats.financings)) r.why = "leaves that lack";
    free(scratch);
    free(r.bytes);
    return r.why;
}
