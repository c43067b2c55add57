/* power_loss.h - a layer between SQLite and its files that can lose power: what was written to a
 * file since that file was last brought to the disk is then gone, all of it or some pieces. */
#ifndef HEARTH_TESTS_POWER_LOSS_H
#define HEARTH_TESTS_POWER_LOSS_H

#include <stdint.h>

enum { POWER_LOSS_EXIT = 77 };

/* For all databases that this process opens from now on. At the `countdown`-th write or sync the
 * files are as they would be after a loss of power, and the process ends with POWER_LOSS_EXIT.
 * `seed` decides which pieces stay. One thread. */
void power_loss_install(uint64_t countdown, uint64_t seed);

#endif
