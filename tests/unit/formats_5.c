/* formats_5: hostile text in bounded memory, rows by name, sources' settings, generated lines. */
#include "formats_text.h"
#include "formats/generate.h"

#include <criterion/criterion.h>
#include <sys/resource.h>
#include <unistd.h>

#define HEAD "kind,number,owner_id,currency,amount,date\n"

/* Bytes made on the fly: a head, then `n` times a filling, then a tail. */
typedef struct made {
    const char *head, *filling, *tail;
    uint64_t filling_n, at;
} made;

static kh_err made_read(void *self, void *p, size_t cap, size_t *ret_n)
{
    made *m = self;
    char *to = p;
    size_t n = 0, head_n = strlen(m->head), one_n = strlen(m->filling), tail_n = strlen(m->tail);
    uint64_t fill_end = head_n + m->filling_n * one_n;
    while (n < cap && m->at < fill_end + tail_n) {
        if (m->at < head_n) to[n] = m->head[m->at];
        else if (m->at >= fill_end) to[n] = m->tail[m->at - fill_end];
        else if (one_n == 1) {
            uint64_t run = kh_min64(cap - n, fill_end - m->at);
            memset(to + n, m->filling[0], run);
            n += run;
            m->at += run;
            continue;
        } else to[n] = m->filling[(m->at - head_n) % one_n];
        n++;
        m->at++;
    }
    *ret_n = n;
    return KH_OK;
}

typedef struct tally {
    uint64_t good, refused, last_line;
    char first[4096];
} tally;

static tally read_made(made m)
{
    static kh_item item;
    tally t = {0};
    kh_bytes_source source = {made_read, &m};
    kh_reader *r = NULL;
    kh_err err = kh_reader_open(&source, KH_FORMAT_AUTO, KH_KIND_ANY, NULL, &r);
    cr_assert(err == KH_OK);
    while (kh_reader_next(r, &item, &err)) {
        bool good = item.code == KH_C_OK || item.code == KH_C_CHECK_DIGIT;
        if (t.good + t.refused == 0) text_say_item(&item, t.first, sizeof t.first);
        cr_assert(good || (item.why != NULL && item.raw_n <= 4096));
        t.good += good;
        t.refused += !good;
        t.last_line = item.line;
    }
    cr_assert(err == KH_OK);
    kh_reader_close(r);
    return t;
}

static long memory_kb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

#define GOOD "bill_of_lading,B1,X1,USD,1,\n"

Test(text_hostile, a_line_of_a_gigabyte_is_refused_alone)
{
    long before = memory_kb();
    tally t = read_made((made){HEAD, "x", "\n" GOOD, 1u << 30, 0});
    cr_assert(t.good == 1 && t.refused == 1 && t.last_line == 3);
    t = read_made(
        (made){"{\"number\":\"", "1", "\"}\n{\"kind\":\"receivable\",\"number\":\"1\",\"owner_id\":\"X1\"}\n", 1u << 28, 0});
    cr_assert(t.good == 1 && t.refused == 1 && t.last_line == 2);
    t = read_made((made){HEAD, "x", "", 3u << 20, 0}); /* the last line, without an end */
    cr_assert(t.good == 0 && t.refused == 1);
    cr_assert(memory_kb() - before < (long)(KH_FORMATS_MEMORY >> 10));
}

Test(text_hostile, an_open_quote_before_a_gigabyte)
{
    tally t = read_made((made){HEAD "bill_of_lading,\"B0,X1,USD,1,\n", GOOD, "bill_of_lading,B2,X1,USD,1,\n", 100000, 0});
    cr_assert(t.refused == 1 && t.good == 100001, "%llu good, %llu refused", (unsigned long long)t.good,
              (unsigned long long)t.refused);
    cr_assert(t.last_line == 100003);
}

Test(text_hostile, a_million_errors_and_quotes_that_invite_rescans)
{
    tally t = read_made((made){HEAD, "nonsense\n", GOOD, 1000000, 0});
    cr_assert(t.refused == 1000000 && t.good == 1 && t.last_line == 1000002);
    t = read_made((made){HEAD, "a\",\"\n", "", 1000000, 0}); /* each line opens a quote that the next one closes */
    cr_assert(t.refused > 0 && t.good == 0);
    t = read_made((made){HEAD, "\"\n", "", 1000000, 0});
    cr_assert(t.refused > 0 && t.good == 0);
    t = read_made((made){HEAD, ",", "\n" GOOD, 1000000, 0}); /* a million cells */
    cr_assert(t.refused == 1 && t.good == 1);
    t = read_made((made){"{\"a\":", "[", "\n{\"kind\":\"receivable\",\"number\":\"1\",\"owner_id\":\"X1\"}\n", 900000, 0});
    cr_assert(t.refused == 1 && t.good == 1);
    t = read_made(
        (made){"UNB+UNOC:3'", "UNO+1+1+1+9'", "A'", 1000000, 0}); /* packages without an end are no reason to look for it anew */
    cr_assert(t.refused == 1 && t.good == 0);
}

Test(text_hostile, every_beginning_of_a_file_gives_an_answer)
{
    static const char text[] = "\xEF\xBB\xBFkind,number,owner_id,currency,amount,date,refers_to\nbill_of_lading,\"B\"\"1\",X1,"
                               "USD,1.00,2026-10-01,invoice:7@DE1234\r\n"
                               "receivable,R1,\xE4\xB8\xAD\xE6\x96\x87,USD,1,,\n";
    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *exact = malloc(n + 1); /* so that a byte read too far is seen */
        memcpy(exact, text, n);
        const char *said = text_say(exact, n, KH_KIND_ANY, 0);
        cr_assert(strstr(said, ":") != NULL, "%zu bytes: nothing was said", n);
        free(exact);
    }
}

static kh_err failing_read(void *self, void *p, size_t cap, size_t *ret_n)
{
    text_bytes *b = self;
    if (b->at >= b->n) return KH_E_IO;
    return text_read(self, p, cap, ret_n);
}

Test(text_hostile, a_source_that_fails_is_told_apart_from_its_end)
{
    static char text[200000];
    static kh_item item;
    size_t n = (size_t)sprintf(text, HEAD);
    while (n + sizeof GOOD < sizeof text) n += (size_t)sprintf(text + n, GOOD);
    text_bytes bytes = {text, n, 0, 4096};
    kh_bytes_source source = {failing_read, &bytes};
    kh_reader *r = NULL;
    kh_err err = KH_OK;
    cr_assert(kh_reader_open(&source, KH_FORMAT_AUTO, KH_KIND_ANY, NULL, &r) == KH_OK);
    uint64_t cnt = 0;
    while (kh_reader_next(r, &item, &err)) cnt++;
    cr_assert(err == KH_E_IO && cnt > 0);
    kh_reader_close(r);
}

Test(text_rows, values_by_name)
{
    static const char *const columns[] = {"id", "event", "amount", "expect"};
    static const char text[] = "ID, Event ,amount,extra\n7,accept,,x\n8,\"repay\",12.50,\n9,repay\n";
    text_bytes bytes = {text, sizeof text - 1, 0, 1};
    kh_bytes_source source = {text_read, &bytes};
    kh_rows *rows = NULL;
    kh_row_view row;
    kh_err err = KH_OK;
    cr_assert(kh_rows_open(&source, columns, 4, &rows) == KH_OK);
    cr_assert(kh_rows_next(rows, &row, &err) && row.code == KH_C_OK && row.line == 2);
    cr_assert(kh_text_equal(row.get(&row, "event"), kh_text_of("accept")));
    cr_assert(row.get(&row, "amount").p == NULL && row.get(&row, "expect").p == NULL && row.get(&row, "extra").p == NULL);
    cr_assert(row.raw_n == strlen("7,accept,,x") && memcmp(row.raw, "7,accept,,x", row.raw_n) == 0);
    cr_assert(kh_rows_next(rows, &row, &err) && kh_text_equal(row.get(&row, "amount"), kh_text_of("12.50")));
    cr_assert(kh_rows_next(rows, &row, &err) && row.code == KH_C_FORMAT && row.line == 4 && row.why != NULL);
    cr_assert(!kh_rows_next(rows, &row, &err) && err == KH_OK);
    cr_assert(strstr(kh_rows_warnings(rows)[0], "extra") != NULL && kh_rows_warnings(rows)[1] == NULL);
    kh_rows_close(rows);
}

Test(text_names, documents_as_users_write_them)
{
    kh_document_name name;
    cr_assert(kh_document_name_parse(kh_text_of("invoice:A%2F1%40@NO%20123"), &name));
    cr_assert(name.kind == KH_KIND_INVOICE && name.number_n == 4 && memcmp(name.number, "A/1@", 4) == 0 && name.issuer_n == 6 &&
              memcmp(name.issuer, "NO 123", 6) == 0);
    static const char *const bad[] = {"",           "invoice",    "invoice:",    "nothing:1", "any:1",
                                      "invoice:1@", "invoice:%4", "invoice:%zz", ":1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert(!kh_document_name_parse(kh_text_of(bad[i]), &name), "%s", bad[i]);
}

static void write_file(char path[32], const char *text)
{
    strcpy(path, "/tmp/kh-sources-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

Test(text_feed, settings_of_a_source)
{
    char path[32];
    kh_feed feed = {.source = 9};
    write_file(path, "sources = ( { name = \"a\"; requests_need_notice = true; }, { name = \"b\"; channels = ( { code = \"X\"; "
                     "status = \"exited\"; } ); },\n"
                     "{ name = \"c\"; channels = ( { code = \"X\"; status = \"nonsense\"; } ); } );");
    cr_assert(kh_feed_load(path, "a", &feed) == KH_OK && feed.requests_need_notice && feed.source == 9 && feed.channel_cnt == 5);
    cr_assert(kh_feed_load(path, "b", &feed) == KH_OK && !feed.requests_need_notice && feed.channel_cnt == 1);
    cr_assert(strcmp(feed.channels[0].channel, "X") == 0 && feed.channels[0].status == KH_STATUS_EXITED);
    cr_assert(kh_feed_load(path, "c", &feed) == KH_E_FORMAT && kh_feed_load(path, "d", &feed) == KH_E_NOT_FOUND &&
              feed.channel_cnt == 1);
    unlink(path);
    cr_assert(kh_feed_load(path, "a", &feed) == KH_E_IO);
    write_file(path, "sources = (");
    cr_assert(kh_feed_load(path, "a", &feed) == KH_E_FORMAT);
    unlink(path);
}

Test(text_feed, the_sample_configuration_is_read)
{
    char path[1024];
    kh_feed feed = {0}, usual;
    const char *root = getenv("KH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/conf/sources.conf", root != NULL ? root : ".");
    cr_assert(kh_feed_load(path, "single-window", &feed) == KH_OK);
    kh_feed_default(&usual);
    cr_assert(memcmp(&feed, &usual, sizeof feed) == 0);
    cr_assert(kh_feed_load(path, "customs-declaration-service", &feed) == KH_OK && feed.requests_need_notice);
}

static int by_text(const void *a, const void *b) { return memcmp(a, b, 20); }

/* Every generated paper is read as it is meant, all numbers differ, the owners' check digits are right. */
static void check_generated(kh_generate what, uint64_t cnt)
{
    static kh_item item;
    char *text = malloc(cnt * KH_GENERATE_LINE_MAX + 256), (*numbers)[20] = calloc(cnt, 20);
    size_t n = (size_t)sprintf(text, "%s", kh_generate_header(what));
    for (uint64_t i = 0; i < cnt; i++) n += kh_generate_line(what, cnt, 5, i, text + n);
    text_bytes bytes = {text, n, 0, 0};
    kh_bytes_source source = {text_read, &bytes};
    kh_reader *r = NULL;
    kh_err err = KH_OK;
    uint64_t seen = 0, imports = 0;
    cr_assert(kh_reader_open(&source, KH_FORMAT_AUTO, KH_KIND_ANY, NULL, &r) == KH_OK);
    while (kh_reader_next(r, &item, &err)) {
        const kh_op_document *d = &item.document;
        cr_assert(item.code == KH_C_OK && seen < cnt && d->balance_cnt == 1 && d->balances[0].base > 0 && d->date != 0);
        cr_assert(kh_uscc_check(d->owner), "%.*s", (int)d->owner.n, d->owner.p);
        cr_assert(d->number.n == (what == KH_GENERATE_INVOICES ? 20 : 18));
        memcpy(numbers[seen++], d->number.p, d->number.n);
        imports += d->kind == KH_KIND_IMPORT_DECLARATION;
    }
    cr_assert(seen == cnt);
    cr_assert((imports > 0) == (what == KH_GENERATE_DECLARATIONS));
    qsort(numbers, cnt, 20, by_text);
    for (uint64_t i = 1; i < cnt; i++) cr_assert(memcmp(numbers[i - 1], numbers[i], 20) != 0);
    kh_reader_close(r);
    free(numbers);
    free(text);
}

Test(text_generate, papers_are_sound_and_distinct)
{
    check_generated(KH_GENERATE_DECLARATIONS, 20000);
    check_generated(KH_GENERATE_INVOICES, 20000);
}

/* Far apart too, and not only in a short run. */
Test(text_generate, numbers_far_apart_are_distinct)
{
    for (uint64_t i = 0; i < 100; i++)
        for (uint64_t far = 10; far < KH_GENERATE_MAX; far *= 10) {
            char one[KH_GENERATE_LINE_MAX], other[KH_GENERATE_LINE_MAX], serial[2][24];
            one[kh_generate_line(KH_GENERATE_DECLARATIONS, KH_GENERATE_MAX, 3, i, one)] = 0;
            other[kh_generate_line(KH_GENERATE_DECLARATIONS, KH_GENERATE_MAX, 3, i + far, other)] = 0;
            cr_assert(sscanf(one, "%*[^,],%*9c%23[^,]", serial[0]) == 1 && sscanf(other, "%*[^,],%*9c%23[^,]", serial[1]) == 1);
            cr_assert(strcmp(serial[0], serial[1]) != 0, "%s%s", one, other);
        }
}

Test(text_generate, requests_finance_the_declarations_of_the_same_seed)
{
    for (uint64_t i = 0; i < 1000; i++) {
        char paper[KH_GENERATE_LINE_MAX], request[KH_GENERATE_LINE_MAX], kind[32], number[32], owner[32], currency[8],
            wanted[128];
        paper[kh_generate_line(KH_GENERATE_DECLARATIONS, 1000, 3, i, paper)] = 0;
        request[kh_generate_line(KH_GENERATE_REQUESTS, 1000, 3, i, request)] = 0;
        cr_assert(sscanf(paper, "%31[^,],%31[^,],%31[^,],%7[^,]", kind, number, owner, currency) == 4);
        snprintf(wanted, sizeof wanted, ",%s,%s,%s,,", currency, kind, number);
        cr_assert(strstr(request, wanted) != NULL && strstr(request, owner) != NULL, "%s%s", paper, request);
        cr_assert(strncmp(request, "300000", 6) == 0);
    }
    char again[KH_GENERATE_LINE_MAX], once[KH_GENERATE_LINE_MAX];
    uint32_t n = kh_generate_line(KH_GENERATE_INVOICES, 10, 1, 3, once);
    cr_assert(n == kh_generate_line(KH_GENERATE_INVOICES, 10, 1, 3, again) && memcmp(once, again, n) == 0);
    cr_assert(kh_generate_line(KH_GENERATE_INVOICES, 10, 2, 3, again) != n || memcmp(once, again, n) != 0);
}
