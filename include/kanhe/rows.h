/* rows: what both engines answer with, the one in a process (kanhe.h) and the one over the network (client.h).
 *
 * A result is a row of named fields; rows come in the order of the question. docs/CLI.md lists the fields of each.
 * Memory   rows, fields and texts are lent for the call of the sink. */
#ifndef KANHE_ROWS_H
#define KANHE_ROWS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KH_API __attribute__((visibility("default")))

/* kh_result is the command's exit status. */
typedef enum kh_result {
    KH_DONE = 0,        /* all well */
    KH_DONE_NOT_OK = 1, /* done, but some answer was not OK */
    KH_MISUSE = 2,      /* the question itself is wrong */
    KH_FAILED = 3       /* the data directory or the system failed */
} kh_result;

/* ---- rows ---- */
typedef enum kh_result_type {
    KH_FIELD_TEXT = 1,
    KH_FIELD_NUMBER = 2,
    KH_FIELD_BOOL = 3,
    KH_FIELD_WORDS = 4,
    KH_FIELD_ROWS = 5,
    KH_FIELD_NULL = 6
} kh_result_type;
struct kh_result_row;
typedef struct kh_result_field {
    const char *name;
    kh_result_type type;
    uint64_t number;                  /* NUMBER, BOOL */
    const char *text;                 /* TEXT; WORDS: separated by blanks */
    const struct kh_result_row *rows; /* ROWS */
    uint32_t row_cnt;
} kh_result_field;
typedef struct kh_result_row {
    const char
        *what; /* "import", "refused", "balance", "verdict", "financing", "document", "alert", "event", "audit", "party", ... */
    const kh_result_field *fields;
    uint32_t field_cnt;
} kh_result_row;
typedef struct kh_result_sink {
    void (*row)(void *ctx, const kh_result_row *row);
    void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t of); /* may be NULL; of 0: not known */
    void *ctx;
} kh_result_sink;

/* kh_row_json writes a row as one JSON object into p and returns the bytes that it takes; what would pass cap is left out, so
   more than cap means: again, with more room. named: the key "row" with row->what comes first. No NUL is written. In libkanhe.
   Pure. */
KH_API size_t kh_row_json(const kh_result_row *row, bool named, char *p, size_t cap);
/* kh_text_json: the same for a text alone, in its quotes. */
KH_API size_t kh_text_json(const char *text, char *p, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
