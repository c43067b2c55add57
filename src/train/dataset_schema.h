/* dataset_schema.h - what the columns of a record mean, and the record in the one shape
 * that training knows. */
#ifndef HEARTH_TRAIN_DATASET_SCHEMA_H
#define HEARTH_TRAIN_DATASET_SCHEMA_H

#include "train/dataset.h"

struct schema_binding {
    enum dataset_schema schema;
    const char *const *columns; /* [N_DATASET_FIELDS] as in the options; borrowed */
};

/* Finds the schema of a file from one record of it, or checks the one that was asked for
 * (binding->schema). `reason` says what decided. The error lists the columns that are
 * there and the known name that is nearest to one of them. */
hearth_status schema_detect(struct schema_binding *binding, const json_t *record, char *reason,
                            size_t reason_size, hearth_error *err);
/* Fills all of `sample` but its place and the flags of text pieces; on an error it is
 * empty. Borrows nothing. */
hearth_status schema_sample(const struct schema_binding *binding, const json_t *record,
                            struct dataset_sample *sample, hearth_error *err);

/* ---- shared by the files behind this header ---- */

/* The column's value, by the user's name or the usual ones; NULL: absent or null. */
json_t *schema_field(const struct schema_binding *binding, const json_t *record,
                     enum dataset_field field);
/* The name it goes by in this record, borrowed; NULL: absent. */
const char *schema_column(const struct schema_binding *binding, const json_t *record,
                          enum dataset_field field);
hearth_status schema_check_required(const struct schema_binding *binding, const json_t *record,
                                    hearth_error *err);
const char *schema_field_name(enum dataset_field field); /* the first of the usual names */

/* Checked copies in OpenAI's shape, given; NULL with the error set. `what` is the column. */
json_t *messages_from_openai(const json_t *list, const char *what, bool needs_assistant,
                             hearth_error *err);
json_t *messages_from_sharegpt(const json_t *list, const char *what, bool needs_assistant,
                               hearth_error *err);
/* Does the first message of a list, or of its JSON text, have this key? It tells "role"
 * (OpenAI) from "from" (ShareGPT). */
bool messages_have(const json_t *list, const char *key);
/* Appends {role, content}; `content` is not taken. False: no memory. */
bool messages_add(json_t *messages, const char *role, const json_t *content);

#endif
