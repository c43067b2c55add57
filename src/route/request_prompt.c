#include "route/request_prompt.h"

#include <string.h>

#include "chat/plain_tools.h"
#include "infer/prompt.h"

#define PROMPT_MAX_BYTES ((size_t)256 << 20)

/* What templates know of thinking: enable_thinking (Qwen, SmolLM and those after them),
 * reasoning_effort (gpt-oss). What the client says by name comes last. */
static json_t *template_variables(const struct request *r) {
    json_t *variables = json_object();
    int failed = variables ? 0 : -1;
    if (r->thinking != SWITCH_UNSET)
        failed |= json_object_set_new(variables, "enable_thinking",
                                      json_boolean(r->thinking == SWITCH_ON));
    if (r->reasoning_effort)
        failed |=
            json_object_set_new(variables, "reasoning_effort", json_string(r->reasoning_effort));
    if (r->template_settings) failed |= json_object_update(variables, r->template_settings);
    if (failed) {
        json_decref(variables);
        return NULL;
    }
    return variables;
}

static const json_t *offered_tools(const struct request *r) {
    return r->tool_choice == TOOLS_NONE ? NULL : r->tools;
}

static bool is_text(const json_t *part) {
    const char *type = json_string_value(json_object_get(part, "type"));
    return type && (strcmp(type, "text") == 0 || strcmp(type, "refusal") == 0);
}

/* What a model cannot read is refused with its place; a template would only leave it out. */
static hearth_status check_parts(const struct request *r, hearth_error *err) {
    const json_t *message, *part;
    size_t i, k;
    json_array_foreach(r->messages, i, message) {
        json_array_foreach(json_object_get(message, "content"), k, part) {
            const char *type = json_string_value(json_object_get(part, "type"));
            if (!is_text(part))
                return error_set(err, HEARTH_ERROR_ARGUMENT,
                                 "messages[%zu].content[%zu] is of the type '%.40s'; this model "
                                 "reads only text",
                                 i, k, type ? type : "");
        }
    }
    return HEARTH_OK;
}

hearth_status request_prompt_render(const struct request *r, const struct tokenizer *tokenizer,
                                    const struct chat_template *template,
                                    const struct answer_form *form, struct buf *out,
                                    hearth_error *err) {
    struct dialogue dialogue = {
        .messages = r->messages, .tools = offered_tools(r), .documents = r->documents};
    json_t *told = NULL, *variables = template_variables(r);
    hearth_status status = check_parts(r, err);
    if (status == HEARTH_OK && !variables)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the prompt");
    if (status == HEARTH_OK && !answer_form_calls_tools(form) &&
        plain_tools_are_needed(r->messages, dialogue.tools)) {
        status = plain_tools_tell(r->messages, dialogue.tools, &told, err);
        dialogue.messages = told;
        dialogue.tools = NULL;
    }
    dialogue.variables = variables;
    if (status == HEARTH_OK) status = prompt_render(tokenizer, template, &dialogue, out, err);
    json_decref(told);
    json_decref(variables);
    return status;
}

hearth_status request_prompt_chat(const struct request *r, const struct tokenizer *tokenizer,
                                  const struct chat_template *template,
                                  const struct answer_form *form, struct token_list *out,
                                  bool *thinks, hearth_error *err) {
    struct buf text;
    buf_init(&text, PROMPT_MAX_BYTES);
    hearth_status status = request_prompt_render(r, tokenizer, template, form, &text, err);
    if (status == HEARTH_OK)
        status = prompt_of_rendered(tokenizer, buf_text(&text), text.length, out, err);
    *thinks = answer_form_opens_thinking(form, buf_text(&text), text.length);
    buf_release(&text);
    return status;
}

hearth_status request_prompt_ids(const json_t *ids, const struct tokenizer *tokenizer,
                                 struct token_list *out, hearth_error *err) {
    size_t i, n_vocab = tokenizer_n_vocab(tokenizer);
    const json_t *item;
    json_array_foreach((json_t *)(uintptr_t)ids, i, item) {
        json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || (size_t)id >= n_vocab)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "token %zu is not an id of this vocabulary, 0 to %zu", i, n_vocab - 1);
        int32_t token = (int32_t)id;
        if (!token_list_append(out, &token, 1))
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the prompt");
    }
    return HEARTH_OK;
}

hearth_status request_prompt_input(const json_t *input, const struct tokenizer *tokenizer,
                                   struct token_list *out, hearth_error *err) {
    if (json_is_string(input))
        return prompt_of_text(tokenizer, json_string_value(input), json_string_length(input), out,
                              err);
    out->count = 0;
    RETURN_IF_ERROR(request_prompt_ids(input, tokenizer, out, err));
    if (out->count > 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT, "the prompt is an empty array of tokens");
}

/* ---- gaps ---------------------------------------------------------------------------- */

static hearth_status append_text(const struct tokenizer *tokenizer, const char *text, size_t n,
                                 struct token_list *out, hearth_error *err) {
    return n ? tokenizer_encode(tokenizer, text, n, false, false, out, err) : HEARTH_OK;
}

static hearth_status append_mark(int32_t mark, struct token_list *out, hearth_error *err) {
    if (token_list_append(out, &mark, 1)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the prompt");
}

/* One of the marks of a gap, then a text. */
static hearth_status append_marked(const struct tokenizer *tokenizer, enum token_role role,
                                   const char *text, size_t n, struct token_list *out,
                                   hearth_error *err) {
    int32_t mark = tokenizer_role(tokenizer, role);
    if (mark == TOKEN_NONE)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "this model fills no gaps: its vocabulary has no tokens for prefix, "
                         "suffix and middle");
    RETURN_IF_ERROR(append_mark(mark, out, err));
    return append_text(tokenizer, text, n, out, err);
}

/* A file's name in front of its text; models without a token for that read them as snippets. */
static hearth_status append_file_name(const struct tokenizer *tokenizer, const char *name,
                                      struct token_list *out, hearth_error *err) {
    static const char snippet[] = "\n\n--- snippet ---\n\n";
    int32_t mark = tokenizer_role(tokenizer, TOKEN_FIM_FILE);
    if (mark == TOKEN_NONE) return append_text(tokenizer, snippet, sizeof snippet - 1, out, err);
    RETURN_IF_ERROR(append_mark(mark, out, err));
    RETURN_IF_ERROR(append_text(tokenizer, name, strlen(name), out, err));
    return append_text(tokenizer, "\n", 1, out, err);
}

/* The other files, and then the mark of the one with the gap. */
static hearth_status append_files(const json_t *files, const struct tokenizer *tokenizer,
                                  struct token_list *out, hearth_error *err) {
    static const char project[] = "project\n";
    int32_t repository = tokenizer_role(tokenizer, TOKEN_FIM_REPO);
    const json_t *file;
    size_t i;
    if (json_array_size(files) == 0) return HEARTH_OK;
    if (repository != TOKEN_NONE) {
        RETURN_IF_ERROR(append_mark(repository, out, err));
        RETURN_IF_ERROR(append_text(tokenizer, project, sizeof project - 1, out, err));
    }
    json_array_foreach(files, i, file) {
        const char *name = json_string_value(json_object_get(file, "filename"));
        const json_t *text = json_object_get(file, "text");
        RETURN_IF_ERROR(append_file_name(tokenizer, name ? name : "file", out, err));
        RETURN_IF_ERROR(
            append_text(tokenizer, json_string_value(text), json_string_length(text), out, err));
    }
    if (tokenizer_role(tokenizer, TOKEN_FIM_FILE) == TOKEN_NONE) return HEARTH_OK;
    return append_file_name(tokenizer, "file", out, err);
}

hearth_status request_prompt_gap(const struct request *r, size_t i,
                                 const struct tokenizer *tokenizer, struct token_list *out,
                                 hearth_error *err) {
    const json_t *input = json_array_get(r->inputs, i);
    int32_t bos = tokenizer_role(tokenizer, TOKEN_BOS);
    out->count = 0;
    if (!json_is_string(input))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "what stands before a gap is a text, not an array of tokens");
    if (tokenizer_adds_bos(tokenizer) && bos != TOKEN_NONE)
        RETURN_IF_ERROR(append_mark(bos, out, err));
    RETURN_IF_ERROR(append_files(r->documents, tokenizer, out, err));
    RETURN_IF_ERROR(append_marked(tokenizer, TOKEN_FIM_PREFIX, json_string_value(input),
                                  json_string_length(input), out, err));
    RETURN_IF_ERROR(
        append_marked(tokenizer, TOKEN_FIM_SUFFIX, r->suffix, strlen(r->suffix), out, err));
    return append_marked(tokenizer, TOKEN_FIM_MIDDLE, "", 0, out, err);
}
