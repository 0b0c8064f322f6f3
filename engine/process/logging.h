/* logging: what kanhed says to its operator: one JSON object a line, on stderr or in a file.
 *
 *   {"time":"2026-11-24T08:00:00.123Z","level":"info","event":"ready","url":"https://…","pid":4711}
 *
 * Never business data (numbers of papers, names, amounts, ids of financings), never secrets: who calls passes only what a field's
 * name promises. A party's id may be said.
 *
 * Threads  any, at once.  Order  lines are whole; those of one thread stay in order.
 * Bounds   a line has at most KH_LOGGING_LINE_MAX bytes (texts are cut); at most KH_LOGGING_BURST lines at once and
 *          KH_LOGGING_PER_S a second, errors a reserve beyond that; a reader that does not read is not waited for. What is left
 *          out is counted and said later ("lines_left_out").
 * Errors   none: a log that cannot be written stops nothing. */
#ifndef KH_PROCESS_LOGGING_H
#define KH_PROCESS_LOGGING_H
#include "base/base.h"

#define KH_LOGGING_LINE_MAX 2048u
#define KH_LOGGING_BURST 1000u
#define KH_LOGGING_RESERVE 100u /* of the burst, for errors alone */
#define KH_LOGGING_PER_S 200u

typedef enum kh_level { KH_LEVEL_INFO, KH_LEVEL_WARNING, KH_LEVEL_ERROR } kh_level;
typedef struct kh_logging kh_logging;

/* kh_logging_open: path "": stderr. A file is appended to and made 0640, given to uid (-1: nobody new) so that it can be opened
   again after rights were dropped. False with a sentence in why. */
KH_MUST bool kh_logging_open(const char *path, int64_t uid, int64_t gid, kh_logging **ret, char *why, size_t cap);
void kh_logging_close(kh_logging *l);
/* kh_logging_reopen opens the file by its name again (after logrotate has moved it); where that fails the old one stays. */
void kh_logging_reopen(kh_logging *l);

typedef struct kh_log_field {
    const char *name;
    const char *text; /* NULL: number */
    uint64_t number;
} kh_log_field;
/* kh_logging_put writes one line; fields end with one without a name. */
void kh_logging_put(kh_logging *l, kh_level level, const char *event, const kh_log_field fields[]);
#define KH_LOG(l, level, event, ...) kh_logging_put((l), (level), (event), (const kh_log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
uint64_t kh_logging_left_out(kh_logging *l); /* in all */
/* kh_logging_line writes the line for a moment into ret (cap >= KH_LOGGING_LINE_MAX), newline included; returns its length. */
size_t kh_logging_line(uint64_t time_ns, kh_level level, const char *event, const kh_log_field fields[], char *ret);
#endif
