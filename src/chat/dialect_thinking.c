/* Whether, how hard and how long a model thinks, in the words of many interfaces. */
#include <string.h>

#include "base/mem.h"
#include "chat/dialect_parts.h"

static const char *const efforts[] = {"none", "minimal", "low", "medium",
                                      "high", "xhigh",   "max", NULL};

bool set_effort(struct fields *fields, const char *name, struct request *request) {
    int effort = field_one_of(fields, name, efforts);
    if (effort < 0) return false;
    if (effort == 0) {
        request->thinking = SWITCH_OFF;
        return true;
    }
    request->thinking = SWITCH_ON;
    mem_free(request->reasoning_effort);
    request->reasoning_effort = mem_strdup(efforts[effort]);
    return request->reasoning_effort || problem_no_memory(fields->problem);
}

static void read_budget(struct fields *fields, const char *name, struct request *request) {
    int64_t budget;
    if (!field_integer(fields, name, -1, INT32_MAX, &budget)) return;
    request->thinking_budget = budget;
    if (budget == 0) request->thinking = SWITCH_OFF;
}

static void read_switch(struct fields *fields, const char *name, struct request *request) {
    bool on;
    if (field_flag(fields, name, &on)) request->thinking = on ? SWITCH_ON : SWITCH_OFF;
}

void read_thinking_object(struct fields *fields, struct request *request) {
    static const char *const types[] = {"enabled", "disabled", "adaptive", NULL};
    struct fields thinking;
    if (!field_object(fields, "thinking", &thinking)) return;
    int type = field_one_of(&thinking, "type", types);
    if (type < 0) {
        field_problem(&thinking, "type", "is missing");
        return;
    }
    read_budget(&thinking, "budget_tokens", request);
    if (type < 2) request->thinking = type == 0 ? SWITCH_ON : SWITCH_OFF;
}

/* OpenRouter's {"effort", "max_tokens", "enabled"}, and of responses {"effort", "summary"}. */
static void read_reasoning(struct fields *fields, struct request *request) {
    static const struct field_kept kept[] = {
        {"summary", FIELD_STRING}, {"generate_summary", FIELD_STRING}, {"exclude", FIELD_FLAG}};
    struct fields reasoning;
    if (!field_object(fields, "reasoning", &reasoning)) return;
    fields_check_kept(&reasoning, kept, sizeof kept / sizeof kept[0]);
    read_switch(&reasoning, "enabled", request);
    set_effort(&reasoning, "effort", request);
    read_budget(&reasoning, "max_tokens", request);
}

static void read_template_settings(struct fields *fields, struct request *request) {
    struct fields settings;
    if (!field_object(fields, "chat_template_kwargs", &settings)) return;
    read_switch(&settings, "enable_thinking", request);
    read_switch(&settings, "thinking", request);
    set_effort(&settings, "reasoning_effort", request);
    request->template_settings = object_copy(settings.object);
    if (!request->template_settings) problem_no_memory(fields->problem);
}

void read_thinking(struct fields *fields, struct request *request) {
    read_template_settings(fields, request);
    read_switch(fields, "enable_thinking", request);
    read_thinking_object(fields, request);
    read_reasoning(fields, request);
    set_effort(fields, "reasoning_effort", request);
    read_budget(fields, "thinking_token_budget", request);
    read_budget(fields, "thinking_budget_tokens", request);
}
