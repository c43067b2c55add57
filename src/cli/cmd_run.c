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
#include "cli/drafting_options.h"
#include "cli/engine_options.h"
#include "cli/lineedit.h"
#include "cli/running.h"
#include "route/local_backend.h"

#define MAX_PIPED_BYTES ((size_t)64 << 20)
enum { RUN_SPECS = ENGINE_SPECS + SAMPLING_SPECS + DRAFTING_SPECS + PROMPT_CACHE_SPECS + 18 };

struct run_options {
    struct local_backend_settings backend;
    struct chat_settings chat;
    struct prompt_cache_settings cache;
    const char *prompt_file;
};

/* long: a table of options */
static size_t run_specs(struct run_options *o, struct option_spec *specs) {
    size_t n = engine_specs(&o->backend.engine, specs);
    n += sampling_specs(&o->chat.sampling, specs + n);
    n += drafting_specs(&o->backend.drafting, specs + n);
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
        {.name = "think-budget",
         .aliases = "reasoning-budget",
         .argument = "N",
         .help = "tokens that the model may think, then it answers (default: most of the context)",
         .type = OPTION_INT,
         .least = -1,
         .most = 1 << 30,
         .integer = &o->chat.thinking_budget},
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
         .string = &o->backend.template_file},
        {.name = "raw",
         .help = "no chat template: the model continues the text",
         .type = OPTION_FLAG,
         .flag = &o->backend.no_template},
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
        {.name = "json",
         .help = "print one answer and its figures as JSON",
         .type = OPTION_FLAG,
         .flag = &o->chat.json},
    };
    memcpy(specs + n, own, sizeof own);
    n += sizeof own / sizeof own[0];
    return n + prompt_cache_specs(&o->cache, specs + n);
}

static json_int_t number_of(const struct chat *chat, const char *name) {
    return json_integer_value(json_object_get(chat->model, name));
}

static bool is_limited(const struct chat *chat) {
    return json_is_true(json_object_get(chat->model, "limited"));
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
    while (prompt->length && !o->backend.no_template && prompt->data[prompt->length - 1] == '\n')
        prompt->data[--prompt->length] = '\0';
    if (prompt->failed) return error_set(err, HEARTH_ERROR_LIMIT, "the prompt is too long");
    size_t n = strlen(buf_text(prompt));
    if (n == prompt->length) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "the prompt is no text: byte %zu of %zu is zero; expected UTF-8", n + 1,
                     prompt->length);
}

/* What stands below an answer, and what is to be said of it. */
static void end_answer(const struct chat *chat, const char *below) {
    puts(below);
    if (chat_filled_context(chat))
        fprintf(stderr, "hearth: the context of %lld tokens is full; the answer ends there\n",
                (long long)number_of(chat, "n_ctx"));
    if (chat->settings->verbose) chat_print_stats(chat, stderr);
}

static hearth_status answer_once(struct chat *chat, const char *prompt, hearth_error *err) {
    if (!chat->raw) RETURN_IF_ERROR(conversation_add(&chat->conversation, "user", prompt, err));
    RETURN_IF_ERROR(chat_answer(chat, prompt, err));
    end_answer(chat, "");
    return HEARTH_OK;
}

/* ---- conversation --------------------------------------------------------- */

static void end_turn(const struct chat *chat) {
    end_answer(chat, chat->reason == FINISH_CANCELLED ? "\n(stopped)\n" : "\n");
}

static hearth_status answer_message(struct chat *chat, const char *message, hearth_error *err) {
    size_t before = conversation_count(&chat->conversation);
    if (!chat->raw) RETURN_IF_ERROR(conversation_add(&chat->conversation, "user", message, err));
    hearth_status status = chat_answer(chat, message, err);
    if (status != HEARTH_OK) {
        conversation_truncate(&chat->conversation, before);
        return status;
    }
    end_turn(chat);
    return HEARTH_OK;
}

/* Answers the last user message again; where that fails, the answer of before stays. */
static hearth_status regenerate(struct chat *chat, hearth_error *err) {
    json_t *messages = chat->conversation.messages;
    size_t count = conversation_count(&chat->conversation);
    if (count < 2 || strcmp(conversation_role(&chat->conversation, count - 1), "assistant") != 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "there is no answer to make again");
    json_t *before = json_incref(json_array_get(messages, count - 1));
    conversation_truncate(&chat->conversation, count - 1);
    hearth_status status = chat_answer(chat, NULL, err);
    if (status == HEARTH_OK)
        end_turn(chat);
    else
        json_array_append(messages, before);
    json_decref(before);
    return status;
}

static void clear(struct conversation *conversation) {
    conversation_truncate(conversation, *conversation_system(conversation) ? 1 : 0);
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
    case CHAT_CLEAR: clear(&chat->conversation); return HEARTH_OK;
    case CHAT_REGEN: return regenerate(chat, err);
    case CHAT_SET: return chat_set(chat, command->name, command->text, err);
    case CHAT_EXIT: return HEARTH_OK;
    }
    return HEARTH_OK;
}

static void print_banner(const struct chat *chat, const char *device) {
    char cache[32];
    const char *path = json_string_value(json_object_get(chat->model, "path"));
    printf("%s, %s, context %lld tokens (%s of cache)%s\n", path ? path_base(path) : "a model",
           device, (long long)number_of(chat, "n_ctx"),
           units_format_bytes((uint64_t)number_of(chat, "cache_bytes"), cache, sizeof cache),
           is_limited(chat) ? ", limited by memory" : "");
    if (!json_is_true(json_object_get(chat->model, "has_template")))
        puts("This model has no chat template: it continues the text you give it.");
    puts("/help shows the commands, Ctrl-C stops an answer, Ctrl-D leaves.\n");
}

static hearth_status converse(struct chat *chat, const char *device, hearth_error *err) {
    struct lineedit *editor;
    char *history = lineedit_history_path(), *line = NULL;
    struct lineedit_options options = {
        .in = stdin, .out = stdout, .prompt = "> ", .continuation = ". ", .history_path = history};
    hearth_status status = lineedit_open(&editor, &options, err);
    mem_free(history);
    if (status != HEARTH_OK) return status;
    print_banner(chat, device);
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

static hearth_status run_once(struct run_options *o, struct chat *chat,
                              const struct option_arguments *arguments, hearth_error *err) {
    struct buf prompt;
    buf_init(&prompt, MAX_PIPED_BYTES);
    hearth_status status = gather_prompt(o, arguments, &prompt, err);
    if (status == HEARTH_OK && is_limited(chat))
        fprintf(stderr, "hearth: memory limits the context to %lld tokens\n",
                (long long)number_of(chat, "n_ctx"));
    if (status == HEARTH_OK) status = answer_once(chat, buf_text(&prompt), err);
    buf_release(&prompt);
    return status;
}

static hearth_status run_chat(struct run_options *o, struct backend *backend, const json_t *model,
                              const char *device, const struct option_arguments *arguments,
                              hearth_error *err) {
    struct chat chat;
    struct prompt_cache cache = {.settings = &o->cache, .backend = backend};
    bool once = arguments->count > 0 || o->prompt_file || !term_is_terminal(stdin);
    RETURN_IF_ERROR(chat_open(&chat, backend, model, &o->chat, o->backend.no_template, err));
    chat.prompt_cache = o->cache.path ? &cache : NULL;
    hearth_status status = once ? run_once(o, &chat, arguments, err) : converse(&chat, device, err);
    prompt_cache_finish(&cache);
    chat_close(&chat);
    return status;
}

static hearth_status run(struct run_options *o, const struct option_arguments *arguments,
                         hearth_error *err) {
    struct backend *backend;
    struct running_model running;
    json_t *models = json_array(), *status = json_object();
    o->backend.n_parallel = o->cache.path ? 2 : 1; /* one to save while the other answers */
    hearth_status code =
        models && status ? local_backend_open(&backend, &o->backend, err) : HEARTH_ERROR_NO_MEMORY;
    if (code != HEARTH_OK) goto done;
    code = backend_list_models(backend, models, err);
    if (code == HEARTH_OK) code = backend_status(backend, status, err);
    if (code == HEARTH_OK) {
        const json_t *model = json_array_get(models, 0);
        const char *device = json_string_value(json_object_get(status, "device"));
        running_announce(&running, model, device);
        code = run_chat(o, backend, model, device, arguments, err);
        running_retract(&running);
    }
    backend_close(backend);
done:
    json_decref(models);
    json_decref(status);
    return code;
}

int cmd_run(int argc, char **argv) {
    struct run_options o = {.chat.thinking_budget = -1};
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
    if (arguments.count == 0 && !o.backend.engine.model) {
        fputs(
            "hearth run: which model? 'hearth list' shows those that are here, 'hearth pull NAME' "
            "fetches one\n",
            stderr);
        return EXIT_USAGE;
    }
    if (!o.backend.engine.model) {
        o.backend.engine.model = arguments.items[0];
        arguments.items++;
        arguments.count--;
    }
    return run(&o, &arguments, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
