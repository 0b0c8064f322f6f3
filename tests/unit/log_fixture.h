/* log_fixture: a log in a directory of its own on the real disk, for a test suite's init and fini. */
#ifndef KH_TESTS_LOG_FIXTURE_H
#define KH_TESTS_LOG_FIXTURE_H
#include "log/log.h"
#include "host/host.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static kh_disk disk;
static char dir[64];

static void remove_name(void *ctx, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", (const char *)ctx, name);
    cr_assert(remove(path) == 0);
}

static void begin(void)
{
    snprintf(dir, sizeof dir, "/tmp/kh_log_XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    cr_assert(kh_host_disk_open(false, &disk) == KH_OK);
    cr_assert(kh_log_create(&disk, dir) == KH_OK);
}

static void end(void)
{
    cr_assert(disk.list(disk.self, dir, remove_name, dir) == KH_OK);
    cr_assert(rmdir(dir) == 0);
    kh_host_disk_close(&disk);
}
#endif
