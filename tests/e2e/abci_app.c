/* abci_app: a toy application behind the server of engine/abci, for tests against a real CometBFT.
 *
 * abci_app SOCKET STATE: every second proposal holds a transaction; the state is {height, hash over the transactions}, written to
 * STATE at every third commit alone, so that CometBFT has blocks to replay after either side was killed. STATE.seen gets a line
 * "HEIGHT HASH" a finalized block: replayed ones must have the same. Ends with 3 where CometBFT breaks the order of calls. */
#include "abci/abci.h"
#include "crypto/digest.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct state {
    int64_t height;
    uint8_t hash[32];
} state;
typedef struct app {
    pthread_mutex_t lock;
    const char *path;
    FILE *seen;
    state saved, now, next;
    bool finalized;
    char tx[64];
    kh_span txs[1];
    uint16_t *codes;
} app;

static void broken(const char *what, int64_t height)
{
    fprintf(stderr, "abci_app: %s at %lld\n", what, (long long)height);
    _exit(3);
}

static void save(app *a)
{
    char beside[600];
    (void)snprintf(beside, sizeof beside, "%s.new", a->path);
    FILE *f = fopen(beside, "wb");
    if (f == NULL || fwrite(&a->now, sizeof a->now, 1, f) != 1 || fclose(f) != 0 || rename(beside, a->path) != 0)
        broken("the state cannot be written", a->now.height);
    a->saved = a->now;
}

static void finalize(app *a, const kh_abci_request *r, kh_abci_answer *ret)
{
    size_t at = 0;
    kh_span tx;
    char hex[65];
    if (r->height != a->now.height + 1) broken("FinalizeBlock out of order", r->height);
    a->next = (state){.height = r->height};
    memcpy(a->next.hash, a->now.hash, 32);
    while (kh_abci_tx_next(r, &at, &tx)) {
        kh_sha256_state sum;
        kh_sha256_init(&sum);
        kh_sha256_update(&sum, a->next.hash, 32);
        kh_sha256_update(&sum, tx.p, tx.n);
        kh_sha256_final(&sum, a->next.hash);
    }
    a->finalized = true;
    kh_hex(a->next.hash, 32, hex);
    fprintf(a->seen, "%lld %s\n", (long long)r->height, hex);
    (void)fflush(a->seen);
    a->codes = realloc(a->codes, (r->tx_cnt + 1) * sizeof *a->codes);
    memset(a->codes, 0, r->tx_cnt * sizeof *a->codes);
    *ret = (kh_abci_answer){.codes = a->codes, .code_cnt = r->tx_cnt, .app_hash = a->next.hash};
}

static bool on_call(void *self, const kh_abci_request *r, kh_abci_answer *ret)
{
    app *a = self;
    (void)pthread_mutex_lock(&a->lock);
    switch (r->call) {
    case KH_ABCI_INFO:
        a->now = a->saved;
        *ret = (kh_abci_answer){.data = "abci_app", .height = a->saved.height};
        if (a->saved.height != 0) ret->app_hash = a->saved.hash;
        break;
    case KH_ABCI_INIT_CHAIN: ret->app_hash = a->now.hash; break;
    case KH_ABCI_PREPARE:
        if (r->height % 2 == 1) break;
        (void)snprintf(a->tx, sizeof a->tx, "transaction of height %lld", (long long)r->height);
        a->txs[0] = (kh_span){(const uint8_t *)a->tx, strlen(a->tx)};
        *ret = (kh_abci_answer){.txs = a->txs, .tx_cnt = 1};
        break;
    case KH_ABCI_PROCESS: ret->accept = r->hash.n == 32 && r->proposer.n == 20; break;
    case KH_ABCI_FINALIZE: finalize(a, r, ret); break;
    case KH_ABCI_COMMIT:
        if (!a->finalized) broken("Commit without FinalizeBlock", a->now.height);
        a->now = a->next;
        a->finalized = false;
        if (a->now.height % 3 == 0) save(a);
        break;
    case KH_ABCI_QUERY: *ret = (kh_abci_answer){.height = a->now.height}; break;
    default: break;
    }
    (void)pthread_mutex_unlock(&a->lock);
    return true;
}

int main(int argc, char **argv)
{
    static app a = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const kh_abci_handler handler = {.call = on_call, .self = &a};
    kh_abci_server *server;
    char why[300] = "", seen[600];
    sigset_t signals;
    int sig;
    if (argc != 3) return 2;
    a.path = argv[2];
    (void)snprintf(seen, sizeof seen, "%s.seen", a.path);
    a.seen = fopen(seen, "a");
    FILE *f = fopen(a.path, "rb");
    if (f != NULL && fread(&a.saved, sizeof a.saved, 1, f) != 1) return 2;
    if (f != NULL) (void)fclose(f);
    a.now = a.saved;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (a.seen == NULL || kh_abci_listen(argv[1], &handler, why, sizeof why, &server) != KH_OK) {
        fprintf(stderr, "abci_app: %s\n", why);
        return 2;
    }
    (void)sigwait(&signals, &sig);
    kh_abci_stop(server);
    return 0;
}
