/* file: heads of states, where what is in a file of one, and the sealing of its pieces. A file: head, pieces, list. */
#include <stdio.h>
#include <stdlib.h>
#include "states/parts.h"

enum { AT_MAKER = 4, AT_HEIGHT = 8, AT_EPOCH = 16, AT_PIECES = 20, AT_LAST = 24, AT_PIECE_SZ = 28, AT_CHAIN = 32, AT_LIST = 64 };
static const char magic[4] = {'K', 'H', 'Z', '1'}, sign_tag[] = "kanhe/state", piece_tag[] = "kanhe/state piece";

/* ---- places ---- */

const char *kh_state_path(const kh_states *s, uint64_t height, const char *more, char ret[KH_STATES_PATH_SZ])
{
    (void)snprintf(ret, KH_STATES_PATH_SZ, "%s/%llu%s", s->dir, (unsigned long long)height, more);
    return ret;
}

size_t kh_state_piece_sz(const kh_states *s, const kh_state_head *h, uint32_t piece)
{
    return piece + 1 == h->pieces ? h->last_sz : s->piece_sz + s->over_sz;
}

uint64_t kh_state_piece_at(const kh_states *s, uint32_t piece)
{
    return KH_STATE_SIGNED_SZ + (uint64_t)piece * (s->piece_sz + s->over_sz);
}

uint64_t kh_state_list_at(const kh_states *s, const kh_state_head *h) { return kh_state_piece_at(s, h->pieces - 1) + h->last_sz; }

uint64_t kh_state_file_sz(const kh_states *s, const kh_state_head *h)
{
    return kh_state_list_at(s, h) + (uint64_t)h->pieces * 32;
}

/* ---- heads ---- */

static void statement_of(const kh_state_head *h, uint8_t ret[sizeof sign_tag + KH_STATE_NAMED_SZ])
{
    memcpy(ret, sign_tag, sizeof sign_tag);
    memcpy(ret + sizeof sign_tag, h->bytes, KH_STATE_NAMED_SZ);
}

kh_err kh_state_head_make(const kh_states *s, kh_state_head *h)
{
    uint8_t *p = h->bytes, statement[sizeof sign_tag + KH_STATE_NAMED_SZ];
    memcpy(p, magic, sizeof magic);
    kh_store32(p + AT_MAKER, h->maker);
    kh_store64(p + AT_HEIGHT, h->height);
    kh_store32(p + AT_EPOCH, h->epoch);
    kh_store32(p + AT_PIECES, h->pieces);
    kh_store32(p + AT_LAST, h->last_sz);
    kh_store32(p + AT_PIECE_SZ, s->piece_sz);
    memcpy(p + AT_CHAIN, s->options.chain, 32);
    memcpy(p + AT_LIST, h->list, 32);
    kh_sha256(p, KH_STATE_NAMED_SZ, h->id);
    statement_of(h, statement);
    return kh_sign(s->options.sign, statement, sizeof statement, p + KH_STATE_NAMED_SZ);
}

bool kh_state_head_of(const kh_states *s, const uint8_t p[KH_STATE_SIGNED_SZ], kh_state_head *ret)
{
    kh_state_head h = {.height = kh_load64(p + AT_HEIGHT),
                       .maker = kh_load32(p + AT_MAKER),
                       .epoch = kh_load32(p + AT_EPOCH),
                       .pieces = kh_load32(p + AT_PIECES),
                       .last_sz = kh_load32(p + AT_LAST)};
    if (memcmp(p, magic, sizeof magic) != 0 || memcmp(p + AT_CHAIN, s->options.chain, 32) != 0) return false;
    if (kh_load32(p + AT_PIECE_SZ) != s->piece_sz || h.height == 0 || h.epoch == 0) return false;
    if (h.pieces == 0 || h.pieces > KH_STATE_PIECES_MAX) return false;
    if (h.last_sz < s->over_sz || h.last_sz > s->piece_sz + s->over_sz) return false;
    memcpy(h.list, p + AT_LIST, 32);
    memcpy(h.bytes, p, KH_STATE_SIGNED_SZ);
    kh_sha256(p, KH_STATE_NAMED_SZ, h.id);
    *ret = h;
    return true;
}

bool kh_state_head_signed(const kh_states *s, const kh_state_head *h, const uint8_t attest[KH_PUBLIC_SZ])
{
    uint8_t statement[sizeof sign_tag + KH_STATE_NAMED_SZ];
    statement_of(h, statement);
    return kh_verify_signature(s->options.suite, attest, statement, sizeof statement, h->bytes + KH_STATE_NAMED_SZ);
}

/* ---- files ---- */

kh_err kh_state_write(const kh_states *s, kh_file *f, uint64_t at, const void *p, size_t n)
{
    return s->options.disk->write(s->options.disk->self, f, at, p, n);
}

static kh_err read_exact(const kh_states *s, kh_file *f, uint64_t at, void *p, size_t n)
{
    size_t got = 0;
    kh_err err = s->options.disk->read(s->options.disk->self, f, at, p, n, &got);
    return err == KH_OK && got != n ? KH_E_DAMAGED : err;
}

static kh_err read_list(const kh_states *s, kh_file *f, const kh_state_head *h, uint8_t (**ret)[32])
{
    size_t n = (size_t)h->pieces * 32;
    uint8_t digest[32], (*list)[32] = malloc(n);
    if (list == NULL) return KH_E_NOMEM;
    kh_err err = read_exact(s, f, kh_state_list_at(s, h), list, n);
    kh_sha256(list, n, digest);
    if (err == KH_OK && memcmp(digest, h->list, 32) != 0) err = KH_E_DAMAGED;
    if (err == KH_OK && ret != NULL) *ret = list;
    else free(list);
    return err;
}

kh_err kh_state_open_file(const kh_states *s, uint64_t height, const char *more, kh_state_head *ret, kh_file **ret_file,
                          uint8_t (**ret_list)[32])
{
    char path[KH_STATES_PATH_SZ];
    uint8_t p[KH_STATE_SIGNED_SZ];
    uint64_t size = 0;
    const kh_disk *d = s->options.disk;
    kh_state_head h;
    kh_file *f = NULL;
    kh_err err = d->open(d->self, kh_state_path(s, height, more, path), KH_OPEN_READ | KH_OPEN_WRITE, &f);
    if (err != KH_OK) return err;
    err = d->size(d->self, f, &size);
    if (err == KH_OK) err = read_exact(s, f, 0, p, sizeof p);
    if (err == KH_OK && (!kh_state_head_of(s, p, &h) || h.height != height || size != kh_state_file_sz(s, &h)))
        err = KH_E_DAMAGED;
    if (err == KH_OK) err = read_list(s, f, &h, ret_list);
    if (err != KH_OK) {
        d->close(d->self, f);
        return err;
    }
    *ret = h;
    *ret_file = f;
    return KH_OK;
}

kh_err kh_state_open_held(kh_states *s, const kh_state_head *h, kh_file **ret)
{
    char path[KH_STATES_PATH_SZ];
    uint8_t p[KH_STATE_SIGNED_SZ];
    const kh_disk *d = s->options.disk;
    kh_file *f = NULL;
    kh_err err = d->open(d->self, kh_state_path(s, h->height, ".state", path), KH_OPEN_READ, &f);
    if (err != KH_OK) return err;
    err = read_exact(s, f, 0, p, sizeof p);
    if (err == KH_OK && memcmp(p, h->bytes, sizeof p) != 0) err = KH_E_NOT_FOUND; /* another took its place */
    if (err == KH_OK) *ret = f;
    else d->close(d->self, f);
    return err;
}

kh_err kh_state_read_piece(const kh_states *s, kh_file *f, const kh_state_head *h, const uint8_t *digest, uint32_t piece,
                           uint8_t *p)
{
    uint8_t listed[32], found[32];
    size_t n = kh_state_piece_sz(s, h, piece);
    kh_err err = KH_OK;
    if (digest == NULL) err = read_exact(s, f, kh_state_list_at(s, h) + (uint64_t)piece * 32, listed, 32);
    else memcpy(listed, digest, 32);
    if (err == KH_OK) err = read_exact(s, f, kh_state_piece_at(s, piece), p, n);
    if (err != KH_OK) return err;
    kh_sha256(p, n, found);
    return memcmp(found, listed, 32) == 0 ? KH_OK : KH_E_DAMAGED;
}

/* ---- sealing: the wrap is bound to where the piece stands, the text to that and the wrap ---- */

#define INFO_SZ (sizeof piece_tag + 32 + 8 + 4 + 4 + 1)
static void info_of(const kh_states *s, uint64_t height, uint32_t epoch, uint32_t piece, bool last, uint8_t ret[INFO_SZ])
{
    uint8_t *p = ret + sizeof piece_tag;
    memcpy(ret, piece_tag, sizeof piece_tag);
    memcpy(p, s->options.chain, 32);
    kh_store64(p + 32, height);
    kh_store32(p + 40, epoch);
    kh_store32(p + 44, piece);
    p[48] = last;
}

kh_err kh_state_seal(const kh_states *s, uint64_t height, uint32_t epoch, const uint8_t group[KH_PUBLIC_SZ], uint32_t piece,
                     bool last, const uint8_t *text, size_t n, uint8_t *ret)
{
    uint8_t aad[INFO_SZ + KH_WRAP_MAX_SZ], key[32];
    const kh_entropy *e = s->options.entropy;
    size_t wrap_n = kh_wrap_sz(s->options.suite);
    info_of(s, height, epoch, piece, last, aad);
    kh_err err = e->fill(e->self, key, sizeof key);
    if (err == KH_OK) err = kh_wrap(s->options.suite, group, e, aad, INFO_SZ, key, ret);
    if (err == KH_OK) {
        memcpy(aad + INFO_SZ, ret, wrap_n);
        memcpy(ret + wrap_n, text, n);
        err = kh_seal(s->options.suite, key, aad, INFO_SZ + wrap_n, ret + wrap_n, n, ret + wrap_n + n);
    }
    explicit_bzero(key, sizeof key);
    return err;
}

bool kh_state_unseal(const kh_states *s, const kh_state_head *h, const kh_box *box, uint32_t piece, uint8_t *p, size_t n,
                     const uint8_t **ret, size_t *ret_n)
{
    uint8_t aad[INFO_SZ + KH_WRAP_MAX_SZ], key[32];
    size_t wrap_n = kh_wrap_sz(s->options.suite), text_n = n - s->over_sz;
    info_of(s, h->height, h->epoch, piece, piece + 1 == h->pieces, aad);
    memcpy(aad + INFO_SZ, p, wrap_n);
    bool good = kh_unwrap(box, aad, INFO_SZ, p, key) &&
                kh_unseal(s->options.suite, key, aad, INFO_SZ + wrap_n, p + wrap_n, text_n, p + wrap_n + text_n);
    explicit_bzero(key, sizeof key);
    *ret = p + wrap_n;
    *ret_n = text_n;
    return good;
}
