/* Documents in the order of their relevance to a query, as Jina, Cohere and llama.cpp's server have
 * it, and Text Embeddings Inference, whose documents are called texts. A request is one for
 * embeddings, of the query and then of the documents; the relevance of a document is the cosine of
 * its vector and the query's, which the answer says ("scoring").
 * Sources: the documentation of Jina's reranker, Cohere's rerank, llama.cpp's server and Text
 * Embeddings Inference. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "chat/dialect_openai.h"
#include "chat/dialect_parts.h"

enum { DOCUMENTS_MAX = REQUEST_MAX_INPUTS - 1 }; /* beside the query */

/* ---- requests ---- */

/* The text of a document, borrowed: itself, or what it has as "text". */
static json_t *text_of(json_t *document, const struct place *place,
                       struct dialect_problem *problem) {
    struct fields fields;
    if (json_is_string(document)) return document;
    if (!json_is_object(document)) {
        problem_at(problem, place, 400, "must be a string or an object with a text, not %s",
                   json_type_words(document));
        return NULL;
    }
    if (!fields_open(&fields, document, place, problem)) return NULL;
    json_t *text = field_string(&fields, "text");
    if (!text) field_problem(&fields, "text", "is missing");
    return text;
}

static void add_input(struct fields *body, struct request *request, json_t *given,
                      const struct place *place) {
    json_t *text = text_of(given, place, body->problem);
    if (text && json_array_append(request->inputs, text) != 0) problem_no_memory(body->problem);
}

static void read_query(struct fields *body, struct request *request) {
    json_t *query = field_need(body, "query");
    struct place place = field_place(body, "query");
    if (query) add_input(body, request, query, &place);
}

/* Leaves those that were given in the answer's shape, for answers that repeat them. */
static void read_documents(struct fields *body, const char *name, struct request *request) {
    struct place outer = field_place(body, name);
    json_t *list = field_array(body, name, DOCUMENTS_MAX), *document;
    size_t i;
    if (json_array_size(list) == 0) field_problem(body, name, list ? "is empty" : "is missing");
    json_array_foreach(list, i, document) {
        struct place place = {.up = &outer, .index = i};
        add_input(body, request, document, &place);
        if (!fields_ok(body)) return;
    }
    if (list) set_shape(request, name, json_incref(list), body->problem);
}

static void parse_rerank(struct fields *body, struct request *request) {
    static const struct field_kept kept[] = {{"max_tokens_per_doc", FIELD_INTEGER},
                                             {"max_chunks_per_doc", FIELD_INTEGER},
                                             {"rank_fields", FIELD_ARRAY},
                                             {"raw_scores", FIELD_FLAG},
                                             {"truncate", FIELD_FLAG},
                                             {"user", FIELD_STRING}};
    const json_t *texts = json_object_get(body->object, "texts");
    bool has_texts = texts && !json_is_null(texts), repeats = false;
    int64_t top_n;
    request->kind = REQUEST_EMBED;
    fields_check_kept(body, kept, sizeof kept / sizeof kept[0]);
    field_text(body, "model", TEXT_MAX_NAME_BYTES, &request->model);
    request->inputs = json_array();
    read_query(body, request);
    read_documents(body, has_texts ? "texts" : "documents", request);
    if (field_integer(body, "top_n", 1, INT32_MAX, &top_n))
        set_shape(request, "top_n", json_integer(top_n), body->problem);
    if (field_flag(body, has_texts ? "return_text" : "return_documents", &repeats) && repeats)
        set_shape(request, "repeats", json_true(), body->problem);
}

/* ---- answers ---- */

struct ranked {
    size_t index; /* of the document */
    double score;
};

/* 0 for a vector that did not come, or of no length. */
static double cosine(const struct answer_vector *a, const struct answer_vector *b) {
    double product = 0, square_a = 0, square_b = 0;
    if (!a->values || !b->values || a->n != b->n) return 0;
    for (size_t i = 0; i < a->n; i++) {
        product += (double)a->values[i] * (double)b->values[i];
        square_a += (double)a->values[i] * (double)a->values[i];
        square_b += (double)b->values[i] * (double)b->values[i];
    }
    double score = product / sqrt(square_a * square_b);
    return isfinite(score) ? score : 0;
}

/* The best first; equals as they were given. */
static int compare(const void *left, const void *right) {
    const struct ranked *a = left, *b = right;
    if (a->score > b->score) return -1;
    if (a->score < b->score) return 1;
    return a->index < b->index ? -1 : 1;
}

static json_t *result_json(const struct answer_writer *w, const struct ranked *ranked) {
    json_t *texts = json_object_get(w->shape, "texts");
    json_t *given = texts ? texts : json_object_get(w->shape, "documents");
    json_t *document = json_array_get(given, ranked->index);
    json_t *result = json_pack("{s:I, s:f}", "index", (json_int_t)ranked->index,
                               texts ? "score" : "relevance_score", ranked->score);
    bool ok = true;
    if (json_object_get(w->shape, "repeats"))
        ok = texts ? json_object_set(result, "text", document) == 0
                   : set_json(result, "document",
                              json_is_string(document) ? json_pack("{s:O}", "text", document)
                                                       : json_incref(document));
    if (ok) return result;
    json_decref(result);
    return NULL;
}

/* As many as were asked for, the best first; NULL: no memory. */
static json_t *results_json(const struct answer_writer *w) {
    size_t n = w->n_vectors > 0 ? w->n_vectors - 1 : 0, n_wanted = n;
    const json_t *top_n = json_object_get(w->shape, "top_n");
    struct ranked *ranked = mem_alloc_array(n > 0 ? n : 1, sizeof *ranked);
    json_t *results = json_array();
    if (top_n && (size_t)json_integer_value(top_n) < n)
        n_wanted = (size_t)json_integer_value(top_n);
    for (size_t i = 0; ranked && i < n; i++)
        ranked[i] = (struct ranked){i, cosine(&w->vectors[0], &w->vectors[i + 1])};
    if (ranked) qsort(ranked, n, sizeof *ranked, compare);
    for (size_t i = 0; ranked && i < n_wanted; i++)
        json_array_append_new(results, result_json(w, &ranked[i]));
    mem_free(ranked);
    return whole_list(results, n_wanted);
}

static bool rerank_body(struct answer_writer *w, struct buf *out) {
    json_t *results = results_json(w);
    if (json_object_get(w->shape, "texts")) return put_json(out, results);
    return put_json(out, json_pack("{s:s, s:s, s:s, s:s, s:{s:I, s:I}, s:o}", "id", w->id, "object",
                                   "list", "model", w->model, "scoring", "cosine", "usage",
                                   "prompt_tokens", (json_int_t)w->usage.n_prompt, "total_tokens",
                                   (json_int_t)w->usage.n_prompt, "results", results));
}

static const struct answer_ops rerank_answer = {.id_prefix = "rerank-", .body = rerank_body};

const struct endpoint_ops rerank_endpoint = {
    .parse = parse_rerank, .problem = openai_problem, .answer = &rerank_answer};
