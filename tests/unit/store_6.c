/* store_6: directories that begin behind an entry: made from a checkpoint, they answer, audit and go on as the one that it was
 * taken of; a checkpoint that is not what was written makes none. */
#include "checkpoint_forge.h"
#include "store_fixture.h"

typedef forge_bytes bytes;

static kh_checkpoint export(kh_store *s, bytes *b)
{
    kh_checkpoint c;
    b->n = b->at = 0;
    const kh_checkpoint_sink to = {forge_write, b};
    cr_assert(kh_store_export(s, 0, &to, &c) == KH_OK);
    return c;
}

static kh_err begin(fixture *f, bytes *b, const char *dir, kh_checkpoint *ret)
{
    const kh_checkpoint_source from = {forge_read, b};
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

/* ---- what does not hold ---- */

typedef struct world {
    fixture f;
    bytes stream, body, forged;
    kh_checkpoint head;
    char dir[96];
} world;

static void world_setup(world *w)
{
    *w = (world){.stream = {0}};
    fixture_setup(&w->f);
    fixture_create(&w->f);
    snprintf(w->dir, sizeof w->dir, "%s/other", w->f.root);
    kh_store *s = fixture_open(&w->f);
    fixture_documents(s, 4);
    fixture_reserves(s, 1, 32, 4);
    (void)export(s, &w->stream);
    kh_store_close(s);
    forge_open(&w->stream, &w->head, &w->body);
}

static void world_teardown(world *w)
{
    free(w->stream.p);
    free(w->body.p);
    free(w->forged.p);
    fixture_teardown(&w->f);
}

/* Refused, with a place, and nothing is left behind. */
static void refused(world *w, bytes *b, const char *what, size_t at)
{
    kh_checkpoint c;
    kh_err err = begin(&w->f, b, w->dir, &c);
    cr_assert(err == KH_E_DAMAGED || err == KH_E_VERSION, "%s %zu: %d", what, at, err);
    cr_assert(w->f.report.where[0] != '\0' && w->f.report.why[0] != '\0', "%s %zu", what, at);
    uint32_t n = 0;
    DIR *d = opendir(w->dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
    if (d != NULL) (void)closedir(d);
    cr_assert_eq(n, 0, "%s %zu: something was left", what, at);
}

static void forged_is_refused(world *w, const kh_checkpoint *head, const char *why)
{
    forge_close(head, &w->body, &w->forged);
    refused(w, &w->forged, why, 0);
    cr_assert(strstr(w->f.report.why, why) != NULL, "%s: %s", why, w->f.report.why);
}

Test(store_6, a_damaged_file_is_refused)
{
    world w;
    world_setup(&w);
    size_t n = w.stream.n;
    for (size_t at = 0; at < n; at += at < 256 + 64 ? 1 : 211) {
        w.stream.p[at] ^= 0x04;
        refused(&w, &w.stream, "byte", at);
        w.stream.p[at] ^= 0x04;
    }
    for (size_t cut = 0; cut < n; cut += cut < 330 ? 41 : 1733) {
        w.stream.n = cut;
        refused(&w, &w.stream, "cut at", cut);
    }
    w.stream.n = n;
    cr_assert(forge_write(&w.stream, "x", 1) == KH_OK);
    refused(&w, &w.stream, "longer", n);
    w.stream.n = n;
    kh_checkpoint c;
    cr_assert(begin(&w.f, &w.stream, w.dir, &c) == KH_OK);
    cr_assert(begin(&w.f, &w.stream, w.dir, &c) == KH_E_EXISTS);
    world_teardown(&w);
}

/* Pieces and head made right again: the checkpoint digest and the outcome chain show it. */
Test(store_6, a_forged_body_is_refused)
{
    world w;
    world_setup(&w);
    for (size_t at = 0; at < w.body.n; at += at < 300 ? 7 : 173) {
        w.body.p[at] ^= 0x01;
        forge_close(&w.head, &w.body, &w.forged);
        refused(&w, &w.forged, "byte of the body", at);
        w.body.p[at] ^= 0x01;
    }
    world_teardown(&w);
}

/* All digests made right: then it is another state, said in the one way there is, or it is refused. */
Test(store_6, what_a_leaf_says_twice_has_one_way)
{
    world w;
    uint32_t taken = 0, other = 0;
    world_setup(&w);
    for (size_t at = 8; at < w.head.leaves_sz; at += 24 + at % 5 * 8) {
        kh_checkpoint head = w.head, c;
        bytes again = {0};
        w.body.p[at] ^= 0x01;
        forge_state(&head, &w.body);
        forge_close(&head, &w.body, &w.forged);
        w.body.p[at] ^= 0x01;
        kh_err err = begin(&w.f, &w.forged, w.dir, &c);
        cr_assert(err == KH_OK || err == KH_E_DAMAGED, "byte %zu: %d", at, err);
        other += err == KH_E_DAMAGED && strstr(w.f.report.why, "the state made of the leaves") != NULL;
        if (err != KH_OK) continue;
        fixture g = w.f;
        snprintf(g.dir, sizeof g.dir, "%s", w.dir);
        kh_store *s = fixture_open(&g);
        (void)export(s, &again);
        cr_assert(again.n == w.forged.n && memcmp(again.p, w.forged.p, again.n) == 0, "byte %zu: written otherwise", at);
        kh_store_close(s);
        free(again.p);
        char cmd[160];
        snprintf(cmd, sizeof cmd, "rm -rf %s", w.dir);
        cr_assert(system(cmd) == 0);
        taken++;
    }
    cr_assert(taken != 0 && other != 0, "%u %u", taken, other);
    world_teardown(&w);
}

static uint8_t *last_block(world *w, size_t *ret_n)
{
    kh_block_head h;
    size_t at = w->head.leaves_sz;
    for (;; at += h.size) {
        cr_assert(kh_block_head_read(w->body.p + at, w->body.n - at, &h) == KH_OK);
        if (at + h.size == w->body.n) break;
    }
    *ret_n = h.size;
    return w->body.p + at;
}

Test(store_6, forged_journals_are_refused)
{
    world w;
    world_setup(&w);
    kh_checkpoint head = w.head;
    size_t n;
    uint8_t *block = last_block(&w, &n), *item = block + KH_BLOCK_HEAD_SZ;
    uint8_t *touch = item + KH_ITEM_HEAD_SZ + kh_load32(item + 12);
    /* a link to another outcome that there is: no digest covers it */
    uint32_t was = kh_load32(touch + 8);
    kh_store32(touch + 8, was + 1);
    forge_journals(&head, &w.body);
    cr_assert(memcmp(head.chain, w.head.chain, 32) == 0);
    forged_is_refused(&w, &head, "the links between the outcomes");
    kh_store32(touch + 8, was);
    /* a link forwards */
    kh_store64(touch, kh_load64(touch) + 100);
    forge_journals(&head, &w.body);
    forged_is_refused(&w, &head, "links to one that is not before it");
    kh_store64(touch, kh_load64(touch) - 100);
    /* another operation's number */
    kh_store32(item + 8, 9);
    forge_journals(&head, &w.body);
    forged_is_refused(&w, &head, "order of their operations");
    kh_store32(item + 8, 0);
    /* an outcome's text, with the chain made right in the head: it is not the one that is trusted */
    item[KH_ITEM_HEAD_SZ + 24] ^= 1;
    forge_journals(&head, &w.body);
    forge_close(&head, &w.body, &w.forged);
    const kh_checkpoint_source from = {forge_read, &w.forged};
    kh_checkpoint c;
    cr_assert(kh_store_begin(&w.f.options, w.dir, NULL, &from, w.head.chain, w.head.digest, &c, &w.f.report) == KH_E_DAMAGED);
    cr_assert(strstr(w.f.report.why, "outcome chain is not the one asked for") != NULL);
    item[KH_ITEM_HEAD_SZ + 24] ^= 1;
    head = w.head;
    forge_journals(&head, &w.body);
    cr_assert(memcmp(&head, &w.head, sizeof head) == 0);
    /* a head that is not the journals' */
    head.chain[31] ^= 1;
    forged_is_refused(&w, &head, "the outcome chain of the journals");
    head = w.head;
    head.log_digest[0] ^= 1;
    forged_is_refused(&w, &head, "the log's digest is not the last block's");
    head = w.head;
    head.number++;
    forged_is_refused(&w, &head, "not of the head's entry");
    head = w.head;
    /* the last block left out; its time another; time that goes back */
    w.body.n -= n;
    head.blocks_sz -= n;
    forged_is_refused(&w, &head, "end before the checkpoint's entry");
    w.body.n += n;
    head = w.head;
    kh_store64(block + 24, kh_load64(block + 24) + 1);
    forge_journals(&head, &w.body);
    forged_is_refused(&w, &head, "time is not the last block's");
    kh_store64(block + 24, 1);
    forge_journals(&head, &w.body);
    forged_is_refused(&w, &head, "time goes back");
    world_teardown(&w);
}

Test(store_6, the_digests_asked_for_are_held_against)
{
    world w;
    kh_checkpoint c;
    uint8_t other[32] = {1};
    world_setup(&w);
    const kh_checkpoint_source from = {forge_read, &w.stream};
    w.stream.at = 0;
    cr_assert(kh_store_begin(&w.f.options, w.dir, NULL, &from, w.head.chain, other, &c, &w.f.report) == KH_E_DAMAGED);
    cr_assert(strstr(w.f.report.why, "the checkpoint digest is not") != NULL && access(w.dir, F_OK) != 0);
    w.stream.at = 0;
    cr_assert(kh_store_begin(&w.f.options, w.dir, NULL, &from, w.head.chain, w.head.digest, &c, &w.f.report) == KH_OK);
    world_teardown(&w);
}

/* ---- a directory that begins behind an entry ---- */

Test(store_6, what_nothing_makes_anew_must_be_there)
{
    static const char *const lost[] = {"start", "journal/table", "journal/blocks", "image/0000000000000003.img"};
    world w;
    char cmd[400];
    kh_checkpoint c;
    world_setup(&w);
    fixture g = w.f;
    snprintf(g.dir, sizeof g.dir, "%s", w.dir);
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        cr_assert(begin(&w.f, &w.stream, w.dir, &c) == KH_OK && c.number == 3);
        snprintf(cmd, sizeof cmd, "cd %s && test -f %s && mv %s kept", w.dir, lost[i], lost[i]);
        cr_assert(system(cmd) == 0);
        kh_store *s = NULL;
        for (int pass = 0; pass < 2; pass++) {
            g.options.read_only = pass == 0;
            kh_err err = kh_store_open(&g.options, g.dir, &g.report, &s);
            cr_assert(err == KH_E_DAMAGED || err == KH_E_NOT_FOUND, "%s: %d", lost[i], err);
            cr_assert(g.report.why[0] != '\0');
        }
        snprintf(cmd, sizeof cmd, "cd %s && mv kept %s", w.dir, lost[i]);
        cr_assert(system(cmd) == 0);
        if (strcmp(lost[i], "journal/table") != 0 && strcmp(lost[i], "journal/blocks") != 0)
            cr_assert(fixture_audit(&g).ok, "%s: nothing was written meanwhile", lost[i]);
        snprintf(cmd, sizeof cmd, "rm -rf %s", w.dir);
        cr_assert(system(cmd) == 0);
    }
    world_teardown(&w);
}

Test(store_6, the_audit_sees_what_lies_before_the_start)
{
    static const char *const files[] = {"journal/blocks", "journal/table", "image/0000000000000003.img", "start"};
    world w;
    char path[200];
    kh_checkpoint c;
    world_setup(&w);
    fixture g = w.f;
    snprintf(g.dir, sizeof g.dir, "%s", w.dir);
    cr_assert(begin(&w.f, &w.stream, w.dir, &c) == KH_OK && fixture_audit(&g).ok);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", w.dir, files[i]);
        off_t step = fixture_size(path) / 7 + 1;
        for (off_t at = 5; at < fixture_size(path); at += step) {
            fixture_flip(path, at);
            cr_assert(!fixture_audit(&g).ok, "%s, byte %d", files[i], (int)at);
            fixture_flip(path, at);
        }
    }
    cr_assert(fixture_audit(&g).ok);
    world_teardown(&w);
}

/* The image that it begins with stays, whatever newer ones there are; nothing is taken back behind it. */
Test(store_6, the_first_image_stays)
{
    world w;
    char path[200];
    kh_checkpoint c;
    uint64_t height;
    uint8_t digest[32];
    world_setup(&w);
    fixture g = w.f;
    snprintf(g.dir, sizeof g.dir, "%s", w.dir);
    cr_assert(begin(&w.f, &w.stream, w.dir, &c) == KH_OK);
    kh_store *s = fixture_open(&g);
    for (uint64_t i = 0; i < 4; i++) {
        fixture_reserves(s, 100 + 16 * i, 16, 4);
        cr_assert(kh_store_snapshot(s, &height) == KH_OK && height == 4 + i);
    }
    snprintf(path, sizeof path, "%s/image/%016x.img", w.dir, 3);
    cr_assert(access(path, F_OK) == 0);
    snprintf(path, sizeof path, "%s/image/%016x.img", w.dir, 5);
    cr_assert(access(path, F_OK) != 0);
    cr_assert(kh_store_checkpoint_at(s, 3, digest) == KH_OK && memcmp(digest, c.digest, 32) == 0);
    cr_assert(kh_store_checkpoint_at(s, 2, digest) == KH_E_NOT_FOUND && kh_store_go_back(s, 2) == KH_E_ARG);
    cr_assert(kh_store_go_back(s, 3) == KH_OK);
    kh_store_close(s);
    s = fixture_open(&g);
    cr_assert(kh_store_durable_upto(s) == 3);
    bytes again = {0};
    (void)export(s, &again);
    cr_assert(again.n == w.stream.n && memcmp(again.p, w.stream.p, again.n) == 0);
    free(again.p);
    kh_store_close(s);
    cr_assert(fixture_audit(&g).ok);
    world_teardown(&w);
}

/* Of a running engine: the checkpoint of any entry that an image lies before, beside those who write on. */
Test(store_6, a_running_engine_gives_that_of_an_earlier_entry)
{
    world w;
    kh_checkpoint c;
    world_setup(&w);
    w.f.options.inline_engine = false;
    w.f.options.long_running = true;
    kh_store *s = fixture_open(&w.f);
    fixture_reserves(s, 100, 64, 4);
    const kh_checkpoint_sink to = {forge_write, &w.forged};
    cr_assert(kh_store_export(s, 3, &to, &c) == KH_OK);
    cr_assert(w.forged.n == w.stream.n && memcmp(w.forged.p, w.stream.p, w.forged.n) == 0);
    cr_assert(kh_store_export(s, 99, &to, &c) == KH_E_NOT_FOUND);
    w.forged.n = 0;
    cr_assert(kh_store_export(s, 0, &to, &c) == KH_OK && c.number == 7);
    kh_store_close(s);
    cr_assert(begin(&w.f, &w.forged, w.dir, &c) == KH_OK);
    world_teardown(&w);
}

/* The format itself: what was written stays readable, and is written again so. */
Test(store_6, golden_bytes)
{
    const char *root = getenv("KH_SOURCE_ROOT");
    char path[4000];
    world w;
    kh_checkpoint c;
    static uint8_t golden[65536];
    world_setup(&w);
    snprintf(path, sizeof path, "%s/tests/golden/checkpoint_v1/checkpoint", root != NULL ? root : ".");
    FILE *f = fopen(path, "rb");
    cr_assert(f != NULL, "%s", path);
    bytes old = {.p = golden, .n = fread(golden, 1, sizeof golden, f)};
    (void)fclose(f);
    kh_err err = begin(&w.f, &old, w.dir, &c);
    cr_assert(err == KH_OK, "%s: %s", w.f.report.where, w.f.report.why);
    cr_assert(old.n == w.stream.n && memcmp(old.p, w.stream.p, old.n) == 0, "written otherwise");
    world_teardown(&w);
}
