/* Plain text: documents between separators, long ones in pieces. */
#include <string.h>

#include "train/dataset_container.h"

static size_t skip_line_end(const struct dataset_source *s, size_t at) {
    if (at < s->size && s->data[at] == '\r') at++;
    if (at < s->size && s->data[at] == '\n') at++;
    return at;
}

/* The separator and the end of its line belong to no document. */
static size_t after_separator(const struct dataset_source *s, size_t at) {
    return skip_line_end(s, at + strlen(s->separator));
}

/* Where the document that goes on at `at` ends, as far as one piece needs to know: at most
 * a separator and a line end further. */
static size_t find_stop(const struct dataset_source *s, size_t at, bool *separated) {
    size_t n = s->separator ? strlen(s->separator) : 0, window = s->piece_bytes + n + 2;
    if (window > s->size - at) window = s->size - at;
    const char *found = n ? memmem(s->data + at, window, s->separator, n) : NULL;
    *separated = found != NULL;
    return found ? (size_t)(found - s->data) : at + window;
}

/* Does a document begin here, or does a piece of one go on? */
static bool document_begins(const struct dataset_source *s, size_t at) {
    size_t n = s->separator ? strlen(s->separator) : 0;
    if (at == s->first) return true;
    for (size_t back = n; n > 0 && back <= n + 2 && back <= at; back++)
        if (memcmp(s->data + at - back, s->separator, n) == 0 &&
            after_separator(s, at - back) == at)
            return true;
    return false;
}

/* A piece of at most piece_bytes, up to the end of a line where there is one, never
 * within a character. */
static size_t piece_end(const struct dataset_source *s, size_t begin, size_t end) {
    if (end - begin <= s->piece_bytes) return end;
    size_t cut = begin + s->piece_bytes;
    const char *newline = memrchr(s->data + begin, '\n', s->piece_bytes);
    if (newline && newline + 1 > s->data + begin) return (size_t)(newline - s->data) + 1;
    while (cut > begin + 1 && ((unsigned char)s->data[cut] & 0xC0) == 0x80)
        cut--;
    return cut;
}

static bool is_blank(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r' && text[i] != '\n') return false;
    return true;
}

hearth_status text_next(const struct dataset_source *s, size_t at, struct record_span *span,
                        bool *found, hearth_error *err) {
    (void)err;
    for (*found = false; at < s->size && !*found; at = span->next) {
        bool separated;
        size_t stop = find_stop(s, at, &separated), end = stop;
        if (separated && end > at && s->data[end - 1] == '\n' && *s->separator != '\n') end--;
        size_t cut = piece_end(s, at, end);
        *span = (struct record_span){.begin = at,
                                     .end = cut,
                                     .next = cut < end   ? cut
                                             : separated ? after_separator(s, stop)
                                                         : s->size,
                                     .text_begins = document_begins(s, at),
                                     .text_ends = cut == end};
        *found = !is_blank(s->data + at, cut - at);
    }
    return HEARTH_OK;
}
