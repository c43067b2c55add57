/* Data sets: what they are taken for, what is read out of them, and every mistake by its
 * line. */
#include "format/scratch.h"

#include "base/buf.h"
#include "train/dataset.h"

static struct dataset *open_ok(const char *name, const struct dataset_options *options) {
    struct dataset *d;
    hearth_error err = {0};
    const char *path = scratch(name);
    assert_ok(dataset_open(&d, &path, 1, options, &err), &err);
    return d;
}

static void put_and_fail(const char *name, const char *text, const char *message) {
    struct dataset *d;
    hearth_error err = {0};
    const char *path = scratch(name);
    scratch_put_text(name, text);
    assert_int_not_equal(dataset_open(&d, &path, 1, NULL, &err), HEARTH_OK);
    assert_null(d);
    assert_contains(err.message, message);
    assert_contains(err.message, name);
}

static struct dataset_sample read_ok(const struct dataset *d, uint64_t i) {
    struct dataset_sample sample;
    hearth_error err = {0};
    assert_ok(dataset_read(d, PART_TRAIN, i, &sample, &err), &err);
    return sample;
}

/* Of a record whose text is a number. */
static size_t number_of(const struct dataset_sample *sample) {
    return strtoul(json_string_value(sample->text), NULL, 10);
}

/* "role=content|…" of a record's messages, with the names of called functions. */
static const char *conversation(const json_t *messages) {
    static char text[4096];
    size_t i, n = 0;
    json_t *message;
    text[0] = '\0';
    json_array_foreach(messages, i, message) {
        const json_t *content = json_object_get(message, "content");
        const json_t *call = json_array_get(json_object_get(message, "tool_calls"), 0);
        const json_t *function = json_object_get(call, "function");
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s=%s%s%s", i ? "|" : "",
                              json_string_value(json_object_get(message, "role")),
                              json_is_string(content) ? json_string_value(content) : "?",
                              function ? "->" : "",
                              function ? json_string_value(json_object_get(function, "name")) : "");
    }
    return text;
}

static void expect(const char *name, const char *text, enum dataset_container container,
                   enum dataset_schema schema, const char *messages) {
    scratch_put_text(name, text);
    struct dataset *d = open_ok(name, NULL);
    const struct dataset_file_summary *file = dataset_file(d, 0);
    assert_int_equal(file->container, container);
    assert_int_equal(file->schema, schema);
    assert_true(file->container_reason[0] && file->schema_reason[0]);
    struct dataset_sample sample = read_ok(d, 0);
    assert_string_equal(conversation(sample.messages), messages);
    dataset_sample_release(&sample);
    dataset_close(d);
}

/* ---- formats ---- */

static void formats_are_recognised(void **state) {
    (void)state;
    expect("a.jsonl", "{\"instruction\":\"I\",\"input\":\"\",\"output\":\"O\"}\n", CONTAINER_JSONL,
           SCHEMA_ALPACA, "user=I|assistant=O");
    expect("b.json",
           " [ {\"instruction\":\"I\",\"input\":\"X\",\"output\":\"O\",\"system\":\"S\",\n"
           "\"history\":[[\"q\",\"a\"]]} ] \n",
           CONTAINER_JSON, SCHEMA_ALPACA, "system=S|user=q|assistant=a|user=I\nX|assistant=O");
    expect("c",
           "{\"conversations\":[{\"from\":\"human\",\"value\":\"Q\"},{\"from\":\"function_call\","
           "\"value\":\"{\\\"name\\\":\\\"f\\\",\\\"arguments\\\":{}}\"},{\"from\":"
           "\"observation\",\"value\":\"R\"},{\"from\":\"gpt\",\"value\":\"A\"}],"
           "\"system\":\"S\"}",
           CONTAINER_JSONL, SCHEMA_SHAREGPT, "system=S|user=Q|assistant=->f|tool=R|assistant=A");
    expect("d.jsonl",
           "{\"messages\":[{\"role\":\"user\",\"content\":\"Q\"},{\"role\":\"assistant\","
           "\"content\":null,\"function_call\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}",
           CONTAINER_JSONL, SCHEMA_MESSAGES, "user=Q|assistant=?->g");
    expect("e.jsonl", "{\"question\":\"Q\",\"answer\":\"A\"}", CONTAINER_JSONL, SCHEMA_PAIRS,
           "user=Q|assistant=A");
    expect("f.csv", "prompt,completion\n\"a, \"\"b\"\"\nc\",d\n", CONTAINER_CSV, SCHEMA_PAIRS,
           "user=a, \"b\"\nc|assistant=d");
    expect("g.csv", "frage;question;answer\r\n1;q;\"a\r\nb\"\r\n", CONTAINER_CSV, SCHEMA_PAIRS,
           "user=q|assistant=a\r\nb");
    expect("h.tsv", "prompt\tcompletion\nq\ta", CONTAINER_CSV, SCHEMA_PAIRS, "user=q|assistant=a");
    expect("i.jsonl", "\xef\xbb\xbf{\"prompt\":\"Q\",\"chosen\":\"C\",\"rejected\":\"R\"}\r\n",
           CONTAINER_JSONL, SCHEMA_PREFERENCE, "user=Q");
    expect("j.csv",
           "messages\n\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"Q\"\"},{\"\"role\"\":"
           "\"\"assistant\"\",\"\"content\"\":\"\"A\"\"}]\"\n",
           CONTAINER_CSV, SCHEMA_MESSAGES, "user=Q|assistant=A");
}

static void tools_come_along(void **state) {
    (void)state;
    scratch_put_text("t.jsonl",
                     "{\"messages\":[{\"role\":\"user\",\"content\":\"Q\"},{\"role\":\"assistant\","
                     "\"content\":\"A\"}],\"functions\":[{\"name\":\"f\",\"parameters\":{}}]}");
    struct dataset *d = open_ok("t.jsonl", NULL);
    struct dataset_sample sample = read_ok(d, 0);
    const json_t *tool = json_array_get(sample.tools, 0);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(tool, "function"), "name")), "f");
    dataset_sample_release(&sample);
    dataset_close(d);
}

static void preferences_share_a_prompt(void **state) {
    (void)state;
    scratch_put_text(
        "p.jsonl",
        "{\"chosen\":[{\"role\":\"user\",\"content\":\"Q\"},{\"role\":\"assistant\",\"content\":"
        "\"C\"}],\"rejected\":[{\"role\":\"user\",\"content\":\"Q\"},{\"role\":\"assistant\","
        "\"content\":\"R\"}]}\n{\"chosen\":\"Human: a\",\"rejected\":\"Human: b\"}\n");
    struct dataset *d = open_ok("p.jsonl", NULL);
    assert_true(dataset_is_preference(d));
    struct dataset_sample sample = read_ok(d, 0);
    assert_string_equal(conversation(sample.messages), "user=Q");
    assert_string_equal(conversation(sample.chosen), "assistant=C");
    assert_string_equal(conversation(sample.rejected), "assistant=R");
    dataset_sample_release(&sample);
    sample = read_ok(d, 1);
    assert_null(sample.messages);
    assert_string_equal(json_string_value(sample.rejected), "Human: b");
    dataset_sample_release(&sample);
    dataset_close(d);
    put_and_fail("same.jsonl", "{\"prompt\":\"Q\",\"chosen\":\"A\",\"rejected\":\"A\"}",
                 "nothing to prefer");
}

static void texts_are_cut_into_documents(void **state) {
    const struct dataset_options options = {.document_separator = "<|end|>"};
    static const char *const documents[] = {"one\ntwo", "three", "four"};
    (void)state;
    scratch_put_text("t.txt", "one\ntwo\n<|end|>\nthree<|end|>\n\n<|end|>four");
    struct dataset *d = open_ok("t.txt", &options);
    assert_int_equal(dataset_count(d, PART_TRAIN), 3);
    for (uint64_t i = 0; i < 3; i++) {
        struct dataset_sample sample = read_ok(d, i);
        assert_string_equal(json_string_value(sample.text), documents[i]);
        assert_true(sample.text_begins && sample.text_ends);
        dataset_sample_release(&sample);
    }
    dataset_close(d);
}

/* A long document in pieces is the document, and only its ends are ends. */
static void long_texts_come_in_pieces(void **state) {
    enum { BYTES = 3 * DATASET_TEXT_PIECE_BYTES / 2 };
    const struct dataset_options options = {.max_record_bytes = 1000};
    char *text = mem_alloc(BYTES + 1), *at = text;
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < BYTES; i++)
        text[i] = i % 97 == 96 ? '\n' : (char)('a' + i % 26);
    for (size_t i = 5000; i + 3000 < 12000; i += 2) /* no line end here, two-byte characters */
        memcpy(text + i, "\xc3\xa9", 2);
    text[BYTES] = '\0';
    scratch_put_text("long.txt", text);
    struct dataset *d = open_ok("long.txt", &options);
    uint64_t n = dataset_count(d, PART_TRAIN);
    assert_true(n > BYTES / 1000);
    for (uint64_t i = 0; i < n; i++) {
        struct dataset_sample sample = read_ok(d, i);
        size_t length = json_string_length(sample.text);
        assert_true(length <= 1000);
        assert_memory_equal(at, json_string_value(sample.text), length);
        assert_int_equal(sample.text_begins, i == 0);
        assert_int_equal(sample.text_ends, i + 1 == n);
        at += length;
        dataset_sample_release(&sample);
    }
    assert_int_equal(at - text, BYTES);
    dataset_close(d);
    mem_free(text);
}

static void columns_can_be_named(void **state) {
    struct dataset_options options = {.schema = SCHEMA_PAIRS};
    enum dataset_field field;
    const char *column;
    hearth_error err = {0};
    (void)state;
    assert_ok(dataset_parse_column("prompt=Frage", &field, &column, &err), &err);
    options.columns[field] = column;
    assert_ok(dataset_parse_column("completion=Antwort", &field, &column, &err), &err);
    options.columns[field] = column;
    scratch_put_text("n.csv", "Frage,Antwort\nq,a\n");
    struct dataset *d = open_ok("n.csv", &options);
    struct dataset_sample sample = read_ok(d, 0);
    assert_string_equal(conversation(sample.messages), "user=q|assistant=a");
    dataset_sample_release(&sample);
    dataset_close(d);
    assert_int_equal(dataset_parse_column("promt=x", &field, &column, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "did you mean 'prompt'");
    enum dataset_schema schema;
    assert_ok(dataset_parse_schema("openai", &schema, &err), &err);
    assert_int_equal(schema, SCHEMA_MESSAGES);
    assert_int_equal(dataset_parse_schema("alpacca", &schema, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "did you mean 'alpaca'");
}

/* ---- mistakes ---- */

static void mistakes_are_named_by_line(void **state) {
    static const char good[] = "{\"prompt\":\"Q\",\"completion\":\"A\"}\n";
    static const struct {
        const char *line, *message;
    } lines[] = {
        {"{\"prompt\":\"Q\",", ":3: not JSON"},
        {"{\"prompt\":\"\xff\",\"completion\":\"A\"}", ":3: not UTF-8: byte 0xff at byte 12"},
        {"[1]", ":3: the record is not a JSON object"},
        {"{\"prompt\":\"Q\"}", ":3: no column 'completion'; its columns are 'prompt'"},
        {"{\"prompt\":\"Q\",\"completon\":\"A\"}", "is 'completon' 'completion'?"},
        {"{\"prompt\":\"Q\",\"completion\":7}", ":3: column 'completion' is not text"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"Q\"}]}",
         ":3: mixed formats: the file began as pairs, this record is messages"},
        {"{\"prompt\":\"Q\",\"prompt\":\"Q\",\"completion\":\"A\"}", ":3: not JSON: duplicate"},
        {"{\"prompt\":\"\\u0000\",\"completion\":\"A\"}", ":3: not JSON"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s\n%s\n%s", good, lines[i].line, good);
        put_and_fail("bad.jsonl", text, lines[i].message);
    }
    put_and_fail("m.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"Q\"}]}",
                 ":1: 'messages' has no message of the assistant");
    put_and_fail("m.jsonl", "{\"messages\":[{\"role\":\"usr\",\"content\":\"Q\"}]}",
                 "message 1 of 'messages' is by 'usr'; did you mean 'user'?");
    put_and_fail("m.jsonl", "{\"messages\":[{\"role\":\"user\"}]}", "has no 'content'");
    put_and_fail("m.jsonl",
                 "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
                 "part of type 'image_url'; only text");
    put_and_fail("s.jsonl", "{\"conversations\":[{\"from\":\"humn\",\"value\":\"Q\"}]}",
                 "did you mean 'human'");
}

static void mistakes_of_whole_files_are_named(void **state) {
    (void)state;
    put_and_fail("empty.jsonl", "", "the file is empty");
    put_and_fail("blank.jsonl", "\n \n", "has no records");
    put_and_fail("a.jsonl", "{\"instructon\":\"I\",\"output\":\"O\"}",
                 "is 'instructon' 'instruction'?");
    put_and_fail("a.json", "[{\"text\":\"x\"},\n{\"text\":\"y\"}",
                 ":2: the record that begins here");
    put_and_fail("a.json", "[{\"text\":\"x\"}\n{\"text\":\"y\"}]", ":2: found '{' where ','");
    put_and_fail("a.json", "[{\"text\":\"x\"}]\n7", ":2: something follows the array");
    put_and_fail("a.json", "{\n\"text\":\n\"x\"\n}", "object over several lines");
    put_and_fail("a.csv", "text\n\"x", ":2: the record that begins here has a quote");
    put_and_fail("a.csv", "prompt,completion\n1,2\n3\n", ":3: 1 columns, but the header names 2");
    put_and_fail("a.csv", "prompt,completion\n\"1\"x,2\n",
                 ":2: a column has text after its closing");
    put_and_fail("a.csv", "prompt,prompt\n1,2\n", "two columns are called 'prompt'");
    put_and_fail("a.csv", "prompt,\n1,2\n", "column 2 of the header has no name");
    put_and_fail("data.parquet", "PAR1....", "Parquet");
    put_and_fail("data.gz", "\x1f\x8b....", "decompress");
    put_and_fail("data.txt", "\xff\xfe.", "UTF-16");
    scratch_put("nul.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\0\"}", 26);
    struct dataset *d;
    hearth_error err;
    const char *path = scratch("nul.jsonl");
    assert_int_equal(dataset_open(&d, &path, 1, NULL, &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, ":2: a NUL byte at byte 10");
    path = scratch("not there");
    assert_int_equal(dataset_open(&d, &path, 1, NULL, &err), HEARTH_ERROR_NOT_FOUND);
}

static void limits_have_names(void **state) {
    struct dataset *d;
    hearth_error err;
    const char *path = scratch("l.jsonl");
    struct dataset_options options = {.max_record_bytes = 20};
    (void)state;
    scratch_put_text("l.jsonl", "{\"text\":\"a\"}\n{\"text\":\"0123456789\"}\n");
    assert_int_equal(dataset_open(&d, &path, 1, &options, &err), HEARTH_ERROR_LIMIT);
    assert_contains(err.message, ":2: the record has 21 bytes, more than the limit of 20");
    options = (struct dataset_options){.max_index_bytes = 8};
    assert_int_equal(dataset_open(&d, &path, 1, &options, &err), HEARTH_ERROR_LIMIT);
    assert_contains(err.message, "budget of 8 bytes");
    options = (struct dataset_options){.eval_count = 2};
    assert_int_equal(dataset_open(&d, &path, 1, &options, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "leave none to train on");
}

/* One broken line among many is named, or counted and passed by. */
static void broken_lines_can_be_skipped(void **state) {
    enum { N = 5000, BROKEN = 3210 };
    struct dataset_options options = {.skip_broken = true};
    struct buf text;
    (void)state;
    buf_init(&text, 1 << 22);
    for (int i = 1; i <= N; i++)
        buf_append_format(&text, i == BROKEN ? "{\"text\": %d\n" : "{\"text\": \"%d\"}\n", i);
    scratch_put("many.jsonl", text.data, text.length);
    buf_release(&text);
    struct dataset *d;
    hearth_error err;
    const char *path = scratch("many.jsonl");
    assert_int_equal(dataset_open(&d, &path, 1, NULL, &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "many.jsonl:3210: not JSON");
    d = open_ok("many.jsonl", &options);
    assert_int_equal(dataset_count(d, PART_TRAIN), N - 1);
    assert_int_equal(dataset_n_broken(d), 1);
    assert_int_equal(dataset_problem(d, 0)->place.line, BROKEN);
    assert_null(dataset_problem(d, 1));
    for (uint64_t i = 0; i < N - 1; i += 7) { /* places and contents agree */
        struct dataset_sample sample = read_ok(d, i);
        assert_int_equal(number_of(&sample), sample.place.line);
        assert_int_equal(sample.place.line, i + 1 + (i + 1 >= BROKEN));
        dataset_sample_release(&sample);
    }
    dataset_close(d);
}

/* ---- parts and order ---- */

static void parts_are_disjoint_and_stable(void **state) {
    enum { N = 1000 };
    struct dataset_options options = {.eval_fraction = 0.1, .seed = 7};
    struct buf text;
    char seen[N] = {0}, again[N] = {0};
    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < N; i++) /* every text twice */
        buf_append_format(&text, "{\"text\":\"%d\"}\n", i / 2);
    scratch_put("parts.jsonl", text.data, text.length);
    struct dataset *d = open_ok("parts.jsonl", &options);
    uint64_t n_eval = dataset_count(d, PART_EVAL);
    assert_true(n_eval >= 100 && n_eval <= 101);
    assert_int_equal(n_eval + dataset_count(d, PART_TRAIN), N);
    for (uint64_t i = 0; i < n_eval; i++) {
        struct dataset_sample sample;
        assert_int_equal(dataset_read(d, PART_EVAL, i, &sample, NULL), HEARTH_OK);
        seen[number_of(&sample)]++;
        dataset_sample_release(&sample);
    }
    for (uint64_t i = 0; i < dataset_count(d, PART_TRAIN); i++) {
        struct dataset_sample sample = read_ok(d, i);
        assert_int_equal(seen[number_of(&sample)], 0); /* no twin either */
        dataset_sample_release(&sample);
    }
    dataset_close(d);
    /* More records leave most decisions as they were: they depend on the content. */
    buf_append_format(&text, "{\"text\":\"more\"}\n");
    scratch_put("parts.jsonl", text.data, text.length);
    d = open_ok("parts.jsonl", &options);
    unsigned same = 0;
    for (uint64_t i = 0; i < dataset_count(d, PART_EVAL); i++) {
        struct dataset_sample sample;
        assert_int_equal(dataset_read(d, PART_EVAL, i, &sample, NULL), HEARTH_OK);
        if (strcmp(json_string_value(sample.text), "more") != 0) again[number_of(&sample)]++;
        dataset_sample_release(&sample);
    }
    for (int i = 0; i < N; i++)
        same += seen[i] && again[i];
    assert_true(same >= 49);
    dataset_close(d);
    buf_release(&text);
}

static void shuffling_is_a_permutation(void **state) {
    static const uint64_t sizes[] = {1, 2, 3, 5, 64, 100, 1000, 4097};
    static char seen[4097];
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            uint64_t n = sizes[s], fixed = 0;
            memset(seen, 0, sizeof seen);
            for (uint64_t i = 0; i < n; i++) {
                uint64_t k = dataset_shuffled(n, 11, epoch, i);
                assert_true(k < n);
                assert_int_equal(seen[k]++, 0);
                fixed += k == i;
            }
            if (n >= 100) assert_true(fixed < 12);
        }
    unsigned same = 0;
    for (uint64_t i = 0; i < 1000; i++)
        same += dataset_shuffled(1000, 11, 0, i) == dataset_shuffled(1000, 11, 1, i);
    assert_true(same < 12);
}

static void files_follow_each_other(void **state) {
    char first[1024], second[1024];
    struct dataset *d;
    hearth_error err = {0};
    struct dataset_options options = {0};
    (void)state;
    scratch_put_text("1.jsonl", "{\"text\":\"a\"}\n\n{\"text\":\"b\"}\n");
    scratch_put_text("2.csv", "prompt,completion\nq,c\n");
    snprintf(first, sizeof first, "%s", scratch("1.jsonl"));
    snprintf(second, sizeof second, "%s", scratch("2.csv"));
    const char *const paths[] = {first, second};
    assert_ok(dataset_open(&d, paths, 2, NULL, &err), &err);
    assert_int_equal(dataset_count(d, PART_TRAIN), 3);
    struct dataset_sample sample = read_ok(d, 1);
    assert_int_equal(sample.place.line, 3);
    assert_string_equal(sample.place.file, first);
    dataset_sample_release(&sample);
    sample = read_ok(d, 2);
    assert_int_equal(sample.place.line, 2);
    assert_string_equal(sample.place.file, second);
    assert_int_equal(sample.schema, SCHEMA_PAIRS);
    dataset_sample_release(&sample);
    dataset_close(d);
    options.max_samples = 2;
    assert_ok(dataset_open(&d, paths, 2, &options, &err), &err);
    assert_int_equal(dataset_count(d, PART_TRAIN), 2);
    dataset_close(d);
    scratch_put_text("2.csv", "prompt,chosen,rejected\nq,c,r\n");
    assert_int_equal(dataset_open(&d, paths, 2, NULL, &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "has preference pairs and");
}

/* ---- callers and memory ---- */

static bool refuse(void *context, uint64_t done, uint64_t total) {
    (void)context;
    assert_true(done <= total);
    return false;
}

static void opening_can_be_stopped(void **state) {
    struct dataset *d;
    hearth_error err;
    const struct dataset_options options = {.progress = refuse};
    const char *path = scratch("1.jsonl");
    (void)state;
    scratch_put_text("1.jsonl", "{\"text\":\"a\"}\n");
    assert_int_equal(dataset_open(&d, &path, 1, &options, &err), HEARTH_ERROR_CANCELLED);
    assert_null(d);
}

static void failed_allocations_leave_nothing(void **state) {
    struct dataset_options options = {.eval_count = 1, .document_separator = "--"};
    const char *path = scratch("mem.csv");
    hearth_status status;
    (void)state;
    options.columns[FIELD_PROMPT] = "prompt";
    scratch_put_text("mem.csv", "prompt,completion\na,b\n\"c\",d\n");
    for (uint64_t n = 1;; n++) {
        struct dataset *d;
        hearth_error err = {0};
        mem_fail_after(n);
        status = dataset_open(&d, &path, 1, &options, &err);
        bool untouched = mem_fail_pending() != 0;
        mem_fail_after(0);
        if (status == HEARTH_OK) {
            assert_true(untouched);
            dataset_close(d);
            break;
        }
        assert_int_equal(status, HEARTH_ERROR_NO_MEMORY);
        assert_null(d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_recognised),
        cmocka_unit_test(tools_come_along),
        cmocka_unit_test(preferences_share_a_prompt),
        cmocka_unit_test(texts_are_cut_into_documents),
        cmocka_unit_test(long_texts_come_in_pieces),
        cmocka_unit_test(columns_can_be_named),
        cmocka_unit_test(mistakes_are_named_by_line),
        cmocka_unit_test(mistakes_of_whole_files_are_named),
        cmocka_unit_test(limits_have_names),
        cmocka_unit_test(broken_lines_can_be_skipped),
        cmocka_unit_test(parts_are_disjoint_and_stable),
        cmocka_unit_test(shuffling_is_a_permutation),
        cmocka_unit_test(files_follow_each_other),
        cmocka_unit_test(opening_can_be_stopped),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
