/* hearth show: what a model is. */
#include <jansson.h>
#include <string.h>

#include "base/units.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "model/family.h"

enum { TEXT_SHOWN_BYTES = 120, ARRAY_SHOWN = 8 };

struct show_options {
    struct engine_settings engine;
    bool tensors, template, families, json;
};

static int list_families(bool json) {
    if (json) putchar('[');
    for (size_t i = 0; i < family_count(); i++)
        printf(json ? "%s\"%s\"" : "%s%s\n", json && i ? "," : "", family_at(i)->name);
    if (json) puts("]");
    return EXIT_OK;
}

/* Control characters would let a file write to the terminal. */
static void put_text(struct text text, size_t most) {
    for (size_t i = 0; i < text.length && i < most; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else
            putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
    if (text.length > most) fputs("...", stdout);
}

static void put_element(const struct meta_array *array, size_t i) {
    if (array->type == META_STRING) {
        putchar('"');
        put_text(array->strings[i], 24);
        putchar('"');
    } else if (array->type == META_F32 || array->type == META_F64)
        printf("%g", meta_array_float(array, i));
    else
        printf("%lld", (long long)meta_array_int(array, i));
}

static void put_value(const struct meta_value *value) {
    switch (value->type) {
    case META_STRING: put_text(value->string, TEXT_SHOWN_BYTES); break;
    case META_F32:
    case META_F64: printf("%g", value->f); break;
    case META_BOOL: fputs(value->u ? "true" : "false", stdout); break;
    case META_I8:
    case META_I16:
    case META_I32:
    case META_I64: printf("%lld", (long long)value->i); break;
    case META_ARRAY:
        putchar('[');
        for (size_t i = 0; i < value->array.count && i < ARRAY_SHOWN; i++) {
            if (i) fputs(", ", stdout);
            put_element(&value->array, i);
        }
        if (value->array.count > ARRAY_SHOWN) printf(", ... %zu in all", value->array.count);
        putchar(']');
        break;
    default: printf("%llu", (unsigned long long)value->u); break;
    }
}

static void put_tensor_types(const struct directory *dir) {
    uint64_t bytes[ELEM_TYPES] = {0};
    char text[32];
    for (size_t i = 0; i < dir->n_tensors; i++)
        bytes[dir->tensors[i].type] += dir->tensors[i].size_bytes;
    fputs("  types         ", stdout);
    for (int type = 0, first = 1; type < ELEM_TYPES; type++)
        if (bytes[type]) {
            printf("%s%s %s", first ? "" : ", ", elem_name((enum elem)type),
                   units_format_bytes(bytes[type], text, sizeof text));
            first = 0;
        }
    putchar('\n');
}

static const char *mixer_name(enum mixer_kind mixer) {
    static const char *const names[] = {"none",      "attention", "latent attention",
                                        "delta net", "mamba-2",   "short convolution"};
    return names[mixer];
}

static void put_layers(const struct config *config) {
    uint32_t counts[MIXER_SHORT_CONV + 1] = {0}, local = 0;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        counts[config->layers[i].mixer]++;
        if (config->layers[i].window) local++;
    }
    printf("  layers        %u:", config->n_layer);
    for (int m = 0, first = 1; m <= MIXER_SHORT_CONV; m++)
        if (counts[m]) {
            printf("%s %u %s", first ? "" : ",", counts[m], mixer_name((enum mixer_kind)m));
            first = 0;
        }
    if (local) printf(" (%u with a sliding window)", local);
    if (config->n_next) printf(", then %u for further tokens", config->n_next);
    putchar('\n');
}

static void put_memory(const struct model *model) {
    static const enum elem types[] = {ELEM_F16, ELEM_Q8_0, ELEM_Q4_0};
    static const uint32_t lengths[] = {4096, 32768};
    const struct config *config = &model->config;
    char text[32];
    printf("  weights       %s\n",
           units_format_bytes(directory_bytes(&model->directory), text, sizeof text));
    for (int l = 0; l < 2; l++) {
        uint32_t length = lengths[l] < config->n_ctx_train ? lengths[l] : config->n_ctx_train;
        printf("  cache         %6u tokens:", length);
        for (int t = 0; t < 3; t++) {
            struct cache_options cache = {.k_type = types[t], .v_type = types[t]};
            uint64_t bytes = cache_page_bytes(config, &cache) * (length / CACHE_PAGE_TOKENS) +
                             cache_slot_bytes(config);
            printf("%s %s %s", t ? "," : "", elem_name(types[t]),
                   units_format_bytes(bytes, text, sizeof text));
        }
        putchar('\n');
        if (length == config->n_ctx_train) break;
    }
}

static void put_summary(const struct engine *engine) {
    const struct config *config = &engine->model.config;
    struct text name = {"", 0}, template;
    char text[32];
    metadata_string(&engine->model.directory.metadata, "general.name", &name);
    puts("Model");
    if (name.length) {
        fputs("  name          ", stdout);
        put_text(name, TEXT_SHOWN_BYTES);
        putchar('\n');
    }
    printf("  family        %s%s\n", config->family, config->embeds ? " (embeds text)" : "");
    printf("  parameters    %s\n",
           units_format_count(model_parameters(&engine->model), text, sizeof text));
    put_layers(config);
    printf("  width         %u, vocabulary %u\n", config->n_embd, config->n_vocab);
    if (config->experts.n_expert)
        printf("  experts       %u, %u used at a time\n", config->experts.n_expert,
               config->experts.n_used);
    printf("  context       %u tokens\n", config->n_ctx_train);
    printf("  tokenizer     %s\n", engine->tokenizer ? "yes" : "none: 'run' will not work");
    printf("  chat template %s\n", model_chat_template(&engine->model, &template) ? "yes" : "none");
    printf("  context shift %s\n", config_is_recurrent(config) ? "by computing again" : "yes");
    put_tensor_types(&engine->model.directory);
    puts("\nMemory");
    put_memory(&engine->model);
}

static void put_details(const struct show_options *o, const struct directory *dir) {
    puts("\nMetadata");
    for (size_t i = 0; i < dir->metadata.count; i++) {
        const struct meta_value *value = &dir->metadata.values[i];
        fputs("  ", stdout);
        put_text(value->key, TEXT_SHOWN_BYTES);
        fputs(" = ", stdout);
        put_value(value);
        putchar('\n');
    }
    if (!o->tensors) {
        printf("\n%zu tensors; --tensors lists them\n", dir->n_tensors);
        return;
    }
    puts("\nTensors");
    for (size_t i = 0; i < dir->n_tensors; i++) {
        const struct tensor *t = &dir->tensors[i];
        char size[32];
        fputs("  ", stdout);
        put_text((struct text){t->name, strlen(t->name)}, TEXT_SHOWN_BYTES);
        printf("  %s  [", elem_name(t->type));
        for (unsigned d = 0; d < t->n_dims; d++)
            printf("%s%llu", d ? ", " : "", (unsigned long long)t->dims[d]);
        printf("]  %s\n", units_format_bytes(t->size_bytes, size, sizeof size));
    }
}

static void put_json(const struct engine *engine) {
    const struct config *config = &engine->model.config;
    const struct directory *dir = &engine->model.directory;
    struct text name = {"", 0}, template;
    struct cache_options cache = {.k_type = ELEM_F16, .v_type = ELEM_F16};
    json_t *tensors = json_array();
    metadata_string(&dir->metadata, "general.name", &name);
    for (size_t i = 0; i < dir->n_tensors; i++) {
        const struct tensor *t = &dir->tensors[i];
        json_t *dims = json_array();
        for (unsigned d = 0; d < t->n_dims; d++)
            json_array_append_new(dims, json_integer((json_int_t)t->dims[d]));
        json_array_append_new(tensors, json_pack("{s:s, s:s, s:o, s:I}", "name", t->name, "type",
                                                 elem_name(t->type), "shape", dims, "bytes",
                                                 (json_int_t)t->size_bytes));
    }
    json_t *result =
        json_pack("{s:s%, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "name",
                  name.data, name.length, "family", config->family, "parameters",
                  (json_int_t)model_parameters(&engine->model), "weight_bytes",
                  (json_int_t)directory_bytes(dir), "layers", (json_int_t)config->n_layer, "width",
                  (json_int_t)config->n_embd, "vocabulary", (json_int_t)config->n_vocab, "context",
                  (json_int_t)config->n_ctx_train, "cache_bytes_per_token_f16",
                  (json_int_t)(cache_page_bytes(config, &cache) / CACHE_PAGE_TOKENS), "tokenizer",
                  engine->tokenizer != NULL, "chat_template",
                  model_chat_template(&engine->model, &template), "tensors", tensors);
    if (result) json_dumpf(result, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(result);
}

static void put_template(const struct model *model) {
    struct text template;
    if (!model_chat_template(model, &template)) return;
    fwrite(template.data, 1, template.length, stdout);
    putchar('\n');
}

int cmd_show(int argc, char **argv) {
    struct show_options o = {0};
    struct option_spec specs[ENGINE_SPECS + 4];
    engine_specs(&o.engine, specs);
    size_t n = 2; /* only the model option makes sense here */
    specs[n++] = (struct option_spec){
        .name = "tensors", .help = "list every tensor", .type = OPTION_FLAG, .flag = &o.tensors};
    specs[n++] = (struct option_spec){.name = "template",
                                      .help = "print the chat template only",
                                      .type = OPTION_FLAG,
                                      .flag = &o.template};
    specs[n++] = (struct option_spec){.name = "families",
                                      .help = "list the supported architectures",
                                      .type = OPTION_FLAG,
                                      .flag = &o.families};
    specs[n++] = (struct option_spec){
        .name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &o.json};
    const struct option_table table = {.command = "hearth show",
                                       .arguments = "MODEL",
                                       .summary = "Says what a model is and what it needs.",
                                       .specs = specs,
                                       .n_specs = n,
                                       .max_arguments = 1};
    struct option_arguments arguments;
    struct engine engine;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (o.families) return list_families(o.json);
    if (arguments.count) o.engine.model = arguments.items[0];
    if (engine_open_model(&engine, &o.engine, &err) != HEARTH_OK) return command_fail(&err);
    if (o.template)
        put_template(&engine.model);
    else if (o.json)
        put_json(&engine);
    else {
        put_summary(&engine);
        put_details(&o, &engine.model.directory);
    }
    engine_close(&engine);
    return EXIT_OK;
}
