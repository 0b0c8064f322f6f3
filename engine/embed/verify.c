/* verify: a file of questions, a verdict a line, in order. */
#include "embed/embed.h"
#include "formats/item.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { GROUP = 2048 };
static const char *const columns[] = {"kind",      "number",    "owner_id",    "currency",    "amount",  "date",
                                      "issuer_id", "direction", "contract_no", "want_amount", "version", "invoice_code"};

/* What names the paper; and what a bank proves that it holds it with. */
#define NEEDED UINT64_C(0x03)
#define NEEDED_BY_A_BANK UINT64_C(0x1f)

typedef struct asked {
    uint64_t line;
    kh_code refused;
    char why[256];
    kh_paper_name paper;
} asked;

typedef struct checker {
    kh_engine *e;
    kh_principal who;
    kh_code door; /* what access says to the whole file */
    const kh_result_sink *sink;
    uint64_t line_offset;
    uint32_t n;
    bool not_ok, empty;
    kh_question questions[GROUP];
    kh_verdict verdicts[GROUP];
    asked asked[GROUP];
} checker;

static bool refuse(asked *a, kh_code code, const char *why)
{
    a->refused = code;
    (void)snprintf(a->why, sizeof a->why, "%s", why);
    return false;
}

/* ask turns a row into a question; false: refused in *a. */
static bool ask(const kh_row_view *row, const kh_principal *who, asked *a, kh_question *q)
{
    *a = (asked){.line = row->line};
    *q = (kh_question){.bank = who->role == KH_ROLE_BANK ? who->party : 0, .amount = KH_AMOUNT_NONE, .want = KH_AMOUNT_NONE};
    if (row->code != KH_C_OK) return refuse(a, row->code, row->why);
    kh_text number = row->get(row, "number"), owner = row->get(row, "owner_id"), currency = row->get(row, "currency");
    kh_text code = row->get(row, "invoice_code");
    char joined[KH_NUMBER_MAX + 1];
    if (code.n > 0 && code.n + number.n <= KH_NUMBER_MAX) {
        memcpy(joined, code.p, code.n);
        memcpy(joined + code.n, number.p, number.n);
        number = (kh_text){joined, code.n + number.n};
    }
    if (!kh_kind_of_columns(row, KH_KIND_ANY, &q->kind)) return refuse(a, KH_C_FORMAT, "kind: no kind of document");
    char owner_text[KH_ISSUER_MAX + 1];
    uint32_t owner_n = 0;
    if (owner.n > 0 && kh_owner_canonical(owner, owner_text, &owner_n) == KH_C_FORMAT)
        return refuse(a, KH_C_FORMAT, "owner_id: neither a USCC nor a foreign id");
    if (!kh_embed_paper_of(q->kind, number, row->get(row, "issuer_id"), owner, &a->paper))
        return refuse(a, KH_C_FORMAT, "number: malformed");
    q->key = a->paper.key;
    q->number_code = a->paper.code;
    q->owner_check = kh_owner_check((kh_text){owner_text, owner_n});
    if (currency.n > 0 && !kh_currency_of_text(currency, &q->currency))
        return refuse(a, KH_C_FORMAT, "currency: not in ISO 4217");
    if (kh_amount_parse(row->get(row, "amount"), q->currency, &q->amount) != KH_C_OK)
        return refuse(a, KH_C_FORMAT, "amount: not digits with at most the currency's decimals");
    if (kh_amount_parse(row->get(row, "want_amount"), q->currency, &q->want) != KH_C_OK)
        return refuse(a, KH_C_FORMAT, "want_amount: not digits with at most the currency's decimals");
    if (!kh_day_parse(row->get(row, "date"), &q->date)) return refuse(a, KH_C_FORMAT, "date: write 2026-11-24");
    kh_text direction = row->get(row, "direction"), version = row->get(row, "version");
    if (direction.n > 0) {
        static const struct {
            const char *word;
            int8_t d;
        } words[] = {{"export", 1}, {"E", 1}, {"0", 1}, {"出口", 1}, {"import", -1}, {"I", -1}, {"1", -1}, {"进口", -1}};
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (kh_text_equal(direction, kh_text_of(words[i].word))) q->direction = words[i].d;
        if (q->direction == 0) return refuse(a, KH_C_FORMAT, "direction: export or import");
    }
    uint64_t v = 0;
    for (uint32_t i = 0; i < version.n; i++) {
        if (version.p[i] < '0' || version.p[i] > '9' || v > UINT32_MAX / 10) return refuse(a, KH_C_FORMAT, "version: a number");
        v = v * 10 + (uint64_t)(version.p[i] - '0');
    }
    q->version = (uint32_t)v;
    q->contract = kh_contract_digest(row->get(row, "contract_no"));
    /* a bank describes the paper that it holds: without owner and amount nothing would be proven */
    if ((kh_access_rights(who, KH_ASK_VERIFY) & KH_NEEDS_PROOF) != 0 && (q->owner_check == 0))
        return refuse(a, KH_C_FORMAT, "owner_id: state the owner on the paper");
    return true;
}

static void give(checker *c, const asked *a, const kh_verdict *v)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "line", a->line + c->line_offset);
    kh_row_text(&b, "kind", kh_kind_word(a->paper.kind));
    kh_row_text(&b, "number", a->paper.number);
    kh_row_issuer(&b, a->paper.issuer);
    kh_row_code(&b, v->code);
    kh_row_mismatch(&b, v->mismatch);
    kh_row_text(&b, "status", v->status != KH_STATUS_NONE ? kh_status_word(v->status) : NULL);
    kh_row_text(&b, "currency", v->currency != 0 ? kh_currency_alpha(v->currency) : NULL);
    kh_row_amount(&b, "free", v->free, v->currency);
    if (v->version != 0) kh_row_number(&b, "version", v->version);
    else kh_row_null(&b, "version");
    kh_row_number(&b, "as_of", kh_viewed(c->e) ? kh_view_height(c->e->view) : kh_store_block_of(c->e->store, v->as_of));
    if (v->code == KH_C_NOT_FOUND) kh_row_time(&b, "watermark", v->watermark);
    if (c->e->cluster != NULL) kh_row_bool(&b, "attested", false); /* one hub's word */
    if (v->code == KH_C_NOT_CHECKED) kh_row_text(&b, "reason", "hub");
    if (a->refused != 0 && a->why[0] != '\0') kh_row_text(&b, "why", a->why);
    if (v->code != KH_C_OK && !kh_code_is_warning(v->code)) c->not_ok = true;
    kh_row_give(&b, "verdict", c->sink);
}

/* A paper that states no amount is stored without a currency: the currency beside an empty amount is then no mismatch. */
static void without_amount(const kh_ledger *l, const kh_question *q, kh_verdict *v)
{
    if (q->amount != KH_AMOUNT_NONE || v->code != KH_C_FIELD_MISMATCH || v->mismatch != KH_FIELD_CURRENCY) return;
    kh_question bare = *q;
    kh_verdict again;
    bare.currency = 0;
    kh_ledger_verify(l, &bare, 1, &again);
    if (again.status != KH_STATUS_NONE && again.currency == 0) *v = again;
}

/* evaluate gives verdicts to n questions from `at` on; returns how many of them were probes. */
static uint32_t evaluate(checker *c, uint32_t at, uint32_t n)
{
    bool proof = (kh_access_rights(&c->who, KH_ASK_VERIFY) & KH_NEEDS_PROOF) != 0;
    uint32_t probes = 0;
    const kh_ledger *l = kh_store_read_begin(c->e->store);
    kh_ledger_verify(l, c->questions + at, n, c->verdicts + at);
    for (uint32_t i = at; i < at + n; i++) without_amount(l, &c->questions[i], &c->verdicts[i]);
    kh_store_read_end(c->e->store);
    for (uint32_t i = at; i < at + n; i++) {
        kh_verdict *v = &c->verdicts[i];
        if (proof && kh_access_unproven(&c->questions[i], v))
            *v =
                (kh_verdict){.code = KH_C_FIELD_MISMATCH, .mismatch = KH_FIELD_AMOUNT, .free = KH_AMOUNT_NONE, .as_of = v->as_of};
        probes += c->asked[i].refused == 0 && kh_limit_is_probe(v->code);
    }
    return probes;
}

/* Who is limited is answered in groups that tokens were taken for; who is not, all at once. */
static void verdicts(checker *c)
{
    kh_probe probe;
    if (c->door != KH_C_OK) return;
    if (!kh_limit_applies(c->e->limits, &c->who)) {
        (void)evaluate(c, 0, c->n);
        return;
    }
    for (uint32_t at = 0; at < c->n; at += KH_LIMIT_GROUP) {
        uint32_t n = c->n - at < KH_LIMIT_GROUP ? c->n - at : KH_LIMIT_GROUP, granted = kh_probe_take(c->e, &c->who, n, &probe);
        kh_probe_end(&probe, granted != 0 ? evaluate(c, at, granted) : 0);
        for (uint32_t i = at + granted; i < at + n; i++)
            if (c->asked[i].refused == 0)
                (void)refuse(&c->asked[i], KH_C_RATE_LIMITED, "too many wrong or unproven questions; ask later");
    }
}

/* What a regulator looks at is filed by its papers, many a line: the file's name says nothing. */
static void file_lookups(const checker *c)
{
    char papers[800];
    size_t n = 0;
    if (c->door != KH_C_OK || (kh_access_rights(&c->who, KH_ASK_VERIFY) & KH_LOGGED) == 0) return;
    for (uint32_t i = 0; i < c->n; i++) {
        const kh_paper_name *paper = &c->asked[i].paper;
        if (c->asked[i].refused != 0) continue;
        const char *kind = kh_kind_word(paper->kind);
        if (n + strlen(kind) + strlen(paper->number) + 3 > sizeof papers) {
            kh_embed_log_lookup(c->e, &c->who, "verify", papers);
            n = 0;
        }
        n += (size_t)snprintf(papers + n, sizeof papers - n, "%s%s:%s", n == 0 ? "" : " ", kind, paper->number);
    }
    if (n != 0) kh_embed_log_lookup(c->e, &c->who, "verify", papers);
}

static void answer(checker *c)
{
    file_lookups(c);
    const kh_ledger *l = kh_store_read_begin(c->e->store);
    uint64_t height = kh_ledger_height(l);
    kh_store_read_end(c->e->store);
    verdicts(c);
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->door != KH_C_OK) c->asked[i].refused = c->door;
        if (c->asked[i].refused != 0)
            c->verdicts[i] = (kh_verdict){.code = c->asked[i].refused, .free = KH_AMOUNT_NONE, .as_of = height};
        give(c, &c->asked[i], &c->verdicts[i]);
    }
    c->n = 0;
}

static kh_err read_all(checker *c, const kh_input *input)
{
    kh_rows *rows = NULL;
    kh_row_view row;
    kh_input_source source;
    uint64_t read = 0;
    kh_input_source_begin(&source, input);
    kh_err err = kh_rows_open(&source.source, columns, sizeof columns / sizeof columns[0], &rows);
    if (err != KH_OK) return err;
    kh_rows_need(rows, (kh_access_rights(&c->who, KH_ASK_VERIFY) & KH_NEEDS_PROOF) != 0 ? NEEDED_BY_A_BANK : NEEDED);
    while (err == KH_OK && kh_rows_next(rows, &row, &err)) {
        if (!ask(&row, &c->who, &c->asked[c->n], &c->questions[c->n]))
            c->questions[c->n] = (kh_question){.kind = KH_KIND_INVOICE};
        if (++c->n == GROUP) answer(c);
        if (++read % 65536 == 0 && c->sink->progress != NULL)
            c->sink->progress(c->sink->ctx, input->name, source.done, input->size);
    }
    if (err == KH_OK) answer(c);
    c->empty = read == 0;
    kh_rows_close(rows);
    return err;
}

kh_result kh_verify_input(kh_engine *engine, const kh_input *input, const char *as, const kh_result_sink *sink)
{
    kh_result result = kh_embed_open(engine, KH_READING);
    if (result != KH_DONE) return result;
    checker *c = calloc(1, sizeof *c);
    if (c == NULL) return kh_embed_environment(engine, KH_E_NOMEM, "verify");
    c->e = engine;
    c->sink = sink;
    c->line_offset = input->line_offset;
    const kh_ledger *l = kh_store_read_begin(engine->store);
    result = kh_embed_principal(engine, l, as, KH_ASK_VERIFY, &c->who, &c->door);
    kh_store_read_end(engine->store);
    if (kh_viewed(engine) && c->door == KH_C_OK) c->door = KH_C_NOT_CHECKED; /* a hub is asked; this is said where none answers */
    if (result == KH_DONE) {
        kh_embed_log_lookup(engine, &c->who, "verify", input->name);
        kh_err err = read_all(c, input);
        if (err == KH_E_FORMAT)
            result = kh_embed_fail(engine, KH_MISUSE,
                                   "%s: its first line does not name the columns kind, number, owner_id, currency, amount, date",
                                   input->name);
        else if (err != KH_OK) result = kh_embed_environment(engine, err, "verify");
        else if (c->not_ok) result = kh_embed_fail(engine, KH_DONE_NOT_OK, "some lines are not OK");
        else if (c->empty) result = kh_embed_fail(engine, KH_DONE_NOT_OK, "%s: the file holds no line", input->name);
    }
    free(c);
    return result;
}

kh_result kh_verify(kh_engine *engine, const char *file, const char *as, const kh_result_sink *sink)
{
    kh_file_input f;
    if (kh_file_input_open(&f, file) != KH_OK)
        return kh_embed_fail(engine, KH_MISUSE, "%s cannot be read: %s", file, strerror(errno));
    kh_result result = kh_verify_input(engine, &f.input, as, sink);
    kh_file_input_close(&f);
    return result;
}
