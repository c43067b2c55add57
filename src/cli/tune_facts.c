#include "cli/tune_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/run_history.h"

/* The names sort as the steps do. */
static json_t *list_checkpoints(const char *run_folder) {
    char **names = NULL, *folder = path_join(run_folder, "checkpoints");
    size_t count = 0;
    json_t *steps = json_array();
    if (folder && file_is_folder(folder)) file_list(folder, &names, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        uint64_t step;
        int end = 0;
        if (sscanf(names[i], "checkpoint-%" SCNu64 ".safetensors%n", &step, &end) == 1 && end &&
            !names[i][end])
            json_array_append_new(steps, json_integer((json_int_t)step));
    }
    file_names_free(names, count);
    mem_free(folder);
    return steps;
}

hearth_status tune_facts_read(const char *run, json_t **facts, hearth_error *err) {
    RETURN_IF_ERROR(run_history_find(run, facts, err));
    if (!json_is_true(json_object_get(*facts, "missing")))
        json_object_set_new(*facts, "checkpoints",
                            list_checkpoints(tune_fact_text(*facts, "folder")));
    return HEARTH_OK;
}

void tune_facts_dump(const json_t *facts) {
    json_dumpf(facts, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
    putchar('\n');
}

const char *tune_fact_text(const json_t *facts, const char *key) {
    const char *text = json_string_value(json_object_get(facts, key));
    return text ? text : "-";
}

const char *tune_fact_number(const json_t *facts, const char *key, int digits, char *out,
                             size_t size) {
    const json_t *number = json_object_get(facts, key);
    if (json_is_integer(number))
        snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
    else if (json_is_real(number))
        snprintf(out, size, "%.*g", digits + 1, json_real_value(number));
    else
        snprintf(out, size, "-");
    return out;
}
