/* hearth run: chat with a model, or get one answer. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/term.h"
#include "base/units.h"
#include "cli/chat.h"
#include "cli/chat_commands.h"
#include "cli/command.h"
#include "cli/lineedit.h"
#include "cli/running.h"

#define MAX_PIPED_BYTES ((size_t)64 << 20)
enum { RUN_SPECS = ENGINE_SPECS + SAMPLING_SPECS + DRAFTING_SPECS + PROMPT_CACHE_SPECS + 16 };

struct run_options {
    struct engine_settings engine;
    struct chat_settings chat;
    struct drafting_settings drafting;
    struct prompt_cache_settings cache;
    const char *template_file, *prompt_file;
    bool raw;
};

/* long: a table of options */
static size_t run_specs(struct run_options *o, struct option_spec *specs) {
    size_t n = engine_specs(&o->engine, specs);
    n += sampling_specs(&o->chat.sampling, specs + n);
    n += drafting_specs(&o->drafting, specs + n);
    const struct option_spec own[] = {
        {.type = OPTION_HEADING, .help = "Answer"},
        {.name = "system",
         .aliases = "-sys",
         .argument = "TEXT",
         .help = "system message",
         .type = OPTION_STRING,
         .string = &o->chat.system},
        {.name = "n-predict",
         .letter = 'n',
         .aliases = "predict max-tokens",
         .argument = "N",
         .help = "most tokens of an answer; 0 is no limit (default: 0)",
         .type = OPTION_INT,
         .most = 1 << 30,
         .integer = &o->chat.max_tokens},
        {.name = "stop",
         .aliases = "reverse-prompt",
         .argument = "TEXT",
         .help = "end the answer before this text; may be repeated",
         .type = OPTION_LIST,
         .list = &o->chat.stops},
        {.name = "think",
         .argument = "WHEN",
         .help = "let the model think before it answers (default: as the model does)",
         .type = OPTION_CHOICE,
         .choices = "auto|on|off",
         .choice = &o->chat.thinking},
        {.name = "hide-thinking",
         .aliases = "hidethinking",
         .help = "do not print what the model thinks",
         .type = OPTION_FLAG,
         .flag = &o->chat.hide_thinking},
        {.name = "template",
         .aliases = "chat-template-file",
         .argument = "FILE",
         .help = "use this chat template instead of the model's",
         .type = OPTION_STRING,
         .string = &o->template_file},
        {.name = "raw",
         .help = "no chat template: the model continues the text",
         .type = OPTION_FLAG,
         .flag = &o->raw},
        {.name = "file",
         .letter = 'f',
         .argument = "FILE",
         .help = "read the prompt from a file",
         .type = OPTION_STRING,
         .string = &o->prompt_file},
        {.name = "ignore-eos",
         .help = "go on after the model's end of answer",
         .type = OPTION_FLAG,
         .flag = &o->chat.ignore_end},
        {.name = "special",
         .help = "print control tokens",
         .type = OPTION_FLAG,
         .flag = &o->chat.show_special},
        {.name = "verbose",
         .letter = 'v',
         .help = "print figures after each answer",
         .type = OPTION_FLAG,
         .flag = &o->chat.verbose},
    };
    memcpy(specs + n, own, sizeof own);
    n += sizeof own / sizeof own[0];
    return n + prompt_cache_specs(&o->cache, specs + n);
}

/* ---- one answer ----------------------------------------------------------- */

static hearth_status append_stdin(struct buf *prompt, hearth_error *err) {
    char block[16384];
    size_t n;
    while ((n = fread(block, 1, sizeof block, stdin)) > 0)
        if (!buf_append(prompt, block, n))
            return error_set(err, HEARTH_ERROR_LIMIT, "the piped prompt is larger than %zu bytes",
                             MAX_PIPED_BYTES);
    if (ferror(stdin)) return error_set_errno(err, "cannot read the prompt from standard input");
    return HEARTH_OK;
}

/* Words of the command line, then the file, then what is piped in, a line between. */
static hearth_status gather_prompt(const struct run_options *o,
                                   const struct option_arguments *arguments, struct buf *prompt,
                                   hearth_error *err) {
    for (size_t i = 0; i < arguments->count; i++) {
        if (i > 0) buf_append_char(prompt, ' ');
        buf_append_text(prompt, arguments->items[i]);
    }
    if (o->prompt_file) {
        char *text;
        size_t size;
        RETURN_IF_ERROR(file_read(o->prompt_file, MAX_PIPED_BYTES, &text, &size, err));
        if (prompt->length) buf_append_char(prompt, '\n');
        buf_append(prompt, text, size);
        mem_free(text);
    }
    bool has_words = prompt->length > 0;
    if (!term_is_terminal(stdin)) {
        struct buf piped;
        buf_init(&piped, MAX_PIPED_BYTES);
        hearth_status status = append_stdin(&piped, err);
        if (status == HEARTH_OK && piped.length && has_words) buf_append_char(prompt, '\n');
        if (status == HEARTH_OK) buf_append(prompt, buf_text(&piped), piped.length);
        buf_release(&piped);
        RETURN_IF_ERROR(status);
    }
    while (prompt->length && !o->raw && prompt->data[prompt->length - 1] == '\n')
        prompt->data[--prompt->length] = '\0';
    return prompt->failed ? error_set(err, HEARTH_ERROR_LIMIT, "the prompt is too long")
                          : HEARTH_OK;
}

static hearth_status answer_once(struct chat *chat, const char *prompt, hearth_error *err) {
    if (chat->template) RETURN_IF_ERROR(conversation_add(&chat->conversation, "user", prompt, err));
    RETURN_IF_ERROR(chat_answer(chat, prompt, err));
    putchar('\n');
    if (chat->settings->verbose) chat_print_stats(chat, stderr);
    return HEARTH_OK;
}

/* ---- conversation --------------------------------------------------------- */

static hearth_status answer_message(struct chat *chat, const char *message, hearth_error *err) {
    size_t before = conversation_count(&chat->conversation);
    if (chat->template)
        RETURN_IF_ERROR(conversation_add(&chat->conversation, "user", message, err));
    hearth_status status = chat_answer(chat, message, err);
    if (status != HEARTH_OK) {
        conversation_truncate(&chat->conversation, before);
        return status;
    }
    puts(chat->stats.end == GENERATION_CANCELLED ? "\n(stopped)\n" : "\n");
    if (chat->settings->verbose) chat_print_stats(chat, stderr);
    return HEARTH_OK;
}

/* Answers the last user message again. */
static hearth_status regenerate(struct chat *chat, hearth_error *err) {
    size_t count = conversation_count(&chat->conversation);
    if (count < 2 || strcmp(conversation_role(&chat->conversation, count - 1), "assistant") != 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "there is no answer to make again");
    conversation_truncate(&chat->conversation, count - 1);
    RETURN_IF_ERROR(chat_answer(chat, NULL, err));
    puts("\n");
    return HEARTH_OK;
}

static hearth_status obey(struct chat *chat, const struct chat_command *command,
                          hearth_error *err) {
    switch (command->kind) {
    case CHAT_MESSAGE: return answer_message(chat, command->text, err);
    case CHAT_HELP: fputs(chat_command_help(), stdout); return HEARTH_OK;
    case CHAT_SYSTEM:
        if (*command->text) return conversation_set_system(&chat->conversation, command->text, err);
        puts(conversation_system(&chat->conversation));
        return HEARTH_OK;
    case CHAT_SAVE:
        RETURN_IF_ERROR(conversation_save(&chat->conversation, command->text, err));
        printf("saved %zu messages\n", conversation_count(&chat->conversation));
        return HEARTH_OK;
    case CHAT_LOAD:
        RETURN_IF_ERROR(conversation_load(&chat->conversation, command->text, err));
        printf("loaded %zu messages\n", conversation_count(&chat->conversation));
        return HEARTH_OK;
    case CHAT_STATS: chat_print_stats(chat, stdout); return HEARTH_OK;
    case CHAT_CLEAR: conversation_truncate(&chat->conversation, 0); return HEARTH_OK;
    case CHAT_REGEN: return regenerate(chat, err);
    case CHAT_SET: return chat_set(chat, command->name, command->text, err);
    case CHAT_EXIT: return HEARTH_OK;
    }
    return HEARTH_OK;
}

static void print_banner(const struct chat *chat) {
    char cache[32];
    const struct context *context = chat->engine->context;
    printf("%s, %s, context %u tokens (%s of cache)%s\n",
           path_base(chat->engine->model.directory.path), context_device(context),
           context_length(context),
           units_format_bytes(context_cache_bytes(context), cache, sizeof cache),
           context_limited(context) ? ", limited by memory" : "");
    if (!chat->template)
        puts("This model has no chat template: it continues the text you give it.");
    puts("/help shows the commands, Ctrl-C stops an answer, Ctrl-D leaves.\n");
}

static hearth_status converse(struct chat *chat, hearth_error *err) {
    struct lineedit *editor;
    char *history = lineedit_history_path(), *line = NULL;
    struct lineedit_options options = {
        .in = stdin, .out = stdout, .prompt = "> ", .continuation = ". ", .history_path = history};
    hearth_status status = lineedit_open(&editor, &options, err);
    mem_free(history);
    if (status != HEARTH_OK) return status;
    print_banner(chat);
    for (bool go_on = true; go_on;) {
        hearth_error problem = {0};
        struct chat_command command;
        status = lineedit_read(editor, &line, &problem);
        if (status == HEARTH_OK && !line) break;
        if (status == HEARTH_OK && *line) {
            status = chat_command_parse(line, &command, &problem);
            go_on = status != HEARTH_OK || command.kind != CHAT_EXIT;
            if (status == HEARTH_OK) status = obey(chat, &command, &problem);
        }
        if (status != HEARTH_OK) command_fail(&problem);
        mem_free(line);
    }
    lineedit_close(editor);
    return HEARTH_OK;
}

static hearth_status run_chat(struct run_options *o, struct engine *engine,
                              const struct option_arguments *arguments, hearth_error *err) {
    struct chat chat;
    struct drafting drafting;
    struct prompt_cache cache = {.settings = &o->cache};
    struct buf prompt;
    buf_init(&prompt, MAX_PIPED_BYTES);
    RETURN_IF_ERROR(chat_open(&chat, engine, &o->chat, o->template_file, o->raw, err));
    hearth_status status = drafting_open(&drafting, &o->drafting, engine, &o->engine, err);
    chat.speculation = drafting.speculation;
    chat.prompt_cache = o->cache.path ? &cache : NULL;
    bool once = arguments->count > 0 || o->prompt_file || !term_is_terminal(stdin);
    if (status == HEARTH_OK && once) status = gather_prompt(o, arguments, &prompt, err);
    if (status == HEARTH_OK && once) {
        if (context_limited(engine->context))
            fprintf(stderr, "hearth: memory limits the context to %u tokens\n",
                    context_length(engine->context));
        status = answer_once(&chat, buf_text(&prompt), err);
    } else if (status == HEARTH_OK)
        status = converse(&chat, err);
    if (chat.prompt_cache) prompt_cache_save_all(chat.prompt_cache, chat.session);
    buf_release(&prompt);
    chat_close(&chat);
    drafting_close(&drafting);
    return status;
}

static hearth_status run(struct run_options *o, const struct option_arguments *arguments,
                         hearth_error *err) {
    struct engine engine;
    struct running_model running;
    struct context_options options = context_defaults();
    options.n_draft = drafting_n_draft(&o->drafting);
    options.next = drafting_uses_head(&o->drafting);
    RETURN_IF_ERROR(engine_open(&engine, &o->engine, options, err));
    running_announce(&running, &engine);
    sampling_take_model(&o->chat.sampling, &engine.model.directory.metadata);
    hearth_status status = run_chat(o, &engine, arguments, err);
    running_retract(&running);
    engine_close(&engine);
    return status;
}

int cmd_run(int argc, char **argv) {
    struct run_options o = {0};
    struct option_spec specs[RUN_SPECS];
    size_t n = run_specs(&o, specs);
    const struct option_table table = {
        .command = "hearth run",
        .arguments = "MODEL [PROMPT...]",
        .summary = "Chats with a model. With a prompt, or with text piped in, answers once.",
        .examples = "hearth run qwen3:4b\n"
                    "hearth run ./model.gguf \"Why is the sky blue?\"\n"
                    "hearth run ./model.gguf \"Summarise this:\" < report.txt\n"
                    "hearth run ./model.gguf --prompt-cache report.cache -f report.txt",
        .specs = specs,
        .n_specs = n};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (arguments.count == 0 && !o.engine.model) {
        fputs(
            "hearth run: which model? 'hearth list' shows those that are here, 'hearth pull NAME' "
            "fetches one\n",
            stderr);
        return EXIT_USAGE;
    }
    if (!o.engine.model) {
        o.engine.model = arguments.items[0];
        arguments.items++;
        arguments.count--;
    }
    return run(&o, &arguments, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
