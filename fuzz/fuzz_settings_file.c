/* Reads arbitrary bytes as the settings of a command. */
#include <stdint.h>

#include "cli/settings_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    double rate = 0;
    const char *model = NULL;
    struct option_list paths = {0};
    const struct option_spec specs[] = {
        {.name = "learning-rate", .type = OPTION_FLOAT, .number = &rate},
        {.name = "model", .aliases = "base-model", .type = OPTION_STRING, .string = &model},
        {.name = "data", .aliases = "datasets.path", .type = OPTION_LIST, .list = &paths},
    };
    const struct option_table table = {
        .command = "fuzz", .specs = specs, .n_specs = sizeof specs / sizeof *specs};
    struct arena strings;
    arena_init(&strings, 1 << 22);
    settings_text_read("input", (const char *)data, size, &table, &strings, NULL);
    arena_release(&strings);
    return 0;
}
