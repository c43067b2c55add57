/* Any bytes as a training text: the vocabulary opens, and encodes every word of the text
 * as the trainer left it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz_target.h"
#include "token/bpe_train.h"

static void check(const struct bpe_trainer *trainer, const struct tokenizer *tokenizer) {
    struct token_list ids = {0};
    size_t n = bpe_trainer_summary(trainer).n_distinct_words;
    for (size_t i = 0; i < n; i++) {
        struct bpe_train_word word = bpe_trainer_word(trainer, i);
        ids.count = 0;
        if (tokenizer_encode(tokenizer, word.text.data, word.text.length, false, false, &ids,
                             NULL) != HEARTH_OK)
            continue;
        /* Words whose cut depended on what came after them are cut again alone. */
        if (ids.count == word.n_ids && memcmp(ids.ids, word.ids, ids.count * sizeof *word.ids) != 0)
            abort();
    }
    token_list_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct bpe_added added[] = {{"<|end|>", true}, {"<think>", false}};
    struct bpe_train_options options = {
        .n_vocab = 320, .min_count = 1, .added = added, .n_added = 2, .eos = "<|end|>"};
    struct bpe_trainer *trainer;
    struct tokenizer *tokenizer = NULL;
    char *json = NULL, *config = NULL;
    if (bpe_trainer_open(&trainer, &options, NULL) != HEARTH_OK) return 0;
    hearth_status status = bpe_trainer_add(trainer, (const char *)data, size, NULL);
    if (status == HEARTH_OK) status = bpe_trainer_run(trainer, NULL);
    if (status == HEARTH_OK) status = bpe_trainer_json(trainer, &json, &config, NULL);
    if (status == HEARTH_OK) {
        if (tokenizer_open_json(&tokenizer, json, strlen(json), config, strlen(config), NULL) !=
            HEARTH_OK)
            abort();
        check(trainer, tokenizer);
    }
    tokenizer_close(tokenizer);
    mem_free(json);
    mem_free(config);
    bpe_trainer_close(trainer);
    return 0;
}
