/* routes_register: parties, rules, rates, the directory. */
#include "http/inside.h"

void kh_route_party_list(kh_request *r)
{
    kh_page page = kh_request_page(r);
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_party_list(r->engine, &page, &sink);
    kh_answer_end(r, result, kh_message(r->engine), page.next);
}

void kh_route_party_add(kh_request *r)
{
    uint64_t id = 0;
    kh_result_sink sink = kh_answer_sink(r);
    if (!kh_field_number(r, "id", &id) || id == 0 || id > UINT32_MAX) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "id", "id must be a number from 1 to 4294967295");
        return;
    }
    kh_result result =
        kh_party_add(r->engine, (uint32_t)id, kh_field(r, "role"), kh_field(r, "name"), kh_field(r, "uscc"), &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

static void freeze(kh_request *r, bool frozen)
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_party_freeze(r->engine, kh_request_path(r, "party"), frozen, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_party_freeze(kh_request *r) { freeze(r, true); }
void kh_route_party_unfreeze(kh_request *r) { freeze(r, false); }

void kh_route_party_key(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_party_key(r->engine, kh_request_path(r, "party"), kh_field(r, "key"), &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_rule_set(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_rule_set(r->engine, kh_request_path(r, "name"), kh_field(r, "value"), &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_rate_set(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_rate_set(r->engine, kh_field(r, "from"), kh_field(r, "to"), kh_field(r, "value"), kh_field(r, "date"),
                                   kh_field(r, "source"), &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

static void simple(kh_request *r, kh_result (*ask)(kh_engine *engine, const kh_result_sink *sink))
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = ask(r->engine, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_rule_list(kh_request *r) { simple(r, kh_rule_list); }
void kh_route_rate_list(kh_request *r) { simple(r, kh_rate_list); }
void kh_route_stats(kh_request *r) { simple(r, kh_stats); }

void kh_route_audit(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    uint64_t height = kh_query_number(r, "height", 0);
    if (height == 0 && kh_query_text(r, "height") != NULL) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "height", "height is a block's, from 1 on");
        return;
    }
    kh_result result = kh_audit_at(r->engine, height, &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}

void kh_route_snapshot(kh_request *r) { simple(r, kh_snapshot); }

void kh_route_party_find(kh_request *r)
{
    kh_result_sink sink = kh_answer_sink(r);
    kh_result result = kh_party_find(r->engine, kh_request_path(r, "party"), &sink);
    kh_answer_end(r, result, kh_message(r->engine), NULL);
}
