#include "chat/answer_parts.h"

#include <math.h>
#include <string.h>

#include "chat/dialect_fields.h"

/* ---- putting JSON out ---- */

static int append(const char *data, size_t length, void *out) {
    return buf_append(out, data, length) ? 0 : -1;
}

/* Nine digits tell every float apart, and leave 0.7 as it was. */
bool put_json(struct buf *out, json_t *value) {
    bool ok =
        value && json_dump_callback(value, append, out,
                                    JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) == 0;
    json_decref(value);
    return ok;
}

bool put_event(struct buf *out, const char *name, json_t *value) {
    if (name) buf_append_format(out, "event: %s\n", name);
    buf_append_text(out, "data: ");
    return put_json(out, value) && buf_append_text(out, "\n\n");
}

bool put_line(struct buf *out, json_t *value) {
    return put_json(out, value) && buf_append_char(out, '\n');
}

bool set_json(json_t *object, const char *name, json_t *value) {
    return json_object_set_new(object, name, value) == 0;
}

json_t *whole_list(json_t *list, size_t n) {
    if (list && json_array_size(list) == n) return list;
    json_decref(list);
    return NULL;
}

/* ---- texts ---- */

/* Bytes of the character at the beginning, 0 when there is none (Unicode, table 3-7). */
static size_t character_length(const unsigned char *s, size_t n) {
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (length == 0 || length > n || s[0] > 0xF4) return 0;
    if (length > 1 && (s[1] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    return length;
}

static json_t *mended_text(const char *data, size_t length) {
    struct buf mended;
    buf_init(&mended, ANSWER_MAX_BYTES * (size_t)3);
    for (size_t i = 0; i < length;) {
        size_t n = character_length((const unsigned char *)data + i, length - i);
        if (n > 0)
            buf_append(&mended, data + i, n);
        else
            buf_append_text(&mended, "\xEF\xBF\xBD");
        i += n > 0 ? n : 1;
    }
    json_t *text = mended.failed ? NULL : json_stringn(buf_text(&mended), mended.length);
    buf_release(&mended);
    return text;
}

bool text_is_whole(const char *data, size_t length) {
    size_t i = 0;
    while (i < length) {
        size_t n = character_length((const unsigned char *)data + i, length - i);
        if (n == 0) return false;
        i += n;
    }
    return true;
}

json_t *text_json(const char *data, size_t length) {
    return text_is_whole(data, length) ? json_stringn_nocheck(length > 0 ? data : "", length)
                                       : mended_text(data, length);
}

json_t *buf_json(const struct buf *buf) {
    return text_json(buf_text(buf), buf->length);
}

/* ---- log-probabilities ---- */

json_t *logprob_json(float logprob) {
    if (isnan(logprob)) return json_null();
    return json_real(isinf(logprob) ? -9999.0 : (double)logprob);
}

static json_t *bytes_json(const struct event_token *token) {
    json_t *bytes = json_array();
    for (size_t i = 0; i < token->n_bytes; i++)
        json_array_append_new(bytes, json_integer((unsigned char)token->bytes[i]));
    return whole_list(bytes, token->n_bytes);
}

static json_t *token_json(const struct event_token *token) {
    return json_pack("{s:o, s:o, s:o}", "token", text_json(token->bytes, token->n_bytes), "logprob",
                     logprob_json(token->logprob), "bytes", bytes_json(token));
}

json_t *chat_logprob(const struct event_logprob *logprob) {
    json_t *entry = token_json(&logprob->token), *top = json_array();
    for (size_t i = 0; i < logprob->n_top; i++)
        json_array_append_new(top, token_json(&logprob->top[i]));
    if (set_json(entry, "top_logprobs", whole_list(top, logprob->n_top))) return entry;
    json_decref(entry);
    return NULL;
}

bool add_chat_logprob(json_t **kept, const struct event_logprob *logprob, size_t *n_characters) {
    (void)n_characters;
    if (!*kept) *kept = json_array();
    return json_array_append_new(*kept, chat_logprob(logprob)) == 0;
}

bool piece_logprobs(struct answer_writer *writer, const struct event *event, json_t **out) {
    struct answer_choice *choice = &writer->choices[event->choice];
    *out = NULL;
    if (!writer->wants_logprobs || !writer->ops->add_logprob) return true;
    for (size_t i = 0; i < event->text.n_logprobs; i++)
        if (!writer->ops->add_logprob(out, &event->text.logprobs[i], &choice->n_characters)) {
            json_decref(*out);
            *out = NULL;
            return false;
        }
    return true;
}

/* ---- numbers ---- */

uint64_t computed_tokens(const struct event_usage *usage) {
    return usage->n_prompt > usage->n_cached ? usage->n_prompt - usage->n_cached : 0;
}

json_t *usage_json(const struct event_usage *usage) {
    return json_pack("{s:I, s:I, s:I, s:{s:I}, s:{s:I}}", "prompt_tokens",
                     (json_int_t)usage->n_prompt, "completion_tokens", (json_int_t)usage->n_answer,
                     "total_tokens", (json_int_t)(usage->n_prompt + usage->n_answer),
                     "prompt_tokens_details", "cached_tokens", (json_int_t)usage->n_cached,
                     "completion_tokens_details", "reasoning_tokens",
                     (json_int_t)usage->n_reasoning);
}

static double per(double amount, double count) {
    return count > 0 ? amount / count : 0;
}

/* The names of llama.cpp's server. */
json_t *timings_json(const struct event_usage *usage) {
    double prompt = (double)computed_tokens(usage), answer = (double)usage->n_answer;
    double prompt_ms = usage->prompt_seconds * 1e3, answer_ms = usage->answer_seconds * 1e3;
    json_t *timings = json_pack(
        "{s:I, s:I, s:f, s:f, s:f, s:I, s:f, s:f, s:f}", "cache_n", (json_int_t)usage->n_cached,
        "prompt_n", (json_int_t)computed_tokens(usage), "prompt_ms", prompt_ms,
        "prompt_per_token_ms", per(prompt_ms, prompt), "prompt_per_second",
        per(prompt, usage->prompt_seconds), "predicted_n", (json_int_t)usage->n_answer,
        "predicted_ms", answer_ms, "predicted_per_token_ms", per(answer_ms, answer),
        "predicted_per_second", per(answer, usage->answer_seconds));
    if (usage->n_drafted == 0 ||
        (set_json(timings, "draft_n", json_integer((json_int_t)usage->n_drafted)) &&
         set_json(timings, "draft_n_accepted", json_integer((json_int_t)usage->n_accepted))))
        return timings;
    json_decref(timings);
    return NULL;
}

/* ---- vectors ---- */

bool cut_vectors(struct answer_writer *writer, const char *parameter, size_t n) {
    for (size_t i = 0; i < writer->n_vectors; i++) {
        struct answer_vector *vector = &writer->vectors[i];
        double sum = 0;
        if (n > vector->n) {
            struct place root = {0}, place = {.up = &root, .name = parameter};
            return problem_at(&writer->problem, &place, 400,
                              "is %zu; the model's vectors have %zu numbers", n, vector->n);
        }
        vector->n = n;
        for (size_t k = 0; k < n; k++)
            sum += (double)vector->values[k] * (double)vector->values[k];
        for (size_t k = 0; sum > 0 && k < n; k++)
            vector->values[k] = (float)((double)vector->values[k] / sqrt(sum));
    }
    return true;
}

json_t *vector_json(const struct answer_vector *vector) {
    json_t *list = json_array();
    for (size_t i = 0; i < vector->n; i++) {
        double value = (double)vector->values[i];
        json_array_append_new(list, json_real(isfinite(value) ? value : 0));
    }
    return whole_list(list, vector->n);
}

/* ---- ends ---- */

const char *openai_reason(enum finish_reason reason) {
    switch (reason) {
    case FINISH_LENGTH: return "length";
    case FINISH_TOOL_CALLS: return "tool_calls";
    case FINISH_STOP:
    case FINISH_STOP_TEXT:
    case FINISH_CANCELLED: break;
    }
    return "stop";
}

json_t *arguments_object(const struct answer_call *call) {
    json_error_t error;
    json_t *arguments = json_loadb(buf_text(&call->arguments), call->arguments.length, 0, &error);
    if (json_is_object(arguments)) return arguments;
    if (!arguments && error.text[0] == '\0') return NULL; /* what jansson says of no memory */
    json_decref(arguments);
    return json_object();
}

const char *bare_id(const struct answer_writer *writer) {
    return writer->id + strlen(writer->ops->id_prefix);
}
