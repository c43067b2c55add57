#include "infer/page_table.h"

#include "base/mem.h"

hearth_status page_table_open(struct page_table *t, uint32_t n_pages, hearth_error *err) {
    *t = (struct page_table){.n_pages = n_pages, .n_free = n_pages};
    t->free = mem_alloc_array(n_pages, sizeof *t->free);
    t->uses = mem_calloc(n_pages, sizeof *t->uses);
    t->kept = mem_calloc(n_pages, sizeof *t->kept);
    if (!t->free || !t->uses || !t->kept) {
        page_table_release(t);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of %u pages",
                         n_pages);
    }
    for (uint32_t i = 0; i < n_pages; i++)
        t->free[i] = n_pages - 1 - i;
    return HEARTH_OK;
}

void page_table_release(struct page_table *t) {
    mem_free(t->free);
    mem_free(t->uses);
    mem_free(t->kept);
    *t = (struct page_table){0};
}

uint32_t page_table_take(struct page_table *t) {
    uint32_t page = t->free[--t->n_free];
    t->uses[page] = 1;
    return page;
}

void page_table_use(struct page_table *t, uint32_t page) {
    if (t->uses[page]++ == 0) t->n_idle--;
}

void page_table_drop(struct page_table *t, uint32_t page) {
    if (--t->uses[page] > 0) return;
    if (t->kept[page])
        t->n_idle++;
    else
        t->free[t->n_free++] = page;
}

void page_table_keep(struct page_table *t, uint32_t page) {
    t->kept[page] = true;
}

void page_table_forget(struct page_table *t, uint32_t page) {
    t->kept[page] = false;
    if (t->uses[page] > 0) return;
    t->n_idle--;
    t->free[t->n_free++] = page;
}
