/* main: kanhed's command line. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "app/daemon.h"

static const char usage[] =
    "usage: kanhed --config FILE [--check] [--accept-time]\n"
    "\n"
    "The Kanhe hub (勘合): one data directory, served over HTTPS and sealed datagrams.\n"
    "\n"
    "  --config FILE   the configuration; conf/hub.conf explains every key\n"
    "  --check         read it, say what would be done, and end: 0 well, 2 not\n"
    "  --accept-time   go on although the clock is far from the log's last entry\n"
    "  --version, --help\n"
    "\n"
    "Signals: TERM and INT stop it, nothing is lost; HUP reads certificate and key again, and a cluster's peers, USR1 opens the "
    "log file again.\n"
    "Exit status: 0 stopped as asked, 2 the configuration is wrong, 3 it could not start or its log had failed.\n";

static int misuse(const char *what, const char *word)
{
    fprintf(stderr, "kanhed: %s%s\n%s", what, word, usage);
    return 2;
}

/* hold_standard_files: one that the caller closed would become a file of the data directory, and the log's lines be written
 * there. */
static bool hold_standard_files(void)
{
    int fd;
    do fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd > STDERR_FILENO && close(fd) == 0;
}

int main(int argc, char **argv)
{
    if (!hold_standard_files()) return 3;
    static kh_config config;
    char why[600];
    const char *file = NULL;
    bool check = false, accept_time = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0) return fputs(usage, stdout) >= 0 ? 0 : 3;
        if (strcmp(word, "--version") == 0) return puts("kanhed " KANHE_VERSION) >= 0 ? 0 : 3;
        if (strcmp(word, "--check") == 0) check = true;
        else if (strcmp(word, "--accept-time") == 0) accept_time = true;
        else if (strncmp(word, "--config=", 9) == 0) file = word + 9;
        else if (strcmp(word, "--config") == 0 && i + 1 < argc) file = argv[++i];
        else if (strcmp(word, "--config") == 0) return misuse("--config needs a file", "");
        else return misuse("this is no option of kanhed: ", word);
    }
    if (file == NULL) return misuse("--config FILE is missing", "");
    if (!kh_config_load(file, &config, why, sizeof why)) {
        fprintf(stderr, "kanhed: %s\n", why);
        return 2;
    }
    return check ? kh_daemon_check(&config) : kh_daemon_run(&config, accept_time);
}
