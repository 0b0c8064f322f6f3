/* suite_gm_der: the DER that the library speaks, from and to the plain forms of GB/T 32918: a signature r || s, and a wrap of 32
 * bytes C1 || C3 || C2. Pure. _of_der: false for anything that is not exactly one canonical value of that form. */
#ifndef KH_CRYPTO_SUITE_GM_DER_H
#define KH_CRYPTO_SUITE_GM_DER_H
#include "base/base.h"

#define KH_GM_SIGNATURE_DER_MAX 72u
#define KH_GM_WRAP_DER_MAX 160u

size_t kh_gm_signature_to_der(const uint8_t signature[64], uint8_t ret[KH_GM_SIGNATURE_DER_MAX]);
KH_MUST bool kh_gm_signature_of_der(const uint8_t *der, size_t n, uint8_t ret[64]);
size_t kh_gm_wrap_to_der(const uint8_t wrap[128], uint8_t ret[KH_GM_WRAP_DER_MAX]);
KH_MUST bool kh_gm_wrap_of_der(const uint8_t *der, size_t n, uint8_t ret[128]);
#endif
