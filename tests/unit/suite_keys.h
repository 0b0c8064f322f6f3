/* suite_keys: keys of the standards' examples, bytes that an independent implementation made, hexadecimal: for the tests of
 * suites and envelopes. */
#ifndef KH_TESTS_SUITE_KEYS_H
#define KH_TESTS_SUITE_KEYS_H
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline size_t unhex(const char *hex, uint8_t *ret)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        ret[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    return n;
}

/* RFC 7748, 6.1 */
#define ALICE_SECRET "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
#define ALICE_PUBLIC "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
#define BOB_SECRET "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
#define BOB_PUBLIC "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
/* GB/T 32918.5, annex A */
#define SM2_SECRET "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"
#define SM2_PUBLIC                                                                                                               \
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"                                                           \
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
#define SM2_SIGNATURE                                                                                                            \
    "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"                                                           \
    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
/* The bytes 0..31 wrapped with info "info": from Alice's key to Bob's by pyca/cryptography; to the SM2 key with the standard's k
 * by sixty lines of Python that give the standard's own example (annex C) too. */
#define WRAP_TO_BOB                                                                                                              \
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"                                                           \
    "90b285039bd0efdfa7d3042c44a66dc664ee094e5e339de818d85bf4da4bf3190c9ffe6d6ef5e3f5130b6ec613de24c5"
#define WRAP_TO_SM2                                                                                                              \
    "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"                                                           \
    "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0"                                                           \
    "f2510ae3cfc74e4eb31b5460e61a55a59c1ad9f8a1b56fcfe425e00b3a6a4673"                                                           \
    "44e70dd8f4bfee133f6f597fb2ff6946147d8c1092763f5d3ceaf6d74f234985"
/* SEALED_TEXT under the key 0..31 with the AAD "head", and its tag. */
#define SEALED_TEXT "a body of more than one block, sealed"
#define SEALED_INTL "6f9cd7b1d155a3d26e88c45a6a49b1edba22387347ef050fe2f2dce0aed37d252b3e8ad94ec577da67d7391a84088f1c3d6de344ac"
#define SEALED_GM                                                                                                                \
    "014644886ea9f8f9b037a1953ca0a3a53eb8e367fd51d4ac42a2b6c24849d329f35eba48bf"                                                 \
    "150461b6ec4ee3d7a98562580578a4506b846f91b2603066a28144d26d3f2dd1"
#endif
