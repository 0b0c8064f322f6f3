/* comet_rpc: HTTP/1.0: the answer ends with the connection. */
#include "member/comet_rpc.h"
#include "process/config.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int dial(const char *rpc)
{
    char host[KH_CONFIG_ADDRESS_MAX];
    uint16_t port;
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    const struct timeval patience = {.tv_sec = KH_COMET_PATIENCE_S};
    if (strncmp(rpc, "http://", 7) != 0 || !kh_config_split(rpc + 7, host, &port)) return -1;
    bool is_six = inet_pton(AF_INET6, host, &six.sin6_addr) == 1;
    if (!is_six && inet_pton(AF_INET, host, &four.sin_addr) != 1) return -1;
    four.sin_port = six.sin6_port = htons(port);
    int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    const struct sockaddr *to = is_six ? (const struct sockaddr *)&six : (const struct sockaddr *)&four;
    bool good = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
                setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
                connect(fd, to, is_six ? sizeof six : sizeof four) == 0;
    if (!good) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool ask(int fd, const char *path)
{
    char text[256];
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\nHost: cometbft\r\nConnection: close\r\n\r\n", path);
    return n > 0 && (size_t)n < sizeof text && send(fd, text, (size_t)n, MSG_NOSIGNAL) == n;
}

/* All that comes, with a NUL behind it; NULL: it broke off, or is too large. */
static char *hear(int fd, size_t *ret_n)
{
    size_t cap = 64u << 10, n = 0;
    char *p = malloc(cap + 1);
    while (p != NULL) {
        ssize_t got = recv(fd, p + n, cap - n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        if (got == 0) {
            p[n] = '\0';
            *ret_n = n;
            return p;
        }
        n += (size_t)got;
        if (n < cap) continue;
        if (cap >= KH_COMET_ANSWER_MAX_SZ) break;
        char *larger = realloc(p, 2 * cap + 1);
        if (larger == NULL) break;
        p = larger;
        cap *= 2;
    }
    free(p);
    return NULL;
}

kh_err kh_comet_get(const char *rpc, const char *path, char **ret, size_t *ret_n)
{
    int fd = dial(rpc);
    size_t n = 0;
    char *answer = fd >= 0 && ask(fd, path) ? hear(fd, &n) : NULL;
    if (fd >= 0) (void)close(fd);
    if (answer == NULL) return KH_E_CLOSED;
    const char *body = strstr(answer, "\r\n\r\n");
    unsigned status = 0;
    kh_err err = body != NULL && sscanf(answer, "HTTP/%*[0-9.] %u", &status) == 1 ? KH_OK : KH_E_CLOSED;
    if (err == KH_OK && status != 200) err = KH_E_NOT_FOUND;
    if (err == KH_OK) {
        size_t head = (size_t)(body + 4 - answer);
        memmove(answer, answer + head, n - head);
        *ret = answer;
        *ret_n = n - head;
        return KH_OK;
    }
    free(answer);
    return err;
}
