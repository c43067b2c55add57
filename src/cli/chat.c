#include "cli/chat.h"

#include <string.h>

#include "base/mem.h"
#include "base/term.h"
#include "cli/interrupt.h"
#include "infer/prompt.h"

#define MAX_PROMPT_BYTES ((size_t)256 << 20)
#define MAX_TEMPLATE_BYTES ((size_t)1 << 24)

/* The template, and the form in which models that know it answer. */
static hearth_status use_template(struct chat *c, const char *text, size_t n, hearth_error *err) {
    RETURN_IF_ERROR(chat_template_open(&c->template, text, n, err));
    char *source = mem_strndup(text, n);
    if (!source) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the template");
    hearth_status status = answer_form_open(&c->form, source, err);
    mem_free(source);
    return status;
}

static hearth_status open_template(struct chat *c, const char *file, bool raw, hearth_error *err) {
    struct text source;
    if (raw) return HEARTH_OK;
    if (file) {
        char *text;
        size_t size;
        RETURN_IF_ERROR(file_read(file, MAX_TEMPLATE_BYTES, &text, &size, err));
        hearth_status status = use_template(c, text, size, err);
        mem_free(text);
        return status == HEARTH_OK ? status
                                   : error_prefix(err, status, "cannot use template '%s'", file);
    }
    if (!model_chat_template(&c->engine->model, &source)) return HEARTH_OK;
    hearth_status status = use_template(c, source.data, source.length, err);
    if (status == HEARTH_OK) return HEARTH_OK;
    return error_prefix(
        err, status,
        "cannot use the model's chat template (--raw goes without, --template takes "
        "another)");
}

static hearth_status open_sampler(struct chat *c, hearth_error *err) {
    struct sampler *fresh;
    RETURN_IF_ERROR(sampling_open(&fresh, &c->settings->sampling, c->engine->tokenizer,
                                  c->engine->model.config.n_vocab, err));
    sampler_close(c->sampler);
    c->sampler = fresh;
    return HEARTH_OK;
}

static hearth_status open_parts(struct chat *c, const char *template_file, bool raw,
                                hearth_error *err) {
    RETURN_IF_ERROR(engine_need_tokenizer(c->engine, err));
    RETURN_IF_ERROR(open_template(c, template_file, raw, err));
    RETURN_IF_ERROR(conversation_init(&c->conversation, err));
    if (c->settings->system)
        RETURN_IF_ERROR(conversation_set_system(&c->conversation, c->settings->system, err));
    RETURN_IF_ERROR(session_open(&c->session, c->engine->context, 0, err));
    RETURN_IF_ERROR(sampler_workspace_open(&c->workspace, c->engine->model.config.n_vocab, err));
    return open_sampler(c, err);
}

hearth_status chat_open(struct chat *c, struct engine *engine, struct chat_settings *settings,
                        const char *template_file, bool raw, hearth_error *err) {
    *c = (struct chat){.engine = engine, .settings = settings};
    hearth_status status = open_parts(c, template_file, raw, err);
    if (status != HEARTH_OK) chat_close(c);
    return status;
}

void chat_close(struct chat *c) {
    sampler_close(c->sampler);
    sampler_workspace_close(c->workspace);
    session_close(c->session);
    conversation_release(&c->conversation);
    chat_template_close(c->template);
    answer_form_close(c->form);
    token_list_release(&c->prompt);
    *c = (struct chat){0};
}

static hearth_status build_prompt(struct chat *c, const char *text, hearth_error *err) {
    const struct tokenizer *tokenizer = c->engine->tokenizer;
    c->prompt_thinks = false;
    if (!c->template) return prompt_of_text(tokenizer, text, strlen(text), &c->prompt, err);
    json_t *variables =
        c->settings->thinking == THINKING_AUTO
            ? NULL
            : json_pack("{s:b}", "enable_thinking", c->settings->thinking == THINKING_ON);
    hearth_status status = prompt_of_messages(tokenizer, c->template, c->conversation.messages,
                                              variables, &c->prompt, &c->prompt_thinks, err);
    json_decref(variables);
    return status;
}

/* Prompts that no longer fit lose their oldest messages, not the system message. */
static bool drop_oldest_turn(struct chat *c) {
    json_t *messages = c->conversation.messages;
    size_t first = *conversation_system(&c->conversation) ? 1 : 0;
    size_t count = conversation_count(&c->conversation);
    if (count <= first + 1) return false;
    do
        json_array_remove(messages, first);
    while (conversation_count(&c->conversation) > first + 1 &&
           strcmp(conversation_role(&c->conversation, first), "user") != 0);
    return true;
}

static hearth_status fit_prompt(struct chat *c, const char *text, hearth_error *err) {
    uint32_t n_ctx = context_length(c->engine->context), dropped = 0;
    RETURN_IF_ERROR(build_prompt(c, text, err));
    while (c->prompt.count + n_ctx / 8 > n_ctx && c->template && drop_oldest_turn(c)) {
        dropped++;
        RETURN_IF_ERROR(build_prompt(c, text, err));
    }
    if (dropped)
        fprintf(stderr,
                "hearth: the context of %u tokens is full; the oldest messages were dropped\n",
                n_ctx);
    return HEARTH_OK;
}

/* An answer on its way to the terminal: what the model thinks is shown dimmed, or not
 * at all, and does not become part of the conversation. */
struct answer {
    const struct chat *chat;
    struct answer_reader *reader; /* NULL: all is answer */
    struct buf content;
    bool started, thinking_shown, colour;
};

static void print_thinking(struct answer *a, const char *text, size_t n) {
    if (a->chat->settings->hide_thinking) return;
    if (!a->thinking_shown && a->colour) fputs("\x1b[2m", stdout);
    a->thinking_shown = true;
    fwrite(text, 1, n, stdout);
}

static void print_content(struct answer *a, const char *text, size_t n) {
    buf_append(&a->content, text, n);
    if (a->thinking_shown) {
        fputs(a->colour ? "\x1b[0m\n\n" : "\n\n", stdout);
        a->thinking_shown = false;
    }
    if (!a->started) /* some vocabularies begin every word with a space */
        while (n > 0 && *text == ' ')
            text++, n--;
    if (n > 0) a->started = true;
    fwrite(text, 1, n, stdout);
}

static void print_piece(void *context, const struct answer_piece *piece) {
    if (piece->kind == PIECE_REASONING)
        print_thinking(context, piece->text, piece->length);
    else
        print_content(context, piece->text, piece->length);
}

static bool print_text(void *context, const char *text, size_t n) {
    struct answer *a = context;
    bool ok = true;
    if (a->reader)
        ok = answer_reader_push(a->reader, text, n, NULL) == HEARTH_OK;
    else
        print_content(a, text, n);
    fflush(stdout);
    return ok && !interrupt_requested() && !ferror(stdout);
}

static hearth_status finish_answer(struct answer *a, hearth_error *err) {
    hearth_status status = a->reader ? answer_reader_finish(a->reader, err) : HEARTH_OK;
    if (a->thinking_shown && a->colour) fputs("\x1b[0m", stdout);
    fflush(stdout);
    return status;
}

static bool go_on_reading(void *context, uint32_t done, uint32_t total) {
    (void)context;
    (void)done;
    (void)total;
    return !interrupt_requested();
}

static void keep_prompt(void *context) {
    const struct chat *c = ((const struct answer *)context)->chat;
    if (c->prompt_cache) prompt_cache_save_prompt(c->prompt_cache, c->session);
}

/* Whether the model says with control tokens what is thinking and what is answer. */
static bool marks(const struct chat *c) {
    return c->form && answer_form_thinks(c->form);
}

static hearth_status generate_answer(struct chat *c, struct answer *answer, hearth_error *err) {
    struct interrupt_guard guard;
    /* Without a token limit, a model that never ends would go on for ever if the context
     * were shifted. */
    struct generation_options options = {.max_tokens = (uint32_t)c->settings->max_tokens,
                                         .ignore_end = c->settings->ignore_end,
                                         .shift_context = c->settings->max_tokens > 0,
                                         .special = c->settings->show_special || marks(c),
                                         .keep = 4,
                                         .stops = c->settings->stops.items,
                                         .n_stops = c->settings->stops.count,
                                         .on_text = print_text,
                                         .on_progress = go_on_reading,
                                         .on_prompt = keep_prompt,
                                         .context = answer,
                                         .speculation = c->speculation};
    RETURN_IF_ERROR(open_sampler(c, err));
    if (c->prompt_cache)
        prompt_cache_read(c->prompt_cache, c->session, c->prompt.ids, (uint32_t)c->prompt.count);
    interrupt_begin(&guard);
    hearth_status status =
        generate(c->session, c->sampler, c->workspace, c->engine->tokenizer, c->prompt.ids,
                 (uint32_t)c->prompt.count, &options, &c->stats, err);
    interrupt_end(&guard);
    if (status != HEARTH_ERROR_CANCELLED) return status;
    c->stats.end = GENERATION_CANCELLED;
    return HEARTH_OK;
}

static hearth_status answer_prompt(struct chat *c, struct answer *answer, hearth_error *err) {
    if (c->form)
        RETURN_IF_ERROR(answer_reader_open(&answer->reader, c->form, NULL, c->prompt_thinks,
                                           print_piece, answer, err));
    hearth_status status = generate_answer(c, answer, err);
    hearth_status finished = finish_answer(answer, status == HEARTH_OK ? err : NULL);
    answer_reader_close(answer->reader);
    return status == HEARTH_OK ? finished : status;
}

hearth_status chat_answer(struct chat *c, const char *text, hearth_error *err) {
    struct answer answer = {.chat = c, .colour = term_has_colour(stdout)};
    buf_init(&answer.content, MAX_PROMPT_BYTES);
    hearth_status status = fit_prompt(c, text, err);
    if (status == HEARTH_OK) status = answer_prompt(c, &answer, err);
    if (status == HEARTH_OK && c->template)
        status = conversation_add(&c->conversation, "assistant", buf_text(&answer.content), err);
    buf_release(&answer.content);
    return status;
}

void chat_print_stats(const struct chat *c, FILE *stream) {
    static const char *const ends[] = {[GENERATION_STOP] = "end of answer",
                                       [GENERATION_STOP_TEXT] = "stop text",
                                       [GENERATION_LENGTH] = "token limit",
                                       [GENERATION_CONTEXT] = "context full",
                                       [GENERATION_CANCELLED] = "stopped by you"};
    const struct generation_stats *s = &c->stats;
    uint32_t computed = s->n_prompt - s->n_reused;
    fprintf(stream,
            "prompt %u tokens (%u reused), %.1f tokens/s; answer %u tokens, %.1f tokens/s; "
            "%u of %u drafted accepted; %s\n",
            s->n_prompt, s->n_reused, s->prompt_seconds > 0 ? computed / s->prompt_seconds : 0.0,
            s->n_generated, s->generate_seconds > 0 ? s->n_generated / s->generate_seconds : 0.0,
            s->n_accepted, s->n_drafted, ends[s->end]);
}

static void print_setting(const struct option_spec *spec) {
    if (spec->type == OPTION_FLOAT)
        printf("  %-20s %g\n", spec->name, *spec->number);
    else if (spec->type == OPTION_INT)
        printf("  %-20s %lld\n", spec->name, (long long)*spec->integer);
}

hearth_status chat_set(struct chat *c, const char *name, const char *value, hearth_error *err) {
    struct option_spec specs[SAMPLING_SPECS];
    struct sampling_settings wanted, before = c->settings->sampling;
    size_t n = sampling_specs(&wanted, specs);
    wanted = before;
    for (size_t i = 0; i < n; i++) {
        if (!*name)
            print_setting(&specs[i]);
        else if (specs[i].name && strcmp(specs[i].name, name) == 0) {
            RETURN_IF_ERROR(option_set(&specs[i], name, value, err));
            c->settings->sampling = wanted;
            hearth_status status = open_sampler(c, err);
            if (status != HEARTH_OK) c->settings->sampling = before;
            return status;
        }
    }
    if (!*name) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "no setting '%s'; '/set' lists them", name);
}
