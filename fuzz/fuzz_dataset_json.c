/* JSON lines and JSON arrays of any bytes as training data: what one pass over the records
 * accepts, asking again at the same place must give again. */
#include "fuzz_target.h"

#include "train/dataset_container.h"
#include "train/dataset_schema.h"

static void use_record(const struct dataset_source *s, const struct record_span *span,
                       struct schema_binding *binding) {
    char reason[160];
    json_t *record;
    struct dataset_sample sample;
    struct record_span again;
    bool found;
    if (span->begin > span->end || span->end > span->next || span->next > s->size) __builtin_trap();
    if (container_next(s, span->begin, &again, &found, NULL) != HEARTH_OK || !found ||
        again.begin != span->begin || again.end != span->end)
        __builtin_trap();
    if (container_parse(s, span, &record, NULL) != HEARTH_OK) return;
    if (schema_detect(binding, record, reason, sizeof reason, NULL) == HEARTH_OK &&
        schema_sample(binding, record, &sample, NULL) == HEARTH_OK)
        dataset_sample_release(&sample);
    json_decref(record);
}

static void go_through(const uint8_t *data, size_t size, enum dataset_container container) {
    static const char *const columns[N_DATASET_FIELDS];
    struct schema_binding binding = {SCHEMA_AUTO, columns};
    struct dataset_source s = {.data = (const char *)data,
                               .size = size,
                               .max_record_bytes = 1 << 16,
                               .piece_bytes = 64,
                               .separator = "--"};
    struct record_span span;
    char reason[160];
    size_t at;
    bool found = true;
    if (container_open(&s, "data", container, reason, sizeof reason, &at, NULL) == HEARTH_OK)
        for (at = s.first; found; at = span.next) {
            if (container_next(&s, at, &span, &found, NULL) != HEARTH_OK) break;
            if (found) use_record(&s, &span, &binding);
        }
    container_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    go_through(data, size, CONTAINER_AUTO); /* plain text too */
    go_through(data, size, CONTAINER_JSONL);
    go_through(data, size, CONTAINER_JSON);
    return 0;
}
