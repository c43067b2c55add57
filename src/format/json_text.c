#include "format/json_text.h"

#include <string.h>

#include "base/mem.h"

/* Python writes infinite settings as the bare word Infinity, which is not JSON. */
static void replace_infinity(char *text, size_t size) {
    static const char word[] = "Infinity", number[] = "1e308   ";
    enum { N = sizeof word - 1 };
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\\' && quoted)
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && text[i] == 'I' && size - i >= N && memcmp(text + i, word, N) == 0)
            memcpy(text + i, number, N);
    }
}

/* jansson leaves the text empty when what failed was an allocation. */
static hearth_status fail(const json_error_t *found, const char *what, hearth_error *err) {
    if (found->text[0] == '\0' || json_error_code(found) == json_error_out_of_memory)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "%s: no memory for its JSON", what);
    return error_set(err, HEARTH_ERROR_FORMAT, "%s: not JSON: %s (line %d, column %d)", what,
                     found->text, found->line, found->column);
}

hearth_status json_text_object(json_t **out, const char *data, size_t size,
                               enum json_strictness strictness, const char *what,
                               hearth_error *err) {
    json_error_t found = {0};
    if (strictness == JSON_TEXT_PYTHON) {
        char *copy = mem_strndup(data, size);
        *out = NULL;
        if (!copy) return error_set(err, HEARTH_ERROR_NO_MEMORY, "%s: no memory", what);
        replace_infinity(copy, size);
        *out = json_loadb(copy, size, 0, &found);
        mem_free(copy);
    } else {
        *out = json_loadb(data, size, JSON_REJECT_DUPLICATES, &found);
    }
    if (!*out) return fail(&found, what, err);
    if (json_is_object(*out)) return HEARTH_OK;
    json_decref(*out);
    *out = NULL;
    return error_set(err, HEARTH_ERROR_FORMAT, "%s: it holds a JSON list; an object was expected",
                     what);
}
