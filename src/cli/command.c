#include "cli/command.h"

#include <stdio.h>

#include "cli/options.h"

int command_fail(const hearth_error *err) {
    fprintf(stderr, "hearth: %s\n", err->message);
    return EXIT_FAILED;
}
