#include <string.h>

#include "cli/lineedit.h"

static const char fence[] = "\"\"\"";
enum { FENCE_BYTES = sizeof fence - 1 };

void line_joiner_init(struct line_joiner *joiner) {
    *joiner = (struct line_joiner){0};
    buf_init(&joiner->text, LINEEDIT_MAX_BYTES);
}

void line_joiner_release(struct line_joiner *joiner) {
    buf_release(&joiner->text);
}

static bool begins_with_fence(const char *line, size_t length) {
    return length >= FENCE_BYTES && memcmp(line, fence, FENCE_BYTES) == 0;
}

static bool ends_with_fence(const char *line, size_t length) {
    return length >= FENCE_BYTES && memcmp(line + length - FENCE_BYTES, fence, FENCE_BYTES) == 0;
}

static void append_line(struct line_joiner *joiner, const char *line, size_t length) {
    if (joiner->has_lines) buf_append_char(&joiner->text, '\n');
    buf_append(&joiner->text, line, length);
    joiner->has_lines = true;
}

/* Inside a block the fences stand on lines of their own or beside the text; a fence
 * alone on its line adds no empty line. */
static bool add_to_block(struct line_joiner *joiner, const char *line, size_t length) {
    bool closes = ends_with_fence(line, length);
    if (closes) length -= FENCE_BYTES;
    if (!closes || length > 0) append_line(joiner, line, length);
    joiner->in_block = !closes;
    return closes;
}

bool line_joiner_add(struct line_joiner *joiner, const char *line, size_t length) {
    if (joiner->in_block) return add_to_block(joiner, line, length);
    if (!joiner->has_lines && begins_with_fence(line, length)) {
        joiner->in_block = true;
        line += FENCE_BYTES;
        length -= FENCE_BYTES;
        return length > 0 ? add_to_block(joiner, line, length) : false;
    }
    bool goes_on = length > 0 && line[length - 1] == '\\';
    append_line(joiner, line, goes_on ? length - 1 : length);
    return !goes_on;
}
