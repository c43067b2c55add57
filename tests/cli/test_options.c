#include "testdata.h"

#include <string.h>

#include "base/mem.h"
#include "cli/options.h"

static struct values {
    bool json, map, temp_given;
    const char *file;
    struct option_list stops;
    int64_t predict, seed;
    double temp;
    uint64_t memory;
    int cache;
} v;

static const struct option_spec specs[] = {
    {.type = OPTION_HEADING, .help = "sampling"},
    {.name = "temp",
     .aliases = "temperature",
     .argument = "N",
     .help = "randomness",
     .type = OPTION_FLOAT,
     .number = &v.temp,
     .most = 100,
     .given = &v.temp_given},
    {.name = "predict",
     .letter = 'n',
     .aliases = "n-predict max-tokens -np",
     .argument = "N",
     .help = "tokens to generate at most; -1 for no bound, which ends only where the model ends",
     .type = OPTION_INT,
     .integer = &v.predict,
     .least = -1,
     .most = 1000000},
    {.name = "seed", .argument = "N", .help = "seed", .type = OPTION_INT, .integer = &v.seed},
    {.type = OPTION_HEADING, .help = "general"},
    {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &v.json},
    {.name = "no-mmap",
     .help = "read the model instead of mapping it",
     .environment = "HEARTH_TEST_NO_MMAP",
     .type = OPTION_FLAG,
     .flag = &v.map,
     .clears = true},
    {.name = "file",
     .letter = 'f',
     .argument = "FILE",
     .help = "prompt from a file",
     .environment = "HEARTH_TEST_FILE",
     .type = OPTION_STRING,
     .string = &v.file},
    {.name = "stop",
     .argument = "TEXT",
     .help = "stop before TEXT",
     .environment = "HEARTH_TEST_STOP",
     .type = OPTION_LIST,
     .list = &v.stops},
    {.name = "memory",
     .argument = "SIZE",
     .help = "budget",
     .environment = "HEARTH_TEST_MEMORY",
     .type = OPTION_BYTES,
     .bytes = &v.memory,
     .least = 1048576,
     .most = 1099511627776},
    {.name = "cache-type",
     .help = "cache",
     .choices = "auto|f16|q8_0",
     .type = OPTION_CHOICE,
     .choice = &v.cache},
};
static const struct option_table table = {.command = "hearth run",
                                          .arguments = "MODEL [PROMPT]",
                                          .summary = "Chat with MODEL.",
                                          .examples = "  hearth run llama",
                                          .specs = specs,
                                          .n_specs = sizeof specs / sizeof specs[0],
                                          .min_arguments = 1,
                                          .max_arguments = 2};

static struct option_arguments arguments;
static hearth_error err;

/* Splits at spaces and parses with fresh values. */
static hearth_status parse(const char *line) {
    static char copy[1024], *argv[256];
    char *rest;
    int argc = 0;
    snprintf(copy, sizeof copy, "run %s", line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    argv[argc] = NULL;
    v = (struct values){.temp = 0.8, .map = true};
    err = (hearth_error){0};
    return options_parse(&table, argc, argv, &arguments, &err);
}

static void assert_parses(const char *line) {
    if (parse(line) != HEARTH_OK) fail_msg("%s: %s", line, err.message);
}

static void assert_refused(const char *line, const char *message) {
    assert_int_not_equal(parse(line), HEARTH_OK);
    assert_string_equal(err.message, message);
}

static void every_type_is_read(void **state) {
    (void)state;
    assert_parses("model --temp 0.5 --predict=12 --json --no-mmap --file a.txt --memory 1.5GiB "
                  "--cache-type Q8_0 --stop a --stop b prompt");
    assert_true(v.temp == 0.5 && v.temp_given);
    assert_int_equal(v.predict, 12);
    assert_true(v.json);
    assert_false(v.map);
    assert_string_equal(v.file, "a.txt");
    assert_int_equal(v.memory, 1610612736);
    assert_int_equal(v.cache, 2);
    assert_int_equal(v.stops.count, 2);
    assert_string_equal(v.stops.items[1], "b");
    assert_int_equal(arguments.count, 2);
    assert_string_equal(arguments.items[0], "model");
    assert_string_equal(arguments.items[1], "prompt");
}

static void absent_options_leave_defaults(void **state) {
    (void)state;
    assert_parses("model");
    assert_true(v.temp == 0.8 && !v.temp_given && v.map && !v.json);
    assert_null(v.file);
}

static void short_names_and_aliases_work(void **state) {
    (void)state;
    const char *const ways[] = {"m -n 5",           "m -n5",   "m --n-predict 5",
                                "m --max-tokens=5", "-np 5 m", "--pred 5 m"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        assert_parses(ways[i]);
        assert_int_equal(v.predict, 5);
        assert_int_equal(arguments.count, 1);
        assert_string_equal(arguments.items[0], "m");
    }
    assert_parses("m --temperature 0 --predict -1 --seed -9223372036854775808");
    assert_true(v.temp == 0 && v.predict == -1 && v.seed == INT64_MIN);
}

static void two_dashes_end_the_options(void **state) {
    (void)state;
    assert_parses("m -- --json");
    assert_false(v.json);
    assert_string_equal(arguments.items[1], "--json");
    assert_parses("m -- -np");
    assert_string_equal(arguments.items[1], "-np");
}

static void wrong_values_are_explained(void **state) {
    (void)state;
    assert_refused("m --temp abc", "hearth run: --temp needs a number from 0 to 100, found 'abc'");
    assert_refused("m --temp 100.5",
                   "hearth run: --temp needs a number from 0 to 100, found '100.5'");
    assert_refused("m --temp nan", "hearth run: --temp needs a number from 0 to 100, found 'nan'");
    assert_refused("m --temp 1x", "hearth run: --temp needs a number from 0 to 100, found '1x'");
    assert_refused("m -n 1.5",
                   "hearth run: -n needs a whole number from -1 to 1000000, found '1.5'");
    assert_refused("m --n-predict 1000001",
                   "hearth run: --predict needs a whole number from -1 to 1000000, found "
                   "'1000001'");
    assert_refused("m --seed 99999999999999999999",
                   "hearth run: --seed needs a whole number, found '99999999999999999999'");
    assert_refused("m --memory 12",
                   "hearth run: --memory needs a size from 1.0 MiB to 1.0 TiB, found '12'");
    assert_refused("m --cache-type q4",
                   "hearth run: --cache-type needs one of auto, f16, q8_0, found 'q4'");
    assert_refused("m --temp",
                   "hearth run: --temp needs a number from 0 to 100, but none was given");
    assert_refused("m -n",
                   "hearth run: -n needs a whole number from -1 to 1000000, but none was given");
    assert_refused("m --json=1", "hearth run: --json takes no value");
}

static void unknown_options_name_the_nearest(void **state) {
    (void)state;
    assert_refused("m --tmep 1", "hearth run: unknown option --tmep; did you mean --temp?");
    assert_refused("m --zebra", "hearth run: unknown option --zebra; --help lists all");
    assert_refused("m --m 1", "hearth run: --m could be --max-tokens or --memory; write it out");
    assert_refused("m -x", "hearth run: unknown option -x; --help lists all");
    assert_refused("m --zebra=1", "hearth run: unknown option --zebra; --help lists all");
}

static void arguments_are_counted(void **state) {
    (void)state;
    assert_refused("", "hearth run: an argument is missing; usage: hearth run [OPTION...] "
                       "MODEL [PROMPT]");
    assert_refused("a b c", "hearth run: takes at most 2 arguments, found 3; quote text that has "
                            "spaces");
}

static void the_environment_gives_defaults(void **state) {
    (void)state;
    setenv("HEARTH_TEST_FILE", "from-env", 1);
    setenv("HEARTH_TEST_NO_MMAP", "yes", 1);
    setenv("HEARTH_TEST_STOP", "env", 1);
    assert_parses("m");
    assert_string_equal(v.file, "from-env");
    assert_false(v.map);
    assert_int_equal(v.stops.count, 1);
    assert_parses("m -f given --stop x");
    assert_string_equal(v.file, "given");
    assert_int_equal(v.stops.count, 1);
    assert_string_equal(v.stops.items[0], "x");
    setenv("HEARTH_TEST_NO_MMAP", "0", 1);
    assert_parses("m");
    assert_true(v.map);
    setenv("HEARTH_TEST_NO_MMAP", "perhaps", 1);
    assert_refused("m", "hearth run: HEARTH_TEST_NO_MMAP needs on or off, found 'perhaps'");
    unsetenv("HEARTH_TEST_NO_MMAP");
    setenv("HEARTH_TEST_MEMORY", "lots", 1);
    assert_refused("m", "hearth run: HEARTH_TEST_MEMORY needs a size from 1.0 MiB to 1.0 TiB, "
                        "found 'lots'");
    unsetenv("HEARTH_TEST_MEMORY");
    unsetenv("HEARTH_TEST_FILE");
    unsetenv("HEARTH_TEST_STOP");
}

static void lists_have_an_end(void **state) {
    (void)state;
    char line[1024] = "m";
    for (size_t i = 0, at = 1; i <= OPTION_LIST_MAX; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, " --stop x");
    assert_refused(line, "hearth run: --stop may be given at most 64 times");
}

static void help_is_asked_for_and_aligned(void **state) {
    (void)state;
    char *text = NULL;
    size_t size;
    assert_parses("--help");
    assert_true(arguments.wants_help);
    assert_parses("a b c -h");
    assert_true(arguments.wants_help);
    FILE *stream = open_memstream(&text, &size);
    options_help(&table, stream);
    fclose(stream);
    const char *expected =
        "usage: hearth run [OPTION...] MODEL [PROMPT]\n"
        "\n"
        "Chat with MODEL.\n"
        "\n"
        "sampling:\n"
        "      --temp N       randomness\n"
        "  -n, --predict N    tokens to generate at most; -1 for no bound, which ends\n"
        "                     only where the model ends\n"
        "      --seed N       seed\n"
        "\n"
        "general:\n"
        "      --json         print JSON\n"
        "      --no-mmap      read the model instead of mapping it [HEARTH_TEST_NO_MMAP]\n"
        "  -f, --file FILE    prompt from a file [HEARTH_TEST_FILE]\n"
        "      --stop TEXT    stop before TEXT [HEARTH_TEST_STOP]\n"
        "      --memory SIZE  budget [HEARTH_TEST_MEMORY]\n"
        "      --cache-type auto|f16|q8_0\n"
        "                     cache\n"
        "\n"
        "  -h, --help         print this and leave\n"
        "\n"
        "examples:\n"
        "  hearth run llama\n";
    assert_string_equal(text, expected);
    free(text);
}

static void begin_turns_results_into_exit_codes(void **state) {
    (void)state;
    char *good[] = {(char[]){"run"}, (char[]){"m"}, NULL};
    char *bad[] = {(char[]){"run"}, (char[]){"--bad"}, NULL};
    int code = 7;
    assert_true(options_begin(&table, 2, good, &arguments, &code));
    assert_int_equal(code, EXIT_OK);
    assert_false(options_begin(&table, 2, bad, &arguments, &code));
    assert_int_equal(code, EXIT_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(absent_options_leave_defaults),
        cmocka_unit_test(short_names_and_aliases_work),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(wrong_values_are_explained),
        cmocka_unit_test(unknown_options_name_the_nearest),
        cmocka_unit_test(arguments_are_counted),
        cmocka_unit_test(the_environment_gives_defaults),
        cmocka_unit_test(lists_have_an_end),
        cmocka_unit_test(help_is_asked_for_and_aligned),
        cmocka_unit_test(begin_turns_results_into_exit_codes),
    };
    return cmocka_run_group_tests_name("cli/options", tests, NULL, NULL);
}
