#include "cli/tune_check.h"

#include <string.h>

#include "base/mem.h"
#include "cli/settings_file.h"
#include "cli/tune_hosts.h"
#include "cli/tune_options.h"
#include "model/quant_recipe.h"

enum { STRINGS_MAX_BYTES = 1 << 22 };

static hearth_status check_hosts(const char *text, hearth_error *err) {
    struct tune_hosts *hosts = mem_calloc(1, sizeof *hosts);
    if (!hosts) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the hosts");
    hearth_status status = tune_hosts_parse(hosts, text, err);
    mem_free(hosts);
    return status;
}

static hearth_status check_settings(const char *recipe, struct arena *strings, hearth_error *err) {
    struct tune_command command = tune_command_defaults();
    struct option_spec specs[TUNE_SPECS];
    const struct quant_recipe *type;
    struct tuning_options options;
    struct option_table table = {.command = "hearth tune", .specs = specs};
    table.n_specs = tune_specs(&command, specs);
    RETURN_IF_ERROR(settings_text_read("settings", recipe, strlen(recipe), &table, strings, err));
    RETURN_IF_ERROR(tune_command_take(&command, &options, err));
    return command.outtype ? quant_recipe_find(&type, command.outtype, err) : HEARTH_OK;
}

hearth_status tune_check(const char *recipe, const char *hosts, hearth_error *err) {
    struct arena strings;
    if (hosts) RETURN_IF_ERROR(check_hosts(hosts, err));
    arena_init(&strings, STRINGS_MAX_BYTES);
    hearth_status status = check_settings(recipe, &strings, err);
    arena_release(&strings);
    return status;
}
