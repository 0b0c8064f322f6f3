/* ask: a party's program that asks a hub by sealed datagrams until it is told to stop.
 *   ask URL CA CERT KEY COUNT THREADS [ADDRESS]
 * Each thread asks about declarations 1 to COUNT, through a client of its own (kh_client_lookup), or, where a datagram ADDRESS is
 * given, over a lane of its own of one session that nobody renews. Prints "asking" when each thread has been answered once; for
 * each line on standard input, and at its end, one line of totals:
 *   rounds N questions N wrong N failed N silent N
 * failed: calls without an answer (why: on standard error); silent: threads whose session fell silent, which end. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include "client/session.h"
#include "questions.h"

#define ROUND 500u /* questions a call */
#define THREADS_MAX 64u

static const char *url, *ca, *cert, *key, *address;
static uint32_t count;
static kh_session_opened session;
static atomic_bool stopping;
static atomic_uint started, silent;
static atomic_ullong rounds, questions, wrong, failures;

static kh_client *client_open(void)
{
    char why[300];
    kh_client_options options = kh_client_options_default(url);
    kh_client *client;
    options.ca = ca;
    options.cert = cert;
    options.key = key;
    if (kh_client_open(&options, why, sizeof why, &client) == KH_DONE) return client;
    fprintf(stderr, "ask: %s\n", why);
    exit(2);
}

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return 1 + (*state >> 8) % count;
}

static void answered(uint64_t bad, bool *first)
{
    rounds++;
    questions += ROUND;
    wrong += bad;
    if (*first) started++;
    *first = false;
}

static void by_library(uint32_t state)
{
    kh_client *client = client_open();
    kh_lookup_question asked[ROUND];
    kh_lookup_answer heard[ROUND];
    uint32_t numbers[ROUND];
    bool first = true;
    while (!stopping) {
        uint64_t bad = 0;
        for (uint32_t i = 0; i < ROUND; i++) asked[i] = question_make(numbers[i] = next(&state));
        if (kh_client_lookup(client, asked, ROUND, heard) != KH_DONE) {
            failures++;
            fprintf(stderr, "ask: %s\n", kh_client_message(client));
            usleep(50000);
            continue;
        }
        for (uint32_t i = 0; i < ROUND; i++) bad += !question_answered(numbers[i], heard[i].code, heard[i].free);
        answered(bad, &first);
    }
    kh_client_close(client);
}

static void by_lane(uint32_t number, uint32_t state)
{
    kh_channel_options options = session.channel;
    kh_channel *channel;
    kh_query asked[ROUND];
    kh_query_answer heard[ROUND];
    uint32_t numbers[ROUND];
    bool first = true;
    options.address = address;
    options.lane = (uint8_t)number;
    if (kh_channel_open(&options, &channel) != KH_OK) exit(2);
    while (!stopping) {
        uint64_t bad = 0;
        for (uint32_t i = 0; i < ROUND; i++) asked[i] = question_query(numbers[i] = next(&state));
        if (kh_channel_verify(channel, asked, ROUND, false, heard, NULL, NULL, NULL) != KH_OK) {
            silent++;
            break;
        }
        for (uint32_t i = 0; i < ROUND; i++) bad += !question_answered(numbers[i], (uint16_t)heard[i].code, heard[i].free);
        answered(bad, &first);
    }
    kh_channel_close(channel);
}

static void *run(void *arg)
{
    uint32_t number = (uint32_t)(uintptr_t)arg;
    if (address == NULL) by_library(number * 7919 + 1);
    else by_lane(number, number * 7919 + 1);
    return NULL;
}

static void tell(void)
{
    printf("rounds %llu questions %llu wrong %llu failed %llu silent %u\n", rounds, questions, wrong, failures, silent);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    char line[80];
    if (argc < 7 || argc > 8) return 2;
    url = argv[1], ca = argv[2], cert = argv[3], key = argv[4], address = argv[7];
    count = (uint32_t)atoi(argv[5]);
    uint32_t thread_cnt = (uint32_t)atoi(argv[6]);
    if (count == 0 || thread_cnt == 0 || thread_cnt > THREADS_MAX) return 2;
    kh_client *client = client_open();
    if (address != NULL && kh_client_session(client, &session) != KH_DONE) {
        fprintf(stderr, "ask: %s\n", kh_client_message(client));
        return 2;
    }
    for (uint32_t i = 0; i < thread_cnt; i++)
        if (pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i) != 0) return 2;
    while (started + silent < thread_cnt) usleep(1000);
    printf("asking\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) tell();
    stopping = true;
    for (uint32_t i = 0; i < thread_cnt; i++) (void)pthread_join(threads[i], NULL);
    tell();
    kh_client_close(client);
    return wrong == 0 ? 0 : 1;
}
