/* The program itself, from end to end: every command that shows what the engine computes
 * against the golden data, and what all commands have in common. HEARTH_SLOW_TESTS=1
 * compares with all of the golden data, otherwise with a part. */
#include "program.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "base/mem.h"

enum { N_TOKENS = 96, N_VOCAB = 128, MAX_FILE = 1 << 27 };

static const char story_model[] = "models/stories260K/stories260K.gguf";

static bool slow(void) {
    return getenv("HEARTH_SLOW_TESTS") != NULL;
}

static char *slurp(const char *path, size_t *size) {
    char *text;
    hearth_error err = {0};
    if (file_read(path, MAX_FILE, &text, size, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return text;
}

static json_t *parse(const char *text) {
    json_error_t why;
    json_t *json = json_loads(text, 0, &why);
    if (!json) fail_msg("not JSON (%s): %.200s", why.text, text);
    return json;
}

static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) fail_msg("'%s' is not a number", key);
    return json_number_value(value);
}

/* ---- numbers ---- */

static void logits_are_the_golden_ones(void **state) {
    static const char *const families[] = {"llama-dense", "qwen35-dense", "gpt-oss-moe",
                                           "lfm2-dense", "deepseek2-moe"};
    (void)state;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
        for (int chunk = 1; chunk <= 7; chunk += 6) {
            char model[128], tokens[128], golden[128], n[8];
            size_t size, expected;
            snprintf(model, sizeof model, "arch/%s/model.gguf", families[f]);
            snprintf(tokens, sizeof tokens, "arch/%s/tokens.txt", families[f]);
            snprintf(golden, sizeof golden, "arch/%s/logits.f32", families[f]);
            snprintf(n, sizeof n, "%d", chunk);
            RUN_OK("logits", "-m", testdata(model), "--tokens", testdata(tokens), "-t", "1", "-o",
                   program_path("logits"), "--chunk", n);
            float *x = (float *)(void *)slurp(program_path("logits"), &size);
            float *y = (float *)(void *)slurp(testdata(golden), &expected);
            assert_int_equal(size, expected);
            assert_int_equal(size, N_TOKENS * N_VOCAB * sizeof *x);
            double error = 0, energy = 0;
            for (size_t i = 0; i < N_TOKENS * N_VOCAB; i++) {
                error += pow((double)x[i] - (double)y[i], 2);
                energy += (double)y[i] * (double)y[i];
            }
            if (!(error / energy < 1e-8)) fail_msg("%s: %g", families[f], error / energy);
            mem_free(x);
            mem_free(y);
        }
}

static void blocks_become_the_golden_floats(void **state) {
    size_t i, size, expected;
    json_t *entry, *manifest = json_load_file(testdata("quants/manifest.json"), 0, NULL);
    (void)state;
    assert_true(json_array_size(json_object_get(manifest, "types")) >= 38);
    json_array_foreach(json_object_get(manifest, "types"), i, entry) {
        char blocks[128], floats[128];
        const char *name = json_string_value(json_object_get(entry, "name"));
        snprintf(blocks, sizeof blocks, "quants/%s.blocks", name);
        snprintf(floats, sizeof floats, "quants/%s.f32", name);
        RUN_OK("dequant", "--type", json_string_value(json_object_get(entry, "type")),
               testdata(blocks), program_path("floats"));
        char *x = slurp(program_path("floats"), &size), *y = slurp(testdata(floats), &expected);
        assert_int_equal(size, expected);
        if (memcmp(x, y, size) != 0) fail_msg("%s differs", name);
        mem_free(x);
        mem_free(y);
    }
    json_decref(manifest);
}

/* Every chunk counts the same. */
static void check_chunks(const json_t *nll, double n_chunks, double perplexity) {
    double sum = 0;
    for (size_t i = 0; i < json_array_size(nll); i++)
        sum += json_number_value(json_array_get(nll, i));
    assert_true((double)json_array_size(nll) == n_chunks);
    assert_true(fabs(exp(sum / n_chunks) / perplexity - 1) < 1e-6);
}

static void perplexities_are_the_golden_ones(void **state) {
    size_t i;
    json_t *run, *golden = json_load_file(testdata("perplexity/ppl.json"), 0, NULL);
    unsigned done = 0;
    (void)state;
    json_array_foreach(json_object_get(golden, "runs"), i, run) {
        char file[128], ctx[16];
        const char *name = json_string_value(json_object_get(run, "file"));
        if (!slow() && strcmp(name, "stories.txt") != 0) continue;
        snprintf(file, sizeof file, "perplexity/%s", name);
        snprintf(ctx, sizeof ctx, "%d", (int)number(run, "n_ctx"));
        RUN_OK("perplexity", "-m", testdata(story_model), "-f", testdata(file), "--ctx", ctx, "-t",
               "1", "--cache-type-k", "f32", "--cache-type-v", "f32", "--json");
        json_t *result = parse(program_out(NULL));
        double expected = number(run, "ppl"), found = number(result, "perplexity");
        if (!(fabs(found / expected - 1) < 1e-3))
            fail_msg("%s, %s: %g instead of %g", name, ctx, found, expected);
        assert_true(number(result, "n_chunks") == number(run, "chunks"));
        check_chunks(json_object_get(result, "chunk_nll"), number(run, "chunks"), found);
        json_decref(result);
        done++;
    }
    assert_int_equal(done, slow() ? json_array_size(json_object_get(golden, "runs")) : 2);
    json_decref(golden);
}

/* The same greedy text at every level of the processor and with one or two threads. */
static void answers_do_not_depend_on_the_machine(void **state) {
    static const struct {
        const char *name;
        enum cpu_level level;
    } levels[] = {{"scalar", CPU_SCALAR}, {"avx2", CPU_AVX2}, {"avx512", CPU_AVX512}};
    json_t *outputs = json_load_file(testdata("models/stories260K/expected_outputs.json"), 0, NULL);
    json_t *greedy = json_load_file(testdata("perplexity/greedy.json"), 0, NULL);
    const char *expected = json_string_value(
        json_object_get(json_array_get(json_object_get(outputs, "cases"), 0), "expected"));
    const json_t *cases = json_object_get(greedy, "cases");
    (void)state;
    assert_non_null(expected);
    for (size_t l = 0; l < 3; l++) {
        if (!cpu_has(levels[l].level)) continue;
        setenv("HEARTH_CPU", levels[l].name, 1);
        for (int threads = 1; threads <= 2; threads++) {
            const char *t = threads == 1 ? "1" : "2";
            RUN_OK("run", testdata(story_model), "--raw", "--temp", "0", "-n",
                   threads == 1 ? "120" : "30", "-t", t, "--cache-type-k", "f32", "--cache-type-v",
                   "f32", "Once upon a time");
            const char *text = program_out(NULL);
            size_t n = strlen(text);
            assert_true(n > 60);
            if (text[n - 1] == '\n') n--; /* ends the line */
            if (strncmp(text, expected + strlen("Once upon a time"), n) != 0)
                fail_msg("%s, %s threads: '%s'", levels[l].name, t, text);
            for (size_t i = 0; threads == 1 && i < json_array_size(cases); i++) {
                if (!slow() && i % 3 != l) continue; /* each prompt at one of the levels */
                const json_t *one = json_array_get(cases, i);
                const char *prompt = json_string_value(json_object_get(one, "prompt"));
                const char *answer = json_string_value(json_object_get(one, "text"));
                RUN_OK("run", testdata(story_model), "--raw", "--temp", "0", "-n", "60", "-t", "1",
                       "--ignore-eos", "--cache-type-k", "f32", "--cache-type-v", "f32", prompt);
                text = program_out(NULL);
                text += *text == ' ' && *answer != ' ';
                n = strlen(text);
                if (n > 0 && text[n - 1] == '\n') n--;
                assert_true(n > 40);
                if (strncmp(text, answer, n) != 0)
                    fail_msg("%s: '%s' continues as '%s'", levels[l].name, prompt, text);
            }
        }
    }
    unsetenv("HEARTH_CPU");
    json_decref(outputs);
    json_decref(greedy);
}

/* ---- text ---- */

static const char *const vocabularies[] = {"gpt-2",    "llama-bpe",   "llama-spm", "qwen2",
                                           "qwen35",   "phi-3",       "gemma-4",   "starcoder",
                                           "bert-bge", "deepseek-llm"};
enum { N_VOCABULARIES = sizeof vocabularies / sizeof vocabularies[0] };

static const char *vocabulary_file(size_t v, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "tokenizers/%s/%s", vocabularies[v], name);
    return testdata(path);
}

/* Takes a line off a text, which it changes; NULL at its end. */
static char *next_line(char **rest) {
    char *line = *rest, *end = strchr(line, '\n');
    if (!*line) return NULL;
    if (end) *end++ = '\0';
    *rest = end ? end : line + strlen(line);
    return line;
}

static void compare_ids(size_t v, char *golden) {
    char *found = mem_strdup(program_out(NULL)), *a = found, *b = golden, *x, *y;
    unsigned lines = 0;
    assert_non_null(found);
    while ((y = next_line(&b))) {
        x = next_line(&a);
        if (!x) fail_msg("%s: only %u lines", vocabularies[v], lines);
        json_t *ours = parse(x), *theirs = json_loads(y, JSON_ALLOW_NUL, NULL);
        if (!json_equal(json_object_get(ours, "ids"), json_object_get(theirs, "ids")))
            fail_msg("%s: line %u: %s for %.300s", vocabularies[v], lines + 1, x, y);
        json_decref(ours);
        json_decref(theirs);
        lines++;
    }
    assert_null(next_line(&a));
    assert_true(lines > 600);
    mem_free(found);
}

/* Where the reference's own decoding gives the text back, so must ours. */
static void compare_texts(size_t v, char *golden) {
    char *found = mem_strdup(program_out(NULL)), *a = found, *b = golden, *x, *y;
    unsigned same = 0, lines = 0;
    assert_non_null(found);
    while ((y = next_line(&b)) && (x = next_line(&a))) {
        json_t *ours = json_loads(x, JSON_ALLOW_NUL, NULL);
        json_t *theirs = json_loads(y, JSON_ALLOW_NUL, NULL);
        assert_non_null(ours);
        if (!json_object_get(theirs, "detok") && !json_object_get(theirs, "detok_hex")) {
            lines++;
            same += json_equal(json_object_get(ours, "text"), json_object_get(theirs, "text")) != 0;
        }
        json_decref(ours);
        json_decref(theirs);
    }
    print_message("%s: %u of %u texts come back\n", vocabularies[v], same, lines);
    assert_true(same * 100 >= lines * 99);
    mem_free(found);
}

static void texts_become_the_golden_ids(void **state) {
    (void)state;
    for (size_t v = 0; v < N_VOCABULARIES; v++) {
        size_t size;
        char *golden = slurp(vocabulary_file(v, "golden.jsonl"), &size);
        RUN_OK("tokenize", "-m", vocabulary_file(v, "vocab.gguf"), "--jsonl",
               vocabulary_file(v, "golden.jsonl"));
        compare_ids(v, golden);
        mem_free(golden);
        if (strcmp(vocabularies[v], "bert-bge") == 0) continue; /* its texts never come back */
        if (!slow() && v % 3 != 0) continue;
        golden = slurp(vocabulary_file(v, "golden.jsonl"), &size);
        RUN_OK("detokenize", "-m", vocabulary_file(v, "vocab.gguf"), "--jsonl",
               vocabulary_file(v, "golden.jsonl"));
        compare_texts(v, golden);
        mem_free(golden);
    }
}

/* vocab.gguf.inp, texts apart by a marker line, as JSON lines. */
static char *marked_texts_as_lines(char *texts) {
    static const char marker[] = "\n__ggml_vocab_test__\n";
    struct buf lines;
    buf_init(&lines, MAX_FILE);
    for (char *at = texts; at;) {
        char *end = strstr(at, marker);
        size_t n = end ? (size_t)(end - at) : strlen(at);
        json_t *line =
            json_pack("{s:s%, s:b, s:b}", "text", at, n, "add_special", 0, "parse_special", 0);
        char *dumped = json_dumps(line, 0);
        assert_non_null(dumped);
        assert_true(buf_append(&lines, dumped, strlen(dumped)));
        assert_true(buf_append(&lines, "\n", 1));
        free(dumped);
        json_decref(line);
        at = end ? end + strlen(marker) : NULL;
    }
    char *result = mem_strndup(buf_text(&lines), lines.length);
    buf_release(&lines);
    return result;
}

static void texts_between_markers_become_the_golden_ids(void **state) {
    (void)state;
    for (size_t v = 0; v < N_VOCABULARIES; v++) {
        if (!slow() && v % 3 != 1) continue;
        size_t size;
        char *texts = slurp(vocabulary_file(v, "vocab.gguf.inp"), &size);
        char *golden = slurp(vocabulary_file(v, "vocab.gguf.out"), &size), *b = golden;
        char *lines = marked_texts_as_lines(texts), *y;
        if (RUN_WITH(lines, "tokenize", "-m", vocabulary_file(v, "vocab.gguf")) != 0)
            fail_msg("%s", program_err());
        char *found = mem_strdup(program_out(NULL)), *a = found;
        unsigned compared = 0;
        while ((y = next_line(&b))) {
            char *x = next_line(&a), *id = y;
            size_t i;
            json_t *one;
            assert_non_null(x);
            json_t *ours = parse(x);
            json_array_foreach(json_object_get(ours, "ids"), i,
                               one) if (strtol(id, &id, 10) != json_integer_value(one))
                fail_msg("%s: text %u, id %zu", vocabularies[v], compared, i);
            assert_int_equal(strspn(id, " \r"), strlen(id));
            json_decref(ours);
            compared++;
        }
        assert_true(compared > 20);
        mem_free(found);
        mem_free(lines);
        mem_free(golden);
        mem_free(texts);
    }
}

static void templates_render_as_golden(void **state) {
    static const char *const names[] = {"GLM-4.6", "ByteDance-Seed-OSS", "Apertus-8B-Instruct"};
    (void)state;
    for (size_t t = 0; t < sizeof names / sizeof names[0]; t++) {
        char path[128];
        size_t i, size, rendered = 0;
        json_t *one;
        snprintf(path, sizeof path, "templates/cases/%s.json", names[t]);
        json_t *file = json_load_file(testdata(path), 0, NULL);
        const json_t *source = json_object_get(file, "template");
        assert_non_null(source);
        file_write(program_path("template"), json_string_value(source), json_string_length(source),
                   NULL);
        json_array_foreach(json_object_get(file, "cases"), i, one) {
            json_dump_file(json_object_get(one, "context"), program_path("context"), 0);
            int code = RUN("template", "-f", program_path("template"), "--context",
                           program_path("context"), "--now", "2025-07-10T12:00:00");
            const json_t *expected = json_object_get(one, "expected");
            if (!expected) {
                assert_int_equal(code, 1);
                continue;
            }
            if (code != 0) fail_msg("%s, case %zu: %s", names[t], i, program_err());
            const char *text = program_out(&size);
            if (size != json_string_length(expected) ||
                memcmp(text, json_string_value(expected), size) != 0)
                fail_msg("%s, case %zu: %s", names[t], i, text);
            rendered++;
        }
        assert_true(rendered > 5);
        json_decref(file);
    }
}

/* ---- what people use ---- */

static void prompts_come_from_both_sides(void **state) {
    (void)state;
    char *model = mem_strdup(testdata(story_model));
#define ANSWER "run", model, "--raw", "--temp", "0", "-n", "12", "-t", "1"
    RUN_OK(ANSWER, "Once upon", "a time");
    char *expected = mem_strdup(program_out(NULL));
    assert_true(strlen(expected) > 10);
    assert_int_equal(RUN_WITH("Once upon a time", ANSWER), 0);
    assert_string_equal(program_out(NULL), expected);
    assert_string_equal(program_err(), "");
    assert_int_equal(RUN_WITH("Lily was", ANSWER, "Once upon a time"), 0);
    assert_string_not_equal(program_out(NULL), expected); /* both are read */
    assert_true(strlen(program_out(NULL)) > 10);
    assert_int_equal(RUN(ANSWER, "--stop", expected + 5, "Once upon a time"), 0);
    assert_memory_equal(program_out(NULL), expected, 5);
    mem_free(expected);
    mem_free(model);
#undef ANSWER
}

static void models_are_shown_and_measured(void **state) {
    size_t i;
    json_t *row;
    (void)state;
    RUN_OK("show", "--json", testdata(story_model));
    json_t *show = parse(program_out(NULL));
    assert_string_equal(json_string_value(json_object_get(show, "family")), "llama");
    assert_true(number(show, "layers") == 5 && number(show, "width") == 64);
    assert_true(number(show, "vocabulary") == 512 && number(show, "context") == 2048);
    assert_true(number(show, "cache_bytes_per_token_f16") == 5 * 2 * 4 * 8 * 2);
    json_decref(show);
    RUN_OK("bench", "-m", testdata(story_model), "-p", "16", "-n", "4", "-r", "1", "-t", "1",
           "--json");
    json_t *bench = parse(program_out(NULL)), *rows = json_object_get(bench, "rows");
    static const char *const tests[] = {"pp16", "tg4"};
    assert_int_equal(json_array_size(rows), 2);
    json_array_foreach(rows, i, row) {
        assert_string_equal(json_string_value(json_object_get(row, "test")), tests[i]);
        assert_true(isfinite(number(row, "tokens_per_second")));
        assert_true(number(row, "tokens_per_second") > 0);
        assert_true(number(row, "min") <= number(row, "max"));
    }
    json_decref(bench);
    RUN_OK("ps");
    RUN_OK("ps", "--json");
    json_t *ps = parse(program_out(NULL));
    assert_int_equal(json_array_size(ps), 0);
    json_decref(ps);
}

static const char *const commands[] = {
    "run",    "pull",       "list",     "ps",       "show",       "cp",
    "rm",     "perplexity", "bench",    "tokenize", "detokenize", "template",
    "logits", "dequant",    "quantize", "synth",    "embed"};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void every_command_has_help_and_refuses_nonsense(void **state) {
    (void)state;
    for (int i = 0; i < N_COMMANDS; i++) {
        char usage[64];
        RUN_OK(commands[i], "--help");
        snprintf(usage, sizeof usage, "usage: hearth %s ", commands[i]);
        assert_memory_equal(program_out(NULL), usage, strlen(usage));
        assert_string_equal(program_err(), "");
        assert_int_equal(RUN(commands[i], "--nonsense"), 2);
        assert_string_equal(program_out(NULL), "");
        assert_non_null(strstr(program_err(), "--nonsense"));
        assert_int_equal(RUN(commands[i], "-m"), 2);
    }
}

static void the_program_says_what_it_is(void **state) {
    (void)state;
    assert_int_equal(program_run(NULL, (const char *const[]){NULL}), 2);
    assert_non_null(strstr(program_err(), "usage: hearth COMMAND"));
    RUN_OK("--help");
    for (int i = 0; i < N_COMMANDS; i++)
        assert_non_null(strstr(program_out(NULL), commands[i]));
    RUN_OK("--version");
    assert_memory_equal(program_out(NULL), "hearth ", 7);
    assert_int_equal(RUN("tokenise"), 2);
    assert_non_null(strstr(program_err(), "did you mean 'tokenize'?"));
}

static void expect_failure(int code, const char *part) {
    const char *err = program_err(), *end = strchr(err, '\n');
    assert_int_equal(code, 1);
    if (strncmp(err, "hearth: ", 8) != 0 || !end || end[1] || !strstr(err, part))
        fail_msg("'%s' instead of one line with '%s'", err, part);
}

/* Whoever guesses: the same answer. */
static void speculation_changes_no_answer(void **state) {
    (void)state;
    char *model = mem_strdup(testdata(story_model));
#define ANSWER "run", model, "--raw", "--seed", "5", "-n", "60", "-t", "1", "-v"
#define PROMPT "Once upon a time"
    RUN_OK(ANSWER, "--spec-type", "none", PROMPT);
    char *expected = mem_strdup(program_out(NULL));
    assert_non_null(strstr(program_err(), "0 of 0 drafted accepted"));
    RUN_OK(ANSWER, PROMPT);
    assert_string_equal(program_out(NULL), expected);
    RUN_OK(ANSWER, "--draft-min", "4", "--draft-max", "9", PROMPT);
    assert_string_equal(program_out(NULL), expected);
    assert_null(strstr(program_err(), "of 0 drafted"));
    RUN_OK(ANSWER, "-md", model, "--draft-min", "4", "--draft-p-min", "0", PROMPT);
    assert_string_equal(program_out(NULL), expected);
    assert_null(strstr(program_err(), " 0 of"));
    expect_failure(RUN(ANSWER, "--spec-type", "draft", PROMPT), "no draft model given");
    expect_failure(RUN(ANSWER, "--spec-type", "mtp", PROMPT), "no heads for further tokens");
    expect_failure(RUN(ANSWER, "-md", testdata("tokenizers/gpt-2/vocab.gguf"), PROMPT), "gpt-2");
    expect_failure(RUN(ANSWER, "-md", testdata("arch/llama-dense/model.gguf"), PROMPT),
                   "carries no vocabulary");
    assert_int_equal(RUN(ANSWER, "--draft-max", "64", PROMPT), 2);
    mem_free(expected);
    mem_free(model);
#undef PROMPT
#undef ANSWER
}

static void weights_answer_wherever_they_are(void **state) {
    (void)state;
    char *model = mem_strdup(testdata(story_model));
#define ANSWER "run", model, "--raw", "--temp", "0", "-n", "30", "-t", "1"
    RUN_OK(ANSWER, "Once upon");
    char *expected = mem_strdup(program_out(NULL));
    RUN_OK(ANSWER, "--no-mmap", "Once upon");
    assert_string_equal(program_out(NULL), expected);
    RUN_OK(ANSWER, "--mlock", "Once upon"); /* also where the system does not permit it */
    assert_string_equal(program_out(NULL), expected);
    for (int i = 0; i < 3; i++) { /* machines for tests mostly have one node */
        static const char *const how[] = {"auto", "distribute", "off"};
        RUN_OK(ANSWER, "--numa", how[i], "Once upon");
        assert_string_equal(program_out(NULL), expected);
    }
    RUN_OK(ANSWER, "--no-mmap", "--mlock", "Once upon");
    assert_string_equal(program_out(NULL), expected);
    mem_free(expected);
    mem_free(model);
#undef ANSWER
}

static void failures_are_one_line_and_leave_nothing(void **state) {
    static const char junk[] = "GGUF\3\0\0\0 this is not a model at all, not at all, not at all";
    (void)state;
    char *bad = mem_strdup(program_path("bad.gguf")), *out = mem_strdup(program_path("out"));
    char *stories = mem_strdup(testdata(story_model));
    assert_int_equal(file_write(bad, junk, sizeof junk, NULL), HEARTH_OK);
    expect_failure(RUN("show", bad), "bad.gguf");
    expect_failure(RUN("bench", "-m", bad), "bad.gguf");
    expect_failure(RUN("run", bad, "hello"), "bad.gguf");
    expect_failure(RUN("run", program_path("absent.gguf"), "hello"), "absent.gguf");
    expect_failure(RUN("logits", "-m", bad, "--tokens", bad, "-o", out), "bad.gguf");
    expect_failure(RUN("dequant", "--type", "q4_0", bad, out), "multiple");
    expect_failure(RUN("dequant", "--type", "q9_9", bad, out), "q9_9");
    expect_failure(RUN("template", "-f", bad, "--context", bad), "bad.gguf");
    expect_failure(RUN_WITH("0 1 511 512", "logits", "-m", stories, "--tokens", "-", "-o", out),
                   "512");
    expect_failure(RUN_WITH("0 1 x", "logits", "-m", stories, "--tokens", "-", "-o", out), "'x'");
    expect_failure(RUN_WITH("{\"text\":3}", "tokenize", "-m", stories), "line 1");
    expect_failure(RUN_WITH("{\"ids\":[512]}", "detokenize", "-m", stories), "512");
    expect_failure(RUN("perplexity", "-m", stories, "-f", bad, "--ctx", "512"), "");
    assert_false(file_exists(out));
    setenv("HEARTH_CPU", "nonsense", 1);
    expect_failure(RUN("run", stories, "hello"), "HEARTH_CPU");
    unsetenv("HEARTH_CPU");
    assert_int_equal(RUN("run", stories, "--temp", "warm", "hello"), 2);
    assert_int_equal(RUN("logits", "--chunk", "0"), 2);
    assert_int_equal(RUN("template"), 2);
    mem_free(stories);
    mem_free(bad);
    mem_free(out);
}

#define PROGRAM_TEST(name) cmocka_unit_test_setup_teardown(name, program_set_up, program_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PROGRAM_TEST(the_program_says_what_it_is),
        PROGRAM_TEST(every_command_has_help_and_refuses_nonsense),
        PROGRAM_TEST(failures_are_one_line_and_leave_nothing),
        PROGRAM_TEST(models_are_shown_and_measured),
        PROGRAM_TEST(prompts_come_from_both_sides),
        PROGRAM_TEST(speculation_changes_no_answer),
        PROGRAM_TEST(weights_answer_wherever_they_are),
        PROGRAM_TEST(logits_are_the_golden_ones),
        PROGRAM_TEST(blocks_become_the_golden_floats),
        PROGRAM_TEST(templates_render_as_golden),
        PROGRAM_TEST(texts_become_the_golden_ids),
        PROGRAM_TEST(texts_between_markers_become_the_golden_ids),
        PROGRAM_TEST(answers_do_not_depend_on_the_machine),
        PROGRAM_TEST(perplexities_are_the_golden_ones),
    };
    return cmocka_run_group_tests_name("cli/inspect_commands", tests, NULL, NULL);
}
