/* quant_recipe.h - which element type each tensor of a quantised model gets.
 *
 * A recipe is what people name in a file's name: Q4_K_M. It says a type for most
 * weights and better ones where errors cost most. The choices are those of llama.cpp,
 * so that a file of the same name has the same size and quality everywhere:
 *   - vectors, norms, convolutions, routers and small helpers keep their type;
 *   - the output matrix, or a tied embedding in its place, gets at least Q6_K;
 *   - attention values and the second feed-forward matrix get more bits, in the M
 *     recipes in the first and last eighth of the layers and in every third between;
 *   - a row width that is no multiple of the block gets a type of smaller blocks. */
#ifndef HEARTH_MODEL_QUANT_RECIPE_H
#define HEARTH_MODEL_QUANT_RECIPE_H

#include "format/directory.h"

struct quant_recipe {
    const char *name;
    enum elem base;
    uint32_t file_type; /* general.file_type of the result */
    const char *summary;
};

size_t quant_recipe_count(void);
const struct quant_recipe *quant_recipe_at(size_t i);
/* Any letter case; an error that names the nearest one when there is none. */
hearth_status quant_recipe_find(const struct quant_recipe **recipe, const char *name,
                                hearth_error *err);

/* Tensors whose name the pattern is found in (POSIX extended regular expression, any
 * letter case) get this type; the first rule that fits counts. */
struct tensor_rule {
    const char *pattern;
    enum elem type;
};

struct quant_choice {
    const struct quant_recipe *recipe;
    const struct tensor_rule *rules;
    size_t n_rules;
    enum elem output_type, embedding_type; /* ELEM_TYPES: what the recipe says */
    bool pure;                             /* the base type for everything that can take it */
    bool has_importance;                   /* changes some choices */
};

/* Fills types[i] for tensors[i]. `m`: the model's metadata. */
hearth_status quant_recipe_assign(const struct quant_choice *choice, const struct metadata *m,
                                  const struct tensor *tensors, size_t n_tensors, enum elem *types,
                                  hearth_error *err);

/* The type itself, or what stands in for it where rows of n_cols values are no
 * multiple of its block. */
enum elem quant_fallback(enum elem type, uint64_t n_cols);
/* Whether a tensor of this name is of no use in this type without importance. */
bool quant_recipe_needs_importance(const struct quant_recipe *recipe, const char *name,
                                   enum elem type);
/* Sets general.file_type and general.quantization_version. */
hearth_status quant_recipe_describe(const struct quant_recipe *recipe, struct metadata *m,
                                    hearth_error *err);

#endif
