/* Tools of any JSON, as grammars of their calls in the form that the first byte chooses: what the
 * grammar allows is accepted, and the reader takes it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "call_templates.h"
#include "chat/answer_reader.h"
#include "fuzz_target_constraint.h"

static void ignore(void *context, const struct answer_piece *piece) {
    (void)context;
    (void)piece;
}

/* Some hundred allowed tokens after a mark. */
static void follow(struct constraint *c, const char *mark, struct answer_reader *reader,
                   size_t size) {
    struct constraint_state *s;
    if (constraint_begin(c, &s, NULL) != HEARTH_OK) abort();
    bool begins = constraint_accept_text(s, mark, strlen(mark)); /* some tool can be called */
    if (answer_reader_push(reader, mark, strlen(mark), NULL) != HEARTH_OK) abort();
    for (size_t step = 0; begins && step < 300 && !constraint_must_end(s); step++) {
        const uint64_t *mask = constraint_allowed(s);
        int32_t token = (int32_t)((size + step * 97) % 256), tried = 0;
        if (!mask) abort();
        for (; tried < 256 && !(mask[token / 64] >> token % 64 & 1); tried++)
            token = (token + 1) % 256;
        if (tried == 256) break;
        char c1 = (char)token;
        if (!constraint_accept(s, token)) abort();
        if (answer_reader_push(reader, &c1, 1, NULL) != HEARTH_OK) abort();
    }
    constraint_end(s);
}

static void use_grammar(const struct answer_form *form, const json_t *tools, const char *grammar,
                        const json_t *schemas, size_t size) {
    const char *marks[ANSWER_MARKS_MAX];
    struct constraint *c;
    struct answer_reader *reader;
    size_t n = answer_form_call_marks(form, marks);
    if (constraint_open(&c, fuzz_vocabulary(), CONSTRAINT_CALLS, schemas, grammar, NULL) !=
        HEARTH_OK)
        return;
    if (constraint_set_marks(c, marks, n, NULL) != HEARTH_OK) abort();
    for (size_t i = 0; i < n; i++) {
        if (answer_reader_open(&reader, form, tools, false, ignore, NULL, NULL) != HEARTH_OK)
            abort();
        constraint_allowed_before(c, marks[i], strlen(marks[i]) - 1);
        follow(c, marks[i], reader, size);
        if (answer_reader_finish(reader, NULL) != HEARTH_OK) abort();
        answer_reader_close(reader);
    }
    constraint_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct answer_form *form;
    char *grammar;
    json_t *schemas;
    if (size < 2 || size > 1 << 14) return 0;
    json_t *tools = json_loadb((const char *)data + 1, size - 1, JSON_ALLOW_NUL, NULL);
    if (!tools || answer_form_open(&form, call_template(data[0]), NULL) != HEARTH_OK) return 0;
    if (answer_form_begun_grammar(form, tools, size % 2, &grammar, &schemas)) {
        use_grammar(form, tools, grammar, schemas, size);
        mem_free(grammar);
        json_decref(schemas);
    }
    if (answer_form_tool_grammar(form, tools, size % 2, &grammar, &schemas)) {
        mem_free(grammar);
        json_decref(schemas);
    }
    answer_form_close(form);
    json_decref(tools);
    return 0;
}
