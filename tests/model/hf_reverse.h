/* hf_reverse.h - writes the tiny models of testdata/arch as Hugging Face folders.
 *
 * Names and layouts follow the published modelling code of transformers; nothing here
 * calls the import that is tested. A case lists, for every tensor of the GGUF file, the
 * name it has in a folder and how its values lie there. */
#ifndef HEARTH_TESTS_MODEL_HF_REVERSE_H
#define HEARTH_TESTS_MODEL_HF_REVERSE_H

#include "model/golden.h"

#include <dirent.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/safetensors.h"

enum reverse_op {
    AS_IS,
    HALVES,     /* heads of `a` values: neighbours of a pair -> half a head apart */
    MINUS_ONE,  /* norms that multiply by 1 + w */
    LOG,        /* A = -exp(A_log) */
    TURN,       /* every matrix [in, out] */
    EXPERTS,    /* one tensor for each expert */
    STACKED,    /* rows of this tensor, then of `with`, matrix by matrix */
    WOVEN,      /* rows of this tensor and of `with` in turn */
    WOVEN_TURN, /* the same, then [in, out] */
    KV_B,       /* heads of `with` (turned) and of this one above each other */
    GROUPED,    /* value heads of `a` values, rows from `b` on: tiled -> grouped */
    GROUPED_CONV,
    GROUPED_COLUMNS,
    GROUPED_LOG,
    CHANNELS, /* [channels, 1, kernel] */
    LIST      /* one dimension */
};

struct reverse {
    const char *gguf, *hf; /* '#': the layer, '@': the expert; hf NULL: written with another */
    enum reverse_op op;
    int a, b;
    const char *with;
};

enum { REVERSE_TABLES = 4, REVERSE_MAX_TENSORS = 512 };

struct reverse_case {
    const char *folder, *logits;                  /* of testdata/arch */
    const char *config;                           /* config.json */
    const struct reverse *tables[REVERSE_TABLES]; /* each ends with gguf NULL */
};

struct reverse_out {
    struct tensor tensors[REVERSE_MAX_TENSORS];
    size_t n;
};

static inline float *reverse_floats(const struct tensor *t) {
    return (float *)(uintptr_t)t->data;
}

/* A new tensor of dims {d0, d1, d2}, contiguous one first. */
static inline float *reverse_add(struct reverse_out *out, const char *name, uint64_t d0,
                                 uint64_t d1, uint64_t d2) {
    assert_true(out->n < REVERSE_MAX_TENSORS);
    struct tensor *t = &out->tensors[out->n++];
    *t = (struct tensor){.name = mem_strdup(name), .type = ELEM_F32, .dims = {d0, d1, d2, 1}};
    t->n_dims = d2 > 1 ? 3 : d1 > 1 ? 2 : 1;
    assert_int_equal(tensor_check_shape(t, NULL), HEARTH_OK);
    t->data = mem_alloc(t->size_bytes);
    assert_non_null(t->data);
    return reverse_floats(t);
}

static inline void reverse_name(char out[256], const char *pattern, unsigned layer,
                                unsigned expert) {
    size_t n = 0;
    for (; *pattern; pattern++)
        if (*pattern == '#' || *pattern == '@')
            n += (size_t)snprintf(out + n, 256 - n, "%u", *pattern == '#' ? layer : expert);
        else
            out[n++] = *pattern;
    out[n] = '\0';
}

/* Rows regrouped: row r of the folder is row map[r]. */
static inline void reverse_rows(float *out, const float *in, uint64_t cols, uint64_t rows,
                                uint64_t (*source)(uint64_t row, int a, int b), int a, int b) {
    for (uint64_t r = 0; r < rows; r++)
        memcpy(out + r * cols, in + source(r, a, b) * cols, cols * sizeof *out);
}

static inline uint64_t halves_source(uint64_t row, int a, int b) {
    (void)b;
    uint64_t d = (uint64_t)a, head = row / d, k = row % d, half = d / 2;
    return head * d + (k % half) * 2 + k / half;
}

/* Two key heads share four value heads: folder order k0v0 k0v1 k1v0 k1v1, file order
 * k0v0 k1v0 k0v1 k1v1. */
static inline uint64_t grouped_source(uint64_t row, int a, int b) {
    static const uint64_t file_head[] = {0, 2, 1, 3};
    uint64_t d = (uint64_t)a, first = (uint64_t)b;
    if (row < first) return row;
    return first + file_head[(row - first) / d] * d + (row - first) % d;
}

static inline void reverse_turn(float *out, const float *in, uint64_t cols, uint64_t rows) {
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c++)
            out[c * rows + r] = in[r * cols + c];
}

/* Rows of a and b: all of a first, or in turn. */
static inline void reverse_join(float *out, const float *a, const float *b, uint64_t cols,
                                uint64_t rows, bool woven) {
    for (uint64_t r = 0; r < rows; r++) {
        memcpy(out + (woven ? 2 * r : r) * cols, a + r * cols, cols * sizeof *out);
        memcpy(out + (woven ? 2 * r + 1 : rows + r) * cols, b + r * cols, cols * sizeof *out);
    }
}

static inline void reverse_kv_b(float *out, const struct tensor *v, const struct tensor *k) {
    uint64_t rank = v->dims[0], d_v = v->dims[1], nope = k->dims[0], heads = v->dims[2];
    for (uint64_t h = 0; h < heads; h++) {
        for (uint64_t n = 0; n < nope; n++)
            for (uint64_t r = 0; r < rank; r++)
                *out++ = reverse_floats(k)[(h * rank + r) * nope + n];
        memcpy(out, reverse_floats(v) + h * d_v * rank, d_v * rank * sizeof *out);
        out += d_v * rank;
    }
}

static inline void reverse_pair(struct reverse_out *out, const struct reverse *rule,
                                const char *name, const struct tensor *t,
                                const struct tensor *other) {
    uint64_t cols = t->dims[0], rows = t->dims[1], n = t->dims[2];
    if (rule->op == KV_B) {
        reverse_kv_b(reverse_add(out, name, cols, (rows + other->dims[0]) * n, 1), t, other);
        return;
    }
    bool list = strstr(rule->gguf, ".bias") != NULL; /* [experts][rows] */
    if (list) {
        n = rows;
        rows = cols;
        cols = 1;
    }
    bool turn = rule->op == WOVEN_TURN;
    float *all = turn   ? reverse_add(out, name, 2 * rows, cols, n)
                 : list ? reverse_add(out, name, 2 * rows, n, 1)
                        : reverse_add(out, name, cols, 2 * rows, n);
    float *joined = mem_alloc_array(2 * rows * cols, sizeof *joined);
    for (uint64_t m = 0; m < n; m++, all += 2 * rows * cols) {
        reverse_join(turn ? joined : all, reverse_floats(t) + m * rows * cols,
                     reverse_floats(other) + m * rows * cols, cols, rows, rule->op != STACKED);
        if (turn) reverse_turn(all, joined, cols, 2 * rows);
    }
    mem_free(joined);
}

static inline void reverse_experts(struct reverse_out *out, const struct reverse *rule,
                                   unsigned layer, const struct tensor *t) {
    uint64_t each = t->dims[0] * t->dims[1];
    for (unsigned e = 0; e < t->dims[2]; e++) {
        char name[256];
        reverse_name(name, rule->hf, layer, e);
        memcpy(reverse_add(out, name, t->dims[0], t->dims[1], 1), reverse_floats(t) + e * each,
               each * sizeof(float));
    }
}

static inline void reverse_single(struct reverse_out *out, const struct reverse *rule,
                                  const char *name, const struct tensor *t) {
    const float *in = reverse_floats(t);
    uint64_t cols = t->dims[0], rows = t->dims[1], n = cols * rows * t->dims[2];
    bool conv = rule->op == CHANNELS || rule->op == GROUPED_CONV;
    bool list = rule->op == LIST || rule->op == LOG || rule->op == GROUPED_LOG;
    float *to = conv               ? reverse_add(out, name, cols, 1, rows)
                : list             ? reverse_add(out, name, n, 1, 1)
                : rule->op == TURN ? reverse_add(out, name, rows, cols, t->dims[2])
                                   : reverse_add(out, name, cols, rows, t->dims[2]);
    bool vector = t->n_dims == 1;
    uint64_t row_cols = vector ? 1 : cols, n_rows = vector ? cols : rows;
    memcpy(to, in, n * sizeof *to);
    if (rule->op == HALVES) reverse_rows(to, in, row_cols, n_rows, halves_source, rule->a, 0);
    if (rule->op == GROUPED || rule->op == GROUPED_CONV || rule->op == GROUPED_LOG)
        reverse_rows(to, in, row_cols, n_rows, grouped_source, rule->a, rule->b);
    for (uint64_t i = 0; rule->op == GROUPED_COLUMNS && i < n; i++)
        to[i] = in[i / cols * cols + grouped_source(i % cols, rule->a, rule->b)];
    for (uint64_t m = 0; rule->op == TURN && m < t->dims[2]; m++)
        reverse_turn(to + m * cols * rows, in + m * cols * rows, cols, rows);
    for (uint64_t i = 0; rule->op == MINUS_ONE && i < n; i++)
        to[i] = to[i] - 1.0f;
    for (uint64_t i = 0; (rule->op == LOG || rule->op == GROUPED_LOG) && i < n; i++)
        to[i] = logf(-to[i]);
}

static inline const struct reverse *reverse_find(const struct reverse_case *c, const char *name,
                                                 unsigned *layer) {
    char wanted[256];
    *layer = 0;
    int after = 0;
    bool layered = sscanf(name, "blk.%u.%n", layer, &after) == 1;
    snprintf(wanted, sizeof wanted, "%s%s", layered ? "blk.#." : "", name + after);
    for (int i = 0; i < REVERSE_TABLES && c->tables[i]; i++)
        for (const struct reverse *r = c->tables[i]; r->gguf; r++)
            if (strcmp(r->gguf, wanted) == 0) return r;
    fail_msg("%s: no rule for '%s'", c->folder, name);
    return NULL;
}

static inline void reverse_tensor(struct reverse_out *out, const struct reverse_case *c,
                                  const struct directory *dir, const struct tensor *t) {
    unsigned layer;
    char name[256], with[256];
    const struct reverse *rule = reverse_find(c, t->name, &layer);
    if (!rule->hf) return;
    reverse_name(name, rule->hf, layer, 0);
    if (rule->op == EXPERTS) {
        reverse_experts(out, rule, layer, t);
    } else if (rule->with) {
        reverse_name(with, rule->with, layer, 0);
        const struct tensor *other = directory_find(dir, with);
        assert_non_null(other);
        reverse_pair(out, rule, name, t, other);
    } else
        reverse_single(out, rule, name, t);
}

/* ---- folders --------------------------------------------------------------------- */

static inline void folder_make(char *path, size_t size) {
    const char *base = getenv("TMPDIR");
    snprintf(path, size, "%s/hearth-hf-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
}

static inline void folder_put(const char *folder, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_write(path, text, strlen(text), NULL), HEARTH_OK);
}

static inline void folder_remove(const char *folder) {
    char **names, path[1024];
    size_t n;
    assert_int_equal(file_list(folder, &names, &n, NULL), HEARTH_OK);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(remove(path), 0);
    }
    file_names_free(names, n);
    assert_int_equal(rmdir(folder), 0);
}

static inline void reverse_release(struct reverse_out *out) {
    for (size_t i = 0; i < out->n; i++) {
        mem_free((void *)(uintptr_t)out->tensors[i].name);
        mem_free((void *)(uintptr_t)out->tensors[i].data);
    }
    out->n = 0;
}

static inline void reverse_collect(struct reverse_out *out, const struct reverse_case *c,
                                   struct directory *dir) {
    char name[256];
    hearth_error err = {0};
    out->n = 0;
    snprintf(name, sizeof name, "arch/%s/model.gguf", c->folder);
    if (gguf_open(dir, testdata(name), &err) != HEARTH_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < dir->n_tensors; i++)
        reverse_tensor(out, c, dir, &dir->tensors[i]);
}

/* Writes the model into `folder`; `type` F32, or BF16 to which the values are rounded. */
static inline void reverse_write(const struct reverse_case *c, const char *folder) {
    static struct reverse_out out;
    struct directory dir;
    char path[512];
    hearth_error err = {0};
    reverse_collect(&out, c, &dir);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (safetensors_write(path, NULL, out.tensors, out.n, 0, NULL, NULL, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    folder_put(folder, "config.json", c->config);
    reverse_release(&out);
    directory_close(&dir);
}

#endif
