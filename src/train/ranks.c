#include "train/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/elem.h"

struct ranks {
    struct ranks_transport transport;
    char *pieces, *received; /* [count][RANKS_PIECE_BYTES] */
    float *own;              /* [RANKS_PIECE_VALUES] what this rank adds to its own sums */
    bool agreed_to_fail;
};

bool ranks_started(void) {
    const char *count = getenv("OMPI_COMM_WORLD_SIZE"); /* Open MPI's launcher sets it */
    return count && strtol(count, NULL, 10) > 1;
}

static void free_buffers(struct ranks *r) {
    mem_free(r->pieces);
    mem_free(r->received);
    mem_free(r->own);
}

hearth_status ranks_open(struct ranks **out, const struct ranks_transport *transport,
                         hearth_error *err) {
    struct ranks *r = mem_calloc(1, sizeof *r);
    size_t count = (size_t)transport->count;
    if (r) r->pieces = mem_alloc_array(count, RANKS_PIECE_BYTES);
    if (r) r->received = mem_alloc_array(count, RANKS_PIECE_BYTES);
    if (r) r->own = mem_alloc(RANKS_PIECE_BYTES);
    if (!r || !r->pieces || !r->received || !r->own) {
        if (r) free_buffers(r);
        mem_free(r);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for messages to %zu ranks", count);
    }
    r->transport = *transport;
    *out = r;
    return HEARTH_OK;
}

void ranks_close(struct ranks *r, bool failed) {
    if (!r) return;
    r->transport.close(r->transport.context, failed && !r->agreed_to_fail);
    free_buffers(r);
    mem_free(r);
}

int ranks_rank(const struct ranks *r) {
    return r ? r->transport.rank : 0;
}

int ranks_count(const struct ranks *r) {
    return r ? r->transport.count : 1;
}

int ranks_local_count(const struct ranks *r) {
    return r ? r->transport.n_local : 1;
}

bool ranks_speaks(const struct ranks *r) {
    return ranks_rank(r) == 0 || !r->agreed_to_fail;
}

hearth_status ranks_broadcast(struct ranks *r, void *data, size_t size_bytes, hearth_error *err) {
    return r ? r->transport.broadcast(r->transport.context, data, size_bytes, err) : HEARTH_OK;
}

static hearth_status gather(struct ranks *r, const void *own, size_t size_bytes,
                            hearth_error *err) {
    return r->transport.gather(r->transport.context, own, r->received, size_bytes, err);
}

/* ---- decisions --------------------------------------------------------------- */

struct outcome {
    hearth_status status;
    hearth_error error;
    char host[RANKS_HOST_BYTES];
};

static const struct outcome *outcome_of(const struct ranks *r, int rank) {
    return (const struct outcome *)(const void *)r->received + rank;
}

hearth_status ranks_agree(struct ranks *r, hearth_status status, hearth_error *err) {
    if (!r) return status;
    struct outcome own = {.status = status};
    if (err && status != HEARTH_OK) own.error = *err;
    memcpy(own.host, r->transport.host, sizeof own.host);
    RETURN_IF_ERROR(gather(r, &own, sizeof own, err));
    for (int i = 0; i < r->transport.count; i++) {
        const struct outcome *o = outcome_of(r, i);
        if (o->status == HEARTH_OK) continue;
        r->agreed_to_fail = true;
        if (err) *err = o->error;
        if (i == 0) return o->status;
        return error_prefix(err, o->status, "rank %d on %s", i, o->host);
    }
    return HEARTH_OK;
}

hearth_status ranks_any(struct ranks *r, bool *flag, hearth_error *err) {
    if (!r) return HEARTH_OK;
    char own = *flag;
    RETURN_IF_ERROR(gather(r, &own, 1, err));
    *flag = memchr(r->received, 1, (size_t)r->transport.count) != NULL;
    return HEARTH_OK;
}

hearth_status ranks_least(struct ranks *r, uint64_t *value, hearth_error *err) {
    if (!r) return HEARTH_OK;
    RETURN_IF_ERROR(gather(r, value, sizeof *value, err));
    for (int i = 0; i < r->transport.count; i++) {
        uint64_t other;
        memcpy(&other, r->received + (size_t)i * sizeof other, sizeof other);
        if (other < *value) *value = other;
    }
    return HEARTH_OK;
}

hearth_status ranks_add(struct ranks *r, double *numbers, size_t n, hearth_error *err) {
    if (!r) return HEARTH_OK;
    double sums[RANKS_NUMBERS] = {0};
    RETURN_IF_ERROR(gather(r, numbers, n * sizeof *numbers, err));
    for (int i = 0; i < r->transport.count; i++)
        for (size_t k = 0; k < n; k++)
            sums[k] += ((const double *)(const void *)r->received)[(size_t)i * n + k];
    memcpy(numbers, sums, n * sizeof *numbers);
    return HEARTH_OK;
}

hearth_status ranks_same(struct ranks *r, const char *what, const char *text, hearth_error *err) {
    char first[RANKS_TEXT_BYTES];
    hearth_status status = HEARTH_OK;
    if (!r) return HEARTH_OK;
    snprintf(first, sizeof first, "%s", text);
    RETURN_IF_ERROR(ranks_broadcast(r, first, sizeof first, err));
    if (strcmp(first, text) != 0)
        status = error_set(err, HEARTH_ERROR_ARGUMENT, "%s is '%s' here, '%s' on rank 0", what,
                           text, first);
    return ranks_agree(r, status, err);
}

/* ---- floats ------------------------------------------------------------------- */

/* Pieces are as far apart as the longest one, whatever n is, until they are sent: then they
 * follow each other. */
float *ranks_piece(struct ranks *r, int rank) {
    return (float *)(void *)(r->pieces + (size_t)rank * RANKS_PIECE_BYTES);
}

static size_t wire_bytes(enum ranks_wire wire, size_t n) {
    return n * (wire == WIRE_BF16 ? sizeof(uint16_t) : sizeof(float));
}

/* `out` may be where the values are, or before that: narrow values never overtake wide ones. */
static void put_on_wire(const float *values, size_t n, enum ranks_wire wire, char *out) {
    if (wire == WIRE_F32) {
        memmove(out, values, n * sizeof *values);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t narrow = f32_to_bf16(values[i]);
        memcpy(out + i * sizeof narrow, &narrow, sizeof narrow);
    }
}

static void take_off_wire(const void *in, size_t n, enum ranks_wire wire, float *values) {
    const uint16_t *narrow = in;
    if (wire == WIRE_F32)
        memcpy(values, in, n * sizeof *values);
    else
        for (size_t i = 0; i < n; i++)
            values[i] = bf16_to_f32(narrow[i]);
}

static void add_from_wire(const void *in, size_t n, enum ranks_wire wire, float *values) {
    const uint16_t *narrow = in;
    const float *wide = in;
    if (wire == WIRE_F32)
        for (size_t i = 0; i < n; i++)
            values[i] += wide[i];
    else
        for (size_t i = 0; i < n; i++)
            values[i] += bf16_to_f32(narrow[i]);
}

hearth_status ranks_sum_pieces(struct ranks *r, size_t n, enum ranks_wire wire, hearth_error *err) {
    size_t piece = wire_bytes(wire, n);
    int own = r->transport.rank;
    float *sum = ranks_piece(r, own);
    memcpy(r->own, sum, n * sizeof *sum);
    for (int i = 0; i < r->transport.count; i++)
        put_on_wire(ranks_piece(r, i), n, wire, r->pieces + (size_t)i * piece);
    RETURN_IF_ERROR(
        r->transport.exchange(r->transport.context, r->pieces, r->received, piece, err));
    memset(sum, 0, n * sizeof *sum);
    for (int i = 0; i < r->transport.count; i++)
        if (i == own)
            add_from_wire(r->own, n, WIRE_F32, sum);
        else
            add_from_wire(r->received + (size_t)i * piece, n, wire, sum);
    return HEARTH_OK;
}

hearth_status ranks_gather_pieces(struct ranks *r, size_t n, enum ranks_wire wire,
                                  hearth_error *err) {
    size_t piece = wire_bytes(wire, n);
    float *own = ranks_piece(r, r->transport.rank);
    put_on_wire(own, n, wire, (char *)own);
    RETURN_IF_ERROR(gather(r, own, piece, err));
    for (int i = 0; i < r->transport.count; i++)
        take_off_wire(r->received + (size_t)i * piece, n, wire, ranks_piece(r, i));
    return HEARTH_OK;
}

hearth_status ranks_fetch(struct ranks *r, int from, void *data, size_t size_bytes,
                          hearth_error *err) {
    return r->transport.fetch(r->transport.context, from, data, size_bytes, err);
}
