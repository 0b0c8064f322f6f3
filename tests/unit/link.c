/* Links between nodes: order, bounds, peers that come and go. */
#include "link_town.h"
#include <criterion/criterion.h>
#include <poll.h>

TestSuite(link, .init = setup, .fini = teardown);

static node nodes[5];

Test(link, two_links_carry_all_sizes_whole_and_in_order)
{
    static const size_t sizes[] = {
        8, 9, 160, 16375, 16376, 16377, 65528, 65529, 131071, 131072, 131073, 1 << 20, KH_LINK_MESSAGE_MAX};
    uint64_t total = 0, number = 0;
    town_start(nodes, 2, &ca, 4 * (size_t)KH_LINK_MESSAGE_MAX);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            cr_assert(node_send(&nodes[0], 12, ++number, sizes[i]) == KH_OK);
            total += sizes[i];
            for (int small = 0; small < 5; small++, total += 40) cr_assert(node_send(&nodes[0], 12, ++number, 40) == KH_OK);
        }
    WAIT_FOR(atomic_load(&nodes[1].received[11]) == number, 60000);
    cr_assert(atomic_load(&nodes[1].received[11]) == number);
    cr_assert(atomic_load(&nodes[1].bytes) == total);
    cr_assert(atomic_load(&nodes[1].disordered) == 0 && atomic_load(&nodes[1].damaged) == 0);
    cr_assert(atomic_load(&nodes[1].last_type) == (uint8_t)(1 + number % 255));
    kh_link_counts out, in;
    kh_link_count(nodes[0].link, &out);
    kh_link_count(nodes[1].link, &in);
    cr_assert(out.sent == number && in.received == number && out.dropped_full == 0 && out.dropped_down == 0);
    cr_assert(in.bytes_in >= total + 8 * number && out.bytes_out >= total + 8 * number);
    cr_assert(in.refused == 0);
    town_stop(nodes, 2);
}

Test(link, an_empty_message_is_one)
{
    town_start(nodes, 2, &ca, 0);
    cr_assert(kh_link_send(nodes[0].link, 12, 3, NULL, 0) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[1].received[11]) == 1, 20000);
    cr_assert(atomic_load(&nodes[1].received[11]) == 1 && atomic_load(&nodes[1].last_type) == 3);
    town_stop(nodes, 2);
}

typedef struct sender {
    node *me;
    uint32_t n, each;
    _Atomic uint64_t sent[5];
} sender;

static void *send_to_all(void *ctx)
{
    sender *s = ctx;
    for (uint64_t i = 1; i <= s->each; i++)
        for (uint32_t j = 0; j < s->n; j++)
            if (nodes[j].id != s->me->id &&
                node_send(s->me, nodes[j].id, i, 8 + (i * 977) % 3000 + (i % 50 == 0) * 200000) == KH_OK)
                atomic_fetch_add(&s->sent[j], 1);
    return NULL;
}

Test(link, five_links_all_to_all)
{
    enum { N = 5, EACH = 1000 };
    static sender senders[N];
    pthread_t threads[N];
    town_start(nodes, N, &ca, 0);
    for (uint32_t i = 0; i < N; i++) {
        senders[i].me = &nodes[i];
        senders[i].n = N;
        senders[i].each = EACH;
        cr_assert(pthread_create(&threads[i], NULL, send_to_all, &senders[i]) == 0);
    }
    for (uint32_t i = 0; i < N; i++) (void)pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j < N; j++) {
            if (i == j) continue;
            WAIT_FOR(atomic_load(&nodes[j].received[11 + i]) == EACH, 30000);
            cr_assert(atomic_load(&senders[i].sent[j]) == EACH);
            cr_assert(atomic_load(&nodes[j].received[11 + i]) == EACH, "%u of %u",
                      (unsigned)atomic_load(&nodes[j].received[11 + i]), EACH);
        }
    for (uint32_t i = 0; i < N; i++) cr_assert(atomic_load(&nodes[i].disordered) == 0 && atomic_load(&nodes[i].damaged) == 0);
    town_stop(nodes, N);
}

Test(link, a_peer_that_restarts_is_found_again)
{
    town_start(nodes, 2, &ca, 0);
    for (uint64_t round = 1; round <= 3; round++) {
        kh_link_stop(nodes[1].link);
        nodes[1].link = NULL;
        WAIT_FOR(!kh_link_is_up(nodes[0].link, 12), 20000);
        cr_assert(!kh_link_is_up(nodes[0].link, 12));
        cr_assert(atomic_load(&nodes[0].downs) == round);
        cr_assert(node_send(&nodes[0], 12, 100 * round, 50) == KH_E_AGAIN); /* dropped, and told so */
        sleep_ms(round == 2 ? 700 : 0);
        node_start(&nodes[1], &ca, 0);
        cr_assert(kh_link_peer(nodes[1].link, 11, nodes[0].address) == KH_OK);
        WAIT_FOR(kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[1].link, 11), 20000);
        cr_assert(kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[1].link, 11));
        cr_assert(node_send(&nodes[0], 12, 100 * round + 1, 50) == KH_OK);
        WAIT_FOR(atomic_load(&nodes[1].received[11]) == round, 20000);
        cr_assert(atomic_load(&nodes[1].received[11]) == round);
    }
    kh_link_counts counts;
    kh_link_count(nodes[0].link, &counts);
    cr_assert(counts.dropped_down == 3);
    cr_assert(atomic_load(&nodes[0].ups) == 4);
    town_stop(nodes, 2);
}

Test(link, what_waited_on_a_broken_connection_is_dropped_and_counted)
{
    kh_link_counts counts;
    uint64_t number = 0, came;
    town_start(nodes, 2, &ca, 0);
    atomic_store(&nodes[1].slow_ms, 100);
    while (number < 300) cr_assert(node_send(&nodes[0], 12, ++number, 100000) == KH_OK);
    kh_link_stop(nodes[1].link);
    WAIT_FOR(!kh_link_is_up(nodes[0].link, 12), 20000);
    kh_link_count(nodes[0].link, &counts);
    came = atomic_load(&nodes[1].received[11]);
    cr_assert(came < 300 && counts.sent + counts.dropped_down == 300 && counts.dropped_down > 0);
    atomic_store(&nodes[1].slow_ms, 0);
    node_start(&nodes[1], &ca, 0);
    cr_assert(kh_link_peer(nodes[1].link, 11, nodes[0].address) == KH_OK);
    WAIT_FOR(kh_link_is_up(nodes[0].link, 12), 20000);
    cr_assert(node_send(&nodes[0], 12, ++number, 100) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[1].last[11]) == number, 20000);
    cr_assert(atomic_load(&nodes[1].received[11]) == came + 1 && atomic_load(&nodes[1].damaged) == 0);
    kh_link_count(nodes[1].link, &counts);
    cr_assert(counts.refused == 0);
    town_stop(nodes, 2);
}

Test(link, peers_are_moved_and_removed)
{
    town_start(nodes, 3, &ca, 0);
    cr_assert(kh_link_peer(nodes[0].link, 11, nodes[1].address) == KH_E_ARG); /* itself */
    cr_assert(kh_link_peer(nodes[0].link, 0, nodes[1].address) == KH_E_ARG);
    cr_assert(kh_link_peer(nodes[0].link, 77, NULL) == KH_E_NOT_FOUND);
    cr_assert(kh_link_peer(nodes[0].link, 77, "no address") == KH_E_ARG);
    cr_assert(kh_link_peer(nodes[0].link, 77, "127.0.0.1") == KH_E_ARG);
    cr_assert(node_send(&nodes[0], 77, 1, 20) == KH_E_NOT_FOUND && node_send(&nodes[0], 11, 1, 20) == KH_E_NOT_FOUND);
    /* removed: nothing goes, and nothing is taken in */
    cr_assert(kh_link_peer(nodes[0].link, 12, NULL) == KH_OK);
    cr_assert(node_send(&nodes[0], 12, 1, 20) == KH_E_NOT_FOUND);
    WAIT_FOR(!kh_link_is_up(nodes[1].link, 11), 20000);
    sleep_ms(500);
    cr_assert(!kh_link_is_up(nodes[1].link, 11) && kh_link_is_up(nodes[2].link, 11) && kh_link_is_up(nodes[0].link, 13));
    /* back again */
    cr_assert(kh_link_peer(nodes[0].link, 12, nodes[1].address) == KH_OK);
    WAIT_FOR(kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[1].link, 11), 20000);
    cr_assert(kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[1].link, 11));
    /* moved: the node listens elsewhere now */
    kh_link_stop(nodes[1].link);
    (void)snprintf(nodes[1].address, sizeof nodes[1].address, "127.0.0.1:%u", free_port());
    node_start(&nodes[1], &ca, 0);
    cr_assert(kh_link_peer(nodes[0].link, 12, nodes[1].address) == KH_OK);
    cr_assert(kh_link_peer(nodes[1].link, 11, nodes[0].address) == KH_OK);
    WAIT_FOR(kh_link_is_up(nodes[0].link, 12), 20000);
    cr_assert(kh_link_is_up(nodes[0].link, 12));
    /* 64 and no more */
    uint32_t added = 2;
    while (kh_link_peer(nodes[0].link, 1000 + added, "127.0.0.1:9") == KH_OK) added++;
    cr_assert(added == KH_LINK_PEERS_MAX);
    cr_assert(kh_link_peer(nodes[0].link, 5000, "127.0.0.1:9") == KH_E_FULL);
    town_stop(nodes, 3);
}

/* A peer that is removed in the middle of its being moved is gone like any other: its own connection ends, and nothing comes in
 * from a member that has no number any more. */
Test(link, a_peer_may_be_removed_while_it_is_moved)
{
    char elsewhere[32];
    town_start(nodes, 2, &ca, 0);
    (void)snprintf(elsewhere, sizeof elsewhere, "127.0.0.1:%u", free_port());
    atomic_store(&nodes[0].forgets, 12);
    cr_assert(kh_link_peer(nodes[0].link, 12, elsewhere) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[0].downs) == 1 && !kh_link_is_up(nodes[1].link, 11), 20000);
    cr_assert(atomic_load(&nodes[0].downs) == 1 && !kh_link_is_up(nodes[1].link, 11));
    cr_assert(node_send(&nodes[1], 11, 1, 100) == KH_E_AGAIN && node_send(&nodes[0], 12, 1, 100) == KH_E_NOT_FOUND);
    atomic_store(&nodes[0].forgets, 0);
    cr_assert(kh_link_peer(nodes[0].link, 12, nodes[1].address) == KH_OK);
    WAIT_FOR(kh_link_is_up(nodes[0].link, 12) && kh_link_is_up(nodes[1].link, 11), 20000);
    cr_assert(node_send(&nodes[1], 11, 2, 100) == KH_OK && node_send(&nodes[0], 12, 2, 100) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[0].received[12]) == 1 && atomic_load(&nodes[1].received[11]) == 1, 20000);
    cr_assert(atomic_load(&nodes[0].received[12]) == 1 && atomic_load(&nodes[1].received[11]) == 1);
    cr_assert(atomic_load(&nodes[0].received[0]) == 0 && atomic_load(&nodes[1].received[0]) == 0);
    town_stop(nodes, 2);
}

Test(link, refuses_to_start_with_what_cannot_work)
{
    char why[300] = "";
    authority other;
    make_authority("other", &other);
    node_make(&nodes[0], 11, &ca);
    node_make(&nodes[1], 12, &ca);
    node me = nodes[0];
    me.credentials = nodes[1].credentials;
    cr_assert(node_try(&me, &ca, 0, why, sizeof why) == KH_E_ARG && strstr(why, "CN=11") != NULL, "%s", why);
    me = nodes[0];
    (void)snprintf(me.credentials.key, sizeof me.credentials.key, "%s", nodes[1].credentials.key);
    cr_assert(node_try(&me, &ca, 0, why, sizeof why) == KH_E_ARG && strstr(why, "key") != NULL, "%s", why);
    me = nodes[0];
    (void)snprintf(me.credentials.certificate, sizeof me.credentials.certificate, "/nowhere.pem");
    cr_assert(node_try(&me, &ca, 0, why, sizeof why) == KH_E_ARG && strstr(why, "/nowhere.pem") != NULL, "%s", why);
    me = nodes[0];
    (void)snprintf(me.address, sizeof me.address, "somewhere");
    cr_assert(node_try(&me, &ca, 0, why, sizeof why) == KH_E_ARG, "%s", why);
    node_start(&nodes[0], &ca, 0);
    me = nodes[0];
    cr_assert(node_try(&me, &ca, 0, why, sizeof why) == KH_E_IO && strstr(why, "listen") != NULL, "%s", why);
    kh_link_stop(nodes[0].link);
    free_authority(&other);
}

/* ---- bounds ---- */

Test(link, a_slow_reader_fills_its_own_queue_only)
{
    enum { QUEUE = 4 << 20, SIZE = 100000 };
    uint64_t taken = 0, number = 0;
    kh_err err = KH_OK;
    town_start(nodes, 3, &ca, QUEUE);
    atomic_store(&nodes[1].slow_ms, 20);
    cr_assert(kh_link_send(nodes[0].link, 12, 1, (const uint8_t *)"", KH_LINK_MESSAGE_MAX + 1) == KH_E_ARG);
    cr_assert(kh_link_send(nodes[0].link, 12, 0, (const uint8_t *)"", 0) == KH_E_ARG);
    for (; taken < 1000 && err == KH_OK; taken += err == KH_OK) err = node_send(&nodes[0], 12, ++number, SIZE);
    cr_assert(err == KH_E_FULL);
    cr_assert(taken * SIZE > QUEUE - SIZE && taken < 1000); /* the queue, and what sockets hold */
    uint64_t begin = now_ms();
    for (uint64_t i = 1; i <= 200; i++) cr_assert(node_send(&nodes[0], 13, i, 1000) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[2].received[11]) == 200, 20000);
    cr_assert(atomic_load(&nodes[2].received[11]) == 200, "a slow peer is no other's trouble");
    cr_assert(now_ms() - begin < 10000);
    kh_link_counts counts;
    kh_link_count(nodes[0].link, &counts);
    cr_assert(counts.dropped_full == 1);
    atomic_store(&nodes[1].slow_ms, 0);
    WAIT_FOR(atomic_load(&nodes[1].received[11]) == taken, 20000);
    cr_assert(atomic_load(&nodes[1].received[11]) == taken && atomic_load(&nodes[1].disordered) == 0);
    cr_assert(kh_link_is_up(nodes[0].link, 12));
    cr_assert(node_send(&nodes[0], 12, ++number, SIZE) == KH_OK); /* there is room again */
    WAIT_FOR(atomic_load(&nodes[1].received[11]) == taken + 1, 20000);
    cr_assert(atomic_load(&nodes[1].received[11]) == taken + 1);
    cr_assert(node_send(&nodes[0], 12, ++number, QUEUE) == KH_E_FULL); /* larger than the queue will ever be */
    town_stop(nodes, 3);
}

/* A relay that swallows: the kernel acknowledges everything, nothing arrives. Only the links' own question shows it. */
typedef struct relay {
    int listener, in, out;
    char to[32];
    _Atomic bool swallow, stop;
} relay;

static void *run_relay(void *ctx)
{
    relay *r = ctx;
    static char bytes[65536];
    while (!atomic_load(&r->stop)) {
        struct pollfd p[3] = {
            {.fd = r->listener, .events = POLLIN}, {.fd = r->in, .events = POLLIN}, {.fd = r->out, .events = POLLIN}};
        if (poll(p, 3, 20) <= 0) continue;
        if (p[0].revents != 0) {
            if (r->in >= 0) (void)close(r->in), (void)close(r->out);
            r->in = accept(r->listener, NULL, NULL);
            r->out = dial_plain(r->to);
            continue;
        }
        for (int side = 0; side < 2; side++) {
            if (p[1 + side].revents == 0) continue;
            ssize_t n = read(side == 0 ? r->in : r->out, bytes, sizeof bytes);
            if (n <= 0) {
                (void)close(r->in), (void)close(r->out);
                r->in = r->out = -1;
                break;
            }
            if (!atomic_load(&r->swallow)) (void)!write(side == 0 ? r->out : r->in, bytes, (size_t)n);
        }
    }
    if (r->in >= 0) (void)close(r->in), (void)close(r->out);
    (void)close(r->listener);
    return NULL;
}

Test(link, a_half_open_connection_is_noticed)
{
    relay r = {.in = -1, .out = -1};
    pthread_t thread;
    char address[32];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    town_start(nodes, 2, &ca, 0);
    r.listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(r.listener, (struct sockaddr *)&a, n) == 0 && listen(r.listener, 5) == 0 &&
              getsockname(r.listener, (struct sockaddr *)&a, &n) == 0);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(a.sin_port));
    (void)snprintf(r.to, sizeof r.to, "%s", nodes[1].address);
    cr_assert(pthread_create(&thread, NULL, run_relay, &r) == 0);
    cr_assert(kh_link_peer(nodes[0].link, 12, address) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[0].ups) == 2, 20000);
    cr_assert(atomic_load(&nodes[0].ups) == 2);
    cr_assert(node_send(&nodes[0], 12, 1, 100) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[1].received[11]) == 1, 20000);
    cr_assert(atomic_load(&nodes[1].received[11]) == 1);
    sleep_ms(2500);
    cr_assert(kh_link_is_up(nodes[0].link, 12)); /* an idle one stays */
    atomic_store(&r.swallow, true);
    uint64_t begin = now_ms(), number = 1;
    while (kh_link_is_up(nodes[0].link, 12) && now_ms() < begin + 120000) { /* what is sent meanwhile does not hide it */
        (void)node_send(&nodes[0], 12, ++number, 100);
        sleep_ms(50);
    }
    uint64_t took = now_ms() - begin;
    cr_assert(took > 5000 && !kh_link_is_up(nodes[0].link, 12), "%u ms", (unsigned)took);
    atomic_store(&r.swallow, false);
    WAIT_FOR(kh_link_is_up(nodes[0].link, 12), 20000);
    cr_assert(kh_link_is_up(nodes[0].link, 12));
    cr_assert(node_send(&nodes[0], 12, ++number, 100) == KH_OK);
    WAIT_FOR(atomic_load(&nodes[1].last[11]) == number, 20000);
    cr_assert(atomic_load(&nodes[1].last[11]) == number);
    town_stop(nodes, 2);
    atomic_store(&r.stop, true);
    (void)pthread_join(thread, NULL);
}

Test(link, a_peer_that_begins_anew_replaces_its_old_connection)
{
    stranger old, fresh;
    town_start(nodes, 2, &ca, 0);
    kh_link_stop(nodes[1].link);
    credentials c = make_credentials("again", "12", &ca, 10);
    cr_assert(stranger_dial(&old, nodes[0].address, &c, TLS1_3_VERSION) && stranger_is_welcome(&old));
    cr_assert(stranger_dial(&fresh, nodes[0].address, &c, TLS1_3_VERSION) && stranger_is_welcome(&fresh));
    cr_assert(stranger_is_closed(&old));
    uint8_t frame[16] = {8, 0, 0, 0, 9};
    cr_assert(SSL_write(fresh.ssl, frame, sizeof frame) == sizeof frame);
    WAIT_FOR(atomic_load(&nodes[0].received[12]) == 1, 20000);
    cr_assert(atomic_load(&nodes[0].received[12]) == 1);
    stranger_end(&old);
    stranger_end(&fresh);
    kh_link_stop(nodes[0].link);
}
