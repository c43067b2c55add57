#include "testdata.h"

#include <string.h>

#include "base/sha256.h"

static const char *hash_text(const void *data, size_t size, size_t piece) {
    static char hex[SHA256_HEX_BYTES];
    uint8_t digest[SHA256_BYTES];
    struct sha256 hash;
    sha256_init(&hash);
    for (size_t at = 0; at < size; at += piece)
        sha256_update(&hash, (const char *)data + at, size - at < piece ? size - at : piece);
    sha256_final(&hash, digest);
    sha256_hex(digest, hex);
    return hex;
}

/* The example messages that NIST publishes for FIPS 180-4, and the empty one. */
static void published_vectors(void **state) {
    (void)state;
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    assert_string_equal(hash_text("", 0, 1),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(hash_text("abc", 3, 3),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(hash_text(two_blocks, strlen(two_blocks), 64),
                        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    static char million[1000000];
    memset(million, 'a', sizeof million);
    assert_string_equal(hash_text(million, sizeof million, 1000),
                        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void pieces_do_not_matter(void **state) {
    (void)state;
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + 3);
    for (size_t size = 0; size <= sizeof data; size++) {
        char whole[SHA256_HEX_BYTES];
        memcpy(whole, hash_text(data, size, sizeof data), sizeof whole);
        for (size_t piece = 1; piece < 131; piece += 13)
            assert_string_equal(hash_text(data, size, piece), whole);
    }
}

static void instructions_change_nothing(void **state) {
    (void)state;
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i + 11);
    for (size_t size = 0; size <= sizeof data; size += 7) {
        char best[SHA256_HEX_BYTES];
        memcpy(best, hash_text(data, size, 333), sizeof best);
        setenv("HEARTH_CPU", "scalar", 1);
        assert_string_equal(hash_text(data, size, 333), best);
        unsetenv("HEARTH_CPU");
    }
}

static int use_scalar(void **state) {
    (void)state;
    return setenv("HEARTH_CPU", "scalar", 1);
}

static int use_best(void **state) {
    (void)state;
    return unsetenv("HEARTH_CPU");
}

int main(void) {
    unsetenv("HEARTH_CPU");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test_setup_teardown(published_vectors, use_scalar, use_best),
        cmocka_unit_test(instructions_change_nothing), cmocka_unit_test(pieces_do_not_matter)};
    return cmocka_run_group_tests_name("base/sha256", tests, NULL, NULL);
}
