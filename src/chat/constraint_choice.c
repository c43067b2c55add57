#include "chat/constraint_compile.h"

hearth_status constraint_compile_choice(struct grammar *g, const json_t *choices,
                                        hearth_error *err) {
    const json_t *choice;
    uint32_t cycle;
    size_t i;
    if (!json_is_array(choices) || json_array_size(choices) == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "choices must be an array of texts");
    if (json_array_size(choices) > CONSTRAINT_MAX_CHOICES)
        return error_set(err, HEARTH_ERROR_LIMIT, "%zu choices; at most %d are held to",
                         json_array_size(choices), CONSTRAINT_MAX_CHOICES);
    uint32_t root = grammar_rule(g);
    json_array_foreach(choices, i, choice) {
        size_t n = json_string_length(choice);
        if (n == 0)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "choice %zu is not a text, or is empty",
                             i);
        if (g->state != HEARTH_OK) break;
        grammar_share_text(g, g->rules[root].start, json_string_value(choice), n,
                           g->rules[root].end);
    }
    return grammar_finish(g, root, &cycle, err);
}
