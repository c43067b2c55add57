/* Questions about using Hearth, answered from what the program says of itself. */
#include <stdio.h>
#include <string.h>

#include "knowledge.h"
#include "problem.h"

enum { MAX_SUMMARY = 160 };

/* How people ask for what a command does; the answer comes from the program. */
static const struct {
    const char *command, *question;
} intents[] = {
    {"pull", "How do I download a model?"},
    {"pull", "How can I get a model from the hub?"},
    {"pull", "where do models come from"},
    {"pull", "I need a new model."},
    {"run", "How do I chat with a model?"},
    {"run", "How do I start a conversation?"},
    {"run", "How can I ask a model a question from the shell?"},
    {"run", "how do i talk to a model"},
    {"list", "Which models do I have?"},
    {"list", "How do I see the models on this machine?"},
    {"list", "What is installed here?"},
    {"ps", "Which models are running?"},
    {"ps", "How do I see which models are in use?"},
    {"show", "How much memory does a model need?"},
    {"show", "How do I inspect a model?"},
    {"show", "How do I see the metadata of a model?"},
    {"cp", "How do I give a model a shorter name?"},
    {"cp", "Can I make an alias for a model?"},
    {"rm", "How do I delete a model?"},
    {"rm", "How do I free disk space taken by a model?"},
    {"convert", "How do I turn a Hugging Face folder into GGUF?"},
    {"convert", "Can I convert safetensors to GGUF?"},
    {"perplexity", "How do I measure perplexity?"},
    {"perplexity", "How good is a model at predicting a text?"},
    {"bench", "How fast is a model on this machine?"},
    {"bench", "How do I measure tokens per second?"},
    {"embed", "How do I make embeddings?"},
    {"embed", "How do I turn texts into vectors?"},
    {"tokenize", "How do I see the tokens of a text?"},
    {"detokenize", "How do I turn token ids back into text?"},
    {"template", "How do I test a chat template?"},
    {"logits", "How do I get raw logits?"},
    {"quantize", "How do I make a model smaller?"},
    {"quantize", "How do I quantise a model to 4 bits?"},
    {"doctor", "Which models suit my machine?"},
    {"doctor", "What can this computer run?"},
    {"doctor", "How do I check my machine?"},
    {"imatrix", "How do I measure which weights matter?"},
    {"synth", "How do I benchmark without a download?"},
    {"tokenizer", "How do I train a tokenizer?"},
    {"init", "How do I make a new model to train from scratch?"},
};

static const struct known_command *draw_command(struct rng *rng, const struct knowledge *k) {
    const struct known_command *commands;
    size_t n = knowledge_commands(k, &commands);
    return &commands[draw(rng, (unsigned)n)];
}

static const struct known_option *draw_option(struct rng *rng, const struct knowledge *k) {
    const struct known_option *options;
    size_t n = knowledge_options(k, &options);
    return &options[draw(rng, (unsigned)n)];
}

/* Paraphrase 0 is always trained, so that every fact can be learnt. */
static const char *draw_paraphrase(struct rng *rng, struct problem *p, const char *const *patterns,
                                   size_t n, const char *fact_a, const char *fact_b) {
    unsigned i = draw(rng, (unsigned)n);
    p->only_trained = i == 0;
    buf_append_format(&p->canonical, "help %s %s %u", fact_a, fact_b, i);
    return patterns[i];
}

/* The length of the whole sentences that are short enough to be learnt; the first always is. */
static size_t sentences(const char *text) {
    size_t n = 0;
    for (size_t i = 0; text[i] && (n == 0 || i < MAX_SUMMARY); i++)
        if (text[i] == '.' && (text[i + 1] == ' ' || text[i + 1] == '\0')) n = i + 1;
    return n;
}

static void ask_what_command(struct rng *rng, const struct knowledge *k, struct problem *p) {
    static const char *const patterns[] = {
        "What does hearth {0} do?",     "What is hearth {0} for?",
        "Explain hearth {0}.",          "hearth {0}?",
        "What is '{0}' in Hearth?",     "Tell me about hearth {0}.",
        "what does the command {0} do", "When do I use hearth {0}?",
    };
    const struct known_command *c = draw_command(rng, k);
    const char *pattern = draw_paraphrase(rng, p, patterns, COUNT_OF(patterns), "what", c->name);
    put_pattern(&p->question, pattern, c->name, "", "");
    buf_append_format(&p->steps, "command %s", c->name);
    buf_append_format(&p->answer, "hearth %s: %s.", c->name, c->brief);
    size_t n = sentences(c->summary);
    if (n) buf_append_format(&p->answer, " %.*s", (int)n, c->summary);
}

static void ask_which_command(struct rng *rng, const struct knowledge *k, struct problem *p) {
    static const char *const patterns[] = {
        "Which command is this: {0}?",      "Which hearth command: {0}?",
        "I need the command for: {0}.",     "What is the command for this: {0}?",
        "Name the hearth command for {0}.", "which command do i use for {0}",
    };
    const struct known_command *c = draw_command(rng, k);
    const char *pattern = draw_paraphrase(rng, p, patterns, COUNT_OF(patterns), "which", c->name);
    put_pattern(&p->question, pattern, c->brief, "", "");
    buf_append_format(&p->steps, "command %s", c->name);
    buf_append_format(&p->answer, "hearth %s", c->name);
}

static void ask_usage(struct rng *rng, const struct knowledge *k, struct problem *p) {
    static const char *const patterns[] = {
        "How do I call hearth {0}?",         "Show the usage of hearth {0}.",
        "What is the syntax of hearth {0}?", "Give me an example of hearth {0}.",
        "How is hearth {0} used?",           "how do i type hearth {0}",
    };
    const struct known_command *c = draw_command(rng, k);
    const char *pattern = draw_paraphrase(rng, p, patterns, COUNT_OF(patterns), "usage", c->name);
    put_pattern(&p->question, pattern, c->name, "", "");
    buf_append_format(&p->steps, "command %s", c->name);
    buf_append_text(&p->answer, c->usage);
    if (*c->example) buf_append_format(&p->answer, "\nFor example: %s", c->example);
}

static void ask_intent(struct rng *rng, const struct knowledge *k, struct problem *p) {
    static const char *const patterns[] = {
        "{0}", "Tell me: {0}", "A question: {0}", "Please help. {0}", "Hearth: {0}",
    };
    unsigned i = draw(rng, COUNT_OF(intents));
    char number[16];
    snprintf(number, sizeof number, "%u", i);
    const struct known_command *c = knowledge_find(k, intents[i].command);
    const char *pattern = draw_paraphrase(rng, p, patterns, COUNT_OF(patterns), "how", number);
    put_pattern(&p->question, pattern, intents[i].question, "", "");
    buf_append_format(&p->steps, "command %s", intents[i].command);
    if (!c) { /* the program has changed: say nothing rather than something untrue */
        buf_append_text(&p->answer, "Look at 'hearth --help': it lists the commands.");
        return;
    }
    buf_append_format(&p->answer, "Use hearth %s: %s.", c->name, c->brief);
    if (*c->example) buf_append_format(&p->answer, "\nFor example: %s", c->example);
}

static void ask_what_option(struct rng *rng, const struct knowledge *k, struct problem *p) {
    static const char *const patterns[] = {
        "What does {0} do in hearth {1}?",
        "hearth {1} {0}?",
        "Explain the option {0} of hearth {1}.",
        "What is {0} of hearth {1} for?",
        "what does the {0} option of hearth {1} mean",
        "In hearth {1}, what does {0} do?",
        "Help me with {0} in hearth {1}.",
        "Tell me about hearth {1} {0}.",
    };
    const struct known_option *o = draw_option(rng, k);
    const char *pattern =
        draw_paraphrase(rng, p, patterns, COUNT_OF(patterns), o->command, o->name);
    put_pattern(&p->question, pattern, o->name, o->command, "");
    buf_append_format(&p->steps, "command %s, option %s", o->command, o->name);
    buf_append_format(&p->answer, "%s: %s.", o->spelling, o->help);
}

static void ask_which_option(struct rng *rng, const struct knowledge *k, struct problem *p) {
    static const char *const patterns[] = {
        "Which option of hearth {1} is this: {0}?",
        "Which hearth {1} option: {0}?",
        "In hearth {1}, what is the option for: {0}?",
        "hearth {1}: option for {0}?",
    };
    const struct known_option *o = draw_option(rng, k);
    char brief[160]; /* without the default, which nobody asks for */
    size_t n = strcspn(o->help, "([;");
    while (n && o->help[n - 1] == ' ')
        n--;
    snprintf(brief, sizeof brief, "%.*s", (int)(n < 159 ? n : 159), o->help);
    const char *pattern = draw_paraphrase(rng, p, patterns, COUNT_OF(patterns), o->command, brief);
    put_pattern(&p->question, pattern, brief, o->command, "");
    buf_append_format(&p->steps, "command %s, option %s", o->command, o->name);
    buf_append_text(&p->answer, o->spelling);
}

static void ask_room(struct rng *rng, const struct knowledge *k, struct problem *p) {
    static const char *const patterns[] = {
        "What does the room {0} of Hearth's source own?",
        "What is in src/{0}?",
        "What is the folder {0} of Hearth's source for?",
        "Explain the room {0}.",
        "what lives in the room {0}",
    };
    const struct known_room *rooms;
    size_t n_rooms = knowledge_rooms(k, &rooms);
    const struct known_room *r = &rooms[draw(rng, (unsigned)n_rooms)];
    const char *pattern = draw_paraphrase(rng, p, patterns, COUNT_OF(patterns), "room", r->name);
    put_pattern(&p->question, pattern, r->name, "", "");
    buf_append_format(&p->steps, "room %s", r->name);
    buf_append_format(&p->answer, "%s: %s.", r->name, r->owns);
}

void make_help(struct rng *rng, const struct knowledge *k, struct problem *p) {
    /* Options are the most by far, so they are asked for most often. */
    static void (*const kinds[])(struct rng *, const struct knowledge *, struct problem *) = {
        ask_what_option,  ask_what_option,  ask_what_option,  ask_what_option,   ask_what_option,
        ask_which_option, ask_what_command, ask_what_command, ask_which_command, ask_usage,
        ask_intent,       ask_intent,       ask_room};
    DRAW_FROM(rng, kinds)(rng, k, p);
}
