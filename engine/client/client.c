/* client: the handle's life. */
#include "client/connection.h"
#include "client/session.h"
#include "client/signing.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void start_curl(void) { (void)curl_global_init(CURL_GLOBAL_DEFAULT); }

kh_client_options kh_client_options_default(const char *url) { return (kh_client_options){.url = url, .timeout_s = 10}; }

static bool is_file(const char *path) { return path != NULL && strncmp(path, "pkcs11:", 7) != 0; }

/* refused says what is wrong with the options; NULL: nothing. */
static const char *refused(const kh_client_options *o, char *why, size_t cap)
{
    if (o->url == NULL || strncmp(o->url, "https://", 8) != 0 || o->url[8] == '\0' || strpbrk(o->url, " ?#") != NULL) {
        (void)snprintf(why, cap, "%s is no address of a hub: https://ADDRESS:PORT", o->url != NULL ? o->url : "nothing");
        return why;
    }
    if (!(o->timeout_s > 0 && o->timeout_s <= 86400)) return "the time-out is a number of seconds above 0, at most 86400";
    if ((o->cert == NULL) != (o->key == NULL))
        return "a certificate needs its key, and a key its certificate: give both, --cert and --key";
    const char *const files[] = {o->ca, o->cert, o->key, o->sign, o->sources};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (is_file(files[i]) && access(files[i], R_OK) != 0) {
            (void)snprintf(why, cap, "%s cannot be read: %s", files[i], strerror(errno));
            return why;
        }
    return NULL;
}

static char *copy(const char *text, bool *well)
{
    char *mine = text != NULL ? strdup(text) : NULL;
    *well = *well && (text == NULL || mine != NULL);
    return mine;
}

kh_result kh_client_open(const kh_client_options *options, char *ret_message, size_t cap, kh_client **ret)
{
    char why[600];
    const char *wrong = refused(options, why, sizeof why);
    if (ret_message != NULL && cap > 0) (void)snprintf(ret_message, cap, "%s", wrong != NULL ? wrong : "");
    if (wrong != NULL) return KH_MISUSE;
    (void)pthread_once(&once, start_curl);
    kh_client *c = calloc(1, sizeof *c);
    bool well = c != NULL;
    if (well) {
        c->url = copy(options->url, &well);
        c->ca = copy(options->ca, &well);
        c->cert = copy(options->cert, &well);
        c->key = copy(options->key, &well);
        c->sign = copy(options->sign, &well);
        c->sources = copy(options->sources, &well);
        c->sign_found = options->sign_found;
        c->no_datagrams = options->no_datagrams;
        c->timeout_s = options->timeout_s;
    }
    if (!well) {
        if (ret_message != NULL && cap > 0) (void)snprintf(ret_message, cap, "out of memory");
        kh_client_close(c);
        return KH_FAILED;
    }
    for (size_t n = strlen(c->url); n > 0 && c->url[n - 1] == '/'; n--) c->url[n - 1] = '\0';
    c->party = is_file(c->cert) ? kh_client_party_of(c->cert) : 0;
    *ret = c;
    return KH_DONE;
}

void kh_client_close(kh_client *c)
{
    if (c == NULL) return;
    kh_signing_end(c->signing);
    kh_session_kept_close(c->session);
    if (c->multi != NULL) (void)curl_multi_cleanup(c->multi);
    free(c->url);
    free(c->ca);
    free(c->cert);
    free(c->key);
    free(c->sign);
    free(c->sources);
    free(c);
}

const char *kh_client_message(const kh_client *client) { return client->message; }
void kh_client_attested(kh_client *client, bool attested) { client->attested = attested; }
uint32_t kh_client_http_status(const kh_client *client) { return client->http_status; }

kh_result kh_client_say(kh_client *c, kh_result result, const char *format, ...)
{
    char text[sizeof c->message]; /* what is said may hold what was said */
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    memcpy(c->message, text, sizeof text);
    return result;
}
