/* hearth rm: removes models of the cache, and aliases. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "cli/cli_options.h"
#include "cli/commands.h"
#include "hub/hub.h"

static const char help[] =
    "usage: hearth rm [options] MODEL...\n"
    "\n"
    "Removes models from the Hugging Face cache, or aliases. Bytes that another model\n"
    "or revision shares stay. Files in plain folders are never removed.\n"
    "\n"
    "  -a, --all    all models of the repository, not only the one that is named\n"
    "  -h, --help   this text\n";

static int parse(int argc, char **argv, bool *all) {
    static const struct option known[] = {
        {"all", no_argument, NULL, 'a'}, {"help", no_argument, NULL, 'h'}, {0}};
    cli_begin_options();
    for (int letter; (letter = cli_next_option(argc, argv, ":ah", known)) != -1;) {
        switch (letter) {
        case 'a': *all = true; break;
        case 'h': fputs(help, stdout); return CLI_HELP;
        default: return EXIT_USAGE;
        }
    }
    if (optind == argc) return cli_usage_error(argv[0], "which model?");
    return EXIT_SUCCESS;
}

static int remove_one(struct hub *hub, const char *name, bool all) {
    hearth_error err;
    uint64_t freed;
    char size[32];
    if (hub_remove(hub, name, all, &freed, &err) != HEARTH_OK) return cli_fail(&err);
    printf("removed %s (%s freed)\n", name, units_format_bytes(freed, size, sizeof size));
    return EXIT_SUCCESS;
}

int cmd_rm(int argc, char **argv) {
    bool all = false;
    struct hub *hub;
    hearth_error err;
    int code = parse(argc, argv, &all);
    if (code != EXIT_SUCCESS) return cli_exit_code(code);
    if (hub_open(&hub, &err) != HEARTH_OK) return cli_fail(&err);
    for (int i = optind; i < argc; i++)
        if (remove_one(hub, argv[i], all) != EXIT_SUCCESS) code = EXIT_FAILURE;
    hub_close(hub);
    return code;
}
