/* Counting by going through, one number after every thing. */
#include <stdio.h>
#include <string.h>

#include "problem.h"
#include "word_list.h"

enum { MAX_WORD = 16, MAX_WORDS = 10, MAX_ITEMS = 12, MIN_ITEMS = 3, ITEM_KINDS = 3 };

/* ---- letters ------------------------------------------------------------------------------- */

/* A word of the list, or letters that are none. */
static void draw_word(struct rng *rng, char word[MAX_WORD]) {
    if (draw(rng, 4)) {
        snprintf(word, MAX_WORD, "%s", DRAW_FROM(rng, word_list));
        return;
    }
    int n = draw_between(rng, 3, 9);
    for (int i = 0; i < n; i++)
        word[i] = (char)('a' + (int)draw(rng, 26));
    word[n] = '\0';
}

void make_letter_count(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const patterns[] = {
        "How many {0}s are in {1}?",         "How many times does the letter {0} occur in {1}?",
        "Count the letter {0} in \"{1}\".",  "how many {0} in {1}",
        "How often is {0} in the word {1}?", "How many letters {0} does the word {1} have?",
    };
    (void)knowledge;
    char word[MAX_WORD], letter[2] = {0};
    draw_word(rng, word);
    size_t n = strlen(word);
    letter[0] = draw(rng, 5) ? word[draw(rng, (unsigned)n)] : (char)('a' + (int)draw(rng, 26));
    put_pattern(&p->question, DRAW_FROM(rng, patterns), letter, word, "");
    buf_append_format(&p->canonical, "count_letters %s %s", letter, word);
    int count = 0;
    buf_append_format(&p->steps, "letter %s:", letter);
    for (size_t i = 0; i < n; i++) {
        count += word[i] == letter[0];
        buf_append_format(&p->steps, " %c%d", word[i], count);
    }
    buf_append_format(&p->answer, "%d", count);
}

/* ---- words --------------------------------------------------------------------------------- */

void make_word_count(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const patterns[] = {
        "How many words are in this sentence: {0}",
        "Count the words: {0}",
        "How many words has \"{0}\"?",
        "how many words: {0}",
        "Number of words in \"{0}\"?",
    };
    (void)knowledge;
    int n = draw_between(rng, 2, MAX_WORDS);
    struct buf sentence;
    buf_init(&sentence, 512);
    for (int i = 0; i < n; i++) {
        const char *word = DRAW_FROM(rng, word_list);
        buf_append_format(&sentence, "%s%s", i ? " " : "", word);
        buf_append_format(&p->steps, "%s%s %d", i ? " " : "", word, i + 1);
    }
    put_pattern(&p->question, DRAW_FROM(rng, patterns), buf_text(&sentence), "", "");
    buf_append_format(&p->canonical, "count_words %s", buf_text(&sentence));
    buf_append_format(&p->answer, "%d", n);
    buf_release(&sentence);
}

/* ---- things in a list ---------------------------------------------------------------------- */

void make_item_count(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const things[] = {"apple",  "pear",  "cat",  "dog",  "pen",   "book",
                                         "cup",    "hat",   "key",  "ball", "shoe",  "fish",
                                         "flower", "chair", "coin", "leaf", "stone", "egg"};
    static const char *const patterns[] = {
        "How often is {0} in this list: {1}?",
        "Count the word {0}: {1}",
        "How many times does {0} occur in: {1}",
        "In the list {1}, how many are {0}?",
        "how many {0} here: {1}",
    };
    (void)knowledge;
    const char *kinds[ITEM_KINDS];
    struct buf list;
    buf_init(&list, 512);
    for (int i = 0; i < ITEM_KINDS; i++)
        kinds[i] = DRAW_FROM(rng, things);
    int n = draw_between(rng, MIN_ITEMS, MAX_ITEMS), count = 0;
    buf_append_format(&p->steps, "%s:", kinds[0]);
    for (int i = 0; i < n; i++) {
        const char *item = kinds[draw(rng, ITEM_KINDS)];
        count += strcmp(item, kinds[0]) == 0;
        buf_append_format(&list, "%s%s", i ? ", " : "", item);
        buf_append_format(&p->steps, " %s %d", item, count);
    }
    put_pattern(&p->question, DRAW_FROM(rng, patterns), kinds[0], buf_text(&list), "");
    buf_append_format(&p->canonical, "count_items %s %s", kinds[0], buf_text(&list));
    buf_append_format(&p->answer, "%d", count);
    buf_release(&list);
}
