/* remote_json: the JSON body of a call, written field after field. Every function takes NULL, which stands for memory that ran
 * out. */
#ifndef KANHE_REMOTE_JSON_H
#define KANHE_REMOTE_JSON_H
#include <stdint.h>

typedef struct remote_json remote_json;
remote_json *remote_json_begin(void);
void remote_json_text(remote_json *json, const char *name, const char *text);
void remote_json_raw(remote_json *json, const char *name, const char *value);
void remote_json_list(remote_json *json, const char *name, const char *const texts[], uint32_t n);
/* remote_json_end gives the text, malloc, and frees the rest; NULL where memory ran out. */
char *remote_json_end(remote_json *json);
#endif
