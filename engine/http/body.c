/* body: what a request says: numbers, percent-encoding, and the JSON object of its body, strictly by the route's fields. */
#include "doc/fold.h"
#include "http/inside.h"
#include <stdio.h>

bool kh_number_parse(const char *text, size_t n, uint64_t *ret)
{
    uint64_t value = 0;
    if (n == 0 || n > 20) return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return false;
    }
    *ret = value;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool kh_percent_decode(char *text, bool plus)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        char c = *from;
        if (c == '%') {
            int high = hex_digit(from[1]), low = high >= 0 ? hex_digit(from[2]) : -1;
            if (low < 0 || high * 16 + low == 0) return false;
            c = (char)(high * 16 + low);
            from += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        *to++ = c;
    }
    *to = '\0';
    return kh_utf8_valid((kh_text){text, (uint32_t)(to - text)});
}

/* is_of: numbers may come as texts of digits too, since JSON's own end at 2^53 in many languages. */
static bool is_of(const json_t *value, kh_param_type type)
{
    uint64_t number;
    switch (type) {
    case KH_P_TEXT: return json_is_string(value);
    case KH_P_NUMBER:
        if (json_is_integer(value)) return json_integer_value(value) >= 0;
        return json_is_string(value) && kh_number_parse(json_string_value(value), json_string_length(value), &number);
    case KH_P_BOOL: return json_is_boolean(value);
    case KH_P_TEXTS: {
        size_t i;
        json_t *each;
        if (!json_is_array(value)) return false;
        json_array_foreach(value, i, each) if (!json_is_string(each)) return false;
        return true;
    }
    }
    return false;
}

static const char *type_word(kh_param_type type)
{
    static const char *const words[] = {[KH_P_TEXT] = "a text",
                                        [KH_P_NUMBER] = "a whole number",
                                        [KH_P_BOOL] = "true or false",
                                        [KH_P_TEXTS] = "a list of texts"};
    return words[type];
}

static const kh_param *field_of(const kh_route *route, const char *name)
{
    for (uint32_t i = 0; i < KH_HTTP_PARAMS && route->fields[i].name != NULL; i++)
        if (strcmp(route->fields[i].name, name) == 0) return &route->fields[i];
    return NULL;
}

static bool check_fields(kh_request *r)
{
    const char *name;
    json_t *value;
    json_object_foreach(r->json, name, value)
    {
        const kh_param *field = field_of(r->route, name);
        if (field == NULL) {
            kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, name, "there is no field %.100s here", name);
            return false;
        }
        if (!is_of(value, field->type) && !(json_is_null(value) && !field->required)) {
            kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, name, "%s must be %s", name, type_word(field->type));
            return false;
        }
    }
    for (uint32_t i = 0; i < KH_HTTP_PARAMS && r->route->fields[i].name != NULL; i++) {
        const kh_param *field = &r->route->fields[i];
        if (!field->required || json_object_get(r->json, field->name) != NULL) continue;
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, field->name, "%s is missing: %s", field->name, type_word(field->type));
        return false;
    }
    return true;
}

bool kh_body_fields(kh_request *r)
{
    json_error_t error;
    if (r->body_n == 0) r->json = json_object();
    else r->json = json_loadb((const char *)r->body, r->body_n, JSON_REJECT_DUPLICATES, &error);
    if (r->json == NULL) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, NULL, "the body is no JSON: line %d, column %d: %s", error.line, error.column,
                         error.text);
        return false;
    }
    if (!json_is_object(r->json)) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, NULL, "the body must be a JSON object");
        return false;
    }
    return check_fields(r);
}

const char *kh_field(const kh_request *r, const char *name) { return json_string_value(json_object_get(r->json, name)); }

bool kh_field_number(const kh_request *r, const char *name, uint64_t *ret)
{
    const json_t *value = json_object_get(r->json, name);
    if (json_is_string(value)) return kh_number_parse(json_string_value(value), json_string_length(value), ret);
    if (!json_is_integer(value)) return false;
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

bool kh_field_bool(const kh_request *r, const char *name) { return json_is_true(json_object_get(r->json, name)); }

uint32_t kh_field_texts(const kh_request *r, const char *name, const char **ret, uint32_t cap)
{
    const json_t *list = json_object_get(r->json, name);
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < cap; i++) ret[i] = json_string_value(json_array_get(list, i));
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

const char *kh_query_text(const kh_request *r, const char *name)
{
    for (uint32_t i = 0; i < KH_HTTP_PARAMS && r->route->params[i].name != NULL; i++)
        if (strcmp(r->route->params[i].name, name) == 0) return r->query[i];
    return NULL;
}

uint64_t kh_query_number(const kh_request *r, const char *name, uint64_t otherwise)
{
    const char *text = kh_query_text(r, name);
    uint64_t number;
    return text != NULL && kh_number_parse(text, strlen(text), &number) ? number : otherwise;
}
