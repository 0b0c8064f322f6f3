/* peers_embedded: SQLite (WAL, synchronous=FULL) and LMDB (synced commits) in this process. */
#include "peers.h"
#include <lmdb.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int sql(sqlite3 *db, const char *text)
{
    char *why = NULL;
    int rc = sqlite3_exec(db, text, NULL, NULL, &why);
    if (rc != SQLITE_OK) fprintf(stderr, "peers: sqlite: %s: %s\n", text, why);
    sqlite3_free(why);
    return rc;
}

double peer_sqlite(const char *dir, uint32_t rows, uint32_t batch, double seconds)
{
    char path[512];
    sqlite3 *db;
    sqlite3_stmt *insert, *reserve, *hold;
    uint64_t seed = 3, id = 0, done = 0;
    (void)snprintf(path, sizeof path, "%s/peer.sqlite", dir);
    if (sqlite3_open(path, &db) != SQLITE_OK) return -1;
    sql(db, "pragma journal_mode=wal; pragma synchronous=full; pragma cache_size=-262144");
    sql(db, "create table balance(id integer primary key, cap integer, taken integer); create table hold(id integer primary key, "
            "doc integer, amount integer)");
    sql(db, "begin");
    sqlite3_prepare_v2(db, "insert into balance values(?, 1000000000, 0)", -1, &insert, NULL);
    for (uint32_t i = 0; i < rows; i++) {
        sqlite3_bind_int64(insert, 1, i);
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    sql(db, "commit");
    sqlite3_prepare_v2(db, "update balance set taken = taken + 1 where id = ? and taken + 1 <= cap", -1, &reserve, NULL);
    sqlite3_prepare_v2(db, "insert into hold values(?, ?, 1)", -1, &hold, NULL);
    double began = peer_now();
    while (peer_now() - began < seconds) {
        sql(db, "begin immediate");
        for (uint32_t i = 0; i < batch; i++) {
            uint32_t doc = peer_random(&seed) % rows;
            sqlite3_bind_int64(reserve, 1, doc);
            sqlite3_step(reserve);
            sqlite3_reset(reserve);
            if (sqlite3_changes(db) != 1) continue;
            sqlite3_bind_int64(hold, 1, (sqlite3_int64)++id);
            sqlite3_bind_int64(hold, 2, doc);
            sqlite3_step(hold);
            sqlite3_reset(hold);
        }
        if (sql(db, "commit") != SQLITE_OK) return -1;
        done += batch;
    }
    double took = peer_now() - began;
    sqlite3_finalize(insert);
    sqlite3_finalize(reserve);
    sqlite3_finalize(hold);
    sqlite3_close(db);
    return (double)done / took;
}

double peer_lmdb(const char *dir, uint32_t rows, uint32_t batch, double seconds)
{
    char path[512];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi balances, holds;
    uint64_t seed = 4, id = 0, done = 0;
    (void)snprintf(path, sizeof path, "%s/peer.lmdb", dir);
    if (mkdir(path, 0700) != 0 || mdb_env_create(&env) != 0) return -1;
    mdb_env_set_mapsize(env, (size_t)16 << 30);
    mdb_env_set_maxdbs(env, 2);
    if (mdb_env_open(env, path, 0, 0600) != 0 || mdb_txn_begin(env, NULL, 0, &txn) != 0) return -1;
    mdb_dbi_open(txn, "balance", MDB_CREATE | MDB_INTEGERKEY, &balances);
    mdb_dbi_open(txn, "hold", MDB_CREATE | MDB_INTEGERKEY, &holds);
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t value[2] = {1000000000, 0};
        MDB_val k = {sizeof i, &i}, v = {sizeof value, value};
        if (mdb_put(txn, balances, &k, &v, MDB_APPEND) != 0) return -1;
    }
    if (mdb_txn_commit(txn) != 0) return -1;
    double began = peer_now();
    while (peer_now() - began < seconds) {
        if (mdb_txn_begin(env, NULL, 0, &txn) != 0) return -1;
        for (uint32_t i = 0; i < batch; i++) {
            uint64_t doc = peer_random(&seed) % rows, value[2];
            MDB_val k = {sizeof doc, &doc}, v;
            if (mdb_get(txn, balances, &k, &v) != 0) return -1;
            memcpy(value, v.mv_data, sizeof value);
            if (value[1] + 1 > value[0]) continue;
            value[1]++;
            v = (MDB_val){sizeof value, value};
            if (mdb_put(txn, balances, &k, &v, 0) != 0) return -1;
            uint64_t hold[2] = {doc, 1};
            id++;
            k = (MDB_val){sizeof id, &id};
            v = (MDB_val){sizeof hold, hold};
            if (mdb_put(txn, holds, &k, &v, MDB_APPEND) != 0) return -1;
        }
        if (mdb_txn_commit(txn) != 0) return -1;
        done += batch;
    }
    double took = peer_now() - began;
    mdb_env_close(env);
    return (double)done / took;
}
