/* hearth.h - the public interface of libhearth.
 *
 * Reading order: status and errors; then the simple calls (open a model, ask it
 * something); then sessions, tokens and logits for those who drive the model
 * themselves. Every type is opaque. Every fallible function returns a
 * hearth_status and fills a hearth_error when one is given. Nothing here prints
 * or ends the process. */
#ifndef HEARTH_H
#define HEARTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEARTH_API __attribute__((visibility("default")))

/* ---- status and errors ------------------------------------------------- */

typedef enum hearth_status {
    HEARTH_OK = 0,
    HEARTH_ERROR_ARGUMENT,    /* the caller passed something impossible */
    HEARTH_ERROR_NO_MEMORY,   /* an allocation failed or a budget is exhausted */
    HEARTH_ERROR_IO,          /* the operating system refused: file, disk, socket */
    HEARTH_ERROR_FORMAT,      /* a file or text is damaged or not what it claims */
    HEARTH_ERROR_UNSUPPORTED, /* well formed, but Hearth cannot do it */
    HEARTH_ERROR_LIMIT,       /* a named limit was reached */
    HEARTH_ERROR_NOT_FOUND,   /* no such file, model, tensor, token */
    HEARTH_ERROR_CANCELLED,   /* the caller asked to stop */
    HEARTH_ERROR_INTERNAL     /* a defect of Hearth; please report it */
} hearth_status;

#define HEARTH_ERROR_MESSAGE_BYTES 512

/* What went wrong, in one line: what failed, what was expected, what was found,
 * what to do. The caller holds it; the library fills it. */
typedef struct hearth_error {
    hearth_status code;
    char message[HEARTH_ERROR_MESSAGE_BYTES];
} hearth_error;

/* ---- options ------------------------------------------------------------- */

/* The functions that open things take options by name, as the program's command line
 * does: "ctx-size", "threads", "temp", "top-k", ... (hearth run --help lists them). */
typedef struct hearth_options hearth_options;

HEARTH_API hearth_options *hearth_options_create(void); /* NULL: no memory */
HEARTH_API void hearth_options_free(hearth_options *options);
/* HEARTH_ERROR_NOT_FOUND: no option of that name (the message names the nearest);
 * HEARTH_ERROR_ARGUMENT: the value is not possible. */
HEARTH_API hearth_status hearth_options_set(hearth_options *options, const char *name,
                                            const char *value, hearth_error *err);

/* ---- simple: open a model, ask it something -------------------------------- */

/* A model file, opened and checked; immutable, may be shared by sessions on several
 * threads. `path`: a GGUF file or a Hugging Face folder. */
typedef struct hearth_model hearth_model;

HEARTH_API hearth_status hearth_model_open(hearth_model **model, const char *path,
                                           hearth_error *err);
HEARTH_API void hearth_model_close(hearth_model *model); /* after its sessions; NULL is fine */

/* One mutable timeline over a model, with a cache and a sampler of its own. Used by one
 * thread at a time. `options` may be NULL. */
typedef struct hearth_session hearth_session;

HEARTH_API hearth_status hearth_session_open(hearth_session **session, hearth_model *model,
                                             const hearth_options *options, hearth_error *err);
HEARTH_API void hearth_session_close(hearth_session *session); /* NULL is fine */

/* Receives new text of an answer, whole UTF-8 characters, not NUL-terminated; returns
 * false to stop. */
typedef bool (*hearth_on_text)(void *context, const char *text, size_t length_bytes);

/* Continues `prompt` as it is, without a chat template. What the session has computed
 * of a common beginning is used again. */
HEARTH_API hearth_status hearth_complete(hearth_session *session, const char *prompt,
                                         hearth_on_text on_text, void *context, hearth_error *err);

/* Adds a user message to the session's conversation and answers it through the model's
 * chat template; the answer joins the conversation. What the model thinks, between the tags
 * of its family, and calls of tools are text as it writes them; thinking does not join the
 * conversation. HEARTH_ERROR_UNSUPPORTED when the model has no template. */
HEARTH_API hearth_status hearth_chat(hearth_session *session, const char *message,
                                     hearth_on_text on_text, void *context, hearth_error *err);
/* Starts a new conversation; `system` is its system message or NULL. */
HEARTH_API hearth_status hearth_chat_begin(hearth_session *session, const char *system,
                                           hearth_error *err);

/* ---- tokens -------------------------------------------------------------- */

HEARTH_API size_t hearth_vocab_size(const hearth_model *model);
HEARTH_API size_t hearth_embedding_size(const hearth_model *model);
HEARTH_API size_t hearth_context_size(const hearth_session *session);

/* Writes at most `capacity` ids and always the full number to *count, so that a call
 * with capacity 0 measures. `add_special` adds what the model expects around a text;
 * `parse_special` recognises control tokens in it: false for what users type. */
HEARTH_API hearth_status hearth_tokenize(const hearth_model *model, const char *text,
                                         size_t length_bytes, bool add_special, bool parse_special,
                                         int32_t *ids, size_t capacity, size_t *count,
                                         hearth_error *err);
/* The same for text: at most `capacity` bytes, the full number in *length_bytes. */
HEARTH_API hearth_status hearth_detokenize(const hearth_model *model, const int32_t *ids,
                                           size_t count, bool special, char *text, size_t capacity,
                                           size_t *length_bytes, hearth_error *err);
/* The bytes one token stands for, borrowed from the model, not NUL-terminated; they may
 * be part of a character. "" outside the vocabulary. */
HEARTH_API const char *hearth_token_text(const hearth_model *model, int32_t id,
                                         size_t *length_bytes);
/* Whether an answer ends at this token. */
HEARTH_API bool hearth_token_ends(const hearth_model *model, int32_t id);

/* ---- advanced: drive the timeline ------------------------------------------- */

/* Makes the timeline exactly these tokens: reuses, forgets and computes as needed. */
HEARTH_API hearth_status hearth_session_set(hearth_session *session, const int32_t *ids,
                                            size_t count, hearth_error *err);
HEARTH_API hearth_status hearth_session_append(hearth_session *session, int32_t id,
                                               hearth_error *err);
/* Logits after the last token, [vocab_size], valid until the next call; NULL when the
 * timeline is empty. */
HEARTH_API const float *hearth_session_logits(const hearth_session *session);
/* The next token as the session's sampler draws it; does not append it. */
HEARTH_API hearth_status hearth_session_sample(hearth_session *session, int32_t *id,
                                               hearth_error *err);
HEARTH_API const int32_t *hearth_session_tokens(const hearth_session *session, size_t *count);

/* The normalised embedding of a text, [embedding_size]. The timeline is empty
 * afterwards. */
HEARTH_API hearth_status hearth_embed(hearth_session *session, const char *text, float *out,
                                      hearth_error *err);

/* Applies the LoRA adapter at `path` from now on, scaled; NULL takes all away. */
HEARTH_API hearth_status hearth_session_set_adapter(hearth_session *session, const char *path,
                                                    float scale, hearth_error *err);

HEARTH_API const char *hearth_version(void);

#ifdef __cplusplus
}
#endif
#endif
