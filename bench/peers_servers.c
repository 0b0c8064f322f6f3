/* peers_servers: Redis (Lua, appendfsync always) and PostgreSQL (a function, synchronous_commit on), started here on unix
 * sockets. */
#include "peers.h"
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int shell(const char *format, const char *a, const char *b)
{
    char command[2048];
    (void)snprintf(command, sizeof command, format, a, b);
    return system(command);
}

enum { PIPELINE = 256 };

typedef struct redis_call {
    char *bytes;
    size_t n;
} redis_call;

/* The call of n reserves, as it goes over the socket. */
static redis_call redis_make(const char *sha, uint32_t rows, uint32_t n, uint64_t *seed, uint64_t *id)
{
    static char text[2 * 1024][16];
    static const char *argv[3 + 2 * 1024];
    redis_call made;
    argv[0] = "EVALSHA";
    argv[1] = sha;
    argv[2] = "0";
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(text[2 * i], 16, "%u", peer_random(seed) % rows);
        (void)snprintf(text[2 * i + 1], 16, "%llu", (unsigned long long)++*id);
        argv[3 + 2 * i] = text[2 * i];
        argv[4 + 2 * i] = text[2 * i + 1];
    }
    made.n = (size_t)redisFormatCommandArgv(&made.bytes, (int)(3 + 2 * n), argv, NULL);
    return made;
}

double peer_redis(const char *dir, uint32_t rows, uint32_t batch, double seconds)
{
    static const char script[] = "local n = 0; for i = 1, #ARGV, 2 do local d = ARGV[i]; local t = tonumber(redis.call('HGET', "
                                 "d, 't')); local c = tonumber(redis.call('HGET', d, 'c')); "
                                 "if t + 1 <= c then redis.call('HSET', d, 't', t + 1); redis.call('SET', 'h' .. ARGV[i + 1], "
                                 "d); n = n + 1 end end; return n";
    char socket[512];
    (void)snprintf(socket, sizeof socket, "%s/redis.sock", dir);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, "--appendonly", "yes",
               "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0", (char *)NULL);
        _exit(127);
    }
    redisContext *c = NULL;
    for (int i = 0; i < 100 && (c == NULL || c->err != 0); i++) {
        usleep(50000);
        if (c != NULL) redisFree(c);
        c = redisConnectUnix(socket);
    }
    double rate = -1;
    if (c != NULL && c->err == 0) {
        redisReply *r = redisCommand(c, "SCRIPT LOAD %s", script);
        char sha[64];
        (void)snprintf(sha, sizeof sha, "%s", r->str);
        freeReplyObject(r);
        for (uint32_t i = 0; i < rows;) {
            uint32_t n = 0;
            for (; n < 1000 && i < rows; n++, i++) redisAppendCommand(c, "HSET %u c 1000000000 t 0", i);
            while (n-- > 0 && redisGetReply(c, (void **)&r) == REDIS_OK) freeReplyObject(r);
        }
        uint64_t seed = 5, id = 0, done = 0;
        bool refused = false;
        /* one reserve a call, PIPELINE calls in flight; or the whole batch in one script */
        const uint32_t calls = batch == 1 ? PIPELINE : 4, n = batch > 1000 ? 1000 : batch;
        redis_call made[PIPELINE];
        for (uint32_t k = 0; k < calls; k++) made[k] = redis_make(sha, rows, n, &seed, &id);
        double began = peer_now();
        while (!refused && peer_now() - began < seconds) {
            int all = 0;
            for (uint32_t k = 0; k < calls; k++, done += n) {
                redisAppendFormattedCommand(c, made[k].bytes, made[k].n);
                redisFreeCommand(made[k].bytes);
            }
            while (!all && redisBufferWrite(c, &all) == REDIS_OK) {}
            for (uint32_t k = 0; k < calls; k++) made[k] = redis_make(sha, rows, n, &seed, &id); /* while the server is at work */
            for (uint32_t k = 0; k < calls; k++) {
                if (redisGetReply(c, (void **)&r) != REDIS_OK) {
                    fprintf(stderr, "peers: redis: %s\n", c->errstr);
                    refused = true;
                    break;
                }
                if (r->type != REDIS_REPLY_INTEGER) refused = true, fprintf(stderr, "peers: redis: %s\n", r->str);
                freeReplyObject(r);
            }
        }
        if (!refused) rate = (double)done / (peer_now() - began);
        for (uint32_t k = 0; k < calls; k++) redisFreeCommand(made[k].bytes);
        redisFree(c);
    } else fprintf(stderr, "peers: redis did not start\n");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return rate;
}

static int query(PGconn *c, const char *text)
{
    PGresult *r = PQexec(c, text);
    ExecStatusType s = PQresultStatus(r);
    int ok = s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK;
    if (!ok) fprintf(stderr, "peers: postgres: %s", PQerrorMessage(c));
    PQclear(r);
    return ok;
}

double peer_postgres(const char *dir, uint32_t rows, uint32_t batch, double seconds)
{
    char path[512], info[600], text[2048];
    (void)snprintf(path, sizeof path, "%s/pg", dir);
    const char *as = getuid() == 0 ? "runuser -u postgres --" : "";
    (void)shell("mkdir -p %s; chmod 755 %s", path, dir);
    if (getuid() == 0) (void)shell("chown postgres %s%s", path, "");
    (void)snprintf(text, sizeof text,
                   "%s $(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/initdb -D %s/data -A trust -U bench >/dev/null 2>&1", as,
                   path);
    if (system(text) != 0) return fprintf(stderr, "peers: initdb failed\n"), -1;
    (void)snprintf(text, sizeof text,
                   "%s $(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/pg_ctl -D %s/data -w -o \"-c listen_addresses='' -k %s -c "
                   "synchronous_commit=on -c shared_buffers=512MB "
                   "-c max_wal_size=4GB\" start >/dev/null 2>&1",
                   as, path, path);
    if (system(text) != 0) return fprintf(stderr, "peers: postgres did not start\n"), -1;
    double rate = -1;
    (void)snprintf(info, sizeof info, "host=%s user=bench dbname=postgres", path);
    PGconn *c = PQconnectdb(info);
    if (PQstatus(c) == CONNECTION_OK) {
        query(c, "create table balance(id int primary key, cap bigint, taken bigint) with (fillfactor=50)");
        query(c, "create table hold(id bigserial primary key, doc int, amount bigint)");
        (void)snprintf(text, sizeof text, "insert into balance select i, 1000000000, 0 from generate_series(0, %u) i", rows - 1);
        query(c, text);
        query(c, "create function reserve(n int, rows int) returns int language plpgsql as $$ declare d int; k int := 0; begin "
                 "for i in 1..n loop d := floor(random() * rows); "
                 "update balance set taken = taken + 1 where id = d and taken + 1 <= cap; if found then insert into hold(doc, "
                 "amount) values (d, 1); k := k + 1; end if; end loop; return k; end $$");
        query(c, "checkpoint");
        uint64_t done = 0;
        (void)snprintf(text, sizeof text, "select reserve(%u, %u)", batch, rows);
        double began = peer_now();
        while (peer_now() - began < seconds) {
            if (!query(c, text)) break;
            done += batch;
        }
        rate = (double)done / (peer_now() - began);
    } else fprintf(stderr, "peers: postgres: %s", PQerrorMessage(c));
    PQfinish(c);
    (void)snprintf(text, sizeof text,
                   "%s $(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/pg_ctl -D %s/data -m immediate stop >/dev/null 2>&1", as,
                   path);
    (void)!system(text);
    return rate;
}
