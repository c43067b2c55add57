#include "knowledge.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#define MAX_TEXT_BYTES ((size_t)1 << 24)
/* The second line of an option's help is indented by so much at least; options by less. */
enum { LEAST_INDENT = 8 };

struct knowledge {
    struct arena arena;
    struct known_command *commands; /* [KNOWLEDGE_MAX_FACTS], as the others */
    struct known_option *options;
    struct known_room *rooms;
    size_t n_commands, n_options, n_rooms;
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for what is known of Hearth");
}

static hearth_status too_many(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_LIMIT, "more than %d facts of a kind", KNOWLEDGE_MAX_FACTS);
}

/* The text from `begin` to `end` without white space around it. */
static const char *keep(struct knowledge *k, const char *begin, const char *end) {
    while (begin < end && strchr(" \n\t", *begin))
        begin++;
    while (end > begin && strchr(" \n\t", end[-1]))
        end--;
    return arena_strndup(&k->arena, begin, (size_t)(end - begin));
}

static const char *line_end(const char *line) {
    return line + strcspn(line, "\n");
}

static const char *next_line(const char *line) {
    const char *end = line_end(line);
    return *end ? end + 1 : end;
}

static bool is_blank(const char *line) {
    return strspn(line, " ") == (size_t)(line_end(line) - line);
}

/* ---- pages ------------------------------------------------------------------------------- */

/* The page below the line "== command", up to the next such line; NULL: there is none. */
static char *find_page(const char *pages, const char *command) {
    char heading[64];
    int n = snprintf(heading, sizeof heading, "\n== %s\n", command);
    const char *page = n > 0 && (size_t)n < sizeof heading ? strstr(pages, heading) : NULL;
    if (!page) return NULL;
    page += n;
    const char *end = strstr(page, "\n== ");
    return mem_strndup(page, end ? (size_t)(end + 1 - page) : strlen(page));
}

/* ---- hearth --help ----------------------------------------------------------------------- */

/* Lines "  name   brief" after "commands:". */
static hearth_status read_commands(struct knowledge *k, const char *page, hearth_error *err) {
    static const char heading[] = "\ncommands:\n";
    const char *line = strstr(page, heading);
    if (!line) return error_set(err, HEARTH_ERROR_FORMAT, "the program's help lists no commands");
    for (line += sizeof heading - 1; !is_blank(line); line = next_line(line)) {
        if (k->n_commands == KNOWLEDGE_MAX_FACTS) return too_many(err);
        struct known_command *command = &k->commands[k->n_commands++];
        const char *name = line + strspn(line, " "), *end = name + strcspn(name, " \n");
        command->name = keep(k, name, end);
        command->brief = keep(k, end, line_end(line));
        command->usage = command->summary = command->example = "";
        if (!command->name || !command->brief) return no_memory(err);
    }
    if (k->n_commands) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "the program's help lists no commands");
}

/* ---- hearth COMMAND --help ----------------------------------------------------------------- */

/* Joins lines by single spaces up to a blank line; returns the line after. */
static const char *join_paragraph(const char *line, struct buf *out) {
    for (; *line && !is_blank(line); line = next_line(line)) {
        if (out->length) buf_append_char(out, ' ');
        buf_append(out, line, (size_t)(line_end(line) - line));
    }
    return line;
}

/* The help of an option: what follows two spaces after its name, and the lines below that
 * are indented further. Returns the line after. */
static const char *join_help(const char *line, const char *from, struct buf *out) {
    if (from < line_end(line)) buf_append(out, from, (size_t)(line_end(line) - from));
    for (line = next_line(line); *line; line = next_line(line)) {
        const char *text = line + strspn(line, " ");
        if (text - line < LEAST_INDENT || is_blank(line)) break;
        if (out->length) buf_append_char(out, ' ');
        buf_append(out, text, (size_t)(line_end(line) - text));
    }
    return line;
}

static hearth_status add_option(struct knowledge *k, const char *command, const char *spelling,
                                const char *end, const struct buf *help, hearth_error *err) {
    if (k->n_options == KNOWLEDGE_MAX_FACTS) return too_many(err);
    struct known_option *option = &k->options[k->n_options];
    const char *name_end = spelling + strcspn(spelling, " \n");
    *option = (struct known_option){.command = command,
                                    .name = keep(k, spelling, name_end < end ? name_end : end),
                                    .spelling = keep(k, spelling, end),
                                    .help = keep(k, buf_text(help), buf_text(help) + help->length)};
    if (!option->name || !option->spelling || !option->help) return no_memory(err);
    k->n_options += strcmp(option->name, "--help") != 0;
    return HEARTH_OK;
}

/* "  -o, --output FILE   the file to write"; the long name counts. */
static hearth_status read_option(struct knowledge *k, const char *command, const char **line,
                                 struct buf *scratch, hearth_error *err) {
    const char *text = *line + strspn(*line, " "), *end = line_end(*line);
    const char *gap = strstr(text, "  ");
    const char *long_name = strstr(text, "--");
    const char *spelling =
        long_name && long_name < end && (!gap || long_name < gap) ? long_name : text;
    const char *spelling_end = gap && gap < end ? gap : end;
    buf_clear(scratch);
    *line = join_help(*line, spelling_end + strspn(spelling_end, " "), scratch);
    return add_option(k, command, spelling, spelling_end, scratch, err);
}

static hearth_status read_page(struct knowledge *k, struct known_command *command, const char *page,
                               struct buf *scratch, hearth_error *err) {
    static const char usage[] = "usage: ", examples[] = "examples:";
    const char *line = page;
    if (strncmp(line, usage, sizeof usage - 1) != 0)
        return error_set(err, HEARTH_ERROR_FORMAT, "the help of '%s' begins with no usage line",
                         command->name);
    command->usage = keep(k, line + sizeof usage - 1, line_end(line));
    line = next_line(line);
    while (*line && is_blank(line))
        line = next_line(line);
    buf_clear(scratch);
    line = join_paragraph(line, scratch);
    command->summary = keep(k, buf_text(scratch), buf_text(scratch) + scratch->length);
    while (*line) {
        size_t indent = strspn(line, " ");
        bool is_option = indent > 0 && indent < LEAST_INDENT && line[indent] == '-';
        if (strncmp(line, examples, sizeof examples - 1) == 0) {
            line = next_line(line);
            command->example = keep(k, line, line_end(line));
            break;
        }
        if (is_option)
            RETURN_IF_ERROR(read_option(k, command->name, &line, scratch, err));
        else
            line = next_line(line);
    }
    return command->usage && command->summary && command->example ? HEARTH_OK : no_memory(err);
}

/* ---- docs/ARCHITECTURE.md ------------------------------------------------------------------ */

/* Rows "| `name` | what it owns |" below "## The rooms". */
static hearth_status read_rooms(struct knowledge *k, const char *page, hearth_error *err) {
    const char *line = strstr(page, "\n## The rooms\n"), *after;
    if (!line) return error_set(err, HEARTH_ERROR_FORMAT, "there is no section 'The rooms'");
    line += 2;
    after = strstr(line, "\n## ");
    for (; *line && (!after || line < after); line = next_line(line)) {
        const char *bar = strstr(line, "` | "), *end = strstr(line, " |\n");
        if (strncmp(line, "| `", 3) != 0 || !bar || !end || bar > line_end(line)) continue;
        if (k->n_rooms == KNOWLEDGE_MAX_FACTS) return too_many(err);
        struct known_room *room = &k->rooms[k->n_rooms++];
        *room = (struct known_room){keep(k, line + 3, bar), keep(k, bar + 4, end)};
        if (!room->name || !room->owns) return no_memory(err);
    }
    if (k->n_rooms == 0)
        return error_set(err, HEARTH_ERROR_FORMAT, "section 'The rooms' lists none");
    return HEARTH_OK;
}

static hearth_status read_documents(struct knowledge *k, const char *source_root,
                                    hearth_error *err) {
    char *page, path[4096];
    size_t n;
    snprintf(path, sizeof path, "%s/docs/ARCHITECTURE.md", source_root);
    RETURN_IF_ERROR(file_read(path, KNOWLEDGE_MAX_PAGE_BYTES, &page, &n, err));
    hearth_status status = read_rooms(k, page, err);
    mem_free(page);
    return status == HEARTH_OK ? HEARTH_OK : error_prefix(err, status, "'%s'", path);
}

/* ---- opening --------------------------------------------------------------------------------- */

static hearth_status read_help_of(struct knowledge *k, struct known_command *command,
                                  const char *pages, struct buf *scratch, hearth_error *err) {
    char *page = find_page(pages, command->name);
    if (!page)
        return error_set(err, HEARTH_ERROR_FORMAT, "there is no page '== %s'", command->name);
    hearth_status status = read_page(k, command, page, scratch, err);
    mem_free(page);
    return status;
}

static hearth_status read_help(struct knowledge *k, const char *pages, hearth_error *err) {
    struct buf scratch;
    buf_init(&scratch, KNOWLEDGE_MAX_PAGE_BYTES);
    hearth_status status = read_commands(k, pages, err);
    for (size_t i = 0; status == HEARTH_OK && i < k->n_commands; i++)
        status = read_help_of(k, &k->commands[i], pages, &scratch, err);
    buf_release(&scratch);
    return status;
}

static hearth_status read_all(struct knowledge *k, const char *help_path, const char *source_root,
                              hearth_error *err) {
    char *pages;
    size_t n;
    k->commands = mem_calloc(KNOWLEDGE_MAX_FACTS, sizeof *k->commands);
    k->options = mem_calloc(KNOWLEDGE_MAX_FACTS, sizeof *k->options);
    k->rooms = mem_calloc(KNOWLEDGE_MAX_FACTS, sizeof *k->rooms);
    if (!k->commands || !k->options || !k->rooms) return no_memory(err);
    RETURN_IF_ERROR(file_read(help_path, KNOWLEDGE_MAX_PAGE_BYTES, &pages, &n, err));
    hearth_status status = read_help(k, pages, err);
    mem_free(pages);
    if (status == HEARTH_OK && k->n_options == 0)
        status = error_set(err, HEARTH_ERROR_FORMAT, "the help names no options");
    if (status != HEARTH_OK) return error_prefix(err, status, "'%s'", help_path);
    return read_documents(k, source_root, err);
}

hearth_status knowledge_open(struct knowledge **out, const char *help_path, const char *source_root,
                             hearth_error *err) {
    struct knowledge *k = mem_calloc(1, sizeof *k);
    *out = NULL;
    if (!k) return no_memory(err);
    arena_init(&k->arena, MAX_TEXT_BYTES);
    hearth_status status = read_all(k, help_path, source_root, err);
    if (status == HEARTH_OK)
        *out = k;
    else
        knowledge_close(k);
    return status;
}

void knowledge_close(struct knowledge *k) {
    if (!k) return;
    arena_release(&k->arena);
    mem_free(k->commands);
    mem_free(k->options);
    mem_free(k->rooms);
    mem_free(k);
}

size_t knowledge_commands(const struct knowledge *k, const struct known_command **commands) {
    *commands = k->commands;
    return k->n_commands;
}

size_t knowledge_options(const struct knowledge *k, const struct known_option **options) {
    *options = k->options;
    return k->n_options;
}

size_t knowledge_rooms(const struct knowledge *k, const struct known_room **rooms) {
    *rooms = k->rooms;
    return k->n_rooms;
}

const struct known_command *knowledge_find(const struct knowledge *k, const char *name) {
    for (size_t i = 0; i < k->n_commands; i++)
        if (strcmp(k->commands[i].name, name) == 0) return &k->commands[i];
    return NULL;
}
