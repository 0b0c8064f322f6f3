/* daemon: kanhed itself: starts its parts in order, waits for signals, stops them in reverse.
 *
 *   log file, keys, supervisor's socket    as whoever started us (root, or the user)
 *   user, capabilities, Landlock           before the data directory is touched and any thread is made
 *   engine                                 the data directory, made if it is empty; the log's io_uring
 *   seccomp                                before anybody can talk to us (with DPDK: when its devices are set up)
 *   cluster                                where the configuration has that group: app/cluster.h
 *   service, ingest, http                  datagrams before HTTPS, which tells clients their port
 *
 * Signals  TERM, INT: take no more, answer what was taken, close the store with its mark; a second one changes nothing.
 *          HUP: read certificate and key again, for new connections, what was revoked, and a cluster's peers and hubs.  USR1:
 * open the log file again.  PIPE: ignored. Exit     0 stopped as asked · 2 the configuration is wrong · 3 could not start, or the
 * log had failed. */
#ifndef KH_APP_DAEMON_H
#define KH_APP_DAEMON_H
#include "process/config.h"

/* kh_daemon_check looks at what the configuration names (files, modes, the user, ports) and says on stdout what would be done.
   0 or 2. */
int kh_daemon_check(const kh_config *config);
int kh_daemon_run(const kh_config *config, bool accept_time);
#endif
