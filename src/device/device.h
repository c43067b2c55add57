/* device.h - carries out plans of whole-tensor operations over buffer handles.
 *
 * A recipe is lowered once into a plan: a flat list of operations (plan.h) whose
 * operands are views of buffers. device_run carries a plan out for one ragged
 * batch: rows of many sequences at once, each row with its token, position and
 * sequence. Code above this room reaches tensor bytes only through read and write.
 *
 * Invariants: (1) a handle is valid until it is freed or the device closes;
 * (2) no plan writes imported memory; those who imported it to change it do (device_write,
 * device_adamw); (3) plan and batch outlive the run;
 * (4) one thread uses a device at a time; a second one may read, write and drop parts of buffers
 * that no running plan touches, while none are allocated or freed. */
#ifndef HEARTH_DEVICE_DEVICE_H
#define HEARTH_DEVICE_DEVICE_H

#include "base/cpu_topology.h"
#include "base/status.h"
#include "device/plan.h"

struct device;

struct device_options {
    unsigned n_threads;                 /* 0: one per core */
    bool activations_f32;               /* no quantised activations: exact, slower */
    uint32_t max_tokens;                /* rows of the largest batch */
    uint64_t max_bytes;                 /* budget of everything allocated here; 0: no cap */
    const struct topology_nodes *nodes; /* that threads are tied to (pool_tie); NULL: none */
};

/* Opens the CPU device at the level cpu_choose gives. */
hearth_status device_open_cpu(struct device **out, const struct device_options *options,
                              hearth_error *err);
void device_close(struct device *device);

/* Makes memory readable by operations without copying it; it must stay mapped. The
 * same memory gives the same handle. */
hearth_status device_import(struct device *device, const void *data, uint64_t size_bytes,
                            device_buffer *out, hearth_error *err);
/* Zeroed memory. */
hearth_status device_alloc(struct device *device, uint64_t size_bytes, device_buffer *out,
                           hearth_error *err);
/* The same of huge pages where the system has some, for what is filled from its beginning on and
 * read again and again. */
hearth_status device_alloc_huge(struct device *device, uint64_t size_bytes, device_buffer *out,
                                hearth_error *err);
/* A handle of its own for a part of a buffer, whose memory it shares and which outlives it. */
hearth_status device_part(struct device *device, device_buffer buffer, uint64_t offset_bytes,
                          uint64_t size_bytes, device_buffer *out, hearth_error *err);
void device_free(struct device *device, device_buffer buffer);
hearth_status device_write(struct device *device, device_buffer buffer, uint64_t offset_bytes,
                           const void *data, uint64_t size_bytes, hearth_error *err);
hearth_status device_read(struct device *device, device_buffer buffer, uint64_t offset_bytes,
                          void *data, uint64_t size_bytes, hearth_error *err);

/* Bytes of a buffer to another place in it; the two do not overlap. */
hearth_status device_copy(struct device *device, device_buffer buffer, uint64_t from_bytes,
                          uint64_t to_bytes, uint64_t size_bytes, hearth_error *err);

/* A part of a buffer becomes zero; memory that nothing else needs is given back until the part
 * is written again. */
hearth_status device_drop(struct device *device, device_buffer buffer, uint64_t offset_bytes,
                          uint64_t size_bytes, hearth_error *err);

/* Prepares scratch memory for a plan; call before its first run. */
hearth_status device_prepare(struct device *device, const struct plan *plan, hearth_error *err);
hearth_status device_run(struct device *device, const struct plan *plan, const struct batch *batch,
                         hearth_error *err);

/* What goes into a linear layer while a plan runs: pair p multiplies row p / share of
 * `rows` with matrix experts[p] of the weight (`experts` NULL: the only one). */
struct device_input {
    const struct op *op; /* OP_LINEAR or OP_EXPERT_LINEAR; op->w.cols values a row */
    const float *rows;   /* `stride` floats apart */
    size_t stride, n_pairs, share;
    const uint32_t *experts; /* [n_pairs] */
};

/* Called on every thread of the device, before the operation, with the same input: an
 * observer that gives each thread its columns needs no locks and no order of its own. */
typedef void (*device_observer)(void *context, const struct device_input *input, unsigned thread,
                                unsigned n_threads);
/* From the next run on; NULL: none, which costs nothing. */
void device_observe(struct device *device, device_observer observer, void *context);

/* From the next run on, op_ns[kind] grows by the nanoseconds that operations of a kind take on
 * the clock; [OP_KINDS]. NULL: none, which costs nothing. */
void device_time_ops(struct device *device, uint64_t *op_ns);

uint64_t device_allocated_bytes(const struct device *device);
/* What device_prepare has taken so far; most operations touch a part of it. */
uint64_t device_scratch_bytes(const struct device *device);
const char *device_description(const struct device *device); /* "cpu avx512, 2 threads" */
unsigned device_threads(const struct device *device);
/* Whether rows of prompts (batch_run) have another arithmetic than other rows. */
bool device_has_prompts(const struct device *device);

#endif
