#include "model/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char magnitude_suffix[] = ".lora_magnitude";

static bool has_suffix(const char *name, const char *suffix) {
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcmp(name + n - m, suffix) == 0;
}

/* The tensor of the weight that `name`, less its suffix, belongs to. */
static const struct tensor *find_beside(const struct adapter *adapter, const char *name,
                                        const char *suffix, const char *other) {
    char beside[512];
    snprintf(beside, sizeof beside, "%.*s%s", (int)(strlen(name) - strlen(suffix)), name, other);
    return directory_find(&adapter->directory, beside);
}

static hearth_status check_pair(const struct adapter *adapter, const struct tensor *a,
                                hearth_error *err) {
    const struct tensor *b = find_beside(adapter, a->name, ".lora_a", ".lora_b");
    if (!b)
        return error_set(err, HEARTH_ERROR_FORMAT, "tensor '%s' is there without its '.lora_b'",
                         a->name);
    if (a->dims[1] == b->dims[0]) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "ranks of '%s' (%llu) and '%s' (%llu) differ",
                     a->name, (unsigned long long)a->dims[1], b->name,
                     (unsigned long long)b->dims[0]);
}

static hearth_status check_magnitude(const struct adapter *adapter, const struct tensor *m,
                                     hearth_error *err) {
    const struct tensor *a = find_beside(adapter, m->name, magnitude_suffix, ".lora_a");
    const struct tensor *b = find_beside(adapter, m->name, magnitude_suffix, ".lora_b");
    if (!a || !b)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tensor '%s' is there without '.lora_a', '.lora_b'", m->name);
    bool floats = a->type == ELEM_F32 && b->type == ELEM_F32 && m->type == ELEM_F32;
    if (floats && m->dims[0] == b->dims[1] && m->dims[1] * m->dims[2] * m->dims[3] == 1)
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "tensor '%s' has %llu values of %s; %llu of f32 were expected, and f32 beside "
                     "it",
                     m->name, (unsigned long long)m->dims[0], elem_name(m->type),
                     (unsigned long long)b->dims[1]);
}

hearth_status adapter_check_pairs(const struct adapter *adapter, hearth_error *err) {
    const struct directory *dir = &adapter->directory;
    for (size_t i = 0; i < dir->n_tensors; i++) {
        const struct tensor *t = &dir->tensors[i];
        if (has_suffix(t->name, ".lora_a")) RETURN_IF_ERROR(check_pair(adapter, t, err));
        if (has_suffix(t->name, magnitude_suffix))
            RETURN_IF_ERROR(check_magnitude(adapter, t, err));
    }
    return HEARTH_OK;
}

bool adapter_find(const struct adapter *adapter, const char *weight_name,
                  struct adapter_part *part) {
    part->a = find_beside(adapter, weight_name, "", ".lora_a");
    part->b = find_beside(adapter, weight_name, "", ".lora_b");
    part->magnitude = find_beside(adapter, weight_name, "", magnitude_suffix);
    return part->a && part->b;
}

bool adapter_is_decomposed(const struct adapter *adapter) {
    for (size_t i = 0; i < adapter->directory.n_tensors; i++)
        if (has_suffix(adapter->directory.tensors[i].name, magnitude_suffix)) return true;
    return false;
}

/* The first weight that both change as a whole; NULL: none. */
static const char *shared_decomposed(const struct adapter *a, const struct adapter *b) {
    for (size_t i = 0; i < a->directory.n_tensors; i++) {
        const char *name = a->directory.tensors[i].name;
        if (has_suffix(name, magnitude_suffix) && directory_find(&b->directory, name)) return name;
    }
    return NULL;
}

hearth_status adapter_set_check(const struct adapter_set *set, hearth_error *err) {
    for (size_t i = 0; i < set->count; i++) {
        const struct adapter_item *item = &set->items[i];
        if (!isfinite(item->scale))
            return error_set(err, HEARTH_ERROR_ARGUMENT, "the scale of an adapter is not a number");
        for (size_t j = 0; j < i && item->scale != 0; j++) {
            const char *name = set->items[j].scale != 0
                                   ? shared_decomposed(item->adapter, set->items[j].adapter)
                                   : NULL;
            if (name)
                return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                                 "two weight-decomposed adapters (DoRA) change '%.*s'; one can: "
                                 "merge the other into the model",
                                 (int)(strlen(name) - strlen(magnitude_suffix)), name);
        }
    }
    return HEARTH_OK;
}

void adapter_set_identity(const struct adapter_set *set, uint8_t identity[SHA256_BYTES]) {
    struct sha256 hash;
    sha256_init(&hash);
    for (size_t i = 0; i < set->count; i++) {
        const struct adapter *adapter = set->items[i].adapter;
        uint8_t fingerprint[FINGERPRINT_BYTES];
        if (set->items[i].scale == 0) continue;
        directory_fingerprint(&adapter->directory, fingerprint);
        sha256_update(&hash, fingerprint, sizeof fingerprint);
        sha256_update(&hash, &adapter->alpha, sizeof adapter->alpha);
        sha256_update(&hash, &set->items[i].scale, sizeof set->items[i].scale);
    }
    sha256_final(&hash, identity);
}

static hearth_status check_kind(struct adapter *adapter, const char *family, hearth_error *err) {
    const struct metadata *m = &adapter->directory.metadata;
    struct text type = {"", 0}, kind = {"", 0}, arch = {"", 0};
    metadata_string(m, "general.type", &type);
    metadata_string(m, "adapter.type", &kind);
    metadata_string(m, "general.architecture", &arch);
    if (!text_equal(type, "adapter") || !text_equal(kind, "lora"))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "not a LoRA adapter: general.type is '%.*s', adapter.type '%.*s'",
                         (int)type.length, type.data, (int)kind.length, kind.data);
    if (!text_equal(arch, family))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "the adapter is for '%.*s', the model is '%s'",
                         (int)arch.length, arch.data, family);
    if (!metadata_f32(m, "adapter.lora.alpha", &adapter->alpha))
        return error_set(err, HEARTH_ERROR_FORMAT, "metadata key 'adapter.lora.alpha' is missing");
    return HEARTH_OK;
}

static hearth_status open_file(struct adapter *adapter, const char *path, const struct config *base,
                               hearth_error *err) {
    RETURN_IF_ERROR(gguf_open(&adapter->directory, path, err));
    hearth_status status = check_kind(adapter, base->family, err);
    if (status == HEARTH_OK) status = adapter_check_pairs(adapter, err);
    if (status != HEARTH_OK) error_prefix(err, status, "cannot use adapter '%s'", path);
    return status;
}

hearth_status adapter_open(struct adapter *adapter, const char *path, const struct config *base,
                           hearth_error *err) {
    *adapter = (struct adapter){0};
    hearth_status status = file_is_folder(path) ? peft_open(adapter, path, base, err)
                                                : open_file(adapter, path, base, err);
    if (status != HEARTH_OK) adapter_close(adapter);
    return status;
}

hearth_status adapter_open_scaled(struct adapter *adapter, float *scale, const char *item,
                                  const struct config *base, hearth_error *err) {
    size_t length = strlen(item);
    const char *colon = strrchr(item, ':');
    *scale = 1.0f;
    if (colon && colon[1]) {
        char *end;
        float value = strtof(colon + 1, &end);
        if (*end == '\0') {
            *scale = value;
            length = (size_t)(colon - item);
        }
    }
    char *path = mem_strndup(item, length);
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
    hearth_status status = adapter_open(adapter, path, base, err);
    mem_free(path);
    return status;
}

void adapter_close(struct adapter *adapter) {
    directory_close(&adapter->directory);
    *adapter = (struct adapter){0};
}
