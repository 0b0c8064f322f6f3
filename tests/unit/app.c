/* app: the daemon's configuration, key by key, and its log, line by line. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "process/config.h"
#include "process/logging.h"

#define MINIMUM "data = \"d\"; listen = \"127.0.0.1:0\"; ca = \"ca.pem\"; certificate = \"/etc/c.pem\"; key = \"k.pem\";\n"
static kh_config c;
static char why[400];

static bool parse(const char *text) { return kh_config_parse(text, "/etc/kanhe", "hub.conf", &c, why, sizeof why); }

Test(app, what_is_left_out_has_its_default)
{
    cr_assert(parse(MINIMUM), "%s", why);
    cr_assert_str_eq(c.data, "/etc/kanhe/d");
    cr_assert_str_eq(c.certificate, "/etc/c.pem");
    cr_assert(c.max_connections == 8192 && c.max_connections_per_address == 16 && c.max_body == 8u << 20 && c.sandbox);
    cr_assert_str_eq(c.limits.probe, "10000/100");
    cr_assert(c.datagrams.listen[0] == '\0' && c.user[0] == '\0' && c.log[0] == '\0');
    cr_assert(kh_config_parse(MINIMUM, ".", "hub.conf", &c, why, sizeof why));
    cr_assert_str_eq(c.data, "d");
}

Test(app, every_key_is_read)
{
    cr_assert(
        parse(
            MINIMUM
            "url = \"https://hub.example.org\"; max_connections = 100; max_connections_per_address = 5; idle_s = 7;\n"
            "workers = 3; max_body = 65536; queue = 9; prepare_documents = 4000000000L; prepare_financings = 5; metrics_listen = "
            "\"[::1]:9090\"; openapi = \"o.yaml\";\n"
            "user = \"kanhe\"; log = \"log/kanhed.log\"; log_requests = true; sandbox = false;\n"
            "datagrams = { listen = \"[::1]:8444 , 127.0.0.1:8444\"; trust_peers = true; spin_us = 4294967295L; address = "
            "\"192.0.2.1:8444\"; pollers = 2; cpus = [ 2, 3 ]; dpdk = \"-l 1\"; "
            "max_sessions = 77; session_s = "
            "60; };\n"
            "limits = { probe_limit = \"5/1\"; query_limit = \"off\"; operation_limit = \"9/9\"; address_limit = \"1/1\"; };\n"),
        "%s", why);
    cr_assert(c.max_connections == 100 && c.max_connections_per_address == 5 && c.idle_s == 7 && c.workers == 3 && c.queue == 9);
    cr_assert(c.prepare_documents == 4000000000u && c.prepare_financings == 5);
    cr_assert(c.max_body == 65536 && c.log_requests && !c.sandbox);
    cr_assert(c.datagrams.pollers == 2 && c.datagrams.cpu_cnt == 2 && c.datagrams.cpus[1] == 3 && c.datagrams.max_sessions == 77);
    cr_assert_str_eq(c.datagrams.dpdk, "-l 1");
    cr_assert_str_eq(c.log, "/etc/kanhe/log/kanhed.log");
    cr_assert_str_eq(c.limits.address, "1/1");
}

Test(app, what_is_wrong_is_named_with_its_line)
{
    static const struct {
        const char *more, *says;
    } cases[] = {
        {"lisen = \"127.0.0.1:1\";", "hub.conf:2: there is no key \"lisen\""},
        {"\n\nlimits = { probe = \"1/1\"; };", "hub.conf:4: there is no key \"limits.probe\""},
        {"workers = 0;", "hub.conf:2: \"workers\" is a whole number from 1 to 256"},
        {"workers = \"4\";", "\"workers\" is a whole number"},
        {"workers = 2.5;", "\"workers\" is a whole number"},
        {"workers = -1;", "\"workers\" is a whole number"},
        {"max_body = 99999999999L;", "\"max_body\" is a whole number"},
        {"user = 5;", "\"user\" is a text in quotes"},
        {"user = \"\";", "\"user\" is empty"},
        {"log_requests = 1;", "\"log_requests\" is true or false"},
        {"metrics_listen = \"localhost:1\";", "is an address and a port"},
        {"metrics_listen = \"1.2.3.4:70000\";", "is an address and a port"},
        {"metrics_listen = \"192.168.1.1:9090\";", "may only be a loopback address"},
        {"url = \"http://x\";", "begins with https://"},
        {"limits = 3;", "\"limits\" is a group"},
        {"limits = { query_limit = \"10\"; };", "\"limits.query_limit\" is \"BURST/PER_SECOND\""},
        {"limits = { query_limit = \"0/5\"; };", "\"limits.query_limit\" is \"BURST/PER_SECOND\""},
        {"limits = { query_limit = \"5/0\"; };", "\"limits.query_limit\" is \"BURST/PER_SECOND\""},
        {"limits = { query_limit = \"5/5x\"; };", "\"limits.query_limit\" is \"BURST/PER_SECOND\""},
        {"datagrams = { listen = \"127.0.0.1:1,127.0.0.1:2\"; };", "up to four of one port"},
        {"datagrams = { listen = \"127.0.0.1:1,\"; };", "up to four of one port"},
        {"datagrams = { listen = \"127.0.0.1:1 [::1]:1\"; };", "up to four of one port"},
        {"datagrams = { pollers = 1; };", "the key \"datagrams.listen\" is missing"},
        {"datagrams = { listen = \"127.0.0.1:0\"; cpus = [ ]; };", "\"datagrams.cpus\" is a list"},
        {"datagrams = { listen = \"127.0.0.1:0\"; cpus = [ \"a\" ]; };", "is no processor number"},
        {"datagrams = { listen = \"127.0.0.1:0\"; cpus = [ 1, 2 ]; };", "names 2 processors for 1"},
        {"datagrams = { listen = \"0.0.0.0:8444\"; };", "\"datagrams.address\" tells clients one"},
        {"max_connections = 4;", "is above \"max_connections\""},
        {"data = \"e\";", "hub.conf:2: "},
        {"= 4;", "hub.conf:2: "},
        {"@include \"x\"", "@include is not taken"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1000];
        (void)snprintf(text, sizeof text, "%s%s\n", MINIMUM, cases[i].more);
        cr_assert(!parse(text), "taken: %s", cases[i].more);
        cr_assert(strstr(why, cases[i].says) != NULL, "%s: %s", cases[i].more, why);
    }
    cr_assert(!parse("data = \"d\";") && strstr(why, "the key \"listen\" is missing") != NULL, "%s", why);
    cr_assert(!parse("") && strstr(why, "the key \"data\" is missing") != NULL, "%s", why);
}

Test(app, a_long_text_is_refused)
{
    char text[2000], name[600];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    (void)snprintf(text, sizeof text, MINIMUM "openapi = \"%s\";", name);
    cr_assert(!parse(text) && strstr(why, "characters") != NULL, "%s", why);
}

Test(app, a_file_is_read_relative_to_itself)
{
    char path[] = "/tmp/kanhe-app-XXXXXX", file[64], want[64];
    cr_assert(mkdtemp(path) != NULL);
    (void)snprintf(file, sizeof file, "%s/hub.conf", path);
    (void)snprintf(want, sizeof want, "%s/d", path);
    cr_assert(!kh_config_load(file, &c, why, sizeof why) && strstr(why, "No such file") != NULL);
    FILE *f = fopen(file, "w");
    cr_assert(f != NULL && fputs(MINIMUM, f) >= 0 && fclose(f) == 0);
    cr_assert(kh_config_load(file, &c, why, sizeof why), "%s", why);
    cr_assert_str_eq(c.data, want);
    f = fopen(file, "w");
    cr_assert(f != NULL && fwrite(MINIMUM "\0x", 1, sizeof MINIMUM + 1, f) > 0 && fclose(f) == 0);
    cr_assert(!kh_config_load(file, &c, why, sizeof why) && strstr(why, "NUL") != NULL);
    cr_assert(unlink(file) == 0 && rmdir(path) == 0);
}

Test(app, clients_are_told_where)
{
    static const struct {
        const char *listen, *url;
    } cases[] = {{"127.0.0.1:0", "https://127.0.0.1:99"},
                 {"0.0.0.0:5", "https://localhost:99"},
                 {"[::]:5", "https://localhost:99"},
                 {"[2001:db8::1]:5", "https://[2001:db8::1]:99"}};
    char url[300];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert(parse(MINIMUM));
        (void)snprintf(c.listen, sizeof c.listen, "%s", cases[i].listen);
        kh_config_url(&c, 99, url, sizeof url);
        cr_assert_str_eq(url, cases[i].url);
    }
    (void)snprintf(c.url, sizeof c.url, "https://hub");
    kh_config_url(&c, 99, url, sizeof url);
    cr_assert_str_eq(url, "https://hub");
}

static const char *line(const kh_log_field *fields)
{
    static char text[KH_LOGGING_LINE_MAX + 1];
    size_t n = kh_logging_line(UINT64_C(1763971200123456789), KH_LEVEL_WARNING, "event", fields, text);
    text[n] = '\0';
    return text;
}

Test(app, a_log_line_is_json)
{
    cr_assert_str_eq(line((const kh_log_field[]){{"a", "x", 0}, {"n", NULL, UINT64_MAX}, {0}}),
                     "{\"time\":\"2025-11-24T08:00:00.123Z\",\"level\":\"warning\",\"event\":\"event\",\"a\":\"x\",\"n\":"
                     "18446744073709551615}\n");
    cr_assert(strstr(line((const kh_log_field[]){{"a", "q\"b\\n\nt\x7f", 0}, {0}}), "\"a\":\"q\\\"b\\\\n\\u000at\\u007f\"}") !=
              NULL);
    cr_assert(strstr(line((const kh_log_field[]){{"a",
                                                  "\xff"
                                                  "é\xed\xa0\x80\xe4\xbd",
                                                  0},
                                                 {0}}),
                     "\"a\":\"\\ufffdé\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"}") != NULL);
}

Test(app, a_long_log_line_is_cut_and_still_json)
{
    char *longest = malloc(10000);
    for (size_t cut = 0; cut < 8; cut++) { /* so that the cut falls at each byte of a character */
        memset(longest, 'a', cut);
        longest[cut] = '\0';
        for (size_t i = 0; i < 3000; i++) memcpy(longest + cut + 3 * i, "\xe5\x90\x88", 4);
        const char *text = line((const kh_log_field[]){{"a", longest, 0}, {"b", "never", 0}, {0}});
        size_t n = strlen(text);
        cr_assert(n <= KH_LOGGING_LINE_MAX && n > KH_LOGGING_LINE_MAX - 8);
        cr_assert(strcmp(text + n - 6, "\xe5\x90\x88\"}\n") == 0 && strstr(text, "never") == NULL);
    }
    free(longest);
}

Test(app, too_many_lines_are_counted_and_errors_have_a_reserve)
{
    char path[] = "/tmp/kanhe-app-log-XXXXXX", moved[64], text[KH_LOGGING_LINE_MAX];
    kh_logging *l;
    (void)close(mkstemp(path));
    cr_assert(kh_logging_open(path, -1, -1, &l, why, sizeof why));
    for (int i = 0; i < 5000; i++) KH_LOG(l, KH_LEVEL_INFO, "noise", {"i", NULL, (uint64_t)i});
    KH_LOG(l, KH_LEVEL_ERROR, "seen");
    uint32_t noise = 0, seen = 0, left_out = 0;
    FILE *f = fopen(path, "r");
    while (fgets(text, sizeof text, f) != NULL) {
        noise += strstr(text, "\"noise\"") != NULL;
        seen += strstr(text, "\"seen\"") != NULL;
        left_out += strstr(text, "\"lines_left_out\"") != NULL;
    }
    (void)fclose(f);
    cr_assert(noise >= KH_LOGGING_BURST - KH_LOGGING_RESERVE && noise < 4000 && seen == 1 && left_out >= 1);
    (void)snprintf(moved, sizeof moved, "%s.1", path);
    cr_assert(rename(path, moved) == 0);
    KH_LOG(l, KH_LEVEL_ERROR, "old");
    kh_logging_reopen(l);
    KH_LOG(l, KH_LEVEL_ERROR, "new");
    f = fopen(path, "r");
    cr_assert(f != NULL && fgets(text, sizeof text, f) != NULL && strstr(text, "\"new\"") != NULL);
    (void)fclose(f);
    kh_logging_close(l);
    cr_assert(unlink(path) == 0 && unlink(moved) == 0);
}

Test(app, a_reader_that_does_not_read_is_not_waited_for)
{
    int ends[2], saved = dup(STDERR_FILENO);
    kh_logging *l;
    cr_assert(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    cr_assert(kh_logging_open("", -1, -1, &l, why, sizeof why));
    for (int i = 0; i < 900; i++)
        KH_LOG(
            l, KH_LEVEL_ERROR, "nobody_reads",
            {"filling", "################################################################################################", 0});
    kh_logging_close(l);
    (void)dup2(saved, STDERR_FILENO);
}
