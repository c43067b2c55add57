/* OpenAI's embeddings, as numbers or as base64 of little-endian floats.
 * Source: the OpenAPI description of the OpenAI API. */
#include <string.h>

#include "chat/dialect_openai.h"
#include "chat/dialect_parts.h"

static void parse_embeddings(struct fields *body, struct request *request) {
    static const char *const formats[] = {"float", "base64", NULL};
    static const struct field_kept kept[] = {{"user", FIELD_STRING}};
    int64_t dimensions;
    request->kind = REQUEST_EMBED;
    fields_check_kept(body, kept, sizeof kept / sizeof kept[0]);
    field_text(body, "model", TEXT_MAX_NAME_BYTES, &request->model);
    read_inputs(body, "input", request);
    if (field_one_of(body, "encoding_format", formats) == 1)
        set_shape(request, "base64", json_true(), body->problem);
    if (field_integer(body, "dimensions", 1, DIMENSIONS_MAX, &dimensions))
        set_shape(request, "dimensions", json_integer(dimensions), body->problem);
}

/* RFC 4648, section 4. */
static void put_base64(const unsigned char *data, size_t n, struct buf *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)data[i] << 16;
        if (i + 1 < n) bits |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < n) bits |= data[i + 2];
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        i + 1 < n ? digits[bits >> 6 & 63] : '=',
                        i + 2 < n ? digits[bits & 63] : '='};
        buf_append(out, four, sizeof four);
    }
}

static bool put_floats_base64(const struct answer_vector *vector, struct buf *out) {
    unsigned char bytes[3 * 256]; /* whole groups of three bytes and of floats */
    size_t n = 0;
    buf_append_char(out, '"');
    for (size_t i = 0; i < vector->n; i++) {
        uint32_t bits;
        memcpy(&bits, &vector->values[i], sizeof bits);
        for (unsigned k = 0; k < 4; k++)
            bytes[n++] = (unsigned char)(bits >> 8 * k);
        if (n == sizeof bytes) {
            put_base64(bytes, n, out);
            n = 0;
        }
    }
    put_base64(bytes, n, out);
    return buf_append_char(out, '"');
}

/* Written one vector at a time: as JSON values all of them would take ten times their memory. */
static bool put_vector(const struct answer_writer *w, size_t i, struct buf *out) {
    bool as_text = json_object_get(w->shape, "base64") != NULL;
    buf_append_format(
        out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i > 0 ? "," : "", i);
    bool ok = as_text ? put_floats_base64(&w->vectors[i], out)
                      : put_json(out, vector_json(&w->vectors[i]));
    return ok && buf_append_char(out, '}');
}

static bool embeddings_body(struct answer_writer *w, struct buf *out) {
    const json_t *dimensions = json_object_get(w->shape, "dimensions");
    if (dimensions && !cut_vectors(w, "dimensions", (size_t)json_integer_value(dimensions)))
        return true;
    bool ok = buf_append_text(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; ok && i < w->n_vectors; i++)
        ok = put_vector(w, i, out);
    buf_append_text(out, "],\"model\":");
    ok = ok && put_json(out, text_json(w->model, strlen(w->model)));
    buf_append_text(out, ",\"usage\":");
    ok = ok && put_json(out, json_pack("{s:I, s:I}", "prompt_tokens", (json_int_t)w->usage.n_prompt,
                                       "total_tokens", (json_int_t)w->usage.n_prompt));
    return ok && buf_append_char(out, '}');
}

static const struct answer_ops embeddings_answer = {.id_prefix = "embd-", .body = embeddings_body};

const struct endpoint_ops openai_embeddings_endpoint = {
    .parse = parse_embeddings, .problem = openai_problem, .answer = &embeddings_answer};
