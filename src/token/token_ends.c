/* Which tokens end a generation, and roles that the file did not declare. */
#include <string.h>

#include "token/special_names.h"
#include "token/tokenizer_parts.h"

static int32_t find_name(const struct tokenizer *t, const char *name) {
    return vocabulary_find(&t->vocabulary, name, strlen(name));
}

static void set_bits(struct tokenizer *t, int32_t id, unsigned bits) {
    if (id >= 0) t->vocabulary.bits[id] = (uint16_t)(t->vocabulary.bits[id] | bits);
}

/* Replaces what the token is, not how it is looked for. */
static void set_kind(struct tokenizer *t, int32_t id, unsigned kind) {
    unsigned kept = TOKEN_BIT_LSTRIP | TOKEN_BIT_RSTRIP | TOKEN_BIT_SINGLE_WORD |
                    TOKEN_BIT_NORMALIZED | TOKEN_BIT_ADDED;
    if (id >= 0) t->vocabulary.bits[id] = (uint16_t)((t->vocabulary.bits[id] & kept) | kind);
}

static bool is_end(const struct tokenizer *t, const char *name) {
    int32_t id = find_name(t, name);
    return id >= 0 && t->vocabulary.bits[id] & TOKEN_BIT_END;
}

static void find_roles(struct tokenizer *t) {
    for (size_t i = 0; i < sizeof role_names / sizeof *role_names; i++) {
        if (t->roles[role_names[i].role] != TOKEN_NONE) continue;
        int32_t id = find_name(t, role_names[i].spelling);
        if (id < 0) continue;
        t->roles[role_names[i].role] = id;
        set_bits(t, id, TOKEN_BIT_CONTROL);
    }
}

/* GGUF's readers agree that these are found in and rendered as text; a tokenizer.json
 * says itself that they are special. */
static unsigned shown_kind(const struct tokenizer *t) {
    return t->added.leftmost ? TOKEN_BIT_CONTROL : TOKEN_BIT_USER_DEFINED;
}

/* Two families use a spelling above for something that goes on. */
static void unmark_exceptions(struct tokenizer *t) {
    bool is_harmony = is_end(t, "<|return|>") && is_end(t, "<|call|>");
    bool is_solar = is_end(t, "<|calls|>") && is_end(t, "<|flush|>");
    if ((is_harmony || is_solar) && is_end(t, "<|end|>"))
        set_kind(t, find_name(t, "<|end|>"), shown_kind(t));
    if (is_end(t, "<|tool_response>") && is_end(t, "</s>"))
        set_kind(t, find_name(t, "</s>"), t->added.leftmost ? TOKEN_BIT_CONTROL : TOKEN_BIT_NORMAL);
}

void tokenizer_mark_ends(struct tokenizer *t) {
    static const enum token_role ending[] = {TOKEN_FIM_PAD, TOKEN_FIM_REPO, TOKEN_FIM_FILE,
                                             TOKEN_EOS,     TOKEN_EOT,      TOKEN_EOM};
    find_roles(t);
    for (size_t i = 0; i < sizeof end_names / sizeof *end_names; i++)
        set_bits(t, find_name(t, end_names[i]), TOKEN_BIT_END | TOKEN_BIT_CONTROL);
    for (size_t i = 0; i < sizeof shown_names / sizeof *shown_names; i++)
        set_kind(t, find_name(t, shown_names[i]), shown_kind(t));
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        set_bits(t, t->roles[ending[i]], TOKEN_BIT_END);
    unmark_exceptions(t);
}
