/* A regular expression of any bytes. */
#include "base/mem.h"
#include "fuzz_target_constraint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = size < 1 << 12 ? mem_strndup((const char *)data, size) : NULL;
    if (text) fuzz_constraint(CONSTRAINT_REGEX, NULL, text, size);
    mem_free(text);
    return 0;
}
