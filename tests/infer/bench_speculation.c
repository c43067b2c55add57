/* What prompt lookup is worth on real texts, with a model that need not understand them.
 *
 *     bench_speculation MODEL VOCABULARY TEXTS.jsonl [COUNT [FIRST [THREADS]]]
 *
 * VOCABULARY is a GGUF file whose ids MODEL has too. TEXTS is Spec-Bench's question.jsonl,
 * of which the documents with their reference summaries are taken, or HumanEval.jsonl,
 * where the first parameter of each function is renamed throughout.
 *
 * Prompt and answer are given; the answer is replayed: every pass of the model is computed
 * and every token sampled, then the token of the given answer is taken instead. Each
 * answer is replayed plainly and with prompt lookup in turn, the prompt's time is not
 * counted. The last column is what drafts would bring at most, if they were always long
 * enough and checking them cost nothing. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "infer/generator.h"
#include "infer/ngram_drafter.h"

enum { N_CTX = 4096, MAX_TEXT = 1 << 16, LINE = 1 << 17 };

struct bench {
    struct model model;
    struct tokenizer *tokenizer;
    struct context *context;
    struct session *session;
    struct sampler *sampler;
    struct sampler_workspace *workspace;
    struct speculation *speculation;
    struct token_list prompt, answer;
};

struct sums {
    double plain_seconds, lookup_seconds;
    uint32_t n_texts, n_tokens, n_drafted, n_accepted, n_least_passes;
};

static void need(hearth_status status, const hearth_error *err) {
    if (status == HEARTH_OK) return;
    fprintf(stderr, "bench_speculation: %s\n", err->message);
    exit(1);
}

static void open_bench(struct bench *b, const char *model, const char *vocabulary,
                       unsigned threads) {
    hearth_error err = {0};
    struct model words;
    struct drafter *drafter;
    struct context_options options = context_defaults();
    struct sampler_params greedy = sampler_params_default();
    const struct speculation_options speculation = {.max_draft = SPECULATION_MAX_DRAFT};
    greedy.temperature = 0;
    options.n_ctx = N_CTX;
    options.n_threads = threads;
    options.n_draft = SPECULATION_MAX_DRAFT;
    *b = (struct bench){0};
    need(model_open_files(&words, vocabulary, &err), &err);
    need(tokenizer_open(&b->tokenizer, &words.directory.metadata, &err), &err);
    model_close(&words);
    need(model_open(&b->model, model, &err), &err);
    need(context_open(&b->context, &b->model, &options, &err), &err);
    need(session_open(&b->session, b->context, 0, &err), &err);
    need(sampler_open(&b->sampler, &greedy, b->model.config.n_vocab, &err), &err);
    need(sampler_workspace_open(&b->workspace, b->model.config.n_vocab, &err), &err);
    need(ngram_drafter_open(&drafter, N_CTX, &err), &err);
    need(speculation_open(&b->speculation, drafter, &speculation, N_CTX, &err), &err);
}

static void close_bench(struct bench *b) {
    token_list_release(&b->prompt);
    token_list_release(&b->answer);
    speculation_close(b->speculation);
    sampler_workspace_close(b->workspace);
    sampler_close(b->sampler);
    session_close(b->session);
    context_close(b->context);
    model_close(&b->model);
    tokenizer_close(b->tokenizer);
}

/* ---- texts ------------------------------------------------------------------ */

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* `text` with every whole word `word` written as `other`. */
static void rename_word(const char *text, const char *word, const char *other, char *out) {
    size_t n = strlen(word);
    for (const char *at = text; *at;) {
        bool starts = at == text || !is_word(at[-1]);
        if (starts && strncmp(at, word, n) == 0 && !is_word(at[n])) {
            out = stpcpy(out, other);
            at += n;
        } else
            *out++ = *at++;
    }
    *out = '\0';
}

static const char *string_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool take_edit(const json_t *line, char *prompt, char *answer) {
    static char code[MAX_TEXT / 2];
    char name[256], word[128], other[160];
    snprintf(code, sizeof code, "%s%s", string_of(line, "prompt"),
             string_of(line, "canonical_solution"));
    snprintf(name, sizeof name, "def %s(", string_of(line, "entry_point"));
    const char *at = strstr(code, name);
    size_t n = 0;
    for (at = at ? at + strlen(name) : ""; is_word(at[n]) && n + 1 < sizeof word; n++)
        word[n] = at[n];
    word[n] = '\0';
    if (n == 0) return false;
    snprintf(other, sizeof other, "renamed_%s", word);
    snprintf(prompt, MAX_TEXT, "Rename `%s` to `%s`.\n\n```python\n%s```\n\n```python\n", word,
             other, code);
    rename_word(code, word, other, answer);
    return true;
}

static bool take_summary(const json_t *line, char *prompt, char *answer) {
    const char *text = json_string_value(json_array_get(json_object_get(line, "turns"), 0));
    const char *summary = json_string_value(json_array_get(json_object_get(line, "reference"), 0));
    if (strcmp(string_of(line, "category"), "summarization") != 0 || !text || !summary)
        return false;
    snprintf(prompt, MAX_TEXT, "%s\n\nSummary: ", text);
    snprintf(answer, MAX_TEXT, "%s", summary);
    return true;
}

/* ---- replay ------------------------------------------------------------------ */

static struct generation_stats replay(struct bench *b, struct speculation *speculation) {
    hearth_error err = {0};
    struct generation_stats stats;
    const struct generation_options options = {.max_tokens = (uint32_t)b->answer.count,
                                               .ignore_end = true,
                                               .speculation = speculation,
                                               .replay = b->answer.ids};
    need(generate(b->session, b->sampler, b->workspace, b->tokenizer, b->prompt.ids,
                  (uint32_t)b->prompt.count, &options, &stats, &err),
         &err);
    return stats;
}

/* Passes that are needed if every draft is as long as it is right. */
static uint32_t least_passes(const struct bench *b) {
    static int32_t tokens[N_CTX];
    uint32_t worth[DRAFT_CONFIDENCES], passes = 0, n = (uint32_t)b->prompt.count;
    struct drafter *drafter;
    struct draft draft;
    hearth_error err = {0};
    for (int i = 0; i < DRAFT_CONFIDENCES; i++)
        worth[i] = DRAFT_MAX;
    memcpy(tokens, b->prompt.ids, n * sizeof *tokens);
    memcpy(tokens + n, b->answer.ids, b->answer.count * sizeof *tokens);
    need(ngram_drafter_open(&drafter, N_CTX, &err), &err);
    for (uint32_t end = n + (uint32_t)b->answer.count; n < end; passes++) {
        n++;
        need(drafter->propose(drafter, tokens, n, worth, &draft, &err), &err);
        for (uint32_t i = 0; i < draft.n && n < end && tokens[n] == draft.tokens[i]; i++)
            n++;
    }
    drafter->close(drafter);
    return passes;
}

static void measure(struct bench *b, const char *prompt, const char *answer, struct sums *sums) {
    hearth_error err = {0};
    need(tokenizer_encode(b->tokenizer, prompt, strlen(prompt), true, false, &b->prompt, &err),
         &err);
    need(tokenizer_encode(b->tokenizer, answer, strlen(answer), false, false, &b->answer, &err),
         &err);
    if (b->prompt.count + b->answer.count > N_CTX || b->answer.count < 2) return;
    for (int i = 0; i < 2; i++) { /* who is first changes from text to text */
        bool plain = (sums->n_texts + (unsigned)i) % 2 == 0;
        struct generation_stats stats = replay(b, plain ? NULL : b->speculation);
        *(plain ? &sums->plain_seconds : &sums->lookup_seconds) += stats.generate_seconds;
        sums->n_drafted += stats.n_drafted;
        sums->n_accepted += stats.n_accepted;
    }
    sums->n_texts++;
    sums->n_tokens += (uint32_t)b->answer.count;
    sums->n_least_passes += least_passes(b);
}

static void print(const struct sums *s) {
    double tokens = s->n_tokens;
    puts(
        "| texts | tokens | plain tokens/s | lookup tokens/s | ratio | accepted | tokens/pass | at "
        "most |\n"
        "|------:|-------:|---------------:|----------------:|------:|---------:|------------:|---"
        "-----:|");
    printf("| %5u | %6u | %14.2f | %15.2f | %5.2f | %6.1f %% | %11.2f | %7.2f |\n", s->n_texts,
           s->n_tokens, tokens / s->plain_seconds, tokens / s->lookup_seconds,
           s->plain_seconds / s->lookup_seconds,
           s->n_drafted ? 100.0 * s->n_accepted / s->n_drafted : 0.0,
           tokens / (tokens - s->n_accepted), tokens / s->n_least_passes);
}

int main(int argc, char **argv) {
    static char line[LINE], prompt[MAX_TEXT], answer[MAX_TEXT];
    struct bench b;
    struct sums sums = {0};
    if (argc < 4) {
        fputs("usage: bench_speculation MODEL VOCABULARY TEXTS.jsonl [COUNT [FIRST [THREADS]]]\n",
              stderr);
        return 2;
    }
    long count = argc > 4 ? atol(argv[4]) : 10, first = argc > 5 ? atol(argv[5]) : 0, found = 0;
    FILE *file = fopen(argv[3], "r");
    if (!file) {
        perror(argv[3]);
        return 1;
    }
    open_bench(&b, argv[1], argv[2], argc > 6 ? (unsigned)atoi(argv[6]) : 0);
    while (found < first + count && fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL);
        bool taken = take_summary(object, prompt, answer) || take_edit(object, prompt, answer);
        if (taken && found++ >= first) measure(&b, prompt, answer, &sums);
        json_decref(object);
    }
    if (sums.n_texts > 0) print(&sums);
    fclose(file);
    close_bench(&b);
    return sums.n_texts > 0 ? 0 : 1;
}
