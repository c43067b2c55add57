/* Feeds arbitrary bytes to the safetensors reader; when they are accepted, every byte
 * of every tensor must be readable and every name must be found. */
#include <assert.h>

#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct directory dir;
    hearth_error err;
    volatile uint8_t sum = 0;
    if (directory_init(&dir, "fuzz", 1, &err) != HEARTH_OK) return 0;
    hearth_status status = safetensors_parse(&dir, data, size, &err);
    if (status == HEARTH_OK) status = directory_align(&dir, 0, &err);
    if (status == HEARTH_OK) status = directory_index(&dir, &err);
    for (size_t i = 0; status == HEARTH_OK && i < dir.n_tensors; i++) {
        const struct tensor *tensor = &dir.tensors[i];
        assert(directory_find(&dir, tensor->name) == tensor);
        for (uint64_t b = 0; b < tensor->size_bytes; b++)
            sum = (uint8_t)(sum + tensor->data[b]);
    }
    directory_close(&dir);
    return 0;
}
