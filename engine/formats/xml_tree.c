/* xml_tree: see xml_tree.h. The SAX side: what becomes a node. */
#include "formats/xml_tree_inside.h"

#include <libxml/parserInternals.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PIECE_SZ 4096u
#define MARK_SZ                                                                                                                  \
    4u /* by which libxml2 knows UTF-16; more at once, and it cuts a long XML declaration in UTF-16 after 45 characters */
#define NODES_MAX (KH_XML_MEMORY * 3 / 4 / (uint32_t)sizeof(kh_xml_node))
#define TEXTS_MAX (KH_XML_MEMORY / 4)

/* The start tag's place: it has been read; attributes hold no '<', so the last one before is its own. */
static void place_of_tag(const kh_xml_tree *t, uint64_t *ret_line, uint64_t *ret_byte)
{
    uint64_t byte = kh_xml_byte_now(t), line = kh_xml_line_now(t), at = byte;
    while (at > 0 && t->p[at - 1] != '<') at--;
    if (at > 0) {
        for (uint64_t i = at; i < byte; i++)
            if (t->p[i] == '\n' && line > 1) line--;
        byte = at - 1;
    }
    *ret_line = line;
    *ret_byte = byte;
}

static bool grow(void **p, uint32_t *cap, uint32_t need, uint32_t max, size_t each)
{
    if (need <= *cap) return true;
    if (need > max) return false;
    uint32_t next = *cap == 0 ? 1024 : *cap * 2;
    if (next < need) next = need;
    if (next > max) next = max;
    void *more = realloc(*p, next * each);
    if (more == NULL) return false;
    *p = more;
    *cap = next;
    return true;
}

/* A document without room for more: what was kept of it goes at once, so that the next one has the room. */
static void give_up_document(kh_xml_tree *t)
{
    if (t->doing.root != 0) t->node_n = t->doing.root;
    t->text_n = t->doing_text;
    t->doing.root = 0;
    t->doing.too_large = true;
}

/* Keeps a text; 0 bytes of it when there is no room (the document is then too large). */
static uint32_t keep(kh_xml_tree *t, const char *p, uint32_t n, uint32_t *ret_n)
{
    *ret_n = 0;
    if (n == 0) return 0;
    if (n > KH_XML_TEXT_MAX) n = KH_XML_TEXT_MAX;
    if (!grow((void **)&t->texts, &t->text_cap, t->text_n + n, TEXTS_MAX, 1)) {
        give_up_document(t);
        return 0;
    }
    memcpy(t->texts + t->text_n, p, n);
    t->text_n += n;
    *ret_n = n;
    return t->text_n - n;
}

static uint32_t add_node(kh_xml_tree *t, const char *name)
{
    if (t->doing.too_large) return 0;
    if (!grow((void **)&t->nodes, &t->node_cap, t->node_n + 1, NODES_MAX, sizeof(kh_xml_node))) {
        give_up_document(t);
        return 0;
    }
    uint32_t me = t->node_n++;
    t->nodes[me] = (kh_xml_node){.name = name, .parent = t->at};
    t->nodes[me].line = (uint32_t)kh_xml_line_now(t);
    if (t->at != 0) {
        kh_xml_node *parent = &t->nodes[t->at];
        if (parent->last != 0) t->nodes[parent->last].next = me;
        else parent->first = me;
        parent->last = me;
    }
    return me;
}

static void begin_document(kh_xml_tree *t, kh_xml_kind kind, const char *name)
{
    memset(&t->doing, 0, sizeof t->doing);
    t->doing.kind = kind;
    snprintf(t->doing.name, sizeof t->doing.name, "%.60s", name);
    place_of_tag(t, &t->doing.line, &t->doing.byte);
    t->doing_depth = t->depth;
    t->doing_text = t->text_n;
    t->at = 0;
    t->at = t->doing.root = add_node(t, name);
    if (t->detecting) xmlStopParser(t->parser);
    if (kh_xml_kind_format(kind) == KH_FORMAT_AUTO) t->skip_depth = t->depth + 1; /* its content does not matter */
}

/* A Response or Declaration of no namespace may be somebody's envelope: a document of another vocabulary in it is what counts. */
static bool was_envelope(const kh_xml_tree *t, kh_xml_kind inner)
{
    kh_format format = kh_xml_kind_format(inner);
    return t->doing.no_space && format != KH_FORMAT_AUTO && format != KH_FORMAT_WCO;
}

static void on_start(void *self, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri, int ns_cnt, const xmlChar **ns,
                     int attr_cnt, int default_cnt, const xmlChar **attrs)
{
    kh_xml_tree *t = self;
    const char *name = (const char *)local, *space = uri != NULL ? (const char *)uri : "";
    (void)prefix, (void)ns, (void)default_cnt;
    if (t->root_name[0] == 0) snprintf(t->root_name, sizeof t->root_name, "%.60s", name);
    if (++t->depth > KH_XML_DEPTH_MAX) {
        kh_xml_stop(t, "Elements are nested too deeply.");
        return;
    }
    t->spaces += t->spaces_of[t->depth] = (uint32_t)ns_cnt;
    if (t->spaces > KH_XML_SPACES_MAX) {
        kh_xml_stop(t, "It declares too many namespaces around one element.");
        return;
    }
    t->gathered_n = 0;
    if (t->skip_depth != 0) return;
    if (t->doing.kind == KH_XML_NONE) {
        kh_xml_kind kind = kh_xml_kind_of(name, space);
        if (kind == KH_XML_NONE) return;
        begin_document(t, kind, name);
        t->doing.no_space = space[0] == 0 && kh_xml_kind_format(kind) == KH_FORMAT_WCO;
        return;
    }
    if (t->doing.no_space && was_envelope(t, kh_xml_kind_of(name, space))) {
        if (t->doing.root != 0) t->node_n = t->doing.root;
        t->text_n = t->doing_text;
        begin_document(t, kh_xml_kind_of(name, space), name);
        return;
    }
    bool foreign = kh_xml_is_foreign(t->doing.kind, space);
    if (foreign && !t->doing.no_space) {
        t->skip_depth = t->depth;
        return;
    }
    uint32_t me = add_node(t, foreign ? "" : name); /* without a name nothing in it is found, but a document would be */
    if (me == 0) return;
    for (int i = 0; i < attr_cnt; i++) {
        const char *attr = (const char *)attrs[i * 5], *value = (const char *)attrs[i * 5 + 3];
        uint32_t n = (uint32_t)((const char *)attrs[i * 5 + 4] - value), kept;
        if (strcmp(attr, "currencyID") == 0) {
            uint32_t off = keep(t, value, n, &kept);
            t->nodes[me].currency = off;
            t->nodes[me].currency_n = kept;
        } else if (strcmp(attr, "schemeID") == 0) {
            uint32_t off = keep(t, value, n, &kept);
            t->nodes[me].scheme = off;
            t->nodes[me].scheme_n = kept;
        }
    }
    t->at = me;
}

static void on_end(void *self, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri)
{
    kh_xml_tree *t = self;
    (void)local, (void)prefix, (void)uri;
    uint32_t depth = t->depth--;
    t->spaces -= t->spaces_of[depth];
    if (t->skip_depth != 0 && depth >= t->skip_depth) {
        if (depth == t->skip_depth && kh_xml_kind_format(t->doing.kind) != KH_FORMAT_AUTO) t->skip_depth = 0;
        t->gathered_n = 0;
        return;
    }
    if (t->doing.kind == KH_XML_NONE) return;
    if (!t->doing.too_large && t->at != 0) {
        kh_xml_node *node = &t->nodes[t->at];
        const char *p = t->gathered;
        uint32_t n = t->gathered_n, kept;
        while (n > 0 && strchr(" \t\r\n", p[0]) != NULL) p++, n--;
        while (n > 0 && strchr(" \t\r\n", p[n - 1]) != NULL) n--;
        if (node->first == 0 && n > 0) {
            uint32_t off = keep(t, p, n, &kept);
            node->text = off;
            node->text_n = kept;
        }
        t->at = node->parent;
    }
    t->gathered_n = 0;
    if (depth != t->doing_depth) return;
    t->skip_depth = 0;
    if (grow((void **)&t->found, &t->found_cap, t->found_n + 1, NODES_MAX, sizeof *t->found)) t->found[t->found_n++] = t->doing;
    else {
        t->no_memory = true;
        kh_xml_stop(t, "There is no memory for it.");
    }
    t->doing.kind = KH_XML_NONE;
    t->at = 0;
}

static void on_text(void *self, const xmlChar *p, int n)
{
    kh_xml_tree *t = self;
    if (t->doing.kind == KH_XML_NONE || t->skip_depth != 0 || n <= 0) return;
    if (t->gathered_n == 0) /* blanks before a text are no part of it, and must not fill the room */
        while (n > 0 && strchr(" \t\r\n", (char)p[0]) != NULL && p[0] != 0) p++, n--;
    uint32_t room = (uint32_t)sizeof t->gathered - t->gathered_n, take = (uint32_t)n < room ? (uint32_t)n : room;
    memcpy(t->gathered + t->gathered_n, p, take);
    t->gathered_n += take;
}

static void parse_piece(kh_xml_tree *t, const char *p, size_t n, bool last)
{
    xmlStructuredErrorFunc before = xmlStructuredError;
    void *context = xmlStructuredErrorContext;
    xmlSetStructuredErrorFunc(t, kh_xml_encoding_error);
    xmlParseChunk(t->parser, p, (int)n, last);
    xmlSetStructuredErrorFunc(context, before);
}

/* Files say GB2312 and hold GBK or GB18030, of which it is a part: read as the whole. */
static bool says_gb(const uint8_t *p, size_t n)
{
    char head[128];
    size_t len = n < sizeof head - 1 ? n : sizeof head - 1;
    memcpy(head, p, len);
    head[len] = 0;
    const char *end = strstr(head, "?>"), *encoding = strcasestr(head, "encoding");
    if (strncmp(head, "<?xml", 5) != 0 || end == NULL || encoding == NULL || encoding > end) return false;
    const char *gb = strcasestr(encoding, "gb");
    return gb != NULL && gb < end && (strncasecmp(gb, "gb2312", 6) == 0 || strncasecmp(gb, "gbk", 3) == 0);
}

kh_err kh_xml_tree_open(const uint8_t *p, size_t n, kh_xml_tree **ret)
{
    kh_xml_tree *t = calloc(1, sizeof *t);
    if (t == NULL) return KH_E_NOMEM;
    if (n == 0) p = (const uint8_t *)"";
    t->p = p;
    t->n = n;
    t->node_n = 1; /* 0 is no node */
    while (t->blanks < n && (p[t->blanks] == ' ' || p[t->blanks] == '\t' || p[t->blanks] == '\r' || p[t->blanks] == '\n'))
        t->blank_lines += p[t->blanks++] == '\n'; /* an XML declaration may not stand after blanks; files have it there */
    t->fed = t->blanks;
    kh_xml_tags_begin(&t->tags, p + t->blanks, n - t->blanks);
    t->nodes = calloc(64, sizeof *t->nodes);
    t->node_cap = 64;
    xmlSAXHandler sax = {.initialized = XML_SAX2_MAGIC,
                         .startElementNs = on_start,
                         .endElementNs = on_end,
                         .characters = on_text,
                         .cdataBlock = on_text,
                         .ignorableWhitespace = on_text};
    kh_xml_refusals(&sax);
    if (t->nodes != NULL) t->parser = xmlCreatePushParserCtxt(&sax, t, NULL, 0, NULL);
    if (t->parser == NULL) {
        kh_xml_tree_close(t);
        return KH_E_NOMEM;
    }
    int options = XML_PARSE_NONET | XML_PARSE_COMPACT | XML_PARSE_NOWARNING | XML_PARSE_NOERROR | XML_PARSE_BIG_LINES;
    xmlCharEncodingHandlerPtr gb = says_gb(p, n) ? xmlFindCharEncodingHandler("GB18030") : NULL;
    xmlCtxtUseOptions(t->parser, options | (gb != NULL ? XML_PARSE_IGNORE_ENC : 0));
    t->parser->sax->serror = sax.serror;
    xmlDictSetLimit(t->parser->dict, KH_XML_NAMES_MAX_SZ);
    if (gb != NULL) xmlSwitchToEncoding(t->parser, gb);
    *ret = t;
    return KH_OK;
}

void kh_xml_tree_close(kh_xml_tree *t)
{
    if (t == NULL) return;
    if (t->parser != NULL) {
        xmlFreeDoc(t->parser->myDoc);
        t->parser->myDoc = NULL;
        xmlFreeParserCtxt(t->parser);
    }
    free(t->found);
    free(t->nodes);
    free(t->texts);
    free(t);
}

/* Gives back the room of the documents that were taken; what has been read of the next one moves to the front. */
static void compact(kh_xml_tree *t)
{
    bool open = t->doing.kind != KH_XML_NONE && t->doing.root != 0;
    uint32_t shift = open ? t->doing.root - 1 : 0, keep_n = open ? t->node_n - t->doing.root : 0;
    if (!open) {
        t->node_n = 1;
        t->text_n = 0;
        return;
    }
    if (shift == 0) return;
    memmove(&t->nodes[1], &t->nodes[t->doing.root], keep_n * sizeof *t->nodes);
    for (uint32_t i = 1; i <= keep_n; i++) {
        kh_xml_node *node = &t->nodes[i];
        if (node->parent != 0) node->parent -= shift;
        if (node->first != 0) node->first -= shift;
        if (node->last != 0) node->last -= shift;
        if (node->next != 0) node->next -= shift;
        node->text -= node->text_n != 0 ? t->doing_text : 0;
        node->currency -= node->currency_n != 0 ? t->doing_text : 0;
        node->scheme -= node->scheme_n != 0 ? t->doing_text : 0;
    }
    if (t->texts != NULL) memmove(t->texts, t->texts + t->doing_text, t->text_n - t->doing_text);
    t->text_n -= t->doing_text;
    t->doing_text = 0;
    t->node_n = keep_n + 1;
    t->doing.root = 1;
    if (t->at != 0) t->at -= shift;
}

bool kh_xml_tree_next(kh_xml_tree *t, kh_xml_found *ret)
{
    while (t->found_at == t->found_n) {
        t->found_at = t->found_n = 0;
        compact(t);
        if (t->ended) return false;
        size_t piece = kh_min64(t->n - t->fed, t->fed == t->blanks ? MARK_SZ : PIECE_SZ);
        const char *from = (const char *)t->p + t->fed;
        t->fed += piece;
        size_t good = kh_xml_tags_feed(&t->tags, (const uint8_t *)from, piece);
        if (good > 0 || piece == 0) parse_piece(t, from, good, good == piece && t->fed == t->n);
        if (good < piece) kh_xml_stop(t, "A tag has too many attributes.");
        if (t->fed == t->n || t->error[0] != 0 || !t->parser->wellFormed || (t->detecting && t->doing.kind != KH_XML_NONE))
            t->ended = true;
        if (t->ended && t->error[0] == 0 && !t->parser->wellFormed && !t->detecting) {
            snprintf(t->error, sizeof t->error, "It is not well-formed XML.");
            t->error_line = 1;
            t->error_byte = t->fed;
        }
    }
    *ret = t->found[t->found_at++];
    return true;
}
