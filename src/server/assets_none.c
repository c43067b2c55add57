/* What takes the place of the app's files where it was not built. */
#include "server/assets.h"

const struct asset *const assets = NULL;
const size_t n_assets = 0;
