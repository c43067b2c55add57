/* The model card: licence, languages, tags and base model from the head of README.md.
 *
 * The head is YAML between two lines of "---"; cards use a small part of it, which is
 * read here: "key: value", "key: [a, b]" and a key with "- item" lines under it. What is
 * written in other ways is left out: a card is a courtesy, not a condition. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/hf_import.h"

enum { CARD_MAX_BYTES = 4 << 20, CARD_MAX_ITEMS = 256, KEY_BYTES = 64 };

struct card_list {
    struct text items[CARD_MAX_ITEMS];
    size_t count;
};

static struct text trim(struct text t) {
    while (t.length && strchr(" \t\r\"'", t.data[t.length - 1]))
        t.length--;
    while (t.length && strchr(" \t\"'", t.data[0])) {
        t.data++;
        t.length--;
    }
    return t;
}

static void add_item(struct card_list *list, struct text item) {
    item = trim(item);
    if (item.length && list->count < CARD_MAX_ITEMS) list->items[list->count++] = item;
}

/* The value on the key's own line: one item, or several in brackets. */
static void add_value(struct card_list *list, struct text value) {
    value = trim(value);
    if (value.length < 2 || value.data[0] != '[' || value.data[value.length - 1] != ']') {
        add_item(list, value);
        return;
    }
    value.data++;
    value.length -= 2;
    while (value.length) {
        const char *comma = memchr(value.data, ',', value.length);
        size_t n = comma ? (size_t)(comma - value.data) : value.length;
        add_item(list, (struct text){value.data, n});
        n += comma != NULL;
        value.data += n;
        value.length -= n;
    }
}

/* All items of `key`, in the lines of `head`. */
static void find_key(struct text head, const char *key, struct card_list *list) {
    size_t key_length = strlen(key);
    bool inside = false;
    list->count = 0;
    while (head.length) {
        const char *end = memchr(head.data, '\n', head.length);
        size_t n = end ? (size_t)(end - head.data) : head.length;
        struct text line = {head.data, n}, item = trim(line);
        if (n > key_length && memcmp(line.data, key, key_length) == 0 &&
            line.data[key_length] == ':') {
            inside = true;
            add_value(list, (struct text){line.data + key_length + 1, n - key_length - 1});
        } else if (inside && item.length > 1 && item.data[0] == '-' && item.data[1] == ' ')
            add_item(list, (struct text){item.data + 2, item.length - 2});
        else if (item.length)
            inside = false;
        n += end != NULL;
        head.data += n;
        head.length -= n;
    }
}

static void set_text(struct hf_config *c, const char *key, struct text value) {
    if (c->status == HEARTH_OK)
        c->status = metadata_set_string(c->metadata, key, value.data, value.length, c->err);
}

static void take_one(struct hf_config *c, struct text head, const char *from, const char *to) {
    struct card_list list;
    find_key(head, from, &list);
    if (list.count == 1) set_text(c, to, list.items[0]);
}

static void take_list(struct hf_config *c, struct text head, const char *from, const char *to) {
    struct card_list list;
    find_key(head, from, &list);
    if (list.count && c->status == HEARTH_OK)
        c->status = metadata_set_strings(c->metadata, to, list.items, list.count, c->err);
}

/* "organisation/name" */
static void take_base_models(struct hf_config *c, struct text head) {
    struct card_list list;
    char key[KEY_BYTES];
    find_key(head, "base_model", &list);
    if (list.count && c->status == HEARTH_OK)
        c->status = metadata_set_uint(c->metadata, "general.base_model.count", META_U32, list.count,
                                      c->err);
    for (size_t i = 0; i < list.count; i++) {
        struct text name = list.items[i];
        const char *slash = memchr(name.data, '/', name.length);
        size_t n = slash ? (size_t)(slash - name.data) : 0;
        if (slash) {
            snprintf(key, sizeof key, "general.base_model.%zu.organization", i);
            set_text(c, key, (struct text){name.data, n});
            name = (struct text){slash + 1, name.length - n - 1};
        }
        snprintf(key, sizeof key, "general.base_model.%zu.name", i);
        set_text(c, key, name);
    }
}

void hf_take_card(struct hf_config *c) {
    static const char begin[] = "---\n";
    char *data = NULL, *path = path_join(c->path, "README.md");
    size_t size = 0;
    bool read = path && file_read(path, CARD_MAX_BYTES, &data, &size, NULL) == HEARTH_OK;
    mem_free(path);
    const char *end = read && strncmp(data, begin, 4) == 0 ? strstr(data + 3, "\n---") : NULL;
    if (end) {
        struct text head = {data + 4, end > data + 4 ? (size_t)(end - data - 4) : 0};
        take_one(c, head, "license", "general.license");
        take_one(c, head, "license_name", "general.license.name");
        take_one(c, head, "license_link", "general.license.link");
        take_list(c, head, "tags", "general.tags");
        take_list(c, head, "language", "general.languages");
        take_base_models(c, head);
    }
    if (read) mem_free(data);
}
