#include <stdio.h>

#include "format/directory.h"

int main(int argc, char **argv) {
    struct directory dir;
    hearth_error err;
    if (argc < 2) return 2;
    if (gguf_open(&dir, argv[1], &err) != HEARTH_OK) {
        fprintf(stderr, "hearth: %s\n", err.message);
        return 1;
    }
    printf("%zu tensors, %zu keys\n", dir.n_tensors, dir.metadata.count);
    directory_close(&dir);
    return 0;
}
