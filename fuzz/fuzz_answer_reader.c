/* An answer of any bytes, read in one piece and in pieces: both must come to the same. The first
 * byte chooses the form, the second tools, thinking and the pieces' size. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "call_templates.h"
#include "chat/answer_reader.h"
#include "fuzz_target.h"

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"s\":{\"type\":\"string\"},\"i\":{\"type\":\"integer\"},\"a\":{\"type\":"
    "\"array\",\"items\":{\"type\":[\"string\",\"null\"]}}}}}}]";

static void record(void *context, const struct answer_piece *piece) {
    struct buf *out = context;
    if (piece->call_name) buf_append_format(out, "\n#%u %s:", piece->call, piece->call_name);
    for (size_t i = 0; i < piece->length; i++) {
        buf_append_char(out, "rtc"[piece->kind]);
        buf_append_char(out, piece->text[i]);
    }
}

static void read_in_pieces(const struct answer_form *form, const json_t *tools, bool inside,
                           const char *text, size_t n, size_t piece, struct buf *out) {
    struct answer_reader *reader;
    buf_init(out, 1 << 26);
    if (answer_reader_open(&reader, form, tools, inside, record, out, NULL) != HEARTH_OK) abort();
    for (size_t at = 0; at < n; at += piece) {
        size_t some = n - at < piece ? n - at : piece;
        if (answer_reader_push(reader, text + at, some, NULL) != HEARTH_OK) abort();
    }
    if (answer_reader_finish(reader, NULL) != HEARTH_OK) abort();
    answer_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static json_t *tools;
    struct answer_form *form;
    struct buf whole, pieces;
    if (!tools) tools = json_loads(tools_text, 0, NULL);
    if (size < 2 || size > 1 << 16) return 0;
    const char *source = call_template(data[0]);
    const json_t *offered = data[1] & 1 ? tools : NULL;
    if (answer_form_open(&form, source, NULL) != HEARTH_OK) return 0;
    read_in_pieces(form, offered, data[1] & 2, (const char *)data + 2, size - 2, size, &whole);
    read_in_pieces(form, offered, data[1] & 2, (const char *)data + 2, size - 2,
                   1 + (data[1] >> 2) % 8, &pieces);
    if (whole.length != pieces.length ||
        (whole.length > 0 && memcmp(whole.data, pieces.data, whole.length) != 0))
        abort();
    buf_release(&whole);
    buf_release(&pieces);
    answer_form_close(form);
    return 0;
}
