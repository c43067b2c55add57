/* Names, and what is on this machine: no network. */
#include "hub_scene.h"

#include "hub/hub_files.h"
#include "hub/hub_name.h"
#include "hub/short_names.h"

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct hub *hub;
static hearth_error err;

static void reopen(void) {
    hub_close(hub);
    assert_int_equal(hub_open(&hub, &err), HEARTH_OK);
}

static int begin(void **state) {
    (void)state;
    scene_set_up();
    hub = NULL;
    reopen();
    return 0;
}

static int end(void **state) {
    (void)state;
    hub_close(hub);
    scene_tear_down();
    return 0;
}

/* A snapshot's entry with its blob, as pull makes it. */
static void put_cached(const char *repo_folder, const char *commit, const char *file,
                       const char *etag, size_t size) {
    char name[512], target[256], *content = mem_calloc(size + 1, 1);
    snprintf(name, sizeof name, "hf/hub/%s/blobs/%s", repo_folder, etag);
    scene_write(name, content, size);
    snprintf(name, sizeof name, "hf/hub/%s/snapshots/%s/%s", repo_folder, commit, file);
    char *folder = path_folder(scene_path(name));
    assert_int_equal(file_make_folders(folder, NULL), HEARTH_OK);
    snprintf(target, sizeof target, "%s../../blobs/%s", strchr(file, '/') ? "../" : "", etag);
    assert_int_equal(symlink(target, scene_path(name)), 0);
    mem_free(folder);
    mem_free(content);
}

static void put_ref(const char *repo_folder, const char *commit) {
    char name[512];
    snprintf(name, sizeof name, "hf/hub/%s/refs/main", repo_folder);
    scene_write(name, commit, strlen(commit));
}

static void assert_resolves(const char *name, const char *relative) {
    char *path = NULL;
    if (hub_resolve(hub, name, &path, &err) != HEARTH_OK) fail_msg("%s", err.message);
    assert_string_equal(path, scene_path(relative));
    mem_free(path);
}

static void assert_unknown(const char *name, const char *words) {
    char *path = NULL;
    assert_int_equal(hub_resolve(hub, name, &path, &err), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(err.code, HEARTH_ERROR_NOT_FOUND);
    assert_null(path);
    assert_says(&err, words);
}

/* ---- names ------------------------------------------------------------- */

static void names_come_apart(void **state) {
    (void)state;
    static const struct {
        const char *text, *repo, *revision, *quant, *file;
    } cases[] = {
        {"org/repo", "org/repo", "", "", ""},
        {"org/repo:Q4_K_M", "org/repo", "", "Q4_K_M", ""},
        {"org/repo:latest", "org/repo", "", "", ""},
        {"org/repo@v1.0:q8_0", "org/repo", "v1.0", "q8_0", ""},
        {"org/repo@refs/pr/3", "org/repo", "refs/pr/3", "", ""},
        {"org/repo/a/b.gguf", "org/repo", "", "", "a/b.gguf"},
        {"hf.co/org/repo:Q4_0", "org/repo", "", "Q4_0", ""},
        {"hf://org/repo/f.gguf", "org/repo", "", "", "f.gguf"},
        {"https://huggingface.co/org/repo/", "org/repo", "", "", ""},
        {"HTTPS://HuggingFace.co/org/repo?x=1", "org/repo", "", "", ""},
        {"https://huggingface.co/org/repo/tree/refs%2Fpr%2F1", "org/repo", "refs/pr/1", "", ""},
        {"https://huggingface.co/org/repo/tree/main/sub", "org/repo", "main", "", ""},
        {"https://huggingface.co/o/r/resolve/main/a%20b.gguf?download=true", "o/r", "main", "",
         "a b.gguf"},
        {"https://mirror.example/base/o/r/blob/dev/x.gguf", "o/r", "dev", "", "x.gguf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hub_name name;
        if (hub_name_parse(cases[i].text, "https://mirror.example/base", &name, &err) != HEARTH_OK)
            fail_msg("%s", err.message);
        assert_string_equal(name.repo, cases[i].repo);
        assert_string_equal(name.revision, cases[i].revision);
        assert_string_equal(name.quant, cases[i].quant);
        assert_string_equal(name.file, cases[i].file);
    }
}

static void bad_names_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "repo",
        "/repo",
        "org/",
        "org/re po",
        "org/..",
        "../repo",
        "org/a--b",
        "o--x/r",
        "org/repo:",
        "org/repo:a/b",
        "org/repo@",
        "org/repo@../x",
        "org/repo/../x",
        "org//x",
        "https://other.example/org/repo",
        "org/repo/tree/..%2F..",
        "org/repo/blob/main/%2e%2e/x",
        "org/repo/x%00y%0a",
        "org/\xff",
        "org/.hidden",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct hub_name name;
        if (hub_name_parse(bad[i], "https://mirror.example", &name, &err) == HEARTH_OK)
            fail_msg("'%s' was accepted", bad[i]);
        assert_int_equal(err.code, HEARTH_ERROR_ARGUMENT);
    }
    char *longest = mem_calloc(5000, 1);
    struct hub_name name;
    memset(longest, 'a', 4999);
    longest[2] = '/';
    assert_int_equal(hub_name_parse(longest, NULL, &name, &err), HEARTH_ERROR_ARGUMENT);
    mem_free(longest);
}

static void quants_are_read_from_file_names(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"},
        {"qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M"},
        {"tinyllama-1.1b-chat-v1.0.Q5_0.gguf", "Q5_0"},
        {"UD-Q4_K_XL/Big-UD-Q4_K_XL-00001-of-00003.gguf", "UD-Q4_K_XL"},
        {"phi-2_Q4_0.gguf", "Q4_0"},
        {"gpt-oss-20b-mxfp4.gguf", "MXFP4"},
        {"model-IQ2_XXS.gguf", "IQ2_XXS"},
        {"model-TQ1_0.gguf", "TQ1_0"},
        {"gemma-3-1b-it-f16.gguf", "F16"},
        {"model.BF16.gguf", "BF16"},
        {"Q8_0.gguf", "Q8_0"},
        {"qwen3-4b.gguf", ""},
        {"Q4you.gguf", ""},
        {"a", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char quant[HUB_QUANT_BYTES];
        gguf_quant_of(cases[i][0], quant);
        assert_string_equal(quant, cases[i][1]);
    }
}

static const char *chosen_of(const char *const *names, size_t n, const char *quant) {
    static char chosen[256];
    struct hub_files files = {0};
    struct gguf_group *groups;
    const struct gguf_group *group;
    size_t count;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(hub_files_add(&files, names[i], 1, 0, NULL), HEARTH_OK);
    hub_files_sort(&files);
    assert_int_equal(gguf_groups(&files, &groups, &count, NULL), HEARTH_OK);
    bool ok = gguf_choose(groups, count, quant, "o/r", &group, &err) == HEARTH_OK;
    snprintf(chosen, sizeof chosen, "%s", ok ? group->name : "");
    mem_free(groups);
    hub_files_release(&files);
    return chosen;
}

#define CHOSEN(quant, ...)                                                                         \
    chosen_of((const char *const[]){__VA_ARGS__},                                                  \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), quant)

static void the_choice_is_predictable(void **state) {
    (void)state;
    assert_string_equal(CHOSEN("", "m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf"), "m-Q4_K_M.gguf");
    assert_string_equal(CHOSEN("", "m-F16.gguf", "m-Q8_0.gguf", "m-Q2_K.gguf"), "m-Q8_0.gguf");
    assert_string_equal(CHOSEN("", "strange.gguf", "mmproj-F16.gguf"), "strange.gguf");
    assert_string_equal(CHOSEN("q4_k_xl", "m-UD-Q4_K_XL.gguf", "m-Q4_K_M.gguf"),
                        "m-UD-Q4_K_XL.gguf");
    assert_string_equal(CHOSEN("Q4_K_M", "m-UD-Q4_K_M.gguf", "m-Q4_K_M.gguf"), "m-Q4_K_M.gguf");
    /* Q4_K does not mean Q4_K_M, and half a split model is none. */
    assert_string_equal(CHOSEN("Q4_K", "m-Q4_K_M.gguf", "m-Q4_0.gguf"), "");
    assert_says(&err, "'o/r' has Q4_0, Q4_K_M; say which, as in o/r:Q4_0");
    assert_string_equal(CHOSEN("", "m-Q4_0-00001-of-00002.gguf"), "");
    assert_string_equal(CHOSEN("Q4_0", "m-Q4_0-00002-of-00002.gguf", "m-Q4_0-00001-of-00002.gguf"),
                        "m-Q4_0-00001-of-00002.gguf");
    assert_string_equal(CHOSEN("", "a-Q4_K_M.gguf", "b-Q4_K_M.gguf"), "");
    assert_int_equal(err.code, HEARTH_ERROR_ARGUMENT);
    assert_says(&err, "several models fit; 'o/r' has a-Q4_K_M.gguf, b-Q4_K_M.gguf");
}

static void short_names_mean_repositories(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"llama3.2:1b", "bartowski/Llama-3.2-1B-Instruct-GGUF", ""},
        {"LLAMA3.2", "bartowski/Llama-3.2-3B-Instruct-GGUF", ""},
        {"qwen3:latest", "Qwen/Qwen3-8B-GGUF", ""},
        {"qwen3:4b-q8_0", "Qwen/Qwen3-4B-GGUF", "q8_0"},
        {"llama3.2:1b-instruct-q4_0", "bartowski/Llama-3.2-1B-Instruct-GGUF", "q4_0"},
        {"llama3.2:1b-instruct", "bartowski/Llama-3.2-1B-Instruct-GGUF", ""},
    };
    char quant[HUB_QUANT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct short_name *found = short_name_find(cases[i][0], quant, sizeof quant);
        assert_non_null(found);
        assert_string_equal(found->repo, cases[i][1]);
        assert_string_equal(quant, cases[i][2]);
    }
    assert_null(short_name_find("llama3.2:9b", quant, sizeof quant));
    assert_null(short_name_find("llama", quant, sizeof quant));
    for (size_t i = 0; i < n_short_names; i++) {
        struct hub_name name;
        assert_int_equal(hub_name_parse(short_names[i].repo, NULL, &name, &err), HEARTH_OK);
    }
}

/* ---- resolving --------------------------------------------------------- */

static void the_cache_is_resolved(void **state) {
    (void)state;
    put_cached("models--o--r", COMMIT_A, "m-Q4_K_M.gguf", "e1", 100);
    put_cached("models--o--r", COMMIT_A, "m-Q8_0.gguf", "e2", 200);
    put_cached("models--o--r", COMMIT_B, "m-Q4_K_M.gguf", "e3", 300);
    put_cached("models--o--r", COMMIT_B, "half-Q2_K-00001-of-00002.gguf", "e4", 1);
    put_ref("models--o--r", COMMIT_B);
    assert_resolves("o/r", "hf/hub/models--o--r/snapshots/" COMMIT_B "/m-Q4_K_M.gguf");
    assert_resolves("o/r:q8_0", "hf/hub/models--o--r/snapshots/" COMMIT_A "/m-Q8_0.gguf");
    assert_resolves("o/r@" COMMIT_A, "hf/hub/models--o--r/snapshots/" COMMIT_A "/m-Q4_K_M.gguf");
    assert_resolves("o/r/m-Q8_0.gguf", "hf/hub/models--o--r/snapshots/" COMMIT_A "/m-Q8_0.gguf");
    assert_unknown("o/r:Q2_K", "no 'Q2_K' model; 'o/r' has Q4_K_M");
    assert_unknown("o/r:Q2_K", "hearth pull o/r:Q2_K");
    assert_unknown("o/other", "'o/other' is not on this machine; fetch it with 'hearth pull");
    assert_unknown("llama3.2:1b", "hearth pull llama3.2:1b");
}

static void unknown_names_get_suggestions(void **state) {
    (void)state;
    put_cached("models--acme--marvel-GGUF", COMMIT_A, "marvel-Q4_K_M.gguf", "e1", 100);
    assert_unknown("marvel", "did you mean acme/marvel-GGUF:Q4_K_M");
    assert_unknown("qwen3:5b", "qwen3:4b");
    assert_unknown("zzzzzzzzzzzz", "no model 'zzzzzzzzzzzz'");
    assert_null(strstr(err.message, "did you mean"));
}

static void plain_folders_are_searched(void **state) {
    (void)state;
    char folders[512];
    scene_write("one/big-Q8_0.gguf", "x", 1);
    scene_write("one/sub/small-f16.gguf", "xy", 2);
    scene_write("two/hf-model/config.json", "{}", 2);
    scene_write("two/hf-model/model.safetensors", "abc", 3);
    scene_write("two/notes.txt", "x", 1);
    snprintf(folders, sizeof folders, "%s::%s:%s", scene_path("one"), scene_path("two"),
             scene_path("nowhere"));
    setenv("HEARTH_MODELS", folders, 1);
    reopen();
    assert_resolves("big-Q8_0", "one/big-Q8_0.gguf");
    assert_resolves("big-q8_0.gguf", "one/big-Q8_0.gguf");
    assert_resolves("small-f16", "one/sub/small-f16.gguf");
    assert_resolves("sub/small-f16", "one/sub/small-f16.gguf");
    assert_resolves("hf-model", "two/hf-model");
    struct hub_model *models;
    size_t count;
    assert_int_equal(hub_list(hub, &models, &count, &err), HEARTH_OK);
    assert_int_equal(count, 3);
    assert_string_equal(models[0].name, "big-Q8_0");
    assert_string_equal(models[0].quant, "Q8_0");
    assert_string_equal(models[1].name, "hf-model");
    assert_int_equal(models[1].size_bytes, 5);
    assert_int_equal(models[1].source, HUB_FOLDER);
    hub_models_free(models, count);
    assert_int_equal(hub_remove(hub, "big-Q8_0", false, NULL, &err), HEARTH_ERROR_ARGUMENT);
    assert_says(&err, "outside the model cache");
    assert_true(file_exists(scene_path("one/big-Q8_0.gguf")));
}

/* A user's own takes the place of the one beside the program, which tests do not have. */
static void made_models_have_a_folder(void **state) {
    char *path;
    uint64_t freed;
    (void)state;
    assert_int_equal(hub_own_path(hub, "mine-Q8_0", &path, &err), HEARTH_OK);
    assert_string_equal(path, scene_path("home/data/models/mine-Q8_0.gguf"));
    scene_write("home/data/models/mine-Q8_0.gguf", "xyz", 3);
    mem_free(path);
    assert_resolves("mine-Q8_0", "home/data/models/mine-Q8_0.gguf");
    assert_int_equal(hub_own_path(hub, "mine-Q8_0", &path, &err), HEARTH_ERROR_ARGUMENT);
    assert_says(&err, "already");
    static const char *const bad[] = {"", "..", "a/b", "-x", "/x", "a b", "a\\b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hub_own_path(hub, bad[i], &path, &err), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(hub_remove(hub, "mine-Q8_0", false, &freed, &err), HEARTH_OK);
    assert_int_equal(freed, 3);
    assert_false(file_exists(scene_path("home/data/models/mine-Q8_0.gguf")));
}

static void the_built_in_model_has_a_name(void **state) {
    (void)state;
    struct hub_model *models;
    size_t count;
    assert_unknown("ember", "make ember");
    assert_says(&err, "hearth pull");
    scene_write("home/data/ember.gguf", "weights", 7);
    assert_resolves("ember", "home/data/ember.gguf");
    assert_resolves("Ember", "home/data/ember.gguf");
    assert_int_equal(hub_list(hub, &models, &count, &err), HEARTH_OK);
    assert_int_equal(count, 1);
    assert_string_equal(models[0].name, "ember");
    assert_int_equal(models[0].source, HUB_BUILT_IN);
    assert_int_equal(models[0].size_bytes, 7);
    hub_models_free(models, count);
    assert_int_equal(hub_remove(hub, "ember", true, NULL, &err), HEARTH_ERROR_ARGUMENT);
    assert_true(file_exists(scene_path("home/data/ember.gguf")));
    assert_int_equal(hub_alias(hub, "mine", "ember", &err), HEARTH_OK);
    assert_resolves("mine", "home/data/ember.gguf");
}

static void paths_are_themselves(void **state) {
    (void)state;
    scene_write("x/m.gguf", "x", 1);
    scene_write("y/config.json", "x", 1);
    scene_write("y/model.safetensors", "x", 1);
    scene_write("z/a-Q8_0.gguf", "x", 1);
    scene_write("z/a-Q4_K_M.gguf", "x", 1);
    scene_write("w/notes.txt", "x", 1);
    assert_resolves(scene_path("x/m.gguf"), "x/m.gguf");
    assert_resolves(scene_path("y"), "y");
    assert_resolves(scene_path("z"), "z/a-Q4_K_M.gguf");
    assert_unknown(scene_path("w"), "holds neither a GGUF file nor config.json");
    assert_unknown(scene_path("x/none.gguf"), "no model");
    assert_unknown("./none.gguf", "no model './none.gguf'");
}

/* ---- listing and removing ---------------------------------------------- */

static void everything_is_listed_once(void **state) {
    (void)state;
    struct hub_model *models;
    size_t count;
    assert_int_equal(hub_list(hub, &models, &count, &err), HEARTH_OK);
    assert_int_equal(count, 0);
    hub_models_free(models, count);
    put_cached("models--o--r", COMMIT_A, "m-Q4_K_M.gguf", "e1", 100);
    put_cached("models--o--r", COMMIT_B, "m-Q4_K_M.gguf", "e2", 300);
    put_cached("models--o--r", COMMIT_B, "sub/b-F16-00001-of-00002.gguf", "e3", 5);
    put_cached("models--o--r", COMMIT_B, "sub/b-F16-00002-of-00002.gguf", "e4", 6);
    put_cached("models--o--r", COMMIT_B, "mmproj-F16.gguf", "e5", 6);
    put_ref("models--o--r", COMMIT_B);
    put_cached("models--a--folder", COMMIT_A, "config.json", "c1", 1);
    put_cached("models--a--folder", COMMIT_A, "model.safetensors", "c2", 8);
    put_cached("datasets--a--b", COMMIT_A, "m.gguf", "d", 8);
    put_cached("models--a--b--c", COMMIT_A, "m.gguf", "d", 8);
    put_cached("models--a--nothing", COMMIT_A, "pytorch_model.bin", "d", 8);
    assert_int_equal(hub_list(hub, &models, &count, &err), HEARTH_OK);
    assert_int_equal(count, 3);
    assert_string_equal(models[0].name, "a/folder");
    assert_int_equal(models[0].size_bytes, 9);
    assert_string_equal(models[1].name, "o/r:F16");
    assert_int_equal(models[1].size_bytes, 11);
    assert_string_equal(models[2].name, "o/r:Q4_K_M");
    assert_int_equal(models[2].size_bytes, 300);
    assert_true(models[2].modified > 0);
    hub_models_free(models, count);
}

#define BLOBS "hf/hub/models--o--r/blobs/"

static void removing_takes_only_unshared_blobs(void **state) {
    (void)state;
    uint64_t freed;
    put_cached("models--o--r", COMMIT_A, "m-Q4_K_M.gguf", "e1", 100);
    put_cached("models--o--r", COMMIT_A, "m-Q8_0.gguf", "e2", 200);
    put_cached("models--o--r", COMMIT_B, "m-Q8_0.gguf", "e2", 200);
    put_cached("models--o--r", COMMIT_B, "copy.bin", "e1", 100);
    put_ref("models--o--r", COMMIT_B);
    assert_int_equal(hub_remove(hub, "o/r", false, &freed, &err), HEARTH_ERROR_ARGUMENT);
    assert_says(&err, "holds 2 models: o/r:Q8_0, o/r:Q4_K_M; say which, or add --all");
    assert_int_equal(hub_remove(hub, "o/r:F16", false, &freed, &err), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(hub_remove(hub, "o/r:Q8_0", false, &freed, &err), HEARTH_OK);
    assert_int_equal(freed, 200);
    assert_false(file_exists(scene_path(BLOBS "e2")));
    assert_true(file_exists(scene_path(BLOBS "e1")));
    assert_int_equal(hub_remove(hub, "o/r", false, &freed, &err), HEARTH_OK);
    assert_int_equal(freed, 0); /* copy.bin still links to it */
    assert_true(file_exists(scene_path(BLOBS "e1")));
    assert_int_equal(hub_remove(hub, "o/r", true, &freed, &err), HEARTH_OK);
    assert_int_equal(freed, 100);
    assert_false(file_exists(scene_path("hf/hub/models--o--r")));
    assert_int_equal(hub_remove(hub, "o/r", false, &freed, &err), HEARTH_ERROR_NOT_FOUND);
}

static void links_that_lead_out_are_not_followed(void **state) {
    (void)state;
    scene_write("precious", "x", 1);
    put_cached("models--o--r", COMMIT_A, "m-Q4_K_M.gguf", "e1", 100);
    assert_int_equal(symlink(scene_path("precious"),
                             scene_path("hf/hub/models--o--r/snapshots/" COMMIT_A "/z-Q8_0.gguf")),
                     0);
    assert_int_equal(hub_remove(hub, "o/r", true, NULL, &err), HEARTH_OK);
    assert_true(file_exists(scene_path("precious")));
    assert_false(file_exists(scene_path("hf/hub/models--o--r")));
}

/* ---- aliases ----------------------------------------------------------- */

static void aliases_stand_for_names(void **state) {
    (void)state;
    put_cached("models--o--r", COMMIT_A, "m-Q4_K_M.gguf", "e1", 100);
    assert_int_equal(hub_alias(hub, "mine", "o/r:Q4_K_M", &err), HEARTH_OK);
    assert_int_equal(hub_alias(hub, "ours", "MINE", &err), HEARTH_OK);
    reopen();
    assert_resolves("mine", "hf/hub/models--o--r/snapshots/" COMMIT_A "/m-Q4_K_M.gguf");
    assert_resolves("Ours", "hf/hub/models--o--r/snapshots/" COMMIT_A "/m-Q4_K_M.gguf");
    struct hub_model *models;
    size_t count;
    assert_int_equal(hub_list(hub, &models, &count, &err), HEARTH_OK);
    assert_int_equal(count, 3);
    assert_string_equal(models[0].name, "mine");
    assert_int_equal(models[0].source, HUB_ALIAS);
    assert_int_equal(models[0].size_bytes, 100);
    hub_models_free(models, count);
    assert_int_equal(hub_remove(hub, "mine", false, NULL, &err), HEARTH_OK);
    assert_unknown("mine", "no model 'mine'");
    assert_resolves("o/r", "hf/hub/models--o--r/snapshots/" COMMIT_A "/m-Q4_K_M.gguf");
}

static void bad_aliases_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"", "-x", ".x", "/x", "a b", "a\nb"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hub_alias(hub, bad[i], "o/r", &err), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(hub_alias(hub, "x", "nonsense", &err), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(hub_alias(hub, "x", "X", &err), HEARTH_ERROR_ARGUMENT);
    assert_false(file_exists(scene_path("home/data/aliases.json")));
    scene_write("home/data/aliases.json", "{\"a\":\"b\",\"b\":\"a\",\"n\":1}", 23);
    char *path;
    assert_int_equal(hub_resolve(hub, "a", &path, &err), HEARTH_ERROR_LIMIT);
    assert_says(&err, "circles");
    scene_write("home/data/aliases.json", "[1", 2);
    assert_int_equal(hub_resolve(hub, "a", &path, &err), HEARTH_ERROR_FORMAT);
    assert_says(&err, "repair or remove it");
    scene_write("home/data/aliases.json", "[1]", 3);
    assert_int_equal(hub_alias(hub, "x", "o/r", &err), HEARTH_ERROR_FORMAT);
}

/* ---- the environment --------------------------------------------------- */

static void the_cache_is_where_other_tools_look(void **state) {
    (void)state;
    scene_write("c1/models--o--r/snapshots/" COMMIT_A "/m.gguf", "x", 1);
    scene_write("xdg/huggingface/hub/models--o--x/snapshots/" COMMIT_A "/m.gguf", "x", 1);
    scene_write("me/.cache/huggingface/hub/models--o--h/snapshots/" COMMIT_A "/m.gguf", "x", 1);
    setenv("HF_HUB_CACHE", scene_path("c1"), 1);
    reopen();
    assert_resolves("o/r", "c1/models--o--r/snapshots/" COMMIT_A "/m.gguf");
    unsetenv("HF_HUB_CACHE");
    unsetenv("HF_HOME");
    setenv("XDG_CACHE_HOME", scene_path("xdg"), 1);
    reopen();
    assert_resolves("o/x", "xdg/huggingface/hub/models--o--x/snapshots/" COMMIT_A "/m.gguf");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", scene_path("me"), 1);
    reopen();
    assert_resolves("o/h", "me/.cache/huggingface/hub/models--o--h/snapshots/" COMMIT_A "/m.gguf");
}

static void bad_settings_are_said(void **state) {
    (void)state;
    struct hub *other;
    setenv("HF_ENDPOINT", "huggingface.co", 1);
    assert_int_equal(hub_open(&other, &err), HEARTH_ERROR_ARGUMENT);
    assert_says(&err, "HF_ENDPOINT");
    unsetenv("HF_ENDPOINT");
    setenv("HF_TOKEN", "hf_x\nX-Evil: 1", 1);
    assert_int_equal(hub_open(&other, &err), HEARTH_ERROR_ARGUMENT);
    assert_says(&err, "HF_TOKEN");
    unsetenv("HF_TOKEN");
    assert_null(other);
}

/* ---- memory ------------------------------------------------------------ */

static void every_allocation_may_fail(void **state) {
    (void)state;
    put_cached("models--o--r", COMMIT_A, "m-Q4_K_M.gguf", "e1", 100);
    put_cached("models--o--r", COMMIT_B, "m-Q8_0.gguf", "e2", 100);
    put_cached("models--a--folder", COMMIT_A, "config.json", "c1", 1);
    put_cached("models--a--folder", COMMIT_A, "model.safetensors", "c2", 8);
    scene_write("plain/m.gguf", "x", 1);
    setenv("HEARTH_MODELS", scene_path("plain"), 1);
    reopen();
    assert_int_equal(hub_alias(hub, "mine", "o/r:Q8_0", &err), HEARTH_OK);
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct hub *other;
        struct hub_model *models = NULL;
        size_t count = 0;
        char *path = NULL;
        mem_fail_after(n);
        if (hub_open(&other, &err) == HEARTH_OK) {
            hub_list(other, &models, &count, &err);
            if (hub_resolve(other, "mine", &path, &err) == HEARTH_OK)
                assert_non_null(strstr(path, "m-Q8_0.gguf"));
            else
                assert_null(path);
            hub_models_free(models, count);
            hub_remove(other, "o/nothing", false, NULL, &err);
        }
        failed = !mem_fail_pending();
        mem_fail_after(0);
        mem_free(path);
        hub_close(other);
    }
    assert_resolves("m", "plain/m.gguf");
}

static void every_allocation_of_an_alias_may_fail(void **state) {
    (void)state;
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    for (uint64_t n = 1; status != HEARTH_OK; n++) {
        char *path = NULL;
        mem_fail_after(n);
        status = hub_alias(hub, "mine", "o/r:Q8_0", &err);
        mem_fail_after(0);
        assert_true(n < 200);
        bool there = file_exists(scene_path("home/data/aliases.json"));
        assert_int_equal(there, status == HEARTH_OK);
        assert_int_equal(hub_resolve(hub, "mine", &path, &err), HEARTH_ERROR_NOT_FOUND);
    }
}

#define LOCAL_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_apart),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(quants_are_read_from_file_names),
        cmocka_unit_test(the_choice_is_predictable),
        cmocka_unit_test(short_names_mean_repositories),
        LOCAL_TEST(the_cache_is_resolved),
        LOCAL_TEST(unknown_names_get_suggestions),
        LOCAL_TEST(plain_folders_are_searched),
        LOCAL_TEST(made_models_have_a_folder),
        LOCAL_TEST(the_built_in_model_has_a_name),
        LOCAL_TEST(paths_are_themselves),
        LOCAL_TEST(everything_is_listed_once),
        LOCAL_TEST(removing_takes_only_unshared_blobs),
        LOCAL_TEST(links_that_lead_out_are_not_followed),
        LOCAL_TEST(aliases_stand_for_names),
        LOCAL_TEST(bad_aliases_are_refused),
        LOCAL_TEST(the_cache_is_where_other_tools_look),
        LOCAL_TEST(bad_settings_are_said),
        LOCAL_TEST(every_allocation_may_fail),
        LOCAL_TEST(every_allocation_of_an_alias_may_fail),
    };
    return cmocka_run_group_tests_name("hub/local", tests, NULL, NULL);
}
