/* hearth cp: gives a model another name. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/options.h"
#include "hub/hub.h"

int cmd_cp(int argc, char **argv) {
    const struct option_table table = {
        .command = "hearth cp",
        .arguments = "MODEL NAME",
        .summary =
            "Makes NAME stand for MODEL. No bytes are copied; 'hearth rm NAME' takes the name\n"
            "away again and leaves the model.",
        .min_arguments = 2,
        .max_arguments = 2};
    struct option_arguments arguments;
    struct hub *hub;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (hub_open(&hub, &err) != HEARTH_OK) return command_fail(&err);
    code = EXIT_OK;
    if (hub_alias(hub, arguments.items[1], arguments.items[0], &err) != HEARTH_OK)
        code = command_fail(&err);
    else
        printf("%s now means %s\n", arguments.items[1], arguments.items[0]);
    hub_close(hub);
    return code;
}
