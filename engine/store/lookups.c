/* lookups: the regulator's own look-ups, one line each, appended to DIR/lookups/log. Outside the ordered log and every digest;
 * written whole by one call, so that commands side by side do not mix their lines; not synced: it outlives the process, not a
 * power cut. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "store/parts.h"

#define TIME_SZ 32u

static kh_err append_private(const kh_home *home, const char *path, const char *line, size_t n)
{
    kh_file *f;
    uint64_t at;
    kh_err err = home->disk->open(home->disk->self, path, KH_OPEN_WRITE | KH_OPEN_CREATE, &f);
    if (err != KH_OK) return err;
    err = home->disk->size(home->disk->self, f, &at);
    if (err == KH_OK) err = home->disk->write(home->disk->self, f, at, line, n);
    home->disk->close(home->disk->self, f);
    return err;
}

kh_err kh_store_lookup_log(kh_store *s, const char *line)
{
    char path[KH_PATH_MAX];
    size_t n = strlen(line);
    char *text = malloc(n + TIME_SZ + 2);
    if (text == NULL) return KH_E_NOMEM;
    int head = snprintf(text, TIME_SZ, "%llu ", (unsigned long long)s->options.clock->now(s->options.clock->self));
    for (size_t i = 0; i < n; i++) text[(size_t)head + i] = line[i] == '\n' || line[i] == '\r' ? ' ' : line[i];
    n += (size_t)head;
    text[n++] = '\n';
    kh_err err = KH_OK;
    (void)kh_home_path(&s->home, "lookups/log", path);
    if (s->home.private_disk) {
        err = append_private(&s->home, path, text, n);
    } else {
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text, n) != (ssize_t)n) err = errno == ENOSPC ? KH_E_NOSPACE : KH_E_IO;
        if (fd >= 0) (void)close(fd);
    }
    free(text);
    return err;
}
