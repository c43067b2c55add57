/* fp8.h - checkpoints whose weights are 8- or 4-bit floats with scales beside them.
 *
 * Two layouts occur in Hugging Face folders:
 *
 * Scaled weights (DeepSeek-V3, Qwen3 FP8, compressed-tensors): W in F8_E4M3,
 * F8_E5M2 or I8, and a tensor of scales named W + "_scale_inv" or W + "_scale",
 * w = q * scale under either name. The scales are one number, one for each output
 * row, or one for each block of a matrix (128 x 128 in DeepSeek-V3, section 3.3).
 *
 * MXFP4 (gpt-oss; OCP Microscaling Formats 1.0): NAME_blocks, U8 [..., out, groups,
 * 16], and NAME_scales, U8 [..., out, groups]: 32 values of E2M1 to a group, the
 * scale an exponent, 2^(s - 127). A byte holds values 2j (low four bits) and 2j + 1;
 * an ELEM_MXFP4 block has the scale first, and value j low and j + 16 high in byte j.
 *
 * Rows are counted over all outer dimensions: row r of matrix e is e * out + r. */
#ifndef HEARTH_FORMAT_FP8_H
#define HEARTH_FORMAT_FP8_H

#include "format/directory.h"

/* ---- single values, all exact (OCP OFP8 1.0; E8M0 from OCP MX 1.0) -------- */

float f8_e4m3_to_f32(uint8_t x); /* 0x7f and 0xff are NaN, there is no infinity */
float f8_e5m2_to_f32(uint8_t x);
float f8_e8m0_to_f32(uint8_t x); /* 255 is NaN */
float f4_to_f32(uint8_t x);      /* E2M1 in the low four bits */

/* ---- scaled weights -------------------------------------------------------- */

struct scaled_weight {
    const struct tensor *weight, *scale; /* borrowed */
    uint64_t n_cols, n_rows;
    /* The scale of row r of matrix e at column c is number
     * e * matrix_stride + r / block_rows * row_stride + c / block_cols. */
    uint64_t rows_per_matrix, block_rows, block_cols, matrix_stride, row_stride;
    float values[256]; /* what each byte of the weight stands for */
};

/* Finds tensor `name` and its scales and checks their shapes. `block_rows` and
 * `block_cols` are quantization_config.weight_block_size; 0: 128. NOT_FOUND when
 * there is no such tensor or no scale beside it. */
hearth_status scaled_weight_open(struct scaled_weight *s, const struct directory *dir,
                                 const char *name, uint64_t block_rows, uint64_t block_cols,
                                 hearth_error *err);
/* Rows first_row .. first_row + n_rows - 1 into out[n_rows][n_cols]. */
void scaled_weight_f32(const struct scaled_weight *s, uint64_t first_row, uint64_t n_rows,
                       float *out);
void scaled_weight_bf16(const struct scaled_weight *s, uint64_t first_row, uint64_t n_rows,
                        uint16_t *out);

/* ---- MXFP4 ------------------------------------------------------------------ */

struct mxfp4_weight {
    const uint8_t *blocks, *scales; /* [n_rows][n_groups][16], [n_rows][n_groups] */
    uint64_t n_cols, n_rows, rows_per_matrix, n_groups;
};

/* Finds NAME_blocks and NAME_scales, e.g. "model.layers.0.mlp.experts.down_proj". */
hearth_status mxfp4_weight_open(struct mxfp4_weight *w, const struct directory *dir,
                                const char *name, hearth_error *err);
/* ELEM_MXFP4 rows: out[n_rows][n_groups * 17]; no value changes. */
void mxfp4_weight_blocks(const struct mxfp4_weight *w, uint64_t first_row, uint64_t n_rows,
                         uint8_t *out);
void mxfp4_weight_f32(const struct mxfp4_weight *w, uint64_t first_row, uint64_t n_rows,
                      float *out);

#endif
