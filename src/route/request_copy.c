#include "route/request_copy.h"

#include "base/mem.h"

static bool copy_json(json_t **to, const json_t *from) {
    *to = from ? json_deep_copy(from) : NULL;
    return *to || !from;
}

static bool copy_text(char **to, const char *from) {
    *to = from ? mem_strdup(from) : NULL;
    return *to || !from;
}

hearth_status request_copy(struct request *to, const struct request *from, hearth_error *err) {
    *to = *from; /* the numbers; every pointer is set below */
    bool whole = copy_text(&to->model, from->model);
    whole = copy_json(&to->messages, from->messages) && whole;
    whole = copy_json(&to->inputs, from->inputs) && whole;
    whole = copy_text(&to->suffix, from->suffix) && whole;
    whole = copy_json(&to->documents, from->documents) && whole;
    whole = copy_json(&to->tools, from->tools) && whole;
    whole = copy_text(&to->tool_name, from->tool_name) && whole;
    whole = copy_json(&to->sampling, from->sampling) && whole;
    whole = copy_json(&to->stops, from->stops) && whole;
    whole = copy_json(&to->constraint_schema, from->constraint_schema) && whole;
    whole = copy_text(&to->constraint_text, from->constraint_text) && whole;
    whole = copy_text(&to->reasoning_effort, from->reasoning_effort) && whole;
    whole = copy_json(&to->template_settings, from->template_settings) && whole;
    whole = copy_json(&to->adapters, from->adapters) && whole;
    whole = copy_json(&to->answer_shape, from->answer_shape) && whole;
    whole = copy_json(&to->extra, from->extra) && whole;
    return whole ? HEARTH_OK
                 : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to queue the request");
}
