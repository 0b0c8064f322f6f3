/* headers: what would make of one request's bytes two requests, or another body, where somebody on the way reads them otherwise
 * (RFC 9112, 3.2, 5.1, 6.3): refused, and the connection ends with the answer. */
#include <ctype.h>
#include "http/inside.h"

typedef struct seen {
    uint32_t lengths, hosts;
    bool odd; /* a name that is no token */
    const char *encoding;
} seen;

static bool is_token(const char *name)
{
    if (*name == '\0') return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && strchr("!#$%&'*+-.^_`|~", *name) == NULL) return false;
    return true;
}

static enum MHD_Result look(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    seen *s = ctx;
    (void)kind;
    s->odd = s->odd || !is_token(name);
    s->lengths += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    s->hosts += strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0;
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_ENCODING) == 0 && value != NULL && strcasecmp(value, "identity") != 0)
        s->encoding = value;
    return MHD_YES;
}

bool kh_headers_fit(kh_request *r)
{
    seen s = {0};
    (void)MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, look, &s);
    r->closes = s.odd || s.lengths > 1 || s.hosts > 1;
    if (s.odd) kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, NULL, "a header's name holds a blank or what no name may hold");
    else if (s.lengths > 1) kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "Content-Length", "Content-Length is given twice");
    else if (s.hosts > 1) kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "Host", "Host is given twice");
    else if (s.encoding != NULL)
        kh_answer_refuse(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "Content-Encoding",
                         "bodies are taken as they are, not compressed: leave Content-Encoding out");
    else return true;
    return false;
}
