#include "train/dataset.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/dataset_container.h"
#include "train/dataset_order.h"
#include "train/dataset_schema.h"

enum { LINE_MARK_RECORDS = 1024, PROGRESS_RECORDS = 512 };

/* Offsets count through all files, one after the other. */
struct dataset_file {
    struct file_map map;
    struct dataset_source source;
    struct schema_binding binding;
    struct dataset_file_summary summary;
    char *path;
    uint64_t base; /* offset of its first byte */
    bool is_detected;
};

/* The line of every LINE_MARK_RECORDS-th record, so that others are found by counting on. */
struct line_mark {
    uint64_t offset, line;
};

struct dataset {
    struct dataset_options options;
    char *columns[N_DATASET_FIELDS], *separator; /* copies of what the options point to */
    struct dataset_file *files;
    size_t n_files;
    uint64_t *offsets; /* [n_records]: training, then evaluation, each in the files' order */
    uint64_t n_records, capacity, n_eval, n_broken;
    uint64_t *hashes; /* [n_records] while opening, when some are for evaluation */
    struct line_mark *marks;
    size_t n_marks, marks_capacity;
    struct dataset_problem problems[DATASET_PROBLEMS_KEPT];
    uint8_t digest[SHA256_BYTES];
};

/* ---- places ---- */

static uint64_t count_lines(const char *data, size_t n) {
    uint64_t lines = 0;
    const char *at = data, *end = n ? data + n : data;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        lines++;
        at++;
    }
    return lines;
}

static struct dataset_file *file_of(const struct dataset *d, uint64_t offset) {
    size_t low = 0, high = d->n_files;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (d->files[middle].base <= offset)
            low = middle;
        else
            high = middle;
    }
    return &d->files[low];
}

static struct dataset_place place_of(const struct dataset *d, uint64_t offset) {
    const struct dataset_file *file = file_of(d, offset);
    struct line_mark mark = {file->base, 1};
    size_t low = 0, high = d->n_marks;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->marks[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0 && d->marks[low - 1].offset >= file->base) mark = d->marks[low - 1];
    const char *from = (const char *)file->map.data + (mark.offset - file->base);
    return (struct dataset_place){file->path,
                                  mark.line + count_lines(from, (size_t)(offset - mark.offset))};
}

/* ---- the index ---- */

static hearth_status grow_index(struct dataset *d, hearth_error *err) {
    bool hashed = d->options.eval_fraction > 0 || d->options.eval_count > 0;
    uint64_t capacity = d->capacity ? d->capacity * 2 : 1024;
    uint64_t bytes = capacity * (hashed ? 2 : 1) * sizeof *d->offsets;
    if (bytes > d->options.max_index_bytes) { /* the last step may be smaller */
        capacity = d->options.max_index_bytes / ((hashed ? 2 : 1) * sizeof *d->offsets);
        if (capacity <= d->n_records)
            return error_set(err, HEARTH_ERROR_LIMIT,
                             "the index of %llu records is larger than its budget of %zu bytes "
                             "(max_index_bytes)",
                             (unsigned long long)d->n_records + 1, d->options.max_index_bytes);
    }
    uint64_t *offsets = mem_realloc_array(d->offsets, (size_t)capacity, sizeof *offsets);
    if (offsets) d->offsets = offsets;
    uint64_t *hashes =
        hashed && offsets ? mem_realloc_array(d->hashes, (size_t)capacity, sizeof *hashes) : NULL;
    if (hashes) d->hashes = hashes;
    if (!offsets || (hashed && !hashes))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the index of the records");
    d->capacity = capacity;
    return HEARTH_OK;
}

static hearth_status add_mark(struct dataset *d, uint64_t offset, uint64_t line,
                              hearth_error *err) {
    if (d->n_marks == d->marks_capacity) {
        size_t capacity = d->marks_capacity ? d->marks_capacity * 2 : 64;
        struct line_mark *marks = mem_realloc_array(d->marks, capacity, sizeof *marks);
        if (!marks) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the index");
        d->marks = marks;
        d->marks_capacity = capacity;
    }
    d->marks[d->n_marks++] = (struct line_mark){offset, line};
    return HEARTH_OK;
}

static hearth_status add_record(struct dataset *d, struct dataset_file *file,
                                const struct record_span *span, hearth_error *err) {
    if (d->n_records == d->capacity) RETURN_IF_ERROR(grow_index(d, err));
    if (d->hashes)
        d->hashes[d->n_records] =
            order_hash(file->source.data + span->begin, span->end - span->begin, d->options.seed);
    d->offsets[d->n_records++] = file->base + span->begin;
    file->summary.n_records++;
    return HEARTH_OK;
}

/* ---- going through a file ---- */

static hearth_status read_span(const struct dataset_file *file, const struct record_span *span,
                               struct dataset_sample *sample, hearth_error *err) {
    json_t *record;
    RETURN_IF_ERROR(container_parse(&file->source, span, &record, err));
    hearth_status status = schema_sample(&file->binding, record, sample, err);
    json_decref(record);
    if (status != HEARTH_OK || file->source.container != CONTAINER_TEXT) return status;
    sample->text_begins = span->text_begins;
    sample->text_ends = span->text_ends;
    return HEARTH_OK;
}

/* The first record with known columns says what the file's columns mean. */
static hearth_status check_span(struct dataset_file *file, const struct record_span *span,
                                hearth_error *err) {
    struct dataset_sample sample;
    if (!file->is_detected) {
        json_t *record;
        RETURN_IF_ERROR(container_parse(&file->source, span, &record, err));
        hearth_status status = schema_detect(&file->binding, record, file->summary.schema_reason,
                                             sizeof file->summary.schema_reason, err);
        json_decref(record);
        if (status != HEARTH_OK) return status;
        file->summary.schema = file->binding.schema;
        file->is_detected = true;
    }
    RETURN_IF_ERROR(read_span(file, span, &sample, err));
    dataset_sample_release(&sample);
    return HEARTH_OK;
}

static hearth_status broken(struct dataset *d, struct dataset_file *file, uint64_t line,
                            hearth_status status, const hearth_error *problem, hearth_error *err) {
    bool survivable = status == HEARTH_ERROR_FORMAT || status == HEARTH_ERROR_LIMIT ||
                      status == HEARTH_ERROR_UNSUPPORTED;
    if (!d->options.skip_broken || !survivable)
        return error_set(err, status, "%s:%llu: %s", file->path, (unsigned long long)line,
                         problem->message);
    if (d->n_broken < DATASET_PROBLEMS_KEPT) {
        struct dataset_problem *kept = &d->problems[d->n_broken];
        kept->place = (struct dataset_place){file->path, line};
        snprintf(kept->message, sizeof kept->message, "%.255s", problem->message);
    }
    d->n_broken++;
    file->summary.n_broken++;
    return HEARTH_OK;
}

static hearth_status report_progress(const struct dataset *d, uint64_t done, hearth_error *err) {
    const struct dataset_file *last = &d->files[d->n_files - 1];
    uint64_t total = last->base + last->map.size;
    if (!d->options.progress || d->options.progress(d->options.context, done, total))
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_CANCELLED, "stopped while reading the data");
}

static bool is_complete(const struct dataset *d) {
    return d->options.max_samples > 0 && d->n_records == d->options.max_samples;
}

static hearth_status scan_file(struct dataset *d, struct dataset_file *file, size_t *end,
                               hearth_error *err) {
    struct record_span span = {0};
    hearth_error problem = {0};
    uint64_t line = 1, seen = 0;
    size_t counted = 0;
    for (*end = file->source.first; !is_complete(d); *end = span.next) {
        bool found;
        hearth_status status = container_next(&file->source, *end, &span, &found, &problem);
        if (status == HEARTH_OK && !found) {
            *end = file->source.size;
            break;
        }
        line += count_lines(file->source.data + counted, span.begin - counted);
        counted = span.begin;
        if (status != HEARTH_OK)
            return error_set(err, status, "%s:%llu: %s", file->path, (unsigned long long)line,
                             problem.message);
        if (seen++ % LINE_MARK_RECORDS == 0)
            RETURN_IF_ERROR(add_mark(d, file->base + span.begin, line, err));
        if (seen % PROGRESS_RECORDS == 0)
            RETURN_IF_ERROR(report_progress(d, file->base + span.begin, err));
        status = check_span(file, &span, &problem);
        status = status == HEARTH_OK ? add_record(d, file, &span, err)
                                     : broken(d, file, line, status, &problem, err);
        if (status != HEARTH_OK) return status;
    }
    return report_progress(d, file->base + *end, err);
}

static hearth_status open_source(struct dataset *d, struct dataset_file *file, hearth_error *err) {
    hearth_error problem = {0};
    size_t at = 0;
    file->source = (struct dataset_source){.data = (const char *)file->map.data,
                                           .size = file->map.size,
                                           .max_record_bytes = d->options.max_record_bytes,
                                           .piece_bytes = DATASET_TEXT_PIECE_BYTES,
                                           .separator = d->separator};
    file->binding = (struct schema_binding){d->options.schema, d->options.columns};
    if (file->source.piece_bytes > d->options.max_record_bytes)
        file->source.piece_bytes = d->options.max_record_bytes;
    hearth_status status = container_open(&file->source, file->path, d->options.container,
                                          file->summary.container_reason,
                                          sizeof file->summary.container_reason, &at, &problem);
    if (status != HEARTH_OK)
        return error_set(err, status, "cannot use '%s' as data (line %llu): %s", file->path,
                         (unsigned long long)count_lines(file->source.data, at) + 1,
                         problem.message);
    file->summary.container = file->source.container;
    file->summary.has_bom = file->source.has_bom;
    return HEARTH_OK;
}

static hearth_status no_good_record(const struct dataset *d, const struct dataset_file *file,
                                    hearth_error *err) {
    const struct dataset_problem *first = d->problems;
    uint64_t n = file->summary.n_broken;
    if (n == 0 || d->n_broken > n) /* what is kept may be of other files */
        return error_set(err, HEARTH_ERROR_FORMAT, "'%s' has no %srecords", file->path,
                         n ? "good " : "");
    return error_set(err, HEARTH_ERROR_FORMAT, "%s:%llu: %s (%s)", file->path,
                     (unsigned long long)first->place.line, first->message,
                     n > 1 ? "as all other records of the file: none is good"
                           : "the only record of the file");
}

static hearth_status scan_files(struct dataset *d, hearth_error *err) {
    struct sha256 hash;
    sha256_init(&hash);
    for (size_t i = 0; i < d->n_files; i++) {
        struct dataset_file *file = &d->files[i];
        size_t end = 0;
        if (!is_complete(d)) {
            RETURN_IF_ERROR(open_source(d, file, err));
            RETURN_IF_ERROR(scan_file(d, file, &end, err));
            if (file->summary.n_records == 0) return no_good_record(d, file, err);
        }
        sha256_update(&hash, file->map.data, end);
    }
    sha256_final(&hash, d->digest);
    return HEARTH_OK;
}

/* Pairs of answers have an objective of their own. */
static hearth_status check_mixture(const struct dataset *d, hearth_error *err) {
    const struct dataset_file *first = &d->files[0];
    for (size_t i = 1; i < d->n_files; i++) {
        const struct dataset_file *file = &d->files[i];
        if (file->summary.n_records == 0) continue;
        if ((file->binding.schema == SCHEMA_PREFERENCE) !=
            (first->binding.schema == SCHEMA_PREFERENCE))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "'%s' has preference pairs and '%s' does not; train on them one "
                             "after the other",
                             file->binding.schema == SCHEMA_PREFERENCE ? file->path : first->path,
                             file->binding.schema == SCHEMA_PREFERENCE ? first->path : file->path);
    }
    return HEARTH_OK;
}

/* ---- evaluation split ---- */

static hearth_status split(struct dataset *d, hearth_error *err) {
    uint64_t wanted = d->options.eval_count
                          ? d->options.eval_count
                          : (uint64_t)(d->options.eval_fraction * (double)d->n_records + 0.5);
    if (!d->hashes || wanted == 0) return HEARTH_OK;
    return order_split(d->offsets, d->hashes, d->n_records, wanted, &d->n_eval, err);
}

/* ---- opening ---- */

static hearth_status copy_options(struct dataset *d, const struct dataset_options *options,
                                  hearth_error *err) {
    static const struct dataset_options none;
    bool ok = true;
    d->options = options ? *options : none;
    if (!d->options.max_record_bytes) d->options.max_record_bytes = DATASET_MAX_RECORD_BYTES;
    if (!d->options.max_index_bytes) d->options.max_index_bytes = DATASET_MAX_INDEX_BYTES;
    if (!(d->options.eval_fraction >= 0 && d->options.eval_fraction < 1))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "the part for evaluation has to be at least 0 and less than 1");
    for (size_t i = 0; i < N_DATASET_FIELDS; i++) {
        const char *column = d->options.columns[i];
        d->columns[i] = column ? mem_strdup(column) : NULL;
        ok &= !column || d->columns[i];
        d->options.columns[i] = d->columns[i];
    }
    if (d->options.document_separator && *d->options.document_separator)
        ok &= (d->separator = mem_strdup(d->options.document_separator)) != NULL;
    return ok ? HEARTH_OK : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the data set");
}

static hearth_status map_files(struct dataset *d, const char *const *paths, size_t n,
                               hearth_error *err) {
    uint64_t base = 0;
    d->files = mem_calloc(n, sizeof *d->files);
    if (!d->files) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the data set");
    for (; d->n_files < n; d->n_files++) {
        struct dataset_file *file = &d->files[d->n_files];
        file->path = mem_strdup(paths[d->n_files]);
        if (!file->path)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the data set");
        hearth_status status = file_map_open(&file->map, file->path, err);
        if (status != HEARTH_OK) {
            mem_free(file->path);
            return status;
        }
        file->base = base;
        file->summary.path = file->path;
        file->summary.size_bytes = file->map.size;
        base += file->map.size;
    }
    return HEARTH_OK;
}

hearth_status dataset_open(struct dataset **out, const char *const *paths, size_t n_paths,
                           const struct dataset_options *options, hearth_error *err) {
    *out = NULL;
    if (n_paths == 0 || n_paths > DATASET_MAX_FILES)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "%zu files of data; 1 to %d can be used",
                         n_paths, DATASET_MAX_FILES);
    struct dataset *d = mem_calloc(1, sizeof *d);
    if (!d) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the data set");
    hearth_status status = copy_options(d, options, err);
    if (status == HEARTH_OK) status = map_files(d, paths, n_paths, err);
    if (status == HEARTH_OK) status = scan_files(d, err);
    if (status == HEARTH_OK) status = check_mixture(d, err);
    if (status == HEARTH_OK) status = split(d, err);
    mem_free(d->hashes);
    d->hashes = NULL;
    if (status == HEARTH_OK)
        *out = d;
    else
        dataset_close(d);
    return status;
}

void dataset_close(struct dataset *d) {
    if (!d) return;
    for (size_t i = 0; i < d->n_files; i++) {
        container_close(&d->files[i].source);
        file_map_close(&d->files[i].map);
        mem_free(d->files[i].path);
    }
    for (size_t i = 0; i < N_DATASET_FIELDS; i++)
        mem_free(d->columns[i]);
    mem_free(d->separator);
    mem_free(d->files);
    mem_free(d->offsets);
    mem_free(d->hashes);
    mem_free(d->marks);
    mem_free(d);
}

/* ---- what was opened ---- */

uint64_t dataset_count(const struct dataset *d, enum dataset_part part) {
    return part == PART_EVAL ? d->n_eval : d->n_records - d->n_eval;
}

size_t dataset_n_files(const struct dataset *d) {
    return d->n_files;
}

const struct dataset_file_summary *dataset_file(const struct dataset *d, size_t i) {
    return &d->files[i].summary;
}

uint64_t dataset_n_broken(const struct dataset *d) {
    return d->n_broken;
}

const struct dataset_problem *dataset_problem(const struct dataset *d, size_t i) {
    return i < d->n_broken && i < DATASET_PROBLEMS_KEPT ? &d->problems[i] : NULL;
}

bool dataset_is_preference(const struct dataset *d) {
    return d->files[0].binding.schema == SCHEMA_PREFERENCE;
}

void dataset_digest(const struct dataset *d, uint8_t digest[SHA256_BYTES]) {
    memcpy(digest, d->digest, SHA256_BYTES);
}

hearth_status dataset_read(const struct dataset *d, enum dataset_part part, uint64_t index,
                           struct dataset_sample *sample, hearth_error *err) {
    struct record_span span;
    bool found = false;
    *sample = (struct dataset_sample){0};
    if (index >= dataset_count(d, part))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "record %llu of %llu",
                         (unsigned long long)index, (unsigned long long)dataset_count(d, part));
    uint64_t offset = d->offsets[index + (part == PART_EVAL ? d->n_records - d->n_eval : 0)];
    const struct dataset_file *file = file_of(d, offset);
    struct dataset_place place = place_of(d, offset);
    hearth_status status =
        container_next(&file->source, (size_t)(offset - file->base), &span, &found, err);
    if (status == HEARTH_OK && !found)
        status = error_set(err, HEARTH_ERROR_FORMAT, "the record is gone");
    if (status == HEARTH_OK) status = read_span(file, &span, sample, err);
    if (status != HEARTH_OK)
        return error_prefix(err, status, "%s:%llu (was it changed meanwhile?)", place.file,
                            (unsigned long long)place.line);
    sample->place = place;
    return HEARTH_OK;
}
