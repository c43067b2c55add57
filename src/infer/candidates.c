#include "infer/candidates.h"

#include <assert.h>
#include <math.h>

/* Whether a stands before b in rank order. */
static bool ranks_before(const struct candidate *a, const struct candidate *b) {
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static bool ranks_after(const struct candidate *a, const struct candidate *b) {
    return ranks_before(b, a);
}

static bool key_before(const struct candidate *a, const struct candidate *b) {
    return a->key < b->key || (a->key == b->key && ranks_before(a, b));
}

typedef bool (*before_function)(const struct candidate *, const struct candidate *);

/* Binary heap with the element that stands `before` all others at the root. */
static inline void sift_down(struct candidate *heap, size_t size, size_t at,
                             before_function before) {
    struct candidate moved = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= size) break;
        if (child + 1 < size && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &moved)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void heap_make(struct candidate *heap, size_t size, before_function before) {
    for (size_t i = size / 2; i-- > 0;)
        sift_down(heap, size, i, before);
}

/* Moves the root behind the heap, which shrinks by one. */
static const struct candidate *heap_pop(struct candidate *heap, size_t *size,
                                        before_function before) {
    struct candidate root = heap[0];
    heap[0] = heap[--*size];
    heap[*size] = root;
    sift_down(heap, *size, 0, before);
    return &heap[*size];
}

static void reverse(struct candidate *data, size_t n) {
    for (size_t i = 0; i < n / 2; i++) {
        struct candidate swapped = data[i];
        data[i] = data[n - 1 - i];
        data[n - 1 - i] = swapped;
    }
}

/* A heap whose root is the worst of the best becomes their sorted list. */
static void sort_heap_of_worst(struct candidates *c) {
    size_t left = c->size;
    while (left > 1)
        heap_pop(c->data, &left, ranks_after);
    c->sorted = true;
}

void candidates_gather(struct candidates *c, const float *logits, size_t n, size_t k) {
    struct candidate *heap = c->data;
    size_t i = 0, size = 0;
    for (; i < n && size < k; i++)
        if (logits[i] > -INFINITY) heap[size++] = (struct candidate){(int32_t)i, logits[i], 0, 0};
    c->size = size;
    c->sorted = false;
    if (k >= n || size < k) return;
    /* Ids only grow, so an equal logit never displaces what is there. */
    heap_make(heap, size, ranks_after);
    for (; i < n; i++) {
        if (!(logits[i] > heap[0].logit)) continue;
        heap[0] = (struct candidate){(int32_t)i, logits[i], 0, 0};
        sift_down(heap, size, 0, ranks_after);
    }
    sort_heap_of_worst(c);
}

void candidates_keep_best(struct candidates *c, size_t k) {
    if (k < 1) k = 1;
    if (k > c->size) k = c->size;
    if (!c->sorted) {
        heap_make(c->data, k, ranks_after);
        for (size_t i = k; i < c->size; i++) {
            if (!ranks_before(&c->data[i], &c->data[0])) continue;
            c->data[0] = c->data[i];
            sift_down(c->data, k, 0, ranks_after);
        }
    }
    c->size = k;
    if (!c->sorted) sort_heap_of_worst(c);
}

const struct candidate *candidates_best(const struct candidates *c) {
    const struct candidate *best = &c->data[0];
    for (size_t i = 1; i < c->size && !c->sorted; i++)
        if (ranks_before(&c->data[i], best)) best = &c->data[i];
    return best;
}

double candidates_weigh(struct candidates *c) {
    float largest = candidates_best(c)->logit;
    double total = 0;
    for (size_t i = 0; i < c->size; i++) {
        c->data[i].weight = expf(c->data[i].logit - largest);
        total += (double)c->data[i].weight;
    }
    return total;
}

const struct candidate *candidates_draw(const struct candidates *c, double total, double u) {
    double target = u * total, reached = 0;
    const struct candidate *last = candidates_best(c); /* weighs 1, so it is never impossible */
    for (size_t i = 0; i < c->size; i++) {
        if (!(c->data[i].weight > 0)) continue;
        last = &c->data[i];
        reached += (double)last->weight;
        if (target < reached) break;
    }
    return last;
}

void filter_top_n_sigma(struct candidates *c, float n) {
    double sum = 0, squares = 0, size = (double)c->size;
    if (!(n > 0)) return;
    for (size_t i = 0; i < c->size; i++)
        sum += (double)c->data[i].logit;
    double mean = sum / size;
    for (size_t i = 0; i < c->size; i++) {
        double distance = (double)c->data[i].logit - mean;
        squares += distance * distance;
    }
    double least = (double)candidates_best(c)->logit - (double)n * sqrt(squares / size);
    size_t kept = 0;
    for (size_t i = 0; i < c->size; i++)
        if ((double)c->data[i].logit >= least) c->data[kept++] = c->data[i];
    c->size = kept;
}

/* Pops a heap of all candidates until the cumulated weight passes `enough` (reaches
 * it, when `reaching`) and `min_keep` are kept; what was popped is what stays. */
static void keep_until(struct candidates *c, before_function before, double enough, bool reaching,
                       size_t min_keep) {
    size_t left = c->size;
    double reached = 0;
    heap_make(c->data, left, before);
    while (left > 0) {
        reached += (double)heap_pop(c->data, &left, before)->weight;
        bool full = reaching ? reached >= enough : reached > enough;
        if (full && c->size - left >= min_keep) break;
    }
    size_t kept = c->size - left;
    reverse(c->data, c->size); /* popped ones lie at the end, the first popped last */
    c->size = kept;
}

void filter_typical(struct candidates *c, float p, size_t min_keep) {
    if (p >= 1) return;
    double total = candidates_weigh(c), entropy = 0, log_total = log(total);
    float largest = candidates_best(c)->logit;
    for (size_t i = 0; i < c->size; i++) {
        double surprise = log_total - ((double)c->data[i].logit - (double)largest);
        if (c->data[i].weight > 0) entropy += (double)c->data[i].weight / total * surprise;
    }
    for (size_t i = 0; i < c->size; i++) {
        double surprise = log_total - ((double)c->data[i].logit - (double)largest);
        c->data[i].key = (float)fabs(surprise - entropy);
    }
    keep_until(c, key_before, (double)p * total, false, min_keep);
    c->sorted = false;
}

void filter_top_p(struct candidates *c, float p, size_t min_keep) {
    if (p >= 1) return;
    double enough = (double)p * candidates_weigh(c), reached = 0;
    if (!c->sorted) {
        keep_until(c, ranks_before, enough, true, min_keep);
        c->sorted = true;
        return;
    }
    size_t kept = 0;
    do {
        reached += (double)c->data[kept++].weight;
    } while (kept < c->size && (reached < enough || kept < min_keep));
    c->size = kept;
}

void filter_min_p(struct candidates *c, float p, size_t min_keep) {
    if (!(p > 0)) return;
    /* p(x) >= p · p(best) says the same of logits, without a softmax. */
    double least = (double)candidates_best(c)->logit + log((double)p);
    size_t kept = 0;
    for (size_t i = 0; i < c->size; i++)
        if ((double)c->data[i].logit >= least) kept++;
    if (kept < min_keep) {
        candidates_keep_best(c, min_keep);
        return;
    }
    kept = 0;
    for (size_t i = 0; i < c->size; i++)
        if ((double)c->data[i].logit >= least) c->data[kept++] = c->data[i];
    c->size = kept;
}

void filter_xtc(struct candidates *c, float threshold, size_t min_keep) {
    if (threshold > 0.5f || c->size < 2) return;
    double least = (double)threshold * candidates_weigh(c);
    const struct candidate *last = NULL;
    size_t n_top = 0;
    for (size_t i = 0; i < c->size; i++) {
        if ((double)c->data[i].weight < least) continue;
        n_top++;
        if (!last || ranks_before(last, &c->data[i])) last = &c->data[i];
    }
    if (n_top < 2 || c->size - (n_top - 1) < min_keep) return;
    int32_t spared = last->id;
    size_t kept = 0;
    for (size_t i = 0; i < c->size; i++)
        if ((double)c->data[i].weight < least || c->data[i].id == spared)
            c->data[kept++] = c->data[i];
    c->size = kept;
}

void filter_mirostat(struct candidates *c, float mu) {
    double total = candidates_weigh(c);
    struct candidate best = *candidates_best(c);
    size_t kept = 0;
    for (size_t i = 0; i < c->size; i++)
        if (log2(total / (double)c->data[i].weight) <= (double)mu) c->data[kept++] = c->data[i];
    if (kept == 0) c->data[kept++] = best;
    c->size = kept;
}

void filter_temperature(struct candidates *c, float temperature) {
    assert(temperature > 0);
    /* Differences to the largest keep tiny temperatures finite on the side that counts. */
    float largest = candidates_best(c)->logit;
    for (size_t i = 0; i < c->size; i++) {
        double scaled = ((double)c->data[i].logit - (double)largest) / (double)temperature;
        c->data[i].logit = scaled < -1e30 ? -1e30f : (float)scaled;
    }
}
