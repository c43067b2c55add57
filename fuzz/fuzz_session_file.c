/* Takes arbitrary bytes for a saved timeline and touches everything that was found in it:
 * the parts lie one behind the other and fill the file. */
#include <stdlib.h>

#include "fuzz_target.h"
#include "infer/session_file.h"

static volatile uint64_t sink;

/* Adds up `count` pieces and returns what follows them. */
static const uint8_t *read_pieces(const uint8_t *at, uint64_t count, uint64_t size_bytes) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count * size_bytes; i++)
        sum += at[i];
    sink += sum;
    return at + count * size_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct session_view view;
    hearth_error err;
    if (session_file_parse(&view, data, size, &err) != HEARTH_OK) return 0;
    const struct session_origin *origin = &view.origin;
    if (view.pages != read_pieces(data, 1, SESSION_FILE_HEADER_BYTES) ||
        view.tokens != read_pieces(view.pages, view.n_pages, origin->page_bytes) ||
        view.page_digests != read_pieces(view.tokens, view.n_tokens, sizeof(int32_t)) ||
        view.state != read_pieces(view.page_digests, view.n_pages, SHA256_BYTES) ||
        view.logits != read_pieces(view.state, 1, origin->state_bytes) ||
        view.digest != read_pieces(view.logits, origin->n_vocab, sizeof(float)) ||
        data + size != read_pieces(view.digest, 1, SHA256_BYTES))
        abort();
    return 0;
}
