#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli_options.h"
#include "cli/commands.h"
#include "format/directory.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {{"pull", cmd_pull}, {"list", cmd_list}, {"rm", cmd_rm}, {"cp", cmd_cp}};

static void print_warning(enum log_level level, const char *message, void *context) {
    (void)level, (void)context;
    fprintf(stderr, "hearth: %s\n", message);
}

int main(int argc, char **argv) {
    struct directory dir;
    hearth_error err;
    if (argc < 2) return EXIT_USAGE;
    log_set_sink(print_warning, NULL, LOG_WARNING);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    if (gguf_open(&dir, argv[1], &err) != HEARTH_OK) return cli_fail(&err);
    printf("%zu tensors, %zu keys\n", dir.n_tensors, dir.metadata.count);
    directory_close(&dir);
    return 0;
}
