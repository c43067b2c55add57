#include "route/request_fit.h"

#include <string.h>

#include "route/request_prompt.h"

static const char *role_of(const json_t *messages, size_t i) {
    const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
    return role ? role : "";
}

/* The messages of the oldest turn, up to the next one of the user; 0: all others must stay. */
static size_t oldest_turn(const json_t *messages, size_t first) {
    size_t count = json_array_size(messages), end = first + 1;
    if (count <= first + 1) return 0;
    while (end + 1 < count && strcmp(role_of(messages, end), "user") != 0)
        end++;
    return end - first;
}

static bool begins_with_system(const json_t *messages) {
    const char *role = role_of(messages, 0);
    return strcmp(role, "system") == 0 || strcmp(role, "developer") == 0;
}

hearth_status request_fit(struct local_answer *a, struct token_list *out, hearth_error *err) {
    const struct local_model *m = a->model;
    struct request shorter = *a->request; /* borrows all but its messages */
    size_t n_ctx = context_length(m->engine.context), n_gone;
    shorter.messages = json_copy(a->request->messages);
    if (!shorter.messages) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a prompt");
    size_t first = begins_with_system(shorter.messages) ? 1 : 0;
    hearth_status status;
    for (;;) {
        status = request_prompt_chat(&shorter, m->engine.tokenizer, m->template, m->form, out,
                                     &a->terms.inside_thinking, err);
        if (status != HEARTH_OK || out->count + n_ctx / 8 <= n_ctx) break;
        if ((n_gone = oldest_turn(shorter.messages, first)) == 0) break;
        a->n_left_out += (uint32_t)n_gone;
        while (n_gone-- > 0)
            json_array_remove(shorter.messages, first);
    }
    json_decref(shorter.messages);
    return status;
}
