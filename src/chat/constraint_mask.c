#include "chat/constraint_mask.h"

#include <string.h>

#include "base/mem.h"

enum {
    VIEW_MAX_WORDS = 1 << 12, /* states with more are walked each time */
    VIEW_MAX_HEIGHT = 32,     /* frames looked at; deeper looks are keyed by the whole stack */
    VIEW_HEIGHTS = VIEW_MAX_HEIGHT + 2,
    VIEW_WHOLE = VIEW_MAX_HEIGHT + 1,
    PLACE_ENDS = -1, /* in a view, after a place's frames */
    STACK_ENDS = -2  /* and the stack's bottom was among them */
};

struct kept_mask {
    uint32_t *view; /* what it depends on */
    uint32_t n_view;
    uint32_t rise; /* frames that were needed above the deepest stack */
    uint64_t used; /* when last */
    uint64_t *words;
};

struct mask_cache {
    const struct constraint_vocabulary *vocabulary;
    struct kept_mask *kept;
    uint32_t *hashes; /* [n_kept], of their views: a search reads only these */
    uint32_t n_kept, most_kept, n_words;
    uint32_t with_height[VIEW_HEIGHTS]; /* masks kept for each height of view */
    uint64_t now;
    uint32_t view[VIEW_MAX_WORDS];
    uint32_t path[VOCABULARY_MAX_TOKEN_BYTES + 1];
};

hearth_status mask_cache_open(struct mask_cache **out, const struct constraint_vocabulary *v,
                              hearth_error *err) {
    struct mask_cache *c = mem_calloc(1, sizeof *c);
    size_t n_words = ((size_t)v->n_tokens + 63) / 64;
    *out = NULL;
    if (c) {
        size_t most = MASK_CACHE_BYTES / ((n_words + 1) * sizeof(uint64_t));
        if (most < MASK_MIN_KEPT) most = MASK_MIN_KEPT;
        if (most > MASK_MAX_KEPT) most = MASK_MAX_KEPT;
        c->vocabulary = v;
        c->n_words = (uint32_t)n_words;
        c->most_kept = (uint32_t)most;
        c->kept = mem_calloc(most, sizeof *c->kept);
        c->hashes = mem_calloc(most, sizeof *c->hashes);
    }
    if (!c || !c->kept || !c->hashes) {
        mask_cache_close(c);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for token masks");
    }
    *out = c;
    return HEARTH_OK;
}

void mask_cache_close(struct mask_cache *c) {
    if (!c) return;
    for (uint32_t i = 0; c->kept && i < c->n_kept; i++) {
        mem_free(c->kept[i].view);
        mem_free(c->kept[i].words);
    }
    mem_free(c->kept);
    mem_free(c->hashes);
    mem_free(c);
}

/* ---- what a mask depends on ---- */

/* The state's places with the frames that are at most `height` below the deepest stack's top,
 * into c->view; 0: too large. */
static uint32_t view_state(struct mask_cache *c, const struct machine *m, uint32_t state,
                           uint32_t height) {
    const struct machine_state *s = machine_state(m, state);
    const struct place *places = machine_places(m, state);
    int32_t base = height == VIEW_WHOLE ? -1 : (int32_t)s->deepest - (int32_t)height;
    uint32_t n = 0;
    c->view[n++] = height << 1 | s->may_end;
    for (uint32_t i = 0; i < s->n_places; i++) {
        const struct frame *f = machine_frame(m, places[i].stack);
        if (n + f->depth + 2 > VIEW_MAX_WORDS) return 0;
        c->view[n++] = places[i].node;
        for (; (int32_t)f->depth > base && f->depth > 0; f = machine_frame(m, f->parent))
            c->view[n++] = f->node;
        c->view[n++] = (uint32_t)(base < 0 ? STACK_ENDS : PLACE_ENDS);
    }
    return n;
}

static uint32_t hash_view(const uint32_t *view, uint32_t n) {
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ view[i]) * 0x9e3779b97f4a7c15u ^ h >> 29;
    return (uint32_t)(h >> 32);
}

static struct kept_mask *find_view(struct mask_cache *c, uint32_t n) {
    uint32_t hash = hash_view(c->view, n);
    for (uint32_t i = 0; i < c->n_kept; i++) {
        struct kept_mask *k = &c->kept[i];
        if (c->hashes[i] == hash && k->n_view == n &&
            memcmp(k->view, c->view, n * sizeof *k->view) == 0)
            return k;
    }
    return NULL;
}

static struct kept_mask *find_mask(struct mask_cache *c, const struct machine *m, uint32_t state) {
    for (uint32_t height = 0; height < VIEW_HEIGHTS; height++) {
        if (c->with_height[height] == 0) continue;
        uint32_t n = view_state(c, m, state, height);
        struct kept_mask *k = n ? find_view(c, n) : NULL;
        if (k && machine_state(m, state)->deepest + k->rise <= MACHINE_MAX_NESTING) return k;
    }
    return NULL;
}

/* ---- walking the vocabulary ---- */

static void allow(uint64_t *words, uint32_t token) {
    words[token / 64] |= (uint64_t)1 << token % 64;
}

/* The stacks' reach of all states that a walk came through. */
struct reach {
    int32_t floor;
    uint32_t peak;
};

static void extend(struct reach *reach, const struct machine_state *s) {
    if (s->floor < reach->floor) reach->floor = s->floor;
    if (s->peak > reach->peak) reach->peak = s->peak;
}

/* Whether a text goes on here as it likes. */
static bool is_free(struct machine *m, uint32_t state, struct reach *reach) {
    static const char some[] = "q~ Z7";
    for (const char *c = some; *c; c++) {
        uint32_t to = machine_next(m, state, (uint8_t)*c);
        if (machine_state(m, state)->floor < 0) reach->floor = -1;
        if (to == MACHINE_REFUSED) return false;
        extend(reach, machine_state(m, to));
    }
    return true;
}

/* A model that writes a tag of its calls by a control token means the tag: inside a free text it
 * has no place. The walk has come through the token's states. */
static void leave_out_controls(const struct mask_cache *c, struct machine *m, uint32_t state,
                               uint64_t *words, struct reach *reach) {
    const struct constraint_vocabulary *v = c->vocabulary;
    if (v->n_controls == 0 || !is_free(m, state, reach)) return;
    for (uint32_t i = 0; i < v->n_controls; i++) {
        uint32_t token = v->controls[i], to = state;
        if (!(words[token / 64] >> token % 64 & 1)) continue;
        for (size_t k = v->first_byte[token]; k < v->first_byte[token + 1]; k++)
            to = machine_next(m, to, (uint8_t)v->bytes[k]);
        if (is_free(m, to, reach)) words[token / 64] &= ~((uint64_t)1 << token % 64);
    }
}

/* Fills `words`. */
static struct reach walk(struct mask_cache *c, struct machine *m, uint32_t state, uint64_t *words) {
    const struct constraint_vocabulary *v = c->vocabulary;
    uint32_t deepest = machine_state(m, state)->deepest;
    struct reach reach = {(int32_t)deepest, deepest};
    memset(words, 0, c->n_words * sizeof *words);
    c->path[0] = state;
    for (uint32_t i = 0; i < v->n_nodes;) {
        const struct vocabulary_node *node = &v->nodes[i];
        uint32_t from = c->path[node->depth], to = machine_next(m, from, node->byte);
        if (machine_state(m, from)->floor < 0) reach.floor = -1; /* depth refused it, perhaps */
        if (to == MACHINE_REFUSED) {
            i = node->after;
            continue;
        }
        extend(&reach, machine_state(m, to));
        c->path[node->depth + 1] = to;
        for (uint32_t t = node->token; t < node[1].token; t++)
            allow(words, v->by_text[t]);
        i++;
    }
    leave_out_controls(c, m, state, words, &reach);
    if (machine_state(m, state)->may_end)
        for (uint32_t i = 0; i < v->n_ends; i++)
            allow(words, v->ends[i]);
    return reach;
}

/* A place for a new mask: a fresh one, or the least recently used. */
static struct kept_mask *take_slot(struct mask_cache *c) {
    if (c->n_kept < c->most_kept) {
        struct kept_mask *k = &c->kept[c->n_kept];
        k->words = mem_alloc_array((size_t)c->n_words + 1, sizeof *k->words);
        if (!k->words) return NULL;
        c->n_kept++;
        return k;
    }
    struct kept_mask *oldest = &c->kept[0];
    for (uint32_t i = 1; i < c->n_kept; i++)
        if (c->kept[i].used < oldest->used) oldest = &c->kept[i];
    if (oldest->n_view) c->with_height[oldest->view[0] >> 1]--;
    oldest->n_view = 0;
    return oldest;
}

static void keep(struct mask_cache *c, const struct machine *m, uint32_t state, struct reach reach,
                 struct kept_mask *k) {
    uint32_t deepest = machine_state(m, state)->deepest;
    uint32_t height = (uint32_t)((int32_t)deepest - reach.floor);
    if (height > VIEW_MAX_HEIGHT) height = VIEW_WHOLE;
    uint32_t n = view_state(c, m, state, height);
    uint32_t *view = n ? mem_realloc_array(k->view, n, sizeof *view) : NULL;
    k->used = ++c->now;
    if (!view) return;
    memcpy(view, c->view, n * sizeof *view);
    k->view = view;
    k->n_view = n;
    k->rise = reach.peak - deepest;
    c->hashes[k - c->kept] = hash_view(view, n);
    c->with_height[height]++;
}

const uint64_t *mask_of(struct mask_cache *c, struct machine *m, uint32_t state) {
    struct kept_mask *k = find_mask(c, m, state);
    if (k) {
        k->used = ++c->now;
        return k->words;
    }
    k = take_slot(c);
    if (!k) return NULL;
    machine_is_full(m);
    struct reach reach = walk(c, m, state, k->words);
    if (machine_is_full(m))
        k->used = 0;
    else
        keep(c, m, state, reach, k);
    return k->words;
}
