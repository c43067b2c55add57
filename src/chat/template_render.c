/* template_render.c - one rendering: its limits, its failure, its text. */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "chat/template_ast.h"
#include "chat/template_unicode.h"

const struct template_limits template_limits_default = {.max_output_bytes = 16 << 20,
                                                        .max_steps = 50000000,
                                                        .max_memory_bytes = 256 << 20,
                                                        .max_depth = 200};

enum {
    TEMPLATE_DEPTH_MAX = 400,  /* of limits.max_depth */
    EVALUATIONS_PER_DEPTH = 12 /* nested evaluations for each level of max_depth */
};

/* ---- failure ---- */

static struct value fail_with(struct render *r, hearth_status status, const char *message) {
    if (r->failed) return tpl_none();
    unsigned line, column;
    source_position(r->template->source, r->offset, &line, &column);
    r->failed = true;
    r->status = error_set(r->err, status, "template line %u: %s", line, message);
    return tpl_none();
}

struct value tpl_fail(struct render *r, const char *format, ...) {
    char message[HEARTH_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return fail_with(r, HEARTH_ERROR_FORMAT, message);
}

struct value tpl_fail_limit(struct render *r, const char *format, ...) {
    char message[HEARTH_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return fail_with(r, HEARTH_ERROR_LIMIT, message);
}

struct value tpl_refuse(struct render *r, struct value message) {
    const struct str *s = tpl_str(r, message);
    if (r->failed) return tpl_none();
    size_t n =
        s->length < HEARTH_ERROR_MESSAGE_BYTES - 1 ? s->length : HEARTH_ERROR_MESSAGE_BYTES - 1;
    while (n < s->length && n > 0 && ((unsigned char)s->data[n] & 0xc0) == 0x80)
        n--;
    r->failed = true;
    r->status = error_set(r->err, HEARTH_ERROR_ARGUMENT, "%.*s", (int)n, s->data);
    return tpl_none();
}

/* ---- limits ---- */

void *tpl_alloc(struct render *r, size_t count, size_t size_bytes) {
    size_t total;
    if (r->failed) return NULL;
    void *memory = arena_calloc(&r->arena, count, size_bytes);
    if (memory) return memory;
    if (__builtin_mul_overflow(count, size_bytes, &total) ||
        total > r->arena.max_bytes - r->arena.used_bytes - 16)
        tpl_fail_limit(r, "values need more than %zu bytes (limit max_memory_bytes)",
                       r->limits.max_memory_bytes);
    else
        fail_with(r, HEARTH_ERROR_NO_MEMORY, "no memory for a value");
    return NULL;
}

bool tpl_charge(struct render *r, uint64_t steps) {
    if (r->failed) return false;
    if (steps > r->limits.max_steps - r->steps) {
        tpl_fail_limit(r, "takes more than %llu steps (limit max_steps): it may never end",
                       (unsigned long long)r->limits.max_steps);
        return false;
    }
    r->steps += steps;
    return true;
}

bool tpl_enter(struct render *r) {
    if (!tpl_charge(r, 1)) return false;
    if (r->depth >= r->limits.max_depth * EVALUATIONS_PER_DEPTH) {
        tpl_fail_limit(r, "nested too deeply (limit max_depth %u)", r->limits.max_depth);
        return false;
    }
    r->depth++;
    return true;
}

bool tpl_enter_call(struct render *r) {
    if (!tpl_charge(r, 1)) return false;
    if (r->calls >= r->limits.max_depth) {
        tpl_fail_limit(r, "calls or data nested deeper than %u (limit max_depth)",
                       r->limits.max_depth);
        return false;
    }
    r->calls++;
    return true;
}

/* ---- text ---- */

bool tpl_put(struct render *r, const char *data, size_t n) {
    if (r->failed) return false;
    if (n == 0) return true;
    if (n > r->limits.max_output_bytes - r->text.length) {
        tpl_fail_limit(r, "text is longer than %zu bytes (limit max_output_bytes)",
                       r->limits.max_output_bytes);
        return false;
    }
    if (buf_append(&r->text, data, n)) return tpl_charge(r, n / 64);
    fail_with(r, HEARTH_ERROR_NO_MEMORY, "no memory for the text");
    return false;
}

bool tpl_put_text(struct render *r, const char *text) {
    return tpl_put(r, text, strlen(text));
}

bool tpl_put_char(struct render *r, char c) {
    return tpl_put(r, &c, 1);
}

bool tpl_put_repeated(struct render *r, const char *data, size_t n, int64_t times) {
    char block[256];
    if (n == 0) return !r->failed;
    if (n > sizeof block / 2 || times < 4) {
        for (int64_t i = 0; i < times; i++)
            if (!tpl_charge(r, 1) || !tpl_put(r, data, n)) return false;
        return !r->failed;
    }
    size_t per_block = sizeof block / n;
    for (size_t i = 0; i < per_block; i++)
        memcpy(block + i * n, data, n);
    for (; times > (int64_t)per_block; times -= (int64_t)per_block)
        if (!tpl_charge(r, 1) || !tpl_put(r, block, per_block * n)) return false;
    return tpl_put(r, block, (size_t)times * n);
}

struct value tpl_captured(struct render *r, size_t mark) {
    if (r->failed || r->text.length == mark) return tpl_view(r, "", 0);
    struct value v = tpl_string(r, r->text.data + mark, r->text.length - mark);
    r->text.length = mark;
    r->text.data[mark] = '\0';
    return v;
}

/* ---- rendering ---- */

/* What each of the template's names means outside of all scopes. Only variables the
 * template mentions are converted. */
static bool bind_globals(struct render *r, const json_t *context) {
    const struct chat_template *t = r->template;
    r->globals = tpl_alloc(r, t->n_names + 1, sizeof *r->globals);
    for (size_t i = 0; i < t->n_names && !r->failed; i++) {
        const struct str *name = t->names[i];
        const struct native *native;
        char key[256];
        const json_t *found = NULL;
        if (name->length < sizeof key) {
            memcpy(key, name->data, name->length);
            key[name->length] = '\0';
            found = json_object_get(context, key);
        }
        if (found)
            r->globals[i] = tpl_from_json(r, found);
        else if ((native = tpl_find_global(name)))
            r->globals[i] = tpl_native(r, native, tpl_none());
        else
            r->globals[i] = tpl_undefined(UNDEFINED_NAME, 0, name);
    }
    return !r->failed;
}

static void run(struct render *r, const json_t *context) {
    r->scope = tpl_scope_new(r, NULL);
    if (r->scope && bind_globals(r, context)) tpl_exec_body(r, r->template->body);
}

hearth_status chat_template_render(const struct chat_template *t, const json_t *context, time_t now,
                                   const struct template_limits *limits, struct buf *out,
                                   hearth_error *err) {
    if (!json_is_object(context))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "template context is not a JSON object");
    struct render r = {.template = t,
                       .now = now,
                       .limits = limits ? *limits : template_limits_default,
                       .status = HEARTH_OK,
                       .err = err};
    if (r.limits.max_depth > TEMPLATE_DEPTH_MAX) r.limits.max_depth = TEMPLATE_DEPTH_MAX;
    arena_init(&r.arena, r.limits.max_memory_bytes);
    buf_init(&r.text, r.limits.max_output_bytes);
    run(&r, context);
    if (!r.failed && !buf_append(out, buf_text(&r.text), r.text.length))
        r.status = error_set(err, HEARTH_ERROR_LIMIT,
                             "rendered template has %zu bytes, more than its buffer may hold",
                             r.text.length);
    buf_release(&r.text);
    arena_release(&r.arena);
    return r.status;
}
