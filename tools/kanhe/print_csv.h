/* print_csv: the files that commands write beside their output, made of the rows that come: verify's -o, import's
 * FILE.refused.csv. Each is a sink in front of another one. */
#ifndef KANHE_PRINT_CSV_H
#define KANHE_PRINT_CSV_H
#include <kanhe/kanhe.h>
#include <stdio.h>

typedef struct csv_out {
    kh_result_sink sink; /* to be given to the engine */
    const kh_result_sink *next;
    char path[1024]; /* "": there is no place for it */
    FILE *f;
    bool begun, was_there, lost; /* lost: it could not be opened */
    int error;                   /* errno of what went wrong first, else 0 */
    char why[1200];              /* of csv_verdicts_begin and _end that are false */
} csv_out;

/* csv_verdicts_begin opens OUT, and leaves what is in it until the first verdict; false: it cannot be written, or is FILE, which
 * is read. */
bool csv_verdicts_begin(csv_out *c, const char *file, const char *out, const kh_result_sink *next);
/* csv_verdicts_end: false where OUT could not be written whole. */
bool csv_verdicts_end(csv_out *c, kh_result result);

/* csv_refused_begin: FILE.refused.csv beside a regular file; rows are passed on as they are shown, without byte and text. A link
   of that name is not followed: who may write to FILE's folder would else say which file is overwritten. */
void csv_refused_begin(csv_out *c, const char *file, const kh_result_sink *next);
/* csv_refused_end removes an earlier import's where nothing was refused now; where the import was not all well, its message is
   `said` and where to look for what was refused. */
void csv_refused_end(csv_out *c, kh_result result, const char *said, char *ret_message, size_t cap);
#endif
