#include "chat/constraint_mark.h"

#include <string.h>

#include "base/mem.h"

/* The first `n_before` bytes of a mark, and the tokens that must not follow them. */
struct refusal {
    const char *mark;
    size_t n_before, first, n; /* of watch->tokens */
};

struct mark_watch {
    const struct constraint_vocabulary *vocabulary;
    struct refusal *refusals;
    uint32_t *tokens;
    size_t n_refusals, refusal_room, n_tokens, token_room;
    uint64_t *words; /* the mask that was given last */
    size_t n_words;
    bool failed; /* no memory */
};

struct searching {
    struct mark_watch *watch;
    mark_follower may_follow;
    void *context;
    const char *mark;
};

/* The array with room for one more; NULL: no memory, and it stays as it was. */
static void *make_room(struct mark_watch *w, void *array, size_t n, size_t *room, size_t size) {
    if (n < *room) return array;
    size_t wanted = *room ? 2 * *room : 64;
    void *grown = mem_realloc_array(array, wanted, size);
    if (grown)
        *room = wanted;
    else
        w->failed = true;
    return grown;
}

static bool begin_refusal(struct mark_watch *w, const char *mark, size_t n_before) {
    struct refusal *refusals =
        make_room(w, w->refusals, w->n_refusals, &w->refusal_room, sizeof *refusals);
    if (!refusals) return false;
    w->refusals = refusals;
    refusals[w->n_refusals++] =
        (struct refusal){.mark = mark, .n_before = n_before, .first = w->n_tokens};
    return true;
}

static bool goes_on(const struct mark_watch *w, const char *mark, size_t n_before) {
    if (w->n_refusals == 0) return false;
    const struct refusal *last = &w->refusals[w->n_refusals - 1];
    return last->mark == mark && last->n_before == n_before;
}

static void refuse(struct mark_watch *w, const char *mark, size_t n_before, uint32_t token) {
    if (!goes_on(w, mark, n_before) && !begin_refusal(w, mark, n_before)) return;
    uint32_t *tokens = make_room(w, w->tokens, w->n_tokens, &w->token_room, sizeof *tokens);
    if (!tokens) return;
    w->tokens = tokens;
    tokens[w->n_tokens++] = token;
    w->refusals[w->n_refusals - 1].n++;
}

static const char *text_of(const struct constraint_vocabulary *v, uint32_t token, size_t *n) {
    *n = v->first_byte[token + 1] - v->first_byte[token];
    return v->bytes + v->first_byte[token];
}

/* The first of the sorted tokens that is not before `text`. */
static uint32_t first_from(const struct constraint_vocabulary *v, const char *text, size_t n) {
    uint32_t low = 0, high = v->n_by_text;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        size_t length;
        const char *bytes = text_of(v, v->by_text[middle], &length);
        int order = memcmp(bytes, text, length < n ? length : n);
        if (order < 0 || (order == 0 && length < n))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Tokens that begin with the end of the mark, after its first `n_before` bytes. */
static void find_after(const struct searching *s, size_t n_before) {
    const struct constraint_vocabulary *v = s->watch->vocabulary;
    const char *end = s->mark + n_before;
    size_t n_end = strlen(end), n;
    for (uint32_t i = first_from(v, end, n_end); i < v->n_by_text; i++) {
        const char *text = text_of(v, v->by_text[i], &n);
        if (n < n_end || memcmp(text, end, n_end) != 0) return;
        if (n > n_end && !s->may_follow(s->context, s->mark, text + n_end, n - n_end))
            refuse(s->watch, s->mark, n_before, v->by_text[i]);
    }
}

/* Tokens with the whole mark behind something else. */
static void find_inside(const struct searching *s) {
    const struct constraint_vocabulary *v = s->watch->vocabulary;
    size_t n_mark = strlen(s->mark);
    for (uint32_t token = 0; token < v->n_tokens; token++) {
        size_t n;
        const char *text = text_of(v, token, &n);
        const char *found = n > n_mark ? memmem(text + 1, n - 1, s->mark, n_mark) : NULL;
        size_t n_rest = found ? n - (size_t)(found - text) - n_mark : 0;
        if (n_rest > 0 && !s->may_follow(s->context, s->mark, found + n_mark, n_rest))
            refuse(s->watch, s->mark, 0, token);
    }
}

hearth_status mark_watch_open(struct mark_watch **out, const struct constraint_vocabulary *v,
                              const char *const *marks, size_t n_marks, mark_follower may_follow,
                              void *context, hearth_error *err) {
    struct mark_watch *w = mem_calloc(1, sizeof *w);
    *out = NULL;
    if (w) {
        w->vocabulary = v;
        w->n_words = ((size_t)v->n_tokens + 63) / 64;
        w->words = mem_alloc_array(w->n_words + 1, sizeof *w->words);
        w->failed = !w->words;
    }
    for (size_t i = 0; w && !w->failed && i < n_marks; i++) {
        const struct searching s = {w, may_follow, context, marks[i]};
        for (size_t n_before = 0; marks[i][n_before]; n_before++)
            find_after(&s, n_before);
        find_inside(&s);
    }
    if (!w || w->failed) {
        mark_watch_close(w);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the marks of a form");
    }
    *out = w;
    return HEARTH_OK;
}

void mark_watch_close(struct mark_watch *w) {
    if (!w) return;
    mem_free(w->refusals);
    mem_free(w->tokens);
    mem_free(w->words);
    mem_free(w);
}

const uint64_t *mark_watch_allowed(struct mark_watch *w, const char *before, size_t n) {
    bool any = false;
    for (size_t i = 0; i < w->n_refusals; i++) {
        const struct refusal *r = &w->refusals[i];
        if (r->n_before > n) continue;
        if (r->n_before > 0 && memcmp(before + n - r->n_before, r->mark, r->n_before) != 0)
            continue;
        if (!any) memset(w->words, 0xff, w->n_words * sizeof *w->words);
        any = true;
        for (size_t k = r->first; k < r->first + r->n; k++)
            w->words[w->tokens[k] / 64] &= ~((uint64_t)1 << w->tokens[k] % 64);
    }
    return any ? w->words : NULL;
}
