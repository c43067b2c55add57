#include "scratch.h"

enum { CROWD = 1100, NAME_BYTES = 16 };

/* Names that fall into one place of every hash table of up to 4096 places: FNV-1a with
 * equal low bits. */
static void make_crowd(char names[CROWD][NAME_BYTES]) {
    unsigned n = 0;
    for (unsigned number = 0; n < CROWD; number++) {
        uint64_t h = 0xcbf29ce484222325u;
        snprintf(names[n], NAME_BYTES, "t%u", number);
        for (const char *c = names[n]; *c; c++)
            h = (h ^ (uint8_t)*c) * 0x100000001b3u;
        if (h % 4096 == 0) n++;
    }
}

static void names_made_to_collide_are_refused(void **state) {
    static char names[CROWD][NAME_BYTES];
    static struct tensor tensors[CROWD];
    struct directory dir = {.tensors = tensors, .n_tensors = CROWD};
    struct metadata m;
    hearth_error err = {0};
    hearth_status status = HEARTH_OK;
    (void)state;
    make_crowd(names);
    for (unsigned i = 0; i < CROWD; i++)
        tensors[i].name = names[i];
    assert_int_equal(directory_index(&dir, &err), HEARTH_ERROR_LIMIT);
    assert_contains(err.message, "the tensor names were made to collide");
    mem_free(dir.index);
    metadata_init(&m, 1 << 20);
    for (unsigned i = 0; i < CROWD && status == HEARTH_OK; i++)
        status = metadata_set_bool(&m, names[i], true, &err);
    assert_int_equal(status, HEARTH_ERROR_LIMIT);
    assert_contains(err.message, "the metadata keys were made to collide");
    metadata_release(&m);
}

static void many_ordinary_names_are_found(void **state) {
    enum { MANY = 20000 };
    static char names[MANY][40];
    static struct tensor tensors[MANY];
    struct directory dir = {.tensors = tensors, .n_tensors = MANY};
    hearth_error err = {0};
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "model.layers.%u.mlp.experts.%u.up", i / 256, i % 256);
        tensors[i].name = names[i];
    }
    assert_ok(directory_index(&dir, &err), &err);
    for (unsigned i = 0; i < MANY; i++)
        assert_ptr_equal(directory_find(&dir, names[i]), &tensors[i]);
    assert_null(directory_find(&dir, "model.layers.0.mlp.experts.0.down"));
    mem_free(dir.index);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_made_to_collide_are_refused),
        cmocka_unit_test(many_ordinary_names_are_found),
    };
    return cmocka_run_group_tests_name("format/directory", tests, NULL, NULL);
}
