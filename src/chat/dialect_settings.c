/* The settings that requests of all dialects have: sampling, limits, adapters. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chat/dialect_parts.h"

/* ---- sampling ---- */

static bool set_in(json_t **object, const char *name, json_t *value,
                   struct dialect_problem *problem) {
    if (!*object) *object = json_object();
    return json_object_set_new(*object, name, value) == 0 || problem_no_memory(problem);
}

bool set_sampling(struct request *request, const char *name, json_t *value,
                  struct dialect_problem *problem) {
    return set_in(&request->sampling, name, value, problem);
}

bool set_shape(struct request *request, const char *name, json_t *value,
               struct dialect_problem *problem) {
    return set_in(&request->answer_shape, name, value, problem);
}

/* The ranges are those of infer/sampler.h. */
static const struct sampling_field {
    const char *name, *as;
    bool whole;
    double min, max;
} sampling_fields[] = {
    {"temperature", NULL, false, 0, 100},
    {"top_k", NULL, true, -1, INT32_MAX},
    {"top_p", NULL, false, 0, 1},
    {"min_p", NULL, false, 0, 1},
    {"typical_p", NULL, false, 0, 1},
    {"top_n_sigma", NULL, false, -1, 100},
    {"xtc_probability", NULL, false, 0, 1},
    {"xtc_threshold", NULL, false, 0, 1},
    {"dry_multiplier", NULL, false, 0, 100},
    {"dry_base", NULL, false, 1, 100},
    {"dry_allowed_length", NULL, true, 0, INT32_MAX},
    {"dry_penalty_last_n", NULL, true, -1, 1 << 17},
    {"repetition_penalty", "repeat_penalty", false, 0.01, 100},
    {"repeat_penalty", NULL, false, 0.01, 100},
    {"repeat_last_n", NULL, true, -1, 1 << 17},
    {"presence_penalty", NULL, false, -100, 100},
    {"frequency_penalty", NULL, false, -100, 100},
    {"mirostat", NULL, true, 0, 2},
    {"mirostat_tau", NULL, false, 0, 100},
    {"mirostat_eta", NULL, false, 0, 1},
    {"min_keep", NULL, true, 0, INT32_MAX},
};

static void read_number(struct fields *fields, const struct sampling_field *field,
                        struct request *request) {
    const char *as = field->as ? field->as : field->name;
    int64_t whole;
    double number;
    if (field->whole) {
        if (field_integer(fields, field->name, (int64_t)field->min, (int64_t)field->max, &whole))
            set_sampling(request, as, json_integer(whole), fields->problem);
    } else if (field_number(fields, field->name, field->min, field->max, &number))
        set_sampling(request, as, json_real(number), fields->problem);
}

/* llama.cpp's -1 asks for any seed, as if none was given. */
static void read_seed(struct fields *fields, struct request *request) {
    int64_t seed;
    if (field_integer(fields, "seed", INT64_MIN, INT64_MAX, &seed) && seed != -1)
        set_sampling(request, "seed", json_integer(seed), fields->problem);
}

static void read_breakers(struct fields *fields, struct request *request) {
    static const char name[] = "dry_sequence_breakers";
    json_t *list = field_words(fields, name, BREAKERS_MAX);
    if (list) set_sampling(request, name, json_incref(list), fields->problem);
}

/* ---- logit_bias: OpenAI's {"token id": bias} or llama.cpp's [[token or text, bias or false]];
 * kept in the second form ---- */

static bool bias_is_right(const json_t *bias) {
    return json_is_false(bias) || (json_is_number(bias) && json_number_value(bias) >= -1e6 &&
                                   json_number_value(bias) <= 1e6);
}

static json_t *biases_of_object(struct fields *fields, json_t *object) {
    json_t *list = json_array(), *bias;
    const char *key;
    json_object_foreach(object, key, bias) {
        struct place outer = field_place(fields, "logit_bias"), place = {.up = &outer, .name = key};
        char *end;
        long id = strtol(key, &end, 10);
        if (end == key || *end != '\0' || id < 0 || id > INT32_MAX)
            problem_at(fields->problem, &outer, 400, "'%.40s' is not the number of a token", key);
        else if (!bias_is_right(bias))
            problem_at(fields->problem, &place, 400, "must be a number from -100 to 100");
        else if (json_array_append_new(list, json_pack("[i, O]", (int)id, bias)) != 0)
            problem_no_memory(fields->problem);
    }
    return list;
}

static void check_bias_pairs(struct fields *fields, const json_t *list) {
    const json_t *pair;
    size_t i;
    json_array_foreach(list, i, pair) {
        struct place outer = field_place(fields, "logit_bias"), place = {.up = &outer, .index = i};
        const json_t *token = json_array_get(pair, 0);
        bool id = json_is_integer(token) && json_integer_value(token) >= 0 &&
                  json_integer_value(token) <= INT32_MAX;
        if (json_array_size(pair) != 2 || !(id || json_word(token)) ||
            !bias_is_right(json_array_get(pair, 1)))
            problem_at(fields->problem, &place, 400,
                       "must be a pair of a token and a number, or false");
    }
}

static void read_logit_bias(struct fields *fields, struct request *request) {
    json_t *given = field_take(fields, "logit_bias"), *list = NULL;
    size_t n = json_is_object(given) ? json_object_size(given) : json_array_size(given);
    if (!given) return;
    if (n > BIASES_MAX) {
        field_problem(fields, "logit_bias", "has %zu elements; the most is %d", n, BIASES_MAX);
    } else if (json_is_object(given)) {
        list = biases_of_object(fields, given);
    } else if (json_is_array(given)) {
        check_bias_pairs(fields, given);
        list = json_incref(given);
    } else
        field_problem(fields, "logit_bias", "must be an object or an array, not %s",
                      json_type_words(given));
    if (list) set_sampling(request, "logit_bias", list, fields->problem);
}

void read_sampling(struct fields *fields, struct request *request) {
    for (size_t i = 0; i < sizeof sampling_fields / sizeof sampling_fields[0]; i++)
        read_number(fields, &sampling_fields[i], request);
    read_seed(fields, request);
    read_breakers(fields, request);
    read_logit_bias(fields, request);
    field_flag(fields, "ignore_eos", &request->ignore_end);
}

/* ---- limits ---- */

static void add_stop(const struct place *place, json_t *text, struct request *request,
                     struct dialect_problem *problem) {
    const char *word = json_word(text);
    if (!word) {
        problem_at(problem, place, 400, "must be a string without U+0000, not %s",
                   json_is_string(text) ? "one with" : json_type_words(text));
    } else if (strlen(word) > REQUEST_MAX_STOP_BYTES) {
        problem_at(problem, place, 400, "has %zu bytes; the most is %d", strlen(word),
                   REQUEST_MAX_STOP_BYTES);
    } else if (*word != '\0') { /* an empty one would end every answer at once */
        if (!request->stops) request->stops = json_array();
        if (json_array_append(request->stops, text) != 0) problem_no_memory(problem);
    }
}

static void add_stops(struct fields *fields, const char *name, const json_t *list,
                      struct request *request) {
    struct place outer = field_place(fields, name);
    json_t *text;
    size_t i;
    if (json_array_size(list) > REQUEST_MAX_STOPS)
        field_problem(fields, name, "has %zu elements; the most is %d", json_array_size(list),
                      REQUEST_MAX_STOPS);
    json_array_foreach(list, i, text) {
        struct place place = {.up = &outer, .index = i};
        if (fields_ok(fields)) add_stop(&place, text, request, fields->problem);
    }
}

void read_stops(struct fields *fields, const char *name, struct request *request) {
    json_t *given = field_take(fields, name);
    struct place place = field_place(fields, name);
    if (json_is_string(given))
        add_stop(&place, given, request, fields->problem);
    else if (json_is_array(given))
        add_stops(fields, name, given, request);
    else if (given)
        field_problem(fields, name, "must be a string or an array of strings, not %s",
                      json_type_words(given));
}

void read_max_tokens(struct fields *fields, const char *const *names, struct request *request) {
    bool found = false;
    for (; *names; names++) {
        int64_t limit;
        if (!field_integer(fields, *names, -1, INT32_MAX, &limit) || found) continue;
        request->max_tokens = limit;
        found = true;
    }
}

static void read_stream_options(struct fields *fields, struct request *request) {
    struct fields options;
    if (!field_object(fields, "stream_options", &options)) return;
    bool obfuscated;
    field_flag(&options, "include_usage", &request->stream_usage);
    field_flag(&options, "include_obfuscation", &obfuscated);
}

/* [{"name", "scale"}], or llama.cpp's "lora" with the number of an adapter as "id"; without a scale
 * it has its own. */
static void add_adapter(struct fields *entry, void *context) {
    struct request *request = context;
    char id[24] = "";
    int64_t number;
    double scale;
    char *name = NULL;
    if (field_integer(entry, "id", 0, INT32_MAX, &number))
        snprintf(id, sizeof id, "%lld", (long long)number);
    else if (!field_text(entry, "name", TEXT_MAX_NAME_BYTES, &name))
        field_problem(entry, "name", "is missing");
    bool scaled = field_number(entry, "scale", -1000, 1000, &scale);
    if (fields_ok(entry)) {
        if (!request->adapters) request->adapters = json_array();
        const char *said = name ? name : id;
        json_t *item = scaled ? json_pack("{s:s, s:f}", "name", said, "scale", scale)
                              : json_pack("{s:s}", "name", said);
        if (json_array_append_new(request->adapters, item) != 0) problem_no_memory(entry->problem);
    }
    mem_free(name);
}

static void read_adapters(struct fields *fields, const char *name, struct request *request) {
    const json_t *list = field_each(fields, name, ADAPTERS_MAX, add_adapter, request);
    if (!list || request->adapters) return;
    request->adapters = json_array(); /* none, rather than all */
    if (!request->adapters) problem_no_memory(fields->problem);
}

void read_limits(struct fields *fields, struct request *request) {
    int64_t number;
    if (field_integer(fields, "n", 1, REQUEST_MAX_CHOICES, &number))
        request->n_choices = (uint32_t)number;
    read_stops(fields, "stop", request);
    field_flag(fields, "stream", &request->stream);
    read_stream_options(fields, request);
    /* vLLM's: less is sooner. */
    if (field_integer(fields, "priority", -1000000, 1000000, &number))
        request->priority = (int32_t)-number;
    /* llama.cpp's; below 0: any. */
    if (field_integer(fields, "id_slot", -1, REQUEST_MAX_SLOT, &number) && number > 0)
        request->slot = (uint32_t)number;
    read_adapters(fields, "adapters", request);
    read_adapters(fields, "lora", request);
}

void read_chat_logprobs(struct fields *fields, struct request *request) {
    bool wanted = false;
    int64_t top = 0;
    bool said = field_flag(fields, "logprobs", &wanted);
    if (field_integer(fields, "n_probs", 0, REQUEST_MAX_LOGPROBS, &top) && top > 0)
        request->n_logprobs = (int32_t)top;
    top = 0;
    bool counted = field_integer(fields, "top_logprobs", 0, REQUEST_MAX_LOGPROBS, &top);
    if (wanted) request->n_logprobs = (int32_t)top;
    if (counted && top > 0 && !wanted)
        field_problem(fields, "top_logprobs", "needs 'logprobs' to be true%s",
                      said ? "" : "; it is missing");
}

void keep_extra(struct fields *fields, struct request *request) {
    request->extra = fields->rest;
    fields->rest = NULL;
}
