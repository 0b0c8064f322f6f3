/* answer: the bytes of a hub's answer, as they come, into rows.
 *
 * {"row":...} a line, the last line {"end":true,"status":S,"message":M,"next":N}; or, where the hub sends one JSON document
 * (errors), {"results":[...],"status":S,"message":M}.
 * Memory   one line, at most KH_ANSWER_LINE_MAX bytes; a document of at most that.
 * Errors   feed: false where the bytes are no answer of a hub. */
#ifndef KH_CLIENT_ANSWER_H
#define KH_CLIENT_ANSWER_H
#include "client/connection.h"
#include "client/row.h"

#define KH_ANSWER_LINE_MAX (8u << 20)

typedef struct kh_answer_reader {
    const kh_transfer *transfer; /* its content type says which of the two forms it is */
    /* row: may be NULL: rows are let go. The row may be changed where it stands. */
    void (*row)(void *ctx, kh_result_row *row);
    void *ctx;
    kh_row_decoder decoder;
    char *held; /* of a line, or document, that is not whole */
    size_t held_n, held_cap;
    bool ended;
    kh_result status; /* when ended */
    char message[500], next[256];
    uint64_t row_cnt;
} kh_answer_reader;

/* kh_answer_feed is a transfer's `give`. */
bool kh_answer_feed(void *reader, const char *p, size_t n);
/* kh_answer_finish takes what is left when the transfer is over; false: there was no end. */
bool kh_answer_finish(kh_answer_reader *reader);
void kh_answer_free(kh_answer_reader *reader);
#endif
