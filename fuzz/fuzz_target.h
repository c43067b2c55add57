/* fuzz_target.h - the entry point of a fuzz target, as libFuzzer calls it.
 *
 * A target takes any bytes, returns 0 and keeps nothing. Its seeds are the files of
 * corpus/<name>/. */
#ifndef HEARTH_FUZZ_FUZZ_TARGET_H
#define HEARTH_FUZZ_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
