/* bulk: look-ups and applications as plain structs, for programs that stay. Look-ups run beside the applier, under RCU, from any
 * thread. */
#include "embed/embed.h"
#include "crypto/digest.h"
#include "index/reader.h"
#include <stdio.h>

enum { GROUP = KH_BULK_MAX };

bool kh_document_id(const char *document, kh_id *ret)
{
    kh_paper_name name;
    char why[300];
    if (!kh_embed_paper(document, NULL, NULL, &name, why, sizeof why) || (name.code != KH_C_OK && name.code != KH_C_CHECK_DIGIT))
        return false;
    memcpy(ret->bytes, name.key.b, 16);
    return true;
}

const char *kh_code_word(uint16_t code) { return kh_code_name(code); }

/* open_once opens an embedded engine for all threads. */
static kh_result open_once(kh_engine *e)
{
    if (!e->options.embedded) return kh_embed_fail(e, KH_MISUSE, "open the engine with options.embedded for bulk calls");
    return kh_embed_open(e, KH_STREAMING);
}

static void question_of(const kh_lookup_question *in, uint32_t bank, kh_question *ret)
{
    *ret = (kh_question){.bank = bank, .amount = in->amount, .currency = in->currency, .want = in->want};
    memcpy(ret->key.b, in->id.bytes, 16);
    ret->kind = kh_doc_key_kind(&ret->key);
    char owner[KH_ISSUER_MAX + 1];
    uint32_t n;
    if (in->owner != NULL && kh_owner_canonical(kh_text_of(in->owner), owner, &n) != KH_C_FORMAT)
        ret->owner_check = kh_owner_check((kh_text){owner, n});
}

static kh_lookup_answer answer_of(kh_store *store, const kh_verdict *v)
{
    return (kh_lookup_answer){.code = v->code,
                              .currency = v->currency,
                              .version = v->version,
                              .free = v->free,
                              .as_of = kh_store_block_of(store, v->as_of)};
}

static kh_principal asker(kh_engine *e, uint32_t as)
{
    kh_party_view party;
    uint32_t id = e->party != 0 ? e->party : as;
    if (id == 0) return (kh_principal){.role = KH_ROLE_REGULATOR};
    const kh_ledger *l = kh_store_read_begin(e->store);
    bool known = kh_ledger_party(l, id, &party);
    kh_store_read_end(e->store);
    return known ? (kh_principal){id, party.role, party.frozen} : (kh_principal){.party = id};
}

/* log_lookups writes down what a regulator asks about, by the number that the id packs, or by the id. */
static void log_lookups(kh_engine *e, const kh_principal *who, const kh_lookup_question questions[], uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        kh_key key;
        char number[KH_NUMBER_MAX + 1], subject[KH_NUMBER_MAX + 64];
        memcpy(key.b, questions[i].id.bytes, sizeof key.b);
        if (kh_doc_key_number(&key, number) == 0) kh_hex(key.b, sizeof key.b, number); /* a digest */
        (void)snprintf(subject, sizeof subject, "%s:%s", kh_kind_word(kh_doc_key_kind(&key)), number);
        kh_embed_log_lookup(e, who, "verify", subject);
    }
}

kh_result kh_lookup(kh_engine *engine, uint32_t as, const kh_lookup_question questions[], uint32_t n, kh_lookup_answer ret[])
{
    kh_result result = open_once(engine);
    if (result != KH_DONE) return result;
    kh_principal who = asker(engine, as);
    bool another = engine->party != 0 && as != 0 && as != engine->party;
    kh_code door = another ? KH_C_NOT_AUTHORISED : kh_access_ask(&who, KH_ASK_VERIFY);
    bool proof = (kh_access_rights(&who, KH_ASK_VERIFY) & KH_NEEDS_PROOF) != 0;
    uint32_t bank = who.role == KH_ROLE_BANK ? who.party : 0;
    if (door == KH_C_OK && (kh_access_rights(&who, KH_ASK_VERIFY) & KH_LOGGED) != 0) log_lookups(engine, &who, questions, n);
    kh_reader_register();
    for (uint32_t at = 0; at < n; at += GROUP) {
        uint32_t cnt = n - at < GROUP ? n - at : GROUP, probes = 0;
        kh_probe probe;
        uint32_t granted = door == KH_C_OK ? kh_probe_take(engine, &who, cnt, &probe) : 0;
        for (uint32_t i = granted; i < cnt; i++)
            ret[at + i] = (kh_lookup_answer){.code = door != KH_C_OK ? door : KH_C_RATE_LIMITED, .free = KH_AMOUNT_NONE};
        cnt = granted;
        if (cnt == 0) continue;
        kh_question group[GROUP], rest[GROUP];
        kh_verdict verdicts[GROUP], more[GROUP];
        uint32_t rest_cnt = 0, where[GROUP];
        for (uint32_t i = 0; i < cnt; i++) question_of(&questions[at + i], bank, &group[i]);
        uint64_t done = kh_ledger_verify_fast(kh_store_ledger(engine->store), group, cnt, verdicts);
        kh_reader_quiesce();
        for (uint32_t i = 0; i < cnt; i++) {
            if ((done >> i & 1) != 0) continue;
            rest[rest_cnt] = group[i];
            where[rest_cnt++] = i;
        }
        if (rest_cnt > 0) { /* shortages, link groups, several currencies: with the applier kept out for a moment */
            kh_reader_offline();
            const kh_ledger *settled = kh_store_read_begin(engine->store);
            kh_ledger_verify(settled, rest, rest_cnt, more);
            kh_store_read_end(engine->store);
            kh_reader_online();
            for (uint32_t i = 0; i < rest_cnt; i++) verdicts[where[i]] = more[i];
        }
        for (uint32_t i = 0; i < cnt; i++) {
            ret[at + i] = answer_of(engine->store, &verdicts[i]);
            if (proof && group[i].owner_check == 0) ret[at + i] = (kh_lookup_answer){.code = KH_C_FORMAT, .free = KH_AMOUNT_NONE};
            else if (proof && kh_access_unproven(&group[i], &verdicts[i]))
                ret[at + i] = (kh_lookup_answer){.code = KH_C_FIELD_MISMATCH, .free = KH_AMOUNT_NONE, .as_of = ret[at + i].as_of};
            probes += kh_limit_is_probe(ret[at + i].code);
        }
        kh_probe_end(&probe, probes);
    }
    kh_reader_unregister();
    return KH_DONE;
}

kh_result kh_submit(kh_engine *engine, const kh_reserve requests[], uint32_t n, kh_reserved ret[])
{
    kh_result result = open_once(engine);
    if (result != KH_DONE) return result;
    if (n == 0 || n > KH_BATCH_OPS) return kh_embed_fail(engine, KH_MISUSE, "a batch has 1 to %u applications", KH_BATCH_OPS);
    if (engine->party != 0) {
        kh_principal who = asker(engine, 0);
        kh_code door = kh_access_ask(&who, KH_DO_FINANCE);
        for (uint32_t i = 0; i < n && door != KH_C_OK; i++) ret[i] = (kh_reserved){.code = door};
        if (door != KH_C_OK) return KH_DONE;
    }
    kh_batch batch;
    kh_err err = kh_batch_init(&batch);
    for (uint32_t i = 0; i < n && err == KH_OK; i++) {
        kh_op_line line = {.currency = 0, .allocated = KH_AMOUNT_NONE, .total = KH_AMOUNT_NONE};
        memcpy(line.key.b, requests[i].document.bytes, 16);
        kh_op op = {.type = KH_OP_APPLY, .party = engine->party != 0 ? engine->party : requests[i].bank};
        op.apply = (kh_op_apply){.id = requests[i].id,
                                 .enterprise = requests[i].enterprise,
                                 .currency = requests[i].currency,
                                 .amount = requests[i].amount,
                                 .product = kh_text_of(requests[i].product),
                                 .line_cnt = 1,
                                 .lines = &line};
        err = kh_batch_add(&batch, &op);
        if (err == KH_E_ARG) result = kh_embed_fail(engine, KH_MISUSE, "application %u: a field is out of range", i);
    }
    if (err == KH_OK) err = kh_batch_submit(engine, &batch);
    if (err == KH_OK) err = kh_batch_wait(engine, &batch);
    if (result == KH_DONE && err != KH_OK) result = kh_embed_write_failed(engine, err);
    for (uint32_t i = 0; i < n && result == KH_DONE; i++) {
        const kh_answer *a = &batch.answers[i];
        ret[i] = (kh_reserved){.code = a->receipt.code, .amount = a->receipt.amount, .height = a->height};
    }
    kh_batch_release(&batch);
    return result;
}
