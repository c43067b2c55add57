/* call_writing.h - an answer that is written byte by byte, as a model's tokens are, with calls held
 * to the tools that were offered. */
#ifndef HEARTH_TESTS_CHAT_CALL_WRITING_H
#define HEARTH_TESTS_CHAT_CALL_WRITING_H

#include "answer_collector.h"
#include "constraint_cases.h"

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":"
    "\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\","
    "\"minimum\":1,\"maximum\":14},\"unit\":{\"type\":\"string\",\"enum\":[\"celsius\","
    "\"fahrenheit\"]}},\"required\":[\"city\",\"days\"]}}},{\"type\":\"function\",\"function\":{"
    "\"name\":\"get_time\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}},{\"type\":"
    "\"function\",\"function\":{\"name\":\"search-db\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"exact\":{\"type\":\"boolean\"},\"filters\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"object\",\"properties\":{\"field\":{\"type\":\"string\"},\"limit\":{\"type\":["
    "\"integer\",\"null\"]}},\"required\":[\"field\"],\"additionalProperties\":false}}},"
    "\"required\":[\"filters\"]}}}]";

static struct constraint_vocabulary *bytes; /* of the test */

/* ---- an answer that is written byte by byte, as a model's tokens are ---- */

struct writing {
    struct constraint *calls;
    struct constraint_state *call;
    struct answer_reader *reader;
    struct collected got;
    struct buf text;
    unsigned n_marks, n_ended; /* calls or sections that began, and that ended */
};

static inline struct constraint *calls_of(const struct answer_form *form, const json_t *tools,
                                          bool one_call) {
    const char *marks[ANSWER_MARKS_MAX];
    struct constraint *c;
    json_t *schemas;
    char *grammar;
    hearth_error err = {0};
    if (!answer_form_begun_grammar(form, tools, one_call, &grammar, &schemas)) return NULL;
    if (constraint_open(&c, bytes, CONSTRAINT_CALLS, schemas, grammar, &err) != HEARTH_OK)
        fail_msg("%s: %s\n%s", answer_form_name(form), err.message, grammar);
    size_t n = answer_form_call_marks(form, marks);
    assert_int_equal(constraint_set_marks(c, marks, n, NULL), HEARTH_OK);
    mem_free(grammar);
    json_decref(schemas);
    return c;
}

static inline void begin(struct writing *w, const struct answer_form *form, const json_t *tools,
                         struct constraint *calls) {
    *w = (struct writing){.calls = calls};
    collected_init(&w->got);
    buf_init(&w->text, 1 << 20);
    assert_int_equal(answer_reader_open(&w->reader, form, tools, false, collect, &w->got, NULL),
                     HEARTH_OK);
}

static inline void end(struct writing *w) {
    constraint_end(w->call);
    answer_reader_close(w->reader);
    collected_release(&w->got);
    buf_release(&w->text);
}

/* NULL: any byte. */
static inline const uint64_t *allowed(struct writing *w) {
    size_t n;
    if (w->call) return constraint_allowed(w->call);
    const char *before = answer_reader_before_mark(w->reader, &n);
    return before ? constraint_allowed_before(w->calls, before, n) : NULL;
}

static inline void look_for_mark(struct writing *w) {
    struct answer_mark mark = answer_reader_mark(w->reader);
    bool is_new = mark.number != w->n_marks;
    w->n_marks = mark.number;
    if (!is_new || w->call) return;
    assert_int_equal(mark.end, 1);
    assert_int_equal(constraint_begin(w->calls, &w->call, NULL), HEARTH_OK);
    if (!constraint_accept_text(w->call, mark.text, strlen(mark.text)))
        fail_msg("the grammar does not begin with '%s'", mark.text);
}

/* False: not allowed here, and nothing has changed. */
static inline bool put(struct writing *w, char c) {
    const uint64_t *mask = allowed(w);
    if (mask && !may_follow(mask, (uint8_t)c)) return false;
    if (w->call) assert_true(constraint_accept(w->call, (uint8_t)c));
    buf_append_char(&w->text, c);
    assert_int_equal(answer_reader_push(w->reader, &c, 1, NULL), HEARTH_OK);
    look_for_mark(w);
    if (w->call && constraint_must_end(w->call)) {
        constraint_end(w->call);
        w->call = NULL;
        w->n_ended++;
    }
    return true;
}

/* How much of a text is allowed. */
static inline size_t put_text(struct writing *w, const char *text, size_t n) {
    size_t i = 0;
    while (i < n && put(w, text[i]))
        i++;
    return i;
}

static inline int open_bytes(void **state) {
    (void)state;
    bytes = byte_vocabulary();
    return 0;
}

static inline int close_bytes(void **state) {
    (void)state;
    constraint_vocabulary_close(bytes);
    return 0;
}

#endif
