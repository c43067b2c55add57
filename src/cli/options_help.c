/* The text of --help, laid out to the width of the terminal. */
#include <string.h>

#include "cli/options.h"

#include "base/term.h"

enum { LEFT_MOST = 30, WIDTH_LEAST = 50, WIDTH_MOST = 100, LEFT_BYTES = 256, HELP_BYTES = 2048 };

/* "-t, --threads N" */
static size_t left_column(const struct option_spec *spec, char *out, size_t size) {
    const char *value = spec->argument ? spec->argument : spec->choices ? spec->choices : "VALUE";
    char letter[] = "  -x, ";
    letter[3] = spec->letter;
    int n = snprintf(out, size, "%s--%s", spec->letter ? letter : "      ", spec->name);
    if (n > 0 && (size_t)n < size && spec->type != OPTION_FLAG)
        n += snprintf(out + n, size - (size_t)n, " %s", value);
    return n < 0 ? 0 : (size_t)n;
}

/* Breaks between words; every line but the first is indented. */
static void print_wrapped(FILE *stream, const char *text, size_t indent, size_t width) {
    size_t column = indent;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + word > width) {
            fprintf(stream, "\n%*s", (int)indent, "");
            column = indent;
        }
        if (column > indent) {
            fputc(' ', stream);
            column++;
        }
        fwrite(text, 1, word, stream);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', stream);
}

static void print_option(FILE *stream, const struct option_spec *spec, size_t left, size_t width) {
    char start[LEFT_BYTES], help[HELP_BYTES];
    size_t used = left_column(spec, start, sizeof start);
    snprintf(help, sizeof help, "%s%s%s%s", spec->help ? spec->help : "",
             spec->environment ? " [" : "", spec->environment ? spec->environment : "",
             spec->environment ? "]" : "");
    if (used + 2 > left)
        fprintf(stream, "%s\n%*s", start, (int)left, "");
    else
        fprintf(stream, "%-*s", (int)left, start);
    print_wrapped(stream, help, left, width);
}

static size_t left_width(const struct option_table *table) {
    char start[LEFT_BYTES];
    size_t left = sizeof "  -h, --help  " - 1;
    for (size_t i = 0; i < table->n_specs; i++) {
        if (table->specs[i].type == OPTION_HEADING) continue;
        size_t need = left_column(&table->specs[i], start, sizeof start) + 2;
        if (need > left && need <= LEFT_MOST) left = need;
    }
    return left;
}

void options_help(const struct option_table *table, FILE *stream) {
    static const struct option_spec help = {
        .name = "help", .letter = 'h', .help = "print this and leave", .type = OPTION_FLAG};
    size_t width = fileno(stream) >= 0 ? term_width(stream) : 80, left = left_width(table);
    bool headed = table->n_specs > 0 && table->specs[0].type == OPTION_HEADING;
    if (width < WIDTH_LEAST) width = WIDTH_LEAST;
    if (width > WIDTH_MOST) width = WIDTH_MOST;
    fprintf(stream, "usage: %s [OPTION...]%s%s\n", table->command, table->arguments ? " " : "",
            table->arguments ? table->arguments : "");
    if (table->summary) fprintf(stream, "\n%s\n", table->summary);
    if (!headed) fprintf(stream, "\noptions:\n");
    for (size_t i = 0; i < table->n_specs; i++) {
        if (table->specs[i].type == OPTION_HEADING)
            fprintf(stream, "\n%s:\n", table->specs[i].help);
        else
            print_option(stream, &table->specs[i], left, width);
    }
    if (headed) fputc('\n', stream);
    print_option(stream, &help, left, width);
    if (table->examples) fprintf(stream, "\nexamples:\n%s\n", table->examples);
}
