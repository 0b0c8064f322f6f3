/* kanhe: the command. It reads its words, asks libkanhe, and prints what comes back; the meaning is the library's. */
#include "commands.h"
#include "print.h"
#include "remote.h"
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GLOBAL_OPTIONS                                                                                                           \
    "--data= --json --wait= --accept-time --connect= --ca= --cert= --key= --timeout= --sign= --sources= --help -h --version "

static void overview(FILE *to)
{
    (void)fputs(
        "kanhe 勘合: trade papers verified, and never financed twice.\n\n"
        "usage: kanhe [--data DIR] [--json] [--wait S] [--accept-time] COMMAND ...\n"
        "       kanhe --connect URL --ca F --cert F --key F [--timeout S] [--json] COMMAND ...\n\n"
        "  --data DIR      the data directory (数据目录); else $KANHE_DATA, else ./kanhe-data\n"
        "  --json          one JSON object a line instead of tables\n"
        "  --wait S        seconds to wait for another command that is writing (10)\n"
        "  --accept-time   go on although the clock jumped\n\n"
        "  --connect URL   ask a hub (枢纽) instead of a directory here: https://ADDRESS:PORT; else $KANHE_CONNECT\n"
        "  --ca F          the authority (PEM) that signed the hub's certificate; else $KANHE_CA, else the system's\n"
        "  --cert F --key F   who asks (PEM): the party's certificate and its key; else $KANHE_CERT, $KANHE_KEY\n"
        "  --timeout S     seconds without any progress after which a hub is given up (10)\n"
        "  --sign F        of a cluster: what changes something is signed here by the party's own key; else $KANHE_SIGN,\n"
        "                  else ID.sign where --key is ID.key and that is there beside it\n"
        "  --sources F     with --sign: how the source's files are read, as conf/sources.conf\n\n"
        "commands (kanhe COMMAND --help explains one):\n",
        to);
    for (size_t i = 0; i < command_cnt; i++) (void)fprintf(to, "  %-18s %s\n", commands[i].name, commands[i].about);
    (void)fputs("\nstart here:\n"
                "  kanhe init\n"
                "  kanhe party add --id 11 --role bank --name \"First Bank\"\n"
                "  kanhe gen declarations --count 1000 --seed 1 -o d.csv && kanhe import d.csv\n"
                "  kanhe verify d.csv --as 11\n\n"
                "exit status: 0 all well; 1 done, but some line was not OK; 2 usage; 3 data directory, system or hub failed\n",
                to);
}

static void help_of(const command *cmd, FILE *to)
{
    (void)fprintf(to, "usage: kanhe %s\n\n%s\n%s", cmd->usage, cmd->about, cmd->help);
}

/* group_help lists the commands that begin with `word`: "finance"; false: none does. */
static bool group_help(const char *word, FILE *to)
{
    size_t n = strlen(word);
    bool any = false;
    for (size_t i = 0; i < command_cnt; i++) {
        if (strncmp(commands[i].name, word, n) != 0 || commands[i].name[n] != ' ') continue;
        if (!any) (void)fprintf(to, "usage: kanhe %s COMMAND ... (kanhe %s COMMAND --help explains one)\n\n", word, word);
        any = true;
        (void)fprintf(to, "  %-18s %s\n", commands[i].name, commands[i].about);
    }
    return any;
}

/* find_command matches the longest name: "finance apply" before "finance". *ret_used: words of the name. */
static const command *find_command(const args *a, size_t *ret_used)
{
    for (size_t used = 2; used > 0; used--) {
        char name[80];
        if (a->word_cnt < used) continue;
        (void)snprintf(name, sizeof name, "%.30s%s%.30s", a->words[0], used > 1 ? " " : "", used > 1 ? a->words[1] : "");
        for (size_t i = 0; i < command_cnt; i++)
            if (strcmp(commands[i].name, name) == 0) {
                *ret_used = used;
                return &commands[i];
            }
    }
    return NULL;
}

/* takes_value: of whatever command: which one it is, is not known yet. */
static bool takes_value(const char *word)
{
    bool takes = args_takes_value(GLOBAL_OPTIONS, word);
    for (size_t i = 0; i < command_cnt && !takes; i++) takes = args_takes_value(commands[i].options, word);
    return takes;
}

/* words_of gathers what is no option and may be the command's name, before the command's options are known. */
static const command *command_of(int argc, char *argv[])
{
    args first = {.words = calloc((size_t)argc + 1, sizeof *first.words)};
    const command *found = NULL;
    size_t used;
    for (int i = 1; first.words != NULL && i < argc && first.word_cnt < 2; i++) {
        if (takes_value(argv[i])) i++;
        else if (argv[i][0] != '-') first.words[first.word_cnt++] = argv[i];
        else if (first.word_cnt > 0) break; /* a name's words stand together */
    }
    if (first.words != NULL) found = find_command(&first, &used);
    free(first.words);
    return found;
}

static int usage_error(const char *what, const command *cmd)
{
    (void)fprintf(stderr, "kanhe: %s\n", what);
    if (cmd != NULL) (void)fprintf(stderr, "usage: kanhe %s\nkanhe %s --help explains it\n", cmd->usage, cmd->name);
    else (void)fprintf(stderr, "kanhe --help lists the commands\n");
    return KH_MISUSE;
}

/* A word that only begins commands (finance, party …) is answered with what may follow it. */
static int no_command(const char *word)
{
    char what[400];
    size_t n = strlen(word), used = 0;
    for (size_t i = 0; i < command_cnt; i++) {
        const char *name = commands[i].name;
        if (strncmp(name, word, n) != 0 || name[n] != ' ' || used + strlen(name) + 40 > sizeof what) continue;
        used += (size_t)snprintf(what + used, sizeof what - used, "%s%s%s", used == 0 ? word : "", used == 0 ? " what? " : ", ",
                                 name + n + 1);
    }
    if (used == 0) (void)snprintf(what, sizeof what, "%.300s: no such command", word);
    return usage_error(what, NULL);
}

static bool wait_of(const char *text, double *ret)
{
    char *end;
    double seconds = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !isfinite(seconds) || seconds < 0 || seconds > 86400) return false;
    *ret = seconds;
    return true;
}

static int run(const command *cmd, const args *given, size_t used, const kh_options *options, const kh_client_options *hub)
{
    kh_result_sink sink = print_begin(args_has(given, "--json"));
    command_context c = {
        .options = options, .sink = &sink, .given = given, .words = given->words + used, .word_cnt = given->word_cnt - used};
    if (cmd->run == command_finance_event && hub == NULL) { /* the event is the last word of the name */
        c.words--;
        c.word_cnt++;
    }
    kh_result result = KH_DONE;
    if (!cmd->no_engine && hub == NULL && kh_engine_new(options, &c.engine) != KH_DONE) {
        (void)snprintf(c.message, sizeof c.message, "out of memory, or the kernel gives no files");
        result = KH_FAILED;
    }
    if (result == KH_DONE && hub != NULL && !cmd->no_engine) result = remote_run(&c, cmd->name, hub);
    else if (result == KH_DONE) result = cmd->run(&c);
    if (!print_end() && result < KH_FAILED) {
        (void)snprintf(c.message, sizeof c.message, "the results could not be written to standard output; what was done is done");
        result = KH_FAILED;
    }
    const char *message = c.message[0] != '\0' || c.engine == NULL ? c.message : kh_message(c.engine);
    if (result == KH_MISUSE && !c.refused) result = (kh_result)usage_error(message, cmd);
    else if (result != KH_DONE && message[0] != '\0') (void)fprintf(stderr, "kanhe: %s\n", message);
    if (c.engine != NULL) kh_engine_close(c.engine);
    return (int)result;
}

/* hold_standard_files: one that the caller closed would become a file of the directory, and be written to. It is held by a thing
 * that can be neither read as input nor written to, so that what goes there still fails. */
static bool hold_standard_files(void)
{
    int fd;
    do fd = open("/dev/null", O_CLOEXEC | O_RDONLY);
    while (fd > STDIN_FILENO && fd <= STDERR_FILENO);
    if (fd == STDIN_FILENO) return close(fd) == 0 && open("/dev/null", O_WRONLY) == fd && hold_standard_files();
    return fd > STDERR_FILENO && close(fd) == 0;
}

int main(int argc, char *argv[])
{
    if (!hold_standard_files()) return KH_FAILED;
    (void)signal(SIGPIPE, SIG_IGN);
    const char *environment = getenv("KANHE_DATA");
    const command *cmd = command_of(argc, argv);
    char known[400];
    (void)snprintf(known, sizeof known, "%s%s", GLOBAL_OPTIONS, cmd != NULL ? cmd->options : "");
    args given;
    bool parsed = args_parse(argc - 1, argv + 1, known, &given);
    size_t used = 0;
    int status = KH_DONE;
    if (parsed && args_has(&given, "--version")) {
        (void)puts("kanhe " KANHE_VERSION);
    } else if (parsed && (args_has(&given, "--help") || args_has(&given, "-h") ||
                          (given.word_cnt > 0 && strcmp(given.words[0], "help") == 0))) {
        if (cmd == NULL && given.word_cnt > 1 && strcmp(given.words[0], "help") == 0) {
            args rest = {.words = given.words + 1, .word_cnt = given.word_cnt - 1};
            cmd = find_command(&rest, &used);
        }
        const char *word = given.word_cnt > 0 ? given.words[given.word_cnt > 1 && strcmp(given.words[0], "help") == 0] : "";
        if (cmd != NULL) help_of(cmd, stdout);
        else if (!group_help(word, stdout)) overview(stdout);
    } else if (cmd == NULL) {
        if (given.word_cnt == 0 && parsed) {
            overview(stderr);
            status = KH_MISUSE;
        } else {
            status = no_command(given.word_cnt > 0 ? given.words[0] : given.wrong);
        }
    } else if (!parsed) {
        status = usage_error(given.wrong, cmd);
    } else {
        const char *dir = args_get(&given, "--data"), *wait = args_get(&given, "--wait");
        char wrong[300];
        kh_client_options hub;
        bool remote = remote_asked(&given, &hub, wrong, sizeof wrong);
        if (dir == NULL) dir = environment != NULL && environment[0] != '\0' ? environment : "kanhe-data";
        kh_options options = kh_options_default(dir);
        options.accept_time = args_has(&given, "--accept-time");
        (void)find_command(&given, &used);
        if (wait != NULL && !wait_of(wait, &options.wait_s)) status = usage_error("--wait takes seconds", cmd);
        else if (wrong[0] != '\0' && !cmd->no_engine) status = usage_error(wrong, cmd);
        else if (remote && cmd->run == command_init)
            status = usage_error("init makes a directory on this machine: leave --connect (or $KANHE_CONNECT) out", cmd);
        else if (!remote && args_has(&given, "--attested")) status = usage_error("--attested goes with --connect", cmd);
        else status = run(cmd, &given, used, &options, remote ? &hub : NULL);
    }
    args_free(&given);
    return status;
}
