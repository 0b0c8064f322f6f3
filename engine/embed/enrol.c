/* enrol: enterprises that get an id because a financing is theirs. The id follows from the enterprise's own, above the ids that
 * people choose; the registration goes before the application into the same batch. What comes between (another handle enrols, or
 * the operator registers) is seen by the registration's answer, and put right. */
#include "embed/embed.h"
#include <stdlib.h>

#define ENROLLED_ID 0x80000000u
#define TRIES_MAX 4

/* enrolling: does this batch enrol a party under this id? *ret_same: the one of this USCC. */
static bool enrolling(const kh_batch *b, uint32_t id, kh_text uscc, bool *ret_same)
{
    for (uint32_t i = 0; b->enrolled_cnt != 0 && i < b->op_cnt; i++) {
        if (b->enrolled[i] != id) continue;
        kh_op_scratch scratch;
        kh_op op;
        size_t n;
        *ret_same = kh_op_decode(b->bytes + b->at[i], b->n - b->at[i], &scratch, &op, &n) == KH_OK &&
                    kh_text_equal(op.party_add.uscc, uscc);
        return true;
    }
    return false;
}

static bool is_owner(const kh_ledger *l, const kh_key *document, kh_text uscc)
{
    kh_doc_view doc;
    return kh_ledger_document(l, document, 0, &doc) && kh_text_equal(uscc, (kh_text){doc.owner, doc.owner_n});
}

uint32_t kh_embed_enterprise(kh_engine *e, kh_batch *b, const kh_principal *who, const char *text, const kh_key *document,
                             kh_err *ret_err)
{
    kh_party_view party;
    char uscc[KH_ISSUER_MAX + 1];
    uint32_t n, id = 0;
    bool same = true;
    *ret_err = KH_OK;
    if (kh_viewed(e)) {
        *ret_err = kh_viewed_enterprise(e, text, &id);
        return id;
    }
    const kh_ledger *l = kh_store_read_begin(e->store);
    if (kh_embed_party(e, l, who, text, &party)) id = party.id;
    else if (kh_owner_canonical(kh_text_of(text), uscc, &n) != KH_C_FORMAT && is_owner(l, document, (kh_text){uscc, n})) {
        id = ENROLLED_ID | (uint32_t)kh_xxh3(uscc, n);
        bool in_batch = false;
        while (kh_ledger_party(l, id, &party) || ((in_batch = enrolling(b, id, (kh_text){uscc, n}, &same)) && !same))
            id = ENROLLED_ID | (id + 1);
        if (!in_batch) {
            kh_op op = {.type = KH_OP_PARTY_ADD,
                        .party_add = {.id = id, .role = KH_ROLE_ENTERPRISE, .name = {uscc, n}, .uscc = {uscc, n}}};
            *ret_err = kh_batch_add(b, &op);
            if (*ret_err == KH_OK) {
                b->enrolled[b->op_cnt - 1] = id;
                b->enrolled_cnt++;
            }
        }
    }
    kh_store_read_end(e->store);
    return id;
}

/* apply_again sends an application of an enterprise of this USCC until what it is registered as stays as it was. */
static kh_err apply_again(kh_engine *e, kh_op *op, const char *uscc, kh_answer *a)
{
    const kh_principal who = {.party = op->party, .role = KH_ROLE_BANK};
    kh_batch again;
    kh_err err = kh_batch_init(&again);
    bool settled = false;
    for (uint32_t i = 0; i < TRIES_MAX && err == KH_OK && !settled; i++) {
        kh_batch_reset(&again);
        op->apply.enterprise = kh_embed_enterprise(e, &again, &who, uscc, &op->apply.lines[0].key, &err);
        again.enrolled_cnt = 0; /* looked at here */
        if (err == KH_OK) err = kh_batch_add(&again, op);
        if (err == KH_OK) err = kh_batch_submit(e, &again);
        if (err == KH_OK) err = kh_batch_wait(e, &again);
        settled = err == KH_OK && (again.op_cnt == 1 || again.answers[0].receipt.code == KH_C_OK);
    }
    if (err == KH_OK) {
        kh_answer *last = &again.answers[again.op_cnt - 1];
        free(a->lines);
        *a = *last;
        last->lines = NULL;
    }
    kh_batch_release(&again);
    return err;
}

/* redo sends the applications behind enrolment `at` again that were meant for the enterprise of this USCC. */
static kh_err redo(kh_engine *e, kh_batch *b, uint32_t at, kh_text uscc)
{
    kh_err err = KH_OK;
    char text[KH_ISSUER_MAX + 1];
    kh_op_scratch *scratch = malloc(sizeof *scratch);
    if (scratch == NULL) return KH_E_NOMEM;
    memcpy(text, uscc.p, uscc.n);
    text[uscc.n] = '\0';
    for (uint32_t i = at + 1; i < b->op_cnt && err == KH_OK; i++) {
        kh_op op;
        size_t n;
        err = kh_op_decode(b->bytes + b->at[i], b->n - b->at[i], scratch, &op, &n);
        if (err != KH_OK || op.type != KH_OP_APPLY || op.apply.enterprise != b->enrolled[at]) continue;
        const kh_ledger *l = kh_store_read_begin(e->store);
        bool meant = is_owner(l, &op.apply.lines[0].key, uscc);
        kh_store_read_end(e->store);
        if (meant) err = apply_again(e, &op, text, &b->answers[i]);
    }
    free(scratch);
    return err;
}

kh_err kh_embed_enrolments(kh_engine *e, kh_batch *b)
{
    kh_err err = KH_OK;
    for (uint32_t i = 0; i < b->op_cnt && err == KH_OK; i++) {
        if (b->enrolled[i] == 0 || b->answers[i].receipt.code == KH_C_OK) continue;
        kh_op_scratch scratch;
        kh_op op;
        size_t n;
        err = kh_op_decode(b->bytes + b->at[i], b->n - b->at[i], &scratch, &op, &n);
        if (err == KH_OK) err = redo(e, b, i, op.party_add.uscc);
    }
    return err;
}
