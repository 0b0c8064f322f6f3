/* check_floors: holds the #include lines of engine/, include/ and tools/ against the plan of floors (docs/ARCHITECTURE.md).
 *
 * check_floors ROOT: prints each wrong arrow as FILE:LINE and ends with 1 if there is any. A module may include its own headers
 * and those of the modules that its row names; a library's headers only where the row names the library; everything may use libc.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct module {
    const char *name, *modules, *libraries; /* words between blanks, as include prefixes */
} module;

static const module floors[] = {
    {"base", " ", " xxhash "},
    {"mem", " base ", " "},
    {"crypto", " base ", " openssl/ intel-ipsec-mb "},
    {"host", " base ", " liburing "},
    {"doc", " base crypto ", " "},
    {"wire", " base doc ", " "},
    {"index", " base mem doc ", " urcu urcu/ urcu-qsbr "},
    {"formats", " base doc wire ", " libxml/ libconfig iconv "},
    {"ledger", " base mem doc wire index ", " "},
    {"log", " base mem crypto wire ", " zstd "},
    {"abci", " base ", " "},
    {"proof", " base crypto ", " jansson "},
    {"link", " base crypto ", " openssl/ "},
    {"order", " base crypto doc wire ", " "},
    {"attest", " base crypto doc wire ", " "},
    {"kept", " base crypto order store ", " "},
    {"states", " base crypto order attest store kept ", " "},
    {"cluster", " base crypto log order attest ", " "},
    {"hub", " crypto store kept states cluster ", " "},
    {"view", " base crypto store kept cluster ", " "},
    {"store", " base mem crypto wire index ledger log ", " "},
    {"service", " base mem crypto host doc wire index ledger log store ", " "},
    {"embed", " base mem host doc wire formats log store service ledger index crypto proof order attest view kanhe ", " "},
    {"http", " base doc wire ledger service kanhe ", " microhttpd gnutls jansson "},
    {"app", " base proof service embed ingest http process member kanhe ", " iconv "},
    {"process", " base service ", " libconfig seccomp "},
    {"member", " base host crypto ledger http abci proof link order attest kept states cluster hub view process ",
     " jansson curl/ "},
    {"client", " base host crypto doc wire formats log order kanhe ", " curl/ openssl/ jansson "},
    {"ingest", " base host service wire ", " rte "},
    {"kanhe", " kanhe ", " "},
};
/* Libraries whose headers must be looked for: anything else between <> is libc or the compiler's. */
static const char *const libraries[] = {"xxhash",     "jemalloc/", "openssl/",       "liburing", "urcu", "libxml/",
                                        "jansson",    "curl/",     "libconfig",      "iconv",    "zstd", "rte_",
                                        "microhttpd", "gnutls/",   "intel-ipsec-mb", "seccomp"};

static int wrong;

static const module *module_of(const char *name)
{
    for (size_t i = 0; i < sizeof floors / sizeof floors[0]; i++)
        if (strcmp(floors[i].name, name) == 0) return &floors[i];
    return NULL;
}

static bool names(const char *words, const char *word, size_t n)
{
    for (const char *at = words; (at = strstr(at, " ")) != NULL && at[1] != '\0'; at++)
        if (strncmp(at + 1, word, n) == 0 && at[1 + n] == ' ') return true;
    return false;
}

static void check_ours(const module *m, const char *path, int line, const char *target)
{
    const char *slash = strchr(target, '/');
    size_t n = slash != NULL ? (size_t)(slash - target) : 0;
    if (n == 0 || (strlen(m->name) == n && strncmp(m->name, target, n) == 0) || names(m->modules, target, n)) return;
    printf("%s:%d: %s may not include \"%s\"\n", path, line, m->name, target);
    wrong++;
}

static void check_library(const module *m, const char *path, int line, const char *target)
{
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        size_t n = strlen(libraries[i]);
        if (strncmp(target, libraries[i], n) != 0) continue;
        size_t stem = strcspn(libraries[i], "_/");
        char word[32];
        (void)snprintf(word, sizeof word, " %.*s", (int)stem, libraries[i]);
        if (strstr(m->libraries, word) == NULL) {
            printf("%s:%d: %s may not use <%s>\n", path, line, m->name, target);
            wrong++;
        }
    }
}

static void check_file(const module *m, const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) return;
    char text[1024];
    for (int line = 1; fgets(text, sizeof text, f) != NULL; line++) {
        char target[512];
        if (sscanf(text, " # include \"%511[^\"]\"", target) == 1) check_ours(m, path, line, target);
        else if (sscanf(text, " # include <%511[^>]>", target) == 1) check_library(m, path, line, target);
    }
    fclose(f);
}

static void check_folder(const module *m, const char *folder)
{
    DIR *d = opendir(folder);
    if (d == NULL) return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (n < 3 || (strcmp(e->d_name + n - 2, ".c") != 0 && strcmp(e->d_name + n - 2, ".h") != 0)) continue;
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        check_file(m, path);
    }
    closedir(d);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: check_floors ROOT\n", stderr);
        return 2;
    }
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s/engine", argv[1]);
    DIR *d = opendir(folder);
    if (d == NULL) {
        fprintf(stderr, "check_floors: %s cannot be read\n", folder);
        return 3;
    }
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.' || strchr(e->d_name, '.') != NULL) continue;
        (void)snprintf(folder, sizeof folder, "%s/engine/%s", argv[1], e->d_name);
        const module *m = module_of(e->d_name);
        if (m != NULL) check_folder(m, folder);
        else printf("%s: a module that the plan does not name\n", folder), wrong++;
    }
    closedir(d);
    (void)snprintf(folder, sizeof folder, "%s/include/kanhe", argv[1]);
    check_folder(module_of("kanhe"), folder);
    (void)snprintf(folder, sizeof folder, "%s/tools/kanhe", argv[1]);
    check_folder(&(module){"the command", " kanhe ", " "}, folder);
    if (wrong == 0) puts("every include follows the floors");
    return wrong != 0;
}
