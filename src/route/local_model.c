#include "route/local_model.h"

#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "chat/dialogue.h"
#include "infer/sampling_defaults.h"
#include "route/local_adapters.h"
#include "route/local_slots.h"
#include "token/utf8.h"

#define MAX_TEMPLATE_BYTES ((size_t)1 << 24)

/* Names stay as they are; of a path, the file's name without its ending. */
static char *name_of(const char *asked) {
    if (!file_exists(asked)) return mem_strdup(asked);
    const char *base = path_base(asked), *end = strrchr(base, '.');
    size_t n = end && strcmp(end, ".gguf") == 0 ? (size_t)(end - base) : strlen(base);
    return mem_strndup(base, n);
}

/* Clients hear it in JSON; a path may be any bytes. */
static void make_utf8(char *name) {
    uint32_t code;
    for (size_t n = strlen(name), length; n > 0; name += length, n -= length) {
        length = utf8_decode(name, n, &code);
        if (length > 0) continue;
        *name = '?';
        length = 1;
    }
}

/* ---- what the vocabulary, the template and the form of answers mean to each other ---- */

static hearth_status use_template(struct local_model *m, const char *text, hearth_error *err) {
    m->has_template = true;
    m->template_weighs_effort = strstr(text, "reasoning_effort") != NULL;
    RETURN_IF_ERROR(answer_form_open(&m->form, text, err));
    return chat_template_open(&m->template, text, strlen(text), err);
}

static hearth_status use_template_file(struct local_model *m, const char *path, hearth_error *err) {
    char *text;
    size_t size;
    RETURN_IF_ERROR(file_read(path, MAX_TEMPLATE_BYTES, &text, &size, err));
    hearth_status status = use_template(m, text, err);
    mem_free(text);
    if (status == HEARTH_OK) return HEARTH_OK;
    return error_prefix(err, status, "cannot use template '%s'", path);
}

static hearth_status open_template(struct local_model *m,
                                   const struct local_model_settings *settings, hearth_error *err) {
    struct text source;
    if (settings->template_file) return use_template_file(m, settings->template_file, err);
    if (settings->no_template || !model_chat_template(&m->engine.model, &source)) {
        RETURN_IF_ERROR(answer_form_open(&m->form, NULL, err));
        return dialogue_open_chatml(&m->template, err);
    }
    char *text = mem_strndup(source.data, source.length);
    if (!text) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the chat template");
    hearth_status status = use_template(m, text, err);
    mem_free(text);
    if (status == HEARTH_OK) return HEARTH_OK;
    return error_prefix(err, status,
                        "cannot use the model's chat template (hearth run --raw goes without, "
                        "--template takes another)");
}

static int32_t token_of_tag(const struct tokenizer *t, const char *tag) {
    return tag ? tokenizer_find(t, tag, strlen(tag)) : TOKEN_NONE;
}

static hearth_status read_vocabulary(struct local_model *m, hearth_error *err) {
    const struct tokenizer *t = m->engine.tokenizer;
    const char *end = answer_form_end_of_thinking(m->form);
    size_t n_vocab = m->engine.model.config.n_vocab, known = tokenizer_n_vocab(t);
    m->n_words = (n_vocab + 63) / 64;
    m->shown = mem_calloc(m->n_words, sizeof *m->shown);
    m->not_ends = mem_calloc(m->n_words, sizeof *m->not_ends);
    if (!m->shown || !m->not_ends)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the vocabulary");
    for (size_t i = 0; i < n_vocab && i < known; i++) {
        int32_t id = (int32_t)i;
        struct text piece = tokenizer_piece(t, id);
        if (!tokenizer_is_end_of_generation(t, id)) token_set_add(m->not_ends, id);
        if (tokenizer_is_special(t, id) && answer_form_reads(m->form, piece.data, piece.length))
            token_set_add(m->shown, id);
    }
    m->thinking_tag = token_of_tag(t, answer_form_thinking_tag(m->form));
    m->call_tag = token_of_tag(t, answer_form_call_tag(m->form));
    return tokenizer_encode(t, end, strlen(end), false, true, &m->end_of_thinking, err);
}

/* ---- opening ------------------------------------------------------------------------ */

/* Of many answers, where a share of the memory holds so many; one as long as the context has room
 * in any case. */
static uint32_t pages_for(const struct local_model *m, const struct engine_settings *engine,
                          const struct context_options *options) {
    const struct cache_options cache = {
        .k_type = options->k_type, .v_type = options->v_type, .next = options->next};
    uint64_t free_bytes = engine->max_bytes ? engine->max_bytes : cpu_memory_available();
    uint64_t page_bytes = cache_page_bytes(&m->engine.model.config, &cache);
    uint64_t wanted =
        (uint64_t)options->n_sequences * (LOCAL_MODEL_SHARE_TOKENS / CACHE_PAGE_TOKENS);
    uint64_t most = free_bytes / LOCAL_MODEL_CACHE_SHARE / (page_bytes ? page_bytes : 1);
    if (free_bytes && wanted > most) wanted = most ? most : 1;
    return wanted < UINT32_MAX ? (uint32_t)wanted : UINT32_MAX;
}

static hearth_status open_scheduler(struct local_model *m,
                                    const struct local_model_settings *settings,
                                    hearth_error *err) {
    struct context_options options = context_defaults();
    uint32_t n_parallel = settings->n_parallel ? settings->n_parallel : LOCAL_MODEL_PARALLEL;
    if (m->engine.model.config.embeds)
        return engine_open_context(&m->engine, settings->engine, options, err);
    options.n_sequences = n_parallel;
    options.n_states = 2 * n_parallel;
    options.n_draft = drafting_n_draft(settings->drafting);
    options.n_drafting = LOCAL_MODEL_DRAFTING;
    options.next = drafting_uses_head(settings->drafting);
    options.n_pages = pages_for(m, settings->engine, &options);
    RETURN_IF_ERROR(engine_open_context(&m->engine, settings->engine, options, err));
    struct scheduler_options scheduling = {.tokenizer = m->engine.tokenizer,
                                           .max_waiting =
                                               settings->max_waiting + REQUEST_MAX_CHOICES};
    RETURN_IF_ERROR(drafting_open(&m->drafting, settings->drafting, &m->engine, settings->engine,
                                  &scheduling.drafting, err));
    if (settings->keeps_slots) RETURN_IF_ERROR(local_slots_open(&m->slots, n_parallel, err));
    return scheduler_open(&m->scheduler, m->engine.context, &scheduling, err);
}

static hearth_status open_parts(struct local_model *m, const struct local_model_settings *settings,
                                hearth_error *err) {
    RETURN_IF_ERROR(engine_open_model(&m->engine, settings->engine, err));
    m->name = settings->name ? mem_strdup(settings->name) : name_of(settings->engine->model);
    if (!m->name) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a name");
    make_utf8(m->name);
    m->sampling = sampler_params_of_model(&m->engine.model.directory.metadata);
    RETURN_IF_ERROR(engine_need_tokenizer(&m->engine, err));
    RETURN_IF_ERROR(open_template(m, settings, err));
    if (!answer_form_calls_tools(m->form))
        RETURN_IF_ERROR(answer_form_open_told(&m->told_form, m->form, err));
    RETURN_IF_ERROR(read_vocabulary(m, err));
    RETURN_IF_ERROR(constraint_cache_open(&m->constraints, m->engine.tokenizer, m->form, err));
    RETURN_IF_ERROR(open_scheduler(m, settings, err));
    m->adapters_on = *context_adapters(m->engine.context);
    return HEARTH_OK;
}

hearth_status local_model_open(struct local_model *m, const struct local_model_settings *settings,
                               hearth_error *err) {
    *m = (struct local_model){.is_open = true};
    pthread_mutex_init(&m->embedding, NULL);
    pthread_mutex_init(&m->adding, NULL);
    pthread_mutex_init(&m->adapters, NULL);
    return open_parts(m, settings, err);
}

void local_model_close(struct local_model *m) {
    if (!m->is_open) return;
    scheduler_close(m->scheduler);
    local_slots_close(m->slots);
    drafting_close(&m->drafting);
    constraint_cache_close(m->constraints);
    answer_form_close(m->told_form);
    answer_form_close(m->form);
    chat_template_close(m->template);
    token_list_release(&m->end_of_thinking);
    mem_free(m->shown);
    mem_free(m->not_ends);
    engine_close(&m->engine);
    mem_free(m->name);
    pthread_mutex_destroy(&m->embedding);
    pthread_mutex_destroy(&m->adding);
    pthread_mutex_destroy(&m->adapters);
    *m = (struct local_model){0};
}

/* ---- embeddings ----------------------------------------------------------------------- */

struct embedding {
    const struct token_list *text;
    const struct adapter_set *adapters;
    float *out;
};

static hearth_status embed(void *work_context, struct context *context, uint32_t sequence,
                           hearth_error *err) {
    const struct embedding *e = work_context;
    RETURN_IF_ERROR(context_sequence_set_adapters(context, sequence, e->adapters, err));
    return context_embed(context, sequence, e->text->ids, (uint32_t)e->text->count, e->out, err);
}

hearth_status local_model_embed(struct local_model *m, const struct token_list *text,
                                const struct adapter_set *adapters, float *out, hearth_error *err) {
    struct embedding embedding = {text, adapters, out};
    if (m->scheduler)
        return scheduler_do(m->scheduler, (uint32_t)text->count, embed, &embedding, err);
    pthread_mutex_lock(&m->embedding);
    hearth_status status = embed(&embedding, m->engine.context, 0, err);
    pthread_mutex_unlock(&m->embedding);
    return status;
}

/* ---- what it is ------------------------------------------------------------------------- */

/* By the names of requests. */
static json_t *describe_sampling(const struct sampler_params *p) {
    return json_pack("{s:f, s:I, s:f, s:f, s:f}", "temperature", (double)p->temperature, "top_k",
                     (json_int_t)p->top_k, "top_p", (double)p->top_p, "min_p", (double)p->min_p,
                     "repeat_penalty", (double)p->repeat_penalty);
}

json_t *local_model_describe(struct local_model *m) {
    const struct model *model = &m->engine.model;
    /* A path need not be UTF-8; then it cannot be said in JSON. */
    return json_pack(
        "{s:s, s:o*, s:I, s:I, s:s, s:s, s:I, s:I, s:b, s:b, s:b, s:b, s:b, s:I, s:I, s:o, s:o}",
        "name", m->name, "path", json_string(model->directory.path), "size_bytes",
        (json_int_t)directory_bytes(&model->directory), "n_parameters",
        (json_int_t)model_parameters(model), "type",
        elem_name(directory_main_type(&model->directory)), "family", model->config.family, "n_ctx",
        (json_int_t)context_length(m->engine.context), "n_ctx_train",
        (json_int_t)model->config.n_ctx_train, "loaded", true, "fits", true, "embeds",
        (int)model->config.embeds, "has_template", (int)m->has_template, "limited",
        (int)context_limited(m->engine.context), "cache_bytes",
        (json_int_t)context_cache_bytes(m->engine.context), "allocated_bytes",
        (json_int_t)context_allocated_bytes(m->engine.context), "sampling",
        describe_sampling(&m->sampling), "adapters", local_adapters_list(m));
}
