/* metrics_models.h - what models and their schedulers do, in the text format that Prometheus
 * reads: one line per model, with its name as a label. */
#ifndef HEARTH_SERVER_METRICS_MODELS_H
#define HEARTH_SERVER_METRICS_MODELS_H

#include <jansson.h>

#include "base/buf.h"

/* `models` as backend_status gives them: what one does not say of itself is left out. */
void metrics_put_models(const json_t *models, struct buf *out);
/* A value of a label, with what would end it escaped. */
void metrics_put_label(struct buf *out, const char *value);

#endif
