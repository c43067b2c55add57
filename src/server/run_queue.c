#include "server/run_queue.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/child_process.h"
#include "base/clock.h"
#include "base/date.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/run_result.h"

#define DATA_MAX_BYTES ((size_t)1 << 30)
#define OUTPUT_MAX_BYTES ((size_t)1 << 22)
static const char here[] = "localhost";
enum { BUSY_NS = 200 * 1000 * 1000, IDLE_NS = 999 * 1000 * 1000, END_SECONDS = 60 };
enum { DATA_NAME_BYTES = 256, HOSTS_BYTES = 1024, MOST_ARGUMENTS = 8 };

struct run_queue {
    struct run_queue_settings settings;
    struct run_shelf shelf;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t mutex; /* of what follows, and of what is wanted of runs */
    pthread_cond_t changed;
    struct file_lock lock; /* held: this server starts runs */
    struct child_process child;
    char id[SERVED_RUN_ID_BYTES]; /* of the run that it computes */
    bool told;                    /* to save and end */
    bool look;                    /* a run may be waiting */
    bool ending;
    uint64_t ending_ns; /* since when */
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a run");
}

/* ---- the end of a run ------------------------------------------------------------------------ */

/* The last line of what a program has printed. */
static void last_line(const char *path, char *out, size_t size) {
    char *text, *line;
    size_t n;
    *out = '\0';
    if (!path || file_read(path, OUTPUT_MAX_BYTES, &text, &n, NULL) != HEARTH_OK) return;
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        text[--n] = '\0';
    line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (strncmp(line, "hearth: ", 8) == 0) line += 8;
    snprintf(out, size, "%s", line);
    mem_free(text);
}

static void find_problem(const struct served_run *run, int code, char *out, size_t size) {
    const char *said = json_string_value(json_object_get(run->facts, "problem"));
    const char *state = json_string_value(json_object_get(run->facts, "state"));
    char *output = served_run_file(run, "output.log");
    last_line(output, out, size);
    mem_free(output);
    if (said && state && strcmp(state, "failed") == 0)
        snprintf(out, size, "%s", said);
    else if (code > 128)
        snprintf(out, size,
                 "the run was ended by signal %d; with signal 9 memory has probably run out",
                 code - 128);
    else if (!*out)
        snprintf(out, size, "the run has ended with code %d", code);
}

static void fail(struct served_run *run, const char *problem) {
    hearth_error err = {0};
    json_t *valid = json_string(problem); /* NULL: no UTF-8 */
    hearth_status status = served_run_set(
        run, "problem", valid ? problem : "the run has failed; output.log in its folder says why",
        &err);
    json_decref(valid);
    if (status == HEARTH_OK) status = served_run_set(run, "wanted", "nothing", &err);
    if (status != HEARTH_OK) log_message(LOG_WARNING, "tuning run %s: %s", run->id, err.message);
}

/* Somebody else may have told it to end: then it waits for being told to go on. */
static void judge(struct run_queue *q, struct served_run *run, int code) {
    char problem[HEARTH_ERROR_MESSAGE_BYTES];
    hearth_error err = {0};
    if (strcmp(served_run_state(run, false), "finished") == 0) {
        if (run_result_adopt(run, &err) != HEARTH_OK)
            log_message(LOG_WARNING, "tuning run %s: %s", run->id, err.message);
    } else if (q->told) {
        return;
    } else if (code == 0) {
        served_run_set(run, "wanted", "pause", NULL);
    } else {
        find_problem(run, code, problem, sizeof problem);
        fail(run, problem);
    }
}

static void take_end(struct run_queue *q, int code) {
    struct served_run run;
    if (run_shelf_find(&q->shelf, q->id, &run, NULL) == HEARTH_OK) judge(q, &run, code);
    served_run_close(&run);
    q->id[0] = '\0';
    q->told = false;
    q->look = true;
}

/* ---- the beginning --------------------------------------------------------------------------- */

static hearth_status start(struct run_queue *q, const struct served_run *run, hearth_error *err) {
    char hosts[HOSTS_BYTES];
    const char *argv[MOST_ARGUMENTS], *asked = served_run_text(run, "hosts");
    size_t n = 0;
    char *output = path_join(run->folder, "output.log");
    if (!output) return no_memory(err);
    argv[n++] = q->settings.program;
    argv[n++] = "tune";
    argv[n++] = "resume";
    /* The first host has the folder: this one. */
    bool has_this = strncmp(asked, here, sizeof here - 1) == 0;
    snprintf(hosts, sizeof hosts, "--hosts=%s%s%s", has_this ? "" : here, has_this ? "" : ",",
             asked);
    if (*asked) argv[n++] = hosts;
    argv[n++] = "--";
    argv[n++] = run->folder;
    argv[n] = NULL;
    hearth_status status = child_process_start(&q->child, argv, output, err);
    mem_free(output);
    if (status != HEARTH_OK) return status;
    memcpy(q->id, run->id, sizeof q->id);
    q->told = false;
    return HEARTH_OK;
}

/* Another server of this user may start runs already. */
static bool may_start(struct run_queue *q) {
    bool taken = false;
    if (q->lock.descriptor >= 0) return true;
    char *home = path_home(PATH_DATA), *path = home ? path_join(home, "runs.lock") : NULL;
    hearth_status status =
        path ? file_lock_open(&q->lock, path, &taken, NULL) : HEARTH_ERROR_NO_MEMORY;
    mem_free(path);
    mem_free(home);
    return status == HEARTH_OK && !taken;
}

static void start_next(struct run_queue *q) {
    struct served_run_list list;
    hearth_error err = {0};
    q->look = false;
    if (!may_start(q)) {
        q->look = true; /* the other server may end */
        return;
    }
    hearth_status status = run_shelf_list(&q->shelf, &list, &err);
    for (size_t i = list.count; i-- > 0 && status == HEARTH_OK && q->child.id == 0;) {
        struct served_run *run = &list.runs[i];
        const char *state = served_run_state(run, false);
        /* The process of a server that has crashed is still saving. */
        if (run->asked && strcmp(state, "running") == 0) q->look = true;
        if (strcmp(state, "waiting") != 0) continue;
        if (start(q, run, &err) != HEARTH_OK) fail(run, err.message);
    }
    run_list_release(&list);
    if (status != HEARTH_OK) log_message(LOG_WARNING, "tuning runs: %s", err.message);
}

/* ---- the thread --------------------------------------------------------------------------------
 */

static void wait_a_little(struct run_queue *q) {
    struct timespec end;
    timespec_get(&end, TIME_UTC);
    end.tv_nsec += q->child.id ? BUSY_NS : IDLE_NS;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&q->changed, &q->mutex, &end);
}

static void interrupt(struct run_queue *q) {
    if (!q->told) child_process_interrupt(&q->child);
    q->told = true;
}

static void *look_after(void *context) {
    struct run_queue *q = context;
    int code;
    pthread_mutex_lock(&q->mutex);
    for (;;) {
        if (child_process_ended(&q->child, &code)) take_end(q, code);
        if (q->ending && q->child.id == 0) break;
        if (q->ending && clock_seconds_since(q->ending_ns) > END_SECONDS)
            child_process_kill(&q->child); /* what was saved stays */
        if (!q->ending && q->child.id == 0 && q->look) start_next(q);
        pthread_mutex_unlock(&q->mutex);
        q->settings.tick(q->settings.context);
        pthread_mutex_lock(&q->mutex);
        if (!q->ending || q->child.id) wait_a_little(q);
    }
    pthread_mutex_unlock(&q->mutex);
    return NULL;
}

hearth_status run_queue_open(struct run_queue **out, const struct run_queue_settings *settings,
                             hearth_error *err) {
    struct run_queue *q = mem_calloc(1, sizeof *q);
    *out = NULL;
    if (!q) return no_memory(err);
    q->settings = *settings;
    q->lock.descriptor = -1;
    q->look = true;
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->changed, NULL);
    hearth_status status = run_shelf_open(&q->shelf, settings->store, err);
    if (status == HEARTH_OK)
        *out = q;
    else
        run_queue_close(q);
    return status;
}

hearth_status run_queue_begin(struct run_queue *q, hearth_error *err) {
    q->has_thread = pthread_create(&q->thread, NULL, look_after, q) == 0;
    return q->has_thread ? HEARTH_OK
                         : error_set(err, HEARTH_ERROR_IO, "cannot start a thread for runs");
}

void run_queue_end(struct run_queue *q) {
    pthread_mutex_lock(&q->mutex);
    if (!q->ending) q->ending_ns = clock_now_ns();
    q->ending = true;
    interrupt(q);
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->mutex);
}

void run_queue_close(struct run_queue *q) {
    if (!q) return;
    if (q->has_thread) {
        run_queue_end(q);
        pthread_join(q->thread, NULL);
    }
    run_shelf_close(&q->shelf);
    file_lock_close(&q->lock);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->mutex);
    mem_free(q);
}

/* ---- from other threads ------------------------------------------------------------------------
 */

const struct run_shelf *run_queue_shelf(const struct run_queue *queue) {
    return &queue->shelf;
}

static bool computes(const struct run_queue *q, const char *id) {
    return q->child.id != 0 && strcmp(q->id, id) == 0;
}

bool run_queue_computes(struct run_queue *q, const char *id) {
    pthread_mutex_lock(&q->mutex);
    bool is = computes(q, id);
    pthread_mutex_unlock(&q->mutex);
    return is;
}

static void has_changed(struct run_queue *q) {
    q->look = true;
    pthread_cond_signal(&q->changed);
}

/* ---- a new run */

static hearth_status write_asked(const char *folder, const struct wanted_run *wanted,
                                 hearth_error *err) {
    char now[DATE_TEXT_BYTES];
    char *path = path_join(folder, "served.json");
    json_t *asked = json_pack("{s:s, s:s, s:s, s:s, s:s*}", "name", wanted->name, "model",
                              wanted->model, "created", date_format(date_now_ms(), now), "wanted",
                              "run", "hosts", wanted->hosts);
    char *text = asked ? json_dumps(asked, JSON_INDENT(1)) : NULL;
    hearth_status status =
        path && text ? file_write(path, text, strlen(text), err) : no_memory(err);
    free(text);
    json_decref(asked);
    mem_free(path);
    return status;
}

/* A copy of its own, so that a run needs nothing that others may remove. */
static hearth_status copy_data(const char *from, const char *to, hearth_error *err) {
    char *data;
    size_t size;
    RETURN_IF_ERROR(file_read(from, DATA_MAX_BYTES, &data, &size, err));
    hearth_status status = file_write(to, data, size, err);
    mem_free(data);
    return status;
}

/* The recipe comes last: with it the folder is a run. */
static hearth_status write_recipe(const char *folder, const char *recipe, const char *data,
                                  hearth_error *err) {
    char *path = path_join(folder, "recipe.yaml"), *text = NULL;
    json_t *settings = json_loads(recipe, 0, NULL);
    if (settings && json_object_set_new(settings, "data", json_pack("[s]", data)) == 0)
        text = json_dumps(settings, JSON_INDENT(1)); /* JSON is YAML, too */
    hearth_status status =
        path && text ? file_write(path, text, strlen(text), err) : no_memory(err);
    free(text);
    json_decref(settings);
    mem_free(path);
    return status;
}

static hearth_status fill_folder(const char *folder, const struct wanted_run *wanted,
                                 hearth_error *err) {
    char name[DATA_NAME_BYTES];
    snprintf(name, sizeof name, "data-%s", wanted->data_name); /* no name of the run's own */
    char *data = path_join(folder, name);
    hearth_status status = data ? copy_data(wanted->data, data, err) : no_memory(err);
    if (status == HEARTH_OK) status = write_asked(folder, wanted, err);
    if (status == HEARTH_OK) status = write_recipe(folder, wanted->recipe, data, err);
    mem_free(data);
    return status;
}

hearth_status run_queue_add(struct run_queue *q, const struct wanted_run *wanted,
                            char id[SERVED_RUN_ID_BYTES], hearth_error *err) {
    char *folder = NULL;
    pthread_mutex_lock(&q->mutex);
    hearth_status status = run_shelf_add(&q->shelf, wanted->name, id, &folder, err);
    pthread_mutex_unlock(&q->mutex);
    if (status == HEARTH_OK) { /* no run for others yet: there may be much to copy */
        struct served_run failed = {.folder = folder};
        status = fill_folder(folder, wanted, err);
        if (status != HEARTH_OK) run_shelf_remove(&q->shelf, &failed, NULL);
    }
    pthread_mutex_lock(&q->mutex);
    if (status == HEARTH_OK) has_changed(q);
    pthread_mutex_unlock(&q->mutex);
    mem_free(folder);
    return status;
}

/* ---- a wish */

static hearth_status not_now(const char *state, const char *what, hearth_error *err) {
    return error_set(err, HEARTH_ERROR_UNSUPPORTED, "this run is %s and cannot be %s", state, what);
}

static hearth_status check_wish(const struct run_queue *q, const struct served_run *run,
                                enum run_wish wish, hearth_error *err) {
    const char *state = served_run_state(run, computes(q, run->id));
    bool runs = strcmp(state, "running") == 0, waits = strcmp(state, "waiting") == 0;
    bool paused = strcmp(state, "paused") == 0, stopped = strcmp(state, "stopped") == 0;
    bool failed = strcmp(state, "failed") == 0;
    if (runs && !computes(q, run->id) && !run->asked)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "this run was begun elsewhere, by a command or another server; it can "
                         "be stopped there");
    switch (wish) {
    case WISH_PAUSE: return runs || waits ? HEARTH_OK : not_now(state, "paused", err);
    case WISH_STOP: return runs || waits || paused ? HEARTH_OK : not_now(state, "stopped", err);
    case WISH_RUN: break;
    }
    return paused || stopped || failed ? HEARTH_OK : not_now(state, "resumed", err);
}

static hearth_status carry_out(struct run_queue *q, struct served_run *run, enum run_wish wish,
                               hearth_error *err) {
    static const char *const words[] = {"run", "pause", "stop"};
    RETURN_IF_ERROR(check_wish(q, run, wish, err));
    if (wish == WISH_RUN) RETURN_IF_ERROR(run_result_forget(run, err)); /* it grows old */
    RETURN_IF_ERROR(served_run_set(run, "problem", NULL, err));
    RETURN_IF_ERROR(served_run_set(run, "wanted", words[wish], err));
    if (wish != WISH_RUN && computes(q, run->id)) interrupt(q);
    has_changed(q);
    return HEARTH_OK;
}

hearth_status run_queue_wish(struct run_queue *q, const char *id, enum run_wish wish,
                             hearth_error *err) {
    struct served_run run;
    pthread_mutex_lock(&q->mutex);
    hearth_status status = run_shelf_find(&q->shelf, id, &run, err);
    if (status == HEARTH_OK) status = carry_out(q, &run, wish, err);
    served_run_close(&run);
    pthread_mutex_unlock(&q->mutex);
    return status;
}

hearth_status run_queue_remove(struct run_queue *q, const char *id, hearth_error *err) {
    struct served_run run;
    pthread_mutex_lock(&q->mutex);
    hearth_status status = run_shelf_find(&q->shelf, id, &run, err);
    if (status == HEARTH_OK &&
        (computes(q, id) || strcmp(served_run_state(&run, false), "running") == 0))
        status = error_set(err, HEARTH_ERROR_UNSUPPORTED,
                           "this run computes, or is just saving; stop it first, then delete it");
    if (status == HEARTH_OK) status = run_result_forget(&run, err);
    if (status == HEARTH_OK) status = run_shelf_remove(&q->shelf, &run, err);
    served_run_close(&run);
    pthread_mutex_unlock(&q->mutex);
    return status;
}
