/* tune_hosts.h - a tuning run on several machines: hearth tune --hosts a,b,c:2
 *
 * Each host is reached by ssh without a password, has this program under the same path, and the
 * model and the data under theirs. The run itself is mpirun's, with the same command line; only
 * rank 0, on the first host, writes. */
#ifndef HEARTH_CLI_TUNE_HOSTS_H
#define HEARTH_CLI_TUNE_HOSTS_H

#include "base/status.h"

enum { TUNE_HOSTS_MAX = 256, TUNE_HOST_BYTES = 256, TUNE_HOST_RANKS = 256 };
/* How long to look for a host: before a run, and after one that has ended early. */
enum { TUNE_HOSTS_START_SECONDS = 10, TUNE_HOSTS_LOST_SECONDS = 5 };

struct tune_hosts {
    struct {
        char name[TUNE_HOST_BYTES];
        int n_ranks;
    } items[TUNE_HOSTS_MAX];
    int count, n_ranks;
};

/* "name", "user@name", "name:ranks", separated by commas. */
hearth_status tune_hosts_parse(struct tune_hosts *hosts, const char *text, hearth_error *err);
/* Whether every host but this one can be reached, within about `limit_s` seconds each, and has
 * the same version of this program; fails with the first that is not so. */
hearth_status tune_hosts_check(const struct tune_hosts *hosts, unsigned limit_s, hearth_error *err);
/* Runs 'hearth tune ARGUMENTS' (argv[0] is skipped) on all of them and waits. */
hearth_status tune_hosts_run(const struct tune_hosts *hosts, int argc, char **argv, int *exit_code,
                             hearth_error *err);

#endif
