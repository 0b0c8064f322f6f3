/* store: the life of a data directory: made, written, closed, opened again; the lock, readers, the clock, ticks, journals. */
#include "store_fixture.h"
#include <sys/wait.h>

static fixture f;
static void setup(void) { fixture_setup(&f); }
static void teardown(void) { fixture_teardown(&f); }
TestSuite(store, .init = setup, .fini = teardown);

Test(store, create_refuses_what_is_not_empty)
{
    fixture_create(&f);
    cr_assert(kh_store_create(&f.options, f.dir, NULL, &f.report) == KH_E_EXISTS);
    cr_assert(f.report.why[0] != '\0');
    kh_store *s;
    cr_assert(kh_store_open(&f.options, f.root, &f.report, &s) == KH_E_NOT_FOUND);
}

static void round_trip(bool threads)
{
    uint8_t before[32], after[32];
    f.options.inline_engine = !threads;
    f.options.long_running = threads;
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 64);
    fixture_reserves(s, 1, 512, 64);
    cr_assert(kh_store_content_digest(s, before) == KH_OK);
    uint64_t height = kh_store_durable_upto(s), check = kh_ledger_check(kh_store_ledger(s));
    cr_assert(height >= 33);
    kh_store_close(s);
    s = fixture_open(&f);
    cr_assert(kh_store_durable_upto(s) == height);
    cr_assert(kh_store_content_digest(s, after) == KH_OK && memcmp(before, after, 32) == 0);
    cr_assert(kh_ledger_check(kh_store_ledger(s)) == check);
    fixture_reserves(s, 1000, 16, 64);
    kh_store_close(s);
    kh_audit_result r = fixture_audit(&f);
    cr_assert(r.ok, "%s %s", r.at, r.why);
    cr_assert(r.height == height + 1 && r.entries == r.height);
}
Test(store, round_trip_inline) { round_trip(false); }
Test(store, round_trip_threads) { round_trip(true); }

Test(store, frames_that_are_not_whole_are_refused)
{
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    ops_buf b = {0};
    ops_parties(&b);
    uint64_t ticket;
    cr_assert(kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n - 8, .op_cnt = b.cnt}, &ticket) == KH_E_ARG);
    cr_assert(kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt + 1}, &ticket) == KH_E_ARG);
    cr_assert(kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt}, &ticket) == KH_OK);
    cr_assert(kh_store_wait(s, ticket + 1) == KH_E_ARG);
    cr_assert(kh_store_wait(s, ticket) == KH_OK);
    free(b.p);
    kh_store_close(s);
}

Test(store, an_answer_given_before_is_given_whole_again)
{
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 4);
    for (int round = 0; round < 3; round++) { /* in the same entry, in memory, and from the file */
        ops_buf b = {0};
        answers a = {0};
        ops_reserve(&b, 7, 1, 500);
        if (round == 0) ops_reserve(&b, 7, 1, 500);
        cr_assert(fixture_send(s, &b, &a) == KH_OK);
        cr_assert(a.last.code == KH_C_OK && a.last.ref_height == 2 && a.last.financing == 7 && a.last.amount == 500);
        cr_assert(a.last.line_cnt == 1 && a.line.amount == 500);
        free(b.p);
        kh_store_close(s);
        s = fixture_open(&f);
    }
    kh_store_close(s);
}

Test(store, the_lock_names_its_owner)
{
    fixture_create(&f);
    int ready[2], end[2];
    cr_assert(pipe(ready) == 0 && pipe(end) == 0);
    pid_t child = fork();
    if (child == 0) {
        kh_disk disk;
        kh_store *s;
        f.options.disk = &disk;
        char c = kh_host_disk_open(false, &disk) == KH_OK && kh_store_open(&f.options, f.dir, NULL, &s) == KH_OK ? 'y' : 'n';
        if (write(ready[1], &c, 1) != 1 || read(end[0], &c, 1) != 1) _exit(1);
        _exit(0);
    }
    char c = 0;
    kh_store *s;
    cr_assert(read(ready[0], &c, 1) == 1 && c == 'y');
    cr_assert(kh_store_open(&f.options, f.dir, &f.report, &s) == KH_E_BUSY);
    cr_assert(f.report.lock_pid == (uint32_t)child);
    cr_assert(write(end[1], &c, 1) == 1 && waitpid(child, NULL, 0) == child);
    kh_store_close(fixture_open(&f));
}

Test(store, a_daemon_leaves_its_url_in_the_lock)
{
    fixture_create(&f);
    kh_store *w = fixture_open(&f), *other;
    char path[600], longest[KH_STORE_URL_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_assert(kh_store_announce(w, longest) == KH_E_ARG);
    cr_assert(kh_store_announce(w, "https://hub.example.org:8443") == KH_OK);
    cr_assert(kh_store_open(&f.options, f.dir, &f.report, &other) == KH_E_BUSY);
    cr_assert(f.report.lock_pid == (uint32_t)getpid());
    cr_assert(strcmp(f.report.lock_url, "https://hub.example.org:8443") == 0);
    /* What somebody wrote into the file is not passed on unless it is a URL. */
    (void)snprintf(path, sizeof path, "%s/lock", f.dir);
    static const char *const odd[] = {"1\nftp://x\n", "1\nhttps://a b\n", "1\nhttps://\x1b[2J\n", "1 https://x\n",
                                      "1\nhttps://x"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        FILE *lock = fopen(path, "w");
        cr_assert(lock != NULL && fputs(odd[i], lock) >= 0 && fclose(lock) == 0);
        cr_assert(kh_store_open(&f.options, f.dir, &f.report, &other) == KH_E_BUSY && f.report.lock_pid == 1);
        cr_assert(strcmp(f.report.lock_url, i == 4 ? "https://x" : "") == 0);
    }
    kh_store_close(w);
    w = fixture_open(&f); /* the next writer is not taken for that daemon */
    cr_assert(kh_store_open(&f.options, f.dir, &f.report, &other) == KH_E_BUSY && f.report.lock_url[0] == '\0');
    kh_store_close(w);
}

Test(store, a_reader_stands_beside_the_writer)
{
    fixture_create(&f);
    kh_store *w = fixture_open(&f);
    fixture_documents(w, 16);
    fixture_reserves(w, 1, 32, 16);
    fixture one = f;
    cr_assert(kh_host_disk_open(false, &one.disk) == KH_OK);
    one.options.disk = &one.disk;
    one.options.read_only = true;
    kh_store *r = fixture_open(&one);
    uint8_t a[32], b[32];
    cr_assert(kh_store_durable_upto(r) == kh_store_durable_upto(w));
    cr_assert(kh_store_content_digest(w, a) == KH_OK && kh_store_content_digest(r, b) == KH_OK && memcmp(a, b, 32) == 0);
    kh_journal_item *item = malloc(sizeof *item);
    cr_assert(kh_store_journal_read(r, (kh_place){2, 3, 0}, item) == KH_OK && item->receipt.financing == 4);
    free(item);
    kh_store_close(r);
    fixture_reserves(w, 100, 16, 16);
    kh_store_close(w);
    kh_host_disk_close(&one.disk);
}

Test(store, the_clock_is_held_to_its_rules)
{
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 2);
    f.now -= 300 * KH_NS_PER_S; /* a little behind: block time stands still */
    fixture_reserves(s, 1, 1, 2);
    cr_assert(kh_ledger_time(kh_store_ledger(s)) == START_NS);
    f.now = START_NS - 601 * KH_NS_PER_S;
    ops_buf b = {0};
    ops_reserve(&b, 50, 0, 1);
    uint64_t ticket, clock_ns, last_ns;
    cr_assert(kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt}, &ticket) == KH_E_CLOCK);
    kh_store_clock_report(s, &clock_ns, &last_ns);
    cr_assert(clock_ns == f.now && last_ns == START_NS);
    kh_store_close(s);
    f.now = START_NS + UINT64_C(31) * 86400 * KH_NS_PER_S;
    cr_assert(kh_store_open(&f.options, f.dir, &f.report, &s) == KH_E_CLOCK);
    cr_assert(f.report.clock_ns == f.now && f.report.last_ns == START_NS);
    f.options.accept_time = true;
    s = fixture_open(&f);
    cr_assert(fixture_send(s, &b, NULL) == KH_OK);
    cr_assert(kh_ledger_time(kh_store_ledger(s)) == f.now);
    free(b.p);
    kh_store_close(s);
    f.options.accept_time = false;
    kh_store_close(fixture_open(&f));
}

Test(store, a_tick_comes_only_when_something_is_due)
{
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 2);
    fixture_reserves(s, 1, 1, 2);
    uint64_t height = kh_store_durable_upto(s);
    f.now += 86400 * KH_NS_PER_S;
    cr_assert(kh_store_tick(s) == KH_OK && kh_store_durable_upto(s) == height);
    f.now += UINT64_C(2) * 86400 * KH_NS_PER_S + KH_NS_PER_S; /* hold_ttl_applied is 3 days */
    cr_assert(kh_store_tick(s) == KH_OK && kh_store_durable_upto(s) == height + 1);
    cr_assert(kh_store_tick(s) == KH_OK && kh_store_durable_upto(s) == height + 1);
    kh_journal_item *item = malloc(sizeof *item);
    cr_assert(kh_store_journal_read(s, (kh_place){height + 1, 0, 0}, item) == KH_OK);
    cr_assert(item->is_notice && item->notice.type == KH_NOTICE_LAPSED && item->notice.financing == 1);
    free(item);
    kh_store_close(s);
    cr_assert(fixture_audit(&f).ok);
}

static kh_err count_items(void *ctx, const kh_journal_item *item)
{
    (void)item;
    ++*(uint64_t *)ctx;
    return KH_OK;
}

Test(store, journals_are_chained_by_document)
{
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 4);
    fixture_reserves(s, 1, 40, 4);
    for (int round = 0; round < 2; round++) {
        kh_doc_view doc;
        kh_key key = ops_key(1);
        cr_assert(kh_ledger_document(kh_store_read_begin(s), &key, 0, &doc));
        kh_store_read_end(s);
        kh_journal_item *item = malloc(sizeof *item);
        uint32_t n = 0;
        for (kh_place at = doc.last; at.height != 0; at = kh_store_journal_prev(item, 1, &key), n++)
            cr_assert(kh_store_journal_read(s, at, item) == KH_OK);
        cr_assert(n == 11, "%u", n); /* stored, and ten reserves */
        cr_assert(item->receipt.type == KH_OP_DOCUMENT && item->receipt.effect == KH_EFFECT_STORED);
        free(item);
        uint64_t all = 0;
        cr_assert(kh_store_journal_scan(s, 1, count_items, &all) == KH_OK && all == 3 + 4 + 40);
        kh_store_close(s);
        s = fixture_open(&f);
    }
    kh_store_close(s);
}

Test(store, lookups_are_appended)
{
    char path[128];
    fixture_create(&f);
    kh_store *s = fixture_open(&f);
    cr_assert(kh_store_lookup_log(s, "balance\nX") == KH_OK && kh_store_lookup_log(s, "history Y") == KH_OK);
    kh_store_close(s);
    snprintf(path, sizeof path, "%s/lookups/log", f.dir);
    cr_assert(fixture_size(path) == 2 * (19 + 1 + 1) + 9 * 2);
}
