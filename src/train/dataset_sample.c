/* Records as samples: conversations in OpenAI's shape, pairs of answers, texts. */
#include <stdio.h>
#include <string.h>

#include "train/dataset_schema.h"

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the record");
}

/* A column that has to be text; absent is fine (*text NULL). */
static hearth_status text_field(const struct schema_binding *binding, const json_t *record,
                                enum dataset_field field, json_t **text, hearth_error *err) {
    *text = schema_field(binding, record, field);
    if (!*text || json_is_string(*text)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "column '%.64s' is not text",
                     schema_column(binding, record, field));
}

static hearth_status add_system(const struct schema_binding *binding, const json_t *record,
                                json_t *messages, hearth_error *err) {
    json_t *system;
    RETURN_IF_ERROR(text_field(binding, record, FIELD_SYSTEM, &system, err));
    if (!system || json_string_length(system) == 0) return HEARTH_OK;
    if (json_array_size(messages) > 0 &&
        strcmp(json_string_value(json_object_get(json_array_get(messages, 0), "role")), "system") ==
            0)
        return HEARTH_OK;
    json_t *message = json_pack("{s:s, s:O}", "role", "system", "content", system);
    return message && json_array_insert_new(messages, 0, message) == 0 ? HEARTH_OK : no_memory(err);
}

/* history: [[question, answer], …], earlier turns. */
static hearth_status add_history(const json_t *history, json_t *messages, hearth_error *err) {
    size_t i;
    json_t *turn;
    if (history && !json_is_array(history))
        return error_set(err, HEARTH_ERROR_FORMAT, "column 'history' is not a list");
    json_array_foreach(history, i, turn) {
        const json_t *question = json_array_get(turn, 0), *answer = json_array_get(turn, 1);
        if (json_array_size(turn) != 2 || !json_is_string(question) || !json_is_string(answer))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "turn %zu of 'history' is not a pair of texts", i + 1);
        if (!messages_add(messages, "user", question) ||
            !messages_add(messages, "assistant", answer))
            return no_memory(err);
    }
    return HEARTH_OK;
}

/* Instruction and input make one question, a line between them. */
static json_t *join_input(const json_t *instruction, const json_t *input) {
    if (!input || json_string_length(input) == 0)
        return json_incref((json_t *)(uintptr_t)instruction);
    return json_sprintf("%s\n%s", json_string_value(instruction), json_string_value(input));
}

static hearth_status sample_alpaca(const struct schema_binding *binding, const json_t *record,
                                   struct dataset_sample *sample, hearth_error *err) {
    json_t *instruction, *input, *output;
    RETURN_IF_ERROR(text_field(binding, record, FIELD_INSTRUCTION, &instruction, err));
    RETURN_IF_ERROR(text_field(binding, record, FIELD_INPUT, &input, err));
    RETURN_IF_ERROR(text_field(binding, record, FIELD_OUTPUT, &output, err));
    RETURN_IF_ERROR(
        add_history(schema_field(binding, record, FIELD_HISTORY), sample->messages, err));
    json_t *question = join_input(instruction, input);
    bool ok = question && messages_add(sample->messages, "user", question) &&
              messages_add(sample->messages, "assistant", output);
    json_decref(question);
    return ok ? add_system(binding, record, sample->messages, err) : no_memory(err);
}

static hearth_status sample_pair(const struct schema_binding *binding, const json_t *record,
                                 struct dataset_sample *sample, hearth_error *err) {
    json_t *prompt, *completion;
    RETURN_IF_ERROR(text_field(binding, record, FIELD_PROMPT, &prompt, err));
    RETURN_IF_ERROR(text_field(binding, record, FIELD_COMPLETION, &completion, err));
    if (!messages_add(sample->messages, "user", prompt) ||
        !messages_add(sample->messages, "assistant", completion))
        return no_memory(err);
    return add_system(binding, record, sample->messages, err);
}

/* A list, or its JSON text as CSV holds it; given. */
static json_t *list_field(const json_t *value, const char *name, hearth_error *err) {
    json_t *list = json_is_string(value)
                       ? json_loadb(json_string_value(value), json_string_length(value),
                                    JSON_REJECT_DUPLICATES, NULL)
                       : json_incref((json_t *)(uintptr_t)value);
    if (json_is_array(list)) return list;
    json_decref(list);
    error_set(err, HEARTH_ERROR_FORMAT, "column '%s' is not a list", name);
    return NULL;
}

/* tools as OpenAI writes them; the older `functions` get their wrapper. */
static hearth_status take_tools(const struct schema_binding *binding, const json_t *record,
                                struct dataset_sample *sample, hearth_error *err) {
    const json_t *value = schema_field(binding, record, FIELD_TOOLS);
    size_t i;
    json_t *tool;
    if (!value || (json_is_string(value) && json_string_length(value) == 0)) return HEARTH_OK;
    json_t *list = list_field(value, "tools", err);
    if (!list) return HEARTH_ERROR_FORMAT;
    sample->tools = json_array_size(list) > 0 ? json_array() : NULL;
    json_array_foreach(list, i, tool) {
        bool bare = json_object_get(tool, "name") && !json_object_get(tool, "function");
        json_t *own = bare ? json_pack("{s:s, s:O}", "type", "function", "function", tool)
                           : json_incref(tool);
        if (!json_is_object(tool) || json_array_append_new(sample->tools, own) != 0) {
            json_decref(list);
            return error_set(err, HEARTH_ERROR_FORMAT, "tool %zu is not a function's definition",
                             i + 1);
        }
    }
    json_decref(list);
    return HEARTH_OK;
}

static hearth_status sample_messages(const struct schema_binding *binding, const json_t *record,
                                     struct dataset_sample *sample, hearth_error *err) {
    bool sharegpt = binding->schema == SCHEMA_SHAREGPT;
    enum dataset_field field = sharegpt ? FIELD_CONVERSATIONS : FIELD_MESSAGES;
    hearth_error problem = {.code = HEARTH_ERROR_NO_MEMORY};
    json_t *list = list_field(schema_field(binding, record, field),
                              schema_column(binding, record, field), &problem);
    json_decref(sample->messages);
    sample->messages =
        !list ? NULL
        : sharegpt
            ? messages_from_sharegpt(list, schema_column(binding, record, field), true, &problem)
            : messages_from_openai(list, schema_column(binding, record, field), true, &problem);
    json_decref(list);
    if (!sample->messages) return error_set(err, problem.code, "%s", problem.message);
    RETURN_IF_ERROR(take_tools(binding, record, sample, err));
    const json_t *variables = json_object_get(record, "chat_template_kwargs");
    if (json_is_object(variables)) sample->variables = json_deep_copy(variables);
    return add_system(binding, record, sample->messages, err);
}

/* ---- preference ---- */

/* Messages, one message, or a text. */
static hearth_status take_answer(const json_t *value, const char *name, json_t **answer,
                                 hearth_error *err) {
    hearth_error problem = {.code = HEARTH_ERROR_FORMAT};
    json_t *list =
        json_is_object(value) ? json_pack("[O]", value) : json_incref((json_t *)(uintptr_t)value);
    if (json_is_string(list)) {
        *answer = list;
        return HEARTH_OK;
    }
    bool sharegpt = messages_have(list, "from");
    snprintf(problem.message, sizeof problem.message, "column '%s' is neither text nor messages",
             name);
    *answer = !json_is_array(list) ? NULL
              : sharegpt           ? messages_from_sharegpt(list, name, true, &problem)
                                   : messages_from_openai(list, name, true, &problem);
    json_decref(list);
    return *answer ? HEARTH_OK : error_set(err, problem.code, "%s", problem.message);
}

/* What both answers begin with, when they repeat the conversation, becomes the prompt. */
static hearth_status split_common(struct dataset_sample *sample, hearth_error *err) {
    size_t n = 0;
    while (n + 1 < json_array_size(sample->chosen) && n + 1 < json_array_size(sample->rejected) &&
           json_equal(json_array_get(sample->chosen, n), json_array_get(sample->rejected, n)))
        n++;
    for (size_t i = 0; i < n; i++)
        if (json_array_append(sample->messages, json_array_get(sample->chosen, i)) != 0)
            return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        json_array_remove(sample->chosen, 0);
        json_array_remove(sample->rejected, 0);
    }
    return HEARTH_OK;
}

static hearth_status take_prompt(const struct schema_binding *binding, const json_t *record,
                                 struct dataset_sample *sample, hearth_error *err) {
    json_t *prompt = schema_field(binding, record, FIELD_PROMPT), *list;
    hearth_error problem = {.code = HEARTH_ERROR_NO_MEMORY};
    if (!prompt) prompt = schema_field(binding, record, FIELD_CONVERSATIONS);
    if (!prompt) return HEARTH_OK;
    if (json_is_string(prompt))
        return messages_add(sample->messages, "user", prompt) ? HEARTH_OK : no_memory(err);
    bool sharegpt = messages_have(prompt, "from");
    list = sharegpt ? messages_from_sharegpt(prompt, "prompt", false, &problem)
                    : messages_from_openai(prompt, "prompt", false, &problem);
    if (!list) return error_set(err, problem.code, "%s", problem.message);
    json_decref(sample->messages);
    sample->messages = list;
    return HEARTH_OK;
}

/* A text as the assistant's answer, when there is a prompt for it to answer. */
static hearth_status wrap_answer(json_t **answer, hearth_error *err) {
    if (!json_is_string(*answer)) return HEARTH_OK;
    json_t *messages = json_array();
    bool ok = messages && messages_add(messages, "assistant", *answer);
    json_decref(*answer);
    *answer = messages;
    return ok ? HEARTH_OK : no_memory(err);
}

static hearth_status sample_preference(const struct schema_binding *binding, const json_t *record,
                                       struct dataset_sample *sample, hearth_error *err) {
    RETURN_IF_ERROR(
        take_answer(schema_field(binding, record, FIELD_CHOSEN), "chosen", &sample->chosen, err));
    RETURN_IF_ERROR(take_answer(schema_field(binding, record, FIELD_REJECTED), "rejected",
                                &sample->rejected, err));
    RETURN_IF_ERROR(take_prompt(binding, record, sample, err));
    RETURN_IF_ERROR(take_tools(binding, record, sample, err));
    bool texts = json_is_string(sample->chosen) && json_is_string(sample->rejected);
    if (json_equal(sample->chosen, sample->rejected))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "'chosen' and 'rejected' are the same: nothing to prefer");
    if (json_array_size(sample->messages) == 0 && texts) {
        json_decref(sample->messages);
        sample->messages = NULL;
        return HEARTH_OK;
    }
    RETURN_IF_ERROR(wrap_answer(&sample->chosen, err));
    RETURN_IF_ERROR(wrap_answer(&sample->rejected, err));
    if (json_array_size(sample->messages) == 0) RETURN_IF_ERROR(split_common(sample, err));
    return add_system(binding, record, sample->messages, err);
}

hearth_status schema_sample(const struct schema_binding *binding, const json_t *record,
                            struct dataset_sample *sample, hearth_error *err) {
    *sample = (struct dataset_sample){.schema = binding->schema, .messages = json_array()};
    hearth_status status =
        sample->messages ? schema_check_required(binding, record, err) : no_memory(err);
    if (status == HEARTH_OK) switch (binding->schema) {
        case SCHEMA_ALPACA: status = sample_alpaca(binding, record, sample, err); break;
        case SCHEMA_PAIRS: status = sample_pair(binding, record, sample, err); break;
        case SCHEMA_MESSAGES:
        case SCHEMA_SHAREGPT: status = sample_messages(binding, record, sample, err); break;
        case SCHEMA_PREFERENCE: status = sample_preference(binding, record, sample, err); break;
        case SCHEMA_AUTO:
        case N_DATASET_SCHEMAS:
        case SCHEMA_TEXT:
            json_decref(sample->messages);
            sample->messages = NULL;
            status = text_field(binding, record, FIELD_TEXT, &sample->text, err);
            json_incref(sample->text);
            sample->text_begins = sample->text_ends = true;
        }
    if (status != HEARTH_OK) dataset_sample_release(sample);
    return status;
}

void dataset_sample_release(struct dataset_sample *sample) {
    json_decref(sample->messages);
    json_decref(sample->tools);
    json_decref(sample->variables);
    json_decref(sample->chosen);
    json_decref(sample->rejected);
    json_decref(sample->text);
    *sample = (struct dataset_sample){0};
}
