/* remote_load: see remote_load.h. The library is found by the command's own run path, wherever both were installed. */
#include "remote_load.h"
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

const char *remote_load(remote_library *ret)
{
    static const char *const names[] = {"kh_client_open",        "kh_client_close",        "kh_client_message",
                                        "kh_client_http_status", "kh_client_call",         "kh_client_escape",
                                        "kh_client_is_me",       "kh_client_receipt",      "kh_client_change_make",
                                        "kh_client_change_sign", "kh_client_change_submit"};
    void *found[sizeof names / sizeof names[0]];
    void *library = dlopen("libkanhe-client.so.0", RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) return dlerror();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((found[i] = dlsym(library, names[i])) == NULL) return dlerror();
    _Static_assert(sizeof *ret == sizeof found, "one pointer a function");
    memcpy(ret, found, sizeof found);
    return NULL;
}
