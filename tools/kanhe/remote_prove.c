/* remote_prove: a receipt from a node into a file, byte for byte. */
#include "remote_prove.h"
#include <stdio.h>
#include <string.h>

static void put(void *ctx, const char *text, size_t n)
{
    FILE **f = ctx;
    if (*f != NULL && fwrite(text, 1, n, *f) != n) {
        if (*f != stdout) (void)fclose(*f);
        *f = NULL;
    }
}

kh_result remote_prove(command_context *c, const remote_library *l, kh_client *client)
{
    const char *out = args_get(c->given, "-o");
    bool to_stdout = out == NULL || strcmp(out, "-") == 0;
    char path[1100];
    (void)snprintf(path, sizeof path, "%s.new", to_stdout ? "" : out);
    FILE *f = to_stdout ? stdout : fopen(path, "wb");
    if (f == NULL) return command_usage(c, "%s cannot be written", out);
    kh_result result = l->receipt(client, c->words[0], put, &f);
    bool well = f != NULL && (to_stdout ? fflush(f) == 0 : fclose(f) == 0);
    if (!to_stdout && (result != KH_DONE || !well)) (void)remove(path);
    if (!to_stdout && result == KH_DONE && well) well = rename(path, out) == 0;
    if (result != KH_DONE || well) return result;
    (void)snprintf(c->message, sizeof c->message, "%s could not be written whole", to_stdout ? "standard output" : out);
    return KH_FAILED;
}
