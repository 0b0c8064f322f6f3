/* print: rows on the screen: as JSON, one object a line, or as tables for people. Progress on stderr. */
#ifndef KANHE_PRINT_H
#define KANHE_PRINT_H
#include <kanhe/kanhe.h>

/* print_begin makes the sink. json: one object a line. Lines are written whole. */
kh_result_sink print_begin(bool json);
/* print_end writes what is still held back; false when stdout could not be written. */
bool print_end(void);

/* table.c */
void table_row(const kh_result_row *row);
void table_end(void);
/* print_text puts bytes into the output; print_line_end marks where they may be written out. */
void print_text(const char *text, size_t n);
void print_line_end(void);
#endif
