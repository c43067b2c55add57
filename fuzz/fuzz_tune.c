/* Reads arbitrary bytes as what tuning over HTTP takes: names of runs, recipes of clients, and,
 * line by line, the log of a run. */
#include "fuzz_target.h"

#include <stdlib.h>
#include <string.h>

#include "server/run_course.h"
#include "server/served_run.h"
#include "server/tune_recipe.h"

/* Whatever a run is called, its id is the name of a folder. */
static void read_name(const char *text) {
    char id[SERVED_RUN_ID_BYTES];
    served_run_make_id(text, id);
    if (!served_run_id_is_valid(id) || strchr(id, '/') || id[0] == '.') abort();
}

static bool names_a_file(const json_t *recipe) {
    static const char *const keys[] = {"data",    "eval-data", "output-dir", "recipe",
                                       "teacher", "hosts",     "resume",     "chat-template"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(recipe, keys[i])) return true;
    return false;
}

static void read_recipe(const char *text, size_t n) {
    json_t *body = json_loadb(text, n, 0, NULL), *made;
    const char *field;
    char *recipe = NULL;
    if (json_is_object(body) &&
        tune_recipe_make(body, "model.gguf", &recipe, &field, NULL) == HEARTH_OK) {
        made = json_loads(recipe, 0, NULL);
        const char *model = json_string_value(json_object_get(made, "model"));
        if (!model || strcmp(model, "model.gguf") != 0 || names_a_file(made)) abort();
        json_decref(made);
    }
    free(recipe);
    json_decref(body);
}

static void read_log(const char *text, size_t n) {
    struct run_course course = {.steps = 10};
    struct buf events;
    buf_init(&events, 1 << 20);
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t length = end ? (size_t)(end - text) - at : n - at;
        run_course_take(&course, text + at, length, &events);
        at += length + 1;
    }
    if (events.length > 0 && strncmp(buf_text(&events), "data: {", 7) != 0) abort();
    buf_release(&events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (!text) return 0;
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    read_name(text);
    read_recipe(text, size);
    read_log(text, size);
    free(text);
    return 0;
}
