/* xml_refuse: what stops the reading of an XML file: entities and declarations, which are not read, and what the parser cannot
 * read. */
#include "formats/xml_tree_inside.h"

#include <libxml/parserInternals.h>
#include <stdio.h>

uint64_t kh_xml_byte_now(const kh_xml_tree *t)
{
    long at = t->parser != NULL && t->parser->input != NULL ? xmlByteConsumed(t->parser) : -1;
    return at < 0 ? t->fed : kh_min64((uint64_t)at + t->blanks, t->n);
}

uint64_t kh_xml_line_now(const kh_xml_tree *t)
{
    return t->parser->input != NULL ? (uint64_t)t->parser->input->line + t->blank_lines : 0;
}

void kh_xml_stop(kh_xml_tree *t, const char *why)
{
    if (t->error[0] != 0) return;
    snprintf(t->error, sizeof t->error, "%s", why);
    t->error_line = kh_xml_line_now(t);
    t->error_byte = kh_xml_byte_now(t);
    xmlStopParser(t->parser);
}

static void on_reference(void *self, const xmlChar *name)
{
    (void)name;
    kh_xml_stop(self, "It uses an entity; only the five of XML itself are read.");
}
static xmlEntityPtr on_entity(void *self, const xmlChar *name)
{
    (void)self;
    return xmlGetPredefinedEntity(name);
}
static xmlEntityPtr on_parameter(void *self, const xmlChar *name)
{
    (void)name;
    kh_xml_stop(self, "It uses a parameter entity; document type definitions are not read.");
    return NULL;
}
static const char dtd_why[] = "It has a document type definition with declarations; remove the DTD and send the file again.";
static void on_entity_decl(void *self, const xmlChar *name, int type, const xmlChar *pub, const xmlChar *sys, xmlChar *content)
{
    (void)name, (void)type, (void)pub, (void)sys, (void)content;
    kh_xml_stop(self, dtd_why);
}
static void on_attribute_decl(void *self, const xmlChar *e, const xmlChar *name, int type, int def, const xmlChar *value,
                              xmlEnumerationPtr list)
{
    (void)e, (void)name, (void)type, (void)def, (void)value;
    xmlFreeEnumeration(list);
    kh_xml_stop(self, dtd_why);
}
static void on_element_decl(void *self, const xmlChar *name, int type, xmlElementContentPtr content)
{
    (void)name, (void)type, (void)content;
    kh_xml_stop(self, dtd_why);
}

/* Called for every complaint of the parser; only what makes the file unreadable counts, and the first of these. */
static void on_error(void *self, xmlErrorPtr error)
{
    kh_xml_tree *t = self;
    if (error->level != XML_ERR_FATAL || t->error[0] != 0) return;
    char message[160];
    snprintf(message, sizeof message, "%s", error->message != NULL ? error->message : "damaged");
    for (char *c = message; *c != 0; c++)
        if (*c == '\n' || *c == '\r') *c = ' ';
    size_t n = strlen(message);
    while (n > 0 && (message[n - 1] == ' ' || message[n - 1] == '.')) message[--n] = 0;
    if (strstr(message, "Huge input") != NULL)
        snprintf(t->error, sizeof t->error, "A single tag, comment or section of it is longer than 10 MB.");
    else if (error->code == XML_ERR_NO_MEMORY)
        snprintf(t->error, sizeof t->error, "Its elements have more than %u KiB of different names.", KH_XML_NAMES_MAX_SZ >> 10);
    else if (error->code == XML_ERR_DOCUMENT_END && (t->depth > 0 || t->root_name[0] == 0) && t->blanks < t->n)
        snprintf(t->error, sizeof t->error, "The file ends before its XML does; it was cut off.");
    else if (t->blanks == t->n) snprintf(t->error, sizeof t->error, "The file is empty.");
    else snprintf(t->error, sizeof t->error, "It is not well-formed XML: %s.", message);
    t->error_line = error->line > 0 ? (uint64_t)error->line + t->blank_lines : 1;
    t->error_byte = kh_xml_byte_now(t);
}

void kh_xml_encoding_error(void *self, xmlErrorPtr error)
{
    kh_xml_tree *t = self;
    if (error->level < XML_ERR_ERROR || t->error[0] != 0) return;
    snprintf(t->error, sizeof t->error, "Its bytes are not in the encoding that it declares.");
    t->error_line = kh_xml_line_now(t);
    t->error_byte = t->fed;
}

void kh_xml_refusals(xmlSAXHandler *ret)
{
    ret->reference = on_reference;
    ret->getEntity = on_entity;
    ret->getParameterEntity = on_parameter;
    ret->entityDecl = on_entity_decl;
    ret->attributeDecl = on_attribute_decl;
    ret->elementDecl = on_element_decl;
    ret->serror = on_error;
}
