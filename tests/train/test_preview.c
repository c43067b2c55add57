/* What people are shown of training data: counts, places, and text with the trained part
 * marked. */
#include "format/scratch.h"

#include "base/buf.h"
#include "train/preview.h"

struct scene {
    struct directory directory;
    struct tokenizer *tokenizer;
    struct example_maker *maker;
    struct dataset *dataset;
};

static void open_scene(struct scene *s, const char *vocabulary, const char *file,
                       uint32_t max_length) {
    char name[128];
    hearth_error err = {0};
    const char *path = scratch(file);
    *s = (struct scene){0};
    snprintf(name, sizeof name, "tokenizers/%s/vocab.gguf", vocabulary);
    assert_ok(gguf_open(&s->directory, testdata(name), &err), &err);
    assert_ok(tokenizer_open(&s->tokenizer, &s->directory.metadata, &err), &err);
    const struct example_options options = {.tokenizer = s->tokenizer, .max_length = max_length};
    assert_ok(example_maker_open(&s->maker, &options, &err), &err);
    assert_ok(dataset_open(&s->dataset, &path, 1, NULL, &err), &err);
}

static void close_scene(struct scene *s) {
    dataset_close(s->dataset);
    example_maker_close(s->maker);
    tokenizer_close(s->tokenizer);
    directory_close(&s->directory);
}

static bool count_calls(void *context, uint64_t done, uint64_t total) {
    assert_true(done < total);
    return ++*(unsigned *)context < 2;
}

static void records_are_counted(void **state) {
    struct scene s;
    static struct preview_statistics counted;
    hearth_error err = {0};
    (void)state;
    scratch_put_text("data.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}\n\n"
                                   "{\"prompt\":\"a a a a a a a a a a a\",\"completion\":\"b\"}\n"
                                   "{\"prompt\":\"a\",\"completion\":\"b b b b b b b b b b b\"}\n");
    open_scene(&s, "gpt-2", "data.jsonl", 20);
    assert_ok(preview_count(&counted, s.dataset, PART_TRAIN, s.maker, 0, NULL, NULL, &err), &err);
    assert_int_equal(counted.n_records, 3);
    assert_int_equal(counted.n_results[EXAMPLE_MADE], 1);
    assert_int_equal(counted.n_results[EXAMPLE_TOO_LONG], 1);
    assert_int_equal(counted.n_results[EXAMPLE_TRUNCATED], 1);
    assert_int_equal(counted.n_sequences, 2);
    assert_int_equal(counted.n_turns, 3);
    assert_int_equal(counted.n_problems, 2);
    assert_int_equal(counted.problems[0].place.line, 3);
    assert_int_equal(counted.problems[1].place.line, 4);
    assert_true(counted.longest > 20 && counted.longest_place.line >= 3);
    assert_ok(preview_count(&counted, s.dataset, PART_TRAIN, s.maker, 1, NULL, NULL, &err), &err);
    assert_int_equal(counted.n_records, 1);
    assert_int_equal(counted.n_trained, 2); /* "b" and the end */
    close_scene(&s);
}

static void a_tokenizer_that_does_not_fit_is_named(void **state) {
    struct scene s;
    static struct preview_statistics counted;
    struct buf text;
    hearth_error err = {0};
    unsigned calls = 0;
    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 150; i++)
        buf_append_text(&text, "{\"text\":\"a word \U00013000\"}\n");
    scratch_put("glyphs.jsonl", text.data, text.length);
    buf_release(&text);
    open_scene(&s, "bert-bge", "glyphs.jsonl", 0);
    assert_int_equal(preview_count(&counted, s.dataset, PART_TRAIN, s.maker, 0, NULL, NULL, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "cannot express this data");
    assert_int_equal(
        preview_count(&counted, s.dataset, PART_TRAIN, s.maker, 0, count_calls, &calls, &err),
        HEARTH_ERROR_CANCELLED);
    close_scene(&s);
}

/* A character of several tokens is shown once, whole, and where its bytes train. */
static void segments_cover_the_text(void **state) {
    struct scene s;
    struct dataset_sample sample;
    struct example_outcome outcome;
    struct example_list list = {0};
    struct preview p;
    hearth_error err = {0};
    size_t at = 0;
    (void)state;
    scratch_put_text("one.jsonl", "{\"prompt\":\"\u4f60 \U0001F642\",\"completion\":\"\U0001F642 "
                                  "\u4f60\"}\n");
    open_scene(&s, "gpt-2", "one.jsonl", 0);
    assert_ok(dataset_read(s.dataset, PART_TRAIN, 0, &sample, &err), &err);
    assert_ok(example_make(s.maker, &sample, &list, &outcome, &err), &err);
    dataset_sample_release(&sample);
    assert_ok(preview_make(&p, s.tokenizer, &list, 0, &err), &err);
    assert_int_equal(p.n_segments, 2);
    for (size_t i = 0; i < p.n_segments; i++) {
        assert_int_equal(p.segments[i].begin, at);
        assert_int_equal(p.segments[i].trained, i % 2);
        at = p.segments[i].end;
    }
    assert_int_equal(at, p.text.length);
    assert_string_equal(p.text.data + p.segments[1].begin, "\U0001F642 \u4f60<|endoftext|>");
    preview_release(&p);
    example_list_release(&list);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_counted),
        cmocka_unit_test(a_tokenizer_that_does_not_fit_is_named),
        cmocka_unit_test(segments_cover_the_text),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
