/* leaves: a reader of a checkpoint's leaves, written from docs/FORMAT.md alone: each leaf reads in one way only, by itself, to
 * its last byte, and papers and loans say what the ledger's views say. Shares no code with what wrote them. */
#ifndef MODEL_LEAVES_H
#define MODEL_LEAVES_H
#include "ledger/ledger.h"

/* leaves_read reads all leaves of the ledger's state: NULL, or what is wrong with one of them (a static text). */
const char *leaves_read(const kh_ledger *l);
#endif
