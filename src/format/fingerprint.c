/* The name of a directory's content.
 *
 * Weights are sampled: reading all of them would cost more than it saves whoever asks. */
#include <string.h>

#include "base/sha256.h"
#include "format/directory.h"

enum { SAMPLE_BYTES = 64, SAMPLE_STRIDE_BYTES = 4 << 20 };

static void add_number(struct sha256 *hash, uint64_t number) {
    sha256_update(hash, &number, sizeof number);
}

/* With its length in front, so that neighbours cannot trade bytes. */
static void add_bytes(struct sha256 *hash, const void *bytes, size_t size_bytes) {
    add_number(hash, size_bytes);
    sha256_update(hash, bytes, size_bytes);
}

static void add_array(struct sha256 *hash, const struct meta_array *array) {
    add_number(hash, array->type);
    add_number(hash, array->count);
    if (array->type != META_STRING) {
        add_bytes(hash, array->data, array->count * meta_type_bytes(array->type));
        return;
    }
    for (size_t i = 0; i < array->count; i++)
        add_bytes(hash, array->strings[i].data, array->strings[i].length);
}

static void add_value(struct sha256 *hash, const struct meta_value *value) {
    add_bytes(hash, value->key.data, value->key.length);
    add_number(hash, value->type);
    switch (value->type) {
    case META_STRING: add_bytes(hash, value->string.data, value->string.length); break;
    case META_ARRAY: add_array(hash, &value->array); break;
    case META_F32:
    case META_F64: add_bytes(hash, &value->f, sizeof value->f); break;
    default: add_number(hash, value->u); break;
    }
}

static void add_tensor(struct sha256 *hash, const struct tensor *tensor) {
    add_bytes(hash, tensor->name, strlen(tensor->name));
    add_number(hash, tensor->type);
    add_number(hash, tensor->dtype);
    for (int i = 0; i < TENSOR_MAX_DIMS; i++)
        add_number(hash, tensor->dims[i]);
    for (uint64_t at = 0; at < tensor->size_bytes; at += SAMPLE_STRIDE_BYTES) {
        uint64_t left = tensor->size_bytes - at;
        sha256_update(hash, tensor->data + at, left < SAMPLE_BYTES ? (size_t)left : SAMPLE_BYTES);
    }
}

void directory_fingerprint(const struct directory *dir, uint8_t fingerprint[FINGERPRINT_BYTES]) {
    struct sha256 hash;
    _Static_assert((int)FINGERPRINT_BYTES == (int)SHA256_BYTES, "a fingerprint is a digest");
    sha256_init(&hash);
    add_number(&hash, dir->metadata.count);
    for (size_t i = 0; i < dir->metadata.count; i++)
        add_value(&hash, &dir->metadata.values[i]);
    for (size_t i = 0; i < dir->n_tensors; i++)
        add_tensor(&hash, &dir->tensors[i]);
    sha256_final(&hash, fingerprint);
}
