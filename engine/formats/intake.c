/* intake: see intake.h. Why an operation was refused is said from its receipt alone, so that whoever has no ledger says the same.
 */
#include "formats/intake.h"
#include "doc/fold.h"
#include <stdio.h>
#include <stdlib.h>

enum { PROGRESS_EVERY = 65536 };

typedef struct place {
    uint64_t line, byte;
    kh_kind kind;
    bool odd_owner;
    char number[31];
} place; /* what a refusal needs to name its line, and what only the line warns of */

typedef struct intake {
    const kh_intake_out *out;
    kh_intake_counts n;
    uint32_t party;
    place *places[KH_INTAKE_BATCHES_MAX];
    uint32_t op_cnt[KH_INTAKE_BATCHES_MAX];
    uint32_t first, under_way;
} intake;

static uint32_t filling(const intake *in) { return (in->first + in->under_way) % in->out->batch_cnt; }

static void refuse(intake *in, const kh_intake_refusal *refusal)
{
    in->n.refused++;
    in->out->refused(in->out->self, refusal);
}

/* A credit note that is not stored was refused for its invoice's sake; what is stored has a version. */
static const char *why_conflict(const place *at, const kh_receipt *r)
{
    bool red = at->kind == KH_KIND_CREDIT_NOTE && r->version == 0;
    if (red && r->mismatch == KH_FIELD_AMOUNT)
        return "more would be taken off its invoice than the invoice states: the credit notes of an invoice are together at most "
               "its amount (红字合计不得超过蓝字)";
    if (red && r->mismatch == KH_FIELD_CURRENCY) return "the invoice that it lowers has no amount in this currency";
    if (red && r->mismatch == KH_FIELD_OWNER) return "the invoice that it lowers is another owner's";
    return "this key is stored with other content (or the owner would change): an amendment of a declaration keeps its owner, "
           "other papers keep theirs";
}

static const char *why_refused(const place *at, const kh_receipt *r)
{
    switch (r->effect == KH_EFFECT_WAITING ? KH_C_NOT_FOUND : (kh_code)r->code) {
    case KH_C_CONFLICT: return why_conflict(at, r);
    case KH_C_NOT_FOUND:
        return "the document that this message names is not stored; the message is kept and takes effect when it arrives";
    case KH_C_BAD_STATE: return "this status may not follow the stored one";
    case KH_C_CAPACITY: return "a stated bound is reached (see `kanhe rule list`: capacity_documents; or a link group of 64)";
    case KH_C_NOT_AUTHORISED: return "this source may not register documents";
    case KH_C_FROZEN: return "this source is frozen";
    default: return "the ledger refused it";
    }
}

static void refuse_answered(intake *in, const place *at, kh_code code, const kh_receipt *r)
{
    char why[400], number[sizeof at->number];
    memcpy(number, at->number, sizeof number);
    kh_utf8_whole(number); /* a long one was cut */
    (void)snprintf(why, sizeof why, "%s %s: %s", kh_kind_word(at->kind), number, why_refused(at, r));
    refuse(in, &(kh_intake_refusal){at->line, at->byte, code, why, number, (uint32_t)strlen(number)});
}

static void on_receipt(void *ctx, uint32_t i, const kh_receipt *r)
{
    intake *in = ctx;
    if (i >= in->op_cnt[in->first]) return;
    const place *at = &in->places[in->first][i];
    if (r->code != KH_C_OK && !kh_code_is_warning(r->code) && r->effect != KH_EFFECT_WAITING) {
        refuse_answered(in, at, r->code, r);
        return;
    }
    switch (r->effect) {
    case KH_EFFECT_STORED: in->n.stored++; break;
    case KH_EFFECT_AMENDED:
    case KH_EFFECT_STATUS: in->n.amended++; break;
    case KH_EFFECT_REVOKED: in->n.revoked++; break;
    case KH_EFFECT_WAITING:
        in->n.waiting++;
        refuse_answered(in, at, KH_C_NOT_FOUND, r);
        break;
    default: in->n.unchanged++; break;
    }
    if (r->warning != 0 || at->odd_owner) in->n.warnings++;
}

/* settle waits for the oldest batch and accounts for its operations. */
static kh_err settle(intake *in)
{
    kh_err err = in->out->settle(in->out->self, in->first, on_receipt, in);
    if (err != KH_OK) return err; /* it is still under way, for all that is known */
    in->op_cnt[in->first] = 0;
    in->first = (in->first + 1) % in->out->batch_cnt;
    in->under_way--;
    return KH_OK;
}

/* submit sends the batch being filled; the next one is free when it returns. */
static kh_err submit(intake *in)
{
    uint32_t batch = filling(in);
    if (in->op_cnt[batch] == 0) return KH_OK;
    kh_err err = in->out->submit(in->out->self, batch);
    if (err != KH_OK) return err;
    in->under_way++;
    return in->under_way == in->out->batch_cnt ? settle(in) : KH_OK;
}

static void note_place(intake *in, uint32_t batch, const kh_item *item)
{
    place *at = &in->places[batch][in->op_cnt[batch]++];
    *at = (place){.line = item->line, .byte = item->byte, .kind = (kh_kind)item->document.kind, .odd_owner = item->odd_owner};
    uint32_t n = item->document.number.n < sizeof at->number - 1 ? item->document.number.n : (uint32_t)sizeof at->number - 1;
    memcpy(at->number, item->document.number.p, n);
    at->number[n] = '\0';
}

static kh_err add(intake *in, const kh_item *item)
{
    kh_op op = {.type = KH_OP_DOCUMENT,
                .party = in->party != 0 ? in->party : item->document.source,
                .sequence = item->line,
                .document = item->document};
    if (item->code == KH_C_CHECK_DIGIT) op.document.flags |= KH_DOCF_CHECK_DIGIT;
    for (;;) {
        uint32_t batch = filling(in);
        kh_err err = in->op_cnt[batch] < in->out->op_max ? in->out->add(in->out->self, batch, &op) : KH_E_FULL;
        if (err == KH_OK) note_place(in, batch, item);
        if (err == KH_E_ARG) {
            refuse(in, &(kh_intake_refusal){item->line, item->byte, KH_C_FORMAT,
                                            "a text is too long or holds a control character", item->raw, item->raw_n});
            return KH_OK;
        }
        if (err != KH_E_FULL || in->op_cnt[batch] == 0) return err;
        err = submit(in);
        if (err != KH_OK) return err;
    }
}

static kh_err read_all(intake *in, kh_reader *reader, bool force, kh_item *item)
{
    kh_err err = KH_OK;
    while (err == KH_OK && kh_reader_next(reader, item, &err)) {
        in->n.read++;
        if (force) item->document.flags |= KH_DOCF_FORCE;
        if (item->code == KH_C_OK || item->code == KH_C_CHECK_DIGIT) err = add(in, item);
        else refuse(in, &(kh_intake_refusal){item->line, item->byte, item->code, item->why, item->raw, item->raw_n});
        if (in->n.read % PROGRESS_EVERY == 0 && in->out->progress != NULL) in->out->progress(in->out->self);
    }
    if (err == KH_OK) err = submit(in);
    while (err == KH_OK && in->under_way > 0) err = settle(in);
    return err;
}

kh_err kh_intake_run(kh_reader *reader, uint32_t party, bool force, const kh_intake_out *out, kh_intake_counts *ret,
                     uint32_t *ret_first, uint32_t *ret_under_way)
{
    intake in = {.out = out, .party = party};
    kh_item *item = malloc(sizeof *item);
    kh_err err = item != NULL ? KH_OK : KH_E_NOMEM;
    for (uint32_t i = 0; i < out->batch_cnt && err == KH_OK; i++)
        if ((in.places[i] = calloc(out->op_max, sizeof *in.places[i])) == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) err = read_all(&in, reader, force, item);
    for (uint32_t i = 0; i < out->batch_cnt; i++) free(in.places[i]);
    free(item);
    *ret = in.n;
    *ret_first = in.first;
    *ret_under_way = in.under_way;
    return err;
}
