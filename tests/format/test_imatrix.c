/* Importance matrices: what is written is read back, the older form too, and damaged
 * files are refused. */
#include "format/scratch.h"

#include "base/buf.h"
#include "format/gguf_write.h"
#include "format/imatrix.h"

static void what_is_written_is_read(void **state) {
    const double sums[] = {2, 4, 6, 8, 1, 2, 0, 0}, more[] = {9};
    const uint64_t counts[] = {2, 4, 0, 0}, one[] = {3};
    const struct imatrix_sums entries[] = {{"blk.0.ffn_up_exps.weight", 2, 4, sums, counts},
                                           {"blk.0.attn_q.weight", 1, 1, more, one}};
    struct imatrix m;
    hearth_error err = {0};
    (void)state;
    assert_ok(imatrix_write(scratch("a.gguf"), entries, 2, "text.txt", 5, 512, &err), &err);
    assert_ok(imatrix_open(&m, scratch("a.gguf"), &err), &err);
    assert_int_equal(m.n_entries, 2);
    assert_int_equal(m.n_chunks, 5);
    assert_string_equal(m.dataset, "text.txt");
    const struct imatrix_entry *e = imatrix_find(&m, "blk.0.ffn_up_exps.weight");
    assert_non_null(e);
    assert_int_equal(e->n_values, 8);
    const float expected[] = {1, 2, 1.5f, 2, 1, 1, 1, 1}; /* unused experts count evenly */
    for (int i = 0; i < 8; i++)
        assert_true(e->squares[i] == expected[i]);
    e = imatrix_find(&m, "blk.0.attn_q.weight");
    assert_non_null(e);
    assert_true(e->squares[0] == 3);
    assert_null(imatrix_find(&m, "blk.0.attn_k.weight"));
    imatrix_close(&m);
}

static void put_u32(struct buf *out, uint32_t value) {
    buf_append(out, &value, sizeof value);
}

static void legacy_file(struct buf *out) {
    const float squares[] = {3, 6, 9};
    buf_init(out, 4096);
    put_u32(out, 1);
    put_u32(out, 19);
    buf_append_text(out, "blk.0.attn_q.weight");
    put_u32(out, 3); /* calls */
    put_u32(out, 3); /* values */
    buf_append(out, squares, sizeof squares);
    put_u32(out, 7);
    put_u32(out, 8);
    buf_append_text(out, "wiki.raw");
}

static void the_older_form_is_read(void **state) {
    struct imatrix m;
    struct buf file;
    hearth_error err = {0};
    (void)state;
    legacy_file(&file);
    scratch_put("a.dat", file.data, file.length);
    assert_ok(imatrix_open(&m, scratch("a.dat"), &err), &err);
    assert_int_equal(m.n_chunks, 7);
    assert_string_equal(m.dataset, "wiki.raw");
    const struct imatrix_entry *e = imatrix_find(&m, "blk.0.attn_q.weight");
    assert_non_null(e);
    for (int i = 0; i < 3; i++)
        assert_true(e->squares[i] == (float)(i + 1));
    imatrix_close(&m);
    buf_release(&file);
}

static void damaged_files_are_refused(void **state) {
    enum { ENTRIES_END = 4 + 4 + 19 + 4 + 4 + 12 };
    struct imatrix m;
    struct buf file;
    hearth_error err = {0};
    (void)state;
    legacy_file(&file);
    for (size_t n = 1; n < ENTRIES_END; n++) {
        scratch_put("b.dat", file.data, n);
        assert_int_equal(imatrix_open(&m, scratch("b.dat"), &err), HEARTH_ERROR_FORMAT);
        assert_contains(err.message, "b.dat");
        imatrix_close(&m);
    }
    for (size_t n = ENTRIES_END; n < file.length; n++) { /* first versions ended here */
        scratch_put("b.dat", file.data, n);
        assert_int_equal(imatrix_open(&m, scratch("b.dat"), NULL), HEARTH_OK);
        imatrix_close(&m);
    }
    const uint32_t not_a_number = 0x7fc00000;
    memcpy(file.data + ENTRIES_END - 4, &not_a_number, 4);
    scratch_put("b.dat", file.data, file.length);
    assert_int_equal(imatrix_open(&m, scratch("b.dat"), &err), HEARTH_ERROR_FORMAT);
    imatrix_close(&m);
    buf_release(&file);
}

static void models_are_no_importance(void **state) {
    struct imatrix m;
    struct metadata metadata;
    hearth_error err = {0};
    float value = 1;
    struct tensor tensor = {
        .name = "w.in_sum2", .n_dims = 1, .dims = {1, 1, 1, 1}, .data = (const uint8_t *)&value};
    (void)state;
    metadata_init(&metadata, 1 << 16);
    assert_ok(gguf_write(scratch("m.gguf"), &metadata, &tensor, 1, 0, NULL, NULL, &err), &err);
    assert_int_equal(imatrix_open(&m, scratch("m.gguf"), &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "general.type");
    imatrix_close(&m);
    assert_ok(metadata_set_string(&metadata, "general.type", "imatrix", 7, &err), &err);
    assert_ok(gguf_write(scratch("m.gguf"), &metadata, &tensor, 1, 0, NULL, NULL, &err), &err);
    assert_int_equal(imatrix_open(&m, scratch("m.gguf"), &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "w.counts");
    imatrix_close(&m);
    metadata_release(&metadata);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_older_form_is_read),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(models_are_no_importance),
    };
    return cmocka_run_group_tests_name("format/imatrix", tests, scratch_open, scratch_close);
}
