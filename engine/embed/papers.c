/* papers: what is known of a document, as far as the asker may see it; balances. */
#include "embed/embed.h"

/* look reads the document, as far as the asker may see it: NOT_FOUND both where there is none and where the proof fails. [S] */
static kh_code look(const kh_ledger *l, const kh_paper *paper, kh_ask ask, const kh_paper_name *name, const kh_principal *who,
                    kh_doc_view *ret)
{
    char owner[KH_ISSUER_MAX + 1];
    uint32_t owner_n = 0;
    if (name->code == KH_C_FORMAT) return KH_C_FORMAT;
    if (!kh_ledger_document(l, &name->key, who->role == KH_ROLE_BANK ? who->party : 0, ret)) return KH_C_NOT_FOUND;
    if (who->role == KH_ROLE_ENTERPRISE) {
        kh_party_view self;
        bool own = kh_ledger_party(l, who->party, &self) && self.uscc[0] != '\0' && strcmp(self.uscc, ret->owner) == 0;
        return own ? KH_C_OK : KH_C_NOT_FOUND;
    }
    if ((kh_access_rights(who, ask) & KH_NEEDS_PROOF) == 0) return KH_C_OK;
    if (paper->owner == NULL || kh_owner_canonical(kh_text_of(paper->owner), owner, &owner_n) == KH_C_FORMAT) owner_n = 0;
    return kh_access_proven(ret, (kh_text){owner, owner_n}, paper->amount) ? KH_C_OK : KH_C_NOT_FOUND;
}

/* find resolves the asker and the document, by the probe rule. */
kh_result kh_embed_find(kh_engine *e, const kh_paper *paper, kh_ask ask, kh_paper_name *ret_name, kh_principal *ret_who,
                        kh_doc_view *ret_doc, kh_code *ret_code)
{
    char why[300];
    kh_code code;
    if (!kh_embed_paper(paper->document, paper->issuer, paper->owner, ret_name, why, sizeof why))
        return kh_embed_fail(e, KH_MISUSE, "%s", why);
    kh_result result = kh_embed_open(e, KH_READING);
    if (result != KH_DONE) return result;
    const kh_ledger *l = kh_store_read_begin(e->store);
    result = kh_embed_principal(e, l, paper->as, ask, ret_who, &code);
    if (kh_viewed(e) && code == KH_C_OK) code = KH_C_NOT_CHECKED;
    if (result == KH_DONE && code == KH_C_OK) {
        kh_probe probe;
        if (kh_probe_take(e, ret_who, 1, &probe) == 0) code = KH_C_RATE_LIMITED;
        else {
            code = look(l, paper, ask, ret_name, ret_who, ret_doc);
            kh_probe_end(&probe, kh_limit_is_probe(code));
        }
    }
    kh_store_read_end(e->store);
    if (result != KH_DONE) return result;
    kh_embed_log_lookup(e, ret_who, ask == KH_ASK_BALANCE ? "balance" : "history", paper->document);
    if (code == KH_C_OK) kh_access_show_document(ret_who, ret_doc);
    *ret_code = code;
    return KH_DONE;
}

kh_result kh_embed_not_found(kh_engine *e, const kh_paper_name *name, kh_code code, const kh_result_sink *sink)
{
    kh_row_not_found(sink, name, code);
    return kh_embed_fail(e, KH_DONE_NOT_OK, "%s%s", kh_code_name(code),
                         code == KH_C_NOT_CHECKED ? ": no hub can be asked now (暂不可查)" : "");
}

static void document_head(kh_row_builder *b, const kh_doc_view *doc)
{
    kh_row_begin(b);
    kh_row_text(b, "kind", kh_kind_word(doc->kind));
    kh_row_text(b, "number", doc->number);
    kh_row_issuer(b, doc->issuer);
    kh_row_text(b, "owner", doc->owner[0] != '\0' ? doc->owner : NULL);
    kh_row_text(b, "status", kh_status_word(doc->status));
    kh_row_date(b, "date", doc->date);
    kh_row_number(b, "version", doc->version);
}

void kh_embed_give_document(const kh_engine *e, const kh_doc_view *doc, const kh_result_sink *sink)
{
    kh_row_builder b;
    for (uint32_t i = 0; i < doc->balance_cnt || i == 0; i++) {
        static const kh_balance_view none; /* a document without any amount: genuine, not financeable */
        const kh_balance_view *v = i < doc->balance_cnt ? &doc->balances[i] : &none;
        document_head(&b, doc);
        kh_row_text(&b, "currency", v->currency != 0 ? kh_currency_alpha(v->currency) : NULL);
        kh_row_amount(&b, "base", v->base, v->currency);
        kh_row_amount(&b, "cap", v->cap, v->currency);
        kh_row_amount(&b, "held", v->held, v->currency);
        kh_row_amount(&b, "used", v->used, v->currency);
        kh_row_amount(&b, "consumed", v->consumed, v->currency);
        kh_row_amount(&b, "free", v->free, v->currency);
        if (v->over_limit) kh_row_bool(&b, "over_limit", true);
        if (doc->similar) kh_row_bool(&b, "similar", true);
        if (e->cluster != NULL) { /* one hub's word */
            kh_row_bool(&b, "attested", false);
            kh_row_number(&b, "as_of", kh_store_last_block(e->store));
        }
        kh_row_give(&b, "balance", sink);
    }
}

kh_result kh_balance(kh_engine *e, const kh_paper *paper, const kh_result_sink *sink)
{
    kh_paper_name name;
    kh_principal who;
    kh_doc_view doc;
    kh_code code = KH_C_OK;
    kh_result result = kh_embed_find(e, paper, KH_ASK_BALANCE, &name, &who, &doc, &code);
    if (result != KH_DONE) return result;
    if (code != KH_C_OK) return kh_embed_not_found(e, &name, code, sink);
    kh_embed_give_document(e, &doc, sink);
    return KH_DONE;
}
