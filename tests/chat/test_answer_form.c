/* Forms that no template at hand renders, by what a template of theirs contains; and grammars of
 * calls, whose answers the reader reads. */
#include "answer_collector.h"

#include "base/mem.h"

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},"
    "\"unit\":{\"enum\":[\"c\",\"f\"]}},\"required\":[\"days\"]}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]";

struct example {
    const char *form, *template, *text;
    const char *reading; /* reasoning|text|name(arguments)… */
};

static const struct example examples[] = {
    {"command-r7b", "<|START_ACTION|><|START_THINKING|>",
     "<|START_THINKING|>I look.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", "
     "\"tool_name\": \"get\", \"parameters\": {\"days\": 1}},\n    {\"tool_call_id\": \"1\", "
     "\"tool_name\": \"now\", \"parameters\": {}}\n]<|END_ACTION|>",
     "I look.||get({\"days\": 1})now({})"},
    {"command-r7b", "<|START_ACTION|><|START_THINKING|>",
     "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "a|b|"},
    {"command-r", "Action:```json \"tool_name\"",
     "Action: ```json\n[\n    {\n        \"tool_name\": \"get\",\n        \"parameters\": {\n"
     "            \"days\": 1\n        }\n    }\n]```",
     "||get({\n            \"days\": 1\n        })"},
    {"nemotron-v2", "<TOOLCALL></think>",
     "<think>\nhm\n</think>\n\n<TOOLCALL>[{\"name\": \"get\", \"arguments\": {\"days\": 1}}]"
     "</TOOLCALL>",
     "hm||get({\"days\": 1})"},
    {"hunyuan", "<tool_calls><tool_call>```json</think>",
     "<think>hm</think><tool_calls>\n<tool_call>get\n```json\n{\"days\": 1}\n```\n</tool_call>\n"
     "<tool_call>now\n```json\n{}\n```\n</tool_call>\n</tool_calls>",
     "hm||get({\"days\": 1})now({})"},
    {"minimax-m2", "<minimax:tool_call></think>",
     "<think>\nhm\n</think>\n\n<minimax:tool_call>\n<invoke name=\"get\">\n"
     "<parameter name=\"city\">New\nYork</parameter>\n<parameter name=\"days\">1</parameter>\n"
     "</invoke>\n<invoke name=\"now\">\n</invoke>\n</minimax:tool_call>",
     "hm||get({\"city\": \"New\\nYork\", \"days\": 1})now({})"},
    {"mirothinker", "<use_mcp_tool><tool_name></think>",
     "Now.\n<use_mcp_tool>\n<server_name>s</server_name>\n<tool_name>get</tool_name>\n<arguments>\n"
     "{\"days\": 1}\n</arguments>\n</use_mcp_tool>",
     "|Now.|get({\"days\": 1})"},
    {"granite", "<|start_of_role|><|tool_call|><think></think><response></response>",
     "<think>hm</think> <response>yes</response>", "hm|yes|"},
    {"granite", "<|start_of_role|><|tool_call|>",
     "<|tool_call|>[{\"name\": \"get\", \"arguments\": {\"days\": 1}}]", "||get({\"days\": 1})"},
    {"phi-4-mini", "<|tool|><|/tool|>",
     "<|tool_call|>[{\"name\": \"get\", \"arguments\": {\"days\": 1}}]<|/tool_call|>",
     "||get({\"days\": 1})"},
    {"phi-4-mini", "<|tool|><|/tool|>",
     "functools[{\"name\": \"get\", \"arguments\": {\"days\": 1}}]", "||get({\"days\": 1})"},
    {"deepseek-r1", "<｜tool▁sep｜>```json</think>",
     "<think>\nhm\n</"
     "think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get\n"
     "```json\n{\"days\": "
     "1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n"
     "```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "hm||get({\"days\": 1})now({})"},
    {"llama3", "ipython \"parameters\": ",
     "<|python_tag|>{\"type\": \"function\", \"name\": \"get\", \"parameters\": {\"days\": 1}}; "
     "{\"name\": \"now\", \"parameters\": {}}",
     "||get({\"days\": 1})now({})"},
    {"llama3", "ipython \"parameters\": ", "{\"name\": \"John\", \"parameters\": {}}",
     "|{\"name\": \"John\", \"parameters\": {}}|"},
    {"llama3", "ipython \"parameters\": ", "{\"answer\": 42}", "|{\"answer\": 42}|"},
    {"llama3", "ipython \"parameters\": ", "Use {\"name\": \"now\", \"parameters\": {}}",
     "|Use {\"name\": \"now\", \"parameters\": {}}|"},
    {"mistral", "[TOOL_CALLS][ARGS][THINK]",
     "[THINK]hm[/THINK]Let me.[TOOL_CALLS]get[ARGS]{\"days\": 1}[TOOL_CALLS]now[ARGS]{}",
     "hm|Let me.|get({\"days\": 1})now({})"},
    {"mistral", "[TOOL_CALLS][ARGS]", "a list [1] and [TOOL", "|a list [1] and [TOOL|"},
    {"lfm2", "<|tool_list_start|>",
     "<|tool_call_start|>[get(city=\"a'b\", days=2, unit='c'), now()]<|tool_call_end|>Done.",
     "|Done.|get({\"city\": \"a'b\", \"days\": 2, \"unit\": \"c\"})now({})"},
    {"olmo-3", "<function_calls>", "<function_calls>get(city=\"Rome\")\nnow()\n</function_calls>",
     "||get({\"city\": \"Rome\"})now({})"},
    {"gemma-4", "<|tool_call>call:<|channel>thought",
     "<|channel>thought\nhm\n<channel|><|tool_call>call:get{city:<|\"|>a{b}<|\"|>,days:[1,{x:null}]"
     "}"
     "<tool_call|><|tool_response>",
     "hm||get({\"city\": \"a{b}\", \"days\": [1, {\"x\": null}]})"},
    {"gpt-oss", "<|channel|><|message|>",
     "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary<|message|>"
     "Looking.<|end|><|start|>assistant<|channel|>commentary to=functions.get <|constrain|>json"
     "<|message|>{\"days\": 1}<|call|>",
     "hm|Looking.|get({\"days\": 1})"},
    {"gpt-oss", "<|channel|><|message|>",
     "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes"
     "<|return|>",
     "hm|yes|"},
    {"gpt-oss", "<|channel|><|message|>",
     "<|channel|>commentary to=functions.get<|message|>nothing<|call|>", "|nothing|"},
    {"gpt-oss", "<|channel|><|message|>", "to be or not", "|to be or not|"},
    {"gpt-oss", "<|channel|><|message|>", "<|channel|>anal", "||"},
    {"plain", "◁think▷", "◁think▷hm◁/think▷yes", "hm|yes|"},
    {"apriel", "<tool_calls>[Here are my reasoning steps:",
     "Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\nyes\n[END FINAL RESPONSE]",
     "hm|yes|"},
    {"apertus", "<|tools_prefix|><|inner_prefix|>",
     "<|inner_prefix|>hm<|inner_suffix|>So:<|tools_prefix|>[{\"get\": {\"days\": 1}}, {\"now\": "
     "{}}]"
     "<|tools_suffix|>",
     "hm|So:|get({\"days\": 1})now({})"},
    {"qwen3-coder", "<function=<parameter=",
     "<function=get>\n<parameter=city>\n\na\n\nb\n\n</parameter>\n<parameter=days>\nmany\n"
     "</parameter>\n</function>\n</tool_call>",
     "||get({\"city\": \"\\na\\n\\nb\\n\", \"days\": \"many\"})"},
};

static void check_example(const struct example *e, const json_t *tools) {
    struct answer_form *form;
    struct collected whole, cut;
    struct buf reading;
    buf_init(&reading, 1 << 20);
    assert_int_equal(answer_form_open(&form, e->template, NULL), HEARTH_OK);
    assert_string_equal(answer_form_name(form), e->form);
    read_cut(form, tools, false, e->text, strlen(e->text), NULL, NULL, &whole);
    for (size_t size = 1; size <= 7; size++) {
        read_cut(form, tools, false, e->text, strlen(e->text), cut_evenly, &size, &cut);
        assert_true(collected_equal(&whole, &cut));
        collected_release(&cut);
    }
    buf_append_format(&reading, "%s|%s|", buf_text(&whole.reasoning), buf_text(&whole.text));
    for (unsigned i = 0; i < whole.n_calls; i++)
        buf_append_format(&reading, "%s(%s)", buf_text(&whole.names[i]),
                          buf_text(&whole.arguments[i]));
    assert_string_equal(buf_text(&reading), e->reading);
    buf_release(&reading);
    collected_release(&whole);
    answer_form_close(form);
}

static void forms_are_read(void **state) {
    (void)state;
    json_t *tools = json_loads(tools_text, 0, NULL);
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        check_example(&examples[i], tools);
    json_decref(tools);
}

static void thinking_is_recognised_in_prompts(void **state) {
    (void)state;
    struct answer_form *form;
    assert_int_equal(answer_form_open(&form, "<seed:think>", NULL), HEARTH_OK);
    assert_true(answer_form_thinks(form));
    assert_string_equal(answer_form_end_of_thinking(form), "</seed:think>\n");
    assert_true(answer_form_opens_thinking(form, "x<seed:think>\n", 14));
    assert_false(answer_form_opens_thinking(form, "<seed:think></seed:think>", 25));
    assert_false(answer_form_opens_thinking(form, "", 0));
    answer_form_close(form);
    assert_int_equal(answer_form_open(&form, "{{ messages }}", NULL), HEARTH_OK);
    assert_false(answer_form_thinks(form));
    assert_false(answer_form_calls_tools(form));
    answer_form_close(form);
}

/* ---- grammars ---- */

/* The grammar of a template's family for these tools; NULL: none. Given. */
static char *grammar(const char *template, const char *tools_json, bool one_call) {
    struct answer_form *form;
    char *text = NULL;
    json_t *tools = json_loads(tools_json, 0, NULL);
    assert_int_equal(answer_form_open(&form, template, NULL), HEARTH_OK);
    json_t *schemas;
    bool given = answer_form_tool_grammar(form, tools, one_call, &text, &schemas);
    assert_int_equal(given, text != NULL);
    assert_int_equal(given, schemas != NULL);
    json_decref(schemas);
    answer_form_close(form);
    json_decref(tools);
    return text;
}

static void grammars_name_tools_and_arguments(void **state) {
    (void)state;
    static const char expected[] = "root ::= call (\"\\n\" call){0,15} \n"
                                   "call ::= call-0 | call-1\n"
                                   "call-0 ::= \"<tool_call>\\n{\\\"name\" \"\\\": \" "
                                   "\"\\\"get\\\"\" \", \\\"\" \"arguments\\\": \" "
                                   "arguments-0 \"}\\n</tool_call>\" \n"
                                   "call-1 ::= \"<tool_call>\\n{\\\"name\" \"\\\": \" "
                                   "\"\\\"now\\\"\" \", \\\"\" \"arguments\\\": \" "
                                   "arguments-1 \"}\\n</tool_call>\" \n";
    char *text = grammar("<tool_call>", tools_text, false);
    assert_non_null(text);
    assert_memory_equal(text, expected, sizeof expected - 1);
    mem_free(text);
    text = grammar("<tool_call>", tools_text, true);
    assert_memory_equal(text, "root ::= call \n", 15);
    mem_free(text);
    text = grammar("<function=<parameter=", tools_text, true);
    assert_non_null(strstr(text, "arguments-0 ::= ws (\"<parameter=city\" \">\" string ws )? "
                                 "\"<parameter=days\" \">\" ws value-0 ws \"</parameter>\" ws "));
    mem_free(text);
}

static void arguments_are_left_to_schemas(void **state) {
    (void)state;
    struct answer_form *form;
    char *text;
    json_t *schemas, *tools = json_loads(tools_text, 0, NULL);
    assert_int_equal(answer_form_open(&form, "<tool_call>", NULL), HEARTH_OK);
    assert_true(answer_form_tool_grammar(form, tools, true, &text, &schemas));
    const json_t *get = json_object_get(schemas, "arguments-0");
    assert_non_null(json_object_get(json_object_get(get, "properties"), "days"));
    assert_true(json_is_false(json_object_get(get, "additionalProperties")));
    assert_int_equal(json_object_size(schemas), 2);
    mem_free(text);
    json_decref(schemas);
    json_decref(tools);
    answer_form_close(form);
}

static void grammars_that_cannot_be_are_refused(void **state) {
    (void)state;
    assert_null(grammar("plain", tools_text, true));
    assert_null(grammar("<tool_call>", "[]", true));
    assert_null(grammar("<tool_call>", "[{\"function\":{}}]", true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_read),
        cmocka_unit_test(thinking_is_recognised_in_prompts),
        cmocka_unit_test(grammars_name_tools_and_arguments),
        cmocka_unit_test(arguments_are_left_to_schemas),
        cmocka_unit_test(grammars_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
