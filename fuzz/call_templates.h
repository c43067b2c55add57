/* call_templates.h - what a template of each form of calls contains. */
#ifndef HEARTH_FUZZ_CALL_TEMPLATES_H
#define HEARTH_FUZZ_CALL_TEMPLATES_H

#include <stddef.h>

/* One that the number chooses. */
static inline const char *call_template(size_t number) {
    static const char *const templates[] = {"",
                                            "<tool_call></think>",
                                            "<function=<parameter=</think>",
                                            "<seed:tool_call><seed:think>",
                                            "<arg_key><arg_value></think>",
                                            "｜DSML｜function_calls></think>",
                                            "<function name=<param name=",
                                            "<|tool_call_argument_begin|>",
                                            "<｜tool▁sep｜>```json</think>",
                                            "[TOOL_CALLS][ARGS][THINK]",
                                            "[TOOL_CALLS]",
                                            "<function=</function>",
                                            "<|tool_call>call:<|channel>thought",
                                            "<|tool_list_start|>",
                                            "<|tools_prefix|><|inner_prefix|>",
                                            "]<]minimax[>[<invoke name=",
                                            "<|channel|><|message|>",
                                            "ipython\"parameters\": ",
                                            "<use_mcp_tool><tool_name>",
                                            "<|START_ACTION|><|START_THINKING|>",
                                            "<tool_calls><tool_call>```json"};
    return templates[number % (sizeof templates / sizeof templates[0])];
}

#endif
