/* hub, power cuts while it begins with a state: whatever call they fall into, the directory is the old one or the new one, and
 * the next start has the new one where it was said to be there. */
#include "hub_state.h"
#include "sim_disk.h"

static sim_disk *sd;
static kh_disk sim;

static void setup(void)
{
    state_begin();
    sd = NULL;
}
static void teardown(void)
{
    if (sd != NULL) sim_disk_free(sd);
    state_end();
}
TestSuite(hub_join, .init = setup, .fini = teardown);

static kh_store_options options_of(void)
{
    return (kh_store_options){.clock = &w.clock,
                              .disk = &sim,
                              .entropy = &w.entropy,
                              .accept_time = true,
                              .inline_engine = true,
                              .driven = true,
                              .private_disk = true};
}

static bool there(const char *path)
{
    kh_file *f = NULL;
    if (sim.open(sim.self, path, KH_OPEN_READ, &f) != KH_OK) return false;
    sim.close(sim.self, f);
    return true;
}

static void put(const char *path)
{
    kh_file *f = NULL;
    cr_assert(sim.open(sim.self, path, KH_OPEN_WRITE | KH_OPEN_CREATE, &f) == KH_OK &&
              sim.write(sim.self, f, 0, "old", 3) == KH_OK && sim.sync(sim.self, f) == KH_OK);
    sim.close(sim.self, f);
}

/* An empty store, as kanhed makes it, with outputs and a look-up of before. */
static void begin_old(uint64_t seed)
{
    if (sd != NULL) sim_disk_free(sd);
    sd = sim_disk_new(seed);
    sim = sim_disk_table(sd);
    const kh_store_options options = options_of();
    cr_assert(kh_store_create(&options, "data", NULL, NULL) == KH_OK);
    cr_assert(sim.make_dir(sim.self, "data/outputs") == KH_OK);
    put("data/outputs/10.packages");
    put("data/lookups/seen");
    cr_assert(sim.sync_dir(sim.self, "data/outputs") == KH_OK && sim.sync_dir(sim.self, "data/lookups") == KH_OK &&
              sim.sync_dir(sim.self, "data") == KH_OK && sim.sync_dir(sim.self, "") == KH_OK);
}

/* 0: no data directory; 1: the old one; 2: the new one; it is one of these as a whole. */
static uint32_t which(void)
{
    kh_store *s = NULL;
    kh_store_report report;
    kh_store_stats stats;
    const kh_store_options options = options_of();
    if (!there("data/format")) return 0;
    kh_err err = kh_store_open(&options, "data", &report, &s);
    cr_assert(err == KH_OK, "%d %s", err, report.why);
    kh_store_get_stats(s, &stats);
    kh_store_close(s);
    bool old = there("data/outputs/10.packages") && !there("data/outputs/posts"), begun = there("data/outputs/posts");
    cr_assert(stats.height == 0 ? old : begun && stats.height >= 5, "%lu", (unsigned long)stats.height);
    cr_assert(there("data/lookups/seen"));
    return stats.height == 0 ? 1 : 2;
}

static kh_err make(void)
{
    char why[300];
    const kh_store_options options = options_of();
    return join_in(&options, "data", &made, true, why, sizeof why);
}

static kh_err take(void)
{
    bool taken;
    return kh_join_take(&sim, "data", &taken);
}

static void count_joined(void *ctx, const char *name) { *(uint32_t *)ctx += strncmp(name, "joined", 6) == 0; }

Test(hub_join, power_cuts)
{
    begin_old(1);
    uint64_t before = sim_disk_calls(sd);
    cr_assert(make() == KH_OK && which() == 1);
    uint64_t making = sim_disk_calls(sd) - before;
    cr_assert(take() == KH_OK && which() == 2);
    uint32_t seen[3] = {0};
    for (uint64_t k = 0; k < making + 80; k += k + 30 < making && k > 30 ? 5 : 1) {
        begin_old(k + 2);
        sim_disk_cut_after(sd, k);
        bool said = make() == KH_OK, took = said && take() == KH_OK;
        cr_assert(took || sim_disk_is_cut(sd));
        for (uint64_t again = 0; !took; again += 3) { /* and in each start behind it */
            sim_disk_restart(sd);
            uint32_t is = which();
            seen[is]++;
            cr_assert(!said || is != 1 || there("data/joined/store/format"), "cut %lu: what was said to be there is not",
                      (unsigned long)k);
            sim_disk_cut_after(sd, again);
            kh_err err = take();
            took = err == KH_OK;
            cr_assert(took || sim_disk_is_cut(sd), "cut %lu: %d", (unsigned long)k, err);
        }
        sim_disk_restart(sd);
        uint32_t is = which();
        cr_assert(is == 2 || (is == 1 && !said), "cut %lu: %u", (unsigned long)k, is);
        uint32_t left = 0;
        cr_assert(take() == KH_OK && sim.list(sim.self, "data", count_joined, &left) == KH_OK && left == 0, "cut %lu",
                  (unsigned long)k);
    }
    cr_assert(seen[0] != 0 && seen[1] != 0 && seen[2] != 0, "%u %u %u", seen[0], seen[1], seen[2]);
}
