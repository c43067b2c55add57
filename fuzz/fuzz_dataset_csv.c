/* CSV of any bytes as training data. Every record has the header's columns. */
#include "fuzz_target.h"

#include "train/dataset_container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct dataset_source s = {
        .data = (const char *)data, .size = size, .max_record_bytes = 1 << 16, .piece_bytes = 64};
    struct record_span span;
    char reason[160];
    json_t *record;
    size_t at;
    bool found = true;
    if (container_open(&s, "data.csv", CONTAINER_CSV, reason, sizeof reason, &at, NULL) ==
        HEARTH_OK)
        for (at = s.first; found; at = span.next) {
            if (container_next(&s, at, &span, &found, NULL) != HEARTH_OK) break;
            if (!found) break;
            if (span.begin >= span.end || span.end > span.next || span.next > size)
                __builtin_trap();
            if (container_parse(&s, &span, &record, NULL) != HEARTH_OK) continue;
            if (json_object_size(record) != json_array_size(s.header)) __builtin_trap();
            json_decref(record);
        }
    container_close(&s);
    return 0;
}
