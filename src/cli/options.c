#include "cli/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/units.h"

enum { NAME_BYTES = 64, EXPECTATION_BYTES = 256, NAMES_MAX = 512, LETTER_BASE = 0x1000 };

/* ---- values -------------------------------------------------------------- */

static bool has_range(const struct option_spec *spec) {
    return spec->least != 0 || spec->most != 0;
}

/* "a number from 0 to 100", "one of auto, f16, q8_0" */
static void describe_expected(const struct option_spec *spec, char *out, size_t size) {
    char least[32], most[32];
    switch (spec->type) {
    case OPTION_INT:
    case OPTION_FLOAT: {
        const char *kind = spec->type == OPTION_INT ? "a whole number" : "a number";
        if (has_range(spec))
            snprintf(out, size, "%s from %.15g to %.15g", kind, spec->least, spec->most);
        else
            snprintf(out, size, "%s", kind);
        return;
    }
    case OPTION_BYTES:
        if (has_range(spec))
            snprintf(out, size, "a size from %s to %s",
                     units_format_bytes((uint64_t)spec->least, least, sizeof least),
                     units_format_bytes((uint64_t)spec->most, most, sizeof most));
        else
            snprintf(out, size, "a size such as 512M or 4G");
        return;
    case OPTION_CHOICE: {
        size_t used = (size_t)snprintf(out, size, "one of ");
        for (const char *c = spec->choices; *c && used + 2 < size; c++) {
            if (*c == '|') out[used++] = ',';
            out[used++] = *c == '|' ? ' ' : *c;
        }
        out[used] = '\0';
        return;
    }
    case OPTION_FLAG: snprintf(out, size, "on or off"); return;
    default: snprintf(out, size, "a value"); return;
    }
}

static hearth_status refuse(const struct option_spec *spec, const char *given_as, const char *value,
                            hearth_error *err) {
    char expected[EXPECTATION_BYTES];
    describe_expected(spec, expected, sizeof expected);
    if (!value)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "%s needs %s, but none was given", given_as,
                         expected);
    return error_set(err, HEARTH_ERROR_ARGUMENT, "%s needs %s, found '%.100s'", given_as, expected,
                     value);
}

static bool in_range(const struct option_spec *spec, double value) {
    return !has_range(spec) || (value >= spec->least && value <= spec->most);
}

static bool parse_int(const struct option_spec *spec, const char *value) {
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end || errno || !in_range(spec, (double)number)) return false;
    *spec->integer = number;
    return true;
}

static bool parse_float(const struct option_spec *spec, const char *value) {
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end || !isfinite(number) || !in_range(spec, number)) return false;
    *spec->number = number;
    return true;
}

static bool parse_choice(const struct option_spec *spec, const char *value) {
    size_t length = strlen(value);
    int index = 0;
    for (const char *c = spec->choices; *c; index++) {
        size_t n = strcspn(c, "|");
        if (n == length && strncasecmp(c, value, n) == 0) {
            *spec->choice = index;
            return true;
        }
        c += n + (c[n] == '|');
    }
    return false;
}

static bool parse_switch(const struct option_spec *spec, const char *value) {
    static const char *const on[] = {"1", "true", "yes", "on"};
    static const char *const off[] = {"0", "false", "no", "off", ""};
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        bool is_on = i < sizeof on / sizeof on[0] && strcasecmp(value, on[i]) == 0;
        if (!is_on && strcasecmp(value, off[i]) != 0) continue;
        *spec->flag = is_on != spec->clears;
        return true;
    }
    return false;
}

hearth_status option_set(const struct option_spec *spec, const char *given_as, const char *value,
                         hearth_error *err) {
    bool ok = true;
    uint64_t bytes;
    switch (spec->type) {
    case OPTION_FLAG: ok = parse_switch(spec, value); break;
    case OPTION_STRING: *spec->string = value; break;
    case OPTION_LIST:
        if (spec->list->count == OPTION_LIST_MAX)
            return error_set(err, HEARTH_ERROR_LIMIT, "%s may be given at most %d times", given_as,
                             OPTION_LIST_MAX);
        spec->list->items[spec->list->count++] = value;
        break;
    case OPTION_INT: ok = parse_int(spec, value); break;
    case OPTION_FLOAT: ok = parse_float(spec, value); break;
    case OPTION_BYTES:
        ok = units_parse_bytes(value, &bytes) && in_range(spec, (double)bytes);
        if (ok) *spec->bytes = bytes;
        break;
    case OPTION_CHOICE: ok = parse_choice(spec, value); break;
    case OPTION_HEADING: assert(false && "a heading takes no value"); break;
    }
    if (!ok) return refuse(spec, given_as, value, err);
    if (spec->given) *spec->given = true;
    return HEARTH_OK;
}

/* ---- names --------------------------------------------------------------- */

/* Everything an option may be called. `written` has the names with their dashes;
 * argv may point there after parsing, so the struct is static. */
struct names {
    struct option longs[NAMES_MAX + 1];
    char *written[NAMES_MAX];
    size_t n_longs;
    char dashed[NAMES_MAX]; /* whether longs[i] is also accepted with one dash */
    char letters[2 * OPTIONS_MAX + 3];
    char text[16384];
    size_t used;
};

static void add_name(struct names *names, const char *name, size_t length, bool takes_value,
                     int id) {
    bool dashed = length > 0 && name[0] == '-';
    if (dashed) {
        name++;
        length--;
    }
    assert(names->n_longs < NAMES_MAX && names->used + length + 3 <= sizeof names->text);
    char *copy = names->text + names->used;
    names->used += (size_t)snprintf(copy, length + 3, "--%.*s", (int)length, name) + 1;
    names->dashed[names->n_longs] = dashed;
    names->written[names->n_longs] = copy;
    names->longs[names->n_longs++] = (struct option){
        .name = copy + 2, .has_arg = takes_value ? required_argument : no_argument, .val = id};
}

/* The ids that getopt returns are LETTER_BASE + index for long names; letters are
 * looked up by find_letter. */
static void collect_names(const struct option_table *table, struct names *names) {
    size_t n_letters = 0;
    *names = (struct names){0};
    names->letters[n_letters++] = ':'; /* a missing value is ':' instead of '?' */
    add_name(names, "help", 4, false, 'h');
    names->letters[n_letters++] = 'h';
    assert(table->n_specs <= OPTIONS_MAX);
    for (size_t i = 0; i < table->n_specs; i++) {
        const struct option_spec *spec = &table->specs[i];
        bool takes_value = spec->type != OPTION_FLAG;
        if (spec->type == OPTION_HEADING) continue;
        add_name(names, spec->name, strlen(spec->name), takes_value, LETTER_BASE + (int)i);
        for (const char *c = spec->aliases; c && *c;) {
            size_t n = strcspn(c, " ");
            if (n > 0) add_name(names, c, n, takes_value, LETTER_BASE + (int)i);
            c += n + (c[n] == ' ');
        }
        if (!spec->letter) continue;
        names->letters[n_letters++] = spec->letter;
        if (takes_value) names->letters[n_letters++] = ':';
    }
}

bool option_is_called(const struct option_spec *spec, const char *name) {
    size_t length = strlen(name);
    if (spec->type == OPTION_HEADING) return false;
    if (strcmp(spec->name, name) == 0) return true;
    for (const char *c = spec->aliases; c && *c;) {
        size_t n = strcspn(c, " "), dashes = strspn(c, "-");
        if (n - dashes == length && strncmp(c + dashes, name, length) == 0) return true;
        c += n + (c[n] == ' ');
    }
    return false;
}

static const struct option_spec *find_letter(const struct option_table *table, int letter) {
    for (size_t i = 0; i < table->n_specs; i++)
        if (table->specs[i].type != OPTION_HEADING && table->specs[i].letter == letter)
            return &table->specs[i];
    return NULL;
}

static const struct option_spec *spec_of(const struct option_table *table, int id) {
    if (id >= LETTER_BASE) return &table->specs[id - LETTER_BASE];
    return find_letter(table, id);
}

/* How the user wrote the option: "--temp" or "-t". */
static void written_as(const struct option_spec *spec, const char *word, char *out, size_t size) {
    bool short_form = word && word[0] == '-' && word[1] != '-' && spec->letter;
    if (short_form)
        snprintf(out, size, "-%c", spec->letter);
    else
        snprintf(out, size, "--%s", spec->name);
}

/* ---- parsing ------------------------------------------------------------- */

static hearth_status unknown_option(const struct names *names, const char *word,
                                    hearth_error *err) {
    const char *known[NAMES_MAX];
    char given[NAME_BYTES + 1] = "";
    size_t length = strcspn(word + 2, "="), matches = 0, first = 0, second = 0;
    snprintf(given, sizeof given, "%.*s", (int)(length < NAME_BYTES ? length : NAME_BYTES),
             word + 2);
    for (size_t i = 0; i < names->n_longs; i++) {
        known[i] = names->longs[i].name;
        if (strncmp(known[i], given, length) != 0) continue;
        if (matches++ == 0)
            first = i;
        else
            second = i;
    }
    if (matches > 1 && length > 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "--%s could be --%s or --%s; write it out",
                         given, known[first], known[second]);
    const char *near = nearest_name(given, known, names->n_longs);
    if (near)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "unknown option --%s; did you mean --%s?",
                         given, near);
    return error_set(err, HEARTH_ERROR_ARGUMENT, "unknown option --%s; --help lists all", given);
}

static hearth_status bad_option(const struct option_table *table, const struct names *names,
                                const char *word, int found, hearth_error *err) {
    char name[NAME_BYTES + 3];
    const struct option_spec *spec = optopt ? spec_of(table, optopt) : NULL;
    if (found == ':' && spec) {
        written_as(spec, word, name, sizeof name);
        return refuse(spec, name, NULL, err);
    }
    if (optopt >= LETTER_BASE && spec)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "--%s takes no value", spec->name);
    if (optopt == 'h') return error_set(err, HEARTH_ERROR_ARGUMENT, "--help takes no value");
    if (optopt && isprint(optopt))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "unknown option -%c; --help lists all",
                         optopt);
    if (optopt) return error_set(err, HEARTH_ERROR_ARGUMENT, "unknown option; --help lists all");
    return unknown_option(names, word, err);
}

static hearth_status take_environment(const struct option_table *table, hearth_error *err) {
    for (size_t i = 0; i < table->n_specs; i++) {
        const struct option_spec *spec = &table->specs[i];
        const char *value = spec->environment ? getenv(spec->environment) : NULL;
        if (!value || !*value) continue;
        hearth_status status = option_set(spec, spec->environment, value, err);
        if (status != HEARTH_OK) return status;
    }
    return HEARTH_OK;
}

/* "-np" becomes "--np" where the table says that one dash will do. */
static void expand_dashed(struct names *names, int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '-') continue;
        for (size_t j = 0; j < names->n_longs; j++)
            if (names->dashed[j] && strcmp(argv[i] + 1, names->longs[j].name) == 0) {
                argv[i] = names->written[j];
                break;
            }
    }
}

static hearth_status check_count(const struct option_table *table, size_t count,
                                 hearth_error *err) {
    bool unlimited = table->arguments && table->max_arguments == 0;
    if (count < table->min_arguments)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "%s is missing; usage: %s [OPTION...] %s",
                         count + 1 == table->min_arguments ? "an argument"
                                                           : "more than one argument",
                         table->command, table->arguments ? table->arguments : "");
    if (count > table->max_arguments && !unlimited)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "takes at most %zu argument%s, found %zu; quote text that has spaces",
                         table->max_arguments, table->max_arguments == 1 ? "" : "s", count);
    return HEARTH_OK;
}

static hearth_status take_options(const struct option_table *table, const struct names *names,
                                  int argc, char **argv, struct option_arguments *arguments,
                                  hearth_error *err) {
    bool list_started[OPTIONS_MAX] = {false};
    char name[NAME_BYTES + 3];
    int found;
    opterr = 0;
    optind = 0; /* glibc: start over */
    while ((found = getopt_long(argc, argv, names->letters, names->longs, NULL)) != -1) {
        const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
        if (found == 'h' && !find_letter(table, 'h')) {
            arguments->wants_help = true;
            return HEARTH_OK;
        }
        const struct option_spec *spec =
            found == '?' || found == ':' ? NULL : spec_of(table, found);
        if (!spec) return bad_option(table, names, word, found, err);
        if (spec->type == OPTION_FLAG) {
            *spec->flag = !spec->clears;
            if (spec->given) *spec->given = true;
            continue;
        }
        size_t index = (size_t)(spec - table->specs);
        if (spec->type == OPTION_LIST && !list_started[index]) spec->list->count = 0;
        list_started[index] = true;
        snprintf(name, sizeof name, found >= LETTER_BASE ? "--%s" : "-%.1s",
                 found >= LETTER_BASE ? spec->name : &spec->letter);
        RETURN_IF_ERROR(option_set(spec, name, optarg, err));
    }
    arguments->items = argv + optind;
    arguments->count = (size_t)(argc - optind);
    return HEARTH_OK;
}

hearth_status options_parse(const struct option_table *table, int argc, char **argv,
                            struct option_arguments *arguments, hearth_error *err) {
    static struct names names;
    *arguments = (struct option_arguments){0};
    collect_names(table, &names);
    expand_dashed(&names, argc, argv);
    hearth_status status = take_environment(table, err);
    if (status == HEARTH_OK) status = take_options(table, &names, argc, argv, arguments, err);
    if (status == HEARTH_OK && !arguments->wants_help)
        status = check_count(table, arguments->count, err);
    return status == HEARTH_OK ? status : error_prefix(err, status, "%s", table->command);
}

bool options_begin(const struct option_table *table, int argc, char **argv,
                   struct option_arguments *arguments, int *exit_code) {
    hearth_error err = {0};
    *exit_code = EXIT_OK;
    if (options_parse(table, argc, argv, arguments, &err) != HEARTH_OK) {
        fprintf(stderr, "%s\n", err.message);
        *exit_code = EXIT_USAGE;
        return false;
    }
    if (arguments->wants_help) options_help(table, stdout);
    return !arguments->wants_help;
}
