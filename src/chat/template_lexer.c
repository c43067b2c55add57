/* template_lexer.c - a template's text as tokens.
 *
 * White space is decided here, as in Jinja's lexer: `-` strips all of it on its side, `+`
 * keeps it; else a newline right after a block or comment is dropped (trim_blocks), and
 * blanks between the line's start and a block or comment are dropped (lstrip_blocks). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/template_ast.h"
#include "chat/template_unicode.h"

void source_position(const char *source, size_t offset, unsigned *line, unsigned *column) {
    *line = *column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (source[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)source[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

hearth_status source_error(const char *source, size_t offset, hearth_error *err, const char *format,
                           ...) {
    unsigned line, column;
    char message[HEARTH_ERROR_MESSAGE_BYTES];
    source_position(source, offset, &line, &column);
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return error_set(err, HEARTH_ERROR_FORMAT, "template line %u column %u: %s", line, column,
                     message);
}

void lexer_init(struct lexer *lexer, const char *source, size_t length, struct arena *arena,
                hearth_error *err) {
    *lexer = (struct lexer){
        .source = source, .length = length, .line_starting = true, .arena = arena, .err = err};
}

static bool at(const struct lexer *lexer, size_t position, const char *text) {
    size_t n = strlen(text);
    return position <= lexer->length && n <= lexer->length - position &&
           memcmp(lexer->source + position, text, n) == 0;
}

static size_t skip_space(const struct lexer *lexer, size_t position) {
    while (position < lexer->length) {
        uint32_t code;
        size_t n = text_decode(lexer->source + position, lexer->length - position, &code);
        if (!code_is_space(code)) break;
        position += n;
    }
    return position;
}

/* If a tag's end ("%}", "#}") is at `position`, with `-` or `+` before it or not, its end
 * after the white space it takes along; else 0. */
static size_t match_end(const struct lexer *lexer, size_t position, const char *close) {
    if (position >= lexer->length) return 0;
    char sign = lexer->source[position];
    if (sign == '-' && at(lexer, position + 1, close)) return skip_space(lexer, position + 3);
    if (sign == '+' && at(lexer, position + 1, close)) return position + 3;
    if (!at(lexer, position, close)) return 0;
    return position + 2 + at(lexer, position + 2, "\n");
}

static size_t skip_sign(const struct lexer *lexer, size_t position) {
    return position + (at(lexer, position, "-") || at(lexer, position, "+"));
}

static size_t match_raw(const struct lexer *lexer, size_t open) {
    size_t p = skip_space(lexer, skip_sign(lexer, open + 2));
    if (!at(lexer, p, "raw")) return 0;
    p = skip_space(lexer, p + 3);
    if (at(lexer, p, "-%}")) return skip_space(lexer, p + 3);
    return at(lexer, p, "%}") ? p + 2 : 0;
}

static size_t match_endraw(const struct lexer *lexer, size_t open) {
    size_t p = skip_space(lexer, skip_sign(lexer, open + 2));
    if (!at(lexer, p, "endraw")) return 0;
    return match_end(lexer, skip_space(lexer, p + 6), "%}");
}

/* The text from `position` to the tag at `open`, without what the tag strips. */
static struct str text_before(const struct lexer *lexer, size_t open, bool strip_line) {
    struct str text = {lexer->source + lexer->position, open - lexer->position};
    if (at(lexer, open + 2, "-")) return text_strip(text, NULL, STRIP_RIGHT);
    if (at(lexer, open + 2, "+") || !strip_line) return text;
    size_t line = text.length;
    while (line > 0 && text.data[line - 1] != '\n')
        line--;
    if (line == 0 && !lexer->line_starting) return text;
    struct str blanks = {text.data + line, text.length - line};
    if (text_strip(blanks, NULL, STRIP_LEFT).length == 0) text.length = line;
    return text;
}

static void move_to(struct lexer *lexer, size_t position) {
    lexer->position = position;
    lexer->line_starting = position > 0 && lexer->source[position - 1] == '\n';
}

static bool data_token(struct token *token, size_t offset, struct str text) {
    *token = (struct token){.kind = TOKEN_DATA, .offset = (uint32_t)offset, .text = text};
    return text.length > 0;
}

static size_t find_open(const struct lexer *lexer, size_t from) {
    while (from + 1 < lexer->length) {
        const char *brace = memchr(lexer->source + from, '{', lexer->length - from - 1);
        if (!brace) break;
        if (brace[1] == '%' || brace[1] == '{' || brace[1] == '#')
            return (size_t)(brace - lexer->source);
        from = (size_t)(brace - lexer->source) + 1;
    }
    return lexer->length;
}

static hearth_status raw_text(struct lexer *lexer, struct token *token, bool *found) {
    size_t start = lexer->position, end = 0, open = start;
    for (; open < lexer->length; open++) {
        open = find_open(lexer, open);
        if (at(lexer, open, "{%") && (end = match_endraw(lexer, open)) != 0) break;
    }
    if (!end)
        return source_error(lexer->source, start, lexer->err,
                            "'{%% raw %%}' is not closed: expected '{%% endraw %%}'");
    *found = data_token(token, start, text_before(lexer, open, true));
    move_to(lexer, end);
    lexer->raw = false;
    return HEARTH_OK;
}

static hearth_status skip_comment(struct lexer *lexer, size_t open) {
    size_t start = skip_sign(lexer, open + 2);
    for (size_t p = start; p + 1 < lexer->length; p++) {
        if (!at(lexer, p, "#}")) continue;
        bool signed_ = p > start && (lexer->source[p - 1] == '-' || lexer->source[p - 1] == '+');
        move_to(lexer, match_end(lexer, signed_ ? p - 1 : p, "#}"));
        return HEARTH_OK;
    }
    return source_error(lexer->source, open, lexer->err, "comment is not closed: expected '#}'");
}

/* Template data up to the next tag; comments and raw blocks disappear here. */
static hearth_status next_data(struct lexer *lexer, struct token *token) {
    for (bool found = false; !found;) {
        if (lexer->raw) {
            RETURN_IF_ERROR(raw_text(lexer, token, &found));
            continue;
        }
        size_t start = lexer->position, open = find_open(lexer, start), end;
        if (open == lexer->length) {
            lexer->position = open;
            if (!data_token(token, start, (struct str){lexer->source + start, open - start}))
                token->kind = TOKEN_END;
            return HEARTH_OK;
        }
        char kind = lexer->source[open + 1];
        found = data_token(token, start, text_before(lexer, open, kind != '{'));
        if (kind == '#') {
            RETURN_IF_ERROR(skip_comment(lexer, open));
        } else if (kind == '%' && (end = match_raw(lexer, open)) != 0) {
            move_to(lexer, end);
            lexer->raw = true;
        } else {
            lexer->position = skip_sign(lexer, open + 2);
            lexer->pending = kind == '%' ? TOKEN_BLOCK_BEGIN : TOKEN_VARIABLE_BEGIN;
            lexer->pending_offset = (uint32_t)open;
            return HEARTH_OK;
        }
    }
    return HEARTH_OK;
}

/* ---- inside a tag ---- */

static size_t digits(const struct lexer *lexer, size_t p, const char *set, bool leading_line) {
    for (;; p++) {
        size_t digit = p;
        if (at(lexer, p, "_") && (leading_line || lexer->source[p - 1] != '_')) digit = p + 1;
        if (digit >= lexer->length || !lexer->source[digit] || !strchr(set, lexer->source[digit]))
            return p;
        p = digit;
        leading_line = false;
    }
}

/* The end of the float at `start`, or `start` when it is no float. */
static size_t match_float(const struct lexer *lexer, size_t start) {
    static const char decimal[] = "0123456789";
    if (start > 0 && lexer->source[start - 1] == '.') return start;
    size_t p = digits(lexer, start, decimal, false), end = start;
    if (at(lexer, p, ".")) {
        size_t fraction = digits(lexer, p + 1, decimal, false);
        if (fraction > p + 1 && lexer->source[p + 1] != '_') end = p = fraction;
    }
    if (at(lexer, p, "e") || at(lexer, p, "E")) {
        size_t exponent = skip_sign(lexer, p + 1);
        size_t after = digits(lexer, exponent, decimal, false);
        if (after > exponent && lexer->source[exponent] != '_') end = after;
    }
    return end;
}

static size_t match_integer(const struct lexer *lexer, size_t p, int *base) {
    static const struct {
        char mark;
        int base;
        const char *digits;
    } forms[] = {{'b', 2, "01"}, {'o', 8, "01234567"}, {'x', 16, "0123456789abcdefABCDEF"}};
    *base = 10;
    if (lexer->source[p] != '0') return digits(lexer, p, "0123456789", false);
    for (size_t i = 0; i < 3 && p + 1 < lexer->length; i++) {
        if ((lexer->source[p + 1] | 0x20) != forms[i].mark) continue;
        size_t end = digits(lexer, p + 2, forms[i].digits, true);
        if (end == p + 2) break;
        *base = forms[i].base;
        return end;
    }
    return digits(lexer, p, "0", false);
}

static hearth_status number_token(struct lexer *lexer, struct token *token) {
    size_t start = lexer->position, end = match_float(lexer, start);
    struct str text = {lexer->source + start, end - start};
    if (end > start) {
        token->kind = TOKEN_FLOAT;
        if (!tpl_parse_float(&text, &token->real))
            return source_error(lexer->source, start, lexer->err, "number is out of range");
    } else {
        int base;
        end = match_integer(lexer, start, &base);
        text.length = end - start;
        token->kind = TOKEN_INTEGER;
        if (!tpl_parse_int(&text, base == 10 ? 10 : 0, &token->integer))
            return source_error(lexer->source, start, lexer->err,
                                "integer does not fit in 64 bits");
    }
    lexer->position = end;
    return HEARTH_OK;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
    return -1;
}

/* \xHH, \uHHHH and \UHHHHHHHH at `p` (after the backslash); bytes read, 0 when wrong. */
static size_t hex_escape(const char *p, const char *end, char *out, size_t *n) {
    size_t count = *p == 'x' ? 2 : *p == 'u' ? 4 : 8;
    uint32_t code = 0;
    if ((size_t)(end - p) <= count) return 0;
    for (size_t i = 1; i <= count; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0 || code >> 28) return 0;
        code = code << 4 | (uint32_t)digit;
    }
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0;
    *n += text_encode(code, out + *n);
    return count + 1;
}

static size_t octal_escape(const char *p, const char *end, char *out, size_t *n) {
    uint32_t code = 0;
    size_t i = 0;
    for (; i < 3 && p + i < end && p[i] >= '0' && p[i] <= '7'; i++)
        code = code << 3 | (uint32_t)(p[i] - '0');
    *n += text_encode(code, out + *n);
    return i;
}

/* Python's escapes; unknown ones stay as written. An escape never grows. */
static bool unescape(const char *p, const char *end, char *out, size_t *n) {
    static const char plain[] = "\\'\"abfnrtv", meaning[] = "\\'\"\a\b\f\n\r\t\v";
    while (p < end) {
        const char *known;
        if (*p != '\\' || p + 1 == end) {
            out[(*n)++] = *p++;
            continue;
        }
        p++;
        if (*p == '\n') {
            p++;
        } else if (*p == 'x' || *p == 'u' || *p == 'U') {
            size_t used = hex_escape(p, end, out, n);
            if (!used) return false;
            p += used;
        } else if (*p >= '0' && *p <= '7') {
            p += octal_escape(p, end, out, n);
        } else if (*p == 'N') {
            return false;
        } else if (*p && (known = strchr(plain, *p))) {
            out[(*n)++] = meaning[known - plain];
            p++;
        } else {
            out[(*n)++] = '\\';
        }
    }
    return true;
}

static hearth_status string_token(struct lexer *lexer, struct token *token) {
    size_t start = lexer->position, end = start + 1;
    char quote = lexer->source[start];
    while (end < lexer->length && lexer->source[end] != quote)
        end += lexer->source[end] == '\\' ? 2 : 1;
    if (end >= lexer->length)
        return source_error(lexer->source, start, lexer->err, "string is not closed");
    char *text = arena_alloc(lexer->arena, end - start);
    if (!text) return error_set(lexer->err, HEARTH_ERROR_NO_MEMORY, "no memory for a template");
    size_t n = 0;
    if (!unescape(lexer->source + start + 1, lexer->source + end, text, &n))
        return source_error(lexer->source, start, lexer->err,
                            "string has an escape that is no character");
    token->kind = TOKEN_STRING;
    token->text = (struct str){text, n};
    lexer->position = end + 1;
    return HEARTH_OK;
}

static bool name_token(struct lexer *lexer, struct token *token) {
    size_t p = lexer->position;
    while (p < lexer->length) {
        uint32_t code;
        size_t n = text_decode(lexer->source + p, lexer->length - p, &code);
        if (!code_is_word(code)) break;
        p += n;
    }
    token->kind = TOKEN_NAME;
    token->text = (struct str){lexer->source + lexer->position, p - lexer->position};
    lexer->position = p;
    return token->text.length > 0;
}

static hearth_status bracket(struct lexer *lexer, char c) {
    static const char open[] = "([{", close[] = ")]}";
    const char *found = strchr(open, c);
    if (found) {
        if (lexer->n_brackets == LEXER_BRACKETS_MAX)
            return source_error(lexer->source, lexer->position, lexer->err,
                                "brackets are nested deeper than %d", LEXER_BRACKETS_MAX);
        lexer->brackets[lexer->n_brackets++] = close[found - open];
        return HEARTH_OK;
    }
    if (!strchr(close, c)) return HEARTH_OK;
    if (lexer->n_brackets == 0)
        return source_error(lexer->source, lexer->position, lexer->err, "unexpected '%c'", c);
    char expected = lexer->brackets[--lexer->n_brackets];
    if (expected == c) return HEARTH_OK;
    return source_error(lexer->source, lexer->position, lexer->err,
                        "unexpected '%c', expected '%c'", c, expected);
}

static hearth_status operator_token(struct lexer *lexer, struct token *token) {
    static const char two[][3] = {"//", "**", "==", "!=", ">=", "<="};
    size_t p = lexer->position;
    char c = lexer->source[p];
    token->kind = TOKEN_OPERATOR;
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++) {
        if (!at(lexer, p, two[i])) continue;
        token->op = OP2(two[i][0], two[i][1]);
        lexer->position += 2;
        return HEARTH_OK;
    }
    if (!c || !strchr("+-/*%~[](){}><=.:|,;", c))
        return source_error(lexer->source, p, lexer->err, "unexpected character '%.*s'",
                            (int)text_decode(lexer->source + p, lexer->length - p, &(uint32_t){0}),
                            lexer->source + p);
    RETURN_IF_ERROR(bracket(lexer, c));
    token->op = OP1((unsigned char)c);
    lexer->position++;
    return HEARTH_OK;
}

static bool tag_end(struct lexer *lexer, struct token *token) {
    size_t p = lexer->position, end = 0;
    if (lexer->n_brackets > 0) return false;
    if (lexer->state == LEX_BLOCK)
        end = match_end(lexer, p, "%}");
    else if (at(lexer, p, "-}}"))
        end = skip_space(lexer, p + 3);
    else if (at(lexer, p, "}}"))
        end = p + 2;
    if (!end) return false;
    token->kind = lexer->state == LEX_BLOCK ? TOKEN_BLOCK_END : TOKEN_VARIABLE_END;
    move_to(lexer, end);
    lexer->state = LEX_DATA;
    return true;
}

static hearth_status next_in_tag(struct lexer *lexer, struct token *token) {
    *token = (struct token){.kind = TOKEN_END, .offset = (uint32_t)lexer->position};
    if (tag_end(lexer, token)) return HEARTH_OK;
    lexer->position = skip_space(lexer, lexer->position);
    token->offset = (uint32_t)lexer->position;
    if (lexer->position == lexer->length || tag_end(lexer, token)) return HEARTH_OK;
    char c = lexer->source[lexer->position];
    if (c >= '0' && c <= '9') return number_token(lexer, token);
    if (c == '\'' || c == '"') return string_token(lexer, token);
    if (name_token(lexer, token)) return HEARTH_OK;
    return operator_token(lexer, token);
}

hearth_status lexer_next(struct lexer *lexer, struct token *token) {
    if (lexer->state != LEX_DATA) return next_in_tag(lexer, token);
    if (lexer->pending == TOKEN_END) {
        RETURN_IF_ERROR(next_data(lexer, token));
        if (token->kind == TOKEN_END || token->text.length > 0) return HEARTH_OK;
    }
    *token = (struct token){.kind = lexer->pending, .offset = lexer->pending_offset};
    lexer->state = lexer->pending == TOKEN_BLOCK_BEGIN ? LEX_BLOCK : LEX_VARIABLE;
    lexer->pending = TOKEN_END;
    return HEARTH_OK;
}
