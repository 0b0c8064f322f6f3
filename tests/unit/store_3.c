/* store, consent: grants, look-ups and the risk list through journals, images, replay and audit; an image from before them. */
#include "store/parts.h"
#include "store_fixture.h"

static fixture f;
static void setup(void) { fixture_setup(&f); }
static void teardown(void) { fixture_teardown(&f); }
TestSuite(store_consent, .init = setup, .fini = teardown);

#define FIRST_NEW_REGION 33

static kh_code one(kh_store *s, const kh_op *op)
{
    ops_buf b = {0};
    static answers a;
    a = (answers){0};
    ops_add(&b, op);
    cr_assert(fixture_send(s, &b, &a) == KH_OK && a.n == 1);
    free(b.p);
    return a.codes[0];
}

static kh_code grant(kh_store *s, uint64_t id)
{
    return one(s, &(kh_op){.type = KH_OP_GRANT,
                           .party = OPS_ENTERPRISE,
                           .grant = {id, 0, UINT64_MAX, OPS_ENTERPRISE, OPS_BANK, KH_SCOPE_CREDIT}});
}
static kh_code look(kh_store *s, uint64_t id)
{
    return one(s,
               &(kh_op){.type = KH_OP_CREDIT_LOOKUP, .party = OPS_BANK, .credit_lookup = {id, OPS_ENTERPRISE, KH_SCOPE_CREDIT}});
}
static kh_code list(kh_store *s, const char *subject)
{
    return one(
        s,
        &(kh_op){.type = KH_OP_RISK_ADD, .party = OPS_BANK, .risk_add = {kh_risk_subject(kh_text_of(subject)), KH_RISK_FRAUD}});
}

/* The look-ups that stand in the enterprise's chain. */
static uint32_t filed(kh_store *s)
{
    kh_journal_item *item = malloc(sizeof *item);
    kh_party_view party;
    kh_key key = {{0}};
    uint32_t n = 0;
    kh_store32(key.b, OPS_ENTERPRISE);
    cr_assert(kh_ledger_party(kh_store_read_begin(s), OPS_ENTERPRISE, &party));
    kh_store_read_end(s);
    for (kh_place at = party.last; at.height != 0; at = kh_store_journal_prev(item, 2, &key)) {
        cr_assert(kh_store_journal_read(s, at, item) == KH_OK);
        if (!item->is_notice || item->notice.type != KH_NOTICE_LOOKUP) continue;
        cr_assert(item->notice.party == OPS_ENTERPRISE && item->notice.version == OPS_BANK && item->notice.financing == 1);
        n++;
    }
    free(item);
    return n;
}

static void audit(void)
{
    kh_audit_result r = fixture_audit(&f);
    cr_assert(r.ok, "%s %s", r.at, r.why);
}

Test(store_consent, kept_by_images_and_by_replay)
{
    uint64_t height;
    kh_grant_view g;
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 8);
    cr_assert(grant(s, 1) == KH_C_OK && look(s, 1) == KH_C_OK && list(s, "A1") == KH_C_OK);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    cr_assert(grant(s, 2) == KH_C_OK && look(s, 1) == KH_C_OK && list(s, "A2") == KH_C_OK && look(s, 3) == KH_C_NO_CONSENT);
    cr_assert(one(s, &(kh_op){.type = KH_OP_GRANT_REVOKE, .grant_revoke = {1, OPS_ENTERPRISE}}) == KH_C_OK);
    uint64_t check = kh_ledger_check(kh_store_ledger(s));
    uint8_t content[32], again[32];
    cr_assert(kh_store_content_digest(s, content) == KH_OK);
    kh_store_close(s);
    for (int way = 0; way < 4; way++) { /* mapped, loaded, by a reader, from nothing */
        f.options.long_running = way == 1;
        f.options.read_only = way == 2;
        if (way == 3) {
            char path[160];
            snprintf(path, sizeof path, "%s/image/%016llx.img", f.dir, (unsigned long long)height);
            cr_assert(unlink(path) == 0);
        }
        s = fixture_open(&f);
        cr_assert(f.report.image_height == (way == 3 ? 0 : height));
        const kh_ledger *l = kh_store_ledger(s);
        cr_assert(kh_ledger_check(l) == check && kh_ledger_verify_invariants(l) == NULL);
        cr_assert(kh_store_content_digest(s, again) == KH_OK && memcmp(content, again, 32) == 0);
        cr_assert(kh_ledger_grant(l, OPS_ENTERPRISE, 1, &g) && g.state == KH_GRANT_REVOKED);
        cr_assert(kh_ledger_grant(l, OPS_ENTERPRISE, 2, &g) && g.state == KH_GRANT_OPEN);
        cr_assert(filed(s) == 2);
        kh_store_close(s);
        audit();
    }
}

Test(store_consent, own_and_replayed_images_are_the_same_bytes)
{
    uint64_t height, again;
    char path[160], kept[160], command[400];
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 8);
    for (uint64_t id = 1; id <= 100; id++) {
        char subject[16];
        snprintf(subject, sizeof subject, "S%u", (unsigned)id);
        cr_assert(grant(s, id) == KH_C_OK && list(s, subject) == KH_C_OK);
    }
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    kh_store_close(s);
    snprintf(path, sizeof path, "%s/image/%016llx.img", f.dir, (unsigned long long)height);
    snprintf(kept, sizeof kept, "%s/kept", f.root);
    cr_assert(rename(path, kept) == 0);
    f.options.inline_engine = false;
    s = fixture_open(&f);
    cr_assert(kh_store_snapshot(s, &again) == KH_OK && again == height);
    kh_store_close(s);
    snprintf(command, sizeof command, "cmp -s %s %s", path, kept);
    cr_assert(system(command) == 0);
}

/* An image as it was before there were grants: its manifest ends with region 32. */
static void make_old(const char *path)
{
    off_t size = fixture_size(path);
    uint8_t *p = malloc((size_t)size);
    kh_manifest *m = malloc(sizeof *m);
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && read(fd, p, (size_t)size) == size && kh_manifest_decode(p, m) == KH_OK);
    uint64_t end = m->regions[FIRST_NEW_REGION].offset, chunks = end / KH_CHUNK_SZ - 1,
             table_sz = (chunks * 8 + 4095) & ~UINT64_C(4095);
    uint8_t *table = calloc(1, table_sz);
    memcpy(table, p + m->table_offset, chunks * 8);
    for (uint32_t i = FIRST_NEW_REGION; i < KH_REGION_MAX; i++) m->regions[i] = (kh_image_region){0, 0, end, 0};
    m->chunk_cnt = chunks;
    m->table_offset = end;
    m->file_sz = end + table_sz;
    kh_sha256(table, table_sz, m->table_digest);
    kh_manifest_encode(m, p);
    cr_assert(pwrite(fd, p, KH_CHUNK_SZ, 0) == KH_CHUNK_SZ && pwrite(fd, table, table_sz, (off_t)end) == (ssize_t)table_sz);
    cr_assert(ftruncate(fd, (off_t)(end + table_sz)) == 0);
    close(fd);
    free(table);
    free(m);
    free(p);
}

Test(store_consent, an_image_from_before_there_were_grants_opens)
{
    uint64_t height;
    char path[160];
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 8);
    fixture_reserves(s, 1, 32, 8);
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    uint64_t check = kh_ledger_check(kh_store_ledger(s));
    kh_store_close(s);
    snprintf(path, sizeof path, "%s/image/%016llx.img", f.dir, (unsigned long long)height);
    make_old(path);
    audit();
    for (int way = 0; way < 2; way++) { /* mapped, loaded: no replay, and what is new is empty */
        f.options.long_running = way == 1;
        s = fixture_open(&f);
        cr_assert(f.report.image_height == height && f.report.tail_ops == (way == 0 ? 0 : 3), "%s", f.report.why);
        if (way == 0) cr_assert(kh_ledger_check(kh_store_ledger(s)) == check);
        cr_assert(grant(s, 1) == KH_C_OK && look(s, 1) == KH_C_OK && list(s, "A1") == KH_C_OK);
        cr_assert(kh_ledger_verify_invariants(kh_store_ledger(s)) == NULL);
        kh_store_close(s);
        audit();
    }
    f.options.long_running = false;
    s = fixture_open(&f);
    check = kh_ledger_check(kh_store_ledger(s));
    cr_assert(kh_store_snapshot(s, &height) == KH_OK);
    kh_store_close(s);
    s = fixture_open(&f);
    cr_assert(f.report.image_height == height && kh_ledger_check(kh_store_ledger(s)) == check && filed(s) == 2);
    kh_store_close(s);
    audit();
}
