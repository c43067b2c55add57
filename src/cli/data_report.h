/* data_report.h - what 'hearth data' found out, for people and for machines. */
#ifndef HEARTH_CLI_DATA_REPORT_H
#define HEARTH_CLI_DATA_REPORT_H

#include "train/preview.h"

struct data_shown { /* one sequence, or without a model one record */
    struct dataset_place place;
    enum example_kind kind;
    uint32_t n_tokens, n_trained; /* 0: no model */
    struct preview preview;
};

struct data_report {
    const struct dataset *dataset;
    const struct preview_statistics *statistics; /* NULL: no model */
    bool has_template;
    uint32_t max_length; /* 0: any */
    struct data_shown *shown;
    size_t n_shown;
};

void data_report_print(const struct data_report *report);
/* False: no memory, or standard output is closed. */
bool data_report_print_json(const struct data_report *report);

#endif
