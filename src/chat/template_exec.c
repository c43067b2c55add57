/* template_exec.c - statements, scopes, loops and macros.
 *
 * Scopes: for, with, macro, call, filter and set blocks have one of their own; `if` has
 * not. A name is looked up from the innermost scope outwards, and a macro sees the scope
 * it was defined in as it is when the macro runs. Each round of a loop starts with an
 * empty scope, so that a `set` inside does not reach the next round; the scope's memory is
 * reused unless a macro captured it (then all scopes around it are captured too). */
#include "chat/template_ast.h"

enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

struct loop {
    const struct node *node;
    struct scope *outer;
    struct iterator *it;
    struct value current, before, after; /* after: fetched ahead, when has_after */
    bool has_after, has_changed;
    int64_t index0, length; /* length: -1 until somebody asks */
    int64_t depth0;
    struct value changed;
};

static enum flow exec_list(struct render *r, const struct node *n);

/* ---- scopes ---- */

struct scope *tpl_scope_new(struct render *r, struct scope *parent) {
    struct scope *scope = tpl_alloc(r, 1, sizeof *scope);
    if (scope) scope->parent = parent;
    return scope;
}

static struct scope *next_round(struct render *r, struct scope *scope) {
    if (scope->captured) return tpl_scope_new(r, scope->parent);
    scope->count = 0;
    return scope;
}

static struct scope *capture_scope(struct scope *scope) {
    for (struct scope *s = scope; s && !s->captured; s = s->parent)
        s->captured = true;
    return scope;
}

struct value *tpl_bind(struct render *r, struct scope *scope, uint32_t name) {
    for (uint32_t i = 0; i < scope->count; i++)
        if (scope->bindings[i].name == name) return &scope->bindings[i].value;
    if (scope->count == scope->capacity) {
        uint32_t capacity = scope->capacity ? 2 * scope->capacity : 4;
        struct binding *grown = tpl_alloc(r, capacity, sizeof *grown);
        if (!grown) return NULL;
        if (scope->count) memcpy(grown, scope->bindings, scope->count * sizeof *grown);
        scope->bindings = grown;
        scope->capacity = capacity;
    }
    scope->bindings[scope->count].name = name;
    return &scope->bindings[scope->count++].value;
}

static void bind_value(struct render *r, struct scope *scope, uint32_t name, struct value v) {
    struct value *bound = tpl_bind(r, scope, name);
    if (bound) *bound = v;
}

/* ---- assignment ---- */

static void assign_namespace(struct render *r, const struct node *target, struct value v) {
    struct node name = {.kind = NODE_NAME, .offset = target->offset};
    name.as.name.number = target->as.namespace_target.number;
    struct value object = tpl_eval(r, &name);
    if (r->failed) return;
    if (object.kind != V_NAMESPACE)
        tpl_fail(r, "cannot assign attribute on non-namespace object");
    else
        tpl_dict_set(r, object.as.dict, tpl_string_of(target->as.namespace_target.attribute), v);
}

static void assign_tuple(struct render *r, const struct node *target, struct value v) {
    size_t expected = 0, got = 0;
    for (const struct node *n = target->as.items; n; n = n->next)
        expected++;
    struct iterator *it = tpl_iterate(r, v);
    struct value item;
    const struct node *n = target->as.items;
    while (it && tpl_next(r, it, &item)) {
        if (!n) {
            tpl_fail(r, "too many values to unpack (expected %zu)", expected);
            return;
        }
        tpl_assign(r, n, item);
        n = n->next;
        got++;
    }
    if (n && !r->failed)
        tpl_fail(r, "not enough values to unpack (expected %zu, got %zu)", expected, got);
}

void tpl_assign(struct render *r, const struct node *target, struct value v) {
    if (r->failed) return;
    if (target->kind == NODE_NAME)
        bind_value(r, r->scope, target->as.name.number, v);
    else if (target->kind == NODE_TUPLE)
        assign_tuple(r, target, v);
    else
        assign_namespace(r, target, v);
}

/* ---- loops ---- */

bool tpl_for_test(struct render *r, struct iterator *it, struct value item) {
    struct scope *outer = r->scope;
    it->scope->count = 0;
    r->scope = it->scope;
    tpl_assign(r, it->node->as.loop.target, item);
    bool wanted = !r->failed && tpl_truth(tpl_eval(r, it->node->as.loop.test));
    r->scope = outer;
    return wanted;
}

static struct iterator *loop_iterator(struct render *r, const struct node *n,
                                      struct value iterable) {
    struct iterator *inner = tpl_iterate(r, iterable);
    if (!inner || !n->as.loop.test) return inner;
    struct iterator *it = tpl_alloc(r, 1, sizeof *it);
    if (!it) return NULL;
    *it = (struct iterator){
        .kind = ITERATE_FOR_IF, .inner = inner, .node = n, .scope = tpl_scope_new(r, r->scope)};
    return it->scope ? it : NULL;
}

static bool loop_advance(struct render *r, struct loop *loop) {
    struct value v = loop->after;
    if (loop->has_after)
        loop->has_after = false;
    else if (!tpl_next(r, loop->it, &v))
        return false;
    loop->index0++;
    loop->before = loop->current;
    loop->current = v;
    return true;
}

static bool loop_peek(struct render *r, struct loop *loop) {
    if (!loop->has_after) loop->has_after = tpl_next(r, loop->it, &loop->after);
    return loop->has_after;
}

/* Whether a round ran to its end: Jinja takes a loop's `else` when none did. */
static bool run_rounds(struct render *r, struct loop *loop) {
    const struct node *n = loop->node;
    struct value self = {.kind = V_LOOP, .as.loop = loop};
    struct scope *scope = r->scope;
    bool completed = false;
    while (loop_advance(r, loop)) {
        r->scope = scope = next_round(r, scope);
        if (!scope) break;
        tpl_assign(r, n->as.loop.target, loop->current);
        bind_value(r, scope, r->template->loop_name, self);
        enum flow flow = exec_list(r, n->as.loop.body);
        completed |= flow == FLOW_NEXT;
        if (flow == FLOW_BREAK) break;
    }
    return completed;
}

static void run_loop(struct render *r, const struct node *n, struct value iterable,
                     int64_t depth0) {
    struct scope *outer = r->scope;
    struct loop *loop = tpl_alloc(r, 1, sizeof *loop);
    if (!loop) return;
    int64_t length = -1;
    if (!n->as.loop.test && iterable.kind != V_ITERATOR) tpl_length(&iterable, &length);
    *loop =
        (struct loop){.node = n, .outer = outer, .index0 = -1, .length = length, .depth0 = depth0};
    loop->it = loop_iterator(r, n, iterable);
    r->scope = tpl_scope_new(r, outer);
    if (loop->it && r->scope) {
        if (!run_rounds(r, loop) && n->as.loop.otherwise && !r->failed) {
            r->scope = tpl_scope_new(r, outer);
            if (r->scope) exec_list(r, n->as.loop.otherwise);
        }
    }
    r->scope = outer;
}

struct value tpl_call_loop(struct render *r, struct loop *loop, struct value iterable) {
    if (!loop->node->as.loop.recursive)
        return tpl_fail(r, "a loop must be marked 'recursive' to be called");
    if (!tpl_enter_call(r)) return tpl_none();
    struct scope *scope = r->scope;
    size_t mark = tpl_capture(r);
    r->scope = loop->outer;
    run_loop(r, loop->node, iterable, loop->depth0 + 1);
    r->scope = scope;
    tpl_leave_call(r);
    return tpl_captured(r, mark);
}

static int64_t loop_length(struct render *r, struct loop *loop) {
    if (loop->length >= 0) return loop->length;
    struct value rest = {.kind = V_ITERATOR, .as.iterator = loop->it};
    struct list *list = tpl_to_list(r, rest);
    if (!list) return 0;
    loop->length = (int64_t)list->count + loop->index0 + 1 + loop->has_after;
    loop->it = tpl_iterate(r, tpl_list_of(list));
    return loop->length;
}

struct value tpl_loop_attribute(struct render *r, struct loop *loop, const struct str *name) {
    const struct native *method = tpl_find_method(V_LOOP, name);
    if (method) return tpl_native(r, method, (struct value){.kind = V_LOOP, .as.loop = loop});
    if (str_is(name, "index")) return tpl_int(loop->index0 + 1);
    if (str_is(name, "index0")) return tpl_int(loop->index0);
    if (str_is(name, "first")) return tpl_bool(loop->index0 == 0);
    if (str_is(name, "last")) return tpl_bool(!loop_peek(r, loop));
    if (str_is(name, "length")) return tpl_int(loop_length(r, loop));
    if (str_is(name, "revindex")) return tpl_int(loop_length(r, loop) - loop->index0);
    if (str_is(name, "revindex0")) return tpl_int(loop_length(r, loop) - loop->index0 - 1);
    if (str_is(name, "depth")) return tpl_int(loop->depth0 + 1);
    if (str_is(name, "depth0")) return tpl_int(loop->depth0);
    if (str_is(name, "previtem"))
        return loop->index0 > 0 ? loop->before : tpl_undefined_hint(r, "there is no previous item");
    if (str_is(name, "nextitem"))
        return loop_peek(r, loop) ? loop->after : tpl_undefined_hint(r, "there is no next item");
    return tpl_undefined(UNDEFINED_ATTRIBUTE, V_LOOP, name);
}

static struct value loop_cycle(struct render *r, struct value self, const struct value *a,
                               const struct args *args) {
    (void)a;
    if (args->n_positional == 0) return tpl_fail(r, "no items for cycling given");
    return args->positional[(uint64_t)self.as.loop->index0 % args->n_positional];
}

static struct value loop_changed(struct render *r, struct value self, const struct value *a,
                                 const struct args *args) {
    (void)a;
    struct loop *loop = self.as.loop;
    struct list *now = tpl_list_new(r, args->n_positional);
    for (size_t i = 0; i < args->n_positional; i++)
        tpl_list_append(r, now, args->positional[i]);
    struct value v = tpl_tuple_of(now);
    bool same = loop->has_changed && tpl_equal(r, v, loop->changed);
    loop->has_changed = true;
    loop->changed = v;
    return tpl_bool(!same);
}

static const struct native loop_methods[] = {{"cycle", loop_cycle, NULL, 0},
                                             {"changed", loop_changed, NULL, 0}};

const struct native *tpl_find_loop_method(const struct str *name) {
    return tpl_find(loop_methods, sizeof loop_methods / sizeof loop_methods[0], name);
}

/* ---- macros ---- */

static bool take_keyword(const struct args *args, bool *used, const struct str *name,
                         struct value *out) {
    for (size_t i = 0; i < args->n_keywords; i++) {
        const struct str *given = args->keywords[i].name;
        if (used[i] || given->length != name->length ||
            memcmp(given->data, name->data, name->length) != 0)
            continue;
        used[i] = true;
        *out = args->keywords[i].value;
        return true;
    }
    return false;
}

static void bind_parameters(struct render *r, const struct node *n, const struct args *args,
                            bool *used) {
    const struct node *parameter = n->as.macro.parameters, *fallback = n->as.macro.defaults;
    size_t first_default = n->as.macro.n_parameters - n->as.macro.n_defaults;
    for (size_t i = 0; parameter && !r->failed; i++, parameter = parameter->next) {
        const struct str *name = parameter->as.name.text;
        struct value v = tpl_undefined(UNDEFINED_PARAMETER, 0, name);
        if (i < args->n_positional)
            v = args->positional[i];
        else if (!take_keyword(args, used, name, &v) && i >= first_default)
            v = tpl_eval(r, fallback);
        if (i >= first_default) fallback = fallback->next;
        bind_value(r, r->scope, parameter->as.name.number, v);
    }
}

static bool has_parameter(const struct node *n, uint32_t name) {
    for (const struct node *p = n->as.macro.parameters; p; p = p->next)
        if (p->as.name.number == name) return true;
    return false;
}

static void bind_caller(struct render *r, const struct node *n, const struct args *args,
                        bool *used) {
    static const struct str name = {"caller", 6};
    struct value v;
    if (!n->as.macro.takes_caller || has_parameter(n, r->template->caller_name)) return;
    if (!take_keyword(args, used, &name, &v)) v = tpl_undefined_hint(r, "No caller defined");
    bind_value(r, r->scope, r->template->caller_name, v);
}

static void bind_rest(struct render *r, const struct node *n, const struct args *args,
                      const bool *used) {
    struct dict *rest = n->as.macro.takes_kwargs ? tpl_dict_new(r) : NULL;
    for (size_t i = 0; i < args->n_keywords && !r->failed; i++) {
        const struct str *name = args->keywords[i].name;
        if (used[i]) continue;
        if (rest)
            tpl_dict_set(r, rest, tpl_string_of(name), args->keywords[i].value);
        else
            tpl_fail(r, "macro takes no keyword argument '%.*s'", (int)name->length, name->data);
    }
    if (rest) bind_value(r, r->scope, r->template->kwargs_name, tpl_dict_of(rest));
    size_t n_parameters = n->as.macro.n_parameters;
    if (!n->as.macro.takes_varargs) {
        if (args->n_positional > n_parameters)
            tpl_fail(r, "macro takes not more than %zu argument(s)", n_parameters);
        return;
    }
    struct list *more = tpl_list_new(r, 0);
    for (size_t i = n_parameters; i < args->n_positional; i++)
        tpl_list_append(r, more, args->positional[i]);
    bind_value(r, r->scope, r->template->varargs_name, tpl_tuple_of(more));
}

struct value tpl_call_macro(struct render *r, const struct macro *macro, const struct args *args) {
    const struct node *n = macro->node;
    if (!tpl_enter_call(r)) return tpl_none();
    struct scope *scope = r->scope;
    size_t mark = tpl_capture(r);
    bool *used = tpl_alloc(r, args->n_keywords + 1, sizeof *used);
    r->scope = tpl_scope_new(r, macro->scope);
    if (used && r->scope) {
        bind_parameters(r, n, args, used);
        bind_caller(r, n, args, used);
        bind_rest(r, n, args, used);
        if (!r->failed) exec_list(r, n->as.macro.body);
    }
    r->scope = scope;
    tpl_leave_call(r);
    return tpl_captured(r, mark);
}

static struct value make_macro(struct render *r, const struct node *n) {
    struct macro *macro = tpl_alloc(r, 1, sizeof *macro);
    if (!macro) return tpl_none();
    *macro = (struct macro){n, capture_scope(r->scope)};
    return (struct value){.kind = V_MACRO, .as.macro = macro};
}

/* ---- statements ---- */

static enum flow exec_scoped(struct render *r, const struct node *body) {
    struct scope *outer = r->scope;
    enum flow flow = FLOW_NEXT;
    r->scope = tpl_scope_new(r, outer);
    if (r->scope) flow = exec_list(r, body);
    r->scope = outer;
    return flow;
}

/* The text of a set or filter block's body, through its filters. */
static struct value block_value(struct render *r, const struct node *n, enum flow *flow) {
    size_t mark = tpl_capture(r);
    *flow = exec_scoped(r, n->as.set.body);
    struct value text = tpl_captured(r, mark);
    if (r->failed || !n->as.set.value) return text;
    struct value outer = r->block_text;
    r->block_text = text;
    text = tpl_eval(r, n->as.set.value);
    r->block_text = outer;
    return text;
}

static enum flow exec_if(struct render *r, const struct node *n) {
    for (;;) {
        bool yes = tpl_truth(tpl_eval(r, n->as.conditional.test));
        if (r->failed) return FLOW_BREAK;
        const struct node *branch = yes ? n->as.conditional.yes : n->as.conditional.no;
        if (yes || !branch || branch->kind != NODE_IF || branch->next) return exec_list(r, branch);
        n = branch; /* elif, without nesting */
    }
}

static enum flow exec_with(struct render *r, const struct node *n) {
    struct scope *outer = r->scope, *scope = tpl_scope_new(r, outer);
    const struct node *value = n->as.set.value;
    enum flow flow = FLOW_NEXT;
    for (const struct node *t = n->as.set.target; t && scope && !r->failed; t = t->next) {
        struct value v = tpl_eval(r, value);
        r->scope = scope;
        tpl_assign(r, t, v);
        r->scope = outer;
        value = value->next;
    }
    r->scope = scope;
    if (scope && !r->failed) flow = exec_list(r, n->as.set.body);
    r->scope = outer;
    return flow;
}

static enum flow exec_node(struct render *r, const struct node *n) {
    enum flow flow = FLOW_NEXT;
    struct value v;
    switch (n->kind) {
    case NODE_TEXT: tpl_put_str(r, n->as.constant); break;
    case NODE_OUTPUT:
        v = tpl_eval(r, n->as.child);
        tpl_put_str(r, v);
        break;
    case NODE_IF: return exec_if(r, n);
    case NODE_FOR:
        v = tpl_eval(r, n->as.loop.iterable);
        if (!r->failed) run_loop(r, n, v, 0);
        break;
    case NODE_SET:
        v = tpl_eval(r, n->as.set.value);
        tpl_assign(r, n->as.set.target, v);
        break;
    case NODE_SET_BLOCK:
        v = block_value(r, n, &flow);
        tpl_assign(r, n->as.set.target, v);
        break;
    case NODE_WITH: return exec_with(r, n);
    case NODE_MACRO: bind_value(r, r->scope, n->as.macro.number, make_macro(r, n)); break;
    case NODE_CALL_BLOCK:
        v = make_macro(r, n);
        if (!r->failed) v = tpl_eval_call(r, n->as.macro.call, v);
        tpl_put_str(r, v);
        break;
    case NODE_FILTER_BLOCK:
        v = block_value(r, n, &flow);
        tpl_put_str(r, v);
        break;
    case NODE_SCOPE: return exec_scoped(r, n->as.child);
    case NODE_DO: tpl_eval(r, n->as.child); break;
    case NODE_BREAK: return FLOW_BREAK;
    default: return FLOW_CONTINUE;
    }
    return flow;
}

static enum flow exec_list(struct render *r, const struct node *n) {
    enum flow flow = FLOW_NEXT;
    for (; n && flow == FLOW_NEXT; n = n->next) {
        if (!tpl_enter(r)) return FLOW_BREAK;
        r->offset = n->offset;
        flow = exec_node(r, n);
        tpl_leave(r);
        if (r->failed) return FLOW_BREAK;
    }
    return flow;
}

void tpl_exec_body(struct render *r, const struct node *body) {
    exec_list(r, body);
}
