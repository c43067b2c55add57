#include "train/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/safetensors.h"
#include "train/shards.h"

/* "v/" and the longest name. */
enum { NAME_BYTES = TENSOR_MAX_NAME_BYTES + 1, COPY_BYTES = RANKS_PIECE_BYTES };
static const char format_version[] = "1";

/* ---- the run's state as strings ------------------------------------------- */

struct count_field {
    const char *key;
    size_t offset;
};

static const struct count_field count_fields[] = {
    {"step", offsetof(struct run_state, step)},
    {"tokens", offsetof(struct run_state, tokens)},
    {"batches", offsetof(struct run_state, batches)},
    {"best_step", offsetof(struct run_state, best_step)},
    {"stale_evaluations", offsetof(struct run_state, stale_evaluations)},
};
/* Written as hexadecimal floats, which lose no bit. */
static const struct count_field number_fields[] = {
    {"seconds", offsetof(struct run_state, seconds)},
    {"best_loss", offsetof(struct run_state, best_loss)},
};
enum {
    N_COUNT_FIELDS = sizeof count_fields / sizeof *count_fields,
    N_NUMBER_FIELDS = sizeof number_fields / sizeof *number_fields
};

static hearth_status put_string(struct metadata *m, const char *key, const char *text,
                                hearth_error *err) {
    return metadata_set_string(m, key, text, strlen(text), err);
}

static hearth_status state_to_metadata(const struct run_state *state, uint64_t optimizer_steps,
                                       struct metadata *m, hearth_error *err) {
    char text[2 * SOURCE_STATE_BYTES + 1];
    RETURN_IF_ERROR(put_string(m, "hearth.checkpoint", format_version, err));
    RETURN_IF_ERROR(put_string(m, "fingerprint", state->fingerprint, err));
    snprintf(text, sizeof text, "%" PRIu64, optimizer_steps);
    RETURN_IF_ERROR(put_string(m, "optimizer_steps", text, err));
    for (int i = 0; i < N_COUNT_FIELDS; i++) {
        uint64_t value;
        memcpy(&value, (const char *)state + count_fields[i].offset, sizeof value);
        snprintf(text, sizeof text, "%" PRIu64, value);
        RETURN_IF_ERROR(put_string(m, count_fields[i].key, text, err));
    }
    for (int i = 0; i < N_NUMBER_FIELDS; i++) {
        double value;
        memcpy(&value, (const char *)state + number_fields[i].offset, sizeof value);
        snprintf(text, sizeof text, "%a", value);
        RETURN_IF_ERROR(put_string(m, number_fields[i].key, text, err));
    }
    for (int i = 0; i < SOURCE_STATE_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned)state->source[i]);
    return put_string(m, "source", text, err);
}

/* The string of a key in `text`, NUL-terminated. */
static hearth_status get_string(const struct metadata *m, const char *key, char *text, size_t size,
                                hearth_error *err) {
    const struct meta_value *value = metadata_find(m, key);
    if (!value || value->type != META_STRING || value->string.length >= size)
        return error_set(err, HEARTH_ERROR_FORMAT, "its '%s' is missing or too long", key);
    memcpy(text, value->string.data, value->string.length);
    text[value->string.length] = '\0';
    return HEARTH_OK;
}

static hearth_status get_count(const struct metadata *m, const char *key, uint64_t *out,
                               hearth_error *err) {
    char text[32], *end;
    RETURN_IF_ERROR(get_string(m, key, text, sizeof text, err));
    *out = strtoull(text, &end, 10);
    if (end == text || *end || *text == '-')
        return error_set(err, HEARTH_ERROR_FORMAT, "its '%s' is '%s', not a count", key, text);
    return HEARTH_OK;
}

static hearth_status get_number(const struct metadata *m, const char *key, double *out,
                                hearth_error *err) {
    char text[64], *end;
    RETURN_IF_ERROR(get_string(m, key, text, sizeof text, err));
    *out = strtod(text, &end);
    if (end == text || *end || isnan(*out))
        return error_set(err, HEARTH_ERROR_FORMAT, "its '%s' is '%s', not a number", key, text);
    return HEARTH_OK;
}

static hearth_status get_source(const struct metadata *m, uint8_t source[SOURCE_STATE_BYTES],
                                hearth_error *err) {
    char text[2 * SOURCE_STATE_BYTES + 1];
    RETURN_IF_ERROR(get_string(m, "source", text, sizeof text, err));
    for (int i = 0; i < SOURCE_STATE_BYTES; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return error_set(err, HEARTH_ERROR_FORMAT, "its 'source' is not %d bytes in hex",
                             SOURCE_STATE_BYTES);
        source[i] = (uint8_t)byte;
    }
    return HEARTH_OK;
}

static hearth_status state_from_metadata(const struct metadata *m, struct run_state *state,
                                         uint64_t *optimizer_steps, hearth_error *err) {
    char version[16];
    RETURN_IF_ERROR(get_string(m, "hearth.checkpoint", version, sizeof version, err));
    if (strcmp(version, format_version) != 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "its format is '%s'; this program reads %s",
                         version, format_version);
    RETURN_IF_ERROR(
        get_string(m, "fingerprint", state->fingerprint, sizeof state->fingerprint, err));
    RETURN_IF_ERROR(get_count(m, "optimizer_steps", optimizer_steps, err));
    for (int i = 0; i < N_COUNT_FIELDS; i++)
        RETURN_IF_ERROR(get_count(m, count_fields[i].key,
                                  (uint64_t *)(void *)((char *)state + count_fields[i].offset),
                                  err));
    for (int i = 0; i < N_NUMBER_FIELDS; i++)
        RETURN_IF_ERROR(get_number(m, number_fields[i].key,
                                   (double *)(void *)((char *)state + number_fields[i].offset),
                                   err));
    return get_source(m, state->source, err);
}

/* ---- tensors ---------------------------------------------------------------- */

/* What a checkpoint holds of each parameter, in the order of the file's list. */
enum part { PART_VALUE, PART_M, PART_V, PARTS };
static const char *const part_names[PARTS] = {"value", "m", "v"};

static device_buffer part_buffer(const struct trained_tensor *t, enum part part) {
    return part == PART_VALUE ? t->value : part == PART_M ? t->m : t->v;
}

/* Name and shape of one part of a parameter; the name is written to `name`. */
static void describe(const struct optimizer *o, size_t i, enum part part, char name[NAME_BYTES],
                     struct tensor *out) {
    size_t n;
    const struct parameter *p = &optimizer_parameters(o, &n)[i];
    enum moment_format moments = optimizer_settings(o)->moments;
    snprintf(name, NAME_BYTES, "%s/%s", part_names[part], p->name);
    *out = (struct tensor){.name = name, .type = ELEM_F32, .n_dims = 2};
    out->dims[0] = p->cols;
    out->dims[1] = p->rows;
    if (part != PART_VALUE && moments == MOMENTS_8BIT) {
        safetensors_dtype_set(out, "U8");
        out->n_dims = 1;
        out->dims[0] = moment_bytes(moments, (uint64_t)p->rows * p->cols);
        out->dims[1] = 1;
    }
    out->dims[2] = out->dims[3] = 1;
}

static struct ranks *ranks_of(const struct optimizer *o) {
    return optimizer_settings(o)->ranks;
}

static enum moment_format format_of(const struct optimizer *o, enum part part) {
    return part == PART_VALUE ? MOMENTS_F32 : optimizer_settings(o)->moments;
}

/* Whether a rank has only its share of a part. */
static bool is_divided(const struct optimizer *o, enum part part) {
    return optimizer_settings(o)->stage >= (part == PART_VALUE ? ZERO_VALUES : ZERO_MOMENTS);
}

/* The bytes of a part that a rank has for the others: its share of what is divided; rank 0 has
 * whatever all have. */
struct span {
    uint64_t first, n;
};

static struct span span_of(const struct optimizer *o, size_t i, enum part part, int rank) {
    size_t n;
    const struct parameter *p = &optimizer_parameters(o, &n)[i];
    uint64_t values = (uint64_t)p->rows * p->cols;
    if (!is_divided(o, part))
        return (struct span){0, rank > 0 ? 0 : moment_bytes(format_of(o, part), values)};
    struct share share = share_of(values, rank, ranks_count(ranks_of(o)));
    return (struct span){moment_bytes(format_of(o, part), share.first),
                         moment_bytes(format_of(o, part), share.n)};
}

/* Where a span begins in its buffer: those of values are whole, those of moments are shares. */
static uint64_t offset_of(struct span span, enum part part) {
    return part == PART_VALUE ? span.first : 0;
}

static uint64_t piece_at(uint64_t at, uint64_t size) {
    return size - at < COPY_BYTES ? size - at : COPY_BYTES;
}

/* The bytes of one rank's share, which travel to rank 0. What cannot be written is received
 * all the same: the others must not wait. */
static hearth_status move_share(const struct optimizer *o, size_t number, int rank, uint8_t *copy,
                                struct tensor_writer *out, hearth_error *err) {
    struct ranks *ranks = ranks_of(o);
    enum part part = (enum part)(number % PARTS);
    device_buffer buffer = part_buffer(&optimizer_tensors(o)[number / PARTS], part);
    struct span span = span_of(o, number / PARTS, part, rank);
    uint64_t size = span.n, first = offset_of(span, part);
    hearth_status written = HEARTH_OK;
    for (uint64_t at = 0; at < size; at += COPY_BYTES) {
        size_t n = (size_t)piece_at(at, size);
        if (ranks_rank(ranks) == rank)
            RETURN_IF_ERROR(device_read(optimizer_device(o), buffer, first + at, copy, n, err));
        if (rank > 0) RETURN_IF_ERROR(ranks_fetch(ranks, rank, copy, n, err));
        if (out && written == HEARTH_OK) written = tensor_writer_put(out, copy, n, err);
    }
    return written;
}

/* `out`: NULL on other ranks than 0. */
static hearth_status move_part(const struct optimizer *o, size_t number, struct tensor_writer *out,
                               hearth_error *err) {
    int count = ranks_count(ranks_of(o));
    hearth_status status = HEARTH_OK;
    uint8_t *copy = mem_alloc(COPY_BYTES);
    if (!copy) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to copy tensors");
    for (int rank = 0; rank < count; rank++) {
        hearth_status moved =
            move_share(o, number, rank, copy, out, status == HEARTH_OK ? err : NULL);
        if (status == HEARTH_OK) status = moved;
    }
    mem_free(copy);
    return status;
}

/* Which tensor rank 0 writes next, where the others have parts of it; NO_TENSOR: no more. */
static const uint64_t NO_TENSOR = UINT64_MAX;

static hearth_status announce(const struct optimizer *o, uint64_t number, hearth_error *err) {
    if (optimizer_settings(o)->stage == ZERO_NOTHING) return HEARTH_OK;
    return ranks_broadcast(ranks_of(o), &number, sizeof number, err);
}

static hearth_status write_part(void *context, size_t number, struct tensor_writer *out,
                                hearth_error *err) {
    const struct optimizer *o = context;
    RETURN_IF_ERROR(announce(o, number, err));
    return move_part(o, number, out, err);
}

/* What other ranks do while rank 0 writes. */
static hearth_status give_parts(const struct optimizer *o, hearth_error *err) {
    uint64_t number = NO_TENSOR;
    if (optimizer_settings(o)->stage == ZERO_NOTHING) return HEARTH_OK;
    do {
        RETURN_IF_ERROR(ranks_broadcast(ranks_of(o), &number, sizeof number, err));
        if (number != NO_TENSOR) RETURN_IF_ERROR(move_part(o, (size_t)number, NULL, err));
    } while (number != NO_TENSOR);
    return HEARTH_OK;
}

static hearth_status write_file(const char *path, const struct optimizer *o,
                                const struct run_state *state, hearth_error *err) {
    size_t n;
    optimizer_parameters(o, &n);
    struct tensor *tensors = mem_calloc(PARTS * n + 1, sizeof *tensors);
    char(*names)[NAME_BYTES] = mem_calloc(PARTS * n + 1, sizeof *names);
    struct metadata m;
    metadata_init(&m, 1 << 20);
    hearth_status status = HEARTH_OK;
    if (!tensors || !names)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to list %zu tensors", PARTS * n);
    for (size_t i = 0; i < PARTS * n && status == HEARTH_OK; i++)
        describe(o, i / PARTS, (enum part)(i % PARTS), names[i], &tensors[i]);
    if (status == HEARTH_OK) status = state_to_metadata(state, optimizer_steps(o), &m, err);
    if (status == HEARTH_OK)
        status = safetensors_write(path, &m, tensors, PARTS * n, 0, write_part,
                                   (void *)(uintptr_t)o, err);
    metadata_release(&m);
    mem_free(names);
    mem_free(tensors);
    return status;
}

hearth_status checkpoint_write(const char *path, const struct optimizer *o,
                               const struct run_state *state, hearth_error *err) {
    if (ranks_rank(ranks_of(o)) > 0) return give_parts(o, err);
    hearth_status status = write_file(path, o, state, err);
    hearth_status told = announce(o, NO_TENSOR, status == HEARTH_OK ? err : NULL);
    return status == HEARTH_OK ? told : status;
}

/* The part of a parameter in the file; fails by name when it is not there as expected. */
static hearth_status find_part(const struct directory *dir, const struct optimizer *o, size_t i,
                               enum part part, const struct tensor **out, hearth_error *err) {
    char name[NAME_BYTES];
    struct tensor expected;
    describe(o, i, part, name, &expected);
    *out = directory_find(dir, name);
    if (!*out) return error_set(err, HEARTH_ERROR_FORMAT, "it has no tensor '%s'", name);
    if ((*out)->type != expected.type || (*out)->dtype != expected.dtype ||
        memcmp((*out)->dims, expected.dims, sizeof expected.dims) != 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "its tensor '%s' is %s of %" PRIu64 " x %" PRIu64
                         "; this run has %s of %" PRIu64 " x %" PRIu64,
                         name, tensor_type_name(*out), (*out)->dims[1], (*out)->dims[0],
                         tensor_type_name(&expected), expected.dims[1], expected.dims[0]);
    return HEARTH_OK;
}

static hearth_status check_tensors(const struct directory *dir, const struct optimizer *o,
                                   hearth_error *err) {
    size_t n;
    const struct tensor *tensor;
    optimizer_parameters(o, &n);
    if (dir->n_tensors != PARTS * n)
        return error_set(err, HEARTH_ERROR_FORMAT, "it has %zu tensors; this run has %zu",
                         dir->n_tensors, PARTS * n);
    for (size_t i = 0; i < PARTS * n; i++)
        RETURN_IF_ERROR(find_part(dir, o, i / PARTS, (enum part)(i % PARTS), &tensor, err));
    return HEARTH_OK;
}

/* A piece of a part, at `at` of the whole, to those who have it. */
static hearth_status keep_piece(const struct optimizer *o, size_t i, enum part part, uint64_t at,
                                const uint8_t *piece, uint64_t n, hearth_error *err) {
    struct span own = span_of(o, i, part, is_divided(o, part) ? ranks_rank(ranks_of(o)) : 0);
    uint64_t begin = at > own.first ? at : own.first;
    uint64_t end = at + n < own.first + own.n ? at + n : own.first + own.n;
    if (begin >= end) return HEARTH_OK;
    return device_write(optimizer_device(o), part_buffer(&optimizer_tensors(o)[i], part),
                        offset_of(own, part) + begin - own.first, piece + (begin - at), end - begin,
                        err);
}

/* From rank 0's file (`dir`; NULL elsewhere) to all. */
static hearth_status load_part(const struct directory *dir, const struct optimizer *o, size_t i,
                               enum part part, uint8_t *copy, hearth_error *err) {
    const struct tensor *tensor = NULL;
    size_t n_parameters;
    const struct parameter *p = &optimizer_parameters(o, &n_parameters)[i];
    uint64_t size = moment_bytes(format_of(o, part), (uint64_t)p->rows * p->cols);
    if (dir) RETURN_IF_ERROR(find_part(dir, o, i, part, &tensor, err));
    for (uint64_t at = 0; at < size; at += COPY_BYTES) {
        uint64_t n = piece_at(at, size);
        if (tensor) memcpy(copy, (const uint8_t *)tensor->data + at, (size_t)n);
        RETURN_IF_ERROR(ranks_broadcast(ranks_of(o), copy, (size_t)n, err));
        RETURN_IF_ERROR(keep_piece(o, i, part, at, copy, n, err));
    }
    return HEARTH_OK;
}

static hearth_status load_tensors(const struct directory *dir, const struct optimizer *o,
                                  hearth_error *err) {
    size_t n;
    hearth_status status = HEARTH_OK;
    uint8_t *copy = mem_alloc(COPY_BYTES);
    if (!copy) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to copy tensors");
    optimizer_parameters(o, &n);
    for (size_t i = 0; i < PARTS * n && status == HEARTH_OK; i++)
        status = load_part(dir, o, i / PARTS, (enum part)(i % PARTS), copy, err);
    mem_free(copy);
    return status;
}

/* What a file says besides tensors. */
struct found {
    struct run_state state;
    uint64_t steps;
};

static hearth_status check_file(const struct directory *dir, const struct optimizer *o,
                                const char *fingerprint, struct found *found, hearth_error *err) {
    RETURN_IF_ERROR(state_from_metadata(&dir->metadata, &found->state, &found->steps, err));
    if (strcmp(found->state.fingerprint, fingerprint) != 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "it belongs to a run with another model, data or settings; resume with "
                         "those of that run, or start anew in another folder");
    return check_tensors(dir, o, err);
}

hearth_status checkpoint_read(const char *path, struct optimizer *o, struct run_state *state,
                              hearth_error *err) {
    struct directory dir = {0};
    struct found found = {0};
    struct ranks *ranks = ranks_of(o);
    bool reads = ranks_rank(ranks) == 0;
    hearth_status status = HEARTH_OK;
    if (reads) {
        status = safetensors_open(&dir, path, err);
        if (status != HEARTH_OK) return ranks_agree(ranks, status, err);
        status = check_file(&dir, o, state->fingerprint, &found, err);
        if (status != HEARTH_OK) error_prefix(err, status, "cannot resume from '%s'", path);
    }
    status = ranks_agree(ranks, status, err);
    if (status == HEARTH_OK) status = ranks_broadcast(ranks, &found, sizeof found, err);
    if (status == HEARTH_OK) status = load_tensors(reads ? &dir : NULL, o, err);
    if (status == HEARTH_OK) {
        optimizer_set_steps(o, found.steps);
        *state = found.state;
    }
    if (reads) directory_close(&dir);
    return status;
}

hearth_status checkpoint_read_state(const char *path, struct run_state *state, hearth_error *err) {
    struct directory dir = {0};
    uint64_t steps;
    RETURN_IF_ERROR(safetensors_open(&dir, path, err));
    hearth_status status = state_from_metadata(&dir.metadata, state, &steps, err);
    directory_close(&dir);
    return status == HEARTH_OK ? status : error_prefix(err, status, "cannot use '%s'", path);
}

/* ---- the folder ------------------------------------------------------------- */

static const char name_format[] = "checkpoint-%08" PRIu64 ".safetensors";

char *checkpoint_path(const char *folder, uint64_t step) {
    char name[64];
    snprintf(name, sizeof name, name_format, step);
    return path_join(folder, name);
}

/* The step of a file's name; false for other files. */
static bool checkpoint_step(const char *name, uint64_t *step) {
    char again[64];
    if (sscanf(name, "checkpoint-%20" SCNu64, step) != 1) return false;
    snprintf(again, sizeof again, name_format, *step);
    return strcmp(name, again) == 0;
}

hearth_status checkpoint_latest(const char *folder, char **path, hearth_error *err) {
    char **names;
    size_t count;
    uint64_t step, most = 0;
    bool found = false;
    *path = NULL;
    if (!file_is_folder(folder)) return HEARTH_OK;
    RETURN_IF_ERROR(file_list(folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (!checkpoint_step(names[i], &step) || (found && step < most)) continue;
        most = step;
        found = true;
    }
    file_names_free(names, count);
    if (!found) return HEARTH_OK;
    *path = checkpoint_path(folder, most);
    return *path ? HEARTH_OK : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
}

/* How many checkpoints of the list have a higher step. */
static size_t count_later(char **names, size_t count, uint64_t than) {
    size_t later = 0;
    uint64_t step;
    for (size_t i = 0; i < count; i++)
        if (checkpoint_step(names[i], &step) && step > than) later++;
    return later;
}

/* What a process that was killed while it wrote a checkpoint has left: the file's name and
 * a random ending (base/file.h). */
static bool is_leftover(const char *name) {
    char stem[64];
    uint64_t step;
    const char *ending = strrchr(name, '.');
    if (!ending || ending == name || (size_t)(ending - name) >= sizeof stem) return false;
    snprintf(stem, sizeof stem, "%.*s", (int)(ending - name), name);
    return checkpoint_step(stem, &step);
}

hearth_status checkpoint_prune(const char *folder, size_t keep, uint64_t spare, hearth_error *err) {
    char **names;
    size_t count;
    uint64_t step;
    hearth_status status = HEARTH_OK;
    RETURN_IF_ERROR(file_list(folder, &names, &count, err));
    for (size_t i = 0; i < count && status == HEARTH_OK; i++) {
        bool is_old = checkpoint_step(names[i], &step) && step != spare &&
                      count_later(names, count, step) >= keep;
        if (!is_old && !is_leftover(names[i])) continue;
        char *path = path_join(folder, names[i]);
        if (!path)
            status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
        else if (unlink(path) != 0)
            status = error_set_errno(err, "cannot remove the old checkpoint '%s'", path);
        mem_free(path);
    }
    file_names_free(names, count);
    return status;
}
