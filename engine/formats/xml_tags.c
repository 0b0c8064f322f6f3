/* xml_tags: see xml_tags.h. */
#include "formats/xml_tags.h"
#include "formats/xml.h"

void kh_xml_tags_begin(kh_xml_tags *s, const uint8_t *p, size_t n)
{
    memset(s, 0, sizeof *s);
    s->high_first = n >= 2 && ((p[0] == 0xFE && p[1] == 0xFF) || (p[0] == 0 && p[1] == '<'));
    s->wide = s->high_first || (n >= 2 && ((p[0] == 0xFF && p[1] == 0xFE) || (p[0] == '<' && p[1] == 0)));
}

static bool step(kh_xml_tags *s, uint8_t c)
{
    bool twice = s->before[0] == s->before[1];
    uint8_t last = s->before[1];
    s->before[0] = last;
    s->before[1] = c;
    switch (s->in) {
    case KH_XML_IN_TEXT:
        if (c == '<') s->in = KH_XML_IN_OPENING;
        break;
    case KH_XML_IN_OPENING:
        s->attributes = 0;
        s->in = c == '!' ? KH_XML_IN_MARK : c == '?' ? KH_XML_IN_INSTRUCTION : c == '>' ? KH_XML_IN_TEXT : KH_XML_IN_TAG;
        break;
    case KH_XML_IN_TAG:
        if (c == '=') return ++s->attributes <= KH_XML_ATTRIBUTES_MAX;
        if (c == '>') s->in = KH_XML_IN_TEXT;
        else if (c == '"' || c == '\'') {
            s->quote = c;
            s->in = KH_XML_IN_VALUE;
        }
        break;
    case KH_XML_IN_VALUE:
        if (c == s->quote) s->in = KH_XML_IN_TAG;
        break;
    case KH_XML_IN_MARK: s->in = c == '-' ? KH_XML_IN_COMMENT : c == '[' ? KH_XML_IN_CDATA : KH_XML_IN_DECLARATION; break;
    case KH_XML_IN_COMMENT:
        if (c == '>' && twice && last == '-') s->in = KH_XML_IN_TEXT;
        break;
    case KH_XML_IN_CDATA:
        if (c == '>' && twice && last == ']') s->in = KH_XML_IN_TEXT;
        break;
    case KH_XML_IN_INSTRUCTION:
        if (c == '>' && last == '?') s->in = KH_XML_IN_TEXT;
        break;
    case KH_XML_IN_DECLARATION:
        if (c == '>') s->in = KH_XML_IN_TEXT;
        break;
    }
    return true;
}

size_t kh_xml_tags_feed(kh_xml_tags *s, const uint8_t *p, size_t n)
{
    size_t tag = 0; /* where the last one that begins here does */
    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i];
        if (s->wide) {
            s->half[s->half_n++] = c;
            if (s->half_n < 2) continue;
            s->half_n = 0;
            c = s->half[s->high_first ? 0 : 1] == 0 ? s->half[s->high_first ? 1 : 0] : 0;
        } else if (s->in == KH_XML_IN_TEXT) {
            const uint8_t *next = memchr(p + i, '<', n - i);
            if (next == NULL) return n;
            i = (size_t)(next - p);
            c = '<';
        }
        if (s->in == KH_XML_IN_TEXT && c == '<') tag = s->wide && i > 0 ? i - 1 : i;
        if (!step(s, c)) return tag;
    }
    return n;
}
