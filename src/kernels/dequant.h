/* dequant.h - scalar dequantisation of every block format; exact by definition. */
#ifndef HEARTH_KERNELS_DEQUANT_H
#define HEARTH_KERNELS_DEQUANT_H

#include "kernels/kernels.h"

/* Sets dequantize[] of every quantised type; the second is called by the first. */
void dequantize_fill(struct kernels *k);
void dequantize_fill_codebooks(struct kernels *k);

#endif
