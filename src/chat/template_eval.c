/* template_eval.c - expressions. */
#include "chat/template_ast.h"

static struct value eval_name(struct render *r, const struct node *n) {
    for (const struct scope *s = r->scope; s; s = s->parent)
        for (uint32_t i = 0; i < s->count; i++)
            if (s->bindings[i].name == n->as.name.number) return s->bindings[i].value;
    return r->globals[n->as.name.number];
}

static struct list *eval_items(struct render *r, const struct node *item) {
    struct list *list = tpl_list_new(r, 0);
    for (; item && !r->failed; item = item->next)
        tpl_list_append(r, list, tpl_eval(r, item));
    return list;
}

static struct value eval_dict(struct render *r, const struct node *n) {
    struct dict *dict = tpl_dict_new(r);
    for (const struct node *key = n->as.items; key && !r->failed; key = key->next->next) {
        struct value k = tpl_eval(r, key);
        tpl_dict_set(r, dict, k, tpl_eval(r, key->next));
    }
    return tpl_dict_of(dict);
}

static struct value eval_chain(struct render *r, const struct node *n) {
    struct value v = tpl_eval(r, n->as.items);
    for (const struct node *item = n->as.items->next; item && !r->failed; item = item->next) {
        struct value right = tpl_eval(r, item);
        if (r->failed) break;
        v = tpl_arithmetic(r, (char)item->op, v, right);
    }
    return v;
}

static struct value eval_concat(struct render *r, const struct node *n) {
    struct value v = tpl_view(r, "", 0);
    for (const struct node *item = n->as.items; item && !r->failed; item = item->next) {
        const struct str *s = tpl_str(r, tpl_eval(r, item));
        v = tpl_concat(r, v.as.string, s);
    }
    return v;
}

static struct value eval_logic(struct render *r, const struct node *n) {
    struct value v = tpl_none();
    for (const struct node *item = n->as.items; item && !r->failed; item = item->next) {
        v = tpl_eval(r, item);
        if (tpl_truth(v) == (n->kind == NODE_OR)) break;
    }
    return v;
}

static bool holds(struct render *r, uint8_t op, struct value a, struct value b) {
    int order;
    switch (op) {
    case '=': return tpl_equal(r, a, b);
    case '!': return !tpl_equal(r, a, b);
    case 'i': return tpl_contains(r, b, a);
    case 'n': return !tpl_contains(r, b, a);
    case '<': return tpl_compare(r, a, b, "<") == -1;
    case '>': return tpl_compare(r, a, b, ">") == 1;
    case 'l': order = tpl_compare(r, a, b, "<="); return order == -1 || order == 0;
    default: order = tpl_compare(r, a, b, ">="); return order == 1 || order == 0;
    }
}

static struct value eval_compare(struct render *r, const struct node *n) {
    struct value left = tpl_eval(r, n->as.items);
    for (const struct node *item = n->as.items->next; item && !r->failed; item = item->next) {
        struct value right = tpl_eval(r, item);
        if (r->failed || !holds(r, item->op, left, right)) return tpl_bool(false);
        left = right;
    }
    return tpl_bool(true);
}

static struct value eval_conditional(struct render *r, const struct node *n) {
    if (tpl_truth(tpl_eval(r, n->as.conditional.test))) return tpl_eval(r, n->as.conditional.yes);
    if (n->as.conditional.no) return tpl_eval(r, n->as.conditional.no);
    return tpl_undefined_hint(r, "the inline if-expression evaluated to false and no else "
                                 "section was defined");
}

static struct value eval_item(struct render *r, const struct node *n) {
    struct value object = tpl_eval(r, n->as.item.object), bounds[3];
    const struct node *key = n->as.item.key;
    if (key->kind != NODE_SLICE) {
        struct value k = tpl_eval(r, key);
        return r->failed ? tpl_none() : tpl_item(r, object, k);
    }
    for (size_t i = 0; i < 3; i++)
        bounds[i] = key->as.slice.bounds[i] ? tpl_eval(r, key->as.slice.bounds[i])
                                            : (struct value){.kind = V_ABSENT};
    return r->failed ? tpl_none() : tpl_slice(r, object, bounds);
}

/* ---- calls ---- */

static bool add_spread(struct render *r, struct value v, struct list *positional) {
    struct iterator *it = tpl_iterate(r, v);
    struct value item;
    while (it && tpl_next(r, it, &item))
        tpl_list_append(r, positional, item);
    return !r->failed;
}

static bool add_keyword(struct render *r, struct args *args, size_t *capacity,
                        const struct str *name, struct value v) {
    if (args->n_keywords == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 4;
        struct keyword *grown = tpl_alloc(r, *capacity, sizeof *grown);
        if (!grown) return false;
        if (args->n_keywords) memcpy(grown, args->keywords, args->n_keywords * sizeof *grown);
        args->keywords = grown;
    }
    args->keywords[args->n_keywords++] = (struct keyword){name, v};
    return true;
}

static bool add_spread_dict(struct render *r, struct args *args, size_t *capacity, struct value v) {
    if (v.kind != V_DICT)
        return tpl_fail(r, "argument after ** must be a mapping, not %s", tpl_type_name(v.kind)),
               false;
    for (size_t i = 0; i < v.as.dict->count; i++) {
        const struct dict_entry *e = &v.as.dict->entries[i];
        if (e->key.kind != V_STRING) return tpl_fail(r, "keywords must be strings"), false;
        if (!add_keyword(r, args, capacity, e->key.as.string, e->value)) return false;
    }
    return true;
}

bool tpl_eval_args(struct render *r, const struct node *arg, struct args *out) {
    struct list positional = {0};
    size_t capacity = 0;
    *out = (struct args){0};
    for (; arg && !r->failed; arg = arg->next) {
        const struct node *value = arg->kind == NODE_KEYWORD ? arg->as.keyword.value
                                   : arg->kind == NODE_SPREAD || arg->kind == NODE_SPREAD_DICT
                                       ? arg->as.child
                                       : arg;
        struct value v = tpl_eval(r, value);
        if (r->failed) return false;
        if (arg->kind == NODE_KEYWORD)
            add_keyword(r, out, &capacity, arg->as.keyword.name, v);
        else if (arg->kind == NODE_SPREAD)
            add_spread(r, v, &positional);
        else if (arg->kind == NODE_SPREAD_DICT)
            add_spread_dict(r, out, &capacity, v);
        else
            tpl_list_append(r, &positional, v);
    }
    out->positional = positional.items;
    out->n_positional = positional.count;
    return !r->failed;
}

/* `caller` is what a call block passes to the macro; V_ABSENT for a plain call. */
struct value tpl_eval_call(struct render *r, const struct node *n, struct value caller) {
    static const struct str caller_name = {"caller", 6};
    const struct node *callee = n->as.call.callee;
    const struct native *method = NULL;
    struct value object = tpl_none(), function = tpl_none();
    struct args args;
    if (callee->kind == NODE_ATTRIBUTE) {
        object = tpl_eval(r, callee->as.attribute.object);
        if (r->failed) return tpl_none();
        method = tpl_find_method(object.kind, callee->as.attribute.name);
        if (!method) function = tpl_attribute(r, object, callee->as.attribute.name);
    } else {
        function = tpl_eval(r, callee);
    }
    if (r->failed || !tpl_eval_args(r, n->as.call.args, &args)) return tpl_none();
    size_t capacity = args.n_keywords;
    if (caller.kind != V_ABSENT && !add_keyword(r, &args, &capacity, &caller_name, caller))
        return tpl_none();
    return method ? tpl_call_native(r, method, object, &args) : tpl_call(r, function, &args);
}

static struct value eval_apply(struct render *r, const struct node *n) {
    struct args args;
    const char *kind = n->kind == NODE_FILTER ? "filter" : "test";
    if (!n->as.apply.native)
        return tpl_fail(r, "no %s named '%.*s'", kind, (int)n->as.apply.name->length,
                        n->as.apply.name->data);
    struct value input = n->as.apply.input ? tpl_eval(r, n->as.apply.input) : r->block_text;
    if (r->failed || !tpl_eval_args(r, n->as.apply.args, &args)) return tpl_none();
    return tpl_call_native(r, n->as.apply.native, input, &args);
}

static struct value eval_inner(struct render *r, const struct node *n) {
    struct value v;
    switch (n->kind) {
    case NODE_LIST: return tpl_list_of(eval_items(r, n->as.items));
    case NODE_TUPLE: return tpl_tuple_of(eval_items(r, n->as.items));
    case NODE_DICT: return eval_dict(r, n);
    case NODE_CHAIN: return eval_chain(r, n);
    case NODE_CONCAT: return eval_concat(r, n);
    case NODE_AND:
    case NODE_OR: return eval_logic(r, n);
    case NODE_COMPARE: return eval_compare(r, n);
    case NODE_NOT: return tpl_bool(!tpl_truth(tpl_eval(r, n->as.child)));
    case NODE_NEGATE:
    case NODE_POSITIVE:
        v = tpl_eval(r, n->as.child);
        return r->failed ? v : tpl_negate(r, v, n->kind == NODE_POSITIVE);
    case NODE_CONDITIONAL: return eval_conditional(r, n);
    case NODE_ATTRIBUTE:
        v = tpl_eval(r, n->as.attribute.object);
        return r->failed ? v : tpl_attribute(r, v, n->as.attribute.name);
    case NODE_ITEM: return eval_item(r, n);
    case NODE_CALL: return tpl_eval_call(r, n, (struct value){.kind = V_ABSENT});
    case NODE_FILTER:
    case NODE_TEST: return eval_apply(r, n);
    default: return tpl_fail(r, "a slice or spread is not a value");
    }
}

struct value tpl_eval(struct render *r, const struct node *n) {
    if (n->kind == NODE_CONSTANT) return tpl_charge(r, 1) ? n->as.constant : tpl_none();
    if (n->kind == NODE_NAME) return tpl_charge(r, 1) ? eval_name(r, n) : tpl_none();
    if (!tpl_enter(r)) return tpl_none();
    uint32_t offset = r->offset;
    r->offset = n->offset;
    struct value v = eval_inner(r, n);
    r->offset = offset;
    tpl_leave(r);
    return r->failed ? tpl_none() : v;
}
