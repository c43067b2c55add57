#include "scratch.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/cursor.h"
#include "format/gguf_write.h"

static void open_model(struct directory *dir, const char *path) {
    hearth_error err = {0};
    assert_ok(gguf_open(dir, path, &err), &err);
}

static void write_model(const char *path, const struct directory *dir, uint64_t max_part_bytes) {
    hearth_error err = {0};
    assert_ok(gguf_write(path, &dir->metadata, dir->tensors, dir->n_tensors, max_part_bytes, NULL,
                         NULL, &err),
              &err);
}

/* Calls `check` with every model of the golden data. */
static void for_every_model(void (*check)(const struct directory *dir)) {
    static const char *const folders[] = {"arch", "quantmodels"};
    size_t n_models = 0;
    for (size_t f = 0; f < sizeof folders / sizeof folders[0]; f++) {
        char **names, path[4096];
        size_t n;
        const char *folder = testdata(folders[f]);
        assert_int_equal(file_list(folder, &names, &n, NULL), HEARTH_OK);
        for (size_t i = 0; i < n; i++) {
            struct directory dir;
            snprintf(path, sizeof path, "%s/%s/model.gguf", folder, names[i]);
            if (!file_exists(path)) continue;
            open_model(&dir, path);
            check(&dir);
            directory_close(&dir);
            n_models++;
        }
        file_names_free(names, n);
    }
    assert_true(n_models >= 30);
}

/* Not only is all the same when read: the bytes are those of the reference writer. */
static void check_whole(const struct directory *dir) {
    struct directory copy;
    write_model(scratch("whole.gguf"), dir, 0);
    assert_int_equal(scratch_count(), 1);
    open_model(&copy, scratch("whole.gguf"));
    assert_int_equal(dir->maps[0].size, copy.maps[0].size);
    assert_memory_equal(dir->maps[0].data, copy.maps[0].data, copy.maps[0].size);
    assert_int_equal(dir->metadata.count, copy.metadata.count);
    assert_same_metadata(&dir->metadata, &copy.metadata);
    assert_same_tensors(dir, &copy);
    for (size_t i = 0; i < dir->n_tensors; i++)
        assert_string_equal(dir->tensors[i].name, copy.tensors[i].name);
    directory_close(&copy);
}

static void a_model_written_again_is_the_same(void **state) {
    (void)state;
    for_every_model(check_whole);
    scratch_clear();
}

/* Finds a part size that makes three parts. */
static void write_in_three(const char *path, const struct directory *dir) {
    uint64_t total = directory_bytes(dir);
    for (uint64_t size = total / 3;; size += total / 100 + 32) {
        assert_true(size < total);
        scratch_clear();
        write_model(path, dir, size);
        if (scratch_count() == 3) return;
    }
}

static void check_split(const struct directory *dir) {
    static const char *const parts[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                        "m-00003-of-00003.gguf"};
    write_in_three(scratch("m.gguf"), dir);
    for (unsigned i = 0; i < 3; i += 2) { /* any part opens the whole */
        struct directory copy;
        open_model(&copy, scratch(parts[i]));
        uint64_t count = 0, no = 7, tensors = 0;
        assert_true(metadata_u64(&copy.metadata, "split.count", &count));
        assert_true(metadata_u64(&copy.metadata, "split.no", &no));
        assert_true(metadata_u64(&copy.metadata, "split.tensors.count", &tensors));
        assert_int_equal(count, 3);
        assert_int_equal(no, 0);
        assert_int_equal(tensors, dir->n_tensors);
        assert_int_equal(metadata_find(&copy.metadata, "split.no")->type, META_U16);
        assert_int_equal(metadata_find(&copy.metadata, "split.tensors.count")->type, META_I32);
        assert_same_metadata(&dir->metadata, &copy.metadata);
        assert_same_tensors(dir, &copy);
        directory_close(&copy);
    }
}

static void a_split_model_is_the_same(void **state) {
    (void)state;
    for_every_model(check_split);
    scratch_clear();
}

static void later_parts_hold_the_split_keys_only(void **state) {
    struct directory dir;
    struct file_map map;
    (void)state;
    open_model(&dir, testdata("arch/llama-dense/model.gguf"));
    write_in_three(scratch("m.gguf"), &dir);
    directory_close(&dir);
    assert_ok(file_map_open(&map, scratch("m-00002-of-00003.gguf"), NULL), NULL);
    struct cursor c = cursor_over(map.data, map.size);
    assert_int_equal(cursor_u32(&c), 0x46554747);
    assert_int_equal(cursor_u32(&c), 3);
    assert_true(cursor_u64(&c) > 0);
    assert_int_equal(cursor_u64(&c), 3);
    assert_int_equal(cursor_u64(&c), 8);
    assert_memory_equal(cursor_bytes(&c, 8), "split.no", 8);
    file_map_close(&map);
    scratch_clear();
}

static void merging_a_split_model_drops_its_split_keys(void **state) {
    struct directory dir, split, merged;
    (void)state;
    open_model(&dir, testdata("arch/llama-dense/model.gguf"));
    write_in_three(scratch("m.gguf"), &dir);
    open_model(&split, scratch("m-00001-of-00003.gguf"));
    write_model(scratch("merged.gguf"), &split, 0);
    open_model(&merged, scratch("merged.gguf"));
    assert_int_equal(merged.metadata.count, dir.metadata.count);
    assert_same_tensors(&dir, &merged);
    directory_close(&merged);
    directory_close(&split);
    directory_close(&dir);
    scratch_clear();
}

/* ---- metadata and layout ------------------------------------------------ */

static void set_every_kind(struct metadata *m) {
    static const int16_t numbers[] = {-3, 0, 32767};
    static const double wide[] = {0.1, -1e300};
    static const struct text words[] = {{"one", 3}, {"", 0}, {"t\0o", 3}};
    metadata_init(m, 1 << 20);
    for (unsigned type = 0; type < META_TYPES; type++) {
        char key[32];
        snprintf(key, sizeof key, "number.%s", meta_type_name(type));
        if (type == META_F32)
            assert_ok(metadata_set_float(m, key, 0.5, NULL), NULL);
        else if (type == META_BOOL)
            assert_ok(metadata_set_bool(m, key, true, NULL), NULL);
        else if (type == META_F64) {
            struct meta_value value = {.key = {"wide", 4}, .type = META_F64, .f = 0.1};
            assert_ok(metadata_add(m, &value, NULL), NULL);
        } else if (meta_type_bytes(type)) {
            bool negative =
                type == META_I8 || type == META_I16 || type == META_I32 || type == META_I64;
            uint64_t number = negative ? (uint64_t)-5 : 250;
            assert_ok(metadata_set_uint(m, key, type, number, NULL), NULL);
        }
    }
    assert_ok(metadata_set_string(m, "text", "a\0b", 3, NULL), NULL);
    assert_ok(metadata_set_string(m, "empty", "", 0, NULL), NULL);
    assert_ok(metadata_set_array(m, "numbers", META_I16, numbers, 3, NULL), NULL);
    assert_ok(metadata_set_array(m, "none", META_U32, NULL, 0, NULL), NULL);
    assert_ok(metadata_set_array(m, "wides", META_F64, wide, 2, NULL), NULL);
    assert_ok(metadata_set_strings(m, "words", words, 3, NULL), NULL);
}

static void every_kind_of_value_survives(void **state) {
    struct metadata m;
    struct directory dir;
    hearth_error err = {0};
    (void)state;
    set_every_kind(&m);
    assert_ok(gguf_write(scratch("m.gguf"), &m, NULL, 0, 0, NULL, NULL, &err), &err);
    open_model(&dir, scratch("m.gguf"));
    assert_int_equal(dir.n_tensors, 0);
    assert_int_equal(dir.metadata.count, m.count);
    assert_same_metadata(&m, &dir.metadata);
    directory_close(&dir);
    metadata_release(&m);
    scratch_clear();
}

static const float small_values[6] = {1, 2, 3, 4, 5, 6};
static const struct tensor small[] = {
    {.name = "a",
     .type = ELEM_F32,
     .n_dims = 2,
     .dims = {3, 2, 1, 1},
     .data = (const uint8_t *)small_values},
    {.name = "b",
     .type = ELEM_F32,
     .n_dims = 1,
     .dims = {5, 1, 1, 1},
     .data = (const uint8_t *)small_values},
    {.name = "scalar",
     .type = ELEM_F32,
     .n_dims = 0,
     .dims = {1, 1, 1, 1},
     .data = (const uint8_t *)small_values},
};

static void alignment_is_honoured(void **state) {
    (void)state;
    for (uint32_t alignment = 8; alignment <= 256; alignment *= 2) {
        struct metadata m;
        struct directory dir;
        metadata_init(&m, 1 << 20);
        metadata_set_uint(&m, "general.alignment", META_U32, alignment, NULL);
        assert_ok(gguf_write(scratch("m.gguf"), &m, small, 3, 20, NULL, NULL, NULL), NULL);
        open_model(&dir, scratch("m-00001-of-00003.gguf"));
        assert_int_equal(dir.n_tensors, 3);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal((uintptr_t)dir.tensors[i].data % alignment, 0);
            assert_memory_equal(dir.tensors[i].data, small_values, dir.tensors[i].size_bytes);
        }
        directory_close(&dir);
        metadata_release(&m);
    }
    scratch_clear();
}

/* ---- streaming and failure ---------------------------------------------- */

enum behaviour { IN_PIECES, TOO_FEW, TOO_MANY, FAILING, CANCELLED };

static hearth_status supply(void *context, size_t i, struct tensor_writer *out, hearth_error *err) {
    enum behaviour behaviour = *(const enum behaviour *)context;
    size_t size = (size_t)out->tensors[i].size_bytes;
    if (i == 2 && behaviour == FAILING)
        return error_set(err, HEARTH_ERROR_INTERNAL, "the source failed");
    if (i == 2 && behaviour == CANCELLED) return error_set(err, HEARTH_ERROR_CANCELLED, "stopped");
    if (i == 2 && behaviour == TOO_FEW) size--;
    for (size_t at = 0, piece; at < size; at += piece) {
        piece = size - at < 3 ? size - at : 3;
        hearth_status status =
            tensor_writer_put(out, (const uint8_t *)small_values + at, piece, err);
        if (status != HEARTH_OK) return status;
    }
    return i == 2 && behaviour == TOO_MANY ? tensor_writer_put(out, "x", 1, err) : HEARTH_OK;
}

static hearth_status write_small(enum behaviour behaviour, uint64_t max_part_bytes,
                                 hearth_error *err) {
    struct metadata m;
    metadata_init(&m, 1 << 20);
    hearth_status status =
        gguf_write(scratch("m.gguf"), &m, small, 3, max_part_bytes, supply, &behaviour, err);
    metadata_release(&m);
    return status;
}

static void pieces_of_any_size_make_the_same_file(void **state) {
    char *streamed, *whole;
    size_t n_streamed, n_whole;
    struct metadata m;
    (void)state;
    assert_int_equal(write_small(IN_PIECES, 0, NULL), HEARTH_OK);
    metadata_init(&m, 1 << 20);
    assert_ok(gguf_write(scratch("w.gguf"), &m, small, 3, 0, NULL, NULL, NULL), NULL);
    metadata_release(&m);
    assert_ok(file_read(scratch("m.gguf"), 1 << 20, &streamed, &n_streamed, NULL), NULL);
    assert_ok(file_read(scratch("w.gguf"), 1 << 20, &whole, &n_whole, NULL), NULL);
    assert_int_equal(n_streamed, n_whole);
    assert_memory_equal(streamed, whole, n_whole);
    mem_free(streamed);
    mem_free(whole);
    scratch_clear();
}

static void a_failing_source_leaves_nothing(void **state) {
    static const struct {
        enum behaviour behaviour;
        hearth_status status;
        const char *message;
    } cases[] = {
        {FAILING, HEARTH_ERROR_INTERNAL, "the source failed"},
        {CANCELLED, HEARTH_ERROR_CANCELLED, "stopped"},
        {TOO_FEW, HEARTH_ERROR_ARGUMENT, "tensor 'scalar' has 4 bytes"},
        {TOO_MANY, HEARTH_ERROR_ARGUMENT, "after the last tensor"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (uint64_t max = 0; max <= 20; max += 20) {
            hearth_error err = {0};
            assert_int_equal(write_small(cases[i].behaviour, max, &err), cases[i].status);
            assert_contains(err.message, cases[i].message);
            assert_int_equal(scratch_count(), 0);
        }
}

static void a_failed_write_keeps_the_old_file(void **state) {
    char *data;
    size_t size;
    (void)state;
    scratch_put_text("m.gguf", "the old one");
    assert_int_equal(write_small(FAILING, 0, NULL), HEARTH_ERROR_INTERNAL);
    assert_ok(file_read(scratch("m.gguf"), 100, &data, &size, NULL), NULL);
    assert_string_equal(data, "the old one");
    mem_free(data);
    scratch_clear();
}

static void pushing_and_changing_one_s_mind_leaves_nothing(void **state) {
    struct tensor_writer w;
    struct metadata m;
    hearth_error err = {0};
    (void)state;
    metadata_init(&m, 1 << 20);
    assert_ok(gguf_writer_open(&w, scratch("m.gguf"), &m, small, 3, 0, &err), &err);
    assert_ok(tensor_writer_put(&w, small_values, 24, &err), &err);
    assert_int_equal(tensor_writer_put(&w, small_values, 24, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "tensor 'b' has 20 bytes, at least 24 were supplied");
    tensor_writer_discard(&w);
    assert_int_equal(scratch_count(), 0);
    assert_ok(gguf_writer_open(&w, scratch("m.gguf"), &m, small, 3, 0, &err), &err);
    assert_int_equal(tensor_writer_commit(&w, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "tensor 'a' has 24 bytes, only 0 were supplied");
    assert_int_equal(scratch_count(), 0);
    metadata_release(&m);
}

static void too_little_disk_is_said_before_anything_is_written(void **state) {
    static const struct tensor huge = {
        .name = "huge", .type = ELEM_F32, .n_dims = 2, .dims = {1 << 25, 1 << 25, 1, 1}};
    struct metadata m;
    hearth_error err = {0};
    enum behaviour behaviour = IN_PIECES;
    (void)state;
    metadata_init(&m, 1 << 20);
    assert_int_equal(gguf_write(scratch("m.gguf"), &m, &huge, 1, 0, supply, &behaviour, &err),
                     HEARTH_ERROR_IO);
    assert_contains(err.message, "it needs 4.0 PiB, folder");
    assert_int_equal(scratch_count(), 0);
    metadata_release(&m);
}

/* A limit on the size of files stands in for a full disk. */
static void a_full_disk_leaves_nothing(void **state) {
    struct directory dir;
    struct rlimit old, limit;
    hearth_error err = {0};
    (void)state;
    open_model(&dir, testdata("arch/llama-dense/model.gguf"));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (rlim_t most = 100; most <= 1000000; most *= 100) {
        limit = old;
        limit.rlim_cur = most;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        hearth_status status = gguf_write(scratch("m.gguf"), &dir.metadata, dir.tensors,
                                          dir.n_tensors, 0, NULL, NULL, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(status, HEARTH_ERROR_IO);
        assert_int_equal(scratch_count(), 0);
    }
    signal(SIGXFSZ, SIG_DFL);
    directory_close(&dir);
}

static void what_cannot_be_written_is_refused(void **state) {
    char name[80], message[400];
    struct tensor bad[2] = {small[0], small[0]};
    struct metadata m;
    hearth_error err = {0};
    (void)state;
    metadata_init(&m, 1 << 20);
    assert_int_equal(gguf_write(scratch("m.gguf"), &m, bad, 2, 0, NULL, NULL, &err),
                     HEARTH_ERROR_FORMAT);
    snprintf(message, sizeof message, "cannot write '%s': tensor 'a' appears twice",
             scratch("m.gguf"));
    assert_string_equal(err.message, message);
    memset(name, 'x', sizeof name);
    name[64] = '\0';
    bad[1].name = name;
    assert_int_equal(gguf_write(scratch("m.gguf"), &m, bad, 2, 0, NULL, NULL, &err),
                     HEARTH_ERROR_ARGUMENT);
    name[63] = '\0';
    assert_ok(gguf_write(scratch("m.gguf"), &m, bad, 2, 0, NULL, NULL, &err), &err);
    bad[1].dtype = DTYPE_F8_E4M3;
    assert_int_equal(gguf_write(scratch("m.gguf"), &m, bad, 2, 0, NULL, NULL, &err),
                     HEARTH_ERROR_UNSUPPORTED);
    assert_contains(err.message, "f8_e4m3");
    metadata_set_uint(&m, "general.alignment", META_U32, 33, NULL);
    assert_int_equal(gguf_write(scratch("m.gguf"), &m, small, 3, 0, NULL, NULL, &err),
                     HEARTH_ERROR_ARGUMENT);
    metadata_release(&m);
    scratch_clear();
}

/* ---- split models that do not fit together ------------------------------ */

static void expect_refusal(const char *name, hearth_status status, const char *message) {
    struct directory dir;
    hearth_error err = {0};
    assert_int_equal(gguf_open(&dir, scratch(name), &err), status);
    assert_int_equal(err.code, status);
    assert_contains(err.message, message);
    assert_null(dir.tensors);
}

static void move(const char *from, const char *to) {
    assert_int_equal(rename(scratch(from), scratch(to)), 0);
}

static void parts_that_do_not_belong_together_are_refused(void **state) {
    (void)state;
    assert_int_equal(write_small(IN_PIECES, 20, NULL), HEARTH_OK);
    assert_int_equal(scratch_count(), 3);
    move("m-00002-of-00003.gguf", "kept");
    expect_refusal("m-00001-of-00003.gguf", HEARTH_ERROR_NOT_FOUND,
                   "part 2 of 3, 'm-00002-of-00003.gguf', is missing; fetch it into the same "
                   "folder, 'hearth pull' fetches all parts");
    move("m-00001-of-00003.gguf", "alone.gguf");
    expect_refusal("m-00003-of-00003.gguf", HEARTH_ERROR_NOT_FOUND,
                   "part 1 of 3, 'm-00001-of-00003.gguf', is missing");
    expect_refusal("alone.gguf", HEARTH_ERROR_FORMAT,
                   "it is part 1 of a model in 3 parts, which its name does not say");
    move("alone.gguf", "m-00001-of-00002.gguf");
    expect_refusal("m-00001-of-00002.gguf", HEARTH_ERROR_FORMAT,
                   "its name says part 1 of 2, its metadata part 1 of 3");
    move("m-00001-of-00002.gguf", "m-00002-of-00003.gguf");
    move("kept", "m-00001-of-00003.gguf");
    expect_refusal("m-00001-of-00003.gguf", HEARTH_ERROR_FORMAT,
                   "its name says part 1 of 3, its metadata part 2 of 3");
    scratch_clear();
}

static void the_number_of_tensors_must_be_what_was_promised(void **state) {
    static const float values[24];
    static const char *const names[] = {"a", "b", "s2", "s3", "s4"};
    struct tensor five[5];
    struct metadata m;
    (void)state;
    metadata_init(&m, 1 << 20);
    for (int i = 0; i < 5; i++)
        five[i] = (struct tensor){.name = names[i],
                                  .n_dims = 1,
                                  .dims = {i < 2 ? 24 : 1, 1, 1, 1},
                                  .data = (const uint8_t *)values};
    assert_int_equal(write_small(IN_PIECES, 20, NULL), HEARTH_OK);
    /* Another model in three parts, of which the last has three tensors. */
    assert_ok(gguf_write(scratch("o.gguf"), &m, five, 5, 96, NULL, NULL, NULL), NULL);
    move("o-00003-of-00003.gguf", "m-00003-of-00003.gguf");
    expect_refusal("m-00001-of-00003.gguf", HEARTH_ERROR_FORMAT,
                   "split.tensors.count is 3, the 3 parts hold 5 tensors");
    metadata_release(&m);
    scratch_clear();
}

static void odd_names_are_not_taken_for_parts(void **state) {
    static const char *const names[] = {"m-00000-of-00003.gguf", "m-00004-of-00003.gguf",
                                        "m-0001-of-00003.gguf",  "m-+0001-of-00003.gguf",
                                        "-00001-of-00001.gguf",  "m-00001-of-99999.gguf"};
    struct metadata m;
    (void)state;
    metadata_init(&m, 1 << 20);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct directory dir;
        assert_ok(gguf_write(scratch(names[i]), &m, small, 3, 0, NULL, NULL, NULL), NULL);
        open_model(&dir, scratch(names[i]));
        assert_int_equal(dir.n_tensors, 3);
        directory_close(&dir);
    }
    metadata_release(&m);
    scratch_clear();
}

static void other_kinds_of_file_are_called_by_name(void **state) {
    (void)state;
    scratch_put_text("m.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    expect_refusal("m.gguf", HEARTH_ERROR_FORMAT, "Git LFS pointer");
    scratch_put_text("m.gguf", "<!doctype html>");
    expect_refusal("m.gguf", HEARTH_ERROR_FORMAT, "web page");
    scratch_put_text("m.gguf", "PK\003\004.....");
    expect_refusal("m.gguf", HEARTH_ERROR_FORMAT, "pickle");
    scratch_clear();
}

/* ---- no memory ----------------------------------------------------------- */

static void opening_survives_every_failing_allocation(void **state) {
    struct directory dir;
    unsigned n = 0;
    (void)state;
    assert_int_equal(write_small(IN_PIECES, 20, NULL), HEARTH_OK);
    for (hearth_status status = HEARTH_ERROR_NO_MEMORY; status != HEARTH_OK;) {
        hearth_error err = {0};
        mem_fail_after(++n);
        status = gguf_open(&dir, scratch("m-00002-of-00003.gguf"), &err);
        if (status != HEARTH_OK) {
            assert_int_equal(status, HEARTH_ERROR_NO_MEMORY);
            assert_int_equal(err.code, HEARTH_ERROR_NO_MEMORY);
            assert_false(mem_fail_pending());
        }
    }
    mem_fail_after(0);
    assert_true(n > 10);
    assert_int_equal(dir.n_tensors, 3);
    directory_close(&dir);
    scratch_clear();
}

static void writing_survives_every_failing_allocation(void **state) {
    struct metadata m;
    unsigned n = 0;
    (void)state;
    set_every_kind(&m);
    for (hearth_status status = HEARTH_ERROR_NO_MEMORY; status != HEARTH_OK;) {
        hearth_error err = {0};
        assert_int_equal(scratch_count(), 0);
        mem_fail_after(++n);
        status = gguf_write(scratch("m.gguf"), &m, small, 3, 20, NULL, NULL, &err);
        if (mem_fail_pending()) break;
        /* The folder's name for the last fsync may be missing: the file is complete. */
        if (status == HEARTH_OK) {
            scratch_clear();
            status = HEARTH_ERROR_NO_MEMORY;
        }
        assert_int_equal(status, HEARTH_ERROR_NO_MEMORY);
    }
    mem_fail_after(0);
    assert_true(n > 10);
    assert_int_equal(scratch_count(), 3);
    metadata_release(&m);
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_written_again_is_the_same),
        cmocka_unit_test(a_split_model_is_the_same),
        cmocka_unit_test(later_parts_hold_the_split_keys_only),
        cmocka_unit_test(merging_a_split_model_drops_its_split_keys),
        cmocka_unit_test(every_kind_of_value_survives),
        cmocka_unit_test(alignment_is_honoured),
        cmocka_unit_test(pieces_of_any_size_make_the_same_file),
        cmocka_unit_test(a_failing_source_leaves_nothing),
        cmocka_unit_test(a_failed_write_keeps_the_old_file),
        cmocka_unit_test(pushing_and_changing_one_s_mind_leaves_nothing),
        cmocka_unit_test(too_little_disk_is_said_before_anything_is_written),
        cmocka_unit_test(a_full_disk_leaves_nothing),
        cmocka_unit_test(what_cannot_be_written_is_refused),
        cmocka_unit_test(parts_that_do_not_belong_together_are_refused),
        cmocka_unit_test(the_number_of_tensors_must_be_what_was_promised),
        cmocka_unit_test(odd_names_are_not_taken_for_parts),
        cmocka_unit_test(other_kinds_of_file_are_called_by_name),
        cmocka_unit_test(opening_survives_every_failing_allocation),
        cmocka_unit_test(writing_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("format/gguf_write", tests, scratch_open, scratch_close);
}
