#include "cli/cli_options.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void cli_begin_options(void) {
    optind = 0; /* makes glibc forget an earlier command line */
    opterr = 0;
}

int cli_usage_error(const char *command, const char *format, ...) {
    va_list args;
    fprintf(stderr, "hearth: %s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see 'hearth %s --help'\n", command);
    return EXIT_USAGE;
}

int cli_next_option(int argc, char **argv, const char *letters, const struct option *options) {
    int letter = getopt_long(argc, argv, letters, options, NULL);
    if (letter == '?' || letter == ':') {
        const char *what = letter == ':' ? "needs a value:" : "unknown option";
        if (optopt > 0 && optopt < 128)
            cli_usage_error(argv[0], "%s '-%c'", what, optopt);
        else
            cli_usage_error(argv[0], "%s '%s'", what, argv[optind - 1]);
        return '?';
    }
    return letter;
}

int cli_exit_code(int parsed) {
    return parsed == CLI_HELP ? EXIT_SUCCESS : parsed;
}

int cli_fail(const hearth_error *err) {
    fprintf(stderr, "hearth: %s\n", err->message);
    return EXIT_FAILURE;
}

static atomic_bool interrupted;

static void note_interrupt(int signal_number) {
    atomic_store(&interrupted, true);
    signal(signal_number, SIG_DFL);
}

const atomic_bool *cli_cancel_on_interrupt(void) {
    signal(SIGINT, note_interrupt);
    signal(SIGTERM, note_interrupt);
    return &interrupted;
}
