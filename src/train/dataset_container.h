/* dataset_container.h - where the records of a file begin and end, and what they hold.
 *
 * A container is cut into spans of bytes without looking back, so that the span at an
 * offset that was found once is found again by asking at that offset. Any bytes are fine:
 * spans lie inside the file and every call ends. */
#ifndef HEARTH_TRAIN_DATASET_CONTAINER_H
#define HEARTH_TRAIN_DATASET_CONTAINER_H

#include "train/dataset.h"

enum { CSV_MAX_COLUMNS = 1024 };

struct dataset_source {
    const char *data;   /* borrowed */
    size_t size, first; /* first: after the byte order mark, '[' or the header */
    enum dataset_container container;
    size_t max_record_bytes, piece_bytes;
    const char *separator; /* CONTAINER_TEXT: between documents; borrowed, or NULL */
    char delimiter;        /* CONTAINER_CSV */
    json_t *header;        /* CONTAINER_CSV: array of names; owned */
    bool has_bom;
};

struct record_span {
    size_t begin, end, next;     /* next: where to look for the one after */
    bool text_begins, text_ends; /* CONTAINER_TEXT: first, last piece of its document */
};

/* Sets everything but data, size, max_record_bytes, piece_bytes and separator. `wanted`
 * may be CONTAINER_AUTO; `name` is the file's. `reason` says what was seen. An error's
 * place in the file goes to *at. */
hearth_status container_open(struct dataset_source *s, const char *name,
                             enum dataset_container wanted, char *reason, size_t reason_size,
                             size_t *at, hearth_error *err);
void container_close(struct dataset_source *s);

/* The first record at or after `at`; *found is false at the end. An error means that no
 * further record can be found; span->begin says where. */
hearth_status container_next(const struct dataset_source *s, size_t at, struct record_span *span,
                             bool *found, hearth_error *err);
/* The record as a JSON object, given (json_decref): columns of CSV and the text of
 * documents are its members. Checks size, UTF-8 and NUL bytes. */
hearth_status container_parse(const struct dataset_source *s, const struct record_span *span,
                              json_t **record, hearth_error *err);

/* ---- one container each ---- */

hearth_status jsonl_next(const struct dataset_source *s, size_t at, struct record_span *span,
                         bool *found, hearth_error *err);
hearth_status json_array_open(struct dataset_source *s, size_t *at, hearth_error *err);
hearth_status json_array_next(const struct dataset_source *s, size_t at, struct record_span *span,
                              bool *found, hearth_error *err);
hearth_status json_record_parse(const char *text, size_t n, json_t **record, hearth_error *err);

hearth_status csv_open(struct dataset_source *s, size_t *at, hearth_error *err);
hearth_status csv_next(const struct dataset_source *s, size_t at, struct record_span *span,
                       bool *found, hearth_error *err);
hearth_status csv_parse(const struct dataset_source *s, const struct record_span *span,
                        json_t **record, hearth_error *err);

hearth_status text_next(const struct dataset_source *s, size_t at, struct record_span *span,
                        bool *found, hearth_error *err);

#endif
