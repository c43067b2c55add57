#include "server/run_result.h"

#include <stdio.h>
#include <string.h>

#include "base/child_process.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/hub.h"

#define OUTPUT_MAX_BYTES ((size_t)1 << 20)
static const char exported[] = "exported.gguf";
enum { POLL_NS = 20 * 1000 * 1000, MOST_NAMES = 1000 };

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for what a run has trained");
}

/* ---- names ------------------------------------------------------------------------------------
 */

/* Whether the name stands for this file, or for anything. */
static bool stands_for(struct hub *hub, const char *name, const char *path, bool *taken) {
    char *found = NULL;
    *taken = hub_resolve(hub, name, &found, NULL) == HEARTH_OK;
    bool is = *taken && strcmp(found, path) == 0;
    mem_free(found);
    return is;
}

static char *model_of(const struct served_run *run) {
    char *path = served_run_file(run, exported);
    return path ? path : served_run_file(run, "model.gguf");
}

static hearth_status name_model(struct hub *hub, struct served_run *run, const char *path,
                                hearth_error *err) {
    char like[SERVED_RUN_ID_BYTES], name[SERVED_RUN_ID_BYTES + 16];
    bool taken, own;
    served_run_make_id(path_base(run->folder), like);
    snprintf(name, sizeof name, "%s", like);
    own = stands_for(hub, name, path, &taken);
    for (unsigned number = 2; taken && !own && number <= MOST_NAMES; number++) {
        snprintf(name, sizeof name, "%s-%u", like, number);
        own = stands_for(hub, name, path, &taken);
    }
    if (!own) RETURN_IF_ERROR(hub_alias(hub, name, path, err));
    return served_run_set(run, "result", name, err);
}

static hearth_status give_name(struct served_run *run, const char *path, hearth_error *err) {
    struct hub *hub = NULL;
    hearth_status status = hub_open(&hub, err);
    if (status == HEARTH_OK) status = name_model(hub, run, path, err);
    hub_close(hub);
    return status;
}

hearth_status run_result_adopt(struct served_run *run, hearth_error *err) {
    char *path = *served_run_text(run, "result") ? NULL : model_of(run);
    hearth_status status = path ? give_name(run, path, err) : HEARTH_OK;
    mem_free(path);
    return status;
}

static hearth_status remove_name(const char *name, const char *path, hearth_error *err) {
    struct hub *hub = NULL;
    bool taken;
    hearth_status status = hub_open(&hub, err);
    if (status == HEARTH_OK && stands_for(hub, name, path, &taken))
        status = hub_remove(hub, name, false, NULL, err);
    hub_close(hub);
    return status;
}

hearth_status run_result_forget(struct served_run *run, hearth_error *err) {
    const char *name = served_run_text(run, "result");
    char *path = *name ? model_of(run) : NULL, *made = served_run_file(run, exported);
    hearth_status status = path ? remove_name(name, path, err) : HEARTH_OK;
    if (status == HEARTH_OK && made && remove(made) != 0)
        status = error_set_errno(err, "cannot remove '%s'", made);
    if (status == HEARTH_OK && *name) status = served_run_set(run, "result", NULL, err);
    mem_free(made);
    mem_free(path);
    return status;
}

/* ---- exports ----------------------------------------------------------------------------------
 */

static hearth_status await(struct child_process *child, bool (*stop)(void *context), void *context,
                           int *code, hearth_error *err) {
    bool stopped = false;
    while (!child_process_ended(child, code)) {
        if (!stopped && stop(context)) {
            child_process_kill(child);
            stopped = true;
        }
        clock_rest(POLL_NS);
    }
    return stopped ? error_set(err, HEARTH_ERROR_CANCELLED, "the server is shutting down")
                   : HEARTH_OK;
}

/* What 'hearth tune export' has said. */
static hearth_status export_failure(const char *output, int code, hearth_error *err) {
    static const char prefix[] = "hearth: ";
    char *text = NULL;
    size_t size;
    if (file_read(output, OUTPUT_MAX_BYTES, &text, &size, NULL) == HEARTH_OK && size > 0) {
        const char *said =
            strncmp(text, prefix, sizeof prefix - 1) ? text : text + sizeof prefix - 1;
        error_set(err, HEARTH_ERROR_IO, "%.*s", (int)strcspn(said, "\n"), said);
    } else {
        error_set(err, HEARTH_ERROR_IO, "the export has ended with code %d", code);
    }
    mem_free(text);
    return HEARTH_ERROR_IO;
}

static hearth_status export_to(const struct served_run *run, const char *program,
                               const char *format, const char *path, bool (*stop)(void *context),
                               void *context, hearth_error *err) {
    struct child_process child;
    int code = 0;
    char *output = path_join(run->folder, "export.log");
    const char *const argv[] = {program, "tune", "export", "--format",  format,
                                "-o",    path,   "--",     run->folder, NULL};
    hearth_status status = output ? child_process_start(&child, argv, output, err) : no_memory(err);
    if (status == HEARTH_OK) status = await(&child, stop, context, &code, err);
    if (status == HEARTH_OK && code != 0) status = export_failure(output, code, err);
    mem_free(output);
    return status;
}

hearth_status run_result_export(struct served_run *run, const char *program, enum run_export what,
                                bool (*stop)(void *context), void *context, char **path,
                                hearth_error *err) {
    bool merged = what == EXPORT_MERGED;
    *path = merged && *served_run_text(run, "result") ? model_of(run) : NULL;
    bool is_there = *path != NULL;
    if (!is_there) *path = path_join(run->folder, merged ? exported : "adapter.gguf");
    hearth_status status = *path ? HEARTH_OK : no_memory(err);
    if (status == HEARTH_OK && !is_there)
        status = export_to(run, program, merged ? "merged" : "gguf", *path, stop, context, err);
    if (status == HEARTH_OK && merged) status = give_name(run, *path, err); /* it may have gone */
    if (status != HEARTH_OK) {
        mem_free(*path);
        *path = NULL;
    }
    return status;
}
