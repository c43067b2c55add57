/* template_method.c - methods of strings.
 *
 * Positions and lengths are in code points. A method of markup gives markup where
 * Python's Markup does. */
#include "chat/template_unicode.h"
#include "chat/template_value.h"

#define METHOD(name)                                                                               \
    static struct value name(struct render *r, struct value self, const struct value *a,           \
                             const struct args *args)
#define UNUSED (void)a, (void)args

static struct value captured_like(struct render *r, size_t mark, struct value self) {
    struct value v = tpl_captured(r, mark);
    v.flag = self.flag;
    return v;
}

static struct value view_like(struct render *r, struct str s, struct value self) {
    struct value v = tpl_view(r, s.data, s.length);
    v.flag = self.flag;
    return v;
}

/* ---- case ---- */

static struct value map_case(struct render *r, struct value self,
                             bool (*put)(struct render *, uint32_t)) {
    const struct str *s = self.as.string;
    size_t mark = tpl_capture(r);
    tpl_charge(r, s->length / 16);
    for (size_t i = 0; i < s->length && !r->failed;) {
        uint32_t code;
        i += text_decode(s->data + i, s->length - i, &code);
        put(r, code);
    }
    return captured_like(r, mark, self);
}

METHOD(str_upper) {
    UNUSED;
    return map_case(r, self, put_upper);
}

METHOD(str_lower) {
    UNUSED;
    return map_case(r, self, put_lower);
}

static bool put_swapped(struct render *r, uint32_t code) {
    return code_is_upper(code) ? put_lower(r, code) : put_upper(r, code);
}

METHOD(str_swapcase) {
    UNUSED;
    return map_case(r, self, put_swapped);
}

METHOD(str_capitalize) {
    UNUSED;
    const struct str *s = self.as.string;
    size_t mark = tpl_capture(r);
    for (size_t i = 0; i < s->length && !r->failed;) {
        uint32_t code;
        bool first = i == 0;
        i += text_decode(s->data + i, s->length - i, &code);
        if (first)
            put_title(r, code);
        else
            put_lower(r, code);
    }
    return captured_like(r, mark, self);
}

static bool is_cased(uint32_t code) {
    return code_is_upper(code) || code_is_lower(code) || code_is_title(code);
}

METHOD(str_title) {
    UNUSED;
    const struct str *s = self.as.string;
    size_t mark = tpl_capture(r);
    bool inside = false;
    for (size_t i = 0; i < s->length && !r->failed;) {
        uint32_t code;
        i += text_decode(s->data + i, s->length - i, &code);
        if (inside)
            put_lower(r, code);
        else
            put_title(r, code);
        inside = is_cased(code);
    }
    return captured_like(r, mark, self);
}

/* ---- strip and affixes ---- */

static struct value strip(struct render *r, struct value self, struct value chars,
                          enum strip_side side) {
    const struct str *set = NULL;
    if (chars.kind != V_ABSENT && chars.kind != V_NONE)
        set = tpl_arg_text(r, chars, NULL, "characters to strip");
    if (!tpl_charge(r, set ? set->length : 0)) return tpl_none();
    return view_like(r, text_strip(*self.as.string, set, side), self);
}

METHOD(str_strip) {
    (void)args;
    return strip(r, self, a[0], STRIP_BOTH);
}

METHOD(str_lstrip) {
    (void)args;
    return strip(r, self, a[0], STRIP_LEFT);
}

METHOD(str_rstrip) {
    (void)args;
    return strip(r, self, a[0], STRIP_RIGHT);
}

METHOD(str_removeprefix) {
    (void)args;
    const struct str *s = self.as.string, *prefix = tpl_arg_text(r, a[0], NULL, "prefix");
    if (r->failed || !text_starts(s, prefix)) return self;
    return view_like(r, (struct str){s->data + prefix->length, s->length - prefix->length}, self);
}

METHOD(str_removesuffix) {
    (void)args;
    const struct str *s = self.as.string, *suffix = tpl_arg_text(r, a[0], NULL, "suffix");
    if (r->failed || !text_ends(s, suffix)) return self;
    return view_like(r, (struct str){s->data, s->length - suffix->length}, self);
}

static struct value has_affix(struct render *r, struct value affix, const struct str *s,
                              bool (*matches)(const struct str *, const struct str *)) {
    if (affix.kind != V_TUPLE) {
        const struct str *text = tpl_arg_text(r, affix, NULL, "prefix or suffix");
        return tpl_bool(!r->failed && matches(s, text));
    }
    for (size_t i = 0; i < affix.as.list->count && !r->failed; i++) {
        const struct str *text = tpl_arg_text(r, affix.as.list->items[i], NULL, "prefix or suffix");
        if (!r->failed && matches(s, text)) return tpl_bool(true);
    }
    return tpl_bool(false);
}

/* The part of the text between two positions, as in a slice; false when there is none,
 * where not even an empty text is found. */
static bool part_of(struct render *r, struct value self, struct value from, struct value to,
                    struct str *part) {
    *part = *self.as.string;
    if (from.kind == V_ABSENT && to.kind == V_ABSENT) return true;
    int64_t length = (int64_t)text_count(part);
    int64_t start = tpl_arg_int(r, from, 0, "start"), end = tpl_arg_int(r, to, length, "end");
    if (start < 0) start = start < -length ? 0 : start + length;
    if (end < 0) end = end < -length ? 0 : end + length;
    if (end > length) end = length;
    if (start > end || r->failed) return false;
    size_t first = text_offset(part, (size_t)start);
    *part = (struct str){part->data + first, part->length - first};
    part->length = text_offset(part, (size_t)(end - start));
    return true;
}

METHOD(str_startswith) {
    (void)args;
    struct str s;
    bool exists = part_of(r, self, a[1], a[2], &s);
    struct value result = has_affix(r, a[0], &s, text_starts);
    return exists ? result : tpl_bool(false);
}

METHOD(str_endswith) {
    (void)args;
    struct str s;
    bool exists = part_of(r, self, a[1], a[2], &s);
    struct value result = has_affix(r, a[0], &s, text_ends);
    return exists ? result : tpl_bool(false);
}

/* ---- finding ---- */

static int64_t find(struct render *r, struct value self, const struct value *a, bool last) {
    const struct str *needle = tpl_arg_text(r, a[0], NULL, "text to find");
    struct str s;
    if (!part_of(r, self, a[1], a[2], &s) || r->failed || !tpl_charge(r, s.length / 32)) return -1;
    size_t at = last ? text_rfind(&s, needle, s.length) : text_find(&s, needle, 0);
    if (at == SIZE_MAX) return -1;
    struct str before = {self.as.string->data, (size_t)(s.data - self.as.string->data) + at};
    return (int64_t)text_count(&before);
}

METHOD(str_find) {
    (void)args;
    return tpl_int(find(r, self, a, false));
}

METHOD(str_rfind) {
    (void)args;
    return tpl_int(find(r, self, a, true));
}

METHOD(str_index) {
    (void)args;
    int64_t at = find(r, self, a, false);
    return at < 0 ? tpl_fail(r, "substring not found") : tpl_int(at);
}

METHOD(str_rindex) {
    (void)args;
    int64_t at = find(r, self, a, true);
    return at < 0 ? tpl_fail(r, "substring not found") : tpl_int(at);
}

METHOD(str_count) {
    (void)args;
    const struct str *needle = tpl_arg_text(r, a[0], NULL, "text to count");
    struct str s;
    if (!part_of(r, self, a[1], a[2], &s) || r->failed || !tpl_charge(r, s.length / 32))
        return tpl_int(0);
    if (needle->length == 0) return tpl_int((int64_t)text_count(&s) + 1);
    int64_t n = 0;
    for (size_t at = 0; (at = text_find(&s, needle, at)) != SIZE_MAX; at += needle->length)
        n++;
    return tpl_int(n);
}

/* ---- splitting and joining ---- */

static struct value split_space(struct render *r, struct value self, int64_t limit, bool right) {
    struct str rest = text_strip(*self.as.string, NULL, right ? STRIP_RIGHT : STRIP_LEFT);
    struct list *parts = tpl_list_new(r, 0);
    while (parts && rest.length > 0 && tpl_charge(r, 1)) {
        size_t n = 0;
        uint32_t code;
        bool limited = limit >= 0 && (int64_t)parts->count >= limit;
        while (!limited && n < rest.length) {
            size_t step = right ? text_decode_before(rest.data, rest.length - n, &code)
                                : text_decode(rest.data + n, rest.length - n, &code);
            if (code_is_space(code)) break;
            n += step;
        }
        if (limited) n = rest.length;
        struct str part = {right ? rest.data + rest.length - n : rest.data, n};
        tpl_list_append(r, parts, view_like(r, part, self));
        if (!right) rest.data += n;
        rest.length -= n;
        rest = text_strip(rest, NULL, right ? STRIP_RIGHT : STRIP_LEFT);
    }
    return tpl_list_of(parts);
}

static void reverse_list(struct list *list) {
    for (size_t i = 0, n = list ? list->count : 0; i < n / 2; i++) {
        struct value v = list->items[i];
        list->items[i] = list->items[n - 1 - i];
        list->items[n - 1 - i] = v;
    }
}

static struct value split_by(struct render *r, struct value self, const struct str *separator,
                             int64_t limit, bool right) {
    struct str rest = *self.as.string;
    struct list *parts = tpl_list_new(r, 0);
    tpl_charge(r, rest.length / 32);
    while (parts && !r->failed && (limit < 0 || (int64_t)parts->count < limit)) {
        size_t at =
            right ? text_rfind(&rest, separator, rest.length) : text_find(&rest, separator, 0);
        if (at == SIZE_MAX) break;
        size_t after = at + separator->length;
        struct str head = {rest.data, at}, tail = {rest.data + after, rest.length - after};
        tpl_list_append(r, parts, view_like(r, right ? tail : head, self));
        rest = right ? head : tail;
    }
    tpl_list_append(r, parts, view_like(r, rest, self));
    return tpl_list_of(parts);
}

static struct value split(struct render *r, struct value self, const struct value *a, bool right) {
    int64_t limit = tpl_arg_int(r, a[1], -1, "maxsplit");
    struct value parts;
    if (a[0].kind == V_ABSENT || a[0].kind == V_NONE) {
        parts = split_space(r, self, limit, right);
    } else {
        const struct str *separator = tpl_arg_text(r, a[0], NULL, "separator");
        if (r->failed) return tpl_none();
        if (separator->length == 0) return tpl_fail(r, "empty separator");
        parts = split_by(r, self, separator, limit, right);
    }
    if (r->failed) return tpl_none();
    if (right) reverse_list(parts.as.list);
    return parts;
}

METHOD(str_split) {
    (void)args;
    return split(r, self, a, false);
}

METHOD(str_rsplit) {
    (void)args;
    return split(r, self, a, true);
}

static struct value partition(struct render *r, struct value self, struct value sep, bool right) {
    const struct str *s = self.as.string, *separator = tpl_arg_text(r, sep, NULL, "separator");
    if (r->failed || !tpl_charge(r, s->length / 32)) return tpl_none();
    if (separator->length == 0) return tpl_fail(r, "empty separator");
    size_t at = right ? text_rfind(s, separator, s->length) : text_find(s, separator, 0);
    bool found = at != SIZE_MAX;
    size_t head = found ? at : right ? 0 : s->length;
    size_t middle = found ? separator->length : 0;
    struct list *parts = tpl_list_new(r, 3);
    tpl_list_append(r, parts, view_like(r, (struct str){s->data, head}, self));
    tpl_list_append(r, parts, view_like(r, (struct str){s->data + head, middle}, self));
    struct str tail = {s->data + head + middle, s->length - head - middle};
    tpl_list_append(r, parts, view_like(r, tail, self));
    return tpl_tuple_of(parts);
}

METHOD(str_partition) {
    (void)args;
    return partition(r, self, a[0], false);
}

METHOD(str_rpartition) {
    (void)args;
    return partition(r, self, a[0], true);
}

METHOD(str_splitlines) {
    (void)args;
    bool keep = tpl_arg_bool(a[0], false);
    struct str rest = *self.as.string;
    struct list *lines = tpl_list_new(r, 0);
    while (lines && rest.length > 0 && tpl_charge(r, 1)) {
        size_t n = 0, step = 0;
        uint32_t code = 0;
        for (; n < rest.length; n += step) {
            step = text_decode(rest.data + n, rest.length - n, &code);
            if (code_is_line_break(code)) break;
        }
        size_t end = n < rest.length ? n + step : n;
        if (code == '\r' && end < rest.length && rest.data[end] == '\n') end++;
        tpl_list_append(r, lines, view_like(r, (struct str){rest.data, keep ? end : n}, self));
        rest = (struct str){rest.data + end, rest.length - end};
    }
    return tpl_list_of(lines);
}

METHOD(str_join) {
    (void)args;
    struct iterator *it = tpl_iterate(r, a[0]);
    struct value item;
    struct list *items = tpl_list_new(r, 0);
    for (size_t i = 0; it && items && tpl_next(r, it, &item); i++) {
        if (item.kind != V_STRING)
            return tpl_fail(r, "sequence item %zu: expected str instance, %s found", i,
                            tpl_type_name(item.kind));
        tpl_list_append(r, items, item);
    }
    size_t mark = tpl_capture(r);
    for (size_t i = 0; items && i < items->count && !r->failed; i++) {
        if (i > 0) tpl_put_str(r, self);
        const struct str *s =
            self.flag ? tpl_escape(r, items->items[i]) : items->items[i].as.string;
        tpl_put(r, s->data, s->length);
    }
    return captured_like(r, mark, self);
}

METHOD(str_replace) {
    (void)args;
    const struct str *s = self.as.string, *old = tpl_arg_text(r, a[0], NULL, "text to replace");
    const struct str *new = tpl_arg_text(r, a[1], NULL, "replacement");
    int64_t limit = tpl_arg_int(r, a[2], -1, "count");
    if (r->failed) return tpl_none();
    if (self.flag) new = tpl_escape(r, a[1]);
    size_t mark = tpl_capture(r), position = 0;
    while (limit != 0 && tpl_charge(r, 1)) {
        size_t at = text_find(s, old, position), step = old->length;
        if (at == SIZE_MAX) break;
        tpl_put(r, s->data + position, at - position);
        tpl_put(r, new->data, new->length);
        limit--;
        position = at + step;
        if (step > 0) continue;
        if (position == s->length) return captured_like(r, mark, self); /* between characters */
        uint32_t code;
        step = text_decode(s->data + position, s->length - position, &code);
        tpl_put(r, s->data + position, step);
        position += step;
    }
    tpl_put(r, s->data + position, s->length - position);
    return captured_like(r, mark, self);
}

/* ---- padding ---- */

static struct value pad(struct render *r, struct value self, const struct value *a, char align) {
    const struct str *fill = tpl_arg_text(r, a[1], " ", "fill character");
    int64_t width = tpl_arg_int(r, a[0], 0, "width");
    if (r->failed) return tpl_none();
    if (text_count(fill) != 1) return tpl_fail(r, "the fill must be exactly one character");
    int64_t length = (int64_t)text_count(self.as.string);
    int64_t padding = width > length ? width - length : 0;
    /* Python's centre leans left or right by the parity of padding and width. */
    int64_t left = align == '>' ? padding : align == '^' ? padding / 2 + (padding & width & 1) : 0;
    size_t mark = tpl_capture(r);
    tpl_put_repeated(r, fill->data, fill->length, left);
    tpl_put_str(r, self);
    tpl_put_repeated(r, fill->data, fill->length, padding - left);
    return captured_like(r, mark, self);
}

METHOD(str_center) {
    (void)args;
    return pad(r, self, a, '^');
}

METHOD(str_ljust) {
    (void)args;
    return pad(r, self, a, '<');
}

METHOD(str_rjust) {
    (void)args;
    return pad(r, self, a, '>');
}

METHOD(str_zfill) {
    (void)args;
    const struct str *s = self.as.string;
    int64_t width = tpl_arg_int(r, a[0], 0, "width"), length = (int64_t)text_count(s);
    bool sign = s->length > 0 && (s->data[0] == '-' || s->data[0] == '+');
    size_t mark = tpl_capture(r);
    tpl_put(r, s->data, sign);
    tpl_put_repeated(r, "0", 1, width > length ? width - length : 0);
    tpl_put(r, s->data + sign, s->length - sign);
    return captured_like(r, mark, self);
}

METHOD(str_expandtabs) {
    (void)args;
    const struct str *s = self.as.string;
    int64_t size = tpl_arg_int(r, a[0], 8, "tab size"), column = 0;
    size_t mark = tpl_capture(r);
    for (size_t i = 0; i < s->length && !r->failed;) {
        uint32_t code;
        size_t n = text_decode(s->data + i, s->length - i, &code);
        if (code == '\t') {
            int64_t blanks = size > 0 ? size - column % size : 0;
            tpl_put_repeated(r, " ", 1, blanks);
            column = size > 0 ? 0 : column;
        } else {
            tpl_put(r, s->data + i, n);
            column = code == '\n' || code == '\r' ? 0 : column + 1;
        }
        i += n;
    }
    return captured_like(r, mark, self);
}

/* ---- questions ---- */

static struct value every(struct value self, bool (*is)(uint32_t), bool empty) {
    const struct str *s = self.as.string;
    if (s->length == 0) return tpl_bool(empty);
    for (size_t i = 0; i < s->length;) {
        uint32_t code;
        i += text_decode(s->data + i, s->length - i, &code);
        if (!is(code)) return tpl_bool(false);
    }
    return tpl_bool(true);
}

static bool is_alphanumeric(uint32_t c) {
    return code_is_letter(c) || code_is_numeric(c);
}

static bool is_ascii(uint32_t c) {
    return c < 0x80;
}

#define QUESTION(name, is, empty)                                                                  \
    METHOD(name) {                                                                                 \
        UNUSED, (void)r;                                                                           \
        return every(self, is, empty);                                                             \
    }

QUESTION(str_isdigit, code_is_digit, false)
QUESTION(str_isdecimal, code_is_decimal, false)
QUESTION(str_isnumeric, code_is_numeric, false)
QUESTION(str_isalpha, code_is_letter, false)
QUESTION(str_isalnum, is_alphanumeric, false)
QUESTION(str_isspace, code_is_space, false)
QUESTION(str_isascii, is_ascii, true)
QUESTION(str_isprintable, code_is_printable, true)

/* One cased character at least, and none of the other case. */
static struct value has_case(struct value self, bool (*wanted)(uint32_t)) {
    const struct str *s = self.as.string;
    bool any = false;
    for (size_t i = 0; i < s->length;) {
        uint32_t code;
        i += text_decode(s->data + i, s->length - i, &code);
        if (is_cased(code) && !wanted(code)) return tpl_bool(false);
        any |= is_cased(code);
    }
    return tpl_bool(any);
}

METHOD(str_isupper) {
    UNUSED, (void)r;
    return has_case(self, code_is_upper);
}

METHOD(str_islower) {
    UNUSED, (void)r;
    return has_case(self, code_is_lower);
}

METHOD(str_istitle) {
    UNUSED, (void)r;
    const struct str *s = self.as.string;
    bool inside = false, any = false;
    for (size_t i = 0; i < s->length;) {
        uint32_t code;
        i += text_decode(s->data + i, s->length - i, &code);
        bool starts = code_is_upper(code) || code_is_title(code);
        if (starts ? inside : code_is_lower(code) && !inside) return tpl_bool(false);
        inside = is_cased(code);
        any |= inside;
    }
    return tpl_bool(any);
}

static const struct native methods[] = {
    {"strip", str_strip, "chars", 0},
    {"split", str_split, "sep,maxsplit", 0},
    {"replace", str_replace, "old,new,count", 2},
    {"startswith", str_startswith, "prefix,start,end", 1},
    {"endswith", str_endswith, "suffix,start,end", 1},
    {"lstrip", str_lstrip, "chars", 0},
    {"rstrip", str_rstrip, "chars", 0},
    {"upper", str_upper, "", 0},
    {"lower", str_lower, "", 0},
    {"title", str_title, "", 0},
    {"capitalize", str_capitalize, "", 0},
    {"swapcase", str_swapcase, "", 0},
    {"casefold", str_lower, "", 0},
    {"join", str_join, "iterable", 1},
    {"format", tpl_method_format, NULL, 0},
    {"find", str_find, "sub,start,end", 1},
    {"rfind", str_rfind, "sub,start,end", 1},
    {"index", str_index, "sub,start,end", 1},
    {"rindex", str_rindex, "sub,start,end", 1},
    {"count", str_count, "sub,start,end", 1},
    {"rsplit", str_rsplit, "sep,maxsplit", 0},
    {"partition", str_partition, "sep", 1},
    {"rpartition", str_rpartition, "sep", 1},
    {"splitlines", str_splitlines, "keepends", 0},
    {"removeprefix", str_removeprefix, "prefix", 1},
    {"removesuffix", str_removesuffix, "suffix", 1},
    {"center", str_center, "width,fillchar", 1},
    {"ljust", str_ljust, "width,fillchar", 1},
    {"rjust", str_rjust, "width,fillchar", 1},
    {"zfill", str_zfill, "width", 1},
    {"expandtabs", str_expandtabs, "tabsize", 0},
    {"isdigit", str_isdigit, "", 0},
    {"isdecimal", str_isdecimal, "", 0},
    {"isnumeric", str_isnumeric, "", 0},
    {"isalpha", str_isalpha, "", 0},
    {"isalnum", str_isalnum, "", 0},
    {"isspace", str_isspace, "", 0},
    {"isascii", str_isascii, "", 0},
    {"isprintable", str_isprintable, "", 0},
    {"isupper", str_isupper, "", 0},
    {"islower", str_islower, "", 0},
    {"istitle", str_istitle, "", 0},
};

const struct native *tpl_find_string_method(const struct str *name) {
    return tpl_find(methods, sizeof methods / sizeof methods[0], name);
}
