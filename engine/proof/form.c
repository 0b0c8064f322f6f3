/* form: one description of a receipt's text, walked over to read it or to write it. */
#include "proof/form.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct form {
    bool writing, bad;
    kh_err err; /* where not bad: memory ran out */
    char *text; /* reading: lent */
    size_t n, cap, at;
} form;

static bool room(form *f, size_t n)
{
    if (f->bad || f->err != KH_OK) return false;
    if (n <= f->cap - f->at) return true;
    if (!f->writing) return !(f->bad = true);
    size_t cap = 2 * f->cap + n;
    char *text = realloc(f->text, cap);
    if (text == NULL) {
        f->err = KH_E_NOMEM;
        return false;
    }
    f->text = text;
    f->cap = cap;
    return true;
}

static void plain(form *f, const char *text)
{
    size_t n = strlen(text);
    if (!room(f, n)) return;
    if (f->writing) memcpy(f->text + f->at, text, n);
    else if (memcmp(f->text + f->at, text, n) != 0) f->bad = true;
    if (!f->bad) f->at += n;
}

static void number(form *f, const char *before, uint64_t *v, uint64_t max)
{
    plain(f, before);
    plain(f, "\"");
    if (f->writing) {
        char digits[24];
        (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)*v);
        f->bad |= *v > max;
        plain(f, digits);
    } else {
        size_t begin = f->at;
        uint64_t sum = 0;
        for (; !f->bad && f->at < f->n && f->text[f->at] >= '0' && f->text[f->at] <= '9'; f->at++) {
            uint64_t digit = (uint64_t)(f->text[f->at] - '0');
            if (sum > (max - digit) / 10) f->bad = true;
            else sum = sum * 10 + digit;
        }
        size_t n = f->at - begin;
        if (n == 0 || (n > 1 && f->text[begin] == '0')) f->bad = true;
        else *v = sum;
    }
    plain(f, "\"");
}
static void number32(form *f, const char *before, uint32_t *v, uint32_t max)
{
    uint64_t wide = f->writing ? *v : 0;
    number(f, before, &wide, max);
    *v = (uint32_t)wide;
}

static int nibble(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* digits: 2n of them. */
static void digits(form *f, uint8_t *p, size_t n)
{
    if (!room(f, 2 * n)) return;
    for (size_t i = 0; i < n; i++, f->at += 2) {
        if (f->writing) {
            f->text[f->at] = "0123456789abcdef"[p[i] >> 4];
            f->text[f->at + 1] = "0123456789abcdef"[p[i] & 15];
            continue;
        }
        int high = nibble(f->text[f->at]), low = nibble(f->text[f->at + 1]);
        if (high < 0 || low < 0) {
            f->bad = true;
            return;
        }
        p[i] = (uint8_t)(high << 4 | low);
    }
}
static void hex(form *f, const char *before, uint8_t *p, size_t n)
{
    plain(f, before);
    plain(f, "\"");
    digits(f, p, n);
    plain(f, "\"");
}
static void bytes(form *f, const char *before, kh_proof_bytes *b)
{
    plain(f, before);
    plain(f, "\"");
    if (!f->writing && !f->bad) {
        const char *quote = memchr(f->text + f->at, '"', f->n - f->at);
        size_t n = quote == NULL ? 0 : (size_t)(quote - (f->text + f->at));
        b->n = n % 2 == 0 && n / 2 <= sizeof b->p ? (uint32_t)(n / 2) : 0;
    }
    f->bad |= b->n == 0 || b->n > sizeof b->p;
    if (!f->bad) digits(f, b->p, b->n);
    plain(f, "\"");
}

/* more: is there an i-th element? Between `[` and `]`, at most max. */
static bool more(form *f, uint32_t i, uint32_t cnt, uint32_t max)
{
    if (i == 0) plain(f, "[");
    if (f->bad || f->err != KH_OK) return false;
    bool end = f->writing ? i == cnt : f->at < f->n && f->text[f->at] == ']';
    if (end) {
        plain(f, "]");
        return false;
    }
    f->bad |= i == max;
    if (i > 0) plain(f, ",");
    return !f->bad;
}

static void path(form *f, const char *before, kh_proof_path *path)
{
    plain(f, before);
    uint32_t i = 0;
    for (; more(f, i, path->n, KH_PROOF_PATH_MAX); i++) {
        plain(f, "\"");
        if (!f->writing && f->at < f->n) path->left[i] = f->text[f->at] == 'l';
        plain(f, path->left[i] ? "l" : "r");
        digits(f, path->node[i], 32);
        plain(f, "\"");
    }
    path->n = i;
}

static void chain_id(form *f, char id[KH_COMET_CHAIN_ID_MAX + 1])
{
    plain(f, "\"");
    if (f->writing) {
        plain(f, id);
    } else {
        size_t n = 0;
        for (; f->at < f->n && n < KH_COMET_CHAIN_ID_MAX; n++, f->at++) {
            char c = f->text[f->at];
            if (c <= ' ' || c > '~' || c == '"' || c == '\\') break;
            id[n] = c;
        }
        id[n] = '\0';
    }
    f->bad |= id[0] == '\0';
    plain(f, "\"");
}

static void block_id(form *f, const char *before, kh_comet_block_id *id)
{
    plain(f, before);
    hex(f, "{\"hash\":", id->hash, 32);
    number32(f, ",\"total\":", &id->total, UINT32_MAX);
    hex(f, ",\"part_hash\":", id->part_hash, 32);
    plain(f, "}");
}

static void header(form *f, kh_comet_header *h)
{
    number(f, "\"header\":{\"version_block\":", &h->version_block, UINT64_MAX);
    number(f, ",\"version_app\":", &h->version_app, UINT64_MAX);
    number(f, ",\"height\":", &h->height, INT64_MAX);
    number(f, ",\"time_s\":", &h->time_s, INT64_MAX);
    number32(f, ",\"time_ns\":", &h->time_ns, 999999999);
    block_id(f, ",\"last_block_id\":", &h->last_block_id);
    hex(f, ",\"last_commit_hash\":", h->last_commit_hash, 32);
    hex(f, ",\"data_hash\":", h->data_hash, 32);
    hex(f, ",\"validators_hash\":", h->validators_hash, 32);
    hex(f, ",\"next_validators_hash\":", h->next_validators_hash, 32);
    hex(f, ",\"consensus_hash\":", h->consensus_hash, 32);
    hex(f, ",\"app_hash\":", h->app_hash, 32);
    hex(f, ",\"last_results_hash\":", h->last_results_hash, 32);
    hex(f, ",\"evidence_hash\":", h->evidence_hash, 32);
    hex(f, ",\"proposer\":", h->proposer, 20);
    plain(f, "}");
}

static void commit(form *f, kh_comet_commit *c)
{
    number32(f, ",\"commit\":{\"round\":", &c->round, INT32_MAX);
    block_id(f, ",\"block_id\":", &c->block_id);
    plain(f, ",\"signatures\":");
    uint32_t i = 0;
    for (; more(f, i, c->signature_cnt, KH_COMET_VALIDATORS_MAX); i++) {
        kh_comet_signature *s = &c->signatures[i];
        number32(f, "{\"index\":", &s->index, UINT32_MAX);
        number(f, ",\"time_s\":", &s->time_s, INT64_MAX);
        number32(f, ",\"time_ns\":", &s->time_ns, 999999999);
        hex(f, ",\"signature\":", s->signature, 64);
        plain(f, "}");
    }
    c->signature_cnt = i;
    f->bad |= i == 0;
    plain(f, "}");
}

static void change(form *f, kh_proof_change *c)
{
    plain(f, "{");
    header(f, &c->header);
    commit(f, &c->commit);
    plain(f, ",\"next\":");
    uint32_t i = 0;
    for (; more(f, i, c->next.cnt, KH_COMET_VALIDATORS_MAX); i++) hex(f, "", c->next.keys[i], 32);
    c->next.cnt = i;
    f->bad |= i == 0;
    plain(f, "}");
}

static void changes(form *f, kh_proof_parts *p)
{
    plain(f, ",\"validator_changes\":");
    uint32_t i = 0;
    for (; more(f, i, p->change_cnt, KH_PROOF_CHANGES_MAX); i++) {
        if (!f->writing) {
            kh_proof_change *grown = realloc(p->changes, (i + 1) * sizeof *grown);
            if (grown == NULL) {
                f->err = KH_E_NOMEM;
                return;
            }
            p->changes = grown;
        }
        change(f, &p->changes[i]);
    }
    p->change_cnt = i;
}

static void receipt(form *f, kh_proof_parts *p)
{
    plain(f, "{\"kanhe_receipt\":\"1\",\"chain_id\":");
    chain_id(f, p->chain_id);
    number(f, ",\"height\":", &p->height, INT64_MAX);
    plain(f, ",");
    header(f, &p->header);
    commit(f, &p->commit);
    hex(f, ",\"app\":{\"previous\":", p->previous, 32);
    hex(f, ",\"public_root\":", p->public_root, 32);
    path(f, "},\"entry\":{\"path\":", &p->entry_path);
    bytes(f, ",\"transaction\":", &p->transaction);
    path(f, "},\"hubs\":{\"path\":", &p->hubs_path);
    bytes(f, ",\"value\":", &p->hubs);
    plain(f, "},\"attestations\":");
    uint32_t i = 0;
    for (; more(f, i, p->attestation_cnt, KH_PROOF_ATTESTATIONS_MAX); i++)
        hex(f, "", p->attestations[i], KH_PROOF_ATTESTATION_SZ);
    p->attestation_cnt = i;
    f->bad |= i == 0;
    number32(f, ",\"bank\":{\"party\":", &p->bank, UINT32_MAX);
    path(f, ",\"path\":", &p->bank_path);
    path(f, "},\"output\":{\"path\":", &p->output_path);
    hex(f, ",\"salt\":", p->salt, 16);
    number32(f, ",\"op_index\":", &p->op_index, UINT32_MAX);
    hex(f, ",\"op_digest\":", p->op_digest, 32);
    bytes(f, ",\"payload\":", &p->payload);
    plain(f, "}");
    changes(f, p);
    plain(f, "}");
}

kh_err kh_proof_read(const char *text, size_t n, kh_proof_parts *ret, size_t *ret_at)
{
    form f = {.text = (char *)(uintptr_t)text, .n = n, .cap = n}; /* not written to: writing is false */
    ret->changes = NULL;
    receipt(&f, ret);
    *ret_at = f.at;
    if (f.err != KH_OK) return f.err;
    return f.bad || f.at != n ? KH_E_FORMAT : KH_OK;
}

kh_err kh_proof_write(kh_proof_parts *parts, char **ret, size_t *ret_n)
{
    form f = {.writing = true, .cap = 65536, .text = malloc(65536)};
    if (f.text == NULL) return KH_E_NOMEM;
    receipt(&f, parts);
    if (f.err == KH_OK && f.bad) f.err = KH_E_ARG;
    if (f.err != KH_OK) {
        free(f.text);
        return f.err;
    }
    *ret = f.text;
    *ret_n = f.at;
    return KH_OK;
}
