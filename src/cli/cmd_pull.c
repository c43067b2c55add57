/* hearth pull: fetches models from the hub, with a bar for each file. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/term.h"
#include "cli/cli_options.h"
#include "cli/commands.h"
#include "hub/hub.h"

enum { MAX_CONNECTIONS = 32 };

static const char help[] =
    "usage: hearth pull [options] MODEL...\n"
    "\n"
    "Fetches models into the Hugging Face cache. A pull that was interrupted goes on\n"
    "where it stopped; what is there already is not fetched again.\n"
    "\n"
    "  MODEL               llama3.2:1b, org/repo, org/repo:Q4_K_M, org/repo@revision,\n"
    "                      org/repo/file.gguf, or an address of the hub\n"
    "  -r, --revision REV  branch, tag or commit (main)\n"
    "  -j, --connections N at the same time (4)\n"
    "  -q, --quiet         no progress bars\n"
    "  -h, --help          this text\n"
    "\n"
    "environment: HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE\n";

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
        return EXIT_FAILURE;
    }
    if (status != HEARTH_OK) return cli_fail(&err);
    printf("%s\n", path);
    mem_free(path);
    return EXIT_SUCCESS;
}

static int parse(int argc, char **argv, struct hub_pull_options *options, struct bar *bar) {
    static const struct option known[] = {{"revision", required_argument, NULL, 'r'},
                                          {"connections", required_argument, NULL, 'j'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    cli_begin_options();
    for (int letter; (letter = cli_next_option(argc, argv, ":r:j:qh", known)) != -1;) {
        char *rest = NULL;
        long n;
        switch (letter) {
        case 'r': options->revision = optarg; break;
        case 'q': bar->quiet = true; break;
        case 'j':
            n = strtol(optarg, &rest, 10);
            if (rest == optarg || *rest || n < 1 || n > MAX_CONNECTIONS)
                return cli_usage_error(argv[0], "--connections is '%s', expected 1 to %d", optarg,
                                       MAX_CONNECTIONS);
            options->connections = (unsigned)n;
            break;
        case 'h': fputs(help, stdout); return CLI_HELP;
        default: return EXIT_USAGE;
        }
    }
    if (optind == argc) return cli_usage_error(argv[0], "which model?");
    return EXIT_SUCCESS;
}

int cmd_pull(int argc, char **argv) {
    struct bar bar = {0};
    struct hub_pull_options options = {.on_progress = show, .context = &bar};
    struct hub *hub;
    hearth_error err;
    int code = parse(argc, argv, &options, &bar);
    if (code != EXIT_SUCCESS) return cli_exit_code(code);
    options.cancel = cli_cancel_on_interrupt();
    if (hub_open(&hub, &err) != HEARTH_OK) return cli_fail(&err);
    for (int i = optind; i < argc && !atomic_load(options.cancel); i++)
        if (pull_one(hub, argv[i], &options) != EXIT_SUCCESS) code = EXIT_FAILURE;
    hub_close(hub);
    return code;
}
