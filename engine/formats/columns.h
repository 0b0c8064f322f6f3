/* columns: the names that a column may have: canonical ones, English spellings, Chinese aliases (DOMAIN §6, §7). Pure. */
#ifndef KH_FORMATS_COLUMNS_H
#define KH_FORMATS_COLUMNS_H
#include "formats/formats.h"

/* What the name of the number's column says of the kind: 海关编号 is a declaration's, 发票号码 an invoice's. */
typedef enum kh_number_form { KH_FORM_ANY = 0, KH_FORM_DECLARATION = 1, KH_FORM_INVOICE = 2 } kh_number_form;

#define KH_COLUMN_NAME_MAX 64

/* The import columns, in the order of kh_import_columns. */
enum {
    KH_COL_KIND,
    KH_COL_NUMBER,
    KH_COL_OWNER_ID,
    KH_COL_CURRENCY,
    KH_COL_AMOUNT,
    KH_COL_DATE,
    KH_COL_ISSUER_ID,
    KH_COL_DIRECTION,
    KH_COL_CONTRACT_NO,
    KH_COL_STATUS,
    KH_COL_INVOICE_CODE,
    KH_COL_VERSION,
    KH_COL_REFERS_TO,
    KH_COL_ISSUED,
    KH_COL_IMPORT_CNT
};
extern const char *const kh_import_columns[KH_COL_IMPORT_CNT];

/* kh_column_find: which of columns[] a header cell or a JSON key names; -1 none of them. */
int kh_column_find(kh_text cell, const char *const columns[], uint32_t column_cnt, kh_number_form *ret_form);
#endif
