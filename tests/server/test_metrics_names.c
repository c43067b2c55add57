/* The names of metrics: those that the dashboard, the alerts and the manual have are there, and the
 * text is what Prometheus reads. */
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "server/metrics.h"
#include "server/metrics_models.h"
#include "testdata.h"

enum { MOST_NAMES = 256, NAME_BYTES = 96 };

struct names {
    char names[MOST_NAMES][NAME_BYTES];
    bool histogram[MOST_NAMES];
    size_t count;
};

static json_t *models(void) {
    return json_loads(
        "[{\"name\": \"a\\\"b\\\\c\\nd\", \"scheduler\": {\"pages\": 4, \"free_pages\": 1,"
        "\"kept_pages\": 1, \"passes\": 3, \"rows\": 9, \"running\": 1, \"waiting\": 0,"
        "\"prompt_tokens\": 1, \"reused_tokens\": 1, \"generated_tokens\": 1,"
        "\"preempted\": 0, \"recomputed_tokens\": 0}}, {\"name\": \"encoder\"}]",
        0, NULL);
}

static void put_everything(struct buf *out) {
    static struct metrics metrics;
    static const char *const paths[] = {"/a"};
    const struct metrics_now now = {.certificate_expires_s = 1};
    json_t *all = models();
    assert_non_null(all);
    buf_init(out, 1 << 20);
    metrics_count_request(&metrics, 0, 200, 0.1);
    metrics_put(&metrics, &now, paths, 1, out);
    metrics_put_models(all, out);
    assert_false(out->failed);
    json_decref(all);
}

static size_t find(const struct names *names, const char *name, size_t n) {
    size_t i = 0;
    while (i < names->count && (strncmp(names->names[i], name, n) != 0 || names->names[i][n]))
        i++;
    return i;
}

/* The name without what the samples of a histogram add to it. */
static size_t base_length(const char *name, size_t n) {
    static const char *const endings[] = {"_bucket", "_sum", "_count"};
    for (size_t i = 0; i < 3; i++) {
        size_t k = strlen(endings[i]);
        if (n > k && strncmp(name + n - k, endings[i], k) == 0) return n - k;
    }
    return n;
}

static bool is_there(const struct names *names, const char *name, size_t n) {
    size_t i = find(names, name, base_length(name, n));
    if (i < names->count && names->histogram[i]) return true;
    return find(names, name, n) < names->count;
}

static void take_type(struct names *names, const char *line) {
    size_t n = strcspn(line, " ");
    assert_true(names->count < MOST_NAMES && n < NAME_BYTES);
    if (find(names, line, n) < names->count) fail_msg("%.*s is there twice", (int)n, line);
    names->histogram[names->count] = strncmp(line + n, " histogram\n", 11) == 0;
    snprintf(names->names[names->count++], NAME_BYTES, "%.*s", (int)n, line);
}

/* Every sample stands below the type of its own name. */
static void read_text(const char *text, struct names *names) {
    *names = (struct names){.count = 0};
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        size_t n = strcspn(line, "{ ");
        if (strncmp(line, "# TYPE ", 7) == 0) take_type(names, line + 7);
        if (*line == '#') continue;
        const char *last = names->count ? names->names[names->count - 1] : "";
        bool own = strncmp(line, last, base_length(line, n)) == 0 || strncmp(line, last, n) == 0;
        if (!own) fail_msg("%.*s is not below its type", (int)n, line);
        assert_true(strchr(line, '\n') != NULL && strchr(line, '\n')[-1] != ' ');
    }
}

static void test_text(void **state) {
    struct names names;
    struct buf out;
    (void)state;
    put_everything(&out);
    read_text(buf_text(&out), &names);
    assert_true(names.count > 40);
    static const char *const expected[] = {
        "hearth_scheduler_rows_total{model=\"a\\\"b\\\\c\\nd\"} 9\n",
        "hearth_kv_use_ratio{model=", "} 0.5\n", "hearth_certificate_expires_seconds 1\n",
        "vllm:kv_cache_usage_perc{model_name="};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (!strstr(buf_text(&out), expected[i])) fail_msg("%s is missing", expected[i]);
    assert_null(strstr(buf_text(&out), "encoder"));
    buf_release(&out);
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Every word of a file that begins like a metric. */
static size_t check_file(const char *path, const struct names *names) {
    static const char *const beginnings[] = {"hearth_", "llamacpp:", "vllm:"};
    char whole[512], *text;
    size_t size, n_found = 0;
    const char *root = getenv("HEARTH_SOURCE_ROOT");
    snprintf(whole, sizeof whole, "%s/%s", root ? root : ".", path);
    assert_int_equal(file_read(whole, 1 << 20, &text, &size, NULL), HEARTH_OK);
    for (size_t b = 0; b < 3; b++)
        for (const char *at = text; (at = strstr(at, beginnings[b])) != NULL;) {
            size_t n = strlen(beginnings[b]);
            bool begins = at == text || !is_letter(at[-1]);
            while (is_letter(at[n]))
                n++;
            bool named =
                begins && n > strlen(beginnings[b]) && strncmp(at, "hearth_session", n) != 0;
            if (named && !is_there(names, at, n))
                fail_msg("%s: no metric '%.*s'", path, (int)n, at);
            n_found += named;
            at += n;
        }
    mem_free(text);
    return n_found;
}

static void test_names_of_others(void **state) {
    struct names names;
    struct buf out;
    (void)state;
    put_everything(&out);
    read_text(buf_text(&out), &names);
    assert_true(check_file("packaging/grafana/hearth.json", &names) > 40);
    assert_true(check_file("packaging/hearth-alerts.yml", &names) > 4);
    assert_true(check_file("docs/SERVER.md", &names) > 30);
    buf_release(&out);
}

/* Grafana takes what is JSON and has its panels beside, not over each other. */
static void test_dashboard(void **state) {
    char path[512];
    const char *root = getenv("HEARTH_SOURCE_ROOT");
    bool taken[200][24] = {{false}};
    json_t *dashboard;
    const json_t *panel;
    size_t i;
    (void)state;
    snprintf(path, sizeof path, "%s/packaging/grafana/hearth.json", root ? root : ".");
    dashboard = json_load_file(path, 0, NULL);
    assert_non_null(dashboard);
    json_array_foreach(json_object_get(dashboard, "panels"), i, panel) {
        int x, y, w, h;
        assert_int_equal(json_unpack((json_t *)(uintptr_t)panel, "{s:{s:i, s:i, s:i, s:i}}",
                                     "gridPos", "x", &x, "y", &y, "w", &w, "h", &h),
                         0);
        assert_true(x >= 0 && x + w <= 24 && y >= 0 && y + h <= 200);
        for (int k = 0; k < w * h; k++) {
            bool *place = &taken[y + k / w][x + k % w];
            assert_false(*place);
            *place = true;
        }
    }
    assert_true(i > 15);
    json_decref(dashboard);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_names_of_others),
        cmocka_unit_test(test_dashboard),
    };
    return cmocka_run_group_tests_name("server/metrics_names", tests, NULL, NULL);
}
