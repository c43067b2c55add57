#include "train/example_list.h"

#include <string.h>

#include "base/mem.h"

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tokens of a record");
}

hearth_status example_list_mark(struct example_list *list, size_t from, bool trained,
                                hearth_error *err) {
    if (list->trained_capacity < list->tokens.count) {
        uint8_t *grown = mem_realloc_array(list->trained, list->tokens.capacity, 1);
        if (!grown) return no_memory(err);
        list->trained = grown;
        list->trained_capacity = list->tokens.capacity;
    }
    if (list->tokens.count > from) memset(list->trained + from, trained, list->tokens.count - from);
    return HEARTH_OK;
}

hearth_status example_list_push(struct example_list *list, size_t first, uint32_t n_tokens,
                                enum example_kind kind, hearth_error *err) {
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct example *grown = mem_realloc_array(list->items, capacity, sizeof *grown);
        if (!grown) return no_memory(err);
        list->items = grown;
        list->capacity = capacity;
    }
    struct example *e = &list->items[list->n++];
    *e = (struct example){.first = first, .n_tokens = n_tokens, .kind = kind};
    for (uint32_t i = 1; i < n_tokens; i++) { /* nothing predicts the first token */
        if (list->trained[first + i] && e->n_trained++ == 0) e->n_prompt = i;
    }
    return HEARTH_OK;
}

void example_list_clear(struct example_list *list) {
    list->tokens.count = list->n = 0;
}

void example_list_release(struct example_list *list) {
    token_list_release(&list->tokens);
    mem_free(list->trained);
    mem_free(list->items);
    *list = (struct example_list){0};
}
