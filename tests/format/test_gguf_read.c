/* Hostile GGUF files: each must give one clear line that names the file, and never a
 * crash, a hang or a half-open directory. Damage is built in memory and written to
 * a file of its own in a temporary folder. */
#include "testdata.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "format/directory.h"

enum { MAX_FILE_BYTES = 1 << 22, ALIGNMENT = 32 };

struct sandbox {
    char folder[64];
    char path[128];
    struct buf file;
};

static int make_sandbox(void **state) {
    static struct sandbox box;
    snprintf(box.folder, sizeof box.folder, "/tmp/hearth_gguf_XXXXXX");
    if (!mkdtemp(box.folder)) return -1;
    snprintf(box.path, sizeof box.path, "%s/hostile.gguf", box.folder);
    buf_init(&box.file, MAX_FILE_BYTES);
    *state = &box;
    return 0;
}

static int remove_sandbox(void **state) {
    struct sandbox *box = *state;
    char **names;
    size_t count;
    buf_release(&box->file);
    if (file_list(box->folder, &names, &count, NULL) != HEARTH_OK) return -1;
    for (size_t i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", box->folder, names[i]);
        unlink(path);
    }
    file_names_free(names, count);
    return rmdir(box->folder);
}

/* ---- building files ------------------------------------------------------ */

static void put(struct buf *b, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        assert_true(buf_append_char(b, (char)(value >> (8 * i) & 0xff)));
}

static void put_text(struct buf *b, const char *text, size_t length) {
    put(b, length, 8);
    assert_true(buf_append(b, text, length));
}

static void put_key(struct buf *b, const char *key, uint32_t type) {
    put_text(b, key, strlen(key));
    put(b, type, 4);
}

static void begin(struct buf *b, uint64_t n_tensors, uint64_t n_values) {
    buf_clear(b);
    assert_true(buf_append(b, "GGUF", 4));
    put(b, 3, 4);
    put(b, n_tensors, 8);
    put(b, n_values, 8);
}

static void put_tensor(struct buf *b, const char *name, uint64_t width, uint64_t rows,
                       uint32_t type, uint64_t offset) {
    put_text(b, name, strlen(name));
    put(b, 2, 4);
    put(b, width, 8);
    put(b, rows, 8);
    put(b, type, 4);
    put(b, offset, 8);
}

static void put_data(struct buf *b, size_t bytes) {
    while (b->length % ALIGNMENT != 0)
        put(b, 0, 1);
    for (size_t i = 0; i < bytes; i++)
        put(b, i, 1);
}

/* ---- opening them -------------------------------------------------------- */

static void assert_closed(const struct directory *dir) {
    assert_null(dir->tensors);
    assert_null(dir->maps);
    assert_null(dir->path);
    assert_int_equal(dir->n_tensors, 0);
}

static void check_message(const hearth_error *err, hearth_status status, const char *path) {
    assert_int_equal(err->code, status);
    assert_non_null(strstr(err->message, path));
    assert_null(strchr(err->message, '\n'));
    assert_true(err->message[0] >= 'a' && err->message[0] <= 'z');
}

static void expect_error_at(const char *path, hearth_status expected, const char *fragment) {
    struct directory dir;
    hearth_error err = {0};
    hearth_status status = gguf_open(&dir, path, &err);
    if (status != expected || !strstr(err.message, fragment))
        fail_msg("expected '%s', status %d; found '%s', status %d", fragment, (int)expected,
                 err.message, (int)status);
    check_message(&err, status, path);
    assert_closed(&dir);
    assert_int_equal(gguf_open(&dir, path, NULL), expected);
}

static void expect_error(struct sandbox *box, hearth_status expected, const char *fragment) {
    assert_int_equal(file_write(box->path, box->file.data, box->file.length, NULL), HEARTH_OK);
    expect_error_at(box->path, expected, fragment);
}

static void expect_ok(struct sandbox *box, struct directory *dir) {
    hearth_error err = {0};
    assert_int_equal(file_write(box->path, box->file.data, box->file.length, NULL), HEARTH_OK);
    if (gguf_open(dir, box->path, &err) != HEARTH_OK) fail_msg("%s", err.message);
}

/* A whole model's header and its first tensor bytes, to be damaged. */
static void load_stories(struct sandbox *box, size_t *header_bytes) {
    const char *path = testdata("models/stories260K/stories260K.gguf");
    struct directory dir;
    char *data;
    size_t size;
    assert_int_equal(gguf_open(&dir, path, NULL), HEARTH_OK);
    assert_true(dir.n_tensors > 0);
    const uint8_t *first = dir.tensors[0].data;
    for (size_t i = 1; i < dir.n_tensors; i++)
        if (dir.tensors[i].data < first) first = dir.tensors[i].data;
    *header_bytes = (size_t)(first - dir.maps[0].data);
    directory_close(&dir);
    assert_int_equal(file_read(path, MAX_FILE_BYTES, &data, &size, NULL), HEARTH_OK);
    buf_clear(&box->file);
    assert_true(buf_append(&box->file, data, size));
    mem_free(data);
}

/* ---- a whole model, damaged ---------------------------------------------- */

static bool tells_of_truncation(const char *message) {
    static const char *const ways[] = {"the file ends inside", "not a GGUF file", "ends beyond",
                                       "bytes are left",       "bytes can hold",  "is empty"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strstr(message, ways[i])) return true;
    return false;
}

static void a_file_cut_anywhere_is_refused(void **state) {
    struct sandbox *box = *state;
    size_t header_bytes;
    load_stories(box, &header_bytes);
    assert_int_equal(file_write(box->path, box->file.data, box->file.length, NULL), HEARTH_OK);
    int fd = open(box->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    size_t last = box->file.length - 1;
    for (size_t size = last;; size = size > header_bytes + 1 ? header_bytes + 1 : size - 1) {
        struct directory dir;
        hearth_error err = {0};
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        hearth_status status = gguf_open(&dir, box->path, &err);
        if (status == HEARTH_OK || !tells_of_truncation(err.message))
            fail_msg("cut to %zu bytes: status %d, '%s'", size, (int)status, err.message);
        check_message(&err, status, box->path);
        assert_closed(&dir);
        if (size == 0) break;
    }
    close(fd);
}

static void any_byte_of_the_header_may_be_wrong(void **state) {
    struct sandbox *box = *state;
    size_t header_bytes;
    load_stories(box, &header_bytes);
    assert_int_equal(file_write(box->path, box->file.data, box->file.length, NULL), HEARTH_OK);
    int fd = open(box->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    size_t n_refused = 0;
    for (size_t at = 0; at < header_bytes; at++) {
        struct directory dir;
        hearth_error err = {0};
        char good = box->file.data[at], bad = (char)~good;
        assert_int_equal(pwrite(fd, &bad, 1, (off_t)at), 1);
        hearth_status status = gguf_open(&dir, box->path, &err);
        if (status == HEARTH_OK)
            directory_close(&dir);
        else {
            check_message(&err, status, box->path);
            assert_closed(&dir);
            n_refused++;
        }
        assert_int_equal(pwrite(fd, &good, 1, (off_t)at), 1);
    }
    close(fd);
    assert_true(n_refused > 100);
}

static void every_failing_allocation_is_survived(void **state) {
    const char *path = testdata("models/stories260K/stories260K.gguf");
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct directory dir;
        hearth_error err = {0};
        mem_fail_after(n);
        hearth_status status = gguf_open(&dir, path, &err);
        bool untouched = mem_fail_pending() != 0;
        mem_fail_after(0);
        if (untouched) {
            assert_int_equal(status, HEARTH_OK);
            directory_close(&dir);
            assert_true(n > 5);
            return;
        }
        assert_int_equal(status, HEARTH_ERROR_NO_MEMORY);
        assert_closed(&dir);
    }
}

/* ---- the header ---------------------------------------------------------- */

static void a_wrong_beginning_is_named(void **state) {
    struct sandbox *box = *state;
    begin(&box->file, 0, 0);
    box->file.data[0] = 'g';
    expect_error(box, HEARTH_ERROR_FORMAT, "should begin with 'GGUF'");
    begin(&box->file, 0, 0);
    box->file.data[4] = 1;
    expect_error(box, HEARTH_ERROR_UNSUPPORTED, "version 1; versions 2 and 3");
    box->file.data[4] = 4;
    expect_error(box, HEARTH_ERROR_UNSUPPORTED, "version 4; versions 2 and 3");
    box->file.data[4] = 0;
    expect_error(box, HEARTH_ERROR_UNSUPPORTED, "version 0");
    box->file.data[7] = 3;
    expect_error(box, HEARTH_ERROR_UNSUPPORTED, "big-endian");
}

static void a_file_that_is_none_is_named(void **state) {
    struct sandbox *box = *state;
    struct directory dir;
    hearth_error err = {0};
    char path[256];
    snprintf(path, sizeof path, "%s/missing.gguf", box->folder);
    assert_int_equal(gguf_open(&dir, path, &err), HEARTH_ERROR_NOT_FOUND);
    check_message(&err, HEARTH_ERROR_NOT_FOUND, path);
    assert_closed(&dir);
    assert_int_not_equal(gguf_open(&dir, box->folder, &err), HEARTH_OK);
    assert_non_null(strstr(err.message, box->folder));
    assert_closed(&dir);
}

static void absurd_counts_are_refused_before_memory_is_taken(void **state) {
    struct sandbox *box = *state;
    static const uint64_t counts[] = {2, UINT64_C(1) << 32, UINT64_C(1) << 61, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        begin(&box->file, counts[i], 0);
        expect_error(box, HEARTH_ERROR_FORMAT, "the header claims");
        begin(&box->file, 0, counts[i]);
        expect_error(box, HEARTH_ERROR_FORMAT, "the header claims");
    }
}

/* ---- metadata ------------------------------------------------------------ */

static void wrong_metadata_types_are_named(void **state) {
    struct sandbox *box = *state;
    static const uint32_t types[] = {META_TYPES, 255, UINT32_MAX};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        begin(&box->file, 0, 1);
        put_key(&box->file, "some.key", types[i]);
        put(&box->file, 0, 8);
        expect_error(box, HEARTH_ERROR_FORMAT, "'some.key' has unknown type");
        begin(&box->file, 0, 1);
        put_key(&box->file, "some.key", META_ARRAY);
        put(&box->file, types[i], 4);
        put(&box->file, 0, 8);
        expect_error(box, HEARTH_ERROR_FORMAT, "'some.key' is an array of");
    }
}

static void nested_arrays_are_refused(void **state) {
    struct sandbox *box = *state;
    begin(&box->file, 0, 1);
    put_key(&box->file, "deep", META_ARRAY);
    for (int depth = 0; depth < 100000; depth++) {
        put(&box->file, META_ARRAY, 4);
        put(&box->file, 1, 8);
    }
    expect_error(box, HEARTH_ERROR_FORMAT, "'deep' is an array of");
}

static void arrays_longer_than_the_file_are_refused(void **state) {
    struct sandbox *box = *state;
    static const uint64_t counts[] = {9, UINT64_C(1) << 40, UINT64_C(1) << 61, UINT64_MAX};
    for (uint32_t type = 0; type < META_TYPES; type++) {
        if (type == META_ARRAY) continue;
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            begin(&box->file, 0, 1);
            put_key(&box->file, "long", META_ARRAY);
            put(&box->file, type, 4);
            put(&box->file, counts[i], 8);
            put(&box->file, 0, 8);
            expect_error(box, HEARTH_ERROR_FORMAT, "'long' claims");
        }
    }
}

static void strings_longer_than_the_file_are_refused(void **state) {
    struct sandbox *box = *state;
    static const uint64_t lengths[] = {9, UINT64_C(1) << 32, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        begin(&box->file, 0, 1);
        put_key(&box->file, "name", META_STRING);
        put(&box->file, lengths[i], 8);
        put(&box->file, 0, 8);
        expect_error(box, HEARTH_ERROR_FORMAT, "ends inside the metadata");
        begin(&box->file, 0, 1);
        put(&box->file, lengths[i], 8);
        put(&box->file, 0, 8);
        expect_error(box, HEARTH_ERROR_FORMAT, "ends inside the metadata");
        begin(&box->file, 0, 1);
        put_key(&box->file, "list", META_ARRAY);
        put(&box->file, META_STRING, 4);
        put(&box->file, 2, 8);
        put_text(&box->file, "one", 3);
        put(&box->file, lengths[i], 8);
        expect_error(box, HEARTH_ERROR_FORMAT, "ends inside a metadata array");
    }
}

static void keys_have_a_length_and_appear_once(void **state) {
    struct sandbox *box = *state;
    char key[257];
    memset(key, 'k', 256);
    key[256] = '\0';
    begin(&box->file, 0, 1);
    put_key(&box->file, key, META_U8);
    put(&box->file, 1, 8);
    expect_error(box, HEARTH_ERROR_FORMAT, "a metadata key of 256 bytes");
    begin(&box->file, 0, 1);
    put_key(&box->file, "", META_U8);
    put(&box->file, 1, 8);
    expect_error(box, HEARTH_ERROR_FORMAT, "a metadata key of 0 bytes");
    begin(&box->file, 0, 3);
    for (int i = 0; i < 3; i++) {
        put_key(&box->file, i == 1 ? "other" : "twice", META_U32);
        put(&box->file, 1, 4);
    }
    expect_error(box, HEARTH_ERROR_FORMAT, "'twice'");
}

static void a_bad_alignment_is_named(void **state) {
    struct sandbox *box = *state;
    static const uint32_t alignments[] = {0, 3, 48, 1u << 21, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++) {
        begin(&box->file, 0, 1);
        put_key(&box->file, "general.alignment", META_U32);
        put(&box->file, alignments[i], 4);
        expect_error(box, HEARTH_ERROR_FORMAT, "general.alignment is");
    }
    begin(&box->file, 0, 1);
    put_key(&box->file, "general.alignment", META_STRING);
    put_text(&box->file, "32", 2);
    expect_error(box, HEARTH_ERROR_FORMAT, "general.alignment is not a number");
}

/* ---- tensors ------------------------------------------------------------- */

static void impossible_shapes_are_named(void **state) {
    struct sandbox *box = *state;
    static const uint64_t shapes[][2] = {{0, 4},
                                         {4, 0},
                                         {UINT64_C(1) << 40, UINT64_C(1) << 40},
                                         {UINT64_MAX, UINT64_MAX},
                                         {UINT64_C(1) << 57, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        begin(&box->file, 1, 0);
        put_tensor(&box->file, "w", shapes[i][0], shapes[i][1], ELEM_F32, 0);
        put_data(&box->file, 64);
        expect_error(box, HEARTH_ERROR_FORMAT, "tensor 'w' has an impossible shape");
    }
    begin(&box->file, 1, 0);
    put_tensor(&box->file, "w", 33, 1, ELEM_Q4_0, 0);
    put_data(&box->file, 64);
    expect_error(box, HEARTH_ERROR_FORMAT, "tensor 'w' has rows of 33 values");
}

static void five_dimensions_are_refused(void **state) {
    struct sandbox *box = *state;
    static const uint32_t counts[] = {5, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        begin(&box->file, 1, 0);
        put_text(&box->file, "w", 1);
        put(&box->file, counts[i], 4);
        put_data(&box->file, 256);
        expect_error(box, HEARTH_ERROR_FORMAT, "dimensions; at most 4");
    }
}

static void unknown_element_types_are_named(void **state) {
    struct sandbox *box = *state;
    static const uint32_t types[] = {4, 5, ELEM_TYPES, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        begin(&box->file, 1, 0);
        put_tensor(&box->file, "w", 256, 1, types[i], 0);
        put_data(&box->file, 1024);
        expect_error(box, HEARTH_ERROR_UNSUPPORTED, "tensor 'w' has element type");
    }
}

static void tensors_lie_inside_the_file(void **state) {
    struct sandbox *box = *state;
    static const uint64_t offsets[] = {32, 1024, UINT64_C(1) << 62, UINT64_MAX - 31};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        begin(&box->file, 1, 0);
        put_tensor(&box->file, "w", 8, 2, ELEM_F32, offsets[i]);
        put_data(&box->file, 64);
        expect_error(box, HEARTH_ERROR_FORMAT, "tensor 'w' (64 bytes at offset");
    }
    begin(&box->file, 1, 0);
    put_tensor(&box->file, "w", 8, 2, ELEM_F32, 0);
    put_data(&box->file, 63);
    expect_error(box, HEARTH_ERROR_FORMAT, "ends beyond the file");
    begin(&box->file, 1, 0);
    put_tensor(&box->file, "w", 2, 1, ELEM_F32, 8);
    put_data(&box->file, 64);
    expect_error(box, HEARTH_ERROR_FORMAT, "not a multiple of 32");
}

static void tensor_names_are_checked(void **state) {
    struct sandbox *box = *state;
    char name[257];
    memset(name, 'n', 256);
    name[256] = '\0';
    begin(&box->file, 1, 0);
    put_tensor(&box->file, name, 8, 2, ELEM_F32, 0);
    put_data(&box->file, 64);
    expect_error(box, HEARTH_ERROR_FORMAT, "a tensor name of 256 bytes");
    begin(&box->file, 1, 0);
    put_tensor(&box->file, "", 8, 2, ELEM_F32, 0);
    put_data(&box->file, 64);
    expect_error(box, HEARTH_ERROR_FORMAT, "a tensor name of 0 bytes");
    begin(&box->file, 2, 0);
    put_tensor(&box->file, "twice", 8, 1, ELEM_F32, 0);
    put_tensor(&box->file, "twice", 8, 1, ELEM_F32, 32);
    put_data(&box->file, 64);
    expect_error(box, HEARTH_ERROR_FORMAT, "tensor 'twice' appears twice");
}

static void a_whole_file_is_read_as_written(void **state) {
    struct sandbox *box = *state;
    struct directory dir;
    uint32_t answer = 0;
    begin(&box->file, 2, 1);
    put_key(&box->file, "answer", META_U32);
    put(&box->file, 42, 4);
    put_tensor(&box->file, "a", 4, 2, ELEM_F32, 32);
    put_tensor(&box->file, "b", 32, 1, ELEM_Q8_0, 64);
    put_data(&box->file, 98);
    expect_ok(box, &dir);
    assert_true(metadata_u32(&dir.metadata, "answer", &answer));
    assert_int_equal(answer, 42);
    const struct tensor *a = directory_find(&dir, "a"), *b = directory_find(&dir, "b");
    assert_non_null(a);
    assert_non_null(b);
    assert_null(directory_find(&dir, "c"));
    assert_int_equal(a->dims[0], 4);
    assert_int_equal(a->dims[1], 2);
    assert_int_equal(a->dims[2], 1);
    assert_int_equal(a->data[0], 32);
    assert_int_equal(b->type, ELEM_Q8_0);
    assert_int_equal(b->size_bytes, 34);
    assert_int_equal(b->data[33], 97);
    assert_int_equal(directory_bytes(&dir), 32 + 34);
    directory_close(&dir);
}

/* ---- files in parts ------------------------------------------------------ */

/* Part `no` of two, with the tensor "w". */
static void write_part(struct buf *b, uint64_t no, const char *path) {
    enum { U16 = 2 };
    begin(b, 1, 2);
    put_key(b, "split.no", U16);
    put(b, no, 2);
    put_key(b, "split.count", U16);
    put(b, 2, 2);
    put_tensor(b, "w", 8, 1, ELEM_F32, 0);
    put_data(b, 32);
    assert_int_equal(file_write(path, b->data, b->length, NULL), HEARTH_OK);
}

static void parts_are_missing_or_repeat_a_tensor(void **state) {
    struct sandbox *box = *state;
    struct directory dir;
    hearth_error err = {0};
    char first[256], second[256];
    snprintf(first, sizeof first, "%s/m-00001-of-00002.gguf", box->folder);
    snprintf(second, sizeof second, "%s/m-00002-of-00002.gguf", box->folder);
    write_part(&box->file, 0, first);
    assert_int_equal(gguf_open(&dir, first, &err), HEARTH_ERROR_NOT_FOUND);
    check_message(&err, HEARTH_ERROR_NOT_FOUND, "m-00002-of-00002.gguf");
    assert_closed(&dir);
    write_part(&box->file, 1, second);
    expect_error_at(first, HEARTH_ERROR_FORMAT, "tensor 'w' appears twice");
    assert_int_equal(file_write(second, "GGUF", 4, NULL), HEARTH_OK);
    assert_int_equal(gguf_open(&dir, first, &err), HEARTH_ERROR_FORMAT);
    check_message(&err, HEARTH_ERROR_FORMAT, second);
    assert_closed(&dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_sandbox, remove_sandbox)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_whole_file_is_read_as_written),
        TEST(a_wrong_beginning_is_named),
        TEST(a_file_that_is_none_is_named),
        TEST(absurd_counts_are_refused_before_memory_is_taken),
        TEST(wrong_metadata_types_are_named),
        TEST(nested_arrays_are_refused),
        TEST(arrays_longer_than_the_file_are_refused),
        TEST(strings_longer_than_the_file_are_refused),
        TEST(keys_have_a_length_and_appear_once),
        TEST(a_bad_alignment_is_named),
        TEST(impossible_shapes_are_named),
        TEST(five_dimensions_are_refused),
        TEST(unknown_element_types_are_named),
        TEST(tensors_lie_inside_the_file),
        TEST(tensor_names_are_checked),
        TEST(parts_are_missing_or_repeat_a_tensor),
        TEST(every_failing_allocation_is_survived),
        TEST(a_file_cut_anywhere_is_refused),
        TEST(any_byte_of_the_header_may_be_wrong),
    };
    return cmocka_run_group_tests_name("format/gguf_read", tests, NULL, NULL);
}
