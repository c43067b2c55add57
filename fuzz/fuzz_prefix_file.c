/* Takes arbitrary bytes for a saved prefix and touches everything that was found in it: the parts
 * lie one behind the other and fill the file, states come after pages that there are. */
#include <stdlib.h>

#include "fuzz_target.h"
#include "infer/prefix_file.h"

static volatile uint64_t sink;

/* Adds up `count` pieces and returns what follows them. */
static const uint8_t *read_pieces(const uint8_t *at, uint64_t count, uint64_t size_bytes) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count * size_bytes; i++)
        sum += at[i];
    sink += sum;
    return at + count * size_bytes;
}

static void read_parts(const struct prefix_view *view, const uint8_t *end) {
    const struct prefix_origin *origin = &view->origin;
    uint64_t n_tokens = (uint64_t)view->n_pages * origin->page_tokens;
    if (view->pages != read_pieces(view->header, 1, PREFIX_FILE_HEADER_BYTES) ||
        view->states != read_pieces(view->pages, view->n_pages, origin->page_bytes) ||
        view->tokens != read_pieces(view->states, view->n_states, origin->state_bytes) ||
        view->page_digests != read_pieces(view->tokens, n_tokens, sizeof(int32_t)) ||
        view->state_digests != read_pieces(view->page_digests, view->n_pages, SHA256_BYTES) ||
        view->ends != read_pieces(view->state_digests, view->n_states, SHA256_BYTES) ||
        view->digest != read_pieces(view->ends, view->n_states, sizeof(uint32_t)) ||
        end != read_pieces(view->digest, 1, SHA256_BYTES))
        abort();
}

static void read_digests(const struct prefix_view *view) {
    for (uint32_t i = 0; i < view->n_pages && i < 64; i++)
        sink += prefix_file_page(view, i) != NULL;
    for (uint32_t i = 0; i < view->n_states; i++) {
        sink += prefix_file_state(view, i) != NULL;
        if (prefix_file_end(view, i) == 0 || prefix_file_end(view, i) > view->n_pages) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int32_t tokens[100];
    struct prefix_view view;
    hearth_error err;
    if (prefix_file_parse(&view, data, size, &err) != HEARTH_OK) return 0;
    read_parts(&view, data + size);
    read_digests(&view);
    sink += prefix_file_check(&view, &view.origin, &err) == HEARTH_OK;
    if (prefix_file_common(&view, tokens, 100) > view.n_pages) abort();
    return 0;
}
