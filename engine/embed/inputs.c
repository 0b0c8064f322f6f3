/* inputs: where a file's bytes come from, and pages of lists. */
#include "embed/embed.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static kh_err read_input(void *self, void *p, size_t cap, size_t *ret_n)
{
    kh_input_source *s = self;
    int64_t n = s->input->read(s->input->ctx, p, cap);
    if (n < 0 || (uint64_t)n > cap) return KH_E_IO;
    s->done += (uint64_t)n;
    *ret_n = (size_t)n;
    return KH_OK;
}

void kh_input_source_begin(kh_input_source *s, const kh_input *input)
{
    *s = (kh_input_source){.source = {.read = read_input, .self = s}, .input = input};
}

static int64_t read_file(void *ctx, void *p, size_t cap)
{
    const kh_file_input *f = ctx;
    return read(f->fd, p, cap);
}

kh_err kh_file_input_open(kh_file_input *f, const char *path)
{
    *f = (kh_file_input){.input = {.name = path, .read = read_file, .ctx = f}, .fd = STDIN_FILENO};
    if (strcmp(path, "-") == 0) return KH_OK;
    struct stat st;
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0) return KH_E_NOT_FOUND;
    int why = fstat(f->fd, &st) != 0 ? errno
              : S_ISDIR(st.st_mode)  ? EISDIR
                                     : 0; /* a directory opens, and only its reading fails */
    if (why != 0) {
        (void)close(f->fd);
        errno = why;
        return KH_E_NOT_FOUND;
    }
    off_t size = lseek(f->fd, 0, SEEK_END);
    f->input.size = size > 0 ? (uint64_t)size : 0;
    (void)lseek(f->fd, 0, SEEK_SET);
    return KH_OK;
}

void kh_file_input_close(kh_file_input *f)
{
    if (f->fd != STDIN_FILENO) (void)close(f->fd);
}

/* ---- pages ---- */

kh_result kh_page_begin(kh_engine *e, kh_page *page, uint32_t number_cnt, uint64_t ret_after[KH_PAGE_NUMBERS])
{
    for (uint32_t i = 0; i < KH_PAGE_NUMBERS; i++) ret_after[i] = 0;
    if (page == NULL) return KH_DONE;
    page->next[0] = '\0';
    if (page->after == NULL || page->after[0] == '\0') return KH_DONE;
    const char *p = page->after;
    bool sound = true;
    for (uint32_t i = 0; i < number_cnt && sound; i++) {
        uint64_t n = 0;
        const char *begin = p;
        for (; *p >= '0' && *p <= '9' && sound; p++)
            sound = !__builtin_mul_overflow(n, UINT64_C(10), &n) && !__builtin_add_overflow(n, (uint64_t)(*p - '0'), &n);
        sound = sound && p != begin && *p == (i + 1 < number_cnt ? '.' : '\0');
        if (i + 1 < number_cnt) p++;
        ret_after[i] = n;
    }
    if (sound) return KH_DONE;
    return kh_embed_fail(e, KH_MISUSE, "after \"%.40s\": give what the page before said as next", page->after);
}

bool kh_page_full(const kh_page *page, uint64_t given) { return page != NULL && page->limit != 0 && given >= page->limit; }

void kh_page_more(kh_page *page, uint32_t number_cnt, const uint64_t numbers[KH_PAGE_NUMBERS])
{
    if (number_cnt == 1) (void)snprintf(page->next, sizeof page->next, "%llu", (unsigned long long)numbers[0]);
    else
        (void)snprintf(page->next, sizeof page->next, "%llu.%llu", (unsigned long long)numbers[0],
                       (unsigned long long)numbers[1]);
}

static bool is_sealed(const kh_principal *who, kh_ask ask) { return (kh_access_rights(who, ask) & KH_OWN_ONLY) != 0; }

uint64_t kh_page_cursor(kh_engine *e, const kh_page *page, const kh_principal *who, kh_ask ask, uint64_t after)
{
    if (page == NULL || page->after == NULL || page->after[0] == '\0' || !is_sealed(who, ask)) return after;
    const kh_ledger *l = kh_store_read_begin(e->store);
    uint64_t cursor = kh_ledger_cursor_open(l, who->party, after);
    kh_store_read_end(e->store);
    return cursor;
}

void kh_page_more_rows(kh_engine *e, kh_page *page, const kh_principal *who, kh_ask ask, uint64_t cursor)
{
    uint64_t place[KH_PAGE_NUMBERS] = {cursor};
    const kh_ledger *l = kh_store_read_begin(e->store);
    if (is_sealed(who, ask)) place[0] = kh_ledger_cursor_seal(l, who->party, cursor);
    kh_store_read_end(e->store);
    kh_page_more(page, 1, place);
}
