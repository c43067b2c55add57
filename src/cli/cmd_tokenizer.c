/* hearth tokenizer train: a vocabulary of one's own, learned from texts. */
#include <jansson.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/term.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/text_files.h"
#include "format/gguf_write.h"
#include "token/bpe_train.h"

#define MAX_METADATA_BYTES ((size_t)1 << 30)

struct train_command {
    const char *output, *pre, *eos;
    struct option_list special, added;
    int64_t n_vocab, min_count;
    bool json;
    struct option_arguments files;
};

/* ---- reading and learning --------------------------------------------------------------- */

struct feeding {
    struct bpe_trainer *trainer;
    struct progress progress;
    uint64_t behind; /* bytes of the files before this one */
};

static hearth_status take_text(void *context, const char *text, size_t n, size_t done,
                               hearth_error *err) {
    struct feeding *feeding = context;
    progress_update(&feeding->progress, feeding->behind + done);
    return bpe_trainer_add(feeding->trainer, text, n, err);
}

static hearth_status feed(const struct train_command *c, struct bpe_trainer *trainer,
                          hearth_error *err) {
    struct feeding feeding = {.trainer = trainer};
    uint64_t total = 0, size = 0;
    for (size_t i = 0; i < c->files.count; i++, total += size)
        RETURN_IF_ERROR(file_size(c->files.items[i], &size, err));
    progress_begin(&feeding.progress, stderr, "read", total, true);
    for (size_t i = 0; i < c->files.count; i++) {
        RETURN_IF_ERROR(text_file_read(c->files.items[i], take_text, &feeding, err));
        RETURN_IF_ERROR(file_size(c->files.items[i], &size, err));
        feeding.behind += size;
    }
    progress_end(&feeding.progress, total);
    return HEARTH_OK;
}

static void show_merges(void *context, size_t done, size_t total) {
    (void)total;
    progress_update(context, done);
}

/* Ends of turns first: a chat model stops there. */
static const char *choose_eos(const struct train_command *c) {
    static const char *const usual[] = {"<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>"};
    if (c->eos) return c->eos;
    for (size_t u = 0; u < sizeof usual / sizeof usual[0]; u++)
        for (size_t i = 0; i < c->special.count; i++)
            if (strcmp(c->special.items[i], usual[u]) == 0) return usual[u];
    return NULL;
}

static hearth_status learn(const struct train_command *c, struct bpe_trainer **trainer,
                           hearth_error *err) {
    struct bpe_added added[2 * OPTION_LIST_MAX];
    struct progress progress;
    size_t n_added = 0;
    for (size_t i = 0; i < c->special.count; i++)
        added[n_added++] = (struct bpe_added){c->special.items[i], true};
    for (size_t i = 0; i < c->added.count; i++)
        added[n_added++] = (struct bpe_added){c->added.items[i], false};
    struct bpe_train_options options = {.pre = c->pre,
                                        .n_vocab = (size_t)c->n_vocab,
                                        .min_count = (uint64_t)c->min_count,
                                        .added = added,
                                        .n_added = n_added,
                                        .eos = choose_eos(c),
                                        .progress = show_merges,
                                        .progress_context = &progress};
    RETURN_IF_ERROR(bpe_trainer_open(trainer, &options, err));
    RETURN_IF_ERROR(feed(c, *trainer, err));
    progress_begin(&progress, stderr, "merge", (uint64_t)c->n_vocab, false);
    RETURN_IF_ERROR(bpe_trainer_run(*trainer, err));
    progress_end(&progress, (uint64_t)c->n_vocab);
    return HEARTH_OK;
}

/* ---- writing ---------------------------------------------------------------------------- */

static hearth_status write_config(const char *path, const char *config, hearth_error *err) {
    char *folder = path_folder(path);
    char *beside = folder ? path_join(folder, "tokenizer_config.json") : NULL;
    hearth_status status = beside ? file_write(beside, config, strlen(config), err)
                                  : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    mem_free(beside);
    mem_free(folder);
    return status;
}

/* A GGUF file without tensors, as vocabularies are passed around. */
static hearth_status write_gguf(const char *path, const char *json, const char *config,
                                hearth_error *err) {
    struct tokenizer *tokenizer = NULL;
    struct metadata m;
    metadata_init(&m, MAX_METADATA_BYTES);
    hearth_status status =
        tokenizer_open_json(&tokenizer, json, strlen(json), config, strlen(config), err);
    if (status == HEARTH_OK)
        status = metadata_set_string(&m, "general.architecture", "llama", 5, err);
    if (status == HEARTH_OK) status = metadata_set_string(&m, "general.type", "vocab", 5, err);
    if (status == HEARTH_OK) status = tokenizer_to_metadata(tokenizer, &m, err);
    if (status == HEARTH_OK) status = gguf_write(path, &m, NULL, 0, 0, NULL, NULL, err);
    tokenizer_close(tokenizer);
    metadata_release(&m);
    return status;
}

static bool is_gguf(const char *path) {
    size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".gguf") == 0;
}

static hearth_status write_result(const struct train_command *c, const struct bpe_trainer *trainer,
                                  hearth_error *err) {
    char *json, *config;
    RETURN_IF_ERROR(bpe_trainer_json(trainer, &json, &config, err));
    hearth_status status = is_gguf(c->output) ? write_gguf(c->output, json, config, err)
                                              : file_write(c->output, json, strlen(json), err);
    if (status == HEARTH_OK && !is_gguf(c->output)) status = write_config(c->output, config, err);
    mem_free(json);
    mem_free(config);
    return status;
}

static void print_summary(const struct train_command *c, const struct bpe_trainer *trainer) {
    struct bpe_train_summary s = bpe_trainer_summary(trainer);
    double ratio = s.n_tokens ? (double)s.n_bytes / (double)s.n_tokens : 0;
    if (c->json) {
        json_t *result = json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "output", c->output, "n_vocab",
            (json_int_t)s.n_vocab, "n_merges", (json_int_t)s.n_merges, "n_distinct_words",
            (json_int_t)s.n_distinct_words, "n_long_words", (json_int_t)s.n_long_words, "n_bytes",
            (json_int_t)s.n_bytes, "n_words", (json_int_t)s.n_words, "n_tokens",
            (json_int_t)s.n_tokens, "bytes_per_token", ratio);
        if (result) json_dumpf(result, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(result);
        return;
    }
    printf("%s: %zu tokens, %zu of them merges of %zu different words; %.2f bytes a token\n",
           c->output, s.n_vocab, s.n_merges, s.n_distinct_words, ratio);
    if (s.n_vocab < (size_t)c->n_vocab)
        printf("fewer than the %lld asked for: no other pair occurs %lld times\n",
               (long long)c->n_vocab, (long long)c->min_count);
    if (s.n_long_words)
        printf("%zu words of more than %d bytes were passed over\n", s.n_long_words,
               BPE_TRAIN_MAX_WORD_BYTES);
}

static hearth_status train(const struct train_command *c, hearth_error *err) {
    struct bpe_trainer *trainer = NULL;
    hearth_status status = learn(c, &trainer, err);
    if (status == HEARTH_OK) status = write_result(c, trainer, err);
    if (status == HEARTH_OK) print_summary(c, trainer);
    bpe_trainer_close(trainer);
    return status;
}

/* ---- the command line ------------------------------------------------------------------- */

static int train_main(int argc, char **argv) {
    struct train_command c = {.pre = BPE_TRAIN_DEFAULT_PRE, .min_count = 2};
    const struct option_spec specs[] = {
        {.name = "output",
         .letter = 'o',
         .argument = "FILE",
         .help = "a vocabulary as FILE.gguf, or FILE.json with a tokenizer_config.json beside it",
         .type = OPTION_STRING,
         .string = &c.output},
        {.name = "vocab-size",
         .argument = "N",
         .help = "tokens in all: 256 bytes, merges and added tokens",
         .type = OPTION_INT,
         .least = 256,
         .most = TOKENIZER_MAX_TOKENS,
         .integer = &c.n_vocab},
        {.name = "min-frequency",
         .argument = "N",
         .help = "pairs seen less often are not merged (default: 2)",
         .type = OPTION_INT,
         .least = 1,
         .most = 1e15,
         .integer = &c.min_count},
        {.name = "special",
         .argument = "TOKEN",
         .help = "a control token such as '<|im_end|>'; may be repeated",
         .type = OPTION_LIST,
         .list = &c.special},
        {.name = "added",
         .argument = "TOKEN",
         .help = "a token that is never cut but shows in answers, such as '<think>'; may be "
                 "repeated",
         .type = OPTION_LIST,
         .list = &c.added},
        {.name = "eos",
         .argument = "TOKEN",
         .help = "which one ends an answer (default: '<|im_end|>', '<|eot_id|>', "
                 "'<|endoftext|>' or '</s>', if it is among the control tokens)",
         .type = OPTION_STRING,
         .string = &c.eos},
        {.name = "pre",
         .argument = "NAME",
         .help = "how text is cut into words, as tokenizer.ggml.pre names it (default: qwen2, "
                 "where each digit is a word)",
         .type = OPTION_STRING,
         .string = &c.pre},
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &c.json},
    };
    const struct option_table table = {
        .command = "hearth tokenizer train",
        .arguments = "FILE...",
        .summary = "Learns a byte-level BPE vocabulary from texts. Of FILE.jsonl, the strings\n"
                   "under \"text\", \"content\" and \"reasoning_content\" are read.",
        .examples = "hearth tokenizer train -o tokenizer.json --vocab-size 4096 "
                    "--special '<|im_start|>' --special '<|im_end|>' corpus.txt",
        .specs = specs,
        .n_specs = sizeof specs / sizeof specs[0],
        .min_arguments = 1};
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &c.files, &code)) return code;
    if (!c.output || !c.n_vocab) {
        fputs("hearth tokenizer train: -o FILE and --vocab-size N are needed\n", stderr);
        return EXIT_USAGE;
    }
    return train(&c, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}

int cmd_tokenizer(int argc, char **argv) {
    const char *action = argc > 1 ? argv[1] : "";
    if (strcmp(action, "train") == 0) return train_main(argc - 1, argv + 1);
    if (strcmp(action, "--help") == 0 || strcmp(action, "-h") == 0) return train_main(argc, argv);
    fputs("usage: hearth tokenizer train -o FILE --vocab-size N FILE...\n"
          "'hearth tokenizer --help' says more.\n",
          stderr);
    return EXIT_USAGE;
}
