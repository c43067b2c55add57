#include "route/local_model.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "chat/dialogue.h"
#include "infer/sampling_defaults.h"

/* Names stay as they are; of a path, the file's name without its ending. */
static char *name_of(const char *asked) {
    if (!file_exists(asked)) return mem_strdup(asked);
    const char *base = path_base(asked), *end = strrchr(base, '.');
    size_t n = end && strcmp(end, ".gguf") == 0 ? (size_t)(end - base) : strlen(base);
    return mem_strndup(base, n);
}

static hearth_status open_template(struct local_model *m, hearth_error *err) {
    struct text source;
    if (!model_chat_template(&m->engine.model, &source))
        return dialogue_open_chatml(&m->template, err);
    hearth_status status = chat_template_open(&m->template, source.data, source.length, err);
    if (status == HEARTH_OK) return HEARTH_OK;
    return error_prefix(err, status, "cannot use the model's chat template");
}

static hearth_status open_context(struct local_model *m, const struct engine_settings *engine,
                                  const struct drafting_settings *drafting, hearth_error *err) {
    struct context_options options = context_defaults();
    bool embeds = m->engine.model.config.embeds;
    if (!embeds) {
        options.n_draft = drafting_n_draft(drafting);
        options.next = drafting_uses_head(drafting);
    }
    RETURN_IF_ERROR(engine_open_context(&m->engine, engine, options, err));
    if (embeds) return HEARTH_OK;
    RETURN_IF_ERROR(session_open(&m->session, m->engine.context, 0, err));
    RETURN_IF_ERROR(sampler_workspace_open(&m->workspace, m->engine.model.config.n_vocab, err));
    return drafting_open(&m->drafting, drafting, &m->engine, engine, err);
}

hearth_status local_model_open(struct local_model *m, const char *name,
                               const struct engine_settings *engine,
                               const struct drafting_settings *drafting, hearth_error *err) {
    *m = (struct local_model){0};
    RETURN_IF_ERROR(engine_open_model(&m->engine, engine, err));
    m->name = name ? mem_strdup(name) : name_of(engine->model);
    if (!m->name) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a name");
    m->sampling = sampler_params_of_model(&m->engine.model.directory.metadata);
    RETURN_IF_ERROR(engine_need_tokenizer(&m->engine, err));
    RETURN_IF_ERROR(open_template(m, err));
    return open_context(m, engine, drafting, err);
}

void local_model_close(struct local_model *m) {
    drafting_close(&m->drafting);
    sampler_workspace_close(m->workspace);
    session_close(m->session);
    chat_template_close(m->template);
    engine_close(&m->engine);
    mem_free(m->name);
    *m = (struct local_model){0};
}

bool local_model_is(const struct local_model *m, const char *name) {
    if (!name || !*name) return true;
    size_t n = strlen(m->name);
    if (strncmp(name, m->name, n) != 0) return false;
    return name[n] == '\0' || strcmp(name + n, ":latest") == 0;
}

json_t *local_model_describe(const struct local_model *m) {
    const struct model *model = &m->engine.model;
    /* A path need not be UTF-8; then it cannot be said in JSON. */
    return json_pack("{s:s, s:s*, s:I, s:I, s:s, s:s, s:I, s:I, s:b, s:b, s:b}", "name", m->name,
                     "path", model->directory.path, "size_bytes",
                     (json_int_t)directory_bytes(&model->directory), "n_parameters",
                     (json_int_t)model_parameters(model), "type",
                     elem_name(directory_main_type(&model->directory)), "family", model->config.family,
                     "n_ctx", (json_int_t)context_length(m->engine.context), "n_ctx_train",
                     (json_int_t)model->config.n_ctx_train, "loaded", true, "fits", true, "embeds",
                     (int)model->config.embeds);
}
