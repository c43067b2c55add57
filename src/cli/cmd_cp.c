/* hearth cp: gives a model another name. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli_options.h"
#include "cli/commands.h"
#include "hub/hub.h"

static const char help[] =
    "usage: hearth cp MODEL NAME\n"
    "\n"
    "Makes NAME stand for MODEL. No bytes are copied; 'hearth rm NAME' takes the name\n"
    "away again and leaves the model.\n"
    "\n"
    "  -h, --help   this text\n";

static int parse(int argc, char **argv) {
    static const struct option known[] = {{"help", no_argument, NULL, 'h'}, {0}};
    cli_begin_options();
    for (int letter; (letter = cli_next_option(argc, argv, ":h", known)) != -1;) {
        if (letter != 'h') return EXIT_USAGE;
        fputs(help, stdout);
        return CLI_HELP;
    }
    if (argc - optind != 2)
        return cli_usage_error(argv[0], "expected MODEL and NAME, found %d arguments",
                               argc - optind);
    return EXIT_SUCCESS;
}

int cmd_cp(int argc, char **argv) {
    struct hub *hub;
    hearth_error err;
    int code = parse(argc, argv);
    if (code != EXIT_SUCCESS) return cli_exit_code(code);
    if (hub_open(&hub, &err) != HEARTH_OK) return cli_fail(&err);
    if (hub_alias(hub, argv[optind + 1], argv[optind], &err) != HEARTH_OK)
        code = cli_fail(&err);
    else
        printf("%s now means %s\n", argv[optind + 1], argv[optind]);
    hub_close(hub);
    return code;
}
