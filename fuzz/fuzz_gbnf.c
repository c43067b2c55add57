/* A GBNF grammar of any bytes. */
#include <string.h>

#include "base/mem.h"
#include "fuzz_target_constraint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = size < 1 << 16 ? mem_strndup((const char *)data, size) : NULL;
    if (text) fuzz_constraint(CONSTRAINT_GRAMMAR, NULL, text, size);
    mem_free(text);
    return 0;
}
