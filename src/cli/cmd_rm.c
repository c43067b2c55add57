/* hearth rm: removes models of the cache, and aliases. */
#include <stdbool.h>
#include <stdio.h>

#include "base/units.h"
#include "cli/command.h"
#include "cli/options.h"
#include "hub/hub.h"

static int remove_one(struct hub *hub, const char *name, bool all) {
    hearth_error err;
    uint64_t freed;
    char size[32];
    if (hub_remove(hub, name, all, &freed, &err) != HEARTH_OK) return command_fail(&err);
    printf("removed %s (%s freed)\n", name, units_format_bytes(freed, size, sizeof size));
    return EXIT_OK;
}

int cmd_rm(int argc, char **argv) {
    bool all = false;
    const struct option_spec specs[] = {
        {.name = "all",
         .letter = 'a',
         .help = "all models of the repository, not only the one that is named",
         .type = OPTION_FLAG,
         .flag = &all},
    };
    const struct option_table table = {
        .command = "hearth rm",
        .arguments = "MODEL...",
        .summary =
            "Removes models from the Hugging Face cache, models that the server made of others,\n"
            "or aliases. Bytes that another model or revision shares stay. Files in plain folders\n"
            "are never removed.",
        .specs = specs,
        .n_specs = 1,
        .min_arguments = 1};
    struct option_arguments arguments;
    struct hub *hub;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (hub_open(&hub, &err) != HEARTH_OK) return command_fail(&err);
    code = EXIT_OK;
    for (size_t i = 0; i < arguments.count; i++)
        if (remove_one(hub, arguments.items[i], all) != EXIT_OK) code = EXIT_FAILED;
    hub_close(hub);
    return code;
}
