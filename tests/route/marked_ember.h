/* marked_ember.h - Ember with a token for the mark that calls begin with, in the place of one that
 * nothing uses, and with a template of the family that has this mark: a bias towards the token
 * makes it call tools. */
#ifndef HEARTH_TESTS_ROUTE_MARKED_EMBER_H
#define HEARTH_TESTS_ROUTE_MARKED_EMBER_H

#include "testdata.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "route/local_backend.h"

static const char ember_mark[] = "<|tool_call|>"; /* token 2043 */

struct marked_ember {
    char folder[64];
    char *model, *template_file;
};

static inline void marked_ember_make(struct marked_ember *e) {
    static const char unused[] = "<|endoftext|>";
    static const char template[] =
        "{# <|start_of_role|> <|tool_call|> </think> #}{%- for m in messages -%}"
        "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor -%}"
        "{{- '<|im_start|>assistant\\n' + ('<think>\\n' if enable_thinking else "
        "'<think></think>\\n\\n') -}}";
    char from[1024], *data;
    size_t n;
    snprintf(from, sizeof from, "%s/ember/ember.gguf", getenv("HEARTH_SOURCE_ROOT"));
    assert_int_equal(file_read(from, 64 << 20, &data, &n, NULL), HEARTH_OK);
    char *token = memmem(data, n, unused, sizeof unused - 1);
    assert_non_null(token);
    memcpy(token, ember_mark, sizeof ember_mark - 1);
    snprintf(e->folder, sizeof e->folder, "/tmp/hearth-ember-XXXXXX");
    assert_non_null(mkdtemp(e->folder));
    e->model = path_join(e->folder, "ember.gguf");
    e->template_file = path_join(e->folder, "template");
    assert_int_equal(file_write(e->model, data, n, NULL), HEARTH_OK);
    assert_int_equal(file_write(e->template_file, template, sizeof template - 1, NULL), HEARTH_OK);
    mem_free(data);
}

static inline void marked_ember_remove(struct marked_ember *e) {
    unlink(e->model);
    unlink(e->template_file);
    assert_int_equal(rmdir(e->folder), 0);
    mem_free(e->model);
    mem_free(e->template_file);
}

/* `drafting`: its type; DRAFTING_MODEL: by the same model. */
static inline struct backend *marked_ember_open(const struct marked_ember *e, int drafting) {
    struct local_backend_settings settings = {.name = "ember", .template_file = e->template_file};
    struct backend *backend;
    hearth_error err = {0};
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = 512;
    settings.engine.model = e->model;
    settings.drafting.type = drafting;
    settings.drafting.least = 2; /* whether it pays or not */
    settings.drafting.min_probability = 0;
    if (drafting == DRAFTING_MODEL) settings.drafting.model = e->model;
    if (local_backend_open(&backend, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return backend;
}

#endif
