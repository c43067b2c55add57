/* hearth serve: answers over HTTP until it is told to stop. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/process.h"
#include "cli/command.h"
#include "cli/drafting_options.h"
#include "cli/engine_options.h"
#include "cli/model_options.h"
#include "cli/run_history.h"
#include "cli/serve_log.h"
#include "cli/tune_check.h"
#include "route/local_backend.h"
#include "server/http_server.h"

enum {
    SERVE_SPECS = ENGINE_SPECS + DRAFTING_SPECS + MODEL_SPECS + 24,
    FILES_BESIDE = 256,
    MAX_HOST = 256
};

struct serve_options {
    struct local_backend_settings backend;
    struct model_options models;
    struct http_server_settings server;
    struct tune_settings tuning;
    char *program;
    const char *host, *key_file, *log_file;
    struct option_list keys;
    int64_t port, parallel, queue, connections, drain_s;
    uint64_t body_bytes;
    bool port_given, quiet;
    char host_name[MAX_HOST];
    struct key_list key_list;
    struct key_check key_check;
    struct serve_log log;
};

/* long: a table of options */
static size_t serve_specs(struct serve_options *o, struct option_spec *specs) {
    size_t n = engine_specs(&o->backend.engine, specs);
    n += drafting_specs(&o->backend.drafting, specs + n);
    n += model_specs(&o->models, specs + n);
    const struct option_spec own[] = {
        {.type = OPTION_HEADING, .help = "Server"},
        {.name = "host",
         .argument = "HOST[:PORT]",
         .help = "listen at this address (default: 127.0.0.1); beyond this machine only with keys",
         .environment = "HEARTH_HOST",
         .type = OPTION_STRING,
         .string = &o->host},
        {.name = "port",
         .argument = "N",
         .help = "port (default: 8484); 0 takes any that is free",
         .type = OPTION_INT,
         .least = 0,
         .most = 65535,
         .integer = &o->port,
         .given = &o->port_given},
        {.name = "api-key",
         .argument = "KEY",
         .help = "clients must have this key; may be repeated",
         .environment = "HEARTH_API_KEY",
         .type = OPTION_LIST,
         .list = &o->keys},
        {.name = "api-key-file",
         .argument = "FILE",
         .help = "the same, from the lines of a file",
         .type = OPTION_STRING,
         .string = &o->key_file},
        {.name = "cors",
         .argument = "ORIGIN",
         .help = "pages of this origin may ask, such as https://chat.example; may be repeated",
         .type = OPTION_LIST,
         .list = &o->server.origins},
        {.name = "allow-host",
         .argument = "NAME",
         .help = "this server is also known by this name; may be repeated",
         .type = OPTION_LIST,
         .list = &o->server.hosts},
        {.name = "tls-cert",
         .argument = "FILE",
         .help = "speak TLS (https) with this certificate, in PEM; read again on SIGHUP",
         .type = OPTION_STRING,
         .string = &o->server.tls_certificate},
        {.name = "tls-key",
         .argument = "FILE",
         .help = "its key, in PEM; only its owner may read the file",
         .type = OPTION_STRING,
         .string = &o->server.tls_key},
        {.name = "alias",
         .letter = 'a',
         .argument = "NAME",
         .help = "what clients call the model",
         .type = OPTION_STRING,
         .string = &o->backend.name},
        {.name = "parallel",
         .argument = "N",
         .help = "answers computed at once (default: 16); more of them share the cache's memory",
         .environment = "HEARTH_NUM_PARALLEL",
         .type = OPTION_INT,
         .least = 1,
         .most = LOCAL_MODEL_MAX_PARALLEL,
         .integer = &o->parallel},
        {.name = "max-queue",
         .argument = "N",
         .help = "requests that may wait (default: 64)",
         .type = OPTION_INT,
         .least = 1,
         .most = 1 << 20,
         .integer = &o->queue},
        {.name = "max-connections",
         .argument = "N",
         .help = "connections at a time (default: 4096)",
         .type = OPTION_INT,
         .least = 8,
         .most = 1 << 20,
         .integer = &o->connections},
        {.name = "max-body",
         .argument = "SIZE",
         .help = "largest body of a request (default: 64M)",
         .type = OPTION_BYTES,
         .least = 1024,
         .most = 1 << 30,
         .bytes = &o->body_bytes},
        {.name = "drain",
         .argument = "SECONDS",
         .help = "when told to stop, finish answers for so long (default: 30)",
         .type = OPTION_INT,
         .least = 0,
         .most = 86400,
         .integer = &o->drain_s},
        {.name = "slot-save-path",
         .argument = "DIR",
         .help = "POST /slots/ID?action=save keeps what answers have computed in files there",
         .type = OPTION_STRING,
         .string = &o->server.slot_folder},
        {.name = "log-file",
         .argument = "FILE",
         .help =
             "append a line of JSON for every request (default: to standard error); opened again "
             "on SIGUSR1",
         .type = OPTION_STRING,
         .string = &o->log_file},
        {.name = "log-prompts",
         .help = "what is asked is part of these lines",
         .type = OPTION_FLAG,
         .flag = &o->server.log.bodies},
        {.name = "quiet",
         .letter = 'q',
         .help = "no such lines",
         .type = OPTION_FLAG,
         .flag = &o->quiet},
    };
    memcpy(specs + n, own, sizeof own);
    return n + sizeof own / sizeof own[0];
}

/* ---- settings -------------------------------------------------------------------- */

/* "host", "host:port", ":port", "[::1]:port", "::1". */
static hearth_status read_host(struct serve_options *o, hearth_error *err) {
    const char *text = o->host, *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[',
         has_port = colon && (bracketed ? colon[-1] == ']' : strchr(text, ':') == colon);
    size_t n = has_port ? (size_t)(colon - text) : strlen(text);
    if (has_port && !o->port_given) {
        char *end;
        errno = 0;
        long port = strtol(colon + 1, &end, 10);
        if (end == colon + 1 || *end || errno || port < 0 || port > 65535)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' has no possible port", text);
        o->port = port;
    }
    if (bracketed && n >= 2) {
        text++;
        n -= 2;
    }
    if (n >= sizeof o->host_name)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' is too long for a host", o->host);
    memcpy(o->host_name, text, n);
    if (n > 0) o->server.host = o->host_name;
    return HEARTH_OK;
}

static hearth_status read_keys(struct serve_options *o, hearth_error *err) {
    for (size_t i = 0; i < o->keys.count; i++)
        RETURN_IF_ERROR(
            key_list_add(&o->key_list, o->keys.items[i], strlen(o->keys.items[i]), err));
    if (o->key_file) RETURN_IF_ERROR(key_list_read(&o->key_list, o->key_file, err));
    o->key_check = key_list_check(&o->key_list);
    o->server.keys = &o->key_check;
    return HEARTH_OK;
}

static hearth_status open_log(struct serve_options *o, hearth_error *err) {
    if (!o->quiet) {
        o->server.log.write = serve_log_write;
        o->server.log.context = &o->log;
    }
    return serve_log_open(&o->log, o->quiet ? NULL : o->log_file, err);
}

static hearth_status read_settings(struct serve_options *o, hearth_error *err) {
    if (o->host) RETURN_IF_ERROR(read_host(o, err));
    o->server.port = (uint16_t)o->port;
    o->server.max_connections = (unsigned)o->connections;
    o->server.max_body_bytes = o->body_bytes;
    o->backend.n_parallel = (uint32_t)o->parallel;
    o->backend.max_waiting = (uint32_t)o->queue;
    o->backend.keeps_slots = o->server.slot_folder != NULL;
    if (o->server.slot_folder && !file_is_folder(o->server.slot_folder))
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "--slot-save-path: no folder '%s'",
                         o->server.slot_folder);
    return read_keys(o, err);
}

/* ---- running ------------------------------------------------------------------------ */

/* Blocked before any thread is started, so that all of them have it so and one waits. Without
 * anything to read again SIGHUP says that the terminal is gone, and ends the server. */
static void block_signals(const struct serve_options *o, sigset_t *signals) {
    sigemptyset(signals);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
    if (o->server.tls_certificate) sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* whoever reads the log may end before the server */
}

static void flush_usage(struct serve_options *o) {
    hearth_error problem = {0};
    if (usage_queue_flush(o->server.usage, date_now_ms(), &problem) != HEARTH_OK)
        fprintf(stderr, "hearth: what requests used is not stored yet: %s\n", problem.message);
}

static void reopen_log(struct serve_options *o) {
    hearth_error problem = {0};
    if (serve_log_reopen(&o->log, &problem) != HEARTH_OK)
        fprintf(stderr, "hearth: the log goes on in the former file: %s\n", problem.message);
}

static void reload(struct http_server *server) {
    hearth_error problem = {0};
    if (http_server_reload(server, &problem) == HEARTH_OK)
        fprintf(stderr, "hearth: the certificate was read again\n");
    else
        fprintf(stderr, "hearth: the former certificate stays: %s\n", problem.message);
}

/* Every second what requests used goes to the disk. A second signal has its ordinary effect. */
static void wait_for_end(struct serve_options *o, struct http_server *server,
                         const sigset_t *signals) {
    const struct timespec second = {.tv_sec = 1};
    for (int got = 0; got != SIGINT && got != SIGTERM;) {
        got = sigtimedwait(signals, NULL, &second);
        if (got == SIGHUP) reload(server);
        if (got == SIGUSR1) reopen_log(o);
        if (got < 0) flush_usage(o);
    }
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
}

static hearth_status open_store(struct serve_options *o, hearth_error *err) {
    char *path;
    hearth_status status = run_history_file(&path, err);
    if (status == HEARTH_OK) status = store_pool_open(&o->server.store, path, err);
    if (status == HEARTH_OK) status = usage_queue_open(&o->server.usage, o->server.store, err);
    mem_free(path);
    return status;
}

static void close_store(struct serve_options *o) {
    if (o->server.usage) flush_usage(o);
    usage_queue_close(o->server.usage);
    store_pool_close(o->server.store);
}

static hearth_status serve_until_end(struct serve_options *o, const sigset_t *signals,
                                     hearth_error *err) {
    struct http_server *server;
    RETURN_IF_ERROR(http_server_start(&server, &o->server, err));
    printf("Hearth serves at %s (Ctrl-C ends it)\n", http_server_address(server));
    fflush(stdout);
    wait_for_end(o, server, signals);
    http_server_drain(server, (unsigned)o->drain_s);
    http_server_stop(server);
    return HEARTH_OK;
}

/* Runs of tuning are this same program's. */
static hearth_status find_program(struct serve_options *o, hearth_error *err) {
    o->program = process_program();
    if (!o->program) return error_set(err, HEARTH_ERROR_IO, "cannot tell where this program is");
    o->tuning = (struct tune_settings){.program = o->program, .check = tune_check};
    o->server.tuning = &o->tuning;
    return HEARTH_OK;
}

static hearth_status serve(struct serve_options *o, hearth_error *err) {
    sigset_t signals;
    block_signals(o, &signals);
    process_allow_files((uint64_t)o->server.max_connections + FILES_BESIDE);
    hearth_status status = open_store(o, err);
    if (status == HEARTH_OK) status = find_program(o, err);
    if (status == HEARTH_OK) status = local_backend_open(&o->server.backend, &o->backend, err);
    if (status == HEARTH_OK) status = serve_until_end(o, &signals, err);
    backend_close(o->server.backend);
    close_store(o);
    mem_free(o->program);
    return status;
}

int cmd_serve(int argc, char **argv) {
    struct serve_options o = {
        .port = HTTP_DEFAULT_PORT, .queue = 64, .connections = 4096, .drain_s = 30};
    struct option_spec specs[SERVE_SPECS];
    size_t n = serve_specs(&o, specs);
    const struct option_table table = {
        .command = "hearth serve",
        .arguments = "[MODEL...]",
        .summary =
            "Answers over HTTP as OpenAI's, Anthropic's, Ollama's and llama.cpp's servers\n"
            "do, and serves the browser app. The first MODEL answers where requests name none;\n"
            "without any it is Ember, which comes with Hearth. Others that 'hearth list' "
            "shows\nare loaded when requests name them.",
        .examples = "hearth serve qwen3:4b\n"
                    "hearth serve ./model.gguf --port 8080\n"
                    "hearth serve qwen3:4b --host 0.0.0.0 --api-key-file keys.txt",
        .specs = specs,
        .n_specs = n};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    hearth_status status = model_options_apply(&o.models, &arguments, &o.backend, &err);
    if (status == HEARTH_OK) status = read_settings(&o, &err);
    if (status == HEARTH_OK) {
        status = open_log(&o, &err);
        if (status == HEARTH_OK) status = serve(&o, &err);
        serve_log_close(&o.log);
    }
    return status == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
