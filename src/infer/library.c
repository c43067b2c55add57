/* The public interface of libhearth (include/hearth.h) over model, context, session
 * and generator. */
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "chat/answer_reader.h"
#include "infer/generator.h"
#include "infer/ngram_drafter.h"
#include "infer/prompt.h"
#include "infer/settings.h"

#define MAX_PROMPT_BYTES ((size_t)256 << 20)

struct hearth_options {
    struct settings settings;
};

struct hearth_model {
    struct model model;
    struct tokenizer *tokenizer;    /* NULL: the file carries none */
    struct chat_template *template; /* NULL: none */
    struct answer_form *form;       /* how it marks thinking; NULL: likewise */
};

struct hearth_session {
    hearth_model *model;
    struct settings settings;
    struct context *context;
    struct session *session;
    struct sampler *sampler;
    struct sampler_workspace *workspace;
    struct speculation *speculation; /* NULL: none */
    struct token_list prompt;
    json_t *messages;
    struct adapter *adapter; /* NULL: none */
};

const char *hearth_version(void) {
    return HEARTH_VERSION;
}

hearth_options *hearth_options_create(void) {
    hearth_options *options = mem_calloc(1, sizeof *options);
    if (options) settings_init(&options->settings);
    return options;
}

void hearth_options_free(hearth_options *options) {
    mem_free(options);
}

hearth_status hearth_options_set(hearth_options *options, const char *name, const char *value,
                                 hearth_error *err) {
    return settings_set(&options->settings, name, value, err);
}

/* ---- model ---------------------------------------------------------------- */

static hearth_status open_template(hearth_model *m, const struct text *source, hearth_error *err) {
    RETURN_IF_ERROR(chat_template_open(&m->template, source->data, source->length, err));
    char *text = mem_strndup(source->data, source->length);
    if (!text) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the chat template");
    hearth_status status = answer_form_open(&m->form, text, err);
    mem_free(text);
    return status;
}

static hearth_status open_text_parts(hearth_model *m, hearth_error *err) {
    struct text source;
    hearth_status status = tokenizer_open(&m->tokenizer, &m->model.directory.metadata, err);
    if (status == HEARTH_ERROR_NOT_FOUND) return HEARTH_OK;
    if (status != HEARTH_OK || !model_chat_template(&m->model, &source)) return status;
    return open_template(m, &source, err);
}

hearth_status hearth_model_open(hearth_model **model, const char *path, hearth_error *err) {
    *model = NULL;
    hearth_model *m = mem_calloc(1, sizeof *m);
    if (!m) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a model");
    hearth_status status = model_open(&m->model, path, err);
    if (status == HEARTH_OK) status = open_text_parts(m, err);
    if (status != HEARTH_OK) {
        hearth_model_close(m);
        return status;
    }
    *model = m;
    return HEARTH_OK;
}

void hearth_model_close(hearth_model *m) {
    if (!m) return;
    chat_template_close(m->template);
    answer_form_close(m->form);
    tokenizer_close(m->tokenizer);
    model_close(&m->model);
    mem_free(m);
}

size_t hearth_vocab_size(const hearth_model *m) {
    return m->model.config.n_vocab;
}

size_t hearth_embedding_size(const hearth_model *m) {
    return m->model.config.n_embd;
}

static hearth_status need_tokenizer(const hearth_model *m, hearth_error *err) {
    if (m->tokenizer) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED, "the model carries no vocabulary");
}

hearth_status hearth_tokenize(const hearth_model *m, const char *text, size_t length_bytes,
                              bool add_special, bool parse_special, int32_t *ids, size_t capacity,
                              size_t *count, hearth_error *err) {
    struct token_list list = {0};
    *count = 0;
    RETURN_IF_ERROR(need_tokenizer(m, err));
    hearth_status status =
        tokenizer_encode(m->tokenizer, text, length_bytes, add_special, parse_special, &list, err);
    size_t fits = list.count < capacity ? list.count : capacity;
    if (fits) memcpy(ids, list.ids, fits * sizeof *ids);
    *count = list.count;
    token_list_release(&list);
    return status;
}

hearth_status hearth_detokenize(const hearth_model *m, const int32_t *ids, size_t count,
                                bool special, char *text, size_t capacity, size_t *length_bytes,
                                hearth_error *err) {
    struct buf out;
    *length_bytes = 0;
    RETURN_IF_ERROR(need_tokenizer(m, err));
    buf_init(&out, MAX_PROMPT_BYTES);
    hearth_status status = tokenizer_decode(m->tokenizer, ids, count, special, &out, err);
    size_t fits = out.length < capacity ? out.length : capacity;
    if (fits) memcpy(text, buf_text(&out), fits);
    *length_bytes = out.length;
    buf_release(&out);
    return status;
}

const char *hearth_token_text(const hearth_model *m, int32_t id, size_t *length_bytes) {
    struct text piece = m->tokenizer ? tokenizer_piece(m->tokenizer, id) : (struct text){"", 0};
    *length_bytes = piece.length;
    return piece.data;
}

bool hearth_token_ends(const hearth_model *m, int32_t id) {
    return m->tokenizer && tokenizer_is_end_of_generation(m->tokenizer, id);
}

/* ---- session -------------------------------------------------------------- */

static hearth_status open_speculation(hearth_session *s, hearth_error *err) {
    struct drafter *drafter;
    const struct speculation_options options = {.max_draft = s->settings.context.n_draft};
    if (options.max_draft == 0) return HEARTH_OK;
    RETURN_IF_ERROR(ngram_drafter_open(&drafter, context_length(s->context), err));
    return speculation_open(&s->speculation, drafter, &options, context_length(s->context), err);
}

static hearth_status open_parts(hearth_session *s, hearth_error *err) {
    uint32_t n_vocab = s->model->model.config.n_vocab;
    s->messages = json_array();
    if (!s->messages) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a session");
    RETURN_IF_ERROR(context_open(&s->context, &s->model->model, &s->settings.context, err));
    RETURN_IF_ERROR(session_open(&s->session, s->context, 0, err));
    RETURN_IF_ERROR(sampler_workspace_open(&s->workspace, n_vocab, err));
    RETURN_IF_ERROR(open_speculation(s, err));
    return sampler_open(&s->sampler, &s->settings.sampler, n_vocab, err);
}

hearth_status hearth_session_open(hearth_session **session, hearth_model *model,
                                  const hearth_options *options, hearth_error *err) {
    *session = NULL;
    hearth_session *s = mem_calloc(1, sizeof *s);
    if (!s) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a session");
    s->model = model;
    if (options)
        s->settings = options->settings;
    else
        settings_init(&s->settings);
    hearth_status status = open_parts(s, err);
    if (status != HEARTH_OK) {
        hearth_session_close(s);
        return status;
    }
    *session = s;
    return HEARTH_OK;
}

static void close_adapter(struct adapter *adapter) {
    if (adapter) adapter_close(adapter);
    mem_free(adapter);
}

void hearth_session_close(hearth_session *s) {
    if (!s) return;
    sampler_close(s->sampler);
    sampler_workspace_close(s->workspace);
    speculation_close(s->speculation);
    session_close(s->session);
    context_close(s->context);
    close_adapter(s->adapter);
    token_list_release(&s->prompt);
    json_decref(s->messages);
    mem_free(s);
}

size_t hearth_context_size(const hearth_session *s) {
    return context_length(s->context);
}

/* Text goes to the caller as it comes; for the conversation, what the model thinks is
 * left out. */
struct answer {
    hearth_on_text on_text;
    void *context;
    struct answer_reader *reader; /* NULL: the answer joins no conversation */
    struct buf content;
};

static void keep_piece(void *context, const struct answer_piece *piece) {
    struct answer *answer = context;
    if (piece->kind == PIECE_TEXT) buf_append(&answer->content, piece->text, piece->length);
}

static bool take_text(void *context, const char *text, size_t n) {
    struct answer *answer = context;
    if (answer->reader && answer_reader_push(answer->reader, text, n, NULL) != HEARTH_OK)
        return false; /* and hearth_chat hears of it when it finishes the reader */
    return !answer->on_text || answer->on_text(answer->context, text, n);
}

/* Tags around thinking may be control tokens. */
static hearth_status answer_prompt(hearth_session *s, struct answer *answer, hearth_error *err) {
    struct generation_stats stats;
    struct generation_options options = {.max_tokens = s->settings.max_tokens,
                                         .shift_context = s->settings.max_tokens > 0,
                                         .special =
                                             answer->reader && answer_form_thinks(s->model->form),
                                         .on_text = take_text,
                                         .context = answer,
                                         .speculation = s->speculation};
    return generate(s->session, s->sampler, s->workspace, s->model->tokenizer, s->prompt.ids,
                    (uint32_t)s->prompt.count, &options, &stats, err);
}

hearth_status hearth_complete(hearth_session *s, const char *prompt, hearth_on_text on_text,
                              void *context, hearth_error *err) {
    struct answer answer = {.on_text = on_text, .context = context};
    RETURN_IF_ERROR(need_tokenizer(s->model, err));
    RETURN_IF_ERROR(prompt_of_text(s->model->tokenizer, prompt, strlen(prompt), &s->prompt, err));
    return answer_prompt(s, &answer, err);
}

static hearth_status add_message(hearth_session *s, const char *role, const char *content,
                                 size_t length, hearth_error *err) {
    json_t *message = json_pack("{s:s, s:s%}", "role", role, "content", content, length);
    if (message && json_array_append_new(s->messages, message) == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT, "a message that is not UTF-8, or no memory");
}

hearth_status hearth_chat_begin(hearth_session *s, const char *system, hearth_error *err) {
    json_array_clear(s->messages);
    return system ? add_message(s, "system", system, strlen(system), err) : HEARTH_OK;
}

/* Answers the conversation as it is; `content` gets what joins it. */
static hearth_status answer_messages(hearth_session *s, struct answer *answer, hearth_error *err) {
    bool thinks = false;
    RETURN_IF_ERROR(prompt_of_messages(s->model->tokenizer, s->model->template, s->messages, NULL,
                                       s->model->form, &s->prompt, &thinks, err));
    RETURN_IF_ERROR(
        answer_reader_open(&answer->reader, s->model->form, NULL, thinks, keep_piece, answer, err));
    hearth_status status = answer_prompt(s, answer, err);
    if (status == HEARTH_OK) status = answer_reader_finish(answer->reader, err);
    answer_reader_close(answer->reader);
    return status;
}

hearth_status hearth_chat(hearth_session *s, const char *message, hearth_on_text on_text,
                          void *context, hearth_error *err) {
    struct answer answer = {.on_text = on_text, .context = context};
    size_t before = json_array_size(s->messages);
    RETURN_IF_ERROR(need_tokenizer(s->model, err));
    if (!s->model->template)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "the model has no chat template; use hearth_complete");
    RETURN_IF_ERROR(add_message(s, "user", message, strlen(message), err));
    buf_init(&answer.content, MAX_PROMPT_BYTES);
    hearth_status status = answer_messages(s, &answer, err);
    if (status == HEARTH_OK)
        status = add_message(s, "assistant", buf_text(&answer.content), answer.content.length, err);
    while (status != HEARTH_OK && json_array_size(s->messages) > before)
        json_array_remove(s->messages, json_array_size(s->messages) - 1);
    buf_release(&answer.content);
    return status;
}

/* ---- the timeline ----------------------------------------------------------- */

hearth_status hearth_session_set(hearth_session *s, const int32_t *ids, size_t count,
                                 hearth_error *err) {
    if (count > UINT32_MAX) return error_set(err, HEARTH_ERROR_LIMIT, "%zu tokens", count);
    RETURN_IF_ERROR(session_set(s->session, ids, (uint32_t)count, NULL, NULL, NULL, err));
    sampler_reset(s->sampler);
    for (size_t i = 0; i < count; i++)
        sampler_accept(s->sampler, ids[i]);
    return HEARTH_OK;
}

hearth_status hearth_session_append(hearth_session *s, int32_t id, hearth_error *err) {
    RETURN_IF_ERROR(session_append(s->session, id, err));
    sampler_accept(s->sampler, id);
    return HEARTH_OK;
}

const float *hearth_session_logits(const hearth_session *s) {
    uint32_t n;
    session_tokens(s->session, &n);
    return n > 0 ? session_logits(s->session) : NULL;
}

hearth_status hearth_session_sample(hearth_session *s, int32_t *id, hearth_error *err) {
    struct sampler_result result;
    if (!hearth_session_logits(s))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "nothing to sample from: the timeline is empty");
    RETURN_IF_ERROR(
        sampler_sample(s->sampler, s->workspace, session_logits(s->session), NULL, &result, err));
    *id = result.token;
    return HEARTH_OK;
}

const int32_t *hearth_session_tokens(const hearth_session *s, size_t *count) {
    uint32_t n;
    const int32_t *tokens = session_tokens(s->session, &n);
    *count = n;
    return tokens;
}

hearth_status hearth_embed(hearth_session *s, const char *text, float *out, hearth_error *err) {
    RETURN_IF_ERROR(need_tokenizer(s->model, err));
    RETURN_IF_ERROR(prompt_of_text(s->model->tokenizer, text, strlen(text), &s->prompt, err));
    session_clear(s->session);
    return context_embed(s->context, 0, s->prompt.ids, (uint32_t)s->prompt.count, out, err);
}

static hearth_status open_adapter(struct adapter **adapter, const char *path,
                                  const struct config *base, hearth_error *err) {
    *adapter = mem_calloc(1, sizeof **adapter);
    if (!*adapter) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
    hearth_status status = adapter_open(*adapter, path, base, err);
    if (status != HEARTH_OK) {
        mem_free(*adapter);
        *adapter = NULL;
    }
    return status;
}

hearth_status hearth_session_set_adapter(hearth_session *s, const char *path, float scale,
                                         hearth_error *err) {
    struct adapter *fresh = NULL;
    if (path) RETURN_IF_ERROR(open_adapter(&fresh, path, &s->model->model.config, err));
    struct adapter_set set = {.items = {{fresh, scale}}, .count = fresh ? 1 : 0};
    session_clear(s->session);
    hearth_status status = context_set_adapters(s->context, &set, err);
    if (status != HEARTH_OK) {
        close_adapter(fresh);
        return status;
    }
    close_adapter(s->adapter);
    s->adapter = fresh;
    return HEARTH_OK;
}
