/* remote_json: see remote_json.h. */
#include "remote_json.h"
#include <stdio.h>
#include <stdlib.h>

struct remote_json {
    FILE *to;
    char *text;
    size_t n;
    const char *before; /* of the next field */
};

remote_json *remote_json_begin(void)
{
    remote_json *json = calloc(1, sizeof *json);
    if (json == NULL) return NULL;
    json->before = "{";
    json->to = open_memstream(&json->text, &json->n);
    if (json->to != NULL) return json;
    free(json);
    return NULL;
}

static void quoted(FILE *to, const char *text)
{
    (void)fputc('"', to);
    for (; *text != '\0'; text++) {
        unsigned char ch = (unsigned char)*text;
        if (ch < 0x20) (void)fprintf(to, "\\u%04x", ch);
        else if (ch == '"' || ch == '\\') (void)fprintf(to, "\\%c", ch);
        else (void)fputc(ch, to);
    }
    (void)fputc('"', to);
}

static void name_of(remote_json *json, const char *name)
{
    (void)fputs(json->before, json->to);
    json->before = ",";
    quoted(json->to, name);
    (void)fputc(':', json->to);
}

void remote_json_text(remote_json *json, const char *name, const char *text)
{
    if (json == NULL) return;
    name_of(json, name);
    quoted(json->to, text);
}

void remote_json_raw(remote_json *json, const char *name, const char *value)
{
    if (json == NULL) return;
    name_of(json, name);
    (void)fputs(value, json->to);
}

void remote_json_list(remote_json *json, const char *name, const char *const texts[], uint32_t n)
{
    if (json == NULL) return;
    name_of(json, name);
    for (uint32_t i = 0; i < n; i++) {
        (void)fputc(i == 0 ? '[' : ',', json->to);
        quoted(json->to, texts[i]);
    }
    (void)fputs(n == 0 ? "[]" : "]", json->to);
}

char *remote_json_end(remote_json *json)
{
    if (json == NULL) return NULL;
    (void)fputs(json->before[0] == '{' ? "{}" : "}", json->to);
    char *text = fclose(json->to) == 0 ? json->text : NULL;
    if (text == NULL) free(json->text);
    free(json);
    return text;
}
