/* knowledge.h - what Ember is to know about Hearth, read from what the program says of itself:
 * `hearth --help`, the --help of every command (as help-pages puts them together), and the
 * rooms of docs/ARCHITECTURE.md. So training again after a change is enough to keep Ember's
 * answers true. */
#ifndef HEARTH_EMBER_KNOWLEDGE_H
#define HEARTH_EMBER_KNOWLEDGE_H

#include <stddef.h>

#include "base/status.h"

enum {
    KNOWLEDGE_MAX_PAGE_BYTES = 1 << 22, /* all help pages, or a document */
    KNOWLEDGE_MAX_FACTS = 4096          /* of a kind */
};

struct known_command {
    const char *name;    /* "pull" */
    const char *brief;   /* "download a model" */
    const char *usage;   /* "hearth pull [OPTION...] MODEL..." */
    const char *summary; /* its paragraph; "" without one */
    const char *example; /* "" without one */
};

struct known_option {
    const char *command;  /* "synth" */
    const char *name;     /* "--seed" */
    const char *spelling; /* "--seed N" */
    const char *help;
};

struct known_room {
    const char *name, *owns;
};

struct knowledge;

/* `help_path`: pages, each below a line "== command" ("==" and a space alone for the
 * program's own). Documents are read below `source_root`. Nothing is borrowed. */
hearth_status knowledge_open(struct knowledge **knowledge, const char *help_path,
                             const char *source_root, hearth_error *err);
void knowledge_close(struct knowledge *knowledge); /* NULL is fine */

size_t knowledge_commands(const struct knowledge *k, const struct known_command **commands);
size_t knowledge_options(const struct knowledge *k, const struct known_option **options);
size_t knowledge_rooms(const struct knowledge *k, const struct known_room **rooms);
/* NULL: there is no such command. */
const struct known_command *knowledge_find(const struct knowledge *k, const char *name);

#endif
