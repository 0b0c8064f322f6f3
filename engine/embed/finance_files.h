/* finance_files: what finance_files.c (the run: batches, receipts, events) and finance_requests.c (requests, a group of lines
 * each) share. Not for other folders. */
#ifndef KH_EMBED_FINANCE_FILES_H
#define KH_EMBED_FINANCE_FILES_H
#include "embed/embed.h"

enum { KH_FILE_ANSWERS = 1024, KH_FILE_BEHIND = 16 };

typedef struct kh_file_answer { /* to a financing, an event, or a line that is neither */
    uint64_t id, line;
    uint32_t first_paper, paper_cnt;
    kh_code refused;
    char why[256];
    uint32_t op;
    kh_currency currency;
    kh_probe probe;
} kh_file_answer;

typedef struct kh_file_run {
    kh_engine *e;
    kh_principal who; /* the bank */
    uint64_t line_offset;
    const kh_result_sink *sink;
    kh_batch batch;
    kh_file_answer requests[KH_FILE_ANSWERS];
    uint32_t n;
    kh_paper_name *papers;
    uint32_t paper_cnt, paper_cap;
    bool not_ok;
} kh_file_run;

typedef struct kh_file_request { /* the financing being gathered from consecutive lines */
    bool open, partial;
    uint64_t unread; /* the first line behind them of which it cannot be told whose it is; 0 none */
    kh_op op;
    char product[KH_PRODUCT_MAX + 1];
    char enterprise[KH_ISSUER_MAX + 1], owner[KH_ISSUER_MAX + 1];
    kh_file_answer p;
    uint32_t behind_cnt;
    kh_file_answer behind[KH_FILE_BEHIND]; /* lines that cannot be read: answered behind it, and beyond so many before */
    kh_op_line lines[KH_LINES_MAX];
} kh_file_request;

/* kh_file_number: digits alone. */
bool kh_file_number(kh_text text, uint64_t *ret);
/* kh_file_refuse: the first reason stays. */
void kh_file_refuse(kh_file_answer *p, kh_code code, const char *why);
/* kh_file_put adds r->requests[r->n], whose operation is *op (NULL: it was refused). */
KH_MUST kh_err kh_file_put(kh_file_run *r, const kh_op *op);
/* kh_file_flush_before sends what is gathered; the papers of a request that is not yet in the batch move to the front. */
KH_MUST kh_err kh_file_flush_before(kh_file_run *r, kh_file_answer *p);

/* The columns of REQUESTS.csv, and those that its header must name (kh_rows_need). */
#define KH_REQUEST_COLUMN_CNT 11u
extern const char *const kh_request_columns[KH_REQUEST_COLUMN_CNT];
extern const uint64_t kh_request_needed;
/* kh_file_request_row takes a line in: the financing before it is sent when another begins. A line that cannot be read is refused
   by itself, and with it the financing that it is of: the one whose id it shows, else the one whose lines are before and behind
   it. */
KH_MUST kh_err kh_file_request_row(kh_file_run *r, kh_file_request *q, const kh_row_view *row, bool partial);
/* kh_file_request_end: the last one. */
KH_MUST kh_err kh_file_request_end(kh_file_run *r, kh_file_request *q);
#endif
