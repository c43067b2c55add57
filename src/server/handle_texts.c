/* Texts and tokens, as llama.cpp's server has them: /tokenize, /detokenize, /apply-template. */
#include "base/mem.h"
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/model_question.h"
#include "token/utf8.h"

#define MAX_TEXT_BYTES ((size_t)256 << 20)

/* Of the body, which may be a name of the wrong type: nobody's. */
static void answer(struct http_exchange *x, const struct model_question *question) {
    const json_t *model = json_object_get(x->json, "model");
    if (model && !json_is_string(model) && !json_is_null(model))
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "model", "'model' must be a text");
    else
        model_question_answer(x, question, json_string_value(model));
}

/* ---- /tokenize --------------------------------------------------------------------------- */

/* Whether the field is a boolean or missing; otherwise there is a problem. */
static bool read_flag(const json_t *body, const char *name, bool *flag,
                      struct dialect_problem *problem) {
    const json_t *value = json_object_get(body, name);
    if (!value) return true;
    if (!json_is_boolean(value)) {
        model_question_refuse(problem, name, "must be true or false");
        return false;
    }
    *flag = json_is_true(value);
    return true;
}

/* Bytes of a token that are no text stand as an array of numbers. */
static json_t *piece_of(struct backend *backend, const char *model, const json_t *id) {
    struct buf text;
    json_t *one = json_pack("[O]", id), *piece = NULL;
    buf_init(&text, MAX_TEXT_BYTES);
    if (one && backend_detokenize(backend, model, one, &text, NULL) == HEARTH_OK)
        piece = json_stringn(buf_text(&text), text.length);
    if (!piece) {
        piece = json_array();
        for (size_t i = 0; i < text.length; i++)
            json_array_append_new(piece, json_integer((unsigned char)text.data[i]));
    }
    buf_release(&text);
    json_decref(one);
    return json_pack("{s:O, s:o}", "id", id, "piece", piece);
}

static json_t *with_pieces(struct backend *backend, const char *model, json_t *ids) {
    size_t i;
    const json_t *id;
    json_t *tokens = json_array();
    json_array_foreach(ids, i, id) {
        json_array_append_new(tokens, piece_of(backend, model, id));
    }
    json_decref(ids);
    return tokens;
}

static json_t *tokenize(struct backend *backend, const char *model, const json_t *body,
                        struct dialect_problem *problem) {
    const json_t *content = json_object_get(body, "content");
    struct backend_text text = {.model = model, .parse_special = true};
    bool pieces = false;
    hearth_error err = {0};
    if (!json_is_string(content))
        return model_question_refuse(problem, "content", "must be a text");
    if (!read_flag(body, "add_special", &text.add_special, problem) ||
        !read_flag(body, "parse_special", &text.parse_special, problem) ||
        !read_flag(body, "with_pieces", &pieces, problem))
        return NULL;
    text.data = json_string_value(content);
    text.length = json_string_length(content);
    json_t *ids = json_array();
    hearth_status status = backend_tokenize(backend, &text, ids, &err);
    if (status == HEARTH_OK)
        return json_pack("{s:o}", "tokens", pieces ? with_pieces(backend, model, ids) : ids);
    json_decref(ids);
    return model_question_fail(problem, status, &err);
}

void handle_tokenize(struct http_exchange *x) {
    static const struct model_question question = {MODEL_QUESTION_PLAN, tokenize};
    answer(x, &question);
}

/* ---- /detokenize ------------------------------------------------------------------------- */

/* Bytes that are no character become U+FFFD. */
static json_t *text_as_json(const struct buf *text) {
    struct buf clean;
    buf_init(&clean, MAX_TEXT_BYTES * 3);
    for (size_t at = 0; at < text->length;) {
        char encoded[UTF8_MAX_BYTES];
        uint32_t code;
        at += utf8_next(text->data + at, text->length - at, &code);
        buf_append(&clean, encoded, utf8_encode(code, encoded));
    }
    json_t *value = clean.failed ? NULL : json_stringn(buf_text(&clean), clean.length);
    buf_release(&clean);
    return value;
}

static json_t *detokenize(struct backend *backend, const char *model, const json_t *body,
                          struct dialect_problem *problem) {
    const json_t *ids = json_object_get(body, "tokens");
    json_t *reply = NULL;
    struct buf text;
    hearth_error err = {0};
    if (!json_is_array(ids))
        return model_question_refuse(problem, "tokens", "must be an array of ids");
    buf_init(&text, MAX_TEXT_BYTES);
    hearth_status status = backend_detokenize(backend, model, ids, &text, &err);
    if (status == HEARTH_OK)
        reply = json_pack("{s:o}", "content", text_as_json(&text));
    else
        model_question_fail(problem, status, &err);
    buf_release(&text);
    return reply;
}

void handle_detokenize(struct http_exchange *x) {
    static const struct model_question question = {MODEL_QUESTION_PLAN, detokenize};
    answer(x, &question);
}

/* ---- /apply-template --------------------------------------------------------------------- */

static json_t *render(struct backend *backend, const char *model, const json_t *body,
                      struct dialect_problem *problem) {
    struct request request;
    struct buf prompt;
    json_t *reply = NULL;
    hearth_error err = {0};
    request_init(&request);
    buf_init(&prompt, MAX_TEXT_BYTES);
    if (dialect_parse(ENDPOINT_OPENAI_CHAT, body, &request, problem)) {
        mem_free(request.model);
        request.model = model ? mem_strdup(model) : NULL;
        hearth_status status = model && !request.model
                                   ? error_set(&err, HEARTH_ERROR_NO_MEMORY, "no memory for a name")
                                   : backend_render(backend, &request, &prompt, &err);
        if (status == HEARTH_OK)
            reply = json_pack("{s:o}", "prompt", text_as_json(&prompt));
        else
            model_question_fail(problem, status, &err);
    }
    buf_release(&prompt);
    request_release(&request);
    return reply;
}

void handle_apply_template(struct http_exchange *x) {
    static const struct model_question question = {MODEL_QUESTION_PLAN, render};
    answer(x, &question);
}
