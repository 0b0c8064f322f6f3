/* print_csv: see print_csv.h. RFC 4180. */
#include "print_csv.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const kh_result_field *field(const kh_result_row *row, const char *name)
{
    static const kh_result_field none = {.type = KH_FIELD_NULL};
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (strcmp(row->fields[i].name, name) == 0) return &row->fields[i];
    return &none;
}

static const char *text_of(const kh_result_row *row, const char *name)
{
    const kh_result_field *f = field(row, name);
    return (f->type == KH_FIELD_TEXT || f->type == KH_FIELD_WORDS) && f->text != NULL ? f->text : "";
}

static void number_if_any(FILE *f, const kh_result_field *number)
{
    if (number->type == KH_FIELD_NUMBER) (void)fprintf(f, "%llu", (unsigned long long)number->number);
}

static unsigned long long number_of(const kh_result_row *row, const char *name) { return field(row, name)->number; }

static void quoted(FILE *f, const char *text)
{
    (void)fputc('"', f);
    for (; *text != '\0'; text++) {
        if (*text == '"') (void)fputc('"', f);
        (void)fputc(*text, f);
    }
    (void)fputc('"', f);
}

static void quoted_if_needed(FILE *f, const char *text)
{
    if (strpbrk(text, "\",\r\n") != NULL) quoted(f, text);
    else (void)fputs(text, f);
}

static void pass_progress(void *ctx, const char *what, uint64_t done, uint64_t of)
{
    const csv_out *c = ctx;
    if (c->next->progress != NULL) c->next->progress(c->next->ctx, what, done, of);
}

/* ---- verdicts ---- */

static void verdicts_head(csv_out *c)
{
    if (c->begun) return;
    c->begun = true;
    if (ftruncate(fileno(c->f), 0) != 0) clearerr(c->f); /* a pipe or device has no length */
    (void)fputs("line,kind,number,issuer,code,name,mismatch,status,currency,free,version,as_of,watermark\n", c->f);
}

static void on_verdict(void *ctx, const kh_result_row *row)
{
    csv_out *c = ctx;
    c->next->row(c->next->ctx, row);
    if (strcmp(row->what, "verdict") != 0) return;
    verdicts_head(c);
    (void)fprintf(c->f, "%llu,%s,", number_of(row, "line"), text_of(row, "kind"));
    quoted_if_needed(c->f, text_of(row, "number"));
    (void)fputc(',', c->f);
    quoted_if_needed(c->f, text_of(row, "issuer"));
    (void)fprintf(c->f, ",%llu,%s,%s,%s,%s,%s,", number_of(row, "code"), text_of(row, "name"), text_of(row, "mismatch"),
                  text_of(row, "status"), text_of(row, "currency"), text_of(row, "free"));
    number_if_any(c->f, field(row, "version"));
    (void)fputc(',', c->f);
    number_if_any(c->f, field(row, "as_of"));
    (void)fprintf(c->f, ",%s\n", text_of(row, "watermark"));
}

static bool is_same(const char *one, const struct stat *other)
{
    struct stat about;
    return stat(one, &about) == 0 && about.st_dev == other->st_dev && about.st_ino == other->st_ino && S_ISREG(about.st_mode);
}

bool csv_verdicts_begin(csv_out *c, const char *file, const char *out, const kh_result_sink *next)
{
    struct stat about;
    *c = (csv_out){.sink = {.row = on_verdict, .progress = pass_progress, .ctx = c}, .next = next};
    c->was_there = stat(out, &about) == 0;
    if (c->was_there && is_same(file, &about)) {
        (void)snprintf(c->why, sizeof c->why, "-o %s is the file that is verified", out);
        return false;
    }
    (void)snprintf(c->path, sizeof c->path, "%s", out);
    int fd = open(out, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) (void)snprintf(c->why, sizeof c->why, "%s cannot be written: %s", out, strerror(errno));
    if (fd >= 0 && (c->f = fdopen(fd, "w")) == NULL) (void)close(fd);
    return c->f != NULL;
}

/* Writes what is left; false, and why in c->error, where not all of it was. */
static bool close_whole(csv_out *c)
{
    bool whole = fflush(c->f) == 0 && ferror(c->f) == 0;
    if (!whole) c->error = errno;
    if (fclose(c->f) == 0 || !whole) return whole;
    c->error = errno;
    return false;
}

bool csv_verdicts_end(csv_out *c, kh_result result)
{
    if (result == KH_DONE || result == KH_DONE_NOT_OK) verdicts_head(c);
    bool whole = close_whole(c);
    if (!whole) (void)snprintf(c->why, sizeof c->why, "%s could not be written whole: %s", c->path, strerror(c->error));
    if (!c->begun && !c->was_there) (void)unlink(c->path);
    return whole;
}

/* ---- what an import refused ---- */

static void on_imported(void *ctx, const kh_result_row *row)
{
    csv_out *c = ctx;
    if (strcmp(row->what, "refused") != 0 || field(row, "byte")->type == KH_FIELD_NULL) {
        c->next->row(c->next->ctx, row);
        return;
    }
    if (!c->begun && !c->lost && c->path[0] != '\0') {
        /* nor does it wait for whoever reads a pipe */
        int fd = open(c->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
        c->error = fd < 0 ? errno : 0;
        if (fd >= 0 && (c->f = fdopen(fd, "w")) == NULL) (void)close(fd);
        c->begun = c->f != NULL;
        if (c->begun) (void)fputs("line,byte,code,name,why,text\n", c->f);
        else c->lost = true;
    }
    if (c->begun) {
        (void)fprintf(c->f, "%llu,%llu,%llu,%s,", number_of(row, "line"), number_of(row, "byte"), number_of(row, "code"),
                      text_of(row, "name"));
        quoted(c->f, text_of(row, "why"));
        (void)fputc(',', c->f);
        quoted(c->f, text_of(row, "text"));
        (void)fputc('\n', c->f);
    }
    kh_result_row shown = *row;
    shown.field_cnt = (uint32_t)(field(row, "byte") - row->fields); /* byte and text stand last */
    c->next->row(c->next->ctx, &shown);
}

void csv_refused_begin(csv_out *c, const char *file, const kh_result_sink *next)
{
    struct stat about;
    *c = (csv_out){.sink = {.row = on_imported, .progress = pass_progress, .ctx = c}, .next = next};
    /* beside a pipe or device there is no place */
    if (strcmp(file, "-") != 0 && stat(file, &about) == 0 && S_ISREG(about.st_mode))
        (void)snprintf(c->path, sizeof c->path, "%s.refused.csv", file);
}

void csv_refused_end(csv_out *c, kh_result result, const char *said, char *ret_message, size_t cap)
{
    bool whole = !c->lost, done = result == KH_DONE || result == KH_DONE_NOT_OK;
    if (c->f != NULL) whole = close_whole(c);
    if (!c->begun && !c->lost && c->path[0] != '\0' && done && unlink(c->path) != 0 && errno != ENOENT)
        (void)fprintf(stderr, "kanhe: %s is not of this import, and could not be removed: %s\n", c->path, strerror(errno));
    if (result == KH_DONE) return;
    if ((!c->begun && !c->lost) || !done) (void)snprintf(ret_message, cap, "%s", said);
    else if (whole) (void)snprintf(ret_message, cap, "%s; see %s", said, c->path);
    else (void)snprintf(ret_message, cap, "%s; %s could not be written whole: %s", said, c->path, strerror(c->error));
}
