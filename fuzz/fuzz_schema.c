/* A JSON Schema of any bytes. */
#include "fuzz_target_constraint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *schema = size < 1 << 16 ? json_loadb((const char *)data, size, 0, NULL) : NULL;
    if (schema) fuzz_constraint(CONSTRAINT_SCHEMA, schema, NULL, size);
    json_decref(schema);
    return 0;
}
