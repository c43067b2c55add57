#include "tune_model.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

enum { N_RECORDS = 80, MAX_BYTES = 1 << 24 };

void tune_put(const char *name, const char *text) {
    assert_int_equal(file_write(name, text, strlen(text), NULL), HEARTH_OK);
}

char *tune_read(const char *path) {
    char *text;
    size_t size;
    if (file_read(path, MAX_BYTES, &text, &size, NULL) != HEARTH_OK) fail_msg("no '%s'", path);
    return text;
}

void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' does not contain '%s'", text, part);
}

json_t *tune_run_of(const char *folder) {
    char *path = path_join(folder, "run.json"), *text = tune_read(path);
    json_t *run = json_loads(text, 0, NULL);
    assert_true(json_is_object(run));
    mem_free(text);
    mem_free(path);
    return run;
}

void assert_same_bytes(const char *a, const char *b) {
    struct file_map x, y;
    assert_int_equal(file_map_open(&x, a, NULL), HEARTH_OK);
    assert_int_equal(file_map_open(&y, b, NULL), HEARTH_OK);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    file_map_close(&x);
    file_map_close(&y);
}

void assert_whole_log(const char *folder, int steps) {
    char *path = path_join(folder, "log.jsonl"), *text = tune_read(path);
    int step = 0, found;
    for (const char *line = text; line && *line; line = strchr(line, '\n') + 1) {
        const char *second = strstr(line, ", ");
        if (!second || strncmp(second + 2, "\"loss\"", 6) != 0) continue;
        assert_int_equal(sscanf(line, "{\"step\": %d", &found), 1);
        assert_int_equal(found, ++step);
    }
    assert_int_equal(step, steps);
    mem_free(text);
    mem_free(path);
}

static void put_data(void) {
    struct buf data, corpus;
    buf_init(&data, MAX_BYTES);
    buf_init(&corpus, MAX_BYTES);
    for (int i = 0; i < N_RECORDS; i++) {
        int a = i % 10, b = i * 7 % 11;
        buf_append_format(&data, "{\"question\":\"%d and %d\",\"answer\":\"the sum is %d\"}\n", a,
                          b, a + b);
        buf_append_format(&corpus, "{\"text\":\"%d and %d: the sum is %d\"}\n", a, b, a + b);
    }
    tune_put("data.jsonl", buf_text(&data));
    tune_put("corpus.jsonl", buf_text(&corpus));
    buf_release(&data);
    buf_release(&corpus);
}

int tune_model_set_up(void **state) {
    if (program_set_up(state) != 0 || chdir(program_path("")) != 0) return -1;
    put_data();
    RUN_OK("tokenizer", "train", "-o", "tokenizer.json", "--vocab-size", "280", "corpus.jsonl");
    RUN_OK("init", "--layers", "2", "--width", "32", "--heads", "2", "--ff", "64", "--context",
           "64", "--tokenizer", "tokenizer.json", "-o", "model.gguf");
    return 0;
}
