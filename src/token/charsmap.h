/* charsmap.h - SentencePiece's precompiled normalisation rules.
 *
 * The map is a 32-bit length, a double-array trie of that many bytes (units of 32
 * bits; Kanda 2018, "Space- and Time-Efficient String Dictionaries"), then NUL-ended
 * replacement strings that the trie's values point to. */
#ifndef HEARTH_TOKEN_CHARSMAP_H
#define HEARTH_TOKEN_CHARSMAP_H

#include "base/buf.h"
#include "base/status.h"
#include "format/metadata.h"

struct charsmap {
    uint32_t *units;
    size_t n_units;
    char *strings;
    size_t n_strings;
};

/* Copies `data`. */
hearth_status charsmap_open(struct charsmap *map, const void *data, size_t n, hearth_error *err);
void charsmap_release(struct charsmap *map);
/* Appends the normalised text; bytes that are not UTF-8 become U+FFFD. */
bool charsmap_apply(const struct charsmap *map, struct text in, struct buf *out);

#endif
