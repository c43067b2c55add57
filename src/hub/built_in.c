#include "hub/built_in.h"

#include "base/file.h"
#include "base/mem.h"

const char built_in_name[] = "ember";

/* `folder` is taken. */
static char *file_in(char *folder, const char *name) {
    char *path = folder ? path_join(folder, name) : NULL;
    mem_free(folder);
    if (path && file_exists(path)) return path;
    mem_free(path);
    return NULL;
}

static char *beside_program(const char *name) {
    char *program = path_program(), *folder = program ? path_folder(program) : NULL;
    mem_free(program);
    return file_in(folder, name);
}

char *built_in_find(void) {
    char *path = file_in(path_home(PATH_DATA), "ember.gguf");
    if (!path) path = beside_program("ember/ember.gguf");
    if (!path) path = beside_program("../share/hearth/ember.gguf");
    return path;
}

hearth_status built_in_missing(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "the built-in model '%s' is not beside this program: install Hearth with it, "
                     "train it with 'make ember' in Hearth's source, or fetch another model, such "
                     "as 'hearth pull qwen3:0.6b'",
                     built_in_name);
}
