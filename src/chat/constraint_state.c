/* constraint_state.c - constraints, and the texts that are being made under them. */
#include <string.h>

#include "base/mem.h"
#include "chat/constraint_compile.h"
#include "chat/constraint_mark.h"
#include "chat/constraint_mask.h"

struct constraint {
    struct grammar grammar;
    struct machine *machine;
    struct mask_cache *masks;
    const struct constraint_vocabulary *vocabulary;
    struct constraint_state *states; /* all that live, so that a flush can renumber them */
    struct mark_watch *marks;        /* or NULL */
};

struct constraint_state {
    struct constraint *constraint;
    struct constraint_state *previous, *next;
    uint32_t at; /* a state of the machine */
    bool ended;  /* by a token that ends the answer */
};

static hearth_status compile(struct constraint *c, enum constraint_kind kind, const json_t *schema,
                             const char *text, hearth_error *err) {
    switch (kind) {
    case CONSTRAINT_JSON: return constraint_compile_json(&c->grammar, err);
    case CONSTRAINT_SCHEMA: return constraint_compile_schema(&c->grammar, schema, err);
    case CONSTRAINT_GRAMMAR: return constraint_compile_gbnf(&c->grammar, text, schema, false, err);
    case CONSTRAINT_CALLS: return constraint_compile_gbnf(&c->grammar, text, schema, true, err);
    case CONSTRAINT_REGEX: return constraint_compile_regex(&c->grammar, text, err);
    case CONSTRAINT_CHOICE: return constraint_compile_choice(&c->grammar, schema, err);
    default:
        return error_set(err, HEARTH_ERROR_ARGUMENT, "constraint of unknown kind %d", (int)kind);
    }
}

hearth_status constraint_open(struct constraint **out,
                              const struct constraint_vocabulary *vocabulary,
                              enum constraint_kind kind, const json_t *schema, const char *text,
                              hearth_error *err) {
    struct constraint *c = mem_calloc(1, sizeof *c);
    *out = NULL;
    if (!c) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a constraint");
    c->vocabulary = vocabulary;
    grammar_init(&c->grammar);
    hearth_status status = compile(c, kind, schema, text, err);
    if (status == HEARTH_OK) status = machine_open(&c->machine, &c->grammar, err);
    if (status == HEARTH_OK) status = mask_cache_open(&c->masks, vocabulary, err);
    if (status != HEARTH_OK) {
        constraint_close(c);
        return status;
    }
    *out = c;
    return HEARTH_OK;
}

void constraint_close(struct constraint *c) {
    if (!c) return;
    mark_watch_close(c->marks);
    mask_cache_close(c->masks);
    machine_close(c->machine);
    grammar_release(&c->grammar);
    mem_free(c);
}

static void attach(struct constraint_state *s) {
    s->previous = NULL;
    s->next = s->constraint->states;
    if (s->next) s->next->previous = s;
    s->constraint->states = s;
}

static void detach(struct constraint_state *s) {
    if (s->next) s->next->previous = s->previous;
    if (s->previous)
        s->previous->next = s->next;
    else
        s->constraint->states = s->next;
}

hearth_status constraint_begin(struct constraint *c, struct constraint_state **out,
                               hearth_error *err) {
    struct constraint_state *s = mem_calloc(1, sizeof *s);
    *out = s;
    if (!s) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a constraint's state");
    s->constraint = c;
    s->at = machine_start(c->machine);
    attach(s);
    return HEARTH_OK;
}

void constraint_end(struct constraint_state *s) {
    if (!s) return;
    detach(s);
    mem_free(s);
}

/* Makes room in the machine's tables. */
static bool flush(struct constraint *c) {
    size_t n = 0;
    for (struct constraint_state *s = c->states; s; s = s->next)
        n++;
    uint32_t **at = mem_alloc_array(n, sizeof *at);
    if (!at) return false;
    n = 0;
    for (struct constraint_state *s = c->states; s; s = s->next)
        at[n++] = &s->at;
    hearth_status status = machine_flush(c->machine, at, n);
    mem_free(at);
    return status == HEARTH_OK;
}

const uint64_t *constraint_allowed(struct constraint_state *s) {
    struct constraint *c = s->constraint;
    if (machine_is_crowded(c->machine) && !flush(c)) return NULL;
    return mask_of(c->masks, c->machine, s->ended ? MACHINE_REFUSED : s->at);
}

static bool move(struct constraint_state *s, const char *text, size_t n) {
    uint32_t at = s->at;
    machine_is_full(s->constraint->machine);
    for (size_t i = 0; i < n && at != MACHINE_REFUSED; i++)
        at = machine_next(s->constraint->machine, at, (uint8_t)text[i]);
    if (at == MACHINE_REFUSED) return false;
    s->at = at;
    return true;
}

bool constraint_accept_text(struct constraint_state *s, const char *text, size_t n) {
    enum { STRETCH = 1024 }; /* between looks at the room left */
    struct constraint *c = s->constraint;
    struct constraint_state ahead = {.constraint = c, .at = s->at};
    bool ok = !s->ended;
    attach(&ahead);
    for (size_t i = 0; ok && i < n; i += STRETCH) {
        if (machine_is_crowded(c->machine)) flush(c);
        ok = move(&ahead, text + i, n - i < STRETCH ? n - i : STRETCH);
    }
    detach(&ahead);
    if (ok) s->at = ahead.at;
    return ok;
}

static bool is_end(const struct constraint_vocabulary *v, uint32_t token) {
    for (uint32_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] == token) return true;
    return false;
}

bool constraint_accept(struct constraint_state *s, int32_t token) {
    const struct constraint_vocabulary *v = s->constraint->vocabulary;
    if (s->ended || token < 0 || (uint32_t)token >= v->n_tokens) return false;
    if (is_end(v, (uint32_t)token)) return s->ended = constraint_may_end(s);
    size_t first = v->first_byte[token], n = v->first_byte[token + 1] - first;
    return n > 0 && constraint_accept_text(s, v->bytes + first, n);
}

bool constraint_may_end(const struct constraint_state *s) {
    return s->ended || machine_state(s->constraint->machine, s->at)->may_end;
}

bool constraint_must_end(const struct constraint_state *s) {
    const struct machine_state *at = machine_state(s->constraint->machine, s->at);
    return s->ended || (at->may_end && at->n_places == 0);
}

/* ---- texts of the form inside free text ---- */

static bool may_go_on(void *context, const char *mark, const char *rest, size_t n) {
    struct constraint_state *s;
    bool ok = constraint_begin(context, &s, NULL) == HEARTH_OK &&
              constraint_accept_text(s, mark, strlen(mark)) && constraint_accept_text(s, rest, n);
    constraint_end(s);
    return ok;
}

hearth_status constraint_set_marks(struct constraint *c, const char *const *marks, size_t n_marks,
                                   hearth_error *err) {
    return mark_watch_open(&c->marks, c->vocabulary, marks, n_marks, may_go_on, c, err);
}

const uint64_t *constraint_allowed_before(struct constraint *c, const char *before, size_t n) {
    return c->marks ? mark_watch_allowed(c->marks, before, n) : NULL;
}
