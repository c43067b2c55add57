/* Counting by going through, one number after every thing; and what that rests on, repeating and
 * spelling, which are learnt early and teach to copy. */
#include <stdio.h>
#include <string.h>

#include "problem.h"
#include "word_list.h"

enum { MAX_WORD = 16, MAX_WORDS = 10, MAX_ITEMS = 10, MIN_ITEMS = 3, MAX_REPEATED = 6 };

/* ---- letters ------------------------------------------------------------------------------- */

/* Something that could be a word: syllables. */
static void draw_name(struct rng *rng, char word[MAX_WORD]) {
    static const char vowels[] = "aeiou", consonants[] = "bcdfghjklmnprstvwz";
    size_t n = 0;
    for (int syllables = draw_between(rng, 1, 3); syllables > 0; syllables--) {
        word[n++] = consonants[draw(rng, sizeof consonants - 1)];
        word[n++] = vowels[draw(rng, sizeof vowels - 1)];
        if (draw(rng, 3) == 0) word[n++] = consonants[draw(rng, sizeof consonants - 1)];
    }
    word[n] = '\0';
}

/* A word of the list, a name, or any letters: what is copied must not depend on being known. */
static void draw_word(struct rng *rng, char word[MAX_WORD]) {
    unsigned kind = draw(rng, 6);
    if (kind > 1) {
        snprintf(word, MAX_WORD, "%s", DRAW_FROM(rng, word_list));
    } else if (kind == 1) {
        draw_name(rng, word);
    } else {
        int n = draw_between(rng, 3, 9);
        for (int i = 0; i < n; i++)
            word[i] = (char)('a' + (int)draw(rng, 26));
        word[n] = '\0';
    }
}

/* A word of the list or a name. */
static void draw_readable(struct rng *rng, char word[MAX_WORD]) {
    if (draw(rng, 5))
        snprintf(word, MAX_WORD, "%s", DRAW_FROM(rng, word_list));
    else
        draw_name(rng, word);
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
        char word[MAX_WORD];
        draw_readable(rng, word);
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
    unsigned place[COUNT_OF(things)] = {0};
    struct buf list;
    buf_init(&list, 512);
    for (unsigned i = 0; i < COUNT_OF(things); i++) { /* shuffled; the first is counted */
        unsigned other = draw(rng, i + 1);
        place[i] = place[other];
        place[other] = i;
    }
    const char *counted = things[place[0]];
    int n = draw_between(rng, MIN_ITEMS, MAX_ITEMS), count = 0;
    buf_append_format(&p->steps, "%s:", counted);
    for (int i = 0; i < n; i++) {
        bool again = draw(rng, 3) == 0;
        const char *item = again ? counted : things[place[1 + i]];
        count += again;
        buf_append_format(&list, "%s%s", i ? ", " : "", item);
        buf_append_format(&p->steps, " %s %d", item, count);
    }
    put_pattern(&p->question, DRAW_FROM(rng, patterns), counted, buf_text(&list), "");
    buf_append_format(&p->canonical, "count_items %s %s", counted, buf_text(&list));
    buf_append_format(&p->answer, "%d", count);
    buf_release(&list);
}

/* ---- repeating and spelling ------------------------------------------------------------------ */

static void put_words(struct rng *rng, struct buf *out) {
    int n = draw_between(rng, 1, MAX_REPEATED);
    for (int i = 0; i < n; i++) {
        char word[MAX_WORD];
        draw_readable(rng, word);
        buf_append_format(out, "%s%s", i ? " " : "", word);
    }
}

static void repeat(struct rng *rng, struct problem *p) {
    static const char *const patterns[] = {"Repeat: {0}", "Say this again: {0}", "repeat {0}",
                                           "Write {0} once more.", "Please repeat \"{0}\""};
    struct buf text;
    buf_init(&text, 256);
    if (draw(rng, 2))
        put_words(rng, &text);
    else
        buf_append_format(&text, "%lld", (long long)draw_number(rng, draw_between(rng, 2, 8)));
    put_pattern(&p->question, DRAW_FROM(rng, patterns), buf_text(&text), "", "");
    buf_append_format(&p->canonical, "repeat %s", buf_text(&text));
    buf_append_format(&p->steps, "again: %s", buf_text(&text));
    buf_append_text(&p->answer, buf_text(&text));
    buf_release(&text);
}

static void spell(struct rng *rng, struct problem *p) {
    static const char *const patterns[] = {"Spell {0}.", "How is {0} spelt?", "spell the word {0}",
                                           "Which letters are in {0}?"};
    char word[MAX_WORD];
    draw_word(rng, word);
    put_pattern(&p->question, DRAW_FROM(rng, patterns), word, "", "");
    buf_append_format(&p->canonical, "spell %s", word);
    buf_append_text(&p->steps, "letters:");
    for (const char *at = word; *at; at++) {
        buf_append_format(&p->steps, " %c", *at);
        buf_append_format(&p->answer, at == word ? "%c" : " %c", *at);
    }
}

void make_repetition(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    (void)knowledge;
    if (draw(rng, 4))
        repeat(rng, p);
    else
        spell(rng, p);
}
