/* hearth dequant: quantised blocks to floats, for tests and for looking into files. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/options.h"
#include "kernels/kernels.h"

static hearth_status dequantize_file(const char *type_name, const char *in, const char *out,
                                     hearth_error *err) {
    enum { BLOCKS_AT_A_TIME = 4096 };
    enum cpu_level level;
    struct file_map map;
    struct file_writer writer;
    enum elem type = elem_by_name(type_name);
    RETURN_IF_ERROR(cpu_choose(&level, err));
    const struct kernels *k = kernels_for(level);
    if (type == ELEM_TYPES || !k->dequantize[type])
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' is not a type that holds weights",
                         type_name);
    RETURN_IF_ERROR(file_map_open(&map, in, err));
    size_t block = elem_table[type].block_bytes, values = elem_table[type].block_values;
    hearth_status status = HEARTH_OK;
    if (map.size % block != 0)
        status = error_set(err, HEARTH_ERROR_FORMAT,
                           "'%s' has %zu bytes, which is not a multiple of %zu, the size of a %s "
                           "block",
                           in, map.size, block, elem_name(type));
    float *row = mem_alloc_array(BLOCKS_AT_A_TIME * values, sizeof *row);
    if (!row) status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    if (status == HEARTH_OK) status = file_writer_open(&writer, out, err);
    if (status == HEARTH_OK) {
        for (size_t at = 0, n; status == HEARTH_OK && at < map.size; at += n * block) {
            n = (map.size - at) / block;
            if (n > BLOCKS_AT_A_TIME) n = BLOCKS_AT_A_TIME;
            k->dequantize[type](map.data + at, row, n * values);
            status = file_writer_put(&writer, row, n * values * sizeof *row, err);
        }
        if (status == HEARTH_OK)
            status = file_writer_commit(&writer, err);
        else
            file_writer_discard(&writer);
    }
    mem_free(row);
    file_map_close(&map);
    return status;
}

int cmd_dequant(int argc, char **argv) {
    const char *type = NULL;
    const struct option_spec specs[] = {
        {.name = "type",
         .argument = "TYPE",
         .help = "element type of the blocks, such as q4_K",
         .type = OPTION_STRING,
         .string = &type},
    };
    const struct option_table table = {.command = "hearth dequant",
                                       .arguments = "IN OUT.f32",
                                       .summary = "Turns raw quantised blocks into float32.",
                                       .specs = specs,
                                       .n_specs = 1,
                                       .min_arguments = 2,
                                       .max_arguments = 2};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (!type) {
        fputs("hearth dequant: --type is needed\n", stderr);
        return EXIT_USAGE;
    }
    hearth_status status = dequantize_file(type, arguments.items[0], arguments.items[1], &err);
    return status == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
