/* Texts and tokens, as llama.cpp's server has them: /tokenize, /detokenize, /apply-template. */
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_parts.h"
#include "token/utf8.h"

#define MAX_TEXT_BYTES ((size_t)256 << 20)

static struct backend *backend_of(const struct http_exchange *x) {
    return x->server->settings.backend;
}

static const char *model_of(const struct http_exchange *x) {
    return json_string_value(json_object_get(x->json, "model"));
}

/* Whether the field is a boolean or missing; otherwise the exchange has a reply. */
static bool read_flag(struct http_exchange *x, const char *name, bool *flag) {
    const json_t *value = json_object_get(x->json, name);
    if (!value) return true;
    if (!json_is_boolean(value)) {
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, name, "'%s' must be true or false", name);
        return false;
    }
    *flag = json_is_true(value);
    return true;
}

/* Bytes of a token that are no text stand as an array of numbers. */
static json_t *piece_of(struct http_exchange *x, const json_t *id) {
    struct buf text;
    json_t *one = json_pack("[O]", id), *piece = NULL;
    buf_init(&text, MAX_TEXT_BYTES);
    if (one && backend_detokenize(backend_of(x), model_of(x), one, &text, NULL) == HEARTH_OK)
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

static json_t *with_pieces(struct http_exchange *x, json_t *ids) {
    size_t i;
    const json_t *id;
    json_t *tokens = json_array();
    json_array_foreach(ids, i, id) {
        json_array_append_new(tokens, piece_of(x, id));
    }
    json_decref(ids);
    return tokens;
}

void handle_tokenize(struct http_exchange *x) {
    const json_t *content = json_object_get(x->json, "content");
    struct backend_text text = {.model = model_of(x), .parse_special = true};
    bool pieces = false;
    hearth_error err = {0};
    if (!json_is_string(content)) {
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "content", "'content' must be a text");
        return;
    }
    if (!read_flag(x, "add_special", &text.add_special) ||
        !read_flag(x, "parse_special", &text.parse_special) ||
        !read_flag(x, "with_pieces", &pieces))
        return;
    text.data = json_string_value(content);
    text.length = json_string_length(content);
    json_t *ids = json_array();
    hearth_status status = backend_tokenize(backend_of(x), &text, ids, &err);
    if (status == HEARTH_OK) {
        http_reply_json(x, MHD_HTTP_OK,
                        json_pack("{s:o}", "tokens", pieces ? with_pieces(x, ids) : ids));
        return;
    }
    json_decref(ids);
    http_reply_failure(x, status, &err);
}

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

void handle_detokenize(struct http_exchange *x) {
    const json_t *ids = json_object_get(x->json, "tokens");
    struct buf text;
    hearth_error err = {0};
    if (!json_is_array(ids)) {
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "tokens", "'tokens' must be an array of ids");
        return;
    }
    buf_init(&text, MAX_TEXT_BYTES);
    hearth_status status = backend_detokenize(backend_of(x), model_of(x), ids, &text, &err);
    if (status == HEARTH_OK)
        http_reply_json(x, MHD_HTTP_OK, json_pack("{s:o}", "content", text_as_json(&text)));
    else
        http_reply_failure(x, status, &err);
    buf_release(&text);
}

void handle_apply_template(struct http_exchange *x) {
    struct request request;
    struct dialect_problem problem = {0};
    struct buf prompt;
    hearth_error err = {0};
    request_init(&request);
    buf_init(&prompt, MAX_TEXT_BYTES);
    if (!dialect_parse(ENDPOINT_OPENAI_CHAT, x->json, &request, &problem)) {
        http_reply_problem(x, &problem);
    } else {
        hearth_status status = backend_render(backend_of(x), &request, &prompt, &err);
        if (status == HEARTH_OK)
            http_reply_json(x, MHD_HTTP_OK, json_pack("{s:o}", "prompt", text_as_json(&prompt)));
        else
            http_reply_failure(x, status, &err);
    }
    buf_release(&prompt);
    request_release(&request);
}
