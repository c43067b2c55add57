/* Opens arbitrary bytes as a GGUF file and touches everything the reader accepted. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/directory.h"
#include "fuzz_target.h"

static volatile uint64_t sink;

static void read_bytes(const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += bytes[i];
    sink += sum;
}

static void read_metadata(const struct metadata *m) {
    for (size_t i = 0; i < m->count; i++) {
        const struct meta_value *value = &m->values[i];
        read_bytes(value->key.data, value->key.length);
        if (value->type == META_STRING) read_bytes(value->string.data, value->string.length);
        if (value->type != META_ARRAY) continue;
        const struct meta_array *array = &value->array;
        for (size_t k = 0; k < array->count; k++) {
            if (array->type == META_STRING)
                read_bytes(array->strings[k].data, array->strings[k].length);
            else
                sink += (uint64_t)meta_array_int(array, k);
        }
    }
}

static void read_tensors(const struct directory *dir) {
    for (size_t i = 0; i < dir->n_tensors; i++) {
        const struct tensor *tensor = &dir->tensors[i];
        if (directory_find(dir, tensor->name) != tensor) abort();
        read_bytes(tensor->data, (size_t)tensor->size_bytes);
    }
    sink += directory_bytes(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int file = -1;
    char path[64];
    struct directory dir;
    hearth_error err;
    if (file < 0) file = memfd_create("fuzz_gguf", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (gguf_open(&dir, path, &err) != HEARTH_OK) return 0;
    read_metadata(&dir.metadata);
    read_tensors(&dir);
    directory_close(&dir);
    return 0;
}
