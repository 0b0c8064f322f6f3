/* secret: a signing key as it lies on disk: 64 hexadecimal digits, for its owner alone. */
#ifndef KH_CLIENT_SECRET_H
#define KH_CLIENT_SECRET_H
#include "crypto/suite.h"
#include <kanhe/rows.h>

/* kh_secret_read makes a signer of a file; KH_MISUSE with the sentence in why. */
kh_result kh_secret_read(const char *path, kh_suite suite, kh_signer **ret, char *why, size_t cap);
#endif
