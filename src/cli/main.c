#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/term.h"
#include "cli/command.h"
#include "cli/options.h"
#include "hub/hub.h"

static char built_in[] = "ember";

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct command commands[] = {
    {"run", cmd_run, "chat with a model, or get one answer"},
    {"serve", cmd_serve, "answer over HTTP, for programs and browsers"},
    {"keys", cmd_keys, "who may use the server: make, list and revoke keys"},
    {"pull", cmd_pull, "download a model"},
    {"list", cmd_list, "the models that are here"},
    {"ps", cmd_ps, "the models that are in use"},
    {"show", cmd_show, "what a model is: metadata, tensors, memory needed"},
    {"cp", cmd_cp, "give a model another name"},
    {"rm", cmd_rm, "remove a model"},
    {"convert", cmd_convert, "a Hugging Face folder to a GGUF file"},
    {"tune", cmd_tune, "fine-tune a model on your data"},
    {"data", cmd_data, "check training data and show what trains"},
    {"perplexity", cmd_perplexity, "how well a model predicts a text"},
    {"bench", cmd_bench, "how fast a model runs here"},
    {"embed", cmd_embed, "texts to vectors"},
    {"tokenize", cmd_tokenize, "text to token ids"},
    {"detokenize", cmd_detokenize, "token ids to text"},
    {"template", cmd_template, "render a chat template"},
    {"logits", cmd_logits, "the raw output for given tokens"},
    {"dequant", cmd_dequant, "quantised blocks to floats"},
    {"quantize", cmd_quantize, "a model with smaller weights"},
    {"doctor", cmd_doctor, "what this machine is, how fast, and which models suit it"},
    {"imatrix", cmd_imatrix, "which weights matter, for better quantisation"},
    {"synth", cmd_synth, "a model of a real shape with random weights, to measure"},
    {"tokenizer", cmd_tokenizer, "learn a vocabulary from texts"},
    {"init", cmd_init, "a new model with random weights, to train from scratch"},
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *stream) {
    fputs("hearth runs language models on this machine.\n\n"
          "usage: hearth COMMAND [OPTIONS]\n\ncommands:\n",
          stream);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stream, "  %-11s %s\n", commands[i].name, commands[i].help);
    fputs("\n'hearth COMMAND --help' says more.\n"
          "  --version   print the version\n",
          stream);
}

static void print_log(enum log_level level, const char *message, void *context) {
    (void)context;
    fprintf(stderr, "hearth: %s%s\n", level == LOG_WARNING ? "warning: " : "", message);
}

static int unknown_command(const char *name) {
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = nearest_name(name, names, N_COMMANDS);
    if (nearest)
        fprintf(stderr, "hearth: no command '%s'; did you mean '%s'?\n", name, nearest);
    else
        fprintf(stderr, "hearth: no command '%s'; 'hearth --help' lists them\n", name);
    return EXIT_USAGE;
}

static bool has_built_in(void) {
    struct hub *hub;
    char *path = NULL;
    if (hub_open(&hub, NULL) != HEARTH_OK) return false;
    bool found = hub_resolve(hub, built_in, &path, NULL) == HEARTH_OK;
    mem_free(path);
    hub_close(hub);
    return found;
}

/* The program's word alone: a person gets a chat, if the built-in model is there. It was
 * trained to be exact, not to vary. */
static int without_command(void) {
    char run[] = "run", temperature[] = "--temp=0";
    char *arguments[] = {run, built_in, temperature, NULL};
    if (!term_is_terminal(stdin) || !has_built_in()) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    puts("Ember, the small model that comes with Hearth: sums, dates, lists and questions about "
         "Hearth.\n'hearth serve' is the same in the browser, 'hearth pull NAME' fetches larger "
         "models,\n'hearth --help' shows what else there is.");
    return cmd_run(3, arguments);
}

int main(int argc, char **argv) {
    log_set_sink(print_log, NULL, LOG_WARNING);
    if (argc < 2) return without_command();
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("hearth " HEARTH_VERSION);
        return EXIT_OK;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            int code = commands[i].run(argc - 1, argv + 1);
            if (fflush(stdout) == 0 && !ferror(stdout)) return code;
            fputs("hearth: cannot write to standard output\n", stderr);
            return EXIT_FAILED;
        }
    return unknown_command(argv[1]);
}
