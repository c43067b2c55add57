/* Pulling from a hub that misbehaves in every way a hub, a network and a disk do. */
#include "hub_scene.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "hub/range_log.h"
#include "hub_server.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define REPO "acme/tiny"
#define FOLDER "hf/hub/models--acme--tiny"

enum { BIG = 3 << 20, SMALLER = 600000, CHUNK = 256 << 10 };

static uint8_t noise[BIG];

/* What a GGUF repository holds. */
static struct hub_server_file gguf_files[] = {
    {.name = "README.md", .data = noise, .size = 100, .etag = "aaaa"},
    {.name = "mmproj-tiny-F16.gguf", .data = noise, .size = 5000, .is_large = true},
    {.name = "tiny-F16-00001-of-00002.gguf", .data = noise + 1, .size = 5000, .is_large = true},
    {.name = "tiny-F16-00002-of-00002.gguf", .data = noise + 2, .size = 6000, .is_large = true},
    {.name = "tiny-Q4_K_M.gguf", .data = noise, .size = BIG, .is_large = true},
    {.name = "tiny-q8_0.gguf", .data = noise + 3, .size = SMALLER, .is_large = true},
    {.name = "tiny-UD-Q5_K_XL.gguf", .data = noise + 4, .size = 777, .is_large = true},
};
enum { Q4 = 4, Q8 = 5 };

/* What a Hugging Face folder holds. */
static struct hub_server_file folder_files[] = {
    {.name = "1_Pooling/config.json", .data = noise, .size = 10, .etag = "a1"},
    {.name = "config.json", .data = noise, .size = 20, .etag = "a2"},
    {.name = "model-00001-of-00002.safetensors", .data = noise, .size = 9000, .is_large = true},
    {.name = "model-00002-of-00002.safetensors", .data = noise + 9, .size = 9000, .is_large = true},
    {.name = "model.safetensors.index.json", .data = noise, .size = 30, .etag = "a3"},
    {.name = "consolidated.safetensors", .data = noise, .size = 9001, .is_large = true},
    {.name = "pytorch_model.bin", .data = noise, .size = 9000, .is_large = true},
    {.name = "tokenizer.json", .data = noise, .size = 0, .etag = "a4"},
};

static struct hub_server *server;
static struct hub_faults *faults;
static struct hub_server_counts *counts;
static struct hub *hub;
static hearth_error err;
static char warning[1024];

static void keep_warning(enum log_level level, const char *message, void *context) {
    (void)context;
    if (level == LOG_WARNING) snprintf(warning, sizeof warning, "%s", message);
}

static void begin_with(struct hub_server_file *files, size_t n) {
    char endpoint[64];
    scene_set_up();
    server = hub_server_start(REPO, COMMIT, "hf_right", files, n);
    faults = hub_server_faults(server);
    counts = hub_server_counts(server);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u/", hub_server_port(server));
    setenv("HF_ENDPOINT", endpoint, 1);
    assert_int_equal(hub_open(&hub, &err), HEARTH_OK);
    warning[0] = '\0';
}

static int begin(void **state) {
    (void)state;
    begin_with(gguf_files, sizeof gguf_files / sizeof *gguf_files);
    return 0;
}

static int begin_folder(void **state) {
    (void)state;
    begin_with(folder_files, sizeof folder_files / sizeof *folder_files);
    return 0;
}

static int end(void **state) {
    (void)state;
    hub_close(hub);
    hub_server_stop(server);
    scene_tear_down();
    return 0;
}

static const struct hub_pull_options options = {
    .chunk_bytes = CHUNK, .backoff_ms = 10, .stall_timeout_ms = 400};

static hearth_status pull(const char *name) {
    return hub_pull(hub, name, &options, NULL, &err);
}

static const char *blob_of(int file, const char *suffix) {
    char name[512];
    snprintf(name, sizeof name, FOLDER "/blobs/%s%s", gguf_files[file].etag, suffix);
    return scene_path(name);
}

static void assert_content(const char *path, const struct hub_server_file *file) {
    struct file_map map;
    assert_int_equal(file_map_open(&map, path, NULL), HEARTH_OK);
    assert_int_equal(map.size, file->size);
    if (map.size) assert_memory_equal(map.data, file->data, file->size);
    file_map_close(&map);
}

/* No link, no reference, no blob: as if nothing had been asked for. */
static void assert_nothing_registered(void) {
    assert_false(file_exists(scene_path(FOLDER "/snapshots")));
    assert_false(file_exists(scene_path(FOLDER "/refs")));
    assert_false(file_exists(blob_of(Q4, "")));
}

static void assert_pulled(int file) {
    char path[512];
    snprintf(path, sizeof path, FOLDER "/snapshots/" COMMIT "/%s", gguf_files[file].name);
    assert_content(scene_path(path), &gguf_files[file]);
    assert_false(file_exists(blob_of(file, ".hearth.incomplete")));
    assert_false(file_exists(blob_of(file, ".hearth.ranges")));
}

/* ---- the good case ----------------------------------------------------- */

struct seen {
    uint64_t calls, last, total;
    const char *file;
    bool fell;
};

static void watch(void *context, const struct hub_progress *p) {
    struct seen *seen = context;
    seen->calls++;
    seen->fell = seen->fell || p->total_done < seen->last;
    seen->last = p->total_done;
    seen->total = p->total_bytes;
    seen->file = p->file;
}

static void the_layout_is_the_hubs(void **state) {
    (void)state;
    struct seen seen = {0};
    struct hub_pull_options watched = options;
    char *path = NULL, target[256] = "", wanted[256], *text;
    size_t size;
    watched.on_progress = watch;
    watched.context = &seen;
    atomic_store(&faults->delay_us, 500);
    assert_int_equal(hub_pull(hub, REPO, &watched, &path, &err), HEARTH_OK);
    assert_string_equal(path, scene_path(FOLDER "/snapshots/" COMMIT "/tiny-Q4_K_M.gguf"));
    assert_pulled(Q4);
    assert_true(readlink(path, target, sizeof target - 1) > 0);
    snprintf(wanted, sizeof wanted, "../../blobs/%s", gguf_files[Q4].etag);
    assert_string_equal(target, wanted);
    assert_int_equal(file_read(scene_path(FOLDER "/refs/main"), 100, &text, &size, NULL),
                     HEARTH_OK);
    assert_string_equal(text, COMMIT);
    assert_true(file_exists(scene_path("hf/hub/.locks/models--acme--tiny")));
    assert_in_range(atomic_load(&counts->most_at_once), 2, 4);
    assert_int_equal(atomic_load(&counts->body_bytes), BIG);
    assert_int_equal(atomic_load(&counts->bodies), BIG / CHUNK);
    assert_false(seen.fell);
    assert_true(seen.calls > 10 && seen.last == BIG && seen.total == BIG);
    mem_free(text);
    mem_free(path);
}

static void what_is_here_is_not_fetched_again(void **state) {
    (void)state;
    assert_int_equal(pull(REPO ":q8_0"), HEARTH_OK);
    hub_server_reset(server);
    assert_int_equal(pull(REPO ":Q8_0"), HEARTH_OK);
    assert_int_equal(atomic_load(&counts->bodies), 0);
    assert_pulled(Q8);
    char *path;
    assert_int_equal(hub_resolve(hub, REPO, &path, &err), HEARTH_OK);
    assert_non_null(strstr(path, "/tiny-q8_0.gguf"));
    mem_free(path);
}

static void split_parts_come_together(void **state) {
    (void)state;
    char *path;
    assert_int_equal(hub_pull(hub, REPO ":f16", &options, &path, &err), HEARTH_OK);
    assert_non_null(strstr(path, "/tiny-F16-00001-of-00002.gguf"));
    assert_pulled(2);
    assert_pulled(3);
    assert_false(file_exists(blob_of(1, "")));
    mem_free(path);
}

static void names_have_many_forms(void **state) {
    (void)state;
    char url[256];
    assert_int_equal(pull(REPO "/tiny-UD-Q5_K_XL.gguf"), HEARTH_OK);
    assert_int_equal(pull(REPO ":q5_k_xl"), HEARTH_OK);
    assert_int_equal(pull("hf.co/" REPO "@v1:UD-Q5_K_XL"), HEARTH_OK);
    assert_true(file_exists(scene_path(FOLDER "/refs/v1")));
    snprintf(url, sizeof url, "http://127.0.0.1:%u/" REPO "/blob/main/tiny-UD-Q5_K_XL.gguf",
             hub_server_port(server));
    assert_int_equal(pull(url), HEARTH_OK);
    assert_int_equal(atomic_load(&counts->bodies), 1);
    assert_int_equal(pull("https://elsewhere.example/" REPO), HEARTH_ERROR_ARGUMENT);
    assert_says(&err, "HF_ENDPOINT");
}

static void a_missing_quant_lists_what_there_is(void **state) {
    (void)state;
    assert_int_equal(pull(REPO ":Q2_K"), HEARTH_ERROR_NOT_FOUND);
    assert_says(&err, "no 'Q2_K' model");
    assert_says(&err, "F16, Q4_K_M, UD-Q5_K_XL, Q8_0");
    assert_int_equal(pull(REPO "/nothing.gguf"), HEARTH_ERROR_NOT_FOUND);
    assert_says(&err, "nothing.gguf");
    assert_false(file_exists(scene_path("hf")));
}

static void a_folder_comes_whole(void **state) {
    (void)state;
    char *path, target[256] = "";
    atomic_store(&faults->no_sizes, true);
    assert_int_equal(hub_pull(hub, REPO, &options, &path, &err), HEARTH_OK);
    assert_string_equal(path, scene_path(FOLDER "/snapshots/" COMMIT));
    for (size_t i = 0; i < sizeof folder_files / sizeof *folder_files; i++) {
        char *file = path_join(path, folder_files[i].name);
        bool wanted = !strstr(file, ".bin") && !strstr(file, "consolidated");
        assert_int_equal(file_exists(file), wanted);
        if (wanted) assert_content(file, &folder_files[i]);
        mem_free(file);
    }
    char *nested = path_join(path, "1_Pooling/config.json");
    assert_true(readlink(nested, target, sizeof target - 1) > 0);
    assert_string_equal(target, "../../../blobs/a1");
    mem_free(nested);
    mem_free(path);
    assert_int_equal(hub_resolve(hub, REPO, &path, &err), HEARTH_OK);
    mem_free(path);
    assert_int_equal(pull(REPO ":Q4_K_M"), HEARTH_ERROR_NOT_FOUND);
    assert_says(&err, "no GGUF files");
}

static void half_a_folder_is_not_a_model(void **state) {
    (void)state;
    char *path;
    atomic_store(&faults->wrong_bytes, true);
    assert_int_equal(pull(REPO), HEARTH_ERROR_FORMAT);
    assert_int_equal(hub_resolve(hub, REPO, &path, &err), HEARTH_ERROR_NOT_FOUND);
    assert_says(&err, "hearth pull " REPO);
    assert_false(file_exists(scene_path(FOLDER "/refs")));
}

static void without_links_the_file_itself_is_there(void **state) {
    (void)state;
    struct stat info;
    setenv("HF_HUB_DISABLE_SYMLINKS", "1", 1);
    hub_close(hub);
    assert_int_equal(hub_open(&hub, &err), HEARTH_OK);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_int_equal(lstat(scene_path(FOLDER "/snapshots/" COMMIT "/tiny-Q4_K_M.gguf"), &info), 0);
    assert_true(S_ISREG(info.st_mode));
    assert_pulled(Q4);
    hub_server_reset(server);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_int_equal(atomic_load(&counts->bodies), 0);
    uint64_t freed;
    assert_int_equal(hub_remove(hub, REPO, false, &freed, &err), HEARTH_OK);
    assert_int_equal(freed, BIG);
    assert_false(file_exists(scene_path(FOLDER)));
}

/* ---- interruptions ----------------------------------------------------- */

static void wait_until(_Atomic uint64_t *value, uint64_t least) {
    uint64_t start = clock_now_ns();
    while (atomic_load(value) < least && clock_seconds_since(start) < 10)
        usleep(2000);
    assert_true(atomic_load(value) >= least);
}

/* A request that a killed client sent last may be accepted only now, so it takes a
 * while of silence. */
static void wait_until_idle(void) {
    uint64_t start = clock_now_ns(), seen = 0;
    for (int quiet = 0; quiet < 20; quiet++) {
        uint64_t now = atomic_load(&counts->body_bytes) + atomic_load(&counts->bodies) +
                       atomic_load(&counts->resolves);
        if (now != seen || atomic_load(&counts->running)) quiet = 0;
        seen = now;
        usleep(5000);
        assert_true(clock_seconds_since(start) < 20);
    }
}

static uint64_t bytes_on_disk(int file) {
    struct range_log log;
    assert_int_equal(
        range_log_open(&log, blob_of(file, ".hearth.ranges"), gguf_files[file].size, 1, BIG, &err),
        HEARTH_OK);
    assert_int_equal(log.chunk_bytes, CHUNK);
    uint64_t total = range_log_total(&log);
    range_log_close(&log);
    return total;
}

static void a_killed_pull_goes_on_where_it_was(void **state) {
    (void)state;
    skip_if_forks_are_not_followed();
    atomic_store(&faults->delay_us, 4000);
    pid_t child = fork();
    if (child == 0) _exit(pull(REPO) == HEARTH_OK ? 0 : 1);
    wait_until(&counts->body_bytes, BIG / 3);
    kill(child, SIGKILL);
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    assert_nothing_registered();
    wait_until_idle();
    uint64_t there = bytes_on_disk(Q4);
    assert_in_range(there, BIG / 6, BIG - 1);
    hub_server_reset(server);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_int_equal(atomic_load(&counts->body_bytes), BIG - there);
    assert_pulled(Q4);
}

static void stop_half_way(void *context, const struct hub_progress *p) {
    if (p->total_done > BIG / 2) atomic_store((atomic_bool *)context, true);
}

static void a_stopped_pull_goes_on_where_it_was(void **state) {
    (void)state;
    atomic_bool cancel = false;
    struct hub_pull_options stopping = options;
    stopping.cancel = &cancel;
    stopping.on_progress = stop_half_way;
    stopping.context = &cancel;
    atomic_store(&faults->delay_us, 1000);
    assert_int_equal(hub_pull(hub, REPO, &stopping, NULL, &err), HEARTH_ERROR_CANCELLED);
    assert_nothing_registered();
    wait_until_idle();
    uint64_t there = bytes_on_disk(Q4);
    assert_true(there > BIG / 2);
    hub_server_reset(server);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_int_equal(atomic_load(&counts->body_bytes), BIG - there);
    assert_pulled(Q4);
}

static void two_pulls_share_the_work(void **state) {
    (void)state;
    skip_if_forks_are_not_followed();
    pid_t children[2];
    atomic_store(&faults->delay_us, 500);
    for (int i = 0; i < 2; i++)
        if ((children[i] = fork()) == 0) _exit(pull(REPO) == HEARTH_OK ? 0 : 1);
    for (int i = 0; i < 2; i++) {
        int how;
        assert_int_equal(waitpid(children[i], &how, 0), children[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    assert_int_equal(atomic_load(&counts->body_bytes), BIG);
    assert_pulled(Q4);
}

static void a_partial_file_of_another_tool_is_adopted(void **state) {
    (void)state;
    char name[512];
    snprintf(name, sizeof name, FOLDER "/blobs/%s.incomplete", gguf_files[Q4].etag);
    scene_write(name, noise, BIG / 2 + 5);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_int_equal(atomic_load(&counts->body_bytes), BIG - BIG / 2 - 5);
    assert_pulled(Q4);
    assert_false(file_exists(scene_path(name)));
}

static void a_damaged_range_log_is_thrown_away(void **state) {
    (void)state;
    char name[512];
    snprintf(name, sizeof name, FOLDER "/blobs/%s.hearth.ranges", gguf_files[Q4].etag);
    scene_write(name, noise, 1000);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_pulled(Q4);
}

/* A log that claims more than its chunks hold, or than the file has. */
static void claims_of_a_range_log_are_checked(void **state) {
    (void)state;
    struct range_log log;
    const char *path = scene_path("log");
    assert_int_equal(range_log_open(&log, path, 1000, 300, 0, &err), HEARTH_OK);
    assert_int_equal(log.n_chunks, 4);
    assert_int_equal(range_log_length(&log, 3), 100);
    assert_int_equal(range_log_add(&log, 0, 300, &err), HEARTH_OK);
    assert_int_equal(range_log_add(&log, 1, 7, &err), HEARTH_OK);
    assert_int_equal(range_log_prefix(&log), 307);
    range_log_close(&log);
    assert_int_equal(range_log_open(&log, path, 1000, 50, 307, &err), HEARTH_OK);
    assert_int_equal(range_log_total(&log), 307);
    assert_int_equal(range_log_add(&log, 1, 300, &err), HEARTH_OK);
    range_log_close(&log);
    assert_int_equal(range_log_open(&log, path, 1000, 300, 1000, &err), HEARTH_OK);
    assert_int_equal(range_log_total(&log), 0);
    assert_int_equal(range_log_add(&log, 0, 300, &err), HEARTH_OK);
    range_log_close(&log);
    assert_int_equal(range_log_open(&log, path, 1000, 300, 299, &err), HEARTH_OK);
    assert_int_equal(range_log_total(&log), 0);
    range_log_close(&log);
    assert_int_equal(range_log_open(&log, path, 1001, 300, 299, &err), HEARTH_OK);
    assert_int_equal(range_log_total(&log), 0);
    range_log_close(&log);
}

/* ---- faults of the network --------------------------------------------- */

static void cut_connections_are_continued(void **state) {
    (void)state;
    atomic_store(&faults->cut_after, CHUNK / 3);
    atomic_store(&faults->cuts, 9);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_pulled(Q4);
    assert_int_equal(atomic_load(&faults->cuts), 0);
}

static void *end_stall(void *context) {
    (void)context;
    usleep(600000);
    atomic_store(&faults->stall, false);
    return NULL;
}

static void a_stall_is_continued(void **state) {
    (void)state;
    pthread_t thread;
    atomic_store(&faults->stall, true);
    pthread_create(&thread, NULL, end_stall, NULL);
    assert_int_equal(pull(REPO), HEARTH_OK);
    pthread_join(thread, NULL);
    assert_pulled(Q4);
    assert_true(atomic_load(&counts->bodies) > BIG / CHUNK);
}

static void server_errors_are_waited_out(void **state) {
    (void)state;
    atomic_store(&faults->status_500_times, 2);
    atomic_store(&faults->status_429_times, 1);
    uint64_t start = clock_now_ns();
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_true(clock_seconds_since(start) >= 0.99);
    assert_pulled(Q4);
}

static void lasting_errors_are_told(void **state) {
    (void)state;
    atomic_store(&faults->status_500_times, 1000);
    assert_int_equal(pull(REPO), HEARTH_ERROR_IO);
    assert_says(&err, "cannot pull 'acme/tiny'");
    assert_says(&err, "status 500");
    assert_nothing_registered();
}

static void a_server_without_ranges_gets_one_stream(void **state) {
    (void)state;
    atomic_store(&faults->no_ranges, true);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_pulled(Q4);
    assert_non_null(strstr(warning, "one stream"));
}

static void wrong_bytes_are_refused(void **state) {
    (void)state;
    atomic_store(&faults->wrong_bytes, true);
    assert_int_equal(pull(REPO), HEARTH_ERROR_FORMAT);
    assert_says(&err, "'tiny-Q4_K_M.gguf' is damaged: SHA-256 should be");
    assert_nothing_registered();
    assert_false(file_exists(blob_of(Q4, ".hearth.incomplete")));
    assert_false(file_exists(blob_of(Q4, ".hearth.ranges")));
    hub_server_reset(server);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_int_equal(atomic_load(&counts->body_bytes), BIG);
    assert_pulled(Q4);
}

static void a_wrong_size_is_refused(void **state) {
    (void)state;
    static const long wrong[] = {100, -100, 3 * CHUNK, -3 * CHUNK};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        atomic_store(&faults->wrong_size, wrong[i]);
        assert_int_equal(pull(REPO), HEARTH_ERROR_FORMAT);
        assert_says(&err, "announced");
        assert_nothing_registered();
        atomic_store(&faults->no_ranges, i % 2);
    }
}

/* ---- permissions ------------------------------------------------------- */

static void use_token(const char *token) {
    if (token)
        setenv("HF_TOKEN", token, 1);
    else
        unsetenv("HF_TOKEN");
    hub_close(hub);
    assert_int_equal(hub_open(&hub, &err), HEARTH_OK);
}

static void gated_models_say_what_to_do(void **state) {
    (void)state;
    atomic_store(&faults->gated_status, 401);
    assert_int_equal(pull(REPO), HEARTH_ERROR_IO);
    assert_says(&err, "is gated (status 401): accept its licence at");
    assert_says(&err, "set HF_TOKEN");
    use_token("hf_wrong");
    atomic_store(&faults->gated_status, 403);
    assert_int_equal(pull(REPO), HEARTH_ERROR_IO);
    assert_says(&err, "with the account of your HF_TOKEN");
    assert_false(file_exists(scene_path("hf")));
}

static void the_token_stays_with_the_hub(void **state) {
    (void)state;
    scene_write("hf/token", "hf_right\n", 9);
    use_token(NULL);
    atomic_store(&faults->gated_status, 401);
    atomic_store(&faults->absolute_location, true);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_pulled(Q4);
    assert_int_equal(atomic_load(&counts->tokens_at_cdn), 0);
}

static void what_does_not_exist_is_said(void **state) {
    (void)state;
    assert_int_equal(pull("acme/other"), HEARTH_ERROR_NOT_FOUND);
    assert_says(&err, "acme/other");
    assert_int_equal(pull(REPO "@v7"), HEARTH_ERROR_NOT_FOUND);
    assert_says(&err, "no revision 'v7'");
    assert_int_equal(pull("lama3.2:1b"), HEARTH_ERROR_NOT_FOUND);
    assert_says(&err, "llama3.2:1b");
}

static void offline_uses_only_what_is_here(void **state) {
    (void)state;
    char *path;
    assert_int_equal(pull(REPO ":Q8_0"), HEARTH_OK);
    setenv("HF_HUB_OFFLINE", "1", 1);
    hub_server_reset(server);
    use_token(NULL);
    assert_int_equal(hub_pull(hub, REPO ":Q8_0", NULL, &path, &err), HEARTH_OK);
    mem_free(path);
    assert_int_equal(pull(REPO ":F16"), HEARTH_ERROR_IO);
    assert_says(&err, "HF_HUB_OFFLINE");
    assert_int_equal(atomic_load(&counts->listings), 0);
}

static void nobody_listens(void **state) {
    (void)state;
    setenv("HF_ENDPOINT", "http://127.0.0.1:9", 1);
    use_token(NULL);
    assert_int_equal(pull(REPO), HEARTH_ERROR_IO);
    assert_says(&err, "127.0.0.1:9");
    assert_says(&err, "check the network");
}

static void hostile_file_names_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {
        "../../../x-Q4_K_M.gguf", "/x.gguf", "a//b.gguf", "a/../b.gguf", "..", "", "a\\\\b.gguf",
        "x\\u0007.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        faults->location_of_file = names[i];
        assert_int_equal(pull(REPO), HEARTH_ERROR_FORMAT);
        assert_says(&err, "not safe");
    }
    assert_false(file_exists(scene_path("hf")));
}

/* ---- the disk ---------------------------------------------------------- */

static void a_full_disk_leaves_nothing_registered(void **state) {
    (void)state;
    skip_if_forks_are_not_followed();
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {1 << 20, 1 << 20};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        hearth_status status = pull(REPO);
        _exit(status == HEARTH_ERROR_IO && strstr(err.message, "the disk is full") ? 0 : 1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    assert_nothing_registered();
    wait_until_idle();
    uint64_t there = bytes_on_disk(Q4);
    hub_server_reset(server);
    assert_int_equal(pull(REPO), HEARTH_OK);
    assert_int_equal(atomic_load(&counts->body_bytes), BIG - there);
    assert_pulled(Q4);
}

static void room_is_checked_first(void **state) {
    (void)state;
    atomic_store(&faults->wrong_size, 1L << 49);
    assert_int_equal(pull(REPO), HEARTH_ERROR_IO);
    assert_says(&err, "not enough room");
    assert_int_equal(atomic_load(&counts->bodies), 0);
}

static void a_cache_that_cannot_be_written_is_said(void **state) {
    (void)state;
    scene_write("file", "", 0);
    setenv("HF_HUB_CACHE", scene_path("file/cache"), 1);
    use_token(NULL);
    assert_int_equal(pull(REPO), HEARTH_ERROR_IO);
    assert_says(&err, "cannot create folder");
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    bool failed = true;
    uint64_t n = 0;
    while (failed) {
        char *path = NULL;
        hub_remove(hub, REPO, true, NULL, NULL);
        mem_fail_after(++n);
        hearth_status status = hub_pull(hub, REPO ":Q5_K_XL", &options, &path, &err);
        failed = !mem_fail_pending();
        mem_fail_after(0);
        if (status == HEARTH_OK)
            assert_non_null(strstr(path, "tiny-UD-Q5_K_XL.gguf"));
        else
            assert_null(path);
        mem_free(path);
    }
    assert_true(n > 50);
    assert_pulled(6);
}

#define PULL_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)rng_u64(&rng);
    log_set_sink(keep_warning, NULL, LOG_INFO);
    const struct CMUnitTest tests[] = {
        PULL_TEST(the_layout_is_the_hubs),
        PULL_TEST(what_is_here_is_not_fetched_again),
        PULL_TEST(split_parts_come_together),
        PULL_TEST(names_have_many_forms),
        PULL_TEST(a_missing_quant_lists_what_there_is),
        cmocka_unit_test_setup_teardown(a_folder_comes_whole, begin_folder, end),
        cmocka_unit_test_setup_teardown(half_a_folder_is_not_a_model, begin_folder, end),
        PULL_TEST(without_links_the_file_itself_is_there),
        PULL_TEST(a_killed_pull_goes_on_where_it_was),
        PULL_TEST(a_stopped_pull_goes_on_where_it_was),
        PULL_TEST(two_pulls_share_the_work),
        PULL_TEST(a_partial_file_of_another_tool_is_adopted),
        PULL_TEST(a_damaged_range_log_is_thrown_away),
        PULL_TEST(claims_of_a_range_log_are_checked),
        PULL_TEST(cut_connections_are_continued),
        PULL_TEST(a_stall_is_continued),
        PULL_TEST(server_errors_are_waited_out),
        PULL_TEST(lasting_errors_are_told),
        PULL_TEST(a_server_without_ranges_gets_one_stream),
        PULL_TEST(wrong_bytes_are_refused),
        PULL_TEST(a_wrong_size_is_refused),
        PULL_TEST(gated_models_say_what_to_do),
        PULL_TEST(the_token_stays_with_the_hub),
        PULL_TEST(what_does_not_exist_is_said),
        PULL_TEST(offline_uses_only_what_is_here),
        PULL_TEST(nobody_listens),
        PULL_TEST(hostile_file_names_are_refused),
        PULL_TEST(a_full_disk_leaves_nothing_registered),
        PULL_TEST(room_is_checked_first),
        PULL_TEST(a_cache_that_cannot_be_written_is_said),
        PULL_TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("hub/pull", tests, NULL, NULL);
}
