/* cluster: what an engine of a cluster says beside its rows: what is final, heights and digests, receipts that prove. */
#include "embed/embed.h"

void kh_embed_set_view(kh_engine *e, kh_view *view) { e->view = view; }
void kh_embed_set_cluster(kh_engine *e, const kh_cluster_info *info) { e->cluster = info; }

void kh_embed_final(kh_engine *e, kh_final *ret)
{
    *ret = (kh_final){.told = e->cluster != NULL};
    if (ret->told) ret->as_of = kh_store_last_block(e->store);
}

void kh_row_final(kh_row_builder *b, const kh_final *final)
{
    if (!final->told) return;
    kh_row_bool(b, "attested", final->attested);
    kh_row_number(b, "as_of", final->as_of);
}

static kh_result not_there(kh_engine *e, kh_err err, uint64_t height)
{
    if (err != KH_E_NOT_FOUND) return kh_embed_environment(e, err, "look at the order");
    return kh_embed_fail(
        e, KH_MISUSE,
        "there is no block %llu here: it lies before genesis, or before what this node remembers, or is not decided yet",
        (unsigned long long)height);
}

kh_result kh_embed_audit_cluster(kh_engine *e, uint64_t height, const kh_audit_result *replayed, const kh_result_sink *sink)
{
    kh_cluster_state now, then;
    kh_err err = e->cluster->state(e->cluster->self, 0, &now);
    if (err == KH_OK) err = e->cluster->state(e->cluster->self, height, &then);
    if (err != KH_OK) return not_there(e, err, height);
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_bool(&b, "ok", replayed == NULL || replayed->ok);
    kh_row_number(&b, "height", then.height);
    kh_row_hex(&b, "digest", then.app_hash, 32);
    if (now.attested_height != 0) kh_row_hex(&b, "state_digest", now.state_digest, 32);
    else kh_row_null(&b, "state_digest");
    kh_row_number(&b, "attested_height", now.attested_height);
    if (replayed != NULL) {
        kh_row_number(&b, "executed_height", kh_store_block_of(e->store, replayed->height));
        kh_row_hex(&b, "content_digest", replayed->content_digest, 32);
        kh_row_number(&b, "entries", replayed->entries);
        kh_row_hex(&b, "log_digest", replayed->log_digest, 32);
        if (!replayed->ok) {
            kh_row_text(&b, "at", replayed->at);
            kh_row_text(&b, "why", replayed->why);
        }
    }
    kh_row_give(&b, "audit", sink);
    return KH_DONE;
}

kh_result kh_finance_prove(kh_engine *e, uint64_t financing, void (*give)(void *ctx, const char *text, size_t n), void *ctx)
{
    kh_principal who;
    if (e->cluster == NULL) return kh_embed_fail(e, KH_MISUSE, "receipts that prove are made in a cluster (docs/PROOFS.md)");
    if (e->party == 0) return kh_embed_fail(e, KH_MISUSE, "a receipt is made for the bank whose financing it is");
    kh_code code = KH_C_OK;
    const kh_ledger *l = kh_store_read_begin(e->store);
    kh_result result = kh_embed_principal(e, l, NULL, KH_DO_FINANCE, &who, &code);
    kh_store_read_end(e->store);
    if (result != KH_DONE) return result;
    if (code != KH_C_OK) return kh_embed_fail(e, KH_DONE_NOT_OK, "%s: only a financing's bank has it proved", kh_code_name(code));
    kh_err err = e->cluster->prove(e->cluster->self, who.party, financing, give, ctx);
    if (err == KH_E_NOT_FOUND)
        return kh_embed_fail(e, KH_DONE_NOT_OK, "NOT_FOUND: there is no such financing, or it was granted before genesis");
    if (err == KH_E_ARG)
        return kh_embed_fail(
            e, KH_DONE_NOT_OK,
            "NOT_HERE: this node began with a snapshot: the blocks before it, and changes of officers in them, are not "
            "here, and this receipt needs them (docs/OPERATIONS.md, \"A node without its past\")");
    if (err == KH_E_AGAIN)
        return kh_embed_fail(e, KH_DONE_NOT_OK, "NOT_READY: the block that proves it is not there yet; ask again");
    if (err != KH_OK) return kh_embed_environment(e, err, "make the receipt");
    return KH_DONE;
}

kh_result kh_party_find(kh_engine *e, const char *party, const kh_result_sink *sink)
{
    kh_principal who;
    kh_party_view found;
    kh_result result = kh_embed_enter(e, KH_READING, NULL, KH_ASK_REGISTER, sink, &who);
    if (result != KH_DONE) return result;
    kh_probe probe;
    if (kh_probe_take(e, &who, 1, &probe) == 0) {
        kh_probe_end(&probe, 0);
        return kh_embed_refuse(e, KH_C_RATE_LIMITED, sink);
    }
    const kh_ledger *l = kh_store_read_begin(e->store);
    bool there = kh_embed_party(e, l, &who, party, &found);
    /* A bank's node asks for the id that stands for an enterprise; outside a cluster nobody needs to be told who is a party. */
    if (there && !kh_store_is_driven(e->store)) there = kh_access_may_see_party(&who, found.id, found.role);
    kh_store_read_end(e->store);
    kh_probe_end(&probe, there ? 0 : 1); /* a guess that finds nothing */
    kh_row_builder b;
    kh_row_begin(&b);
    if (there) {
        kh_row_number(&b, "id", found.id);
        kh_row_text(&b, "role", kh_role_word(found.role));
    } else kh_row_code(&b, KH_C_NOT_FOUND);
    kh_row_give(&b, there ? "party" : "not_found", sink);
    return there ? KH_DONE : kh_embed_fail(e, KH_DONE_NOT_OK, "NOT_FOUND: there is no such party");
}
