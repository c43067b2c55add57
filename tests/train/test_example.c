/* Conversations, texts and pairs as tokens: what trains is what the assistant wrote and
 * the token that ends its turn, in whatever template and vocabulary. */
#include "testdata.h"

#include <string.h>

#include "base/mem.h"
#include "format/directory.h"
#include "infer/prompt.h"
#include "train/preview.h"

enum { MAX_RUNS = 16, RUN_BYTES = 1024 };

struct scene {
    struct directory directory;
    struct tokenizer *tokenizer;
    struct chat_template *template;
    struct example_maker *maker;
    struct example_list list;
    struct example_outcome outcome;
    char runs[MAX_RUNS][RUN_BYTES]; /* what trains, piece by piece */
    char rest[16384];               /* what does not, with | for each piece that does */
    size_t n_runs;
};

static void ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("status %d: %s", (int)status, err->message);
}

static void open_vocabulary(struct scene *s, const char *vocabulary) {
    char path[128];
    hearth_error err = {0};
    *s = (struct scene){0};
    snprintf(path, sizeof path, "tokenizers/%s/vocab.gguf", vocabulary);
    ok(gguf_open(&s->directory, testdata(path), &err), &err);
    ok(tokenizer_open(&s->tokenizer, &s->directory.metadata, &err), &err);
}

static void open_template(struct scene *s, const char *name) {
    char path[192];
    hearth_error err = {0};
    chat_template_close(s->template);
    s->template = NULL;
    if (!name) return;
    snprintf(path, sizeof path, "templates/cases/%s.json", name);
    json_t *test = json_load_file(testdata(path), 0, NULL);
    const char *source = json_string_value(json_object_get(test, "template"));
    assert_non_null(source);
    ok(chat_template_open(&s->template, source, strlen(source), &err), &err);
    json_decref(test);
}

static void open_maker(struct scene *s, struct example_options options) {
    hearth_error err = {0};
    example_maker_close(s->maker);
    options.tokenizer = s->tokenizer;
    options.template = s->template;
    ok(example_maker_open(&s->maker, &options, &err), &err);
}

static void close_scene(struct scene *s) {
    example_list_release(&s->list);
    example_maker_close(s->maker);
    chat_template_close(s->template);
    tokenizer_close(s->tokenizer);
    directory_close(&s->directory);
}

/* Fills runs and rest with sequence i. */
static void look_at(struct scene *s, size_t i) {
    struct preview p;
    hearth_error err = {0};
    size_t n = 0;
    ok(preview_make(&p, s->tokenizer, &s->list, i, &err), &err);
    s->n_runs = 0;
    for (size_t k = 0; k < p.n_segments; k++) {
        const struct preview_segment *segment = &p.segments[k];
        int length = (int)(segment->end - segment->begin);
        if (segment->trained)
            snprintf(s->runs[s->n_runs++], RUN_BYTES, "%.*s", length, p.text.data + segment->begin);
        n += (size_t)snprintf(s->rest + n, sizeof s->rest - n, segment->trained ? "|" : "%.*s",
                              length, p.text.data + segment->begin);
        assert_true(s->n_runs < MAX_RUNS && n < sizeof s->rest);
    }
    preview_release(&p);
}

static enum example_result make(struct scene *s, struct dataset_sample sample) {
    hearth_error err = {0};
    example_list_clear(&s->list);
    ok(example_make(s->maker, &sample, &s->list, &s->outcome, &err), &err);
    if (s->list.n > 0) look_at(s, 0);
    return s->outcome.result;
}

static enum example_result make_messages(struct scene *s, const char *json) {
    json_error_t why;
    json_t *messages = json_loads(json, 0, &why);
    if (!messages) fail_msg("%s in %s", why.text, json);
    enum example_result result =
        make(s, (struct dataset_sample){.schema = SCHEMA_MESSAGES, .messages = messages});
    json_decref(messages);
    return result;
}

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ASSISTANT(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define CALL(text)                                                                                 \
    "{\"role\":\"assistant\",\"content\":\"" text "\",\"tool_calls\":[{\"id\":\"abcdefghi\","      \
    "\"type\":\"function\",\"function\":{\"name\":\"look_up\",\"arguments\":{\"x\":\"ARG\","       \
    "\"n\":3}}}]}"
#define TOOL(text)                                                                                 \
    "{\"role\":\"tool\",\"tool_call_id\":\"abcdefghi\",\"name\":\"look_up\",\"content\":\"" text   \
    "\"}"

static const char two_turns[] =
    "[" USER("UQ1?") "," ASSISTANT("ANS1.") "," USER("UQ2?") "," ASSISTANT("ANS2\\n") "]";
static const char thoughts[] =
    "[" USER("UQ1?") "," ASSISTANT("<think>\\nTH1\\n</think>\\n\\nANS1.") "," USER(
        "UQ2?") "," ASSISTANT("<think>\\nTH2\\n</think>\\n\\n"
                              "ANS2") "]";
static const char calls[] = "[" USER("UQ1?") "," CALL("") "," TOOL("UQRES") "," ASSISTANT(
    "ANS1") "," USER("UQ2?") "," ASSISTANT("ANS2") "]";

/* ---- the exact tokens of some families ---- */

/* long: a table of cases */
static void exactly_the_answers_train(void **state) {
    static const struct {
        const char *vocabulary, *template, *messages, *runs[4];
        unsigned n_rewritten, n_unprompted;
    } cases[] = {
        {"llama-bpe",
         "meta-llama-Llama-3.1-8B-Instruct",
         two_turns,
         {"ANS1.<|eot_id|>", "ANS2<|eot_id|>"},
         0,
         0},
        {"llama-bpe",
         "meta-llama-Llama-3.1-8B-Instruct",
         calls,
         {"{\"name\": \"look_up\", \"parameters\": {\"x\": \"ARG\", \"n\": 3}}<|eot_id|>",
          "ANS1<|eot_id|>", "ANS2<|eot_id|>"},
         0,
         0},
        {"qwen2",
         "ortx-v5-qwen2.5-synthetic",
         two_turns,
         {"ANS1.<|im_end|>", "ANS2\n<|im_end|>"},
         0,
         0},
        {"qwen2",
         "Qwen-Qwen3-0.6B",
         two_turns,
         {"ANS1.<|im_end|>", "<think>\n\n</think>\n\nANS2\n<|im_end|>"},
         0,
         0},
        {"qwen2",
         "Qwen-Qwen3-0.6B",
         thoughts, /* the first thought is not in the rendering */
         {"ANS1.<|im_end|>", "<think>\nTH2\n</think>\n\nANS2<|im_end|>"},
         0,
         0},
        {"qwen2",
         "Qwen-Qwen3-0.6B",
         calls,
         {"<tool_call>\n{\"name\": \"look_up\", \"arguments\": {\"x\": \"ARG\", \"n\": 3}}\n"
          "</tool_call><|im_end|>",
          "ANS1<|im_end|>", "<think>\n\n</think>\n\nANS2<|im_end|>"},
         0,
         0},
        {"qwen35",
         "Qwen3.5-4B",
         thoughts, /* prompts with <think>, shows the first turn without */
         {"ANS1.<|im_end|>", "TH2\n</think>\n\nANS2<|im_end|>"},
         0,
         1},
        {"phi-3", "ortx-phi-3-mini-cfg", two_turns, {" ANS1.<|end|>", " ANS2\n<|end|>"}, 0, 0},
        {"llama-spm",
         "mistralai-Mistral-Nemo-Instruct-2407",
         two_turns,
         {"ANS1.</s>", "ANS2\n</s>"},
         0,
         0},
        {"llama-spm", "chatfmt-alpaca", two_turns, {"ANS1.</s>", "ANS2</s>"}, 0, 2},
        {"gemma-4", "google-gemma-4-31B-it", two_turns, {"ANS1.<turn|>", "ANS2<turn|>"}, 0, 2},
        {"gemma-4",
         "google-gemma-4-31B-it",
         calls, /* a tool's answer within the turn */
         {"<|tool_call>call:look_up{n:3,x:<|\"|>ARG<|\"|>}<tool_call|><|tool_response>",
          "ANS1<turn|>", "ANS2<turn|>"},
         0,
         2},
        {"gpt-2", NULL, two_turns, {"ANS1.<|endoftext|>", "ANS2\n<|endoftext|>"}, 0, 0},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct scene s;
        size_t n = 0;
        open_vocabulary(&s, cases[c].vocabulary);
        open_template(&s, cases[c].template);
        open_maker(&s, (struct example_options){0});
        if (make_messages(&s, cases[c].messages) != EXAMPLE_MADE)
            fail_msg("case %zu: %s", c, s.outcome.message);
        for (; n < 4 && cases[c].runs[n]; n++)
            if (n >= s.n_runs || strcmp(s.runs[n], cases[c].runs[n]) != 0)
                fail_msg("case %zu, run %zu: '%s' not '%s' in\n%s", c, n,
                         n < s.n_runs ? s.runs[n] : "nothing", cases[c].runs[n], s.rest);
        assert_int_equal(s.n_runs, n);
        if (s.outcome.n_rewritten != cases[c].n_rewritten ||
            s.outcome.n_unprompted != cases[c].n_unprompted)
            fail_msg("case %zu: %u rewritten, %u unprompted", c, s.outcome.n_rewritten,
                     s.outcome.n_unprompted);
        close_scene(&s);
    }
}

/* ---- every template ---- */

/* Each answer trains as a whole or is nowhere; what others said never trains. */
static void check_runs(const struct scene *s, const char *name) {
    static const char *const answers[] = {"ANS1", "ANS2"};
    for (size_t i = 0; i < s->n_runs; i++)
        if (strstr(s->runs[i], "UQ")) fail_msg("%s trains '%s'", name, s->runs[i]);
    for (size_t a = 0; a < 2; a++) {
        unsigned n = 0;
        for (size_t i = 0; i < s->n_runs; i++)
            n += strstr(s->runs[i], answers[a]) != NULL;
        if (strstr(s->rest, answers[a]) || n != 1)
            fail_msg("%s: '%s' trains %u times, the rest is\n%s", name, answers[a], n, s->rest);
    }
    if (strstr(s->rest, "TH2")) fail_msg("%s: a thought is shown and does not train", name);
}

static void only_answers_train_in_any_template(void **state) {
    static const struct {
        const char *messages;
        unsigned at_least; /* templates take it */
    } conversations[] = {{two_turns, 68}, {thoughts, 68}, {calls, 48}};
    char **names;
    size_t n;
    struct scene s;
    (void)state;
    assert_int_equal(file_list(testdata("templates/cases"), &names, &n, NULL), HEARTH_OK);
    open_vocabulary(&s, "llama-spm");
    for (size_t c = 0; c < 3; c++) {
        unsigned made = 0;
        for (size_t i = 0; i < n; i++) {
            char name[128];
            snprintf(name, sizeof name, "%.*s", (int)(strlen(names[i]) - 5), names[i]);
            open_template(&s, name);
            open_maker(&s, (struct example_options){0});
            if (make_messages(&s, conversations[c].messages) != EXAMPLE_MADE) {
                assert_int_equal(s.outcome.result, EXAMPLE_REFUSED);
                continue;
            }
            check_runs(&s, name);
            made++;
        }
        if (made < conversations[c].at_least)
            fail_msg("conversation %zu: only %u templates", c, made);
    }
    close_scene(&s);
    file_names_free(names, n);
}

/* ---- what is before the answer is what a model is given ---- */

static void prompts_are_those_of_inference(void **state) {
    static const char *const pairs[][2] = {{"llama-bpe", "meta-llama-Llama-3.2-3B-Instruct"},
                                           {"qwen2", "Qwen-Qwen3-0.6B"},
                                           {"phi-3", "ortx-phi-3-mini-cfg"},
                                           {"llama-spm", "mistralai-Mistral-Nemo-Instruct-2407"},
                                           {"llama-spm", "llama-cpp-rwkv-world"},
                                           {"deepseek-llm", "deepseek-ai-DeepSeek-V3.1"}};
    (void)state;
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
        struct scene s;
        struct token_list prompt = {0};
        hearth_error err = {0};
        json_t *messages = json_loads("[" USER("UQ1?") "]", 0, NULL);
        open_vocabulary(&s, pairs[p][0]);
        open_template(&s, pairs[p][1]);
        open_maker(&s, (struct example_options){.now = time(NULL)});
        assert_int_equal(make_messages(&s, "[" USER("UQ1?") "," ASSISTANT("ANS1") "]"),
                         EXAMPLE_MADE);
        ok(prompt_of_messages(s.tokenizer, s.template, messages, NULL, NULL, &prompt, NULL, &err),
           &err);
        const struct example *e = &s.list.items[0];
        if (e->n_prompt != prompt.count || memcmp(s.list.tokens.ids + e->first, prompt.ids,
                                                  prompt.count * sizeof *prompt.ids) != 0)
            fail_msg("%s: other tokens in front: %s", pairs[p][1], s.rest);
        token_list_release(&prompt);
        json_decref(messages);
        close_scene(&s);
    }
}

/* A vocabulary that puts spaces in front of texts does not put one into the middle. */
static void no_space_comes_in_between(void **state) {
    struct scene s;
    struct token_list whole = {0};
    static const char text[] = "User: UQ1?\n\nAssistant: ANS1.";
    (void)state;
    open_vocabulary(&s, "llama-spm");
    open_template(&s, "llama-cpp-rwkv-world");
    open_maker(&s, (struct example_options){0});
    assert_int_equal(make_messages(&s, "[" USER("UQ1?") "," ASSISTANT("ANS1.") "]"), EXAMPLE_MADE);
    assert_int_equal(tokenizer_encode(s.tokenizer, text, sizeof text - 1, true, true, &whole, NULL),
                     HEARTH_OK);
    const struct example *e = &s.list.items[0];
    assert_true(e->n_tokens > whole.count);
    assert_memory_equal(s.list.tokens.ids + e->first, whole.ids, whole.count * sizeof *whole.ids);
    assert_string_equal(s.runs[0], " ANS1.\n\n</s>");
    assert_true(s.outcome.end_appended);
    token_list_release(&whole);
    close_scene(&s);
}

/* ---- options ---- */

static void turns_can_be_left_out(void **state) {
    struct scene s;
    (void)state;
    open_vocabulary(&s, "qwen2");
    open_template(&s, "ortx-v5-qwen2.5-synthetic");
    open_maker(&s, (struct example_options){.turns = TRAIN_LAST_TURN});
    assert_int_equal(make_messages(&s, two_turns), EXAMPLE_MADE);
    assert_int_equal(s.n_runs, 1);
    assert_string_equal(s.runs[0], "ANS2\n<|im_end|>");
    assert_non_null(strstr(s.rest, "ANS1."));
    open_maker(&s, (struct example_options){0});
    assert_int_equal(
        make_messages(
            &s, "[" USER("UQ1?") ",{\"role\":\"assistant\",\"content\":\"ANS1\",\"weight\":"
                                 "0}," USER("UQ2?") "," ASSISTANT("ANS2") "," USER("UQ3?") "]"),
        EXAMPLE_MADE);
    assert_int_equal(s.n_runs, 1);
    assert_string_equal(s.runs[0], "ANS2<|im_end|>");
    assert_null(strstr(s.rest, "UQ3")); /* nothing follows that trains */
    assert_int_equal(make_messages(&s, "[" USER("UQ1?") ",{\"role\":\"assistant\",\"content\":"
                                                        "\"ANS1\",\"train\":false}]"),
                     EXAMPLE_REFUSED);
    assert_non_null(strstr(s.outcome.message, "no message of the assistant"));
    open_maker(&s, (struct example_options){.train_prompts = true});
    assert_int_equal(make_messages(&s, two_turns), EXAMPLE_MADE);
    assert_int_equal(s.list.items[0].n_prompt, 1); /* all but the first token */
    close_scene(&s);
}

static void long_conversations_are_cut_or_dropped(void **state) {
    struct scene s;
    (void)state;
    open_vocabulary(&s, "qwen2");
    open_template(&s, "ortx-v5-qwen2.5-synthetic");
    open_maker(&s, (struct example_options){0});
    make_messages(&s, two_turns);
    uint32_t whole = s.list.items[0].n_tokens, prompt = s.list.items[0].n_prompt;
    open_maker(&s, (struct example_options){.max_length = whole});
    assert_int_equal(make_messages(&s, two_turns), EXAMPLE_MADE);
    open_maker(&s, (struct example_options){.max_length = whole - 1});
    assert_int_equal(make_messages(&s, two_turns), EXAMPLE_TRUNCATED);
    assert_int_equal(s.list.items[0].n_tokens, whole - 1);
    assert_string_equal(s.runs[1], "ANS2\n");
    open_maker(&s, (struct example_options){.max_length = whole - 1, .too_long = TOO_LONG_DROP});
    assert_int_equal(make_messages(&s, two_turns), EXAMPLE_TOO_LONG);
    assert_int_equal(s.list.n, 0);
    assert_int_equal(s.list.tokens.count, 0);
    open_maker(&s, (struct example_options){.max_length = prompt});
    assert_int_equal(make_messages(&s, two_turns), EXAMPLE_TOO_LONG);
    assert_non_null(strstr(s.outcome.message, "no answer would be left"));
    close_scene(&s);
}

static void texts_become_windows(void **state) {
    enum { LENGTH = 7 };
    struct scene s;
    struct token_list whole = {0};
    static const char text[] =
        "Once upon a time there was a token <s> that nobody predicted twice.";
    json_t *string = json_string(text);
    struct dataset_sample sample = {
        .schema = SCHEMA_TEXT, .text = string, .text_begins = true, .text_ends = true};
    (void)state;
    open_vocabulary(&s, "llama-spm");
    open_maker(&s, (struct example_options){.max_length = LENGTH});
    assert_int_equal(make(&s, sample), EXAMPLE_MADE);
    assert_int_equal(
        tokenizer_encode(s.tokenizer, text, sizeof text - 1, true, false, &whole, NULL), HEARTH_OK);
    assert_int_equal(s.list.tokens.count, whole.count + 1);
    assert_memory_equal(s.list.tokens.ids, whole.ids, whole.count * sizeof *whole.ids);
    assert_int_equal(s.list.tokens.ids[whole.count], tokenizer_role(s.tokenizer, TOKEN_EOS));
    size_t trained = 0, next = 1;
    for (size_t i = 0; i < s.list.n; i++) { /* every token but the first, once, in order */
        assert_int_equal(s.list.items[i].first, next - 1);
        next += s.list.items[i].n_tokens - 1;
        trained += s.list.items[i].n_trained;
        assert_true(s.list.items[i].n_tokens <= LENGTH);
    }
    assert_int_equal(trained, whole.count);
    sample.text_begins = sample.text_ends = false; /* a piece from the middle */
    make(&s, sample);
    assert_int_equal(s.list.tokens.count, whole.count - 1);
    json_decref(string);
    token_list_release(&whole);
    close_scene(&s);
}

static void pairs_share_their_prompt(void **state) {
    struct scene s;
    json_t *prompt = json_loads("[" USER("UQ1?") "]", 0, NULL);
    json_t *chosen = json_loads("[" ASSISTANT("ANS good") "]", 0, NULL);
    json_t *rejected = json_loads("[" ASSISTANT("ANS bad, bad") "]", 0, NULL);
    (void)state;
    open_vocabulary(&s, "qwen2");
    open_template(&s, "Qwen-Qwen3-0.6B");
    open_maker(&s, (struct example_options){0});
    assert_int_equal(make(&s, (struct dataset_sample){.schema = SCHEMA_PREFERENCE,
                                                      .messages = prompt,
                                                      .chosen = chosen,
                                                      .rejected = rejected}),
                     EXAMPLE_MADE);
    assert_int_equal(s.list.n, 2);
    const struct example *a = &s.list.items[0], *b = &s.list.items[1];
    assert_int_equal(a->kind, EXAMPLE_CHOSEN);
    assert_int_equal(b->kind, EXAMPLE_REJECTED);
    assert_int_equal(a->n_prompt, b->n_prompt);
    assert_memory_equal(s.list.tokens.ids + a->first, s.list.tokens.ids + b->first,
                        a->n_prompt * sizeof *s.list.tokens.ids);
    assert_string_equal(s.runs[0], "<think>\n\n</think>\n\nANS good<|im_end|>");
    look_at(&s, 1);
    assert_string_equal(s.runs[0], "<think>\n\n</think>\n\nANS bad, bad<|im_end|>");
    json_decref(prompt);
    json_decref(chosen);
    json_decref(rejected);
    chosen = json_string("the same, then this");
    rejected = json_string("the same, then that other");
    assert_int_equal(make(&s, (struct dataset_sample){.schema = SCHEMA_PREFERENCE,
                                                      .chosen = chosen,
                                                      .rejected = rejected}),
                     EXAMPLE_MADE);
    assert_string_equal(s.rest, "the same, then|");
    assert_string_equal(s.runs[0], " this<|endoftext|>");
    json_decref(chosen);
    json_decref(rejected);
    close_scene(&s);
}

/* ---- tokenizers that do not fit ---- */

static void foreign_vocabularies_are_noticed(void **state) {
    struct scene s;
    json_t *messages = json_loads(two_turns, 0, NULL);
    struct dataset_sample sample = {.schema = SCHEMA_MESSAGES, .messages = messages};
    hearth_error err = {0};
    (void)state;
    open_vocabulary(&s, "qwen2");
    open_template(&s, "Qwen-Qwen3-0.6B");
    open_maker(&s, (struct example_options){.n_vocab = 151000});
    assert_int_equal(example_make(s.maker, &sample, &s.list, &s.outcome, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "does not fit the model: it makes token 151644"));
    assert_int_equal(s.list.tokens.count, 0);
    close_scene(&s);
    json_decref(messages);
    open_vocabulary(&s, "bert-bge"); /* knows no such letters */
    open_maker(&s, (struct example_options){0});
    json_t *text = json_string("\U00013000 \U00013001 word \U00013002");
    make(&s, (struct dataset_sample){.schema = SCHEMA_TEXT, .text = text});
    assert_int_equal(s.outcome.n_unknown, 3);
    json_decref(text);
    close_scene(&s);
}

static void failed_allocations_leave_the_list(void **state) {
    struct scene s;
    json_t *messages = json_loads(two_turns, 0, NULL);
    struct dataset_sample sample = {.schema = SCHEMA_MESSAGES, .messages = messages};
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    (void)state;
    open_vocabulary(&s, "llama-spm");
    open_template(&s, "Qwen-Qwen3-0.6B");
    open_maker(&s, (struct example_options){0});
    for (uint64_t n = 1; status != HEARTH_OK; n++) {
        hearth_error err = {0};
        mem_fail_after(n);
        status = example_make(s.maker, &sample, &s.list, &s.outcome, &err);
        bool untouched = mem_fail_pending() != 0;
        mem_fail_after(0);
        if (status == HEARTH_OK && s.outcome.result != EXAMPLE_MADE)
            fail_msg("allocation %d: %s", (int)n, s.outcome.message);
        if (status == HEARTH_OK && !untouched) { /* the failure was survived: once more */
            example_list_release(&s.list);
            status = HEARTH_ERROR_NO_MEMORY;
            continue;
        }
        assert_int_equal(s.list.n, status == HEARTH_OK);
        if (status != HEARTH_OK) assert_int_equal(s.list.tokens.count, 0);
        if (status != HEARTH_OK) example_list_release(&s.list);
    }
    json_decref(messages);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_answers_train),
        cmocka_unit_test(only_answers_train_in_any_template),
        cmocka_unit_test(prompts_are_those_of_inference),
        cmocka_unit_test(no_space_comes_in_between),
        cmocka_unit_test(turns_can_be_left_out),
        cmocka_unit_test(long_conversations_are_cut_or_dropped),
        cmocka_unit_test(texts_become_windows),
        cmocka_unit_test(pairs_share_their_prompt),
        cmocka_unit_test(foreign_vocabularies_are_noticed),
        cmocka_unit_test(failed_allocations_leave_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
