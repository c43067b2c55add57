/* Models that are opened when they are asked for: who gets which, when they go, and what is said
 * where they cannot come. */
#include "hub/hub_scene.h"

#include <math.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/rng.h"
#include "route/model_catalogue.h"
#include "route/model_pool.h"

static struct model_pool *pool;

/* ---- a home with models ------------------------------------------------------------------ */

/* The first bytes of a file; 0: all of them. */
static void put_copy(const char *name, const char *of, size_t n) {
    struct file_map map;
    assert_int_equal(file_map_open(&map, of, NULL), HEARTH_OK);
    scene_write(name, map.data, n ? n : map.size);
    file_map_close(&map);
}

static const char *stories(void) {
    return testdata("models/stories260K/stories260K.gguf");
}

static int set_up(void **state) {
    (void)state;
    scene_set_up();
    setenv("HEARTH_MODELS", scene_path("models"), 1);
    put_copy("models/anna.gguf", stories(), 0);
    put_copy("models/bert.gguf", stories(), 0);
    put_copy("models/carl.gguf", stories(), 0);
    put_copy("models/broken.gguf", stories(), 5000);
    put_copy("outside.gguf", stories(), 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    model_pool_close(pool);
    pool = NULL;
    scene_tear_down();
    return 0;
}

static struct model_pool_settings settings_of(const char *const *models, size_t n) {
    struct model_pool_settings s;
    model_pool_settings_init(&s);
    s.engine.n_threads = 1;
    s.engine.n_ctx = 64;
    s.models = models;
    s.n_models = n;
    return s;
}

static void open_pool(const struct model_pool_settings *settings) {
    hearth_error err = {0};
    if (model_pool_open(&pool, settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
}

/* With "anna" as the first. */
static void open_usual(void) {
    static const char *const models[] = {"anna"};
    const struct model_pool_settings s = settings_of(models, 1);
    open_pool(&s);
}

/* ---- somebody who waits ------------------------------------------------------------------- */

struct waiting {
    struct model_wait wait;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct local_model *model;
    hearth_error problem;
    unsigned heard;
};

static void hear(struct model_wait *wait, struct local_model *model, const hearth_error *problem) {
    struct waiting *w = (struct waiting *)wait;
    pthread_mutex_lock(&w->mutex);
    w->model = model;
    w->problem = *problem;
    w->heard++;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

static void begin(struct waiting *w, const char *name) {
    *w = (struct waiting){.wait.ready = hear};
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    model_pool_acquire(pool, &w->wait, name);
}

static void await(struct waiting *w) {
    pthread_mutex_lock(&w->mutex);
    while (!w->heard)
        pthread_cond_wait(&w->changed, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    assert_int_equal(w->heard, 1);
    assert_int_equal(w->model == NULL, w->problem.code != HEARTH_OK);
}

/* The model, held; it must come. */
static struct local_model *get(const char *name) {
    struct waiting w;
    begin(&w, name);
    await(&w);
    if (!w.model) fail_msg("%s", w.problem.message);
    return w.model;
}

static hearth_error refused(const char *name) {
    struct waiting w;
    begin(&w, name);
    await(&w);
    assert_null(w.model);
    return w.problem;
}

/* ---- what is open ------------------------------------------------------------------------- */

struct sight {
    const char *name;
    struct model_use use;
    size_t n;
};

static void see(void *context, struct local_model *model, const struct model_use *use) {
    struct sight *sight = context;
    if (strcmp(model->name, sight->name) != 0) return;
    sight->use = *use;
    sight->n++;
}

static struct sight look_at(const char *name) {
    struct sight sight = {.name = name};
    model_pool_visit(pool, see, &sight);
    return sight;
}

static void await_closed(const char *name) {
    for (int i = 0; look_at(name).n > 0; i++) {
        if (i == 1000) fail_msg("'%s' stays open", name);
        clock_rest(10000000);
    }
}

/* The row of the list, a new reference. */
static json_t *listed(const char *name) {
    json_t *list = json_array(), *row, *found = NULL;
    size_t i;
    assert_int_equal(model_pool_list(pool, list, NULL), HEARTH_OK);
    json_array_foreach(list, i, row) {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
            found = json_incref(row);
    }
    json_decref(list);
    if (!found) fail_msg("'%s' is not in the list", name);
    return found;
}

static bool list_says(const char *name, const char *key) {
    json_t *row = listed(name);
    bool is_true = json_is_true(json_object_get(row, key));
    json_decref(row);
    return is_true;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void test_first_is_at_hand(void **state) {
    struct waiting w;
    (void)state;
    open_usual();
    begin(&w, NULL);
    assert_int_equal(w.heard, 1);
    await(&w);
    assert_string_equal(w.model->name, "anna");
    assert_ptr_equal(get(""), w.model);
    assert_ptr_equal(get("anna"), w.model);
    assert_ptr_equal(get("anna:latest"), w.model);
    assert_int_equal(look_at("anna").use.n_users, 4);
    for (int i = 0; i < 4; i++)
        model_pool_release(pool, w.model, NAN);
    assert_true(isinf(look_at("anna").use.seconds_left));
}

static void test_on_demand(void **state) {
    struct hub *hub;
    (void)state;
    open_usual();
    assert_int_equal(look_at("bert").n, 0);
    struct local_model *bert = get("bert");
    assert_string_equal(bert->name, "bert");
    assert_ptr_equal(get("Bert"), bert);
    assert_ptr_equal(get("bert.gguf"), bert);
    assert_int_equal(hub_open(&hub, NULL), HEARTH_OK);
    assert_int_equal(hub_alias(hub, "mine", "bert", NULL), HEARTH_OK);
    hub_close(hub);
    assert_ptr_equal(get("mine"), bert);
    for (int i = 0; i < 4; i++)
        model_pool_release(pool, bert, 10);
    struct model_use use = look_at("bert").use;
    assert_true(use.seconds_left > 0 && use.seconds_left <= 10);
    assert_int_equal(use.n_requests, 4);
    assert_true(use.bytes > 1000000);
    assert_true(model_pool_memory(pool).used_bytes >= use.bytes);
}

static void test_many_wait_for_one(void **state) {
    enum { N = 8 };
    struct waiting waits[N];
    (void)state;
    open_usual();
    for (int i = 0; i < N; i++)
        begin(&waits[i], i % 2 ? "bert" : "BERT:latest");
    for (int i = 0; i < N; i++) {
        await(&waits[i]);
        assert_ptr_equal(waits[i].model, waits[0].model);
    }
    struct sight sight = look_at("bert");
    assert_int_equal(sight.n, 1);
    assert_int_equal(sight.use.n_users, N);
    for (int i = 0; i < N; i++)
        model_pool_release(pool, waits[i].model, NAN);
}

static void test_goes_after_its_time(void **state) {
    (void)state;
    open_usual();
    model_pool_release(pool, get("bert"), INFINITY);
    model_pool_release(pool, get("bert"), NAN); /* as was said last */
    assert_true(isinf(look_at("bert").use.seconds_left));
    struct local_model *bert = get("bert");
    model_pool_release(pool, get("bert"), 0);
    assert_int_equal(look_at("bert").n, 1); /* it is still held */
    model_pool_release(pool, bert, 0.01);
    await_closed("bert");
    model_pool_release(pool, get("anna"), 0);
    model_pool_release(pool, get("bert"), NAN); /* time for others to close "anna", if they would */
    assert_int_equal(look_at("anna").n, 1);
}

static void test_cancel(void **state) {
    struct waiting w, other;
    (void)state;
    open_usual();
    begin(&w, "bert");
    begin(&other, "bert");
    model_pool_cancel(pool, &w.wait);
    await(&w);
    await(&other);
    assert_non_null(other.model);
    if (w.model)
        model_pool_release(pool, w.model, 0);
    else
        assert_int_equal(w.problem.code, HEARTH_ERROR_CANCELLED);
    model_pool_release(pool, other.model, 0);
    await_closed("bert");
}

static void test_number_of_models(void **state) {
    static const char *const models[] = {"anna"};
    struct model_pool_settings s = settings_of(models, 1);
    (void)state;
    s.max_models = 2;
    s.max_wait_s = 0;
    open_pool(&s);
    struct local_model *bert = get("bert");
    hearth_error problem = refused("carl");
    assert_int_equal(problem.code, HEARTH_ERROR_NO_MEMORY);
    assert_says(&problem, "--max-models");
    model_pool_release(pool, bert, INFINITY);
    model_pool_release(pool, get("carl"), NAN); /* now "bert" makes way */
    assert_int_equal(look_at("bert").n, 0);
    assert_int_equal(look_at("anna").n, 1);
}

/* What a model is thought to need, before it is open. */
static uint64_t need_of(const char *name) {
    struct listed_model file;
    struct model_facts facts;
    struct model_catalogue *catalogue;
    assert_int_equal(model_catalogue_open(&catalogue, NULL), HEARTH_OK);
    assert_int_equal(model_catalogue_find(catalogue, name, &file, NULL), HEARTH_OK);
    model_catalogue_facts(catalogue, &file, &facts);
    listed_model_release(&file);
    model_catalogue_close(catalogue);
    return model_facts_need(&facts, 64);
}

static void test_memory(void **state) {
    static const char *const models[] = {"anna"};
    struct model_pool_settings s = settings_of(models, 1);
    (void)state;
    open_pool(&s);
    uint64_t one = model_pool_memory(pool).used_bytes;
    model_pool_close(pool);
    s.max_bytes = 2 * one + need_of("carl") - 1;
    s.max_wait_s = 0.02;
    open_pool(&s);
    struct local_model *bert = get("bert");
    hearth_error problem = refused("carl");
    assert_int_equal(problem.code, HEARTH_ERROR_NO_MEMORY);
    assert_says(&problem, "'carl' needs about");
    assert_says(&problem, "--max-memory");
    assert_true(list_says("carl", "fits")); /* once "bert" is idle */
    model_pool_release(pool, bert, NAN);
    model_pool_release(pool, get("carl"), NAN);
    assert_int_equal(look_at("bert").n, 0);
    assert_true(model_pool_memory(pool).used_bytes <= s.max_bytes);
}

/* Nobody waits for what cannot be. */
static void test_never_enough(void **state) {
    static const char *const models[] = {"anna", "bert"};
    struct model_pool_settings s = settings_of(models, 2);
    (void)state;
    s.max_wait_s = INFINITY;
    s.max_models = 2;
    open_pool(&s);
    hearth_error problem = refused("carl");
    assert_says(&problem, "--max-models");
    uint64_t both = model_pool_memory(pool).used_bytes;
    model_pool_close(pool);
    s.max_models = 0;
    s.max_bytes = both + need_of("carl") - 1;
    open_pool(&s);
    problem = refused("carl");
    assert_int_equal(problem.code, HEARTH_ERROR_NO_MEMORY);
    assert_says(&problem, "--max-memory");
}

/* ---- waiting for others ---------------------------------------------------------------------- */

static bool has_heard(struct waiting *w) {
    pthread_mutex_lock(&w->mutex);
    bool heard = w->heard > 0;
    pthread_mutex_unlock(&w->mutex);
    return heard;
}

/* "anna" stays, one more fits. */
static void open_narrow(double max_wait_s, double patience_s) {
    static const char *const models[] = {"anna"};
    struct model_pool_settings s = settings_of(models, 1);
    s.max_models = 2;
    s.max_wait_s = max_wait_s;
    s.patience_s = patience_s;
    s.keep_alive_s = INFINITY;
    open_pool(&s);
}

static void test_waits_until_others_are_idle(void **state) {
    struct waiting w, second;
    (void)state;
    open_narrow(INFINITY, INFINITY);
    struct local_model *bert = get("bert");
    begin(&w, "carl");
    begin(&second, "carl");
    model_pool_release(pool, get("bert"), NAN); /* others may use it meanwhile */
    assert_false(has_heard(&w));
    assert_int_equal(refused("nobody").code, HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(refused("broken").code, HEARTH_ERROR_FORMAT);
    model_pool_release(pool, bert, NAN);
    await(&w);
    await(&second);
    assert_non_null(w.model);
    assert_ptr_equal(second.model, w.model);
    assert_int_equal(look_at("bert").n, 0);
    model_pool_release(pool, w.model, NAN);
    model_pool_release(pool, second.model, NAN);
}

/* Memory in bytes is waited for like a place. */
static void test_waits_for_memory(void **state) {
    static const char *const models[] = {"anna"};
    struct model_pool_settings s = settings_of(models, 1);
    struct waiting w;
    (void)state;
    open_pool(&s);
    uint64_t one = model_pool_memory(pool).used_bytes;
    model_pool_close(pool);
    s.max_bytes = 2 * one + need_of("carl") - 1;
    open_pool(&s);
    struct local_model *bert = get("bert");
    begin(&w, "carl");
    model_pool_release(pool, bert, NAN);
    await(&w);
    if (!w.model) fail_msg("%s", w.problem.message);
    assert_int_equal(look_at("bert").n, 0);
    model_pool_release(pool, w.model, NAN);
}

static void test_cancel_while_others_are_used(void **state) {
    struct waiting w, other;
    (void)state;
    open_narrow(INFINITY, 0);
    struct local_model *bert = get("bert");
    begin(&w, "carl");
    begin(&other, "bert"); /* which "carl" keeps waiting, or not yet */
    model_pool_cancel(pool, &w.wait);
    await(&w);
    assert_int_equal(w.problem.code, HEARTH_ERROR_CANCELLED);
    await(&other);
    assert_ptr_equal(other.model, bert);
    model_pool_release(pool, bert, NAN);
    model_pool_release(pool, bert, NAN);
    assert_int_equal(look_at("bert").n, 1);
}

/* Requests for "bert" that overlap do not keep "carl" out. */
static void test_nobody_starves(void **state) {
    struct waiting carl, next;
    struct local_model *borrowed;
    (void)state;
    open_narrow(INFINITY, 0.05);
    struct local_model *bert = get("bert");
    begin(&carl, "carl");
    for (int i = 0;; i++) {
        if (i == 2000) fail_msg("'bert' goes on for ever");
        begin(&next, "bert");
        clock_rest(5000000);
        if (!has_heard(&next)) break;
        await(&next);
        model_pool_release(pool, bert, NAN);
        bert = next.model;
    }
    assert_int_equal(model_pool_borrow(pool, "bert", &borrowed, NULL), HEARTH_OK);
    assert_false(has_heard(&carl));
    model_pool_release(pool, bert, NAN);
    assert_int_equal(model_pool_borrow(pool, "bert", &bert, NULL), HEARTH_ERROR_NOT_FOUND);
    model_pool_return(pool, borrowed);
    await(&carl);
    assert_non_null(carl.model);
    assert_false(has_heard(&next));
    model_pool_release(pool, carl.model, NAN);
    await(&next);
    assert_non_null(next.model);
    model_pool_release(pool, next.model, NAN);
}

/* Whoever was first is first, also of those that are opened again. */
static void test_turns(void **state) {
    struct waiting carl, again;
    (void)state;
    open_narrow(INFINITY, 0);
    struct local_model *held = get("bert");
    begin(&carl, "carl");
    for (int i = 0;; i++) { /* until "carl" was looked at */
        if (i == 2000) fail_msg("'bert' goes on for ever");
        begin(&again, "bert");
        clock_rest(5000000);
        if (!has_heard(&again)) break;
        await(&again);
        model_pool_release(pool, again.model, NAN);
    }
    assert_false(has_heard(&carl));
    assert_int_equal(refused("broken").code, HEARTH_ERROR_FORMAT);
    model_pool_release(pool, held, NAN);
    await(&carl);
    assert_non_null(carl.model);
    assert_false(has_heard(&again));
    model_pool_release(pool, carl.model, NAN);
    await(&again);
    assert_non_null(again.model);
    assert_int_equal(look_at("carl").n, 0);
    model_pool_release(pool, again.model, NAN);
}

static void test_too_large_at_the_beginning(void **state) {
    static const char *const models[] = {"anna"};
    struct model_pool_settings s = settings_of(models, 1);
    hearth_error err = {0};
    (void)state;
    s.max_bytes = 1000000;
    assert_int_equal(model_pool_open(&pool, &s, &err), HEARTH_ERROR_NO_MEMORY);
    assert_null(pool);
}

/* What is named must be there, all of it. */
static void test_named_ones_must_open(void **state) {
    static const char *const missing[] = {"anna", "nobody"}, *const damaged[] = {"anna", "broken"},
                             *const same[] = {"anna", "anna"};
    hearth_error err = {0};
    struct model_pool_settings s = settings_of(missing, 2);
    (void)state;
    assert_int_equal(model_pool_open(&pool, &s, &err), HEARTH_ERROR_NOT_FOUND);
    s = settings_of(damaged, 2);
    assert_int_equal(model_pool_open(&pool, &s, &err), HEARTH_ERROR_FORMAT);
    assert_says(&err, "broken.gguf");
    s = settings_of(same, 2);
    assert_int_equal(model_pool_open(&pool, &s, &err), HEARTH_ERROR_ARGUMENT);
    assert_null(pool);
}

/* A file that is named twice is open once, and goes by both names. */
static void test_one_file_of_two_names(void **state) {
    static const char *const models[] = {"anna", "mine"};
    struct model_pool_settings s = settings_of(models, 2);
    struct hub *hub;
    (void)state;
    assert_int_equal(hub_open(&hub, NULL), HEARTH_OK);
    assert_int_equal(hub_alias(hub, "mine", "anna", NULL), HEARTH_OK);
    hub_close(hub);
    open_pool(&s);
    struct local_model *anna = get("anna");
    assert_ptr_equal(get("mine"), anna);
    assert_int_equal(look_at("anna").use.n_users, 2);
    model_pool_release(pool, anna, NAN);
    model_pool_release(pool, anna, NAN);
}

static void test_damaged_file(void **state) {
    (void)state;
    open_usual();
    for (int i = 0; i < 2; i++) {
        hearth_error problem = refused("broken");
        assert_int_equal(problem.code, HEARTH_ERROR_FORMAT);
        assert_says(&problem, "broken.gguf");
    }
    json_t *row = listed("broken");
    assert_false(json_is_true(json_object_get(row, "fits")));
    assert_non_null(json_string_value(json_object_get(row, "problem")));
    json_decref(row);
    put_copy("models/broken.gguf", stories(), 0); /* whole now */
    model_pool_release(pool, get("broken"), 0);
}

static void test_only_what_is_listed(void **state) {
    hearth_error problem;
    (void)state;
    open_usual();
    char long_name[2000];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *const names[] = {scene_path("models/bert.gguf"),
                                 scene_path("models"),
                                 scene_path("outside.gguf"),
                                 "../outside.gguf",
                                 "org/none:Q4_0",
                                 "/",
                                 ".",
                                 "~/x.gguf",
                                 long_name};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        problem = refused(names[i]);
        assert_int_equal(problem.code, HEARTH_ERROR_NOT_FOUND);
    }
    problem = refused("nobody");
    assert_says(&problem, "hearth pull");
}

static void test_only_named(void **state) {
    static const char *const models[] = {"anna", "bert"};
    struct model_pool_settings s = settings_of(models, 2);
    json_t *list = json_array();
    (void)state;
    s.only_named = true;
    s.name = "first";
    open_pool(&s);
    assert_int_equal(look_at("first").n, 1);
    assert_int_equal(look_at("bert").n, 1);
    assert_int_equal(refused("carl").code, HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(model_pool_list(pool, list, NULL), HEARTH_OK);
    assert_int_equal(json_array_size(list), 2);
    json_decref(list);
}

static void test_unload(void **state) {
    struct local_model *borrowed;
    (void)state;
    open_usual();
    struct local_model *bert = get("bert");
    assert_int_equal(model_pool_unload(pool, "bert", NULL), HEARTH_OK);
    assert_int_equal(look_at("bert").n, 1);
    assert_int_equal(model_pool_borrow(pool, "bert", &borrowed, NULL), HEARTH_ERROR_NOT_FOUND);
    model_pool_release(pool, bert, INFINITY);
    await_closed("bert");
    assert_int_equal(model_pool_unload(pool, "bert", NULL), HEARTH_OK);
    assert_int_equal(model_pool_unload(pool, "nobody", NULL), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(model_pool_unload(pool, NULL, NULL), HEARTH_OK); /* named, but told to go */
    await_closed("anna");
    assert_false(list_says("anna", "loaded"));
    model_pool_release(pool, get("anna"), 0); /* back, and here to stay again */
    assert_true(isinf(look_at("anna").use.seconds_left));
    assert_int_equal(model_pool_borrow(pool, "anna", &borrowed, NULL), HEARTH_OK);
    model_pool_return(pool, borrowed);
}

/* Who asks while a model is about to go gets it from its file again. */
static void test_asked_while_it_goes(void **state) {
    struct waiting w;
    (void)state;
    open_usual();
    struct local_model *bert = get("bert");
    assert_int_equal(model_pool_unload(pool, "bert", NULL), HEARTH_OK);
    begin(&w, "bert");
    model_pool_release(pool, bert, NAN);
    await(&w);
    assert_non_null(w.model);
    assert_int_equal(look_at("bert").use.n_requests, 1);
    model_pool_release(pool, w.model, 0);
}

static void test_list(void **state) {
    (void)state;
    open_usual();
    model_pool_release(pool, get("bert"), 100);
    json_t *list = json_array();
    assert_int_equal(model_pool_list(pool, list, NULL), HEARTH_OK);
    assert_int_equal(json_array_size(list), 4);
    const json_t *first = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "anna");
    json_decref(list);
    assert_true(list_says("anna", "loaded"));
    assert_true(list_says("bert", "loaded"));
    assert_false(list_says("carl", "loaded"));
    assert_true(list_says("carl", "fits"));
    json_t *row = listed("carl"), *open = listed("bert");
    assert_string_equal(json_string_value(json_object_get(row, "family")), "llama");
    assert_int_equal(json_integer_value(json_object_get(row, "n_ctx")), 64);
    assert_int_equal(json_integer_value(json_object_get(row, "n_ctx_train")), 2048);
    assert_true(
        json_equal(json_object_get(row, "size_bytes"), json_object_get(open, "size_bytes")));
    assert_true(json_is_array(json_object_get(row, "adapters")));
    assert_true(json_real_value(json_object_get(open, "seconds_left")) > 0);
    json_decref(row);
    json_decref(open);
}

/* ---- everything at once --------------------------------------------------------------------- */

static void *use_models(void *context) {
    static const char *const names[] = {"anna", "bert", "carl", "broken", "nobody", NULL};
    uint64_t seed = (uint64_t)(uintptr_t)context;
    for (uint64_t i = 0; i < 40; i++) {
        uint64_t dice = rng_at(seed, i);
        struct waiting w;
        const char *name = names[dice % 6];
        begin(&w, name);
        if (dice >> 8 & 1) model_pool_cancel(pool, &w.wait);
        if (dice >> 9 & 1) model_pool_unload(pool, name, NULL);
        await(&w);
        if (dice >> 10 & 1) look_at("bert");
        if (w.model) model_pool_release(pool, w.model, dice >> 11 & 1 ? 0 : NAN);
    }
    return NULL;
}

static void test_many_threads(void **state) {
    enum { N = 4 };
    static const char *const models[] = {"anna"};
    struct model_pool_settings s = settings_of(models, 1);
    pthread_t threads[N];
    (void)state;
    s.max_models = 2;
    s.patience_s = 0.001;
    open_pool(&s);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_models, (void *)(i + 1)), 0);
    for (size_t i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(look_at("anna").use.n_users, 0);
    model_pool_release(pool, get("carl"), 0);
    await_closed("carl");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    if (!testdata_is_there("models/stories260K/stories260K.gguf")) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        TEST(test_first_is_at_hand),
        TEST(test_on_demand),
        TEST(test_many_wait_for_one),
        TEST(test_goes_after_its_time),
        TEST(test_cancel),
        TEST(test_number_of_models),
        TEST(test_memory),
        TEST(test_never_enough),
        TEST(test_waits_until_others_are_idle),
        TEST(test_waits_for_memory),
        TEST(test_cancel_while_others_are_used),
        TEST(test_nobody_starves),
        TEST(test_turns),
        TEST(test_too_large_at_the_beginning),
        TEST(test_named_ones_must_open),
        TEST(test_one_file_of_two_names),
        TEST(test_damaged_file),
        TEST(test_only_what_is_listed),
        TEST(test_only_named),
        TEST(test_unload),
        TEST(test_asked_while_it_goes),
        TEST(test_list),
        TEST(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
