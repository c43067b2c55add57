#include "cli/tune_hosts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/process.h"
#include "train/ranks_start.h"

enum { OUTPUT_BYTES = 1 << 14 };

/* ---- the list --------------------------------------------------------------------- */

/* A name goes to ssh and mpirun as an argument and part of one: nothing that means something
 * there. */
static bool is_host(const char *name) {
    if (!isalnum((unsigned char)*name)) return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("._-@", *name)) return false;
    return true;
}

static hearth_status take_host(struct tune_hosts *hosts, const char *text, size_t length,
                               hearth_error *err) {
    char name[TUNE_HOST_BYTES], *end;
    long n = 1;
    if (hosts->count == TUNE_HOSTS_MAX)
        return error_set(err, HEARTH_ERROR_LIMIT, "--hosts: more than %d hosts", TUNE_HOSTS_MAX);
    if (length >= sizeof name)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "--hosts: '%.40s...' is too long", text);
    memcpy(name, text, length);
    name[length] = '\0';
    char *colon = strchr(name, ':');
    if (colon) {
        n = strtol(colon + 1, &end, 10);
        if (end == colon + 1 || *end || n < 1 || n > TUNE_HOST_RANKS)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "--hosts: '%s': after the colon is how many processes, 1 to %d", name,
                             TUNE_HOST_RANKS);
        *colon = '\0';
    }
    if (!is_host(name))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "--hosts: '%s' is not the name of a host",
                         name);
    memcpy(hosts->items[hosts->count].name, name, sizeof name);
    hosts->items[hosts->count++].n_ranks = (int)n;
    hosts->n_ranks += (int)n;
    return HEARTH_OK;
}

hearth_status tune_hosts_parse(struct tune_hosts *hosts, const char *text, hearth_error *err) {
    hosts->count = hosts->n_ranks = 0;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        RETURN_IF_ERROR(take_host(hosts, at, length, err));
        at += length;
        if (!*at) return HEARTH_OK;
    }
}

/* ---- are they there ----------------------------------------------------------------- */

/* What mpirun uses, too. */
static const char *remote_shell(void) {
    const char *agent = getenv("OMPI_MCA_plm_rsh_agent");
    return agent && *agent ? agent : "ssh";
}

static const char *first_line(char *text) {
    text[strcspn(text, "\r\n")] = '\0';
    return *text ? text : "it said nothing";
}

static hearth_status judge(const char *host, const char *program, char *output, int code,
                           hearth_error *err) {
    char *version = strstr(output, "hearth ");
    if (code == 0 && version) {
        version[strcspn(version, "\r\n")] = '\0';
        if (strcmp(version, "hearth " HEARTH_VERSION) == 0) return HEARTH_OK;
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "host '%s' has %s, this is hearth %s: install the same everywhere", host,
                         version, HEARTH_VERSION);
    }
    if (code == 126 || code == 127)
        return error_set(err, HEARTH_ERROR_NOT_FOUND,
                         "host '%s' has no '%s': install hearth there under the same path", host,
                         program);
    return error_set(err, HEARTH_ERROR_IO,
                     "host '%s' cannot be reached: %.200s; 'ssh %s' must work without a password",
                     host, first_line(output), host);
}

static hearth_status check_host(const char *host, const char *program, unsigned limit_s,
                                hearth_error *err) {
    char *output = NULL, patience[32];
    int code;
    const char *const argv[] = {remote_shell(), "-o",    "BatchMode=yes", "-o", patience,
                                host,           program, "--version",     NULL};
    snprintf(patience, sizeof patience, "ConnectTimeout=%u", limit_s);
    hearth_status status = process_capture(argv, OUTPUT_BYTES, 2 * limit_s, &output, &code, err);
    if (status != HEARTH_OK) return error_prefix(err, status, "cannot ask host '%s'", host);
    status = judge(host, program, output, code, err);
    mem_free(output);
    return status;
}

/* mpirun reaches this machine without a remote shell. */
static bool is_here(const char *host) {
    return strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0;
}

/* The path of this program, given; one that a remote shell reads as it is. */
static hearth_status find_program(char **program, hearth_error *err) {
    *program = process_program();
    if (!*program) return error_set(err, HEARTH_ERROR_IO, "cannot tell where this program is");
    for (const char *c = *program; *c; c++) {
        if (isalnum((unsigned char)*c) || strchr("/._-+", *c)) continue;
        error_set(err, HEARTH_ERROR_ARGUMENT,
                  "'%s': the path of this program has a '%c'; other hosts need one of letters, "
                  "digits and ._-+",
                  *program, *c);
        mem_free(*program);
        return HEARTH_ERROR_ARGUMENT;
    }
    return HEARTH_OK;
}

hearth_status tune_hosts_check(const struct tune_hosts *hosts, unsigned limit_s,
                               hearth_error *err) {
    char *program;
    hearth_status status = find_program(&program, err);
    if (status != HEARTH_OK) return status;
    for (int i = 0; i < hosts->count && status == HEARTH_OK; i++)
        if (!is_here(hosts->items[i].name))
            status = check_host(hosts->items[i].name, program, limit_s, err);
    mem_free(program);
    return status;
}

/* ---- the run --------------------------------------------------------------------------- */

/* What a run may depend on, where it is set. */
static const char *const passed_on[] = {"HEARTH_CPU",    "HEARTH_THREADS", "HEARTH_HOME",
                                        "HEARTH_MODELS", "HF_HOME",        "HF_HUB_OFFLINE"};
enum { N_PASSED_ON = sizeof passed_on / sizeof *passed_on };

/* Ranks choose their cores themselves, and rest while they wait. A host that vanishes from the
 * network ends the run: ssh, which stays connected, notices it after 3 * 5 seconds without an
 * answer, mpirun and what it has started there after 5 + 4 * 3. */
static const char *const fixed[] = {
    "--bind-to",
    "none",
    "--mca",
    "mpi_yield_when_idle",
    "1",
    "--mca",
    "orte_leave_session_attached",
    "1",
    "--mca",
    "plm_rsh_args",
    "-o BatchMode=yes -o ServerAliveInterval=5 -o ServerAliveCountMax=3",
    "--mca",
    "oob_tcp_keepalive_time",
    "5",
    "--mca",
    "oob_tcp_keepalive_intvl",
    "3",
    "--mca",
    "oob_tcp_keepalive_probes",
    "4"};
enum { N_FIXED = sizeof fixed / sizeof *fixed };

static void list_slots(const struct tune_hosts *hosts, struct buf *out) {
    for (int i = 0; i < hosts->count; i++)
        buf_append_format(out, "%s%s:%d", i ? "," : "", hosts->items[i].name,
                          hosts->items[i].n_ranks);
}

static hearth_status start_run(const char *program, const char *slots, int n_ranks, int argc,
                               char **argv, int *exit_code, hearth_error *err) {
    char count[16];
    size_t n = 0;
    size_t most = (size_t)argc + N_FIXED + 2 * (size_t)N_PASSED_ON + 16;
    const char **line = mem_calloc(most, sizeof *line);
    if (!line) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a command line");
    snprintf(count, sizeof count, "%d", n_ranks);
    const char *const head[] = {"mpirun", "--host", slots, "-np", count};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        line[n++] = head[i];
    for (size_t i = 0; i < N_FIXED; i++)
        line[n++] = fixed[i];
    for (size_t i = 0; i < N_PASSED_ON; i++) {
        if (!getenv(passed_on[i])) continue;
        line[n++] = "-x";
        line[n++] = passed_on[i];
    }
    line[n++] = program;
    line[n++] = "tune";
    for (int i = 1; i < argc; i++)
        line[n++] = argv[i];
    hearth_status status = process_run(line, exit_code, err);
    mem_free(line);
    if (status == HEARTH_ERROR_NOT_FOUND)
        return error_set(err, status,
                         "mpirun is not there: Open MPI starts runs on several hosts; install it "
                         "on all of them (Debian: openmpi-bin)");
    return status;
}

hearth_status tune_hosts_run(const struct tune_hosts *hosts, int argc, char **argv, int *exit_code,
                             hearth_error *err) {
    struct buf slots;
    char *program;
    if (!ranks_supported())
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "this program was built without Open MPI: install libopenmpi-dev and "
                         "build again");
    RETURN_IF_ERROR(find_program(&program, err));
    buf_init(&slots, (size_t)TUNE_HOSTS_MAX * (TUNE_HOST_BYTES + 16));
    list_slots(hosts, &slots);
    hearth_status status =
        slots.failed
            ? error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the hosts")
            : start_run(program, buf_text(&slots), hosts->n_ranks, argc, argv, exit_code, err);
    buf_release(&slots);
    mem_free(program);
    return status;
}
