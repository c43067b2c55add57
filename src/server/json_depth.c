#include "server/json_depth.h"

bool json_depth_within(const char *text, size_t n, unsigned most, size_t most_values) {
    unsigned depth = 0;
    size_t n_values = 1; /* no more than one before each comma and one in each bracket */
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"') in_string = true;
        if (c == '[' || c == '{' || c == ',') n_values++;
        if (c == '[' || c == '{') depth++;
        if ((c == ']' || c == '}') && depth > 0) depth--;
        if (depth > most || n_values > most_values) return false;
    }
    return true;
}
