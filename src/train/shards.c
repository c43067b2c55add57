#include "train/shards.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"

/* Where one goes on in a rank's shares of all tensors, one after the other. */
struct cursor {
    size_t place; /* in the list at hand */
    uint64_t at;  /* of the share */
};

struct shards {
    struct ranks *ranks;
    struct device *device;
    const struct trained_tensor *tensors;
    size_t n_tensors;
    uint32_t *all;              /* [n_tensors] */
    struct parameter_list list; /* at hand */
    struct cursor *filled;      /* [count] */
    struct cursor *taken;       /* [count] */
};

enum field { GRADIENTS, VALUES };

struct share share_of(uint64_t n_values, int rank, int count) {
    size_t begin, end;
    pool_share((size_t)n_values, MOMENT8_VALUES, (unsigned)rank, (unsigned)count, &begin, &end);
    return (struct share){begin, end - begin};
}

static const struct trained_tensor *tensor_at(const struct shards *s, size_t place) {
    return &s->tensors[s->list.numbers[place]];
}

static device_buffer buffer_of(const struct trained_tensor *t, enum field field) {
    return field == VALUES ? t->value : t->gradient;
}

hearth_status shards_open(struct shards **out, struct ranks *ranks, struct device *device,
                          const struct trained_tensor *tensors, size_t n_tensors,
                          hearth_error *err) {
    struct shards *s = mem_calloc(1, sizeof *s);
    size_t count = (size_t)ranks_count(ranks);
    if (s) s->filled = mem_calloc(count, sizeof *s->filled);
    if (s) s->taken = mem_calloc(count, sizeof *s->taken);
    if (s) s->all = mem_calloc(n_tensors + 1, sizeof *s->all);
    if (!s || !s->filled || !s->taken || !s->all) {
        shards_close(s);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the shares of %zu ranks",
                         count);
    }
    s->ranks = ranks;
    s->device = device;
    s->tensors = tensors;
    s->n_tensors = n_tensors;
    for (size_t i = 0; i < n_tensors; i++)
        s->all[i] = (uint32_t)i;
    *out = s;
    return HEARTH_OK;
}

void shards_close(struct shards *s) {
    if (!s) return;
    mem_free(s->filled);
    mem_free(s->taken);
    mem_free(s->all);
    mem_free(s);
}

struct parameter_list shards_all(const struct shards *s) {
    return (struct parameter_list){s->all, s->n_tensors};
}

/* Starts with the first tensor of a list; returns the values of the rank that has most. */
static uint64_t begin_list(struct shards *s, struct parameter_list list) {
    uint64_t longest = 0;
    int count = ranks_count(s->ranks);
    s->list = list;
    for (int rank = 0; rank < count; rank++) {
        uint64_t n = 0;
        for (size_t i = 0; i < list.n; i++)
            n += share_of(tensor_at(s, i)->n, rank, count).n;
        if (n > longest) longest = n;
        s->filled[rank] = s->taken[rank] = (struct cursor){0};
    }
    return longest;
}

/* Moves the next n values of a rank's shares between its piece and the tensors; `c` says where
 * they are. */
static hearth_status move_piece(struct shards *s, int rank, struct cursor *c, enum field field,
                                bool to_tensors, size_t n, hearth_error *err) {
    float *piece = ranks_piece(s->ranks, rank);
    while (n > 0 && c->place < s->list.n) {
        const struct trained_tensor *t = tensor_at(s, c->place);
        device_buffer buffer = buffer_of(t, field);
        struct share share = share_of(t->n, rank, ranks_count(s->ranks));
        size_t some = share.n - c->at < n ? (size_t)(share.n - c->at) : n;
        uint64_t offset = (share.first + c->at) * sizeof *piece, bytes = some * sizeof *piece;
        RETURN_IF_ERROR(to_tensors ? device_write(s->device, buffer, offset, piece, bytes, err)
                                   : device_read(s->device, buffer, offset, piece, bytes, err));
        piece += some;
        n -= some;
        c->at += some;
        if (c->at == share.n) *c = (struct cursor){c->place + 1, 0};
    }
    if (!to_tensors) memset(piece, 0, n * sizeof *piece); /* its shares have ended */
    return HEARTH_OK;
}

static hearth_status fill_piece(struct shards *s, int rank, enum field field, size_t n,
                                hearth_error *err) {
    return move_piece(s, rank, &s->filled[rank], field, false, n, err);
}

static hearth_status take_piece(struct shards *s, int rank, enum field field, size_t n,
                                hearth_error *err) {
    return move_piece(s, rank, &s->taken[rank], field, true, n, err);
}

/* All ranks' own pieces to everybody's tensors. */
static hearth_status spread(struct shards *s, enum field field, size_t n, enum ranks_wire wire,
                            hearth_error *err) {
    RETURN_IF_ERROR(ranks_gather_pieces(s->ranks, n, wire, err));
    for (int rank = 0; rank < ranks_count(s->ranks); rank++)
        RETURN_IF_ERROR(take_piece(s, rank, field, n, err));
    return HEARTH_OK;
}

static size_t piece_length(uint64_t longest, uint64_t done) {
    uint64_t left = longest - done;
    return left < RANKS_PIECE_VALUES ? (size_t)left : RANKS_PIECE_VALUES;
}

hearth_status shards_sum_gradients(struct shards *s, struct parameter_list list, bool everywhere,
                                   enum ranks_wire wire, hearth_error *err) {
    int own = ranks_rank(s->ranks), count = ranks_count(s->ranks);
    uint64_t longest = begin_list(s, list);
    for (uint64_t done = 0; done < longest; done += RANKS_PIECE_VALUES) {
        size_t n = piece_length(longest, done);
        for (int rank = 0; rank < count; rank++)
            RETURN_IF_ERROR(fill_piece(s, rank, GRADIENTS, n, err));
        RETURN_IF_ERROR(ranks_sum_pieces(s->ranks, n, wire, err));
        RETURN_IF_ERROR(everywhere ? spread(s, GRADIENTS, n, wire, err)
                                   : take_piece(s, own, GRADIENTS, n, err));
    }
    return HEARTH_OK;
}

hearth_status shards_gather_values(struct shards *s, struct parameter_list list,
                                   hearth_error *err) {
    uint64_t longest = begin_list(s, list);
    for (uint64_t done = 0; done < longest; done += RANKS_PIECE_VALUES) {
        size_t n = piece_length(longest, done);
        RETURN_IF_ERROR(fill_piece(s, ranks_rank(s->ranks), VALUES, n, err));
        RETURN_IF_ERROR(spread(s, VALUES, n, WIRE_F32, err));
    }
    return HEARTH_OK;
}

/* ---- memory ----------------------------------------------------------------------- */

static hearth_status drop(const struct shards *s, struct parameter_list list, enum field field,
                          hearth_error *err) {
    for (size_t i = 0; i < list.n; i++) {
        const struct trained_tensor *t = &s->tensors[list.numbers[i]];
        struct share share = share_of(t->n, ranks_rank(s->ranks), ranks_count(s->ranks));
        uint64_t first = share.first * sizeof(float), end = first + share.n * sizeof(float);
        device_buffer buffer = buffer_of(t, field);
        RETURN_IF_ERROR(device_drop(s->device, buffer, 0, first, err));
        RETURN_IF_ERROR(device_drop(s->device, buffer, end, t->n * sizeof(float) - end, err));
    }
    return HEARTH_OK;
}

hearth_status shards_drop_gradients(struct shards *s, struct parameter_list list,
                                    hearth_error *err) {
    return drop(s, list, GRADIENTS, err);
}

hearth_status shards_drop_values(struct shards *s, struct parameter_list list, hearth_error *err) {
    return drop(s, list, VALUES, err);
}
