/* fuzz_log: any bytes as the first segment of a log, on the simulated disk: opened for reading and for writing, replayed,
 * written on and opened again. Nothing may crash; what recovery accepted must replay until its chain is found forged. */
#include "log/log.h"
#include "log/wal_format.h"
#include "sim_disk.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_SZ (7 * KH_WAL_BLOCK_SZ)

static kh_err look(void *ctx, const kh_entry *entry)
{
    uint64_t *height = ctx;
    KH_ASSERT(entry->height == *height + 1 && entry->body_sz <= FILE_SZ);
    *height = entry->height;
    return KH_OK;
}

static void read_all(const kh_disk *disk, bool read_only, uint64_t *ret_height)
{
    kh_log_open_report report = {0};
    kh_log *log;
    kh_entry entry;
    uint64_t last = 0;
    if (kh_log_open(disk, "log", read_only, &report, &log) != KH_OK) return;
    kh_err err = kh_log_replay(log, 1, UINT64_MAX, look, &last, &report);
    KH_ASSERT(err == KH_E_DAMAGED || (err == KH_OK && last == report.height));
    if (!read_only && report.time_ns < UINT64_MAX &&
        kh_log_submit(log, report.time_ns, (const uint8_t *)"more", 4, 1, &entry) == KH_OK)
        *ret_height = entry.height;
    kh_log_close(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[FILE_SZ];
    sim_disk *sd = sim_disk_new(1);
    kh_disk disk = sim_disk_table(sd);
    kh_file *f;
    uint64_t height = 0, again = 0;
    memset(bytes, 0, sizeof bytes);
    kh_wal_segment_encode(0, FILE_SZ, bytes);
    memcpy(bytes + KH_WAL_BLOCK_SZ, data, size < FILE_SZ - KH_WAL_BLOCK_SZ ? size : FILE_SZ - KH_WAL_BLOCK_SZ);
    if (disk.make_dir(disk.self, "log") != KH_OK) abort();
    if (disk.open(disk.self, "log/0000000000000000.wal", KH_OPEN_WRITE | KH_OPEN_CREATE, &f) != KH_OK) abort();
    if (disk.write(disk.self, f, 0, bytes, sizeof bytes) != KH_OK) abort();
    disk.close(disk.self, f);
    read_all(&disk, true, &height);
    read_all(&disk, false, &height);
    if (height > 0) {
        read_all(&disk, false, &again);
        KH_ASSERT(again == height + 1);
    }
    sim_disk_free(sd);
    return 0;
}
