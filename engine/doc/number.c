/* number: canonical numbers and party identifiers. */
#include "doc/number.h"
#include "doc/fold.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_alnum(char c) { return is_digit(c) || (c >= 'A' && c <= 'Z'); }

/* is_plain: a visible ASCII character that no combining mark follows stands for itself; nearly all of them do. */
static bool is_plain(kh_text text, uint32_t at)
{
    return text.p[at] > 0x20 && text.p[at] < 0x7f && (at + 1 == text.n || (unsigned char)text.p[at + 1] < 0x80);
}

/* strip folds compatibility forms, drops blanks and characters that nobody sees, and raises ASCII letters; false on control
   characters, bad UTF-8 or beyond max. */
static bool strip(kh_text text, char *buf, uint32_t max, uint32_t *n)
{
    for (uint32_t at = 0; at < text.n;) {
        uint32_t c[KH_FOLD_MAX], cnt = 0;
        if (is_plain(text, at)) {
            if (*n == max) return false;
            char plain = text.p[at++];
            buf[(*n)++] = plain >= 'a' && plain <= 'z' ? (char)(plain - 32) : plain;
            continue;
        }
        if (!kh_fold_next(text, &at, c, &cnt)) return false;
        for (uint32_t i = 0; i < cnt; i++) {
            if (kh_fold_is_blank(c[i]) || kh_fold_is_unseen(c[i])) continue;
            if (c[i] < 0x20 || (c[i] >= 0x7f && c[i] < 0xa0)) return false;
            if (c[i] >= 'a' && c[i] <= 'z') c[i] -= 32;
            if (!kh_fold_put(c[i], buf, max, n)) return false;
        }
    }
    return true;
}

/* What a spreadsheet makes of a long number: 3.1012E+17, which many numbers become; or a mark before it that it is a text. */
static bool is_spoilt(const char *p, uint32_t n)
{
    uint32_t at = 0;
    if (p[0] == '\'' || p[0] == '`' || p[0] == '=') return true;
    if (n < 5 || !is_digit(p[0]) || !is_digit(p[n - 1]) || !is_digit(p[n - 2]) || p[n - 3] != '+' || p[n - 4] != 'E')
        return false;
    for (at = 1; at < n - 4; at++)
        if (!is_digit(p[at]) && (at != 1 || (p[at] != '.' && p[at] != ','))) return false;
    return true;
}

kh_code kh_number_canonical(kh_kind kind, kh_text number, kh_text invoice_code, char *buf, uint32_t *ret_n)
{
    char out[KH_NUMBER_MAX + 1];
    uint32_t n = 0;
    if (!strip(invoice_code, out, KH_NUMBER_MAX, &n)) return KH_C_FORMAT;
    uint32_t code_n = n;
    if (!strip(number, out, KH_NUMBER_MAX, &n) || n == code_n || is_spoilt(out, n)) return KH_C_FORMAT;
    kh_code code = KH_C_OK;
    if (kh_kind_is_declaration(kind) || kind == KH_KIND_ANY) {
        bool digits = true;
        for (uint32_t i = 0; i < n; i++) digits = digits && is_digit(out[i]);
        if (digits && n == 9) return KH_C_FORMAT;
        /* the tax-refund form: 18 + '0' + two digits of the item */
        if (n == 21 && out[18] == '0' && is_digit(out[19]) && is_digit(out[20]) && kh_number_direction((kh_text){out, 18}) != 0)
            n = 18;
        kh_text canonical = {out, n};
        if (kh_number_is_mrn(canonical) && !kh_mrn_check(canonical)) code = KH_C_CHECK_DIGIT;
    }
    memcpy(buf, out, n);
    buf[n] = '\0';
    *ret_n = n;
    return code;
}

/* letters_and_digits keeps ASCII letters and digits, upper case, and letters of other scripts as they are. */
static bool letters_and_digits(kh_text text, char *buf, uint32_t max, uint32_t *n)
{
    for (uint32_t at = 0; at < text.n;) {
        uint32_t c[KH_FOLD_MAX], cnt = 0;
        if (is_plain(text, at)) {
            char plain = text.p[at++];
            if (plain >= 'a' && plain <= 'z') plain = (char)(plain - 32);
            if (!is_alnum(plain)) continue;
            if (*n == max) return false;
            buf[(*n)++] = plain;
            continue;
        }
        if (!kh_fold_next(text, &at, c, &cnt)) return false;
        for (uint32_t i = 0; i < cnt; i++) {
            if (c[i] >= 'a' && c[i] <= 'z') c[i] -= 32;
            bool keep = c[i] < 0x80 ? is_alnum((char)c[i]) : kh_fold_is_letter(c[i]);
            if (keep && !kh_fold_put(c[i], buf, max, n)) return false;
        }
    }
    return true;
}

static kh_code fits(kh_text id) { return kh_uscc_is_odd(id) ? KH_C_CHECK_DIGIT : KH_C_OK; }

kh_code kh_owner_canonical(kh_text id, char *buf, uint32_t *ret_n)
{
    char out[KH_ISSUER_MAX + 1];
    uint32_t n = 0;
    if (!letters_and_digits(id, out, KH_ISSUER_MAX, &n) || n == 0) return KH_C_FORMAT;
    memcpy(buf, out, n);
    buf[n] = '\0';
    *ret_n = n;
    return fits((kh_text){out, n});
}

static kh_code name_canonical(kh_text name, char *buf, uint32_t *ret_n)
{
    char out[KH_ISSUER_MAX + 1];
    uint32_t n = 0;
    bool blank = false;
    for (uint32_t at = 0; at < name.n;) {
        uint32_t c[KH_FOLD_MAX], cnt = 0;
        if (!kh_fold_next(name, &at, c, &cnt)) return KH_C_FORMAT;
        for (uint32_t i = 0; i < cnt; i++) {
            if (kh_fold_is_blank(c[i]) || c[i] == '\t' || c[i] == '\n' || c[i] == '\r') {
                blank = n > 0;
                continue;
            }
            if (c[i] < 0x20 || (c[i] >= 0x7f && c[i] < 0xa0)) return KH_C_FORMAT;
            if (blank && !kh_fold_put(' ', out, KH_ISSUER_MAX, &n)) return KH_C_FORMAT;
            blank = false;
            uint32_t folded[KH_FOLD_MAX], folded_n = kh_fold_case(c[i], folded);
            for (uint32_t j = 0; j < folded_n; j++)
                if (!kh_fold_put(folded[j], out, KH_ISSUER_MAX, &n)) return KH_C_FORMAT;
        }
    }
    if (n == 0) return KH_C_FORMAT;
    memcpy(buf, out, n);
    buf[n] = '\0';
    *ret_n = n;
    return KH_C_OK;
}

/* An id-like text is ASCII and has at least as many digits as letters, or is one word with four digits or more, or one word of
   capitals and digits (HRB99: so is a canonical id, while a canonical name has no capitals); a company's name that ends in a year
   is none of these. */
static bool id_like(kh_text text)
{
    uint32_t digits = 0, letters = 0, blanks = 0;
    bool capitals = true; /* and digits and what parts them, nothing else */
    for (uint32_t at = 0; at < text.n;) {
        uint32_t c[KH_FOLD_MAX], cnt = 0;
        if (!kh_fold_next(text, &at, c, &cnt)) return false;
        for (uint32_t i = 0; i < cnt; i++) {
            if (c[i] >= 0x80) return false;
            if (kh_fold_is_blank(c[i])) blanks++;
            else if (c[i] >= '0' && c[i] <= '9') digits++;
            else if (c[i] >= 'A' && c[i] <= 'Z') letters++;
            else {
                letters += c[i] >= 'a' && c[i] <= 'z';
                capitals = capitals && (c[i] == '.' || c[i] == '-' || c[i] == '/');
            }
        }
    }
    return digits > 0 && (digits >= letters || (blanks == 0 && (digits >= 4 || capitals)));
}

kh_code kh_issuer_canonical(kh_text issuer, char *buf, uint32_t *ret_n)
{
    return id_like(issuer) ? kh_owner_canonical(issuer, buf, ret_n) : name_canonical(issuer, buf, ret_n);
}

kh_code kh_issuer_of_seller(kh_text vat, kh_text registration, kh_text identifier, kh_text country, kh_text name, char *buf,
                            uint32_t *ret_n)
{
    kh_text choices[3] = {vat, registration, identifier};
    for (uint32_t i = 0; i < 3; i++) {
        char id[KH_ISSUER_MAX + 1], out[KH_ISSUER_MAX + 1];
        uint32_t n = 0, out_n = 0;
        if (choices[i].n == 0) continue;
        if (!letters_and_digits(choices[i], id, KH_ISSUER_MAX, &n)) return KH_C_FORMAT;
        if (n == 0) continue;
        bool has_country = n >= 2 && id[0] >= 'A' && id[0] <= 'Z' && id[1] >= 'A' && id[1] <= 'Z';
        if (!has_country && !kh_uscc_shape((kh_text){id, n}) && !letters_and_digits(country, out, 2, &out_n)) return KH_C_FORMAT;
        if (out_n + n > KH_ISSUER_MAX) return KH_C_FORMAT;
        memcpy(out + out_n, id, n);
        out_n += n;
        memcpy(buf, out, out_n);
        buf[out_n] = '\0';
        *ret_n = out_n;
        return fits((kh_text){buf, out_n});
    }
    return name.n != 0 ? name_canonical(name, buf, ret_n) : KH_C_FORMAT;
}
