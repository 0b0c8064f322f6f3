/* columns: see columns.h. */
#include "formats/columns.h"
#include "doc/fold.h"

const char *const kh_import_columns[KH_COL_IMPORT_CNT] = {"kind",         "number",    "owner_id",  "currency",    "amount",
                                                          "date",         "issuer_id", "direction", "contract_no", "status",
                                                          "invoice_code", "version",   "refers_to", "issued"};

typedef struct alias {
    const char *name, *column;
    kh_number_form form;
} alias;

/* Other names of columns. A name that is itself one of the wanted columns is taken as that one first. */
static const alias aliases[] = {
    {"海关编号", "number", KH_FORM_DECLARATION},
    {"报关单号", "number", KH_FORM_DECLARATION},
    {"报关单编号", "number", KH_FORM_DECLARATION},
    {"报关单号码", "number", KH_FORM_DECLARATION},
    {"发票号码", "number", KH_FORM_INVOICE},
    {"发票号", "number", KH_FORM_INVOICE},
    {"单证号码", "number", KH_FORM_ANY},
    {"单证编号", "number", KH_FORM_ANY},
    {"发票代码", "invoice_code", KH_FORM_ANY},
    {"单证种类", "kind", KH_FORM_ANY},
    {"单证类型", "kind", KH_FORM_ANY},
    {"统一社会信用代码", "owner_id", KH_FORM_ANY},
    {"统一社会信用代码", "enterprise", KH_FORM_ANY},
    {"币种", "currency", KH_FORM_ANY},
    {"币制", "currency", KH_FORM_ANY},
    {"金额", "amount", KH_FORM_ANY},
    {"总价", "amount", KH_FORM_ANY},
    {"价税合计", "amount", KH_FORM_ANY},
    {"日期", "date", KH_FORM_ANY},
    {"申报日期", "date", KH_FORM_ANY},
    {"开票日期", "date", KH_FORM_ANY},
    {"合同号", "contract_no", KH_FORM_ANY},
    {"合同编号", "contract_no", KH_FORM_ANY},
    {"状态", "status", KH_FORM_ANY},
    {"单证状态", "status", KH_FORM_ANY},
    {"报关单状态", "status", KH_FORM_ANY},
    {"发票状态", "status", KH_FORM_ANY},
    {"进出口标志", "direction", KH_FORM_ANY},
    {"版本", "version", KH_FORM_ANY},
    {"owner", "owner_id", KH_FORM_ANY},
    {"issuer", "issuer_id", KH_FORM_ANY},
    {"issuer_id", "issuer", KH_FORM_ANY},
    {"contract", "contract_no", KH_FORM_ANY},
    {"contract_number", "contract_no", KH_FORM_ANY},
};

/* A name in the form of the tables: compatibility forms folded, lower case, blanks and hyphens inside as one underscore. */
static bool fold_name(kh_text cell, char *buf, uint32_t *ret_n)
{
    uint32_t n = 0;
    bool gap = false;
    for (uint32_t at = 0; at < cell.n;) {
        uint32_t c[KH_FOLD_MAX], cnt = 0;
        if (!kh_fold_next(cell, &at, c, &cnt)) return false;
        for (uint32_t i = 0; i < cnt; i++) {
            if (c[i] == '-' || c[i] == '_' || c[i] == '\t' || c[i] == '\r' || c[i] == '\n' || kh_fold_is_blank(c[i])) {
                gap = n > 0;
                continue;
            }
            if (gap && c[i] < 0x80 && !kh_fold_put('_', buf, KH_COLUMN_NAME_MAX, &n)) return false;
            gap = false;
            if (c[i] >= 'A' && c[i] <= 'Z') c[i] += 32;
            if (!kh_fold_put(c[i], buf, KH_COLUMN_NAME_MAX, &n)) return false;
        }
    }
    *ret_n = n;
    return n > 0;
}

static int find(kh_text name, const char *const columns[], uint32_t column_cnt)
{
    for (uint32_t i = 0; i < column_cnt; i++)
        if (kh_text_equal(name, kh_text_of(columns[i]))) return (int)i;
    return -1;
}

int kh_column_find(kh_text cell, const char *const columns[], uint32_t column_cnt, kh_number_form *ret_form)
{
    char buf[KH_COLUMN_NAME_MAX];
    uint32_t n = 0;
    *ret_form = KH_FORM_ANY;
    if (!fold_name(cell, buf, &n)) return -1;
    kh_text name = {buf, n};
    int column = find(name, columns, column_cnt);
    for (size_t i = 0; column < 0 && i < sizeof aliases / sizeof aliases[0]; i++) {
        if (!kh_text_equal(name, kh_text_of(aliases[i].name))) continue;
        column = find(kh_text_of(aliases[i].column), columns, column_cnt);
        if (column >= 0) *ret_form = aliases[i].form;
    }
    return column;
}
