/* dataset.h - training data in files: found, checked and read one record at a time.
 *
 * dataset_open goes through the files once. It finds out what they are, checks every
 * record and remembers where it begins (8 bytes a record; the files stay mapped and are
 * never held in memory as a whole), so that any record can be read again in any order.
 *
 *   container: JSON lines, one JSON array, CSV (RFC 4180 with a header line; separated by
 *              commas, semicolons or tabs) or plain text; UTF-8, CRLF and a byte order
 *              mark are fine
 *   schema:    what the columns mean; see enum dataset_schema
 *
 * Invariants: (1) what was opened can be read: the same bytes are checked by the same code
 * both times; (2) training and evaluation records are disjoint, and records of equal bytes
 * are on the same side; (3) nothing depends on the number of threads, the clock or the
 * order of a folder. Nothing is written. An opened data set is immutable and may be read
 * by many threads. */
#ifndef HEARTH_TRAIN_DATASET_H
#define HEARTH_TRAIN_DATASET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

enum dataset_container {
    CONTAINER_AUTO,
    CONTAINER_JSONL,
    CONTAINER_JSON, /* one array of objects */
    CONTAINER_CSV,
    CONTAINER_TEXT
};

enum dataset_schema {
    SCHEMA_AUTO,
    SCHEMA_ALPACA,     /* instruction, input, output, system, history */
    SCHEMA_SHAREGPT,   /* conversations: [{from, value}], system, tools */
    SCHEMA_MESSAGES,   /* messages: [{role, content, tool_calls, …}], tools; OpenAI's shape */
    SCHEMA_PAIRS,      /* prompt and completion, question and answer */
    SCHEMA_PREFERENCE, /* prompt, chosen, rejected: texts or messages */
    SCHEMA_TEXT,       /* text: nothing but text, all of it trained */
    N_DATASET_SCHEMAS
};

/* What a column means, whatever it is called. */
enum dataset_field {
    FIELD_INSTRUCTION,
    FIELD_INPUT,
    FIELD_OUTPUT,
    FIELD_SYSTEM,
    FIELD_HISTORY,
    FIELD_MESSAGES,
    FIELD_CONVERSATIONS,
    FIELD_TOOLS,
    FIELD_PROMPT,
    FIELD_COMPLETION,
    FIELD_CHOSEN,
    FIELD_REJECTED,
    FIELD_TEXT,
    N_DATASET_FIELDS
};

enum {
    DATASET_MAX_FILES = 4096,
    DATASET_TEXT_PIECE_BYTES = 64 << 10, /* longer documents are read in pieces */
    DATASET_PROBLEMS_KEPT = 64
};
#define DATASET_MAX_RECORD_BYTES ((size_t)64 << 20) /* defaults of the options */
#define DATASET_MAX_INDEX_BYTES ((size_t)1 << 30)

struct dataset_options { /* zeroed: everything detected, all records, errors stop */
    enum dataset_container container;
    enum dataset_schema schema;
    const char *columns[N_DATASET_FIELDS];    /* names of the user's own; NULL: the usual ones */
    const char *document_separator;           /* in text files; NULL: a file is one document */
    bool skip_broken;                         /* count broken records and go on */
    uint64_t max_samples;                     /* only the first records of all files; 0: all */
    double eval_fraction;                     /* of the records, for evaluation; or */
    uint64_t eval_count;                      /* that many */
    uint64_t seed;                            /* which ones */
    size_t max_record_bytes, max_index_bytes; /* 0: the defaults above */
    /* Called now and then while opening; false cancels (HEARTH_ERROR_CANCELLED). */
    bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *context;
};

/* Where a record is, as messages say it. */
struct dataset_place {
    const char *file; /* borrowed from the data set */
    uint64_t line;    /* from 1: where the record begins */
};

struct dataset_problem {
    struct dataset_place place;
    char message[256];
};

/* What a file turned out to be, and why. */
struct dataset_file_summary {
    const char *path; /* borrowed */
    enum dataset_container container;
    enum dataset_schema schema;
    char container_reason[160], schema_reason[160];
    uint64_t size_bytes, n_records, n_broken;
    bool has_bom;
};

struct dataset;

/* The paths are copied. HEARTH_ERROR_FORMAT and HEARTH_ERROR_LIMIT name file and line;
 * without skip_broken the first broken record is such an error. */
hearth_status dataset_open(struct dataset **d, const char *const *paths, size_t n_paths,
                           const struct dataset_options *options, hearth_error *err);
void dataset_close(struct dataset *d); /* NULL is fine */

enum dataset_part { PART_TRAIN, PART_EVAL };
uint64_t dataset_count(const struct dataset *d, enum dataset_part part);
size_t dataset_n_files(const struct dataset *d);
const struct dataset_file_summary *dataset_file(const struct dataset *d, size_t i);
/* Broken records: all are counted, the first DATASET_PROBLEMS_KEPT kept. */
uint64_t dataset_n_broken(const struct dataset *d);
const struct dataset_problem *dataset_problem(const struct dataset *d, size_t i); /* or NULL */
bool dataset_is_preference(const struct dataset *d);
/* SHA-256 over the bytes that were gone through, file after file. */
void dataset_digest(const struct dataset *d, uint8_t digest[SHA256_BYTES]);

/* ---- records ---- */

/* A record in the one shape that training knows; owns what it points to. */
struct dataset_sample {
    enum dataset_schema schema;
    struct dataset_place place;
    json_t *messages;  /* [{role, content, …}], OpenAI's shape; of a preference pair, what both
                          share; NULL for text and for pairs of texts without a prompt */
    json_t *tools;     /* array or NULL */
    json_t *variables; /* chat_template_kwargs: object or NULL */
    json_t *chosen, *rejected;   /* preference: messages that follow, or one string each */
    json_t *text;                /* SCHEMA_TEXT: a string */
    bool text_begins, text_ends; /* it is the first, the last piece of its document */
};

/* `index` < dataset_count(d, part). */
hearth_status dataset_read(const struct dataset *d, enum dataset_part part, uint64_t index,
                           struct dataset_sample *sample, hearth_error *err);
void dataset_sample_release(struct dataset_sample *sample); /* a zeroed one is fine */

/* ---- order ---- */

/* The i-th of n records in an epoch: a permutation of 0 … n-1 that needs no memory (a
 * Feistel network over the next power of four, walked until inside; Black & Rogaway 2002,
 * "Ciphers with Arbitrary Finite Domains"). i < n. */
uint64_t dataset_shuffled(uint64_t n, uint64_t seed, uint64_t epoch, uint64_t i);

/* ---- names ---- */

const char *dataset_container_name(enum dataset_container container);
const char *dataset_schema_name(enum dataset_schema schema);
/* From a name, also the usual others ("openai", "sharegpt", "raw", …); the error names
 * the nearest one. */
hearth_status dataset_parse_schema(const char *name, enum dataset_schema *schema,
                                   hearth_error *err);
hearth_status dataset_parse_container(const char *name, enum dataset_container *container,
                                      hearth_error *err);
/* "instruction=Frage": the column Frage is the instruction. `*column` borrows from text. */
hearth_status dataset_parse_column(const char *text, enum dataset_field *field, const char **column,
                                   hearth_error *err);

#endif
