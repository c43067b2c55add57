/* request.h - what a client asks for, whatever dialect it wrote it in.
 *
 * A dialect (dialect.h) parses a body into a request and checks it: what is set here has the
 * right type and lies in its range. Backends (route/backend.h) take requests and nothing else.
 * Messages, tools and the choice of tools have the shape of OpenAI's chat completions, whatever
 * was sent; content parts that no dialect knows, signatures of thinking and unknown fields stay
 * where they were, so that a request can be passed on: what has no place in that shape is in the
 * message as thinking_blocks and is_error (Anthropic's) or encrypted_reasoning (of responses). */
#ifndef HEARTH_CHAT_REQUEST_H
#define HEARTH_CHAT_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum request_kind {
    REQUEST_CHAT,  /* messages in, an answer out */
    REQUEST_TEXT,  /* each of `inputs` is continued as it is */
    REQUEST_EMBED, /* each of `inputs` becomes a vector */
    REQUEST_COUNT  /* messages in, only the number of tokens of the prompt out */
};

enum request_switch { SWITCH_UNSET, SWITCH_ON, SWITCH_OFF };
enum tool_choice { TOOLS_AUTO, TOOLS_NONE, TOOLS_REQUIRED, TOOLS_NAMED };
enum constraint_kind {
    CONSTRAINT_NONE,
    CONSTRAINT_JSON,    /* any JSON object */
    CONSTRAINT_SCHEMA,  /* `schema` */
    CONSTRAINT_GRAMMAR, /* `text`: GBNF */
    CONSTRAINT_REGEX,   /* `text` matches the whole answer */
    CONSTRAINT_CHOICE   /* `schema`: an array of texts, one of which is the answer */
};

enum {
    REQUEST_MAX_CHOICES = 128,
    REQUEST_MAX_STOPS = 32,
    REQUEST_MAX_STOP_BYTES = 256,
    REQUEST_MAX_LOGPROBS = 20,
    REQUEST_MAX_SLOT = 4095,
    REQUEST_MAX_INPUTS = 2048
};

struct request {
    enum request_kind kind;
    char *model; /* as the client named it; NULL: the server's own */

    json_t *messages;  /* CHAT, COUNT: array of {role, content, …}; without elements (Ollama's):
                          the model is only loaded or, with a keep_alive_s of 0, unloaded */
    json_t *inputs;    /* TEXT, EMBED: array of strings, or of arrays of token ids */
    char *suffix;      /* TEXT: what follows the gap that is filled; NULL: none */
    json_t *documents; /* for templates that take them, or with a suffix other files of the gap's
                          project: array of {"text", "filename"?}; or NULL */

    json_t *tools; /* array of {"type":"function","function":{…}}, or NULL */
    enum tool_choice tool_choice;
    char *tool_name; /* TOOLS_NAMED */
    bool one_tool_call;

    /* Object of numbers, booleans, texts and arrays by the names that llama.cpp's server gives them
     * (temperature, top_k, top_p, min_p, repeat_penalty, seed, logit_bias, …); what is missing
     * has the model's default. */
    json_t *sampling;
    uint32_t n_choices; /* 1 or more */
    int64_t max_tokens; /* of an answer, thinking included; -1: up to the context */
    json_t *stops;      /* array of texts that end the answer, or NULL */
    int32_t n_logprobs; /* -1: none; otherwise so many of the likeliest with each token */
    bool echo;          /* TEXT: the prompt is part of the answer, and of its log-probabilities */
    bool stream;        /* events are rendered as they come */
    bool stream_usage;  /* and the numbers of tokens at the end */
    bool ignore_end;    /* goes on after the model's own end of an answer */
    bool shows_control; /* control tokens are part of the text */
    /* CHAT: messages that the context has no room for are left out, the oldest first, but not the
     * system's. */
    bool leaves_out_oldest;

    enum constraint_kind constraint;
    json_t *constraint_schema;
    char *constraint_text;

    enum request_switch thinking;
    int64_t thinking_budget;   /* tokens; -1: no limit of its own */
    char *reasoning_effort;    /* "low", "medium", "high", …; NULL: unset */
    json_t *template_settings; /* further variables of the template (chat_template_kwargs) */

    json_t *adapters; /* array of {"name", "scale"}, these and no others; without a scale an
                         adapter has its own. NULL: those the server has on */
    int32_t priority; /* more is sooner; 0 */
    uint32_t slot;    /* what is computed is remembered under this number (llama.cpp's id_slot) */
    double keep_alive_s;  /* the model stays loaded so long afterwards; INFINITY: for ever; NAN: as
                             the server says */
    json_t *answer_shape; /* object: fields that only the writing of the answer asks for
                             (encoding_format, …), by the names of the dialect; or NULL */
    json_t *extra;        /* object: fields that are not known, for whoever passes the request on */
};

/* An empty request: one choice, no limits, nothing set. */
void request_init(struct request *request);
void request_release(struct request *request); /* a zeroed one is fine */

#endif
