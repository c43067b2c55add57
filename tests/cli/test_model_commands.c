/* pull, list, cp, rm from end to end, each in a process of its own. */
#include "hub_scene.h"

#include <jansson.h>
#include <signal.h>
#include <sys/wait.h>

#include "cli/command.h"
#include "hub_server.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

enum { SIZE = 1 << 20 };

static uint8_t content[SIZE];
static struct hub_server_file files[] = {
    {.name = "tiny-Q4_K_M.gguf", .data = content, .size = SIZE, .is_large = true},
    {.name = "tiny-Q8_0.gguf", .data = content + 1, .size = SIZE / 2, .is_large = true},
};
static struct hub_server *server;
static char *out, *err;

static int begin(void **state) {
    (void)state;
    char endpoint[64];
    scene_set_up();
    server = hub_server_start("acme/tiny", COMMIT, "", files, 2);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", hub_server_port(server));
    setenv("HF_ENDPOINT", endpoint, 1);
    return 0;
}

static int end(void **state) {
    (void)state;
    mem_free(out);
    mem_free(err);
    out = err = NULL;
    hub_server_stop(server);
    scene_tear_down();
    return 0;
}

static pid_t start(int (*command)(int, char **), char **args) {
    skip_if_forks_are_not_followed();
    pid_t child = fork();
    if (child != 0) return child;
    int argc = 0;
    while (args[argc])
        argc++;
    if (!freopen(scene_path("out"), "w", stdout) || !freopen(scene_path("err"), "w", stderr))
        _exit(99);
    int code = command(argc, args);
    fflush(stdout);
    fflush(stderr);
    _exit(code);
}

static int finish(pid_t child) {
    int how;
    size_t size;
    mem_free(out);
    mem_free(err);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(file_read(scene_path("out"), 1 << 20, &out, &size, NULL), HEARTH_OK);
    assert_int_equal(file_read(scene_path("err"), 1 << 20, &err, &size, NULL), HEARTH_OK);
    return WEXITSTATUS(how);
}

#define RUN(command, ...) finish(start(command, (char *[]){__VA_ARGS__, NULL}))

static void a_model_comes_is_named_and_goes(void **state) {
    (void)state;
    assert_int_equal(RUN(cmd_list, "list"), 0);
    assert_non_null(strstr(err, "hearth pull"));
    assert_int_equal(RUN(cmd_pull, "pull", "acme/tiny", "acme/tiny:Q8_0"), 0);
    assert_string_equal(err, "");
    assert_non_null(strstr(out, "/snapshots/" COMMIT "/tiny-Q4_K_M.gguf\n"));
    assert_non_null(strstr(out, "/snapshots/" COMMIT "/tiny-Q8_0.gguf\n"));
    assert_int_equal(RUN(cmd_cp, "cp", "acme/tiny:Q4_K_M", "mine"), 0);
    assert_string_equal(out, "mine now means acme/tiny:Q4_K_M\n");
    assert_int_equal(RUN(cmd_list, "list"), 0);
    assert_memory_equal(out, "NAME ", 5);
    assert_non_null(strstr(out, "\nacme/tiny:Q4_K_M  Q4_K_M          1.0 MiB  just now"));
    assert_non_null(strstr(out, "\nmine "));
    assert_int_equal(RUN(cmd_rm, "rm", "acme/tiny"), 1);
    assert_non_null(strstr(err, "hearth: 'acme/tiny' holds 2 models"));
    assert_int_equal(RUN(cmd_rm, "rm", "mine", "acme/tiny:q8_0"), 0);
    assert_string_equal(out,
                        "removed mine (0 B freed)\nremoved acme/tiny:q8_0 (512.0 KiB freed)\n");
    assert_int_equal(RUN(cmd_rm, "rm", "--all", "acme/tiny"), 0);
    assert_int_equal(RUN(cmd_rm, "rm", "acme/tiny"), 1);
    assert_non_null(strstr(err, "not on this machine"));
}

static void the_list_is_json_for_machines(void **state) {
    (void)state;
    assert_int_equal(RUN(cmd_list, "list", "--json"), 0);
    assert_string_equal(out, "[]\n");
    assert_int_equal(RUN(cmd_pull, "pull", "-q", "acme/tiny"), 0);
    assert_int_equal(RUN(cmd_list, "list", "--json"), 0);
    json_t *list = json_loads(out, 0, NULL), *model = json_array_get(list, 0);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(model, "name")), "acme/tiny:Q4_K_M");
    assert_string_equal(json_string_value(json_object_get(model, "quant")), "Q4_K_M");
    assert_string_equal(json_string_value(json_object_get(model, "source")), "cache");
    assert_int_equal(json_integer_value(json_object_get(model, "size")), SIZE);
    assert_true(file_exists(json_string_value(json_object_get(model, "path"))));
    assert_int_equal(strlen(json_string_value(json_object_get(model, "modified"))), 20);
    json_decref(list);
}

static void wrong_use_is_told(void **state) {
    (void)state;
    assert_int_equal(RUN(cmd_pull, "pull"), 2);
    assert_non_null(strstr(err, "hearth pull: an argument is missing"));
    assert_int_equal(RUN(cmd_pull, "pull", "--nonsense", "x"), 2);
    assert_non_null(strstr(err, "--nonsense"));
    assert_int_equal(RUN(cmd_pull, "pull", "x", "-j"), 2);
    assert_int_equal(RUN(cmd_pull, "pull", "-j0", "x"), 2);
    assert_int_equal(RUN(cmd_list, "list", "x"), 2);
    assert_int_equal(RUN(cmd_list, "list", "-x"), 2);
    assert_non_null(strstr(err, "-x"));
    assert_int_equal(RUN(cmd_rm, "rm"), 2);
    assert_int_equal(RUN(cmd_cp, "cp", "a"), 2);
    assert_string_equal(out, "");
}

static void every_command_has_help(void **state) {
    (void)state;
    static int (*const commands[])(int, char **) = {cmd_pull, cmd_list, cmd_rm, cmd_cp};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        assert_int_equal(RUN(commands[i], "x", "--help"), 0);
        assert_memory_equal(out, "usage: hearth ", 14);
        assert_string_equal(err, "");
    }
}

static void failures_are_told(void **state) {
    (void)state;
    assert_int_equal(RUN(cmd_pull, "pull", "acme/nothing", "acme/tiny:Q8_0"), 1);
    assert_memory_equal(err, "hearth: ", 8);
    assert_non_null(strstr(err, "acme/nothing"));
    assert_non_null(strstr(out, "tiny-Q8_0.gguf")); /* the other one came all the same */
    assert_int_equal(RUN(cmd_cp, "cp", "nonsense", "x"), 1);
    assert_non_null(strstr(err, "hearth: no model 'nonsense'"));
}

static void an_interrupt_stops_and_says_how_to_go_on(void **state) {
    (void)state;
    atomic_store(&hub_server_faults(server)->delay_us, 20000);
    pid_t child = start(cmd_pull, (char *[]){"pull", "acme/tiny", NULL});
    for (int i = 0; i < 1000 && atomic_load(&hub_server_counts(server)->body_bytes) < 100000; i++)
        usleep(5000);
    kill(child, SIGINT);
    assert_int_equal(finish(child), 1);
    assert_string_equal(err, "hearth: stopped; 'hearth pull acme/tiny' goes on from here\n");
    atomic_store(&hub_server_faults(server)->delay_us, 0);
    assert_int_equal(RUN(cmd_pull, "pull", "acme/tiny"), 0);
}

#define COMMAND_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 31 + i / 256);
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(a_model_comes_is_named_and_goes),
        COMMAND_TEST(the_list_is_json_for_machines),
        COMMAND_TEST(wrong_use_is_told),
        COMMAND_TEST(every_command_has_help),
        COMMAND_TEST(failures_are_told),
        COMMAND_TEST(an_interrupt_stops_and_says_how_to_go_on),
    };
    return cmocka_run_group_tests_name("cli/model_commands", tests, NULL, NULL);
}
