/* settings_file.h - a YAML file (1.1, through libyaml) whose keys are the options of a command.
 *
 * A key is an option's long name or alias, with '_' and '-' alike; keys inside a mapping are
 * joined by dots ("datasets.path"), and a sequence gives its elements one by one, so that
 * lists and mappings in lists need nothing of their own. A null value leaves the option alone.
 * Every mistake is named by file, line and key; an unknown key by the nearest known one.
 * Anchors, aliases and tags are refused. */
#ifndef HEARTH_CLI_SETTINGS_FILE_H
#define HEARTH_CLI_SETTINGS_FILE_H

#include "base/arena.h"
#include "base/buf.h"
#include "cli/options.h"

enum { SETTINGS_FILE_MAX_BYTES = 1 << 20, SETTINGS_MAX_DEPTH = 8 };

/* Sets the options; strings that they borrow live in `strings`. */
hearth_status settings_file_read(const char *path, const struct option_table *table,
                                 struct arena *strings, hearth_error *err);
/* The same for a text in memory; `name` is how messages call it. */
hearth_status settings_text_read(const char *name, const char *text, size_t length,
                                 const struct option_table *table, struct arena *strings,
                                 hearth_error *err);

/* Writes the options as they are now, defaults included, so that reading the file gives them
 * again; those named in `except` (ended by NULL) and unset texts are left out. `heading`:
 * comment lines, each beginning with '#'. */
hearth_status settings_file_write(const char *path, const char *heading,
                                  const struct option_table *table, const char *const *except,
                                  hearth_error *err);

/* Appends the line, or lines, of one option as settings_file_write has them: nothing for an
 * unset text, "key: value\n" otherwise. */
void settings_put_option(struct buf *out, const struct option_spec *spec);

#endif
