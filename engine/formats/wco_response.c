/* wco_response: notifications of customs about declarations (RES): the function code says what became of the declaration.
 *
 * 01 accepted, 03 rejected, 08 released, 09 cleared, 10 invalidated (revoked), 16 goods exited change its status; 07 (corrected)
 * and 10 also set a waiting request in force. All others (02 received, 05 control, 06 documents, 11 request granted, 13 to 15
 * payments, 18 …) change none, but like all they tie the local reference to the MRN. A 07 that states the corrected amounts
 * gives an amendment beside the notice. */
#include "formats/xml_inside.h"

static kh_status status_of(kh_text function)
{
    static const struct {
        const char *code;
        kh_status status;
    } table[] = {{"1", KH_STATUS_ACCEPTED}, {"3", KH_STATUS_REJECTED}, {"8", KH_STATUS_RELEASED},
                 {"9", KH_STATUS_CLEARED},  {"10", KH_STATUS_REVOKED}, {"16", KH_STATUS_EXITED}};
    while (function.n > 1 && function.p[0] == '0') function.p++, function.n--;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (kh_text_equal(function, kh_text_of(table[i].code))) return table[i].status;
    return KH_STATUS_NONE;
}

static bool is_correction(kh_text function)
{
    return kh_text_equal(function, kh_text_of("07")) || kh_text_equal(function, kh_text_of("7"));
}

static bool is_named(const kh_xml_tree *t, uint32_t declaration)
{
    return kh_xml_path_text(t, declaration, "ID").n != 0 || kh_xml_path_text(t, declaration, "FunctionalReferenceID").n != 0;
}

static uint32_t next_named(const kh_xml_tree *t, uint32_t declaration)
{
    while (declaration != 0 && !is_named(t, declaration)) declaration = kh_xml_again(t, declaration);
    return declaration;
}

/* Where a correction states the amounts: in the declaration that it names, or in a second one without a number beside it. */
static uint32_t corrected(const kh_xml_tree *t, uint32_t root, uint32_t named)
{
    if (kh_wco_states_amounts(t, named)) return named;
    uint32_t first = kh_xml_child(t, root, "Declaration");
    if (next_named(t, first) != named || next_named(t, kh_xml_again(t, named)) != 0) return 0;
    for (uint32_t d = first; d != 0; d = kh_xml_again(t, d))
        if (!is_named(t, d) && kh_wco_states_amounts(t, d)) return d;
    return 0;
}

bool kh_wco_response_item(const kh_xml_tree *t, uint32_t root, uint32_t *step, bool *ret_more, kh_item_texts *texts,
                          kh_item *item)
{
    kh_op_document *d = &item->document;
    kh_text function = kh_xml_path_text(t, root, "FunctionCode"), at = kh_wco_when(t, root, "IssueDateTime");
    kh_date ignored;
    uint32_t named = next_named(t, kh_xml_child(t, root, "Declaration"));
    *ret_more = false;
    if (function.n == 0)
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "The notification has no FunctionCode, so it does not say what happened.");
    if (named == 0)
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "The notification names no declaration (neither ID nor FunctionalReferenceID).");
    for (uint32_t i = 0; i < *step / 2; i++) named = next_named(t, kh_xml_again(t, named));
    bool amending = *step % 2 == 1;
    uint32_t amounts = is_correction(function) ? corrected(t, root, named) : 0;
    bool another = next_named(t, kh_xml_again(t, named)) != 0;
    *ret_more = amending ? another : amounts != 0 || another;
    *step += amending || amounts != 0 ? 1 : 2;
    d->kind = KH_KIND_ANY;
    d->action = amending ? KH_DOC_AMEND : KH_DOC_STATUS;
    if (!kh_when_parse(at, 0, &ignored, &d->issue_time))
        return kh_item_refuse(item, texts, KH_C_FORMAT, "The IssueDateTime is not a date and time (20191113172216Z).");
    if (!kh_xml_stands_once(t, named, "ID FunctionalReferenceID", texts, item)) return false;
    if (!kh_item_declaration_number(item, texts, kh_xml_path_text(t, named, "ID"),
                                    kh_xml_path_text(t, named, "FunctionalReferenceID"),
                                    kh_xml_path_text(t, named, "Declarant/ID")))
        return false;
    if (amending) return kh_wco_amounts(t, amounts, true, texts, item);
    d->status = (uint8_t)status_of(function);
    if (is_correction(function) || d->status == KH_STATUS_REVOKED) d->flags |= KH_DOCF_NOTICE;
    return true;
}
