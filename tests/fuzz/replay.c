/* replay: runs a fuzz target over the files and directories that are named, without a fuzzer; every CI run does so. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly as many bytes as the file has, so that a sanitizer sees one read too many. */
static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        perror(path);
        if (f != NULL) fclose(f);
        return 1;
    }
    long size = ftell(f);
    uint8_t *p = malloc(size > 0 ? (size_t)size : 1);
    rewind(f);
    int bad = size < 0 || p == NULL || fread(p, 1, (size_t)size, f) != (size_t)size;
    fclose(f);
    if (bad) perror(path);
    else LLVMFuzzerTestOneInput(p, (size_t)size);
    free(p);
    return bad;
}

static int replay(const char *path, unsigned *cnt)
{
    DIR *dir = opendir(path);
    int bad = 0;
    if (dir == NULL) {
        ++*cnt;
        return replay_file(path);
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char inside[4096];
        if (entry->d_name[0] == '.') continue;
        if (snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name) >= (int)sizeof inside) bad = 1;
        else bad |= replay(inside, cnt);
    }
    closedir(dir);
    return bad;
}

int main(int argc, char **argv)
{
    unsigned cnt = 0;
    int bad = 0;
    for (int i = 1; i < argc; i++) bad |= replay(argv[i], &cnt);
    if (cnt == 0) {
        fprintf(stderr, "no corpus to replay\n");
        return 1;
    }
    printf("%u inputs\n", cnt);
    return bad;
}
