/* hearth pull: fetches models from the hub, with a bar for each file. */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/term.h"
#include "cli/command.h"
#include "cli/options.h"
#include "hub/hub.h"

enum { MAX_CONNECTIONS = 32 };

/* The bar of the file that is being fetched. */
struct bar {
    struct progress progress;
    char label[64];
    const char *file; /* borrowed from the pull, only compared */
    uint64_t done;
    bool quiet;
};

static void end_bar(struct bar *bar) {
    if (bar->file) progress_end(&bar->progress, bar->done);
    bar->file = NULL;
}

/* The end of a long name says more than its beginning. */
static void set_label(struct bar *bar, const char *file) {
    unsigned width = term_width(stderr) > 100 ? 48 : 24;
    size_t length = strlen(file);
    bool cut = length > width;
    snprintf(bar->label, sizeof bar->label, "%s%s", cut ? "..." : "",
             cut ? file + length - width + 3 : file);
}

static void show(void *context, const struct hub_progress *p) {
    struct bar *bar = context;
    if (bar->quiet) return;
    if (bar->file != p->file) {
        end_bar(bar);
        set_label(bar, p->file);
        progress_begin(&bar->progress, stderr, bar->label, p->file_total, true);
        bar->progress.resumed = p->file_done;
        bar->file = p->file;
    }
    bar->done = p->file_done;
    progress_update(&bar->progress, p->file_done);
}

static int pull_one(struct hub *hub, const char *name, const struct hub_pull_options *options) {
    hearth_error err = {0};
    char *path = NULL;
    hearth_status status = hub_pull(hub, name, options, &path, &err);
    end_bar(options->context);
    if (status == HEARTH_ERROR_CANCELLED) {
        fprintf(stderr, "hearth: stopped; 'hearth pull %s' goes on from here\n", name);
        return EXIT_FAILED;
    }
    if (status != HEARTH_OK) return command_fail(&err);
    printf("%s\n", path);
    mem_free(path);
    return EXIT_OK;
}

static atomic_bool interrupted;

static void note_interrupt(int signal_number) {
    atomic_store(&interrupted, true);
    signal(signal_number, SIG_DFL);
}

static hearth_status pull_all(const struct option_arguments *arguments,
                              struct hub_pull_options *options, int *code, hearth_error *err) {
    struct hub *hub;
    RETURN_IF_ERROR(hub_open(&hub, err));
    signal(SIGINT, note_interrupt);
    signal(SIGTERM, note_interrupt);
    for (size_t i = 0; i < arguments->count && !atomic_load(&interrupted); i++)
        if (pull_one(hub, arguments->items[i], options) != EXIT_OK) *code = EXIT_FAILED;
    hub_close(hub);
    return HEARTH_OK;
}

int cmd_pull(int argc, char **argv) {
    struct bar bar = {0};
    struct hub_pull_options options = {
        .on_progress = show, .context = &bar, .cancel = &interrupted};
    int64_t connections = 0;
    const struct option_spec specs[] = {
        {.name = "revision",
         .letter = 'r',
         .argument = "REV",
         .help = "branch, tag or commit (default: main)",
         .type = OPTION_STRING,
         .string = &options.revision},
        {.name = "connections",
         .letter = 'j',
         .argument = "N",
         .help = "at the same time (default: 4)",
         .type = OPTION_INT,
         .least = 1,
         .most = MAX_CONNECTIONS,
         .integer = &connections},
        {.name = "quiet",
         .letter = 'q',
         .help = "no progress bars",
         .type = OPTION_FLAG,
         .flag = &bar.quiet},
    };
    const struct option_table table = {
        .command = "hearth pull",
        .arguments = "MODEL...",
        .summary =
            "Fetches models into the Hugging Face cache. A pull that was interrupted goes on\n"
            "where it stopped; what is there already is not fetched again.",
        .examples = "hearth pull llama3.2:1b\n"
                    "hearth pull org/repo:Q4_K_M\n"
                    "HF_TOKEN=... hearth pull org/gated-repo@revision",
        .specs = specs,
        .n_specs = sizeof specs / sizeof specs[0],
        .min_arguments = 1};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    options.connections = (unsigned)connections;
    code = EXIT_OK;
    return pull_all(&arguments, &options, &code, &err) == HEARTH_OK ? code : command_fail(&err);
}
