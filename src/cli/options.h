/* options.h - the command line of a command as one table.
 *
 * From the table come parsing (GNU getopt_long: --name value, --name=value, -n value,
 * options and arguments in any order, -- ends the options), defaults from environment
 * variables, checks, and --help. A value given twice counts the last time, except in
 * lists. Errors are one line that begins with the command's name.
 *
 *     struct options_of_run { double temp; bool json; } o = {.temp = 0.8};
 *     const struct option_spec specs[] = {
 *         {.name = "temp", .aliases = "temperature", .argument = "N",
 *          .help = "randomness; 0 always takes the likeliest token",
 *          .type = OPTION_FLOAT, .number = &o.temp, .most = 100},
 *         {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &o.json},
 *     };
 *     const struct option_table table = {.command = "hearth run", ...};
 *     struct option_arguments arguments;
 *     int exit_code;
 *     if (!options_begin(&table, argc, argv, &arguments, &exit_code)) return exit_code;
 *
 * getopt keeps its state in globals: parse on one thread at a time. */
#ifndef HEARTH_CLI_OPTIONS_H
#define HEARTH_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/option_list.h"
#include "base/status.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { OPTIONS_MAX = 256 };

enum option_type {
    OPTION_HEADING, /* no option: a line of the help that begins a group; uses `help` only */
    OPTION_FLAG,    /* sets *flag to true, or to false when `clears` */
    OPTION_STRING,  /* *string borrows from argv or the environment */
    OPTION_LIST,    /* may be repeated; borrows likewise */
    OPTION_INT,     /* decimal, least to most */
    OPTION_FLOAT,   /* finite, least to most */
    OPTION_BYTES,   /* "4096", "512M", "1.5GiB", least to most */
    OPTION_CHOICE   /* *choice becomes the index among `choices` */
};

struct option_spec {
    const char *name;        /* long name, without dashes */
    char letter;             /* short name or 0 */
    const char *aliases;     /* further long names, separated by spaces; one that begins with a
                                dash is accepted with a single dash: "n-predict -np" */
    const char *argument;    /* how the help names the value: "N", "FILE" */
    const char *help;        /* says the default itself where there is one worth saying */
    const char *environment; /* variable that gives a default; flags: 1, true, yes, on, 0, ... */
    const char *choices;     /* "auto|f16|q8_0" */
    enum option_type type;
    bool clears;
    double least, most; /* numbers; both 0: any (any that is not negative, for bytes) */
    union {             /* where the value goes; untouched when the option is absent */
        bool *flag;
        const char **string;
        struct option_list *list;
        int64_t *integer;
        double *number;
        uint64_t *bytes;
        int *choice;
    };
    bool *given; /* nullable: becomes true when the command line or environment gave a value */
};

struct option_table {
    const char *command;   /* "hearth run" */
    const char *arguments; /* "MODEL [PROMPT...]" or NULL */
    const char *summary;   /* one or more lines */
    const char *examples;  /* lines, or NULL */
    const struct option_spec *specs;
    size_t n_specs;
    size_t min_arguments, max_arguments; /* max 0 with arguments set: any number */
};

struct option_arguments {
    char **items; /* [count] borrows from argv */
    size_t count;
    bool wants_help;
};

/* argv[0] is skipped (the command's own word); argv is reordered. Every error is a
 * usage error. With --help or -h the rest is not checked. */
hearth_status options_parse(const struct option_table *table, int argc, char **argv,
                            struct option_arguments *arguments, hearth_error *err);
void options_help(const struct option_table *table, FILE *stream);

/* options_parse for a main function: prints help to stdout (exit code 0) or the error
 * to stderr (2); returns whether to go on. */
bool options_begin(const struct option_table *table, int argc, char **argv,
                   struct option_arguments *arguments, int *exit_code);

/* Whether an option has this long name, without dashes in front, or alias. */
bool option_is_called(const struct option_spec *spec, const char *name);

/* Parses one value into its place: what options_parse does for each option, usable for
 * settings that come from elsewhere. `given_as` is how messages name the option. */
hearth_status option_set(const struct option_spec *spec, const char *given_as, const char *value,
                         hearth_error *err);

#endif
