#include "chat/answer_form.h"

#include <string.h>

#include "base/mem.h"

/* The first row whose marks a template has is its family's: the special before the general. */
static const struct call_form call_forms[] = {
    {.name = "gpt-oss",
     .marks = {"<|channel|>", "<|message|>"},
     .style = CALLS_CHANNEL,
     .writing = {.open = "<|channel|>commentary to=functions.",
                 .middle = " <|constrain|>json<|message|>"}},
    {.name = "mirothinker",
     .marks = {"<use_mcp_tool>", "<tool_name>"},
     .style = CALLS_ARGUMENTS,
     .section_open = "<use_mcp_tool>",
     .section_close = "</use_mcp_tool>",
     .open = "<server_name>",
     .close = "</arguments>",
     .name_open = "<tool_name>",
     .name_end = "</tool_name>",
     .writing = {.open = "<use_mcp_tool>\n<server_name>tools</server_name>\n<tool_name>",
                 .middle = "</tool_name>\n<arguments>\n",
                 .close = "\n</arguments>\n</use_mcp_tool>",
                 .between = "\n"}},
    {.name = "minimax-m3",
     .marks = {"]<]minimax[>[", "<invoke name="},
     .style = CALLS_TREE,
     .open = "]<]minimax[>[<tool_call>",
     .close = "]<]minimax[>[</tool_call>",
     .writing = {.begin = "]<]minimax[>[<tool_call>\n",
                 .open = "]<]minimax[>[<invoke name=\"",
                 .middle = "\">",
                 .close = "]<]minimax[>[</invoke>\n",
                 .end = "]<]minimax[>[</tool_call>"}},
    {.name = "minimax-m2",
     .marks = {"<minimax:tool_call>"},
     .style = CALLS_PARAMETERS,
     .section_open = "<minimax:tool_call>",
     .section_close = "</minimax:tool_call>",
     .open = "<invoke name=\"",
     .name_end = "\">",
     .key_open = "<parameter name=\"",
     .key_end = "\"",
     .value_open = ">",
     .value_close = "</parameter>",
     .close = "</invoke>",
     .writing = {.begin = "<minimax:tool_call>\n",
                 .open = "<invoke name=\"",
                 .middle = "\">\n",
                 .key_end = "\">",
                 .close = "</invoke>\n",
                 .end = "</minimax:tool_call>"}},
    {.name = "deepseek-v3.2",
     .marks = {"｜DSML｜", "function_calls>"},
     .style = CALLS_PARAMETERS,
     .attributed = true,
     .section_open = "<｜DSML｜function_calls>",
     .section_close = "</｜DSML｜function_calls>",
     .open = "<｜DSML｜invoke name=\"",
     .name_end = "\">",
     .key_open = "<｜DSML｜parameter name=\"",
     .key_end = "\"",
     .value_open = ">",
     .value_close = "</｜DSML｜parameter>",
     .close = "</｜DSML｜invoke>",
     .writing = {.begin = "<｜DSML｜function_calls>\n",
                 .open = "<｜DSML｜invoke name=\"",
                 .middle = "\">\n",
                 .close = "</｜DSML｜invoke>\n",
                 .end = "</｜DSML｜function_calls>"}},
    {.name = "deepseek-v4",
     .marks = {"｜DSML｜"},
     .style = CALLS_PARAMETERS,
     .attributed = true,
     .section_open = "<｜DSML｜tool_calls>",
     .section_close = "</｜DSML｜tool_calls>",
     .open = "<｜DSML｜invoke name=\"",
     .name_end = "\">",
     .key_open = "<｜DSML｜parameter name=\"",
     .key_end = "\"",
     .value_open = ">",
     .value_close = "</｜DSML｜parameter>",
     .close = "</｜DSML｜invoke>",
     .writing = {.begin = "<｜DSML｜tool_calls>\n",
                 .open = "<｜DSML｜invoke name=\"",
                 .middle = "\">\n",
                 .close = "</｜DSML｜invoke>\n",
                 .end = "</｜DSML｜tool_calls>"}},
    {.name = "seed-oss",
     .marks = {"<seed:tool_call>"},
     .style = CALLS_PARAMETERS,
     .section_open = "<seed:tool_call>",
     .section_close = "</seed:tool_call>",
     .open = "<function=",
     .name_end = ">",
     .key_open = "<parameter=",
     .key_end = ">",
     .value_close = "</parameter>",
     .close = "</function>",
     .writing = {.open = "<seed:tool_call>\n<function=",
                 .middle = ">\n",
                 .key_end = ">",
                 .close = "</function>\n</seed:tool_call>",
                 .between = "\n"}},
    {.name = "qwen3-coder",
     .marks = {"<function=", "<parameter="},
     .style = CALLS_PARAMETERS,
     .lined = true,
     .section_open = "<tool_call>",
     .section_close = "</tool_call>",
     .open = "<function=",
     .name_end = ">",
     .key_open = "<parameter=",
     .key_end = ">",
     .value_close = "</parameter>",
     .close = "</function>",
     .writing = {.open = "<tool_call>\n<function=",
                 .middle = ">\n",
                 .key_end = ">\n",
                 .close = "</function>\n</tool_call>",
                 .between = "\n"}},
    {.name = "glm-4.5",
     .marks = {"<arg_key>", "<arg_value>"},
     .style = CALLS_PARAMETERS,
     .open = "<tool_call>",
     .key_open = "<arg_key>",
     .key_end = "</arg_key>",
     .value_open = "<arg_value>",
     .value_close = "</arg_value>",
     .close = "</tool_call>",
     .writing = {.open = "<tool_call>",
                 .middle = "\n",
                 .key_end = "</arg_key>\n<arg_value>",
                 .close = "</tool_call>",
                 .between = "\n"}},
    {.name = "minicpm5",
     .marks = {"<function name=", "<param name="},
     .style = CALLS_PARAMETERS,
     .quoted = true,
     .open = "<function name=\"",
     .name_end = "\">",
     .key_open = "<param name=\"",
     .key_end = "\"",
     .value_open = ">",
     .value_close = "</param>",
     .close = "</function>",
     .writing = {.open = "<function name=\"",
                 .middle = "\">",
                 .key_end = "\">",
                 .close = "</function>",
                 .between = "\n"}},
    {.name = "kimi-k2",
     .marks = {"<|tool_call_argument_begin|>"},
     .style = CALLS_ARGUMENTS,
     .numbered = true,
     .section_open = "<|tool_calls_section_begin|>",
     .section_close = "<|tool_calls_section_end|>",
     .open = "<|tool_call_begin|>",
     .name_end = "<|tool_call_argument_begin|>",
     .close = "<|tool_call_end|>",
     .writing = {.begin = "<|tool_calls_section_begin|>",
                 .open = "<|tool_call_begin|>functions.",
                 .middle = ":0<|tool_call_argument_begin|>",
                 .close = "<|tool_call_end|>",
                 .end = "<|tool_calls_section_end|>"}},
    {.name = "deepseek-r1",
     .marks = {"<｜tool▁sep｜>", "```json"},
     .style = CALLS_ARGUMENTS,
     .section_open = "<｜tool▁calls▁begin｜>",
     .section_close = "<｜tool▁calls▁end｜>",
     .open = "<｜tool▁call▁begin｜>",
     .name_open = "<｜tool▁sep｜>",
     .close = "<｜tool▁call▁end｜>",
     .writing = {.begin = "<｜tool▁calls▁begin｜>",
                 .open = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
                 .middle = "\n```json\n",
                 .close = "\n```<｜tool▁call▁end｜>",
                 .between = "\n",
                 .end = "<｜tool▁calls▁end｜>"}},
    {.name = "deepseek-v3.1",
     .marks = {"<｜tool▁sep｜>"},
     .style = CALLS_ARGUMENTS,
     .section_open = "<｜tool▁calls▁begin｜>",
     .section_close = "<｜tool▁calls▁end｜>",
     .open = "<｜tool▁call▁begin｜>",
     .name_end = "<｜tool▁sep｜>",
     .close = "<｜tool▁call▁end｜>",
     .writing = {.begin = "<｜tool▁calls▁begin｜>",
                 .open = "<｜tool▁call▁begin｜>",
                 .middle = "<｜tool▁sep｜>",
                 .close = "<｜tool▁call▁end｜>",
                 .end = "<｜tool▁calls▁end｜>"}},
    {.name = "mistral",
     .marks = {"[TOOL_CALLS]", "[ARGS]"},
     .style = CALLS_ARGUMENTS,
     .open = "[TOOL_CALLS]",
     .writing = {.open = "[TOOL_CALLS]", .middle = "[ARGS]", .id = "[CALL_ID]"}},
    {.name = "mistral-nemo",
     .marks = {"[TOOL_CALLS]"},
     .style = CALLS_OBJECT,
     .open = "[TOOL_CALLS]",
     .writing = {.begin = "[TOOL_CALLS][", .between = ", ", .end = "]"}},
    {.name = "functionary-v3.1",
     .marks = {"<function=", "</function>"},
     .style = CALLS_ARGUMENTS,
     .open = "<function=",
     .name_end = ">",
     .close = "</function>",
     .writing = {.open = "<function=", .middle = ">", .close = "</function>"}},
    {.name = "gemma-4",
     .marks = {"<|tool_call>call:"},
     .style = CALLS_BRACES,
     .open = "<|tool_call>",
     .close = "<tool_call|>",
     .writing = {.open = "<|tool_call>call:", .middle = "{", .close = "}<tool_call|>"}},
    {.name = "lfm2",
     .marks = {"<|tool_list_start|>"}, /* its calls are not in the template */
     .style = CALLS_PYTHON,
     .open = "<|tool_call_start|>",
     .close = "<|tool_call_end|>",
     .writing = {.begin = "<|tool_call_start|>[",
                 .middle = "(",
                 .close = ")",
                 .between = ", ",
                 .end = "]<|tool_call_end|>"}},
    {.name = "lfm2",
     .marks = {"<|tool_call_start|>"},
     .style = CALLS_PYTHON,
     .open = "<|tool_call_start|>",
     .close = "<|tool_call_end|>",
     .writing = {.begin = "<|tool_call_start|>[",
                 .middle = "(",
                 .close = ")",
                 .between = ", ",
                 .end = "]<|tool_call_end|>"}},
    {.name = "olmo-3",
     .marks = {"<function_calls>"},
     .style = CALLS_PYTHON,
     .open = "<function_calls>",
     .close = "</function_calls>",
     .writing = {.begin = "<function_calls>",
                 .middle = "(",
                 .close = ")",
                 .between = "\n",
                 .end = "</function_calls>"}},
    {.name = "apertus",
     .marks = {"<|tools_prefix|>"},
     .style = CALLS_KEYED,
     .open = "<|tools_prefix|>",
     .close = "<|tools_suffix|>",
     .writing = {.begin = "<|tools_prefix|>[", .between = ", ", .end = "]<|tools_suffix|>"}},
    {.name = "command-r7b",
     .marks = {"<|START_ACTION|>"},
     .style = CALLS_OBJECT,
     .open = "<|START_ACTION|>",
     .close = "<|END_ACTION|>",
     .writing = {.begin = "<|START_ACTION|>[",
                 .between = ", ",
                 .end = "]<|END_ACTION|>",
                 .name_key = "tool_name",
                 .arguments_key = "parameters"}},
    {.name = "command-r",
     .marks = {"Action:", "```json", "tool_name"},
     .style = CALLS_OBJECT,
     .open = "Action: ```json",
     .close = "```",
     .writing = {.begin = "Action: ```json\n[",
                 .between = ", ",
                 .end = "]```",
                 .name_key = "tool_name",
                 .arguments_key = "parameters"}},
    {.name = "gigachat",
     .marks = {"<|function_call|>"},
     .style = CALLS_OBJECT,
     .open = "<|function_call|>",
     .writing = {.open = "<|function_call|>"}},
    {.name = "hunyuan",
     .marks = {"<tool_calls>", "<tool_call>", "```json"},
     .style = CALLS_ARGUMENTS,
     .section_open = "<tool_calls>",
     .section_close = "</tool_calls>",
     .open = "<tool_call>",
     .close = "</tool_call>",
     .writing = {.begin = "<tool_calls>\n",
                 .open = "<tool_call>",
                 .middle = "\n```json\n",
                 .close = "\n```\n</tool_call>",
                 .between = "\n",
                 .end = "\n</tool_calls>"}},
    {.name = "apriel",
     .marks = {"<tool_calls>["},
     .style = CALLS_OBJECT,
     .open = "<tool_calls>",
     .close = "</tool_calls>",
     .writing = {.begin = "<tool_calls>[", .between = ", ", .end = "]</tool_calls>"}},
    {.name = "minimax-m1",
     .marks = {"<tool_calls>"},
     .style = CALLS_OBJECT,
     .open = "<tool_calls>",
     .close = "</tool_calls>",
     .writing = {.begin = "<tool_calls>\n", .between = "\n", .end = "\n</tool_calls>"}},
    {.name = "nemotron-v2",
     .marks = {"<TOOLCALL>"},
     .style = CALLS_OBJECT,
     .open = "<TOOLCALL>",
     .close = "</TOOLCALL>",
     .writing = {.begin = "<TOOLCALL>[", .between = ", ", .end = "]</TOOLCALL>"}},
    {.name = "firefunction",
     .marks = {"functools["},
     .style = CALLS_OBJECT,
     .open = "functools[",
     .writing = {.begin = "functools[", .between = ", ", .end = "]"}},
    {.name = "granite",
     .marks = {"<|start_of_role|>", "<|tool_call|>"},
     .style = CALLS_OBJECT,
     .section_open = "<|tool_call|>",
     .open = "<tool_call>",
     .close = "</tool_call>",
     .writing = {.begin = "<|tool_call|>[", .between = ", ", .end = "]"}},
    {.name = "phi-4-mini",
     .marks = {"<|tool|>", "<|/tool|>"},
     .style = CALLS_OBJECT,
     .section_open = "functools[",
     .open = "<|tool_call|>",
     .close = "<|/tool_call|>",
     .writing = {.begin = "<|tool_call|>[", .between = ", ", .end = "]<|/tool_call|>"}},
    {.name = "hermes",
     .marks = {"<tool_call>"},
     .style = CALLS_OBJECT,
     .open = "<tool_call>",
     .close = "</tool_call>",
     .writing = {.open = "<tool_call>\n", .close = "\n</tool_call>", .between = "\n"}},
    {.name = "llama3",
     .marks = {"ipython", "\"parameters\": "},
     .style = CALLS_OBJECT,
     .bare = true,
     .open = "<|python_tag|>",
     .writing = {.between = "; ", .arguments_key = "parameters"}},
    {.name = "plain", .style = CALLS_NONE},
};

/* The last row is that of templates that mark nothing. */
static const struct think_form think_forms[] = {
    {.mark = "<seed:think>",
     .open = "<seed:think>",
     .close = "</seed:think>",
     .end = "</seed:think>\n"},
    {.mark = "mm:think>", .open = "<mm:think>", .close = "</mm:think>", .end = "</mm:think>"},
    {.mark = "[THINK]", .open = "[THINK]", .close = "[/THINK]", .end = "[/THINK]"},
    {.mark = "<|START_THINKING|>",
     .open = "<|START_THINKING|>",
     .close = "<|END_THINKING|>",
     .end = "<|END_THINKING|>",
     .dropped = {"<|START_RESPONSE|>", "<|END_RESPONSE|>"}},
    {.mark = "◁think▷", .open = "◁think▷", .close = "◁/think▷", .end = "◁/think▷"},
    {.mark = "<|channel>thought",
     .open = "<|channel>thought",
     .close = "<channel|>",
     .end = "\n<channel|>",
     .dropped = {"<|tool_response>"}},
    {.mark = "<|inner_prefix|>",
     .open = "<|inner_prefix|>",
     .close = "<|inner_suffix|>",
     .end = "<|inner_suffix|>"},
    {.mark = "Here are my reasoning steps:",
     .open = "Here are my reasoning steps:",
     .close = "[BEGIN FINAL RESPONSE]",
     .end = "\n[BEGIN FINAL RESPONSE]\n",
     .dropped = {"[END FINAL RESPONSE]"}},
    {.mark = "[BEGIN FINAL RESPONSE]",
     .open = "<think>",
     .close = "</think>",
     .end = "</think>\n\n",
     .dropped = {"[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]"}},
    {.mark = "<response></response>",
     .open = "<think>",
     .close = "</think>",
     .end = "</think>\n\n",
     .dropped = {"<response>", "</response>"}},
    {.mark = "<thought>", .open = "<thought>", .close = "</thought>", .end = "</thought>\n\n"},
    {.mark = "</think>", .open = "<think>", .close = "</think>", .end = "</think>\n\n"},
    {.open = "<think>", .close = "</think>", .end = "</think>\n\n"},
};

/* Of harmony, where a channel takes the place of a tag. */
static const struct think_form channel_thinking = {
    .open = "<|channel|>analysis<|message|>",
    .close = "<|end|>",
    .end = "<|end|><|start|>assistant<|channel|>final<|message|>"};

static bool has_marks(const char *source, const char *const marks[3]) {
    for (size_t i = 0; i < 3 && marks[i]; i++)
        if (!strstr(source, marks[i])) return false;
    return true;
}

hearth_status answer_form_open(struct answer_form **out, const char *template_source,
                               hearth_error *err) {
    const struct call_form *call = call_forms;
    const struct think_form *think = think_forms;
    const char *source = template_source ? template_source : "";
    *out = NULL;
    while (call->style != CALLS_NONE && !has_marks(source, call->marks))
        call++;
    while (think->mark && !strstr(source, think->mark))
        think++;
    if (call->style == CALLS_CHANNEL) think = &channel_thinking;
    struct answer_form *form = mem_alloc(sizeof *form);
    if (!form) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the form of answers");
    *form = (struct answer_form){.call = call, .think = think};
    form->thinks = !template_source || think->mark || think == &channel_thinking;
    *out = form;
    return HEARTH_OK;
}

hearth_status answer_form_open_told(struct answer_form **out, const struct answer_form *form,
                                    hearth_error *err) {
    const struct call_form *call = call_forms;
    while (strcmp(call->name, "hermes") != 0)
        call++;
    *out = mem_alloc(sizeof **out);
    if (!*out) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the form of answers");
    **out = *form;
    (*out)->call = call;
    return HEARTH_OK;
}

void answer_form_close(struct answer_form *form) {
    mem_free(form);
}

const char *answer_form_name(const struct answer_form *form) {
    return form->call->name;
}

bool answer_form_thinks(const struct answer_form *form) {
    return form->thinks;
}

bool answer_form_calls_tools(const struct answer_form *form) {
    return form->call->style != CALLS_NONE;
}

bool answer_form_opens_thinking(const struct answer_form *form, const char *prompt, size_t n) {
    size_t tag = strlen(form->think->open);
    while (n > 0 && (unsigned char)prompt[n - 1] <= ' ')
        n--;
    return n >= tag && memcmp(prompt + n - tag, form->think->open, tag) == 0;
}

const char *answer_form_end_of_thinking(const struct answer_form *form) {
    return form->think->end;
}

const char *answer_form_thinking_tag(const struct answer_form *form) {
    return form->think->open;
}

const char *answer_form_call_tag(const struct answer_form *form) {
    return form->call->section_open ? form->call->section_open : form->call->open;
}

static bool is_in(const char *const *tags, size_t n_tags, const char *text, size_t n) {
    for (size_t i = 0; n > 0 && i < n_tags; i++)
        if (tags[i] && memmem(tags[i], strlen(tags[i]), text, n)) return true;
    return false;
}

bool answer_form_is_of_calls(const struct answer_form *form, const char *text, size_t n) {
    static const char channel_frame[] =
        "<|start|><|channel|><|constrain|><|message|><|call|><|return|><|end|>";
    const struct call_form *c = form->call;
    const struct call_writing *w = &c->writing;
    const char *const tags[] = {c->style == CALLS_CHANNEL ? channel_frame : NULL,
                                c->style == CALLS_BRACES ? "<|\"|>" : NULL,
                                c->section_open,
                                c->section_close,
                                c->open,
                                c->close,
                                c->name_open,
                                c->name_end,
                                c->key_open,
                                c->value_open,
                                c->value_close,
                                w->begin,
                                w->end,
                                w->open,
                                w->close,
                                w->between,
                                w->middle,
                                w->id,
                                w->key_end};
    return is_in(tags, sizeof tags / sizeof tags[0], text, n);
}

bool answer_form_reads(const struct answer_form *form, const char *text, size_t n) {
    const struct think_form *t = form->think;
    const char *const tags[] = {t->open, t->close, t->dropped[0], t->dropped[1]};
    return is_in(tags, sizeof tags / sizeof tags[0], text, n) ||
           answer_form_is_of_calls(form, text, n);
}
