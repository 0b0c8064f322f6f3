/* Unit tests of base: texts are compared a word at a time. */
#include "base/base.h"
#include <criterion/criterion.h>

Test(base, texts_are_equal_when_every_byte_is)
{
    char one[40], other[41];
    for (uint32_t n = 0; n <= sizeof one; n++) {
        for (uint32_t i = 0; i < n; i++) one[i] = other[i + 1] = (char)('a' + i % 26);
        const kh_text a = {n != 0 ? one : NULL, n}, b = {other + 1, n};
        cr_assert(kh_text_equal(a, b), "%u bytes", n);
        if (n != 0) cr_assert(!kh_text_equal(a, (kh_text){b.p, n - 1}), "%u bytes and one less", n);
        for (uint32_t i = 0; i < n; i++) {
            other[i + 1] ^= 1;
            cr_assert(!kh_text_equal(a, b), "byte %u of %u", i, n);
            other[i + 1] ^= 1;
        }
    }
}
