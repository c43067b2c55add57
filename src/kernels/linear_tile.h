/* linear_tile.h - how a linear layer is cut into register tiles.
 *
 * A tile computes `rows` x `tokens` outputs, both compile-time constants once it is
 * inlined, so that a row of w is unpacked once for several tokens. Every output is
 * accumulated over the row in one fixed order, whatever the tile: which tile an
 * output falls into, and so how many rows or tokens a call has, never changes it. */
#ifndef HEARTH_KERNELS_LINEAR_TILE_H
#define HEARTH_KERNELS_LINEAR_TILE_H

#include <stddef.h>
#include <stdint.h>

/* Kernels are written with the weight type and the tile's shape as parameters, and
 * become one function per type by inlining; accumulator arrays live in registers only
 * if loops over them are unrolled. Builds with sanitizers do neither: they would spend
 * minutes on checks for every unrolled access. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KERNELS_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KERNELS_CHECKED 1
#endif
#endif

#ifdef KERNELS_CHECKED
#define ALWAYS_INLINE static inline __attribute__((unused))
#define UNROLL
#else
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#endif

/* For what would fill registers that a loop needs if it were inlined beside that: pointers that
 * it takes from memory, ways for other numbers of tokens. */
#define OUTLINED __attribute__((noinline, unused)) static

struct tile {
    size_t n;
    const char *w, *x;
    size_t w_stride, x_stride;
    float *y;
    size_t y_stride;
};

/* Rows that stay in the second-level cache while all tokens pass by. */
enum { TILE_GROUP_ROWS = 32 };

static inline struct tile tile_at(struct tile all, size_t row, size_t token) {
    all.w += row * all.w_stride;
    all.x += token * all.x_stride;
    all.y += token * all.y_stride + row;
    return all;
}

ALWAYS_INLINE size_t at_most(size_t n, size_t most) {
    return n < most ? n : most;
}

/* Pointers to n rows of a tile that has n_rows; the last one stands for missing ones. */
OUTLINED void row_pointers(const struct tile *a, size_t n_rows, size_t n, const char *rows[]) {
    for (size_t r = 0; r < n; r++)
        rows[r] = a->w + (r < n_rows ? r : n_rows - 1) * a->w_stride;
}

/* Pointers to the n tokens of a tile and, if they are odd, to the last one again. */
OUTLINED void paired_tokens(const struct tile *a, size_t n, const char *x[]) {
    for (size_t t = 0; t < n; t++)
        x[t] = a->x + t * a->x_stride;
    if (n % 2) x[n] = x[n - 1];
}

/* At T = 1 weights come from memory once. A tile of several rows reads as many short
 * streams at a time, which the hardware does not learn; so while it works it asks for
 * what comes a tile later, byte after byte, as if it were one stream. The lines go to the
 * second-level cache: the first can wait for few at a time, which is not early enough for
 * memory to stay busy while a thread waits or does something else. */
enum { AHEAD_BYTES = 32 << 10 };

static inline uintptr_t tile_ahead(const struct tile *tile, int rows, size_t offset) {
    size_t bytes = (size_t)rows * tile->w_stride;
    return (uintptr_t)tile->w + offset + (bytes < AHEAD_BYTES ? AHEAD_BYTES : bytes);
}

static inline void tile_prefetch(const struct tile *tile, int rows, size_t offset) {
    __builtin_prefetch((const void *)tile_ahead(tile, rows, offset), 0, 2);
}

/* The same for n_bytes, a constant, from there on. The address is computed once: the
 * compiler would keep one for each line. */
ALWAYS_INLINE void tile_prefetch_bytes(const struct tile *tile, int rows, size_t offset,
                                       size_t n_bytes) {
    uintptr_t at = tile_ahead(tile, rows, offset);
    __asm__("" : "+r"(at));
    UNROLL for (size_t i = 0; i < n_bytes; i += 64)
        __builtin_prefetch((const void *)(at + i), 0, 2);
}

/* For many tokens, with which a tile takes long: asks for the same of the next tile, in the
 * first-level cache if that holds a tile. More than some eight lines at once would wait for
 * each other, and what follows for them. */
ALWAYS_INLINE void tile_prefetch_next(const struct tile *tile, int rows, size_t offset,
                                      size_t n_bytes) {
    size_t bytes = (size_t)rows * tile->w_stride;
    uintptr_t at = (uintptr_t)tile->w + bytes + offset;
    __asm__("" : "+r"(at));
    if (bytes <= AHEAD_BYTES) {
        UNROLL for (size_t i = 0; i < n_bytes; i += 64)
            __builtin_prefetch((const void *)(at + i), 0, 3);
    } else {
        UNROLL for (size_t i = 0; i < n_bytes; i += 64)
            __builtin_prefetch((const void *)(at + i), 0, 2);
    }
}

/* Defines the kernel_linear `name` from tile_fn(kind, rows, tokens, tile), which must
 * be ALWAYS_INLINE; `kind` is a constant that selects the weight type. Tiles are ROWS x
 * TOKENS, and ONE_ROWS x 1 for what is left of the tokens and for T = 1. */
#define LINEAR_FROM_TILE(name, tile_fn, kind, ROWS, TOKENS, ONE_ROWS)                              \
    static void name(size_t n, const void *w, size_t w_stride, size_t n_rows, const void *x,       \
                     size_t x_stride, size_t n_tokens, float *y, size_t y_stride) {                \
        const struct tile all = {n, w, x, w_stride, x_stride, y, y_stride};                        \
        for (size_t begin = 0; begin < n_rows; begin += TILE_GROUP_ROWS) {                         \
            size_t end = begin + at_most(n_rows - begin, TILE_GROUP_ROWS), t = 0;                  \
            for (; t + (TOKENS) <= n_tokens; t += (TOKENS)) {                                      \
                size_t r = begin;                                                                  \
                for (; r + (ROWS) <= end; r += (ROWS))                                             \
                    tile_fn(kind, ROWS, TOKENS, tile_at(all, r, t));                               \
                for (; r < end; r++)                                                               \
                    tile_fn(kind, 1, TOKENS, tile_at(all, r, t));                                  \
            }                                                                                      \
            for (; t < n_tokens; t++) {                                                            \
                size_t r = begin;                                                                  \
                for (; r + (ONE_ROWS) <= end; r += (ONE_ROWS))                                     \
                    tile_fn(kind, ONE_ROWS, 1, tile_at(all, r, t));                                \
                for (; r < end; r++)                                                               \
                    tile_fn(kind, 1, 1, tile_at(all, r, t));                                       \
            }                                                                                      \
        }                                                                                          \
    }

/* Defines the kernel_linear `name` from the two ways that its file has, both
 * ALWAYS_INLINE, the second for calls of at least panel_from(kind) tokens:
 *
 *   few_rows(kind, tile, n_rows)               n_rows <= FEW_ROWS, one token
 *   many_tokens(kind, tile, n_rows, n_tokens)  n_rows <= MANY_ROWS,
 *                                              n_tokens <= PANEL_TOKENS
 *
 * They become functions of their own: in one, the second would take registers from the first. */
#define LINEAR_FROM_GROUPS(name, kind, MANY_ROWS)                                                  \
    OUTLINED void name##_many(struct tile a, size_t n_rows, size_t n_tokens) {                     \
        many_tokens(kind, a, n_rows, n_tokens);                                                    \
    }                                                                                              \
    static void name(size_t n, const void *w, size_t w_stride, size_t n_rows, const void *x,       \
                     size_t x_stride, size_t n_tokens, float *y, size_t y_stride) {                \
        const struct tile all = {n, w, x, w_stride, x_stride, y, y_stride};                        \
        if (n_tokens < panel_from(kind)) {                                                         \
            for (size_t r = 0; r < n_rows; r += FEW_ROWS)                                          \
                for (size_t t = 0; t < n_tokens; t++)                                              \
                    few_rows(kind, tile_at(all, r, t), at_most(n_rows - r, FEW_ROWS));             \
            return;                                                                                \
        }                                                                                          \
        for (size_t t = 0; t < n_tokens; t += PANEL_TOKENS)                                        \
            for (size_t r = 0; r < n_rows; r += (MANY_ROWS))                                       \
                name##_many(tile_at(all, r, t), at_most(n_rows - r, MANY_ROWS),                    \
                            at_most(n_tokens - t, PANEL_TOKENS));                                  \
    }

/* The same a panel at a time. */
#define LINEAR_FROM_PANELS(name, kind) LINEAR_FROM_GROUPS(name, kind, PANEL_ROWS)

/* The same where rows are lanes, for any number of tokens:
 *
 *   few_tokens(kind, tile, n_rows, tokens)     `tokens` a constant from 1 to FEW_TOKENS = 4,
 *                                              n_rows <= PANEL_ROWS
 *   many_tokens(kind, tile, n_rows, n_tokens)  FEW_TOKENS < n_tokens <= PANEL_TOKENS */
#define LINEAR_FROM_LANES(name, kind)                                                              \
    OUTLINED void name##_one(struct tile a, size_t n_rows) {                                       \
        few_tokens(kind, a, n_rows, 1);                                                            \
    }                                                                                              \
    OUTLINED void name##_many(struct tile a, size_t n_rows, size_t n_tokens) {                     \
        many_tokens(kind, a, n_rows, n_tokens);                                                    \
    }                                                                                              \
    static void name(size_t n, const void *w, size_t w_stride, size_t n_rows, const void *x,       \
                     size_t x_stride, size_t n_tokens, float *y, size_t y_stride) {                \
        const struct tile all = {n, w, x, w_stride, x_stride, y, y_stride};                        \
        for (size_t t = 0; t < n_tokens; t += PANEL_TOKENS) {                                      \
            size_t tokens = at_most(n_tokens - t, PANEL_TOKENS);                                   \
            if (tokens > FEW_TOKENS) name##_many(tile_at(all, 0, t), n_rows, tokens);              \
            for (size_t r = 0; tokens <= FEW_TOKENS && r < n_rows; r += PANEL_ROWS) {              \
                const struct tile part = tile_at(all, r, t);                                       \
                size_t rows = at_most(n_rows - r, PANEL_ROWS);                                     \
                switch (tokens) {                                                                  \
                case 1: name##_one(part, rows); break;                                             \
                case 2: few_tokens(kind, part, rows, 2); break;                                    \
                case 3: few_tokens(kind, part, rows, 3); break;                                    \
                default: few_tokens(kind, part, rows, 4);                                          \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

#endif
