/* Every chat template's own rendering of an assistant's turn, read back: what the model was shown
 * as its past answers is what it will write. */
#include "answer_collector.h"

#include "base/mem.h"
#include "chat/answer_reader_parts.h"
#include "chat/dialogue.h"

struct turn {
    const char *text;
    size_t n;
};

/* Where assistants' turns begin, and what ends them. */
static const char *const turn_begins[] = {"<|im_start|>assistant\n",
                                          "<|im_assistant|>assistant<|im_middle|>",
                                          "<|start_header_id|>assistant<|end_header_id|>\n\n",
                                          "<|start_of_role|>assistant<|end_of_role|>",
                                          "<seed:bos>assistant\n",
                                          "<beginning_of_sentence>ai name=assistant\n",
                                          "<start_of_turn>model\n",
                                          "<extra_id_1>Assistant\n",
                                          "<|role_sep|>\n\nassistant<|role_sep|>\n",
                                          "assistant<|role_sep|>\n",
                                          "<|begin_assistant|>\n",
                                          "<|assistant_start|>",
                                          "<|turn>model\n",
                                          "]~b]ai\n",
                                          "<|assistant|>",
                                          "<assistant>",
                                          "<｜Assistant｜>",
                                          "<|Bot|>",
                                          "### Response:\n",
                                          "### Assistant:\n",
                                          "<s>bot\n",
                                          "Assistant: ",
                                          "[/INST]"};
static const char *const turn_ends[] = {"<|im_end|>",
                                        "<|eot_id|>",
                                        "<|eom_id|>",
                                        "<|end_of_text|>",
                                        "<seed:eos>",
                                        "<end_of_sentence>",
                                        "<end_of_turn>",
                                        "<extra_id_1>",
                                        "<|message_sep|>",
                                        "<|end|>",
                                        "<|assistant_end|>",
                                        "<|tools_suffix|>[",
                                        "<turn|>",
                                        "<|tool_response>",
                                        "[e~[",
                                        "<|user|>",
                                        "<|observation|>",
                                        "\n</assistant>",
                                        "<｜end▁of▁sentence｜>",
                                        "<｜tool▁outputs▁begin｜>",
                                        "</s>",
                                        "\n\n\n\n",
                                        "\n\nUser:"};

/* Of harmony, which ends messages within a turn with what ends turns elsewhere. */
static struct turn find_channels(const char *begin) {
    const char *end = strstr(begin, "<|start|>functions.");
    if (!end) end = strstr(begin, "<|end|><|start|>user");
    return (struct turn){end ? begin : NULL, end ? (size_t)(end - begin) : 0};
}

/* The turn after a user's message; text NULL: it was not found. */
static struct turn find_turn(const char *rendering, const char *user) {
    static const char channels[] = "<|start|>assistant";
    const char *begin = NULL, *end = NULL;
    for (const char *at = strstr(rendering, user); at; at = strstr(at + 1, user))
        rendering = at + strlen(user);
    if (strstr(rendering, channels))
        return find_channels(strstr(rendering, channels) + sizeof channels - 1);
    for (size_t i = 0; i < sizeof turn_begins / sizeof turn_begins[0]; i++) {
        const char *at = strstr(rendering, turn_begins[i]);
        if (at && (!begin || at + strlen(turn_begins[i]) < begin))
            begin = at + strlen(turn_begins[i]);
    }
    for (size_t i = 0; begin && i < sizeof turn_ends / sizeof turn_ends[0]; i++) {
        const char *at = strstr(begin, turn_ends[i]);
        if (at && (!end || at < end)) end = at;
    }
    return (struct turn){end ? begin : NULL, end ? (size_t)(end - begin) : 0};
}

/* ---- what the message says, and what its rendering shows of it ---- */

static bool shows(const struct turn *turn, const char *text) {
    size_t n = strlen(text);
    for (size_t at = 0; at + n <= turn->n; at++)
        if (memcmp(turn->text + at, text, n) == 0) return true;
    return false;
}

static unsigned count(const struct turn *turn, const char *text) {
    unsigned found = 0;
    for (size_t at = 0, n = strlen(text); at + n <= turn->n; at++)
        found += memcmp(turn->text + at, text, n) == 0;
    return found;
}

struct expected {
    const char *reasoning, *text;
    const json_t *calls;
    size_t n_calls;
};

/* Templates leave out what models should not see again: thinking of earlier turns, text beside a
 * call, the second call. */
static struct expected expect(const struct answer_form *form, const struct turn *turn,
                              const json_t *message) {
    bool tags = strncmp(answer_form_end_of_thinking(form), "</think>", 8) == 0;
    const char *text = json_string_value(json_object_get(message, "content"));
    const char *reasoning = json_string_value(json_object_get(message, "reasoning_content"));
    const json_t *calls = json_object_get(message, "tool_calls");
    struct expected e = {.calls = calls};
    const json_t *first = json_object_get(json_array_get(calls, 0), "function");
    const char *name = json_string_value(json_object_get(first, "name"));
    if (text && strncmp(text, "<think>", 7) == 0 && tags) {
        reasoning = "17*3 = 51.";
        text = "51";
    }
    e.reasoning = reasoning && shows(turn, reasoning) ? reasoning : "";
    e.text = text && shows(turn, text) ? text : "";
    if (!text && shows(turn, "None")) e.text = "None"; /* the template's, for null */
    e.n_calls = name ? count(turn, name) : 0;
    if (shows(turn, "<|channel|>analysis") && !reasoning) { /* gpt-oss: text beside a call */
        e.reasoning = e.text;
        e.text = "";
    }
    return e;
}

/* The arguments of the message, but for what a template cannot write. */
static bool same_arguments(const char *got, const json_t *function, const struct turn *turn) {
    json_t *arguments = json_loads(got, JSON_REJECT_DUPLICATES, NULL), *expected;
    const json_t *given = json_object_get(function, "arguments");
    expected = json_is_string(given) ? json_loads(json_string_value(given), 0, NULL)
                                     : json_deep_copy(given);
    if (!shows(turn, "limit")) json_object_del(expected, "limit");
    bool same = json_is_object(arguments) && json_equal(arguments, expected);
    json_decref(arguments);
    json_decref(expected);
    return same;
}

/* Some templates put line feeds of their own around the answer. */
static bool same_but_for_blanks(const char *got, const char *expected) {
    size_t skip = strspn(got, " \n"), n = strlen(expected);
    return strncmp(got + skip, expected, n) == 0 &&
           got[skip + n + strspn(got + skip + n, " \n")] == '\0';
}

static bool is_expected(const struct collected *got, const struct expected *e,
                        const struct turn *turn) {
    bool same = strcmp(buf_text(&got->reasoning), e->reasoning) == 0;
    same = same && same_but_for_blanks(buf_text(&got->text), e->text);
    same = same && got->n_calls == e->n_calls;
    for (unsigned i = 0; same && i < got->n_calls; i++) {
        const json_t *function = json_object_get(json_array_get(e->calls, i), "function");
        const char *name = json_string_value(json_object_get(function, "name"));
        same = name && strcmp(buf_text(&got->names[i]), name) == 0 &&
               same_arguments(buf_text(&got->arguments[i]), function, turn);
    }
    return same;
}

/* ---- reading turns ---- */

struct tally {
    unsigned right, wrong, absent;
};

static void show(const char *name, const char *which, const struct turn *turn,
                 const struct collected *got) {
    print_message("%s / %s: %.*s\n  reasoning '%s'\n  text '%s'\n", name, which, (int)turn->n,
                  turn->text, buf_text(&got->reasoning), buf_text(&got->text));
    for (unsigned i = 0; i < got->n_calls; i++)
        print_message("  %s(%s)\n", buf_text(&got->names[i]), buf_text(&got->arguments[i]));
}

static void every_cut_is_the_same(const struct answer_form *form, const json_t *tools,
                                  const struct turn *turn, const struct collected *whole) {
    struct collected cut;
    for (size_t size = 1; size <= 7; size++) {
        read_cut(form, tools, false, turn->text, turn->n, cut_evenly, &size, &cut);
        assert_true(collected_equal(whole, &cut));
        collected_release(&cut);
    }
    for (uint32_t seed = 1; seed <= 8; seed++) {
        uint32_t state = seed;
        read_cut(form, tools, false, turn->text, turn->n, cut_anyhow, &state, &cut);
        assert_true(collected_equal(whole, &cut));
        collected_release(&cut);
    }
}

/* Without calls, what did not come out is white space and tags. */
static void nothing_is_lost(const struct answer_form *form, const struct collected *got,
                            const char *text, size_t n) {
    const struct think_form *think = form->think;
    const char *const tags[] = {think->open, think->close, think->dropped[0], think->dropped[1]};
    const char *out = buf_text(&got->all);
    for (size_t at = 0, skip; at < n; at += skip) {
        skip = 0;
        for (size_t i = 0; i < 4 && skip == 0; i++)
            if (tags[i] && strncmp(text + at, tags[i], strlen(tags[i])) == 0)
                skip = strlen(tags[i]);
        if (skip > 0 && at + skip <= n) continue;
        skip = 1;
        if (text[at] == *out)
            out++;
        else
            assert_true(text[at] == ' ' || text[at] == '\n');
    }
    assert_string_equal(out, "");
}

static bool is_long_beginning(const struct turn *turn, const struct buf *got,
                              const struct buf *whole) {
    return turn->n > ANSWER_CERTAIN_BYTES &&
           strncmp(buf_text(got), buf_text(whole), got->length) == 0;
}

/* However the text is cut off or damaged: a call that came out has JSON arguments, unless it was
 * long and broke off. */
static void damage_does_no_harm(const struct answer_form *form, const json_t *tools,
                                const struct turn *turn, const struct collected *whole) {
    struct collected got;
    char damaged[4096];
    assert_in_range(turn->n, 0, sizeof damaged);
    for (size_t n = 0; n <= turn->n; n++) {
        read_cut(form, tools, false, turn->text, n, NULL, NULL, &got);
        assert_in_range(got.n_calls, 0, whole->n_calls);
        if (got.n_calls == 0 && form->call->style != CALLS_CHANNEL)
            nothing_is_lost(form, &got, turn->text, n);
        for (unsigned i = 0; i < got.n_calls; i++)
            assert_true(strcmp(buf_text(&got.arguments[i]), buf_text(&whole->arguments[i])) == 0 ||
                        is_long_beginning(turn, &got.arguments[i], &whole->arguments[i]));
        collected_release(&got);
    }
    for (size_t at = 0; at < turn->n; at++) {
        if (turn->text[at] & 0x80) continue; /* texts stay UTF-8 */
        memcpy(damaged, turn->text, turn->n);
        damaged[at] = "<{}\"x[>\\"[at % 8];
        read_cut(form, tools, false, damaged, turn->n, NULL, NULL, &got);
        for (unsigned i = 0; i < got.n_calls; i++) {
            json_t *arguments = json_loads(buf_text(&got.arguments[i]), 0, NULL);
            assert_true(json_is_object(arguments) || turn->n > ANSWER_CERTAIN_BYTES);
            json_decref(arguments);
        }
        collected_release(&got);
    }
}

static void check_turn(struct tally *tally, const char *name, const char *which,
                       const struct answer_form *form, const json_t *context, const json_t *message,
                       const struct turn *turn) {
    const json_t *tools = json_object_get(context, "tools");
    struct expected expected = expect(form, turn, message);
    struct collected whole;
    read_cut(form, tools, false, turn->text, turn->n, NULL, NULL, &whole);
    if (is_expected(&whole, &expected, turn)) {
        tally->right++;
    } else {
        tally->wrong++;
        show(name, which, turn, &whole);
    }
    every_cut_is_the_same(form, tools, turn, &whole);
    damage_does_no_harm(form, tools, turn, &whole);
    collected_release(&whole);
}

/* The golden text, or where the messages' shape was not the template's, ours: dialogue_render
 * tries several. Given; NULL: the template refuses them all. */
static char *rendering_of(const char *source, const json_t *item) {
    const char *expected = json_string_value(json_object_get(item, "expected"));
    const json_t *context = json_object_get(item, "context");
    struct chat_template *t;
    struct buf out;
    if (expected) return mem_strdup(expected);
    json_t *variables = json_pack("{s:s,s:s}", "functions", "", "datetime", "");
    struct dialogue d = {.messages = json_object_get(context, "messages"),
                         .tools = json_object_get(context, "tools"),
                         .variables = variables,
                         .bos_text = "<s>",
                         .eos_text = "</s>",
                         .now = 1752148800};
    buf_init(&out, 1 << 20);
    assert_int_equal(chat_template_open(&t, source, strlen(source), NULL), HEARTH_OK);
    if (dialogue_render(t, &d, NULL, &out, NULL) != HEARTH_OK) out.failed = true;
    chat_template_close(t);
    json_decref(variables);
    char *text = buf_take(&out);
    buf_release(&out);
    return text;
}

/* The first message of an assistant that calls or thinks, and the text of the user's before. */
static const json_t *telling_message(const json_t *context, const char **user) {
    const json_t *message;
    size_t i;
    json_array_foreach(json_object_get(context, "messages"), i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        const char *text = json_string_value(json_object_get(message, "content"));
        if (role && strcmp(role, "user") == 0) *user = text;
        if (!role || strcmp(role, "assistant") != 0) continue;
        if (json_object_get(message, "tool_calls") || (text && strstr(text, "<think>")) ||
            json_object_get(message, "reasoning_content"))
            return message;
    }
    return NULL;
}

/* Whether the rendering has the message's calls at all, in a shape that could be written. */
static bool is_told(const struct turn *turn, const json_t *message) {
    const json_t *call = json_array_get(json_object_get(message, "tool_calls"), 0);
    const char *name =
        json_string_value(json_object_get(json_object_get(call, "function"), "name"));
    return !call || (shows(turn, name) && !shows(turn, "{{\""));
}

static void check_case(struct tally *tally, const char *name, const char *source,
                       const struct answer_form *form, const json_t *item) {
    const json_t *context = json_object_get(item, "context");
    const char *user = NULL, *which = json_string_value(json_object_get(item, "name"));
    const json_t *message = telling_message(context, &user);
    if (!message || !user) return;
    char *rendering = rendering_of(source, item);
    struct turn turn = find_turn(rendering ? rendering : "", user);
    if (turn.text && is_told(&turn, message))
        check_turn(tally, name, which, form, context, message, &turn);
    else
        tally->absent++;
    mem_free(rendering);
}

/* The templates that tell how calls are written; all others are plain. */
static const struct {
    const char *template, *form;
} forms[] = {
    {"Apertus-8B-Instruct", "apertus"},
    {"Apriel-1.6-15b-Thinker-fixed", "apriel"},
    {"ByteDance-Seed-OSS", "seed-oss"},
    {"GLM-4.6", "glm-4.5"},
    {"GigaChat3.1-10B-A1.8B", "gigachat"},
    {"Kimi-K2-Instruct", "kimi-k2"},
    {"Kimi-K2-Thinking", "kimi-k2"},
    {"LFM2-8B-A1B", "lfm2"},
    {"LFM2.5-8B-A1B", "lfm2"},
    {"MiMo-VL", "hermes"},
    {"MiniMax-M1", "minimax-m1"},
    {"MiniMax-M3", "minimax-m3"},
    {"Mistral-Small-3.2-24B-Instruct-2506", "mistral"},
    {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen3-coder"},
    {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "hermes"},
    {"Qwen-Qwen3-0.6B", "hermes"},
    {"Qwen-Qwen3-Coder-30B-A3B-Instruct", "qwen3-coder"},
    {"Qwen3-Coder", "qwen3-coder"},
    {"Qwen3.5-4B", "qwen3-coder"},
    {"Spark2.5", "glm-4.5"},
    {"StepFun3.5-Flash", "qwen3-coder"},
    {"chatfmt-granite-3.0-instruct", "granite"},
    {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek-r1"},
    {"deepseek-ai-DeepSeek-V3.1", "deepseek-v3.1"},
    {"deepseek-ai-DeepSeek-V3.2", "deepseek-v3.2"},
    {"deepseek-ai-DeepSeek-V4-Flash-0731", "deepseek-v4"},
    {"fireworks-ai-llama-3-firefunction-v2", "firefunction"},
    {"google-gemma-4-31B-it", "gemma-4"},
    {"ibm-granite-granite-3.3-2B-Instruct", "granite"},
    {"ibm-granite-granite-4.1", "hermes"},
    {"ik_llamacpp-GLM-5.2", "glm-4.5"},
    {"ik_llamacpp-MiroThinker", "mirothinker"},
    {"ik_llamacpp-deepseek-ai-DeepSeek-V4", "deepseek-v4"},
    {"llama-cpp-deepseek-r1", "deepseek-r1"},
    {"llamacpp-deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek-r1"},
    {"llamacpp-fireworks-ai-llama-3-firefunction-v2", "firefunction"},
    {"llamacpp-meetkai-functionary-medium-v3.1", "functionary-v3.1"},
    {"meetkai-functionary-medium-v3.1", "functionary-v3.1"},
    {"meta-llama-Llama-3.1-8B-Instruct", "llama3"},
    {"meta-llama-Llama-3.2-3B-Instruct", "llama3"},
    {"mistralai-Mistral-Nemo-Instruct-2407", "mistral-nemo"},
    {"moonshotai-Kimi-K2", "kimi-k2"},
    {"openai-gpt-oss-120b", "gpt-oss"},
    {"openbmb-MiniCPM5-1B", "minicpm5"},
    {"ortx-gpt-oss", "gpt-oss"},
    {"ortx-models-phi-4-cfg", "phi-4-mini"},
    {"ortx-phi-4-mini-reasoning", "phi-4-mini"},
    {"ortx-qwen3-cfg", "hermes"},
    {"ortx-v5-qwen2.5-synthetic", "hermes"},
    {"ortx-v5-smollm3", "hermes"},
    {"poolside-Laguna-XS-2.1", "glm-4.5"},
    {"poolside-Laguna-XS.2", "glm-4.5"},
    {"unsloth-Apriel-1.5", "apriel"},
    {"unsloth-mistral-Devstral-Small-2507", "mistral"},
};

static const char *form_of(const char *file) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t n = strlen(forms[i].template);
        if (strncmp(file, forms[i].template, n) == 0 && strcmp(file + n, ".json") == 0)
            return forms[i].form;
    }
    return "plain";
}

static void tags_fit(const struct answer_form *form) {
    const struct call_form *c = form->call;
    const struct think_form *t = form->think;
    const char *const tags[] = {c->section_open, c->section_close, c->open,     c->close,
                                c->name_open,    c->name_end,      c->key_open, c->key_end,
                                c->value_open,   c->value_close,   t->open,     t->close,
                                t->dropped[0],   t->dropped[1]};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        assert_true(!tags[i] || (*tags[i] && strlen(tags[i]) < ANSWER_TAG_MAX));
}

static struct tally check_template(const char *path, const char *name) {
    char *text;
    size_t n;
    json_t *item;
    size_t i;
    struct answer_form *form;
    struct tally tally = {0};
    assert_int_equal(file_read(path, 64 << 20, &text, &n, NULL), HEARTH_OK);
    json_t *file = json_loadb(text, n, JSON_ALLOW_NUL, NULL);
    const char *source = json_string_value(json_object_get(file, "template"));
    assert_non_null(source);
    assert_int_equal(answer_form_open(&form, source, NULL), HEARTH_OK);
    tags_fit(form);
    json_array_foreach(json_object_get(file, "cases"), i, item)
        check_case(&tally, name, source, form, item);
    print_message("%-52s %-16s %u right, %u wrong, %u not rendered\n", name, answer_form_name(form),
                  tally.right, tally.wrong, tally.absent);
    assert_string_equal(answer_form_name(form), form_of(name));
    answer_form_close(form);
    json_decref(file);
    mem_free(text);
    return tally;
}

static void turns_are_read_as_they_were_meant(void **state) {
    (void)state;
    const char *folder = testdata("templates/cases");
    char **names;
    size_t n;
    struct tally all = {0};
    assert_int_equal(file_list(folder, &names, &n, NULL), HEARTH_OK);
    for (size_t i = 0; i < n; i++) {
        if (!strstr(names[i], ".json")) continue;
        char *path = path_join(folder, names[i]);
        struct tally tally = check_template(path, names[i]);
        all.right += tally.right;
        all.wrong += tally.wrong;
        all.absent += tally.absent;
        mem_free(path);
    }
    file_names_free(names, n);
    print_message("%u turns right, %u wrong, %u not rendered\n", all.right, all.wrong, all.absent);
    assert_int_equal(all.wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_read_as_they_were_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
