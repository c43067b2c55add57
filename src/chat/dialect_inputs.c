/* Inputs without messages: texts, or the numbers of tokens. */
#include "chat/dialect_parts.h"

static bool is_token(const json_t *value) {
    return json_is_integer(value) && json_integer_value(value) >= 0 &&
           json_integer_value(value) <= INT32_MAX;
}

static bool check_tokens(const json_t *tokens, const struct place *outer,
                         struct dialect_problem *problem) {
    const json_t *token;
    size_t i;
    if (json_array_size(tokens) == 0) return problem_at(problem, outer, 400, "is empty");
    if (json_array_size(tokens) > INPUT_TOKENS_MAX)
        return problem_at(problem, outer, 400, "has %zu tokens; the most is %d",
                          json_array_size(tokens), INPUT_TOKENS_MAX);
    json_array_foreach(tokens, i, token) {
        struct place place = {.up = outer, .index = i};
        if (!is_token(token))
            return problem_at(problem, &place, 400, "must be the number of a token, not %s",
                              json_is_integer(token) ? "one out of range" : json_type_words(token));
    }
    return true;
}

static bool check_input(const json_t *input, const struct place *place,
                        struct dialect_problem *problem) {
    if (json_is_string(input)) return true;
    if (json_is_array(input)) return check_tokens(input, place, problem);
    return problem_at(problem, place, 400, "must be a string or an array of tokens, not %s",
                      json_type_words(input));
}

static bool check_list(struct fields *fields, const char *name, const json_t *list) {
    struct place outer = field_place(fields, name);
    const json_t *input;
    size_t i;
    if (json_array_size(list) == 0) return field_problem(fields, name, "is empty");
    if (json_array_size(list) > REQUEST_MAX_INPUTS)
        return field_problem(fields, name, "has %zu inputs; the most is %d", json_array_size(list),
                             REQUEST_MAX_INPUTS);
    json_array_foreach(list, i, input) {
        struct place place = {.up = &outer, .index = i};
        if (!check_input(input, &place, fields->problem)) return false;
    }
    return true;
}

void read_inputs(struct fields *fields, const char *name, struct request *request) {
    json_t *given = field_need(fields, name);
    struct place place = field_place(fields, name);
    if (!given) return;
    bool one = json_is_string(given) || json_is_number(json_array_get(given, 0));
    if (!json_is_string(given) && !json_is_array(given))
        field_problem(fields, name, "must be a string or an array, not %s", json_type_words(given));
    else if (one ? check_input(given, &place, fields->problem) : check_list(fields, name, given)) {
        request->inputs = one ? json_pack("[O]", given) : json_incref(given);
        if (!request->inputs) problem_no_memory(fields->problem);
    }
}
