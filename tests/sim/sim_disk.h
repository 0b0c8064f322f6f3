/* sim_disk: a disk in memory behind kh_disk, deterministic from a seed, that does to a program what real disks do.
 *
 * It holds two worlds: what the running program sees, and what is durable. Between them stand the writes not yet synced.
 *   sync, a durable file's write   make a file's bytes and its length durable; a submitted write when its end is polled
 *   sync_dir                       makes creations, renames and removals in one directory durable, in their order
 *   power cut                      of what is not durable, any part survives: of each write any of its 512-byte sectors, later
 *                                  writes without earlier ones; of each directory a prefix of its changes. A file whose name
 *                                  did not survive is gone, synced or not.
 *   rename of a folder             with what is in it, whose own changes have to be durable by then (sync_dir): else it aborts
 * Submitted writes end in any order, some only when waited for.
 *
 * A changing call is one of: open that creates, truncate, write, sync, submit_write, rename, remove, make_dir, sync_dir, and
 * poll that reports an end. They are counted from 1. Power fails *in* the call after the last allowed one: that call may have
 * happened in part and answers KH_E_IO, as does all that follows, until sim_disk_restart.
 *
 * Threads  none: one thread uses a sim_disk.   Memory  allocation failures abort; this is a test.
 *
 * A round of a power-cut test:
 *   sim_disk *sd = sim_disk_new(seed);  kh_disk disk = sim_disk_table(sd);
 *   sim_disk_cut_after(sd, k);  ... run until the first error; remember what was acknowledged; close everything ...
 *   sim_disk_restart(sd);       ... open again: all that was acknowledged must be there ... */
#ifndef KH_TESTS_SIM_DISK_H
#define KH_TESTS_SIM_DISK_H
#include "base/effects.h"

typedef struct sim_disk sim_disk;

sim_disk *sim_disk_new(uint64_t seed);
void sim_disk_free(sim_disk *sd); /* all files closed */
kh_disk sim_disk_table(sim_disk *sd);

/* sim_disk_calls counts the changing calls so far. */
uint64_t sim_disk_calls(const sim_disk *sd);
/* sim_disk_cut_after lets n more changing calls happen; power fails in the next. */
void sim_disk_cut_after(sim_disk *sd, uint64_t n);
bool sim_disk_is_cut(const sim_disk *sd);
/* sim_disk_restart brings the machine up again with what survived: after a cut, or to cut the power now. All files are closed
   before it. Clears planned cuts and faults. */
void sim_disk_restart(sim_disk *sd);

/* sim_disk_fail_after lets n more changing calls succeed; the next answers err (KH_E_IO, KH_E_NOSPACE) once. partly: a write has
   put a part of its sectors before it failed. */
void sim_disk_fail_after(sim_disk *sd, uint64_t n, kh_err err, bool partly);
/* sim_disk_fail_read_after: the same for reads. */
void sim_disk_fail_read_after(sim_disk *sd, uint64_t n, kh_err err);
/* sim_disk_rot flips bits of a stored byte, in both worlds; false where the file has no such byte. */
bool sim_disk_rot(sim_disk *sd, const char *path, uint64_t offset, uint8_t mask);
/* sim_disk_lie makes syncs and durable writes claim what they did not do: to see that a test can fail. */
void sim_disk_lie(sim_disk *sd, bool lie);
uint64_t sim_disk_random(sim_disk *sd); /* the disk's own sequence, for tests that want their choices from the same seed */
#endif
