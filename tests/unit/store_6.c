/* store_6: directories that begin behind an entry: made from a checkpoint, they answer, audit and go on as the one that it was
 * taken of; a checkpoint that is not what was written makes none. */
#include "store_fixture.h"

typedef struct bytes {
    uint8_t *p;
    size_t n, cap, at;
} bytes;

static kh_err bytes_write(void *ctx, const void *p, size_t n)
{
    bytes *b = ctx;
    if (b->cap - b->n < n) {
        b->cap = 2 * (b->n + n);
        b->p = realloc(b->p, b->cap);
        cr_assert(b->p != NULL);
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return KH_OK;
}

static kh_err bytes_read(void *ctx, void *p, size_t n, size_t *ret_n)
{
    bytes *b = ctx;
    *ret_n = n < b->n - b->at ? n : b->n - b->at;
    if (*ret_n > 4097) *ret_n = 4097; /* as a pipe does */
    memcpy(p, b->p + b->at, *ret_n);
    b->at += *ret_n;
    return KH_OK;
}

static kh_checkpoint export(kh_store *s, bytes *b)
{
    kh_checkpoint c;
    b->n = b->at = 0;
    const kh_checkpoint_sink to = {bytes_write, b};
    cr_assert(kh_store_export(s, 0, &to, &c) == KH_OK);
    return c;
}

static kh_err begin(fixture *f, bytes *b, const char *dir, kh_checkpoint *ret)
{
    const kh_checkpoint_source from = {bytes_read, b};
    b->at = 0;
    return kh_store_begin(&f->options, dir, (const uint8_t *)"another secret..", &from, NULL, NULL, ret, &f->report);
}

static bool same_audit(const kh_audit_result *a, const kh_audit_result *b)
{
    return a->ok && b->ok && a->height == b->height && memcmp(a->log_digest, b->log_digest, 32) == 0 &&
           memcmp(a->digest, b->digest, 32) == 0 && memcmp(a->content_digest, b->content_digest, 32) == 0 &&
           memcmp(a->checkpoint_digest, b->checkpoint_digest, 32) == 0;
}

Test(store_6, a_directory_from_a_checkpoint)
{
    fixture f, g;
    bytes b = {0}, again = {0};
    kh_checkpoint c, d;
    fixture_setup(&f);
    fixture_create(&f);
    g = f;
    snprintf(g.dir, sizeof g.dir, "%s/other", f.root);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 20);
    fixture_reserves(s, 1, 160, 20);
    c = export(s, &b);
    cr_assert(c.number == 11 && c.leaf_cnt != 0 && b.n > 256);
    kh_err err = begin(&f, &b, g.dir, &d);
    cr_assert(err == KH_OK, "%d %s: %s", err, f.report.where, f.report.why);
    cr_assert(memcmp(&c, &d, sizeof c) == 0);
    kh_store *t = fixture_open(&g);
    d = export(t, &again);
    cr_assert(memcmp(&c, &d, sizeof c) == 0 && again.n == b.n && memcmp(again.p, b.p, b.n) == 0, "a checkpoint of the same");
    kh_audit_result x = fixture_audit(&f), y = fixture_audit(&g);
    cr_assert(y.ok, "%s: %s", y.at, y.why);
    cr_assert(same_audit(&x, &y) && x.begins == 0 && y.begins == 11);
    fixture_reserves(s, 161, 64, 20);
    fixture_reserves(t, 161, 64, 20);
    fixture_reserves(s, 1, 64, 20); /* answered before */
    fixture_reserves(t, 1, 64, 20);
    kh_store_close(t);
    t = fixture_open(&g);
    uint64_t height;
    cr_assert(kh_store_snapshot(t, &height) == KH_OK && height == 19);
    kh_store_close(s);
    kh_store_close(t);
    x = fixture_audit(&f), y = fixture_audit(&g);
    cr_assert(y.ok, "%s: %s", y.at, y.why);
    cr_assert(same_audit(&x, &y) && y.height == 19);
    free(b.p);
    free(again.p);
    fixture_teardown(&f);
}
