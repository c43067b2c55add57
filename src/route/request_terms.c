#include "route/request_terms.h"

#include <string.h>

#include "base/mem.h"
#include "route/request_fit.h"
#include "route/request_prompt.h"

/* ---- prompts -------------------------------------------------------------------------- */

static hearth_status check_prompt(struct local_answer *a, const struct token_list *prompt,
                                  hearth_error *err) {
    uint32_t n_ctx = context_length(a->model->engine.context);
    if (prompt->count <= n_ctx) return HEARTH_OK;
    a->excess = (struct prompt_excess){.n_prompt = prompt->count, .n_ctx = n_ctx};
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "the prompt has %zu tokens, the context of '%s' holds %u", prompt->count,
                     a->model->name, n_ctx);
}

/* A template that opens thinking although none is wanted is answered for the model. */
static hearth_status close_thinking(struct local_answer *a, hearth_error *err) {
    const struct token_list *end = &a->model->end_of_thinking;
    bool unwanted = a->request->thinking == SWITCH_OFF || a->request->thinking_budget == 0;
    if (!a->terms.inside_thinking || !unwanted) return HEARTH_OK;
    a->terms.inside_thinking = false;
    if (token_list_append(&a->prompts[0], end->ids, end->count)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the prompt");
}

static hearth_status make_prompt(struct local_answer *a, size_t i, hearth_error *err) {
    const struct request *r = a->request;
    const struct tokenizer *tokenizer = a->model->engine.tokenizer;
    const json_t *input = json_array_get(r->inputs, i);
    if (r->suffix) return request_prompt_gap(r, i, tokenizer, &a->prompts[i], err);
    if (r->kind == REQUEST_TEXT || r->kind == REQUEST_EMBED)
        return request_prompt_input(input, tokenizer, &a->prompts[i], err);
    if (r->leaves_out_oldest)
        RETURN_IF_ERROR(request_fit(a, &a->prompts[0], err));
    else
        RETURN_IF_ERROR(request_prompt_chat(r, tokenizer, a->model->template, a->model->form,
                                            &a->prompts[0], &a->terms.inside_thinking, err));
    return close_thinking(a, err);
}

hearth_status request_terms_prompts(struct local_answer *a, hearth_error *err) {
    const struct request *r = a->request;
    bool chats = r->kind == REQUEST_CHAT || r->kind == REQUEST_COUNT;
    a->n_prompts = chats ? 1 : json_array_size(r->inputs);
    a->prompts = mem_calloc(a->n_prompts ? a->n_prompts : 1, sizeof *a->prompts);
    if (!a->prompts) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the prompt");
    for (size_t i = 0; i < a->n_prompts; i++) {
        RETURN_IF_ERROR(make_prompt(a, i, err));
        if (r->kind != REQUEST_COUNT) RETURN_IF_ERROR(check_prompt(a, &a->prompts[i], err));
        a->usage.n_prompt += a->prompts[i].count;
    }
    return HEARTH_OK;
}

/* ---- stop texts ------------------------------------------------------------------------- */

static hearth_status read_stops(struct local_answer *a, hearth_error *err) {
    size_t n = json_array_size(a->request->stops);
    if (n > REQUEST_MAX_STOPS)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "%zu stop texts, at most %d", n,
                         REQUEST_MAX_STOPS);
    for (size_t i = 0; i < n; i++) {
        const json_t *stop = json_array_get(a->request->stops, i);
        if (json_string_length(stop) > REQUEST_MAX_STOP_BYTES)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "a stop text of %zu bytes, at most %d",
                             json_string_length(stop), REQUEST_MAX_STOP_BYTES);
        a->stops[i] = json_string_value(stop);
    }
    a->terms.stops = (struct stop_texts){a->stops, n};
    return HEARTH_OK;
}

/* ---- thinking ----------------------------------------------------------------------------- */

/* What an effort is worth in tokens, where the template does not tell the model of it. */
static int64_t budget_of_effort(const struct local_answer *a) {
    static const struct {
        const char *effort;
        int64_t tokens;
    } budgets[] = {{"minimal", 256}, {"low", 1024}, {"medium", 8192}};
    const char *effort = a->request->reasoning_effort;
    if (!effort || a->model->template_weighs_effort) return -1;
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++)
        if (strcmp(effort, budgets[i].effort) == 0) return budgets[i].tokens;
    return -1;
}

/* A quarter of what the answer may have in all is left to what comes after thinking. */
static int64_t thinking_budget(const struct local_answer *a) {
    const struct request *r = a->request;
    int64_t room = (int64_t)context_length(a->model->engine.context) - (int64_t)a->prompts[0].count;
    if (r->max_tokens >= 0 && r->max_tokens < room) room = r->max_tokens;
    int64_t most = room - room / 4;
    int64_t budget = r->thinking_budget < 0 ? budget_of_effort(a) : r->thinking_budget;
    return budget < 0 || budget > most ? most : budget;
}

static void read_thinking(struct local_answer *a) {
    const struct request *r = a->request;
    a->terms.thinking_budget = -1;
    if (r->kind != REQUEST_CHAT) return;
    a->terms.may_think =
        answer_form_thinks(a->model->form) && r->thinking != SWITCH_OFF && r->thinking_budget != 0;
    a->terms.thinking_budget = thinking_budget(a);
}

/* ---- tools and the form of the answer ------------------------------------------------------ */

/* Those that may be called. */
static const json_t *offered_tools(const struct request *r) {
    bool any = r->kind == REQUEST_CHAT && json_array_size(r->tools) > 0;
    return any && r->tool_choice != TOOLS_NONE ? r->tools : NULL;
}

static const char *name_of(const json_t *tool) {
    return json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
}

/* An array of the tools that must be called: all, or the one that is named. Given; NULL: no memory,
 * or no such tool. */
static json_t *required_tools(const struct request *r) {
    json_t *tools = json_array(), *tool;
    size_t i;
    json_array_foreach(r->tools, i, tool) {
        const char *name = name_of(tool);
        bool wanted = r->tool_choice == TOOLS_REQUIRED ||
                      (name && r->tool_name && strcmp(name, r->tool_name) == 0);
        if (wanted && json_array_append(tools, tool) != 0) break;
    }
    if (json_array_size(tools) > 0) return tools;
    json_decref(tools);
    return NULL;
}

static hearth_status require_calls(struct local_answer *a, hearth_error *err) {
    const struct request *r = a->request;
    char *grammar = NULL;
    json_t *schemas = NULL;
    json_t *tools = required_tools(r);
    if (!tools)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "tool_choice asks for a tool that is not "
                         "among the tools");
    bool one = r->one_tool_call || r->tool_choice == TOOLS_NAMED;
    bool written = answer_form_tool_grammar(a->terms.form, tools, one, &grammar, &schemas);
    json_decref(tools);
    if (!written)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "calls of tools cannot be required of '%s', whose template writes them "
                         "as '%s'",
                         a->model->name, answer_form_name(a->terms.form));
    const struct constraint_wanted wanted = {
        .kind = CONSTRAINT_GRAMMAR, .schema = schemas, .text = grammar, .control = true};
    hearth_status status =
        constraint_cache_take(a->model->constraints, &wanted, &a->constraint, err);
    mem_free(grammar);
    json_decref(schemas);
    a->terms.must_call = true;
    return status;
}

static hearth_status read_form(struct local_answer *a, hearth_error *err) {
    const struct request *r = a->request;
    const struct constraint_wanted wanted = {
        .kind = r->constraint, .schema = r->constraint_schema, .text = r->constraint_text};
    hearth_status status = HEARTH_OK;
    a->terms.tools = offered_tools(r);
    a->terms.one_call = r->one_tool_call;
    if (r->kind == REQUEST_CHAT)
        a->terms.form =
            a->terms.tools && a->model->told_form ? a->model->told_form : a->model->form;
    if (a->terms.tools && (r->tool_choice == TOOLS_REQUIRED || r->tool_choice == TOOLS_NAMED))
        status = require_calls(a, err);
    else if (r->constraint != CONSTRAINT_NONE)
        status = constraint_cache_take(a->model->constraints, &wanted, &a->constraint, err);
    if (a->constraint) a->terms.constraint = cached_constraint_of(a->constraint);
    return status;
}

hearth_status request_terms_make(struct local_answer *a, hearth_error *err) {
    const struct request *r = a->request;
    a->terms.model = a->model;
    a->terms.n_logprobs = r->n_logprobs;
    a->terms.shows_control = r->shows_control;
    RETURN_IF_ERROR(read_stops(a, err));
    read_thinking(a);
    RETURN_IF_ERROR(read_form(a, err));
    return request_sampling_init(&a->sampling, r, &a->model->sampling, a->model->engine.tokenizer,
                                 err);
}

void request_terms_release(struct local_answer *a) {
    for (size_t i = 0; a->prompts && i < a->n_prompts; i++)
        token_list_release(&a->prompts[i]);
    mem_free(a->prompts);
    if (a->constraint) constraint_cache_give_back(a->model->constraints, a->constraint);
    request_sampling_release(&a->sampling);
}
