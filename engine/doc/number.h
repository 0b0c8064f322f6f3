/* number: canonical document numbers, party identifiers, check digits, and the 16-byte document key.
 *
 * Canonical form of a number: full-width forms folded to ASCII, blanks stripped, upper case; what DOMAIN §5 adds per form
 * (21-digit tax-refund form cut to 18; 9-digit legacy declaration numbers refused).
 * The key: byte 0 the kind, byte 1 the packing (below), then the number packed losslessly where its form is fixed and
 * it has no issuer, else the first 14 bytes of SHA-256 over (kind, issuer, number) each preceded by a 2-byte length.
 * Anyone can compute it (docs/FORMAT.md has the bytes). Pure; no allocation. */
#ifndef KH_DOC_NUMBER_H
#define KH_DOC_NUMBER_H
#include "doc/kind.h"

#define KH_NUMBER_MAX 100 /* bytes of a canonical number */
#define KH_ISSUER_MAX 200 /* bytes of a canonical issuer or owner */
#define KH_NAME_MAX 200   /* bytes of a party's name */

/* kh_number_canonical writes the canonical form of a number of the given kind into buf (KH_NUMBER_MAX + 1 bytes).
   Returns KH_C_OK, KH_C_CHECK_DIGIT (usable, odd check digit) or KH_C_FORMAT (what a spreadsheet spoilt too: 3.1012E+17, or a
   mark before it that it is a text). `invoice_code` (may be none) is put before the
   number. */
kh_code kh_number_canonical(kh_kind kind, kh_text number, kh_text invoice_code, char *buf, uint32_t *ret_n);
/* kh_number_direction: of an 18-character Chinese declaration number: +1 export, -1 import, 0 unknown / another form. */
int kh_number_direction(kh_text canonical);
/* kh_number_is_chinese_invoice: 20 digits, or 10/12-digit code + 8-digit number. */
bool kh_number_is_chinese_invoice(kh_text canonical);
bool kh_number_is_mrn(kh_text canonical); /* the shape */
bool kh_mrn_check(kh_text mrn);           /* DOMAIN §5's sum */
bool kh_uscc_check(kh_text uscc);         /* both check digits; false also when not of the shape */
bool kh_uscc_shape(kh_text uscc);
bool kh_uscc_is_odd(kh_text id); /* of the shape, and a check digit does not fit; of anything else nothing is known */

/* kh_owner_canonical: letters and digits only, upper case (full-width folded). Used for owner ids and id-like issuers.
   CHECK_DIGIT: a USCC whose check digits do not fit; usable (DOMAIN §5). */
kh_code kh_owner_canonical(kh_text id, char *buf, uint32_t *ret_n);
/* kh_issuer_canonical: DOMAIN §5's rule for an issuer given in any spelling with its country in it (CSV, CLI): an id-like text
   as letters and digits, upper case, else a name: NFKC (full-width, compatibility forms that the tables have), case-folded,
   blanks collapsed. */
kh_code kh_issuer_canonical(kh_text issuer, char *buf, uint32_t *ret_n);
/* kh_issuer_of_seller applies the whole rule: vat, legal registration, first identifier, country (two letters), legal name; each
 * may be none. CHECK_DIGIT as above. */
kh_code kh_issuer_of_seller(kh_text vat, kh_text registration, kh_text identifier, kh_text country, kh_text name, char *buf,
                            uint32_t *ret_n);

/* kh_doc_key computes the key of canonical (kind, number, issuer). */
kh_key kh_doc_key(kh_kind kind, kh_text number, kh_text issuer);
/* kh_doc_key_number gives back the number where the key packs it losslessly: its length, 0 if the key is a digest. */
uint32_t kh_doc_key_number(const kh_key *key, char *buf);
bool kh_doc_key_packs(const kh_key *key); /* it does: the key is no digest */
static inline kh_kind kh_doc_key_kind(const kh_key *key) { return (kh_kind)key->b[0]; }
/* kh_owner_check: the first 4 bytes of SHA-256 over the canonical owner, little-endian; 0 becomes 1; 0 for none. */
uint32_t kh_owner_check(kh_text owner);
/* kh_contract_digest: the first 8 bytes of SHA-256 over the contract number (letters and digits, upper case); 0 for none. */
uint64_t kh_contract_digest(kh_text contract_no);
#endif
