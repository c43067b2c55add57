#include "token/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum {
    JIT_STACK_START = 32 << 10,
    JIT_STACK_MAX = 4 << 20,
    MATCH_LIMIT = 10000000,
    HEAP_LIMIT_KIB = 512 << 10
};

struct regex {
    pcre2_code *code;
};

struct regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* ---- adapting patterns ---------------------------------------------------------- */

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* PCRE2's own \w lacks marks. */
#define WORD "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}"

/* One escape, pattern[0] is the backslash; returns how many bytes were read. */
static size_t adapt_escape(const char *pattern, size_t n, bool in_class, struct buf *out) {
    if (n < 2) {
        buf_append(out, pattern, n);
        return n;
    }
    if (pattern[1] == 's' || pattern[1] == 'S') {
        buf_append_text(out, pattern[1] == 's' ? "\\p{wspace}" : "\\P{wspace}");
        return 2;
    }
    if (pattern[1] == 'w') {
        buf_append_text(out, in_class ? WORD : "[" WORD "]");
        return 2;
    }
    if (pattern[1] == 'u' && n >= 6 && is_hex(pattern[2]) && is_hex(pattern[3]) &&
        is_hex(pattern[4]) && is_hex(pattern[5])) {
        buf_append_format(out, "\\x{%.4s}", pattern + 2);
        return 6;
    }
    buf_append(out, pattern, 2);
    return 2;
}

static hearth_status adapt(const char *pattern, size_t n, struct buf *out, hearth_error *err) {
    bool in_class = false;
    for (size_t i = 0; i < n;) {
        char c = pattern[i];
        if (c == '\\') {
            i += adapt_escape(pattern + i, n - i, in_class, out);
            continue;
        }
        if (in_class && c == '&' && i + 1 < n && pattern[i + 1] == '&')
            return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                             "tokenizer pattern uses '&&' in a character class, which is not "
                             "supported: '%.60s'",
                             pattern);
        if (c == '[')
            in_class = true;
        else if (c == ']')
            in_class = false;
        buf_append_char(out, c);
        i++;
    }
    return out->failed ? error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a pattern")
                       : HEARTH_OK;
}

/* ---- compiling ------------------------------------------------------------------ */

static hearth_status compile(struct regex *regex, const char *pattern, size_t n,
                             hearth_error *err) {
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a pattern");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    regex->code = pcre2_compile((PCRE2_SPTR)pattern, n,
                                PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                                &code, &at, context);
    pcre2_compile_context_free(context);
    if (!regex->code) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(code, message, sizeof message);
        return error_set(err, HEARTH_ERROR_FORMAT, "tokenizer pattern '%.80s' does not compile: %s",
                         pattern, (const char *)message);
    }
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without it, slower */
    return HEARTH_OK;
}

hearth_status regex_open(struct regex **out, const char *pattern, size_t n, hearth_error *err) {
    *out = NULL;
    if (n > REGEX_MAX_PATTERN_BYTES)
        return error_set(err, HEARTH_ERROR_LIMIT, "tokenizer pattern has %zu bytes, at most %d", n,
                         REGEX_MAX_PATTERN_BYTES);
    struct buf adapted;
    buf_init(&adapted, REGEX_MAX_PATTERN_BYTES * 8);
    struct regex *regex = mem_calloc(1, sizeof *regex);
    hearth_status status = regex
                               ? adapt(pattern, n, &adapted, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a pattern");
    if (status == HEARTH_OK) status = compile(regex, buf_text(&adapted), adapted.length, err);
    buf_release(&adapted);
    if (status == HEARTH_OK)
        *out = regex;
    else
        regex_close(regex);
    return status;
}

void regex_close(struct regex *regex) {
    if (!regex) return;
    pcre2_code_free(regex->code);
    mem_free(regex);
}

/* ---- matching ------------------------------------------------------------------- */

hearth_status regex_scratch_open(struct regex_scratch **out, hearth_error *err) {
    struct regex_scratch *s = mem_calloc(1, sizeof *s);
    if (s) {
        s->data = pcre2_match_data_create(1, NULL);
        s->context = pcre2_match_context_create(NULL);
        s->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
    }
    if (!s || !s->data || !s->context) {
        regex_scratch_close(s);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for pattern matching");
    }
    if (s->stack) pcre2_jit_stack_assign(s->context, NULL, s->stack);
    pcre2_set_match_limit(s->context, MATCH_LIMIT);
    pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
    *out = s;
    return HEARTH_OK;
}

void regex_scratch_close(struct regex_scratch *s) {
    if (!s) return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    mem_free(s);
}

enum regex_result regex_find(const struct regex *regex, struct regex_scratch *scratch,
                             const char *subject, size_t n, size_t from, size_t *begin,
                             size_t *end) {
    PCRE2_SPTR text = (PCRE2_SPTR)subject;
    int rc = pcre2_match(regex->code, text, n, from, PCRE2_NO_UTF_CHECK, scratch->data,
                         scratch->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its stack on the heap */
        rc = pcre2_match(regex->code, text, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                         scratch->data, scratch->context);
    if (rc == PCRE2_ERROR_NOMATCH) return REGEX_NO_MATCH;
    if (rc < 0) return REGEX_GAVE_UP;
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(scratch->data);
    *begin = found[0];
    *end = found[1] < found[0] ? found[0] : found[1]; /* \K in a lookahead */
    return REGEX_MATCH;
}
