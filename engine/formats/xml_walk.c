/* xml_walk: walking the small trees of xml_tree.h, and detection. */
#include "formats/xml_tree_inside.h"

#include <ctype.h>

const kh_xml_node *kh_xml_at(const kh_xml_tree *t, uint32_t node) { return &t->nodes[node]; }

static uint32_t named_from(const kh_xml_tree *t, uint32_t node, const char *name, size_t n)
{
    while (node != 0 && (strncmp(t->nodes[node].name, name, n) != 0 || t->nodes[node].name[n] != 0)) node = t->nodes[node].next;
    return node;
}

uint32_t kh_xml_child(const kh_xml_tree *t, uint32_t node, const char *name)
{
    return node == 0 ? 0 : named_from(t, t->nodes[node].first, name, strlen(name));
}

uint32_t kh_xml_again(const kh_xml_tree *t, uint32_t node)
{
    return node == 0 ? 0 : named_from(t, t->nodes[node].next, t->nodes[node].name, strlen(t->nodes[node].name));
}

uint32_t kh_xml_path(const kh_xml_tree *t, uint32_t node, const char *path)
{
    while (node != 0 && *path != 0) {
        size_t n = strcspn(path, "/");
        node = named_from(t, t->nodes[node].first, path, n);
        path += n;
        if (*path == '/') path++;
    }
    return node;
}

static bool loosely_equal(const char *a, const char *b)
{
    for (;;) {
        while (*a == '_') a++;
        while (*b == '_') b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
        if (*a == 0) return true;
        a++, b++;
    }
}

uint32_t kh_xml_loose_child(const kh_xml_tree *t, uint32_t node, const char *name)
{
    if (node == 0) return 0;
    for (node = t->nodes[node].first; node != 0 && !loosely_equal(t->nodes[node].name, name);) node = t->nodes[node].next;
    return node;
}

static kh_text slice(const kh_xml_tree *t, uint32_t from, uint32_t n)
{
    return n == 0 ? (kh_text){NULL, 0} : (kh_text){t->texts + from, n};
}

kh_text kh_xml_text(const kh_xml_tree *t, uint32_t node)
{
    return node == 0 ? (kh_text){NULL, 0} : slice(t, t->nodes[node].text, t->nodes[node].text_n);
}

kh_text kh_xml_path_text(const kh_xml_tree *t, uint32_t node, const char *path)
{
    return kh_xml_text(t, kh_xml_path(t, node, path));
}

kh_text kh_xml_currency(const kh_xml_tree *t, uint32_t node)
{
    return slice(t, t->nodes[node].currency, t->nodes[node].currency_n);
}

kh_text kh_xml_scheme(const kh_xml_tree *t, uint32_t node) { return slice(t, t->nodes[node].scheme, t->nodes[node].scheme_n); }

const char *kh_xml_tree_error(const kh_xml_tree *t, uint64_t *ret_line, uint64_t *ret_byte)
{
    if (t->error[0] == 0) return NULL;
    *ret_line = t->error_line;
    *ret_byte = t->error_byte;
    return t->error;
}

const char *kh_xml_tree_root_name(const kh_xml_tree *t) { return t->root_name; }

bool kh_xml_tree_out_of_memory(const kh_xml_tree *t) { return t->no_memory; }

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Of two bytes a character, the low one first or second: blanks, then '<'. */
static bool looks_like_wide_xml(const uint8_t *p, size_t n, size_t low)
{
    size_t at = 0;
    while (at + 1 < n && p[at + 1 - low] == 0 && is_blank(p[at + low])) at += 2;
    return at + 1 < n && p[at + 1 - low] == 0 && p[at + low] == '<';
}

/* XML begins, after a byte order mark and blanks, with '<', in one or two bytes a character. */
static bool looks_like_xml(const uint8_t *p, size_t n)
{
    if (n >= 2 && p[0] == 0xFF && p[1] == 0xFE) return looks_like_wide_xml(p + 2, n - 2, 0);
    if (n >= 2 && p[0] == 0xFE && p[1] == 0xFF) return looks_like_wide_xml(p + 2, n - 2, 1);
    if (looks_like_wide_xml(p, n, 0) || looks_like_wide_xml(p, n, 1)) return true;
    size_t at = n >= 3 && p[0] == 0xEF && p[1] == 0xBB && p[2] == 0xBF ? 3 : 0;
    while (at < n && is_blank(p[at])) at++;
    return at < n && p[at] == '<';
}

bool kh_xml_detect(const uint8_t *p, size_t n, kh_format *ret)
{
    kh_xml_tree *t;
    kh_xml_found found;
    if (!looks_like_xml(p, n)) return false;
    *ret = KH_FORMAT_AUTO;
    if (kh_xml_tree_open(p, n < (64u << 10) ? n : (64u << 10), &t) != KH_OK) return true;
    t->detecting = true;
    if (kh_xml_tree_next(t, &found)) *ret = kh_xml_kind_format(found.kind);
    else if (t->doing.kind != KH_XML_NONE) *ret = kh_xml_kind_format(t->doing.kind);
    kh_xml_tree_close(t);
    return true;
}

const char *kh_xml_given_twice(const kh_xml_tree *t, uint32_t node, const char *names)
{
    while (node != 0 && *names != 0) {
        size_t n = strcspn(names, " ");
        uint32_t first = named_from(t, t->nodes[node].first, names, n);
        for (uint32_t again = kh_xml_again(t, first); again != 0; again = kh_xml_again(t, again))
            if (t->nodes[first].first != 0 || t->nodes[again].first != 0 ||
                !kh_text_equal(kh_xml_text(t, first), kh_xml_text(t, again)) ||
                !kh_text_equal(kh_xml_currency(t, first), kh_xml_currency(t, again)))
                return t->nodes[first].name;
        names += n;
        names += strspn(names, " ");
    }
    return NULL;
}
