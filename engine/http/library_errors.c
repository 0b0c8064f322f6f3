/* library_errors: what libmicrohttpd refuses by itself, before a request is ours: bytes that are no HTTP, a line or header that
 * is too long.
 *
 * Its own answers are pages of HTML, and of another version of HTTP it says 505. It has no hook for them; but it queues them by
 * calling MHD_queue_response by name, like any other caller, so that the program's definition of that name comes first. Our own
 * answers go by kh_library_queue straight to the library's. A first line that is no request line (without a blank, with one too
 * many) it answers with nothing: the connection ends, and no name is called before that. */
#include "http/inside.h"
#include <dlfcn.h>
#include <stdio.h>

typedef enum MHD_Result (*queue_function)(struct MHD_Connection *mhd, unsigned status, struct MHD_Response *response);

static queue_function library_queue(void)
{
    static _Atomic(queue_function) found;
    queue_function f = atomic_load_explicit(&found, memory_order_relaxed);
    if (f == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "MHD_queue_response");
        KH_ASSERT(symbol != NULL);
        memcpy(&f, &symbol, sizeof f);
        atomic_store_explicit(&found, f, memory_order_relaxed);
    }
    return f;
}

enum MHD_Result kh_library_queue(struct MHD_Connection *mhd, unsigned status, struct MHD_Response *response)
{
    return library_queue()(mhd, status, response);
}

static const char *words_of(unsigned status)
{
    switch (status) {
    case MHD_HTTP_CONTENT_TOO_LARGE: return "the body is too large";
    case MHD_HTTP_URI_TOO_LONG: return "the request's line is too long";
    case MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE: return "the request's header is too long";
    case MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED: return "only HTTP/1.1 and HTTP/1.0 are spoken here";
    default: return "the request is not well-formed HTTP/1.1";
    }
}

/* A Content-Length that is no number, no Host where HTTP/1.1 wants one: version 0.9.75 puts the header of its answer out twice.
   Then the answer is written here and the connection given up, which MHD_NO does. A header that was not read so far as its Host
   is answered so, too. */
static bool answered_here(struct MHD_Connection *connection, unsigned status, const char *body, size_t n)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    bool no_host =
        status == MHD_HTTP_BAD_REQUEST && MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST) == NULL;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    uint64_t number;
    char text[512];
    bool bad_length = length != NULL && !kh_number_parse(length, strlen(length), &number);
    if (info == NULL || !(bad_length || no_host)) return false;
    int all = snprintf(text, sizeof text,
                       "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.*s",
                       status, MHD_get_reason_phrase_for(status), n, (int)n, body);
    (void)gnutls_record_send(info->tls_session, text, (size_t)all);
    return true;
}

/* The name that libmicrohttpd calls for an answer of its own. */
__attribute__((visibility("default"))) enum MHD_Result MHD_queue_response(struct MHD_Connection *connection,
                                                                          unsigned int status_code, struct MHD_Response *response)
{
    char text[256];
    (void)response;
    unsigned status = status_code == MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED ? MHD_HTTP_BAD_REQUEST : status_code;
    int n = snprintf(text, sizeof text, "{\"results\":[],\"status\":%d,\"message\":\"%s\"}\n",
                     status >= 500 ? KH_FAILED : KH_MISUSE, words_of(status_code));
    if (answered_here(connection, status, text, (size_t)n)) return MHD_NO;
    struct MHD_Response *ours = MHD_create_response_from_buffer((size_t)n, text, MHD_RESPMEM_MUST_COPY);
    if (ours == NULL) return MHD_NO;
    (void)MHD_add_response_header(ours, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    enum MHD_Result queued = kh_library_queue(connection, status, ours);
    MHD_destroy_response(ours);
    return queued;
}
