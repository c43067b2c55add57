/* Runs a fuzz target once over every file of its corpus: `replay_fuzz_x FOLDER`. */
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "fuzz_target.h"

enum { MAX_INPUT_BYTES = 1 << 24 };

static bool replay(const char *folder, const char *name) {
    hearth_error err;
    char *path = path_join(folder, name), *data = NULL;
    size_t size = 0;
    bool read = path && file_read(path, MAX_INPUT_BYTES, &data, &size, &err) == HEARTH_OK;
    if (read)
        LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    else
        fprintf(stderr, "cannot read '%s' of the corpus\n", name);
    mem_free(data);
    mem_free(path);
    return read;
}

int main(int argc, char **argv) {
    char **names;
    size_t count;
    hearth_error err;
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    if (file_list(argv[1], &names, &count, &err) != HEARTH_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    bool ok = count > 0;
    if (!ok) fprintf(stderr, "the corpus '%s' is empty\n", argv[1]);
    for (size_t i = 0; i < count; i++)
        ok = replay(argv[1], names[i]) && ok;
    file_names_free(names, count);
    if (ok) printf("%zu corpus files replayed\n", count);
    return ok ? 0 : 1;
}
