/* hearth bench: how fast a model runs here, beside what the machine can do at most. */
#include "cli/bench_report.h"
#include "cli/command.h"

enum bench_output { OUTPUT_MARKDOWN, OUTPUT_JSON, OUTPUT_CSV };
enum { OWN_SPECS = 11 };

struct bench_options {
    struct engine_settings engine;
    struct bench_lists lists;
    int64_t repetitions;
    int output;
    bool json;
};

static size_t bench_specs(struct bench_options *o, struct option_spec *specs) {
    const struct option_spec own[OWN_SPECS] = {
        {.type = OPTION_HEADING, .help = "Measure"},
        {.name = "n-prompt",
         .letter = 'p',
         .argument = "LIST",
         .help = "pp: lengths of prompts (default: 512; 0: none)",
         .type = OPTION_STRING,
         .string = &o->lists.prompts},
        {.name = "n-gen",
         .letter = 'n',
         .argument = "LIST",
         .help = "tg: tokens generated one by one (default: 128; 0: none)",
         .type = OPTION_STRING,
         .string = &o->lists.generations},
        {.name = "mixed",
         .aliases = "-pg",
         .argument = "P,N",
         .help = "pp+tg, also -pg: a prompt of P tokens and N generated ones; may be repeated",
         .type = OPTION_LIST,
         .list = &o->lists.mixed},
        {.name = "depth",
         .letter = 'd',
         .aliases = "n-depth",
         .argument = "LIST",
         .help = "@d: tokens that are there before each of these tests (default: 0)",
         .type = OPTION_STRING,
         .string = &o->lists.depths},
        {.name = "sequences",
         .aliases = "-npl",
         .argument = "LIST",
         .help = "tg x: so many sequences generate together (default: 1)",
         .type = OPTION_STRING,
         .string = &o->lists.sequences},
        {.name = "ttft",
         .argument = "LIST",
         .help = "seconds from prompts of these lengths to the first token, :N of each being "
                 "known before (default without -p and -n: 512,512:500)",
         .type = OPTION_STRING,
         .string = &o->lists.first_tokens},
        {.name = "tests",
         .argument = "LIST",
         .help = "tests by the names of the rows, instead: pp512,tg64x8,tg64@d8192",
         .type = OPTION_STRING,
         .string = &o->lists.names},
        {.name = "repetitions",
         .letter = 'r',
         .argument = "N",
         .help = "times each test is run (default: 5)",
         .type = OPTION_INT,
         .least = 1,
         .most = BENCH_MAX_REPETITIONS,
         .integer = &o->repetitions},
        {.name = "output",
         .letter = 'o',
         .argument = "FORMAT",
         .help = "md, json or csv (default: md)",
         .type = OPTION_CHOICE,
         .choices = "md|json|csv",
         .choice = &o->output},
        {.name = "json", .help = "the same as -o json", .type = OPTION_FLAG, .flag = &o->json},
    };
    size_t n = engine_specs(&o->engine, specs);
    for (size_t i = 0; i < OWN_SPECS; i++)
        specs[n++] = own[i];
    return n;
}

static void apply_defaults(struct bench_lists *lists) {
    bool chosen = lists->prompts || lists->generations || lists->names;
    if (!chosen && !lists->first_tokens) lists->first_tokens = "512,512:500";
    if (!lists->prompts && !lists->names) lists->prompts = "512";
    if (!lists->generations && !lists->names) lists->generations = "128";
    if (!lists->depths) lists->depths = "0";
    if (!lists->sequences) lists->sequences = "1";
}

static hearth_status bench_run(const struct bench_options *o, const struct bench_tests *tests,
                               hearth_error *err) {
    static void (*const print[])(const struct bench_result *) = {[OUTPUT_MARKDOWN] =
                                                                     bench_print_table,
                                                                 [OUTPUT_JSON] = bench_print_json,
                                                                 [OUTPUT_CSV] = bench_print_csv};
    struct bench_settings settings = {
        .engine = &o->engine, .tests = tests, .repetitions = (unsigned)o->repetitions};
    struct bench_result result;
    RETURN_IF_ERROR(bench_measure(&result, &settings, err));
    print[o->json ? OUTPUT_JSON : o->output](&result);
    bench_result_release(&result);
    return HEARTH_OK;
}

int cmd_bench(int argc, char **argv) {
    struct bench_options o = {.repetitions = 5};
    struct option_spec specs[ENGINE_SPECS + OWN_SPECS];
    const struct option_table table = {
        .command = "hearth bench",
        .summary =
            "Measures how fast a model runs: prompts (pp), generation (tg), both, from several\n"
            "sequences together, behind a long context, to the first token (ttft), from opening\n"
            "the file to the first token (load). The median counts. GB/s are the weights and the\n"
            "cache that a test cannot do without; 'of limit' compares with what this machine\n"
            "reads, or multiplies, at most, measured in between with as many threads. Several\n"
            "sequences, and a long context, are set beside one empty sequence that takes its\n"
            "steps in turn with theirs.",
        .examples = "hearth bench -m model.gguf\n"
                    "hearth bench -m model.gguf -p 128,512 -n 64 -t 2 -r 3 --json\n"
                    "hearth bench -m model.gguf -p 0 -n 64 --sequences 1,8,16\n"
                    "hearth bench -m model.gguf -p 0 -n 64 -d 0,8192",
        .specs = specs,
        .n_specs = bench_specs(&o, specs)};
    static struct bench_tests tests;
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    apply_defaults(&o.lists);
    if (bench_tests_make(&tests, &o.lists, &err) != HEARTH_OK) {
        fprintf(stderr, "hearth bench: %s\n", err.message);
        return EXIT_USAGE;
    }
    return bench_run(&o, &tests, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
