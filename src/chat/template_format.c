/* template_format.c - "%d of %s" % (…), "{} of {}".format(…): Python's two formatting
 * languages. */
#include <locale.h>
#include <math.h>
#include <stdio.h>

#include "chat/template_unicode.h"
#include "chat/template_value.h"

enum { FORMAT_PRECISION_MAX = 400, NUMBER_TEXT_BYTES = 1024, FORMAT_NESTING_MAX = 2 };

/* ---- numbers ---- */

struct digits {
    char text[NUMBER_TEXT_BYTES]; /* without sign */
    const char *prefix;           /* "0x" … */
    bool negative;
};

static void integer_digits(struct digits *d, int64_t i, char type) {
    uint64_t value = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    unsigned base = type == 'b' ? 2 : type == 'o' ? 8 : (type | 0x20) == 'x' ? 16 : 10;
    const char *symbols = type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char reversed[72];
    size_t n = 0;
    do
        reversed[n++] = symbols[value % base];
    while ((value /= base) != 0);
    for (size_t k = 0; k < n; k++)
        d->text[k] = reversed[n - 1 - k];
    d->text[n] = '\0';
    d->negative = i < 0;
}

/* printf's text with a point whatever the locale says. */
static void print_real(char *text, const char *format, int precision, double value) {
    char wide[NUMBER_TEXT_BYTES];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(wide, sizeof wide, format, precision, value);
#pragma GCC diagnostic pop
    const char *point = localeconv()->decimal_point;
    char *found = strcmp(point, ".") != 0 ? strstr(wide, point) : NULL;
    if (found) {
        *found = '.';
        memmove(found + 1, found + strlen(point), strlen(found + strlen(point)) + 1);
    }
    memcpy(text, wide, sizeof wide);
}

static void append_text(struct digits *d, const char *text) {
    size_t length = strlen(d->text);
    snprintf(d->text + length, sizeof d->text - length, "%s", text);
}

static void real_digits(struct digits *d, double value, const struct format_spec *spec) {
    char type = spec->type;
    int precision = spec->precision < 0 ? 6 : (int)spec->precision;
    d->negative = signbit(value) && !isnan(value);
    value = fabs(value);
    if (!isfinite(value)) {
        bool upper = type == 'E' || type == 'F' || type == 'G';
        snprintf(d->text, sizeof d->text, "%s",
                 isnan(value) ? (upper ? "NAN" : "nan")
                 : upper      ? "INF"
                              : "inf");
        return;
    }
    if (!type && spec->precision < 0) {
        tpl_float_repr(value, d->text);
    } else if (!type) {
        print_real(d->text, "%.*g", precision ? precision : 1, value);
        if (!strpbrk(d->text, ".e") && strlen(d->text) < (size_t)precision + 1)
            append_text(d, ".0");
    } else if (type == '%') {
        print_real(d->text, "%.*f", precision, value * 100);
        append_text(d, "%");
    } else {
        char format[8];
        snprintf(format, sizeof format, "%%%s.*%c", spec->alternate ? "#" : "", type);
        print_real(d->text, format, precision, value);
    }
}

/* Separators every three digits of the integer part. */
static void group(char *text, char separator) {
    size_t whole = strspn(text, "0123456789"), length = strlen(text);
    for (size_t i = whole; i > 3 && length + 1 < NUMBER_TEXT_BYTES; i -= 3) {
        memmove(text + i - 2, text + i - 3, length - i + 4);
        text[i - 3] = separator;
        length++;
    }
}

static bool put_digits(struct render *r, const struct digits *d, const struct format_spec *spec) {
    char sign[2] = {d->negative ? '-' : spec->sign == '+' || spec->sign == ' ' ? spec->sign : 0, 0};
    int64_t used = (int64_t)(strlen(sign) + strlen(d->prefix) + strlen(d->text));
    int64_t padding = spec->width > used ? spec->width - used : 0;
    char fill[4], align = spec->align ? spec->align : '>';
    size_t n = text_encode(spec->fill ? spec->fill : ' ', fill);
    int64_t left = align == '>' ? padding : align == '^' ? padding / 2 : 0;
    tpl_put_repeated(r, fill, n, left);
    tpl_put_text(r, sign);
    tpl_put_text(r, d->prefix);
    if (align == '=') tpl_put_repeated(r, fill, n, padding);
    tpl_put_text(r, d->text);
    if (align != '=') tpl_put_repeated(r, fill, n, padding - left);
    return !r->failed;
}

static bool is_integer_type(char type) {
    return !type || (type && strchr("bdnoxX", type));
}

bool tpl_put_number(struct render *r, struct value v, const struct format_spec *spec) {
    struct digits d;
    d.prefix = "";
    if (spec->precision > FORMAT_PRECISION_MAX)
        return tpl_fail(r, "precision is larger than %d", FORMAT_PRECISION_MAX), false;
    if (spec->type && !strchr("bdnoxXeEfFgG%", spec->type))
        return tpl_fail(r, "unknown format code '%c' for a number", spec->type), false;
    if (tpl_is_integer(v) && is_integer_type(spec->type)) {
        integer_digits(&d, tpl_integer(v), spec->type);
        if (spec->alternate && spec->type)
            d.prefix = spec->type == 'x'   ? "0x"
                       : spec->type == 'X' ? "0X"
                       : spec->type == 'o' ? "0o"
                       : spec->type == 'b' ? "0b"
                                           : "";
    } else if (spec->type && is_integer_type(spec->type) && spec->type != 'n') {
        return tpl_fail(r, "unknown format code '%c' for object of type 'float'", spec->type),
               false;
    } else {
        struct format_spec real = *spec;
        if (real.type == 'n') real.type = 'g';
        real_digits(&d, tpl_real(v), &real);
    }
    if (spec->comma || spec->underscore) group(d.text, spec->comma ? ',' : '_');
    return put_digits(r, &d, spec);
}

bool tpl_put_aligned(struct render *r, const struct str *s, const struct format_spec *spec,
                     char default_align) {
    int64_t used = (int64_t)text_count(s), padding = spec->width > used ? spec->width - used : 0;
    char fill[4], align = spec->align ? spec->align : default_align;
    size_t n = text_encode(spec->fill ? spec->fill : ' ', fill);
    int64_t left = align == '>' || align == '=' ? padding : align == '^' ? padding / 2 : 0;
    tpl_put_repeated(r, fill, n, left);
    tpl_put(r, s->data, s->length);
    return tpl_put_repeated(r, fill, n, padding - left);
}

static bool put_text_with(struct render *r, const struct str *s, const struct format_spec *spec) {
    struct str shown = *s;
    if (spec->precision >= 0) shown.length = text_offset(s, (size_t)spec->precision);
    return tpl_put_aligned(r, &shown, spec, '<');
}

static bool read_number(const char **p, const char *end, int64_t *out) {
    bool any = false;
    for (*out = 0; *p < end && **p >= '0' && **p <= '9'; ++*p, any = true)
        if (*out < INT32_MAX) *out = *out * 10 + (**p - '0');
    return any;
}

/* ---- percent ---- */

struct percent {
    struct render *r;
    const struct args *args;
    size_t next;
    bool used_mapping, markup;
};

static struct value percent_argument(struct percent *f) {
    if (f->next < f->args->n_positional) return f->args->positional[f->next++];
    return tpl_fail(f->r, "not enough arguments for format string");
}

/* %(name)s takes from keywords, or from a dictionary that is the only argument. */
static struct value percent_named(struct percent *f, const char **p, const char *end) {
    const char *close = memchr(*p, ')', (size_t)(end - *p));
    if (!close) return tpl_fail(f->r, "incomplete format key");
    struct str name = {*p, (size_t)(close - *p)};
    *p = close + 1;
    f->used_mapping = true;
    for (size_t i = 0; i < f->args->n_keywords; i++)
        if (f->args->keywords[i].name->length == name.length &&
            memcmp(f->args->keywords[i].name->data, name.data, name.length) == 0)
            return f->args->keywords[i].value;
    if (f->args->n_positional == 1 && f->args->positional[0].kind == V_DICT) {
        const struct value *v = tpl_dict_get_string(f->r, f->args->positional[0].as.dict, &name);
        if (v) return *v;
        return tpl_fail(f->r, "format has no key '%.*s'", (int)name.length, name.data);
    }
    return tpl_fail(f->r, "format requires a mapping");
}

static int64_t percent_size(struct percent *f, const char **p, const char *end) {
    int64_t size = 0;
    if (*p < end && **p == '*') {
        ++*p;
        return tpl_arg_int(f->r, percent_argument(f), 0, "width");
    }
    read_number(p, end, &size);
    return size;
}

static bool percent_character(struct render *r, struct value v, const struct format_spec *spec) {
    char bytes[4];
    struct str s = {bytes, 0};
    if (v.kind == V_STRING && text_count(v.as.string) == 1)
        return put_text_with(r, v.as.string, spec);
    if (!tpl_is_integer(v) || tpl_integer(v) < 0 || tpl_integer(v) > 0x10ffff ||
        (tpl_integer(v) >= 0xd800 && tpl_integer(v) < 0xe000))
        return tpl_fail(r, "%%c requires an integer or a character"), false;
    s.length = text_encode((uint32_t)tpl_integer(v), bytes);
    return tpl_put_aligned(r, &s, spec, '>');
}

static bool percent_number(struct render *r, struct value v, struct format_spec *spec) {
    bool real = strchr("eEfFgG", spec->type) != NULL;
    if (v.kind == V_UNDEFINED) return tpl_undefined_fail(r, v), false;
    if (!tpl_is_number(v))
        return tpl_fail(r, "%%%c format: a number is required, not %s", spec->type,
                        tpl_type_name(v.kind)),
               false;
    if (spec->type == 'i' || spec->type == 'u') spec->type = 'd';
    int64_t i;
    if (!real && v.kind == V_FLOAT) {
        if (spec->type != 'd' || !tpl_float_to_int(v.as.real, &i))
            return tpl_fail(r, "%%%c format: an integer is required, not float", spec->type), false;
        v = tpl_int(i);
    }
    if (real && v.kind != V_FLOAT) v = tpl_float(tpl_real(v));
    return tpl_put_number(r, v, spec);
}

static bool put_percent(struct percent *f, const char **p, const char *end) {
    struct render *r = f->r;
    struct format_spec spec = {.precision = -1};
    struct value v = {.kind = V_ABSENT};
    bool left = false, zero = false;
    if (*p < end && **p == '(') ++*p, v = percent_named(f, p, end);
    for (; *p < end && **p && strchr("-+ #0", **p); ++*p) {
        left |= **p == '-';
        zero |= **p == '0';
        spec.alternate |= **p == '#';
        if (**p == '+' || (**p == ' ' && !spec.sign)) spec.sign = **p;
    }
    spec.width = percent_size(f, p, end);
    if (spec.width < 0) left = true, spec.width = spec.width < -INT32_MAX ? 0 : -spec.width;
    if (*p < end && **p == '.') ++*p, spec.precision = percent_size(f, p, end);
    while (*p < end && (**p == 'l' || **p == 'h' || **p == 'L'))
        ++*p;
    if (*p >= end) return tpl_fail(r, "incomplete format"), false;
    char type = *(*p)++;
    if (type == '%') return tpl_put_char(r, '%');
    if (v.kind == V_ABSENT) v = percent_argument(f);
    if (r->failed) return false;
    bool number = type && strchr("diuoxXeEfFgG", type);
    spec.align = left ? '<' : zero && number ? '=' : '>';
    spec.fill = zero && number && !left ? '0' : ' ';
    spec.type = type;
    if (number) return percent_number(r, v, &spec);
    if (type == 'c') return percent_character(r, v, &spec);
    if (type == 's') return put_text_with(r, f->markup ? tpl_escape(r, v) : tpl_str(r, v), &spec);
    if (type != 'r' && type != 'a')
        return tpl_fail(r, "unsupported format character '%c'",
                        type > 32 && type < 127 ? type : '?'),
               false;
    size_t mark = tpl_capture(r);
    tpl_put_repr(r, v);
    struct value repr = tpl_captured(r, mark);
    return put_text_with(r, repr.as.string, &spec);
}

struct value tpl_percent(struct render *r, struct value format, const struct args *args) {
    struct percent f = {.r = r, .args = args, .markup = format.flag};
    size_t mark = tpl_capture(r);
    const char *p = format.as.string->data, *end = p + format.as.string->length;
    while (p < end && !r->failed) {
        const char *percent = memchr(p, '%', (size_t)(end - p));
        tpl_put(r, p, (size_t)((percent ? percent : end) - p));
        if (!percent) break;
        p = percent + 1;
        if (!put_percent(&f, &p, end)) break;
    }
    bool mapping =
        f.used_mapping || (args->n_positional == 1 && args->positional[0].kind == V_DICT);
    if (!r->failed && !mapping && f.next < args->n_positional)
        return tpl_fail(r, "not all arguments converted during string formatting");
    struct value v = tpl_captured(r, mark);
    v.flag = format.flag;
    return v;
}

/* ---- braces ---- */

struct braces {
    struct render *r;
    const struct args *args;
    int64_t next; /* of automatic numbering */
    bool markup;
};

static bool put_braces(struct braces *f, const char *p, const char *end, unsigned nesting);

static struct value field_first(struct braces *f, struct str name) {
    const char *p = name.data;
    int64_t i;
    if (name.length == 0)
        i = f->next++;
    else if (!read_number(&p, name.data + name.length, &i) || p != name.data + name.length) {
        for (size_t k = 0; k < f->args->n_keywords; k++)
            if (f->args->keywords[k].name->length == name.length &&
                memcmp(f->args->keywords[k].name->data, name.data, name.length) == 0)
                return f->args->keywords[k].value;
        return tpl_fail(f->r, "format has no argument '%.*s'", (int)name.length, name.data);
    }
    if ((uint64_t)i < f->args->n_positional) return f->args->positional[i];
    return tpl_fail(f->r, "replacement index %lld out of range for positional args", (long long)i);
}

/* "name.attribute[key]" */
static struct value field_value(struct braces *f, struct str field) {
    struct render *r = f->r;
    size_t i = 0;
    while (i < field.length && field.data[i] != '.' && field.data[i] != '[')
        i++;
    struct value v = field_first(f, (struct str){field.data, i});
    while (i < field.length && !r->failed) {
        bool attribute = field.data[i++] == '.';
        size_t start = i;
        while (i < field.length &&
               (attribute ? field.data[i] != '.' && field.data[i] != '[' : field.data[i] != ']'))
            i++;
        struct value key = tpl_view(r, field.data + start, i - start);
        if (!attribute) i += i < field.length;
        int64_t index;
        if (attribute)
            v = tpl_attribute(r, v, key.as.string);
        else
            v = tpl_item(r, v, tpl_parse_int(key.as.string, 10, &index) ? tpl_int(index) : key);
    }
    return v;
}

static bool read_spec(struct render *r, const struct str *text, struct format_spec *spec) {
    const char *p = text->data, *end = p + text->length;
    *spec = (struct format_spec){.precision = -1};
    uint32_t code = 0;
    size_t n = p < end ? text_decode(p, text->length, &code) : 0;
    if (n && p + n < end && p[n] && strchr("<>=^", p[n])) {
        spec->fill = code;
        spec->align = p[n];
        p += n + 1;
    } else if (p < end && *p && strchr("<>=^", *p)) {
        spec->align = *p++;
    }
    if (p < end && (*p == '+' || *p == '-' || *p == ' ')) spec->sign = *p++;
    if (p < end && *p == '#') spec->alternate = true, p++;
    if (p < end && *p == '0') {
        if (!spec->align) spec->align = '=', spec->fill = '0';
        p++;
    }
    read_number(&p, end, &spec->width);
    if (p < end && *p == ',') spec->comma = true, p++;
    if (p < end && *p == '_') spec->underscore = true, p++;
    if (p < end && *p == '.' && (p++, !read_number(&p, end, &spec->precision)))
        return tpl_fail(r, "format specifier missing precision"), false;
    if (p < end) spec->type = *p++;
    if (p < end) return tpl_fail(r, "invalid format specifier"), false;
    return true;
}

static bool put_formatted(struct render *r, struct value v, const struct str *text) {
    struct format_spec spec;
    if (text->length == 0) return tpl_put_str(r, v);
    if (!read_spec(r, text, &spec)) return false;
    if (tpl_is_number(v) && spec.type != 's' && spec.type != 'c')
        return tpl_put_number(r, v, &spec);
    if (v.kind == V_STRING && (!spec.type || spec.type == 's'))
        return put_text_with(r, v.as.string, &spec);
    tpl_fail(r, "unsupported format string for %s", tpl_type_name(v.kind));
    return false;
}

static bool put_field(struct braces *f, const char *p, const char *end, unsigned nesting) {
    struct render *r = f->r;
    const char *name_end = p;
    while (name_end < end && *name_end != '!' && *name_end != ':')
        name_end += *name_end == '[' && memchr(name_end, ']', (size_t)(end - name_end))
                        ? (const char *)memchr(name_end, ']', (size_t)(end - name_end)) - name_end
                        : 1;
    struct value v = field_value(f, (struct str){p, (size_t)(name_end - p)});
    if (r->failed) return false;
    size_t mark = tpl_capture(r);
    p = name_end;
    if (p < end && *p == '!') {
        char conversion = p + 1 < end ? p[1] : 0;
        if (conversion == 's')
            tpl_put_str(r, v);
        else if (conversion == 'r' || conversion == 'a')
            tpl_put_repr(r, v);
        else
            return tpl_fail(r, "unknown conversion specifier"), false;
        v = tpl_captured(r, mark);
        p += 2;
        if (p < end && *p != ':') return tpl_fail(r, "expected ':' after conversion"), false;
    }
    if (p < end) put_braces(f, p + 1, end, nesting + 1);
    struct value spec = tpl_captured(r, mark);
    if (r->failed || !f->markup || (v.kind == V_STRING && v.flag))
        return !r->failed && put_formatted(r, v, spec.as.string);
    put_formatted(r, v, spec.as.string);
    struct value plain = tpl_captured(r, mark);
    return tpl_put_escaped(r, plain.as.string);
}

static const char *field_end(const char *p, const char *end) {
    for (unsigned depth = 1; p < end; p++) {
        depth += *p == '{';
        if (*p == '}' && --depth == 0) return p;
    }
    return NULL;
}

static bool put_braces(struct braces *f, const char *p, const char *end, unsigned nesting) {
    struct render *r = f->r;
    if (nesting > FORMAT_NESTING_MAX) return tpl_fail(r, "max string recursion exceeded"), false;
    while (p < end && !r->failed) {
        const char *start = p;
        while (p < end && *p != '{' && *p != '}')
            p++;
        tpl_put(r, start, (size_t)(p - start));
        if (p == end) break;
        if (p + 1 < end && p[1] == *p) {
            tpl_put_char(r, *p);
            p += 2;
            continue;
        }
        const char *close = *p == '{' ? field_end(p + 1, end) : NULL;
        if (!close) return tpl_fail(r, "single '%c' encountered in format string", *p), false;
        put_field(f, p + 1, close, nesting);
        p = close + 1;
    }
    return !r->failed;
}

struct value tpl_method_format(struct render *r, struct value self, const struct value *a,
                               const struct args *args) {
    (void)a;
    struct braces f = {.r = r, .args = args, .markup = self.flag};
    size_t mark = tpl_capture(r);
    const struct str *s = self.as.string;
    put_braces(&f, s->data, s->data + s->length, 0);
    struct value v = tpl_captured(r, mark);
    v.flag = self.flag;
    return v;
}
