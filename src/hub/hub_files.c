#include "hub/hub_files.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

enum { LIST_BYTES = 320 /* of choices in a message */, MAX_PARTS = 99999 };

hearth_status hub_files_add(struct hub_files *files, const char *name, uint64_t size_bytes,
                            int64_t modified, hearth_error *err) {
    if (files->count == HUB_MAX_FILES)
        return error_set(err, HEARTH_ERROR_LIMIT, "more than %d files in one place", HUB_MAX_FILES);
    if (files->count == files->capacity) {
        size_t capacity = files->capacity ? files->capacity * 2 : 32;
        struct hub_file *grown = mem_realloc_array(files->items, capacity, sizeof *grown);
        if (!grown) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a list of files");
        files->items = grown;
        files->capacity = capacity;
    }
    char *copy = mem_strdup(name);
    if (!copy) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a list of files");
    files->items[files->count++] =
        (struct hub_file){.name = copy, .size_bytes = size_bytes, .modified = modified};
    return HEARTH_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct hub_file *)a)->name, ((const struct hub_file *)b)->name);
}

void hub_files_sort(struct hub_files *files) {
    if (files->count) qsort(files->items, files->count, sizeof *files->items, by_name);
}

void hub_files_release(struct hub_files *files) {
    for (size_t i = 0; i < files->count; i++)
        mem_free(files->items[i].name);
    mem_free(files->items);
    *files = (struct hub_files){0};
}

const struct hub_file *hub_files_find(const struct hub_files *files, const char *name) {
    struct hub_file key = {.name = (char *)(uintptr_t)name};
    if (!files->count) return NULL;
    return bsearch(&key, files->items, files->count, sizeof *files->items, by_name);
}

static hearth_status walk(struct hub_files *files, const char *root, const char *below, int depth,
                          hearth_error *err) {
    char *folder = below[0] ? path_join(root, below) : mem_strdup(root);
    DIR *dir = folder ? opendir(folder) : NULL;
    hearth_status status = HEARTH_OK;
    if (!folder) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to list '%s'", root);
    for (struct dirent *entry; dir && status == HEARTH_OK && (entry = readdir(dir));) {
        struct stat info;
        if (entry->d_name[0] == '.') continue;
        char *path = path_join(folder, entry->d_name);
        char *name = below[0] ? path_join(below, entry->d_name) : mem_strdup(entry->d_name);
        if (!path || !name) {
            status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to list '%s'", root);
        } else if (stat(path, &info) == 0) {
            if (S_ISREG(info.st_mode))
                status = hub_files_add(files, name, (uint64_t)info.st_size, info.st_mtime, err);
            else if (S_ISDIR(info.st_mode) && depth < HUB_MAX_DEPTH)
                status = walk(files, root, name, depth + 1, err);
        }
        mem_free(path);
        mem_free(name);
    }
    if (dir) closedir(dir);
    mem_free(folder);
    return status;
}

hearth_status hub_files_walk(struct hub_files *files, const char *root, hearth_error *err) {
    hearth_status status = walk(files, root, "", 0, err);
    hub_files_sort(files);
    return status;
}

/* ---- GGUF -------------------------------------------------------------- */

static bool ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcasecmp(text + n - m, suffix) == 0;
}

/* "stem-00001-of-00003.ext": the length of the stem; without parts that of
 * everything before the extension. */
static size_t split_parts(const char *name, unsigned *part, unsigned *parts) {
    const char *dot = strrchr(name, '.');
    size_t stem = dot ? (size_t)(dot - name) : strlen(name);
    enum { PATTERN_BYTES = sizeof "-00001-of-00003" - 1 };
    unsigned i, n;
    int used = 0;
    *part = *parts = 1;
    if (stem > PATTERN_BYTES &&
        sscanf(name + stem - PATTERN_BYTES, "-%5u-of-%5u%n", &i, &n, &used) == 2 &&
        used == PATTERN_BYTES && i >= 1 && i <= n && n <= MAX_PARTS) {
        *part = i;
        *parts = n;
        return stem - PATTERN_BYTES;
    }
    return stem;
}

static bool is_quant_start(const char *text) {
    static const char *const others[] = {"bf16", "f16",  "f32",   "fp16",
                                         "fp32", "bf32", "mxfp4", "nvfp4"};
    size_t n = strcspn(text, "-._/");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strlen(others[i]) == n && strncasecmp(text, others[i], n) == 0) return true;
    if (strncasecmp(text, "iq", 2) == 0 || strncasecmp(text, "tq", 2) == 0) text++;
    return (*text == 'q' || *text == 'Q') && isdigit((unsigned char)text[1]) && text[2] == '_';
}

void gguf_quant_of(const char *name, char quant[HUB_QUANT_BYTES]) {
    unsigned part, parts;
    const char *base = path_base(name), *found = NULL;
    const char *end = name + split_parts(name, &part, &parts);
    for (const char *c = base; c < end; c++)
        if ((c == base || strchr("-._", c[-1])) && is_quant_start(c)) found = c;
    quant[0] = '\0';
    if (!found) return;
    /* A later underscore may belong to the tag (Q4_K_M), a dot or hyphen does not. */
    size_t length = strcspn(found, "-.");
    if (found + length > end) length = (size_t)(end - found);
    bool dynamic = found - base >= 3 && strncasecmp(found - 3, "UD-", 3) == 0;
    if (dynamic) found -= 3, length += 3;
    if (length >= HUB_QUANT_BYTES) return;
    for (size_t i = 0; i < length; i++)
        quant[i] = (char)toupper((unsigned char)found[i]);
    quant[length] = '\0';
}

static bool is_gguf_model(const char *name) {
    const char *base = path_base(name);
    return ends_with(base, ".gguf") && !strcasestr(base, "mmproj") && !strcasestr(base, "imatrix");
}

hearth_status gguf_groups(const struct hub_files *files, struct gguf_group **groups, size_t *count,
                          hearth_error *err) {
    struct gguf_group *list = mem_calloc(files->count + 1, sizeof *list);
    size_t n = 0, stem_length = 0;
    unsigned expected = 0;
    *groups = list;
    *count = 0;
    if (!list) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a list of models");
    for (size_t i = 0; i < files->count; i++) {
        const struct hub_file *file = &files->items[i];
        unsigned part, parts;
        if (!is_gguf_model(file->name)) continue;
        size_t stem = split_parts(file->name, &part, &parts);
        struct gguf_group *g = n ? &list[n - 1] : NULL;
        bool same = g && parts > 1 && parts == expected && stem == stem_length &&
                    g->first + g->count == i && strncmp(g->name, file->name, stem) == 0;
        if (!same) {
            g = &list[n++];
            *g = (struct gguf_group){.name = file->name, .first = i};
            gguf_quant_of(file->name, g->quant);
            stem_length = stem, expected = parts;
        }
        g->count++;
        g->size_bytes += file->size_bytes;
        if (file->modified > g->modified) g->modified = file->modified;
        g->is_complete = g->count == parts;
    }
    *count = n;
    return HEARTH_OK;
}

/* From "what most people should take" outwards. */
static const char *const preference[] = {
    "Q4_K_M", "Q4_K_S", "UD-Q4_K_XL", "Q4_K_XL", "Q4_K_L",     "Q4_0",   "Q4_1",   "IQ4_NL",
    "IQ4_XS", "MXFP4",  "MXFP4_MOE",  "Q5_K_M",  "UD-Q5_K_XL", "Q5_K_S", "Q5_K_L", "Q5_0",
    "Q5_1",   "Q6_K",   "Q6_K_L",     "Q8_0",    "Q3_K_M",     "Q3_K_L", "Q3_K_S", "IQ3_M",
    "BF16",   "F16",    "FP16",       "F32",     "Q2_K",       "Q2_K_L"};

static bool quant_equal(const char *have, const char *want) {
    return strcasecmp(have, want) == 0 ||
           (strncasecmp(have, "UD-", 3) == 0 && strcasecmp(have + 3, want) == 0);
}

/* How well a group answers the wish, 0 not at all. */
static int fits(const struct gguf_group *group, const char *want) {
    if (!group->is_complete) return 0;
    if (strcasecmp(group->quant, want) == 0) return 3;
    if (quant_equal(group->quant, want)) return 2;
    return strlen(want) > 2 && !is_quant_start(want) && strcasestr(group->name, want) ? 1 : 0;
}

static hearth_status choice_error(const struct gguf_group *groups, size_t count, hearth_status code,
                                  const char *where, const char *what, bool by_file,
                                  hearth_error *err) {
    char list[LIST_BYTES] = "";
    size_t length = 0;
    const char *example = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct gguf_group *g = &groups[i];
        if (!g->is_complete) continue;
        const char *name = by_file || !g->quant[0] ? g->name : g->quant;
        if (strlen(name) + 8 > sizeof list - length) {
            snprintf(list + length, sizeof list - length, ", ...");
            break;
        }
        length +=
            (size_t)snprintf(list + length, sizeof list - length, "%s%s", length ? ", " : "", name);
        if (!example) example = name;
    }
    bool is_file = example && (by_file || strchr(example, '.'));
    return error_set(err, code, "%s; '%.80s' has %s; say which, as in %.80s%s%s", what, where,
                     *list ? list : "none", where, is_file ? "/" : ":", example ? example : "NAME");
}

static hearth_status choose_default(const struct gguf_group *groups, size_t count,
                                    const char *where, const struct gguf_group **chosen,
                                    hearth_error *err) {
    const struct gguf_group *only = NULL;
    size_t n_complete = 0;
    for (size_t i = 0; i < count; i++)
        if (groups[i].is_complete) only = &groups[i], n_complete++;
    *chosen = only;
    if (n_complete == 1) return HEARTH_OK;
    for (size_t p = 0; p < sizeof preference / sizeof *preference; p++) {
        size_t n = 0;
        for (size_t i = 0; i < count; i++)
            if (groups[i].is_complete && strcasecmp(groups[i].quant, preference[p]) == 0)
                *chosen = &groups[i], n++;
        if (n == 1) return HEARTH_OK;
        if (n > 1)
            return choice_error(groups, count, HEARTH_ERROR_ARGUMENT, where, "several models fit",
                                true, err);
    }
    return choice_error(groups, count, n_complete ? HEARTH_ERROR_ARGUMENT : HEARTH_ERROR_NOT_FOUND,
                        where, n_complete ? "no usual quantisation" : "no complete GGUF model",
                        false, err);
}

hearth_status gguf_choose(const struct gguf_group *groups, size_t count, const char *quant,
                          const char *where, const struct gguf_group **chosen, hearth_error *err) {
    char what[HUB_QUANT_BYTES + 64];
    int best = 0;
    size_t n_best = 0;
    *chosen = NULL;
    if (!quant[0]) return choose_default(groups, count, where, chosen, err);
    for (size_t i = 0; i < count; i++) {
        int fit = fits(&groups[i], quant);
        if (fit > best) best = fit, n_best = 0;
        if (fit && fit == best && n_best++ == 0) *chosen = &groups[i];
    }
    if (n_best == 1) return HEARTH_OK;
    *chosen = NULL;
    snprintf(what, sizeof what, n_best ? "several models fit '%s'" : "no '%s' model", quant);
    return choice_error(groups, count, n_best ? HEARTH_ERROR_ARGUMENT : HEARTH_ERROR_NOT_FOUND,
                        where, what, n_best > 0, err);
}

/* ---- Hugging Face folders ---------------------------------------------- */

static bool is_weights(const char *name) {
    return ends_with(name, ".safetensors") && !strchr(name, '/');
}

static bool is_duplicate_weights(const char *name) {
    return strncasecmp(name, "consolidated", 12) == 0;
}

bool hub_is_folder_file(const struct hub_files *files, const char *name) {
    static const char *const wanted[] = {"config.json",
                                         "generation_config.json",
                                         "tokenizer.json",
                                         "tokenizer_config.json",
                                         "tokenizer.model",
                                         "special_tokens_map.json",
                                         "added_tokens.json",
                                         "vocab.json",
                                         "vocab.txt",
                                         "merges.txt",
                                         "chat_template.jinja",
                                         "chat_template.json",
                                         "adapter_config.json",
                                         "modules.json",
                                         "1_Pooling/config.json",
                                         "sentence_bert_config.json",
                                         "preprocessor_config.json"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strcmp(name, wanted[i]) == 0) return true;
    if (ends_with(name, ".safetensors.index.json")) return !strchr(name, '/');
    if (!is_weights(name)) return false;
    if (!is_duplicate_weights(name)) return true;
    /* Some repositories hold the same weights twice. */
    for (size_t i = 0; i < files->count; i++)
        if (is_weights(files->items[i].name) && !is_duplicate_weights(files->items[i].name))
            return false;
    return true;
}

bool hub_is_model_folder(const struct hub_files *files) {
    size_t n_weights = 0, n_found = 0, n_expected = 0;
    for (size_t i = 0; i < files->count; i++) {
        unsigned part, parts;
        if (!is_weights(files->items[i].name)) continue;
        split_parts(files->items[i].name, &part, &parts);
        n_weights++;
        if (parts > 1) n_found++;
        if (parts > 1 && part == 1) n_expected += parts;
    }
    bool configured =
        hub_files_find(files, "config.json") || hub_files_find(files, "adapter_config.json");
    return configured && n_weights > 0 && n_found == n_expected;
}
