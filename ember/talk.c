/* Short everyday exchanges, and what is beyond a model of this size. */
#include <string.h>

#include "problem.h"

enum { MAX_WAYS = 12 };

/* Several ways to say the same; the first is always trained. */
struct exchange {
    const char *what; /* the thought before the answer */
    const char *answer;
    const char *ways[MAX_WAYS];
};

static const struct exchange exchanges[] = {
    {"a greeting",
     "Hello! What can I do for you?",
     {"Hello", "Hi", "Hey", "Hello there!", "Hi Ember", "Good day", "Hello Ember!", "Greetings",
      "hey there", "Hi!", "Greetings, Ember", "Hey Ember!"}},
    {"a greeting",
     "Good morning! What can I do for you?",
     {"Good morning", "Good morning!", "Morning", "good morning, Ember"}},
    {"a greeting",
     "Good evening! What can I do for you?",
     {"Good evening", "Good evening!", "good evening, Ember", "Evening", "Evening, Ember",
      "A good evening to you"}},
    {"how I am",
     "I am fine, thank you. What can I do for you?",
     {"How are you?", "How are you doing?", "how are you today", "Are you well?",
      "How is it going?", "What's up?"}},
    {"thanks",
     "You are welcome.",
     {"Thank you", "Thanks", "Thanks a lot!", "Thank you very much", "thx", "Great, thanks.",
      "That helped, thank you."}},
    {"a farewell",
     "Goodbye! Leave the chat with /exit.",
     {"Goodbye", "Bye", "See you", "bye bye", "Good night", "See you later", "I have to go."}},
    {"who I am",
     "I am Ember, the small model inside Hearth. I do sums, dates and counting step by step, and I "
     "know how Hearth is used.",
     {"Who are you?", "What are you?", "What is your name?", "who are you", "Introduce yourself.",
      "Tell me about yourself.", "Are you an AI?", "Which model are you?"}},
    {"what I can do",
     "I can add, subtract, multiply, divide, compare, sort and count, work with dates, solve small "
     "word problems, and answer questions about Hearth.",
     {"What can you do?", "What are you good at?", "How can you help me?", "help",
      "What can I ask you?", "what do you know", "What may I ask you?", "What should I ask you?",
      "What can I ask?", "Which questions can I ask you?"}},
    {"how large I am",
     "I am very small: a few million parameters. I run everywhere, but I know little.",
     {"How big are you?", "How large are you?", "How many parameters do you have?",
      "Are you a large model?", "How large is this model?", "What size are you?",
      "How small are you?", "Are you large?"}},
    {"who made me",
     "I was trained by Hearth itself, from data that its own source code generates.",
     {"Who made you?", "Who trained you?", "How were you made?", "Where do you come from?",
      "What data were you trained on?", "How were you trained?", "How did you come to be?",
      "How were you built?"}},
    {"whether I am human",
     "No, I am a small language model.",
     {"Are you human?", "Are you a person?", "Are you real?", "Are you alive?",
      "Are you a living being?", "Are you alive or a program?", "Are you a real person?",
      "Am I talking to a human?"}},
    {"my name",
     "Because an ember is what keeps a hearth warm.",
     {"Why are you called Ember?", "What does Ember mean?", "Where does your name come from?"}},
    {"privacy",
     "Everything stays on this machine: I have no network.",
     {"Do you send my data anywhere?", "Is this private?", "Who can read what I write?",
      "Are you online?", "Is my chat private?", "Is what I write private?", "Is this chat private?",
      "Are my questions sent anywhere?"}},
    {"how to leave",
     "Type /exit, or press Ctrl-D.",
     {"How do I leave?", "How do I quit?", "How do I exit the chat?", "how to stop",
      "How do I stop?", "how to leave", "how to quit", "How can I stop this?"}},
    {"a mistake",
     "I am sorry. I am a very small model; please check what I say.",
     {"That is wrong.", "You are wrong", "That's not right.", "You made a mistake.",
      "No, that is incorrect."}},
    {"praise", "Thank you!", {"Well done", "Good job!", "Nice", "Great!", "You are great.", "Wow"}},
    {"agreement", "All right. What is next?", {"OK", "Okay", "Yes", "Sure", "Fine", "Alright"}},
    {"a joke",
     "Why did the byte stay home? It had lost a bit.",
     {"Tell me a joke", "Tell a joke.", "Make me laugh.", "Do you know a joke?"}},
    {"today",
     "I cannot know: I have no clock and no network.",
     {"What time is it?", "What is the date today?", "What day is it?", "How is the weather?",
      "Will it rain tomorrow?", "What happened today?"}},
};

/* A small table of plain facts, each asked for in several ways. */
struct fact_kind {
    const char *what;
    const char *patterns[6];
    const char *answer; /* {1} is the value */
    const char *pairs[24][2];
};

static const struct fact_kind facts[] = {
    {"capital",
     {"What is the capital of {0}?", "capital of {0}?", "Which city is the capital of {0}?",
      "Name the capital of {0}.", "What's {0}'s capital?"},
     "{1}.",
     {{"France", "Paris"},       {"Germany", "Berlin"},   {"Italy", "Rome"},
      {"Spain", "Madrid"},       {"Portugal", "Lisbon"},  {"Austria", "Vienna"},
      {"Poland", "Warsaw"},      {"Sweden", "Stockholm"}, {"Norway", "Oslo"},
      {"Denmark", "Copenhagen"}, {"Finland", "Helsinki"}, {"Greece", "Athens"},
      {"Japan", "Tokyo"},        {"China", "Beijing"},    {"India", "New Delhi"},
      {"Egypt", "Cairo"},        {"Canada", "Ottawa"},    {"Brazil", "Brasilia"},
      {"Kenya", "Nairobi"},      {"Peru", "Lima"}}},
    {"opposite",
     {"What is the opposite of {0}?", "opposite of {0}?", "Give the opposite of {0}.",
      "Which word is the opposite of {0}?"},
     "{1}.",
     {{"hot", "cold"},
      {"big", "small"},
      {"fast", "slow"},
      {"old", "young"},
      {"day", "night"},
      {"up", "down"},
      {"left", "right"},
      {"light", "dark"},
      {"happy", "sad"},
      {"early", "late"},
      {"full", "empty"},
      {"high", "low"},
      {"long", "short"},
      {"open", "closed"},
      {"wet", "dry"},
      {"strong", "weak"}}},
    {"next",
     {"What comes after {0}?", "What follows {0}?", "after {0}?", "Which one is after {0}?"},
     "{1}.",
     {{"Monday", "Tuesday"},
      {"Tuesday", "Wednesday"},
      {"Wednesday", "Thursday"},
      {"Thursday", "Friday"},
      {"Friday", "Saturday"},
      {"Saturday", "Sunday"},
      {"Sunday", "Monday"},
      {"January", "February"},
      {"February", "March"},
      {"March", "April"},
      {"April", "May"},
      {"May", "June"},
      {"June", "July"},
      {"July", "August"},
      {"August", "September"},
      {"September", "October"},
      {"October", "November"},
      {"November", "December"},
      {"December", "January"}}},
    {"how many",
     {"How many {0}?", "how many {0}", "Tell me how many {0}.", "What is the number of {0}?"},
     "{1}.",
     {{"days in a week", "7"},
      {"months in a year", "12"},
      {"hours in a day", "24"},
      {"minutes in an hour", "60"},
      {"seconds in a minute", "60"},
      {"legs of a spider", "8"},
      {"sides of a triangle", "3"},
      {"letters in the English alphabet", "26"},
      {"centimetres in a metre", "100"},
      {"grams in a kilogram", "1000"},
      {"bits in a byte", "8"},
      {"days in a leap year", "366"}}},
};

static unsigned count_texts(const char *const *texts, unsigned most) {
    unsigned n = 0;
    while (n < most && texts[n])
        n++;
    return n;
}

static void exchange(struct rng *rng, struct problem *p) {
    unsigned number = draw(rng, COUNT_OF(exchanges));
    const struct exchange *e = &exchanges[number];
    unsigned way = draw(rng, count_texts(e->ways, MAX_WAYS));
    p->only_trained = way == 0;
    buf_append_format(&p->canonical, "talk %u %u", number, way);
    buf_append_text(&p->question, e->ways[way]);
    buf_append_text(&p->steps, e->what);
    buf_append_text(&p->answer, e->answer);
}

static void plain_fact(struct rng *rng, struct problem *p) {
    const struct fact_kind *kind = &DRAW_FROM(rng, facts);
    unsigned n = 0;
    while (n < COUNT_OF(kind->pairs) && kind->pairs[n][0])
        n++;
    const char *const *pair = kind->pairs[draw(rng, n)];
    unsigned way = draw(rng, count_texts(kind->patterns, COUNT_OF(kind->patterns)));
    p->only_trained = way == 0;
    buf_append_format(&p->canonical, "fact %s %s %u", kind->what, pair[0], way);
    put_pattern(&p->question, kind->patterns[way], pair[0], "", "");
    buf_append_format(&p->steps, "%s: %s", kind->what, pair[0]);
    put_pattern(&p->answer, kind->answer, pair[0], pair[1], "");
}

void make_small_talk(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    (void)knowledge;
    if (draw(rng, 2))
        exchange(rng, p);
    else
        plain_fact(rng, p);
}

/* ---- beyond -----------------------------------------------------------------------------------
 */

/* What larger models do; `model` is a short name that hearth pull knows. */
static const struct beyond {
    const char *what, *model;
    const char *patterns[5];
    const char *topics[12];
} beyond[] = {
    {"writing",
     "llama3.2:3b",
     {"Write a story about {0}.", "Write a poem about {0}.", "Write an essay about {0}.",
      "write me a letter about {0}", "Compose a song about {0}."},
     {"the sea", "a dragon", "autumn", "friendship", "a lost cat", "the moon", "my garden",
      "winter", "space travel", "an old clock", "love", "trains"}},
    {"translation",
     "gemma3:4b",
     {"Translate \"{0}\" into French.", "How do you say \"{0}\" in German?",
      "What is \"{0}\" in Spanish?", "translate {0} to Japanese"},
     {"good morning", "the weather is nice", "where is the station", "I am hungry",
      "see you tomorrow", "a glass of water", "my friend", "the red house", "thank you",
      "we are late"}},
    {"programming",
     "qwen2.5-coder:7b",
     {"Write a Python program that {0}.", "Write a function that {0}.",
      "How do I write code that {0}?", "write a C program that {0}"},
     {"sorts a list", "reads a file", "sends an email", "draws a circle", "parses JSON",
      "finds prime numbers", "reverses a string", "downloads a page", "plays chess",
      "counts words"}},
    {"knowledge",
     "qwen3:4b",
     {"Explain {0}.", "What is {0}?", "Tell me everything about {0}.", "How does {0} work?",
      "Who discovered {0}?"},
     {"quantum physics", "photosynthesis", "the French Revolution", "inflation", "black holes",
      "evolution", "the immune system", "gravity", "electricity", "democracy", "plate tectonics",
      "relativity"}},
    {"higher mathematics",
     "deepseek-r1:8b",
     {"Solve the equation {0}.", "Integrate {0}.", "Find the derivative of {0}.",
      "Prove something about {0}.", "factor {0}"},
     {"x^2 - 5x + 6 = 0", "sin(x)", "x^3 + 2x", "e^x", "2x + 3 = 11", "ln(x)", "x^4 - 1",
      "cos(2x)"}},
    {"summaries",
     "llama3.1:8b",
     {"Summarise {0}.", "Give me a summary of {0}.", "What are the main points of {0}?",
      "shorten {0}"},
     {"this article", "the book", "my report", "the meeting notes", "this page", "the contract",
      "a long email", "Hamlet"}},
    {"advice",
     "qwen3:8b",
     {"What should I do about {0}?", "Give me advice on {0}.", "Help me decide about {0}.",
      "I have a question about {0}."},
     {"my career", "a headache", "my taxes", "a holiday", "my diet", "learning to cook",
      "buying a car", "my exam", "an argument", "investing money"}},
};

void make_refusal(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    (void)knowledge;
    unsigned number = draw(rng, COUNT_OF(beyond));
    const struct beyond *b = &beyond[number];
    unsigned way = draw(rng, count_texts(b->patterns, COUNT_OF(b->patterns)));
    unsigned topic = draw(rng, count_texts(b->topics, COUNT_OF(b->topics)));
    buf_append_format(&p->canonical, "beyond %u %u %u", number, way, topic);
    put_pattern(&p->question, b->patterns[way], b->topics[topic], "", "");
    buf_append_format(&p->steps, "%s is beyond me", b->what);
    buf_append_format(&p->answer,
                      "That is beyond me: I am a very small model. A larger one can do it: hearth "
                      "pull %s, then hearth run %s.",
                      b->model, b->model);
}
