/* Opens a model and lets it continue a text, first the short way, then token by token.
 *
 *     cc complete.c $(pkg-config --cflags --libs hearth) -o complete
 *     ./complete model.gguf "Once upon a time" */
#include <stdio.h>

#include <hearth.h>

static bool print(void *context, const char *text, size_t length) {
    (void)context;
    return fwrite(text, 1, length, stdout) == length;
}

/* The same by hand: tokens in, logits and a sampled token out, text back. */
static hearth_status step_by_step(hearth_model *model, hearth_session *session, const char *prompt,
                                  size_t prompt_length, int n_tokens, hearth_error *err) {
    int32_t ids[512];
    size_t count;
    hearth_status status =
        hearth_tokenize(model, prompt, prompt_length, true, false, ids, 512, &count, err);
    if (status == HEARTH_OK) status = hearth_session_set(session, ids, count, err);
    for (int i = 0; status == HEARTH_OK && i < n_tokens; i++) {
        int32_t id;
        size_t length;
        status = hearth_session_sample(session, &id, err);
        if (status != HEARTH_OK || hearth_token_ends(model, id)) break;
        const char *text = hearth_token_text(model, id, &length);
        fwrite(text, 1, length, stdout);
        status = hearth_session_append(session, id, err);
    }
    return status;
}

int main(int argc, char **argv) {
    hearth_error err = {0};
    hearth_model *model = NULL;
    hearth_session *session = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL.gguf PROMPT\n", argv[0]);
        return 2;
    }
    hearth_options *options = hearth_options_create();
    hearth_status status = hearth_options_set(options, "temp", "0", &err);
    if (status == HEARTH_OK) status = hearth_options_set(options, "n-predict", "32", &err);
    if (status == HEARTH_OK) status = hearth_options_set(options, "ctx-size", "512", &err);
    if (status == HEARTH_OK) status = hearth_model_open(&model, argv[1], &err);
    if (status == HEARTH_OK) status = hearth_session_open(&session, model, options, &err);

    if (status == HEARTH_OK) status = hearth_complete(session, argv[2], print, NULL, &err);
    putchar('\n');
    size_t length = 0;
    while (argv[2][length])
        length++;
    if (status == HEARTH_OK) status = step_by_step(model, session, argv[2], length, 32, &err);
    putchar('\n');

    if (status != HEARTH_OK) fprintf(stderr, "%s\n", err.message);
    hearth_session_close(session);
    hearth_model_close(model);
    hearth_options_free(options);
    return status == HEARTH_OK ? 0 : 1;
}
