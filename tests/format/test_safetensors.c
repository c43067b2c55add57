#include "scratch.h"

#include <jansson.h>

#include "format/json_text.h"
#include "format/safetensors.h"

/* Builds a file: header text and `n_data` counting bytes. */
static size_t build(char *out, const char *header, size_t n_data) {
    size_t n = strlen(header);
    for (int i = 0; i < 8; i++)
        out[i] = (char)(n >> (8 * i));
    memcpy(out + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        out[8 + n + i] = (char)i;
    return 8 + n + n_data;
}

static void put_file(const char *name, const char *header, size_t n_data) {
    static char bytes[65536];
    size_t size = build(bytes, header, n_data);
    scratch_put(name, bytes, size);
}

static void open_ok(struct directory *dir, const char *name) {
    hearth_error err = {0};
    assert_ok(safetensors_open(dir, scratch(name), &err), &err);
}

static void expect_refusal(const char *name, hearth_status status, const char *message) {
    struct directory dir;
    hearth_error err = {0};
    assert_int_equal(safetensors_open(&dir, scratch(name), &err), status);
    assert_contains(err.message, message);
    assert_int_equal(err.code, status);
    assert_null(dir.tensors);
    assert_null(dir.maps);
}

/* ---- reading -------------------------------------------------------------- */

static void shapes_turn_round_and_data_is_in_place(void **state) {
    struct directory dir;
    struct text format;
    (void)state;
    put_file("m.safetensors",
             "{\"__metadata__\":{\"format\":\"pt\"},"
             "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
             "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[0,8]},"
             "\"s\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[32,34]}}     ",
             34);
    open_ok(&dir, "m.safetensors");
    assert_int_equal(dir.n_tensors, 3);
    const struct tensor *w = directory_find(&dir, "w"), *s = directory_find(&dir, "s");
    assert_int_equal(w->type, ELEM_F32);
    assert_int_equal(w->dtype, DTYPE_ELEM);
    assert_int_equal(w->n_dims, 2);
    assert_int_equal(w->dims[0], 3);
    assert_int_equal(w->dims[1], 2);
    assert_int_equal(w->dims[2], 1);
    assert_int_equal(w->size_bytes, 24);
    assert_int_equal(w->data[0], 8);
    assert_int_equal((uintptr_t)w->data % 4, 0);
    assert_int_equal(s->n_dims, 0);
    assert_int_equal(s->data[0], 32);
    assert_true(metadata_string(&dir.metadata, "format", &format));
    assert_true(text_equal(format, "pt"));
    directory_close(&dir);
    scratch_clear();
}

static void every_dtype_has_its_size_and_meaning(void **state) {
    static const struct {
        const char *name;
        size_t bytes; /* of four values */
        enum elem type;
        enum dtype dtype;
    } kinds[] = {
        {"F64", 32, ELEM_F64, DTYPE_ELEM},      {"F32", 16, ELEM_F32, DTYPE_ELEM},
        {"F16", 8, ELEM_F16, DTYPE_ELEM},       {"BF16", 8, ELEM_BF16, DTYPE_ELEM},
        {"I64", 32, ELEM_I64, DTYPE_ELEM},      {"I32", 16, ELEM_I32, DTYPE_ELEM},
        {"I16", 8, ELEM_I16, DTYPE_ELEM},       {"I8", 4, ELEM_I8, DTYPE_ELEM},
        {"U64", 32, ELEM_I64, DTYPE_U64},       {"U32", 16, ELEM_I32, DTYPE_U32},
        {"U16", 8, ELEM_I16, DTYPE_U16},        {"U8", 4, ELEM_I8, DTYPE_U8},
        {"BOOL", 4, ELEM_I8, DTYPE_BOOL},       {"F8_E4M3", 4, ELEM_I8, DTYPE_F8_E4M3},
        {"F8_E5M2", 4, ELEM_I8, DTYPE_F8_E5M2}, {"F8_E8M0", 4, ELEM_I8, DTYPE_F8_E8M0},
        {"F4", 2, ELEM_I8, DTYPE_F4},
    };
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct directory dir, copy;
        char header[200];
        snprintf(header, sizeof header,
                 "{\"t\":{\"dtype\":\"%s\",\"shape\":[1,4],\"data_offsets\":[0,%zu]}}",
                 kinds[i].name, kinds[i].bytes);
        put_file("m.safetensors", header, kinds[i].bytes);
        open_ok(&dir, "m.safetensors");
        assert_int_equal(dir.tensors[0].type, kinds[i].type);
        assert_int_equal(dir.tensors[0].dtype, kinds[i].dtype);
        assert_int_equal(dir.tensors[0].size_bytes, kinds[i].bytes);
        assert_string_equal(safetensors_dtype_name(&dir.tensors[0]), kinds[i].name);
        assert_int_equal(strcasecmp(tensor_type_name(&dir.tensors[0]), kinds[i].name), 0);
        assert_ok(
            safetensors_write(scratch("c.safetensors"), NULL, dir.tensors, 1, 0, NULL, NULL, NULL),
            NULL);
        open_ok(&copy, "c.safetensors");
        assert_same_tensors(&dir, &copy);
        directory_close(&copy);
        directory_close(&dir);
    }
    scratch_clear();
}

static void outer_dimensions_beyond_four_are_multiplied(void **state) {
    struct directory dir;
    (void)state;
    put_file("m.safetensors",
             "{\"t\":{\"dtype\":\"U8\",\"shape\":[2,3,1,5,7,2],\"data_offsets\":[0,420]}}", 420);
    open_ok(&dir, "m.safetensors");
    assert_int_equal(dir.tensors[0].n_dims, 4);
    assert_int_equal(dir.tensors[0].dims[0], 2);
    assert_int_equal(dir.tensors[0].dims[1], 7);
    assert_int_equal(dir.tensors[0].dims[2], 5);
    assert_int_equal(dir.tensors[0].dims[3], 6);
    directory_close(&dir);
    scratch_clear();
}

static void misaligned_tensors_are_aligned(void **state) {
    struct directory dir;
    char header[300];
    (void)state;
    for (int spaces = 0; spaces < 8; spaces++) {
        snprintf(header, sizeof header,
                 "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                 "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]},"
                 "\"c\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[9,17]}}%*s",
                 spaces, "");
        put_file("m.safetensors", header, 17);
        open_ok(&dir, "m.safetensors");
        const struct tensor *b = directory_find(&dir, "b"), *c = directory_find(&dir, "c");
        assert_int_equal((uintptr_t)b->data % 4, 0);
        assert_int_equal((uintptr_t)c->data % 8, 0);
        assert_memory_equal(b->data, "\1\2\3\4\5\6\7\10", 8);
        assert_memory_equal(c->data, "\11\12\13\14\15\16\17\20", 8);
        directory_close(&dir);
    }
    scratch_clear();
}

#define T(name, type, shape, begin, end)                                                           \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void hostile_headers_are_refused(void **state) {
    static const struct {
        const char *header;
        size_t n_data;
        hearth_status status;
        const char *message;
    } cases[] = {
        {"{" T("a", "U8", "[4]", "0", "4") "," T("b", "U8", "[4]", "3", "7") "}", 7,
         HEARTH_ERROR_FORMAT, "the data of tensors 'a' and 'b' overlap (at byte 3)"},
        {"{" T("a", "U8", "[4]", "0", "4") "," T("b", "U8", "[4]", "0", "4") "}", 4,
         HEARTH_ERROR_FORMAT, "overlap"},
        {"{" T("a", "U8", "[4]", "0", "4") "," T("b", "U8", "[2]", "5", "7") "}", 7,
         HEARTH_ERROR_FORMAT, "1 bytes in front of tensor 'b' belong to no tensor"},
        {"{" T("a", "U8", "[4]", "1", "5") "}", 5, HEARTH_ERROR_FORMAT, "in front of tensor 'a'"},
        {"{" T("a", "U8", "[4]", "0", "4") "}", 5, HEARTH_ERROR_FORMAT,
         "1 bytes at the end of the file belong to no tensor"},
        {"{}", 5, HEARTH_ERROR_FORMAT, "5 bytes at the end of the file belong to no tensor"},
        {"{" T("a", "U8", "[4]", "0", "4") "}", 3, HEARTH_ERROR_FORMAT,
         "tensor 'a' ends at byte 4 of the data, of which the file has 3"},
        {"{" T("a", "U8", "[4]", "4", "0") "}", 4, HEARTH_ERROR_FORMAT, "begin <= end"},
        {"{" T("a", "U8", "[4]", "-4", "0") "}", 4, HEARTH_ERROR_FORMAT, "begin <= end"},
        {"{" T("a", "U8", "[4]", "0", "9223372036854775807") "}", 4, HEARTH_ERROR_FORMAT,
         "ends at byte 9223372036854775807"},
        {"{" T("a", "U8", "[4]", "0", "18446744073709551616") "}", 4, HEARTH_ERROR_FORMAT,
         "too big integer"},
        {"{" T("a", "U8", "[4]", "0", "4.0") "}", 4, HEARTH_ERROR_FORMAT, "data_offsets"},
        {"{" T("a", "U8", "[4]", "0", "4,4") "}", 4, HEARTH_ERROR_FORMAT, "data_offsets"},
        {"{" T("a", "F32", "[4]", "0", "4") "}", 4, HEARTH_ERROR_FORMAT,
         "tensor 'a' has 16 bytes by its shape and type, 4 by its offsets"},
        {"{" T("a", "F32", "[4294967296,4294967296]", "0", "4") "}", 4, HEARTH_ERROR_FORMAT,
         "impossible shape"},
        {"{" T("a", "F32", "[2,4294967296,4294967296,4294967296,1,1]", "0", "4") "}", 4,
         HEARTH_ERROR_FORMAT, "impossible shape"},
        {"{" T("a", "F32", "[72057594037927936]", "0", "4") "}", 4, HEARTH_ERROR_FORMAT, "by its"},
        {"{" T("a", "F32", "[-1]", "0", "4") "}", 4, HEARTH_ERROR_FORMAT, "not a whole number"},
        {"{" T("a", "F32", "[\"1\"]", "0", "4") "}", 4, HEARTH_ERROR_FORMAT, "not a whole number"},
        {"{" T("a", "F32", "[0]", "0", "0") "}", 0, HEARTH_ERROR_FORMAT, "is empty"},
        {"{" T("a", "F32", "7", "0", "4") "}", 4, HEARTH_ERROR_FORMAT, "no shape"},
        {"{" T("a", "F4", "[3]", "0", "2") "}", 2, HEARTH_ERROR_FORMAT, "odd number"},
        {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1,
         HEARTH_ERROR_FORMAT, "at most 16 dimensions"},
        {"{" T("a", "Q4\\u001b[2J", "[4]", "0", "4") "}", 4, HEARTH_ERROR_UNSUPPORTED,
         "tensor 'a' has dtype 'Q4?[2J', which Hearth does not know"},
        {"{" T("a", "U8", "[1]", "0", "1") "," T("a", "U8", "[1]", "1", "2") "}", 2,
         HEARTH_ERROR_FORMAT, "duplicate object key"},
        {"{" T("", "U8", "[1]", "0", "1") "}", 1, HEARTH_ERROR_FORMAT, "name of 0 bytes"},
        {"{\"a\":5}", 0, HEARTH_ERROR_FORMAT, "tensor 'a' has no dtype"},
        {"{\"a\":{\"dtype\":\"U8\"}}", 0, HEARTH_ERROR_FORMAT, "no shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 0, HEARTH_ERROR_FORMAT, "no data_offsets"},
        {"{\"__metadata__\":{\"a\":1}}", 0, HEARTH_ERROR_FORMAT, "'a' is not a string"},
        {"{\"__metadata__\":[]}", 0, HEARTH_ERROR_FORMAT, "not an object of strings"},
        {"{\"a\":", 0, HEARTH_ERROR_FORMAT, "not JSON"},
        {"{\"\\u0000\":1}", 0, HEARTH_ERROR_FORMAT, "not JSON"},
        {"{\"\xff\":1}", 0, HEARTH_ERROR_FORMAT, "not JSON"},
        {"[]", 0, HEARTH_ERROR_FORMAT, "does not begin with '{'"},
        {"", 0, HEARTH_ERROR_FORMAT, "does not begin with '{'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_file("m.safetensors", cases[i].header, cases[i].n_data);
        expect_refusal("m.safetensors", cases[i].status, cases[i].message);
    }
    scratch_clear();
}

static void deep_json_is_refused(void **state) {
    static char header[60000];
    (void)state;
    memset(header, '[', sizeof header - 1);
    memcpy(header, "{\"a\":", 5);
    put_file("m.safetensors", header, 0);
    expect_refusal("m.safetensors", HEARTH_ERROR_FORMAT, "maximum parsing depth");
    scratch_clear();
}

static void wrong_header_lengths_are_refused(void **state) {
    (void)state;
    scratch_put("m.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    expect_refusal("m.safetensors", HEARTH_ERROR_FORMAT, "at most 100000000 are allowed");
    scratch_put("m.safetensors", "\x01\xe1\xf5\x05\0\0\0\0{}", 10); /* 100,000,001 */
    expect_refusal("m.safetensors", HEARTH_ERROR_FORMAT, "at most 100000000 are allowed");
    scratch_put("m.safetensors", "\x03\0\0\0\0\0\0\0{}", 10);
    expect_refusal("m.safetensors", HEARTH_ERROR_FORMAT,
                   "the header should have 3 bytes, the file has 10");
    scratch_put("m.safetensors", "\x03\0\0", 3);
    expect_refusal("m.safetensors", HEARTH_ERROR_FORMAT, "it has only 3 bytes");
    scratch_put("m.safetensors", "", 0);
    expect_refusal("m.safetensors", HEARTH_ERROR_FORMAT, "it has only 0 bytes");
    scratch_put_text("m.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    expect_refusal("m.safetensors", HEARTH_ERROR_FORMAT, "Git LFS pointer");
    expect_refusal("none.safetensors", HEARTH_ERROR_NOT_FOUND, "No such file");
    scratch_clear();
}

/* ---- writing -------------------------------------------------------------- */

static const double numbers[4] = {1.5, -2.5, 1e300, 0};
static const struct tensor sample[] = {
    {.name = "bytes",
     .type = ELEM_I8,
     .dtype = DTYPE_U8,
     .n_dims = 1,
     .dims = {3, 1, 1, 1},
     .data = (const uint8_t *)numbers},
    {.name = "say \"\\\n\xc3\xa9",
     .type = ELEM_F32,
     .n_dims = 2,
     .dims = {3, 2, 1, 1},
     .data = (const uint8_t *)numbers},
    {.name = "doubles",
     .type = ELEM_F64,
     .n_dims = 1,
     .dims = {4, 1, 1, 1},
     .data = (const uint8_t *)numbers},
    {.name = "halves",
     .type = ELEM_BF16,
     .n_dims = 1,
     .dims = {5, 1, 1, 1},
     .data = (const uint8_t *)numbers},
    {.name = "scalar",
     .type = ELEM_F16,
     .n_dims = 0,
     .dims = {1, 1, 1, 1},
     .data = (const uint8_t *)numbers},
};
enum { N_SAMPLE = sizeof sample / sizeof sample[0] };

static void check_sample(const struct directory *dir) {
    assert_int_equal(dir->n_tensors, N_SAMPLE);
    for (size_t i = 0; i < N_SAMPLE; i++) {
        const struct tensor *tensor = directory_find(dir, sample[i].name);
        struct tensor expected = sample[i];
        assert_non_null(tensor);
        assert_ok(tensor_check_shape(&expected, NULL), NULL);
        assert_same_tensor(&expected, tensor);
    }
}

static hearth_status write_sample(uint64_t max_part_bytes, hearth_error *err) {
    struct metadata m;
    metadata_init(&m, 1 << 16);
    hearth_status status = metadata_set_string(&m, "note", "a \"b\"\t\xe2\x82\xac", 9, err);
    if (status == HEARTH_OK)
        status = safetensors_write(scratch("m.safetensors"), &m, sample, N_SAMPLE, max_part_bytes,
                                   NULL, NULL, err);
    metadata_release(&m);
    return status;
}

static void a_written_file_reads_the_same(void **state) {
    struct directory dir;
    struct text note;
    hearth_error err = {0};
    (void)state;
    assert_ok(write_sample(0, &err), &err);
    assert_int_equal(scratch_count(), 1);
    open_ok(&dir, "m.safetensors");
    check_sample(&dir);
    assert_int_equal(dir.n_blocks, 0); /* nothing had to be copied: all is aligned */
    assert_true(metadata_string(&dir.metadata, "note", &note));
    assert_true(text_equal(note, "a \"b\"\t\xe2\x82\xac"));
    assert_true(metadata_string(&dir.metadata, "format", &note));
    assert_true(text_equal(note, "pt"));
    directory_close(&dir);
    scratch_clear();
}

static void shards_and_their_index_read_the_same(void **state) {
    struct directory dir;
    hearth_error err = {0};
    json_t *index;
    (void)state;
    assert_ok(write_sample(36, &err), &err);
    assert_int_equal(scratch_count(), 4);
    open_ok(&dir, "m.safetensors.index.json");
    check_sample(&dir);
    assert_int_equal(dir.n_maps, 3);
    directory_close(&dir);
    index = json_load_file(scratch("m.safetensors.index.json"), 0, NULL);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(index, "metadata"), "total_size")),
        3 + 24 + 32 + 10 + 2);
    json_t *weight_map = json_object_get(index, "weight_map");
    assert_int_equal(json_object_size(weight_map), N_SAMPLE);
    assert_string_equal(json_string_value(json_object_get(weight_map, "doubles")),
                        "m-00001-of-00003.safetensors");
    json_decref(index);
    scratch_clear();
}

static void what_safetensors_cannot_hold_is_refused(void **state) {
    struct tensor bad = {.name = "q", .type = ELEM_Q4_K, .n_dims = 1, .dims = {256, 1, 1, 1}};
    hearth_error err = {0};
    (void)state;
    assert_int_equal(
        safetensors_write(scratch("m.safetensors"), NULL, &bad, 1, 0, NULL, NULL, &err),
        HEARTH_ERROR_UNSUPPORTED);
    assert_contains(err.message, "tensor 'q' is q4_K, which safetensors cannot hold");
    bad.type = ELEM_F32;
    bad.name = "\xff";
    assert_int_equal(
        safetensors_write(scratch("m.safetensors"), NULL, &bad, 1, 0, NULL, NULL, &err),
        HEARTH_ERROR_ARGUMENT);
    assert_int_equal(scratch_count(), 0);
}

/* ---- an index that does not fit -------------------------------------------- */

static void indexes_that_do_not_fit_are_refused(void **state) {
    static const struct {
        const char *index;
        hearth_status status;
        const char *message;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"gone.safetensors\"}}",
         HEARTH_ERROR_NOT_FOUND,
         "shard 2 of 2, 'gone.safetensors', is missing; fetch it into the same folder"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"one.safetensors\"}}",
         HEARTH_ERROR_FORMAT, "tensor 'c' is not in 'one.safetensors', where the index expects it"},
        {"{\"weight_map\":{\"a\":\"../one.safetensors\"}}", HEARTH_ERROR_FORMAT,
         "the name of a file in the same folder was expected"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", HEARTH_ERROR_FORMAT, "same folder"},
        {"{\"weight_map\":{\"a\":\"\"}}", HEARTH_ERROR_FORMAT, "same folder"},
        {"{\"weight_map\":{\"a\":1}}", HEARTH_ERROR_FORMAT, "(not a string)"},
        {"{\"weight_map\":[]}", HEARTH_ERROR_FORMAT, "no weight_map"},
        {"{}", HEARTH_ERROR_FORMAT, "no weight_map"},
        {"[]", HEARTH_ERROR_FORMAT, "an object was expected"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}",
         HEARTH_ERROR_FORMAT, "duplicate object key"},
        {"nonsense", HEARTH_ERROR_FORMAT, "not JSON"},
    };
    (void)state;
    put_file("one.safetensors", "{" T("a", "U8", "[4]", "0", "4") "}", 4);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scratch_put_text("m.safetensors.index.json", cases[i].index);
        expect_refusal("m.safetensors.index.json", cases[i].status, cases[i].message);
    }
    scratch_clear();
}

static void of_a_tensor_in_two_shards_the_index_decides(void **state) {
    struct directory dir;
    (void)state;
    put_file("one.safetensors", "{" T("a", "U8", "[4]", "0", "4") "}", 4);
    put_file("two.safetensors",
             "{" T("a", "U8", "[2]", "0", "2") "," T("b", "U8", "[4]", "2", "6") "}", 6);
    scratch_put_text("i.json", "{\"weight_map\":{\"a\":\"two.safetensors\"}}");
    open_ok(&dir, "i.json");
    assert_int_equal(directory_find(&dir, "a")->size_bytes, 2);
    assert_non_null(directory_find(&dir, "b")); /* not listed, but there */
    directory_close(&dir);
    scratch_put_text("i.json", "{\"weight_map\":{\"a\":\"one.safetensors\","
                               "\"b\":\"two.safetensors\"}}");
    open_ok(&dir, "i.json");
    assert_int_equal(dir.n_tensors, 2);
    assert_int_equal(directory_find(&dir, "a")->size_bytes, 4);
    directory_close(&dir);
    scratch_put_text("i.json", "{\"weight_map\":{\"b\":\"two.safetensors\","
                               "\"c\":\"one.safetensors\"}}");
    expect_refusal("i.json", HEARTH_ERROR_FORMAT, "tensor 'a' appears twice");
    scratch_clear();
}

/* ---- no memory ------------------------------------------------------------- */

/* Returns how many allocations were made to fail. jansson 2.14 loses characters or
 * reports a syntax error when it has no memory, so with its allocations failing too
 * all that can be asked is that nothing leaks or crashes. */
static unsigned fail_each_allocation(const char *path, size_t n_tensors, bool jansson_too) {
    for (unsigned n = 1;; n++) {
        struct directory dir;
        hearth_error err = {0};
        mem_fail_after(n);
        hearth_status status = safetensors_open(&dir, path, &err);
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        if (pending) assert_ok(status, &err);
        if (pending)
            assert_int_equal(dir.n_tensors, n_tensors);
        else if (!jansson_too && status != HEARTH_ERROR_NO_MEMORY)
            fail_msg("allocation %u: status %d: %s", n, (int)status, err.message);
        if (status == HEARTH_OK) directory_close(&dir);
        if (pending) return n - 1;
    }
}

static void opening_survives_every_failing_allocation(void **state) {
    (void)state;
    assert_ok(write_sample(36, NULL), NULL);
    put_file("odd.safetensors",
             "{" T("a", "U8", "[1]", "0", "1") "," T("b", "F32", "[1]", "1", "5") "}", 5);
    for (int jansson_too = 0; jansson_too < 2; jansson_too++) {
        if (jansson_too) json_set_alloc_funcs(mem_alloc, mem_free);
        unsigned n =
            fail_each_allocation(scratch("m.safetensors.index.json"), N_SAMPLE, jansson_too);
        n += fail_each_allocation(scratch("odd.safetensors"), 2, jansson_too);
        assert_true(n > (jansson_too ? 100 : 20));
    }
    json_set_alloc_funcs(malloc, free);
    scratch_clear();
}

static void writing_survives_every_failing_allocation(void **state) {
    (void)state;
    for (unsigned n = 1;; n++) {
        mem_fail_after(n);
        hearth_status status = write_sample(36, NULL);
        if (mem_fail_pending()) break;
        assert_true(status == HEARTH_OK || status == HEARTH_ERROR_NO_MEMORY);
        assert_int_equal(scratch_count(), status == HEARTH_OK ? 4 : 0);
        scratch_clear();
    }
    mem_fail_after(0);
    assert_int_equal(scratch_count(), 4);
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_turn_round_and_data_is_in_place),
        cmocka_unit_test(every_dtype_has_its_size_and_meaning),
        cmocka_unit_test(outer_dimensions_beyond_four_are_multiplied),
        cmocka_unit_test(misaligned_tensors_are_aligned),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(wrong_header_lengths_are_refused),
        cmocka_unit_test(a_written_file_reads_the_same),
        cmocka_unit_test(shards_and_their_index_read_the_same),
        cmocka_unit_test(what_safetensors_cannot_hold_is_refused),
        cmocka_unit_test(indexes_that_do_not_fit_are_refused),
        cmocka_unit_test(of_a_tensor_in_two_shards_the_index_decides),
        cmocka_unit_test(opening_survives_every_failing_allocation),
        cmocka_unit_test(writing_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("format/safetensors", tests, scratch_open, scratch_close);
}
