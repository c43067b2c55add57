#include "server/http_accept.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Weights are "0", "0.5", "1.000": one is not 0 when it has another digit than 0. */
static bool weight_is_zero(const char *parameters, size_t n) {
    for (size_t i = 0; i + 1 < n; i++)
        if ((parameters[i] == 'q' || parameters[i] == 'Q') && parameters[i + 1] == '=')
            return strcspn(parameters + i + 2, "123456789") >= n - i - 2;
    return false;
}

static bool is_word(const char *text, size_t n, const char *word) {
    return n == strlen(word) && strncasecmp(text, word, n) == 0;
}

/* What names gzip itself counts before what names everything. */
bool http_accepts_gzip(const char *value) {
    bool any = false;
    while (*value) {
        value += strspn(value, " \t,");
        size_t n = strcspn(value, ","), name = strcspn(value, " \t,;");
        bool taken = n > 0 && !weight_is_zero(value + name, n - name);
        if (is_word(value, name, "gzip") || is_word(value, name, "x-gzip")) return taken;
        if (is_word(value, name, "*")) any = taken;
        value += n;
    }
    return any;
}

bool http_request_id_is_valid(const char *value) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_.:+/=";
    size_t n = strlen(value);
    return n > 0 && n < HTTP_REQUEST_ID_BYTES && strspn(value, letters) == n;
}
