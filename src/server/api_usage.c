#include "server/api_usage.h"

#include <string.h>

#include "base/date.h"
#include "store/stored_usage.h"

struct listing {
    json_t *rows;
    enum usage_by by;
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the usage");
}

static json_t *named(const struct usage_sum *sum, enum usage_by by) {
    char text[DATE_TEXT_BYTES];
    switch (by) {
    case USAGE_BY_DAY:
        date_format(sum->day * DATE_DAY_MS, text);
        return json_pack("{s:s#}", "day", text, (int)strlen("2026-01-01"));
    case USAGE_BY_KEY:
        return json_pack("{s:s?, s:s?}", "key", *sum->name ? sum->name : NULL, "name", sum->title);
    case USAGE_BY_MODEL: break;
    }
    return json_pack("{s:s}", "model", sum->name);
}

static hearth_status append(void *context, const struct usage_sum *sum, hearth_error *err) {
    struct listing *listing = context;
    json_t *row = named(sum, listing->by);
    json_t *numbers = json_pack(
        "{s:I, s:I, s:I, s:I, s:f}", "requests", (json_int_t)sum->requests, "failures",
        (json_int_t)sum->failures, "prompt_tokens", (json_int_t)sum->prompt_tokens, "answer_tokens",
        (json_int_t)sum->answer_tokens, "busy_seconds", (double)sum->busy_ms / 1000);
    bool whole = row && numbers && json_object_update(row, numbers) == 0;
    json_decref(numbers);
    if (whole && json_array_append_new(listing->rows, row) == 0) return HEARTH_OK;
    if (!whole) json_decref(row);
    return no_memory(err);
}

static bool take_by(const char *text, enum usage_by *by) {
    static const char *const names[] = {
        [USAGE_BY_DAY] = "day", [USAGE_BY_KEY] = "key", [USAGE_BY_MODEL] = "model"};
    *by = USAGE_BY_DAY;
    if (!text) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *by = (enum usage_by)i;
        if (strcmp(text, names[i]) == 0) return true;
    }
    return false;
}

static void list(struct store *store, const struct api_request *request, int64_t since,
                 struct listing *listing, struct api_answer *answer) {
    const char *key = asker_is_admin(request->asker) ? NULL : request->asker->holder.id;
    hearth_error err = {0};
    listing->rows = json_array();
    hearth_status status =
        listing->rows ? stored_usage_sum(store, listing->by, key, since, append, listing, &err)
                      : no_memory(&err);
    if (status == HEARTH_OK) {
        api_give(answer, 200, json_pack("{s:o}", "rows", listing->rows));
        return;
    }
    json_decref(listing->rows);
    api_fail_store(answer, status, &err);
}

void api_usage(struct store *store, const struct api_request *request, struct api_answer *answer) {
    const char *since_text = api_parameter(request, "since");
    struct listing listing;
    int64_t since = 0;
    if (request->n_parts > 1)
        api_fail_place(answer);
    else if (!api_method_is(request, "GET"))
        api_fail_method(answer, "GET");
    else if (!take_by(api_parameter(request, "by"), &listing.by))
        api_fail(answer, 400, "by", "'by' must be day, key or model");
    else if (since_text && !date_parse(since_text, &since))
        api_fail(answer, 400, "since", "'since' must be a time such as 2026-01-31T09:30:00Z");
    else
        list(store, request, since, &listing, answer);
}
