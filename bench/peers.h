/* peers: one durable check-and-reserve on each peer: "if taken + amount <= cap then taken += amount, and a row of the hold is
 * kept". Every function makes its own data under dir, fills `rows` balances, runs for `seconds` with a transaction (or pipeline)
 * of `batch` reserves on random rows, and gives reserves a second, each counted when the peer said that it is durable; below 0:
 * it could not run, and said why. */
#ifndef KH_BENCH_PEERS_H
#define KH_BENCH_PEERS_H
#include <stdint.h>

double peer_redis(const char *dir, uint32_t rows, uint32_t batch, double seconds);
double peer_postgres(const char *dir, uint32_t rows, uint32_t batch, double seconds);
double peer_sqlite(const char *dir, uint32_t rows, uint32_t batch, double seconds);
double peer_lmdb(const char *dir, uint32_t rows, uint32_t batch, double seconds);

double peer_now(void);
uint32_t peer_random(uint64_t *state);
#endif
