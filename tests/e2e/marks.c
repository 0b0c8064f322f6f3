/* marks: which of some byte strings stand in the memory of a process or in the files below a folder.
 *
 *   marks PATTERNS pid:N|tree:FOLDER ...   PATTERNS: {length 4, bytes} after one another, each of 8 bytes or more
 *
 * A line "NUMBER PLACE" for each string and thing, once; at the end "read BYTES". Of memory the pages that are there are read,
 * whoever has forbidden it: it takes root. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATTERNS_MAX = 4096, PATTERN_MAX = 1024, PAGE = 4096, PIECE = 1 << 20, SLOTS = 1 << 16 };

static struct {
    uint32_t n, next; /* next with the same slot, from 1 */
    const uint8_t *p;
    unsigned seen; /* in the thing of this number */
} patterns[PATTERNS_MAX];
static uint32_t pattern_cnt, slots[SLOTS];
static unsigned thing;
static uint64_t total;
static uint8_t buf[PATTERN_MAX + PIECE];
static size_t held; /* bytes that stay from the piece before */

static uint32_t slot_of(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return (uint32_t)((x * 0x9E3779B97F4A7C15u) >> 48);
}

static void read_patterns(const char *path)
{
    static uint8_t bytes[PATTERNS_MAX * 64];
    FILE *f = fopen(path, "rb");
    size_t n = f != NULL ? fread(bytes, 1, sizeof bytes, f) : 0;
    for (size_t at = 0; at + 4 <= n && pattern_cnt < PATTERNS_MAX; pattern_cnt++) {
        uint32_t sz;
        memcpy(&sz, bytes + at, 4);
        if (sz < 8 || sz > PATTERN_MAX || sz > n - at - 4) break;
        patterns[pattern_cnt].n = sz;
        patterns[pattern_cnt].p = bytes + at + 4;
        uint32_t *slot = &slots[slot_of(bytes + at + 4)];
        patterns[pattern_cnt].next = *slot;
        *slot = pattern_cnt + 1;
        at += 4 + sz;
    }
    if (f == NULL || n == sizeof bytes || pattern_cnt == 0) {
        fprintf(stderr, "marks: %s is no list of patterns\n", path);
        exit(2);
    }
    (void)fclose(f);
}

/* n bytes stand behind those that are held. */
static void search(size_t n, const char *where)
{
    size_t all = held + n;
    total += n;
    for (size_t at = 0; at + 8 <= all; at++)
        for (uint32_t i = slots[slot_of(buf + at)]; i != 0; i = patterns[i - 1].next) {
            if (patterns[i - 1].seen == thing || patterns[i - 1].n > all - at ||
                memcmp(buf + at, patterns[i - 1].p, patterns[i - 1].n) != 0)
                continue;
            patterns[i - 1].seen = thing;
            printf("%u %s\n", i - 1, where);
        }
    held = all < PATTERN_MAX - 1 ? all : PATTERN_MAX - 1;
    memmove(buf, buf + all - held, held);
}

static int search_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)at;
    if (kind != FTW_F || !S_ISREG(st->st_mode)) return 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    held = 0;
    thing++;
    for (ssize_t n; fd >= 0 && (n = read(fd, buf + held, PIECE)) > 0;) search((size_t)n, path);
    if (fd >= 0) (void)close(fd);
    return 0;
}

/* The pages of [from, to) that are in memory, or were swapped out. */
static void search_region(int memory, int pagemap, uint64_t from, uint64_t to, const char *where)
{
    static uint64_t pages[PIECE / PAGE];
    held = 0;
    for (uint64_t at = from; at < to;) {
        size_t n = to - at < PIECE ? to - at : PIECE;
        ssize_t got = pread(pagemap, pages, n / PAGE * 8, (off_t)(at / PAGE * 8));
        size_t cnt = got > 0 ? (size_t)got / 8 : 0, run = 0;
        for (size_t i = 0; i < cnt; i += run != 0 ? run : 1) {
            for (run = 0; i + run < cnt && pages[i + run] >> 62 != 0; run++) {}
            ssize_t had = run != 0 ? pread(memory, buf + held, run * PAGE, (off_t)(at + i * PAGE)) : 0;
            if (had > 0) search((size_t)had, where);
            else held = 0;
        }
        at += n;
    }
}

static void search_process(const char *pid)
{
    char path[64], line[512], where[600], name[256], mode[8];
    unsigned long long from, to;
    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    int memory = open(path, O_RDONLY);
    snprintf(path, sizeof path, "/proc/%s/pagemap", pid);
    int pagemap = open(path, O_RDONLY);
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    FILE *maps = fopen(path, "r");
    if (memory < 0 || pagemap < 0 || maps == NULL) {
        fprintf(stderr, "marks: the memory of %s: %s\n", pid, strerror(errno));
        exit(3);
    }
    thing++;
    while (fgets(line, sizeof line, maps) != NULL) {
        name[0] = '\0';
        if (sscanf(line, "%llx-%llx %7s %*s %*s %*s %255[^\n]", &from, &to, mode, name) < 3 || mode[0] != 'r' ||
            strncmp(name, "[v", 2) == 0)
            continue;
        snprintf(where, sizeof where, "%s:%llx %s", pid, from, name);
        search_region(memory, pagemap, from, to, where);
    }
    (void)fclose(maps);
    (void)close(memory);
    (void)close(pagemap);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    read_patterns(argv[1]);
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "pid:", 4) == 0) search_process(argv[i] + 4);
        else if (strncmp(argv[i], "tree:", 5) != 0 || nftw(argv[i] + 5, search_file, 64, FTW_PHYS) != 0) return 2;
    }
    printf("read %llu\n", (unsigned long long)total);
    return 0;
}
