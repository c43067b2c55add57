/* constraint_schema.c - the compiler: goals one after the other, each its forms' types. */
#include "chat/constraint_schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "chat/constraint_compile.h"

void *schema_fail(struct schema_compiler *c, hearth_status status, const char *format, ...) {
    char message[HEARTH_ERROR_MESSAGE_BYTES / 2], place[HEARTH_ERROR_MESSAGE_BYTES / 3];
    va_list args;
    if (c->status != HEARTH_OK) return NULL;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    schema_pointer(c, c->at, place, sizeof place);
    c->status = c->keyword ? error_set(c->err, status, "schema at '%s', '%s': %s", place,
                                       c->keyword, message)
                           : error_set(c->err, status, "schema at '%s': %s", place, message);
    return NULL;
}

void *schema_no_memory(struct schema_compiler *c) {
    return schema_fail(c, HEARTH_ERROR_NO_MEMORY, "no memory");
}

void *schema_alloc(struct schema_compiler *c, size_t count, size_t size) {
    void *memory = schema_ok(c) ? arena_calloc(&c->arena, count, size) : NULL;
    if (!memory && schema_ok(c))
        schema_fail(c,
                    c->arena.used_bytes > SCHEMA_ARENA_BYTES / 2 ? HEARTH_ERROR_LIMIT
                                                                 : HEARTH_ERROR_NO_MEMORY,
                    "too large to be held to");
    return memory;
}

static void write_form(struct schema_compiler *c, const struct form *f, struct grammar_rule rule) {
    static const struct {
        unsigned type;
        const char *word;
    } words[] = {{VALUE_NULL, "null"}, {VALUE_TRUE, "true"}, {VALUE_FALSE, "false"}};
    for (size_t i = 0; i < 3; i++)
        if (f->types & words[i].type)
            grammar_text(c->grammar, rule.start, words[i].word, strlen(words[i].word), rule.end);
    if (f->types & VALUE_NUMBER) write_number(c, &f->number, rule.start, rule.end);
    if (f->types & VALUE_STRING) write_string(c, &f->string, rule.start, rule.end);
    if (f->types & VALUE_ARRAY) write_array(c, &f->array, rule.start, rule.end);
    if (f->types & VALUE_OBJECT) write_object(c, &f->object, rule.start, rule.end);
}

static void write_goals(struct schema_compiler *c) {
    for (struct goal *g = c->to_write; g && schema_ok(c); g = g->next_to_write) {
        c->at = g->n ? g->atoms[0].schema : NULL;
        c->keyword = NULL;
        for (const struct form *f = forms_of_goal(c, g); f && schema_ok(c); f = f->next)
            write_form(c, f, c->grammar->rules[g->rule]);
    }
}

/* A meta-schema of one's own may turn keywords off. */
static void check_dialect(struct schema_compiler *c) {
    const char *dialect = json_string_value(json_object_get(c->root, "$schema"));
    c->at = c->root;
    c->keyword = "$schema";
    if (dialect && !strstr(dialect, "//json-schema.org/"))
        schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "'%s' is not a draft of json-schema.org", dialect);
    c->keyword = NULL;
}

hearth_status constraint_write_schema(struct grammar *g, const json_t *schema, uint32_t *rule,
                                      hearth_error *err) {
    hearth_error unasked = {0};
    struct schema_compiler c = {
        .grammar = g, .root = schema, .status = HEARTH_OK, .err = err ? err : &unasked};
    *rule = 0;
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a schema must be an object or a boolean");
    arena_init(&c.arena, SCHEMA_ARENA_BYTES);
    c.to_write_end = &c.to_write;
    json_rules_write(&c.json, g);
    check_dialect(&c);
    schema_scan(&c);
    const struct goal *goal = goal_of(&c, schema, false, false);
    if (goal) *rule = goal_rule(&c, goal);
    write_goals(&c);
    for (struct known_dfa *k = c.dfas; k; k = k->next)
        dfa_release(&k->dfa);
    arena_release(&c.arena);
    return c.status;
}

hearth_status constraint_compile_schema(struct grammar *g, const json_t *schema,
                                        hearth_error *err) {
    uint32_t root, cycle;
    RETURN_IF_ERROR(constraint_write_schema(g, schema, &root, err));
    return grammar_finish(g, root, &cycle, err);
}
