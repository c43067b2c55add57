/* The commands that write models, called as main calls them. */
#include "format/scratch.h"

#include <fcntl.h>

#include "cli/command.h"
#include "cli/options.h"
#include "format/imatrix.h"

enum { MAX_WORDS = 16 };

/* Runs a command with standard output and error in files of the scratch folder. */
static int run(int (*command)(int, char **), const char *line) {
    static char words[2048];
    char *argv[MAX_WORDS], *rest = words;
    int argc = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *word; argc + 1 < MAX_WORDS && (word = strsep(&rest, " ")) != NULL;)
        argv[argc++] = word;
    argv[argc] = NULL;
    fflush(NULL);
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    int file = open(scratch("said"), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
    assert_true(out >= 0 && err >= 0 && file >= 0);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    int code = command(argc, argv);
    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(file);
    close(out);
    close(err);
    return code;
}

static void assert_said(const char *part) {
    char *text;
    size_t size;
    assert_int_equal(file_read(scratch("said"), 1 << 20, &text, &size, NULL), HEARTH_OK);
    assert_contains(text, part);
    mem_free(text);
}

#define LINE(...) (snprintf(line, sizeof line, __VA_ARGS__), line)

static void blocks_are_the_reference_bits(void **state) {
    static const char *const types[] = {"q4_0", "q4_1",  "q5_0", "q5_1",
                                        "q8_0", "mxfp4", "bf16", "f16"};
    char line[1024], name[64], *made, *reference;
    size_t n_made, n_reference;
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        snprintf(name, sizeof name, "quants/%s.blocks", types[i]);
        assert_int_equal(
            run(cmd_quantize, LINE("quantize --blocks --type %s %s %s --cols 512", types[i],
                                   testdata("quants/source.f32"), scratch("made"))),
            EXIT_OK);
        assert_int_equal(file_read(scratch("made"), 1 << 20, &made, &n_made, NULL), HEARTH_OK);
        assert_int_equal(file_read(testdata(name), 1 << 20, &reference, &n_reference, NULL),
                         HEARTH_OK);
        assert_int_equal(n_made, n_reference);
        if (memcmp(made, reference, n_made) != 0) fail_msg("%s differs", types[i]);
        mem_free(made);
        mem_free(reference);
    }
}

static void blocks_refuse_bad_input(void **state) {
    char line[1024];
    (void)state;
    scratch_put_text("odd", "12345");
    assert_int_equal(run(cmd_quantize, LINE("quantize --blocks --type q4_0 %s %s --cols 32",
                                            scratch("odd"), scratch("out"))),
                     EXIT_FAILED);
    assert_said("128");
    assert_int_equal(run(cmd_quantize, LINE("quantize --blocks --type q4_K %s %s --cols 32",
                                            scratch("odd"), scratch("out"))),
                     EXIT_FAILED);
    assert_said("256");
    assert_int_equal(run(cmd_quantize, LINE("quantize --blocks --type q4_9 %s %s --cols 32",
                                            scratch("odd"), scratch("out"))),
                     EXIT_FAILED);
    assert_said("did you mean");
    assert_int_equal(
        run(cmd_quantize, LINE("quantize --blocks --type q4_0 %s %s", scratch("odd"), "x")),
        EXIT_USAGE);
    assert_false(file_exists(scratch("out")));
}

static void a_model_goes_all_the_way(void **state) {
    char line[1024], text[4096];
    struct imatrix matrix;
    struct directory dir;
    hearth_error err = {0};
    struct text dataset;
    (void)state;
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = "the fire in the hearth "[i % 23];
    text[sizeof text - 1] = 0;
    scratch_put_text("text", text);
    assert_int_equal(run(cmd_synth, LINE("synth --shape qwen3-30b-a3b --tiny --type bf16 -o %s",
                                         scratch("in.gguf"))),
                     EXIT_OK);
    assert_int_equal(run(cmd_imatrix, LINE("imatrix -m %s -f %s -o %s --ctx 64 --chunks 4 -t 2",
                                           scratch("in.gguf"), scratch("text"), scratch("i.gguf"))),
                     EXIT_OK);
    assert_ok(imatrix_open(&matrix, scratch("i.gguf"), &err), &err);
    assert_int_equal(matrix.n_chunks, 4);
    assert_non_null(imatrix_find(&matrix, "blk.7.ffn_down_exps.weight"));
    imatrix_close(&matrix);
    assert_int_equal(run(cmd_quantize, LINE("quantize --dry-run %s Q4_K_M", scratch("in.gguf"))),
                     EXIT_OK);
    assert_said("nothing written");
    assert_int_equal(
        run(cmd_quantize,
            LINE("quantize --imatrix %s %s %s IQ3_XXS --tensor-type ffn_down=q8_0 --json",
                 scratch("i.gguf"), scratch("in.gguf"), scratch("out.gguf"))),
        EXIT_OK);
    assert_said("\"recipe\": \"IQ3_XXS\"");
    assert_ok(gguf_open(&dir, scratch("out.gguf"), &err), &err);
    assert_int_equal(directory_find(&dir, "blk.0.ffn_down_exps.weight")->type, ELEM_Q8_0);
    assert_int_equal(directory_find(&dir, "blk.0.attn_v.weight")->type, ELEM_Q8_0);
    assert_true(metadata_string(&dir.metadata, "quantize.imatrix.file", &dataset));
    directory_close(&dir);
}

static void mistakes_are_explained(void **state) {
    char line[1024];
    (void)state;
    assert_int_equal(run(cmd_quantize, LINE("quantize a b q4_kk_m")), EXIT_FAILED);
    assert_said("did you mean 'Q4_K_M'");
    assert_int_equal(run(cmd_quantize, LINE("quantize a")), EXIT_USAGE);
    assert_said("TYPE is needed");
    assert_int_equal(run(cmd_quantize, LINE("quantize a q4_0")), EXIT_USAGE);
    assert_said("OUT");
    assert_int_equal(run(cmd_quantize, LINE("quantize %s b q4_0", scratch("none.gguf"))),
                     EXIT_FAILED);
    assert_said("none.gguf");
    assert_int_equal(run(cmd_quantize, LINE("quantize a b q4_0 --tensor-type ffn")), EXIT_FAILED);
    assert_said("NAME=TYPE");
    assert_int_equal(run(cmd_synth, LINE("synth --shape qwen3-0.6c -o x")), EXIT_FAILED);
    assert_said("did you mean 'qwen3-0.6b'");
    assert_int_equal(run(cmd_synth, LINE("synth --list")), EXIT_OK);
    assert_said("gpt-oss-20b");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_the_reference_bits),
        cmocka_unit_test(blocks_refuse_bad_input),
        cmocka_unit_test(a_model_goes_all_the_way),
        cmocka_unit_test(mistakes_are_explained),
    };
    return cmocka_run_group_tests_name("cli/write_commands", tests, scratch_open, scratch_close);
}
