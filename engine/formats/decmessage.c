/* decmessage: declarations of the Chinese single window (DecMessage) and their receipts (DEC_RESULT).
 *
 * A declaration that customs has not numbered yet is known by its unified number (SeqNo, 统一编号), the single window's own
 * reference: it takes the part of the LRN, its issuer is the declaring party, and a receipt ties it to the customs number.
 * What a receipt's CHANNEL means is the source's affair: the feed's table says it. Times are Beijing's. */
#include "formats/xml_inside.h"

#define BEIJING_S (8 * 3600)

static kh_text field(const kh_xml_tree *t, uint32_t node, const char *name)
{
    return kh_xml_text(t, kh_xml_loose_child(t, node, name));
}

static kh_text first_of(const kh_xml_tree *t, uint32_t node, const char *const names[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        kh_text text = field(t, node, names[i]);
        if (text.n != 0) return text;
    }
    return (kh_text){NULL, 0};
}
#define FIRST_OF(t, node, ...)                                                                                                   \
    first_of(t, node, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* A customs number; nothing but zeros is what some programs write for none. */
static kh_text customs_number(const kh_xml_tree *t, uint32_t node, const char *name)
{
    kh_text number = field(t, node, name);
    for (uint32_t i = 0; i < number.n; i++)
        if (number.p[i] != '0') return number;
    return (kh_text){NULL, 0};
}

static bool add_line(const kh_xml_tree *t, uint32_t line, kh_item_texts *texts, kh_item *item)
{
    kh_text total = field(t, line, "DeclTotal"), word = field(t, line, "TradeCurr");
    kh_currency currency;
    uint64_t amount;
    if (total.n == 0) return true;
    item->line = kh_xml_at(t, line)->line;
    if (!kh_currency_of_customs(word, &currency))
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "TradeCurr \"%.*s\" is neither a customs currency code (502 USD) nor ISO letters.",
                              word.n > 20 ? 20 : (int)word.n, word.n != 0 ? word.p : "");
    if (kh_amount_parse(total, currency, &amount) != KH_C_OK)
        return kh_item_refuse(
            item, texts, KH_C_FORMAT,
            "DeclTotal \"%.*s\" is not a plain decimal with at most %d digits after the point (%s) and 18 in all.",
            total.n > 70 ? 70 : (int)total.n, total.p, kh_currency_exponent(currency), kh_currency_alpha(currency));
    return kh_item_add_amount(item, texts, currency, amount);
}

static bool set_direction(const kh_xml_tree *t, uint32_t head, kh_item_texts *texts, kh_item *item)
{
    kh_op_document *d = &item->document;
    kh_text flag = field(t, head, "IEFlag");
    int by_flag = flag.n == 1 && (flag.p[0] == 'E' || flag.p[0] == 'e')   ? 1
                  : flag.n == 1 && (flag.p[0] == 'I' || flag.p[0] == 'i') ? -1
                                                                          : 0;
    int by_number = (d->flags & KH_DOCF_LRN_KEY) != 0 ? 0 : kh_number_direction(d->number);
    if (flag.n != 0 && by_flag == 0) return kh_item_refuse(item, texts, KH_C_FORMAT, "IEFlag must be I (import) or E (export).");
    if (by_flag != 0 && by_number != 0 && by_flag != by_number)
        return kh_item_refuse(item, texts, KH_C_DIRECTION, "IEFlag says %s, but the customs number is one of an %s.",
                              by_flag > 0 ? "export" : "import", by_flag > 0 ? "import" : "export");
    if (by_flag == 0) by_flag = by_number;
    if (by_flag == 0)
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "Neither IEFlag nor the number says whether it is an export or an import.");
    d->kind = by_flag > 0 ? KH_KIND_EXPORT_DECLARATION : KH_KIND_IMPORT_DECLARATION;
    return true;
}

bool kh_decmessage_item(const kh_xml_tree *t, uint32_t root, kh_item_texts *texts, kh_item *item)
{
    kh_op_document *d = &item->document;
    uint32_t head = kh_xml_loose_child(t, root, "DecHead"), lists = kh_xml_loose_child(t, root, "DecLists");
    uint64_t line = item->line, ignored;
    d->action = KH_DOC_PUT;
    if (head == 0) return kh_item_refuse(item, texts, KH_C_FORMAT, "The DecMessage has no DecHead.");
    if (!kh_xml_stands_once(t, root, "DecHead DecLists", texts, item) ||
        !kh_xml_stands_once(t, head, "EntryId SeqNo IEFlag TradeCoScc", texts, item))
        return false;
    kh_text owner = FIRST_OF(t, head, "TradeCoScc", "TradeCode"), agent = FIRST_OF(t, head, "AgentCodeScc", "AgentCode");
    kh_text day = FIRST_OF(t, head, "IEDate", "DDate", "DeclDate");
    if (owner.n == 0)
        return kh_item_refuse(item, texts, KH_C_FORMAT, "The DecHead has no TradeCoScc, so the owner is not known.");
    if (!kh_item_owner(item, texts, owner, "TradeCoScc") ||
        !kh_item_declaration_number(item, texts, customs_number(t, head, "EntryId"), field(t, head, "SeqNo"),
                                    agent.n != 0 ? agent : owner) ||
        !set_direction(t, head, texts, item))
        return false;
    if (!kh_when_parse(day, BEIJING_S, &d->date, &ignored))
        return kh_item_refuse(item, texts, KH_C_FORMAT, "IEDate is not a date (20240131).");
    for (uint32_t l = lists != 0 ? kh_xml_at(t, lists)->first : 0; l != 0; l = kh_xml_at(t, l)->next)
        if (!add_line(t, l, texts, item)) return false;
    item->line = line;
    kh_item_contract(item, field(t, head, "ContrNo"));
    return kh_item_add_link(item, texts, KH_KIND_BILL_OF_LADING, field(t, head, "BillNo"), (kh_text){NULL, 0});
}

/* When a receipt was issued; some write hundredths of a second behind it without a point: 20240131T10203055. */
static kh_text notice_time(const kh_xml_tree *t, uint32_t root)
{
    kh_text text = FIRST_OF(t, root, "NOTICE_DATE", "D_DATE");
    if (text.n == 17 && text.p[8] == 'T' && memchr(text.p, ':', text.n) == NULL && memchr(text.p, '-', text.n) == NULL)
        text.n = 15;
    return text;
}

bool kh_decresult_item(const kh_xml_tree *t, uint32_t root, const kh_feed *feed, kh_item_texts *texts, kh_item *item)
{
    kh_op_document *d = &item->document;
    kh_text channel = field(t, root, "CHANNEL");
    kh_date ignored;
    d->action = KH_DOC_STATUS;
    d->kind = KH_KIND_ANY;
    if (!kh_item_declaration_number(item, texts, customs_number(t, root, "ENTRY_ID"), FIRST_OF(t, root, "CUS_CIQ_NO", "SEQ_NO"),
                                    (kh_text){NULL, 0}))
        return false;
    if (!kh_when_parse(notice_time(t, root), BEIJING_S, &ignored, &d->issue_time))
        return kh_item_refuse(item, texts, KH_C_FORMAT, "NOTICE_DATE is not a date and time (2024-01-31T10:20:30).");
    for (uint32_t i = 0; feed != NULL && i < feed->channel_cnt; i++)
        if (kh_text_equal(channel, kh_text_of(feed->channels[i].channel))) {
            d->status = feed->channels[i].status;
            return true;
        }
    return kh_item_refuse(item, texts, KH_C_FORMAT,
                          "What CHANNEL \"%.*s\" means is not set for this source; add it to its section in the "
                          "data directory's sources.conf.",
                          channel.n > 20 ? 20 : (int)channel.n, channel.n != 0 ? channel.p : "");
}
