/* join_make: DIR/joined from the stream of a state. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "states/join.h"

void kh_join_say(char *why, size_t cap, const char *format, ...)
{
    va_list args;
    if (cap == 0 || why[0] != '\0') return;
    va_start(args, format);
    (void)vsnprintf(why, cap, format, args);
    va_end(args);
}

typedef struct paths {
    char made[1024], store[1024], outputs[1024], joined[1024];
} paths;

static bool paths_of(const char *dir, paths *ret)
{
    if (strlen(dir) + 32 > sizeof ret->made) return false;
    (void)snprintf(ret->made, sizeof ret->made, "%s/joined.new", dir);
    (void)snprintf(ret->store, sizeof ret->store, "%s/joined.new/store", dir);
    (void)snprintf(ret->outputs, sizeof ret->outputs, "%s/joined.new/outputs", dir);
    (void)snprintf(ret->joined, sizeof ret->joined, "%s/joined", dir);
    return true;
}

/* The source's own error, which kh_store_begin would call damage of the checkpoint. */
typedef struct passing {
    const kh_checkpoint_source *from;
    kh_err err;
} passing;

static kh_err pass(void *ctx, void *p, size_t n, size_t *ret_n)
{
    passing *s = ctx;
    kh_err err = s->from->read(s->from->ctx, p, n, ret_n);
    if (err != KH_OK) s->err = err;
    return err;
}

static kh_err make_store(const kh_join *j, const kh_checkpoint_source *from, const char *store, const kh_join_head *head,
                         char *why, size_t cap)
{
    kh_checkpoint made;
    kh_store_report report = {0};
    passing s = {.from = from};
    const kh_checkpoint_source source = {pass, &s};
    kh_err err = kh_store_begin(j->store, store, NULL, &source, head->outcomes, head->digest, &made, &report);
    if (s.err != KH_OK) return s.err;
    if (err == KH_OK && made.number != head->number) {
        kh_join_say(why, cap, "the store's state is of entry %llu, not %llu", (unsigned long long)made.number,
                    (unsigned long long)head->number);
        return KH_E_FORMAT;
    }
    if (err != KH_OK) kh_join_say(why, cap, "%s: %s", report.where, report.why[0] != '\0' ? report.why : kh_err_text(err));
    return err == KH_E_DAMAGED ? KH_E_FORMAT : err;
}

static kh_err make_all(const kh_join *j, const kh_checkpoint_source *from, const paths *at, char *why, size_t cap)
{
    kh_join_head head;
    const kh_disk *d = j->store->disk;
    kh_err err = kh_join_clear(d, at->made);
    if (err == KH_OK) err = d->make_dir(d->self, at->made);
    if (err == KH_OK) err = d->make_dir(d->self, at->outputs);
    if (err == KH_OK) err = kh_join_read(j, from, at->outputs, &head, why, cap);
    if (err == KH_OK) err = make_store(j, from, at->store, &head, why, cap);
    if (err == KH_OK) err = d->sync_dir(d->self, at->made);
    if (err == KH_OK) err = d->rename(d->self, at->made, at->joined);
    if (err == KH_OK) err = d->sync_dir(d->self, j->dir);
    return err;
}

kh_err kh_join_make(const kh_join *join, const kh_checkpoint_source *from, char *why, size_t cap)
{
    paths *at = malloc(sizeof *at);
    if (cap != 0) why[0] = '\0';
    if (at == NULL) return KH_E_NOMEM;
    kh_err err = paths_of(join->dir, at) ? make_all(join, from, at, why, cap) : KH_E_ARG;
    if (err != KH_OK) kh_join_say(why, cap, "%s: %s", join->dir, kh_err_text(err));
    if (err != KH_OK && kh_join_clear(join->store->disk, at->made) != KH_OK) err = err == KH_E_FORMAT ? err : KH_E_IO;
    free(at);
    return err;
}
